//! Reads whole streams of RESP, the protocol of Redis: bulk strings as frames, as the cookbook has
//! them, and each line of another type as a frame of its own.

use std::fmt;

use unstick::check::EndBytes;
use unstick::{
    Checked, EncodeError, Format, Framing, Header, HeaderError, MAX_PAYLOAD_LEN, Parsed,
};
use unstick_cookbook::resp;

use super::frames::{Kept, Label, Source};

/// The maximum length of a line of another type than a bulk string.
const MAX_LINE_LEN: usize = 1024;
/// The maximum length of the header of a bulk string: a type, 19 digits, and a line end.
const MAX_BULK_HEADER_LEN: usize = 24;

/// A bulk string, or a line. The check of both is the CR LF at the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RespHeader;

/// What a frame of RESP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    Bulk(resp::Meta),
    /// The type of a line.
    Line(u8),
    /// `*-1`, which RESP2 has.
    NullArray,
    /// `?` in place of a length: the type of what follows until [`End`](Self::End), or until an empty
    /// chunk if it is a string.
    Streamed(u8),
    /// A part of a streamed string; the last is empty.
    Chunk,
    /// The end of a streamed aggregate.
    End,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bulk(meta) => return meta.fmt(f),
            Self::Line(b'+') => "simple string",
            Self::Line(b'-') => "simple error",
            Self::Line(b':') => "integer",
            Self::Line(b'*') => "array of",
            Self::Line(b'_') => "null",
            Self::Line(b'#') => "boolean",
            Self::Line(b',') => "double",
            Self::Line(b'(') => "big number",
            Self::Line(b'%') => "map of",
            Self::Line(b'~') => "set of",
            Self::Line(b'>') => "push of",
            Self::Line(_) => "attribute of",
            Self::NullArray => "null array",
            Self::Streamed(b'$') => "streamed string",
            Self::Streamed(b'*') => "streamed array",
            Self::Streamed(b'%') => "streamed map",
            Self::Streamed(b'~') => "streamed set",
            Self::Streamed(b'>') => "streamed push",
            Self::Streamed(_) => "streamed attribute",
            Self::Chunk => "chunk",
            Self::End => "end of stream",
        })
    }
}

fn refused(text: &'static str) -> HeaderError {
    HeaderError::Custom { code: 0xd000, text }
}

/// Returns whether a line of this type can have this content.
fn fits(kind: u8, content: &[u8]) -> bool {
    let digits = |content: &[u8]| {
        let digits = content.strip_prefix(b"-").or(content.strip_prefix(b"+")).unwrap_or(content);
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    };
    match kind {
        b'+' | b'-' => content.iter().all(|byte| *byte >= b' ' || *byte == b'\t'),
        b':' | b'(' => digits(content),
        b'*' if content == b"-1" => true,
        b'*' | b'%' | b'~' | b'>' | b'|' => {
            content == b"?" || (digits(content) && !content.starts_with(b"-"))
        }
        b'$' => content == b"?",
        b';' => content == b"0",
        b'_' | b'.' => content.is_empty(),
        b'#' => matches!(content, b"t" | b"f"),
        _ => content.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)),
    }
}

/// Decodes the header of a bulk string, or of a chunk as if it were one.
fn bulk(bytes: &[u8], header: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
    let is_chunk = bytes.first() == Some(&b';');
    Ok(match resp::RespHeader.decode_header(header)? {
        Parsed::Header(Header { meta, payload_len, header_len }) => {
            let meta = if is_chunk { Meta::Chunk } else { Meta::Bulk(meta) };
            Parsed::Header(Header { meta, payload_len, header_len })
        }
        Parsed::Need(need) => Parsed::Need(need),
    })
}

impl Format for RespHeader {
    type Meta = Meta;
    type HeaderBuf = [u8; MAX_LINE_LEN];

    fn max_payload_len(&self) -> u64 {
        resp::RespHeader.max_payload_len()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some((&kind, rest)) = bytes.split_first() else { return Ok(Parsed::Need(1)) };
        match kind {
            b'!' | b'=' => return bulk(bytes, bytes),
            // A line only if it is `$?`.
            b'$' if rest.first() != Some(&b'?') => return bulk(bytes, bytes),
            // The last chunk, `;0`, is a line too: it has no payload with a line end of its own.
            b';' if rest.first() != Some(&b'0') => {
                let mut same = [0; MAX_BULK_HEADER_LEN];
                let beginning = bytes.get(..bytes.len().min(same.len())).unwrap_or_default();
                let (front, _) = same.split_at_mut(beginning.len());
                front.copy_from_slice(beginning);
                front.iter_mut().take(1).for_each(|kind| *kind = b'$');
                return bulk(bytes, front);
            }
            b'+' | b'-' | b':' | b'*' | b'_' | b'#' | b',' | b'(' | b'%' | b'~' | b'>' | b'|'
            | b'$' | b';' | b'.' => {}
            _ => return Err(refused("no type of RESP has this byte; does the peer speak RESP?")),
        }
        let Some(len) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            if bytes.len() >= MAX_LINE_LEN {
                return Err(refused("a line of RESP is longer than 1 KiB"));
            }
            return Ok(Parsed::Need(bytes.len() + 1));
        };
        let content = rest.get(..len).unwrap_or_default();
        if !fits(kind, content) {
            return Err(refused("a line of RESP has not what its type says"));
        }
        let meta = match (kind, content) {
            (b'*', b"-1") => Meta::NullArray,
            (b'$' | b'*' | b'%' | b'~' | b'>' | b'|', b"?") => Meta::Streamed(kind),
            (b';', _) => Meta::Chunk,
            (b'.', _) => Meta::End,
            _ => Meta::Line(kind),
        };
        Ok(Parsed::Header(Header { meta, payload_len: 0, header_len: 1 + len }))
    }

    fn encode_header(
        &self,
        _: &Meta,
        _: u64,
        _: &mut [u8; MAX_LINE_LEN],
    ) -> Result<usize, EncodeError> {
        Err(EncodeError::Meta)
    }
}

/// Returns a source of the frames of a stream of RESP.
pub(crate) fn source(limit: Option<u64>) -> Box<dyn Source> {
    let wire = Checked::new(RespHeader, EndBytes::new(*b"\r\n"));
    let limit = limit.unwrap_or(resp::DEFAULT_LIMIT).min(MAX_PAYLOAD_LEN);
    Box::new(Kept::with_view(Framing::new(wire).with_limit(limit), |meta, header, payload| {
        let line = match meta {
            Meta::Bulk(_) => payload,
            Meta::Chunk if !payload.is_empty() => payload,
            Meta::Chunk => &[],
            _ => header.get(1..).unwrap_or_default(),
        };
        (Label::Text(meta.to_string()), line)
    }))
}
