//! All that is simulated, and the loop over its events.

use crate::client::Client;
use crate::config::{Config, MINUTE, Micros};
use crate::hostile::{Hostile, Trick};
use crate::listener::{Listener, Served};
use crate::net::{Conns, Link};
use crate::queue::{ConnId, Event, Queue};
use crate::stats::{HostileCost, Ledger, Stats};

pub struct World {
    pub config: Config,
    pub stats: Stats,
    pub ledger: Ledger,
    pub(crate) rng: fastrand::Rng,
    pub(crate) queue: Queue,
    pub(crate) conns: Conns,
    pub(crate) clients: Vec<Client>,
    pub(crate) hostiles: Vec<Hostile>,
    pub(crate) listener: Listener,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    pub config: Config,
    pub stats: Stats,
    pub ledger: Ledger,
    pub events: u64,
    pub trace: u64,
    pub ended_at: Micros,
    pub made: u64,
    pub lost: u64,
    pub files_made: u64,
    pub files_missing: u64,
    /// The size of the listener's state of a connection, and the memory that its reader has besides, for
    /// all connections at the end.
    pub state: usize,
    pub session: usize,
    pub heap: usize,
    pub connections: usize,
}

impl World {
    fn new(config: Config) -> Self {
        let mut rng = fastrand::Rng::with_seed(config.seed);
        let clients: Vec<_> =
            (0..config.clients).map(|_| Client::new(Link::random(&mut rng))).collect();
        let tricks = Trick::ALL
            .iter()
            .flat_map(|trick| std::iter::repeat_n(*trick, config.hostile_each as usize));
        let hostiles = tricks.map(|trick| Hostile::new(trick, Link::random(&mut rng))).collect();
        let listener = Listener::new(clients.len());
        let ledger = Ledger { last: vec![0; clients.len()], ..Ledger::default() };
        let (queue, conns, stats) = (Queue::default(), Conns::default(), Stats::default());
        Self { config, stats, ledger, rng, queue, conns, clients, hostiles, listener }
    }

    /// Runs a simulation.
    pub fn run(config: Config) -> Outcome {
        let mut world = Self::new(config);
        world.plan();
        let (until, drain) = (world.config.until, world.config.drain);
        let mut check_at = until;
        while let Some(event) = world.queue.next() {
            world.happens(event);
            let now = world.queue.now();
            if now >= check_at {
                if world.clients.iter().all(Client::is_settled) || now >= until + drain {
                    break;
                }
                check_at = now + MINUTE;
            }
        }
        let now = world.queue.now();
        for id in world.conns.of_listener() {
            let Some(conn) = world.conns.get(id) else { continue };
            let (peer, since) = (conn.peer, conn.served.as_ref().map(|served| served.accepted_at));
            if let (Some(cost), Some(since)) = (world.hostile_cost(peer), since) {
                cost.held(now - since);
            }
        }
        world.outcome()
    }

    fn plan(&mut self) {
        // All come within the first five minutes.
        for client in 0..self.config.clients {
            let begin = self.rng.u64(0..5 * MINUTE);
            self.queue.at(begin, Event::Connect(client));
            let (config, mut later) = (&self.config, |mean: Micros| self.rng.u64(0..2 * mean));
            self.queue.at(begin + later(config.heartbeat / 2), Event::Beat(client));
            self.queue.at(later(config.text_every), Event::Text(client));
            self.queue.at(later(config.file_every), Event::File(client));
            self.queue.at(later(config.crash_every), Event::Crash(client));
        }
        for peer in (self.config.clients..).take(self.hostiles.len()) {
            self.queue.at(self.rng.u64(0..5 * MINUTE), Event::Connect(peer));
        }
        for restart in &self.config.restarts {
            self.queue.at(*restart, Event::Down);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Beat(client) => self.beat(client),
            Event::Text(client) => self.make_text(client),
            Event::File(client) => self.make_file(client),
            Event::Crash(client) => self.crash(client),
            Event::Connect(peer) if self.is_hostile(peer) => self.hostile_connects(peer),
            Event::Connect(client) => self.connect(client),
            Event::Syn(id, retries) => self.requested(id, retries),
            Event::Accept => self.accept(),
            Event::Timeout(id) => self.timeout(id),
            Event::Synced(id) => self.synced(id),
            Event::Down => self.down(),
            Event::Up => self.up(),
            Event::Arrive { conn: id, up: true, len } => {
                // What was under way when the network was cut does not arrive.
                let Some(conn) = self.conns.get(id).filter(|conn| conn.dead.is_none()) else {
                    return;
                };
                conn.up.arrived += len as usize;
                self.serve(id);
            }
            Event::End { conn: id, up: true } => self.peer_ended(id),
            Event::Opened(id)
            | Event::Reset(id)
            | Event::TryEnds(id)
            | Event::Unanswered(id)
            | Event::Go(id)
            | Event::Cut(id)
            | Event::Arrive { conn: id, .. }
            | Event::End { conn: id, .. } => self.happens_to_peer(event, id),
        }
    }

