//! The streaming decoder: bytes in, borrowed pieces out (spec, chapter 7).
//!
//! It keeps the bytes of one header and three numbers; payload is never copied or kept.

use core::fmt;

use crate::error::{DecodeError, HeaderError, Part, RecoverError};
use crate::format::{Format, Header, HeaderBuf, MAX_PAYLOAD_LEN, Parsed, SelfChecking, V1, copy};
use crate::frame::Escaped;
use crate::framing::Framing;

/// One event: a run of payload bytes, borrowed from the input, with the header where a frame
/// starts in it.
///
/// A frame is one piece or several: the first has the header, the last has `last` set. A frame
/// without payload is one piece without bytes. A piece that only brings a header has no bytes
/// either.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece<'a, M> {
    /// The frame's header, in its first piece.
    pub header: Option<Header<M>>,
    /// The next bytes of the frame's payload.
    pub bytes: &'a [u8],
    /// Whether the frame ends with this piece.
    pub last: bool,
}

impl<M: fmt::Debug> fmt::Debug for Piece<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("header", &self.header)
            .field("bytes", &Escaped(self.bytes))
            .field("last", &self.last)
            .finish()
    }
}

/// Turns a byte stream back into frames, whatever its cuts.
///
/// `Decoder` alone means the version-1 format; [`with_framing`](Self::with_framing) takes any.
///
/// ```
/// use unstick::{Decoder, Kind};
///
/// let mut decoder = Decoder::new();
/// // The transport cut a frame in the middle of its header, and glued another one to its end.
/// let chunks: [&[u8]; 2] = [b"\xf5\x01\x01\0\0", b"\0\x02\xf2hi\xf5\x01\x02\0\0\0\0\x74"];
///
/// let mut frames = Vec::new();
/// for chunk in chunks {
///     for piece in decoder.pieces(chunk) {
///         let piece = piece?;
///         if let Some(header) = piece.header {
///             frames.push((header.meta, Vec::new()));
///         }
///         frames.last_mut().unwrap().1.extend(piece.bytes);
///     }
/// }
/// decoder.finish()?; // the stream ended between two frames
/// assert_eq!(frames, [(Kind::TEXT, b"hi".to_vec()), (Kind::BINARY, vec![])]);
/// # Ok::<(), unstick::DecodeError>(())
/// ```
///
/// # Errors latch
/// After an error every call returns it again, [`finish`](Self::finish) too, and no byte behind it
/// is delivered, until [`reset`](Self::reset), [`skip_frame`](Self::skip_frame) or
/// [`resync`](Self::resync). The error is that of the shortest prefix of the stream that had to be
/// refused, so it does not depend on the cuts.
///
/// # Memory
/// One header and 24 bytes, whatever a peer announces. Nothing here panics or allocates.
#[derive(Clone)]
pub struct Decoder<F: Format = V1> {
    format: F,
    state: State<F::HeaderBuf>,
}

const _: () = assert!(size_of::<Decoder<V1>>() <= 32);

#[derive(Clone, Copy)]
struct State<H> {
    /// The most payload bytes that a frame may have; at most `MAX_PAYLOAD_LEN`.
    limit: u64,
    /// The bytes consumed since the stream's start.
    pos: u64,
    phase: Phase,
    /// The beginning of the header being collected, or of the refused one.
    header: H,
}

/// Where in a frame the decoder stands, packed into eight bytes: two bits of tag above 62 bits of
/// value.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Phase(u64);

enum View {
    /// `remaining` payload bytes are to be delivered; none is a frame boundary.
    Payload { remaining: u64 },
    /// `remaining` payload bytes are to be dropped; at least one.
    Skip { remaining: u64 },
    /// `held` bytes of a header are there, and at least `need` have to be.
    Collect { held: usize, need: usize },
    /// The `held` bytes of header were refused.
    Failed { held: usize },
    /// A search goes on; `held` bytes may be a header's beginning, `skipped` are none.
    Search { held: usize, skipped: u64 },
}

impl Phase {
    const TAG: u32 = 62;
    const BOUNDARY: Self = Self(0);
    const SKIP: u64 = 1 << Self::TAG;
    const COLLECT: u64 = 2 << Self::TAG;
    /// Both kinds of failure share a tag.
    const SEARCH: u64 = 3 << Self::TAG;
    const FAILED: u64 = Self::SEARCH | 1 << 61;

