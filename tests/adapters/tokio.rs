//! The tokio adapters: nothing lost and nothing twice, however the transport cuts, waits, fails,
//! and wherever a call is dropped.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use unstick::tokio::{FrameReader, FrameStream, FrameWriter, ReadError, WriteError};
use unstick::{
    DecodeError, EncodeError, Format, Framing, Header, HeaderError, Kind, Parsed, Part, U16Be,
    U32Be, V1,
};
use unstick_testing::script::{Drain, Source, Step, attempt, poll_once, run};

/// Sizes around everything that the adapters treat apart.
fn payloads() -> Vec<Vec<u8>> {
    [0, 1, 7, 8, 9, 100, 5000, 32_767, 32_768, 32_769, 70_000]
        .iter()
        .enumerate()
        .map(|(i, &len)| vec![u8::try_from(i).unwrap(); len])
        .collect()
}

fn wire_of(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for payload in payloads {
        Framing::new(V1).encode(Kind::BINARY, payload, &mut wire).unwrap();
    }
    wire
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..20).prop_map(Step::Move),
        2 => (1_usize..10_000).prop_map(Step::Move),
        3 => Just(Step::Pending),
        1 => Just(Step::Fail(ErrorKind::Interrupted)),
        1 => Just(Step::Fail(ErrorKind::ConnectionReset)),
    ]
}

/// The frames that a reader saw, and how the stream ended.
type Seen<M> = (Vec<(M, Vec<u8>)>, Result<(), DecodeError>);

