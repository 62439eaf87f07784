//! Frames over the streams of async-std, smol, libp2p and others: anything that is
//! [`futures_io::AsyncRead`] or [`futures_io::AsyncWrite`].
//!
//! ```
//! use smol::future::FutureExt;
//! use unstick::Kind;
//! use unstick::futures::{FrameReader, FrameWriter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # smol::block_on(async {
//! let (ours, theirs) = smol::net::unix::UnixStream::pair()?;
//! let mut writer = FrameWriter::new(theirs);
//! writer.feed(Kind::TEXT, b"one").await?; // collected
//! writer.send(Kind::TEXT, b"two").await?; // and flushed
//!
//! let mut reader = FrameReader::new(ours);
//! for text in ["one", "two"] {
//!     let frame = reader.next_frame().await?.expect("the peer has sent two frames");
//!     assert_eq!(frame.payload, text.as_bytes());
//! }
//!
//! // A time limit: the call that is not done by then is dropped, and loses nothing.
//! let time_limit = async {
//!     smol::Timer::after(std::time::Duration::from_millis(10)).await;
//!     Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
//! };
//! assert!(reader.next_frame().or(time_limit).await.is_err());
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Time limits
//! `futures_io` has no clock: a call waits indefinitely unless the caller drops it, as in the example,
//! or with the timeout function of the runtime. A server needs such a limit. It covers both a silent
//! peer and a slow frame. Another call continues where the dropped one stopped.
//!
//! # Cancel safety
//! A read that is dropped loses nothing. A frame whose payload has fewer than 32 KiB is accepted whole
//! or not at all. Dropping the call that writes a larger one poisons the writer, if a part of the frame
//! was written. Each method states it.

mod reader;
mod writer;

pub use reader::FrameReader;
pub use writer::FrameWriter;
