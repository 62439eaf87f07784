//! The error types (spec, chapter 9). Each error holds what was found and at which byte, and its
//! text suggests what to try.

use core::error::Error;
use core::fmt;

/// Implements `From` of error types for `std::io::Error`. A variant with a cause becomes what its
/// cause becomes (`into`); any other error is the inner error of one of the given kind.
/// `unstick-session` uses it too.
#[doc(hidden)]
#[macro_export]
macro_rules! __io_errors {
    (@ $error:ident into $cause:expr) => { ::core::convert::From::from($cause) };
    (@ $error:ident $kind:ident) => { ::std::io::Error::new(::std::io::ErrorKind::$kind, $error) };
    ($($type:ident { $($pattern:pat => $how:ident $($cause:expr)?),+ })+) => {$(
        /// See "Errors as `io::Error`" in the documentation of `unstick::io`.
        impl ::core::convert::From<$type> for ::std::io::Error {
            fn from(error: $type) -> Self {
                match error { $($pattern => $crate::__io_errors!(@ error $how $($cause)?)),+ }
            }
        }
    )+};
}

#[cfg(feature = "std")]
crate::__io_errors! {
    HeaderError { _ => InvalidData }
    DecodeError { DecodeError::Truncated { .. } => UnexpectedEof, _ => InvalidData }
    DatagramError { _ => InvalidData }
    EncodeError { _ => InvalidInput }
    RecoverError { _ => InvalidInput }
    StorageError { _ => InvalidInput }
}

/// The error for bytes that are not a valid header.
///
/// It does not hold a position in the stream: [`DecodeError::Header`] adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HeaderError {
    /// The first byte is not [`MAGIC`](crate::header::MAGIC).
    BadMagic {
        /// The byte found.
        found: u8,
    },
    /// The second byte is not [`VERSION`](crate::header::VERSION).
    UnsupportedVersion {
        /// The byte found.
        found: u8,
    },
    /// The kind is `0x00`.
    InvalidKind,
    /// The check does not match the seven bytes before it.
    BadCheck {
        /// The check found.
        found: u8,
        /// The check of the seven bytes.
        expected: u8,
    },
    /// A signed length has its sign bit set.
    NegativeLength {
        /// The byte with the sign bit.
        found: u8,
        /// The greatest value that the length can have, given its bytes up to that byte. A
        /// little-endian length ends with it, so this is the length. A big-endian one begins with
        /// it, and is refused before its other bytes arrive: −1 if `found` is `0xff`.
        max: i64,
    },
    /// A varint ends with a zero byte, so the same length has a shorter encoding.
    OverlongVarint,
    /// A varint's tenth byte exceeds 64 bits.
    VarintOverflow {
        /// The tenth byte.
        found: u8,
    },
    /// The length is smaller than the part of the header that it covers.
    LengthTooShort {
        /// The length found, in bytes.
        found: u64,
        /// The smallest valid length, in bytes.
        min: u64,
    },
    /// A user-defined format refused the header.
    Custom {
        /// The format's code for this refusal: 0x8000 or above, the range of applications.
        code: u16,
        /// The format's text for this refusal, without a position. If it is not empty, `Display`
        /// prints it, followed by the code.
        text: &'static str,
    },
    /// The header is longer than its format's buffer.
    TooLong {
        /// The length of [`Format::HeaderBuf`](crate::Format::HeaderBuf) in bytes.
        room: usize,
    },
    /// The format broke one of the [laws of a format](crate::Format#laws).
    BrokenFormat,
}

impl HeaderError {
    /// Returns this error's code in the registry (spec, chapter 9).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::BadMagic { .. } => 0x0001,
            Self::UnsupportedVersion { .. } => 0x0002,
            Self::InvalidKind => 0x0003,
            Self::BadCheck { .. } => 0x0004,
            Self::NegativeLength { .. }
            | Self::OverlongVarint
            | Self::VarintOverflow { .. }
            | Self::LengthTooShort { .. }
            | Self::TooLong { .. }
            | Self::BrokenFormat => 0x000A,
            Self::Custom { code, .. } => code,
        }
    }

    /// Returns the offset in the header of the byte that caused the error.
    const fn index(self) -> u64 {
        match self {
            Self::UnsupportedVersion { .. } => 1,
            Self::InvalidKind => 2,
            Self::BadCheck { .. } => 7,
            _ => 0,
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadMagic { found } => write!(
                f,
                "a frame starts with 0xf5, found {}; {}",
                Byte(found),
                first_byte_hint(found)
            ),
            Self::UnsupportedVersion { found } => write!(
                f,
                "version 0x{found:02x} is not supported, only 0x01; does the peer run a newer release?"
            ),
            Self::InvalidKind => {
                f.write_str("kind 0x00 is never valid; the sender builds its headers wrongly")
            }
            Self::BadCheck { found, expected } => write!(
                f,
                "the header's check is 0x{found:02x} and should be 0x{expected:02x}; \
                 was the header damaged, or the position in the stream lost?"
            ),
            Self::NegativeLength { found, max } => write!(
                f,
                "the length is negative, at most {max} (its top byte is 0x{found:02x}); \
                 is the byte order the peer's?"
            ),
            Self::OverlongVarint => f.write_str(
                "the length is a varint with a needless zero byte at its end; \
                 the sender has to use the shortest form",
            ),
            Self::VarintOverflow { found } => write!(
                f,
                "the length is a varint that goes on past 64 bits (its tenth byte is 0x{found:02x}); \
                 does the peer speak this format?"
            ),
            Self::LengthTooShort { found, min } => write!(
                f,
                "a length of {found} covers less than the header, at least {min} is needed; \
                 does the length cover what the format says?"
            ),
            Self::Custom { code, text: "" } => {
                write!(f, "the format refused the header with code {code}")
            }
            Self::Custom { code, text } => write!(f, "{text} (code {code})"),
            Self::TooLong { room } => {
                write!(f, "no header ends within the {room} bytes that one may have")
            }
            Self::BrokenFormat => f.write_str(
                "the format contradicts itself; test it against the laws of the `Format` trait",
            ),
        }
    }
}

