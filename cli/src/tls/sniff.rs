//! TLS that a side without TLS gets: in formats in which its bytes are frames like others, nothing else
//! would tell.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::stream::keep_first;
use crate::addr::BoxedReader;

/// The length of what is looked at: a record's header, and the first byte in it.
const LEN: usize = 6;

/// What a peer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The first message of a handshake.
    Hello,
    /// An alert.
    Alert,
}

impl Seen {
    /// Returns what these bytes are, if they are one of both, and certainly so.
    fn of(first: &[u8]) -> Option<Self> {
        match *first {
            [0x16, 3, 0..=4, _, _, 1, ..] => Some(Self::Hello),
            [0x15, 3, 0..=4, 0, 2, 1 | 2, ..] => Some(Self::Alert),
            _ => None,
        }
    }
}

/// A reader that tells once if the stream begins with TLS.
struct Sniffing<F> {
    inner: BoxedReader,
    first: Vec<u8>,
    tell: Option<F>,
}

/// Calls `tell` once this stream turns out to begin with TLS.
pub(crate) fn sniff(
    inner: BoxedReader,
    tell: impl FnOnce(Seen) + Send + Unpin + 'static,
) -> BoxedReader {
    Box::new(Sniffing { inner, first: Vec::new(), tell: Some(tell) })
}

impl<F: FnOnce(Seen) + Unpin> AsyncRead for Sniffing<F> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        if this.tell.is_some() {
            keep_first(&mut this.first, LEN, buf, before);
            if this.first.len() == LEN
                && let Some(tell) = this.tell.take()
                && let Some(seen) = Seen::of(&this.first)
            {
                tell(seen);
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn seen(chunks: &[&'static [u8]]) -> Option<Seen> {
        let (to, from) = mpsc::channel();
        let mut stream: BoxedReader = Box::new(tokio::io::empty());
        for chunk in chunks {
            stream = Box::new(stream.chain(*chunk));
        }
        let mut read = Vec::new();
        sniff(stream, move |seen| to.send(seen).unwrap()).read_to_end(&mut read).await.unwrap();
        assert_eq!(read, chunks.concat());
        from.try_recv().ok()
    }

    #[tokio::test]
    async fn tls_is_seen_under_every_cut() {
        let hello = b"\x16\x03\x01\x02\x00\x01\x00";
        let alert = b"\x15\x03\x03\0\x02\x02\x32";
        for cut in 0..=hello.len() {
            assert_eq!(seen(&[&hello[..cut], &hello[cut..]]).await, Some(Seen::Hello));
            assert_eq!(seen(&[&alert[..cut], &alert[cut..]]).await, Some(Seen::Alert));
        }
        for other in [
            &b""[..],
            b"\x16\x03\x01",
            b"\x16\x03\x01\x02\x00\x02",
            b"\x15\x03\0\0\x03\x02",
            b"hello!",
        ] {
            assert_eq!(seen(&[other]).await, None);
        }
    }
}
