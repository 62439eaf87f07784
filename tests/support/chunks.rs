//! Feeds a stream to the crate, cut anywhere, through any of its paths, and reports what came out
//! in the oracle's terms. On the way it asserts all that must hold at every single step, so that
//! no test has to.

use std::fmt::Debug;

use unstick::{
    DatagramError, DecodeError, Decoder, FieldMeta, Format, FrameBuf, Framing, HeaderBuf, I32Be,
    I32Le, Kind, LengthField, Piece, RecoverError, Storage, U8, U16Be, U16Le, U24Be, U24Le, U32Be,
    U32Le, U64Be, U64Le, V1, Varint,
};

use super::oracle::{self, Outcome, Policy, Rules};

/// The bytes of the array path's storage.
const ARRAY: usize = 64;
/// The most bytes that the slice's and the box's storage gets.
const SLICE: u64 = 4096;
/// What a growing buffer may hold before anything arrived.
const FIRST: usize = 8 * 1024;

/// A format that tests and fuzz targets can run: the crate's and the oracle's view of it.
pub trait Subject: Rules + Format + Clone + Debug {
    /// A meta as the oracle writes it.
    fn describe(meta: &Self::Meta) -> Vec<u8>;

    /// One of the metas that there are.
    fn pick_meta(&self, seed: u64) -> Self::Meta;

    fn resync(_: &mut Decoder<Self>, _: &mut &[u8]) -> Result<Option<u64>, RecoverError> {
        unreachable!("only where Rules::self_checking says so")
    }

    fn resync_buf<S: Storage>(_: &mut FrameBuf<S, Self>) -> Result<Option<u64>, RecoverError> {
        unreachable!("only where Rules::self_checking says so")
    }
}

impl Subject for V1 {
    fn describe(kind: &Kind) -> Vec<u8> {
        vec![kind.get()]
    }

    fn pick_meta(&self, seed: u64) -> Kind {
        Kind::new((seed % 255) as u8 + 1).unwrap()
    }

    fn resync(decoder: &mut Decoder, input: &mut &[u8]) -> Result<Option<u64>, RecoverError> {
        decoder.resync(input)
    }

    fn resync_buf<S: Storage>(buf: &mut FrameBuf<S>) -> Result<Option<u64>, RecoverError> {
        buf.resync()
    }
}

macro_rules! plain {
    ($($name:ident)+) => {$(
        impl Subject for $name {
            fn describe((): &()) -> Vec<u8> {
                Vec::new()
            }

            fn pick_meta(&self, _: u64) {}
        }
    )+};
}

plain!(U8 U16Be U16Le U24Be U24Le U32Be U32Le U64Be U64Le I32Be I32Le Varint);

impl Subject for LengthField {
    fn describe(meta: &FieldMeta) -> Vec<u8> {
        meta.bytes().to_vec()
    }

    fn pick_meta(&self, seed: u64) -> FieldMeta {
        let byte = |i: usize| (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (i % 8 * 8)) as u8;
        let header: Vec<u8> = (0..self.layout().header_len).map(byte).collect();
        self.meta(&header).unwrap()
    }
}

/// The ways from bytes to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Decode,
    Pieces,
    ForEach,
    /// Frames are taken as soon as they are there.
    Array,
    /// The storage, as small as the limit allows, is filled before frames are taken.
    Slice,
    /// Frames are taken as soon as they are there.
    Boxed,
    Vec,
    /// As much as the storage takes, before frames are taken.
    LazyVec,
    /// `split_frame` over all bytes so far. It has no state, so no policy but to stop.
    Split,
}

impl Path {
    pub const ALL: [Self; 9] = [
        Self::Decode,
        Self::Pieces,
        Self::ForEach,
        Self::Array,
        Self::Slice,
        Self::Boxed,
        Self::Vec,
        Self::LazyVec,
        Self::Split,
    ];

    pub fn allows(self, policy: Policy) -> bool {
        self != Self::Split || policy == Policy::STOP
    }

    /// The limit in force on this path.
    pub fn limit<F: Format>(self, framing: &Framing<F>) -> u64 {
        let room = match self {
            Self::Array => ARRAY as u64,
            Self::Slice | Self::Boxed => SLICE,
            _ => u64::MAX,
        };
        framing.limit().min(room - framing.format().max_header_len() as u64)
    }

