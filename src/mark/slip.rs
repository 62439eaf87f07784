//! The serial line protocol of RFC 1055.

use core::ops::Range;

use super::escape::{self, Escaping, Place};
use super::{Mark, Shape, Unit};
use crate::error::{EncodeError, FrameError};

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;

static ENDS: [u8; 256] = [END; 256];
static ESCS: [u8; 256] = [ESC; 256];

/// SLIP (RFC 1055): a frame ends with `C0`; inside it `C0` is written as `DB DC`, and `DB` as `DB DD`.
///
/// A `C0` where no frame has begun is ignored, so frames may begin with one, too. There are no empty
/// frames: writing one returns [`EncodeError::Empty`]. `DB` before any other byte is an error,
/// [`FrameError::BadEscape`]; if that byte is `C0`, it ends the frame.
///
/// ```
/// use unstick::{EncodeError, Mark, Slip};
///
/// let mut written = Vec::new();
/// Slip::new().encode(&[b"\x01\xC0"], &mut |run| written.extend_from_slice(run))?;
/// assert_eq!(written, b"\x01\xDB\xDC\xC0");
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Slip {
    leading_end: bool,
}

impl Slip {
    /// Frames that are written with one `C0`, after each.
    #[must_use]
    pub const fn new() -> Self {
        Self { leading_end: false }
    }

    /// Writes a `C0` before each frame, too: noise that a receiver has taken for the beginning of a
    /// frame ends there, and the frame is not lost with it.
    #[must_use]
    pub const fn with_leading_end(self) -> Self {
        Self { leading_end: true }
    }
}

impl Escaping for Slip {
    const MARK: u8 = END;
    const ESCAPE: u8 = ESC;

    #[inline(always)]
    fn escaped(byte: u8) -> u8 {
        if byte == END { ESC_END } else { ESC_ESC }
    }

    #[inline(always)]
    fn unescaped(byte: u8) -> Result<u8, FrameError> {
        match byte {
            ESC_END => Ok(END),
            ESC_ESC => Ok(ESC),
            found => Err(FrameError::BadEscape { found }),
        }
    }

    #[inline(always)]
    fn repeated(byte: u8) -> &'static [u8] {
        if byte == END { &ENDS } else { &ESCS }
    }
}

impl Mark for Slip {
    type State = Place;

    #[inline(always)]
    fn push(&self, state: &mut Place, byte: u8) -> Unit {
        escape::push::<Self>(state, byte)
    }

    #[inline(always)]
    fn run(&self, state: &mut Place, bytes: &[u8]) -> usize {
        escape::run::<Self>(state, bytes)
    }

    #[inline]
    fn produced(&self, state: &mut Place, bytes: &[u8]) -> (usize, &'static [u8]) {
        escape::produced::<Self>(state, bytes)
    }

    #[inline]
    fn whole(&self, bytes: &[u8]) -> Option<Shape> {
        escape::whole::<Self>(bytes)
    }

    #[inline]
    fn whole_and_plain(&self, bytes: &[u8]) -> Option<Shape> {
        escape::whole_and_plain::<Self>(bytes)
    }

    fn unescape(&self, frame: &mut [u8]) -> Range<usize> {
        escape::unescape::<Self>(frame)
    }

    #[inline]
    fn max_wire_len(&self, content_len: u64) -> u64 {
        content_len.saturating_mul(2).saturating_add(2)
    }

    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        if content.iter().all(|run| run.is_empty()) {
            return Err(EncodeError::Empty);
        }
        let before: &[u8] = if self.leading_end { &[END] } else { &[] };
        escape::encode::<Self>(before, content, put);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::laws::{check, decode, encode};
    use super::*;

    /// Escapes each byte on its own.
    fn write(content: &[u8]) -> Vec<u8> {
        let escaped = content.iter().flat_map(|&byte| match byte {
            0xC0 => vec![0xDB, 0xDC],
            0xDB => vec![0xDB, 0xDD],
            byte => vec![byte],
        });
        escaped.chain([0xC0]).collect()
    }

