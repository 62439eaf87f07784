//! The kit for marks passes the marks that ship, and catches each fault by the name of the promise that
//! it breaks.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{
    AnyDelimiter, Cobs, Delimited, EncodeError, FrameError, HdlcOctets, Lines, Mark, Shape, Slip,
    Unit,
};
use unstick_conformance::{MarkKit, Promise};

unstick_conformance::mark_tests!(
    slip,
    MarkKit::new(Slip::new(), [&b"\xC0\xDB"[..], b"a"])
        .example(b"a\xC0\xDBb", b"a\xDB\xDC\xDB\xDDb\xC0")
        .also_reads(b"a", b"\xC0\xC0a\xC0")
        .refuses(b"a\xDBb")
        .refuses_frame(b"a\xDBb\xC0")
        .refuses_frame(b"\xDB\xC0")
);

fn conforms<M: Mark>(name: &str, kit: &MarkKit<M>) {
    if let Err(violation) = kit.check() {
        panic!("{name}: {violation}");
    }
}

#[test]
fn every_mark_that_ships_conforms() {
    let few = |payloads: [&'static [u8]; 3]| payloads;
    let lines = few([b"", b"a\rb", b"line"]);
    conforms("lines", &MarkKit::new(Lines::new(), lines).example("a", "a\n").cases(60));
    let crlf = Lines::new().with_crlf().or_end();
    conforms("crlf", &MarkKit::new(crlf, lines).example("a\r", "a\r\r\n").cases(60));
    let text = MarkKit::new(Delimited::new(b"\r\n").or_end(), lines).example("a", "a\r\n");
    conforms("delimited", &text.cases(60));
    let bordered = MarkKit::new(Delimited::new(b"abab"), [&b"xaa"[..], b"", b"aabb"]);
    conforms("bordered", &bordered.example("x", "xabab").cases(60));
    let any = MarkKit::new(AnyDelimiter::new(b"\r\n"), [&b""[..], b"x"]);
    conforms("any delimiter", &any.example("x", "x\r").also_reads("x", "x\n").cases(60));
    let cobs = MarkKit::new(Cobs, [&b"\0"[..], b"", b"a\0\0b", &[7; 254], &[7; 300]])
        .example(b"\x11\0\x22", b"\x02\x11\x02\x22\0")
        .refuses_frame(b"\x03\x11\0");
    conforms("COBS", &cobs.cases(60));
    let hdlc = MarkKit::new(HdlcOctets, [&b"\x7E\x7D"[..], b"a"])
        .example(b"a\x7Eb", b"\x7Ea\x7D\x5Eb\x7E")
        .refuses_frame(b"a\x7D\x7E");
    conforms("HDLC", &hdlc.cases(60));
}

/// The faults of the tests below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    RunCountsOneTooMany,
    RunForgetsTheState,
    ProducedGivesTheWrongByte,
    ProducedTakesOneTooMany,
    WholeMiscountsContent,
    WholeTakesARefusedFrame,
    WholeIsTooLong,
    UnescapeLeavesAByte,
    UnescapeIsOutOfBounds,
    EncodeForgetsToEscape,
    EncodeForgetsTheEnd,
    EncodeEscapesTheFirstByteOfASlice,
    MaxWireLenIsTooSmall,
    MaxWireLenDecreases,
    EndLeavesTheStateDirty,
    EndOfStreamLeavesTheStateDirty,
    HoldsWithoutEnd,
    HoldsWithoutEndAtTheStreamsEnd,
    ReleasesWhatWasNotHeld,
    NotVerbatim,
    Remembers,
    CodeOfTheProtocol,
    WrongBytes,
    TheMarkDoesNotEndARefusedFrame,
    AnotherByteEndsARefusedFrame,
    Panics,
    PanicsOnEncode,
}

