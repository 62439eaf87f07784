//! The octet stuffing of RFC 1662.

use core::ops::Range;

use super::escape::{self, Escaping, Place};
use super::{Mark, Shape, Unit};
use crate::check::Crc16X25;
use crate::error::{EncodeError, FrameError};

const FLAG: u8 = 0x7E;
const ESCAPE: u8 = 0x7D;
const FLIP: u8 = 0x20;

static FLAGS: [u8; 256] = [FLAG; 256];
static ESCAPES: [u8; 256] = [ESCAPE; 256];
static ZEROS: [u8; 256] = [0; 256];

/// The flags and escapes of HDLC-like framing (RFC 1662), as on the serial lines of PPP, without its
/// check: a flag `7E` stands between frames, and inside a frame `7D` before a byte flips its bit `20`.
///
/// One flag may end a frame and begin the next; a flag where no frame has begun is ignored. So there
/// are no empty frames: writing one returns [`EncodeError::Empty`]. `7D 7E` is the sender's way to give
/// up a frame: [`FrameError::Aborted`], and the frame has ended.
///
/// A flag is written before and after each frame. Only `7E` and `7D` are written with an escape; any
/// byte is read with one.
///
/// ```
/// use unstick::{EncodeError, HdlcOctets, Mark};
///
/// let mut written = Vec::new();
/// HdlcOctets.encode(&[b"\x01\x7E"], &mut |run| written.extend_from_slice(run))?;
/// assert_eq!(written, b"\x7E\x01\x7D\x5E\x7E");
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HdlcOctets;

impl Escaping for HdlcOctets {
    const MARK: u8 = FLAG;
    const ESCAPE: u8 = ESCAPE;

    #[inline(always)]
    fn escaped(byte: u8) -> u8 {
        byte ^ FLIP
    }

    #[inline(always)]
    fn unescaped(byte: u8) -> Result<u8, FrameError> {
        if byte == FLAG { Err(FrameError::Aborted) } else { Ok(byte ^ FLIP) }
    }

    /// Senders that escape control characters escape zero.
    #[inline(always)]
    fn repeated(byte: u8) -> &'static [u8] {
        match byte {
            FLAG => &FLAGS,
            ESCAPE => &ESCAPES,
            0 => &ZEROS,
            _ => &[],
        }
    }
}

impl Mark for HdlcOctets {
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
        escape::encode::<Self>(&[FLAG], content, put);
        Ok(())
    }
}

/// HDLC-like framing of octets (RFC 1662), as PPP uses it on serial lines: [`HdlcOctets`] with a check,
/// FCS-16, as the last bytes of each frame.
///
/// The payload is everything before the check, address and control included. A frame that is shorter
/// than its check is invalid.
///
/// ```
/// use unstick::{FrameBuf, Framing, Hdlc};
///
/// let mut wire = Vec::new();
/// Framing::new(Hdlc::new()).encode((), b"~payload~", &mut wire)?;
/// let mut buf = FrameBuf::with_framing([0; 64], Hdlc::new())?;
/// buf.extend(&wire);
/// assert_eq!(buf.next_frame()?.unwrap().payload, b"~payload~");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hdlc<C = Crc16X25> {
    check: C,
}

impl Hdlc {
    /// Frames with a check of 16 bits.
    #[must_use]
    pub const fn new() -> Self {
        Self { check: Crc16X25::new() }
    }
}

impl<C> Hdlc<C> {
    /// Frames with another check, for example a CRC-32.
    #[must_use]
    pub const fn with_check(check: C) -> Self {
        Self { check }
    }

