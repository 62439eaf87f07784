//! A format and a limit in one value, shared by decoders, encoders and buffers.

use core::fmt;

use crate::format::{MAX_PAYLOAD_LEN, V1};
use crate::wire::Wire;

/// The default limit: 1 MiB of payload.
pub const DEFAULT_LIMIT: u64 = 1 << 20;

/// A format, and the maximum payload length of a frame, called the limit.
///
/// Decoders, encoders and buffers all take a `Framing`, so the limit means the same on both sides:
/// a payload that can be encoded with a `Framing` can be decoded with it, and vice versa, unless
/// [`with_limits`](Self::with_limits) sets one for each direction.
///
/// ```
/// use unstick::{Framing, U16Be};
///
/// assert_eq!(Framing::new(U16Be).limit(), 65_535); // the maximum of the length field, below 1 MiB
/// static SHORT: Framing<U16Be> = Framing::new(U16Be).with_limit(100);
/// assert_eq!(SHORT.limit(), 100);
/// ```
#[derive(Clone, Copy)]
pub struct Framing<F = V1> {
    format: F,
    /// The caller's limit, or the default; no more than [`MAX_PAYLOAD_LEN`].
    limit: u64,
    /// The same for frames to be sent.
    send_limit: u64,
    explicit: bool,
}

impl<F> Framing<F> {
    /// Creates a framing with this format and the default limit: 1 MiB, or the maximum of the
    /// length field if that is less.
    #[must_use]
    pub const fn new(format: F) -> Self {
        Self { format, limit: DEFAULT_LIMIT, send_limit: DEFAULT_LIMIT, explicit: false }
    }

    /// Sets the limit: the maximum payload length of a frame, in bytes.
    ///
    /// The effective limit is the minimum of `payload_bytes`, the maximum of the length field, and
    /// [`MAX_PAYLOAD_LEN`].
    #[must_use]
    pub const fn with_limit(self, payload_bytes: u64) -> Self {
        self.with_limits(payload_bytes, payload_bytes)
    }

    /// Sets a limit for each direction, as [`with_limit`](Self::with_limit) does for both: for a peer
    /// that takes longer or shorter frames than it sends.
    #[must_use]
    pub const fn with_limits(mut self, receive: u64, send: u64) -> Self {
        self.set_limit(receive);
        self.set_send_limit(send);
        self
    }

    /// Sets the limit of a stored framing, like [`with_limit`](Self::with_limit).
    pub const fn set_limit(&mut self, payload_bytes: u64) {
        self.set_send_limit(payload_bytes);
        self.limit = self.send_limit;
        self.explicit = true;
    }

    /// Sets the limit of frames to be sent, in payload bytes.
    pub const fn set_send_limit(&mut self, payload_bytes: u64) {
        let max = MAX_PAYLOAD_LEN;
        self.send_limit = if payload_bytes < max { payload_bytes } else { max };
    }

    /// Returns the format.
    #[must_use]
    pub const fn format(&self) -> &F {
        &self.format
    }
}

impl<F: Wire> Framing<F> {
    /// Returns the effective limit: the maximum payload length of a received frame, in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.min(self.format.longest_payload())
    }

    /// Returns the effective limit of frames to be sent, in payload bytes.
    #[must_use]
    pub fn send_limit(&self) -> u64 {
        self.send_limit.min(self.format.longest_payload())
    }

    /// Returns whether the limit was set with `with_limit`.
    pub(crate) fn is_explicit(&self) -> bool {
        self.explicit
    }

    /// Lowers the limit, if necessary, so that a whole frame fits into a buffer of `room` bytes.
    pub(crate) fn within(self, room: usize) -> Self {
        let fits = self.format.payload_within(room as u64);
        if self.limit() > fits { self.with_limit(fits) } else { self }
    }

    /// Returns the limit of frames to be sent as it was set.
    #[inline(always)]
    pub(crate) fn raw_send_limit(&self) -> u64 {
        self.send_limit
    }

    pub(crate) fn into_format(self) -> F {
        self.format
    }
}

impl<F: Wire + fmt::Debug> fmt::Debug for Framing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framing")
            .field("format", &self.format)
            .field("limit", &self.limit())
            .field("send_limit", &self.send_limit())
            .field("explicit", &self.explicit)
            .finish()
    }
}

/// Compares format and effective limits. Whether a limit was set or is the default makes no
/// difference.
impl<F: Wire + PartialEq> PartialEq for Framing<F> {
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format
            && (self.limit(), self.send_limit()) == (other.limit(), other.send_limit())
    }
}

impl<F: Wire + Eq> Eq for Framing<F> {}

impl<F: Wire + Default> Default for Framing<F> {
    fn default() -> Self {
        Self::new(F::default())
    }
}

impl<F: Wire> From<F> for Framing<F> {
    fn from(format: F) -> Self {
        Self::new(format)
    }
}
