//! `unstick inspect`: lists the frames of a captured byte stream.
//!
//! The stream is read in chunks, and of a payload only the beginning is kept, so a capture and its
//! frames may be larger than memory.

mod dump;
mod frames;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use serde::Serialize;
use unstick::{DecodeError, Hdlc, HeaderError, Marked};
use unstick_session::message::Code;

use crate::advice::{explain, guess};
use crate::format::{AnyFormat, AnyMeta, FramingArgs};
use crate::shown::Content;
use crate::signals::exit_on_signal;
use crate::term::bytes::{count, count_bytes};
use crate::term::output::{Failure, Out, json, note, print_error};
use crate::term::preview::{preview, unquoted};
use crate::v1;
use crate::wire::AnyWire;
use dump::DumpReader;
use frames::{Begin, Kept, Run, Source, Streamed};

const CHUNK_LEN: usize = 64 << 10;
/// The maximum length of a payload that `--json` shows whole.
const MAX_WHOLE: usize = 64 << 10;

/// List the frames of a captured byte stream, and say where it goes wrong.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The capture; standard input if there is none, or `-`.
    file: Option<PathBuf>,
    #[command(flatten)]
    framing: FramingArgs,
    /// The input is hexadecimal text: `f5 01`, `0xf5,0x01`, `f5:01`, or what `xxd` and
    /// `hexdump -vC` print.
    #[arg(long)]
    hex: bool,
    /// Go on after an error: with the next bytes that are a header (v1), with the next whole frame
    /// whose check is right (v2, chunked, mavlink, modbus-rtu-request, modbus-rtu-response,
    /// netstring, resp, ubx), or after the next mark (lines, crlf, nul, delim:, cobs, slip, hdlc).
    #[arg(long)]
    resync: bool,
    /// Go on after a frame that is over the limit.
    #[arg(long)]
    skip_oversize: bool,
    /// How many characters of each payload to show.
    #[arg(long, value_name = "CHARS", default_value_t = 60)]
    preview: u16,
    /// One JSON object a line, for scripts: payloads of up to 64 KiB whole, as `text` or `hex`, and
    /// of larger ones the beginning as `preview`.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let framing = &args.framing;
    if args.resync && framing.format.format().is_some_and(|format| !format.is_v1()) {
        return Err(Failure::Usage(
            "only v1 headers can be found again, frames with a check, and marks: this format has \
             none of them; leave out --resync"
                .to_owned(),
        ));
    }
    exit_on_signal(|| ())?;
    let input = Input::open(args)?;
    let mut source: Box<dyn Source> = match framing.format {
        AnyWire::Format(AnyFormat::V1(format)) => {
            Box::new(Streamed::v1(framing.inspecting(format)))
        }
        AnyWire::Format(format) => Box::new(Streamed::format(framing.inspecting(format))),
        AnyWire::Mark(mark) => {
            Box::new(Streamed::mark(framing.inspecting(Marked::new(mark.of_file()))))
        }
        AnyWire::Hdlc => Box::new(Streamed::hdlc(framing.inspecting(Hdlc::new()))),
        AnyWire::Checked(checked) => match checked.check_len() {
            1 => Box::new(Kept::new(framing.inspecting(checked.wire::<1>()))),
            2 => Box::new(Kept::new(framing.inspecting(checked.wire::<2>()))),
            _ => Box::new(Kept::new(framing.inspecting(checked.wire::<4>()))),
        },
    };
    Inspector::new(args).run(&mut *source, input)
}

/// The source of the bytes: a file or standard input, binary or hexadecimal.
struct Input {
    source: Box<dyn Read>,
    name: String,
    hex: Option<DumpReader>,
    text: Vec<u8>,
}

