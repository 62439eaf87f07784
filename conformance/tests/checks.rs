//! The kit for checks passes the checks that ship, and catches each fault by the name of the promise
//! that it breaks.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::num::NonZero;

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::check::{
    Crc8Smbus, Crc16X25, Crc32IsoHdlc, EndBytes, Fletcher8, Fletcher16, Lrc8, SkipHeader, Sum8,
    Xor8,
};
use unstick::{Check, Checked, Fixed, Framing, Kind, NoCheck, U8, U16Be, V1, Varint};
use unstick_conformance::{CheckKit, Promise};

unstick_conformance::check_tests!(
    crc_32,
    CheckKit::new(
        Framing::new(Checked::new(U8, Crc32IsoHdlc::new().big_endian())).with_limit(100),
        [()]
    )
    .example((), b"23456789", b"\x0823456789\x49\x66\x4F\xAF")
    .cases(40)
);

fn conforms<C: Check + Copy>(name: &str, check: C, left_out: usize) {
    let header = b"\0\x02";
    let trailer = check.trailer(check.update(check.begin(header), b"hi"));
    let bytes = [&header[..], b"hi", trailer.as_ref()].concat();
    let framing = Framing::new(Checked::new(U16Be, check)).with_limit(60);
    let kit = CheckKit::new(framing, [()]).example((), b"hi", bytes);
    let kit = kit.leaves_out(left_out).cases(24);
    if let Err(violation) = kit.check() {
        panic!("{name}: {violation}");
    }
    assert_eq!(kit.warnings(), [], "{name}");
}

#[test]
fn every_check_that_ships_conforms() {
    conforms("sum", Sum8, 0);
    conforms("LRC", Lrc8, 0);
    conforms("XOR", Xor8, 0);
    conforms("Fletcher-8", Fletcher8, 0);
    conforms("Fletcher-16", Fletcher16, 0);
    conforms("CRC-8", Crc8Smbus::new(), 0);
    conforms("CRC-16", Crc16X25::new(), 0);
    conforms("CRC-32", Crc32IsoHdlc::new(), 0);
    conforms("CRC-16 without one byte", SkipHeader::new(Crc16X25::new(), 1), 1);
    conforms("CRC-16 without header", SkipHeader::all(Crc16X25::new()), usize::MAX);
}

#[test]
fn a_check_conforms_after_other_formats() {
    let kinds = [Kind::TEXT, Kind::BINARY];
    let framing = Framing::new(Checked::new(V1, Sum8)).with_limit(40);
    let example = b"\xf5\x01\x01\0\0\0\x02\xf2hi\xbc";
    let kit = CheckKit::new(framing, kinds).example(Kind::TEXT, b"hi", example).cases(24);
    assert_eq!(kit.check(), Ok(()));
    let framing = Framing::new(Checked::new(Varint, Sum8)).with_limit(300);
    let kit = CheckKit::new(framing, [()]).example((), b"\x01", b"\x01\x01\x02").cases(24);
    assert_eq!(kit.check(), Ok(()));
}

/// The faults of the tests below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    UpdateDependsOnCuts,
    UpdateCountsRuns,
    EmptyRunChangesTheDigest,
    TrailerIgnoresTheLastByte,
    BeginIgnoresTheHeader,
    UpdateIgnoresABit,
    Remembers,
    WrongStart,
    Panics,
}

const BUGS: &[(Bug, Promise)] = &[
    (Bug::UpdateDependsOnCuts, Promise::UpdateIgnoresCuts),
    (Bug::UpdateCountsRuns, Promise::UpdateIgnoresCuts),
    (Bug::EmptyRunChangesTheDigest, Promise::UpdateIgnoresCuts),
    (Bug::TrailerIgnoresTheLastByte, Promise::FrameBitErrors),
    (Bug::BeginIgnoresTheHeader, Promise::FrameBitErrors),
    (Bug::UpdateIgnoresABit, Promise::FrameBitErrors),
    (Bug::Remembers, Promise::BytesAlone),
    (Bug::WrongStart, Promise::KnownBytes),
    (Bug::Panics, Promise::NoPanic),
];

/// A user's check: a sum in which each byte has a weight by its place.
struct Mine {
    bug: Bug,
    calls: Cell<u16>,
}

/// The number of bytes, the sum of all, and the sum of all but the last.
type Digest = (u16, u16, u16);

impl Check for Mine {
    type Digest = Digest;
    type Trailer = [u8; 2];

    fn begin(&self, header: &[u8]) -> Digest {
        let start = if self.bug == Bug::WrongStart { 7 } else { 1 };
        let header = if self.bug == Bug::BeginIgnoresTheHeader { &[] } else { header };
        self.update((0, start, start), header)
    }

    fn update(&self, digest: Digest, run: &[u8]) -> Digest {
        assert!(self.bug != Bug::Panics || run.len() != 5, "five bytes");
        self.calls.set(self.calls.get().wrapping_add(1));
        let (mut count, mut sum, mut before) = digest;
        match self.bug {
            // The weights begin anew with each run.
            Bug::UpdateDependsOnCuts => count = 0,
            Bug::UpdateCountsRuns if !run.is_empty() => sum = sum.wrapping_add(1),
            Bug::EmptyRunChangesTheDigest if run.is_empty() => sum = sum.wrapping_add(1),
            _ => {}
        }
        for byte in run {
            let byte = if self.bug == Bug::UpdateIgnoresABit { byte & 0x7F } else { *byte };
            before = sum;
            sum = sum.wrapping_add(u16::from(byte).wrapping_mul(2 * (count % 3) + 1));
            count = count.wrapping_add(1);
        }
        (count, sum, before)
    }

