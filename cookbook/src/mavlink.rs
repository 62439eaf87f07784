//! MAVLink 1 and 2 (mavlink.io, "Packet Serialization").
//!
//! | | |
//! | --- | --- |
//! | header | version 1: `FE`, length (1 byte), sequence (1), system (1), component (1), message (1); version 2: `FD`, length (1), incompatibility flags (1), compatibility flags (1), sequence (1), system (1), component (1), message (3, little-endian) |
//! | the length covers | the payload |
//! | check | CRC-16/MCRF4XX over the header without its first byte, the payload, and the message's `CRC_EXTRA`; least significant byte first |
//! | max payload | 255 |
//! | meta | version, compatibility flags, sequence, system, component, message |
//! | refused | another first byte; incompatibility flags, among them that of a signed frame; a check that differs |
//! | left to the caller | gaps in the sequence; the zeros that version 2 cuts off |
//!
//! Both versions may stand in one stream. The payload is as it was sent: a sender of version 2 cuts off
//! the zeros at a payload's end, except the first byte. The receiver appends them, up to the length of
//! the message; a sender of version 2 has to cut them off itself.
//!
//! # CRC_EXTRA
//! The check covers a byte that is not sent, `CRC_EXTRA`, which depends on the fields of the message in
//! its dialect. [`framing`] takes a [`CrcExtra`]: a function, a table, or [`Common`], which has some of
//! the messages of the dialect `common`. Code that is generated from a dialect has the rest.
//!
//! A message without a `CRC_EXTRA` cannot be checked, so it fails its check (one in 65,536 passes by
//! chance), and it cannot be sent. A receiver continues after such a frame by skipping it. Ask
//! [`CrcExtra::crc_extra`] to tell an unknown message from a damaged one.
//!
//! # Signed frames
//! A signed frame of version 2 has 13 more bytes after its check, and a receiver without the key cannot
//! say that it is valid. It is refused with [`Refusal::MavLinkSigned`].
//!
//! ```
//! use unstick_cookbook::mavlink::{self, Common, Version};
//!
//! // A heartbeat of version 1.
//! let mut stream = &b"\xfe\x09\x4e\x01\x01\x00\0\0\0\0\x02\x03\x51\x04\x03\x1c\x7f"[..];
//! let frame = mavlink::framing(Common).split_frame(&mut stream)?.expect("a whole frame");
//! assert_eq!((frame.meta.version, frame.meta.message), (Version::V1, 0));
//! assert_eq!(frame.payload, b"\0\0\0\0\x02\x03\x51\x04\x03");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::check::Crc16Mcrf4xx;
use unstick::{Check, Checked, EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// Frames of MAVLink 1 and 2: the header, the payload, and a CRC.
pub type MavLink<E = Common> = Checked<MavLinkHeader<E>, MavLinkCrc<E>>;

/// Returns the format of a dialect.
#[must_use]
pub const fn framing<E: CrcExtra + Copy>(extra: E) -> Framing<MavLink<E>> {
    let crc = MavLinkCrc { extra, crc: Crc16Mcrf4xx::new() };
    Framing::new(Checked::new(MavLinkHeader { extra }, crc))
}

/// Returns the format with the messages of [`Common`].
#[must_use]
pub const fn common_framing() -> Framing<MavLink> {
    framing(Common)
}

/// A dialect's values of `CRC_EXTRA`.
///
/// A function or closure `Fn(u32) -> Option<u8>` is one, and a table: `&[(u32, u8)]`, sorted by the
/// message.
pub trait CrcExtra {
    /// Returns the `CRC_EXTRA` of this message, or `None` if the dialect does not have the message.
    fn crc_extra(&self, message: u32) -> Option<u8>;
}

impl<F: Fn(u32) -> Option<u8>> CrcExtra for F {
    fn crc_extra(&self, message: u32) -> Option<u8> {
        self(message)
    }
}

impl CrcExtra for &[(u32, u8)] {
    fn crc_extra(&self, message: u32) -> Option<u8> {
        let at = self.binary_search_by_key(&message, |(message, _)| *message).ok()?;
        self.get(at).map(|(_, extra)| *extra)
    }
}

/// Some messages of the dialect `common`: HEARTBEAT, SYS_STATUS, SYSTEM_TIME, PING, PARAM_VALUE,
/// GPS_RAW_INT, ATTITUDE, GLOBAL_POSITION_INT, COMMAND_LONG, COMMAND_ACK and STATUSTEXT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Common;

impl CrcExtra for Common {
    fn crc_extra(&self, message: u32) -> Option<u8> {
        Some(match message {
            0 => 50,   // HEARTBEAT
            1 => 124,  // SYS_STATUS
            2 => 137,  // SYSTEM_TIME
            4 => 237,  // PING
            22 => 220, // PARAM_VALUE
            24 => 24,  // GPS_RAW_INT
            30 => 39,  // ATTITUDE
            33 => 104, // GLOBAL_POSITION_INT
            76 => 152, // COMMAND_LONG
            77 => 143, // COMMAND_ACK
            253 => 83, // STATUSTEXT
            _ => return None,
        })
    }
}

/// The header of both versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MavLinkHeader<E = Common> {
    extra: E,
}

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The version of the frame.
    pub version: Version,
    /// The compatibility flags, which a receiver may ignore. Zero in version 1.
    pub compatibility: u8,
    /// The number of the frame: one more than that of the frame before, modulo 256.
    pub sequence: u8,
    /// The system that sends.
    pub system: u8,
    /// The component that sends.
    pub component: u8,
    /// The message: up to 255 in version 1, up to 2^24 − 1 in version 2.
    pub message: u32,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, sequence, system, component, message, .. } = self;
        let version = *version as u8;
        write!(f, "message {message}, version {version}, sequence {sequence}, ")?;
        write!(f, "system {system}, component {component}")
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// MAVLink 1.
    V1 = 1,
    /// MAVLink 2.
    V2 = 2,
}

