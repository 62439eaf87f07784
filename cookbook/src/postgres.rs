//! PostgreSQL's protocol, version 3 (its documentation, chapter "Frontend/Backend Protocol",
//! "Message Formats").
//!
//! | | |
//! | --- | --- |
//! | header | type (1 byte), length (4, signed) |
//! | the length covers | itself and the payload, not the type |
//! | max payload | 2^31 − 5; a server accepts and sends less than 1 GiB |
//! | meta | the type |
//! | refused | a type that is neither a letter nor a digit; a length that is negative or below 4 |
//! | left to the caller | the meaning of the type, which depends on the sender |
//!
//! A client's first message has no type, and neither has a request for TLS or for cancellation.
//! [`Startup`] is their format: the length covers itself and the payload, and a server accepts
//! 10,000 bytes. A server's answer to a request for TLS or GSSAPI is a single byte without a header
//! (`S`, `N` or `G`): read it before the frames.
//!
//! The first byte tells the two formats apart: it is zero in a startup message, and never zero in a
//! message with a type.
//!
//! ```
//! use unstick_cookbook::postgres;
//!
//! // A client's request for TLS: SSLRequest. The documentation gives both numbers, 8 and
//! // 80877103.
//! let mut client = &b"\0\0\0\x08\x04\xd2\x16\x2f"[..];
//! let request = postgres::startup_framing().split_frame(&mut client)?.expect("a whole message");
//! assert_eq!(request.payload, 80_877_103_u32.to_be_bytes());
//!
//! // PostgreSQL 15's first messages after login: AuthenticationOk, a parameter, ReadyForQuery.
//! let mut server = &b"R\0\0\0\x08\0\0\0\0\
//!     S\0\0\0\x19client_encoding\0UTF8\0Z\0\0\0\x05I"[..];
//! let mut messages = Vec::new();
//! while let Some(message) = postgres::framing().split_frame(&mut server)? {
//!     messages.push((char::from(message.meta.kind), message.payload));
//! }
//! assert_eq!(messages, [
//!     ('R', &b"\0\0\0\0"[..]),
//!     ('S', b"client_encoding\0UTF8\0"),
//!     ('Z', b"I"),
//! ]);
//! # Ok::<(), unstick::DecodeError>(())
//! ```
//!
//! [The parent module](super) shows how to change from one format to the other within a stream.

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// The size of the length field, which the length includes.
const FIELD: u32 = 4;
/// The maximum payload length that a signed 32-bit length can announce.
const MAX_PAYLOAD_LEN: u64 = (i32::MAX as u32 - FIELD) as u64;

/// Returns the format of all messages but a client's first, with a limit of 1 MiB. Rows can be
/// longer: set the limit that your program needs.
#[must_use]
pub fn framing() -> Framing<Postgres> {
    Framing::new(Postgres)
}

/// Returns the format of a client's first message with a server's limit: 10,000 bytes.
#[must_use]
pub fn startup_framing() -> Framing<Startup> {
    Framing::new(Startup).with_limit(10_000)
}

/// A message's header: [`Meta`], and a 32-bit length that includes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Postgres;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The type, for example `b'Q'` for a query and `b'D'` for a row.
    pub kind: u8,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(self.kind))
    }
}

/// Decodes a four-byte length that includes itself. Refuses it at the earliest possible byte.
fn decode_length(field: &[u8]) -> Result<Option<u32>, HeaderError> {
    match field.first() {
        Some(&found) if found & 0x80 != 0 => {
            let max = i32::from_be_bytes([found, 0xFF, 0xFF, 0xFF]).into();
            return Err(HeaderError::NegativeLength { found, max });
        }
        _ => {}
    }
    let Some(found) = field.first_chunk().map(|field| u32::from_be_bytes(*field)) else {
        return Ok(None);
    };
    match found.checked_sub(FIELD) {
        Some(payload_len) => Ok(Some(payload_len)),
        None => Err(HeaderError::LengthTooShort { found: found.into(), min: FIELD.into() }),
    }
}

impl Format for Postgres {
    type Meta = Meta;
    type HeaderBuf = [u8; 5];

    fn max_payload_len(&self) -> u64 {
        MAX_PAYLOAD_LEN
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some((&kind, field)) = bytes.split_first() else { return Ok(Parsed::Need(5)) };
        if !kind.is_ascii_alphanumeric() {
            return Err(Refusal::PostgresType.into());
        }
        Ok(match decode_length(field)? {
            Some(len) => {
                let meta = Meta { kind };
                Parsed::Header(Header { meta, payload_len: len.into(), header_len: 5 })
            }
            None => Parsed::Need(5),
        })
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 5],
    ) -> Result<usize, EncodeError> {
        if !meta.kind.is_ascii_alphanumeric() {
            return Err(EncodeError::Meta);
        }
        let [l0, l1, l2, l3] = (fits(len, MAX_PAYLOAD_LEN)? + FIELD).to_be_bytes();
        *out = [meta.kind, l0, l1, l2, l3];
        Ok(5)
    }
}

/// The header of a client's first message: a 32-bit length that includes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Startup;

impl Format for Startup {
    type Meta = ();
    type HeaderBuf = [u8; 4];

    fn max_payload_len(&self) -> u64 {
        MAX_PAYLOAD_LEN
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        Ok(match decode_length(bytes)? {
            Some(len) => {
                Parsed::Header(Header { meta: (), payload_len: len.into(), header_len: 4 })
            }
            None => Parsed::Need(4),
        })
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 4]) -> Result<usize, EncodeError> {
        *out = (fits(len, MAX_PAYLOAD_LEN)? + FIELD).to_be_bytes();
        Ok(4)
    }
}
