//! Cyclic redundancy checks of 8, 16 and 32 bits, described by the parameters of the Rocksoft model.

use crate::check::Check;

/// The number of tables of a CRC that was not given another one: 16 on targets with 64-bit pointers, 1
/// on all others, and none with the feature `small`.
///
/// A table has 256 entries of the CRC's width, in read-only memory: 256 bytes for [`Crc8`], 512 for
/// [`Crc16`], 1 KiB for [`Crc32`]. On a 64-bit processor 16 tables are several times faster than
/// one, for runs of 64 bytes as for long ones; on a microcontroller they need flash. `with_tables`
/// changes the number, and so does the last parameter of each type: `Crc32Iscsi<1>`.
pub const DEFAULT_TABLES: usize = if cfg!(all(feature = "small", not(feature = "std"))) {
    0
} else if cfg!(target_pointer_width = "64") {
    16
} else {
    1
};

/// CRC-8/SMBUS: the PEC byte of SMBus, ATM's HEC without its mask.
///
/// ```
/// use unstick::check::{Check, Crc8Smbus};
///
/// const CRC: Crc8Smbus = Crc8Smbus::new();
/// assert_eq!(CRC.trailer(CRC.update(CRC.begin(b""), b"123456789")), [0xF4]);
/// ```
pub type Crc8Smbus<const TABLES: usize = DEFAULT_TABLES> = Crc8<0x07, 0x00, false, 0x00, TABLES>;

/// CRC-16/IBM-3740, also known as CRC-16/CCITT-FALSE and CRC-16/AUTOSAR.
///
/// ```
/// use unstick::check::{Check, Crc16Ibm3740};
///
/// const CRC: Crc16Ibm3740 = Crc16Ibm3740::new();
/// assert_eq!(CRC.trailer(CRC.update(CRC.begin(b""), b"123456789")), [0x29, 0xB1]);
/// ```
#[doc(alias = "CCITT-FALSE")]
pub type Crc16Ibm3740<const TABLES: usize = DEFAULT_TABLES> =
    Crc16<0x1021, 0xFFFF, false, 0x0000, TABLES>;

/// CRC-16/IBM-SDLC, also known as CRC-16/X-25: the FCS-16 of HDLC and PPP.
///
/// ```
/// use unstick::check::{Check, Crc16X25};
///
/// const CRC: Crc16X25 = Crc16X25::new();
/// assert_eq!(CRC.trailer(CRC.update(CRC.begin(b""), b"123456789")), [0x6E, 0x90]);
/// ```
#[doc(alias = "IBM-SDLC")]
pub type Crc16X25<const TABLES: usize = DEFAULT_TABLES> =
    Crc16<0x1021, 0xFFFF, true, 0xFFFF, TABLES>;

/// CRC-16/MODBUS.
///
/// ```
/// use unstick::check::{Check, Crc16Modbus};
///
/// const CRC: Crc16Modbus = Crc16Modbus::new();
/// assert_eq!(CRC.trailer(CRC.update(CRC.begin(b""), b"123456789")), [0x37, 0x4B]);
/// ```
pub type Crc16Modbus<const TABLES: usize = DEFAULT_TABLES> =
    Crc16<0x8005, 0xFFFF, true, 0x0000, TABLES>;

/// CRC-16/MCRF4XX: what MAVLink calls X.25. MAVLink leaves out the first byte of the header and adds a
/// byte that depends on the message after the payload, so it needs a [`Check`] of its own over this
/// one, whose `trailer` calls `update` with that byte.
///
/// ```
/// use unstick::check::{Check, Crc16Mcrf4xx};
///
/// const CRC: Crc16Mcrf4xx = Crc16Mcrf4xx::new();
/// assert_eq!(CRC.trailer(CRC.update(CRC.begin(b""), b"123456789")), [0x91, 0x6F]);
/// ```
#[doc(alias = "MAVLink")]
pub type Crc16Mcrf4xx<const TABLES: usize = DEFAULT_TABLES> =
    Crc16<0x1021, 0xFFFF, true, 0x0000, TABLES>;

