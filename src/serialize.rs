//! Serialization of errors for structured logs: flat records, without the text.
//!
//! The field `error` holds the name of the variant. `code`, the code in the registry, and `at`, the
//! offset, are present if the error has them. The other fields are those of the variant. A nested
//! error is a record in a field that is named after its type.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::error::{DatagramError, DecodeError, EncodeError, HeaderError, RecoverError};
use crate::format::{FieldMeta, LayoutError};
use crate::message::{MessageError, NameError};
use crate::session::{SendError, SessionError};

/// For each type: the methods whose results become fields, then each variant's pattern, name and
/// further fields.
macro_rules! records {
    ($($type:ident $methods:tt {
        $($pattern:pat => $name:literal { $($key:ident: $value:expr),* })+
    })+) => {$(
        /// Serializes a record. The field `error` holds the name of the variant.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $($pattern => {
                        records!(@ $type, self, serializer, $name, $methods, $($key: $value),*)
                    })+
                }
            }
        }
    )+};
    (@ $type:ident, $this:ident, $serializer:ident, $name:literal,
        [$($method:ident)*], $($key:ident: $value:expr),*) => {{
        const FIELDS: &[&str] = &["error", $(stringify!($method),)* $(stringify!($key),)*];
        let mut record = $serializer.serialize_struct(stringify!($type), FIELDS.len())?;
        record.serialize_field("error", $name)?;
        $(record.serialize_field(stringify!($method), &$this.$method())?;)*
        $(record.serialize_field(stringify!($key), $value)?;)*
        record.end()
    }};
}

records! {
    HeaderError [code] {
        Self::BadMagic { found } => "bad_magic" { found: found }
        Self::UnsupportedVersion { found } => "unsupported_version" { found: found }
        Self::InvalidKind => "invalid_kind" {}
        Self::BadCheck { found, expected } => "bad_check" { found: found, expected: expected }
        Self::NegativeLength { found } => "negative_length" { found: found }
        Self::OverlongVarint => "overlong_varint" {}
        Self::VarintOverflow { found } => "varint_overflow" { found: found }
        Self::LengthTooShort { found, least } => "length_too_short" { found: found, least: least }
        Self::Custom { .. } => "custom" {}
        Self::TooLong { room } => "too_long" { room: room }
        Self::BrokenFormat => "broken_format" {}
    }
    DecodeError [code at] {
        Self::Header { error, .. } => "header" { header: error }
        Self::Oversize { len, limit, .. } => "oversize" { len: len, limit: limit }
        Self::Truncated { missing, part, .. } => "truncated" { missing: missing, part: part }
        Self::Unsynchronized { skipped, .. } => "unsynchronized" { skipped: skipped }
        Self::NoRoom { needed, room, .. } => "no_room" { needed: needed, room: room }
    }
    DatagramError [code] {
        Self::Cut { room } => "cut" { room: room }
        Self::Empty => "empty" {}
        Self::Malformed(error) => "malformed" { decode: error }
        Self::MisplacedKind { at, kind } => "misplaced_kind" { at: at, kind: kind }
        Self::UnknownKind { at, kind } => "unknown_kind" { at: at, kind: kind }
    }
    EncodeError [] {
        Self::Oversize { len, limit } => "oversize" { len: len, limit: limit }
        Self::NoRoom { needed, room } => "no_room" { needed: needed, room: room }
        Self::Meta => "meta" {}
        Self::Custom { code } => "custom" { code: code }
        Self::BrokenFormat => "broken_format" {}
        Self::Unfinished { missing } => "unfinished" { missing: missing }
        Self::Excess { len, missing } => "excess" { len: len, missing: missing }
        Self::NoFrame => "no_frame" {}
        Self::MisplacedKind { kind } => "misplaced_kind" { kind: kind }
    }
    RecoverError [] {
        Self::NotFailed => "not_failed" {}
        Self::Failed(error) => "failed" { decode: error }
    }
    LayoutError [] {
        Self::HeaderLen { found } => "header_len" { found: found }
        Self::Width { found } => "width" { found: found }
        Self::FieldOutside { offset, width, header_len } => "field_outside" {
            offset: offset, width: width, header_len: header_len
        }
    }
    NameError [at] {
        Self::Empty => "empty" {}
        Self::TooLong { len } => "too_long" { len: len }
        Self::Utf8 { cut, .. } => "utf8" { cut: cut }
        Self::Separator { found, .. } => "separator" { found: found }
        Self::Control { found, .. } => "control" { found: found }
        Self::Dots => "dots" {}
    }
    MessageError [code at] {
        Self::TooShort { kind, len, least } => "too_short" { kind: kind, len: len, least: least }
        Self::TooLong { kind, len, most } => "too_long" { kind: kind, len: len, most: most }
        Self::HalfCode => "half_code" {}
        Self::NoData => "no_data" {}
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
        Self::ReservedKind { kind } => "reserved_kind" { kind: kind }
        Self::NoRoomForStatus { limit } => "no_room_for_status" { limit: limit }
        Self::TransferOpen { open } => "transfer_open" { open: open }
        Self::TooManyTransfers => "too_many_transfers" {}
        Self::TransferId { id, last } => "transfer_id" { id: id, last: last }
        Self::NotOpen { id } => "not_open" { id: id }
        Self::Offset { offset } => "offset" { offset: offset }
        Self::Excess { end, size } => "excess" { end: end, size: size }
        Self::WrongTotal { total } => "wrong_total" { total: total }
        Self::NotOwed { id } => "not_owed" { id: id }
        Self::LateReady { id } => "late_ready" { id: id }
        Self::NotDone { id } => "not_done" { id: id }
    }
}

/// The errors of the adapters. Of the transport's error, its kind is serialized, and the system's
/// error number if there is one.
#[cfg(feature = "std")]
mod adapters {
    use super::*;
    use crate::io::{ConnectionError, ReadError, WriteError};

    struct KindOf<'a>(&'a std::io::Error);

    impl Serialize for KindOf<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("{:?}", self.0.kind()))
        }
    }

    records! {
        ReadError [code] {
            Self::Io(error) => "io" { kind: &KindOf(error), os: &error.raw_os_error() }
            Self::Decode(error) => "decode" { decode: error }
            Self::FrameTimeout { at, after } => "frame_timeout" { at: at, after: after }
            Self::IdleTimeout { at, after } => "idle_timeout" { at: at, after: after }
        }
        WriteError [] {
            Self::Io(error) => "io" { kind: &KindOf(error), os: &error.raw_os_error() }
            Self::Flush(error) => "flush" { kind: &KindOf(error), os: &error.raw_os_error() }
            Self::Encode(error) => "encode" { encode: error }
            Self::Poisoned => "poisoned" {}
        }
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

    #[cfg(feature = "tokio-util")]
    use crate::codec::CodecError;

    #[cfg(feature = "tokio-util")]
    records! {
        CodecError [code] {
            Self::Io(error) => "io" { kind: &KindOf(error), os: &error.raw_os_error() }
            Self::Decode(error) => "decode" { decode: error }
            Self::Encode(error) => "encode" { encode: error }
        }
    }
}

/// Serializes the header's bytes, with zeros in place of the length.
impl Serialize for FieldMeta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bytes().serialize(serializer)
    }
}
