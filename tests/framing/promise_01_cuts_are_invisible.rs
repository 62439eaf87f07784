//! Promise 1: cuts are invisible. For every way to cut a stream, the same frames come out, and the same
//! error with the same values. The error is the one that the shortest refused prefix decides.
//!
//! Random streams and random cuts, and every cut of short streams, on every path and for every format,
//! compared with the oracle. Requirements: STR-1, STR-2, STR-4, STR-5, ERR-1, ERR-2, ERR-3.

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{
    DecodeError, Decoder, EncodeError, Format, FrameBuf, Framing, Header, HeaderBuf, HeaderError,
    LengthField, Parsed, V1,
};
use unstick_testing::chunks::{self, Path, Subject, compare_all, single_bytes};
use unstick_testing::formats::{self, Part, every_format, stream};
use unstick_testing::oracle::Policy;

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

/// Every one of the 2^(n-1) ways to cut n bytes.
fn every_split(len: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1_u32 << len.saturating_sub(1))
        .map(move |bits| (1..len).filter(|cut| bits >> (cut - 1) & 1 == 1).collect())
}

fn through_every_split<F: Subject>(
    framing: &Framing<F>,
    stream: &[u8],
    path: Path,
    policy: Policy,
) {
    let want = chunks::expect(framing, stream, path, policy);
    for cuts in every_split(stream.len()) {
        let got = chunks::run(framing, stream, &cuts, path, policy);
        assert_eq!(got, want, "{framing:?} {path:?} {policy:?} {cuts:?} {stream:02x?}");
    }
}

/// At most `len` bytes of frames, valid and not.
fn short_streams<F: Subject>(format: &F, len: usize) -> Vec<Vec<u8>> {
    let frame = |meta, len| Part::Frame { meta, len, fill: 0xF5 };
    let cases = [
        vec![frame(1, 2), frame(2, 0), frame(3, 1), frame(4, 0), frame(5, 2)],
        vec![frame(1, 0), frame(1, 5), frame(9, 3), frame(1, 2)],
        vec![frame(6, 1), Part::Flip { back: 1, bit: 7 }, frame(7, 0), frame(8, 3)],
        vec![Part::Bytes(vec![0x80, 0xF5, 0xF5, 0x01]), frame(1, 1), frame(1, 1)],
    ];
    let cut = |parts: &Vec<Part>| {
        let mut bytes = stream(format, parts);
        bytes.truncate(len);
        bytes
    };
    cases.iter().map(cut).collect()
}

/// Sixteen bytes of every format: 32,768 ways to cut each.
// spec: STR-2, STR-3, STR-4, ERR-1, SYN-4
#[test]
fn every_split_of_sixteen_bytes() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(3);
        let stream = &short_streams(format, 16)[0];
        through_every_split(&framing, stream, Path::Decode, Policy::BOTH);
    }
    every_format!([formats::some_layouts()[1]], check);
    let framing = Framing::new(V1).with_limit(3);
    for stream in &short_streams(&V1, 16)[1..] {
        through_every_split(&framing, stream, Path::Decode, Policy::BOTH);
    }
}

/// Shorter streams on every path, with every policy.
// spec: STR-2, STR-3, STR-4, ERR-1
#[test]
fn every_split_of_nine_bytes_on_every_path() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(4);
        for stream in short_streams(format, 9) {
            for path in Path::ALL {
                through_every_split(&framing, &stream, path, Policy::STOP);
                if path != Path::Split {
                    through_every_split(&framing, &stream, path, Policy::BOTH);
                }
            }
        }
    }
    every_format!(formats::some_layouts(), check);
}

/// Refusals in another order than the bytes arrive in: the error is the shortest prefix's.
// spec: ERR-1
#[test]
fn the_order_a_format_looks_in_does_not_show() {
    /// Judges its last byte first when all three are there.
    #[derive(Clone, Debug)]
    struct LastFirst;
    impl Format for LastFirst {
        type Meta = ();
        type HeaderBuf = [u8; 3];
        fn max_payload_len(&self) -> u64 {
            0
        }
        fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
            for i in (0..bytes.len().min(3)).rev() {
                if bytes[i] != i as u8 {
                    return Err(HeaderError::Custom { code: i as u16, text: "" });
                }
            }
            match bytes.len() {
                0..3 => Ok(Parsed::Need(3)),
                _ => Ok(Parsed::Header(Header { meta: (), payload_len: 0, header_len: 3 })),
            }
        }
        fn encode_header(&self, (): &(), _: u64, out: &mut [u8; 3]) -> Result<usize, EncodeError> {
            *out = [0, 1, 2];
            Ok(3)
        }
    }
    let sent = [0, 1, 2, 0, 9, 9, 9];
    let want = DecodeError::Header { at: 3, error: HeaderError::Custom { code: 1, text: "" } };
    for size in 1..=sent.len() {
        let mut decoder = Decoder::with_framing(LastFirst);
        let mut buf = FrameBuf::with_framing([0; 16], LastFirst).unwrap();
        let mut errors = Vec::new();
        for chunk in sent.chunks(size) {
            if errors.is_empty() {
                errors.extend(decoder.for_each(chunk, |_| {}).err());
            }
            buf.extend(chunk);
        }
        assert_eq!((errors, decoder.position()), (vec![want], 5));
        assert!(buf.next_frame().unwrap().is_some());
        assert_eq!(buf.next_frame(), Err(want));
        assert_eq!(buf.position(), 5);
    }
}
