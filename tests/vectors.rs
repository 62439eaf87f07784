//! Annex B, read from the specification itself: every vector, under many cuts, on every path.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

mod support;

use std::collections::BTreeSet;

use support::chunks::{self, Path, Subject, single_bytes};
use support::formats::every_format;
use support::oracle::{Outcome, Policy};
use unstick::{
    ByteOrder, Covers, DatagramError, DatagramPacker, DecodeError, EncodeError, Framing,
    HeaderError, Kind, Layout, LengthField, Part, Pushed, V1,
};

const SPEC: &str = include_str!("../spec.md");

/// The cells of a section's vector table, and the section.
struct Row {
    section: &'static str,
    cells: Vec<&'static str>,
}

impl Row {
    fn id(&self) -> &'static str {
        self.cells[0]
    }

    fn of(&self, section: &str) -> bool {
        self.section == section
    }
}

/// Every row of every table of vectors in Annex B.
fn rows() -> Vec<Row> {
    let (_, annex) = SPEC.split_once("## Annex B").expect("there is an Annex B");
    let annex = annex.split("\n## ").next().unwrap();
    let mut rows = Vec::new();
    let (mut section, mut vectors) = ("", false);
    for line in annex.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            section = heading.split(' ').next().unwrap();
        }
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            vectors &= line.starts_with('|');
            continue;
        };
        let cells: Vec<_> = cells.split(" | ").collect();
        if cells[0] == "id" {
            vectors = true;
        } else if vectors && !cells[0].starts_with("---") {
            rows.push(Row { section, cells });
        }
    }
    rows
}

/// A list of bytes in hexadecimal, in backquotes; or nothing, in words.
fn bytes(text: &str) -> Vec<u8> {
    if matches!(text, "(none)" | "empty") {
        return Vec::new();
    }
    let inner = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
    let inner = inner.unwrap_or_else(|| panic!("no bytes: {text}"));
    let byte = |digits: &str| {
        assert_eq!(digits.len(), 2, "{text}");
        u8::from_str_radix(digits, 16).unwrap()
    };
    inner.split(' ').map(byte).collect()
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// Words one behind the other, bytes in backquotes as one.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = match text.strip_prefix('`') {
            Some(inner) => inner.find('`').expect("a closing backquote") + 2,
            None => text.find(' ').unwrap_or(text.len()),
        };
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    fn skip(&mut self, word: &str) -> bool {
        let rest = self.0.trim_start();
        let skipped =
            rest.strip_prefix(word).filter(|rest| rest.is_empty() || rest.starts_with(' '));
        self.0 = skipped.unwrap_or(rest);
        skipped.is_some()
    }

    fn want(&mut self, word: &str) {
        assert!(self.skip(word), "expected {word:?} before {:?}", self.0);
    }

    fn byte(&mut self) -> u8 {
        let [byte] = bytes(self.next())[..] else { panic!("one byte before {:?}", self.0) };
        byte
    }

    fn number<T: std::str::FromStr>(&mut self) -> T {
        number(self.next())
    }

    fn end(&mut self) {
        assert_eq!(self.0.trim(), "", "not understood");
    }
}

/// An error of chapter 9. Of bad-length the document gives the refused bytes beside the reason:
/// those are compared with what was consumed.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Error(DecodeError),
    BadLength { at: u64, why: &'static str, found: Vec<u8> },
    Frame { at: u64, kind: Option<u8>, header: Option<Vec<u8>>, payload: Vec<u8> },
    Found { skipped: u64 },
    Skip,
    Resync,
    End,
}

