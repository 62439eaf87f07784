//! Codecs for [`tokio_util::codec::Framed`]: what takes the place of a
//! `LengthDelimitedCodec` in a program that has a `Framed` and wants to keep it.
//!
//! - [`PayloadCodec`] gives and takes payloads alone, and says the same on every header.
//! - [`FrameCodec`] gives and takes a [`BytesFrame`]: what the header says, and the payload.
//!
//! ```
//! use futures::{SinkExt, StreamExt};
//! use tokio_util::codec::Framed;
//! use unstick::U32Be;
//! use unstick::codec::PayloadCodec;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ours, theirs) = tokio::io::duplex(64);
//! let mut ours = Framed::new(ours, PayloadCodec::new(U32Be));
//! let mut theirs = Framed::new(theirs, PayloadCodec::new(U32Be));
//! ours.send("hello").await?;
//! let payload = theirs.next().await.ok_or("the peer has gone")??;
//! assert_eq!(payload, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! A program that starts anew is better off with `tokio::FrameReader` and
//! `FrameWriter` of the feature `tokio`: they lend frames, write large payloads without copying
//! them, and know time-outs, none of which a codec can.
//!
//! # Payloads
//! A payload is split off the buffer that the stream was read into: it is not copied, and keeps
//! that buffer as long as it lives. Where a few bytes are to be kept for long, copy them:
//! [`Bytes::copy_from_slice`](tokio_util::bytes::Bytes::copy_from_slice).
//!
//! # Memory
//! Nothing is reserved because a header announces it: while a frame arrives, the buffer gets room for
//! at most as much again as it holds. After a frame that it had to grow for beyond 8 KiB it goes
//! back to that, once eight reads in a row needed no more.
//!
//! # The end of a stream
//! `Framed` tells the codec when the stream has ended. Between two frames that is an end; anywhere
//! else, right behind a header too, it is [`DecodeError::Truncated`].
//!
//! # Errors latch
//! After an error the codec returns it again and delivers nothing behind it. `Framed` itself yields
//! an error, then `None` once, and then asks the codec again: a program that goes on behind that
//! `None` gets the same error, and no bytes of a payload that are taken for a header. To go on is
//! the caller's decision, by [`FrameCodec::skip_frame`] or [`FrameCodec::resync`]; `Framed` then
//! goes on with the next bytes that arrive. Until it is taken, the buffer keeps all that is read: do
//! not poll on without it, as `Framed` reads more each time.
//!
//! # Datagrams
//! These codecs are for streams. In a `UdpFramed` one damaged datagram would be the last; for
//! datagrams there is [`io::FrameSocket`](crate::io::FrameSocket).
//!
//! [`DecodeError::Truncated`]: crate::DecodeError::Truncated

mod error;
mod frame;
mod incoming;
mod payload;

use tokio_util::bytes::BytesMut;

use crate::error::EncodeError;
use crate::format::Format;
use crate::framing::Framing;

pub use error::CodecError;
pub use frame::{BytesFrame, FrameCodec};
pub use payload::PayloadCodec;

/// Appends a frame to `out`, which stays as it is on an error.
fn append<F: Format>(
    framing: &Framing<F>,
    meta: &F::Meta,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let header = framing.encode_header(meta, payload.len() as u64)?;
    let header = header.as_bytes();
    // A slice has at most `isize::MAX` bytes, so the sum cannot overflow.
    out.reserve(header.len() + payload.len());
    out.extend_from_slice(header);
    out.extend_from_slice(payload);
    Ok(())
}
