//! What the adapters over `embedded_io` and `embedded_io_async` both have to keep: each test body is
//! written once, for an [`Adapter`]. `adapter_tests!` makes tests of them all.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::ops::Range;

use embedded_io::{Error as _, ErrorKind, ErrorType, Read, Write};
use unstick::embedded_io::{ReadError, WriteError};
use unstick::engine::Next;
use unstick::{
    DecodeError, Decoder, EncodeError, Format, FrameBuf, Framing, HeaderError, Kind, RecoverError,
    StorageError, V1,
};

use crate::chunks::Subject;
use crate::formats::{self, Part, every_format, stream};
use crate::oracle::{self, Outcome, Policy};
use crate::script::{Drain, Script, Source, Step};

impl ErrorType for Source {
    type Error = ErrorKind;
}

impl ErrorType for Drain {
    type Error = ErrorKind;
}

/// What a step that is no move comes to; `None` where the transport has to wait.
pub fn ends(step: Step) -> Option<Result<usize, ErrorKind>> {
    match step {
        Step::Fail(io::ErrorKind::Interrupted) => Some(Err(ErrorKind::Interrupted)),
        Step::Fail(_) => Some(Err(ErrorKind::ConnectionReset)),
        Step::Nothing => Some(Ok(0)),
        Step::Pending | Step::Move(_) => None,
    }
}

/// The most that a blocking call moves; it waits as long as it has to.
fn moves(script: &mut Script) -> Result<usize, Result<usize, ErrorKind>> {
    loop {
        match script.next() {
            Ok(most) => return Ok(most),
            Err(step) => {
                if let Some(end) = ends(step) {
                    return Err(end);
                }
            }
        }
    }
}

impl Source {
    pub fn give(&mut self, most: usize, buf: &mut [u8]) -> usize {
        assert!(!buf.is_empty(), "a read into no room would look like the end of the stream");
        let bytes = self.next_bytes(most.min(buf.len()));
        buf[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        moves(&mut self.script).map_or_else(|end| end, |most| Ok(self.give(most, buf)))
    }
}

impl Write for Drain {
    fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        assert!(!buf.is_empty(), "a write of nothing");
        moves(&mut self.script)
            .map_or_else(|end| end, |most| Ok(self.put(&[IoSlice::new(buf)], most)))
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.flushed = self.bytes.len();
        Ok(())
    }
}

/// What a call came to; `None` if it was dropped before its end.
pub type Call<T, E> = Option<Result<T, E>>;
pub type Read_<T> = Call<T, ReadError<ErrorKind>>;
pub type Write_ = Call<(), WriteError<ErrorKind>>;

/// A frame as the oracle writes it: meta, header, payload.
pub type Lent = (Vec<u8>, Vec<u8>, Vec<u8>);

pub type Room = Box<[u8]>;

/// A reader, whose calls may be dropped and are then made again.
pub trait Reads<F: Format> {
    fn next_frame(&mut self) -> Read_<Option<Lent>>;
    fn skip_frame(&mut self) -> Result<(), RecoverError>;
    fn reset(&mut self);
    fn position(&self) -> u64;
    fn limit(&self) -> u64;
    fn into_inner(self) -> (Source, FrameBuf<Room, F>);
}

/// One that can search.
pub trait Searches: Reads<V1> {
    fn resync(&mut self) -> Read_<u64>;
    fn next_or_resync(&mut self) -> Read_<Option<Heard>>;
}

/// [`Next`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Frame(Lent),
    Skipped { error: DecodeError, bytes: u64 },
}

impl Heard {
    pub fn of(next: Next<'_>) -> Self {
        match next {
            Next::Frame(frame) => Self::Frame(lent::<V1>(frame)),
            Next::Skipped { error, bytes } => Self::Skipped { error, bytes },
        }
    }
}

pub fn lent<F: Subject>(frame: unstick::Frame<'_, F::Meta>) -> Lent {
    (F::describe(&frame.meta), frame.header_bytes().to_vec(), frame.payload.to_vec())
}

/// A writer, whose calls may be dropped.
pub trait Writes {
    fn send(&mut self, kind: Kind, payload: &[u8]) -> Write_;
    fn feed(&mut self, kind: Kind, payload: &[u8]) -> Write_;
    fn begin(&mut self, kind: Kind, payload_len: u64) -> Write_;
    fn payload(&mut self, bytes: &[u8]) -> Write_;
    fn finish(&mut self) -> Result<(), WriteError<ErrorKind>>;
    fn flush(&mut self) -> Write_;
    fn get_ref(&self) -> &Drain;
    fn into_inner(self) -> (Drain, Room, Range<usize>);
}

/// The adapter that a body is run with. Calls are dropped after `patience` waits, if they can be.
pub trait Adapter {
    type Reader<F: Subject>: Reads<F>;

    fn reader<F: Subject>(
        source: Source,
        buf: FrameBuf<Room, F>,
        patience: usize,
    ) -> Self::Reader<F>;
    fn reader_of<F: Subject>(
        source: Source,
        room: Room,
        framing: Framing<F>,
    ) -> Result<Self::Reader<F>, StorageError>;
    fn searcher(source: Source, buf: FrameBuf<Room>, patience: usize) -> impl Searches;
    fn writer(drain: Drain, room: Room, framing: Framing, patience: usize) -> impl Writes;
}

