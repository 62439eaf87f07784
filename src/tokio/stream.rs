//! Both directions over one transport.

use core::borrow::Borrow;
use core::future::poll_fn;
use core::pin::Pin;
use core::time::Duration;
use std::vec::Vec;

use ::tokio::io::{self, AsyncRead, AsyncWrite};

use super::read_half::{ReadHalf, Waiting};
use super::reader::FrameReader;
use super::writer::{FrameWriter, WriteHalf};
use crate::engine::ReadEngine;
use crate::io::{ReadError, WriteError};
use crate::{Format, Frame, FrameBuf, Framing, OwnedFrame, SelfChecking, V1};

/// Reads and writes frames over one transport. [`into_split`](Self::into_split) separates the
/// directions, for two tasks, and for [`Stream`](futures_core::Stream) and
/// [`Sink`](futures_sink::Sink).
///
/// The methods have the names and the promises of those of [`FrameReader`] and [`FrameWriter`].
///
/// A transport that splits at no cost, like `TcpStream::into_split`, needs no `FrameStream`: give
/// one half to a `FrameReader` and the other to a `FrameWriter`.
#[derive(Debug)]
pub struct FrameStream<S, F: Format = V1> {
    inner: S,
    read: ReadHalf<F>,
    write: WriteHalf<F>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameStream<S> {
    /// Creates a stream of version-1 frames of at most 1 MiB.
    pub fn new(inner: S) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Format> FrameStream<S, F> {
    /// Creates a stream of frames of this format and limit, in both directions.
    pub fn with_framing(inner: S, framing: impl Into<Framing<F>>) -> Self
    where
        F: Clone,
    {
        let framing = framing.into();
        let read = ReadHalf::new(framing.clone());
        Self { inner, read, write: WriteHalf::new(framing) }
    }

    /// As [`FrameReader::with_frame_timeout`].
    #[must_use]
    pub fn with_frame_timeout(mut self, after: Duration) -> Self {
        self.read.timeouts_mut().set_frame_timeout(after);
        self
    }

    /// As [`FrameReader::with_idle_timeout`].
    #[must_use]
    pub fn with_idle_timeout(mut self, after: Duration) -> Self {
        self.read.timeouts_mut().set_idle_timeout(after);
        self
    }

    /// As [`FrameReader::with_unread`].
    #[must_use]
    pub fn with_unread(mut self, bytes: &[u8]) -> Self {
        self.read.buf_mut().extend_all(bytes);
        self
    }

    /// As [`FrameReader::buf`].
    pub fn buf(&self) -> &FrameBuf<Vec<u8>, F> {
        self.read.engine.buf()
    }

    /// As [`FrameReader::buf_mut`].
    pub fn buf_mut(&mut self) -> &mut FrameBuf<Vec<u8>, F> {
        self.read.buf_mut()
    }

    /// As [`FrameReader::next_frame`]. Before it waits it writes what was fed: a loop that takes a
    /// frame, feeds the answer, and calls this again flushes as rarely as possible and never too
    /// late.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing, in neither direction.
    ///
    /// # Errors
    /// As [`FrameReader::next_frame`]. The next call that writes returns an error of writing.
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        let Self { inner, read, write } = self;
        if let Some(found) = read.find_now() {
            return Ok(read.engine.frame(&found));
        }
        let found = match read.engine.buf_mut().find_slowly()? {
            Some(found) => Some(found),
            None => {
                let waiting = Waiting(read);
                poll_fn(|cx| {
                    let inner = &mut *inner;
                    let poll = ReadEngine::poll_frame;
                    let found = waiting.0.poll_read_until(Pin::new(&mut *inner), cx, poll);
                    if found.is_pending() {
                        write.write_now(Pin::new(inner), cx);
                    }
                    found
                })
                .await?
            }
        };
        Ok(found.and_then(|found| read.engine.frame(&found)))
    }

    /// As [`FrameReader::next_owned`].
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    ///
    /// # Errors
    /// As [`FrameReader::next_frame`].
    pub async fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame().await?.map(|frame| frame.to_owned()))
    }

    /// As [`FrameReader::resync`].
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one goes on searching.
    ///
    /// # Errors
    /// As [`FrameReader::next_frame`].
    pub async fn resync(&mut self) -> Result<u64, ReadError>
    where
        F: SelfChecking,
    {
        self.read.wait(&mut self.inner, ReadEngine::poll_resync).await
    }

    /// As [`FrameWriter::send`].
    ///
    /// # Cancel safety
    /// As [`FrameWriter::send`].
    ///
    /// # Errors
    /// As [`FrameWriter::send`].
    pub async fn send(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    /// As [`FrameWriter::feed`].
    ///
    /// # Cancel safety
    /// As [`FrameWriter::feed`].
    ///
    /// # Errors
    /// As [`FrameWriter::feed`].
    pub async fn feed(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        let meta = meta.borrow();
        if self.write.buf.try_frame(meta, payload) {
            return Ok(());
        }
        self.write.feed(&mut self.inner, meta, payload).await
    }

    /// As [`FrameWriter::begin`].
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not begun.
    ///
    /// # Errors
    /// As [`FrameWriter::begin`].
    pub async fn begin(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError> {
        self.write.begin(&mut self.inner, meta, payload_len).await
    }

    /// As [`FrameWriter::payload`].
    ///
    /// # Cancel safety
    /// As [`FrameWriter::payload`].
    ///
    /// # Errors
    /// As [`FrameWriter::payload`].
    pub async fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.write.payload(&mut self.inner, bytes).await
    }

    /// As [`FrameWriter::finish`].
    ///
    /// # Errors
    /// As [`FrameWriter::finish`].
    pub fn finish(&mut self) -> Result<(), WriteError> {
        Ok(self.write.buf.finish()?)
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.write.buf.framing()
    }

    /// As [`FrameWriter::flush`].
    ///
    /// # Cancel safety
    /// What a dropped call did not write is left to the next one.
    ///
    /// # Errors
    /// As [`FrameWriter::flush`].
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.write.poll_flush(Pin::new(&mut self.inner), cx)).await
    }

    /// As [`FrameWriter::shutdown`].
    ///
    /// # Cancel safety
    /// As [`flush`](Self::flush); call it again.
    ///
    /// # Errors
    /// As [`FrameWriter::flush`].
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.write.poll_shutdown(Pin::new(&mut self.inner), cx)).await
    }

    /// Splits the stream into its two directions, for two tasks, with what was read or accepted.
    pub fn into_split(self) -> (FrameReader<io::ReadHalf<S>, F>, FrameWriter<io::WriteHalf<S>, F>) {
        let (read, write) = io::split(self.inner);
        (FrameReader::from_parts(read, self.read), FrameWriter::from_parts(write, self.write))
    }

    /// Returns the transport.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the transport. Bytes read from it are missing in the frames.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the transport, the bytes that were read from it and are not consumed, and the bytes
    /// that were accepted and not written.
    pub fn into_inner(self) -> (S, Vec<u8>, Vec<u8>) {
        (self.inner, self.read.engine.into_buf().into_unread(), self.write.buf.into_pending())
    }
}
