//! Everyone who decodes.
//!
//! `memchr`, `memmem` and `hand` are floors: loops over the whole stream in one slice, without a limit,
//! that keep nothing between chunks.

use bytes::BytesMut;
use crc::{CRC_16_IBM_SDLC, CRC_16_MCRF4XX, Crc, Table};
use futures::StreamExt;
use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memmem};
use std::io::Read;
use tokio_util::codec::{AnyDelimiterCodec, Decoder as _, FramedRead, LinesCodec};
use unstick::{AnyDelimiter, Cobs, Decoder, Delimited, FrameBuf, Hdlc, Lines, Slip};
use unstick_cookbook::mavlink::{self, Common, CrcExtra as _};
use unstick_cookbook::ubx;

use super::{Contender, Stream, contender, limited, line};
use crate::case::{Chunk, LIMIT};
use crate::decode::{Counted, Pass, Sink, Timed, frame_buf_over};
use crate::feed::{Feed, ready};

// unstick

macro_rules! pieces {
    ($framing:expr) => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut decoder = Decoder::with_framing($framing);
            Box::new(move |sink| {
                for chunk in stream.chunks() {
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

macro_rules! frame_buf {
    ($framing:expr) => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let buf = FrameBuf::with_framing(Vec::new(), $framing).unwrap();
            frame_buf_over!(buf, Feed::new(&stream.wire, Chunk(stream.chunk)), stream.count())
        }
    };
}

// Lines and delimiters

/// A loop that searches for the end of one line after the other.
macro_rules! memchr_calls {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            Box::new(move |sink| {
                let mut rest = &*stream.wire;
                while let Some(end) = memchr(b'\n', rest) {
                    let line = &rest[..end];
                    sink.bytes(line.strip_suffix(b"\r").unwrap_or(line));
                    sink.end();
                    rest = &rest[end + 1..];
                }
            })
        }
    };
}

/// The same with an iterator, which searches each vector of bytes once for all lines in it.
macro_rules! memchr_iterator {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            Box::new(move |sink| {
                let (wire, mut from) = (&*stream.wire, 0);
                for end in memchr_iter(b'\n', wire) {
                    let line = &wire[from..end];
                    sink.bytes(line.strip_suffix(b"\r").unwrap_or(line));
                    sink.end();
                    from = end + 1;
                }
            })
        }
    };
}

/// What a floor is for those that copy what they read: a copy of each chunk, and a search in that. The
/// rest of a chunk moves to the front.
macro_rules! copy_and_memchr {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut buf = vec![0; stream.chunk + stream.longest() + 2];
            Box::new(move |sink| {
                let mut held = 0;
                for chunk in stream.chunks() {
                    let filled = held + chunk.len();
                    buf[held..filled].copy_from_slice(chunk);
                    let mut from = 0;
                    while let Some(len) = memchr(b'\n', &buf[from..filled]) {
                        let line = &buf[from..from + len];
                        sink.bytes(line.strip_suffix(b"\r").unwrap_or(line));
                        sink.end();
                        from += len + 1;
                    }
                    buf.copy_within(from..filled, 0);
                    held = filled - from;
                }
            })
        }
    };
}

macro_rules! codec {
    ($codec:expr) => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let (mut codec, mut buf) = ($codec, BytesMut::new());
            Box::new(move |sink| {
                for chunk in stream.chunks() {
                    buf.extend_from_slice(chunk);
                    while let Some(frame) = codec.decode(&mut buf).unwrap() {
                        let frame: &[u8] = frame.as_ref();
                        // For those that know the last byte of `\r\n` only.
                        sink.bytes(frame.strip_suffix(b"\r").unwrap_or(frame));
                        sink.end();
                    }
                }
            })
        }
    };
}

macro_rules! framed {
    ($codec:expr) => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let feed = Feed::new(&stream.wire, Chunk(stream.chunk));
            let mut reader = FramedRead::new(feed, $codec);
            Box::new(move |sink| {
                ready(async {
                    for _ in 0..stream.count() {
                        let frame = reader.next().await.unwrap().unwrap();
                        let frame: &[u8] = frame.as_ref();
                        sink.bytes(frame.strip_suffix(b"\r").unwrap_or(frame));
                        sink.end();
                    }
                });
            })
        }
    };
}

fn any_delimiter_codec(delimiters: &[u8]) -> AnyDelimiterCodec {
    AnyDelimiterCodec::new_with_max_length(delimiters.to_vec(), delimiters.to_vec(), LIMIT)
}

