//! The progress of an outgoing file: the part of the file senders that both connections share.

use std::hash::{BuildHasher, RandomState};
use std::string::String;

use crate::error::ConnectionError;
use crate::message::{
    Code, Digest, FileCancel, FileData, FileDone, FileOpen, FileStatus, Message, ResumeKey,
};
use crate::session::Event;

/// The maximum number of file bytes in one frame. It is small enough for other messages to be sent
/// in between, and for a slow line to carry the frame within a frame timeout.
const MAX_DATA: u64 = 64 << 10;

/// The progress of an outgoing file.
#[derive(Debug)]
pub(crate) struct Sending {
    id: u32,
    position: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The open was not accepted yet.
    New,
    Open,
    /// Done was accepted.
    Done,
    /// The final status arrived.
    Answered {
        status: FileStatus<'static>,
        reason: String,
    },
    /// The peer closed, so there will be no final status.
    Closed {
        code: Code,
        reason: String,
    },
}

impl Sending {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, position: 0, phase: Phase::New }
    }

    pub(crate) fn open<'a>(&self, name: &'a str, size: Option<u64>) -> Message<'a> {
        // A random key: no other transfer resumes the part that a broken connection leaves behind.
        let random = || RandomState::new().hash_one(self.id).to_ne_bytes();
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (random(), random());
        let key = ResumeKey([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
        Message::FileOpen(FileOpen { id: self.id, key, size, name })
    }

    pub(crate) fn opened(&mut self) {
        self.phase = Phase::Open;
    }

    /// Returns the next data message: as many bytes as fit into one frame under the peer's limit.
    pub(crate) fn data<'a>(&self, bytes: &'a [u8], limit: u64) -> FileData<'a> {
        let room = limit.saturating_sub(FileData::HEAD_LEN as u64).clamp(1, MAX_DATA);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        FileData { id: self.id, offset: self.position, bytes }
    }

    /// Advances the position by `n` bytes.
    pub(crate) fn advance(&mut self, n: usize) {
        self.position = self.position.saturating_add(n as u64);
    }

    pub(crate) fn done(&self, digest: Digest) -> Message<'static> {
        Message::FileDone(FileDone { id: self.id, total: self.position, digest })
    }

    pub(crate) fn finished(&mut self) {
        self.phase = Phase::Done;
    }

    /// Returns the offset of the next byte.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Returns whether the file is open: done still has to be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Returns whether nothing more is to be sent for the file.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Answered { .. } | Phase::Closed { .. })
    }

    /// Returns the cancel of the file, if it is open.
    pub(crate) fn cancel(&self) -> Option<Message<'static>> {
        let cancel = FileCancel { id: self.id, code: Code::GIVEN_UP, reason: "" };
        self.is_open().then_some(Message::FileCancel(cancel))
    }

    /// Handles an event. Returns `false` if the event does not concern this file only.
    pub(crate) fn handle(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::FileReady(status) | Event::FileWorking(status) => status.id == self.id,
            Event::FileEnd(status) if status.id == self.id => {
                let reason = status.reason.into();
                self.phase =
                    Phase::Answered { status: FileStatus { reason: "", ..*status }, reason };
                true
            }
            Event::Close(close) => {
                self.phase = Phase::Closed { code: close.code, reason: close.reason.into() };
                false
            }
            _ => false,
        }
    }

    /// Returns whether data has to be sent. `false` if the receiver already has a file of this
    /// name: its digest decides whether it is this one.
    pub(crate) fn wants_data(&self) -> Result<bool, ConnectionError> {
        match &self.phase {
            Phase::Answered { status, .. } if status.code == Code::EXISTS => Ok(false),
            Phase::Answered { .. } | Phase::Closed { .. } => Err(self.refused()),
            Phase::New | Phase::Open | Phase::Done => Ok(true),
        }
    }

    /// Returns the outcome of the transfer, if it is known.
    pub(crate) fn outcome(
        &self,
        digest: Digest,
    ) -> Option<Result<FileStatus<'static>, ConnectionError>> {
        match &self.phase {
            Phase::New | Phase::Open | Phase::Done => None,
            Phase::Answered { status, .. } if status.is_there(digest) => Some(Ok(*status)),
            Phase::Answered { .. } | Phase::Closed { .. } => Some(Err(self.refused())),
        }
    }

    /// Returns the error for a file that the receiver does not have, or for a stream that ended
    /// before the outcome was known.
    pub(crate) fn refused(&self) -> ConnectionError {
        match &self.phase {
            Phase::Answered { status, reason } => {
                ConnectionError::FileRefused { code: status.code, reason: reason.clone() }
            }
            Phase::Closed { code, reason } => {
                ConnectionError::FileUnanswered { code: *code, reason: reason.clone() }
            }
            Phase::New | Phase::Open | Phase::Done => {
                ConnectionError::FileUnanswered { code: Code::NO_ERROR, reason: String::new() }
            }
        }
    }
}
