//! The kit passes what is right, all formats that ship, and catches what is wrong, each fault by
//! the name of the promise that it breaks.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{
    EncodeError, Format, Framing, Header, HeaderError, InDatagram, Kind, Parsed, SelfChecking, U8,
    U16Be, V1, Varint,
};
use unstick_conformance::{Kit, Promise, Violation};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, every_format};
use unstick_testing::oracle::Rules;

fn kit<F: Subject>(format: &F) -> Kit<F> {
    let metas = [0, 1, 0x7F, 0xFE, u64::MAX].map(|seed| format.pick_meta(seed));
    let framing = Framing::new(format.clone()).with_limit(300);
    let meta = format.pick_meta(3);
    let header = |len| Rules::write(format, &F::describe(&meta), len);
    let bytes = [&header(2).unwrap()[..], b"hi"].concat();
    let kit = Kit::new(framing, metas).example(meta.clone(), b"hi", bytes).cases(40);
    match header(260) {
        Some(header) => kit.example_header(meta, 260, header),
        None => kit,
    }
}

#[test]
fn every_format_that_ships_conforms() {
    fn check<F: Subject>(format: &F) {
        if let Err(violation) = kit(format).check() {
            panic!("{format:?}: {violation}");
        }
    }
    every_format!(formats::some_layouts(), check);
}

fn v1() -> Kit<V1> {
    let kinds = (1..=255).filter_map(Kind::new);
    Kit::self_checking(V1, kinds)
        .example(Kind::TEXT, "你好", b"\xf5\x01\x01\0\0\0\x06\x4e\xe4\xbd\xa0\xe5\xa5\xbd")
        .example_header(Kind::TEXT, 0x0102_0304, b"\xf5\x01\x01\x01\x02\x03\x04\xad")
        .refuses(b"\xf4")
        .refuses(b"\xf5\x02")
        .refuses(b"\xf5\x01\x01\0\0\0\x06\x4f")
}

unstick_conformance::conformance_tests!(version_1, v1(), resync);

unstick_conformance::conformance_tests!(
    limits_by_kind,
    Kit::self_checking(
        Framing::new(formats::by_kind()).with_limit(300),
        (1..=16).chain([40, 200, 255]).filter_map(Kind::new)
    )
    .example(Kind::TEXT, b"hi!", b"\xf5\x01\x01\0\0\0\x03\xdd\x68\x69\x21")
    .example_header(Kind::TEXT, 0x0102_0304, b"\xf5\x01\x01\x01\x02\x03\x04\xad"),
    resync
);

unstick_conformance::conformance_tests!(
    varint,
    Kit::new(Framing::new(Varint).with_limit(1_000), [()])
        .example((), [7; 300], [&[0xAC, 0x02][..], &[7; 300]].concat())
        .refuses(b"\x80\0")
);

/// The faults of the tests below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    ShorterHeaderIsComplete,
    ChangesItsMind,
    WaitsForPayload,
    ReadsPayload,
    NeedsTooMany,
    NeedsAsMany,
    EndsForgotten,
    HeaderOfNoBytes,
    HeaderBeyondInput,
    HeaderBeyondRoom,
    MaxHeaderTooSmall,
    MaxHeaderTooLarge,
    EncoderCutsLength,
    EncoderIgnoresMeta,
    EncoderLeavesOldBytes,
    EncoderTakesAnyLength,
    DecoderCutsLength,
    DecoderDropsMetaBit,
    DecoderTakesAnyMark,
    DecoderRefusesLarge,
    ByteOrdersDiffer,
    ByteOrderIsWrong,
    MaxPayloadTooSmall,
    MaxPayloadTooLarge,
    NegativeLength,
    WholeHeaderTakesAnyMark,
    ResumeMiscounts,
    RefusesOneChunking,
    ErrorsDiffer,
    ErrorCodeOfTheProtocol,
    PanicsOnShortInput,
    PanicsOnMeta,
    PanicsOnResume,
    HeadersOfTwoLengths,
    DatagramsRemember,
    LimitsDiffer,
}

