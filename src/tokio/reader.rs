//! Reading frames from an asynchronous stream.

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::io;
use std::vec;
use std::vec::Vec;

use ::tokio::io::{AsyncRead, ReadBuf};
use ::tokio::time::{Instant, Sleep, sleep_until};
use futures_core::Stream;

use crate::error::RecoverError;
use crate::format::{Format, Header, SelfChecking, V1};
use crate::frame::{Frame, OwnedFrame};
use crate::frame_buf::{BUSY_LEN, FrameBuf, Located};
use crate::framing::Framing;
use crate::io::{Clock, ReadError};

/// What a connection that waits keeps in a storage of its own; with more it keeps the large one.
const LEAST_LEN: usize = 4 * 1024;

std::thread_local! {
    /// The storage that connections on this thread read into, one after the other: those that wait
    /// need none, and those that read find it in the cache, and never have to fill it with zeros.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads frames from anything that is [`AsyncRead`], and lends them without a copy.
///
/// It reads into a buffer of 64 KiB that all readers of a thread share, and into one of its own
/// while a larger frame arrives, which stays below the limit plus a header. While it waits, it holds
/// the bytes that have arrived of the next frame, and nothing else. It needs no `BufReader`.
///
/// As a [`Stream`] it yields owned frames, and ends after the first error.
#[derive(Debug)]
pub struct FrameReader<R, F: Format = V1> {
    inner: R,
    incoming: Incoming<F>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads version-1 frames of at most 1 MiB.
    ///
    /// It waits for ever, unless it is told otherwise: [`frame_timeout`](Self::frame_timeout) ends
    /// slow frames and [`idle_timeout`](Self::idle_timeout) silent peers. A server wants both.
    pub fn new(inner: R) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<R, F: Format> FrameReader<R, F> {
    /// Reads frames of this format and limit.
    pub fn with_framing(inner: R, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, incoming: Incoming::new(framing.into()) }
    }

    pub(super) fn from_parts(inner: R, incoming: Incoming<F>) -> Self {
        Self { inner, incoming }
    }

    /// Sets how long a frame may take from its first byte to its last, skipped ones too. Only the
    /// time in which a call waits counts, also one that is dropped.
    ///
    /// # Panics
    /// A wait panics where tokio's runtime was built without its clock (`enable_time`).
    #[must_use]
    pub fn frame_timeout(mut self, after: Duration) -> Self {
        self.incoming.clock_mut().frame_timeout = Some(after);
        self
    }

    /// Sets how long a peer may send nothing while it is waited for.
    ///
    /// # Panics
    /// As [`frame_timeout`](Self::frame_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, after: Duration) -> Self {
        self.incoming.clock_mut().idle_timeout = Some(after);
        self
    }

    /// Goes on after an oversize frame, as [`Decoder::skip_frame`](crate::Decoder::skip_frame).
    ///
    /// # Errors
    /// The stream did not fail, or not so.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.incoming.skip_frame()
    }

    /// Begins with bytes that were read from the transport before: those that another parser left
    /// over, say.
    #[must_use]
    pub fn with_unread(mut self, bytes: &[u8]) -> Self {
        self.incoming.buf.extend_all(bytes);
        self
    }

    /// Drops what was read and begins a new stream, at offset 0, with the transport's next byte:
    /// a way to go on after a time-out on a lossy line. Also behind the end: a serial port may end
    /// a read without a byte when its time is up.
    pub fn reset(&mut self) {
        self.incoming.buf.reset();
        if let Some(times) = &mut self.incoming.times {
            times.clock.reset();
        }
        (self.incoming.ended, self.incoming.fused) = (false, false);
    }

    /// The format and limit.
    pub fn framing(&self) -> Framing<&F> {
        self.incoming.buf.framing()
    }

    /// The stream offset behind the last frame that was delivered.
    pub fn position(&self) -> u64 {
        self.incoming.buf.position()
    }

    /// The transport.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The transport. Bytes read from it are missing in the frames.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The transport, and the bytes that were read from it and are not consumed.
    pub fn into_inner(self) -> (R, Vec<u8>) {
        (self.inner, self.incoming.buf.into_unread())
    }
}

impl<R: AsyncRead + Unpin, F: Format> FrameReader<R, F> {
    /// Waits for the next frame. `Ok(None)` says that the stream ended between two frames.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: what it read is there for the next one. The times that a
    /// frame may take and a peer may be idle go on.
    ///
    /// # Errors
    /// [`ReadError::Decode`] when the stream failed: every further call returns it again.
    /// [`ReadError::Io`] when a read failed: nothing is lost, and the call can be made again.
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        let Self { inner, incoming } = self;
        if incoming.has_whole() {
            return Ok(Some(incoming.next_whole()?)); // most often, and there is nothing to poll
        }
        let located = incoming.wait(inner).await?;
        Ok(located.and_then(|located| incoming.lend(located)))
    }

    /// The same as a copy that does not borrow the reader.
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame().await?.map(|frame| frame.to_owned()))
    }
}

