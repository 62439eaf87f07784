//! What a client does: it keeps its messages and files until the listener has acknowledged them.

use std::collections::VecDeque;

use unstick_session::message::{
    Digest, FileData, FileDone, FileOpen, FileStatus, Message, ResumeKey,
};
use unstick_session::session::Event as Heard;

use crate::config::{
    ANSWER_TIMEOUT, CONNECT_TIMEOUT, FIRST_BACKOFF, Fault, LONG_ABSENCE, MAX_BACKOFF, MILLISECOND,
    Micros, SECOND, SHORT_ABSENCE,
};
use crate::contents;
use crate::net::{Conns, Link};
use crate::queue::{ConnId, Event, Queue};
use crate::side::{Outgoing, Side};
use crate::stats::{Stats, Uploaded};
use crate::world::World;

/// The maximum number of bytes of a file in a message.
const CHUNK: usize = 8_192;

pub struct Client {
    link: Link,
    pub conn: Option<ConnId>,
    side: Option<Box<Side>>,
    /// Whether the listener has acknowledged this client on this connection.
    is_up: bool,
    /// Whether the program does not run.
    is_off: bool,
    tries: u32,
    /// Whether something was sent since the last bytes arrived.
    awaits: bool,
    /// Messages: made, and acknowledged.
    pub made: u32,
    pub acked: u32,
    pub files_made: u32,
    pub files_done: u32,
    /// The file that is sent now, and those before it that have no final status: ids and numbers.
    upload: Option<Upload>,
    sent: VecDeque<(u32, u32)>,
    /// When the next files, from the first without a final status on, were first offered.
    offered_at: VecDeque<Micros>,
    is_recovering: bool,
}

struct Upload {
    id: u32,
    number: u32,
    offset: usize,
    is_sending: bool,
}

/// What a client needs to know of the world to handle an event.
struct Around<'a> {
    index: u32,
    conn: ConnId,
    up_at: Micros,
    fault: Fault,
    in_flight: usize,
    queue: &'a mut Queue,
    stats: &'a mut Stats,
}

impl Client {
    pub fn new(link: Link) -> Self {
        Self {
            link,
            conn: None,
            side: None,
            is_up: false,
            is_off: false,
            tries: 0,
            awaits: false,
            made: 0,
            acked: 0,
            files_made: 0,
            files_done: 0,
            upload: None,
            sent: VecDeque::new(),
            offered_at: VecDeque::new(),
            is_recovering: false,
        }
    }

    /// Returns whether all that it has made was acknowledged.
    pub fn is_settled(&self) -> bool {
        self.acked == self.made && self.files_done == self.files_made
    }

    /// Begins to measure how long it takes to be connected again, if it is connected now.
    pub fn recover(&mut self, conns: &mut Conns) {
        let conn = self.conn.filter(|_| self.is_up).and_then(|id| conns.get(id));
        self.is_recovering = conn.is_some_and(|conn| conn.dead.is_none());
    }

    fn handle(&mut self, out: &mut Outgoing<'_>, event: &Heard<'_>, around: &mut Around<'_>) {
        match event {
            Heard::Text(text) => {
                if let Some(number) = text.strip_prefix("ack ").and_then(|n| n.parse().ok()) {
                    self.acked = self.acked.max(number);
                } else if *text == "welcome" {
                    self.connected(out, around);
                }
            }
            Heard::Pong(_) => around.stats.pongs += 1,
            Heard::FileReady(status) => {
                let Some(upload) = self.upload.as_mut().filter(|upload| upload.id == status.id)
                else {
                    return;
                };
                let begin = status.begin_at(prefix_digest(around.index, upload.number, status));
                upload.offset = usize::try_from(begin).unwrap_or(0);
                upload.is_sending = true;
                around.stats.resumed += u64::from(begin > 0);
                around.queue.after(0, Event::Go(around.conn));
            }
            Heard::FileEnd(status) => self.file_ended(out, status, around),
            _ => {}
        }
    }

