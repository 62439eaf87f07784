//! `unstick inspect`: lists the frames of a captured byte stream.
//!
//! The stream is read in chunks, and of a payload only the beginning is kept, so a capture and its
//! frames may be larger than memory.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use serde::Serialize;
use unstick::{
    DecodeError, Decoder, Hdlc, HdlcOctets, Header, HeaderError, Marked, Piece, RecoverError, V1,
    Wire,
};
use unstick_session::message::Code;

use crate::advice::{explain, guess};
use crate::bytes::{count, count_bytes};
use crate::content::Content;
use crate::dump::DumpReader;
use crate::format::{AnyFormat, AnyMeta, FramingArgs};
use crate::mark::{AnyMark, idle};
use crate::output::{Failure, Out, json, note, print_error};
use crate::preview::{preview, unquoted};
use crate::v1;
use crate::wire::AnyWire;

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
    /// Go on after an error: with the next bytes that are a header (v1), or after the next mark
    /// (lines, crlf, nul, delim:, cobs, slip and hdlc).
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
            "only v1 headers can be found again, and marks: no other format has a check; \
             leave out --resync"
                .to_owned(),
        ));
    }
    let input = Input::open(args)?;
    match framing.format {
        AnyWire::Format(AnyFormat::V1(format)) => {
            let decoder = Decoder::with_framing(framing.inspecting(format));
            let parts = Parts {
                any_meta: AnyMeta::Kind,
                resync: Some(Decoder::<V1>::resync),
                idle: |_, _| 0,
            };
            Inspector::new(args, decoder, parts).run(input)
        }
        AnyWire::Format(format) => {
            let decoder = Decoder::with_framing(framing.inspecting(format));
            let parts = Parts { any_meta: |meta| meta, resync: None, idle: |_, _| 0 };
            Inspector::new(args, decoder, parts).run(input)
        }
        AnyWire::Mark(mark) => {
            let decoder = Decoder::with_framing(framing.inspecting(Marked::new(mark.of_file())));
            let parts = Parts {
                any_meta: |()| AnyMeta::None,
                resync: Some(Decoder::<Marked<AnyMark>>::resync),
                idle: |marked, bytes| idle(marked.mark(), bytes),
            };
            Inspector::new(args, decoder, parts).run(input)
        }
        AnyWire::Hdlc => {
            let decoder = Decoder::with_framing(framing.inspecting(Hdlc::new()));
            let parts = Parts {
                any_meta: |()| AnyMeta::None,
                resync: Some(Decoder::<Hdlc>::resync),
                idle: |_, bytes| idle(&HdlcOctets, bytes),
            };
            Inspector::new(args, decoder, parts).run(input)
        }
    }
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

/// A function that searches for the next frame with a framing's decoder.
type ResyncFn<W> = fn(&mut Decoder<W>, &mut &[u8]) -> Result<Option<u64>, RecoverError>;

/// What only a few framings have.
struct Parts<W: Wire> {
    any_meta: fn(W::Meta) -> AnyMeta,
    resync: Option<ResyncFn<W>>,
    /// Returns how many bytes at the front stand between frames.
    idle: fn(&W, &[u8]) -> usize,
}

/// The length of a payload, if it is known when the frame begins.
trait Announced {
    fn announced(self) -> Option<u64>;
}

impl Announced for u64 {
    fn announced(self) -> Option<u64> {
        Some(self)
    }
}

impl Announced for () {
    fn announced(self) -> Option<u64> {
        None
    }
}

struct Inspector<'a, W: Wire<Len: Announced>> {
    args: &'a Args,
    decoder: Decoder<W>,
    parts: Parts<W>,
    /// The stream offset of the frame that has begun last, if its length is not announced.
    begun: u64,
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
    Search { error: DecodeError },
    /// Skipping a frame up to the next mark.
    Skip,
    /// A header was found; the next piece has it.
    Found { error: DecodeError, skipped: u64 },
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

