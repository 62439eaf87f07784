//! Frames over tokio's UDP socket.

use core::borrow::Borrow;
use core::cell::Cell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use ::tokio::io::{Interest, Ready};
use ::tokio::net::UdpSocket;
use futures_core::Stream;

use crate::format::{Format, V1};
use crate::frame::OwnedFrame;
use crate::framing::Framing;
use crate::io::{
    Arrival, Endpoint, Frames, Incoming, Outgoing, Received, RecvStats, SLOT_LEN, SendError,
    SendStats, Socket,
};

/// The slots that one call can fill.
const SLOTS: usize = 32;

std::thread_local! {
    /// The slots that sockets on this thread receive into, one after the other: those that wait
    /// need none. The system gives memory to those that were ever filled.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Sends and receives frames in datagrams over tokio's [`UdpSocket`], bound or connected, IPv4 or
/// IPv6.
///
/// Frames for one peer are packed into datagrams of at most 1,200 bytes, unless
/// [`datagram_limit`](Self::datagram_limit) says otherwise. A datagram is taken or refused whole,
/// and what was refused is reported and changes nothing for the next (spec, chapter 8). While it
/// waits, it holds no receive buffer.
///
/// With the feature `udp`, on Linux and Android, the system is given and gives many datagrams with
/// one call; else there is one call for each. Then do not receive from the socket but through this:
/// the system may hand over several datagrams as one. And a datagram that is longer than the
/// interface can carry is refused by the system as too long, and not divided.
///
/// As a [`Stream`] it yields each datagram with owned frames, refused ones and reports as
/// [`recv`](Self::recv) does; it never ends.
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
/// ours.feed_to(peer, Kind::TEXT, b"one").await?; // collected
/// ours.send_to(peer, Kind::TEXT, b"two").await?; // and sent, in one datagram
///
/// let (receiver, sender) = theirs.halves();
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
/// # let Received::Datagram { frames, .. } = ours.recv().await? else { panic!() };
/// # assert!(frames.map(|frame| frame.payload).eq([b"one", b"two"]));
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
        let receiver = FrameReceiver { endpoint: Arc::clone(&endpoint), incoming, errors: None };
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
    /// # Cancel safety
    /// A dropped call loses nothing.
    ///
    /// # Errors
    /// As [`FrameReceiver::recv`].
    pub async fn recv(&mut self) -> io::Result<Received<Frames<'_, F>>> {
        self.receiver.recv().await
    }

    /// As [`FrameReceiver::recv_owned`].
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    ///
    /// # Errors
    /// As [`FrameReceiver::recv`].
    pub async fn recv_owned(&mut self) -> io::Result<Received<Vec<OwnedFrame<F::Meta>>>> {
        self.receiver.recv_owned().await
    }

    /// As [`FrameSender::send`].
    ///
    /// # Cancel safety
    /// As [`FrameSender::send_to`].
    ///
    /// # Errors
    /// As [`FrameSender::send`].
    pub async fn send(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.sender.send(meta, payload).await
    }

    /// As [`FrameSender::send_to`].
    ///
    /// # Cancel safety
    /// As [`FrameSender::send_to`].
    ///
    /// # Errors
    /// As [`FrameSender::send_to`].
    pub async fn send_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.sender.send_to(peer, meta, payload).await
    }

    /// As [`FrameSender::feed`].
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted.
    ///
    /// # Errors
    /// As [`FrameSender::feed`].
    pub async fn feed(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.sender.feed(meta, payload).await
    }

    /// As [`FrameSender::feed_to`].
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted.
    ///
    /// # Errors
    /// As [`FrameSender::feed_to`].
    pub async fn feed_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.sender.feed_to(peer, meta, payload).await
    }

    /// As [`FrameSender::feed_all`].
    ///
    /// # Cancel safety
    /// What a dropped call took from the iterator was accepted.
    ///
    /// # Errors
    /// As [`FrameSender::feed_all`].
    pub async fn feed_all<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        self.sender.feed_all(frames).await
    }

    /// As [`FrameSender::feed_all_to`].
    ///
    /// # Cancel safety
    /// What a dropped call took from the iterator was accepted.
    ///
    /// # Errors
    /// As [`FrameSender::feed_all_to`].
    pub async fn feed_all_to<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        self.sender.feed_all_to(peer, frames).await
    }

    /// As [`FrameSender::end_datagram`].
    pub fn end_datagram(&mut self) {
        self.sender.end_datagram();
    }

    /// As [`FrameSender::flush`].
    ///
    /// # Cancel safety
    /// What a dropped call did not send is left to the next one.
    ///
    /// # Errors
    /// As [`FrameSender::flush`].
    pub async fn flush(&mut self) -> Result<(), SendError> {
        self.sender.flush().await
    }

    /// Both directions at once: to answer frames while they are still borrowed.
    pub fn halves(&mut self) -> (&mut FrameReceiver<F>, &mut FrameSender<F>) {
        (&mut self.receiver, &mut self.sender)
    }

    /// The two directions, for two tasks.
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

    /// The socket: for its addresses and options. Not to receive from, nor to be polled: who waits
    /// here would not be woken then.
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

