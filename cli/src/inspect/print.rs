//! Prints what `inspect` finds: rows of columns or JSON, and errors.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;
use unstick_session::message::Code;

use super::frames::Label;
use super::names::{Place, Side};
use super::shape::{self, Shape};
use super::{Args, MAX_WHOLE};
use crate::format::AnyMeta;
use crate::shown::Content;
use crate::term::output::{Failure, error_line, json};
use crate::term::preview::{self, preview, unquoted};
use crate::term::time::since_epoch;
use crate::v1;

/// The colours of a client's frames, a server's, and errors.
const CLIENT: &str = "\x1b[36m";
const SERVER: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// The maximum number of kinds that are named.
const MAX_NAMED: usize = 20;

/// A frame to print.
pub(crate) struct Row<'a> {
    pub(crate) at: u64,
    pub(crate) label: &'a Label,
    /// The length of the payload; `None` while it is not known.
    pub(crate) len: Option<u64>,
    pub(crate) seen: u64,
    /// The number of bytes of the payload that the capture lacks.
    pub(crate) missing: u64,
    pub(crate) beginning: &'a [u8],
    /// Whether the frame has ended.
    pub(crate) complete: bool,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    Flow {
        flow: u32,
        protocol: &'static str,
        client: String,
        server: String,
        bytes: Directions,
        frames: Directions,
        errors: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        began: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ended: Option<String>,
        end: String,
    },
    Frame {
        #[serde(flatten)]
        place: At,
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
        #[serde(flatten)]
        place: At,
        /// The frame's first byte, or the end of the stream.
        at: u64,
        /// The byte that caused the error.
        byte: u64,
        code: u16,
        name: &'static str,
        message: &'a str,
    },
    Gap {
        #[serde(flatten)]
        place: At,
        at: u64,
        len: u64,
    },
    Resync {
        #[serde(flatten)]
        place: At,
        found: Option<u64>,
        skipped: u64,
    },
    End {
        frames: u64,
        errors: u64,
        bytes: u64,
    },
}

/// Numbers of what the client and the server have sent.
#[derive(Serialize)]
pub(crate) struct Directions {
    pub(crate) client: u64,
    pub(crate) server: u64,
}

/// A [`Place`] in JSON: nothing in a plain stream.
#[derive(Serialize)]
pub(crate) struct At {
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<u32>,
    /// The side that has sent it.
    #[serde(rename = "dir", skip_serializing_if = "Option::is_none")]
    side: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl At {
    pub(crate) fn new(place: Option<&Place>) -> Self {
        let direction = |side| if side == Side::Client { "to-server" } else { "to-client" };
        Self {
            flow: place.map(|place| place.flow),
            side: place.map(|place| direction(place.side)),
            time: place.and_then(|place| place.time).and_then(since_epoch),
        }
    }
}

/// Standard output and standard error.
pub(crate) struct Printer<'a> {
    args: &'a Args,
    shape: Shape,
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    colour: bool,
    colour_errors: bool,
    /// Whether nothing is printed, because only numbers are wanted.
    quiet: bool,
    /// Whether rows have the columns of a capture.
    has_places: bool,
    /// The time that rows count from.
    began: Option<Duration>,
    /// Whether there was a frame of a kind in `--kind`, and some kinds of the others.
    is_any_wanted: bool,
    others: BTreeSet<String>,
}

