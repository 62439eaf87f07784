//! TPKT, which carries ISO transport over TCP: RDP, S7, H.323 and others (RFC 1006, section 6).
//!
//! | | |
//! | --- | --- |
//! | header | version (1 byte), reserved (1), length (2) |
//! | the length covers | the whole frame |
//! | max payload | 65,531 |
//! | meta | none |
//! | refused | a version other than 3; a length below 4 |
//! | left to the caller | that a TPDU has at least 3 bytes |
//!
//! The reserved byte is written as zero and ignored when read.
//!
//! ```
//! use unstick_cookbook::tpkt;
//!
//! // [MS-RDPBCGR], section 4.1.1: the first packet of an RDP client.
//! let mut stream = &b"\x03\x00\x00\x2c\x27\xe0\x00\x00\x00\x00\x00\
//!     Cookie: mstshash=eltons\r\n\x01\x00\x08\x00\x00\x00\x00\x00"[..];
//! let packet = tpkt::framing().split_frame(&mut stream)?.expect("a whole packet");
//! assert_eq!((packet.payload.len(), &packet.payload[..2]), (40, &b"\x27\xe0"[..]));
//! assert!(stream.is_empty());
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// The only version.
const VERSION: u8 = 3;
/// The length of a header in bytes, which the length field includes.
const HEADER_LEN: u8 = 4;

/// Returns the format with the maximum of the length field as the limit: 65,531 bytes.
#[must_use]
pub fn framing() -> Framing<Tpkt> {
    Framing::new(Tpkt)
}

/// A packet's header: a version, and a 16-bit length that includes the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tpkt;

impl Format for Tpkt {
    type Meta = ();
    type HeaderBuf = [u8; HEADER_LEN as usize];

    fn max_payload_len(&self) -> u64 {
        u64::from(u16::MAX) - u64::from(HEADER_LEN)
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        if bytes.first().is_some_and(|version| *version != VERSION) {
            return Err(Refusal::TpktVersion.into());
        }
        let Some(&[_, _, l0, l1]) = bytes.first_chunk() else { return Ok(Parsed::Need(4)) };
        let (found, min) = (u64::from(u16::from_be_bytes([l0, l1])), u64::from(HEADER_LEN));
        match found.checked_sub(min) {
            Some(payload_len) => {
                Ok(Parsed::Header(Header { meta: (), payload_len, header_len: 4 }))
            }
            None => Err(HeaderError::LengthTooShort { found, min }),
        }
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 4]) -> Result<usize, EncodeError> {
        let number = fits(len, self.max_payload_len())? + u32::from(HEADER_LEN);
        let [_, _, l0, l1] = number.to_be_bytes();
        *out = [VERSION, 0, l0, l1];
        Ok(4)
    }
}
