//! What the specification says of a stream, computed the slowest way: over the whole stream in one
//! slice, trying one more byte at a time. It shares no code with the crate, only the types
//! that say what came out: the error values and [`Outcome`].

pub mod families;
pub mod marks;
pub mod sums;

use unstick::{
    ByteOrder, Covers, DatagramError, DecodeError, HeaderError, I32Be, I32Le, LengthField, Part,
    U8, U16Be, U16Le, U24Be, U24Le, U32Be, U32Le, U64Be, U64Le, V1, Varint,
};
pub use unstick_conformance::Policy;

/// No payload is longer, whatever the limit.
pub const CAP: u64 = (1 << 62) - 1;

/// What the beginning of a header says.
pub enum Verdict {
    /// At least so many more bytes belong to it.
    More(u64),
    Refused(HeaderError),
    Header {
        meta: Vec<u8>,
        payload_len: u64,
    },
}

/// A format as the specification describes it.
pub trait Rules {
    /// What exactly these bytes are; no shorter beginning of them was a header or refused.
    fn header(&self, bytes: &[u8]) -> Verdict;

    /// The one header for this meta and length; `None` if there is none.
    fn write(&self, meta: &[u8], payload_len: u64) -> Option<Vec<u8>>;

    /// The greatest length that the field can say.
    fn most(&self) -> u64;

    /// The limit of the frames with this meta, next to that of the receiver.
    fn limit_by_meta(&self, meta: &[u8]) -> u64 {
        let _ = meta;
        CAP
    }

    /// The length of the shortest header.
    fn shortest(&self) -> usize {
        1
    }

    /// Whether a search is allowed.
    fn self_checking(&self) -> bool {
        false
    }
}

/// What a receiver reports, with the meta as bytes.
pub type Outcome = unstick_conformance::Outcome<Vec<u8>>;

/// The shortest beginning of `bytes` that is decided, and as what.
enum Decided {
    Not { missing: u64 },
    Refused { len: usize, error: HeaderError },
    Oversize { len: usize, payload_len: u64, limit: u64 },
    Header { len: usize, meta: Vec<u8>, payload_len: u64 },
}

fn decide(rules: &(impl Rules + ?Sized), limit: u64, bytes: &[u8]) -> Decided {
    let mut missing = 0;
    for len in rules.shortest()..=bytes.len() {
        match rules.header(&bytes[..len]) {
            Verdict::More(more) => missing = more,
            Verdict::Refused(error) => return Decided::Refused { len, error },
            Verdict::Header { meta, payload_len } => {
                let limit = limit.min(rules.limit_by_meta(&meta));
                if payload_len > limit {
                    return Decided::Oversize { len, payload_len, limit };
                }
                return Decided::Header { len, meta, payload_len };
            }
        }
    }
    Decided::Not { missing }
}

/// All that a receiver with this limit reports of a stream.
pub fn outcomes(
    rules: &impl Rules,
    limit: u64,
    stream: &[u8],
    policy: Policy,
) -> (u64, Vec<Outcome>) {
    let limit = limit.min(rules.most()).min(CAP);
    let mut out = Vec::new();
    report(rules, limit, stream, policy, &mut out);
    (limit, out)
}

fn report(rules: &impl Rules, limit: u64, stream: &[u8], policy: Policy, out: &mut Vec<Outcome>) {
    let end = stream.len() as u64;
    let truncated = |missing, part| Outcome::Error {
        error: DecodeError::Truncated { at: end, missing, part },
        position: end,
    };
    let mut start = 0;
    loop {
        let at = start as u64;
        let bytes = &stream[start..];
        if bytes.is_empty() {
            return out.push(Outcome::End);
        }
        let (error, refused) = match decide(rules, limit, bytes) {
            Decided::Not { missing } => return out.push(truncated(missing, Part::Header)),
            Decided::Header { len, meta, payload_len } => {
                let (header, body) = bytes.split_at(len);
                let header = header.to_vec();
                let arrived = body.len() as u64;
                if arrived < payload_len {
                    out.push(Outcome::Begun { at, meta, header, payload: body.to_vec() });
                    return out.push(truncated(payload_len - arrived, Part::Payload));
                }
                let payload_len = usize::try_from(payload_len).unwrap();
                let payload = body[..payload_len].to_vec();
                out.push(Outcome::Frame { at, meta, header, payload });
                start += len + payload_len;
                continue;
            }
            Decided::Oversize { len, payload_len, limit } => {
                (DecodeError::Oversize { at, len: payload_len, limit }, len)
            }
            Decided::Refused { len, error } => (DecodeError::Header { at, error }, len),
        };
        let behind = start + refused;
        out.push(Outcome::Error { error, position: behind as u64 });

        let oversize = match error {
            DecodeError::Oversize { len, .. } if policy.skip => Some(len),
            _ => None,
        };
        if let Some(len) = oversize {
            let arrived = end - behind as u64;
            if arrived < len {
                return out.push(truncated(len - arrived, Part::Payload));
            }
            start = behind + usize::try_from(len).unwrap();
        } else if policy.resync && rules.self_checking() {
            let is_header = |from: &usize| {
                matches!(decide(rules, limit, &stream[*from..]), Decided::Header { .. })
            };
            let Some(found) = (start + 1..stream.len()).find(is_header) else {
                let error = DecodeError::Unsynchronized { at: end, skipped: end - at };
                return out.push(Outcome::Error { error, position: end });
            };
            out.push(Outcome::Found { skipped: (found - start) as u64 });
            start = found;
        } else {
            return;
        }
    }
}