macro_rules! memmem_calls {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let finder = memmem::Finder::new(b"\r\n");
            Box::new(move |sink| {
                let mut rest = &*stream.wire;
                while let Some(end) = finder.find(rest) {
                    sink.bytes(&rest[..end]);
                    sink.end();
                    rest = &rest[end + 2..];
                }
            })
        }
    };
}

macro_rules! memchr2_iterator {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            Box::new(move |sink| {
                let (wire, mut from) = (&*stream.wire, 0);
                for end in memchr2_iter(b'\n', 0, wire) {
                    sink.bytes(&wire[from..end]);
                    sink.end();
                    from = end + 1;
                }
            })
        }
    };
}

contender!(lines, pieces, limited(Lines::new()));
contender!(lines_frame_buf, frame_buf, limited(Lines::new()));
contender!(lines_memchr, memchr_calls);
contender!(lines_memchr_iter, memchr_iterator);
contender!(lines_copy, copy_and_memchr);
contender!(lines_codec, codec, LinesCodec::new_with_max_length(LIMIT));
contender!(lines_framed, framed, LinesCodec::new_with_max_length(LIMIT));
contender!(crlf, pieces, limited(Delimited::new(b"\r\n")));
contender!(crlf_frame_buf, frame_buf, limited(Delimited::new(b"\r\n")));
contender!(crlf_lines, pieces, limited(Lines::new()));
contender!(crlf_memmem, memmem_calls);
contender!(crlf_codec, codec, any_delimiter_codec(b"\n"));
contender!(crlf_framed, framed, any_delimiter_codec(b"\n"));
contender!(any, pieces, limited(AnyDelimiter::new(b"\n\0")));
contender!(any_frame_buf, frame_buf, limited(AnyDelimiter::new(b"\n\0")));
contender!(any_memchr2, memchr2_iterator);
contender!(any_codec, codec, any_delimiter_codec(b"\n\0"));
contender!(any_framed, framed, any_delimiter_codec(b"\n\0"));

pub(super) static LINES: [Contender; 7] = [
    line!("unstick", lines),
    line!("unstick-framebuf", lines_frame_buf),
    line!("memchr", lines_memchr),
    line!("memchr-iter", lines_memchr_iter),
    line!("copy-and-memchr", lines_copy),
    line!("tokio-util-codec", lines_codec),
    line!("tokio-util-framed", lines_framed),
];

pub(super) static LINES_BYTEWISE: [Contender; 3] = [
    line!("unstick", lines),
    line!("unstick-framebuf", lines_frame_buf),
    line!("tokio-util-codec", lines_codec),
];

/// tokio-util's codec has delimiters of one byte: here it is `\n`, and the `\r` is cut off after it.
pub(super) static CRLF: [Contender; 6] = [
    line!("unstick", crlf),
    line!("unstick-framebuf", crlf_frame_buf),
    line!("unstick-lines", crlf_lines),
    line!("memmem", crlf_memmem),
    line!("tokio-util-codec", crlf_codec),
    line!("tokio-util-framed", crlf_framed),
];

pub(super) static ANY_DELIMITER: [Contender; 5] = [
    line!("unstick", any),
    line!("unstick-framebuf", any_frame_buf),
    line!("memchr2-iter", any_memchr2),
    line!("tokio-util-codec", any_codec),
    line!("tokio-util-framed", any_framed),
];

// COBS

/// Calls `each` with each frame of a stream, its zero included.
#[inline(always)]
fn for_each_to_zero(mut rest: &[u8], mut each: impl FnMut(&[u8])) {
    while let Some(end) = memchr(0, rest) {
        let (frame, after) = rest.split_at(end + 1);
        each(frame);
        rest = after;
    }
}

macro_rules! cobs_slices {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut out = vec![0; stream.longest() + 8];
            Box::new(move |sink| {
                for_each_to_zero(&stream.wire, |frame| {
                    let len = cobs::decode(frame, &mut out).unwrap().frame_size();
                    sink.bytes(&out[..len]);
                    sink.end();
                });
            })
        }
    };
}

macro_rules! cobs_push {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut frame = vec![0; stream.longest() + 8];
            Box::new(move |sink| {
                let mut decoder = cobs::CobsDecoder::new(&mut frame);
                for mut chunk in stream.chunks() {
                    while let Some(report) = decoder.push(chunk).unwrap() {
                        sink.bytes(&decoder.dest()[..report.frame_size()]);
                        sink.end();
                        chunk = &chunk[report.parsed_size()..];
                    }
                }
            })
        }
    };
}

macro_rules! corncobs_slices {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut out = vec![0; stream.longest() + 8];
            Box::new(move |sink| {
                for_each_to_zero(&stream.wire, |frame| {
                    let len = corncobs::decode_buf(frame, &mut out).unwrap();
                    sink.bytes(&out[..len]);
                    sink.end();
                });
            })
        }
    };
}

