//! What the tests, the fuzz targets and the benchmarks of this workspace share: the oracle, the driver
//! that cuts streams, scripted transports, and the bodies of the fuzz targets.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod bodies;
pub mod chunks;
pub mod codec;
pub mod embedded;
mod embedded_async;
pub mod families;
pub mod formats;
mod futures_io;
pub mod oracle;
pub mod script;