impl<'a, W: Wire<Len: Announced>> Inspector<'a, W> {
    fn new(args: &'a Args, decoder: Decoder<W>, parts: Parts<W>) -> Self {
        Self {
            args,
            decoder,
            parts,
            begun: 0,
            out: Out::new(),
            state: State::Decode,
            frame: None,
            frames: 0,
            whole: 0,
            errors: 0,
            stopped: None,
        }
    }

    fn run(mut self, mut input: Input) -> Result<(), Failure> {
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
                self.end_of_stream()?;
                break;
            }
            self.chunk(&chunk)?;
            self.out.flush()?;
        }
        let (frames, errors, bytes) = (self.frames, self.errors, self.decoder.position());
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

    fn chunk(&mut self, mut input: &[u8]) -> Result<(), Failure> {
        loop {
            match self.state {
                State::Done => return Ok(()),
                State::Search { error } => {
                    // Without a search function the state is never `Search`.
                    let Some(resync) = self.parts.resync else { return Ok(()) };
                    match resync(&mut self.decoder, &mut input) {
                        Ok(Some(skipped)) if self.has_marks() => self.found_mark(error, skipped)?,
                        Ok(Some(skipped)) => self.state = State::Found { error, skipped },
                        Ok(None) | Err(_) => return Ok(()),
                    }
                }
                State::Skip => {
                    // The decoder stops after the mark, so that the next frame's offset is known.
                    let Some(resync) = self.parts.resync else { return Ok(()) };
                    match resync(&mut self.decoder, &mut input) {
                        Ok(Some(_)) => self.state = State::Decode,
                        Ok(None) | Err(_) => return Ok(()),
                    }
                }
                State::Decode | State::Found { .. } => {
                    if self.decoder.is_at_boundary() {
                        let idle = (self.parts.idle)(self.decoder.format(), input);
                        self.begun = self.decoder.position() + idle as u64;
                    }
                    match self.decoder.decode(&mut input) {
                        Ok(Some(piece)) => self.piece(piece)?,
                        Ok(None) => return Ok(()),
                        Err(error) => self.fail(error)?,
                    }
                }
            }
        }
    }

    /// Whether frames end with marks.
    fn has_marks(&self) -> bool {
        self.args.framing.format.format().is_none()
    }

    fn piece(&mut self, piece: Piece<'_, W::Meta, W::Len>) -> Result<(), Failure> {
        if let Some(Header { meta, payload_len, header_len }) = piece.header {
            let meta = (self.parts.any_meta)(meta);
            let len = payload_len.announced();
            let before = piece.bytes.len() as u64 + header_len as u64;
            let at = match len {
                Some(_) => self.decoder.position() - before,
                None => self.begun,
            };
            if let (State::Found { error, skipped }, Some(len)) = (self.state, len) {
                self.found(error, skipped, at, meta, len)?;
            }
            if self.state == State::Done {
                return Ok(());
            }
            self.frame = Some(OpenFrame { at, meta, len, seen: 0, beginning: Vec::new() });
        }
        if let Some(frame) = &mut self.frame {
            frame.seen += piece.bytes.len() as u64;
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
            frame.beginning.extend(piece.bytes.iter().take(room));
            if let AnyMeta::Recipe(meta) = frame.meta {
                let added = frame.beginning.get_mut(held..).unwrap_or_default();
                meta.unmask(held as u64, added);
            }
        }
        if piece.last
            && let Some(mut frame) = self.frame.take()
        {
            frame.len = Some(frame.seen);
            self.frames += 1;
            self.whole += self.decoder.position() - frame.at;
            self.row(&frame)?;
        }
        Ok(())
    }

    /// Reports a decode error, and decides whether and how to continue.
    fn fail(&mut self, error: DecodeError) -> Result<(), Failure> {
        self.errors += 1;
        if let Some(frame) = self.frame.take() {
            self.row(&frame)?;
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
        let skip = oversize
            && self.args.skip_oversize
            && (self.has_marks() || self.decoder.skip_frame().is_ok());
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
            DecodeError::Header { .. } if self.parts.resync.is_none() => {
                "; in this format the place of the next frame cannot be found again"
            }
            _ => "",
        };
        self.report(&format!("{message}{hint}"))?;
        self.state = match self.parts.resync {
            _ if skip && self.has_marks() => State::Skip,
            _ if skip => State::Decode,
            // The end of an oversize frame is known, so it needs no search.
            Some(_) if !ended && (!oversize || self.args.resync) => State::Search { error },
            _ => State::Done,
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
    fn found(
        &mut self,
        error: DecodeError,
        skipped: u64,
        at: u64,
        meta: AnyMeta,
        len: u64,
    ) -> Result<(), Failure> {
        let go_on = self.args.resync;
        self.state = if go_on { State::Decode } else { State::Done };
        if self.args.json {
            self.out.line(json(&InspectEvent::Resync { found: Some(at), skipped }))?;
        }
        let kind = meta.kind().map_or_else(String::new, |kind| format!(" {kind}"));
        let frame = format!("a{kind} frame with {} of payload", count_bytes(len));
        let skipped = count_bytes(skipped);
        self.report(&if go_on {
            format!("byte {at}: going on with {frame}, {skipped} skipped from byte {}", error.at())
        } else {
            format!(
                "byte {at}: a resync would find {frame}, {skipped} skipped; see it with --resync"
            )
        })
    }

    /// Reports where decoding goes on after a mark. Without `--resync` this ends the listing.
    fn found_mark(&mut self, error: DecodeError, skipped: u64) -> Result<(), Failure> {
        let go_on = self.args.resync;
        self.state = if go_on { State::Decode } else { State::Done };
        let at = self.decoder.position();
        if self.args.json {
            self.out.line(json(&InspectEvent::Resync { found: Some(at), skipped }))?;
        }
        let skipped = count_bytes(skipped);
        self.report(&if go_on {
            format!("byte {at}: going on after a mark, {skipped} skipped from byte {}", error.at())
        } else {
            format!(
                "byte {at}: a resync would go on after a mark, {skipped} skipped; see it with --resync"
            )
        })
    }

    fn end_of_stream(&mut self) -> Result<(), Failure> {
        let ended = loop {
            match self.decoder.end() {
                Ok(Some(piece)) => self.piece(piece)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match ended {
            Ok(()) => Ok(()),
            Err(DecodeError::Unsynchronized { at, skipped }) => {
                if self.args.json {
                    self.out.line(json(&InspectEvent::Resync { found: None, skipped }))?;
                }
                let skipped = count_bytes(skipped);
                let what = if self.has_marks() { "mark" } else { "header" };
                self.report(&format!("byte {at}: no further {what} in the {skipped} up to the end"))
            }
            Err(error) => self.fail(error),
        }
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
        let meta = if self.args.framing.format.is_v1() { "kind" } else { "header" };
        let columns = self.columns("offset", "payload", meta, "content");
        self.out.line(columns)
    }

    fn row(&mut self, frame: &OpenFrame) -> Result<(), Failure> {
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
            Some(_) => {}
            None => content = format!("(incomplete) {content}"),
        }
        let meta = kind.or(header).unwrap_or_default();
        let columns = self.columns(&at.to_string(), &known_len.to_string(), &meta, &content);
        self.out.line(columns)
    }

    /// Formats a row with aligned columns.
    fn columns(&self, at: &str, len: &str, meta: &str, content: &str) -> String {
        let format = self.args.framing.format.format();
        let Some(width) = format.and_then(|format| format.meta_width()) else {
            return format!("{at:>12}  {len:>12}  {content}").trim_end().to_owned();
        };
        format!("{at:>12}  {len:>12}  {meta:<width$}  {content}").trim_end().to_owned()
    }
}
