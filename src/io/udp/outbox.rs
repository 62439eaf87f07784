//! What was accepted and not yet sent: frames, packed into datagrams, for each peer apart.

use core::fmt;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use super::endpoint::{Endpoint, Socket};
use super::item::{SendError, SendStats};
use crate::datagram::{DEFAULT_DATAGRAM_LIMIT, check_place};
use crate::encode::EncodedHeader;
use crate::error::EncodeError;
use crate::format::Format;
use crate::framing::Framing;
use crate::segment::segment_run;

/// The most bytes that one call can send: what a datagram over IPv4 has room for.
const MOST_BYTES: usize = 65_507;
/// Datagrams for one peer that are held before they are sent: no call sends more.
const MOST_HELD: usize = 64;
/// Bytes for all peers that are held, about, before all of it is sent.
const MOST_HELD_BYTES: usize = 4 << 20;
/// Peers that something is held for before all of it is sent.
const MOST_PEERS: usize = 1_024;
/// Batches whose memory is kept once they are sent.
const KEPT: usize = 4;

/// A sender without its socket.
pub(crate) struct Outgoing<F: Format> {
    framing: Framing<F>,
    /// The most bytes of a datagram.
    limit: usize,
    /// The first `used` are in use; the others lend their memory.
    batches: Vec<Batch>,
    used: usize,
    by_peer: HashMap<SocketAddr, usize>,
    /// The batch that the last frame went to.
    last: usize,
    /// Bytes in all batches, about.
    held: usize,
    stats: SendStats,
}

/// Datagrams for a peer, behind each other. Frames are appended to the last one, which is open.
#[derive(Default)]
struct Batch {
    peer: Option<SocketAddr>,
    bytes: Vec<u8>,
    /// The bytes that were sent.
    sent: usize,
    /// Datagrams that get no further frame.
    closed: VecDeque<Packed>,
    /// Where the open datagram begins, and how many frames it has.
    open: usize,
    open_frames: u32,
    /// So many of the next datagrams are sent one by one.
    alone: usize,
}

#[derive(Clone, Copy)]
struct Packed {
    len: usize,
    frames: u32,
}

/// What one step of sending came to.
pub(crate) enum Step {
    /// There was nothing to send.
    Idle,
    /// The system took datagrams; there may be more.
    Sent,
    /// The system did not take them, and they are gone.
    Lost(SendError),
}

impl<F: Format> Outgoing<F> {
    pub(crate) fn new(framing: Framing<F>) -> Self {
        Self {
            framing,
            limit: DEFAULT_DATAGRAM_LIMIT,
            batches: Vec::new(),
            used: 0,
            by_peer: HashMap::new(),
            last: 0,
            held: 0,
            stats: SendStats::default(),
        }
    }

    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    pub(crate) fn framing(&self) -> &Framing<F> {
        &self.framing
    }

    pub(crate) fn stats(&self) -> SendStats {
        self.stats
    }

    /// The header of a frame that a datagram can hold; an error for any other.
    #[inline]
    pub(crate) fn check(
        &self,
        meta: &F::Meta,
        payload: &[u8],
    ) -> Result<EncodedHeader<F>, SendError> {
        check_place(self.framing.format(), meta)?;
        let header = self.framing.encode_header(meta, payload.len() as u64)?;
        let len = header.as_bytes().len().saturating_add(payload.len());
        if len > self.limit {
            return Err(SendError::TooLong { len, limit: self.limit });
        }
        Ok(header)
    }

    /// Whether something has to be sent before a frame for this peer is accepted.
    #[inline]
    pub(crate) fn is_full(&mut self, peer: SocketAddr) -> bool {
        let (limit, held, used) = (self.limit, self.held, self.used);
        held > MOST_HELD_BYTES
            || match self.find(peer) {
                Some(batch) => {
                    batch.closed.len() >= MOST_HELD
                        || !batch.closed.is_empty() && batch.open + limit > MOST_BYTES
                }
                None => used >= MOST_PEERS,
            }
    }

    /// Accepts a frame that was checked.
    #[inline]
    pub(crate) fn push(&mut self, peer: SocketAddr, header: &EncodedHeader<F>, payload: &[u8]) {
        if self.find(peer).is_none() {
            self.add(peer);
        }
        let Some(batch) = self.batches.get_mut(self.last) else { return };
        let before = batch.bytes.len();
        header.append(payload, &mut batch.bytes);
        self.held += batch.bytes.len() - before;
        if batch.bytes.len() - batch.open > self.limit {
            // The datagram had no room for it: it begins the next.
            batch.close(before);
        }
        batch.open_frames += 1;
    }

    /// Closes what is open, so that all of it is sent.
    pub(crate) fn close_all(&mut self) {
        for batch in self.batches.iter_mut().take(self.used) {
            batch.close(batch.bytes.len());
        }
    }

