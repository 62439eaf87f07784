//! Every framing through every path: the same payloads are written and read by each of them, over
//! transports that cut at random.
//!
//! A table is printed (`cargo test --test adapters every_framing -- --nocapture`), with `ok` for what
//! was run and `-` for what a framing does not have: the number of cells is checked, too.

use std::fmt::Debug;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::{SinkExt, StreamExt};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder as _, Framed};
use unstick::check::{Crc16X25, Crc32Iscsi, EndBytes};
use unstick::codec::{BytesFrame, FrameCodec, PayloadCodec, WholeFrameCodec};
use unstick::engine::Next;
use unstick::scan::{Scan, Scanner};
use unstick::{
    Accepted, AnyDelimiter, Check, Checked, Cobs, DatagramPacker, DecodeError, Decoder, Delimited,
    EncodeError, Encoder, Fixed, FrameBuf, FrameError, Framing, Hdlc, Kind, KnownLength, Lines,
    Mark, Marked, Pushed, Resync, Search, Slip, Storage, U16Be, U32Be, Unit, V1, Wire, WriteBuf,
    WriteBufError,
};
use unstick::{embedded_io, embedded_io_async, futures as over_futures, io, tokio as over_tokio};
use unstick_testing::embedded::{Dice, room};
use unstick_testing::script::{Drain, Line, Source, Step, run};

/// A frame ends at `|`; `^` is an escape, after which a byte has its bit 0x01 inverted.
#[derive(Clone, Copy, Debug)]
struct Bars;

impl Mark for Bars {
    type State = (bool, bool);

    fn push(&self, (begun, escaped): &mut (bool, bool), byte: u8) -> Unit {
        let was_escaped = *escaped;
        match (was_escaped, byte) {
            (_, b'|') => {
                (*begun, *escaped) = (false, false);
                if was_escaped {
                    return Unit::Refused { error: FrameError::Aborted, ended: true };
                }
                Unit::End
            }
            (false, b'^') => {
                (*begun, *escaped) = (true, true);
                Unit::Nothing
            }
            (false, byte) => {
                *begun = true;
                Unit::Byte(byte)
            }
            (true, byte) => {
                *escaped = false;
                Unit::Byte(byte ^ 1)
            }
        }
    }

    fn max_wire_len(&self, content_len: u64) -> u64 {
        content_len.saturating_mul(2).saturating_add(1)
    }

    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        for &byte in content.iter().copied().flatten() {
            if matches!(byte, b'|' | b'^') {
                put(&[b'^', byte ^ 1]);
            } else {
                put(&[byte]);
            }
        }
        put(b"|");
        Ok(())
    }
}

/// The sum of the payload's bytes, without the header's.
#[derive(Clone, Copy, Debug)]
struct Sum;

impl Check for Sum {
    type Digest = u16;
    type Trailer = [u8; 2];

    fn begin(&self, _: &[u8]) -> u16 {
        0xA5
    }

    fn update(&self, digest: u16, run: &[u8]) -> u16 {
        run.iter().fold(digest, |sum, &byte| sum.rotate_left(1) ^ u16::from(byte))
    }

    fn trailer(&self, digest: u16) -> [u8; 2] {
        digest.to_le_bytes()
    }
}

/// What a path delivers.
#[derive(Clone, PartialEq, Eq)]
enum Event {
    Frame(Vec<u8>),
    OverLimit,
    Found { skipped: u64 },
}

impl Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(payload) => write!(f, "{}:{:?}", payload.len(), unstick::Escaped(payload)),
            Self::OverLimit => f.write_str("over the limit"),
            Self::Found { skipped } => write!(f, "found after {skipped}"),
        }
    }
}

fn over_limit(error: DecodeError) -> Event {
    match error {
        DecodeError::TooLong { .. } | DecodeError::Oversize { .. } => Event::OverLimit,
        error => panic!("{error}"),
    }
}

trait Subject: Wire<Meta: Unpin + Send> + Clone + Debug + Unpin + 'static {}
impl<W: Wire<Meta: Unpin + Send> + Clone + Debug + Unpin + 'static> Subject for W {}

/// A framing, and what can be written in it.
struct Row<W: Wire> {
    name: &'static str,
    wire: W,
    meta: W::Meta,
    /// A payload, and the frame that it is.
    sample: (&'static [u8], &'static [u8]),
    payloads: Vec<Vec<u8>>,
    /// Payloads, some of them over the limit of [`SHORT`] bytes.
    short_and_long: Vec<Vec<u8>>,
    knows_length: bool,
}

const SHORT: u64 = 10;
const LIMIT: u64 = 1 << 20;

impl<W: Subject> Row<W> {
    fn new(
        name: &'static str,
        wire: W,
        meta: W::Meta,
        sample: (&'static [u8], &'static [u8]),
    ) -> Self {
        let short_and_long =
            [5, 300, 0, 11, 10, 40_000, 4].map(|len| vec![b'y'; len]).into_iter().collect();
        let row = Self {
            name,
            wire,
            meta,
            sample,
            payloads: Vec::new(),
            short_and_long,
            knows_length: false,
        };
        row.with_payloads(b"", 20_000, true)
    }

    /// Payloads of this length at most, without the `refused` bytes.
    fn with_payloads(mut self, refused: &[u8], longest: usize, empty: bool) -> Self {
        let mut dice = Dice::new(7);
        let special = b"\0\n\r;,|^\x7E\x7D\xC0\xDB\xDC\xDD\xF5\x01\xFF".repeat(3);
        let long = (0..longest + 20_000).map(|_| dice.below(256) as u8).collect();
        let plain = vec![b'p'; 40_000];
        self.payloads = vec![
            b"a".to_vec(),
            Vec::new(),
            special,
            (0..=255).collect(),
            vec![b'z'; 254],
            long,
            b"short".to_vec(),
            plain,
            Vec::new(),
            b"the last".to_vec(),
        ];
        for payload in &mut self.payloads {
            payload.retain(|byte| !refused.contains(byte));
            payload.truncate(longest);
        }
        self.payloads.retain(|payload| empty || !payload.is_empty());
        self.short_and_long.retain(|payload| empty || !payload.is_empty());
        self
    }

