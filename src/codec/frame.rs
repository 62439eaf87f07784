//! Frames with what their headers say.

use core::fmt;

use tokio_util::bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::append;
use super::error::CodecError;
use super::scan::CodecState;
use crate::{DecodeError, Escaped, Format, Framing, Header, Kind, RecoverError, SelfChecking, V1};

/// A whole frame whose payload is reference-counted.
#[derive(Clone, PartialEq, Eq)]
pub struct BytesFrame<M = Kind> {
    /// What the header says beside the length.
    pub meta: M,
    /// The payload. One that was read keeps the buffer that it was read into.
    pub payload: Bytes,
}

impl<M> BytesFrame<M> {
    /// Creates a frame to send.
    pub fn new(meta: M, payload: impl Into<Bytes>) -> Self {
        Self { meta, payload: payload.into() }
    }
}

impl<M: fmt::Debug> fmt::Debug for BytesFrame<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesFrame")
            .field("meta", &self.meta)
            .field("payload", &Escaped(&self.payload))
            .finish()
    }
}

/// A codec of frames, for formats whose headers hold more than a length.
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use tokio_util::codec::Framed;
/// use unstick::Kind;
/// use unstick::codec::{BytesFrame, FrameCodec};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (ours, theirs) = tokio::io::duplex(64);
/// let mut ours = Framed::new(ours, FrameCodec::new());
/// let mut theirs = Framed::new(theirs, FrameCodec::new());
/// ours.send(BytesFrame::new(Kind::TEXT, "hello")).await?;
/// ours.close().await?;
/// while let Some(frame) = theirs.next().await.transpose()? {
///     assert_eq!((frame.meta, &frame.payload[..]), (Kind::TEXT, &b"hello"[..]));
/// }
/// # Ok(())
/// # }
/// ```
///
/// The [module](super) describes memory, errors, and the end of a stream.
#[derive(Clone)]
pub struct FrameCodec<F: Format = V1> {
    state: CodecState<F>,
}

impl FrameCodec {
    /// Creates a codec of version-1 frames with the default limit of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_framing(V1)
    }
}

impl<F: Format> FrameCodec<F> {
    /// Creates a codec of this format and limit.
    #[must_use]
    pub fn with_framing(framing: impl Into<Framing<F>>) -> Self {
        Self { state: CodecState::new(framing.into()) }
    }

    /// Returns the format, and the limit of both directions.
    #[must_use]
    pub fn framing(&self) -> Framing<&F> {
        self.state.framing()
    }

    /// Returns the stream offset of the first byte in the read buffer. After an error that is the
    /// first byte of the refused header.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.state.position()
    }

    /// Returns the error that the stream has failed with, if any.
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        self.state.error()
    }

    /// Continues after an oversize frame: exactly its payload is dropped as it arrives.
    ///
    /// `Framed` decodes again once further bytes, or the end, have arrived.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed, [`RecoverError::Failed`] if it
    /// failed with another error. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.state.skip_frame()
    }

    /// Continues, on a lossy line, with the next valid header within the limit, from the byte after
    /// the failed frame's first. After the next frame, [`skipped`](Self::skipped) includes the bytes
    /// that were skipped.
    ///
    /// On a reliable transport end the stream instead: payload bytes may look like a header, and a
    /// peer could have placed them there.
    ///
    /// `Framed` decodes again once further bytes, or the end, have arrived.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed. Nothing changes then.
    pub fn resync(&mut self) -> Result<(), RecoverError>
    where
        F: SelfChecking,
    {
        self.state.resync()
    }

    /// Returns the number of bytes that searches have skipped since the stream's start, without a
    /// search that is still under way.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.state.skipped()
    }

    /// Starts a new stream, at offset 0, for a buffer that holds no bytes of the old one.
    pub fn reset(&mut self) {
        self.state.reset();
    }

    /// Splits the next frame off, and returns its meta and its payload.
    #[inline]
    pub(super) fn next(
        &mut self,
        buf: &mut BytesMut,
        at_end: bool,
    ) -> Result<Option<(F::Meta, BytesMut)>, DecodeError> {
        let next = if at_end { self.state.next_at_end(buf) } else { self.state.next(buf) };
        Ok(next?.map(|(Header { meta, header_len, .. }, mut frame)| {
            frame.advance(header_len.min(frame.len()));
            (meta, frame)
        }))
    }
}

impl<F: Format + Default> Default for FrameCodec<F> {
    fn default() -> Self {
        Self::with_framing(F::default())
    }
}

impl<F: Format + fmt::Debug> fmt::Debug for FrameCodec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameCodec").field(&self.state).finish()
    }
}

impl<F: Format> Decoder for FrameCodec<F> {
    type Item = BytesFrame<F::Meta>;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        let next = self.next(src, false)?;
        Ok(next.map(|(meta, payload)| BytesFrame { meta, payload: payload.freeze() }))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        let next = self.next(src, true)?;
        Ok(next.map(|(meta, payload)| BytesFrame { meta, payload: payload.freeze() }))
    }
}

impl<F: Format> Encoder<BytesFrame<F::Meta>> for FrameCodec<F> {
    type Error = CodecError;

    /// Appends a frame to `dst`, which does not change on an error.
    fn encode(&mut self, frame: BytesFrame<F::Meta>, dst: &mut BytesMut) -> Result<(), CodecError> {
        let framing = self.framing();
        Ok(append(&framing, &frame.meta, &frame.payload, dst)?)
    }
}
