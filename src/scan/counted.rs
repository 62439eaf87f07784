//! The state of a scanner where a header announces the payload's length (spec, chapter 7).

use crate::check::{Check, TrailerBuf};
use crate::decoder::CountedState;
use crate::error::{DecodeError, FrameError, Part, RecoverError};
use crate::format::{Format, Header, Parsed, inspect, shortest_refused, whole_header, why};
use crate::wire::{Decoding, Found, KnownLength, Scan, ScanPayload, Scanning, Searched};

type MetaOf<W> = <<W as KnownLength>::Header as Format>::Meta;

#[doc(hidden)]
pub struct CountedScan<W: KnownLength> {
    /// The max payload length of a frame in bytes; at most `MAX_PAYLOAD_LEN`.
    pub(super) limit: u64,
    /// The stream offset of the first kept byte.
    pub(super) position: u64,
    /// The fast path is tried once the kept bytes reach this stream offset: the end of the next frame
    /// if its header is known, and `NEVER` while only the slow path may be used.
    pub(super) gate: u64,
    /// The bytes before this stream offset are known not to complete the header.
    undecided: u64,
    pub(super) phase: Phase,
    /// The digest of a frame with a check whose payload is taken in runs.
    pub(super) digest: <W::Check as Check>::Digest,
}

/// A [`CountedScan::gate`] that no stream reaches.
pub(super) const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy)]
pub(super) enum Phase {
    /// The kept bytes begin with a frame: BOUNDARY, HEADER, or PAYLOAD of a frame taken whole.
    Frames,
    /// They begin with a frame that `limit` does not apply to, which ends at the offset `end`: its
    /// header was accepted before the limit was set.
    Begun { end: u64, limit: u64 },
    /// The payload of the frame at this offset is taken in runs; `remaining` bytes of it are not.
    Payload { at: u64, remaining: u64 },
    /// The frame at this offset is over the limit and is dropped: `refused` header bytes, and then
    /// `remaining` payload bytes.
    Skip { at: u64, refused: usize, remaining: u64 },
    /// The kept bytes begin with `refused` bytes that are not a header.
    Failed { error: DecodeError, refused: usize },
    /// A search has dropped `skipped` bytes. If it is `new`, the kept bytes begin with the failed
    /// frame's first byte, which is dropped without a check.
    Search { skipped: u64, new: bool },
}

impl<W: KnownLength> Clone for CountedScan<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: KnownLength> Copy for CountedScan<W> {}

impl<W: KnownLength> Scanning<W> for CountedScan<W> {
    fn new(wire: &W, limit: u64) -> Self {
        Self {
            limit,
            position: 0,
            gate: 0,
            undecided: 0,
            phase: Phase::Frames,
            digest: wire.check_after().begin(&[]),
        }
    }

    fn limit(&self) -> u64 {
        match self.phase {
            Phase::Begun { limit, .. } => limit,
            _ => self.limit,
        }
    }

    fn set_limit(&mut self, limit: u64) {
        match &mut self.phase {
            Phase::Begun { limit: next, .. } => *next = limit,
            // Without a header the gate is at most one byte ahead.
            Phase::Frames if self.gate > self.position.saturating_add(1) && self.gate != NEVER => {
                self.phase = Phase::Begun { end: self.gate, limit };
                self.gate = NEVER;
            }
            _ => self.limit = limit,
        }
    }

    fn max_payload_len(&self) -> u64 {
        self.limit.max(Scanning::<W>::limit(self))
    }

    #[inline]
    fn position(&self) -> u64 {
        self.position
    }

    fn refused(&self) -> usize {
        match self.phase {
            Phase::Failed { refused, .. } | Phase::Skip { refused, .. } => refused,
            _ => 0,
        }
    }

    fn error(&self) -> Option<DecodeError> {
        match self.phase {
            Phase::Failed { error, .. } => Some(error),
            Phase::Search { skipped, .. } => {
                Some(DecodeError::Unsynchronized { at: self.position, skipped })
            }
            _ => None,
        }
    }

    fn is_searching(&self) -> bool {
        matches!(self.phase, Phase::Search { .. })
    }

