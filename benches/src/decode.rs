//! Everyone who decodes.
//!
//! The work is the same for all: the address and length of every payload, or of every run of
//! one, goes through `black_box`, and so does every frame's end. A contender lives as long as a
//! connection would: its buffer is warm, and one pass takes the stream's frames once. Before it
//! is timed it runs once with counts in place of `black_box`, which have to be right.

use std::convert::Infallible;
use std::hint::black_box;
use std::io::Read;
use std::iter;

use bytes::BytesMut;
use futures::StreamExt;
use tokio_util::codec::{Decoder as _, LengthDelimitedCodec};
use unstick::{
    Decoder, FrameBuf, I32Be, LengthField, U8, U16Be, U24Be, U32Be, U32Le, U64Be, V1, Varint,
};
use wire_codec::codec::FrameCodec;
use wire_codec::framing::{Endian, Framer, LengthPrefixed, LengthWidth};

use crate::case::{Chunk, Frames, LIMIT, WHOLE, framing};
use crate::feed::{Feed, ready};

/// Takes what a contender decoded.
pub trait Sink {
    /// A payload, or the next run of its bytes.
    fn bytes(&mut self, run: &[u8]);
    /// A frame's end.
    fn end(&mut self);
}

/// The sink that is timed.
#[derive(Debug, Default)]
pub struct Timed;

impl Sink for Timed {
    #[inline(always)]
    fn bytes(&mut self, run: &[u8]) {
        black_box((run.as_ptr(), run.len()));
    }
    #[inline(always)]
    fn end(&mut self) {
        black_box(());
    }
}

/// The sink that checks: frames, payload bytes, and their sum.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counted {
    frames: usize,
    bytes: usize,
    sum: u64,
}

impl Sink for Counted {
    fn bytes(&mut self, run: &[u8]) {
        self.bytes += run.len();
        self.sum += run.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    }
    fn end(&mut self) {
        self.frames += 1;
    }
}

impl Counted {
    /// What a contender has to find.
    #[must_use]
    pub fn expected(frames: &Frames) -> Self {
        let mut counted = Self::default();
        for payload in frames.payloads() {
            counted.bytes(payload);
            counted.end();
        }
        counted
    }
}

/// A contender at work: one call takes all frames of the case once.
pub type Pass<'a, S> = Box<dyn FnMut(&mut S) + 'a>;

/// Someone who decodes.
#[derive(Clone, Copy)]
pub struct Contender {
    /// The last part of the case's name.
    pub name: &'static str,
    /// Which cases it takes part in.
    pub scope: Scope,
    /// The largest payload that its format can say.
    pub most: u64,
    timed: for<'a> fn(&'a Frames, Chunk) -> Pass<'a, Timed>,
    counted: Option<for<'a> fn(&'a Frames, Chunk) -> Pass<'a, Counted>>,
}

/// Which cases a contender takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those where the whole stream lies in one slice.
    Whole,
    /// Those in chunks of 64 KiB and 1,460 bytes: formats that share their code with another one.
    Formats,
}

impl Contender {
    /// Whether it takes part.
    #[must_use]
    pub fn takes(&self, frames: &Frames, chunk: Chunk) -> bool {
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::Whole => chunk == WHOLE,
            Scope::Formats => [1460, 64 * 1024].contains(&chunk.0),
        };
        in_scope && frames.lens.iter().all(|&len| len as u64 <= self.most)
    }

    /// The contender at work, after a look at what it finds.
    ///
    /// # Panics
    /// It found something else.
    #[must_use]
    pub fn start<'a>(
        &self,
        frames: &'a Frames,
        chunk: Chunk,
        expected: &Counted,
    ) -> Pass<'a, Timed> {
        if let Some(counted) = self.counted {
            let mut found = Counted::default();
            counted(frames, chunk)(&mut found);
            assert_eq!(&found, expected, "{} at {}", self.name, chunk.name());
        }
        (self.timed)(frames, chunk)
    }
}

impl std::fmt::Debug for Contender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads into a buffer and takes frames out of it.
macro_rules! frame_buf_over {
    ($buf:expr, $feed:expr, $count:expr) => {{
        let (mut buf, mut feed, count) = ($buf, $feed, $count);
        Box::new(move |sink| {
            let mut left = count;
            loop {
                while let Some(frame) = buf.next_frame().unwrap() {
                    sink.bytes(frame.payload);
                    sink.end();
                    left -= 1;
                    if left == 0 {
                        return;
                    }
                }
                let n = feed.read(buf.spare()).unwrap();
                buf.commit(n);
            }
        })
    }};
}

