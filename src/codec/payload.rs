//! A codec of payloads.

use core::fmt;

use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::error::CodecError;
use super::frame::FrameCodec;
use crate::{EncodeError, Framing, Wire};

/// A codec of payloads: it yields a `BytesMut` for each frame and takes everything that is
/// `AsRef<[u8]>`, for example `Bytes`, a slice or a string.
///
/// ```
/// use tokio_util::codec::Framed;
/// use unstick::codec::PayloadCodec;
/// use unstick::{Framing, U32Be};
///
/// # fn serve(stream: tokio::io::DuplexStream) {
/// // What was Framed::new(stream, LengthDelimitedCodec::new()):
/// let framed = Framed::new(stream, PayloadCodec::new(U32Be));
/// # let stream = framed.into_inner();
/// // With a limit of 64 KiB for each payload, in both directions:
/// let framed = Framed::new(stream, PayloadCodec::new(Framing::new(U32Be).with_limit(65_536)));
/// # }
/// ```
///
/// Since it takes many types, the `Sink` methods without an item, like `flush` and `close`, need a
/// type: `SinkExt::<&[u8]>::close(&mut framed)`.
///
/// It dereferences to the [`FrameCodec`] that finds its frames, which has the methods that change or
/// describe a stream: [`set_limit`](FrameCodec::set_limit), [`skip_frame`](FrameCodec::skip_frame) and
/// so on. The [module](super) describes memory, errors, and the end of a stream.
#[derive(Clone)]
pub struct PayloadCodec<F: Wire> {
    pub(super) frames: FrameCodec<F>,
    meta: F::Meta,
}

impl<F: Wire<Meta = ()>> PayloadCodec<F> {
    /// Creates a codec of this format and limit.
    #[must_use]
    pub fn new(framing: impl Into<Framing<F>>) -> Self {
        Self { frames: FrameCodec::with_framing(framing), meta: () }
    }
}

impl<F: Wire> PayloadCodec<F> {
    /// Creates a codec that writes this meta into every header, and ignores the meta of the frames
    /// that it reads: for headers with bytes next to the length that mean nothing here.
    ///
    /// ```
    /// use tokio_util::bytes::BytesMut;
    /// use tokio_util::codec::Encoder;
    /// use unstick::codec::PayloadCodec;
    /// use unstick::{ByteOrder, Covers, Layout, LengthField};
    ///
    /// // Two bytes of tag, two of length.
    /// let tagged = LengthField::new(Layout {
    ///     header_len: 4,
    ///     offset: 2,
    ///     width: 2,
    ///     order: ByteOrder::Big,
    ///     covers: Covers::Payload,
    /// })?;
    /// let mut codec = PayloadCodec::with_meta(tagged, tagged.meta(b"OK\0\0")?)?;
    /// let mut wire = BytesMut::new();
    /// codec.encode("hi", &mut wire)?;
    /// assert_eq!(wire, "OK\0\x02hi");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the format cannot write this meta.
    pub fn with_meta(framing: impl Into<Framing<F>>, meta: F::Meta) -> Result<Self, EncodeError> {
        let frames = FrameCodec::with_framing(framing);
        frames.check_meta(&meta)?;
        Ok(Self { frames, meta })
    }
}

impl<F: Wire<Meta = ()> + Default> Default for PayloadCodec<F> {
    fn default() -> Self {
        Self::new(F::default())
    }
}

impl<F: Wire + fmt::Debug> fmt::Debug for PayloadCodec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadCodec")
            .field("frames", &self.frames)
            .field("meta", &self.meta)
            .finish()
    }
}

impl<F: Wire> Decoder for PayloadCodec<F> {
    type Item = BytesMut;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        Ok(self.frames.next(src, false)?.map(|(_, payload)| payload))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        Ok(self.frames.next(src, true)?.map(|(_, payload)| payload))
    }
}

impl<F: Wire, P: AsRef<[u8]>> Encoder<P> for PayloadCodec<F> {
    type Error = CodecError;

    /// Appends a frame to `dst`, which does not change on an error.
    fn encode(&mut self, payload: P, dst: &mut BytesMut) -> Result<(), CodecError> {
        self.frames.encode_buf(&self.meta, payload.as_ref(), dst)
    }
}
