#![cfg_attr(not(test), no_std)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod datagram;
mod decoder;
mod encode;
mod error;
mod format;
mod frame;
mod frame_buf;
mod framing;
pub mod header;
#[cfg(feature = "std")]
pub mod io;
#[cfg(feature = "tokio")]
pub mod tokio;
pub use datagram::{DEFAULT_DATAGRAM_LIMIT, Datagram, DatagramPacker, Pushed};
pub use decoder::{Decoder, Piece, Pieces};
pub use encode::{EncodedHeader, Encoder};
pub use error::{
    DatagramError, DecodeError, EncodeError, HeaderError, Part, RecoverError, StorageError,
};
pub use format::{
    ByteOrder, Covers, FieldMeta, Format, Header, HeaderBuf, I32Be, I32Le, InDatagram, Layout,
    LayoutError, LengthField, MAX_PAYLOAD_LEN, Parsed, SelfChecking, U8, U16Be, U16Le, U24Be,
    U24Le, U32Be, U32Le, U64Be, U64Le, V1, Varint,
};
pub use frame::Frame;
#[cfg(feature = "alloc")]
pub use frame::OwnedFrame;
pub use frame_buf::{FrameBuf, Storage};
pub use framing::{DEFAULT_LIMIT, Framing};
pub use header::Kind;
