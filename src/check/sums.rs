//! Sums of bytes.

use crate::check::Check;

/// The sum of all bytes, modulo 256.
///
/// ```
/// use unstick::check::{Check, Sum8};
///
/// assert_eq!(Sum8.trailer(Sum8.update(Sum8.begin(b"1234"), b"56789")), [0xDD]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sum8;

/// The two's complement of the sum of all bytes, modulo 256: the LRC of ISO 1155. The sum of all bytes
/// and the check is zero.
///
/// ```
/// use unstick::check::{Check, Lrc8};
///
/// assert_eq!(Lrc8.trailer(Lrc8.update(Lrc8.begin(b"1234"), b"56789")), [0x23]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lrc8;

/// All bytes combined by exclusive or, also called LRC or BCC.
///
/// A protocol that writes it in another way has a check of its own, here NMEA 0183:
///
/// ```
/// use unstick::check::{Check, Xor8};
///
/// /// A star, then the digits of the exclusive or.
/// struct Nmea;
///
/// impl Check for Nmea {
///     type Digest = u8;
///     type Trailer = [u8; 3];
///
///     fn begin(&self, header: &[u8]) -> u8 {
///         Xor8.begin(header)
///     }
///     fn update(&self, digest: u8, run: &[u8]) -> u8 {
///         Xor8.update(digest, run)
///     }
///     fn trailer(&self, digest: u8) -> [u8; 3] {
///         let digit = |value| b"0123456789ABCDEF"[usize::from(value)];
///         [b'*', digit(digest >> 4), digit(digest & 15)]
///     }
/// }
///
/// let digest = Nmea.update(Nmea.begin(b""), b"GPGLL,5300.97914,N,00259.98174,E,125926,A");
/// assert_eq!(Nmea.trailer(digest), *b"*28");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Xor8;

/// The sum of the bytes and the sum of these sums, both modulo 256: the 8-bit Fletcher checksum of
/// u-blox (UBX), which leaves out the first two bytes of the header: see
/// [`SkipHeader`](crate::check::SkipHeader).
///
/// ```
/// use unstick::check::{Check, Fletcher8};
///
/// assert_eq!(Fletcher8.trailer(Fletcher8.update(Fletcher8.begin(b"1234"), b"56789")), [0xDD, 0x15]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fletcher8;

/// Fletcher-16: the same sums modulo 255, as a 16-bit number, most significant byte first. The sum of
/// sums is its upper byte.
///
/// ```
/// use unstick::check::{Check, Fletcher16};
///
/// assert_eq!(Fletcher16.trailer(Fletcher16.update(Fletcher16.begin(b"1234"), b"56789")), [0x1E, 0xDE]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fletcher16;

impl Check for Sum8 {
    /// The sum.
    type Digest = u8;
    type Trailer = [u8; 1];

    #[inline]
    fn begin(&self, header: &[u8]) -> u8 {
        self.update(0, header)
    }

    #[inline]
    fn update(&self, digest: u8, run: &[u8]) -> u8 {
        run.iter().fold(digest, |sum, &byte| sum.wrapping_add(byte))
    }

    #[inline]
    fn trailer(&self, digest: u8) -> [u8; 1] {
        [digest]
    }
}

impl Check for Lrc8 {
    /// The sum.
    type Digest = u8;
    type Trailer = [u8; 1];

    #[inline]
    fn begin(&self, header: &[u8]) -> u8 {
        Sum8.begin(header)
    }

    #[inline]
    fn update(&self, digest: u8, run: &[u8]) -> u8 {
        Sum8.update(digest, run)
    }

    #[inline]
    fn trailer(&self, digest: u8) -> [u8; 1] {
        [digest.wrapping_neg()]
    }
}

impl Check for Xor8 {
    /// The bytes, combined.
    type Digest = u8;
    type Trailer = [u8; 1];

    #[inline]
    fn begin(&self, header: &[u8]) -> u8 {
        self.update(0, header)
    }

    #[inline]
    fn update(&self, digest: u8, run: &[u8]) -> u8 {
        run.iter().fold(digest, |sum, &byte| sum ^ byte)
    }

    #[inline]
    fn trailer(&self, digest: u8) -> [u8; 1] {
        [digest]
    }
}