    /// Payloads of this length only.
    fn with_len(mut self, len: usize) -> Self {
        let mut dice = Dice::new(8);
        self.payloads = (0..5).map(|_| (0..len).map(|_| dice.below(256) as u8).collect()).collect();
        self.short_and_long = self.payloads.clone();
        self
    }

    fn framing(&self, limit: u64) -> Framing<W> {
        Framing::new(self.wire.clone()).with_limit(limit)
    }

    fn encode(&self, payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for payload in payloads {
            self.framing(LIMIT).encode(&self.meta, payload, &mut out).unwrap();
        }
        out
    }

    /// The length of a storage for any frame within the limit.
    fn storage_len(&self, limit: u64) -> usize {
        Scanner::new(self.framing(limit)).max_frame_len() as usize
    }

    fn longest(&self) -> u64 {
        self.payloads.iter().map(Vec::len).max().unwrap() as u64
    }
}

/// How much each call moves, and, if the transport may wait, where it does.
fn steps(dice: &mut Dice, waits: bool) -> Vec<Step> {
    let step = |dice: &mut Dice| match dice.below(4) {
        0 if waits => Step::Pending,
        0 | 1 => Step::Move(1 + dice.below(3)),
        2 => Step::Move(1 + dice.below(100)),
        _ => Step::Move(1 + dice.below(20_000)),
    };
    (0..200).map(|_| step(dice)).collect()
}

fn chunks<'a>(dice: &mut Dice, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let most = [3, 3, 100, 20_000][dice.below(4)];
        let (chunk, rest) = bytes.split_at((1 + dice.below(most)).min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

/// What of the table is known.
#[derive(Default)]
struct Table {
    names: Vec<&'static str>,
    /// The paths in the order in which they were first run, with the framings.
    lines: Vec<(String, Vec<(usize, bool)>)>,
}

impl Table {
    fn cell(&mut self, path: String, test: impl FnMut(&mut Dice)) {
        let mut test = test;
        let ok = catch_unwind(AssertUnwindSafe(|| {
            for seed in 0..2 {
                test(&mut Dice::new(seed));
            }
        }));
        let row = self.names.len() - 1;
        if ok.is_err() {
            eprintln!("FAILED: {} through {path}", self.names[row]);
        }
        match self.lines.iter_mut().find(|(line, _)| *line == path) {
            Some((_, cells)) => cells.push((row, ok.is_ok())),
            None => self.lines.push((path, vec![(row, ok.is_ok())])),
        }
    }

    fn print(&self) -> String {
        let mut text = String::new();
        for (i, name) in self.names.iter().enumerate() {
            text += &format!("{:2} {name}\n", i + 1);
        }
        text += &format!("{:30}", "");
        (0..self.names.len()).for_each(|i| text += &format!(" {:>2}", i + 1));
        for (path, cells) in &self.lines {
            text += &format!("\n{path:30}");
            for i in 0..self.names.len() {
                let cell = cells.iter().find(|(row, _)| *row == i);
                text += cell.map_or("  -", |(_, ok)| if *ok { " ok" } else { " XX" });
            }
        }
        text + "\n"
    }
}

// Reading. Each path delivers its frames; one over the limit is skipped.

type Reads<W> = fn(&Row<W>, u64, &[u8], &mut Dice) -> Vec<Event>;

fn pieces_of<W: Subject>(
    events: &mut Vec<Event>,
    open: &mut Vec<u8>,
    piece: unstick::Piece<'_, W::Meta, W::Len>,
) {
    if piece.header.is_some() {
        open.clear();
    }
    open.extend_from_slice(piece.bytes);
    if piece.last {
        events.push(Event::Frame(std::mem::take(open)));
    }
}

fn ended<W: Subject>(mut decoder: Decoder<W>, mut open: Vec<u8>, events: &mut Vec<Event>) {
    while let Some(piece) = decoder.end().unwrap() {
        pieces_of::<W>(events, &mut open, piece);
    }
    assert!(decoder.is_at_boundary());
}

fn by_decode<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let mut decoder = Decoder::with_framing(row.framing(limit));
    let (mut events, mut open) = (Vec::new(), Vec::new());
    for mut input in chunks(dice, wire) {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(piece)) => pieces_of::<W>(&mut events, &mut open, piece),
                Ok(None) => break,
                Err(error) => {
                    events.push(over_limit(error));
                    decoder.skip_frame().unwrap();
                }
            }
        }
        assert_eq!(input.len(), 0);
    }
    ended(decoder, open, &mut events);
    events
}

fn by_pieces<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let mut decoder = Decoder::with_framing(row.framing(limit));
    let (mut events, mut open) = (Vec::new(), Vec::new());
    for mut input in chunks(dice, wire) {
        loop {
            let mut pieces = decoder.pieces(input);
            let mut failed = None;
            for piece in &mut pieces {
                match piece {
                    Ok(piece) => pieces_of::<W>(&mut events, &mut open, piece),
                    Err(error) => failed = Some(error),
                }
            }
            input = pieces.rest();
            let Some(error) = failed else { break };
            events.push(over_limit(error));
            decoder.skip_frame().unwrap();
        }
    }
    ended(decoder, open, &mut events);
    events
}

fn by_for_each<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let mut decoder = Decoder::with_framing(row.framing(limit));
    let (mut events, mut open) = (Vec::new(), Vec::new());
    for input in chunks(dice, wire) {
        decoder.for_each(input, |piece| pieces_of::<W>(&mut events, &mut open, piece)).unwrap();
    }
    ended(decoder, open, &mut events);
    events
}