    const fn payload(remaining: u64) -> Self {
        Self(remaining) // within the limit, so its tag is zero
    }

    const fn skip(remaining: u64) -> Self {
        if remaining == 0 { Self::BOUNDARY } else { Self(Self::SKIP | remaining & MAX_PAYLOAD_LEN) }
    }

    const fn collect(held: usize, need: usize) -> Self {
        Self(Self::COLLECT | (need as u64 & 0xFFFF) << 16 | held as u64 & 0xFFFF)
    }

    const fn failed(held: usize) -> Self {
        Self(Self::FAILED | held as u64 & 0xFFFF)
    }

    /// `held` is at most 254: a self-checking header has at most 255 bytes. The count saturates
    /// at 2^53 - 1 bytes.
    const fn search(held: usize, skipped: u64) -> Self {
        let most = (1 << 53) - 1;
        let skipped = if skipped < most { skipped } else { most };
        Self(Self::SEARCH | skipped << 8 | held as u64 & 0xFF)
    }

    /// Whether a payload is being delivered, or the next byte begins a frame.
    #[inline(always)]
    const fn is_payload(self) -> bool {
        self.0 <= MAX_PAYLOAD_LEN
    }

    /// Whether there is an error to tell.
    #[inline(always)]
    const fn has_failed(self) -> bool {
        self.0 >= Self::SEARCH
    }

    #[inline]
    const fn view(self) -> View {
        let value = self.0 & MAX_PAYLOAD_LEN;
        let held = (value & 0xFFFF) as usize;
        match self.0 {
            0..Self::SKIP => View::Payload { remaining: value },
            Self::SKIP..Self::COLLECT => View::Skip { remaining: value },
            Self::COLLECT..Self::SEARCH => {
                View::Collect { held, need: (value >> 16 & 0xFFFF) as usize }
            }
            Self::SEARCH..Self::FAILED => {
                View::Search { held: (value & 0xFF) as usize, skipped: value >> 8 }
            }
            Self::FAILED.. => View::Failed { held },
        }
    }
}

/// Why header bytes are refused; the decoder knows where they stand.
#[derive(Clone, Copy)]
enum Refusal {
    Header(HeaderError),
    Oversize { len: u64 },
}

/// What the outlined part of `decode` came to.
enum Step {
    /// The input is empty.
    Empty,
    /// The next byte begins a frame.
    Boundary,
    /// A header is complete in the decoder's own bytes.
    Header,
    /// The stream has failed.
    Failed,
}

impl Decoder {
    /// A decoder of version-1 frames, with the default limit of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_framing(V1)
    }
}

impl<F: Format + Default> Default for Decoder<F> {
    fn default() -> Self {
        Self::with_framing(F::default())
    }
}

impl<F: Format> Decoder<F> {
    /// A decoder of this format and limit.
    #[must_use]
    pub fn with_framing(framing: impl Into<Framing<F>>) -> Self {
        let framing = framing.into();
        let limit = framing.limit();
        let state = State { limit, pos: 0, phase: Phase::BOUNDARY, header: F::HeaderBuf::ZERO };
        Self { format: framing.into_format(), state }
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> &F {
        &self.format
    }

    /// The effective limit, in payload bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.state.limit
    }

