//! The framing core: a file for each promise of `docs/promises.md`, named after it, and what is tested next to
//! them. Promise 7 is in `tests/allocation`, which counts allocations.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

mod promise_01_cuts_are_invisible;
mod promise_02_progress;
mod promise_03_errors_latch;
mod promise_04_limits_are_symmetric;
mod promise_05_every_end_is_classified;
mod promise_06_one_encoding;
mod promise_08_no_panic;
mod promise_09_datagrams;
mod promise_10_resync_is_exact;

mod changing_limits;
mod codecs_of_others;
mod custom_headers;
mod families;
mod frame_buf;
mod headers;
mod limits_by_kind;
mod values;
mod version_2;

#[cfg(feature = "tokio")]
mod like_length_delimited;
mod like_netty;
mod pitfalls;
mod regressions;

mod support;
