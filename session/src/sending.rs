//! How far a file on its way out is: what both connections' file senders have beside a connection.

use std::hash::{BuildHasher, RandomState};
use std::string::String;

use crate::error::ConnectionError;
use crate::message::{
    Code, Digest, FileCancel, FileData, FileDone, FileOpen, FileStatus, Message, ResumeKey,
};
use crate::session::Event;

/// The most bytes of a file in one frame: few enough that others come between them, and that a slow
/// line has them through in the time that a frame may take.
const MOST_DATA: u64 = 64 << 10;

/// A file on its way out.
#[derive(Debug)]
pub(crate) struct Sending {
    id: u32,
    position: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The open is not accepted.
    New,
    Open,
    /// Done was accepted.
    Done,
    /// The final status came.
    Answered {
        status: FileStatus<'static>,
        reason: String,
    },
    /// The peer closed, and there will be none.
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
        // The part that a broken connection leaves behind is for nobody else to go on with.
        let random = || RandomState::new().hash_one(self.id).to_ne_bytes();
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (random(), random());
        let key = ResumeKey([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
        Message::FileOpen(FileOpen { id: self.id, key, size, name })
    }

    pub(crate) fn opened(&mut self) {
        self.phase = Phase::Open;
    }

    /// The next bytes of the file: as many as a frame takes to a peer with this limit.
    pub(crate) fn data<'a>(&self, bytes: &'a [u8], limit: u64) -> FileData<'a> {
        let room = limit.saturating_sub(FileData::HEAD_LEN as u64).clamp(1, MOST_DATA);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        FileData { id: self.id, offset: self.position, bytes }
    }

    /// So many bytes were accepted, or need not be.
    pub(crate) fn advance(&mut self, n: usize) {
        self.position = self.position.saturating_add(n as u64);
    }

    pub(crate) fn done(&self, digest: Digest) -> Message<'static> {
        Message::FileDone(FileDone { id: self.id, total: self.position, digest })
    }

    pub(crate) fn finished(&mut self) {
        self.phase = Phase::Done;
    }

    /// The offset of the next byte.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether done has to be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether nothing more is to be sent for it.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Answered { .. } | Phase::Closed { .. })
    }

    /// What gives the file up, if it is open.
    pub(crate) fn cancel(&self) -> Option<Message<'static>> {
        let cancel = FileCancel { id: self.id, code: Code::GIVEN_UP, reason: "" };
        self.is_open().then_some(Message::FileCancel(cancel))
    }

    /// Takes an event; `false` says that it is not about this file alone.
    pub(crate) fn hear(&mut self, event: &Event<'_>) -> bool {
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

    /// Whether bytes are of use. `false` where the receiver has a file that may be this one: its
    /// digest will tell.
    pub(crate) fn wants_data(&self) -> Result<bool, ConnectionError> {
        match &self.phase {
            Phase::Answered { status, .. } if status.code == Code::EXISTS => Ok(false),
            Phase::Answered { .. } | Phase::Closed { .. } => Err(self.refused()),
            Phase::New | Phase::Open | Phase::Done => Ok(true),
        }
    }

    /// What became of the file, once that is known.
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

    /// Why the receiver does not have the file; or that the stream ended before it said so.
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
