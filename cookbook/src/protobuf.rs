//! Protocol Buffers, delimited: `writeDelimitedTo` and `parseDelimitedFrom` of the libraries, and
//! many a protocol of one's own.
//!
//! | | |
//! | --- | --- |
//! | header | length (a varint of 1 to 10 bytes; a message of 2 GiB needs 5) |
//! | the length covers | the payload |
//! | largest payload | 2^31 − 1 by the rule for messages; the field could say 2^64 − 1 |
//! | meta | none |
//! | refused | a length in more bytes than it needs, or of more than 64 bits |
//! | the caller's | which message it is |
//!
//! It is [`Varint`]. The libraries write the shortest form, and so it is the only one here; their
//! readers would take a longer one.
//!
//! ```
//! use unstick_cookbook::protobuf;
//!
//! // The two messages of the documentation ("Encoding"): `a: 150` and `b: "testing"`, delimited.
//! let mut stream = &b"\x03\x08\x96\x01\x09\x12\x07testing"[..];
//! let first = protobuf::framing().split_frame(&mut stream)?.expect("a whole message");
//! assert_eq!(first.payload, b"\x08\x96\x01");
//! let second = protobuf::framing().split_frame(&mut stream)?.expect("a whole message");
//! assert_eq!(second.payload, b"\x12\x07testing");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use unstick::{Framing, Varint};

/// The format with a limit of 1 MiB.
#[must_use]
pub fn framing() -> Framing<Varint> {
    Framing::new(Varint)
}
