//! Lists the frames of a stream that arrives in pieces, as `unstick inspect` does.

use unstick::DecodeError;
use unstick_session::message::Code;

use crate::advice::{byte_of, explain_at, guess, looks_like};
use crate::format::AnyMeta;
use crate::inspect::frames::{Label, Run, Source};
use crate::inspect::names::Side;
use crate::inspect::shape::{self, Shape};
use crate::recipe::{First, RecipeMeta};
use crate::term::preview::preview;
use crate::v1::{code_name, describe, without_advice};

/// How many characters of a payload are shown.
const PREVIEW: usize = 60;
/// How much of the beginning is kept, to guess what it is.
const MAX_OPENING: usize = 64;

/// A frame, or its beginning if the stream ends inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The stream offset of the frame's first byte.
    pub(crate) at: u64,
    /// The stream offset after its last byte, as far as it was decoded.
    pub(crate) end: u64,
    /// Its kind, if the format has kinds.
    pub(crate) kind: Option<String>,
    /// What its header says in addition to the length.
    pub(crate) header: Option<String>,
    /// The length of the payload; `None` if it is not announced, and the frame is incomplete.
    pub(crate) len: Option<u64>,
    pub(crate) payload: Vec<u8>,
    pub(crate) preview: String,
    /// What the payload means, if its kind says so.
    pub(crate) meaning: Option<String>,
    pub(crate) complete: bool,
}

/// Why a stream cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The offset of the failed frame's first byte; if the stream has ended too early, of its end.
    pub(crate) at: u64,
    /// The offset of the byte that caused the error.
    pub(crate) byte: u64,
    pub(crate) code: u16,
    pub(crate) name: &'static str,
    pub(crate) message: String,
}

/// What is found in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Frame(Frame),
    Error(Failure),
    /// After an error, decoding goes on at this offset; `None` if it does not up to the end.
    Search {
        found: Option<u64>,
        skipped: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Decode,
    /// Searching for the next header, frame or mark after an error.
    Search,
    /// Skipping a frame up to the next mark.
    Skip,
    /// A frame was found; the next run begins it.
    Found {
        skipped: u64,
    },
    Done,
}

/// The frame that is being decoded.
struct Open {
    at: u64,
    end: u64,
    label: Label,
    len: Option<u64>,
    payload: Vec<u8>,
}

/// A stream.
pub(crate) struct Listing {
    shape: Shape,
    source: Box<dyn Source>,
    /// Whether decoding goes on after an error.
    goes_on: bool,
    state: State,
    open: Option<Open>,
    opening: Vec<u8>,
    frames: u64,
    /// The side that has sent the stream, as far as the frames tell.
    side: Option<Side>,
    events: Vec<Event>,
}

impl Listing {
    pub(crate) fn new(shape: Shape, limit: Option<u64>, goes_on: bool) -> Self {
        Self {
            shape,
            source: shape.source(limit),
            goes_on,
            state: State::Decode,
            open: None,
            opening: Vec::new(),
            frames: 0,
            side: None,
            events: Vec::new(),
        }
    }

    /// Decodes the next bytes, and returns what they complete.
    pub(crate) fn push(&mut self, mut input: &[u8]) -> Vec<Event> {
        let room = MAX_OPENING.saturating_sub(self.opening.len());
        self.opening.extend(input.iter().take(room));
        self.chunk(&mut input);
        std::mem::take(&mut self.events)
    }

    /// Ends the stream, and returns what that brings.
    pub(crate) fn end(&mut self) -> Vec<Event> {
        self.ended();
        std::mem::take(&mut self.events)
    }

    fn chunk(&mut self, input: &mut &[u8]) {
        // The source is borrowed by the run that it returns.
        let mut source = std::mem::replace(&mut self.source, Box::new(Nothing));
        self.decode(&mut *source, input);
        self.source = source;
    }

    fn decode(&mut self, source: &mut dyn Source, input: &mut &[u8]) {
        loop {
            match self.state {
                State::Done => return,
                State::Search => match source.search(input) {
                    Some(skipped) if self.shape.has_marks() => {
                        self.state = State::Decode;
                        let found = Some(source.position());
                        self.events.push(Event::Search { found, skipped });
                    }
                    Some(skipped) => self.state = State::Found { skipped },
                    None => return,
                },
                State::Skip => match source.search(input) {
                    Some(_) => self.state = State::Decode,
                    None => return,
                },
                State::Decode | State::Found { .. } => match source.decode(input) {
                    Ok(Some(run)) => self.run(run),
                    Ok(None) => return,
                    Err(error) => self.fail(source, error),
                },
            }
        }
    }

