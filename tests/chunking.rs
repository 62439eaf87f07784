//! Where a stream is cut has no meaning: random streams, random cuts, every path, every format,
//! compared with the oracle.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{DecodeError, Decoder, Framing, HeaderBuf, LengthField};
use unstick_testing::chunks::{Subject, compare_all, single_bytes};
use unstick_testing::formats::{self, Part, every_format, stream};

fn frame() -> impl Strategy<Value = Part> {
    let len = prop_oneof![Just(0_u64), 1..6_u64, 1..80_u64];
    (any::<u64>(), len, any::<u8>()).prop_map(|(meta, len, fill)| Part::Frame { meta, len, fill })
}

/// A length that may be above any limit.
fn length() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_u64, any::<u64>(), any::<u32>().prop_map(u64::from), Just(u64::MAX)]
}

/// Bytes that headers are made of.
fn header_like() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => Just(0xF5),
        3 => Just(0x01),
        4 => Just(0x00),
        1 => Just(0x80),
        2 => 0..9_u8,
        1 => Just(0xAC),
        2 => any::<u8>(),
    ]
}

fn damaged() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => frame(),
        1 => (any::<u64>(), length(), 0..12_usize)
            .prop_map(|(meta, len, keep)| Part::Header { meta, len, keep }),
        1 => vec(header_like(), 1..12).prop_map(Part::Bytes),
        1 => vec(any::<u8>(), 1..4).prop_map(Part::Bytes),
        1 => (0..40_usize, 0..8_u8).prop_map(|(back, bit)| Part::Flip { back, bit }),
        1 => (0..40_usize).prop_map(|back| Part::Lose { back }),
    ]
}

fn limit() -> impl Strategy<Value = u64> {
    prop_oneof![0..20_u64, 0..80_u64, Just(1 << 20), Just(u64::MAX)]
}

/// Cuts as fractions of a stream whose length is not known yet.
fn cuts() -> impl Strategy<Value = Vec<u16>> {
    vec(any::<u16>(), 0..12)
}

fn place(cuts: &[u16], len: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| usize::from(*cut) * (len + 1) / 65_536).collect();
    cuts.sort_unstable();
    cuts
}

fn check<F: Subject>(format: &F, parts: &[Part], limit: u64, cuts: &[u16]) {
    let stream = stream(format, parts);
    let framing = Framing::new(format.clone()).with_limit(limit);
    for cuts in [vec![], single_bytes(&stream), place(cuts, stream.len())] {
        compare_all(&framing, &stream, &cuts);
    }
}

fn check_every(parts: &[Part], limit: u64, cuts: &[u16], layout: u64) {
    every_format!([formats::layout(layout).layout()], check, parts, limit, cuts);
}

proptest! {
    // Every case runs in all formats, on all paths. PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    // spec: HDR-1, HDR-8, HDR-9, LIM-2, STR-1, STR-2, STR-3, STR-4, STR-5, STR-7, END-1, FMT-1
    #[test]
    fn valid_streams_come_out_whole(
        parts in vec(frame(), 0..8), limit in limit(), cuts in cuts(), layout: u64,
    ) {
        check_every(&parts, limit, &cuts, layout);
    }

    // spec: STR-2, STR-6, ERR-1, ERR-2, ERR-3, ERR-4, ERR-5, ERR-6, SKP-1, SKP-2
    // spec: SYN-1, SYN-2, SYN-3, SYN-4, SYN-5, SYN-6, SYN-7, SEC-1
    #[test]
    fn damaged_streams_fail_the_same_way(
        parts in vec(damaged(), 0..10), limit in limit(), cuts in cuts(), layout: u64,
    ) {
        check_every(&parts, limit, &cuts, layout);
    }

    // spec: STR-2, ERR-1, SYN-2, SYN-3, SEC-1
    #[test]
    fn bytes_like_headers_fail_the_same_way(
        bytes in vec(header_like(), 0..60), limit in limit(), cuts in cuts(), layout: u64,
    ) {
        check_every(&[Part::Bytes(bytes)], limit, &cuts, layout);
    }
}