    fn connected(&mut self, out: &mut Outgoing<'_>, around: &mut Around<'_>) {
        (self.is_up, self.tries) = (true, 0);
        if std::mem::take(&mut self.is_recovering)
            && let Some(recovered) = around.stats.recovery.last_mut()
        {
            recovered.push(around.queue.now().saturating_sub(around.up_at));
        }
        if around.fault != Fault::NoResend {
            for number in self.acked + 1..=self.made {
                let _ = out.send(&Message::Text(&format!("n {number}")));
            }
        }
        self.start_upload(out, around.index, around.in_flight, around.queue.now());
    }

    /// Offers the next file, if none is being sent and not too many have no final status.
    fn start_upload(&mut self, out: &mut Outgoing<'_>, index: u32, in_flight: usize, now: Micros) {
        let number = self.sent.back().map_or(self.files_done, |(_, last)| last + 1);
        let is_free = self.upload.is_none() && self.sent.len() < in_flight;
        if !self.is_up || !is_free || number >= self.files_made {
            return;
        }
        let Some(id) = out.session.next_transfer_id() else { return };
        let size = contents::size(index, number) as u64;
        let mut key = [1; 16];
        key[..4].copy_from_slice(&index.to_be_bytes());
        key[4..8].copy_from_slice(&number.to_be_bytes());
        let name = format!("f{number}");
        let open = FileOpen { id, key: ResumeKey(key), size: Some(size), name: &name };
        if out.send(&Message::FileOpen(open)).is_ok() {
            self.upload = Some(Upload { id, number, offset: 0, is_sending: false });
            if self.offered_at.len() <= (number - self.files_done) as usize {
                self.offered_at.push_back(now);
            }
        }
    }

    fn file_ended(
        &mut self,
        out: &mut Outgoing<'_>,
        status: &FileStatus<'_>,
        around: &mut Around<'_>,
    ) {
        let upload = self.upload.take_if(|upload| upload.id == status.id);
        let place = self.sent.iter().position(|(id, _)| *id == status.id);
        let sent = place.and_then(|place| self.sent.remove(place));
        let Some(number) = upload.map(|upload| upload.number).or(sent.map(|(_, number)| number))
        else {
            return;
        };
        let size = contents::size(around.index, number);
        let mut file = Vec::new();
        contents::append(around.index, number, 0, size, &mut file);
        if status.is_there(contents::digest(&file)) && number == self.files_done {
            self.files_done += 1;
            if let Some(offered_at) = self.offered_at.pop_front() {
                let took = around.queue.now() - offered_at;
                let at_best = 4 * self.link.latency + size as u64 * SECOND / self.link.rate;
                around.stats.uploads.push(Uploaded { took, at_best });
            }
        } else {
            around.stats.refusals += 1;
        }
        self.start_upload(out, around.index, around.in_flight, around.queue.now());
    }
}

/// Returns the digest of as much of a file as a status is about.
fn prefix_digest(index: u32, number: u32, status: &FileStatus<'_>) -> Digest {
    match usize::try_from(status.offset) {
        Ok(held) if held <= contents::size(index, number) => {
            let mut prefix = Vec::new();
            contents::append(index, number, 0, held, &mut prefix);
            contents::digest(&prefix)
        }
        _ => Digest::NONE,
    }
}

impl World {
    /// Begins a try.
    pub fn connect(&mut self, index: u32) {
        let client = &mut self.clients[index as usize];
        client.is_off = false;
        if client.conn.is_some() {
            return;
        }
        let id = self.conns.open(index, client.link);
        (client.conn, client.side) = (Some(id), Some(Box::new(Side::new())));
        self.stats.tries += 1;
        self.queue.after(client.link.latency, Event::Syn(id, 0));
        self.queue.after(CONNECT_TIMEOUT, Event::TryEnds(id));
    }

    /// The request was taken: a hello says which client this is.
    pub fn client_opened(&mut self, index: u32, id: ConnId) {
        let mut out = Vec::new();
        if let Some(side) = &mut self.clients[index as usize].side {
            side.hello(&format!("c{index}"), &mut out);
        }
        self.ship(id, true, &out);
        let cut_at = self.queue.now() + self.around(self.config.cut_every);
        if cut_at < self.config.until {
            self.queue.at(cut_at, Event::Cut(id));
        }
    }

