//! The bodies of the fuzz targets, which `cargo test` runs too.

pub use unstick_testing::bodies;
