//! The places of the peers that are served at once, and which of these peers gives way to a new one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::Id;
use unstick_session::message::Code;

use crate::listen::end::End;

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    GoOn,
    /// The program ends.
    Stop,
    /// Another peer gets the place, because this one was idle for so long.
    GiveWay(Duration),
}

/// Tells a connection when it has to end.
pub(crate) struct Stop(watch::Receiver<Order>);

impl Stop {
    /// Waits until the connection has to end.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn ordered(&mut self) -> End {
        match self.0.wait_for(|order| *order != Order::GoOn).await.map(|order| *order) {
            Ok(Order::GiveWay(idle)) => {
                let message = format!(
                    "gave its place to a new peer, having sent no message and no byte of a file for \
                     {idle:.0?}; to keep such peers raise --max-connections"
                );
                End::Error { at: None, code: Some(Code::SHUTTING_DOWN), message }
            }
            _ => End::Stopped,
        }
    }
}

impl Stop {
    /// Waits for the last steps of a connection that ended so. Once the program ends, or another peer needs
    /// the place, they are left out, unless that is how it ended.
    pub(crate) async fn unless_ordered(&mut self, end: &End, last: impl Future<Output = ()>) {
        let is_ordered = *self.0.borrow() != Order::GoOn || matches!(end, End::Stopped);
        tokio::select! {
            biased;
            () = last => {}
            _ = self.ordered(), if !is_ordered => {}
        }
    }
}

/// The network of a peer, and the time of its last activity: it has sent a message, or a byte of a file that
/// is stored, or has taken a message of another peer. Clones are the same.
#[derive(Clone)]
pub(crate) struct Active {
    network: Network,
    last: Arc<Mutex<Last>>,
}

/// The last time, or that of the connection's begin; `None` after its end.
struct Last {
    at: Option<Instant>,
    is_useful: bool,
}

impl Active {
    pub(crate) fn new(network: Network) -> Self {
        let last = Last { at: Some(Instant::now()), is_useful: false };
        Self { network, last: Arc::new(Mutex::new(last)) }
    }

    pub(crate) fn network(&self) -> Network {
        self.network
    }

    /// Notes that the peer has just done so.
    pub(crate) fn touch(&self) {
        *self.last() = Last { at: Some(Instant::now()), is_useful: true };
    }

    /// Notes that the conversation has ended: the peer is the first to give its place away.
    pub(crate) fn end(&self) {
        self.last().at = None;
    }

    /// Returns whether it has ever done so.
    pub(crate) fn is_useful(&self) -> bool {
        self.last().is_useful
    }

    fn idle(&self) -> Duration {
        self.last().at.map_or(Duration::MAX, |last| last.elapsed())
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    Ip(IpAddr),
    /// A user of this machine, over a Unix socket.
    #[cfg_attr(not(any(unix, test)), expect(dead_code, reason = "the system has no such sockets"))]
    User(u32),
    /// A peer over a Unix socket whose user is not known.
    Local,
}

impl Network {
    /// Returns the network of an address: of IPv6 the first 64 bits, because whoever has one such address
    /// has all of them. An IPv4 address in IPv6 is that of IPv4.
    pub(crate) fn of(ip: IpAddr) -> Self {
        Self::Ip(match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
            ip => ip,
        })
    }
}

/// The peers that are served, by their tasks.
#[derive(Default)]
pub(crate) struct Places {
    peers: HashMap<Id, Peer>,
    /// The number of peers of each network.
    of: HashMap<Network, usize>,
}

/// A peer, as those who make places for others see it.
pub(crate) struct Peer {
    active: Active,
    orders: watch::Sender<Order>,
}

impl Peer {
    /// Returns a peer that has been served for no time yet, and what its task needs.
    pub(crate) fn new(network: Network) -> (Self, Active, Stop) {
        let (orders, ordered) = watch::channel(Order::GoOn);
        let active = Active::new(network);
        (Self { active: active.clone(), orders }, active, Stop(ordered))
    }
}

impl Places {
    /// Returns how many peers of this network there are.
    pub(crate) fn of(&self, network: Network) -> usize {
        self.of.get(&network).copied().unwrap_or(0)
    }

    /// Returns how many places are taken.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Takes a place for the peer that this task serves.
    pub(crate) fn take(&mut self, task: Id, peer: Peer) {
        *self.of.entry(peer.active.network).or_default() += 1;
        self.peers.insert(task, peer);
    }

    /// Frees the place of a task that has ended, unless it has given it away.
    pub(crate) fn free(&mut self, task: Id) -> Option<Peer> {
        let peer = self.peers.remove(&task)?;
        if let Some(peers) = self.of.get_mut(&peer.active.network) {
            *peers -= 1;
            if *peers == 0 {
                self.of.remove(&peer.active.network);
            }
        }
        Some(peer)
    }

    /// Tells a peer that is idle for at least this time to give way to a new one of this network, whose
    /// place is free at once: of the network with the most peers, the one that is idle longest. None gives
    /// way to a peer whose network has more than its own, so that nobody can drive out others by many
    /// connections.
    pub(crate) fn give_way(&mut self, network: Network, after: Duration) {
        let own = self.of(network);
        let all = self
            .peers
            .iter()
            .map(|(task, peer)| (self.of(peer.active.network), peer.active.idle(), *task));
        let idle = all.filter(|(of, idle, _)| *of >= own && *idle >= after);
        let longest = idle.max_by_key(|(of, idle, _)| (*of, *idle));
        if let Some((_, idle, task)) = longest
            && let Some(peer) = self.free(task)
        {
            let _ = peer.orders.send(Order::GiveWay(idle));
        }
    }

    /// Tells all peers that the program ends.
    pub(crate) fn stop(&self) {
        for peer in self.peers.values() {
            let _ = peer.orders.send(Order::Stop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_counts_as_its_64_bits() {
        let network = |ip: &str| Network::of(ip.parse().unwrap());
        let same = |a: &str, b: &str| network(a) == network(b);
        assert!(same("2001:db8:1:2::3", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:1:2::3", "2001:db8:1:3::3"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    /// Makes places for peers of these networks, the first of which are idle longest, and returns whose
    /// has to give way to a new peer.
    async fn gives_way(networks: &[u8], new: u8, after: Duration) -> Option<usize> {
        let network = |n: u8| Network::of([192, 0, 2, n].into());
        let (mut places, mut stops) = (Places::default(), Vec::new());
        for n in networks {
            let (peer, _, stop) = Peer::new(network(*n));
            places.take(tokio::spawn(async {}).id(), peer);
            stops.push(stop);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        places.give_way(network(new), after);
        let told: Vec<_> =
            (0..stops.len()).filter(|n| *stops[*n].0.borrow() != Order::GoOn).collect();
        assert_eq!(places.len(), networks.len() - told.len());
        told.first().copied()
    }

    #[tokio::test]
    async fn the_idlest_peer_of_the_network_with_the_most_gives_way() {
        let none = Duration::ZERO;
        assert_eq!(gives_way(&[1, 2, 3], 4, none).await, Some(0));
        assert_eq!(gives_way(&[1, 2, 2, 3], 4, none).await, Some(1));
        assert_eq!(gives_way(&[1, 2, 2, 3], 1, none).await, Some(1));
        assert_eq!(gives_way(&[1, 2, 2, 3, 3, 3], 2, none).await, Some(3));
        // Not for one whose network has more.
        assert_eq!(gives_way(&[1, 2, 2], 2, none).await, Some(1));
        // None is idle for so long.
        assert_eq!(gives_way(&[1, 2], 3, Duration::from_secs(1)).await, None);
    }
}
