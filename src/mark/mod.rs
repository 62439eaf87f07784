//! Frames that end with a mark: the [`Mark`] trait, and [`Marked`] frames.

mod any_delimiter;
mod cobs;
mod collect;
mod delimited;
mod escape;
mod find;
mod hdlc;
#[cfg(test)]
mod laws;
mod lines;
mod slip;

use core::fmt::Debug;
use core::ops::Range;

use crate::check::{Check, NoCheck};
use crate::error::{EncodeError, FrameError};

pub use any_delimiter::AnyDelimiter;
pub use cobs::Cobs;
pub use delimited::Delimited;
pub use hdlc::{Hdlc, HdlcOctets};
pub use lines::Lines;
pub use slip::Slip;

/// How frames end at a mark, with or without escapes: a machine that takes one byte at a time.
///
/// Since it takes single bytes, its results cannot depend on where the stream was cut. The decoder
/// does the rest: the limit, latched errors, the stream's end. An implementation needs
/// [`push`](Self::push), [`max_wire_len`](Self::max_wire_len) and [`encode`](Self::encode);
/// [`end`](Self::end) is for marks that the stream's end may stand for, and the other methods make
/// decoding faster. Use it in [`Marked`].
///
/// ```
/// use unstick::{Decoder, EncodeError, Mark, Marked, Unit};
///
/// /// Frames end with a semicolon, and cannot contain one.
/// struct Semicolon;
///
/// impl Mark for Semicolon {
///     type State = ();
///
///     fn push(&self, (): &mut (), byte: u8) -> Unit {
///         if byte == b';' { Unit::End } else { Unit::Byte(byte) }
///     }
///
///     fn run(&self, (): &mut (), bytes: &[u8]) -> usize {
///         bytes.iter().position(|&byte| byte == b';').unwrap_or(bytes.len())
///     }
///
///     fn max_wire_len(&self, content_len: u64) -> u64 {
///         content_len.saturating_add(1)
///     }
///
///     fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
///         if let Some(at) = content.iter().copied().flatten().position(|&byte| byte == b';') {
///             return Err(EncodeError::HasMark { at: at as u64 });
///         }
///         content.iter().for_each(|run| put(run));
///         put(b";");
///         Ok(())
///     }
/// }
///
/// let mut decoder = Decoder::with_framing(Marked::new(Semicolon));
/// let mut frames = Vec::new();
/// decoder.for_each(b"one;two;", |piece| frames.push(piece.bytes))?;
/// decoder.finish()?;
/// assert_eq!(frames, [b"one", b"two"]);
/// # Ok::<(), unstick::DecodeError>(())
/// ```
///
/// The page `docs/framings.md` of the repository has one with an escape.
///
/// # Laws
/// The decoder never panics, whatever a mark returns. The promises depend on these laws:
///
/// 1. [`run`](Self::run) takes bytes that are content as they stand. Pushing the rest of `bytes` after
///    it gives the same content, joined, and the same state as pushing all of `bytes`.
///    [`produced`](Self::produced) returns the content that pushing the bytes it takes would give,
///    joined, and leaves the state as that would.
/// 2. [`Unit::End`], [`Unit::Idle`], and a [`Unit::Refused`] that has `ended`, leave the state at its
///    default. [`Unit::Idle`] is returned in the default state only.
/// 3. [`Unit::Held`] is not returned without end.
/// 4. Pushing what `encode` writes returns the content, and [`Unit::End`] for the last byte.
/// 5. A frame with more content than `content_len` bytes has failed, or is known to be longer, after
///    [`max_wire_len(content_len)`](Self::max_wire_len) bytes. `max_wire_len` does not decrease if its
///    argument grows.
/// 6. Decoded content is never longer than its encoding.
///
/// The crate `unstick-conformance` tests a mark against these laws.
pub trait Mark {
    /// The machine's state inside a frame. The default is the state before a frame's first byte.
    type State: Copy + Default + Eq + Debug + Send + Sync + Unpin;

    /// Whether the content of a frame always stands in the stream as it is, in one run, from the
    /// frame's first byte on.
    const VERBATIM: bool = false;

    /// Takes the next byte.
    fn push(&self, state: &mut Self::State, byte: u8) -> Unit;

