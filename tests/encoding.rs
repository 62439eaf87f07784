//! What can be written can be read, under one limit, and comes back as it was.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use proptest::prelude::*;
use unstick::{
    ByteOrder, Covers, DEFAULT_LIMIT, DecodeError, Decoder, EncodeError, Encoder, Format, FrameBuf,
    Framing, HeaderBuf, HeaderError, Kind, Layout, LayoutError, LengthField, MAX_PAYLOAD_LEN,
    Parsed, U8, U16Be, U64Be, V1, Varint, header,
};
use unstick_testing::chunks::{Path, Subject, run};
use unstick_testing::formats::{self, Part, every_format, stream};
use unstick_testing::oracle::{CAP, Outcome, Policy, Rules};

/// What a decoder under this framing says of one header: its payload length, or the error.
fn announced<F: Subject>(framing: &Framing<F>, header: &[u8]) -> Result<u64, DecodeError> {
    let mut decoder = Decoder::with_framing(framing.clone());
    let piece = decoder.decode(&mut &header[..])?.expect("a whole header begins a frame");
    Ok(piece.header.unwrap().payload_len)
}

/// One length: encoder, decoder, oracle and limit agree on it.
fn agree<F: Subject>(framing: &Framing<F>, meta: &F::Meta, len: u64) {
    let (format, limit) = (framing.format(), framing.limit());
    let fits = len <= limit;
    let described = F::describe(meta);
    let encoded = framing.encode_header(meta, len);
    match &encoded {
        Ok(header) => {
            assert!(fits, "{framing:?} wrote {len}");
            assert_eq!(header.as_bytes(), Rules::write(format, &described, len).unwrap());
            assert_eq!(header.as_ref(), header.as_bytes());
            assert_eq!(announced(framing, header.as_bytes()), Ok(len));
        }
        Err(error) => {
            assert!(!fits, "{framing:?} refused {len}");
            assert_eq!(*error, EncodeError::Oversize { len, limit });
        }
    }
    // The header that the encoder did not write, a decoder with the same framing refuses.
    if let Some(header) = Rules::write(format, &described, len) {
        let oversize = DecodeError::Oversize { at: 0, len, limit };
        assert_eq!(announced(framing, &header), if fits { Ok(len) } else { Err(oversize) });
    }
}

/// One below, at and one above: the limit, the field's maximum, and the greatest of all.
// spec: LIM-1, LIM-2, LIM-5, LIM-6, FMT-1, FMT-4, HDR-5, HDR-10
#[test]
fn limits_are_the_same_on_both_sides() {
    fn check<F: Subject>(format: &F) {
        let most = Rules::most(format);
        let limits = [0, 1, 4, 127, 128, 254, 255, 1 << 20, most.saturating_sub(1), most, u64::MAX];
        for limit in limits {
            let framing = Framing::new(format.clone()).with_limit(limit);
            assert_eq!(framing.limit(), limit.min(most).min(CAP));
            for edge in [0, limit, most, CAP, 127, 16_383, u64::from(u32::MAX), u64::MAX] {
                for len in [edge.saturating_sub(1), edge, edge.saturating_add(1)] {
                    agree(&framing, &format.pick_meta(limit ^ len), len);
                }
            }
        }
        // Above the field's maximum the limit says nothing more.
        let greatest = Framing::new(format.clone()).with_limit(u64::MAX);
        assert_eq!(greatest.limit(), Framing::new(format.clone()).with_limit(most).limit());
        assert_eq!(Format::max_payload_len(format), most);
    }
    every_format!(formats::layouts(), check);
}

// spec: LIM-3, LIM-6
#[test]
fn the_default_limit_is_a_mebibyte_or_what_the_field_says() {
    fn check<F: Subject>(format: &F) {
        let limit = 1_048_576.min(Rules::most(format));
        let framing = Framing::new(format.clone());
        assert_eq!(framing.limit(), limit);
        assert_eq!(Framing::from(format.clone()).limit(), limit);
        assert_eq!(Decoder::with_framing(format.clone()).limit(), limit);
        assert_eq!(Encoder::new(format.clone()).framing().limit(), limit);
        let buf = FrameBuf::with_framing(Vec::new(), format.clone()).unwrap();
        assert_eq!(buf.framing().limit(), limit);
    }
    every_format!(formats::layouts(), check);
    assert_eq!((DEFAULT_LIMIT, MAX_PAYLOAD_LEN), (1_048_576, CAP));
    assert_eq!(Decoder::new().limit(), 1_048_576);
    assert_eq!(Framing::<V1>::default().limit(), 1_048_576);
}

