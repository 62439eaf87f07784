//! Reads a stream of any wire with given cuts along the crate's paths, and compares the outcomes with
//! those of a reference. Checks on the way everything that must hold at each step.

use std::fmt::Debug;

use unstick::{
    DecodeError, Decoder, FrameBuf, Framing, Piece, RecoverError, Search, Storage, Wire,
    scan::Found,
};

use super::streams::difference;
use super::violation::{ensure, fail};
use super::{Outcome, Path, Policy, Promise, Violation};

/// The max size of a storage of fixed size, in bytes. Frames that may be longer are read by the other
/// paths.
const ROOM: u64 = 1 << 16;
/// The max capacity of a growing buffer before bytes have arrived, in bytes.
const FIRST: usize = 8 * 1024;

type Check<T = ()> = Result<T, Violation>;
type Resynced = Result<Option<u64>, RecoverError>;

/// A wire under a limit, and what is known of it.
pub(super) struct Wired<W: Wire> {
    pub(super) wire: W,
    pub(super) limit: u64,
    /// The max length of a frame within the limit, in bytes.
    pub(super) max_frame_len: u64,
    /// How a decoder searches, if it can.
    #[allow(clippy::type_complexity)] // a function's type, used once
    pub(super) resync: Option<fn(&mut Decoder<W>, &mut &[u8]) -> Resynced>,
    /// Whether a frame that failed with this error can be skipped.
    pub(super) skips: fn(&DecodeError) -> bool,
    /// What the reference calls, as text.
    pub(super) by: &'static str,
}

/// The paths for any wire.
const PATHS: [Path; 7] =
    [Path::Decode, Path::Pieces, Path::ForEach, Path::Slice, Path::Boxed, Path::Vec, Path::LazyVec];

/// Checks that the outcomes on every path, with each of the cuts, are those of the reference. Calls
/// `each` with every violation, until it returns an error.
pub(super) fn check<W: Search + Copy>(
    wired: &Wired<W>,
    stream: &[u8],
    cuts: &[Vec<usize>],
    reference: impl Fn(Policy) -> Vec<Outcome<W::Meta>>,
    each: &mut dyn FnMut(Violation) -> Result<(), Violation>,
) -> Check {
    for policy in Policy::ALL {
        let want = reference(policy);
        // A policy only applies after an error.
        if policy != Policy::STOP && want == reference(Policy::STOP) {
            continue;
        }
        for path in PATHS {
            let streaming = matches!(path, Path::Decode | Path::Pieces | Path::ForEach);
            let fixed = matches!(path, Path::Slice | Path::Boxed);
            if (streaming && policy.resync && wired.resync.is_none())
                || (fixed && wired.max_frame_len > ROOM)
            {
                continue;
            }
            for cuts in cuts {
                let got = wired.run(Cut { stream, cuts, policy }, path);
                let found = got.map(|got| {
                    let want = visible(streaming, &want);
                    let got = if streaming { placed(got, &want) } else { got };
                    difference(&got, &want, wired.by)
                });
                let violation = match found {
                    Ok(None) => continue,
                    Ok(Some((promise, found))) => Violation::new(promise, stream, found),
                    Err(violation) => violation,
                };
                each(violation.in_stream(stream, wired.limit, cuts, path, policy))?;
            }
        }
    }
    Ok(())
}

/// Returns the outcomes as a path reports them: whole frames do not begin.
fn visible<M: Clone>(streaming: bool, outcomes: &[Outcome<M>]) -> Vec<Outcome<M>> {
    let seen = |outcome: &&Outcome<M>| streaming || !matches!(outcome, Outcome::Begun { .. });
    outcomes.iter().filter(seen).cloned().collect()
}

/// Fills in where frames begin and what their headers are, which pieces do not tell.
fn placed<M>(mut got: Vec<Outcome<M>>, want: &[Outcome<M>]) -> Vec<Outcome<M>> {
    for (got, want) in got.iter_mut().zip(want) {
        if let (
            Outcome::Frame { at, header, .. } | Outcome::Begun { at, header, .. },
            Outcome::Frame { at: begins, header: bytes, .. }
            | Outcome::Begun { at: begins, header: bytes, .. },
        ) = (got, want)
        {
            *at = *begins;
            header.clone_from(bytes);
        }
    }
    got
}

