//! What is measured: payload sizes, chunks, and the streams made of them.

use std::cell::OnceCell;

use unstick::{
    ByteOrder, Covers, Format, Framing, I32Be, Kind, Layout, LengthField, U8, U16Be, U24Be, U32Be,
    U32Le, U64Be, V1, Varint,
};

/// A stream that stays in the cache has about this many bytes.
const HOT_LEN: usize = 256 * 1024;
/// A stream that does not.
const COLD_LEN: usize = 64 * 1024 * 1024;
/// A hot stream has no more frames, so that 1-byte chunks and empty payloads end in time.
const MOST_HOT_FRAMES: usize = 16 * 1024;
/// No frame here is larger; every contender's limit.
pub const LIMIT: usize = 64 * 1024 * 1024;

/// The payload sizes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// All frames are equally long.
    Fixed(usize),
    /// Half of them below 128 bytes, a third below 1 KiB, some up to 16 KiB, a few up to 64 KiB.
    Mix,
}

/// The payload sizes that decoding and encoding are measured with.
pub const PAYLOADS: [Payload; 8] = [
    Payload::Fixed(0),
    Payload::Fixed(16),
    Payload::Fixed(64),
    Payload::Fixed(256),
    Payload::Fixed(1024),
    Payload::Fixed(16 * 1024),
    Payload::Fixed(64 * 1024),
    Payload::Mix,
];

/// The payload sizes that decoding from memory is measured with. Without the empty ones: their
/// 16 million frames would take longer than all the others, and are one header after another.
#[must_use]
pub fn cold_payloads() -> &'static [Payload] {
    &PAYLOADS[1..]
}

impl Payload {
    /// Its part of a case's name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Fixed(len) => bytes_name(len),
            Self::Mix => "mix".into(),
        }
    }

    /// The payload lengths of a stream of about `total` bytes.
    fn lens(self, total: usize, most_frames: usize) -> Vec<usize> {
        match self {
            Self::Fixed(len) => vec![len; (total / (len + 4)).clamp(4, most_frames)],
            Self::Mix => {
                let (mut random, mut lens, mut sum) = (Random(1), Vec::new(), 0);
                while sum < total && lens.len() < most_frames {
                    let (least, most) = match random.below(100) {
                        0..50 => (16, 128),
                        50..85 => (128, 1024),
                        85..98 => (1024, 16 * 1024),
                        _ => (16 * 1024, 64 * 1024),
                    };
                    let len = least + random.below(most - least);
                    sum += len + 4;
                    lens.push(len);
                }
                lens
            }
        }
    }
}

/// How the stream arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk(pub usize);

/// Everything at once.
pub const WHOLE: Chunk = Chunk(usize::MAX);
/// The chunk sizes that decoding is measured with.
pub const CHUNKS: [Chunk; 5] = [WHOLE, Chunk(64 * 1024), Chunk(1460), Chunk(17), Chunk(1)];

impl Chunk {
    /// Its part of a case's name.
    #[must_use]
    pub fn name(self) -> String {
        if self == WHOLE { "whole".into() } else { format!("chunk-{}", bytes_name(self.0)) }
    }
}

/// `64B`, `1KiB`, `1460B`, `64MiB`.
#[must_use]
pub fn bytes_name(len: usize) -> String {
    match len {
        1.. if len.is_multiple_of(1 << 20) => format!("{}MiB", len >> 20),
        1.. if len.is_multiple_of(1 << 10) => format!("{}KiB", len >> 10),
        _ => format!("{len}B"),
    }
}

/// The frames of a case, and the streams that carry them, each made when it is first asked for.
#[derive(Debug)]
pub struct Frames {
    /// The frames' payload lengths.
    pub lens: Vec<usize>,
    noise: Vec<u8>,
    wires: [OnceCell<Vec<u8>>; 10],
}

impl Frames {
    /// Frames for a stream that stays in the cache.
    #[must_use]
    pub fn hot(payload: Payload) -> Self {
        Self::new(payload.lens(HOT_LEN, MOST_HOT_FRAMES))
    }

    /// Frames for a stream of 64 MiB, which does not.
    #[must_use]
    pub fn cold(payload: Payload) -> Self {
        Self::new(payload.lens(COLD_LEN, usize::MAX))
    }

    /// Frames with these payload lengths.
    #[must_use]
    pub fn new(lens: Vec<usize>) -> Self {
        let most = lens.iter().copied().max().unwrap_or(0);
        let mut random = Random(2);
        let noise = (0..most + 64).map(|_| random.byte()).collect();
        Self { lens, noise, wires: Default::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lens.len()
    }

    /// The payload of frame `i`.
    #[must_use]
    pub fn payload(&self, i: usize) -> &[u8] {
        let start = i % 61;
        &self.noise[start..start + self.lens[i]]
    }

    /// All payloads, in order.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count()).map(|i| self.payload(i))
    }

    /// The stream of these frames in a format.
    #[must_use]
    pub fn wire<F: BenchFormat>(&self) -> &[u8] {
        self.wires[F::INDEX].get_or_init(|| {
            let framing = framing::<F>();
            let mut wire = Vec::new();
            for payload in self.payloads() {
                framing.encode(F::meta(), payload, &mut wire).unwrap();
            }
            wire
        })
    }
}

/// A format that is measured.
pub trait BenchFormat: Format + Unpin + 'static {
    /// Where [`Frames`] keeps its stream.
    const INDEX: usize;
    /// The format.
    fn format() -> Self;
    /// What every frame's header says beside the length.
    fn meta() -> Self::Meta;
}

/// The format with the limit that every contender has.
#[must_use]
pub fn framing<F: BenchFormat>() -> Framing<F> {
    Framing::new(F::format()).with_limit(LIMIT as u64)
}

macro_rules! formats {
    ($($index:literal: $name:ident, $format:expr, $meta:expr;)+) => {
        $(impl BenchFormat for $name {
            const INDEX: usize = $index;
            fn format() -> Self {
                $format
            }
            fn meta() -> Self::Meta {
                $meta
            }
        })+
    };
}

formats! {
    0: U32Be, U32Be, ();
    1: V1, V1, Kind::BINARY;
    2: U8, U8, ();
    3: U16Be, U16Be, ();
    4: U24Be, U24Be, ();
    5: U32Le, U32Le, ();
    6: U64Be, U64Be, ();
    7: I32Be, I32Be, ();
    8: Varint, Varint, ();
    9: LengthField, length_field(), length_field().meta(&[0; 4]).unwrap();
}

/// The same header as the 32-bit prefix, described at run time.
fn length_field() -> LengthField {
    let layout = Layout {
        header_len: 4,
        offset: 0,
        width: 4,
        order: ByteOrder::Big,
        covers: Covers::Payload,
    };
    LengthField::new(layout).unwrap()
}

/// Numbers that look random and are the same in every run (xorshift).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
