//! Encoding frames: whole, header only, or streamed.

use core::borrow::Borrow;
use core::fmt;

use crate::error::EncodeError;
use crate::format::{Format, HeaderBuf, V1, copy, copy_payload};
#[cfg(feature = "alloc")]
use crate::frame::OwnedFrame;
use crate::framing::Framing;

/// An encoded header. Borrows as `&[u8]`, for a vectored write together with the payload.
pub struct EncodedHeader<F: Format = V1> {
    buf: F::HeaderBuf,
    len: usize,
}

// Not derived: a derive would require `F: Clone`, but no `F` is stored.
impl<F: Format> Clone for EncodedHeader<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format> Copy for EncodedHeader<F> {}

impl<F: Format> EncodedHeader<F> {
    /// Returns the header's bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.buf.as_ref().get(..self.len).unwrap_or_default()
    }
}

#[cfg(feature = "alloc")]
impl<F: Format> EncodedHeader<F> {
    /// Appends the header and its payload to `out`.
    #[inline(always)]
    pub(crate) fn append(&self, payload: &[u8], out: &mut alloc::vec::Vec<u8>) {
        out.reserve(self.len + payload.len());
        if self.len == F::HeaderBuf::LEN {
            out.extend_from_slice(self.buf.as_ref()); // the compiler knows the length
        } else {
            out.extend_from_slice(self.as_bytes());
        }
        out.extend_from_slice(payload);
    }

    /// Writes the header and its payload to the start of `out`, and returns the rest of `out`.
    /// Returns `None` if there is not enough room.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn put<'b>(&self, payload: &[u8], out: &'b mut [u8]) -> Option<&'b mut [u8]> {
        let body = if self.len == F::HeaderBuf::LEN {
            let (head, body) = F::HeaderBuf::split_mut(out)?; // the compiler knows the length
            *head = self.buf;
            body
        } else {
            let (head, body) = out.split_at_mut_checked(self.len)?;
            head.copy_from_slice(self.as_bytes());
            body
        };
        let (place, rest) = body.split_at_mut_checked(payload.len())?;
        place.copy_from_slice(payload);
        Some(rest)
    }
}

impl<F: Format> AsRef<[u8]> for EncodedHeader<F> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<F: Format> fmt::Debug for EncodedHeader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedHeader({:02x?})", self.as_bytes())
    }
}

impl<F: Format> Framing<F> {
    /// Encodes the header of a frame with a payload of `payload_len` bytes.
    ///
    /// # Errors
    /// Returns an error if the payload is over the limit, or if the format cannot encode `meta`.
    #[inline]
    pub fn encode_header(
        &self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<EncodedHeader<F>, EncodeError> {
        let meta = meta.borrow();
        if self.is_oversize(meta, payload_len) {
            let limit = self.send_limit().min(self.format().limit_of(meta));
            return Err(EncodeError::Oversize { len: payload_len, limit });
        }
        let mut buf = F::HeaderBuf::ZERO;
        let len = self.format().encode_header(meta, payload_len, &mut buf)?;
        if len == 0 || len > F::HeaderBuf::LEN {
            return Err(EncodeError::BrokenFormat);
        }
        Ok(EncodedHeader { buf, len })
    }

    /// Writes a frame to the start of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// The same as [`encode_header`](Self::encode_header), and [`EncodeError::NoRoom`] if `out` is
    /// too short. `out` is unchanged then.
    #[inline]
    pub fn encode_into(
        &self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let header = self.encode_header(meta, payload.len() as u64)?;
        // Cannot overflow: a slice has at most `isize::MAX` bytes.
        let needed = header.len + payload.len();
        let room = out.len();
        let Some(out) = out.get_mut(..needed) else {
            return Err(EncodeError::NoRoom { needed, room });
        };
        match F::HeaderBuf::split_mut(out) {
            Some((head, body)) if header.len == F::HeaderBuf::LEN => {
                *head = header.buf;
                copy_payload(body, payload);
            }
            _ => {
                if let Some((head, body)) = out.split_at_mut_checked(header.len) {
                    copy(head, header.as_bytes());
                    copy_payload(body, payload);
                }
            }
        }
        Ok(needed)
    }

    /// Appends a frame to `out`.
    ///
    /// # Errors
    /// The same as [`encode_header`](Self::encode_header). `out` is unchanged then.
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn encode(
        &self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
        out: &mut alloc::vec::Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.encode_header(meta, payload.len() as u64)?.append(payload, out);
        Ok(())
    }
}

#[cfg(feature = "alloc")]
impl<F: Format> Framing<F> {
    /// Encodes an owned frame, for example for a queue or a `Sink`.
    ///
    /// # Errors
    /// The same as [`encode_header`](Self::encode_header).
    pub fn frame(&self, meta: F::Meta, payload: &[u8]) -> Result<OwnedFrame<F::Meta>, EncodeError> {
        let header = self.encode_header(&meta, payload.len() as u64)?;
        Ok(OwnedFrame::from_parts(meta, header.as_bytes(), payload))
    }
}

/// Tracks the progress of a frame whose payload is written in pieces: begin, payload, finish.
///
/// It neither holds nor writes bytes. The caller writes the header returned by
/// [`begin`](Self::begin), and every run of bytes counted by [`payload`](Self::payload).
///
/// ```
/// use unstick::{Encoder, Framing, Kind, V1};
///
/// let mut wire = Vec::new();
/// let mut encoder = Encoder::new(Framing::new(V1));
/// wire.extend_from_slice(encoder.begin(Kind::TEXT, 5)?.as_bytes());
/// for run in [&b"he"[..], b"llo"] {
///     encoder.payload(run.len())?;
///     wire.extend_from_slice(run);
/// }
/// encoder.finish()?;
/// # let mut whole = Vec::new();
/// # Framing::new(V1).encode(Kind::TEXT, b"hello", &mut whole)?;
/// # assert_eq!(wire, whole);
/// # Ok::<(), unstick::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encoder<F: Format = V1> {
    framing: Framing<F>,
    state: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Boundary,
    Payload {
        missing: u64,
    },
    /// A frame was left incomplete: a receiver would read the following bytes as its payload.
    Poisoned {
        missing: u64,
    },
}

