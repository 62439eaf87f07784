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

use crate::udp::{
    Arrival, DatagramSendError, DatagramSocket, Frames, ReceiveSlots, Received, RecvStats,
    SLOT_LEN, SendQueue, SendStats, UdpEndpoint,
};
use crate::{Format, Framing, OwnedFrame, V1};

/// How many slots one system call can fill.
const SLOTS: usize = 32;

std::thread_local! {
    /// The slots that sockets on this thread receive into, one after the other: those that wait
    /// need none. Only slots that were ever filled take memory.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Sends and receives frames in datagrams over tokio's [`UdpSocket`], bound or connected, IPv4 or
/// IPv6.
///
/// Frames for one peer are packed into datagrams of at most 1,200 bytes, unless
/// [`with_datagram_limit`](Self::with_datagram_limit) sets another limit. A datagram is accepted or
/// refused as a whole. A refused one is reported, and changes nothing for the next (spec, chapter
/// 8). While it waits, it holds no receive buffer.
///
/// With the feature `udp`, on Linux and Android, one system call sends or receives many datagrams;
/// without it, there is one for each. With it, receive only through this type and not from the
/// socket itself, since the system may return several datagrams as one; and the system refuses a
/// datagram that is longer than the interface can carry as too long, instead of fragmenting it.
///
/// It consists of its two halves: borrow both fields at once to answer frames while they are
/// borrowed.
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
/// # let Received::Datagram { frames, .. } = ours.recv().await? else { panic!() };
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

impl<F: Format> FrameSocket<F> {
    /// Creates a socket for frames of this format and limit, in both directions.
    pub fn with_framing(socket: UdpSocket, framing: impl Into<Framing<F>>) -> Self
    where
        F: Clone,
    {
        Self::over(UdpEndpoint::new(TokioSocket(socket)), framing.into())
    }

    /// Creates the same socket with one system call for each datagram, even if the system has
    /// offload: for a system whose offload is broken, and to measure what offload gains.
    pub fn without_offload(socket: UdpSocket, framing: impl Into<Framing<F>>) -> Self
    where
        F: Clone,
    {
        Self::over(UdpEndpoint::without_offload(TokioSocket(socket)), framing.into())
    }

    fn over(endpoint: UdpEndpoint<TokioSocket>, framing: Framing<F>) -> Self
    where
        F: Clone,
    {
        let endpoint = Arc::new(endpoint);
        let slots = ReceiveSlots::new(framing.clone());
        let receiver = FrameReceiver { endpoint: Arc::clone(&endpoint), slots, errors: None };
        let sender = FrameSender { endpoint, queue: SendQueue::new(framing) };
        Self { receiver, sender }
    }

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
    ) -> Result<(), DatagramSendError> {
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
    ) -> Result<(), DatagramSendError> {
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
    ) -> Result<(), DatagramSendError> {
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
    ) -> Result<(), DatagramSendError> {
        self.sender.feed_to(peer, meta, payload).await
    }

    /// As [`FrameSender::feed_all`].
    ///
    /// # Cancel safety
    /// The frames that a dropped call took from the iterator were accepted.
    ///
    /// # Errors
    /// As [`FrameSender::feed_all`].
    pub async fn feed_all<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), DatagramSendError> {
        self.sender.feed_all(frames).await
    }

    /// As [`FrameSender::feed_all_to`].
    ///
    /// # Cancel safety
    /// The frames that a dropped call took from the iterator were accepted.
    ///
    /// # Errors
    /// As [`FrameSender::feed_all_to`].
    pub async fn feed_all_to<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), DatagramSendError> {
        self.sender.feed_all_to(peer, frames).await
    }

    /// As [`FrameSender::end_datagram`].
    pub fn end_datagram(&mut self) {
        self.sender.end_datagram();
    }

    /// As [`FrameSender::flush`].
    ///
    /// # Cancel safety
    /// The next call sends what a dropped call did not.
    ///
    /// # Errors
    /// As [`FrameSender::flush`].
    pub async fn flush(&mut self) -> Result<(), DatagramSendError> {
        self.sender.flush().await
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
    #[cfg(feature = "udp")]
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<usize> {
        let socket = socket2::SockRef::from(self.get_ref());
        socket.set_recv_buffer_size(bytes)?;
        socket.recv_buffer_size()
    }

    /// Asks the system for a send buffer of `bytes` bytes. Returns how many bytes it has then.
    ///
    /// # Errors
    /// The system's own.
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
    endpoint: Arc<UdpEndpoint<TokioSocket>>,
    slots: ReceiveSlots<F>,
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
    /// Waits for the next datagram, and returns it with its frames, which borrow the receiver.
    ///
    /// A refused datagram is not an error but [`Received::Refused`], and a report of the system
    /// that something sent earlier did not arrive, also one that a send met, is
    /// [`Received::Undelivered`]: so neither a hostile peer nor one that is gone ends a receive
    /// loop.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one returns what it received.
    ///
    /// # Errors
    /// The socket's own. The call can be made again.
    pub async fn recv(&mut self) -> io::Result<Received<Frames<'_, F>>> {
        let arrival = match self.slots.next_arrival() {
            Some(arrival) => arrival,
            None => poll_fn(|cx| self.poll_arrival(cx)).await?,
        };
        Ok(self.slots.deliver(arrival))
    }

    /// Waits for the next datagram, and returns it with frames that do not borrow the receiver.
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_owned(&mut self) -> io::Result<Received<Vec<OwnedFrame<F::Meta>>>> {
        Ok(self.recv().await?.into_owned())
    }

    /// Returns what was counted since the receiver was created.
    pub fn stats(&self) -> RecvStats {
        self.slots.stats()
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.slots.framing()
    }

    /// Returns the socket: for its addresses and options. Do not receive from it or poll it: a call
    /// of this type that waits would not be woken then.
    pub fn get_ref(&self) -> &UdpSocket {
        &self.endpoint.socket().0
    }

    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        let socket = &self.endpoint.socket().0;
        loop {
            if let Some(arrival) = self.slots.next_arrival() {
                return Poll::Ready(Ok(arrival));
            }
            if let Some(report) = self.endpoint.take_report() {
                return Poll::Ready(Ok(Arrival::undelivered(report)));
            }
            let Poll::Ready(readable) = socket.poll_recv_ready(cx) else {
                give_back(&mut self.slots);
                return self.poll_report(cx).map_ok(Arrival::undelivered);
            };
            readable?;
            if !self.slots.has_slots() {
                self.slots.provide_slots(shared_slots());
            }
            let received = match self.endpoint.has_offload() {
                true => socket.try_io(Interest::READABLE, || self.slots.receive(&self.endpoint)),
                // Each call of the socket checks itself whether it is readable.
                false => self.slots.receive(&self.endpoint),
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
        let socket = &self.endpoint.socket().0;
        // The system has reports of connected sockets only.
        while self.endpoint.peer().is_some() {
            let errors = self.errors.get_or_insert_with(|| {
                let endpoint = Arc::clone(&self.endpoint);
                Errors(Box::pin(async move { endpoint.socket().0.ready(Interest::ERROR).await }))
            });
            let Poll::Ready(ready) = errors.0.as_mut().poll(cx) else { break };
            self.errors = None;
            ready?;
            // "Would block" tells tokio that the socket is not ready until the next error.
            let _ = socket.try_io(Interest::ERROR, || {
                Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock))
            });
            if let Ok(Some(report)) = socket.take_error() {
                return Poll::Ready(Ok(report));
            }
        }
        self.endpoint.wake_on_report(cx.waker());
        // A report may have come before the waker was registered.
        self.endpoint.take_report().map_or(Poll::Pending, |report| Poll::Ready(Ok(report)))
    }
}