    /// The same where a full sender holds nothing for this peer, or too much for all of them: then
    /// all of it has to go.
    pub(crate) fn close_for(&mut self, peer: SocketAddr) {
        if self.held > MOST_HELD_BYTES || self.find(peer).is_none() {
            self.close_all();
        }
    }

    /// Makes one call that sends, if something is closed. "Would block" is the only error, and
    /// nothing changes then.
    pub(crate) fn step<S: Socket>(&mut self, endpoint: &Endpoint<S>) -> io::Result<Step> {
        let mut batches = self.batches.iter_mut().take(self.used);
        let Some(batch) = batches.find(|batch| !batch.closed.is_empty()) else {
            self.rest();
            return Ok(Step::Idle);
        };
        let Some(peer) = batch.peer else { return Ok(Step::Idle) };
        loop {
            let most = if batch.alone > 0 { 1 } else { endpoint.most_segments() };
            let lens = batch.closed.iter().map(|packed| packed.len);
            let segment_len = lens.clone().next().unwrap_or_default();
            let count = segment_run(lens.clone(), most, MOST_BYTES);
            let len: usize = lens.take(count).sum();
            let bytes = batch.bytes.get(batch.sent..batch.sent + len).unwrap_or_default();
            match endpoint.send(peer, bytes, segment_len) {
                Ok(repeated) => {
                    let frames = batch.advance(count, len);
                    self.held = self.held.saturating_sub(len);
                    self.stats.datagrams += count as u64;
                    self.stats.frames += frames;
                    self.stats.bytes += len as u64;
                    self.stats.calls += 1;
                    self.stats.repeated += u64::from(repeated);
                    return Ok(Step::Sent);
                }
                Err(error) if would_block(&error) => return Err(error),
                Err(error) if count > 1 && endpoint.is_about_run(&error) => batch.alone = count,
                Err(error) => {
                    let frames = batch.advance(count, len);
                    self.held = self.held.saturating_sub(len);
                    self.stats.lost += count as u64;
                    self.stats.lost_frames += frames;
                    let lost = SendError::Lost { peer, datagrams: count, error };
                    return Ok(Step::Lost(lost));
                }
            }
        }
    }

    /// Whether nothing is closed that waits to be sent.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_idle(&self) -> bool {
        self.batches.iter().take(self.used).all(|batch| batch.closed.is_empty())
    }

    /// The batch for this peer, which is the last one then.
    #[inline]
    fn find(&mut self, peer: SocketAddr) -> Option<&Batch> {
        let last = self.batches.get(self.last).filter(|_| self.last < self.used);
        if last.is_none_or(|batch| batch.peer != Some(peer)) {
            self.last = *self.by_peer.get(&peer)?;
        }
        self.batches.get(self.last)
    }

    fn add(&mut self, peer: SocketAddr) {
        if self.used == self.batches.len() {
            self.batches.push(Batch::default());
        }
        if let Some(batch) = self.batches.get_mut(self.used) {
            batch.peer = Some(peer);
        }
        self.last = self.used;
        self.by_peer.insert(peer, self.used);
        self.used += 1;
    }

    /// Forgets the peers once nothing is left for any, and gives memory back.
    fn rest(&mut self) {
        if self.batches.iter().take(self.used).all(|batch| batch.bytes.is_empty()) {
            self.used = 0;
            self.by_peer.clear();
            self.batches.truncate(KEPT);
            self.held = 0;
        }
    }
}

impl Batch {
    /// Ends the open datagram at `end`.
    fn close(&mut self, end: usize) {
        if end > self.open {
            self.closed.push_back(Packed { len: end - self.open, frames: self.open_frames });
            (self.open, self.open_frames) = (end, 0);
        }
    }

    /// Drops the first `count` datagrams, `len` bytes in all. Says how many frames they had.
    fn advance(&mut self, count: usize, len: usize) -> u64 {
        let frames = self.closed.drain(..count).map(|packed| u64::from(packed.frames)).sum();
        self.alone = self.alone.saturating_sub(count);
        self.sent += len;
        if self.closed.is_empty() {
            // What is open moves to the front: less than a datagram, once for each batch.
            self.bytes.drain(..self.sent);
            self.open -= self.sent;
            self.sent = 0;
        }
        frames
    }
}

/// Whether nothing can be sent now, and later it can.
fn would_block(error: &io::Error) -> bool {
    // The second is a write time-out, on some systems.
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

/// Payloads may be secret: lengths only.
impl<F: Format> fmt::Debug for Outgoing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("limit", &self.framing.limit())
            .field("datagram_limit", &self.limit)
            .field("peers", &self.used)
            .field("held", &self.held)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
