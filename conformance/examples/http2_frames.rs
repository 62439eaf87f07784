//! A format of one's own, in forty lines, and its tests in ten: the frames of HTTP/2 (RFC 9113,
//! section 4.1). To speak HTTP/2, take the one that is there: `unstick_cookbook::http2`.
//!
//! ```console
//! cargo run -p unstick-conformance --example http2_frames
//! cargo test -p unstick-conformance --example http2_frames
//! ```

use unstick::{Decoder, EncodeError, Format, Framing, Header, HeaderError, Parsed};

/// A length of 24 bits, a type, flags, one reserved bit, and a stream identifier of 31 bits.
#[derive(Clone, Copy, Debug)]
struct Http2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Http2Meta {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Format for Http2 {
    type Meta = Http2Meta;
    type HeaderBuf = [u8; 9];

    fn max_payload_len(&self) -> u64 {
        0xFF_FFFF
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Http2Meta>, HeaderError> {
        let Some(&[l0, l1, l2, kind, flags, s0, s1, s2, s3]) = bytes.first_chunk() else {
            return Ok(Parsed::Need(9));
        };
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7FFF_FFFF;
        let payload_len = u32::from_be_bytes([0, l0, l1, l2]).into();
        let meta = Http2Meta { kind, flags, stream };
        Ok(Parsed::Header(Header { meta, payload_len, header_len: 9 }))
    }

    fn encode_header(
        &self,
        meta: &Http2Meta,
        len: u64,
        out: &mut [u8; 9],
    ) -> Result<usize, EncodeError> {
        let limit = self.max_payload_len();
        if len > limit {
            return Err(EncodeError::Oversize { len, limit });
        }
        if meta.stream > 0x7FFF_FFFF {
            return Err(EncodeError::Meta);
        }
        let [.., l0, l1, l2] = len.to_be_bytes();
        let [s0, s1, s2, s3] = meta.stream.to_be_bytes();
        *out = [l0, l1, l2, meta.kind, meta.flags, s0, s1, s2, s3];
        Ok(9)
    }
}

/// What a receiver that has not said otherwise takes: SETTINGS_MAX_FRAME_SIZE.
fn framing() -> Framing<Http2> {
    Framing::new(Http2).with_limit(16_384)
}

/// What a client sends first, behind the connection preface: its settings, a window update, and a
/// request for `http://www.example.com/` (the header block is RFC 7541's, appendix C.4.1).
const REQUEST: &[u8] = b"\
    \x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\
    \x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x0f\x00\x01\
    \x00\x00\x11\x01\x05\x00\x00\x00\x01\
    \x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut decoder = Decoder::with_framing(framing());
    for chunk in REQUEST.chunks(10) {
        for piece in decoder.pieces(chunk) {
            let piece = piece?;
            if let Some(header) = piece.header {
                let Http2Meta { kind, flags, stream } = header.meta;
                let len = header.payload_len;
                println!("type {kind}, flags {flags:#04x}, stream {stream}, {len} bytes:");
            }
            println!("    {:02x?}{}", piece.bytes, if piece.last { "" } else { " ..." });
        }
    }
    decoder.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use unstick_conformance::Kit;

    fn kit() -> Kit<Http2> {
        let ping = Http2Meta { kind: 6, flags: 1, stream: 0 };
        let data = Http2Meta { kind: 0, flags: 0xFF, stream: 0x7FFF_FFFF };
        let settings = Http2Meta { kind: 4, flags: 0, stream: 0 };
        Kit::new(framing(), [ping, data])
            // A receiver ignores the reserved bit, so a header has two forms.
            .not_canonical()
            .example(settings, b"\0\x03\0\0\0\x64", b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64")
            // Every byte of the length field in use.
            .example_header(data, 0x01_02_03, b"\x01\x02\x03\0\xFF\x7F\xFF\xFF\xFF")
    }

    unstick_conformance::conformance_tests!(http2, kit());

    #[test]
    fn the_reserved_bit_is_ignored() {
        let sent = b"\0\0\0\x04\0\x80\0\0\0";
        let frame = framing().split_frame(&mut &sent[..]);
        assert_eq!(frame.ok().flatten().map(|frame| frame.meta.stream), Some(0));
    }
}