const BUGS: &[(Bug, Promise)] = &[
    (Bug::RunCountsOneTooMany, Promise::RunAgrees),
    (Bug::RunForgetsTheState, Promise::RunAgrees),
    (Bug::ProducedGivesTheWrongByte, Promise::ProducedAgrees),
    (Bug::ProducedTakesOneTooMany, Promise::ProducedAgrees),
    (Bug::WholeMiscountsContent, Promise::WholeAgrees),
    (Bug::WholeTakesARefusedFrame, Promise::WholeAgrees),
    (Bug::WholeIsTooLong, Promise::WholeAgrees),
    (Bug::UnescapeLeavesAByte, Promise::UnescapeAgrees),
    (Bug::UnescapeIsOutOfBounds, Promise::UnescapeAgrees),
    (Bug::EncodeForgetsToEscape, Promise::DecodeUndoesEncode),
    (Bug::EncodeForgetsTheEnd, Promise::DecodeUndoesEncode),
    (Bug::EncodeEscapesTheFirstByteOfASlice, Promise::SlicesAreInvisible),
    (Bug::MaxWireLenIsTooSmall, Promise::TrueMaxWireLen),
    (Bug::MaxWireLenDecreases, Promise::TrueMaxWireLen),
    (Bug::EndLeavesTheStateDirty, Promise::CleanEnd),
    (Bug::EndOfStreamLeavesTheStateDirty, Promise::CleanEnd),
    (Bug::HoldsWithoutEnd, Promise::HeldEnds),
    (Bug::HoldsWithoutEndAtTheStreamsEnd, Promise::HeldEnds),
    (Bug::ReleasesWhatWasNotHeld, Promise::ContentFits),
    (Bug::NotVerbatim, Promise::VerbatimAgrees),
    (Bug::Remembers, Promise::BytesAlone),
    (Bug::CodeOfTheProtocol, Promise::OwnErrorCodes),
    (Bug::WrongBytes, Promise::KnownBytes),
    (Bug::TheMarkDoesNotEndARefusedFrame, Promise::KnownBytes),
    (Bug::AnotherByteEndsARefusedFrame, Promise::KnownBytes),
    (Bug::Panics, Promise::NoPanic),
    (Bug::PanicsOnEncode, Promise::NoPanic),
];

const END: u8 = b';';
const ESCAPE: u8 = b'!';

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    Inside,
    Escaped,
    /// After a byte that was released and not taken.
    Held,
}

/// A user's mark: `;` ends a frame, and `!` changes the byte after it. The end of the stream stands for
/// the mark. `VERBATIM` is for one of the faults.
struct Mine<const VERBATIM: bool = false> {
    bug: Bug,
    calls: Cell<u32>,
}

impl<const VERBATIM: bool> Mine<VERBATIM> {
    fn new(bug: Bug) -> Self {
        Self { bug, calls: Cell::new(0) }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn plain(bytes: &[u8]) -> usize {
        bytes.iter().take_while(|byte| ![END, ESCAPE].contains(*byte)).count()
    }
}

impl<const VERBATIM: bool> Mark for Mine<VERBATIM> {
    type State = Place;

    const VERBATIM: bool = VERBATIM;

    fn push(&self, place: &mut Place, byte: u8) -> Unit {
        self.calls.set(self.calls.get() % 1009 + 1);
        assert!(!self.has(Bug::Panics) || byte != 0x8D, "no such byte");
        let key = if self.has(Bug::WrongBytes) { 0x10 } else { 0x20 };
        match (*place, byte) {
            (Place::Escaped, END) => {
                *place = Place::Start;
                let code = if self.has(Bug::CodeOfTheProtocol) { 0x0004 } else { 0x8001 };
                let ended = !self.has(Bug::TheMarkDoesNotEndARefusedFrame);
                Unit::Refused { error: FrameError::Custom { code, text: &"" }, ended }
            }
            (Place::Escaped, ESCAPE) => {
                let ended = self.has(Bug::AnotherByteEndsARefusedFrame);
                *place = if ended { Place::Start } else { Place::Inside };
                Unit::Refused { error: FrameError::BadEscape { found: ESCAPE }, ended }
            }
            (Place::Escaped, _) => {
                *place = Place::Inside;
                Unit::Byte(byte ^ key)
            }
            (Place::Start, END) => Unit::Idle,
            (_, END) => {
                *place = Place::Start;
                if self.has(Bug::EndLeavesTheStateDirty) {
                    *place = Place::Inside;
                }
                Unit::End
            }
            (_, ESCAPE) => {
                *place = Place::Escaped;
                Unit::Nothing
            }
            (_, b'a') if self.has(Bug::HoldsWithoutEnd) => Unit::Held(byte),
            (Place::Start, _) if self.has(Bug::ReleasesWhatWasNotHeld) => {
                *place = Place::Held;
                Unit::Held(byte)
            }
            (_, b'a') if self.has(Bug::Remembers) && self.calls.get() % 5 == 0 => Unit::Byte(0),
            _ => {
                *place = Place::Inside;
                Unit::Byte(byte)
            }
        }
    }

    fn run(&self, place: &mut Place, bytes: &[u8]) -> usize {
        if *place == Place::Escaped || self.has(Bug::ReleasesWhatWasNotHeld) {
            return 0;
        }
        let run = Self::plain(bytes);
        match self.bug {
            Bug::HoldsWithoutEnd | Bug::Remembers | Bug::Panics => return 0,
            Bug::RunCountsOneTooMany if run > 1 && run < bytes.len() => return run + 1,
            Bug::RunForgetsTheState => return run,
            _ => {}
        }
        if run > 0 {
            *place = Place::Inside;
        }
        run
    }

