//! What was received and not yet delivered.

use core::fmt;
use core::ops::Range;
use std::boxed::Box;
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use super::endpoint::{Endpoint, Filled, SLOT_LEN, Socket, is_report};
use super::item::{Frames, Known, Received, RecvStats};
use crate::format::Format;
use crate::framing::Framing;

/// The slots that are offered while each is filled with many datagrams.
const FEW_SLOTS: usize = 2;

/// A receiver without its socket.
pub(crate) struct Incoming<F: Format> {
    framing: Framing<F>,
    known: Box<Known<F>>,
    /// The longest datagram that is taken, in bytes.
    limit: usize,
    /// Whole slots; none while nothing is here and others use the storage.
    slots: Vec<u8>,
    filled: Vec<Filled>,
    /// The next datagram: in which slot, and at which byte of it.
    slot: usize,
    at: usize,
    /// Whether the last slots held runs of datagrams.
    runs: bool,
    stats: RecvStats,
}

/// Something to deliver.
pub(crate) enum Arrival {
    /// The place of a datagram.
    Datagram {
        source: SocketAddr,
        place: Range<usize>,
    },
    Undelivered(io::Error),
}

impl<F: Format> Incoming<F> {
    pub(crate) fn new(framing: Framing<F>) -> Self {
        Self {
            framing,
            known: Box::new(|_| false),
            // A full slot may have been cut (spec, 8.3).
            limit: SLOT_LEN - 1,
            slots: Vec::new(),
            filled: Vec::new(),
            slot: 0,
            at: 0,
            runs: false,
            stats: RecvStats::default(),
        }
    }

    pub(crate) fn set_known(&mut self, known: impl Fn(&F::Meta) -> bool + Send + Sync + 'static) {
        self.known = Box::new(known);
    }

    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes.min(SLOT_LEN - 1);
    }

    pub(crate) fn framing(&self) -> &Framing<F> {
        &self.framing
    }

    pub(crate) fn stats(&self) -> RecvStats {
        self.stats
    }

    /// Gives room to receive into: whole slots.
    pub(crate) fn set_slots(&mut self, slots: Vec<u8>) {
        self.slots = slots;
    }

    pub(crate) fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The room, once all that was received is delivered.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_slots(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.slots)
    }

    /// The next datagram that is here.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Arrival> {
        let Filled { source, len, segment_len } = *self.filled.get(self.slot)?;
        let start = self.slot * SLOT_LEN;
        // The same as `Segments`, where each datagram is lent before the next is looked for.
        let end = match segment_len {
            0 => len,
            _ => len.min(self.at.saturating_add(segment_len)),
        };
        let place = start + self.at..start + end;
        if end < len {
            self.at = end;
        } else {
            (self.slot, self.at) = (self.slot + 1, 0);
        }
        Some(Arrival::Datagram { source, place })
    }

    /// Receives once. Says what came at once, if it is no datagram.
    pub(crate) fn recv<S: Socket>(
        &mut self,
        endpoint: &Endpoint<S>,
    ) -> io::Result<Option<Arrival>> {
        (self.slot, self.at) = (0, 0);
        // Where a slot brings many datagrams anyway, few slots stay in the processor's cache.
        let most = if self.runs { FEW_SLOTS * SLOT_LEN } else { self.slots.len() };
        let most = most.min(self.slots.len());
        let slots = self.slots.get_mut(..most).unwrap_or_default();
        match endpoint.recv(slots, &mut self.filled) {
            Ok(()) => {
                self.runs = self.filled.iter().any(|filled| filled.len > filled.segment_len);
                self.stats.calls += 1;
                Ok(None)
            }
            Err(error) if is_report(&error) => Ok(Some(Arrival::Undelivered(error))),
            Err(error) => Err(error),
        }
    }

    /// Judges what arrived, and counts it.
    pub(crate) fn judge(&mut self, arrival: Arrival) -> Received<Frames<'_, F>> {
        let (source, place) = match arrival {
            Arrival::Datagram { source, place } => (source, place),
            Arrival::Undelivered(error) => {
                self.stats.undelivered += 1;
                return Received::Undelivered(error);
            }
        };
        let len = place.len();
        let bytes = self.slots.get(place).unwrap_or_default();
        let room = bytes.get(..self.limit).unwrap_or(bytes);
        let known: &Known<F> = &*self.known;
        match self.framing.received(room, len, known) {
            Ok(frames) => {
                self.stats.datagrams += 1;
                self.stats.frames += frames.len() as u64;
                self.stats.bytes += len as u64;
                Received::Datagram { source, frames }
            }
            Err(error) => {
                self.stats.refused.count(&error);
                self.stats.refused_bytes += len as u64;
                Received::Refused { source, error }
            }
        }
    }
}

impl<F: Format> fmt::Debug for Incoming<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("limit", &self.framing.limit())
            .field("datagram_limit", &self.limit)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