/// What a reader sees; every call is dropped after `patience` polls and made again.
fn read_all<F: Format>(reader: &mut FrameReader<Source, F>, patience: usize) -> Seen<F::Meta> {
    let mut frames = Vec::new();
    loop {
        let mut call = Box::pin(reader.next_frame());
        let mut polls = 0;
        let result = loop {
            if let Poll::Ready(result) = poll_once(call.as_mut()) {
                break Some(result);
            }
            polls += 1;
            if polls == patience {
                break None;
            }
        };
        match result {
            None => {}
            Some(Ok(Some(frame))) => frames.push((frame.meta, frame.payload.to_vec())),
            Some(Ok(None)) => return (frames, Ok(())),
            Some(Err(ReadError::Decode(error))) => return (frames, Err(error)),
            Some(Err(ReadError::Io(error))) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

#[test]
fn a_reader_dropped_at_every_await_loses_nothing() {
    // spec: STR-2, STR-6
    let payloads = payloads();
    let wire = wire_of(&payloads[..8]);
    // Every byte is awaited, and every call dropped at its first wait.
    let steps = (0..2 * wire.len()).map(|i| [Step::Pending, Step::Move(1)][i % 2]);
    let mut reader = FrameReader::new(Source::new(&wire, steps));
    let (frames, end) = read_all(&mut reader, 1);
    assert_eq!(frames, payloads[..8].iter().map(|p| (Kind::BINARY, p.clone())).collect::<Vec<_>>());
    assert_eq!(end, Ok(()));
}

proptest! {
    #[test]
    fn a_reader_delivers_what_was_sent(
        steps in prop::collection::vec(step(), 0..200),
        patience in 1_usize..4,
        count in 0_usize..12,
        cut in any::<prop::sample::Index>(),
    ) {
        let payloads = payloads();
        let payloads = &payloads[..count.min(payloads.len())];
        let wire = wire_of(payloads);
        let mut reader = FrameReader::new(Source::new(&wire, steps.clone()));
        let (frames, end) = read_all(&mut reader, patience);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(frames.len(), payloads.len());
        for (frame, payload) in frames.iter().zip(payloads) {
            prop_assert_eq!(&frame.1, payload);
        }

        // The same stream cut anywhere ends as the decoder alone says.
        let cut = cut.index(wire.len() + 1);
        let mut decoder = unstick::Decoder::new();
        let mut whole = 0;
        decoder.for_each(&wire[..cut], |piece| whole += usize::from(piece.last)).unwrap();
        let mut reader = FrameReader::new(Source::new(&wire[..cut], steps));
        let (frames, end) = read_all(&mut reader, patience);
        prop_assert_eq!(frames.len(), whole);
        prop_assert_eq!(end, decoder.finish());
    }

    #[test]
    fn a_writer_sends_whole_frames_or_says_that_it_did_not(
        steps in prop::collection::vec(step(), 0..60),
        ops in prop::collection::vec((0_u8..5, 0_usize..11, 1_usize..5), 1..40),
    ) {
        let sizes = payloads();
        let mut writer = FrameWriter::new(Drain::new(steps));
        // Each frame begins with its number. Only of a dropped `send` the caller cannot know whether
        // its frame was accepted.
        let (mut accepted, mut unsure, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        let mut poisoned = false;
        for (i, (op, size, patience)) in ops.into_iter().enumerate() {
            let number = u32::try_from(i).unwrap();
            let payload = [&number.to_be_bytes()[..], &sizes[size]].concat();
            let outcome = match op {
                0 => attempt(patience, writer.flush()),
                1 | 2 => attempt(patience, writer.send(Kind::BINARY, &payload)),
                _ => attempt(patience, writer.feed(Kind::BINARY, &payload)),
            };
            match outcome {
                Some(Ok(())) if op == 0 => prop_assert!(!poisoned),
                Some(Ok(())) => {
                    prop_assert!(!poisoned);
                    accepted.push(number);
                }
                Some(Err(WriteError::Poisoned)) => poisoned = true,
                Some(Err(WriteError::Flush(_))) => {
                    prop_assert!(!poisoned, "a poisoned writer says so at once");
                    prop_assert!(op <= 2, "feeding does not flush");
                    if op != 0 {
                        accepted.push(number);
                    }
                }
                Some(Err(WriteError::Io(_))) => {
                    prop_assert!(!poisoned, "a poisoned writer says so at once");
                    prop_assert!(op != 0, "a flush accepts nothing");
                    // It was not accepted; a large one may have been begun.
                    if payload.len() >= 32 * 1024 {
                        given_up.push(number);
                    }
                }
                None => {
                    prop_assert!(!poisoned, "a poisoned writer says so at once");
                    match op {
                        0 => {}
                        1 | 2 => unsure.push(number),
                        _ if payload.len() >= 32 * 1024 => given_up.push(number),
                        _ => {}
                    }
                }
                Some(Err(error)) => panic!("{error}"),
            }
        }
        // A call that was dropped at the very end shows in the next one.
        let last = loop {
            match run(writer.flush()) {
                Err(WriteError::Flush(_)) => {}
                result => break result,
            }
        };
        let (drain, kept) = writer.into_inner();
        let mut decoder = unstick::Decoder::new();
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        let mut whole = 0;
        decoder.for_each(&drain.bytes, |piece| {
            if piece.header.is_some() {
                payloads.push(Vec::new());
            }
            payloads.last_mut().unwrap().extend(piece.bytes);
            whole += usize::from(piece.last);
        }).unwrap();
        payloads.truncate(whole);
        let numbers: Vec<u32> = payloads.iter()
            .map(|payload| u32::from_be_bytes(payload[..4].try_into().unwrap()))
            .collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice: {:?}", numbers);
        for number in &numbers {
            prop_assert!(accepted.contains(number) || unsure.contains(number), "{}", number);
        }
        match last {
            Ok(()) => {
                prop_assert_eq!(decoder.finish(), Ok(()));
                prop_assert!(kept.is_empty());
                prop_assert_eq!(drain.flushed, drain.bytes.len());
                for number in &accepted {
                    prop_assert!(numbers.contains(number), "{} was lost", number);
                }
            }
            Err(WriteError::Poisoned) => {
                // It was a large one: part of it is on the wire, and nothing behind it.
                prop_assert!(!given_up.is_empty() || !unsure.is_empty());
                prop_assert!(decoder.finish().is_err(), "poisoned for nothing");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_small_frame_is_never_half_written_by_a_dropped_call() {
    let mut writer = FrameWriter::new(Drain::new([Step::Pending, Step::Move(3), Step::Pending]));
    assert!(attempt(1, writer.send(Kind::TEXT, b"first")).is_none());
    assert!(attempt(1, writer.flush()).is_none(), "three bytes were written");
    run(writer.send(Kind::TEXT, b"second")).unwrap();
    let (drain, _) = writer.into_inner();
    let mut expected = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"first", &mut expected).unwrap();
    Framing::new(V1).encode(Kind::TEXT, b"second", &mut expected).unwrap();
    assert_eq!(drain.bytes, expected);
}

#[test]
fn a_large_frame_dropped_before_its_first_byte_is_forgotten_and_later_poisons() {
    // spec: STR-8
    let large = vec![7; 50_000];
    let mut writer = FrameWriter::new(Drain::new([Step::Pending, Step::Pending]));
    run(writer.feed(Kind::TEXT, b"before")).unwrap();
    assert!(attempt(1, writer.feed(Kind::BINARY, &large)).is_none());
    run(writer.send(Kind::TEXT, b"after")).unwrap();
    let (drain, _) = writer.into_inner();
    let mut expected = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"before", &mut expected).unwrap();
    Framing::new(V1).encode(Kind::TEXT, b"after", &mut expected).unwrap();
    assert_eq!(drain.bytes, expected, "the dropped frame left no header");

    let mut writer = FrameWriter::new(Drain::new([Step::Move(100), Step::Pending]));
    assert!(attempt(1, writer.feed(Kind::BINARY, &large)).is_none());
    for _ in 0..2 {
        assert!(matches!(run(writer.send(Kind::TEXT, b"after")), Err(WriteError::Poisoned)));
        assert!(matches!(run(writer.flush()), Err(WriteError::Poisoned)));
        assert!(matches!(run(writer.shutdown()), Err(WriteError::Poisoned)));
    }
    assert_eq!(writer.get_ref().bytes.len(), 100, "nothing follows what was cut");
}

#[test]
fn large_payloads_are_written_from_where_they_are_and_small_ones_together() {
    let large = vec![7; 50_000];
    let mut writer = FrameWriter::new(Drain::default());
    for _ in 0..100 {
        run(writer.feed(Kind::TEXT, b"small")).unwrap();
    }
    assert!(writer.get_ref().writes.is_empty(), "collected");
    run(writer.feed(Kind::BINARY, &large)).unwrap();
    let (drain, kept) = writer.into_inner();
    assert_eq!(drain.writes.len(), 1, "all in one write");
    assert_eq!(drain.writes[0][1], (large.as_ptr(), large.len()), "and the payload not copied");
    assert_eq!(drain.writes[0][0].1, 100 * 13 + 8);
    assert!(kept.is_empty());
}

/// A frame that is refused, or whose call was dropped, changes nothing, so that the complete one
/// before it can still be finished.
#[test]
fn a_frame_that_was_not_accepted_ends_none_before_it() {
    let framing = Framing::new(V1).with_limit(50_000);
    let mut writer = FrameWriter::with_framing(Drain::new([Step::Pending]), framing);
    run(async {
        writer.begin(Kind::TEXT, 2).await.unwrap();
        writer.payload(b"hi").await.unwrap();
        let refused = writer.feed(Kind::BINARY, &[0; 50_001]).await;
        assert!(matches!(refused, Err(WriteError::Encode(EncodeError::Oversize { .. }))));
    });
    assert!(attempt(1, writer.feed(Kind::BINARY, &[0; 50_000])).is_none());
    writer.finish().unwrap();
    run(async {
        writer.begin(Kind::TEXT, 0).await.unwrap();
        writer.send(Kind::BINARY, &[1; 50_000]).await.unwrap();
    });
    let over = writer.finish();
    assert!(matches!(over, Err(WriteError::Encode(EncodeError::NoFrame))), "{over:?}");
    let mut expected = Vec::new();
    for (kind, payload) in
        [(Kind::TEXT, &b"hi"[..]), (Kind::TEXT, b""), (Kind::BINARY, &[1; 50_000])]
    {
        framing.encode(kind, payload, &mut expected).unwrap();
    }
    assert_eq!(writer.get_ref().bytes, expected);
}

/// The sink keeps a large payload without a copy until it is written. The complete streamed frame before it
/// has ended nevertheless.
#[test]
fn a_large_frame_of_a_sink_ends_the_streamed_frame_before_it() {
    use futures::SinkExt;

    let framing = Framing::new(V1);
    let mut writer = FrameWriter::with_framing(Drain::new([]), framing);
    let frame = framing.frame(Kind::BINARY, vec![1; 70_000]).unwrap();
    run(async {
        writer.begin(Kind::TEXT, 2).await.unwrap();
        writer.payload(b"hi").await.unwrap();
        SinkExt::feed(&mut writer, frame).await.unwrap();
    });
    let over = writer.finish();
    assert!(matches!(over, Err(WriteError::Encode(EncodeError::NoFrame))), "{over:?}");
    run(writer.flush()).unwrap();
    let mut expected = Vec::new();
    framing.encode(Kind::TEXT, b"hi", &mut expected).unwrap();
    framing.encode(Kind::BINARY, vec![1; 70_000], &mut expected).unwrap();
    assert_eq!(writer.get_ref().bytes, expected);
}

#[test]
fn a_peer_that_does_not_read_makes_a_writer_wait_and_not_grow() {
    let mut writer = FrameWriter::new(Drain::new(std::iter::repeat_n(Step::Pending, 1000)));
    let mut fed = 0;
    while attempt(1, writer.feed(Kind::TEXT, &[0; 1000])).is_some() {
        fed += 1;
        assert!(fed < 1000, "it never waits");
    }
    let (_, kept) = writer.into_inner();
    assert_eq!(kept.len(), fed * 1008);
    assert!(kept.len() < 64 * 1024 + 1008);
}

#[test]
fn a_streamed_frame_is_one_frame_and_a_short_one_poisons() {
    let mut expected = Vec::new();
    let payload = [vec![1; 10], vec![2; 90_000], vec![3; 1]].concat();
    Framing::new(V1).encode(Kind::BINARY, &payload, &mut expected).unwrap();
    let mut writer = FrameWriter::new(Drain::new([Step::Move(1), Step::Pending, Step::Move(4000)]));
    run(async {
        writer.begin(Kind::BINARY, payload.len() as u64).await.unwrap();
        writer.payload(&payload[..10]).await.unwrap();
        let excess = writer.payload(&[0; 90_002]).await;
        assert!(matches!(
            excess,
            Err(WriteError::Encode(EncodeError::Excess { len: 90_002, missing: 90_001 }))
        ));
        writer.payload(&payload[10..90_010]).await.unwrap();
        writer.payload(&payload[90_010..]).await.unwrap();
        writer.finish().unwrap();
        writer.flush().await.unwrap();
    });
    assert_eq!(writer.get_ref().bytes, expected);

    run(async {
        writer.begin(Kind::BINARY, 3).await.unwrap();
        writer.payload(b"ab").await.unwrap();
        // spec: STR-8
        for _ in 0..2 {
            let next = writer.feed(Kind::TEXT, b"next").await;
            assert!(matches!(
                next,
                Err(WriteError::Encode(EncodeError::Unfinished { missing: 1 }))
            ));
        }
        writer.payload(b"c").await.unwrap();
        writer.send(Kind::TEXT, b"next").await.unwrap();

        let before = writer.get_ref().bytes.len();
        writer.begin(Kind::BINARY, 3).await.unwrap();
        assert!(writer.finish().is_err(), "given up");
        assert!(matches!(writer.flush().await, Err(WriteError::Poisoned)));
        assert_eq!(writer.get_ref().bytes.len(), before);
        assert!(matches!(writer.shutdown().await, Err(WriteError::Poisoned)));
        assert!(writer.get_ref().is_shut, "the peer must not wait for more");
    });

    let mut writer = FrameWriter::new(Drain::default());
    run(async {
        writer.begin(Kind::BINARY, 3).await.unwrap();
        let short = writer.shutdown().await;
        assert!(matches!(short, Err(WriteError::Encode(EncodeError::Unfinished { missing: 3 }))));
        assert!(writer.get_ref().is_shut);
    });
}

#[test]
fn what_cannot_be_encoded_writes_nothing() {
    // spec: LIM-5
    let mut writer = FrameWriter::with_framing(Drain::default(), Framing::new(V1).with_limit(4));
    for len in [5, 5000] {
        let refused = run(writer.send(Kind::TEXT, &vec![0; len]));
        assert!(matches!(refused, Err(WriteError::Encode(EncodeError::Oversize { limit: 4, .. }))));
    }
    run(writer.send(Kind::TEXT, b"fits")).unwrap();
    assert_eq!(writer.get_ref().bytes.len(), 12);
}

#[tokio::test]
async fn stream_and_sink_pass_owned_frames_on() {
    let payloads = payloads();
    let (ours, theirs) = tokio::io::duplex(1000);
    let (relay_in, relay_out) = tokio::io::duplex(1000);
    let send = async {
        let mut sink = FrameWriter::new(ours);
        for payload in &payloads {
            let frame = Framing::new(V1).frame(Kind::BINARY, payload).unwrap();
            SinkExt::feed(&mut sink, frame).await.unwrap();
        }
        sink.close().await.unwrap();
    };
    let forward = FrameReader::new(theirs)
        .map(|frame| frame.map_err(|error| panic!("{error}")))
        .forward(FrameWriter::new(relay_in));
    let receive = FrameReader::new(relay_out).collect::<Vec<_>>();
    let ((), forwarded, frames) = tokio::join!(send, forward, receive);
    forwarded.unwrap();
    assert_eq!(frames.len(), payloads.len());
    for (frame, payload) in frames.iter().zip(&payloads) {
        let frame = frame.as_ref().unwrap();
        assert_eq!((frame.meta, frame.payload()), (Kind::BINARY, &payload[..]));
        assert_eq!(frame.to_bytes(), wire_of(std::slice::from_ref(payload)));
    }
}

#[test]
fn a_stream_ends_after_its_error_and_a_call_repeats_it() {
    // spec: ERR-4, ERR-6
    let mut wire = wire_of(&[b"good".to_vec()]);
    wire.extend(b"GET / HTTP/1.1\r\n");
    let bad_magic = DecodeError::Header { at: 12, error: HeaderError::BadMagic { found: b'G' } };

    let mut reader = FrameReader::new(Source::new(&wire, []));
    assert!(run(reader.next_owned()).unwrap().is_some());
    for _ in 0..3 {
        let Err(ReadError::Decode(error)) = run(reader.next_owned()) else { panic!("no error") };
        assert_eq!(error, bad_magic);
    }
    let (_, unread) = reader.into_inner();
    assert_eq!(unread, b"ET / HTTP/1.1\r\n", "just behind the refused byte");

    let items: Vec<_> = run(FrameReader::new(Source::new(&wire, [])).collect());
    assert_eq!(items.len(), 2);
    assert!(matches!(&items[1], Err(ReadError::Decode(error)) if *error == bad_magic));
}

#[test]
fn a_reader_goes_on_where_it_is_asked_to() {
    // spec: SKP-2, SYN-4
    let framing = Framing::new(V1).with_limit(5000);
    let mut wire = wire_of(&[vec![1; 5001], b"next".to_vec()]);
    wire.extend(b"noise");
    wire.extend(wire_of(&[b"last".to_vec()]));
    let steps: Vec<_> = (0..500).map(|i| [Step::Pending, Step::Move(97)][i % 2]).collect();
    let mut reader = FrameReader::with_framing(Source::new(&wire, steps), framing);
    run(async {
        let error = reader.next_frame().await.unwrap_err();
        assert!(matches!(
            error,
            ReadError::Decode(DecodeError::Oversize { at: 0, len: 5001, limit: 5000 })
        ));
        reader.buf_mut().skip_frame().unwrap();
        assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"next");
        assert_eq!(reader.resync().await.unwrap(), 0, "nothing to go on from");
        assert!(reader.next_frame().await.is_err());
        assert_eq!(reader.resync().await.unwrap(), 5);
        assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"last");
        assert!(reader.next_frame().await.unwrap().is_none());
    });

    let mut reader = FrameReader::new(Source::new(b"only noise", []));
    run(async {
        assert!(reader.next_frame().await.is_err());
        for _ in 0..2 {
            // spec: SYN-6
            let Err(ReadError::Decode(error)) = reader.resync().await else { panic!("found") };
            assert_eq!(error, DecodeError::Unsynchronized { at: 10, skipped: 10 });
        }
    });
}

/// Each header is looked at once, so a format that answers the same bytes in another way each time
/// loses no frame.
#[test]
fn a_format_with_an_unreliable_fast_path_loses_no_frame() {
    struct Fickle(std::cell::Cell<bool>);

    impl Format for Fickle {
        type Meta = ();
        type HeaderBuf = [u8; 4];

        fn max_payload_len(&self) -> u64 {
            U32Be.max_payload_len()
        }

        fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
            U32Be.decode_header(bytes)
        }

        fn whole_header(&self, bytes: &[u8]) -> Option<Header<()>> {
            let known = !self.0.replace(!self.0.get());
            U32Be.whole_header(bytes).filter(|_| known)
        }

        fn encode_header(
            &self,
            (): &(),
            len: u64,
            out: &mut [u8; 4],
        ) -> Result<usize, EncodeError> {
            U32Be.encode_header(&(), len, out)
        }
    }

    let wire = b"\0\0\0\x01a\0\0\0\x01b\0\0\0\x01c";
    let mut reader = FrameReader::with_framing(Source::new(wire, []), Fickle(true.into()));
    let mut frames = Vec::new();
    while let Some(frame) = run(reader.next_frame()).unwrap() {
        frames.extend_from_slice(frame.payload);
    }
    assert_eq!(frames, b"abc");
}

/// A transport that is never pending, and each of whose reads takes a while.
struct Slow(Source, Duration);

impl tokio::io::AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::thread::sleep(self.1);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

/// A frame is too slow although its bytes keep coming, in its header, its payload, and where it is
/// skipped.
#[tokio::test]
async fn a_frame_whose_bytes_trickle_in_takes_too_long() {
    let framing = Framing::new(V1).with_limit(2000);
    for (len, cut) in [(2000, 0), (2000, 8), (3000, 8)] {
        let wire = wire_of(&[vec![7; len], vec![7; 9]]);
        let steps =
            std::iter::once(Step::Move(cut)).chain(std::iter::repeat_n(Step::Move(1), 9999));
        let slow = Slow(Source::new(&wire, steps), Duration::from_millis(5));
        let mut reader = FrameReader::with_framing(slow, framing)
            .with_frame_timeout(Duration::from_millis(if cut == 0 { 10 } else { 50 }));
        let mut result = reader.next_frame().await.map(|frame| frame.is_some());
        if len > 2000 {
            assert!(matches!(result, Err(ReadError::Decode(DecodeError::Oversize { .. }))));
            reader.buf_mut().skip_frame().unwrap();
            result = reader.next_frame().await.map(|frame| frame.is_some());
        }
        assert!(matches!(result, Err(ReadError::FrameTimeout { at: 0, .. })), "{result:?}");
    }
}

/// What is here is delivered, however long it took: only who has to wait on looks at the clock.
#[tokio::test]
async fn a_frame_that_is_here_is_not_too_late() {
    let wire = wire_of(&[b"here".to_vec()]);
    let steps = [Step::Move(9), Step::Move(1)];
    let slow = Slow(Source::new(&wire, steps), Duration::from_millis(20));
    let mut reader = FrameReader::new(slow).with_frame_timeout(Duration::from_millis(15));
    // The last read, which brings the rest, takes longer than the frame may.
    assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"here");
}

/// While a search goes on no frame has begun, and so none can be late.
#[tokio::test(start_paused = true)]
async fn a_search_is_no_frame_that_takes_too_long() {
    let (mut ours, theirs) = tokio::io::duplex(100);
    let mut reader = FrameReader::new(theirs).with_frame_timeout(Duration::from_secs(10));
    ours.write_all(b"noise").await.unwrap();
    assert!(matches!(reader.next_frame().await, Err(ReadError::Decode(_))));
    let minute = Duration::from_secs(60);
    assert!(tokio::time::timeout(minute, reader.resync()).await.is_err(), "it goes on");
    ours.write_all(&wire_of(&[b"found".to_vec()])).await.unwrap();
    assert_eq!(reader.resync().await.unwrap(), 5);
    assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"found");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_announces_and_sends_nothing_costs_a_header_and_ends() {
    // spec: LIM-7
    let framing = Framing::new(U32Be).with_limit(u64::MAX);
    let (mut ours, theirs) = tokio::io::duplex(100);
    ours.write_all(&(1_u32 << 30).to_be_bytes()).await.unwrap();
    let mut reader = FrameReader::with_framing(theirs, framing)
        .with_frame_timeout(Duration::from_secs(10))
        .with_idle_timeout(Duration::from_secs(20));
    let began = Instant::now();
    let error = reader.next_frame().await.unwrap_err();
    assert!(
        matches!(error, ReadError::FrameTimeout { at: 0, after } if after.as_secs() == 10),
        "{error}"
    );
    assert_eq!(error.code(), Some(0x0008));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let (_, unread) = reader.into_inner();
    assert!(unread.capacity() <= 8192, "{}", unread.capacity());
}

#[tokio::test(start_paused = true)]
async fn a_frame_in_drips_ends_at_its_time_and_frames_in_time_do_not() {
    let (mut ours, theirs) = tokio::io::duplex(100);
    let mut reader = FrameReader::new(theirs).with_frame_timeout(Duration::from_secs(10));
    let drip = tokio::spawn(async move {
        for byte in wire_of(&[vec![1; 1], vec![2; 100]]) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if ours.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    });
    // Nine bytes, one a second, and calls that are dropped in between do not stop the clock.
    let frame = loop {
        let call = tokio::time::timeout(Duration::from_millis(300), reader.next_owned());
        if let Ok(result) = call.await {
            break result.unwrap().unwrap();
        }
    };
    assert_eq!(frame.payload(), [1]);
    let began = Instant::now();
    let error = loop {
        let call = tokio::time::timeout(Duration::from_millis(300), reader.next_owned());
        if let Ok(result) = call.await {
            break result.unwrap_err();
        }
    };
    assert!(matches!(error, ReadError::FrameTimeout { at: 9, .. }), "{error}");
    assert!(began.elapsed() <= Duration::from_secs(12));
    drop(reader);
    drip.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_peer_ends_at_its_time_and_one_that_sends_does_not() {
    let (mut ours, theirs) = tokio::io::duplex(100);
    let mut reader = FrameReader::new(theirs).with_idle_timeout(Duration::from_secs(10));
    tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            ours.write_all(&wire_of(&[b"here".to_vec()])).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1000)).await;
        drop(ours);
    });
    let began = Instant::now();
    for _ in 0..5 {
        assert!(reader.next_frame().await.unwrap().is_some());
    }
    let error = reader.next_frame().await.unwrap_err();
    assert!(matches!(error, ReadError::IdleTimeout { at: 60, .. }), "{error}");
    assert_eq!(error.code(), Some(0x0009));
    assert_eq!(began.elapsed(), Duration::from_secs(5 * 9 + 10));
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let (mut ours, theirs) = tokio::io::duplex(1 << 21);
    let mut reader = FrameReader::new(theirs);
    ours.write_all(&wire_of(&[vec![1; 1 << 20]])).await.unwrap();
    assert!(reader.next_frame().await.unwrap().is_some());
    assert!(attempt(1, reader.next_frame()).is_none());
    let (_theirs, unread) = reader.into_inner();
    assert_eq!(unread.capacity(), 0, "the megabyte was given back");

    let mut writer = FrameWriter::new(ours);
    writer.send(Kind::TEXT, &[0; 4000]).await.unwrap();
    let (_, kept) = writer.into_inner();
    assert!(kept.capacity() <= 256);
}

