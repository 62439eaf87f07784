//! Reading frames from an asynchronous stream.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::io;
use std::vec::Vec;

use ::tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use futures_core::Stream;

use super::clock::Clock;
use crate::engine::{FrameOrSkipped, Next, ReadEngine, ReadTimeouts, SharedReadEngine};
use crate::io::ReadError;
use crate::scan::Found;
use crate::{
    DecodeError, Frame, FrameBuf, Framing, Header, KnownLength, OwnedFrame, Search, V1, Wire,
};

/// Reads frames from anything that is [`AsyncRead`], and returns them borrowed, without a copy.
///
/// It reads into a buffer of 96 KiB that all readers of a thread share, and into one of its own
/// while a larger frame arrives, which grows up to the limit plus a header. While it waits, it holds
/// only the bytes of the next frame that have arrived. It needs no `BufReader`. [`buf`](Self::buf)
/// returns the buffer, which has the framing, the position in the stream, and the next header.
///
/// As a [`Stream`] it yields owned frames, and ends after the first error.
///
/// To read and write on one stream, split it (`TcpStream::into_split`), or use a [`FrameStream`](super::FrameStream).
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
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// FrameWriter::with_framing(client, U32Be).send((), "hello").await?;
///
/// let (stream, _) = listener.accept().await?;
/// let mut reader = FrameReader::with_framing(stream, U32Be)
///     .with_frame_timeout(Duration::from_secs(10))
///     .with_idle_timeout(Duration::from_secs(60));
/// while let Some(frame) = reader.next_frame().await? {
///     assert_eq!(frame.payload, b"hello"); // borrowed from the reader, until the next call
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReader<R, F: Wire = V1> {
    inner: R,
    pub(super) engine: SharedReadEngine<F>,
    /// Allocated with the first timeout only, since an idle connection should be small.
    clock: Option<Box<Clock>>,
    /// The `Stream` has yielded its error.
    fused: bool,
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

impl<R, F: Wire> FrameReader<R, F> {
    /// Creates a reader of frames of this format and limit.
    pub fn with_framing(inner: R, framing: impl Into<Framing<F>>) -> Self {
        let engine = SharedReadEngine::new(framing);
        Self { inner, engine, clock: None, fused: false }
    }

    /// Sets how long a frame may take from its first byte to its last, including a frame that is
    /// skipped. Only the time in which a call waits counts, including a call that is dropped.
    ///
    /// # Panics
    /// A wait panics if tokio's runtime was built without its clock (`enable_time`).
    #[must_use]
    pub fn with_frame_timeout(mut self, after: Duration) -> Self {
        self.timeouts_mut().set_frame_timeout(after);
        self
    }

    /// Sets how long a peer may send nothing while a call waits for it.
    ///
    /// # Panics
    /// As [`with_frame_timeout`](Self::with_frame_timeout).
    #[must_use]
    pub fn with_idle_timeout(mut self, after: Duration) -> Self {
        self.timeouts_mut().set_idle_timeout(after);
        self
    }

    /// Starts with bytes that were read from the transport before, for example by another parser.
    #[must_use]
    pub fn with_unread(mut self, bytes: &[u8]) -> Self {
        self.engine.buf_mut().extend_all(bytes);
        self
    }

    /// Returns the read buffer: for the framing, the stream offset, and the next header.
    #[inline]
    pub fn buf(&self) -> &FrameBuf<Vec<u8>, F> {
        self.engine.buf()
    }

    /// Returns the read buffer: to take the frames that are in it without reading, or to continue
    /// after an oversize frame by [`FrameBuf::skip_frame`]. As a [`Stream`] the reader continues
    /// then.
    #[inline]
    pub fn buf_mut(&mut self) -> &mut FrameBuf<Vec<u8>, F> {
        self.fused = false;
        self.engine.buf_mut()
    }

    /// Whether the transport has reported the end of the stream.
    pub fn is_ended(&self) -> bool {
        self.engine.is_ended()
    }

    /// Drops what was read and starts a new stream, at offset 0, with the transport's next byte. A
    /// lossy line can continue in this way after a timeout, or after an end of the stream, which a
    /// serial port may report when a read times out.
    pub fn reset(&mut self) {
        self.engine.reset();
        if let Some(clock) = &mut self.clock {
            clock.timeouts.reset();
        }
        self.fused = false;
    }

    /// Restarts the idle timeout: the peer has taken some of what is sent to it.
    pub fn restart_idle(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.timeouts.handle_bytes();
        }
    }

    /// Lets the time limits run: a call begins to wait.
    pub fn resume(&mut self) {
        if let Some(clock) = &mut self.clock {
            let now = clock.now();
            clock.timeouts.resume(now);
        }
    }

    /// Stops the time limits: a call has ended or was dropped.
    pub fn pause(&mut self) {
        if let Some(clock) = &mut self.clock {
            let now = clock.now();
            clock.timeouts.pause(now);
        }
    }

    fn timeouts_mut(&mut self) -> &mut ReadTimeouts {
        &mut self.clock.get_or_insert_with(|| Box::new(Clock::new())).timeouts
    }

    /// Sets the limit, in payload bytes, from the next header on: see [`FrameBuf::set_limit`].
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.engine.buf_mut().set_limit(payload_bytes);
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
        (self.inner, self.engine.into_unread())
    }
}

