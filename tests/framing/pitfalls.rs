//! Mistakes that framing code is known for, each as the promise that rules it out.

use unstick::{
    ByteOrder, Covers, DatagramError, DecodeError, Decoder, EncodeError, FrameBuf, Framing,
    HeaderError, Kind, Layout, LengthField, Part, U8, U16Be, U32Be, U64Be, V1, Varint, header,
};
use unstick_testing::chunks::{Path, compare_all, expect, run, single_bytes};
use unstick_testing::oracle::{Outcome, Policy};

fn text(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Framing::new(V1).with_limit(u64::MAX).encode(Kind::TEXT, payload, &mut bytes).unwrap();
    bytes
}

// spec: END-3, END-4
#[test]
fn p01_an_end_right_behind_a_header_is_no_clean_end() {
    let truncated = DecodeError::Truncated { at: 4, missing: 9, part: Part::Payload };
    let mut decoder = Decoder::with_framing(U32Be);
    decoder.for_each(&[0, 0, 0, 9], |_| {}).unwrap();
    assert_eq!(decoder.finish(), Err(truncated));
    let mut buf = FrameBuf::with_framing(Vec::new(), U32Be).unwrap();
    buf.extend(&[0, 0, 0, 9]);
    assert_eq!(buf.next_frame(), Ok(None));
    assert_eq!(buf.finish(), Err(truncated));
}

// spec: DGM-1, DGM-3
#[test]
fn p02_a_datagram_of_a_header_takes_nothing_from_the_next() {
    let framing = Framing::new(V1);
    let first = header::encode(Kind::TEXT, 10);
    assert!(matches!(framing.datagram(&first), Err(DatagramError::Malformed(_))));
    let next = text(b"whole");
    let payloads: Vec<_> = framing.datagram(&next).unwrap().map(|frame| frame.payload).collect();
    assert_eq!(payloads, [b"whole"]);
}

// spec: DGM-3
#[test]
fn p03_a_short_datagram_blocks_none_behind_it() {
    let framing = Framing::new(V1);
    for _ in 0..3 {
        assert!(framing.datagram(&[0xF5]).is_err());
        assert_eq!(framing.datagram(&text(b"x")).unwrap().count(), 1);
    }
}

#[test]
fn p04_a_kept_frame_keeps_no_buffer() {
    let mut buf = FrameBuf::new(vec![0; 65_536]);
    buf.extend(&text(b"ten bytes!"));
    let kept = buf.next_frame().unwrap().unwrap().to_owned();
    drop(buf);
    // The bytes of the frame and no others: tests/allocation counts what that allocates.
    assert_eq!(kept.to_bytes().len(), 18);
    assert_eq!(kept.payload(), b"ten bytes!");
}

// spec: FMT-1, FMT-10, LIM-1, LIM-5
#[test]
fn p05_what_the_length_covers_changes_no_limit() {
    for (header_len, offset) in [(1, 0), (4, 1), (32, 31)] {
        for covers in [Covers::Payload, Covers::AfterField, Covers::Frame] {
            let order = ByteOrder::Big;
            let layout = Layout { header_len, offset, width: 1, order, covers };
            let format = LengthField::new(layout).unwrap();
            let meta = format.meta(&vec![0xAA; header_len]).unwrap();
            for limit in [0, 5, 200, 256] {
                let framing = Framing::new(format).with_limit(limit);
                for len in 0..300 {
                    let mut bytes = Vec::new();
                    let encoded = framing.encode(meta, vec![1; len], &mut bytes);
                    // In its place, and not at the header's beginning.
                    if encoded.is_ok() && offset > 0 {
                        assert_eq!(bytes[0], 0xAA);
                    }
                    let fits = len as u64 <= framing.limit();
                    assert_eq!(encoded.is_ok(), fits);
                    let decoded = framing.split_frame(&mut &bytes[..]).unwrap();
                    assert_eq!(decoded.map(|frame| frame.payload.len()), fits.then_some(len));
                }
            }
        }
    }
}

// spec: LIM-7
#[test]
fn p06_four_bytes_reserve_no_megabytes() {
    let framing = Framing::new(U32Be).with_limit(u64::MAX);
    let mut buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
    buf.extend(&[0x3F, 0xFF, 0xFF, 0xFF]);
    for _ in 0..20 {
        assert_eq!(buf.next_frame(), Ok(None));
        assert!(!buf.spare().is_empty());
    }
    assert!(buf.into_parts().0.capacity() <= 8 * 1024);
}

