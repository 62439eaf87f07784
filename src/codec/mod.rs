//! Codecs for [`tokio_util::codec::Framed`], which replace a `LengthDelimitedCodec` in a program that
//! has a `Framed` and keeps it.
//!
//! - [`PayloadCodec`] reads and writes payloads alone, with the same meta in every header.
//! - [`FrameCodec`] reads and writes [`BytesFrame`]s: the header's meta, and the payload.
//! - [`WholeFrameCodec`] reads whole frames, header included.
//! - [`error_items`](FrameCodec::error_items) and [`io_errors`](FrameCodec::io_errors) of each change how
//!   errors come: as items, or as an `io::Error`.
//! - [`LengthDelimited`] is a `LengthDelimitedCodec` as its `new` creates it.
//!
//! All of them are configured by a [`Framing`], a `Copy` value that can be a constant,
//! stored, changed with `set_limit`, and passed to any number of codecs; there is no other builder.
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
//! Nothing is reserved because a header announces it, except with
//! [`reserve_announced`](FrameCodec::reserve_announced). While a frame of more than 8 KiB arrives, a
//! full buffer gets room for as many bytes again as it holds, or for as many as the last frame had, and
//! 8 KiB. Memory that is shared with payloads is replaced by room for whole frames as long as the last
//! one, 8 to 72 KiB. After a frame for which it had to grow beyond 8 KiB the buffer shrinks to that,
//! once eight reads in a row needed no more.
//!
//! # The end of a stream
//! `Framed` calls the codec when the stream has ended. Between two frames this is a clean end; anywhere
//! else, including directly after a header, it is [`DecodeError::Truncated`].
//!
//! # Errors latch
//! After an error the codec returns it again and delivers nothing after it. Only the caller can
//! continue, by [`FrameCodec::skip_frame`] or [`FrameCodec::resync`]. Until then the buffer keeps
//! everything that is read: do not poll on without it, since `Framed` reads more each time.
//!
//! `Framed` itself yields an error, then `None` once, and then reads before it calls the codec again.
//! No codec can change that: even after `skip_frame`, a frame that is in the buffer comes only when
//! further bytes, or the end, arrive. If the peer waits for the answer to that frame, both sides wait.
//! So a program that continues after errors
//!
//! - takes them as items: [`error_items`](FrameCodec::error_items); or
//! - resets `Framed`, which then decodes first and yields no `None`:
//!   `framed = framed.map_codec(|mut codec| { let _ = codec.skip_frame(); codec })`. `FramedRead` has no
//!   such method: its `map_decoder` does not reset it.
//!
//! # Datagrams
//! These codecs are for streams. In a `UdpFramed` one damaged datagram would be the last; for
//! datagrams there is [`io::FrameSocket`](crate::io::FrameSocket).
//!
//! [`DecodeError::Truncated`]: crate::DecodeError::Truncated

mod error;
mod error_items;
mod frame;
mod io_errors;
mod payload;
mod scan;
mod whole;

use core::ops::{Deref, DerefMut};

use crate::{Framing, U32Be, Wire};

pub use error::CodecError;
pub use error_items::ErrorItems;
pub use frame::{BytesFrame, FrameCodec};
pub use io_errors::IoErrors;
pub use payload::PayloadCodec;
pub use whole::WholeFrameCodec;

/// A `LengthDelimitedCodec` as its `new` creates it: payloads of at most 8 MiB after a length of four
/// bytes in big-endian order, with [`std::io::Error`] as the error.
///
/// ```
/// use tokio_util::bytes::BytesMut;
/// use tokio_util::codec::{Decoder, Encoder};
/// use unstick::codec::LengthDelimited;
///
/// let mut codec = LengthDelimited::new();
/// let mut wire = BytesMut::new();
/// codec.encode("hello", &mut wire)?;
/// assert_eq!(wire, &b"\0\0\0\x05hello"[..]);
/// assert_eq!(codec.decode(&mut wire)?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), std::io::Error>(())
/// ```
pub type LengthDelimited = IoErrors<PayloadCodec<U32Be>>;

impl LengthDelimited {
    /// Creates a codec with the format and the limit of `LengthDelimitedCodec::new`.
    #[must_use]
    pub fn new() -> Self {
        PayloadCodec::new(Framing::new(U32Be).with_limit(8 << 20)).io_errors()
    }
}

impl Default for LengthDelimited {
    fn default() -> Self {
        Self::new()
    }
}

/// What dereferences to which codec inside it.
macro_rules! derefs {
    ($([$($generics:tt)+] $outer:ty => $field:ident: $inner:ty;)+) => {$(
        impl<$($generics)+> Deref for $outer {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.$field
            }
        }

        impl<$($generics)+> DerefMut for $outer {
            fn deref_mut(&mut self) -> &mut $inner {
                &mut self.$field
            }
        }
    )+};
}

derefs! {
    [F: Wire] PayloadCodec<F> => frames: FrameCodec<F>;
    [F: Wire] WholeFrameCodec<F> => frames: FrameCodec<F>;
    [C] IoErrors<C> => codec: C;
    [C] ErrorItems<C> => codec: C;
}

macro_rules! wrapped {
    ($($codec:ident)+) => {$(
        impl<F: Wire> $codec<F> {
            /// Returns this codec with [`std::io::Error`] as its error.
            #[must_use]
            pub fn io_errors(self) -> IoErrors<Self> {
                IoErrors { codec: self }
            }

            /// Returns this codec with errors that the caller can continue after as items, not as
            /// errors of the stream.
            #[must_use]
            pub fn error_items(self) -> ErrorItems<Self> {
                ErrorItems { codec: self, reported: None }
            }
        }
    )+};
}

wrapped! { FrameCodec PayloadCodec WholeFrameCodec }
