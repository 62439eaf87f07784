//! How a read buffer continues after a frame that is not taken.

use super::FrameBuf;
use crate::error::{DecodeError, RecoverError};
use crate::scan::Scan;
use crate::storage::Storage;
use crate::wire::{Search, Wire};

impl<S: Storage, F: Wire> FrameBuf<S, F> {
    /// Skips a frame, whose bytes are then dropped as they arrive: the one that the stream has failed
    /// with; the one whose payload is taken in runs; or the next one, if its header is complete or, for
    /// frames without a header, if it has begun.
    ///
    /// A failed frame can be skipped if it is over the limit, failed its check, or ends with a mark.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if there is no such frame, [`RecoverError::Failed`] if the stream
    /// failed with another error. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match self.error() {
            Some(error @ DecodeError::NoRoom { .. }) => return Err(RecoverError::Failed(error)),
            Some(error) => {
                let refused = self.scanner.refused();
                self.scanner.skip_frame().map_err(|_| RecoverError::Failed(error))?;
                // The room of refused bytes is free at once, that of others with the next search for a
                // frame.
                let end = self.start.saturating_add(refused);
                let header = self.storage.bytes().get(self.start..end).unwrap_or_default();
                if let Ok(Scan::Discard(n)) = self.scanner.find(header) {
                    self.start += n;
                }
            }
            None if self.scanner.skip_frame().is_ok() => {}
            None => {
                let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
                self.start += self.scanner.skip_begun(kept)?;
            }
        }
        self.need = 0;
        Ok(())
    }
}

impl<S: Storage, F: Wire> FrameBuf<S, F> {
    /// Rejects the frame that comes next, whole or not, and begins a search from the byte after its
    /// first, which [`resync`](Self::resync) continues. None of its bytes is lost to the frames inside it.
    ///
    /// It is for lossy lines, and for a caller that knows more than the framing does: the header has a
    /// kind that no sender uses, or the rest of the frame does not arrive in time, since the length is
    /// damaged. During a search it rejects the place that looks like a frame and is waited for. If the
    /// stream has failed, the search begins from the failed frame, as always.
    ///
    /// A payload that is taken in runs is not kept: the search begins after the bytes that were taken. If
    /// frames end with a mark, it goes on after the next mark.
    ///
    /// ```
    /// use unstick::check::Crc32Iscsi;
    /// use unstick::{Checked, FrameBuf, Framing, U16Be};
    ///
    /// let framing = Framing::new(Checked::new(U16Be, Crc32Iscsi::new())).with_limit(100);
    /// let mut frame = Vec::new();
    /// framing.encode((), b"hi", &mut frame)?;
    ///
    /// let mut buf = FrameBuf::growing(framing);
    /// buf.extend_all(&[0, 99]); // a damaged length
    /// buf.extend_all(&frame);
    /// assert_eq!(buf.next_frame()?, None); // and nothing more arrives for a while
    /// buf.reject_frame()?;
    /// assert_eq!(buf.resync()?, Some(2));
    /// assert_eq!(buf.next_frame()?.unwrap().payload, b"hi");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if no frame has begun, [`RecoverError::Failed`] with a
    /// [`DecodeError::NoRoom`] if the storage is too short. Nothing changes then.
    pub fn reject_frame(&mut self) -> Result<(), RecoverError>
    where
        F: Search,
    {
        if let Some(error @ DecodeError::NoRoom { .. }) = self.error() {
            return Err(RecoverError::Failed(error));
        }
        let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
        self.scanner.reject_frame(kept)?;
        self.need = 0;
        Ok(())
    }

    /// Searches for the next frame within the limit, from the byte after the failed frame's first: for a
    /// valid header, or for a whole valid frame if a check follows the payload. If frames end with a
    /// mark, it is the one after the next mark. Returns the number of bytes skipped, or `Ok(None)` if
    /// more bytes are needed: commit some, and call this method again.
    ///
    /// If a check follows the payload, each place that looks like a header is waited for until its check
    /// has arrived, or shown to be wrong, so set a low limit.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed. [`RecoverError::Failed`]
    /// with a [`DecodeError::NoRoom`] if the storage is shorter than a header, and full of bytes
    /// that may begin one; this error latches.
    pub fn resync(&mut self) -> Result<Option<u64>, RecoverError>
    where
        F: Search,
    {
        if let Some(error @ DecodeError::NoRoom { .. }) = self.error() {
            return Err(RecoverError::Failed(error));
        }
        self.scanner.begin_search()?;
        let kept = self.storage.bytes().get(self.start..self.end).unwrap_or_default();
        let step = self.scanner.search(kept)?;
        self.start += step.discard;
        let room = self.storage.bytes().len();
        if step.skipped.is_none() && !S::GROWS && self.end - self.start >= room {
            // All headers of a self-checking format have this length, so the storage is shorter.
            self.no_room = F::ROOM;
            return self.error().map_or(Ok(None), |error| Err(RecoverError::Failed(error)));
        }
        Ok(step.skipped)
    }
}
