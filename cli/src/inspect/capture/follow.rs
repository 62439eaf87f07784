//! Follows the connections of a capture: decodes each direction, and lists the connections.

use std::collections::HashMap;
use std::io::Read;

use super::file::{CaptureError, CaptureFile, Packet};
use super::flows::{At, Flow, Flows, Sink};
use super::reassembly::Event;
use crate::inspect::Args;
use crate::inspect::names::{Place, Side};
use crate::inspect::print::{self, Directions, Printer};
use crate::inspect::stream::Stream;
use crate::term::bytes::{count, count_bytes};
use crate::term::output::Failure;
use crate::term::time::since_epoch;

/// Which connections are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    One(u32),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "all" => Ok(Self::All),
            Ok(number) if number > 0 => Ok(Self::One(number)),
            _ => Err("give the number of a flow, from 1, or `all`".to_owned()),
        }
    }
}

/// Where packets come from.
pub(crate) trait Packets {
    fn next(&mut self) -> Result<Option<Packet>, CaptureError>;
}

impl<R: Read> Packets for CaptureFile<R> {
    fn next(&mut self) -> Result<Option<Packet>, CaptureError> {
        CaptureFile::next(self)
    }
}

/// The numbers of a connection's frames.
#[derive(Clone, Copy, Default)]
struct Counts {
    frames: [u64; 2],
    errors: u64,
    /// The format that a side's bytes look like.
    looks_like: Option<&'static str>,
}

/// Decodes the connections that are followed.
struct Follower<'p, 'a> {
    args: &'a Args,
    which: Which,
    printer: &'p mut Printer<'a>,
    /// What the client and the server of each connection have sent.
    streams: HashMap<u32, [Option<Stream<'a>>; 2]>,
    counts: Vec<Counts>,
    bytes: u64,
}

/// The result of reading a capture.
pub(crate) struct Done {
    flows: Flows,
    counts: Vec<Counts>,
    /// What ended the reading before the end of the capture.
    error: Option<CaptureError>,
    bytes: u64,
}

impl Follower<'_, '_> {
    fn count(&mut self, number: u32, add: impl FnOnce(&mut Counts)) {
        let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        if self.counts.len() <= index {
            self.counts.resize(index + 1, Counts::default());
        }
        if let Some(counts) = self.counts.get_mut(index) {
            add(counts);
        }
    }

    fn add(&mut self, number: u32, side: Side, stream: &Stream<'_>) {
        let (frames, errors, looks_like) = (stream.frames, stream.errors, stream.looks_like);
        self.count(number, |counts| {
            if let Some(n) = counts.frames.get_mut(side.of()) {
                *n += frames;
            }
            counts.errors += errors;
            counts.looks_like = counts.looks_like.or(looks_like);
        });
    }
}

impl Sink for Follower<'_, '_> {
    fn event(&mut self, at: &At, event: Event<'_>) -> Result<(), Failure> {
        let place = &at.place;
        if let Which::One(number) = self.which
            && number != place.flow
        {
            return Ok(());
        }
        if let Event::Data(data) = event {
            self.bytes += data.len() as u64;
        }
        if at.is_udp {
            // Each datagram is a stream of its own.
            let mut stream = Stream::new(self.args);
            match event {
                Event::Data(data) => {
                    stream.push(self.printer, Some(place), data)?;
                    stream.end(self.printer, Some(place))?;
                }
                Event::Gap(len) => stream.gap(self.printer, Some(place), len)?,
            }
            self.add(place.flow, place.side, &stream);
            return Ok(());
        }
        let streams = self.streams.entry(place.flow).or_default();
        let Some(stream) = streams.get_mut(place.side.of()) else { return Ok(()) };
        let args = self.args;
        let stream = stream.get_or_insert_with(|| {
            if at.has_beginning { Stream::new(args) } else { Stream::without_beginning(args) }
        });
        match event {
            Event::Data(data) => stream.push(self.printer, Some(place), data),
            Event::Gap(len) => stream.gap(self.printer, Some(place), len),
        }
    }