/// Notes how much each read had room for.
struct Rooms {
    inner: tokio::io::DuplexStream,
    rooms: Vec<usize>,
}

impl tokio::io::AsyncRead for Rooms {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.rooms.push(buf.remaining());
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

/// After a wait a reader reads into the thread's 96 KiB first, and a frame that needs more gets at once what
/// the last such frame needed.
#[tokio::test]
async fn after_a_pause_a_large_frame_grows_the_buffer_once() {
    let large = wire_of(&[vec![1; 500_000]]);
    let (mut ours, inner) = tokio::io::duplex(large.len());
    let mut reader = FrameReader::new(Rooms { inner, rooms: Vec::new() });
    let mut most = 0;
    for round in 0..3 {
        ours.write_all(&large).await.unwrap();
        assert!(reader.next_frame().await.unwrap().is_some());
        let rooms = std::mem::take(&mut reader.get_mut().rooms);
        assert_eq!(rooms[0], 96 * 1024);
        if round == 0 {
            assert!(rooms.len() > 2, "{rooms:?}");
            most = rooms.iter().sum();
        } else {
            assert_eq!(rooms, [96 * 1024, most - 96 * 1024]);
        }
        assert!(attempt(1, reader.next_frame()).is_none());
        reader.get_mut().rooms.clear();
    }
}

#[tokio::test]
async fn into_inner_gives_back_the_bytes_that_were_not_consumed() {
    let mut wire = wire_of(&[b"frame".to_vec()]);
    wire.extend(b"then something else");
    let (mut ours, theirs) = tokio::io::duplex(100);
    ours.write_all(&wire).await.unwrap();
    let mut stream = FrameStream::new(theirs);
    assert_eq!(stream.next_frame().await.unwrap().unwrap().payload, b"frame");
    stream.writer.feed(Kind::TEXT, b"kept").await.unwrap();
    let (reader, writer) = stream.into_split();
    let ((read, unread), (write, unwritten)) = (reader.into_inner(), writer.into_inner());
    let mut transport = read.unsplit(write);
    assert_eq!(unread, b"then something else");
    assert_eq!(unwritten.len(), 12);
    transport.write_all(&unwritten).await.unwrap();
    let mut back = [0; 12];
    ours.read_exact(&mut back).await.unwrap();
    assert_eq!(&back[8..], b"kept");
}

#[tokio::test]
async fn halves_carry_on_what_the_whole_began() {
    let (ours, theirs) = tokio::io::duplex(64);
    let peer = tokio::spawn(async move {
        let mut peer = FrameStream::new(theirs);
        for text in ["one", "two", "three"] {
            peer.writer.feed(Kind::TEXT, text.as_bytes()).await.unwrap();
        }
        peer.writer.shutdown().await.unwrap();
        let mut got = Vec::new();
        while let Some(frame) = peer.next_frame().await.unwrap() {
            got.push(frame.payload.to_vec());
        }
        got
    });
    let mut stream = FrameStream::new(ours);
    assert_eq!(stream.next_frame().await.unwrap().unwrap().payload, b"one");
    stream.writer.feed(Kind::TEXT, b"fed before").await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut got = Vec::new();
        while let Some(frame) = reader.next_frame().await.unwrap() {
            got.push(frame.payload.to_vec());
        }
        got
    });
    writer.send(Kind::TEXT, b"sent after").await.unwrap();
    writer.shutdown().await.unwrap();
    assert_eq!(reading.await.unwrap(), [&b"two"[..], b"three"]);
    assert_eq!(peer.await.unwrap(), [&b"fed before"[..], b"sent after"]);
}