/// The same numbers in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 33) % n as u64).unwrap()
    }

    /// How a transport behaves: moves of at most `most` bytes, waits, interruptions, failures.
    pub fn steps(&mut self, count: usize, most: usize) -> Vec<Step> {
        (0..count)
            .map(|_| match self.below(10) {
                0 => Step::Fail(io::ErrorKind::Interrupted),
                1 => Step::Fail(io::ErrorKind::ConnectionReset),
                2..5 => Step::Pending,
                _ => Step::Move(1 + self.below(most)),
            })
            .collect()
    }
}

pub fn room(len: usize) -> Room {
    vec![0xF5; len].into_boxed_slice() // what stands in a storage does not matter
}

pub fn wire_of(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for payload in payloads {
        Framing::new(V1).encode(Kind::BINARY, payload, &mut wire).unwrap();
    }
    wire
}

/// Makes a call until it is not dropped and the transport does not fail.
fn insist<T: Debug>(mut call: impl FnMut() -> Read_<T>) -> Result<T, DecodeError> {
    loop {
        match call() {
            None | Some(Err(ReadError::Io(ErrorKind::ConnectionReset))) => {}
            Some(Ok(value)) => return Ok(value),
            Some(Err(ReadError::Decode(error))) => return Err(error),
            Some(error) => panic!("{error:?}"),
        }
    }
}

/// All that a reader reports of a stream of `len` bytes, as the oracle would.
fn report<F: Subject, R: Reads<F>>(
    reader: &mut R,
    len: u64,
    policy: Policy,
    mut resync: impl FnMut(&mut R) -> Read_<u64>,
) -> Vec<Outcome> {
    let mut out = Vec::new();
    loop {
        let error = match insist(|| reader.next_frame()) {
            Ok(Some((meta, header, payload))) => {
                let at = reader.position() - (header.len() + payload.len()) as u64;
                out.push(Outcome::Frame { at, meta, header, payload });
                continue;
            }
            Ok(None) => {
                assert_eq!(insist(|| reader.next_frame()), Ok(None), "the end is the end");
                out.push(Outcome::End);
                return out;
            }
            Err(error) => error,
        };
        assert_eq!(insist(|| reader.next_frame()), Err(error), "errors latch");
        let at_end = matches!(error, DecodeError::Truncated { .. });
        out.push(Outcome::Error { error, position: if at_end { len } else { reader.position() } });
        if at_end {
            return out;
        }
        if policy.skip && matches!(error, DecodeError::Oversize { .. }) {
            reader.skip_frame().unwrap();
            continue;
        }
        if !policy.resync {
            return out;
        }
        match insist(|| resync(reader)) {
            Ok(skipped) => out.push(Outcome::Found { skipped }),
            Err(error) => {
                assert_eq!(insist(|| resync(reader)), Err(error), "errors latch");
                assert_eq!(insist(|| reader.next_frame()), Err(error), "errors latch");
                out.push(Outcome::Error { error, position: len });
                return out;
            }
        }
    }
}

/// What the oracle says of it, as a read buffer can tell it.
fn expected<F: Subject>(format: &F, limit: u64, bytes: &[u8], policy: Policy) -> Vec<Outcome> {
    let (_, mut outcomes) = oracle::outcomes(format, limit, bytes, policy);
    outcomes.retain(|outcome| !matches!(outcome, Outcome::Begun { .. }));
    outcomes
}

/// Frames of all sizes up to one that is just too long, one of them announced and cut, and noise.
fn streams<F: Subject>(format: &F, limit: u64) -> Vec<Vec<u8>> {
    let frame = |meta, len| Part::Frame { meta, len, fill: 0x40 };
    let whole = [0, 1, limit / 2, limit, 2].map(|len| frame(len, len.min(limit)));
    let with = |parts: &[Part]| stream(format, &[&whole[..], parts].concat());
    let mut all = vec![
        Vec::new(),
        with(&[]),
        with(&[frame(1, limit + 1), frame(2, 1), frame(3, limit + 40), frame(4, 0)]),
        with(&[Part::Header { meta: 5, len: limit, keep: 99 }]),
        with(&[Part::Header { meta: 5, len: limit, keep: 99 }, Part::Bytes(b"some".to_vec())]),
        with(&[Part::Header { meta: 5, len: limit, keep: 1 }]),
        with(&[Part::Bytes(b"\xff\xffnoise\0\0\0 that is none of the format's".to_vec())]),
        with(&[Part::Flip { back: 1, bit: 7 }, frame(6, 3), frame(7, 3)]),
    ];
    all.sort();
    all.dedup();
    all
}