// spec: ERR-4, LIM-2
#[test]
fn p07_what_was_refused_is_refused_again() {
    let framing = Framing::new(V1).with_limit(4);
    let over = text(b"fives");
    let oversize = DecodeError::Oversize { at: 0, len: 5, limit: 4 };
    let mut buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
    let mut decoder = Decoder::with_framing(framing);
    for byte in over {
        buf.extend(&[byte]);
        if buf.next_frame().is_err() {
            assert_eq!(buf.next_frame(), Err(oversize));
        }
        if decoder.decode(&mut &[byte][..]).is_err() {
            assert_eq!(decoder.decode(&mut &[byte][..]), Err(oversize));
        }
    }
    assert_eq!((buf.error(), decoder.error()), (Some(oversize), Some(oversize)));
}

// spec: SKP-2, ERR-4
#[test]
fn p08_after_an_oversize_frame_its_payload_is_no_header() {
    let inside = text(b"inside");
    let mut sent = text(&inside);
    sent.extend(text(b"next"));
    let framing = Framing::new(V1).with_limit(10);
    compare_all(&framing, &sent, &single_bytes(&sent));
    let frames = |policy| {
        let outcomes = run(&framing, &sent, &[9, 20], Path::Decode, policy);
        let payload = |outcome| match outcome {
            Outcome::Frame { payload, .. } => Some(payload),
            _ => None,
        };
        outcomes.into_iter().filter_map(payload).collect::<Vec<_>>()
    };
    assert_eq!(frames(Policy::STOP), [b""; 0]);
    assert_eq!(frames(Policy::SKIP), [b"next"]);
}

// spec: SEC-2
#[test]
fn p09_small_reads_move_no_large_buffers() {
    // Bytes that change their place, as in tests/framing/frame_buf.rs, for one long run of small reads
    // while a large frame stands at the end of the storage.
    let mut buf = FrameBuf::new([0; 8 * 1024]);
    let large = text(&[1; 7_000]);
    let sent = [text(b"small"), large].concat().repeat(20);
    let mut moved = 0;
    for chunk in sent.chunks(16) {
        let (at, unread) = (buf.unread().as_ptr(), buf.unread().len());
        buf.spare();
        moved += if buf.unread().as_ptr() == at { 0 } else { unread };
        assert_eq!(buf.extend(chunk), chunk.len());
        while buf.next_frame().unwrap().is_some() {}
    }
    assert_eq!(buf.finish(), Ok(()));
    assert!(moved <= 2 * sent.len(), "{moved} of {}", sent.len());
}

// spec: FMT-8, FMT-9
#[test]
fn p10_an_overlong_varint_is_no_length() {
    let error = |bytes: &[u8]| {
        let mut decoder = Decoder::with_framing(Framing::new(Varint).with_limit(u64::MAX));
        match decoder.for_each(bytes, |_| {}) {
            Err(DecodeError::Header { at: 0, error }) => error,
            other => panic!("{other:?}"),
        }
    };
    let mut bytes = [0xFF; 11];
    let overflow = |found| HeaderError::VarintOverflow { found };
    assert_eq!(error(&bytes), overflow(0xFF));
    bytes[9] = 0x7F;
    assert_eq!(error(&bytes), overflow(0x7F));
    bytes[9] = 0x02;
    assert_eq!(error(&bytes), overflow(0x02));
    assert_eq!(error(&[0x80, 0x80, 0x00]), HeaderError::OverlongVarint);
}

// spec: STR-2
#[test]
fn p11_an_oversize_frame_is_one_error_under_every_cut() {
    let sent = [text(b"ok"), text(b"oversize"), text(b"ok")].concat();
    let framing = Framing::new(V1).with_limit(4);
    let want = expect(&framing, &sent, Path::Decode, Policy::STOP);
    assert_eq!(want.len(), 2);
    for cut in 0..=sent.len() {
        for path in [Path::Decode, Path::Vec, Path::Array] {
            assert_eq!(run(&framing, &sent, &[cut], path, Policy::STOP), want);
        }
    }
}

/// The core has no read that could be cancelled; what it was given it keeps, and what it was not
/// told of it does not count.
// spec: STR-7
#[test]
fn p12_bytes_that_arrived_are_never_lost() {
    let sent = text(b"payload");
    for cut in 0..sent.len() {
        let mut buf = FrameBuf::new([0; 64]);
        buf.extend(&sent[..cut]);
        // A read that began and came to nothing.
        for _ in 0..3 {
            buf.spare();
            assert_eq!(buf.next_frame(), Ok(None));
        }
        buf.commit(0);
        assert_eq!(buf.unread(), &sent[..cut]);
        buf.extend(&sent[cut..]);
        assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"payload");
    }
}