/// Every fault, and the promises that it breaks: those of the format, and what comes of them.
const BUGS: &[(Bug, Promise)] = &[
    (Bug::ShorterHeaderIsComplete, Promise::ShortestHeader),
    (Bug::ChangesItsMind, Promise::DecidedForGood),
    (Bug::WaitsForPayload, Promise::NoOverRead),
    (Bug::WaitsForPayload, Promise::ChunkingIsInvisible),
    (Bug::ReadsPayload, Promise::NoOverRead),
    (Bug::NeedsTooMany, Promise::HonestNeed),
    (Bug::NeedsAsMany, Promise::HonestNeed),
    (Bug::EndsForgotten, Promise::BytesAlone),
    (Bug::EndsForgotten, Promise::EveryEndIsClassified),
    (Bug::HeaderOfNoBytes, Promise::ShortestHeader),
    (Bug::HeaderBeyondInput, Promise::ShortestHeader),
    (Bug::HeaderBeyondRoom, Promise::HeaderFits),
    (Bug::MaxHeaderTooSmall, Promise::HeaderFits),
    (Bug::MaxHeaderTooLarge, Promise::HeaderFits),
    (Bug::EncoderCutsLength, Promise::DecodeUndoesEncode),
    (Bug::EncoderIgnoresMeta, Promise::DecodeUndoesEncode),
    (Bug::EncoderLeavesOldBytes, Promise::BytesAlone),
    (Bug::EncoderTakesAnyLength, Promise::TrueMaxPayload),
    (Bug::DecoderCutsLength, Promise::DecodeUndoesEncode),
    (Bug::DecoderDropsMetaBit, Promise::EncodeUndoesDecode),
    (Bug::DecoderTakesAnyMark, Promise::EncodeUndoesDecode),
    (Bug::DecoderRefusesLarge, Promise::DecodeUndoesEncode),
    (Bug::DecoderRefusesLarge, Promise::LimitSymmetry),
    (Bug::LimitsDiffer, Promise::LimitSymmetry),
    (Bug::ByteOrdersDiffer, Promise::DecodeUndoesEncode),
    (Bug::ByteOrderIsWrong, Promise::KnownBytes),
    (Bug::MaxPayloadTooSmall, Promise::TrueMaxPayload),
    (Bug::MaxPayloadTooLarge, Promise::TrueMaxPayload),
    (Bug::NegativeLength, Promise::TrueMaxPayload),
    (Bug::WholeHeaderTakesAnyMark, Promise::WholeHeaderAgrees),
    (Bug::ResumeMiscounts, Promise::ResumeHeaderAgrees),
    (Bug::RefusesOneChunking, Promise::BytesAlone),
    (Bug::RefusesOneChunking, Promise::ChunkingIsInvisible),
    (Bug::ErrorsDiffer, Promise::BytesAlone),
    (Bug::ErrorsDiffer, Promise::ErrorsLatch),
    (Bug::ErrorCodeOfTheProtocol, Promise::OwnErrorCodes),
    (Bug::PanicsOnShortInput, Promise::NoPanic),
    (Bug::PanicsOnMeta, Promise::NoPanic),
    (Bug::PanicsOnResume, Promise::NoPanic),
    (Bug::HeadersOfTwoLengths, Promise::ResyncIsExact),
    (Bug::DatagramsRemember, Promise::Datagrams),
];

/// A user's format: a mark, a kind, and four bytes of length, most significant first.
#[derive(Clone, Debug)]
struct Mine {
    bug: Bug,
    calls: Cell<u16>,
    /// How many bytes the last call was given.
    last: Cell<usize>,
}

const MARK: u8 = 0xA7;

impl Mine {
    fn new(bug: Bug) -> Self {
        Self { bug, calls: Cell::new(0), last: Cell::new(0) }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn refusal(&self) -> HeaderError {
        let code = match self.bug {
            Bug::ErrorsDiffer => 0x8000 | self.calls.get(),
            Bug::ErrorCodeOfTheProtocol => 0x0001,
            _ => 0x8001,
        };
        HeaderError::Custom { code, text: "" }
    }
}

impl Format for Mine {
    type Meta = u8;
    type HeaderBuf = [u8; 6];

