//! The specification and the texts: each requirement has a test, every vector is met, and errors,
//! serialized values and Annex B are compared word by word.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

#[cfg(feature = "std")]
mod io_errors;
mod requirements;
#[cfg(feature = "serde")]
mod serde;
mod texts;
mod vectors;
mod version_2;