fn reads_format<A: Adapter, F: Subject>(format: &F, _: std::marker::PhantomData<A>) {
    let longest = format.max_header_len();
    let framing = Framing::new(format.clone());
    for (room_len, set) in [(longest + 40, None), (300, None), (longest + 40, Some(17))] {
        let framing = match set {
            Some(limit) => framing.clone().with_limit(limit),
            None => framing.clone(),
        };
        let limit = framing.limit().min((room_len - longest) as u64);
        for (i, bytes) in streams(format, limit).iter().enumerate() {
            for (cut, policy) in
                [(1, Policy::STOP), (3, Policy::SKIP), (7, Policy::SKIP), (9999, Policy::STOP)]
            {
                let buf = FrameBuf::with_framing(room(room_len), framing.clone()).unwrap();
                let mut dice = Dice::new((i * 31 + cut) as u64);
                let steps = dice.steps(2 * bytes.len() / cut + 9, cut);
                let source = Source::new(bytes, steps);
                let mut reader = A::reader(source, buf, 1 + i % 3);
                assert_eq!(reader.limit(), limit);
                let found = report(&mut reader, bytes.len() as u64, policy, |_| unreachable!());
                let want = expected(format, limit, bytes, policy);
                assert_eq!(found, want, "{format:?}, {limit}, {cut}, {policy:?}, {bytes:02x?}");
            }
        }
    }
}

/// Every format, in pieces of any size, over a transport that waits and fails: what the oracle says.
pub fn every_format_is_read_as_the_oracle_says<A: Adapter>() {
    // spec: STR-2, STR-6, LIM-7
    every_format!(formats::some_layouts(), reads_format, std::marker::PhantomData::<A>);
}

/// Two frames, cut at every byte.
pub fn every_end_is_classified<A: Adapter>() {
    // spec: STR-6
    let bytes = wire_of(&[b"one".to_vec(), vec![], b"last".to_vec()]);
    for end in 0..=bytes.len() {
        for patience in [1, 2] {
            let steps = (0..2 * end).map(|i| [Step::Pending, Step::Move(1)][i % 2]);
            let source = Source::new(&bytes[..end], steps);
            let mut reader = A::reader(source, FrameBuf::new(room(64)), patience);
            let found = report(&mut reader, end as u64, Policy::STOP, |_| unreachable!());
            assert_eq!(found, expected(&V1, 56, &bytes[..end], Policy::STOP));
        }
    }
}

/// A serial line: some bytes are lost, some damaged, some come from nowhere. Says where each frame
/// that kept all of its bytes stands now.
fn disturb(frames: &[Vec<u8>], dice: &mut Dice, one_in: usize) -> (Vec<u8>, Vec<(usize, usize)>) {
    let (mut line, mut whole) = (Vec::new(), Vec::new());
    for (number, frame) in frames.iter().enumerate() {
        let begins = line.len();
        let mut is_whole = true;
        for (i, byte) in frame.iter().enumerate() {
            match dice.below(3 * one_in) {
                0 => is_whole = false,
                1 => {
                    line.push(byte ^ 1 << dice.below(8));
                    is_whole = false;
                }
                2 => {
                    line.extend([[0xF5, 1, 2, 0, 0][dice.below(5)], *byte]);
                    is_whole &= i == 0; // in front of it, it is no part of it
                }
                _ => line.push(*byte),
            }
        }
        if is_whole {
            whole.push((number, line.len() - frame.len()));
        }
        assert!(line.len() >= begins);
    }
    (line, whole)
}

/// Frames whose payloads begin with their numbers, some of them longer than a small storage holds.
fn numbered(count: usize, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut frame = |number: usize| {
        let mut payload = (number as u32).to_be_bytes().to_vec();
        payload.extend((0..dice.below(40)).map(|i| [0xF5, 0x01, 0x02, 0, 0, 0, 3][i % 7]));
        if dice.below(5) == 0 {
            payload.extend(wire_of(&[vec![1; dice.below(30)]])); // looks like a frame, and is none
        }
        wire_of(&[payload])
    };
    (0..count).map(&mut frame).collect()
}

/// What `next_or_resync` says where the oracle reports this.
fn heard(outcomes: Vec<Outcome>) -> (Vec<Heard>, Result<(), DecodeError>) {
    let mut heard = Vec::new();
    let mut failure = None;
    for outcome in outcomes {
        match outcome {
            Outcome::Frame { meta, header, payload, .. } => {
                heard.push(Heard::Frame((meta, header, payload)));
            }
            Outcome::Error { error, .. } => failure = Some(error),
            Outcome::Found { skipped: bytes } => {
                heard.push(Heard::Skipped { error: failure.take().unwrap(), bytes });
            }
            Outcome::End => {}
            Outcome::Begun { .. } => unreachable!(),
        }
    }
    (heard, failure.map_or(Ok(()), Err))
}