    fn happens_to_peer(&mut self, event: Event, id: ConnId) {
        let Some(conn) = self.conns.get(id).filter(|conn| conn.is_held) else { return };
        let peer = conn.peer;
        if peer >= self.config.clients {
            match event {
                Event::Opened(_) | Event::Go(_) => self.hostile_goes(peer, id),
                Event::Reset(_) => {
                    self.hostile_ended(peer, id);
                    self.conns.collect(id);
                }
                Event::Arrive { .. } => {
                    // It does not read, and its system throws the bytes away.
                    let _ = conn.take_arrived(false);
                }
                _ => {}
            }
            return;
        }
        match event {
            Event::Opened(_) => self.client_opened(peer, id),
            Event::Go(_) => self.client_go(peer, id),
            Event::Cut(_) => self.cut(peer, id),
            Event::TryEnds(_) => self.try_ends(peer, id),
            Event::Unanswered(_) => self.unanswered(peer, id),
            Event::Reset(_) => self.client_drops(peer, id, false),
            Event::Arrive { len, .. } if conn.dead.is_none() => {
                conn.down.arrived += len as usize;
                self.client_read(peer, id);
            }
            Event::End { .. } => self.client_drops(peer, id, true),
            _ => {}
        }
    }

    fn is_hostile(&self, peer: u32) -> bool {
        peer >= self.config.clients
    }

    pub(crate) fn hostile_cost(&mut self, peer: u32) -> Option<&mut HostileCost> {
        let trick = self.hostiles.get((peer as usize).checked_sub(self.clients.len())?)?.trick;
        self.stats.hostile.get_mut(trick as usize)
    }

    /// Returns a time at random, with this mean.
    pub(crate) fn around(&mut self, mean: Micros) -> Micros {
        self.rng.u64(0..2 * mean)
    }

    /// Sends bytes. Those of the listener leave when its processor has produced them.
    pub(crate) fn ship(&mut self, id: ConnId, up: bool, bytes: &[u8]) {
        let now = self.queue.now();
        let from = if up { now } else { self.listener.busy_until.max(now) };
        let Some(conn) = self.conns.get(id) else { return };
        let peer = conn.peer;
        conn.ship(id, up, bytes, from, &mut self.queue, &mut self.rng);
        if !up && let Some(cost) = self.hostile_cost(peer) {
            cost.sent += bytes.len() as u64;
        }
    }

    fn outcome(self) -> Outcome {
        let made = self.clients.iter().map(|client| u64::from(client.made)).sum();
        let arrived: u64 = self.ledger.last.iter().map(|last| u64::from(*last)).sum();
        let files_made = self.clients.iter().map(|client| u64::from(client.files_made)).sum();
        Outcome {
            lost: self.ledger.gaps + (made - arrived),
            files_missing: files_made - self.ledger.files_stored,
            made,
            files_made,
            events: self.queue.planned(),
            trace: self.queue.trace(),
            ended_at: self.queue.now(),
            state: size_of::<Served>(),
            session: size_of::<unstick_session::session::Session>(),
            heap: self.conns.served().map(Served::heap).sum(),
            connections: self.conns.served().count(),
            config: self.config,
            stats: self.stats,
            ledger: self.ledger,
        }
    }
}
