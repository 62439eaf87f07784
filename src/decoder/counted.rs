//! The state of a decoder where a header announces the payload's length (spec, 7.2).
//!
//! It keeps the bytes of one header and three numbers, and of a check after the payload its digest.
//! Without a check the code for it is constant and compiles to nothing.

use super::phase::{Phase, View};
use super::split_at_most;
use crate::check::{Check, TrailerBuf};
use crate::error::{DecodeError, FrameError, HeaderError, Part, RecoverError};
use crate::format::{
    Format, Header, HeaderBuf, MAX_PAYLOAD_LEN, Parsed, Refusal, copy, inspect, shortest_refused,
    whole_header,
};
use crate::wire::{Decoding, KnownLength, Piece};

type HeaderOf<W> = <<W as KnownLength>::Header as Format>::HeaderBuf;
type MetaOf<W> = <<W as KnownLength>::Header as Format>::Meta;
type DigestOf<W> = <<W as KnownLength>::Check as Check>::Digest;
type TrailerOf<W> = <<W as KnownLength>::Check as Check>::Trailer;

type Next<'a, W> = Result<Option<Piece<'a, MetaOf<W>>>, DecodeError>;

#[doc(hidden)]
pub struct CountedState<W: KnownLength> {
    /// The max payload length of a frame in bytes; at most `MAX_PAYLOAD_LEN`.
    pub(super) limit: u64,
    /// The number of bytes consumed since the stream's start.
    pub(super) pos: u64,
    /// Where there is a check, its bytes count as PAYLOAD.
    pub(super) phase: Phase,
    /// The beginning of the header that is being collected or was refused; where there is a check,
    /// the header of the frame that has begun or failed.
    pub(super) header: HeaderOf<W>,
    digest: DigestOf<W>,
    /// The bytes found where the check must be.
    trailer: TrailerOf<W>,
}

impl<W: KnownLength> Clone for CountedState<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: KnownLength> Copy for CountedState<W> {}

/// The result of the outlined part of `decode`.
enum Step {
    /// The input is empty.
    Empty,
    /// The next byte begins a frame.
    Boundary,
    /// A header is complete in the decoder's own bytes.
    Header,
    /// The stream has failed.
    Failed,
}

impl<W: KnownLength> Decoding<W> for CountedState<W> {
    fn new(wire: &W, limit: u64) -> Self {
        Self {
            limit,
            pos: 0,
            phase: Phase::BOUNDARY,
            header: HeaderOf::<W>::ZERO,
            digest: wire.check_after().begin(&[]),
            trailer: TrailerOf::<W>::ZERO,
        }
    }

    fn limit(&self) -> u64 {
        match self.phase.view() {
            View::Failed { next: Some(next), .. } => next,
            _ => self.limit,
        }
    }

    fn set_limit(&mut self, limit: u64) {
        match self.phase.view() {
            View::Failed { held, .. } => self.phase = Phase::failed_before(held, limit),
            _ => self.limit = limit,
        }
    }

    #[inline(always)]
    fn position(&self) -> u64 {
        self.pos
    }

    #[inline(always)]
    fn error(&self, wire: &W) -> Option<DecodeError> {
        self.phase.has_failed().then(|| self.latched(wire))
    }

    #[inline(always)]
    fn for_each<'a>(
        &mut self,
        wire: &W,
        mut input: &'a [u8],
        mut each: impl FnMut(Piece<'a, MetaOf<W>>),
    ) -> Result<(), DecodeError> {
        if Self::TRAILER > 0 {
            while let Some(piece) = self.decode(wire, &mut input)? {
                each(piece);
            }
            return Ok(());
        }
        if self.phase.is_payload() && self.phase != Phase::BOUNDARY && !input.is_empty() {
            each(self.payload(None, input, &mut input));
            if input.is_empty() {
                return Ok(());
            }
        }
        loop {
            if self.phase == Phase::BOUNDARY {
                let before = input.len();
                input = self.whole_frames(wire, input, &mut each);
                self.pos += (before - input.len()) as u64;
            }
            match self.decode(wire, &mut input)? {
                Some(piece) => each(piece),
                None => return Ok(()),
            }
        }
    }

