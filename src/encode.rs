//! Writing frames: whole, header only, or streamed.

use core::borrow::Borrow;
use core::fmt;

use crate::error::EncodeError;
use crate::format::{Format, HeaderBuf, V1, copy, copy_payload};
use crate::framing::Framing;

/// The bytes of an encoded header. Borrows as `&[u8]`, for a vectored write beside the payload.
pub struct EncodedHeader<F: Format = V1> {
    buf: F::HeaderBuf,
    len: usize,
}

// Not derived: that would ask it of `F`, which is not in here.
impl<F: Format> Clone for EncodedHeader<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format> Copy for EncodedHeader<F> {}

impl<F: Format> EncodedHeader<F> {
    /// The header's bytes.
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
            out.extend_from_slice(self.buf.as_ref()); // of a length that the compiler knows
        } else {
            out.extend_from_slice(self.as_bytes());
        }
        out.extend_from_slice(payload);
    }

    /// Writes the header and its payload to the beginning of `out`, if there is room for them. Lends
    /// what is left of it.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn put<'b>(&self, payload: &[u8], out: &'b mut [u8]) -> Option<&'b mut [u8]> {
        let body = if self.len == F::HeaderBuf::LEN {
            let (head, body) = F::HeaderBuf::split_mut(out)?; // of a length that the compiler knows
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
    /// The header of a frame with a payload of `payload_len` bytes.
    ///
    /// # Errors
    /// The payload is over the limit, or the format cannot write `meta`.
    #[inline]
    pub fn encode_header(
        &self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<EncodedHeader<F>, EncodeError> {
        let limit = self.limit();
        if payload_len > limit {
            return Err(EncodeError::Oversize { len: payload_len, limit });
        }
        let mut buf = F::HeaderBuf::ZERO;
        let len = self.format().encode_header(meta.borrow(), payload_len, &mut buf)?;
        if len == 0 || len > F::HeaderBuf::LEN {
            return Err(EncodeError::BrokenFormat);
        }
        Ok(EncodedHeader { buf, len })
    }

    /// Writes a frame to the beginning of `out` and says how many bytes it has.
    ///
    /// # Errors
    /// As [`encode_header`](Self::encode_header), and [`EncodeError::NoRoom`] when `out` is too
    /// short. `out` stays as it is then.
    #[inline]
    pub fn encode_into(
        &self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let header = self.encode_header(meta, payload.len() as u64)?;
        // A slice has at most `isize::MAX` bytes, so the sum cannot overflow.
        let needed = header.len + payload.len();
        let room = out.len();
        let Some(out) = out.get_mut(..needed) else {
            return Err(EncodeError::NoRoom { needed, room });
        };
        if header.len == F::HeaderBuf::LEN
            && let Some((head, body)) = F::HeaderBuf::split_mut(out)
        {
            *head = header.buf;
            copy_payload(body, payload);
        } else if let Some((head, body)) = out.split_at_mut_checked(header.len) {
            copy(head, header.as_bytes());
            copy_payload(body, payload);
        }
        Ok(needed)
    }

    /// Appends a frame to `out`.
    ///
    /// # Errors
    /// As [`encode_header`](Self::encode_header). `out` stays as it is then.
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

/// Keeps count of a frame whose payload is written in pieces: begin, pieces, finish.
///
/// It holds no bytes and writes none; the caller writes the header that [`begin`](Self::begin)
/// returns and every run of bytes that [`payload`](Self::payload) took.
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
pub struct Encoder<F = V1> {
    framing: Framing<F>,
    state: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Boundary,
    Payload {
        missing: u64,
    },
    /// A frame was left short: what follows it on the wire would be taken for its payload.
    Poisoned {
        missing: u64,
    },
}

impl<F: Format> Encoder<F> {
    /// An encoder of this format and limit.
    pub fn new(framing: impl Into<Framing<F>>) -> Self {
        Self { framing: framing.into(), state: Progress::Boundary }
    }

    /// The format and limit.
    #[must_use]
    pub fn framing(&self) -> &Framing<F> {
        &self.framing
    }

    /// Begins a frame with a payload of `payload_len` bytes: write the header returned, and then
    /// the payload. A frame without payload has to be [finished](Self::finish) too.
    ///
    /// # Errors
    /// As [`Framing::encode_header`]; [`EncodeError::Unfinished`] when payload of the frame before
    /// is missing. (Only [`finish`](Self::finish) may be left out.) Nothing changes then.
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
    /// [`EncodeError::Excess`] when the frame has no room for them; none of them is counted, and
    /// none may be written. [`EncodeError::NoFrame`] when no frame was begun.
    pub fn payload(&mut self, len: usize) -> Result<(), EncodeError> {
        let missing = self.check_payload(len)?;
        self.state = Progress::Payload { missing };
        Ok(())
    }

    /// What would be missing after `len` more bytes of payload.
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
    /// [`EncodeError::Unfinished`] when payload is missing: the encoder then refuses everything.
    /// [`EncodeError::NoFrame`] when no frame was begun.
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

    /// The payload bytes that the begun frame still needs; `None` between frames.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        match self.state {
            Progress::Boundary => None,
            Progress::Payload { missing } | Progress::Poisoned { missing } => Some(missing),
        }
    }

    /// Whether the next byte written may begin a frame.
    pub(crate) fn check_boundary(&self) -> Result<(), EncodeError> {
        match self.state {
            Progress::Boundary | Progress::Payload { missing: 0 } => Ok(()),
            Progress::Payload { missing } | Progress::Poisoned { missing } => {
                Err(EncodeError::Unfinished { missing })
            }
        }
    }

    /// Whether a frame was ended short, so that everything is refused.
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
