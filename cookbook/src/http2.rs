//! HTTP/2 (RFC 9113, section 4.1).
//!
//! | | |
//! | --- | --- |
//! | header | length (3 bytes), type (1), flags (1), a reserved bit and the stream (4) |
//! | the length covers | the payload |
//! | max payload | 2^24 − 1; 16,384 unless the receiver's `SETTINGS_MAX_FRAME_SIZE` allows more |
//! | meta | type, flags and stream |
//! | refused | nothing; the reserved bit is ignored, as section 4.1 requires |
//! | left to the caller | the lengths that some types require, and the order of frames |
//!
//! A client starts with a preface of 24 bytes (section 3.4), which is not a frame. Read it with
//! [`Preface`] or `read_exact` before the frames. [The parent module](super) has an example.
//!
//! ```
//! use unstick_cookbook::http2;
//!
//! // The first frames of `curl --http2-prior-knowledge`, after the preface.
//! let mut stream = &b"\x00\x00\x12\x04\0\0\0\0\0\x00\x03\0\0\0\x64\x00\x04\x02\0\0\0\x00\x02\0\0\0\0\
//!     \x00\x00\x04\x08\0\0\0\0\0\x01\xff\0\x01"[..];
//! let framing = http2::framing();
//! let settings = framing.split_frame(&mut stream)?.expect("a whole frame");
//! assert_eq!(settings.meta, http2::Meta { kind: http2::SETTINGS, flags: 0, stream: 0 });
//! assert_eq!(settings.payload.len(), 18); // three settings, the second the window of a stream
//! let update = framing.split_frame(&mut stream)?.expect("a whole frame");
//! assert_eq!(update.meta.to_string(), "WINDOW_UPDATE, flags 0x00, stream 0");
//! assert_eq!(update.payload, 0x01FF_0001_u32.to_be_bytes());
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// The type of a SETTINGS frame, the first frame that each side sends.
pub const SETTINGS: u8 = 4;

/// The bytes that a client sends before its first frame (RFC 9113, section 3.4).
pub const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Returns the format with a receiver's initial limit: 16,384 bytes.
#[must_use]
pub fn framing() -> Framing<Http2> {
    Framing::new(Http2).with_limit(1 << 14)
}

/// A frame's header: [`Meta`] and a 24-bit length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Http2;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The type. A receiver ignores frames of an unknown type.
    pub kind: u8,
    /// The flags. Their meaning depends on the type.
    pub flags: u8,
    /// The stream identifier, 31 bits; 0 is the connection.
    pub stream: u32,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        match NAMES.get(usize::from(self.kind)) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "type 0x{:02x}", self.kind)?,
        }
        write!(f, ", flags 0x{:02x}, stream {}", self.flags, self.stream)
    }
}

impl Format for Http2 {
    type Meta = Meta;
    type HeaderBuf = [u8; 9];

    fn max_payload_len(&self) -> u64 {
        0xFF_FFFF
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some(&[l0, l1, l2, kind, flags, s0, s1, s2, s3]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(9));
        };
        let stream = u32::from_be_bytes([s0 & 0x7F, s1, s2, s3]);
        let payload_len = u32::from_be_bytes([0, l0, l1, l2]).into();
        let meta = Meta { kind, flags, stream };
        Ok(Parsed::Header(Header { meta, payload_len, header_len: 9 }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 9],
    ) -> Result<usize, EncodeError> {
        let [_, l0, l1, l2] = fits(len, self.max_payload_len())?.to_be_bytes();
        let [s0, s1, s2, s3] = meta.stream.to_be_bytes();
        if s0 & 0x80 != 0 {
            return Err(EncodeError::Meta);
        }
        *out = [l0, l1, l2, meta.kind, meta.flags, s0, s1, s2, s3];
        Ok(9)
    }
}

/// The client's preface, as a format whose header is the preface and whose payload is empty.
///
/// Use it for the first frame of a client's stream. A byte that differs from the preface is refused
/// at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Preface;

impl Format for Preface {
    type Meta = ();
    type HeaderBuf = [u8; PREFACE.len()];

    fn max_payload_len(&self) -> u64 {
        0
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        if bytes.iter().zip(&PREFACE).any(|(found, expected)| found != expected) {
            return Err(Refusal::Http2Preface.into());
        }
        let header_len = PREFACE.len();
        Ok(match bytes.get(..header_len) {
            Some(_) => Parsed::Header(Header { meta: (), payload_len: 0, header_len }),
            None => Parsed::Need(header_len),
        })
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 24]) -> Result<usize, EncodeError> {
        fits(len, 0)?;
        *out = PREFACE;
        Ok(PREFACE.len())
    }
}
