//! The state of a decoder where a mark ends a frame (spec, A.7).
//!
//! It keeps no byte of the stream but those that may be a check, which cannot be told from payload
//! before the mark has arrived. The mark is a machine that takes one byte at a time, so cuts mean
//! nothing to it. The limit, the pieces, latched errors and the stream's end are handled here.

use super::split_at_most;
use crate::check::{Check, TrailerBuf};
use crate::error::{DecodeError, FrameError, Part, RecoverError};
use crate::format::{Header, copy};
use crate::mark::{Mark, Unit};
use crate::wire::{Decoding, EndsWithMark, Piece, Wire};

/// A static byte for each value, for content that does not stand in the input.
static BYTES: [u8; 256] = {
    let (mut bytes, mut i) = ([0; 256], 0_u8);
    loop {
        #[allow(clippy::indexing_slicing)] // evaluated by the compiler
        {
            bytes[i as usize] = i;
        }
        if i == 255 {
            break bytes;
        }
        i += 1;
    }
};

/// The max number of held bytes that a mark may release in a row: a delimiter has at most 255 bytes.
pub(super) const MAX_HELD: u8 = 255;

/// The header of a frame that has none.
const NO_HEADER: Header<(), ()> = Header { meta: (), payload_len: (), header_len: 0 };

pub(super) type MarkStateOf<W> = <<W as EndsWithMark>::Mark as Mark>::State;
type DigestOf<W> = <<W as EndsWithMark>::Check as Check>::Digest;
pub(super) type TrailerOf<W> = <<W as EndsWithMark>::Check as Check>::Trailer;

pub(super) type Next<'a> = Result<Option<Piece<'a, (), ()>>, DecodeError>;

#[doc(hidden)]
pub struct MarkedState<W: EndsWithMark> {
    /// The max payload length of the frame that has begun, in bytes.
    pub(super) frame_limit: u64,
    /// The same for the next frame.
    pub(super) limit: u64,
    /// The number of bytes consumed since the stream's start.
    pub(super) pos: u64,
    /// The stream offset of the first byte of the frame that has begun, failed, or was the last.
    pub(super) start: u64,
    /// How many payload bytes of that frame were delivered.
    pub(super) count: u64,
    pub(super) phase: Phase,
    pub(super) mark: MarkStateOf<W>,
    digest: DigestOf<W>,
    /// The last bytes of the content, `held` of them, which may be the check.
    tail: TrailerOf<W>,
    held: u8,
    /// The number of bytes that the mark has released since it took one.
    pub(super) released: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No byte of the next frame was consumed.
    Boundary,
    /// A frame has begun; `delivered` if a piece of it was.
    Frame { delivered: bool },
    /// A frame failed, and `ended` if the failure was its end.
    Failed { why: Why, ended: bool },
    /// The rest of a frame is dropped.
    Skip,
    /// The same, as a search; or it is over, since the failure was the frame's end.
    Search { over: bool },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    TooLong,
    Frame(FrameError),
}