/// The number of columns that are summed side by side.
const COLUMNS: usize = 16;
/// How often the last byte of each column is in the sum of sums.
const WEIGHTS: [u32; COLUMNS] = [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
/// How many bytes can be added at once so that no column overflows: 255 · 22 · 21 / 2 is less than
/// 2¹⁶.
const EXACT: usize = 22 * COLUMNS;

/// Adds a run to the sum and to the sum of sums: modulo 2³² if the run has at most [`EXACT`] bytes,
/// else modulo 2¹⁶.
///
/// A row of 16 bytes takes two additions in each column, which are independent of each other.
#[inline]
fn add_run([mut sum, mut sums]: [u32; 2], mut run: &[u8]) -> [u32; 2] {
    // Registers of smaller targets hold no columns, and one row is not worth adding columns up.
    if cfg!(target_pointer_width = "64") && run.len() >= 2 * COLUMNS {
        let (mut columns, mut above, mut earlier) = ([0_u16; COLUMNS], [0_u16; COLUMNS], 0_u32);
        while let Some((row, rest)) = run.split_first_chunk::<COLUMNS>() {
            for ((column, above), &byte) in columns.iter_mut().zip(&mut above).zip(row) {
                *above = above.wrapping_add(*column);
                *column = column.wrapping_add(u16::from(byte));
            }
            earlier = earlier.wrapping_add(sum);
            run = rest;
        }
        for ((column, above), weight) in columns.into_iter().zip(above).zip(WEIGHTS) {
            let (column, above) = (u32::from(column), u32::from(above));
            sum = sum.wrapping_add(column);
            earlier = earlier.wrapping_add(above);
            sums = sums.wrapping_add(column.wrapping_mul(weight));
        }
        sums = sums.wrapping_add(earlier.wrapping_mul(16));
    }
    for &byte in run {
        sum = sum.wrapping_add(u32::from(byte));
        sums = sums.wrapping_add(sum);
    }
    [sum, sums]
}

impl Check for Fletcher8 {
    /// The sum and the sum of sums.
    type Digest = [u8; 2];
    type Trailer = [u8; 2];

    #[inline]
    fn begin(&self, header: &[u8]) -> [u8; 2] {
        self.update([0, 0], header)
    }

    #[inline]
    fn update(&self, digest: [u8; 2], run: &[u8]) -> [u8; 2] {
        add_run(digest.map(u32::from), run).map(|sum| {
            let [low, ..] = sum.to_le_bytes();
            low
        })
    }

    #[inline]
    fn trailer(&self, digest: [u8; 2]) -> [u8; 2] {
        digest
    }
}

impl Check for Fletcher16 {
    /// The sum and the sum of sums.
    type Digest = [u8; 2];
    type Trailer = [u8; 2];

    #[inline]
    fn begin(&self, header: &[u8]) -> [u8; 2] {
        self.update([0, 0], header)
    }

    fn update(&self, digest: [u8; 2], run: &[u8]) -> [u8; 2] {
        let (mut digest, mut run) = (digest, run);
        loop {
            let (part, rest) = run.split_at_checked(EXACT).unwrap_or((run, &[]));
            digest = add_run(digest.map(u32::from), part).map(|sum| {
                let [low, ..] = (sum % 255).to_le_bytes();
                low
            });
            if rest.is_empty() {
                return digest;
            }
            run = rest;
        }
    }

    #[inline]
    fn trailer(&self, [sum, sums]: [u8; 2]) -> [u8; 2] {
        [sums, sum]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the trailer, and checks that it is the same for a run in two parts, wherever it is cut.
    fn trailer<C: Check>(check: C, bytes: &[u8]) -> C::Trailer {
        let whole = check.update(check.begin(b""), bytes);
        for cut in 0..=bytes.len() {
            let (header, payload) = bytes.split_at(cut);
            assert_eq!(check.update(check.begin(header), payload), whole, "cut at {cut}");
            let digest = check.update(check.begin(b""), header);
            assert_eq!(check.update(digest, payload), whole, "cut at {cut}");
        }
        check.trailer(whole)
    }

    /// The sum and the sum of sums, a byte at a time.
    fn sums(bytes: &[u8], modulus: u64) -> [u64; 2] {
        bytes.iter().fold([0, 0], |[sum, sums], &byte| {
            let sum = (sum + u64::from(byte)) % modulus;
            [sum, (sums + sum) % modulus]
        })
    }

    #[test]
    fn known_values() {
        assert_eq!(trailer(Sum8, b"123456789"), [0xDD]);
        assert_eq!(trailer(Lrc8, b"123456789"), [0x23]);
        assert_eq!(trailer(Xor8, b"123456789"), [0x31]);
        assert_eq!(trailer(Fletcher16, b"abcde"), 0xC8F0_u16.to_be_bytes());
        assert_eq!(trailer(Fletcher16, b"abcdef"), 0x2057_u16.to_be_bytes());
        assert_eq!(trailer(Fletcher16, b"abcdefgh"), 0x0627_u16.to_be_bytes());
        // UBX-MON-VER, polled: class 0A, id 04, no payload.
        assert_eq!(trailer(Fletcher8, &[0x0A, 0x04, 0, 0]), [0x0E, 0x34]);
    }

    #[test]
    fn a_run_with_its_lrc_has_the_sum_zero() {
        let [lrc] = trailer(Lrc8, b"framing");
        assert_eq!(trailer(Sum8, &[b"framing", &[lrc][..]].concat()), [0]);
        assert_eq!(trailer(Lrc8, b""), [0]);
    }

    #[test]
    fn sums_equal_those_of_single_bytes() {
        let mixed: Vec<u8> = (0..2000_u32).flat_map(|i| (i * i * 77).to_le_bytes()).collect();
        for bytes in [mixed, vec![0xFF; 8000]] {
            for len in (0..100).chain([EXACT - 1, EXACT, EXACT + 1, 3 * EXACT + 17, 8000]) {
                let bytes = bytes.get(..len).unwrap_or_default();
                let low = |sum: u64| sum.to_le_bytes().first().copied();
                let digest = Fletcher8.begin(bytes);
                assert_eq!(digest.map(Some), sums(bytes, 256).map(low), "{len}");
                let digest = Fletcher16.begin(bytes);
                assert_eq!(digest.map(Some), sums(bytes, 255).map(low), "{len}");
            }
        }
    }

    #[test]
    fn cuts_do_not_matter_where_sums_are_reduced() {
        let bytes: Vec<u8> = (0..=255).rev().cycle().take(3 * EXACT + 5).collect();
        trailer(Fletcher16, &bytes);
        trailer(Fletcher8, &bytes);
    }
}
