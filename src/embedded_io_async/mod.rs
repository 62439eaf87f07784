//! Frames over asynchronous transports of embedded systems: anything that is
//! [`embedded_io_async::Read`] or [`embedded_io_async::Write`], so those of embassy. Over storage that
//! the caller picks, without an allocator and without `std`.
//!
//! ```
//! use unstick::Kind;
//! use unstick::embedded_io_async::{FrameReader, FrameWriter, Next};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio_test::block_on(async {
//! # let mut line = [0; 64];
//! # let mut tx = &mut line[5..];
//! let mut writer = FrameWriter::new(&mut tx, [0; 128]);
//! writer.feed(Kind::TEXT, b"one").await?; // collected
//! writer.send(Kind::TEXT, b"two").await?; // and flushed
//!
//! # let rx = &line[..27]; // begins with five bytes of noise
//! let mut reader = FrameReader::new(rx, [0; 128]);
//! let (mut texts, mut lost) = (Vec::new(), 0);
//! while let Some(next) = reader.next_or_resync().await? {
//!     match next {
//!         Next::Frame(frame) => texts.push(frame.payload.to_vec()),
//!         Next::Skipped { error, bytes } => {
//!             eprintln!("{error}"); // the line loses and damages bytes
//!             lost += bytes;
//!         }
//!     }
//! }
//! assert_eq!((texts, lost), (vec![b"one".to_vec(), b"two".to_vec()], 5));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! What [`embedded_io`](crate::embedded_io) says of lossy lines, and of payloads larger than the
//! storage, is the same here. `examples/embassy_serial.rs` is a whole program.
//!
//! # Cancel safety
//! A read that is dropped before it ends loses nothing that the transport has delivered: it can be
//! given a time, and after [`FrameReader::reset`] the next frame is waited for. A frame
//! that fits into the writer's storage is accepted whole or not at all; the call that writes a longer
//! one can be dropped without harm only before its first byte is written, else the writer is
//! poisoned. Each method says it.
//!
//! All of this rests on the transport: where a dropped read or write of its own loses bytes or
//! moves some unseen, which a driver with direct memory access may do and has to document, so does
//! a dropped call here.

mod reader;
mod writer;

pub use crate::embedded_io::{Next, ReadError, WriteError};
pub use reader::FrameReader;
pub use writer::FrameWriter;
