//! Every format that ships, and streams in them.

use unstick::{
    ByteOrder, Covers, Decoder, FrameBuf, Framing, Kind, Layout, LengthField, LimitedBy,
    RecoverError, Storage, V1,
};
use unstick_conformance::Driver;

use super::chunks::Subject;
use super::oracle::{Rules, Verdict};

/// Calls a generic function with every format, and with as many layouts of `LengthField`.
#[macro_export]
macro_rules! every_format {
    ($layouts:expr, $function:ident $(, $arg:expr)* $(,)?) => {{
        unstick::for_each_format!($crate::every_format, @ $function, [$($arg),*],);
        for layout in $layouts {
            $function(&unstick::LengthField::new(layout).unwrap() $(, $arg)*);
        }
    }};
    (@ $function:ident, $args:tt, $($format:ident = $name:literal, $max_header_len:literal;)+) => {
        $($crate::every_format!(@@ $function, $args, $format);)+
    };
    (@@ $function:ident, [$($arg:expr),*], $format:ident) => {
        $function(&unstick::$format $(, $arg)*)
    };
}
pub use every_format;

pub const ORDERS: [ByteOrder; 2] = [ByteOrder::Big, ByteOrder::Little];
pub const COVERS: [Covers; 3] = [Covers::Payload, Covers::AfterField, Covers::Frame];

/// Every width, byte order and cover, the field at the header's front, end or middle.
pub fn layouts() -> Vec<Layout> {
    let mut all = Vec::new();
    for width in 1..=8 {
        for order in ORDERS {
            for covers in COVERS {
                let (offset, behind) = match all.len() % 4 {
                    0 => (0, 0),
                    1 => (0, 2),
                    2 => (1, 0),
                    _ => (2, 1),
                };
                let header_len = offset + width + behind;
                all.push(Layout { header_len, offset, width, order, covers });
            }
        }
    }
    all
}

/// A few of them, for tests whose cases are many.
pub fn some_layouts() -> Vec<Layout> {
    let chosen = [(1, 0, 1), (3, 1, 1), (4, 1, 2), (3, 0, 3), (10, 2, 8), (32, 5, 4)];
    let of = |i: usize, (header_len, offset, width)| {
        let (order, covers) = (ORDERS[i % 2], COVERS[i % 3]);
        Layout { header_len, offset, width, order, covers }
    };
    chosen.into_iter().enumerate().map(|(i, layout)| of(i, layout)).collect()
}

/// One layout from a number.
pub fn layout(seed: u64) -> LengthField {
    let pick = |by: u64, below: usize| (seed / by) as usize % below;
    let width = 1 + pick(1, 8);
    let header_len = width + pick(8, 33 - width);
    let offset = pick(256, header_len - width + 1);
    let (order, covers) = (ORDERS[pick(8192, 2)], COVERS[pick(16_384, 3)]);
    LengthField::new(Layout { header_len, offset, width, order, covers }).unwrap()
}

/// A part of a made-up stream.
#[derive(Clone, Debug)]
pub enum Part {
    Frame {
        meta: u64,
        len: u64,
        fill: u8,
    },
    /// A header that announces more than there is behind it.
    Header {
        meta: u64,
        len: u64,
        keep: usize,
    },
    Bytes(Vec<u8>),
    /// One bit of what is there so far is changed.
    Flip {
        back: usize,
        bit: u8,
    },
    /// One byte of what is there so far is lost.
    Lose {
        back: usize,
    },
}

/// The bytes of such a stream in one format, written by the oracle.
pub fn stream<F: Subject>(format: &F, parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let header = |meta: u64, len: u64| {
            let meta = F::describe(&format.pick_meta(meta));
            Rules::write(format, &meta, len.min(Rules::most(format))).unwrap()
        };
        match part {
            Part::Frame { meta, len, fill } => {
                let len = (*len).min(Rules::most(format));
                out.extend(header(*meta, len));
                out.extend((0..len).map(|i| fill.wrapping_add(i as u8)));
            }
            Part::Header { meta, len, keep } => {
                let header = header(*meta, *len);
                out.extend(&header[..header.len().min(*keep)]);
            }
            Part::Bytes(bytes) => out.extend(bytes),
            Part::Flip { back, bit } => {
                if let Some(i) = out.len().checked_sub(back + 1) {
                    out[i] ^= 1 << (bit % 8);
                }
            }
            Part::Lose { back } => {
                if let Some(i) = out.len().checked_sub(back + 1) {
                    out.remove(i);
                }
            }
        }
    }
    out
}

/// Version 1 with limits that depend on the kind.
pub type ByKind = LimitedBy<V1, fn(&Kind) -> u64>;

/// The kinds in turn have a limit of no byte, of 3, of 9, and none.
pub fn by_kind() -> ByKind {
    LimitedBy::new(V1, |kind| kind_limit(kind.get()))
}

fn kind_limit(kind: u8) -> u64 {
    [0, 3, 9, u64::MAX][usize::from(kind) % 4]
}

impl Rules for ByKind {
    fn header(&self, bytes: &[u8]) -> Verdict {
        Rules::header(&V1, bytes)
    }

    fn write(&self, meta: &[u8], payload_len: u64) -> Option<Vec<u8>> {
        V1.write(meta, payload_len)
    }

    fn most(&self) -> u64 {
        V1.most()
    }

    fn limit_by_meta(&self, meta: &[u8]) -> u64 {
        kind_limit(meta[0])
    }

    fn self_checking(&self) -> bool {
        true
    }
}

impl Subject for ByKind {
    fn describe(kind: &Kind) -> Vec<u8> {
        V1::describe(kind)
    }

    fn pick_meta(&self, seed: u64) -> Kind {
        V1.pick_meta(seed)
    }

    fn driver(framing: &Framing<Self>) -> Driver<'_, Self> {
        Driver::self_checking(framing)
    }

    fn resync(decoder: &mut Decoder<Self>, input: &mut &[u8]) -> Result<Option<u64>, RecoverError> {
        decoder.resync(input)
    }

    fn resync_buf<S: Storage>(buf: &mut FrameBuf<S, Self>) -> Result<Option<u64>, RecoverError> {
        buf.resync()
    }

    fn resync_codec(codec: &mut unstick::codec::FrameCodec<Self>) -> Result<(), RecoverError> {
        codec.resync()
    }
}
