//! Links and connections: bytes that are under way.

use std::collections::VecDeque;

use crate::config::{MILLISECOND, Micros, SECOND};
use crate::listener::Served;
use crate::queue::{ConnId, Event, Queue};

/// A peer's way to the listener.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// One way.
    pub latency: Micros,
    /// Bytes a second.
    pub rate: u64,
    /// Of a million segments, how many are sent twice: all later bytes wait for them.
    pub loss: u64,
}

impl Link {
    /// Of ten peers six have a fast link, two a slow one, one a distant one, and one loses segments.
    pub fn random(rng: &mut fastrand::Rng) -> Self {
        let jitter = rng.u64(0..5 * MILLISECOND);
        let (latency, rate, loss) = match rng.u32(0..10) {
            0..6 => (10, 2_000_000, 100),
            6..8 => (40, 32_000, 1_000),
            8 => (150, 500_000, 1_000),
            _ => (60, 250_000, 30_000),
        };
        Self { latency: latency * MILLISECOND + jitter, rate, loss }
    }
}

/// The bytes of one direction.
#[derive(Default)]
pub struct Pipe {
    pub bytes: VecDeque<u8>,
    /// How many of them have arrived, and wait to be read.
    pub arrived: usize,
    /// When the last byte has left, and when the last one arrives.
    pub free_at: Micros,
    arrives_at: Micros,
}

/// Where a connection is, for the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Requested,
    Queued,
    Accepted,
    Gone,
}

pub struct Conn {
    pub generation: u32,
    pub peer: u32,
    pub link: Link,
    pub up: Pipe,
    pub down: Pipe,
    pub place: Place,
    /// Since when the network delivers nothing more.
    pub dead: Option<Micros>,
    /// Whether the peer still has it.
    pub is_held: bool,
    pub served: Option<Box<Served>>,
}

impl Conn {
    /// Sends bytes, which arrive in pieces that are cut anywhere.
    pub fn ship(
        &mut self,
        id: ConnId,
        up: bool,
        bytes: &[u8],
        from: Micros,
        queue: &mut Queue,
        rng: &mut fastrand::Rng,
    ) {
        if self.dead.is_some() || bytes.is_empty() {
            return;
        }
        let link = self.link;
        let pipe = if up { &mut self.up } else { &mut self.down };
        pipe.bytes.extend(bytes);
        let mut left = bytes.len();
        while left > 0 {
            // Every third piece is cut.
            let whole = left.min(16_384);
            let len = if rng.u8(0..3) == 0 { rng.usize(1..=whole) } else { whole };
            left -= len;
            pipe.free_at = pipe.free_at.max(from) + len as u64 * SECOND / link.rate;
            let segments = len as u64 / 1_460 + 1;
            if rng.u64(0..1_000_000) < link.loss * segments {
                pipe.free_at += 2 * link.latency + 200 * MILLISECOND;
            }
            pipe.arrives_at = pipe.arrives_at.max(pipe.free_at + link.latency);
            let len = u32::try_from(len).expect("at most 16,384");
            queue.at(pipe.arrives_at, Event::Arrive { conn: id, up, len });
        }
    }

    /// Ends one direction after all of its bytes.
    pub fn ship_end(&mut self, id: ConnId, up: bool, from: Micros, queue: &mut Queue) {
        if self.dead.is_none() {
            let pipe = if up { &self.up } else { &self.down };
            let at = pipe.arrives_at.max(from + self.link.latency);
            queue.at(at, Event::End { conn: id, up });
        }
    }

    /// Takes what has arrived.
    pub fn take_arrived(&mut self, up: bool) -> (VecDeque<u8>, usize) {
        let pipe = if up { &mut self.up } else { &mut self.down };
        (std::mem::take(&mut pipe.bytes), std::mem::take(&mut pipe.arrived))
    }

    pub fn put_back(&mut self, up: bool, bytes: VecDeque<u8>) {
        let pipe = if up { &mut self.up } else { &mut self.down };
        pipe.bytes = bytes;
    }
}

/// All connections.
#[derive(Default)]
pub struct Conns {
    slots: Vec<Conn>,
    free: Vec<u32>,
}

impl Conns {
    pub fn open(&mut self, peer: u32, link: Link) -> ConnId {
        let fresh = |generation| Conn {
            generation,
            peer,
            link,
            up: Pipe::default(),
            down: Pipe::default(),
            place: Place::Requested,
            dead: None,
            is_held: true,
            served: None,
        };
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            *place = fresh(place.generation);
            return ConnId { slot, generation: place.generation };
        }
        self.slots.push(fresh(0));
        let slot = u32::try_from(self.slots.len() - 1).expect("fewer than 2^32");
        ConnId { slot, generation: 0 }
    }

    /// Returns a connection that still exists.
    pub fn get(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slots.get_mut(id.slot as usize).filter(|conn| conn.generation == id.generation)
    }

    /// Forgets a connection that neither side has.
    pub fn collect(&mut self, id: ConnId) {
        let Some(conn) = self.get(id) else { return };
        if !conn.is_held && conn.served.is_none() && conn.place != Place::Queued {
            conn.generation += 1;
            (conn.up, conn.down) = (Pipe::default(), Pipe::default());
            self.free.push(id.slot);
        }
    }

    /// Returns those that the listener serves or has in its queue.
    pub fn of_listener(&self) -> Vec<ConnId> {
        let is_there = |conn: &Conn| conn.served.is_some() || conn.place == Place::Queued;
        (0..)
            .zip(&self.slots)
            .filter(|(_, conn)| is_there(conn))
            .map(|(slot, conn)| ConnId { slot, generation: conn.generation })
            .collect()
    }

    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.slots.iter().filter_map(|conn| conn.served.as_deref())
    }
}
