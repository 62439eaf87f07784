//! Serialization of errors for structured logs: flat records, without the text.
//!
//! The field `error` holds the name of the variant. `code`, the code in the registry, and `at`, the
//! offset, are present if the error has them. The other fields are those of the variant. A nested
//! error is a record in a field that is named after its type.

use serde::ser::{Serialize, Serializer};

use crate::error::{
    DatagramError, DecodeError, EncodeError, FrameError, HeaderError, RecoverError,
};
use crate::format::{FieldMeta, LayoutError};

/// Serializes errors as flat records: for each type the methods whose answers are fields, and each
/// variant's pattern, name and further fields. `unstick-session` uses it too, with a `serde` of its
/// own.
#[doc(hidden)]
#[macro_export]
macro_rules! __serialize_records {
    ($($type:ident $methods:tt {
        $($pattern:pat => $name:literal { $($key:ident: $value:expr),* })+
    })+) => {$(
        /// A record: the field `error` names the variant.
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                match self {
                    $($pattern => {
                        $crate::__serialize_records!(
                            @ $type, self, serializer, $name, $methods, $($key: $value),*
                        )
                    })+
                }
            }
        }
    )+};
    (@ $type:ident, $this:ident, $serializer:ident, $name:literal,
        [$($method:ident)*], $($key:ident: $value:expr),*) => {{
        use ::serde::ser::SerializeStruct as _;
        const FIELDS: &[&str] = &["error", $(stringify!($method),)* $(stringify!($key),)*];
        let mut record = $serializer.serialize_struct(stringify!($type), FIELDS.len())?;
        record.serialize_field("error", $name)?;
        $(record.serialize_field(stringify!($method), &$this.$method())?;)*
        $(record.serialize_field(stringify!($key), $value)?;)*
        record.end()
    }};
}

use crate::__serialize_records as records;

records! {
    HeaderError [code] {
        Self::BadMagic { found } => "bad_magic" { found: found }
        Self::UnsupportedVersion { found, supported } => "unsupported_version" {
            found: found, supported: supported
        }
        Self::InvalidKind => "invalid_kind" {}
        Self::BadCheck { found, expected } => "bad_check" { found: found, expected: expected }
        Self::NegativeLength { found, max } => "negative_length" { found: found, max: max }
        Self::OverlongVarint => "overlong_varint" {}
        Self::VarintOverflow { found } => "varint_overflow" { found: found }
        Self::LengthTooShort { found, min } => "length_too_short" { found: found, min: min }
        Self::Custom { text, .. } => "custom" { text: text }
        Self::TooLong { room } => "too_long" { room: room }
        Self::BrokenFormat => "broken_format" {}
    }
    FrameError [code] {
        Self::BadCheck { found, expected } => "bad_check" { found: found, expected: expected }
        Self::TooShort { found, min } => "too_short" { found: found, min: min }
        Self::BadEscape { found } => "bad_escape" { found: found }
        Self::CutShort { missing } => "cut_short" { missing: missing }
        Self::Aborted => "aborted" {}
        Self::Custom { text, .. } => "custom" { text: text }
        Self::BrokenMark => "broken_mark" {}
    }
    DecodeError [code at] {
        Self::Header { error, .. } => "header" { header: error }
        Self::Oversize { len, limit, .. } => "oversize" { len: len, limit: limit }
        Self::TooLong { limit, .. } => "too_long" { limit: limit }
        Self::Frame { error, .. } => "frame" { frame: error }
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
        Self::Custom { code, text } => "custom" { code: code, text: text }
        Self::BrokenFormat => "broken_format" {}
        Self::Unfinished { missing } => "unfinished" { missing: missing }
        Self::Excess { len, missing } => "excess" { len: len, missing: missing }
        Self::NoFrame => "no_frame" {}
        Self::HasMark { at } => "has_mark" { at: at }
        Self::Empty => "empty" {}
        Self::WrongLength { len, expected } => "wrong_length" { len: len, expected: expected }
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
}

/// Serializes the header's bytes, with zeros in place of the length.
impl Serialize for FieldMeta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bytes().serialize(serializer)
    }
}
