//! What a run has counted.

use std::collections::BTreeMap;

use unstick_session::message::Code;

use crate::config::Micros;

/// The observer of the messages and files: the listener's logic does not read it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The greatest number of a message that was delivered, for each client.
    pub last: Vec<u32>,
    pub delivered: u64,
    pub doubled: u64,
    /// Those that came again, and were not delivered again.
    pub recognised: u64,
    /// Numbers that were left out.
    pub gaps: u64,
    pub files_stored: u64,
    pub files_wrong: u64,
}

impl Ledger {
    /// Counts the delivery of a client's message to the listener's application.
    pub fn deliver(&mut self, client: u32, number: u32) {
        self.delivered += 1;
        let last = &mut self.last[client as usize];
        if number <= *last {
            self.doubled += 1;
        } else {
            self.gaps += u64::from(number - *last - 1);
            *last = number;
        }
    }
}

/// An upload, from its first offer to its final status.
#[derive(Clone, Copy, Debug)]
pub struct Uploaded {
    pub took: Micros,
    /// What the client's link needs for the file and four ways at best.
    pub at_best: Micros,
}

impl HostileCost {
    /// Counts a connection that the listener had for this long.
    pub fn held(&mut self, time: Micros) {
        self.connections += 1;
        self.held += time;
        self.held_max = self.held_max.max(time);
    }
}

/// The connections of one kind of hostile peer.
#[derive(Debug, Default)]
pub struct HostileCost {
    pub connections: u64,
    /// How long the listener had a connection, in all and at most.
    pub held: Micros,
    pub held_max: Micros,
    pub received: u64,
    pub sent: u64,
    /// The maximum memory of a reader.
    pub heap_max: usize,
    /// The codes with which the listener ended connections, and how many.
    pub ended: BTreeMap<Code, u64>,
}

#[derive(Debug, Default)]
pub struct Stats {
    /// Tries, those that were refused since no listener was there, requests that the full accept queue
    /// dropped, tries given up, and connections accepted too late.
    pub tries: u64,
    pub refused: u64,
    pub dropped: u64,
    pub given_up: u64,
    pub accepted: u64,
    pub accepted_late: u64,
    pub queue_max: usize,
    /// Connections that the listener has, now and at most.
    pub open: usize,
    pub open_max: usize,
    /// Connections that only the listener still has, now and at most, and the longest time of one.
    pub half_open: usize,
    pub half_open_max: usize,
    pub half_open_time_max: Micros,
    /// How many of those ended because their client came back, and because they were idle.
    pub replaced: u64,
    pub idle_ended: u64,
    pub cuts: u64,
    pub crashes: u64,
    /// Files that went on from a part, and refusals.
    pub resumed: u64,
    pub refusals: u64,
    pub pongs: u64,
    pub owed_max: usize,
    /// The maximum memory of a client's reader at the listener.
    pub heap_max: usize,
    pub uploads: Vec<Uploaded>,
    /// For each restart, the time from the listener's start until each client was connected.
    pub recovery: Vec<Vec<Micros>>,
    pub hostile: [HostileCost; 8],
}

/// Returns the value below which this share of the values is.
pub fn share<T: Copy + Ord + Default>(values: &[T], percent: usize) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}
