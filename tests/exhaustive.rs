//! Where the space is small enough to try all of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use unstick::{
    ByteOrder, DecodeError, Decoder, Framing, HeaderError, Kind, Layout, LengthField, RecoverError,
    U8, U16Be, U16Le, U24Be, U24Le, V1, Varint, header,
};
use unstick_testing::chunks::{self, Path, Subject, compare, compare_all, single_bytes};
use unstick_testing::formats::{self, Part, every_format, stream};
use unstick_testing::oracle::{self, Outcome, Policy};

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

/// The stream ends behind each of its bytes in turn.
// spec: END-1, END-2, END-3, END-4, FMT-3, STR-6
#[test]
fn every_truncation_point() {
    fn check<F: Subject>(format: &F) {
        let parts =
            [(1, 2), (2, 0), (3, 9), (4, 1)].map(|(meta, len)| Part::Frame { meta, len, fill: 1 });
        let whole = stream(format, &parts);
        for limit in [4, 1 << 20] {
            let framing = Framing::new(format.clone()).with_limit(limit);
            let mut clean = 0;
            for len in 0..=whole.len() {
                let stream = &whole[..len];
                compare_all(&framing, stream, &[]);
                compare_all(&framing, stream, &single_bytes(stream));
                let outcomes = chunks::run(&framing, stream, &[], Path::Decode, Policy::SKIP);
                clean += usize::from(outcomes.last() == Some(&Outcome::End));
            }
            assert_eq!(clean, parts.len() + 1, "only a frame's end is a clean end");
        }
    }
    every_format!(formats::layouts(), check);
}

/// How a decoder that gets these bytes at once begins.
fn first_error(bytes: &[u8]) -> Option<DecodeError> {
    let mut decoder = Decoder::with_framing(Framing::new(V1).with_limit(u64::MAX));
    decoder.decode(&mut &bytes[..]).err()
}

fn refuses(sound: u64, pattern: u64) {
    let bytes = (sound ^ pattern).to_be_bytes();
    assert!(
        matches!(first_error(&bytes), Some(DecodeError::Header { at: 0, .. })),
        "{sound:016x} with the bits {pattern:016x} wrong passes"
    );
}

/// One, two and three wrong bits, and every burst of at most eight, in headers of all sorts.
// spec: CHK-2, HDR-6
#[test]
fn every_small_damage_to_a_header_is_refused() {
    for (kind, len) in [(0x01, 2), (0xFF, u32::MAX), (0x80, 0), (0x11, 0x0010_0000)] {
        let sound = u64::from_be_bytes(header::encode(Kind::new(kind).unwrap(), len));
        assert_eq!(first_error(&sound.to_be_bytes()), None);
        for a in 0..64 {
            refuses(sound, 1 << a);
            for b in 0..a {
                refuses(sound, 1 << a | 1 << b);
                for c in 0..b {
                    refuses(sound, 1 << a | 1 << b | 1 << c);
                }
            }
        }
        for first in 0..64 {
            // Shifted out at the top, a burst is a shorter one, or none.
            for run in (1..=0xFF_u64).filter(|run| run << first != 0) {
                refuses(sound, run << first);
            }
        }
    }
}

/// What the check makes of wrong bits depends on them alone, not on the header they are in; and
/// for one wrong bit that has an odd number of ones, so it has for any odd number, and is not 0.
// spec: CHK-2
#[test]
fn every_odd_number_of_wrong_bits_is_refused() {
    let sound = header::encode(Kind::TEXT, 2);
    let syndrome = |bit: usize| {
        let mut bytes = sound;
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        oracle::check(&bytes[..7]) ^ bytes[7]
    };
    let syndromes: Vec<u8> = (0..64).map(syndrome).collect();
    for one in &syndromes {
        assert_eq!(one.count_ones() % 2, 1);
    }

    // The receiver agrees, for some of the wilder ones.
    let mut state = 1_u64;
    for _ in 0..50_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let wild = state ^ state >> 29;
        let odd = if wild.count_ones() % 2 == 1 { wild } else { wild ^ 1 };
        refuses(u64::from_be_bytes(sound), odd);
    }

    // The number that chapter 4 gives of patterns of four that pass.
    let mut passed = 0;
    for a in 0..64 {
        for b in 0..a {
            for c in 0..b {
                for d in 0..c {
                    let sum = syndromes[a] ^ syndromes[b] ^ syndromes[c] ^ syndromes[d];
                    passed += usize::from(sum == 0);
                }
            }
        }
    }
    assert_eq!(passed, 5_066);
}

