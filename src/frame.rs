//! Whole frames, borrowed or owned.

use core::fmt;

use crate::format::header::Kind;

/// A whole frame, borrowed from the bytes from which it was decoded.
///
/// ```
/// use unstick::{Framing, U16Be};
///
/// let mut bytes = &b"\0\x02hi\0\x05hello"[..];
/// let frame = Framing::new(U16Be).split_frame(&mut bytes)?.ok_or("all of it is here")?;
/// assert_eq!((frame.meta, frame.payload), ((), &b"hi"[..]));
/// assert_eq!((frame.header_bytes(), frame.bytes()), (&b"\0\x02"[..], &b"\0\x02hi"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Creates a frame whose payload is this part of its bytes.
    #[inline(always)]
    pub(crate) fn from_range(
        meta: M,
        header_len: usize,
        payload_len: usize,
        bytes: &'a [u8],
    ) -> Option<Self> {
        let payload = bytes.get(header_len..)?.get(..payload_len)?;
        Some(Self { meta, payload, bytes, header_len })
    }

    /// Returns the whole frame as it was received: header, payload, and the check or mark after it. A
    /// proxy can forward these bytes.
    ///
    /// Of a frame with escapes, which were removed in place, it is the payload alone: encode that again
    /// to forward it.
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
        let end = self.header_len + self.payload.len();
        let after = self.bytes.get(end..).unwrap_or_default();
        OwnedFrame::from_parts(self.meta.clone(), self.header_bytes(), self.payload, after)
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

/// A whole frame that owns its bytes. The payload is an allocation of exactly its length; the bytes
/// before and after it are in the value itself, or a second allocation if there are more than 21.
///
/// Readers return one by `next_owned`, and [`Framing::frame`](crate::Framing::frame) creates one to be sent.
///
/// ```
/// use unstick::io::FrameReader;
/// use unstick::{OwnedFrame, U16Be};
///
/// let mut reader = FrameReader::with_framing(&b"\0\x02hi\0\x05hello"[..], U16Be);
/// let mut frames: Vec<OwnedFrame<()>> = Vec::new();
/// while let Some(frame) = reader.next_owned()? {
///     frames.push(frame); // it does not borrow the reader
/// }
/// assert_eq!(frames[1].payload(), b"hello");
/// # Ok::<(), unstick::io::ReadError>(())
/// ```
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedFrame<M = Kind> {
    /// The header's fields other than the length.
    pub meta: M,
    around: Around,
    payload: alloc::boxed::Box<[u8]>,
}

/// The header of an owned frame, and what follows the payload.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq)]
enum Around {
    /// The bytes after those of both are zero.
    Inline {
        header_len: u8,
        after_len: u8,
        bytes: [u8; 21],
    },
    Boxed {
        header_len: u16,
        bytes: alloc::boxed::Box<[u8]>,
    },
}

#[cfg(feature = "alloc")]
impl Around {
    #[inline]
    fn new(header: &[u8], after: &[u8]) -> Self {
        let mut bytes = [0; 21];
        let lens = (u8::try_from(header.len()), u8::try_from(after.len()));
        if let (Some((head, rest)), (Ok(header_len), Ok(after_len))) =
            (bytes.split_at_mut_checked(header.len()), lens)
        {
            if let Some(place) = rest.get_mut(..after.len()) {
                head.copy_from_slice(header);
                place.copy_from_slice(after);
                return Self::Inline { header_len, after_len, bytes };
            }
        }
        // A header has at most 65,535 bytes.
        let header_len = u16::try_from(header.len()).unwrap_or(u16::MAX);
        Self::Boxed { header_len, bytes: [header, after].concat().into() }
    }

    fn header(&self) -> &[u8] {
        match self {
            Self::Inline { header_len, bytes, .. } => bytes.get(..usize::from(*header_len)),
            Self::Boxed { header_len, bytes } => bytes.get(..usize::from(*header_len)),
        }
        .unwrap_or_default()
    }

    fn after(&self) -> &[u8] {
        match self {
            Self::Inline { header_len, after_len, bytes } => {
                let start = usize::from(*header_len);
                bytes.get(start..start + usize::from(*after_len))
            }
            Self::Boxed { header_len, bytes } => bytes.get(usize::from(*header_len)..),
        }
        .unwrap_or_default()
    }
}

#[cfg(feature = "alloc")]
impl<M> OwnedFrame<M> {
    /// Creates a frame with copies of its parts.
    #[inline]
    pub(crate) fn from_parts(meta: M, header: &[u8], payload: &[u8], after: &[u8]) -> Self {
        Self { meta, around: Around::new(header, after), payload: payload.into() }
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the header as it was received.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        self.around.header()
    }

    /// Returns a copy of the whole frame, like [`Frame::bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> alloc::vec::Vec<u8> {
        [self.header_bytes(), &self.payload, self.around.after()].concat()
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
        let frame = Framing::new(V1).frame(Kind::TEXT, [b'x'; 100]).unwrap();
        assert!(format!("{frame:?}").ends_with(r#"x"... (100 bytes) }"#));
    }
}
