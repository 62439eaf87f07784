//! Skips and searches in every framing, beyond those that the random streams of `cuts` meet.

use unstick::{ByteOrder, Covers, Decoder, FrameBuf, Layout, LengthField, RecoverError};
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