    fn run(&mut self, run: Run<'_>) {
        if let Some(begin) = run.begin {
            if let State::Found { skipped } = self.state {
                self.state = State::Decode;
                self.events.push(Event::Search { found: Some(begin.at), skipped });
            }
            self.side = match &begin.label {
                Label::Meta(AnyMeta::Recipe(RecipeMeta::Postgres(meta))) => match meta {
                    First::First(_) => Some(Side::Client),
                    First::Other(meta) if meta.kind == b'R' => Some(Side::Server),
                    First::Other(_) => self.side,
                },
                _ => self.side,
            };
            self.open = Some(Open {
                at: begin.at,
                end: run.end,
                label: begin.label,
                len: begin.len,
                payload: Vec::new(),
            });
        }
        if let Some(open) = &mut self.open {
            let held = open.payload.len();
            open.payload.extend_from_slice(run.bytes);
            open.end = run.end;
            if let Label::Meta(AnyMeta::Recipe(meta)) = open.label {
                meta.unmask(held as u64, open.payload.get_mut(held..).unwrap_or_default());
            }
        }
        if run.last {
            self.close(true);
        }
    }

    /// Takes the open frame, and lists it.
    fn close(&mut self, complete: bool) {
        let Some(Open { at, end, label, len, payload }) = self.open.take() else { return };
        self.frames += u64::from(complete);
        let seen = payload.len() as u64;
        let len = if complete { Some(seen) } else { len };
        let kind = match &label {
            Label::Meta(AnyMeta::Kind(kind)) => Some(*kind),
            _ => None,
        };
        let header = if kind.is_none() { shape::text(&label, self.side) } else { None };
        let whole = len == Some(seen);
        self.events.push(Event::Frame(Frame {
            at,
            end,
            kind: kind.map(|kind| kind.to_string()),
            header,
            len,
            preview: preview(&payload, len.unwrap_or(seen), PREVIEW),
            meaning: kind.filter(|_| whole).and_then(|kind| describe(kind, &payload, PREVIEW)),
            payload,
            complete,
        }));
    }

    /// Lists an error, and decides how to go on.
    fn fail(&mut self, source: &mut dyn Source, error: DecodeError) {
        let ended = matches!(error, DecodeError::Truncated { .. });
        if ended {
            self.close(false);
        }
        // How much of a frame that is refused came before that depends on the cuts.
        self.open = None;
        let wire = self.shape.wire();
        let mut message = explain_at(&error, wire);
        let starts_wrong = self.frames == 0 && (error.at() == 0 || ended);
        let looks = looks_like(&self.opening)
            .filter(|(name, _)| starts_wrong && !self.shape.is_named(name));
        if let Some((name, what)) = looks {
            message = format!(
                "{}; these bytes look like {what}: try --format {name}",
                without_advice(&message)
            );
        }
        let oversize = matches!(error, DecodeError::Oversize { .. } | DecodeError::TooLong { .. });
        let marks = self.shape.has_marks();
        let skip = oversize && self.goes_on && (marks || source.skip_frame());
        let guessed = wire.and_then(|wire| guess(&error, wire));
        let is_lost = matches!(error, DecodeError::Header { .. }) && !source.can_search();
        if is_lost && looks.is_none() && guessed.is_none() {
            message.push_str("; in this format the place of the next frame cannot be found again");
        }
        let (at, byte, code) = (error.at(), byte_of(&error), error.code());
        let name = code_name(Code(code));
        self.events.push(Event::Error(Failure { at, byte, code, name, message }));
        self.state = match skip {
            true if marks => State::Skip,
            true => State::Decode,
            false if source.can_search() && !ended && self.goes_on => State::Search,
            false => State::Done,
        };
    }

    fn ended(&mut self) {
        while self.state != State::Done {
            let mut source = std::mem::replace(&mut self.source, Box::new(Nothing));
            let again = self.end_once(&mut *source);
            self.source = source;
            if !again {
                break;
            }
            self.chunk(&mut &[][..]);
        }
        self.state = State::Done;
    }

    /// Ends the source. Returns whether what seemed to be a part of a frame may hold whole ones.
    fn end_once(&mut self, source: &mut dyn Source) -> bool {
        let error = loop {
            match source.end() {
                Ok(Some(run)) => self.run(run),
                Ok(None) => return false,
                Err(error) => break error,
            }
        };
        let lost = match error {
            DecodeError::Unsynchronized { skipped, .. } => Some(skipped),
            error => {
                self.fail(source, error);
                None
            }
        };
        if !self.goes_on && lost.is_none() {
            return false;
        }
        match (source.search_end(), lost) {
            (Some(skipped), _) => {
                self.state = State::Found { skipped };
                true
            }
            (None, Some(skipped)) => {
                self.events.push(Event::Search { found: None, skipped });
                false
            }
            (None, None) => false,
        }
    }
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
