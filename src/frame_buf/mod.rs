//! The read buffer: bytes of a stream in, whole frames out, over storage that the caller picks.

#[cfg(feature = "alloc")]
mod growing;
mod payload;
mod recover;
mod room;

use core::fmt;
use core::ops::Range;

use crate::error::{DecodeError, StorageError};
use crate::format::V1;
use crate::frame::Frame;
use crate::framing::Framing;
use crate::scan::{Found, Scan, Scanner};
use crate::storage::Storage;
use crate::wire::Wire;

/// The last read filled all the room, or the reserve has room to make.
const FILLED: u8 = 1;
/// The next frame is large.
const LARGE: u8 = 2;
/// A growing buffer reads little after a frame that is at least this long: what it reads is moved to the
/// front before the next frame has arrived.
const LARGE_FRAME: usize = 32 * 1024;

/// Collects a stream's bytes and returns the whole frames among them, borrowed.
///
/// Read into [`spare`](Self::spare), [`commit`](Self::commit) what was read, take frames with
/// [`next_frame`](Self::next_frame) until it returns `None`, and repeat. At the stream's end call
/// [`finish`](Self::finish).
///
/// ```
/// use unstick::{FrameBuf, Kind};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut socket: &[u8] = b"\xf5\x01\x01\0\0\0\x02\xf2hi";
/// use std::io::Read;
///
/// let mut buf = FrameBuf::new([0; 2048]);
/// let mut texts = Vec::new();
/// loop {
///     let n = socket.read(buf.spare())?;
///     if n == 0 {
///         buf.finish()?; // an error if the stream ended inside a frame
///         break;
///     }
///     buf.commit(n);
///     while let Some(frame) = buf.next_frame()? {
///         texts.push((frame.meta, frame.payload.to_vec()));
///     }
/// }
/// assert_eq!(texts, [(Kind::TEXT, b"hi".to_vec())]);
/// # Ok(())
/// # }
/// ```
///
/// # Storage
/// `[u8; N]`, `&mut [u8]`, and with the feature `alloc` a `Box<[u8]>`, or a `Vec<u8>` that grows
/// with what has arrived. The initial contents of a storage are ignored. Over a
/// storage of fixed size the effective limit is what fits: its length minus the room for a header and a
/// check, or for a mark and for escapes of every byte.
/// After `next_frame` or `resync` has returned `None`, `spare` is not empty: both return an error
/// if the storage is shorter than a header.
///
/// # Find first, borrow later
/// [`next_frame`](Self::next_frame) borrows the buffer for as long as the frame lives, even on the
/// path that returns `None`. Code that waits for more bytes on that path, such as an `async` reader,
/// calls [`find`](Self::find), which returns a [`Found`] without a borrow, and at the end
/// [`frame`](Self::frame), which borrows the frame.
///
/// # Memory
/// A `Vec` begins with 8 KiB. When reads have filled it, it doubles, up to 64 KiB; when it is full of
/// the beginning of a frame, it becomes up to three times as long, but no longer than the frame needs,
/// or returns to the length that it had before it was shrunk. So it has at most three times as much
/// memory as what has arrived, or 8 KiB; while it grows, the old memory for a moment too. It never
/// grows because a peer has announced something, unless `reserve_announced` allows it. After a large
/// frame it shrinks to 64 KiB once eight reads in a row needed no more; [`shrink`](Self::shrink) gives
/// all of it back at once. Nothing here panics; with a `Vec`, running out of memory aborts.
///
/// # Errors latch
/// As with [`Decoder`](crate::Decoder).
///
/// # Checks and escapes
/// A frame with a check is returned only if it is valid. Escapes are removed in place: a payload is
/// never longer than its encoding.
#[derive(Clone)]
pub struct FrameBuf<S, F: Wire = V1> {
    storage: S,
    scanner: Scanner<F>,
    /// `storage[start..end]` was committed and not consumed yet.
    start: usize,
    end: usize,
    /// While `end` is less than this, the next frame is not whole; zero if its length is not known.
    need: usize,
    /// The length of a header that does not fit into the storage, in bytes; zero if none.
    no_room: usize,
    /// The number of reads in a row that needed little of a growing storage.
    quiet: u8,
    /// Why a growing storage is looked at before the next read: `FILLED`, `LARGE`; zero if it is not.
    look_first: u8,
    /// The length of a growing storage before it was given back.
    before: usize,
    /// The max number of bytes of a frame for which a growing storage makes room once its header is
    /// complete.
    reserve: usize,
}

