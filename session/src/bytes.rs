//! Copying bytes without a panic path, and showing them in logs.

use core::fmt;

/// Copies `from` to the beginning of `to`, as much as fits. `copy_from_slice` would keep a panic
/// path for unequal lengths at some optimisation levels.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The same for a payload. Outlined, so that the compiler knows that the two slices do not overlap
/// and generates one `memcpy`.
#[inline(never)]
pub(crate) fn copy_payload(to: &mut [u8], from: &[u8]) {
    copy(to, from);
}

/// Shows bytes escaped, and at most the first 32 of them.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        match self.0.get(..SHOWN) {
            Some(shown) if self.0.len() > SHOWN => {
                write!(f, "b\"{}\"... ({} bytes)", shown.escape_ascii(), self.0.len())
            }
            _ => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}