// spec: LIM-2
#[test]
fn p13_a_length_is_compared_at_its_full_width() {
    // The low 32 bits of each are small.
    for len in [1 << 32, (1 << 32) + 2, (1 << 62) + 2, (1 << 63) + 2] {
        let bytes = u64::to_be_bytes(len);
        let mut decoder = Decoder::with_framing(Framing::new(U64Be).with_limit(10));
        let oversize = DecodeError::Oversize { at: 0, len, limit: 10 };
        assert_eq!(decoder.for_each(&bytes, |_| {}), Err(oversize));
        // Skipping it takes all of it, and not the low bits.
        decoder.skip_frame().unwrap();
        decoder.for_each(&[0; 100], |_| panic!("a piece of a skipped payload")).unwrap();
        let missing = len - 100;
        let part = Part::Payload;
        assert_eq!(decoder.finish(), Err(DecodeError::Truncated { at: 108, missing, part }));
    }
}

// spec: LIM-5, FMT-4
#[test]
fn p14_no_length_is_cut_to_its_field() {
    let over = |len, limit| Some(EncodeError::Oversize { len, limit });
    let u8 = Framing::new(U8).with_limit(u64::MAX);
    assert_eq!(u8.encode_header((), 256).err(), over(256, 255));
    let u16 = Framing::new(U16Be).with_limit(u64::MAX);
    assert_eq!(u16.encode_header((), 65_536).err(), over(65_536, 65_535));
    let v1 = Framing::new(V1).with_limit(u64::MAX);
    let most = u64::from(u32::MAX);
    assert_eq!(v1.encode_header(Kind::TEXT, most + 1).err(), over(most + 1, most));
    assert!(v1.encode_header(Kind::TEXT, most).is_ok());
}

// spec: LIM-7
#[test]
fn p15_a_buffer_shrinks_again() {
    let mut buf = FrameBuf::new(Vec::new());
    let large = text(&vec![1; 500_000]);
    let mut rest = &large[..];
    while !rest.is_empty() {
        let n = buf.extend(rest);
        assert!(n > 0);
        rest = &rest[n..];
    }
    assert!(buf.next_frame().unwrap().is_some());
    for _ in 0..100 {
        buf.extend(&text(b"small"));
        assert!(buf.next_frame().unwrap().is_some());
    }
    assert!(buf.capacity() <= 64 * 1024);
    buf.shrink();
    assert_eq!(buf.into_parts().0.capacity(), 0);
}

// spec: STR-6, FMT-3
#[test]
fn p16_incomplete_is_not_malformed() {
    // Not there yet is no error, the end of it is one, and malformed another one.
    let framing = Framing::new(Varint);
    assert_eq!(framing.split_frame(&mut &[0x80][..]), Ok(None));
    let mut decoder = Decoder::with_framing(Varint);
    assert_eq!(decoder.decode(&mut &[0x80][..]), Ok(None));
    let truncated = DecodeError::Truncated { at: 1, missing: 1, part: Part::Header };
    assert_eq!(decoder.finish(), Err(truncated));
    let malformed = DecodeError::Header { at: 0, error: HeaderError::OverlongVarint };
    assert_eq!(decoder.decode(&mut &[0x00][..]), Err(malformed));
    assert_eq!(decoder.finish(), Err(malformed));
    assert_ne!(truncated.code(), malformed.code());
}

/// The same mistakes, as a codec in tokio-util's `Framed` could make them.
#[cfg(feature = "tokio-util")]
mod in_a_codec {
    use tokio_util::bytes::BytesMut;
    use tokio_util::codec::{Decoder, Encoder};
    use unstick::codec::{CodecError, FrameCodec, PayloadCodec};

    use super::*;

