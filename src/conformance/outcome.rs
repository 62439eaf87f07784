//! What a receiver reports of a stream.

use alloc::vec::Vec;

use crate::error::DecodeError;

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
