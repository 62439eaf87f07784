//! A format and a limit as one value, shared by everything that reads or writes.

use crate::format::{Format, MAX_PAYLOAD_LEN, V1};

/// The limit unless one is set: 1 MiB of payload.
pub const DEFAULT_LIMIT: u64 = 1 << 20;

/// A format, and the most payload bytes that a frame may have.
///
/// Decoder, encoder and buffers all take one, so a limit means the same on every side: a payload
/// that can be encoded under a `Framing` can be decoded under it, and the other way round. The
/// value never changes once it is built.
///
/// ```
/// use unstick::{Framing, U16Be};
///
/// assert_eq!(Framing::new(U16Be).limit(), 65_535); // the default is 1 MiB; the field says less
/// assert_eq!(Framing::new(U16Be).with_limit(100).limit(), 100);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Framing<F = V1> {
    format: F,
    limit: u64,
    explicit: bool,
}

impl<F: Format> Framing<F> {
    /// This format, with the default limit of 1 MiB, or what the length field can say if that is
    /// less.
    #[must_use]
    pub fn new(format: F) -> Self {
        let limit = effective(&format, DEFAULT_LIMIT);
        Self { format, limit, explicit: false }
    }

    /// The same format with a limit of `payload_bytes` for each frame's payload. The effective
    /// limit is the smaller of it, of what the length field can say, and of [`MAX_PAYLOAD_LEN`].
    #[must_use]
    pub fn with_limit(self, payload_bytes: u64) -> Self {
        let limit = effective(&self.format, payload_bytes);
        Self { limit, explicit: true, ..self }
    }

    /// The format.
    #[must_use]
    pub fn format(&self) -> &F {
        &self.format
    }

    /// The effective limit: the most payload bytes that a frame may have.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether the limit was asked for, and is not the default.
    pub(crate) fn is_explicit(&self) -> bool {
        self.explicit
    }

    /// The same for a buffer of `room` bytes: a limit that is too large for it becomes what fits.
    pub(crate) fn within(self, room: usize) -> Self {
        let fits = room.saturating_sub(self.format.max_header_len()) as u64;
        if self.limit > fits { self.with_limit(fits) } else { self }
    }

    pub(crate) fn into_format(self) -> F {
        self.format
    }
}

fn effective<F: Format>(format: &F, limit: u64) -> u64 {
    limit.min(format.max_payload_len()).min(MAX_PAYLOAD_LEN)
}

/// By what they mean: a limit that was set equals the same one by default.
impl<F: PartialEq> PartialEq for Framing<F> {
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format && self.limit == other.limit
    }
}

impl<F: Eq> Eq for Framing<F> {}

impl<F: Format + Default> Default for Framing<F> {
    fn default() -> Self {
        Self::new(F::default())
    }
}

impl<F: Format> From<F> for Framing<F> {
    fn from(format: F) -> Self {
        Self::new(format)
    }
}
