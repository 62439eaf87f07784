//! What is dropped or pasted: bytes, text with bytes in hexadecimal, or a capture of packets.

use std::collections::BTreeMap;

use crate::inspect::capture::file::{CaptureError, CaptureFile, Packet, is_capture};
use crate::inspect::capture::flows::{At, Flow, Flows, Sink};
use crate::inspect::capture::reassembly::Event;
use crate::inspect::dump::{self, Columns, Dumped, PlainReader};
use crate::inspect::names::Side;
use crate::term::bytes::count_bytes;
use crate::term::output::Failure;

/// The bytes that one side has sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The offsets at which packets ended.
    pub(crate) cuts: Vec<usize>,
    /// What is not in the bytes.
    pub(crate) notes: Vec<String>,
}

impl Stream {
    fn named(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), bytes, ..Self::default() }
    }
}

/// Reads a file: a capture, text with bytes in hexadecimal, or the bytes themselves.
pub(crate) fn file(bytes: &[u8]) -> Result<Vec<Stream>, String> {
    if is_capture(bytes) {
        let mut file = CaptureFile::new(bytes);
        return capture(&mut || file.next());
    }
    let beginning = bytes.get(..bytes.len().min(dump::DECIDE_LEN)).unwrap_or_default();
    let is_hex = dump::looks_like(beginning).is_some_and(|what| what.starts_with("hexadecimal"));
    match std::str::from_utf8(bytes) {
        Ok(hex) if is_hex => text(hex),
        _ => Ok(vec![Stream::named("the bytes of the file", bytes.to_vec())]),
    }
}

/// Reads text with bytes in hexadecimal, as tools print them.
pub(crate) fn text(text: &str) -> Result<Vec<Stream>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let columns = dump::has_columns(text)?;
    if let Some(advice) = dump::advice(text) {
        // Without the command of a shell.
        return Err(advice.split("; try `").next().unwrap_or(advice).to_owned());
    }
    if !columns {
        let (mut reader, mut bytes) = (PlainReader::new(), Vec::new());
        reader.push(text.as_bytes(), &mut bytes)?;
        reader.finish(&mut bytes)?;
        return Ok(vec![Stream::named("hexadecimal text", bytes)]);
    }
    match dump::parse(text)? {
        Columns::Bytes(bytes) => Ok(vec![Stream::named("a dump with offsets", bytes)]),
        Columns::Sides(parts) => {
            let mut streams = [Side::Client, Side::Server].map(|side| {
                Stream::named(&format!("what the {} has sent", side.name()), Vec::new())
            });
            for (side, bytes) in parts {
                if let Some(stream) = streams.get_mut(side.of()) {
                    stream.bytes.extend_from_slice(&bytes);
                    stream.cuts.push(stream.bytes.len());
                }
            }
            Ok(streams.into_iter().filter(|stream| !stream.bytes.is_empty()).collect())
        }
        Columns::Packets(packets) => {
            let mut packets = packets.into_iter();
            capture(&mut || {
                Ok(packets.next().map(|Dumped { link, time, data }| Packet { time, link, data }))
            })
        }
    }
}

/// What the sides of all connections have sent.
#[derive(Default)]
struct Sides {
    streams: BTreeMap<(u32, usize), Stream>,
    /// Where bytes are missing, nothing more is kept.
    cut: Vec<(u32, usize)>,
}

impl Sink for Sides {
    fn event(&mut self, at: &At, event: Event<'_>) -> Result<(), Failure> {
        let key = (at.place.flow, at.place.side.of());
        let stream = self.streams.entry(key).or_default();
        if self.cut.contains(&key) {
            return Ok(());
        }
        if stream.bytes.is_empty() && !at.has_beginning {
            stream.notes.push("the capture begins within the connection".to_owned());
        }
        match event {
            Event::Data(data) => {
                stream.bytes.extend_from_slice(data);
                stream.cuts.push(stream.bytes.len());
            }
            Event::Gap(len) => {
                let (at, len) = (stream.bytes.len(), count_bytes(len));
                stream.notes.push(format!(
                    "{len} missing in the capture after byte {at}: shown up to there"
                ));
                self.cut.push(key);
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &Flow) -> Result<(), Failure> {
        Ok(())
    }
}

/// Follows the connections of a capture.
fn capture(
    next: &mut dyn FnMut() -> Result<Option<Packet>, CaptureError>,
) -> Result<Vec<Stream>, String> {
    let (mut flows, mut sides) = (Flows::default(), Sides::default());
    let mut notes = Vec::new();
    loop {
        match next() {
            Ok(Some(packet)) => {
                let Ok(()) = flows.packet(&packet, &mut sides);
            }
            Ok(None) => break,
            Err(error) => {
                notes.push(error.to_string());
                break;
            }
        }
    }
    let Ok(()) = flows.finish_all(&mut sides);
    notes.extend(flows.notes());
    let mut out = Vec::new();
    for ((number, side), mut stream) in sides.streams {
        let Some(flow) = flows.flows.iter().find(|flow| flow.number == number) else { continue };
        if stream.bytes.is_empty() {
            continue;
        }
        let (from, to) = match side {
            0 => (flow.client, flow.server),
            _ => (flow.server, flow.client),
        };
        let who = if side == 0 { "client" } else { "server" };
        let len = count_bytes(stream.bytes.len() as u64);
        stream.name = format!("flow {number}, {who} {from} to {to}: {len}");
        if flow.is_udp {
            stream.notes.push("the datagrams of UDP, one after the other".to_owned());
        }
        stream.notes.extend(notes.iter().cloned());
        out.push(stream);
    }
    if out.is_empty() {
        let why = notes.first().cloned();
        return Err(why.unwrap_or_else(|| "the capture has no bytes of a connection".to_owned()));
    }
    Ok(out)
}
