//! The read buffer: bytes of a stream in, whole frames out, over storage that the caller picks.

use core::fmt;

use crate::decoder::Decoder;
#[cfg(feature = "tokio")]
use crate::error::HeaderError;
use crate::error::{DecodeError, RecoverError, StorageError};
use crate::format::{Format, Header, HeaderBuf, Parsed, SelfChecking, V1, copy_payload};
use crate::frame::Frame;
use crate::framing::Framing;

/// What a growing buffer begins with, and does not shrink below by itself.
#[cfg(feature = "alloc")]
const MIN_LEN: usize = 8 * 1024;
/// How far a growing buffer follows a stream that keeps filling it, whatever the limit: larger
/// reads bring nothing more.
#[cfg(feature = "alloc")]
pub(crate) const BUSY_LEN: usize = 1 << if usize::BITS > 16 { 16 } else { 14 };
/// After so many reads in a row that needed no more than that, a growing buffer goes back to it.
const QUIET_READS: u8 = 8;

/// Collects a stream's bytes and lends the whole frames among them, without a copy.
///
/// Read into [`spare`](Self::spare), [`commit`](Self::commit) what was read, take frames with
/// [`next_frame`](Self::next_frame) until it returns `None`, and repeat. At the stream's end,
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
/// with what has arrived. What stands in a storage does not matter; it is room. Over
/// storage of fixed size the effective limit is what fits: its length less the room for a header.
/// After `next_frame` or `resync` has returned `None`, `spare` is not empty: that the storage is
/// shorter than a header is an error of both.
///
/// # Memory
/// A `Vec` begins with 8 KiB, and when a read has filled it, it doubles, or goes back to the size
/// that it had before it was shrunk; never does it grow because a peer has announced something.
/// After a large frame it goes back to 64 KiB once eight reads in a row needed no more; [`shrink`](Self::shrink) gives all of it back at once. Nothing here panics; with a `Vec`,
/// running out of memory aborts.
///
/// # Errors latch
/// As with [`Decoder`].
#[derive(Clone)]
pub struct FrameBuf<S, F: Format = V1> {
    storage: S,
    decoder: Decoder<F>,
    /// `storage[start..end]` is what was committed and not yet lent, from a frame's first byte on.
    start: usize,
    end: usize,
    /// Of those, how many are the refused header's beginning.
    refused: usize,
    /// `storage[start..seen]` is known not to end the header; behind a frame's end it says nothing.
    seen: usize,
    /// As long as `end` is before it, no look at the bytes is of use.
    need: usize,
    /// The offset of the oversize frame that is being skipped.
    skipping: u64,
    /// How a growing storage is used: reads in a row that needed little, and whether the last one
    /// filled all the room.
    quiet: u8,
    filled: bool,
    /// The size that it had before it was given back.
    before: usize,
}

/// A frame that stands in the storage.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Located<M> {
    meta: M,
    header_len: usize,
    start: usize,
    end: usize,
}

impl<S: Storage> FrameBuf<S> {
    /// A buffer for version-1 frames. The limit is 1 MiB, or what fits into the storage.
    #[must_use]
    pub fn new(storage: S) -> Self {
        Self::build(storage, Framing::default())
    }
}

impl<S: Storage, F: Format> FrameBuf<S, F> {
    /// A buffer for frames of this format and limit.
    ///
    /// # Errors
    /// The storage cannot hold the largest frame within a limit that was
    /// [set](Framing::with_limit). (The default limit gives way to the storage.)
    pub fn with_framing(storage: S, framing: impl Into<Framing<F>>) -> Result<Self, StorageError> {
        let framing = framing.into();
        let needed = framing.limit().saturating_add(framing.format().max_header_len() as u64);
        let room = storage.bytes().len();
        if framing.is_explicit() && !S::GROWS && needed > room as u64 {
            return Err(StorageError { needed, room });
        }
        Ok(Self::build(storage, framing))
    }

    pub(crate) fn build(storage: S, framing: Framing<F>) -> Self {
        // No slice is longer than `isize::MAX` bytes, so no storage grows beyond that.
        let most = if S::GROWS { isize::MAX.unsigned_abs() } else { storage.bytes().len() };
        let decoder = Decoder::with_framing(framing.within(most));
        Self {
            storage,
            decoder,
            start: 0,
            end: 0,
            refused: 0,
            seen: 0,
            need: 1,
            skipping: 0,
            quiet: 0,
            filled: false,
            before: 0,
        }
    }

