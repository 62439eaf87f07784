//! Frames over a blocking UDP socket.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use crate::udp::{
    Arrival, DatagramSendError, Frames, ReceiveSlots, Received, RecvStats, SLOT_LEN, SendQueue,
    SendStats, UdpEndpoint,
};
use crate::{AsMeta, Format, Framing, OwnedFrame, V1};

/// Sends and receives frames in datagrams over a [`UdpSocket`], bound or connected, IPv4 or IPv6.
///
/// Frames for one peer are packed into datagrams of at most 1,200 bytes, unless
/// [`with_datagram_limit`](Self::with_datagram_limit) sets another limit. A datagram is accepted or
/// refused as a whole. A refused one is reported, and changes nothing for the next (spec, chapter
/// 8).
///
/// With the feature `udp`, on Linux and Android, one system call sends or receives many datagrams;
/// without it, there is one for each. With it, receive only through this type and not from the
/// socket itself, since the system may return several datagrams as one; and the system refuses a
/// datagram that is longer than the interface can carry as too long, instead of fragmenting it.
///
/// Frames are received with its [`receiver`](Self::receiver) and sent with its
/// [`sender`](Self::sender): borrow both fields at once to answer frames while they are borrowed.
///
/// ```
/// use std::net::UdpSocket;
/// use unstick::Kind;
/// use unstick::io::{FrameSocket, Received};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ours = FrameSocket::new(UdpSocket::bind("127.0.0.1:0")?);
/// let mut theirs = FrameSocket::new(UdpSocket::bind("127.0.0.1:0")?);
///
/// let peer = theirs.get_ref().local_addr()?;
/// ours.sender.feed_to(peer, Kind::TEXT, b"one")?; // collected
/// ours.sender.send_to(peer, Kind::TEXT, b"two")?; // and sent, in one datagram
///
/// match theirs.receiver.recv()? {
///     Received::Datagram { source, frames } => {
///         assert_eq!(source, ours.get_ref().local_addr()?);
///         assert!(frames.map(|frame| frame.payload).eq([b"one", b"two"]));
///     }
///     Received::Refused { source, error } => eprintln!("{source}: {error}"),
///     Received::Undelivered(error) => eprintln!("{error}"),
/// }
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
        Self::over(UdpEndpoint::new(socket), framing.into())
    }

    /// Creates the same socket with one system call for each datagram, even if the system has
    /// offload: for a system whose offload is broken, and to measure what offload gains.
    pub fn without_offload(socket: UdpSocket, framing: impl Into<Framing<F>>) -> Self {
        Self::over(UdpEndpoint::without_offload(socket), framing.into())
    }

    fn over(endpoint: UdpEndpoint<UdpSocket>, framing: Framing<F>) -> Self {
        let endpoint = Arc::new(endpoint);
        let slots = ReceiveSlots::new(framing.clone());
        let receiver = FrameReceiver { endpoint: Arc::clone(&endpoint), slots };
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

    /// Returns the two halves, for two threads.
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

    /// Returns the socket: for its addresses and options, and not to receive from.
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

/// The receiving half of a [`FrameSocket`].
///
/// ```
/// use std::net::UdpSocket;
/// use unstick::U16Be;
/// use unstick::io::{FrameReceiver, FrameSocket, Received};
///
/// /// Returns the payloads of one datagram; none if it was refused.
/// fn payloads(receiver: &mut FrameReceiver<U16Be>) -> std::io::Result<Vec<Vec<u8>>> {
///     match receiver.recv()? {
///         Received::Datagram { frames, .. } => Ok(frames.map(|frame| frame.payload.to_vec()).collect()),
///         Received::Refused { .. } | Received::Undelivered(_) => Ok(Vec::new()),
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = FrameSocket::with_framing(UdpSocket::bind("127.0.0.1:0")?, U16Be);
/// let own = socket.get_ref().local_addr()?;
/// socket.sender.feed_to(own, (), "one")?;
/// socket.sender.send_to(own, (), "two")?;
/// assert_eq!(payloads(&mut socket.receiver)?, [b"one", b"two"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReceiver<F: Format = V1> {
    endpoint: Arc<UdpEndpoint<UdpSocket>>,
    slots: ReceiveSlots<F>,
}

