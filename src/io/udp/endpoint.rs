//! A UDP socket as both adapters use it: the same calls, whether the system has batches or not.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

use super::offload::Offload;
use super::outbox::Wire;

/// The bytes of a receive slot: more than any datagram has, and as many as a run of them can have
/// that receive offload puts together. So no datagram is cut by its slot without a word.
pub(crate) const SLOT_LEN: usize = 65_535;

/// A socket, of std or of tokio.
pub(crate) trait Socket {
    fn peer_addr(&self) -> io::Result<SocketAddr>;
    fn recv_one(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    /// To the peer that the socket is connected to.
    fn send_one(&self, bytes: &[u8]) -> io::Result<usize>;
    fn send_one_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize>;
    #[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl Socket for UdpSocket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn recv_one(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buf)
    }

    fn send_one(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn send_one_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.send_to(bytes, peer)
    }

    #[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(self)
    }
}

/// A slot that was filled: one datagram, or several of `segment_len` bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    pub(crate) source: SocketAddr,
    pub(crate) len: usize,
    pub(crate) segment_len: usize,
}

/// A socket, and what is known of it.
pub(crate) struct Endpoint<S> {
    socket: S,
    /// Whom it is connected to.
    peer: Option<SocketAddr>,
    offload: Option<Offload>,
    report: Report,
}

/// The newest report about something sent earlier that a send has met, for the receiver.
#[derive(Default)]
struct Report {
    is_there: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    error: Option<io::Error>,
    /// Of a receiver that waits.
    waker: Option<Waker>,
}

impl<S: Socket> Endpoint<S> {
    pub(crate) fn new(socket: S) -> Self {
        let offload = Offload::new(&socket);
        Self { offload, ..Self::without_offload(socket) }
    }

    pub(crate) fn without_offload(socket: S) -> Self {
        let peer = socket.peer_addr().ok();
        Self { socket, peer, offload: None, report: Report::default() }
    }

    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Receives once, into as many of the `slots` as the system fills, and says which.
    pub(crate) fn recv(&self, slots: &mut [u8], filled: &mut Vec<Filled>) -> io::Result<()> {
        filled.clear();
        if let Some(offload) = &self.offload {
            return offload.recv(&self.socket, slots, filled);
        }
        // One: it stays in the processor's cache, and a call that blocks would wait for more.
        let slot = slots.get_mut(..SLOT_LEN).unwrap_or_default();
        let (len, source) = uninterrupted(|| self.socket.recv_one(slot))?;
        filled.push(Filled { source, len, segment_len: len });
        Ok(())
    }

    /// Whether one call can receive several datagrams.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_offload(&self) -> bool {
        self.offload.is_some()
    }

    fn send_once(&self, peer: SocketAddr, bytes: &[u8], segment_len: usize) -> io::Result<()> {
        if bytes.len() > segment_len
            && let Some(offload) = &self.offload
        {
            return offload.send(&self.socket, peer, bytes, segment_len);
        }
        uninterrupted(|| match self.peer {
            Some(connected) if connected == peer => self.socket.send_one(bytes),
            _ => self.socket.send_one_to(bytes, peer),
        })
        .map(|_all| ())
    }

    /// The newest report that a send has met.
    pub(crate) fn take_report(&self) -> Option<io::Error> {
        if !self.report.is_there.load(Ordering::Acquire) {
            return None;
        }
        self.report.lock(|held| {
            self.report.is_there.store(false, Ordering::Release);
            held.error.take()
        })
    }

    /// Has a receiver that waits woken when a send meets a report. To be asked for one afterwards.
    #[cfg(feature = "tokio")]
    pub(crate) fn wake_on_report(&self, waker: &Waker) {
        self.report.lock(|held| match &mut held.waker {
            Some(held) => held.clone_from(waker),
            none => *none = Some(waker.clone()),
        });
    }
}

impl<S: Socket> Wire for Endpoint<S> {
    fn most_segments(&self) -> usize {
        self.offload.as_ref().map_or(1, Offload::most_segments)
    }

    fn send(&self, peer: SocketAddr, bytes: &[u8], segment_len: usize) -> io::Result<bool> {
        // Such a source can be forged, and what a system says to an answer, quinn-udp takes for the
        // end of its offload.
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

impl<S: fmt::Debug> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("socket", &self.socket)
            .field("peer", &self.peer)
            .field("offload", &self.offload.is_some())
            .finish_non_exhaustive()
    }
}

/// Whether it says that something sent earlier did not arrive, and nothing of this call.
pub(crate) fn is_report(error: &io::Error) -> bool {
    // The second is how Windows puts it.
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
