//! Frames over tokio's UDP socket.

#[cfg(all(feature = "udp", not(target_family = "wasm")))]
use std::io;
use std::sync::Arc;

use ::tokio::net::UdpSocket;

use super::datagram_socket::TokioSocket;
use super::receiver::FrameReceiver;
use super::sender::FrameSender;
use crate::udp::{ReceiveSlots, RecvStats, SendQueue, SendStats, UdpEndpoint};
use crate::{Format, Framing, V1};

/// Sends and receives frames in datagrams over tokio's [`UdpSocket`], bound or connected, IPv4 or
/// IPv6.
///
/// It packs frames and checks datagrams as [`io::FrameSocket`](crate::io::FrameSocket) does, whose
/// documentation has the limits and the effects of the feature `udp`. While it waits, it holds no
/// receive buffer.
///
/// Frames are received with its [`receiver`](Self::receiver), which is also a stream of datagrams,
/// and sent with its [`sender`](Self::sender): borrow both fields at once to answer frames while
/// they are borrowed.
///
/// ```
/// use tokio::net::UdpSocket;
/// use unstick::Kind;
/// use unstick::tokio::{FrameSocket, Received};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ours = FrameSocket::new(UdpSocket::bind("127.0.0.1:0").await?);
/// let mut theirs = FrameSocket::new(UdpSocket::bind("127.0.0.1:0").await?);
///
/// let peer = theirs.get_ref().local_addr()?;
/// ours.sender.feed_to(peer, Kind::TEXT, b"one").await?; // collected
/// ours.sender.send_to(peer, Kind::TEXT, b"two").await?; // and sent, in one datagram
///
/// let FrameSocket { receiver, sender } = &mut theirs;
/// match receiver.recv().await? {
///     Received::Datagram { source, frames } => {
///         for frame in frames {
///             sender.feed_to(source, frame.meta, frame.payload).await?; // borrowed: no copy
///         }
///         sender.flush().await?;
///     }
///     Received::Refused { source, error } => eprintln!("{source}: {error}"),
///     Received::Undelivered(error) => eprintln!("{error}"),
/// }
/// # let Received::Datagram { frames, .. } = ours.receiver.recv().await? else { panic!() };
/// # assert!(frames.map(|frame| frame.payload).eq([b"one", b"two"]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameSocket<F: Format = V1> {
    /// The receiving half.
    pub receiver: FrameReceiver<F>,
    /// The sending half.
    pub sender: FrameSender<F>,
}

impl FrameSocket {
    /// Creates a socket for version-1 frames of at most 1 MiB, in datagrams of at most 1,200 bytes.
    pub fn new(socket: UdpSocket) -> Self {
        Self::with_framing(socket, V1)
    }
}

impl<F: Format + Clone> FrameSocket<F> {
    /// Creates a socket for frames of this format and limit, in both directions.
    pub fn with_framing(socket: UdpSocket, framing: impl Into<Framing<F>>) -> Self {
        Self::over(UdpEndpoint::new(TokioSocket(socket)), framing.into())
    }

    /// Creates the same socket with one system call for each datagram, even if the system has
    /// offload: for a system whose offload is broken, and to measure what offload gains.
    pub fn without_offload(socket: UdpSocket, framing: impl Into<Framing<F>>) -> Self {
        Self::over(UdpEndpoint::without_offload(TokioSocket(socket)), framing.into())
    }

    fn over(endpoint: UdpEndpoint<TokioSocket>, framing: Framing<F>) -> Self {
        let endpoint = Arc::new(endpoint);
        let slots = ReceiveSlots::new(framing.clone());
        let receiver = FrameReceiver { endpoint: Arc::clone(&endpoint), slots, errors: None };
        let sender = FrameSender { endpoint, queue: SendQueue::new(framing) };
        Self { receiver, sender }
    }
}

impl<F: Format> FrameSocket<F> {
    /// Sets how many bytes a datagram is packed to at most, headers of frames included. The default
    /// is 1,200, the maximum 65,507 over IPv4 and 65,527 over IPv6: the system refuses longer ones,
    /// which is an error of the send.
    #[must_use]
    pub fn with_datagram_limit(mut self, bytes: usize) -> Self {
        self.sender.queue.set_datagram_limit(bytes);
        self
    }

    /// Sets how many bytes a received datagram may have: longer ones are refused as cut. By default
    /// any length is accepted.
    #[must_use]
    pub fn with_recv_limit(mut self, bytes: usize) -> Self {
        self.receiver.slots.set_recv_limit(bytes);
        self
    }

    /// Sets which kinds of applications are known: `known` returns whether a kind is. The others
    /// are ignored or, if they are critical, refuse their datagram.
    #[must_use]
    pub fn with_known(mut self, known: impl Fn(&F::Meta) -> bool + Send + Sync + 'static) -> Self {
        self.receiver.slots.set_known(known);
        self
    }

    /// Returns the two halves, for two tasks.
    pub fn into_split(self) -> (FrameReceiver<F>, FrameSender<F>) {
        (self.receiver, self.sender)
    }

    /// Returns what was counted since the socket was created.
    pub fn stats(&self) -> (RecvStats, SendStats) {
        (self.receiver.stats(), self.sender.stats())
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.sender.queue.framing()
    }

    /// Returns the socket: for its addresses and options. Do not receive from it or poll it: a call
    /// of this type that waits would not be woken then.
    pub fn get_ref(&self) -> &UdpSocket {
        self.receiver.get_ref()
    }

    /// Asks the system for a receive buffer of `bytes` bytes. Returns how many bytes it has then,
    /// the system's overhead included. A small buffer loses datagrams that arrive in bursts.
    ///
    /// # Errors
    /// The system's own.
    #[cfg(all(feature = "udp", not(target_family = "wasm")))]
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<usize> {
        let socket = socket2::SockRef::from(self.get_ref());
        socket.set_recv_buffer_size(bytes)?;
        socket.recv_buffer_size()
    }

    /// Asks the system for a send buffer of `bytes` bytes. Returns how many bytes it has then.
    ///
    /// # Errors
    /// The system's own.
    #[cfg(all(feature = "udp", not(target_family = "wasm")))]
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<usize> {
        let socket = socket2::SockRef::from(self.get_ref());
        socket.set_send_buffer_size(bytes)?;
        socket.send_buffer_size()
    }
}