/// What content leads to.
pub(super) enum Content<'a> {
    /// All of it was taken, and this is payload.
    Payload(&'a [u8]),
    /// All of it was taken, and it may be the check.
    Kept,
    /// A byte that was kept before is payload. Nothing was taken.
    Released(&'static [u8]),
    /// It is over the limit. Nothing was taken.
    TooLong,
}

impl<W: EndsWithMark> Clone for MarkedState<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: EndsWithMark> Copy for MarkedState<W> {}

impl<W: EndsWithMark + Wire<Meta = (), Len = ()>> Decoding<W> for MarkedState<W> {
    fn new(wire: &W, limit: u64) -> Self {
        Self {
            frame_limit: limit,
            limit,
            pos: 0,
            start: 0,
            count: 0,
            phase: Phase::Boundary,
            mark: MarkStateOf::<W>::default(),
            digest: wire.check_before().begin(&[]),
            tail: TrailerOf::<W>::ZERO,
            held: 0,
            released: 0,
        }
    }

    fn limit(&self) -> u64 {
        self.limit
    }

    fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    #[inline(always)]
    fn position(&self) -> u64 {
        self.pos
    }

    #[inline(always)]
    fn error(&self, wire: &W) -> Option<DecodeError> {
        match self.phase {
            Phase::Boundary | Phase::Frame { .. } | Phase::Skip => None,
            Phase::Failed { .. } | Phase::Search { .. } => Some(self.latched(wire)),
        }
    }

    #[inline(always)]
    fn for_each<'a>(
        &mut self,
        wire: &W,
        mut input: &'a [u8],
        mut each: impl FnMut(Piece<'a, (), ()>),
    ) -> Result<(), DecodeError> {
        while let Some(piece) = self.decode(wire, &mut input)? {
            each(piece);
        }
        Ok(())
    }

    #[inline(always)]
    fn decode<'a>(&mut self, wire: &W, input: &mut &'a [u8]) -> Next<'a> {
        if self.phase == Phase::Boundary {
            let bytes = *input;
            if let Some(shape) = self.plain_frame(wire, bytes) {
                if let Some((frame, rest)) = bytes.split_at_checked(shape.frame_len) {
                    let end = shape.start + shape.content_len - Self::TAIL;
                    if let Some(payload) = frame.get(shape.start..end) {
                        self.skip_whole(shape.frame_len);
                        *input = rest;
                        let header = Some(NO_HEADER);
                        return Ok(Some(Piece { header, bytes: payload, last: true }));
                    }
                }
            }
        }
        self.decode_units(wire, input)
    }

    fn finish(&self, wire: &W) -> Result<(), DecodeError> {
        match self.phase {
            Phase::Boundary => Ok(()),
            Phase::Skip if self.end_completes(wire) => Ok(()),
            Phase::Skip => Err(self.truncated()),
            Phase::Failed { .. } | Phase::Search { .. } => Err(self.latched(wire)),
            Phase::Frame { .. } => {
                let mut scratch = *self;
                while scratch.end_of_frame(wire)?.is_some_and(|piece| !piece.last) {}
                Ok(())
            }
        }
    }

    fn end(&mut self, wire: &W) -> Next<'static> {
        match self.phase {
            Phase::Frame { .. } => self.end_of_frame(wire),
            _ => self.finish(wire).map(|()| None),
        }
    }

    fn is_at_boundary(&self) -> bool {
        self.phase == Phase::Boundary
    }

    fn needed(&self, _: &W) -> u64 {
        match self.phase {
            Phase::Boundary | Phase::Frame { .. } | Phase::Skip => 1,
            Phase::Failed { .. } | Phase::Search { .. } => 0,
        }
    }

    fn reset(&mut self) {
        self.pos = 0;
        self.boundary();
    }

    fn skip_frame(&mut self, wire: &W) -> Result<(), RecoverError> {
        match self.phase {
            Phase::Search { .. } => Err(RecoverError::Failed(self.latched(wire))),
            Phase::Boundary | Phase::Skip => Err(RecoverError::NotFailed),
            Phase::Failed { .. } | Phase::Frame { .. } => {
                self.skip();
                Ok(())
            }
        }
    }
}

impl<W: EndsWithMark> MarkedState<W> {
    /// The length of the check in bytes; zero if there is none.
    pub(crate) const TAIL: usize = TrailerOf::<W>::LEN;