impl<F: Format + Unpin> Stream for FrameReceiver<F> {
    type Item = io::Result<Received<Vec<OwnedFrame<F::Meta>>>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let receiver = self.get_mut();
        let arrival = ready!(receiver.poll_arrival(cx))?;
        Poll::Ready(Some(Ok(receiver.slots.deliver(arrival).into_owned())))
    }
}

/// Takes the thread's slots.
fn shared_slots() -> Vec<u8> {
    let shared = SHARED.try_with(Cell::take).unwrap_or_default();
    if shared.is_empty() { vec![0; SLOTS * SLOT_LEN] } else { shared }
}

/// Gives the thread its slots back.
fn give_back<F: Format>(receiver: &mut ReceiveSlots<F>) {
    if receiver.has_slots() {
        let slots = receiver.take_slots();
        let _ = SHARED.try_with(|shared| shared.set(slots));
    }
}

/// The sending half of a [`FrameSocket`].
///
/// Frames that were accepted and not sent yet are lost when it is dropped: flush it before.
#[derive(Debug)]
pub struct FrameSender<F: Format = V1> {
    endpoint: Arc<UdpEndpoint<TokioSocket>>,
    queue: SendQueue<F>,
}

impl<F: Format> FrameSender<F> {
    /// Accepts a frame for the peer that the socket was connected to when this was created, and
    /// flushes.
    ///
    /// # Cancel safety
    /// As [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to), and [`DatagramSendError::NotConnected`].
    pub async fn send(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), DatagramSendError> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame for this peer, and flushes. The frame is sent in one datagram with those
    /// that were fed for the peer before, if they have room.
    ///
    /// # Cancel safety
    /// The frame of a dropped call either was accepted, and is sent by the next flush, or was not.
    /// If that matters, use [`feed_to`](Self::feed_to) and [`flush`](Self::flush).
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to) and [`flush`](Self::flush).
    pub async fn send_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), DatagramSendError> {
        self.feed_to(peer, meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame for the peer that the socket was connected to when this was created.
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted.
    ///
    /// # Errors
    /// As [`feed_to`](Self::feed_to), and [`DatagramSendError::NotConnected`].
    #[inline]
    pub async fn feed(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), DatagramSendError> {
        let peer = self.endpoint.peer().ok_or(DatagramSendError::NotConnected)?;
        self.feed_to(peer, meta, payload).await
    }

    /// Accepts a frame for this peer. Frames are packed into datagrams, for each peer separately,
    /// which are collected until there are as many as one system call can send, or until
    /// [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted.
    ///
    /// # Errors
    /// [`DatagramSendError::Encode`] if no datagram can hold the frame: it was not accepted, and
    /// nothing is sent. [`DatagramSendError::Full`] if the runtime is shutting down: it was not
    /// accepted either. [`DatagramSendError::Lost`] if the system did not send what was accepted
    /// before; the frame was accepted.
    #[inline]
    // An `async fn` copies its arguments when it is polled, and reading an address as a whole that
    // was written in parts just before takes longer than everything else here.
    #[expect(clippy::manual_async_fn, reason = "a block uses what it captures where it is")]
    pub fn feed_to(
        &mut self,
        peer: SocketAddr,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> impl Future<Output = Result<(), DatagramSendError>> {
        async move {
            let meta = meta.borrow();
            if self.queue.try_push(&peer, meta, payload) {
                return Ok(());
            }
            poll_fn(|cx| self.poll_feed(cx, &peer, meta, payload)).await
        }
    }

    /// As [`feed_all_to`](Self::feed_all_to), for the peer that the socket was connected to when
    /// this was created.
    ///
    /// # Cancel safety
    /// As [`feed_all_to`](Self::feed_all_to).
    ///
    /// # Errors
    /// As [`feed_all_to`](Self::feed_all_to), and [`DatagramSendError::NotConnected`].
    pub async fn feed_all<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), DatagramSendError> {
        let peer = self.endpoint.peer().ok_or(DatagramSendError::NotConnected)?;
        self.feed_all_to(peer, frames).await
    }

    /// Accepts many frames for this peer: like [`feed_to`](Self::feed_to) for each, but faster.
    ///
    /// A frame is taken from the iterator once there is room for it. So after an error or a dropped
    /// call the iterator has the frames that were not accepted, and can be passed again: pass it
    /// with [`Iterator::by_ref`].
    ///
    /// # Cancel safety
    /// The frames that a dropped call took from the iterator were accepted.
    ///
    /// # Errors
    /// [`DatagramSendError::Encode`] if no datagram can hold a frame: that one was taken from the
    /// iterator, and not accepted. [`DatagramSendError::Full`] if the runtime is shutting down,
    /// [`DatagramSendError::Lost`] if the system did not send what was accepted before: all frames
    /// that were taken were accepted.
    pub async fn feed_all_to<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> Result<(), DatagramSendError> {
        let mut frames = frames.into_iter();
        while !self.queue.push_all(&peer, &mut frames)? {
            poll_fn(|cx| self.poll_room(cx, &peer)).await?;
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
    /// # Cancel safety
    /// The next call sends what a dropped call did not.
    ///
    /// # Errors
    /// [`DatagramSendError::Lost`] if the system did not send a datagram, or several at once: all
    /// others were sent, and the next flush reports the next loss, if there is one.
    /// [`DatagramSendError::Blocked`] if the runtime is shutting down.
    pub async fn flush(&mut self) -> Result<(), DatagramSendError> {
        self.queue.close_all();
        poll_fn(|cx| self.poll_steps(cx, DatagramSendError::Blocked)).await
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

    /// Returns the socket: for its addresses and options. Do not receive from it or poll it: a call
    /// of this type that waits would not be woken then.
    pub fn get_ref(&self) -> &UdpSocket {
        &self.endpoint.socket().0
    }

    /// Accepts a frame after making room for it, or returns why it cannot be accepted.
    #[cold]
    fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        peer: &SocketAddr,
        meta: &F::Meta,
        payload: &[u8],
    ) -> Poll<Result<(), DatagramSendError>> {
        let frame = self.queue.check(meta, payload)?;
        let made = ready!(self.poll_room(cx, peer));
        if !matches!(made, Err(DatagramSendError::Full(_))) {
            self.queue.push(peer, &frame);
        }
        Poll::Ready(made)
    }

    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        peer: &SocketAddr,
    ) -> Poll<Result<(), DatagramSendError>> {
        self.queue.close_for(peer);
        self.poll_steps(cx, DatagramSendError::Full)
    }

    /// Sends all closed datagrams, as soon as the socket takes them, and reports the next loss.
    fn poll_steps(
        &mut self,
        cx: &mut Context<'_>,
        failed: fn(io::Error) -> DatagramSendError,
    ) -> Poll<Result<(), DatagramSendError>> {
        let Self { endpoint, queue } = self;
        let socket = &endpoint.socket().0;
        while !queue.is_idle() {
            ready!(socket.poll_send_ready(cx)).map_err(failed)?;
            let sent = match endpoint.has_offload() {
                true => socket.try_io(Interest::WRITABLE, || queue.send_closed(&**endpoint)),
                // Each call of the socket checks itself whether it is writable.
                false => queue.send_closed(&**endpoint),
            };
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(failed(error)));
                }
                _ => {}
            }
        }
        queue.release_idle();
        Poll::Ready(queue.report_loss())
    }
}

/// tokio's socket in a type of this module: the trait and the socket are from other ones.
#[derive(Debug)]
struct TokioSocket(UdpSocket);

impl DatagramSocket for TokioSocket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.try_recv_from(buf)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_send(bytes)
    }

    fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.0.try_send_to(bytes, peer)
    }

    #[cfg(unix)]
    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.0))
    }
}