    fn max_payload_len(&self) -> u64 {
        match self.bug {
            Bug::MaxPayloadTooSmall => u16::MAX.into(),
            Bug::NegativeLength => 0x7FFF_FFFF,
            Bug::MaxPayloadTooLarge => u64::MAX,
            _ => u32::MAX.into(),
        }
    }

    fn max_header_len(&self) -> usize {
        match self.bug {
            Bug::MaxHeaderTooSmall => 5,
            Bug::MaxHeaderTooLarge => 7,
            _ => 6,
        }
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<u8>, HeaderError> {
        self.calls.set((self.calls.get() + 1) % 0x7FFF);
        let last = self.last.replace(bytes.len());
        if self.has(Bug::RefusesOneChunking) && (last, bytes.len()) == (3, 4) {
            return Err(self.refusal());
        }
        if self.has(Bug::PanicsOnShortInput) && bytes.len() == 1 {
            let _ = bytes[1];
        }
        let marked = bytes.first().is_none_or(|mark| *mark == MARK);
        if !marked && !self.has(Bug::DecoderTakesAnyMark) {
            return Err(self.refusal());
        }
        let header = |meta, payload_len, header_len| {
            Ok(Parsed::Header(Header { meta, payload_len, header_len }))
        };
        match self.bug {
            Bug::HeadersOfTwoLengths if bytes.get(1) == Some(&0) => return header(0, 0, 2),
            Bug::ShorterHeaderIsComplete if bytes.len() == 5 => {
                return header(bytes[1], bytes[4].into(), 5);
            }
            Bug::HeaderBeyondInput if bytes.len() == 5 => return header(bytes[1], 0, 6),
            Bug::HeaderBeyondRoom if bytes.len() == 6 => return Ok(Parsed::Need(7)),
            Bug::WaitsForPayload if bytes.len() == 6 && bytes[5] > 0 => return Ok(Parsed::Need(7)),
            Bug::ChangesItsMind if bytes.get(6) == Some(&0xFF) => return Err(self.refusal()),
            _ => {}
        }
        let Some(&[_, kind, a, b, c, d]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(match self.bug {
                Bug::HeadersOfTwoLengths if bytes.len() < 2 => 2,
                Bug::NeedsTooMany if bytes.len() < 4 => 8,
                Bug::NeedsAsMany => bytes.len(),
                // By what it was asked before, and not by the bytes.
                Bug::EndsForgotten if bytes.len() == 3 && last == 2 => 5,
                _ => 6,
            }));
        };
        let meta = match self.bug {
            Bug::DecoderDropsMetaBit => kind & 0x7F,
            Bug::ReadsPayload => bytes.get(6).map_or(kind, |next| kind ^ next),
            _ => kind,
        };
        let payload_len = match self.bug {
            Bug::ByteOrderIsWrong => u32::from_le_bytes([a, b, c, d]),
            Bug::DecoderCutsLength => u16::from_be_bytes([c, d]).into(),
            _ => u32::from_be_bytes([a, b, c, d]),
        };
        if self.has(Bug::DecoderRefusesLarge) && payload_len > 100_000 {
            return Err(self.refusal());
        }
        let header_len = match self.bug {
            Bug::HeaderOfNoBytes if payload_len == 0 => 0,
            Bug::HeaderBeyondRoom => 7,
            _ => 6,
        };
        header(meta, payload_len.into(), header_len)
    }

    fn whole_header(&self, bytes: &[u8]) -> Option<Header<u8>> {
        if self.has(Bug::WholeHeaderTakesAnyMark) {
            let &[_, meta, a, b, c, d] = bytes.first_chunk()?;
            let payload_len = u32::from_be_bytes([a, b, c, d]).into();
            return Some(Header { meta, payload_len, header_len: 6 });
        }
        match self.decode_header(bytes) {
            Ok(Parsed::Header(header)) => Some(header),
            _ => None,
        }
    }

    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<u8>, HeaderError> {
        assert!(!self.has(Bug::PanicsOnResume) || seen < 5, "who has seen {seen} bytes?");
        match self.decode_header(bytes) {
            Ok(Parsed::Need(need)) if self.has(Bug::ResumeMiscounts) => {
                Ok(Parsed::Need(need + seen))
            }
            other => other,
        }
    }

