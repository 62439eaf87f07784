//! The streaming decoder: bytes in, borrowed pieces out (spec, chapter 7).
//!
//! It keeps the bytes of one header and three numbers; payload is never copied or kept.

mod phase;
mod piece;
mod pieces;
mod resync;
mod split;

use core::fmt;

use crate::error::{DecodeError, HeaderError, Part, RecoverError};
use crate::format::{
    Format, Header, HeaderBuf, MAX_PAYLOAD_LEN, Parsed, Refusal, V1, copy, inspect,
    shortest_refused, whole_header,
};
use crate::framing::Framing;

use phase::{Phase, View};
pub use piece::Piece;
pub use pieces::Pieces;

/// Turns a byte stream back into frames, however the stream is cut.
///
/// `Decoder` without a parameter decodes the version-1 format; [`with_framing`](Self::with_framing)
/// takes any format.
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
/// After an error every call returns the same error, including [`finish`](Self::finish), and no byte
/// after it is delivered, until [`reset`](Self::reset), [`skip_frame`](Self::skip_frame) or
/// [`resync`](Self::resync). The error is that of the shortest prefix of the stream that must be
/// refused, so it does not depend on the cuts.
///
/// # Memory
/// A decoder has the size of its format, one header and 24 bytes, whatever a peer announces. It never
/// allocates or panics.
#[derive(Clone)]
pub struct Decoder<F: Format = V1> {
    format: F,
    state: State<F::HeaderBuf>,
}

const _: () = assert!(size_of::<Decoder<V1>>() <= 32);

#[derive(Clone, Copy)]
struct State<H> {
    /// The max payload length of a frame in bytes; at most `MAX_PAYLOAD_LEN`.
    limit: u64,
    /// The number of bytes consumed since the stream's start.
    pos: u64,
    phase: Phase,
    /// The beginning of the header that is being collected or was refused.
    header: H,
}

