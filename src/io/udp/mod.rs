//! Frames in datagrams: what the blocking and the tokio socket share.

mod endpoint;
mod inbox;
mod item;
mod offload;
mod outbox;
mod socket;

pub use item::{Frames, Lost, Received, RecvStats, Refusals, SendError, SendStats};
pub use socket::{FrameReceiver, FrameSender, FrameSocket};

#[cfg(feature = "tokio")]
pub(crate) use endpoint::{Endpoint, SLOT_LEN, Socket};
#[cfg(feature = "tokio")]
pub(crate) use inbox::{Arrival, Incoming};
#[cfg(feature = "tokio")]
pub(crate) use outbox::Outgoing;