fn error(words: &mut Words<'_>) -> Expected {
    let name = words.next();
    words.want("at");
    let at = words.number();
    let mut found = || {
        words.want("found");
        words.byte()
    };
    let header = match name {
        "bad-magic" => HeaderError::BadMagic { found: found() },
        "unsupported-version" => HeaderError::UnsupportedVersion { found: found() },
        "invalid-kind" => HeaderError::InvalidKind,
        "bad-check" => {
            let found = found();
            words.want("expected");
            HeaderError::BadCheck { found, expected: words.byte() }
        }
        "oversize" => {
            words.want("length");
            let len = words.number();
            words.want("limit");
            return Expected::Error(DecodeError::Oversize { at, len, limit: words.number() });
        }
        "truncated" => {
            words.want("missing");
            let part = if words.skip("at least") { Part::Header } else { Part::Payload };
            return Expected::Error(DecodeError::Truncated { at, missing: words.number(), part });
        }
        "unsynchronized" => {
            words.want("skipped");
            return Expected::Error(DecodeError::Unsynchronized { at, skipped: words.number() });
        }
        "bad-length" => {
            let reasons = ["negative", "overlong", "beyond 64 bits", "below the covered header"];
            let why = *reasons.iter().find(|why| words.skip(why)).expect("a reason");
            words.want("behind");
            return Expected::BadLength { at, why, found: bytes(words.next()) };
        }
        other => panic!("unknown error {other}"),
    };
    Expected::Error(DecodeError::Header { at, error: header })
}

fn outcome(text: &str) -> Expected {
    let words = &mut Words(text);
    let expected = match words.next() {
        "end" => Expected::End,
        "SKIP" => Expected::Skip,
        "RESYNC" => Expected::Resync,
        "found," => {
            words.want("skipped");
            Expected::Found { skipped: words.number() }
        }
        "error" => error(words),
        "frame" => {
            let kind = words.skip("kind").then(|| words.byte());
            let header = words.skip("header").then(|| bytes(words.next()));
            words.want("at");
            let at = words.number();
            Expected::Frame { at, kind, header, payload: bytes(words.next()) }
        }
        other => panic!("unknown outcome {other:?}"),
    };
    words.end();
    expected
}

/// Whether what came out is what the document says, as far as it says it.
fn same<F: Subject>(expected: &Expected, outcome: &Outcome, stream: &[u8]) -> bool {
    match (expected, outcome) {
        (Expected::End, Outcome::End) => true,
        (Expected::Found { skipped }, Outcome::Found { skipped: got }) => skipped == got,
        (Expected::Error(error), Outcome::Error { error: got, .. }) => error == got,
        (Expected::BadLength { at, why, found }, Outcome::Error { error, position }) => {
            let DecodeError::Header { at: got, error: reason } = error else { return false };
            let got_why = match reason {
                HeaderError::NegativeLength { .. } => "negative",
                HeaderError::OverlongVarint => "overlong",
                HeaderError::VarintOverflow { .. } => "beyond 64 bits",
                HeaderError::LengthTooShort { .. } => "below the covered header",
                _ => return false,
            };
            let from = usize::try_from(*at).unwrap();
            // The path of whole slices does not count what it consumes.
            let refused = *position == 0 || stream[from..*position as usize] == found[..];
            (got, got_why) == (at, *why) && error.code() == 0x000A && refused
        }
        (
            Expected::Frame { at, kind, header, payload },
            Outcome::Frame { at: got_at, meta, header: got_header, payload: got_payload },
        ) => {
            kind.is_none_or(|kind| meta[..] == [kind])
                && header.as_ref().is_none_or(|header| header == got_header)
                && (at, payload) == (got_at, got_payload)
        }
        _ => false,
    }
}

