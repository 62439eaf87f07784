//! What all connections share, such as memory: who waits for some of it gets it in a fair order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::listen::places::Network;

/// A number of units that all connections share.
///
/// Those that wait for some are served by network, each in its turn: first the network that has waited
/// longest since it came or was served. How many it has does not count: otherwise one that waits for more
/// would never be served while others come that have none. Within a network it is the order in which they
/// came.
#[derive(Debug)]
pub(crate) struct Shares {
    max: u64,
    /// Whether one at a time gets what it needs although there is not enough.
    has_turn: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    of: HashMap<Network, u64>,
    line: HashMap<Network, Waiting>,
    /// Counts the places in the line, and those who take something.
    last: u64,
    /// The id of the share that may have more than there is.
    turn: Option<u64>,
}

/// Those of one network that wait, and the network's place in the line.
#[derive(Debug, Default)]
struct Waiting {
    at: u64,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    need: u64,
    granted: oneshot::Sender<()>,
}

/// What one has of the [`Shares`]. Dropped, it returns it.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    network: Network,
    id: u64,
    taken: u64,
    /// Whether it has waited, and may have had the turn since.
    may_have_turn: bool,
    /// What it waits for.
    wanted: Option<(u64, oneshot::Receiver<()>)>,
}

impl Shares {
    /// Shares this many units. With `has_turn` one at a time gets what it needs, however much that is,
    /// until it has returned it or there is enough.
    pub(crate) fn new(max: u64, has_turn: bool) -> Arc<Self> {
        Arc::new(Self { max, has_turn, state: Mutex::default() })
    }

    /// Returns a share without anything in it.
    pub(crate) fn open(self: &Arc<Self>, network: Network) -> Share {
        let mut state = self.state();
        state.last += 1;
        Share {
            shares: Arc::clone(self),
            network,
            id: state.last,
            taken: 0,
            may_have_turn: false,
            wanted: None,
        }
    }

    /// Waits for these units.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub(crate) async fn get(self: &Arc<Self>, network: Network, units: u64) -> Share {
        let mut share = self.open(network);
        if !share.take(units) {
            share.granted().await;
        }
        share
    }

    /// Returns whether somebody waits for some.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.state().line.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves those who wait, as far as there is enough.
    fn serve(&self, state: &mut State) {
        while let Some(network) = state.next() {
            let Some(waiting) = state.line.get_mut(&network) else { return };
            let Some(Waiter { id, need, .. }) = waiting.queue.front() else { return };
            let (id, need) = (*id, *need);
            if state.used.saturating_add(need) > self.max {
                if !self.has_turn || state.turn.is_some() {
                    return;
                }
                state.turn = Some(id);
            }
            state.last += 1;
            waiting.at = state.last;
            let waiter = waiting.queue.pop_front();
            if waiting.queue.is_empty() {
                state.line.remove(&network);
            }
            state.change(network, 0, need);
            if let Some(waiter) = waiter {
                // If its future was dropped, the share returns the units when it is dropped.
                let _ = waiter.granted.send(());
            }
        }
    }
}

impl State {
    fn of(&self, network: Network) -> u64 {
        self.of.get(&network).copied().unwrap_or(0)
    }

    /// Returns the network that is served next.
    fn next(&self) -> Option<Network> {
        let next = self.line.iter().min_by_key(|(_, waiting)| waiting.at);
        next.map(|(network, _)| *network)
    }

    fn change(&mut self, network: Network, from: u64, to: u64) {
        self.used = self.used.saturating_sub(from).saturating_add(to);
        let of = self.of(network).saturating_sub(from).saturating_add(to);
        if of == 0 {
            self.of.remove(&network);
        } else {
            self.of.insert(network, of);
        }
    }
}

impl Share {
    /// Sets what it has, without a wait. If `ends_turn` is set, it does not need more than there is any
    /// longer.
    pub(crate) fn set(&mut self, units: u64, ends_turn: bool) {
        if units == self.taken && !(ends_turn && self.may_have_turn) {
            return;
        }
        if ends_turn && self.wanted.is_none() {
            self.may_have_turn = false;
        }
        let mut state = self.shares.state();
        state.change(self.network, self.taken, units);
        self.taken = units;
        let is_back = ends_turn && state.turn == Some(self.id);
        if is_back || state.used <= self.shares.max {
            state.turn = None;
        }
        self.shares.serve(&mut state);
    }

    /// Takes these units in addition, if it is its turn. Otherwise [`granted`](Self::granted) waits for
    /// them.
    pub(crate) fn take(&mut self, units: u64) -> bool {
        self.leave();
        let mut state = self.shares.state();
        let is_enough = state.used.saturating_add(units) <= self.shares.max;
        if state.turn == Some(self.id) || is_enough && state.line.is_empty() {
            state.change(self.network, 0, units);
            self.taken += units;
            return true;
        }
        let (granted, receiver) = oneshot::channel();
        state.last += 1;
        let at = state.last;
        let waiting = state.line.entry(self.network).or_default();
        if waiting.queue.is_empty() {
            waiting.at = at;
        }
        waiting.queue.push_back(Waiter { id: self.id, need: units, granted });
        self.wanted = Some((units, receiver));
        self.may_have_turn = true;
        self.shares.serve(&mut state);
        drop(state);
        self.has_got_it()
    }