    fn trailer(&self, (_, sum, before): Digest) -> [u8; 2] {
        let sum = match self.bug {
            Bug::TrailerIgnoresTheLastByte => before,
            Bug::Remembers => sum ^ (self.calls.replace(self.calls.get().wrapping_add(1)) & 1),
            _ => sum,
        };
        sum.to_be_bytes()
    }
}

fn mine(bug: Bug) -> CheckKit<U8, Mine> {
    let check = Mine { bug, calls: Cell::new(0) };
    CheckKit::new(Framing::new(Checked::new(U8, check)).with_limit(200), [()])
        .example((), b"\x01\x02", b"\x02\x01\x02\0\x10")
        .cases(24)
}

#[test]
fn a_check_without_a_fault_conforms() {
    let kit = mine(Bug::None);
    if let Err(violation) = kit.check() {
        panic!("{violation}");
    }
    assert_eq!(kit.warnings(), []);
}

#[test]
fn every_fault_is_caught_by_the_promise_that_it_breaks() {
    for (bug, promise) in BUGS {
        let Err(violation) = mine(*bug).check_promise(*promise) else {
            panic!("{bug:?} keeps {promise}");
        };
        assert_eq!(
            (violation.promise(), violation.law()),
            (*promise, None),
            "{bug:?}: {violation}"
        );
        assert!(mine(*bug).check().is_err(), "{bug:?}");
    }
}

#[test]
fn a_consequence_in_a_stream_names_the_law() {
    for (bug, promise, law) in [
        (Bug::UpdateCountsRuns, Promise::ChunkingIsInvisible, Promise::UpdateIgnoresCuts),
        (Bug::UpdateDependsOnCuts, Promise::ChunkingIsInvisible, Promise::UpdateIgnoresCuts),
        (Bug::Panics, Promise::ErrorsLatch, Promise::NoPanic),
    ] {
        let violation = mine(bug).check_promise(promise).unwrap_err();
        assert_eq!((violation.promise(), violation.law()), (promise, Some(law)), "{violation}");
    }
}

#[test]
fn a_check_that_leaves_out_a_part_of_the_header_declares_it() {
    let left_out = |check_len, declared| {
        let check = SkipHeader::new(Sum8, check_len);
        let kit = CheckKit::new(Checked::new(U16Be, check), [()]).leaves_out(declared);
        kit.check_promise(Promise::FrameBitErrors)
    };
    assert_eq!(left_out(1, 1), Ok(()));
    assert_eq!(left_out(2, usize::MAX), Ok(()));
    for (check_len, declared) in [(1, 0), (2, 1), (1, 2), (0, 1)] {
        let violation = left_out(check_len, declared).unwrap_err();
        assert!(violation.found().contains("CheckKit::leaves_out"), "{violation}");
    }
}

/// Constant bytes show a wrong length only, and are meant to.
#[test]
fn constant_bytes_are_a_warning() {
    let framing = Framing::new(Checked::new(U8, EndBytes::new(*b"\r\n"))).with_limit(40);
    let kit = CheckKit::new(framing, [()]).example((), b"hi", b"\x02hi\r\n").cases(24);
    assert_eq!(kit.check(), Ok(()));
    let [warning] = &kit.warnings()[..] else { panic!("{:?}", kit.warnings()) };
    assert_eq!(warning.promise(), Promise::FrameBitErrors);
    assert!(warning.found().contains("leaves the check as it is"), "{warning}");
    // So is no check at all.
    let none = CheckKit::new(Checked::new(U8, NoCheck), [()]).example((), b"hi", b"\x02hi");
    assert_eq!(none.warnings().len(), 1);
}

#[test]
fn a_check_conforms_after_frames_of_fixed_length() {
    let framing = Framing::new(Checked::new(Fixed::new(NonZero::new(4).unwrap()), Xor8));
    let kit =
        CheckKit::new(framing, [()]).example((), b"\x01\x02\x04\x08", b"\x01\x02\x04\x08\x0F");
    if let Err(violation) = kit.cases(24).check() {
        panic!("{violation}");
    }
}

#[test]
fn a_kit_names_what_it_lacks() {
    let lacks = |kit: CheckKit<U8, Sum8>| {
        let violation = kit.check_promise(Promise::KnownBytes).unwrap_err();
        violation.found().to_owned()
    };
    let kit = |metas: &[()]| CheckKit::new(Checked::new(U8, Sum8), metas.iter().copied());
    assert!(lacks(kit(&[])).contains("no meta"));
    assert!(lacks(kit(&[()])).contains("no example"));
    assert!(lacks(kit(&[()]).example((), b"\x01", b"\x01\x01\x03")).contains("is written as"));
    let other = kit(&[()]).check_promise(Promise::RunAgrees).unwrap_err();
    assert!(other.found().contains("no promise of a check"), "{other}");
}

/// The reference said "inside a payload" where a skipped frame lacked a part of its check only.
#[test]
fn a_stream_may_end_inside_the_check_of_a_skipped_frame() {
    let kit = CheckKit::new(Checked::new(U8, Crc16X25::new()), [()]);
    for arrived in 50..57 {
        kit.check_bytes(&[&[53][..], &vec![0; arrived]].concat()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]

    #[test]
    fn checks_that_ship_conform_on_any_bytes(bytes in vec(any::<u8>(), 0..60)) {
        let kit = CheckKit::new(Checked::new(U8, Crc16X25::new()), [()]);
        kit.check_bytes(&bytes)?;
        kit.check_frame(&(), &bytes)?;
    }
}