    fn encode_header(&self, kind: &u8, len: u64, out: &mut [u8; 6]) -> Result<usize, EncodeError> {
        assert!(!self.has(Bug::PanicsOnMeta) || *kind < 0x80, "kind {kind}");
        let limit = self.max_payload_len().min(u32::MAX.into());
        if len > limit && !self.has(Bug::EncoderTakesAnyLength) {
            return Err(EncodeError::Oversize { len, limit });
        }
        if self.has(Bug::HeadersOfTwoLengths) && *kind == 0 {
            out[..2].copy_from_slice(&[MARK, 0]);
            return if len == 0 { Ok(2) } else { Err(EncodeError::Meta) };
        }
        let [a, b, c, d] = match self.bug {
            Bug::EncoderCutsLength => u32::from(len as u16).to_be_bytes(),
            Bug::ByteOrdersDiffer | Bug::ByteOrderIsWrong => (len as u32).to_le_bytes(),
            _ => (len as u32).to_be_bytes(),
        };
        let kind = if self.has(Bug::EncoderIgnoresMeta) { 7 } else { *kind };
        match self.bug {
            Bug::EncoderLeavesOldBytes if len < 0x100 => {
                (out[0], out[1], out[5]) = (MARK, kind, d);
            }
            _ => *out = [MARK, kind, a, b, c, d],
        }
        Ok(6)
    }

    fn limit_of(&self, kind: &u8) -> u64 {
        self.calls.set((self.calls.get() + 1) % 0x7FFF);
        match self.bug {
            Bug::LimitsDiffer if self.calls.get() % 3 == 0 => 9,
            // Each has another one.
            _ if *kind == 9 => 1 << 26,
            _ => [300, 1 << 18, 1 << 30][usize::from(*kind) % 3],
        }
    }

    fn in_datagram(&self, kind: &u8) -> InDatagram {
        self.calls.set((self.calls.get() + 1) % 0x7FFF);
        if self.has(Bug::DatagramsRemember) && self.calls.get() % 5 == 0 {
            return InDatagram::Misplaced { kind: *kind };
        }
        InDatagram::Delivered
    }
}

impl SelfChecking for Mine {}

fn mine(bug: Bug) -> Kit<Mine> {
    let framing = Framing::new(Mine::new(bug)).with_limit(1 << 20);
    Kit::self_checking(framing, [1, 7, 0x80])
        // It has a mark and no check.
        .unchecked_bits([0xFF; 6])
        .example(9, b"hi", b"\xA7\x09\0\0\0\x02hi")
        .example_header(9, 0x0102_0304, b"\xA7\x09\x01\x02\x03\x04")
        .refuses(b"\xA6")
        .cases(32)
}

#[test]
fn a_format_without_a_fault_conforms() {
    if let Err(violation) = mine(Bug::None).check() {
        panic!("{violation}");
    }
}

#[test]
fn every_fault_is_caught_by_the_promise_that_it_breaks() {
    for (bug, promise) in BUGS {
        let Err(violation) = mine(*bug).check_promise(*promise) else {
            panic!("{bug:?} keeps {promise}");
        };
        assert_eq!(violation.promise(), *promise, "{bug:?}: {violation}");
        // What is a consequence points to what this same fault breaks first.
        if let Some(law) = violation.law() {
            assert!(BUGS.contains(&(*bug, law)), "{bug:?} breaks no {law}: {violation}");
        }
    }
}

/// A test that fails has found its own promise broken, or one that it rests on; whatever the fault.
#[test]
fn a_consequence_points_to_what_it_rests_on() {
    let failure = |bug, promise| mine(bug).check_promise(promise).unwrap_err();
    let consequences = [
        (Bug::WaitsForPayload, Promise::ChunkingIsInvisible, Promise::NoOverRead),
        (Bug::EndsForgotten, Promise::EveryEndIsClassified, Promise::BytesAlone),
        (Bug::NeedsTooMany, Promise::ChunkingIsInvisible, Promise::HonestNeed),
        (Bug::NeedsAsMany, Promise::LimitSymmetry, Promise::HonestNeed),
        (Bug::HeaderBeyondInput, Promise::Datagrams, Promise::ShortestHeader),
        (Bug::PanicsOnMeta, Promise::Progress, Promise::NoPanic),
    ];
    for (bug, promise, law) in consequences {
        let violation = failure(bug, promise);
        assert_eq!((violation.promise(), violation.law()), (promise, Some(law)), "{violation}");
        let text = violation.to_string();
        let see = format!("see `{law}`: {}\n", law.says());
        assert!(text.starts_with(promise.name()) && text.contains(&see), "{text}");
    }
    for bug in BUGS.iter().map(|(bug, _)| *bug) {
        // `no_panic` is about panics alone.
        if let Err(violation) = mine(bug).check_promise(Promise::NoPanic) {
            assert_eq!((violation.promise(), violation.law()), (Promise::NoPanic, None));
            assert!(BUGS.contains(&(bug, Promise::NoPanic)), "{bug:?}: {violation}");
        }
    }
}

/// Random bytes, a quarter of them zeros and ones, as a fuzzer's first mutations bring them.
#[test]
fn bytes_catch_every_fault_that_they_can_show() {
    for (bug, _) in BUGS {
        let kit = mine(*bug);
        let mut state = 1_u64;
        let found = (0..200).any(|len| {
            let bytes: Vec<u8> = (0..len % 40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let byte = (state >> 33) as u8;
                    if state >> 62 == 0 { byte & 1 } else { byte }
                })
                .collect();
            kit.check_bytes(&bytes).is_err()
        });
        // Only an example knows the right byte order.
        assert!(found || *bug == Bug::ByteOrderIsWrong, "{bug:?}");
    }
}

