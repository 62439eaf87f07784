//! Reading frames from an asynchronous transport.

use core::task::Poll;

use ::embedded_io_async::Read;

use super::ReadError;
use super::is_interrupted;
use crate::engine::{Next, ReadEngine};
use crate::{
    DecodeError, Frame, FrameBuf, Framing, Header, KnownLength, Search, Storage, StorageError, V1,
    Wire,
};

/// Reads frames from anything that is [`Read`] into storage that the caller picks, and returns them
/// borrowed, without a copy.
///
/// The storage is an array, a `&mut [u8]`, or anything else that a [`FrameBuf`] takes. It holds at
/// least the longest frame, header included.
///
/// ```
/// use unstick::embedded_io_async::FrameReader;
/// use unstick::{Cobs, Framing};
///
/// # smol::block_on(async {
/// let uart = &b"\x0521.5\0\x02\x01\x02\x02\0"[..];
/// let framing = Framing::new(Cobs).with_limit(16);
/// let mut reader = FrameReader::with_framing(uart, [0; 32], framing)?;
/// while let Some(frame) = reader.next_frame().await? {
///     assert!(frame.payload == b"21.5" || frame.payload == [1, 0, 2]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct FrameReader<R, S, F: Wire = V1> {
    inner: R,
    engine: ReadEngine<S, F>,
}

impl<R, S: Storage> FrameReader<R, S> {
    /// Creates a reader of version-1 frames of at most what fits into the storage: its length minus
    /// the 8 bytes of a header. Give the peer's writer the same limit.
    pub fn new(inner: R, storage: S) -> Self {
        Self::with_buf(inner, FrameBuf::new(storage))
    }
}

impl<R, S: Storage, F: Wire> FrameReader<R, S, F> {
    /// Creates a reader of frames of this format and limit.
    ///
    /// # Errors
    /// As [`FrameBuf::with_framing`]: the storage cannot hold the largest frame within a limit that
    /// was set.
    pub fn with_framing(
        inner: R,
        storage: S,
        framing: impl Into<Framing<F>>,
    ) -> Result<Self, StorageError> {
        Ok(Self::with_buf(inner, FrameBuf::with_framing(storage, framing)?))
    }

    /// Creates a reader that reads into this buffer. The buffer may hold bytes that were read from the
    /// transport before, for example by another parser.
    pub fn with_buf(inner: R, buf: FrameBuf<S, F>) -> Self {
        Self { inner, engine: ReadEngine::new(buf) }
    }

    /// Returns the read buffer: for the effective framing, which the peer's writer needs, the stream
    /// offset, and the next header.
    pub fn buf(&self) -> &FrameBuf<S, F> {
        self.engine.buf()
    }

    /// Returns the read buffer: to take the frames that are in it without reading, or to continue
    /// after an oversize frame by [`FrameBuf::skip_frame`].
    pub fn buf_mut(&mut self) -> &mut FrameBuf<S, F> {
        self.engine.buf_mut()
    }

    /// Drops what was read and starts a new stream, at offset 0, with the transport's next byte: also
    /// after the end, and if the rest of a frame does not arrive.
    pub fn reset(&mut self) {
        self.engine.reset();
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

    /// Returns the transport, and the buffer with the bytes that were read and are not consumed:
    /// [`FrameBuf::unread`], [`FrameBuf::into_parts`].
    pub fn into_inner(self) -> (R, FrameBuf<S, F>) {
        (self.inner, self.engine.into_buf())
    }
}

impl<R: Read, S: Storage, F: Wire> FrameReader<R, S, F> {
    /// Waits for the next frame. Returns `Ok(None)` if the stream ended between two frames: the
    /// transport's read returned no byte. The frame is borrowed from the reader until the next call.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: what it read is there for the next one.
    ///
    /// # Errors
    /// [`ReadError::Decode`] if the stream has failed: every further call returns it again.
    /// [`ReadError::Io`] if a read failed: nothing is lost, and the call can be repeated.
    #[inline]
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError<R::Error>> {
        let found = self.wait(ReadEngine::poll_frame).await?;
        Ok(found.and_then(|found| self.engine.frame(&found)))
    }

    /// Waits for the next frame and returns a copy that does not borrow the reader.
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    #[cfg(feature = "alloc")]
    pub async fn next_owned(
        &mut self,
    ) -> Result<Option<crate::OwnedFrame<F::Meta>>, ReadError<R::Error>> {
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
    pub async fn next_header(&mut self) -> Result<Option<Header<F::Meta>>, ReadError<R::Error>>
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
    pub async fn payload(&mut self) -> Result<Option<&[u8]>, ReadError<R::Error>>
    where
        F: KnownLength,
    {
        let run = self.wait(ReadEngine::poll_payload).await?;
        Ok(run.and_then(|run| self.engine.buf().payload(&run)))
    }

    /// Reads until `poll` has an answer.
    async fn wait<T>(
        &mut self,
        mut poll: impl FnMut(&mut ReadEngine<S, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Result<T, ReadError<R::Error>> {
        loop {
            if let Poll::Ready(answer) = poll(&mut self.engine) {
                return Ok(answer?);
            }
            match self.inner.read(self.engine.spare()).await {
                Ok(n) => self.engine.received(n),
                Err(error) if is_interrupted(&error) => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
    }
}

impl<R: Read, S: Storage, F: Search> FrameReader<R, S, F> {
    /// Waits for the next frame on a lossy line. If the stream has failed, skips to the next valid
    /// header as [`resync`](Self::resync) does, and returns the error and the number of bytes skipped.
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
    /// stream ended inside a frame or during a search, or if the storage is shorter than a
    /// header: every further call returns it again.
    pub async fn next_or_resync(
        &mut self,
    ) -> Result<Option<Next<'_, F::Meta>>, ReadError<R::Error>> {
        let next = self.wait(ReadEngine::poll_next_or_resync).await?;
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
    /// As [`next_or_resync`](Self::next_or_resync).
    pub async fn resync(&mut self) -> Result<u64, ReadError<R::Error>> {
        self.wait(ReadEngine::poll_resync).await
    }
}
