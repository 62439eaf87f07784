//! Promises 1, 2 and 3 in every framing: cuts are invisible, every call makes progress, errors latch.
//! The driver looks at the latter two.

use proptest::prelude::*;
use unstick_testing::chunks::single_bytes;
use unstick_testing::families::{self, Case, Path, Subjected, compare, every_case};
use unstick_testing::oracle::Policy;
use unstick_testing::oracle::families::Family;

use super::{Numbers, cuts, limit, place, seeds};

/// The bytes that mean something, and one that does not.
fn alphabet<W: Subjected, M: Family>(case: &Case<W, M>, len: usize) -> Vec<u8> {
    let mut all = case.special.to_vec();
    all.dedup();
    all.truncate(len - 1);
    all.push(b'x');
    all
}

/// Every way to cut this many bytes.
fn every_split(len: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1_u32 << len.saturating_sub(1))
        .map(move |bits| (1..len).filter(|cut| bits >> (cut - 1) & 1 == 1).collect())
}

fn through_every_split<W: Subjected, M: Family>(
    case: &Case<W, M>,
    limit: u64,
    stream: &[u8],
    path: Path,
    policy: Policy,
) {
    let want = families::expect(case, limit, stream, path, policy);
    for cuts in every_split(stream.len()) {
        let run = || families::run(case, limit, stream, &cuts, path, policy);
        let run = std::panic::AssertUnwindSafe(run);
        if std::panic::catch_unwind(run).ok().as_ref() != Some(&want) {
            compare(case, limit, stream, &cuts, path, policy);
        }
    }
}

#[test]
fn every_split_of_every_stream_of_four_bytes() {
    fn check<W: Subjected, M: Family>(case: &Case<W, M>) {
        let alphabet = alphabet(case, 4);
        for len in 0..=4 {
            for number in 0..alphabet.len().pow(len) {
                let byte = |i: u32| alphabet[number / alphabet.len().pow(i) % alphabet.len()];
                let stream: Vec<u8> = (0..len).map(byte).collect();
                let decode = (Path::Decode, Policy::SKIP);
                let decode_again = (Path::Decode, Policy::RESYNC);
                let (vec, boxed) = ((Path::Vec, Policy::RESYNC), (Path::Box, Policy::SKIP));
                for (path, policy) in [decode, decode_again, vec, boxed] {
                    through_every_split(case, 1, &stream, path, policy);
                }
            }
        }
    }
    every_case!(check);
}

/// Streams of the bytes that mean something, and frames with damage, cut in every way.
#[test]
fn every_split_of_some_streams_of_eleven_bytes() {
    fn check<W: Subjected, M: Family>(case: &Case<W, M>) {
        let alphabet = alphabet(case, 5);
        let mut numbers = Numbers(11);
        for round in 0..4 {
            let stream = if round < 2 {
                (0..11).map(|_| alphabet[numbers.below(alphabet.len())]).collect()
            } else {
                let mut stream = families::made(case, &numbers.bytes(60), 3, round == 3);
                stream.truncate(11);
                stream
            };
            let limit = [1, 3, 7][round % 3];
            let policy = [Policy::SKIP, Policy::RESYNC][round % 2];
            let path = [Path::Decode, Path::Vec][round / 2 % 2];
            through_every_split(case, limit, &stream, path, policy);
        }
    }
    every_case!(check);
}

fn through_all<W: Subjected, M: Family>(
    case: &Case<W, M>,
    seeds: &[u8],
    limit: u64,
    cuts: &[u16],
    damage: bool,
) {
    let stream = families::made(case, seeds, limit, damage);
    let policy = Policy::ALL[cuts.len() % 4];
    for cuts in [vec![], single_bytes(&stream), place(cuts, stream.len())] {
        for path in Path::ALL {
            compare(case, limit, &stream, &cuts, path, policy);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn valid_streams_come_out_whole(seeds in seeds(), limit in limit(), cuts in cuts()) {
        every_case!(through_all, &seeds, limit, &cuts, false);
    }

    #[test]
    fn damaged_streams_fail_the_same_way(seeds in seeds(), limit in limit(), cuts in cuts()) {
        every_case!(through_all, &seeds, limit, &cuts, true);
    }

    #[test]
    fn any_bytes_fail_the_same_way(seeds in seeds(), limit in limit(), cuts in cuts(), density: u8) {
        fn check<W: Subjected, M: Family>(
            case: &Case<W, M>, seeds: &[u8], limit: u64, cuts: &[u16], density: u8,
        ) {
            let pick = |byte: &u8| case.special[usize::from(*byte) % case.special.len()];
            let byte = |byte: &u8| if *byte % 8 < density % 9 { pick(byte) } else { *byte };
            let stream: Vec<u8> = seeds.iter().map(byte).collect();
            let policy = Policy::ALL[usize::from(density) % 4];
            for cuts in [vec![], single_bytes(&stream), place(cuts, stream.len())] {
                for path in Path::ALL {
                    compare(case, limit, &stream, &cuts, path, policy);
                }
            }
        }
        every_case!(check, &seeds, limit, &cuts, density);
    }
}