    /// Takes bytes from the front of `bytes` that are content as they stand, and returns their number;
    /// zero if there are none, or it is unknown. This is the fast path.
    #[inline(always)]
    fn run(&self, state: &mut Self::State, bytes: &[u8]) -> usize {
        let _ = (state, bytes);
        0
    }

    /// Takes bytes from the front of `bytes` that produce other content, such as escapes, and returns
    /// their number and the content; zero if there are none, or it is unknown. The decoder calls it if
    /// [`run`](Self::run) has returned zero. This is the fast path for repeated escapes.
    #[inline(always)]
    fn produced(&self, state: &mut Self::State, bytes: &[u8]) -> (usize, &'static [u8]) {
        let _ = (state, bytes);
        (0, &[])
    }

    /// Returns the layout of the frame at the front of `bytes`, if it is whole and valid and this is
    /// quick to find out; `None` otherwise. `bytes` begin with a frame, in the default state. A
    /// [`VERBATIM`](Self::VERBATIM) mark needs no such method.
    #[inline(always)]
    fn whole(&self, bytes: &[u8]) -> Option<Shape> {
        let _ = bytes;
        None
    }

    /// Does the same as [`whole`](Self::whole) for a frame whose content stands there as it is. A frame
    /// with escapes is then not looked at any further.
    #[doc(hidden)]
    #[inline(always)]
    fn whole_and_plain(&self, bytes: &[u8]) -> Option<Shape> {
        self.whole(bytes)
    }

    /// Removes the escapes of a whole and valid frame, in place, and returns where in it the content
    /// now is.
    #[inline]
    fn unescape(&self, frame: &mut [u8]) -> Range<usize> {
        unescape(self, frame)
    }

    /// Takes the stream's end inside a frame. Returns [`Unit::End`] if it stands for the mark,
    /// [`Unit::Nothing`], the default, if the frame is truncated, and [`Unit::Held`] if a byte that was
    /// held back is content; this method is then called again.
    #[inline]
    fn end(&self, state: &mut Self::State) -> Unit {
        let _ = state;
        Unit::Nothing
    }

    /// Returns the number of bytes after which a frame has ended, has failed, or is known to have more
    /// than `content_len` bytes of content. A buffer has room for as many bytes.
    ///
    /// It can be more than the longest encoding of this much content. With escapes of two bytes it is
    /// `2 * content_len + 2`, since half an escape may follow the last byte within the limit. A greater
    /// number is allowed, and costs room.
    fn max_wire_len(&self, content_len: u64) -> u64;

    /// Writes a frame by calling `put` with its bytes, in runs. The content is in several slices that
    /// follow each other: a payload and its check.
    ///
    /// # Errors
    /// Returns an error if the content cannot be written, for example because it contains the mark.
    /// What was written before that is dropped.
    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError>;
}

/// What a byte means to a [`Mark`].
///
/// ```
/// use unstick::{Lines, Mark, Unit};
///
/// let lines = Lines::new();
/// let mut state = Default::default();
/// assert_eq!(lines.push(&mut state, b'a'), Unit::Byte(b'a'));
/// assert_eq!(lines.push(&mut state, b'\n'), Unit::End);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing yet: half of an escape, or the beginning of what may be a mark.
    Nothing,
    /// This byte is content.
    Byte(u8),
    /// This byte, which was held back, is content. The pushed byte was not taken and is pushed again.
    Held(u8),
    /// The frame ends.
    End,
    /// The byte stands between frames and means nothing.
    Idle,
    /// The frame is invalid.
    Refused {
        /// Why.
        error: FrameError,
        /// Whether the byte also ends the frame, so that the next byte begins another one: `true` for the
        /// mark, `false` for any other byte. `false` for the mark loses the next frame; `true` for
        /// another byte makes a frame of what is left of the bad one.
        ended: bool,
    },
}

/// Where the content of a whole frame is: see [`Mark::whole`].
///
/// ```
/// use unstick::{Cobs, Mark};
///
/// let shape = Cobs.whole(b"\x03hi\0").unwrap();
/// assert_eq!((shape.start, shape.content_len, shape.frame_len, shape.plain), (1, 2, 4, true));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The number of bytes before the content; after [`Mark::unescape`] it begins there too.
    pub start: usize,
    /// The length of the content in bytes, without escapes.
    pub content_len: usize,
    /// The length of the frame in the stream in bytes, its mark included.
    pub frame_len: usize,
    /// Whether the content stands there as it is.
    pub plain: bool,
}

