//! Error messages of a stream with a hint: the command knows all formats, so it can guess more than
//! the library does.

use unstick::{DecodeError, Format, HeaderError, Kind, Parsed};

use crate::format::AnyFormat;
use crate::v1::without_advice;
use crate::wire::AnyWire;

/// The first three bytes of HTTP requests and responses.
const HTTP: [&[u8]; 8] = [b"GET", b"POS", b"PUT", b"HEA", b"DEL", b"OPT", b"PAT", b"HTT"];

/// The hints for a first byte of TLS: of a handshake, and of an alert.
const TLS_HELLO: &str = "it is that of TLS; listen with --tls-cert or --tls-self-signed, or inspect it with --format tls";
const TLS_ALERT: &str =
    "it is that of an alert of TLS, so the peer speaks TLS; give --tls-ca or --tls-pin";

/// Formats a decode error of a stream of this format, with a hint if there is one.
pub(crate) fn explain(error: &DecodeError, wire: impl Into<AnyWire>) -> String {
    let text = without_code(error);
    match guess(error, wire.into()) {
        Some(guess) => format!("{}; {guess}", without_advice(&text)),
        None => text,
    }
}

/// Returns the stream offset of the byte that caused the error.
pub(crate) fn byte_of(error: &DecodeError) -> u64 {
    let index = match error {
        DecodeError::Header { error, .. } => match error {
            HeaderError::UnsupportedVersion { .. } => 1,
            HeaderError::InvalidKind => 2,
            HeaderError::BadCheck { .. } => 7,
            _ => 0,
        },
        _ => 0,
    };
    error.at().saturating_add(index)
}

/// Formats the error with the offset of its byte, and with that of its frame if it differs. `wire` is the
/// stream's format, if the command exchanges it.
pub(crate) fn explain_at(error: &DecodeError, wire: Option<AnyWire>) -> String {
    let text = match wire {
        Some(wire) => explain(error, wire),
        None => without_code(error),
    };
    let (at, byte) = (error.at(), byte_of(error));
    match text.strip_prefix(&format!("byte {byte}: ")) {
        Some(what) if byte != at => format!("byte {byte}, in the frame at byte {at}: {what}"),
        _ => text,
    }
}

/// Formats a decode error without the code of a format that is not the library's: it says nothing to people.
pub(crate) fn without_code(error: &DecodeError) -> String {
    error.to_string().replace(&format!(" (code {:#06x})", error.code()), "")
}

/// Returns the format that a stream beginning with these bytes has: its name for `inspect`, and what it
/// is called. `None` if it is neither HTTP/1 nor RESP.
pub(crate) fn looks_like(beginning: &[u8]) -> Option<(&'static str, &'static str)> {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
    ];
    if beginning.starts_with(b"HTTP/1.")
        || METHODS.iter().any(|method| beginning.starts_with(method))
    {
        return Some(("http1", "HTTP/1"));
    }
    let (kind, rest) = beginning.split_first()?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = rest.get(..end)?;
    let is_resp = match kind {
        b'*' | b'$' | b':' | b'%' | b'~' | b'>' => {
            !line.is_empty() && line.iter().all(u8::is_ascii_digit)
        }
        b'+' => matches!(line, b"OK" | b"PONG" | b"QUEUED"),
        b'-' => {
            line.starts_with(b"ERR ") || line.starts_with(b"WRONG") || line.starts_with(b"NOAUTH")
        }
        _ => false,
    };
    is_resp.then_some(("resp", "Redis"))
}

/// Guesses a more likely cause than a peer that really sent these bytes in this format.
pub(crate) fn guess(error: &DecodeError, wire: AnyWire) -> Option<String> {
    match (*error, wire) {
        (
            DecodeError::Header {
                error: HeaderError::UnsupportedVersion { found, supported }, ..
            },
            _,
        ) if [found, supported] == [1, 2] || [found, supported] == [2, 1] => {
            Some(format!("try --format v{found}"))
        }
        (DecodeError::Header { error: HeaderError::BadMagic { found: 0x16 }, .. }, _) => {
            Some(TLS_HELLO.to_owned())
        }
        (DecodeError::Header { error: HeaderError::BadMagic { found: 0x15 }, .. }, _) => {
            Some(TLS_ALERT.to_owned())
        }
        _ if wire.is_v1() => None,
        (DecodeError::Oversize { len, limit, .. }, AnyWire::Format(format)) => {
            about_protocol(format, len).or_else(|| about_length(format, len, limit))
        }
        (
            DecodeError::Header { error: HeaderError::NegativeLength { found: 0xf5, .. }, .. },
            AnyWire::Format(format),
        ) if format.name() == Some("i32be") => Some("try --format v1".to_owned()),
        (DecodeError::Truncated { .. }, _) => {
            Some("was the connection cut, or is it another format?".to_owned())
        }
        (DecodeError::TooLong { .. }, _) => {
            Some("raise the limit if the peer is right, or is it another format?".to_owned())
        }
        _ => None,
    }
}

