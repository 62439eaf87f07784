//! Finds frames in bytes that the caller keeps (spec, chapter 7).
//!
//! A [`Scanner`] holds no bytes. It is for buffers that already exist: [`FrameBuf`](crate::FrameBuf)
//! and the codecs for tokio-util use it.

mod counted;
mod marked;
mod payload;
mod search;

use core::fmt;
use core::ops::Range;

use crate::error::{DecodeError, RecoverError};
use crate::format::{Header, V1};
use crate::frame::Frame;
use crate::framing::Framing;
use crate::wire::{KnownLength, Scanning, Search, Wire};

pub use crate::wire::{Found, PayloadRun, Scan, ScanPayload, Searched};
pub(crate) use counted::CountedScan;
pub(crate) use marked::MarkedScan;

/// Finds the next frame in bytes that the caller keeps.
///
/// The caller passes all bytes of the stream that it has not dropped yet, and drops from their front
/// the bytes of a returned [`Scan::Frame`] or [`Scan::Discard`]. Each byte of a frame that ends with a
/// mark is looked at once, however the stream is cut; for headers of varying length,
/// [`Format::resume_header`](crate::Format::resume_header) ensures the same.
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
///                 payloads.push(scanner.frame(&found, &kept).unwrap().payload.to_vec());
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
/// A frame with escapes is found as it stands in the stream: call [`unescape`](Self::unescape) before
/// [`frame`](Self::frame).
///
/// # Errors latch
/// After an error [`find`](Self::find) returns the same error until [`reset`](Self::reset),
/// [`skip_frame`](Self::skip_frame), or a search. The refused bytes stay at the front of the kept
/// bytes: see [`refused`](Self::refused).
#[derive(Clone)]
pub struct Scanner<W: Wire = V1> {
    wire: W,
    state: W::Scanning,
}

impl<W: Wire> Scanner<W> {
    /// Creates a scanner for frames of this format and limit. A frame is never longer than a slice
    /// can be, so on 32-bit targets the effective limit is a little below 2 GiB.
    #[must_use]
    pub fn new(framing: impl Into<Framing<W>>) -> Self {
        let framing = framing.into().within(isize::MAX.unsigned_abs());
        let state = W::Scanning::new(framing.format(), framing.limit());
        Self { wire: framing.into_format(), state }
    }

    /// Returns the format and limit.
    #[must_use]
    pub fn framing(&self) -> Framing<&W> {
        Framing::new(&self.wire).with_limit(self.limit())
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> &W {
        &self.wire
    }

    /// Returns the effective limit, in payload bytes: that of the next frame that begins.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.state.limit()
    }

