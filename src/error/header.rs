//! The error for bytes that are not a valid header.

use core::error::Error;
use core::fmt;

#[cfg(feature = "std")]
crate::__io_errors! {
    HeaderError { _ => InvalidData }
}

/// The error for bytes that are not a valid header.
///
/// It does not hold a position in the stream: [`DecodeError::Header`](crate::DecodeError::Header) adds
/// it.
///
/// ```
/// use unstick::{DecodeError, Framing, HeaderError, V1};
///
/// let error = Framing::new(V1).split_frame(&mut &b"GET / HTTP/1.1"[..]).unwrap_err();
/// assert_eq!(error, DecodeError::Header { at: 0, error: HeaderError::BadMagic { found: b'G' } });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum HeaderError {
    /// The first byte is not [`MAGIC`](crate::header::MAGIC).
    BadMagic {
        /// The byte found.
        found: u8,
    },
    /// The second byte is not the version that the format has.
    UnsupportedVersion {
        /// The byte found.
        found: u8,
        /// The version of the format: [`VERSION`](crate::header::VERSION) for [`V1`](crate::V1), 2 for
        /// [`V2`](crate::V2).
        supported: u8,
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
    pub(super) const fn index(self) -> u64 {
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
            Self::UnsupportedVersion { found, supported } => write!(
                f,
                "version 0x{found:02x} is not supported, only 0x{supported:02x}; {}",
                if found >= 1 && found < supported {
                    "does the peer send an older version?"
                } else {
                    "does the peer run a newer release?"
                }
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
                write!(f, "the format refused the header with code {code:#06x}")
            }
            Self::Custom { code, text } => write!(f, "{text} (code {code:#06x})"),
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
