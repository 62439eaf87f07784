//! Frames over a blocking UDP socket.

use core::borrow::Borrow;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use super::endpoint::{Endpoint, SLOT_LEN};
use super::inbox::{Arrival, Incoming};
use super::item::{Frames, Received, RecvStats, SendError, SendStats};
use super::outbox::Outgoing;
use crate::format::{Format, V1};
use crate::frame::OwnedFrame;
use crate::framing::Framing;

/// Sends and receives frames in datagrams over a [`UdpSocket`], bound or connected, IPv4 or IPv6.
///
/// Frames for one peer are packed into datagrams of at most 1,200 bytes, unless
/// [`datagram_limit`](Self::datagram_limit) says otherwise. A datagram is taken or refused whole,
/// and what was refused is reported and changes nothing for the next (spec, chapter 8).
///
/// With the feature `udp`, on Linux and Android, the system is given and gives many datagrams with
/// one call; else there is one call for each. Then do not receive from the socket but through this:
/// the system may hand over several datagrams as one. And a datagram that is longer than the
/// interface can carry is refused by the system as too long, and not divided.
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
/// ours.feed_to(peer, Kind::TEXT, b"one")?; // collected
/// ours.send_to(peer, Kind::TEXT, b"two")?; // and sent, in one datagram
///
/// match theirs.recv()? {
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
    receiver: FrameReceiver<F>,
    sender: FrameSender<F>,
}

impl FrameSocket {
    /// Version-1 frames of at most 1 MiB, in datagrams of at most 1,200 bytes.
    pub fn new(socket: UdpSocket) -> Self {
        Self::with_framing(socket, V1)
    }
}

impl<F: Format> FrameSocket<F> {
    /// Frames of this format and limit, in both directions.
    pub fn with_framing(socket: UdpSocket, framing: impl Into<Framing<F>>) -> Self
    where
        F: Clone,
    {
        Self::over(Endpoint::new(socket), framing.into())
    }

    /// The same with one call of the system for each datagram, as where it has no offload: for a
    /// system whose offload is broken, and to see what it is worth.
    pub fn without_offload(socket: UdpSocket, framing: impl Into<Framing<F>>) -> Self
    where
        F: Clone,
    {
        Self::over(Endpoint::without_offload(socket), framing.into())
    }

    fn over(endpoint: Endpoint<UdpSocket>, framing: Framing<F>) -> Self
    where
        F: Clone,
    {
        let endpoint = Arc::new(endpoint);
        let incoming = Incoming::new(framing.clone());
        let receiver = FrameReceiver { endpoint: Arc::clone(&endpoint), incoming };
        let sender = FrameSender { endpoint, outgoing: Outgoing::new(framing) };
        Self { receiver, sender }
    }

    /// Sets how many bytes a datagram is packed to at most, headers of frames included: 1,200 unless
    /// set, 65,507 at most over IPv4 and 65,527 over IPv6. What the system says to longer ones is
    /// an error of the send.
    #[must_use]
    pub fn datagram_limit(mut self, bytes: usize) -> Self {
        self.sender.outgoing.set_limit(bytes);
        self
    }

    /// Sets how long a received datagram may be: longer ones are refused as cut. Without it any is
    /// taken.
    #[must_use]
    pub fn recv_limit(mut self, bytes: usize) -> Self {
        self.receiver.incoming.set_limit(bytes);
        self
    }

    /// Sets which kinds of applications are known. The others are ignored, or refuse their
    /// datagram if they are critical.
    #[must_use]
    pub fn known(mut self, known: impl Fn(&F::Meta) -> bool + Send + Sync + 'static) -> Self {
        self.receiver.incoming.set_known(known);
        self
    }