/// The kinds and payloads of a datagram's frames.
pub type Frames = Vec<(u8, Vec<u8>)>;

/// What a receiver that knows these kinds, as far as they are applications', makes of a datagram. Chapter 8, by the
/// letter: the rules of streams for the structure, then the tables for the kinds.
pub fn datagram(limit: u64, bytes: &[u8], known: &[u8]) -> Result<Frames, DatagramError> {
    if bytes.is_empty() {
        return Err(DatagramError::Empty);
    }
    let (_, outcomes) = outcomes(&V1, limit, bytes, Policy::STOP);
    for outcome in &outcomes {
        if let Outcome::Error { error, .. } = outcome {
            return Err(DatagramError::Malformed(*error));
        }
    }
    let mut delivered = Vec::new();
    for outcome in outcomes {
        let Outcome::Frame { at, meta, payload, .. } = outcome else { continue };
        let kind = meta[0];
        match kind {
            0x05 | 0x10..=0x14 | 0x80 => return Err(DatagramError::MisplacedKind { at, kind }),
            0x01..=0x04 => delivered.push((kind, payload)),
            0x40..=0x7F | 0xC0..=0xFF if known.contains(&kind) => delivered.push((kind, payload)),
            0x00..=0x7F => return Err(DatagramError::UnknownKind { at, kind }),
            _ => {}
        }
    }
    Ok(delivered)
}

/// The pseudo-code of chapter 4.
pub fn check(bytes: &[u8]) -> u8 {
    let mut r = 0xFF_u8;
    for b in bytes {
        r ^= b;
        for _ in 0..8 {
            r = if r & 0x80 != 0 { (r << 1) ^ 0x2F } else { r << 1 };
        }
    }
    r ^ 0xFF
}

impl Rules for V1 {
    fn header(&self, bytes: &[u8]) -> Verdict {
        let newest = bytes[bytes.len() - 1];
        match bytes.len() {
            1 if newest != 0xF5 => Verdict::Refused(HeaderError::BadMagic { found: newest }),
            2 if newest != 0x01 => {
                Verdict::Refused(HeaderError::UnsupportedVersion { found: newest, supported: 1 })
            }
            3 if newest == 0x00 => Verdict::Refused(HeaderError::InvalidKind),
            8 if newest != check(&bytes[..7]) => Verdict::Refused(HeaderError::BadCheck {
                found: newest,
                expected: check(&bytes[..7]),
            }),
            8 => Verdict::Header {
                meta: vec![bytes[2]],
                payload_len: number(bytes[3..7].iter().copied()),
            },
            arrived => Verdict::More(8 - arrived as u64),
        }
    }

    fn write(&self, meta: &[u8], payload_len: u64) -> Option<Vec<u8>> {
        let len = u32::try_from(payload_len).ok()?;
        let mut header = vec![0xF5, 0x01, meta[0]];
        header.extend((0..4).rev().map(|i| (len >> (8 * i) & 0xFF) as u8));
        header.push(check(&header));
        Some(header)
    }

    fn most(&self) -> u64 {
        0xFFFF_FFFF
    }

    fn self_checking(&self) -> bool {
        true
    }
}

/// An integer from its most significant byte on.
fn number(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0, |value, byte| value * 256 + u64::from(byte))
}

fn digits(value: u64, width: usize, little: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..width).map(|i| (value >> (8 * i) & 0xFF) as u8).collect();
    if !little {
        bytes.reverse();
    }
    bytes
}

fn read(field: &[u8], little: bool) -> u64 {
    if little { number(field.iter().rev().copied()) } else { number(field.iter().copied()) }
}

