//! The bodies of the fuzz targets, which `cargo test` runs too: see `tests/bodies`.

#[path = "../../tests/bodies/mod.rs"]
pub mod bodies;
#[path = "../../tests/support/mod.rs"]
pub mod support;
