//! Streams, along every path and with every policy, against the reference.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use super::drive::{Driver, Search};
use super::{Outcome, Path, Policy, Promise, Violation, reference};
use crate::error::DecodeError;
use crate::format::Format;
use crate::framing::Framing;

/// The promises that hold of streams.
pub(super) const PROMISES: &[Promise] = &[
    Promise::LimitSymmetry,
    Promise::ChunkingIsInvisible,
    Promise::Progress,
    Promise::ErrorsLatch,
    Promise::EveryEndIsClassified,
    Promise::MemoryFollowsArrivals,
    Promise::ResyncIsExact,
];

/// What every path makes of a stream, each way that it is cut, is what the reference makes of it.
/// Gives all that is not so to `each`, until that wants no more.
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
        for path in Path::ALL {
            if !path.allows(policy) || !path.suits(framing.format()) {
                continue;
            }
            let limit = path.limit(&framing);
            let want = reference::outcomes(framing.format(), limit, stream, policy);
            // A policy says what follows an error: without one all are the same.
            let fails = want.iter().any(|outcome| {
                use DecodeError::{Header, Oversize};
                matches!(outcome, Outcome::Error { error: Header { .. } | Oversize { .. }, .. })
            });
            if policy != Policy::STOP && !fails {
                continue;
            }
            let want = path.visible(want);
            for cuts in cuts {
                let got = match driver.run(stream, cuts, path, policy) {
                    Ok(got) => got,
                    Err(violation) => {
                        each(violation)?;
                        continue;
                    }
                };
                if let Some((promise, found)) = difference(&got, &want) {
                    let violation = Violation::new(promise, stream, found);
                    each(violation.in_stream(stream, limit, cuts, path, policy))?;
                }
            }
        }
    }
    Ok(())
}

/// The first outcome that is another one than the reference has, and the promise that it breaks.
fn difference<M: Debug + PartialEq>(
    got: &[Outcome<M>],
    want: &[Outcome<M>],
) -> Option<(Promise, String)> {
    let most = got.len().max(want.len());
    let at = (0..most).find(|at| got.get(*at) != want.get(*at))?;
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
    let (got, want) = (shown(got), shown(want));
    Some((
        promise,
        alloc::format!("{got} as outcome {at}; byte by byte, `decode_header` makes it {want}"),
    ))
}

fn shown<M: Debug>(outcome: Option<&Outcome<M>>) -> String {
    const MOST: usize = 300;
    let Some(outcome) = outcome else { return "nothing".into() };
    let mut text = alloc::format!("{outcome:?}");
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}
