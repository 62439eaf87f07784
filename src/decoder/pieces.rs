//! What a decoder delivers, and the iterator over it.

use core::fmt;

use super::Decoder;
use crate::error::DecodeError;
use crate::format::{Format, Header, V1};
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

/// An iterator over the pieces of one chunk. See [`Decoder::pieces`].
pub struct Pieces<'d, 'a, F: Format = V1> {
    pub(super) decoder: &'d mut Decoder<F>,
    pub(super) input: &'a [u8],
    pub(super) done: bool,
}

impl<'a, F: Format> Pieces<'_, 'a, F> {
    /// Returns the bytes that are not consumed yet; after an error, those after the refused bytes.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.input
    }
}

impl<'a, F: Format> Iterator for Pieces<'_, 'a, F> {
    type Item = Result<Piece<'a, F::Meta>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.decoder.decode(&mut self.input).transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl<F: Format> core::iter::FusedIterator for Pieces<'_, '_, F> {}

impl<F: Format + fmt::Debug> fmt::Debug for Pieces<'_, '_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("decoder", self.decoder)
            .field("rest", &self.input.len())
            .finish()
    }
}