    /// What the path can tell of these outcomes.
    pub fn visible(self, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        let streaming = matches!(self, Self::Decode | Self::Pieces | Self::ForEach);
        let tell = |outcome| match outcome {
            Outcome::Begun { .. } if !streaming => None,
            Outcome::Error { error: DecodeError::Truncated { .. }, .. } if self == Self::Split => {
                None
            }
            Outcome::Error { error, .. } if self == Self::Split => {
                Some(Outcome::Error { error, position: 0 })
            }
            other => Some(other),
        };
        outcomes.into_iter().filter_map(tell).collect()
    }
}

/// What must come out, by the oracle.
pub fn expect<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let limit = path.limit(framing);
    let (effective, outcomes) = oracle::outcomes(framing.format(), limit, stream, policy);
    assert_eq!(effective, limit);
    path.visible(outcomes)
}

/// What does come out, with the stream cut at these offsets, which must be in order.
pub fn run<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    cuts: &[usize],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let limit = path.limit(framing);
    let room = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_add(framing.format().max_header_len());
    // A default limit gives way to the storage; one that was set has to fit.
    let framing_for_storage = || {
        let plain = Framing::new(framing.format().clone());
        if framing.limit() > limit { plain } else { plain.with_limit(limit) }
    };
    match path {
        Path::Decode | Path::Pieces | Path::ForEach => decode(framing, stream, cuts, path, policy),
        Path::Array => {
            let buf = FrameBuf::with_framing([0xEE; ARRAY], framing_for_storage()).unwrap();
            gather(buf, limit, stream, cuts, policy, Take::Soon)
        }
        Path::Slice => {
            let mut storage = vec![0xEE; room];
            let buf = FrameBuf::with_framing(&mut storage[..], framing_for_storage()).unwrap();
            gather(buf, limit, stream, cuts, policy, Take::Late)
        }
        Path::Boxed => {
            let storage = vec![0xEE; room].into_boxed_slice();
            let buf = FrameBuf::with_framing(storage, framing_for_storage()).unwrap();
            gather(buf, limit, stream, cuts, policy, Take::Soon)
        }
        Path::Vec | Path::LazyVec => {
            let buf = FrameBuf::with_framing(Vec::new(), framing.clone()).unwrap();
            let take = if path == Path::Vec { Take::Soon } else { Take::Late };
            gather(buf, limit, stream, cuts, policy, take)
        }
        Path::Split => split(framing, stream, cuts),
    }
}

/// Asserts that what comes out is what must.
pub fn compare<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    cuts: &[usize],
    path: Path,
    policy: Policy,
) {
    let want = expect(framing, stream, path, policy);
    let got = run(framing, stream, cuts, path, policy);
    assert_eq!(
        got,
        want,
        "\n{:?}, limit {}, {path:?}, {policy:?}, cuts {cuts:?}, stream {stream:02x?}",
        framing.format(),
        framing.limit()
    );
}

/// The same on every path, with every policy.
pub fn compare_all<F: Subject>(framing: &Framing<F>, stream: &[u8], cuts: &[usize]) {
    for policy in Policy::ALL {
        for path in Path::ALL.into_iter().filter(|path| path.allows(policy)) {
            compare(framing, stream, cuts, path, policy);
        }
    }
}

/// A cut before every byte.
pub fn single_bytes(stream: &[u8]) -> Vec<usize> {
    (1..stream.len()).collect()
}

/// The stream's runs between the cuts; two cuts at one place give an empty run.
fn chunks<'a>(stream: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(stream.len()));
    starts.zip(ends).map(|(from, to)| &stream[from..to])
}

fn unsynchronized(error: Option<DecodeError>) -> bool {
    matches!(error, Some(DecodeError::Unsynchronized { .. }))
}

struct Unfinished {
    at: u64,
    meta: Vec<u8>,
    header: Vec<u8>,
    payload: Vec<u8>,
    payload_len: u64,
}

/// Puts pieces together to frames.
struct Record<'a> {
    stream: &'a [u8],
    open: Option<Unfinished>,
    out: Vec<Outcome>,
}

