//! A listening TCP or Unix socket.

use std::io;
use std::net::IpAddr;

use tokio::net::TcpListener;

use crate::addr::{Addr, Halves, halves};
use crate::term::output::Failure;

/// A listening socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::Socket),
}

impl Listener {
    pub(crate) async fn bind(addr: &Addr) -> Result<Self, Failure> {
        match addr {
            Addr::Tcp { host, port } => {
                // On Unix it sets SO_REUSEADDR, so a restart need not wait for old connections.
                match TcpListener::bind((host.as_str(), *port)).await {
                    Ok(listener) => {
                        #[cfg(unix)]
                        unix::lengthen_backlog(&listener);
                        Ok(Self::Tcp(listener))
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

    /// Returns the address, with the port that the system chose.
    pub(crate) fn local_addr(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "?".to_owned(), |addr| addr.to_string())
            }
            #[cfg(unix)]
            Self::Unix(socket) => format!("unix:{}", socket.path().display()),
        }
    }

    /// Returns whether other machines can connect.
    pub(crate) fn is_open_to_the_network(&self) -> bool {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().is_ok_and(|addr| !addr.ip().to_canonical().is_loopback())
            }
            #[cfg(unix)]
            Self::Unix(_) => false,
        }
    }

    /// Accepts the next connection. `number` names a peer without an address.
    pub(crate) async fn accept(&self, number: u64) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let ip = Some(peer.ip().to_canonical());
                Ok(Accepted { halves: halves(stream), peer: peer.to_string(), ip })
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let halves = socket.accept().await?;
                Ok(Accepted { halves, peer: format!("unix#{number}"), ip: None })
            }
        }
    }
}

/// Returns the failure of a socket that cannot be bound to this address.
pub(crate) fn cannot_bind(addr: &Addr, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "something listens there already, take another port, or 0 for any"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address, try 0.0.0.0 for all it has"
        }
        io::ErrorKind::PermissionDenied => "take a port above 1023",
        _ => "is the host right?",
    };
    Failure::job(format!("cannot listen on {addr}: {error}; {hint}"))
}

/// A connection that was accepted.
pub(crate) struct Accepted {
    pub(crate) halves: Halves,
    /// The peer's name for the log.
    pub(crate) peer: String,
    /// The peer's address, if it has one.
    pub(crate) ip: Option<IpAddr>,
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::path::{Path, PathBuf};

    use tokio::net::{UnixListener, UnixStream};

    use crate::addr::{Halves, unix_halves};

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

        pub(super) async fn accept(&self) -> io::Result<Halves> {
            self.listener.accept().await.map(|(stream, _)| unix_halves(stream))
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
