//! `unstick encode` and `unstick decode`: messages to frames and back, from standard input or files to
//! standard output.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, StdoutLock, Write};
use std::path::PathBuf;

use serde::Serialize;
use unstick::io::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::scan::Found;
use unstick::{EncodeError, Framing, Kind};

use crate::advice::explain;
use crate::exchange::Exchange;
use crate::format::{AnyMeta, Meta};
use crate::framing_args::FramingArgs;
use crate::help::{self, Hinted};
use crate::mark::{AnyMark, parse_delimiter};
use crate::send::shape::Shape;
use crate::send::source::{self, Item, Split};
use crate::shown::Shown;
use crate::term::bytes::count_bytes;
use crate::term::output::{Failure, json};
use crate::term::preview::{self, preview};
use crate::v1::{kind_names, parse_kind};
use crate::wire::with_wire;

/// The maximum number of characters of a message that are shown on a terminal.
const MAX_SHOWN: usize = 1000;

/// Write the lines of standard input, or files, as frames to standard output.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  printf 'one\\ntwo\\n' | unstick encode --format u32be > frames.bin
  unstick encode --format netstring a.txt b.txt | nc 127.0.0.1 7000")]
pub(crate) struct EncodeArgs {
    /// Files, each of which is one message, in place of standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    framing: FramingArgs,
    /// The messages' kind (v1, v2) [default: text, or binary for what is not UTF-8].
    #[arg(short, long, help_heading = help::FRAMING, value_name = "KIND", hide_possible_values = true,
          value_parser = Hinted { parse: parse_kind, names: kind_names })]
    kind: Option<Kind>,
    /// A whole header with any length in it, for formats whose headers say more than a length.
    #[arg(long, help_heading = help::FRAMING, value_name = "HEX")]
    header: Option<String>,
    /// All of standard input is one message.
    #[arg(short, long, help_heading = help::INPUT, conflicts_with_all = ["delimiter", "null", "files"])]
    whole: bool,
    /// Messages stand between these bytes: crlf, nul, or hexadecimal such as 0d0a.
    #[arg(long, help_heading = help::INPUT, value_name = "HEX", value_parser = parse_delimiter, conflicts_with = "files")]
    delimiter: Option<AnyMark>,
    /// The same as --delimiter nul.
    #[arg(short = '0', long, help_heading = help::INPUT, conflicts_with_all = ["delimiter", "files"])]
    null: bool,
}

/// Write the messages in the frames of a file or standard input to standard output, each as a line.
///
/// A message with line ends in it does not come back from lines: use -0 on both, encode and decode.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  unstick decode --format u32be frames.bin
  nc -l 7000 | unstick decode --json                    with the kinds")]
pub(crate) struct DecodeArgs {
    /// The frames; standard input if there is none, or `-`.
    file: Option<PathBuf>,
    #[command(flatten)]
    framing: FramingArgs,
    /// Nothing after a message.
    #[arg(long, help_heading = help::OUTPUT, conflicts_with_all = ["null", "json"])]
    raw: bool,
    /// A byte 0 after each message, in place of a line end.
    #[arg(short = '0', long, help_heading = help::OUTPUT, conflicts_with = "json")]
    null: bool,
    /// One JSON object a line, with the message's kind or header.
    #[arg(short, long, help_heading = help::OUTPUT)]
    json: bool,
}

/// A line of `decode --json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum DecodeEvent<'a> {
    Message {
        #[serde(flatten)]
        message: Shown<'a>,
    },
}

pub(crate) fn encode(args: EncodeArgs) -> Result<(), Failure> {
    let shape = Shape::new(&args.framing, args.kind, args.header.as_deref())?;
    if io::stdout().is_terminal() {
        return Err(Failure::Usage("frames are no text; redirect standard output".to_owned()));
    }
    with_wire!(args.framing.format, |wire| {
        let framing = args.framing.apply(wire);
        encode_all(&args, framing, shape)
    })
}

fn encode_all<W: Exchange>(
    args: &EncodeArgs,
    framing: Framing<W>,
    shape: Shape,
) -> Result<(), Failure> {
    let mut encoder = Encoder {
        writer: FrameWriter::with_framing(io::stdout().lock(), framing),
        shape,
        number: 0,
    };
    let encoded = encode_each(args, &mut encoder, args.framing.max_line_len(framing.limit()));
    // What came before an error is there.
    let flushed = encoder.flush();
    encoded.and(flushed)
}

