//! The chunked transfer coding of HTTP/1.1 (RFC 9112, section 7.1).
//!
//! | | |
//! | --- | --- |
//! | header | the size in hexadecimal digits (1 to 16 bytes), extensions, CR LF; up to 256 bytes |
//! | the length covers | the payload: the chunk's data |
//! | check | CR LF after the data |
//! | max payload | 2^64 − 1 |
//! | meta | none; a payload of length 0 is the last chunk |
//! | refused | a size that does not begin with a digit, or has more than 16; another byte than a semicolon after it; CR or LF alone; control characters; a header of more than 256 bytes; other bytes than CR LF after the data |
//! | left to the caller | to stop after the last chunk; trailer fields |
//!
//! Digits may be in upper or lower case, and zeros may lead them, as the grammar says. Spaces and tabs
//! may stand before the semicolon of an extension, and nowhere else. Extensions are not parsed:
//! `frame.header_bytes()` has them. The encoder writes lower case, no zeros and no extensions.
//!
//! Receivers that treat a line of a chunk differently from those before them are the cause of request
//! smuggling. So everything that the grammar does not allow is refused, above all LF without CR.
//!
//! # The last chunk, and trailer fields
//! The last chunk is a frame with an empty payload: `0`, CR LF, CR LF. The first CR LF ends its header.
//! The second one ends a trailer section without fields, and is its check. After it, another message
//! begins: stop here, and decode that with another decoder. To send an empty payload is to end the body,
//! so do not send a chunk while there is no data.
//!
//! A trailer section with fields is refused as a bad check at the last chunk, since two other bytes
//! follow its header. If fields are to be read (RFC 9112, section 7.1.2), they begin after the last
//! chunk's header, in the bytes that the decoder returns as refused: read lines that end with CR LF,
//! until an empty one.
//!
//! ```
//! use unstick_cookbook::chunked;
//!
//! let mut stream = &b"5;name=\"value\"\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK"[..];
//! let framing = chunked::framing();
//! let chunk = framing.split_frame(&mut stream)?.expect("a whole chunk");
//! assert_eq!((chunk.header_bytes(), chunk.payload), (&b"5;name=\"value\"\r\n"[..], &b"hello"[..]));
//! let last = framing.split_frame(&mut stream)?.expect("a whole chunk");
//! assert!(last.payload.is_empty());
//! assert_eq!(stream, b"HTTP/1.1 200 OK"); // of another message
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use unstick::check::EndBytes;
use unstick::{Checked, EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::Refusal;

/// The maximum number of digits.
const MAX_DIGITS: usize = 16;

/// The maximum length of a line.
const MAX_HEADER_LEN: usize = 256;

/// Chunks: a size in hexadecimal digits, extensions, CR LF, the data, and CR LF.
pub type Chunked = Checked<ChunkHeader, EndBytes<2>>;

/// Returns the format with a limit of 1 MiB. The protocol has no limit.
#[must_use]
pub const fn framing() -> Framing<Chunked> {
    Framing::new(Checked::new(ChunkHeader, EndBytes::new(*b"\r\n")))
}

/// A chunk's size and extensions, and CR LF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChunkHeader;

/// What has been read of the line after the digits.
#[derive(Clone, Copy)]
enum Line {
    Digits,
    /// Spaces and tabs, which only a semicolon may follow.
    Space,
    Extension,
    Cr,
}

impl Format for ChunkHeader {
    type Meta = ();
    type HeaderBuf = [u8; MAX_HEADER_LEN];

    fn max_payload_len(&self) -> u64 {
        u64::MAX
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        self.resume_header(bytes, 0)
    }

    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<()>, HeaderError> {
        let (mut payload_len, mut digits) = (0, 0);
        for byte in bytes {
            let Some(digit) = digit(*byte) else { break };
            if digits == MAX_DIGITS {
                return Err(Refusal::ChunkDigits.into());
            }
            payload_len = payload_len << 4 | u64::from(digit);
            digits += 1;
        }
        let rest = bytes.get(digits..).unwrap_or_default();
        if digits == 0 && !rest.is_empty() {
            return Err(Refusal::ChunkSize.into());
        }
        let from = seen.saturating_sub(digits);
        let mut line = line_after(rest.get(..from).unwrap_or_default());
        // No header ends after more bytes than there is room for.
        for (i, &byte) in rest.iter().enumerate().take(MAX_HEADER_LEN - digits).skip(from) {
            line = match (line, byte) {
                (Line::Cr, b'\n') => {
                    let header_len = digits + i + 1;
                    return Ok(Parsed::Header(Header { meta: (), payload_len, header_len }));
                }
                (Line::Digits | Line::Extension, b'\r') => Line::Cr,
                (Line::Digits | Line::Space, b' ' | b'\t') => Line::Space,
                (Line::Digits | Line::Space, b';') => Line::Extension,
                (Line::Extension, b'\t' | b' '..=b'~' | 0x80..) => Line::Extension,
                _ => return Err(Refusal::ChunkLine.into()),
            };
        }
        let missing = match line {
            _ if bytes.len() >= MAX_HEADER_LEN => 1,
            Line::Cr => 1,
            Line::Digits if digits == 0 => 3,
            Line::Digits | Line::Extension => 2,
            Line::Space => 3,
        };
        Ok(Parsed::Need(bytes.len() + missing))
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 256]) -> Result<usize, EncodeError> {
        // Zero has a digit too.
        let digits = (u64::BITS + 3 - (len | 1).leading_zeros()) / 4;
        let line = (0..digits).rev().map(|i| match (len >> (4 * i)).to_le_bytes() {
            [low, ..] if low & 15 < 10 => b'0' + (low & 15),
            [low, ..] => b'a' + (low & 15) - 10,
        });
        let mut used = 0;
        for (to, byte) in out.iter_mut().zip(line.chain(*b"\r\n")) {
            *to = byte;
            used += 1;
        }
        Ok(used)
    }
}

/// Returns the value of a hexadecimal digit. `char::to_digit` has a panic for other bases.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Returns what these bytes after the digits are, which are the beginning of a valid line.
fn line_after(bytes: &[u8]) -> Line {
    match (bytes.last(), bytes.iter().find(|byte| !matches!(byte, b' ' | b'\t'))) {
        (None, _) => Line::Digits,
        (Some(b'\r'), _) => Line::Cr,
        (_, None) => Line::Space,
        _ => Line::Extension,
    }
}