impl<F: Format + Unpin> Stream for FrameSocket<F> {
    type Item = io::Result<Received<Vec<OwnedFrame<F::Meta>>>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().receiver).poll_next(cx)
    }
}

/// The receiving half of a [`FrameSocket`].
///
/// As a [`Stream`] it yields what [`recv_owned`](Self::recv_owned) does, and never ends.
#[derive(Debug)]
pub struct FrameReceiver<F: Format = V1> {
    endpoint: Arc<Endpoint<UdpSocket>>,
    incoming: Incoming<F>,
    errors: Option<Errors>,
}

/// Waits for an error of a connected socket, which does not make it readable.
struct Errors(Pin<Box<dyn Future<Output = io::Result<Ready>> + Send + Sync>>);

impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Errors")
    }
}

impl<F: Format> FrameReceiver<F> {
    /// Waits for the next datagram, and lends its frames.
    ///
    /// A datagram that was refused is no error but [`Received::Refused`], and a report of the system
    /// that something sent earlier did not arrive is [`Received::Undelivered`], also one that a send
    /// has met: a hostile peer, or one that has gone, ends no loop.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: what it received is there for the next one.
    ///
    /// # Errors
    /// The socket's own. The call can be made again.
    pub async fn recv(&mut self) -> io::Result<Received<Frames<'_, F>>> {
        let arrival = match self.incoming.next() {
            Some(arrival) => arrival,
            None => poll_fn(|cx| self.poll_arrival(cx)).await?,
        };
        Ok(self.incoming.judge(arrival))
    }

    /// The same with frames that do not borrow the receiver.
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_owned(&mut self) -> io::Result<Received<Vec<OwnedFrame<F::Meta>>>> {
        Ok(self.recv().await?.into_owned())
    }

    /// What was counted since the receiver was made.
    pub fn stats(&self) -> RecvStats {
        self.incoming.stats()
    }

    /// The format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.incoming.framing()
    }

    /// The socket: for its addresses and options. Not to receive from, nor to be polled: who waits
    /// here would not be woken then.
    pub fn get_ref(&self) -> &UdpSocket {
        self.endpoint.socket()
    }

    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        let socket = self.endpoint.socket();
        loop {
            if let Some(arrival) = self.incoming.next() {
                return Poll::Ready(Ok(arrival));
            }
            if let Some(report) = self.endpoint.take_report() {
                return Poll::Ready(Ok(Arrival::Undelivered(report)));
            }
            let Poll::Ready(readable) = socket.poll_recv_ready(cx) else {
                give_back(&mut self.incoming);
                return self.poll_report(cx).map_ok(Arrival::Undelivered);
            };
            readable?;
            if !self.incoming.has_slots() {
                self.incoming.set_slots(lend());
            }
            let received = match self.endpoint.has_offload() {
                true => socket.try_io(Interest::READABLE, || self.incoming.recv(&self.endpoint)),
                // Each call looks by itself whether the socket is readable.
                false => self.incoming.recv(&self.endpoint),
            };
            match received {
                Ok(Some(arrival)) => return Poll::Ready(Ok(arrival)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Waits for a report about something sent earlier: the system's, or one that a send meets.
    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<io::Error>> {
        let socket = self.endpoint.socket();
        // Only of a connected socket the system has any.
        while self.endpoint.peer().is_some() {
            let errors = self.errors.get_or_insert_with(|| {
                let endpoint = Arc::clone(&self.endpoint);
                Errors(Box::pin(async move { endpoint.socket().ready(Interest::ERROR).await }))
            });
            let Poll::Ready(ready) = errors.0.as_mut().poll(cx) else { break };
            self.errors = None;
            ready?;
            // Not ready any more, until the next one; "would block" is how to say so.
            let _ = socket.try_io(Interest::ERROR, || {
                Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock))
            });
            if let Ok(Some(report)) = socket.take_error() {
                return Poll::Ready(Ok(report));
            }
        }
        self.endpoint.wake_on_report(cx.waker());
        // One may have come before there was somebody to wake.
        self.endpoint.take_report().map_or(Poll::Pending, |report| Poll::Ready(Ok(report)))
    }
}

