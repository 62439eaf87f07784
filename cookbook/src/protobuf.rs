//! Delimited Protocol Buffers messages, as written by `writeDelimitedTo` and read by
//! `parseDelimitedFrom`, and used by many custom protocols.
//!
//! | | |
//! | --- | --- |
//! | header | length (a varint of 1 to 10 bytes; a message of 2 GiB needs 5) |
//! | the length covers | the payload |
//! | max payload | 2^31 − 1 by the rule for messages; the field allows 2^64 − 1 |
//! | meta | none |
//! | refused | a length in more bytes than it needs, or of more than 64 bits |
//! | left to the caller | the type of the message |
//!
//! The format is [`Varint`]. It accepts the shortest encoding of a length only, which is what the
//! libraries write; their readers accept longer ones too.
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

/// Returns the format with a limit of 1 MiB.
#[must_use]
pub fn framing() -> Framing<Varint> {
    Framing::new(Varint)
}
