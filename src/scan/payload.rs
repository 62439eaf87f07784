//! A frame before it is whole: its header, and its payload in runs.

use super::{Found, NEVER, PayloadRun, Phase, Scan, ScanPayload, Scanner, saturating_usize};
use crate::error::DecodeError;
use crate::format::{Format, Parsed, inspect};

impl<F: Format> Scanner<F> {
    /// Looks for a frame like [`find`](Self::find), but finds it once its header is complete and
    /// within the limit, and consumes nothing of it. Until the whole frame has arrived,
    /// [`Found::frame`] returns `None`.
    ///
    /// # Errors
    /// Returns an error if the stream has failed.
    pub fn find_header(&mut self, kept: &[u8]) -> Result<Scan<F::Meta>, DecodeError> {
        if let Phase::Payload { remaining: 0, .. } = self.phase {
            self.begin_frame();
        }
        let end = self.position.saturating_add(kept.len() as u64);
        if self.begin_if_empty(kept) {
            return Ok(Scan::Incomplete { needed: 1 });
        }
        match self.phase {
            Phase::Frames if self.gate == NEVER && end <= self.undecided => {
                return Ok(Scan::Incomplete { needed: kept.len().saturating_add(1) });
            }
            Phase::Frames | Phase::Begun { .. } => {}
            _ => return self.find_no_frame(kept),
        }
        let scan = self.inspect_header(kept, end)?;
        if let (Scan::Frame(found), Phase::Frames) = (&scan, self.phase) {
            self.gate = self.position.saturating_add(found.len as u64);
        }
        Ok(scan)
    }

    /// Returns how many more bytes the next frame is known to have, so that a read of as many bytes
    /// reads none after it; zero if the frame is whole, or the stream has failed.
    #[must_use]
    pub fn needed(&self, kept: &[u8]) -> u64 {
        let len = match self.phase {
            Phase::Begun { end, .. } => end - self.position,
            Phase::Payload { remaining: remaining @ 1.., .. } => remaining,
            Phase::Skip { refused, remaining, .. } => remaining.saturating_add(refused as u64),
            Phase::Failed { .. } | Phase::Search { .. } => 0,
            Phase::Frames | Phase::Payload { .. } => {
                match inspect(&self.format, self.limit, kept, self.seen(kept)) {
                    Ok(Parsed::Header(header)) => header.frame_len(),
                    Ok(Parsed::Need(needed)) => needed as u64,
                    Err(_) => 0,
                }
            }
        };
        len.saturating_sub(kept.len() as u64)
    }

    /// Takes the next bytes of the next frame's payload, as they arrive, and then the payload's end:
    /// for payloads that are larger than memory. The frame's header is discarded first: to see it,
    /// call [`find_header`](Self::find_header) before.
    ///
    /// A payload that is not taken to its end is discarded by [`find`](Self::find).
    ///
    /// # Errors
    /// Returns an error if the stream has failed.
    pub fn find_payload(&mut self, kept: &[u8]) -> Result<ScanPayload, DecodeError> {
        if let Phase::Payload { at, remaining } = self.phase {
            let len = remaining.min(kept.len() as u64);
            if len == 0 && remaining > 0 {
                return Ok(ScanPayload::Incomplete { needed: 1 });
            }
            let run = PayloadRun { at: self.position, len: saturating_usize(len) };
            self.position = self.position.saturating_add(len);
            self.phase = Phase::Payload { at, remaining: remaining - len };
            if remaining == 0 {
                self.begin_frame();
            }
            return Ok(ScanPayload::Run(run));
        }
        Ok(match self.find_header(kept)? {
            Scan::Frame(Found { header, at, .. }) => {
                self.limit = self.limit();
                self.position = self.position.saturating_add(header.header_len as u64);
                self.gate = NEVER;
                self.phase = Phase::Payload { at, remaining: header.payload_len };
                ScanPayload::Discard(header.header_len)
            }
            Scan::Discard(n) => ScanPayload::Discard(n),
            Scan::Incomplete { needed } => ScanPayload::Incomplete { needed },
        })
    }
}
