//! The adapters over `futures_io`: nothing lost and nothing twice, however the transport cuts, waits,
//! fails, and wherever a call is dropped.

use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Cursor};
use futures::{SinkExt, StreamExt, future};
use proptest::prelude::*;
use smol::net::{TcpListener, TcpStream};
use unstick::engine::Next;
use unstick::futures::{FrameReader, FrameWriter};
use unstick::io::{ReadError, WriteError};
use unstick::{
    DecodeError, EncodeError, Format, Framing, HeaderError, Kind, Part, U16Be, U32Be, V1,
};
use unstick_testing::script::{Drain, Line, Source, Step, attempt, poll_once, run};

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

/// Returns what a reader sees if every call is dropped after `patience` polls and made again.
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
    assert!(reader.is_ended());
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

        // The same stream cut anywhere ends as the decoder alone reports.
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
    fn a_writer_sends_whole_frames_or_reports_that_it_did_not(
        steps in prop::collection::vec(step(), 0..60),
        ops in prop::collection::vec((0_u8..6, 0_usize..11, 1_usize..5), 1..40),
    ) {
        let sizes = payloads();
        let mut writer = FrameWriter::new(Drain::new(steps));
        // Each frame begins with its number. The caller cannot know whether the frame of a dropped
        // `send` was accepted.
        let (mut accepted, mut unsure, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        let mut poisoned = false;
        for (i, (op, size, patience)) in ops.into_iter().enumerate() {
            let number = u32::try_from(i).unwrap();
            let payload = [&number.to_be_bytes()[..], &sizes[size]].concat();
            let is_sink = op == 5;
            let outcome = match op {
                0 => attempt(patience, writer.flush()),
                1 | 2 => attempt(patience, writer.send(Kind::BINARY, &payload)),
                5 => {
                    let frame = Framing::new(V1).frame(Kind::BINARY, &payload).unwrap();
                    attempt(patience, SinkExt::feed(&mut writer, frame))
                }
                _ => attempt(patience, writer.feed(Kind::BINARY, &payload)),
            };
            // As a sink it copies, so no frame is written in part.
            let large = payload.len() >= 32 * 1024 && !is_sink;
            prop_assert!(!poisoned || matches!(outcome, Some(Err(WriteError::Poisoned))));
            match outcome {
                Some(Ok(())) if op == 0 => {}
                Some(Ok(())) => accepted.push(number),
                Some(Err(WriteError::Poisoned)) => poisoned = true,
                Some(Err(WriteError::Flush(_))) => {
                    prop_assert!(op <= 2, "feeding does not flush");
                    if op != 0 {
                        accepted.push(number);
                    }
                }
                Some(Err(WriteError::Io(_))) => {
                    prop_assert!(op != 0, "a flush accepts nothing");
                    if large {
                        given_up.push(number);
                    }
                }
                None => match op {
                    0 => {}
                    1 | 2 => unsure.push(number),
                    _ if large => given_up.push(number),
                    _ => {}
                },
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
                prop_assert!(!given_up.is_empty() || !unsure.is_empty());
                prop_assert!(decoder.finish().is_err(), "poisoned without a reason");
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
    let mut expected = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"first", &mut expected).unwrap();
    Framing::new(V1).encode(Kind::TEXT, b"second", &mut expected).unwrap();
    assert_eq!(writer.get_ref().bytes, expected);
}

#[test]
fn a_large_frame_dropped_before_its_first_byte_is_forgotten_and_later_poisons() {
    // spec: STR-8
    let large = vec![7; 50_000];
    let mut writer = FrameWriter::new(Drain::new([Step::Pending, Step::Pending]));
    run(writer.feed(Kind::TEXT, b"before")).unwrap();
    assert!(attempt(1, writer.feed(Kind::BINARY, &large)).is_none());
    run(writer.send(Kind::TEXT, b"after")).unwrap();
    let mut expected = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"before", &mut expected).unwrap();
    Framing::new(V1).encode(Kind::TEXT, b"after", &mut expected).unwrap();
    assert_eq!(writer.get_ref().bytes, expected, "the dropped frame left no header");

    let mut writer = FrameWriter::new(Drain::new([Step::Move(100), Step::Pending]));
    assert!(attempt(1, writer.feed(Kind::BINARY, &large)).is_none());
    for _ in 0..2 {
        assert!(matches!(run(writer.send(Kind::TEXT, b"after")), Err(WriteError::Poisoned)));
        assert!(matches!(run(writer.flush()), Err(WriteError::Poisoned)));
        let frame = Framing::new(V1).frame(Kind::TEXT, b"after").unwrap();
        let fed = run(SinkExt::feed(&mut writer, frame));
        assert!(matches!(fed, Err(WriteError::Poisoned)));
        assert!(matches!(run(writer.shutdown()), Err(WriteError::Poisoned)));
    }
    assert!(writer.get_ref().is_shut, "the peer must not wait for more");
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

#[test]
fn a_transport_without_vectored_writes_gets_every_byte_in_order() {
    struct OneSlice(Drain);
    impl AsyncWrite for OneSlice {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            AsyncWrite::poll_write_vectored(Pin::new(&mut self.0), cx, &[IoSlice::new(buf)])
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
        }
        fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            AsyncWrite::poll_close(Pin::new(&mut self.0), cx)
        }
    }
    let mut writer = FrameWriter::new(OneSlice(Drain::default()));
    run(writer.send(Kind::BINARY, &[1; 5000])).unwrap();
    assert_eq!(writer.get_ref().0.writes.len(), 1);
    let steps = [Step::Move(3), Step::Pending, Step::Move(500), Step::Pending, Step::Move(40_000)];
    let mut writer = FrameWriter::new(OneSlice(Drain::new(steps)));
    for payload in payloads() {
        run(writer.feed(Kind::BINARY, &payload)).unwrap();
    }
    run(writer.shutdown()).unwrap();
    assert_eq!(writer.get_ref().0.bytes, wire_of(&payloads()));
}

