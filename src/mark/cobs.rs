//! Consistent overhead byte stuffing.

use core::ops::Range;

use super::collect::Collected;
use super::{Mark, Shape, Unit, find, move_down};
use crate::error::{EncodeError, FrameError};

/// The bytes of a full block, without its code.
const FULL: usize = 254;

/// The max length of a block that is copied byte by byte, without its code.
const SHORT: usize = 16;

/// The codes of blocks without content.
const EMPTY_BLOCKS: [u8; 8] = [1; 8];

static ZEROS: [u8; 256] = [0; 256];

/// Consistent overhead byte stuffing: a frame ends with a zero byte, and no other byte of it is zero.
/// It is longer than its payload by two bytes, and by one more for each full 254 bytes.
///
/// The payload is written in blocks, each after a code: the distance to the next code, which takes the
/// place of a zero. After a code of `FF`, which has 254 bytes after it, no zero follows. The last zero
/// is not part of the payload.
///
/// An empty payload is `01 00`. A zero where no frame has begun is ignored. A zero inside a block is an
/// error, [`FrameError::CutShort`], and ends the frame.
///
/// A payload that ends with a full block is written without an empty block after it. Both forms are
/// read, so what was read may be written in another form.
///
/// ```
/// use unstick::{Cobs, EncodeError, Mark};
///
/// let mut written = Vec::new();
/// Cobs.encode(&[b"\x11\x22\x00\x33"], &mut |run| written.extend_from_slice(run))?;
/// assert_eq!(written, b"\x03\x11\x22\x02\x33\x00");
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cobs;

/// Where in a frame the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The number of bytes of this block that are missing.
    left: u8,
    /// Whether a frame has begun.
    begun: bool,
    /// Whether a zero stands between this block and the next, if there is one.
    zero: bool,
}

impl Block {
    /// The block after this code, which is not zero.
    #[inline(always)]
    const fn after(code: u8) -> Self {
        Self { left: code.wrapping_sub(1), begun: true, zero: code < 0xFF }
    }
}

impl Mark for Cobs {
    type State = Block;

    #[inline(always)]
    fn push(&self, state: &mut Block, byte: u8) -> Unit {
        if byte == 0 {
            return match core::mem::take(state) {
                Block { begun: false, .. } => Unit::Idle,
                Block { left: 0, .. } => Unit::End,
                Block { left, .. } => {
                    let error = FrameError::CutShort { missing: u32::from(left) };
                    Unit::Refused { error, ended: true }
                }
            };
        }
        if state.left > 0 {
            state.left -= 1;
            return Unit::Byte(byte);
        }
        let zero = state.zero;
        *state = Block::after(byte);
        if zero { Unit::Byte(0) } else { Unit::Nothing }
    }

    #[inline(always)]
    fn run(&self, state: &mut Block, bytes: &[u8]) -> usize {
        if state.left == 0 {
            return 0;
        }
        let block = bytes.get(..usize::from(state.left)).unwrap_or(bytes);
        let run = find::byte(0, block).unwrap_or(block.len());
        state.left = state.left.saturating_sub(u8::try_from(run).unwrap_or(u8::MAX));
        run
    }

    /// Takes the codes of empty blocks, which leave the state as it is, and the one after them.
    #[inline]
    fn produced(&self, state: &mut Block, bytes: &[u8]) -> (usize, &'static [u8]) {
        if !state.zero || state.left > 0 {
            return (0, &[]);
        }
        let empty = bytes.iter().take(ZEROS.len() - 1).take_while(|&&code| code == 1).count();
        let mut count = empty;
        if let Some(&code @ 1..) = bytes.get(empty) {
            *state = Block::after(code);
            count += 1;
        }
        (count, ZEROS.get(..count).unwrap_or_default())
    }

