//! Checks as a user of the crate writes them, a run at a time. The oracle computes the same over all
//! bytes, in [`Sum`](crate::oracle::sums::Sum).

use unstick::Check;

macro_rules! check {
    ($(#[$doc:meta])* $name:ident, $digest:ty = $first:expr, $len:literal,
        |$state:ident, $byte:ident| $update:expr, |$last:ident| $trailer:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl Check for $name {
            type Digest = $digest;
            type Trailer = [u8; $len];

            fn begin(&self, header: &[u8]) -> $digest {
                self.update($first, header)
            }

            fn update(&self, digest: $digest, run: &[u8]) -> $digest {
                run.iter().fold(digest, |$state, $byte| $update)
            }

            fn trailer(&self, $last: $digest) -> [u8; $len] {
                $trailer
            }
        }
    };
}

check! {
    /// One byte that undoes all others.
    Parity, u8 = 0, 1, |all, byte| all ^ byte, |all| [all]
}

check! {
    /// The sum of all bytes, and the sum of these sums.
    Sums, (u8, u8) = (0, 0), 2,
    |sums, byte| {
        let first = sums.0.wrapping_add(*byte);
        (first, sums.1.wrapping_add(first))
    },
    |sums| [sums.0, sums.1]
}

check! {
    /// Eleven sums in turn.
    Long, ([u8; 11], usize) = ([0; 11], 0), 11,
    |state, byte| {
        let (mut sums, at) = state;
        sums[at] = sums[at].wrapping_add(*byte).wrapping_add(1);
        (sums, (at + 1) % 11)
    },
    |state| state.0
}

check! {
    /// CRC-32C, most significant byte first.
    Castagnoli, u32 = !0, 4,
    |crc, byte| {
        let mut crc = crc ^ u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
        crc
    },
    |crc| (!crc).to_be_bytes()
}
