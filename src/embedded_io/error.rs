//! The errors of reading and writing frames; `E` is the transport's error.

use core::error::Error;
use core::fmt;

use ::embedded_io::ErrorKind;

use crate::{DecodeError, EncodeError, WriteBufError};

/// Why there is no next frame.
///
/// ```
/// use unstick::embedded_io::{FrameReader, ReadError};
/// use unstick::{DecodeError, U8};
///
/// let mut reader = FrameReader::with_framing(&b"\x05he"[..], [0; 260], U8)?;
/// let error = reader.next_frame().unwrap_err();
/// assert!(matches!(error, ReadError::Decode(DecodeError::Truncated { missing: 3, .. })), "{error}");
/// # Ok::<(), unstick::StorageError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The transport failed. Nothing that it delivered before is lost; after a temporary error, such
    /// as a parity error of a UART, the call can be repeated.
    Io(E),
    /// The bytes are not frames, or ended inside one.
    Decode(DecodeError),
}

impl<E> ReadError<E> {
    /// Returns this error's number in the registry of the spec (chapter 9); `None` for an error of the
    /// transport.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Io(_) => None,
            Self::Decode(error) => Some(error.code()),
        }
    }
}

impl<E: fmt::Display> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for ReadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text includes the cause's text: a report of the whole chain must not print it twice.
        match self {
            Self::Io(error) => error.source(),
            Self::Decode(_) => None,
        }
    }
}

impl<E: ::embedded_io::Error> ::embedded_io::Error for ReadError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => error.kind(),
            Self::Decode(_) => ErrorKind::InvalidData,
        }
    }
}

/// Returns the error itself if it is an `io::Error`, otherwise one that contains it.
#[cfg(feature = "std")]
fn transport(error: impl Error + Send + Sync + 'static) -> std::io::Error {
    let error: std::boxed::Box<dyn Error + Send + Sync> = error.into();
    error.downcast().map_or_else(std::io::Error::other, |error| *error)
}

/// See "Errors as `io::Error`" in the documentation of `unstick::io`. A transport's error of another
/// type is the inner error, of the kind `Other`.
#[cfg(feature = "std")]
impl<E: Error + Send + Sync + 'static> From<ReadError<E>> for std::io::Error {
    fn from(error: ReadError<E>) -> Self {
        match error {
            ReadError::Io(error) => transport(error),
            ReadError::Decode(error) => error.into(),
        }
    }
}

impl<E> From<DecodeError> for ReadError<E> {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// Why a frame was not written.
///
/// ```
/// use unstick::embedded_io::{FrameWriter, WriteError};
/// use unstick::{EncodeError, U8};
///
/// let mut full = [0; 2];
/// let mut writer = FrameWriter::with_framing(&mut full[..], [0; 16], U8);
/// let error = writer.send((), [0; 256]).unwrap_err();
/// assert!(matches!(error, WriteError::Encode(EncodeError::Oversize { limit: 255, .. })), "{error}");
/// assert!(matches!(writer.send((), "hello"), Err(WriteError::Flush(_))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The transport failed before the frame was accepted. Frames that were accepted before are
    /// kept, and the next call tries again to write them.
    Io(E),
    /// The transport failed while accepted frames were written, including the frame of this call.
    /// They are kept: to try again, flush; do not send the frame again.
    Flush(E),
    /// The transport took no byte of a write, and reported no error.
    WriteZero {
        /// Whether this call's frame was accepted, as with [`Flush`](Self::Flush), or not, as with
        /// [`Io`](Self::Io).
        accepted: bool,
    },
    /// The frame cannot be encoded. Nothing of it was written.
    Encode(EncodeError),
    /// A frame was written in part and then abandoned, by a cancelled call, a failed transport, or
    /// `finish` before its end: following bytes would be taken for its payload. Close the stream.
    Poisoned,
}

impl<E> WriteError<E> {
    /// Returns the same error as it is after the call's frame was accepted: for writers built on
    /// [`WriteBuf`](crate::WriteBuf).
    #[must_use]
    pub fn after_accepting(self) -> Self {
        match self {
            Self::Io(error) => Self::Flush(error),
            Self::WriteZero { .. } => Self::WriteZero { accepted: true },
            other => other,
        }
    }
}

impl<E: fmt::Display> fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) | Self::Flush(error) => error.fmt(f),
            Self::WriteZero { .. } => f.write_str(
                "the transport took no byte and reported no error; is the other side gone?",
            ),
            Self::Encode(error) => error.fmt(f),
            Self::Poisoned => WriteBufError::Poisoned.fmt(f),
        }
    }
}

impl<E: Error> Error for WriteError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) | Self::Flush(error) => error.source(),
            _ => None,
        }
    }
}

impl<E: ::embedded_io::Error> ::embedded_io::Error for WriteError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) | Self::Flush(error) => error.kind(),
            Self::WriteZero { .. } => ErrorKind::WriteZero,
            Self::Encode(_) => ErrorKind::InvalidInput,
            Self::Poisoned => ErrorKind::BrokenPipe,
        }
    }
}

/// As for [`ReadError`].
#[cfg(feature = "std")]
impl<E: Error + Send + Sync + 'static> From<WriteError<E>> for std::io::Error {
    fn from(error: WriteError<E>) -> Self {
        match error {
            WriteError::Io(error) | WriteError::Flush(error) => transport(error),
            WriteError::WriteZero { .. } => Self::new(std::io::ErrorKind::WriteZero, error),
            WriteError::Encode(error) => error.into(),
            WriteError::Poisoned => Self::new(std::io::ErrorKind::BrokenPipe, error),
        }
    }
}

impl<E> From<WriteBufError> for WriteError<E> {
    fn from(error: WriteBufError) -> Self {
        match error {
            WriteBufError::Encode(error) => Self::Encode(error),
            _ => Self::Poisoned,
        }
    }
}

impl<E> From<EncodeError> for WriteError<E> {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