impl Error for HeaderError {}

/// The part of a frame in which a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Part {
    /// The header. The number of missing bytes is a lower bound.
    Header,
    /// The payload, or the position before its first byte. The number of missing bytes is exact.
    Payload,
}

/// The error that ended a stream.
///
/// Offsets count bytes from the start of the stream, or of the slice that was decoded.
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
    /// The stream ended inside a frame.
    Truncated {
        /// The offset of the stream's end.
        at: u64,
        /// The number of missing bytes; a lower bound if the stream ended in a header.
        missing: u64,
        /// The part of the frame in which the stream ended.
        part: Part,
    },
    /// The stream ended, or the next frame was requested, during a search for the next header.
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
            Self::Oversize { .. } | Self::NoRoom { .. } => 0x0005,
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
            Self::Truncated { at, missing, part } => {
                let (least, part) = match part {
                    Part::Header => ("at least ", "header"),
                    Part::Payload => ("", "payload"),
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

/// The error for a frame that cannot be encoded.
// The tag is a whole word, so that a result is moved in whole words even if it is `Ok`: partial,
// overlapping stores would stall the next load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u64)]
pub enum EncodeError {
    /// The payload is longer than the limit, or than the length field can express.
    Oversize {
        /// The payload's length in bytes.
        len: u64,
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// The output slice is too short. Nothing was written.
    NoRoom {
        /// The length of the frame in bytes.
        needed: usize,
        /// The length of the slice in bytes.
        room: usize,
    },
    /// The format cannot encode the header's other fields.
    Meta,
    /// A user-defined format refused to encode the header.
    Custom {
        /// The format's code for this refusal.
        code: u16,
        /// The format's text for this refusal. If it is not empty, `Display` prints it, followed by
        /// the code. A reference to a reference (`&"no kind"`), since it has the size of one word.
        text: &'static &'static str,
    },
    /// The format broke one of the [laws of a format](crate::Format#laws).
    BrokenFormat,
    /// A streamed frame still lacks payload. If `finish` was called in this state, the encoder
    /// refuses everything from then on, because it has written an incomplete frame.
    Unfinished {
        /// The number of missing payload bytes.
        missing: u64,
    },
    /// More payload than the streamed frame announced. None of it was counted.
    Excess {
        /// The number of bytes passed.
        len: u64,
        /// The number of missing payload bytes.
        missing: u64,
    },
    /// Payload, or the end of a frame, without a frame that was begun.
    NoFrame,
    /// A frame has a kind that is not allowed in a datagram.
    MisplacedKind {
        /// The kind's number.
        kind: u8,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Oversize { len, limit } => write!(
                f,
                "a payload of {len} bytes is over the limit of {limit}; \
                 split it, or raise the limit on both sides"
            ),
            Self::NoRoom { needed, room } => {
                write!(f, "the frame needs {needed} bytes and the output has {room}")
            }
            Self::Meta => f.write_str(
                "the header's fields do not fit the format; were they made by another one?",
            ),
            Self::Custom { code, text: &"" } => {
                write!(f, "the format refused to write the header, with code {code}")
            }
            Self::Custom { code, text } => write!(f, "{text} (code {code})"),
            Self::BrokenFormat => f.write_str(
                "the format contradicts itself; test it against the laws of the `Format` trait",
            ),
            Self::Unfinished { missing } => write!(
                f,
                "the frame before is {missing} bytes short; complete it, or close the stream"
            ),
            Self::Excess { len, missing } => write!(
                f,
                "{len} bytes of payload where the frame has room for {missing}; \
                 announce the right length at its begin"
            ),
            Self::NoFrame => f.write_str("no frame was begun; begin one with its length first"),
            Self::MisplacedKind { kind } => write!(
                f,
                "a frame of kind 0x{kind:02x} has no place in a datagram; send it over a stream"
            ),
        }
    }
}

impl Error for EncodeError {}

/// The error for a recovery that the decoder's state does not allow. The decoder is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecoverError {
    /// The stream has no error to recover from.
    NotFailed,
    /// The stream's error does not allow the recovery: only an oversize frame has a known end and
    /// can be skipped.
    Failed(DecodeError),
}

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFailed => f.write_str("the stream has not failed; read on"),
            Self::Failed(error) => {
                write!(f, "only an oversize frame can be skipped, and the error was: {error}")
            }
        }
    }
}

impl Error for RecoverError {}

/// The error for a read buffer whose storage is too small.
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

/// Formats a byte in hexadecimal and as a character: `0x47 ('G')`.
struct Byte(u8);

impl fmt::Display for Byte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}", self.0)?;
        if self.0.is_ascii_graphic() {
            write!(f, " ('{}')", char::from(self.0))?;
        }
        Ok(())
    }
}

/// Returns a guess at the protocol that starts with this byte.
fn first_byte_hint(byte: u8) -> &'static str {
    match byte {
        0x16 => "is the peer speaking TLS?",
        b'A'..=b'Z' => "is the peer speaking another protocol, HTTP perhaps?",
        0x00 => "is the peer sending plain length-prefixed frames?",
        _ => "is the peer speaking another protocol?",
    }
}

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
