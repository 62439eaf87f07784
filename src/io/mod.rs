//! Frames over blocking streams: anything that is [`std::io::Read`] or [`std::io::Write`].
//! [`FrameSocket`] sends frames in datagrams, over [`std::net::UdpSocket`].
//!
//! ```
//! use unstick::Kind;
//! use unstick::io::{FrameReader, FrameWriter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
//!
//! let mut writer = FrameWriter::new(ours);
//! writer.feed(Kind::TEXT, b"one")?; // collected
//! writer.send(Kind::TEXT, b"two")?; // and flushed
//! drop(writer);
//!
//! let mut reader = FrameReader::new(theirs);
//! let mut texts = Vec::new();
//! while let Some(frame) = reader.next_frame()? {
//!     texts.push(frame.payload.to_vec());
//! }
//! assert_eq!(texts, [b"one", b"two"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Errors as `io::Error`
//! With the feature `std`, `?` converts every error of this crate and of `unstick-session` in a
//! function that returns an `io::Result`. An error of the transport is returned unchanged, with its
//! kind and its number. Any other error is the inner error, which has the stream offset:
//!
//! | error | kind |
//! | --- | --- |
//! | [`DecodeError::Truncated`](crate::DecodeError::Truncated) | `UnexpectedEof` |
//! | other bytes that are not frames or messages | `InvalidData` |
//! | a frame, message or value that is not valid here | `InvalidInput` |
//! | a time limit that has passed | `TimedOut` |
//! | a writer that has written a part of a frame | `BrokenPipe` |
//!
//! The inner error of an error with a cause is that cause: a [`DecodeError`](crate::DecodeError) or
//! an [`EncodeError`](crate::EncodeError), whichever reader, writer or codec returned it.
//!
//! ```
//! use std::io::{ErrorKind, Result};
//! use unstick::io::FrameReader;
//! use unstick::{DecodeError, U32Be};
//!
//! fn first(bytes: &[u8]) -> Result<Vec<u8>> {
//!     let mut reader = FrameReader::with_framing(bytes, U32Be);
//!     Ok(reader.next_frame()?.map(|frame| frame.payload.to_vec()).unwrap_or_default())
//! }
//! let error = first(b"\0\0\0\x05he").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
//! let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<DecodeError>());
//! assert_eq!(inner.map(DecodeError::at), Some(6));
//! ```
//!
//! These are frames. The messages of the protocol, and its rules, are in the package
//! `unstick-session`.

mod error;
mod reader;
mod socket;
mod writer;

pub use crate::udp::{DatagramSendError, Frames, Lost, Received, RecvStats, Refusals, SendStats};
pub use error::{ReadError, WriteError};
pub use reader::FrameReader;
pub use socket::{FrameReceiver, FrameSender, FrameSocket};
pub use writer::FrameWriter;
