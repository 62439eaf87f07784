//! What reading and writing frames can fail with.

use core::fmt;
use std::error::Error;
use std::io;
use std::string::String;
use std::time::Duration;

use crate::engine::TimedOut;
use crate::message::Code;
use crate::session::{SendError, SessionError};
use crate::{DecodeError, EncodeError, WriteBufError};

/// The most characters of a peer's reason that an error's text has.
const MAX_REASON: usize = 200;

/// Why there is no next frame.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The transport failed. Nothing that it delivered before is lost; after an error that passes,
    /// as a time-out of the socket, the call can be made again.
    Io(io::Error),
    /// The bytes are no frames, or ended inside one.
    Decode(DecodeError),
    /// A frame took longer from its first byte on than it may.
    FrameTimeout {
        /// The stream offset of the frame's first byte.
        at: u64,
        /// How long a frame may take.
        after: Duration,
    },
    /// The peer sent nothing for longer than it may.
    IdleTimeout {
        /// The bytes that were consumed.
        at: u64,
        /// How long a peer may be idle.
        after: Duration,
    },
}

impl ReadError {
    /// This error's number in the registry of the spec (chapter 9); `None` for the transport's.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Io(_) => None,
            Self::Decode(error) => Some(error.code()),
            Self::FrameTimeout { .. } => Some(0x0008),
            Self::IdleTimeout { .. } => Some(0x0009),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::FrameTimeout { at, after } => write!(
                f,
                "byte {at}: the frame was not complete after {after:?}; \
                 is the peer stuck, or the limit on a frame's time too small?"
            ),
            Self::IdleTimeout { at, after } => write!(
                f,
                "byte {at}: nothing came for {after:?}; \
                 is the peer gone, or the limit on idle time too small?"
            ),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text holds the cause's: a report of the whole chain must not print it twice.
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<DecodeError> for ReadError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<TimedOut> for ReadError {
    fn from(timed_out: TimedOut) -> Self {
        match timed_out {
            TimedOut::Frame { at, after } => Self::FrameTimeout { at, after },
            TimedOut::Idle { at, after } => Self::IdleTimeout { at, after },
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a frame was not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The transport failed before the frame was accepted. Frames that were accepted before are
    /// kept, and tried again by the next call.
    Io(io::Error),
    /// The transport failed while accepted frames were written, this call's too. They are kept: to
    /// try again, flush, and do not send the frame anew.
    Flush(io::Error),
    /// The frame cannot be encoded. Nothing of it was written.
    Encode(EncodeError),
    /// A frame was written in part and then given up, by a cancelled call, a failed transport, or
    /// `finish` before its end: what followed would be taken for its payload. Close the stream.
    Poisoned,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) | Self::Flush(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
            Self::Poisoned => f.write_str(
                "a frame was written only in part, the stream is of no use any more; close it",
            ),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) | Self::Flush(error) => error.source(),
            _ => None,
        }
    }
}

impl From<WriteBufError> for WriteError {
    fn from(error: WriteBufError) -> Self {
        match error {
            WriteBufError::Encode(error) => Self::Encode(error),
            _ => Self::Poisoned,
        }
    }
}

impl From<EncodeError> for WriteError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

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
