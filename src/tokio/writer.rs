//! Writing frames to an asynchronous stream.

use core::borrow::Borrow;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::vec::Vec;

use ::tokio::io::AsyncWrite;
use futures_sink::Sink;

use crate::format::{Format, V1};
use crate::frame::OwnedFrame;
use crate::framing::Framing;
use crate::io::{Outbox, WriteError};

/// Writes frames to anything that is [`AsyncWrite`].
///
/// Small frames are collected and written together; a payload of 32 KiB or more is written from
/// where it is, without a copy. It needs no `BufWriter`. A peer that does not read makes it wait,
/// and not grow.
///
/// As a [`Sink`] it takes owned frames ([`Framing::frame`] makes one), and copies them, so that a
/// dropped call never poisons it.
///
/// Frames that were accepted and not flushed are lost when the writer is dropped.
#[derive(Debug)]
pub struct FrameWriter<W, F: Format = V1> {
    inner: W,
    outgoing: Outgoing<F>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes version-1 frames of at most 1 MiB.
    ///
    /// A peer whose limit is not known may have a smaller one: up to 65,536 bytes of payload pass
    /// everywhere (spec, 6.1).
    pub fn new(inner: W) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<W, F: Format> FrameWriter<W, F> {
    /// Writes frames of this format and limit.
    pub fn with_framing(inner: W, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, outgoing: Outgoing::new(framing.into()) }
    }

    pub(super) fn from_parts(inner: W, outgoing: Outgoing<F>) -> Self {
        Self { inner, outgoing }
    }

    /// The format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.outgoing.framing()
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
        (self.inner, self.outgoing.into_pending())
    }
}

impl<W: AsyncWrite + Unpin, F: Format> FrameWriter<W, F> {
    /// Accepts a frame and flushes.
    ///
    /// # Cancel safety
    /// As [`feed`](Self::feed) until the frame is accepted; a call dropped then leaves it to the
    /// next one. The caller cannot tell which it was: who has to know, feeds, and then flushes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`] when the frame was accepted and not written:
    /// [`flush`](Self::flush) tries again.
    pub async fn send(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame. Small ones are collected until enough are there, or until
    /// [`flush`](Self::flush). Waits while the peer does not read.
    ///
    /// # Cancel safety
    /// With a payload below 32 KiB the frame of a dropped call was not accepted: once it is, the
    /// call ends without waiting. With a larger one the frame was not accepted either if none of
    /// its bytes was written; else the writer is poisoned, and every further call says so.
    ///
    /// # Errors
    /// [`WriteError::Encode`] when the frame cannot be encoded, or a streamed one is open; nothing
    /// of it is written.
    /// [`WriteError::Io`] when the transport failed: frames accepted before are kept and tried
    /// again by the next call. This one was not accepted; if a part of it was written, the writer
    /// is poisoned.
    pub async fn feed(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        let meta = meta.borrow();
        if self.outgoing.feed_now(meta, payload) {
            return Ok(());
        }
        self.outgoing.feed(&mut self.inner, meta, payload).await
    }

    /// Begins a frame whose payload comes in pieces: `payload_len` bytes in all, by
    /// [`payload`](Self::payload), then [`finish`](Self::finish).
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not begun.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub async fn begin(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError> {
        self.outgoing.begin(&mut self.inner, meta, payload_len).await
    }

    /// Writes the next bytes of the begun frame's payload.
    ///
    /// # Cancel safety
    /// Below 32 KiB, none of a dropped call's bytes was accepted. With more, none either if none
    /// was written; else the writer is poisoned.
    ///
    /// # Errors
    /// [`EncodeError::Excess`](crate::EncodeError::Excess) when the frame has no room for them;
    /// none is written. [`WriteError::Io`] as in [`feed`](Self::feed).
    pub async fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.outgoing.payload(&mut self.inner, bytes).await
    }

    /// Ends the begun frame.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`](crate::EncodeError::Unfinished) when it is short, which poisons
    /// the writer.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.outgoing.finish()
    }

    /// Writes all that was accepted, and flushes the transport.
    ///
    /// # Cancel safety
    /// What a dropped call did not write is left to the next one.
    ///
    /// # Errors
    /// [`WriteError::Flush`] when the transport failed; what was not written is kept.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.outgoing.poll_flush(Pin::new(&mut self.inner), cx)).await
    }

    /// Flushes, and tells the peer that nothing more comes.
    ///
    /// # Cancel safety
    /// As [`flush`](Self::flush); call it again.
    ///
    /// # Errors
    /// As [`flush`](Self::flush). A writer that is poisoned, or in the middle of a streamed frame,
    /// shuts the transport down too, and then says so: the peer finds its stream truncated.
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.outgoing.poll_shutdown(Pin::new(&mut self.inner), cx)).await
    }
}