/// Magic, version and kind: each is judged when it has arrived, and before what is behind it.
// spec: HDR-2, HDR-3, HDR-4, HDR-7, VER-1, KND-2
#[test]
fn every_first_byte_every_version_every_kind() {
    let header = |error| Some(DecodeError::Header { at: 0, error });
    for found in 0..=255 {
        let magic = header(HeaderError::BadMagic { found });
        let version = header(HeaderError::UnsupportedVersion { found });
        assert_eq!(first_error(&[found]), magic.filter(|_| found != 0xF5));
        assert_eq!(first_error(&[0xF5, found]), version.filter(|_| found != 0x01));
        let kind = header(HeaderError::InvalidKind).filter(|_| found == 0);
        assert_eq!(first_error(&[0xF5, 0x01, found]), kind);
        // Behind a frame it is the same, and nothing behind the byte matters.
        let mut later = header::encode(Kind::TEXT, 0).to_vec();
        later.extend([0xF5, found, 0x00, 0xF5]);
        compare_all(&Framing::new(V1), &later, &single_bytes(&later));
        // A whole header of every kind.
        if let Some(kind) = Kind::new(found) {
            let bytes = header::encode(kind, 0);
            compare_all(&Framing::new(V1), &bytes, &[]);
            assert_eq!(first_error(&bytes), None);
        }
    }
}

/// The check: of 256 possible ones, one passes.
// spec: CHK-1, HDR-6
#[test]
fn every_check_but_one_is_refused() {
    assert_eq!(oracle::check(b"123456789"), 0xDF);
    for (kind, len) in [(1, 0), (2, 0x0102_0304), (0xFF, u32::MAX)] {
        let sound = header::encode(Kind::new(kind).unwrap(), len);
        let expected = oracle::check(&sound[..7]);
        for found in 0..=255 {
            let mut bytes = sound;
            bytes[7] = found;
            let error = HeaderError::BadCheck { found, expected };
            let want = DecodeError::Header { at: 0, error };
            assert_eq!(first_error(&bytes), (found != expected).then_some(want));
        }
    }
}

/// Every header of one and two bytes, and some of three.
// spec: FMT-5, FMT-7, FMT-8, FMT-10, FMT-11
#[test]
fn every_short_header() {
    fn check<F: Subject>(format: &F, bytes: &[u8]) {
        for limit in [1_000, u64::MAX] {
            let framing = Framing::new(format.clone()).with_limit(limit);
            for path in [Path::Decode, Path::Split] {
                compare(&framing, bytes, &[], path, Policy::STOP);
            }
            compare(&framing, bytes, &[1], Path::Decode, Policy::STOP);
        }
    }
    for byte in 0..=255 {
        check(&U8, &[byte]);
        check(&Varint, &[byte]);
        for covers in formats::COVERS {
            let order = ByteOrder::Big;
            let layout = Layout { header_len: 1, offset: 0, width: 1, order, covers };
            check(&LengthField::new(layout).unwrap(), &[byte]);
        }
    }
    for pair in 0..=u16::MAX {
        let bytes = pair.to_be_bytes();
        check(&Varint, &bytes);
        // The rest is arithmetic on both bytes: a sample of the high one will do.
        if bytes[0] % 15 == 0 {
            check(&U16Be, &bytes);
            check(&U16Le, &bytes);
            check(&U24Be, &[bytes[0], bytes[1], 0x7F]);
            check(&U24Le, &[bytes[0], bytes[1], 0x80]);
            for covers in formats::COVERS {
                let order = ByteOrder::Little;
                let layout = Layout { header_len: 2, offset: 0, width: 2, order, covers };
                check(&LengthField::new(layout).unwrap(), &bytes);
            }
        }
    }
}

/// Every length of every number of bytes that a varint can have, at its edges.
// spec: FMT-7, FMT-8, FMT-9
#[test]
fn every_length_of_varint() {
    for groups in 1..=11_usize {
        for last in [0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xFF] {
            for middle in [0x80, 0xFF] {
                let mut bytes = vec![middle; groups - 1];
                bytes.push(last);
                compare_all(&Framing::new(Varint).with_limit(u64::MAX), &bytes, &[]);
                compare_all(&Framing::new(Varint), &bytes, &single_bytes(&bytes));
            }
        }
    }
}

/// The sign decides alone and at once.
// spec: FMT-6
#[test]
fn every_sign_byte() {
    fn check<F: Subject>(format: &F, sign: usize) {
        let framing = Framing::new(format.clone()).with_limit(u64::MAX);
        for found in 0..=255 {
            for other in [0x00, 0xFF] {
                let mut bytes = [other; 4];
                bytes[sign] = found;
                compare_all(&framing, &bytes, &single_bytes(&bytes));
                let mut decoder = Decoder::with_framing(framing.clone());
                let error = decoder.decode(&mut &bytes[..=sign]).err();
                let want = HeaderError::NegativeLength { found };
                let want = DecodeError::Header { at: 0, error: want };
                assert_eq!(error, (found >= 0x80).then_some(want));
            }
        }
    }
    check(&unstick::I32Be, 0);
    check(&unstick::I32Le, 3);
}