/// Its frames are one or two bytes longer than those of the others, since postcard writes the length of a
/// byte string before it.
macro_rules! postcard_accumulator {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            use postcard::accumulator::{CobsAccumulator, FeedResult};
            let (mut wire, mut frame) = (Vec::new(), vec![0; 2 * stream.longest() + 16]);
            for payload in &stream.payloads {
                wire.extend_from_slice(postcard::to_slice_cobs(&payload[..], &mut frame).unwrap());
            }
            let mut accumulator = CobsAccumulator::<2048>::new();
            Box::new(move |sink| {
                for chunk in wire.chunks(stream.chunk) {
                    let mut rest = chunk;
                    loop {
                        match accumulator.feed_ref::<&[u8]>(rest) {
                            FeedResult::Consumed => break,
                            FeedResult::Success { data, remaining } => {
                                sink.bytes(data);
                                sink.end();
                                rest = remaining;
                            }
                            FeedResult::OverFull(_) | FeedResult::DeserError(_) => panic!(),
                        }
                    }
                }
            })
        }
    };
}

contender!(cobs_pieces, pieces, limited(Cobs));
contender!(cobs_frame_buf, frame_buf, limited(Cobs));
contender!(cobs_decode, cobs_slices);
contender!(cobs_decoder, cobs_push);
contender!(corncobs_decode, corncobs_slices);
contender!(postcard_cobs, postcard_accumulator);

pub(super) static COBS: [Contender; 6] = [
    line!("unstick", cobs_pieces),
    line!("unstick-framebuf", cobs_frame_buf),
    line!("cobs", cobs_decode),
    line!("cobs-push", cobs_decoder),
    line!("corncobs", corncobs_decode),
    line!("postcard", postcard_cobs),
];

// SLIP and HDLC

macro_rules! serial_line_ip {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut out = vec![0; stream.longest() + 8];
            Box::new(move |sink| {
                let mut decoder = serial_line_ip::Decoder::new();
                for mut chunk in stream.chunks() {
                    while !chunk.is_empty() {
                        let (taken, bytes, last) = decoder.decode(chunk, &mut out).unwrap();
                        sink.bytes(bytes);
                        if last {
                            sink.end();
                        }
                        chunk = &chunk[taken..];
                    }
                }
            })
        }
    };
}

macro_rules! slip_codec {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut out = Vec::new();
            Box::new(move |sink| {
                let (mut decoder, mut rest) = (slip_codec::SlipDecoder::new(), &*stream.wire);
                while !rest.is_empty() {
                    out.clear();
                    decoder.decode(&mut rest, &mut out).unwrap();
                    sink.bytes(&out);
                    sink.end();
                }
            })
        }
    };
}

macro_rules! simple_slip {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            Box::new(move |sink| {
                let (packets, rest) = simple_slip::decode_packets(&stream.wire);
                for packet in &packets {
                    sink.bytes(packet);
                    sink.end();
                }
                assert!(rest.is_empty());
            })
        }
    };
}

/// Calls `each` with the content of each frame.
#[inline(always)]
fn for_each_unescaped(
    mut rest: &[u8],
    [mark, escape]: [u8; 2],
    unescaped: impl Fn(u8) -> u8,
    out: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]),
) {
    out.clear();
    while let Some(run) = memchr2(mark, escape, rest) {
        out.extend_from_slice(&rest[..run]);
        if rest[run] == escape {
            out.push(unescaped(rest[run + 1]));
            rest = &rest[run + 2..];
            continue;
        }
        if !out.is_empty() {
            each(out);
            out.clear();
        }
        rest = &rest[run + 1..];
    }
}

macro_rules! slip_by_hand {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut out = Vec::new();
            Box::new(move |sink| {
                let unescaped = |byte| if byte == 0xDC { 0xC0 } else { 0xDB };
                for_each_unescaped(&stream.wire, [0xC0, 0xDB], unescaped, &mut out, |payload| {
                    sink.bytes(payload);
                    sink.end();
                });
            })
        }
    };
}

static FCS: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_IBM_SDLC);

#[inline(always)]
fn without_fcs(content: &[u8]) -> &[u8] {
    let (payload, fcs) = content.split_last_chunk().unwrap();
    assert_eq!(FCS.checksum(payload), u16::from_le_bytes(*fcs));
    payload
}

