//! The write buffer: what a writer has accepted and not written yet.

mod owned;
mod streamed;

use core::fmt;
use core::ops::Range;

use crate::check::TrailerBuf;
use crate::encode::Encoder;
use crate::error::EncodeError;
use crate::format::V1;
use crate::framing::Framing;
use crate::storage::Storage;
use crate::wire::{AsMeta, Wire};

/// A growing buffer lets a payload of at least this many bytes be written directly, without a copy,
/// if the transport takes several slices in one write. Copying a smaller one costs less than a write
/// for each frame.
const DIRECT_LEN: usize = 32 * 1024;
/// A growing buffer that holds at least this many bytes accepts no more before they are written. It
/// is also the min length of a direct payload if the transport takes one slice per write.
const FULL_LEN: usize = 64 * 1024;
/// The same while the transport takes all of it at once, time after time: a write has a cost of its own.
#[cfg(feature = "std")]
const BUSY_LEN: usize = 4 * FULL_LEN;
/// The memory that a growing buffer may keep while it is idle, in bytes.
const IDLE_LEN: usize = 256;

/// Collects small frames to be written together, and lets large payloads be written directly, without
/// a copy. It holds no transport; its caller writes.
///
/// ```
/// use unstick::{Accepted, Framing, U16Be, WriteBuf};
///
/// // Writes frames to a transport that takes a few bytes at a time.
/// fn write(transport: &mut Vec<u8>, slices: [&[u8]; 2]) -> usize {
///     let first = if slices[0].is_empty() { slices[1] } else { slices[0] };
///     let n = first.len().min(7);
///     transport.extend_from_slice(&first[..n]);
///     n
/// }
///
/// let mut buf = WriteBuf::new([0; 16], Framing::new(U16Be));
/// let mut transport = Vec::new();
/// for payload in [&b"one"[..], b"two", b"a payload longer than the storage"] {
///     loop {
///         let accepted = buf.frame((), payload)?;
///         let direct = if accepted == Accepted::Direct { payload } else { &[] };
///         if accepted != Accepted::Collected {
///             while let Some(slices) = buf.unwritten(direct) {
///                 let n = write(&mut transport, slices);
///                 buf.wrote(n);
///             }
///         }
///         match accepted {
///             Accepted::Nothing => continue, // there is room now
///             Accepted::Direct => buf.end_direct()?,
///             Accepted::Collected => {}
///         }
///         break;
///     }
/// }
/// assert_eq!(transport, b"\0\x03one\0\x03two\0\x21a payload longer than the storage");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Storage
/// A storage of fixed size collects what fits into it. A `Vec` grows: it collects up to 64 KiB and
/// one frame, and lets a payload of 32 KiB or more be written directly. While [`poll_write`](Self::poll_write)
/// finds that the transport takes all that was collected at once, it collects more, up to 256 KiB and one
/// frame, until the buffer is empty and [released](Self::release_memory), or the transport does not take it.
///
/// A frame that ends with a mark is always collected: it must fit into a storage of fixed size.
///
/// # A call that ends early
/// A call that writes a payload directly may end early: by an error, or because a future is dropped.
/// The next call then drops the frame if none of its bytes was written. Otherwise the stream is
/// unusable, and every call returns [`WriteBufError::Poisoned`].
pub struct WriteBuf<S, F: Wire = V1> {
    encoder: Encoder<F>,
    storage: S,
    /// `storage[start..end]` was accepted and not written yet.
    start: usize,
    end: usize,
    /// The payload that is being written directly.
    direct: Option<Direct>,
    /// That payload, if it was accepted with its memory: after it, nothing is accepted until it is written.
    #[cfg(feature = "alloc")]
    owned: Option<alloc::vec::Vec<u8>>,
    poisoned: bool,
    /// From this many bytes on a growing buffer is full: `FULL_LEN` to `BUSY_LEN`.
    full_len: usize,
    /// Whether the transport takes several slices in one write.
    vectored: bool,
    /// The digest of the frame that is being accepted, after the payload that is written directly.
    digest: F::Digest,
}