impl Input {
    fn open(args: &Args) -> Result<Self, Failure> {
        let hex = args.hex.then(DumpReader::new);
        let (source, name): (Box<dyn Read>, _) = match &args.file {
            Some(path) if path.as_os_str() != "-" => {
                let name = path.display().to_string();
                let file = File::open(path)
                    .map_err(|error| Failure::job(format!("cannot open {name}: {error}")))?;
                (Box::new(file), name)
            }
            _ => {
                let stdin = io::stdin();
                if stdin.is_terminal() {
                    note("reading from the terminal; end with Ctrl-D, or give a file");
                }
                (Box::new(stdin), "standard input".to_owned())
            }
        };
        Ok(Self { source, name, hex, text: vec![0; CHUNK_LEN] })
    }

    /// Replaces `chunk` with the next bytes; it is empty at the end.
    fn next(&mut self, chunk: &mut Vec<u8>) -> Result<(), Failure> {
        chunk.clear();
        loop {
            let n = match self.source.read(&mut self.text) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failure::job(format!("cannot read {}: {error}", self.name)));
                }
            };
            let read = self.text.get(..n).unwrap_or_default();
            let Some(hex) = &mut self.hex else {
                chunk.extend_from_slice(read);
                return Ok(());
            };
            let parsed = if n == 0 { hex.finish(chunk) } else { hex.push(read, chunk) };
            parsed.map_err(|error| Failure::job(format!("{}, {error}", self.name)))?;
            if n == 0 || !chunk.is_empty() {
                return Ok(());
            }
        }
    }
}

struct Inspector<'a> {
    args: &'a Args,
    out: Out,
    state: State,
    frame: Option<OpenFrame>,
    frames: u64,
    /// The number of bytes in complete frames.
    whole: u64,
    errors: u64,
    /// The offset of the error that ended the listing.
    stopped: Option<u64>,
}

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
    /// Nothing more is decoded.
    Done,
}

/// The frame that is being decoded.
struct OpenFrame {
    at: u64,
    meta: AnyMeta,
    /// The length of the payload; `None` while it is not known.
    len: Option<u64>,
    seen: u64,
    beginning: Vec<u8>,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum InspectEvent<'a> {
    Frame {
        at: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        header: Option<String>,
        /// Missing if the stream ends in the frame, or fails, and the length is not announced.
        #[serde(skip_serializing_if = "Option::is_none")]
        len: Option<u64>,
        /// The bytes of the payload that are in the capture: less than `len` if the stream ends in
        /// the frame.
        arrived: u64,
        /// The payload, if it is small enough.
        #[serde(flatten)]
        content: Option<Content<'a>>,
        /// The beginning of a larger one.
        #[serde(skip_serializing_if = "Option::is_none")]
        preview: Option<String>,
        /// The meaning of the payload, if its kind defines its contents.
        #[serde(skip_serializing_if = "Option::is_none")]
        meaning: Option<String>,
    },
    Error {
        /// The frame's first byte, or the end of the stream.
        at: u64,
        /// The byte that caused the error.
        byte: u64,
        code: u16,
        name: &'static str,
        message: &'a str,
    },
    Resync {
        found: Option<u64>,
        skipped: u64,
    },
    End {
        frames: u64,
        errors: u64,
        bytes: u64,
    },
}

/// Returns the stream offset of the byte that caused the error.
fn byte_of(error: &DecodeError) -> u64 {
    let index = match error {
        DecodeError::Header { error, .. } => match error {
            HeaderError::UnsupportedVersion { .. } => 1,
            HeaderError::InvalidKind => 2,
            HeaderError::BadCheck { .. } => 7,
            _ => 0,
        },
        _ => 0,
    };
    error.at().saturating_add(index)
}

impl<'a> Inspector<'a> {
    fn new(args: &'a Args) -> Self {
        Self {
            args,
            out: Out::new(),
            state: State::Decode,
            frame: None,
            frames: 0,
            whole: 0,
            errors: 0,
            stopped: None,
        }
    }

    fn run(mut self, source: &mut dyn Source, input: Input) -> Result<(), Failure> {
        match self.list(source, input) {
            // Nobody reads the rest, so it is not read either. What was found is told.
            Err(Failure::OutputClosed) if self.errors > 0 => Err(Failure::Reported),
            result => result,
        }
    }

