//! What was received and not delivered yet.

use core::fmt;
use core::ops::Range;
use std::boxed::Box;
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use super::endpoint::{UdpEndpoint, is_report};
use super::received::{Frames, Known, Received};
use super::socket::{DatagramSocket, Filled, SLOT_LEN};
use super::stats::RecvStats;
use crate::format::Format;
use crate::framing::Framing;

/// How many slots a receive gets while each is filled with many datagrams.
const FEW_SLOTS: usize = 2;

/// A receiver without its socket: what was received and not delivered yet, in slots of [`SLOT_LEN`]
/// bytes.
///
/// A slot gets one datagram, or several with receive offload. [`next_arrival`](Self::next_arrival)
/// returns what is there, [`deliver`](Self::deliver) checks it and returns its frames, and
/// [`receive`](Self::receive) calls the system once more when there is nothing left.
pub struct ReceiveSlots<F: Format> {
    framing: Framing<F>,
    known: Box<Known<F>>,
    /// The length of the longest datagram that is accepted, in bytes.
    limit: usize,
    /// Whole slots; none while nothing is here and another receiver uses the storage.
    slots: Vec<u8>,
    filled: Vec<Filled>,
    /// The next datagram: in which slot, and at which byte of it.
    slot: usize,
    at: usize,
    /// Whether the last slots held runs of datagrams.
    runs: bool,
    stats: RecvStats,
}

/// Something to [deliver](ReceiveSlots::deliver): a datagram in the slots that it comes from, or a
/// report about something sent earlier.
#[derive(Debug)]
pub struct Arrival(Content);

#[derive(Debug)]
enum Content {
    /// The place of a datagram in the slots.
    Datagram {
        source: SocketAddr,
        place: Range<usize>,
    },
    Undelivered(io::Error),
}

impl Arrival {
    /// A report that something sent earlier did not arrive, as
    /// [`UdpEndpoint::take_report`] returns it.
    #[must_use]
    pub fn undelivered(report: io::Error) -> Self {
        Self(Content::Undelivered(report))
    }
}

impl<F: Format> ReceiveSlots<F> {
    /// Creates a receiver without slots, which accepts datagrams of any length and no kinds of
    /// applications.
    pub fn new(framing: Framing<F>) -> Self {
        Self {
            framing,
            known: Box::new(|_| false),
            // A datagram that fills its slot may have been cut (spec, 8.3).
            limit: SLOT_LEN - 1,
            slots: Vec::new(),
            filled: Vec::new(),
            slot: 0,
            at: 0,
            runs: false,
            stats: RecvStats::default(),
        }
    }

    /// Sets which kinds of applications are known: `known` returns whether a kind is. The others
    /// are ignored or, if they are critical, refuse their datagram.
    pub fn set_known(&mut self, known: impl Fn(&F::Meta) -> bool + Send + Sync + 'static) {
        self.known = Box::new(known);
    }

    /// Sets how many bytes a datagram may have: a longer one is refused as cut.
    pub fn set_recv_limit(&mut self, bytes: usize) {
        self.limit = bytes.min(SLOT_LEN - 1);
    }

    /// Returns the format and the limit of a frame.
    pub fn framing(&self) -> &Framing<F> {
        &self.framing
    }

    /// Returns what was counted since the receiver was created.
    pub fn stats(&self) -> RecvStats {
        self.stats
    }

    /// Provides slots to receive into, one for each [`SLOT_LEN`] bytes; what is left over is cut
    /// off. Datagrams that were not delivered are discarded.
    ///
    /// Without offload (feature `udp`) a system call fills only the first slot. With offload, a call
    /// on a blocking socket waits until all of them are filled: provide one for such a socket.
    pub fn provide_slots(&mut self, mut slots: Vec<u8>) {
        slots.truncate(slots.len() / SLOT_LEN * SLOT_LEN);
        self.filled.clear();
        self.slots = slots;
    }

