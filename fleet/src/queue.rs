//! What will happen, in the order of its time.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use crate::config::{MINUTE, Micros};

/// A connection: its place in the table, and how often the place was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnId {
    pub slot: u32,
    pub generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client's timers.
    Beat(u32),
    Text(u32),
    File(u32),
    Crash(u32),
    /// A peer begins a try.
    Connect(u32),
    /// A request for a connection arrives at the listener, for the first time or again.
    Syn(ConnId, u8),
    /// A client hears that its request was taken.
    Opened(ConnId),
    /// A client hears that its connection is no more.
    Reset(ConnId),
    /// A client that still has no answer gives up.
    TryEnds(ConnId),
    /// A client that still has no answer takes its connection for dead.
    Unanswered(ConnId),
    /// The next of the client's own messages can be sent.
    Go(ConnId),
    /// Bytes arrive, to the listener if `up`.
    Arrive {
        conn: ConnId,
        up: bool,
        len: u32,
    },
    /// The end of the stream arrives.
    End {
        conn: ConnId,
        up: bool,
    },
    Cut(ConnId),
    /// The listener accepts the next connection of its queue.
    Accept,
    /// A time limit of the listener may have passed.
    Timeout(ConnId),
    /// The listener's disk has synced a file.
    Synced(ConnId),
    Down,
    Up,
}

struct Entry {
    at: Micros,
    /// Events of one moment happen in the order in which they were planned.
    order: u64,
    event: Event,
}

impl Entry {
    fn key(&self) -> (Micros, u64) {
        (self.at, self.order)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, which a `BinaryHeap` returns first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

/// The length of a slot of the later events.
const SLOT: Micros = 10 * MINUTE;

#[derive(Default)]
pub struct Queue {
    /// The events of the slots up to `slot`. They are few, so the heap stays in the processor's cache.
    heap: BinaryHeap<Entry>,
    slot: u64,
    /// All others, by their slots.
    later: BTreeMap<u64, Vec<Entry>>,
    order: u64,
    now: Micros,
    /// A hash of all that has happened.
    trace: u64,
}

impl Queue {
    pub fn now(&self) -> Micros {
        self.now
    }

    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// The number of events so far.
    pub fn planned(&self) -> u64 {
        self.order
    }

    pub fn at(&mut self, at: Micros, event: Event) {
        self.order += 1;
        let entry = Entry { at: at.max(self.now), order: self.order, event };
        let slot = entry.at / SLOT;
        if slot <= self.slot {
            self.heap.push(entry);
        } else {
            self.later.entry(slot).or_default().push(entry);
        }
    }

    pub fn after(&mut self, after: Micros, event: Event) {
        self.at(self.now + after, event);
    }

    pub fn next(&mut self) -> Option<Event> {
        if self.heap.is_empty()
            && let Some((slot, entries)) = self.later.pop_first()
        {
            self.slot = slot;
            self.heap.extend(entries);
        }
        let Entry { at, order, event } = self.heap.pop()?;
        self.now = at;
        let number = at ^ order.rotate_left(32);
        self.trace = (self.trace ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        Some(event)
    }
}