    fn produced(&self, place: &mut Place, bytes: &[u8]) -> (usize, &'static [u8]) {
        if *place == Place::Escaped || !bytes.starts_with(b"!\x1B") || self.has(Bug::WrongBytes) {
            return (0, &[]);
        }
        *place = Place::Inside;
        match self.bug {
            Bug::ProducedGivesTheWrongByte => (2, b"!"),
            Bug::ProducedTakesOneTooMany if bytes.len() > 2 => (3, b";"),
            _ => (2, b";"),
        }
    }

    fn whole(&self, bytes: &[u8]) -> Option<Shape> {
        let len = Self::plain(bytes);
        let refused = self.has(Bug::WholeTakesARefusedFrame) && bytes.get(len..) == Some(b"!;");
        if !refused && (len == 0 || bytes.get(len) != Some(&END)) {
            return None;
        }
        let content_len = len - usize::from(self.has(Bug::WholeMiscountsContent));
        let frame_len = len + 1 + 9 * usize::from(self.has(Bug::WholeIsTooLong));
        Some(Shape { start: 0, content_len, frame_len, plain: true })
    }

    fn unescape(&self, frame: &mut [u8]) -> Range<usize> {
        if self.has(Bug::UnescapeIsOutOfBounds) {
            return 0..frame.len() + 1;
        }
        let mut content = Vec::new();
        let mut place = Place::default();
        for &byte in &*frame {
            let plain = self.has(Bug::UnescapeLeavesAByte) && byte == ESCAPE;
            match self.push(&mut place, byte) {
                Unit::Byte(byte) => content.push(byte),
                _ if plain => content.push(byte),
                _ => {}
            }
        }
        let len = content.len().min(frame.len());
        for (place, byte) in frame.iter_mut().zip(content) {
            *place = byte;
        }
        0..len
    }

    fn end(&self, place: &mut Place) -> Unit {
        match *place {
            Place::Escaped => Unit::Nothing,
            _ if self.has(Bug::HoldsWithoutEndAtTheStreamsEnd) => Unit::Held(0),
            _ => {
                if !self.has(Bug::EndOfStreamLeavesTheStateDirty) {
                    *place = Place::Start;
                }
                Unit::End
            }
        }
    }

    fn max_wire_len(&self, content_len: u64) -> u64 {
        match self.bug {
            Bug::MaxWireLenIsTooSmall => content_len.saturating_add(2),
            Bug::MaxWireLenDecreases if content_len == 700 => 700,
            _ => content_len.saturating_mul(2).saturating_add(3),
        }
    }

    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        if content.iter().all(|run| run.is_empty()) {
            return Err(EncodeError::Empty);
        }
        for run in content {
            for (i, &byte) in run.iter().enumerate() {
                assert!(!self.has(Bug::PanicsOnEncode) || byte != 0x8D, "no such byte");
                let first = self.has(Bug::EncodeEscapesTheFirstByteOfASlice) && i == 0;
                let key = if self.has(Bug::WrongBytes) { 0x10 } else { 0x20 };
                match byte {
                    ESCAPE if self.has(Bug::EncodeForgetsToEscape) => put(&[byte]),
                    END | ESCAPE => put(&[ESCAPE, byte ^ key]),
                    _ if first && ![END, ESCAPE].contains(&(byte ^ 0x20)) => {
                        put(&[ESCAPE, byte ^ 0x20])
                    }
                    _ => put(&[byte]),
                }
            }
        }
        if !self.has(Bug::EncodeForgetsTheEnd) {
            put(&[END]);
        }
        Ok(())
    }
}

fn mine(bug: Bug) -> MarkKit<Mine> {
    with_example(MarkKit::new(Mine::new(bug), [&b"a;!b"[..], b"plain"]))
}

fn with_example<M: Mark>(kit: MarkKit<M>) -> MarkKit<M> {
    kit.example(b"a;", b"a!\x1B;")
        .refuses(b"a!;")
        .refuses_frame(b"a!;")
        .refuses_frame(b"a!!b;")
        .cases(24)
}

/// A kit for a mark whose payloads have escapes although it says that they have none.
fn verbatim() -> MarkKit<Mine<true>> {
    with_example(MarkKit::new(Mine::new(Bug::NotVerbatim), [b"a;!b"]))
}

fn check(bug: Bug, promise: Promise) -> Result<(), unstick_conformance::Violation> {
    if bug == Bug::NotVerbatim {
        return verbatim().check_promise(promise);
    }
    mine(bug).check_promise(promise)
}