/// CRC-32/ISO-HDLC, known as CRC-32: Ethernet, PNG, zip, the FCS-32 of HDLC.
///
/// ```
/// use unstick::check::{Check, Crc32IsoHdlc};
///
/// const CRC: Crc32IsoHdlc = Crc32IsoHdlc::new();
/// assert_eq!(CRC.trailer(CRC.update(CRC.begin(b""), b"123456789")), [0x26, 0x39, 0xF4, 0xCB]);
/// ```
#[doc(alias = "ISO-HDLC")]
pub type Crc32IsoHdlc<const TABLES: usize = DEFAULT_TABLES> =
    Crc32<0x04C1_1DB7, 0xFFFF_FFFF, true, 0xFFFF_FFFF, TABLES>;

/// CRC-32/ISCSI, known as CRC-32C (Castagnoli).
///
/// ```
/// use unstick::check::{Check, Crc32Iscsi};
///
/// const CRC: Crc32Iscsi = Crc32Iscsi::new();
/// assert_eq!(CRC.trailer(CRC.update(CRC.begin(b""), b"123456789")), [0x83, 0x92, 0x06, 0xE3]);
/// ```
#[doc(alias = "CRC-32C")]
#[doc(alias = "Castagnoli")]
pub type Crc32Iscsi<const TABLES: usize = DEFAULT_TABLES> =
    Crc32<0x1EDC_6F41, 0xFFFF_FFFF, true, 0xFFFF_FFFF, TABLES>;

