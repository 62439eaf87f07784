//! The blocking adapters: nothing lost and nothing twice, however the transport cuts and fails.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use unstick::io::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{DecodeError, Decoder, EncodeError, Framing, I32Le, Kind, U32Be, U64Be, V1};
use unstick_testing::script::{Drain, Source, Step};

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    Framing::new(V1).encode(Kind::BINARY, payload, &mut wire).unwrap();
    wire
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1_usize..5000).prop_map(Step::Move),
        1 => Just(Step::Pending),
        1 => Just(Step::Fail(ErrorKind::Interrupted)),
        1 => Just(Step::Fail(ErrorKind::TimedOut)),
    ]
}

proptest! {
    #[test]
    fn what_passes_through_a_bad_transport_arrives(
        lens in prop::collection::vec(prop_oneof![0_usize..50, 32_700..32_800_usize, 60_000..70_000_usize], 0..12),
        read_steps in prop::collection::vec(step(), 0..100),
        write_steps in prop::collection::vec(step(), 0..30),
        flush_each in any::<bool>(),
    ) {
        let mut writer = FrameWriter::new(Drain::new(write_steps));
        let mut sent = Vec::new();
        for (i, &len) in lens.iter().enumerate() {
            let payload = vec![u8::try_from(i).unwrap(); len];
            let result = if flush_each {
                writer.send(Kind::BINARY, &payload)
            } else {
                writer.feed(Kind::BINARY, &payload)
            };
            match result {
                Ok(()) => sent.push(payload),
                Err(WriteError::Poisoned) => break,
                Err(WriteError::Flush(_)) => sent.push(payload),
                Err(WriteError::Io(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let poisoned = loop {
            match writer.flush() {
                Ok(()) => break false,
                Err(WriteError::Poisoned) => break true,
                Err(_) => {}
            }
        };
        let wire = writer.into_inner().0.bytes;

        let mut reader = FrameReader::new(Source::new(&wire, read_steps));
        let mut arrived = Vec::new();
        let end = loop {
            match reader.next_owned() {
                Ok(Some(frame)) => arrived.push(frame.payload().to_vec()),
                Ok(None) => break Ok(()),
                Err(ReadError::Io(error)) => {
                    prop_assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                }
                Err(ReadError::Decode(error)) => break Err(error),
                Err(error) => panic!("{error}"),
            }
        };
        let mut decoder = Decoder::new();
        decoder.for_each(&wire, |_| {}).unwrap();
        prop_assert_eq!(end, decoder.finish());
        prop_assert_eq!(end.is_err(), poisoned);
        if !poisoned {
            prop_assert_eq!(arrived, sent, "what was accepted arrives, and nothing else");
        }
    }
}

#[test]
fn a_streamed_payload_is_not_copied_and_a_short_frame_poisons() {
    // spec: STR-8
    let large = vec![9; 100_000];
    let mut writer = FrameWriter::new(Drain::default());
    writer.begin(Kind::BINARY, 100_001).unwrap();
    writer.payload(&large).unwrap();
    assert_eq!(writer.get_ref().writes[0][1], (large.as_ptr(), large.len()));
    assert!(matches!(
        writer.payload(b"two"),
        Err(WriteError::Encode(EncodeError::Excess { len: 3, missing: 1 }))
    ));
    assert!(matches!(
        writer.finish(),
        Err(WriteError::Encode(EncodeError::Unfinished { missing: 1 }))
    ));
    assert!(matches!(writer.send(Kind::TEXT, b"behind"), Err(WriteError::Poisoned)));
    assert!(matches!(writer.flush(), Err(WriteError::Poisoned)));
    assert_eq!(writer.get_ref().bytes.len(), 8 + 100_000);
}

#[test]
fn a_transport_that_fails_in_a_large_frame_poisons() {
    let steps = [Step::Move(20), Step::Fail(ErrorKind::BrokenPipe)];
    let mut writer = FrameWriter::new(Drain::new(steps));
    assert!(matches!(writer.feed(Kind::BINARY, [0; 50_000]), Err(WriteError::Io(_))));
    assert!(matches!(writer.feed(Kind::TEXT, b"behind"), Err(WriteError::Poisoned)));
    assert!(matches!(writer.flush(), Err(WriteError::Poisoned)));
    assert_eq!(writer.get_ref().bytes.len(), 20);
}

#[test]
fn a_transport_that_takes_nothing_is_an_error_and_no_endless_loop() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Ok(0)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = FrameWriter::new(Full);
    let Err(WriteError::Flush(error)) = writer.send(Kind::TEXT, b"x") else { panic!("taken") };
    assert_eq!(error.kind(), ErrorKind::WriteZero);
}

/// A connected pair; reads of the second time out after 20 ms.
fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    theirs.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    (ours, theirs)
}

#[test]
fn times_are_kept_between_the_reads_of_a_real_socket() {
    let (mut ours, theirs) = tcp_pair();
    let mut reader = FrameReader::with_framing(theirs, Framing::new(U64Be).with_limit(u64::MAX))
        .with_frame_timeout(Duration::from_millis(150));
    ours.write_all(&(1_u64 << 30).to_be_bytes()).unwrap();
    let began = Instant::now();
    let error = loop {
        match reader.next_frame() {
            // Windows has another name for it.
            Err(ReadError::Io(error)) => assert!(
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "{error}"
            ),
            Err(error) => break error,
            Ok(frame) => panic!("{frame:?}"),
        }
    };
    assert!(matches!(error, ReadError::FrameTimeout { at: 0, .. }), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(150));
    // spec: LIM-7
    assert!(reader.into_inner().1.capacity() <= 8192);

    let (_ours, theirs) = tcp_pair();
    let mut reader = FrameReader::new(theirs).with_idle_timeout(Duration::from_millis(100));
    let error = loop {
        match reader.next_frame() {
            Err(ReadError::Io(_)) => {}
            Err(error) => break error,
            Ok(frame) => panic!("{frame:?}"),
        }
    };
    assert!(matches!(error, ReadError::IdleTimeout { at: 0, .. }), "{error}");
}

/// The text names the timeout, not the resource that is "temporarily unavailable".
#[test]
fn a_read_timeout_of_the_socket_says_what_happened_and_the_call_can_be_repeated() {
    let (mut ours, theirs) = tcp_pair();
    let mut reader = FrameReader::with_framing(&theirs, U32Be);
    ours.write_all(b"\0\0\0\x05he").unwrap();
    let error = reader.next_frame().unwrap_err();
    assert!(error.is_socket_timeout(), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("no byte arrived within the stream's read timeout"), "{text}");
    assert!(text.ends_with("nothing is lost, call again, or end the connection"), "{text}");
    // The system's own error is in it, and has its kind.
    let system = std::io::Error::from(error);
    assert!(matches!(system.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{system}");

    ours.write_all(b"llo").unwrap();
    assert_eq!(reader.next_frame().unwrap().unwrap().payload, b"hello");
    // A peer that is gone is no timeout.
    drop(ours);
    assert!(reader.next_frame().unwrap().is_none());
    assert!(!ReadError::Io(ErrorKind::ConnectionReset.into()).is_socket_timeout());
    #[cfg(target_os = "linux")] // ETIMEDOUT
    assert!(!ReadError::Io(std::io::Error::from_raw_os_error(110)).is_socket_timeout());
}

#[test]
fn a_write_timeout_of_the_socket_says_so_and_the_writer_continues_where_it_stopped() {
    let (ours, mut theirs) = tcp_pair();
    theirs.set_read_timeout(None).unwrap();
    ours.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut writer = FrameWriter::with_framing(&ours, U32Be);
    // Until the buffers of the system are full: frames of many sizes below 32 KiB, which are never
    // written before they are accepted.
    let mut sent = Vec::new();
    let error = loop {
        let payload = vec![u8::try_from(sent.len() % 251).unwrap(); 1 + sent.len() % 20_000];
        let result = writer.send((), &payload);
        sent.push(payload);
        if let Err(error) = result {
            break error;
        }
    };
    assert!(error.is_socket_timeout(), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("no byte was taken within the stream's write timeout"), "{text}");
    match error {
        WriteError::Flush(_) => assert!(text.ends_with("flush again, or end the connection")),
        WriteError::Io(_) => drop(sent.pop()), // it was not accepted
        other => panic!("{other}"),
    }

    let want = sent.clone();
    let reads = std::thread::spawn(move || {
        let mut reader = FrameReader::with_framing(&mut theirs, U32Be);
        for payload in want {
            assert_eq!(reader.next_frame().unwrap().unwrap().payload, payload);
        }
        assert!(reader.next_frame().unwrap().is_none());
    });
    while let Err(error) = writer.flush() {
        assert!(error.is_socket_timeout(), "{error}");
    }
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    reads.join().unwrap();
}

/// A writer and a reader of one socket need no second handle: a reference reads and writes.
#[test]
fn a_reader_and_a_writer_share_one_socket() {
    let (ours, theirs) = tcp_pair();
    let mut reader = FrameReader::with_framing(&ours, U32Be);
    let mut writer = FrameWriter::with_framing(&ours, U32Be);
    for payload in ["one", "", "three"] {
        writer.send((), payload).unwrap();
        let mut echo = FrameReader::with_framing(&theirs, U32Be);
        let frame = echo.next_frame().unwrap().unwrap();
        FrameWriter::with_framing(&theirs, U32Be).send((), frame.payload).unwrap();
        assert_eq!(reader.next_frame().unwrap().unwrap().payload, payload.as_bytes());
    }
}

#[test]
fn two_threads_over_a_real_socket_exchange_every_size() {
    let (ours, theirs) = tcp_pair();
    theirs.set_read_timeout(None).unwrap();
    let lens = [0, 1, 32_767, 32_768, 100_000, 3];
    let echo = std::thread::spawn(move || {
        let mut reader = FrameReader::with_framing(theirs.try_clone().unwrap(), I32Le);
        let mut writer = FrameWriter::with_framing(theirs, I32Le);
        while let Some(frame) = reader.next_frame().unwrap() {
            writer.send((), frame.payload).unwrap();
        }
    });
    let mut reader = FrameReader::with_framing(ours.try_clone().unwrap(), I32Le);
    let mut writer = FrameWriter::with_framing(ours, I32Le);
    for len in lens {
        writer.send((), vec![5; len]).unwrap();
        assert_eq!(reader.next_frame().unwrap().unwrap().payload, vec![5; len]);
    }
    writer.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert!(reader.next_frame().unwrap().is_none());
    echo.join().unwrap();
}

#[test]
fn a_reader_skips_and_searches_on_request() {
    // spec: SKP-2, SYN-4, SYN-6
    let framing = Framing::new(V1).with_limit(100);
    let wire = [frame(&[1; 101]), frame(b"next"), b"noise".to_vec(), frame(b"last"), b"?".to_vec()];
    let mut reader =
        FrameReader::with_framing(Source::new(&wire.concat(), [Step::Move(3); 20]), framing);
    let error = reader.next_frame().unwrap_err();
    assert!(matches!(error, ReadError::Decode(DecodeError::Oversize { at: 0, len: 101, .. })));
    reader.buf_mut().skip_frame().unwrap();
    assert_eq!(reader.next_frame().unwrap().unwrap().payload, b"next");
    assert_eq!(reader.resync().unwrap(), 0);
    assert!(reader.next_frame().is_err());
    assert_eq!(reader.resync().unwrap(), 5);
    assert_eq!(reader.next_frame().unwrap().unwrap().payload, b"last");
    assert!(reader.next_frame().is_err());
    let at = wire.concat().len() as u64;
    assert!(matches!(
        reader.resync(),
        Err(ReadError::Decode(DecodeError::Unsynchronized { at: end, skipped: 1 })) if end == at
    ));
}

/// A serial port whose read ends without a byte when its time is up; a file that grows.
#[test]
fn a_reset_begins_anew_also_behind_the_end() {
    // spec: ERR-7
    let wire = [&frame(b"first")[..9], &frame(b"second")].concat();
    let ends = [Step::Move(9), Step::Nothing, Step::Nothing];
    let mut reader = FrameReader::new(Source::new(&wire, ends));
    for _ in 0..2 {
        let error = reader.next_frame().unwrap_err();
        assert!(matches!(error, ReadError::Decode(DecodeError::Truncated { at: 9, .. })));
    }
    reader.reset();
    assert!(reader.next_frame().unwrap().is_none());
    assert!(reader.next_frame().unwrap().is_none(), "an end stays one until it is reset");
    reader.reset();
    assert_eq!(reader.next_frame().unwrap().unwrap().payload, b"second");
    assert_eq!((reader.buf().position(), reader.next_frame().unwrap()), (14, None));
}
