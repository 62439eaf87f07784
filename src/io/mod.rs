//! Frames over blocking streams: anything that is [`std::io::Read`] or [`std::io::Write`]. And in
//! datagrams, over [`std::net::UdpSocket`]: [`FrameSocket`].
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
//! Those are frames. [`Connection`] speaks the protocol's messages, and keeps its rules.

mod error;
mod reader;
mod udp;
mod writer;

pub use crate::engine::Next;
pub use error::{ReadError, WriteError};
pub use reader::FrameReader;
pub use udp::{
    FrameReceiver, FrameSender, FrameSocket, Frames, Lost, Received, RecvStats, Refusals,
    SendError, SendStats,
};
pub use writer::FrameWriter;

#[cfg(feature = "tokio")]
pub(crate) use udp::{Arrival, Endpoint, Incoming, Outgoing, SLOT_LEN, Socket};