    /// Sets the limit, in payload bytes, from the next header on; for frames without a header, from the
    /// next frame on. A frame whose header was accepted before, by a call that found it incomplete or has returned
    /// its header, keeps the limit that it was accepted under, and so does a refused one in its error.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        let max = self.wire.payload_within(isize::MAX.unsigned_abs() as u64);
        self.state.set_limit(payload_bytes.min(self.wire.longest_payload()).min(max));
    }

    /// Returns the length of the longest frame that can come next, in bytes.
    #[must_use]
    pub fn max_frame_len(&self) -> u64 {
        self.wire.max_frame_len(self.state.max_payload_len())
    }

    /// Returns the stream offset of the first kept byte.
    #[inline]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.state.position()
    }

    /// Returns how many bytes at the front of the kept bytes are refused ones of a failed frame; zero
    /// unless the stream has failed.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.state.refused()
    }

    /// Returns the error that the stream has failed with, if any.
    ///
    /// During a search it is [`DecodeError::Unsynchronized`], without the bytes that are kept and
    /// not searched yet.
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        self.state.error()
    }

    /// Whether a search is under way.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.state.is_searching()
    }

    /// Whether `kept` bytes are known to be too few for the next frame.
    #[inline(always)]
    #[must_use]
    pub fn needs_more(&self, kept: usize) -> bool {
        self.state.needs_more(kept)
    }

    /// Looks for a frame at the front of the kept bytes. Each call passes all bytes that were not
    /// dropped, from the same first byte on.
    ///
    /// # Errors
    /// Returns an error if the stream has failed.
    #[inline(always)]
    pub fn find(&mut self, kept: &[u8]) -> Result<Scan<W::Meta>, DecodeError> {
        match self.find_whole(kept) {
            Some(found) => Ok(Scan::Frame(found)),
            None => self.find_slowly(kept),
        }
    }

    /// Returns the frame at the front of the kept bytes if the fast path finds it. After `None`, call
    /// [`find`](Self::find): there may still be a frame or an error.
    #[inline(always)]
    pub fn find_whole(&mut self, kept: &[u8]) -> Option<Found<W::Meta>> {
        self.state.find_whole(&self.wire, kept)
    }

    #[inline(never)]
    fn find_slowly(&mut self, kept: &[u8]) -> Result<Scan<W::Meta>, DecodeError> {
        self.find_after_fast_path(kept)
    }

    /// Looks for a frame like [`find`](Self::find), after [`find_whole`](Self::find_whole) has
    /// returned `None`. It is inlined, for a caller that is outlined itself.
    #[inline(always)]
    pub(crate) fn find_after_fast_path(
        &mut self,
        kept: &[u8],
    ) -> Result<Scan<W::Meta>, DecodeError> {
        self.state.find_after_fast_path(&self.wire, kept)
    }

    /// Finds the frame that the end of the stream completes: the kept bytes, if the stream's end may
    /// stand for their mark. Otherwise this method does what [`finish`](Self::finish) does.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn find_end(&mut self, kept: &[u8]) -> Result<Option<Found<W::Meta>>, DecodeError> {
        self.state.find_end(&self.wire, kept)
    }

    /// Removes the escapes of a frame that was found, in place. `frame` begins with the frame. Call it
    /// once for each frame, before [`frame`](Self::frame); without escapes it changes nothing.
    #[inline(always)]
    pub fn unescape(&self, found: &mut Found<W::Meta>, frame: &mut [u8]) {
        if W::ESCAPED {
            let Some(frame) = frame.get_mut(..found.len) else { return };
            let Range { start, end } = self.wire.unescape_frame(frame);
            found.header.header_len = start;
            found.header.payload_len = (end - start) as u64;
        }
    }

    /// Borrows a frame that was found from `bytes`, which begin with it. Returns `None` if they are too
    /// short.
    #[inline(always)]
    #[must_use]
    pub fn frame<'a>(&self, found: &Found<W::Meta>, bytes: &'a [u8]) -> Option<Frame<'a, W::Meta>> {
        W::borrow_frame(found, bytes.get(..found.len)?)
    }

    /// Whether no byte of the next frame has arrived. If so, [`needs_more`](Self::needs_more) is true
    /// until one arrives.
    #[inline(always)]
    pub(crate) fn begin_if_empty(&mut self, kept: &[u8]) -> bool {
        self.state.begin_if_empty(kept)
    }

    /// Returns the stream offset of a frame that has begun in these kept bytes and is not consumed,
    /// or that is being skipped or taken in runs; `None` at a frame boundary and after an error.
    #[must_use]
    pub fn open_frame(&self, kept: &[u8]) -> Option<u64> {
        self.state.open_frame(&self.wire, kept)
    }

    /// Returns how many more bytes the next frame is known to have, so that a read of as many bytes
    /// reads none after it; zero if the frame is whole, or the stream has failed.
    #[must_use]
    pub fn needed(&self, kept: &[u8]) -> u64 {
        self.state.needed(&self.wire, kept)
    }

    /// Checks that the stream may end after the kept bytes: at a frame boundary, or where the stream's
    /// end completes a frame, which [`find_end`](Self::find_end) then returns.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] inside a frame, [`DecodeError::Unsynchronized`] during a search,
    /// the stream's error if it has failed, or the first error in the kept bytes.
    pub fn finish(&self, kept: &[u8]) -> Result<(), DecodeError> {
        self.state.finish(&self.wire, kept)
    }

    /// Starts a new stream, at offset 0. The caller drops all bytes of the old one.
    pub fn reset(&mut self) {
        self.state.reset();
    }

    /// Skips a failed frame, or one whose payload is taken in runs: [`find`](Self::find) discards exactly
    /// the rest of it as it arrives, and then finds the next frame. A failed frame can be skipped if it
    /// is over the limit, failed its check, or ends with a mark.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if there is no such frame, [`RecoverError::Failed`] if the stream
    /// failed with another error, or during a search. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.state.skip_frame()
    }

    /// Searches the kept bytes for the next frame within the limit, and returns how many bytes to drop
    /// from their front. Call [`begin_search`](Self::begin_search) first.
    ///
    /// If more bytes are needed, call it again once there are some.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if no search is under way.
    pub fn search(&mut self, kept: &[u8]) -> Result<Searched, RecoverError> {
        self.state.search(&self.wire, kept)
    }

    /// Skips the frame that the kept bytes begin with, and returns how many of them to drop now.
    pub(crate) fn skip_begun(&mut self, kept: &[u8]) -> Result<usize, RecoverError> {
        self.state.skip_begun(&self.wire, kept)
    }
}

