//! The parts of a stream reader that need no transport: the [`ReadEngine`], and the
//! [`ReadTimeouts`] of readers with a clock.
//!
//! The readers of `io`, `tokio`, `futures`, `embedded_io` and `embedded_io_async` are loops over the
//! engine, and so is a reader for another runtime:
//!
//! ```
//! use std::io::Read;
//! use core::task::Poll;
//! use unstick::engine::ReadEngine;
//! use unstick::{Framing, U16Be};
//!
//! # let mut transport = &b"\0\x02hi\0\x05hello"[..];
//! let mut engine = ReadEngine::growing(Framing::new(U16Be));
//! let mut payloads = Vec::new();
//! loop {
//!     match engine.poll_frame() {
//!         // Read once, and report the result; an asynchronous reader waits here.
//!         Poll::Pending => {
//!             let n = transport.read(engine.spare())?;
//!             engine.received(n);
//!         }
//!         Poll::Ready(Ok(Some(found))) => {
//!             payloads.extend(engine.frame(&found).map(|frame| frame.payload.to_vec()));
//!         }
//!         Poll::Ready(Ok(None)) => break, // the stream ended between two frames
//!         Poll::Ready(Err(error)) => return Err(error.into()),
//!     }
//! }
//! assert_eq!(payloads, [b"hi".to_vec(), b"hello".to_vec()]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Writers are loops over [`WriteBuf`](crate::WriteBuf), and datagram sockets over the parts in the
//! module `udp`.

mod read;
#[cfg(feature = "std")]
mod shared;
mod timeouts;

pub use read::{FrameOrSkipped, Next, ReadEngine};
#[cfg(feature = "std")]
pub use shared::SharedReadEngine;
pub use timeouts::{ReadTimeouts, TimedOut};

/// The max length to which reads that fill a growing read buffer make it grow, in bytes: 64 KiB, on
/// targets with 16-bit pointers 16 KiB. More is for larger frames.
#[cfg(feature = "alloc")]
pub const READ_LEN: usize = crate::storage::READ_LEN;
