//! Frames with what their headers say.

use core::fmt;

use tokio_util::bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::append;
use super::error::CodecError;
use super::incoming::Incoming;
use crate::error::{DecodeError, RecoverError};
use crate::format::{Format, Header, SelfChecking, V1};
use crate::frame::Escaped;
use crate::framing::Framing;
use crate::header::Kind;

/// A whole frame that shares its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct BytesFrame<M = Kind> {
    /// What the header says beside the length.
    pub meta: M,
    /// The payload. One that was read keeps the buffer it was read into.
    pub payload: Bytes,
}

impl<M> BytesFrame<M> {
    /// A frame to send.
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

/// A codec of frames: for formats whose headers say more than a length.
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
/// See the [module](super) for what becomes of memory, errors and the end of a stream.
#[derive(Clone)]
pub struct FrameCodec<F: Format = V1> {
    incoming: Incoming<F>,
}

impl FrameCodec {
    /// A codec of version-1 frames, with the default limit of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_framing(V1)
    }
}

impl<F: Format> FrameCodec<F> {
    /// A codec of this format and limit.
    #[must_use]
    pub fn with_framing(framing: impl Into<Framing<F>>) -> Self {
        Self { incoming: Incoming::new(framing.into()) }
    }

    /// The format, and the limit of both directions.
    #[must_use]
    pub fn framing(&self) -> Framing<&F> {
        self.incoming.framing()
    }

    /// The stream offset of the first byte in the read buffer. After an error that is the refused
    /// header's first.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.incoming.position()
    }

    /// The error that the stream has failed with, if it has.
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        self.incoming.error()
    }

    /// Goes on after an oversize frame: exactly its payload is dropped as it arrives.
    ///
    /// `Framed` decodes again once further bytes, or the end, have arrived.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] when there was no error, [`RecoverError::Failed`] when it was
    /// another one. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.incoming.skip_frame()
    }

    /// Goes on, on a lossy line, with the next header that decodes and keeps the limit, from the
    /// byte behind the failed frame's first. [`skipped`](Self::skipped) says, once a frame came,
    /// how many bytes were passed over.
    ///
    /// On a reliable transport end the stream instead: bytes of a payload may look like a header,
    /// and a peer could have placed them there.
    ///
    /// `Framed` decodes again once further bytes, or the end, have arrived.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] when there was no error to go on from. Nothing changes then.
    pub fn resync(&mut self) -> Result<(), RecoverError>
    where
        F: SelfChecking,
    {
        self.incoming.resync()
    }

    /// The bytes that searches have passed over since the stream's start; one that goes on does
    /// not count yet.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.incoming.skipped()
    }

    /// Begins a new stream, at offset 0, for a buffer that holds none of the old one's bytes.
    pub fn reset(&mut self) {
        self.incoming.reset();
    }

    /// The next frame's header, and its payload split off.
    #[inline]
    pub(super) fn next(
        &mut self,
        buf: &mut BytesMut,
        at_end: bool,
    ) -> Result<Option<(F::Meta, BytesMut)>, DecodeError> {
        let next = if at_end { self.incoming.next_at_end(buf) } else { self.incoming.next(buf) };
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
        f.debug_tuple("FrameCodec").field(&self.incoming).finish()
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

    /// Appends a frame to `dst`, which stays as it is on an error.
    fn encode(&mut self, frame: BytesFrame<F::Meta>, dst: &mut BytesMut) -> Result<(), CodecError> {
        let framing = self.framing();
        Ok(append(&framing, &frame.meta, &frame.payload, dst)?)
    }
}