/// Returns whether output to a terminal may have colours: `no_color` is the variable `NO_COLOR`, which
/// counts if it is not empty, and `term` is `TERM`.
fn may_colour(no_color: Option<&std::ffi::OsStr>, term: Option<&std::ffi::OsStr>) -> bool {
    no_color.is_none_or(std::ffi::OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

impl<'a> Printer<'a> {
    pub(crate) fn new(args: &'a Args) -> Self {
        let (no_color, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
        let may = may_colour(no_color.as_deref(), term.as_deref());
        Self {
            colour: may && !args.json && io::stdout().is_terminal(),
            colour_errors: may && io::stderr().is_terminal(),
            ..Self::with_output(
                args,
                Box::new(BufWriter::new(io::stdout().lock())),
                Box::new(io::stderr()),
            )
        }
    }

    /// Creates a printer without colours.
    fn with_output(args: &'a Args, out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self {
            args,
            shape: args.format,
            out,
            err,
            colour: false,
            colour_errors: false,
            quiet: false,
            has_places: false,
            began: None,
            is_any_wanted: false,
            others: BTreeSet::new(),
        }
    }

    /// Creates a printer whose output goes nowhere.
    #[cfg(test)]
    pub(crate) fn nowhere(args: &'a Args) -> Self {
        Self::with_output(args, Box::new(io::sink()), Box::new(io::sink()))
    }

    /// Prints nothing until it is called again with `false`.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Sets the time that rows count from.
    pub(crate) fn begin(&mut self, began: Option<Duration>) {
        self.began = self.began.or(began);
    }

    pub(crate) fn is_json(&self) -> bool {
        self.args.json
    }

    /// Returns the time of a packet from the first one.
    pub(crate) fn elapsed(&self, time: Option<Duration>) -> Option<String> {
        let (time, began) = (time?, self.began?);
        Some(match time.checked_sub(began) {
            Some(after) => format!("{:.6}", after.as_secs_f64()),
            None => format!("-{:.6}", began.saturating_sub(time).as_secs_f64()),
        })
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.coloured("", line)
    }

    fn coloured(&mut self, colour: &str, line: &str) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        let line = preview::line(line.to_owned());
        let written = if self.colour && !colour.is_empty() {
            writeln!(self.out, "{colour}{line}{PLAIN}")
        } else {
            writeln!(self.out, "{line}")
        };
        written.map_err(|error| Failure::from_stdout(&error))
    }

    pub(crate) fn event(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        if self.args.json { self.line(&json(event)) } else { Ok(()) }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::from_stdout(&error))
    }

    /// Prints an error message, after the rows that were written to standard output so far.
    pub(crate) fn report(&mut self, place: Option<&Place>, message: &str) -> Result<(), Failure> {
        self.flush()?;
        if self.quiet {
            return Ok(());
        }
        let place = place.map_or_else(String::new, |place| {
            format!("flow {}, from the {}: ", place.flow, place.side.name())
        });
        let line = preview::line(error_line(&format!("{place}{message}")));
        let line = if self.colour_errors { format!("{RED}{line}{PLAIN}\n") } else { line + "\n" };
        // A failure to write to standard error is ignored.
        let _ = self.err.write_all(line.as_bytes());
        Ok(())
    }

    pub(crate) fn error(
        &mut self,
        place: Option<&Place>,
        (at, byte, code): (u64, u64, u16),
        message: &str,
    ) -> Result<(), Failure> {
        let name = v1::code_name(Code(code));
        self.event(&Event::Error { place: At::new(place), at, byte, code, name, message })
    }

    pub(crate) fn heading(&mut self, has_places: bool) -> Result<(), Failure> {
        self.has_places = has_places;
        if self.args.json {
            return Ok(());
        }
        let meta = if self.shape.has_kinds() { "kind" } else { "header" };
        let front = if has_places { self.front("time", "flow", "sent by") } else { String::new() };
        let columns = self.columns("offset", "payload", meta, "content");
        self.line(&(front + &columns))
    }

    fn front(&self, time: &str, flow: &str, side: &str) -> String {
        format!("{time:>12} {flow:>5}  {side:<7}")
    }

    /// Prints a frame.
    pub(crate) fn row(&mut self, place: Option<&Place>, row: &Row<'_>) -> Result<(), Failure> {
        let side = place.map(|place| place.side);
        self.row_of(place, side, row)
    }

    /// Prints a frame whose sender may be known without a place.
    pub(crate) fn row_of(
        &mut self,
        place: Option<&Place>,
        side: Option<Side>,
        row: &Row<'_>,
    ) -> Result<(), Failure> {
        let kind = match row.label {
            Label::Meta(AnyMeta::Kind(kind)) => Some(*kind),
            _ => None,
        };
        let header = if kind.is_none() { shape::text(row.label, side) } else { None };
        let name = kind.map(|kind| kind.to_string());
        let meta = name.as_deref().or(header.as_deref()).unwrap_or_default();
        if self.quiet {
            return Ok(());
        }
        if !self.is_wanted(meta) {
            if self.others.len() < MAX_NAMED {
                self.others.insert(self.shape.kind_name(meta));
            }
            return Ok(());
        }
        self.is_any_wanted = true;
        let width = usize::from(self.args.preview);
        let whole = Some(row.beginning.len() as u64) == row.len;
        let described =
            kind.filter(|_| whole).and_then(|kind| v1::describe(kind, row.beginning, width));
        let known_len = row.len.unwrap_or(row.seen);
        if self.args.json {
            let held = known_len <= MAX_WHOLE as u64;
            let content = held.then(|| Content::new(row.beginning));
            let preview = (!held).then(|| unquoted(row.beginning, known_len, width));
            return self.event(&Event::Frame {
                place: At::new(place),
                at: row.at,
                kind: name,
                header,
                len: row.len,
                arrived: row.seen.saturating_sub(row.missing),
                content,
                preview,
                meaning: described,
            });
        }
        let mut content = described.unwrap_or_else(|| preview(row.beginning, known_len, width));
        if known_len > 0 && row.beginning.is_empty() {
            content.clear();
        }
        match row.len {
            Some(len) if row.seen < len => {
                content = format!("(incomplete: {} of {len}) {content}", row.seen);
            }
            _ if row.complete => {}
            _ => content = format!("(incomplete) {content}"),
        }
        if row.missing > 0 {
            content = format!("({} missing, shown as 0) {content}", row.missing);
        }
        let columns = self.columns(&row.at.to_string(), &known_len.to_string(), meta, &content);
        let (front, colour) = match place {
            Some(place) => {
                let time = self.elapsed(place.time).unwrap_or_default();
                let front = self.front(&time, &place.flow.to_string(), place.side.name());
                (front, if place.side == Side::Client { CLIENT } else { SERVER })
            }
            None => (String::new(), ""),
        };
        self.coloured(colour, (front + &columns).trim_end())?;
        if self.args.hexdump { self.hexdump(row.beginning, known_len) } else { Ok(()) }
    }

    /// Returns whether `--kind` has this kind, or this name at the header's beginning.
    fn is_wanted(&self, meta: &str) -> bool {
        let name = meta.split([',', ' ']).next().unwrap_or_default();
        self.args.kinds.is_empty()
            || self.args.kinds.iter().any(|kind| {
                kind.eq_ignore_ascii_case(meta)
                    || kind.eq_ignore_ascii_case(name)
                    || kind.eq_ignore_ascii_case(&self.shape.kind_name(meta))
                    || v1::parse_kind(kind).is_ok_and(|kind| kind.to_string() == meta)
            })
    }

    /// Says which kinds there are if `--kind` names none of them.
    pub(crate) fn report_kinds(&mut self) -> Result<(), Failure> {
        if self.is_any_wanted || self.others.is_empty() {
            return Ok(());
        }
        let others: Vec<_> = self.others.iter().map(String::as_str).collect();
        let others = others.join(", ");
        let more = if self.others.len() < MAX_NAMED { "" } else { ", and perhaps more" };
        let kinds = self.args.kinds.join(" or ");
        self.report(None, &format!("no frame of kind {kinds}; there are: {others}{more}"))
    }

    /// Prints a payload as bytes with their offsets.
    fn hexdump(&mut self, bytes: &[u8], len: u64) -> Result<(), Failure> {
        for (i, line) in bytes.chunks(16).enumerate() {
            let mut text = format!("    {:08x} ", i * 16);
            for i in 0..16 {
                text.push_str(if i == 8 { "  " } else { " " });
                match line.get(i) {
                    Some(byte) => {
                        let _ = write!(text, "{byte:02x}");
                    }
                    None => text.push_str("  "),
                }
            }
            text.push_str("  |");
            let shown =
                |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
            text.extend(line.iter().map(shown));
            text.push('|');
            self.line(&text)?;
        }
        match len.saturating_sub(bytes.len() as u64) {
            0 => Ok(()),
            more => self.line(&format!("    … {more} more")),
        }
    }

    /// Formats a row with aligned columns.
    fn columns(&self, at: &str, len: &str, meta: &str, content: &str) -> String {
        let Some(width) = self.shape.label_width() else {
            return format!("{at:>12}  {len:>12}  {content}").trim_end().to_owned();
        };
        format!("{at:>12}  {len:>12}  {meta:<width$}  {content}").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_can_be_turned_off() {
        let colour = |no_color: Option<&str>, term: Option<&str>| {
            may_colour(no_color.map(AsRef::as_ref), term.map(AsRef::as_ref))
        };
        assert!(colour(None, None) && colour(Some(""), Some("xterm")));
        assert!(!colour(Some("1"), Some("xterm")) && !colour(None, Some("dumb")));
    }
}