    /// Returns whether there are slots.
    pub fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Takes the slots back, for another receiver to use while this one waits. Datagrams that were
    /// not delivered are discarded: call it after [`next_arrival`](Self::next_arrival) returned
    /// `None`.
    pub fn take_slots(&mut self) -> Vec<u8> {
        self.filled.clear();
        core::mem::take(&mut self.slots)
    }

    /// Returns the next datagram that was received and not delivered.
    #[inline]
    pub fn next_arrival(&mut self) -> Option<Arrival> {
        let Filled { source, len, segment_len } = *self.filled.get(self.slot)?;
        let start = self.slot * SLOT_LEN;
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
        Some(Arrival(Content::Datagram { source, place }))
    }

    /// Receives once, into the slots. Returns a report if the system had one instead of a datagram.
    /// Datagrams that were not delivered are discarded: call it after
    /// [`next_arrival`](Self::next_arrival) returned `None`.
    ///
    /// # Errors
    /// The socket's own, or [`InvalidInput`](io::ErrorKind::InvalidInput) without slots. Nothing is
    /// lost: the call can be made again.
    pub fn receive<S: DatagramSocket>(
        &mut self,
        endpoint: &UdpEndpoint<S>,
    ) -> io::Result<Option<Arrival>> {
        if self.slots.is_empty() {
            let text = "there are no slots to receive into";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        (self.slot, self.at) = (0, 0);
        // If each slot has many datagrams anyway, few slots stay in the processor's cache.
        let len = if self.runs { FEW_SLOTS * SLOT_LEN } else { self.slots.len() };
        let len = len.min(self.slots.len());
        let slots = self.slots.get_mut(..len).unwrap_or_default();
        match endpoint.recv(slots, &mut self.filled) {
            Ok(()) => {
                self.runs = self.filled.iter().any(|filled| filled.len > filled.segment_len);
                self.stats.calls += 1;
                Ok(None)
            }
            Err(error) if is_report(&error) => Ok(Some(Arrival::undelivered(error))),
            Err(error) => Err(error),
        }
    }

    /// Checks what arrived, counts it, and returns it with its frames. A datagram is accepted or
    /// refused as a whole (spec, chapter 8).
    pub fn deliver(&mut self, arrival: Arrival) -> Received<Frames<'_, F>> {
        let (source, place) = match arrival.0 {
            Content::Datagram { source, place } => (source, place),
            Content::Undelivered(error) => {
                self.stats.undelivered += 1;
                return Received::Undelivered(error);
            }
        };
        let len = place.len();
        let bytes = self.slots.get(place).unwrap_or_default();
        let room = bytes.get(..self.limit).unwrap_or(bytes);
        let known: &Known<F> = &*self.known;
        match self.framing.datagram_from(room, len, known) {
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

/// Payloads may be secret: counts only.
impl<F: Format> fmt::Debug for ReceiveSlots<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveSlots")
            .field("limit", &self.framing.limit())
            .field("datagram_limit", &self.limit)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use crate::format::U8;

    /// Only receive offload fills a slot with several datagrams; all else is in `tests/adapters/`.
    #[test]
    fn a_slot_is_one_datagram_or_a_run() {
        let mut receiver = ReceiveSlots::new(Framing::new(U8));
        let source = ([192, 0, 2, 1], 7).into();
        let slots: [(usize, usize, &[usize]); 6] = [
            (5, 5, &[5]),
            (5, 0, &[5]),
            (0, 0, &[0]),
            (6, 3, &[3, 3]),
            (7, 3, &[3, 3, 1]),
            (2, 3, &[2]),
        ];
        let filled = |&(len, segment_len, _): &_| Filled { source, len, segment_len };
        receiver.filled = slots.iter().map(filled).collect();
        for (slot, &(_, segment_len, lens)) in slots.iter().enumerate() {
            for (i, len) in lens.iter().enumerate() {
                let Some(Arrival(Content::Datagram { place, .. })) = receiver.next_arrival() else {
                    panic!("{slot} has more")
                };
                let start = slot * SLOT_LEN + i * segment_len;
                assert_eq!(place, start..start + len);
            }
        }
        assert!(receiver.next_arrival().is_none());
    }
}