/// The limit set last is in force, and is never more than the field can say.
#[test]
fn limits_combine_to_the_smallest() {
    let framing = Framing::new(U16Be);
    assert_eq!(framing.with_limit(100).with_limit(200).limit(), 200);
    assert_eq!(framing.with_limit(u64::MAX).limit(), 65_535);
    assert_eq!(Framing::new(U64Be).with_limit(u64::MAX).limit(), CAP);
    // Borrowed formats are the same formats.
    assert_eq!(Framing::new(&U16Be).limit(), 65_535);
}

/// Limits at a field's maximum are symmetric, each way round the table in A.4.
// spec: FMT-10, LIM-5, LIM-6
#[test]
fn what_a_field_covers_is_taken_off_its_maximum() {
    for (covers, counted) in [(Covers::Payload, 0), (Covers::AfterField, 1), (Covers::Frame, 4)] {
        let order = ByteOrder::Big;
        let layout = Layout { header_len: 4, offset: 1, width: 2, order, covers };
        let format = LengthField::new(layout).unwrap();
        assert_eq!(format.max_payload_len(), 65_535 - counted);
        let framing = Framing::new(format).with_limit(u64::MAX);
        let meta = format.meta(&[0xAA, 0, 0, 0xBB]).unwrap();
        let header = framing.encode_header(meta, 65_535 - counted).unwrap();
        assert_eq!(header.as_bytes(), [0xAA, 0xFF, 0xFF, 0xBB]);
        assert!(framing.encode_header(meta, 65_536 - counted).is_err());
    }
}

fn payload(len: usize, fill: u8) -> Vec<u8> {
    (0..len).map(|i| fill.wrapping_mul(31).wrapping_add(i as u8)).collect()
}

fn round_trip<F: Subject>(format: &F, seed: u64, len: usize, fill: u8) {
    let framing = Framing::new(format.clone());
    let len = len.min(usize::try_from(framing.limit()).unwrap());
    let (meta, payload) = (format.pick_meta(seed), payload(len, fill));

    let mut bytes = b"before".to_vec();
    framing.encode(&meta, &payload, &mut bytes).unwrap();
    let bytes = bytes.strip_prefix(b"before").expect("appended").to_vec();
    let mut into = vec![0xEE; bytes.len() + 3];
    assert_eq!(framing.encode_into(&meta, &payload, &mut into), Ok(bytes.len()));
    assert_eq!(into, [&bytes[..], &[0xEE; 3]].concat());

    // Decoding what was encoded gives back what went in.
    let mut rest = &bytes[..];
    let frame = framing.split_frame(&mut rest).unwrap().expect("a whole frame");
    assert_eq!((&frame.meta, frame.payload, frame.bytes()), (&meta, &payload[..], &bytes[..]));
    assert!(rest.is_empty());
    let owned = frame.to_owned();
    assert_eq!((&owned.meta, owned.payload(), owned.bytes()), (&meta, &payload[..], &bytes[..]));
    let got = run(&framing, &bytes, &[], Path::Decode, Policy::STOP);
    let header = frame.header_bytes().to_vec();
    let meta = F::describe(&meta);
    assert_eq!(got, [Outcome::Frame { at: 0, meta, header, payload }, Outcome::End]);
}

