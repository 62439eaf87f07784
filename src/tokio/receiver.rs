//! The receiving half of a datagram socket.

use core::cell::Cell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;
use std::io;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use ::tokio::io::{Interest, Ready};
use ::tokio::net::UdpSocket;
use futures_core::Stream;

use super::datagram_socket::TokioSocket;
use crate::udp::{Arrival, Frames, ReceiveSlots, Received, RecvStats, SLOT_LEN, UdpEndpoint};
use crate::{Format, Framing, OwnedFrame, V1};

/// How many slots one system call can fill.
const SLOTS: usize = 32;

std::thread_local! {
    /// The slots that sockets on this thread receive into, one after the other: those that wait
    /// need none. Only slots that were ever filled take memory.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The receiving half of a [`FrameSocket`](super::FrameSocket).
///
/// As a [`Stream`] it yields what [`recv_owned`](Self::recv_owned) does, and never ends.
///
/// ```
/// use tokio::net::UdpSocket;
/// use unstick::U16Be;
/// use unstick::tokio::{FrameSocket, Received};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = FrameSocket::with_framing(UdpSocket::bind("127.0.0.1:0").await?, U16Be);
/// let own = socket.get_ref().local_addr()?;
/// socket.sender.send_to(own, (), "hello").await?;
/// match socket.receiver.recv().await? {
///     Received::Datagram { source, frames } => {
///         assert_eq!(source, own);
///         assert!(frames.map(|frame| frame.payload).eq([b"hello"]));
///     }
///     Received::Refused { source, error } => eprintln!("{source}: {error}"),
///     Received::Undelivered(error) => eprintln!("{error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReceiver<F: Format = V1> {
    pub(super) endpoint: Arc<UdpEndpoint<TokioSocket>>,
    pub(super) slots: ReceiveSlots<F>,
    pub(super) errors: Option<Errors>,
}

/// Waits for an error of a connected socket, which does not make it readable.
pub(super) struct Errors(Pin<Box<dyn Future<Output = io::Result<Ready>> + Send + Sync>>);

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
