//! Reads an HTTP/1.1 response: its head is a header that ends in a mark, and says how long the
//! body is. The parser is `httparse`; that the bytes come in pieces is not its concern.
//!
//! ```console
//! cargo run --example http_response -- 127.0.0.1:8000 /index.html
//! ```

use std::io::Write;
use std::net::TcpStream;

use unstick::io::FrameReader;
use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

/// Responses with a `Content-Length`, such as a server of files sends.
struct HttpResponse;

type Status = u16;

const END: &[u8] = b"\r\n\r\n";

// A format's own refusals: numbers from 0x8000.
const NO_HTTP: HeaderError =
    HeaderError::Custom { code: 0x8001, text: "this is no response of HTTP/1.1" };
const NO_LENGTH: HeaderError =
    HeaderError::Custom { code: 0x8002, text: "the response has no valid `Content-Length`" };

impl Format for HttpResponse {
    type Meta = Status;
    type HeaderBuf = [u8; 8192]; // the longest head

    fn max_payload_len(&self) -> u64 {
        u64::MAX
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Status>, HeaderError> {
        self.resume_header(bytes, 0)
    }

    /// The end of the head is looked for in new bytes only, and the head is parsed once it is here.
    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<Status>, HeaderError> {
        if bytes.iter().zip(b"HTTP/1.1 ").any(|(found, expected)| found != expected) {
            return Err(NO_HTTP); // no reason to wait for more
        }
        let from = seen.saturating_sub(END.len() - 1);
        let mut windows = bytes.windows(END.len()).skip(from);
        let Some(at) = windows.position(|window| window == END) else {
            return Ok(Parsed::Need(bytes.len() + 1));
        };
        let header_len = from + at + END.len();
        let (meta, payload_len) = parse(bytes.get(..header_len).unwrap_or_default())?;
        Ok(Parsed::Header(Header { meta, payload_len, header_len }))
    }

    fn encode_header(&self, _: &Status, _: u64, _: &mut [u8; 8192]) -> Result<usize, EncodeError> {
        Err(EncodeError::Meta) // it reads only
    }
}

/// The status, and how long the body is.
fn parse(head: &[u8]) -> Result<(Status, u64), HeaderError> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(head);
    let status = response.code.ok_or(NO_HTTP)?;
    if parsed != Ok(httparse::Status::Complete(head.len())) {
        return Err(NO_HTTP);
    }
    if matches!(status, 100..200 | 204 | 304) {
        return Ok((status, 0));
    }
    let values = |name| {
        let fields = response.headers.iter();
        fields.filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    };
    let mut lengths = values("Content-Length");
    match (lengths.next(), lengths.next(), values("Transfer-Encoding").next()) {
        (Some(length), None, None) if length.iter().all(u8::is_ascii_digit) => {
            let length = std::str::from_utf8(length).map_err(|_| NO_LENGTH)?;
            Ok((status, length.parse().map_err(|_| NO_LENGTH)?))
        }
        _ => Err(NO_LENGTH), // chunked, until the end, or an attempt to smuggle
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, addr, path] =
        std::env::args().collect::<Vec<_>>().try_into().map_err(|_| "ADDR PATH")?;
    let mut socket = TcpStream::connect(&addr)?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;

    let framing = Framing::new(HttpResponse).with_limit(16 << 20); // the longest body
    let mut reader = FrameReader::with_framing(socket, framing);
    let response = reader.next_frame()?.ok_or("the server ended without a response")?;
    eprintln!("status {}, {} bytes", response.meta, response.payload.len());
    std::io::stdout().write_all(response.payload)?;
    Ok(())
}
