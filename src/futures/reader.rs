//! Reading frames from a stream of `futures_io`.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, ErrorKind};
use std::vec::Vec;

use ::futures_core::Stream;
use ::futures_io::AsyncRead;

use crate::engine::{Next, ReadEngine, SharedReadEngine};
use crate::io::ReadError;
use crate::{
    DecodeError, Frame, FrameBuf, Framing, Header, KnownLength, OwnedFrame, Search, V1, Wire,
};

/// Reads frames from anything that is [`AsyncRead`], and returns them borrowed, without a copy.
///
/// It reads into a buffer of 64 KiB that all readers of a thread share, and into one of its own
/// while a larger frame arrives, which grows up to the limit plus a header. While it waits, it holds
/// only the bytes of the next frame that have arrived. It needs no `BufReader`. [`buf`](Self::buf)
/// returns the buffer, which knows the framing, the position in the stream, and the next header.
///
/// As a [`Stream`] it yields owned frames, and ends after the first error.
///
/// ```
/// use smol::net::{TcpListener, TcpStream};
/// use unstick::U32Be;
/// use unstick::futures::{FrameReader, FrameWriter};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # smol::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// FrameWriter::with_framing(client, U32Be).send((), "hello").await?;
///
/// let (stream, _) = listener.accept().await?;
/// let mut reader = FrameReader::with_framing(stream, U32Be);
/// while let Some(frame) = reader.next_frame().await? {
///     assert_eq!(frame.payload, b"hello"); // borrowed from the reader, until the next call
/// }
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReader<R, F: Wire = V1> {
    inner: R,
    engine: SharedReadEngine<F>,
    /// The `Stream` has yielded its error.
    fused: bool,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Creates a reader of version-1 frames of at most 1 MiB. It waits indefinitely: see
    /// ["Time limits"](super#time-limits).
    pub fn new(inner: R) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<R, F: Wire> FrameReader<R, F> {
    /// Creates a reader of frames of this format and limit.
    pub fn with_framing(inner: R, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, engine: SharedReadEngine::new(framing), fused: false }
    }

    /// Starts with bytes that were read from the transport before, for example by another parser.
    #[must_use]
    pub fn with_unread(mut self, bytes: &[u8]) -> Self {
        self.engine.buf_mut().extend_all(bytes);
        self
    }

    /// Returns the read buffer: for the framing, the stream offset, and the next header.
    pub fn buf(&self) -> &FrameBuf<Vec<u8>, F> {
        self.engine.buf()
    }

    /// Returns the read buffer: to take the frames that are in it without reading, or to continue
    /// after an oversize frame by [`FrameBuf::skip_frame`]. As a [`Stream`] the reader continues
    /// then.
    pub fn buf_mut(&mut self) -> &mut FrameBuf<Vec<u8>, F> {
        self.fused = false;
        self.engine.buf_mut()
    }

    /// Whether the transport has reported the end of the stream.
    pub fn is_ended(&self) -> bool {
        self.engine.is_ended()
    }

    /// Drops what was read and starts a new stream, at offset 0, with the transport's next byte: a
    /// way to continue after a time limit on a lossy line, and after the end of a transport that can
    /// continue.
    pub fn reset(&mut self) {
        self.engine.reset();
        self.fused = false;
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
    /// A dropped call loses nothing: the next one continues with the bytes that it read.
    ///
    /// # Errors
    /// [`ReadError::Decode`] if the stream has failed: every further call returns it again.
    /// [`ReadError::Io`] if a read failed: nothing is lost, and the call can be repeated.
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        // Usually a frame is in the buffer.
        let found = match self.engine.buf_mut().find_now() {
            Some(found) => Some(found),
            None => poll_fn(|cx| self.poll_until(cx, ReadEngine::poll_frame)).await?,
        };
        Ok(found.and_then(|found| self.engine.frame(&found)))
    }

    /// Waits for the next frame and returns a copy that does not borrow the reader.
    ///
    /// # Cancel safety and errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame().await?.map(|frame| frame.to_owned()))
    }

    /// Waits for the header of the next frame and consumes nothing of it. The frame can then be taken,
    /// by [`next_frame`](Self::next_frame) or [`payload`](Self::payload), or be skipped, by
    /// [`FrameBuf::skip_frame`]. Returns `Ok(None)` if the stream ended between two frames.
    ///
    /// # Cancel safety and errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_header(&mut self) -> Result<Option<Header<F::Meta>>, ReadError>
    where
        F: KnownLength,
    {
        poll_fn(|cx| self.poll_until(cx, ReadEngine::poll_header)).await
    }

    /// Waits for the next bytes of the next frame's payload, and returns `Ok(None)` at its end: for a
    /// payload that is larger than memory. [`next_header`](Self::next_header) returns its header
    /// before. What is not taken of it is dropped by [`next_frame`](Self::next_frame).
    ///
    /// # Cancel safety and errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn payload(&mut self) -> Result<Option<&[u8]>, ReadError>
    where
        F: KnownLength,
    {
        let run = poll_fn(|cx| self.poll_until(cx, ReadEngine::poll_payload)).await?;
        Ok(run.and_then(|run| self.engine.buf().payload(&run)))
    }

    /// Reads until `poll` has an answer, as far as the transport is ready.
    fn poll_until<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl Fn(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Poll<Result<T, ReadError>> {
        loop {
            if let Poll::Ready(answer) = poll(&mut self.engine) {
                return Poll::Ready(Ok(answer?));
            }
            ready!(self.poll_read(cx))?;
        }
    }

    /// Reads once. A reader that waits returns the thread's storage, unless it has many unread bytes.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.engine.take_storage();
        let read = Pin::new(&mut self.inner).poll_read(cx, self.engine.spare());
        if matches!(read, Poll::Pending | Poll::Ready(Ok(0))) {
            self.engine.return_storage();
        }
        match ready!(read) {
            Ok(n) => self.engine.received(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin, F: Search> FrameReader<R, F> {
    /// Waits for the next frame on a lossy line, or skips to the next valid header, like
    /// [`io::FrameReader::next_or_resync`](crate::io::FrameReader::next_or_resync).
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one continues the search, and counts all bytes.
    ///
    /// # Errors
    /// [`ReadError::Io`] as in [`next_frame`](Self::next_frame). [`ReadError::Decode`] if the
    /// stream ended inside a frame or during a search: every further call returns it again.
    pub async fn next_or_resync(&mut self) -> Result<Option<Next<'_, F::Meta>>, ReadError> {
        let next = poll_fn(|cx| self.poll_until(cx, ReadEngine::poll_next_or_resync)).await?;
        self.fused = false;
        Ok(next.and_then(|next| self.engine.next(next)))
    }

    /// Searches, on a lossy line, for the next valid header, and returns the number of bytes skipped;
    /// zero if the stream has not failed. See [`Decoder::resync`](crate::Decoder::resync).
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one continues the search.
    ///
    /// # Errors
    /// As [`next_or_resync`](Self::next_or_resync).
    pub async fn resync(&mut self) -> Result<u64, ReadError> {
        let skipped = poll_fn(|cx| self.poll_until(cx, ReadEngine::poll_resync)).await?;
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
        let result = ready!(reader.poll_until(cx, ReadEngine::poll_frame));
        reader.fused = result.is_err();
        let owned = |found| reader.engine.frame(&found).map(|frame| frame.to_owned());
        Poll::Ready(result.map(|found| found.and_then(owned)).transpose())
    }
}