    /// Decodes what is not a whole frame.
    #[inline]
    pub(crate) fn decode_units<'a>(&mut self, wire: &W, input: &mut &'a [u8]) -> Next<'a> {
        loop {
            let bytes = *input;
            match self.phase {
                Phase::Boundary | Phase::Frame { .. } => {}
                Phase::Skip => {
                    if !self.drop_rest(wire, input) {
                        return Ok(None);
                    }
                    self.boundary();
                    continue;
                }
                Phase::Failed { .. } | Phase::Search { .. } => return Err(self.latched(wire)),
            }
            let Some(&byte) = bytes.first() else { return Ok(None) };
            if let Some((mark, run)) = self.run(wire, bytes) {
                self.open(wire);
                let (content, rest) = bytes.split_at_checked(run).unwrap_or_default();
                let payload = match self.content_before(wire, content, mark, rest) {
                    Content::Payload(payload) => payload,
                    Content::Kept => &[],
                    Content::Released(byte) => return Ok(Some(self.piece(byte, false))),
                    Content::TooLong => return self.fail(wire, Why::TooLong, false),
                };
                self.consume(mark, run);
                *input = rest;
                if payload.is_empty() {
                    continue;
                }
                // With its end, if that has arrived, it is one piece.
                if let Some(end) = self.end_in(wire, mark, rest) {
                    if self.check(wire).is_ok() {
                        self.pos += end as u64;
                        *input = rest.get(end..).unwrap_or_default();
                        return Ok(Some(self.last_piece(payload)));
                    }
                }
                return Ok(Some(self.piece(payload, false)));
            }
            if let Some((mark, used, content)) = self.produced(wire, bytes) {
                let rest = bytes.get(used..).unwrap_or_default();
                let payload = match self.content_before(wire, content, mark, rest) {
                    Content::Payload(payload) => payload,
                    Content::Kept => &[],
                    Content::Released(byte) => return Ok(Some(self.piece(byte, false))),
                    Content::TooLong => return self.fail(wire, Why::TooLong, false),
                };
                self.consume(mark, used);
                *input = rest;
                if payload.is_empty() {
                    continue;
                }
                return Ok(Some(self.piece(payload, false)));
            }
            let mut mark = self.mark;
            let unit = wire.end_mark().push(&mut mark, byte);
            if unit == Unit::Idle && self.phase == Phase::Boundary {
                self.pos += 1;
                *input = bytes.get(1..).unwrap_or_default();
                continue;
            }
            self.open(wire);
            let mut payload: &[u8] = &[];
            if let Unit::Byte(content) | Unit::Held(content) = unit {
                payload = match self.content(wire, one(content)) {
                    Content::Payload(payload) => payload,
                    Content::Kept => &[],
                    Content::Released(byte) => return Ok(Some(self.piece(byte, false))),
                    Content::TooLong => return self.fail(wire, Why::TooLong, false),
                };
            }
            if let Unit::Held(_) = unit {
                if self.released == MAX_HELD {
                    return self.fail(wire, Why::Frame(FrameError::BrokenMark), false);
                }
                self.released += 1;
                self.mark = mark;
            } else {
                self.consume(mark, 1);
                *input = bytes.get(1..).unwrap_or_default();
            }
            match unit {
                Unit::End | Unit::Idle => {
                    return match self.check(wire) {
                        Ok(()) => Ok(Some(self.last_piece(&[]))),
                        Err(error) => self.fail(wire, Why::Frame(error), true),
                    };
                }
                Unit::Refused { error, ended } => return self.fail(wire, Why::Frame(error), ended),
                _ if payload.is_empty() => {}
                _ => return Ok(Some(self.piece(payload, false))),
            }
        }
    }

    /// Returns the run of content at the front of `bytes`, if there is one, and the mark's state after
    /// it. It is no longer than what may come at once.
    #[inline(always)]
    fn run(&self, wire: &W, bytes: &[u8]) -> Option<(MarkStateOf<W>, usize)> {
        let room = self.room();
        let mut mark = self.mark;
        let run = wire.end_mark().run(&mut mark, bytes).min(bytes.len());
        if run == 0 || room == 0 {
            return None;
        }
        if run as u64 <= room {
            return Some((mark, run));
        }
        // A run may depend on the bytes after it, which are over the limit.
        let (within, _) = split_at_most(bytes, room);
        mark = self.mark;
        let run = wire.end_mark().run(&mut mark, within).min(within.len());
        (run > 0).then_some((mark, run))
    }

    /// Returns content that stands for bytes at the front of `bytes`, with their number and the mark's
    /// state after them, if there is any that may come at once.
    #[inline(always)]
    fn produced(
        &mut self,
        wire: &W,
        bytes: &[u8],
    ) -> Option<(MarkStateOf<W>, usize, &'static [u8])> {
        let mut mark = self.mark;
        let (used, content) = wire.end_mark().produced(&mut mark, bytes);
        let fits = content.len() as u64 <= self.room();
        if used == 0 || used > bytes.len() || content.is_empty() || !fits {
            return None;
        }
        self.open(wire);
        Some((mark, used, content))
    }

    /// Returns how many bytes of content may come at once: the payload that the limit leaves, and the
    /// check. Content beyond that is taken byte by byte, so that the same byte is always the first
    /// over the limit.
    #[inline(always)]
    fn room(&self) -> u64 {
        let left = match self.phase {
            Phase::Boundary => self.limit,
            _ => self.frame_limit - self.count,
        };
        if Self::TAIL == 0 {
            return left;
        }
        match left {
            0 => (Self::TAIL - usize::from(self.held).min(Self::TAIL)) as u64,
            left => left.saturating_add(Self::TAIL as u64),
        }
    }

    /// Does the same as [`content`](Self::content). `rest` follows the content, and `mark` is the state
    /// before it.
    ///
    /// Content that enough other content follows cannot be the check, so none of it is kept and
    /// released byte by byte.
    #[inline(always)]
    fn content_before<'a>(
        &mut self,
        wire: &W,
        run: &'a [u8],
        mark: MarkStateOf<W>,
        rest: &[u8],
    ) -> Content<'a> {
        let left = self.frame_limit - self.count;
        if Self::TAIL > 0
            && self.held == 0
            && run.len() as u64 <= left
            && is_followed(wire.end_mark(), mark, rest, Self::TAIL)
        {
            self.digest = wire.check_before().update(self.digest, run);
            self.count += run.len() as u64;
            return Content::Payload(run);
        }
        self.content(wire, run)
    }

    /// Handles the next bytes of content of a frame that has begun.
    #[inline(always)]
    pub(super) fn content<'a>(&mut self, wire: &W, run: &'a [u8]) -> Content<'a> {
        let left = self.frame_limit - self.count;
        if Self::TAIL > 0 {
            return self.content_with_check(wire, run, left);
        }
        if run.len() as u64 > left {
            return Content::TooLong;
        }
        self.count += run.len() as u64;
        Content::Payload(run)
    }

    /// Handles content whose last bytes are a check.
    #[inline(never)]
    fn content_with_check<'a>(&mut self, wire: &W, run: &'a [u8], left: u64) -> Content<'a> {
        let held = usize::from(self.held);
        if held + run.len() <= Self::TAIL {
            copy(self.tail.as_mut().get_mut(held..).unwrap_or_default(), run);
            self.held += u8::try_from(run.len()).unwrap_or(0);
            return Content::Kept;
        }
        if left == 0 {
            return Content::TooLong;
        }
        if held > 0 {
            // The first byte that was kept is payload.
            let tail = self.tail.as_mut();
            let first = one(tail.first().copied().unwrap_or_default());
            for i in 1..tail.len() {
                if let Some([to, from]) = tail.get_mut(i - 1..=i) {
                    *to = *from;
                }
            }
            self.held -= 1;
            self.digest = wire.check_before().update(self.digest, first);
            self.count += 1;
            return Content::Released(first);
        }
        let (payload, kept) = run.split_at_checked(run.len() - Self::TAIL).unwrap_or((run, &[]));
        copy(self.tail.as_mut(), kept);
        self.held = u8::try_from(kept.len()).unwrap_or(0);
        self.digest = wire.check_before().update(self.digest, payload);
        self.count += payload.len() as u64;
        Content::Payload(payload)
    }

    /// Checks a frame that has ended.
    #[inline(always)]
    pub(super) fn check(&self, wire: &W) -> Result<(), FrameError> {
        if Self::TAIL == 0 {
            return Ok(());
        }
        if usize::from(self.held) < Self::TAIL {
            let (found, min) =
                (self.held.into(), u8::try_from(Self::TAIL).unwrap_or(u8::MAX).into());
            return Err(FrameError::TooShort { found, min });
        }
        let expected = wire.check_before().trailer(self.digest);
        if expected == self.tail {
            return Ok(());
        }
        Err(FrameError::bad_check(self.tail.as_ref(), expected.as_ref()))
    }

    /// Begins a frame, if none has begun.
    #[inline(always)]
    fn open(&mut self, wire: &W) {
        if self.phase == Phase::Boundary {
            self.phase = Phase::Frame { delivered: false };
            (self.start, self.count, self.held) = (self.pos, 0, 0);
            self.frame_limit = self.limit;
            if Self::TAIL > 0 {
                self.digest = wire.check_before().begin(&[]);
            }
        }
    }

    #[inline(always)]
    pub(super) fn consume(&mut self, mark: MarkStateOf<W>, len: usize) {
        self.mark = mark;
        self.released = 0;
        self.pos += len as u64;
    }

    /// Lets the next byte begin a frame.
    #[inline(always)]
    pub(super) fn boundary(&mut self) {
        self.phase = Phase::Boundary;
        self.mark = MarkStateOf::<W>::default();
        self.released = 0;
    }

    #[inline(always)]
    pub(super) fn piece<'a>(&mut self, bytes: &'a [u8], last: bool) -> Piece<'a, (), ()> {
        let first = self.phase == Phase::Frame { delivered: false };
        self.phase = Phase::Frame { delivered: true };
        Piece { header: first.then_some(NO_HEADER), bytes, last }
    }

    #[inline(always)]
    pub(super) fn last_piece<'a>(&mut self, bytes: &'a [u8]) -> Piece<'a, (), ()> {
        let piece = self.piece(bytes, true);
        self.boundary();
        piece
    }

    #[cold]
    pub(super) fn fail<'a>(&mut self, wire: &W, why: Why, ended: bool) -> Next<'a> {
        self.phase = Phase::Failed { why, ended };
        Err(self.latched(wire))
    }

    #[cold]
    pub(crate) fn latched(&self, _: &W) -> DecodeError {
        let Self { frame_limit: limit, pos, start: at, phase, .. } = *self;
        match phase {
            Phase::Failed { why: Why::TooLong, .. } => DecodeError::TooLong { at, limit },
            Phase::Failed { why: Why::Frame(error), .. } => DecodeError::Frame { at, error },
            _ => DecodeError::Unsynchronized { at: pos, skipped: pos - at },
        }
    }

    /// Whether the stream's end may stand for the mark of the frame that is being skipped.
    fn end_completes(&self, wire: &W) -> bool {
        let mut mark = self.mark;
        (0..=MAX_HELD)
            .map(|_| wire.end_mark().end(&mut mark))
            .find(|unit| !matches!(unit, Unit::Byte(_) | Unit::Held(_)))
            == Some(Unit::End)
    }

    /// The error of a stream that ends before a mark.
    pub(crate) fn truncated(&self) -> DecodeError {
        DecodeError::Truncated { at: self.pos, missing: 1, part: Part::Mark }
    }
}

/// Returns whether `bytes` begin with as much content, as far as this is quick to find out.
#[inline(never)]
fn is_followed<M: Mark>(mark: &M, mut state: M::State, bytes: &[u8], mut content: usize) -> bool {
    for &byte in bytes.iter().take(2 * content + 1) {
        match mark.push(&mut state, byte) {
            Unit::Nothing => {}
            Unit::Byte(_) => content -= 1,
            _ => return false,
        }
        if content == 0 {
            return true;
        }
    }
    false
}

/// Returns a static slice of this byte.
pub(super) fn one(byte: u8) -> &'static [u8] {
    let from = usize::from(byte);
    BYTES.get(from..=from).unwrap_or_default()
}
