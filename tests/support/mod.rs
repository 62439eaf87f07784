//! What the tests share. A test binary uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

pub mod chunks;
#[cfg(feature = "tokio-util")]
pub mod codec;
pub mod formats;
pub mod oracle;
pub mod script;
