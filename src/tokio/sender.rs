//! The sending half of a datagram socket.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ::tokio::io::Interest;
use ::tokio::net::UdpSocket;

use super::datagram_socket::TokioSocket;
use crate::udp::{DatagramSendError, SendQueue, SendStats, UdpEndpoint};
use crate::{AsMeta, Format, Framing, V1};

type SendResult = Result<(), DatagramSendError>;

/// The sending half of a [`FrameSocket`](super::FrameSocket).
///
/// Frames that were accepted and not sent yet are lost when it is dropped: flush it before.
///
/// ```
/// use tokio::net::UdpSocket;
/// use unstick::U16Be;
/// use unstick::tokio::FrameSocket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let peer = UdpSocket::bind("127.0.0.1:0").await?;
/// let mut socket = FrameSocket::with_framing(UdpSocket::bind("127.0.0.1:0").await?, U16Be);
/// socket.sender.feed_to(peer.local_addr()?, (), "one").await?; // collected
/// socket.sender.send_to(peer.local_addr()?, (), "two").await?; // and sent, in one datagram
/// let mut datagram = [0; 100];
/// let len = peer.recv(&mut datagram).await?;
/// assert_eq!(datagram[..len], *b"\0\x03one\0\x03two");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameSender<F: Format = V1> {
    pub(super) endpoint: Arc<UdpEndpoint<TokioSocket>>,
    pub(super) queue: SendQueue<F>,
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
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> SendResult {
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
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> SendResult {
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
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> SendResult {
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
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> impl Future<Output = SendResult> {
        async move {
            let (meta, payload) = (meta.as_meta(), payload.as_ref());
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
    pub async fn feed_all<M: AsMeta<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> SendResult {
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
    pub async fn feed_all_to<M: AsMeta<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: SocketAddr,
        frames: impl IntoIterator<Item = (M, P)>,
    ) -> SendResult {
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
    pub async fn flush(&mut self) -> SendResult {
        self.queue.close_all();
        poll_fn(|cx| self.poll_steps(cx, DatagramSendError::Blocked)).await
    }

    /// Returns what was counted since the sender was created.
    pub fn stats(&self) -> SendStats {
        self.queue.stats()
    }

    /// Returns the newest report that something sent earlier did not arrive, if a send met one: for
    /// programs that never receive. Others get it from [`FrameReceiver::recv`](super::FrameReceiver::recv).
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
    ) -> Poll<SendResult> {
        let frame = self.queue.check(meta, payload)?;
        let made = ready!(self.poll_room(cx, peer));
        if !matches!(made, Err(DatagramSendError::Full(_))) {
            self.queue.push(peer, &frame);
        }
        Poll::Ready(made)
    }

    fn poll_room(&mut self, cx: &mut Context<'_>, peer: &SocketAddr) -> Poll<SendResult> {
        self.queue.close_for(peer);
        self.poll_steps(cx, DatagramSendError::Full)
    }

    /// Sends all closed datagrams, as soon as the socket takes them, and reports the next loss.
    fn poll_steps(
        &mut self,
        cx: &mut Context<'_>,
        failed: fn(io::Error) -> DatagramSendError,
    ) -> Poll<SendResult> {
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