/// The result of `find_outlined`.
enum Outcome {
    Found,
    NeedsMore,
    /// The stream has failed: see [`FrameBuf::error`].
    Failed,
}

impl<S: Storage> FrameBuf<S> {
    /// Creates a buffer for version-1 frames. The limit is 1 MiB, or what fits into the storage.
    #[must_use]
    pub fn new(storage: S) -> Self {
        Self::build(storage, Framing::default())
    }
}

impl<S: Storage, F: Wire> FrameBuf<S, F> {
    /// Creates a buffer for frames of this format and limit.
    ///
    /// # Errors
    /// Returns an error if the storage cannot hold the largest frame within a limit that was
    /// [set](Framing::with_limit). The default limit is lowered to what fits.
    pub fn with_framing(storage: S, framing: impl Into<Framing<F>>) -> Result<Self, StorageError> {
        let framing = framing.into();
        let needed = framing.format().max_frame_len(framing.limit());
        let room = storage.bytes().len();
        if framing.is_explicit() && !S::GROWS && needed > room as u64 {
            return Err(StorageError { needed, room });
        }
        Ok(Self::build(storage, framing))
    }

    fn build(storage: S, framing: Framing<F>) -> Self {
        let max = if S::GROWS { usize::MAX } else { storage.bytes().len() };
        let no_room = usize::from(max == 0);
        Self {
            storage,
            scanner: Scanner::new(framing.within(max)),
            start: 0,
            end: 0,
            need: 0,
            no_room,
            quiet: 0,
            look_first: 0,
            before: 0,
            reserve: 0,
        }
    }

    /// Returns the format and the effective limit. A frame that is encoded with them fits into an
    /// equal buffer of the peer.
    pub fn framing(&self) -> Framing<&F> {
        self.scanner.framing()
    }