    #[inline(always)]
    fn needs_more(&self, kept: usize) -> bool {
        self.position.wrapping_add(kept as u64) < self.gate && self.gate != NEVER
    }

    #[inline(always)]
    fn find_whole(&mut self, wire: &W, kept: &[u8]) -> Option<Found<MetaOf<W>>> {
        if self.position.wrapping_add(kept.len() as u64) < self.gate {
            return None;
        }
        let (header, _) = whole_header(wire.header_format(), self.limit, kept)?;
        let payload_len = usize::try_from(header.payload_len).ok()?;
        let frame_len = header.header_len.checked_add(payload_len)?.checked_add(Self::TRAILER)?;
        if frame_len > kept.len() {
            return None;
        }
        if Self::TRAILER > 0 && self.check(wire, &header, kept.get(..frame_len)?).is_err() {
            return None;
        }
        Some(self.consume(header, frame_len))
    }

    #[inline(always)]
    fn find_after_fast_path(
        &mut self,
        wire: &W,
        kept: &[u8],
    ) -> Result<Scan<MetaOf<W>>, DecodeError> {
        if !matches!(self.phase, Phase::Frames) {
            return self.find_no_frame(wire, kept);
        }
        if self.begin_if_empty(kept) {
            return Ok(Scan::Incomplete { needed: 1 });
        }
        let end = self.position.wrapping_add(kept.len() as u64);
        if self.gate == NEVER {
            if end <= self.undecided {
                return Ok(Scan::Incomplete { needed: kept.len().saturating_add(1) });
            }
        } else if end < self.gate {
            return Ok(Scan::Incomplete { needed: saturating_usize(self.gate - self.position) });
        }
        self.inspect_kept(wire, kept, end)
    }

    #[inline(always)]
    fn begin_if_empty(&mut self, kept: &[u8]) -> bool {
        let empty = kept.is_empty() && matches!(self.phase, Phase::Frames);
        if empty {
            self.gate = self.position.saturating_add(1);
        }
        empty
    }

    fn open_frame(&self, _: &W, kept: &[u8]) -> Option<u64> {
        match self.phase {
            Phase::Frames | Phase::Payload { remaining: 0, .. } => {
                (!kept.is_empty()).then_some(self.position)
            }
            Phase::Begun { .. } => Some(self.position),
            Phase::Payload { at, .. } | Phase::Skip { at, .. } => Some(at),
            Phase::Failed { .. } | Phase::Search { .. } => None,
        }
    }

    fn finish(&self, wire: &W, kept: &[u8]) -> Result<(), DecodeError> {
        let len = kept.len() as u64;
        let end = self.position.saturating_add(len);
        match self.phase {
            Phase::Frames => self.finish_frames(wire, 0, 0, kept),
            Phase::Begun { end, .. } => {
                self.check_begun(wire, kept)?;
                self.finish_frames(wire, 0, end - self.position, kept)
            }
            Phase::Payload { at, remaining } => {
                if Self::TRAILER > 0 && remaining > 0 && remaining <= len {
                    self.check_payload(wire, at, remaining, kept)?;
                }
                self.finish_frames(wire, 0, remaining, kept)
            }
            Phase::Skip { refused, remaining, .. } => {
                self.finish_frames(wire, refused as u64, remaining, kept)
            }
            Phase::Failed { error, .. } => Err(error),
            Phase::Search { skipped, .. } => {
                Err(DecodeError::Unsynchronized { at: end, skipped: skipped.saturating_add(len) })
            }
        }
    }

    fn needed(&self, wire: &W, kept: &[u8]) -> u64 {
        let len = match self.phase {
            Phase::Begun { end, .. } => end - self.position,
            Phase::Payload { remaining: remaining @ 1.., .. } => remaining,
            Phase::Skip { refused, remaining, .. } => remaining.saturating_add(refused as u64),
            Phase::Failed { .. } | Phase::Search { .. } => 0,
            Phase::Frames | Phase::Payload { .. } => {
                match inspect(wire.header_format(), self.limit, kept, self.seen(kept)) {
                    Ok(Parsed::Header(header)) => Self::frame_len(&header),
                    Ok(Parsed::Need(needed)) => needed as u64,
                    // A header of no bytes is refused with the first byte after it.
                    Err(_) => 1,
                }
            }
        };
        len.saturating_sub(kept.len() as u64)
    }