pub(crate) use frame_buf_over;

/// Frames out of a stream of owned ones.
macro_rules! framed {
    ($reader:expr, $frames:expr) => {{
        let (mut reader, count) = ($reader, $frames.count());
        Box::new(move |sink| {
            ready(async {
                for _ in 0..count {
                    let frame = reader.next().await.unwrap().unwrap();
                    sink.bytes(frame.as_ref());
                    sink.end();
                }
            });
        })
    }};
}

// unstick

macro_rules! pieces_for {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let (wire, mut decoder) = (frames.wire::<F>(), Decoder::with_framing(framing::<F>()));
            Box::new(move |sink| {
                for chunk in wire.chunks(chunk.0) {
                    for piece in decoder.pieces(chunk) {
                        let piece = piece.unwrap();
                        sink.bytes(piece.bytes);
                        if piece.last {
                            sink.end();
                        }
                    }
                }
                decoder.finish().unwrap();
            })
        }
    };
}

macro_rules! pieces_for_each {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let (wire, mut decoder) = (frames.wire::<F>(), Decoder::with_framing(framing::<F>()));
            Box::new(move |sink| {
                for chunk in wire.chunks(chunk.0) {
                    decoder
                        .for_each(chunk, |piece| {
                            sink.bytes(piece.bytes);
                            if piece.last {
                                sink.end();
                            }
                        })
                        .unwrap();
                }
                decoder.finish().unwrap();
            })
        }
    };
}

macro_rules! decode {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let (wire, mut decoder) = (frames.wire::<F>(), Decoder::with_framing(framing::<F>()));
            Box::new(move |sink| {
                for mut chunk in wire.chunks(chunk.0) {
                    while let Some(piece) = decoder.decode(&mut chunk).unwrap() {
                        sink.bytes(piece.bytes);
                        if piece.last {
                            sink.end();
                        }
                    }
                }
                decoder.finish().unwrap();
            })
        }
    };
}

macro_rules! frame_buf {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let buf = FrameBuf::with_framing(Vec::new(), framing::<F>()).unwrap();
            frame_buf_over!(buf, Feed::new(frames.wire::<F>(), chunk), frames.count())
        }
    };
}

/// Over storage of fixed size, which holds four of the largest frames, or 64 KiB.
macro_rules! frame_buf_slice {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let most = frames.lens.iter().copied().max().unwrap_or(0);
            let storage: &'static mut [u8] = vec![0; (4 * (most + 16)).max(64 * 1024)].leak();
            let framing = framing::<F>().with_limit(most as u64);
            let buf = FrameBuf::with_framing(storage, framing).unwrap();
            frame_buf_over!(buf, Feed::new(frames.wire::<F>(), chunk), frames.count())
        }
    };
}

macro_rules! io_reader {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let feed = Feed::new(frames.wire::<F>(), chunk);
            let (count, mut reader) =
                (frames.count(), unstick::io::FrameReader::with_framing(feed, framing::<F>()));
            Box::new(move |sink| {
                for _ in 0..count {
                    sink.bytes(reader.next_frame().unwrap().unwrap().payload);
                    sink.end();
                }
            })
        }
    };
}

macro_rules! tokio_reader {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let feed = Feed::new(frames.wire::<F>(), chunk);
            let (count, mut reader) =
                (frames.count(), unstick::tokio::FrameReader::with_framing(feed, framing::<F>()));
            Box::new(move |sink| {
                ready(async {
                    for _ in 0..count {
                        sink.bytes(reader.next_frame().await.unwrap().unwrap().payload);
                        sink.end();
                    }
                });
            })
        }
    };
}

// tokio-util

/// The codec with the limit that everyone has; else as it comes.
#[must_use]
pub fn tokio_util_length_codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(LIMIT).new_codec()
}

macro_rules! tokio_util_framed {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let feed = Feed::new(frames.wire::<U32Be>(), chunk);
            framed!(tokio_util::codec::FramedRead::new(feed, tokio_util_length_codec()), frames)
        }
    };
}

/// With a buffer of 256 KiB.
macro_rules! tokio_util_tuned {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let feed = Feed::new(frames.wire::<U32Be>(), chunk);
            let codec = tokio_util_length_codec();
            framed!(tokio_util::codec::FramedRead::with_capacity(feed, codec, 256 * 1024), frames)
        }
    };
}