/// On a line that loses, damages and inserts bytes every position and every count is that of a naive
/// scan, and every frame that kept its bytes arrives unless a damaged one swallows it.
pub fn a_lossy_line_is_read_as_a_naive_scan_would<A: Adapter>() {
    // spec: SYN-4, SYN-6
    let mut counts = [0; 3];
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let frames = numbered(30, &mut dice);
        let one_in = [15, 40, 150][dice.below(3)];
        let (line, whole) = disturb(&frames, &mut dice, one_in);
        let room_len = [60, 64, 200][dice.below(3)];
        let limit = room_len as u64 - 8;
        let policy = if seed % 2 == 0 { Policy::RESYNC } else { Policy::BOTH };
        let most = [1, 8, 300][dice.below(3)];
        let source = |dice: &mut Dice| Source::new(&line, dice.steps(line.len(), most));

        let mut reader =
            A::searcher(source(&mut dice), FrameBuf::new(room(room_len)), 1 + dice.below(3));
        let found = report(&mut reader, line.len() as u64, policy, |reader| reader.resync());
        assert_eq!(found, expected(&V1, limit, &line, policy), "seed {seed}");

        let want = expected(&V1, limit, &line, Policy::RESYNC);
        let (want_heard, want_end) = heard(want.clone());
        let mut reader =
            A::searcher(source(&mut dice), FrameBuf::new(room(room_len)), 1 + dice.below(3));
        let (mut found, mut skipped) = (Vec::new(), 0);
        let end = loop {
            match insist(|| reader.next_or_resync()) {
                Ok(Some(Heard::Skipped { error, bytes })) => {
                    assert_eq!(error.at() + bytes, reader.position());
                    skipped += bytes;
                    found.push(Heard::Skipped { error, bytes });
                }
                Ok(Some(heard)) => found.push(heard),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(insist(|| reader.next_or_resync()).err(), end.err(), "errors latch");
        assert_eq!((&found, end), (&want_heard, want_end), "seed {seed}");

        // All bytes are in frames, were skipped, or stand at the end.
        let mut taken = skipped;
        let mut delivered = Vec::new();
        for outcome in &want {
            if let Outcome::Frame { at, header, payload, .. } = outcome {
                let (at, len) = (*at as usize, header.len() + payload.len());
                delivered.push((at, len));
                taken += len as u64;
            }
        }
        let tail = match end {
            Ok(()) => 0,
            Err(DecodeError::Unsynchronized { skipped, .. }) => skipped,
            Err(_) => line.len() as u64 - reader.position(),
        };
        assert_eq!(taken + tail, line.len() as u64, "seed {seed}");
        for (number, at) in whole {
            let arrived = delivered.iter().any(|frame| *frame == (at, frames[number].len()));
            let swallowed =
                delivered.iter().any(|(from, len)| (from + 1..from + len).contains(&at));
            let in_tail = matches!(end, Err(DecodeError::Truncated { .. }));
            let unfinished = in_tail && at as u64 > reader.position();
            let oversize = frames[number].len() > room_len;
            assert!(
                arrived || swallowed || unfinished || oversize,
                "seed {seed}: frame {number} was lost"
            );
            counts[0] += usize::from(arrived);
            counts[1] += usize::from(swallowed);
        }
        counts[2] += found.iter().filter(|heard| matches!(heard, Heard::Skipped { .. })).count();
    }
    assert!(counts.iter().all(|count| *count > 30), "too little happened: {counts:?}");
}

/// Bytes that are no frame, right up to the end; and a reader that did not fail searches nothing.
pub fn a_search_ends_where_the_stream_does<A: Adapter>() {
    let bytes = [b"?".to_vec(), wire_of(&[b"hi".to_vec()])].concat();
    let ends_early = [Step::Move(1), Step::Nothing];
    let mut reader = A::searcher(Source::new(&bytes, ends_early), FrameBuf::new(room(64)), 1);
    assert_eq!(insist(|| reader.resync()), Ok(0));
    let end = DecodeError::Unsynchronized { at: 1, skipped: 1 };
    assert_eq!(insist(|| reader.next_or_resync()), Err(end));
    assert_eq!(insist(|| reader.next_or_resync()), Err(end));
    assert_eq!(reader.skip_frame(), Err(RecoverError::Failed(end)));
    // A new stream may begin behind the end.
    reader.reset();
    let next = insist(|| reader.next_or_resync());
    assert!(matches!(next, Ok(Some(Heard::Frame((_, _, payload)))) if payload == b"hi"));
    assert_eq!((insist(|| reader.next_or_resync()), reader.position()), (Ok(None), 10));

    // A search that was begun by hand is ended by either call.
    let bytes = [b"noise".to_vec(), wire_of(&[b"hi".to_vec()])].concat();
    for by_hand in [false, true] {
        let failing = [Step::Move(3), Step::Fail(io::ErrorKind::TimedOut)];
        let mut reader = A::searcher(Source::new(&bytes, failing), FrameBuf::new(room(64)), 1);
        let at = DecodeError::Header { at: 0, error: HeaderError::BadMagic { found: b'n' } };
        assert_eq!(insist(|| reader.next_frame()), Err(at));
        assert_eq!(reader.resync(), Some(Err(ReadError::Io(ErrorKind::ConnectionReset))));
        let error = DecodeError::Unsynchronized { at: 3, skipped: 3 };
        if by_hand {
            assert_eq!(insist(|| reader.resync()), Ok(5));
        } else {
            let found = insist(|| reader.next_or_resync());
            assert_eq!(found, Ok(Some(Heard::Skipped { error, bytes: 5 })));
        }
        let Ok(Some(Heard::Frame((_, _, payload)))) = insist(|| reader.next_or_resync()) else {
            panic!("no frame");
        };
        assert_eq!((payload, insist(|| reader.next_or_resync())), (b"hi".to_vec(), Ok(None)));
    }
    // And one that was begun by `next_or_resync`, by `resync`: the next error is told as it is.
    let bytes = [&bytes[..], b"x", &bytes[5..]].concat();
    let failing = [Step::Move(3), Step::Fail(io::ErrorKind::TimedOut)];
    let mut reader = A::searcher(Source::new(&bytes, failing), FrameBuf::new(room(64)), 1);
    assert_eq!(reader.next_or_resync(), Some(Err(ReadError::Io(ErrorKind::ConnectionReset))));
    assert_eq!(insist(|| reader.resync()), Ok(5));
    assert!(matches!(insist(|| reader.next_or_resync()), Ok(Some(Heard::Frame(_)))));
    let error = DecodeError::Header { at: 15, error: HeaderError::BadMagic { found: b'x' } };
    let found = insist(|| reader.next_or_resync());
    assert_eq!(found, Ok(Some(Heard::Skipped { error, bytes: 1 })));
}

/// A storage holds its length less a header, and one that is shorter than a header is an error.
pub fn a_storage_bounds_what_is_read<A: Adapter>() {
    // spec: LIM-4
    let refused = A::reader_of(Source::new(b"", []), room(107), Framing::new(V1).with_limit(100));
    assert_eq!(refused.err(), Some(StorageError { needed: 108, room: 107 }));
    let framing = Framing::new(V1).with_limit(100);
    let bytes = wire_of(&[vec![1; 100], vec![2; 101]]);
    let Ok(mut reader) =
        A::reader_of(Source::new(&bytes, [Step::Move(1); 300]), room(108), framing)
    else {
        panic!("it fits");
    };
    assert_eq!(insist(|| reader.next_frame()).unwrap().unwrap().2, vec![1; 100]);
    let error = DecodeError::Oversize { at: 108, len: 101, limit: 100 };
    assert_eq!(insist(|| reader.next_frame()), Err(error));

    let bytes = [b"???".to_vec(), wire_of(&[vec![]])].concat();
    for len in 0..8 {
        let room_of =
            |from| A::searcher(Source::new(&bytes[from..], []), FrameBuf::new(room(len)), 1);
        let mut reader = room_of(3);
        let error = insist(|| reader.next_frame()).unwrap_err();
        let needed = if len == 0 { 1 } else { 8 };
        assert_eq!(error, DecodeError::NoRoom { at: 0, needed, room: len });
        assert_eq!(insist(|| reader.next_frame()), Err(error));
        assert_eq!(insist(|| reader.next_or_resync()), Err(error));
        assert_eq!(insist(|| reader.resync()), Err(error));

        let mut reader = room_of(0);
        let error = insist(|| reader.next_or_resync()).unwrap_err();
        let at = if len == 0 { 0 } else { 3 };
        assert_eq!(error, DecodeError::NoRoom { at, needed, room: len });
        assert_eq!(insist(|| reader.next_or_resync()), Err(error));
    }
}

/// Nothing is lost between two owners of the transport.
pub fn unread_bytes_come_back_and_go_in_again<A: Adapter>() {
    let bytes = wire_of(&[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    let mut buf = FrameBuf::new(room(64));
    buf.extend(&bytes[..5]);
    let mut reader = A::reader(Source::new(&bytes[5..], [Step::Move(20)]), buf, 1);
    assert_eq!(insist(|| reader.next_frame()).unwrap().unwrap().2, b"one");
    let (mut source, buf) = reader.into_inner();
    assert_eq!(buf.unread(), &bytes[11..25]);
    let (storage, unread) = buf.into_parts();
    let mut rest = storage[unread].to_vec();
    let mut more = [0; 64];
    let n = source.give(64, &mut more);
    rest.extend(&more[..n]);
    assert_eq!(rest, &bytes[11..]);
}

/// A payload that no storage holds is read by the decoder, in pieces, whatever the chunks.
pub fn a_payload_larger_than_the_storage_passes_both_ways<A: Adapter>() {
    let payload: Vec<u8> = (0..5000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let mut writer = A::writer(Drain::default(), room(16), Framing::new(V1), 9);
    assert_eq!(writer.begin(Kind::BINARY, 5000), Some(Ok(())));
    let mut rest = &payload[..];
    for len in [0, 1, 7, 8, 9, 100, 1, 16, 17, 4841].iter().cycle() {
        let (now, later) = rest.split_at((*len).min(rest.len()));
        assert_eq!(writer.payload(now), Some(Ok(())));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(writer.finish(), Ok(()));
    assert_eq!(writer.send(Kind::BINARY, &payload), Some(Ok(())));
    let (drain, _, pending) = writer.into_inner();
    assert!(pending.is_empty());
    assert_eq!(drain.bytes, wire_of(&[payload.clone(), payload.clone()]));
    // The second one: a full storage, and the rest from where it is.
    let writes = &drain.writes[drain.writes.len() - 2..];
    assert_eq!((writes[0][0].1, writes[1][0]), (16, (payload[8..].as_ptr(), 4992)));

    let mut source = Source::new(&drain.bytes, []);
    let mut decoder = Decoder::new();
    let (mut chunk, mut found) = ([0; 16], Vec::<u8>::new());
    loop {
        let n = source.give(99, &mut chunk);
        if n == 0 {
            break;
        }
        for piece in decoder.pieces(&chunk[..n]) {
            found.extend(piece.unwrap().bytes);
        }
    }
    decoder.finish().unwrap();
    assert_eq!(found, [&payload[..], &payload].concat());
}

pub fn what_fits_is_collected_and_written_together<A: Adapter>() {
    let mut writer = A::writer(Drain::default(), room(40), Framing::new(V1), 9);
    for _ in 0..3 {
        assert_eq!(writer.feed(Kind::TEXT, b"12345"), Some(Ok(())));
    }
    assert_eq!(writer.get_ref().writes.len(), 0);
    assert_eq!(writer.feed(Kind::TEXT, b""), Some(Ok(()))); // no room: first the others
    assert_eq!((writer.get_ref().writes.len(), writer.get_ref().bytes.len()), (1, 39));
    assert_eq!(writer.get_ref().flushed, 0);
    assert_eq!(writer.flush(), Some(Ok(())));
    assert_eq!((writer.get_ref().writes.len(), writer.get_ref().flushed), (2, 47));
    assert_eq!(writer.feed(Kind::TEXT, b"kept"), Some(Ok(())));
    let (drain, room, pending) = writer.into_inner();
    let mut kept = vec![0; 12];
    assert_eq!(Framing::new(V1).encode_into(Kind::TEXT, b"kept", &mut kept), Ok(12));
    assert_eq!((&room[pending], drain.bytes.len()), (&kept[..], 47));
}

/// A transport that takes nothing is an error, no endless loop, and nothing is lost or doubled.
pub fn a_write_of_nothing_is_an_error<A: Adapter>() {
    let writer = |steps: &[Step]| {
        A::writer(Drain::new(steps.iter().copied()), room(16), Framing::new(V1), 9)
    };
    let accepted = |accepted| Some(Err(WriteError::WriteZero { accepted }));
    let mut sends = writer(&[Step::Nothing, Step::Move(2), Step::Nothing]);
    assert_eq!(sends.send(Kind::BINARY, b"1"), accepted(true));
    assert_eq!(sends.flush(), accepted(true));
    assert_eq!(sends.flush(), Some(Ok(())));
    assert_eq!(sends.get_ref().bytes, wire_of(&[b"1".to_vec()]));

    let mut feeds = writer(&[Step::Nothing]);
    assert_eq!(feeds.feed(Kind::BINARY, &[7; 8]), Some(Ok(())));
    assert_eq!(feeds.feed(Kind::BINARY, &[8; 8]), accepted(false));
    assert_eq!(feeds.feed(Kind::BINARY, &[9; 100]), Some(Ok(())));
    assert_eq!(feeds.get_ref().bytes, wire_of(&[vec![7; 8], vec![9; 100]]));

    let mut cut = writer(&[Step::Move(20), Step::Nothing]);
    assert_eq!(cut.feed(Kind::BINARY, &[9; 100]), accepted(false));
    assert_eq!(cut.flush(), Some(Err(WriteError::Poisoned)));
}

const BROKEN: Write_ = Some(Err(WriteError::Io(ErrorKind::ConnectionReset)));
const POISONED: Write_ = Some(Err(WriteError::Poisoned));

/// Everything is refused, and nothing behind what was cut is written.
fn is_poisoned(mut writer: impl Writes) {
    let written = writer.get_ref().bytes.len();
    for _ in 0..2 {
        assert_eq!(writer.feed(Kind::TEXT, b"behind"), POISONED);
        assert_eq!(writer.begin(Kind::TEXT, 1), POISONED);
        assert_eq!(writer.payload(b"1"), POISONED);
        assert_eq!(Some(writer.finish()), POISONED);
        assert_eq!(writer.flush(), POISONED);
    }
    let (drain, _, pending) = writer.into_inner();
    assert_eq!((drain.bytes.len(), pending.len()), (written, 0));
}

pub fn a_half_written_frame_poisons_and_says_so<A: Adapter>() {
    // spec: STR-8
    let fail = Step::Fail(io::ErrorKind::BrokenPipe);
    let writer = |moves: &[usize]| {
        let steps = moves.iter().map(|n| Step::Move(*n)).chain([fail]);
        A::writer(Drain::new(steps), room(16), Framing::new(V1), 9)
    };
    // A whole frame: before its first byte nothing has happened; then in its header, in what the
    // storage has of it, and in the rest.
    let mut early = writer(&[]);
    assert_eq!(early.feed(Kind::BINARY, &[1; 100]), BROKEN);
    assert_eq!(early.send(Kind::BINARY, &[2; 3]), Some(Ok(())));
    assert_eq!(early.get_ref().bytes, wire_of(&[vec![2; 3]]));
    for moves in [&[1][..], &[15], &[16], &[16, 1], &[16, 91]] {
        let mut cut = writer(moves);
        assert_eq!(cut.feed(Kind::BINARY, &[1; 100]), BROKEN);
        is_poisoned(cut);
    }
    // A run of a streamed frame's payload: only in itself.
    for moves in [&[][..], &[3], &[8]] {
        let mut early = writer(moves);
        assert_eq!(early.begin(Kind::BINARY, 100), Some(Ok(())));
        assert_eq!(early.payload(&[1; 100]), BROKEN);
        assert_eq!(early.payload(&[1; 100]), Some(Ok(())));
        assert_eq!(early.finish(), Ok(()));
        assert_eq!(early.get_ref().bytes, wire_of(&[vec![1; 100]]));
    }
    for moves in [[8, 1], [8, 99]] {
        let mut cut = writer(&moves);
        assert_eq!(cut.begin(Kind::BINARY, 100), Some(Ok(())));
        assert_eq!(cut.payload(&[1; 100]), BROKEN);
        is_poisoned(cut);
    }
    // What fits is never cut: it is written on.
    let mut kept = writer(&[5]);
    let flush = Some(Err(WriteError::Flush(ErrorKind::ConnectionReset)));
    assert_eq!(kept.send(Kind::BINARY, &[1; 8]), flush);
    assert_eq!(kept.send(Kind::BINARY, &[2; 8]), Some(Ok(())));
    assert_eq!(kept.get_ref().bytes, wire_of(&[vec![1; 8], vec![2; 8]]));
}

/// What a writer refuses changes nothing.
pub fn a_writer_refuses_what_is_no_frame<A: Adapter>() {
    // spec: STR-8
    let framing = Framing::new(V1).with_limit(50);
    let mut writer = A::writer(Drain::default(), room(16), framing, 9);
    let refused = |error: EncodeError| Some(Err(WriteError::Encode(error)));
    let oversize = refused(EncodeError::Oversize { len: 51, limit: 50 });
    assert_eq!(writer.feed(Kind::BINARY, &[0; 51]), oversize);
    assert_eq!(writer.begin(Kind::BINARY, 51), oversize);
    assert_eq!(writer.payload(b""), refused(EncodeError::NoFrame));
    assert_eq!(Some(writer.finish()), refused(EncodeError::NoFrame));
    assert_eq!(writer.begin(Kind::BINARY, 2), Some(Ok(())));
    assert_eq!(writer.payload(b"1"), Some(Ok(())));
    let unfinished = refused(EncodeError::Unfinished { missing: 1 });
    assert_eq!(writer.feed(Kind::BINARY, b""), unfinished);
    assert_eq!(writer.feed(Kind::BINARY, &[0; 40]), unfinished);
    assert_eq!(writer.begin(Kind::BINARY, 1), unfinished);
    assert_eq!(writer.payload(b"23"), refused(EncodeError::Excess { len: 2, missing: 1 }));
    assert_eq!(writer.payload(&[0; 40]), refused(EncodeError::Excess { len: 40, missing: 1 }));
    assert_eq!(writer.payload(b"2"), Some(Ok(())));
    // A complete frame need not be ended before the next one, whichever way that is sent.
    assert_eq!(writer.feed(Kind::BINARY, &[3; 40]), Some(Ok(())));
    assert_eq!(Some(writer.finish()), refused(EncodeError::NoFrame));
    assert_eq!(writer.begin(Kind::BINARY, 0), Some(Ok(())));
    assert_eq!(writer.begin(Kind::BINARY, 0), Some(Ok(())));
    assert_eq!(writer.send(Kind::BINARY, b"4"), Some(Ok(())));
    assert_eq!(Some(writer.finish()), refused(EncodeError::NoFrame));
    let sent = wire_of(&[b"12".to_vec(), vec![3; 40], vec![], vec![], b"4".to_vec()]);
    assert_eq!(writer.get_ref().bytes, sent);
    // One that is ended short is of no use.
    assert_eq!(writer.begin(Kind::BINARY, 2), Some(Ok(())));
    assert_eq!(Some(writer.finish()), refused(EncodeError::Unfinished { missing: 2 }));
    is_poisoned(writer);

    for len in 0..8 {
        let mut writer = A::writer(Drain::default(), room(len), framing, 9);
        let no_room = refused(EncodeError::NoRoom { needed: 8, room: len });
        assert_eq!(writer.send(Kind::BINARY, b""), no_room);
        assert_eq!(writer.begin(Kind::BINARY, 1), no_room);
        assert_eq!(writer.flush(), Some(Ok(())));
        assert!(writer.get_ref().bytes.is_empty());
    }
    let mut least = A::writer(Drain::default(), room(8), framing, 9);
    assert_eq!(least.send(Kind::BINARY, &[5; 40]), Some(Ok(())));
    assert_eq!(least.send(Kind::BINARY, b""), Some(Ok(())));
    assert_eq!(least.get_ref().bytes, wire_of(&[vec![5; 40], vec![]]));
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted,
    Refused,
    /// A dropped `send` does not say it.
    Unsure,
}

/// Over a transport that moves little, waits and fails, and with calls that are dropped, what was
/// accepted is written, once and in order, and nothing else; or the writer is poisoned for a reason.
pub fn what_was_accepted_is_written_and_nothing_else<A: Adapter>() {
    let mut ends = [0; 2];
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let steps = dice.steps(60, 30);
        let room_len = [8, 20, 64][dice.below(3)];
        let patience = 1 + dice.below(4);
        let mut writer = A::writer(Drain::new(steps), room(room_len), Framing::new(V1), patience);
        let mut tried: Vec<(Vec<u8>, Fate)> = Vec::new();
        // Whether the call before may have left a part of a frame behind.
        let (mut doubt, mut poisoned) = (false, false);
        for number in 0..20 {
            let mut payload = vec![number];
            payload.resize(1 + [0, 3, 11, 12, 13, 40, 150][dice.below(7)], 0xEE);
            let is_longer = payload.len() + 8 > room_len;
            let op = dice.below(4);
            let outcome = match op {
                0 => writer.flush(),
                1 => writer.send(Kind::BINARY, &payload),
                2 => writer.feed(Kind::BINARY, &payload),
                _ => match writer.begin(Kind::BINARY, payload.len() as u64) {
                    Some(Ok(())) => stream_out(&mut writer, &payload, &mut dice),
                    refused => refused,
                },
            };
            let fate = match &outcome {
                Some(Ok(())) => Fate::Accepted,
                Some(Err(WriteError::Flush(_))) => Fate::Accepted,
                Some(Err(WriteError::Poisoned)) => {
                    // A streamed frame tries each run until it is accepted, or told this.
                    assert!(poisoned || doubt || op == 3, "seed {seed}: poisoned for nothing");
                    poisoned = true;
                    Fate::Refused
                }
                Some(Err(WriteError::Io(_))) => Fate::Refused,
                None if op == 1 => Fate::Unsure,
                None => Fate::Refused,
                Some(Err(error)) => panic!("seed {seed}: {error}"),
            };
            assert!(!poisoned || outcome == POISONED, "seed {seed}: a poisoned writer says so");
            doubt = op != 3 && is_longer && fate != Fate::Accepted;
            if op != 0 && !poisoned {
                tried.push((payload, fate));
            }
        }
        let end = loop {
            match writer.flush() {
                None | Some(Err(WriteError::Flush(_))) => {}
                Some(result) => break result,
            }
        };
        let bytes = &writer.get_ref().bytes;
        let mut decoder = Decoder::new();
        let (mut arrived, mut begun) = (Vec::new(), Vec::<u8>::new());
        decoder
            .for_each(bytes, |piece| {
                begun.extend(piece.bytes);
                if piece.last {
                    arrived.push(std::mem::take(&mut begun));
                }
            })
            .unwrap();
        let mut due = tried.iter();
        for payload in &arrived {
            loop {
                let (next, fate) = due.next().expect("a frame that nobody sent, or twice");
                if next == payload {
                    assert_ne!(*fate, Fate::Refused, "seed {seed}");
                    break;
                }
                assert_ne!(*fate, Fate::Accepted, "seed {seed}: a frame was lost");
            }
        }
        match end {
            Ok(()) => {
                assert!(due.all(|(_, fate)| *fate != Fate::Accepted), "seed {seed}: lost");
                assert_eq!((decoder.finish(), writer.get_ref().flushed), (Ok(()), bytes.len()));
                ends[0] += 1;
            }
            Err(WriteError::Poisoned) => {
                assert!(decoder.finish().is_err(), "seed {seed}: poisoned for nothing");
                ends[1] += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(ends.iter().all(|count| *count > 20), "one of the ends was seen too seldom: {ends:?}");
}

/// The payload of a begun frame, in runs. Where one is not accepted it is given again, unless the
/// writer says that it is too late.
fn stream_out(writer: &mut impl Writes, payload: &[u8], dice: &mut Dice) -> Write_ {
    let mut rest = payload;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(1 + dice.below(60)));
        match writer.payload(now) {
            Some(Ok(())) => rest = later,
            None | Some(Err(WriteError::Io(_))) => {}
            poisoned => return poisoned,
        }
    }
    Some(writer.finish())
}

/// What a log shows, and what generic code asks for.
pub fn errors_say_what_they_are<A: Adapter>() {
    let io = ReadError::Io(ErrorKind::TimedOut);
    let decode = ReadError::<ErrorKind>::from(DecodeError::Oversize { at: 7, len: 9, limit: 8 });
    assert_eq!(
        (io.kind(), io.code(), io.to_string().as_str()),
        (ErrorKind::TimedOut, None, "TimedOut")
    );
    assert_eq!((decode.kind(), decode.code()), (ErrorKind::InvalidData, Some(0x0005)));
    assert!(decode.to_string().starts_with("byte 7: the frame announces"), "{decode}");
    let writes = [
        (WriteError::Io(ErrorKind::Other), ErrorKind::Other, "Other"),
        (WriteError::Flush(ErrorKind::TimedOut), ErrorKind::TimedOut, "TimedOut"),
        (
            WriteError::WriteZero { accepted: true },
            ErrorKind::WriteZero,
            "the transport took no byte",
        ),
        (EncodeError::NoFrame.into(), ErrorKind::InvalidInput, "no frame was begun"),
        (WriteError::Poisoned, ErrorKind::BrokenPipe, "a frame was written only in part"),
    ];
    for (error, kind, text) in writes {
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(std::error::Error::source(&error).is_none());
    }
}

/// A test for each body.
#[macro_export]
macro_rules! adapter_tests {
    ($adapter:ty) => {
        $crate::adapter_tests! { @ $adapter,
            every_format_is_read_as_the_oracle_says
            every_end_is_classified
            a_lossy_line_is_read_as_a_naive_scan_would
            a_search_ends_where_the_stream_does
            a_storage_bounds_what_is_read
            unread_bytes_come_back_and_go_in_again
            a_payload_larger_than_the_storage_passes_both_ways
            what_fits_is_collected_and_written_together
            a_write_of_nothing_is_an_error
            a_half_written_frame_poisons_and_says_so
            a_writer_refuses_what_is_no_frame
            what_was_accepted_is_written_and_nothing_else
            errors_say_what_they_are
        }
    };
    (@ $adapter:ty, $($body:ident)+) => {$(
        #[test]
        fn $body() {
            $crate::embedded::$body::<$adapter>();
        }
    )+};
}
pub use adapter_tests;
