//! Headers whose space is small enough to try all of it: every first byte, every check, every damage of
//! a few bits, every short header of each format.

use unstick::{
    ByteOrder, DecodeError, Decoder, Framing, HeaderError, Kind, Layout, LengthField, U8, U16Be,
    U16Le, U24Be, U24Le, V1, Varint, header,
};
use unstick_testing::chunks::{Path, Subject, compare, compare_all, single_bytes};
use unstick_testing::formats;
use unstick_testing::oracle::{self, Policy};

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
        let version = header(HeaderError::UnsupportedVersion { found, supported: 1 });
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
                // The bytes after the sign do not count, whichever have arrived.
                let known = if sign == 0 { [found, 0xFF, 0xFF, 0xFF] } else { bytes };
                let max =
                    if sign == 0 { i32::from_be_bytes(known) } else { i32::from_le_bytes(known) };
                let want = HeaderError::NegativeLength { found, max: max.into() };
                let want = DecodeError::Header { at: 0, error: want };
                assert_eq!(error, (found >= 0x80).then_some(want));
            }
        }
    }
    check(&unstick::I32Be, 0);
    check(&unstick::I32Le, 3);
}