    #[inline]
    fn whole(&self, bytes: &[u8]) -> Option<Shape> {
        let end = find::byte(0, bytes).filter(|&end| end > 0)?;
        let frame_len = end + 1;
        let first = usize::from(*bytes.first()?);
        if first == end {
            return Some(Shape { start: 1, content_len: end - 1, frame_len, plain: true });
        }
        let (mut at, mut content_len, mut zero) = (0, 0, 0);
        while at < end {
            // Many zeros at once, since a code tells where the next one is.
            if zero == 1 && bytes.get(at..)?.first_chunk() == Some(&EMPTY_BLOCKS) {
                content_len += EMPTY_BLOCKS.len();
                at += EMPTY_BLOCKS.len();
                continue;
            }
            let code = usize::from(*bytes.get(at)?);
            content_len += zero + code - 1;
            zero = usize::from(code < 0xFF);
            at += code;
        }
        (at == end).then_some(Shape { start: 1, content_len, frame_len, plain: false })
    }

    #[inline]
    fn whole_and_plain(&self, bytes: &[u8]) -> Option<Shape> {
        let end = usize::from(*bytes.first()?);
        let content_len = end.checked_sub(1)?;
        let is_plain = find::byte(0, bytes.get(..=end)?) == Some(end);
        is_plain.then_some(Shape { start: 1, content_len, frame_len: end + 1, plain: true })
    }

    /// Puts a zero in the place of each code. Nothing moves before the first full block.
    fn unescape(&self, frame: &mut [u8]) -> Range<usize> {
        let mut at = 0;
        while let Some(rest @ [_, ..]) = frame.get_mut(at..) {
            let codes = rest.first_chunk_mut().filter(|codes| **codes == EMPTY_BLOCKS && at > 0);
            if let Some(codes) = codes {
                *codes = [0; EMPTY_BLOCKS.len()];
                at += EMPTY_BLOCKS.len();
                continue;
            }
            let [place, ..] = rest else { break };
            let code = *place;
            if code == 0 {
                return 1.min(at)..at;
            }
            if code == 0xFF {
                break;
            }
            if at > 0 {
                *place = 0;
            }
            at += usize::from(code);
        }
        // The code here may have been preceded by blocks that stand where they belong.
        let (mut to, mut zero) = (at.max(1), at > 0);
        while let Some(&code @ 1..) = frame.get(at) {
            if zero {
                if let Some(place) = frame.get_mut(to) {
                    *place = 0;
                }
                to += 1;
            }
            let (from, len) = (at + 1, usize::from(code) - 1);
            move_down(frame, from, to, len);
            to += len;
            at = from + len;
            zero = code < 0xFF;
        }
        let end = to.min(frame.len());
        1.min(end)..end
    }

    #[inline]
    fn max_wire_len(&self, content_len: u64) -> u64 {
        content_len.saturating_add(content_len / 254).saturating_add(2)
    }

    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        let (mut rest, mut out) = (Rest { run: &[], runs: content }, Collected::new(put));
        rest.advance();
        loop {
            if rest.put_zeros(&mut out) || rest.put_short(&mut out) {
                continue;
            }
            let (len, zero) = rest.block();
            out.push(&[u8::try_from(len + 1).unwrap_or(u8::MAX)]);
            rest.put(len, &mut out);
            if zero {
                rest.run = rest.run.get(1..).unwrap_or_default();
                rest.advance();
            } else if rest.run.is_empty() {
                break;
            }
        }
        out.push(&[0]);
        out.write();
        Ok(())
    }
}

/// The content that is not written yet.
struct Rest<'a> {
    /// The rest of a slice; empty only if nothing follows.
    run: &'a [u8],
    /// The slices after that.
    runs: &'a [&'a [u8]],
}

