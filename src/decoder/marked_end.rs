//! Where a decoder of marked frames is: for a scanner; and how it skips a frame, searches for the next,
//! and ends one at the stream's end.

use super::marked::{Content, MAX_HELD, MarkedState, Next, Phase, Why, one};
use crate::error::{FrameError, RecoverError};
use crate::mark::{Mark, Unit};
use crate::wire::EndsWithMark;

impl<W: EndsWithMark> MarkedState<W> {
    pub(crate) fn begins_frame(&self) -> bool {
        self.phase == Phase::Boundary
    }

    pub(crate) fn in_frame(&self) -> bool {
        matches!(self.phase, Phase::Frame { .. })
    }

    pub(crate) fn is_skipping(&self) -> bool {
        self.phase == Phase::Skip
    }

    pub(crate) fn is_searching(&self) -> bool {
        matches!(self.phase, Phase::Search { .. })
    }

    /// Returns the max payload length of the frames that can come next.
    pub(crate) fn max_payload_len(&self) -> u64 {
        self.frame_limit.max(self.limit)
    }

    /// Returns the stream offset of the first byte of the current frame.
    pub(crate) fn frame_start(&self) -> u64 {
        self.start
    }

    /// Returns the number of payload bytes that the last frame has delivered.
    pub(crate) fn payload_len(&self) -> u64 {
        self.count
    }

    /// Returns how many bytes at the front of `bytes` stand between frames, and consumes them.
    pub(crate) fn skip_idle(&mut self, wire: &W, bytes: &[u8]) -> usize {
        let mut idle = 0;
        if self.phase == Phase::Boundary {
            for &byte in bytes {
                let mut mark = self.mark;
                if wire.end_mark().push(&mut mark, byte) != Unit::Idle {
                    break;
                }
                idle += 1;
            }
        }
        self.pos += idle as u64;
        idle
    }

    /// Drops bytes up to and including the next mark. Returns `false` if there is none.
    #[inline(never)]
    pub(crate) fn drop_rest(&mut self, wire: &W, input: &mut &[u8]) -> bool {
        while let [byte, rest @ ..] = *input {
            let mut mark = self.mark;
            let run = wire.end_mark().run(&mut mark, input).min(input.len());
            if run > 0 {
                self.consume(mark, run);
                *input = input.get(run..).unwrap_or_default();
                continue;
            }
            mark = self.mark;
            let unit = wire.end_mark().push(&mut mark, *byte);
            if matches!(unit, Unit::Held(_)) && self.released < MAX_HELD {
                self.released += 1;
                self.mark = mark;
                continue;
            }
            self.consume(mark, 1);
            *input = rest;
            if matches!(unit, Unit::End | Unit::Idle | Unit::Refused { ended: true, .. }) {
                return true;
            }
        }
        false
    }

    /// Skips the rest of the frame that has begun or failed, or begins here.
    pub(crate) fn skip(&mut self) {
        match self.phase {
            Phase::Failed { ended: true, .. } => self.boundary(),
            Phase::Boundary => {
                self.start = self.pos;
                self.phase = Phase::Skip;
            }
            _ => self.phase = Phase::Skip,
        }
    }

    /// Ends the skip of a frame whose mark was found.
    pub(crate) fn end_skip(&mut self) {
        self.boundary();
    }

    /// Begins a search for the next mark, if none is under way.
    pub(crate) fn begin_search(&mut self) -> Result<(), RecoverError> {
        match self.phase {
            Phase::Failed { ended: over, .. } => self.phase = Phase::Search { over },
            Phase::Search { .. } => {}
            _ => return Err(RecoverError::NotFailed),
        }
        Ok(())
    }

    /// Continues a skip as a search.
    pub(crate) fn search_skipped(&mut self) {
        self.phase = Phase::Search { over: false };
    }

    /// Continues a search, and returns the number of bytes from the failed frame's first to the end of
    /// the mark if it was found.
    pub(crate) fn search(&mut self, wire: &W, input: &mut &[u8]) -> Option<u64> {
        if self.phase != (Phase::Search { over: true }) && !self.drop_rest(wire, input) {
            return None;
        }
        self.boundary();
        Some(self.pos - self.start)
    }

    /// Returns the next piece that the stream's end brings, in a frame.
    pub(crate) fn end_of_frame(&mut self, wire: &W) -> Next<'static> {
        loop {
            let mut mark = self.mark;
            match wire.end_mark().end(&mut mark) {
                Unit::Nothing | Unit::Idle => return Err(self.truncated()),
                Unit::Refused { error, .. } => return self.fail(wire, Why::Frame(error), true),
                Unit::End => {
                    return match self.check(wire) {
                        Ok(()) => Ok(Some(self.last_piece(&[]))),
                        Err(error) => self.fail(wire, Why::Frame(error), true),
                    };
                }
                Unit::Byte(_) | Unit::Held(_) if self.released == MAX_HELD => {
                    return self.fail(wire, Why::Frame(FrameError::BrokenMark), true);
                }
                Unit::Byte(byte) | Unit::Held(byte) => match self.content(wire, one(byte)) {
                    Content::Payload(payload) => {
                        self.mark = mark;
                        self.released += 1;
                        return Ok(Some(self.piece(payload, false)));
                    }
                    Content::Released(byte) => return Ok(Some(self.piece(byte, false))),
                    Content::Kept => {
                        self.mark = mark;
                        self.released += 1;
                    }
                    Content::TooLong => return self.fail(wire, Why::TooLong, true),
                },
            }
        }
    }
}
