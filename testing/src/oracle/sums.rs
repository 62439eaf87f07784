//! Checks, as plain functions over all bytes that they cover.

/// What stands after a payload, by a function of the header and the payload joined.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// The length of what it returns.
    pub len: usize,
    pub of: fn(&[u8]) -> Vec<u8>,
}

impl Sum {
    pub const NONE: Self = Self { len: 0, of: |_| Vec::new() };
    /// HDLC's FCS-16: the least significant byte first.
    pub const FCS16: Self = Self { len: 2, of: |bytes| X25.of(bytes).to_le_bytes()[..2].to_vec() };
    /// Version 2's check.
    pub const CRC32C: Self =
        Self { len: 4, of: |bytes| CASTAGNOLI.of(bytes).to_be_bytes()[4..].to_vec() };
    /// The sum of all bytes, and the sum of these sums, both modulo 256.
    pub const SUMS: Self = Self { len: 2, of: sums };
    /// One byte that undoes all others.
    pub const PARITY: Self =
        Self { len: 1, of: |bytes| vec![bytes.iter().fold(0, |all, byte| all ^ byte)] };
    /// Eleven bytes, more than an error can tell.
    pub const LONG: Self = Self { len: 11, of: long };
}

/// A cyclic redundancy check: the remainder of a division of polynomials, one bit at a time.
#[derive(Clone, Copy, Debug)]
pub struct Crc {
    pub width: u32,
    pub poly: u64,
    pub init: u64,
    /// Whether bits come least significant first, in and out.
    pub reflected: bool,
    pub xor_out: u64,
}

/// CRC-16/IBM-SDLC, of RFC 1662.
pub const X25: Crc =
    Crc { width: 16, poly: 0x1021, init: 0xFFFF, reflected: true, xor_out: 0xFFFF };
/// CRC-32/ISCSI.
pub const CASTAGNOLI: Crc =
    Crc { width: 32, poly: 0x1EDC_6F41, init: 0xFFFF_FFFF, reflected: true, xor_out: 0xFFFF_FFFF };

impl Crc {
    pub fn of(&self, bytes: &[u8]) -> u64 {
        let mut register: Vec<bool> = (0..self.width).map(|i| self.init >> i & 1 == 1).collect();
        for byte in bytes {
            for i in 0..8 {
                let bit = byte >> (if self.reflected { i } else { 7 - i }) & 1 == 1;
                let top = register.pop().unwrap();
                register.insert(0, false);
                if top != bit {
                    for (i, place) in register.iter_mut().enumerate() {
                        *place ^= self.poly >> i & 1 == 1;
                    }
                }
            }
        }
        if self.reflected {
            register.reverse();
        }
        let value = register.iter().rev().fold(0, |value, bit| value << 1 | u64::from(*bit));
        value ^ self.xor_out
    }
}

fn sums(bytes: &[u8]) -> Vec<u8> {
    let total = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let second: u64 = (1..=bytes.len()).map(|len| total(&bytes[..len])).sum();
    vec![(total(bytes) % 256) as u8, (second % 256) as u8]
}

/// For each place of a trailer of eleven bytes: the sum of the bytes that come to stand there, if they
/// are written in rows of eleven, and their number.
fn long(bytes: &[u8]) -> Vec<u8> {
    let column = |i: usize| bytes.iter().skip(i).step_by(11);
    let sum =
        |i: usize| column(i).map(|byte| u64::from(*byte)).sum::<u64>() + column(i).len() as u64;
    (0..11).map(|i| (sum(i) % 256) as u8).collect()
}

/// The first four bytes at most, as errors tell them.
pub fn told(check: &[u8]) -> u32 {
    check.iter().take(4).fold(0, |value, byte| value << 8 | u32::from(*byte))
}
