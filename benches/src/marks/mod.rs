//! The framings whose frames end at a mark or have a check after them, beside who else decodes and
//! encodes them.
//!
//! A contender takes all frames of a case once in a pass. Before it is timed it runs once with counts
//! in place of `black_box`, which have to be right: the sum of all payload bytes, or of all bytes that
//! an encoder wrote.

mod decode;
mod encode;

use unstick::{AnyDelimiter, Cobs, Delimited, Framing, Hdlc, Lines, Slip, Wire};
use unstick_cookbook::{mavlink, ubx};

use crate::case::{LIMIT, Random, bytes_name};
use crate::decode::{Counted, Pass, Sink, Timed};

/// A stream has about this many payload bytes, and stays in the cache.
const STREAM_LEN: usize = 256 * 1024;
/// The chunks that a stream arrives in, if a family has no others.
const CHUNK: usize = 64 * 1024;

/// What payloads consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All bytes but line feeds are printable.
    Text,
    /// All byte values, equally often.
    Random,
    /// Zeros.
    Zeros,
    /// As integers have them: the last of each four bytes is zero.
    Sparse,
    /// Bytes that SLIP or HDLC escape, half of them each.
    Escapes([u8; 2]),
}

impl Content {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Random => "random",
            Self::Zeros => "zeros",
            Self::Sparse => "sparse",
            Self::Escapes(_) => "escapes",
        }
    }

    fn payload(self, len: usize, random: &mut Random) -> Vec<u8> {
        let byte = |i: usize| match self {
            Self::Text => b' ' + random.byte() % 26 * 3,
            Self::Random => random.byte(),
            Self::Zeros => 0,
            Self::Sparse => [random.byte(), 0][usize::from(i % 4 == 3)],
            Self::Escapes(bytes) => bytes[usize::from(random.byte() >> 7)],
        };
        (0..len).map(byte).collect()
    }
}

/// The payloads of a case, and the stream that carries them.
#[derive(Debug)]
pub struct Stream {
    payloads: Vec<Vec<u8>>,
    wire: Vec<u8>,
    chunk: usize,
    frames: fn(&[Vec<u8>]) -> Vec<u8>,
}

impl Stream {
    /// How many frames there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.payloads.len()
    }

    /// The stream in chunks.
    fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.wire.chunks(self.chunk)
    }

    /// The length of the longest payload.
    fn longest(&self) -> usize {
        self.payloads.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn counted(&self, way: Way) -> Counted {
        let mut counted = Counted::default();
        for payload in &self.payloads {
            match way {
                Way::Decode => counted.bytes(payload),
                Way::Encode => counted.bytes(&(self.frames)(std::slice::from_ref(payload))),
            }
            counted.end();
        }
        counted
    }
}

/// Someone who decodes or encodes.
#[derive(Clone, Copy)]
pub struct Contender {
    /// The last part of the case's name.
    pub name: &'static str,
    timed: for<'a> fn(&'a Stream) -> Pass<'a, Timed>,
    counted: for<'a> fn(&'a Stream) -> Pass<'a, Counted>,
}

impl std::fmt::Debug for Contender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Decode,
    Encode,
}

/// Contenders of the same framing, and what they are measured with.
#[derive(Debug)]
struct Family {
    name: &'static str,
    way: Way,
    contents: &'static [Content],
    lens: &'static [usize],
    chunk: usize,
    frames: fn(&[Vec<u8>]) -> Vec<u8>,
    /// What the stream begins with, before the first frame.
    before: &'static [u8],
    contenders: &'static [Contender],
}

/// What contenders are compared in.
#[derive(Debug)]
pub struct Case {
    /// Its name: `lines/text-64B`.
    pub name: String,
    family: &'static Family,
    content: Content,
    len: usize,
}

impl Case {
    /// Its payloads, and the stream of them.
    #[must_use]
    pub fn stream(&self) -> Stream {
        let Family { frames, chunk, before, .. } = *self.family;
        let (mut random, count) = (Random(7), (STREAM_LEN / (self.len + 2)).max(1));
        let payloads: Vec<_> =
            (0..count).map(|_| self.content.payload(self.len, &mut random)).collect();
        let wire = [before, &frames(&payloads)].concat();
        Stream { payloads, wire, chunk, frames }
    }

    /// Returns the contenders; `unstick` is the first.
    #[must_use]
    pub fn contenders(&self) -> &'static [Contender] {
        self.family.contenders
    }

    /// A contender at work, after a look at what it finds or writes.
    ///
    /// # Panics
    /// It found or wrote something else.
    #[must_use]
    pub fn start<'a>(&self, contender: &Contender, stream: &'a Stream) -> Pass<'a, Timed> {
        let mut found = Counted::default();
        (contender.counted)(stream)(&mut found);
        let expected = stream.counted(self.family.way);
        assert_eq!(found, expected, "{} in {}", contender.name, self.name);
        (contender.timed)(stream)
    }
}

/// All cases.
pub fn cases() -> impl Iterator<Item = Case> {
    FAMILIES.iter().flat_map(|family| {
        family.contents.iter().flat_map(move |&content| {
            family.lens.iter().map(move |&len| Case {
                name: format!("{}/{}-{}", family.name, content.name(), bytes_name(len)),
                family,
                content,
                len,
            })
        })
    })
}

/// The framing with the limit that every contender has.
fn limited<W: Wire>(wire: W) -> Framing<W> {
    Framing::new(wire).with_limit(LIMIT as u64)
}

