//! Feeds a stream to the crate, cut anywhere, and reports what came out in the oracle's terms. Looks
//! at all that must hold at every step.

use unstick::{DecodeError, Decoder, Frame, FrameBuf, Piece, RecoverError, Storage};

use super::{Case, ResyncBuf, Subjected};
use crate::oracle::Policy;
use crate::oracle::families::{Content, Family, Outcome, outcomes, whole_only};

/// A way to read frames from bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// [`Decoder::decode`].
    Decode,
    /// [`Decoder::for_each`].
    ForEach,
    /// [`FrameBuf`] over a `Vec`, whose frames are taken as soon as they have arrived.
    Vec,
    /// The same, with all bytes there before a frame is taken.
    LateVec,
    /// [`FrameBuf`] over the smallest storage that it accepts for the limit.
    Box,
}

impl Path {
    pub const ALL: [Self; 5] = [Self::Decode, Self::ForEach, Self::Vec, Self::LateVec, Self::Box];

    pub fn streams(self) -> bool {
        matches!(self, Self::Decode | Self::ForEach)
    }
}

/// What must come out, by the oracle.
pub fn expect<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    stream: &[u8],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let searches = if path.streams() { case.resync.is_some() } else { case.resync_vec.is_some() };
    let policy = Policy { resync: policy.resync && searches, ..policy };
    let outcomes = outcomes(&case.model, limit, stream, policy);
    if path.streams() { outcomes } else { whole_only(outcomes) }
        .into_iter()
        .map(|outcome| seen(outcome, path))
        .collect()
}

/// What can be seen of an outcome on this path: a decoder does not give the header's bytes, and the
/// place of a valid frame shows in its end only.
fn seen(mut outcome: Outcome, path: Path) -> Outcome {
    match &mut outcome {
        Outcome::Frame { at, end, content } => {
            *at = 0;
            if path == Path::ForEach {
                *end = 0;
            }
            if path.streams() {
                content.header.fill(0);
            }
        }
        Outcome::Begun { at, content } => {
            *at = 0;
            content.header.fill(0);
        }
        _ => {}
    }
    outcome
}

/// What does come out, with the stream cut at these offsets, which must be in order.
pub fn run<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    stream: &[u8],
    cuts: &[usize],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let chunks = chunks(stream, cuts);
    match path {
        Path::Decode | Path::ForEach => decode(case, limit, &chunks, path, policy),
        Path::Vec | Path::LateVec => {
            let buf = FrameBuf::growing(case.framing(limit));
            gather(case, buf, case.resync_vec, &chunks, path, policy)
        }
        Path::Box => {
            // A frame of no bytes needs none, but whether one comes shows in a byte.
            let room = smallest_storage(case, limit).max(1);
            let storage = vec![0xEE; room].into_boxed_slice();
            let buf = FrameBuf::with_framing(storage, case.framing(limit)).unwrap();
            gather(case, buf, case.resync_box, &chunks, path, policy)
        }
    }
}

/// The size of the smallest storage for frames within the limit, as the refusal of a smaller one says.
pub fn smallest_storage<W: Subjected, M: Family>(case: &Case<W, M>, limit: u64) -> usize {
    let none = FrameBuf::with_framing(Vec::new().into_boxed_slice(), case.framing(limit));
    let Err(refused) = none else { return 0 };
    let needed = usize::try_from(refused.needed).unwrap();
    let less = vec![0; needed - 1].into_boxed_slice();
    assert!(FrameBuf::with_framing(less, case.framing(limit)).is_err(), "{}", case.name);
    needed
}

/// Asserts that what comes out is what must.
pub fn compare<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    stream: &[u8],
    cuts: &[usize],
    path: Path,
    policy: Policy,
) {
    let want = expect(case, limit, stream, path, policy);
    let told = || {
        format!(
            "{}, {:?}, limit {limit}, {path:?}, {policy:?}, cuts {cuts:?}, stream {} {stream:02x?}",
            case.name,
            case.wire,
            stream.escape_ascii()
        )
    };
    let run = std::panic::AssertUnwindSafe(|| run(case, limit, stream, cuts, path, policy));
    let got = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("{}\nwant {want:?}", told()));
    let differs = |i: &usize| got.get(*i) != want.get(*i);
    if let Some(i) = (0..got.len().max(want.len())).find(differs) {
        panic!("{}\noutcome {i} is {:?}\nand must be {:?}", told(), got.get(i), want.get(i));
    }
}

/// The same on every path, with every policy.
pub fn compare_all<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    stream: &[u8],
    cuts: &[usize],
) {
    for policy in Policy::ALL {
        for path in Path::ALL {
            // A storage as large as that cannot be had.
            if path != Path::Box || limit <= 1 << 16 {
                compare(case, limit, stream, cuts, path, policy);
            }
        }
    }
}

fn chunks<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(stream.len()));
    starts.zip(ends).map(|(from, to)| &stream[from..to]).collect()
}

/// What happens after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Searching,
    Stopped(DecodeError),
}

