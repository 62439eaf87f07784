//! Whole frames, borrowed or owned.

use core::fmt;

use crate::format::header::Kind;

/// A whole frame, borrowed from the bytes from which it was decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame<'a, M = Kind> {
    /// The header's fields other than the length.
    pub meta: M,
    /// The payload.
    pub payload: &'a [u8],
    bytes: &'a [u8],
    header_len: usize,
}

impl<'a, M> Frame<'a, M> {
    /// Creates a frame from its bytes, or returns `None` if they are shorter than the header.
    #[inline(always)]
    pub(crate) fn from_parts(meta: M, header_len: usize, bytes: &'a [u8]) -> Option<Self> {
        let payload = bytes.get(header_len..)?;
        Some(Self { meta, payload, bytes, header_len })
    }

    /// Returns the whole frame as it was received, header included. A proxy can forward these
    /// bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the header as it was received.
    #[must_use]
    pub fn header_bytes(&self) -> &'a [u8] {
        self.bytes.get(..self.header_len).unwrap_or_default()
    }

    /// Returns an owned copy of the frame as it was received. It allocates the length of the payload,
    /// not that of the buffer.
    #[cfg(feature = "alloc")]
    #[inline]
    #[must_use]
    pub fn to_owned(&self) -> OwnedFrame<M>
    where
        M: Clone,
    {
        OwnedFrame::from_parts(self.meta.clone(), self.header_bytes(), self.payload)
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

/// A whole frame that owns its bytes. The payload is an allocation of exactly its length; the header
/// is in the value itself, or a second allocation if it is longer than 22 bytes.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedFrame<M = Kind> {
    /// The header's fields other than the length.
    pub meta: M,
    header: OwnedHeader,
    payload: alloc::boxed::Box<[u8]>,
}

#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq)]
enum OwnedHeader {
    /// The bytes after the first `len` are zero.
    Inline {
        len: u8,
        bytes: [u8; 22],
    },
    Boxed(alloc::boxed::Box<[u8]>),
}

#[cfg(feature = "alloc")]
impl<M> OwnedFrame<M> {
    /// Creates a frame with copies of its parts.
    #[inline]
    pub(crate) fn from_parts(meta: M, header: &[u8], payload: &[u8]) -> Self {
        let mut bytes = [0; 22];
        let header = match (bytes.get_mut(..header.len()), u8::try_from(header.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(header);
                OwnedHeader::Inline { len, bytes }
            }
            _ => OwnedHeader::Boxed(header.into()),
        };
        Self { meta, header, payload: payload.into() }
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the header as it was received.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        match &self.header {
            OwnedHeader::Inline { len, bytes } => {
                bytes.get(..usize::from(*len)).unwrap_or_default()
            }
            OwnedHeader::Boxed(bytes) => bytes,
        }
    }

    /// Returns a copy of the whole frame as it was received, header included.
    #[must_use]
    pub fn to_bytes(&self) -> alloc::vec::Vec<u8> {
        [self.header_bytes(), &self.payload].concat()
    }

    /// Returns the payload. It is not moved, so a `Bytes` made of it is the only allocation.
    #[inline]
    #[must_use]
    pub fn into_payload(self) -> alloc::vec::Vec<u8> {
        self.payload.into_vec()
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
    use crate::framing::Framing;
    use alloc::format;

    #[test]
    fn debug_escapes_and_shortens_payloads() {
        let frame = Framing::new(V1).frame(Kind::TEXT, b"a\x1b\n").unwrap();
        assert_eq!(format!("{frame:?}"), r#"OwnedFrame { meta: Kind(text), payload: b"a\x1b\n" }"#);
        let frame = Framing::new(V1).frame(Kind::TEXT, &[b'x'; 100]).unwrap();
        assert!(format!("{frame:?}").ends_with(r#"x"... (100 bytes) }"#));
    }
}
