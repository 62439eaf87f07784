//! Messages with a `Content-Length`: the Language Server Protocol ("Base Protocol" of version 3.17),
//! and the Debug Adapter Protocol.
//!
//! | | |
//! | --- | --- |
//! | header | fields of the form `name: value`, each with CR LF, and an empty line; up to 1,024 bytes |
//! | the length covers | the payload: the content |
//! | max payload | 2^64 − 1 |
//! | meta | none; `frame.header_bytes()` has the other fields |
//! | refused | a header without `Content-Length`, or with two that differ; a length that is not 1 or more decimal digits, or over 2^64 − 1; a line without a colon, or with other bytes than those of a token before it; CR or LF alone, other control characters; a header of more than 1,024 bytes |
//! | left to the caller | the charset in `Content-Type` |
//!
//! The specification leaves details open. This format decides them as follows:
//!
//! - The name's case does not matter. Other fields may stand before and after it.
//! - Spaces and tabs may stand on both sides of the colon, and at the end of the line. A line that
//!   begins with one is refused.
//! - A sign (`+5`), a list (`5, 5`) and an empty value are refused. Leading zeros are accepted: `005`
//!   is 5, as in HTTP.
//! - Several fields with the same number are accepted, since they have one meaning only. Different
//!   numbers are refused.
//!
//! A line is checked once its end has arrived; a first byte that cannot begin a name, such as the `{` of
//! a message without a header, is refused at once. Each byte is searched for the end once.
//!
//! ```
//! use unstick_cookbook::lsp;
//!
//! let mut stream = &b"Content-Length: 2\r\n\r\n{}content-length:4 \r\nX: y\r\n\r\nnull"[..];
//! let framing = lsp::framing();
//! assert_eq!(framing.split_frame(&mut stream)?.expect("a whole message").payload, b"{}");
//! let message = framing.split_frame(&mut stream)?.expect("a whole message");
//! assert_eq!(message.payload, b"null");
//! assert_eq!(message.header_bytes(), b"content-length:4 \r\nX: y\r\n\r\n");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, decimal};

/// Returns the format with a limit of 1 MiB. The protocol has no limit.
#[must_use]
pub fn framing() -> Framing<ContentLength> {
    Framing::new(ContentLength)
}

/// A header of text with a `Content-Length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentLength;

const NAME: &[u8] = b"Content-Length";
/// The length of the shortest header: the name, a colon, a digit, and the end.
const MIN_HEADER_LEN: usize = NAME.len() + 2 + END.len();
const MAX_HEADER_LEN: usize = 1024;
const END: &[u8] = b"\r\n\r\n";

impl Format for ContentLength {
    type Meta = ();
    type HeaderBuf = [u8; MAX_HEADER_LEN];

    fn max_payload_len(&self) -> u64 {
        u64::MAX
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        self.resume_header(bytes, 0)
    }

    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<()>, HeaderError> {
        if seen == 0 && bytes.first().is_some_and(|byte| !is_token(*byte)) {
            return Err(Refusal::LspField.into());
        }
        let mut before = seen.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
        // No header ends after more bytes than there is room for.
        for (i, &byte) in bytes.iter().enumerate().take(MAX_HEADER_LEN).skip(seen) {
            match (before, byte) {
                (b'\r', b'\n') => {
                    let ended = bytes.get(..i - 1).unwrap_or_default();
                    if let [.., b'\r', b'\n'] = ended {
                        let payload_len = length_in(ended)?;
                        let header_len = i + 1;
                        return Ok(Parsed::Header(Header { meta: (), payload_len, header_len }));
                    }
                    // The line is what follows the end before it.
                    let line = ended.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                    length(line)?;
                }
                (b'\r', _) | (_, b'\n' | 0x7F) => return Err(Refusal::LspLine.into()),
                (_, b'\t' | b'\r' | b' '..) => {}
                _ => return Err(Refusal::LspLine.into()),
            }
            before = byte;
        }
        let arrived = match bytes {
            [.., b'\r', b'\n', b'\r'] => 3,
            [.., b'\r', b'\n'] => 2,
            [.., b'\r'] => 1,
            _ => 0,
        };
        let need = bytes.len() + END.len() - arrived;
        Ok(Parsed::Need(need.max(MIN_HEADER_LEN)))
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 1024]) -> Result<usize, EncodeError> {
        let mut digits = [0; 20];
        let used = decimal(len, &mut digits);
        let digits = digits.get(..used).unwrap_or_default();
        let mut used = 0;
        let bytes = NAME.iter().chain(b": ").chain(digits).chain(END);
        for (to, byte) in out.iter_mut().zip(bytes) {
            *to = *byte;
            used += 1;
        }
        Ok(used)
    }
}

/// Returns the length in the lines of a header, each of which is valid.
fn length_in(lines: &[u8]) -> Result<u64, Refusal> {
    let mut found = None;
    for line in lines.split(|byte| *byte == b'\n') {
        let [line @ .., b'\r'] = line else { continue }; // after the last line
        match (length(line)?, found) {
            (Some(len), Some(other)) if len != other => return Err(Refusal::LspLengths),
            (Some(len), _) => found = Some(len),
            (None, _) => {}
        }
    }
    found.ok_or(Refusal::LspNoLength)
}

/// Checks a line, and returns its number if it is a `Content-Length`.
fn length(line: &[u8]) -> Result<Option<u64>, Refusal> {
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next());
    let name = trim_end(name);
    let (false, Some(mut value)) = (name.is_empty() || !name.iter().copied().all(is_token), value)
    else {
        return Err(Refusal::LspField);
    };
    // The slices' own comparison has a path to a panic.
    if !name.iter().map(u8::to_ascii_lowercase).eq(NAME.iter().map(u8::to_ascii_lowercase)) {
        return Ok(None);
    }
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    let value = trim_end(value);
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::LspLength);
    }
    let len = value
        .iter()
        .try_fold(0_u64, |len, digit| len.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    len.map(Some).ok_or(Refusal::LspTooLong)
}

/// Removes spaces and tabs at the end.
fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Returns whether a field's name may contain this byte (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}
