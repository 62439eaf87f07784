//! The next frame before it is whole.

use super::FrameBuf;
use crate::error::DecodeError;
use crate::format::Header;
use crate::scan::{PayloadRun, Scan, ScanPayload};
use crate::storage::Storage;
use crate::wire::{KnownLength, Wire};

impl<S: Storage, F: KnownLength> FrameBuf<S, F> {
    /// Returns the header of the next frame if it is complete and within the limit, whether the
    /// frame is whole or not. Nothing is consumed.
    pub fn next_header(&self) -> Option<Header<<F as Wire>::Meta>> {
        self.scanner.header(self.kept())
    }

    /// Finds the header of the next frame; `Ok(None)` if more bytes are needed. The header is not
    /// consumed: take its frame with [`next_frame`](Self::next_frame) or
    /// [`find_payload`](Self::find_payload), or skip it with [`skip_frame`](Self::skip_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn find_header(&mut self) -> Result<Option<Header<<F as Wire>::Meta>>, DecodeError> {
        loop {
            self.check_room()?;
            let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
            match self.scanner.find_header(kept) {
                Ok(Scan::Frame(found)) => return Ok(Some(found.header)),
                Ok(Scan::Discard(n)) => self.start += n,
                Ok(Scan::Incomplete { needed }) => return self.need_header(needed).map(|()| None),
                Err(_) => return self.latched_error(),
            }
        }
    }

    /// Takes the next bytes of the next frame's payload as they arrive, for payloads that are larger
    /// than memory; `Ok(None)` if more bytes are needed. [`payload`](Self::payload) borrows them. A run
    /// of zero bytes is the payload's end; it comes after the check, if there is one, and until then the
    /// payload is unchecked.
    ///
    /// The frame's header is consumed with the first call. A payload that is not taken to its end is
    /// dropped when the next frame is looked for.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn find_payload(&mut self) -> Result<Option<PayloadRun>, DecodeError> {
        loop {
            self.check_room()?;
            let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
            match self.scanner.find_payload(kept) {
                Ok(ScanPayload::Run(run)) => {
                    self.start += run.len;
                    return Ok(Some(run));
                }
                Ok(ScanPayload::Discard(n)) => {
                    self.start += n;
                    self.need = 0;
                }
                Ok(ScanPayload::Incomplete { needed }) => {
                    return self.need_header(needed).map(|()| None);
                }
                Err(_) => return self.latched_error(),
            }
        }
    }

    /// Borrows what [`find_payload`](Self::find_payload) has found. Returns `None` if its bytes were
    /// overwritten since, like [`frame`](Self::frame).
    pub fn payload(&self, run: &PayloadRun) -> Option<&[u8]> {
        self.consumed(run.at, run.len)
    }

    fn check_room(&self) -> Result<(), DecodeError> {
        match self.error() {
            Some(error @ DecodeError::NoRoom { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Latches an error if a header of `needed` bytes does not fit.
    fn need_header(&mut self, needed: usize) -> Result<(), DecodeError> {
        if !S::GROWS && needed > self.storage.bytes().len() {
            self.no_room = needed;
        }
        self.check_room()
    }
}

impl<S: Storage, F: Wire> FrameBuf<S, F> {
    /// Returns how many more bytes the next frame is known to have, so that a read of as many bytes
    /// reads none after it; zero if the frame is whole, or the stream has failed.
    pub fn needed(&self) -> u64 {
        if self.has_no_room() { 0 } else { self.scanner.needed(self.kept()) }
    }

    /// Returns the room of [`spare`](Self::spare), at most as long as [`needed`](Self::needed): to read
    /// no byte after the next frame.
    pub fn spare_exact(&mut self) -> &mut [u8] {
        let needed = usize::try_from(self.needed()).unwrap_or(usize::MAX);
        let spare = self.spare();
        let len = spare.len().min(needed);
        spare.get_mut(..len).unwrap_or_default()
    }
}
