//! Connections to a name with several addresses: the next one is tried while those before it are silent
//! (RFC 8305).

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long an address is silent until the next one is tried, too.
const STAGGER: Duration = Duration::from_millis(250);
/// The maximum number of addresses in an error message.
const MAX_SHOWN: usize = 4;

/// Returns the addresses of a host, each once, in the system's order of preference. The host may be an
/// IPv6 address with a zone, such as `fe80::1%eth0`.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = match lookup_host((host, port)).await {
        Ok(found) => found.collect::<Vec<_>>(),
        // The system knows zones of link-local addresses only.
        Err(error) => vec![zoned(host, port).ok_or(error)?],
    };
    let mut addrs = Vec::with_capacity(found.len());
    for addr in found {
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    Ok(addrs)
}

/// Parses an address that is not link-local, so that its zone only has to exist.
fn zoned(host: &str, port: u16) -> Option<SocketAddr> {
    let (ip, zone) = host.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    let scope = zone.parse().ok().or_else(|| index_of(zone))?;
    let is_local = ip.is_unicast_link_local() || ip.segments().first()? & 0xff0f == 0xff02;
    (!is_local).then(|| SocketAddrV6::new(ip, port, 0, scope).into())
}

/// Returns the number of this machine's interface of that name.
pub(crate) fn index_of(interface: &str) -> Option<u32> {
    if interface.contains(['/', '.']) {
        return None;
    }
    let path = format!("/sys/class/net/{interface}/ifindex");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Orders addresses so that the families take turns, beginning with the preferred one.
fn in_turn(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let prefers_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addrs.into_iter().partition(|addr| addr.is_ipv6() == prefers_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    while first.len() + second.len() > 0 {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

/// Connects to the first address of a host that takes a connection.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    first_of(in_turn(resolve(host, port).await?)).await
}

async fn first_of(addrs: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = addrs.into_iter();
    let mut tries = JoinSet::new();
    let mut failures = Vec::new();
    loop {
        if let Some(addr) = left.next() {
            tries.spawn(async move { (addr, TcpStream::connect(addr).await) });
        }
        let ended = if left.len() == 0 {
            tries.join_next().await
        } else {
            match timeout(STAGGER, tries.join_next()).await {
                Ok(ended) => ended,
                Err(_silent) => continue,
            }
        };
        match ended {
            Some(Ok((_, Ok(stream)))) => return Ok(stream),
            Some(Ok((addr, Err(error)))) => failures.push((addr, error)),
            Some(Err(_)) => {}
            None => return Err(all_failed(failures)),
        }
    }
}

/// Joins the errors of all addresses.
fn all_failed(mut failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    if failures.len() < 2 {
        return failures.pop().map_or_else(|| io::ErrorKind::NotFound.into(), |(_, error)| error);
    }
    // What an address of this machine's other family says is seldom the reason.
    let is_route = |kind| {
        matches!(
            kind,
            io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::AddrNotAvailable
        )
    };
    let kinds = || failures.iter().map(|(_, error)| error.kind());
    let kind = kinds().find(|kind| !is_route(*kind)).or_else(|| kinds().next());
    let shown: Vec<_> =
        failures.iter().take(MAX_SHOWN).map(|(addr, error)| format!("{addr}: {error}")).collect();
    let more = match failures.len().saturating_sub(MAX_SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    io::Error::new(kind.unwrap_or(io::ErrorKind::Other), format!("{}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns() {
        let addrs = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"].map(addr).to_vec();
        let expected =
            ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"].map(addr).to_vec();
        assert_eq!(in_turn(addrs), expected);
        assert_eq!(in_turn(vec![addr("1.0.0.1:1")]), [addr("1.0.0.1:1")]);
    }

    #[test]
    fn zones_are_names_or_numbers() {
        assert_eq!(
            zoned("::1%7", 9).unwrap(),
            SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 7).into()
        );
        for host in ["fe80::1%7", "ff02::1%7", "::1", "1.2.3.4%7", "::1%../x", "::1%nowhere"] {
            assert_eq!(zoned(host, 9), None, "{host}");
        }
        #[cfg(target_os = "linux")]
        assert!(zoned("::1%lo", 9).is_some());
    }

    #[tokio::test]
    async fn a_host_without_a_port_resolves_to_each_address_once() {
        let found = resolve("127.0.0.1", 7).await.unwrap();
        assert_eq!(found, [addr("127.0.0.1:7")]);
        let mut found = resolve("localhost", 7).await.unwrap();
        let all = found.len();
        found.dedup();
        assert_eq!(found.len(), all);
    }

    /// A listener whose backlog is full: the system drops every further SYN.
    async fn silent() -> (TcpListener, Vec<tokio::task::JoinHandle<io::Result<TcpStream>>>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(addr("127.0.0.1:0")).unwrap();
        let listener = socket.listen(0).unwrap();
        let at = listener.local_addr().unwrap();
        let held = (0..4).map(|_| tokio::spawn(TcpStream::connect(at))).collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        (listener, held)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let (silent, _held) = silent().await;
        let works = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = vec![silent.local_addr().unwrap(), works.local_addr().unwrap()];
        let began = Instant::now();
        let stream = timeout(Duration::from_secs(20), first_of(addrs.clone())).await.unwrap();
        assert_eq!(stream.unwrap().peer_addr().unwrap(), addrs[1]);
        assert!(began.elapsed() >= STAGGER);
    }

    #[tokio::test]
    async fn the_error_names_every_address() {
        let refusing = |_| async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let (one, other) = (refusing(0).await, refusing(1).await);
        let error = first_of(vec![one, other]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(text.contains(&one.to_string()) && text.contains(&other.to_string()), "{text}");
        let error = first_of(vec![one]).await.unwrap_err();
        assert!(!error.to_string().contains(&one.to_string()), "{error}");
        assert_eq!(first_of(vec![]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        let failures = (1..=9).map(|port| {
            let kind =
                if port == 9 { io::ErrorKind::TimedOut } else { io::ErrorKind::NetworkUnreachable };
            ((Ipv6Addr::LOCALHOST, port).into(), kind.into())
        });
        let error = all_failed(failures.collect());
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().ends_with(", and 5 more"), "{error}");
    }
}
