#![cfg_attr(not(test), no_std)]
//! Turns a byte stream back into messages, correct under every split and merge.
//!
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

/// The migration page's examples, as tests.
#[cfg(all(doctest, feature = "tokio", feature = "tokio-util"))]
#[doc = include_str!("../docs/migration.md")]
struct Migration;

/// The embedding page's programs, as tests.
#[cfg(all(doctest, feature = "tokio", feature = "tokio-util", feature = "futures-io"))]
#[doc = include_str!("../docs/embedding.md")]
struct Embedding;

/// The programs of the page about framings, as tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../docs/framings.md")]
struct Framings;

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