/// One vector of a stream, with every request that it makes allowed.
fn run<F: Subject>(format: &F, row: &Row, stream: &[u8], limit: u64, expected: &str) {
    let mut list: Vec<_> = expected.split("; ").map(outcome).collect();
    let has = |request| list.contains(&request);
    let mut policy = Policy { skip: has(Expected::Skip), resync: has(Expected::Resync) };
    // Where the request is refused the same error follows. The driver asks after every error and
    // compares; so all that is left is that it was asked, and that nothing else came out.
    for request in [Expected::Skip, Expected::Resync] {
        while let Some(i) = list.iter().position(|expected| *expected == request) {
            list.remove(i);
            if i < list.len() && list[i] == list[i - 1] {
                list.remove(i);
                policy = Policy::STOP;
            }
        }
    }
    let framing = Framing::new(format.clone()).with_limit(limit);
    let mut cuts = vec![vec![], single_bytes(stream)];
    cuts.extend((0..=stream.len()).map(|cut| vec![cut]));
    let mut state = 1_u64;
    for _ in 0..50 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(stream.len() as u64);
        cuts.push((1..stream.len()).filter(|cut| state >> (cut % 60) & 1 == 1).collect());
    }
    for cuts in &cuts {
        for path in Path::ALL.into_iter().filter(|path| path.allows(policy)) {
            // A storage too small for the vector's limit has another one, and shows it where the
            // document speaks of long payloads.
            let long = |expected: &Expected| match expected {
                Expected::Error(DecodeError::Oversize { .. }) => true,
                Expected::Error(DecodeError::Truncated { missing, .. }) => *missing > 32,
                _ => false,
            };
            if path.limit(&framing) < framing.limit() && list.iter().any(long) {
                continue;
            }
            let got = chunks::run(&framing, stream, cuts, path, policy);
            let got: Vec<_> =
                got.iter().filter(|got| !matches!(got, Outcome::Begun { .. })).collect();
            let mut list = list.clone();
            if path == Path::Split {
                list.retain(|expected| {
                    !matches!(expected, Expected::Error(DecodeError::Truncated { .. }))
                });
            }
            let all = got.len() == list.len()
                && list.iter().zip(&got).all(|(want, got)| same::<F>(want, got, stream));
            assert!(all, "{}, {path:?}, cuts {cuts:?}:\n{list:#?}\n{got:#?}", row.id());
        }
    }
}

/// The layout that a cell like `h 4, o 1, w 2, big, rest` describes.
fn layout(text: &str) -> LengthField {
    let mut parts = text.split(", ").peekable();
    let mut value = |name: &str| -> Option<usize> {
        let found = parts.next_if(|part| part.starts_with(name) && part[1..].starts_with(' '))?;
        Some(number(&found[2..]))
    };
    let header_len = value("h").expect("a header length");
    let offset = value("o").expect("an offset");
    let width = value("w").expect("a width");
    let order = match parts.next_if(|part| matches!(*part, "big" | "little")) {
        Some("little") => ByteOrder::Little,
        Some(_) => ByteOrder::Big,
        None => {
            assert_eq!(width, 1, "an order");
            ByteOrder::Big
        }
    };
    let covers = match parts.next() {
        Some("payload") => Covers::Payload,
        Some("rest") => Covers::AfterField,
        Some("frame") => Covers::Frame,
        other => panic!("unknown cover {other:?}"),
    };
    assert_eq!(parts.next(), None);
    LengthField::new(Layout { header_len, offset, width, order, covers }).unwrap()
}

/// Does something with the format that a cell names.
fn with_format(name: &str, work: &dyn Fn(&dyn Run)) {
    fn each<F: Subject + 'static>(
        format: &F,
        name: &str,
        work: &dyn Fn(&dyn Run),
        found: &mut bool,
    ) {
        if format!("{format:?}").to_lowercase() == name {
            *found = true;
            work(format);
        }
    }
    if name.starts_with("h ") {
        return work(&layout(name));
    }
    let found = &mut false;
    every_format!([], each, name, work, found);
    assert!(*found, "unknown format {name}");
}

/// What a vector asks of a format.
trait Run {
    fn stream(&self, row: &Row, stream: &[u8], limit: u64, expected: &str);
    fn encode(&self, limit: u64, payload: &[u8]) -> Result<(Vec<u8>, Vec<u8>), EncodeError>;
}

impl<F: Subject> Run for F {
    fn stream(&self, row: &Row, stream: &[u8], limit: u64, expected: &str) {
        run(self, row, stream, limit, expected);
    }

