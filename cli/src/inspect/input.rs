//! The input of `inspect`: a file or standard input, and what it is: the bytes of a stream, a capture of
//! packets, or text that stands for either.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use super::capture::file::{CaptureError, Packet, is_capture};
use super::capture::follow::Packets;
use super::dump::{self, Columns, DECIDE_LEN, Dumped, PlainReader};
use super::{Args, CHUNK_LEN};
use crate::term::output::{Failure, note};

/// The maximum length of a capture on standard input that is read twice.
const MAX_HELD: u64 = 256 << 20;
/// The maximum length of a text with columns.
const MAX_TEXT: u64 = 64 << 20;
/// The number of bytes that tell what an input is.
const MAGIC_LEN: usize = 16;

/// The beginnings of compressed files, what they are, and the command that uncompresses them.
const COMPRESSED: [(&[u8], &str, &str); 7] = [
    (b"\x1f\x8b\x08", "gzip", "gunzip -c FILE | unstick inspect"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc FILE | unstick inspect"),
    (b"PK\x03\x04", "zip", "unzip -p FILE | unstick inspect"),
    (b"\xfd7zXZ\0", "xz", "xz -dc FILE | unstick inspect"),
    (b"BZh91AY&SY", "bzip2", "bunzip2 -c FILE | unstick inspect"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc FILE | unstick inspect"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", "7z x -so FILE | unstick inspect"),
];
/// Captures in formats that are not read.
const OTHER_CAPTURES: [(&[u8], &str); 3] = [
    (b"snoop\0\0\0", "a capture of snoop"),
    (b"\xa1\xb2\xcd\x34", "a pcap file of a patched tcpdump"),
    (b"\x34\xcd\xb2\xa1", "a pcap file of a patched tcpdump"),
];

/// The input, which knows its name.
pub(crate) struct Input {
    source: Box<dyn Read>,
    pub(crate) name: String,
    /// The beginning, as far as it was read to see what the input is.
    pub(crate) beginning: Vec<u8>,
    hex: Option<PlainReader>,
    text: Vec<u8>,
}

/// What an input is.
pub(crate) enum Kind {
    Stream(Input),
    Capture(Input),
    Columns(Columns),
}

impl Input {
    pub(crate) fn open(args: &Args) -> Result<Kind, Failure> {
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
        let text = vec![0; CHUNK_LEN];
        let mut input = Self { source, name, beginning: Vec::new(), hex: None, text };
        if args.hex {
            return input.decide_text();
        }
        if args.bytes {
            return Ok(Kind::Stream(input));
        }
        while input.beginning.len() < MAGIC_LEN && may_be_known(&input.beginning) {
            let n = input.read()?;
            if n == 0 {
                break;
            }
            let read = input.text.get(..n).unwrap_or_default();
            input.beginning.extend_from_slice(read);
        }
        let beginning = &input.beginning;
        if is_capture(beginning) {
            return Ok(Kind::Capture(input));
        }
        // The flags of gzip have three bits that are zero.
        let flags = beginning.get(3).is_none_or(|flags| *flags < 0x20);
        let found = COMPRESSED.iter().find(|(magic, ..)| beginning.starts_with(magic));
        if let Some((_, what, how)) = found.filter(|(_, what, _)| *what != "gzip" || flags) {
            return Err(Failure::job(format!(
                "{}: this is a {what} file, not the bytes of a stream: try `{how}`; if it is a \
                 stream that begins like one, give --bytes",
                input.name
            )));
        }
        let found = OTHER_CAPTURES.iter().find(|(magic, _)| beginning.starts_with(magic));
        if let Some((_, what)) = found {
            return Err(Failure::job(format!(
                "{}: this is {what}, which is not read: try `editcap -F pcapng FILE NEW`; if it is \
                 a stream that begins like one, give --bytes",
                input.name
            )));
        }
        Ok(Kind::Stream(input))
    }

    /// Reads into `text`; 0 at the end.
    fn read(&mut self) -> Result<usize, Failure> {
        loop {
            match self.source.read(&mut self.text) {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(Failure::job(format!("cannot read {}: {error}", self.name)));
                }
            }
        }
    }

    fn failed(&self, what: &str) -> Failure {
        Failure::job(format!("{}, {what}", self.name))
    }

    /// Decides whether text has columns, and reads it if it has.
    fn decide_text(mut self) -> Result<Kind, Failure> {
        let mut at_end = false;
        while self.beginning.len() < DECIDE_LEN && !at_end && !dump::is_plain(&self.beginning) {
            let n = self.read()?;
            at_end = n == 0;
            self.beginning.extend_from_slice(self.text.get(..n).unwrap_or_default());
        }
        let utf16 =
            self.beginning.starts_with(&[0xff, 0xfe]) || self.beginning.starts_with(&[0xfe, 0xff]);
        let beginning = decode(&self.beginning);
        let columns = dump::has_columns(&beginning).map_err(|why| self.failed(&why))?;
        if let Some(advice) = dump::advice(&beginning) {
            return Err(self.failed(advice));
        }
        if !columns && !utf16 {
            if let Some(rest) = self.beginning.strip_prefix(b"\xef\xbb\xbf") {
                self.beginning = rest.to_vec();
            }
            self.hex = Some(PlainReader::new());
            return Ok(Kind::Stream(self));
        }
        let mut all = std::mem::take(&mut self.beginning);
        let mut rest = (&mut self.source).take(MAX_TEXT);
        rest.read_to_end(&mut all)
            .map_err(|error| Failure::job(format!("cannot read {}: {error}", self.name)))?;
        if all.len() as u64 >= MAX_TEXT {
            return Err(self.failed(
                "this dump is longer than 64 MiB: print the bytes without columns, as `xxd -p` does",
            ));
        }
        let text = decode(&all);
        let columns = if columns {
            dump::parse(&text).map_err(|why| self.failed(&why))?
        } else {
            let (mut reader, mut bytes) = (PlainReader::new(), Vec::new());
            reader.push(text.as_bytes(), &mut bytes).map_err(|why| self.failed(&why))?;
            reader.finish(&mut bytes).map_err(|why| self.failed(&why))?;
            Columns::Bytes(bytes)
        };
        Ok(Kind::Columns(columns))
    }

    /// Replaces `chunk` with the next bytes; it is empty at the end.
    pub(crate) fn next(&mut self, chunk: &mut Vec<u8>) -> Result<(), Failure> {
        chunk.clear();
        loop {
            let n = if self.beginning.is_empty() {
                self.read()?
            } else {
                let n = self.beginning.len();
                if self.text.len() < n {
                    self.text.resize(n, 0);
                }
                for (to, from) in self.text.iter_mut().zip(self.beginning.drain(..)) {
                    *to = from;
                }
                n
            };
            let read = self.text.get(..n).unwrap_or_default();
            let Some(hex) = &mut self.hex else {
                chunk.extend_from_slice(read);
                return Ok(());
            };
            let parsed = if n == 0 { hex.finish(chunk) } else { hex.push(read, chunk) };
            parsed.map_err(|why| self.failed(&why))?;
            if n == 0 || !chunk.is_empty() {
                return Ok(());
            }
        }
    }

    /// Returns a reader of the whole input.
    pub(crate) fn into_reader(self) -> Box<dyn Read> {
        Box::new(io::BufReader::with_capacity(
            CHUNK_LEN,
            io::Cursor::new(self.beginning).chain(self.source),
        ))
    }

    /// Reads the whole input, so that it can be read twice.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, Failure> {
        let name = self.name.clone();
        let mut all = Vec::new();
        self.into_reader()
            .take(MAX_HELD + 1)
            .read_to_end(&mut all)
            .map_err(|error| Failure::job(format!("cannot read {name}: {error}")))?;
        if all.len() as u64 > MAX_HELD {
            return Err(Failure::job(format!(
                "{name}: more than 256 MiB of a capture that can be read only once: give a file, or \
                 the flow with --flow"
            )));
        }
        Ok(all)
    }
}

/// Returns whether an input that begins like this can be one of those that are known.
fn may_be_known(beginning: &[u8]) -> bool {
    let known = COMPRESSED.iter().map(|(magic, ..)| *magic);
    let known = known.chain(OTHER_CAPTURES.iter().map(|(magic, _)| *magic)).chain([
        &b"\xa1\xb2\xc3\xd4"[..],
        b"\xd4\xc3\xb2\xa1",
        b"\xa1\xb2\x3c\x4d",
        b"\x4d\x3c\xb2\xa1",
        b"\x0a\x0d\x0d\x0a",
    ]);
    known.into_iter().any(|magic| {
        let n = magic.len().min(beginning.len());
        magic.get(..n) == beginning.get(..n)
    })
}

/// Decodes text in UTF-8, or in UTF-16 with a mark in front.
fn decode(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes.chunks(2).filter_map(|pair| Some(unit(*pair.first_chunk()?))).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The packets of a dump.
pub(crate) struct DumpedPackets(pub(crate) std::vec::IntoIter<Dumped>);

impl Packets for DumpedPackets {
    fn next(&mut self) -> Result<Option<Packet>, CaptureError> {
        Ok(self.0.next().map(|Dumped { link, time, data }| Packet { time, link, data }))
    }
}
