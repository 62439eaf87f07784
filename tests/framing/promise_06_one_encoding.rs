//! Promise 6: one encoding. What was encoded is decoded to the same frame, and what was decoded is
//! encoded to the same bytes, if the format is canonical. Requirements: HDR-9 to HDR-11, FMT-4, FMT-5,
//! FMT-7, FMT-10, FMT-12.

use proptest::prelude::*;
use unstick::{
    ByteOrder, Covers, Decoder, EncodeError, Encoder, Format, FrameBuf, Framing, HeaderBuf,
    HeaderError, Kind, Layout, LengthField, Parsed, V1, header,
};
use unstick_testing::chunks::{Path, Subject, run};
use unstick_testing::formats::{self, Part, every_format, stream};
use unstick_testing::oracle::{Outcome, Policy};

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
    assert_eq!(
        (&owned.meta, owned.payload(), owned.to_bytes()),
        (&meta, &payload[..], bytes.clone())
    );
    assert_eq!(owned.header_bytes(), frame.header_bytes());
    let got = run(&framing, &bytes, &[], Path::Decode, Policy::STOP);
    let header = frame.header_bytes().to_vec();
    let meta = F::describe(&meta);
    assert_eq!(got, [Outcome::Frame { at: 0, meta, header, payload }, Outcome::End]);
}

/// What is decoded from any bytes is encoded to the same bytes again.
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
                encoder.payload(run).unwrap();
                missing -= run.len();
                streamed.extend(run);
            }
            encoder.finish().unwrap();
        }
        assert_eq!(whole, streamed);
    }
    every_format!(formats::some_layouts(), check);
}

#[test]
fn a_streamed_frame_takes_what_was_announced() {
    let mut encoder = Encoder::new(Framing::new(V1).with_limit(5));
    assert_eq!(encoder.payload(&[]), Err(EncodeError::NoFrame));
    assert_eq!(encoder.finish(), Err(EncodeError::NoFrame));
    // A refused begin begins nothing.
    let over = EncodeError::Oversize { len: 6, limit: 5 };
    assert_eq!(encoder.begin(Kind::TEXT, 6).map(|_| ()), Err(over));
    assert_eq!(encoder.missing(), None);
    encoder.begin(Kind::TEXT, 5).unwrap();
    encoder.payload(&[0; 4]).unwrap();
    assert_eq!(encoder.payload(&[0; 2]), Err(EncodeError::Excess { len: 2, missing: 1 }));
    encoder.payload(&[0; 1]).unwrap();
    // Only the call to finish was missing: the stream is sound, so the next frame may begin.
    encoder.begin(Kind::TEXT, 0).unwrap();
    encoder.finish().unwrap();
    assert_eq!(encoder.finish(), Err(EncodeError::NoFrame));
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

/// The header's own functions say what the format says.
// spec: HDR-1
#[test]
fn a_header_alone_is_read_and_written() {
    let bytes = header::encode(Kind::TEXT, 2);
    assert_eq!(bytes, *b"\xf5\x01\x01\0\0\0\x02\xf2");
    assert_eq!(header::decode(&bytes), Ok((Kind::TEXT, 2)));
    for (at, found, error) in [
        (0, 0xF4, HeaderError::BadMagic { found: 0xF4 }),
        (1, 2, HeaderError::UnsupportedVersion { found: 2, supported: 1 }),
        (2, 0, HeaderError::InvalidKind),
        (7, 0xF3, HeaderError::BadCheck { found: 0xF3, expected: 0xF2 }),
    ] {
        let mut bytes = bytes;
        bytes[at] = found;
        assert_eq!(header::decode(&bytes), Err(error));
    }
}
