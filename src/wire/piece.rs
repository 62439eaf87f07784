//! What a decoder delivers.

use core::fmt;

use crate::format::Header;
use crate::frame::Escaped;

/// A run of payload bytes, borrowed from the input, with the header if a frame starts in it.
///
/// A frame is one piece or several: the first has the header, the last has `last` set. A frame that
/// fails, or is cut by the stream's end, has no last piece. A piece that brings only a header, or only
/// the end of a frame, has no bytes.
///
/// `L` is `u64` if headers announce the payload's length, and `()` if frames end with a mark.
///
/// In a frame with escapes, the bytes that an escape stands for are pieces of their own, which are not
/// borrowed from the input. So are bytes that were held back because they could begin a mark.
///
/// A check after the payload arrives last. Until the last piece, the payload is unchecked.
///
/// ```
/// use unstick::{Decoder, U8};
///
/// let mut decoder = Decoder::with_framing(U8);
/// let piece = decoder.decode(&mut &b"\x05he"[..])?.unwrap();
/// assert_eq!(piece.header.map(|header| header.payload_len), Some(5));
/// assert_eq!((piece.bytes, piece.last), (&b"he"[..], false));
/// let piece = decoder.decode(&mut &b"llo"[..])?.unwrap();
/// assert_eq!((piece.header, piece.bytes, piece.last), (None, &b"llo"[..], true));
/// # Ok::<(), unstick::DecodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Piece<'a, M, L = u64> {
    /// The frame's header, in its first piece.
    pub header: Option<Header<M, L>>,
    /// The next bytes of the frame's payload.
    pub bytes: &'a [u8],
    /// Whether the frame ends with this piece.
    pub last: bool,
}

impl<M: fmt::Debug, L: fmt::Debug> fmt::Debug for Piece<'_, M, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("header", &self.header)
            .field("bytes", &Escaped(self.bytes))
            .field("last", &self.last)
            .finish()
    }
}
