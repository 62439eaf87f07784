//! The laws of a [`Mark`], checked for one mark: over all short inputs of an alphabet and over random
//! long ones. And a plain decoder by `push` alone, with which tests compare.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

use super::{Mark, Unit, unescape};
use crate::error::{EncodeError, FrameError};

/// All frames of an input, and the content so far of one that has begun.
pub(super) type Decoded = (Vec<Result<Vec<u8>, FrameError>>, Option<Vec<u8>>);

/// Decodes by `push` alone. A refused frame is dropped up to its end.
pub(super) fn decode<M: Mark>(mark: &M, bytes: &[u8]) -> Decoded {
    decode_from_start(mark, bytes).0
}

/// Decodes by `push`, and `end` after that if a frame has begun.
pub(super) fn decode_to_end<M: Mark>(mark: &M, bytes: &[u8]) -> Decoded {
    let ((mut frames, mut rest), mut state) = decode_from_start(mark, bytes);
    let mut held = 0;
    while let Some(content) = &mut rest {
        match mark.end(&mut state) {
            Unit::Held(byte) => {
                content.push(byte);
                held += 1;
                assert!(held <= bytes.len(), "more was held back than was pushed: {bytes:02x?}");
            }
            Unit::End => {
                assert_eq!(state, M::State::default());
                frames.push(Ok(rest.take().unwrap()));
            }
            Unit::Nothing => break,
            unit => panic!("{unit:?} at the stream's end"),
        }
    }
    (frames, rest)
}

fn decode_from_start<M: Mark>(mark: &M, bytes: &[u8]) -> (Decoded, M::State) {
    let (mut state, mut frames) = (M::State::default(), Vec::new());
    let (mut rest, mut refused) = (None::<Vec<u8>>, None);
    for &byte in bytes {
        for unit in push(mark, &mut state, byte) {
            match unit {
                Unit::Idle => continue,
                Unit::Nothing => drop(rest.get_or_insert_default()),
                Unit::Byte(byte) | Unit::Held(byte) => rest.get_or_insert_default().push(byte),
                Unit::End => {
                    let content = rest.take().unwrap_or_default();
                    frames.push(refused.take().map_or(Ok(content), Err));
                }
                Unit::Refused { error, ended } => {
                    rest.get_or_insert_default();
                    let error = refused.take().unwrap_or(error);
                    if ended {
                        rest = None;
                        frames.push(Err(error));
                    } else {
                        refused = Some(error);
                    }
                }
            }
        }
    }
    ((frames, rest), state)
}

/// Encodes content that is one slice.
pub(super) fn encode<M: Mark>(mark: &M, content: &[u8]) -> Result<Vec<u8>, EncodeError> {
    encode_runs(mark, &[content])
}

fn encode_runs<M: Mark>(mark: &M, content: &[&[u8]]) -> Result<Vec<u8>, EncodeError> {
    let mut written = Vec::new();
    mark.encode(content, &mut |run| written.extend_from_slice(run)).map(|()| written)
}

/// Pushes a byte until it is taken, and checks the states that units leave.
fn push<M: Mark>(mark: &M, state: &mut M::State, byte: u8) -> Vec<Unit> {
    let mut units = Vec::with_capacity(1);
    loop {
        let before = *state;
        let unit = mark.push(state, byte);
        units.push(unit);
        match unit {
            Unit::Idle => assert_eq!([before, *state], [M::State::default(); 2], "{unit:?}"),
            Unit::End | Unit::Refused { ended: true, .. } => {
                assert_eq!(*state, M::State::default(), "{unit:?}");
            }
            _ => {}
        }
        if !matches!(unit, Unit::Held(_)) {
            return units;
        }
        assert!(units.len() <= 256, "{byte:#x} is held back without end");
    }
}

