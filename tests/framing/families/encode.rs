//! Promises 4 and 6 in every framing: limits are symmetric, and what is encoded is what the oracle
//! writes and comes back.

use proptest::prelude::*;
use unstick::{DecodeError, Decoder, EncodeError};
use unstick_testing::families::{self, Case, Path, Subjected, every_case, run};
use unstick_testing::oracle::Policy;
use unstick_testing::oracle::families::{Family, Outcome};

use super::seeds;

/// What the crate writes, without idle bytes before it; all ways of writing say the same.
fn encoded<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    meta: &W::Meta,
    payload: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    let framing = case.framing(limit);
    let mut out = b"before".to_vec();
    let appended = framing.encode(meta.clone(), payload, &mut out);
    let frame = out.split_off(6);
    assert_eq!(out, b"before");
    assert!(appended.is_ok() || frame.is_empty(), "an error, and bytes");
    let mut room = vec![0xEE; frame.len() + 3];
    let into = framing.encode_into(meta.clone(), payload, &mut room);
    match appended {
        Ok(()) => {
            assert_eq!(into, Ok(frame.len()));
            assert_eq!(room, [&frame[..], &[0xEE; 3]].concat());
            for room in [0, frame.len() / 2, frame.len() - 1] {
                let mut out = vec![0xEE; room];
                let into = framing.encode_into(meta.clone(), payload, &mut out);
                assert_eq!(into, Err(EncodeError::NoRoom { needed: frame.len(), room }));
                assert!(out.iter().all(|byte| *byte == 0xEE), "something was written");
            }
            let mut exact = vec![0; frame.len()];
            assert_eq!(framing.encode_into(meta.clone(), payload, &mut exact), Ok(frame.len()));
            assert_eq!(exact, frame);
        }
        Err(error) => {
            assert_eq!(into, Err(error));
            assert!(room.iter().all(|byte| *byte == 0xEE), "something was written");
        }
    }
    let idle = frame.iter().take_while(|byte| Some(**byte) == case.idle).count();
    appended.map(|()| frame[idle..].to_vec())
}

fn check<W: Subjected, M: Family>(case: &Case<W, M>, limit: u64, seed: u64, payload: &[u8]) {
    let meta = (case.meta)(&case.wire, seed);
    let described = (case.describe)(&meta);
    let want = case.model.write(limit, &described, payload);
    let got = encoded(case, limit, &meta, payload);
    let told = format!("{}, limit {limit}, payload {}", case.name, payload.escape_ascii());
    assert_eq!(got, want, "{told}");
    let Ok(frame) = got else { return };
    for path in Path::ALL {
        let twice = [&frame[..], &frame].concat();
        let outcomes = run(case, limit, &twice, &[], path, Policy::STOP);
        let payloads: Vec<_> = outcomes
            .iter()
            .map_while(|outcome| match outcome {
                Outcome::Frame { content, .. } => Some((&content.meta[..], &content.payload[..])),
                _ => None,
            })
            .collect();
        assert_eq!(payloads, [(&described[..], payload); 2], "{told}, {path:?}");
        assert_eq!(outcomes[2..], [Outcome::End], "{told}, {path:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_encoded_comes_back(seeds in seeds(), len in 0..40_usize, limit in 0..45_u64, seed: u64) {
        fn each<W: Subjected, M: Family>(case: &Case<W, M>, seeds: &[u8], len: usize, limit: u64, seed: u64) {
            let len = len.min(case.model.most() as usize + 1);
            let payload = families::made_payload(seeds, len, &case.special);
            check(case, limit, seed, &payload);
        }
        every_case!(each, &seeds, len, limit, seed);
    }
}

/// Every payload of few bytes that mean something.
#[test]
fn every_short_payload_is_encoded_or_refused() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let letters: Vec<u8> = case.special.iter().take(3).copied().chain([b'x']).collect();
        for len in 0..=4 {
            for number in 0..letters.len().pow(len) {
                let byte = |i: u32| letters[number / letters.len().pow(i) % letters.len()];
                check(case, 4, 7, &(0..len).map(byte).collect::<Vec<_>>());
            }
        }
    }
    every_case!(each);
}

/// Lengths around those at which an encoding changes.
#[test]
fn long_payloads_come_back() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        for len in [127, 253, 254, 255, 256, 509] {
            if len > case.model.most() {
                continue;
            }
            for fill in [b'x', 0, case.special[0]] {
                let mut payload = vec![fill; len as usize];
                check(case, len, 1, &payload);
                *payload.last_mut().unwrap() = b'y';
                check(case, len, 2, &payload);
                payload[0] = b'z';
                check(case, len, 3, &payload);
            }
        }
    }
    every_case!(each);
}

/// A payload of as many bytes as the limit passes on both sides, and none longer does on either.
#[test]
fn both_sides_have_the_same_limit() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let meta = (case.meta)(&case.wire, 3);
        let described = (case.describe)(&meta);
        for limit in 0..=case.model.most().min(20) {
            for len in [limit, limit + 1] {
                let payload = vec![b'x'; len as usize];
                let Ok(frame) = case.model.write(u64::MAX, &described, &payload) else { continue };
                let sent = encoded(case, limit, &meta, &payload);
                for path in Path::ALL {
                    let outcome = run(case, limit, &frame, &[], path, Policy::STOP);
                    let over = |error: &DecodeError| {
                        matches!(error,
                        DecodeError::TooLong { limit: told, .. } | DecodeError::Oversize { limit: told, .. }
                            if *told == limit)
                    };
                    if len <= limit {
                        assert_eq!(sent.as_ref(), Ok(&frame), "{}", case.name);
                        assert!(matches!(outcome[..], [Outcome::Frame { .. }, Outcome::End]));
                    } else {
                        assert_eq!(
                            sent,
                            Err(EncodeError::Oversize { len, limit }),
                            "{}",
                            case.name
                        );
                        assert!(
                            matches!(&outcome[..], [.., Outcome::Error { error, .. }] if over(error)),
                            "{} {outcome:?}",
                            case.name
                        );
                    }
                }
            }
        }
    }
    every_case!(each);
}

#[test]
fn the_greatest_limit_leaves_room_for_the_check() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let decoder = Decoder::with_framing(case.framing(u64::MAX));
        assert_eq!(decoder.limit(), case.model.most(), "{}", case.name);
    }
    every_case!(each);
}

/// The smallest storage that is accepted holds every frame within the limit.
#[test]
fn an_accepted_storage_holds_the_longest_frame() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let described = (case.describe)(&(case.meta)(&case.wire, 3));
        for limit in [0, 1, 2, 3, 7, 31, 253, 254, 255, 256, 600] {
            if limit > case.model.most() {
                continue;
            }
            let needed = families::smallest_storage(case, limit);
            for fill in case.special.iter().copied().chain([b'x', 0xFF]) {
                let payload = vec![fill; limit as usize];
                let Ok(frame) = case.model.write(limit, &described, &payload) else { continue };
                assert!(frame.len() <= needed, "{}, limit {limit}", case.name);
                let stream = frame.repeat(3);
                families::compare(case, limit, &stream, &[], Path::Box, Policy::STOP);
            }
        }
    }
    every_case!(each);
}
