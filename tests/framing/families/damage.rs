//! Lines that lose, change and add bytes.

use unstick_testing::families::{self, Case, Path, Subjected, compare, every_case, run};
use unstick_testing::oracle::Policy;
use unstick_testing::oracle::families::{Family, Outcome};

use super::Numbers;

/// Every single bit of three frames, changed.
#[test]
fn single_bit_errors_are_what_the_oracle_says() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let meta = (case.describe)(&(case.meta)(&case.wire, 1));
        let frame = |payload: &[u8]| {
            let len = payload.len().min(case.model.most() as usize);
            case.model.write(9, &meta, &payload[..len]).unwrap()
        };
        let stream = [frame(b"pqrst"), frame(b"uvw"), frame(b"xyz")].concat();
        for bit in 0..stream.len() * 8 {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            for path in Path::ALL {
                compare(case, 9, &damaged, &[bit / 16], path, Policy::ALL[bit % 4]);
            }
        }
    }
    every_case!(each);
}

/// With a CRC, no single bit changes what is delivered: a frame comes as it was sent, or not at all.
#[test]
fn no_single_bit_error_is_delivered() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>) {
        let meta = (case.describe)(&(case.meta)(&case.wire, 1));
        let payloads: [&[u8]; 3] = [b"first", b"2nd", b"~}\0\xC0"];
        let frames = payloads.map(|payload| case.model.write(99, &meta, payload).unwrap());
        let stream = frames.concat();
        for bit in 0..stream.len() * 8 {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            for policy in [Policy::SKIP, Policy::RESYNC] {
                for outcome in run(case, 99, &damaged, &[], Path::Vec, policy) {
                    if let Outcome::Frame { content, .. } = outcome {
                        assert!(
                            payloads.contains(&&content.payload[..]),
                            "{} bit {bit}",
                            case.name
                        );
                    }
                }
            }
        }
    }
    each(&families::checked_u16());
    each(&families::checked_v1());
    each(&families::version_2());
    each(&families::checked_cobs());
    each(&families::hdlc());
}

/// A line on which about every third frame is damaged, with garbage between the frames. Every frame
/// that arrived whole is delivered, no other is, and every byte is part of a frame or skipped.
#[test]
fn a_lossy_line_delivers_exactly_the_whole_frames() {
    fn each<W: Subjected, M: Family>(case: &Case<W, M>, seeds: u64) {
        for seed in 0..seeds {
            lossy(case, seed);
        }
    }
    each(&families::checked_u16(), 25);
    each(&families::checked_v1(), 25);
    each(&families::version_2(), 25);
    each(&families::checked_varint(), 25);
    each(&families::checked_cobs(), 25);
    each(&families::hdlc(), 25);
}

fn lossy<W: Subjected, M: Family>(case: &Case<W, M>, seed: u64) {
    const LIMIT: u64 = 40;
    let mut numbers = Numbers(seed);
    let (mut stream, mut sent, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..30_u8 {
        let meta = (case.describe)(&(case.meta)(&case.wire, numbers.next()));
        let len = numbers.below(30);
        let mut payload = vec![number, 0xA0 + number];
        payload.extend(numbers.bytes(len));
        let mut frame = case.model.write(LIMIT, &meta, &payload).unwrap();
        // A mark before it, so that only damage of its own touches it.
        stream.extend(case.idle);
        if numbers.below(3) == 0 {
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(frame.len());
                match numbers.below(4) {
                    0 => frame[at] ^= 1 << numbers.below(8),
                    1 if frame.len() > 1 => drop(frame.remove(at)),
                    2 => frame.insert(at, frame[at]),
                    _ => frame.insert(at, numbers.next() as u8),
                }
            }
            let garbage = numbers.below(20);
            frame.extend(numbers.bytes(garbage));
        } else {
            whole.push(payload.clone());
        }
        sent.push(payload);
        stream.extend(frame);
    }
    // Everything that looks like the beginning of a frame can show that it is none.
    stream.extend(vec![case.idle.unwrap_or(0xFF); 200]);

    let size = 1 + numbers.below(50);
    let cuts: Vec<usize> = (1..).map(|i| i * size).take_while(|cut| *cut < stream.len()).collect();
    for path in [Path::Vec, Path::Box, Path::LateVec] {
        let told = format!("{}, seed {seed}, {path:?}", case.name);
        let outcomes = run(case, LIMIT, &stream, &cuts, path, Policy::RESYNC);
        assert_eq!(
            outcomes,
            families::expect(case, LIMIT, &stream, path, Policy::RESYNC),
            "{told}"
        );
        let (mut delivered, mut bytes) = (Vec::new(), 0);
        for outcome in outcomes {
            match outcome {
                Outcome::Frame { content, .. } => {
                    let frame = case.model.write(LIMIT, &content.meta, &content.payload);
                    bytes += frame.unwrap().len() as u64;
                    delivered.push(content.payload);
                }
                Outcome::Found { skipped } => bytes += skipped,
                Outcome::Error {
                    error: unstick::DecodeError::Unsynchronized { skipped, .. },
                    ..
                } => {
                    bytes += skipped;
                }
                _ => {}
            }
        }
        assert!(delivered.iter().all(|payload| sent.contains(payload)), "{told}");
        let mut left = delivered.iter();
        for payload in &whole {
            assert!(left.any(|found| found == payload), "{told}: {payload:02x?} is missing");
        }
        if case.idle.is_none() {
            assert_eq!(bytes, stream.len() as u64, "{told}");
        }
    }
}