    /// The bytes consumed since the stream's start.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.state.pos
    }

    /// The error that the stream has failed with, if it has.
    #[inline(always)]
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        self.state.phase.has_failed().then(|| self.latched())
    }

    /// Decodes a chunk of any size: an iterator over its pieces.
    ///
    /// After an error the iterator ends; [`Pieces::rest`] is what stands behind the refused bytes.
    /// A decoder that has failed before yields its error again.
    #[inline]
    pub fn pieces<'d, 'a>(&'d mut self, input: &'a [u8]) -> Pieces<'d, 'a, F> {
        Pieces { decoder: self, input, done: false }
    }

    /// Decodes a chunk of any size and gives each piece to `each`: the fastest way.
    ///
    /// # Errors
    /// The stream failed; the pieces before it were given. [`position`](Self::position) tells where
    /// the rest of the chunk begins, if the caller wants to go on with it.
    #[inline]
    pub fn for_each<'a>(
        &mut self,
        mut input: &'a [u8],
        mut each: impl FnMut(Piece<'a, F::Meta>),
    ) -> Result<(), DecodeError> {
        if self.state.phase.is_payload() && self.state.phase != Phase::BOUNDARY && !input.is_empty()
        {
            each(self.payload(None, input, &mut input));
            if input.is_empty() {
                return Ok(());
            }
        }
        loop {
            if self.state.phase == Phase::BOUNDARY {
                let before = input.len();
                input = self.whole_frames(input, &mut each);
                self.state.pos += (before - input.len()) as u64;
            }
            match self.decode(&mut input)? {
                Some(piece) => each(piece),
                None => return Ok(()),
            }
        }
    }

    /// Gives the whole frames that `input` begins with to `each`, and returns what is behind them.
    #[inline(always)]
    fn whole_frames<'a>(
        &self,
        mut input: &'a [u8],
        each: &mut impl FnMut(Piece<'a, F::Meta>),
    ) -> &'a [u8] {
        while let Some((header, mut rest)) = self.header_in(input)
            && let Ok(len) = usize::try_from(header.payload_len)
        {
            let known =
                F::HeaderBuf::split(input).filter(|_| header.header_len == F::HeaderBuf::LEN);
            // Equal headers come in runs: one that is known by its bytes is not decoded again.
            loop {
                let Some((bytes, behind)) = rest.split_at_checked(len) else { return input };
                input = behind;
                each(Piece { header: Some(header.clone()), bytes, last: true });
                match F::HeaderBuf::split(input) {
                    Some((found, behind)) if known.is_some_and(|(known, _)| found == known) => {
                        rest = behind;
                    }
                    _ => break,
                }
            }
        }
        input
    }

    /// Takes the next piece from the front of `input`: for callers who stop midway.
    ///
    /// Every piece consumes at least one byte. `Ok(None)` says that `input` is now empty, and only
    /// that: give more, or [`finish`](Self::finish) at the stream's end.
    ///
    /// # Errors
    /// The stream failed. `input` then stands just behind the refused bytes.
    #[inline(always)]
    pub fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a, F::Meta>>, DecodeError> {
        let bytes = *input;
        if bytes.is_empty() {
            return self.error().map_or(Ok(None), Err);
        }
        if self.state.phase == Phase::BOUNDARY {
            if let Some((header, rest)) = self.header_in(bytes) {
                return Ok(Some(self.payload(Some(header), rest, input)));
            }
        } else if self.state.phase.is_payload() {
            return Ok(Some(self.payload(None, bytes, input)));
        }
        self.decode_slowly(input)
    }

    /// Says whether the stream may end here: only at a frame boundary.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] inside a frame, right behind a header too;
    /// [`DecodeError::Unsynchronized`] during a search; the stream's error if it has failed.
    pub fn finish(&self) -> Result<(), DecodeError> {
        let at = self.state.pos;
        match self.state.phase.view() {
            View::Payload { remaining: 0 } => Ok(()),
            View::Payload { remaining } => {
                Err(DecodeError::Truncated { at, missing: remaining, part: Part::Payload })
            }
            View::Skip { remaining } => {
                // The counter cannot say all of a length over `MAX_PAYLOAD_LEN`; the header can.
                let over = match self.judge(self.state.header.as_ref(), 0) {
                    Err(Refusal::Oversize { len }) => len.saturating_sub(MAX_PAYLOAD_LEN),
                    _ => 0,
                };
                Err(DecodeError::Truncated { at, missing: remaining + over, part: Part::Payload })
            }
            View::Collect { held, need } => {
                let missing = need.saturating_sub(held) as u64;
                Err(DecodeError::Truncated { at, missing, part: Part::Header })
            }
            View::Failed { .. } | View::Search { .. } => Err(self.latched()),
        }
    }

    /// Begins a new stream, at offset 0.
    pub fn reset(&mut self) {
        self.state.pos = 0;
        self.state.phase = Phase::BOUNDARY;
    }

    /// Goes on after an oversize frame: exactly its payload is dropped as it arrives, and the next
    /// frame is decoded.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] when there was no error, [`RecoverError::Failed`] when it was
    /// another one, or a search goes on. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match self.error() {
            None => Err(RecoverError::NotFailed),
            Some(DecodeError::Oversize { len, .. }) => {
                self.state.phase = Phase::skip(len.min(MAX_PAYLOAD_LEN));
                Ok(())
            }
            Some(error) => Err(RecoverError::Failed(error)),
        }
    }

    /// The whole header that `bytes` begin with, and the bytes behind it, if it is within the
    /// limit.
    #[inline(always)]
    fn header_in<'a>(&self, bytes: &'a [u8]) -> Option<(Header<F::Meta>, &'a [u8])> {
        let header = self.format.whole_header(bytes)?;
        if header.payload_len > self.state.limit
            || header.header_len == 0
            || header.header_len > F::HeaderBuf::LEN
        {
            return None;
        }
        let rest = bytes.get(header.header_len..)?;
        Some((header, rest))
    }

    /// The next piece of a payload, whose header starts in it, or was consumed before.
    #[inline(always)]
    fn payload<'a>(
        &mut self,
        header: Option<Header<F::Meta>>,
        bytes: &'a [u8],
        input: &mut &'a [u8],
    ) -> Piece<'a, F::Meta> {
        let (due, header_len) = match &header {
            Some(header) => (header.payload_len, header.header_len as u64),
            None => (self.state.phase.0, 0), // a payload's tag is zero
        };
        if let Ok(len) = usize::try_from(due)
            && let Some((bytes, rest)) = bytes.split_at_checked(len)
        {
            self.state.pos += header_len + due;
            self.state.phase = Phase::BOUNDARY;
            *input = rest;
            return Piece { header, bytes, last: true };
        }
        let here = bytes.len() as u64;
        self.state.pos += header_len + here;
        self.state.phase = Phase::payload(due - here);
        *input = &[];
        Piece { header, bytes, last: false }
    }

    /// What the fast paths leave over.
    #[inline(always)]
    fn decode_slowly<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a, F::Meta>>, DecodeError> {
        loop {
            let bytes = *input;
            let (used, step) = self.advance(bytes);
            let rest = bytes.get(used..).unwrap_or_default();
            *input = rest;
            match step {
                Step::Empty => return Ok(None),
                Step::Boundary => {}
                Step::Header => {
                    let View::Collect { held, .. } = self.state.phase.view() else { continue };
                    if let Some((header, _)) = self.header_in(self.held(held)) {
                        self.state.pos -= held as u64; // `payload` counts the header
                        return Ok(Some(self.payload(Some(header), rest, input)));
                    }
                    self.state.phase = Phase::failed(held);
                    return Err(self.latched());
                }
                Step::Failed => return Err(self.latched()),
            }
        }
    }

    /// All that needs no piece: says how many bytes it used up, and what for.
    #[inline(never)]
    fn advance(&mut self, bytes: &[u8]) -> (usize, Step) {
        match self.state.phase.view() {
            View::Skip { remaining } => {
                let (dropped, rest) = split(bytes, remaining);
                self.state.pos += dropped.len() as u64;
                self.state.phase = Phase::skip(remaining - dropped.len() as u64);
                (dropped.len(), if rest.is_empty() { Step::Empty } else { Step::Boundary })
            }
            View::Collect { held, need } => self.collect(bytes, held, need),
            View::Payload { .. } => self.collect(bytes, 0, 1),
            View::Failed { .. } | View::Search { .. } => (0, Step::Failed),
        }
    }

    /// Takes header bytes until the header is complete or refused, or the input empty.
    fn collect(&mut self, bytes: &[u8], mut held: usize, mut need: usize) -> (usize, Step) {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                self.state.phase = Phase::collect(held, need);
                return (used, Step::Empty);
            }
            // No header ends before `need` bytes, so none of these belongs to a payload.
            let (taken, _) = split(rest, need.saturating_sub(held).max(1) as u64);
            copy(self.state.header.as_mut().get_mut(held..).unwrap_or_default(), taken);
            let now = held + taken.len();
            match self.judge(self.held(now), held) {
                Ok(Parsed::Header(header)) => {
                    self.state.pos += taken.len() as u64;
                    if header.header_len != now {
                        // The format had said that no header ends so early: `latched` says it.
                        self.state.phase = Phase::failed(now);
                        return (used + taken.len(), Step::Failed);
                    }
                    self.state.phase = Phase::collect(now, now);
                    return (used + taken.len(), Step::Header);
                }
                Ok(Parsed::Need(more)) => {
                    self.state.pos += taken.len() as u64;
                    used += taken.len();
                    held = now;
                    need = more;
                }
                Err(_) => {
                    let refused = self.shortest_refused(self.held(now), held);
                    self.state.pos += (refused - held) as u64;
                    self.state.phase = Phase::failed(refused);
                    return (used + refused - held, Step::Failed);
                }
            }
        }
    }

    /// The first `len` of the decoder's own header bytes.
    #[inline]
    fn held(&self, len: usize) -> &[u8] {
        self.state.header.as_ref().get(..len).unwrap_or_default()
    }

    /// What `bytes` begin with, under the limit and with the format's answer checked. `seen` of
    /// them are known to be undecided.
    fn judge(&self, bytes: &[u8], seen: usize) -> Result<Parsed<F::Meta>, Refusal> {
        let room = F::HeaderBuf::LEN;
        match self.format.resume_header(bytes, seen) {
            Ok(Parsed::Header(Header { header_len, .. }))
                if header_len == 0 || header_len > bytes.len() =>
            {
                Err(Refusal::Header(HeaderError::BrokenFormat))
            }
            Ok(Parsed::Header(Header { header_len, .. })) if header_len > room => {
                Err(Refusal::Header(HeaderError::TooLong { room }))
            }
            Ok(Parsed::Header(Header { payload_len: len, .. })) if len > self.state.limit => {
                Err(Refusal::Oversize { len })
            }
            Ok(Parsed::Need(need)) if need <= bytes.len() => {
                Err(Refusal::Header(HeaderError::BrokenFormat))
            }
            Ok(Parsed::Need(need)) if need > room => {
                Err(Refusal::Header(HeaderError::TooLong { room }))
            }
            Ok(parsed) => Ok(parsed),
            Err(error) => Err(Refusal::Header(error)),
        }
    }

    /// How long the shortest refused prefix of `bytes` is, all of which are refused; `seen` are
    /// known not to be. The replay, byte by byte, makes the error independent of the cuts even if
    /// a format looks at its fields in another order than they arrive in.
    #[cold]
    fn shortest_refused(&self, bytes: &[u8], seen: usize) -> usize {
        let most = bytes.len().min(F::HeaderBuf::LEN);
        (seen + 1..=most)
            .find(|&len| self.judge(bytes.get(..len).unwrap_or_default(), 0).is_err())
            .unwrap_or(most)
    }

    /// The error that the decoder stands at, from the bytes it refused.
    #[cold]
    fn latched(&self) -> DecodeError {
        let pos = self.state.pos;
        match self.state.phase.view() {
            View::Search { held, skipped } => {
                DecodeError::Unsynchronized { at: pos, skipped: skipped + held as u64 }
            }
            View::Failed { held } => {
                let at = pos - held as u64;
                match self.judge(self.held(held), 0) {
                    Err(Refusal::Oversize { len }) => {
                        DecodeError::Oversize { at, len, limit: self.state.limit }
                    }
                    Err(Refusal::Header(error)) => DecodeError::Header { at, error },
                    Ok(_) => DecodeError::Header { at, error: HeaderError::BrokenFormat },
                }
            }
            _ => DecodeError::Header { at: pos, error: HeaderError::BrokenFormat },
        }
    }
}

