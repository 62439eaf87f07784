//! The datagrams of one peer.

use std::net::SocketAddr;
use std::vec::Vec;

use super::super::segment::segment_run;
use crate::datagram::check_place;
use crate::encode::EncodedHeader;
use crate::error::EncodeError;
use crate::format::Format;
use crate::framing::Framing;
use crate::wire::AsMeta;

/// How many bytes one system call can send at most: what a datagram over IPv4 has room for.
pub(super) const MAX_RUN_BYTES: usize = 65_507;
/// How many datagrams for one peer are held before they are sent: no system call sends more.
pub(super) const MAX_HELD: usize = 64;

/// Datagrams for one peer, one after the other. Frames are appended to the last one, which is open.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) peer: Option<SocketAddr>,
    /// The first `end` bytes are in use. The others are there so that a frame's place is a slice.
    pub(super) storage: Vec<u8>,
    pub(super) end: usize,
    /// Datagrams that get no further frame.
    pub(super) closed: Vec<Packed>,
    /// How many of these were sent, and their bytes.
    sent_datagrams: usize,
    sent: usize,
    /// The offset of the open datagram, and how many frames it has.
    open: usize,
    open_frames: u32,
    /// How many of the next datagrams are sent one by one.
    pub(super) alone: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Packed {
    len: usize,
    frames: u32,
}

impl Batch {
    /// Adds a frame to the open datagram, or begins one, if there is room and storage.
    #[inline(always)]
    pub(super) fn put<F: Format>(
        &mut self,
        header: &EncodedHeader<F>,
        payload: &[u8],
        limit: usize,
    ) -> bool {
        if self.open_frames == 0 && self.is_full(limit) {
            return false;
        }
        let place = self.storage.get_mut(self.end..).unwrap_or_default();
        let room = limit.saturating_sub(self.end - self.open).min(place.len());
        if header.put(payload, place.get_mut(..room).unwrap_or_default()).is_none() {
            return false;
        }
        self.end += header.as_bytes().len() + payload.len();
        self.open_frames += 1;
        true
    }

    /// Adds a frame that a datagram can hold: to the open one or, after that, to a new one.
    pub(super) fn append<F: Format>(
        &mut self,
        header: &EncodedHeader<F>,
        payload: &[u8],
        limit: usize,
    ) {
        let len = header.as_bytes().len() + payload.len();
        if self.end - self.open > limit.saturating_sub(len) {
            self.close();
        }
        if self.storage.len() - self.end < len {
            self.storage.reserve(len);
            self.storage.resize(self.storage.capacity(), 0);
        }
        let place = self.storage.get_mut(self.end..).unwrap_or_default();
        if header.put(payload, place).is_some() {
            self.end += len;
            self.open_frames += 1;
        }
    }

    /// Adds frames. Returns `true` if there are no more, and `false` if the batch may be full now.
    #[inline(always)]
    pub(super) fn fill<F: Format, M: AsMeta<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        framing: &Framing<F>,
        limit: usize,
        frames: &mut impl Iterator<Item = (M, P)>,
    ) -> Result<bool, EncodeError> {
        let place = self.storage.get_mut(self.end..).unwrap_or_default();
        let room = limit.saturating_sub(self.end - self.open).min(place.len());
        let mut place = place.get_mut(..room).unwrap_or_default();
        loop {
            let Some((meta, payload)) = frames.next() else { return Ok(true) };
            let (meta, payload) = (meta.as_meta(), payload.as_ref());
            check_place(framing.format(), meta)?;
            let header = framing.encode_header(meta, payload.len() as u64)?;
            let len = header.as_bytes().len().saturating_add(payload.len());
            if len > place.len() {
                check_len(len, limit)?;
                self.append(&header, payload, limit);
                return Ok(false);
            }
            place = header.put(payload, place).unwrap_or_default();
            self.end += len;
            self.open_frames += 1;
        }
    }

    /// Returns whether one system call can hardly send more than is closed.
    #[inline(always)]
    pub(super) fn is_full(&self, limit: usize) -> bool {
        let (datagrams, bytes) = (self.closed.len() - self.sent_datagrams, self.open - self.sent);
        self.is_waiting() && (datagrams >= MAX_HELD || bytes.saturating_add(limit) > MAX_RUN_BYTES)
    }

    /// Ends the open datagram.
    #[inline]
    pub(super) fn close(&mut self) {
        if self.end > self.open {
            self.closed.push(Packed { len: self.end - self.open, frames: self.open_frames });
            (self.open, self.open_frames) = (self.end, 0);
        }
    }

    /// Returns whether something is closed and not sent.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.closed.len() > self.sent_datagrams
    }

    /// Returns what one system call can send: how many datagrams, the length of each, and all their
    /// bytes.
    pub(super) fn run(&self, max: usize) -> (usize, usize, &[u8]) {
        let waiting = self.closed.get(self.sent_datagrams..).unwrap_or_default();
        let segment_len = waiting.first().map_or(0, |packed| packed.len);
        let lens = waiting.iter().map(|packed| packed.len);
        let count = segment_run(lens.clone(), max, MAX_RUN_BYTES);
        let len: usize = lens.take(count).sum();
        let bytes = self.storage.get(self.sent..self.sent + len).unwrap_or_default();
        (count, segment_len, bytes)
    }

    /// Drops the first `count` datagrams, which have `len` bytes. Returns how many frames they had.
    pub(super) fn advance(&mut self, count: usize, len: usize) -> u64 {
        let end = self.sent_datagrams + count;
        let gone = self.closed.get(self.sent_datagrams..end).unwrap_or_default();
        let frames = gone.iter().map(|packed| u64::from(packed.frames)).sum();
        self.alone = self.alone.saturating_sub(count);
        self.sent_datagrams = end;
        self.sent += len;
        // The rest, usually less than a datagram, moves to the front: once for each batch, or for
        // each `MAX_HELD` datagrams if frames are added while others are sent.
        if !self.is_waiting() || self.sent_datagrams >= MAX_HELD {
            self.closed.drain(..self.sent_datagrams);
            self.sent_datagrams = 0;
            self.storage.copy_within(self.sent..self.end, 0);
            self.open -= self.sent;
            self.end -= self.sent;
            self.sent = 0;
        }
        frames
    }
}

/// Checks that a datagram of at most `limit` bytes can hold a frame of `len` bytes.
#[inline]
pub(super) fn check_len(len: usize, limit: usize) -> Result<(), EncodeError> {
    if len > limit {
        return Err(EncodeError::NoRoom { needed: len, room: limit });
    }
    Ok(())
}