/// What is decoded from any bytes is encoded to the same bytes again: all shipped formats are canonical.
fn back_again<F: Subject>(format: &F, bytes: &[u8]) {
    if let Ok(Parsed::Header(header)) = Format::decode_header(format, bytes) {
        let mut out = F::HeaderBuf::ZERO;
        let len = format.encode_header(&header.meta, header.payload_len, &mut out).unwrap();
        assert_eq!(len, header.header_len);
        assert_eq!(&out.as_ref()[..len], &bytes[..len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    // spec: HDR-9, HDR-10, FMT-4, FMT-5, FMT-7, FMT-10, FMT-12
    #[test]
    fn encoding_and_decoding_are_each_other_s_inverse(
        seed: u64, len in prop_oneof![0..3_usize, 0..300_usize], fill: u8, layout: u64,
        bytes in proptest::collection::vec(any::<u8>(), 32..40), bits: u32,
    ) {
        every_format!([formats::layout(layout).layout()], round_trip, seed, len, fill);
        every_format!([formats::layout(layout).layout()], back_again, &bytes);
        // Random bytes are hardly ever a header of version 1.
        let kind = Kind::new(fill | 1).unwrap();
        back_again(&V1, &header::encode(kind, bits));
        prop_assert_eq!(header::decode(&header::encode(kind, bits)), Ok((kind, bits)));
    }
}

/// Every kind but 0 can be written; 0 cannot even be said.
// spec: HDR-11, KND-2
#[test]
fn every_kind_but_zero_is_written() {
    assert_eq!(Kind::new(0), None);
    let framing = Framing::new(V1);
    for number in 1..=255 {
        let kind = Kind::new(number).unwrap();
        assert_eq!(framing.encode_header(kind, 0).unwrap().as_bytes()[2], number);
    }
}

// spec: KND-1, KND-3
#[test]
fn kinds_have_their_numbers_classes_and_names() {
    let known = [
        (0x01, Kind::TEXT, "text"),
        (0x02, Kind::BINARY, "binary"),
        (0x03, Kind::PING, "ping"),
        (0x04, Kind::PONG, "pong"),
        (0x05, Kind::CLOSE, "close"),
        (0x10, Kind::FILE_OPEN, "file-open"),
        (0x11, Kind::FILE_DATA, "file-data"),
        (0x12, Kind::FILE_DONE, "file-done"),
        (0x13, Kind::FILE_STATUS, "file-status"),
        (0x14, Kind::FILE_CANCEL, "file-cancel"),
        (0x80, Kind::HELLO, "hello"),
    ];
    for number in 1..=255 {
        let kind = Kind::new(number).unwrap();
        assert_eq!(kind.is_critical(), number <= 0x7F);
        let applications = matches!(number, 0x40..=0x7F | 0xC0..=0xFF);
        assert_eq!(kind.is_application(), applications);
        let entry = known.iter().find(|(known, ..)| *known == number);
        assert_eq!(kind.name(), entry.map(|(.., name)| *name));
        assert!(entry.is_none_or(|(_, constant, _)| *constant == kind));
    }
}

/// A refused frame leaves no trace in the output.
// spec: LIM-5, FMT-4
#[test]
fn nothing_is_written_on_error() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(9);
        let meta = format.pick_meta(3);
        let header_len = framing.encode_header(&meta, 9).unwrap().as_bytes().len();

        let mut out = [0xEE; 64];
        let limit = framing.limit();
        let error = EncodeError::Oversize { len: 10, limit };
        assert_eq!(framing.encode_into(&meta, &[1; 10], &mut out), Err(error));
        assert_eq!(out, [0xEE; 64]);
        let mut vec = b"before".to_vec();
        assert_eq!(framing.encode(&meta, &[1; 10], &mut vec), Err(error));
        assert_eq!(vec, b"before");

        let needed = header_len + 9;
        for room in 0..needed {
            let error = EncodeError::NoRoom { needed, room };
            assert_eq!(framing.encode_into(&meta, &[1; 9], &mut out[..room]), Err(error));
            assert_eq!(out, [0xEE; 64]);
        }
        assert_eq!(framing.encode_into(&meta, &[1; 9], &mut out[..needed]), Ok(needed));
    }
    every_format!(formats::layouts(), check);
    // Also what only the field cannot say.
    let mut out = [0xEE; 300];
    let error = EncodeError::Oversize { len: 256, limit: 255 };
    assert_eq!(Framing::new(U8).encode_into((), &[1; 256], &mut out), Err(error));
    assert_eq!(out, [0xEE; 300]);
}

/// A streamed frame has the bytes of a whole one, however its payload is divided.
// spec: HDR-10, FMT-4
#[test]
fn a_streamed_frame_equals_a_whole_one() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone());
        let mut encoder = Encoder::new(framing.clone());
        let (mut whole, mut streamed) = (Vec::new(), Vec::new());
        for (seed, len) in [(1, 0), (2, 7), (3, 200), (4, 0)] {
            let (meta, payload) = (format.pick_meta(seed), payload(len, 5));
            framing.encode(&meta, &payload, &mut whole).unwrap();
            assert_eq!(encoder.missing(), None);
            streamed.extend(encoder.begin(&meta, len as u64).unwrap().as_bytes());
            let mut missing = len;
            for run in payload.chunks(3) {
                assert_eq!(encoder.missing(), Some(missing as u64));
                encoder.payload(run.len()).unwrap();
                missing -= run.len();
                streamed.extend(run);
            }
            encoder.finish().unwrap();
        }
        assert_eq!(whole, streamed);
    }
    every_format!(formats::some_layouts(), check);
}

