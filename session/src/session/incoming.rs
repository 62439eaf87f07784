//! The receiving side of file transfers: the files that the peer sends (spec, 15.5).

use unstick::Kind;

use super::error::{SendError, SessionError};
use super::transfer::{Misfit, Open, Waiting};
use super::{Event, FileOpen};
use crate::message::{Code, FileAttributes, FileCancel, FileData, FileDone, FileStatus};

/// The receiver's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Incoming {
    /// The greatest id that was opened.
    last: Option<u32>,
    open: Option<Open>,
    owed: Waiting<Owed>,
    /// Whether further opens are refused with shutting-down.
    is_draining: bool,
}

/// Who owes the final status of a transfer, and the state of that answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owed {
    /// The application, which has received the open.
    Answer {
        /// Whether done has arrived, so that the file can be stored.
        done: bool,
        /// Whether a working status is due.
        working: bool,
    },
    /// The session: a refusal that was not sent yet.
    Refusal(Code),
}

impl Incoming {
    pub(super) const fn new() -> Self {
        Self { last: None, open: None, owed: Waiting::new(), is_draining: false }
    }

    /// Returns the number of final statuses that are owed.
    pub(super) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Refuses every file that the peer opens from now on.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Handles an open. `answers` is whether this side can still send an answer.
    pub(super) fn opened<'a>(
        &mut self,
        open: FileOpen<'a>,
        answers: bool,
    ) -> Result<Event<'a>, SessionError> {
        self.begin(open.id, answers)?;
        if !answers {
            return Ok(Event::Nothing);
        }
        if self.open.is_some() {
            return Ok(self.refuse(open.id, Code::SECOND_OPEN));
        }
        if self.is_draining {
            return Ok(self.refuse(open.id, Code::SHUTTING_DOWN));
        }
        self.open = Some(Open::new(&open));
        Ok(Event::FileOpen(open))
    }

    /// Handles an open whose name is invalid.
    pub(super) fn opened_misnamed<'a>(
        &mut self,
        id: u32,
        answers: bool,
    ) -> Result<Event<'a>, SessionError> {
        self.begin(id, answers)?;
        Ok(if answers { self.refuse(id, Code::BAD_NAME) } else { Event::Nothing })
    }

    pub(super) fn data<'a>(&mut self, data: FileData<'a>) -> Result<Event<'a>, SessionError> {
        let Some(open) = self.open_at(Kind::FILE_DATA, data.id)? else {
            return Ok(Event::Nothing);
        };
        match open.data(data.offset, data.bytes.len() as u64) {
            Ok(()) => Ok(Event::FileData(data)),
            Err(misfit) => Ok(self.refuse(data.id, misfit.code())),
        }
    }

    pub(super) fn done<'a>(&mut self, done: FileDone) -> Result<Event<'a>, SessionError> {
        let Some(open) = self.open_at(Kind::FILE_DONE, done.id)? else {
            return Ok(Event::Nothing);
        };
        if let Err(misfit) = open.check_total(done.total) {
            return Ok(self.refuse(done.id, misfit.code()));
        }
        self.open = None;
        if let Some(owed) = self.owed.get_mut(done.id) {
            *owed = Owed::Answer { done: true, working: false };
        }
        Ok(Event::FileDone(done))
    }

    pub(super) fn attributes<'a>(
        &mut self,
        attributes: FileAttributes,
    ) -> Result<Event<'a>, SessionError> {
        let open = self.open_at(Kind::FILE_ATTRIBUTES, attributes.id)?;
        Ok(open.map_or(Event::Nothing, |_| Event::FileAttributes(attributes)))
    }

    pub(super) fn cancelled<'a>(
        &mut self,
        cancel: FileCancel<'a>,
    ) -> Result<Event<'a>, SessionError> {
        if self.open_at(Kind::FILE_CANCEL, cancel.id)?.is_none() {
            return Ok(Event::Nothing);
        }
        self.refuse(cancel.id, Code::CANCELLED);
        Ok(Event::FileCancel(cancel))
    }

    /// Forgets the open file, because no further message for it will arrive. Its part is kept, as
    /// after a broken connection.
    pub(super) fn ended(&mut self) {
        if let Some(open) = self.open.take() {
            self.owed.remove(open.id);
        }
    }

    /// Handles a status from the application.
    pub(super) fn answer(&mut self, status: &FileStatus<'_>) -> Result<(), SendError> {
        let FileStatus { id, code, offset, .. } = *status;
        let is_done = match self.owed.get_mut(id) {
            Some(Owed::Answer { done, .. }) => *done,
            Some(Owed::Refusal(_)) | None => return Err(SendError::NotOwed { id }),
        };
        if code == Code::READY {
            return match self.open.as_mut().filter(|open| open.id == id && open.awaits_ready()) {
                Some(open) => {
                    if let Some(size) = open.exceeded_by(offset) {
                        return Err(SendError::Excess { end: offset, size });
                    }
                    if !open.can_hold(offset) {
                        return Err(SendError::NoResumeKey { id });
                    }
                    open.ready(offset);
                    Ok(())
                }
                None => Err(SendError::LateReady { id }),
            };
        }
        if code == Code::STORED && !is_done {
            return Err(SendError::NotDone { id });
        }
        if code.is_final() {
            self.owed.remove(id);
            self.close(id);
        }
        Ok(())
    }

    /// Marks a working status as due for each transfer whose sender waits for this side.
    pub(super) fn tick(&mut self) {
        let begun = self.open.filter(Open::is_begun).map(|open| open.id);
        for (id, owed) in self.owed.iter_mut() {
            if let Owed::Answer { working, .. } = owed {
                *working = begun != Some(*id);
            }
        }
    }

    /// Returns the next status that the session sends by itself: a refusal, or working.
    pub(super) fn next_status(&mut self) -> Option<(u32, Code)> {
        let refusals = self.owed.iter().filter_map(|(id, owed)| match owed {
            Owed::Refusal(code) => Some((*id, *code)),
            Owed::Answer { .. } => None,
        });
        if let Some((id, code)) = refusals.min_by_key(|(id, _)| *id) {
            self.owed.remove(id);
            return Some((id, code));
        }
        let late = self.owed.iter_mut().filter_map(|(id, owed)| match owed {
            Owed::Answer { working, .. } if *working => Some((*id, working)),
            _ => None,
        });
        let (id, working) = late.min_by_key(|(id, _)| *id)?;
        *working = false;
        Some((id, Code::WORKING))
    }

    /// Registers a new id, and that its final status is owed.
    fn begin(&mut self, id: u32, answers: bool) -> Result<(), SessionError> {
        if let Some(last) = self.last.filter(|last| id <= *last) {
            return Err(SessionError::TransferId { kind: Kind::FILE_OPEN, id, last: Some(last) });
        }
        self.last = Some(id);
        let owed = Owed::Answer { done: false, working: false };
        if answers && !self.owed.insert(id, owed) {
            return Err(SessionError::TooManyTransfers { id });
        }
        Ok(())
    }

    /// Returns the open file if it has this id, or `None` if the transfer is closed.
    fn open_at(&mut self, kind: Kind, id: u32) -> Result<Option<&mut Open>, SessionError> {
        let last = self.last;
        if last.is_none_or(|last| id > last) {
            return Err(SessionError::TransferId { kind, id, last });
        }
        Ok(self.open.as_mut().filter(|open| open.id == id))
    }

    fn refuse<'a>(&mut self, id: u32, code: Code) -> Event<'a> {
        if let Some(owed) = self.owed.get_mut(id) {
            *owed = Owed::Refusal(code);
        }
        self.close(id);
        Event::FileRefused { id, code }
    }

    fn close(&mut self, id: u32) {
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            self.open = None;
        }
    }
}

impl Misfit {
    /// Returns the code of the refusal.
    fn code(self) -> Code {
        match self {
            Self::Offset => Code::BAD_OFFSET,
            Self::Excess { .. } => Code::EXCESS,
            Self::Total => Code::WRONG_TOTAL,
        }
    }
}
