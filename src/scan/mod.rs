//! Finds frames in bytes that the caller keeps (spec, chapter 7).
//!
//! A [`Scanner`] holds no bytes. It is for buffers that already exist: [`FrameBuf`](crate::FrameBuf)
//! and the codecs for tokio-util use it.

mod found;
mod payload;
mod search;

use core::fmt;

use crate::decoder::Decoder;
use crate::error::{DecodeError, Part, RecoverError};
use crate::format::{Format, Header, Parsed, V1, inspect, shortest_refused, whole_header};
use crate::framing::Framing;

pub use found::{Found, PayloadRun, Scan, ScanPayload, Searched};

/// Finds the next frame in bytes that the caller keeps.
///
/// The caller passes all bytes of the stream that it has not dropped yet, and drops from their front
/// the bytes of a returned [`Scan::Frame`] or [`Scan::Discard`]. With [`Format::resume_header`], a
/// long header takes linear time, however the stream is cut.
///
/// ```
/// use unstick::{Framing, U16Be};
/// use unstick::scan::{Scan, Scanner};
///
/// let mut scanner = Scanner::new(Framing::new(U16Be));
/// let (mut kept, mut payloads) = (Vec::new(), Vec::new());
/// for chunk in [&b"\0\x05he"[..], b"llo\0", b"\x02hi"] {
///     kept.extend_from_slice(chunk);
///     loop {
///         match scanner.find(&kept)? {
///             Scan::Frame(found) => {
///                 payloads.push(found.frame(&kept).unwrap().payload.to_vec());
///                 kept.drain(..found.frame_len());
///             }
///             Scan::Discard(n) => drop(kept.drain(..n)),
///             Scan::Incomplete { .. } => break, // read more
///         }
///     }
/// }
/// scanner.finish(&kept)?; // an error if the stream ended inside a frame
/// assert_eq!(payloads, [b"hello".to_vec(), b"hi".to_vec()]);
/// # Ok::<(), unstick::DecodeError>(())
/// ```
///
/// # Errors latch
/// After an error [`find`](Self::find) returns the same error until [`reset`](Self::reset),
/// [`skip_frame`](Self::skip_frame), or a search. The refused bytes stay at the front of the kept
/// bytes: see [`refused`](Self::refused).
#[derive(Clone)]
pub struct Scanner<F: Format = V1> {
    format: F,
    /// The max payload length of a frame in bytes; at most `MAX_PAYLOAD_LEN`.
    limit: u64,
    /// The stream offset of the first kept byte.
    position: u64,
    /// The fast path is tried once the kept bytes reach this stream offset: the end of the next frame
    /// if its header is known, and `NEVER` while only the slow path may be used.
    gate: u64,
    /// The bytes before this stream offset are known not to complete the header.
    undecided: u64,
    phase: Phase,
}

/// A [`Scanner::gate`] that no stream reaches.
const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy)]
enum Phase {
    /// The kept bytes begin with a frame: BOUNDARY, HEADER, or PAYLOAD of a frame taken whole.
    Frames,
    /// They begin with a frame that `limit` does not apply to, which ends at the offset `end`: its
    /// header was accepted before the limit was set.
    Begun { end: u64, limit: u64 },
    /// The payload of the frame at this offset is taken in runs; `remaining` bytes of it are not.
    Payload { at: u64, remaining: u64 },
    /// The frame at this offset is over the limit and is dropped: `refused` header bytes, and then
    /// `remaining` payload bytes.
    Skip { at: u64, refused: usize, remaining: u64 },
    /// The kept bytes begin with `refused` bytes that are not a header.
    Failed { error: DecodeError, refused: usize },
    /// A search has dropped `skipped` bytes. If it is `new`, the kept bytes begin with the failed
    /// frame's first byte, which is dropped without a check.
    Search { skipped: u64, new: bool },
}

impl<F: Format> Scanner<F> {
    /// Creates a scanner for frames of this format and limit. A frame is never longer than a slice
    /// can be, so on 32-bit targets the effective limit is a little below 2 GiB.
    #[must_use]
    pub fn new(framing: impl Into<Framing<F>>) -> Self {
        let framing = framing.into().within(isize::MAX.unsigned_abs());
        let limit = framing.limit();
        Self {
            format: framing.into_format(),
            limit,
            position: 0,
            gate: 0,
            undecided: 0,
            phase: Phase::Frames,
        }
    }

