//! Frames that end with a mark and have arrived as a whole.

use super::marked::{MarkStateOf, MarkedState, TrailerOf, one};
use crate::check::{Check, TrailerBuf};
use crate::format::copy;
use crate::mark::{Mark, Shape, Unit};
use crate::wire::EndsWithMark;

/// The max number of bytes after a run that are searched for the mark, so that a frame that has
/// arrived is one piece.
const AHEAD: usize = 16;

/// The number of bytes of short runs that are checked together.
const BLOCK: usize = 64;
/// The max length of a short run.
const SHORT: usize = 8;

impl<W: EndsWithMark> MarkedState<W> {
    /// Returns the layout of the frame that `bytes` begin with, if it is whole, valid and within the
    /// limit, and this is quick to find out. The next byte must begin a frame.
    #[inline(always)]
    pub(crate) fn whole_frame(&self, wire: &W, bytes: &[u8]) -> Option<Shape> {
        if W::Mark::VERBATIM {
            return self.plain_frame(wire, bytes);
        }
        self.valid(wire, bytes, wire.end_mark().whole(bytes)?)
    }

    /// Returns the same if the content of the frame stands in it as it is.
    #[inline(always)]
    pub(super) fn plain_frame(&self, wire: &W, bytes: &[u8]) -> Option<Shape> {
        let shape = if W::Mark::VERBATIM {
            let mut mark = MarkStateOf::<W>::default();
            let run = wire.end_mark().run(&mut mark, bytes);
            let end = self.end_in(wire, mark, bytes.get(run..)?)?;
            Shape { start: 0, content_len: run, frame_len: run + end, plain: true }
        } else {
            wire.end_mark().whole_and_plain(bytes).filter(|shape| shape.plain)?
        };
        self.valid(wire, bytes, shape)
    }

    /// Returns the layout if it is possible and the frame is valid and within the limit.
    #[inline(always)]
    fn valid(&self, wire: &W, bytes: &[u8], shape: Shape) -> Option<Shape> {
        // A mark that breaks its laws may say anything.
        let end = shape.start.checked_add(shape.content_len)?;
        if end > shape.frame_len || shape.frame_len > bytes.len() {
            return None;
        }
        let payload_len = shape.content_len.checked_sub(Self::TAIL)?;
        if payload_len as u64 > self.limit {
            return None;
        }
        if Self::TAIL > 0 {
            let is_valid = if shape.plain {
                let (payload, trailer) =
                    bytes.get(shape.start..end)?.split_at_checked(payload_len)?;
                super::is_valid(wire.check_before(), &[], payload, trailer)
            } else {
                is_valid_escaped(wire, bytes.get(..shape.frame_len)?, payload_len)
            };
            if !is_valid {
                return None;
            }
        }
        Some(shape)
    }

    /// Returns the length of the end of the frame that `bytes` begin with.
    #[inline(always)]
    pub(super) fn end_in(&self, wire: &W, mut mark: MarkStateOf<W>, bytes: &[u8]) -> Option<usize> {
        for (i, &byte) in bytes.iter().take(AHEAD).enumerate() {
            match wire.end_mark().push(&mut mark, byte) {
                Unit::Nothing => {}
                Unit::End => return Some(i + 1),
                _ => return None,
            }
        }
        None
    }

    /// Counts a whole frame that [`whole_frame`](Self::whole_frame) has found as consumed.
    #[inline(always)]
    pub(crate) fn skip_whole(&mut self, frame_len: usize) {
        self.pos += frame_len as u64;
    }
}

/// Whether the content of a frame ends with its check; where the content has escapes, it does not stand
/// in the frame in one run. The content before the check has `payload_len` bytes.
#[inline(never)]
fn is_valid_escaped<W: EndsWithMark>(wire: &W, frame: &[u8], payload_len: usize) -> bool {
    let (mark, check) = (wire.end_mark(), wire.check_before());
    let (mut state, mut digest) = (MarkStateOf::<W>::default(), check.begin(&[]));
    let (mut trailer, mut held) = (TrailerOf::<W>::ZERO, 0);
    let (mut block, mut filled) = ([0; BLOCK], 0);
    let (mut rest, mut left) = (frame, payload_len);
    while let [byte, ..] = rest {
        let mut used = mark.run(&mut state, rest).min(rest.len());
        let mut content = rest.get(..used).unwrap_or_default();
        if used == 0 {
            (used, content) = mark.produced(&mut state, rest);
        }
        if used == 0 {
            (used, content) = match mark.push(&mut state, *byte) {
                Unit::Nothing | Unit::Idle => (1, &[][..]),
                Unit::Byte(content) => (1, one(content)),
                Unit::Held(content) => (0, one(content)),
                Unit::End => break,
                Unit::Refused { .. } => return false,
            };
        }
        rest = rest.get(used..).unwrap_or_default();
        let (payload, kept) = content.split_at_checked(left).unwrap_or((content, &[]));
        left -= payload.len();
        if payload.len() > SHORT || filled + payload.len() > BLOCK {
            digest = check.update(digest, block.get(..filled).unwrap_or_default());
            filled = 0;
        }
        if payload.len() > SHORT {
            digest = check.update(digest, payload);
        } else {
            copy(block.get_mut(filled..).unwrap_or_default(), payload);
            filled += payload.len();
        }
        if !kept.is_empty() {
            // A mark that breaks its laws may have said anything.
            let Some(room) = trailer.as_mut().get_mut(held..) else { return false };
            if kept.len() > room.len() {
                return false;
            }
            copy(room, kept);
            held += kept.len();
        }
    }
    digest = check.update(digest, block.get(..filled).unwrap_or_default());
    left == 0 && held == TrailerOf::<W>::LEN && check.trailer(digest) == trailer
}
