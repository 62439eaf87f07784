//! Checks after a payload: the [`Check`] trait, and [`Checked`] formats.

use core::fmt::Debug;

/// What must stand after a payload: a checksum, a CRC, or constant bytes.
///
/// One set of functions serves sender and receiver. An implementation takes about twenty lines; use
/// it with a [`Format`](crate::Format) in [`Checked`], or with a [`Mark`](crate::Mark) in
/// [`Marked::with_check`](crate::Marked::with_check).
///
/// # Laws
/// `update` with a run returns the same as `update` with its parts, one after the other, wherever the
/// run is cut; with an empty run it returns the digest unchanged.
pub trait Check {
    /// What is kept while a frame passes, including anything of the header that the trailer depends
    /// on.
    type Digest: Copy + Eq + Debug + Send + Sync + Unpin;
    /// The trailer: `[u8; N]`.
    type Trailer: TrailerBuf;

    /// Begins a digest with the header as it stands in the stream; with an empty slice for frames
    /// that have no header.
    fn begin(&self, header: &[u8]) -> Self::Digest;
    /// Continues with the next bytes of the payload.
    fn update(&self, digest: Self::Digest, run: &[u8]) -> Self::Digest;
    /// Returns what must stand after the payload.
    fn trailer(&self, digest: Self::Digest) -> Self::Trailer;
}

/// A buffer for a trailer: any `[u8; N]` of up to 255 bytes. Sealed.
pub trait TrailerBuf:
    AsRef<[u8]> + AsMut<[u8]> + Copy + Eq + Debug + Send + Sync + Unpin + sealed::Sealed + 'static
{
    /// The buffer's length in bytes.
    const LEN: usize;
    /// A buffer filled with zeros.
    const ZERO: Self;
}

impl<const N: usize> TrailerBuf for [u8; N] {
    const LEN: usize = {
        assert!(N <= 255, "a trailer has at most 255 bytes");
        N
    };
    const ZERO: Self = [0; N];
}

mod sealed {
    pub trait Sealed {}
    impl<const N: usize> Sealed for [u8; N] {}
}

/// No check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NoCheck;

impl Check for NoCheck {
    type Digest = ();
    type Trailer = [u8; 0];

    #[inline(always)]
    fn begin(&self, _: &[u8]) {}
    #[inline(always)]
    fn update(&self, (): (), _: &[u8]) {}
    #[inline(always)]
    fn trailer(&self, (): ()) -> [u8; 0] {
        []
    }
}

/// Frames of a header format with a check after each payload. The length in the header does not
/// count the check, and neither does the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checked<F, C> {
    format: F,
    check: C,
}

impl<F, C> Checked<F, C> {
    /// Adds this check to this format.
    #[must_use]
    pub const fn new(format: F, check: C) -> Self {
        Self { format, check }
    }

    /// Returns the header format.
    #[must_use]
    pub const fn format(&self) -> &F {
        &self.format
    }

    /// Returns the check.
    #[must_use]
    pub const fn check(&self) -> &C {
        &self.check
    }
}
