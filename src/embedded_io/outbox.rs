//! What a writer has accepted and not written yet, in storage of the caller's. It holds no
//! transport; it is given one write at a time.

use core::fmt;
use core::ops::Range;

use ::embedded_io::ErrorKind;

use super::error::WriteError;
use crate::encode::Encoder;
use crate::error::EncodeError;
use crate::format::{Format, copy, copy_payload};
use crate::frame_buf::Storage;
use crate::framing::Framing;

pub(crate) struct Outbox<S, F> {
    encoder: Encoder<F>,
    storage: S,
    /// `storage[start..end]` was accepted and not written yet.
    start: usize,
    end: usize,
    /// A call is writing bytes that the storage does not hold, or was when it ended early. What
    /// the storage holds then belongs to them.
    passing: Option<Passing>,
    poisoned: bool,
}

#[derive(Clone, Copy)]
struct Passing {
    /// The length of a run of a streamed frame's payload; none for a whole frame.
    run: Option<usize>,
    /// How many of the caller's bytes are in the storage, or written.
    taken: usize,
    /// Whether a byte was written.
    begun: bool,
}

/// How much of a call's bytes was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    All,
    /// None: what is pending has to be written first.
    Nothing,
    /// They are longer than the storage: write on, and then [`passed`](Outbox::passed).
    Beginning,
}

impl<S: Storage, F: Format> Outbox<S, F> {
    pub(crate) fn new(storage: S, framing: Framing<F>) -> Self {
        let encoder = Encoder::new(framing);
        Self { encoder, storage, start: 0, end: 0, passing: None, poisoned: false }
    }

    pub(crate) fn framing(&self) -> &Framing<F> {
        self.encoder.framing()
    }

    /// The storage, and where in it what was accepted and not written is; nothing if the stream is
    /// of no use any more.
    pub(crate) fn into_parts(mut self) -> (S, Range<usize>) {
        let pending = if self.settle().is_ok() { self.start..self.end } else { 0..0 };
        (self.storage, pending)
    }

    /// Accepts a whole frame.
    pub(crate) fn frame(&mut self, meta: &F::Meta, payload: &[u8]) -> Result<Taken, Refusal> {
        self.settle()?;
        self.encoder.check_boundary()?;
        let free = self.storage.bytes_mut().get_mut(self.end..).unwrap_or_default();
        match self.encoder.framing().encode_into(meta, payload, free) {
            Ok(len) => {
                self.end += len;
                self.encoder.end_complete();
                Ok(Taken::All)
            }
            Err(EncodeError::NoRoom { .. }) if self.end > 0 => Ok(Taken::Nothing),
            Err(EncodeError::NoRoom { .. }) => {
                // Its header and its beginning go out in one write, as much of it as fits.
                self.header(meta, payload.len() as u64)?;
                let free = self.storage.bytes_mut().get_mut(self.end..).unwrap_or_default();
                copy_payload(free, payload);
                let taken = payload.len().min(free.len());
                self.end += taken;
                self.passing = Some(Passing { run: None, taken, begun: false });
                Ok(Taken::Beginning)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a streamed frame.
    pub(crate) fn begin(&mut self, meta: &F::Meta, payload_len: u64) -> Result<Taken, Refusal> {
        self.settle()?;
        self.encoder.check_boundary()?;
        match self.header(meta, payload_len) {
            Ok(()) => {
                self.encoder.begin(meta, payload_len)?;
                Ok(Taken::All)
            }
            Err(EncodeError::NoRoom { .. }) if self.end > 0 => Ok(Taken::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Accepts the next run of a streamed frame's payload.
    pub(crate) fn payload(&mut self, bytes: &[u8]) -> Result<Taken, Refusal> {
        self.settle()?;
        self.encoder.check_payload(bytes.len())?;
        let free = self.storage.bytes_mut().get_mut(self.end..).unwrap_or_default();
        if bytes.len() <= free.len() {
            self.encoder.payload(bytes.len())?;
            copy_payload(free, bytes);
            self.end += bytes.len();
            Ok(Taken::All)
        } else if self.end > 0 {
            Ok(Taken::Nothing)
        } else {
            self.passing = Some(Passing { run: Some(bytes.len()), taken: 0, begun: false });
            Ok(Taken::Beginning)
        }
    }

    /// Ends a streamed frame.
    pub(crate) fn finish(&mut self) -> Result<(), Refusal> {
        self.settle()?;
        Ok(self.encoder.finish()?)
    }

    /// The bytes to write next, where the calling one's are `bytes`; `None` once all is written.
    pub(crate) fn unwritten<'a>(&'a self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let pending = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
        if !pending.is_empty() {
            return Some(pending);
        }
        let rest = bytes.get(self.passing?.taken..).unwrap_or_default();
        if rest.is_empty() { None } else { Some(rest) }
    }

    /// What a write of [`unwritten`](Self::unwritten) came to.
    pub(crate) fn wrote<E: ::embedded_io::Error>(
        &mut self,
        written: Result<usize, E>,
    ) -> Result<(), WriteError<E>> {
        let n = match written {
            Ok(0) => return Err(WriteError::WriteZero { accepted: false }),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(WriteError::Io(error)),
        };
        if self.start < self.end {
            self.start = self.start.saturating_add(n).min(self.end);
            if let Some(passing) = &mut self.passing {
                passing.begun = true;
            }
        } else if let Some(passing) = &mut self.passing {
            passing.taken = passing.taken.saturating_add(n);
            passing.begun = true;
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Ok(())
    }

    /// What was longer than the storage is written to its end.
    pub(crate) fn passed(&mut self) -> Result<(), Refusal> {
        match self.passing.take() {
            Some(Passing { run: Some(len), .. }) => Ok(self.encoder.payload(len)?),
            Some(Passing { run: None, .. }) => {
                self.encoder.end_complete();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Comes to terms with a call that ended early: what it had not begun to write is forgotten,
    /// and what it had, cannot be mended. An error if the stream is of no use any more.
    pub(crate) fn settle(&mut self) -> Result<(), Refusal> {
        if let Some(Passing { begun, .. }) = self.passing.take() {
            self.poisoned |= begun;
            (self.start, self.end) = (0, 0);
        }
        if self.poisoned || self.encoder.is_poisoned() { Err(Refusal::Poisoned) } else { Ok(()) }
    }

    /// Puts a header behind what is pending.
    fn header(&mut self, meta: &F::Meta, payload_len: u64) -> Result<(), EncodeError> {
        let header = self.encoder.framing().encode_header(meta, payload_len)?;
        let header = header.as_bytes();
        let free = self.storage.bytes_mut().get_mut(self.end..).unwrap_or_default();
        if header.len() > free.len() {
            return Err(EncodeError::NoRoom { needed: header.len(), room: free.len() });
        }
        copy(free, header);
        self.end += header.len();
        Ok(())
    }
}

/// Payloads may be secret: lengths only.
impl<S, F: Format> fmt::Debug for Outbox<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("limit", &self.encoder.framing().limit())
            .field("pending", &(self.end - self.start))
            .field("open", &self.encoder.missing())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// Why bytes are not taken; the transport has no part in it.
pub(crate) enum Refusal {
    Encode(EncodeError),
    Poisoned,
}

impl From<EncodeError> for Refusal {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl<E> From<Refusal> for WriteError<E> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Encode(error) => Self::Encode(error),
            Refusal::Poisoned => Self::Poisoned,
        }
    }
}