    fn reset(&mut self) {
        (self.position, self.limit) = (0, self.limit());
        self.begin_frame();
    }

    fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match (self.phase, self.error()) {
            (Phase::Failed { error: DecodeError::Oversize { at, len, .. }, refused }, _) => {
                let remaining = len.saturating_add(Self::TRAILER as u64);
                self.phase = Phase::Skip { at, refused, remaining };
                Ok(())
            }
            (Phase::Failed { error: DecodeError::Frame { at, .. }, refused }, _) => {
                self.phase = Phase::Skip { at, refused, remaining: 0 };
                Ok(())
            }
            (Phase::Payload { at, remaining: remaining @ 1.. }, _) => {
                self.phase = Phase::Skip { at, refused: 0, remaining };
                Ok(())
            }
            (Phase::Payload { .. }, _) => {
                self.begin_frame();
                Ok(())
            }
            (_, Some(error)) => Err(RecoverError::Failed(error)),
            (_, None) => Err(RecoverError::NotFailed),
        }
    }

    fn reject(&mut self, _: &W, kept: &[u8]) -> Result<(), RecoverError> {
        self.reject_kept(kept)
    }

    fn search(&mut self, wire: &W, kept: &[u8]) -> Result<Searched, RecoverError> {
        self.search_kept(wire, kept)
    }

    fn skip_begun(&mut self, wire: &W, kept: &[u8]) -> Result<usize, RecoverError> {
        let header = self.header(wire, kept).ok_or(RecoverError::NotFailed)?;
        let dropped = match self.find_payload(wire, kept) {
            Ok(ScanPayload::Discard(n)) => n.min(header.header_len),
            Ok(ScanPayload::Run(run)) => run.len,
            _ => 0,
        };
        self.skip_frame()?;
        Ok(dropped)
    }
}

impl<W: KnownLength> CountedScan<W> {
    /// The length of the check in bytes; zero if there is none.
    pub(super) const TRAILER: usize = <<W::Check as Check>::Trailer as TrailerBuf>::LEN;

    #[inline(always)]
    fn consume(&mut self, header: Header<MetaOf<W>>, len: usize) -> Found<MetaOf<W>> {
        let at = self.position;
        self.position = at.wrapping_add(len as u64);
        Found { header, at, len }
    }

    #[inline(never)]
    fn find_slowly(&mut self, wire: &W, kept: &[u8]) -> Result<Scan<MetaOf<W>>, DecodeError> {
        self.find_after_fast_path(wire, kept)
    }

    /// Finds a frame that has another limit, drops bytes of a skipped one, or returns the error: all
    /// phases but [`Phase::Frames`].
    #[inline(never)]
    fn find_no_frame(&mut self, wire: &W, kept: &[u8]) -> Result<Scan<MetaOf<W>>, DecodeError> {
        let len = kept.len() as u64;
        match self.phase {
            Phase::Frames => Ok(Scan::Incomplete { needed: kept.len().saturating_add(1) }),
            Phase::Begun { end, limit } => {
                let needed = saturating_usize(end - self.position);
                if kept.len() < needed {
                    return Ok(Scan::Incomplete { needed });
                }
                let scan = self.inspect_kept(wire, kept, end);
                self.limit = limit;
                let scan = scan?;
                self.phase = Phase::Frames;
                Ok(scan)
            }
            Phase::Payload { remaining: 0, .. } => {
                self.begin_frame();
                self.find_slowly(wire, kept)
            }
            Phase::Payload { at, remaining } => {
                self.phase = Phase::Skip { at, refused: 0, remaining };
                self.find_no_frame(wire, kept)
            }
            Phase::Skip { .. } if kept.is_empty() => Ok(Scan::Incomplete { needed: 1 }),
            Phase::Skip { at, refused, remaining } => {
                let header = refused.min(kept.len());
                let payload = remaining.min((kept.len() - header) as u64);
                let dropped = (header as u64).saturating_add(payload);
                self.position += dropped;
                let (refused, remaining) = (refused - header, remaining - payload);
                if refused == 0 && remaining == 0 {
                    self.begin_frame();
                } else {
                    self.phase = Phase::Skip { at, refused, remaining };
                }
                Ok(Scan::Discard(saturating_usize(dropped)))
            }
            Phase::Failed { error, .. } => Err(error),
            Phase::Search { skipped, .. } => {
                let at = self.position.wrapping_add(len);
                Err(DecodeError::Unsynchronized { at, skipped: skipped.saturating_add(len) })
            }
        }
    }

