//! A codec after whose errors `Framed` does not wait for further bytes.

use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::error::CodecError;
use super::io_errors::IoErrors;
use crate::DecodeError;

/// A codec that yields an error which the caller can continue after as an item of the stream, so that
/// `Framed` does not pause: for a program that skips oversize frames or searches for the next header.
///
/// Created by `error_items` of each codec. Each item is a `Result` with the frame, or with a
/// [`DecodeError::Oversize`], [`DecodeError::TooLong`], [`DecodeError::Frame`] or
/// [`DecodeError::Header`]. After such an item call
/// [`skip_frame`](super::FrameCodec::skip_frame) or [`resync`](super::FrameCodec::resync): the next
/// call of `next` returns a frame that has arrived already. Without that call the error comes again,
/// as an error of the stream, which is also how all other errors come.
///
/// ```
/// use futures::{SinkExt, StreamExt};
/// use tokio_util::codec::Framed;
/// use unstick::codec::PayloadCodec;
/// use unstick::{DecodeError, Framing, U32Be};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let stream = tokio_test::io::Builder::new()
/// #     .read(b"\0\0\0\x09too long!\0\0\0\x02hi").write(b"\0\0\0\x02hi").build();
/// let codec = PayloadCodec::new(Framing::new(U32Be).with_limit(8));
/// let mut framed = Framed::new(stream, codec.error_items());
/// while let Some(item) = framed.next().await.transpose()? {
///     match item {
///         Ok(payload) => framed.send(payload).await?,
///         Err(DecodeError::Oversize { .. }) => framed.codec_mut().skip_frame()?,
///         Err(error) => return Err(error.into()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ErrorItems<C> {
    pub(super) codec: C,
    /// The error that was the last item.
    pub(super) reported: Option<DecodeError>,
}

impl<C> ErrorItems<C> {
    /// Returns this codec with [`std::io::Error`] as the error of the stream.
    #[must_use]
    pub fn io_errors(self) -> IoErrors<Self> {
        IoErrors { codec: self }
    }

    fn item<T>(
        &mut self,
        next: Result<Option<T>, CodecError>,
    ) -> Result<Option<Result<T, DecodeError>>, CodecError> {
        match next {
            Err(CodecError::Decode(
                error @ (DecodeError::Oversize { .. }
                | DecodeError::TooLong { .. }
                | DecodeError::Frame { .. }
                | DecodeError::Header { .. }),
            )) if self.reported != Some(error) => {
                self.reported = Some(error);
                Ok(Some(Err(error)))
            }
            next => {
                self.reported = self.reported.filter(|_| next.is_err());
                next.map(|frame| frame.map(Ok))
            }
        }
    }
}

impl<C: Decoder<Error = CodecError>> Decoder for ErrorItems<C> {
    type Item = Result<C::Item, DecodeError>;
    type Error = CodecError;

    #[inline]
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        let next = self.codec.decode(src);
        self.item(next)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        let next = self.codec.decode_eof(src);
        self.item(next)
    }
}

impl<I, C: Encoder<I, Error = CodecError>> Encoder<I> for ErrorItems<C> {
    type Error = CodecError;

    #[inline]
    fn encode(&mut self, item: I, dst: &mut BytesMut) -> Result<(), CodecError> {
        self.codec.encode(item, dst)
    }
}
