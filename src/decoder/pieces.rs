//! The iterator over the pieces of a chunk.

use core::fmt;

use super::Decoder;
use crate::error::DecodeError;
use crate::format::V1;
use crate::wire::{Piece, Wire};

impl<W: Wire> Decoder<W> {
    /// Returns an iterator over the pieces of a chunk of any size.
    ///
    /// After an error the iterator ends; [`Pieces::rest`] then returns the bytes after the refused
    /// ones. A decoder that has failed before yields its error again.
    #[inline]
    pub fn pieces<'d, 'a>(&'d mut self, input: &'a [u8]) -> Pieces<'d, 'a, W> {
        Pieces { decoder: self, input, done: false }
    }
}

/// An iterator over the pieces of one chunk. See [`Decoder::pieces`].
///
/// ```
/// use unstick::{Decoder, U8};
///
/// let mut decoder = Decoder::with_framing(U8);
/// let mut pieces = decoder.pieces(b"\x02hi\x03yo");
/// let first = pieces.next().ok_or("a piece")??;
/// assert_eq!((first.bytes, first.last), (&b"hi"[..], true));
/// assert_eq!(pieces.rest(), b"\x03yo");
/// let second = pieces.next().ok_or("a piece")??;
/// assert_eq!((second.bytes, second.last), (&b"yo"[..], false)); // a byte is missing
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pieces<'d, 'a, W: Wire = V1> {
    decoder: &'d mut Decoder<W>,
    input: &'a [u8],
    done: bool,
}

impl<'a, W: Wire> Pieces<'_, 'a, W> {
    /// Returns the bytes that are not consumed yet; after an error, those after the refused bytes.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.input
    }
}

impl<'a, W: Wire> Iterator for Pieces<'_, 'a, W> {
    type Item = Result<Piece<'a, W::Meta, W::Len>, DecodeError>;

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

impl<W: Wire> core::iter::FusedIterator for Pieces<'_, '_, W> {}

impl<W: Wire + fmt::Debug> fmt::Debug for Pieces<'_, '_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("decoder", self.decoder)
            .field("rest", &self.input.len())
            .finish()
    }
}
