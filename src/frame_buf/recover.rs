//! How a read buffer continues after a frame that is not taken.

use super::FrameBuf;
use crate::error::{DecodeError, RecoverError};
use crate::format::{Format, HeaderBuf, SelfChecking};
use crate::scan::{Scan, ScanPayload};
use crate::storage::Storage;

impl<S: Storage, F: Format> FrameBuf<S, F> {
    /// Skips a frame, whose bytes are then dropped as they arrive: the one that the stream has failed
    /// with as oversize, the one whose payload is taken in runs, or the next one if its header is
    /// complete.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if there is no such frame, [`RecoverError::Failed`] if the stream
    /// failed with another error. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match self.error() {
            Some(DecodeError::Oversize { .. }) => {
                self.scanner.skip_frame()?;
                // The header's room is free at once, the payload's with the next search for a frame.
                let header_end = self.start.saturating_add(self.scanner.refused());
                let header = self.storage.bytes().get(self.start..header_end).unwrap_or_default();
                if let Ok(Scan::Discard(n)) = self.scanner.find(header) {
                    self.start += n;
                }
            }
            Some(error) => return Err(RecoverError::Failed(error)),
            None if self.scanner.skip_frame().is_ok() => {}
            None => {
                let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
                let header = self.scanner.header(kept).ok_or(RecoverError::NotFailed)?;
                if let Ok(ScanPayload::Discard(n)) = self.scanner.find_payload(kept) {
                    self.start += n.min(header.header_len);
                    let _ = self.scanner.skip_frame();
                }
            }
        }
        self.need = 0;
        Ok(())
    }
}

impl<S: Storage, F: SelfChecking> FrameBuf<S, F> {
    /// Searches for the next valid header within the limit, like
    /// [`Decoder::resync`](crate::Decoder::resync). Returns the number of bytes skipped, or `Ok(None)`
    /// if more bytes are needed: commit some, and call this method again.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed. [`RecoverError::Failed`]
    /// with a [`DecodeError::NoRoom`] if the storage is shorter than a header, and full of bytes
    /// that may begin one; this error latches.
    pub fn resync(&mut self) -> Result<Option<u64>, RecoverError> {
        if let Some(error @ DecodeError::NoRoom { .. }) = self.error() {
            return Err(RecoverError::Failed(error));
        }
        self.scanner.begin_search()?;
        let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
        let step = self.scanner.search(kept)?;
        self.start += step.discard;
        let room = self.storage.bytes().len();
        if step.skipped.is_none() && !S::GROWS && self.end - self.start >= room {
            // All headers of such a format have this length, so the storage is shorter.
            self.no_room = F::HeaderBuf::LEN;
            return self.error().map_or(Ok(None), |error| Err(RecoverError::Failed(error)));
        }
        Ok(step.skipped)
    }
}
