//! A reader without its transport, with tokio's clock.

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

use crate::engine::{READ_LEN, ReadEngine, ReadTimeouts};
use crate::io::ReadError;
use crate::scan::Found;
use crate::{DecodeError, Format, FrameBuf, Framing};

/// The longest storage that a waiting reader keeps for itself, in bytes: with more unread bytes it
/// keeps the large one.
const IDLE_LEN: usize = 4 * 1024;

std::thread_local! {
    /// The storage that the readers of this thread read into, one after the other: those that wait
    /// need none, and those that read find it in the cache, and need not fill it with zeros.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

#[derive(Debug)]
pub(super) struct ReadHalf<F: Format> {
    pub(super) engine: ReadEngine<Vec<u8>, F>,
    /// Allocated with the first timeout only, since an idle connection should be small.
    clock: Option<Box<ReadClock>>,
    /// The `Stream` has yielded its error.
    pub(super) fused: bool,
}

#[derive(Debug)]
struct ReadClock {
    timeouts: ReadTimeouts,
    /// The moment from which `timeouts` counts; set at the first wait, which has a runtime.
    epoch: Option<Instant>,
    /// Wakes the task when a timeout has passed.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl ReadClock {
    fn now(&mut self) -> Duration {
        self.epoch.get_or_insert_with(Instant::now).elapsed()
    }

    /// Waits until this moment, counted from the epoch; forever if it is beyond all time.
    fn poll_alarm(&mut self, deadline: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let epoch = *self.epoch.get_or_insert_with(Instant::now);
        let Some(deadline) = epoch.checked_add(deadline) else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    }
}

impl<F: Format> ReadHalf<F> {
    pub(super) fn new(framing: Framing<F>) -> Self {
        Self { engine: ReadEngine::growing(framing), clock: None, fused: false }
    }

    pub(super) fn timeouts_mut(&mut self) -> &mut ReadTimeouts {
        let new = || ReadClock { timeouts: ReadTimeouts::new(), epoch: None, alarm: None };
        &mut self.clock.get_or_insert_with(|| Box::new(new())).timeouts
    }

    #[inline]
    pub(super) fn buf_mut(&mut self) -> &mut FrameBuf<Vec<u8>, F> {
        self.fused = false;
        self.engine.buf_mut()
    }

    /// Finds the next frame if it is in the buffer.
    #[inline(always)]
    pub(super) fn find_now(&mut self) -> Option<Found<F::Meta>> {
        self.engine.buf_mut().find_now()
    }

    pub(super) fn reset(&mut self) {
        self.engine.reset();
        if let Some(clock) = &mut self.clock {
            clock.timeouts.reset();
        }
        self.fused = false;
    }

    /// Reads until `poll` has an answer.
    pub(super) async fn wait<R: AsyncRead + Unpin, T>(
        &mut self,
        inner: &mut R,
        poll: impl Fn(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Result<T, ReadError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_next(Pin::new(&mut *inner), cx, &poll)).await
    }

    /// Reads until `poll` has an answer, as far as the transport is ready.
    pub(super) fn poll_next<R: AsyncRead, T>(
        &mut self,
        inner: Pin<&mut R>,
        cx: &mut Context<'_>,
        poll: impl Fn(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Poll<Result<T, ReadError>> {
        match poll(&mut self.engine) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer?)),
            Poll::Pending => self.poll_read_until(inner, cx, poll),
        }
    }

    /// Reads at least once unless the stream has ended, until `poll` has an answer, as far as the
    /// transport is ready.
    pub(super) fn poll_read_until<R: AsyncRead, T>(
        &mut self,
        mut inner: Pin<&mut R>,
        cx: &mut Context<'_>,
        poll: impl Fn(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Poll<Result<T, ReadError>> {
        self.resume();
        loop {
            if !self.engine.is_ended() {
                ready!(self.poll_read(inner.as_mut(), cx))?;
                self.check_frame_timeout()?;
            }
            if let Poll::Ready(answer) = poll(&mut self.engine) {
                return Poll::Ready(Ok(answer?));
            }
        }
    }

    /// Reads until there is a frame, like [`poll_read_until`](Self::poll_read_until) with the search
    /// inlined.
    pub(super) fn poll_read_frame<R: AsyncRead>(
        &mut self,
        mut inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Found<F::Meta>>, ReadError>> {
        self.resume();
        loop {
            if !self.engine.is_ended() {
                ready!(self.poll_read(inner.as_mut(), cx))?;
                self.check_frame_timeout()?;
            }
            if let Poll::Ready(answer) = self.engine.poll_frame() {
                return Poll::Ready(Ok(answer?));
            }
        }
    }

    /// Reads once. If nothing can be read, checks the time limits and waits for the first of them.
    pub(super) fn poll_read<R: AsyncRead>(
        &mut self,
        inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReadError>> {
        if self.engine.buf().capacity() <= IDLE_LEN {
            self.borrow_storage();
        }
        let mut spare = ReadBuf::new(self.engine.spare());
        match inner.poll_read(cx, &mut spare) {
            Poll::Ready(Ok(())) => {
                let n = spare.filled().len();
                self.engine.received(n);
                self.handle_bytes();
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => {
                self.return_storage();
                return self.poll_timeouts(cx);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the thread's storage.
    fn borrow_storage(&mut self) {
        let mut shared = SHARED.try_with(Cell::take).unwrap_or_default();
        if shared.len() < READ_LEN {
            shared = vec![0; READ_LEN];
        }
        self.engine.buf_mut().replace_storage(shared);
    }

    /// Gives the thread's storage back, and keeps a small one for the unread bytes.
    fn return_storage(&mut self) {
        let buf = self.engine.buf_mut();
        if buf.capacity() > IDLE_LEN && buf.unread().len() <= IDLE_LEN {
            let storage = buf.take_storage();
            if storage.len() <= READ_LEN {
                let _ = SHARED.try_with(|shared| shared.set(storage));
            }
        }
    }

    /// The peer is not idle.
    pub(super) fn handle_bytes(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.timeouts.handle_bytes();
        }
    }

    pub(super) fn resume(&mut self) {
        if let Some(clock) = &mut self.clock {
            let now = clock.now();
            clock.timeouts.resume(now);
        }
    }

    pub(super) fn pause(&mut self) {
        if let Some(clock) = &mut self.clock {
            let now = clock.now();
            clock.timeouts.pause(now);
        }
    }

    /// Checks the limits while bytes keep arriving, if no frame is whole.
    pub(super) fn check_frame_timeout(&mut self) -> Result<(), ReadError> {
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

    /// Nothing can be written, and nobody reads: returns the error once the idle limit has passed.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<ReadError> {
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
                None => break, // later than any time there is
            }
        }
        Poll::Pending
    }
}

/// A call that waits. However it ends, even if it is dropped, the time limits stop then.
pub(super) struct Waiting<'a, F: Format>(pub(super) &'a mut ReadHalf<F>);

impl<F: Format> Drop for Waiting<'_, F> {
    fn drop(&mut self) {
        self.0.pause();
    }
}