/// What a read buffer needs, which has the bytes of a frame in one slice and keeps them itself.
/// `pos` is then the offset of its first unread byte.
impl<F: Format> Decoder<F> {
    /// The same decoder with its format borrowed: what it says of further bytes changes nothing.
    pub(crate) fn scratch(&self) -> Decoder<&F> {
        Decoder { format: &self.format, state: self.state }
    }

    /// The whole frame that the stream's next bytes begin with, if all is well: most often. Its
    /// header, and its length.
    #[inline(always)]
    pub(crate) fn peek_whole(&self, bytes: &[u8]) -> Option<(Header<F::Meta>, usize)> {
        if self.state.phase != Phase::BOUNDARY {
            return None;
        }
        let (header, rest) = self.header_in(bytes)?;
        let payload_len = usize::try_from(header.payload_len).ok()?;
        if payload_len > rest.len() {
            return None;
        }
        let frame_len = header.header_len + payload_len;
        Some((header, frame_len))
    }

    /// What the stream's next bytes begin with; `seen` of them are known to be undecided. Refused
    /// ones are copied and counted: on an error the second value says how many. `Ok(None)` while
    /// an oversize payload is dropped.
    #[inline]
    pub(crate) fn peek(
        &mut self,
        bytes: &[u8],
        seen: usize,
    ) -> Result<Option<Parsed<F::Meta>>, (DecodeError, usize)> {
        match self.state.phase.view() {
            View::Payload { .. } => match self.judge(bytes, seen) {
                Ok(parsed) => Ok(Some(parsed)),
                Err(_) => {
                    let held = self.shortest_refused(bytes, seen);
                    let mut header = F::HeaderBuf::ZERO;
                    copy(header.as_mut(), bytes.get(..held).unwrap_or_default());
                    self.state.header = header;
                    self.state.pos += held as u64;
                    self.state.phase = Phase::failed(held);
                    Err((self.latched(), held))
                }
            },
            View::Skip { .. } => Ok(None),
            View::Collect { .. } | View::Failed { .. } | View::Search { .. } => {
                Err((self.latched(), 0))
            }
        }
    }