fn greatest(width: usize) -> u64 {
    (0..width).fold(0, |most, _| most << 8 | 0xFF)
}

macro_rules! prefix {
    ($($name:ident: $width:literal, little: $little:literal, signed: $signed:literal;)+) => {$(
        impl Rules for $name {
            fn header(&self, bytes: &[u8]) -> Verdict {
                let newest = bytes[bytes.len() - 1];
                let sign_byte = if $little { $width } else { 1 };
                if $signed && bytes.len() == sign_byte && newest >= 0x80 {
                    // The greatest, if the bytes after the sign have yet to arrive.
                    let mut all = bytes.to_vec();
                    all.resize($width, 0xFF);
                    let max = read(&all, $little) as i64 - (1 << 32);
                    return Verdict::Refused(HeaderError::NegativeLength { found: newest, max });
                }
                if bytes.len() < $width {
                    return Verdict::More($width - bytes.len() as u64);
                }
                Verdict::Header { meta: Vec::new(), payload_len: read(bytes, $little) }
            }

            fn write(&self, _: &[u8], payload_len: u64) -> Option<Vec<u8>> {
                (payload_len <= self.most()).then(|| digits(payload_len, $width, $little))
            }

            fn most(&self) -> u64 {
                if $signed { greatest($width) / 2 } else { greatest($width) }
            }
        }
    )+};
}

prefix! {
    U8: 1, little: false, signed: false;
    U16Be: 2, little: false, signed: false;
    U16Le: 2, little: true, signed: false;
    U24Be: 3, little: false, signed: false;
    U24Le: 3, little: true, signed: false;
    U32Be: 4, little: false, signed: false;
    U32Le: 4, little: true, signed: false;
    U64Be: 8, little: false, signed: false;
    U64Le: 8, little: true, signed: false;
    I32Be: 4, little: false, signed: true;
    I32Le: 4, little: true, signed: true;
}

impl Rules for Varint {
    fn header(&self, bytes: &[u8]) -> Verdict {
        let newest = bytes[bytes.len() - 1];
        if bytes.len() == 10 && newest > 1 {
            return Verdict::Refused(HeaderError::VarintOverflow { found: newest });
        }
        if newest >= 0x80 {
            return Verdict::More(1);
        }
        if newest == 0 && bytes.len() > 1 {
            return Verdict::Refused(HeaderError::OverlongVarint);
        }
        let payload_len =
            bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7F));
        Verdict::Header { meta: Vec::new(), payload_len }
    }

    fn write(&self, _: &[u8], payload_len: u64) -> Option<Vec<u8>> {
        let groups = (1..=10).find(|n| *n == 10 || payload_len >> (7 * n) == 0)?;
        let group = |i: usize| (payload_len >> (7 * i) & 0x7F) as u8;
        let more = |i: usize| if i + 1 < groups { 0x80 } else { 0 };
        Some((0..groups).map(|i| group(i) | more(i)).collect())
    }

    fn most(&self) -> u64 {
        u64::MAX
    }
}

/// The table of A.4: how many of the header's bytes the length counts.
fn counted(format: &LengthField) -> u64 {
    let layout = format.layout();
    match layout.covers {
        Covers::Payload => 0,
        Covers::AfterField => (layout.header_len - (layout.offset + layout.width)) as u64,
        Covers::Frame => layout.header_len as u64,
    }
}

impl Rules for LengthField {
    fn header(&self, bytes: &[u8]) -> Verdict {
        let layout = self.layout();
        let (from, to) = (layout.offset, layout.offset + layout.width);
        let missing = (layout.header_len - bytes.len()) as u64;
        if bytes.len() < to {
            return Verdict::More(missing);
        }
        let found = read(&bytes[from..to], layout.order == ByteOrder::Little);
        let least = counted(self);
        if found < least {
            return Verdict::Refused(HeaderError::LengthTooShort { found, min: least });
        }
        if missing > 0 {
            return Verdict::More(missing);
        }
        let mut meta = bytes.to_vec();
        meta[from..to].fill(0);
        Verdict::Header { meta, payload_len: found - least }
    }

    fn write(&self, meta: &[u8], payload_len: u64) -> Option<Vec<u8>> {
        let layout = self.layout();
        if payload_len > self.most() {
            return None;
        }
        let field =
            digits(payload_len + counted(self), layout.width, layout.order == ByteOrder::Little);
        let mut header = meta.to_vec();
        header[layout.offset..layout.offset + layout.width].copy_from_slice(&field);
        Some(header)
    }

    fn most(&self) -> u64 {
        greatest(self.layout().width) - counted(self)
    }
}