impl<F: Format> FrameReceiver<F> {
    /// Waits for the next datagram, and returns it with its frames, which borrow the receiver.
    ///
    /// A refused datagram is not an error but [`Received::Refused`], and a report of the system
    /// that something sent earlier did not arrive is [`Received::Undelivered`]: so neither a
    /// hostile peer nor one that is gone ends a receive loop. A report that a send met is returned
    /// by the next call; a call that waits already is not woken for it.
    ///
    /// # Errors
    /// The socket's own: the call can be made again after a time-out, and after most others.
    pub fn recv(&mut self) -> io::Result<Received<Frames<'_, F>>> {
        let arrival = self.arrival()?;
        Ok(self.slots.deliver(arrival))
    }

    /// Waits for the next datagram, and returns it with frames that do not borrow the receiver.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_owned(&mut self) -> io::Result<Received<Vec<OwnedFrame<F::Meta>>>> {
        Ok(self.recv()?.into_owned())
    }

    /// Returns what was counted since the receiver was created.
    pub fn stats(&self) -> RecvStats {
        self.slots.stats()
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.slots.framing()
    }

    /// Returns the socket: for its addresses and options, and not to receive from.
    pub fn get_ref(&self) -> &UdpSocket {
        self.endpoint.socket()
    }

    fn arrival(&mut self) -> io::Result<Arrival> {
        if let Some(report) = self.endpoint.take_report() {
            return Ok(Arrival::undelivered(report));
        }
        loop {
            if let Some(arrival) = self.slots.next_arrival() {
                return Ok(arrival);
            }
            if !self.slots.has_slots() {
                // One: a blocking call with more slots would wait until all of them are filled.
                self.slots.provide_slots(vec![0; SLOT_LEN]);
            }
            if let Some(arrival) = self.slots.receive(&self.endpoint)? {
                return Ok(arrival);
            }
        }
    }
}

type SendResult = Result<(), DatagramSendError>;

/// The sending half of a [`FrameSocket`].
///
/// Frames that were accepted and not sent yet are lost when it is dropped: flush it before.
///
/// ```
/// use std::net::UdpSocket;
/// use unstick::U16Be;
/// use unstick::io::FrameSocket;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let peer = UdpSocket::bind("127.0.0.1:0")?;
/// let mut socket = FrameSocket::with_framing(UdpSocket::bind("127.0.0.1:0")?, U16Be);
/// socket.sender.feed_to(peer.local_addr()?, (), "one")?; // collected
/// socket.sender.send_to(peer.local_addr()?, (), "two")?; // and sent, in one datagram
/// let mut datagram = [0; 100];
/// let len = peer.recv(&mut datagram)?;
/// assert_eq!(datagram[..len], *b"\0\x03one\0\x03two");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameSender<F: Format = V1> {
    endpoint: Arc<UdpEndpoint<UdpSocket>>,
    queue: SendQueue<F>,
}

impl<F: Format> FrameSender<F> {
    /// Accepts a frame for the peer that the socket was connected to when this was created, and
    /// flushes.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and [`DatagramSendError::NotConnected`].
    pub fn send(&mut self, meta: impl AsMeta<F::Meta>, payload: impl AsRef<[u8]>) -> SendResult {
        self.feed(meta, payload)?;
        self.flush()
    }