    fn error<T: std::fmt::Debug>(result: Result<T, CodecError>) -> DecodeError {
        match result {
            Err(CodecError::Decode(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    // spec: END-3, END-4
    #[test]
    fn p01_an_end_right_behind_a_header_is_no_clean_end() {
        let truncated = DecodeError::Truncated { at: 4, missing: 9, part: Part::Payload };
        let mut buf = BytesMut::from(&[0, 0, 0, 9][..]);
        let mut codec = PayloadCodec::new(U32Be);
        assert!(codec.decode(&mut buf).unwrap().is_none());
        assert_eq!(error(codec.decode_eof(&mut buf)), truncated);
        assert_eq!(error(codec.decode_eof(&mut buf)), truncated);
        assert_eq!(error(codec.decode(&mut buf)), truncated);
        // Also where the header and the end come at once.
        let mut codec = PayloadCodec::new(U32Be);
        assert_eq!(error(codec.decode_eof(&mut buf)), truncated);
    }

    // spec: FMT-1, LIM-1, LIM-5
    #[test]
    fn p05_what_is_encoded_is_decoded_whatever_the_length_covers() {
        for covers in [Covers::Payload, Covers::AfterField, Covers::Frame] {
            let order = ByteOrder::Big;
            let layout = Layout { header_len: 4, offset: 1, width: 1, order, covers };
            let format = LengthField::new(layout).unwrap();
            let meta = format.meta(&[0xAA; 4]).unwrap();
            for limit in [0, 5, 200, 256] {
                let framing = Framing::new(format).with_limit(limit);
                let mut codec = PayloadCodec::with_meta(framing, meta).unwrap();
                for len in 0..300 {
                    let mut wire = BytesMut::new();
                    let encoded = codec.encode(vec![1; len], &mut wire);
                    let fits = len as u64 <= framing.limit();
                    assert_eq!(encoded.is_ok(), fits);
                    assert_eq!(wire.first(), fits.then_some(&0xAA));
                    let decoded = codec.decode(&mut wire).unwrap();
                    assert_eq!(decoded.map(|payload| payload.len()), fits.then_some(len));
                }
            }
        }
    }

    // spec: LIM-7
    #[test]
    fn p06_four_bytes_reserve_no_megabytes() {
        let mut codec = PayloadCodec::new(Framing::new(U32Be).with_limit(u64::MAX));
        let mut buf = BytesMut::from(&[0x3F, 0xFF, 0xFF, 0xFF][..]);
        for _ in 0..20 {
            assert!(codec.decode(&mut buf).unwrap().is_none());
            buf.reserve(1);
        }
        assert!(buf.capacity() <= 64, "{}", buf.capacity());
    }

    // spec: ERR-4, LIM-2
    #[test]
    fn p07_what_was_refused_is_refused_again() {
        let mut codec = FrameCodec::with_framing(Framing::new(V1).with_limit(4));
        let oversize = DecodeError::Oversize { at: 0, len: 5, limit: 4 };
        let mut buf = BytesMut::new();
        let mut refused = 0;
        for byte in text(b"fives") {
            buf.extend_from_slice(&[byte]);
            for _ in 0..2 {
                match codec.decode(&mut buf) {
                    Ok(None) => assert!(buf.len() < 8),
                    result => {
                        assert_eq!(error(result), oversize);
                        refused += 1;
                    }
                }
            }
        }
        assert_eq!(refused, 2 * 6);
        assert_eq!(error(codec.decode_eof(&mut buf)), oversize);
    }

    // spec: SKP-2, ERR-4
    #[test]
    fn p08_after_an_oversize_frame_its_payload_is_no_header() {
        let mut sent = text(&text(b"inside"));
        sent.extend(text(b"next"));
        for cut in 0..=sent.len() {
            let mut codec = FrameCodec::with_framing(Framing::new(V1).with_limit(10));
            let mut payloads = Vec::new();
            let mut buf = BytesMut::new();
            for chunk in [&sent[..cut], &sent[cut..]] {
                buf.extend_from_slice(chunk);
                loop {
                    match codec.decode(&mut buf) {
                        Ok(Some(frame)) => payloads.push(frame.payload),
                        Ok(None) => break,
                        Err(_) => codec.skip_frame().unwrap(),
                    }
                }
            }
            assert!(codec.decode_eof(&mut buf).unwrap().is_none());
            assert_eq!(payloads, [&b"next"[..]], "cut at {cut}");
        }
    }

    // spec: STR-2
    #[test]
    fn p11_an_oversize_frame_is_one_error_under_every_cut() {
        let sent = [text(b"ok"), text(b"oversize"), text(b"ok")].concat();
        let oversize = DecodeError::Oversize { at: 10, len: 8, limit: 4 };
        for cut in 0..=sent.len() {
            let mut codec = FrameCodec::with_framing(Framing::new(V1).with_limit(4));
            let mut buf = BytesMut::from(&sent[..cut]);
            let mut frames = 0;
            let mut errors = Vec::new();
            for chunk in [&[][..], &sent[cut..]] {
                buf.extend_from_slice(chunk);
                loop {
                    match codec.decode(&mut buf) {
                        Ok(Some(_)) => frames += 1,
                        Ok(None) => break,
                        result => {
                            errors.push(error(result));
                            break;
                        }
                    }
                }
            }
            assert_eq!(frames, 1, "cut at {cut}");
            assert!(!errors.is_empty() && errors.iter().all(|error| *error == oversize));
        }
    }
}
