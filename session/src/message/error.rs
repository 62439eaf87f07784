//! Errors in payloads and file names.

use core::error::Error;
use core::fmt;

use unstick::Kind;

use super::{Code, FileOpen};

/// The error for a payload that is malformed for its kind (spec, chapter 13).
///
/// Offsets count from the payload's first byte.
///
/// ```
/// use unstick::Kind;
/// use unstick_session::message::{Message, MessageError};
///
/// let error = Message::decode(Kind::PING, &[0; 65]).unwrap_err();
/// assert_eq!(error, MessageError::TooLong { kind: Kind::PING, len: 65, max: 64 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MessageError {
    /// The payload is shorter than the fixed fields of its kind.
    TooShort {
        /// The message's kind.
        kind: Kind,
        /// The payload's length in bytes.
        len: u64,
        /// The minimum length in bytes.
        min: u64,
    },
    /// The payload is longer than its kind allows.
    TooLong {
        /// The message's kind.
        kind: Kind,
        /// The payload's length in bytes.
        len: u64,
        /// The maximum length in bytes.
        max: u64,
    },
    /// A close of one byte, which is half a code.
    HalfCode,
    /// A file-data without data.
    NoData,
    /// A file-open with the known size 2^64 − 1, which would be read as "not known". Only the encoder
    /// returns it.
    Size {
        /// The transfer id.
        id: u32,
    },
    /// Text, a reason or an application's name is not UTF-8.
    Utf8 {
        /// The message's kind.
        kind: Kind,
        /// The offset of the first byte that is not part of a valid character.
        at: u64,
        /// Whether the payload ends inside a character that is valid so far.
        cut: bool,
    },
    /// A file-open with an invalid file name. It refuses this file only; the conversation goes on.
    /// The answer is a status with [`Code::BAD_NAME`] (spec, 13.6).
    Name {
        /// The transfer that is refused.
        id: u32,
        /// What is wrong with the name.
        error: NameError,
    },
}

impl MessageError {
    /// Returns this error's code in the registry: [`Code::BAD_NAME`] for a name, otherwise
    /// [`Code::BAD_MESSAGE`].
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Name { .. } => Code::BAD_NAME,
            _ => Code::BAD_MESSAGE,
        }
    }

    /// Returns the offset in the payload of the first wrong byte, or of the payload's end if bytes
    /// are missing.
    #[must_use]
    pub const fn at(self) -> u64 {
        match self {
            Self::TooShort { len, .. } => len,
            Self::TooLong { max, .. } => max,
            Self::HalfCode => 1,
            Self::NoData => 12,
            Self::Size { .. } => FileOpen::SIZE_AT,
            Self::Utf8 { at, .. } => at,
            // Cannot overflow: `error.at()` is at most 255.
            Self::Name { error, .. } => FileOpen::NAME_AT + error.at(),
        }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payload byte {}: ", self.at())?;
        match *self {
            Self::TooShort { kind, len, min } => write!(
                f,
                "a {kind} of {}, and it has {min} at least; does the peer leave out a field?",
                Bytes(len)
            ),
            Self::TooLong { kind, len, max } => write!(
                f,
                "a {kind} of {len} bytes, and it has {max} at most; \
                 does the peer build it wrongly?"
            ),
            Self::HalfCode => f.write_str(
                "a close of one byte, and it is empty or begins with a code of two; \
                 does the peer write the code as one byte?",
            ),
            Self::NoData => f.write_str(
                "a file-data without data; an empty file has none, and is open and done",
            ),
            Self::Size { id } => write!(
                f,
                "transfer {id}: a size of 2^64 - 1 bytes, which means not known; is it an error value?"
            ),
            Self::Utf8 { kind, cut: false, .. } => {
                write!(f, "a {kind} that is not UTF-8; is it in another encoding, or binary?")
            }
            Self::Utf8 { kind, cut: true, .. } => write!(
                f,
                "a {kind} that ends inside a character; \
                 does the peer cut text by bytes?"
            ),
            Self::Name { id, error } => write!(f, "transfer {id}: {error}"),
        }
    }
}

impl Error for MessageError {}

#[cfg(feature = "std")]
unstick::__io_errors! {
    MessageError { _ => InvalidData }
    NameError { _ => InvalidInput }
}

/// Formats a number of bytes: `1 byte`, `2 bytes`.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 byte"),
            len => write!(f, "{len} bytes"),
        }
    }
}

/// The error for a name that a file cannot have (spec, 13.6). Such a name is refused, never changed
/// into a valid one.
///
/// Offsets count from the name's first byte.
///
/// ```
/// use unstick_session::message::check_name;
///
/// assert!(check_name("report.pdf").is_ok());
/// let error = check_name("../report.pdf").unwrap_err();
/// println!("{error}"); // what is wrong with the name
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    Empty,
    /// The name has more than 255 bytes.
    TooLong {
        /// The name's length in bytes.
        len: u64,
    },
    /// The name is not UTF-8.
    Utf8 {
        /// The offset of the first byte that is not part of a valid character.
        at: u8,
        /// Whether the name ends inside a character that is valid so far.
        cut: bool,
    },
    /// The name contains a character that separates folders or drives on some system: `/`, `\` or
    /// `:`.
    Separator {
        /// The character's offset.
        at: u8,
        /// The character.
        found: char,
    },
    /// The name contains NUL or another control character.
    Control {
        /// The character's offset.
        at: u8,
        /// The character.
        found: char,
    },
    /// The name is `.` or `..`, which are folders.
    Dots,
}

impl NameError {
    /// Returns the offset in the name of the first wrong byte.
    #[must_use]
    pub const fn at(self) -> u64 {
        match self {
            Self::Empty | Self::Dots => 0,
            Self::TooLong { .. } => super::MAX_NAME_LEN as u64,
            Self::Utf8 { at, .. } | Self::Separator { at, .. } | Self::Control { at, .. } => {
                at as u64
            }
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("a file needs a name; give it one of 1 to 255 bytes"),
            Self::TooLong { len } => {
                write!(f, "a name of {len} bytes, and it may have 255; send it under a shorter one")
            }
            Self::Utf8 { cut: false, .. } => {
                f.write_str("the name is not UTF-8; send it under another one")
            }
            Self::Utf8 { cut: true, .. } => {
                f.write_str("the name ends inside a character; was it cut by bytes?")
            }
            Self::Separator { found, .. } => write!(
                f,
                "the name has '{}', which separates folders or drives somewhere; \
                 send the last part of a path only, without it",
                found.escape_default()
            ),
            Self::Control { found, .. } => write!(
                f,
                "the name has the control character U+{:04X}; send it under another one",
                u32::from(found)
            ),
            Self::Dots => f.write_str("the name is that of a folder; send it under another one"),
        }
    }
}

impl Error for NameError {}