#[derive(Clone, Copy)]
struct Direct {
    /// The length of a run of a streamed frame's payload; `None` for a whole frame.
    run: Option<usize>,
    /// Where in the storage the frame begins; for a run of payload, where the bytes before it end.
    mark: usize,
    /// The number of payload bytes that are in the storage, or written.
    taken: usize,
    /// Whether a byte from `mark` on was written.
    begun: bool,
}

/// What a [`WriteBuf`] did with a frame or a run of payload bytes.
///
/// ```
/// use unstick::{Accepted, U8, WriteBuf};
///
/// let mut buf = WriteBuf::new([0; 8], U8);
/// assert_eq!(buf.frame((), b"hello")?, Accepted::Collected);
/// assert_eq!(buf.frame((), b"again")?, Accepted::Nothing); // write what is there first
/// # Ok::<(), unstick::WriteBufError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "only `Collected` is done"]
pub enum Accepted {
    /// It is in the buffer.
    Collected,
    /// Nothing was accepted: write what is [unwritten](WriteBuf::unwritten), and call again.
    Nothing,
    /// It is too long to be collected: write what is [unwritten](WriteBuf::unwritten), with the
    /// payload, and then call [`end_direct`](WriteBuf::end_direct).
    Direct,
}

/// Why a [`WriteBuf`] accepts nothing.
///
/// ```
/// use unstick::{EncodeError, U8, WriteBuf, WriteBufError};
///
/// let mut buf = WriteBuf::growing(U8);
/// let error = buf.frame((), &[0; 256]).unwrap_err();
/// assert_eq!(error, WriteBufError::Encode(EncodeError::Oversize { len: 256, limit: 255 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteBufError {
    /// The frame cannot be encoded.
    Encode(EncodeError),
    /// A frame was written in part and then abandoned: further bytes would be read as its payload.
    Poisoned,
}

impl fmt::Display for WriteBufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Poisoned => f.write_str(
                "a frame was written only in part, the stream is of no use any more; close it",
            ),
        }
    }
}

impl core::error::Error for WriteBufError {}

#[cfg(feature = "std")]
crate::__io_errors! {
    WriteBufError { WriteBufError::Encode(error) => into error, _ => BrokenPipe }
}

impl From<EncodeError> for WriteBufError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl<S: Storage, F: Wire> WriteBuf<S, F> {
    /// Creates an empty buffer for frames of this format and limit.
    pub fn new(mut storage: S, framing: impl Into<Framing<F>>) -> Self {
        storage.begin_writing();
        let encoder = Encoder::new(framing);
        Self {
            digest: encoder.digest_after(&[]),
            encoder,
            storage,
            start: 0,
            end: 0,
            direct: None,
            #[cfg(feature = "alloc")]
            owned: None,
            poisoned: false,
            full_len: FULL_LEN,
            vectored: true,
        }
    }

    /// Sets whether the transport takes several slices in one write; the default is `true`. If
    /// `false`, a growing buffer copies payloads of less than 64 KiB instead of 32 KiB.
    pub fn set_vectored(&mut self, vectored: bool) {
        self.vectored = vectored;
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.encoder.framing()
    }