    /// As [`FrameReceiver::recv`].
    ///
    /// # Errors
    /// As [`FrameReceiver::recv`].
    pub fn recv(&mut self) -> io::Result<Received<Frames<'_, F>>> {
        self.receiver.recv()
    }

    /// As [`FrameReceiver::recv_owned`].
    ///
    /// # Errors
    /// As [`FrameReceiver::recv`].
    pub fn recv_owned(&mut self) -> io::Result<Received<Vec<OwnedFrame<F::Meta>>>> {
        self.receiver.recv_owned()
    }

    /// As [`FrameSender::send`].
    ///
    /// # Errors
    /// As [`FrameSender::send`].
    pub fn send(&mut self, meta: impl Borrow<F::Meta>, payload: &[u8]) -> Result<(), SendError> {
        self.sender.send(meta, payload)
    }

    /// As [`FrameSender::send_to`].
    ///
    /// # Errors
    /// As [`FrameSender::send_to`].
    pub fn send_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.sender.send_to(peer, meta, payload)
    }

    /// As [`FrameSender::feed`].
    ///
    /// # Errors
    /// As [`FrameSender::feed`].
    pub fn feed(&mut self, meta: impl Borrow<F::Meta>, payload: &[u8]) -> Result<(), SendError> {
        self.sender.feed(meta, payload)
    }

    /// As [`FrameSender::feed_to`].
    ///
    /// # Errors
    /// As [`FrameSender::feed_to`].
    pub fn feed_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.sender.feed_to(peer, meta, payload)
    }

    /// As [`FrameSender::feed_all`].
    ///
    /// # Errors
    /// As [`FrameSender::feed_all`].
    pub fn feed_all<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        self.sender.feed_all(frames)
    }

    /// As [`FrameSender::feed_all_to`].
    ///
    /// # Errors
    /// As [`FrameSender::feed_all_to`].
    pub fn feed_all_to<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        self.sender.feed_all_to(peer, frames)
    }

    /// As [`FrameSender::end_datagram`].
    pub fn end_datagram(&mut self) {
        self.sender.end_datagram();
    }

    /// As [`FrameSender::flush`].
    ///
    /// # Errors
    /// As [`FrameSender::flush`].
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.sender.flush()
    }

    /// Both directions at once: to answer frames while they are still borrowed.
    pub fn halves(&mut self) -> (&mut FrameReceiver<F>, &mut FrameSender<F>) {
        (&mut self.receiver, &mut self.sender)
    }

    /// The two directions, for two threads.
    pub fn split(self) -> (FrameReceiver<F>, FrameSender<F>) {
        (self.receiver, self.sender)
    }

    /// What was counted since the socket was made.
    pub fn stats(&self) -> (RecvStats, SendStats) {
        (self.receiver.stats(), self.sender.stats())
    }

    /// The format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.sender.outgoing.framing()
    }

    /// The socket: for its addresses and options, and not to receive from.
    pub fn get_ref(&self) -> &UdpSocket {
        self.receiver.get_ref()
    }

    /// Asks the system for a receive buffer of so many bytes, and says how many it gave, its own
    /// overhead included. A small one loses what comes in bursts.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(feature = "udp")]
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<usize> {
        let socket = socket2::SockRef::from(self.get_ref());
        socket.set_recv_buffer_size(bytes)?;
        socket.recv_buffer_size()
    }

    /// The same for the send buffer.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(feature = "udp")]
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<usize> {
        let socket = socket2::SockRef::from(self.get_ref());
        socket.set_send_buffer_size(bytes)?;
        socket.send_buffer_size()
    }
}

/// The receiving half of a [`FrameSocket`].
#[derive(Debug)]
pub struct FrameReceiver<F: Format = V1> {
    endpoint: Arc<Endpoint<UdpSocket>>,
    incoming: Incoming<F>,
}

impl<F: Format> FrameReceiver<F> {
    /// Waits for the next datagram, and lends its frames.
    ///
    /// A datagram that was refused is no error but [`Received::Refused`], and a report of the system
    /// that something sent earlier did not arrive is [`Received::Undelivered`]: a hostile peer, or
    /// one that has gone, ends no loop. A report that a send has met comes with the next call; a call
    /// that waits already is not woken for it.
    ///
    /// # Errors
    /// The socket's own: the call can be made again after a time-out, and after most others.
    pub fn recv(&mut self) -> io::Result<Received<Frames<'_, F>>> {
        let arrival = self.arrival()?;
        Ok(self.incoming.judge(arrival))
    }

    /// The same with frames that do not borrow the receiver.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_owned(&mut self) -> io::Result<Received<Vec<OwnedFrame<F::Meta>>>> {
        Ok(self.recv()?.into_owned())
    }

    /// What was counted since the receiver was made.
    pub fn stats(&self) -> RecvStats {
        self.incoming.stats()
    }

    /// The format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.incoming.framing()
    }

    /// The socket: for its addresses and options, and not to receive from.
    pub fn get_ref(&self) -> &UdpSocket {
        self.endpoint.socket()
    }

    fn arrival(&mut self) -> io::Result<Arrival> {
        if let Some(report) = self.endpoint.take_report() {
            return Ok(Arrival::Undelivered(report));
        }
        loop {
            if let Some(arrival) = self.incoming.next() {
                return Ok(arrival);
            }
            if !self.incoming.has_slots() {
                // One: a blocking call with more would wait until all of them are filled.
                self.incoming.set_slots(vec![0; SLOT_LEN]);
            }
            if let Some(arrival) = self.incoming.recv(&self.endpoint)? {
                return Ok(arrival);
            }
        }
    }
}

/// The sending half of a [`FrameSocket`].
///
/// Frames that were accepted and not flushed are lost when it is dropped.
#[derive(Debug)]
pub struct FrameSender<F: Format = V1> {
    endpoint: Arc<Endpoint<UdpSocket>>,
    outgoing: Outgoing<F>,
}