/// After half a frame the encoder refuses everything; but a frame begun too early can be completed.
// spec: STR-8
#[test]
fn a_frame_left_short_poisons_the_encoder() {
    let error = Err(EncodeError::Unfinished { missing: 3 });
    let mut encoder = Encoder::new(V1);
    encoder.begin(Kind::TEXT, 5).unwrap();
    encoder.payload(2).unwrap();
    assert_eq!(encoder.begin(Kind::TEXT, 0).map(|_| ()), error);
    encoder.payload(3).unwrap();
    encoder.begin(Kind::TEXT, 3).unwrap();
    assert!(!encoder.is_poisoned());
    assert_eq!(encoder.finish(), error);
    for _ in 0..2 {
        assert!(encoder.is_poisoned());
        assert_eq!(encoder.payload(3), error);
        assert_eq!(encoder.payload(0), error);
        assert_eq!(encoder.begin(Kind::TEXT, 0).map(|_| ()), error);
        assert_eq!(encoder.finish(), error);
        assert_eq!(encoder.missing(), Some(3));
    }
}

#[test]
fn a_streamed_frame_takes_what_was_announced() {
    let mut encoder = Encoder::new(Framing::new(V1).with_limit(5));
    assert_eq!(encoder.payload(0), Err(EncodeError::NoFrame));
    assert_eq!(encoder.finish(), Err(EncodeError::NoFrame));
    // A refused begin begins nothing.
    let over = EncodeError::Oversize { len: 6, limit: 5 };
    assert_eq!(encoder.begin(Kind::TEXT, 6).map(|_| ()), Err(over));
    assert_eq!(encoder.missing(), None);
    encoder.begin(Kind::TEXT, 5).unwrap();
    encoder.payload(4).unwrap();
    assert_eq!(encoder.payload(2), Err(EncodeError::Excess { len: 2, missing: 1 }));
    encoder.payload(1).unwrap();
    // Only the call to finish was missing: the stream is sound, so the next frame may begin.
    encoder.begin(Kind::TEXT, 0).unwrap();
    encoder.finish().unwrap();
    assert_eq!(encoder.finish(), Err(EncodeError::NoFrame));
}

// spec: FMT-13
#[test]
fn impossible_layouts_are_refused_when_built() {
    let build = |header_len, offset, width| {
        let (order, covers) = (ByteOrder::Big, Covers::Frame);
        LengthField::new(Layout { header_len, offset, width, order, covers })
    };
    let interesting = [0, 1, 2, 3, 7, 8, 9, 24, 31, 32, 33, usize::MAX - 1, usize::MAX];
    for header_len in interesting {
        for offset in interesting {
            for width in interesting {
                let in_range = (1..=32).contains(&header_len)
                    && (1..=8).contains(&width)
                    && width <= header_len
                    && offset <= header_len - width;
                let built = build(header_len, offset, width);
                assert_eq!(built.is_ok(), in_range, "{header_len} {offset} {width}");
            }
        }
    }
    assert_eq!(build(33, 0, 1), Err(LayoutError::HeaderLen { found: 33 }));
    assert_eq!(build(9, 0, 9), Err(LayoutError::Width { found: 9 }));
    let outside = LayoutError::FieldOutside { offset: 3, width: 2, header_len: 4 };
    assert_eq!(build(4, 3, 2), Err(outside));
}

