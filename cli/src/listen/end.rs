//! How connections end.

use std::time::Duration;

use unstick::tokio::{ReadError, WriteError};
use unstick_session::message::{Close, Code};
use unstick_session::session::{SendError, SessionError};
use unstick_session::tokio::ConnectionError;

use crate::connection_errors::{explain_connection, explain_read};
use crate::term::bytes::count_bytes;
use crate::v1::without_advice;
use crate::wire::AnyWire;

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides have closed.
    Clean,
    /// The program is ending.
    Stopped,
    /// An error. `code` is `None` if it cannot be reported to the peer.
    Error { at: Option<u64>, code: Option<Code>, message: String },
}

impl End {
    pub(crate) fn at(at: u64, code: Code, message: &str) -> Self {
        let message = format!("byte {at}: {message}");
        Self::Error { at: Some(at), code: Some(code), message }
    }

    pub(crate) fn transport(message: String) -> Self {
        Self::Error { at: None, code: None, message }
    }

    /// Returns whether it was no error.
    pub(crate) fn is_clean(&self) -> bool {
        !matches!(self, Self::Error { .. })
    }

    /// Returns the end after a failed read.
    pub(crate) fn read(error: &ReadError, wire: AnyWire) -> Self {
        let at = match error {
            ReadError::Decode(error) => Some(error.at()),
            ReadError::FrameTimeout { at, .. } | ReadError::IdleTimeout { at, .. } => Some(*at),
            _ => None,
        };
        Self::Error { at, code: error.code().map(Code), message: explain_read(error, wire) }
    }

    /// Returns the end after a failed write of an answer.
    pub(crate) fn write(error: &WriteError) -> Self {
        match error {
            WriteError::Encode(error) => Self::Error {
                at: None,
                code: Some(Code::OVERSIZE),
                message: format!("the answer cannot be sent: {error}"),
            },
            error => Self::transport(format!("cannot send the answer: {error}")),
        }
    }

    /// Returns the end for a peer that did not take an answer within this time.
    pub(crate) fn not_taken(after: Duration) -> Self {
        Self::transport(format!("the peer did not take an answer within {after:?}; does it read?"))
    }

    /// Returns the end of a conversation of version 1 after an error that was found at this offset.
    /// `has_hello` is whether the peer has sent one.
    pub(crate) fn connection(error: &ConnectionError, at: u64, has_hello: bool) -> Self {
        match error {
            ConnectionError::Read(error) => Self::read(error, AnyWire::V1),
            ConnectionError::Write(error) => Self::write(error),
            ConnectionError::Session(SessionError::Unclosed) => {
                Self::Error { at: Some(at), code: None, message: explain_connection(error, at) }
            }
            ConnectionError::Session(session) => Self::Error {
                at: Some(at),
                code: Some(session.code()),
                message: explain_connection(error, at),
            },
            ConnectionError::Send(SendError::TooLong { len, limit }) => {
                let source = if has_hello { "its hello says" } else { "it sent no hello" };
                let len = count_bytes(*len);
                Self::Error {
                    at: None,
                    code: Some(Code::OVERSIZE),
                    message: format!(
                        "the answer has {len} and the peer takes {limit} at most ({source})"
                    ),
                }
            }
            error => Self::transport(format!("the answer cannot be sent: {error}")),
        }
    }

    /// Returns the close that is sent to the peer, if no error of its own has ended the conversation.
    /// `owes` is whether the peer still waits for an answer.
    pub(crate) fn close(&self, owes: bool) -> Close<'_> {
        match self {
            Self::Error { code: Some(code), message, .. } => {
                Close { code: *code, reason: without_advice(message) }
            }
            Self::Stopped if owes => {
                Close { code: Code::SHUTTING_DOWN, reason: Code::SHUTTING_DOWN.meaning() }
            }
            Self::Clean | Self::Stopped | Self::Error { code: None, .. } => Close::ORDINARY,
        }
    }
}