    pub fn client_read(&mut self, index: u32, id: ConnId) {
        let Some(conn) = self.conns.get(id) else { return };
        let (mut bytes, arrived) = conn.take_arrived(false);
        let client = &mut self.clients[index as usize];
        let Some(mut side) = client.side.take() else { return };
        client.awaits = false;
        let mut around = Around {
            index,
            conn: id,
            up_at: self.listener.up_at,
            fault: self.config.fault,
            in_flight: self.config.in_flight,
            queue: &mut self.queue,
            stats: &mut self.stats,
        };
        let mut out = Vec::new();
        side.read(&mut bytes, arrived, &mut out, |out, event| {
            client.handle(out, event, &mut around);
        });
        client.side = Some(side);
        if let Some(conn) = self.conns.get(id) {
            conn.put_back(false, bytes);
        }
        if !out.is_empty() {
            self.client_sent(index, id, &out);
        }
    }

    /// Sends, and lets the client notice if no answer comes. (Only on a dead connection none comes, so
    /// only there is the time limit an event.)
    fn client_sent(&mut self, index: u32, id: ConnId, out: &[u8]) {
        self.clients[index as usize].awaits = true;
        if self.conns.get(id).is_some_and(|conn| conn.dead.is_some()) {
            self.queue.after(ANSWER_TIMEOUT, Event::Unanswered(id));
        }
        self.ship(id, true, out);
        let chance = self.rng.u32(0..1_000);
        if chance < self.config.cut_busy {
            let soon = self.rng.u64(0..400 * MILLISECOND);
            self.queue.after(soon, Event::Cut(id));
        }
    }

