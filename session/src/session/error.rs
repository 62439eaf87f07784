//! What can go wrong in a conversation.

use core::error::Error;
use core::fmt;

use unstick::Kind;

use super::MAX_TRANSFERS;
use crate::message::{Code, FileStatus, MessageError};

/// Why a conversation is over: the peer broke its rules. It latches, and the peer is told by a
/// close with [`code`](Self::code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionError {
    /// A payload is none that its kind can have.
    Message(MessageError),
    /// A critical kind that is not known here.
    UnknownKind {
        /// The kind.
        kind: Kind,
    },
    /// A hello that is not the peer's first message.
    LateHello,
    /// A message behind the peer's close.
    AfterClose {
        /// The message's kind.
        kind: Kind,
    },
    /// An open whose id is not above the last; a message of a transfer that was never opened; a
    /// status for a transfer that is not open or already has its final one.
    TransferId {
        /// The message's kind.
        kind: Kind,
        /// The id found.
        id: u32,
        /// The greatest that was opened, if any was.
        last: Option<u32>,
    },
    /// An open while [`MAX_TRANSFERS`](super::MAX_TRANSFERS) wait for their final status.
    TooManyTransfers {
        /// The id of the one too many.
        id: u32,
    },
    /// An open by a peer whose limit has no room for the answer.
    NoRoomForStatus {
        /// The limit in its hello, in payload bytes.
        limit: u64,
    },
    /// A status that the transfer cannot have now: a second ready, or stored before done.
    Status {
        /// The transfer.
        id: u32,
        /// The status.
        code: Code,
    },
    /// The stream ended, and no close was its last message.
    Unclosed,
    /// The caller ended the conversation: see [`Session::fail`](super::Session::fail).
    Failed {
        /// What it gave as the reason.
        code: Code,
    },
}

impl SessionError {
    /// This error's number in the registry (spec, chapters 9 and 16).
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Message(error) => error.code(),
            Self::UnknownKind { .. } => Code::UNKNOWN_KIND,
            Self::LateHello
            | Self::AfterClose { .. }
            | Self::NoRoomForStatus { .. }
            | Self::Status { .. } => Code::MISPLACED_MESSAGE,
            Self::TransferId { .. } => Code::BAD_TRANSFER_ID,
            Self::TooManyTransfers { .. } => Code::TOO_MANY_TRANSFERS,
            Self::Unclosed => Code::UNCLOSED,
            Self::Failed { code } => code,
        }
    }
}

impl From<MessageError> for SessionError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Message(error) => error.fmt(f),
            Self::UnknownKind { kind } => {
                let advice = if kind.is_application() {
                    "is it an application's, to be made known to the session?"
                } else {
                    "does the peer run a newer release?"
                };
                write!(f, "the kind {kind} is critical and not known here; {advice}")
            }
            Self::LateHello => f.write_str(
                "a hello that is not the first message; its limit holds from the first frame on",
            ),
            Self::AfterClose { kind } => {
                write!(f, "a {kind} behind the close; does the peer write from two places at once?")
            }
            Self::TransferId { kind, id, last: Some(last) } => write!(
                f,
                "a {kind} with the transfer id {id}, and {last} was the last one opened; \
                 does the peer count its transfers anew?"
            ),
            Self::TransferId { kind, id, last: None } => write!(
                f,
                "a {kind} with the transfer id {id}, and none was opened; \
                 was the open lost, or meant for another connection?"
            ),
            Self::TooManyTransfers { id } => write!(
                f,
                "the open of transfer {id} with {MAX_TRANSFERS} unanswered before it; \
                 the peer has to wait for a status first"
            ),
            Self::NoRoomForStatus { limit } => write!(
                f,
                "the peer sends files and takes {limit} bytes at most, and an answer has {}; \
                 it needs a greater limit",
                FileStatus::HEAD_LEN
            ),
            Self::Status { id, code } => write!(
                f,
                "the status {code} has no place now in transfer {id}; does the peer confuse two?"
            ),
            Self::Unclosed => {
                f.write_str("the stream ended without a close; did the peer crash, or was it cut?")
            }
            Self::Failed { code } => {
                write!(f, "the conversation was ended here: {code}")?;
                match code.meaning() {
                    "" => Ok(()),
                    meaning => write!(f, " ({meaning})"),
                }
            }
        }
    }
}

impl Error for SessionError {}

