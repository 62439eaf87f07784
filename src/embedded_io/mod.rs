//! Frames over blocking transports of embedded systems: anything that is [`embedded_io::Read`] or
//! [`embedded_io::Write`], for example UARTs, USB and sockets. The caller picks the storage; neither
//! an allocator nor `std` is needed.
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
//! # assert_eq!(reader.buf().position(), 22);
//! # Ok(())
//! # }
//! ```
//!
//! # Lossy lines
//! A serial line loses and damages bytes. [`FrameReader::next_or_resync`] continues after damaged
//! bytes, and returns the error and the number of bytes skipped:
//!
//! ```
//! use unstick::embedded_io::FrameReader;
//! use unstick::engine::Next;
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
//! Damage inside a payload is not detected here, and a payload that lost bytes takes as many from the
//! next frame: put a check into the payload if that matters. If no bytes follow, the reader waits;
//! [`FrameReader::reset`] drops the part of a frame that has arrived.
//!
//! # Payloads larger than the storage
//! A writer sends them from where they are, or in pieces: [`FrameWriter::begin`]. To read them, pass
//! the bytes to a [`Decoder`](crate::Decoder), which holds no payload:
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

mod error;
mod reader;
mod writer;

use ::embedded_io::{Error, ErrorKind};

pub use error::{ReadError, WriteError};
pub use reader::FrameReader;
pub use writer::FrameWriter;

/// Whether a call of the transport is to be repeated.
fn is_interrupted(error: &impl Error) -> bool {
    error.kind() == ErrorKind::Interrupted
}
