//! Listening TCP and Unix sockets.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};

use crate::addr::{Addr, Halves, halves, resolve};
use crate::listen::places::Network;
use crate::term::output::{Failure, note};

/// How many free ports are tried for one that is free at every address.
const MAX_PORTS: usize = 16;

/// The listening sockets of an address.
pub(crate) enum Listener {
    Tcp(Vec<TcpListener>),
    #[cfg(unix)]
    Unix(unix::Socket),
}

impl Listener {
    pub(crate) async fn bind(addr: &Addr) -> Result<Self, Failure> {
        match addr {
            Addr::Tcp { host, port } => {
                let bound = match resolve(host, *port).await {
                    Ok(addrs) => bind_all(&addrs, bind, TcpListener::local_addr).await,
                    Err(error) => Err(error),
                };
                // On Unix it sets SO_REUSEADDR, so a restart need not wait for old connections.
                match bound {
                    Ok(listeners) => {
                        #[cfg(unix)]
                        listeners.iter().for_each(unix::lengthen_backlog);
                        Ok(Self::Tcp(listeners))
                    }
                    Err(error) => Err(cannot_bind(addr, &error)),
                }
            }
            // Datagrams are handled in `udp`.
            Addr::Udp { .. } => Err(Failure::job("datagrams make no connections")),
            #[cfg(unix)]
            Addr::Unix(path) => unix::Socket::bind(path)
                .await
                .map(Self::Unix)
                .map_err(|why| Failure::job(format!("cannot listen on {addr}: {why}"))),
            #[cfg(not(unix))]
            Addr::Unix(_) => Err(Failure::job("this system has no Unix sockets")),
        }
    }

    /// Returns the addresses, with the port that the system chose.
    pub(crate) fn local_addrs(&self) -> Vec<String> {
        match self {
            Self::Tcp(listeners) => listeners
                .iter()
                .map(|listener| {
                    listener.local_addr().map_or_else(|_| "?".to_owned(), |addr| addr.to_string())
                })
                .collect(),
            #[cfg(unix)]
            Self::Unix(socket) => vec![format!("unix:{}", socket.path().display())],
        }
    }

    /// Returns an address at which senders reach the listener, as far as this machine knows its own.
    pub(crate) fn reachable_at(&self) -> String {
        match self {
            Self::Tcp(listeners) => listeners
                .first()
                .and_then(|listener| listener.local_addr().ok())
                .map_or_else(|| "HOST:PORT".to_owned(), |addr| reachable(addr).to_string()),
            #[cfg(unix)]
            Self::Unix(socket) => format!("unix:{}", socket.path().display()),
        }
    }

    /// Returns whether other machines can connect.
    pub(crate) fn is_open_to_the_network(&self) -> bool {
        match self {
            Self::Tcp(listeners) => listeners.iter().any(|listener| {
                listener.local_addr().is_ok_and(|addr| !addr.ip().to_canonical().is_loopback())
            }),
            #[cfg(unix)]
            Self::Unix(_) => false,
        }
    }

    /// Accepts the next connection. `number` names a peer without an address.
    pub(crate) async fn accept(&self, number: u64) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listeners) => {
                let (stream, peer) = accept_any(listeners, number).await?;
                let network = Network::of(peer.ip());
                Ok(Accepted { halves: halves(stream), peer: peer.to_string(), network })
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (halves, network) = socket.accept().await?;
                Ok(Accepted { halves, peer: format!("unix#{number}"), network })
            }
        }
    }
}

/// Binds a socket. The address `[::]` takes IPv4, too, whatever the system's default is.
async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    #[cfg(unix)]
    if is_any_v6(addr) {
        let socket = tokio::net::TcpSocket::new_v6()?;
        socket.set_reuseaddr(true)?;
        let _ = rustix::net::sockopt::set_ipv6_v6only(&socket, false);
        socket.bind(addr)?;
        return socket.listen(1024); // it is lengthened later
    }
    TcpListener::bind(addr).await
}

#[cfg(unix)]
pub(super) fn is_any_v6(addr: SocketAddr) -> bool {
    addr.is_ipv6() && addr.ip().is_unspecified()
}