impl<'a> Record<'a> {
    /// Returns the stream offset behind the piece.
    fn piece<F: Subject>(&mut self, piece: &Piece<'a, F::Meta>) -> u64 {
        // Borrowed from the input, which is the stream itself: the address tells the place.
        let from = piece.bytes.as_ptr() as usize - self.stream.as_ptr() as usize;
        let behind = from + piece.bytes.len();
        assert!(behind <= self.stream.len(), "a piece is a part of the input");
        if let Some(header) = &piece.header {
            assert!(self.open.is_none(), "a frame begins behind the last piece of another");
            let at = from - header.header_len;
            self.open = Some(Unfinished {
                at: at as u64,
                meta: F::describe(&header.meta),
                header: self.stream[at..from].to_vec(),
                payload: Vec::new(),
                payload_len: header.payload_len,
            });
        } else {
            assert!(!piece.bytes.is_empty(), "a piece brings something");
        }
        let mut frame = self.open.take().expect("a frame's first piece has the header");
        frame.payload.extend(piece.bytes);
        let whole = frame.payload.len() as u64 == frame.payload_len;
        assert_eq!(piece.last, whole, "the last byte ends the frame, and nothing else");
        if whole {
            let Unfinished { at, meta, header, payload, .. } = frame;
            self.out.push(Outcome::Frame { at, meta, header, payload });
        } else {
            self.open = Some(frame);
        }
        behind as u64
    }

    fn end(mut self, result: Result<(), DecodeError>, position: u64) -> Vec<Outcome> {
        if let Some(Unfinished { at, meta, header, payload, .. }) = self.open {
            self.out.push(Outcome::Begun { at, meta, header, payload });
        }
        self.out.push(match result {
            Ok(()) => Outcome::End,
            Err(error) => Outcome::Error { error, position },
        });
        self.out
    }
}

fn decode<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    cuts: &[usize],
    path: Path,
    policy: Policy,
) -> Vec<Outcome> {
    let mut decoder = Decoder::with_framing(framing.clone());
    let mut record = Record { stream, open: None, out: Vec::new() };
    let mut fed = 0;
    let mut searching = false;
    let mut stopped = None;
    for chunk in chunks(stream, cuts) {
        fed += chunk.len() as u64;
        let mut input = chunk;
        loop {
            if let Some(error) = stopped {
                assert_eq!(decoder.decode(&mut input), Err(error), "an error latches");
                break;
            }
            if searching {
                let found = F::resync(&mut decoder, &mut input).unwrap();
                let Some(skipped) = found else {
                    assert!(input.is_empty(), "a search asks for more only when all is searched");
                    assert!(unsynchronized(decoder.error()));
                    assert_latched(&decoder, b"more");
                    break;
                };
                searching = false;
                assert!(decoder.position() <= fed && decoder.error().is_none());
                record.out.push(Outcome::Found { skipped });
            }
            let result = feed(&mut decoder, &mut input, path, &mut record);
            assert_eq!(decoder.position() + input.len() as u64, fed, "every byte counts");
            let Err(error) = result else {
                assert!(input.is_empty(), "all input was taken");
                break;
            };
            let position = decoder.position();
            record.out.push(Outcome::Error { error, position });
            assert_eq!(decoder.error(), Some(error));
            assert_latched(&decoder, input);
            if policy.skip && matches!(error, DecodeError::Oversize { .. }) {
                decoder.skip_frame().unwrap();
                assert_eq!((decoder.position(), decoder.error()), (position, None));
            } else if policy.resync && framing.format().self_checking() {
                searching = true;
            } else {
                stopped = Some(error);
            }
        }
    }
    if let Some(error) = stopped {
        assert_eq!(decoder.finish(), Err(error), "an error latches at the end, too");
        return record.out;
    }
    record.end(decoder.finish(), decoder.position())
}

/// One chunk, or what is left of it, until it is empty or the stream failed.
fn feed<'a, F: Subject>(
    decoder: &mut Decoder<F>,
    input: &mut &'a [u8],
    path: Path,
    record: &mut Record<'a>,
) -> Result<(), DecodeError> {
    let before = decoder.position();
    match path {
        Path::Pieces => {
            let mut pieces = decoder.pieces(input);
            let mut result = Ok(());
            while let Some(item) = pieces.next() {
                let consumed = (input.len() - pieces.rest().len()) as u64;
                match item {
                    Ok(piece) => assert_eq!(record.piece::<F>(&piece), before + consumed),
                    Err(error) => result = Err(error),
                }
            }
            assert!(pieces.next().is_none(), "the iterator is fused");
            *input = pieces.rest();
            result
        }
        Path::ForEach => {
            let mut behind = before;
            let result = decoder.for_each(input, |piece| {
                let now = record.piece::<F>(&piece);
                assert!(now > behind, "every piece consumes at least one byte");
                behind = now;
            });
            *input = &input[usize::try_from(decoder.position() - before).unwrap()..];
            result
        }
        _ => loop {
            let (before, len) = (decoder.position(), input.len());
            let result = decoder.decode(input);
            let position = decoder.position();
            let consumed = position - before;
            assert_eq!(consumed, (len - input.len()) as u64);
            let Some(piece) = result? else {
                assert!(input.is_empty(), "no piece means no input");
                return Ok(());
            };
            assert!(consumed >= 1, "every piece consumes at least one byte");
            assert_eq!(record.piece::<F>(&piece), position);
        },
    }
}