    #[inline(always)]
    fn decode<'a>(&mut self, wire: &W, input: &mut &'a [u8]) -> Next<'a, W> {
        let bytes = *input;
        if bytes.is_empty() {
            return self.error(wire).map_or(Ok(None), Err);
        }
        if self.phase == Phase::BOUNDARY {
            if let Some((header, rest)) = self.whole_header(wire, bytes) {
                return self.first_piece(wire, header, bytes, rest, input);
            }
        } else if self.phase.is_payload() {
            if Self::TRAILER > 0 {
                return self.checked_payload(wire, None, input);
            }
            return Ok(Some(self.payload(None, bytes, input)));
        }
        self.decode_slowly(wire, input)
    }

    fn finish(&self, wire: &W) -> Result<(), DecodeError> {
        let at = self.pos;
        match self.phase.view() {
            View::Payload { remaining: 0 } => Ok(()),
            View::Payload { remaining } => {
                let in_check = remaining <= Self::TRAILER as u64;
                let part = if in_check { Part::Trailer } else { Part::Payload };
                Err(DecodeError::Truncated { at, missing: remaining, part })
            }
            View::Skip { remaining } => {
                // The counter cannot hold a length over `MAX_PAYLOAD_LEN`; the header can.
                let over = match self.inspect(wire, self.header.as_ref(), 0) {
                    Err(Refusal::Oversize { len, .. }) => {
                        len.saturating_add(Self::TRAILER as u64).saturating_sub(MAX_PAYLOAD_LEN)
                    }
                    _ => 0,
                };
                let missing = remaining + over;
                let in_check = missing <= Self::TRAILER as u64;
                let part = if in_check { Part::Trailer } else { Part::Payload };
                Err(DecodeError::Truncated { at, missing, part })
            }
            View::Header { held, need } => {
                let missing = need.saturating_sub(held) as u64;
                Err(DecodeError::Truncated { at, missing, part: Part::Header })
            }
            View::Failed { .. } | View::Search { .. } => Err(self.latched(wire)),
        }
    }

    fn is_at_boundary(&self) -> bool {
        self.phase == Phase::BOUNDARY
    }

    fn needed(&self, wire: &W) -> u64 {
        match self.phase.view() {
            View::Payload { remaining: 0 } => match self.inspect(wire, &[], 0) {
                Ok(Parsed::Need(need)) => need as u64,
                Ok(Parsed::Header(header)) => {
                    header.frame_len().saturating_add(Self::TRAILER as u64)
                }
                Err(_) => 1,
            },
            View::Payload { remaining } | View::Skip { remaining } => remaining,
            View::Header { held, need } => need.saturating_sub(held) as u64,
            View::Failed { .. } | View::Search { .. } => 0,
        }
    }

    fn reset(&mut self) {
        self.limit = self.limit();
        self.pos = 0;
        self.phase = Phase::BOUNDARY;
    }

    fn skip_frame(&mut self, wire: &W) -> Result<(), RecoverError> {
        match self.error(wire) {
            None => match self.phase.view() {
                View::Payload { remaining: remaining @ 1.. } => {
                    // An earlier refused header would count in `finish`.
                    self.header = HeaderOf::<W>::ZERO;
                    self.phase = Phase::skip(remaining);
                    Ok(())
                }
                _ => Err(RecoverError::NotFailed),
            },
            Some(DecodeError::Oversize { len, .. }) => {
                self.limit = self.limit();
                let rest = len.saturating_add(Self::TRAILER as u64);
                self.phase = Phase::skip(rest.min(MAX_PAYLOAD_LEN));
                Ok(())
            }
            Some(DecodeError::Frame { .. }) => {
                self.limit = self.limit();
                self.phase = Phase::BOUNDARY;
                Ok(())
            }
            Some(error) => Err(RecoverError::Failed(error)),
        }
    }
}

impl<W: KnownLength> CountedState<W> {
    /// The length of the check in bytes; zero if there is none.
    const TRAILER: usize = TrailerOf::<W>::LEN;