/// The rows of table 7.4, behind every byte of a stream that goes through all states: what is
/// refused changes nothing, and a reset leads to a stream of its own.
// spec: STR-3, ERR-7, SKP-1, SYN-8, END-1, END-2, END-3, SYN-6
#[test]
fn every_request_in_every_state() {
    let framing = Framing::new(V1).with_limit(4);
    let parts = [
        Part::Frame { meta: 1, len: 3, fill: 1 },
        Part::Frame { meta: 2, len: 9, fill: 2 },
        Part::Frame { meta: 3, len: 0, fill: 3 },
        Part::Bytes(vec![0x3F, 0xF5, 0x01, 0x3F, 0xF5]),
        Part::Frame { meta: 4, len: 4, fill: 4 },
    ];
    let sent = stream(&V1, &parts);
    let mut decoder = Decoder::with_framing(framing);
    let (mut refused, mut failed, mut searched, mut searching) = (0, 0, 0, false);
    for fed in 1..=sent.len() {
        let mut input = &sent[fed - 1..fed];
        loop {
            if searching {
                searching = decoder.resync(&mut input).unwrap().is_none();
                searched += usize::from(searching);
            }
            let before = decoder.position();
            if searching || decoder.for_each(input, |_| {}).is_ok() {
                break;
            }
            failed += 1;
            input = &input[(decoder.position() - before) as usize..];
            searching = decoder.skip_frame().is_err();
        }
        assert_eq!(decoder.position(), fed as u64);

        let mut other = decoder.clone();
        if other.error().is_none() {
            refused += 1;
            for _ in 0..2 {
                assert_eq!(other.skip_frame(), Err(RecoverError::NotFailed));
                let mut input = &sent[..];
                assert_eq!(other.resync(&mut input), Err(RecoverError::NotFailed));
                assert_eq!(input.len(), sent.len());
            }
            assert_eq!(other.finish(), decoder.finish());
            // It goes on as if it had not been asked.
            let next = &sent[fed..sent.len().min(fed + 1)];
            let pieces = |decoder: &mut Decoder| {
                let mut input = next;
                let piece = decoder.decode(&mut input);
                (piece.map(|piece| piece.map(|piece| (piece.header, piece.last))), input.len())
            };
            assert_eq!(pieces(&mut other), pieces(&mut decoder.clone()));
        }
        other.reset();
        assert_eq!((other.position(), other.error(), other.finish()), (0, None, Ok(())));
        let mut first = Decoder::with_framing(framing);
        for chunk in sent.chunks(5) {
            let (mut old, mut new) = (chunk, chunk);
            assert_eq!(other.decode(&mut old), first.decode(&mut new));
            assert_eq!((old, other.finish()), (new, first.finish()));
        }
    }
    assert_eq!(decoder.finish(), Ok(()));
    assert!(refused > 20 && failed == 2 && searched > 5, "{refused} {failed} {searched}");
}

/// A header with a wrong check is that, whatever its length says; and a length alone, without the
/// rest of its header, is not judged.
// spec: LIM-4, HDR-7, FMT-1
#[test]
fn every_length_waits_for_its_whole_header() {
    for len in [5, 1 << 20, u32::MAX] {
        let sound = header::encode(Kind::BINARY, len);
        let framing = Framing::new(V1).with_limit(4);
        for check in 0..=255 {
            let mut bytes = sound;
            bytes[7] = check;
            let mut decoder = Decoder::with_framing(framing);
            assert_eq!(decoder.decode(&mut &bytes[..7]), Ok(None));
            let error = decoder.decode(&mut &bytes[7..]).unwrap_err();
            let want = if check == sound[7] {
                DecodeError::Oversize { at: 0, len: len.into(), limit: 4 }
            } else {
                let error = HeaderError::BadCheck { found: check, expected: sound[7] };
                DecodeError::Header { at: 0, error }
            };
            assert_eq!(error, want);
        }
    }
    for layout in formats::layouts() {
        let format = LengthField::new(layout).unwrap();
        let meta = format.meta(&vec![1; layout.header_len]).unwrap();
        let header = Framing::new(format).encode_header(meta, 100).unwrap();
        let (last, before) = header.as_bytes().split_last().unwrap();
        let mut decoder = Decoder::with_framing(Framing::new(format).with_limit(99));
        assert_eq!(decoder.decode(&mut &before[..]), Ok(None));
        let oversize = DecodeError::Oversize { at: 0, len: 100, limit: 99 };
        assert_eq!(decoder.decode(&mut &[*last][..]), Err(oversize));
    }
}