/// A decoder that failed, or searches, says the same to every question and takes no byte.
fn assert_latched<F: Subject>(decoder: &Decoder<F>, rest: &[u8]) {
    let error = decoder.error().expect("a failed decoder has an error");
    let mut again = decoder.clone();
    for input in [rest, b"", b"\xf5\x01\x01\0\0\0\0\xac", rest] {
        let mut left = input;
        assert_eq!(again.decode(&mut left), Err(error));
        assert_eq!(left.len(), input.len(), "nothing behind an error is consumed");
        assert_eq!(again.for_each(input, |_| panic!("a piece behind an error")), Err(error));
        let mut pieces = again.pieces(input);
        assert_eq!(pieces.next(), Some(Err(error)));
        assert_eq!((pieces.next(), pieces.rest().len()), (None, input.len()));
        assert_eq!(again.finish(), Err(error));
        assert_eq!((again.error(), again.position()), (Some(error), decoder.position()));
    }
    match error {
        DecodeError::Oversize { .. } => again.skip_frame().unwrap(),
        _ => {
            assert_eq!(again.skip_frame(), Err(RecoverError::Failed(error)));
            assert_eq!(again.error(), Some(error));
        }
    }
    again.reset();
    assert_eq!((again.position(), again.error(), again.finish()), (0, None, Ok(())));
}

/// When a read buffer's frames are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Soon,
    /// Once the room or the stream has come to its end.
    Late,
}