#[test]
fn a_peer_that_does_not_read_makes_a_writer_wait_and_not_grow() {
    let steps = std::iter::repeat_n(Step::Pending, 1000);
    let mut writer = FrameWriter::new(Drain::new(steps));
    let mut fed = 0;
    loop {
        let frame = Framing::new(V1).frame(Kind::TEXT, [0; 1000]).unwrap();
        let call = attempt(1, writer.feed(Kind::TEXT, &[0; 1000]));
        if call.is_none() {
            assert!(attempt(1, SinkExt::feed(&mut writer, frame)).is_none());
            break;
        }
        call.unwrap().unwrap();
        attempt(1, SinkExt::feed(&mut writer, frame)).unwrap().unwrap();
        fed += 2;
        assert!(fed < 1000, "it never waits");
    }
    let (_, kept) = writer.into_inner();
    assert_eq!(kept.len(), fed * 1008);
    assert!(kept.len() < 64 * 1024 + 2 * 1008);
}

#[test]
fn a_transport_that_takes_no_byte_is_an_error_and_nothing_is_lost() {
    let mut writer = FrameWriter::new(Drain::new([Step::Nothing]));
    let error = run(writer.send(Kind::TEXT, b"kept")).unwrap_err();
    assert!(matches!(&error, WriteError::Flush(e) if e.kind() == ErrorKind::WriteZero), "{error}");
    run(writer.flush()).unwrap();
    assert_eq!(writer.get_ref().bytes.len(), 12);
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
        let next = writer.feed(Kind::TEXT, b"next").await;
        assert!(matches!(next, Err(WriteError::Encode(EncodeError::Unfinished { missing: 1 }))));
        writer.payload(b"c").await.unwrap();
        writer.send(Kind::TEXT, b"next").await.unwrap();

        writer.begin(Kind::BINARY, 3).await.unwrap();
        assert!(writer.finish().is_err(), "given up");
        assert!(matches!(writer.flush().await, Err(WriteError::Poisoned)));
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
    let framing = Framing::new(V1).with_limit(4);
    let mut writer = FrameWriter::with_framing(Drain::default(), framing);
    assert_eq!(writer.framing().limit(), 4);
    for len in [5, 5000, 50_000] {
        let refused = run(writer.send(Kind::TEXT, &vec![0; len]));
        assert!(matches!(refused, Err(WriteError::Encode(EncodeError::Oversize { limit: 4, .. }))));
    }
    run(writer.send(Kind::TEXT, b"fits")).unwrap();
    assert_eq!(writer.get_ref().bytes.len(), 12);
}

#[test]
fn into_inner_returns_only_what_was_accepted() {
    let mut writer = FrameWriter::new(Drain::new([Step::Pending]));
    run(writer.feed(Kind::TEXT, b"ok")).unwrap();
    assert!(attempt(1, writer.feed(Kind::BINARY, &[7; 50_000])).is_none());
    assert_eq!(writer.into_inner().1.len(), 10, "and not the header of the dropped frame");

    let mut writer = FrameWriter::new(Drain::new([Step::Move(3), Step::Pending]));
    assert!(attempt(1, writer.feed(Kind::BINARY, &[7; 50_000])).is_none());
    assert!(writer.into_inner().1.is_empty(), "the rest of half a header is of no use");
}

