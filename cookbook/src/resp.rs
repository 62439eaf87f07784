//! Bulk strings of RESP, the protocol of Redis ("Redis serialization protocol specification",
//! "Bulk strings", "Bulk errors" and "Verbatim strings").
//!
//! | | |
//! | --- | --- |
//! | header | the type (1 byte), the length in decimal digits, CR LF; or `$-1` |
//! | the length covers | the payload |
//! | check | CR LF after the payload |
//! | max payload | 2^63 − 1; a server's default limit is 512 MiB |
//! | meta | bulk string, null, bulk error or verbatim string |
//! | refused | a type other than `$`, `!` and `=`; a sign other than that of `$-1`; a leading zero; a length over 2^63 − 1; a line end other than CR LF; other bytes than CR LF after the payload |
//! | left to the caller | the other types, which are lines, and what they announce; the encoding at the start of a verbatim string |
//!
//! The null bulk string, `$-1` and CR LF, is a frame with the meta [`Meta::Null`] and an empty payload.
//! Its header is `$-1`, and the CR LF after that is the same check as that of other frames. It differs
//! from the empty string, which is `$0`, CR LF, CR LF. A null with a payload cannot be sent: its limit
//! is 0.
//!
//! The other types of RESP end with the first CR LF, like `+OK` or `*2`, and an array's elements follow
//! its line. Read a line with `unstick::Delimited::new(b"\r\n")`, and change the format for a bulk
//! string.
//!
//! ```
//! use unstick_cookbook::resp::{self, Meta};
//!
//! // The specification's examples.
//! let mut stream = &b"$5\r\nhello\r\n$-1\r\n"[..];
//! let framing = resp::framing();
//! let hello = framing.split_frame(&mut stream)?.expect("a whole string");
//! assert_eq!((hello.meta, hello.payload), (Meta::BulkString, &b"hello"[..]));
//! assert_eq!(framing.split_frame(&mut stream)?.expect("a whole string").meta, Meta::Null);
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::check::EndBytes;
use unstick::{
    Checked, EncodeError, Format, Framing, Header, HeaderError, MAX_PAYLOAD_LEN, Parsed,
};

use super::{Refusal, decimal};

/// The limit of a server without another configuration (`proto-max-bulk-len`), in payload bytes.
pub const DEFAULT_LIMIT: u64 = 512 << 20;

/// Bulk strings: a type and a length, CR LF, the payload, and CR LF.
pub type Resp = Checked<RespHeader, EndBytes<2>>;

/// Returns the format with the limit of a server without another configuration: 512 MiB.
#[must_use]
pub const fn framing() -> Framing<Resp> {
    Framing::new(Checked::new(RespHeader, EndBytes::new(*b"\r\n"))).with_limit(DEFAULT_LIMIT)
}

/// A bulk string's type and length, and CR LF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RespHeader;

/// The type of a bulk string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meta {
    /// `$`: a bulk string.
    BulkString,
    /// `$-1`: no string. The payload is empty.
    Null,
    /// `!`: a bulk error (RESP3).
    BulkError,
    /// `=`: a verbatim string (RESP3). The payload begins with three bytes of encoding and a colon.
    VerbatimString,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BulkString => "bulk string",
            Self::Null => "null",
            Self::BulkError => "bulk error",
            Self::VerbatimString => "verbatim string",
        })
    }
}

impl Format for RespHeader {
    type Meta = Meta;
    type HeaderBuf = [u8; 22];

    fn max_payload_len(&self) -> u64 {
        u64::MAX >> 1
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some((first, rest)) = bytes.split_first() else { return Ok(Parsed::Need(3)) };
        let meta = match first {
            b'$' => Meta::BulkString,
            b'!' => Meta::BulkError,
            b'=' => Meta::VerbatimString,
            _ => return Err(Refusal::RespType.into()),
        };
        if meta == Meta::BulkString && rest.first() == Some(&b'-') {
            return match rest.get(1) {
                None => Ok(Parsed::Need(3)),
                Some(b'1') => {
                    Ok(Parsed::Header(Header { meta: Meta::Null, payload_len: 0, header_len: 3 }))
                }
                Some(_) => Err(Refusal::RespLength.into()),
            };
        }
        let mut payload_len = 0_u64;
        for (i, &byte) in rest.iter().enumerate() {
            match byte {
                b'0'..=b'9' if i == 1 && payload_len == 0 => return Err(Refusal::RespLength.into()),
                b'0'..=b'9' => {
                    payload_len = payload_len
                        .checked_mul(10)
                        .and_then(|len| len.checked_add(u64::from(byte - b'0')))
                        .filter(|len| *len <= self.max_payload_len())
                        .ok_or(Refusal::RespTooLong)?;
                }
                b'\r' if i > 0 => {
                    return match rest.get(i + 1) {
                        None => Ok(Parsed::Need(i + 3)),
                        Some(b'\n') => {
                            Ok(Parsed::Header(Header { meta, payload_len, header_len: i + 3 }))
                        }
                        Some(_) => Err(Refusal::RespLength.into()),
                    };
                }
                _ => return Err(Refusal::RespLength.into()),
            }
        }
        // After `$`, the null is the shortest; otherwise a digit and CR LF are missing, or CR LF.
        let missing = match (meta, rest.len()) {
            (Meta::BulkString, 0) => 2,
            (_, 0) => 3,
            _ => 2,
        };
        Ok(Parsed::Need(bytes.len() + missing))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 22],
    ) -> Result<usize, EncodeError> {
        let limit = if *meta == Meta::Null { 0 } else { self.max_payload_len() };
        if len > limit {
            return Err(EncodeError::Oversize { len, limit });
        }
        let [first, rest @ ..] = out;
        *first = match meta {
            Meta::BulkString | Meta::Null => b'$',
            Meta::BulkError => b'!',
            Meta::VerbatimString => b'=',
        };
        if *meta == Meta::Null {
            let [minus, one, ..] = rest;
            (*minus, *one) = (b'-', b'1');
            return Ok(3);
        }
        let used = decimal(len, rest);
        if let Some([cr, lf, ..]) = rest.get_mut(used..) {
            (*cr, *lf) = (b'\r', b'\n');
        }
        Ok(used + 3)
    }

    fn limit_of(&self, meta: &Meta) -> u64 {
        if *meta == Meta::Null { 0 } else { MAX_PAYLOAD_LEN }
    }
}
