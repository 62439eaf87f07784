//! The codecs in tokio-util's `Framed`, beside `LengthDelimitedCodec`, with payloads that are dropped at
//! once, kept until the pass ends, or written.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio_util::codec::{Decoder, Encoder, FramedRead};
use unstick::U32Be;
use unstick::codec::{PayloadCodec, WholeFrameCodec};

use crate::case::{Frames, LIMIT, WHOLE, framing};
use crate::decode::tokio_util_length_codec;
use crate::feed::{Feed, ready};
use crate::rounds::{Contender, passes};

/// The payload sizes.
pub const SIZES: [usize; 6] = [16, 100, 1000, 4 << 10, 64 << 10, 1 << 20];
/// The ways to use a codec: the last part of the case's name, and its contenders.
pub const WAYS: [(&str, Way); 3] = [("dropped", dropped), ("kept", kept), ("written", written)];

/// The contenders of one way.
pub type Way = for<'a> fn(&'a Frames) -> Vec<Contender<'a>>;

/// The frames of a size.
#[must_use]
pub fn frames(size: usize) -> Frames {
    Frames::new(vec![size; ((1 << 20) / size).clamp(16, 4096)])
}

fn dropped(frames: &Frames) -> Vec<Contender<'_>> {
    readers(frames, false)
}

fn kept(frames: &Frames) -> Vec<Contender<'_>> {
    readers(frames, true)
}

fn readers(frames: &Frames, keep: bool) -> Vec<Contender<'_>> {
    let mut reserved = PayloadCodec::new(framing::<U32Be>());
    reserved.reserve_announced(LIMIT);
    vec![
        reader("unstick", frames, keep, PayloadCodec::new(framing::<U32Be>())),
        reader("unstick-reserved", frames, keep, reserved),
        reader("unstick-whole", frames, keep, WholeFrameCodec::new(framing::<U32Be>())),
        reader("tokio-util", frames, keep, tokio_util_length_codec()),
    ]
}

fn reader<'a, C>(name: &str, frames: &'a Frames, keep: bool, codec: C) -> Contender<'a>
where
    C: Decoder<Item = BytesMut> + 'a,
    C::Error: std::fmt::Debug,
{
    let mut reader = FramedRead::new(Feed::new(frames.wire::<U32Be>(), WHOLE), codec);
    let (count, len) = (frames.count(), frames.lens[0]);
    let mut payloads = Vec::with_capacity(count);
    passes(name, move || {
        ready(async {
            for _ in 0..count {
                let payload = black_box(reader.next().await.unwrap().unwrap());
                assert!(payload.len() >= len);
                if keep {
                    payloads.push(payload);
                }
            }
        });
        payloads.clear();
    })
}

fn written(frames: &Frames) -> Vec<Contender<'_>> {
    vec![
        writer("unstick", frames, PayloadCodec::new(framing::<U32Be>())),
        writer("tokio-util", frames, tokio_util_length_codec()),
    ]
}

fn writer<'a, C>(name: &str, frames: &'a Frames, mut codec: C) -> Contender<'a>
where
    C: Encoder<Bytes> + 'a,
    <C as Encoder<Bytes>>::Error: std::fmt::Debug,
{
    let payload = Bytes::copy_from_slice(frames.payload(0));
    let (mut out, count) = (BytesMut::with_capacity(8 * 1024), frames.count());
    passes(name, move || {
        for _ in 0..count {
            codec.encode(payload.clone(), &mut out).unwrap();
            // As `Framed` would write it.
            if black_box(&out).len() >= 8 * 1024 {
                out.clear();
            }
        }
    })
}