#[tokio::test]
async fn real_sockets_of_both_kinds_carry_every_size() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, theirs) = tokio::join!(
        tokio::net::TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    exchange(ours.unwrap(), theirs.unwrap().0).await;
    #[cfg(unix)]
    {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        exchange(ours, theirs).await;
    }
}

async fn exchange<S>(ours: S, theirs: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let payloads: Vec<_> = payloads().into_iter().filter(|p| p.len() < 65_536).collect();
    let (mut ours, mut theirs) =
        (FrameStream::with_framing(ours, U16Be), FrameStream::with_framing(theirs, U16Be));
    let echo = async {
        while let Some((frame, writer)) = theirs.next_with_writer().await.unwrap() {
            writer.feed((), frame.payload).await.unwrap();
        }
        theirs.writer.shutdown().await.unwrap();
    };
    let ask = async {
        for payload in &payloads {
            ours.writer.send((), payload).await.unwrap();
            ours.writer.flush().await.unwrap();
        }
        ours.writer.shutdown().await.unwrap();
        let mut got = Vec::new();
        while let Some(frame) = ours.next_frame().await.unwrap() {
            got.push(frame.payload.to_vec());
        }
        got
    };
    let ((), got) = tokio::join!(echo, ask);
    assert_eq!(got, payloads);
}