/// The result of the outlined part of `decode`.
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
    /// Creates a decoder of version-1 frames with the default limit of 1 MiB.
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
    /// Creates a decoder of this format and limit.
    #[must_use]
    pub fn with_framing(framing: impl Into<Framing<F>>) -> Self {
        let framing = framing.into();
        let limit = framing.limit();
        let state = State { limit, pos: 0, phase: Phase::BOUNDARY, header: F::HeaderBuf::ZERO };
        Self { format: framing.into_format(), state }
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> &F {
        &self.format
    }

    /// Returns the effective limit, in payload bytes: that of the next header.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self.state.phase.view() {
            View::Failed { next: Some(next), .. } => next,
            _ => self.state.limit,
        }
    }

    /// Sets the limit, in payload bytes, from the next header that is complete on. A frame whose
    /// payload has begun is not affected, and neither is the error of a stream that has failed.
    ///
    /// While a stream has failed, a limit of more than 2^45 − 2 bytes counts as that.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        let limit = Framing::new(&self.format).with_limit(payload_bytes).limit();
        match self.state.phase.view() {
            View::Failed { held, .. } => self.state.phase = Phase::failed_before(held, limit),
            _ => self.state.limit = limit,
        }
    }

    /// Returns the number of bytes consumed since the stream's start.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.state.pos
    }

    /// Returns the error that the stream has failed with, if any.
    #[inline(always)]
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        self.state.phase.has_failed().then(|| self.latched())
    }

    /// Decodes a chunk of any size and calls `each` with every piece. This is the fastest way to
    /// decode.
    ///
    /// # Errors
    /// Returns an error if the stream failed; `each` was called with the pieces before it.
    /// The rest of the chunk begins at the stream offset [`position`](Self::position).
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

    /// Calls `each` with the whole frames that `input` begins with, and returns the bytes after them.
    #[inline(always)]
    fn whole_frames<'a>(
        &self,
        mut input: &'a [u8],
        each: &mut impl FnMut(Piece<'a, F::Meta>),
    ) -> &'a [u8] {
        while let Some((header, _)) = self.whole_header(input) {
            let Ok(len) = usize::try_from(header.payload_len) else { break };
            let Some(frame_len) = header.header_len.checked_add(len) else { break };
            let known =
                F::HeaderBuf::split(input).filter(|_| header.header_len == F::HeaderBuf::LEN);
            let mut next = input.split_at_checked(frame_len);
            // Equal headers come in runs: comparing their bytes is cheaper than decoding them again.
            loop {
                let Some((frame, after)) = next else { return input };
                let Some(bytes) = frame.get(header.header_len..) else { return input };
                input = after;
                each(Piece { header: Some(header.clone()), bytes, last: true });
                next = input.split_at_checked(frame_len);
                // A shorter rest is left to `decode`, even if it is a whole frame.
                let Some((frame, _)) = next else { return input };
                match F::HeaderBuf::split(frame) {
                    Some((found, _)) if known.is_some_and(|(known, _)| found == known) => {}
                    _ => break,
                }
            }
        }
        input
    }

    /// Takes the next piece from the front of `input`.
    ///
    /// Every piece consumes at least one byte. Returns `Ok(None)` exactly if `input` is empty: call
    /// this method again with more bytes, or [`finish`](Self::finish) at the stream's end.
    ///
    /// # Errors
    /// Returns an error if the stream failed. `input` then begins after the refused bytes.
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
            if let Some((header, rest)) = self.whole_header(bytes) {
                return Ok(Some(self.payload(Some(header), rest, input)));
            }
        } else if self.state.phase.is_payload() {
            return Ok(Some(self.payload(None, bytes, input)));
        }
        self.decode_slowly(input)
    }

    /// Checks that the stream may end here, which is only at a frame boundary.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] inside a frame, including directly after a header;
    /// [`DecodeError::Unsynchronized`] during a search; the stream's error if it has failed.
    pub fn finish(&self) -> Result<(), DecodeError> {
        let at = self.state.pos;
        match self.state.phase.view() {
            View::Payload { remaining: 0 } => Ok(()),
            View::Payload { remaining } => {
                Err(DecodeError::Truncated { at, missing: remaining, part: Part::Payload })
            }
            View::Skip { remaining } => {
                // The counter cannot hold a length over `MAX_PAYLOAD_LEN`; the header can.
                let over = match self.inspect(self.state.header.as_ref(), 0) {
                    Err(Refusal::Oversize { len, .. }) => len.saturating_sub(MAX_PAYLOAD_LEN),
                    _ => 0,
                };
                Err(DecodeError::Truncated { at, missing: remaining + over, part: Part::Payload })
            }
            View::Header { held, need } => {
                let missing = need.saturating_sub(held) as u64;
                Err(DecodeError::Truncated { at, missing, part: Part::Header })
            }
            View::Failed { .. } | View::Search { .. } => Err(self.latched()),
        }
    }

    /// Whether a frame, or the stream, may end here: whether [`finish`](Self::finish) returns no error.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.state.phase == Phase::BOUNDARY
    }

    /// Returns how many more bytes the next frame is known to have, so that a read of as many bytes
    /// reads none after it; zero if the stream has failed.
    #[must_use]
    pub fn needed(&self) -> u64 {
        match self.state.phase.view() {
            View::Payload { remaining: 0 } => match self.inspect(&[], 0) {
                Ok(Parsed::Need(need)) => need as u64,
                _ => 1,
            },
            View::Payload { remaining } | View::Skip { remaining } => remaining,
            View::Header { held, need } => need.saturating_sub(held) as u64,
            View::Failed { .. } | View::Search { .. } => 0,
        }
    }

    /// Starts a new stream, at offset 0.
    pub fn reset(&mut self) {
        self.state.limit = self.limit();
        self.state.pos = 0;
        self.state.phase = Phase::BOUNDARY;
    }

    /// Skips the rest of a frame that is oversize, or whose payload has begun: exactly its payload is
    /// dropped as it arrives, and the next frame is decoded.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if there is no such frame, [`RecoverError::Failed`] if the stream
    /// failed with another error, or during a search. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match self.error() {
            None => match self.state.phase.view() {
                View::Payload { remaining: remaining @ 1.. } => {
                    // An earlier refused header would count in `finish`.
                    self.state.header = F::HeaderBuf::ZERO;
                    self.state.phase = Phase::skip(remaining);
                    Ok(())
                }
                _ => Err(RecoverError::NotFailed),
            },
            Some(DecodeError::Oversize { len, .. }) => {
                self.state.limit = self.limit();
                self.state.phase = Phase::skip(len.min(MAX_PAYLOAD_LEN));
                Ok(())
            }
            Some(error) => Err(RecoverError::Failed(error)),
        }
    }

    #[inline(always)]
    fn whole_header<'a>(&self, bytes: &'a [u8]) -> Option<(Header<F::Meta>, &'a [u8])> {
        whole_header(&self.format, self.state.limit, bytes)
    }

    fn inspect(&self, bytes: &[u8], seen: usize) -> Result<Parsed<F::Meta>, Refusal> {
        inspect(&self.format, self.state.limit, bytes, seen)
    }

    /// Returns the next piece of a frame, with `header` if it is the first one; `bytes` follow it.
    #[inline(always)]
    fn payload<'a>(
        &mut self,
        header: Option<Header<F::Meta>>,
        bytes: &'a [u8],
        input: &mut &'a [u8],
    ) -> Piece<'a, F::Meta> {
        let (due, header_len) = match &header {
            Some(header) => (header.payload_len, header.header_len as u64),
            None => (self.state.phase.remaining(), 0),
        };
        let whole = usize::try_from(due).ok().and_then(|len| bytes.split_at_checked(len));
        if let Some((bytes, rest)) = whole {
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

    /// Decodes what the fast paths do not cover.
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
                    let View::Header { held, .. } = self.state.phase.view() else { continue };
                    if let Some((header, _)) = self.whole_header(self.held(held)) {
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

    /// Consumes bytes that yield no piece, and returns their number and the next step.
    #[inline(never)]
    fn advance(&mut self, bytes: &[u8]) -> (usize, Step) {
        match self.state.phase.view() {
            View::Skip { remaining } => {
                let (dropped, rest) = split(bytes, remaining);
                self.state.pos += dropped.len() as u64;
                self.state.phase = Phase::skip(remaining - dropped.len() as u64);
                (dropped.len(), if rest.is_empty() { Step::Empty } else { Step::Boundary })
            }
            View::Header { held, need } => self.collect(bytes, held, need),
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
                self.state.phase = Phase::header(held, need);
                return (used, Step::Empty);
            }
            // No header ends before `need` bytes, so none of these belongs to a payload.
            let (taken, _) = split(rest, need.saturating_sub(held).max(1) as u64);
            copy(self.state.header.as_mut().get_mut(held..).unwrap_or_default(), taken);
            let now = held + taken.len();
            match self.inspect(self.held(now), held) {
                Ok(Parsed::Header(header)) => {
                    self.state.pos += taken.len() as u64;
                    if header.header_len != now {
                        // A header that is shorter than the last `Need` breaks the format's laws.
                        self.state.phase = Phase::failed(now);
                        return (used + taken.len(), Step::Failed);
                    }
                    self.state.phase = Phase::header(now, now);
                    return (used + taken.len(), Step::Header);
                }
                Ok(Parsed::Need(more)) => {
                    self.state.pos += taken.len() as u64;
                    used += taken.len();
                    held = now;
                    need = more;
                }
                Err(_) => {
                    let (refused, _) =
                        shortest_refused(&self.format, self.state.limit, self.held(now), held);
                    self.state.pos += (refused - held) as u64;
                    self.state.phase = Phase::failed(refused);
                    return (used + refused - held, Step::Failed);
                }
            }
        }
    }

    /// Returns the first `len` of the decoder's own header bytes.
    #[inline]
    fn held(&self, len: usize) -> &[u8] {
        self.state.header.as_ref().get(..len).unwrap_or_default()
    }

    /// Computes the error from the refused bytes, so that a latched error needs no memory.
    #[cold]
    fn latched(&self) -> DecodeError {
        let pos = self.state.pos;
        match self.state.phase.view() {
            View::Search { held, skipped } => {
                DecodeError::Unsynchronized { at: pos, skipped: skipped + held as u64 }
            }
            View::Failed { held, .. } => {
                let at = pos - held as u64;
                let refusal = match self.inspect(self.held(held), 0) {
                    Err(refusal) => refusal,
                    Ok(_) => Refusal::Header(HeaderError::BrokenFormat),
                };
                refusal.at(at)
            }
            _ => DecodeError::Header { at: pos, error: HeaderError::BrokenFormat },
        }
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

/// Splits at most `len` bytes off the front of `bytes`. The comparison is in `u64`, so that no
/// length is cut to the width of a pointer.
#[inline(always)]
fn split(bytes: &[u8], len: u64) -> (&[u8], &[u8]) {
    match usize::try_from(len) {
        Ok(len) => bytes.split_at_checked(len).unwrap_or((bytes, &[])),
        Err(_) => (bytes, &[]),
    }
}