    /// The effective format and limit: encode with it what the other side's equal buffer takes.
    pub fn framing(&self) -> Framing<&F> {
        Framing::new(self.decoder.format()).with_limit(self.decoder.limit())
    }

    /// Room to read into. Makes some first, where needed: by moving the unread bytes to the
    /// storage's beginning, or by letting it grow.
    ///
    /// Empty only if the storage is full of frames that were not taken, or the stream has failed.
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        let len = self.storage.bytes().len();
        if self.start == self.end || len - self.end <= len / 4 || self.filled || S::is_large(len) {
            self.make_room();
        }
        self.storage.bytes_mut().get_mut(self.end..).unwrap_or_default()
    }

    /// Counts the first `n` bytes of [`spare`](Self::spare) as read; at most all of them.
    #[inline]
    pub fn commit(&mut self, n: usize) {
        let room = self.storage.bytes().len() - self.end;
        self.end += n.min(room);
        self.filled = S::GROWS && n >= room;
    }

    /// Copies the beginning of `bytes` into the spare room and says how many were taken: for
    /// bytes that cannot be read in place.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let spare = self.spare();
        let taken = bytes.len().min(spare.len());
        copy_payload(spare, bytes);
        self.commit(taken);
        taken
    }

    /// Lends the next whole frame. `Ok(None)` says that more bytes are needed.
    ///
    /// # Errors
    /// The stream failed. [`unread`](Self::unread) then begins just behind the refused bytes.
    #[inline(always)]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, DecodeError> {
        let located = self.locate()?;
        Ok(located.and_then(|located| self.lend(located)))
    }

    /// Says whether the stream may end behind the bytes committed.
    ///
    /// # Errors
    /// As [`Decoder::finish`], and the error that frames not yet taken would give.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        let mut scratch = self.decoder.scratch();
        scratch.for_each(self.unread(), |_| {})?;
        scratch.finish()
    }

    /// The error that the stream has failed with, if it has and `next_frame` came to it.
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        if let Some((needed, room)) = self.header_beyond_room() {
            return Some(DecodeError::NoRoom { at: self.position(), needed, room });
        }
        let error = self.decoder.error()?;
        // A search counts the bytes that are here and not searched yet.
        let DecodeError::Unsynchronized { at, skipped } = error else { return Some(error) };
        let unread = (self.end - self.start) as u64;
        Some(DecodeError::Unsynchronized { at: at + unread, skipped: skipped + unread })
    }

    /// The bytes committed and not lent yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.storage.bytes().get(self.start + self.refused..self.end).unwrap_or_default()
    }

    /// The stream offset of the first unread byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.decoder.position()
    }

    /// The storage, and where in it the [unread](Self::unread) bytes are.
    #[must_use]
    pub fn into_parts(self) -> (S, core::ops::Range<usize>) {
        (self.storage, self.start + self.refused..self.end)
    }

    /// The storage's bytes now.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.storage.bytes().len()
    }

    /// Drops all unread bytes and begins a new stream, at offset 0.
    pub fn reset(&mut self) {
        self.decoder.reset();
        (self.start, self.end) = (0, 0);
        self.forget_looks();
    }

    /// Goes on after an oversize frame, as [`Decoder::skip_frame`].
    ///
    /// # Errors
    /// The stream did not fail, or not so.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        let error = self.error().ok_or(RecoverError::NotFailed)?;
        let DecodeError::Oversize { at, .. } = error else {
            return Err(RecoverError::Failed(error));
        };
        self.decoder.skip_frame()?;
        self.skipping = at;
        self.start += self.refused;
        self.forget_looks();
        Ok(())
    }

    /// Gives back the memory of a growing storage that holds no unread bytes.
    pub fn shrink(&mut self) {
        if S::GROWS {
            self.before = self.before.max(self.storage.bytes().len());
            self.compact();
            self.storage.resize(self.end);
            self.quiet = 0;
        }
    }

    /// Finds the next whole frame and counts it as taken; the caller lends it.
    #[inline(always)]
    pub(crate) fn locate(&mut self) -> Result<Option<Located<F::Meta>>, DecodeError> {
        if self.end < self.need && self.header_beyond_room().is_none() {
            return Ok(None);
        }
        match self.whole() {
            Some((header, frame_len)) => Ok(Some(self.take(header, frame_len))),
            None => self.locate_slowly(),
        }
    }

    /// The header and the length of the frame that stands here whole, if all is well: most often.
    #[inline(always)]
    fn whole(&self) -> Option<(Header<F::Meta>, usize)> {
        if self.end < self.need || self.seen > self.start {
            return None;
        }
        self.decoder.peek_whole(self.storage.bytes().get(self.start..self.end)?)
    }

    /// Whether the next frame is all here, as far as a quick look tells. An `async` caller asks
    /// this first and then takes it by [`next_whole`](Self::next_whole): a frame that is found
    /// and lent in one go stays in registers, where one that might have to be waited for goes
    /// through memory, which costs three times as much.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn has_whole(&self) -> bool {
        self.whole().is_some()
    }

    /// The frame that [`has_whole`](Self::has_whole) saw.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn next_whole(&mut self) -> Result<Frame<'_, F::Meta>, DecodeError> {
        let at = self.position();
        if let Some((header, frame_len)) = self.whole() {
            let located = self.take(header, frame_len);
            if let Some(frame) = self.lend(located) {
                return Ok(frame);
            }
        }
        // Only a format that changes its mind comes here.
        Err(DecodeError::Header { at, error: HeaderError::BrokenFormat })
    }

    /// Counts a whole frame as taken.
    #[inline(always)]
    fn take(&mut self, header: Header<F::Meta>, frame_len: usize) -> Located<F::Meta> {
        let start = self.start;
        self.decoder.consume(frame_len);
        self.start += frame_len;
        Located { meta: header.meta, header_len: header.header_len, start, end: self.start }
    }

    #[inline(never)]
    fn locate_slowly(&mut self) -> Result<Option<Located<F::Meta>>, DecodeError> {
        loop {
            if self.end < self.need {
                return self.error().map_or(Ok(None), Err);
            }
            let unread = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
            match self.decoder.peek(unread, self.seen.saturating_sub(self.start)) {
                Ok(Some(Parsed::Header(header))) => {
                    let frame_len = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
                    if frame_len <= unread.len() {
                        return Ok(Some(self.take(header, frame_len)));
                    }
                    self.need = self.start.saturating_add(frame_len);
                    return Ok(None);
                }
                Ok(Some(Parsed::Need(needed))) => {
                    let fits = S::GROWS || needed <= self.storage.bytes().len();
                    self.seen = self.end;
                    self.need = if fits { self.end + 1 } else { self.start + needed };
                    return self.error().map_or(Ok(None), Err);
                }
                Ok(None) => {
                    self.start += self.decoder.drop_skipped(unread);
                    self.need = self.start + 1;
                }
                Err((error, refused)) => {
                    self.refused += refused;
                    self.need = 0;
                    return Err(self.error().unwrap_or(error));
                }
            }
        }
    }

    /// The bytes that the next header needs and those that there are, if it cannot fit. (A frame
    /// within the limit always does.)
    #[inline(always)]
    fn header_beyond_room(&self) -> Option<(usize, usize)> {
        let room = self.storage.bytes().len();
        let needed = self.need.saturating_sub(self.start);
        (!S::GROWS && needed > room).then_some((needed, room))
    }

    /// The frame that was located, as long as nothing was read since.
    #[inline(always)]
    pub(crate) fn lend(&self, located: Located<F::Meta>) -> Option<Frame<'_, F::Meta>> {
        let bytes = self.storage.bytes().get(located.start..located.end)?;
        Frame::from_parts(located.meta, located.header_len, bytes)
    }

    /// Whether more of a long payload is needed, so that a peer's time is worth a look though bytes
    /// keep coming.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_waiting(&self) -> bool {
        self.end < self.need || self.decoder.finish().is_err()
    }

    /// The offset of the frame that has begun and is not whole, or is being skipped.
    #[cfg(feature = "std")]
    pub(crate) fn open_frame(&self) -> Option<u64> {
        if self.decoder.error().is_some() {
            None
        } else if self.decoder.finish().is_err() {
            Some(self.skipping)
        } else {
            (self.start != self.end).then(|| self.position())
        }
    }

    /// The header of the frame that has begun and is not whole, once that is all there.
    #[cfg(feature = "std")]
    pub(crate) fn begun(&self) -> Option<Header<F::Meta>> {
        if self.decoder.finish().is_err() {
            return None; // failed, or skipping
        }
        match self.decoder.format().decode_header(self.unread()) {
            Ok(Parsed::Header(header)) => Some(header),
            Ok(Parsed::Need(_)) | Err(_) => None,
        }
    }

    fn forget_looks(&mut self) {
        (self.refused, self.seen, self.need) = (0, 0, self.start + 1);
    }

    fn make_room(&mut self) {
        let len = self.storage.bytes().len();
        let unread = self.end - self.start;
        let tail = len - self.end;
        // Lazily: only what has freed at least as much as it moves, or has no room at all, so
        // that every byte is moved a bounded number of times.
        if unread == 0 || tail == 0 || (tail < len / 4 && self.start >= unread) {
            self.compact();
        }
        if S::GROWS {
            self.adapt(unread);
        }
    }

    /// Moves the unread bytes to the storage's beginning.
    fn compact(&mut self) {
        if self.start > 0 {
            self.storage.move_to_front(self.start, self.end);
            self.moved_to_front();
        }
    }

    /// What the positions are once the unread bytes stand at the storage's beginning.
    fn moved_to_front(&mut self) {
        self.end -= self.start;
        self.seen = self.seen.saturating_sub(self.start);
        self.need = self.need.saturating_sub(self.start);
        self.start = 0;
    }

    /// Lets a growing storage follow what arrives, both ways.
    fn adapt(&mut self, unread: usize) {
        let len = self.storage.bytes().len();
        let full = self.end == len;
        if full || self.filled {
            self.filled = false;
            self.quiet = 0;
            let most = self.decoder.format().max_header_len() as u64 + self.decoder.limit();
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let larger = self.storage.larger(full, most);
            // What filled a read, and has been so large before, may be so large again.
            let larger = if len == 0 { larger } else { larger.max(self.before) };
            self.storage.resize(larger);
            if len > 0 {
                self.before = 0;
            }
        } else if S::is_large(len) {
            self.quiet = if S::is_large(unread) { 0 } else { self.quiet + 1 };
            if self.quiet >= QUIET_READS {
                self.quiet = 0;
                self.before = 0;
                self.compact();
                self.storage.resize(self.storage.usual().max(self.end));
            }
        }
    }
}

