//! What the listener does: one process with an accept queue, a disk, and a connection for each client.

use std::collections::VecDeque;
use std::time::Duration;

use unstick::engine::{ReadTimeouts, TimedOut};
use unstick_session::message::{Close, Code, Digest, FileDone, FileOpen, FileStatus, Message};
use unstick_session::session::Event as Heard;

use crate::config::{
    BYTE_COST_NANOS, END_TIMEOUT, FIRST_TIMEOUT, FRAME_TIMEOUT, Fault, MAX_FILE, Micros, READ_COST,
    SECOND, SYNCED_BYTE_COST_NANOS, UNSYNCED,
};
use crate::contents;
use crate::net::Place;
use crate::queue::{ConnId, Event, Queue};
use crate::side::{self, Outgoing, Side};
use crate::stats::Ledger;
use crate::world::World;

/// How many files of a peer may have no final status: the maximum of the protocol.
const MAX_IN_FLIGHT: usize = 64;

/// The listener's state of a connection.
pub struct Served {
    pub side: Side,
    timeouts: ReadTimeouts,
    pub accepted_at: Micros,
    /// When the time limits are checked next.
    timer_at: Micros,
    client: Option<u32>,
    /// The file of which data arrives, with its number.
    receiving: Option<(u32, u32)>,
    /// The files that the disk syncs, in order.
    syncing: VecDeque<Syncing>,
    /// Whether this side has closed.
    is_closing: bool,
}

struct Syncing {
    number: u32,
    done: FileDone,
    digest: Digest,
    bytes: Vec<u8>,
}

/// What is on the listener's disk of a client.
#[derive(Default)]
pub struct Shelf {
    /// The number of the last message.
    last: u32,
    /// The number of files, and the sizes and digests of the newest ones, from the newest on.
    stored: u32,
    newest: VecDeque<(u64, Digest)>,
    /// The part of the next file.
    part: Vec<u8>,
}

impl Shelf {
    /// Returns the size and digest of a file that is stored.
    fn stored(&self, number: u32) -> Option<(u64, Digest)> {
        self.newest.get((self.stored - 1 - number) as usize).copied()
    }

    /// Keeps the first file that was not synced as a part: its client has no answer.
    fn keep(&mut self, syncing: &mut VecDeque<Syncing>) {
        if let Some(first) = syncing.pop_front() {
            self.part = first.bytes;
        }
    }
}

#[derive(Default)]
pub struct Listener {
    pub is_up: bool,
    pub up_at: Micros,
    backlog: VecDeque<ConnId>,
    is_accepting: bool,
    accept_free_at: Micros,
    /// Until when the processor, and the disk, have something to do.
    pub busy_until: Micros,
    disk_free_at: Micros,
    /// The connection of each client.
    pub on: Vec<Option<ConnId>>,
    pub shelves: Vec<Shelf>,
}

impl Listener {
    pub fn new(clients: usize) -> Self {
        Self {
            is_up: true,
            on: vec![None; clients],
            shelves: (0..clients).map(|_| Shelf::default()).collect(),
            ..Self::default()
        }
    }
}

/// What the listener's application needs to know of the world to handle an event.
struct Around<'a> {
    conn: ConnId,
    clients: usize,
    idle_timeout: Duration,
    fault: Fault,
    sync_cost: Micros,
    on: &'a mut [Option<ConnId>],
    shelves: &'a mut [Shelf],
    disk_free_at: &'a mut Micros,
    queue: &'a mut Queue,
    ledger: &'a mut Ledger,
    /// An older connection of the same client.
    replaced: Option<ConnId>,
    is_closed: bool,
}

/// What of a connection's state is the application's.
struct App<'a> {
    client: &'a mut Option<u32>,
    timeouts: &'a mut ReadTimeouts,
    receiving: &'a mut Option<(u32, u32)>,
    syncing: &'a mut VecDeque<Syncing>,
}

fn duration(micros: Micros) -> Duration {
    Duration::from_micros(micros)
}