fn by_buf<S: Storage, W: Subject>(
    mut buf: FrameBuf<S, W>,
    wire: &[u8],
    dice: &mut Dice,
) -> Vec<Event> {
    let mut events = Vec::new();
    for mut input in chunks(dice, wire) {
        while !input.is_empty() {
            input = &input[buf.extend(input)..];
            loop {
                let next = buf.next_frame().map(|frame| frame.map(|frame| frame.payload.to_vec()));
                match next {
                    Ok(Some(payload)) => events.push(Event::Frame(payload)),
                    Ok(None) => break,
                    Err(error) => {
                        events.push(over_limit(error));
                        buf.skip_frame().unwrap();
                    }
                }
            }
        }
    }
    while let Some(frame) = buf.end().unwrap() {
        events.push(Event::Frame(frame.payload.to_vec()));
    }
    events
}

fn by_vec<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    by_buf(FrameBuf::growing(row.framing(limit)), wire, dice)
}

fn by_box<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let limit = limit.min(row.longest());
    let buf = FrameBuf::with_framing(room(row.storage_len(limit)), row.framing(limit)).unwrap();
    by_buf(buf, wire, dice)
}

fn by_scanner<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    fn take<W: Subject>(
        scanner: &Scanner<W>,
        mut found: unstick::scan::Found<W::Meta>,
        kept: &mut Vec<u8>,
    ) -> Event {
        let mut frame: Vec<u8> = kept.drain(..found.frame_len()).collect();
        scanner.unescape(&mut found, &mut frame);
        Event::Frame(scanner.frame(&found, &frame).unwrap().payload.to_vec())
    }

    let mut scanner = Scanner::new(row.framing(limit));
    let (mut events, mut kept) = (Vec::new(), Vec::new());
    for input in chunks(dice, wire) {
        kept.extend_from_slice(input);
        loop {
            match scanner.find(&kept) {
                Ok(Scan::Frame(found)) => events.push(take(&scanner, found, &mut kept)),
                Ok(Scan::Discard(n)) => drop(kept.drain(..n)),
                Ok(Scan::Incomplete { needed }) => {
                    assert!(needed > kept.len());
                    break;
                }
                Err(error) => {
                    events.push(over_limit(error));
                    scanner.skip_frame().unwrap();
                }
            }
        }
    }
    while let Some(found) = scanner.find_end(&kept).unwrap() {
        events.push(take(&scanner, found, &mut kept));
    }
    events
}

/// All frames of a reader, borrowed and owned in turn.
macro_rules! read_all {
    ($reader:expr, $error:path $(, $($wait:tt)+)?) => {{
        let mut reader = $reader;
        let mut events = Vec::new();
        loop {
            let next = if events.len() % 2 == 0 {
                let next = reader.next_frame() $($($wait)+)?;
                next.map(|frame| frame.map(|frame| frame.payload.to_vec()))
            } else {
                let next = reader.next_owned() $($($wait)+)?;
                next.map(|frame| frame.map(|frame| frame.into_payload()))
            };
            match next {
                Ok(Some(payload)) => events.push(Event::Frame(payload)),
                Ok(None) => break events,
                Err($error(error)) => {
                    events.push(over_limit(error));
                    reader.buf_mut().skip_frame().unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }};
}

fn by_io<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let source = Source::new(wire, steps(dice, false));
    read_all!(io::FrameReader::with_framing(source, row.framing(limit)), io::ReadError::Decode)
}

fn by_tokio<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let source = Source::new(wire, steps(dice, true));
    let reader = over_tokio::FrameReader::with_framing(source, row.framing(limit));
    run(async { read_all!(reader, io::ReadError::Decode, .await) })
}

fn by_futures<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let source = Source::new(wire, steps(dice, true));
    let reader = over_futures::FrameReader::with_framing(source, row.framing(limit));
    run(async { read_all!(reader, io::ReadError::Decode, .await) })
}

fn by_embedded<W: Subject>(row: &Row<W>, limit: u64, wire: &[u8], dice: &mut Dice) -> Vec<Event> {
    let limit = limit.min(row.longest());
    let source = Source::new(wire, steps(dice, false));
    let (room, framing) = (room(row.storage_len(limit)), row.framing(limit));
    let reader = embedded_io::FrameReader::with_framing(source, room, framing).unwrap();
    read_all!(reader, embedded_io::ReadError::Decode)
}

fn by_embedded_async<W: Subject>(
    row: &Row<W>,
    limit: u64,
    wire: &[u8],
    dice: &mut Dice,
) -> Vec<Event> {
    let limit = limit.min(row.longest());
    let source = Source::new(wire, steps(dice, true));
    let (room, framing) = (room(row.storage_len(limit)), row.framing(limit));
    let reader = embedded_io_async::FrameReader::with_framing(source, room, framing).unwrap();
    run(async { read_all!(reader, embedded_io_async::ReadError::Decode, .await) })
}

