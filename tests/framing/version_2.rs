//! Version 2 of the project's own frames: known bytes, damage, and the search after it.

use unstick::check::Crc32Iscsi;
use unstick::io::FrameReader;
use unstick::{
    Checked, DatagramError, DecodeError, Decoder, EncodeError, FrameBuf, FrameError, Framing,
    HeaderError, Kind, V1, V2, V2Header,
};

const HI: &[u8] = b"\xF5\x02\x01\0\0\0\x02\x0Ehi\x29\x12\xCE\x2F";
const EMPTY: &[u8] = b"\xF5\x02\x02\0\0\0\0\x88\x40\xDB\xE6\x5F";

fn buf(bytes: &[u8], limit: u64) -> FrameBuf<Vec<u8>, V2> {
    let mut buf = FrameBuf::growing(Framing::new(V2).with_limit(limit));
    buf.extend_all(bytes);
    buf
}

// spec: FMT-49, FMT-50
#[test]
fn known_bytes_are_written_and_read() {
    let mut line = Vec::new();
    Framing::new(V2).encode(Kind::TEXT, b"hi", &mut line).unwrap();
    assert_eq!(line, HI);
    Framing::new(V2).encode(Kind::BINARY, b"", &mut line).unwrap();
    assert_eq!(line, [HI, EMPTY].concat());

    let mut buf = buf(&line, 100);
    let frame = buf.next_frame().unwrap().unwrap();
    assert_eq!((frame.meta, frame.payload), (Kind::TEXT, &b"hi"[..]));
    let frame = buf.next_frame().unwrap().unwrap();
    assert_eq!((frame.meta, frame.payload), (Kind::BINARY, &b""[..]));
    assert_eq!(buf.next_frame(), Ok(None));
}

#[test]
fn a_decoder_a_reader_and_a_borrowed_framing_read_it() {
    let mut decoder = Decoder::with_framing(V2);
    let mut payload = Vec::new();
    for byte in HI {
        for piece in decoder.pieces(&[*byte]) {
            payload.extend_from_slice(piece.unwrap().bytes);
        }
    }
    assert_eq!((decoder.finish(), &payload[..]), (Ok(()), &b"hi"[..]));

    let mut reader = FrameReader::with_framing(HI, V2);
    assert_eq!(reader.next_frame().unwrap().unwrap().payload, b"hi");
    assert!(reader.next_frame().unwrap().is_none());

    let mut rest = HI;
    let frame = Framing::new(&V2).split_frame(&mut rest).unwrap().unwrap();
    assert_eq!((frame.meta, frame.payload, rest), (Kind::TEXT, &b"hi"[..], &b""[..]));
}

/// The name is short for a header and a check that can also be combined by hand.
#[test]
fn it_is_its_header_with_crc_32c_big_endian() {
    let by_hand = Framing::new(Checked::new(V2Header, Crc32Iscsi::new().big_endian()));
    let mut line = Vec::new();
    by_hand.encode(Kind::TEXT, b"hi", &mut line).unwrap();
    assert_eq!(line, HI);
    assert_eq!(*by_hand.format().check(), V2::CHECK);
}

// spec: FMT-50
#[test]
fn every_single_bit_error_in_a_frame_is_refused() {
    for frame in [HI, EMPTY] {
        for bit in 0..8 * frame.len() {
            let mut line = frame.to_vec();
            line[bit / 8] ^= 1 << (bit % 8);
            let mut buf = buf(&line, 100);
            let error = buf.next_frame().unwrap_err();
            match bit / 8 {
                0..8 => assert!(matches!(error, DecodeError::Header { at: 0, .. }), "bit {bit}"),
                _ => {
                    let is_bad_check = matches!(
                        error,
                        DecodeError::Frame { at: 0, error: FrameError::BadCheck { .. } }
                    );
                    assert!(is_bad_check, "bit {bit}: {error}");
                }
            }
        }
    }
}

/// The check of the header refuses a wrong length before the buffer waits for as many bytes as it announces.
#[test]
fn a_flipped_bit_of_the_length_costs_one_frame() {
    for bit in 0..32 {
        let mut line = [EMPTY, HI, EMPTY, HI].concat();
        let at = EMPTY.len();
        line[at + 3 + bit / 8] ^= 1 << (bit % 8);
        let mut buf = buf(&line, u64::MAX);
        assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"");
        let error = buf.next_frame().unwrap_err();
        let is_bad_check =
            matches!(error, DecodeError::Header { at: 12, error: HeaderError::BadCheck { .. } });
        assert!(is_bad_check, "bit {bit}: {error}");
        assert_eq!(buf.resync(), Ok(Some(HI.len() as u64)), "bit {bit}");
        assert_eq!(buf.next_frame().unwrap().unwrap().meta, Kind::BINARY);
        assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"hi");
        assert_eq!(buf.next_frame(), Ok(None));
    }
}

/// A frame that lost a byte is checked with the first byte of the next one. The search begins at the
/// second byte of the refused frame, so that the next one is not lost.
// spec: FMT-51
#[test]
fn a_lost_byte_of_a_payload_costs_one_frame() {
    let mut line = [HI, HI].concat();
    line.remove(8);
    let mut buf = buf(&line, 100);
    assert!(matches!(buf.next_frame(), Err(DecodeError::Frame { at: 0, .. })));
    assert_eq!(buf.resync(), Ok(Some(13)));
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"hi");
    assert_eq!(buf.finish(), Ok(()));
}

// spec: FMT-49, VER-1
#[test]
fn each_version_refuses_the_other() {
    let mut version_1 = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"hi", &mut version_1).unwrap();
    let refused = |found, supported| {
        let error = HeaderError::UnsupportedVersion { found, supported };
        Err(DecodeError::Header { at: 0, error })
    };
    let nothing = |_: unstick::Piece<'_, Kind>| panic!("a piece");
    assert_eq!(Decoder::with_framing(V2).for_each(&version_1, nothing), refused(1, 2));
    assert_eq!(Decoder::with_framing(V1).for_each(HI, nothing), refused(2, 1));
}

/// A datagram holds whole frames of the kinds that version 1 allows in one.
#[test]
fn datagrams_have_the_rules_of_version_1() {
    let framing = Framing::new(V2);
    let datagram = [HI, EMPTY].concat();
    let payloads: Vec<_> =
        framing.datagram(&datagram).unwrap().map(|frame| frame.payload).collect();
    assert_eq!(payloads, [&b"hi"[..], b""]);
    let mut close = Vec::new();
    framing.encode(Kind::CLOSE, b"", &mut close).unwrap();
    let refused = framing.datagram(&close).map(|_| ());
    assert_eq!(refused, Err(DatagramError::MisplacedKind { at: 0, kind: 0x05 }));
}

#[test]
fn a_payload_over_the_limit_is_refused_on_both_sides() {
    let framing = Framing::new(V2).with_limit(1);
    let refused = framing.encode(Kind::TEXT, b"hi", &mut Vec::new());
    assert_eq!(refused, Err(EncodeError::Oversize { len: 2, limit: 1 }));
    let mut buf = buf(HI, 1);
    let error = DecodeError::Oversize { at: 0, len: 2, limit: 1 };
    assert_eq!(buf.next_frame(), Err(error));
    assert_eq!(buf.skip_frame(), Ok(()));
    assert_eq!(buf.next_frame(), Ok(None));
    assert_eq!(buf.finish(), Ok(()));
}
