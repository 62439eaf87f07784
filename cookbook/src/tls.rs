//! TLS records (RFC 8446, section 5.1; TLS 1.0 to 1.2 have the same header).
//!
//! | | |
//! | --- | --- |
//! | header | content type (1 byte), version (2), length (2) |
//! | the length covers | the payload |
//! | max payload | 2^14 + 256 encrypted in TLS 1.3, 2^14 in the clear; 2^14 + 2,048 in TLS 1.2 |
//! | meta | content type and version |
//! | refused | a content type other than 20 to 24 |
//! | left to the caller | that only application data may be empty; the version, which has no meaning since TLS 1.3 and "MUST be ignored" |
//!
//! Records are not messages: a record can hold several handshake messages, and a message can span
//! several records. A record that is too long is an [`Oversize`](unstick::DecodeError::Oversize)
//! error, which corresponds to the TLS alert `record_overflow`.
//!
//! ```
//! use unstick_cookbook::tls::{self, ContentType};
//!
//! // RFC 8448, section 3: the alerts with which the client and the server close.
//! let mut stream = &b"\
//!     \x17\x03\x03\x00\x13\xc9\x87\x27\x60\x65\x56\x66\xb7\x4d\x7f\xf1\x15\x3e\xfd\x6d\xb6\xd0\xb0\xe3\
//!     \x17\x03\x03\x00\x13\xb5\x8f\xd6\x71\x66\xeb\xf5\x99\xd2\x47\x20\xcf\xbe\x7e\xfa\x7a\x88\x64\xa9"[..];
//! let framing = tls::framing();
//! for first_byte in [0xc9, 0xb5] {
//!     let record = framing.split_frame(&mut stream)?.expect("a whole record");
//!     // An encrypted record of any type has the content type of application data.
//!     let meta = tls::Meta { content_type: ContentType::ApplicationData, version: 0x0303 };
//!     assert_eq!((record.meta, record.payload.len(), record.payload[0]), (meta, 19, first_byte));
//! }
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// The maximum payload length of a record in TLS 1.2 (RFC 5246, section 6.2.3), in bytes.
pub const MAX_PAYLOAD_LEN_TLS12: u64 = (1 << 14) + 2_048;

/// Returns the format with the limit of TLS 1.3: 16,640 bytes. It is enough for other versions too,
/// unless they compress.
#[must_use]
pub fn framing() -> Framing<Tls> {
    Framing::new(Tls).with_limit((1 << 14) + 256)
}

/// A record's header: [`Meta`] and a 16-bit length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The type of the payload.
    pub content_type: ContentType,
    /// `legacy_record_version`: 0x0303, or 0x0301 in a first ClientHello.
    pub version: u16,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.content_type {
            ContentType::ChangeCipherSpec => "change_cipher_spec",
            ContentType::Alert => "alert",
            ContentType::Handshake => "handshake",
            ContentType::ApplicationData => "application_data",
            ContentType::Heartbeat => "heartbeat",
        })?;
        write!(f, ", version 0x{:04x}", self.version)
    }
}

/// The type of a record's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// `change_cipher_spec`.
    ChangeCipherSpec = 20,
    /// `alert`, in the clear.
    Alert = 21,
    /// `handshake`, in the clear.
    Handshake = 22,
    /// `application_data`; in TLS 1.3 also everything that is encrypted.
    ApplicationData = 23,
    /// `heartbeat` (RFC 6520).
    Heartbeat = 24,
}

impl Format for Tls {
    type Meta = Meta;
    type HeaderBuf = [u8; 5];

    fn max_payload_len(&self) -> u64 {
        u16::MAX.into()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let content_type = match bytes.first() {
            None => return Ok(Parsed::Need(5)),
            Some(20) => ContentType::ChangeCipherSpec,
            Some(21) => ContentType::Alert,
            Some(22) => ContentType::Handshake,
            Some(23) => ContentType::ApplicationData,
            Some(24) => ContentType::Heartbeat,
            Some(_) => return Err(Refusal::TlsContentType.into()),
        };
        let Some(&[_, v0, v1, l0, l1]) = bytes.first_chunk() else { return Ok(Parsed::Need(5)) };
        let meta = Meta { content_type, version: u16::from_be_bytes([v0, v1]) };
        let payload_len = u16::from_be_bytes([l0, l1]).into();
        Ok(Parsed::Header(Header { meta, payload_len, header_len: 5 }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 5],
    ) -> Result<usize, EncodeError> {
        let [_, _, l0, l1] = fits(len, self.max_payload_len())?.to_be_bytes();
        let [v0, v1] = meta.version.to_be_bytes();
        *out = [meta.content_type as u8, v0, v1, l0, l1];
        Ok(5)
    }
}