impl Rest<'_> {
    /// Goes on with the next slice that has bytes, if this one has none.
    fn advance(&mut self) {
        while let ([], [next, after @ ..]) = (self.run, self.runs) {
            (self.run, self.runs) = (next, after);
        }
    }

    /// Returns the length of the next block, over all slices, and whether a zero follows that its end
    /// stands for.
    #[inline]
    fn block(&self) -> (usize, bool) {
        let mut len = 0;
        for run in [self.run].iter().chain(self.runs) {
            let part = run.get(..FULL - len).unwrap_or(run);
            if let Some(place) = find::byte(0, part) {
                return (len + place, true);
            }
            len += part.len();
            if len == FULL {
                break;
            }
        }
        (len, false)
    }

    /// Writes the next zeros, each of which ends an empty block, if there are any.
    #[inline(always)]
    fn put_zeros(&mut self, out: &mut Collected<'_>) -> bool {
        let zeros = self.run.iter().take(SHORT).take_while(|&&byte| byte == 0).count();
        let Some(room) = out.room::<SHORT>().filter(|_| zeros > 0) else { return false };
        *room = [1; SHORT];
        out.add(zeros);
        self.run = self.run.get(zeros..).unwrap_or_default();
        self.advance();
        true
    }

    /// Writes the next block, if it is short and ends with a zero of this slice. The block is copied while
    /// its end is searched.
    #[inline(always)]
    fn put_short(&mut self, out: &mut Collected<'_>) -> bool {
        let Some([code, places @ ..]) = out.room::<{ SHORT + 1 }>() else { return false };
        for (len, (place, &byte)) in places.iter_mut().zip(self.run).enumerate() {
            if byte == 0 {
                *code = u8::try_from(len + 1).unwrap_or(u8::MAX);
                out.add(len + 1);
                self.run = self.run.get(len + 1..).unwrap_or_default();
                self.advance();
                return true;
            }
            *place = byte;
        }
        false
    }

    /// Writes the next bytes.
    #[inline]
    fn put(&mut self, mut len: usize, out: &mut Collected<'_>) {
        while len > 0 && !self.run.is_empty() {
            let (part, after) = self.run.split_at_checked(len).unwrap_or((self.run, &[]));
            out.push(part);
            len -= part.len();
            self.run = after;
            self.advance();
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::laws::{check, decode, encode};
    use super::*;

    /// Collects each block on its own.
    fn write(content: &[u8]) -> Vec<u8> {
        let (mut wire, mut block) = (Vec::new(), vec![1]);
        for (at, &byte) in content.iter().enumerate() {
            if byte != 0 {
                block.push(byte);
                block[0] += 1;
            }
            if byte == 0 || (block[0] == 0xFF && at + 1 < content.len()) {
                wire.append(&mut block);
                block.push(1);
            }
        }
        [wire, block, vec![0]].concat()
    }

    /// The bytes from `first` to `last`, without zero.
    fn count(first: u8, last: u8) -> Vec<u8> {
        (first..=last).collect()
    }

    #[test]
    fn known_values_are_written_and_read() {
        let full = count(0x01, 0xFE);
        let cases = [
            (vec![], vec![0x01, 0x00]),
            (vec![0x00], vec![0x01, 0x01, 0x00]),
            (vec![0x00, 0x00], vec![0x01, 0x01, 0x01, 0x00]),
            (vec![0x00, 0x11, 0x00], vec![0x01, 0x02, 0x11, 0x01, 0x00]),
            (vec![0x11, 0x22, 0x00, 0x33], vec![0x03, 0x11, 0x22, 0x02, 0x33, 0x00]),
            (vec![0x11, 0x22, 0x33, 0x44], vec![0x05, 0x11, 0x22, 0x33, 0x44, 0x00]),
            (vec![0x11, 0x00, 0x00, 0x00], vec![0x02, 0x11, 0x01, 0x01, 0x01, 0x00]),
            (full[..253].to_vec(), [&[0xFE], &full[..253], &[0x00]].concat()),
            (full.clone(), [&[0xFF], &full[..], &[0x00]].concat()),
            ([&[0x00], &full[..]].concat(), [&[0x01, 0xFF], &full[..], &[0x00]].concat()),
            (count(0x01, 0xFF), [&[0xFF], &full[..], &[0x02, 0xFF, 0x00]].concat()),
            (
                [&full[1..], &[0xFF, 0x00]].concat(),
                [&[0xFF], &full[1..], &[0xFF, 0x01, 0x01, 0x00]].concat(),
            ),
            (
                [&full[2..], &[0xFF, 0x00, 0x01]].concat(),
                [&[0xFE], &full[2..], &[0xFF, 0x02, 0x01, 0x00]].concat(),
            ),
        ];
        for (content, wire) in cases {
            assert_eq!(encode(&Cobs, &content).as_ref(), Ok(&wire));
            assert_eq!(decode(&Cobs, &wire), (vec![Ok(content)], None));
        }
    }

    #[test]
    fn an_empty_block_after_a_full_last_one_is_read() {
        let full = count(0x01, 0xFE);
        let wire = [&[0xFF], &full[..], &[0x01, 0x00]].concat();
        let shape = Shape { start: 1, content_len: 254, frame_len: 257, plain: false };
        assert_eq!(Cobs.whole(&wire), Some(shape));
        assert_eq!(decode(&Cobs, &wire), (vec![Ok(full)], None));
        assert_eq!(Cobs.max_wire_len(254), 257);
    }

    #[test]
    fn zeros_between_frames_are_no_frames() {
        let frames = vec![Ok(vec![]), Ok(b"a".to_vec())];
        assert_eq!(decode(&Cobs, b"\0\0\x01\0\0\0\x02a\0\0"), (frames, None));
    }

    #[test]
    fn a_zero_inside_a_block_refuses_the_frame_and_no_more() {
        for (wire, missing) in [(&b"\x05ab\0"[..], 2), (b"\x03ab\x04\0", 3), (b"\xFF\0", 254)] {
            let frames = vec![Err(FrameError::CutShort { missing }), Ok(b"b".to_vec())];
            assert_eq!(decode(&Cobs, &[wire, b"\x02b\0"].concat()), (frames, None));
            assert_eq!(Cobs.whole(wire), None);
        }
    }

    #[test]
    fn a_frame_is_whole_only_with_its_zero() {
        let shape =
            |content_len, frame_len, plain| Some(Shape { start: 1, content_len, frame_len, plain });
        assert_eq!(Cobs.whole(b"\x03ab\0\0"), shape(2, 4, true));
        assert_eq!(Cobs.whole(b"\x01\0"), shape(0, 2, true));
        assert_eq!(Cobs.whole(b"\x02a\x01\0"), shape(2, 4, false));
        let full = [&[0xFF], &count(0x01, 0xFE)[..], &[0x00]].concat();
        assert_eq!(Cobs.whole(&full), shape(254, 256, true));
        for bytes in [&b""[..], b"\0", b"\x03ab", b"\x03a\0", b"\x03a"] {
            assert_eq!(Cobs.whole(bytes), None);
        }
    }

    #[test]
    fn zeros_in_a_row_come_together() {
        let mut state = Block::default();
        assert_eq!(Cobs.produced(&mut state, &[1; 9]), (0, &[][..]));
        assert_eq!(Cobs.push(&mut state, 1), Unit::Nothing);
        assert_eq!(Cobs.produced(&mut state, &[1; 600]), (256, &[0; 256][..]));
        assert_eq!(Cobs.produced(&mut state, &[1, 1, 3, 7, 7]), (3, &[0; 3][..]));
        assert_eq!(Cobs.run(&mut state, &[7, 7, 2]), 2);
        assert_eq!(Cobs.produced(&mut state, &[1, 0]), (1, &[0][..]));
        assert_eq!(Cobs.push(&mut state, 0), Unit::End);
    }

    #[test]
    fn what_is_not_a_frame_is_unescaped_to_something() {
        for frame in [&b""[..], b"\0", b"\x05a", b"\x01", b"\x01\x01", b"\xFF\xFF"] {
            let mut bytes = frame.to_vec();
            let range = Cobs.unescape(&mut bytes);
            assert!(bytes.get(range).is_some(), "{frame:02x?}");
        }
    }

    #[test]
    fn the_laws_hold() {
        check(&Cobs, b"\x00\x01\x02\x03\xFF", write);
        check(&Cobs, b"\x01a", write);
    }
}
