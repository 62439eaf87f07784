//! Copying bytes without a panic path.

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
