//! The errors of a conversation.

use core::error::Error;
use core::fmt;

use unstick::Kind;

use super::{MAX_PINGS, MAX_TRANSFERS};
use crate::message::{Code, FileStatus, MessageError};

/// The error that ended a conversation: the peer broke a rule.
///
/// The error latches. The peer receives a close with its [`code`](Self::code).
///
/// ```
/// use unstick::Kind;
/// use unstick_session::session::{Session, SessionError};
///
/// let mut session = Session::new();
/// session.handle_frame(Kind::CLOSE, b"")?;
/// let error: SessionError = session.handle_frame(Kind::TEXT, b"more").unwrap_err();
/// println!("{error}"); // what the peer did, and which rule forbids it
/// # Ok::<(), SessionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionError {
    /// A payload is malformed for its kind.
    Message(MessageError),
    /// The frame has a critical kind that is not known to this session.
    UnknownKind {
        /// The kind.
        kind: Kind,
    },
    /// A hello is not the peer's first message.
    LateHello,
    /// A message arrived after the peer's close.
    AfterClose {
        /// The message's kind.
        kind: Kind,
    },
    /// A transfer id is invalid: the id of an open is not above the last one, a message belongs to
    /// a transfer that was never opened, or a status belongs to a transfer that is not open or
    /// already has its final status.
    TransferId {
        /// The message's kind.
        kind: Kind,
        /// The id in the message.
        id: u32,
        /// The greatest id that was opened, if any was.
        last: Option<u32>,
    },
    /// The peer opened a file while [`MAX_TRANSFERS`](super::MAX_TRANSFERS) transfers had no final
    /// status.
    TooManyTransfers {
        /// The id of the refused open.
        id: u32,
    },
    /// The peer opened a file, but its limit is too low for the answer.
    NoRoomForStatus {
        /// The limit in the peer's hello, in payload bytes.
        limit: u64,
    },
    /// A status that is not valid in the transfer's state: a second ready, a ready with an offset
    /// that is not possible, or stored before done.
    Status {
        /// The transfer id.
        id: u32,
        /// The status code.
        code: Code,
    },
    /// The stream ended without a close as its last message.
    Unclosed,
    /// The caller ended the conversation: see [`Session::fail`](super::Session::fail).
    Failed {
        /// The code that was passed to it.
        code: Code,
    },
}

impl SessionError {
    /// Returns this error's code in the registry (spec, chapters 9 and 16).
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
                write!(f, "a {kind} after the close; does the peer write from two places at once?")
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

#[cfg(feature = "std")]
unstick::__io_errors! {
    SessionError {
        SessionError::Unclosed => UnexpectedEof,
        SessionError::Failed { .. } => ConnectionAborted,
        _ => InvalidData
    }
    SendError { SendError::Closed | SendError::PeerClosed => BrokenPipe, _ => InvalidInput }
}

/// The error for a message that cannot be sent now. The session's state is unchanged, and nothing
/// of the message may be written.
///
/// ```
/// use unstick_session::message::{Close, Message};
/// use unstick_session::session::{SendError, Session};
///
/// let mut session = Session::new();
/// session.send(&Message::Close(Close::ORDINARY))?;
/// assert_eq!(session.send(&Message::Text("more")), Err(SendError::Closed));
/// # Ok::<(), SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// The message is malformed for its kind.
    Message(MessageError),
    /// This side has sent its close, or an error ended the conversation.
    Closed,
    /// The peer has closed, so a file would get no answer.
    PeerClosed,
    /// The payload is over the peer's limit: the one in its hello, or 65,536 bytes without a hello.
    TooLong {
        /// The payload's length in bytes.
        len: u64,
        /// The peer's limit, in payload bytes.
        limit: u64,
    },
    /// A hello can only be the first message.
    LateHello,
    /// The code is not one that this kind of message can carry: it is reserved, is never sent, or
    /// belongs to messages of another kind.
    Code {
        /// The code.
        code: Code,
    },
    /// [`MAX_PINGS`](super::MAX_PINGS) pings wait for an answer. Send none until a pong has arrived.
    TooManyPings,
    /// The ping is longer than the limit in this side's hello, so its pong would be refused.
    NoRoomForPong {
        /// The ping's length in bytes.
        len: u64,
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// This side has begun to [drain](super::Session::drain), and opens no more files.
    Draining,
    /// The kind is reserved for a later edition of the protocol.
    ReservedKind {
        /// The kind.
        kind: Kind,
    },
    /// The limit in this side's hello is too low for the answer to an open.
    NoRoomForStatus {
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// The peer's limit is too low for the messages of a transfer.
    NoRoomForFile {
        /// The limit, in payload bytes.
        limit: u64,
    },
    /// Another file is open. Send done or cancel for it first.
    TransferOpen {
        /// The id of the open transfer.
        open: u32,
    },
    /// [`MAX_TRANSFERS`](super::MAX_TRANSFERS) files wait for their final status. Read until one of
    /// them has it.
    TooManyTransfers,
    /// The id is not above the last one.
    TransferId {
        /// The id of the refused open.
        id: u32,
        /// The greatest id that was opened.
        last: u32,
    },
    /// The transfer is not open, or no longer open. If its final status has just arrived, this is
    /// not a mistake of the caller: send nothing more for it.
    NotOpen {
        /// The transfer id.
        id: u32,
    },
    /// The data does not start where the last data ended. The first data may start at 0 or at the
    /// offset in ready.
    Offset {
        /// The offset given.
        offset: u64,
    },
    /// The data goes beyond the size announced by the open, so the file has grown. Cancel it.
    Excess {
        /// The offset at which the data would end.
        end: u64,
        /// The announced size in bytes.
        size: u64,
    },
    /// The total differs from what was sent, or from the size announced by the open, so the file
    /// has shrunk. Cancel it.
    WrongTotal {
        /// The total in bytes.
        total: u64,
    },
    /// This side owes no answer for this transfer, or no longer. If the peer has just cancelled the
    /// transfer, or the session has refused it, this is not a mistake of the caller.
    NotOwed {
        /// The transfer id.
        id: u32,
    },
    /// Data from the file's beginning arrived before this ready was sent. This is not a mistake of
    /// the caller: go on without ready.
    LateReady {
        /// The transfer id.
        id: u32,
    },
    /// A ready that offers bytes of a part, and the open has no resume key.
    NoResumeKey {
        /// The transfer id.
        id: u32,
    },
    /// A stored status for a file that the peer has not completed with done.
    NotDone {
        /// The transfer id.
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
            Self::Code { code } => {
                write!(
                    f,
                    "no message of this kind has the code {code}; use one that the peer knows"
                )
            }
            Self::TooManyPings => {
                write!(f, "{MAX_PINGS} pings wait for their pongs; read until one arrives")
            }
            Self::NoRoomForPong { len, limit } => write!(
                f,
                "a ping of {len} bytes, and this side's hello allows {limit}; send a shorter one"
            ),
            Self::Draining => f.write_str(
                "this side is about to close and opens no file; open a new conversation",
            ),
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
            Self::NoRoomForFile { limit } => write!(
                f,
                "the peer takes {limit} bytes at most, and a message of a transfer has {}; \
                 it needs a greater limit",
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
            Self::NoResumeKey { id } => write!(
                f,
                "transfer {id} has no resume key, so there is no part of it; answer with ready at 0"
            ),
            Self::NotDone { id } => {
                write!(f, "transfer {id} is not done; wait until the peer says so")
            }
        }
    }
}

impl Error for SendError {}