    /// Returns the format and limit.
    #[must_use]
    pub fn framing(&self) -> Framing<&F> {
        Framing::new(&self.format).with_limit(self.limit())
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> &F {
        &self.format
    }

    /// Returns the effective limit, in payload bytes: that of the next frame that begins.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self.phase {
            Phase::Begun { limit, .. } => limit,
            _ => self.limit,
        }
    }

    /// Sets the limit, in payload bytes, from the next header on. A frame whose header was accepted
    /// before, by a call that found it incomplete or has returned its header, keeps the limit that it
    /// was accepted under, and so does a refused one in its error.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        let framing = Framing::new(&self.format).with_limit(payload_bytes);
        let limit = framing.within(isize::MAX.unsigned_abs()).limit();
        match &mut self.phase {
            Phase::Begun { limit: next, .. } => *next = limit,
            // Without a header the gate is at most one byte ahead.
            Phase::Frames if self.gate > self.position.saturating_add(1) && self.gate != NEVER => {
                self.phase = Phase::Begun { end: self.gate, limit };
                self.gate = NEVER;
            }
            _ => self.limit = limit,
        }
    }

    /// Returns the length of the longest frame that can come next, header included, in bytes.
    #[must_use]
    pub fn max_frame_len(&self) -> u64 {
        let limit = self.limit.max(self.limit());
        limit.saturating_add(self.format.max_header_len() as u64)
    }

    /// Returns the stream offset of the first kept byte.
    #[inline]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns how many bytes at the front of the kept bytes are a refused header; zero unless the
    /// stream has failed.
    #[must_use]
    pub fn refused(&self) -> usize {
        match self.phase {
            Phase::Failed { refused, .. } | Phase::Skip { refused, .. } => refused,
            _ => 0,
        }
    }

    /// Returns the error that the stream has failed with, if any.
    ///
    /// During a search it is [`DecodeError::Unsynchronized`], without the bytes that are kept and
    /// not searched yet.
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        match self.phase {
            Phase::Failed { error, .. } => Some(error),
            Phase::Search { skipped, .. } => {
                Some(DecodeError::Unsynchronized { at: self.position, skipped })
            }
            _ => None,
        }
    }

    /// Whether a search is under way.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        matches!(self.phase, Phase::Search { .. })
    }

    /// Whether `kept` bytes are known to be too few for the next frame, whose length is known.
    #[inline(always)]
    #[must_use]
    pub fn needs_more(&self, kept: usize) -> bool {
        self.position.wrapping_add(kept as u64) < self.gate && self.gate != NEVER
    }

    /// Looks for a frame at the front of the kept bytes. Each call passes all bytes that were not
    /// dropped, from the same first byte on.
    ///
    /// # Errors
    /// Returns an error if the stream has failed.
    #[inline(always)]
    pub fn find(&mut self, kept: &[u8]) -> Result<Scan<F::Meta>, DecodeError> {
        match self.find_whole(kept) {
            Some(found) => Ok(Scan::Frame(found)),
            None => self.find_slowly(kept),
        }
    }

    /// Returns the frame at the front of the kept bytes if the fast path finds it. After `None`, call
    /// [`find`](Self::find): there may still be a frame or an error.
    #[inline(always)]
    pub fn find_whole(&mut self, kept: &[u8]) -> Option<Found<F::Meta>> {
        if self.position.wrapping_add(kept.len() as u64) < self.gate {
            return None;
        }
        let (header, _) = whole_header(&self.format, self.limit, kept)?;
        let payload_len = usize::try_from(header.payload_len).ok()?;
        let frame_len = header.header_len.checked_add(payload_len)?;
        if frame_len > kept.len() {
            return None;
        }
        Some(self.consume(header, frame_len))
    }

    #[inline(always)]
    fn consume(&mut self, header: Header<F::Meta>, len: usize) -> Found<F::Meta> {
        let at = self.position;
        self.position = at.wrapping_add(len as u64);
        Found { header, at, len }
    }

    #[inline(never)]
    fn find_slowly(&mut self, kept: &[u8]) -> Result<Scan<F::Meta>, DecodeError> {
        self.find_after_fast_path(kept)
    }

    /// Looks for a frame like [`find`](Self::find), after [`find_whole`](Self::find_whole) has
    /// returned `None`. It is inlined, for a caller that is outlined itself.
    #[inline(always)]
    pub(crate) fn find_after_fast_path(
        &mut self,
        kept: &[u8],
    ) -> Result<Scan<F::Meta>, DecodeError> {
        if !matches!(self.phase, Phase::Frames) {
            return self.find_no_frame(kept);
        }
        if self.begin_if_empty(kept) {
            return Ok(Scan::Incomplete { needed: 1 });
        }
        let end = self.position.wrapping_add(kept.len() as u64);
        if self.gate == NEVER {
            if end <= self.undecided {
                return Ok(Scan::Incomplete { needed: kept.len().saturating_add(1) });
            }
        } else if end < self.gate {
            return Ok(Scan::Incomplete { needed: saturating_usize(self.gate - self.position) });
        }
        self.inspect_kept(kept, end)
    }

    /// Whether no byte of the next frame has arrived. If so, [`needs_more`](Self::needs_more) is true
    /// until one arrives.
    #[inline(always)]
    pub(crate) fn begin_if_empty(&mut self, kept: &[u8]) -> bool {
        let empty = kept.is_empty() && matches!(self.phase, Phase::Frames);
        if empty {
            self.gate = self.position.saturating_add(1);
        }
        empty
    }

    /// Finds a frame that has another limit, drops bytes of a skipped one, or returns the error: all
    /// phases but [`Phase::Frames`].
    #[inline(never)]
    fn find_no_frame(&mut self, kept: &[u8]) -> Result<Scan<F::Meta>, DecodeError> {
        let len = kept.len() as u64;
        match self.phase {
            Phase::Frames => Ok(Scan::Incomplete { needed: kept.len().saturating_add(1) }),
            Phase::Begun { end, limit } => {
                let needed = saturating_usize(end - self.position);
                if kept.len() < needed {
                    return Ok(Scan::Incomplete { needed });
                }
                let scan = self.inspect_kept(kept, end)?;
                self.limit = limit;
                self.phase = Phase::Frames;
                Ok(scan)
            }
            Phase::Payload { remaining: 0, .. } => {
                self.begin_frame();
                self.find_slowly(kept)
            }
            Phase::Payload { at, remaining } => {
                self.phase = Phase::Skip { at, refused: 0, remaining };
                self.find_no_frame(kept)
            }
            Phase::Skip { .. } if kept.is_empty() => Ok(Scan::Incomplete { needed: 1 }),
            Phase::Skip { at, refused, remaining } => {
                let header = refused.min(kept.len());
                let payload = remaining.min((kept.len() - header) as u64);
                let dropped = (header as u64).saturating_add(payload);
                self.position += dropped;
                let (refused, remaining) = (refused - header, remaining - payload);
                if refused == 0 && remaining == 0 {
                    self.begin_frame();
                } else {
                    self.phase = Phase::Skip { at, refused, remaining };
                }
                Ok(Scan::Discard(saturating_usize(dropped)))
            }
            Phase::Failed { error, .. } => Err(error),
            Phase::Search { skipped, .. } => {
                let at = self.position.wrapping_add(len);
                Err(DecodeError::Unsynchronized { at, skipped: skipped.saturating_add(len) })
            }
        }
    }

    /// Inspects the kept bytes, which begin a frame and end at the stream offset `end`, and consumes
    /// the frame if it is whole.
    #[inline(always)]
    fn inspect_kept(&mut self, kept: &[u8], end: u64) -> Result<Scan<F::Meta>, DecodeError> {
        match self.inspect_header(kept, end)? {
            Scan::Frame(Found { header, len, .. }) if len <= kept.len() => {
                self.gate = 0;
                Ok(Scan::Frame(self.consume(header, len)))
            }
            Scan::Frame(Found { len, .. }) => {
                self.gate = self.position.saturating_add(len as u64);
                Ok(Scan::Incomplete { needed: len })
            }
            scan => Ok(scan),
        }
    }

    /// Inspects the kept bytes like [`inspect_kept`](Self::inspect_kept). [`Scan::Frame`] is a complete
    /// header within the limit, of which nothing is consumed.
    #[inline(always)]
    fn inspect_header(&mut self, kept: &[u8], end: u64) -> Result<Scan<F::Meta>, DecodeError> {
        let seen = self.seen(kept);
        match inspect(&self.format, self.limit, kept, seen) {
            Ok(Parsed::Header(header)) => {
                let len = saturating_usize(header.frame_len());
                Ok(Scan::Frame(Found { header, at: self.position, len }))
            }
            Ok(Parsed::Need(needed)) => {
                (self.undecided, self.gate) = (end, NEVER);
                Ok(Scan::Incomplete { needed })
            }
            Err(_) => Err(self.refuse(kept, seen)),
        }
    }

    /// Returns how many of the kept bytes are known not to complete the header.
    #[inline(always)]
    fn seen(&self, kept: &[u8]) -> usize {
        saturating_usize(self.undecided.saturating_sub(self.position)).min(kept.len())
    }

    #[cold]
    fn refuse(&mut self, kept: &[u8], seen: usize) -> DecodeError {
        let (refused, refusal) = shortest_refused(&self.format, self.limit, kept, seen);
        let error = refusal.at(self.position);
        (self.phase, self.gate) = (Phase::Failed { error, refused }, NEVER);
        error
    }

    /// Enters the phase in which the kept bytes begin with a frame, and none of them was inspected.
    fn begin_frame(&mut self) {
        (self.undecided, self.gate, self.phase) = (0, 0, Phase::Frames);
    }

    /// Returns the header of the frame that the kept bytes begin with, if it is complete and within
    /// the limit. Nothing is consumed.
    #[must_use]
    pub fn header(&self, kept: &[u8]) -> Option<Header<F::Meta>> {
        match self.phase {
            Phase::Frames | Phase::Begun { .. } | Phase::Payload { remaining: 0, .. } => {
                whole_header(&self.format, self.limit, kept).map(|(header, _)| header)
            }
            _ => None,
        }
    }

    /// Returns the stream offset of a frame that has begun in these kept bytes and is not consumed,
    /// or that is being
    /// skipped or taken in runs; `None` at a frame boundary and after an error.
    #[must_use]
    pub fn open_frame(&self, kept: &[u8]) -> Option<u64> {
        match self.phase {
            Phase::Frames | Phase::Payload { remaining: 0, .. } => {
                (!kept.is_empty()).then_some(self.position)
            }
            Phase::Begun { .. } => Some(self.position),
            Phase::Payload { at, .. } | Phase::Skip { at, .. } => Some(at),
            Phase::Failed { .. } | Phase::Search { .. } => None,
        }
    }

    /// Checks that the stream may end after the kept bytes: only at a frame boundary.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] inside a frame, [`DecodeError::Unsynchronized`] during a search,
    /// the stream's error if it has failed, or the first error in the kept bytes.
    pub fn finish(&self, kept: &[u8]) -> Result<(), DecodeError> {
        let len = kept.len() as u64;
        let end = self.position.saturating_add(len);
        match self.phase {
            Phase::Frames => self.finish_frames(0, 0, kept),
            Phase::Begun { end, .. } => self.finish_frames(0, end - self.position, kept),
            Phase::Payload { remaining, .. } => self.finish_frames(0, remaining, kept),
            Phase::Skip { refused, remaining, .. } => {
                self.finish_frames(refused as u64, remaining, kept)
            }
            Phase::Failed { error, .. } => Err(error),
            Phase::Search { skipped, .. } => {
                Err(DecodeError::Unsynchronized { at: end, skipped: skipped.saturating_add(len) })
            }
        }
    }

    /// Checks that the stream may end after `header` and `payload` bytes of a frame that has begun,
    /// and what follows them in the kept bytes.
    fn finish_frames(&self, header: u64, payload: u64, kept: &[u8]) -> Result<(), DecodeError> {
        let (len, begun) = (kept.len() as u64, header.saturating_add(payload));
        if len < begun {
            let at = self.position.saturating_add(len);
            let missing = payload - len.saturating_sub(header);
            return Err(DecodeError::Truncated { at, missing, part: Part::Payload });
        }
        let rest = kept.get(saturating_usize(begun)..).unwrap_or_default();
        let mut decoder = Decoder::with_framing(self.framing());
        let decoded = decoder.for_each(rest, |_| {}).and_then(|()| decoder.finish());
        decoded.map_err(|error| error.shifted(self.position.saturating_add(begun)))
    }

    /// Starts a new stream, at offset 0. The caller drops all bytes of the old one.
    pub fn reset(&mut self) {
        (self.position, self.limit) = (0, self.limit());
        self.begin_frame();
    }

    /// Skips an oversize frame, or one whose payload is taken in runs: [`find`](Self::find) discards
    /// exactly the rest of it as it arrives, and then finds the next frame.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if there is no such frame, [`RecoverError::Failed`] if the stream
    /// failed with another error, or during a search. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match (self.phase, self.error()) {
            (Phase::Failed { error: DecodeError::Oversize { at, len, .. }, refused }, _) => {
                self.phase = Phase::Skip { at, refused, remaining: len };
                Ok(())
            }
            (Phase::Payload { at, remaining: remaining @ 1.. }, _) => {
                self.phase = Phase::Skip { at, refused: 0, remaining };
                Ok(())
            }
            (Phase::Payload { .. }, _) => {
                self.begin_frame();
                Ok(())
            }
            (_, Some(error)) => Err(RecoverError::Failed(error)),
            (_, None) => Err(RecoverError::NotFailed),
        }
    }
}

impl<F: Format + fmt::Debug> fmt::Debug for Scanner<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner")
            .field("format", &self.format)
            .field("limit", &self.limit)
            .field("position", &self.position)
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

/// Converts a number of bytes. One over `usize::MAX`, which no slice has, saturates.
fn saturating_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
