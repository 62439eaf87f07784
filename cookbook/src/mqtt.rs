//! MQTT 3.1.1 and 5.0 (section 2 of both, "MQTT Control Packet format").
//!
//! | | |
//! | --- | --- |
//! | header | type and flags (1 byte), remaining length (1 to 4 bytes, seven bits each, least significant first) |
//! | the length covers | the payload: everything after the fixed header |
//! | max payload | 268,435,455; in version 5 a receiver can announce less |
//! | meta | packet type and flags |
//! | refused | type 0; flags that the type does not allow; a length in more bytes than it needs, or in more than four |
//! | left to the caller | that version 3.1.1 has no type 15; the variable header |
//!
//! Version 5 forbids a length in more bytes than it needs (MQTT-1.5.5-1). Version 3.1.1 does not
//! say so, but its encoding algorithm produces no other.
//!
//! Some peers set the flags wrongly: [`Lenient`] accepts them.
//!
//! ```
//! use unstick_cookbook::mqtt::{self, PacketType};
//!
//! // PINGREQ (section 3.12), and a PUBLISH of "hi" whose variable header is the example of section
//! // 3.3.2: the topic "a/b" and the packet identifier 10.
//! let mut stream = &b"\xc0\x00\x32\x09\x00\x03a/b\x00\x0ahi"[..];
//! let ping = mqtt::framing().split_frame(&mut stream)?.expect("a whole packet");
//! assert_eq!((ping.meta.packet_type, ping.payload), (PacketType::PingReq, &b""[..]));
//! let publish = mqtt::framing().split_frame(&mut stream)?.expect("a whole packet");
//! assert_eq!(publish.meta.to_string(), "PUBLISH, QoS 1");
//! assert_eq!(publish.payload, b"\x00\x03a/b\x00\x0ahi");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// The maximum size of the remaining length, in bytes.
const MAX_FIELD: usize = 4;

/// Returns the format with a limit of 1 MiB. The protocol has no limit other than that of the
/// length field.
#[must_use]
pub fn framing() -> Framing<Mqtt> {
    Framing::new(Mqtt)
}

/// Returns the format that ignores wrong flags, with a limit of 1 MiB.
#[must_use]
pub fn lenient_framing() -> Framing<Lenient> {
    Framing::new(Lenient)
}

/// A packet's fixed header: [`Meta`] and the remaining length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mqtt;

/// Like [`Mqtt`], but ignores the flags of every type except PUBLISH.
///
/// Version 3.1.1 requires a receiver to close the connection if these flags are wrong
/// (MQTT-2.2.2-2), and version 5.0 calls such a packet malformed (section 2.1.3). Some peers send a
/// SUBSCRIBE or a PUBREL without its flag, or set DUP when they send it again, as version 3.1 did. A
/// program that accepts such peers uses this format for what it receives.
///
/// [`Meta::flags`] has the flags that the type requires, so a packet that is written again is valid;
/// [`Frame::header_bytes`](unstick::Frame::header_bytes) has those that were received. Everything else
/// is refused as by [`Mqtt`], a PUBLISH of QoS 3 too. Headers are written as by [`Mqtt`].
///
/// ```
/// use unstick_cookbook::mqtt::{self, Meta, PacketType};
///
/// // A PUBREL without its flag, for the packet identifier 10.
/// let mut stream = &b"\x60\x02\x00\x0a"[..];
/// assert!(mqtt::framing().split_frame(&mut stream).is_err());
/// let frame = mqtt::lenient_framing().split_frame(&mut stream)?.expect("a whole packet");
/// assert_eq!(frame.meta, Meta::new(PacketType::PubRel));
/// # Ok::<(), unstick::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lenient;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The packet's type.
    pub packet_type: PacketType,
    /// Four bits. For PUBLISH: DUP (8), QoS (2 and 4) and RETAIN (1). For any other type they are
    /// fixed.
    pub flags: u8,
}

impl Meta {
    /// Creates the fields for this type with the flags that it requires; for PUBLISH, without
    /// flags.
    #[must_use]
    pub const fn new(packet_type: PacketType) -> Self {
        let flags = match packet_type {
            PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 2,
            _ => 0,
        };
        Self { packet_type, flags }
    }

