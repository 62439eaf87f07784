//! A codec of whole frames.

use core::fmt;

use tokio_util::bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::error::CodecError;
use super::frame::FrameCodec;
use crate::{Framing, Wire};

/// A decoder of whole frames: it yields each frame as one `BytesMut`, header included, as a
/// `LengthDelimitedCodec` with `num_skip(0)` does. It does not encode.
///
/// ```
/// use futures::StreamExt;
/// use tokio_util::codec::FramedRead;
/// use unstick::U16Be;
/// use unstick::codec::WholeFrameCodec;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut frames = FramedRead::new(&b"\0\x02hi"[..], WholeFrameCodec::new(U16Be));
/// let mut frame = frames.next().await.ok_or("a frame")??;
/// assert_eq!(frame, "\0\x02hi");
/// // The payload, without a copy:
/// let payload = frame.split_off(2);
/// assert_eq!(payload, "hi");
/// # Ok(())
/// # }
/// ```
///
/// It dereferences to a [`FrameCodec`], which has the methods that change or describe a stream. The
/// [module](super) describes memory, errors, and the end of a stream.
#[derive(Clone)]
pub struct WholeFrameCodec<F: Wire> {
    pub(super) frames: FrameCodec<F>,
}

impl<F: Wire> WholeFrameCodec<F> {
    /// Creates a codec of this format and limit.
    #[must_use]
    pub fn new(framing: impl Into<Framing<F>>) -> Self {
        Self { frames: FrameCodec::with_framing(framing) }
    }
}

impl<F: Wire + fmt::Debug> fmt::Debug for WholeFrameCodec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WholeFrameCodec").field("frames", &self.frames).finish()
    }
}

impl<F: Wire> Decoder for WholeFrameCodec<F> {
    type Item = BytesMut;
    type Error = CodecError;

    #[inline]
    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        Ok(self.frames.next_whole(src, false)?.map(|(_, frame)| frame))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<BytesMut>, CodecError> {
        Ok(self.frames.next_whole(src, true)?.map(|(_, frame)| frame))
    }
}