    /// Sets the limit, in payload bytes, from the next frame on.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.encoder.set_limit(payload_bytes);
    }

    /// Whether a growing buffer holds so much that it should be written before more is accepted.
    pub fn is_full(&self) -> bool {
        self.end - self.start >= self.full_len || self.owned().is_some()
    }

    /// Whether nothing was accepted that is not written.
    pub fn is_empty(&self) -> bool {
        self.start == self.end && self.owned().is_none()
    }

    /// Returns the bytes accepted and not written, without a payload that was accepted with its memory.
    pub fn pending(&self) -> &[u8] {
        self.storage.bytes().get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the payload bytes that the open streamed frame still needs; `None` between frames.
    pub fn missing(&self) -> Option<u64> {
        self.encoder.missing()
    }

    /// Returns the storage, and where in it the bytes are that were accepted and not written; an empty
    /// range if the stream is unusable.
    pub fn into_parts(mut self) -> (S, Range<usize>) {
        self.copy_owned();
        let pending = if self.check().is_ok() { self.start..self.end } else { 0..0 };
        (self.storage, pending)
    }

    /// Checks that the stream is usable, and drops the frame of a call that ended early.
    ///
    /// Every method that accepts something does this first.
    ///
    /// # Errors
    /// [`WriteBufError::Poisoned`].
    pub fn check(&mut self) -> Result<(), WriteBufError> {
        if self.owned().is_some() {
            return Ok(());
        }
        if let Some(Direct { mark, begun, .. }) = self.direct.take() {
            self.poisoned |= begun;
            self.truncate(mark);
        }
        if self.poisoned || self.encoder.is_poisoned() {
            return Err(WriteBufError::Poisoned);
        }
        Ok(())
    }

    /// Checks that no streamed frame is open and short.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`].
    pub fn check_boundary(&self) -> Result<(), EncodeError> {
        self.encoder.check_boundary()
    }

    /// Collects a frame if the fast path can, and returns whether it did. After `false`, nothing has
    /// changed: call [`frame`](Self::frame), which handles all cases and returns errors.
    #[inline(always)]
    pub fn try_frame(&mut self, meta: &F::Meta, payload: &[u8]) -> bool {
        if self.direct.is_some()
            || self.poisoned
            || self.start > 0
            || (S::GROWS && (self.end >= self.full_len || payload.len() >= DIRECT_LEN))
            || self.encoder.missing().is_some()
        {
            return false;
        }
        match self.storage.encode(self.end, self.encoder.framing(), meta, payload) {
            Ok(end) => {
                self.end = end;
                true
            }
            Err(_) => false,
        }
    }

    /// Accepts a whole frame.
    ///
    /// # Errors
    /// [`WriteBufError::Encode`] if the frame cannot be encoded, a streamed frame is open, or the
    /// storage is shorter than a header. Nothing changes then.
    pub fn frame(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: &[u8],
    ) -> Result<Accepted, WriteBufError> {
        self.check()?;
        self.encoder.check_boundary()?;
        if S::GROWS {
            return self.grow_by_frame(meta.as_meta(), &[], payload);
        }
        let meta = meta.as_meta();
        match self.storage.encode(self.end, self.encoder.framing(), meta, payload) {
            Ok(end) => {
                self.end = end;
                self.encoder.end_complete();
                Ok(Accepted::Collected)
            }
            Err(EncodeError::NoRoom { .. }) if self.end > 0 => Ok(Accepted::Nothing),
            Err(error @ EncodeError::NoRoom { .. }) => {
                // The header and the beginning of the payload go out in one write.
                let head = self.head(meta, payload.len() as u64)?.ok_or(error)?;
                self.begin_digest(head.as_ref(), payload);
                let taken = self.append(payload);
                self.direct = Some(Direct { run: None, mark: 0, taken, begun: false });
                Ok(Accepted::Direct)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn grow_by_frame(
        &mut self,
        meta: &F::Meta,
        head: &[u8],
        payload: &[u8],
    ) -> Result<Accepted, WriteBufError> {
        if self.is_full() {
            return Ok(Accepted::Nothing);
        }
        self.make_room();
        let mark = self.end;
        let payload_len = (head.len() as u64).saturating_add(payload.len() as u64);
        let Some(header) = self.head(meta, payload_len)? else {
            self.end = self.storage.encode(self.end, self.encoder.framing(), meta, payload)?;
            self.encoder.end_complete();
            return Ok(Accepted::Collected);
        };
        self.begin_digest(header.as_ref(), head);
        self.digest = self.update_digest(payload);
        self.append(head);
        if self.is_direct(payload.len()) {
            self.direct = Some(Direct { run: None, mark, taken: 0, begun: false });
            return Ok(Accepted::Direct);
        }
        self.append(payload);
        self.end_frame();
        Ok(Accepted::Collected)
    }

    /// Returns the bytes to write next, as two slices of which one may be empty: the pending bytes,
    /// and the unwritten rest of `payload`. Pass the payload for which a call returned
    /// [`Accepted::Direct`], or else an empty slice. Returns `None` once everything is written.
    pub fn unwritten<'a>(&'a self, payload: &'a [u8]) -> Option<[&'a [u8]; 2]> {
        let pending = self.pending();
        let rest = match self.direct {
            Some(Direct { taken, .. }) => {
                self.owned().unwrap_or(payload).get(taken..).unwrap_or_default()
            }
            None => &[],
        };
        if pending.is_empty() && rest.is_empty() { None } else { Some([pending, rest]) }
    }

    /// Counts the first `n` bytes of [`unwritten`](Self::unwritten) as written.
    pub fn wrote(&mut self, n: usize) {
        let pending = n.min(self.end - self.start);
        self.start += pending;
        if let Some(direct) = &mut self.direct {
            direct.taken = direct.taken.saturating_add(n - pending);
            direct.begun |= self.start > direct.mark || n > pending;
        }
        if self.start == self.end {
            self.truncate(0);
            self.end_owned();
        }
    }

    /// Ends a payload that was written directly.
    ///
    /// # Errors
    /// [`EncodeError::NoFrame`] if it was a run of payload and no streamed frame is open.
    pub fn end_direct(&mut self) -> Result<(), WriteBufError> {
        match self.direct.take() {
            Some(Direct { run: Some(len), .. }) => Ok(self.encoder.count(len, self.digest)?),
            Some(Direct { run: None, .. }) => {
                self.end_frame();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Gives back the memory of a growing buffer that is empty.
    pub fn release_memory(&mut self) {
        self.full_len = FULL_LEN;
        self.storage.release(IDLE_LEN);
    }

    /// Drops what the storage holds from `end` on.
    fn truncate(&mut self, end: usize) {
        let end = end.min(self.end);
        self.storage.truncate(end);
        self.end = end;
        self.start = self.start.min(end);
        if let Some(direct) = &mut self.direct {
            direct.mark = direct.mark.min(end);
        }
    }

    /// Whether a growing buffer lets a payload of this length be written directly. A transport that
    /// takes one slice at a time would need two writes for a header and a medium payload.
    fn is_direct(&self, len: usize) -> bool {
        len >= if self.vectored { DIRECT_LEN } else { FULL_LEN }
    }

    /// Appends the bytes before a payload. Returns `None` if a frame can only be written as a whole.
    fn head(&mut self, meta: &F::Meta, payload_len: u64) -> Result<Option<F::Head>, EncodeError> {
        let framing = self.encoder.framing();
        let limit = framing.raw_send_limit();
        let Some(head) = framing.format().frame_head(limit, meta, payload_len) else {
            return Ok(None);
        };
        let head = head?;
        let room = self.storage.bytes().len() - self.end;
        let needed = head.as_ref().len() + F::Trailer::LEN;
        if !S::GROWS && needed > room {
            return Err(EncodeError::NoRoom { needed, room });
        }
        self.append(head.as_ref());
        Ok(Some(head))
    }

    /// Begins the digest of a whole frame with these first bytes of its payload.
    fn begin_digest(&mut self, head: &[u8], payload: &[u8]) {
        self.digest = self.encoder.framing().format().begin_digest(head);
        self.digest = self.update_digest(payload);
    }

    fn update_digest(&self, payload: &[u8]) -> F::Digest {
        self.encoder.framing().format().update_digest(self.digest, payload)
    }

    /// Ends a whole frame: appends the check.
    fn end_frame(&mut self) {
        let trailer = self.encoder.framing().format().frame_trailer(self.digest);
        self.append(trailer.as_ref());
        self.encoder.end_complete();
    }

    fn append(&mut self, bytes: &[u8]) -> usize {
        let taken = self.storage.append(self.end, bytes);
        self.end += taken;
        taken
    }

    /// Drops the written bytes of a growing storage once they are at least as many as the unwritten
    /// ones, so that no more bytes are moved than were written.
    fn make_room(&mut self) {
        if self.start > 0 && self.start >= self.end - self.start {
            self.storage.move_to_front(self.start, self.end);
            self.end -= self.start;
            self.start = 0;
            self.storage.truncate(self.end);
        }
    }
}

#[cfg(feature = "alloc")]
impl<F: Wire> WriteBuf<alloc::vec::Vec<u8>, F> {
    /// Creates an empty buffer that grows.
    pub fn growing(framing: impl Into<Framing<F>>) -> Self {
        Self::new(alloc::vec::Vec::new(), framing)
    }

    /// Collects a whole frame, however long it is and however full the buffer is: for a caller that
    /// bounds what it collects.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn collect(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteBufError> {
        self.check()?;
        self.copy_owned();
        self.encoder.check_boundary()?;
        self.make_room();
        self.encoder.framing().encode(meta, payload, &mut self.storage)?;
        self.end = self.storage.len();
        self.encoder.end_complete();
        Ok(())
    }

    /// Copies the unwritten rest of a payload that is being written directly. Its frame is then
    /// accepted, and the caller need not wait until it is written.
    pub fn collect_direct(&mut self, payload: &[u8]) {
        if let Some(Direct { run: None, taken, .. }) = self.direct {
            self.direct = None;
            self.make_room();
            self.append(payload.get(taken..).unwrap_or_default());
            self.end_frame();
        }
    }

    /// Returns what was accepted and not written; nothing if the stream is unusable.
    pub fn into_pending(self) -> alloc::vec::Vec<u8> {
        let (mut storage, pending) = self.into_parts();
        storage.truncate(pending.end);
        storage.drain(..pending.start);
        storage
    }
}

#[cfg(feature = "std")]
impl<S: Storage, F: Wire> WriteBuf<S, F> {
    /// Calls `write` until all of [`unwritten`](Self::unwritten) is written.
    ///
    /// It returns [`Poll::Pending`](core::task::Poll::Pending) only if `write` does; that of a
    /// blocking transport must not.
    ///
    /// # Errors
    /// Returns the error of `write`, or [`WriteZero`](std::io::ErrorKind::WriteZero) if it takes no
    /// byte. What was not written is kept. A call that was interrupted is repeated.
    pub fn poll_write(
        &mut self,
        payload: &[u8],
        mut write: impl FnMut(&[std::io::IoSlice<'_>]) -> core::task::Poll<std::io::Result<usize>>,
    ) -> core::task::Poll<std::io::Result<()>> {
        use core::task::{Poll, ready};
        use std::io::{ErrorKind, IoSlice};

        while let Some([pending, rest]) = self.unwritten(payload) {
            let slices = [IoSlice::new(pending), IoSlice::new(rest)];
            let slices = match (pending.is_empty(), rest.is_empty()) {
                (true, _) => slices.get(1..),
                (_, true) => slices.get(..1),
                _ => Some(&slices[..]),
            };
            let (len, written) = (pending.len(), write(slices.unwrap_or_default()));
            match &written {
                Poll::Ready(Ok(n)) if len >= self.full_len && *n >= len => {
                    self.full_len = BUSY_LEN.min(2 * self.full_len);
                }
                Poll::Pending => self.full_len = FULL_LEN.max(self.full_len / 2),
                Poll::Ready(_) => {}
            }
            match ready!(written) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(n) => self.wrote(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Prints lengths only, since payloads may be secret.
impl<S, F: Wire> fmt::Debug for WriteBuf<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBuf")
            .field("limit", &self.encoder.framing().send_limit())
            .field("pending", &(self.end - self.start))
            .field("open", &self.encoder.missing())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}
