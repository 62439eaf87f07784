//! The names of the formats for `--format`, by what ends a frame, and what each is.

/// Which commands take a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All that have `--format`.
    Everywhere,
    /// The same, but to send it `--header` is needed.
    WithHeader,
    /// `inspect` alone.
    Inspected,
}
use Taken::{Everywhere, Inspected, WithHeader};

/// A name, which commands take it, and what a frame is.
pub(crate) type Listed = (&'static str, Taken, &'static str);

/// The formats by their headings.
pub(crate) const FORMATS: [(&str, &[Listed]); 5] = [
    (
        "A length in front",
        &[
            (
                "v1",
                Everywhere,
                "the project's own: kinds, hello, ping, close and files (the default)",
            ),
            ("u8", Everywhere, "1 byte"),
            ("u16be, u16le", Everywhere, "2 bytes, big-endian or little-endian"),
            ("u24be, u24le", Everywhere, "3 bytes"),
            ("u32be, u32le", Everywhere, "4 bytes"),
            ("u64be, u64le", Everywhere, "8 bytes"),
            ("i32be, i32le", Everywhere, "4 bytes, with a sign that is never set"),
            ("varint", Everywhere, "1 to 10 bytes, 7 bits in each (LEB128)"),
            (
                "field:KEYS",
                Everywhere,
                "a longer header, such as field:header=4,offset=1,width=2,order=be,covers=frame; order \
                 is be or le; covers is payload, rest (all after the length) or frame",
            ),
        ],
    ),
    (
        "A mark at the end",
        &[
            ("lines", Everywhere, "\\n; a \\r before it belongs to the end"),
            ("crlf", Everywhere, "\\r\\n"),
            ("nul", Everywhere, "a zero byte"),
            ("delim:HEX", Everywhere, "any bytes, such as delim:0d0a"),
            ("cobs", Everywhere, "a zero byte, which COBS removes from the payload"),
            ("slip", Everywhere, "c0, with the escapes of SLIP (RFC 1055)"),
            ("hdlc", Everywhere, "7e, with the escapes of PPP (RFC 1662) and an FCS-16"),
        ],
    ),
    ("Neither", &[("fixed:N", Everywhere, "all frames have N bytes, such as fixed:188")]),
    (
        "A check after the payload",
        &[
            (
                "v2",
                Everywhere,
                "the header and kinds of v1 with a CRC-32C; no hello, close and files",
            ),
            ("netstring", Everywhere, "netstrings; the check is the comma"),
            ("chunked", Everywhere, "chunks of an HTTP/1.1 body"),
            ("resp", WithHeader, "bulk strings of RESP (Redis); inspect reads all types"),
            ("ubx", WithHeader, "UBX of u-blox receivers"),
            ("mavlink", WithHeader, "MAVLink 1 and 2"),
            ("modbus-rtu-request", WithHeader, "Modbus RTU, what the client sends"),
            ("modbus-rtu-response", WithHeader, "Modbus RTU, what the server sends"),
        ],
    ),
    (
        "Other protocols",
        &[
            ("dns", Everywhere, "DNS over TCP"),
            ("kafka", Everywhere, "Kafka"),
            ("lsp", Everywhere, "the Language Server Protocol"),
            ("postgres-startup", Everywhere, "the first message of a PostgreSQL client"),
            ("protobuf", Everywhere, "protocol buffers with a varint in front"),
            ("tpkt", Everywhere, "TPKT, of ISO transport over TCP (RFC 1006)"),
            ("9p", Inspected, "9P"),
            ("grpc", Inspected, "messages of gRPC"),
            ("http1", Inspected, "requests and responses of HTTP/1 with their bodies"),
            ("http2", Inspected, "frames of HTTP/2"),
            ("modbus", Inspected, "Modbus TCP"),
            ("mqtt", Inspected, "MQTT"),
            ("mysql", Inspected, "packets of MySQL and MariaDB"),
            ("postgres", Inspected, "messages of PostgreSQL"),
            ("tls", Inspected, "records of TLS"),
            ("websocket", Inspected, "WebSocket, after its HTTP handshake or without it"),
        ],
    ),
];
