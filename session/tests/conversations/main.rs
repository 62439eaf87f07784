//! Sessions, both connections and the sending of files.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

#[cfg(feature = "tokio")]
mod connection;
#[cfg(feature = "tokio")]
mod deadlocks;
#[cfg(feature = "tokio")]
mod ending;
mod interleavings;
#[cfg(feature = "std")]
mod io_connection;
mod registry;
#[cfg(feature = "tokio")]
mod send_file;
#[cfg(feature = "serde")]
mod serde;
mod texts;
#[cfg(feature = "tokio")]
mod threads;
