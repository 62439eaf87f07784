//! Addresses as given on the command line, and connections to them.

mod connect;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;

pub(crate) use connect::resolve;

use crate::term::output::Failure;

/// The syntax of addresses, for error messages.
pub(crate) const ADDR_HELP: &str = "HOST:PORT, [IPv6]:PORT, :PORT for this machine only, \
                                    udp:HOST:PORT, unix:PATH, or unix:@NAME";

/// An address to listen on or to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addr {
    Tcp {
        /// A host name or an IP address, without brackets.
        host: String,
        port: u16,
    },
    /// A UDP address.
    Udp { host: String, port: u16 },
    /// A path, or `@` and the name of an abstract socket.
    Unix(PathBuf),
}

/// Returns the name of an abstract Unix socket, which has no file.
pub(crate) fn abstract_name(path: &Path) -> Option<&[u8]> {
    path.as_os_str().as_encoded_bytes().strip_prefix(b"@")
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write_host_port(f, host, *port),
            Self::Udp { host, port } => {
                f.write_str("udp:")?;
                write_host_port(f, host, *port)
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
}

impl FromStr for Addr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("the path after unix: is missing".to_owned());
            }
            if !cfg!(unix) {
                return Err("this system has no Unix sockets; give HOST:PORT".to_owned());
            }
            if let Some(name) = abstract_name(path.as_ref()) {
                if !cfg!(any(target_os = "linux", target_os = "android")) {
                    return Err(format!(
                        "only Linux has abstract sockets; for a file of that name give unix:./{path}"
                    ));
                }
                if name.is_empty() {
                    return Err("the name after unix:@ is missing".to_owned());
                }
            }
            return Ok(Self::Unix(path.into()));
        }
        if let Some(rest) = text.strip_prefix("udp:").filter(|rest| !rest.starts_with("//")) {
            return match rest.parse()? {
                Self::Tcp { host, port } => Ok(Self::Udp { host, port }),
                _ => Err(format!("after udp: give HOST:PORT, and not `{rest}`")),
            };
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!("leave the scheme `{scheme}://` out, give HOST:PORT"));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(if text.parse::<u16>().is_ok() {
                format!("`{text}` has no host; for this machine write `:{text}`")
            } else {
                format!("the port is missing; give {ADDR_HELP}")
            });
        };
        let Ok(port) = port.parse() else {
            return Err(format!("`{port}` is no port, a number from 0 to 65535"));
        };
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']').ok_or("the closing bracket of [IPv6] is missing")?,
            None if host.contains(':') => {
                let is_v6 = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
                let ip = host.split_once('%').map_or(host, |(ip, _zone)| ip);
                return Err(if ip.chars().all(is_v6) {
                    format!("an IPv6 address needs brackets: [{host}]:{port}")
                } else {
                    format!("`{host}` is no host; give {ADDR_HELP}")
                });
            }
            None if host.is_empty() => "127.0.0.1",
            None => host,
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// The reading half of a connection.
pub(crate) type BoxedReader = Box<dyn AsyncRead + Send + Unpin>;
/// The writing half of a connection. Shutting it down signals the end of stream to the peer.
pub(crate) type BoxedWriter = Box<dyn AsyncWrite + Send + Unpin>;
/// Both halves of a connection.
pub(crate) type Halves = (BoxedReader, BoxedWriter);

/// The time limit for telling the peer why a connection ends, and for its end. If the socket were closed
/// while the peer still sends, the connection would be reset, and the peer might lose what it was told.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// When the system asks a silent peer whether it is still there, and how often: unless the system's own
/// settings are shorter. A peer that lost its power is noticed after two minutes.
#[cfg(unix)]
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// Lets the system end the connection to a peer that has vanished. On an error it is as before.
#[cfg(unix)]
fn keep_alive(stream: &TcpStream) -> rustix::io::Result<()> {
    use rustix::net::sockopt;

    let (idle, interval, probes) = KEEPALIVE;
    sockopt::set_socket_keepalive(stream, true)?;
    if sockopt::tcp_keepidle(stream)? > idle {
        sockopt::set_tcp_keepidle(stream, idle)?;
        sockopt::set_tcp_keepintvl(stream, interval)?;
        sockopt::set_tcp_keepcnt(stream, probes)?;
    }
    Ok(())
}

/// How much the system takes of what cannot be sent yet.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 << 10;

/// Lets the system take what a connection is to send only a little ahead of the network. Otherwise it
/// takes megabytes at once and then nothing for a while, and a slow line looks like a peer that does not
/// read. On an error it is as before.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_: &TcpStream) {}

/// Splits a TCP connection into its halves, disables Nagle's algorithm, and enables keepalive.
pub(crate) fn halves(stream: TcpStream) -> Halves {
    #[cfg(unix)]
    let _ = keep_alive(&stream);
    // Frames are flushed explicitly, so a delay only costs time. If the option cannot be set, the
    // connection is only slower.
    let _ = stream.set_nodelay(true);
    let (incoming, outgoing) = stream.into_split();
    (Box::new(incoming), Box::new(outgoing))
}

/// Splits a connection over a Unix socket into its halves.
#[cfg(unix)]
pub(crate) fn unix_halves(stream: UnixStream) -> Halves {
    let (incoming, outgoing) = stream.into_split();
    (Box::new(incoming), Box::new(outgoing))
}

