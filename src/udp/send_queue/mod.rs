//! What was accepted and not sent yet: frames, packed into datagrams, for each peer separately.

mod batch;

use core::fmt;
use std::boxed::Box;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use self::batch::{Batch, check_len};
use super::error::{DatagramSendError, Lost};
use super::socket::SegmentSender;
use super::stats::SendStats;
use crate::datagram::{DEFAULT_DATAGRAM_LIMIT, check_place};
use crate::encode::EncodedHeader;
use crate::error::EncodeError;
use crate::format::Format;
use crate::framing::Framing;
use crate::wire::AsMeta;

/// How many bytes for all peers are held, about, before all of it is sent.
const MAX_HELD_BYTES: usize = 4 << 20;
/// For how many peers something is held before all of it is sent.
const MAX_PEERS: usize = 1_024;
/// How many losses are kept until they are reported; more of them are only counted.
const MAX_LOSSES: usize = 1_024;
/// How many batches keep their memory once they are sent.
const KEPT: usize = 4;

/// A sender without its socket: frames that were accepted and not sent yet, packed into datagrams,
/// for each peer separately.
///
/// A peer's last datagram is open: its next frame is appended, if there is room. Only closed
/// datagrams are sent. The queue is [full](Self::is_full) for a peer if one system call can
/// hardly send more than is closed for it, for all peers if it holds more than 4 MiB, and for a new
/// peer if it holds frames for 1,024.
///
/// An adapter's send accepts a frame with [`try_push`](Self::try_push). If that returns `false`, it
/// [checks](Self::check) the frame, sends with [`make_room`](Self::make_room), or with
/// [`close_for`](Self::close_for) and [`send_closed`](Self::send_closed), and [pushes](Self::push)
/// it. Its flush is [`close_all`](Self::close_all) and `send_closed`. After each call that sent, it
/// [reports](Self::report_loss) a loss.
pub struct SendQueue<F: Format> {
    framing: Framing<F>,
    /// How many bytes a datagram has at most.
    limit: usize,
    /// The first `used` are in use, and have a peer; the others keep memory for the next peers.
    batches: Vec<Batch>,
    used: usize,
    by_peer: HashMap<SocketAddr, usize>,
    /// The batch that was last looked for.
    last: usize,
    /// The batch that the last frame went to.
    fed: usize,
    /// The batch to send from next, if something in it is closed.
    sending: usize,
    /// Bytes in all batches, about.
    held: usize,
    /// Losses that were not reported yet.
    losses: VecDeque<Lost>,
    stats: SendStats,
}

/// A frame that a datagram of the queue can hold: see [`SendQueue::check`].
pub struct CheckedFrame<'a, F: Format> {
    header: EncodedHeader<F>,
    payload: &'a [u8],
}

impl<F: Format> SendQueue<F> {
    /// Creates an empty queue, which packs datagrams of at most [`DEFAULT_DATAGRAM_LIMIT`] bytes.
    pub fn new(framing: Framing<F>) -> Self {
        Self {
            framing,
            limit: DEFAULT_DATAGRAM_LIMIT,
            batches: Vec::new(),
            used: 0,
            by_peer: HashMap::new(),
            last: 0,
            fed: 0,
            sending: 0,
            held: 0,
            losses: VecDeque::new(),
            stats: SendStats::default(),
        }
    }

    /// Sets how many bytes a datagram is packed to at most, headers of frames included.
    pub fn set_datagram_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Returns the format and the limit of a frame.
    pub fn framing(&self) -> &Framing<F> {
        &self.framing
    }

    /// Returns what was counted since the queue was created.
    pub fn stats(&self) -> SendStats {
        self.stats
    }