/// The codec over a buffer that the chunks are appended to.
macro_rules! tokio_util_codec {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let (wire, mut codec, mut buf) =
                (frames.wire::<U32Be>(), tokio_util_length_codec(), BytesMut::new());
            Box::new(move |sink| {
                for chunk in wire.chunks(chunk.0) {
                    buf.extend_from_slice(chunk);
                    while let Some(frame) = codec.decode(&mut buf).unwrap() {
                        sink.bytes(&frame);
                        sink.end();
                    }
                }
            })
        }
    };
}

// wire-codec

/// The framer with the limit that everyone has.
#[must_use]
pub fn wire_codec_framer() -> LengthPrefixed {
    LengthPrefixed::new(LengthWidth::U32, Endian::Big).with_max_payload(LIMIT as u64)
}

macro_rules! wire_codec_slice {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, _: Chunk) -> Pass<'_, S> {
            let (wire, framer) = (frames.wire::<U32Be>(), wire_codec_framer());
            Box::new(move |sink| {
                let mut input = wire;
                while let Some(frame) = framer.next_frame(input).unwrap() {
                    sink.bytes(frame.payload());
                    sink.end();
                    input = &input[frame.consumed()..];
                }
                assert!(input.is_empty());
            })
        }
    };
}

macro_rules! wire_codec_codec {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let (wire, mut codec, mut buf) =
                (frames.wire::<U32Be>(), FrameCodec::new(wire_codec_framer()), BytesMut::new());
            Box::new(move |sink| {
                for chunk in wire.chunks(chunk.0) {
                    buf.extend_from_slice(chunk);
                    while let Some(frame) = codec.decode_frame(&mut buf).unwrap() {
                        sink.bytes(&frame);
                        sink.end();
                    }
                }
            })
        }
    };
}

macro_rules! wire_codec_framed {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let feed = Feed::new(frames.wire::<U32Be>(), chunk);
            let codec = FrameCodec::new(wire_codec_framer());
            framed!(tokio_util::codec::FramedRead::new(feed, codec), frames)
        }
    };
}

// asynchronous-codec

macro_rules! asynchronous_codec {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let feed = Feed::new(frames.wire::<U64Be>(), chunk);
            let codec = asynchronous_codec::LengthCodec;
            framed!(asynchronous_codec::FramedRead::new(feed, codec), frames)
        }
    };
}

// framez

struct FramezU32Be;

#[derive(Debug)]
struct TooLong;

impl framez::decode::DecodeError for FramezU32Be {
    type Error = TooLong;
}

impl<'buf> framez::decode::Decoder<'buf> for FramezU32Be {
    type Item = &'buf [u8];

    fn decode(&mut self, src: &'buf mut [u8]) -> Result<Option<(&'buf [u8], usize)>, TooLong> {
        let Some((&header, rest)) = src.split_first_chunk() else { return Ok(None) };
        let len = usize::try_from(u32::from_be_bytes(header)).map_err(|_| TooLong)?;
        if len > LIMIT {
            return Err(TooLong);
        }
        Ok(rest.get(..len).map(|payload| (payload, 4 + len)))
    }
}

macro_rules! framez {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let most = frames.lens.iter().copied().max().unwrap_or(0);
            let feed = Feed::new(frames.wire::<U32Be>(), chunk);
            let buf = vec![0; (4 * (most + 16)).max(64 * 1024)].leak();
            let (count, mut reader) =
                (frames.count(), framez::FramedRead::new(FramezU32Be, feed, buf));
            Box::new(move |sink| {
                ready(async {
                    for _ in 0..count {
                        let frame: Result<&[u8], framez::ReadError<Infallible, TooLong>> =
                            framez::next!(reader).unwrap();
                        sink.bytes(frame.unwrap());
                        sink.end();
                    }
                });
            })
        }
    };
}

// The floors