fn frames_of<W: Wire>(framing: &Framing<W>, meta: &W::Meta, payloads: &[Vec<u8>]) -> Vec<u8>
where
    W::Meta: Clone,
{
    let mut wire = Vec::new();
    for payload in payloads {
        framing.encode(meta.clone(), payload, &mut wire).unwrap();
    }
    wire
}

/// A position report of UBX.
const UBX_META: ubx::Meta = ubx::Meta { class: 1, id: 7 };
/// A position report of MAVLink.
const MAVLINK_META: mavlink::Meta = mavlink::Meta {
    version: mavlink::Version::V2,
    compatibility: 0,
    sequence: 1,
    system: 1,
    component: 1,
    message: 33,
};

const SLIP_ESCAPES: Content = Content::Escapes([0xC0, 0xDB]);
const HDLC_ESCAPES: Content = Content::Escapes([0x7E, 0x7D]);

static FAMILIES: [Family; 14] = [
    Family {
        name: "lines",
        way: Way::Decode,
        contents: &[Content::Text],
        lens: &[16, 64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Lines::new()), &(), payloads),
        before: &[],
        contenders: &decode::LINES,
    },
    Family {
        name: "lines-bytewise",
        way: Way::Decode,
        contents: &[Content::Text],
        lens: &[64 << 10, 1 << 20],
        chunk: 1,
        frames: |payloads| frames_of(&limited(Lines::new()), &(), payloads),
        before: &[],
        contenders: &decode::LINES_BYTEWISE,
    },
    Family {
        name: "crlf",
        way: Way::Decode,
        contents: &[Content::Text],
        lens: &[16, 64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Delimited::new(b"\r\n")), &(), payloads),
        before: &[],
        contenders: &decode::CRLF,
    },
    Family {
        name: "any-delimiter",
        way: Way::Decode,
        contents: &[Content::Text],
        lens: &[16, 64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(AnyDelimiter::new(b"\n\0")), &(), payloads),
        before: &[],
        contenders: &decode::ANY_DELIMITER,
    },
    Family {
        name: "cobs",
        way: Way::Decode,
        contents: &[Content::Random, Content::Sparse, Content::Zeros],
        lens: &[16, 64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Cobs), &(), payloads),
        before: &[],
        contenders: &decode::COBS,
    },
    Family {
        name: "slip",
        way: Way::Decode,
        contents: &[Content::Random, Content::Text, SLIP_ESCAPES],
        lens: &[64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Slip::new()), &(), payloads),
        before: b"\xC0",
        contenders: &decode::SLIP,
    },
    Family {
        name: "hdlc",
        way: Way::Decode,
        contents: &[Content::Random, Content::Text, HDLC_ESCAPES],
        lens: &[64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Hdlc::new()), &(), payloads),
        before: &[],
        contenders: &decode::HDLC,
    },
    Family {
        name: "ubx",
        way: Way::Decode,
        contents: &[Content::Random],
        lens: &[16, 64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&ubx::framing(), &UBX_META, payloads),
        before: &[],
        contenders: &decode::UBX,
    },
    Family {
        name: "mavlink",
        way: Way::Decode,
        contents: &[Content::Random],
        lens: &[16, 64, 255],
        chunk: CHUNK,
        frames: |payloads| frames_of(&mavlink::common_framing(), &MAVLINK_META, payloads),
        before: &[],
        contenders: &decode::MAVLINK,
    },
    Family {
        name: "encode-lines",
        way: Way::Encode,
        contents: &[Content::Text],
        lens: &[64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Lines::new()), &(), payloads),
        before: &[],
        contenders: &encode::LINES,
    },
    Family {
        name: "encode-cobs",
        way: Way::Encode,
        contents: &[Content::Random, Content::Sparse, Content::Zeros],
        lens: &[64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Cobs), &(), payloads),
        before: &[],
        contenders: &encode::COBS,
    },
    Family {
        name: "encode-slip",
        way: Way::Encode,
        contents: &[Content::Random, Content::Text, SLIP_ESCAPES],
        lens: &[1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Slip::new().with_leading_end()), &(), payloads),
        before: &[],
        contenders: &encode::SLIP,
    },
    Family {
        name: "encode-hdlc",
        way: Way::Encode,
        contents: &[Content::Random, Content::Text, HDLC_ESCAPES],
        lens: &[1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&limited(Hdlc::new()), &(), payloads),
        before: &[],
        contenders: &encode::HDLC,
    },
    Family {
        name: "encode-ubx",
        way: Way::Encode,
        contents: &[Content::Random],
        lens: &[64, 1024],
        chunk: CHUNK,
        frames: |payloads| frames_of(&ubx::framing(), &UBX_META, payloads),
        before: &[],
        contenders: &encode::UBX,
    },
];

/// A contender in modules of its own, as in [`crate::decode`]: what the compiler inlines does not
/// depend on who else takes part.
macro_rules! contender {
    ($module:ident, $run:ident $(, $argument:expr)*) => {
        mod $module {
            pub(super) mod timed {
                #[allow(unused_imports)]
                use super::super::*;
                type S = Timed;
                $run!($($argument),*);
            }
            pub(super) mod counted {
                #[allow(unused_imports)]
                use super::super::*;
                type S = Counted;
                $run!($($argument),*);
            }
        }
    };
}

/// Its line in a table.
macro_rules! line {
    ($name:literal, $module:ident) => {
        Contender { name: $name, timed: $module::timed::run, counted: $module::counted::run }
    };
}

use {contender, line};