impl<W, F> Sink<OwnedFrame<F::Meta>> for FrameWriter<W, F>
where
    W: AsyncWrite + Unpin,
    F: Format + Unpin,
{
    type Error = WriteError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { inner, outgoing } = self.get_mut();
        outgoing.poll_ready(Pin::new(inner), cx)
    }

    fn start_send(self: Pin<&mut Self>, frame: OwnedFrame<F::Meta>) -> Result<(), WriteError> {
        self.get_mut().outgoing.outbox.push(&frame.meta, frame.payload())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { inner, outgoing } = self.get_mut();
        outgoing.poll_flush(Pin::new(inner), cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { inner, outgoing } = self.get_mut();
        outgoing.poll_shutdown(Pin::new(inner), cx)
    }
}

/// A writer without its transport.
#[derive(Debug)]
pub(super) struct Outgoing<F: Format> {
    outbox: Outbox<F>,
}

impl<F: Format> Outgoing<F> {
    pub(super) fn new(framing: Framing<F>) -> Self {
        Self { outbox: Outbox::new(framing) }
    }

    #[inline(always)]
    pub(super) fn feed_now(&mut self, meta: &F::Meta, payload: &[u8]) -> bool {
        self.outbox.push_now(meta, payload)
    }

    pub(super) async fn feed<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        meta: &F::Meta,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        self.ready(inner).await?;
        if Outbox::<F>::is_direct(payload.len(), inner.is_write_vectored()) {
            self.outbox.begin_direct(meta, payload.len())?;
            self.write_direct(inner, payload).await
        } else {
            self.outbox.push(meta, payload)
        }
    }

    pub(super) async fn begin<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError> {
        self.ready(inner).await?;
        self.outbox.begin(meta, payload_len)
    }

    pub(super) async fn payload<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        self.ready(inner).await?;
        if Outbox::<F>::is_direct(bytes.len(), inner.is_write_vectored()) {
            self.outbox.begin_direct_payload(bytes.len())?;
            self.write_direct(inner, bytes).await?;
            self.outbox.end_direct_payload(bytes.len())
        } else {
            self.outbox.push_payload(bytes)
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        self.outbox.finish()
    }

    pub(super) fn framing(&self) -> &Framing<F> {
        self.outbox.framing()
    }

    async fn ready<W: AsyncWrite + Unpin>(&mut self, inner: &mut W) -> Result<(), WriteError> {
        poll_fn(|cx| self.poll_ready(Pin::new(inner), cx)).await
    }

    async fn write_direct<W: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut W,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        let write = poll_fn(|cx| {
            self.outbox.poll_direct(payload, |slices| {
                Pin::new(&mut *inner).poll_write_vectored(cx, slices)
            })
        });
        write.await.map_err(WriteError::Io)
    }

    pub(super) fn poll_ready<W: AsyncWrite>(
        &mut self,
        inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        self.outbox.settle()?;
        if self.outbox.is_full() {
            return self.poll_drain(inner, cx).map_err(WriteError::Io);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush<W: AsyncWrite>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        self.outbox.settle()?;
        ready!(self.poll_drain(inner.as_mut(), cx)).map_err(WriteError::Flush)?;
        ready!(inner.poll_flush(cx)).map_err(WriteError::Flush)?;
        self.outbox.rest();
        Poll::Ready(Ok(()))
    }

    /// Writes what can be written now; what cannot shows in the next call.
    pub(super) fn write_on<W: AsyncWrite>(&mut self, inner: Pin<&mut W>, cx: &mut Context<'_>) {
        if !self.outbox.pending().is_empty() {
            let _ = self.poll_flush(inner, cx);
        }
    }

    pub(super) fn poll_shutdown<W: AsyncWrite>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        match ready!(self.poll_flush(inner.as_mut(), cx)) {
            // What was written in part cannot be mended, but the peer must not wait for it.
            Err(WriteError::Poisoned) => {
                ready!(inner.poll_shutdown(cx)).map_err(WriteError::Flush)?;
                Poll::Ready(Err(WriteError::Poisoned))
            }
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) => {
                ready!(inner.poll_shutdown(cx)).map_err(WriteError::Flush)?;
                Poll::Ready(self.outbox.check_boundary().map_err(WriteError::Encode))
            }
        }
    }

    fn poll_drain<W: AsyncWrite>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.outbox.poll_drain(|slices| inner.as_mut().poll_write_vectored(cx, slices))
    }

    pub(super) fn into_pending(self) -> Vec<u8> {
        self.outbox.into_pending()
    }
}
