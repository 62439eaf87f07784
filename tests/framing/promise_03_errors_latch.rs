//! Promise 3: errors latch. After an error nothing is delivered, and every call returns the same error,
//! until a reset, a skip after an oversize frame, or a search. A skip is also allowed in a payload that has
//! begun, and nowhere else. Requirements: ERR-4, ERR-7, SKP-1, SYN-8,
//! STR-3, STR-8.

use unstick::{
    DecodeError, Decoder, EncodeError, Encoder, FrameBuf, Framing, HeaderError, Kind, RecoverError,
    V1,
};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, Part, every_format, stream};

use crate::support::{payloads, text};

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
    // Where a payload has begun that is delivered, and is not whole.
    let (payloads, mut in_payload) = ([8..11, 49..53], 0);
    assert_eq!(sent.len(), 53);
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
            let rest = payloads.iter().find(|payload| payload.contains(&fed));
            let rest = rest.map(|payload| &sent[fed..payload.end]);
            for _ in 0..2 {
                if rest.is_none() {
                    assert_eq!(other.skip_frame(), Err(RecoverError::NotFailed));
                }
                let mut input = &sent[..];
                assert_eq!(other.resync(&mut input), Err(RecoverError::NotFailed));
                assert_eq!(input.len(), sent.len());
            }
            assert_eq!(other.finish(), decoder.finish());
            // A payload that has begun can be skipped, once: exactly the rest of it is dropped.
            if let Some(mut rest) = rest {
                in_payload += 1;
                let mut skipping = other.clone();
                skipping.skip_frame().unwrap();
                assert_eq!(skipping.skip_frame(), Err(RecoverError::NotFailed));
                assert_eq!(skipping.finish(), decoder.finish());
                let end = (fed + rest.len()) as u64;
                assert_eq!((skipping.decode(&mut rest), rest), (Ok(None), &b""[..]));
                assert_eq!((skipping.finish(), skipping.position()), (Ok(()), end));
            }
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
    assert_eq!(in_payload, 3 + 4);
}

/// From every state, with bytes of the old stream still there.
// spec: ERR-7
#[test]
fn reset_begins_a_new_stream() {
    let whole = text(b"whole");
    let oversize = text(&[0; 30]);
    let states: [&[u8]; 6] = [b"", &whole, &whole[..3], &whole[..10], b"garbage", &oversize];
    for skip in [false, true] {
        for state in states {
            let mut buf = FrameBuf::with_framing([0; 64], Framing::new(V1).with_limit(20)).unwrap();
            buf.extend(state);
            if buf.next_frame().is_err() && skip {
                let _ = buf.skip_frame();
                let _ = buf.resync();
            }
            buf.reset();
            assert_eq!((buf.position(), buf.error(), buf.finish()), (0, None, Ok(())));
            assert_eq!(buf.unread(), b"");
            assert_eq!(buf.next_frame(), Ok(None));
            buf.extend(&whole);
            assert_eq!(payloads(&mut buf), [b"whole"]);
            buf.extend(b"?");
            let error = HeaderError::BadMagic { found: b'?' };
            let at = whole.len() as u64;
            assert_eq!(buf.next_frame(), Err(DecodeError::Header { at, error }));
        }
    }
}

/// What 7.4 refuses changes nothing.
// spec: SKP-1, SYN-8, ERR-4
#[test]
fn skip_and_resync_are_for_failed_streams() {
    let whole = text(b"whole");
    let framing = Framing::new(V1).with_limit(20);
    for keep in [0, 3, 10] {
        let mut buf = FrameBuf::with_framing([0; 64], framing).unwrap();
        buf.extend(&whole[..keep]);
        buf.next_frame().unwrap();
        // With its header complete the frame can be skipped.
        let has_header = keep >= 8;
        if has_header {
            let mut skipping = buf.clone();
            skipping.skip_frame().unwrap();
            assert_eq!(skipping.skip_frame(), Err(RecoverError::NotFailed));
            skipping.extend(&whole[keep..]);
            skipping.extend(&text(b"next"));
            assert_eq!(payloads(&mut skipping), [b"next"]);
        } else {
            assert_eq!(buf.skip_frame(), Err(RecoverError::NotFailed));
        }
        assert_eq!(buf.resync(), Err(RecoverError::NotFailed));
        buf.extend(&whole[keep..]);
        assert_eq!(payloads(&mut buf), [b"whole"]);
    }
    // While an oversize payload is dropped there is nothing more to ask for.
    let oversize = text(&[0; 30]);
    let mut buf = FrameBuf::with_framing([0; 64], framing).unwrap();
    buf.extend(&oversize[..10]);
    buf.next_frame().unwrap_err();
    buf.skip_frame().unwrap();
    for _ in 0..2 {
        assert_eq!(buf.skip_frame(), Err(RecoverError::NotFailed));
        assert_eq!(buf.resync(), Err(RecoverError::NotFailed));
        assert_eq!(buf.next_frame(), Ok(None));
    }
    buf.extend(&oversize[10..]);
    buf.extend(&whole);
    assert_eq!(payloads(&mut buf), [b"whole"]);
}