    /// Accepts a frame for this peer, and flushes. The frame is sent in one datagram with those
    /// that were fed for the peer before, if they have room.
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to) and [`flush`](Self::flush).
    pub fn send_to(
        &mut self,
        peer: SocketAddr,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> SendResult {
        self.feed_to(peer, meta, payload)?;
        self.flush()
    }

    /// Accepts a frame for the peer that the socket was connected to when this was created.
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to), and [`DatagramSendError::NotConnected`].
    #[inline]
    pub fn feed(&mut self, meta: impl AsMeta<F::Meta>, payload: impl AsRef<[u8]>) -> SendResult {
        let peer = self.endpoint.peer().ok_or(DatagramSendError::NotConnected)?;
        self.feed_to(peer, meta, payload)
    }

    /// Accepts a frame for this peer. Frames are packed into datagrams, for each peer separately,
    /// which are collected until there are as many as one system call can send, or until
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`DatagramSendError::Encode`] if no datagram can hold the frame: it was not accepted, and
    /// nothing is sent. [`DatagramSendError::Full`] if the socket takes nothing now: it was not
    /// accepted either. [`DatagramSendError::Lost`] if the system did not send what was accepted
    /// before; the frame was accepted.
    #[inline]
    pub fn feed_to(
        &mut self,
        peer: SocketAddr,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> SendResult {
        let (meta, payload) = (meta.as_meta(), payload.as_ref());
        if self.queue.try_push(&peer, meta, payload) {
            return Ok(());
        }
        self.feed_slowly(peer, meta, payload)
    }

    /// As [`feed_all_to`](Self::feed_all_to), for the peer that the socket was connected to when
    /// this was created.
    ///
    /// # Errors
    /// As [`feed_all_to`](Self::feed_all_to), and [`DatagramSendError::NotConnected`].
    pub fn feed_all<M: AsMeta<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> SendResult {
        let peer = self.endpoint.peer().ok_or(DatagramSendError::NotConnected)?;
        self.feed_all_to(peer, frames)
    }

    /// Accepts many frames for this peer: like [`feed_to`](Self::feed_to) for each, but faster.
    ///
    /// A frame is taken from the iterator once there is room for it. So after an error the iterator
    /// has the frames that were not accepted, and can be passed again: pass it with
    /// [`Iterator::by_ref`].
    ///
    /// # Errors
    /// [`DatagramSendError::Encode`] if no datagram can hold a frame: that one was taken from the
    /// iterator, and not accepted. [`DatagramSendError::Full`] if the socket takes nothing now,
    /// [`DatagramSendError::Lost`] if the system did not send what was accepted before: all frames
    /// that were taken were accepted.
    pub fn feed_all_to<M: AsMeta<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> SendResult {
        let mut frames = frames.into_iter();
        while !self.queue.push_all(&peer, &mut frames)? {
            self.make_room(peer)?;
        }
        Ok(())
    }

    /// Closes the datagram that the last frame was appended to: the peer's next frame begins
    /// another one. Call it after every feed for datagrams of one frame each, of which one system
    /// call still sends many.
    #[inline]
    pub fn end_datagram(&mut self) {
        self.queue.end_datagram();
    }

    /// Sends everything that was accepted.
    ///
    /// # Errors
    /// [`DatagramSendError::Blocked`] if the socket takes nothing now: everything is kept.
    /// [`DatagramSendError::Lost`] if the system did not send a datagram, or several at once: all
    /// others were sent, and the next flush reports the next loss, if there is one.
    pub fn flush(&mut self) -> SendResult {
        self.queue.close_all();
        self.queue.send_closed(&*self.endpoint).map_err(DatagramSendError::Blocked)?;
        self.queue.report_loss()
    }

    /// Returns what was counted since the sender was created.
    pub fn stats(&self) -> SendStats {
        self.queue.stats()
    }

    /// Returns the newest report that something sent earlier did not arrive, if a send met one: for
    /// programs that never receive. Others get it from [`FrameReceiver::recv`].
    pub fn take_report(&mut self) -> Option<io::Error> {
        self.endpoint.take_report()
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.queue.framing()
    }

    /// Returns the socket: for its addresses and options, and not to receive from.
    pub fn get_ref(&self) -> &UdpSocket {
        self.endpoint.socket()
    }

    /// Accepts a frame after making room for it, or returns why it cannot be accepted.
    #[cold]
    fn feed_slowly(&mut self, peer: SocketAddr, meta: &F::Meta, payload: &[u8]) -> SendResult {
        let frame = self.queue.check(meta, payload)?;
        let made = self.make_room(peer);
        if !matches!(made, Err(DatagramSendError::Full(_))) {
            self.queue.push(&peer, &frame);
        }
        made
    }

    fn make_room(&mut self, peer: SocketAddr) -> SendResult {
        self.queue.make_room(&*self.endpoint, &peer).map_err(DatagramSendError::Full)?;
        self.queue.report_loss()
    }
}
