//! The error of the codecs.

use core::fmt;
use std::error::Error;
use std::io;

use crate::{DecodeError, EncodeError};

/// Why a codec yields no next frame, or did not take a frame.
///
/// ```
/// use tokio_util::bytes::BytesMut;
/// use tokio_util::codec::Decoder;
/// use unstick::codec::{CodecError, PayloadCodec};
/// use unstick::{DecodeError, Framing, U32Be};
///
/// let mut codec = PayloadCodec::new(Framing::new(U32Be).with_limit(4));
/// let error = codec.decode(&mut BytesMut::from(&b"\0\0\0\x05"[..])).unwrap_err();
/// assert!(matches!(error, CodecError::Decode(DecodeError::Oversize { len: 5, .. })), "{error}");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// The transport failed.
    Io(io::Error),
    /// The bytes read are not frames, or ended inside one. The error latches.
    Decode(DecodeError),
    /// The frame cannot be written. Nothing of it was.
    Encode(EncodeError),
}

impl CodecError {
    /// Returns this error's number in the registry of the spec (chapter 9), if it is a decode error.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Decode(error) => Some(error.code()),
            Self::Io(_) | Self::Encode(_) => None,
        }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text includes the cause's text: a report of the whole chain must not print it twice.
        match self {
            Self::Io(error) => error.source(),
            Self::Decode(_) | Self::Encode(_) => None,
        }
    }
}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DecodeError> for CodecError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<EncodeError> for CodecError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

crate::__io_errors! {
    CodecError {
        CodecError::Io(error) => into error,
        CodecError::Decode(error) => into error,
        CodecError::Encode(error) => into error
    }
}

// Of the transport's error, its kind is serialized, and the system's error number if there is one.
#[cfg(feature = "serde")]
crate::__serialize_records! {
    CodecError [code] {
        Self::Io(error) => "io" { kind: &format_args!("{:?}", error.kind()), os: &error.raw_os_error() }
        Self::Decode(error) => "decode" { decode: error }
        Self::Encode(error) => "encode" { encode: error }
    }
}