#[test]
fn the_end_of_the_stream_is_classified_wherever_it_comes() {
    // spec: END-1, END-2, END-3
    let wire = wire_of(&[b"hi".to_vec()]);
    for cut in 0..=wire.len() {
        let steps = (0..40).map(|i| [Step::Pending, Step::Move(1)][i % 2]);
        let mut reader = FrameReader::new(Source::new(&wire[..cut], steps));
        if cut == wire.len() {
            assert_eq!(run(reader.next_frame()).unwrap().unwrap().payload, b"hi");
        }
        for _ in 0..2 {
            let end = run(reader.next_owned());
            assert!(reader.is_ended());
            if cut % wire.len() == 0 {
                assert!(end.unwrap().is_none());
                continue;
            }
            let Err(ReadError::Decode(DecodeError::Truncated { at, missing, part })) = end else {
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
    assert_eq!(reader.into_inner().1, b"ET / HTTP/1.1\r\n", "after the refused byte");

    let items: Vec<_> = run(FrameReader::new(Source::new(&wire, [])).collect());
    assert_eq!(items.len(), 2);
    assert!(matches!(&items[1], Err(ReadError::Decode(error)) if *error == bad_magic));

    let broken = Source::new(b"", [Step::Fail(ErrorKind::ConnectionReset); 9]);
    let items: Vec<_> = run(FrameReader::new(broken).collect());
    assert_eq!(items.len(), 1);
}

#[test]
fn a_stream_continues_where_the_caller_does() {
    let framing = Framing::new(V1).with_limit(10);
    let mut wire = wire_of(&[vec![1; 20], b"next".to_vec()]);
    wire.extend(b"noise");
    wire.extend(wire_of(&[b"last".to_vec()]));
    let mut reader = FrameReader::with_framing(Source::new(&wire, []), framing);
    assert!(run(reader.next()).unwrap().is_err());
    assert!(run(reader.next()).is_none());
    reader.buf_mut().skip_frame().unwrap();
    assert_eq!(run(reader.next()).unwrap().unwrap().payload(), b"next");
    assert!(run(reader.next()).unwrap().is_err());
    assert!(run(reader.next()).is_none());
    assert_eq!(run(reader.resync()).unwrap(), 5);
    assert_eq!(run(reader.next()).unwrap().unwrap().payload(), b"last");
    assert!(run(reader.next()).is_none());
}

#[test]
fn a_reader_continues_where_it_is_asked_to() {
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
        assert_eq!(reader.resync().await.unwrap(), 0, "the stream has not failed");
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

/// A search counts every byte, although each of its calls is dropped at every wait.
#[test]
fn a_search_on_a_lossy_line_loses_nothing_to_dropped_calls() {
    let mut wire = b"noise".to_vec();
    wire.extend(wire_of(&[b"one".to_vec()]));
    wire.extend(b"more noise");
    wire.extend(wire_of(&[b"two".to_vec()]));
    let steps = (0..4 * wire.len()).map(|i| [Step::Pending, Step::Move(1)][i % 2]);
    let mut reader = FrameReader::new(Source::new(&wire, steps));
    let (mut texts, mut skipped) = (Vec::new(), Vec::new());
    loop {
        match attempt(1, reader.next_or_resync()).transpose().unwrap() {
            None => continue,
            Some(None) => break,
            Some(Some(Next::Frame(frame))) => texts.push(frame.payload.to_vec()),
            Some(Some(Next::Skipped { error, bytes })) => skipped.push((error.at(), bytes)),
        }
    }
    assert_eq!(texts, [b"one", b"two"]);
    assert_eq!(skipped, [(0, 5), (16, 10)]);
}

#[test]
fn a_reset_starts_a_new_stream_also_after_the_end() {
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

/// Stores how much room each read had.
struct Rooms(Source, Vec<usize>);

impl AsyncRead for Rooms {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        self.1.push(buf.len());
        AsyncRead::poll_read(Pin::new(&mut self.0), cx, buf)
    }
}

#[test]
fn a_reader_that_waits_holds_no_buffer_and_one_that_reads_has_a_large_one() {
    let large = wire_of(&[vec![1; 500_000]]);
    let mut reader = FrameReader::new(Rooms(Source::new(&large, []), Vec::new()));
    assert!(run(reader.next_frame()).unwrap().is_some());
    assert_eq!(reader.get_ref().1[0], 96 * 1024);
    let grown = reader.buf().capacity();

    reader.get_mut().0 = Source::new(&large, [Step::Pending]);
    assert!(attempt(1, reader.next_frame()).is_none());
    assert_eq!(reader.buf().capacity(), 0, "the megabyte was returned");
    reader.get_mut().1.clear();
    assert!(run(reader.next_frame()).unwrap().is_some());
    assert_eq!(reader.get_ref().1[0], 96 * 1024);
    assert_eq!(reader.buf().capacity(), grown);
}

#[test]
fn an_announcement_allocates_nothing() {
    // spec: LIM-7
    let framing = Framing::new(U32Be).with_limit(u64::MAX);
    let source = Source::new(&(1_u32 << 30).to_be_bytes(), [Step::Move(4), Step::Pending]);
    let mut reader = FrameReader::with_framing(source, framing);
    assert!(attempt(1, reader.next_frame()).is_none());
    assert_eq!(reader.buf().capacity(), 4);
}

#[test]
fn stream_and_sink_pass_owned_frames_on() {
    let payloads = payloads();
    let steps = (0..200).map(|i| [Step::Move(997), Step::Pending][i % 2]);
    let mut sink = FrameWriter::new(Drain::new(steps.clone()));
    run(async {
        for payload in &payloads {
            let frame = Framing::new(V1).frame(Kind::BINARY, payload).unwrap();
            SinkExt::feed(&mut sink, frame).await.unwrap();
        }
        SinkExt::close(&mut sink).await.unwrap();
    });
    let (drain, _) = sink.into_inner();
    assert!(drain.is_shut);
    assert_eq!(drain.bytes, wire_of(&payloads));

    let mut relayed = FrameWriter::new(Drain::new(steps.clone()));
    let frames = FrameReader::new(Source::new(&drain.bytes, steps))
        .map(|frame| frame.map_err(|error| panic!("{error}")));
    run(frames.forward(&mut relayed)).unwrap();
    assert_eq!(relayed.get_ref().bytes, wire_of(&payloads));
    assert!(relayed.get_ref().is_shut);
}

/// Both directions of one transport, divided by `futures::io`.
#[test]
fn the_halves_of_a_transport_carry_frames_both_ways() {
    let payloads = payloads();
    let steps = (0..300).map(|i| [Step::Pending, Step::Move(333)][i % 2]);
    let source = Source::new(&wire_of(&payloads), steps.clone());
    let (read, write) = Line::new(source, Drain::new(steps)).split();
    let (mut reader, mut writer) = (FrameReader::new(read), FrameWriter::new(write));
    let back = async {
        while let Some(frame) = reader.next_frame().await.unwrap() {
            writer.send(frame.meta, frame.payload).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    };
    run(back);
    let ((read, unread), (write, unwritten)) = (reader.into_inner(), writer.into_inner());
    assert!(unread.is_empty() && unwritten.is_empty());
    let line = read.reunite(write).unwrap();
    assert!(line.drain.is_shut);
    assert_eq!(line.drain.bytes, wire_of(&payloads));
}

#[test]
fn into_inner_returns_the_bytes_that_were_not_consumed() {
    let mut wire = wire_of(&[b"frame".to_vec()]);
    wire.extend(b"then something else");
    let mut reader = FrameReader::new(Cursor::new(wire));
    assert_eq!(run(reader.next_frame()).unwrap().unwrap().payload, b"frame");
    assert_eq!(reader.into_inner().1, b"then something else");
}

#[test]
fn a_real_socket_carries_every_size_both_ways_at_once() {
    let payloads: Vec<_> = payloads().into_iter().filter(|p| p.len() < 65_536).collect();
    let got = smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let echo = smol::spawn(async move {
            let (read, write) = listener.accept().await.unwrap().0.split();
            let mut reader = FrameReader::with_framing(read, U16Be);
            let mut writer = FrameWriter::with_framing(write, U16Be);
            while let Some(frame) = reader.next_owned().await.unwrap() {
                writer.send((), frame.payload()).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        });
        let (read, write) = stream.clone().split();
        let mut reader = FrameReader::with_framing(read, U16Be);
        let mut writer = FrameWriter::with_framing(write, U16Be);
        let ask = async {
            for payload in payloads.iter().cycle().take(100) {
                writer.feed((), payload).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        };
        let hear = async {
            let mut got = Vec::new();
            while let Some(frame) = reader.next_frame().await.unwrap() {
                got.push(frame.payload.to_vec());
            }
            got
        };
        let ((), got) = future::join(ask, hear).await;
        echo.await;
        drop(stream.shutdown(Shutdown::Both));
        got
    });
    assert_eq!(got.len(), 100);
    assert!(got.iter().eq(payloads.iter().cycle().take(100)));
}

/// A time limit drops the call, and the next one continues.
#[test]
fn a_call_that_a_timer_ends_loses_nothing() {
    use smol::future::FutureExt;
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let theirs = listener.accept().await.unwrap().0;
        let mut reader = FrameReader::new(theirs);
        let wire = wire_of(&[b"slow".to_vec()]);
        ours.write_all(&wire[..9]).await.unwrap();
        let time_limit = async {
            smol::Timer::after(std::time::Duration::from_millis(20)).await;
            Err(std::io::Error::from(ErrorKind::TimedOut).into())
        };
        let error = reader.next_frame().or(time_limit).await.unwrap_err();
        assert!(matches!(error, ReadError::Io(error) if error.kind() == ErrorKind::TimedOut));
        ours.write_all(&wire[9..]).await.unwrap();
        assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, b"slow");
    });
}
