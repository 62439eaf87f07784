//! What the fuzz targets do with their bytes: one function for each, which reads a case from them
//! and fails if the crate does not do what an oracle says. `fuzz/fuzz_targets/` and
//! `tests/framing/regressions.rs` call them.

mod adapter;
mod datagram;
pub mod differential;
mod differential_marks;
mod families;
mod frame_buf;
mod frame_buf_case;
mod input;
mod message;
mod oracle;
mod resync;
mod roundtrip;
mod session;
mod split;

pub use adapter::adapter;
pub use datagram::datagram;
pub use differential::differential;
pub use frame_buf::{frame_buf, frame_buf_of};
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
    ("adapter", adapter),
];
