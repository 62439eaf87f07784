//! A wrapper that records the panics of a check.

use unstick::Check;

use crate::panics::Panics;

/// The check under test.
pub(super) struct Probe<'a, C> {
    pub(super) check: &'a C,
    pub(super) panics: &'a Panics,
}

// Not derived: a derive would require `C: Copy`.
impl<C> Clone for Probe<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Probe<'_, C> {}

impl<C: Check> Check for Probe<'_, C> {
    type Digest = C::Digest;
    type Trailer = C::Trailer;

    fn begin(&self, header: &[u8]) -> C::Digest {
        self.panics.pass_on("begin", header, || self.check.begin(header))
    }

    fn update(&self, digest: C::Digest, run: &[u8]) -> C::Digest {
        self.panics.pass_on("update", run, || self.check.update(digest, run))
    }

    fn trailer(&self, digest: C::Digest) -> C::Trailer {
        self.panics.pass_on("trailer", &[], || self.check.trailer(digest))
    }
}