impl State {
    /// Does what the policy says.
    fn after(
        error: DecodeError,
        policy: Policy,
        skip: impl FnOnce() -> Result<(), RecoverError>,
        searches: bool,
    ) -> Self {
        if policy.skip {
            match skip() {
                Ok(()) => return Self::Reading,
                Err(refused) => assert_eq!(refused, RecoverError::Failed(error)),
            }
        }
        if policy.resync && searches && !matches!(error, DecodeError::Truncated { .. }) {
            return Self::Searching;
        }
        Self::Stopped(error)
    }
}

/// Joins pieces to frames.
struct Record<D> {
    describe: D,
    marks: bool,
    open: Option<Content>,
    out: Vec<Outcome>,
}

impl<D> Record<D> {
    fn piece<M, L>(&mut self, piece: Piece<'_, M, L>, position: u64)
    where
        D: Fn(&M) -> Vec<u8>,
    {
        if let Some(header) = piece.header {
            assert!(self.open.is_none(), "a frame began inside another one");
            let meta = (self.describe)(&header.meta);
            let header = vec![0; header.header_len];
            self.open = Some(Content { meta, header, payload: Vec::new() });
        } else {
            let empty = piece.bytes.is_empty() && !piece.last;
            assert!(!empty, "a piece that brings nothing");
        }
        let open = self.open.as_mut().expect("a frame's first piece has a header");
        open.payload.extend_from_slice(piece.bytes);
        if piece.last {
            let content = self.open.take().unwrap();
            self.out.push(Outcome::Frame { at: 0, end: position, content });
        }
    }

    /// What was delivered of a frame that will not be whole.
    fn abandon(&mut self) {
        let begun = self.open.take();
        let begun = begun.filter(|content| !self.marks || !content.payload.is_empty());
        self.out.extend(begun.map(|content| Outcome::Begun { at: 0, content }));
    }

    fn error(&mut self, error: DecodeError, position: u64) {
        self.abandon();
        self.out.push(Outcome::Error { error, position });
    }
}

fn decode<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    chunks: &[&[u8]],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let mut decoder = Decoder::with_framing(case.framing(limit));
    let marks = case.ends_at_mark();
    let mut record = Record { describe: case.describe, marks, open: None, out: Vec::new() };
    let mut state = State::Reading;
    let mut fed = 0;
    for chunk in chunks {
        fed += chunk.len() as u64;
        let mut input = *chunk;
        loop {
            match state {
                State::Stopped(error) => {
                    latched(&mut decoder, error);
                    break;
                }
                State::Searching => {
                    let found = case.resync.unwrap()(&mut decoder, &mut input).unwrap();
                    let Some(skipped) = found else {
                        assert!(input.is_empty(), "a search left bytes");
                        let error = decoder.error();
                        assert!(matches!(error, Some(DecodeError::Unsynchronized { .. })));
                        break;
                    };
                    record.out.push(Outcome::Found { skipped });
                    assert_eq!(decoder.error(), None);
                    state = State::Reading;
                }
                State::Reading => {
                    let before = input;
                    let result = if path == Path::Decode {
                        decoder
                            .decode(&mut input)
                            .map(|piece| piece.map(|piece| (piece, before.len())))
                    } else {
                        let result = decoder.for_each(input, |piece| record.piece(piece, 0));
                        let left = usize::try_from(fed - decoder.position()).unwrap();
                        input = &input[input.len() - left..];
                        result.map(|()| None)
                    };
                    let position = fed - input.len() as u64;
                    assert_eq!(
                        decoder.position(),
                        position,
                        "what is consumed and what is counted"
                    );
                    match result {
                        Ok(Some((piece, before))) => {
                            // What was held back comes in a piece of its own.
                            assert!(before > input.len() || !piece.bytes.is_empty(), "no progress");
                            record.piece(piece, position);
                        }
                        Ok(None) => {
                            assert!(input.is_empty(), "no piece, and bytes are left");
                            break;
                        }
                        Err(error) => {
                            record.error(error, position);
                            latched(&mut decoder, error);
                            let skip = || decoder.skip_frame();
                            state = State::after(error, policy, skip, case.resync.is_some());
                        }
                    }
                }
            }
        }
    }
    loop {
        match state {
            State::Stopped(error) => {
                assert_eq!(decoder.finish(), Err(error));
                assert!(matches!(decoder.end(), Err(again) if again == error));
                return record.out;
            }
            State::Searching => {
                let found = case.resync.unwrap()(&mut decoder, &mut &[][..]).unwrap();
                if let Some(skipped) = found {
                    record.out.push(Outcome::Found { skipped });
                    state = State::Reading;
                    continue;
                }
                let error = decoder.finish().unwrap_err();
                record.error(error, decoder.position());
                state = State::Stopped(error);
            }
            State::Reading => {
                let ended = match decoder.end() {
                    Ok(Some(piece)) => {
                        record.piece(piece, if path == Path::Decode { fed } else { 0 });
                        continue;
                    }
                    Ok(None) => decoder.finish(),
                    Err(error) => Err(error),
                };
                match ended {
                    Ok(()) => {
                        record.abandon();
                        record.out.push(Outcome::End);
                        return record.out;
                    }
                    Err(error) => {
                        record.error(error, decoder.position());
                        if matches!(error, DecodeError::Truncated { .. }) {
                            assert_eq!(decoder.finish(), Err(error));
                            return record.out;
                        }
                        let skip = || decoder.skip_frame();
                        state = State::after(error, policy, skip, case.resync.is_some());
                    }
                }
            }
        }
    }
}