/// All frames of a `Stream`.
macro_rules! stream_all {
    ($stream:expr) => {{
        let mut stream = $stream;
        let mut events = Vec::new();
        loop {
            match stream.next().await {
                Some(Ok(frame)) => events.push(Event::Frame(frame.into_payload())),
                None => break events,
                Some(Err(io::ReadError::Decode(error))) => {
                    events.push(over_limit(error));
                    stream.buf_mut().skip_frame().unwrap();
                }
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }};
}

fn by_tokio_stream<W: Subject>(
    row: &Row<W>,
    limit: u64,
    wire: &[u8],
    dice: &mut Dice,
) -> Vec<Event> {
    let source = Source::new(wire, steps(dice, true));
    let reader = over_tokio::FrameReader::with_framing(source, row.framing(limit));
    run(async { stream_all!(reader) })
}

fn by_futures_stream<W: Subject>(
    row: &Row<W>,
    limit: u64,
    wire: &[u8],
    dice: &mut Dice,
) -> Vec<Event> {
    let source = Source::new(wire, steps(dice, true));
    let reader = over_futures::FrameReader::with_framing(source, row.framing(limit));
    run(async { stream_all!(reader) })
}

/// All frames of `Framed`, whose errors are items.
macro_rules! framed_all {
    ($codec:expr, $wire:expr, $dice:expr, |$item:ident| $payload:expr) => {{
        let line = Line::new(Source::new($wire, steps($dice, true)), Drain::default());
        let mut framed = Framed::new(line, $codec.error_items());
        let mut events = Vec::new();
        run(async {
            while let Some(next) = framed.next().await {
                match next.unwrap() {
                    Ok($item) => events.push(Event::Frame($payload)),
                    Err(error) => {
                        events.push(over_limit(error));
                        framed.codec_mut().skip_frame().unwrap();
                    }
                }
            }
        });
        events
    }};
}

fn by_frame_codec<W: Subject>(
    row: &Row<W>,
    limit: u64,
    wire: &[u8],
    dice: &mut Dice,
) -> Vec<Event> {
    let codec = FrameCodec::with_framing(row.framing(limit));
    framed_all!(codec, wire, dice, |frame| frame.payload.to_vec())
}

fn by_payload_codec<W: Subject>(
    row: &Row<W>,
    limit: u64,
    wire: &[u8],
    dice: &mut Dice,
) -> Vec<Event> {
    let codec = PayloadCodec::with_meta(row.framing(limit), row.meta.clone()).unwrap();
    framed_all!(codec, wire, dice, |payload| payload.to_vec())
}

fn by_whole_codec<W: Subject>(
    row: &Row<W>,
    limit: u64,
    wire: &[u8],
    dice: &mut Dice,
) -> Vec<Event> {
    let codec = WholeFrameCodec::new(row.framing(limit));
    framed_all!(codec, wire, dice, |frame| {
        let mut buf = FrameBuf::growing(row.framing(limit));
        buf.extend_all(&frame);
        let whole = buf.next_frame().unwrap().map(|frame| frame.payload.to_vec());
        whole.unwrap_or_else(|| buf.end().unwrap().unwrap().payload.to_vec())
    })
}

fn readers<W: Subject>() -> [(&'static str, Reads<W>); 16] {
    [
        ("decode", by_decode),
        ("pieces", by_pieces),
        ("for_each", by_for_each),
        ("FrameBuf, growing", by_vec),
        ("FrameBuf, fixed", by_box),
        ("Scanner", by_scanner),
        ("io", by_io),
        ("tokio", by_tokio),
        ("tokio, Stream", by_tokio_stream),
        ("futures", by_futures),
        ("futures, Stream", by_futures_stream),
        ("embedded_io", by_embedded),
        ("embedded_io_async", by_embedded_async),
        ("FrameCodec", by_frame_codec),
        ("PayloadCodec", by_payload_codec),
        ("WholeFrameCodec", by_whole_codec),
    ]
}

fn reads<W: Subject>(table: &mut Table, row: &Row<W>) {
    let wire = row.encode(&row.payloads);
    let want: Vec<_> = row.payloads.iter().cloned().map(Event::Frame).collect();
    for (path, read) in readers::<W>() {
        table.cell(format!("read: {path}"), |dice| assert_eq!(read(row, LIMIT, &wire, dice), want));
    }
    let wire = row.encode(&row.short_and_long);
    let event = |payload: &Vec<u8>| match payload.len() as u64 {
        len if len > SHORT => Event::OverLimit,
        _ => Event::Frame(payload.clone()),
    };
    let want: Vec<_> = row.short_and_long.iter().map(event).collect();
    assert!(want.contains(&Event::OverLimit));
    for (path, read) in readers::<W>() {
        // It does not say where in its input it failed.
        if path != "for_each" {
            table.cell(format!("skip: {path}"), |dice| {
                assert_eq!(read(row, SHORT, &wire, dice), want);
            });
        }
    }
}

/// The last mark, of `len` bytes, is missing; or a part of it is there.
fn reads_to_the_end<W: Subject>(table: &mut Table, row: &Row<W>, len: usize) {
    let wire = row.encode(&row.payloads);
    let cut = &wire[..wire.len() - len];
    let want: Vec<_> = row.payloads.iter().cloned().map(Event::Frame).collect();
    for (path, read) in readers::<W>() {
        table.cell(format!("end: {path}"), |dice| assert_eq!(read(row, LIMIT, cut, dice), want));
    }
}

// Writing.

fn written<S: Storage, W: Subject>(
    buf: &mut WriteBuf<S, W>,
    out: &mut Vec<u8>,
    dice: &mut Dice,
    payload: &[u8],
    mut accept: impl FnMut(&mut WriteBuf<S, W>) -> Result<Accepted, WriteBufError>,
) -> bool {
    let write = |buf: &mut WriteBuf<S, W>, out: &mut Vec<u8>, dice: &mut Dice, payload: &[u8]| {
        while let Some(slices) = buf.unwritten(payload) {
            let all = slices.concat();
            let n = 1 + dice.below(all.len());
            out.extend_from_slice(&all[..n]);
            buf.wrote(n);
        }
    };
    let direct = loop {
        match accept(buf).unwrap() {
            Accepted::Collected => break false,
            Accepted::Nothing => write(buf, out, dice, &[]),
            Accepted::Direct => {
                write(buf, out, dice, payload);
                buf.end_direct().unwrap();
                break true;
            }
        }
    };
    if dice.below(2) == 0 {
        write(buf, out, dice, &[]);
    }
    direct
}

fn pending<S: Storage, W: Subject>(buf: &WriteBuf<S, W>, mut out: Vec<u8>) -> Vec<u8> {
    out.extend_from_slice(buf.pending());
    out
}

/// Whether a write took bytes of one of these payloads from where they are.
fn wrote_in_place(drain: &Drain, payloads: &[Vec<u8>]) -> bool {
    let written = |payload: &Vec<u8>| {
        let range = payload.as_ptr_range();
        drain.writes.iter().flatten().any(|(from, _)| range.contains(from))
    };
    payloads.iter().any(written)
}

macro_rules! write_all {
    ($writer:expr, $row:expr $(, $($wait:tt)+)?) => {{
        let mut writer = $writer;
        for (i, payload) in $row.payloads.iter().enumerate() {
            if i % 3 == 1 {
                writer.send(&$row.meta, payload) $($($wait)+)? .unwrap();
            } else {
                writer.feed(&$row.meta, payload) $($($wait)+)? .unwrap();
            }
        }
        writer.flush() $($($wait)+)? .unwrap();
        writer.into_inner().0
    }};
}

macro_rules! sink_all {
    ($writer:expr, $row:expr) => {{
        let mut writer = $writer;
        for payload in &$row.payloads {
            let frame = $row.framing(LIMIT).frame($row.meta.clone(), payload).unwrap();
            SinkExt::feed(&mut writer, frame).await.unwrap();
        }
        SinkExt::flush(&mut writer).await.unwrap();
        writer.into_inner().0
    }};
}

/// The storage of a writer: little if a payload can be written after its header.
fn writer_room<W: Subject>(row: &Row<W>) -> Box<[u8]> {
    room(if row.knows_length { 300 } else { row.storage_len(row.longest()) })
}

fn writes<W: Subject>(table: &mut Table, row: &Row<W>) {
    let want = row.encode(&row.payloads);
    let framing = || row.framing(LIMIT);
    let mut cell = |path: &str, test: &mut dyn FnMut(&mut Dice) -> Vec<u8>| {
        // Not by `assert_eq`: the streams are long.
        table.cell(format!("write: {path}"), |dice| assert!(test(dice) == want));
    };
    cell("encode", &mut |_| {
        assert_eq!(row.encode(&[row.sample.0.to_vec()]), row.sample.1);
        row.encode(&row.payloads)
    });
    cell("encode_into", &mut |_| {
        let mut out = vec![0; want.len()];
        let mut at = 0;
        for payload in &row.payloads {
            at += framing().encode_into(&row.meta, payload, &mut out[at..]).unwrap();
        }
        assert_eq!(at, out.len());
        let refused = framing().encode_into(&row.meta, row.sample.0, &mut []);
        assert!(matches!(refused, Err(EncodeError::NoRoom { .. })), "{refused:?}");
        out
    });
    cell("owned frames", &mut |_| {
        let mut out = Vec::new();
        for payload in &row.payloads {
            let frame = framing().frame(row.meta.clone(), payload).unwrap();
            assert!(frame.payload() == payload && frame.meta == row.meta);
            framing().encode(&frame.meta, frame.payload(), &mut out).unwrap();
        }
        out
    });
    cell("WriteBuf, collected", &mut |_| {
        let mut buf = WriteBuf::growing(framing());
        row.payloads.iter().for_each(|payload| buf.collect(&row.meta, payload).unwrap());
        pending(&buf, Vec::new())
    });
    cell("WriteBuf, growing", &mut |dice| {
        let (mut buf, mut out, mut direct) = (WriteBuf::growing(framing()), Vec::new(), false);
        for payload in &row.payloads {
            direct |=
                written(&mut buf, &mut out, dice, payload, |buf| buf.frame(&row.meta, payload));
        }
        assert_eq!(direct, row.knows_length && row.longest() > 32 * 1024);
        pending(&buf, out)
    });
    cell("WriteBuf, fixed", &mut |dice| {
        let (mut buf, mut out) = (WriteBuf::new(writer_room(row), framing()), Vec::new());
        for payload in &row.payloads {
            written(&mut buf, &mut out, dice, payload, |buf| buf.frame(&row.meta, payload));
        }
        pending(&buf, out)
    });
    cell("io", &mut |dice| {
        let drain = Drain::new(steps(dice, false));
        let drain = write_all!(io::FrameWriter::with_framing(drain, framing()), row);
        assert_eq!(
            wrote_in_place(&drain, &row.payloads),
            row.knows_length && row.longest() > 32 * 1024
        );
        drain.bytes
    });
    cell("tokio", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer = over_tokio::FrameWriter::with_framing(drain, framing());
        let drain = run(async { write_all!(writer, row, .await) });
        assert_eq!(
            wrote_in_place(&drain, &row.payloads),
            row.knows_length && row.longest() > 32 * 1024
        );
        drain.bytes
    });
    cell("tokio, Sink", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer = over_tokio::FrameWriter::with_framing(drain, framing());
        run(async { sink_all!(writer, row) }).bytes
    });
    cell("tokio, FrameStream", &mut |dice| {
        let source = Source::new(&want, steps(dice, true));
        let line = Line::new(source, Drain::new(steps(dice, true)));
        let mut stream = over_tokio::FrameStream::with_framing(line, framing());
        run(async {
            while let Some((frame, writer)) = stream.next_with_writer().await.unwrap() {
                writer.feed(&frame.meta, frame.payload).await.unwrap();
            }
            stream.writer.flush().await.unwrap();
        });
        let line = stream.reader.into_inner().0.unsplit(stream.writer.into_inner().0);
        line.drain.bytes
    });
    cell("futures", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer = over_futures::FrameWriter::with_framing(drain, framing());
        run(async { write_all!(writer, row, .await) }).bytes
    });
    cell("futures, Sink", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer = over_futures::FrameWriter::with_framing(drain, framing());
        run(async { sink_all!(writer, row) }).bytes
    });
    cell("embedded_io", &mut |dice| {
        let drain = Drain::new(steps(dice, false));
        let room = writer_room(row);
        write_all!(embedded_io::FrameWriter::with_framing(drain, room, framing()), row).bytes
    });
    cell("embedded_io_async", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer =
            embedded_io_async::FrameWriter::with_framing(drain, writer_room(row), framing());
        run(async { write_all!(writer, row, .await) }).bytes
    });
    cell("FrameCodec", &mut |dice| {
        let line = Line::new(Source::new(b"", []), Drain::new(steps(dice, true)));
        let mut framed = Framed::new(line, FrameCodec::with_framing(framing()));
        run(async {
            for payload in &row.payloads {
                let frame = BytesFrame::new(row.meta.clone(), payload.clone());
                framed.feed(frame).await.unwrap();
            }
            SinkExt::<BytesFrame<W::Meta>>::flush(&mut framed).await.unwrap();
        });
        framed.into_inner().drain.bytes
    });
    cell("PayloadCodec", &mut |dice| {
        let line = Line::new(Source::new(b"", []), Drain::new(steps(dice, true)));
        let codec = PayloadCodec::with_meta(framing(), row.meta.clone()).unwrap();
        let mut framed = Framed::new(line, codec);
        run(async {
            for payload in &row.payloads {
                framed.feed(&payload[..]).await.unwrap();
            }
            SinkExt::<&[u8]>::flush(&mut framed).await.unwrap();
        });
        framed.into_inner().drain.bytes
    });
}