    /// Counts a frame that was lent.
    #[inline]
    pub(crate) fn consume(&mut self, frame_len: usize) {
        self.state.pos += frame_len as u64;
    }

    /// Drops what is left of an oversize payload; says how many of `bytes` belonged to it.
    pub(crate) fn drop_skipped(&mut self, bytes: &[u8]) -> usize {
        match self.state.phase.view() {
            View::Skip { .. } => self.advance(bytes).0,
            _ => 0,
        }
    }
}

impl<F: SelfChecking> Decoder<F> {
    /// One step of a search over bytes that the caller keeps: how many of them to drop, and the
    /// count of skipped bytes once a header stands behind those. Before the first step the bytes
    /// begin with the failed frame's.
    pub(crate) fn search(&mut self, bytes: &[u8]) -> Result<(usize, Option<u64>), RecoverError> {
        let (mut dropped, before) = match self.state.phase.view() {
            View::Failed { held } => {
                self.state.pos -= held as u64;
                (1, 0)
            }
            View::Search { skipped, .. } => (0, skipped),
            _ => return Err(RecoverError::NotFailed),
        };
        let mut found = false;
        while let Some(candidate @ [_, ..]) = bytes.get(dropped..) {
            match self.judge(candidate, 0) {
                Ok(parsed) => {
                    found = matches!(parsed, Parsed::Header(_));
                    break;
                }
                Err(_) => dropped += 1,
            }
        }
        let skipped = before + dropped as u64;
        self.state.pos += dropped as u64;
        self.state.phase = if found { Phase::BOUNDARY } else { Phase::search(0, skipped) };
        Ok((dropped, found.then_some(skipped)))
    }