/// Why a message cannot be sent now. Nothing changed, and nothing of it may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// The message is none that its kind can be.
    Message(MessageError),
    /// This side's close was sent, or an error ended the conversation.
    Closed,
    /// The peer closed: a file would get no answer any more.
    PeerClosed,
    /// The payload is over the peer's limit: what its hello says, or 65,536 without.
    TooLong {
        /// The payload's bytes.
        len: u64,
        /// The peer's limit, in payload bytes.
        limit: u64,
    },
    /// A hello is the first message or none.
    LateHello,
    /// The kind is reserved for a later edition of the protocol.
    ReservedKind {
        /// The kind.
        kind: Kind,
    },
    /// This side's own hello leaves no room for the answer to an open.
    NoRoomForStatus {
        /// The limit in it, in payload bytes.
        limit: u64,
    },
    /// Another file is open: send done or cancel first.
    TransferOpen {
        /// Its id.
        open: u32,
    },
    /// [`MAX_TRANSFERS`](super::MAX_TRANSFERS) files wait for their final status: read until one
    /// has it.
    TooManyTransfers,
    /// The id is not above the last.
    TransferId {
        /// The id.
        id: u32,
        /// The greatest that was opened.
        last: u32,
    },
    /// The transfer is not open (any more). Where its final status has just come, that is no
    /// mistake: nothing more is to be sent for it.
    NotOpen {
        /// The transfer.
        id: u32,
    },
    /// The data does not begin where the last ended; or, as the first, neither at 0 nor where ready
    /// said.
    Offset {
        /// The offset given.
        offset: u64,
    },
    /// The file goes beyond the size that the open announced: it grew. Cancel it.
    Excess {
        /// Where the data would end.
        end: u64,
        /// The size announced.
        size: u64,
    },
    /// The total is not what was sent, or not the size that the open announced: the file shrank.
    /// Cancel it.
    WrongTotal {
        /// The total given.
        total: u64,
    },
    /// No answer is owed for this transfer (any more). Where the peer has just cancelled it, or the
    /// session refused it, that is no mistake.
    NotOwed {
        /// The transfer.
        id: u32,
    },
    /// Data came before this ready, from the file's beginning. That is no mistake: go on without
    /// ready.
    LateReady {
        /// The transfer.
        id: u32,
    },
    /// Stored, and the peer has not said that the file is complete.
    NotDone {
        /// The transfer.
        id: u32,
    },
}

impl From<MessageError> for SendError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Message(error) => error.fmt(f),
            Self::Closed => f.write_str("the conversation is closed; open a new one"),
            Self::PeerClosed => f.write_str(
                "the peer has closed and would not answer for a file; open a new conversation",
            ),
            Self::TooLong { len, limit } => {
                write!(f, "a payload of {len} bytes, and the peer takes {limit} at most; split it")
            }
            Self::LateHello => f.write_str("a hello is the first message; send it first or never"),
            Self::ReservedKind { kind } => write!(
                f,
                "the kind {kind} is reserved; use 0x40 to 0x7f, or 0xc0 to 0xff for what may be \
                 skipped"
            ),
            Self::NoRoomForStatus { limit } => write!(
                f,
                "this side's hello allows {limit} bytes, and an answer has {}; \
                 announce a greater limit",
                FileStatus::HEAD_LEN
            ),
            Self::TransferOpen { open } => {
                write!(f, "transfer {open} is open; send done or cancel for it first")
            }
            Self::TooManyTransfers => {
                write!(f, "{MAX_TRANSFERS} files wait for an answer; read until one has it")
            }
            Self::TransferId { id, last } => {
                write!(f, "the transfer id {id} is not above the last, {last}; take the next")
            }
            Self::NotOpen { id } => {
                write!(f, "transfer {id} is not open; was it refused, or is it done?")
            }
            Self::Offset { offset } => write!(
                f,
                "data at {offset} follows nothing; go on where the last ended, \
                 or begin at 0 or where ready says"
            ),
            Self::Excess { end, size } => write!(
                f,
                "the file reaches {end} bytes, and {size} were announced; did it grow? cancel it"
            ),
            Self::WrongTotal { total } => write!(
                f,
                "a total of {total} bytes is not what was sent or announced; \
                 did the file change? cancel it"
            ),
            Self::NotOwed { id } => write!(
                f,
                "no answer is owed for transfer {id}; was it cancelled, or answered before?"
            ),
            Self::LateReady { id } => {
                write!(f, "transfer {id} has begun from the beginning already; go on without ready")
            }
            Self::NotDone { id } => {
                write!(f, "transfer {id} is not done; wait until the peer says so")
            }
        }
    }
}

impl Error for SendError {}