/// Accepts a connection at any of the sockets. They take turns, so that none is starved.
async fn accept_any(listeners: &[TcpListener], number: u64) -> io::Result<(TcpStream, SocketAddr)> {
    let turn = usize::try_from(number).unwrap_or(0).checked_rem(listeners.len()).unwrap_or(0);
    poll_fn(|cx| {
        let (after, first) = listeners.split_at_checked(turn).unwrap_or((listeners, &[]));
        for listener in first.iter().chain(after) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

/// Binds a socket to each of these addresses, all to the same port. Addresses that this machine does not
/// have are left out, if it has others of them.
pub(super) async fn bind_all<S, B: Future<Output = io::Result<S>>>(
    addrs: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> B,
    local_addr: impl Fn(&S) -> io::Result<SocketAddr>,
) -> io::Result<Vec<S>> {
    let mut tried = 0;
    'again: loop {
        tried += 1;
        let mut bound = Vec::new();
        let mut missing = Vec::new();
        let mut port = None;
        for addr in addrs {
            let mut at = *addr;
            at.set_port(port.unwrap_or(addr.port()));
            match bind(at).await {
                Ok(socket) => {
                    port.get_or_insert(local_addr(&socket)?.port());
                    bound.push(socket);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    missing.push((*addr, error));
                }
                // The port that is free at one address is taken at another.
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse
                        && addr.port() == 0
                        && tried < MAX_PORTS =>
                {
                    continue 'again;
                }
                Err(error) => return Err(error),
            }
        }
        if bound.is_empty() {
            let error = missing.pop().map(|(_, error)| error);
            return Err(error.unwrap_or_else(|| io::ErrorKind::NotFound.into()));
        }
        for (addr, error) in missing {
            note(&format!("unstick: warning: not listening on {}: {error}", addr.ip()));
        }
        return Ok(bound);
    }
}

/// Returns an address at which this machine reaches a socket that is bound to this one, if possible one
/// that other machines reach, too.
fn reachable(addr: SocketAddr) -> SocketAddr {
    if !addr.ip().is_unspecified() {
        return addr;
    }
    // No packet is sent: the system only chooses an address of its own, for one of documentation.
    let outward = |from: &str, to: &str| {
        let socket = std::net::UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
    };
    let ip = outward("0.0.0.0:0", "192.0.2.1:9").or_else(|| match addr {
        SocketAddr::V4(_) => None,
        SocketAddr::V6(_) => outward("[::]:0", "[2001:db8::1]:9"),
    });
    SocketAddr::new(ip.unwrap_or(IpAddr::from([127, 0, 0, 1])), addr.port())
}

/// Returns the failure of a socket that cannot be bound to this address.
pub(crate) fn cannot_bind(addr: &Addr, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "something listens there already, take another port, or 0 for any"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address, try [::] for all it has, or 0.0.0.0 for those of IPv4"
        }
        io::ErrorKind::PermissionDenied => "take a port above 1023",
        io::ErrorKind::InvalidInput => {
            "a link-local address needs its interface, such as [fe80::1%eth0]"
        }
        _ => "is the host right?",
    };
    Failure::job(format!("cannot listen on {addr}: {error}; {hint}"))
}

/// A connection that was accepted.
pub(crate) struct Accepted {
    pub(crate) halves: Halves,
    /// The peer's name for the log.
    pub(crate) peer: String,
    /// What counts as the peer's address.
    pub(crate) network: Network,
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    #[cfg(any(target_os = "linux", target_os = "android"))]
    use std::os::unix::net::UnixListener as Blocking;
    use std::path::{Path, PathBuf};

    use tokio::net::{UnixListener, UnixStream};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    use crate::addr::abstract_addr;
    use crate::addr::{Halves, unix_halves};
    use crate::listen::places::Network;

    /// The maximum number of connections that wait to be accepted; also the default maximum of
    /// Linux.
    const BACKLOG: i32 = 4096;

    /// A listening Unix socket, which removes its file when dropped.
    pub(crate) struct Socket {
        listener: UnixListener,
        path: PathBuf,
        /// Device and inode of the socket's file: a file that has replaced it is not removed.
        file: Option<(u64, u64)>,
    }

    impl Socket {
        pub(super) async fn bind(path: &Path) -> Result<Self, String> {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            if let Some(addr) = abstract_addr(path) {
                let listener = addr.and_then(|addr| Blocking::bind_addr(&addr));
                let listener = listener.and_then(|listener| {
                    listener.set_nonblocking(true)?;
                    UnixListener::from_std(listener)
                });
                let listener = listener.map_err(|error| format!("{error}; take another name"))?;
                lengthen_backlog(&listener);
                return Ok(Self { listener, path: path.to_owned(), file: None });
            }
            remove_stale_socket(path).await?;
            let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => format!("{error}; make its directory first"),
                io::ErrorKind::InvalidInput => format!("{error}; take a shorter path"),
                _ => format!("{error}; take a path where you may create files"),
            })?;
            lengthen_backlog(&listener);
            Ok(Self { listener, path: path.to_owned(), file: identity(path) })
        }

        pub(super) fn path(&self) -> &Path {
            &self.path
        }

        pub(super) async fn accept(&self) -> io::Result<(Halves, Network)> {
            let (stream, _) = self.listener.accept().await?;
            let user = stream.peer_cred().map_or(Network::Local, |peer| Network::User(peer.uid()));
            Ok((unix_halves(stream), user))
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            if self.file.is_some() && identity(&self.path) == self.file {
                // If it cannot be removed, the next listener replaces it.
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    /// Raises the backlog above the usual 128. When a burst of connections overflows the backlog,
    /// connections that the peers consider established are reset.
    pub(super) fn lengthen_backlog(socket: impl AsFd) {
        // The system reduces the value to its maximum. On an error the usual backlog stays.
        let _ = rustix::net::listen(socket, BACKLOG);
    }

    /// Removes the socket of a listener that has ended, and nothing else.
    async fn remove_stale_socket(path: &Path) -> Result<(), String> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("{error}; take another path")),
            Ok(found) if !found.file_type().is_socket() => {
                Err("the path exists and is no socket; remove what is there, or take another path"
                    .to_owned())
            }
            Ok(_) => match UnixStream::connect(path).await {
                Ok(_) => {
                    Err("something listens there already; end it, or take another path".into())
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(|error| {
                        format!("{error}; the socket there is stale and has to be removed")
                    })
                }
                Err(error) => Err(format!("a socket is there, and {error}; take another path")),
            },
        }
    }

    fn identity(path: &Path) -> Option<(u64, u64)> {
        fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
    }
}
