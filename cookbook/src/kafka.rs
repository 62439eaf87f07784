//! Kafka (its protocol guide, "Protocol Primitive Types" and "Common Request and Response
//! Structure").
//!
//! | | |
//! | --- | --- |
//! | header | size (4 bytes, signed) |
//! | the length covers | the payload |
//! | max payload | 2^31 − 1; a broker accepts `socket.request.max.bytes`, 100 MiB by default |
//! | meta | none: the type of a request is in its payload |
//! | refused | a negative size |
//! | left to the caller | the request's own header, and the matching of responses to requests |
//!
//! The format is [`I32Be`].
//!
//! ```
//! use unstick_cookbook::kafka;
//!
//! // The first request of librdkafka 2.0.2: ApiVersions (18), version 3, correlation 1.
//! let mut stream = &b"\x00\x00\x00\x24\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka\x00\
//!     \x0blibrdkafka\x062.0.2\x00"[..];
//! let request = kafka::framing().split_frame(&mut stream)?.expect("a whole request");
//! assert_eq!(request.payload.len(), 36);
//! assert_eq!(request.payload[..8], [0, 18, 0, 3, 0, 0, 0, 1]);
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use unstick::{Framing, I32Be};

/// Returns the format with a broker's default limit: 100 MiB.
#[must_use]
pub fn framing() -> Framing<I32Be> {
    Framing::new(I32Be).with_limit(100 << 20)
}
