//! Pings that wait for an answer (spec, 14.3).

use super::MAX_PINGS;
use crate::bytes::copy;
use crate::message::MAX_PING_LEN;

/// The payload of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ping {
    bytes: [u8; MAX_PING_LEN],
    len: u8,
}

impl Ping {
    pub(super) const EMPTY: Self = Self { bytes: [0; MAX_PING_LEN], len: 0 };

    /// Creates a ping. Its payload was checked to have at most [`MAX_PING_LEN`] bytes.
    pub(super) fn new(payload: &[u8]) -> Self {
        let mut ping = Self::EMPTY;
        copy(&mut ping.bytes, payload);
        ping.len = u8::try_from(payload.len()).unwrap_or(0);
        ping
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// This side's open pings, from the oldest to the newest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpenPings {
    pings: [Ping; MAX_PINGS],
    count: usize,
}

impl OpenPings {
    pub(super) const NONE: Self = Self { pings: [Ping::EMPTY; MAX_PINGS], count: 0 };

    /// Adds the newest ping. Returns `false` if there is no room.
    pub(super) fn push(&mut self, payload: &[u8]) -> bool {
        let Some(slot) = self.pings.get_mut(self.count) else { return false };
        *slot = Ping::new(payload);
        self.count = self.count.saturating_add(1);
        true
    }

    /// Removes the newest ping with this payload, and all older ones. Returns `false` if there is
    /// none.
    pub(super) fn answered(&mut self, payload: &[u8]) -> bool {
        let open = self.pings.get(..self.count).unwrap_or_default();
        let Some(place) = open.iter().rposition(|ping| ping.bytes() == payload) else {
            return false;
        };
        let mut rest = Self::NONE;
        for ping in open.iter().skip(place.saturating_add(1)) {
            rest.push(ping.bytes());
        }
        *self = rest;
        true
    }
}