// What needs a length in front: payloads in pieces, and datagrams.

macro_rules! stream_payloads {
    ($writer:expr, $row:expr, $dice:expr $(, $($wait:tt)+)?) => {{
        let mut writer = $writer;
        for payload in &$row.payloads {
            writer.begin(&$row.meta, payload.len() as u64) $($($wait)+)? .unwrap();
            for run in chunks($dice, payload) {
                writer.payload(run) $($($wait)+)? .unwrap();
            }
            writer.finish().unwrap();
        }
        writer.flush() $($($wait)+)? .unwrap();
        writer.into_inner().0.bytes
    }};
}

macro_rules! receive_payloads {
    ($reader:expr $(, $($wait:tt)+)?) => {{
        let mut reader = $reader;
        let mut payloads = Vec::new();
        while let Some(header) = reader.next_header() $($($wait)+)? .unwrap() {
            let mut payload = Vec::new();
            while let Some(run) = reader.payload() $($($wait)+)? .unwrap() {
                payload.extend_from_slice(run);
            }
            assert_eq!(payload.len() as u64, header.payload_len);
            payloads.push(payload);
        }
        payloads
    }};
}

fn streams<W: Subject + KnownLength + Wire<Len = u64>>(table: &mut Table, row: &Row<W>) {
    let want = row.encode(&row.payloads);
    let framing = || row.framing(LIMIT);
    let mut cell = |path: &str, test: &mut dyn FnMut(&mut Dice) -> Vec<u8>| {
        table.cell(format!("write in runs: {path}"), |dice| assert!(test(dice) == want));
    };
    cell("Encoder", &mut |dice| {
        let (mut encoder, mut out) = (Encoder::new(framing()), Vec::new());
        for payload in &row.payloads {
            let header = encoder.begin(&row.meta, payload.len() as u64).unwrap();
            out.extend_from_slice(header.as_bytes());
            for run in chunks(dice, payload) {
                encoder.payload(run).unwrap();
                out.extend_from_slice(run);
            }
            out.extend_from_slice(encoder.finish().unwrap().as_ref());
        }
        out
    });
    cell("WriteBuf", &mut |dice| {
        let (mut buf, mut out) = (WriteBuf::growing(framing()), Vec::new());
        for payload in &row.payloads {
            let len = payload.len() as u64;
            written(&mut buf, &mut out, dice, &[], |buf| buf.begin(&row.meta, len));
            for run in chunks(dice, payload) {
                written(&mut buf, &mut out, dice, run, |buf| buf.payload(run));
            }
            buf.finish().unwrap();
        }
        pending(&buf, out)
    });
    cell("io", &mut |dice| {
        let drain = Drain::new(steps(dice, false));
        stream_payloads!(io::FrameWriter::with_framing(drain, framing()), row, dice)
    });
    cell("tokio", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer = over_tokio::FrameWriter::with_framing(drain, framing());
        run(async { stream_payloads!(writer, row, dice, .await) })
    });
    cell("futures", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer = over_futures::FrameWriter::with_framing(drain, framing());
        run(async { stream_payloads!(writer, row, dice, .await) })
    });
    cell("embedded_io", &mut |dice| {
        let drain = Drain::new(steps(dice, false));
        let room = writer_room(row);
        stream_payloads!(embedded_io::FrameWriter::with_framing(drain, room, framing()), row, dice)
    });
    cell("embedded_io_async", &mut |dice| {
        let drain = Drain::new(steps(dice, true));
        let writer =
            embedded_io_async::FrameWriter::with_framing(drain, writer_room(row), framing());
        run(async { stream_payloads!(writer, row, dice, .await) })
    });

    let source = |dice: &mut Dice, waits| Source::new(&want, steps(dice, waits));
    let mut cell = |path: &str, test: &mut dyn FnMut(&mut Dice) -> Vec<Vec<u8>>| {
        table.cell(format!("read in runs: {path}"), |dice| assert!(test(dice) == row.payloads));
    };
    cell("io", &mut |dice| {
        receive_payloads!(io::FrameReader::with_framing(source(dice, false), framing()))
    });
    cell("tokio", &mut |dice| {
        let reader = over_tokio::FrameReader::with_framing(source(dice, true), framing());
        run(async { receive_payloads!(reader, .await) })
    });
    cell("futures", &mut |dice| {
        let reader = over_futures::FrameReader::with_framing(source(dice, true), framing());
        run(async { receive_payloads!(reader, .await) })
    });
    let (len, longest) = (row.storage_len(row.longest()), row.longest());
    let fixed = || FrameBuf::with_framing(room(len), row.framing(longest)).unwrap();
    cell("embedded_io", &mut |dice| {
        let buf = fixed();
        receive_payloads!(embedded_io::FrameReader::with_buf(source(dice, false), buf))
    });
    cell("embedded_io_async", &mut |dice| {
        let buf = fixed();
        let reader = embedded_io_async::FrameReader::with_buf(source(dice, true), buf);
        run(async { receive_payloads!(reader, .await) })
    });

    table.cell("datagrams".to_owned(), |_| {
        let mut storage = vec![0; 200_000];
        for payload in &row.payloads {
            let mut packer =
                DatagramPacker::with_datagram_limit(framing(), &mut storage, usize::MAX);
            for payload in [payload, &row.payloads[0]] {
                assert_eq!(packer.push(&row.meta, payload), Ok(Pushed::Added));
            }
            let framing = framing();
            let frames = framing.datagram(packer.as_bytes()).unwrap();
            let got: Vec<_> = frames.map(|frame| frame.payload.to_vec()).collect();
            assert!(got == [payload.clone(), row.payloads[0].clone()]);
            let cut = &packer.as_bytes()[..packer.as_bytes().len() - 1];
            assert!(framing.datagram(cut).is_err());
        }
    });
}

