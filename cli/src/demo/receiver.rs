//! The receiver of the demo's messages, which looks at each read.

use std::io::{self, Read};
use std::sync::mpsc;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use unstick::header::HEADER_LEN;
use unstick::{DecodeError, Decoder, Framing, Kind, Piece, V1};

use super::describe::{Span, describe};
use super::{Counts, Expected, MAX_MESSAGE_LEN, Report, Sample, Wrong};

/// The size of the receiver's buffer, and the maximum a read returns.
const RECV_LEN: usize = 64 << 10;

/// Reads from the socket, and records what each read returned.
pub(super) struct Receiver {
    expected: mpsc::Receiver<Expected>,
    bar: ProgressBar,
    decoder: Decoder,
    pub(super) report: Report,
    samplers: Vec<Sampler>,
    /// The frame that is incomplete.
    open: Option<OpenFrame>,
}

struct OpenFrame {
    span: Span,
    kind: Kind,
    digest: Sha256,
}

/// Returns whether a read is worth showing. Each sampler selects one read.
type Sampler = fn(&ReadFacts) -> bool;

/// The maximum number of characters in the description of a read, so that its row fits 100 columns.
const MAX_HOLDS: usize = 57;

/// The facts about a decoded read by which samplers select.
struct ReadFacts {
    whole: usize,
    parts: usize,
    in_header: bool,
    in_character: bool,
    delivered: usize,
}

const SAMPLERS: [Sampler; 5] = [
    |facts| facts.in_header && facts.whole == 0 && facts.parts == 1,
    |facts| facts.in_header && facts.whole > 0 && facts.parts > facts.whole + 1,
    |facts| (3..40).contains(&facts.whole) && facts.parts > facts.whole,
    |facts| facts.in_character,
    |facts| facts.whole == 0 && facts.delivered == 1 && facts.parts == 2 && !facts.in_header,
];

impl Receiver {
    pub(super) fn new(expected: mpsc::Receiver<Expected>, bar: ProgressBar) -> Self {
        let framing = Framing::new(V1).with_limit(MAX_MESSAGE_LEN as u64);
        Self {
            expected,
            bar,
            decoder: Decoder::with_framing(framing),
            report: Report {
                counts: Counts::default(),
                bytes: 0,
                recvs: 0,
                cut_inside: 0,
                cut_in_header: 0,
                millis: 0,
                port: None,
                error: None,
                wrong: None,
                samples: Vec::new(),
            },
            samplers: SAMPLERS.to_vec(),
            open: None,
        }
    }

    pub(super) fn run(&mut self, mut socket: impl Read) -> io::Result<()> {
        let mut buf = vec![0; RECV_LEN];
        let ended = loop {
            let n = match socket.read(&mut buf) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if n == 0 {
                break self.decoder.finish();
            }
            if let Err(error) = self.recv(buf.get(..n).unwrap_or_default()) {
                break Err(error);
            }
        };
        self.report.error = ended.err().map(|error| error.to_string());
        self.bar.finish_and_clear();
        Ok(())
    }

    /// Decodes what one read returned.
    fn recv(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let start = self.report.bytes;
        let end = start + bytes.len() as u64;
        self.report.recvs += 1;
        self.report.bytes = end;

        let mut touched: Vec<_> = self.open.iter().map(|open| open.span).collect();
        let mut delivered = Vec::new();
        let mut in_character = false;
        let mut input = bytes;
        while let Some(piece) = self.decoder.decode(&mut input)? {
            in_character = !piece.last && ends_in_character(piece.bytes);
            self.piece(&piece, &mut touched, &mut delivered);
        }
        in_character &= self.open.as_ref().is_some_and(|open| open.kind == Kind::TEXT);

        // The rest of the bytes is the beginning of a header.
        let decoded = touched.last().map_or(start, |span| span.end.unwrap_or(start).min(end));
        let in_header = self.open.is_none() && self.decoder.finish().is_err();
        if in_header {
            // A header that began in an earlier read belongs to the same frame.
            let number = self.report.counts.arrived + 1;
            let start = if touched.is_empty() { self.header_start() } else { decoded };
            touched.push(Span { number, start, end: None });
        }
        self.report.cut_inside += u64::from(in_header || self.open.is_some());
        self.report.cut_in_header += u64::from(in_header);

        let facts = ReadFacts {
            whole: touched
                .iter()
                .filter(|span| span.start >= start && span.end.is_some_and(|last| last <= end))
                .count(),
            parts: touched.len(),
            in_header,
            in_character,
            delivered: delivered.len(),
        };
        self.sample(&facts, start, end, &touched, &delivered);
        Ok(())
    }

    fn piece(
        &mut self,
        piece: &Piece<'_, Kind>,
        touched: &mut Vec<Span>,
        delivered: &mut Vec<u64>,
    ) {
        if let Some(header) = &piece.header {
            let before = (header.header_len + piece.bytes.len()) as u64;
            let start = self.decoder.position() - before;
            let end = Some(start + header.frame_len());
            let span = Span { number: self.report.counts.arrived + 1, start, end };
            touched.push(span);
            self.open = Some(OpenFrame { span, kind: header.meta, digest: Sha256::new() });
        }
        if let Some(open) = &mut self.open {
            open.digest.update(piece.bytes);
        }
        if piece.last
            && let Some(open) = self.open.take()
        {
            self.arrived(open, delivered);
        }
    }

    fn arrived(&mut self, open: OpenFrame, delivered: &mut Vec<u64>) {
        self.report.counts.arrived += 1;
        delivered.push(open.span.number);
        let digest: [u8; 32] = open.digest.finalize().into();
        // The sender records each message before it sends it.
        if let Ok(expected) = self.expected.recv()
            && expected.kind == open.kind
            && expected.digest == digest
        {
            self.report.counts.intact += 1;
        } else {
            self.report.wrong.get_or_insert(Wrong::new(open.span));
        }
        self.bar.inc(1);
    }

    /// Returns the stream offset at which the incomplete header began.
    fn header_start(&self) -> u64 {
        let missing = match self.decoder.finish() {
            Err(DecodeError::Truncated { missing, .. }) => missing,
            _ => 0,
        };
        (self.decoder.position() + missing).saturating_sub(HEADER_LEN as u64)
    }

    fn sample(
        &mut self,
        facts: &ReadFacts,
        start: u64,
        end: u64,
        touched: &[Span],
        delivered: &[u64],
    ) {
        let Some(index) = self.samplers.iter().position(|selects| selects(facts)) else { return };
        let mut holds = describe(start, end, touched);
        if facts.in_character {
            holds.push_str(" (cut in a character)");
        }
        // Wait for another read whose description fits.
        if holds.len() > MAX_HOLDS {
            return;
        }
        self.samplers.remove(index);
        let delivered = match delivered {
            [] => "nothing yet".to_owned(),
            [one] => format!("message {one}"),
            [first, last] => format!("messages {first} and {last}"),
            [first, .., last] => format!("messages {first} to {last}"),
        };
        let recv = self.report.recvs;
        self.report.samples.push(Sample { recv, bytes: end - start, holds, delivered });
    }
}

/// Returns whether UTF-8 text would have to continue after these bytes.
fn ends_in_character(bytes: &[u8]) -> bool {
    bytes.iter().rev().take(3).enumerate().any(|(following, byte)| match byte {
        0xc0..=0xdf => following < 1,
        0xe0..=0xef => following < 2,
        0xf0..=0xf7 => following < 3,
        _ => false,
    })
}