    fn list(&mut self, source: &mut dyn Source, mut input: Input) -> Result<(), Failure> {
        let mut headed = false;
        let mut chunk = Vec::with_capacity(CHUNK_LEN);
        while self.state != State::Done {
            if let Err(failure) = input.next(&mut chunk) {
                self.out.flush()?;
                return Err(failure);
            }
            // Only after the first read has succeeded.
            if !headed {
                self.heading()?;
                headed = true;
            }
            if chunk.is_empty() {
                self.end_of_stream(source)?;
                break;
            }
            self.chunk(source, &chunk)?;
            self.out.flush()?;
        }
        let (frames, errors, bytes) = (self.frames, self.errors, source.position());
        if self.args.json {
            self.out.line(json(&InspectEvent::End { frames, errors, bytes }))?;
        } else {
            let frames = count(frames, "whole frame");
            match self.stopped {
                Some(at) => {
                    let whole = count_bytes(self.whole);
                    self.out.line(format_args!("{frames} ({whole}); stopped at byte {at}"))?;
                }
                None => self.out.line(format_args!("{frames}, {} read", count_bytes(bytes)))?,
            }
        }
        self.out.flush()?;
        if errors == 0 { Ok(()) } else { Err(Failure::Reported) }
    }

    fn chunk(&mut self, source: &mut dyn Source, mut input: &[u8]) -> Result<(), Failure> {
        loop {
            match self.state {
                State::Done => return Ok(()),
                State::Search => match source.search(&mut input) {
                    Some(skipped) if self.has_marks() => {
                        self.found_mark(source.position(), skipped)?;
                    }
                    Some(skipped) => self.state = State::Found { skipped },
                    None => return Ok(()),
                },
                // The decoder stops after the mark, so that the next frame's offset is known.
                State::Skip => match source.search(&mut input) {
                    Some(_) => self.state = State::Decode,
                    None => return Ok(()),
                },
                State::Decode | State::Found { .. } => match source.decode(&mut input) {
                    Ok(Some(run)) => self.piece(run)?,
                    Ok(None) => return Ok(()),
                    Err(error) => self.fail(source, error)?,
                },
            }
        }
    }

    /// Whether frames end with marks.
    fn has_marks(&self) -> bool {
        self.args.framing.format.has_marks()
    }

    fn piece(&mut self, run: Run<'_>) -> Result<(), Failure> {
        if let Some(Begin { at, meta, len }) = run.begin {
            if let (State::Found { skipped }, Some(len)) = (self.state, len) {
                self.found(skipped, at, meta, len)?;
            }
            if self.state == State::Done {
                return Ok(());
            }
            self.frame = Some(OpenFrame { at, meta, len, seen: 0, beginning: Vec::new() });
        }
        if let Some(frame) = &mut self.frame {
            frame.seen += run.bytes.len() as u64;
            // A character has at most four bytes.
            let previewed = usize::from(self.args.preview) * 4 + 4;
            let max = match frame.len {
                _ if !self.args.json => previewed,
                Some(len) if len > MAX_WHOLE as u64 => previewed,
                // What is not announced may still become longer.
                _ => previewed.max(MAX_WHOLE),
            };
            let room = max.saturating_sub(frame.beginning.len());
            let held = frame.beginning.len();
            frame.beginning.extend(run.bytes.iter().take(room));
            if let AnyMeta::Recipe(meta) = frame.meta {
                let added = frame.beginning.get_mut(held..).unwrap_or_default();
                meta.unmask(held as u64, added);
            }
        }
        if run.last
            && let Some(mut frame) = self.frame.take()
        {
            frame.len = Some(frame.seen);
            self.frames += 1;
            self.whole += run.end - frame.at;
            self.row(&frame, true)?;
        }
        Ok(())
    }

