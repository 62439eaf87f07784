//! The formats of the page: the command's list, with bytes to look at for each.

use unstick::{EncodeError, Framing, Kind, Wire};
use unstick_session::message::{Close, Code, Hello, Message};

use crate::format::{AnyMeta, Meta};
use crate::shared::format_list::FORMATS;
use crate::term::hex;
use crate::wire::{AnyWire, with_wire};

/// A format.
pub(crate) struct Listed {
    /// Its name, as `--format` takes it.
    pub(crate) name: String,
    /// What ends a frame, or that it is a protocol.
    pub(crate) group: &'static str,
    /// What a frame is.
    pub(crate) what: &'static str,
    pub(crate) example: Vec<u8>,
}

/// Returns all formats. Those with parameters stand in the list with some.
pub(crate) fn all() -> Vec<Listed> {
    let formats = FORMATS.iter().flat_map(|(group, formats)| {
        formats.iter().map(move |(names, _, what)| (*group, *names, *what))
    });
    formats
        .flat_map(|(group, names, what)| {
            names.split(", ").map(move |name| {
                let name = match name {
                    "field:KEYS" => "field:header=4,offset=1,width=2,order=be,covers=frame",
                    "delim:HEX" => "delim:2c20",
                    "fixed:N" => "fixed:8",
                    name => name,
                };
                Listed { name: name.to_owned(), group, what, example: example(name) }
            })
        })
        .collect()
}

/// Encodes a frame. `header` is the name of a kind, or a whole header in bytes whose other fields are
/// taken; without one, a text, or zeros.
pub(crate) fn encode(
    wire: AnyWire,
    header: Option<&[u8]>,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let is_plain = match wire {
        AnyWire::Format(format) => format.is_plain(),
        AnyWire::Checked(checked) => checked.is_plain(),
        AnyWire::Mark(_) | AnyWire::Hdlc => true,
    };
    let meta = match header {
        None if !is_plain => {
            return Err("this format needs a header: its fields are more than a length".to_owned());
        }
        None => wire.plain_meta(Kind::TEXT),
        Some(name) if wire.has_kinds() => {
            let name = std::str::from_utf8(name).map_err(|error| error.to_string())?;
            AnyMeta::Kind(crate::v1::parse_kind(name)?)
        }
        Some(header) => wire
            .header_meta(header)
            .ok_or("this is no header of the format, or the format is only decoded")?,
    };
    fn run<W: Wire<Meta: Meta>>(
        framing: Framing<W>,
        meta: &AnyMeta,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let encoded = match W::Meta::from_any(meta) {
            Some(meta) => framing.encode(meta, payload, out),
            None => Err(EncodeError::Meta),
        };
        encoded.map_err(|error| error.to_string())
    }
    with_wire!(wire, |wire_of| run(wire.limited(wire_of, None), &meta, payload, out))
}

/// Returns bytes in a format. There is a test that each has frames and no error.
fn example(name: &str) -> Vec<u8> {
    if let Some(raw) = raw(name) {
        return hex::parse(&raw).unwrap_or_default();
    }
    if let Some((_, text)) = TEXTS.iter().find(|(of, _)| *of == name) {
        return text.as_bytes().to_vec();
    }
    let Ok(wire) = name.parse::<AnyWire>() else { return Vec::new() };
    let mut out = Vec::new();
    if wire.is_v1() {
        conversation(&mut out);
        return out;
    }
    let headed = HEADED.iter().filter(|(of, ..)| *of == name);
    let headed = headed.map(|(_, header, payload)| (Some(*header), *payload));
    let payloads: &[&[u8]] = match name {
        "fixed:8" => &[b"fixed 01", b"fixed 02", b"fixed 03"],
        "lsp" => &[
            br#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
            br#"{"jsonrpc":"2.0","method":"exit"}"#,
        ],
        "protobuf" => &[b"\x0a\x03bob", b"\x0a\x05alice\x10\x2a"],
        "chunked" => &[b"Wiki", b"pedia in\r\n\r\nchunks.", b""],
        "cobs" => &[b"a\0b", b"no zero", b"\0\0"],
        "slip" => &[b"a\xc0b", b"plain", b"\xdb!"],
        "hdlc" => &[b"a~b", b"plain", b"}!"],
        _ => &[b"hello", "粘包".as_bytes(), b"", b"two messages, one read"],
    };
    let plain = payloads.iter().map(|payload| (None, *payload));
    let all: Vec<(Option<&[u8]>, &[u8])> = match HEADED.iter().any(|(of, ..)| *of == name) {
        true => headed.collect(),
        false => plain.collect(),
    };
    for (header, payload) in all {
        let _ = encode(wire, header, payload, &mut out);
    }
    out
}

