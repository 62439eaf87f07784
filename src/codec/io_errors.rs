//! A codec for a layer that asks for an `io::Error`.

use std::io;

use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::error::CodecError;

/// A codec with the same frames, and an [`io::Error`] instead of a [`CodecError`]: for a layer over
/// `Framed` that asks for one, as tarpc's transport and the formats of tokio-serde do.
///
/// Created by `io_errors` of each codec. It dereferences to the codec,
/// so `framed.codec_mut().skip_frame()` works as before. The error that came before it is the inner
/// error of the `io::Error`: see [errors as `io::Error`](crate::io#errors-as-ioerror).
///
/// ```
/// use std::io;
/// use futures::{Sink, Stream, StreamExt};
/// use tokio_util::bytes::{Bytes, BytesMut};
/// use tokio_util::codec::Framed;
/// use unstick::codec::PayloadCodec;
/// use unstick::{DecodeError, Framing, U32Be};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> io::Result<()> {
/// async fn first<T>(transport: &mut T) -> io::Result<Option<BytesMut>>
/// where
///     T: Stream<Item = io::Result<BytesMut>> + Sink<Bytes, Error = io::Error> + Unpin,
/// {
///     transport.next().await.transpose()
/// }
///
/// let stream = tokio_test::io::Builder::new().read(b"\0\0\0\x09").read(b"too long!\0\0\0\x02hi").build();
/// let codec = PayloadCodec::new(Framing::new(U32Be).with_limit(8));
/// let mut framed = Framed::new(stream, codec.io_errors());
///
/// let error = first(&mut framed).await.unwrap_err();
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<DecodeError>());
/// assert_eq!(inner, Some(&DecodeError::Oversize { at: 0, len: 9, limit: 8 }));
/// framed.codec_mut().skip_frame().map_err(io::Error::from)?;
/// assert!(framed.next().await.is_none()); // `Framed` says this once after an error
/// assert_eq!(first(&mut framed).await?.unwrap(), "hi");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct IoErrors<C> {
    pub(super) codec: C,
}

impl<C> IoErrors<C> {
    /// Returns the codec, whose error is a [`CodecError`].
    #[must_use]
    pub fn into_inner(self) -> C {
        self.codec
    }
}

impl<C: Decoder<Error = CodecError>> Decoder for IoErrors<C> {
    type Item = C::Item;
    type Error = io::Error;

    #[inline]
    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<C::Item>> {
        Ok(self.codec.decode(src)?)
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> io::Result<Option<C::Item>> {
        Ok(self.codec.decode_eof(src)?)
    }
}

impl<I, C: Encoder<I, Error = CodecError>> Encoder<I> for IoErrors<C> {
    type Error = io::Error;

    #[inline]
    fn encode(&mut self, item: I, dst: &mut BytesMut) -> io::Result<()> {
        Ok(self.codec.encode(item, dst)?)
    }
}