/// What a person would write who knows that nothing can go wrong: no limit, no error.
macro_rules! hop {
    () => {
        pub(in crate::decode) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, S> {
            let wire = frames.wire::<U32Be>();
            let (mut header, mut held, mut due) = ([0; 4], 0, 0);
            Box::new(move |sink| {
                for mut chunk in wire.chunks(chunk.0) {
                    if due > 0 {
                        let (run, rest) = chunk.split_at(chunk.len().min(due));
                        due -= run.len();
                        sink.bytes(run);
                        if due == 0 {
                            sink.end();
                        }
                        chunk = rest;
                    }
                    loop {
                        let (len, rest) = if held == 0
                            && let Some((&whole, rest)) = chunk.split_first_chunk()
                        {
                            (u32::from_be_bytes(whole), rest)
                        } else {
                            let (taken, rest) = chunk.split_at(chunk.len().min(4 - held));
                            for (to, from) in iter::zip(&mut header[held..], taken) {
                                *to = *from;
                            }
                            held += taken.len();
                            if held < 4 {
                                break;
                            }
                            held = 0;
                            (u32::from_be_bytes(header), rest)
                        };
                        let (run, rest) = rest.split_at(rest.len().min(len as usize));
                        due = len as usize - run.len();
                        sink.bytes(run);
                        chunk = rest;
                        if due > 0 {
                            break;
                        }
                        sink.end();
                    }
                }
            })
        }
    };
}

/// The stream, copied chunk by chunk into a read buffer. There is nothing to count in it.
mod memcpy {
    use super::*;

    pub(super) fn run(frames: &Frames, chunk: Chunk) -> Pass<'_, Timed> {
        let (wire, mut buf) = (frames.wire::<U32Be>(), vec![0; 64 * 1024]);
        Box::new(move |_| {
            for chunk in wire.chunks(chunk.0.min(buf.len())) {
                let to = &mut buf[..chunk.len()];
                to.copy_from_slice(chunk);
                black_box((to.as_ptr(), to.len()));
            }
        })
    }
}

// Everyone

/// A contender in modules of its own. The compiler makes a unit of code of each module, so what it
/// inlines does not depend on who else takes part, and as in a program of a user's, there is one
/// place that decodes.
macro_rules! contender {
    ($module:ident, $run:ident $(, $format:ident)?) => {
        mod $module {
            pub(super) mod timed {
                #[allow(unused_imports)]
                use super::super::*;
                $(type F = $format;)?
                type S = Timed;
                $run!();
            }
            pub(super) mod counted {
                #[allow(unused_imports)]
                use super::super::*;
                $(type F = $format;)?
                type S = Counted;
                $run!();
            }
        }
    };
}

contender!(u32be_pieces_for, pieces_for, U32Be);
contender!(u32be_pieces_for_each, pieces_for_each, U32Be);
contender!(u32be_decode, decode, U32Be);
contender!(u32be_frame_buf, frame_buf, U32Be);
contender!(u32be_frame_buf_slice, frame_buf_slice, U32Be);
contender!(u32be_io_reader, io_reader, U32Be);
contender!(u32be_tokio_reader, tokio_reader, U32Be);
contender!(v1_pieces_for, pieces_for, V1);
contender!(v1_pieces_for_each, pieces_for_each, V1);
contender!(v1_decode, decode, V1);
contender!(v1_frame_buf, frame_buf, V1);
contender!(v1_frame_buf_slice, frame_buf_slice, V1);
contender!(v1_io_reader, io_reader, V1);
contender!(v1_tokio_reader, tokio_reader, V1);
contender!(u8_pieces_for_each, pieces_for_each, U8);
contender!(u16be_pieces_for_each, pieces_for_each, U16Be);
contender!(u24be_pieces_for_each, pieces_for_each, U24Be);
contender!(u32le_pieces_for_each, pieces_for_each, U32Le);
contender!(u64be_pieces_for_each, pieces_for_each, U64Be);
contender!(i32be_pieces_for_each, pieces_for_each, I32Be);
contender!(varint_pieces_for_each, pieces_for_each, Varint);
contender!(tokio_util_framed, tokio_util_framed);
contender!(tokio_util_tuned, tokio_util_tuned);
contender!(tokio_util_codec, tokio_util_codec);
contender!(wire_codec_slice, wire_codec_slice);
contender!(wire_codec_codec, wire_codec_codec);
contender!(wire_codec_framed, wire_codec_framed);
contender!(asynchronous_codec_framed, asynchronous_codec);
contender!(framez_framed, framez);
contender!(hop, hop);
contender!(lengthfield_pieces_for_each, pieces_for_each, LengthField);

/// Its line in a table.
macro_rules! line {
    ($name:literal, $scope:ident, $most:expr, $module:ident) => {
        Contender {
            name: $name,
            scope: Scope::$scope,
            most: $most,
            timed: $module::timed::run,
            counted: Some($module::counted::run),
        }
    };
}

