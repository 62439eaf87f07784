//! The sending side of file transfers: the files that this side sends (spec, 15.4).

use unstick::Kind;

use super::error::{SendError, SessionError};
use super::transfer::{Misfit, Open, Waiting};
use super::{Event, FileOpen};
use crate::message::{Code, FileAttributes, FileCancel, FileData, FileDone, FileStatus};

/// The sender's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outgoing {
    /// The greatest id that was opened.
    last: Option<u32>,
    open: Option<Open>,
    /// The transfers without a final status, each with whether done was sent for it.
    waiting: Waiting<bool>,
}

impl Outgoing {
    pub(super) const fn new() -> Self {
        Self { last: None, open: None, waiting: Waiting::new() }
    }

    /// Returns the number of transfers without a final status.
    pub(super) fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the id of the open transfer.
    pub(super) fn open_id(&self) -> Option<u32> {
        self.open.map(|open| open.id)
    }

    /// Returns the id for the next open, or `None` if all are used.
    pub(super) fn next_id(&self) -> Option<u32> {
        match self.last {
            Some(last) => last.checked_add(1),
            None => Some(1),
        }
    }

    /// Checks whether an open is allowed now.
    pub(super) fn check_may_open(&self) -> Result<(), SendError> {
        if let Some(open) = &self.open {
            return Err(SendError::TransferOpen { open: open.id });
        }
        if self.waiting.is_full() {
            return Err(SendError::TooManyTransfers);
        }
        Ok(())
    }

    pub(super) fn open(&mut self, open: &FileOpen<'_>) -> Result<(), SendError> {
        self.check_may_open()?;
        if let Some(last) = self.last.filter(|last| open.id <= *last) {
            return Err(SendError::TransferId { id: open.id, last });
        }
        self.waiting.insert(open.id, false);
        self.last = Some(open.id);
        self.open = Some(Open::new(open));
        Ok(())
    }

    pub(super) fn data(&mut self, data: &FileData<'_>) -> Result<(), SendError> {
        let open = self.open_at(data.id)?;
        open.data(data.offset, data.bytes.len() as u64).map_err(|misfit| match misfit {
            Misfit::Excess { end, size } => SendError::Excess { end, size },
            Misfit::Offset | Misfit::Total => SendError::Offset { offset: data.offset },
        })
    }

    pub(super) fn done(&mut self, done: &FileDone) -> Result<(), SendError> {
        let total = done.total;
        let fits = self.open_at(done.id)?.check_total(total);
        fits.map_err(|_| SendError::WrongTotal { total })?;
        if let Some(is_done) = self.waiting.get_mut(done.id) {
            *is_done = true;
        }
        self.open = None;
        Ok(())
    }

    pub(super) fn cancel(&mut self, cancel: &FileCancel<'_>) -> Result<(), SendError> {
        self.open_at(cancel.id)?;
        self.open = None;
        Ok(())
    }

    pub(super) fn attributes(&mut self, attributes: &FileAttributes) -> Result<(), SendError> {
        self.open_at(attributes.id).map(|_| ())
    }

    /// Forgets the open file, because this side has closed. Its statuses still arrive.
    pub(super) fn closed(&mut self) {
        self.open = None;
    }

    /// Handles a status from the receiver.
    pub(super) fn answered<'a>(
        &mut self,
        status: FileStatus<'a>,
    ) -> Result<Event<'a>, SessionError> {
        let FileStatus { id, code, offset, .. } = status;
        let Some(&mut is_done) = self.waiting.get_mut(id) else {
            let last = self.last;
            return Err(SessionError::TransferId { kind: Kind::FILE_STATUS, id, last });
        };
        if code == Code::READY {
            return match self.open.as_mut().filter(|open| open.id == id) {
                Some(open) if open.awaits_ready() && open.can_hold(offset) => {
                    open.ready(offset);
                    Ok(Event::FileReady(status))
                }
                // A second ready, or one with an offset that is not possible.
                Some(open) if open.is_at_start() => Err(SessionError::Status { id, code }),
                // The ready crossed data, done or cancel on the way.
                _ => Ok(Event::Nothing),
            };
        }
        if code == Code::STORED && !is_done {
            return Err(SessionError::Status { id, code });
        }
        if !code.is_final() {
            return Ok(Event::FileWorking(status));
        }
        self.waiting.remove(id);
        if self.open_id() == Some(id) {
            self.open = None;
        }
        Ok(Event::FileEnd(status))
    }

    fn open_at(&mut self, id: u32) -> Result<&mut Open, SendError> {
        self.open.as_mut().filter(|open| open.id == id).ok_or(SendError::NotOpen { id })
    }
}