impl<F: Format + Unpin> Stream for FrameReceiver<F> {
    type Item = io::Result<Received<Vec<OwnedFrame<F::Meta>>>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let receiver = self.get_mut();
        let arrival = ready!(receiver.poll_arrival(cx))?;
        Poll::Ready(Some(Ok(receiver.incoming.judge(arrival).into_owned())))
    }
}

/// The thread's slots.
fn lend() -> Vec<u8> {
    let shared = SHARED.try_with(Cell::take).unwrap_or_default();
    if shared.is_empty() { vec![0; SLOTS * SLOT_LEN] } else { shared }
}

/// Gives the thread its slots back.
fn give_back<F: Format>(incoming: &mut Incoming<F>) {
    if incoming.has_slots() {
        let slots = incoming.take_slots();
        let _ = SHARED.try_with(|shared| shared.set(slots));
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
    /// # Cancel safety
    /// As [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and [`SendError::NotConnected`].
    pub async fn send(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame for this peer, and flushes. It goes in one datagram with those that were fed
    /// for the peer before, as far as they have room.
    ///
    /// # Cancel safety
    /// The frame of a dropped call was accepted, and then goes with the next flush, or it was not:
    /// where that matters use [`feed_to`](Self::feed_to) and [`flush`](Self::flush).
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to) and [`flush`](Self::flush).
    pub async fn send_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.feed_to(peer, meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame for the peer that the socket was connected to when it was given.
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted.
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to), and [`SendError::NotConnected`].
    #[inline]
    pub async fn feed(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let peer = self.endpoint.peer().ok_or(SendError::NotConnected)?;
        self.feed_to(peer, meta, payload).await
    }

    /// Accepts a frame for this peer. Frames are packed into datagrams, which are collected until
    /// they are as many as one call can send, for each peer apart, or until
    /// [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted.
    ///
    /// # Errors
    /// [`SendError::Encode`] when no datagram can hold the frame: it was not accepted, and nothing is
    /// sent. [`SendError::Full`] when the runtime is shutting down: it was not accepted either.
    /// [`SendError::Lost`] when the system did not send what was accepted before; the frame was
    /// accepted.
    #[inline]
    // An `async fn` copies its arguments when it is polled, and to read an address as a whole that
    // was written in parts a moment ago takes longer than all the rest.
    #[expect(clippy::manual_async_fn, reason = "a block uses what it captures where it is")]
    pub fn feed_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> impl Future<Output = Result<(), SendError>> {
        async move {
            let meta = meta.borrow();
            if self.outgoing.push_now(&peer, meta, payload) {
                return Ok(());
            }
            poll_fn(|cx| self.poll_feed(cx, &peer, meta, payload)).await
        }
    }

    /// As [`feed_all_to`](Self::feed_all_to), for the peer that the socket was connected to when it
    /// was given.
    ///
    /// # Cancel safety
    /// As [`feed_all_to`](Self::feed_all_to).
    ///
    /// # Errors
    /// As [`feed_all_to`](Self::feed_all_to), and [`SendError::NotConnected`].
    pub async fn feed_all<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        let peer = self.endpoint.peer().ok_or(SendError::NotConnected)?;
        self.feed_all_to(peer, frames).await
    }

    /// Accepts many frames for this peer: as [`feed_to`](Self::feed_to) for each, and faster than that.
    ///
    /// A frame is taken from the iterator once there is room for it. So what is left behind an error or a dropped call
    /// is the rest, and can be given again: lend the iterator with [`Iterator::by_ref`].
    ///
    /// # Cancel safety
    /// What a dropped call took from the iterator was accepted.
    ///
    /// # Errors
    /// [`SendError::Encode`] when no datagram can hold a frame: that one was taken from the iterator, and
    /// not accepted. [`SendError::Full`] when the runtime is shutting down, [`SendError::Lost`] when the
    /// system did not send what was accepted before: all frames that were taken were accepted.
    pub async fn feed_all_to<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), SendError> {
        let mut frames = frames.into_iter();
        while !self.outgoing.push_all(&peer, &mut frames)? {
            poll_fn(|cx| self.poll_room(cx, &peer)).await?;
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
    /// # Cancel safety
    /// What a dropped call did not send is left to the next one.
    ///
    /// # Errors
    /// [`SendError::Lost`] when the system did not send a datagram, or a run of them: all others were
    /// sent, and a flush after this one tells the next loss, if there is one. [`SendError::Blocked`]
    /// when the runtime is shutting down.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        self.outgoing.close_all();
        poll_fn(|cx| self.poll_steps(cx, SendError::Blocked)).await
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

    /// The socket: for its addresses and options. Not to receive from, nor to be polled: who waits
    /// here would not be woken then.
    pub fn get_ref(&self) -> &UdpSocket {
        self.endpoint.socket()
    }

    /// Accepts a frame when something has to be sent before, or says why it cannot be accepted.
    #[cold]
    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        peer: &SocketAddr,
        meta: &F::Meta,
        payload: &[u8],
    ) -> Poll<Result<(), SendError>> {
        let header = self.outgoing.check(meta, payload)?;
        let made = ready!(self.poll_room(cx, peer));
        if !matches!(made, Err(SendError::Full(_))) {
            self.outgoing.push(peer, &header, payload);
        }
        Poll::Ready(made)
    }

    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        peer: &SocketAddr,
    ) -> Poll<Result<(), SendError>> {
        self.outgoing.close_for(peer);
        self.poll_steps(cx, SendError::Full)
    }

    /// Sends all that is closed, as soon as the socket takes it, and says what was lost.
    fn poll_steps(
        &mut self,
        cx: &mut Context<'_>,
        failed: fn(io::Error) -> SendError,
    ) -> Poll<Result<(), SendError>> {
        let Self { endpoint, outgoing } = self;
        let socket = endpoint.socket();
        while !outgoing.is_idle() {
            ready!(socket.poll_send_ready(cx)).map_err(failed)?;
            let sent = match endpoint.has_offload() {
                true => socket.try_io(Interest::WRITABLE, || outgoing.steps(&**endpoint)),
                // Each call looks by itself whether the socket is writable.
                false => outgoing.steps(&**endpoint),
            };
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(failed(error)));
                }
                _ => {}
            }
        }
        outgoing.rest();
        Poll::Ready(outgoing.tell())
    }
}

impl Socket for UdpSocket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn recv_one(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.try_recv_from(buf)
    }

    fn send_one(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_send(bytes)
    }

    fn send_one_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.try_send_to(bytes, peer)
    }

    #[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(self)
    }
}