impl Served {
    fn new(now: Micros) -> Self {
        let mut timeouts = ReadTimeouts::new();
        timeouts.set_frame_timeout(duration(FRAME_TIMEOUT));
        timeouts.set_idle_timeout(duration(FIRST_TIMEOUT));
        Self {
            side: Side::new(),
            timeouts,
            accepted_at: now,
            timer_at: Micros::MAX,
            client: None,
            receiving: None,
            syncing: VecDeque::new(),
            is_closing: false,
        }
    }

    /// The memory of its reader.
    pub fn heap(&self) -> usize {
        self.side.reader.buf().capacity()
    }

    /// Plans the next check of the time limits, unless one is planned that is early enough.
    fn arm(&mut self, id: ConnId, queue: &mut Queue) {
        let Some(due) = self.timeouts.poll_timeout() else { return };
        let due = Micros::try_from(due.as_micros()).unwrap_or(Micros::MAX);
        if due < self.timer_at {
            self.timer_at = due;
            queue.at(due, Event::Timeout(id));
        }
    }
}

impl App<'_> {
    fn handle(&mut self, out: &mut Outgoing<'_>, event: &Heard<'_>, around: &mut Around<'_>) {
        let mut answer = |message: &Message<'_>| out.send(message).expect("an answer is allowed");
        match event {
            Heard::Hello(hello) => {
                let number = hello.name.strip_prefix('c').and_then(|n| n.parse().ok());
                let Some(client) = number.filter(|n| (*n as usize) < around.clients) else {
                    return;
                };
                *self.client = Some(client);
                self.timeouts.set_idle_timeout(around.idle_timeout);
                around.replaced = around.on[client as usize].replace(around.conn);
                answer(&Message::Text("welcome"));
            }
            Heard::Text(text) => {
                let number = text.strip_prefix("n ").and_then(|n| n.parse::<u32>().ok());
                let (Some(client), Some(number)) = (*self.client, number) else { return };
                let last = &mut around.shelves[client as usize].last;
                if number > *last || around.fault == Fault::NoDedupe {
                    around.ledger.deliver(client, number);
                } else {
                    around.ledger.recognised += 1;
                }
                *last = number.max(*last);
                answer(&Message::Text(&format!("ack {last}")));
            }
            Heard::FileOpen(open) => answer(&Message::FileStatus(self.open(open, around))),
            Heard::FileData(data) => {
                if let Some(part) = self.part(data.id, around) {
                    if data.offset == 0 {
                        part.clear();
                    }
                    part.extend_from_slice(data.bytes);
                }
            }
            Heard::FileDone(done) => self.done(done, around),
            Heard::FileCancel(_) | Heard::FileRefused { .. } => *self.receiving = None,
            Heard::Close(_) => around.is_closed = true,
            _ => {}
        }
    }

    fn part<'a>(&self, id: u32, around: &'a mut Around<'_>) -> Option<&'a mut Vec<u8>> {
        self.receiving.filter(|(open, _)| *open == id)?;
        Some(&mut around.shelves[(*self.client)? as usize].part)
    }

    fn open(&mut self, open: &FileOpen<'_>, around: &Around<'_>) -> FileStatus<'static> {
        if open.size.is_none_or(|size| size > MAX_FILE) {
            return FileStatus::new(open.id, Code::TOO_LARGE);
        }
        let number = open.name.strip_prefix('f').and_then(|n| n.parse::<u32>().ok());
        let (Some(client), Some(number)) = (*self.client, number) else {
            return FileStatus::new(open.id, Code::NOT_ACCEPTED);
        };
        let shelf = &around.shelves[client as usize];
        if number < shelf.stored {
            return FileStatus::exists(open.id, shelf.stored(number));
        }
        *self.receiving = Some((open.id, number));
        let told = match around.fault {
            Fault::NoDigest => shelf.part.len() / 2,
            _ => shelf.part.len(),
        };
        FileStatus::ready(open.id, told as u64, contents::digest(&shelf.part[..told]))
    }

    /// Lets the disk sync the file; its final status is owed until then.
    fn done(&mut self, done: &FileDone, around: &mut Around<'_>) {
        let fault = around.fault;
        let Some(part) = self.part(done.id, around) else { return };
        if fault != Fault::NoDigest {
            part.truncate(usize::try_from(done.total).unwrap_or(usize::MAX));
        }
        let (digest, len) = (contents::digest(part), part.len() as u64);
        let (Some((_, number)), Some(client)) = (self.receiving.take(), *self.client) else {
            return;
        };
        let bytes = std::mem::take(&mut around.shelves[client as usize].part);
        self.syncing.push_back(Syncing { number, done: *done, digest, bytes });
        let begins = around.queue.now().max(*around.disk_free_at);
        *around.disk_free_at = begins + around.sync_cost + len * SYNCED_BYTE_COST_NANOS / 1_000;
        around.queue.at(*around.disk_free_at, Event::Synced(around.conn));
    }
}

