//! The error for a frame that does not end well.

use core::error::Error;
use core::fmt;

#[cfg(feature = "std")]
crate::__io_errors! {
    FrameError { _ => InvalidData }
}

/// Why a frame is invalid after its header, or without one: its check, its escapes, or its end.
///
/// It does not hold a position in the stream: [`DecodeError::Frame`](crate::DecodeError::Frame) adds it.
///
/// ```
/// use unstick::check::Xor8;
/// use unstick::{Checked, DecodeError, FrameError, Framing, U8};
///
/// let framing = Framing::new(Checked::new(U8, Xor8));
/// let error = framing.split_frame(&mut &b"\x02hi\x00"[..]).unwrap_err();
/// let bad = FrameError::BadCheck { found: 0, expected: 0x02 ^ 0x68 ^ 0x69 };
/// assert_eq!(error, DecodeError::Frame { at: 0, error: bad });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes after the payload are not the check of the frame.
    ///
    /// Both values are the check's bytes as a big-endian number, in the order in which they stand in
    /// the stream; the first four of them if there are more.
    BadCheck {
        /// The check found.
        found: u32,
        /// The check of the header and payload that were received.
        expected: u32,
    },
    /// The frame ended before its check was complete.
    TooShort {
        /// The number of bytes in the frame.
        found: u32,
        /// The length of the check in bytes.
        min: u32,
    },
    /// The byte after an escape is not one that may follow it.
    BadEscape {
        /// The byte found.
        found: u8,
    },
    /// The frame ended inside a block that announced more bytes.
    CutShort {
        /// The number of missing bytes.
        missing: u32,
    },
    /// The sender has aborted the frame.
    Aborted,
    /// A user-defined mark refused the frame.
    Custom {
        /// The mark's code for this refusal: 0x8000 or above, the range of applications.
        code: u16,
        /// The mark's text for this refusal, without a position. If it is not empty, `Display` prints
        /// it, followed by the code. A reference to a reference (`&"no escape"`), since it has the size
        /// of one word.
        text: &'static &'static str,
    },
    /// The mark broke one of the [laws of a mark](crate::Mark#laws).
    BrokenMark,
}

impl FrameError {
    /// Returns the error for a check that is not the expected one.
    pub(crate) fn bad_check(found: &[u8], expected: &[u8]) -> Self {
        let number =
            |bytes: &[u8]| bytes.iter().take(4).fold(0, |n, &byte| n << 8 | u32::from(byte));
        Self::BadCheck { found: number(found), expected: number(expected) }
    }

    /// Returns this error's code in the registry (spec, chapter 9).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::BadCheck { .. } => 0x0004,
            Self::TooShort { .. }
            | Self::BadEscape { .. }
            | Self::CutShort { .. }
            | Self::Aborted
            | Self::BrokenMark => 0x000D,
            Self::Custom { code, .. } => code,
        }
    }
}

/// Returns the word after a number of bytes.
fn bytes(n: u32) -> &'static str {
    if n == 1 { "byte" } else { "bytes" }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadCheck { found, expected } => write!(
                f,
                "the frame's check is {found:#04x} and should be {expected:#04x}; was the frame damaged, \
                 or is the peer's check another one?"
            ),
            Self::TooShort { found, min } => write!(
                f,
                "the frame has {found} {} and its check alone {min}; was it damaged, \
                 or does the peer send no check?",
                bytes(found)
            ),
            Self::BadEscape { found } => write!(
                f,
                "an escape is followed by 0x{found:02x}, which may not follow one; was the frame damaged?"
            ),
            Self::CutShort { missing } => write!(
                f,
                "the frame ends {missing} {} before its last block does; were bytes lost?",
                bytes(missing)
            ),
            Self::Aborted => f.write_str("the sender aborted the frame; wait for the next one"),
            Self::Custom { code, text: &"" } => {
                write!(f, "the mark refused the frame with code {code:#06x}")
            }
            Self::Custom { code, text } => write!(f, "{text} (code {code:#06x})"),
            Self::BrokenMark => f.write_str(
                "the mark contradicts itself; test it against the laws of the `Mark` trait",
            ),
        }
    }
}

impl Error for FrameError {}
