//! The payload of a frame in runs, before the frame is whole.

use super::counted::{CountedScan, NEVER, Phase, saturating_usize};
use crate::check::Check;
use crate::error::DecodeError;
use crate::wire::{Found, KnownLength, PayloadRun, Scan, ScanPayload, Scanning};

impl<W: KnownLength> CountedScan<W> {
    /// As [`Scanner::find_payload`](super::Scanner::find_payload).
    pub(super) fn find_payload(
        &mut self,
        wire: &W,
        kept: &[u8],
    ) -> Result<ScanPayload, DecodeError> {
        if let Phase::Payload { at, remaining } = self.phase {
            return self.next_run(wire, kept, at, remaining);
        }
        Ok(match self.find_header(wire, kept)? {
            Scan::Frame(Found { header, at, .. }) => {
                let head = kept.get(..header.header_len).unwrap_or_default();
                self.digest = wire.check_after().begin(head);
                self.limit = Scanning::<W>::limit(self);
                self.position = self.position.saturating_add(header.header_len as u64);
                self.gate = NEVER;
                let remaining = header.payload_len.saturating_add(Self::TRAILER as u64);
                self.phase = Phase::Payload { at, remaining };
                if header.header_len == 0 {
                    return self.next_run(wire, kept, at, remaining);
                }
                ScanPayload::Discard(header.header_len)
            }
            Scan::Discard(n) => ScanPayload::Discard(n),
            Scan::Incomplete { needed } => ScanPayload::Incomplete { needed },
        })
    }

    /// Takes the next run of a payload, or its end after its check.
    fn next_run(
        &mut self,
        wire: &W,
        kept: &[u8],
        at: u64,
        remaining: u64,
    ) -> Result<ScanPayload, DecodeError> {
        let payload = remaining.saturating_sub(Self::TRAILER as u64);
        let len = payload.min(kept.len() as u64);
        if len == 0 && payload > 0 {
            return Ok(ScanPayload::Incomplete { needed: 1 });
        }
        if payload == 0 && remaining > 0 {
            if kept.len() < Self::TRAILER {
                return Ok(ScanPayload::Incomplete { needed: Self::TRAILER });
            }
            if let Err(error) = self.check_payload(wire, at, remaining, kept) {
                return Err(self.fail(error, Self::TRAILER));
            }
            self.position = self.position.saturating_add(remaining);
            self.phase = Phase::Payload { at, remaining: 0 };
            return Ok(ScanPayload::Discard(Self::TRAILER));
        }
        let run = PayloadRun { at: self.position, len: saturating_usize(len) };
        if Self::TRAILER > 0 {
            let bytes = kept.get(..run.len).unwrap_or_default();
            self.digest = wire.check_after().update(self.digest, bytes);
        }
        self.position = self.position.saturating_add(len);
        self.phase = Phase::Payload { at, remaining: remaining - len };
        if remaining == 0 {
            self.begin_frame();
        }
        Ok(ScanPayload::Run(run))
    }
}
