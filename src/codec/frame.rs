//! Frames with what their headers say.

use core::fmt;

use tokio_util::bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use super::error::CodecError;
use super::scan::{CodecState, Split};
use crate::{DecodeError, EncodeError, Escaped, Framing, Kind, RecoverError, Search, V1, Wire};

/// A whole frame whose payload is reference-counted.
///
/// ```
/// use tokio_util::bytes::BytesMut;
/// use tokio_util::codec::{Decoder, Encoder};
/// use unstick::Kind;
/// use unstick::codec::{BytesFrame, FrameCodec};
///
/// let mut codec = FrameCodec::new();
/// let mut wire = BytesMut::new();
/// codec.encode(BytesFrame::new(Kind::TEXT, "hello"), &mut wire)?;
/// let frame = codec.decode(&mut wire)?.ok_or("all of it is here")?;
/// assert_eq!((frame.meta, &frame.payload[..]), (Kind::TEXT, &b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
pub struct FrameCodec<F: Wire = V1> {
    state: CodecState<F>,
}

impl FrameCodec {
    /// Creates a codec of version-1 frames with the default limit of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_framing(V1)
    }
}

impl<F: Wire> FrameCodec<F> {
    /// Creates a codec of this format and limit.
    #[must_use]
    pub fn with_framing(framing: impl Into<Framing<F>>) -> Self {
        Self { state: CodecState::new(framing.into()) }
    }

    /// Returns the format, and the limits of both directions.
    #[must_use]
    pub fn framing(&self) -> Framing<&F> {
        self.state.framing()
    }

    /// Sets the limit of both directions, in payload bytes, from the next frame on. A frame that has
    /// begun to arrive keeps the limit that its header was accepted under. An error, and a frame that
    /// is being skipped, are not affected.
    ///
    /// ```
    /// use tokio_util::codec::Framed;
    /// use unstick::U32Be;
    /// use unstick::codec::PayloadCodec;
    ///
    /// # let stream = tokio::io::empty();
    /// let mut framed = Framed::new(stream, PayloadCodec::new(U32Be));
    /// framed.codec_mut().set_limit(16_384);
    /// ```
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.set_limits(payload_bytes, payload_bytes);
    }

    /// Returns the effective limit of received frames, in payload bytes: that of the next header.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.state.limit()
    }

    /// Sets the limit of each direction, as [`set_limit`](Self::set_limit) does for both.
    pub fn set_limits(&mut self, receive: u64, send: u64) {
        self.state.set_limits(receive, send);
    }

    /// Reserves room for the rest of a frame, up to `frame_bytes` bytes of header and payload, as soon
    /// as its header is complete and within the limit; zero, the default, reserves nothing.
    ///
    /// A large payload is then read with fewer copies into memory of its length. Kept payloads of a
    /// stream whose frames are about equally long allocate at most 1.1 times what they hold. The
    /// price: a peer that sends a header and nothing else costs `frame_bytes` bytes, so promise 7,
    /// memory follows arrivals, holds beyond that number only.
    pub fn reserve_announced(&mut self, frame_bytes: usize) {
        self.state.reserve_announced(frame_bytes);
    }

    /// Appends a frame to `dst` whose payload may lie in pieces: for a codec that wraps this one.
    ///
    /// ```
    /// use tokio_util::bytes::{Buf, BytesMut};
    /// use unstick::U16Be;
    /// use unstick::codec::FrameCodec;
    ///
    /// let codec = FrameCodec::with_framing(U16Be);
    /// let mut dst = BytesMut::new();
    /// codec.encode_buf(&(), (&b"head"[..]).chain(&b"tail"[..]), &mut dst)?;
    /// assert_eq!(dst, "\0\x08headtail");
    /// # Ok::<(), unstick::codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// [`CodecError::Encode`] if the frame cannot be written. `dst` does not change then.
    pub fn encode_buf(
        &self,
        meta: &F::Meta,
        payload: impl Buf,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError> {
        Ok(self.state.encode(meta, payload, dst)?)
    }

    /// Checks that frames can have this meta.
    pub(super) fn check_meta(&self, meta: &F::Meta) -> Result<(), EncodeError> {
        self.state.check_meta(meta)
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

    /// Continues after a frame that is over the limit, or fails its check, or ends with a mark: exactly
    /// the rest of it is dropped as it arrives.
    ///
    /// In a `Framed`, call it after an error that was an [item](Self::error_items): then the frames
    /// that have arrived after the oversize one are returned at once.
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
    /// In a `Framed`, call it after an error that was an [item](Self::error_items).
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed. Nothing changes then.
    pub fn resync(&mut self) -> Result<(), RecoverError>
    where
        F: Search,
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

    /// Splits the next frame off, with all its bytes as they arrived.
    #[inline]
    pub(super) fn next_whole(
        &mut self,
        buf: &mut BytesMut,
        at_end: bool,
    ) -> Result<Option<Split<F>>, DecodeError> {
        if at_end { self.state.next_at_end(buf) } else { self.state.next(buf) }
    }

    /// Splits the next frame off, and returns its meta and its payload.
    #[inline]
    pub(super) fn next(
        &mut self,
        buf: &mut BytesMut,
        at_end: bool,
    ) -> Result<Option<(F::Meta, BytesMut)>, DecodeError> {
        let next = self.next_whole(buf, at_end)?;
        Ok(next.map(|(found, frame)| self.state.payload(found, frame)))
    }
}

impl<F: Wire + Default> Default for FrameCodec<F> {
    fn default() -> Self {
        Self::with_framing(F::default())
    }
}

impl<F: Wire + fmt::Debug> fmt::Debug for FrameCodec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameCodec").field(&self.state).finish()
    }
}

impl<F: Wire> Decoder for FrameCodec<F> {
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

impl<F: Wire> Encoder<BytesFrame<F::Meta>> for FrameCodec<F> {
    type Error = CodecError;

    /// Appends a frame to `dst`, which does not change on an error.
    fn encode(&mut self, frame: BytesFrame<F::Meta>, dst: &mut BytesMut) -> Result<(), CodecError> {
        self.encode_buf(&frame.meta, &frame.payload[..], dst)
    }
}
