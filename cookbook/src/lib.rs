#![no_std]
//! The framing of twenty existing protocols, a short module for each.
//!
//! Each module states what the length covers, the maximum payload, the header's other fields, and
//! which bytes are refused. Its example decodes bytes from the protocol's specification, or from a
//! program that speaks it. `framing()` returns the format with the limit that the protocol defines
//! for every receiver, or with the default of 1 MiB if it defines none.
//!
//! # Headers that announce a length
//! | protocol | format | the length covers | max payload | limit of `framing()` |
//! | --- | --- | --- | --- | --- |
//! | [9P](ninep) | [`NineP`] | the whole frame | 2^32 − 8 | 1 MiB; set `msize` − 7 once it is known |
//! | [DNS over TCP](dns) | [`U16Be`](unstick::U16Be) | the payload | 65,535 | 65,535 |
//! | [gRPC](grpc) | [`Grpc`] | the payload | 2^32 − 1 | 4 MiB |
//! | [HTTP/2](http2) | [`Http2`] | the payload | 2^24 − 1 | 16,384 |
//! | [Kafka](kafka) | [`I32Be`](unstick::I32Be) | the payload | 2^31 − 1 | 100 MiB |
//! | [LSP, DAP](lsp) | [`ContentLength`] | the payload | 2^64 − 1 | 1 MiB |
//! | [Modbus TCP](modbus) | [`Modbus`] | a byte of the header, and the payload | 65,534 | 253 |
//! | [MQTT](mqtt) | [`Mqtt`], [`MqttLenient`] | the payload | 2^28 − 1 | 1 MiB |
//! | [MySQL](mysql) | [`MySql`] | the payload | 2^24 − 1 | 2^24 − 1 |
//! | [PostgreSQL](postgres) | [`Postgres`], [`PostgresStartup`] | itself, and the payload | 2^31 − 5 | 1 MiB; 10,000 |
//! | [protobuf, delimited](protobuf) | [`Varint`](unstick::Varint) | the payload | 2^31 − 1 | 1 MiB |
//! | [TLS records](tls) | [`Tls`] | the payload | 65,535 | 16,640 |
//! | [TPKT](tpkt) | [`Tpkt`] | the whole frame | 65,531 | 65,531 |
//! | [WebSocket](websocket) | [`WebSocket`] | the payload | 2^63 − 1 | 1 MiB |
//!
//! # Headers, and a check after the payload
//! Each of these is a header format and a check, in a [`Checked`](unstick::Checked).
//!
//! | protocol | format | header | check | max payload |
//! | --- | --- | --- | --- | --- |
//! | [HTTP/1.1 chunks](chunked) | [`Chunked`] | text | CR LF | 2^64 − 1 |
//! | [MAVLink 1 and 2](mavlink) | [`MavLink`] | 6 or 10 bytes | CRC-16/MCRF4XX | 255 |
//! | [Modbus RTU](modbus_rtu) | [`ModbusRtuRequest`], [`ModbusRtuResponse`] | 2 to 11 bytes | CRC-16/MODBUS | 251 |
//! | [netstrings](netstring) | [`Netstring`] | text | a comma | 999,999,999 |
//! | [RESP bulk strings](resp) | [`Resp`] | text | CR LF | 2^63 − 1 |
//! | [UBX](ubx) | [`Ubx`] | 6 bytes | Fletcher's sum | 65,535 |
//!
//! These formats do the framing only. The caller interprets the frames, and checks rules that need
//! more than the header (an HTTP/2 PING has 8 bytes, for example).
//!
//! # Changing the format within a stream
//! Some protocols start with one format and continue with another: a PostgreSQL client's first
//! message has no type, and an HTTP/2 client starts with a preface. Decode the beginning with one
//! decoder, and pass the rest of the chunk to the next one. Between two frames a decoder holds no
//! bytes.
//!
//! ```
//! use unstick::Decoder;
//! use unstick_cookbook::{http2, Http2};
//!
//! // A client's preface, empty SETTINGS, and the beginning of another frame, in chunks.
//! let stream = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0";
//! let mut preface = Some(Decoder::with_framing(http2::Preface));
//! let mut frames = Decoder::with_framing(http2::framing());
//! for mut chunk in stream.chunks(10) {
//!     if let Some(decoder) = &mut preface {
//!         match decoder.decode(&mut chunk)? {
//!             Some(piece) if piece.last => preface = None, // `chunk` holds the remaining bytes
//!             _ => continue,
//!         }
//!     }
//!     while let Some(piece) = frames.decode(&mut chunk)? {
//!         println!("{:?}: {:02x?}", piece.header.map(|header| header.meta), piece.bytes);
//!     }
//! }
//! assert_eq!(frames.position(), 11); // counted from its own first byte
//! # Ok::<(), unstick::DecodeError>(())
//! ```
//!
//! With `io::FrameReader` and `tokio::FrameReader`, `into_inner` returns the stream and the bytes
//! that were read ahead, and `with_unread` accepts them:
//!
//! ```
//! use unstick::io::FrameReader;
//! use unstick_cookbook::postgres;
//!
//! let client = &b"\0\0\0\x11\0\x03\0\0user\0me\0\0X\0\0\0\x04"[..];
//! let mut reader = FrameReader::with_framing(client, postgres::startup_framing());
//! let startup = reader.next_owned()?.expect("a first message");
//! assert_eq!(startup.payload(), b"\0\x03\0\0user\0me\0\0");
//!
//! let (client, unread) = reader.into_inner();
//! let mut reader = FrameReader::with_framing(client, postgres::framing()).with_unread(&unread);
//! let terminate = reader.next_frame()?.expect("a message with a type");
//! assert_eq!(terminate.meta.kind, b'X');
//! # Ok::<(), unstick::io::ReadError>(())
//! ```
//!
//! # Other protocols
//! A header of fixed size can be described by a [`LengthField`](unstick::LengthField). For any other
//! header, implement [`Format`](unstick::Format), which takes about twenty lines; the files of this
//! crate are examples. The crate `unstick-conformance` tests an implementation: `tests/formats.rs`
//! does so for all formats of this crate.

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod chunked;
pub mod dns;
pub mod grpc;
pub mod http2;
pub mod kafka;
pub mod lsp;
pub mod mavlink;
pub mod modbus;
pub mod modbus_rtu;
pub mod mqtt;
pub mod mysql;
pub mod netstring;
pub mod ninep;
pub mod postgres;
pub mod protobuf;
pub mod resp;
pub mod tls;
pub mod tpkt;
pub mod ubx;
pub mod websocket;

