//! Everyone who encodes: one frame after the other, into room that is there and warm.

use bytes::BytesMut;
use crc::{CRC_16_IBM_SDLC, Crc, Table};
use tokio_util::codec::{Encoder as _, LinesCodec};
use unstick::{Cobs, Hdlc, Lines, Slip};
use unstick_cookbook::ubx;

use super::{Contender, Stream, UBX_META, contender, limited, line};
use crate::case::LIMIT;
use crate::decode::{Counted, Pass, Sink, Timed};

macro_rules! append {
    ($framing:expr, $meta:expr) => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let (framing, mut out) = ($framing, Vec::with_capacity(2 * stream.wire.len() + 64));
            Box::new(move |sink| {
                out.clear();
                for payload in &stream.payloads {
                    let from = out.len();
                    framing.encode($meta, payload, &mut out).unwrap();
                    sink.bytes(&out[from..]);
                    sink.end();
                }
            })
        }
    };
}

/// Runs an encoder that writes a payload to a slice and returns how many bytes it wrote.
macro_rules! to_slice {
    ($encode:expr) => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let mut out = vec![0; 2 * stream.wire.len() + 64];
            Box::new(move |sink| {
                let mut rest = &mut out[..];
                for payload in &stream.payloads {
                    let len = $encode(payload, rest);
                    let (frame, after) = rest.split_at_mut(len);
                    sink.bytes(frame);
                    sink.end();
                    rest = after;
                }
            })
        }
    };
}

macro_rules! lines_codec {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let texts: Vec<&str> =
                stream.payloads.iter().map(|text| std::str::from_utf8(text).unwrap()).collect();
            let (mut codec, mut out) = (
                LinesCodec::new_with_max_length(LIMIT),
                BytesMut::with_capacity(2 * stream.wire.len()),
            );
            Box::new(move |sink| {
                out.clear();
                for text in &texts {
                    let from = out.len();
                    codec.encode(text, &mut out).unwrap();
                    sink.bytes(&out[from..]);
                    sink.end();
                }
            })
        }
    };
}

fn cobs_encode(payload: &[u8], out: &mut [u8]) -> usize {
    let len = cobs::encode(payload, out);
    out[len] = 0;
    len + 1
}

fn serial_line_ip_encode(payload: &[u8], out: &mut [u8]) -> usize {
    let mut encoder = serial_line_ip::Encoder::new();
    let mut totals = encoder.encode(payload, out).unwrap();
    totals += encoder.finish(&mut out[totals.written..]).unwrap();
    totals.written
}

fn slip_codec_encode(payload: &[u8], mut out: &mut [u8]) -> usize {
    slip_codec::SlipEncoder::new(true).encode(payload, &mut out).unwrap()
}

/// It does not compute the check: the crate `crc` does.
macro_rules! hdlc_frames {
    () => {
        pub(in crate::marks) fn run(stream: &Stream) -> Pass<'_, S> {
            let fcs = Crc::<u16, Table<16>>::new(&CRC_16_IBM_SDLC);
            let mut content = Vec::new();
            Box::new(move |sink| {
                for payload in &stream.payloads {
                    content.clear();
                    content.extend_from_slice(payload);
                    content.extend_from_slice(&fcs.checksum(payload).to_le_bytes());
                    let frame = hdlc::encode(&content, hdlc::SpecialChars::default()).unwrap();
                    sink.bytes(&frame);
                    sink.end();
                }
            })
        }
    };
}

fn ubx_by_hand(payload: &[u8], out: &mut [u8]) -> usize {
    let [l0, l1] = u16::try_from(payload.len()).unwrap().to_le_bytes();
    let len = 6 + payload.len();
    out[..6].copy_from_slice(&[0xB5, 0x62, 1, 7, l0, l1]);
    out[6..len].copy_from_slice(payload);
    let (mut a, mut b) = (0_u8, 0_u8);
    for &byte in &out[2..len] {
        a = a.wrapping_add(byte);
        b = b.wrapping_add(a);
    }
    out[len..len + 2].copy_from_slice(&[a, b]);
    len + 2
}

contender!(lines, append, limited(Lines::new()), ());
contender!(lines_tokio_util, lines_codec);
contender!(cobs_append, append, limited(Cobs), ());
contender!(cobs_cobs, to_slice, cobs_encode);
contender!(cobs_corncobs, to_slice, corncobs::encode_buf);
contender!(slip_append, append, limited(Slip::new().with_leading_end()), ());
contender!(slip_serial_line_ip, to_slice, serial_line_ip_encode);
contender!(slip_slip_codec, to_slice, slip_codec_encode);
contender!(hdlc_append, append, limited(Hdlc::new()), ());
contender!(hdlc_hdlc, hdlc_frames);
contender!(ubx_append, append, ubx::framing(), UBX_META);
contender!(ubx_hand, to_slice, ubx_by_hand);

pub(super) static LINES: [Contender; 2] =
    [line!("unstick", lines), line!("tokio-util", lines_tokio_util)];
pub(super) static COBS: [Contender; 3] =
    [line!("unstick", cobs_append), line!("cobs", cobs_cobs), line!("corncobs", cobs_corncobs)];
pub(super) static SLIP: [Contender; 3] = [
    line!("unstick", slip_append),
    line!("serial-line-ip", slip_serial_line_ip),
    line!("slip-codec", slip_slip_codec),
];
pub(super) static HDLC: [Contender; 2] = [line!("unstick", hdlc_append), line!("hdlc", hdlc_hdlc)];
pub(super) static UBX: [Contender; 2] = [line!("unstick", ubx_append), line!("hand", ubx_hand)];