impl<W: KnownLength> Scanner<W> {
    /// Returns the header of the frame that the kept bytes begin with, if it is complete and within
    /// the limit. Nothing is consumed.
    #[must_use]
    pub fn header(&self, kept: &[u8]) -> Option<Header<<W as Wire>::Meta>> {
        self.state.header(&self.wire, kept)
    }

    /// Looks for a frame like [`find`](Self::find), but finds it once its header is complete and
    /// within the limit, and consumes nothing of it. Until the whole frame has arrived,
    /// [`frame`](Self::frame) returns `None`.
    ///
    /// # Errors
    /// Returns an error if the stream has failed.
    pub fn find_header(&mut self, kept: &[u8]) -> Result<Scan<<W as Wire>::Meta>, DecodeError> {
        self.state.find_header(&self.wire, kept)
    }

    /// Takes the next bytes of the next frame's payload, as they arrive, and then the payload's end:
    /// for payloads that are larger than memory. The frame's header is discarded first: to see it,
    /// call [`find_header`](Self::find_header) before.
    ///
    /// If a check follows the payload, the payload's end is returned after the check has arrived, and
    /// the bytes before it are unchecked. A payload that is not taken to its end is discarded by
    /// [`find`](Self::find).
    ///
    /// # Errors
    /// Returns an error if the stream has failed.
    pub fn find_payload(&mut self, kept: &[u8]) -> Result<ScanPayload, DecodeError> {
        self.state.find_payload(&self.wire, kept)
    }
}

impl<W: Wire> Scanner<W> {
    /// Begins a search for the next frame, from the byte after the failed frame's first: for a valid
    /// header; for a whole valid frame if a check follows the payload; for the next mark if frames end
    /// with one. A search that is under way continues.
    ///
    /// This is for lines that lose or damage bytes. On a reliable transport end the stream instead:
    /// payload bytes may look like a header, and a peer could have placed them there.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed. Nothing changes then.
    pub fn begin_search(&mut self) -> Result<(), RecoverError>
    where
        W: Search,
    {
        W::begin_search(&mut self.state)
    }

    /// Begins a search like [`begin_search`](Self::begin_search), but from the frame that the kept bytes
    /// begin with, whole or not, although it has not failed: for a caller that knows that it is none.
    /// During a search that is the place that looks like a frame and is waited for.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if no frame has begun. Nothing changes then.
    pub fn reject_frame(&mut self, kept: &[u8]) -> Result<(), RecoverError>
    where
        W: Search,
    {
        self.state.reject(&self.wire, kept)
    }
}

impl<W: Wire + fmt::Debug> fmt::Debug for Scanner<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner")
            .field("format", &self.wire)
            .field("limit", &self.state.max_payload_len())
            .field("position", &self.position())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}