#[cfg(feature = "tokio")]
impl<F: Format> FrameBuf<alloc::vec::Vec<u8>, F> {
    /// Moves the unread bytes into another storage, and gives back its own; or the other one, if
    /// they do not fit.
    pub(crate) fn exchange(&mut self, mut storage: alloc::vec::Vec<u8>) -> alloc::vec::Vec<u8> {
        let unread = self.storage.get(self.start..self.end).unwrap_or_default();
        if unread.len() > storage.len() {
            return storage;
        }
        copy_payload(&mut storage, unread);
        self.moved_to_front();
        (self.quiet, self.filled) = (0, false);
        core::mem::replace(&mut self.storage, storage)
    }

    /// The same, into a storage of just their length.
    pub(crate) fn exchange_for_least(&mut self) -> alloc::vec::Vec<u8> {
        if self.storage.len() > BUSY_LEN {
            self.before = self.storage.len();
        }
        self.exchange(alloc::vec![0; self.end - self.start])
    }
}

impl<S: Storage, F: SelfChecking> FrameBuf<S, F> {
    /// Searches, on a lossy line, for the next header that decodes and keeps the limit, as
    /// [`Decoder::resync`]. `Ok(None)` says that more bytes are needed: commit some, and call
    /// this again.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] when there was no error to go on from. [`RecoverError::Failed`]
    /// with a [`DecodeError::NoRoom`] when the storage is shorter than a header, and full of what
    /// may be one's beginning: it latches.
    pub fn resync(&mut self) -> Result<Option<u64>, RecoverError> {
        if let Some(error @ DecodeError::NoRoom { .. }) = self.error() {
            return Err(RecoverError::Failed(error));
        }
        let bytes = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
        let (dropped, found) = self.decoder.search(bytes)?;
        self.start += dropped;
        self.forget_looks();
        if found.is_none() {
            let room = self.storage.bytes().len();
            if !S::GROWS && self.end - self.start >= room {
                // All headers of such a format are as long as this, so `room` is less.
                self.need = self.start + F::HeaderBuf::LEN;
                return self.error().map_or(Ok(None), |error| Err(RecoverError::Failed(error)));
            }
            self.need = 0; // `next_frame` has an error to tell, bytes or not
        }
        Ok(found)
    }
}