/// A stream with its cuts, and the policy for errors.
#[derive(Clone, Copy)]
struct Cut<'a> {
    stream: &'a [u8],
    cuts: &'a [usize],
    policy: Policy,
}

impl<'a> Cut<'a> {
    fn chunks(self) -> impl Iterator<Item = &'a [u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain(std::iter::once(self.stream.len()));
        starts.zip(ends).map(move |(from, to)| self.stream.get(from..to).unwrap_or_default())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Searching,
    Stopped,
}

impl<W: Search + Copy> Wired<W> {
    fn run(&self, cut: Cut<'_>, path: Path) -> Check<Vec<Outcome<W::Meta>>> {
        let framing = Framing::new(self.wire).with_limit(self.limit);
        let room = usize::try_from(self.max_frame_len.min(ROOM)).unwrap_or_default();
        match path {
            Path::Slice => {
                let mut storage = vec![0xEE; room];
                let buf = built(FrameBuf::with_framing(&mut storage[..], framing))?;
                self.gather(buf, cut, true)
            }
            Path::Boxed => {
                let storage = vec![0xEE; room].into_boxed_slice();
                self.gather(built(FrameBuf::with_framing(storage, framing))?, cut, false)
            }
            Path::Vec | Path::LazyVec => {
                let buf = built(FrameBuf::with_framing(Vec::new(), framing))?;
                self.gather(buf, cut, path == Path::LazyVec)
            }
            _ => self.decode(Decoder::with_framing(framing), cut, path),
        }
    }

    /// What to do after an error.
    fn after(&self, error: &DecodeError, policy: Policy, searches: bool) -> Option<State> {
        if policy.skip && (self.skips)(error) {
            return None;
        }
        Some(if policy.resync && searches { State::Searching } else { State::Stopped })
    }

