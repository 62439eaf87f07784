//! The frames of one stream: decoding, errors, and the search after them.

use unstick::DecodeError;

use super::frames::{Begin, Label, Run, Source};
use super::names::{Place, Side};
use super::print::{At, Event, Printer, Row};
use super::shape::Shape;
use super::{Args, MAX_WHOLE};
use crate::advice::{byte_of, explain_at, guess, looks_like};
use crate::format::AnyMeta;
use crate::recipe::{First, RecipeMeta};
use crate::term::bytes::count_bytes;
use crate::term::output::Failure;
use crate::v1::without_advice;

/// The maximum length of a gap in a payload that is filled with zeros.
const MAX_FILLED: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Decoding frames.
    Decode,
    /// Searching for the next header or mark after an error.
    Search,
    /// Skipping a frame up to the next mark.
    Skip,
    /// A frame was found; the next run begins it.
    Found { skipped: u64 },
    /// After missing bytes: what comes up to the next mark is the rest of a frame.
    Rest,
    /// Nothing more is decoded.
    Done,
}

/// The frame that is being decoded.
struct OpenFrame {
    at: u64,
    label: Label,
    /// The length of the payload; `None` while it is not known.
    len: Option<u64>,
    seen: u64,
    missing: u64,
    beginning: Vec<u8>,
}

/// How much of the beginning is kept, to guess what it is.
const MAX_OPENING: usize = 64;