    fn end(&mut self, flow: &Flow) -> Result<(), Failure> {
        let Some(streams) = self.streams.remove(&flow.number) else { return Ok(()) };
        for (side, stream) in [Side::Client, Side::Server].into_iter().zip(streams) {
            let Some(mut stream) = stream else { continue };
            let place = Place { flow: flow.number, side, time: flow.ended };
            stream.end(self.printer, Some(&place))?;
            self.add(flow.number, side, &stream);
        }
        Ok(())
    }
}

/// Reads a capture, and prints the frames of the connections that are followed.
pub(crate) fn read<'a>(
    args: &'a Args,
    which: Which,
    printer: &mut Printer<'a>,
    packets: &mut dyn Packets,
) -> Result<Done, Failure> {
    let mut flows = Flows::default();
    let mut follower =
        Follower { args, which, printer, streams: HashMap::new(), counts: Vec::new(), bytes: 0 };
    let error = loop {
        match packets.next() {
            Ok(Some(packet)) => {
                follower.printer.begin(packet.time);
                flows.packet(&packet, &mut follower)?;
                if flows.packets.is_multiple_of(256) {
                    follower.printer.flush()?;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    flows.finish_all(&mut follower)?;
    let (counts, bytes) = (follower.counts, follower.bytes);
    Ok(Done { flows, counts, error, bytes })
}

/// Reads a capture: follows the connections that `--flow` says; without it the only one, or lists
/// them. `open` begins from the first packet each time.
pub(crate) fn run(
    args: &Args,
    open: &mut dyn FnMut() -> Result<Box<dyn Packets>, Failure>,
) -> Result<(), Failure> {
    let mut printer = Printer::new(args);
    let which = match args.flow {
        Some(which) => which,
        None => {
            printer.set_quiet(true);
            let done = read(args, Which::All, &mut printer, &mut *open()?)?;
            printer.set_quiet(false);
            let with_bytes = || done.flows.flows.iter().filter(|flow| flow.bytes != [0, 0]);
            match (with_bytes().next(), with_bytes().count()) {
                (Some(only), 1) => Which::One(only.number),
                _ => return list(&mut printer, &done, true),
            }
        }
    };
    printer.heading(true)?;
    let done = read(args, which, &mut printer, &mut *open()?)?;
    if let Which::One(number) = which
        && done.flows.flows.iter().all(|flow| flow.number != number)
    {
        printer.flush()?;
        let flows = count(done.flows.flows.len() as u64, "flow");
        return Err(Failure::job(format!("there is no flow {number}; the capture has {flows}")));
    }
    list(&mut printer, &done, false)
}

/// Prints the connections, and what was left out.
pub(crate) fn list(printer: &mut Printer<'_>, done: &Done, all: bool) -> Result<(), Failure> {
    let flows = &done.flows;
    let (mut frames, mut errors) = (0, 0);
    for (i, flow) in flows.flows.iter().enumerate() {
        let counts = done.counts.get(i).copied().unwrap_or_default();
        errors += counts.errors;
        frames += counts.frames.iter().sum::<u64>();
        if !all && counts.frames == [0, 0] && counts.errors == 0 {
            continue;
        }
        let [client, server] = flow.bytes;
        let bytes = Directions { client, server };
        let [client, server] = counts.frames;
        if printer.is_json() {
            printer.event(&print::Event::Flow {
                flow: flow.number,
                protocol: if flow.is_udp { "udp" } else { "tcp" },
                client: flow.client.to_string(),
                server: flow.server.to_string(),
                bytes,
                frames: Directions { client, server },
                errors: counts.errors,
                began: flow.began.and_then(since_epoch),
                ended: flow.ended.and_then(since_epoch),
                end: flow.end(),
            })?;
            continue;
        }
        let protocol = if flow.is_udp { ", UDP" } else { "" };
        let errors = match counts.errors {
            0 => String::new(),
            n => {
                let looks = counts.looks_like.map(|name| format!(" (looks like {name})"));
                format!("; {}{}", count(n, "error"), looks.unwrap_or_default())
            }
        };
        printer.line(&format!(
            "flow {}{protocol}: client {} sent {} in {}, server {} sent {} in {}; {}{errors}",
            flow.number,
            flow.client,
            count_bytes(bytes.client),
            count(client, "frame"),
            flow.server,
            count_bytes(bytes.server),
            count(server, "frame"),
            flow.end(),
        ))?;
    }
    if printer.is_json() {
        let bytes = done.bytes;
        printer.event(&print::Event::End { frames, errors, bytes })?;
    } else {
        let of_flows = count(flows.flows.len() as u64, "flow");
        let packets = count(flows.packets, "packet");
        let frames = count(frames, "whole frame");
        printer
            .line(&format!("{packets}, {of_flows}, {frames}, {} read", count_bytes(done.bytes)))?;
        if all && !flows.flows.is_empty() {
            printer.line("see the frames of a flow with --flow N, or of all with --flow all")?;
        }
    }
    printer.report_kinds()?;
    for note in flows.notes() {
        printer.report(None, &note)?;
    }
    printer.flush()?;
    if let Some(error) = &done.error {
        return Err(Failure::job(error.to_string()));
    }
    // A list is whole even if a connection speaks another protocol, and says so.
    if (all || errors == 0) && !flows.is_incomplete() { Ok(()) } else { Err(Failure::Reported) }
}

/// Prints the frames of both sides of a connection, whose bytes are in the order in which they were sent.
pub(crate) fn sides(args: &Args, parts: &[(Side, Vec<u8>)]) -> Result<(), Failure> {
    let mut printer = Printer::new(args);
    printer.heading(true)?;
    let mut streams = [Stream::new(args), Stream::new(args)];
    let place = |side| Place { flow: 1, side, time: None };
    for (side, bytes) in parts {
        if let Some(stream) = streams.get_mut(side.of()) {
            stream.push(&mut printer, Some(&place(*side)), bytes)?;
        }
    }
    let (mut frames, mut errors, mut read) = (0, 0, 0);
    for (side, stream) in [Side::Client, Side::Server].into_iter().zip(&mut streams) {
        stream.end(&mut printer, Some(&place(side)))?;
        frames += stream.frames;
        errors += stream.errors;
        read += stream.position();
    }
    if printer.is_json() {
        printer.event(&print::Event::End { frames, errors, bytes: read })?;
    } else {
        let frames = count(frames, "whole frame");
        printer.line(&format!("{frames}, {} read", count_bytes(read)))?;
    }
    printer.report_kinds()?;
    printer.flush()?;
    if errors == 0 { Ok(()) } else { Err(Failure::Reported) }
}