impl<F: Format> Encoder<F> {
    /// Creates an encoder for this format and limit.
    pub fn new(framing: impl Into<Framing<F>>) -> Self {
        Self { framing: framing.into(), state: Progress::Boundary }
    }

    /// Returns the format and limit.
    #[must_use]
    pub fn framing(&self) -> &Framing<F> {
        &self.framing
    }

    /// Sets the limit, in payload bytes, from the next frame on.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.framing.set_send_limit(payload_bytes);
    }

    /// Begins a frame with a payload of `payload_len` bytes. Write the returned header, then the
    /// payload.
    ///
    /// End the frame with [`finish`](Self::finish), also if it has no payload. If no payload is
    /// missing, the next `begin` ends the frame too.
    ///
    /// # Errors
    /// The same as [`Framing::encode_header`], and [`EncodeError::Unfinished`] if the previous
    /// frame still lacks payload. The encoder is unchanged then.
    pub fn begin(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<EncodedHeader<F>, EncodeError> {
        self.check_boundary()?;
        let header = self.framing.encode_header(meta, payload_len)?;
        self.state = Progress::Payload { missing: payload_len };
        Ok(header)
    }

    /// Counts the next `len` bytes of the payload, which the caller writes.
    ///
    /// # Errors
    /// Returns [`EncodeError::Excess`] if the frame announced less payload; none of the bytes is
    /// counted, and none may be written. Returns [`EncodeError::NoFrame`] if no frame was begun.
    pub fn payload(&mut self, len: usize) -> Result<(), EncodeError> {
        let missing = self.check_payload(len)?;
        self.state = Progress::Payload { missing };
        Ok(())
    }

    /// Returns the number of missing payload bytes after `len` more bytes.
    pub(crate) fn check_payload(&self, len: usize) -> Result<u64, EncodeError> {
        let len = len as u64;
        match self.state {
            Progress::Boundary => Err(EncodeError::NoFrame),
            Progress::Poisoned { missing } => Err(EncodeError::Unfinished { missing }),
            Progress::Payload { missing } => {
                missing.checked_sub(len).ok_or(EncodeError::Excess { len, missing })
            }
        }
    }

    /// Ends the frame.
    ///
    /// # Errors
    /// Returns [`EncodeError::Unfinished`] if payload is missing; the encoder then refuses
    /// everything. Returns [`EncodeError::NoFrame`] if no frame was begun.
    pub fn finish(&mut self) -> Result<(), EncodeError> {
        match self.state {
            Progress::Boundary => Err(EncodeError::NoFrame),
            Progress::Payload { missing: 0 } => {
                self.state = Progress::Boundary;
                Ok(())
            }
            Progress::Payload { missing } | Progress::Poisoned { missing } => {
                self.state = Progress::Poisoned { missing };
                Err(EncodeError::Unfinished { missing })
            }
        }
    }

    /// Returns the number of payload bytes that the begun frame still needs, or `None` between
    /// frames.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        match self.state {
            Progress::Boundary => None,
            Progress::Payload { missing } | Progress::Poisoned { missing } => Some(missing),
        }
    }

    /// Checks that the next byte written may begin a frame.
    pub(crate) fn check_boundary(&self) -> Result<(), EncodeError> {
        match self.state {
            Progress::Boundary | Progress::Payload { missing: 0 } => Ok(()),
            Progress::Payload { missing } | Progress::Poisoned { missing } => {
                Err(EncodeError::Unfinished { missing })
            }
        }
    }

    /// Returns whether a frame was ended incomplete, so that everything is refused.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        matches!(self.state, Progress::Poisoned { .. })
    }

    /// Ends a streamed frame whose payload is complete, since a whole frame was written after it.
    pub(crate) fn end_complete(&mut self) {
        if self.state == (Progress::Payload { missing: 0 }) {
            self.state = Progress::Boundary;
        }
    }
}
