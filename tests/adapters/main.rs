//! The adapters, each over scripted transports and over real ones. A module needs the feature of its
//! adapter, so this compiles with any of them.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

#[cfg(feature = "std")]
mod before_whole;
#[cfg(feature = "tokio-util")]
mod codec;
#[cfg(feature = "tokio-util")]
mod codec_continues;
#[cfg(feature = "embedded-io")]
mod embedded_io;
#[cfg(feature = "embedded-io-async")]
mod embedded_io_async;
#[cfg(all(
    feature = "tokio",
    feature = "tokio-util",
    feature = "futures-io",
    feature = "embedded-io-async"
))]
mod every_framing;
#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "std")]
mod io;
#[cfg(feature = "std")]
mod receive_slots;
#[cfg(feature = "std")]
mod send_queue;
mod threads;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tokio")]
mod tokio_write_timeout;
#[cfg(feature = "tokio")]
mod udp;
#[cfg(feature = "std")]
mod udp_network;
