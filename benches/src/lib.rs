//! The benchmarks of `unstick`: the cases, the contenders, and how they are measured.
//!
//! `benches/run` runs all of it. See `benches/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod case;
pub mod decode;
pub mod encode;
pub mod feed;
pub mod framed;
pub mod hostile;
pub mod many;
pub mod marks;
pub mod plot;
pub mod results;
pub mod rounds;
pub mod scaling;
pub mod tcp;
mod tls;
pub mod udp;