/// Everything a person needs to see the fault: the promise, what was found, the bytes.
#[test]
fn a_violation_can_be_read() {
    let violation = mine(Bug::ReadsPayload).check_promise(Promise::NoOverRead).unwrap_err();
    let text = violation.to_string();
    assert_eq!(text, format!("{violation:?}"), "a test that returns it prints the same");
    for part in ["no_over_read: A header is complete", "found: Header {", "bytes: [a7, "] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(violation.bytes()[0], MARK);

    let violation =
        mine(Bug::WaitsForPayload).check_promise(Promise::ChunkingIsInvisible).unwrap_err();
    let text = violation.to_string();
    assert!(text.contains("see `no_over_read`: "), "{text}");

    let violation = mine(Bug::PanicsOnMeta).check_promise(Promise::Progress).unwrap_err();
    assert_eq!(violation.promise(), Promise::Progress);
    assert_eq!(violation.law(), Some(Promise::NoPanic), "a panic is told wherever it happens");
    assert!(violation.found().contains("`encode_header` panicked: kind 128"), "{violation}");

    let found = |bug, promise| mine(bug).check_promise(promise).unwrap_err().to_string();
    let text = found(Bug::EncoderTakesAnyLength, Promise::TrueMaxPayload);
    assert!(text.contains("meta 1 with a payload length of 4294967296 was written"), "{text}");
    let text = found(Bug::DecoderTakesAnyMark, Promise::EncodeUndoesDecode);
    assert!(text.contains("a check, or reserved bits"), "{text}");
    assert!(text.contains("`Kit::not_canonical`"), "{text}");
    let several = mine(Bug::DecoderTakesAnyMark).not_canonical();
    assert_eq!(several.check_promise(Promise::EncodeUndoesDecode), Ok(()));
    let text = found(Bug::DatagramsRemember, Promise::Datagrams);
    assert!(text.contains(" it gives ") && text.contains(", and should give "), "{text}");
}

/// A mark, two bytes of length, and the sum of those bytes that are covered.
struct Summed {
    covers: [bool; 3],
}

impl Summed {
    fn check(&self, bytes: [u8; 3]) -> u8 {
        let covered = bytes.iter().zip(self.covers).filter(|(_, covers)| *covers);
        covered.fold(0x55, |sum, (byte, _)| sum ^ byte)
    }
}

impl Format for Summed {
    type Meta = ();
    type HeaderBuf = [u8; 4];

