//! Frames over asynchronous transports of embedded systems: anything that is
//! [`embedded_io_async::Read`] or [`embedded_io_async::Write`], for example those of embassy. The
//! caller picks the storage; neither an allocator nor `std` is needed.
//!
//! ```
//! use unstick::Kind;
//! use unstick::embedded_io_async::{FrameReader, FrameWriter};
//! use unstick::engine::Next;
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
//! The parts about lossy lines and about payloads larger than the storage of
//! [`embedded_io`](crate::embedded_io) hold here too. `examples/embassy_serial.rs` is a whole program.
//!
//! # Cancel safety
//! A read that is dropped before it ends loses nothing that the transport has delivered: it can be
//! given a timeout, and after [`FrameReader::reset`] the next frame is waited for. A frame
//! that fits into the writer's storage is accepted whole or not at all. The call that writes a longer
//! one can be dropped without harm only before its first byte is written; later it poisons the writer.
//! Each method states it.
//!
//! All of this depends on the transport: if a dropped read or write of its own loses bytes, or moves
//! some without reporting it, as a driver with direct memory access may do and has to document, a
//! dropped call here does too.

mod reader;
mod writer;

use ::embedded_io_async::{Error, ErrorKind};

pub use crate::embedded_io::{ReadError, WriteError};
pub use reader::FrameReader;
pub use writer::FrameWriter;

/// Whether a call of the transport is to be repeated.
fn is_interrupted(error: &impl Error) -> bool {
    error.kind() == ErrorKind::Interrupted
}