use core::fmt;

use unstick::{EncodeError, HeaderError};

pub use chunked::Chunked;
pub use grpc::Grpc;
pub use http2::Http2;
pub use lsp::ContentLength;
pub use mavlink::MavLink;
pub use modbus::Modbus;
pub use modbus_rtu::{ModbusRtuRequest, ModbusRtuResponse};
pub use mqtt::{Lenient as MqttLenient, Mqtt};
pub use mysql::MySql;
pub use netstring::Netstring;
pub use ninep::NineP;
pub use postgres::{Postgres, Startup as PostgresStartup};
pub use resp::Resp;
pub use tls::Tls;
pub use tpkt::Tpkt;
pub use ubx::Ubx;
pub use websocket::WebSocket;

/// Calls a macro with the list of every protocol, for a table or a test of all protocols.
///
/// The first argument is the macro's path. Each row of the list is an identifier, the name on the
/// command line, the module, and the type of the format: an item of this crate, or of `unstick` if
/// the protocol uses a plain prefix. The macro that is called has to import it. Further arguments
/// are passed on before the list, like with [`unstick::for_each_format!`].
///
/// A new protocol is a new row, and not a breaking change: accept any number of rows.
///
/// ```
/// macro_rules! names {
///     ($($protocol:ident = $name:literal, $module:ident, $format:ident;)+) => { [$($name),+] };
/// }
///
/// assert!(unstick_cookbook::for_each_protocol!(names).contains(&"mqtt"));
/// ```
#[macro_export]
macro_rules! for_each_protocol {
    ($($callback:ident)::+ $(, $($arguments:tt)*)?) => {
        $($callback)::+! {
            $($($arguments)*)?
            NineP = "9p", ninep, NineP;
            Dns = "dns", dns, U16Be;
            Grpc = "grpc", grpc, Grpc;
            Http2 = "http2", http2, Http2;
            Kafka = "kafka", kafka, I32Be;
            Lsp = "lsp", lsp, ContentLength;
            Modbus = "modbus", modbus, Modbus;
            Mqtt = "mqtt", mqtt, Mqtt;
            MySql = "mysql", mysql, MySql;
            Postgres = "postgres", postgres, Postgres;
            PostgresStartup = "postgres-startup", postgres, PostgresStartup;
            Protobuf = "protobuf", protobuf, Varint;
            Tls = "tls", tls, Tls;
            Tpkt = "tpkt", tpkt, Tpkt;
            WebSocket = "websocket", websocket, WebSocket;
        }
    };
}