const MAGIC_V1: u8 = 0xFE;
const MAGIC_V2: u8 = 0xFD;
/// The incompatibility flag of signed frames.
const SIGNED: u8 = 0x01;

impl<E: CrcExtra> Format for MavLinkHeader<E> {
    type Meta = Meta;
    type HeaderBuf = [u8; 10];

    fn max_payload_len(&self) -> u64 {
        255
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let (len, meta, header_len) = match (bytes.first(), bytes.get(2)) {
            (None, _) => return Ok(Parsed::Need(6)),
            (Some(&MAGIC_V1), _) => {
                let Some(&[_, len, sequence, system, component, message]) = bytes.first_chunk()
                else {
                    return Ok(Parsed::Need(6));
                };
                let (version, message) = (Version::V1, message.into());
                (len, Meta { version, compatibility: 0, sequence, system, component, message }, 6)
            }
            (Some(&MAGIC_V2), Some(flags)) if flags & SIGNED != 0 => {
                return Err(Refusal::MavLinkSigned.into());
            }
            (Some(&MAGIC_V2), Some(1..)) => return Err(Refusal::MavLinkFlags.into()),
            (Some(&MAGIC_V2), _) => {
                let Some(&[_, len, _, compatibility, sequence, system, component, m0, m1, m2]) =
                    bytes.first_chunk()
                else {
                    return Ok(Parsed::Need(10));
                };
                let (version, message) = (Version::V2, u32::from_le_bytes([m0, m1, m2, 0]));
                (len, Meta { version, compatibility, sequence, system, component, message }, 10)
            }
            _ => return Err(Refusal::MavLinkMagic.into()),
        };
        Ok(Parsed::Header(Header { meta, payload_len: len.into(), header_len }))
    }

    /// Also refuses a message without a `CRC_EXTRA`.
    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 10],
    ) -> Result<usize, EncodeError> {
        let [len, ..] = fits(len, self.max_payload_len())?.to_le_bytes();
        let &Meta { version, compatibility, sequence, system, component, message } = meta;
        let [m0, m1, m2, m3] = message.to_le_bytes();
        if self.extra.crc_extra(message).is_none() {
            return Err(EncodeError::Meta);
        }
        match (version, compatibility, m3, m2, m1) {
            (Version::V1, 0, 0, 0, 0) => {
                *out = [MAGIC_V1, len, sequence, system, component, m0, 0, 0, 0, 0];
                Ok(6)
            }
            (Version::V2, _, 0, ..) => {
                *out = [MAGIC_V2, len, 0, compatibility, sequence, system, component, m0, m1, m2];
                Ok(10)
            }
            _ => Err(EncodeError::Meta),
        }
    }
}

/// The check of both versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MavLinkCrc<E = Common> {
    extra: E,
    crc: Crc16Mcrf4xx,
}

impl<E: CrcExtra> Check for MavLinkCrc<E> {
    /// The CRC, and the byte that is added at the end.
    type Digest = (u16, u8);
    type Trailer = [u8; 2];

    fn begin(&self, header: &[u8]) -> (u16, u8) {
        let message = match *header {
            [MAGIC_V1, _, _, _, _, message, ..] => message.into(),
            [MAGIC_V2, _, _, _, _, _, _, m0, m1, m2, ..] => u32::from_le_bytes([m0, m1, m2, 0]),
            _ => 0,
        };
        let crc = self.crc.begin(header.get(1..).unwrap_or_default());
        (crc, self.extra.crc_extra(message).unwrap_or_default())
    }

    fn update(&self, (crc, extra): (u16, u8), run: &[u8]) -> (u16, u8) {
        (self.crc.update(crc, run), extra)
    }

    fn trailer(&self, (crc, extra): (u16, u8)) -> [u8; 2] {
        self.crc.trailer(self.crc.update(crc, &[extra]))
    }
}
