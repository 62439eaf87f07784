//! gRPC messages ("gRPC over HTTP2", `Length-Prefixed-Message`).
//!
//! | | |
//! | --- | --- |
//! | header | compressed flag (1 byte), length (4) |
//! | the length covers | the payload, in compressed form if it is compressed |
//! | max payload | 2^32 − 1; implementations accept 4 MiB by default |
//! | meta | whether the message is compressed with the encoding named by the header `grpc-encoding` |
//! | refused | a flag other than 0 and 1 |
//! | left to the caller | HTTP/2: the messages of a call are in the DATA frames of its stream, and the boundaries of DATA frames have no meaning |
//!
//! gRPC-Web is another format: it sets 0x80 in the flag to mark trailers.
//!
//! ```
//! use unstick_cookbook::{grpc, http2};
//! use unstick::Decoder;
//!
//! // The request of a call of `helloworld.Greeter/SayHello`, in two DATA frames of its stream.
//! let mut stream = &b"\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x07\x0a\x05\0\0\x05\0\x01\0\0\0\x01world"[..];
//! let mut messages = Decoder::with_framing(grpc::framing());
//! let mut message = Vec::new();
//! while let Some(data) = http2::framing().split_frame(&mut stream)? {
//!     for piece in messages.pieces(data.payload) {
//!         message.extend_from_slice(piece?.bytes);
//!     }
//! }
//! messages.finish()?;
//! assert_eq!(message, b"\x0a\x05world");
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::{Refusal, fits};

/// Returns the format with the default receive limit of gRPC implementations: 4 MiB.
#[must_use]
pub fn framing() -> Framing<Grpc> {
    Framing::new(Grpc).with_limit(4 << 20)
}

/// A message's header: [`Meta`] and a 32-bit length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grpc;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Whether the payload is compressed.
    pub compressed: bool,
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.compressed { "compressed" } else { "uncompressed" })
    }
}

impl Format for Grpc {
    type Meta = Meta;
    type HeaderBuf = [u8; 5];

    fn max_payload_len(&self) -> u64 {
        u32::MAX.into()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        if bytes.first().is_some_and(|flag| *flag > 1) {
            return Err(Refusal::GrpcFlag.into());
        }
        let Some(&[flag, l0, l1, l2, l3]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(5));
        };
        let payload_len = u32::from_be_bytes([l0, l1, l2, l3]).into();
        let meta = Meta { compressed: flag != 0 };
        Ok(Parsed::Header(Header { meta, payload_len, header_len: 5 }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 5],
    ) -> Result<usize, EncodeError> {
        let [l0, l1, l2, l3] = fits(len, self.max_payload_len())?.to_be_bytes();
        *out = [meta.compressed.into(), l0, l1, l2, l3];
        Ok(5)
    }
}
