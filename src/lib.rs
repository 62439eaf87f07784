#![cfg_attr(not(test), no_std)]
//! Turns a byte stream back into messages, correct under every split and merge.
//!
//! Start from what you have, with a whole program for each:
//! [a `TcpStream` and a length of four bytes](#a-tcpstream-and-a-length-of-four-bytes),
//! [the same with tokio](#the-same-with-tokio), [lines](#lines),
//! [a header of another project](#a-header-of-another-project), [a UART](#a-uart),
//! [a `Framed` of tokio-util](#a-framed-of-tokio-util), [bytes in chunks](#bytes-in-chunks).
//! [Everything else](#everything-else) is in the tables.
//!
//! # A `TcpStream` and a length of four bytes
//! A payload is anything that is `AsRef<[u8]>`. The first argument of `send` is what a header has besides the
//! length: `()` here, and a [`Kind`] with [`V1`].
//!
//! ```
//! # #[cfg(feature = "std")]
//! # mod program {
//! use std::net::{TcpListener, TcpStream};
//! use unstick::io::{FrameReader, FrameWriter};
//! use unstick::{Framing, U32Be};
//!
//! const FRAMING: Framing<U32Be> = Framing::new(U32Be).with_limit(65_536); // bytes in a message
//!
//! fn serve(stream: TcpStream) -> std::io::Result<()> {
//!     let mut reader = FrameReader::with_framing(&stream, FRAMING);
//!     let mut writer = FrameWriter::with_framing(&stream, FRAMING);
//!     while let Some(message) = reader.next_frame()? {
//!         writer.send((), message.payload)?; // an echo
//!     }
//!     Ok(())
//! }
//!
//! # pub
//! fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let client = TcpStream::connect(listener.local_addr()?)?;
//!     std::thread::spawn(move || serve(listener.accept()?.0));
//!     FrameWriter::with_framing(&client, FRAMING).send((), "hello")?;
//!     let mut reader = FrameReader::with_framing(&client, FRAMING);
//!     assert_eq!(reader.next_frame()?.unwrap().payload, b"hello");
//!     Ok(())
//! }
//! # }
//! # #[cfg(feature = "std")]
//! # program::main().unwrap();
//! ```
//!
//! # The same with tokio
//! With the feature `tokio`; `futures` is the same for smol and async-std.
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # mod program {
//! use tokio::net::{TcpListener, TcpStream};
//! use unstick::tokio::FrameStream;
//! use unstick::{Framing, U32Be};
//!
//! const FRAMING: Framing<U32Be> = Framing::new(U32Be).with_limit(65_536);
//!
//! async fn serve(socket: TcpStream) -> std::io::Result<()> {
//!     let mut stream = FrameStream::with_framing(socket, FRAMING);
//!     while let Some((message, writer)) = stream.next_with_writer().await? {
//!         writer.send((), message.payload).await?;
//!     }
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! # pub
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let client = TcpStream::connect(listener.local_addr()?).await?;
//!     tokio::spawn(serve(listener.accept().await?.0));
//!     let mut stream = FrameStream::with_framing(client, FRAMING);
//!     stream.writer.send((), "hello").await?;
//!     assert_eq!(stream.next_frame().await?.unwrap().payload, b"hello");
//!     Ok(())
//! }
//! # }
//! # #[cfg(feature = "tokio")]
//! # program::main().unwrap();
//! ```
//!
//! # Lines
//! ```
//! # #[cfg(feature = "std")]
//! # fn main() -> std::io::Result<()> {
//! use unstick::io::FrameReader;
//! use unstick::{Framing, Lines};
//!
//! let input = &b"HELO a\r\nQUIT\n"[..]; // a socket, a file, standard input
//! let mut reader = FrameReader::with_framing(input, Framing::new(Lines::new()).with_limit(80));
//! let mut lines = Vec::new();
//! while let Some(line) = reader.next_frame()? {
//!     lines.push(String::from_utf8_lossy(line.payload).into_owned());
//! }
//! assert_eq!(lines, ["HELO a", "QUIT"]);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! # A header of another project
//! A [`LengthField`] is described by a [`Layout`]. If no layout fits, implement [`Format`], in 20 to 40 lines. The
//! crate `unstick-cookbook` has the headers of many protocols.
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use unstick::io::{FrameReader, FrameWriter};
//! use unstick::{ByteOrder, Covers, Framing, Layout, LengthField};
//!
//! // A type, a reserved byte, and a length of two bytes that counts the header too.
//! let layout = Layout {
//!     header_len: 4,
//!     offset: 2,
//!     width: 2,
//!     order: ByteOrder::Little,
//!     covers: Covers::Frame,
//! };
//! let format = LengthField::new(layout)?;
//! let framing = Framing::new(format).with_limit(1_000);
//!
//! let mut writer = FrameWriter::with_framing(Vec::new(), framing);
//! writer.send(format.meta(&[7, 0, 0, 0])?, "hello")?;
//! assert_eq!(writer.get_ref(), b"\x07\0\x09\0hello");
//! let mut reader = FrameReader::with_framing(&writer.get_ref()[..], framing);
//! let frame = reader.next_frame()?.ok_or("the stream has ended")?;
//! assert_eq!((frame.meta.bytes()[0], frame.payload), (7, &b"hello"[..]));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! # A UART
//! Without an allocator or `std`; `embedded_io_async` is the same with `await`. The line loses and damages bytes, so
//! each frame has a CRC.
//!
//! ```
//! # #[cfg(feature = "embedded-io")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use unstick::check::Crc16X25;
//! use unstick::embedded_io::{FrameReader, FrameWriter};
//! use unstick::engine::Next;
//! use unstick::{Cobs, Framing, Marked};
//!
//! let framing = Framing::new(Marked::new(Cobs).with_check(Crc16X25::new())).with_limit(32);
//! let mut uart = [0; 64]; // what implements `Read` and `Write` of `embedded_io`
//! let mut writer = FrameWriter::with_framing(&mut uart[..], [0; 48], framing);
//! writer.send((), "21.5")?;
//! writer.send((), "21.6")?;
//!
//! uart[2] ^= 1; // a bit was damaged
//! let mut reader = FrameReader::with_framing(&uart[..], [0; 48], framing)?;
//! while let Some(next) = reader.next_or_resync()? {
//!     match next {
//!         Next::Frame(frame) => assert_eq!(frame.payload, b"21.6"),
//!         Next::Skipped { error, bytes } => println!("{error}: {bytes} bytes skipped"),
//!     }
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "embedded-io"))]
//! # fn main() {}
//! ```
//!
//! # A `Framed` of tokio-util
//! With the feature `tokio-util`, only the codec changes:
//!
//! ```
//! # #[cfg(all(feature = "tokio", feature = "tokio-util"))]
//! # mod program {
//! use futures::{SinkExt, StreamExt};
//! use tokio_util::codec::Framed;
//! use unstick::U32Be;
//! use unstick::codec::PayloadCodec;
//!
//! #[tokio::main]
//! # pub
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (ours, theirs) = tokio::io::duplex(64);
//!     let mut ours = Framed::new(ours, PayloadCodec::new(U32Be)); // was: LengthDelimitedCodec::new()
//!     let mut theirs = Framed::new(theirs, PayloadCodec::new(U32Be));
//!     ours.send("hello").await?;
//!     assert_eq!(theirs.next().await.ok_or("the peer has gone")??, "hello");
//!     Ok(())
//! }
//! # }
//! # #[cfg(all(feature = "tokio", feature = "tokio-util"))]
//! # program::main().unwrap();
//! ```
//!
//! # Bytes in chunks
//! A [`Decoder`] has no buffer and needs no allocator: it returns pieces that borrow from the chunks.
//!
//! ```
//! use unstick::{Decoder, Framing, U32Be};
//!
//! let mut decoder = Decoder::with_framing(Framing::new(U32Be).with_limit(65_536));
//! let mut messages = vec![Vec::new()];
//! for chunk in [&b"\0\0"[..], b"\0\x05he", b"llo\0\0\0\0"] {
//!     for piece in decoder.pieces(chunk) {
//!         let piece = piece?;
//!         messages.last_mut().unwrap().extend_from_slice(piece.bytes);
//!         if piece.last {
//!             messages.push(Vec::new());
//!         }
//!     }
//! }
//! decoder.finish()?; // an error if the stream ended inside a frame
//! assert_eq!(messages, [&b"hello"[..], b"", b""]);
//! # Ok::<(), unstick::DecodeError>(())
//! ```
//!
//! # Everything else
//! | you have | read with | write with |
//! | --- | --- | --- |
//! | chunks of any size | [`Decoder`]: borrowed pieces, no buffer | [`Encoder`]: header, pieces |
//! | a place to read into | [`FrameBuf`] | [`WriteBuf`], [`Framing::encode_into`] |
//! | your own buffer | [`scan::Scanner`]: finds frames, holds no bytes | [`Framing::encode_into`] |
//! | everything in one slice | [`Framing::split_frame`] | [`Framing::encode_into`] |
//! | a datagram | [`Framing::datagram`] | [`DatagramPacker`] |
//! | a blocking stream | `io::FrameReader` (feature `std`) | `io::FrameWriter` |
//! | a tokio stream | `tokio::FrameReader` (feature `tokio`) | `tokio::FrameWriter` |
//! | a stream of async-std, smol or libp2p | `futures::FrameReader` (feature `futures-io`) | `futures::FrameWriter` |
//! | a `Framed` of tokio-util | `codec::FrameCodec`, `codec::PayloadCodec` (feature `tokio-util`) | the same |
//! | a serial line | `embedded_io::FrameReader`, `embedded_io_async::FrameReader` (features `embedded-io`, `embedded-io-async`) | `FrameWriter` of either |
//! | a stream of another runtime | [`engine::ReadEngine`] | [`WriteBuf`] |
//! | a UDP socket | `io::FrameSocket` (feature `std`), `tokio::FrameSocket` | the same |
//! | a UDP socket of another runtime | `udp::ReceiveSlots` (feature `std`) | `udp::SendQueue` |
//!
//! There are three traits, one for each way in which a frame can end:
//!
//! | what ends a frame | implement | ships |
//! | --- | --- | --- |
//! | a header announces the payload's length | [`Format`] | [`V1`], [`U8`] to [`U64Le`], [`I32Be`], [`I32Le`], [`Varint`], [`LengthField`], [`Fixed`] |
//! | the same, and a check follows the payload | [`Check`], for [`Checked`] | [`V2`], and the checks of the module [`check`] |
//! | a mark, with or without escapes | [`Mark`], for [`Marked`] | [`Lines`], [`Delimited`], [`AnyDelimiter`], [`Cobs`], [`Slip`], [`Hdlc`] |
//!
//! Almost everything works with all of them. An [`Encoder`], [`Framing::split_frame`] and
//! [`Framing::datagram`] need a header. [`Decoder::resync`] needs a mark, or a check in the header;
//! [`FrameBuf::resync`] and the readers need a mark, or any check. The page `docs/framings.md` of the
//! repository has which framing to choose, and how to write one.
//!
//! A [`Framing`] is one of these and a limit. Everything takes one; the default is [`V1`], the
//! format of the protocol in `spec.md`, with a limit of 1 MiB.
//!
//! The core, which is everything except the adapters and `udp`, is `no_std`, needs no allocator,
//! has no dependency, and does not panic. Features only add: `alloc` (a [`FrameBuf`] that grows,
//! owned frames), `std` (the default: `io` and `udp`), `tokio`, `futures-io` (the module `futures`),
//! `tokio-util`, `embedded-io` and `embedded-io-async` (`no_std`, without an allocator), `udp` (many
//! datagrams with one system call), `memchr` (a faster search for marks), `small` (less code, without
//! effect beside `std`), `serde`, and `defmt`.
//!
//! This crate has frames. The crate `unstick-session` has messages, conversations and file transfer,
//! `unstick-cookbook` the framing of existing protocols, and `unstick-conformance` tests for a
//! custom format.
//!
//! This crate has modules called `io`, `tokio`, `futures`, `embedded_io` and `embedded_io_async`: import
//! its items by name, not with `*`.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The README's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod check;
#[cfg(feature = "tokio-util")]
pub mod codec;
mod datagram;
mod decoder;
#[cfg(feature = "embedded-io")]
pub mod embedded_io;
#[cfg(feature = "embedded-io-async")]
pub mod embedded_io_async;
mod encode;
pub mod engine;
mod error;
mod families;
mod format;
mod frame;
mod frame_buf;
mod framing;
#[cfg(feature = "futures-io")]
pub mod futures;
#[cfg(feature = "std")]
pub mod io;
mod mark;
pub mod scan;
#[cfg(feature = "serde")]
mod serialize;
mod storage;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "std")]
pub mod udp;
mod wire;
mod write_buf;
pub use check::{Check, Checked, NoCheck, TrailerBuf, V2};
pub use datagram::{DEFAULT_DATAGRAM_LIMIT, Datagram, DatagramPacker, Pushed};
pub use decoder::{Decoder, Pieces};
pub use encode::{EncodedHeader, Encoder};
pub use error::{
    DatagramError, DecodeError, EncodeError, FrameError, HeaderError, Part, RecoverError,
    StorageError,
};
pub use format::header::Kind;
pub use format::{
    ByteOrder, Covers, FieldMeta, Fixed, Format, Header, HeaderBuf, I32Be, I32Le, InDatagram,
    Layout, LayoutError, LengthField, LimitedBy, MAX_PAYLOAD_LEN, Parsed, SelfChecking, U8, U16Be,
    U16Le, U24Be, U24Le, U32Be, U32Le, U64Be, U64Le, V1, V2Header, Varint, header,
};
#[cfg(feature = "alloc")]
pub use frame::OwnedFrame;
pub use frame::{Escaped, Frame};
pub use frame_buf::FrameBuf;
pub use framing::{DEFAULT_LIMIT, Framing};
pub use mark::{
    AnyDelimiter, Cobs, Delimited, Hdlc, HdlcOctets, Lines, Mark, Marked, Shape, Slip, Unit,
};
pub use storage::Storage;
pub use wire::{AsMeta, KnownLength, Piece, Resync, Search, Wire};
pub use write_buf::{Accepted, WriteBuf, WriteBufError};
