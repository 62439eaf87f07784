//! Reading frames from an asynchronous stream.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::vec::Vec;

use ::tokio::io::AsyncRead;
use futures_core::Stream;

use super::read_half::{ReadHalf, Waiting};
use crate::engine::{FrameOrSkipped, Next, ReadEngine};
use crate::io::ReadError;
use crate::{Format, Frame, FrameBuf, Framing, OwnedFrame, SelfChecking, V1};

/// Reads frames from anything that is [`AsyncRead`], and returns them borrowed, without a copy.
///
/// It reads into a buffer of 64 KiB that all readers of a thread share, and into one of its own
/// while a larger frame arrives, which grows up to the limit plus a header. While it waits, it holds
/// only the bytes of the next frame that have arrived. It needs no `BufReader`. [`buf`](Self::buf)
/// returns the buffer, which knows the framing, the position in the stream, and the next header.
///
/// As a [`Stream`] it yields owned frames, and ends after the first error.
#[derive(Debug)]
pub struct FrameReader<R, F: Format = V1> {
    inner: R,
    half: ReadHalf<F>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Creates a reader of version-1 frames of at most 1 MiB.
    ///
    /// It waits indefinitely unless it has limits: [`with_frame_timeout`](Self::with_frame_timeout)
    /// ends slow frames and [`with_idle_timeout`](Self::with_idle_timeout) silent peers. A server
    /// needs both.
    pub fn new(inner: R) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<R, F: Format> FrameReader<R, F> {
    /// Creates a reader of frames of this format and limit.
    pub fn with_framing(inner: R, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, half: ReadHalf::new(framing.into()) }
    }

    pub(super) fn from_parts(inner: R, half: ReadHalf<F>) -> Self {
        Self { inner, half }
    }

    /// Sets how long a frame may take from its first byte to its last, including a frame that is
    /// skipped. Only the time in which a call waits counts, including a call that is dropped.
    ///
    /// # Panics
    /// A wait panics if tokio's runtime was built without its clock (`enable_time`).
    #[must_use]
    pub fn with_frame_timeout(mut self, after: Duration) -> Self {
        self.half.timeouts_mut().set_frame_timeout(after);
        self
    }

    /// Sets how long a peer may send nothing while a call waits for it.
    ///
    /// # Panics
    /// As [`with_frame_timeout`](Self::with_frame_timeout).
    #[must_use]
    pub fn with_idle_timeout(mut self, after: Duration) -> Self {
        self.half.timeouts_mut().set_idle_timeout(after);
        self
    }

    /// Starts with bytes that were read from the transport before, for example by another parser.
    #[must_use]
    pub fn with_unread(mut self, bytes: &[u8]) -> Self {
        self.half.buf_mut().extend_all(bytes);
        self
    }

    /// Returns the read buffer: for the framing, the stream offset, and the next header.
    #[inline]
    pub fn buf(&self) -> &FrameBuf<Vec<u8>, F> {
        self.half.engine.buf()
    }

    /// Returns the read buffer: to take the frames that are in it without reading, or to continue
    /// after an oversize frame by [`FrameBuf::skip_frame`]. As a [`Stream`] the reader continues
    /// then.
    #[inline]
    pub fn buf_mut(&mut self) -> &mut FrameBuf<Vec<u8>, F> {
        self.half.buf_mut()
    }

    /// Whether the transport has reported the end of the stream.
    pub fn is_ended(&self) -> bool {
        self.half.engine.is_ended()
    }

    /// Drops what was read and starts a new stream, at offset 0, with the transport's next byte: a
    /// way to continue after a timeout on a lossy line, and after the end: a serial port may end a
    /// read without a byte when its time is up.
    pub fn reset(&mut self) {
        self.half.reset();
    }

    /// Restarts the idle timeout: the peer has taken some of what is sent to it.
    pub fn restart_idle(&mut self) {
        self.half.handle_bytes();
    }

    /// Lets the time limits run: a call begins to wait.
    pub fn resume(&mut self) {
        self.half.resume();
    }

    /// Stops the time limits: a call has ended or was dropped.
    pub fn pause(&mut self) {
        self.half.pause();
    }

