//! Modbus TCP (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3).
//!
//! | | |
//! | --- | --- |
//! | header | transaction (2 bytes), protocol (2), length (2), unit (1) |
//! | the length covers | the unit and the payload, which is the PDU |
//! | max payload | 253 by the specification; the field allows 65,534 |
//! | meta | transaction and unit |
//! | refused | a protocol other than 0; a length of 0 |
//! | left to the caller | that a PDU has at least its function code |
//!
//! ```
//! use unstick_cookbook::modbus;
//!
//! // The guide's example: read one register, the fifth.
//! let mut stream = &b"\x15\x01\x00\x00\x00\x06\xff\x03\x00\x04\x00\x01"[..];
//! let request = modbus::framing().split_frame(&mut stream)?.expect("a whole request");
//! assert_eq!(request.meta, modbus::Meta { transaction: 0x1501, unit: 0xFF });
//! assert_eq!(request.payload, b"\x03\x00\x04\x00\x01");
//! # Ok::<(), unstick::DecodeError>(())
//! ```
//!
//! `examples/existing_format.rs` decodes the same request with a
//! [`LengthField`](unstick::LengthField), which accepts any protocol number.

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// Returns the format with the specification's limit: a PDU has at most 253 bytes.
#[must_use]
pub fn framing() -> Framing<Modbus> {
    Framing::new(Modbus).with_limit(253)
}

/// The MBAP header: [`Meta`], and a 16-bit length that also covers the unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modbus;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The client's number of the request; the response has the same.
    pub transaction: u16,
    /// The unit behind a gateway; 255 if there is no gateway.
    pub unit: u8,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transaction {}, unit {}", self.transaction, self.unit)
    }
}

impl Format for Modbus {
    type Meta = Meta;
    type HeaderBuf = [u8; 7];

    fn max_payload_len(&self) -> u64 {
        0xFFFF - 1
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let is_set = |at: usize| bytes.get(at).is_some_and(|byte| *byte != 0);
        if is_set(2) || is_set(3) {
            return Err(Refusal::ModbusProtocol.into());
        }
        let Some(&[t0, t1, _, _, l0, l1]) = bytes.first_chunk() else { return Ok(Parsed::Need(7)) };
        let Some(payload_len) = u16::from_be_bytes([l0, l1]).checked_sub(1) else {
            return Err(HeaderError::LengthTooShort { found: 0, min: 1 });
        };
        let Some(&unit) = bytes.get(6) else { return Ok(Parsed::Need(7)) };
        let meta = Meta { transaction: u16::from_be_bytes([t0, t1]), unit };
        Ok(Parsed::Header(Header { meta, payload_len: payload_len.into(), header_len: 7 }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 7],
    ) -> Result<usize, EncodeError> {
        let [_, _, l0, l1] = (fits(len, self.max_payload_len())? + 1).to_be_bytes();
        let [t0, t1] = meta.transaction.to_be_bytes();
        *out = [t0, t1, 0, 0, l0, l1, meta.unit];
        Ok(7)
    }
}
