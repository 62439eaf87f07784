//! Modbus RTU, on serial lines (MODBUS over Serial Line Specification V1.02, section 2.5.1; function
//! codes: MODBUS Application Protocol Specification V1.1b3, chapter 6).
//!
//! | | |
//! | --- | --- |
//! | header | address (1 byte), function code (1), and the function's fields up to its byte count |
//! | the length covers | the payload: the data after the header |
//! | check | CRC-16/MODBUS over header and payload, least significant byte first |
//! | max payload | 255, or 65,535 for the response to a read of a queue; 251 of a valid frame of 256 bytes |
//! | meta | address, function code, and the fields before the byte count |
//! | refused | function codes whose frames do not have a length that follows from their header |
//! | left to the caller | silence on the line; that a quantity fits the byte count |
//!
//! A frame of RTU has no length. It ends with a silence of 3.5 characters, which a decoder of bytes does
//! not see. But the length of most frames follows from the function code, and from a byte count for some
//! functions. It depends on the direction: a request to read registers has 8 bytes, the response has a
//! byte count. So there are two formats: [`request_framing`] for a server, which reads requests, and
//! [`response_framing`] for a client, which reads responses.
//!
//! What remains to the caller:
//!
//! - A clock. If the line is silent for 3.5 characters within a frame, the frame is lost: drop what has
//!   arrived (`reset`), and continue with the next byte. A check that differs is treated likewise, at the
//!   next silence.
//! - The direction. On a bus, a server also receives the responses of other servers, and cannot tell them
//!   from requests by their bytes. Only silence separates these frames: read up to a silence and pass the
//!   bytes as a whole, for example to [`CRC`], instead of a stream.
//!
//! | code | function | request: header, payload | response: header, payload |
//! | --- | --- | --- | --- |
//! | 01 to 04 | read coils, inputs and registers | 2, 4 | 3, byte count |
//! | 05, 06 | write a coil or register | 2, 4 | 2, 4 |
//! | 07 | read the exception status | 2, 0 | 2, 1 |
//! | 08 | diagnostics, except sub-function 0 | 4, 2 | 4, 2 |
//! | 0B | get the event counter | 2, 0 | 2, 4 |
//! | 0C, 11 | get the event log, report the server's identifier | 2, 0 | 3, byte count |
//! | 0F, 10 | write coils and registers | 7, byte count | 2, 4 |
//! | 14, 15 | read and write a file record | 3, byte count | 3, byte count |
//! | 16 | mask a register | 2, 6 | 2, 6 |
//! | 17 | read and write registers | 11, byte count | 3, byte count |
//! | 18 | read a queue | 2, 2 | 4, byte count (2 bytes) |
//! | 81 to FF | exception | refused | 2, 1 |
//!
//! Refused: sub-function 0 of 08 (it returns any data), 2B (encapsulated interfaces), and codes that are
//! not in the table.
//!
//! ```
//! use unstick_cookbook::modbus_rtu::{self, Meta};
//!
//! // Read three registers of server 17.
//! let mut stream = &b"\x11\x03\x00\x6b\x00\x03\x76\x87"[..];
//! let request = modbus_rtu::request_framing().split_frame(&mut stream)?.expect("a whole request");
//! assert_eq!(request.meta, Meta::new(17, 3));
//! assert_eq!(request.payload, b"\x00\x6b\x00\x03");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::check::Crc16Modbus;
use unstick::{Checked, EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::Refusal;

/// The maximum payload of a frame of 256 bytes: without the shortest header that has a byte count, and
/// without the check.
const MAX_PAYLOAD_LEN: u64 = 251;

/// The check of a frame.
pub const CRC: Crc16Modbus = Crc16Modbus::new();

/// Requests, as a server reads them.
pub type ModbusRtuRequest = Checked<RequestHeader, Crc16Modbus>;
/// Responses, as a client reads them.
pub type ModbusRtuResponse = Checked<ResponseHeader, Crc16Modbus>;

/// Returns the format of requests with the limit of a frame of 256 bytes.
#[must_use]
pub const fn request_framing() -> Framing<ModbusRtuRequest> {
    Framing::new(Checked::new(RequestHeader, CRC)).with_limit(MAX_PAYLOAD_LEN)
}

/// Returns the format of responses with the limit of a frame of 256 bytes.
#[must_use]
pub const fn response_framing() -> Framing<ModbusRtuResponse> {
    Framing::new(Checked::new(ResponseHeader, CRC)).with_limit(MAX_PAYLOAD_LEN)
}

/// The beginning of a request, up to its byte count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RequestHeader;

/// The beginning of a response, up to its byte count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResponseHeader;

/// The header's fields other than the byte count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The address of the server; 0 in a request to all of them.
    pub address: u8,
    /// The function code. In a response with an exception, its top bit is set.
    pub function: u8,
    /// The function's fields in the header, and zeros after them. A request 0F or 10: the first address,
    /// and the quantity. A request 17: these two of the read, then these two of the write. Function 08:
    /// the sub-function. Others have none.
    pub fields: [u16; 4],
}

impl Meta {
    /// Creates the fields of a function that has none in its header.
    #[must_use]
    pub const fn new(address: u8, function: u8) -> Self {
        Self { address, function, fields: [0; 4] }
    }

    /// Returns whether this is a response with an exception.
    #[must_use]
    pub const fn is_exception(self) -> bool {
        self.function & 0x80 != 0
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {}, function 0x{:02x}", self.address, self.function & 0x7F)?;
        f.write_str(if self.is_exception() { ", exception" } else { "" })
    }
}

