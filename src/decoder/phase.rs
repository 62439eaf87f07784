//! The decoder's state (spec, 7.2), as one number.
//!
//! ```text
//!  63 62 61                                   0
//! +-----+--------------------------------------+
//! | 0 0 | zero                                 |  BOUNDARY
//! | 0 0 | remaining payload bytes: 62 bits     |  PAYLOAD(remaining)
//! | 0 1 | remaining payload bytes: 62 bits     |  SKIP(remaining)
//! | 1 0 | 30 bits unused | need: 16 | held: 16 |  HEADER(held); the header has `need` bytes or more
//! | 1 1 | 0 | skipped bytes: 53 | held: 8      |  SEARCH(w); the window is the held bytes
//! | 1 1 | 1 | next limit + 1: 45 | held: 16    |  FAILED(e); `e` follows from the held bytes
//! +-----+--------------------------------------+
//! ```
//!
//! The held bytes are in the header buffer. A next limit is one set after the error; the field is zero
//! if there is none. The end of the stream changes no state. A number up to [`MAX_PAYLOAD_LEN`] is
//! BOUNDARY or PAYLOAD, and one from `SEARCH` on has an error.

use crate::format::MAX_PAYLOAD_LEN;

/// The packed state; [`view`](Self::view) unpacks it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase(u64);

pub(super) enum View {
    /// `remaining` payload bytes are to be delivered; zero is BOUNDARY.
    Payload { remaining: u64 },
    /// `remaining` payload bytes are to be dropped; at least one.
    Skip { remaining: u64 },
    /// `held` bytes of a header have arrived; it has at least `need`.
    Header { held: usize, need: usize },
    /// The `held` bytes of a header were refused; `next` is the limit that was set after that.
    Failed { held: usize, next: Option<u64> },
    /// A search goes on: `skipped` bytes were rejected, and the next `held` may begin a header.
    Search { held: usize, skipped: u64 },
}

impl Phase {
    const TAG: u32 = 62;
    pub(super) const BOUNDARY: Self = Self(0);
    const SKIP: u64 = 1 << Self::TAG;
    const HEADER: u64 = 2 << Self::TAG;
    /// The tag of SEARCH and FAILED.
    const SEARCH: u64 = 3 << Self::TAG;
    const FAILED: u64 = Self::SEARCH | 1 << 61;

    pub(super) const fn payload(remaining: u64) -> Self {
        Self(remaining) // within the limit, so its tag is zero
    }

    pub(super) const fn skip(remaining: u64) -> Self {
        if remaining == 0 { Self::BOUNDARY } else { Self(Self::SKIP | remaining & MAX_PAYLOAD_LEN) }
    }

    pub(super) const fn header(held: usize, need: usize) -> Self {
        Self(Self::HEADER | (need as u64 & 0xFFFF) << 16 | held as u64 & 0xFFFF)
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

    /// Whether the stream has failed, which includes a search.
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
            Self::SKIP..Self::HEADER => View::Skip { remaining: value },
            Self::HEADER..Self::SEARCH => {
                View::Header { held, need: (value >> 16 & 0xFFFF) as usize }
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
