//! Transports that follow a script: how much each call takes, when it is pending, when it fails.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one call on the transport does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Moves at most so many bytes, at least one.
    Move(usize),
    /// Has nothing yet, and wakes at once. (A blocking transport reports `WouldBlock`.)
    Pending,
    /// Fails, and moves nothing.
    Fail(io::ErrorKind),
    /// Moves nothing and reports no error: to a reader the end of the stream.
    Nothing,
}

#[derive(Debug, Default)]
pub struct Script(VecDeque<Step>);

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(steps.into_iter().collect())
    }

    /// The most bytes that this call moves. Behind its end a script moves all there are.
    pub(crate) fn next(&mut self) -> Result<usize, Step> {
        match self.0.pop_front() {
            None => Ok(usize::MAX),
            Some(Step::Move(n)) => Ok(n.max(1)),
            Some(step) => Err(step),
        }
    }
}

/// Gives out `bytes`, and then the end of stream.
#[derive(Debug)]
pub struct Source {
    bytes: Vec<u8>,
    at: usize,
    pub script: Script,
}

impl Source {
    pub fn new(bytes: &[u8], steps: impl IntoIterator<Item = Step>) -> Self {
        Self { bytes: bytes.to_vec(), at: 0, script: Script::new(steps) }
    }

    pub(crate) fn next_bytes(&mut self, most: usize) -> &[u8] {
        let n = most.min(self.bytes.len() - self.at);
        self.at += n;
        &self.bytes[self.at - n..self.at]
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!buf.is_empty(), "a read into no room would look like the end of the stream");
        match self.script.next() {
            Ok(n) => {
                let bytes = self.next_bytes(n.min(buf.len()));
                buf[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            }
            Err(Step::Fail(kind)) => Err(kind.into()),
            Err(Step::Nothing) => Ok(0),
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(buf.remaining() > 0, "a read into no room would look like the end of the stream");
        match self.script.next() {
            Ok(n) => {
                let n = n.min(buf.remaining());
                buf.put_slice(self.next_bytes(n));
                Poll::Ready(Ok(()))
            }
            Err(Step::Nothing) => Poll::Ready(Ok(())),
            Err(Step::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Err(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Keeps what was written to it.
#[derive(Debug, Default)]
pub struct Drain {
    pub bytes: Vec<u8>,
    pub script: Script,
    /// Where in memory the slices of each write stood.
    pub writes: Vec<Vec<(*const u8, usize)>>,
    pub flushed: usize,
    pub is_shut: bool,
}

impl Drain {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { script: Script::new(steps), ..Self::default() }
    }

    pub(crate) fn put(&mut self, slices: &[IoSlice<'_>], mut most: usize) -> usize {
        self.writes.push(slices.iter().map(|slice| (slice.as_ptr(), slice.len())).collect());
        let before = self.bytes.len();
        for slice in slices {
            let n = most.min(slice.len());
            self.bytes.extend_from_slice(&slice[..n]);
            most -= n;
        }
        self.bytes.len() - before
    }
}

impl Write for Drain {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.script.next() {
            Ok(n) => Ok(self.put(slices, n)),
            Err(Step::Fail(kind)) => Err(kind.into()),
            Err(Step::Nothing) => Ok(0),
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = self.bytes.len();
        Ok(())
    }
}

impl AsyncWrite for Drain {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.script.next() {
            Ok(n) => Poll::Ready(Ok(self.put(slices, n))),
            Err(Step::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Err(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.bytes.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

/// One poll that nobody is woken by.
pub fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a future that no runtime has to wake.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = poll_once(future.as_mut()) {
            return value;
        }
    }
}

/// Polls a call so often, and drops it.
pub fn attempt<T>(polls: usize, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    for _ in 0..polls {
        if let Poll::Ready(result) = poll_once(call.as_mut()) {
            return Some(result);
        }
    }
    None
}

/// Both directions, each after its own script.
#[derive(Debug)]
pub struct Line {
    pub source: Source,
    pub drain: Drain,
}

impl Line {
    pub fn new(source: Source, drain: Drain) -> Self {
        Self { source, drain }
    }
}

impl Read for Line {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.source.read(buf)
    }
}

impl Write for Line {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.drain.write(buf)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.drain.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain.flush()
    }
}

impl unstick_session::io::Transport for Line {
    fn end_writing(&mut self) -> io::Result<()> {
        self.drain.is_shut = true;
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.source).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.drain).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.drain).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.drain).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.drain).poll_shutdown(cx)
    }
}
