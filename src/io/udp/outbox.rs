//! What was accepted and not yet sent: frames, packed into datagrams, for each peer apart.

use core::borrow::Borrow;
use core::fmt;
use std::boxed::Box;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use super::item::{Lost, SendError, SendStats};
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
/// Losses that are kept until somebody is told; more of them are only counted.
const MOST_LOSSES: usize = 1_024;
/// Batches whose memory is kept once they are sent.
const KEPT: usize = 4;

/// What datagrams are sent with.
pub(crate) trait Wire {
    /// The most datagrams that one call can send.
    fn most_segments(&self) -> usize;

    /// Sends the datagrams in `bytes`, of `segment_len` bytes each. If that meets a report about
    /// something sent earlier, the receiver gets it, and they are sent once more: `Ok(true)`.
    fn send(&self, peer: SocketAddr, bytes: &[u8], segment_len: usize) -> io::Result<bool>;

    /// Whether a run of datagrams failed because it was a run: each may pass alone.
    fn is_about_run(&self, error: &io::Error) -> bool;
}

/// A sender without its socket.
pub(crate) struct Outgoing<F: Format> {
    framing: Framing<F>,
    /// The most bytes of a datagram.
    limit: usize,
    /// The first `used` are in use, and have a peer; the others lend their memory.
    batches: Vec<Batch>,
    used: usize,
    by_peer: HashMap<SocketAddr, usize>,
    /// The batch that was last looked for.
    last: usize,
    /// The batch that the last frame went to.
    fed: usize,
    /// The batch to send of next, if something in it waits.
    sending: usize,
    /// Bytes in all batches, about.
    held: usize,
    /// What was lost and nobody was told yet.
    losses: VecDeque<Lost>,
    stats: SendStats,
}