impl World {
    /// A request for a connection arrives.
    pub fn requested(&mut self, id: ConnId, retries: u8) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.place != Place::Requested || !conn.is_held {
            return;
        }
        let latency = conn.link.latency;
        if !self.listener.is_up {
            self.stats.refused += 1;
            self.queue.after(latency, Event::Reset(id));
        } else if self.listener.backlog.len() >= self.config.backlog {
            // The client's system asks again, after 1, 2, 4, … seconds.
            self.stats.dropped += 1;
            if retries < 6 {
                self.queue.after(SECOND << retries, Event::Syn(id, retries + 1));
            }
        } else {
            conn.place = Place::Queued;
            self.listener.backlog.push_back(id);
            self.stats.queue_max = self.stats.queue_max.max(self.listener.backlog.len());
            self.queue.after(latency, Event::Opened(id));
            if !self.listener.is_accepting {
                self.listener.is_accepting = true;
                self.queue.at(self.listener.accept_free_at, Event::Accept);
            }
        }
    }

    pub fn accept(&mut self) {
        let now = self.queue.now();
        let Some(id) = self.listener.backlog.pop_front() else {
            self.listener.is_accepting = false;
            return;
        };
        self.listener.accept_free_at = now + SECOND / self.config.accept_rate;
        self.queue.at(self.listener.accept_free_at, Event::Accept);
        let Some(conn) = self.conns.get(id) else { return };
        conn.place = Place::Accepted;
        if !conn.is_held {
            self.stats.accepted_late += 1;
            self.conns.collect(id);
            return;
        }
        let mut served = Box::new(Served::new(now));
        let mut out = Vec::new();
        served.side.hello("fleet", &mut out);
        served.timeouts.handle_nothing(duration(now));
        served.arm(id, &mut self.queue);
        conn.served = Some(served);
        self.stats.accepted += 1;
        self.stats.open += 1;
        self.stats.open_max = self.stats.open_max.max(self.stats.open);
        self.ship(id, false, &out);
        self.serve(id);
    }

    /// Reads what has arrived.
    pub fn serve(&mut self, id: ConnId) {
        let now = self.queue.now();
        let Some(conn) = self.conns.get(id) else { return };
        let Some(mut served) = conn.served.take() else { return };
        let (mut bytes, arrived) = conn.take_arrived(true);
        let peer = conn.peer;
        let cost = READ_COST + arrived as u64 * BYTE_COST_NANOS / 1_000;
        self.listener.busy_until = self.listener.busy_until.max(now) + cost;
        let mut around = Around {
            conn: id,
            clients: self.clients.len(),
            idle_timeout: duration(self.config.heartbeat * 5 / 2),
            fault: self.config.fault,
            sync_cost: self.config.sync_cost,
            on: &mut self.listener.on,
            shelves: &mut self.listener.shelves,
            disk_free_at: &mut self.listener.disk_free_at,
            queue: &mut self.queue,
            ledger: &mut self.ledger,
            replaced: None,
            is_closed: false,
        };
        let Served { side, timeouts, client, receiving, syncing, .. } = &mut *served;
        let mut app = App { client, timeouts, receiving, syncing };
        let mut out = Vec::new();
        let mut owed_max = 0;
        side.read(&mut bytes, arrived, &mut out, |out, event| {
            owed_max = owed_max.max(out.session.owed());
            app.handle(out, event, &mut around);
        });
        let (replaced, is_closed) = (around.replaced, around.is_closed);
        self.stats.owed_max = self.stats.owed_max.max(owed_max);
        if arrived > 0 {
            served.timeouts.handle_bytes();
        }
        let open_frame = served.side.reader.buf().open_frame();
        served.timeouts.handle_open_frame(open_frame, duration(now));
        served.timeouts.handle_nothing(duration(now));
        if let Some(cost) = self.hostile_cost(peer) {
            cost.received += arrived as u64;
            cost.heap_max = cost.heap_max.max(served.heap());
        } else {
            self.stats.heap_max = self.stats.heap_max.max(served.heap());
        }
        if !served.is_closing {
            if is_closed && served.side.session.owed() == 0 {
                let _ = served.side.outgoing(&mut out).send(&Message::Close(Close::ORDINARY));
            }
            served.arm(id, &mut self.queue);
        }
        if let Some(conn) = self.conns.get(id) {
            conn.put_back(true, bytes);
            conn.served = Some(served);
        }
        self.ship(id, false, &out);
        self.close_if_over(id);
        if let Some(old) = replaced.filter(|old| *old != id) {
            self.stats.replaced += 1;
            self.release(old);
        }
    }

    /// After the session's close the stream ends, and the peer's end is waited for.
    fn close_if_over(&mut self, id: ConnId) {
        let now = self.queue.now();
        let Some(conn) = self.conns.get(id) else { return };
        let peer = conn.peer;
        let Some(served) = conn.served.as_mut().filter(|served| !served.is_closing) else { return };
        let error = served.side.session.error();
        if error.is_none() && !served.side.session.is_closed() {
            return;
        }
        served.is_closing = true;
        served.timer_at = now + END_TIMEOUT;
        let from = self.listener.busy_until.max(now);
        conn.ship_end(id, false, from, &mut self.queue);
        self.queue.after(END_TIMEOUT, Event::Timeout(id));
        let code = error.map_or(Code::NO_ERROR, |error| error.code());
        if let Some(cost) = self.hostile_cost(peer) {
            *cost.ended.entry(code).or_default() += 1;
        } else if code == Code::IDLE_TIMEOUT {
            self.stats.idle_ended += 1;
        }
    }

    pub fn timeout(&mut self, id: ConnId) {
        let now = self.queue.now();
        let Some(conn) = self.conns.get(id) else { return };
        let Some(served) = conn.served.as_mut().filter(|served| served.timer_at == now) else {
            return;
        };
        if served.is_closing {
            return self.release(id);
        }
        let consumed = served.side.reader.buf().position();
        let code = match served.timeouts.handle_timeout(duration(now), consumed) {
            Ok(()) => {
                served.timer_at = Micros::MAX;
                return served.arm(id, &mut self.queue);
            }
            Err(TimedOut::Frame { .. }) => Code::FRAME_TIMEOUT,
            Err(TimedOut::Idle { .. }) => Code::IDLE_TIMEOUT,
        };
        let mut out = Vec::new();
        served.side.session.fail(code);
        side::poll(&mut served.side.session, &mut out);
        self.ship(id, false, &out);
        self.close_if_over(id);
    }

    /// The disk has synced a file: it gets its name, if it is what its sender meant.
    pub fn synced(&mut self, id: ConnId) {
        let fault = self.config.fault;
        let Some(conn) = self.conns.get(id) else { return };
        let Some(served) = conn.served.as_mut() else { return };
        let (Some(client), Some(synced)) = (served.client, served.syncing.pop_front()) else {
            return;
        };
        let Syncing { number, done, digest, bytes } = synced;
        let mut answer = done.answer(digest);
        if fault == Fault::NoDigest {
            answer = done.answer(done.digest);
        }
        let shelf = &mut self.listener.shelves[client as usize];
        // Files are stored in their order.
        if number != shelf.stored && fault != Fault::NoDigest {
            answer = FileStatus::new(done.id, Code::NOT_ACCEPTED);
        }
        if answer.code == Code::STORED {
            let mut source = Vec::new();
            contents::append(client, number, 0, contents::size(client, number), &mut source);
            self.ledger.files_stored += 1;
            self.ledger.files_wrong += u64::from(bytes != source || number != shelf.stored);
            shelf.stored = number + 1;
            shelf.newest.push_front((done.total, answer.digest));
            shelf.newest.truncate(MAX_IN_FLIGHT);
        }
        let mut out = Vec::new();
        let _ = served.side.outgoing(&mut out).send(&Message::FileStatus(answer));
        self.ship(id, false, &out);
    }

    /// The peer's end has arrived.
    pub fn peer_ended(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id).filter(|conn| conn.dead.is_none()) else { return };
        if let Some(served) = &mut conn.served {
            served.side.end();
            self.release(id);
        }
    }

    /// Closes the socket, and forgets the connection.
    pub fn release(&mut self, id: ConnId) {
        let now = self.queue.now();
        let Some(conn) = self.conns.get(id) else { return };
        let Some(mut served) = conn.served.take() else { return };
        conn.place = Place::Gone;
        let (peer, dead) = (conn.peer, conn.dead);
        if conn.is_held && dead.is_none() {
            self.queue.after(conn.link.latency, Event::Reset(id));
        }
        self.stats.open -= 1;
        if let Some(since) = dead.filter(|since| *since < now) {
            self.stats.half_open -= 1;
            self.stats.half_open_time_max = self.stats.half_open_time_max.max(now - since);
        }
        if let Some(client) = served.client {
            self.listener.shelves[client as usize].keep(&mut served.syncing);
        }
        if let Some(on) = served.client.map(|client| &mut self.listener.on[client as usize])
            && *on == Some(id)
        {
            *on = None;
        }
        if let Some(cost) = self.hostile_cost(peer) {
            cost.held(now - served.accepted_at);
            self.hostile_ended(peer, id);
        }
        self.conns.collect(id);
    }

    pub fn count_half_open(&mut self) {
        self.stats.half_open += 1;
        self.stats.half_open_max = self.stats.half_open_max.max(self.stats.half_open);
    }

    /// The listener is killed: its system ends all connections.
    pub fn down(&mut self) {
        self.listener.is_up = false;
        let now = self.queue.now();
        for client in &mut self.clients {
            client.recover(&mut self.conns);
        }
        for id in self.conns.of_listener() {
            let Some(conn) = self.conns.get(id) else { continue };
            let (latency, peer) = (conn.link.latency, conn.peer);
            let was_dead = conn.dead.is_some();
            conn.place = Place::Gone;
            let mut served = conn.served.take();
            if let Some(served) = &mut served
                && let Some(client) = served.client
            {
                self.listener.shelves[client as usize].keep(&mut served.syncing);
            }
            if conn.is_held && !was_dead {
                self.queue.after(latency, Event::Reset(id));
            }
            self.stats.open -= usize::from(served.is_some());
            if let Some(cost) = self.hostile_cost(peer) {
                served.iter().for_each(|served| cost.held(now - served.accepted_at));
                self.hostile_ended(peer, id);
            }
            self.conns.collect(id);
        }
        self.stats.half_open = 0;
        self.listener.backlog.clear();
        self.listener.on.fill(None);
        for shelf in &mut self.listener.shelves {
            let lost = self.rng.usize(0..=UNSYNCED);
            let kept = shelf.part.len().saturating_sub(lost);
            shelf.part.truncate(kept);
        }
        self.queue.after(self.config.down, Event::Up);
    }

    pub fn up(&mut self) {
        self.listener.is_up = true;
        self.listener.up_at = self.queue.now();
        self.stats.recovery.push(Vec::new());
    }
}