#[test]
fn a_mark_without_a_fault_conforms() {
    conforms("no fault", &mine(Bug::None));
    conforms("no fault, many cases", &mine(Bug::None).cases(160));
}

#[test]
fn every_fault_is_caught_by_the_promise_that_it_breaks() {
    for (bug, promise) in BUGS {
        let Err(violation) = check(*bug, *promise) else {
            panic!("{bug:?} keeps {promise}");
        };
        assert_eq!(
            (violation.promise(), violation.law()),
            (*promise, None),
            "{bug:?}: {violation}"
        );
    }
}

/// What a stream shows of a fault names the law that is broken.
#[test]
fn a_consequence_in_a_stream_names_the_law() {
    let consequences = [
        (Bug::RunCountsOneTooMany, Promise::ChunkingIsInvisible),
        (Bug::ProducedGivesTheWrongByte, Promise::ChunkingIsInvisible),
        (Bug::WholeMiscountsContent, Promise::ChunkingIsInvisible),
        (Bug::UnescapeLeavesAByte, Promise::ChunkingIsInvisible),
        (Bug::MaxWireLenIsTooSmall, Promise::Progress),
        (Bug::Panics, Promise::Progress),
    ];
    for (bug, promise) in consequences {
        let Err(violation) = mine(bug).check_promise(promise) else {
            panic!("{bug:?} keeps {promise}");
        };
        let law = violation.law();
        let first = BUGS.iter().find(|(other, _)| *other == bug).map(|(_, law)| *law);
        assert_eq!((violation.promise(), law), (promise, first), "{bug:?}: {violation}");
    }
}

/// `check` finds each fault, whichever promise it meets first.
#[test]
fn every_fault_fails_the_whole_check() {
    for (bug, _) in BUGS {
        let result = match bug {
            Bug::NotVerbatim => verbatim().check(),
            bug => mine(*bug).check(),
        };
        assert!(result.is_err(), "{bug:?}");
    }
}

#[test]
fn bytes_of_a_fuzzer_show_what_they_can() {
    let kit = mine(Bug::EncodeForgetsToEscape);
    assert_eq!(kit.check_bytes(b"abc"), Ok(()));
    assert_eq!(kit.check_payload(b"a;c"), Ok(()));
    for result in [kit.check_bytes(b"a!c"), kit.check_payload(b"a!c")] {
        assert_eq!(result.unwrap_err().promise(), Promise::DecodeUndoesEncode);
    }
    let violation = mine(Bug::Panics).check_bytes(b"a\x8Db").unwrap_err();
    assert_eq!((violation.promise(), violation.bytes()), (Promise::NoPanic, &b"\x8D"[..]));
    assert!(violation.found().contains("`push` panicked: no such byte"), "{violation}");
}

#[test]
fn a_kit_names_what_it_lacks() {
    let lacks = |kit: MarkKit<Slip>| {
        let violation = kit.check_promise(Promise::KnownBytes).unwrap_err();
        violation.found().to_owned()
    };
    let none: [&[u8]; 0] = [];
    assert!(lacks(MarkKit::new(Slip::new(), none)).contains("no payload"));
    let kit = || MarkKit::new(Slip::new(), ["a"]);
    assert!(lacks(kit()).contains("no example"));
    assert!(lacks(kit().also_reads("a", "a\u{0}")).contains("no example"));
    assert!(lacks(kit().example("a", b"b\xC0")).contains("should be read"));
    assert!(lacks(kit().example("a", b"\xC0a\xC0")).contains("should be written"));
    assert!(lacks(kit().example("a", b"a\xC0").refuses(b"a\xC0")).contains("should be refused"));
    let slip = kit().example("a", b"a\xC0");
    assert!(lacks(slip.refuses_frame(b"a\xDBb")).contains("a refused frame of 3 bytes"));
    // A payload of the kit must be one that the mark can write.
    let refused = MarkKit::new(Slip::new(), [""]).check_promise(Promise::DecodeUndoesEncode);
    assert!(refused.unwrap_err().found().contains("is refused"), "an empty payload");
    let other = kit().check_promise(Promise::HonestNeed).unwrap_err();
    assert!(other.found().contains("no promise of a mark"), "{other}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]

    #[test]
    fn marks_that_ship_conform_on_any_bytes(bytes in vec(any::<u8>(), 0..60)) {
        MarkKit::new(Slip::new(), ["a"]).check_bytes(&bytes)?;
        MarkKit::new(Cobs, ["a"]).check_payload(&bytes)?;
        MarkKit::new(Lines::new().or_end(), ["a"]).check_bytes(&bytes)?;
        MarkKit::new(HdlcOctets, ["a"]).check_payload(&bytes)?;
    }
}
