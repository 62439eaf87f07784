//! The search for the next header after an error, over the kept bytes.

use super::{Phase, Scanner, Searched};
use crate::error::RecoverError;
use crate::format::{Format, Parsed, SelfChecking, inspect};

impl<F: Format> Scanner<F> {
    /// Searches the kept bytes for a valid header within the limit, and returns how many bytes to drop
    /// from their front. Call [`begin_search`](Self::begin_search) first.
    ///
    /// If more bytes are needed, call it again once there are some.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if no search is under way.
    pub fn search(&mut self, kept: &[u8]) -> Result<Searched, RecoverError> {
        let Phase::Search { skipped, new } = self.phase else {
            return Err(RecoverError::NotFailed);
        };
        let mut discard = usize::from(new && !kept.is_empty());
        let mut found = false;
        while let Some(candidate @ [_, ..]) = kept.get(discard..) {
            match inspect(&self.format, self.limit, candidate, 0) {
                Ok(parsed) => {
                    found = matches!(parsed, Parsed::Header(_));
                    break;
                }
                Err(_) => discard += 1,
            }
        }
        let skipped = skipped.saturating_add(discard as u64);
        self.position = self.position.saturating_add(discard as u64);
        if found {
            self.begin_frame();
        } else {
            self.phase = Phase::Search { skipped, new: new && discard == 0 };
        }
        Ok(Searched { discard, skipped: found.then_some(skipped) })
    }
}

impl<F: SelfChecking> Scanner<F> {
    /// Begins a search for the next header, from the byte after the failed frame's first. A search
    /// that is under way continues.
    ///
    /// This is for lines that lose or damage bytes. On a reliable transport end the stream instead:
    /// payload bytes may look like a header, and a peer could have placed them there.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed. Nothing changes then.
    pub fn begin_search(&mut self) -> Result<(), RecoverError> {
        match self.phase {
            Phase::Failed { .. } => {
                self.phase = Phase::Search { skipped: 0, new: true };
                Ok(())
            }
            Phase::Search { .. } => Ok(()),
            _ => Err(RecoverError::NotFailed),
        }
    }
}
