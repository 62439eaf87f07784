//! Promise 5: every end is classified, in every state. An end inside a frame, or directly after its
//! header, is an error. Requirements: END-1 to END-4, FMT-3, STR-6.

use unstick::Framing;
use unstick_testing::chunks::{self, Path, Subject, compare_all, single_bytes};
use unstick_testing::formats::{self, Part, every_format, stream};
use unstick_testing::oracle::{Outcome, Policy};

/// The stream ends behind each of its bytes in turn.
// spec: END-1, END-2, END-3, END-4, FMT-3, STR-6
#[test]
fn every_truncation_point() {
    fn check<F: Subject>(format: &F) {
        let parts =
            [(1, 2), (2, 0), (3, 9), (4, 1)].map(|(meta, len)| Part::Frame { meta, len, fill: 1 });
        let whole = stream(format, &parts);
        for limit in [4, 1 << 20] {
            let framing = Framing::new(format.clone()).with_limit(limit);
            let mut clean = 0;
            for len in 0..=whole.len() {
                let stream = &whole[..len];
                compare_all(&framing, stream, &[]);
                compare_all(&framing, stream, &single_bytes(stream));
                let outcomes = chunks::run(&framing, stream, &[], Path::Decode, Policy::SKIP);
                clean += usize::from(outcomes.last() == Some(&Outcome::End));
            }
            assert_eq!(clean, parts.len() + 1, "only a frame's end is a clean end");
        }
    }
    every_format!(formats::layouts(), check);
}
