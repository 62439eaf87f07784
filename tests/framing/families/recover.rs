//! Skips and searches in every framing, beyond those that the random streams of `cuts` meet.

use unstick::{ByteOrder, Covers, Decoder, FrameBuf, Layout, LengthField, RecoverError, Search};
use unstick_testing::families::{
    self, Case, Path, Subjected, compare, every_case, every_check, every_mark,
};
use unstick_testing::oracle::Policy;
use unstick_testing::oracle::families::{Family, Front, Outcome, Rest, outcomes};

use super::Numbers;

/// A frame that has begun is dropped up to its end, wherever the caller decides it, and what follows
/// comes out as if it had not been there.
#[test]
fn a_begun_frame_is_skipped_to_its_end() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let mut numbers = Numbers(21);
        let mut skipped = 0;
        for _ in 0..40 {
            let stream = families::made(case, &numbers.bytes(90), 99, false);
            let Front::Frame { at, end, content } = case.model.front(99, &stream) else { continue };
            if content.payload.is_empty() {
                continue;
            }
            let Rest::To(next) = case.model.skip_begun(99, &stream) else { panic!() };
            assert_eq!(next, end);
            for cut in at + 1..end {
                let mut decoder = Decoder::with_framing(case.framing(99));
                let mut input = &stream[..cut];
                let mut open = false;
                while let Some(piece) = decoder.decode(&mut input).unwrap() {
                    open = !piece.last;
                }
                if !open {
                    continue;
                }
                assert_eq!(decoder.skip_frame(), Ok(()), "{}", case.name);
                skipped += 1;
                let frames = after_skip(&mut decoder, &stream[cut..]);
                let want = outcomes(&case.model, 99, &stream[end..], Policy::STOP);
                let want: Vec<_> = want
                    .into_iter()
                    .filter_map(|outcome| match outcome {
                        Outcome::Frame { content, .. } => Some(content.payload),
                        _ => None,
                    })
                    .collect();
                assert!(
                    want.starts_with(&frames) && frames.len() + 1 >= want.len(),
                    "{} {cut} {} {frames:?} {want:?}",
                    case.name,
                    stream.escape_ascii()
                );
            }
        }
        assert!(skipped > 20, "{}: {skipped}", case.name);
    }
    every_case!(each);
}

fn after_skip<W: Subjected>(decoder: &mut Decoder<W>, rest: &[u8]) -> Vec<Vec<u8>> {
    let (mut frames, mut open) = (Vec::new(), Vec::new());
    for byte in rest {
        let mut input = std::slice::from_ref(byte);
        while let Ok(Some(piece)) = decoder.decode(&mut input) {
            open.extend_from_slice(piece.bytes);
            if piece.last {
                frames.push(std::mem::take(&mut open));
            }
        }
    }
    frames
}

/// Where no frame has begun there is nothing to skip, and without an error no search.
#[test]
fn between_frames_there_is_nothing_to_recover_from() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let mut decoder = Decoder::with_framing(case.framing(9));
        let mut buf = FrameBuf::growing(case.framing(9));
        assert_eq!(decoder.skip_frame(), Err(RecoverError::NotFailed));
        assert_eq!(buf.skip_frame(), Err(RecoverError::NotFailed));
        if let Some(resync) = case.resync {
            assert_eq!(resync(&mut decoder, &mut &b"abc"[..]), Err(RecoverError::NotFailed));
        }
        if let Some(resync) = case.resync_vec {
            assert_eq!(resync(&mut buf), Err(RecoverError::NotFailed));
        }
    }
    every_case!(each);
}

/// However long the frame that is dropped, the storage need hold no more than a frame.
#[test]
fn endless_frames_are_skipped_in_constant_memory() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let good = case.model.write(9, &[], b"good").or_else(|_| case.model.write(9, &[], b"godd"));
        let Ok(good) = good else { panic!("{}", case.name) };
        let end = if case.special[0] == b'\r' { b"\n" } else { &case.special[..1] };
        let end = if case.name.starts_with("a delimiter") { &case.special } else { end };
        let stream = [&b"y".repeat(5000), end, &good].concat();
        for policy in [Policy::SKIP, Policy::RESYNC] {
            for path in Path::ALL {
                compare(case, 9, &stream, &[100, 2000, 4999, 5001], path, policy);
            }
        }
    }
    every_mark!(each);
}

/// After any failed frame that ended, the search is over at once: nothing is lost.
#[test]
fn a_search_after_a_bad_check_loses_no_frame() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let meta = (case.describe)(&(case.meta)(&case.wire, 1));
        let payload = b"payload"[..7.min(case.model.most() as usize)].to_vec();
        let frame = case.model.write(9, &meta, &payload).unwrap();
        let mut stream = frame.repeat(3);
        stream[frame.len() - 1] ^= 0x55;
        for cuts in [vec![], vec![frame.len()], (1..stream.len()).collect()] {
            for path in Path::ALL {
                for policy in Policy::ALL {
                    compare(case, 9, &stream, &cuts, path, policy);
                }
            }
        }
        let skipped = outcomes(&case.model, 9, &stream, Policy::SKIP);
        let frames = skipped.iter().filter(|outcome| matches!(outcome, Outcome::Frame { .. }));
        assert_eq!(frames.count(), 2);
    }
    every_check!(each);
}