    /// Waits for what [`take`](Self::take) did not get, and returns it; forever if there is nothing.
    ///
    /// # Cancel safety
    /// Dropping the future keeps the place in the line.
    pub(crate) async fn granted(&mut self) -> u64 {
        let Some((units, receiver)) = &mut self.wanted else {
            return std::future::pending().await;
        };
        let (_, units) = (receiver.await, *units);
        self.taken += units;
        self.wanted = None;
        units
    }

    /// Returns how much more it waits for.
    pub(crate) fn awaited(&self) -> u64 {
        self.wanted.as_ref().map_or(0, |(units, _)| *units)
    }

    /// Returns whether it waits for more.
    pub(crate) fn waits(&self) -> bool {
        self.wanted.is_some()
    }

    /// Returns whether what it waited for is there now.
    fn has_got_it(&mut self) -> bool {
        let got = self.wanted.take_if(|(_, receiver)| receiver.try_recv().is_ok());
        self.taken += got.as_ref().map_or(0, |(units, _)| *units);
        got.is_some()
    }

    /// Gives up the place in the line, if it has one.
    pub(crate) fn leave(&mut self) {
        let Some((units, _)) = self.wanted.take() else { return };
        let mut state = self.shares.state();
        let mut is_there = false;
        if let Some(waiting) = state.line.get_mut(&self.network) {
            let before = waiting.queue.len();
            waiting.queue.retain(|waiter| waiter.id != self.id);
            is_there = waiting.queue.len() < before;
            if waiting.queue.is_empty() {
                state.line.remove(&self.network);
            }
        }
        if !is_there {
            // It was granted meanwhile.
            state.change(self.network, units, 0);
            if state.turn == Some(self.id) && self.taken == 0 {
                state.turn = None;
            }
        }
        self.shares.serve(&mut state);
    }

    /// Returns whether it may have more than there is.
    pub(crate) fn has_turn(&self) -> bool {
        self.may_have_turn && self.shares.state().turn == Some(self.id)
    }

    /// Returns whether another waits whose network has no more than this one's.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.shares.state();
        let own = state.of(self.network);
        let mut poorer = state.line.iter().filter(|(network, _)| state.of(**network) <= own);
        poorer.any(|(_, waiting)| waiting.queue.iter().any(|waiter| waiter.id != self.id))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.leave();
        self.set(0, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(n: u32) -> Network {
        Network::User(n)
    }

    #[tokio::test]
    async fn networks_are_served_in_turn_however_much_they_have() {
        let shares = Shares::new(1, false);
        let first = shares.get(from(9), 1).await;
        // Four of one network were there before those of others.
        let mut waiting = Vec::new();
        for n in [1, 1, 1, 1, 2, 3, 2] {
            let mut share = shares.open(from(n));
            assert!(!share.take(1));
            waiting.push((n, share));
        }
        drop(first);
        let mut served = Vec::new();
        while !waiting.is_empty() {
            let at = waiting.iter_mut().position(|(_, share)| share.has_got_it());
            // Dropped, it is there for the next.
            served.push(waiting.remove(at.expect("somebody is served")).0);
        }
        assert_eq!(served, [1, 2, 3, 1, 2, 1, 1]);

        let shares = Shares::new(2, false);
        let (first, _has_one) = (shares.get(from(9), 1).await, shares.get(from(1), 1).await);
        let (mut a, mut b) = (shares.open(from(1)), shares.open(from(2)));
        assert!(!a.take(1) && !b.take(1));
        drop(first);
        assert!(a.has_got_it() && !b.has_got_it());
        // Those of other networks that come later do not keep it from its turn.
        let mut others: Vec<_> = (3..9).map(|n| shares.open(from(n))).collect();
        assert!(others.iter_mut().all(|other| !other.take(1)));
        a.set(0, true);
        assert!(b.has_got_it() && !others[0].has_got_it());
    }

    #[tokio::test]
    async fn who_leaves_the_line_is_not_waited_for() {
        let shares = Shares::new(1, false);
        let one = shares.get(from(1), 1).await;
        let mut gone = shares.open(from(2));
        assert!(!gone.take(1));
        let mut next = shares.open(from(3));
        assert!(!next.take(1));
        drop(gone);
        drop(one);
        next.granted().await;
        // One that was served and did not notice returns it, too.
        let mut late = shares.open(from(2));
        assert!(!late.take(1));
        drop(next);
        drop(late);
        let state = shares.state();
        assert_eq!((state.used, state.of.len()), (0, 0));
    }

    #[tokio::test]
    async fn one_at_a_time_may_have_more_than_there_is() {
        let shares = Shares::new(10, true);
        let (mut a, mut b, mut c) =
            (shares.open(from(1)), shares.open(from(1)), shares.open(from(2)));
        assert!(a.take(8) && b.take(8) && b.take(80));
        assert!(!a.take(1) && !c.take(20));
        assert!(b.is_wanted());
        b.set(88, true);
        // The one that was there before is next, though the other's network has less.
        assert!(a.has_got_it() && !c.has_got_it());
        drop(a);
        assert!(c.has_got_it());
    }

    #[tokio::test]
    async fn who_has_returned_all_and_ends_its_turn_leaves_it_to_the_next() {
        let shares = Shares::new(10, true);
        let (mut a, mut b, mut c) =
            (shares.open(from(1)), shares.open(from(2)), shares.open(from(3)));
        assert!(a.take(8) && b.take(8) && !c.take(1));
        // More than there is without b, too.
        a.set(20, false);
        b.set(0, false);
        assert!(!c.has_got_it(), "it is the turn of b");
        b.set(0, true);
        assert!(c.has_got_it());
    }
}
