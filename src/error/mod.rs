//! The error types (spec, chapter 9). Each error holds what was found and at which byte, and its
//! text suggests what to try.

mod encode;
mod frame;
mod header;
mod io_errors;

use core::error::Error;
use core::fmt;

pub use encode::EncodeError;
pub use frame::FrameError;
pub use header::HeaderError;

#[cfg(feature = "std")]
crate::__io_errors! {
    DecodeError { DecodeError::Truncated { .. } => UnexpectedEof, _ => InvalidData }
    DatagramError { _ => InvalidData }
    RecoverError { _ => InvalidInput }
    StorageError { _ => InvalidInput }
}

/// The part of a frame in which a stream ended.
///
/// ```
/// use unstick::{DecodeError, Decoder, Part, U32Be};
///
/// let mut decoder = Decoder::with_framing(U32Be);
/// decoder.for_each(b"\0\0\0\x05he", |_| {})?;
/// let cut = DecodeError::Truncated { at: 6, missing: 3, part: Part::Payload };
/// assert_eq!(decoder.finish(), Err(cut));
/// # Ok::<(), unstick::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Part {
    /// The header. The number of missing bytes is a lower bound.
    Header,
    /// The payload, or the position before its first byte. The number of missing bytes is exact; it
    /// counts the check after the payload.
    Payload,
    /// The check after the payload. The number of missing bytes is exact.
    Trailer,
    /// A frame that ends with a mark, which has not arrived. The number of missing bytes is a lower
    /// bound.
    Mark,
}

/// The error that ended a stream.
///
/// Offsets count bytes from the start of the stream, or of the slice that was decoded.
///
/// ```
/// use unstick::{DecodeError, Framing, U32Be};
///
/// let framing = Framing::new(U32Be).with_limit(1_000);
/// let error = framing.split_frame(&mut &b"\0\0\x10\0"[..]).unwrap_err();
/// assert_eq!(error, DecodeError::Oversize { at: 0, len: 4_096, limit: 1_000 });
/// println!("{error}"); // what was found, at which byte, and what to try
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes at the frame's start are not a valid header.
    Header {
        /// The offset of the failed frame's first byte.
        at: u64,
        /// Why the header is invalid.
        error: HeaderError,
    },
    /// A header announces more payload than the limit allows.
    Oversize {
        /// The offset of the failed frame's first byte.
        at: u64,
        /// The announced payload length in bytes.
        len: u64,
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// A frame that ends with a mark has more payload than the limit allows.
    TooLong {
        /// The offset of the failed frame's first byte.
        at: u64,
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// A frame is invalid after its header, or has none and is invalid.
    Frame {
        /// The offset of the failed frame's first byte.
        at: u64,
        /// Why the frame is invalid.
        error: FrameError,
    },
    /// The stream ended inside a frame.
    Truncated {
        /// The offset of the stream's end.
        at: u64,
        /// The number of missing bytes; a lower bound if the stream ended in a header, or in a frame
        /// that ends with a mark.
        missing: u64,
        /// The part of the frame in which the stream ended.
        part: Part,
    },
    /// The stream ended, or the next frame was requested, during a search for the next frame.
    Unsynchronized {
        /// The offset after the last byte seen.
        at: u64,
        /// The number of skipped bytes, counted from the failed frame's first byte.
        skipped: u64,
    },
    /// A read buffer of fixed size cannot hold the frame's header.
    NoRoom {
        /// The offset of the frame's first byte.
        at: u64,
        /// The number of bytes needed.
        needed: usize,
        /// The size of the storage in bytes.
        room: usize,
    },
}

impl DecodeError {
    /// Returns the stream offset of the error: the failed frame's first byte, or the end of a
    /// stream that ended too early.
    #[must_use]
    pub const fn at(&self) -> u64 {
        match *self {
            Self::Header { at, .. }
            | Self::Oversize { at, .. }
            | Self::TooLong { at, .. }
            | Self::Frame { at, .. }
            | Self::Truncated { at, .. }
            | Self::Unsynchronized { at, .. }
            | Self::NoRoom { at, .. } => at,
        }
    }

    /// Returns the same error for bytes that begin `by` bytes later in the stream.
    #[must_use]
    pub const fn shifted(mut self, by: u64) -> Self {
        match &mut self {
            Self::Header { at, .. }
            | Self::Oversize { at, .. }
            | Self::TooLong { at, .. }
            | Self::Frame { at, .. }
            | Self::Truncated { at, .. }
            | Self::Unsynchronized { at, .. }
            | Self::NoRoom { at, .. } => *at = at.saturating_add(by),
        }
        self
    }

    /// Returns this error's code in the registry (spec, chapter 9).
    #[must_use]
    pub const fn code(&self) -> u16 {
        match *self {
            Self::Header { error, .. } => error.code(),
            Self::Oversize { .. } | Self::TooLong { .. } | Self::NoRoom { .. } => 0x0005,
            Self::Frame { error, .. } => error.code(),
            Self::Truncated { .. } => 0x0006,
            Self::Unsynchronized { .. } => 0x000C,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Header { at, error } => {
                write!(f, "byte {}: {error}", at.saturating_add(error.index()))
            }
            Self::Oversize { at, len, limit } => write!(
                f,
                "byte {at}: the frame announces a payload of {len} bytes and the limit is {limit}; \
                 raise the limit if the peer is right"
            ),
            Self::TooLong { at, limit } => write!(
                f,
                "byte {at}: the frame has more payload than the limit of {limit} bytes; \
                 raise the limit if the peer is right"
            ),
            Self::Frame { at, error } => write!(f, "byte {at}: {error}"),
            Self::Truncated { at, missing, part } => {
                let (least, part) = match part {
                    Part::Header => ("at least ", "header"),
                    Part::Payload => ("", "payload"),
                    Part::Trailer => ("", "check"),
                    Part::Mark => ("at least ", "frame"),
                };
                write!(
                    f,
                    "byte {at}: the stream ended inside a {part}, {least}{missing} {} missing; \
                     was the connection cut?",
                    if missing == 1 { "byte is" } else { "bytes are" }
                )
            }
            Self::Unsynchronized { at, skipped } => write!(
                f,
                "byte {at}: no frame found yet after {skipped} skipped bytes; \
                 go on searching, or give the stream up"
            ),
            Self::NoRoom { at, needed, room } => write!(
                f,
                "byte {at}: the frame's header needs {needed} bytes and the read buffer holds \
                 {room}; give it a larger storage"
            ),
        }
    }
}

// No `source`: the text already contains the cause's text, and a report of the whole chain would
// print it twice.
impl Error for DecodeError {}

/// The error for a refused datagram. A datagram is refused as a whole: none of its frames is
/// delivered.
///
/// Offsets count bytes from the start of the datagram.
///
/// ```
/// use unstick::{DatagramError, Framing, V1};
///
/// let error = Framing::new(V1).datagram(b"").unwrap_err();
/// assert_eq!(error, DatagramError::Empty);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DatagramError {
    /// The datagram was longer than the buffer into which it was received.
    Cut {
        /// The size of the buffer in bytes.
        room: usize,
    },
    /// The datagram holds no frame.
    Empty,
    /// The datagram does not consist of whole frames within the limit.
    Malformed(DecodeError),
    /// A frame has a kind that is not allowed in a datagram.
    MisplacedKind {
        /// The offset of the frame's first byte.
        at: u64,
        /// The kind found.
        kind: u8,
    },
    /// A frame has a critical kind that is not known.
    UnknownKind {
        /// The offset of the frame's first byte.
        at: u64,
        /// The kind found.
        kind: u8,
    },
}

