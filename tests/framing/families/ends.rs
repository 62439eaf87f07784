//! Promise 5 in every framing: every end of a stream is classified.

use unstick::{Decoder, FrameBuf};
use unstick_testing::families::{self, Case, Subjected, compare_all, every_case};
use unstick_testing::oracle::Policy;
use unstick_testing::oracle::families::{Family, Outcome, outcomes};

use super::Numbers;

/// A stream that ends after each of its bytes.
#[test]
fn the_end_is_told_after_every_byte() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let mut numbers = Numbers(5);
        for round in 0..3 {
            let mut stream = families::made(case, &numbers.bytes(80), 9, round > 1);
            stream.truncate(40);
            for end in 0..=stream.len() {
                compare_all(case, 9, &stream[..end], &[end / 2]);
            }
        }
    }
    every_case!(each);
}

/// `finish` changes nothing, and says at every place what the end there would mean.
#[test]
fn finish_is_right_after_every_byte_and_changes_nothing() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let mut numbers = Numbers(6);
        for _ in 0..6 {
            let mut stream = families::made(case, &numbers.bytes(80), 9, false);
            stream.truncate(60);
            let mut decoder = Decoder::with_framing(case.framing(9));
            let mut buf = FrameBuf::growing(case.framing(9));
            for end in 0..=stream.len() {
                let want = match outcomes(&case.model, 9, &stream[..end], Policy::STOP).pop() {
                    Some(Outcome::Error { error, .. }) => Err(error),
                    _ => Ok(()),
                };
                let found = (decoder.finish(), buf.finish());
                assert_eq!(
                    found,
                    (want, want),
                    "{}, {end} of {}",
                    case.name,
                    stream.escape_ascii()
                );
                if want.is_err() && !matches!(want, Err(unstick::DecodeError::Truncated { .. })) {
                    break;
                }
                let Some(mut byte) = stream.get(end..=end) else { break };
                buf.extend(byte);
                while decoder.decode(&mut byte).is_ok_and(|piece| piece.is_some()) {}
                while buf.next_frame().is_ok_and(|frame| frame.is_some()) {}
            }
        }
    }
    every_case!(each);
}

/// Bytes after a reset are another stream.
#[test]
fn a_reset_begins_another_stream() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let mut numbers = Numbers(7);
        let stream = families::made(case, &numbers.bytes(60), 9, false);
        let count = |decoder: &mut Decoder<W>| {
            let (mut frames, mut input) = (Vec::new(), &stream[..]);
            while let Ok(Some(piece)) = decoder.decode(&mut input) {
                frames.push((piece.bytes.to_vec(), piece.last));
            }
            (frames, decoder.position(), decoder.error())
        };
        let want = count(&mut Decoder::with_framing(case.framing(9)));
        for _ in 0..20 {
            let mut decoder = Decoder::with_framing(case.framing(9));
            let damage = families::made(case, &numbers.bytes(60), 9, true);
            let mut input = &damage[..];
            while decoder.decode(&mut input).is_ok_and(|piece| piece.is_some()) {}
            decoder.reset();
            assert_eq!(decoder.finish(), Ok(()));
            assert_eq!(count(&mut decoder), want, "{}", case.name);
        }
        let mut buf = FrameBuf::growing(case.framing(9));
        buf.extend(b"xx");
        let _ = buf.next_frame();
        buf.reset();
        assert_eq!((buf.position(), buf.unread().len(), buf.finish()), (0, 0, Ok(())));
    }
    every_case!(each);
}