    /// Checks that a datagram can hold the frame, and encodes its header. The queue does not
    /// change.
    ///
    /// # Errors
    /// The frame cannot be encoded, is of a kind that a datagram cannot have, or is alone longer
    /// than a datagram may be ([`EncodeError::NoRoom`]).
    #[inline]
    pub fn check<'a>(
        &self,
        meta: &F::Meta,
        payload: &'a [u8],
    ) -> Result<CheckedFrame<'a, F>, EncodeError> {
        check_place(self.framing.format(), meta)?;
        let header = self.framing.encode_header(meta, payload.len() as u64)?;
        check_len(header.as_bytes().len().saturating_add(payload.len()), self.limit)?;
        Ok(CheckedFrame { header, payload })
    }

    /// Accepts a frame. Returns `false`, and changes nothing, if the queue is full for this peer or
    /// if no datagram can hold the frame: [`check`](Self::check) returns which.
    // Never inlined: what calls it, an `async fn`, is then small enough to be inlined itself.
    #[inline(never)]
    pub fn try_push(&mut self, peer: &SocketAddr, meta: &F::Meta, payload: &[u8]) -> bool {
        // The same as `check` and `is_full`, without results that take longer to return than to
        // compute.
        if check_place(self.framing.format(), meta).is_err() || self.held > MAX_HELD_BYTES {
            return false;
        }
        let Ok(header) = self.framing.encode_header(meta, payload.len() as u64) else {
            return false;
        };
        let len = header.as_bytes().len().saturating_add(payload.len());
        let limit = self.limit;
        let put = |batch: &mut Batch| batch.put(&header, payload, limit);
        if self.is_last(peer) && self.batches.get_mut(self.last).is_some_and(put) {
            self.held += len;
            self.fed = self.last;
            return true;
        }
        self.push_next(peer, &header, payload)
    }

    /// The same if the frame begins another datagram, or cannot be accepted.
    #[inline(never)]
    fn push_next(&mut self, peer: &SocketAddr, header: &EncodedHeader<F>, payload: &[u8]) -> bool {
        let len = header.as_bytes().len().saturating_add(payload.len());
        let is_accepted = check_len(len, self.limit).is_ok() && !self.is_full(peer);
        if is_accepted {
            self.append(peer, header, payload);
        }
        is_accepted
    }

    /// Accepts frames until there are no more, and then returns `true`, or until the queue is full
    /// for this peer, and then returns `false`: the next frame is still in `frames`.
    ///
    /// # Errors
    /// As [`check`](Self::check), for a frame that was taken from `frames` and not accepted.
    pub fn push_all<M: AsMeta<F::Meta>, P: AsRef<[u8]>>(
        &mut self,
        peer: &SocketAddr,
        frames: &mut impl Iterator<Item = (M, P)>,
    ) -> Result<bool, EncodeError> {
        while !self.is_full(peer) {
            let batch = self.batch_for(peer);
            let Some(batch) = self.batches.get_mut(batch) else { break };
            let before = batch.end;
            let filled = batch.fill(&self.framing, self.limit, frames);
            if batch.end > before {
                self.held += batch.end - before;
                self.fed = self.last;
            }
            if filled? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether something has to be sent before a frame for this peer is accepted.
    pub fn is_full(&mut self, peer: &SocketAddr) -> bool {
        let is_there = self.turn_to(peer);
        self.held > MAX_HELD_BYTES
            || match self.batches.get(self.last) {
                Some(batch) if is_there => batch.is_full(self.limit),
                _ => self.used >= MAX_PEERS,
            }
    }

    /// Accepts a frame that this queue [checked](Self::check), even if the queue is full.
    pub fn push(&mut self, peer: &SocketAddr, frame: &CheckedFrame<'_, F>) {
        self.append(peer, &frame.header, frame.payload);
    }

    fn append(&mut self, peer: &SocketAddr, header: &EncodedHeader<F>, payload: &[u8]) {
        let batch = self.batch_for(peer);
        let Some(batch) = self.batches.get_mut(batch) else { return };
        batch.append(header, payload, self.limit);
        self.held += header.as_bytes().len() + payload.len();
        self.fed = self.last;
    }

    /// Closes the datagram that the last frame was appended to: the peer's next frame begins
    /// another one.
    #[inline]
    pub fn end_datagram(&mut self) {
        if let Some(batch) = self.batches.get_mut(self.fed) {
            batch.close(); // if it is one of those in use; the others are empty
        }
    }

    /// Closes all open datagrams, so that everything is sent.
    pub fn close_all(&mut self) {
        for batch in self.batches.iter_mut().take(self.used) {
            batch.close();
        }
    }

    /// Closes what a full queue has to send before it accepts a frame for this peer: everything, if
    /// it holds too many bytes in all or frames for too many peers.
    pub fn close_for(&mut self, peer: &SocketAddr) {
        if self.held > MAX_HELD_BYTES || !self.turn_to(peer) {
            self.close_all();
        }
    }

    /// Sends all closed datagrams. Those that the system does not take are lost: the next ones are
    /// sent all the same, and [`report_loss`](Self::report_loss) returns the loss.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut), if
    /// nothing can be sent now. What was not sent is kept.
    pub fn send_closed(&mut self, sender: &impl SegmentSender) -> io::Result<()> {
        while self.send_once(sender)? {}
        Ok(())
    }

    /// Sends closed datagrams, like [`send_closed`](Self::send_closed), until there is room for a
    /// frame to this peer.
    ///
    /// # Errors
    /// As [`send_closed`](Self::send_closed).
    pub fn make_room(&mut self, sender: &impl SegmentSender, peer: &SocketAddr) -> io::Result<()> {
        self.close_for(peer);
        while self.is_full(peer) && self.send_once(sender)? {}
        Ok(())
    }

    /// Reports the first loss that was not reported yet.
    ///
    /// # Errors
    /// The loss, as [`DatagramSendError::Lost`].
    #[inline]
    pub fn report_loss(&mut self) -> Result<(), DatagramSendError> {
        self.losses.pop_front().map_or(Ok(()), |lost| Err(DatagramSendError::Lost(Box::new(lost))))
    }

    /// Keeps a loss to report it, as one with the loss before if peer and error are the same.
    fn keep(&mut self, lost: Lost) {
        let is_full = self.losses.len() >= MAX_LOSSES;
        match self.losses.back_mut() {
            Some(last)
                if (last.peer, last.error.kind()) == (lost.peer, lost.error.kind())
                    && last.error.raw_os_error() == lost.error.raw_os_error() =>
            {
                last.datagrams += lost.datagrams;
            }
            _ if is_full => {}
            _ => self.losses.push_back(lost),
        }
    }

    /// Makes one system call that sends, and keeps its loss. Returns `false` if nothing was closed.
    /// "Would block" is the only error, and nothing is lost then.
    fn send_once(&mut self, sender: &impl SegmentSender) -> io::Result<bool> {
        let Some(batch) = self.next_to_send() else {
            self.release_idle();
            return Ok(false);
        };
        let Some(batch) = self.batches.get_mut(batch) else { return Ok(false) };
        let Some(peer) = batch.peer else { return Ok(false) };
        loop {
            let max = if batch.alone > 0 { 1 } else { sender.max_segments() };
            let (count, segment_len, bytes) = batch.run(max);
            let len = bytes.len();
            match sender.send_segments(peer, bytes, segment_len) {
                Ok(repeated) => {
                    let frames = batch.advance(count, len);
                    self.held = self.held.saturating_sub(len);
                    self.stats.datagrams += count as u64;
                    self.stats.frames += frames;
                    self.stats.bytes += len as u64;
                    self.stats.calls += 1;
                    self.stats.repeated += u64::from(repeated);
                    return Ok(true);
                }
                Err(error) if would_block(&error) => return Err(error),
                Err(error) if count > 1 && sender.is_about_run(&error) => batch.alone = count,
                Err(error) => {
                    let frames = batch.advance(count, len);
                    self.held = self.held.saturating_sub(len);
                    self.stats.lost += count as u64;
                    self.stats.lost_frames += frames;
                    self.keep(Lost { peer, datagrams: count, error });
                    return Ok(true);
                }
            }
        }
    }

    /// Returns whether there is no closed datagram to send.
    pub fn is_idle(&self) -> bool {
        self.batches.iter().take(self.used).all(|batch| !batch.is_waiting())
    }

    /// Returns the index of a batch with a closed datagram.
    fn next_to_send(&mut self) -> Option<usize> {
        let is_waiting = |at: &usize| self.batches.get(*at).is_some_and(Batch::is_waiting);
        if !is_waiting(&self.sending) {
            // From there on: with many peers, those that are done would be searched for each.
            let mut others = (self.sending..self.used).chain(0..self.sending);
            self.sending = others.find(is_waiting)?;
        }
        Some(self.sending)
    }

    /// Returns whether the batch that was last looked for is this peer's.
    #[inline(always)]
    fn is_last(&self, peer: &SocketAddr) -> bool {
        self.batches.get(self.last).is_some_and(|batch| batch.peer.as_ref() == Some(peer))
    }

    /// Looks for this peer's batch, and returns whether there is one.
    fn turn_to(&mut self, peer: &SocketAddr) -> bool {
        if !self.is_last(peer) {
            match self.by_peer.get(peer) {
                Some(&batch) => self.last = batch,
                None => return false,
            }
        }
        true
    }

    /// Returns the index of this peer's batch. Adds one if there is none.
    fn batch_for(&mut self, peer: &SocketAddr) -> usize {
        if !self.turn_to(peer) {
            self.add(*peer);
        }
        self.last
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

    /// Forgets the peers, and releases most of their memory, if nothing is held for any. A
    /// [`send_closed`](Self::send_closed) that sent everything has done it.
    pub fn release_idle(&mut self) {
        // If there was only one peer, the next frame is probably for the same.
        if self.used > 1 && self.batches.iter().take(self.used).all(|batch| batch.end == 0) {
            self.used = 0;
            self.by_peer.clear();
            self.batches.truncate(KEPT);
            for batch in &mut self.batches {
                batch.peer = None;
            }
            self.held = 0;
        }
    }
}

/// Returns whether nothing can be sent now, but later.
fn would_block(error: &io::Error) -> bool {
    // The second is a write time-out, on some systems.
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Payloads may be secret: lengths only.
impl<F: Format> fmt::Debug for SendQueue<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendQueue")
            .field("limit", &self.framing.send_limit())
            .field("datagram_limit", &self.limit)
            .field("peers", &self.used)
            .field("held", &self.held)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// Payloads may be secret: lengths only.
impl<F: Format> fmt::Debug for CheckedFrame<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedFrame")
            .field("header_len", &self.header.as_bytes().len())
            .field("payload_len", &self.payload.len())
            .finish()
    }
}