/// Whoever asks hears the same of a search, with the bytes that came since.
// spec: ERR-4, SYN-4
#[test]
fn a_refused_skip_tells_the_error_that_every_call_tells() {
    let mut buf = FrameBuf::new([0; 64]);
    buf.extend(b"?");
    buf.next_frame().unwrap_err();
    assert_eq!(buf.resync(), Ok(None));
    buf.extend(b"??");
    let error = DecodeError::Unsynchronized { at: 3, skipped: 3 };
    assert_eq!(buf.error(), Some(error));
    assert_eq!(buf.skip_frame(), Err(RecoverError::Failed(error)));
    // What may be a header's beginning counts, too, wherever it stands in the storage.
    buf.extend(b"\xf5");
    assert_eq!((buf.resync(), buf.unread()), (Ok(None), &b"\xf5"[..]));
    let error = DecodeError::Unsynchronized { at: 4, skipped: 4 };
    assert_eq!((buf.error(), buf.finish()), (Some(error), Err(error)));
    assert_eq!(buf.skip_frame(), Err(RecoverError::Failed(error)));
}

/// After half a frame the encoder refuses everything; but a frame begun too early can be completed.
// spec: STR-8
#[test]
fn a_frame_left_short_poisons_the_encoder() {
    let error = Err(EncodeError::Unfinished { missing: 3 });
    let mut encoder = Encoder::new(V1);
    encoder.begin(Kind::TEXT, 5).unwrap();
    encoder.payload(&[0; 2]).unwrap();
    assert_eq!(encoder.begin(Kind::TEXT, 0).map(|_| ()), error);
    encoder.payload(&[0; 3]).unwrap();
    encoder.begin(Kind::TEXT, 3).unwrap();
    assert!(!encoder.is_poisoned());
    assert_eq!(encoder.finish().map(|_| ()), error);
    for _ in 0..2 {
        assert!(encoder.is_poisoned());
        assert_eq!(encoder.payload(&[0; 3]), error);
        assert_eq!(encoder.payload(&[]), error);
        assert_eq!(encoder.begin(Kind::TEXT, 0).map(|_| ()), error);
        assert_eq!(encoder.finish().map(|_| ()), error);
        assert_eq!(encoder.missing(), Some(3));
    }
}

/// The same error, whatever comes after it, in every format and on both ways to decode; and a reset
/// ends it.
// spec: ERR-4, ERR-5, ERR-7
#[test]
fn an_error_latches_until_a_reset() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(2);
        let frame = |len| stream(format, &[Part::Frame { meta: 1, len, fill: 3 }]);
        let (sound, oversize) = (frame(2), frame(3));
        let at = sound.len() as u64;
        let limit = framing.limit();
        let error = DecodeError::Oversize { at, len: 3, limit };

        let mut decoder = Decoder::with_framing(framing.clone());
        decoder.for_each(&sound, |_| {}).unwrap();
        assert_eq!(decoder.for_each(&oversize, |_| panic!("a piece")), Err(error));
        let position = decoder.position();
        let mut buf = FrameBuf::growing(framing.clone());
        buf.extend_all(&[&sound[..], &oversize].concat());
        assert!(buf.next_frame().unwrap().is_some());
        for _ in 0..3 {
            for mut rest in [&b""[..], b"?", &sound] {
                let before = rest;
                assert_eq!(decoder.decode(&mut rest).map(|_| ()), Err(error));
                assert_eq!((rest, decoder.position()), (before, position));
                assert_eq!((decoder.error(), decoder.finish()), (Some(error), Err(error)));
            }
            assert_eq!(buf.next_frame().map(|_| ()), Err(error));
            assert_eq!((buf.error(), buf.finish()), (Some(error), Err(error)));
            buf.extend_all(&sound);
        }

        decoder.reset();
        decoder.for_each(&sound, |_| {}).unwrap();
        assert_eq!(decoder.finish(), Ok(()));
        buf.reset();
        buf.extend_all(&sound);
        assert!(buf.next_frame().unwrap().is_some());
        assert_eq!(buf.finish(), Ok(()));
    }
    every_format!(formats::layouts(), check);
}