    /// The frame, and its header; of a refused frame nothing may have been written.
    fn encode(&self, limit: u64, payload: &[u8]) -> Result<(Vec<u8>, Vec<u8>), EncodeError> {
        let framing = Framing::new(self.clone()).with_limit(limit);
        let meta = self.pick_meta(0);
        let mut out = Vec::new();
        let result = framing.encode(&meta, payload, &mut out);
        assert_eq!(result.is_err(), out.is_empty());
        result?;
        let header = framing.encode_header(&meta, payload.len() as u64).unwrap();
        Ok((out, header.as_bytes().to_vec()))
    }
}

#[test]
fn every_vector_of_a_stream() {
    let mut ran = 0;
    for row in rows() {
        match (row.section, &row.cells[..]) {
            ("B.1" | "B.2" | "B.3" | "B.4" | "B.5", [_, stream, limit, expected]) => {
                run(&V1, &row, &bytes(stream), number(limit), expected);
            }
            ("B.7", [_, format, stream, limit, expected]) => with_format(format, &|format| {
                format.stream(&row, &bytes(stream), number(limit), expected);
            }),
            ("B.6" | "B.8", _) => continue,
            (section, cells) => panic!("unknown vector in {section}: {cells:?}"),
        }
        ran += 1;
    }
    assert!(ran >= 117, "only {ran}");
}

/// The receiver of B.6 knows one kind of an application.
fn known(kind: &Kind) -> bool {
    kind.get() == 0x40
}

fn refusal(text: &str) -> DatagramError {
    let words = &mut Words(text);
    let kind = |words: &mut Words<'_>| {
        words.want("at");
        let at = words.number();
        words.want("found");
        (at, words.byte())
    };
    let cause = match text.split(' ').next() {
        Some("empty") => {
            words.next();
            words.want("at");
            assert_eq!(words.number::<u64>(), 0);
            DatagramError::Empty
        }
        Some("misplaced-kind") => {
            words.next();
            let (at, kind) = kind(words);
            DatagramError::MisplacedKind { at, kind }
        }
        Some("unknown-kind") => {
            words.next();
            let (at, kind) = kind(words);
            DatagramError::UnknownKind { at, kind }
        }
        _ => match error(words) {
            Expected::Error(error) => DatagramError::Malformed(error),
            other => panic!("{other:?}"),
        },
    };
    words.end();
    cause
}

// spec: DGM-1, DGM-2, DGM-4, DGM-5, DGM-6, DGM-8, DGM-9
#[test]
fn every_vector_of_a_datagram() {
    let mut ran = 0;
    for row in rows().iter().filter(|row| row.of("B.6")) {
        let [id, datagram, limit, expected] = row.cells[..] else { panic!("{:?}", row.cells) };
        let bytes = bytes(datagram);
        let framing = Framing::new(V1).with_limit(number(limit));
        // Each is read behind all the others, by the same receiver: none has an influence.
        let cut = expected == "refused: cut";
        let reported = bytes.len() + usize::from(cut);
        let got = framing.received(&bytes, reported, known).map(|datagram| {
            let kind_and_payload = |frame: unstick::Frame<'_>| {
                let at = frame.bytes().as_ptr() as usize - bytes.as_ptr() as usize;
                let (kind, payload) = (Some(frame.meta.get()), frame.payload.to_vec());
                Expected::Frame { at: at as u64, kind, header: None, payload }
            };
            datagram.map(kind_and_payload).collect::<Vec<_>>()
        });
        let want = match expected.strip_prefix("refused: ") {
            Some("cut") => Err(DatagramError::Cut { room: bytes.len() }),
            Some(cause) => Err(refusal(cause)),
            None if expected == "taken, nothing delivered" => Ok(Vec::new()),
            None => Ok(expected.split("; ").map(outcome).collect()),
        };
        assert_eq!(got, want, "{id}");
        ran += 1;
    }
    assert!(ran >= 25, "only {ran}");
}

