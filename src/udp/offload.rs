//! Many datagrams with one system call, if the system can: segmentation offload, receive offload
//! and `recvmmsg`, through quinn-udp.

#[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
pub(super) use has::Offload;
#[cfg(not(all(feature = "udp", any(target_os = "linux", target_os = "android"))))]
pub(super) use has_not::Offload;

#[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
mod has {
    use std::io::{self, IoSliceMut};
    use std::net::SocketAddr;
    use std::os::fd::BorrowedFd;
    use std::vec::Vec;

    use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

    use crate::udp::socket::{DatagramSocket, Filled, SLOT_LEN};

    pub(in super::super) struct Offload(UdpSocketState);

    impl Offload {
        /// Returns `None` if the socket has no file descriptor, or the system no offload.
        pub(in super::super) fn new(socket: &impl DatagramSocket) -> Option<Self> {
            let fd = socket.fd()?;
            let inner = socket2::SockRef::from(&fd);
            let nonblocking = inner.nonblocking().ok()?;
            let state = UdpSocketState::new(UdpSockRef::from(&fd));
            // It makes every socket non-blocking.
            inner.set_nonblocking(nonblocking).ok()?;
            state.ok().map(Self)
        }

        pub(in super::super) fn recv(
            &self,
            socket: &impl DatagramSocket,
            slots: &mut [u8],
            filled: &mut Vec<Filled>,
        ) -> io::Result<()> {
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut slots = slots.chunks_exact_mut(SLOT_LEN);
            let count = slots.len().min(BATCH_SIZE);
            let mut bufs: [_; BATCH_SIZE] =
                core::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
            let bufs = bufs.get_mut(..count).unwrap_or_default();
            let count = self.0.recv(UdpSockRef::from(&fd_of(socket)?), bufs, &mut metas)?;
            filled.extend(metas.iter().take(count).map(|meta| Filled {
                source: meta.addr,
                len: meta.len,
                segment_len: meta.stride,
            }));
            Ok(())
        }

        pub(in super::super) fn max_segments(&self) -> usize {
            self.0.max_gso_segments()
        }

        pub(in super::super) fn send(
            &self,
            socket: &impl DatagramSocket,
            destination: SocketAddr,
            contents: &[u8],
            segment_len: usize,
        ) -> io::Result<()> {
            let segment_size = Some(segment_len);
            let transmit =
                Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
            self.0.try_send(UdpSockRef::from(&fd_of(socket)?), &transmit)
        }

        pub(in super::super) fn is_about_run(&self, error: &io::Error) -> bool {
            // Only now there is an error if the route's device has no segmentation offload;
            // quinn-udp then uses it no more.
            self.max_segments() == 1 || error.raw_os_error() == Some(libc::EMSGSIZE)
        }
    }

    /// The descriptor that was there when the offload was set up.
    fn fd_of(socket: &impl DatagramSocket) -> io::Result<BorrowedFd<'_>> {
        socket.fd().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

#[cfg(not(all(feature = "udp", any(target_os = "linux", target_os = "android"))))]
mod has_not {
    use std::convert::Infallible;
    use std::io;
    use std::net::SocketAddr;
    use std::vec::Vec;

    use crate::udp::socket::{DatagramSocket, Filled};

    pub(in super::super) struct Offload(Infallible);

    impl Offload {
        pub(in super::super) fn new(_: &impl DatagramSocket) -> Option<Self> {
            None
        }

        pub(in super::super) fn recv(
            &self,
            _: &impl DatagramSocket,
            _: &mut [u8],
            _: &mut Vec<Filled>,
        ) -> io::Result<()> {
            match self.0 {}
        }

        pub(in super::super) fn max_segments(&self) -> usize {
            match self.0 {}
        }

        pub(in super::super) fn send(
            &self,
            _: &impl DatagramSocket,
            _: SocketAddr,
            _: &[u8],
            _: usize,
        ) -> io::Result<()> {
            match self.0 {}
        }

        pub(in super::super) fn is_about_run(&self, _: &io::Error) -> bool {
            match self.0 {}
        }
    }
}