    #[inline(always)]
    fn whole_header<'a>(&self, wire: &W, bytes: &'a [u8]) -> Option<(Header<MetaOf<W>>, &'a [u8])> {
        whole_header(wire.header_format(), self.limit, bytes)
    }

    pub(super) fn inspect(
        &self,
        wire: &W,
        bytes: &[u8],
        seen: usize,
    ) -> Result<Parsed<MetaOf<W>>, Refusal> {
        inspect(wire.header_format(), self.limit, bytes, seen)
    }

    /// Returns the first piece of a frame. `bytes` begin with its header, and `rest` follows that.
    #[inline(always)]
    fn first_piece<'a>(
        &mut self,
        wire: &W,
        header: Header<MetaOf<W>>,
        bytes: &'a [u8],
        rest: &'a [u8],
        input: &mut &'a [u8],
    ) -> Next<'a, W> {
        if Self::TRAILER > 0 {
            return match self.whole_checked(wire, &header, bytes) {
                Some((payload, after)) => {
                    self.pos += (bytes.len() - after.len()) as u64;
                    *input = after;
                    Ok(Some(Piece { header: Some(header), bytes: payload, last: true }))
                }
                None => self.open_checked(wire, header, bytes, input),
            };
        }
        Ok(Some(self.payload(Some(header), rest, input)))
    }

    /// Calls `each` with the whole frames that `input` begins with, and returns the bytes after them.
    #[inline(always)]
    fn whole_frames<'a>(
        &self,
        wire: &W,
        mut input: &'a [u8],
        each: &mut impl FnMut(Piece<'a, MetaOf<W>>),
    ) -> &'a [u8] {
        while let Some((header, _)) = self.whole_header(wire, input) {
            let Ok(len) = usize::try_from(header.payload_len) else { break };
            let Some(frame_len) = header.header_len.checked_add(len) else { break };
            let known =
                HeaderOf::<W>::split(input).filter(|_| header.header_len == HeaderOf::<W>::LEN);
            let mut next = input.split_at_checked(frame_len);
            // Equal headers come in runs: comparing their bytes is cheaper than decoding them again.
            loop {
                let Some((frame, after)) = next else { return input };
                let Some(bytes) = frame.get(header.header_len..) else { return input };
                input = after;
                each(Piece { header: Some(header.clone()), bytes, last: true });
                next = input.split_at_checked(frame_len);
                // A shorter rest is left to `decode`, even if it is a whole frame.
                let Some((frame, _)) = next else { return input };
                match HeaderOf::<W>::split(frame) {
                    Some((found, _)) if known.is_some_and(|(known, _)| found == known) => {}
                    _ => break,
                }
            }
        }
        input
    }

    /// Returns the next piece of a frame, with `header` if it is the first one; `bytes` follow it.
    #[cfg_attr(not(all(feature = "small", not(feature = "std"))), inline(always))]
    #[cfg_attr(all(feature = "small", not(feature = "std")), inline(never))]
    fn payload<'a>(
        &mut self,
        header: Option<Header<MetaOf<W>>>,
        bytes: &'a [u8],
        input: &mut &'a [u8],
    ) -> Piece<'a, MetaOf<W>> {
        let (due, header_len) = match &header {
            Some(header) => (header.payload_len, header.header_len as u64),
            None => (self.phase.remaining(), 0),
        };
        let whole = usize::try_from(due).ok().and_then(|len| bytes.split_at_checked(len));
        if let Some((bytes, rest)) = whole {
            self.pos += header_len + due;
            self.phase = Phase::BOUNDARY;
            *input = rest;
            return Piece { header, bytes, last: true };
        }
        let here = bytes.len() as u64;
        self.pos += header_len + here;
        self.phase = Phase::payload(due - here);
        *input = &[];
        Piece { header, bytes, last: false }
    }

    /// Decodes what the fast paths do not cover.
    #[inline(always)]
    fn decode_slowly<'a>(&mut self, wire: &W, input: &mut &'a [u8]) -> Next<'a, W> {
        loop {
            let bytes = *input;
            let (used, step) = self.advance(wire, bytes);
            let rest = bytes.get(used..).unwrap_or_default();
            *input = rest;
            match step {
                Step::Empty => return Ok(None),
                Step::Boundary => {
                    if let Some((header, after)) = self.whole_header(wire, rest) {
                        return self.first_piece(wire, header, rest, after, input);
                    }
                }
                Step::Header => {
                    let View::Header { held, .. } = self.phase.view() else { continue };
                    if let Some((header, _)) = self.whole_header(wire, self.held(held)) {
                        if Self::TRAILER > 0 {
                            return self.begin_checked(wire, header, input);
                        }
                        self.pos -= held as u64; // `payload` counts the header
                        return Ok(Some(self.payload(Some(header), rest, input)));
                    }
                    self.phase = Phase::failed(held);
                    return Err(self.latched(wire));
                }
                Step::Failed => return Err(self.latched(wire)),
            }
        }
    }

    /// Consumes bytes that yield no piece, and returns their number and the next step.
    #[inline(never)]
    fn advance(&mut self, wire: &W, bytes: &[u8]) -> (usize, Step) {
        match self.phase.view() {
            View::Skip { remaining } => {
                let (dropped, rest) = split_at_most(bytes, remaining);
                self.pos += dropped.len() as u64;
                self.phase = Phase::skip(remaining - dropped.len() as u64);
                (dropped.len(), if rest.is_empty() { Step::Empty } else { Step::Boundary })
            }
            View::Header { held, need } => self.collect(wire, bytes, held, need),
            View::Payload { .. } => self.collect(wire, bytes, 0, 1),
            View::Failed { .. } | View::Search { .. } => (0, Step::Failed),
        }
    }

    /// Takes header bytes until the header is complete or refused, or the input empty.
    fn collect(
        &mut self,
        wire: &W,
        bytes: &[u8],
        mut held: usize,
        mut need: usize,
    ) -> (usize, Step) {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                self.phase = Phase::header(held, need);
                return (used, Step::Empty);
            }
            // No header ends before `need` bytes, so none of these belongs to a payload.
            let (taken, _) = split_at_most(rest, need.saturating_sub(held).max(1) as u64);
            copy(self.header.as_mut().get_mut(held..).unwrap_or_default(), taken);
            let now = held + taken.len();
            match self.inspect(wire, self.held(now), held) {
                Ok(Parsed::Header(header)) => {
                    self.pos += taken.len() as u64;
                    if header.header_len != now {
                        // A header that is shorter than the last `Need` breaks the format's laws.
                        self.phase = Phase::failed(now);
                        return (used + taken.len(), Step::Failed);
                    }
                    self.phase = Phase::header(now, now);
                    return (used + taken.len(), Step::Header);
                }
                Ok(Parsed::Need(more)) => {
                    self.pos += taken.len() as u64;
                    used += taken.len();
                    held = now;
                    need = more;
                }
                Err(_) => {
                    let refused =
                        shortest_refused(wire.header_format(), self.limit, self.held(now), held);
                    self.pos += (refused - held) as u64;
                    self.phase = Phase::failed(refused);
                    return (used + refused - held, Step::Failed);
                }
            }
        }
    }

    /// Returns the payload of a whole and valid frame with a check, which `bytes` begin with, and the
    /// bytes after it.
    #[inline(always)]
    fn whole_checked<'a>(
        &self,
        wire: &W,
        header: &Header<MetaOf<W>>,
        bytes: &'a [u8],
    ) -> Option<(&'a [u8], &'a [u8])> {
        let (head, rest) = bytes.split_at_checked(header.header_len)?;
        let (payload, rest) = rest.split_at_checked(usize::try_from(header.payload_len).ok()?)?;
        let (trailer, after) = rest.split_at_checked(Self::TRAILER)?;
        is_valid(wire.check_after(), head, payload, trailer).then_some((payload, after))
    }

    /// Returns the first piece of another frame with a check, whose header `bytes` begin with.
    #[inline(never)]
    fn open_checked<'a>(
        &mut self,
        wire: &W,
        header: Header<MetaOf<W>>,
        bytes: &'a [u8],
        input: &mut &'a [u8],
    ) -> Next<'a, W> {
        let (head, rest) = bytes.split_at_checked(header.header_len).unwrap_or((bytes, &[]));
        copy(self.header.as_mut(), head);
        self.pos += head.len() as u64;
        *input = rest;
        self.begin_checked(wire, header, input)
    }

    /// Returns the first piece of a frame with a check, whose header is in the decoder's own bytes.
    fn begin_checked<'a>(
        &mut self,
        wire: &W,
        header: Header<MetaOf<W>>,
        input: &mut &'a [u8],
    ) -> Next<'a, W> {
        self.digest = wire.check_after().begin(self.held(header.header_len));
        self.phase = Phase::payload(header.payload_len + Self::TRAILER as u64);
        self.checked_payload(wire, Some(header), input)
    }

    /// Returns the next piece of a frame with a check: the payload that has arrived, and the frame's
    /// end once the check has.
    ///
    /// The payload is delivered before the check fails, so what a failed frame delivers does not
    /// depend on the cuts.
    #[inline(never)]
    fn checked_payload<'a>(
        &mut self,
        wire: &W,
        header: Option<Header<MetaOf<W>>>,
        input: &mut &'a [u8],
    ) -> Next<'a, W> {
        let (check, trailer_len) = (wire.check_after(), Self::TRAILER as u64);
        let due = self.phase.remaining();
        let payload_due = due.saturating_sub(trailer_len);
        let (bytes, rest) = split_at_most(input, payload_due);
        let here = bytes.len() as u64;
        self.digest = check.update(self.digest, bytes);
        self.pos += here;
        self.phase = Phase::payload(due - here);
        *input = rest;
        let delivers = !bytes.is_empty() || header.is_some();
        let piece = |header, last| Ok(Some(Piece { header, bytes, last }));
        if here < payload_due {
            return if delivers { piece(header, false) } else { Ok(None) };
        }
        let missing = due - here;
        let (found, after) = split_at_most(rest, missing);
        let held = usize::try_from(trailer_len - missing).unwrap_or(0);
        copy(self.trailer.as_mut().get_mut(held..).unwrap_or_default(), found);
        if (found.len() as u64) < missing {
            self.pos += found.len() as u64;
            self.phase = Phase::payload(missing - found.len() as u64);
            *input = after;
            return if delivers { piece(header, false) } else { Ok(None) };
        }
        let valid = check.trailer(self.digest) == self.trailer;
        if !valid && delivers {
            return piece(header, false); // the next call returns the error
        }
        self.pos += missing;
        *input = after;
        if valid {
            self.phase = Phase::BOUNDARY;
            return piece(header, true);
        }
        // The held bytes are a valid header, so what is invalid is the check.
        let held = match self.inspect(wire, self.header.as_ref(), 0) {
            Ok(Parsed::Header(header)) => header.header_len,
            _ => 0,
        };
        self.phase = Phase::failed(held);
        Err(self.latched(wire))
    }

    /// Returns the first `len` of the decoder's own header bytes.
    #[inline]
    pub(super) fn held(&self, len: usize) -> &[u8] {
        self.header.as_ref().get(..len).unwrap_or_default()
    }

    /// Computes the error from the refused bytes, so that a latched error needs no memory.
    #[cold]
    fn latched(&self, wire: &W) -> DecodeError {
        let pos = self.pos;
        match self.phase.view() {
            View::Search { held, skipped } => {
                DecodeError::Unsynchronized { at: pos, skipped: skipped + held as u64 }
            }
            View::Failed { held, .. } => {
                let at = pos - held as u64;
                match self.inspect(wire, self.held(held), 0) {
                    Err(refusal) => refusal.at(at),
                    Ok(Parsed::Header(header)) if Self::TRAILER > 0 => {
                        let frame_len = header.frame_len().saturating_add(Self::TRAILER as u64);
                        let expected = wire.check_after().trailer(self.digest);
                        let error = FrameError::bad_check(self.trailer.as_ref(), expected.as_ref());
                        DecodeError::Frame { at: pos.saturating_sub(frame_len), error }
                    }
                    Ok(_) => Refusal::Header(HeaderError::BrokenFormat).at(at),
                }
            }
            _ => DecodeError::Header { at: pos, error: HeaderError::BrokenFormat },
        }
    }
}

/// Whether the trailer is the check of a whole frame.
#[inline]
pub(crate) fn is_valid<C: Check>(check: &C, header: &[u8], payload: &[u8], trailer: &[u8]) -> bool {
    check.trailer(check.update(check.begin(header), payload)).as_ref() == trailer
}