    /// Inspects the kept bytes, which begin a frame and end at the stream offset `end`, and consumes
    /// the frame if it is whole.
    #[inline(always)]
    fn inspect_kept(
        &mut self,
        wire: &W,
        kept: &[u8],
        end: u64,
    ) -> Result<Scan<MetaOf<W>>, DecodeError> {
        match self.inspect_header(wire, kept, end)? {
            Scan::Frame(Found { header, len, .. }) if len <= kept.len() => {
                if Self::TRAILER > 0 {
                    let frame = kept.get(..len).unwrap_or_default();
                    if let Err(error) = self.check(wire, &header, frame) {
                        return Err(self.fail(DecodeError::Frame { at: self.position, error }, len));
                    }
                }
                self.gate = 0;
                Ok(Scan::Frame(self.consume(header, len)))
            }
            Scan::Frame(Found { len, .. }) => {
                self.gate = self.position.saturating_add(len as u64);
                Ok(Scan::Incomplete { needed: len })
            }
            scan => Ok(scan),
        }
    }

    /// Inspects the kept bytes like [`inspect_kept`](Self::inspect_kept). [`Scan::Frame`] is a complete
    /// header within the limit, of which nothing is consumed.
    #[inline(always)]
    fn inspect_header(
        &mut self,
        wire: &W,
        kept: &[u8],
        end: u64,
    ) -> Result<Scan<MetaOf<W>>, DecodeError> {
        let seen = self.seen(kept);
        match inspect(wire.header_format(), self.limit, kept, seen) {
            Ok(Parsed::Header(header)) => {
                let len = saturating_usize(Self::frame_len(&header));
                Ok(Scan::Frame(Found { header, at: self.position, len }))
            }
            Ok(Parsed::Need(needed)) => {
                (self.undecided, self.gate) = (end, NEVER);
                Ok(Scan::Incomplete { needed })
            }
            Err(_) => Err(self.refuse(wire, kept, seen)),
        }
    }

    /// Returns how many of the kept bytes are known not to complete the header.
    #[inline(always)]
    fn seen(&self, kept: &[u8]) -> usize {
        saturating_usize(self.undecided.saturating_sub(self.position)).min(kept.len())
    }

    #[cold]
    fn refuse(&mut self, wire: &W, kept: &[u8], seen: usize) -> DecodeError {
        let refused = shortest_refused(wire.header_format(), self.limit, kept, seen);
        let refusal = why(wire.header_format(), self.limit, kept, refused);
        self.fail(refusal.at(self.position), refused)
    }

    /// Latches the error of the frame that the kept bytes begin with, `refused` of them.
    #[cold]
    pub(super) fn fail(&mut self, error: DecodeError, refused: usize) -> DecodeError {
        (self.phase, self.gate) = (Phase::Failed { error, refused }, NEVER);
        error
    }

    /// Returns the length of a frame with this header, in bytes.
    #[inline(always)]
    pub(super) fn frame_len(header: &Header<MetaOf<W>>) -> u64 {
        header.frame_len().saturating_add(Self::TRAILER as u64)
    }

    /// Checks a whole frame.
    #[inline]
    pub(super) fn check(
        &self,
        wire: &W,
        header: &Header<MetaOf<W>>,
        frame: &[u8],
    ) -> Result<(), FrameError> {
        let (head, rest) = frame.split_at_checked(header.header_len).unwrap_or((frame, &[]));
        let digest = wire.check_after().begin(head);
        Self::check_rest(wire, digest, rest)
    }