    /// Searches, on a lossy line, for the next header that decodes and keeps the limit, from the
    /// byte behind the failed frame's first.
    ///
    /// `Ok(Some(skipped))` says that it was found, `skipped` bytes behind the failed frame's
    /// first; go on decoding `input`. `Ok(None)` says that `input` is now empty: give more, to this
    /// function. Every other one returns [`DecodeError::Unsynchronized`] until the search is over.
    ///
    /// On a reliable transport do not search, but end the stream: bytes of a payload may look like
    /// a header, and a peer could have placed them there.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] when there was no error to go on from. Nothing changes then.
    ///
    /// A format without a check cannot tell a header from other bytes, so this does not compile:
    ///
    /// ```compile_fail,E0277
    /// # // spec: FMT-2
    /// let mut decoder = unstick::Decoder::with_framing(unstick::U32Be);
    /// let _ = decoder.resync(&mut &b"\0"[..]);
    /// ```
    pub fn resync(&mut self, input: &mut &[u8]) -> Result<Option<u64>, RecoverError> {
        const { assert!(F::HeaderBuf::LEN <= 255, "a self-checking header has at most 255 bytes") }
        let (mut held, mut skipped) = match self.state.phase.view() {
            View::Failed { held } => (self.drop_candidates(held), held as u64),
            View::Search { held, skipped } => (held, skipped + held as u64),
            _ => return Err(RecoverError::NotFailed),
        };
        // From here on `skipped` counts the held bytes, too: all from the failed frame's first.
        while let [byte, rest @ ..] = *input {
            // The byte that completes a header is not consumed, so that decoding it makes progress.
            copy(self.state.header.as_mut().get_mut(held..).unwrap_or_default(), &[*byte]);
            let parsed = self.judge(self.held(held + 1), 0);
            if let Ok(Parsed::Header(_)) = parsed {
                self.state.phase = Phase::collect(held, held + 1);
                return Ok(Some(skipped - held as u64));
            }
            *input = rest;
            self.state.pos += 1;
            skipped += 1;
            held = match parsed {
                Ok(_) => held + 1,
                Err(_) => self.drop_candidates(held + 1),
            };
        }
        self.state.phase = Phase::search(held, skipped - held as u64);
        Ok(None)
    }