    /// Lets a connected client send something.
    fn client_sends(&mut self, index: u32, send: impl FnOnce(&mut Client, &mut Outgoing<'_>)) {
        let client = &mut self.clients[index as usize];
        let (true, Some(id), Some(mut side)) = (client.is_up, client.conn, client.side.take())
        else {
            return;
        };
        let mut out = Vec::new();
        send(client, &mut side.outgoing(&mut out));
        client.side = Some(side);
        if !out.is_empty() {
            self.client_sent(index, id, &out);
        }
    }

    pub fn beat(&mut self, index: u32) {
        self.queue.after(self.config.heartbeat, Event::Beat(index));
        let payload = self.queue.now().to_be_bytes();
        self.client_sends(index, |_, out| {
            // A fifth one without an answer is not sent.
            let _ = out.send(&Message::Ping(&payload));
        });
    }

    /// Plans when this happens again to a client. Returns `false` if it happens no more, not even now.
    fn goes_on(&mut self, mean: Micros, event: Event) -> bool {
        let goes_on = self.queue.now() < self.config.until;
        if goes_on {
            let next = self.around(mean);
            self.queue.after(next, event);
        }
        goes_on
    }

    pub fn make_text(&mut self, index: u32) {
        let goes_on = self.goes_on(self.config.text_every, Event::Text(index));
        let client = &mut self.clients[index as usize];
        if goes_on && !client.is_off {
            client.made += 1;
            let text = format!("n {}", client.made);
            self.client_sends(index, |_, out| {
                let _ = out.send(&Message::Text(&text));
            });
        }
    }

    pub fn make_file(&mut self, index: u32) {
        let goes_on = self.goes_on(self.config.file_every, Event::File(index));
        let client = &mut self.clients[index as usize];
        if goes_on && !client.is_off {
            client.files_made += self.config.files_each;
            let (now, in_flight) = (self.queue.now(), self.config.in_flight);
            self.client_sends(index, |client, out| client.start_upload(out, index, in_flight, now));
        }
    }

    /// Sends the next chunk of the file, when the link has taken the one before.
    pub fn client_go(&mut self, index: u32, id: ConnId) {
        let most = self.rng.usize(1..=CHUNK);
        let (mut is_sending, in_flight, now) = (false, self.config.in_flight, self.queue.now());
        self.client_sends(index, |client, out| {
            let Some(upload) = client.upload.as_mut().filter(|upload| upload.is_sending) else {
                return;
            };
            let (id, number) = (upload.id, upload.number);
            let size = contents::size(index, number);
            let mut bytes = Vec::new();
            if upload.offset < size {
                let end = size.min(upload.offset + most);
                contents::append(index, number, upload.offset, end, &mut bytes);
                let data = FileData { id, offset: upload.offset as u64, bytes: &bytes };
                is_sending = out.send(&Message::FileData(data)).is_ok();
                upload.offset = end;
            } else {
                contents::append(index, number, 0, size, &mut bytes);
                let digest = contents::digest(&bytes);
                let done = FileDone { id, total: size as u64, digest };
                let _ = out.send(&Message::FileDone(done));
                client.upload = None;
                client.sent.push_back((id, number));
                client.start_upload(out, index, in_flight, now);
            }
        });
        if is_sending && let Some(conn) = self.conns.get(id).filter(|conn| conn.dead.is_none()) {
            self.queue.at(conn.up.free_at, Event::Go(id));
        }
    }

    /// The client gives its connection up, and tries again later. With `tells` the listener hears of it.
    pub fn client_drops(&mut self, index: u32, id: ConnId, tells: bool) {
        if self.clients[index as usize].conn != Some(id) {
            return;
        }
        self.forget_conn(index, id, tells);
        let client = &mut self.clients[index as usize];
        let mean = (FIRST_BACKOFF << client.tries.min(6)).min(MAX_BACKOFF);
        client.tries += 1;
        let wait = if self.config.jitter { self.around(mean) } else { mean };
        self.queue.after(wait, Event::Connect(index));
    }

    fn forget_conn(&mut self, index: u32, id: ConnId, tells: bool) {
        let client = &mut self.clients[index as usize];
        (client.conn, client.side, client.upload) = (None, None, None);
        client.sent.clear();
        (client.is_up, client.awaits) = (false, false);
        let Some(conn) = self.conns.get(id) else { return };
        conn.is_held = false;
        if tells {
            conn.ship_end(id, true, self.queue.now(), &mut self.queue);
        }
        self.conns.collect(id);
    }

    pub fn try_ends(&mut self, index: u32, id: ConnId) {
        let client = &self.clients[index as usize];
        if client.conn == Some(id) && !client.is_up {
            self.stats.given_up += 1;
            self.client_drops(index, id, true);
        }
    }

    pub fn unanswered(&mut self, index: u32, id: ConnId) {
        if self.conns.get(id).is_some_and(|conn| conn.dead.is_some()) {
            self.client_drops(index, id, false);
        }
    }

    /// The network cuts a connection: both sides hear of it, or neither does.
    pub fn cut(&mut self, index: u32, id: ConnId) {
        let now = self.queue.now();
        if now >= self.config.until {
            return;
        }
        let is_silent = self.rng.bool();
        let Some(conn) = self.conns.get(id).filter(|conn| conn.dead.is_none()) else { return };
        self.stats.cuts += 1;
        conn.dead = Some(now);
        let is_served = conn.served.is_some();
        if !is_silent {
            self.client_drops(index, id, false);
            self.release(id);
            return;
        }
        if is_served {
            self.count_half_open();
        }
        let client = &self.clients[index as usize];
        if client.awaits || client.upload.is_some() || !client.sent.is_empty() {
            self.queue.after(ANSWER_TIMEOUT, Event::Unanswered(id));
        }
    }

    /// A client's program, or its machine, crashes. What it has not sent is on its disk.
    pub fn crash(&mut self, index: u32) {
        if !self.goes_on(self.config.crash_every, Event::Crash(index)) {
            return;
        }
        let now = self.queue.now();
        let is_silent = self.rng.bool();
        let client = &mut self.clients[index as usize];
        if client.is_off {
            return;
        }
        self.stats.crashes += 1;
        (client.is_off, client.is_recovering) = (true, false);
        // How long it is away is no matter of the listener's fairness.
        client.offered_at.clear();
        if let Some(id) = client.conn {
            if is_silent && let Some(conn) = self.conns.get(id).filter(|conn| conn.dead.is_none()) {
                conn.dead = Some(now);
                if conn.served.is_some() {
                    self.count_half_open();
                }
            }
            self.forget_conn(index, id, !is_silent);
        }
        let mean = if self.rng.u8(0..4) == 0 { LONG_ABSENCE } else { SHORT_ABSENCE };
        let away = self.around(mean);
        self.queue.after(away, Event::Connect(index));
    }
}