/// The payload that an encoder is asked for.
fn asked(text: &str) -> Vec<u8> {
    if let Some(of) = text.strip_prefix("payload of ") {
        let (len, rest) = of.split_once(" bytes").expect("so many bytes");
        assert!(matches!(rest, "" | " 0x00"), "not understood: {text}");
        return vec![0; number(len)];
    }
    bytes(text.strip_prefix("payload ").unwrap_or_else(|| panic!("no payload: {text}")))
}

// spec: HDR-10, HDR-11, LIM-5, FMT-4, DGM-10
#[test]
fn every_vector_of_an_encoder() {
    let mut ran = 0;
    for row in rows().iter().filter(|row| row.of("B.8")) {
        let [id, what, limit, expected] = row.cells[..] else { panic!("{:?}", row.cells) };
        let limit = number(limit);
        let refused = expected == "refused, nothing written";
        ran += 1;
        if let Some(what) = what.strip_prefix("kind 0x") {
            let (kind, what) = what.split_once(", ").unwrap();
            let kind = Kind::new(u8::from_str_radix(kind, 16).unwrap());
            let Some(kind) = kind else {
                assert!(refused, "{id}: this kind cannot be written");
                continue;
            };
            let framing = Framing::new(V1).with_limit(limit);
            if let Some(what) = what.strip_suffix(", in a datagram of the default limit") {
                let mut storage = [0xEE; 2_000];
                let mut packer = DatagramPacker::new(framing, &mut storage);
                let pushed = packer.push(kind, &asked(what));
                if refused {
                    assert!(pushed.is_err() && packer.is_empty(), "{id}");
                    continue;
                }
                let words = expected.strip_prefix("one datagram of ").expect("a datagram");
                let (len, beginning) = words.split_once(" bytes, beginning ").unwrap();
                assert_eq!(
                    (pushed, packer.as_bytes().len()),
                    (Ok(Pushed::Added), number(len)),
                    "{id}"
                );
                assert!(packer.as_bytes().starts_with(&bytes(beginning)), "{id}");
                continue;
            }
            let mut out = Vec::new();
            let result = framing.encode(kind, &asked(what), &mut out);
            assert_eq!(result.is_err(), refused, "{id}");
            assert_eq!(out, if refused { Vec::new() } else { bytes(expected) }, "{id}");
            continue;
        }
        let at = what.find("payload ").expect("a payload");
        let (name, what) = what.split_at(at);
        let name = name.trim_end_matches([',', ';', ' ']);
        with_format(name, &|format| {
            let encoded = format.encode(limit, &asked(what));
            if refused {
                assert!(encoded.is_err(), "{id}");
            } else {
                let (frame, header) = encoded.unwrap();
                match expected.strip_prefix("header ") {
                    Some(expected) => assert_eq!(header, bytes(expected), "{id}"),
                    None => assert_eq!(frame, bytes(expected), "{id}"),
                }
            }
        });
    }
    assert!(ran >= 11, "only {ran}");
}

/// No row of the annex is passed over: every id there is was parsed, and stands there once.
#[test]
fn every_row_was_parsed() {
    let rows = rows();
    let ids: BTreeSet<_> = rows.iter().map(Row::id).collect();
    assert_eq!(ids.len(), rows.len(), "ids are unique");
    let (_, annex) = SPEC.split_once("\n### B.1").unwrap();
    let annex = annex.split("\n## ").next().unwrap();
    // A row begins with an id and has bytes or a refusal in it.
    let lines = annex.lines().filter(|line| line.starts_with('|'));
    let data = lines.filter(|line| !line.starts_with("| ---") && !line.starts_with("| id |"));
    assert_eq!(data.count(), rows.len());
    for section in ["B.1", "B.2", "B.3", "B.4", "B.5", "B.6", "B.7", "B.8"] {
        assert!(rows.iter().any(|row| row.of(section)), "{section}");
    }
}
