//! Checks that leave out a part of the header.

use crate::check::Check;

/// A check that leaves out the first bytes of the header, or all of it.
///
/// ```
/// use unstick::check::{Check, Fletcher8, SkipHeader};
///
/// // UBX: the two sync bytes are not summed.
/// const UBX: SkipHeader<Fletcher8> = SkipHeader::new(Fletcher8, 2);
///
/// let digest = UBX.begin(&[0xB5, 0x62, 0x06, 0x08, 0x06, 0x00]);
/// let digest = UBX.update(digest, &[0xE8, 0x03, 0x01, 0x00, 0x01, 0x00]);
/// assert_eq!(UBX.trailer(digest), [0x01, 0x39]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SkipHeader<C> {
    check: C,
    len: usize,
}

impl<C> SkipHeader<C> {
    /// Leaves out the first `len` bytes of each header; of a shorter header, all bytes.
    #[must_use]
    pub const fn new(check: C, len: usize) -> Self {
        Self { check, len }
    }

    /// Leaves out the header, so that the check covers the payload alone.
    #[must_use]
    pub const fn all(check: C) -> Self {
        Self::new(check, usize::MAX)
    }
}

impl<C: Check> Check for SkipHeader<C> {
    type Digest = C::Digest;
    type Trailer = C::Trailer;

    #[inline]
    fn begin(&self, header: &[u8]) -> C::Digest {
        self.check.begin(header.get(self.len..).unwrap_or_default())
    }
    #[inline]
    fn update(&self, digest: C::Digest, run: &[u8]) -> C::Digest {
        self.check.update(digest, run)
    }
    #[inline]
    fn trailer(&self, digest: C::Digest) -> C::Trailer {
        self.check.trailer(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Crc16X25, Sum8};

    #[test]
    fn the_first_bytes_of_the_header_are_left_out() {
        for (len, expected) in [(0, 15), (1, 14), (2, 12), (3, 12), (usize::MAX, 12)] {
            let check = SkipHeader::new(Sum8, len);
            assert_eq!(check.trailer(check.update(check.begin(&[1, 2]), &[4, 8])), [expected]);
        }
    }

    #[test]
    fn a_header_that_is_left_out_equals_none() {
        let check = SkipHeader::all(Crc16X25::new());
        assert_eq!(check.begin(b"header"), Crc16X25::new().begin(b""));
    }
}
