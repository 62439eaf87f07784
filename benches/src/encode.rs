//! Everyone who encodes.
//!
//! One pass encodes all frames of the case, one behind the other, into room that is there and
//! warm. Every frame's address and length goes through `black_box`. Before it is timed, what a
//! contender wrote is compared with the stream.

use std::hint::black_box;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Encoder as _;
use unstick::{U32Be, U64Be, V1};
use wire_codec::WriteBuf;
use wire_codec::codec::FrameCodec;
use wire_codec::framing::Framer;

use crate::case::{BenchFormat, Frames, framing};
use crate::decode::{tokio_util_length_codec, wire_codec_framer};

/// Where the frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A slice with room for all of them.
    Slice,
    /// A growing buffer that has grown already.
    Vec,
    /// A header beside the payload, for a vectored write; nothing is copied.
    IoSlice,
}

/// All of them.
pub const TARGETS: [Target; 3] = [Target::Slice, Target::Vec, Target::IoSlice];

impl Target {
    /// Its part of a case's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slice => "slice",
            Self::Vec => "vec",
            Self::IoSlice => "ioslice",
        }
    }
}

/// A contender at work: one call encodes all frames of the case once.
pub type Pass<'a> = Box<dyn FnMut() + 'a>;

/// Someone who encodes.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// The last part of the case's name.
    pub name: &'static str,
    /// What it is measured into.
    pub target: Target,
    run: for<'a> fn(&'a Frames, Check) -> Pass<'a>,
}

/// Whether the pass compares what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Yes,
    No,
}

impl Contender {
    /// The contender at work, after a look at what it writes.
    ///
    /// # Panics
    /// It wrote something else.
    #[must_use]
    pub fn start<'a>(&self, frames: &'a Frames) -> Pass<'a> {
        (self.run)(frames, Check::Yes)();
        (self.run)(frames, Check::No)
    }
}

#[inline(always)]
fn seen(bytes: &[u8]) {
    black_box((bytes.as_ptr(), bytes.len()));
}

fn compare<F: BenchFormat>(check: Check, frames: &Frames, written: &[u8]) {
    if check == Check::Yes {
        assert!(written == frames.wire::<F>(), "another stream was written");
    }
}

// unstick

macro_rules! slice {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let (framing, meta) = (framing::<F>(), F::meta());
            let mut out = vec![0; frames.wire::<F>().len()];
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                let mut room = &mut out[..];
                for &payload in &payloads {
                    let n = framing.encode_into(&meta, payload, room).unwrap();
                    let (frame, rest) = room.split_at_mut(n);
                    seen(frame);
                    room = rest;
                }
                compare::<F>(check, frames, &out);
            })
        }
    };
}

macro_rules! growing {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let (framing, meta) = (framing::<F>(), F::meta());
            let mut out = Vec::with_capacity(frames.wire::<F>().len());
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                out.clear();
                for &payload in &payloads {
                    framing.encode(&meta, payload, &mut out).unwrap();
                    seen(&out);
                }
                compare::<F>(check, frames, &out);
            })
        }
    };
}

macro_rules! io_slice {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let (framing, meta) = (framing::<F>(), F::meta());
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                for &payload in &payloads {
                    let header = framing.encode_header(&meta, payload.len() as u64).unwrap();
                    black_box(&[IoSlice::new(header.as_bytes()), IoSlice::new(payload)]);
                }
                if check == Check::Yes {
                    let mut written = Vec::new();
                    for &payload in &payloads {
                        let header = framing.encode_header(&meta, payload.len() as u64).unwrap();
                        written.extend_from_slice(header.as_bytes());
                        written.extend_from_slice(payload);
                    }
                    compare::<F>(check, frames, &written);
                }
            })
        }
    };
}

// The others

macro_rules! tokio_util {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let mut codec = tokio_util_length_codec();
            let mut out = BytesMut::with_capacity(frames.wire::<U32Be>().len());
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                out.clear();
                for &payload in &payloads {
                    codec.encode(payload, &mut out).unwrap();
                    seen(&out);
                }
                compare::<U32Be>(check, frames, &out);
            })
        }
    };
}

macro_rules! wire_codec_slice {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let framer = wire_codec_framer();
            let mut out = vec![0; frames.wire::<U32Be>().len()];
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                let mut buf = WriteBuf::new(&mut out);
                for &payload in &payloads {
                    framer.write_frame(payload, &mut buf).unwrap();
                    seen(buf.written());
                }
                compare::<U32Be>(check, frames, buf.written());
            })
        }
    };
}

macro_rules! wire_codec_vec {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let mut codec = FrameCodec::new(wire_codec_framer());
            let mut out = BytesMut::with_capacity(frames.wire::<U32Be>().len());
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                out.clear();
                for &payload in &payloads {
                    codec.encode_frame(payload, &mut out).unwrap();
                    seen(&out);
                }
                compare::<U32Be>(check, frames, &out);
            })
        }
    };
}

macro_rules! asynchronous_codec {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            use asynchronous_codec::{Encoder, LengthCodec};
            let mut out = BytesMut::with_capacity(frames.wire::<U64Be>().len());
            let payloads: Vec<Bytes> = frames.payloads().map(Bytes::copy_from_slice).collect();
            Box::new(move || {
                out.clear();
                for payload in &payloads {
                    LengthCodec.encode(payload.clone(), &mut out).unwrap();
                    seen(&out);
                }
                compare::<U64Be>(check, frames, &out);
            })
        }
    };
}

// The floors: no limit, no error; and for `memcpy`, no header