impl<R: AsyncRead + Unpin, F: Wire> FrameReader<R, F> {
    /// Waits for the next frame. Returns `Ok(None)` if the stream ended between two frames.
    ///
    /// The frame is borrowed from the reader until the next call: to collect frames, or to send one to
    /// another task, take [`next_owned`](Self::next_owned). The compiler's "cannot borrow as mutable more
    /// than once" means the same.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: what it read is there for the next one. Its wait counts for the
    /// time limits.
    ///
    /// # Errors
    /// [`ReadError::Decode`] if the stream has failed: every further call returns it again.
    /// [`ReadError::Io`] if a read failed: nothing is lost, and the call can be repeated.
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        // Usually a frame is in the buffer. Found before the first wait, it stays in registers.
        if let Some(found) = self.engine.buf_mut().find_now() {
            return Ok(self.engine.frame(&found));
        }
        let found = match self.engine.buf_mut().find_slowly()? {
            Some(found) => Some(found),
            None => {
                let waiting = Waiting(self);
                poll_fn(|cx| waiting.0.poll_read_frame(cx)).await?
            }
        };
        Ok(found.and_then(|found| self.engine.frame(&found)))
    }

    /// Waits for the next frame and returns a copy that does not borrow the reader.
    ///
    /// ```
    /// use unstick::U8;
    /// use unstick::tokio::FrameReader;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), unstick::io::ReadError> {
    /// let mut reader = FrameReader::with_framing(&b"\x03one\x03two"[..], U8);
    /// let mut frames = Vec::new();
    /// while let Some(frame) = reader.next_owned().await? {
    ///     frames.push(frame);
    /// }
    /// assert_eq!((frames[0].payload(), frames[1].payload()), (&b"one"[..], &b"two"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame().await?.map(|frame| frame.to_owned()))
    }

    /// Waits for the header of the next frame and consumes nothing of it. The frame can then be taken,
    /// by [`next_frame`](Self::next_frame) or [`payload`](Self::payload), or be skipped, by
    /// [`FrameBuf::skip_frame`]. Returns `Ok(None)` if the stream ended between two frames.
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_header(&mut self) -> Result<Option<Header<F::Meta>>, ReadError>
    where
        F: KnownLength,
    {
        self.wait(ReadEngine::poll_header).await
    }

    /// Waits for the next bytes of the next frame's payload, and returns `Ok(None)` at its end: for a
    /// payload that is larger than memory. [`next_header`](Self::next_header) returns its header
    /// before. What is not taken of it is dropped by [`next_frame`](Self::next_frame).
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn payload(&mut self) -> Result<Option<&[u8]>, ReadError>
    where
        F: KnownLength,
    {
        let run = self.wait(ReadEngine::poll_payload).await?;
        Ok(run.and_then(|run| self.engine.buf().payload(&run)))
    }

    /// Reads once. Returns `false` if the stream ended between two frames. For types built on a
    /// reader, such as a conversation that reads and writes: call [`resume`](Self::resume) before a
    /// wait, and [`pause`](Self::pause) after it.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, ReadError>> {
        if self.engine.is_ended() {
            self.engine.buf().finish()?;
            return Poll::Ready(Ok(false));
        }
        ready!(self.poll_read(cx))?;
        self.check_frame_timeout()?;
        Poll::Ready(Ok(true))
    }

    /// Waits until the peer has been idle for too long, for a call that waits to write and does not
    /// read. Without an idle timeout, it waits forever.
    pub fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<ReadError> {
        self.resume();
        while let Some(clock) = self.clock.as_deref_mut() {
            if !clock.timeouts.has_idle_timeout() {
                break;
            }
            let now = clock.now();
            clock.timeouts.handle_nothing(now);
            let consumed = self.engine.buf().position();
            if let Err(timed_out) = clock.timeouts.handle_idle_timeout(now, consumed) {
                return Poll::Ready(timed_out.into());
            }
            match clock.timeouts.poll_idle_timeout() {
                Some(deadline) => ready!(clock.poll_alarm(deadline, cx)),
                None => break, // later than any `Duration`
            }
        }
        Poll::Pending
    }

    /// Reads until `poll` has an answer.
    async fn wait<T>(
        &mut self,
        poll: impl Fn(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Result<T, ReadError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_next(cx, &poll)).await
    }

    /// Reads until `poll` has an answer, as far as the transport is ready.
    fn poll_next<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl Fn(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Poll<Result<T, ReadError>> {
        if let Poll::Ready(answer) = poll(&mut self.engine) {
            return Poll::Ready(Ok(answer?));
        }
        self.resume();
        loop {
            if !self.engine.is_ended() {
                ready!(self.poll_read(cx))?;
                self.check_frame_timeout()?;
            }
            if let Poll::Ready(answer) = poll(&mut self.engine) {
                return Poll::Ready(Ok(answer?));
            }
        }
    }

    /// Reads at least once unless the stream has ended, until there is a frame: an inlined
    /// [`poll_next`](Self::poll_next), for a caller that found no frame before.
    pub(super) fn poll_read_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Found<F::Meta>>, ReadError>> {
        self.resume();
        loop {
            if !self.engine.is_ended() {
                ready!(self.poll_read(cx))?;
                self.check_frame_timeout()?;
            }
            if let Poll::Ready(answer) = self.engine.poll_frame() {
                return Poll::Ready(Ok(answer?));
            }
        }
    }

    /// Reads once. If nothing can be read, checks the time limits and waits for the first of them.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        self.engine.take_storage();
        match self.poll_read_bytes(cx) {
            Poll::Ready(Ok(())) if self.engine.is_ended() => self.engine.return_storage(),
            Poll::Ready(Ok(())) => self.restart_idle(),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => {
                self.engine.return_storage();
                return self.poll_timeouts(cx);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into the buffer.
    #[inline]
    fn poll_read_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, engine, .. } = self;
        // Memory for a large frame is not set to zero first.
        let append = |storage: &mut Vec<u8>| pin!(inner.read_buf(storage)).poll(cx);
        if let Some(read) = engine.append_with(append) {
            return read.map_ok(drop);
        }
        let mut spare = ReadBuf::new(engine.spare());
        ready!(Pin::new(inner).poll_read(cx, &mut spare))?;
        let n = spare.filled().len();
        engine.received(n);
        Poll::Ready(Ok(()))
    }

    /// Checks the limits while bytes keep arriving, if no frame is whole.
    fn check_frame_timeout(&mut self) -> Result<(), ReadError> {
        if self.clock.is_some() && self.engine.buf().needs_more() {
            self.check_timeouts(false)?;
        }
        Ok(())
    }

    fn check_timeouts(&mut self, nothing_to_read: bool) -> Result<(), ReadError> {
        let Some(clock) = &mut self.clock else { return Ok(()) };
        let now = clock.now();
        let buf = self.engine.buf();
        clock.timeouts.handle_open_frame(buf.open_frame(), now);
        if nothing_to_read {
            clock.timeouts.handle_nothing(now);
        }
        Ok(clock.timeouts.handle_timeout(now, buf.position())?)
    }

    /// Nothing can be read: returns the error of a limit that has passed, or waits for the first one.
    fn poll_timeouts(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        self.check_timeouts(true)?;
        while let Some(clock) = self.clock.as_deref_mut() {
            let Some(deadline) = clock.timeouts.poll_timeout() else { break };
            ready!(clock.poll_alarm(deadline, cx));
            self.check_timeouts(true)?;
        }
        Poll::Pending
    }
}

impl<R: AsyncRead + Unpin, F: Search> FrameReader<R, F> {
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
            self.wait(ReadEngine::poll_next_or_resync).await?;
        self.fused = false;
        Ok(next.and_then(|next| self.engine.next(next)))
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
        let skipped = self.wait(ReadEngine::poll_resync).await?;
        self.fused = false;
        Ok(skipped)
    }
}

impl<R: AsyncRead + Unpin, F: Wire + Unpin> Stream for FrameReader<R, F> {
    type Item = Result<OwnedFrame<F::Meta>, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reader = self.get_mut();
        if reader.fused {
            return Poll::Ready(None);
        }
        let result = ready!(reader.poll_next(cx, ReadEngine::poll_frame));
        reader.pause();
        reader.fused = result.is_err();
        let owned = |found| reader.engine.frame(&found).map(|frame| frame.to_owned());
        Poll::Ready(result.map(|found| found.and_then(owned)).transpose())
    }
}

/// A call that waits. The time limits stop when it ends or is dropped.
pub(super) struct Waiting<'a, R, F: Wire>(pub(super) &'a mut FrameReader<R, F>);

impl<R, F: Wire> Drop for Waiting<'_, R, F> {
    fn drop(&mut self) {
        self.0.pause();
    }
}