impl<S, F: Format + fmt::Debug> fmt::Debug for FrameBuf<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameBuf")
            .field("decoder", &self.decoder)
            .field("unread", &(self.end - self.start - self.refused))
            .finish()
    }
}

/// What a [`FrameBuf`] keeps its bytes in: `[u8; N]`, `&mut [u8]`, `Box<[u8]>`, or a `Vec<u8>` that
/// grows. Sealed.
pub trait Storage: sealed::Storage {}

mod sealed {
    pub trait Storage {
        const GROWS: bool = false;

        fn bytes(&self) -> &[u8];
        fn bytes_mut(&mut self) -> &mut [u8];

        /// Moves `start..end` to the front.
        fn move_to_front(&mut self, start: usize, end: usize) {
            super::move_to_front(self.bytes_mut(), start, end);
        }

        /// Whether a growing storage of this length grew for a large frame.
        #[inline(always)]
        fn is_large(len: usize) -> bool {
            let _ = len;
            false
        }

        /// The size to go back to.
        fn usual(&self) -> usize {
            self.bytes().len()
        }

        /// The next size up; one that a frame of `most` bytes needs only if it is `full`.
        fn larger(&self, full: bool, most: usize) -> usize {
            let _ = (full, most);
            self.bytes().len()
        }