fn prefix(payload: &[u8]) -> [u8; 4] {
    u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes()
}

macro_rules! hand_slice {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let mut out = vec![0; frames.wire::<U32Be>().len()];
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                let mut room = &mut out[..];
                for &payload in &payloads {
                    let (frame, rest) = room.split_at_mut(4 + payload.len());
                    frame[..4].copy_from_slice(&prefix(payload));
                    frame[4..].copy_from_slice(payload);
                    seen(frame);
                    room = rest;
                }
                compare::<U32Be>(check, frames, &out);
            })
        }
    };
}

macro_rules! hand_vec {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, check: Check) -> Pass<'_> {
            let mut out = Vec::with_capacity(frames.wire::<U32Be>().len());
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                out.clear();
                for &payload in &payloads {
                    out.extend_from_slice(&prefix(payload));
                    out.extend_from_slice(payload);
                    seen(&out);
                }
                compare::<U32Be>(check, frames, &out);
            })
        }
    };
}

macro_rules! hand_io_slice {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, _: Check) -> Pass<'_> {
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                for &payload in &payloads {
                    let header = prefix(payload);
                    black_box(&[IoSlice::new(&header), IoSlice::new(payload)]);
                }
            })
        }
    };
}

macro_rules! memcpy_slice {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, _: Check) -> Pass<'_> {
            let mut out = vec![0; frames.wire::<U32Be>().len()];
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                let mut room = &mut out[..];
                for &payload in &payloads {
                    let (frame, rest) = room.split_at_mut(payload.len());
                    frame.copy_from_slice(payload);
                    seen(frame);
                    room = rest;
                }
            })
        }
    };
}

macro_rules! memcpy_vec {
    () => {
        pub(in crate::encode) fn run(frames: &Frames, _: Check) -> Pass<'_> {
            let mut out = Vec::with_capacity(frames.wire::<U32Be>().len());
            let payloads: Vec<&[u8]> = frames.payloads().collect();
            Box::new(move || {
                out.clear();
                for &payload in &payloads {
                    out.extend_from_slice(payload);
                    seen(&out);
                }
            })
        }
    };
}

// Everyone

/// A contender in a module of its own; see the same macro for decoding.
macro_rules! contender {
    ($module:ident, $run:ident $(, $format:ident)?) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(type F = $format;)?
            $run!();
        }
    };
}

contender!(u32be_slice, slice, U32Be);
contender!(v1_slice, slice, V1);
contender!(slice_tokio_util, tokio_util);
contender!(slice_wire_codec_slice, wire_codec_slice);
contender!(slice_asynchronous_codec, asynchronous_codec);
contender!(slice_hand_slice, hand_slice);
contender!(slice_memcpy_slice, memcpy_slice);
contender!(u32be_vec, growing, U32Be);
contender!(v1_vec, growing, V1);
contender!(u64be_vec, growing, U64Be);
contender!(vec_tokio_util, tokio_util);
contender!(vec_wire_codec_vec, wire_codec_vec);
contender!(vec_asynchronous_codec, asynchronous_codec);
contender!(vec_hand_vec, hand_vec);
contender!(vec_memcpy_vec, memcpy_vec);
contender!(u32be_io_slice, io_slice, U32Be);
contender!(v1_io_slice, io_slice, V1);
contender!(u64be_io_slice, io_slice, U64Be);
contender!(ioslice_hand_io_slice, hand_io_slice);

/// Everyone.
///
/// - tokio-util and asynchronous-codec know no slice: there they have a `BytesMut` with all the
///   room that they need, which is the nearest that a user of them has.
/// - asynchronous-codec writes a 64-bit prefix and takes `Bytes`, whose count goes up and down.
/// - Nobody but `unstick` and a hand-written loop gives a header by itself.
pub const CONTENDERS: [Contender; 19] = {
    use Target::{IoSlice, Slice, Vec};
    [
        Contender { name: "unstick-u32be", target: Slice, run: u32be_slice::run },
        Contender { name: "unstick-v1", target: Slice, run: v1_slice::run },
        Contender { name: "tokio-util", target: Slice, run: slice_tokio_util::run },
        Contender { name: "wire-codec", target: Slice, run: slice_wire_codec_slice::run },
        Contender { name: "asynchronous-codec", target: Slice, run: slice_asynchronous_codec::run },
        Contender { name: "hand", target: Slice, run: slice_hand_slice::run },
        Contender { name: "memcpy", target: Slice, run: slice_memcpy_slice::run },
        Contender { name: "unstick-u32be", target: Vec, run: u32be_vec::run },
        Contender { name: "unstick-v1", target: Vec, run: v1_vec::run },
        Contender { name: "unstick-u64be", target: Vec, run: u64be_vec::run },
        Contender { name: "tokio-util", target: Vec, run: vec_tokio_util::run },
        Contender { name: "wire-codec", target: Vec, run: vec_wire_codec_vec::run },
        Contender { name: "asynchronous-codec", target: Vec, run: vec_asynchronous_codec::run },
        Contender { name: "hand", target: Vec, run: vec_hand_vec::run },
        Contender { name: "memcpy", target: Vec, run: vec_memcpy_vec::run },
        Contender { name: "unstick-u32be", target: IoSlice, run: u32be_io_slice::run },
        Contender { name: "unstick-v1", target: IoSlice, run: v1_io_slice::run },
        Contender { name: "unstick-u64be", target: IoSlice, run: u64be_io_slice::run },
        Contender { name: "hand", target: IoSlice, run: ioslice_hand_io_slice::run },
    ]
};
