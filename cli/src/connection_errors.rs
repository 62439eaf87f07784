//! Error messages of a connection, with a hint where there is one.

use unstick::tokio::ReadError;
use unstick_session::session::SessionError;
use unstick_session::tokio::ConnectionError;

use crate::advice::explain;
use crate::v1::without_advice;
use crate::wire::AnyWire;

/// Formats an error of a connection, with a hint if it is a decode error.
pub(crate) fn explain_read(error: &ReadError, wire: AnyWire) -> String {
    match error {
        ReadError::Decode(error) => explain(error, wire),
        error => error.to_string(),
    }
}

/// Formats an error of a session, with a hint if there is one.
fn explain_session(error: SessionError) -> String {
    let text = error.to_string();
    match error {
        SessionError::UnknownKind { kind } if kind.is_application() => {
            format!("{}; is it an application's, to be named with --kind?", without_advice(&text))
        }
        _ => text,
    }
}

/// Explains an error of a conversation that was found at this offset.
pub(crate) fn explain_connection(error: &ConnectionError, at: u64) -> String {
    match error {
        ConnectionError::Read(error) => explain_read(error, AnyWire::V1),
        ConnectionError::Session(SessionError::Unclosed) => format!(
            "byte {at}: the stream ended without a close, which is no clean end; \
             did the peer crash, or forget to send one?"
        ),
        ConnectionError::Session(error) => format!("byte {at}: {}", explain_session(*error)),
        error => error.to_string(),
    }
}

/// Returns what the peer is told about an error: without the hint, which is for this side's user.
pub(crate) fn reason(error: &ConnectionError, at: u64) -> String {
    without_advice(&explain_connection(error, at)).to_owned()
}
