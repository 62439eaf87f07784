//! What a receiver reports of a stream.

use std::fmt;

use unstick::DecodeError;

use super::violation::Hex;

/// One of the things that a receiver reports of a stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<M> {
    /// A whole frame.
    Frame {
        /// The stream offset of its first byte.
        at: u64,
        /// What its header says beside the length.
        meta: M,
        /// Its header as it was received.
        header: Vec<u8>,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// A frame of which only this much arrived. A receiver of whole frames does not report it.
    Begun {
        /// The stream offset of its first byte.
        at: u64,
        /// What its header says beside the length.
        meta: M,
        /// Its header as it was received.
        header: Vec<u8>,
        /// The payload that arrived.
        payload: Vec<u8>,
    },
    /// The stream failed.
    Error {
        /// With this.
        error: DecodeError,
        /// The bytes consumed: all up to the refused prefix's end.
        position: u64,
    },
    /// A search found the next header.
    Found {
        /// So many bytes behind the failed frame's first.
        skipped: u64,
    },
    /// The stream ended behind a frame.
    End,
}

impl<M> Outcome<M> {
    /// The same with its meta in other words.
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

/// As a report has it: numbers in decimal, bytes in hexadecimal.
impl<M: fmt::Debug> fmt::Display for Outcome<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at, meta, header, payload) = match self {
            Self::Frame { at, meta, header, payload } => ("a frame", at, meta, header, payload),
            Self::Begun { at, meta, header, payload } => {
                ("the beginning of a frame", at, meta, header, payload)
            }
            Self::Error { error, position } => {
                return write!(f, "an error behind {position} bytes ({error})");
            }
            Self::Found { skipped } => {
                return write!(f, "a header, found behind {skipped} skipped bytes");
            }
            Self::End => return f.write_str("the end, behind a frame"),
        };
        write!(f, "{what} at byte {at}: meta {meta:?}, header {}, ", Hex(header))?;
        write!(f, "payload {}", Hex(payload))
    }
}

/// What the caller does about an error; without either it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// After an oversize frame: skip it.
    pub skip: bool,
    /// After any other error that allows it, and after an oversize frame unless it is skipped:
    /// search. Only formats that check themselves can.
    pub resync: bool,
}

impl Policy {
    /// An error ends the stream.
    pub const STOP: Self = Self { skip: false, resync: false };
    /// Oversize frames are skipped.
    pub const SKIP: Self = Self { skip: true, resync: false };
    /// After every error the next header is searched for.
    pub const RESYNC: Self = Self { skip: false, resync: true };
    /// Oversize frames are skipped; after other errors the next header is searched for.
    pub const BOTH: Self = Self { skip: true, resync: true };
    /// All four.
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
