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
