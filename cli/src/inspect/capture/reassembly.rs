//! Puts the segments of one direction of a connection in order.

use std::collections::BTreeMap;

/// The number of bytes that one direction keeps while bytes before them are missing, with
/// [`OVERHEAD`] for each segment.
const MAX_HELD: usize = 8 << 20;
const OVERHEAD: usize = 128;
/// After the peer has acknowledged missing bytes, they can still come for this number of segments: a
/// capture may have packets in another order than the wire had them.
const PATIENCE: u32 = 32;

/// What comes next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Data(&'a [u8]),
    /// The capture does not have the next bytes; holds their number.
    Gap(u64),
}

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Direction {
    /// The sequence number of the next byte; `None` before the first segment.
    next: Option<u32>,
    /// The stream offset of the next byte.
    offset: u64,
    /// The sequence number of the SYN.
    syn: Option<u32>,
    /// Segments after missing bytes, by stream offset.
    held: BTreeMap<u64, Held>,
    held_len: usize,
    /// The stream offset at which the direction ends.
    end: Option<u64>,
    /// The stream offset up to which the peer has everything.
    acked: u64,
    /// The number of segments since missing bytes were acknowledged.
    waited: u32,
    /// The number of bytes that came again.
    pub(crate) repeated: u64,
    /// The number of missing bytes.
    pub(crate) missing: u64,
}

struct Held {
    data: Vec<u8>,
    /// The number of bytes after the data that the capture has cut off.
    missing: u64,
}

impl Direction {
    /// Returns whether the SYN was seen.
    pub(crate) fn has_beginning(&self) -> bool {
        self.syn.is_some()
    }

    /// Returns the number of bytes that are kept.
    pub(crate) fn held_len(&self) -> usize {
        self.held_len
    }

    /// Returns whether all bytes up to the FIN have come.
    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_some_and(|end| self.offset >= end)
    }

    /// Returns whether a SYN with this sequence number begins another connection.
    pub(crate) fn is_other_syn(&self, sequence: u32) -> bool {
        match self.syn {
            Some(syn) => syn != sequence,
            None => self.next.is_some_and(|next| next != sequence.wrapping_add(1)),
        }
    }

    /// Takes a segment, and calls `out` with what it completes. `missing` is the number of bytes after
    /// the payload that the capture has cut off, and `room` how many bytes can be kept.
    pub(crate) fn segment(
        &mut self,
        (sequence, syn, fin): (u32, bool, bool),
        payload: &[u8],
        (missing, room): (u64, usize),
        out: &mut dyn FnMut(Event<'_>),
    ) {
        let mut sequence = sequence;
        if syn {
            self.syn.get_or_insert(sequence);
            sequence = sequence.wrapping_add(1);
        }
        if self.next.is_none() && !syn && payload.is_empty() && !fin && missing == 0 {
            // A bare ACK says where the next byte is, but one that keeps a connection alive has the
            // number before.
            return;
        }
        let next = *self.next.get_or_insert(sequence);
        let distance = i64::from(sequence.wrapping_sub(next).cast_signed());
        let all = payload.len() as u64 + missing;
        let mut payload = payload;
        let offset = self.offset.checked_add_signed(distance).unwrap_or_else(|| {
            // From before the first byte.
            let before = distance.unsigned_abs().saturating_sub(self.offset);
            let before = usize::try_from(before).unwrap_or(usize::MAX);
            payload = payload.get(before..).unwrap_or_default();
            0
        });
        if fin {
            self.end.get_or_insert(offset.saturating_add(all));
        }
        self.take(offset, payload, missing, out);
        self.drain(out);
        if self.held.is_empty() {
            self.waited = 0;
            return;
        }
        // Everything before this was received, so the capture lacks it.
        let first = self.held.keys().next().copied().unwrap_or_default();
        if self.acked >= first {
            self.waited += 1;
        }
        while self.held_len > room.min(MAX_HELD)
            || (self.waited > PATIENCE && !self.held.is_empty())
        {
            self.give_up(out);
        }
    }

    /// Takes an acknowledgement by the peer.
    pub(crate) fn ack(&mut self, ack: u32) {
        let Some(next) = self.next else { return };
        let distance = i64::from(ack.wrapping_sub(next).cast_signed());
        if let Some(offset) = self.offset.checked_add_signed(distance) {
            self.acked = self.acked.max(offset);
        }
    }

    /// Delivers everything that is kept: no more segments come.
    pub(crate) fn finish(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        while !self.held.is_empty() {
            self.give_up(out);
        }
        // Bytes that the peer has, or that a FIN follows, and that were not captured.
        let missing = match self.end {
            Some(end) => end.saturating_sub(self.offset),
            // One byte may be the FIN.
            None => self.acked.checked_sub(self.offset).filter(|n| *n > 1).unwrap_or_default(),
        };
        if missing > 0 {
            self.gap(missing, out);
        }
    }

    /// Delivers a segment that follows, and keeps one that does not.
    fn take(&mut self, offset: u64, payload: &[u8], missing: u64, out: &mut dyn FnMut(Event<'_>)) {
        if offset > self.offset {
            let kept = self.held.get(&offset).is_some_and(|held| held.data.len() >= payload.len());
            if kept || (payload.is_empty() && missing == 0) {
                self.repeated += payload.len() as u64;
                return;
            }
            self.held_len += payload.len() + OVERHEAD;
            let held = Held { data: payload.to_vec(), missing };
            if let Some(old) = self.held.insert(offset, held) {
                self.held_len = self.held_len.saturating_sub(old.data.len() + OVERHEAD);
                self.repeated += old.data.len() as u64;
            }
            return;
        }
        let old = usize::try_from(self.offset - offset).unwrap_or(usize::MAX);
        let new = payload.get(old..).unwrap_or_default();
        self.repeated += (payload.len() - new.len()) as u64;
        if !new.is_empty() {
            self.advance(new.len() as u64);
            out(Event::Data(new));
        }
        let end = offset.saturating_add(payload.len() as u64).saturating_add(missing);
        if missing > 0 && end > self.offset {
            // The bytes that were cut off may come again, but if they are kept already, take those.
            let next = self.held.range(self.offset..).next().map(|(at, _)| *at);
            let until = next.unwrap_or(end).min(end);
            if until > self.offset {
                self.gap(until - self.offset, out);
            }
        }
    }

    /// Delivers the kept segments that follow.
    fn drain(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > self.offset {
                return;
            }
            let (offset, held) = entry.remove_entry();
            self.held_len = self.held_len.saturating_sub(held.data.len() + OVERHEAD);
            self.take(offset, &held.data, held.missing, out);
        }
    }

    /// Reports the bytes before the first kept segment as missing, and delivers it.
    fn give_up(&mut self, out: &mut dyn FnMut(Event<'_>)) {
        let Some(first) = self.held.keys().next().copied() else { return };
        if first > self.offset {
            self.gap(first - self.offset, out);
        }
        self.waited = 0;
        self.drain(out);
    }

    fn gap(&mut self, len: u64, out: &mut dyn FnMut(Event<'_>)) {
        self.missing += len;
        self.advance(len);
        out(Event::Gap(len));
    }

    fn advance(&mut self, len: u64) {
        self.offset += len;
        // Sequence numbers wrap around after 4 GiB.
        let len = u32::try_from(len & u64::from(u32::MAX)).unwrap_or_default();
        self.next = self.next.map(|next| next.wrapping_add(len));
    }
}