/// `unstick` over a big-endian 32-bit prefix. The plain name is the `for` loop over the pieces.
pub const U32BE: [Contender; 7] = [
    line!("unstick-u32be", All, u32::MAX as u64, u32be_pieces_for),
    line!("unstick-u32be-for_each", All, u32::MAX as u64, u32be_pieces_for_each),
    line!("unstick-u32be-decode", All, u32::MAX as u64, u32be_decode),
    line!("unstick-u32be-framebuf", All, u32::MAX as u64, u32be_frame_buf),
    line!("unstick-u32be-framebuf-slice", All, u32::MAX as u64, u32be_frame_buf_slice),
    line!("unstick-u32be-io", All, u32::MAX as u64, u32be_io_reader),
    line!("unstick-u32be-tokio", All, u32::MAX as u64, u32be_tokio_reader),
];

/// `unstick` over its own format.
pub const VERSION_1: [Contender; 7] = [
    line!("unstick-v1", All, u32::MAX as u64, v1_pieces_for),
    line!("unstick-v1-for_each", All, u32::MAX as u64, v1_pieces_for_each),
    line!("unstick-v1-decode", All, u32::MAX as u64, v1_decode),
    line!("unstick-v1-framebuf", All, u32::MAX as u64, v1_frame_buf),
    line!("unstick-v1-framebuf-slice", All, u32::MAX as u64, v1_frame_buf_slice),
    line!("unstick-v1-io", All, u32::MAX as u64, v1_io_reader),
    line!("unstick-v1-tokio", All, u32::MAX as u64, v1_tokio_reader),
];

/// `unstick` over the other formats that ship; those that differ in nothing but the width or the
/// byte order have one of them here.
pub const FORMATS: [Contender; 8] = [
    line!("unstick-u8-for_each", Formats, 0xFF, u8_pieces_for_each),
    line!("unstick-u16be-for_each", Formats, 0xFFFF, u16be_pieces_for_each),
    line!("unstick-u24be-for_each", Formats, 0xFF_FFFF, u24be_pieces_for_each),
    line!("unstick-u32le-for_each", Formats, u32::MAX as u64, u32le_pieces_for_each),
    line!("unstick-u64be-for_each", Formats, u64::MAX, u64be_pieces_for_each),
    line!("unstick-i32be-for_each", Formats, i32::MAX as u64, i32be_pieces_for_each),
    line!("unstick-varint-for_each", Formats, u64::MAX, varint_pieces_for_each),
    line!("unstick-lengthfield-for_each", Formats, u32::MAX as u64, lengthfield_pieces_for_each),
];

/// The others, over the same stream with a big-endian 32-bit prefix where they can.
///
/// - asynchronous-codec's length codec knows only a 64-bit prefix, so its frames are four bytes
///   longer; it stays in because a user of it has no other choice.
/// - wire-codec has no buffer of its own without `bytes`: its bare framer runs where the stream
///   lies in one slice.
/// - framez ships no length prefix: its codec here is the one its documentation lets a user write.
pub const PEERS: [Contender; 8] = [
    line!("tokio-util-framed", All, u32::MAX as u64, tokio_util_framed),
    line!("tokio-util-tuned", All, u32::MAX as u64, tokio_util_tuned),
    line!("tokio-util-codec", All, u32::MAX as u64, tokio_util_codec),
    line!("wire-codec-slice", Whole, u32::MAX as u64, wire_codec_slice),
    line!("wire-codec-codec", All, u32::MAX as u64, wire_codec_codec),
    line!("wire-codec-framed", All, u32::MAX as u64, wire_codec_framed),
    line!("asynchronous-codec", All, u64::MAX, asynchronous_codec_framed),
    line!("framez", All, u32::MAX as u64, framez_framed),
];

/// What nobody can beat: a loop that hops from length to length, and one copy of the stream.
pub const FLOORS: [Contender; 2] = [
    line!("hop", All, u32::MAX as u64, hop),
    Contender {
        name: "memcpy",
        scope: Scope::All,
        most: u64::MAX,
        timed: memcpy::run,
        counted: None,
    },
];

/// Everyone.
pub fn contenders() -> impl Iterator<Item = Contender> {
    U32BE.into_iter().chain(VERSION_1).chain(FORMATS).chain(PEERS).chain(FLOORS)
}
