//! Promise 2: progress. Every piece consumes at least one byte, and a call that returns no piece has
//! consumed all of its input. Requirements: STR-4, STR-6, STR-7, SEC-1.
//!
//! The driver in `conformance/src/drive.rs`, which runs in all tests of promise 1, checks the same at
//! every step.

use unstick::{Decoder, FrameBuf, Framing};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, Part, every_format, stream};

use crate::support::{payloads, text};

/// Storages from a bare header on, frames of every length up to the limit, reads of every length.
// spec: SEC-1
#[test]
fn there_is_always_room_after_the_last_frame() {
    for room in 8..=24 {
        let limit = room - 8;
        let mut sent = Vec::new();
        for len in (0..=limit).chain((0..=limit).rev()) {
            sent.extend(text(&vec![len as u8; len]));
        }
        for read in 1..=room {
            let mut buf = FrameBuf::new(vec![0; room].leak());
            let (mut frames, mut at) = (0, 0);
            while at < sent.len() {
                let spare = buf.spare();
                assert!(!spare.is_empty());
                let n = spare.len().min(read).min(sent.len() - at);
                spare[..n].copy_from_slice(&sent[at..at + n]);
                buf.commit(n);
                at += n;
                frames += payloads(&mut buf).len();
            }
            buf.finish().unwrap();
            assert_eq!(frames, 2 * (limit + 1));
        }
    }
}

/// Streams that are sound, damaged and cut short, in pieces of every size.
fn streams<F: Subject>(format: &F) -> Vec<Vec<u8>> {
    let frame = |meta, len| Part::Frame { meta, len, fill: 0xF5 };
    let sound = [frame(1, 2), frame(2, 0), frame(3, 9), frame(4, 0), frame(5, 1)];
    let damaged = [frame(1, 3), Part::Flip { back: 5, bit: 6 }, frame(2, 0), frame(3, 4)];
    let noise = [frame(1, 1), Part::Bytes(vec![0x80, 0xF5, 0x01, 0xFF]), frame(2, 2)];
    [&sound[..], &damaged[..], &noise[..]].map(|parts| stream(format, parts)).to_vec()
}

/// A decoder that consumes nothing returns an error, and one that returns no piece has consumed all:
/// a loop over its input ends after at most as many rounds as there are bytes.
// spec: STR-4, STR-6, STR-7
#[test]
fn every_piece_makes_progress_and_only_empty_input_gives_none() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(8);
        for sent in streams(format) {
            for size in 1..=sent.len() {
                let mut decoder = Decoder::with_framing(framing.clone());
                assert_eq!(decoder.decode(&mut &[][..]), Ok(None));
                'stream: for chunk in sent.chunks(size) {
                    let mut input = chunk;
                    loop {
                        let (before, at) = (input.len(), decoder.position());
                        let piece = decoder.decode(&mut input).map(|piece| piece.is_some());
                        let consumed = before - input.len();
                        assert_eq!(decoder.position(), at + consumed as u64);
                        match piece {
                            Ok(true) => assert!(consumed > 0, "{framing:?} {size} {sent:02x?}"),
                            Ok(false) => {
                                assert!(input.is_empty(), "{framing:?} {size} {sent:02x?}");
                                break;
                            }
                            Err(_) => break 'stream,
                        }
                    }
                }
            }
        }
    }
    every_format!(formats::layouts(), check);
}