// Searching after a frame that failed.

/// Makes a frame one that is refused, or leaves it as it is if its length is enough for that.
type Damage = fn(&mut Vec<u8>);

const SEARCH_LIMIT: u64 = 400;

/// A stream with a frame in it that fails, and what is read of it with a search.
fn with_failed<W: Subject>(row: &Row<W>, damage: Damage) -> (Vec<u8>, Vec<Event>) {
    let [good, again] = [b"good".to_vec(), b"again".to_vec()];
    let len = if row.knows_length { 300 } else { 401 };
    let mut failed = row.encode(&[vec![b'y'; len]]);
    damage(&mut failed);
    // Flags before a frame belong to none.
    let idle = failed.iter().take_while(|&&byte| byte == 0x7E).count();
    let skipped = (failed.len() - idle) as u64;
    let parts =
        [row.encode(std::slice::from_ref(&good)), failed, row.encode(std::slice::from_ref(&again))];
    (parts.concat(), vec![Event::Frame(good), Event::Found { skipped }, Event::Frame(again)])
}

macro_rules! search_all {
    ($reader:expr $(, $($wait:tt)+)?) => {{
        let mut reader = $reader;
        let mut events = Vec::new();
        while let Some(next) = reader.next_or_resync() $($($wait)+)? .unwrap() {
            events.push(match next {
                Next::Frame(frame) => Event::Frame(frame.payload.to_vec()),
                Next::Skipped { bytes, .. } => Event::Found { skipped: bytes },
            });
        }
        events
    }};
}