/// A conversation of version 1, one side of it.
fn conversation(out: &mut Vec<u8>) {
    let messages = [
        Message::Hello(Hello { limit: 1 << 20, name: "page" }),
        Message::Text("hello"),
        Message::Text("a naïve read takes two for one"),
        Message::Binary(&[0, 1, 2, 0xf5, 1, 0xff]),
        Message::Ping(b"?"),
        Message::Close(Close { code: Code::NO_ERROR, reason: "done" }),
    ];
    for message in messages {
        let Ok(encoded) = message.encode() else { continue };
        let _ = Framing::new(unstick::V1).encode(encoded.kind(), encoded.to_payload(), out);
    }
}

/// Formats whose headers have other fields: a header, and a payload for it.
const HEADED: &[(&str, &[u8], &[u8])] = &[
    ("ubx", b"\xb5\x62\x05\x01\x02\0", b"\x06\x01"),
    ("ubx", b"\xb5\x62\x01\x03\x10\0", b"\x40\xe2\x01\0\x03\xdd\0\x08\x98\x3a\0\0\x10\x27\0\0"),
    ("mavlink", b"\xfe\x09\x01\x01\x01\0", b"\0\0\0\0\x02\x03\x51\x04\x03"),
    ("mavlink", b"\xfe\x09\x02\x01\x01\0", b"\0\0\0\0\x02\x03\xd1\x04\x03"),
    ("modbus-rtu-request", b"\x11\x03", b"\0\x6b\0\x03"),
    ("modbus-rtu-request", b"\x11\x06", b"\0\x01\0\x03"),
    ("modbus-rtu-response", b"\x11\x03\x06", b"\xae\x41\x56\x52\x43\x40"),
    ("modbus-rtu-response", b"\x11\x03\x02", b"\x02\x2b"),
];

/// Protocols of text.
const TEXTS: &[(&str, &str)] = &[
    ("lines", "HELO page\r\nstuck\nMAIL FROM:<a@example.org>\r\nQUIT\n"),
    ("crlf", "HELO page\r\na lone \n stays\r\nQUIT\r\n"),
    ("delim:2c20", "one, two, three,four, "),
    (
        "resp",
        "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n+OK\r\n:42\r\n$-1\r\n-ERR no such key\r\n",
    ),
    (
        "http1",
        "GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n\
         POST /echo HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nhello\
         POST /wiki HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n\
         4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n",
    ),
];

/// Protocols in bytes.
fn raw(name: &str) -> Option<String> {
    Some(match name {
        "dns" => "001d 1234 0100 0001 0000 0000 0000 076578616d706c6503636f6d00 0001 0001 \
             001d 1235 0100 0001 0000 0000 0000 076578616d706c65036f726700 001c 0001"
            .to_owned(),
        "kafka" => "00000011 0012 0000 00000001 0007756e737469636b \
             00000013 0003 0000 00000002 0007756e737469636b 0000"
            .to_owned(),
        "postgres-startup" => "00000012 00030000 7573657200 626f6200 00".to_owned(),
        "postgres" => {
            "00000012 00030000 7573657200 626f6200 00 51 0000000e 53454c45435420313b00 58 00000004"
                .to_owned()
        }
        "tpkt" => "03 00 000b 06e00000000100 03 00 000b 02f080 32010000".to_owned(),
        "9p" => "13000000 64 ffff 00200000 0600 395032303030 0b000000 78 0100 01000000".to_owned(),
        "grpc" => "00 00000005 0a03626f62 00 0000000b 0a0948656c6c6f20626f62".to_owned(),
        "http2" => {
            "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a 000006 04 00 00000000 000300000064 \
             000003 01 05 00000001 828684 000008 06 00 00000000 0102030405060708 \
             000005 00 01 00000001 68656c6c6f"
                .to_owned()
        }
        "modbus" => "0001 0000 0006 11 03 006b0003 0002 0000 0006 11 06 00010003 \
             0001 0000 0009 11 03 06ae4156524340"
            .to_owned(),
        "mqtt" => {
            "10 10 00044d515454 04 02 003c 000470616765 30 0c 0005612f622f63 68656c6c6f c000 e000"
                .to_owned()
        }
        "mysql" => "09000000 03 53454c4543542031 01000000 0e 01000000 01".to_owned(),
        "tls" => {
            "16 0301 0004 01000000 17 0303 0010 8f1d3a5c70e2b4960c4f81a7d3e5f910 15 0303 0002 0100"
                .to_owned()
        }
        "websocket" => {
            let opening = "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\n\
                           Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                           Sec-WebSocket-Version: 13\r\n\r\n";
            let frames = " 81 85 37fa213d 7f9f4d5158 89 82 01020304 6f6d \
                          82 84 a1b2c3d4 a0b0c0d0 88 82 00000000 03e8";
            crate::term::preview::plain_hex(opening.as_bytes()) + frames
        }
        _ => return None,
    })
}