/// One direction of a connection, or a captured stream.
pub(crate) struct Stream<'a> {
    args: &'a Args,
    shape: Shape,
    source: Box<dyn Source>,
    /// The offset of the source's first byte.
    base: u64,
    /// The offset after the bytes that were pushed.
    pushed: u64,
    /// The first bytes.
    opening: Vec<u8>,
    /// The format that they look like, if they are no frame.
    pub(crate) looks_like: Option<&'static str>,
    state: State,
    frame: Option<OpenFrame>,
    /// The number of bytes in front of those after a gap, which began the search.
    prefixed: u64,
    /// Whether the search goes on by itself: after missing bytes.
    lenient: bool,
    /// The side that has sent it, as far as the frames tell.
    side: Option<Side>,
    pub(crate) frames: u64,
    /// The number of bytes in complete frames.
    pub(crate) whole: u64,
    pub(crate) errors: u64,
    /// The offset of the error that ended the listing.
    pub(crate) stopped: Option<u64>,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(args: &'a Args) -> Self {
        Self {
            args,
            shape: args.format,
            source: args.format.source(args.limit),
            base: 0,
            pushed: 0,
            opening: Vec::new(),
            looks_like: None,
            state: State::Decode,
            frame: None,
            prefixed: 0,
            lenient: false,
            side: None,
            frames: 0,
            whole: 0,
            errors: 0,
            stopped: None,
        }
    }

    /// Creates the stream of a connection whose beginning is not in the capture: the first error is
    /// followed by a search.
    pub(crate) fn without_beginning(args: &'a Args) -> Self {
        Self { lenient: true, ..Self::new(args) }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns the offset after what was read.
    pub(crate) fn position(&self) -> u64 {
        self.base.saturating_add(self.source.position())
    }

    /// Decodes the next bytes.
    pub(crate) fn push(
        &mut self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        input: &[u8],
    ) -> Result<(), Failure> {
        if self.pushed == self.opening.len() as u64 {
            let room = MAX_OPENING.saturating_sub(self.opening.len());
            self.opening.extend(input.iter().take(room));
        }
        self.pushed = self.pushed.saturating_add(input.len() as u64);
        // The source is borrowed by the run that it returns.
        let mut source = std::mem::replace(&mut self.source, Box::new(Nothing));
        let result = self.chunk(&mut *source, printer, place, input);
        self.source = source;
        result
    }

    fn chunk(
        &mut self,
        source: &mut dyn Source,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        mut input: &[u8],
    ) -> Result<(), Failure> {
        loop {
            match self.state {
                State::Done => return Ok(()),
                State::Search => match source.search(&mut input) {
                    Some(skipped) if self.shape.has_marks() => {
                        let at = self.base.saturating_add(source.position());
                        self.found_mark(printer, place, at, skipped)?;
                    }
                    Some(skipped) => self.state = State::Found { skipped },
                    None => return Ok(()),
                },
                // The decoder stops after the mark, so that the next frame's offset is known.
                State::Skip => match source.search(&mut input) {
                    Some(_) => self.state = State::Decode,
                    None => return Ok(()),
                },
                State::Rest => match source.decode(&mut input) {
                    Ok(Some(run)) if run.last => self.state = State::Decode,
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(()),
                    Err(_) => self.state = State::Skip,
                },
                State::Decode | State::Found { .. } => match source.decode(&mut input) {
                    Ok(Some(run)) => self.piece(printer, place, run)?,
                    Ok(None) => return Ok(()),
                    Err(error) => self.fail(source, printer, place, error)?,
                },
            }
        }
    }

    fn piece(
        &mut self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        run: Run<'_>,
    ) -> Result<(), Failure> {
        if let Some(Begin { at, label, len }) = run.begin {
            let at = self.base.saturating_add(at);
            if let (State::Found { skipped }, Some(len)) = (self.state, len) {
                self.found(printer, place, (skipped, at, len), &label)?;
            }
            if self.state == State::Done {
                return Ok(());
            }
            self.side = match &label {
                Label::Meta(AnyMeta::Recipe(RecipeMeta::Postgres(meta))) => match meta {
                    First::First(_) => Some(Side::Client),
                    First::Other(meta) if meta.kind == b'R' => Some(Side::Server),
                    First::Other(_) => self.side,
                },
                _ => self.side,
            };
            self.frame =
                Some(OpenFrame { at, label, len, seen: 0, missing: 0, beginning: Vec::new() });
        }
        if let Some(frame) = &mut self.frame {
            frame.seen += run.bytes.len() as u64;
            // A character has at most four bytes.
            let previewed = usize::from(self.args.preview) * 4 + 4;
            let max = match frame.len {
                _ if !self.args.json && !self.args.hexdump => previewed,
                Some(len) if len > MAX_WHOLE as u64 && !self.args.hexdump => previewed,
                // What is not announced may still become longer.
                _ => previewed.max(MAX_WHOLE),
            };
            let room = max.saturating_sub(frame.beginning.len());
            let held = frame.beginning.len();
            frame.beginning.extend(run.bytes.iter().take(room));
            if let Label::Meta(AnyMeta::Recipe(meta)) = frame.label {
                let added = frame.beginning.get_mut(held..).unwrap_or_default();
                meta.unmask(held as u64, added);
            }
        }
        if run.last
            && let Some(mut frame) = self.frame.take()
        {
            frame.len = Some(frame.seen);
            self.frames += 1;
            self.whole += self.base.saturating_add(run.end).saturating_sub(frame.at);
            self.row(printer, place, &frame, true)?;
        }
        Ok(())
    }

    fn row(
        &self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        frame: &OpenFrame,
        complete: bool,
    ) -> Result<(), Failure> {
        let row = Row {
            at: frame.at,
            label: &frame.label,
            len: frame.len,
            seen: frame.seen,
            missing: frame.missing,
            beginning: &frame.beginning,
            complete,
        };
        match place {
            Some(_) => printer.row(place, &row),
            None => printer.row_of(None, self.side, &row),
        }
    }

    /// Reports a decode error, and decides whether and how to continue.
    fn fail(
        &mut self,
        source: &mut dyn Source,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        error: DecodeError,
    ) -> Result<(), Failure> {
        self.errors += 1;
        if let Some(frame) = self.frame.take() {
            self.row(printer, place, &frame, false)?;
        }
        let error = error.shifted(self.base);
        let byte = byte_of(&error);
        let mut message = explain_at(&error, self.shape.wire());
        let starts_wrong =
            self.frames == 0 && (error.at() == 0 || matches!(error, DecodeError::Truncated { .. }));
        let looks = looks_like(&self.opening)
            .filter(|(name, _)| starts_wrong && !self.shape.is_named(name));
        if let Some((name, what)) = looks {
            self.looks_like = Some(name);
            message = format!(
                "{}; these bytes look like {what}: try --format {name}",
                without_advice(&message)
            );
        }
        printer.error(place, (error.at(), byte, error.code()), &message)?;
        let resync = self.args.resync || self.lenient;
        let marks = self.shape.has_marks();
        let oversize = matches!(error, DecodeError::Oversize { .. } | DecodeError::TooLong { .. });
        let ended = matches!(error, DecodeError::Truncated { .. });
        let skip = oversize && self.args.skip_oversize && (marks || source.skip_frame());
        let guessed = self.shape.wire().and_then(|wire| guess(&error, wire));
        let hint = match error {
            _ if skip => "; going on after it",
            _ if looks.is_some() => "",
            DecodeError::TooLong { .. } if !resync => "; go on after it with --skip-oversize",
            DecodeError::Oversize { .. } if !resync && guessed.is_none() => {
                "; go on after it with --skip-oversize"
            }
            DecodeError::Header { .. } if !source.can_search() => {
                "; in this format the place of the next frame cannot be found again"
            }
            _ => "",
        };
        let begun = match self.lenient {
            true => " (the capture begins within the connection, or lacks a part of it)",
            false => "",
        };
        printer.report(place, &format!("{message}{hint}{begun}"))?;
        let can_search = source.can_search() && !ended;
        self.state = match skip {
            true if marks => State::Skip,
            true => State::Decode,
            // The end of an oversize frame is known, so it needs no search.
            false if can_search && (!oversize || resync) => State::Search,
            false => State::Done,
        };
        // A stream that ended was read completely.
        if !ended && !skip && (self.state == State::Done || !resync) {
            self.stopped = Some(byte);
        }
        Ok(())
    }

    /// Reports where the next header was found. Without `--resync` this ends the listing.
    fn found(
        &mut self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        (skipped, at, len): (u64, u64, u64),
        label: &Label,
    ) -> Result<(), Failure> {
        let go_on = self.go_on();
        let skipped = skipped.saturating_sub(std::mem::take(&mut self.prefixed));
        printer.event(&Event::Resync { place: At::new(place), found: Some(at), skipped })?;
        let kind = match label {
            Label::Meta(AnyMeta::Kind(kind)) => format!(" {kind}"),
            _ => String::new(),
        };
        let frame = format!("a{kind} frame with {} of payload", count_bytes(len));
        let (from, skipped) = (at.saturating_sub(skipped), count_bytes(skipped));
        let message = if go_on {
            format!("byte {at}: going on with {frame}, {skipped} skipped from byte {from}")
        } else {
            format!(
                "byte {at}: a resync would find {frame}, {skipped} skipped; see it with --resync"
            )
        };
        printer.report(place, &message)
    }

    /// Reports where decoding goes on after a mark. Without `--resync` this ends the listing.
    fn found_mark(
        &mut self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        at: u64,
        skipped: u64,
    ) -> Result<(), Failure> {
        let go_on = self.go_on();
        let skipped = skipped.saturating_sub(std::mem::take(&mut self.prefixed));
        printer.event(&Event::Resync { place: At::new(place), found: Some(at), skipped })?;
        let (from, skipped) = (at.saturating_sub(skipped), count_bytes(skipped));
        let message = if go_on {
            format!("byte {at}: going on after a mark, {skipped} skipped from byte {from}")
        } else {
            format!(
                "byte {at}: a resync would go on after a mark, {skipped} skipped; see it with --resync"
            )
        };
        printer.report(place, &message)
    }

    /// Sets the state after a search has found something, and returns whether to go on.
    fn go_on(&mut self) -> bool {
        let go_on = self.args.resync || self.lenient;
        self.lenient = false;
        self.state = if go_on { State::Decode } else { State::Done };
        go_on
    }

    /// Takes a gap: this number of bytes is missing in the capture.
    pub(crate) fn gap(
        &mut self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        len: u64,
    ) -> Result<(), Failure> {
        let at = self.pushed;
        if self.is_done() {
            self.pushed = at.saturating_add(len);
            return Ok(());
        }
        self.errors += 1;
        printer.event(&Event::Gap { place: At::new(place), at, len })?;
        let missing = format!("byte {at}: {} missing in the capture", are(len));
        // A frame that says how long it is continues after a gap in its payload.
        if let Some(frame) = &mut self.frame
            && frame.len.is_some_and(|all| all.saturating_sub(frame.seen) >= len)
            && len <= MAX_FILLED
            && self.source.takes_any_payload()
        {
            let begun = frame.at;
            frame.missing += len;
            printer.report(
                place,
                &format!("{missing}, in the payload of the frame at byte {begun}"),
            )?;
            let zeros = [0; 4096];
            let mut left = len;
            while left > 0 {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
                self.push(printer, place, zeros.get(..n).unwrap_or_default())?;
                left -= n as u64;
            }
            return Ok(());
        }
        // What was kept of a frame is shown; that the frame is incomplete needs no other message.
        while let Ok(Some(run)) = self.source.end() {
            let run = Run { begin: run.begin, bytes: run.bytes, last: false, end: run.end };
            let (base, preview) = (self.base, usize::from(self.args.preview) * 4 + 4);
            if let Some(Begin { at, label, len }) = run.begin {
                let at = base.saturating_add(at);
                self.frame =
                    Some(OpenFrame { at, label, len, seen: 0, missing: 0, beginning: Vec::new() });
            }
            if let Some(frame) = &mut self.frame {
                frame.seen += run.bytes.len() as u64;
                frame.beginning.extend(run.bytes.iter().take(preview));
            } else {
                break;
            }
        }
        if let Some(frame) = self.frame.take() {
            self.row(printer, place, &frame, false)?;
        }
        self.pushed = at.saturating_add(len);
        self.base = self.pushed;
        self.source = self.shape.source(self.args.limit);
        if self.shape.has_marks() {
            self.state = State::Rest;
            return printer.report(place, &format!("{missing}; going on after the next mark"));
        }
        if self.source.can_search() {
            self.prefixed = self.source.begin_search().min(self.base);
            self.base -= self.prefixed;
            self.lenient = true;
            self.state = State::Search;
            let what = self.shape.searched();
            return printer.report(place, &format!("{missing}; searching for the next {what}"));
        }
        self.state = State::Done;
        self.stopped = Some(at);
        printer.report(
            place,
            &format!(
                "{missing}; in this format the place of the next frame cannot be found again, so \
                 the rest is not read"
            ),
        )
    }

    /// Ends the stream.
    pub(crate) fn end(
        &mut self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
    ) -> Result<(), Failure> {
        if self.is_done() {
            return Ok(());
        }
        let mut source = std::mem::replace(&mut self.source, Box::new(Nothing));
        let result = self.end_of(&mut *source, printer, place);
        self.source = source;
        result
    }

    fn end_of(
        &mut self,
        source: &mut dyn Source,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
    ) -> Result<(), Failure> {
        loop {
            let ended = loop {
                match source.end() {
                    Ok(Some(_)) if self.state == State::Rest => {}
                    Ok(Some(run)) => self.piece(printer, place, run)?,
                    Ok(None) => return Ok(()),
                    Err(_) if self.state == State::Rest => return Ok(()),
                    Err(error) => break error,
                }
            };
            // What seems to be a part of a frame may hold whole ones.
            if let DecodeError::Unsynchronized { at, skipped } = ended {
                match source.search_end() {
                    Some(skipped) => self.state = State::Found { skipped },
                    None => {
                        let at = self.base.saturating_add(at);
                        return self.found_nothing(printer, place, at, skipped);
                    }
                }
            } else {
                self.fail(source, printer, place, ended)?;
                match source.search_end() {
                    Some(skipped) => self.state = State::Found { skipped },
                    None => return Ok(()),
                }
            }
            self.chunk(source, printer, place, b"")?;
            if self.state == State::Done {
                return Ok(());
            }
        }
    }

    /// Reports that a search has reached the end.
    fn found_nothing(
        &self,
        printer: &mut Printer<'_>,
        place: Option<&Place>,
        at: u64,
        skipped: u64,
    ) -> Result<(), Failure> {
        let skipped = skipped.saturating_sub(self.prefixed);
        printer.event(&Event::Resync { place: At::new(place), found: None, skipped })?;
        // Nobody has asked for a search in what began with no frame at all.
        if self.stopped == Some(0) {
            return Ok(());
        }
        let (what, skipped) = (self.shape.searched(), count_bytes(skipped));
        printer
            .report(place, &format!("byte {at}: no further {what} in the {skipped} up to the end"))
    }
}

/// Formats a number of bytes with a verb: `1 byte is`, `2 bytes are`.
fn are(n: u64) -> String {
    format!("{} {}", count_bytes(n), if n == 1 { "is" } else { "are" })
}

/// A source without frames, in place of one that is in use.
struct Nothing;

impl Source for Nothing {
    fn decode<'a, 'i: 'a>(&'a mut self, _: &mut &'i [u8]) -> Result<Option<Run<'a>>, DecodeError> {
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Run<'_>>, DecodeError> {
        Ok(None)
    }

    fn position(&self) -> u64 {
        0
    }

    fn skip_frame(&mut self) -> bool {
        false
    }

    fn can_search(&self) -> bool {
        false
    }

    fn search(&mut self, _: &mut &[u8]) -> Option<u64> {
        None
    }
}
