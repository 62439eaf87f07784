//! What marks with an escape byte share: SLIP and HDLC.

use core::ops::Range;

use super::collect::Collected;
use super::{Shape, Unit, find, move_down};
use crate::error::FrameError;

/// The values of a mark with an escape byte.
pub(super) trait Escaping {
    /// Ends a frame; idle if none has begun.
    const MARK: u8;
    /// Says that the next byte stands for another one.
    const ESCAPE: u8;
    /// Returns what is written after an escape in place of a mark or an escape.
    fn escaped(byte: u8) -> u8;
    /// Returns the content for which a byte after an escape stands.
    fn unescaped(byte: u8) -> Result<u8, FrameError>;
    /// Returns many times the same byte, if it is one that is escaped often.
    fn repeated(byte: u8) -> &'static [u8];
}

/// Where in a frame a mark's machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Before its first byte.
    #[default]
    Start,
    /// After its first byte.
    Inside,
    /// After an escape.
    Escaped,
}

#[inline(always)]
pub(super) fn push<E: Escaping>(place: &mut Place, byte: u8) -> Unit {
    let before = core::mem::replace(place, Place::Inside);
    if before == Place::Escaped {
        return match E::unescaped(byte) {
            Ok(content) => Unit::Byte(content),
            Err(error) => {
                let ended = byte == E::MARK;
                if ended {
                    *place = Place::Start;
                }
                Unit::Refused { error, ended }
            }
        };
    }
    if byte == E::MARK {
        *place = Place::Start;
        return if before == Place::Start { Unit::Idle } else { Unit::End };
    }
    if byte == E::ESCAPE {
        *place = Place::Escaped;
        return Unit::Nothing;
    }
    Unit::Byte(byte)
}

#[inline(always)]
pub(super) fn run<E: Escaping>(place: &mut Place, bytes: &[u8]) -> usize {
    if *place == Place::Escaped {
        return 0;
    }
    let run = find::either(E::MARK, E::ESCAPE, bytes).unwrap_or(bytes.len());
    if run > 0 {
        *place = Place::Inside;
    }
    run
}

/// Takes the same escape again and again.
#[inline]
pub(super) fn produced<E: Escaping>(place: &mut Place, bytes: &[u8]) -> (usize, &'static [u8]) {
    let (Some(&[escape, byte]), false) = (bytes.first_chunk(), *place == Place::Escaped) else {
        return (0, &[]);
    };
    let Ok(content) = E::unescaped(byte) else { return (0, &[]) };
    if escape != E::ESCAPE {
        return (0, &[]);
    }
    let repeated = E::repeated(content);
    let (mut count, mut rest) = (0, bytes);
    while let Some((pair, after)) = rest.split_first_chunk() {
        if *pair != [escape, byte] || count == repeated.len() {
            break;
        }
        (count, rest) = (count + 1, after);
    }
    if count > 0 {
        *place = Place::Inside;
    }
    (2 * count, repeated.get(..count).unwrap_or_default())
}

#[inline]
pub(super) fn whole<E: Escaping>(bytes: &[u8]) -> Option<Shape> {
    let (mut at, mut escapes) = (0, 0);
    loop {
        // Escapes often come in a row.
        if bytes.get(at) != Some(&E::ESCAPE) {
            at += find::either(E::MARK, E::ESCAPE, bytes.get(at..)?)?;
        }
        if bytes.get(at) == Some(&E::MARK) {
            break;
        }
        E::unescaped(*bytes.get(at + 1)?).ok()?;
        at += 2;
        escapes += 1;
    }
    (at > 0).then_some(Shape {
        start: 0,
        content_len: at - escapes,
        frame_len: at + 1,
        plain: escapes == 0,
    })
}

pub(super) fn unescape<E: Escaping>(frame: &mut [u8]) -> Range<usize> {
    let (mut from, mut to) = (0, 0);
    loop {
        if frame.get(from) != Some(&E::ESCAPE) {
            let rest = frame.get(from..).unwrap_or_default();
            let run = find::either(E::MARK, E::ESCAPE, rest).unwrap_or(rest.len());
            move_down(frame, from, to, run);
            (from, to) = (from + run, to + run);
        }
        let content = match frame.get(from..).unwrap_or_default() {
            &[escape, byte, ..] if escape == E::ESCAPE => E::unescaped(byte).unwrap_or(byte),
            _ => return 0..to,
        };
        if let Some(place) = frame.get_mut(to) {
            *place = content;
        }
        (from, to) = (from + 2, to + 1);
    }
}

/// Returns the layout of a whole frame without escapes.
#[inline]
pub(super) fn whole_and_plain<E: Escaping>(bytes: &[u8]) -> Option<Shape> {
    let at = find::either(E::MARK, E::ESCAPE, bytes).filter(|&at| at > 0)?;
    let is_end = bytes.get(at) == Some(&E::MARK);
    is_end.then_some(Shape { start: 0, content_len: at, frame_len: at + 1, plain: true })
}

/// Writes content with escapes, between these bytes and a mark.
pub(super) fn encode<E: Escaping>(before: &[u8], content: &[&[u8]], put: &mut dyn FnMut(&[u8])) {
    let mut out = Collected::new(put);
    out.push(before);
    for run in content {
        let mut rest = *run;
        loop {
            // Escapes often come in a row.
            while let [special, after @ ..] = rest {
                if *special != E::MARK && *special != E::ESCAPE {
                    break;
                }
                out.push(&[E::ESCAPE, E::escaped(*special)]);
                rest = after;
            }
            let plain = find::either(E::MARK, E::ESCAPE, rest).unwrap_or(rest.len());
            let (run, after) = rest.split_at_checked(plain).unwrap_or_default();
            out.push(run);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    out.push(&[E::MARK]);
    out.write();
}
