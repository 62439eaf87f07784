//! Encoding frames: whole, header only, or streamed.

use core::fmt;

use crate::check::TrailerBuf;
use crate::error::EncodeError;
use crate::format::{Format, HeaderBuf, MAX_PAYLOAD_LEN, V1, copy, copy_payload, has_no_header};
#[cfg(feature = "alloc")]
use crate::frame::OwnedFrame;
use crate::framing::Framing;
use crate::wire::{AsMeta, KnownLength, Wire};

/// An encoded header. Borrows as `&[u8]`, for a vectored write together with the payload.
///
/// ```
/// use std::io::{IoSlice, Write};
/// use unstick::{Framing, U32Be};
///
/// let payload = b"hello";
/// let header = Framing::new(U32Be).encode_header((), 5)?;
/// assert_eq!(header.as_bytes(), b"\0\0\0\x05");
/// let written = Vec::new().write_vectored(&[IoSlice::new(header.as_bytes()), IoSlice::new(payload)])?;
/// assert_eq!(written, 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

/// Encodes the header of a frame whose payload is at most `limit` bytes long.
///
/// Formats compare with their maximum too, so once that is inlined the comparison costs nothing here.
#[inline(always)]
pub(crate) fn encode_header<F: Format>(
    format: &F,
    limit: u64,
    meta: &F::Meta,
    payload_len: u64,
) -> Result<EncodedHeader<F>, EncodeError> {
    let max = format.max_payload_len().min(format.limit_of(meta));
    // The limit is no more than `MAX_PAYLOAD_LEN` itself.
    if payload_len > limit || (max < MAX_PAYLOAD_LEN && payload_len > max) {
        // Constant for a format that has headers, which then pays nothing for the other ones.
        if format.max_header_len() == 0 {
            return Err(wrong_length(format, meta, payload_len, limit.min(max)));
        }
        return Err(EncodeError::Oversize { len: payload_len, limit: limit.min(max) });
    }
    let mut buf = F::HeaderBuf::ZERO;
    let len = format.encode_header(meta, payload_len, &mut buf)?;
    if (len == 0 && !has_no_header(format, payload_len)) || len > F::HeaderBuf::LEN {
        return Err(EncodeError::BrokenFormat);
    }
    Ok(EncodedHeader { buf, len })
}

/// Returns the error for a payload over the limit. That a fixed length is another one says more.
#[cold]
fn wrong_length<F: Format>(format: &F, meta: &F::Meta, len: u64, limit: u64) -> EncodeError {
    let mut buf = F::HeaderBuf::ZERO;
    match format.encode_header(meta, len, &mut buf) {
        Err(error @ EncodeError::WrongLength { .. }) => error,
        _ => EncodeError::Oversize { len, limit },
    }
}

/// Writes a header, its payload and a trailer to the start of `out`.
#[inline(always)]
pub(crate) fn write_into<F: Format>(
    header: EncodedHeader<F>,
    payload: &[u8],
    trailer: &[u8],
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    // Cannot overflow: a slice has at most `isize::MAX` bytes.
    let needed = header.len + payload.len() + trailer.len();
    let room = out.len();
    let Some(out) = out.get_mut(..needed) else {
        return Err(EncodeError::NoRoom { needed, room });
    };
    let body = match F::HeaderBuf::split_mut(out) {
        Some((head, body)) if header.len == F::HeaderBuf::LEN => {
            *head = header.buf;
            body
        }
        _ => {
            let (head, body) = out.split_at_mut_checked(header.len).unwrap_or_default();
            copy(head, header.as_bytes());
            body
        }
    };
    copy_payload(body, payload);
    if !trailer.is_empty() {
        copy(body.get_mut(payload.len()..).unwrap_or_default(), trailer);
    }
    Ok(needed)
}

impl<W: KnownLength> Framing<W> {
    /// Encodes the header of a frame with a payload of `payload_len` bytes.
    ///
    /// # Errors
    /// Returns an error if the payload is over the limit, or if the format cannot encode `meta`.
    #[inline]
    pub fn encode_header(
        &self,
        meta: impl AsMeta<<W as Wire>::Meta>,
        payload_len: u64,
    ) -> Result<EncodedHeader<W::Header>, EncodeError> {
        let format = self.format().header_format();
        encode_header(format, self.raw_send_limit(), meta.as_meta(), payload_len)
    }
}

impl<W: Wire> Framing<W> {
    /// Writes a frame to the start of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// Returns an error if the payload is over the limit, or if it or `meta` cannot be encoded, and
    /// [`EncodeError::NoRoom`] if `out` is too short. `out` is unchanged then.
    #[inline]
    pub fn encode_into(
        &self,
        meta: impl AsMeta<W::Meta>,
        payload: impl AsRef<[u8]>,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        self.format().write_frame(self.raw_send_limit(), meta.as_meta(), payload.as_ref(), out)
    }

    /// Appends a frame to `out`.
    ///
    /// # Errors
    /// Returns an error if the payload is over the limit, or if it or `meta` cannot be encoded. `out`
    /// is unchanged then.
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn encode(
        &self,
        meta: impl AsMeta<W::Meta>,
        payload: impl AsRef<[u8]>,
        out: &mut alloc::vec::Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.format().append_frame(self.raw_send_limit(), meta.as_meta(), payload.as_ref(), out)
    }
}