#[test]
fn a_cut_stream_is_no_clean_end() {
    // spec: END-1, END-2, END-3
    let wire = wire_of(&[b"hi".to_vec()]);
    for cut in 1..wire.len() {
        let mut reader = FrameReader::new(Source::new(&wire[..cut], []));
        for _ in 0..2 {
            let Err(ReadError::Decode(DecodeError::Truncated { at, missing, part })) =
                run(reader.next_owned())
            else {
                panic!("cut at {cut}")
            };
            let header = cut < 8;
            assert_eq!(at, cut as u64);
            assert_eq!(missing, (if header { 8 - cut } else { 10 - cut }) as u64);
            assert_eq!(part, if header { Part::Header } else { Part::Payload });
        }
    }
}

#[test]
fn into_inner_gives_back_only_what_was_accepted() {
    let mut writer = FrameWriter::new(Drain::new([Step::Pending]));
    run(writer.feed(Kind::TEXT, b"ok")).unwrap();
    assert!(attempt(1, writer.feed(Kind::BINARY, &[7; 50_000])).is_none());
    assert_eq!(writer.into_inner().1.len(), 10, "and not the header of the dropped frame");

    let mut writer = FrameWriter::new(Drain::new([Step::Move(3), Step::Pending]));
    assert!(attempt(1, writer.feed(Kind::BINARY, &[7; 50_000])).is_none());
    assert!(writer.into_inner().1.is_empty(), "the rest of half a header is of no use");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_away_is_no_slow_peer() {
    for idle in [false, true] {
        let (mut ours, theirs) = tokio::io::duplex(100);
        let mut reader = FrameReader::new(theirs);
        let ten = Duration::from_secs(10);
        reader = if idle { reader.with_idle_timeout(ten) } else { reader.with_frame_timeout(ten) };
        let wire = wire_of(&[b"here".to_vec()]);
        ours.write_all(&wire[..3]).await.unwrap();
        let call = tokio::time::timeout(Duration::from_secs(1), reader.next_frame());
        assert!(call.await.is_err(), "dropped while it waits");
        ours.write_all(&wire[3..]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"here");
    }
}

#[tokio::test(start_paused = true)]
async fn a_skipped_frame_has_its_own_time_and_offset() {
    let framing = Framing::new(V1).with_limit(10);
    let ten = Duration::from_secs(10);
    let (mut ours, theirs) = tokio::io::duplex(100);
    let mut reader = FrameReader::with_framing(theirs, framing).with_frame_timeout(ten);
    let wire = wire_of(&[vec![1; 20], b"next".to_vec()]);
    ours.write_all(&wire[..15]).await.unwrap();
    assert!(matches!(reader.next_frame().await, Err(ReadError::Decode(_))));
    reader.buf_mut().skip_frame().unwrap();
    let call = tokio::time::timeout(Duration::from_secs(8), reader.next_frame());
    assert!(call.await.is_err());
    // The end of one frame and the beginning of the next: the latter has all of its time.
    ours.write_all(&wire[15..30]).await.unwrap();
    let call = tokio::time::timeout(Duration::from_secs(8), reader.next_frame());
    assert!(call.await.is_err());
    ours.write_all(&wire[30..]).await.unwrap();
    assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"next");

    let (mut ours, theirs) = tokio::io::duplex(100);
    let mut reader = FrameReader::with_framing(theirs, framing).with_frame_timeout(ten);
    ours.write_all(&wire[..15]).await.unwrap();
    assert!(reader.next_frame().await.is_err());
    reader.buf_mut().skip_frame().unwrap();
    let error = reader.next_frame().await.unwrap_err();
    assert!(matches!(error, ReadError::FrameTimeout { at: 0, .. }), "{error}");

    // On a lossy line the caller may begin anew with the next byte.
    reader.reset();
    ours.write_all(&wire[28..]).await.unwrap();
    assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"next");
    assert_eq!(reader.buf().position(), 12);
}