    /// Checks what follows the bytes of a frame that are in `digest`: payload, and the check.
    fn check_rest(
        wire: &W,
        digest: <W::Check as Check>::Digest,
        rest: &[u8],
    ) -> Result<(), FrameError> {
        let payload_len = rest.len().saturating_sub(Self::TRAILER);
        let (payload, found) = rest.split_at_checked(payload_len).unwrap_or((rest, &[]));
        let expected = wire.check_after().trailer(wire.check_after().update(digest, payload));
        if expected.as_ref() == found {
            return Ok(());
        }
        Err(FrameError::bad_check(found, expected.as_ref()))
    }

    /// Checks the frame that has begun under another limit, if it is whole.
    fn check_begun(&self, wire: &W, kept: &[u8]) -> Result<(), DecodeError> {
        if Self::TRAILER == 0 {
            return Ok(());
        }
        let Some((header, _)) = whole_header(wire.header_format(), self.limit, kept) else {
            return Ok(());
        };
        let Some(frame) = kept.get(..saturating_usize(Self::frame_len(&header))) else {
            return Ok(());
        };
        let at = self.position;
        self.check(wire, &header, frame).map_err(|error| DecodeError::Frame { at, error })
    }

    /// Checks the rest of a frame whose payload is taken in runs: `remaining` bytes, all of which are
    /// in the kept bytes.
    pub(super) fn check_payload(
        &self,
        wire: &W,
        at: u64,
        remaining: u64,
        kept: &[u8],
    ) -> Result<(), DecodeError> {
        let rest = kept.get(..saturating_usize(remaining)).unwrap_or_default();
        Self::check_rest(wire, self.digest, rest).map_err(|error| DecodeError::Frame { at, error })
    }

    /// Enters the phase in which the kept bytes begin with a frame, and none of them was inspected.
    pub(super) fn begin_frame(&mut self) {
        (self.undecided, self.gate, self.phase) = (0, 0, Phase::Frames);
    }

    /// As [`Scanner::header`](super::Scanner::header).
    #[must_use]
    pub(super) fn header(&self, wire: &W, kept: &[u8]) -> Option<Header<MetaOf<W>>> {
        match self.phase {
            Phase::Frames | Phase::Begun { .. } | Phase::Payload { remaining: 0, .. } => {
                whole_header(wire.header_format(), self.limit, kept).map(|(header, _)| header)
            }
            _ => None,
        }
    }

    /// As [`Scanner::find_header`](super::Scanner::find_header).
    pub(super) fn find_header(
        &mut self,
        wire: &W,
        kept: &[u8],
    ) -> Result<Scan<MetaOf<W>>, DecodeError> {
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
            _ => return self.find_no_frame(wire, kept),
        }
        let scan = self.inspect_header(wire, kept, end)?;
        if let (Scan::Frame(found), Phase::Frames) = (&scan, self.phase) {
            self.gate = self.position.saturating_add(found.len as u64);
        }
        Ok(scan)
    }

    /// Checks that the stream may end after `header` and `payload` bytes of a frame that has begun,
    /// and what follows them in the kept bytes.
    fn finish_frames(
        &self,
        wire: &W,
        header: u64,
        payload: u64,
        kept: &[u8],
    ) -> Result<(), DecodeError> {
        let (len, begun) = (kept.len() as u64, header.saturating_add(payload));
        if len < begun {
            let at = self.position.saturating_add(len);
            let missing = payload - len.saturating_sub(header);
            let in_check = missing <= Self::TRAILER as u64;
            let part = if in_check { Part::Trailer } else { Part::Payload };
            return Err(DecodeError::Truncated { at, missing, part });
        }
        let rest = kept.get(saturating_usize(begun)..).unwrap_or_default();
        let mut decoder = CountedState::new(wire, Scanning::<W>::limit(self));
        let decoded = decoder.for_each(wire, rest, |_| {}).and_then(|()| decoder.finish(wire));
        decoded.map_err(|error| error.shifted(self.position.saturating_add(begun)))
    }
}

/// Converts a number of bytes. One over `usize::MAX`, which no slice has, saturates.
pub(super) fn saturating_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
