//! What is allocated, and how much work is done, counted. Its allocator counts, so it is a binary of
//! its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

mod promise_07_memory_follows_arrivals;
#[cfg(feature = "std")]
mod send_queue;
mod work;
