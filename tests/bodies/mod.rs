//! What the fuzz targets do with their bytes: one function for each, which reads a case from them
//! and fails if the crate does not do what an oracle says. `fuzz/fuzz_targets/` and
//! `tests/regressions.rs` call them; both have `tests/support` beside this folder as `support`.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

#[cfg(feature = "tokio")]
mod adapter;
mod datagram;
mod differential;
mod frame_buf;
mod input;
mod message;
mod oracle;
mod resync;
mod roundtrip;
mod session;
mod split;

#[cfg(feature = "tokio")]
pub use adapter::adapter;
pub use datagram::datagram;
pub use differential::differential;
pub use frame_buf::frame_buf;
pub use message::message;
pub use oracle::oracle;
pub use resync::resync;
pub use roundtrip::roundtrip;
pub use session::session;
pub use split::split;

pub type Body = fn(&[u8]);

/// Every body, by the name of its target.
pub const ALL: &[(&str, Body)] = &[
    ("split", split),
    ("oracle", oracle),
    ("roundtrip", roundtrip),
    ("differential", differential),
    ("datagram", datagram),
    ("resync", resync),
    ("frame_buf", frame_buf),
    ("message", message),
    ("session", session),
    #[cfg(feature = "tokio")]
    ("adapter", adapter),
];
