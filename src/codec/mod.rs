//! Codecs for [`tokio_util::codec::Framed`], which replace a `LengthDelimitedCodec` in a program that
//! has a `Framed` and keeps it.
//!
//! - [`PayloadCodec`] reads and writes payloads alone, with the same meta in every header.
//! - [`FrameCodec`] reads and writes [`BytesFrame`]s: the header's meta, and the payload.
//! - [`IoErrors`] is either of them with an `io::Error`: `codec.io_errors()`.
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
//! A new program should use `tokio::FrameReader` and `FrameWriter` of the feature `tokio`: they return
//! borrowed frames, write large payloads without copying them, and have timeouts, which a codec cannot
//! do.
//!
//! # Payloads
//! A payload is split off the buffer that the stream was read into: it is not copied, and keeps
//! that buffer as long as it lives. To keep a few bytes for long, copy them:
//! [`Bytes::copy_from_slice`](tokio_util::bytes::Bytes::copy_from_slice).
//!
//! # Memory
//! Nothing is reserved because a header announces it: while a frame arrives, the buffer gets room for
//! at most as many bytes again as it holds. After a frame for which it had to grow beyond 8 KiB it
//! shrinks to that, once eight reads in a row needed no more.
//!
//! # The end of a stream
//! `Framed` calls the codec when the stream has ended. Between two frames this is a clean end; anywhere
//! else, including directly after a header, it is [`DecodeError::Truncated`].
//!
//! # Errors latch
//! After an error the codec returns it again and delivers nothing after it. `Framed` itself yields
//! an error, then `None` once, and then calls the codec again: a program that continues after that
//! `None` gets the same error, and no payload bytes that are taken for a header. Only the caller can
//! continue, by [`FrameCodec::skip_frame`] or [`FrameCodec::resync`]; `Framed` then
//! continues with the next bytes that arrive. Until then the buffer keeps everything that is read: do
//! not poll on without it, since `Framed` reads more each time.
//!
//! # Datagrams
//! These codecs are for streams. In a `UdpFramed` one damaged datagram would be the last; for
//! datagrams there is [`io::FrameSocket`](crate::io::FrameSocket).
//!
//! [`DecodeError::Truncated`]: crate::DecodeError::Truncated

mod error;
mod frame;
mod io_errors;
mod payload;
mod scan;

use tokio_util::bytes::BytesMut;

use crate::{EncodeError, Format, Framing};

pub use error::CodecError;
pub use frame::{BytesFrame, FrameCodec};
pub use io_errors::IoErrors;
pub use payload::PayloadCodec;

/// Appends a frame to `out`, which does not change on an error.
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
