//! What one side does in one step: the application of the documentation, around a real session.

use std::sync::Arc;

use unstick::Kind;
use unstick_session::message::{
    Close, Code, FileCancel, FileData, FileDone, FileOpen, FileStatus, Hello, Message, ResumeKey,
};
use unstick_session::session::{Event, SendError, Session};

use crate::bounds::{Bound, LIMIT, Sends};
use crate::laws::Law;
use crate::plain;
use crate::reached::{Reached, Seen};
use crate::world::{
    Debt, Disk, Frame, Hashed, Incoming, Item, Line, Outcome, Phase, Side, World, digest, source,
};

/// The names of the files; the last is that of all fillers.
pub const NAMES: [&str; 3] = ["a", "b", "filler"];

/// A step of one side, with the state that it changes.
pub struct Turn<'a> {
    pub bound: &'a Bound,
    pub reached: &'a Reached,
    pub me: usize,
    pub side: Side,
    pub world: World,
}

impl<'a> Turn<'a> {
    pub fn new(bound: &'a Bound, reached: &'a Reached, world: &World, me: usize) -> Self {
        Self { bound, reached, me, side: (*world.sides[me]).clone(), world: world.clone() }
    }

    /// Ends the step: asks the session for its own messages, and checks what holds in every state.
    pub fn end(mut self) -> World {
        if !self.bound.late {
            self.poll();
        }
        let side = &self.side;
        if side.is_up && side.session.error().is_none() {
            let counts = [side.session.unanswered(), side.session.owed()];
            let seen = [side.asked.len(), side.owes.len()];
            self.check(counts == seen && seen.iter().all(|n| *n <= 64), Law::Memory);
            self.probe();
        }
        self.world.sides[self.me] = Hashed::new(self.side);
        self.world
    }