/// What follows a function code.
#[derive(Clone, Copy)]
struct Layout {
    /// The number of 16-bit fields in the header.
    fields: usize,
    len: Len,
}

/// The length of the payload.
#[derive(Clone, Copy)]
enum Len {
    /// This many bytes.
    Fixed(u8),
    /// What the next byte says.
    Count,
    /// What the next two bytes say.
    WideCount,
}

/// Returns the layout of a function's requests.
fn request(function: u8) -> Option<Layout> {
    let (fields, len) = match function {
        0x01..=0x06 => (0, Len::Fixed(4)),
        0x07 | 0x0B | 0x0C | 0x11 => (0, Len::Fixed(0)),
        0x08 => (1, Len::Fixed(2)),
        0x0F | 0x10 => (2, Len::Count),
        0x14 | 0x15 => (0, Len::Count),
        0x16 => (0, Len::Fixed(6)),
        0x17 => (4, Len::Count),
        0x18 => (0, Len::Fixed(2)),
        _ => return None,
    };
    Some(Layout { fields, len })
}

/// Returns the layout of a function's responses.
fn response(function: u8) -> Option<Layout> {
    let (fields, len) = match function {
        0x01..=0x04 | 0x0C | 0x11 | 0x14 | 0x15 | 0x17 => (0, Len::Count),
        0x05 | 0x06 | 0x0B | 0x0F | 0x10 => (0, Len::Fixed(4)),
        0x07 | 0x80.. => (0, Len::Fixed(1)),
        0x08 => (1, Len::Fixed(2)),
        0x16 => (0, Len::Fixed(6)),
        0x18 => (0, Len::WideCount),
        _ => return None,
    };
    Some(Layout { fields, len })
}

/// The function whose layout depends on a field, and the value that has none.
const DIAGNOSTICS: u8 = 0x08;
const RETURN_QUERY_DATA: u16 = 0;

/// The length of the longest header.
const MAX_HEADER_LEN: usize = 11;

type LayoutOf = fn(u8) -> Option<Layout>;

fn decode(layout_of: LayoutOf, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
    let Some(&[address, function]) = bytes.first_chunk() else { return Ok(Parsed::Need(2)) };
    let Layout { fields, len } = layout_of(function).ok_or(Refusal::ModbusFunction)?;
    let counted = match len {
        Len::Fixed(_) => 0,
        Len::Count => 1,
        Len::WideCount => 2,
    };
    let header_len = 2 + 2 * fields + counted;
    let Some(rest) = bytes.get(2..header_len) else { return Ok(Parsed::Need(header_len)) };
    let mut meta = Meta::new(address, function);
    let (mut words, count) = rest.split_at_checked(2 * fields).unwrap_or_default();
    for field in &mut meta.fields {
        let Some((word, rest)) = words.split_first_chunk() else { break };
        (*field, words) = (u16::from_be_bytes(*word), rest);
    }
    if !is_derivable(&meta) {
        return Err(Refusal::ModbusQueryData.into());
    }
    let payload_len = match len {
        Len::Fixed(len) => len.into(),
        _ => count.iter().fold(0, |count, byte| count << 8 | u64::from(*byte)),
    };
    Ok(Parsed::Header(Header { meta, payload_len, header_len }))
}

fn encode(
    layout_of: LayoutOf,
    meta: &Meta,
    len: u64,
    out: &mut [u8; MAX_HEADER_LEN],
) -> Result<usize, EncodeError> {
    let layout = layout_of(meta.function).ok_or(EncodeError::Meta)?;
    let unused = meta.fields.iter().skip(layout.fields);
    if !is_derivable(meta) || unused.copied().any(|field| field != 0) {
        return Err(EncodeError::Meta);
    }
    let [.., c1, c0] = len.to_be_bytes();
    let (counted, count): (u64, &[u8]) = match layout.len {
        Len::Fixed(expected) if len != u64::from(expected) => {
            return Err(EncodeError::WrongLength { len, expected: expected.into() });
        }
        Len::Fixed(_) => (len, &[]),
        Len::Count => (0xFF, &[c0]),
        Len::WideCount => (0xFFFF, &[c1, c0]),
    };
    if len > counted {
        return Err(EncodeError::Oversize { len, limit: counted });
    }
    let fields = meta.fields.iter().take(layout.fields).flat_map(|field| field.to_be_bytes());
    let bytes =
        [meta.address, meta.function].into_iter().chain(fields).chain(count.iter().copied());
    let mut used = 0;
    for (to, byte) in out.iter_mut().zip(bytes) {
        *to = byte;
        used += 1;
    }
    Ok(used)
}

/// Returns whether the length of a frame with these fields follows from them.
fn is_derivable(meta: &Meta) -> bool {
    let [first, ..] = meta.fields;
    meta.function != DIAGNOSTICS || first != RETURN_QUERY_DATA
}

impl Format for RequestHeader {
    type Meta = Meta;
    type HeaderBuf = [u8; MAX_HEADER_LEN];

    fn max_payload_len(&self) -> u64 {
        0xFF
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        decode(request, bytes)
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; MAX_HEADER_LEN],
    ) -> Result<usize, EncodeError> {
        encode(request, meta, len, out)
    }
}

impl Format for ResponseHeader {
    type Meta = Meta;
    type HeaderBuf = [u8; MAX_HEADER_LEN];

    fn max_payload_len(&self) -> u64 {
        0xFFFF
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        decode(response, bytes)
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; MAX_HEADER_LEN],
    ) -> Result<usize, EncodeError> {
        encode(response, meta, len, out)
    }
}
