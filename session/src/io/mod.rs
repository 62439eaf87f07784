//! Conversations over blocking streams: [`Connection`] over any [`Transport`], such as
//! [`TcpStream`](std::net::TcpStream). [`FileSender`] sends a file over one.

mod connection;
mod ending;
mod file_sender;

pub use crate::error::ConnectionError;
pub use connection::{Connection, Transport};
pub use file_sender::FileSender;
