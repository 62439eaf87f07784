//! Frames over blocking transports of embedded systems: anything that is [`embedded_io::Read`] or
//! [`embedded_io::Write`], so UARTs, USB and sockets. Over storage that the caller picks, without an
//! allocator and without `std`.
//!
//! ```
//! use unstick::Kind;
//! use unstick::embedded_io::{FrameReader, FrameWriter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut line = [0; 64];
//! # let mut tx = &mut line[..];
//! let mut writer = FrameWriter::new(&mut tx, [0; 128]);
//! writer.feed(Kind::TEXT, b"one")?; // collected
//! writer.send(Kind::TEXT, b"two")?; // and flushed
//!
//! # let rx = &line[..22];
//! let mut reader = FrameReader::new(rx, [0; 128]);
//! while let Some(frame) = reader.next_frame()? {
//!     assert_eq!(frame.payload.len(), 3);
//! }
//! # assert_eq!(reader.position(), 22);
//! # Ok(())
//! # }
//! ```
//!
//! # Lossy lines
//! A serial line loses and damages bytes. [`FrameReader::next_or_resync`] goes on behind what is
//! damaged, and says what it was and how many bytes were skipped:
//!
//! ```
//! use unstick::embedded_io::{FrameReader, Next};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let rx = &b"noise\xf5\x01\x01\0\0\0\x02\xf2hi"[..];
//! let mut reader = FrameReader::new(rx, [0; 128]);
//! let mut lost = 0;
//! while let Some(next) = reader.next_or_resync()? {
//!     match next {
//!         Next::Frame(frame) => assert_eq!(frame.payload, b"hi"),
//!         Next::Skipped { error, bytes } => {
//!             eprintln!("{error}");
//!             lost += bytes;
//!         }
//!     }
//! }
//! assert_eq!(lost, 5);
//! # Ok(())
//! # }
//! ```
//!
//! What is damaged inside a payload goes unseen here, and a payload that lost bytes takes as many from
//! the frame behind it: put a check into the payload where that matters. If nothing comes behind it,
//! the reader waits; [`FrameReader::reset`] gives up what has come of such a frame.
//!
//! # Payloads larger than the storage
//! A writer sends them from where they are, or in pieces: [`FrameWriter::begin`]. To read them, give
//! what is read to a [`Decoder`](crate::Decoder), which holds no payload at all:
//!
//! ```
//! use embedded_io::Read;
//! use unstick::Decoder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rx = &b"\xf5\x01\x01\0\0\0\x02\xf2hi"[..];
//! # let mut stored: Vec<u8> = Vec::new();
//! let mut decoder = Decoder::new();
//! let mut chunk = [0; 64];
//! loop {
//!     let n = rx.read(&mut chunk)?;
//!     if n == 0 {
//!         break decoder.finish()?;
//!     }
//!     for piece in decoder.pieces(&chunk[..n]) {
//!         stored.extend(piece?.bytes); // into flash, say
//!     }
//! }
//! # assert_eq!(stored, b"hi");
//! # Ok(())
//! # }
//! ```

mod common;
mod error;
mod inbox;
mod outbox;
mod reader;
mod writer;

pub use error::{ReadError, WriteError};
pub use inbox::Next;
pub use reader::FrameReader;
pub use writer::FrameWriter;

#[cfg(feature = "embedded-io-async")]
pub(crate) use common::{frame_reader, frame_writer};
#[cfg(feature = "embedded-io-async")]
pub(crate) use inbox::Inbox;
#[cfg(feature = "embedded-io-async")]
pub(crate) use outbox::{Outbox, Refusal, Taken};