/// A loop, and the check of the crate `crc`.
macro_rules! hdlc_by_hand {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut out = Vec::new();
            Box::new(move |sink| {
                let unescaped = |byte| byte ^ 0x20;
                for_each_unescaped(&stream.wire, [0x7E, 0x7D], unescaped, &mut out, |content| {
                    sink.bytes(without_fcs(content));
                    sink.end();
                });
            })
        }
    };
}

/// It neither finds frames nor checks them: a search does, and the crate `crc`.
macro_rules! hdlc_frames {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            Box::new(move |sink| {
                let mut rest = &*stream.wire;
                while let Some(end) = rest.get(1..).and_then(|rest| memchr(0x7E, rest)) {
                    let (frame, after) = rest.split_at(end + 2);
                    let content = hdlc::decode(frame, hdlc::SpecialChars::default()).unwrap();
                    sink.bytes(without_fcs(&content));
                    sink.end();
                    rest = after;
                }
            })
        }
    };
}

contender!(slip_pieces, pieces, limited(Slip::new()));
contender!(slip_frame_buf, frame_buf, limited(Slip::new()));
contender!(slip_hand, slip_by_hand);
contender!(slip_serial_line_ip, serial_line_ip);
contender!(slip_slip_codec, slip_codec);
contender!(slip_simple_slip, simple_slip);
contender!(hdlc_pieces, pieces, limited(Hdlc::new()));
contender!(hdlc_frame_buf, frame_buf, limited(Hdlc::new()));
contender!(hdlc_hand, hdlc_by_hand);
contender!(hdlc_hdlc, hdlc_frames);

pub(super) static SLIP: [Contender; 6] = [
    line!("unstick", slip_pieces),
    line!("unstick-framebuf", slip_frame_buf),
    line!("hand", slip_hand),
    line!("serial-line-ip", slip_serial_line_ip),
    line!("slip-codec", slip_slip_codec),
    line!("simple_slip", slip_simple_slip),
];

pub(super) static HDLC: [Contender; 4] = [
    line!("unstick", hdlc_pieces),
    line!("unstick-framebuf", hdlc_frame_buf),
    line!("hand", hdlc_hand),
    line!("hdlc", hdlc_hdlc),
];

// Headers and checks

/// What a person would write who knows that each frame is whole.
macro_rules! ubx_by_hand {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            Box::new(move |sink| {
                let mut rest = &*stream.wire;
                while let Some(&[0xB5, 0x62, _, _, l0, l1]) = rest.first_chunk() {
                    let len = usize::from(u16::from_le_bytes([l0, l1]));
                    let (frame, after) = rest.split_at(6 + len + 2);
                    let (checked, sums) = frame.split_last_chunk().unwrap();
                    let (mut a, mut b) = (0_u8, 0_u8);
                    for &byte in &checked[2..] {
                        a = a.wrapping_add(byte);
                        b = b.wrapping_add(a);
                    }
                    assert_eq!([a, b], *sums);
                    sink.bytes(&checked[6..]);
                    sink.end();
                    rest = after;
                }
            })
        }
    };
}

static X25: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_MCRF4XX);

macro_rules! mavlink_by_hand {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            Box::new(move |sink| {
                let mut rest = &*stream.wire;
                while let Some(&[0xFD, len, flags, _, _, _, _, m0, m1, m2]) = rest.first_chunk() {
                    assert_eq!(flags, 0);
                    let (frame, after) = rest.split_at(10 + usize::from(len) + 2);
                    let (checked, crc) = frame.split_last_chunk().unwrap();
                    let message = u32::from_le_bytes([m0, m1, m2, 0]);
                    let mut digest = X25.digest();
                    digest.update(&checked[1..]);
                    digest.update(&[Common.crc_extra(message).unwrap()]);
                    assert_eq!(digest.finalize(), u16::from_le_bytes(*crc));
                    sink.bytes(&checked[10..]);
                    sink.end();
                    rest = after;
                }
            })
        }
    };
}

contender!(ubx_pieces, pieces, ubx::framing());
contender!(ubx_frame_buf, frame_buf, ubx::framing());
contender!(ubx_hand, ubx_by_hand);
contender!(mavlink_pieces, pieces, mavlink::common_framing());
contender!(mavlink_frame_buf, frame_buf, mavlink::common_framing());
contender!(mavlink_hand, mavlink_by_hand);

pub(super) static UBX: [Contender; 3] = [
    line!("unstick", ubx_pieces),
    line!("unstick-framebuf", ubx_frame_buf),
    line!("hand", ubx_hand),
];

pub(super) static MAVLINK: [Contender; 3] = [
    line!("unstick", mavlink_pieces),
    line!("unstick-framebuf", mavlink_frame_buf),
    line!("hand", mavlink_hand),
];