/// A frame that is to be found begins inside the failed one, also where all stands in another chunk.
#[test]
fn a_frame_inside_a_failed_one_is_found() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let meta = (case.describe)(&(case.meta)(&case.wire, 1));
        let payload = b"payload"[..7.min(case.model.most() as usize)].to_vec();
        let frame = case.model.write(9, &meta, &payload).unwrap();
        for lost in 1..frame.len() {
            let stream = [&frame[lost..], &frame, &frame, &[0; 64]].concat();
            for path in [Path::Vec, Path::LateVec, Path::Box] {
                for cuts in [vec![], (1..stream.len()).collect()] {
                    compare(case, 9, &stream, &cuts, path, Policy::RESYNC);
                    compare(case, 9, &stream, &cuts, path, Policy::BOTH);
                }
            }
        }
    }
    every_check!(each);
}

/// A line that is silent after damage: whoever rejects all that is waited for gets every whole frame
/// that can be read from left to right, and every byte is part of one or skipped.
#[test]
fn rejected_frames_give_all_their_bytes_back() {
    fn each<W: Subjected + Search, M: Family>(case: &Case<W, M>) {
        let mut numbers = Numbers(31);
        let mut rejected = 0;
        for _ in 0..60 {
            let mut stream = Vec::new();
            for _ in 0..6 {
                let meta = (case.describe)(&(case.meta)(&case.wire, numbers.next()));
                let len = numbers.below(20).min(case.model.most() as usize);
                let mut frame = case.model.write(99, &meta, &numbers.bytes(len)).unwrap();
                if numbers.below(2) == 0 {
                    frame.truncate(1 + numbers.below(frame.len()));
                }
                stream.extend(frame);
            }
            let (mut want, mut place) = (Vec::new(), 0);
            while place < stream.len() {
                match case.model.front(99, &stream[place..]) {
                    Front::Frame { end, content, .. } => {
                        want.push(content.payload);
                        place += end;
                    }
                    _ => place += 1,
                }
            }

            let mut buf = FrameBuf::growing(case.framing(99));
            let (mut frames, mut bytes) = (Vec::new(), 0);
            for chunk in stream.chunks(1 + numbers.below(50)) {
                buf.extend_all(chunk);
                take(&mut buf, &mut frames, &mut bytes);
            }
            while buf.reject_frame().is_ok() {
                rejected += 1;
                take(&mut buf, &mut frames, &mut bytes);
            }
            assert_eq!(frames, want, "{}: {stream:02x?}", case.name);
            if let Some(unstick::DecodeError::Unsynchronized { skipped, .. }) = buf.error() {
                bytes += skipped;
            }
            assert_eq!(bytes, stream.len() as u64, "{}: {stream:02x?}", case.name);
        }
        assert!(rejected > 20, "{}: {rejected}", case.name);
    }
    each(&families::checked_u8());
    each(&families::checked_u16());
    each(&families::checked_varint());
    each(&families::checked_v1());
    each(&families::version_2());
}

/// Takes what there is, and searches after errors.
fn take<W: Subjected + Search>(
    buf: &mut FrameBuf<Vec<u8>, W>,
    frames: &mut Vec<Vec<u8>>,
    bytes: &mut u64,
) {
    loop {
        if buf.error().is_some() {
            let Some(skipped) = buf.resync().unwrap() else { return };
            *bytes += skipped;
        }
        let start = buf.position();
        match buf.next_frame() {
            Ok(Some(frame)) => frames.push(frame.payload.to_vec()),
            Ok(None) => return,
            Err(_) => continue,
        }
        *bytes += buf.position() - start;
    }
}

/// Where frames end with a mark, the search goes on after the next one.
#[test]
fn a_rejected_frame_without_its_mark_ends_at_the_next_one() {
    let mut buf = FrameBuf::growing(unstick::Lines::new());
    assert_eq!(buf.reject_frame(), Err(RecoverError::NotFailed));
    for cut in 1..7 {
        let (first, rest) = b"damaged\nnext\n".split_at(cut);
        buf.reset();
        buf.extend_all(first);
        assert_eq!(buf.next_frame(), Ok(None));
        assert_eq!(buf.reject_frame(), Ok(()));
        assert_eq!(buf.reject_frame(), Ok(()), "it is rejected already");
        assert_eq!(buf.resync(), Ok(None));
        buf.extend_all(rest);
        assert_eq!(buf.resync(), Ok(Some(8)));
        assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"next");
        assert_eq!(buf.reject_frame(), Err(RecoverError::NotFailed));
    }
}

/// The bytes of a payload that was taken in runs are gone, those after them are searched.
#[test]
fn a_payload_taken_in_runs_is_rejected_from_where_it_was_taken_to() {
    let mut buf = FrameBuf::growing(unstick::V1);
    let (framing, kind) = (unstick::Framing::new(unstick::V1), unstick::Kind::new(1).unwrap());
    let mut stream = Vec::new();
    framing.encode(kind, [b'x'; 50], &mut stream).unwrap();
    stream.truncate(18);
    framing.encode(kind, b"found", &mut stream).unwrap();
    buf.extend_all(&stream[..14]);
    assert_eq!(buf.find_payload().unwrap().unwrap().len, 6);
    buf.extend_all(&stream[14..]);
    assert_eq!(buf.reject_frame(), Ok(()));
    assert_eq!(buf.resync(), Ok(Some(18)));
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"found");
}

/// A header may announce more than a counter of bytes can count with the check.
#[test]
fn the_greatest_length_is_skipped_with_its_check() {
    let (order, covers) = (ByteOrder::Big, Covers::Payload);
    let layout = Layout { header_len: 8, offset: 0, width: 8, order, covers };
    let case = families::checked_layout(LengthField::new(layout).unwrap());
    for len in [u64::MAX, u64::MAX - 1, u64::MAX - 2, u64::MAX - 3] {
        let stream = [&len.to_be_bytes()[..], b"payload"].concat();
        for path in Path::ALL {
            compare(&case, 9, &stream, &[3, 9], path, Policy::SKIP);
        }
    }
}
