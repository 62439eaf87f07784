//! Where in a frame the decoder stands, as one number.
//!
//! ```text
//!  63 62 61                                    0
//! +-----+---------------------------------------+
//! |  0 0 | remaining payload bytes (62 bits)     |  a payload; zero is a frame boundary
//! |  0 1 | remaining payload bytes (62 bits)     |  an oversize payload is being skipped
//! |  1 0 | 30 bits unused | need: 16 | held: 16  |  a header is being collected
//! |  1 1 | 0 | skipped bytes: 53 | held: 8       |  a search for the next header
//! |  1 1 | 1 | next limit + 1: 45   | held: 16   |  failed: the refused bytes are kept
//! +-----+---------------------------------------+
//! ```
//!
//! The order of the tags is used: a number up to [`MAX_PAYLOAD_LEN`] is a payload or a boundary, and
//! a number from `SEARCH` on has an error.

use crate::format::MAX_PAYLOAD_LEN;

/// The packed state; [`view`](Self::view) unpacks it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase(u64);

pub(super) enum View {
    /// `remaining` payload bytes are to be delivered; none is a frame boundary.
    Payload { remaining: u64 },
    /// `remaining` payload bytes are to be dropped; at least one.
    Skip { remaining: u64 },
    /// `held` bytes of a header are there, and at least `need` have to be.
    Collect { held: usize, need: usize },
    /// The `held` bytes of header were refused; `next` is the limit that was set after that.
    Failed { held: usize, next: Option<u64> },
    /// A search goes on; `held` bytes may be a header's beginning, `skipped` are none.
    Search { held: usize, skipped: u64 },
}

impl Phase {
    const TAG: u32 = 62;
    pub(super) const BOUNDARY: Self = Self(0);
    const SKIP: u64 = 1 << Self::TAG;
    const COLLECT: u64 = 2 << Self::TAG;
    /// Both kinds of failure share a tag.
    const SEARCH: u64 = 3 << Self::TAG;
    const FAILED: u64 = Self::SEARCH | 1 << 61;

    pub(super) const fn payload(remaining: u64) -> Self {
        Self(remaining) // within the limit, so its tag is zero
    }

    pub(super) const fn skip(remaining: u64) -> Self {
        if remaining == 0 { Self::BOUNDARY } else { Self(Self::SKIP | remaining & MAX_PAYLOAD_LEN) }
    }

    pub(super) const fn collect(held: usize, need: usize) -> Self {
        Self(Self::COLLECT | (need as u64 & 0xFFFF) << 16 | held as u64 & 0xFFFF)
    }

    pub(super) const fn failed(held: usize) -> Self {
        Self(Self::FAILED | held as u64 & 0xFFFF)
    }

    /// A failed stream whose next frame has another limit: at most 2^45 - 2, which it saturates at.
    pub(super) const fn failed_before(held: usize, next: u64) -> Self {
        let max = (1 << 45) - 2;
        let next = if next < max { next } else { max };
        Self(Self::FAILED | (next + 1) << 16 | held as u64 & 0xFFFF)
    }

    /// `held` is at most 254: a self-checking header has at most 255 bytes. The count saturates
    /// at 2^53 - 1 bytes.
    pub(super) const fn search(held: usize, skipped: u64) -> Self {
        let max = (1 << 53) - 1;
        let skipped = if skipped < max { skipped } else { max };
        Self(Self::SEARCH | skipped << 8 | held as u64 & 0xFF)
    }

    /// Whether a payload is being delivered, or the next byte begins a frame.
    #[inline(always)]
    pub(super) const fn is_payload(self) -> bool {
        self.0 <= MAX_PAYLOAD_LEN
    }

    /// Returns the number of payload bytes to deliver, if [`is_payload`](Self::is_payload).
    #[inline(always)]
    pub(super) const fn remaining(self) -> u64 {
        self.0 // a payload's tag is zero
    }

    /// Whether the stream has failed.
    #[inline(always)]
    pub(super) const fn has_failed(self) -> bool {
        self.0 >= Self::SEARCH
    }

    #[inline]
    pub(super) const fn view(self) -> View {
        let value = self.0 & MAX_PAYLOAD_LEN;
        let held = (value & 0xFFFF) as usize;
        match self.0 {
            0..Self::SKIP => View::Payload { remaining: value },
            Self::SKIP..Self::COLLECT => View::Skip { remaining: value },
            Self::COLLECT..Self::SEARCH => {
                View::Collect { held, need: (value >> 16 & 0xFFFF) as usize }
            }
            Self::SEARCH..Self::FAILED => {
                View::Search { held: (value & 0xFF) as usize, skipped: value >> 8 }
            }
            Self::FAILED.. => {
                View::Failed { held, next: (value >> 16 & ((1 << 45) - 1)).checked_sub(1) }
            }
        }
    }
}
