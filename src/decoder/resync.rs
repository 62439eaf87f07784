//! The search for the next header after an error, over bytes that the decoder does not keep.

use super::Decoder;
use super::counted::CountedState;
use super::phase::{Phase, View};
use crate::error::RecoverError;
use crate::format::{HeaderBuf, Parsed, SelfChecking, copy};
use crate::wire::{Decoding, Resync, Wire};

impl<W: Wire> Decoder<W> {
    /// Searches for the next valid header within the limit, from the byte after the failed frame's
    /// first (spec, chapter 7); where a mark ends frames, for the next mark.
    ///
    /// Returns `Ok(Some(skipped))` if a frame can begin `skipped` bytes after the failed frame's first
    /// byte: continue by decoding `input`. Returns `Ok(None)` if `input` is now empty: call
    /// this method again with more bytes. Every other method returns
    /// [`DecodeError::Unsynchronized`](crate::DecodeError::Unsynchronized) until the search ends.
    ///
    /// This is for lines that lose or damage bytes. On a reliable transport end the stream instead:
    /// payload bytes may look like a header, and a peer could have placed them there.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if the stream has not failed. Nothing changes then.
    ///
    /// A format without a check in its header cannot tell a header from other bytes, and a decoder
    /// keeps no payload to search. So this does not compile:
    ///
    /// ```compile_fail,E0277
    /// # // spec: FMT-2
    /// let mut decoder = unstick::Decoder::with_framing(unstick::U32Be);
    /// let _ = decoder.resync(&mut &b"\0"[..]);
    /// ```
    pub fn resync(&mut self, input: &mut &[u8]) -> Result<Option<u64>, RecoverError>
    where
        W: Resync,
    {
        self.wire.resync(&mut self.state, input)
    }
}

impl<F: SelfChecking> CountedState<F> {
    pub(crate) fn resync(
        &mut self,
        format: &F,
        input: &mut &[u8],
    ) -> Result<Option<u64>, RecoverError> {
        const { assert!(F::HeaderBuf::LEN <= 255, "a self-checking header has at most 255 bytes") }
        let (mut held, mut skipped) = match self.phase.view() {
            View::Failed { held, .. } => {
                self.limit = Decoding::<F>::limit(self);
                (self.drop_candidates(format, held), held as u64)
            }
            View::Search { held, skipped } => (held, skipped + held as u64),
            _ => return Err(RecoverError::NotFailed),
        };
        // From here on `skipped` counts the held bytes too: all from the failed frame's first.
        while let [byte, rest @ ..] = *input {
            // The byte that completes a header is not consumed, so that decoding it makes progress.
            copy(self.header.as_mut().get_mut(held..).unwrap_or_default(), &[*byte]);
            let parsed = self.inspect(format, self.held(held + 1), 0);
            if let Ok(Parsed::Header(_)) = parsed {
                self.phase = Phase::header(held, held + 1);
                return Ok(Some(skipped - held as u64));
            }
            *input = rest;
            self.pos += 1;
            skipped += 1;
            held = match parsed {
                Ok(_) => held + 1,
                Err(_) => self.drop_candidates(format, held + 1),
            };
        }
        self.phase = Phase::search(held, skipped - held as u64);
        Ok(None)
    }

    /// Drops the first of the `held` bytes, and every further one at which no header can begin.
    /// Returns how many are left.
    fn drop_candidates(&mut self, format: &F, held: usize) -> usize {
        for dropped in 1..held {
            let candidate = self.header.as_ref().get(dropped..held).unwrap_or_default();
            if let Ok(Parsed::Need(_)) = self.inspect(format, candidate, 0) {
                let mut moved = F::HeaderBuf::ZERO;
                copy(moved.as_mut(), candidate);
                self.header = moved;
                return held - dropped;
            }
        }
        0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::DecodeError;
    /// A search over more than 2^53 bytes continues, and stays a search.
    #[test]
    fn the_count_of_skipped_bytes_saturates() {
        let max = (1 << 53) - 1;
        let mut decoder = Decoder::new();
        decoder.state.phase = Phase::search(0, max - 2);
        for skipped in [max - 1, max, max, max] {
            assert_eq!(decoder.resync(&mut &b"?"[..]), Ok(None));
            let error = decoder.error().unwrap();
            assert!(
                matches!(error, DecodeError::Unsynchronized { skipped: s, .. } if s == skipped)
            );
        }
        let header = crate::header::encode(crate::header::Kind::TEXT, 0);
        assert_eq!(decoder.resync(&mut &header[..]), Ok(Some(max)));
    }
}
