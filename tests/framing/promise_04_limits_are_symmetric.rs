//! Promise 4: limits are symmetric. Format and limit are one value, shared by decoder, encoder and
//! buffers: what the encoder writes, the decoder accepts. Requirements: LIM-1 to LIM-6, FMT-1, FMT-4.

use unstick::{
    ByteOrder, Covers, DEFAULT_LIMIT, DecodeError, Decoder, EncodeError, Encoder, Format, FrameBuf,
    Framing, Header, HeaderBuf, HeaderError, Kind, Layout, LengthField, MAX_PAYLOAD_LEN, Parsed,
    StorageError, U8, U16Be, U64Be, V1, Varint, header,
};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, every_format};
use unstick_testing::oracle::{CAP, Rules};

use crate::support::{payloads, text};

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
    assert_eq!(Framing::new(U8).encode_into((), [1; 256], &mut out), Err(error));
    assert_eq!(out, [0xEE; 300]);
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

#[test]
fn a_limit_that_was_set_has_to_fit() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(100);
        let needed = 100 + format.max_header_len();
        for room in [0, 1, needed - 1] {
            let refused = FrameBuf::with_framing(&mut vec![0; room][..], framing.clone()).err();
            assert_eq!(refused, Some(StorageError { needed: needed as u64, room }));
        }
        for room in [needed, needed + 1] {
            let mut storage = vec![0; room];
            let buf = FrameBuf::with_framing(&mut storage[..], framing.clone()).unwrap();
            assert_eq!(buf.framing().limit(), 100);
        }
        let buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
        assert_eq!((buf.framing().limit(), buf.capacity()), (100, 0));
    }
    every_format!(formats::layouts(), check);
    assert!(FrameBuf::with_framing([0; 107], Framing::new(V1).with_limit(100)).is_err());
    // No storage is as long as this, and the sum must not overflow.
    let greatest = Framing::new(V1).with_limit(u64::MAX);
    assert!(FrameBuf::with_framing([0; 64], greatest).is_err());
}

/// The limit that nobody set is what fits; a longer payload is oversize at its header, and not a
/// wait for room that will not come.
// spec: LIM-1, LIM-2
#[test]
fn the_default_limit_gives_way_to_the_storage() {
    let mut buf = FrameBuf::new([0; 2048]);
    assert_eq!(buf.framing().limit(), 2040);
    for _ in 0..3 {
        assert_eq!(buf.extend(&text(&[7; 2040])), 2048);
        assert_eq!(payloads(&mut buf), [[7; 2040]]);
    }
    buf.extend(&text(&[7; 2041]));
    let at = 3 * 2048;
    assert_eq!(buf.next_frame(), Err(DecodeError::Oversize { at, len: 2041, limit: 2040 }));

    let mut storage = [0; 100];
    assert_eq!(FrameBuf::new(&mut storage[..]).framing().limit(), 92);
    assert_eq!(FrameBuf::new([0; 8]).framing().limit(), 0);
    let buf = FrameBuf::with_framing([0; 1000], U8).unwrap();
    assert_eq!(buf.framing().limit(), 255);
}

/// The framing of a buffer encodes what an equal buffer takes, and nothing that it does not.
#[test]
fn two_equal_buffers_understand_each_other() {
    fn check<F: Subject>(format: &F) {
        let mut one = FrameBuf::with_framing([0; 80], format.clone()).unwrap();
        let two = FrameBuf::with_framing([0; 80], format.clone()).unwrap();
        let limit = usize::try_from(two.framing().limit()).unwrap();
        let meta = format.pick_meta(1);
        let mut sent = Vec::new();
        two.framing().encode(&meta, &vec![5; limit], &mut sent).unwrap();
        assert!(two.framing().encode(&meta, &vec![5; limit + 1], &mut Vec::new()).is_err());
        one.extend(&sent);
        assert_eq!(payloads(&mut one), [vec![5; limit]]);
    }
    every_format!(formats::layouts(), check);
}

/// A peer that takes more than it sends, and its mirror image: what one sends, the other takes.
#[test]
fn each_direction_can_have_its_own_limit() {
    let server = Framing::new(V1).with_limits(10, 1000);
    let client = Framing::new(V1).with_limits(1000, 10);
    assert_eq!((server.limit(), server.send_limit()), (10, 1000));
    assert_ne!(server, client);
    for (from, to, limit) in [(server, client, 1000), (client, server, 10)] {
        let mut wire = Vec::new();
        from.encode(Kind::TEXT, vec![0; limit], &mut wire).unwrap();
        let frame = to.split_frame(&mut &wire[..]).unwrap().unwrap();
        assert_eq!(frame.payload.len(), limit);
        let (len, limit) = (limit as u64 + 1, limit as u64);
        let refused = EncodeError::Oversize { len, limit };
        assert_eq!(from.encode_header(Kind::TEXT, len).unwrap_err(), refused);
        let mut encoder = Encoder::new(from);
        assert_eq!(encoder.begin(Kind::TEXT, len).unwrap_err(), refused);
        encoder.set_limit(len);
        let header = encoder.begin(Kind::TEXT, len).unwrap();
        let refused = DecodeError::Oversize { at: 0, len, limit };
        assert_eq!(announced(&to, header.as_bytes()), Err(refused));
    }
}

/// The header before the payload: the error is that of a decoder, whatever else is in the slice.
#[test]
fn a_header_is_decoded_under_the_limit() {
    let framing = Framing::new(V1).with_limit(5);
    let wire = text(b"hello");
    for len in 0..wire.len() {
        let want = match len {
            0..8 => Parsed::Need(8),
            _ => Parsed::Header(Header { meta: Kind::TEXT, payload_len: 5, header_len: 8 }),
        };
        assert_eq!(framing.decode_header(&wire[..len]), Ok(want));
    }
    let refused = DecodeError::Oversize { at: 0, len: 6, limit: 5 };
    assert_eq!(framing.decode_header(&text(b"hello!")), Err(refused));
    for bytes in [&b"?"[..], b"\xf5?\0\0\0\0\0\0", b"\xf5\x01\x01\0\0\0\0\0and more"] {
        let mut decoder = Decoder::with_framing(framing);
        assert_eq!(framing.decode_header(bytes).err(), decoder.decode(&mut &bytes[..]).err());
    }
}