/// Datagrams for a peer, behind each other. Frames are appended to the last one, which is open.
#[derive(Default)]
struct Batch {
    peer: Option<SocketAddr>,
    /// The first `end` bytes are in use. The others are there so that a frame's place is a slice.
    storage: Vec<u8>,
    end: usize,
    /// Datagrams that get no further frame.
    closed: Vec<Packed>,
    /// Those of them that were sent, and their bytes.
    sent_datagrams: usize,
    sent: usize,
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
    Lost(Lost),
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
            fed: 0,
            sending: 0,
            held: 0,
            losses: VecDeque::new(),
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
    ) -> Result<EncodedHeader<F>, EncodeError> {
        check_place(self.framing.format(), meta)?;
        let header = self.framing.encode_header(meta, payload.len() as u64)?;
        check_len(header.as_bytes().len().saturating_add(payload.len()), self.limit)?;
        Ok(header)
    }

    /// Accepts a frame; `false` if something has to be sent before, or no datagram can hold it.
    ///
    /// One function that stands by itself: what is around it, an `async fn`, is then small enough
    /// to become a part of its caller.
    #[inline(never)]
    pub(crate) fn push_now(&mut self, peer: &SocketAddr, meta: &F::Meta, payload: &[u8]) -> bool {
        // The same as `check` and `is_full`, without results that take longer to hand over than to
        // find.
        if check_place(self.framing.format(), meta).is_err() || self.held > MOST_HELD_BYTES {
            return false;
        }
        let Ok(header) = self.framing.encode_header(meta, payload.len() as u64) else {
            return false;
        };
        let len = header.as_bytes().len().saturating_add(payload.len());
        if self.is_last(peer)
            && let Some(batch) = self.batches.get_mut(self.last)
            && batch.put(&header, payload, self.limit)
        {
            self.held += len;
            self.fed = self.last;
            return true;
        }
        self.push_next(peer, &header, payload)
    }

    /// The same where the frame begins another datagram, or cannot be accepted.
    #[inline(never)]
    fn push_next(&mut self, peer: &SocketAddr, header: &EncodedHeader<F>, payload: &[u8]) -> bool {
        let len = header.as_bytes().len().saturating_add(payload.len());
        let is_accepted = check_len(len, self.limit).is_ok() && !self.is_full(peer);
        if is_accepted {
            self.push(peer, header, payload);
        }
        is_accepted
    }

    /// Accepts frames until there are no more, which is `true`, or something has to be sent before the
    /// next one, which is not taken from `frames` then.
    pub(crate) fn push_all<M: Borrow<F::Meta>, P: AsRef<[u8]>>(
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

    /// Whether something has to be sent before a frame for this peer is accepted.
    pub(crate) fn is_full(&mut self, peer: &SocketAddr) -> bool {
        let is_there = self.turn_to(peer);
        self.held > MOST_HELD_BYTES
            || match self.batches.get(self.last) {
                Some(batch) if is_there => batch.is_full(self.limit),
                _ => self.used >= MOST_PEERS,
            }
    }

    /// Accepts a frame that was checked, full or not.
    pub(crate) fn push(&mut self, peer: &SocketAddr, header: &EncodedHeader<F>, payload: &[u8]) {
        let batch = self.batch_for(peer);
        let Some(batch) = self.batches.get_mut(batch) else { return };
        batch.append(header, payload, self.limit);
        self.held += header.as_bytes().len() + payload.len();
        self.fed = self.last;
    }

    /// Closes the datagram that the last frame went into.
    #[inline]
    pub(crate) fn close_last(&mut self) {
        if let Some(batch) = self.batches.get_mut(self.fed) {
            batch.close(); // if it is one of those in use; the others are empty
        }
    }

    /// Closes what is open, so that all of it is sent.
    pub(crate) fn close_all(&mut self) {
        for batch in self.batches.iter_mut().take(self.used) {
            batch.close();
        }
    }

    /// Closes what has to go before a full sender accepts a frame for this peer: all of it, if it
    /// holds too much in all or for too many.
    pub(crate) fn close_for(&mut self, peer: &SocketAddr) {
        if self.held > MOST_HELD_BYTES || !self.turn_to(peer) {
            self.close_all();
        }
    }

    /// Sends all that is closed, past what is lost. "Would block" is the only error: what is not sent
    /// is kept.
    pub(crate) fn steps(&mut self, wire: &impl Wire) -> io::Result<()> {
        while self.step_past(wire)? {}
        Ok(())
    }

    /// Sends what is closed until there is room for a frame to this peer, likewise.
    pub(crate) fn steps_for(&mut self, wire: &impl Wire, peer: &SocketAddr) -> io::Result<()> {
        self.close_for(peer);
        while self.is_full(peer) && self.step_past(wire)? {}
        Ok(())
    }

    /// Makes one call that sends, and keeps what it lost. `false` if nothing was closed.
    fn step_past(&mut self, wire: &impl Wire) -> io::Result<bool> {
        match self.step(wire)? {
            Step::Idle => return Ok(false),
            Step::Sent => {}
            Step::Lost(lost) => self.keep(lost),
        }
        Ok(true)
    }

    /// Says what was lost first of what nobody was told yet.
    #[inline]
    pub(crate) fn tell(&mut self) -> Result<(), SendError> {
        self.losses.pop_front().map_or(Ok(()), |lost| Err(SendError::Lost(Box::new(lost))))
    }

    /// Keeps a loss to be told, with the one before if it is the same.
    fn keep(&mut self, lost: Lost) {
        let is_full = self.losses.len() >= MOST_LOSSES;
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

    /// Makes one call that sends, if something is closed. "Would block" is the only error, and
    /// nothing is lost then.
    pub(crate) fn step(&mut self, wire: &impl Wire) -> io::Result<Step> {
        let Some(batch) = self.next_to_send() else {
            self.rest();
            return Ok(Step::Idle);
        };
        let Some(batch) = self.batches.get_mut(batch) else { return Ok(Step::Idle) };
        let Some(peer) = batch.peer else { return Ok(Step::Idle) };
        loop {
            let most = if batch.alone > 0 { 1 } else { wire.most_segments() };
            let (count, segment_len, bytes) = batch.run(most);
            let len = bytes.len();
            match wire.send(peer, bytes, segment_len) {
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
                Err(error) if count > 1 && wire.is_about_run(&error) => batch.alone = count,
                Err(error) => {
                    let frames = batch.advance(count, len);
                    self.held = self.held.saturating_sub(len);
                    self.stats.lost += count as u64;
                    self.stats.lost_frames += frames;
                    return Ok(Step::Lost(Lost { peer, datagrams: count, error }));
                }
            }
        }
    }

    /// Whether nothing is closed that waits to be sent.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_idle(&self) -> bool {
        self.batches.iter().take(self.used).all(|batch| !batch.is_waiting())
    }

    /// A batch with something that is closed.
    fn next_to_send(&mut self) -> Option<usize> {
        let is_waiting = |at: &usize| self.batches.get(*at).is_some_and(Batch::is_waiting);
        if !is_waiting(&self.sending) {
            // On from there, or with many peers those that are done would be passed by for each.
            let mut others = (self.sending..self.used).chain(0..self.sending);
            self.sending = others.find(is_waiting)?;
        }
        Some(self.sending)
    }

    /// Whether the batch that was last looked for is this peer's.
    #[inline(always)]
    fn is_last(&self, peer: &SocketAddr) -> bool {
        self.batches.get(self.last).is_some_and(|batch| batch.peer.as_ref() == Some(peer))
    }

    /// Looks for this peer's batch, and says whether there is one.
    fn turn_to(&mut self, peer: &SocketAddr) -> bool {
        if !self.is_last(peer) {
            match self.by_peer.get(peer) {
                Some(&batch) => self.last = batch,
                None => return false,
            }
        }
        true
    }

    /// The batch of this peer, which is begun if there is none.
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

    /// Forgets the peers once nothing is left for any, and gives memory back.
    pub(crate) fn rest(&mut self) {
        // The next frame is likely for the same peer, if there was only one.
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

impl Batch {
    /// Adds a frame to the open datagram, or begins one, if there is room and storage.
    #[inline(always)]
    fn put<F: Format>(&mut self, header: &EncodedHeader<F>, payload: &[u8], limit: usize) -> bool {
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

    /// Adds a frame that a datagram can hold: to the open one or, behind that, to a new one.
    fn append<F: Format>(&mut self, header: &EncodedHeader<F>, payload: &[u8], limit: usize) {
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

    /// Adds frames: `true` if there are no more, `false` if it is time to look whether it is full.
    #[inline(always)]
    fn fill<F: Format, M: Borrow<F::Meta>, P: AsRef<[u8]>>(
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
            let (meta, payload) = (meta.borrow(), payload.as_ref());
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

    /// Whether one call can hardly send more than is closed.
    #[inline(always)]
    fn is_full(&self, limit: usize) -> bool {
        let (datagrams, bytes) = (self.closed.len() - self.sent_datagrams, self.open - self.sent);
        self.is_waiting() && (datagrams >= MOST_HELD || bytes.saturating_add(limit) > MOST_BYTES)
    }

    /// Ends the open datagram.
    #[inline]
    fn close(&mut self) {
        if self.end > self.open {
            self.closed.push(Packed { len: self.end - self.open, frames: self.open_frames });
            (self.open, self.open_frames) = (self.end, 0);
        }
    }

    /// Whether something is closed and not sent.
    #[inline]
    fn is_waiting(&self) -> bool {
        self.closed.len() > self.sent_datagrams
    }

    /// What one call can send: how many datagrams, of how many bytes each, and all of them.
    fn run(&self, most: usize) -> (usize, usize, &[u8]) {
        let waiting = self.closed.get(self.sent_datagrams..).unwrap_or_default();
        let segment_len = waiting.first().map_or(0, |packed| packed.len);
        let lens = waiting.iter().map(|packed| packed.len);
        let count = segment_run(lens.clone(), most, MOST_BYTES);
        let len: usize = lens.take(count).sum();
        let bytes = self.storage.get(self.sent..self.sent + len).unwrap_or_default();
        (count, segment_len, bytes)
    }

    /// Drops the first `count` datagrams, `len` bytes in all. Says how many frames they had.
    fn advance(&mut self, count: usize, len: usize) -> u64 {
        let end = self.sent_datagrams + count;
        let gone = self.closed.get(self.sent_datagrams..end).unwrap_or_default();
        let frames = gone.iter().map(|packed| u64::from(packed.frames)).sum();
        self.alone = self.alone.saturating_sub(count);
        self.sent_datagrams = end;
        self.sent += len;
        // What is left moves to the front, most times less than a datagram: once for each batch, or
        // for as many datagrams as one has, where some come in as others go.
        if !self.is_waiting() || self.sent_datagrams >= MOST_HELD {
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

/// Whether a datagram can hold a frame of so many bytes.
#[inline]
fn check_len(len: usize, limit: usize) -> Result<(), EncodeError> {
    if len > limit {
        return Err(EncodeError::NoRoom { needed: len, room: limit });
    }
    Ok(())
}

/// Whether nothing can be sent now, and later it can.
fn would_block(error: &io::Error) -> bool {
    // The second is a write time-out, on some systems.
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use core::cell::{Cell, RefCell};
    use std::vec;

    use super::*;
    use crate::format::{U8, Varint};
    use crate::segment::Segments;

    /// Answers as it is told, and keeps what it took.
    struct Script {
        most: usize,
        answers: RefCell<VecDeque<io::ErrorKind>>,
        took: RefCell<Vec<(SocketAddr, Vec<Vec<u8>>)>>,
    }

    impl Script {
        fn new(most: usize, answers: &[io::ErrorKind]) -> Self {
            let answers = RefCell::new(answers.iter().copied().collect());
            Self { most, answers, took: RefCell::default() }
        }
    }

    impl Wire for Script {
        fn most_segments(&self) -> usize {
            self.most
        }

        fn send(&self, peer: SocketAddr, bytes: &[u8], segment_len: usize) -> io::Result<bool> {
            match self.answers.borrow_mut().pop_front() {
                // As an answer it is none: a call that succeeds.
                None | Some(io::ErrorKind::Interrupted) => {}
                Some(kind) => return Err(kind.into()),
            }
            let datagrams = Segments::new(bytes, segment_len).map(<[u8]>::to_vec).collect();
            self.took.borrow_mut().push((peer, datagrams));
            Ok(false)
        }

        fn is_about_run(&self, error: &io::Error) -> bool {
            error.kind() == io::ErrorKind::InvalidInput
        }
    }

    fn peer(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn outgoing(limit: usize) -> Outgoing<U8> {
        let mut outgoing = Outgoing::new(Framing::new(U8));
        outgoing.set_limit(limit);
        outgoing
    }

    fn feed(outgoing: &mut Outgoing<U8>, to: u16, payload: &[u8]) {
        let header = outgoing.check(&(), payload).unwrap();
        assert!(!outgoing.is_full(&peer(to)));
        outgoing.push(&peer(to), &header, payload);
    }

    fn lens(script: &Script) -> Vec<Vec<usize>> {
        let took = script.took.borrow();
        took.iter().map(|(_, datagrams)| datagrams.iter().map(Vec::len).collect()).collect()
    }

    #[test]
    fn runs_are_sent_with_one_call_and_nothing_is_reordered() {
        let script = Script::new(64, &[]);
        let mut out = outgoing(10);
        for payload in [&b"1234"[..], b"5678", b"abcd", b"efgh", b"i", b"jklmnopqr", b"s"] {
            feed(&mut out, 1, payload);
        }
        out.close_all();
        while matches!(out.step(&script).unwrap(), Step::Sent) {}
        assert_eq!(lens(&script), [vec![10, 10, 2], vec![10, 2]]);
        let bytes: Vec<u8> = script.took.borrow().iter().flat_map(|(_, d)| d.concat()).collect();
        assert_eq!(bytes, b"\x041234\x045678\x04abcd\x04efgh\x01i\x09jklmnopqr\x01s");
        let SendStats { datagrams, frames, bytes, calls, lost, .. } = out.stats();
        assert_eq!((datagrams, frames, bytes, calls, lost), (5, 7, 34, 2, 0));
    }

    #[test]
    fn many_frames_at_once_are_packed_as_one_by_one() {
        for (limit, most) in [(1, 64), (2, 64), (9, 3), (10, 64), (70, 64), (256, 1)] {
            let payloads: Vec<_> = (0..1_000).map(|i| vec![7; i * i % limit]).collect();
            let [single, many] = [(); 2].map(|()| Script::new(most, &[]));
            let mut out = outgoing(limit);
            for payload in &payloads {
                while !out.push_now(&peer(1), &(), payload) {
                    assert!(matches!(out.step(&single).unwrap(), Step::Sent));
                }
            }
            out.close_all();
            while matches!(out.step(&single).unwrap(), Step::Sent) {}
            let mut all = outgoing(limit);
            let mut frames = payloads.iter().map(|payload| ((), payload));
            while !all.push_all(&peer(1), &mut frames).unwrap() {
                assert!(matches!(all.step(&many).unwrap(), Step::Sent));
            }
            all.close_all();
            while matches!(all.step(&many).unwrap(), Step::Sent) {}
            let sent = |script: &Script| {
                script.took.borrow().iter().flat_map(|(_, d)| d.clone()).collect::<Vec<_>>()
            };
            assert_eq!(sent(&many), sent(&single), "{limit}");
            assert_eq!((all.stats().frames, all.stats().bytes), (1_000, out.stats().bytes));
            assert!(all.stats().calls <= out.stats().calls, "{limit}");
            assert_eq!((all.held, out.held), (0, 0), "{limit}");
        }
    }

    #[test]
    fn of_many_frames_those_behind_a_refused_one_are_left() {
        let script = Script::new(64, &[]);
        let mut out = outgoing(10);
        let payloads = [&b"1"[..], b"1234567890", b"22", b"333", b"1234567890", b"4"];
        let mut frames = payloads.iter().map(|payload| ((), payload));
        let too_long = EncodeError::NoRoom { needed: 11, room: 10 };
        for left in [4, 1] {
            assert_eq!(out.push_all(&peer(1), &mut frames), Err(too_long));
            assert_eq!(frames.len(), left);
        }
        assert_eq!(out.push_all(&peer(1), &mut frames), Ok(true));
        out.close_all();
        assert!(matches!(out.step(&script).unwrap(), Step::Sent));
        assert_eq!(script.took.borrow()[0].1, [&b"\x011\x0222\x03333"[..], b"\x014"]);
    }

    #[test]
    fn each_peer_has_datagrams_of_its_own() {
        let script = Script::new(64, &[]);
        let mut out = outgoing(100);
        for round in 0..3_u8 {
            for to in 1..=5 {
                feed(&mut out, to, &[round, to.to_le_bytes()[0]]);
            }
        }
        out.close_all();
        while matches!(out.step(&script).unwrap(), Step::Sent) {}
        let want: Vec<_> = (1..=5_u8)
            .map(|to| (peer(to.into()), vec![vec![2, 0, to, 2, 1, to, 2, 2, to]]))
            .collect();
        assert_eq!(*script.took.borrow(), want);
        assert!(matches!(out.step(&script).unwrap(), Step::Idle));
        assert_eq!((out.used, out.by_peer.len(), out.held), (0, 0, 0));
        assert!(out.batches.len() <= KEPT, "memory is given back");
    }

    #[test]
    fn what_is_lost_again_and_again_is_not_collected() {
        for (limit, most, runs) in [(10, 1, 64), (10, 64, 64), (1_200, 1, 64), (60_000, 1, 1)] {
            let denied = vec![io::ErrorKind::PermissionDenied; 5_000];
            let (script, mut out) = (Script::new(most, &denied), outgoing(limit));
            let payload = vec![7; 255.min(limit - 1)];
            let mut lost = 0;
            for _ in 0..5_000 {
                if !out.push_now(&peer(1), &(), &payload) {
                    out.steps_for(&script, &peer(1)).unwrap();
                    lost += 1;
                    assert!(out.push_now(&peer(1), &(), &payload), "a loss makes room");
                }
                out.close_last();
            }
            assert!(lost >= 5_000 / runs - 64, "{lost}");
            let Batch { storage, closed, .. } = &out.batches[0];
            assert!(closed.capacity() <= 4 * MOST_HELD, "{}", closed.capacity());
            assert!(storage.capacity() <= 4 * (MOST_BYTES + limit), "{}", storage.capacity());
            assert!(out.held <= MOST_BYTES + limit);
            // It is one loss, of all of them.
            let Err(SendError::Lost(told)) = out.tell() else { panic!("it was lost") };
            assert_eq!(told.datagrams as u64, out.stats().lost);
            assert!(out.tell().is_ok());
        }
    }

    #[test]
    fn all_that_can_be_sent_is_and_each_loss_is_told() {
        use io::ErrorKind::{HostUnreachable, Interrupted as Sent, PermissionDenied, WouldBlock};
        let answers = [
            PermissionDenied,
            PermissionDenied,
            HostUnreachable,
            Sent,
            WouldBlock,
            PermissionDenied,
        ];
        let (script, mut out) = (Script::new(1, &answers), outgoing(6));
        for to in [1, 1, 1, 2, 3] {
            feed(&mut out, to, b"hello");
        }
        out.close_all();
        assert!(would_block(&out.steps(&script).err().unwrap()));
        assert_eq!(script.took.borrow().len(), 1);
        out.steps(&script).unwrap();
        for (to, datagrams, kind) in
            [(1, 2, PermissionDenied), (1, 1, HostUnreachable), (3, 1, PermissionDenied)]
        {
            let Err(SendError::Lost(lost)) = out.tell() else { panic!("{to} has lost") };
            assert_eq!((lost.peer, lost.datagrams, lost.error.kind()), (peer(to), datagrams, kind));
        }
        assert!(out.tell().is_ok());
        assert_eq!((out.stats().lost, out.stats().datagrams), (4, 1));
    }

    #[test]
    fn losses_that_nobody_is_told_have_an_end() {
        let denied = vec![io::ErrorKind::PermissionDenied; 3 * MOST_LOSSES];
        let (script, mut out) = (Script::new(1, &denied), outgoing(6));
        for port in 1..=u16::try_from(3 * MOST_LOSSES).unwrap() {
            out.steps_for(&script, &peer(port)).unwrap();
            feed(&mut out, port, b"hello");
        }
        out.close_all();
        out.steps(&script).unwrap();
        assert_eq!(out.stats().lost, 3 * MOST_LOSSES as u64);
        let told = core::iter::from_fn(|| out.tell().err()).count();
        assert_eq!(told, MOST_LOSSES);
    }

    #[test]
    fn the_datagram_that_ends_is_the_one_that_was_fed() {
        let other: [fn(&mut Outgoing<U8>); 3] = [
            |out| {
                assert_eq!(
                    out.push_all(&peer(2), &mut core::iter::empty::<((), &[u8])>()),
                    Ok(true)
                )
            },
            |out| assert!(!out.is_full(&peer(2))),
            |out| assert!(!out.push_now(&peer(2), &(), &[0; 256])),
        ];
        for other in other {
            let script = Script::new(64, &[]);
            let mut out = outgoing(100);
            feed(&mut out, 2, b"two");
            feed(&mut out, 1, b"one");
            other(&mut out);
            out.close_last();
            feed(&mut out, 1, b"next");
            feed(&mut out, 2, b"more");
            out.close_all();
            while matches!(out.step(&script).unwrap(), Step::Sent) {}
            let mut took = script.took.borrow().clone();
            took.sort();
            let ones = vec![b"\x03one".to_vec(), b"\x04next".to_vec()];
            let twos = vec![b"\x03two\x04more".to_vec()];
            let sent = |to: u16| -> Vec<Vec<u8>> {
                took.iter().filter(|(at, _)| *at == peer(to)).flat_map(|(_, d)| d.clone()).collect()
            };
            assert_eq!((sent(1), sent(2)), (ones, twos));
        }
    }

    #[test]
    fn peers_that_rested_are_sent_to_again() {
        for order in [[1, 2, 1], [1, 2, 2], [2, 1, 1]] {
            let script = Script::new(64, &[]);
            let mut out = outgoing(100);
            for round in 1..=3 {
                for to in order {
                    assert!(out.push_now(&peer(to), &(), b"hello"));
                }
                out.close_all();
                while matches!(out.step(&script).unwrap(), Step::Sent) {}
                assert_eq!((out.stats().frames, out.used, out.held), (round * 3, 0, 0));
            }
            assert_eq!(script.took.borrow().len(), 6);
        }
    }

    #[test]
    fn what_is_open_stays_while_others_are_sent() {
        let script = Script::new(64, &[]);
        let mut out = outgoing(6);
        for (to, payload) in [(1, b"open1"), (2, b"first"), (2, b"open2"), (3, b"open3")] {
            feed(&mut out, to, payload);
        }
        assert!(matches!(out.step(&script).unwrap(), Step::Sent));
        assert!(matches!(out.step(&script).unwrap(), Step::Idle));
        assert_eq!(*script.took.borrow(), [(peer(2), vec![b"\x05first".to_vec()])]);
        assert_eq!(out.held, 18);
        out.close_all();
        while matches!(out.step(&script).unwrap(), Step::Sent) {}
        let mut took: Vec<_> = script.took.borrow()[1..].to_vec();
        took.sort();
        let want = [b"\x05open1", b"\x05open2", b"\x05open3"].map(|bytes| vec![bytes.to_vec()]);
        assert_eq!(took, [peer(1), peer(2), peer(3)].into_iter().zip(want).collect::<Vec<_>>());
        assert_eq!(out.held, 0);
    }

    #[test]
    fn nothing_changes_when_it_would_block() {
        let script = Script::new(64, &[io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut]);
        let mut out = outgoing(10);
        feed(&mut out, 1, b"12345");
        out.close_all();
        for _ in 0..2 {
            assert!(would_block(&out.step(&script).err().unwrap()));
            assert_eq!(out.stats(), SendStats::default());
        }
        assert!(matches!(out.step(&script).unwrap(), Step::Sent));
        assert_eq!(lens(&script), [[6]]);
    }

    #[test]
    fn what_is_lost_takes_nothing_with_it() {
        let script = Script::new(2, &[io::ErrorKind::PermissionDenied]);
        let mut out = outgoing(6);
        for payload in [b"11111", b"22222", b"33333"] {
            feed(&mut out, 7, payload);
        }
        feed(&mut out, 8, b"other");
        out.close_all();
        let Step::Lost(lost) = out.step(&script).unwrap() else { panic!("it was refused") };
        assert_eq!((lost.peer, lost.datagrams), (peer(7), 2));
        assert_eq!(lost.error.kind(), io::ErrorKind::PermissionDenied);
        while matches!(out.step(&script).unwrap(), Step::Sent) {}
        let took = script.took.borrow();
        assert_eq!(took[0], (peer(7), vec![b"\x0533333".to_vec()]));
        assert_eq!(took[1], (peer(8), vec![b"\x05other".to_vec()]));
        let SendStats { datagrams, frames, lost, lost_frames, .. } = out.stats();
        assert_eq!((datagrams, frames, lost, lost_frames), (2, 2, 2, 2));
    }

    #[test]
    fn a_run_that_cannot_be_is_sent_one_by_one() {
        use io::ErrorKind::{Interrupted as Sent, InvalidInput, PermissionDenied};
        let script = Script::new(3, &[InvalidInput, Sent, PermissionDenied, Sent]);
        let mut out = outgoing(6);
        for payload in [b"11111", b"22222", b"33333", b"44444", b"55555"] {
            feed(&mut out, 1, payload);
        }
        out.close_all();
        assert!(matches!(out.step(&script).unwrap(), Step::Sent));
        let Step::Lost(lost) = out.step(&script).unwrap() else { panic!("it was refused") };
        assert_eq!(lost.datagrams, 1);
        while matches!(out.step(&script).unwrap(), Step::Sent) {}
        // The run's three one by one, of which one was lost, and then the others as a run.
        assert_eq!(lens(&script), [vec![6], vec![6], vec![6, 6]]);
        assert_eq!(out.stats().lost, 1);
    }

    #[test]
    fn what_is_held_has_an_end() {
        // Datagrams for one peer.
        let script = Script::new(64, &[]);
        let mut out = outgoing(2);
        for i in 0..=MOST_HELD {
            assert!(!out.is_full(&peer(1)), "{i}");
            let header = out.check(&(), b"x").unwrap();
            out.push(&peer(1), &header, b"x");
        }
        assert!(out.is_full(&peer(1)), "and one is open");
        out.close_for(&peer(1));
        assert!(matches!(out.step(&script).unwrap(), Step::Sent));
        assert!(!out.is_full(&peer(1)));
        assert_eq!(lens(&script)[0].len(), MOST_HELD);
        // Peers.
        let mut out = outgoing(200);
        for port in 1..=u16::try_from(MOST_PEERS).unwrap() {
            feed(&mut out, port, b"hello");
        }
        assert!(out.is_full(&peer(9_999)) && !out.is_full(&peer(1)));
        out.close_for(&peer(9_999));
        while out.is_full(&peer(9_999)) {
            out.step(&script).unwrap();
        }
        assert_eq!(out.stats().datagrams, MOST_PEERS as u64);
        // Bytes for all of them.
        let mut out = outgoing(60_000);
        let mut count = 0;
        while !out.is_full(&peer(count % 500 + 1)) {
            let header = out.check(&(), &[7; 255]).unwrap();
            out.push(&peer(count % 500 + 1), &header, &[7; 255]);
            count += 1;
        }
        assert_eq!(usize::from(count), MOST_HELD_BYTES / 256 + 1);
        // Also where a frame goes into a datagram that is open.
        let mut out = outgoing(60_000);
        let mut count = 0;
        while out.push_now(&peer(count % 500 + 1), &(), &[7; 255]) {
            count += 1;
            if usize::from(count) == MOST_HELD_BYTES / 256 {
                out.close_for(&peer(1));
                assert!(matches!(out.step(&script).unwrap(), Step::Idle), "nothing has to go yet");
            }
        }
        assert_eq!(usize::from(count), MOST_HELD_BYTES / 256 + 1);
        assert!(!out.push_now(&peer(1), &(), &[]));
        out.close_for(&peer(1));
        assert!(matches!(out.step(&script).unwrap(), Step::Sent));
        assert!(out.push_now(&peer(1), &(), &[]));
    }

    #[test]
    fn a_frame_for_no_datagram_is_refused_before_anything_is_sent() {
        let out = outgoing(10);
        assert!(out.check(&(), b"123456789").is_ok());
        let refused = out.check(&(), b"1234567890").err().unwrap();
        assert_eq!(refused, EncodeError::NoRoom { needed: 11, room: 10 });
        let refused = out.check(&(), &[0; 256]).err().unwrap();
        assert_eq!(refused, EncodeError::Oversize { len: 256, limit: 255 });
        let mut out = out;
        for len in [10, 256] {
            assert!(!out.push_now(&peer(1), &(), &vec![0; len]), "{len}");
        }
        assert_eq!((out.used, out.held), (0, 0));
    }

    #[test]
    fn headers_may_be_shorter_than_the_longest() {
        let lens = [0, 1, 127, 128, 16_383, 16_384, 5, 200];
        let (script, framing) = (Script::new(64, &[]), Framing::new(Varint));
        let mut out = Outgoing::new(framing);
        out.set_limit(40_000);
        for _ in 0..2 {
            for len in lens {
                assert!(out.push_now(&peer(1), &(), &vec![7; len]), "{len}");
            }
            let mut frames = lens.iter().map(|len| ((), vec![7; *len]));
            while !out.push_all(&peer(1), &mut frames).unwrap() {
                out.close_for(&peer(1));
                assert!(matches!(out.step(&script).unwrap(), Step::Sent));
            }
            out.close_all();
            while matches!(out.step(&script).unwrap(), Step::Sent) {}
        }
        let mut sent = Vec::new();
        for datagram in script.took.borrow().iter().flat_map(|(_, datagrams)| datagrams) {
            sent.extend(framing.datagram(datagram).unwrap().map(|frame| frame.payload.len()));
        }
        assert_eq!(sent, lens.repeat(4));
    }

    #[test]
    fn what_is_held_is_not_shown() {
        let mut out = outgoing(10);
        feed(&mut out, 1, b"aaa");
        let text = std::format!("{out:?}");
        assert!(text.starts_with("Outgoing { limit: 255, datagram_limit: 10, peers: 1, held: 4"));
        assert!(!text.contains("97"), "a payload may be secret: {text}");
    }

    #[test]
    fn frames_given_together_count_towards_what_is_held() {
        let mut out = outgoing(1_200);
        let (mut accepted, mut peers) = (0, 1_u16..);
        loop {
            let to = peer(peers.next().unwrap());
            // Less than one peer may have alone.
            let mut frames = core::iter::repeat_n(((), [7; 99]), 600);
            let all = out.push_all(&to, &mut frames).unwrap();
            accepted += (600 - frames.len()) * 100;
            assert_eq!(out.held, accepted);
            if !all {
                break;
            }
        }
        // What was begun when there was still room is one datagram more at most.
        assert!((MOST_HELD_BYTES + 1..=MOST_HELD_BYTES + 2_400).contains(&accepted), "{accepted}");
    }

    #[test]
    fn a_payload_is_looked_at_once() {
        /// Longer whenever somebody looks.
        struct Growing(Cell<usize>);
        impl AsRef<[u8]> for Growing {
            fn as_ref(&self) -> &[u8] {
                self.0.set(self.0.get() + 1);
                &[7; 100][..self.0.get()]
            }
        }
        let script = Script::new(64, &[]);
        let mut out = outgoing(10);
        let mut frames = (0..9).map(|_| ((), Growing(Cell::new(2))));
        assert_eq!(out.push_all(&peer(1), &mut frames), Ok(true));
        out.close_all();
        while matches!(out.step(&script).unwrap(), Step::Sent) {}
        let sent = script.took.borrow()[0].1.concat();
        assert_eq!(sent, b"\x03\x07\x07\x07".repeat(9));
    }

    #[test]
    fn frames_that_have_ended_are_not_asked_for_more() {
        for count in [0_u32, 1, 2, 12, 13] {
            let mut rest = Some(count);
            let mut frames = core::iter::from_fn(|| {
                let left = rest.unwrap(); // nobody asks once it has ended
                rest = left.checked_sub(1);
                rest.map(|_| ((), [7; 99]))
            });
            assert_eq!(outgoing(1_200).push_all(&peer(1), &mut frames), Ok(true));
        }
    }
}
