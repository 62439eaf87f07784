//! WebSocket (RFC 6455, section 5.2).
//!
//! | | |
//! | --- | --- |
//! | header | FIN, three reserved bits and the opcode (1 byte), mask bit and length (1, 3 or 9), masking key (0 or 4) |
//! | the length covers | the payload |
//! | max payload | 2^63 − 1; 125 for pings, pongs and closes |
//! | meta | opcode, FIN, reserved bits, masking key |
//! | refused | a reserved opcode; a fragmented ping, pong or close; a length in more bytes than it needs, or of 2^63 and more |
//! | left to the caller | that a client masks and a server does not; the 125 bytes of a ping; which reserved bits an extension defines; the order of fragments |
//!
//! The frames start after the blank line that ends the HTTP handshake.
//!
//! ```
//! use unstick_cookbook::websocket::{self, Opcode};
//!
//! // RFC 6455, section 5.7: "Hello" masked, then unmasked in two fragments.
//! let mut stream = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x01\x03Hel\x80\x02lo"[..];
//! let framing = websocket::framing();
//! let frame = framing.split_frame(&mut stream)?.expect("a whole frame");
//! let mut text = frame.payload.to_vec();
//! frame.meta.unmask(0, &mut text);
//! assert_eq!((frame.meta.opcode, frame.meta.fin, &text[..]), (Opcode::Text, true, &b"Hello"[..]));
//!
//! let first = framing.split_frame(&mut stream)?.expect("a whole frame");
//! assert_eq!((first.meta.opcode, first.meta.fin, first.payload), (Opcode::Text, false, &b"Hel"[..]));
//! let last = framing.split_frame(&mut stream)?.expect("a whole frame");
//! assert_eq!((last.meta.opcode, last.meta.fin), (Opcode::Continuation, true));
//! # Ok::<(), unstick::DecodeError>(())
//! ```

use core::fmt;

use unstick::{EncodeError, Format, Framing, Header, HeaderError, Parsed};

use super::Refusal;

/// Returns the format with a limit of 1 MiB. The protocol has no limit.
#[must_use]
pub fn framing() -> Framing<WebSocket> {
    Framing::new(WebSocket)
}

/// A frame's header: [`Meta`], and a length in the shortest of three forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WebSocket;

/// The header's fields other than the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// The type of the frame.
    pub opcode: Opcode,
    /// Whether the message ends with this frame.
    pub fin: bool,
    /// RSV1, RSV2 and RSV3 as a number from 0 to 7; RSV1 is 4. Zero unless an extension defines
    /// them.
    pub rsv: u8,
    /// The masking key of a client's frame; `None` in a server's frame.
    pub mask: Option<[u8; 4]>,
}

impl Meta {
    /// Creates the fields of an unmasked, unfragmented frame, as a server sends it.
    #[must_use]
    pub const fn new(opcode: Opcode) -> Self {
        Self { opcode, fin: true, rsv: 0, mask: None }
    }

    /// Masks or unmasks a part of the payload in place. `at` is the offset of the part in the
    /// payload. Does nothing if the frame has no masking key.
    pub fn unmask(&self, at: u64, part: &mut [u8]) {
        let Some(mask) = self.mask else { return };
        let mut key = u32::from_be_bytes(mask).rotate_left(8 * (at % 4) as u32);
        for byte in part {
            let [first, ..] = key.to_be_bytes();
            *byte ^= first;
            key = key.rotate_left(8);
        }
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.opcode {
            Opcode::Continuation => "continuation",
            Opcode::Text => "text",
            Opcode::Binary => "binary",
            Opcode::Close => "close",
            Opcode::Ping => "ping",
            Opcode::Pong => "pong",
        })?;
        if !self.fin {
            f.write_str(", more to come")?;
        }
        if self.rsv != 0 {
            write!(f, ", rsv {}", self.rsv)?;
        }
        if let Some(mask) = self.mask {
            write!(f, ", mask {:08x}", u32::from_be_bytes(mask))?;
        }
        Ok(())
    }
}

