//! The traits between this module and its sockets.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// The length of a receive slot in bytes: more than any datagram has, and as many as receive
/// offload puts together at most. So a slot never cuts a datagram without that being noticed.
pub const SLOT_LEN: usize = 65_535;

/// The system calls of a UDP socket, blocking or not.
///
/// None of them waits on a non-blocking socket: the error is then
/// [`WouldBlock`](io::ErrorKind::WouldBlock). A call that a signal interrupted returns
/// [`Interrupted`](io::ErrorKind::Interrupted), and is repeated by the caller.
pub trait DatagramSocket {
    /// Returns the peer that the socket is connected to.
    ///
    /// # Errors
    /// The socket is not connected, or the system's own.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Receives one datagram into `buf`. Returns its length and source. Bytes that have no room in
    /// `buf` are discarded.
    ///
    /// # Errors
    /// The system's own. `ConnectionRefused` and `ConnectionReset` are taken for a report that
    /// something sent earlier did not arrive.
    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends one datagram to the peer that the socket is connected to.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Sends one datagram to `peer`.
    ///
    /// # Errors
    /// The system's own. `ConnectionRefused` and `ConnectionReset` are taken for a report that
    /// something sent earlier did not arrive, and this datagram is sent again.
    fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize>;

    /// Returns the socket's file descriptor, which offload needs (feature `udp`, on Linux and
    /// Android). Without one, which is the default, there is one system call for each datagram.
    #[cfg(unix)]
    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

impl DatagramSocket for UdpSocket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buf)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.send_to(bytes, peer)
    }

    #[cfg(unix)]
    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        Some(std::os::fd::AsFd::as_fd(self))
    }
}

/// What a [`SendQueue`](super::SendQueue) sends datagrams with: a
/// [`UdpEndpoint`](super::UdpEndpoint), or in tests something else.
pub trait SegmentSender {
    /// Returns how many datagrams one call can send at most.
    fn max_segments(&self) -> usize;

    /// Sends the datagrams in `bytes` to `peer`. Each has `segment_len` bytes; the last may have
    /// fewer.
    ///
    /// Returns `true` if the system was called twice, because its first answer was a report about
    /// something sent earlier. Such a report is for the receiver.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut) if
    /// nothing can be sent now. After any other error these datagrams are lost, unless
    /// [`is_about_run`](Self::is_about_run).
    fn send_segments(&self, peer: SocketAddr, bytes: &[u8], segment_len: usize)
    -> io::Result<bool>;

    /// Returns whether several datagrams failed with this error because one call had them all: each
    /// may pass alone.
    fn is_about_run(&self, error: &io::Error) -> bool;
}

/// A slot that was filled: one datagram, or several of `segment_len` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    pub(super) source: SocketAddr,
    pub(super) len: usize,
    pub(super) segment_len: usize,
}
