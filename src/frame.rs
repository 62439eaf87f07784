//! A whole frame, borrowed from the bytes it was decoded from, or owned.

use core::fmt;

use crate::decoder::Decoder;
use crate::error::{DecodeError, Part};
use crate::format::Format;
use crate::framing::Framing;
use crate::header::Kind;

/// A whole frame, borrowed.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame<'a, M = Kind> {
    /// What the header says beside the length.
    pub meta: M,
    /// The payload.
    pub payload: &'a [u8],
    bytes: &'a [u8],
    header_len: usize,
}

impl<'a, M> Frame<'a, M> {
    /// The frame that `bytes` are, `None` if they are fewer than the header.
    #[inline(always)]
    pub(crate) fn from_parts(meta: M, header_len: usize, bytes: &'a [u8]) -> Option<Self> {
        let payload = bytes.get(header_len..)?;
        Some(Self { meta, payload, bytes, header_len })
    }

    /// The whole frame as it was received, header included: what a proxy forwards.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header as it was received.
    #[must_use]
    pub fn header_bytes(&self) -> &'a [u8] {
        self.bytes.get(..self.header_len).unwrap_or_default()
    }

    /// A copy of the frame as it was received, that does not borrow: as many bytes as it has, and
    /// not the buffer it is in.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn to_owned(&self) -> OwnedFrame<M>
    where
        M: Clone,
    {
        OwnedFrame {
            meta: self.meta.clone(),
            header_len: self.header_len,
            bytes: self.bytes.into(),
        }
    }
}

impl<M: fmt::Debug> fmt::Debug for Frame<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("meta", &self.meta)
            .field("payload", &Escaped(self.payload))
            .finish()
    }
}

impl<F: Format> Framing<F> {
    /// Takes a whole frame off the front of `bytes`. `Ok(None)` says that it has not arrived yet.
    ///
    /// For bytes that lie in one slice; a stream is [`Decoder`]'s or
    /// [`FrameBuf`](crate::FrameBuf)'s.
    ///
    /// # Errors
    /// `bytes` begin with no frame. The error's offset counts from the start of `bytes`, and
    /// `bytes` stay as they are.
    pub fn split_frame<'a>(
        &self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<Frame<'a, F::Meta>>, DecodeError> {
        match self.take_frame(bytes) {
            Ok(frame) => Ok(Some(frame)),
            Err(DecodeError::Truncated { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same where a frame that is not all there is an error.
    pub(crate) fn take_frame<'a>(
        &self,
        bytes: &mut &'a [u8],
    ) -> Result<Frame<'a, F::Meta>, DecodeError> {
        let framing = Framing::new(self.format()).with_limit(self.limit());
        let mut decoder = Decoder::with_framing(framing);
        let mut rest = *bytes;
        // The input is one slice, so a frame's first piece has all of it that is there.
        let header = decoder.decode(&mut rest)?.and_then(|piece| piece.header);
        if let Some(header) = header
            && let Ok(frame_len) = usize::try_from(header.frame_len())
            && let Some(whole) = bytes.get(..frame_len)
            && let Some(frame) = Frame::from_parts(header.meta, header.header_len, whole)
        {
            *bytes = rest;
            return Ok(frame);
        }
        decoder.finish()?;
        // Only no bytes at all end on a boundary and are no frame.
        Err(DecodeError::Truncated { at: 0, missing: 1, part: Part::Header })
    }
}

/// A whole frame that owns its bytes, and no more than its bytes.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedFrame<M = Kind> {
    /// What the header says beside the length.
    pub meta: M,
    header_len: usize,
    bytes: alloc::boxed::Box<[u8]>,
}

#[cfg(feature = "alloc")]
impl<M> OwnedFrame<M> {
    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.header_len..).unwrap_or_default()
    }

    /// The whole frame as it was received, header included.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload alone, without another allocation.
    #[must_use]
    pub fn into_payload(self) -> alloc::vec::Vec<u8> {
        let mut bytes = self.bytes.into_vec();
        bytes.drain(..self.header_len);
        bytes
    }
}

#[cfg(feature = "alloc")]
impl<F: Format> Framing<F> {
    /// A frame of one's own, for a queue or a `Sink`.
    ///
    /// # Errors
    /// As [`encode_header`](Self::encode_header).
    pub fn frame(
        &self,
        meta: F::Meta,
        payload: &[u8],
    ) -> Result<OwnedFrame<F::Meta>, crate::error::EncodeError> {
        let mut bytes = alloc::vec::Vec::new();
        self.encode(&meta, payload, &mut bytes)?;
        let header_len = bytes.len() - payload.len();
        Ok(OwnedFrame { meta, header_len, bytes: bytes.into() })
    }
}

#[cfg(feature = "alloc")]
impl<M: fmt::Debug> fmt::Debug for OwnedFrame<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedFrame")
            .field("meta", &self.meta)
            .field("payload", &Escaped(self.payload()))
            .finish()
    }
}

/// Bytes as a log should show them, by `Debug`: escaped, and at most the first 32 of them.
///
/// ```
/// assert_eq!(format!("{:?}", unstick::Escaped(b"a\n")), r#"b"a\n""#);
/// ```
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        match self.0.get(..SHOWN) {
            Some(shown) if self.0.len() > SHOWN => {
                write!(f, "b\"{}\"... ({} bytes)", shown.escape_ascii(), self.0.len())
            }
            _ => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::format::V1;
    use alloc::format;

    #[test]
    fn a_log_shows_a_frame_escaped_and_in_part() {
        let frame = Framing::new(V1).frame(Kind::TEXT, b"a\x1b\n").unwrap();
        assert_eq!(format!("{frame:?}"), r#"OwnedFrame { meta: Kind(text), payload: b"a\x1b\n" }"#);
        let frame = Framing::new(V1).frame(Kind::TEXT, &[b'x'; 100]).unwrap();
        assert!(format!("{frame:?}").ends_with(r#"x"... (100 bytes) }"#));
    }
}
