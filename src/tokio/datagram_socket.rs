//! tokio's UDP socket, as the engine for datagrams uses it.

use std::io;
use std::net::SocketAddr;

use ::tokio::net::UdpSocket;

use crate::udp::DatagramSocket;

/// tokio's socket in a type of this module: the trait and the socket are from other ones.
#[derive(Debug)]
pub(super) struct TokioSocket(pub(super) UdpSocket);

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