/// Defines the CRC of one width.
macro_rules! crc {
    ($(#[$doc:meta])* $name:ident, $word:ident, $len:literal) => {
        $(#[$doc])*
        ///
        /// The first four parameters are those of the
        /// [catalogue](https://reveng.sourceforge.io/crc-catalogue/all.htm), in its order: the
        /// polynomial, most significant bit first and without its highest term; the register's
        /// initial value; whether the bits of each byte and of the register are reflected
        /// (`refin` and `refout`, which are equal); what the register is combined with at the end.
        ///
        /// `TABLES` is the number of bytes that one step takes, and of the tables of 256 entries in
        /// read-only memory. With 0 there is no table, and a byte takes eight steps.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name<
            const POLY: $word,
            const INIT: $word,
            const REFLECTED: bool,
            const XOROUT: $word,
            const TABLES: usize = DEFAULT_TABLES,
        > {
            /// Whether the trailer begins with the most significant byte.
            big_endian: bool,
        }

        impl<const POLY: $word, const INIT: $word, const REFLECTED: bool, const XOROUT: $word>
            $name<POLY, INIT, REFLECTED, XOROUT>
        {
            /// Creates the CRC with [`DEFAULT_TABLES`]. Its trailer stands in the order in which the
            /// CRC takes bits: the least significant byte first if it is reflected, else the most
            /// significant one.
            #[must_use]
            pub const fn new() -> Self {
                Self { big_endian: !REFLECTED }
            }
        }

        impl<
            const POLY: $word,
            const INIT: $word,
            const REFLECTED: bool,
            const XOROUT: $word,
            const TABLES: usize,
        > Default for $name<POLY, INIT, REFLECTED, XOROUT, TABLES>
        {
            fn default() -> Self {
                Self { big_endian: !REFLECTED }
            }
        }

        impl<
            const POLY: $word,
            const INIT: $word,
            const REFLECTED: bool,
            const XOROUT: $word,
            const TABLES: usize,
        > $name<POLY, INIT, REFLECTED, XOROUT, TABLES>
        {
            /// Returns the same CRC with another number of tables, at most 16.
            #[must_use]
            pub const fn with_tables<const N: usize>(
                self,
            ) -> $name<POLY, INIT, REFLECTED, XOROUT, N> {
                $name { big_endian: self.big_endian }
            }

            /// The tables, once for each CRC.
            const BUILT: &'static [[$word; 256]; TABLES] = &Self::tables();

            /// Adds eight zero bits to the register.
            const fn shift(mut register: $word) -> $word {
                let mut bit = 0;
                while bit < 8 {
                    register = if REFLECTED {
                        (register >> 1) ^ if register & 1 == 1 { POLY.reverse_bits() } else { 0 }
                    } else {
                        let carry = register >> ($word::BITS - 1) == 1;
                        (register << 1) ^ if carry { POLY } else { 0 }
                    };
                    bit += 1;
                }
                register
            }

            /// Returns a register of zeros to which this byte was added, but not yet shifted.
            const fn place(byte: u8) -> $word {
                let register = byte as $word;
                if REFLECTED { register } else { register << ($word::BITS - 8) }
            }

            /// Builds the tables. Entry `b` of table `k` is the register after the byte `b` and `k`
            /// zero bytes.
            #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // run by the compiler only
            const fn tables() -> [[$word; 256]; TABLES] {
                assert!(TABLES <= 16, "a CRC has at most 16 tables");
                let mut tables = [[0; 256]; TABLES];
                let mut byte = 0;
                while byte < 256 {
                    let mut register = Self::place(byte as u8);
                    let mut table = 0;
                    while table < TABLES {
                        register = Self::shift(register);
                        tables[table][byte] = register;
                        table += 1;
                    }
                    byte += 1;
                }
                tables
            }

            /// Adds `N` bytes to the register, each with a table of its own; `N <= TABLES`.
            #[inline(always)]
            fn step<const N: usize>(register: $word, block: &[u8; N]) -> $word {
                let next = if REFLECTED { register.to_le_bytes() } else { register.to_be_bytes() };
                let mut result = register;
                for _ in 0..N {
                    result = if REFLECTED {
                        result.checked_shr(8).unwrap_or(0)
                    } else {
                        result.checked_shl(8).unwrap_or(0)
                    };
                }
                // From the end: only the first bytes have to wait for the register.
                for (i, &byte) in block.iter().enumerate().rev() {
                    let entry = usize::from(byte ^ next.get(i).copied().unwrap_or(0));
                    let table = Self::BUILT.get(N - 1 - i);
                    result ^= table.and_then(|table| table.get(entry)).copied().unwrap_or(0);
                }
                result
            }
        }

        impl<
            const POLY: $word,
            const INIT: $word,
            const REFLECTED: bool,
            const XOROUT: $word,
            const TABLES: usize,
        > Check for $name<POLY, INIT, REFLECTED, XOROUT, TABLES>
        {
            /// The register.
            type Digest = $word;
            type Trailer = [u8; $len];

            fn begin(&self, header: &[u8]) -> $word {
                self.update(if REFLECTED { INIT.reverse_bits() } else { INIT }, header)
            }

            fn update(&self, digest: $word, run: &[u8]) -> $word {
                let (mut register, mut run) = (digest, run);
                if TABLES > 1 {
                    while let Some((block, rest)) = run.split_first_chunk::<TABLES>() {
                        register = Self::step(register, block);
                        run = rest;
                    }
                }
                if TABLES > 8 {
                    while let Some((block, rest)) = run.split_first_chunk::<8>() {
                        register = Self::step(register, block);
                        run = rest;
                    }
                }
                if TABLES > 4 {
                    while let Some((block, rest)) = run.split_first_chunk::<4>() {
                        register = Self::step(register, block);
                        run = rest;
                    }
                }
                for &byte in run {
                    register = if TABLES > 0 {
                        Self::step(register, &[byte])
                    } else {
                        Self::shift(register ^ Self::place(byte))
                    };
                }
                register
            }

            #[inline]
            fn trailer(&self, digest: $word) -> [u8; $len] {
                let value = digest ^ XOROUT;
                if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
            }
        }
    };
}

/// Defines the order of a trailer that has one.
macro_rules! order {
    ($name:ident, $word:ident) => {
        impl<
            const POLY: $word,
            const INIT: $word,
            const REFLECTED: bool,
            const XOROUT: $word,
            const TABLES: usize,
        > $name<POLY, INIT, REFLECTED, XOROUT, TABLES>
        {
            /// Returns the same CRC with the most significant byte first in the trailer.
            #[must_use]
            pub const fn big_endian(self) -> Self {
                Self { big_endian: true }
            }

            /// Returns the same CRC with the least significant byte first in the trailer.
            #[must_use]
            pub const fn little_endian(self) -> Self {
                Self { big_endian: false }
            }
        }
    };
}

crc! {
    /// A CRC of 8 bits. A table has 256 bytes.
    ///
    /// ```
    /// use unstick::check::{Check, Crc8};
    ///
    /// type OneWire = Crc8<0x31, 0x00, true, 0x00>;
    ///
    /// let check = OneWire::new();
    /// assert_eq!(check.trailer(check.update(check.begin(b""), b"123456789")), [0xA1]);
    /// ```
    Crc8, u8, 1
}
crc! {
    /// A CRC of 16 bits. A table has 512 bytes.
    ///
    /// ```
    /// use unstick::check::{Check, Crc16};
    ///
    /// type Kermit = Crc16<0x1021, 0x0000, true, 0x0000>;
    ///
    /// let check = Kermit::new().with_tables::<1>();
    /// let digest = check.update(check.begin(b""), b"123456789");
    /// assert_eq!(check.trailer(digest), 0x2189_u16.to_le_bytes());
    /// assert_eq!(check.big_endian().trailer(digest), 0x2189_u16.to_be_bytes());
    /// ```
    Crc16, u16, 2
}
crc! {
    /// A CRC of 32 bits. A table has 1 KiB, the default of a 64-bit target 16 KiB.
    ///
    /// ```
    /// use unstick::check::{Check, Crc32};
    ///
    /// type Cksum = Crc32<0x04C1_1DB7, 0x0000_0000, false, 0xFFFF_FFFF>;
    ///
    /// let check = Cksum::new();
    /// let digest = check.update(check.begin(b""), b"123456789");
    /// assert_eq!(check.trailer(digest), 0x765E_7680_u32.to_be_bytes());
    /// ```
    Crc32, u32, 4
}
order!(Crc16, u16);
order!(Crc32, u32);

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    /// Returns the trailer of a CRC with the most significant byte first, as a number.
    fn number<C: Check>(check: C, bytes: &[u8]) -> u64 {
        let trailer = check.trailer(check.begin(bytes));
        trailer.as_ref().iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    /// Checks that the digest is the same for a run in two parts, wherever it is cut.
    fn assert_cuts<C: Check>(check: C, bytes: &[u8]) {
        let whole = check.begin(bytes);
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(check.update(check.begin(first), second), whole, "cut at {cut}");
            let digest = check.update(check.begin(b""), first);
            assert_eq!(check.update(digest, second), whole, "cut at {cut}");
        }
    }

    /// A CRC of the catalogue by its definition: on single bits, in a register of 64 bits, with
    /// reflections written out.
    struct Definition {
        width: u32,
        poly: u64,
        init: u64,
        reflected: bool,
        xorout: u64,
    }

    impl Definition {
        fn value(&self, bytes: &[u8]) -> u64 {
            let mut register = self.init;
            for &byte in bytes {
                let byte = if self.reflected { byte.reverse_bits() } else { byte };
                for bit in (0..8).rev() {
                    let carry = (register >> (self.width - 1)) ^ u64::from(byte >> bit & 1);
                    register = (register << 1) ^ if carry & 1 == 1 { self.poly } else { 0 };
                    register &= (1 << self.width) - 1;
                }
            }
            if self.reflected {
                register = register.reverse_bits() >> (64 - self.width);
            }
            register ^ self.xorout
        }
    }

    /// A random number that the compiler knows.
    const fn random(seed: u64) -> u64 {
        let mut number = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }

    fn random_bytes(len: usize) -> Vec<u8> {
        (0..).flat_map(|seed| random(seed).to_le_bytes()).take(len).collect()
    }

    /// Returns the CRC of `123456789`, which must be the same with any number of tables.
    macro_rules! check_value {
        ($name:ident) => {{
            let value = number($name::<0> { big_endian: true }, b"123456789");
            assert_eq!(number($name::<1> { big_endian: true }, b"123456789"), value);
            assert_eq!(number($name::<4> { big_endian: true }, b"123456789"), value);
            assert_eq!(number($name::<8> { big_endian: true }, b"123456789"), value);
            value
        }};
    }

    #[test]
    fn check_values_of_the_catalogue() {
        assert_eq!(check_value!(Crc8Smbus), 0xF4);
        assert_eq!(check_value!(Crc16Ibm3740), 0x29B1);
        assert_eq!(check_value!(Crc16X25), 0x906E);
        assert_eq!(check_value!(Crc16Modbus), 0x4B37);
        assert_eq!(check_value!(Crc16Mcrf4xx), 0x6F91);
        assert_eq!(check_value!(Crc32IsoHdlc), 0xCBF4_3926);
        assert_eq!(check_value!(Crc32Iscsi), 0xE306_9283);
    }

    #[test]
    fn the_initial_value_is_reflected_as_in_the_catalogue() {
        // CRC-16/ISO-IEC-14443-3-A
        type Crc16NfcA<const TABLES: usize> = Crc16<0x1021, 0xC6C6, true, 0x0000, TABLES>;
        assert_eq!(check_value!(Crc16NfcA), 0xBF05);
    }

    /// Compares CRCs with random parameters with their definitions.
    macro_rules! equal_their_definitions {
        ($d:tt $name:ident, $word:ident, $($seed:literal)*) => {$({
            const POLY: $word = random(4 * $seed) as $word;
            const INIT: $word = random(4 * $seed + 1) as $word;
            const XOROUT: $word = random(4 * $seed + 2) as $word;
            const REFLECTED: bool = $seed % 2 == 1;
            type Crc<const TABLES: usize> = $name<POLY, INIT, REFLECTED, XOROUT, TABLES>;
            let definition = Definition {
                width: $word::BITS,
                poly: POLY.into(),
                init: INIT.into(),
                reflected: REFLECTED,
                xorout: XOROUT.into(),
            };
            let bytes = random_bytes(100);
            macro_rules! assert_tables {
                ($d($d tables:literal)*) => {$d(
                    let check = Crc::<$d tables> { big_endian: true };
                    for len in 0..=100 {
                        let run = &bytes[..len];
                        assert_eq!(number(check, run), definition.value(run), "{len} bytes");
                    }
                    for len in [0, 1, 15, 16, 17, 50] {
                        assert_cuts(check, &bytes[..len]);
                    }
                )*};
            }
            assert_tables!(0 1 2 3 4 8 16);
        })*};
    }

    #[test]
    fn crcs_of_8_bits_equal_their_definitions() {
        equal_their_definitions!($ Crc8, u8, 0 1 2 3 4 5);
    }

    #[test]
    fn crcs_of_16_bits_equal_their_definitions() {
        equal_their_definitions!($ Crc16, u16, 6 7 8 9 10 11);
    }

    #[test]
    fn crcs_of_32_bits_equal_their_definitions() {
        equal_their_definitions!($ Crc32, u32, 12 13 14 15 16 17);
    }

    #[test]
    fn the_trailer_stands_in_the_order_of_bits_unless_another_is_chosen() {
        fn trailer<C: Check>(check: C) -> C::Trailer {
            check.trailer(check.begin(b"123456789"))
        }
        assert_eq!(trailer(Crc16X25::new()), [0x6E, 0x90]);
        assert_eq!(trailer(<Crc16X25>::default()), [0x6E, 0x90]);
        assert_eq!(trailer(Crc16X25::new().big_endian()), [0x90, 0x6E]);
        assert_eq!(trailer(Crc16X25::new().big_endian().with_tables::<1>()), [0x90, 0x6E]);
        assert_eq!(trailer(Crc16Ibm3740::new()), [0x29, 0xB1]);
        assert_eq!(trailer(<Crc16Ibm3740>::default()), [0x29, 0xB1]);
        assert_eq!(trailer(Crc16Ibm3740::new().little_endian()), [0xB1, 0x29]);
        assert_eq!(trailer(Crc32Iscsi::new()), [0x83, 0x92, 0x06, 0xE3]);
        assert_eq!(trailer(Crc32Iscsi::new().big_endian()), [0xE3, 0x06, 0x92, 0x83]);
    }

    #[test]
    fn a_payload_and_its_trailer_leave_the_same_register_for_every_payload() {
        let check = Crc16X25::new();
        for len in 0..20 {
            let payload = random_bytes(len);
            let digest = check.begin(&payload);
            // The FCS-16 of RFC 1662: its good value, before the last complement.
            assert_eq!(check.update(digest, &check.trailer(digest)), 0xF0B8);
        }
    }
}
