//! `unstick inspect`: lists the frames of a captured byte stream, or of the connections in a capture of
//! packets.
//!
//! The stream is read in chunks, and of a payload only the beginning is kept, so a capture and its
//! frames may be larger than memory.

mod capture;
mod dump;
mod frames;
mod http;
mod input;
mod names;
mod opening;
mod print;
mod resp;
mod shape;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::PathBuf;

use clap::builder::StringValueParser;

use crate::help::{self, FormatParser, Hinted};
use crate::signals::exit_on_signal;
use crate::term::bytes::{count, count_bytes, parse_bytes};
use crate::term::output::Failure;
use crate::v1::{kind_names, parse_kind};
use capture::file::CaptureFile;
use capture::follow::{self, Packets, Which};
use dump::Columns;
use input::{DumpedPackets, Input, Kind};
use print::{Event, Printer};
pub(crate) use shape::Shape;
use stream::Stream;

const CHUNK_LEN: usize = 64 << 10;
/// The maximum length of a payload that `--json` and `--hexdump` show whole.
const MAX_WHOLE: usize = 64 << 10;

/// List the frames of captured bytes, or of the connections in a pcap or pcapng file.
///
/// If the bytes go wrong somewhere, the error says at which byte and why. Without --flow, the
/// connections of a capture are listed, unless there is one only.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  unstick inspect capture.pcap                          the frames of its connection, or a list
  unstick inspect capture.pcap --flow 2 --format u32be  the frames of the second connection
  unstick inspect --format postgres --kind Query dump.pcap
  xxd FILE | unstick inspect --hex                      bytes as a tool prints them
  tcpdump -X -r FILE | unstick inspect --hex            packets as a tool prints them
  tshark -r FILE -q -z follow,tcp,raw,0 | unstick inspect --hex")]
pub(crate) struct Args {
    /// A pcap or pcapng file, or the bytes of a stream; standard input if there is none, or `-`.
    file: Option<PathBuf>,
    /// The format of the frames; `--format list` shows all.
    #[arg(short, long, help_heading = help::FRAMING, default_value = "v1", hide_possible_values = true,
          value_parser = FormatParser::<Shape>::INSPECTED)]
    format: Shape,
    /// Max payload bytes in a frame, such as 64KiB [default: what the protocol sets, or 1MiB].
    #[arg(short, long, help_heading = help::FRAMING, value_name = "BYTES", value_parser = parse_bytes)]
    limit: Option<u64>,
    /// The input is text, as `xxd`, `hexdump -C`, Wireshark or `tcpdump -X` print bytes.
    ///
    /// Also `f5 01`, `0xf5,0x01`, `f5:01`, `od -Ax -tx1`, and the packets that `tshark -x` prints.
    #[arg(short = 'x', long, help_heading = help::INPUT)]
    hex: bool,
    /// The input is the bytes of a stream, even if it begins as a capture does.
    ///
    /// The same for one that begins as a compressed file does.
    #[arg(short, long, help_heading = help::INPUT, conflicts_with = "hex")]
    bytes: bool,
    /// Of a capture with several connections: show the one with this number, or `all`.
    #[arg(short = 'n', long, help_heading = help::INPUT, value_name = "N")]
    flow: Option<Which>,
    /// Go on after an error, with the next header, whole frame or mark that is found.
    ///
    /// With the next bytes that are a header (v1), with the next whole frame whose check is right (v2,
    /// chunked, mavlink, modbus-rtu-request, modbus-rtu-response, netstring, resp, ubx), or after the
    /// next mark (lines, crlf, nul, delim:, cobs, slip, hdlc).
    #[arg(short, long, help_heading = help::ERRORS)]
    resync: bool,
    /// Go on after a frame that is over the limit.
    #[arg(long, help_heading = help::ERRORS)]
    skip_oversize: bool,
    /// Show only frames of this kind, such as text or 0x41 (can be repeated).
    ///
    /// Or those whose header begins with this name, such as Query. For http1 a method or status such as GET
    /// or 404; for resp a type such as array, not a command such as SET.
    #[arg(short, long = "kind", help_heading = help::OUTPUT, value_name = "KIND", hide_possible_values = true,
          value_parser = Hinted { parse: StringValueParser::new(), names: kind_names })]
    kinds: Vec<String>,
    /// How many characters of each payload to show.
    #[arg(short, long, help_heading = help::OUTPUT, value_name = "CHARS", default_value_t = 60)]
    preview: u16,
    /// Show each payload, up to 64 KiB of it, as bytes with offsets.
    #[arg(long, help_heading = help::OUTPUT, conflicts_with = "json")]
    hexdump: bool,
    /// One JSON object a line, for scripts, with payloads of up to 64 KiB.
    ///
    /// These are whole, as `text` or `hex`; of larger ones there is the beginning, as `preview`.
    #[arg(short, long, help_heading = help::OUTPUT)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.resync && !args.format.can_search() {
        return Err(Failure::Usage(
            "only v1 headers can be found again, frames with a check, and marks: this format has \
             none of them; leave out --resync"
                .to_owned(),
        ));
    }
    exit_on_signal(|| ())?;
    if args.format.has_kinds() {
        for kind in &args.kinds {
            parse_kind(kind).map_err(|why| Failure::Usage(format!("--kind {kind}: {why}")))?;
        }
    }
    match Input::open(args)? {
        Kind::Stream(input) if args.flow.is_some() => Err(Failure::Usage(format!(
            "{} is no capture of packets, but the bytes of one stream: leave out --flow",
            input.name
        ))),
        Kind::Stream(input) => stream(args, input),
        Kind::Capture(input) => capture(args, input),
        Kind::Columns(Columns::Bytes(bytes)) => {
            let mut bytes = Some(bytes);
            bytes_of(args, |chunk| {
                *chunk = bytes.take().unwrap_or_default();
                Ok(())
            })
        }
        Kind::Columns(Columns::Sides(sides)) => follow::sides(args, &sides),
        Kind::Columns(Columns::Packets(packets)) => {
            let mut packets = Some(packets);
            follow::run(args, &mut || {
                let packets = if args.flow.is_some() {
                    packets.take().unwrap_or_default()
                } else {
                    packets.clone().unwrap_or_default()
                };
                Ok(Box::new(DumpedPackets(packets.into_iter())) as Box<dyn Packets>)
            })
        }
    }
}