    #[test]
    fn the_two_special_bytes_of_rfc_1055_are_written_as_two() {
        let content = [0x01, 0xC0, 0x02, 0xDB, 0xDC, 0xDD];
        let wire = vec![0x01, 0xDB, 0xDC, 0x02, 0xDB, 0xDD, 0xDC, 0xDD, 0xC0];
        assert_eq!(encode(&Slip::new(), &content), Ok(wire.clone()));
        assert_eq!(decode(&Slip::new(), &wire), (vec![Ok(content.to_vec())], None));
    }

    #[test]
    fn ends_before_and_after_a_frame_are_no_empty_frames() {
        let frames = vec![Ok(b"a".to_vec()), Ok(b"b".to_vec())];
        assert_eq!(decode(&Slip::new(), b"\xC0a\xC0\xC0\xC0b\xC0\xC0"), (frames, None));
        assert_eq!(encode(&Slip::new(), b""), Err(EncodeError::Empty));
    }

    #[test]
    fn a_leading_end_is_written_on_request() {
        assert_eq!(encode(&Slip::new(), b"a").as_deref(), Ok(&b"a\xC0"[..]));
        assert_eq!(encode(&Slip::new().with_leading_end(), b"a").as_deref(), Ok(&b"\xC0a\xC0"[..]));
    }

    #[test]
    fn an_escape_before_another_byte_refuses_the_frame_and_no_more() {
        let good = Ok(b"b".to_vec());
        for found in [0x00, b'a', 0xDB] {
            let frames = vec![Err(FrameError::BadEscape { found }), good.clone()];
            let wire = [&[b'a', 0xDB, found, b'c', 0xDB, 0xDC, 0xC0], &b"b\xC0"[..]].concat();
            assert_eq!(decode(&Slip::new(), &wire), (frames, None));
        }
        let frames = vec![Err(FrameError::BadEscape { found: 0xC0 }), good];
        assert_eq!(decode(&Slip::new(), b"a\xDB\xC0b\xC0"), (frames, None));
    }

    #[test]
    fn an_escape_that_was_cut_is_continued() {
        let mut state = Place::default();
        assert_eq!(Slip::new().run(&mut state, b"ab\xDB"), 2);
        assert_eq!(Slip::new().push(&mut state, 0xDB), Unit::Nothing);
        assert_eq!(Slip::new().run(&mut state, b"\xDCc"), 0);
        assert_eq!(Slip::new().produced(&mut state, b"\xDCc"), (0, &[][..]));
        assert_eq!(Slip::new().push(&mut state, 0xDC), Unit::Byte(0xC0));
        assert_eq!(Slip::new().run(&mut state, b"c"), 1);
    }

    #[test]
    fn equal_escapes_come_together() {
        let wire = [[0xDB, 0xDC].repeat(300), [0xDB, 0xDD].repeat(3)].concat();
        let (mut state, mut from, mut lens) = (Place::default(), 0, Vec::new());
        while from < wire.len() {
            let (taken, content) = Slip::new().produced(&mut state, &wire[from..]);
            assert_eq!(taken, 2 * content.len());
            lens.push(content.len());
            from += taken;
        }
        assert_eq!(lens, [256, 44, 3]);
    }

    #[test]
    fn a_whole_frame_is_seen_at_once() {
        let shape =
            |content_len, frame_len, plain| Some(Shape { start: 0, content_len, frame_len, plain });
        assert_eq!(Slip::new().whole(b"abc\xC0d"), shape(3, 4, true));
        assert_eq!(Slip::new().whole(b"\xDB\xDCb\xDB\xDD\xC0"), shape(3, 6, false));
        for bytes in [&b"abc"[..], b"", b"\xC0", b"a\xDB\xC0", b"a\xDBb\xC0", b"a\xDB"] {
            assert_eq!(Slip::new().whole(bytes), None);
        }
    }

    #[test]
    fn the_laws_hold() {
        check(&Slip::new(), b"\xC0\xDB\xDC\xDDa", write);
        let leading = |content: &[u8]| [&[0xC0], &write(content)[..]].concat();
        check(&Slip::new().with_leading_end(), b"\xC0\xDBa", leading);
    }
}
