//! Promise 9: datagrams are accepted or refused whole, and are independent of each other.
//! Requirements: DGM-1 to DGM-10.

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{
    DEFAULT_DATAGRAM_LIMIT, DatagramError, DatagramPacker, DecodeError, EncodeError, Framing, Kind,
    Pushed, V1, header,
};
use unstick_testing::chunks::{Subject, take_datagram};
use unstick_testing::formats::{self, Part, every_format, stream};
use unstick_testing::oracle::{self, Frames, Outcome, Policy};

/// The application kinds that the tests' receiver knows.
const KNOWN: [u8; 2] = [0x40, 0xC8];

fn known(kind: &Kind) -> bool {
    KNOWN.contains(&kind.get())
}

fn take(framing: &Framing, bytes: &[u8]) -> Result<Frames, DatagramError> {
    take_datagram(framing, bytes, &KNOWN)
}

fn judge(limit: u64, bytes: &[u8]) -> Result<Frames, DatagramError> {
    oracle::datagram(limit, bytes, &KNOWN)
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Framing::new(V1).encode(Kind::new(kind).unwrap(), payload, &mut bytes).unwrap();
    bytes
}

/// A kind: those that may travel more often than others.
fn kind() -> impl Strategy<Value = u64> {
    // `pick_meta` counts from kind 1.
    prop_oneof![
        6 => (0x01..0x05_u64).prop_map(|kind| kind - 1),
        3 => prop_oneof![Just(0x3F), Just(0xC7), Just(0x80), Just(0xBE)],
        1 => 0..255_u64,
    ]
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let frame = (kind(), 0..9_u64, any::<u8>()).prop_map(|(meta, len, fill)| Part::Frame {
        meta,
        len,
        fill,
    });
    let damage = prop_oneof![
        vec(any::<u8>(), 1..3).prop_map(Part::Bytes),
        (0..30_usize, 0..8_u8).prop_map(|(back, bit)| Part::Flip { back, bit }),
        (0..30_usize).prop_map(|back| Part::Lose { back }),
        (kind(), 0..20_u64, 0..9_usize).prop_map(|(meta, len, keep)| Part::Header {
            meta,
            len,
            keep
        }),
    ];
    (vec(frame, 0..5), proptest::option::weighted(0.4, damage)).prop_map(|(mut parts, damage)| {
        parts.extend(damage);
        parts
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    // spec: DGM-1, DGM-2, DGM-4, DGM-5, DGM-6, DGM-7, DGM-8
    #[test]
    fn a_datagram_is_taken_or_refused_whole(
        parts in parts(), cut in 0..60_usize, limit in prop_oneof![Just(5_u64), Just(1 << 20)],
    ) {
        let framing = Framing::new(V1).with_limit(limit);
        let whole = stream(&V1, &parts);
        for bytes in [&whole[..], &whole[..cut.min(whole.len())]] {
            prop_assert_eq!(take(&framing, bytes), judge(limit, bytes));
        }
    }

    /// What came before a datagram makes no difference to it.
    // spec: DGM-3
    #[test]
    fn datagrams_are_independent(all in vec(parts(), 1..6)) {
        let framing = Framing::new(V1);
        for parts in &all {
            let bytes = stream(&V1, parts);
            let alone = take(&Framing::new(V1), &bytes);
            prop_assert_eq!(take(&framing, &bytes), alone);
        }
    }
}

/// Of every kind there is.
// spec: DGM-4, DGM-5, DGM-6, DGM-7
#[test]
fn every_kind_in_a_datagram() {
    let framing = Framing::new(V1);
    for number in 1..=255 {
        let mut bytes = frame(number, b"a");
        bytes.extend(frame(0x02, b"b"));
        let at = 0;
        let kind = number;
        let b = (0x02, b"b".to_vec());
        let want = match number {
            0x01..=0x04 | 0x40 | 0xC8 => Ok(vec![(number, b"a".to_vec()), b]),
            0x05 | 0x10..=0x14 | 0x80 => Err(DatagramError::MisplacedKind { at, kind }),
            0x00..=0x7F => Err(DatagramError::UnknownKind { at, kind }),
            _ => Ok(vec![b]),
        };
        assert_eq!(take(&framing, &bytes), want);
        // Without an application nobody knows its kinds.
        let bare = framing.datagram(&bytes).map(Iterator::count);
        let unknown = |critical| if critical { None } else { Some(1) };
        match number {
            0x40 | 0xC8 => assert_eq!(bare.ok(), unknown(number < 0x80)),
            _ => assert_eq!(bare, want.map(|frames| frames.len())),
        }
    }
}

/// Kinds of the protocol are not a caller's to know, also those that this version has not given out.
// spec: DGM-5, DGM-6
#[test]
fn a_caller_knows_the_kinds_of_applications_alone() {
    let framing = Framing::new(V1);
    for kind in 1..=255 {
        let bytes = frame(kind, b"a");
        let delivered = framing.datagram_with(&bytes, |_| true).map(Iterator::count);
        let want = match kind {
            0x01..=0x04 | 0x40..=0x7F | 0xC0..=0xFF => Ok(1),
            0x05 | 0x10..=0x14 | 0x80 => Err(DatagramError::MisplacedKind { at: 0, kind }),
            0x00..=0x3F => Err(DatagramError::UnknownKind { at: 0, kind }),
            0x81..=0xBF => Ok(0),
        };
        assert_eq!(delivered, want, "0x{kind:02x}");
    }
}

/// A frame that fills a datagram by itself waits for the next one, and is no error.
// spec: DGM-10
/// How many frames come is known before the first, those that are skipped not counted.
#[test]
fn a_datagram_says_how_many_frames_it_has() {
    let skipped = frame(0x81, b"");
    let wire = [frame(1, b"a"), skipped.clone(), frame(2, b""), frame(1, b"c"), skipped].concat();
    let framing = Framing::<V1>::default();
    let mut datagram = framing.datagram(&wire).unwrap();
    for left in [3, 2, 1, 0] {
        assert_eq!((datagram.len(), datagram.size_hint()), (left, (left, Some(left))));
        assert_eq!(datagram.next().is_some(), left > 0);
    }
    assert!(datagram.next().is_none());
}

#[test]
fn a_frame_as_long_as_a_datagram_is_packed_alone() {
    let mut storage = [0; 20];
    let mut packer = DatagramPacker::new(Framing::new(V1), &mut storage);
    assert!(packer.is_empty());
    assert_eq!(packer.push(Kind::TEXT, b""), Ok(Pushed::Added));
    assert!(!packer.is_empty(), "a frame without a payload is one");
    packer.clear();
    assert!(packer.is_empty());
    assert_eq!(packer.push(Kind::TEXT, b""), Ok(Pushed::Added));
    assert_eq!(packer.push(Kind::TEXT, [7; 12]), Ok(Pushed::Full));
    let error = EncodeError::NoRoom { needed: 21, room: 20 };
    assert_eq!(packer.push(Kind::TEXT, [7; 13]), Err(error));
    packer.clear();
    assert_eq!(packer.push(Kind::TEXT, [7; 12]), Ok(Pushed::Added));
    assert_eq!(packer.as_bytes().len(), 20);
}

/// Structure before kinds, and the first of either.
// spec: DGM-8, DGM-2
#[test]
fn the_first_cause_in_the_order_of_the_list() {
    let framing = Framing::new(V1);
    let misplaced = frame(0x05, b"");
    let unknown = frame(0x20, b"");
    let text = frame(0x01, b"hi");
    let of = |parts: &[&[u8]]| take(&framing, &parts.concat()).unwrap_err();
    let malformed = |error: DatagramError, at| match error {
        DatagramError::Malformed(error) => assert_eq!(error.at(), at),
        other => panic!("{other:?}"),
    };
    malformed(of(&[&misplaced, &unknown, b"?"]), 16);
    malformed(of(&[&unknown, &text[..9]]), 17);
    let (at, kind) = (10, 0x05);
    assert_eq!(of(&[&text, &misplaced, &unknown]), DatagramError::MisplacedKind { at, kind });
    let kind = 0x20;
    assert_eq!(of(&[&text, &unknown, &misplaced]), DatagramError::UnknownKind { at, kind });
    assert_eq!(of(&[]), DatagramError::Empty);
}

/// A header alone is no beginning of the next datagram, and a refused datagram refuses no other.
// spec: DGM-1, DGM-3
#[test]
fn nothing_carries_over() {
    let framing = Framing::new(V1);
    let header = header::encode(Kind::TEXT, 2);
    for _ in 0..3 {
        let part = unstick::Part::Payload;
        let truncated = DecodeError::Truncated { at: 8, missing: 2, part };
        assert_eq!(take(&framing, &header), Err(DatagramError::Malformed(truncated)));
        assert!(take(&framing, b"hi").is_err());
        assert_eq!(take(&framing, &frame(0x01, b"hi")), Ok(vec![(0x01, b"hi".to_vec())]));
    }
}

/// A datagram that the transport cut is refused, also where the cut lies between two frames.
// spec: DGM-9, DGM-8
#[test]
fn a_cut_datagram_is_refused_whatever_it_looks_like() {
    let framing = Framing::new(V1);
    let first = frame(0x01, b"one");
    let whole = [first.clone(), frame(0x01, b"two")].concat();
    for room in 0..whole.len() {
        let mut buf = vec![0xEE; room];
        buf.copy_from_slice(&whole[..room]);
        for reported in [whole.len(), room + 1, usize::MAX] {
            let taken = framing.datagram_from(&buf, reported, known).map(Iterator::count);
            assert_eq!(taken, Err(DatagramError::Cut { room }));
        }
    }
    // Without the report the cut between the frames would have passed.
    assert_eq!(take(&framing, &whole[..first.len()]).map(|frames| frames.len()), Ok(1));
    // What fits is read as ever, with what stands behind it in the buffer left alone.
    let mut buf = [0xEE; 100];
    buf[..whole.len()].copy_from_slice(&whole);
    assert_eq!(framing.datagram_from(&buf, whole.len(), known).map(Iterator::count), Ok(2));
    assert_eq!(framing.datagram_from(&whole, whole.len(), known).map(Iterator::count), Ok(2));
    let empty = framing.datagram_from(&buf, 0, known).map(Iterator::count);
    assert_eq!(empty, Err(DatagramError::Empty));
}

/// Formats that say nothing of kinds deliver everything.
// spec: DGM-1
#[test]
fn every_format_has_datagrams() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone());
        let parts = [3, 0, 9].map(|len| Part::Frame { meta: 0, len, fill: 1 });
        let whole = stream(format, &parts);
        for len in 0..=whole.len() {
            let frames = framing.datagram(&whole[..len]).map(Iterator::count);
            let (_, mut outcomes) = oracle::outcomes(format, 100, &whole[..len], Policy::STOP);
            let end = outcomes.pop();
            if end == Some(Outcome::End) && len > 0 {
                assert_eq!(frames, Ok(outcomes.len()));
            } else {
                assert!(frames.is_err());
            }
        }
    }
    every_format!(formats::layouts(), check);
}