    fn max_payload_len(&self) -> u64 {
        u16::MAX.into()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        if bytes.first().is_some_and(|mark| *mark != MARK) {
            return Err(HeaderError::Custom { code: 0x8001, text: "no mark" });
        }
        let Some(&[mark, hi, lo, check]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(4));
        };
        if check != self.check([mark, hi, lo]) {
            return Err(HeaderError::Custom { code: 0x8002, text: "a wrong sum" });
        }
        let payload_len = u16::from_be_bytes([hi, lo]).into();
        Ok(Parsed::Header(Header { meta: (), payload_len, header_len: 4 }))
    }

    fn encode_header(&self, (): &(), len: u64, out: &mut [u8; 4]) -> Result<usize, EncodeError> {
        let limit = self.max_payload_len();
        let len = u16::try_from(len).map_err(|_| EncodeError::Oversize { len, limit })?;
        let [hi, lo] = len.to_be_bytes();
        *out = [MARK, hi, lo, self.check([MARK, hi, lo])];
        Ok(4)
    }
}

impl SelfChecking for Summed {}

/// A kit whose example is right whatever the check covers: the sum over it is the same.
fn summed(covers: [bool; 3]) -> Kit<Summed> {
    let framing = Framing::new(Summed { covers }).with_limit(100);
    let check = Summed { covers }.check([MARK, 0, 1]);
    Kit::self_checking(framing, [()]).example((), b"!", [MARK, 0, 1, check, b'!']).cases(16)
}

#[test]
fn a_byte_that_a_check_leaves_out_is_found() {
    let whole = summed([true; 3]);
    assert_eq!(whole.check(), Ok(()));
    // The mark needs no check: it has one value.
    assert_eq!(summed([false, true, true]).check(), Ok(()));
    for (covers, left_out) in
        [([true, false, true], [0, 0xFF, 0, 0]), ([true, true, false], [0, 0, 0xFF, 0])]
    {
        let violation = summed(covers).check().unwrap_err();
        assert_eq!(violation.promise(), Promise::SingleBitErrors, "{violation}");
        let violation = summed(covers).check_promise(Promise::SingleBitErrors).unwrap_err();
        assert!(violation.found().contains("Kit::unchecked_bits"), "{violation}");
        let violation = summed(covers).check_bytes(b"\0\x01\0\0\x02").unwrap_err();
        assert_eq!(violation.promise(), Promise::SingleBitErrors, "{violation}");
        assert_eq!(summed(covers).unchecked_bits(left_out).check(), Ok(()));
        let one_short = left_out.map(|byte| byte & 0x7F);
        assert!(summed(covers).unchecked_bits(one_short).check().is_err());
    }
}

/// What a fuzzer saves, and proptest shrinks to, is what shows the fault, and not just any bytes.
#[test]
fn bytes_show_only_what_they_say() {
    for (bug, _) in BUGS {
        // Those that a single byte shows, such as the one that every prefix is followed by.
        let shown = match bug {
            Bug::PanicsOnShortInput => Some(Promise::NoPanic),
            Bug::NeedsAsMany => Some(Promise::HonestNeed),
            _ => None,
        };
        let kit = mine(*bug);
        for bytes in [&b""[..], b"\xA7"] {
            let found = kit.check_bytes(bytes).err().map(|violation| violation.promise());
            assert_eq!(found, shown, "{bug:?} {bytes:02x?}");
        }
    }
    // The length that is needed to see it, and no byte more.
    let kit = mine(Bug::EncoderCutsLength);
    assert_eq!(kit.check_bytes(b"\0\x02\0\0\xFF\xFE"), Ok(()));
    let violation = kit.check_bytes(b"\0\x03\0\0\x01\0\0").unwrap_err();
    assert!(violation.found().contains("a payload length of 65536"), "{violation}");
}

