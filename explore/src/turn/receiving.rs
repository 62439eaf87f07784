//! What a side does with what arrives.

use unstick::Kind;
use unstick_session::message::{Code, Digest, FileCancel, FileDone, FileStatus, Message};
use unstick_session::session::{Event, SendError};

use super::{NAMES, Turn, has};
use crate::bounds::Sends;
use crate::laws::Law;
use crate::plain;
use crate::reached::Seen;
use crate::world::{Debt, Frame, Incoming, Item, Outcome, Phase, Side, digest, source};

impl Turn<'_> {
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
    pub(super) fn down(&mut self) {
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
            if let Some(status) = status.filter(|_| !self.side.has_closed) {
                self.must_send(&Message::FileStatus(status));
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
        let own = file.get(..held).map_or(Digest::NONE, digest);
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