/// The other bytes of a header go through unchanged, and a meta of another layout is refused.
// spec: FMT-12
#[test]
fn a_header_s_other_bytes_are_the_caller_s() {
    for layout in formats::layouts() {
        let format = LengthField::new(layout).unwrap();
        let framing = Framing::new(format);
        let sent: Vec<u8> = (0..layout.header_len).map(|i| 0xA0 + i as u8).collect();
        let meta = format.meta(&sent).unwrap();
        let header = framing.encode_header(meta, 5).unwrap();
        let field = layout.offset..layout.offset + layout.width;
        for (i, byte) in header.as_bytes().iter().enumerate() {
            assert!(*byte == sent[i] || field.contains(&i));
        }
        let mut decoder = Decoder::with_framing(framing);
        let piece = decoder.decode(&mut header.as_bytes()).unwrap().unwrap();
        let received = piece.header.unwrap().meta;
        assert_eq!(received, meta);
        for (i, byte) in received.bytes().iter().enumerate() {
            assert_eq!(*byte, if field.contains(&i) { 0 } else { sent[i] });
        }
        for other in [layout.header_len - 1, layout.header_len + 1, 0, 40] {
            assert_eq!(format.meta(&vec![1; other]), Err(EncodeError::Meta));
        }
    }
    let of = |header_len, offset| {
        let (order, covers) = (ByteOrder::Big, Covers::Payload);
        LengthField::new(Layout { header_len, offset, width: 2, order, covers }).unwrap()
    };
    let meta = of(4, 0).meta(&[1, 2, 3, 4]).unwrap();
    for other in [of(4, 2), of(5, 0), of(3, 0)] {
        let refused = Framing::new(other).encode_header(meta, 1).map(|_| ());
        assert_eq!(refused, Err(EncodeError::Meta));
    }
}

/// What comes out of a proxy is what went in, headers included.
#[test]
fn frames_keep_their_bytes() {
    fn check<F: Subject>(format: &F) {
        let parts =
            [(5, 3), (6, 0), (7, 100)].map(|(meta, len)| Part::Frame { meta, len, fill: 7 });
        let sent = stream(format, &parts);
        let mut buf = FrameBuf::with_framing(Vec::new(), format.clone()).unwrap();
        buf.extend(&sent);
        let mut forwarded: Vec<u8> = Vec::new();
        while let Some(frame) = buf.next_frame().unwrap() {
            forwarded.extend(frame.bytes());
        }
        assert_eq!(forwarded, sent);
    }
    every_format!(formats::layouts(), check);
}

/// Errors have the numbers of the registry.
// spec: ERR-8
#[test]
fn errors_have_their_codes() {
    use unstick::{DatagramError, HeaderError, Part};
    let header = |error| DecodeError::Header { at: 3, error };
    let part = Part::Header;
    let codes = [
        (header(HeaderError::BadMagic { found: 1 }), 0x0001),
        (header(HeaderError::UnsupportedVersion { found: 2 }), 0x0002),
        (header(HeaderError::InvalidKind), 0x0003),
        (header(HeaderError::BadCheck { found: 1, expected: 2 }), 0x0004),
        (DecodeError::Oversize { at: 3, len: 2, limit: 1 }, 0x0005),
        (DecodeError::Truncated { at: 3, missing: 1, part }, 0x0006),
        (header(HeaderError::NegativeLength { found: 0x80 }), 0x000A),
        (header(HeaderError::OverlongVarint), 0x000A),
        (header(HeaderError::VarintOverflow { found: 2 }), 0x000A),
        (header(HeaderError::LengthTooShort { found: 1, least: 2 }), 0x000A),
        (DecodeError::Unsynchronized { at: 3, skipped: 1 }, 0x000C),
        (header(HeaderError::Custom { code: 0x8123, text: "" }), 0x8123),
    ];
    for (error, code) in codes {
        assert_eq!((error.code(), error.at()), (code, 3), "{error:?}");
    }
    assert_eq!(DatagramError::Empty.code(), 0x000B);
    assert_eq!(DatagramError::Cut { room: 1 }.code(), 0x000B);
}

/// The greatest lengths there are do not overflow anything.
// spec: LIM-2, LIM-6
#[test]
fn the_greatest_lengths_are_lengths() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(u64::MAX);
        let limit = framing.limit();
        let header = framing.encode_header(format.pick_meta(1), limit).unwrap();
        let mut decoder = Decoder::with_framing(framing.clone());
        assert!(!decoder.decode(&mut header.as_bytes()).unwrap().unwrap().last);
        let DecodeError::Truncated { missing, .. } = decoder.finish().unwrap_err() else {
            panic!("truncated")
        };
        assert_eq!(missing, limit);
        assert_eq!(announced(&framing, header.as_bytes()), Ok(limit));
    }
    every_format!(formats::layouts(), check);
    let header = [0xFF; 8];
    let framing = Framing::new(U64Be).with_limit(u64::MAX);
    let over = DecodeError::Oversize { at: 0, len: u64::MAX, limit: CAP };
    assert_eq!(announced(&framing, &header), Err(over));
    assert_eq!(Varint.max_payload_len(), u64::MAX);
}

