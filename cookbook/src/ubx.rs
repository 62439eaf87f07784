//! UBX, the binary protocol of u-blox receivers ("u-blox 8 / u-blox M8 Receiver description including
//! protocol specification", sections 32.2 "UBX Frame Structure" and 32.4 "UBX Checksum").
//!
//! | | |
//! | --- | --- |
//! | header | `B5 62`, class (1 byte), identifier (1), length (2, little-endian) |
//! | the length covers | the payload |
//! | check | two bytes of Fletcher's sum over class, identifier, length and payload |
//! | max payload | 65,535 |
//! | meta | class and identifier |
//! | refused | another beginning than `B5 62`; a sum that differs |
//! | left to the caller | sentences of NMEA and messages of RTCM between the frames |
//!
//! A receiver's port may carry NMEA and RTCM too; a search continues with the next frame of UBX. It is
//! best to turn the other protocols off, or to read their bytes with decoders of their own. No frame of
//! today's receivers is as long as the field allows. A damaged length makes a receiver wait for that
//! many bytes, so set a limit: 8 KiB are enough for most.
//!
//! ```
//! use unstick_cookbook::ubx::{self, Meta};
//!
//! // A poll of UBX-CFG-PRT, and a UBX-ACK-ACK.
//! let mut stream = &b"\xb5\x62\x06\x00\x00\x00\x06\x18\xb5\x62\x05\x01\x02\x00\x06\x01\x0f\x38"[..];
//! let poll = ubx::framing().split_frame(&mut stream)?.expect("a whole frame");
//! assert_eq!((poll.meta, poll.payload), (Meta { class: 6, id: 0 }, &b""[..]));
//! let ack = ubx::framing().split_frame(&mut stream)?.expect("a whole frame");
//! assert_eq!((ack.meta, ack.payload), (Meta { class: 5, id: 1 }, &b"\x06\x01"[..]));
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::check::{Fletcher8, SkipHeader};
use unstick::{Checked, EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// Frames of UBX: the header, the payload, and a sum.
pub type Ubx = Checked<UbxHeader, SkipHeader<Fletcher8>>;

/// Returns the format with the limit of the length field: 65,535.
#[must_use]
pub const fn framing() -> Framing<Ubx> {
    Framing::new(Checked::new(UbxHeader, SkipHeader::new(Fletcher8, SYNC.len())))
}

/// The header of UBX: two constant bytes, [`Meta`], and a 16-bit length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UbxHeader;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The class of the message.
    pub class: u8,
    /// The identifier of the message within its class.
    pub id: u8,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "class 0x{:02x}, id 0x{:02x}", self.class, self.id)
    }
}

const SYNC: [u8; 2] = [0xB5, 0x62];

impl Format for UbxHeader {
    type Meta = Meta;
    type HeaderBuf = [u8; 6];

    fn max_payload_len(&self) -> u64 {
        0xFFFF
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        if bytes.iter().zip(&SYNC).any(|(found, expected)| found != expected) {
            return Err(Refusal::UbxSync.into());
        }
        let Some(&[_, _, class, id, l0, l1]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(6));
        };
        let payload_len = u16::from_le_bytes([l0, l1]).into();
        Ok(Parsed::Header(Header { meta: Meta { class, id }, payload_len, header_len: 6 }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 6],
    ) -> Result<usize, EncodeError> {
        let [l0, l1, ..] = fits(len, self.max_payload_len())?.to_le_bytes();
        let [s0, s1] = SYNC;
        *out = [s0, s1, meta.class, meta.id, l0, l1];
        Ok(6)
    }
}