/// Frames that end with a mark, with a check at the end of their content or without.
///
/// ```
/// use unstick::check::Crc16X25;
/// use unstick::{Cobs, FrameBuf, Framing, Marked};
///
/// let framing = Framing::new(Marked::new(Cobs).with_check(Crc16X25::new())).with_limit(100);
/// let mut wire = Vec::new();
/// framing.encode((), "hello", &mut wire)?;
/// let mut buf = FrameBuf::with_framing([0; 128], framing)?;
/// buf.extend(&wire);
/// assert_eq!(buf.next_frame()?.map(|frame| frame.payload), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marked<M, C = NoCheck> {
    mark: M,
    check: C,
}

impl<M> Marked<M> {
    /// Frames that end with this mark.
    #[must_use]
    pub const fn new(mark: M) -> Self {
        Self { mark, check: NoCheck }
    }

    /// Adds a check, which is the last part of each frame's content. The limit does not count it.
    #[must_use]
    pub fn with_check<C: Check>(self, check: C) -> Marked<M, C> {
        Marked { mark: self.mark, check }
    }
}

impl<M, C> Marked<M, C> {
    /// Returns the mark.
    #[must_use]
    pub const fn mark(&self) -> &M {
        &self.mark
    }

    /// Returns the check.
    #[must_use]
    pub const fn check(&self) -> &C {
        &self.check
    }
}

/// Removes escapes by `push` and `run`.
fn unescape<M: Mark + ?Sized>(mark: &M, frame: &mut [u8]) -> Range<usize> {
    let mut state = M::State::default();
    let (mut from, mut to, mut start) = (0, 0, None);
    // A mark that breaks its laws may release bytes without end.
    while from < frame.len() && to <= frame.len() {
        let rest = frame.get(from..).unwrap_or_default();
        let run = mark.run(&mut state, rest).min(rest.len());
        if run > 0 {
            if start.is_none() {
                (start, to) = (Some(from), from);
            }
            move_down(frame, from, to, run);
            from += run;
            to += run;
            continue;
        }
        let byte = rest.first().copied().unwrap_or_default();
        let unit = mark.push(&mut state, byte);
        if let Unit::Byte(content) | Unit::Held(content) = unit {
            if start.is_none() {
                (start, to) = (Some(from), from);
            }
            if let Some(place) = frame.get_mut(to) {
                *place = content;
            }
            to += 1;
        }
        if !matches!(unit, Unit::Held(_)) {
            from += 1;
        }
    }
    // The stream's end may have ended the frame, and what was held back is content then.
    while let (Unit::Byte(content) | Unit::Held(content), true) =
        (mark.end(&mut state), to < frame.len())
    {
        if let Some(place) = frame.get_mut(to) {
            *place = content;
        }
        to += 1;
    }
    let start = start.unwrap_or(0);
    start..to.max(start)
}

/// Moves `len` bytes from `from` down to `to`, a block at a time. Each block is read whole before it
/// is written, so the two ranges may overlap.
pub(crate) fn move_down(bytes: &mut [u8], mut from: usize, mut to: usize, mut len: usize) {
    if to >= from {
        return;
    }
    while len >= 32 {
        let block = bytes.get(from..).and_then(|rest| rest.first_chunk::<32>()).copied();
        let place = bytes.get_mut(to..).and_then(|rest| rest.first_chunk_mut::<32>());
        let (Some(block), Some(place)) = (block, place) else { return };
        *place = block;
        (from, to, len) = (from + 32, to + 32, len - 32);
    }
    while len >= 8 {
        let block = bytes.get(from..).and_then(|rest| rest.first_chunk::<8>()).copied();
        let place = bytes.get_mut(to..).and_then(|rest| rest.first_chunk_mut::<8>());
        let (Some(block), Some(place)) = (block, place) else { return };
        *place = block;
        (from, to, len) = (from + 8, to + 8, len - 8);
    }
    for i in 0..len {
        let byte = bytes.get(from + i).copied().unwrap_or_default();
        if let Some(place) = bytes.get_mut(to + i) {
            *place = byte;
        }
    }
}
