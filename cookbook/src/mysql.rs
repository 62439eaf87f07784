//! Packets of MySQL and MariaDB (MySQL's source documentation, "MySQL Packets").
//!
//! | | |
//! | --- | --- |
//! | header | length (3 bytes, least significant first), sequence number (1) |
//! | the length covers | the payload |
//! | max payload | 2^24 − 1 |
//! | meta | the sequence number |
//! | refused | nothing |
//! | left to the caller | the order of the sequence numbers; payloads that span packets |
//!
//! A payload goes on in the next packet, which may be empty, if its packet has 2^24 − 1 bytes: see
//! [`is_continued`]. With TLS or compression, these packets are inside the records of that layer.
//!
//! ```
//! use unstick_cookbook::mysql;
//!
//! // From MySQL's documentation: COM_QUIT.
//! let mut stream = &b"\x01\x00\x00\x00\x01"[..];
//! let packet = mysql::framing().split_frame(&mut stream)?.expect("a whole packet");
//! assert_eq!((packet.meta, packet.payload), (mysql::Meta { sequence: 0 }, &b"\x01"[..]));
//! assert!(!mysql::is_continued(packet.payload.len() as u64));
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::fits;

/// The maximum payload length of a packet, in bytes. A payload of this length goes on in the next
/// packet.
const MAX_PAYLOAD_LEN: u64 = 0xFF_FFFF;

/// Returns the format with the maximum of a packet as the limit. For payloads that span packets,
/// the caller applies its own limit; a server's is `max_allowed_packet`.
#[must_use]
pub fn framing() -> Framing<MySql> {
    Framing::new(MySql).with_limit(MAX_PAYLOAD_LEN)
}

/// Returns whether the payload goes on in the next packet, given the length of this packet's
/// payload.
#[must_use]
pub const fn is_continued(payload_len: u64) -> bool {
    payload_len == MAX_PAYLOAD_LEN
}

/// A packet's header: a 24-bit length and [`Meta`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MySql;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The packet's number within a command and its response; 0 follows 255.
    pub sequence: u8,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {}", self.sequence)
    }
}

impl Format for MySql {
    type Meta = Meta;
    type HeaderBuf = [u8; 4];

    fn max_payload_len(&self) -> u64 {
        MAX_PAYLOAD_LEN
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some(&[l0, l1, l2, sequence]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(4));
        };
        let payload_len = u32::from_le_bytes([l0, l1, l2, 0]).into();
        Ok(Parsed::Header(Header { meta: Meta { sequence }, payload_len, header_len: 4 }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 4],
    ) -> Result<usize, EncodeError> {
        let [l0, l1, l2, _] = fits(len, MAX_PAYLOAD_LEN)?.to_le_bytes();
        *out = [l0, l1, l2, meta.sequence];
        Ok(4)
    }
}