impl<R: AsyncRead + Unpin, F: SelfChecking> FrameReader<R, F> {
    /// Searches, on a lossy line, for the next header that decodes and keeps the limit, and says
    /// how many bytes it skipped; none if the stream had not failed. See
    /// [`Decoder::resync`](crate::Decoder::resync).
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one goes on searching.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn resync(&mut self) -> Result<u64, ReadError> {
        self.incoming.resync(&mut self.inner).await
    }
}

impl<R: AsyncRead + Unpin, F: Format + Unpin> Stream for FrameReader<R, F> {
    type Item = Result<OwnedFrame<F::Meta>, ReadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { inner, incoming } = self.get_mut();
        incoming.poll_next_owned(Pin::new(inner), cx)
    }
}

/// A reader without its transport.
#[derive(Debug)]
#[doc(hidden)]
pub struct Incoming<F: Format> {
    buf: FrameBuf<Vec<u8>, F>,
    /// Made only where a time is set: an idle connection is to be small.
    times: Option<Box<Times>>,
    /// The transport has said that nothing more comes.
    ended: bool,
    /// The `Stream` has yielded its error.
    fused: bool,
}

#[derive(Debug, Default)]
struct Times {
    clock: Clock,
    /// Wakes when a time is up.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Times {
    fn poll_alarm(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    }
}

impl<F: Format> Incoming<F> {
    #[doc(hidden)]
    pub fn new(framing: Framing<F>) -> Self {
        let buf = FrameBuf::growing(framing);
        Self { buf, times: None, ended: false, fused: false }
    }