/// Guesses the actual protocol from a length over the limit, for formats in which such a length
/// points to one protocol.
fn about_protocol(format: AnyFormat, len: u64) -> Option<String> {
    match format {
        AnyFormat::Http2(_) if HTTP.contains(&len.to_be_bytes().get(5..)?) => {
            Some("it is text; is the peer speaking HTTP/1.1?".to_owned())
        }
        _ => None,
    }
}

/// Guesses what else the bytes of a length over the limit may be: a v1 header, text, or the other
/// byte order.
fn about_length(format: AnyFormat, len: u64, limit: u64) -> Option<String> {
    let mut header = format.empty_header();
    let used = format.encode_header(&format.plain_meta(Kind::TEXT), len, &mut header).ok()?;
    let header = header.get(..used)?;
    let field = format.length_field(header)?;
    if field.starts_with(&[0xf5, 0x01]) {
        return Some("its bytes begin a v1 frame; try --format v1".to_owned());
    }
    if field.starts_with(&[0x16, 3]) {
        return Some(
            "these bytes begin a handshake of TLS; does this side need --tls-cert?".to_owned(),
        );
    }
    if field.starts_with(&[0x15, 3]) {
        return Some("these bytes begin an alert of TLS; give --tls-ca or --tls-pin".to_owned());
    }
    if field.len() > 1 && field.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        let text = String::from_utf8_lossy(field);
        let what = if HTTP.iter().any(|begin| field.starts_with(begin)) {
            "HTTP"
        } else {
            "a protocol of text lines"
        };
        return Some(format!("these bytes are \"{text}\"; is the peer speaking {what}?"));
    }
    let (other, how) = format.other_order()?;
    match other.decode_header(header) {
        Ok(Parsed::Header(header)) if header.payload_len <= limit => {
            Some(format!("in the other byte order it would be {}; try {how}", header.payload_len))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use unstick::Decoder;

    use super::*;

    #[test]
    fn common_mistakes_get_a_hint() {
        let table: [(&str, &[u8], &str); 13] = [
            (
                "i32le",
                b"\0\0\0\x05",
                "and the limit is 1048576; in the other byte order it would be 5; try --format i32be",
            ),
            ("u32be", b"\x05\0\0\0", "it would be 5; try --format u32le"),
            ("field:header=6,offset=2,width=4", b"xx\x05\0\0\0", "it would be 5; try order=le"),
            ("field:width=4,order=le,covers=frame", b"\0\0\0\x05", "it would be 1; try order=be"),
            ("u32be", b"GET /", "; these bytes are \"GET \"; is the peer speaking HTTP?"),
            ("u32le", b"HTTP/1.1", "; these bytes are \"HTTP\"; is the peer speaking HTTP?"),
            ("u64le", b"SSH-2.0-", "\"SSH-2.0-\"; is the peer speaking a protocol of text lines?"),
            ("u32be", b"\xf5\x01\x01\0\0\0\x02", "try --format v1"),
            ("i32be", b"\xf5\x01\x01\0\0\0\x02", "its top byte is 0xf5); try --format v1"),
            ("u32be", b"\x16\x03\x01\x02", "a handshake of TLS; does this side need --tls-cert?"),
            ("u32be", b"\x15\x03\x03\0\x02", "an alert of TLS; give --tls-ca or --tls-pin"),
            ("u32be", b"\x7f\xff\xff\xff", "raise the limit if the peer is right"),
            ("varint", b"\xff\xff\xff\xff\x0f", "raise the limit if the peer is right"),
        ];
        for (format, bytes, expected) in table {
            let format = format.parse::<AnyWire>().unwrap().format().unwrap();
            let mut decoder = Decoder::with_framing(format);
            let error = decoder.decode(&mut &bytes[..]).unwrap_err();
            let text = explain(&error, format);
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[test]
    fn tls_in_place_of_version_1_is_named() {
        let v1: AnyWire = "v1".parse().unwrap();
        for (found, what) in
            [(0x16, "--tls-self-signed"), (0x15, "the peer speaks TLS; give --tls-ca")]
        {
            let error = HeaderError::BadMagic { found };
            let text = explain(&DecodeError::Header { at: 0, error }, v1);
            assert!(text.contains(what), "{text}");
        }
    }

    #[test]
    fn a_truncated_stream_hints_at_another_format() {
        let error = DecodeError::Truncated { at: 9, missing: 2, part: unstick::Part::Payload };
        let format: AnyWire = "u16le".parse().unwrap();
        assert!(
            explain(&error, format).ends_with("; was the connection cut, or is it another format?")
        );
        let v1: AnyWire = "v1".parse().unwrap();
        assert!(explain(&error, v1).ends_with("; was the connection cut?"));
    }
}