fn gather<F: Subject, S: Storage>(
    mut buf: FrameBuf<S, F>,
    limit: u64,
    stream: &[u8],
    cuts: &[usize],
    policy: Policy,
    take: Take,
) -> Vec<Outcome> {
    assert_eq!(buf.framing().limit(), limit);
    let fixed = if buf.capacity() == 0 { None } else { Some(buf.capacity()) };
    let mut out = Vec::new();
    let mut state = State::Reading;
    let mut arrived = 0;
    for chunk in chunks(stream, cuts) {
        let mut rest = chunk;
        loop {
            if take == Take::Soon {
                state = take_frames(&mut buf, policy, state, &mut out);
            }
            if rest.is_empty() {
                break;
            }
            let room = buf.spare().len();
            if room == 0 {
                state = take_frames(&mut buf, policy, state, &mut out);
                if state == State::Stopped && buf.spare().is_empty() {
                    break;
                }
                assert!(!buf.spare().is_empty(), "there is room when all frames are taken");
                continue;
            }
            let n = if arrived % 2 == 0 {
                buf.extend(rest)
            } else {
                let n = room.min(rest.len());
                buf.spare()[..n].copy_from_slice(&rest[..n]);
                buf.commit(n);
                n
            };
            assert_eq!(n, room.min(rest.len()));
            arrived += n;
            rest = &rest[n..];
            assert!(buf.unread() == &stream[arrived - buf.unread().len()..arrived]);
            assert_eq!(buf.position() + buf.unread().len() as u64, arrived as u64);
            match fixed {
                Some(len) => assert_eq!(buf.capacity(), len),
                None => {
                    assert!(buf.capacity() <= FIRST.max(2 * arrived), "memory follows arrivals")
                }
            }
        }
    }
    let (early, before, taken) = (buf.finish(), state, out.len());
    state = take_frames(&mut buf, policy, state, &mut out);
    let result = buf.finish();
    if before == State::Reading {
        let new_error = out[taken..].iter().find_map(|outcome| match outcome {
            Outcome::Error { error, .. } => Some(*error),
            _ => None,
        });
        assert_eq!(early, new_error.map_or(result, Err), "frames not yet taken change no end");
    }
    if state != State::Stopped {
        out.push(match result {
            Ok(()) => Outcome::End,
            // The end counts all bytes, also those that the buffer still holds.
            Err(error) => Outcome::Error { error, position: arrived as u64 },
        });
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Searching,
    Stopped,
}

/// Takes frames until the buffer needs more bytes or the stream is given up.
fn take_frames<F: Subject, S: Storage>(
    buf: &mut FrameBuf<S, F>,
    policy: Policy,
    mut state: State,
    out: &mut Vec<Outcome>,
) -> State {
    loop {
        if state == State::Searching {
            match F::resync_buf(buf).unwrap() {
                Some(skipped) => out.push(Outcome::Found { skipped }),
                None => {
                    assert!(unsynchronized(buf.error()));
                    assert_buf_latched(buf);
                    return state;
                }
            }
            state = State::Reading;
        }
        let found = buf.next_frame().map(|frame| {
            frame.map(|frame| {
                assert_eq!([frame.header_bytes(), frame.payload].concat(), frame.bytes());
                let header = frame.header_bytes().to_vec();
                (F::describe(&frame.meta), header, frame.payload.to_vec())
            })
        });
        match found {
            Ok(None) => {
                assert!(buf.error().is_none());
                return state;
            }
            Ok(Some((meta, header, payload))) => {
                let at = buf.position() - (header.len() + payload.len()) as u64;
                out.push(Outcome::Frame { at, meta, header, payload });
            }
            Err(error) => {
                assert_eq!(buf.error(), Some(error));
                assert_buf_latched(buf);
                if state == State::Stopped {
                    return state;
                }
                let position = buf.position();
                out.push(Outcome::Error { error, position });
                if policy.skip && matches!(error, DecodeError::Oversize { .. }) {
                    buf.skip_frame().unwrap();
                    assert_eq!((buf.position(), buf.error()), (position, None));
                } else if policy.resync && buf.framing().format().self_checking() {
                    state = State::Searching;
                } else {
                    return State::Stopped;
                }
            }
        }
    }
}

fn assert_buf_latched<F: Subject, S: Storage>(buf: &mut FrameBuf<S, F>) {
    let error = buf.error().expect("a failed buffer has an error");
    let (position, unread) = (buf.position(), buf.unread().to_vec());
    for _ in 0..2 {
        assert_eq!(buf.next_frame(), Err(error));
        assert_eq!(buf.finish(), Err(error));
        assert_eq!(buf.error(), Some(error));
        if !matches!(error, DecodeError::Oversize { .. }) {
            assert!(buf.skip_frame().is_err());
        }
        assert_eq!((buf.position(), buf.unread()), (position, &unread[..]));
    }
}

fn split<F: Subject>(framing: &Framing<F>, stream: &[u8], cuts: &[usize]) -> Vec<Outcome> {
    let mut out = Vec::new();
    let (mut start, mut end) = (0, 0);
    for chunk in chunks(stream, cuts) {
        end += chunk.len();
        let mut rest = &stream[start..end];
        loop {
            let before = rest;
            match framing.split_frame(&mut rest) {
                Ok(Some(frame)) => {
                    assert_eq!([frame.bytes(), rest].concat(), before);
                    let (header, payload) = (frame.header_bytes().to_vec(), frame.payload.to_vec());
                    let meta = F::describe(&frame.meta);
                    out.push(Outcome::Frame { at: start as u64, meta, header, payload });
                    start = end - rest.len();
                }
                Ok(None) => {
                    assert_eq!(rest, before);
                    break;
                }
                Err(error) => {
                    assert_eq!(rest, before);
                    let error = moved(error, start as u64);
                    out.push(Outcome::Error { error, position: 0 });
                    return out;
                }
            }
        }
    }
    if start == end {
        out.push(Outcome::End);
    }
    out
}

/// The same error, counted from an earlier byte.
fn moved(error: DecodeError, by: u64) -> DecodeError {
    match error {
        DecodeError::Header { at, error } => DecodeError::Header { at: at + by, error },
        DecodeError::Oversize { at, len, limit } => {
            DecodeError::Oversize { at: at + by, len, limit }
        }
        other => panic!("split_frame does not report {other:?}"),
    }
}

/// What the crate makes of a datagram, to compare with the oracle's word.
pub fn take_datagram(
    framing: &Framing,
    bytes: &[u8],
    known: &[u8],
) -> Result<oracle::Frames, DatagramError> {
    let datagram = framing.datagram_with(bytes, |kind: &Kind| known.contains(&kind.get()))?;
    let lent = |frame: unstick::Frame<'_>| {
        // Borrowed from the datagram.
        assert!(bytes.as_ptr_range().contains(&frame.bytes().as_ptr()));
        (frame.meta.get(), frame.payload.to_vec())
    };
    Ok(datagram.map(lent).collect())
}
