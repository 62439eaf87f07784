//! What one side does in one step: the application of the documentation, around a real session.

mod receiving;

use std::sync::Arc;

use unstick::Kind;
use unstick_session::message::{
    Close, Code, FileCancel, FileData, FileDone, FileOpen, FileStatus, Hello, Message, ResumeKey,
};
use unstick_session::session::{SendError, Session};

use crate::bounds::{Bound, LIMIT, Sends};
use crate::laws::Law;
use crate::plain;
use crate::reached::{Reached, Seen};
use crate::world::{Debt, Disk, Frame, Hashed, Item, Line, Phase, Side, World, digest, source};

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
            session: Session::new().with_peer_limit(LIMIT),
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
        side.is_up && side.wants_close && !side.has_closed && !waits && side.session.owed() == 0
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
