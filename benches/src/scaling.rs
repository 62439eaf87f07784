//! Cost as the work grows: each curve has to be flat or linear.
//!
//! The unit of these cases is all of the work, so a linear one doubles from one to the next.

use std::hint::black_box;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWrite;
use tokio_util::codec::{Decoder as _, FramedRead, FramedWrite};
use unstick::{Decoder, FrameBuf, Framing, U32Be};

use crate::case::{Chunk, Frames, LIMIT, bytes_name, framing};
use crate::decode::tokio_util_length_codec;
use crate::feed::{Feed, ready};
use crate::rounds::{Contender, passes};

/// What a write takes at most, in the cases that write.
const SMALL_WRITE: usize = 1460;

/// The curves: their names, and how far they go.
pub const CURVES: [(&str, Curve); 4] = [
    ("scale-frame", frame_size),
    ("scale-frame-1460B", frame_size_in_small_chunks),
    ("scale-buffered", buffered_bytes),
    ("scale-write", written_bytes),
];

/// The contenders of a curve at one size.
pub type Curve = for<'a> fn(&'a Frames, usize) -> Vec<Contender<'a>>;

/// The sizes of a curve: 64 KiB to 64 MiB, in doublings.
pub fn sizes() -> impl Iterator<Item = usize> {
    (16..=26).map(|power| 1_usize << power)
}

/// The frames of a curve at one size.
#[must_use]
pub fn frames(curve: &str, size: usize) -> Frames {
    if curve == "scale-buffered" {
        Frames::new(vec![60; size / 64])
    } else {
        Frames::new(vec![size])
    }
}

/// The name of a curve's case.
#[must_use]
pub fn case(curve: &str, size: usize) -> String {
    format!("{curve}/{}", bytes_name(size))
}

/// The contender of every curve that allocates: a new buffer, and one copy into it. The allocator
/// hands small buffers out again and gets large ones from the system, page by page, so that this
/// curve is not a straight line either.
pub const FLOOR: &str = "new-copy";

fn new_copy(bytes: &[u8]) -> Contender<'_> {
    passes(FLOOR, move || see(&Vec::from(bytes)))
}

/// One frame of this size on a new connection, read in chunks of 64 KiB.
fn frame_size(frames: &Frames, _: usize) -> Vec<Contender<'_>> {
    one_frame(frames, Chunk(64 * 1024))
}

/// The same in chunks of 1,460 bytes.
fn frame_size_in_small_chunks(frames: &Frames, _: usize) -> Vec<Contender<'_>> {
    one_frame(frames, Chunk(SMALL_WRITE))
}

fn one_frame(frames: &Frames, chunk: Chunk) -> Vec<Contender<'_>> {
    let wire = frames.wire::<U32Be>();
    vec![
        new_copy(wire),
        passes("unstick-for_each", move || {
            let mut decoder = Decoder::with_framing(framing::<U32Be>());
            for chunk in wire.chunks(chunk.0) {
                decoder.for_each(chunk, |piece| see(piece.bytes)).unwrap();
            }
            decoder.finish().unwrap();
        }),
        passes("unstick-framebuf", move || {
            let mut buf = FrameBuf::with_framing(Vec::new(), framing::<U32Be>()).unwrap();
            let mut feed = Feed::new(wire, chunk);
            while buf.next_frame().unwrap().map(|frame| see(frame.payload)).is_none() {
                let n = feed.read(buf.spare()).unwrap();
                buf.commit(n);
            }
        }),
        passes("unstick-framebuf-extend", move || {
            let mut buf = FrameBuf::with_framing(Vec::new(), framing::<U32Be>()).unwrap();
            let mut feed = Feed::new(wire, chunk);
            let mut rest: &[u8] = &[];
            while buf.next_frame().unwrap().map(|frame| see(frame.payload)).is_none() {
                if rest.is_empty() {
                    rest = Feed::take(&mut feed, chunk.0);
                }
                rest = &rest[buf.extend(rest)..];
            }
        }),
        passes("unstick-tokio", move || {
            let feed = Feed::new(wire, chunk);
            let mut reader = unstick::tokio::FrameReader::with_framing(feed, framing::<U32Be>());
            see(ready(reader.next_frame()).unwrap().unwrap().payload);
        }),
        passes("tokio-util-framed", move || {
            let feed = Feed::new(wire, chunk);
            let mut reader = FramedRead::new(feed, tokio_util_length_codec());
            see(&ready(reader.next()).unwrap().unwrap());
        }),
    ]
}

/// So many bytes of 64-byte frames stand in a buffer before the first is taken.
fn buffered_bytes(frames: &Frames, size: usize) -> Vec<Contender<'_>> {
    let wire = frames.wire::<U32Be>();
    let framing = Framing::new(U32Be).with_limit(LIMIT as u64);
    let mut buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
    let mut decoder = Decoder::with_framing(framing);
    let (mut codec, mut bytes) = (tokio_util_length_codec(), BytesMut::with_capacity(size));
    vec![
        passes("unstick-for_each", move || {
            decoder.for_each(wire, |piece| see(piece.bytes)).unwrap();
        }),
        passes("unstick-framebuf", move || {
            let mut rest = wire;
            while !rest.is_empty() {
                let n = rest.read(buf.spare()).unwrap();
                assert_ne!(n, 0);
                buf.commit(n);
            }
            while let Some(frame) = buf.next_frame().unwrap() {
                see(frame.payload);
            }
        }),
        passes("tokio-util-codec", move || {
            bytes.extend_from_slice(wire);
            while let Some(frame) = codec.decode(&mut bytes).unwrap() {
                see(&frame);
            }
        }),
    ]
}

/// A frame of this size is accepted as a copy, and goes out 1,460 bytes a write.
fn written_bytes(frames: &Frames, _: usize) -> Vec<Contender<'_>> {
    let payload = frames.payload(0);
    vec![
        new_copy(payload),
        passes("unstick-sink", move || {
            let mut writer = unstick::tokio::FrameWriter::with_framing(Narrow, framing::<U32Be>());
            let frame = framing::<U32Be>().frame((), payload).unwrap();
            ready(SinkExt::send(&mut writer, frame)).unwrap();
        }),
        passes("unstick-send", move || {
            let mut writer = unstick::tokio::FrameWriter::with_framing(Narrow, framing::<U32Be>());
            ready(writer.send((), payload)).unwrap();
        }),
        passes("tokio-util-framed", move || {
            let mut writer = FramedWrite::new(Narrow, tokio_util_length_codec());
            ready(writer.send(payload)).unwrap();
        }),
    ]
}

fn see(bytes: &[u8]) {
    black_box((bytes.as_ptr(), bytes.len()));
}

/// A transport that takes little at a time.
struct Narrow;

impl AsyncWrite for Narrow {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        see(bytes);
        Poll::Ready(Ok(bytes.len().min(SMALL_WRITE)))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