/// Pushes bytes, and returns what they mean, without those that mean nothing yet.
fn push_all<M: Mark>(mark: &M, state: &mut M::State, bytes: &[u8]) -> Vec<Unit> {
    let mut units = Vec::new();
    for &byte in bytes {
        units.extend(push(mark, state, byte).into_iter().filter_map(|unit| match unit {
            Unit::Nothing => None,
            Unit::Held(byte) => Some(Unit::Byte(byte)),
            unit => Some(unit),
        }));
    }
    units
}

/// Checks all laws of a mark. `write` writes a frame without asking whether its content may be written:
/// the mark's encoder must write the same if it comes back, and refuse it if not.
pub(super) fn check<M: Mark>(mark: &M, alphabet: &[u8], write: impl Fn(&[u8]) -> Vec<u8>) {
    for len in 0..=6 {
        let mut digits = vec![0; len];
        loop {
            let bytes: Vec<u8> = digits.iter().map(|&digit| alphabet[digit]).collect();
            check_one(mark, &bytes, &write, 1);
            // The next number of `len` digits.
            let Some(place) = digits.iter().position(|&digit| digit + 1 < alphabet.len()) else {
                break;
            };
            digits[..place].fill(0);
            digits[place] += 1;
        }
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..400 {
        let mut bytes = Vec::new();
        let max_len = if round % 4 == 0 { 1000 } else { 60 };
        let len = random.below(max_len);
        while bytes.len() < len {
            let byte = alphabet[random.below(alphabet.len())];
            // Single bytes, runs of one byte, runs of a pair, and any bytes.
            match random.below(8) {
                0 => bytes.extend(vec![byte; random.below(300)]),
                1 => {
                    let other = alphabet[random.below(alphabet.len())];
                    bytes.extend([byte, other].repeat(random.below(300)));
                }
                2 => {
                    bytes.extend((0..random.below(40)).map(|_| random.below(256).to_le_bytes()[0]))
                }
                _ => bytes.push(byte),
            }
        }
        check_one(mark, &bytes, &write, 1 + bytes.len() / 12);
    }
    let mut last = 0;
    for len in (0..2000).chain([u64::from(u32::MAX), u64::MAX - 1, u64::MAX]) {
        assert!(mark.max_wire_len(len) >= last.max(len));
        last = mark.max_wire_len(len);
    }
}

fn check_one<M: Mark>(mark: &M, bytes: &[u8], write: &dyn Fn(&[u8]) -> Vec<u8>, step: usize) {
    check_fast_paths(mark, bytes, step);
    check_frames(mark, bytes);
    check_encoder(mark, bytes, write, step);
}

/// `run` and `produced` are the same as `push`, from every state that is reached.
fn check_fast_paths<M: Mark>(mark: &M, bytes: &[u8], step: usize) {
    let mut state = M::State::default();
    for (at, &byte) in bytes.iter().enumerate() {
        // From the default state `rest` is an input of its own.
        if at % step == 0 && (at == 0 || state != M::State::default()) {
            let rest = &bytes[at..];
            let mut expected = state;
            let pushed = push_all(mark, &mut expected, rest);
            let mut after = state;
            let run = mark.run(&mut after, rest);
            let mut found: Vec<_> = rest[..run].iter().copied().map(Unit::Byte).collect();
            found.extend(push_all(mark, &mut after, &rest[run..]));
            assert_eq!((found, after), (pushed, expected), "run from {state:?}: {rest:02x?}");

            let mut after = state;
            let (taken, content) = mark.produced(&mut after, rest);
            let mut expected = state;
            let pushed = push_all(mark, &mut expected, &rest[..taken]);
            let found: Vec<_> = content.iter().copied().map(Unit::Byte).collect();
            assert_eq!((found, after), (pushed, expected), "produced from {state:?}: {rest:02x?}");
            assert!(taken == 0 || !content.is_empty(), "nothing produced: {rest:02x?}");
        }
        push(mark, &mut state, byte);
    }
}

/// Lengths, `whole` and `unescape`, for every frame.
fn check_frames<M: Mark>(mark: &M, bytes: &[u8]) {
    let (mut state, mut start) = (M::State::default(), 0);
    let (mut content, mut refused) = (Vec::new(), false);
    for (at, &byte) in bytes.iter().enumerate() {
        let units = push(mark, &mut state, byte);
        let wire_len = (at + 1 - start) as u64;
        for unit in units {
            match unit {
                Unit::Idle => start = at + 1,
                Unit::Nothing => {}
                Unit::Byte(byte) | Unit::Held(byte) => content.push(byte),
                Unit::Refused { ended: false, .. } => refused = true,
                Unit::Refused { ended: true, .. } | Unit::End => {
                    let frame = &bytes[start..=at];
                    let good = unit == Unit::End && !refused;
                    check_whole(mark, frame, &bytes[start..], good.then_some(&content[..]));
                    if good {
                        assert!(wire_len <= mark.max_wire_len(content.len() as u64));
                    }
                    (start, refused) = (at + 1, false);
                    content.clear();
                }
            }
        }
        assert!((content.len() as u64) <= wire_len, "content longer than its frame: {bytes:02x?}");
        if start <= at && !refused {
            let max = mark.max_wire_len(content.len() as u64);
            assert!(wire_len < max, "{wire_len} of {max}, not ended: {bytes:02x?}");
        }
    }
    if start < bytes.len() {
        assert_eq!(mark.whole(&bytes[start..]), None, "not whole: {:02x?}", &bytes[start..]);
    }
    if M::VERBATIM {
        let (frames, rest) = decode_to_end(mark, bytes);
        if rest.is_none() && start < bytes.len() {
            assert_eq!(frames.last(), Some(&Ok(bytes[start..].to_vec())), "at the stream's end");
        }
    }
}

/// `content` is that of `frame`, if the frame is good. `bytes` begin with the frame.
fn check_whole<M: Mark>(mark: &M, frame: &[u8], bytes: &[u8], content: Option<&[u8]>) {
    let shapes = [mark.whole(frame), mark.whole(bytes)];
    assert_eq!(shapes[0], shapes[1], "whole depends on what follows: {bytes:02x?}");
    let Some(content) = content else {
        return assert_eq!(shapes[0], None, "a refused frame: {frame:02x?}");
    };
    let (mut copy, mut plain_copy) = (frame.to_vec(), frame.to_vec());
    let range = mark.unescape(&mut copy);
    assert_eq!(copy[range.clone()], *content, "{frame:02x?}");
    let default_range = unescape(mark, &mut plain_copy);
    assert_eq!(plain_copy[default_range], *content, "{frame:02x?}");
    if M::VERBATIM {
        assert_eq!(frame[..content.len()], *content, "{frame:02x?}");
    }
    if let Some(shape) = shapes[0] {
        assert_eq!(shape.frame_len, frame.len());
        assert_eq!(shape.content_len, content.len(), "{frame:02x?}");
        assert_eq!(range, shape.start..shape.start + content.len(), "{frame:02x?}");
        assert!(!shape.plain || frame[range] == *content, "{frame:02x?}");
    }
}

/// The encoder writes what comes back, and refuses all else, in whatever slices the content is.
fn check_encoder<M: Mark>(mark: &M, content: &[u8], write: &dyn Fn(&[u8]) -> Vec<u8>, step: usize) {
    let wire = write(content);
    let comes_back = decode(mark, &wire) == (vec![Ok(content.to_vec())], None);
    let encoded = encode(mark, content);
    assert_eq!(encoded.is_ok(), comes_back, "{encoded:?} for {content:02x?}");
    if let Ok(encoded) = &encoded {
        assert_eq!(*encoded, wire, "{content:02x?}");
        assert!(encoded.len() as u64 <= mark.max_wire_len(content.len() as u64));
    }
    for place in (0..=content.len()).step_by(step) {
        let (a, b) = content.split_at(place);
        let (c, d) = b.split_at(b.len() / 2);
        assert_eq!(encode_runs(mark, &[a, &[], c, d, &[]]), encoded, "{a:02x?} {c:02x?} {d:02x?}");
    }
}

/// A generator that returns the same numbers in each run: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}
