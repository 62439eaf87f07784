//! Errors as structured logs have them: a flat record, without a text. The fields are those of the
//! errors of `unstick`.

use unstick::__serialize_records as records;

#[cfg(feature = "std")]
use crate::error::ConnectionError;
use crate::message::{MessageError, NameError};
use crate::session::{SendError, SessionError};

records! {
    NameError [at] {
        Self::Empty => "empty" {}
        Self::TooLong { len } => "too_long" { len: len }
        Self::Utf8 { cut, .. } => "utf8" { cut: cut }
        Self::Separator { found, .. } => "separator" { found: found }
        Self::Control { found, .. } => "control" { found: found }
        Self::Dots => "dots" {}
    }
    MessageError [code at] {
        Self::TooShort { kind, len, min } => "too_short" { kind: kind, len: len, min: min }
        Self::TooLong { kind, len, max } => "too_long" { kind: kind, len: len, max: max }
        Self::HalfCode => "half_code" {}
        Self::NoData => "no_data" {}
        Self::Size { id } => "size" { id: id }
        Self::Utf8 { kind, cut, .. } => "utf8" { kind: kind, cut: cut }
        Self::Name { id, error } => "name" { id: id, name: error }
    }
    SessionError [code] {
        Self::Message(error) => "message" { message: error }
        Self::UnknownKind { kind } => "unknown_kind" { kind: kind }
        Self::LateHello => "late_hello" {}
        Self::AfterClose { kind } => "after_close" { kind: kind }
        Self::TransferId { kind, id, last } => "transfer_id" { kind: kind, id: id, last: last }
        Self::TooManyTransfers { id } => "too_many_transfers" { id: id }
        Self::NoRoomForStatus { limit } => "no_room_for_status" { limit: limit }
        Self::Status { id, code } => "status" { id: id, status: code }
        Self::Unclosed => "unclosed" {}
        Self::Failed { .. } => "failed" {}
    }
    SendError [] {
        Self::Message(error) => "message" { message: error }
        Self::Closed => "closed" {}
        Self::PeerClosed => "peer_closed" {}
        Self::TooLong { len, limit } => "too_long" { len: len, limit: limit }
        Self::LateHello => "late_hello" {}
        Self::Code { code } => "code" { refused: code }
        Self::TooManyPings => "too_many_pings" {}
        Self::NoRoomForPong { len, limit } => "no_room_for_pong" { len: len, limit: limit }
        Self::Draining => "draining" {}
        Self::ReservedKind { kind } => "reserved_kind" { kind: kind }
        Self::NoRoomForStatus { limit } => "no_room_for_status" { limit: limit }
        Self::NoRoomForFile { limit } => "no_room_for_file" { limit: limit }
        Self::TransferOpen { open } => "transfer_open" { open: open }
        Self::TooManyTransfers => "too_many_transfers" {}
        Self::TransferId { id, last } => "transfer_id" { id: id, last: last }
        Self::NotOpen { id } => "not_open" { id: id }
        Self::Offset { offset } => "offset" { offset: offset }
        Self::Excess { end, size } => "excess" { end: end, size: size }
        Self::WrongTotal { total } => "wrong_total" { total: total }
        Self::NotOwed { id } => "not_owed" { id: id }
        Self::LateReady { id } => "late_ready" { id: id }
        Self::NoResumeKey { id } => "no_resume_key" { id: id }
        Self::NotDone { id } => "not_done" { id: id }
    }
}

#[cfg(feature = "std")]
records! {
    ConnectionError [code] {
        Self::Read(error) => "read" { read: error }
        Self::Session(error) => "session" { session: error }
        Self::Send(error) => "send" { send: error }
        Self::Write(error) => "write" { write: error }
        Self::Full => "full" {}
        Self::CloseTimeout { after } => "close_timeout" { after: after }
        Self::FileRefused { code, reason } => "file_refused" { status: code, reason: reason.as_str() }
        Self::FileUnanswered { code, reason } => "file_unanswered" { close: code, reason: reason.as_str() }
    }
}
