//! Constant bytes after a payload.

use crate::check::Check;

/// Constant bytes that must stand after every payload. They detect a wrong length, not a damaged
/// payload.
///
/// ```
/// use unstick::check::{Check, EndBytes};
///
/// const COMMA: EndBytes<1> = EndBytes::new(*b",");
///
/// COMMA.update(COMMA.begin(b"5:"), b"hello");
/// assert_eq!(COMMA.trailer(()), *b",");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndBytes<const N: usize> {
    bytes: [u8; N],
}

impl<const N: usize> EndBytes<N> {
    /// Creates the check of these bytes, at most 255.
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        const { assert!(N <= 255, "a trailer has at most 255 bytes") };
        Self { bytes }
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; N] {
        &self.bytes
    }
}

impl<const N: usize> Check for EndBytes<N> {
    type Digest = ();
    type Trailer = [u8; N];

    #[inline(always)]
    fn begin(&self, _: &[u8]) {}
    #[inline(always)]
    fn update(&self, (): (), _: &[u8]) {}
    #[inline(always)]
    fn trailer(&self, (): ()) -> [u8; N] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trailer_does_not_depend_on_the_frame() {
        let check = EndBytes::new(*b"\r\n");
        for (header, payload) in [(&b""[..], &b""[..]), (b"5\r\n", b"hello")] {
            check.begin(header);
            check.update((), payload);
            assert_eq!(check.trailer(()), *b"\r\n");
        }
        assert_eq!(check.bytes(), b"\r\n");
    }
}