    /// Returns the check.
    #[must_use]
    pub const fn check(&self) -> &C {
        &self.check
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::laws::{check, decode, encode};
    use super::*;

    /// Escapes each byte on its own.
    fn write(content: &[u8]) -> Vec<u8> {
        let escaped = content.iter().flat_map(|&byte| match byte {
            0x7E => vec![0x7D, 0x5E],
            0x7D => vec![0x7D, 0x5D],
            byte => vec![byte],
        });
        [0x7E].into_iter().chain(escaped).chain([0x7E]).collect()
    }

    #[test]
    fn the_examples_of_rfc_1662_are_read() {
        // Section 4.2: the flag, the escape, and two control characters.
        for (wire, byte) in [(0x5E, 0x7E), (0x5D, 0x7D), (0x23, 0x03), (0x31, 0x11), (0x33, 0x13)] {
            let frames = vec![Ok(vec![byte])];
            assert_eq!(decode(&HdlcOctets, &[0x7E, 0x7D, wire, 0x7E]), (frames, None));
        }
        assert_eq!(
            encode(&HdlcOctets, &[0x7E, 0x7D, 0x11]).unwrap(),
            b"\x7E\x7D\x5E\x7D\x5D\x11\x7E"
        );
    }

    #[test]
    fn one_flag_is_enough_between_two_frames() {
        let frames = vec![Ok(b"a".to_vec()), Ok(b"b".to_vec())];
        assert_eq!(decode(&HdlcOctets, b"\x7Ea\x7Eb\x7E"), (frames.clone(), None));
        assert_eq!(decode(&HdlcOctets, b"a\x7E\x7E\x7Eb\x7E\x7E"), (frames, None));
    }

    #[test]
    fn an_escape_before_a_flag_aborts_the_frame_and_ends_it() {
        let frames = vec![Err(FrameError::Aborted), Ok(b"b".to_vec())];
        for wire in [&b"\x7Ea\x7D\x7Eb\x7E"[..], b"\x7D\x7E\x7Eb\x7E"] {
            assert_eq!(decode(&HdlcOctets, wire), (frames.clone(), None));
        }
    }

    #[test]
    fn an_escape_as_the_last_byte_waits_for_the_next() {
        assert_eq!(decode(&HdlcOctets, b"\x7Ea\x7D"), (vec![], Some(b"a".to_vec())));
        let mut state = Place::Escaped;
        assert_eq!(HdlcOctets.run(&mut state, b"a"), 0);
        assert_eq!(HdlcOctets.push(&mut state, b'a'), Unit::Byte(b'A'));
        // Two escapes in a row are one, and what it stands for.
        assert_eq!(decode(&HdlcOctets, b"\x7D\x7D\x7E"), (vec![Ok(vec![0x5D])], None));
    }

    #[test]
    fn an_empty_frame_cannot_be_written() {
        assert_eq!(encode(&HdlcOctets, b""), Err(EncodeError::Empty));
    }

    #[test]
    fn equal_escapes_come_together() {
        for (byte, count) in [(0x7E, 256), (0x7D, 256), (0x00, 256), (0x11, 0)] {
            let wire = [0x7D, byte ^ 0x20].repeat(300);
            let (taken, content) = HdlcOctets.produced(&mut Place::Inside, &wire);
            assert_eq!((taken, content), (2 * count, &vec![byte; count][..]));
        }
    }

    #[test]
    fn a_whole_frame_is_seen_at_once() {
        let shape =
            |content_len, frame_len, plain| Some(Shape { start: 0, content_len, frame_len, plain });
        assert_eq!(HdlcOctets.whole(b"abc\x7Ed"), shape(3, 4, true));
        assert_eq!(HdlcOctets.whole(b"\x7D\x5Eb\x7D\x7D\x7E"), shape(3, 6, false));
        for bytes in [&b"abc"[..], b"", b"\x7E", b"a\x7D\x7E", b"a\x7D", b"a\x7D\x7E\x7E"] {
            assert_eq!(HdlcOctets.whole(bytes), None);
        }
    }

    #[test]
    fn the_laws_hold() {
        check(&HdlcOctets, b"\x7E\x7D\x5E\x20a", write);
    }
}
