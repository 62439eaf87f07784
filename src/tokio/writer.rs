//! Writing frames to an asynchronous stream.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::io;
use std::vec::Vec;

use ::tokio::io::AsyncWrite;
use futures_sink::Sink;

use super::clock::Clock;
use crate::io::WriteError;
use crate::{
    Accepted, AsMeta, Framing, KnownLength, OwnedFrame, V1, Wire, WriteBuf, WriteBufError,
};

/// Writes frames to anything that is [`AsyncWrite`].
///
/// Small frames are collected and written together; a payload of 32 KiB or more (64 KiB if the
/// transport has no vectored write) is written without a copy. It needs no `BufWriter`. If the peer
/// does not read, the writer waits, and its buffer does not grow.
///
/// As a [`Sink`] it takes owned frames ([`Framing::frame`] creates one): it copies a small one, and keeps
/// the payload of a large one until it is written, so that a dropped call never poisons it.
///
/// Frames that were accepted and not flushed are lost when the writer is dropped.
///
/// ```
/// use std::time::Duration;
/// use tokio::net::{TcpListener, TcpStream};
/// use unstick::U32Be;
/// use unstick::tokio::{FrameReader, FrameWriter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let stream = TcpStream::connect(listener.local_addr()?).await?;
/// let mut writer = FrameWriter::with_framing(stream, U32Be)
///     .with_write_timeout(Duration::from_secs(10));
/// writer.feed((), "one").await?; // collected
/// writer.send((), format!("{}", 2)).await?; // and flushed
/// writer.shutdown().await?;
///
/// let mut reader = FrameReader::with_framing(listener.accept().await?.0, U32Be);
/// while let Some(frame) = reader.next_frame().await? {
///     assert!(frame.payload == b"one" || frame.payload == b"2");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameWriter<W, F: Wire = V1> {
    inner: W,
    buf: WriteBuf<Vec<u8>, F>,
    /// Allocated with the time limit only. Its idle limit is that of a peer that takes nothing.
    clock: Option<Box<Clock>>,
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

impl<W, F: Wire> FrameWriter<W, F> {
    /// Creates a writer of frames of this format and limit.
    pub fn with_framing(inner: W, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, buf: WriteBuf::growing(framing.into()), clock: None }
    }

    /// Sets how long the peer may take nothing while a call waits for it. Each byte that the transport
    /// takes starts the time again, so a slow peer that reads is not late, however long its frame. The wait
    /// of a dropped call counts.
    ///
    /// A call that is late returns [`WriteError::Timeout`]. What was accepted is kept, and a further
    /// call may wait as long again: a server usually drops the client instead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unstick::U32Be;
    /// use unstick::io::WriteError;
    /// use unstick::tokio::FrameWriter;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (ours, _theirs) = tokio::io::duplex(64); // the peer never reads
    /// let mut writer =
    ///     FrameWriter::with_framing(ours, U32Be).with_write_timeout(Duration::from_millis(5));
    /// let late = writer.send((), [0; 100]).await.unwrap_err();
    /// assert!(matches!(late, WriteError::Timeout { accepted: true, .. }), "{late}");
    /// # }
    /// ```
    ///
    /// # Panics
    /// A wait panics if tokio's runtime was built without its clock (`enable_time`).
    #[must_use]
    pub fn with_write_timeout(mut self, after: Duration) -> Self {
        let clock = self.clock.get_or_insert_with(|| Box::new(Clock::new()));
        clock.timeouts.set_idle_timeout(after);
        self
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.buf.framing()
    }

    /// Sets the limit, in payload bytes, from the next frame on.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.buf.set_limit(payload_bytes);
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
}