    #[doc(hidden)]
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.times.get_or_insert_default().clock
    }

    #[doc(hidden)]
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.buf.skip_frame()?;
        self.fused = false;
        Ok(())
    }

    #[doc(hidden)]
    pub fn position(&self) -> u64 {
        self.buf.position()
    }

    #[doc(hidden)]
    pub fn into_unread(self) -> Vec<u8> {
        self.buf.into_unread()
    }

    /// The next frame, if it is here.
    #[doc(hidden)]
    #[inline(always)]
    pub fn locate(&mut self) -> Result<Option<Located<F::Meta>>, ReadError> {
        Ok(self.buf.locate()?)
    }

    /// Whether the next frame is here.
    #[inline(always)]
    pub(super) fn has_whole(&self) -> bool {
        self.buf.has_whole()
    }

    #[inline(always)]
    pub(super) fn next_whole(&mut self) -> Result<Frame<'_, F::Meta>, ReadError> {
        Ok(self.buf.next_whole()?)
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn lend(&self, located: Located<F::Meta>) -> Option<Frame<'_, F::Meta>> {
        self.buf.lend(located)
    }

    /// Waits for the next frame.
    async fn wait<R: AsyncRead + Unpin>(
        &mut self,
        inner: &mut R,
    ) -> Result<Option<Located<F::Meta>>, ReadError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_locate(Pin::new(inner), cx)).await
    }

    /// The same, which before it waits lets the other direction write.
    pub(super) async fn wait_and_write<S: AsyncRead + Unpin>(
        &mut self,
        inner: &mut S,
        mut write: impl FnMut(Pin<&mut S>, &mut Context<'_>),
    ) -> Result<Option<Located<F::Meta>>, ReadError> {
        let waiting = Waiting(self);
        poll_fn(|cx| {
            let located = waiting.0.poll_locate(Pin::new(inner), cx);
            if located.is_pending() {
                write(Pin::new(inner), cx);
            }
            located
        })
        .await
    }

    pub(super) async fn resync<R: AsyncRead + Unpin>(
        &mut self,
        inner: &mut R,
    ) -> Result<u64, ReadError>
    where
        F: SelfChecking,
    {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_resync(Pin::new(inner), cx)).await
    }

    pub(super) fn poll_next_owned<R: AsyncRead>(
        &mut self,
        inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<OwnedFrame<F::Meta>, ReadError>>> {
        if self.fused {
            return Poll::Ready(None);
        }
        let result = ready!(self.poll_locate(inner, cx));
        self.pause();
        self.fused = result.is_err();
        let owned = |located| self.buf.lend(located).map(|frame| frame.to_owned());
        Poll::Ready(result.map(|located| located.and_then(owned)).transpose())
    }

    fn poll_locate<R: AsyncRead>(
        &mut self,
        mut inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Located<F::Meta>>, ReadError>> {
        self.resume();
        loop {
            if let Some(located) = self.buf.locate()? {
                return Poll::Ready(Ok(Some(located)));
            }
            if !ready!(self.poll_more(inner.as_mut(), cx))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Reads once; `false` says that the stream ended between two frames.
    #[doc(hidden)]
    pub fn poll_more<R: AsyncRead>(
        &mut self,
        inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, ReadError>> {
        if self.ended {
            self.buf.finish()?;
            return Poll::Ready(Ok(false));
        }
        ready!(self.poll_fill(inner, cx))?;
        if self.times.is_some() && self.buf.is_waiting() {
            self.check_clock(false)?;
        }
        Poll::Ready(Ok(true))
    }

    /// Reads to the stream's end, and drops what comes.
    #[doc(hidden)]
    pub fn poll_discard<R: AsyncRead>(
        &mut self,
        mut inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        while !self.ended {
            let mut scratch = ReadBuf::new(&mut scratch);
            match ready!(inner.as_mut().poll_read(cx, &mut scratch)) {
                Ok(()) => self.ended = scratch.filled().is_empty(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_resync<R: AsyncRead>(
        &mut self,
        mut inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, ReadError>>
    where
        F: SelfChecking,
    {
        self.resume();
        loop {
            match self.buf.resync() {
                Ok(Some(skipped)) => {
                    self.fused = false;
                    return Poll::Ready(Ok(skipped));
                }
                Err(RecoverError::NotFailed) => return Poll::Ready(Ok(0)),
                Err(RecoverError::Failed(error)) => return Poll::Ready(Err(error.into())),
                Ok(None) if self.ended => self.buf.finish()?,
                Ok(None) => ready!(self.poll_fill(inner.as_mut(), cx))?,
            }
        }
    }

    /// Reads once. Where nothing is there it looks at the clock.
    fn poll_fill<R: AsyncRead>(
        &mut self,
        inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReadError>> {
        match self.poll_read(inner, cx) {
            Poll::Ready(Ok(0)) => self.ended = true,
            Poll::Ready(Ok(_)) => self.bytes_moved(),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => {
                self.give_back();
                return self.poll_clock(cx);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The peer is not idle.
    #[doc(hidden)]
    pub fn bytes_moved(&mut self) {
        if let Some(times) = &mut self.times {
            times.clock.bytes_came();
        }
    }

    /// An error if a time is up.
    fn check_clock(&mut self, nothing_to_read: bool) -> Result<(), ReadError> {
        let Some(times) = &mut self.times else { return Ok(()) };
        let now = Instant::now().into_std();
        times.clock.open_frame(self.buf.open_frame(), now);
        if nothing_to_read {
            times.clock.nothing_to_read(now);
        }
        times.clock.check(now, self.buf.position())
    }

    /// The header of the frame that has begun and is not whole.
    #[doc(hidden)]
    pub fn begun(&self) -> Option<Header<F::Meta>> {
        self.buf.begun()
    }

    #[doc(hidden)]
    pub fn resume(&mut self) {
        if let Some(times) = &mut self.times {
            times.clock.resume(Instant::now().into_std());
        }
    }

    #[doc(hidden)]
    pub fn pause(&mut self) {
        if let Some(times) = &mut self.times {
            times.clock.pause(Instant::now().into_std());
        }
    }

    fn poll_read<R: AsyncRead>(
        &mut self,
        inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.buf.capacity() <= LEAST_LEN {
            self.borrow();
        }
        let mut spare = ReadBuf::new(self.buf.spare());
        ready!(inner.poll_read(cx, &mut spare))?;
        let n = spare.filled().len();
        self.buf.commit(n);
        Poll::Ready(Ok(n))
    }

    /// Moves on to the thread's storage.
    fn borrow(&mut self) {
        let mut shared = SHARED.try_with(Cell::take).unwrap_or_default();
        if shared.len() < BUSY_LEN {
            shared = vec![0; BUSY_LEN];
        }
        self.buf.exchange(shared);
    }

    /// Gives the thread its storage back, for what little has to be kept.
    fn give_back(&mut self) {
        if self.buf.capacity() > LEAST_LEN && self.buf.unread().len() <= LEAST_LEN {
            let storage = self.buf.exchange_for_least();
            if storage.len() <= BUSY_LEN {
                let _ = SHARED.try_with(|shared| shared.set(storage));
            }
        }
    }

    /// Nothing is there to read: an error if the time is up, else the wake-up for it.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        self.check_clock(true)?;
        while let Some(times) = self.times.as_deref_mut()
            && let Some(deadline) = times.clock.deadline()
        {
            ready!(times.poll_alarm(deadline.into(), cx));
            self.check_clock(true)?;
        }
        Poll::Pending
    }

    /// Nothing can be written, and nobody reads: the error once the idle time is up.
    #[doc(hidden)]
    pub fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<ReadError> {
        self.resume();
        while let Some(times) = self.times.as_deref_mut()
            && times.clock.idle_timeout.is_some()
        {
            let now = Instant::now().into_std();
            times.clock.nothing_to_read(now);
            if let Err(error) = times.clock.check_idle(now, self.buf.position()) {
                return Poll::Ready(error);
            }
            match times.clock.idle_deadline() {
                Some(deadline) => ready!(times.poll_alarm(deadline.into(), cx)),
                None => break, // beyond all time
            }
        }
        Poll::Pending
    }
}

/// A call that waits. However it ends, also when it is dropped, the clock stands still afterwards.
struct Waiting<'a, F: Format>(&'a mut Incoming<F>);

impl<F: Format> Drop for Waiting<'_, F> {
    fn drop(&mut self) {
        self.0.pause();
    }
}
