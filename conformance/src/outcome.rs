//! What a receiver reports about a stream.

use std::fmt;

use unstick::DecodeError;

use super::violation::Hex;

/// One report of a receiver about a stream; a stream gives a sequence of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<M> {
    /// A whole frame.
    Frame {
        /// The stream offset of the frame's first byte.
        at: u64,
        /// The header's fields other than the length.
        meta: M,
        /// The header as it was received.
        header: Vec<u8>,
        /// The payload.
        payload: Vec<u8>,
    },
    /// A frame that has only partly arrived. A receiver of whole frames does not report it.
    Begun {
        /// The stream offset of the frame's first byte.
        at: u64,
        /// The header's fields other than the length.
        meta: M,
        /// The header as it was received.
        header: Vec<u8>,
        /// The part of the payload that arrived.
        payload: Vec<u8>,
    },
    /// The stream failed.
    Error {
        /// The stream's error.
        error: DecodeError,
        /// The number of consumed bytes: all up to the end of the refused prefix.
        position: u64,
    },
    /// A search found the next header.
    Found {
        /// The distance in bytes from the failed frame's first byte to the header found.
        skipped: u64,
    },
    /// The stream ended on a frame boundary.
    End,
}

impl<M> Outcome<M> {
    /// Converts the meta, if there is one, with a closure.
    pub fn map_meta<N>(self, describe: impl FnOnce(M) -> N) -> Outcome<N> {
        match self {
            Self::Frame { at, meta, header, payload } => {
                Outcome::Frame { at, meta: describe(meta), header, payload }
            }
            Self::Begun { at, meta, header, payload } => {
                Outcome::Begun { at, meta: describe(meta), header, payload }
            }
            Self::Error { error, position } => Outcome::Error { error, position },
            Self::Found { skipped } => Outcome::Found { skipped },
            Self::End => Outcome::End,
        }
    }
}

/// Formats the outcome for a report: numbers in decimal, bytes in hexadecimal.
impl<M: fmt::Debug> fmt::Display for Outcome<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at, meta, header, payload) = match self {
            Self::Frame { at, meta, header, payload } => ("a frame", at, meta, header, payload),
            Self::Begun { at, meta, header, payload } => {
                ("the beginning of a frame", at, meta, header, payload)
            }
            Self::Error { error, position } => {
                return write!(f, "an error after {position} bytes ({error})");
            }
            Self::Found { skipped } => {
                return write!(f, "a header, found after {skipped} skipped bytes");
            }
            Self::End => return f.write_str("the end, after a frame"),
        };
        write!(f, "{what} at byte {at}: ")?;
        if !header.is_empty() {
            write!(f, "meta {meta:?}, header {}, ", Hex(header))?;
        }
        write!(f, "payload {}", Hex(payload))
    }
}

/// What the caller does after an error. Without either flag it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Skip a frame whose end is known or will be: an oversize one, one that fails its check, and any
    /// failed frame that ends with a mark.
    pub skip: bool,
    /// Search for the next header after any other error that allows it, and after an oversize frame
    /// that is not skipped. Only possible with self-checking formats.
    pub resync: bool,
}

impl Policy {
    /// Stop at the first error.
    pub const STOP: Self = Self { skip: false, resync: false };
    /// Skip oversize frames.
    pub const SKIP: Self = Self { skip: true, resync: false };
    /// Search for the next header after every error.
    pub const RESYNC: Self = Self { skip: false, resync: true };
    /// Skip oversize frames, and search for the next header after other errors.
    pub const BOTH: Self = Self { skip: true, resync: true };
    /// All four policies.
    pub const ALL: [Self; 4] = [Self::STOP, Self::SKIP, Self::RESYNC, Self::BOTH];
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.skip, self.resync) {
            (false, false) => "up to the first error",
            (true, false) => "with oversize frames skipped",
            (false, true) => "with a search after every error",
            (true, true) => "with oversize frames skipped, and a search after other errors",
        })
    }
}