    /// Sets the limit, in payload bytes, from the next header or frame on, like
    /// [`Scanner::set_limit`]; over a storage of fixed size to at most what fits.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        let room = if S::GROWS { usize::MAX } else { self.storage.bytes().len() };
        let fits = self.scanner.format().payload_within(room as u64);
        self.scanner.set_limit(payload_bytes.min(fits));
    }

    /// Returns the next whole frame, borrowed until the next call; `Ok(None)` if more bytes are needed. To
    /// keep it longer, call [`Frame::to_owned`].
    ///
    /// # Errors
    /// Returns an error if the stream has failed. [`unread`](Self::unread) then begins after the
    /// refused bytes.
    #[inline(always)]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, DecodeError> {
        if self.end < self.need {
            return Ok(None);
        }
        let (start, end) = (self.start, self.end);
        match self.find_now() {
            // The same slice was searched, so the compiler removes the bounds checks.
            Some(found) => {
                let bytes = self.storage.bytes().get(start..end);
                Ok(bytes.and_then(|bytes| self.scanner.frame(&found, bytes)))
            }
            None if self.begin_if_empty() => Ok(None),
            None => self.next_frame_slowly(),
        }
    }

    #[inline(always)]
    fn next_frame_slowly(&mut self) -> Result<Option<Frame<'_, F::Meta>>, DecodeError> {
        let mut found = None;
        match self.find_outlined(&mut found) {
            Outcome::NeedsMore => Ok(None),
            Outcome::Found => Ok(found.and_then(|found| self.frame(&found))),
            Outcome::Failed => self.latched_error(),
        }
    }

    #[cold]
    fn latched_error<T>(&self) -> Result<Option<T>, DecodeError> {
        self.error().map_or(Ok(None), Err)
    }

    /// Finds the next whole frame and counts it as consumed; `Ok(None)` if more bytes are needed.
    /// [`frame`](Self::frame) borrows it.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    #[inline(always)]
    pub fn find(&mut self) -> Result<Option<Found<F::Meta>>, DecodeError> {
        if self.end < self.need {
            return Ok(None);
        }
        match self.find_now() {
            Some(found) => Ok(Some(found)),
            None => self.find_slowly(),
        }
    }

    /// Returns the next whole frame if the fast path finds it. After `None`, call
    /// [`find_slowly`](Self::find_slowly): there may still be a frame or an error. An `async` reader
    /// calls this before it waits, so that a frame that has arrived stays in registers.
    #[inline(always)]
    pub fn find_now(&mut self) -> Option<Found<F::Meta>> {
        let kept = self.storage.bytes().get(self.start..self.end)?;
        let mut found = self.scanner.find_whole(kept)?;
        self.take(&mut found);
        Some(found)
    }

    /// Counts a frame as consumed, and removes its escapes.
    #[inline(always)]
    fn take(&mut self, found: &mut Found<F::Meta>) {
        if F::ESCAPED {
            let frame = self.storage.bytes_mut().get_mut(self.start..).unwrap_or_default();
            self.scanner.unescape(found, frame);
        }
        self.start += found.frame_len();
    }

    /// Finds the next whole frame like [`find`](Self::find), after [`find_now`](Self::find_now) has
    /// returned `None`.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    #[inline(always)]
    pub fn find_slowly(&mut self) -> Result<Option<Found<F::Meta>>, DecodeError> {
        if self.begin_if_empty() {
            return Ok(None);
        }
        let mut found = None;
        match self.find_outlined(&mut found) {
            Outcome::NeedsMore => Ok(None),
            Outcome::Found => Ok(found),
            Outcome::Failed => self.latched_error(),
        }
    }

    /// Whether no byte of the next frame has arrived, so that the slow path is not needed.
    #[inline(always)]
    fn begin_if_empty(&mut self) -> bool {
        let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
        let empty = (S::GROWS || self.no_room == 0) && self.scanner.begin_if_empty(kept);
        if empty {
            self.need = self.end.saturating_add(1);
        }
        empty
    }

    /// Whether enough bytes have arrived that the next frame may be whole.
    #[inline(always)]
    pub(crate) fn may_have_frame(&self) -> bool {
        self.end >= self.need
    }

    /// Finds the next frame after the fast path found none. A frame is written to `found`, and an
    /// error latches, so the result fits into a register. The common one is `NeedsMore`.
    #[inline(never)]
    fn find_outlined(&mut self, found: &mut Option<Found<F::Meta>>) -> Outcome {
        if self.has_no_room() {
            return Outcome::Failed;
        }
        loop {
            let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
            match self.scanner.find_after_fast_path(kept) {
                Ok(Scan::Frame(mut frame)) => {
                    self.take(&mut frame);
                    *found = Some(frame);
                    return Outcome::Found;
                }
                Ok(Scan::Discard(n)) => self.start += n,
                Ok(Scan::Incomplete { needed }) => {
                    if self.scanner.needs_more(kept.len()) {
                        self.need = self.start.saturating_add(needed);
                        // So that the next `spare` makes the room.
                        if S::GROWS && self.is_short_of_reserve() {
                            self.look_first |= FILLED;
                        }
                        if S::GROWS && needed >= LARGE_FRAME {
                            self.look_first |= LARGE;
                        }
                    }
                    // A frame within the limit always fits, so this is a header, or a mark breaks its
                    // laws.
                    if !S::GROWS && needed > self.storage.bytes().len() {
                        (self.no_room, self.need) = (needed, 0);
                        return Outcome::Failed;
                    }
                    return Outcome::NeedsMore;
                }
                Err(_) => return Outcome::Failed,
            }
        }
    }

    /// Borrows a frame that [`find`](Self::find) has found. Returns `None` if its bytes were
    /// overwritten since: [`spare`](Self::spare) and [`reset`](Self::reset) end its validity.
    #[inline(always)]
    pub fn frame(&self, found: &Found<F::Meta>) -> Option<Frame<'_, F::Meta>> {
        let bytes = self.consumed(found.at(), found.frame_len())?;
        F::borrow_frame(found, bytes)
    }

    /// Borrows `len` consumed bytes that began at this stream offset, unless they were overwritten.
    #[inline(always)]
    fn consumed(&self, at: u64, len: usize) -> Option<&[u8]> {
        // Nothing has moved if they are as far before `start` as they are before the position.
        let back = usize::try_from(self.scanner.position().wrapping_sub(at)).ok()?;
        let start = self.start.wrapping_sub(back);
        let end = start.wrapping_add(len);
        if end > self.start {
            return None;
        }
        self.storage.bytes().get(start..end)
    }

    /// Whether the committed bytes are known not to complete the next frame; `false` if unknown.
    pub fn needs_more(&self) -> bool {
        self.scanner.needs_more(self.end - self.start)
            || (self.scanner.open_frame(&[]).is_some() && self.needed() > 0)
    }

    /// Returns the stream offset of a frame that has begun and is not consumed, or is being skipped;
    /// `None` at a frame boundary and after an error.
    pub fn open_frame(&self) -> Option<u64> {
        // The scanner does not know the storage: for it a header without room is a begun frame.
        if self.has_no_room() { None } else { self.scanner.open_frame(self.kept()) }
    }

    /// Returns the frame that the end of the stream completes, borrowed: see
    /// [`find_end`](Self::find_end).
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn end(&mut self) -> Result<Option<Frame<'_, F::Meta>>, DecodeError> {
        let found = self.find_end()?;
        Ok(found.and_then(|found| self.frame(&found)))
    }

    /// Finds the frame that the end of the stream completes: call it at the stream's end, after
    /// [`next_frame`](Self::next_frame) has returned `None`. [`frame`](Self::frame) borrows it. There is
    /// one only if the stream's end may stand for the mark, as with
    /// [`Lines::or_end`](crate::Lines::or_end). Otherwise this method does what
    /// [`finish`](Self::finish) does.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    #[inline(always)]
    pub fn find_end(&mut self) -> Result<Option<Found<F::Meta>>, DecodeError> {
        if F::END_COMPLETES { self.find_completed() } else { self.finish().map(|()| None) }
    }

    #[cold]
    fn find_completed(&mut self) -> Result<Option<Found<F::Meta>>, DecodeError> {
        if let Some(error @ DecodeError::NoRoom { .. }) = self.error() {
            return Err(error);
        }
        let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
        let end = self.scanner.find_end(kept);
        // The error may be a new one, which every further call returns.
        self.need = 0;
        let mut found = end?;
        if let Some(found) = &mut found {
            self.take(found);
        }
        Ok(found)
    }

    /// Checks that the stream may end after the committed bytes.
    ///
    /// # Errors
    /// As [`Decoder::finish`](crate::Decoder::finish), and the error of a frame that was not taken
    /// yet.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.error() {
            Some(error) => Err(error),
            None => self.scanner.finish(self.kept()),
        }
    }

    /// Returns the error that the stream has failed with, if `next_frame` has met one.
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        if self.has_no_room() {
            let (at, room) = (self.position(), self.storage.bytes().len());
            return Some(DecodeError::NoRoom { at, needed: self.no_room, room });
        }
        match self.scanner.error()? {
            DecodeError::Unsynchronized { at, skipped } => {
                let kept = (self.end - self.start) as u64;
                Some(DecodeError::Unsynchronized { at: at + kept, skipped: skipped + kept })
            }
            error => Some(error),
        }
    }

    /// Whether a header does not fit into the storage.
    #[inline(always)]
    fn has_no_room(&self) -> bool {
        !S::GROWS && self.no_room > 0
    }

    /// Returns the bytes that the scanner has not consumed, including refused ones.
    fn kept(&self) -> &[u8] {
        self.storage.bytes().get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the bytes committed and not consumed yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.kept().get(self.scanner.refused()..).unwrap_or_default()
    }

    /// Returns the stream offset of the first unread byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.scanner.position().saturating_add(self.scanner.refused() as u64)
    }

    /// Returns the storage, and where in it the [unread](Self::unread) bytes are.
    #[must_use]
    pub fn into_parts(self) -> (S, Range<usize>) {
        let start = self.start.saturating_add(self.scanner.refused()).min(self.end);
        (self.storage, start..self.end)
    }

    /// Returns the memory of the storage, in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// Drops all unread bytes and starts a new stream, at offset 0.
    pub fn reset(&mut self) {
        self.scanner.reset();
        (self.start, self.end, self.need) = (0, 0, 0);
        self.no_room = usize::from(!S::GROWS && self.storage.bytes().is_empty());
    }

    /// Shrinks a growing storage to its unread bytes.
    pub fn shrink(&mut self) {
        if S::GROWS {
            self.before = self.before.max(self.storage.capacity());
            self.compact();
            self.storage.shrink(self.end);
            self.quiet = 0;
        }
    }
}

impl<S, F: Wire + fmt::Debug> fmt::Debug for FrameBuf<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameBuf")
            .field("scanner", &self.scanner)
            .field("unread", &self.end.saturating_sub(self.start + self.scanner.refused()))
            .finish()
    }
}