fn encode_each<W: Exchange>(
    args: &EncodeArgs,
    encoder: &mut Encoder<W>,
    limit: u64,
) -> Result<(), Failure> {
    if args.files.is_empty() {
        let split = Split::new(args.whole, args.delimiter, args.null);
        let mut items = source::standard_input(split, limit);
        while let Some(item) = items.blocking_recv().transpose()? {
            if let Item::Message(payload) = item {
                encoder.message(&payload)?;
            }
            if items.is_empty() {
                encoder.flush()?;
            }
        }
    }
    for path in &args.files {
        let payload = std::fs::read(path)
            .map_err(|error| Failure::job(format!("cannot read {}: {error}", path.display())))?;
        encoder.message(&payload)?;
    }
    Ok(())
}

/// Writes messages as frames.
struct Encoder<W: Exchange> {
    writer: FrameWriter<StdoutLock<'static>, W>,
    shape: Shape,
    number: u64,
}

impl<W: Exchange> Encoder<W> {
    fn message(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.number += 1;
        let meta = W::Meta::from_any(&self.shape.meta(payload));
        let meta = meta.ok_or(WriteError::from(EncodeError::Meta));
        // Small frames are collected.
        let written = meta.and_then(|meta| self.writer.feed(meta, payload));
        written.map_err(|error| write_failed(self.number, payload.len(), &error))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| write_failed(self.number, 0, &error))
    }
}

fn write_failed(number: u64, len: usize, error: &WriteError) -> Failure {
    match error {
        WriteError::Io(error) | WriteError::Flush(error) => Failure::from_stdout(error),
        error => Failure::job(format!("message {number} ({}): {error}", count_bytes(len as u64))),
    }
}

pub(crate) fn decode(args: &DecodeArgs) -> Result<(), Failure> {
    args.framing.check_exchange()?;
    with_wire!(args.framing.format, |wire| decode_all(args, args.framing.apply(wire)))
}

fn decode_all<W: Exchange>(args: &DecodeArgs, framing: Framing<W>) -> Result<(), Failure> {
    let on_terminal = io::stdout().is_terminal();
    if on_terminal && (args.raw || args.null) {
        return Err(Failure::Usage(
            "a terminal would interpret raw messages; redirect standard output".to_owned(),
        ));
    }
    let file = args.file.as_ref().filter(|path| path.as_os_str() != "-");
    let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let source: Box<dyn Read> = match file {
        Some(path) => Box::new(
            File::open(path)
                .map_err(|error| Failure::job(format!("cannot open {name}: {error}")))?,
        ),
        None => Box::new(io::stdin().lock()),
    };
    let mut reader = FrameReader::with_framing(source, framing);
    let mut out = BufWriter::new(io::stdout().lock());
    let result = loop {
        match next_found(&mut reader, &mut out) {
            Ok(Some(found)) => {
                let Some(frame) = reader.buf().frame(&found) else { continue };
                let meta = frame.meta.clone().into_any();
                let written = write(args, &mut out, (meta, frame.payload), on_terminal);
                written.map_err(|error| Failure::from_stdout(&error))?;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // What came before an error is there.
    out.flush().map_err(|error| Failure::from_stdout(&error))?;
    result.map_err(|error| match error {
        ReadError::Decode(error) => Failure::Job(explain(&error, args.framing.format)),
        error => Failure::job(format!("cannot read {name}: {}", preview::line(error.to_string()))),
    })
}

/// Finds the next frame. Before it waits for more input, it writes what is there.
fn next_found<W: Exchange>(
    reader: &mut FrameReader<Box<dyn Read>, W>,
    out: &mut impl Write,
) -> Result<Option<Found<W::Meta>>, ReadError> {
    loop {
        if let Some(found) = reader.buf_mut().find()? {
            return Ok(Some(found));
        }
        if reader.is_ended() {
            return Ok(reader.buf_mut().find_end()?);
        }
        out.flush().map_err(ReadError::Io)?;
        reader.fill()?;
    }
}

fn write(
    args: &DecodeArgs,
    out: &mut impl Write,
    (meta, payload): (AnyMeta, &[u8]),
    on_terminal: bool,
) -> io::Result<()> {
    if args.json {
        let message = Shown::new(meta, payload);
        return writeln!(out, "{}", json(&DecodeEvent::Message { message }));
    }
    if on_terminal {
        return writeln!(out, "{}", preview(payload, payload.len() as u64, MAX_SHOWN));
    }
    let end: &[u8] = match (args.raw, args.null) {
        (true, _) => b"",
        (_, true) => b"\0",
        _ => b"\n",
    };
    out.write_all(payload)?;
    out.write_all(end)
}