/// Calls a macro with the list of every protocol whose frames have a check after the payload.
///
/// Like [`for_each_protocol!`]. Each row is an identifier, the name, the module, the type of the format,
/// and the function of the module that returns it in a `Framing`.
///
/// ```
/// macro_rules! names {
///     ($($protocol:ident = $name:literal, $module:ident, $format:ident, $new:ident;)+) => {
///         [$($name),+]
///     };
/// }
///
/// assert!(unstick_cookbook::for_each_checked_protocol!(names).contains(&"ubx"));
/// ```
#[macro_export]
macro_rules! for_each_checked_protocol {
    ($($callback:ident)::+ $(, $($arguments:tt)*)?) => {
        $($callback)::+! {
            $($($arguments)*)?
            Chunked = "chunked", chunked, Chunked, framing;
            MavLink = "mavlink", mavlink, MavLink, common_framing;
            ModbusRtuRequest = "modbus-rtu-request", modbus_rtu, ModbusRtuRequest, request_framing;
            ModbusRtuResponse = "modbus-rtu-response", modbus_rtu, ModbusRtuResponse, response_framing;
            Netstring = "netstring", netstring, Netstring, framing;
            Resp = "resp", resp, Resp, framing;
            Ubx = "ubx", ubx, Ubx, framing;
        }
    };
}

/// Declares the refusals: variant, code and text.
macro_rules! refusals {
    ($($variant:ident = $code:literal, $says:literal;)+) => {
        /// Why a format of the cookbook refused a header.
        ///
        /// It is the typed form of the code in [`HeaderError::Custom`]. `Display` explains it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Refusal {
            $(#[doc = concat!("\"", $says, "\"")] $variant = $code,)+
        }

        impl Refusal {
            /// Returns the refusal of a cookbook format's error, or `None` if the error is not one.
            #[must_use]
            pub const fn of(error: HeaderError) -> Option<Self> {
                let HeaderError::Custom { code, .. } = error else { return None };
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Returns the text in [`HeaderError::Custom`].
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $says,)+
                }
            }
        }
    };
}

