#![cfg_attr(not(test), no_std)]
//! Messages, conversations and file transfer of the protocol in unstick's `spec.md` (chapters 13
//! to 16), over the frames of the crate [`unstick`].
//!
//! | you have | use |
//! | --- | --- |
//! | a frame's payload | [`message::Message::decode`] and [`message::Message::encode`] |
//! | the frames of a datagram | [`message::Message::decode_all`] |
//! | the frames of a connection of your own | [`session::Session`]: checks what arrives and what is sent, answers pings, tracks closes and files; without I/O |
//! | a blocking stream | `io::Connection` (feature `std`) |
//! | a tokio stream | `tokio::Connection` (feature `tokio`) |
//! | a file to send | `send_file` of either connection |
//! | files to receive | [`session::FileReceiver`] |
//!
//! ```
//! use std::time::Duration;
//! use unstick_session::io::Connection;
//! use unstick_session::message::{Close, Message};
//! use unstick_session::session::Event;
//!
//! # #[cfg(unix)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
//! # let server = std::thread::spawn(move || {
//! # let mut connection = Connection::new(theirs);
//! # while let Some(event) = connection.recv()? {
//! #     if let Event::Text(text) = event {
//! #         let answer = text.to_uppercase();
//! #         connection.send(&Message::Text(&answer))?;
//! #     }
//! # }
//! # connection.close(Close::ORDINARY, Duration::from_secs(5))
//! # });
//! let mut connection = Connection::new(ours); // a `TcpStream`, a `UnixStream`
//! connection.announce("example")?; // a name and a limit for the peer
//! connection.send(&Message::Text("hello"))?;
//! assert_eq!(connection.recv()?, Some(Event::Text("HELLO")));
//! connection.close(Close::ORDINARY, Duration::from_secs(5))?;
//! # server.join().unwrap()?;
//! # Ok(())
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```
//!
//! [`message`] and [`session`] are `no_std`, need no allocator and do not panic. Features only add:
//! `alloc` (a payload as a `Vec`), `std` (the default: connections over blocking streams), `tokio`,
//! `serde` and `defmt`.
//!
//! This crate has modules called `io` and `tokio`: import its items by name, not with `*`.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The README's example, as a test.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod bytes;
#[cfg(feature = "std")]
mod conversation;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
pub mod io;
pub mod message;
#[cfg(feature = "std")]
mod sending;
#[cfg(feature = "serde")]
mod serialize;
pub mod session;
#[cfg(feature = "tokio")]
pub mod tokio;

#[cfg(feature = "std")]
pub use error::ConnectionError;