        /// A storage of fixed size stays as it is.
        fn resize(&mut self, len: usize) {
            let _ = len;
        }
    }
}

impl<const N: usize> Storage for [u8; N] {}
impl<const N: usize> sealed::Storage for [u8; N] {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Storage for &mut [u8] {}
impl sealed::Storage for &mut [u8] {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

#[cfg(feature = "alloc")]
impl Storage for alloc::boxed::Box<[u8]> {}
#[cfg(feature = "alloc")]
impl sealed::Storage for alloc::boxed::Box<[u8]> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

#[cfg(feature = "alloc")]
impl Storage for alloc::vec::Vec<u8> {}
#[cfg(feature = "alloc")]
impl sealed::Storage for alloc::vec::Vec<u8> {
    const GROWS: bool = true;

    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    fn move_to_front(&mut self, start: usize, end: usize) {
        if start <= end && end <= self.len() {
            self.copy_within(start..end, 0);
        }
    }
    #[inline(always)]
    fn is_large(len: usize) -> bool {
        len > BUSY_LEN
    }
    fn usual(&self) -> usize {
        BUSY_LEN
    }
    fn larger(&self, full: bool, most: usize) -> usize {
        let doubled = self.len().saturating_mul(2).max(MIN_LEN).max(self.capacity());
        let most = if full { most.max(BUSY_LEN) } else { BUSY_LEN };
        doubled.min(most).max(self.len())
    }
    fn resize(&mut self, len: usize) {
        if len > self.len() {
            // In place, if the allocator can: that costs less than zeros that it has at hand.
            self.reserve_exact(len - self.len());
            self.resize(len, 0);
        } else if len < self.len() {
            self.truncate(len);
            self.shrink_to_fit();
        }
    }
}

/// Moves `bytes[start..end]` to the front, in blocks as long as the gap, so that each is a copy
/// between two disjoint slices. `copy_within` would keep a panic path at some optimisation levels.
fn move_to_front(bytes: &mut [u8], start: usize, end: usize) {
    let mut rest = bytes.get_mut(..end).unwrap_or_default();
    while let Some((gap, tail)) = rest.split_at_mut_checked(start)
        && !gap.is_empty()
        && !tail.is_empty()
    {
        copy_payload(gap, tail);
        rest = rest.get_mut(start..).unwrap_or_default();
    }
}
