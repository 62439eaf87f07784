//! Both directions over one transport.

use core::borrow::Borrow;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Context;
use core::time::Duration;
use std::vec::Vec;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};

use super::reader::{FrameReader, Incoming};
use super::writer::{FrameWriter, Outgoing};
use crate::error::RecoverError;
use crate::format::{Format, SelfChecking, V1};
use crate::frame::{Frame, OwnedFrame};
use crate::framing::Framing;
use crate::io::{ReadError, WriteError};

/// Reads and writes frames over one transport; [`split`](Self::split) parts the directions, for two
/// tasks, and for [`Stream`](futures_core::Stream) and [`Sink`](futures_sink::Sink).
///
/// See [`FrameReader`] and [`FrameWriter`] for what each method promises; the names are the same.
///
/// A transport that splits at no cost, as `TcpStream::into_split`, needs no `FrameStream`: give
/// one half to a `FrameReader` and the other to a `FrameWriter`.
#[derive(Debug)]
pub struct FrameStream<S, F: Format = V1> {
    inner: S,
    incoming: Incoming<F>,
    outgoing: Outgoing<F>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameStream<S> {
    /// Version-1 frames of at most 1 MiB.
    pub fn new(inner: S) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Format> FrameStream<S, F> {
    /// Frames of this format and limit, in both directions.
    pub fn with_framing(inner: S, framing: impl Into<Framing<F>>) -> Self
    where
        F: Clone,
    {
        let framing = framing.into();
        let incoming = Incoming::new(framing.clone());
        Self { inner, incoming, outgoing: Outgoing::new(framing) }
    }

    /// As [`FrameReader::frame_timeout`].
    #[must_use]
    pub fn frame_timeout(mut self, after: Duration) -> Self {
        self.incoming.clock_mut().frame_timeout = Some(after);
        self
    }

    /// As [`FrameReader::idle_timeout`].
    #[must_use]
    pub fn idle_timeout(mut self, after: Duration) -> Self {
        self.incoming.clock_mut().idle_timeout = Some(after);
        self
    }

    /// As [`FrameReader::next_frame`]. Before it waits it writes what was fed: whoever takes all that
    /// is here, feeds the answers, and calls this again, flushes as rarely as can be and never too
    /// late.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing, in neither direction.
    ///
    /// # Errors
    /// As [`FrameReader::next_frame`]. What cannot be written shows in the next call that writes.
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        let Self { inner, incoming, outgoing } = self;
        if incoming.has_whole() {
            return Ok(Some(incoming.next_whole()?));
        }
        let write = |inner: Pin<&mut S>, cx: &mut Context<'_>| outgoing.write_on(inner, cx);
        let located = incoming.wait_and_write(inner, write).await?;
        Ok(located.and_then(|located| incoming.lend(located)))
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
        self.incoming.resync(&mut self.inner).await
    }

    /// As [`FrameReader::skip_frame`].
    ///
    /// # Errors
    /// The stream did not fail, or not so.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.incoming.skip_frame()
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
        if self.outgoing.feed_now(meta, payload) {
            return Ok(());
        }
        self.outgoing.feed(&mut self.inner, meta, payload).await
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
        self.outgoing.begin(&mut self.inner, meta, payload_len).await
    }

    /// As [`FrameWriter::payload`].
    ///
    /// # Cancel safety
    /// As [`FrameWriter::payload`].
    ///
    /// # Errors
    /// As [`FrameWriter::payload`].
    pub async fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.outgoing.payload(&mut self.inner, bytes).await
    }

    /// As [`FrameWriter::finish`].
    ///
    /// # Errors
    /// As [`FrameWriter::finish`].
    pub fn finish(&mut self) -> Result<(), WriteError> {
        self.outgoing.finish()
    }

    /// The format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.outgoing.framing()
    }

    /// As [`FrameWriter::flush`].
    ///
    /// # Cancel safety
    /// What a dropped call did not write is left to the next one.
    ///
    /// # Errors
    /// As [`FrameWriter::flush`].
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.outgoing.poll_flush(Pin::new(&mut self.inner), cx)).await
    }

    /// As [`FrameWriter::shutdown`].
    ///
    /// # Cancel safety
    /// As [`flush`](Self::flush); call it again.
    ///
    /// # Errors
    /// As [`FrameWriter::flush`].
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        poll_fn(|cx| self.outgoing.poll_shutdown(Pin::new(&mut self.inner), cx)).await
    }

    /// The two directions, for two tasks. What was read or accepted goes with them.
    pub fn split(self) -> (FrameReader<ReadHalf<S>, F>, FrameWriter<WriteHalf<S>, F>) {
        let (read, write) = ::tokio::io::split(self.inner);
        (
            FrameReader::from_parts(read, self.incoming),
            FrameWriter::from_parts(write, self.outgoing),
        )
    }

    /// The transport.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The transport. Bytes read from it are missing in the frames.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The transport, the bytes that were read from it and are not consumed, and the bytes that
    /// were accepted and are not written.
    pub fn into_inner(self) -> (S, Vec<u8>, Vec<u8>) {
        (self.inner, self.incoming.into_unread(), self.outgoing.into_pending())
    }
}
