//! The search for the next frame after an error, over the kept bytes.

use super::counted::{CountedScan, NEVER, Phase, saturating_usize};
use crate::error::RecoverError;
use crate::format::{Parsed, inspect};
use crate::wire::{KnownLength, Searched};

impl<W: KnownLength> CountedScan<W> {
    pub(super) fn search_kept(&mut self, wire: &W, kept: &[u8]) -> Result<Searched, RecoverError> {
        let Phase::Search { skipped, new } = self.phase else {
            return Err(RecoverError::NotFailed);
        };
        let mut discard = usize::from(new && !kept.is_empty());
        let mut found = false;
        while let Some(candidate @ [_, ..]) = kept.get(discard..) {
            match inspect(wire.header_format(), self.limit, candidate, 0) {
                Ok(Parsed::Header(header)) if Self::TRAILER > 0 => {
                    // Only the check says that it is a frame, so an incomplete one is waited for.
                    let len = saturating_usize(Self::frame_len(&header));
                    let Some(frame) = candidate.get(..len) else { break };
                    if self.check(wire, &header, frame).is_ok() {
                        found = true;
                        break;
                    }
                    discard += 1;
                }
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

    /// As [`Scanner::begin_search`](super::Scanner::begin_search).
    pub(crate) fn begin_search(&mut self) -> Result<(), RecoverError> {
        match self.phase {
            Phase::Failed { error, .. } => {
                // The first bytes of a frame whose payload was taken in runs are not kept.
                let skipped = self.position.saturating_sub(error.at());
                self.phase = Phase::Search { skipped, new: skipped == 0 };
                Ok(())
            }
            Phase::Search { .. } => Ok(()),
            _ => Err(RecoverError::NotFailed),
        }
    }

    /// As [`Scanner::reject_frame`](super::Scanner::reject_frame).
    pub(super) fn reject_kept(&mut self, kept: &[u8]) -> Result<(), RecoverError> {
        let begun = !kept.is_empty();
        let at = match self.phase {
            Phase::Failed { .. } => return self.begin_search(),
            Phase::Search { skipped, .. } if begun => {
                self.phase = Phase::Search { skipped, new: true };
                return Ok(());
            }
            Phase::Begun { limit, .. } => {
                self.limit = limit;
                self.position
            }
            Phase::Payload { at, remaining: 1.. } | Phase::Skip { at, .. } => at,
            Phase::Frames | Phase::Payload { .. } if begun => self.position,
            _ => return Err(RecoverError::NotFailed),
        };
        // The first bytes of a frame whose payload is taken in runs, or dropped, are not kept.
        let skipped = self.position.saturating_sub(at);
        (self.phase, self.gate) = (Phase::Search { skipped, new: skipped == 0 }, NEVER);
        Ok(())
    }
}