refusals! {
    Http2Preface = 0xC001,
        "a client of HTTP/2 begins with `PRI * HTTP/2.0`; does the peer speak HTTP/1.1, or TLS?";
    WebSocketOpcode = 0xC011,
        "the opcode is reserved; is the handshake of HTTP still in front of the frames?";
    WebSocketFragment = 0xC012,
        "a ping, pong or close is in fragments, which only messages may be; \
         is the handshake of HTTP still in front of the frames?";
    WebSocketNotMinimal = 0xC013,
        "the length fits a shorter field; the sender has to use the shortest";
    WebSocketTopBit = 0xC014,
        "the length is 2^63 or more, and its top bit has to be zero";
    TlsContentType = 0xC021,
        "the record's type is none of 20 to 24; does the peer speak TLS?";
    GrpcFlag = 0xC031,
        "the compressed flag is neither 0 nor 1; does a message of gRPC begin here?";
    PostgresType = 0xC041,
        "a message's type is a letter or a digit; a client's first message has none, and is a \
         startup message";
    MqttType = 0xC051,
        "the packet type 0 is forbidden; does the peer speak MQTT?";
    MqttFlags = 0xC052,
        "the flags are not those that this type of packet has; does the peer speak MQTT?";
    MqttLength = 0xC053,
        "the remaining length goes on past four bytes; does the peer speak MQTT?";
    ModbusProtocol = 0xC061,
        "the protocol identifier is not 0, which is Modbus; does the peer speak Modbus TCP?";
    TpktVersion = 0xC071,
        "the version is not 3; does the peer speak TPKT?";
    NetstringLength = 0xC081,
        "the length is not decimal digits and a colon; does the peer send netstrings?";
    NetstringZero = 0xC082,
        "the length has a zero before its first digit; the sender has to use the shortest form";
    NetstringDigits = 0xC083,
        "the length has more than nine digits; does the peer send netstrings?";
    RespType = 0xC091,
        "the type is none of `$`, `!` and `=`; other types of RESP are lines";
    RespLength = 0xC092,
        "the length is not decimal digits in their shortest form and CR LF; does the peer speak RESP?";
    RespTooLong = 0xC093,
        "the length is 2^63 or more, which RESP does not have";
    ChunkSize = 0xC0A1,
        "the size of a chunk begins with a hexadecimal digit; is the body chunked?";
    ChunkDigits = 0xC0A2,
        "the size of a chunk has more than 16 digits";
    ChunkLine = 0xC0A3,
        "the line of a chunk is not a size, extensions after a semicolon, and CR LF; \
         a receiver that accepts it can be made to see other messages than one before it";
    LspField = 0xC0B1,
        "a line of the header is not a name, a colon and a value; \
         does the peer send a header before each message?";
    LspLine = 0xC0B2,
        "a line of the header has CR or LF alone, or a control character; lines end with CR LF";
    LspLength = 0xC0B3,
        "the value of `Content-Length` is not decimal digits";
    LspTooLong = 0xC0B4,
        "the value of `Content-Length` is 2^64 or more";
    LspNoLength = 0xC0B5,
        "the header has no `Content-Length`";
    LspLengths = 0xC0B6,
        "the header has two values of `Content-Length` that differ";
    UbxSync = 0xC0C1,
        "a frame begins with 0xb5 0x62; does the receiver send NMEA too, or was the position lost?";
    MavLinkMagic = 0xC0D1,
        "a frame begins with 0xfd or 0xfe; was the position in the stream lost?";
    MavLinkSigned = 0xC0D2,
        "the frame is signed, and signed frames are not supported; turn signing off at the peer";
    MavLinkFlags = 0xC0D3,
        "the frame has an incompatibility flag that is not known, so its layout is not either";
    ModbusFunction = 0xC0E1,
        "the length of frames with this function code does not follow from their header; \
         only silence ends them, or this is not the direction of the format";
    ModbusQueryData = 0xC0E2,
        "a query's data (function 8, sub-function 0) has a length that does not follow from the header";
}

impl Refusal {
    /// Returns the code in [`HeaderError::Custom`].
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl From<Refusal> for HeaderError {
    fn from(refusal: Refusal) -> Self {
        Self::Custom { code: refusal.code(), text: refusal.text() }
    }
}

/// Converts a payload's length to 32 bits if it is within the limit.
fn fits(len: u64, limit: u64) -> Result<u32, EncodeError> {
    match u32::try_from(len) {
        Ok(len) if u64::from(len) <= limit => Ok(len),
        _ => Err(EncodeError::Oversize { len, limit }),
    }
}

/// Writes a number in decimal digits to the start of `out`, and returns their number. They have to fit.
fn decimal(mut number: u64, out: &mut [u8]) -> usize {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for (i, digit) in digits.iter_mut().rev().enumerate() {
        if number > 0 || i == 0 {
            let [low, ..] = (number % 10).to_le_bytes();
            *digit = b'0' + low;
            used = i + 1;
        }
        number /= 10;
    }
    for (to, digit) in out.iter_mut().zip(digits.iter().skip(digits.len() - used)) {
        *to = *digit;
    }
    used
}
