//! PostgreSQL's protocol, version 3 (its documentation, chapter "Frontend/Backend Protocol",
//! "Message Formats").
//!
//! | | |
//! | --- | --- |
//! | header | type (1 byte), length (4, signed) |
//! | the length covers | itself and the payload, not the type |
//! | largest payload | 2^31 − 5; a server takes and sends less than 1 GiB |
//! | meta | the type |
//! | refused | a type that is no letter and no digit; a length that is negative or below 4 |
//! | the caller's | what the type means, which depends on who sent it |
//!
//! A client's first message has no type, and neither has one that asks for TLS or to cancel:
//! [`Startup`] reads it. Its length covers itself and the payload; a server takes 10,000 bytes.
//! What a server answers to a request for TLS or GSSAPI is a single byte without a header (`S`, `N`
//! or `G`): read it before the frames.
//!
//! The first byte tells which it is: that of a startup message is a zero, and no type is.
//!
//! ```
//! use unstick_cookbook::postgres;
//!
//! // What a client sends for TLS: SSLRequest, of which the documentation gives both numbers, 8 and
//! // 80877103.
//! let mut client = &b"\0\0\0\x08\x04\xd2\x16\x2f"[..];
//! let request = postgres::startup_framing().split_frame(&mut client)?.expect("a whole message");
//! assert_eq!(request.payload, 80_877_103_u32.to_be_bytes());
//!
//! // What PostgreSQL 15 says once a client is in: AuthenticationOk, a parameter, ReadyForQuery.
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
//! [The module above](super) goes on from the one to the other within a stream.

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// The bytes of a length, which it counts too.
const FIELD: u32 = 4;
/// The longest payload that a length of 32 bits with a sign can say.
const MAX_PAYLOAD_LEN: u64 = (i32::MAX as u32 - FIELD) as u64;

/// The format of all messages but a client's first, with a limit of 1 MiB. A row may be longer: set
/// the limit that your program is made for.
#[must_use]
pub fn framing() -> Framing<Postgres> {
    Framing::new(Postgres)
}

/// The format of a client's first message, with the limit of a server: 10,000 bytes.
#[must_use]
pub fn startup_framing() -> Framing<Startup> {
    Framing::new(Startup).with_limit(10_000)
}

/// A message's header: [`Meta`], and a length of 32 bits that counts itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Postgres;

/// What a header says beside the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The type: `b'Q'` for a query, `b'D'` for a row.
    pub kind: u8,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(self.kind))
    }
}

/// Reads a length of four bytes that counts itself, refused as soon as it can be.
fn decode_length(field: &[u8]) -> Result<Option<u32>, HeaderError> {
    match field.first() {
        Some(&found) if found & 0x80 != 0 => return Err(HeaderError::NegativeLength { found }),
        _ => {}
    }
    let Some(found) = field.first_chunk().map(|field| u32::from_be_bytes(*field)) else {
        return Ok(None);
    };
    match found.checked_sub(FIELD) {
        Some(payload_len) => Ok(Some(payload_len)),
        None => Err(HeaderError::LengthTooShort { found: found.into(), least: FIELD.into() }),
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

/// The header of a client's first message: a length of 32 bits that counts itself.
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