/// A format that is borrowed is the same format.
#[test]
fn a_borrowed_format_answers_as_its_owner() {
    fn check<F: Subject>(format: &F) {
        fn answers<F: Format>(
            format: F,
            meta: &F::Meta,
            len: u64,
        ) -> impl PartialEq + std::fmt::Debug {
            let mut buf = F::HeaderBuf::ZERO;
            let used = format.encode_header(meta, len, &mut buf).unwrap();
            let bytes = buf.as_ref()[..used].to_vec();
            (
                (format.max_payload_len(), format.max_header_len(), format.in_datagram(meta)),
                format.decode_header(&bytes).map(|parsed| format!("{parsed:?}")),
                format.resume_header(&bytes, 0).map(|parsed| format!("{parsed:?}")),
                format.whole_header(&bytes).map(|header| format!("{header:?}")),
                bytes,
            )
        }
        for seed in 0..4 {
            let meta = format.pick_meta(seed);
            assert_eq!(
                format!("{:?}", answers(format, &meta, seed)),
                format!("{:?}", answers(format.clone(), &meta, seed))
            );
        }
    }
    every_format!(formats::layouts(), check);
}

/// A format refuses by itself what its field cannot say, whoever asks it.
// spec: FMT-4
#[test]
fn a_format_refuses_a_length_that_its_field_cannot_say() {
    fn check<F: Subject>(format: &F) {
        let limit = format.max_payload_len();
        let mut buf = F::HeaderBuf::ZERO;
        let meta = format.pick_meta(1);
        assert!(format.encode_header(&meta, limit, &mut buf).is_ok());
        let Some(len) = limit.checked_add(1) else { return };
        let refused = format.encode_header(&meta, len, &mut buf);
        assert_eq!(refused, Err(EncodeError::Oversize { len, limit }));
    }
    every_format!(formats::layouts(), check);
}

#[test]
fn framings_are_equal_by_what_they_mean() {
    let framing = Framing::new(V1);
    assert_eq!(framing, Framing::new(V1).with_limit(DEFAULT_LIMIT));
    assert_eq!(framing, Framing::default());
    assert_ne!(framing, Framing::new(V1).with_limit(DEFAULT_LIMIT - 1));
    let [one, other] = [formats::layout(1), formats::layout(2)];
    assert_eq!(Framing::new(one).with_limit(5), Framing::new(one).with_limit(5));
    assert_ne!(Framing::new(one).with_limit(5), Framing::new(other).with_limit(5));
    assert_eq!(Decoder::<U8>::default().limit(), 255);
}

#[test]
fn an_owned_frame_gives_its_parts_away() {
    let frame = Framing::new(V1).frame(Kind::TEXT, b"hello").unwrap();
    let header = Framing::new(V1).encode_header(Kind::TEXT, 5).unwrap();
    let copy = Clone::clone(&header);
    assert_eq!(copy.as_ref(), header.as_bytes());
    assert_eq!(frame.bytes(), [header.as_bytes(), b"hello"].concat());
    assert_eq!(frame.payload(), b"hello");
    assert_eq!(frame.into_payload(), b"hello");
    assert_eq!(Framing::new(U8).frame((), b"").unwrap().into_payload(), b"");
}

/// The header's own functions say what the format says.
// spec: HDR-1
#[test]
fn a_header_alone_is_read_and_written() {
    let bytes = header::encode(Kind::TEXT, 2);
    assert_eq!(bytes, *b"\xf5\x01\x01\0\0\0\x02\xf2");
    assert_eq!(header::decode(&bytes), Ok((Kind::TEXT, 2)));
    for (at, found, error) in [
        (0, 0xF4, HeaderError::BadMagic { found: 0xF4 }),
        (1, 2, HeaderError::UnsupportedVersion { found: 2 }),
        (2, 0, HeaderError::InvalidKind),
        (7, 0xF3, HeaderError::BadCheck { found: 0xF3, expected: 0xF2 }),
    ] {
        let mut bytes = bytes;
        bytes[at] = found;
        assert_eq!(header::decode(&bytes), Err(error));
    }
}