/// The limit of the framing counts payload bytes in a datagram, too.
// spec: LIM-1, LIM-2
#[test]
fn the_limit_holds_in_datagrams() {
    let framing = Framing::new(V1).with_limit(4);
    let good = frame(0x01, b"four");
    assert!(take(&framing, &good).is_ok());
    let over = DecodeError::Oversize { at: good.len() as u64, len: 5, limit: 4 };
    let bytes = [good, frame(0x01, b"fives")].concat();
    assert_eq!(take(&framing, &bytes), Err(DatagramError::Malformed(over)));
}

// spec: DGM-10
#[test]
fn no_datagram_is_longer_than_its_limit() {
    assert_eq!(DEFAULT_DATAGRAM_LIMIT, 1_200);
    let mut storage = [0; 70_000];
    let mut packer = DatagramPacker::new(Framing::new(V1), &mut storage);
    assert!(packer.is_empty() && packer.as_bytes().is_empty());
    // Alone: exactly fits, and one byte more never will.
    let refused = Err(EncodeError::NoRoom { needed: 1_201, room: 1_200 });
    assert_eq!(packer.push(Kind::BINARY, [0; 1_193]), refused);
    assert!(packer.is_empty());
    assert_eq!(packer.push(Kind::BINARY, [0; 1_192]), Ok(Pushed::Added));
    assert_eq!(packer.as_bytes().len(), 1_200);
    // Full is no error, and leaves the datagram as it is.
    let before = packer.as_bytes().to_vec();
    assert_eq!(packer.push(Kind::TEXT, b""), Ok(Pushed::Full));
    assert_eq!(packer.push(Kind::BINARY, [0; 1_193]), refused);
    assert_eq!(packer.as_bytes(), before);
    packer.clear();
    assert!(packer.is_empty());
    assert_eq!(packer.push(Kind::TEXT, b""), Ok(Pushed::Added));

    for (limit, room, at_most) in [(100, 500, 100), (500, 100, 100), (0, 10, 0)] {
        let mut storage = vec![0xEE; room];
        let mut packer = DatagramPacker::with_datagram_limit(V1, &mut storage, limit);
        let mut pushed = 0;
        while let Ok(Pushed::Added) = packer.push(Kind::TEXT, b"12345") {
            pushed += 1;
        }
        assert_eq!((packer.as_bytes().len(), pushed), (at_most / 13 * 13, at_most / 13));
        let unwritten = &storage[at_most / 13 * 13..];
        assert!(unwritten.iter().all(|byte| *byte == 0xEE));
    }
}

