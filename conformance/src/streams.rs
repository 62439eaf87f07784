//! Compares streams with the reference, along every path and with every policy.

use std::fmt::Debug;

use unstick::{DecodeError, Format, Framing};

use super::drive::{Driver, Search};
use super::{Outcome, Path, Policy, Promise, Violation, reference};

/// The promises about streams.
pub(super) const PROMISES: &[Promise] = &[
    Promise::LimitSymmetry,
    Promise::ChunkingIsInvisible,
    Promise::Progress,
    Promise::ErrorsLatch,
    Promise::EveryEndIsClassified,
    Promise::MemoryFollowsArrivals,
    Promise::ResyncIsExact,
];

/// Checks that the outcomes on every path, with each of the cuts, are those of the reference. Calls
/// `each` with every violation, until it returns an error.
pub(super) fn check<F: Format>(
    framing: Framing<&F>,
    search: Option<Search<F>>,
    stream: &[u8],
    cuts: &[Vec<usize>],
    mut each: impl FnMut(Violation) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let driver = Driver::with_search(framing, search);
    for policy in Policy::ALL {
        if policy.resync && search.is_none() {
            continue;
        }
        // Most paths have the same limit, so the last result is reused.
        let mut last = None;
        for path in Path::ALL {
            if !path.allows(policy) || !path.suits(framing.format()) {
                continue;
            }
            let limit = path.limit(&framing);
            let (_, want) = match last.take() {
                Some((of, want)) if of == limit => last.insert((of, want)),
                _ => {
                    let want = reference::outcomes(framing.format(), limit, stream, policy);
                    last.insert((limit, want))
                }
            };
            // A policy only applies after an error: without one, the outcomes are those of `STOP`.
            let occurs = want.iter().any(|outcome| match outcome {
                Outcome::Error { error: DecodeError::Oversize { .. }, .. } => true,
                Outcome::Error { error: DecodeError::Header { .. }, .. } => !policy.skip,
                _ => false,
            });
            if policy != Policy::STOP && !occurs {
                continue;
            }
            let want = path.visible(want.clone());
            for cuts in cuts {
                let got = match driver.run(stream, cuts, path, policy) {
                    Ok(got) => got,
                    Err(violation) => {
                        each(violation)?;
                        continue;
                    }
                };
                if let Some((promise, found)) = difference(&got, &want, "`decode_header`") {
                    let violation = Violation::new(promise, stream, found);
                    each(violation.in_stream(stream, limit, cuts, path, policy))?;
                }
            }
        }
    }
    Ok(())
}

/// Returns the first difference from the reference, which calls `by` byte by byte, and the promise that
/// it breaks.
pub(super) fn difference<M: Debug + PartialEq>(
    got: &[Outcome<M>],
    want: &[Outcome<M>],
    by: &str,
) -> Option<(Promise, String)> {
    let most = got.len().max(want.len());
    let at = (0..most).find(|at| got.get(*at) != want.get(*at))?;
    let before = want.get(..at).unwrap_or_default();
    let (got, want) = (got.get(at), want.get(at));
    let either = |is: fn(&Outcome<M>) -> bool| got.is_some_and(is) || want.is_some_and(is);
    let searched = either(|outcome| {
        use DecodeError::Unsynchronized;
        matches!(
            outcome,
            Outcome::Found { .. } | Outcome::Error { error: Unsynchronized { .. }, .. }
        )
    });
    let ended = either(|outcome| {
        use DecodeError::Truncated;
        matches!(outcome, Outcome::End | Outcome::Error { error: Truncated { .. }, .. })
    });
    let promise = match (searched, ended) {
        (true, _) => Promise::ResyncIsExact,
        (_, true) => Promise::EveryEndIsClassified,
        _ => Promise::ChunkingIsInvisible,
    };
    let frames = before.iter().filter(|outcome| matches!(outcome, Outcome::Frame { .. })).count();
    let place = match frames {
        0 => "first".into(),
        1 => "after one frame".into(),
        _ => format!("after {frames} frames"),
    };
    let (got, want) = (shown(got), shown(want));
    let found = format!("{place} came {got}; {by}, byte by byte, makes it {want}");
    Some((promise, found))
}

fn shown<M: Debug>(outcome: Option<&Outcome<M>>) -> String {
    outcome.map_or_else(|| "nothing".into(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_difference_names_its_place_and_both_outcomes() {
        let frame = |at| Outcome::Frame { at, meta: 200, header: vec![0xA7], payload: vec![16] };
        let error = DecodeError::Oversize { at: 4, len: 589_824, limit: 90_000 };
        let want = [frame(0), frame(2), Outcome::Error { error, position: 5 }];
        assert_eq!(difference(&want, &want, "`decode_header`"), None);

        let ends = [frame(0), Outcome::End];
        let (promise, found) = difference(&ends, &want, "`decode_header`").unwrap_or_else(|| {
            unreachable!("they differ");
        });
        assert_eq!(promise, Promise::EveryEndIsClassified);
        let text = "after one frame came the end, after a frame; `decode_header`, byte by byte, \
                    makes it a frame at byte 2: meta 200, header [a7], payload [10]";
        assert_eq!(found, text);

        let differ = difference(&[frame(0), frame(2)], &want, "`decode_header`");
        let Some((Promise::ChunkingIsInvisible, found)) = differ else {
            unreachable!("{differ:?}");
        };
        assert!(found.starts_with("after 2 frames came nothing; "), "{found}");
        assert!(found.contains("an error after 5 bytes (byte 4: "), "{found}");
        assert!(found.contains("589824 bytes and the limit is 90000"), "{found}");
    }
}
