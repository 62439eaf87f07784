//! What each byte of a frame is: header, payload, escape, mark or check.

use unstick::{Format, HdlcOctets, Mark, Parsed, Unit};

use crate::checked::AnyChecked;
use crate::inspect::frames::Source;
use crate::inspect::shape::Shape;
use crate::listing::Frame;
use crate::wire::AnyWire;

/// What a byte of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Header,
    Payload,
    /// A byte in place of others.
    Escape,
    Mark,
    Check,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Escape => "escape",
            Self::Mark => "mark",
            Self::Check => "check",
        }
    }
}

/// Consecutive bytes of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Returns what the bytes of a frame are. `bytes` are the whole stream.
pub(crate) fn parts(shape: Shape, frame: &Frame, bytes: &[u8]) -> Vec<Part> {
    let offset = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let wire = bytes.get(offset(frame.at)..offset(frame.end)).unwrap_or_default();
    let kinds = match shape {
        Shape::Wire(AnyWire::Mark(mark)) => of_mark(&mark, wire, 0),
        Shape::Wire(AnyWire::Hdlc) => {
            of_mark(&HdlcOctets, wire, if frame.complete { 2 } else { 0 })
        }
        Shape::Http => of_source(&mut *shape.source(None), wire),
        Shape::Resp => of_lengths(frame, wire, 2),
        Shape::Wire(AnyWire::Checked(checked)) => match header_len(checked, wire) {
            Some(header_len) => of_header(header_len, frame, wire),
            None => of_lengths(frame, wire, checked.check_len()),
        },
        Shape::Wire(AnyWire::Format(_)) => of_lengths(frame, wire, 0),
    };
    let mut out: Vec<Part> = Vec::new();
    for (at, kind) in (frame.at..).zip(kinds) {
        match out.last_mut() {
            Some(last) if last.kind == kind => last.to += 1,
            _ => out.push(Part { kind, from: at, to: at + 1 }),
        }
    }
    out
}

/// A header, the payload, and a check of `check_len` bytes.
fn of_lengths(frame: &Frame, wire: &[u8], check_len: usize) -> Vec<Kind> {
    let payload_len = frame.payload.len().min(wire.len());
    let around = wire.len() - payload_len;
    let after = if frame.complete { check_len.min(around) } else { 0 };
    let runs = [(Kind::Header, around - after), (Kind::Payload, payload_len), (Kind::Check, after)];
    runs.into_iter().flat_map(|(kind, n)| std::iter::repeat_n(kind, n)).collect()
}

/// The same where a header of this length is known, also of a frame that is cut in its check.
fn of_header(header_len: usize, frame: &Frame, wire: &[u8]) -> Vec<Kind> {
    let payload_end = header_len + frame.payload.len();
    (0..wire.len())
        .map(|i| match i {
            _ if i < header_len => Kind::Header,
            _ if i < payload_end => Kind::Payload,
            _ => Kind::Check,
        })
        .collect()
}

/// Returns the length of the header at the front of `wire`.
fn header_len(checked: AnyChecked, wire: &[u8]) -> Option<usize> {
    let parsed = match checked.check_len() {
        1 => checked.wire::<1>().format().decode_header(wire),
        2 => checked.wire::<2>().format().decode_header(wire),
        _ => checked.wire::<4>().format().decode_header(wire),
    };
    match parsed {
        Ok(Parsed::Header(header)) => Some(header.header_len),
        _ => None,
    }
}

/// What a source takes one byte at a time.
fn of_source(source: &mut dyn Source, wire: &[u8]) -> Vec<Kind> {
    let mut kinds = Vec::with_capacity(wire.len());
    for byte in wire {
        let mut input = std::slice::from_ref(byte);
        let mut kind = Kind::Header;
        while let Ok(Some(run)) = source.decode(&mut input) {
            if !run.bytes.is_empty() {
                kind = Kind::Payload;
            }
        }
        kinds.push(kind);
    }
    kinds
}

/// What a mark takes one byte at a time. The last `check_len` bytes of the content are a check.
fn of_mark<M: Mark>(mark: &M, wire: &[u8], check_len: usize) -> Vec<Kind> {
    let mut state = M::State::default();
    let mut kinds = vec![Kind::Mark; wire.len()];
    // The bytes of the stream that each byte of the content has taken.
    let mut content: Vec<(usize, usize)> = Vec::new();
    let mut pending = 0;
    for (i, byte) in wire.iter().enumerate() {
        loop {
            match mark.push(&mut state, *byte) {
                Unit::Nothing => {}
                Unit::Byte(found) => {
                    let plain = found == *byte;
                    fill(&mut kinds, pending, i, Kind::Escape);
                    let kind = if plain { Kind::Payload } else { Kind::Escape };
                    fill(&mut kinds, i, i + 1, kind);
                    content.push((pending, i + 1));
                    pending = i + 1;
                }
                Unit::Held(_) => {
                    fill(&mut kinds, pending, pending + 1, Kind::Payload);
                    content.push((pending, pending + 1));
                    pending += 1;
                    continue;
                }
                Unit::End | Unit::Idle | Unit::Refused { .. } => pending = i + 1,
            }
            break;
        }
    }
    for (from, to) in content.iter().rev().take(check_len) {
        fill(&mut kinds, *from, *to, Kind::Check);
    }
    kinds
}

fn fill(kinds: &mut [Kind], from: usize, to: usize, kind: Kind) {
    if let Some(kinds) = kinds.get_mut(from..to) {
        kinds.fill(kind);
    }
}
