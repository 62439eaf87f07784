//! The adapters over `embedded_io_async`: as those over `embedded_io`, with every call dropped wherever
//! it waits.

use std::ops::Range;

use embedded_io_async::ErrorKind;
use unstick::embedded_io_async::{FrameReader, FrameWriter, WriteError};
use unstick::{FrameBuf, Framing, Kind, RecoverError, StorageError, V1};
use unstick_testing::chunks::Subject;
use unstick_testing::embedded::{
    Adapter, Heard, Lent, Read_, Reads, Room, Searches, Write_, Writes, adapter_tests, lent, room,
    wire_of,
};
use unstick_testing::script::{Drain, Source, Step, attempt, run};

/// Every call is dropped after so many polls.
struct Dropping<T> {
    inner: T,
    polls: usize,
}

struct Async;

adapter_tests!(Async);

impl Adapter for Async {
    type Reader<F: Subject> = Dropping<FrameReader<Source, Room, F>>;

    fn reader<F: Subject>(source: Source, buf: FrameBuf<Room, F>, polls: usize) -> Self::Reader<F> {
        Dropping { inner: FrameReader::with_buf(source, buf), polls }
    }

    fn reader_of<F: Subject>(
        source: Source,
        room: Room,
        framing: Framing<F>,
    ) -> Result<Self::Reader<F>, StorageError> {
        Ok(Dropping { inner: FrameReader::with_framing(source, room, framing)?, polls: 1 })
    }

    fn searcher(source: Source, buf: FrameBuf<Room>, polls: usize) -> impl Searches {
        Dropping { inner: FrameReader::with_buf(source, buf), polls }
    }

    fn writer(drain: Drain, room: Room, framing: Framing, polls: usize) -> impl Writes {
        Dropping { inner: FrameWriter::with_framing(drain, room, framing), polls }
    }
}

impl<F: Subject> Reads<F> for Dropping<FrameReader<Source, Room, F>> {
    fn next_frame(&mut self) -> Read_<Option<Lent>> {
        attempt(self.polls, async {
            self.inner.next_frame().await.map(|frame| frame.map(lent::<F>))
        })
    }

    fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.inner.buf_mut().skip_frame()
    }

    fn reset(&mut self) {
        self.inner.reset();
    }

    fn position(&self) -> u64 {
        self.inner.buf().position()
    }

    fn limit(&self) -> u64 {
        self.inner.buf().framing().limit()
    }

    fn into_inner(self) -> (Source, FrameBuf<Room, F>) {
        self.inner.into_inner()
    }
}

impl Searches for Dropping<FrameReader<Source, Room>> {
    fn resync(&mut self) -> Read_<u64> {
        attempt(self.polls, self.inner.resync())
    }

    fn next_or_resync(&mut self) -> Read_<Option<Heard>> {
        attempt(self.polls, async {
            self.inner.next_or_resync().await.map(|next| next.map(Heard::of))
        })
    }
}

impl Writes for Dropping<FrameWriter<Drain, Room>> {
    fn send(&mut self, kind: Kind, payload: &[u8]) -> Write_ {
        attempt(self.polls, self.inner.send(kind, payload))
    }

    fn feed(&mut self, kind: Kind, payload: &[u8]) -> Write_ {
        attempt(self.polls, self.inner.feed(kind, payload))
    }

    fn begin(&mut self, kind: Kind, payload_len: u64) -> Write_ {
        attempt(self.polls, self.inner.begin(kind, payload_len))
    }

    fn payload(&mut self, bytes: &[u8]) -> Write_ {
        attempt(self.polls, self.inner.payload(bytes))
    }

    fn finish(&mut self) -> Result<(), WriteError<ErrorKind>> {
        self.inner.finish()
    }

    fn flush(&mut self) -> Write_ {
        attempt(self.polls, self.inner.flush())
    }

    fn get_ref(&self) -> &Drain {
        self.inner.get_ref()
    }

    fn into_inner(self) -> (Drain, Room, Range<usize>) {
        self.inner.into_inner()
    }
}