/// What a packer packs, a receiver takes; what one would refuse, it does not pack.
// spec: DGM-4, DGM-7, LIM-5
#[test]
fn a_packed_datagram_is_a_good_one() {
    let framing = Framing::new(V1).with_limit(20);
    let mut storage = [0; 1_200];
    let mut packer = DatagramPacker::new(framing, &mut storage);
    let mut sent = Vec::new();
    for number in 1..=255 {
        let kind = Kind::new(number).unwrap();
        let misplaced = matches!(number, 0x05 | 0x10..=0x14 | 0x80);
        if misplaced {
            let refused = EncodeError::MisplacedKind { kind: number };
            assert_eq!(packer.push(kind, b"payload"), Err(refused));
            continue;
        }
        // Reserved kinds are the session's to avoid.
        let reserved = number > 4 && !kind.is_application();
        if !reserved && packer.push(kind, b"payload").unwrap() == Pushed::Added {
            sent.push((number, b"payload".to_vec()));
        }
    }
    let oversize = EncodeError::Oversize { len: 21, limit: 20 };
    assert_eq!(packer.push(Kind::TEXT, [0; 21]), Err(oversize));
    let taken = framing.datagram_with(packer.as_bytes(), |_| true).unwrap();
    let taken: Frames = taken.map(|frame| (frame.meta.get(), frame.payload.to_vec())).collect();
    assert_eq!(sent.len(), 1_200 / 15);
    assert_eq!(taken, sent);
}
