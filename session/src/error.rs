//! What a conversation over a stream can fail with.

use core::fmt;
use std::error::Error;
use std::string::String;
use std::time::Duration;

use unstick::io::{ReadError, WriteError};

use crate::message::Code;
use crate::session::{SendError, SessionError};

/// The most characters of a peer's reason that an error's text has.
const MAX_REASON: usize = 200;

/// Why a call on a connection failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Nothing can be read. Unless it is the transport's, the error latches: the conversation is
    /// over, and the peer is told by a close with the error's code.
    Read(ReadError),
    /// The peer broke a rule of the conversation, or ended it without a close. The error latches;
    /// the peer is told by a close with the error's code.
    Session(SessionError),
    /// The message has no place now. Nothing changed.
    Send(SendError),
    /// The transport takes nothing. What was accepted is kept.
    Write(WriteError),
    /// The peer does not read what it is answered, and 64 KiB of it wait: nothing was accepted.
    Full,
    /// The peer did not end the stream in time: what it has read is not known.
    CloseTimeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// The receiver does not have the file: it refuses it, or another one has its name. The
    /// conversation goes on.
    FileRefused {
        /// Why.
        code: Code,
        /// The same for people; may be empty. A peer chose it: escape it before it is shown.
        reason: String,
    },
    /// The peer closed before it said what became of the file.
    FileUnanswered {
        /// Why it closed.
        code: Code,
        /// The same for people; may be empty. A peer chose it: escape it before it is shown.
        reason: String,
    },
}

impl ConnectionError {
    /// This error's number in the registry (spec, chapters 9 and 16); `None` for the transport's,
    /// and where only the call failed and not the conversation.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Read(error) => error.code().map(Code),
            Self::Session(error) => Some(error.code()),
            Self::Send(_)
            | Self::Write(_)
            | Self::Full
            | Self::CloseTimeout { .. }
            | Self::FileRefused { .. }
            | Self::FileUnanswered { .. } => None,
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Full => f.write_str(
                "the peer sends and does not read its answers; wait for room, or end with it",
            ),
            Self::CloseTimeout { after } => write!(
                f,
                "the peer did not end the connection within {after:?} after the close; \
                 is it stuck, or still sending?"
            ),
            Self::FileRefused { code: Code::STORED, .. } => f.write_str(
                "the receiver does not have the file: it has stored other bytes under its name, as \
                 their digest says; send it again under another name",
            ),
            Self::FileRefused { code, reason } => {
                write!(f, "the receiver does not have the file: {code}")?;
                write_reason(f, *code, reason)?;
                match *code {
                    Code::EXISTS => f.write_str("; send it under another name"),
                    Code::BUSY => f.write_str("; try again later"),
                    _ => f.write_str("; what does the receiver take?"),
                }
            }
            Self::FileUnanswered { code, reason } => {
                write!(f, "the peer closed before it had answered for the file: {code}")?;
                write_reason(f, *code, reason)?;
                f.write_str("; send it again")
            }
        }
    }
}

/// Why, for people: in the peer's words, or in those of the registry.
fn write_reason(f: &mut fmt::Formatter<'_>, code: Code, reason: &str) -> fmt::Result {
    let reason = if reason.is_empty() { code.meaning() } else { reason };
    if reason.is_empty() {
        return Ok(());
    }
    f.write_str(" (")?;
    for char in reason.chars().take(MAX_REASON) {
        write!(f, "{}", char.escape_debug())?;
    }
    f.write_str(if reason.chars().nth(MAX_REASON).is_some() { "…)" } else { ")" })
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(error) => error.source(),
            Self::Write(error) => error.source(),
            _ => None,
        }
    }
}

unstick::__io_errors! {
    ConnectionError {
        ConnectionError::Read(error) => into error,
        ConnectionError::Session(error) => into error,
        ConnectionError::Send(error) => into error,
        ConnectionError::Write(error) => into error,
        ConnectionError::Full => ResourceBusy,
        ConnectionError::CloseTimeout { .. } => TimedOut,
        ConnectionError::FileRefused { .. } => Other,
        ConnectionError::FileUnanswered { .. } => ConnectionAborted
    }
}

impl From<ReadError> for ConnectionError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<SessionError> for ConnectionError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<SendError> for ConnectionError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<WriteError> for ConnectionError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}