    /// Checks what the session says to messages that are against the rules here: of the application,
    /// or of a peer that breaks them. Each is tried on a copy.
    fn probe(&mut self) {
        let session = self.side.session.clone();
        let stored = |id| Message::FileStatus(FileStatus::new(id, Code::STORED));
        let sends = |message: &Message<'_>| session.clone().send(message).is_ok();
        let takes = |message: &Message<'_>| {
            let payload = message.encode().map(|encoded| encoded.to_payload()).unwrap_or_default();
            session.clone().handle_frame(message.kind(), &payload).is_ok()
        };
        let side = &self.side;
        let is_silent = !side.has_closed
            || !sends(&Message::Text("")) && session.clone().poll_transmit().is_none();
        let is_deaf = !side.saw_close || !takes(&Message::Text(""));
        let paid = side.paid.iter().rev().take(2).any(|id| sends(&stored(*id)));
        let answered = side.answered.iter().rev().take(2).any(|id| takes(&stored(*id)));
        let mut owes = side.owes.iter().filter(|(_, debt)| *debt != Debt::Done);
        let early = owes.any(|(id, _)| sends(&stored(*id)));
        let is_done = |id: &u32| {
            let mut phases = side.jobs.iter().map(|job| &job.phase);
            !phases.any(|phase| match phase {
                Phase::Waits { id: open, .. } | Phase::Sends { id: open, .. } => open == id,
                _ => false,
            })
        };
        let undone = side.asked.iter().filter(|id| !is_done(id)).any(|id| takes(&stored(*id)));
        let sending = |phase: &Phase| matches!(phase, Phase::Waits { .. } | Phase::Sends { .. });
        let is_sending = side.jobs.iter().any(|job| sending(&job.phase));
        let knows = is_sending == session.open_transfer().is_some();
        let knows = knows || side.has_closed || side.saw_close;
        self.check(knows, Law::RulesSuffice);
        self.check(is_silent, Law::SilentAfterClose);
        self.check(is_deaf, Law::DeafAfterClose);
        self.check(!paid && !answered, Law::FinalOnce);
        self.check(!early && !undone, Law::StoredIsOnDisk);
    }

    fn check(&mut self, holds: bool, law: Law) {
        if !holds {
            self.world.broken.get_or_insert(law);
        }
    }

    fn see(&self, what: Seen) {
        self.reached.mark(what);
    }

    fn disk(&mut self) -> &mut Disk {
        &mut self.world.disks[self.me]
    }

    fn peer(&self) -> usize {
        1 - self.me
    }

    /// The version of one of this side's files, and its contents.
    fn file(&self, job: usize) -> (u8, Vec<u8>) {
        let version = self.world.versions[self.me][job];
        (version, source(job, version, self.bound.files[self.me][job]))
    }

    fn may_have_changed(&self) -> bool {
        self.world.left.changes < self.bound.left.changes
    }

    // Sending.

    /// Begins a conversation.
    pub fn connect(&mut self) {
        let bound = self.bound;
        let jobs = std::mem::take(&mut self.side.jobs);
        self.side = Side {
            session: Session::new().with_peer_limit(LIMIT.into()),
            is_up: true,
            jobs,
            plain: bound.plain.then(plain::receiver),
            ..Side::new(bound, self.me)
        };
        for job in &mut self.side.jobs {
            if job.phase == Phase::Later {
                job.phase = Phase::Todo;
            }
        }
        self.world.lines[self.me] = Line::default();
        let limit = u32::try_from(LIMIT).unwrap_or(0);
        self.must_send(&Message::Hello(Hello { limit, name: "" }));
    }

    /// Gives a message of the application to the session.
    fn send(&mut self, message: &Message<'_>) -> Result<(), SendError> {
        if !self.bound.late {
            self.poll();
        }
        let encoded = self.side.session.send(message)?;
        let frame = Frame { kind: encoded.kind(), payload: encoded.to_payload() };
        if let Message::FileOpen(open) = message {
            self.side.asked.push(open.id);
        }
        self.put(frame);
        Ok(())
    }

    fn must_send(&mut self, message: &Message<'_>) {
        let sent = self.send(message);
        self.check(sent.is_ok(), Law::RulesSuffice);
    }

    /// Sends what the session sends by itself.
    pub fn poll(&mut self) {
        let (mut pongs, mut statuses) = (0, 0);
        while let Some(encoded) = self.side.session.poll_transmit() {
            let frame = Frame { kind: encoded.kind(), payload: encoded.to_payload() };
            pongs += usize::from(frame.kind == Kind::PONG);
            statuses += usize::from(frame.kind == Kind::FILE_STATUS);
            self.put(frame);
            if pongs > 1 || statuses > 64 {
                return self.check(false, Law::Memory);
            }
        }
    }

    /// Puts a frame into the stream, seen by the observer.
    fn put(&mut self, frame: Frame) {
        self.check(!self.side.has_closed, Law::SilentAfterClose);
        self.check(frame.payload.len() as u64 <= LIMIT, Law::WithinLimit);
        self.side.has_closed |= frame.kind == Kind::CLOSE;
        if let Ok(Message::FileStatus(status)) = Message::decode(frame.kind, &frame.payload) {
            if status.code.is_final() {
                let before = self.side.owes.len();
                self.side.owes.retain(|(id, _)| *id != status.id);
                let was_owed = self.side.owes.len() + 1 == before;
                self.check(was_owed && !self.side.paid.contains(&status.id), Law::FinalOnce);
                self.side.paid.push(status.id);
            }
            if status.code == Code::STORED {
                let there = has(&self.world.disks[self.me], &status);
                self.check(there, Law::StoredIsOnDisk);
            }
        }
        let line = &mut self.world.lines[self.me];
        if !line.is_cut {
            line.items.push(Item::Frame(Arc::new(frame)));
        }
    }

    /// Returns the next job of which something is to be sent, if something can be.
    pub fn next_job(bound: &Bound, me: usize, side: &Side, lines: &[Line; 2]) -> Option<usize> {
        if !side.is_up || side.has_closed {
            return None;
        }
        if bound.room.is_some_and(|room| lines[me].items.len() > room) {
            return None;
        }
        if let Some(job) = side.jobs.iter().position(|job| matches!(job.phase, Phase::Sends { .. }))
        {
            return Some(job);
        }
        let may_open = !side.wants_close && side.session.check_may_open().is_ok();
        side.jobs.iter().position(|job| job.phase == Phase::Todo).filter(|_| may_open)
    }

    /// Sends the next message of a file: open, data, done, or the cancel of one that changed.
    pub fn go_on(&mut self, job: usize) {
        let (version, file) = self.file(job);
        match self.side.jobs[job].phase.clone() {
            Phase::Todo => {
                let Some(id) = self.side.session.next_transfer_id() else { return };
                let key = match self.bound.keyed {
                    true => ResumeKey([u8::try_from(job).unwrap_or(0) + 1; 16]),
                    false => ResumeKey::NONE,
                };
                let size = self.bound.sized.then_some(file.len() as u64);
                self.must_send(&Message::FileOpen(FileOpen { id, key, size, name: NAMES[job] }));
                self.side.jobs[job].phase = match self.bound.sends {
                    Sends::AtOnce => Phase::Sends { id, version, sent: Vec::new() },
                    Sends::AfterReady | Sends::Either => Phase::Waits { id, version },
                };
            }
            Phase::Sends { id, version: begun, mut sent } => {
                if begun != version {
                    self.see(Seen::Changed);
                    let cancel = FileCancel { id, code: Code::CHANGED, reason: "it changed" };
                    self.must_send(&Message::FileCancel(cancel));
                    // It is tried again, in its new version.
                    self.side.jobs[job].phase = Phase::Later;
                } else if let Some(byte) = file.get(sent.len()) {
                    let offset = sent.len() as u64;
                    self.must_send(&Message::FileData(FileData { id, offset, bytes: &[*byte] }));
                    sent.push(*byte);
                    self.side.jobs[job].phase = Phase::Sends { id, version, sent };
                } else {
                    let total = sent.len() as u64;
                    let digest = digest(&sent);
                    self.must_send(&Message::FileDone(FileDone { id, total, digest }));
                    self.side.jobs[job].phase = Phase::Done { id, sent };
                }
            }
            _ => {}
        }
    }

    /// Sends a file of no bytes that is no job.
    pub fn fill(&mut self) {
        let Some(id) = self.side.session.next_transfer_id() else { return };
        let (key, name) = (ResumeKey::NONE, NAMES[2]);
        self.must_send(&Message::FileOpen(FileOpen { id, key, size: Some(0), name }));
        let digest = digest(&[]);
        self.must_send(&Message::FileDone(FileDone { id, total: 0, digest }));
    }

    /// Begins at 0 without waiting any longer.
    pub fn rush(&mut self, job: usize) {
        if let Phase::Waits { id, version } = self.side.jobs[job].phase {
            self.side.jobs[job].phase = Phase::Sends { id, version, sent: Vec::new() };
        }
    }

    pub fn cancel(&mut self, job: usize) {
        self.world.left.cancels[self.me] -= 1;
        if let Phase::Waits { id, .. } | Phase::Sends { id, .. } = self.side.jobs[job].phase {
            let cancel = FileCancel {
                id,
                code: Code::GIVEN_UP,
                reason: "no longer needed, by anyone, for any purpose",
            };
            self.must_send(&Message::FileCancel(cancel));
            self.side.jobs[job].phase = Phase::Cancelled { id };
        }
    }

    pub fn ping(&mut self) {
        let left = &mut self.world.left.pings[self.me];
        let payload = *left;
        *left -= 1;
        self.must_send(&Message::Ping(&[payload]));
        if !self.side.saw_close {
            self.side.ping = Some(payload);
        }
    }

    pub fn tick(&mut self) {
        self.world.left.ticks[self.me] -= 1;
        self.side.session.handle_tick();
    }

    /// Begins to drain.
    pub fn drain(&mut self) {
        self.world.left.closes[self.me] -= 1;
        self.wind_up();
    }

    fn wind_up(&mut self) {
        self.side.session.drain();
        self.side.wants_close = true;
    }

    /// Returns whether nothing prevents the close any more.
    pub fn may_close(side: &Side) -> bool {
        let waits = side.session.unanswered() > 0 && !side.saw_close;
        let is_sending = side.jobs.iter().any(|job| matches!(job.phase, Phase::Sends { .. }));
        side.is_up
            && side.wants_close
            && !side.has_closed
            && !waits
            && !(is_sending && !side.saw_close)
            && side.session.owed() == 0
    }

    pub fn close(&mut self) {
        self.poll();
        self.must_send(&Message::Close(Close::ORDINARY));
        let line = &mut self.world.lines[self.me];
        if !line.is_cut {
            line.items.push(Item::End);
        }
        // What has no status yet may still get it.
        for job in &mut self.side.jobs {
            match job.phase {
                Phase::Waits { .. } | Phase::Sends { .. } => job.phase = Phase::Later,
                _ => {}
            }
        }
        if self.side.saw_end {
            self.down();
        }
    }

    /// Closes without waiting for the transfers.
    pub fn close_early(&mut self) {
        self.world.left.closes[self.me] -= 1;
        self.side.wants_close = true;
        self.close();
    }

    // Receiving.

    /// Takes the next frame, or the end, of the peer's stream.
    pub fn receive(&mut self) {
        let line = &mut self.world.lines[1 - self.me];
        line.arrived = 0;
        let item = line.items.remove(0);
        match item {
            Item::Frame(frame) => self.handle(&frame),
            Item::End | Item::Failure => self.handle_end(None),
        }
    }

    /// Lets the session check a header whose payload has not arrived.
    pub fn check_header(&mut self, kind: Kind, payload_len: u64) {
        let checked = self.side.session.handle_header(kind, payload_len);
        self.check(checked.is_ok(), Law::NoUndueError);
    }

    /// Handles the end of the stream, inside a frame if there is an error of framing.
    pub fn handle_end(&mut self, truncated: Option<Code>) {
        let is_clean = match truncated {
            Some(code) => {
                self.side.session.fail(code);
                false
            }
            None => self.side.session.handle_end().is_ok(),
        };
        self.check(is_clean == self.side.saw_close, Law::CleanEnd);
        if !is_clean {
            self.down();
            return;
        }
        self.side.saw_end = true;
        if self.side.has_closed || self.world.lines[self.me].is_cut {
            self.down();
        }
    }

    /// The connection is over.
    fn down(&mut self) {
        let jobs = std::mem::take(&mut self.side.jobs);
        self.side = Side { jobs, ..Side::new(self.bound, self.me) };
        for job in &mut self.side.jobs {
            job.phase = match &job.phase {
                Phase::Over(outcome) => Phase::Over(*outcome),
                Phase::Cancelled { .. } => Phase::Over(Outcome::Cancelled),
                _ => Phase::Todo,
            };
        }
        if !self.bound.keyed {
            self.disk().parts = Default::default();
        }
        self.world.lines[self.me].is_cut = true;
        let items = &mut self.world.lines[1 - self.me].items;
        items.clear();
    }

    fn handle(&mut self, frame: &Frame) {
        let event = match self.side.session.handle_frame(frame.kind, &frame.payload) {
            Ok(event) => event,
            Err(_) => return self.check(false, Law::NoUndueError),
        };
        self.check(!self.side.saw_close || event == Event::Nothing, Law::DeafAfterClose);
        if let Some(mut receiver) = self.side.plain.take() {
            let status = plain::handle(&mut receiver, self.disk(), &event);
            self.side.plain = Some(receiver);
            self.observe(&event);
            if let Some(status) = status {
                if !self.side.has_closed {
                    self.must_send(&Message::FileStatus(status));
                }
            }
        } else {
            self.observe(&event);
            self.store(&event);
        }
        self.follow(&event);
    }

    /// Counts what is owed.
    fn observe(&mut self, event: &Event<'_>) {
        match *event {
            Event::FileOpen(open) => {
                self.check(!self.side.wants_close, Law::DrainRefuses);
                self.side.owes.push((open.id, Debt::Open));
            }
            Event::FileRefused { id, code } => {
                let is_draining = self.side.wants_close && code == Code::SHUTTING_DOWN;
                self.check(is_draining, Law::NoUndueRefusal);
                self.side.owes.retain(|(owed, _)| *owed != id);
                self.side.owes.push((id, Debt::Refused));
            }
            Event::FileDone(done) => self.owes(done.id, Debt::Done),
            Event::FileCancel(cancel) => {
                self.see(Seen::Cancelled);
                self.owes(cancel.id, Debt::Refused);
            }
            Event::Close(_) => self.side.owes.retain(|(_, debt)| *debt != Debt::Open),
            _ => {}
        }
    }

    fn owes(&mut self, id: u32, debt: Debt) {
        for owed in self.side.owes.iter_mut().filter(|(owed, _)| *owed == id) {
            owed.1 = debt;
        }
    }

    /// Receives files as the table in the documentation of sessions says, with parts.
    fn store(&mut self, event: &Event<'_>) {
        match *event {
            Event::FileOpen(open) => {
                let file = u8::try_from(plain::file_of(open.name)).unwrap_or(0);
                self.side.incoming.push(Incoming {
                    id: open.id,
                    file,
                    size: open.size,
                    is_unanswered: true,
                    has_data: false,
                    done: None,
                });
                if !self.bound.slow {
                    self.work(self.side.incoming.len() - 1);
                }
            }
            Event::FileData(data) => {
                let Some(i) = self.incoming(data.id) else { return };
                let file = usize::from(self.side.incoming[i].file);
                self.side.incoming[i].has_data = true;
                let before = self.disk().parts[file].take().unwrap_or_default();
                let is_cause = self.bound.sends != Sends::AfterReady || self.may_have_changed();
                self.check(before.is_empty() || data.offset > 0 || is_cause, Law::ForwardOnly);
                self.check(data.offset == 0 || data.offset == before.len() as u64, Law::NoGap);
                let mut part = if data.offset == 0 { Vec::new() } else { before };
                part.extend_from_slice(data.bytes);
                self.disk().parts[file] = Some(part);
            }
            Event::FileDone(done) => {
                let Some(i) = self.incoming(done.id) else { return };
                let incoming = &mut self.side.incoming[i];
                incoming.is_unanswered = false;
                incoming.done = Some((done.total, done.digest));
                if !self.bound.slow {
                    self.work(i);
                }
            }
            Event::FileCancel(FileCancel { id, .. }) | Event::FileRefused { id, .. } => {
                if let Some(i) = self.incoming(id) {
                    let file = usize::from(self.side.incoming.remove(i).file);
                    self.disk().parts[file] = None;
                }
            }
            // The open file counts as interrupted.
            Event::Close(_) => self.side.incoming.retain(|incoming| incoming.done.is_some()),
            _ => {}
        }
    }

    fn incoming(&self, id: u32) -> Option<usize> {
        self.side.incoming.iter().position(|incoming| incoming.id == id)
    }

    /// Does what an incoming file waits for: looks for a part, or stores it.
    pub fn work(&mut self, i: usize) {
        let Incoming { id, file, size, has_data, done, .. } = self.side.incoming[i];
        let file = usize::from(file);
        let there = self.disk().files[file].clone();
        if let Some((total, announced)) = done {
            let mut part = self.disk().parts[file].take().unwrap_or_default();
            part.truncate(usize::try_from(total).unwrap_or(usize::MAX));
            let answer = FileDone { id, total, digest: announced }.answer(digest(&part));
            let status = match there {
                _ if answer.code != Code::STORED => answer,
                Some(there) if there == part => answer,
                Some(there) => FileStatus::exists(id, Some((there.len() as u64, digest(&there)))),
                None => {
                    self.disk().files[file] = Some(part);
                    answer
                }
            };
            self.side.incoming.remove(i);
            self.check_files(file);
            // After this side's close no status is sent.
            if !self.side.has_closed {
                self.must_send(&Message::FileStatus(status));
            }
            return;
        }
        self.side.incoming[i].is_unanswered = false;
        if let Some(there) = there {
            let same = size.is_none_or(|size| size == there.len() as u64);
            let same = same.then(|| (there.len() as u64, digest(&there)));
            self.see(Seen::Exists);
            return self.status(FileStatus::exists(id, same));
        }
        let part = self.disk().parts[file].clone().unwrap_or_default();
        let held = if size.is_some_and(|size| part.len() as u64 > size) { &[] } else { &part[..] };
        if held.is_empty() && !has_data {
            self.disk().parts[file] = None;
        }
        let held = if has_data || !self.bound.keyed { &[] } else { held };
        let ready = FileStatus::ready(id, held.len() as u64, digest(held));
        if self.side.has_closed {
            return;
        }
        match self.send(&Message::FileStatus(ready)) {
            Ok(()) => {
                self.check(!has_data, Law::RulesSuffice);
                if !held.is_empty() {
                    self.see(Seen::Resumed);
                }
            }
            Err(SendError::LateReady { .. }) => {
                self.see(Seen::LateReady);
                self.check(has_data, Law::RulesSuffice);
            }
            Err(_) => self.check(false, Law::RulesSuffice),
        }
    }

    /// Answers a file finally before it is done.
    fn status(&mut self, status: FileStatus<'_>) {
        self.side.incoming.retain(|incoming| incoming.id != status.id);
        if !self.side.has_closed {
            self.must_send(&Message::FileStatus(status));
        }
    }

    /// Checks a file that was just given its name.
    fn check_files(&mut self, file: usize) {
        let Some(there) = self.world.disks[self.me].files[file].clone() else { return };
        let chunks = self.bound.files[self.peer()].get(file).copied().unwrap_or(0);
        let is_one = (0..2).any(|version| source(file, version, chunks) == there);
        self.check(is_one, Law::Whole);
    }

    /// Does what an event asks of a sender, and of both at the end.
    fn follow(&mut self, event: &Event<'_>) {
        match *event {
            Event::Pong(payload) => {
                self.check(self.side.ping == payload.first().copied(), Law::PingsAnswered);
                self.side.ping = None;
            }
            Event::Close(_) => {
                self.side.saw_close = true;
                self.side.ping = None;
                for job in &mut self.side.jobs {
                    job.phase = match &job.phase {
                        Phase::Over(outcome) => Phase::Over(*outcome),
                        Phase::Cancelled { .. } => Phase::Over(Outcome::Cancelled),
                        _ => Phase::Later,
                    };
                }
                if !self.side.has_closed {
                    self.wind_up();
                }
            }
            Event::FileReady(status) => self.ready(&status),
            Event::FileEnd(status) => self.finish(&status),
            _ => {}
        }
        for file in 0..NAMES.len() {
            if self.bound.plain {
                self.check_files(file);
            }
        }
    }

    fn job(&self, wanted: u32) -> Option<usize> {
        self.side.jobs.iter().position(|job| match job.phase {
            Phase::Waits { id, .. }
            | Phase::Sends { id, .. }
            | Phase::Done { id, .. }
            | Phase::Cancelled { id } => id == wanted,
            _ => false,
        })
    }

    fn ready(&mut self, status: &FileStatus<'_>) {
        let Some(job) = self.job(status.id) else { return };
        let Phase::Waits { id, version } = self.side.jobs[job].phase else { return };
        let (_, file) = self.file(job);
        let held = usize::try_from(status.offset).unwrap_or(usize::MAX);
        let own = file.get(..held).map_or(unstick_session::message::Digest::NONE, digest);
        let begin = usize::try_from(status.begin_at(own)).unwrap_or(0);
        if begin == 0 && held > 0 {
            self.see(Seen::OtherPart);
        }
        let sent = file.get(..begin).unwrap_or_default().to_vec();
        self.side.jobs[job].phase = Phase::Sends { id, version, sent };
    }

    fn finish(&mut self, status: &FileStatus<'_>) {
        let id = status.id;
        let before = self.side.asked.len();
        self.side.asked.retain(|asked| *asked != id);
        let was_asked = self.side.asked.len() + 1 == before;
        self.check(was_asked && !self.side.answered.contains(&id), Law::FinalOnce);
        self.side.answered.push(id);
        if status.code == Code::STORED {
            let there = has(&self.world.disks[self.peer()], status);
            self.check(there, Law::StoredIsOnDisk);
        }
        let Some(job) = self.job(id) else { return };
        let (_, file) = self.file(job);
        let outcome = match (&self.side.jobs[job].phase, status.code) {
            (Phase::Cancelled { .. }, _) => Outcome::Cancelled,
            (Phase::Done { sent, .. }, _) if status.is_there(digest(sent)) => Outcome::Stored,
            (_, Code::EXISTS) if status.is_there(digest(&file)) => Outcome::Stored,
            (_, Code::EXISTS) => Outcome::Exists,
            (_, code) => Outcome::Refused(code),
        };
        self.side.jobs[job].phase = match outcome {
            Outcome::Refused(Code::SHUTTING_DOWN) => {
                self.see(Seen::ShuttingDown);
                Phase::Later
            }
            Outcome::Refused(_) => {
                self.check(false, Law::NoUndueRefusal);
                Phase::Over(outcome)
            }
            outcome => Phase::Over(outcome),
        };
        if outcome == Outcome::Stored {
            self.see(Seen::Stored);
        }
    }
}

/// Returns whether the disk has a file with the size and digest in this status.
fn has(disk: &Disk, status: &FileStatus<'_>) -> bool {
    // Fillers are files of no bytes, and have no name here.
    status.offset == 0
        || disk
            .files
            .iter()
            .flatten()
            .any(|file| file.len() as u64 == status.offset && digest(file) == status.digest)
}
