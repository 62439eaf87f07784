//! Conversations of two sides that keep the rules, in any interleaving and cut anywhere; and of one
//! side with a peer that keeps none. `session.rs` and `message.rs` of `testing/src/bodies/` say what
//! has to hold.

use proptest::prelude::*;
use unstick_testing::bodies;

fn run(body: &str, data: &[u8]) {
    let (_, body) = bodies::ALL.iter().find(|(name, _)| *name == body).unwrap();
    body(data);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_arrive_whole_and_once(steps in prop::collection::vec(any::<u8>(), 0..3000)) {
        // spec: FIL-4, FIL-5, FIL-17, FIL-18, FIL-21
        run("session", &[&[1], &steps[..]].concat());
    }

    #[test]
    fn a_peer_without_rules_gets_one_answer_for_each_open(steps in prop::collection::vec(any::<u8>(), 0..2000)) {
        // spec: SEC-3, FIL-5
        run("session", &[&[0], &steps[..]].concat());
    }

    #[test]
    fn payloads_are_judged_as_the_specification_says(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        // spec: MSG-1, MSG-2, MSG-5, MSG-12
        run("message", &bytes);
    }
}