#[test]
fn a_stream_ends_after_every_error_and_goes_on_where_the_caller_does() {
    let broken = Source::new(b"", [Step::Fail(ErrorKind::ConnectionReset); 9]);
    let items: Vec<_> = run(FrameReader::new(broken).collect());
    assert_eq!(items.len(), 1);

    let framing = Framing::new(V1).with_limit(10);
    let wire = wire_of(&[vec![1; 20], b"next".to_vec()]);
    let mut reader = FrameReader::with_framing(Source::new(&wire, []), framing);
    assert!(run(reader.next()).unwrap().is_err());
    assert!(run(reader.next()).is_none());
    reader.buf_mut().skip_frame().unwrap();
    assert_eq!(run(reader.next()).unwrap().unwrap().payload(), b"next");
}

#[test]
fn a_reset_begins_anew_also_behind_the_end() {
    // spec: ERR-7
    let wire = [&wire_of(&[b"first".to_vec()])[..9], &wire_of(&[b"second".to_vec()])].concat();
    let ends = [Step::Move(9), Step::Nothing, Step::Nothing];
    let mut reader = FrameReader::new(Source::new(&wire, ends));
    for _ in 0..2 {
        let error = run(reader.next_frame()).unwrap_err();
        assert!(matches!(error, ReadError::Decode(DecodeError::Truncated { at: 9, .. })));
    }
    reader.reset();
    assert!(run(reader.next_frame()).unwrap().is_none());
    assert!(run(reader.next_frame()).unwrap().is_none(), "an end stays one until it is reset");
    reader.reset();
    assert_eq!(run(reader.next_frame()).unwrap().unwrap().payload, b"second");
    assert_eq!(reader.buf().position(), 14);
    assert!(run(reader.next()).is_none());
}

