//! Frames whose payload comes in pieces.

use super::{Accepted, Direct, WriteBuf, WriteBufError};
use crate::check::TrailerBuf;
use crate::error::EncodeError;
use crate::storage::Storage;
use crate::wire::{AsMeta, KnownLength, Wire};

impl<S: Storage, F: KnownLength> WriteBuf<S, F> {
    /// Begins a streamed frame with a payload of `payload_len` bytes, which the caller passes to
    /// [`payload`](Self::payload). Never returns [`Accepted::Direct`].
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn begin(
        &mut self,
        meta: impl AsMeta<<F as Wire>::Meta>,
        payload_len: u64,
    ) -> Result<Accepted, WriteBufError> {
        self.check()?;
        self.encoder.check_boundary()?;
        if S::GROWS {
            if self.is_full() {
                return Ok(Accepted::Nothing);
            }
            self.make_room();
        }
        let meta = meta.as_meta();
        match self.head(meta, payload_len) {
            Ok(head) => {
                let head = head.as_ref().map(AsRef::as_ref).unwrap_or_default();
                self.encoder.begin_after(head, payload_len);
                Ok(Accepted::Collected)
            }
            Err(EncodeError::NoRoom { .. }) if self.end > 0 => Ok(Accepted::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Accepts the next bytes of the streamed frame's payload.
    ///
    /// # Errors
    /// [`EncodeError::Excess`] if the frame has no room for them, [`EncodeError::NoFrame`] if none
    /// was begun. Nothing changes then.
    pub fn payload(&mut self, bytes: &[u8]) -> Result<Accepted, WriteBufError> {
        self.check()?;
        self.encoder.check_payload(bytes.len())?;
        let fits = if S::GROWS {
            if self.is_full() {
                return Ok(Accepted::Nothing);
            }
            self.make_room();
            !self.is_direct(bytes.len())
        } else {
            // There must be room left for the check.
            bytes.len() + <F as Wire>::Trailer::LEN <= self.storage.bytes().len() - self.end
        };
        self.digest = self.encoder.digest_after(bytes);
        if fits {
            self.encoder.count(bytes.len(), self.digest)?;
            self.append(bytes);
            Ok(Accepted::Collected)
        } else if !S::GROWS && self.end > 0 {
            Ok(Accepted::Nothing)
        } else {
            let run = Some(bytes.len());
            self.direct = Some(Direct { run, mark: self.end, taken: 0, begun: false });
            Ok(Accepted::Direct)
        }
    }

    /// Ends the streamed frame.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`] if it is short, which makes the stream unusable.
    pub fn finish(&mut self) -> Result<(), WriteBufError> {
        self.check()?;
        let trailer = self.encoder.end()?;
        self.append(trailer.as_ref());
        Ok(())
    }
}

#[cfg(feature = "alloc")]
impl<F: KnownLength> WriteBuf<alloc::vec::Vec<u8>, F> {
    /// Accepts a whole frame whose payload has two parts, of which the first is copied: for a message
    /// with a few bytes before its data. If it returns [`Accepted::Direct`], write `rest`.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn frame_in_parts(
        &mut self,
        meta: impl AsMeta<<F as Wire>::Meta>,
        first: &[u8],
        rest: &[u8],
    ) -> Result<Accepted, WriteBufError> {
        self.check()?;
        self.encoder.check_boundary()?;
        self.grow_by_frame(meta.as_meta(), first, rest)
    }

    /// Collects a whole frame whose payload has two parts, however long they are and however full the
    /// buffer is: for a caller that bounds what it collects.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn collect_in_parts(
        &mut self,
        meta: impl AsMeta<<F as Wire>::Meta>,
        first: &[u8],
        rest: &[u8],
    ) -> Result<(), WriteBufError> {
        self.check()?;
        self.copy_owned();
        self.encoder.check_boundary()?;
        self.make_room();
        let payload_len = (first.len() as u64).saturating_add(rest.len() as u64);
        if let Some(head) = self.head(meta.as_meta(), payload_len)? {
            self.begin_digest(head.as_ref(), first);
            self.digest = self.update_digest(rest);
        }
        self.append(first);
        self.append(rest);
        self.end_frame();
        Ok(())
    }
}