    /// Reports a decode error, and decides whether and how to continue.
    fn fail(&mut self, source: &mut dyn Source, error: DecodeError) -> Result<(), Failure> {
        self.errors += 1;
        if let Some(frame) = self.frame.take() {
            self.row(&frame, false)?;
        }
        let byte = byte_of(&error);
        let message = self.explain(&error);
        if self.args.json {
            let (at, code) = (error.at(), error.code());
            let name = v1::code_name(Code(code));
            self.out.line(json(&InspectEvent::Error {
                at,
                byte,
                code,
                name,
                message: &message,
            }))?;
        }
        let oversize = matches!(error, DecodeError::Oversize { .. } | DecodeError::TooLong { .. });
        let ended = matches!(error, DecodeError::Truncated { .. });
        let skip = oversize && self.args.skip_oversize && (self.has_marks() || source.skip_frame());
        let hint = match error {
            _ if skip => "; going on after it",
            DecodeError::TooLong { .. } if !self.args.resync => {
                "; go on after it with --skip-oversize"
            }
            DecodeError::Oversize { .. }
                if !self.args.resync && guess(&error, self.args.framing.format).is_none() =>
            {
                "; go on after it with --skip-oversize"
            }
            DecodeError::Header { .. } if !source.can_search() => {
                "; in this format the place of the next frame cannot be found again"
            }
            _ => "",
        };
        self.report(&format!("{message}{hint}"))?;
        let can_search = source.can_search() && !ended;
        self.state = match skip {
            true if self.has_marks() => State::Skip,
            true => State::Decode,
            // The end of an oversize frame is known, so it needs no search.
            false if can_search && (!oversize || self.args.resync) => State::Search,
            false => State::Done,
        };
        // A stream that ended was read completely.
        if !ended && !skip && (self.state == State::Done || !self.args.resync) {
            self.stopped = Some(byte);
        }
        Ok(())
    }

    /// Formats the error with the offset of its byte, and with that of its frame if it differs.
    fn explain(&self, error: &DecodeError) -> String {
        let text = explain(error, self.args.framing.format);
        let (at, byte) = (error.at(), byte_of(error));
        match text.strip_prefix(&format!("byte {byte}: ")) {
            Some(what) if byte != at => format!("byte {byte}, in the frame at byte {at}: {what}"),
            _ => text,
        }
    }

    /// Reports where the next header was found. Without `--resync` this ends the listing.
    fn found(&mut self, skipped: u64, at: u64, meta: AnyMeta, len: u64) -> Result<(), Failure> {
        let go_on = self.args.resync;
        self.state = if go_on { State::Decode } else { State::Done };
        if self.args.json {
            self.out.line(json(&InspectEvent::Resync { found: Some(at), skipped }))?;
        }
        let kind = meta.kind().map_or_else(String::new, |kind| format!(" {kind}"));
        let frame = format!("a{kind} frame with {} of payload", count_bytes(len));
        let (from, skipped) = (at.saturating_sub(skipped), count_bytes(skipped));
        self.report(&if go_on {
            format!("byte {at}: going on with {frame}, {skipped} skipped from byte {from}")
        } else {
            format!(
                "byte {at}: a resync would find {frame}, {skipped} skipped; see it with --resync"
            )
        })
    }

    /// Reports where decoding goes on after a mark. Without `--resync` this ends the listing.
    fn found_mark(&mut self, at: u64, skipped: u64) -> Result<(), Failure> {
        let go_on = self.args.resync;
        self.state = if go_on { State::Decode } else { State::Done };
        if self.args.json {
            self.out.line(json(&InspectEvent::Resync { found: Some(at), skipped }))?;
        }
        let (from, skipped) = (at.saturating_sub(skipped), count_bytes(skipped));
        self.report(&if go_on {
            format!("byte {at}: going on after a mark, {skipped} skipped from byte {from}")
        } else {
            format!(
                "byte {at}: a resync would go on after a mark, {skipped} skipped; see it with --resync"
            )
        })
    }

