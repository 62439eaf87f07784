//! Writing frames to a stream of `futures_io`.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::vec::Vec;

use ::futures_io::AsyncWrite;
use ::futures_sink::Sink;

use crate::io::WriteError;
use crate::{
    Accepted, AsMeta, Framing, KnownLength, OwnedFrame, V1, Wire, WriteBuf, WriteBufError,
};

/// Writes frames to anything that is [`AsyncWrite`].
///
/// Small frames are collected and written together; a payload of 32 KiB or more is written from
/// where it is, without a copy. It needs no `BufWriter`. If the peer does not read, it waits and
/// does not grow.
///
/// As a [`Sink`] it takes owned frames ([`Framing::frame`] creates one): it copies a small one, and keeps
/// the payload of a large one until it is written, so that a dropped call never poisons it.
///
/// Frames that were accepted and not flushed are lost when the writer is dropped.
///
/// To read from the same stream, give the reader one half of it, or a clone if it has one, as the streams of smol do.
///
/// ```
/// use unstick::U32Be;
/// use unstick::futures::FrameWriter;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # smol::block_on(async {
/// let mut writer = FrameWriter::with_framing(Vec::new(), U32Be); // or a socket
/// writer.feed((), "one").await?; // collected
/// writer.send((), b"two").await?; // and flushed
/// assert_eq!(writer.get_ref(), b"\0\0\0\x03one\0\0\0\x03two");
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct FrameWriter<W, F: Wire = V1> {
    inner: W,
    buf: WriteBuf<Vec<u8>, F>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Creates a writer of version-1 frames of at most 1 MiB.
    ///
    /// A peer whose limit is not known may have a smaller one: every peer takes payloads of up to
    /// 65,536 bytes (spec, 6.1).
    pub fn new(inner: W) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<W: AsyncWrite + Unpin, F: Wire> FrameWriter<W, F> {
    /// Creates a writer of frames of this format and limit.
    pub fn with_framing(inner: W, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, buf: WriteBuf::growing(framing) }
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.buf.framing()
    }

    /// Sets the limit, in payload bytes, from the next frame on.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.buf.set_limit(payload_bytes);
    }

    /// Accepts a frame and flushes.
    ///
    /// # Cancel safety
    /// As [`feed`](Self::feed) until the frame is accepted; a call dropped later leaves it to the next
    /// one. To distinguish the two, call `feed` and then `flush`.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`] if the frame was accepted and not written:
    /// [`flush`](Self::flush) tries again.
    pub async fn send(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame. Small ones are collected until there are enough of them, or until
    /// [`flush`](Self::flush). Waits while the peer does not read.
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted. With a payload of 32 KiB or more, a part of it
    /// may have been written: the writer is poisoned then, and every further call returns that error.
    ///
    /// # Errors
    /// As [`io::FrameWriter::feed`](crate::io::FrameWriter::feed).
    pub async fn feed(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        let (meta, payload) = (meta.as_meta(), payload.as_ref());
        if self.buf.try_frame(meta, payload) {
            return Ok(());
        }
        self.accept(payload, |buf| buf.frame(meta, payload)).await
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
        meta: impl AsMeta<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError>
    where
        F: KnownLength,
    {
        let meta = meta.as_meta();
        self.accept(&[], |buf| buf.begin(meta, payload_len)).await
    }

    /// Writes the next bytes of the begun frame's payload.
    ///
    /// # Cancel safety
    /// As [`feed`](Self::feed), for these bytes.
    ///
    /// # Errors
    /// As [`io::FrameWriter::payload`](crate::io::FrameWriter::payload).
    pub async fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError>
    where
        F: KnownLength,
    {
        self.accept(bytes, |buf| buf.payload(bytes)).await
    }

    /// Ends the begun frame.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`](crate::EncodeError::Unfinished) if it is short, which poisons
    /// the writer.
    pub fn finish(&mut self) -> Result<(), WriteError>
    where
        F: KnownLength,
    {
        Ok(self.buf.finish()?)
    }

    /// Writes everything that was accepted, and flushes the transport.
    ///
    /// # Cancel safety
    /// What a dropped call did not write is left to the next one.
    ///
    /// # Errors
    /// [`WriteError::Flush`] if the transport failed; what was not written is kept.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.poll_flush_all(cx)).await
    }

    /// Flushes, and closes the transport for writing.
    ///
    /// # Cancel safety
    /// As [`flush`](Self::flush); call it again.
    ///
    /// # Errors
    /// As [`flush`](Self::flush). A writer that is poisoned, or in the middle of a streamed frame,
    /// closes the transport too, and then returns that error: the peer's stream is truncated.
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// Returns the transport.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Returns the transport. Bytes written to it must be whole frames, and the writer flushed.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Returns the transport, and the bytes that were accepted and not written.
    pub fn into_inner(self) -> (W, Vec<u8>) {
        (self.inner, self.buf.into_pending())
    }

    /// Writes until `accept` has taken the bytes.
    async fn accept(
        &mut self,
        bytes: &[u8],
        mut accept: impl FnMut(&mut WriteBuf<Vec<u8>, F>) -> Result<Accepted, WriteBufError>,
    ) -> Result<(), WriteError> {
        loop {
            let payload = match accept(&mut self.buf)? {
                Accepted::Collected => return Ok(()),
                Accepted::Nothing => None,
                Accepted::Direct => Some(bytes),
            };
            poll_fn(|cx| self.poll_write(payload.unwrap_or_default(), cx))
                .await
                .map_err(WriteError::Io)?;
            if payload.is_some() {
                return Ok(self.buf.end_direct()?);
            }
        }
    }

    fn poll_write(&mut self, payload: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = Pin::new(&mut self.inner);
        self.buf.poll_write(payload, |slices| inner.as_mut().poll_write_vectored(cx, slices))
    }

    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.buf.check()?;
        ready!(self.poll_write(&[], cx)).map_err(WriteError::Flush)?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx)).map_err(WriteError::Flush)?;
        self.buf.release_memory();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let flushed = ready!(self.poll_flush_all(cx));
        if matches!(flushed, Ok(()) | Err(WriteError::Poisoned)) {
            // Also if the stream is unusable: the peer must not wait for the rest of it.
            ready!(Pin::new(&mut self.inner).poll_close(cx)).map_err(WriteError::Flush)?;
        }
        flushed?;
        Poll::Ready(Ok(self.buf.check_boundary()?))
    }
}

impl<W: AsyncWrite + Unpin, F: Wire + Unpin> Sink<OwnedFrame<F::Meta>> for FrameWriter<W, F> {
    type Error = WriteError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let writer = self.get_mut();
        writer.buf.check()?;
        if writer.buf.is_full() {
            return writer.poll_write(&[], cx).map_err(WriteError::Io);
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, frame: OwnedFrame<F::Meta>) -> Result<(), WriteError> {
        let writer = self.get_mut();
        let meta = frame.meta.clone();
        Ok(writer.buf.collect_owned(meta, frame.into_payload())?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.get_mut().poll_flush_all(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.get_mut().poll_shutdown(cx)
    }
}