/// An error stays: nothing more is decoded or consumed.
fn latched<W: Subjected>(decoder: &mut Decoder<W>, error: DecodeError) {
    let position = decoder.position();
    let mut more = &b"more\n"[..];
    assert!(matches!(decoder.decode(&mut more), Err(again) if again == error));
    assert_eq!(decoder.for_each(more, |_| panic!("a piece after an error")), Err(error));
    assert_eq!((decoder.error(), decoder.finish()), (Some(error), Err(error)));
    assert_eq!((more.len(), decoder.position()), (5, position));
}

fn gather<S: Storage, W: Subjected, M: Family>(
    case: &Case<W, M>,
    mut buf: FrameBuf<S, W>,
    resync: Option<ResyncBuf<S, W>>,
    chunks: &[&[u8]],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let mut out = Vec::new();
    let mut state = State::Reading;
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            let taken = buf.extend(input);
            input = &input[taken..];
            if path == Path::LateVec {
                assert!(input.is_empty());
                break;
            }
            drain(case, &mut buf, resync, policy, &mut state, &mut out);
            if matches!(state, State::Stopped(_)) || input.is_empty() {
                break;
            }
            assert!(!buf.spare().is_empty(), "no frame, and no room for more bytes: a stall");
        }
    }
    loop {
        drain(case, &mut buf, resync, policy, &mut state, &mut out);
        match state {
            State::Stopped(error) => {
                assert_eq!(buf.finish(), Err(error));
                return out;
            }
            State::Searching => {
                let error = buf.finish().unwrap_err();
                let position = buf.position() + buf.unread().len() as u64;
                out.push(Outcome::Error { error, position });
                return out;
            }
            State::Reading => {
                let ended = match buf.end() {
                    Ok(Some(frame)) => {
                        let content = owned(case, &frame);
                        out.push(Outcome::Frame { at: 0, end: buf.position(), content });
                        continue;
                    }
                    Ok(None) => buf.finish(),
                    Err(error) => Err(error),
                };
                match ended {
                    Ok(()) => {
                        out.push(Outcome::End);
                        return out;
                    }
                    Err(error @ DecodeError::Truncated { .. }) => {
                        assert_eq!(buf.finish(), Err(error));
                        let position = buf.position() + buf.unread().len() as u64;
                        out.push(Outcome::Error { error, position });
                        return out;
                    }
                    Err(error) => {
                        out.push(Outcome::Error { error, position: buf.position() });
                        let skip = || buf.skip_frame();
                        state = State::after(error, policy, skip, resync.is_some());
                    }
                }
            }
        }
    }
}

fn owned<W: Subjected, M: Family>(case: &Case<W, M>, frame: &Frame<'_, W::Meta>) -> Content {
    Content {
        meta: (case.describe)(&frame.meta),
        header: frame.header_bytes().to_vec(),
        payload: frame.payload.to_vec(),
    }
}

/// Takes all frames that are there.
fn drain<S: Storage, W: Subjected, M: Family>(
    case: &Case<W, M>,
    buf: &mut FrameBuf<S, W>,
    resync: Option<ResyncBuf<S, W>>,
    policy: Policy,
    state: &mut State,
    out: &mut Vec<Outcome>,
) {
    loop {
        match *state {
            State::Stopped(error) => {
                let position = buf.position();
                assert!(matches!(buf.next_frame(), Err(again) if again == error));
                assert_eq!((buf.error(), buf.finish()), (Some(error), Err(error)));
                assert_eq!(buf.position(), position);
                return;
            }
            State::Searching => {
                let Some(skipped) = resync.unwrap()(buf).unwrap() else {
                    let error = buf.error();
                    assert!(matches!(error, Some(DecodeError::Unsynchronized { .. })), "{error:?}");
                    return;
                };
                out.push(Outcome::Found { skipped });
                assert_eq!(buf.error(), None);
                *state = State::Reading;
            }
            State::Reading => match buf.next_frame() {
                Ok(Some(frame)) => {
                    let content = owned(case, &frame);
                    out.push(Outcome::Frame { at: 0, end: buf.position(), content });
                }
                Ok(None) => return,
                Err(error) => {
                    out.push(Outcome::Error { error, position: buf.position() });
                    assert!(matches!(buf.next_frame(), Err(again) if again == error));
                    let skip = || buf.skip_frame();
                    *state = State::after(error, policy, skip, resync.is_some());
                }
            },
        }
    }
}
