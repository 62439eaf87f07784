//! Connections under TLS: what a peer says without TLS, and the alerts it sends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::explain::alert;
use crate::addr::BoxedReader;

/// The number of a peer's first bytes that are kept, to say what it speaks instead of TLS.
const MAX_FIRST: usize = 16;
/// The maximum number of bytes that are read ahead for the reason of a failed write.
const MAX_AHEAD: usize = 256 << 10;

/// A reader before and during the handshake, which keeps the first bytes that came.
pub(super) struct Peeked {
    inner: BoxedReader,
    first: Vec<u8>,
    /// What was read before the handshake, and how much of it was taken.
    ahead: Vec<u8>,
    taken: usize,
}

impl Peeked {
    pub(super) fn new(inner: BoxedReader) -> Self {
        Self { inner, first: Vec::new(), ahead: Vec::new(), taken: 0 }
    }

    /// Waits for the first bytes, which are read again later.
    pub(super) async fn peek(&mut self) -> io::Result<&[u8]> {
        let mut bytes = [0; MAX_FIRST];
        let n = self.inner.read(&mut bytes).await?;
        self.ahead.extend_from_slice(bytes.get(..n).unwrap_or_default());
        self.first.clone_from(&self.ahead);
        Ok(&self.ahead)
    }

    /// Returns the first bytes that came.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }
}

impl AsyncRead for Peeked {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if serve(&mut this.ahead, &mut this.taken, buf) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        keep_first(&mut this.first, MAX_FIRST, buf, before);
        Poll::Ready(Ok(()))
    }
}

/// Keeps what a read has added to `buf` after its first `before` bytes, up to `max` bytes of the stream.
pub(super) fn keep_first(first: &mut Vec<u8>, max: usize, buf: &ReadBuf<'_>, before: usize) {
    let read = buf.filled().get(before..).unwrap_or_default();
    first.extend(read.iter().take(max.saturating_sub(first.len())));
}

/// Moves bytes that were read earlier. Returns whether there were any.
fn serve(held: &mut Vec<u8>, taken: &mut usize, buf: &mut ReadBuf<'_>) -> bool {
    let left = held.get(*taken..).unwrap_or_default();
    if left.is_empty() {
        if !held.is_empty() {
            (*held, *taken) = (Vec::new(), 0);
        }
        return false;
    }
    let served = left.get(..left.len().min(buf.remaining())).unwrap_or_default();
    buf.put_slice(served);
    *taken += served.len();
    true
}

/// A stream after the handshake. The error of a write to a peer that has ended it with an alert is the
/// alert.
pub(super) struct Named<S> {
    inner: S,
    /// What was read while the reason of a failed write was looked for, and how much of it was taken.
    ahead: Vec<u8>,
    taken: usize,
}

impl<S: AsyncRead + Unpin> Named<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, ahead: Vec::new(), taken: 0 }
    }

    /// Names an error of a write: the alert that has come, if there is one.
    fn name(&mut self, cx: &mut Context<'_>, error: io::Error) -> io::Error {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        if !matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) {
            return alert(error);
        }
        let mut scratch = [0; 4096];
        while self.ahead.len() < MAX_AHEAD {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.ahead.extend_from_slice(buf.filled());
                }
                Poll::Ready(Err(reason)) if reason.kind() == io::ErrorKind::InvalidData => {
                    return alert(reason);
                }
                _ => break,
            }
        }
        error
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Named<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if serve(&mut this.ahead, &mut this.taken, buf) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.inner).poll_read(cx, buf).map_err(alert)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Named<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, bytes));
        Poll::Ready(written.map_err(|error| this.name(cx, error)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, slices));
        Poll::Ready(written.map_err(|error| this.name(cx, error)))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(Pin::new(&mut this.inner).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| this.name(cx, error)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = ready!(Pin::new(&mut this.inner).poll_shutdown(cx));
        Poll::Ready(shut.map_err(|error| this.name(cx, error)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio_rustls::rustls::{AlertDescription, Error};

    use super::*;

    /// A stream that is broken for writes, and has this to read.
    struct Broken(Vec<io::Result<&'static [u8]>>);

    impl AsyncRead for Broken {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.0.pop() {
                Some(Ok(bytes)) => buf.put_slice(bytes),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {}
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Broken {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_failed_write_is_explained_by_the_alert_that_came() {
        let required = Error::AlertReceived(AlertDescription::CertificateRequired);
        let required = io::Error::new(io::ErrorKind::InvalidData, required);
        let mut stream = Named::new(Broken(vec![Err(required), Ok(b"before")]));
        let error = stream.write(b"x").await.unwrap_err().to_string();
        assert!(error.contains("demands a certificate"), "{error}");
        // What came before it is not lost.
        let mut read = [0; 6];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"before");
    }

    #[tokio::test]
    async fn a_failed_write_without_an_alert_stays_as_it_is() {
        let mut stream = Named::new(Broken(vec![]));
        let error = stream.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn what_was_peeked_is_read_again() {
        let mut peeked = Peeked::new(Box::new(&b"0123456789abcdefghij"[..]));
        assert_eq!(peeked.peek().await.unwrap(), b"0123456789abcdef");
        let mut read = Vec::new();
        peeked.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"0123456789abcdefghij");
        assert_eq!(peeked.first(), b"0123456789abcdef");
    }
}