/// The type of a frame (RFC 6455, section 11.8). All other opcodes are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0,
    /// A message of UTF-8 text, or its first fragment.
    Text = 1,
    /// A message of arbitrary bytes, or its first fragment.
    Binary = 2,
    /// The last frame that a side sends.
    Close = 8,
    /// A request for a pong.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    const fn new(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Returns whether the frame is a close, ping or pong. Such a frame has at most 125 payload
    /// bytes, and may come between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// Values of the 7-bit length field that announce 2 or 8 further length bytes. Smaller values are
/// the length itself.
const TWO_MORE: u8 = 126;
const EIGHT_MORE: u8 = 127;

impl Format for WebSocket {
    type Meta = Meta;
    type HeaderBuf = [u8; 14];

    fn max_payload_len(&self) -> u64 {
        u64::MAX >> 1
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Meta>, HeaderError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(Parsed::Need(2)) };
        let opcode = Opcode::new(first & 0x0F).ok_or(Refusal::WebSocketOpcode)?;
        let (fin, rsv) = (first & 0x80 != 0, first >> 4 & 7);
        if opcode.is_control() && !fin {
            return Err(Refusal::WebSocketFragment.into());
        }
        let Some((&second, rest)) = rest.split_first() else { return Ok(Parsed::Need(2)) };
        let (width, least) = match second & 0x7F {
            TWO_MORE => (2, u64::from(TWO_MORE)),
            EIGHT_MORE => (8, 1 << 16),
            _ => (0, 0),
        };
        if width == 8 && rest.first().is_some_and(|byte| byte & 0x80 != 0) {
            return Err(Refusal::WebSocketTopBit.into());
        }
        // The maximum that the length can still become: missing bytes count as 0xFF.
        let mut long = 0;
        for i in 0..width {
            long = long << 8 | u64::from(*rest.get(i).unwrap_or(&0xFF));
        }
        if width > 0 && long < least {
            return Err(Refusal::WebSocketNotMinimal.into());
        }
        let payload_len = if width > 0 { long } else { u64::from(second & 0x7F) };
        let masked = second & 0x80 != 0;
        let header_len = 2 + width + if masked { 4 } else { 0 };
        let Some(key) = bytes.get(2 + width..header_len) else {
            return Ok(Parsed::Need(header_len));
        };
        let mask = key.first_chunk().copied(); // empty if there is no key
        let meta = Meta { opcode, fin, rsv, mask };
        Ok(Parsed::Header(Header { meta, payload_len, header_len }))
    }

    fn encode_header(
        &self,
        meta: &Meta,
        len: u64,
        out: &mut [u8; 14],
    ) -> Result<usize, EncodeError> {
        let limit = self.max_payload_len();
        if len > limit {
            return Err(EncodeError::Oversize { len, limit });
        }
        let Meta { opcode, fin, rsv, mask } = *meta;
        if rsv > 7 || (opcode.is_control() && !fin) {
            return Err(EncodeError::Meta);
        }
        let (code, width) = match u8::try_from(len) {
            Ok(len) if len < TWO_MORE => (len, 0),
            _ if len < 1 << 16 => (TWO_MORE, 2),
            _ => (EIGHT_MORE, 8),
        };
        let first = u8::from(fin) << 7 | rsv << 4 | opcode as u8;
        let second = u8::from(mask.is_some()) << 7 | code;
        let long = len.to_be_bytes();
        let (mask, masked) = (mask.unwrap_or_default(), if mask.is_some() { 4 } else { 0 });
        let [b0, b1, rest @ ..] = out;
        (*b0, *b1) = (first, second);
        copy(rest, long.get(8 - width..).unwrap_or_default());
        copy(rest.get_mut(width..).unwrap_or_default(), &mask);
        Ok(2 + width + masked)
    }
}

/// Copies `from` to the beginning of `to`, as much as fits. Unlike `copy_from_slice` it has no panic
/// for unequal lengths.
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
