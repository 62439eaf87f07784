//! What the tests share. A test binary uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros)]

pub mod chunks;
pub mod formats;
pub mod oracle;
pub mod script;