/// Headers of version 1 at every distance from each other, so that a search has to take up a
/// candidate inside a rejected one.
// spec: SYN-1, SYN-2, SYN-3, SYN-4, SYN-7
#[test]
fn overlapping_candidates_are_found_under_every_cut() {
    let header = [0xF5, 0x01, 0x01, 0, 0, 0, 0, 0xAC];
    for keep in 0..=8 {
        for again in 0..=8 {
            let mut bytes = vec![0x3F];
            bytes.extend(&header[..keep]);
            bytes.extend(&header[..again]);
            bytes.extend(header);
            let framing = Framing::new(unstick::V1);
            for cut in 0..=bytes.len() {
                compare_all(&framing, &bytes, &[cut]);
            }
            compare_all(&framing, &bytes, &single_bytes(&bytes));
        }
    }
}

/// The byte that completes a header which a search has found is left to be decoded, so a stream that
/// ends before it ends inside that header.
// spec: SYN-4
#[test]
fn a_header_that_was_found_is_not_whole_before_its_last_byte() {
    let mut decoder = Decoder::new();
    let mut input = &b"?\xf5\x01\x01\0\0\0\x02\xf2hi"[..];
    assert!(decoder.decode(&mut input).is_err());
    assert_eq!(decoder.resync(&mut input), Ok(Some(1)));
    assert_eq!(input, b"\xf2hi");
    let truncated = DecodeError::Truncated { at: 8, missing: 1, part: unstick::Part::Header };
    assert_eq!(decoder.finish(), Err(truncated));
    assert_eq!(decoder.decode(&mut input).unwrap().unwrap().bytes, b"hi");
    assert_eq!(decoder.finish(), Ok(()));
}

/// Equal frames in a row, also where a header is shorter than the room for one, so that the bytes
/// behind it are the payload's.
#[test]
fn runs_of_equal_frames_come_out_one_by_one() {
    fn check<F: Subject>(format: &F) {
        let room = F::HeaderBuf::LEN as u64;
        for len in [0, 1, 2, room.saturating_sub(1), room, room + 1, 2 * room - 1] {
            let parts = vec![Part::Frame { meta: 1, len, fill: 0 }; 6];
            let bytes = stream(format, &parts);
            let framing = Framing::new(format.clone());
            compare_all(&framing, &bytes, &[]);
            compare_all(&framing, &bytes, &[bytes.len() / 2]);
        }
    }
    every_format!(formats::layouts(), check);
}

/// Frames longer than any buffer's first storage, in reads of the sizes that sockets give.
// spec: STR-2, STR-4, LIM-1
#[test]
fn large_frames_come_out_whole() {
    fn check<F: Subject>(format: &F) {
        let lens = [70_000, 0, 1, 9_000, 20_000];
        let parts = lens.map(|len| Part::Frame { meta: len, len, fill: len as u8 });
        let stream = stream(format, &parts);
        let framing = Framing::new(format.clone()).with_limit(70_000);
        for size in [1_460, 4_096, 65_536] {
            let cuts: Vec<_> =
                (1..).map(|i| i * size).take_while(|cut| *cut < stream.len()).collect();
            compare_all(&framing, &stream, &cuts);
        }
    }
    every_format!(formats::some_layouts(), check);
}

#[test]
fn every_layout_runs() {
    fn check_format(format: &LengthField) {
        let parts = [
            Part::Frame { meta: 7, len: 3, fill: 9 },
            Part::Frame { meta: 8, len: 0, fill: 9 },
            Part::Header { meta: 9, len: 1 << 40, keep: 40 },
        ];
        for limit in [2, 3, 1 << 20] {
            check(format, &parts, limit, &[30_000]);
        }
    }
    for layout in formats::layouts() {
        check_format(&LengthField::new(layout).unwrap());
    }
}