/// Connects to a Unix socket.
#[cfg(unix)]
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(addr) = abstract_addr(path) {
        use std::os::unix::net::UnixStream as Blocking;
        let addr = addr?;
        // It waits while the listener has as many connections waiting as it may have.
        let connected = tokio::task::spawn_blocking(move || Blocking::connect_addr(&addr)).await;
        let stream = connected.map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        return UnixStream::from_std(stream);
    }
    UnixStream::connect(path).await
}

/// Returns the address of an abstract Unix socket, if this is one.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn abstract_addr(path: &Path) -> Option<io::Result<std::os::unix::net::SocketAddr>> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt as _;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt as _;

    abstract_name(path).map(std::os::unix::net::SocketAddr::from_abstract_name)
}

/// Ends a stream without a close of its own: shuts down writing, and discards what the peer still sends,
/// each with a time limit.
pub(crate) async fn shut_down(
    mut incoming: impl AsyncRead + Unpin,
    mut outgoing: impl AsyncWrite + Unpin,
) {
    // The connection is over, so an error here is ignored.
    let _ = timeout(CLOSE_TIMEOUT, outgoing.shutdown()).await;
    let mut scratch = [0; 4096];
    let drained = async { while matches!(incoming.read(&mut scratch).await, Ok(1..)) {} };
    let _ = timeout(CLOSE_TIMEOUT, drained).await;
}

impl Addr {
    /// Connects to the address.
    pub(crate) async fn connect(&self) -> Result<Halves, Failure> {
        let connected = match self {
            Self::Tcp { host, port } => connect::connect(host, *port).await.map(|stream| {
                limit_unsent(&stream);
                halves(stream)
            }),
            // Datagrams are handled in `udp`.
            Self::Udp { .. } => Err(io::ErrorKind::Unsupported.into()),
            #[cfg(unix)]
            Self::Unix(path) => connect_unix(path).await.map(unix_halves),
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        connected.map_err(|error| {
            Failure::job(format!("cannot connect to {self}: {error}; {}", self.hint(&error)))
        })
    }

    /// Returns a hint for this error of a connect.
    pub(crate) fn hint(&self, error: &io::Error) -> String {
        match (self, error.kind()) {
            (Self::Unix(path), io::ErrorKind::ConnectionRefused) if path.is_file() => {
                "the path is a file and no socket".to_owned()
            }
            (_, io::ErrorKind::ConnectionRefused) => {
                format!("nothing listens there, start it with `unstick listen {self}`")
            }
            (Self::Unix(_), io::ErrorKind::NotFound) => {
                format!("there is no such socket, start it with `unstick listen {self}`")
            }
            (Self::Unix(_), io::ErrorKind::PermissionDenied) => {
                "the socket belongs to somebody else, look at its permissions".to_owned()
            }
            (Self::Unix(_), _) => "is the path a Unix socket?".to_owned(),
            (Self::Tcp { host, .. } | Self::Udp { host, .. }, _) if host.contains('%') => {
                "is what follows `%` an interface of this machine, as `ip link` lists them?"
                    .to_owned()
            }
            (Self::Tcp { host, .. } | Self::Udp { host, .. }, io::ErrorKind::InvalidInput)
                if host.starts_with("fe80:") =>
            {
                format!("a link-local address needs its interface, such as [{host}%eth0]")
            }
            (Self::Tcp { .. } | Self::Udp { .. }, _) => {
                "are host and port right, and the network up?".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in [
            "127.0.0.1:7000",
            "localhost:0",
            "[::1]:7000",
            "unix:/tmp/a b",
            "unix:x:1",
            "udp:[::1]:9",
            "[fe80::1%eth0]:7000",
            "unix:./@name",
        ] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
        assert_eq!(":7000".parse::<Addr>().unwrap().to_string(), "127.0.0.1:7000");
        assert_eq!("udp::7000".parse::<Addr>().unwrap().to_string(), "udp:127.0.0.1:7000");
    }

    #[test]
    fn invalid_addresses_are_refused() {
        for (text, why) in [
            ("", "port is missing"),
            ("localhost", "port is missing"),
            ("localhost:http", "`http` is no port"),
            ("localhost:65536", "no port"),
            ("::1:7000", "needs brackets: [::1]:7000"),
            ("[::1:7000", "bracket"),
            ("unix:", "path"),
            ("http://127.0.0.1:7431", "leave the scheme `http://` out, give HOST:PORT"),
            ("tcp://[::1]:7431/x", "leave the scheme `tcp://` out, give HOST:PORT"),
            ("fe80::1%eth0:7431", "needs brackets: [fe80::1%eth0]:7431"),
            ("unix:@", "unix:@"),
            ("udp:7431", "`7431` has no host"),
            ("udp:unix:x", "after udp: give HOST:PORT"),
            ("udp://127.0.0.1:1", "leave the scheme `udp://` out"),
            ("7431", "`7431` has no host; for this machine write `:7431`"),
            ("70000", "port is missing"),
            ("tcp:localhost:7431", "`tcp:localhost` is no host; give HOST:PORT"),
            ("::ffff:1.2.3.4:7431", "needs brackets: [::ffff:1.2.3.4]:7431"),
        ] {
            let error = text.parse::<Addr>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