/// What a kit cannot do without it asks for.
#[test]
fn a_kit_says_what_it_lacks() {
    let promise = |result: Result<(), Violation>| result.unwrap_err().promise();
    let no_example = Kit::new(U8, [()]);
    assert_eq!(promise(no_example.check()), Promise::KnownBytes);
    assert_eq!(no_example.check_promise(Promise::Progress), Ok(()));
    let no_meta = Kit::new(U8, []);
    assert_eq!(promise(no_meta.check()), Promise::KnownBytes);
    assert_eq!(promise(no_meta.check_promise(Promise::Progress)), Promise::Progress);
    let no_search = Kit::new(V1, [Kind::TEXT]).check_promise(Promise::ResyncIsExact);
    assert_eq!(promise(no_search), Promise::ResyncIsExact);
    let no_search = Kit::new(V1, [Kind::TEXT]).check_promise(Promise::SingleBitErrors);
    assert_eq!(promise(no_search), Promise::SingleBitErrors);
    let of_a_mark = Kit::new(V1, [Kind::TEXT]).check_promise(Promise::RunAgrees).unwrap_err();
    assert!(of_a_mark.found().contains("no promise of a format"), "{of_a_mark}");
    // What `conformance_tests!` asks for without `resync`.
    assert_eq!(Kit::new(V1, [Kind::TEXT]).check_resync_is_left_out(), Ok(()));
    let forgotten = v1().check_resync_is_left_out().unwrap_err();
    assert!(forgotten.found().contains("add `resync`"), "{forgotten}");
}

/// Of a length field's upper bytes short examples say nothing.
#[test]
fn an_example_with_a_long_length_is_asked_for() {
    let known = |kit: Kit<U16Be>| kit.check_promise(Promise::KnownBytes);
    let kit = |limit| {
        Kit::new(Framing::new(U16Be).with_limit(limit), [()]).example((), b"hi", b"\0\x02hi")
    };
    assert_eq!(known(kit(255)), Ok(()));
    let violation = known(kit(256)).unwrap_err();
    assert!(violation.found().contains("`example_header`"), "{violation}");
    assert!(known(kit(256).example_header((), 255, b"\0\xFF")).is_err());
    assert_eq!(known(kit(256).example_header((), 0x0102, b"\x01\x02")), Ok(()));
    assert_eq!(known(kit(256).example((), [7; 256], [&[1, 0][..], &[7; 256]].concat())), Ok(()));
    for wrong in [&b"\x02\x01"[..], b"\x01", b"\x01\x02\x03"] {
        let violation = known(kit(256).example_header((), 0x0102, wrong)).unwrap_err();
        assert!(violation.found().contains("a payload length of 258 is read as"), "{violation}");
    }
}

#[test]
fn an_example_that_is_wrong_is_a_violation() {
    let known = |kit: Kit<U8>| kit.check_promise(Promise::KnownBytes).map_err(|v| v.promise());
    let fails = Err(Promise::KnownBytes);
    let kit = || Kit::new(Framing::new(U8).with_limit(3), [()]);
    assert_eq!(known(kit().example((), b"hi", b"\x02hi")), Ok(()));
    assert_eq!(known(kit().example((), b"ho", b"\x02hi")), fails);
    assert_eq!(known(kit().example((), b"hi", b"\x02hi\0")), fails);
    assert_eq!(known(kit().example((), b"hi", b"\x02h")), fails);
    assert_eq!(known(kit().example((), b"hi!!", b"\x04hi!!")), fails, "over the limit");
    assert_eq!(known(kit().example((), b"", b"\0").refuses(b"\x01")), fails);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn formats_that_ship_conform_on_any_bytes(
        bytes in vec(any::<u8>(), 0..60), payload in vec(any::<u8>(), 0..40), meta: u64,
        cuts in vec(0..60_usize, 0..5),
    ) {
        fn check<F: Subject>(
            format: &F, bytes: &[u8], payload: &[u8], meta: u64, cuts: &[usize],
        ) -> Result<(), Violation> {
            let metas = [0, 1, meta].map(|seed| format.pick_meta(seed));
            let kit = Kit::new(Framing::new(format.clone()).with_limit(30), metas);
            kit.check_bytes(bytes)?;
            kit.check_frame(&format.pick_meta(meta), payload)?;
            kit.check_stream(bytes, cuts)
        }
        let mut result = Ok(());
        let mut check_one = |one| result = result.clone().and(one);
        check_one(check(&V1, &bytes, &payload, meta, &cuts));
        check_one(check(&Varint, &bytes, &payload, meta, &cuts));
        check_one(check(&formats::layout(meta), &bytes, &payload, meta, &cuts));
        result?;
        v1().check_bytes(&bytes)?;
    }
}