    /// Returns the transport.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns the transport. Bytes read from it are missing in the frames.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Returns the transport, and the bytes that were read from it and are not consumed.
    pub fn into_inner(self) -> (R, Vec<u8>) {
        (self.inner, self.half.engine.into_buf().into_unread())
    }
}

impl<R: AsyncRead + Unpin, F: Format> FrameReader<R, F> {
    /// Waits for the next frame. Returns `Ok(None)` if the stream ended between two frames.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: what it read is there for the next one. The time limits go on.
    ///
    /// # Errors
    /// [`ReadError::Decode`] if the stream has failed: every further call returns it again.
    /// [`ReadError::Io`] if a read failed: nothing is lost, and the call can be repeated.
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        let Self { inner, half } = self;
        // Usually a frame is in the buffer. Found before the first wait, it stays in registers.
        if let Some(found) = half.find_now() {
            return Ok(half.engine.frame(&found));
        }
        let found = match half.engine.buf_mut().find_slowly()? {
            Some(found) => Some(found),
            None => {
                let waiting = Waiting(half);
                poll_fn(|cx| waiting.0.poll_read_frame(Pin::new(&mut *inner), cx)).await?
            }
        };
        Ok(found.and_then(|found| half.engine.frame(&found)))
    }

    /// Waits for the next frame and returns a copy that does not borrow the reader.
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame().await?.map(|frame| frame.to_owned()))
    }

    /// Reads once. Returns `false` if the stream ended between two frames. For types that stand on a
    /// reader, as a conversation that reads and writes; a call that waits begins with
    /// [`resume`](Self::resume) and ends with [`pause`](Self::pause).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, ReadError>> {
        let Self { inner, half } = self;
        if half.engine.is_ended() {
            half.engine.buf().finish()?;
            return Poll::Ready(Ok(false));
        }
        ready!(half.poll_read(Pin::new(inner), cx))?;
        half.check_frame_timeout()?;
        Poll::Ready(Ok(true))
    }

    /// Waits until the peer has been idle for too long: for a call that waits to write while nobody
    /// reads. Pending without an idle timeout.
    pub fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<ReadError> {
        self.half.poll_idle(cx)
    }
}

impl<R: AsyncRead + Unpin, F: SelfChecking> FrameReader<R, F> {
    /// Waits for the next frame on a lossy line. If the stream has failed, skips to the next valid
    /// header, and returns the error and the number of bytes skipped.
    ///
    /// An oversize frame is searched too, since its length may be damaged; on a line that is not
    /// lossy, [`FrameBuf::skip_frame`] skips just that frame.
    ///
    /// On a reliable transport end the stream instead: payload bytes may look like a header, and a
    /// peer could have placed them there.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one continues the search, and counts all bytes.
    ///
    /// # Errors
    /// [`ReadError::Io`] as in [`next_frame`](Self::next_frame). [`ReadError::Decode`] if the
    /// stream ended inside a frame or during a search: every further call returns it again.
    pub async fn next_or_resync(&mut self) -> Result<Option<Next<'_, F::Meta>>, ReadError> {
        let next: Option<FrameOrSkipped<F::Meta>> =
            self.half.wait(&mut self.inner, ReadEngine::poll_next_or_resync).await?;
        self.half.fused = false;
        Ok(next.and_then(|next| self.half.engine.next(next)))
    }

    /// Searches, on a lossy line, for the next valid header within the limit, and returns the number
    /// of bytes skipped; zero if the stream has not failed. See
    /// [`Decoder::resync`](crate::Decoder::resync).
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one continues the search.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn resync(&mut self) -> Result<u64, ReadError> {
        let skipped = self.half.wait(&mut self.inner, ReadEngine::poll_resync).await?;
        self.half.fused = false;
        Ok(skipped)
    }
}

impl<R: AsyncRead + Unpin, F: Format + Unpin> Stream for FrameReader<R, F> {
    type Item = Result<OwnedFrame<F::Meta>, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, half } = self.get_mut();
        if half.fused {
            return Poll::Ready(None);
        }
        let result = ready!(half.poll_next(Pin::new(inner), cx, ReadEngine::poll_frame));
        half.pause();
        half.fused = result.is_err();
        let owned = |found| half.engine.frame(&found).map(|frame| frame.to_owned());
        Poll::Ready(result.map(|found| found.and_then(owned)).transpose())
    }
}