fn searches<W: Subject + Search>(table: &mut Table, row: &Row<W>, damage: Damage) {
    let (wire, want) = with_failed(row, damage);
    let framing = || row.framing(SEARCH_LIMIT);
    let source = |dice: &mut Dice, waits| Source::new(&wire, steps(dice, waits));
    let fixed = || FrameBuf::with_framing(room(row.storage_len(SEARCH_LIMIT)), framing()).unwrap();

    fn by_buf<S: Storage, W: Subject + Search>(
        mut buf: FrameBuf<S, W>,
        wire: &[u8],
        dice: &mut Dice,
    ) -> Vec<Event> {
        let (mut events, mut searching) = (Vec::new(), false);
        for mut input in chunks(dice, wire) {
            while !input.is_empty() {
                input = &input[buf.extend(input)..];
                loop {
                    if searching {
                        let Some(skipped) = buf.resync().unwrap() else { break };
                        events.push(Event::Found { skipped });
                        searching = false;
                    }
                    let next = buf.next_frame().map(|next| next.map(|next| next.payload.to_vec()));
                    match next {
                        Ok(Some(payload)) => events.push(Event::Frame(payload)),
                        Ok(None) => break,
                        Err(_) => searching = true,
                    }
                }
            }
        }
        buf.finish().unwrap();
        events
    }

    let mut cell = |path: &str, test: &mut dyn FnMut(&mut Dice) -> Vec<Event>| {
        table.cell(format!("search: {path}"), |dice| assert_eq!(test(dice), want));
    };
    cell("FrameBuf, growing", &mut |dice| by_buf(FrameBuf::growing(framing()), &wire, dice));
    cell("FrameBuf, fixed", &mut |dice| by_buf(fixed(), &wire, dice));
    cell("io", &mut |dice| {
        search_all!(io::FrameReader::with_framing(source(dice, false), framing()))
    });
    cell("tokio", &mut |dice| {
        let reader = over_tokio::FrameReader::with_framing(source(dice, true), framing());
        run(async { search_all!(reader, .await) })
    });
    cell("futures", &mut |dice| {
        let reader = over_futures::FrameReader::with_framing(source(dice, true), framing());
        run(async { search_all!(reader, .await) })
    });
    cell("embedded_io", &mut |dice| {
        search_all!(embedded_io::FrameReader::with_buf(source(dice, false), fixed()))
    });
    cell("embedded_io_async", &mut |dice| {
        let reader = embedded_io_async::FrameReader::with_buf(source(dice, true), fixed());
        run(async { search_all!(reader, .await) })
    });
    cell("FrameCodec", &mut |dice| {
        let (mut codec, mut src) = (FrameCodec::with_framing(framing()), BytesMut::new());
        let (mut events, mut searching) = (Vec::new(), false);
        for input in chunks(dice, &wire) {
            src.extend_from_slice(input);
            loop {
                match codec.decode(&mut src) {
                    Ok(Some(frame)) => {
                        if std::mem::take(&mut searching) {
                            events.push(Event::Found { skipped: codec.skipped() });
                        }
                        events.push(Event::Frame(frame.payload.to_vec()));
                    }
                    Ok(None) => break,
                    Err(_) => {
                        codec.resync().unwrap();
                        searching = true;
                    }
                }
            }
        }
        events
    });
}

fn resyncs<W: Subject + Resync>(table: &mut Table, row: &Row<W>, damage: Damage) {
    let (wire, want) = with_failed(row, damage);
    table.cell("search: decode".to_owned(), |dice| {
        let mut decoder = Decoder::with_framing(row.framing(SEARCH_LIMIT));
        let (mut events, mut open, mut searching) = (Vec::new(), Vec::new(), false);
        for mut input in chunks(dice, &wire) {
            loop {
                if searching {
                    let Some(skipped) = decoder.resync(&mut input).unwrap() else { break };
                    events.push(Event::Found { skipped });
                    searching = false;
                }
                match decoder.decode(&mut input) {
                    Ok(Some(piece)) => pieces_of::<W>(&mut events, &mut open, piece),
                    Ok(None) => break,
                    Err(_) => searching = true,
                }
            }
        }
        decoder.finish().unwrap();
        assert_eq!(events, want);
    });
}

