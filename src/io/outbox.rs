//! What a writer has accepted and not written yet: small frames collected, large payloads passed
//! by. It holds no transport; it is given one write at a time.

use core::borrow::Borrow;
use core::fmt;
use core::task::{Poll, ready};
use std::io::{self, IoSlice};
use std::vec::Vec;

use super::error::WriteError;
use crate::encode::Encoder;
#[cfg(feature = "tokio")]
use crate::error::EncodeError;
use crate::format::Format;
use crate::framing::Framing;

/// A payload of so many bytes is written from where it is, beside its header. Copying a smaller
/// one costs less than a write for each frame.
const DIRECT_LEN: usize = 32 * 1024;
/// With so many bytes collected, a writer writes before it accepts more.
const FULL_LEN: usize = 64 * 1024;
/// What an idle writer may keep.
const IDLE_LEN: usize = 256;

#[doc(hidden)]
pub struct Outbox<F: Format> {
    encoder: Encoder<F>,
    /// `buf[written..]` was accepted and not written yet.
    buf: Vec<u8>,
    written: usize,
    /// The bytes passed by `buf` that a call is writing, or was when it ended early.
    direct: Option<Direct>,
    poisoned: bool,
}

#[derive(Clone, Copy, Debug)]
struct Direct {
    /// Where in `buf` its header begins; without one, `buf`'s end.
    mark: usize,
    /// How much of the payload was written.
    sent: usize,
}

impl<F: Format> Outbox<F> {
    #[doc(hidden)]
    pub fn new(framing: Framing<F>) -> Self {
        Self {
            encoder: Encoder::new(framing),
            buf: Vec::new(),
            written: 0,
            direct: None,
            poisoned: false,
        }
    }

    pub(crate) fn framing(&self) -> &Framing<F> {
        self.encoder.framing()
    }

    /// Whether to write before more is accepted.
    #[doc(hidden)]
    pub fn is_full(&self) -> bool {
        self.pending().len() >= FULL_LEN
    }

    /// The bytes accepted and not written.
    #[doc(hidden)]
    pub fn pending(&self) -> &[u8] {
        self.buf.get(self.written..).unwrap_or_default()
    }

    /// What was accepted and not written; nothing if the stream is of no use any more.
    #[doc(hidden)]
    pub fn into_pending(mut self) -> Vec<u8> {
        if self.settle().is_err() {
            return Vec::new();
        }
        self.buf.drain(..self.written);
        self.buf
    }

    /// Whether a streamed frame is open and short.
    #[cfg(feature = "tokio")]
    pub(crate) fn check_boundary(&self) -> Result<(), EncodeError> {
        self.encoder.check_boundary()
    }

    /// Whether a payload of this length is to be passed by and not copied. A transport that takes
    /// one slice at a time would make two small writes of a header and a middling payload.
    #[doc(hidden)]
    pub fn is_direct(len: usize, vectored: bool) -> bool {
        len >= if vectored { DIRECT_LEN } else { FULL_LEN }
    }

    /// Comes to terms with a call that ended early: what it had not begun to write is forgotten,
    /// and what it had, cannot be mended. An error if the stream is of no use any more.
    pub(crate) fn settle(&mut self) -> Result<(), WriteError> {
        if let Some(Direct { mark, sent }) = self.direct.take() {
            if sent > 0 || self.written > mark {
                self.poisoned = true;
            } else {
                self.buf.truncate(mark);
            }
        }
        if self.poisoned || self.encoder.is_poisoned() { Err(WriteError::Poisoned) } else { Ok(()) }
    }

    /// Whether a frame can be accepted without a look at what was before.
    #[inline(always)]
    fn is_ready(&self) -> bool {
        self.direct.is_none()
            && !self.poisoned
            && self.written == 0
            && self.buf.len() < FULL_LEN
            && self.encoder.missing().is_none()
    }

    /// Accepts a whole frame at once, if nothing is to be looked at or written before, and it can
    /// be encoded: most often. Where it says no, nothing has changed, and [`push`](Self::push)
    /// tells why.
    #[inline(always)]
    pub(crate) fn push_now(&mut self, meta: &F::Meta, payload: &[u8]) -> bool {
        self.is_ready()
            && payload.len() < DIRECT_LEN
            && self.encoder.framing().encode(meta, payload, &mut self.buf).is_ok()
    }

    /// Accepts a whole frame.
    pub(crate) fn push(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        self.settle()?;
        self.encoder.check_boundary()?;
        self.make_room();
        self.encoder.framing().encode(meta, payload, &mut self.buf)?;
        self.encoder.end_complete();
        Ok(())
    }

