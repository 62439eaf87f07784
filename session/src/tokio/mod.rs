//! Conversations over tokio's streams: [`Connection`] over anything that is
//! [`AsyncRead`](::tokio::io::AsyncRead) and [`AsyncWrite`](::tokio::io::AsyncWrite), so TCP, Unix
//! sockets, TLS and in-memory pipes. [`FileSender`] sends a file over one.
//!
//! # Cancel safety
//! The calls of a [`Connection`] can be dropped anywhere. Each method documents what a dropped call
//! leaves.

mod connection;
mod ending;
mod file_sender;
mod poll;

pub use crate::error::ConnectionError;
pub use connection::{Connection, FoundEvent, Turn};
pub use file_sender::FileSender;