    fn end_of_stream(&mut self, source: &mut dyn Source) -> Result<(), Failure> {
        loop {
            let ended = loop {
                match source.end() {
                    Ok(Some(run)) => self.piece(run)?,
                    Ok(None) => return Ok(()),
                    Err(error) => break error,
                }
            };
            // What seems to be a part of a frame may hold whole ones.
            if let DecodeError::Unsynchronized { at, skipped } = ended {
                match source.search_end() {
                    Some(skipped) => self.state = State::Found { skipped },
                    None => return self.found_nothing(at, skipped),
                }
            } else {
                self.fail(source, ended)?;
                match source.search_end() {
                    Some(skipped) => self.state = State::Found { skipped },
                    None => return Ok(()),
                }
            }
            self.chunk(source, b"")?;
            if self.state == State::Done {
                return Ok(());
            }
        }
    }

    /// Reports that a search has reached the end.
    fn found_nothing(&mut self, at: u64, skipped: u64) -> Result<(), Failure> {
        if self.args.json {
            self.out.line(json(&InspectEvent::Resync { found: None, skipped }))?;
        }
        let skipped = count_bytes(skipped);
        let what = match self.args.framing.format {
            format if format.has_marks() => "mark",
            AnyWire::Checked(_) => "frame",
            _ => "header",
        };
        self.report(&format!("byte {at}: no further {what} in the {skipped} up to the end"))
    }

    /// Prints an error message, after the rows that were written to standard output so far.
    fn report(&mut self, message: &str) -> Result<(), Failure> {
        self.out.flush()?;
        print_error(message);
        Ok(())
    }

    fn heading(&mut self) -> Result<(), Failure> {
        if self.args.json {
            return Ok(());
        }
        let meta = if self.args.framing.format.has_kinds() { "kind" } else { "header" };
        let columns = self.columns("offset", "payload", meta, "content");
        self.out.line(columns)
    }

    /// Prints a frame. `complete` is whether it has ended.
    fn row(&mut self, frame: &OpenFrame, complete: bool) -> Result<(), Failure> {
        let width = usize::from(self.args.preview);
        let whole = Some(frame.beginning.len() as u64) == frame.len;
        let described = frame
            .meta
            .kind()
            .filter(|_| whole)
            .and_then(|kind| v1::describe(kind, &frame.beginning, width));
        let header = frame.meta.header();
        let kind = frame.meta.kind().map(|kind| kind.to_string());
        let (at, len, arrived) = (frame.at, frame.len, frame.seen);
        let known_len = len.unwrap_or(arrived);
        if self.args.json {
            let held = known_len <= MAX_WHOLE as u64;
            let content = held.then(|| Content::new(&frame.beginning));
            let preview = (!held).then(|| unquoted(&frame.beginning, known_len, width));
            let meaning = described;
            return self.out.line(json(&InspectEvent::Frame {
                at,
                kind,
                header,
                len,
                arrived,
                content,
                preview,
                meaning,
            }));
        }
        let mut content = described.unwrap_or_else(|| preview(&frame.beginning, known_len, width));
        if known_len > 0 && frame.beginning.is_empty() {
            content.clear();
        }
        match len {
            Some(len) if arrived < len => {
                content = format!("(incomplete: {arrived} of {len}) {content}");
            }
            _ if complete => {}
            _ => content = format!("(incomplete) {content}"),
        }
        let meta = kind.or(header).unwrap_or_default();
        let columns = self.columns(&at.to_string(), &known_len.to_string(), &meta, &content);
        self.out.line(columns)
    }

    /// Formats a row with aligned columns.
    fn columns(&self, at: &str, len: &str, meta: &str, content: &str) -> String {
        let Some(width) = self.args.framing.format.meta_width() else {
            return format!("{at:>12}  {len:>12}  {content}").trim_end().to_owned();
        };
        format!("{at:>12}  {len:>12}  {meta:<width$}  {content}").trim_end().to_owned()
    }
}