    fn decode(
        &self,
        mut decoder: Decoder<W>,
        cut: Cut<'_>,
        path: Path,
    ) -> Check<Vec<Outcome<W::Meta>>> {
        let mut record = Record { open: None, out: Vec::new() };
        let (mut fed, mut state) = (0, State::Reading);
        for chunk in cut.chunks() {
            fed += chunk.len() as u64;
            let mut input = chunk;
            loop {
                if state == State::Stopped {
                    break;
                }
                if let (State::Searching, Some(resync)) = (state, self.resync) {
                    let found = resync(&mut decoder, &mut input);
                    let Ok(found) = found else {
                        fail!(ResyncIsExact, &[], "a search was refused: {found:?}");
                    };
                    let Some(skipped) = found else {
                        let (left, error) = (input.len(), decoder.error());
                        ensure!(left == 0, ResyncIsExact, &[], "a search left {left} bytes");
                        ensure!(
                            matches!(error, Some(DecodeError::Unsynchronized { .. })),
                            ErrorsLatch,
                            &[],
                            "while a search goes on the error is {error:?}"
                        );
                        break;
                    };
                    state = State::Reading;
                    record.out.push(Outcome::Found { skipped });
                }
                let result = feed(&mut decoder, &mut input, path, &mut record)?;
                let position = decoder.position();
                let counted = position + input.len() as u64;
                ensure!(counted == fed, Progress, &[], "{counted} bytes counted of {fed}");
                let Err(error) = result else {
                    let left = input.len();
                    ensure!(left == 0, Progress, &[], "{left} bytes of a chunk were left");
                    break;
                };
                record.begun();
                record.out.push(Outcome::Error { error, position });
                self.latched(&decoder, input, error)?;
                match self.after(&error, cut.policy, self.resync.is_some()) {
                    Some(next) => state = next,
                    None => {
                        let skipped = decoder.skip_frame();
                        ensure!(
                            skipped.is_ok() && decoder.error().is_none(),
                            ErrorsLatch,
                            &[],
                            "after {error:?} to skip the frame gives {skipped:?}"
                        );
                    }
                }
            }
        }
        if state != State::Stopped {
            let finish = decoder.finish();
            let end = loop {
                match decoder.end() {
                    Ok(Some(piece)) => record.piece(piece)?,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            ensure!(
                finish == end,
                EveryEndIsClassified,
                &[],
                "`finish` gives {finish:?} and `end` {end:?}"
            );
            record.begun();
            let position = decoder.position();
            record.out.push(
                end.map_or_else(|error| Outcome::Error { error, position }, |()| Outcome::End),
            );
        }
        Ok(record.out)
    }

    /// Checks that a decoder that has failed returns the same error from every call and consumes
    /// nothing, and can be skipped and reset.
    fn latched(&self, decoder: &Decoder<W>, rest: &[u8], error: DecodeError) -> Check {
        let position = decoder.position();
        let mut again = decoder.clone();
        for input in [rest, b"", b"more"] {
            // Another limit does not change the error.
            again.set_limit(input.len() as u64);
            let mut left = input;
            let mut given = 0;
            let found = [
                again.decode(&mut left).map(drop),
                again.for_each(input, |_| given += 1),
                again.pieces(input).next().map_or(Ok(()), |item| item.map(drop)),
                again.end().map(drop),
                again.finish(),
                again.error().map_or(Ok(()), Err),
            ];
            ensure!(
                found == [Err(error); 6] && left.len() == input.len() && given == 0,
                ErrorsLatch,
                &[],
                "after {error:?} came {found:?}"
            );
            let found = (again.needed(), again.is_at_boundary(), again.position());
            ensure!(
                found == (0, false, position),
                ErrorsLatch,
                &[],
                "after {error:?} at {position} it needs, and is at, {found:?}"
            );
        }
        let skipped = again.skip_frame();
        let want = if (self.skips)(&error) { Ok(()) } else { Err(RecoverError::Failed(error)) };
        ensure!(skipped == want, ErrorsLatch, &[], "to skip after {error:?} gives {skipped:?}");
        again.reset();
        let found = (again.position(), again.error(), again.finish());
        ensure!(found == (0, None, Ok(())), ErrorsLatch, &[], "after a reset: {found:?}");
        Ok(())
    }

    fn gather<S: Storage>(
        &self,
        mut buf: FrameBuf<S, W>,
        cut: Cut<'_>,
        late: bool,
    ) -> Check<Vec<Outcome<W::Meta>>> {
        let fixed = (buf.capacity() > 0).then_some(buf.capacity());
        let (mut out, mut state, mut arrived) = (Vec::new(), State::Reading, 0);
        for chunk in cut.chunks() {
            let mut rest = chunk;
            while !rest.is_empty() && state != State::Stopped {
                if !late || buf.spare().is_empty() {
                    state = self.take_frames(&mut buf, cut.policy, state, &mut out)?;
                }
                let n = buf.extend(rest);
                if n == 0 {
                    ensure!(
                        state == State::Stopped,
                        Progress,
                        &[],
                        "no room, though all frames are taken"
                    );
                    break;
                }
                arrived += n;
                rest = rest.get(n..).unwrap_or_default();
                let counted = buf.position() + buf.unread().len() as u64;
                ensure!(counted == arrived as u64, Progress, &[], "{counted} bytes of {arrived}");
                let most = fixed.unwrap_or(FIRST.max(3 * arrived));
                let capacity = buf.capacity();
                ensure!(
                    capacity <= most,
                    MemoryFollowsArrivals,
                    &[],
                    "{capacity} bytes are reserved when {arrived} have arrived"
                );
                if !late {
                    state = self.take_frames(&mut buf, cut.policy, state, &mut out)?;
                }
            }
        }
        state = self.take_frames(&mut buf, cut.policy, state, &mut out)?;
        if state == State::Stopped {
            return Ok(out);
        }
        let finish = buf.finish();
        let end = loop {
            match buf.find_end() {
                Ok(Some(found)) => push_frame(&buf, &found, &mut out)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        ensure!(
            finish == end,
            EveryEndIsClassified,
            &[],
            "`finish` gives {finish:?} and `find_end` {end:?}"
        );
        let position = arrived as u64;
        out.push(end.map_or_else(|error| Outcome::Error { error, position }, |()| Outcome::End));
        Ok(out)
    }

    /// Takes frames until the buffer needs more bytes or the stream is given up.
    fn take_frames<S: Storage>(
        &self,
        buf: &mut FrameBuf<S, W>,
        policy: Policy,
        mut state: State,
        out: &mut Vec<Outcome<W::Meta>>,
    ) -> Check<State> {
        loop {
            match state {
                State::Stopped => return Ok(state),
                State::Searching => match buf.resync() {
                    Ok(Some(skipped)) => out.push(Outcome::Found { skipped }),
                    Ok(None) => {
                        let error = buf.error();
                        ensure!(
                            matches!(error, Some(DecodeError::Unsynchronized { .. })),
                            ErrorsLatch,
                            &[],
                            "while a search goes on the error is {error:?}"
                        );
                        return Ok(state);
                    }
                    refused => fail!(ResyncIsExact, &[], "a search was refused: {refused:?}"),
                },
                State::Reading => {}
            }
            state = State::Reading;
            let error = match buf.find() {
                Ok(Some(found)) => {
                    push_frame(buf, &found, out)?;
                    continue;
                }
                Ok(None) => return Ok(state),
                Err(error) => error,
            };
            ensure!(
                !matches!(error, DecodeError::NoRoom { .. }),
                Progress,
                &[],
                "a storage of the max length of a frame is too short: {error}"
            );
            let position = buf.position();
            for limit in [0, self.limit] {
                // Another limit does not change the error.
                buf.set_limit(limit);
                let found = [
                    buf.find().map(drop),
                    buf.next_frame().map(drop),
                    buf.finish(),
                    buf.error().map_or(Ok(()), Err),
                ];
                ensure!(
                    found == [Err(error); 4] && buf.position() == position,
                    ErrorsLatch,
                    &[],
                    "after {error:?} came {found:?}"
                );
            }
            out.push(Outcome::Error { error, position });
            if let Some(next) = self.after(&error, policy, true) {
                state = next;
                continue;
            }
            let skipped = buf.skip_frame();
            ensure!(
                skipped.is_ok() && buf.error().is_none(),
                ErrorsLatch,
                &[],
                "after {error:?} to skip the frame gives {skipped:?}"
            );
        }
    }
}

fn built<B, E: std::fmt::Display>(result: Result<B, E>) -> Check<B> {
    result.map_err(|error| {
        let found = format!("a storage of the right size was refused: {error}");
        Violation::new(Promise::LimitSymmetry, &[], found)
    })
}

fn push_frame<S: Storage, W: Wire>(
    buf: &FrameBuf<S, W>,
    found: &Found<W::Meta>,
    out: &mut Vec<Outcome<W::Meta>>,
) -> Check {
    let Some(frame) = buf.frame(found) else {
        fail!(ChunkingIsInvisible, &[], "a frame that was found cannot be borrowed: {found:?}");
    };
    let (header, payload) = (frame.header_bytes().to_vec(), frame.payload.to_vec());
    out.push(Outcome::Frame { at: found.at(), meta: frame.meta, header, payload });
    Ok(())
}

/// Joins pieces to frames.
struct Record<M> {
    open: Option<(M, Vec<u8>)>,
    out: Vec<Outcome<M>>,
}

impl<M> Record<M> {
    fn piece<L>(&mut self, piece: Piece<'_, M, L>) -> Check {
        if let Some(header) = piece.header {
            ensure!(
                self.open.is_none(),
                ChunkingIsInvisible,
                &[],
                "a frame began inside another one"
            );
            self.open = Some((header.meta, Vec::new()));
        }
        let Some((meta, mut payload)) = self.open.take() else {
            fail!(ChunkingIsInvisible, &[], "a frame's first piece without a header");
        };
        payload.extend_from_slice(piece.bytes);
        if piece.last {
            self.out.push(Outcome::Frame { at: 0, meta, header: Vec::new(), payload });
        } else {
            self.open = Some((meta, payload));
        }
        Ok(())
    }

    /// Ends a frame that has begun and fails or is truncated.
    fn begun(&mut self) {
        if let Some((meta, payload)) = self.open.take() {
            self.out.push(Outcome::Begun { at: 0, meta, header: Vec::new(), payload });
        }
    }
}

/// Feeds one chunk, or the rest of it, until it is consumed or the stream has failed.
fn feed<W: Wire>(
    decoder: &mut Decoder<W>,
    input: &mut &[u8],
    path: Path,
    record: &mut Record<W::Meta>,
) -> Check<Result<(), DecodeError>> {
    let before = decoder.position();
    match path {
        Path::Pieces => {
            let mut pieces = decoder.pieces(input);
            let mut result = Ok(());
            for item in pieces.by_ref() {
                match item {
                    Ok(piece) => record.piece(piece)?,
                    Err(error) => result = Err(error),
                }
            }
            ensure!(pieces.next().is_none(), Progress, &[], "the iterator is not fused");
            *input = pieces.rest();
            Ok(result)
        }
        Path::ForEach => {
            let mut fault = Ok(());
            let result = decoder.for_each(input, |piece| {
                let one = record.piece(piece);
                if fault.is_ok() {
                    fault = one;
                }
            });
            fault?;
            let consumed = usize::try_from(decoder.position() - before).unwrap_or(usize::MAX);
            *input = input.get(consumed..).unwrap_or_default();
            Ok(result)
        }
        _ => loop {
            let (before, len) = (decoder.position(), input.len());
            let result = decoder.decode(input);
            let (position, used) = (decoder.position(), (len - input.len()) as u64);
            ensure!(
                position == before + used,
                Progress,
                &[],
                "{used} bytes were used at {before} and the position is {position}"
            );
            match result {
                Ok(Some(piece)) => {
                    ensure!(
                        used > 0 || !piece.bytes.is_empty(),
                        Progress,
                        &[],
                        "a piece that consumed no byte and brings none"
                    );
                    record.piece(piece)?;
                }
                Ok(None) => {
                    let left = input.len();
                    ensure!(left == 0, Progress, &[], "no piece, with {left} bytes of input");
                    return Ok(Ok(()));
                }
                Err(error) => return Ok(Err(error)),
            }
        },
    }
}

/// Checks that a payload is written exactly if it is within the limit, and that both ways to write it
/// agree. Returns the frame, or `None` if it cannot be written under any limit.
pub(super) fn write<W: Wire + Copy>(
    wire: W,
    meta: &W::Meta,
    payload: &[u8],
) -> Check<Option<Vec<u8>>>
where
    W::Meta: Debug,
{
    let len = payload.len() as u64;
    let mut frame = Vec::new();
    let written = Framing::new(wire).with_limit(len).encode(meta, payload, &mut frame);
    let mut out = vec![0xEE; frame.len() + 3];
    let into = Framing::new(wire).with_limit(len).encode_into(meta, payload, &mut out);
    ensure!(
        into == written.map(|()| frame.len())
            && (written.is_err() || out.get(..frame.len()) == Some(&frame[..])),
        ChunkingIsInvisible,
        payload,
        "`encode` gives {written:?}, and `encode_into` {into:?} with other bytes"
    );
    if let Some(limit) = len.checked_sub(1) {
        let refused = Framing::new(wire).with_limit(limit).encode(meta, payload, &mut Vec::new());
        ensure!(
            refused.is_err(),
            LimitSymmetry,
            payload,
            "a payload of {len} bytes was written under a limit of {limit}"
        );
    }
    Ok(written.is_ok().then_some(frame))
}