/// The frames before and behind it arrive, and of a frame that is longer than the storage nothing or
/// all; else the writer says that the stream is of no use.
#[test]
fn a_writer_dropped_at_every_await_writes_whole_frames_or_says_so() {
    // spec: STR-8
    let frames = [vec![1; 5], vec![2; 30], vec![3; 4]];
    let (mut forgotten, mut cut, mut whole) = (0, 0, 0);
    for polls in 0..100 {
        // Every byte is awaited.
        let steps = (0..300).map(|i| [Step::Pending, Step::Move(1)][i % 2]);
        let mut writer = FrameWriter::new(Drain::new(steps), [0; 16]);
        run(writer.feed(Kind::BINARY, &frames[0])).unwrap();
        let accepted = attempt(polls, writer.feed(Kind::BINARY, &frames[1])).is_some();
        let before = writer.get_ref().bytes.len();
        match run(writer.send(Kind::BINARY, &frames[2])) {
            Ok(()) if accepted => {
                whole += 1;
                assert_eq!(writer.get_ref().bytes, wire_of(&frames));
            }
            Ok(()) => {
                forgotten += 1;
                let others = [frames[0].clone(), frames[2].clone()];
                assert_eq!(writer.get_ref().bytes, wire_of(&others));
            }
            Err(WriteError::Poisoned) => {
                cut += 1;
                assert!(!accepted && (14..51).contains(&before), "{before} bytes were written");
                assert_eq!(writer.get_ref().bytes.len(), before, "nothing follows what was cut");
                assert_eq!(run(writer.flush()), Err(WriteError::Poisoned));
            }
            Err(error) => panic!("{error}"),
        }
    }
    // 13 waits for the first frame; the second one's bytes but the last; and all others.
    assert_eq!((forgotten, cut, whole), (15, 37, 48));
}

/// What fits is accepted before a call can wait, so that a dropped flush leaves it to the next.
#[test]
fn a_flush_dropped_at_every_await_goes_on() {
    let steps = (0..100).map(|i| [Step::Pending, Step::Move(1)][i % 2]);
    let mut writer = FrameWriter::new(Drain::new(steps), [0; 64]);
    assert_eq!(attempt(1, writer.send(Kind::BINARY, b"first")), None);
    assert_eq!(attempt(1, writer.feed(Kind::BINARY, b"second")), Some(Ok(())));
    let mut dropped = 0;
    while attempt(1, writer.flush()).is_none() {
        dropped += 1;
    }
    assert_eq!((dropped, writer.get_ref().flushed), (26, 27));
    assert_eq!(writer.get_ref().bytes, wire_of(&[b"first".to_vec(), b"second".to_vec()]));
}

/// A header or a run that waits for room was not accepted; a run that was cut poisons.
#[test]
fn a_streamed_frame_dropped_at_every_await_goes_on_or_poisons() {
    // spec: STR-8
    let payload = vec![7; 40];
    for polls in 0..100 {
        let steps = (0..300).map(|i| [Step::Pending, Step::Move(1)][i % 2]);
        let mut writer = FrameWriter::new(Drain::new(steps), [0; 16]);
        run(writer.feed(Kind::BINARY, &[1; 8])).unwrap();
        while attempt(polls.max(1), writer.begin(Kind::BINARY, 40)).is_none() {}
        let run_accepted = attempt(polls, writer.payload(&payload)).is_some();
        let written = writer.get_ref().bytes.len();
        let rest = if run_accepted { &[][..] } else { &payload };
        match run(writer.payload(rest)) {
            Ok(()) => {
                writer.finish().unwrap();
                run(writer.flush()).unwrap();
                assert_eq!(writer.get_ref().bytes, wire_of(&[vec![1; 8], payload.clone()]));
                assert!(run_accepted || written <= 24, "{written} bytes were written");
            }
            Err(WriteError::Poisoned) => assert!(!run_accepted && (25..64).contains(&written)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Both ends over a pipe of embassy, which is a transport like any other.
#[test]
fn frames_pass_through_a_pipe_of_embassy() {
    use embassy_sync::blocking_mutex::raw::NoopRawMutex;
    use embassy_sync::pipe::Pipe;

    let pipe = Pipe::<NoopRawMutex, 5>::new();
    let mut storage = [0; 32];
    let mut writer = FrameWriter::with_framing(&pipe, &mut storage[..], V1);
    let mut reader = FrameReader::new(&pipe, [0; 100]);
    let sends = async {
        for len in 0..90_u8 {
            writer.send(Kind::BINARY, &vec![len; len.into()]).await.unwrap();
        }
    };
    let reads = async {
        for len in 0..90_u8 {
            let frame = reader.next_frame().await.unwrap().unwrap();
            assert_eq!(frame.payload, vec![len; len.into()]);
        }
    };
    run(futures::future::join(sends, reads));
    let (_, buf) = reader.into_inner();
    assert!(buf.unread().is_empty() && room(0).is_empty());
}
