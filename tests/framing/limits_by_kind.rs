//! Limits that depend on the meta, through everything that reads or writes.

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{
    DatagramError, DatagramPacker, DecodeError, Decoder, EncodeError, Encoder, Framing, Kind,
    LimitedBy, SelfChecking, U16Be, V1, WriteBuf, WriteBufError,
};
use unstick_testing::chunks::{compare_all, single_bytes};
use unstick_testing::formats::{ByKind, Part, by_kind, stream};

use crate::support::text;

fn part() -> impl Strategy<Value = Part> {
    let frame = (1..9_u64, 0..14_u64, any::<u8>());
    let frame = frame.prop_map(|(meta, len, fill)| Part::Frame { meta, len, fill });
    let header = (1..9_u64, any::<u32>());
    let header =
        header.prop_map(|(meta, len)| Part::Header { meta, len: len.into(), keep: usize::MAX });
    prop_oneof![
        8 => frame,
        1 => header,
        1 => vec(any::<u8>(), 0..4).prop_map(Part::Bytes),
        1 => (0..40_usize, any::<u8>()).prop_map(|(back, bit)| Part::Flip { back, bit }),
    ]
}

proptest! {
    /// On every path and through the codecs, with frames over their limit skipped, or searched after.
    // spec: ERR-1, SKP-2, SYN-2
    #[test]
    fn every_reader_is_the_oracle(
        parts in vec(part(), 1..8),
        limit in 0..14_u64,
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let framing = Framing::new(by_kind()).with_limit(limit);
        let stream = stream(framing.format(), &parts);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        compare_all(&framing, &stream, &cuts);
        compare_all(&framing, &stream, &single_bytes(&stream));
    }
}

/// The limit of the kind or of the framing, whichever is less; and what each writer says of a length.
fn each_writer(framing: &Framing<ByKind>, kind: Kind, payload: &[u8]) -> Result<(), EncodeError> {
    let len = payload.len() as u64;
    let want = framing.encode_header(kind, len).map(|_| ());
    let error = |result: Result<(), WriteBufError>| match result {
        Err(WriteBufError::Encode(error)) => Err(error),
        other => other.map_err(|error| panic!("{error:?}")),
    };
    assert_eq!(Encoder::new(*framing).begin(kind, len).map(|_| ()), want);
    assert_eq!(framing.encode(kind, payload, &mut Vec::new()), want);
    assert_eq!(framing.encode_into(kind, payload, &mut [0; 64]).map(|_| ()), want);
    assert_eq!(framing.frame(kind, payload).map(|_| ()), want);
    assert_eq!(error(WriteBuf::growing(*framing).frame(kind, payload).map(|_| ())), want);
    assert_eq!(error(WriteBuf::growing(*framing).begin(kind, len).map(|_| ())), want);
    assert_eq!(WriteBuf::growing(*framing).try_frame(&kind, payload), want.is_ok());
    let mut storage = [0; 64];
    let mut packer = DatagramPacker::new(*framing, &mut storage);
    assert_eq!(packer.push(kind, payload).map(|_| ()), want);
    want
}

/// What is written is read, and what is refused on one side is refused on the other, with the same limit.
#[test]
fn every_writer_refuses_what_every_reader_refuses() {
    for limit in [0, 5, 12] {
        let framing = Framing::new(by_kind()).with_limit(limit);
        for (kind, own) in [(4, 0), (1, 3), (2, 9), (3, u64::MAX)] {
            let kind = Kind::new(kind).unwrap();
            let limit = limit.min(own);
            for len in 0..14 {
                let payload = vec![7; len];
                let len = len as u64;
                let refused = (len > limit).then_some(DecodeError::Oversize { at: 0, len, limit });
                let want = refused.map_or(Ok(()), |_| Err(EncodeError::Oversize { len, limit }));
                assert_eq!(each_writer(&framing, kind, &payload), want);

                let mut frame = Vec::new();
                Framing::new(V1).encode(kind, &payload, &mut frame).unwrap();
                let mut decoder = Decoder::with_framing(framing);
                assert_eq!(decoder.for_each(&frame, |_| {}).err(), refused);
                let datagram = framing.datagram(&frame).map(|frames| frames.len());
                assert_eq!(datagram, refused.map_or(Ok(1), |e| Err(DatagramError::Malformed(e))));
                let split = framing.split_frame(&mut &frame[..]).map(|frame| frame.is_some());
                assert_eq!(split, refused.map_or(Ok(true), Err));
            }
        }
    }
}

/// A limit by kind over another one is the lower of the two, and what a format says next to it stays.
#[test]
fn the_lower_limit_applies() {
    fn is_self_checking(_: &impl SelfChecking) {}
    let inner = LimitedBy::new(V1, |_: &Kind| 4);
    let outer = LimitedBy::new(inner, |kind: &Kind| if *kind == Kind::TEXT { 9 } else { 2 });
    is_self_checking(&outer);
    let framing = Framing::new(outer);
    assert_eq!(framing.limit(), Framing::new(V1).limit());
    for (kind, limit) in [(Kind::TEXT, 4), (Kind::BINARY, 2)] {
        assert!(framing.encode_header(kind, limit).is_ok());
        let error = EncodeError::Oversize { len: limit + 1, limit };
        assert_eq!(framing.encode_header(kind, limit + 1).unwrap_err(), error);
    }
    // It can only lower what the length field and the framing allow.
    let framing = Framing::new(LimitedBy::new(U16Be, |(): &()| u64::MAX));
    let error = EncodeError::Oversize { len: 65_536, limit: 65_535 };
    assert_eq!(framing.encode_header((), 65_536).unwrap_err(), error);

    let close = Framing::new(outer).datagram(b"\xf5\x01\x05\0\0\0\0\x6d").map(|_| ());
    assert_eq!(close, Framing::new(V1).datagram(b"\xf5\x01\x05\0\0\0\0\x6d").map(|_| ()));
    let mut rest = &text(b"five!")[..];
    let error = DecodeError::Oversize { at: 0, len: 5, limit: 4 };
    assert_eq!(Framing::new(outer).split_frame(&mut rest), Err(error));
}
