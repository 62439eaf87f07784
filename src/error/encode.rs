//! The error for a frame that cannot be encoded.

use core::error::Error;
use core::fmt;

#[cfg(feature = "std")]
crate::__io_errors! {
    EncodeError { _ => InvalidInput }
}

/// The error for a frame that cannot be encoded.
///
/// ```
/// use unstick::{EncodeError, Framing, U8};
///
/// let error = Framing::new(U8).encode((), [0; 300], &mut Vec::new()).unwrap_err();
/// assert_eq!(error, EncodeError::Oversize { len: 300, limit: 255 });
/// ```
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
    /// The payload contains the mark that ends a frame, or the beginning of one that the mark after it
    /// would complete. No such payload can be sent with this mark.
    HasMark {
        /// The offset in the payload of the first byte of the mark.
        at: u64,
    },
    /// The payload is empty, and the mark has no empty frames: a receiver ignores a mark that follows
    /// another one.
    Empty,
    /// The payload does not have the fixed length of the format.
    WrongLength {
        /// The payload's length in bytes.
        len: u64,
        /// The length of every payload of this format, in bytes.
        expected: u64,
    },
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
                write!(f, "the format refused to write the header, with code {code:#06x}")
            }
            Self::Custom { code, text } => write!(f, "{text} (code {code:#06x})"),
            Self::BrokenFormat => f.write_str(
                "the format contradicts itself; test it against the laws of the `Format` trait",
            ),
            Self::Unfinished { missing: 0 } => {
                f.write_str("the check of the frame before is missing; finish that frame first")
            }
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
            Self::HasMark { at } => write!(
                f,
                "the payload contains the end of a frame at byte {at}; \
                 remove it, or use a framing with escapes or a length"
            ),
            Self::Empty => f.write_str(
                "the payload is empty, and this framing has no empty frames; send at least one byte",
            ),
            Self::WrongLength { len, expected } => write!(
                f,
                "a payload of {len} bytes where every frame has {expected}; \
                 fill it up or split it"
            ),
            Self::MisplacedKind { kind } => write!(
                f,
                "a frame of kind 0x{kind:02x} has no place in a datagram; send it over a stream"
            ),
        }
    }
}

impl Error for EncodeError {}
