//! Many datagrams with one call, where the system can: segmentation offload, receive offload and
//! `recvmmsg`, through quinn-udp.

#[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
pub(super) use has::Offload;
#[cfg(not(all(feature = "udp", any(target_os = "linux", target_os = "android"))))]
pub(super) use has_not::Offload;

#[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
mod has {
    use std::io::{self, IoSliceMut};
    use std::net::SocketAddr;
    use std::vec::Vec;

    use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

    use crate::io::udp::endpoint::{Filled, SLOT_LEN, Socket};

    pub(in super::super) struct Offload(UdpSocketState);

    impl Offload {
        /// `None` where the system has none of it after all.
        pub(in super::super) fn new(socket: &impl Socket) -> Option<Self> {
            let fd = socket.fd();
            let inner = socket2::SockRef::from(&fd);
            let nonblocking = inner.nonblocking().ok()?;
            let state = UdpSocketState::new(UdpSockRef::from(&fd));
            // It makes every socket non-blocking.
            inner.set_nonblocking(nonblocking).ok()?;
            state.ok().map(Self)
        }

        pub(in super::super) fn recv(
            &self,
            socket: &impl Socket,
            slots: &mut [u8],
            filled: &mut Vec<Filled>,
        ) -> io::Result<()> {
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut slots = slots.chunks_exact_mut(SLOT_LEN);
            let count = slots.len().min(BATCH_SIZE);
            let mut bufs: [_; BATCH_SIZE] =
                core::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
            let bufs = bufs.get_mut(..count).unwrap_or_default();
            let count = self.0.recv(UdpSockRef::from(&socket.fd()), bufs, &mut metas)?;
            filled.extend(metas.iter().take(count).map(|meta| Filled {
                source: meta.addr,
                len: meta.len,
                segment_len: meta.stride,
            }));
            Ok(())
        }

        pub(in super::super) fn most_segments(&self) -> usize {
            self.0.max_gso_segments()
        }

        pub(in super::super) fn send(
            &self,
            socket: &impl Socket,
            destination: SocketAddr,
            contents: &[u8],
            segment_len: usize,
        ) -> io::Result<()> {
            let segment_size = Some(segment_len);
            let transmit =
                Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
            self.0.try_send(UdpSockRef::from(&socket.fd()), &transmit)
        }

        pub(in super::super) fn is_about_run(&self, error: &io::Error) -> bool {
            // A route whose device cannot do it says so only now; quinn-udp then tries no more.
            self.most_segments() == 1 || quinn_udp::is_msg_size_err(error)
        }
    }
}

#[cfg(not(all(feature = "udp", any(target_os = "linux", target_os = "android"))))]
mod has_not {
    use std::convert::Infallible;
    use std::io;
    use std::net::SocketAddr;
    use std::vec::Vec;

    use crate::io::udp::endpoint::{Filled, Socket};

    pub(in super::super) struct Offload(Infallible);

    impl Offload {
        pub(in super::super) fn new(_: &impl Socket) -> Option<Self> {
            None
        }

        pub(in super::super) fn recv(
            &self,
            _: &impl Socket,
            _: &mut [u8],
            _: &mut Vec<Filled>,
        ) -> io::Result<()> {
            match self.0 {}
        }

        pub(in super::super) fn most_segments(&self) -> usize {
            match self.0 {}
        }

        pub(in super::super) fn send(
            &self,
            _: &impl Socket,
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
