//! 9P: 9P2000 and its dialects (Plan 9's manual, intro(5)).
//!
//! | | |
//! | --- | --- |
//! | header | size (4 bytes, least significant first), type (1), tag (2, least significant first) |
//! | the length covers | the whole frame |
//! | max payload | 2^32 − 8; `msize` − 7 after both sides have agreed on it |
//! | meta | type and tag |
//! | refused | a size below 7 |
//! | left to the caller | which types exist; a response's type, which is its request's type plus one |
//!
//! ```
//! use unstick_cookbook::ninep;
//!
//! // Tversion, as in version(5): no tag, an msize of 8192, the version 9P2000.
//! let mut stream = &b"\x13\0\0\0\x64\xff\xff\x00\x20\0\0\x06\x009P2000"[..];
//! let request = ninep::framing().split_frame(&mut stream)?.expect("a whole message");
//! assert_eq!(request.meta, ninep::Meta { kind: ninep::TVERSION, tag: ninep::NO_TAG });
//! assert_eq!(request.payload, b"\x00\x20\0\0\x06\x009P2000");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::fits;

/// The type of the first message, in which a client announces its maximum message size.
pub const TVERSION: u8 = 100;
/// The tag of that message and of its response.
pub const NO_TAG: u16 = 0xFFFF;

/// The length of a header in bytes, which the size includes.
const HEADER_LEN: u32 = 7;

/// Returns the format with a limit of 1 MiB. Set `msize` − 7 once `msize` is known.
#[must_use]
pub fn framing() -> Framing<NineP> {
    Framing::new(NineP)
}

/// A message's header: a 32-bit size that includes the header, and [`Meta`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NineP;

/// The header's fields other than the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The type: even for a request, odd for a response.
    pub kind: u8,
    /// The client's number of the request; the response has the same.
    pub tag: u16,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = match self.kind & !1 {
            6 => "lerror",
            8 => "statfs",
            12 => "lopen",
            14 => "lcreate",
            24 => "getattr",
            26 => "setattr",
            40 => "readdir",
            100 => "version",
            102 => "auth",
            104 => "attach",
            106 => "error",
            108 => "flush",
            110 => "walk",
            112 => "open",
            114 => "create",
            116 => "read",
            118 => "write",
            120 => "clunk",
            122 => "remove",
            124 => "stat",
            126 => "wstat",
            _ => return write!(f, "type {}, tag {}", self.kind, self.tag),
        };
        let side = if self.kind & 1 == 0 { 'T' } else { 'R' };
        write!(f, "{side}{request}, tag {}", self.tag)
    }
}

impl Format for NineP {
    type Meta = Meta;
    type HeaderBuf = [u8; HEADER_LEN as usize];

    fn max_payload_len(&self) -> u64 {
        (u32::MAX - HEADER_LEN).into()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some(found) = bytes.first_chunk().map(|size| u32::from_le_bytes(*size)) else {
            return Ok(Parsed::Need(7));
        };
        let Some(payload_len) = found.checked_sub(HEADER_LEN) else {
            let (found, min) = (found.into(), HEADER_LEN.into());
            return Err(HeaderError::LengthTooShort { found, min });
        };
        let Some(&[_, _, _, _, kind, t0, t1]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(7));
        };
        let meta = Meta { kind, tag: u16::from_le_bytes([t0, t1]) };
        Ok(Parsed::Header(Header { meta, payload_len: payload_len.into(), header_len: 7 }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 7],
    ) -> Result<usize, EncodeError> {
        let size = fits(len, self.max_payload_len())? + HEADER_LEN;
        let ([s0, s1, s2, s3], [t0, t1]) = (size.to_le_bytes(), meta.tag.to_le_bytes());
        *out = [s0, s1, s2, s3, meta.kind, t0, t1];
        Ok(7)
    }
}
