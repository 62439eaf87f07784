//! A UDP socket as both halves of an adapter use it: the same calls with and without offload.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

use super::offload::Offload;
use super::socket::{DatagramSocket, Filled, SLOT_LEN, SegmentSender};

/// A UDP socket, the peer that it is connected to, and its offload.
///
/// The receiving and the sending half share it: in an [`Arc`](std::sync::Arc), say. A system
/// reports to whichever half calls next that something sent earlier did not arrive. A report that a
/// send meets is kept here for the receiver: see [`take_report`](Self::take_report).
pub struct UdpEndpoint<S> {
    socket: S,
    /// The peer that it is connected to.
    peer: Option<SocketAddr>,
    offload: Option<Offload>,
    report: Report,
}

/// The newest report about something sent earlier that a send met, for the receiver.
#[derive(Default)]
struct Report {
    is_there: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    error: Option<io::Error>,
    /// The waker of a receiver that waits.
    waker: Option<Waker>,
}

impl<S: DatagramSocket> UdpEndpoint<S> {
    /// Creates an endpoint, with offload if the system and the socket have it (feature `udp`, on
    /// Linux and Android).
    ///
    /// The peer is the one that the socket is connected to now: connect it before.
    pub fn new(socket: S) -> Self {
        let offload = Offload::new(&socket);
        Self { offload, ..Self::without_offload(socket) }
    }

    /// Creates an endpoint with one system call for each datagram.
    pub fn without_offload(socket: S) -> Self {
        let peer = socket.peer_addr().ok();
        Self { socket, peer, offload: None, report: Report::default() }
    }

    /// Returns the socket.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// Returns the peer that the socket was connected to when the endpoint was created.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Receives once, into as many of the `slots` as the system fills, and puts these in `filled`.
    pub(super) fn recv(&self, slots: &mut [u8], filled: &mut Vec<Filled>) -> io::Result<()> {
        filled.clear();
        if let Some(offload) = &self.offload {
            return offload.recv(&self.socket, slots, filled);
        }
        // One: it stays in the processor's cache, and a call that blocks would wait for more.
        let slot = slots.get_mut(..SLOT_LEN).unwrap_or_default();
        let (len, source) = uninterrupted(|| self.socket.recv_from(slot))?;
        filled.push(Filled { source, len, segment_len: len });
        Ok(())
    }

    /// Returns whether one system call can send or receive several datagrams.
    ///
    /// Such calls use the socket's [`fd`](DatagramSocket::fd) and not its other methods. So a
    /// runtime whose methods note that the socket is no longer ready has to learn that from the
    /// `WouldBlock` that [`ReceiveSlots::receive`](super::ReceiveSlots::receive) and
    /// [`SendQueue::send_closed`](super::SendQueue::send_closed) return.
    pub fn has_offload(&self) -> bool {
        self.offload.is_some()
    }

    fn send_once(&self, peer: SocketAddr, bytes: &[u8], segment_len: usize) -> io::Result<()> {
        if let Some(offload) = self.offload.as_ref().filter(|_| bytes.len() > segment_len) {
            return offload.send(&self.socket, peer, bytes, segment_len);
        }
        uninterrupted(|| match self.peer {
            Some(connected) if connected == peer => self.socket.send(bytes),
            _ => self.socket.send_to(bytes, peer),
        })
        .map(|_all| ())
    }

    /// Returns the newest report that a send met: something sent earlier did not arrive. Each is
    /// returned once.
    pub fn take_report(&self) -> Option<io::Error> {
        if !self.report.is_there.load(Ordering::Acquire) {
            return None;
        }
        self.report.lock(|held| {
            self.report.is_there.store(false, Ordering::Release);
            held.error.take()
        })
    }

    /// Registers the waker of a receiver that waits, to be woken once a send meets a report. It
    /// replaces the one before.
    ///
    /// Call [`take_report`](Self::take_report) afterwards: a report may have come before the waker.
    pub fn wake_on_report(&self, waker: &Waker) {
        self.report.lock(|held| match &mut held.waker {
            Some(held) => held.clone_from(waker),
            none => *none = Some(waker.clone()),
        });
    }
}

impl<S: DatagramSocket> SegmentSender for UdpEndpoint<S> {
    fn max_segments(&self) -> usize {
        self.offload.as_ref().map_or(1, Offload::max_segments)
    }

    fn send_segments(
        &self,
        peer: SocketAddr,
        bytes: &[u8],
        segment_len: usize,
    ) -> io::Result<bool> {
        // A forged source can have port 0. quinn-udp would take the system's error for an answer to
        // it as an error of offload, and stop using offload.
        if peer.port() == 0 {
            let text = "nobody can be sent to at port 0";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        match self.send_once(peer, bytes, segment_len) {
            Err(error) if is_report(&error) => {
                self.report.put(error);
                self.send_once(peer, bytes, segment_len).map(|()| true)
            }
            result => result.map(|()| false),
        }
    }

    fn is_about_run(&self, error: &io::Error) -> bool {
        self.offload.as_ref().is_some_and(|offload| offload.is_about_run(error))
    }
}

impl Report {
    fn put(&self, error: io::Error) {
        let waker = self.lock(|held| {
            held.error = Some(error);
            self.is_there.store(true, Ordering::Release);
            held.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock<T>(&self, work: impl FnOnce(&mut Held) -> T) -> T {
        // Nothing panics under this lock.
        work(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: fmt::Debug> fmt::Debug for UdpEndpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpEndpoint")
            .field("socket", &self.socket)
            .field("peer", &self.peer)
            .field("offload", &self.offload.is_some())
            .finish_non_exhaustive()
    }
}

/// Returns whether the error is a report that something sent earlier did not arrive, and not about
/// this call.
pub(super) fn is_report(error: &io::Error) -> bool {
    // The second is what Windows reports.
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
