//! Plain length prefixes: the header is the payload's length and nothing else (spec, Annex A).

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, Parsed, copy};

/// An integer of `WIDTH` bytes as `u64`, from its most significant byte on.
#[inline]
fn from_be<const WIDTH: usize>(bytes: [u8; WIDTH]) -> u64 {
    bytes.into_iter().fold(0, |value, byte| value << 8 | u64::from(byte))
}

/// The `WIDTH` low bytes of `value`, most significant first; `value` must fit.
#[inline]
fn to_be<const WIDTH: usize>(value: u64) -> [u8; WIDTH] {
    let mut bytes = [0; WIDTH];
    let all = value.to_be_bytes();
    copy(&mut bytes, all.get(8 - WIDTH..).unwrap_or_default());
    bytes
}

#[inline]
fn reverse<const WIDTH: usize>(mut bytes: [u8; WIDTH]) -> [u8; WIDTH] {
    bytes.reverse();
    bytes
}

#[inline]
fn same<const WIDTH: usize>(bytes: [u8; WIDTH]) -> [u8; WIDTH] {
    bytes
}

/// Declares a prefix format: its name, width, byte order, largest length, and, if it is signed,
/// which byte holds the sign bit.
macro_rules! prefix {
    ($(#[$doc:meta])* $name:ident, $width:literal, $order:ident, max: $max:expr $(, sign: $sign:literal)?) => {
        $(#[$doc])*
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
                $(if let Some(&found) = bytes.get($sign) && found & 0x80 != 0 {
                    return Err(HeaderError::NegativeLength { found });
                })?
                match bytes.first_chunk::<$width>() {
                    Some(&bytes) => Ok(Parsed::Header(Header {
                        meta: (),
                        payload_len: from_be($order(bytes)),
                        header_len: $width,
                    })),
                    None => Ok(Parsed::Need($width)),
                }
            }

            #[inline]
            fn encode_header(&self, (): &(), len: u64, out: &mut [u8; $width]) -> Result<usize, EncodeError> {
                let limit = self.max_payload_len();
                if len > limit {
                    return Err(EncodeError::Oversize { len, limit });
                }
                *out = $order(to_be(len));
                Ok($width)
            }
        }
    };
}

prefix!(
    /// One byte of length.
    U8, 1, same, max: 0xFF
);
prefix!(
    /// Two bytes of length, most significant first.
    U16Be, 2, same, max: 0xFFFF
);
prefix!(
    /// Two bytes of length, least significant first.
    U16Le, 2, reverse, max: 0xFFFF
);
prefix!(
    /// Three bytes of length, most significant first.
    U24Be, 3, same, max: 0xFF_FFFF
);
prefix!(
    /// Three bytes of length, least significant first.
    U24Le, 3, reverse, max: 0xFF_FFFF
);
prefix!(
    /// Four bytes of length, most significant first: the usual choice.
    U32Be, 4, same, max: 0xFFFF_FFFF
);
prefix!(
    /// Four bytes of length, least significant first.
    U32Le, 4, reverse, max: 0xFFFF_FFFF
);
prefix!(
    /// Eight bytes of length, most significant first.
    U64Be, 8, same, max: u64::MAX
);
prefix!(
    /// Eight bytes of length, least significant first.
    U64Le, 8, reverse, max: u64::MAX
);
prefix!(
    /// Four bytes of signed length, most significant first: Java's `writeInt`, Python's
    /// `struct.pack('>i', n)`. A negative length is refused at its first byte.
    I32Be, 4, same, max: 0x7FFF_FFFF, sign: 0
);
prefix!(
    /// Four bytes of signed length, least significant first: what Python's
    /// `struct.pack('<i', n)` writes. A negative length is refused.
    I32Le, 4, reverse, max: 0x7FFF_FFFF, sign: 3
);