/// Lists the frames of a capture of packets.
fn capture(args: &Args, input: Input) -> Result<(), Failure> {
    // It is read twice if nobody has said which connection to follow.
    if args.flow.is_some() {
        let mut reader = Some(input.into_reader());
        return follow::run(args, &mut || match reader.take() {
            Some(reader) => Ok(Box::new(CaptureFile::new(reader)) as Box<dyn Packets>),
            None => Err(Failure::job("the capture was read already")),
        });
    }
    let path = args.file.as_ref().filter(|path| path.as_os_str() != "-" && path.is_file());
    if let Some(path) = path {
        return follow::run(args, &mut || {
            let file = File::open(path).map_err(|error| {
                Failure::job(format!("cannot open {}: {error}", path.display()))
            })?;
            let reader = BufReader::with_capacity(CHUNK_LEN, file);
            Ok(Box::new(CaptureFile::new(reader)) as Box<dyn Packets>)
        });
    }
    let bytes: std::rc::Rc<[u8]> = input.into_bytes()?.into();
    follow::run(args, &mut || {
        Ok(Box::new(CaptureFile::new(Cursor::new(bytes.clone()))) as Box<dyn Packets>)
    })
}

/// Lists the frames of a stream.
fn stream(args: &Args, mut input: Input) -> Result<(), Failure> {
    let mut hint = None;
    let mut first = true;
    let mut look = |chunk: &[u8]| {
        if std::mem::take(&mut first) && !args.hex {
            let beginning = chunk.get(..chunk.len().min(4096)).unwrap_or_default();
            hint = dump::looks_like(beginning);
        }
    };
    let result = bytes_of(args, |chunk| {
        input.next(chunk)?;
        look(chunk);
        Ok(())
    });
    if let (Err(Failure::Reported), Some(what)) = (&result, hint) {
        crate::term::output::print_error(&format!("the input looks like {what}"));
    }
    result
}

/// Lists the frames of a stream whose next bytes `next` puts into a buffer, none at the end.
fn bytes_of(
    args: &Args,
    mut next: impl FnMut(&mut Vec<u8>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut printer = Printer::new(args);
    let mut stream = Stream::new(args);
    let listed = list(args, &mut next, &mut printer, &mut stream);
    match listed {
        // Nobody reads the rest, so it is not read either. What was found is told.
        Err(Failure::OutputClosed) if stream.errors > 0 => Err(Failure::Reported),
        listed => listed,
    }
}

fn list(
    args: &Args,
    next: &mut impl FnMut(&mut Vec<u8>) -> Result<(), Failure>,
    printer: &mut Printer,
    stream: &mut Stream,
) -> Result<(), Failure> {
    let mut headed = false;
    let mut chunk = Vec::with_capacity(CHUNK_LEN);
    while !stream.is_done() {
        if let Err(failure) = next(&mut chunk) {
            printer.flush()?;
            return Err(failure);
        }
        // Only after the first read has succeeded.
        if !headed {
            printer.heading(false)?;
            headed = true;
        }
        if chunk.is_empty() {
            stream.end(printer, None)?;
            break;
        }
        stream.push(printer, None, &chunk)?;
        printer.flush()?;
    }
    let (frames, errors, bytes) = (stream.frames, stream.errors, stream.position());
    if args.json {
        printer.event(&Event::End { frames, errors, bytes })?;
    } else {
        let frames = count(frames, "whole frame");
        printer.line(&match stream.stopped {
            Some(at) => {
                let whole = count_bytes(stream.whole);
                format!("{frames} ({whole}); stopped at byte {at}")
            }
            None => format!("{frames}, {} read", count_bytes(bytes)),
        })?;
    }
    printer.report_kinds()?;
    printer.flush()?;
    if errors == 0 { Ok(()) } else { Err(Failure::Reported) }
}