#[test]
fn bytes_that_were_read_before_come_first() {
    let wire = wire_of(&[vec![3; 20_000], b"next".to_vec()]);
    let reader = FrameReader::new(Source::new(&wire[15_000..], []));
    let mut reader = reader.with_unread(&wire[..15_000]);
    assert_eq!(run(reader.next_frame()).unwrap().unwrap().payload, vec![3; 20_000]);
    assert_eq!(run(reader.next_frame()).unwrap().unwrap().payload, b"next");
}

#[test]
fn a_transport_of_one_slice_gets_a_middling_frame_in_one_write() {
    struct OneSlice(Drain);
    impl tokio::io::AsyncWrite for OneSlice {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }
        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
    let mut writer = FrameWriter::new(OneSlice(Drain::default()));
    run(writer.send(Kind::BINARY, &[1; 5000])).unwrap();
    assert_eq!(writer.get_ref().0.writes.len(), 1);
}

#[tokio::test]
async fn a_stream_writes_what_was_fed_before_it_waits() {
    let (ours, theirs) = tokio::io::duplex(64);
    let echo = tokio::spawn(async move {
        let mut stream = FrameStream::new(theirs);
        while let Some(frame) = stream.next_owned().await.unwrap() {
            stream.writer.feed(frame.meta, frame.payload()).await.unwrap();
        }
    });
    let mut stream = FrameStream::new(ours);
    for round in 0..3 {
        for _ in 0..10 {
            stream.writer.feed(Kind::TEXT, &[round; 20]).await.unwrap();
        }
        for _ in 0..10 {
            assert_eq!(stream.next_frame().await.unwrap().unwrap().payload, [round; 20]);
        }
    }
    drop(stream);
    echo.await.unwrap();
}