impl<W: AsyncWrite + Unpin, F: Wire> FrameWriter<W, F> {
    /// Accepts a frame and flushes.
    ///
    /// # Cancel safety
    /// As [`feed`](Self::feed) until the frame is accepted; a call dropped later leaves it to the next
    /// one. The caller cannot tell the two apart: if that matters, call `feed` and then `flush`.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`], or [`WriteError::Timeout`] with `accepted`, if the
    /// frame was accepted and not written: [`flush`](Self::flush) tries again.
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
    /// With a payload below 32 KiB the frame of a dropped call was not accepted: a call that accepts
    /// it returns without waiting. With a larger payload it was not accepted either, if none of its
    /// bytes was written; otherwise the writer is poisoned, and every further call returns that
    /// error.
    ///
    /// # Errors
    /// [`WriteError::Encode`] if the frame cannot be encoded, or a streamed one is open; nothing
    /// of it is written.
    /// [`WriteError::Io`] if the transport failed: frames accepted before are kept, and the next call
    /// tries again to write them. This one was not accepted; if a part of it was written, the writer
    /// is poisoned. [`WriteError::Timeout`] is the same for the time limit.
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
    /// With fewer than 32 KiB, none of a dropped call's bytes was accepted. With more, none was
    /// accepted either if none was written; otherwise the writer is poisoned.
    ///
    /// # Errors
    /// [`EncodeError::Excess`](crate::EncodeError::Excess) if the frame has no room for them;
    /// none is written. [`WriteError::Io`] as in [`feed`](Self::feed).
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
    /// [`WriteError::Flush`] if the transport failed, [`WriteError::Timeout`] if the time limit has
    /// passed; what was not written is kept.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_flush_all(cx)).await
    }

    /// Flushes, and shuts the transport down for writing.
    ///
    /// # Cancel safety
    /// As [`flush`](Self::flush); call it again.
    ///
    /// # Errors
    /// As [`flush`](Self::flush). A writer that is poisoned, or in the middle of a streamed frame,
    /// shuts the transport down too, and then returns that error: the peer's stream is truncated.
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_shutdown_all(cx)).await
    }

    /// Writes until `accept` has taken the bytes.
    async fn accept(
        &mut self,
        bytes: &[u8],
        mut accept: impl FnMut(&mut WriteBuf<Vec<u8>, F>) -> Result<Accepted, WriteBufError>,
    ) -> Result<(), WriteError> {
        self.buf.set_vectored(self.inner.is_write_vectored());
        loop {
            let direct = match accept(&mut self.buf)? {
                Accepted::Collected => return Ok(()),
                Accepted::Nothing => false,
                Accepted::Direct => true,
            };
            let payload = if direct { bytes } else { &[] };
            let waiting = Waiting(self);
            poll_fn(|cx| waiting.0.poll_accepting(payload, cx)).await?;
            drop(waiting);
            if direct {
                return Ok(self.buf.end_direct()?);
            }
        }
    }

    /// Writes everything that is pending, and this payload, before a frame is accepted.
    fn poll_accepting(
        &mut self,
        payload: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        let written = self.poll_write(payload, cx).map_err(WriteError::Io);
        self.poll_in_time(written, false, cx)
    }

    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let flushed = self.poll_flush_now(cx);
        self.poll_in_time(flushed, true, cx)
    }

    fn poll_shutdown_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let shut = self.poll_shutdown_now(cx);
        self.poll_in_time(shut, true, cx)
    }

    /// Returns this result, or waits for the time limit if there is none yet.
    #[inline]
    fn poll_in_time(
        &mut self,
        result: Poll<Result<(), WriteError>>,
        accepted: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError>> {
        let Some(clock) = self.clock.as_deref_mut() else { return result };
        if result.is_ready() {
            clock.timeouts.handle_bytes();
            return result;
        }
        clock.poll_late(cx).map(|after| Err(WriteError::Timeout { after, accepted }))
    }

    fn poll_flush_now(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.buf.check()?;
        ready!(self.poll_write(&[], cx)).map_err(WriteError::Flush)?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx)).map_err(WriteError::Flush)?;
        self.buf.release_memory();
        Poll::Ready(Ok(()))
    }

    /// Writes as much as the transport takes now; an error is returned by the next call that writes.
    pub(super) fn write_now(&mut self, cx: &mut Context<'_>) {
        if !self.buf.is_empty() {
            let _ = self.poll_flush_now(cx);
        }
    }

    fn poll_shutdown_now(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let flushed = ready!(self.poll_flush_now(cx));
        // The stream of a poisoned writer is unusable, but the peer must not wait for the rest of it.
        if matches!(flushed, Ok(()) | Err(WriteError::Poisoned)) {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx)).map_err(WriteError::Flush)?;
        }
        flushed?;
        Poll::Ready(self.buf.check_boundary().map_err(WriteError::Encode))
    }

    fn poll_write(&mut self, payload: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, buf, clock } = self;
        let mut taken = false;
        let written = buf.poll_write(payload, |slices| {
            let written = Pin::new(&mut *inner).poll_write_vectored(cx, slices);
            taken |= matches!(written, Poll::Ready(Ok(1..)));
            written
        });
        if let (true, Some(clock)) = (taken, clock) {
            clock.timeouts.handle_bytes();
        }
        written
    }
}

/// A call that waits. The time limit stops when it ends or is dropped.
struct Waiting<'a, W, F: Wire>(&'a mut FrameWriter<W, F>);

impl<W, F: Wire> Drop for Waiting<'_, W, F> {
    fn drop(&mut self) {
        if let Some(clock) = &mut self.0.clock {
            clock.pause();
        }
    }
}

impl<W, F> Sink<OwnedFrame<F::Meta>> for FrameWriter<W, F>
where
    W: AsyncWrite + Unpin,
    F: Wire + Unpin,
{
    type Error = WriteError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let writer = self.get_mut();
        writer.buf.check()?;
        if writer.buf.is_full() {
            return writer.poll_accepting(&[], cx);
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, frame: OwnedFrame<F::Meta>) -> Result<(), WriteError> {
        let writer = self.get_mut();
        writer.buf.set_vectored(writer.inner.is_write_vectored());
        let meta = frame.meta.clone();
        Ok(writer.buf.collect_owned(meta, frame.into_payload())?)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.get_mut().poll_flush_all(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.get_mut().poll_shutdown_all(cx)
    }
}