#[cfg(feature = "alloc")]
impl<W: Wire> Framing<W> {
    /// Encodes an owned frame, for example for a queue or a `Sink`.
    ///
    /// # Errors
    /// The same as [`encode`](Self::encode).
    pub fn frame(
        &self,
        meta: W::Meta,
        payload: impl AsRef<[u8]>,
    ) -> Result<OwnedFrame<W::Meta>, EncodeError> {
        self.format().own_frame(self.raw_send_limit(), meta, payload.as_ref())
    }
}

/// Tracks the progress of a frame whose payload is written in pieces: begin, payload, finish.
///
/// It neither holds nor writes bytes. The caller writes the header returned by
/// [`begin`](Self::begin), every run of bytes counted by [`payload`](Self::payload), and the check
/// returned by [`finish`](Self::finish), which is empty for a format without one.
///
/// ```
/// use unstick::{Encoder, Framing, Kind, V1};
///
/// let mut wire = Vec::new();
/// let mut encoder = Encoder::new(Framing::new(V1));
/// wire.extend_from_slice(encoder.begin(Kind::TEXT, 5)?.as_bytes());
/// for run in [&b"he"[..], b"llo"] {
///     encoder.payload(run)?;
///     wire.extend_from_slice(run);
/// }
/// wire.extend_from_slice(&encoder.finish()?);
/// # let mut whole = Vec::new();
/// # Framing::new(V1).encode(Kind::TEXT, b"hello", &mut whole)?;
/// # assert_eq!(wire, whole);
/// # Ok::<(), unstick::EncodeError>(())
/// ```
#[derive(Clone)]
pub struct Encoder<W: Wire = V1> {
    framing: Framing<W>,
    state: Progress,
    /// The digest of the frame that has begun.
    digest: W::Digest,
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

impl<W: Wire> Encoder<W> {
    /// Creates an encoder for this format and limit.
    pub fn new(framing: impl Into<Framing<W>>) -> Self {
        let framing = framing.into();
        let digest = framing.format().begin_digest(&[]);
        Self { framing, state: Progress::Boundary, digest }
    }

    /// Returns the format and limit.
    #[must_use]
    pub fn framing(&self) -> &Framing<W> {
        &self.framing
    }

    /// Sets the limit, in payload bytes, from the next frame on.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.framing.set_send_limit(payload_bytes);
    }

    /// Begins a frame after its head was written.
    pub(crate) fn begin_after(&mut self, head: &[u8], payload_len: u64) {
        self.digest = self.framing.format().begin_digest(head);
        self.state = Progress::Payload { missing: payload_len };
    }

    /// Returns the digest after these bytes of the payload.
    pub(crate) fn digest_after(&self, run: &[u8]) -> W::Digest {
        self.framing.format().update_digest(self.digest, run)
    }

    /// Counts the next `len` bytes of the payload, after which the digest is this.
    pub(crate) fn count(&mut self, len: usize, digest: W::Digest) -> Result<(), EncodeError> {
        let missing = self.check_payload(len)?;
        self.digest = digest;
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

    /// Ends the frame, and returns what must follow its payload.
    pub(crate) fn end(&mut self) -> Result<W::Trailer, EncodeError> {
        match self.state {
            Progress::Boundary => Err(EncodeError::NoFrame),
            Progress::Payload { missing: 0 } => {
                self.state = Progress::Boundary;
                Ok(self.framing.format().frame_trailer(self.digest))
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
            Progress::Boundary => Ok(()),
            Progress::Payload { missing: 0 } if W::Trailer::LEN == 0 => Ok(()),
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

impl<W: KnownLength> Encoder<W> {
    /// Begins a frame with a payload of `payload_len` bytes. Write the returned header, then the
    /// payload.
    ///
    /// End the frame with [`finish`](Self::finish), also if it has no payload. If no payload is
    /// missing and no check follows it, the next `begin` ends the frame too.
    ///
    /// # Errors
    /// The same as [`Framing::encode_header`], and [`EncodeError::Unfinished`] if the previous
    /// frame still lacks payload or its check. The encoder is unchanged then.
    pub fn begin(
        &mut self,
        meta: impl AsMeta<<W as Wire>::Meta>,
        payload_len: u64,
    ) -> Result<EncodedHeader<W::Header>, EncodeError> {
        self.check_boundary()?;
        let header = self.framing.encode_header(meta, payload_len)?;
        self.begin_after(header.as_bytes(), payload_len);
        Ok(header)
    }

    /// Counts the next bytes of the payload, which the caller writes.
    ///
    /// # Errors
    /// Returns [`EncodeError::Excess`] if the frame announced less payload; none of the bytes is
    /// counted, and none may be written. Returns [`EncodeError::NoFrame`] if no frame was begun.
    pub fn payload(&mut self, run: &[u8]) -> Result<(), EncodeError> {
        self.count(run.len(), self.digest_after(run))
    }

    /// Ends the frame, and returns the bytes that must follow its payload: the check, or none.
    ///
    /// # Errors
    /// Returns [`EncodeError::Unfinished`] if payload is missing; the encoder then refuses
    /// everything. Returns [`EncodeError::NoFrame`] if no frame was begun.
    pub fn finish(&mut self) -> Result<<W as Wire>::Trailer, EncodeError> {
        self.end()
    }
}

impl<W: Wire + fmt::Debug> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("framing", &self.framing)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
