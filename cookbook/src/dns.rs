//! DNS over TCP (RFC 1035, section 4.2.2; RFC 7766).
//!
//! | | |
//! | --- | --- |
//! | header | length (2 bytes) |
//! | the length covers | the payload: the message as in a datagram |
//! | max payload | 65,535 |
//! | meta | none |
//! | refused | nothing |
//! | left to the caller | the message's own header of 12 bytes; answers in another order than the queries (RFC 7766, section 7) |
//!
//! The format is [`U16Be`]. DNS over TLS (RFC 7858) and DNS over QUIC (RFC 9250) use the same
//! frames.
//!
//! ```
//! use unstick_cookbook::dns;
//!
//! // The query of `dig +tcp +noedns +nocookie example.com A`.
//! let mut stream = &b"\x00\x1d\xb0\x70\x01\x20\x00\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01"[..];
//! let query = dns::framing().split_frame(&mut stream)?.expect("a whole message");
//! assert_eq!((query.payload.len(), &query.payload[..2]), (29, &b"\xb0\x70"[..])); // its id
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use unstick::{Framing, U16Be};

/// Returns the format with the maximum of the length field as the limit: 65,535 bytes.
#[must_use]
pub fn framing() -> Framing<U16Be> {
    Framing::new(U16Be)
}
