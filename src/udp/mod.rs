//! Frames in datagrams, without a runtime: the parts of which both `FrameSocket`s consist.
//!
//! [`io::FrameSocket`](crate::io::FrameSocket) and tokio's `FrameSocket` are loops over these four:
//!
//! - [`DatagramSocket`]: the system calls of a UDP socket. An adapter implements it for the socket
//!   of its runtime, in a type of its own.
//! - [`UdpEndpoint`]: a socket, the peer that it is connected to, and its offload: many datagrams
//!   with one system call (feature `udp`, on Linux and Android). Both halves of a socket share it.
//! - [`ReceiveSlots`]: what was received and not delivered yet. Checks each datagram (spec, chapter
//!   8) and counts it.
//! - [`SendQueue`]: what was accepted and not sent yet. Packs frames into datagrams, for each peer
//!   separately, and counts and reports what the system does not send.
//!
//! None of them waits for a non-blocking socket: they return its `WouldBlock` error, and keep
//! everything.
//!
//! # An adapter for another runtime
//! ```
//! use std::net::{SocketAddr, UdpSocket};
//! use std::sync::Arc;
//! use unstick::udp::{
//!     DatagramSendError, DatagramSocket, Frames, Received, ReceiveSlots, SLOT_LEN, SendQueue,
//!     UdpEndpoint,
//! };
//! use unstick::{Framing, Kind, V1};
//!
//! /// The runtime's socket.
//! struct MySocket(UdpSocket);
//!
//! impl DatagramSocket for MySocket {
//!     fn peer_addr(&self) -> std::io::Result<SocketAddr> {
//!         self.0.peer_addr()
//!     }
//!
//!     fn recv_from(&self, buf: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
//!         self.0.recv_from(buf)
//!     }
//!
//!     fn send(&self, bytes: &[u8]) -> std::io::Result<usize> {
//!         self.0.send(bytes)
//!     }
//!
//!     fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> std::io::Result<usize> {
//!         self.0.send_to(bytes, peer)
//!     }
//! }
//!
//! struct Receiver {
//!     endpoint: Arc<UdpEndpoint<MySocket>>,
//!     slots: ReceiveSlots<V1>,
//! }
//!
//! impl Receiver {
//!     fn recv(&mut self) -> std::io::Result<Received<Frames<'_>>> {
//!         let arrival = loop {
//!             if let Some(arrival) = self.slots.next_arrival() {
//!                 break arrival;
//!             }
//!             // A runtime waits here until the socket is readable.
//!             if !self.slots.has_slots() {
//!                 self.slots.provide_slots(vec![0; SLOT_LEN]);
//!             }
//!             if let Some(report) = self.slots.receive(&self.endpoint)? {
//!                 break report;
//!             }
//!         };
//!         Ok(self.slots.deliver(arrival))
//!     }
//! }
//!
//! struct Sender {
//!     endpoint: Arc<UdpEndpoint<MySocket>>,
//!     queue: SendQueue<V1>,
//! }
//!
//! impl Sender {
//!     fn feed_to(
//!         &mut self,
//!         peer: SocketAddr,
//!         kind: Kind,
//!         payload: &[u8],
//!     ) -> Result<(), DatagramSendError> {
//!         if self.queue.try_push(&peer, &kind, payload) {
//!             return Ok(());
//!         }
//!         let frame = self.queue.check(&kind, payload)?;
//!         self.queue.make_room(&*self.endpoint, &peer).map_err(DatagramSendError::Full)?;
//!         self.queue.push(&peer, &frame);
//!         self.queue.report_loss()
//!     }
//!
//!     fn flush(&mut self) -> Result<(), DatagramSendError> {
//!         self.queue.close_all();
//!         // A runtime waits until the socket is writable, and calls again, if this would block.
//!         self.queue.send_closed(&*self.endpoint).map_err(DatagramSendError::Blocked)?;
//!         self.queue.report_loss()
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Arc::new(UdpEndpoint::new(MySocket(UdpSocket::bind("127.0.0.1:0")?)));
//! let framing = Framing::new(V1);
//! let mut receiver = Receiver { endpoint: endpoint.clone(), slots: ReceiveSlots::new(framing) };
//! let mut sender = Sender { endpoint, queue: SendQueue::new(framing) };
//!
//! let own = receiver.endpoint.socket().0.local_addr()?;
//! sender.feed_to(own, Kind::TEXT, b"one")?;
//! sender.feed_to(own, Kind::TEXT, b"two")?;
//! sender.flush()?;
//! let Received::Datagram { source, frames } = receiver.recv()? else { panic!("a datagram") };
//! assert_eq!(source, own);
//! assert!(frames.map(|frame| frame.payload).eq([b"one", b"two"]));
//! # Ok(())
//! # }
//! ```

// Each of these imports only from those above it.
mod error;
mod received;
mod segment;
mod socket;
mod stats;

mod offload;

mod endpoint;

mod receive_slots;
mod send_queue;

pub use endpoint::UdpEndpoint;
pub use error::{DatagramSendError, Lost};
pub use receive_slots::{Arrival, ReceiveSlots};
pub use received::{Frames, Received};
pub use send_queue::{CheckedFrame, SendQueue};
pub use socket::{DatagramSocket, SLOT_LEN, SegmentSender};
pub use stats::{RecvStats, Refusals, SendStats};