impl<F: Format> FrameSender<F> {
    /// Accepts a frame for the peer that the socket was connected to when it was given, and flushes.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and [`SendError::NotConnected`].
    pub fn send(&mut self, meta: impl Borrow<F::Meta>, payload: &[u8]) -> Result<(), SendError> {
        self.feed(meta, payload)?;
        self.flush()
    }

    /// Accepts a frame for this peer, and flushes. It goes in one datagram with those that were fed
    /// for the peer before, as far as they have room.
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to) and [`flush`](Self::flush).
    pub fn send_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.feed_to(peer, meta, payload)?;
        self.flush()
    }

    /// Accepts a frame for the peer that the socket was connected to when it was given.
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to), and [`SendError::NotConnected`].
    #[inline]
    pub fn feed(&mut self, meta: impl Borrow<F::Meta>, payload: &[u8]) -> Result<(), SendError> {
        let peer = self.endpoint.peer().ok_or(SendError::NotConnected)?;
        self.feed_to(peer, meta, payload)
    }

    /// Accepts a frame for this peer. Frames are packed into datagrams, which are collected until
    /// they are as many as one call can send, for each peer apart, or until
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`SendError::Encode`] when no datagram can hold the frame:
    /// nothing is sent. [`SendError::Full`] when the socket takes nothing now. The frame was not
    /// accepted then. [`SendError::Lost`] when the system did not send what was accepted before;
    /// the frame was accepted.
    #[inline]
    pub fn feed_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let meta = meta.borrow();
        if self.outgoing.push_now(&peer, meta, payload) {
            return Ok(());
        }
        self.feed_slowly(peer, meta, payload)
    }

    /// As [`feed_all_to`](Self::feed_all_to), for the peer that the socket was connected to when it
    /// was given.
    ///
    /// # Errors
    /// As [`feed_all_to`](Self::feed_all_to), and [`SendError::NotConnected`].
    pub fn feed_all<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        let peer = self.endpoint.peer().ok_or(SendError::NotConnected)?;
        self.feed_all_to(peer, frames)
    }

    /// Accepts many frames for this peer: as [`feed_to`](Self::feed_to) for each, and faster than that.
    ///
    /// A frame is taken from the iterator once there is room for it. So what is left behind an error
    /// is the rest, and can be given again: lend the iterator with [`Iterator::by_ref`].
    ///
    /// # Errors
    /// [`SendError::Encode`] when no datagram can hold a frame: that one was taken from the iterator, and
    /// not accepted. [`SendError::Full`] when the socket takes nothing now, [`SendError::Lost`] when the
    /// system did not send what was accepted before: all frames that were taken were accepted.
    pub fn feed_all_to<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        let mut frames = frames.into_iter();
        while !self.outgoing.push_all(&peer, &mut frames)? {
            self.make_room(peer)?;
        }
        Ok(())
    }

    /// Ends the datagram that the last frame went into: the peer's next frame begins another one.
    /// For one frame a datagram, and still many with a call, call it behind every feed.
    #[inline]
    pub fn end_datagram(&mut self) {
        self.outgoing.close_last();
    }

    /// Sends all that was accepted.
    ///
    /// # Errors
    /// [`SendError::Blocked`] when the socket takes nothing now: all of it is kept.
    /// [`SendError::Lost`] when the system did not send a datagram, or a run of them: all others were
    /// sent, and a flush after this one tells the next loss, if there is one.
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.outgoing.close_all();
        self.outgoing.steps(&*self.endpoint).map_err(SendError::Blocked)?;
        self.outgoing.tell()
    }

    /// What was counted since the sender was made.
    pub fn stats(&self) -> SendStats {
        self.outgoing.stats()
    }

    /// The newest report that something sent earlier did not arrive, if a send has met one: for
    /// programs that never receive. Others get it from [`FrameReceiver::recv`].
    pub fn take_report(&mut self) -> Option<io::Error> {
        self.endpoint.take_report()
    }

    /// The format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.outgoing.framing()
    }

    /// The socket: for its addresses and options, and not to receive from.
    pub fn get_ref(&self) -> &UdpSocket {
        self.endpoint.socket()
    }

    /// Where something has to be sent before, or nothing can be.
    #[cold]
    fn feed_slowly(
        &mut self,
        peer: SocketAddr,
        meta: &F::Meta,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let header = self.outgoing.check(meta, payload)?;
        let made = self.make_room(peer);
        if !matches!(made, Err(SendError::Full(_))) {
            self.outgoing.push(&peer, &header, payload);
        }
        made
    }

    fn make_room(&mut self, peer: SocketAddr) -> Result<(), SendError> {
        self.outgoing.steps_for(&*self.endpoint, &peer).map_err(SendError::Full)?;
        self.outgoing.tell()
    }
}