impl DatagramError {
    /// Returns this error's code in the registry (spec, chapter 9). The cause in
    /// [`Malformed`](Self::Malformed) has its own code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        0x000B
    }
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the datagram was refused: ")?;
        match self {
            Self::Cut { room } => write!(
                f,
                "it is longer than the {room} bytes it was received in; use a larger buffer"
            ),
            Self::Empty => f.write_str("it is empty and must hold at least one frame"),
            Self::Malformed(error) => error.fmt(f),
            Self::MisplacedKind { at, kind } => write!(
                f,
                "byte {at}: a frame of kind 0x{kind:02x} has no place in a datagram; \
                 send it over a stream"
            ),
            Self::UnknownKind { at, kind } => write!(
                f,
                "byte {at}: the kind 0x{kind:02x} is critical and not known here; \
                 does the peer run a newer release?"
            ),
        }
    }
}

impl Error for DatagramError {}

/// The error for a recovery that the decoder's state does not allow. The decoder is unchanged.
///
/// What can be skipped is a frame whose end is known: one over the limit, one that failed the check
/// after its payload, one that ends with a mark, whatever its error, and one that has begun. A frame
/// whose header is invalid, or needs more room than the storage has, cannot be skipped.
///
/// ```
/// use unstick::{Decoder, RecoverError, V1};
///
/// let mut decoder = Decoder::with_framing(V1);
/// assert!(decoder.for_each(b"GET", |_| {}).is_err());
/// // The length of a bad header is not known, so no frame can be skipped.
/// assert!(matches!(decoder.skip_frame(), Err(RecoverError::Failed(_))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecoverError {
    /// The stream has no error to recover from.
    NotFailed,
    /// The stream's error does not allow the recovery.
    Failed(DecodeError),
}

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFailed => f.write_str("the stream has not failed; read on"),
            Self::Failed(error) => {
                write!(
                    f,
                    "only a frame whose end is known can be skipped, and the error was: {error}"
                )
            }
        }
    }
}

impl Error for RecoverError {}

/// The error for a read buffer whose storage is too small.
///
/// ```
/// use unstick::{FrameBuf, Framing, U16Be};
///
/// let error = FrameBuf::with_framing([0; 64], Framing::new(U16Be).with_limit(100)).unwrap_err();
/// assert_eq!((error.needed, error.room), (102, 64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StorageError {
    /// The maximum length of a frame within the limit, in bytes.
    pub needed: u64,
    /// The size of the storage in bytes.
    pub room: usize,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a frame within the limit may need {} bytes and the storage has {}; \
             give it more, or set a smaller limit",
            self.needed, self.room
        )
    }
}

impl Error for StorageError {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn errors_display_what_where_and_what_to_try() {
        let error = DecodeError::Header { at: 0, error: HeaderError::BadMagic { found: b'G' } };
        assert_eq!(
            error.to_string(),
            "byte 0: a frame starts with 0xf5, found 0x47 ('G'); \
             is the peer speaking another protocol, HTTP perhaps?"
        );
        let error =
            DecodeError::Header { at: 100, error: HeaderError::BadCheck { found: 1, expected: 2 } };
        assert!(error.to_string().starts_with("byte 107: "), "{error}");
        // A report of the whole error chain prints each cause once.
        assert!(error.source().is_none());
        let error = DecodeError::Truncated { at: 9, missing: 1, part: Part::Header };
        assert_eq!(
            error.to_string(),
            "byte 9: the stream ended inside a header, at least 1 byte is missing; \
             was the connection cut?"
        );
    }
}
