//! Writing frames to a blocking stream.

use core::borrow::Borrow;
use core::task::Poll;
use std::io::{self, Write};
use std::vec::Vec;

use super::error::WriteError;
use super::outbox::Outbox;
use crate::format::{Format, V1};
use crate::framing::Framing;

/// Writes frames to anything that is [`Write`].
///
/// Small frames are collected and written together; a payload of 32 KiB or more is written from
/// where it is, without a copy. It needs no `BufWriter`.
///
/// Frames that were accepted and not flushed are lost when the writer is dropped.
#[derive(Debug)]
pub struct FrameWriter<W, F: Format = V1> {
    inner: W,
    outbox: Outbox<F>,
}

impl<W: Write> FrameWriter<W> {
    /// Writes version-1 frames of at most 1 MiB.
    ///
    /// A peer whose limit is not known may have a smaller one: up to 65,536 bytes of payload pass
    /// everywhere (spec, 6.1).
    pub fn new(inner: W) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<W: Write, F: Format> FrameWriter<W, F> {
    /// Writes frames of this format and limit.
    pub fn with_framing(inner: W, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, outbox: Outbox::new(framing.into()) }
    }

    /// The format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.outbox.framing()
    }

    /// Accepts a frame and flushes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`] when the frame was accepted and not written:
    /// [`flush`](Self::flush) tries again.
    pub fn send(&mut self, meta: impl Borrow<F::Meta>, payload: &[u8]) -> Result<(), WriteError> {
        self.feed(meta, payload)?;
        self.flush()
    }

    /// Accepts a frame. Small ones are collected until enough are there, or until
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`WriteError::Encode`] when the frame cannot be encoded, or a streamed one is open; nothing
    /// of it is written.
    /// [`WriteError::Io`] when the transport failed: frames accepted before are kept and tried
    /// again by the next call. This one was not accepted; if a part of it was written, the writer
    /// is poisoned.
    pub fn feed(&mut self, meta: impl Borrow<F::Meta>, payload: &[u8]) -> Result<(), WriteError> {
        let meta = meta.borrow();
        if self.outbox.push_now(meta, payload) {
            return Ok(());
        }
        self.ready()?;
        if Outbox::<F>::is_direct(payload.len(), true) {
            self.outbox.begin_direct(meta, payload.len())?;
            self.write_direct(payload)
        } else {
            self.outbox.push(meta, payload)
        }
    }

    /// Begins a frame whose payload comes in pieces: `payload_len` bytes in all, by
    /// [`payload`](Self::payload), then [`finish`](Self::finish).
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn begin(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError> {
        self.ready()?;
        self.outbox.begin(meta, payload_len)
    }

    /// Writes the next bytes of the begun frame's payload.
    ///
    /// # Errors
    /// [`EncodeError::Excess`](crate::EncodeError::Excess) when the frame has no room for them;
    /// none is written. [`WriteError::Io`] as in [`feed`](Self::feed).
    pub fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.ready()?;
        if Outbox::<F>::is_direct(bytes.len(), true) {
            self.outbox.begin_direct_payload(bytes.len())?;
            self.write_direct(bytes)?;
            self.outbox.end_direct_payload(bytes.len())
        } else {
            self.outbox.push_payload(bytes)
        }
    }

    /// Ends the begun frame.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`](crate::EncodeError::Unfinished) when it is short, which poisons
    /// the writer.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.outbox.finish()
    }

    /// Writes all that was accepted, and flushes the transport.
    ///
    /// # Errors
    /// [`WriteError::Flush`] when the transport failed; what was not written is kept.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.outbox.settle()?;
        self.drain().and_then(|()| self.inner.flush()).map_err(WriteError::Flush)?;
        self.outbox.rest();
        Ok(())
    }

    /// The transport.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The transport. Bytes written to it must be whole frames, and the writer flushed.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The transport, and the bytes that were accepted and are not written.
    pub fn into_inner(self) -> (W, Vec<u8>) {
        (self.inner, self.outbox.into_pending())
    }

    fn ready(&mut self) -> Result<(), WriteError> {
        self.outbox.settle()?;
        if self.outbox.is_full() {
            self.drain().map_err(WriteError::Io)?;
        }
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        let Self { inner, outbox } = self;
        now(outbox.poll_drain(|slices| Poll::Ready(inner.write_vectored(slices))))
    }

    fn write_direct(&mut self, payload: &[u8]) -> Result<(), WriteError> {
        let Self { inner, outbox } = self;
        now(outbox.poll_direct(payload, |slices| Poll::Ready(inner.write_vectored(slices))))
            .map_err(WriteError::Io)
    }
}

/// A blocking write is never pending.
fn now(result: Poll<io::Result<()>>) -> io::Result<()> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
