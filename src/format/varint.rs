//! A LEB128 varint as length (spec, Annex A).

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, Parsed};

/// The maximum length of a 64-bit varint in bytes, with seven bits per byte.
const MAX_LEN: usize = 10;

/// A length as an unsigned LEB128 varint: seven bits per byte, least significant first, as in
/// delimited protobuf messages.
///
/// Only the shortest encoding is accepted: a length in more bytes than it needs is refused.
///
/// Its meta is `()`.
///
/// ```
/// use unstick::{Framing, Varint};
///
/// let framing = Framing::new(Varint);
/// let mut wire = Vec::new();
/// framing.encode((), [7; 300], &mut wire)?;
/// assert_eq!(wire[..2], [0xAC, 0x02]); // 300
/// let frame = framing.split_frame(&mut &wire[..])?.ok_or("all of it is here")?;
/// assert_eq!(frame.payload, [7; 300]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Varint;

impl Format for Varint {
    type Meta = ();
    type HeaderBuf = [u8; MAX_LEN];

    #[inline]
    fn max_payload_len(&self) -> u64 {
        u64::MAX
    }

    #[inline]
    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        let mut payload_len = 0;
        for (i, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
            if i == MAX_LEN - 1 && byte > 1 {
                return Err(HeaderError::VarintOverflow { found: byte });
            }
            payload_len |= u64::from(byte & 0x7F) << (7 * i);
            if byte & 0x80 == 0 {
                if byte == 0 && i > 0 {
                    return Err(HeaderError::OverlongVarint);
                }
                return Ok(Parsed::Header(Header { meta: (), payload_len, header_len: i + 1 }));
            }
        }
        Ok(Parsed::Need(bytes.len() + 1))
    }

    #[inline]
    fn encode_header(
        &self,
        (): &(),
        mut len: u64,
        out: &mut [u8; MAX_LEN],
    ) -> Result<usize, EncodeError> {
        let mut used = 0;
        for byte in out {
            let [low, ..] = len.to_le_bytes();
            len >>= 7;
            used += 1;
            if len == 0 {
                *byte = low & 0x7F;
                break;
            }
            *byte = low | 0x80;
        }
        Ok(used)
    }
}