    /// Returns the fields in the first byte of a header.
    fn of(first: u8) -> Result<Self, Refusal> {
        let packet_type = PacketType::new(first >> 4).ok_or(Refusal::MqttType)?;
        Ok(Self { packet_type, flags: first & 0x0F })
    }

    /// Returns whether the flags are valid for the type.
    fn is_valid(self) -> bool {
        match self.packet_type {
            // QoS 3 does not exist.
            PacketType::Publish => self.flags < 16 && self.flags & 6 != 6,
            other => self == Self::new(other),
        }
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.packet_type.name())?;
        if self.packet_type == PacketType::Publish {
            write!(f, ", QoS {}", self.flags >> 1 & 3)?;
            f.write_str(if self.flags & 8 != 0 { ", DUP" } else { "" })?;
            f.write_str(if self.flags & 1 != 0 { ", RETAIN" } else { "" })?;
        }
        Ok(())
    }
}

/// Declares the types: variant, number and the specification's name.
macro_rules! packet_types {
    ($($variant:ident = $number:literal, $name:literal;)+) => {
        /// The type of a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PacketType {
            $(#[doc = $name] $variant = $number,)+
        }

        impl PacketType {
            const fn new(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Returns the specification's name of the type.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

packet_types! {
    Connect = 1, "CONNECT";
    ConnAck = 2, "CONNACK";
    Publish = 3, "PUBLISH";
    PubAck = 4, "PUBACK";
    PubRec = 5, "PUBREC";
    PubRel = 6, "PUBREL";
    PubComp = 7, "PUBCOMP";
    Subscribe = 8, "SUBSCRIBE";
    SubAck = 9, "SUBACK";
    Unsubscribe = 10, "UNSUBSCRIBE";
    UnsubAck = 11, "UNSUBACK";
    PingReq = 12, "PINGREQ";
    PingResp = 13, "PINGRESP";
    Disconnect = 14, "DISCONNECT";
    Auth = 15, "AUTH";
}

impl Format for Mqtt {
    type Meta = Meta;
    type HeaderBuf = [u8; 1 + MAX_FIELD];

    fn max_payload_len(&self) -> u64 {
        (1 << (7 * MAX_FIELD)) - 1
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some((&first, field)) = bytes.split_first() else { return Ok(Parsed::Need(2)) };
        with_length(Meta::of(first)?, field)
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 5],
    ) -> Result<usize, EncodeError> {
        let mut rest = fits(len, self.max_payload_len())?;
        if !meta.is_valid() {
            return Err(EncodeError::Meta);
        }
        let [first, field @ ..] = out;
        *first = (meta.packet_type as u8) << 4 | meta.flags;
        let mut used = 1;
        for byte in field {
            let [low, ..] = rest.to_le_bytes();
            rest >>= 7;
            used += 1;
            *byte = low & 0x7F | if rest == 0 { 0 } else { 0x80 };
            if rest == 0 {
                break;
            }
        }
        Ok(used)
    }
}

impl Format for Lenient {
    type Meta = Meta;
    type HeaderBuf = [u8; 1 + MAX_FIELD];

    fn max_payload_len(&self) -> u64 {
        Mqtt.max_payload_len()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some((&first, field)) = bytes.split_first() else { return Ok(Parsed::Need(2)) };
        let meta = match Meta::of(first)? {
            publish @ Meta { packet_type: PacketType::Publish, .. } => publish,
            other => Meta::new(other.packet_type),
        };
        with_length(meta, field)
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 5],
    ) -> Result<usize, EncodeError> {
        Mqtt.encode_header(meta, len, out)
    }
}

/// Checks the flags, and decodes the remaining length, which begins with `field`.
fn with_length(meta: Meta, field: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
    if !meta.is_valid() {
        return Err(Refusal::MqttFlags.into());
    }
    let mut payload_len = 0;
    for (i, &byte) in field.iter().take(MAX_FIELD).enumerate() {
        payload_len |= u64::from(byte & 0x7F) << (7 * i);
        match byte {
            0 if i > 0 => return Err(HeaderError::OverlongVarint),
            0..0x80 => return Ok(Parsed::Header(Header { meta, payload_len, header_len: i + 2 })),
            _ if i + 1 == MAX_FIELD => return Err(Refusal::MqttLength.into()),
            _ => {}
        }
    }
    Ok(Parsed::Need(field.len() + 2))
}
