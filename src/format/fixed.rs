//! Frames of a fixed size.

use core::num::NonZeroU64;

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, Parsed};

/// Frames that all have the same length, one after the other, without a header.
///
/// ```
/// use std::num::NonZeroU64;
/// use unstick::{Decoder, Fixed};
///
/// let mut decoder = Decoder::with_framing(Fixed::new(NonZeroU64::new(3).unwrap()));
/// let mut frames = Vec::new();
/// decoder.for_each(b"abcdef", |piece| frames.push(piece.bytes))?;
/// decoder.finish()?;
/// assert_eq!(frames, [b"abc", b"def"]);
/// # Ok::<(), unstick::DecodeError>(())
/// ```
///
/// A limit below the length refuses every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Fixed {
    len: NonZeroU64,
}

impl Fixed {
    /// Frames of `len` bytes.
    #[must_use]
    pub const fn new(len: NonZeroU64) -> Self {
        Self { len }
    }
}

impl Format for Fixed {
    type Meta = ();
    type HeaderBuf = [u8; 1];

    #[inline]
    fn max_payload_len(&self) -> u64 {
        self.len.get()
    }

    #[inline]
    fn max_header_len(&self) -> usize {
        0
    }

    #[inline]
    fn decode_header(&self, _: &[u8]) -> Result<Parsed<()>, HeaderError> {
        Ok(Parsed::Header(Header { meta: (), payload_len: self.len.get(), header_len: 0 }))
    }

    /// Writes nothing.
    ///
    /// # Errors
    /// Returns [`EncodeError::WrongLength`] if the payload does not have the fixed length.
    #[inline]
    fn encode_header(&self, (): &(), len: u64, _: &mut [u8; 1]) -> Result<usize, EncodeError> {
        let expected = self.len.get();
        if len == expected { Ok(0) } else { Err(EncodeError::WrongLength { len, expected }) }
    }
}