// The rows.

fn run_row<W: Subject>(table: &mut Table, row: &Row<W>) {
    table.names.push(row.name);
    writes(table, row);
    reads(table, row);
}

fn counted<W: Subject + KnownLength + Wire<Len = u64>>(table: &mut Table, row: Row<W>) -> Row<W> {
    let row = Row { knows_length: true, ..row };
    run_row(table, &row);
    streams(table, &row);
    row
}

fn checked<W>(table: &mut Table, row: Row<W>)
where
    W: Subject + KnownLength + Wire<Len = u64> + Search,
{
    let row = counted(table, row);
    // The failed frame is within the limit, and its check is wrong.
    searches(table, &row, |frame| *frame.last_mut().unwrap() ^= 1);
}

fn marked<W: Subject + Resync>(table: &mut Table, row: Row<W>) -> Row<W> {
    run_row(table, &row);
    // The frame is over the limit.
    searches(table, &row, |_| ());
    resyncs(table, &row, |_| ());
    row
}

#[test]
fn every_framing_works_through_every_path() {
    let table = &mut Table::default();

    let row = Row::new("U16Be", U16Be, (), (b"a", b"\0\x01a"));
    counted(table, row.with_payloads(b"", 60_000, true));
    let sample: (&[u8], &[u8]) = (b"", b"\xF5\x01\x01\0\0\0\0\xAC");
    let row =
        counted(table, Row::new("V1", V1, Kind::TEXT, sample).with_payloads(b"", 100_000, true));
    let header: Damage = |frame| frame[7] ^= 1;
    searches(table, &row, header);
    resyncs(table, &row, header);
    let fixed = |len| Fixed::new(NonZeroU64::new(len).unwrap());
    let sample: (&[u8], &[u8]) = (&[7; 16], &[7; 16]);
    counted(table, Row::new("Fixed, 16 bytes", fixed(16), (), sample).with_len(16));
    let sample: (&[u8], &[u8]) = (&[7; 100_000], &[7; 100_000]);
    counted(table, Row::new("Fixed, 100,000 bytes", fixed(100_000), (), sample).with_len(100_000));

    let wire = Checked::new(U16Be, Crc32Iscsi::new().big_endian());
    let row = Row::new("Checked, CRC-32C", wire, (), (b"", b"\0\0\xF1\x61\x77\xD2"));
    checked(table, row.with_payloads(b"", 60_000, true));
    let row = Row::new("Checked, end bytes", Checked::new(U16Be, EndBytes::new(*b"\r\n")), (), {
        (b"a", b"\0\x01a\r\n")
    });
    checked(table, row.with_payloads(b"", 60_000, true));
    let wire = Checked::new(U32Be, Sum);
    let row = Row::new("Checked, custom check", wire, (), (b"\x01", b"\0\0\0\x01\x01\x4B\x01"));
    checked(table, row.with_payloads(b"", 100_000, true));

    let row = Row::new("Lines", Lines::new(), (), (b"a\rb", b"a\rb\n"));
    marked(table, row.with_payloads(b"\n", 20_000, true));
    let row = Row::new("Lines, CRLF", Lines::new().with_crlf(), (), (b"a\r", b"a\r\r\n"));
    marked(table, row.with_payloads(b"\n", 20_000, true));
    let row = Row::new("Lines or end", Lines::new().or_end(), (), (b"a", b"a\n"));
    let row = marked(table, row.with_payloads(b"\n", 20_000, true));
    reads_to_the_end(table, &row, 1);
    let delimited = Delimited::new(b"\r\n".as_slice());
    let row = Row::new("Delimited", delimited, (), (b"a\r", b"a\r\r\n"));
    marked(table, row.with_payloads(b"\n", 20_000, true));
    let row = Row::new("Delimited or end", delimited.or_end(), (), (b"", b"\r\n"));
    let row = marked(table, row.with_payloads(b"\n", 20_000, true));
    reads_to_the_end(table, &row, 2);
    let any = AnyDelimiter::new(b";\n".as_slice());
    let row = Row::new("AnyDelimiter", any, (), (b"a", b"a;"));
    marked(table, row.with_payloads(b";\n", 20_000, true));
    let row = Row::new("AnyDelimiter or end", any.or_end(), (), (b"", b";"));
    let row = marked(table, row.with_payloads(b";\n", 20_000, true));
    reads_to_the_end(table, &row, 1);

    marked(table, Row::new("Cobs", Cobs, (), (b"\0", b"\x01\x01\0")));
    let wire = Marked::new(Cobs).with_check(Crc16X25::new());
    marked(table, Row::new("Cobs, CRC-16", wire, (), (b"", b"\x01\x01\x01\0")));
    let row = Row::new("Slip", Slip::new(), (), (b"\xC0", b"\xDB\xDC\xC0"));
    marked(table, row.with_payloads(b"", 20_000, false));
    marked(table, Row::new("Hdlc", Hdlc::new(), (), (b"", b"\x7E\0\0\x7E")));
    marked(table, Row::new("a custom mark", Marked::new(Bars), (), (b"a|", b"a^}|")));
    let wire = Marked::new(Bars).with_check(Sum);
    marked(table, Row::new("a custom mark and check", wire, (), (b"\x01", b"\x01\x4B\x01|")));

    let text = table.print();
    println!("{text}");
    assert!(!text.contains("XX"), "\n{text}");
    let cells: usize = table.lines.iter().map(|(_, cells)| cells.len()).sum();
    // 16 paths that write and 16 that read, 15 of which skip, for 20 framings; 13 for 7 that know their
    // length; 9 that search, for 14 framings, and 8 for 3; the end of the stream for 3.
    assert_eq!(cells, (16 + 16 + 15) * 20 + 13 * 7 + 9 * 14 + 8 * 3 + 16 * 3);
}
