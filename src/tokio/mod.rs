//! Frames over tokio's streams: anything that is [`AsyncRead`](::tokio::io::AsyncRead) or
//! [`AsyncWrite`](::tokio::io::AsyncWrite), for example TCP, Unix sockets, TLS and in-memory pipes.
//! [`FrameSocket`] sends frames in datagrams, over [`UdpSocket`](::tokio::net::UdpSocket).
//!
//! ```
//! use unstick::Kind;
//! use unstick::tokio::FrameStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, theirs) = tokio::io::duplex(64);
//!
//! tokio::spawn(async move {
//!     let mut stream = FrameStream::new(theirs);
//!     while let Some((frame, writer)) = stream.next_with_writer().await? {
//!         writer.send(Kind::TEXT, &frame.payload.to_ascii_uppercase()).await?;
//!     }
//!     Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! });
//!
//! let mut stream = FrameStream::new(ours);
//! stream.writer.send(Kind::TEXT, b"hello").await?;
//! let reply = stream.next_frame().await?.expect("the peer is still there");
//! assert_eq!(reply.payload, b"HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! These are frames. The messages of the protocol, and its rules, are in the package
//! `unstick-session`.
//!
//! # WebAssembly
//! There are no sockets, so the types for datagrams are not there. Streams are; time limits need a target
//! whose `std` has a clock.
//!
//! # Cancel safety
//! A read that is dropped before it ends loses nothing. A frame whose payload has fewer than 32 KiB is
//! accepted whole or not at all. The call that writes a larger one can be dropped without harm only
//! before its first byte is written; later it poisons the writer. Each method states it.

mod clock;
#[cfg(not(target_family = "wasm"))]
mod datagram_socket;
mod reader;
#[cfg(not(target_family = "wasm"))]
mod receiver;
#[cfg(not(target_family = "wasm"))]
mod sender;
#[cfg(not(target_family = "wasm"))]
mod socket;
mod stream;
mod writer;

pub use crate::io::{ReadError, WriteError};
pub use crate::udp::{DatagramSendError, Frames, Lost, Received, RecvStats, Refusals, SendStats};
pub use reader::FrameReader;
#[cfg(not(target_family = "wasm"))]
pub use receiver::FrameReceiver;
#[cfg(not(target_family = "wasm"))]
pub use sender::FrameSender;
#[cfg(not(target_family = "wasm"))]
pub use socket::FrameSocket;
pub use stream::FrameStream;
pub use writer::FrameWriter;
