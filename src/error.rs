//! What can go wrong, as small typed values (spec, chapter 9). Each says what was found, at which
//! byte, and what to try.

use core::error::Error;
use core::fmt;

/// Why bytes are no header.
///
/// It knows the bytes, not where they stand in a stream: [`DecodeError::Header`] adds that.
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
    /// The check does not fit the seven bytes before it.
    BadCheck {
        /// The check found.
        found: u8,
        /// The check that the seven bytes have.
        expected: u8,
    },
    /// A signed length has its sign bit set.
    NegativeLength {
        /// The byte that holds the sign bit.
        found: u8,
    },
    /// A varint ends with a zero byte: the same length has a shorter form.
    OverlongVarint,
    /// A varint's tenth byte says more than 64 bits can.
    VarintOverflow {
        /// The tenth byte.
        found: u8,
    },
    /// The length is smaller than the part of the header that it covers.
    LengthTooShort {
        /// The length found, in bytes.
        found: u64,
        /// The smallest that can be, in bytes.
        least: u64,
    },
    /// A format of the caller's own refused the header.
    Custom {
        /// What the format calls this refusal: 0x8000 or more, the numbers of applications.
        code: u16,
    },
    /// The header has more bytes than its format has room for.
    TooLong {
        /// The bytes that [`Format::HeaderBuf`](crate::Format::HeaderBuf) has.
        room: usize,
    },
    /// The format broke one of the [laws of a format](crate::Format#laws).
    BrokenFormat,
}

impl HeaderError {
    /// This error's number in the registry of the spec (chapter 9).
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
            Self::Custom { code } => code,
        }
    }

    /// Where in the header the byte stands that decided, counted from the header's first.
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
            Self::NegativeLength { found } => write!(
                f,
                "the length is negative (its top byte is 0x{found:02x}); \
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
            Self::LengthTooShort { found, least } => write!(
                f,
                "a length of {found} covers less than the header, at least {least} is needed; \
                 does the length cover what the format says?"
            ),
            Self::Custom { code } => write!(f, "the format refused the header with code {code}"),
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

/// Which part of a frame a stream ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Part {
    /// In the header; what is missing is at least so much.
    Header,
    /// In the payload, or right before its first byte; what is missing is exactly so much.
    Payload,
}

/// Why a stream has no further frame.
///
/// Offsets count bytes from the start of the stream, or of the slice that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// Bytes that are no header.
    Header {
        /// The offset of the failed frame's first byte.
        at: u64,
        /// What was found there.
        error: HeaderError,
    },
    /// A header that announces more payload than the limit allows.
    Oversize {
        /// The offset of the failed frame's first byte.
        at: u64,
        /// The payload bytes announced.
        len: u64,
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// The stream ended inside a frame.
    Truncated {
        /// The offset of the stream's end.
        at: u64,
        /// How many bytes were missing; in a header at least so many.
        missing: u64,
        /// The part of the frame that the stream ended in.
        part: Part,
    },
    /// The stream ended, or was asked for frames, while a search for the next header went on.
    Unsynchronized {
        /// The offset behind the last byte seen.
        at: u64,
        /// How many bytes were skipped, from the failed frame's first.
        skipped: u64,
    },
    /// A read buffer of fixed size cannot hold the frame's header.
    NoRoom {
        /// The offset of the frame's first byte.
        at: u64,
        /// The bytes needed.
        needed: usize,
        /// The bytes that the storage has.
        room: usize,
    },
}

impl DecodeError {
    /// The stream offset that the error speaks of: the failed frame's first byte, or the end of
    /// a stream that ended too early.
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

    /// This error's number in the registry of the spec (chapter 9).
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

// The text holds the cause's: a report of the whole chain must not print it twice.
impl Error for DecodeError {}

/// Why a datagram was refused. It was refused whole: none of its frames counts.
///
/// Offsets count bytes from the start of the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DatagramError {
    /// The datagram was longer than the buffer it was received in.
    Cut {
        /// The buffer's bytes.
        room: usize,
    },
    /// The datagram holds no frame.
    Empty,
    /// The datagram does not consist of whole frames within the limit.
    Malformed(DecodeError),
    /// A frame of a kind that has no place in a datagram.
    MisplacedKind {
        /// The offset of the frame's first byte.
        at: u64,
        /// The kind found.
        kind: u8,
    },
    /// A frame of a critical kind that is not known here.
    UnknownKind {
        /// The offset of the frame's first byte.
        at: u64,
        /// The kind found.
        kind: u8,
    },
}

impl DatagramError {
    /// This error's number in the registry of the spec (chapter 9). The cause of a
    /// [`Malformed`](Self::Malformed) one has its own.
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

/// Why a frame cannot be written.
// The tag is a whole word, so that a result is moved in whole words even where it is `Ok`: halves
// of words that overlap are stores that the next load has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u64)]
pub enum EncodeError {
    /// The payload is longer than the limit, or than the length field can say.
    Oversize {
        /// The payload's bytes.
        len: u64,
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// The output slice is too short. Nothing was written.
    NoRoom {
        /// The bytes that the frame needs.
        needed: usize,
        /// The bytes that the slice has.
        room: usize,
    },
    /// The header's other fields are not ones that this format can write.
    Meta,
    /// A format of the caller's own refused to write the header.
    Custom {
        /// What the format calls this refusal.
        code: u16,
    },
    /// The format broke one of the [laws of a format](crate::Format#laws).
    BrokenFormat,
    /// A streamed frame is open and payload is missing: give it first. If it was ended so, the
    /// encoder refuses everything from then on: what it wrote is not whole frames.
    Unfinished {
        /// The payload bytes still to come.
        missing: u64,
    },
    /// More payload than the streamed frame announced. None of it was taken.
    Excess {
        /// The bytes given.
        len: u64,
        /// The bytes still to come.
        missing: u64,
    },
    /// Payload, or the end of a frame, and no frame was begun.
    NoFrame,
    /// A frame of a kind that has no place in a datagram.
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
            Self::Custom { code } => {
                write!(f, "the format refused to write the header, with code {code}")
            }
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

/// Why a decoder cannot go on the way that was asked for. It stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecoverError {
    /// There is no error to go on from.
    NotFailed,
    /// The stream's error, which does not allow it: only an oversize frame has an end that is
    /// known.
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

/// Why a read buffer cannot be built over this storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StorageError {
    /// The bytes that the largest frame within the limit may need.
    pub needed: u64,
    /// The bytes that the storage has.
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

/// A byte as a person reads it: `0x47 ('G')`.
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

/// Who begins a conversation with this byte.
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
    fn a_log_line_says_what_where_and_what_to_try() {
        let error = DecodeError::Header { at: 0, error: HeaderError::BadMagic { found: b'G' } };
        assert_eq!(
            error.to_string(),
            "byte 0: a frame starts with 0xf5, found 0x47 ('G'); \
             is the peer speaking another protocol, HTTP perhaps?"
        );
        let error =
            DecodeError::Header { at: 100, error: HeaderError::BadCheck { found: 1, expected: 2 } };
        assert!(error.to_string().starts_with("byte 107: "), "{error}");
        // A report of the whole chain prints each cause once.
        assert!(error.source().is_none());
        let error = DecodeError::Truncated { at: 9, missing: 1, part: Part::Header };
        assert_eq!(
            error.to_string(),
            "byte 9: the stream ended inside a header, at least 1 byte is missing; \
             was the connection cut?"
        );
    }
}
