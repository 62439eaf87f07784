//! What a decoder delivers.

use core::fmt;

use crate::format::Header;
use crate::frame::Escaped;

/// A run of payload bytes, borrowed from the input, with the header if a frame starts in it.
///
/// A frame is one piece or several: the first has the header, the last has `last` set. A frame
/// without payload is one piece without bytes. A piece that only brings a header has no bytes
/// either.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece<'a, M> {
    /// The frame's header, in its first piece.
    pub header: Option<Header<M>>,
    /// The next bytes of the frame's payload.
    pub bytes: &'a [u8],
    /// Whether the frame ends with this piece.
    pub last: bool,
}

impl<M: fmt::Debug> fmt::Debug for Piece<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("header", &self.header)
            .field("bytes", &Escaped(self.bytes))
            .field("last", &self.last)
            .finish()
    }
}