    /// Drops the first of the `held` bytes, and every further one that no header can start with
    /// in view of those behind it. Returns how many are left.
    fn drop_candidates(&mut self, held: usize) -> usize {
        for dropped in 1..held {
            let candidate = self.state.header.as_ref().get(dropped..held).unwrap_or_default();
            if let Ok(Parsed::Need(_)) = self.judge(candidate, 0) {
                let mut moved = F::HeaderBuf::ZERO;
                copy(moved.as_mut(), candidate);
                self.state.header = moved;
                return held - dropped;
            }
        }
        0
    }
}

impl<F: Format + fmt::Debug> fmt::Debug for Decoder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("format", &self.format)
            .field("limit", &self.state.limit)
            .field("position", &self.state.pos)
            .field("finish", &self.finish())
            .finish()
    }
}

/// The pieces of one chunk. See [`Decoder::pieces`].
pub struct Pieces<'d, 'a, F: Format = V1> {
    decoder: &'d mut Decoder<F>,
    input: &'a [u8],
    done: bool,
}

impl<'a, F: Format> Pieces<'_, 'a, F> {
    /// The bytes not consumed yet; after an error, those behind the refused ones.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.input
    }
}

impl<'a, F: Format> Iterator for Pieces<'_, 'a, F> {
    type Item = Result<Piece<'a, F::Meta>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.decoder.decode(&mut self.input).transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl<F: Format> core::iter::FusedIterator for Pieces<'_, '_, F> {}

impl<F: Format + fmt::Debug> fmt::Debug for Pieces<'_, '_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("decoder", self.decoder)
            .field("rest", &self.input.len())
            .finish()
    }
}

/// At most `len` bytes from the front of `bytes`, and the rest. The comparison is in `u64`, so
/// that no length is ever cut to the width of a pointer.
#[inline(always)]
fn split(bytes: &[u8], len: u64) -> (&[u8], &[u8]) {
    match usize::try_from(len) {
        Ok(len) => bytes.split_at_checked(len).unwrap_or((bytes, &[])),
        Err(_) => (bytes, &[]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A search that went on for 2^53 bytes goes on, and stays a search.
    #[test]
    fn the_count_of_skipped_bytes_saturates() {
        let most = (1 << 53) - 1;
        let mut decoder = Decoder::new();
        decoder.state.phase = Phase::search(0, most - 2);
        for skipped in [most - 1, most, most, most] {
            assert_eq!(decoder.resync(&mut &b"?"[..]), Ok(None));
            let error = decoder.error().unwrap();
            assert!(
                matches!(error, DecodeError::Unsynchronized { skipped: s, .. } if s == skipped)
            );
        }
        let header = crate::header::encode(crate::header::Kind::TEXT, 0);
        assert_eq!(decoder.resync(&mut &header[..]), Ok(Some(most)));
    }
}