    /// Begins a whole frame whose payload is passed by, with [`poll_direct`](Self::poll_direct).
    pub(crate) fn begin_direct(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: usize,
    ) -> Result<(), WriteError> {
        self.begin_direct_behind(meta, &[], payload_len)
    }

    /// The same, where the payload's first bytes are copied, and the `rest_len` behind them are
    /// passed by.
    #[doc(hidden)]
    pub fn begin_direct_behind(
        &mut self,
        meta: impl Borrow<F::Meta>,
        first: &[u8],
        rest_len: usize,
    ) -> Result<(), WriteError> {
        self.settle()?;
        self.encoder.check_boundary()?;
        self.make_room();
        let payload_len = (first.len() as u64).saturating_add(rest_len as u64);
        let header = self.encoder.framing().encode_header(meta, payload_len)?;
        self.direct = Some(Direct { mark: self.buf.len(), sent: 0 });
        self.buf.extend_from_slice(header.as_bytes());
        self.buf.extend_from_slice(first);
        Ok(())
    }

    /// Copies what is not written of the payload that is passed by: the frame is accepted, and
    /// nobody has to wait with it.
    #[doc(hidden)]
    pub fn keep_direct(&mut self, payload: &[u8]) {
        if let Some(Direct { sent, .. }) = self.direct.take() {
            self.make_room();
            self.buf.extend_from_slice(payload.get(sent..).unwrap_or_default());
            self.encoder.end_complete();
        }
    }

    /// Begins a streamed frame.
    pub(crate) fn begin(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError> {
        self.settle()?;
        self.make_room();
        let header = self.encoder.begin(meta, payload_len)?;
        self.buf.extend_from_slice(header.as_bytes());
        Ok(())
    }

    /// Accepts the next run of a streamed frame's payload.
    pub(crate) fn push_payload(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.settle()?;
        self.encoder.payload(bytes.len())?;
        self.make_room();
        self.buf.extend_from_slice(bytes);
        Ok(())
    }

    /// Begins a run of a streamed frame's payload that is passed by. It is counted at its end.
    pub(crate) fn begin_direct_payload(&mut self, len: usize) -> Result<(), WriteError> {
        self.settle()?;
        self.encoder.check_payload(len)?;
        self.direct = Some(Direct { mark: self.buf.len(), sent: 0 });
        Ok(())
    }

    /// Counts the run that was passed by.
    pub(crate) fn end_direct_payload(&mut self, len: usize) -> Result<(), WriteError> {
        Ok(self.encoder.payload(len)?)
    }

    /// Ends a streamed frame.
    pub(crate) fn finish(&mut self) -> Result<(), WriteError> {
        self.settle()?;
        Ok(self.encoder.finish()?)
    }

    /// Writes until all that was accepted is written.
    #[doc(hidden)]
    pub fn poll_drain(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while !self.pending().is_empty() {
            let n = ready!(write_once(&mut write, &[IoSlice::new(self.pending())]))?;
            self.written += n;
        }
        self.buf.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes what was accepted and, behind it, the payload that is passed by.
    #[doc(hidden)]
    pub fn poll_direct(
        &mut self,
        payload: &[u8],
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while let Some(Direct { mark, sent }) = self.direct {
            let pending = self.pending().len();
            let rest = payload.get(sent..).unwrap_or_default();
            if pending == 0 && rest.is_empty() {
                break;
            }
            let slices = [IoSlice::new(self.pending()), IoSlice::new(rest)];
            let slices = if pending == 0 { slices.get(1..).unwrap_or_default() } else { &slices };
            let n = ready!(write_once(&mut write, slices))?;
            self.written += n.min(pending);
            self.direct = Some(Direct { mark, sent: sent + n.saturating_sub(pending) });
        }
        // If it was a whole frame, a complete one before it is over. A run of a streamed frame's
        // payload is not counted yet, so that its frame is not complete.
        self.encoder.end_complete();
        self.direct = None;
        self.buf.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Gives memory back once all is written.
    #[doc(hidden)]
    pub fn rest(&mut self) {
        if self.buf.is_empty() && self.buf.capacity() > IDLE_LEN {
            self.buf = Vec::new();
        }
    }

    /// Drops what was written, once it is as much as what is not: each byte moves once at most.
    fn make_room(&mut self) {
        if self.written > 0 && self.written >= self.pending().len() {
            self.buf.drain(..self.written);
            self.written = 0;
        }
    }
}

/// Payloads may be secret: lengths only.
impl<F: Format> fmt::Debug for Outbox<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("limit", &self.framing().limit())
            .field("pending", &self.pending().len())
            .field("open", &self.encoder.missing())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// One write, which has to take something.
fn write_once(
    write: &mut impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    loop {
        return match ready!(write(slices)) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => Poll::Ready(result),
        };
    }
}
