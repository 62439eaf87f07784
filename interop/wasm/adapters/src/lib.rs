//! Readers and writers over streams are there in WebAssembly; sockets are not.

pub use unstick::tokio::{FrameReader, FrameStream, FrameWriter};
pub use unstick_session::tokio::Connection;
