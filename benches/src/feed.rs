//! One source of bytes for every contender that reads: the stream, again and again, in chunks.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::ReadBuf;

use crate::case::Chunk;

/// Hands out a stream in chunks. A read ends with a chunk, also where there is room for more; at
/// the stream's end it begins again.
#[derive(Debug)]
pub struct Feed<'a> {
    wire: &'a [u8],
    rest: &'a [u8],
    chunk: usize,
    left: usize,
}

impl<'a> Feed<'a> {
    /// From the stream's beginning.
    #[must_use]
    pub fn new(wire: &'a [u8], chunk: Chunk) -> Self {
        Self { wire, rest: wire, chunk: chunk.0, left: 0 }
    }

    /// The next bytes, for a reader with this much room.
    #[inline]
    pub fn take(&mut self, room: usize) -> &'a [u8] {
        if self.rest.is_empty() {
            self.rest = self.wire;
        }
        if self.left == 0 {
            self.left = self.chunk.min(self.rest.len());
        }
        let (taken, rest) = self.rest.split_at(self.left.min(room));
        self.rest = rest;
        self.left -= taken.len();
        taken
    }

    #[inline]
    fn read_into(&mut self, out: &mut [u8]) -> usize {
        let taken = self.take(out.len());
        out[..taken.len()].copy_from_slice(taken);
        taken.len()
    }
}

impl io::Read for Feed<'_> {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_into(out))
    }
}

impl tokio::io::AsyncRead for Feed<'_> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        out.put_slice(self.take(out.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl futures::io::AsyncRead for Feed<'_> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.read_into(out)))
    }
}

impl embedded_io_async::ErrorType for Feed<'_> {
    type Error = Infallible;
}

impl embedded_io_async::Read for Feed<'_> {
    #[inline]
    async fn read(&mut self, out: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.read_into(out))
    }
}

/// Runs a future that never waits: a [`Feed`] always has bytes.
#[inline]
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a feed never waits"),
    }
}
