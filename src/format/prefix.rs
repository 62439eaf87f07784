//! Plain length prefixes: the header is the payload's length alone (spec, Annex A).

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, Parsed, copy};

/// Encodes and decodes an integer of `WIDTH` bytes, most significant byte first (`be`) or last
/// (`le`).
mod be {
    use super::copy;

    #[inline]
    pub(super) fn get<const WIDTH: usize>(bytes: [u8; WIDTH]) -> u64 {
        bytes.into_iter().fold(0, |value, byte| value << 8 | u64::from(byte))
    }

    /// `value` must fit into `WIDTH` bytes.
    #[inline]
    pub(super) fn put<const WIDTH: usize>(value: u64) -> [u8; WIDTH] {
        let mut bytes = [0; WIDTH];
        copy(&mut bytes, value.to_be_bytes().get(8 - WIDTH..).unwrap_or_default());
        bytes
    }
}

mod le {
    use super::copy;

    #[inline]
    pub(super) fn get<const WIDTH: usize>(bytes: [u8; WIDTH]) -> u64 {
        bytes.into_iter().rev().fold(0, |value, byte| value << 8 | u64::from(byte))
    }

    /// `value` must fit into `WIDTH` bytes.
    #[inline]
    pub(super) fn put<const WIDTH: usize>(value: u64) -> [u8; WIDTH] {
        let mut bytes = [0; WIDTH];
        copy(&mut bytes, &value.to_le_bytes());
        bytes
    }
}

/// Declares a prefix format: its name, width, byte order, maximum length, if it is signed the index of
/// the byte with the sign bit, and for its example the length 5.
macro_rules! prefix {
    ($(#[$doc:meta])* $name:ident, $width:literal, $order:ident, max: $max:expr $(, sign: $sign:literal)?, five: $five:literal) => {
        $(#[$doc])*
        ///
        /// Its meta is `()`: a frame has nothing but its payload.
        ///
        /// ```
        #[doc = concat!("use unstick::{Framing, ", stringify!($name), "};")]
        ///
        #[doc = concat!("let framing = Framing::new(", stringify!($name), ").with_limit(100); // bytes of payload")]
        /// let mut wire = Vec::new();
        /// framing.encode((), "hello", &mut wire)?;
        #[doc = concat!("assert_eq!(wire, b\"", $five, "hello\");")]
        /// let frame = framing.split_frame(&mut &wire[..])?.ok_or("all of it is here")?;
        /// assert_eq!((frame.meta, frame.payload), ((), &b"hello"[..]));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name;

        impl Format for $name {
            type Meta = ();
            type HeaderBuf = [u8; $width];

            #[inline]
            fn max_payload_len(&self) -> u64 {
                $max
            }

            #[inline]
            fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
                $(if let Some(&found) = bytes.get($sign).filter(|found| **found & 0x80 != 0) {
                    let mut all = [0xFF; $width];
                    copy(&mut all, bytes.get(..=$sign).unwrap_or_default());
                    let max = $order::get(all).wrapping_sub(1 << (8 * $width)) as i64;
                    return Err(HeaderError::NegativeLength { found, max });
                })?
                Ok(match self.whole_header(bytes) {
                    Some(header) => Parsed::Header(header),
                    None => Parsed::Need($width),
                })
            }

            #[inline(always)]
            fn whole_header(&self, bytes: &[u8]) -> Option<Header<()>> {
                let &bytes = bytes.first_chunk::<$width>()?;
                $(if bytes[$sign] & 0x80 != 0 {
                    return None;
                })?
                Some(Header { meta: (), payload_len: $order::get(bytes), header_len: $width })
            }

            #[inline]
            fn encode_header(&self, (): &(), len: u64, out: &mut [u8; $width]) -> Result<usize, EncodeError> {
                let limit = self.max_payload_len();
                if len > limit {
                    return Err(EncodeError::Oversize { len, limit });
                }
                *out = $order::put(len);
                Ok($width)
            }
        }
    };
}

prefix!(
    /// A length of one byte.
    U8, 1, be, max: 0xFF, five: r"\x05"
);
prefix!(
    /// A length of two bytes, most significant first.
    U16Be, 2, be, max: 0xFFFF, five: r"\0\x05"
);
prefix!(
    /// A length of two bytes, least significant first.
    U16Le, 2, le, max: 0xFFFF, five: r"\x05\0"
);
prefix!(
    /// A length of three bytes, most significant first.
    U24Be, 3, be, max: 0xFF_FFFF, five: r"\0\0\x05"
);
prefix!(
    /// A length of three bytes, least significant first.
    U24Le, 3, le, max: 0xFF_FFFF, five: r"\x05\0\0"
);
prefix!(
    /// A length of four bytes, most significant first: the usual choice.
    U32Be, 4, be, max: 0xFFFF_FFFF, five: r"\0\0\0\x05"
);
prefix!(
    /// A length of four bytes, least significant first.
    U32Le, 4, le, max: 0xFFFF_FFFF, five: r"\x05\0\0\0"
);
prefix!(
    /// A length of eight bytes, most significant first.
    U64Be, 8, be, max: u64::MAX, five: r"\0\0\0\0\0\0\0\x05"
);
prefix!(
    /// A length of eight bytes, least significant first.
    U64Le, 8, le, max: u64::MAX, five: r"\x05\0\0\0\0\0\0\0"
);
prefix!(
    /// A signed length of four bytes, most significant first, like Java's `writeInt` and Python's
    /// `struct.pack('>i', n)`. A negative length is refused at its first byte.
    I32Be, 4, be, max: 0x7FFF_FFFF, sign: 0, five: r"\0\0\0\x05"
);
prefix!(
    /// A signed length of four bytes, least significant first, like Python's
    /// `struct.pack('<i', n)`. A negative length is refused.
    I32Le, 4, le, max: 0x7FFF_FFFF, sign: 3, five: r"\x05\0\0\0"
);
