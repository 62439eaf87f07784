//! The tokio connection: the session's rules over a transport that cuts, waits and fails, with a
//! peer that breaks them, and wherever a call is dropped.

use std::io::ErrorKind;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};
use unstick::io::{ReadError, WriteError};
use unstick::{DecodeError, Framing, Kind, V1};
use unstick_session::message::{
    Close, Code, Digest, FileCancel, FileData, FileDone, FileOpen, FileStatus, Hello, Message,
    ResumeKey,
};
use unstick_session::session::{Event, SendError, Session, SessionError};
use unstick_session::tokio::{Connection, ConnectionError, Turn};
use unstick_testing::script::{Drain, Line, Source, Step, attempt, run};

const SOON: Duration = Duration::from_secs(5);

/// The bytes of a message.
fn wire(message: &Message<'_>) -> Vec<u8> {
    let encoded = message.encode().unwrap();
    let mut wire = encoded.header(&Framing::new(V1)).unwrap().as_bytes().to_vec();
    wire.extend(encoded.to_payload());
    wire
}

fn wires<'a>(messages: impl IntoIterator<Item = Message<'a>>) -> Vec<u8> {
    messages.into_iter().flat_map(|message| wire(&message)).collect()
}

/// The messages that these bytes are, shown.
fn shown(mut bytes: &[u8]) -> Vec<String> {
    let framing = Framing::new(V1).with_limit(u64::MAX);
    let mut messages = Vec::new();
    while let Some(frame) = framing.split_frame(&mut bytes).unwrap() {
        let message = Message::decode(frame.meta, frame.payload).unwrap();
        messages.push(format!("{message:?}"));
    }
    assert!(bytes.is_empty(), "a half frame was written");
    messages
}

fn open(id: u32, size: Option<u64>) -> FileOpen<'static> {
    FileOpen { id, key: ResumeKey([7; 16]), size, name: "a.bin" }
}

/// A connection whose peer says this at once, and takes what it is given as the script says.
fn after(said: &[u8], writes: impl IntoIterator<Item = Step>) -> Connection<Line> {
    Connection::new(Line::new(Source::new(said, []), Drain::new(writes)))
}

fn never() -> impl Iterator<Item = Step> {
    std::iter::repeat_n(Step::Pending, 1_000_000)
}

fn pair(room: usize) -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (a, b) = duplex(room);
    (Connection::new(a), Connection::new(b))
}

#[tokio::test]
async fn two_sides_talk_and_end_cleanly() {
    let (mut a, mut b) = pair(16);
    let client = async {
        a.announce("a").unwrap();
        a.send(&Message::Text("hello")).await.unwrap();
        assert_eq!(a.recv().await.unwrap(), Some(Event::Binary(b"\0\xff")));
        a.send(&Message::Ping(b"42")).await.unwrap();
        assert_eq!(a.recv().await.unwrap(), Some(Event::Pong(b"42")));
        a.close(Close { code: Code::SHUTTING_DOWN, reason: "bye" }, SOON).await
    };
    let server = async {
        let hello = Hello { limit: 1 << 20, name: "a" };
        assert_eq!(b.recv().await.unwrap(), Some(Event::Hello(hello)));
        assert_eq!(b.session().peer_limit(), 1 << 20);
        assert_eq!(b.recv().await.unwrap(), Some(Event::Text("hello")));
        b.send(&Message::Binary(b"\0\xff")).await.unwrap();
        // The ping is no event: the next one is the close.
        let close = Close { code: Code::SHUTTING_DOWN, reason: "bye" };
        assert_eq!(b.recv().await.unwrap(), Some(Event::Close(close)));
        assert_eq!(b.recv().await.unwrap(), None);
        assert_eq!(b.recv().await.unwrap(), None);
        b.close(Close::ORDINARY, SOON).await
    };
    let (client, server) = tokio::join!(client, server);
    client.unwrap();
    server.unwrap();
}

#[test]
fn an_end_without_a_close_is_a_cut() {
    // spec: CNV-8
    let mut cut = after(&wire(&Message::Text("hi")), []);
    assert_eq!(run(cut.recv()).unwrap(), Some(Event::Text("hi")));
    for _ in 0..3 {
        let error = run(cut.recv()).unwrap_err();
        assert!(matches!(error, ConnectionError::Session(SessionError::Unclosed)), "{error}");
        assert_eq!(error.code(), Some(Code::UNCLOSED));
    }
    assert!(cut.get_ref().drain.bytes.is_empty(), "there is nobody to be told");
    run_with_clock(async {
        let error = cut.close(Close::ORDINARY, SOON).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::UNCLOSED));
    });

    let whole = wires([Message::Text("hi"), Message::Close(Close::ORDINARY)]);
    for cut in 1..whole.len() {
        let mut connection = after(&whole[..cut], []);
        let error = loop {
            match run(connection.recv()) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{cut}: a cut taken for a clean end"),
                Err(error) => break error,
            }
        };
        let expected = if cut == 10 { Code::UNCLOSED } else { Code::TRUNCATED };
        assert_eq!(error.code(), Some(expected), "{cut}");
    }
}

/// Whatever waits for a time: the time is made.
fn run_with_clock<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(future)
}

#[test]
fn an_error_of_the_peers_is_answered_with_a_close_that_has_its_code() {
    // spec: CNV-1, CNV-9, CNV-10
    let unknown = Kind::new(0x3F).unwrap();
    let mut header_only = unstick::header::encode(unknown, 1_000_000).to_vec();
    let cases: &[(&[u8], Code)] = &[
        (b"GET / HTTP/1.1\r\n\r\n", Code::BAD_MAGIC),
        (b"\xf5\x02", Code::UNSUPPORTED_VERSION),
        (&unstick::header::encode(Kind::TEXT, 2_000_000), Code::OVERSIZE),
        (&wire(&Message::Text("hi"))[..9], Code::TRUNCATED),
        (
            &wires([Message::Text(""), Message::Hello(Hello { limit: 9, name: "" })]),
            Code::MISPLACED_MESSAGE,
        ),
        (&[&unstick::header::encode(Kind::TEXT, 1)[..], b"\xff"].concat(), Code::BAD_MESSAGE),
        (
            &wire(&Message::FileDone(FileDone { id: 1, total: 0, digest: Digest::NONE })),
            Code::BAD_TRANSFER_ID,
        ),
    ];
    for (said, code) in cases {
        let mut connection = after(said, []);
        let error = loop {
            if let Err(error) = run(connection.recv()) {
                break error;
            }
        };
        assert_eq!(error.code(), Some(*code));
        assert_eq!(
            run(connection.recv()).unwrap_err().to_string(),
            error.to_string(),
            "it latches"
        );
        let close = Close { code: *code, reason: code.meaning() };
        let drain = &connection.get_ref().drain;
        assert_eq!(shown(&drain.bytes), [format!("{:?}", Message::Close(close))]);
        assert!(drain.is_shut);
        let error = run(connection.send(&Message::Text("more"))).unwrap_err();
        assert!(matches!(error, ConnectionError::Send(SendError::Closed)), "{error}");
    }

    // A kind that is not known ends it before its payload is there.
    header_only.push(0);
    let (ours, mut theirs) = duplex(64);
    let mut connection = Connection::new(ours);
    run_with_clock(async {
        theirs.write_all(&header_only).await.unwrap();
        let error = timeout(SOON, connection.recv()).await.expect("it waits for the payload");
        let expected = SessionError::UnknownKind { kind: unknown };
        assert!(matches!(error, Err(ConnectionError::Session(error)) if error == expected));
    });
}

#[tokio::test(start_paused = true)]
async fn a_close_after_an_error_reaches_a_peer_that_is_still_writing() {
    let (ours, mut theirs) = duplex(64);
    let mut connection = Connection::new(ours);
    let peer = async {
        let mut said = b"\0".to_vec();
        said.resize(100_000, 1);
        theirs.write_all(&said).await.unwrap(); // it reads only behind that
        theirs.shutdown().await.unwrap();
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let us = async {
        assert_eq!(connection.recv().await.unwrap_err().code(), Some(Code::BAD_MAGIC));
        connection.close(Close::ORDINARY, SOON).await
    };
    let (heard, closed) = tokio::join!(peer, us);
    assert_eq!(closed.unwrap_err().code(), Some(Code::BAD_MAGIC));
    let close = Close { code: Code::BAD_MAGIC, reason: Code::BAD_MAGIC.meaning() };
    assert_eq!(shown(&heard), [format!("{:?}", Message::Close(close))]);
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_the_peers_end_and_not_for_ever() {
    // spec: CNV-6
    // The peer never ends.
    let (mut a, b) = pair(64);
    let begin = Instant::now();
    let error = a.close(Close::ORDINARY, SOON).await.unwrap_err();
    assert!(matches!(error, ConnectionError::CloseTimeout { after: SOON }), "{error}");
    assert_eq!(begin.elapsed(), SOON);
    drop(b);

    // The peer sends more than fits, and reads nothing until it has: what it sends is taken.
    let (mut a, mut b) = pair(64);
    let peer = async {
        for _ in 0..100 {
            b.send(&Message::Binary(&[1; 5000])).await.unwrap();
        }
        assert_eq!(b.recv().await.unwrap(), Some(Event::Text("last words")));
        assert!(matches!(b.recv().await.unwrap(), Some(Event::Close(_))));
        assert_eq!(b.recv().await.unwrap(), None);
        b.close(Close::ORDINARY, SOON).await.unwrap();
    };
    let us = async {
        a.feed(&Message::Text("last words")).await.unwrap();
        a.close(Close { code: Code::NO_ERROR, reason: "enough" }, SOON).await.unwrap();
    };
    tokio::join!(peer, us);

    // The peer ends without a close.
    let (mut a, b) = pair(64);
    let us = a.close(Close::ORDINARY, SOON);
    let (closed, ()) = tokio::join!(us, async { drop(b) });
    assert_eq!(closed.unwrap_err().code(), Some(Code::UNCLOSED));

    // A call that was dropped is made again.
    let (mut a, mut b) = pair(4);
    assert!(
        timeout(SOON / 2, a.close(Close { code: Code::BUSY, reason: "try later" }, SOON))
            .await
            .is_err()
    );
    let peer = async {
        let close = Close { code: Code::BUSY, reason: "try later" };
        assert_eq!(b.recv().await.unwrap(), Some(Event::Close(close)));
        b.close(Close::ORDINARY, SOON).await.unwrap();
    };
    let (closed, ()) = tokio::join!(a.close(Close::ORDINARY, SOON), peer);
    closed.unwrap();
}

#[tokio::test]
async fn who_feeds_a_close_still_receives_what_is_on_its_way() {
    // spec: CNV-6
    let (mut a, mut b) = pair(32);
    let us = async {
        a.feed(&Message::Close(Close::ORDINARY)).await.unwrap();
        let mut texts = 0;
        while let Some(event) = a.recv().await.unwrap() {
            texts += usize::from(matches!(event, Event::Text(_)));
        }
        texts
    };
    let peer = async {
        for _ in 0..50 {
            b.send(&Message::Text("on its way")).await.unwrap();
        }
        b.close(Close::ORDINARY, SOON).await.unwrap();
    };
    let (texts, ()) = tokio::join!(us, peer);
    assert_eq!(texts, 50);
}

#[tokio::test]
async fn a_close_goes_with_a_shorter_reason_where_the_peer_has_no_room_for_all() {
    // spec: CNV-11
    let said = wire(&Message::Hello(Hello { limit: 4, name: "" }));
    let mut connection = after(&[said, wire(&Message::Close(Close::ORDINARY))].concat(), []);
    assert!(matches!(connection.recv().await.unwrap(), Some(Event::Hello(_))));
    let close = Close { code: Code::SHUTTING_DOWN, reason: "too long a reason" };
    connection.close(close, SOON).await.unwrap();
    let expected = Message::Close(Close { reason: "to", ..close });
    assert_eq!(shown(&connection.get_ref().drain.bytes), [format!("{expected:?}")]);
}

#[tokio::test]
async fn the_peers_limit_is_kept_and_its_hello_changes_it() {
    // spec: CNV-2
    let mut connection = after(&wire(&Message::Hello(Hello { limit: 70_000, name: "" })), []);
    let large = vec![1; 70_000];
    let error = connection.feed(&Message::Binary(&large)).await.unwrap_err();
    let expected = SendError::TooLong { len: 70_000, limit: 65_536 };
    assert!(matches!(error, ConnectionError::Send(error) if error == expected));
    assert!(matches!(connection.recv().await.unwrap(), Some(Event::Hello(_))));
    connection.send(&Message::Binary(&large)).await.unwrap();
    assert_eq!(connection.get_ref().drain.bytes.len(), 70_008);
    let late = connection.announce("late").unwrap_err();
    assert!(matches!(late, ConnectionError::Send(SendError::LateHello)));
}

#[test]
fn a_peer_that_pings_and_never_reads_gets_one_pong() {
    // spec: CNV-3
    let pings: Vec<_> = (0..10_000_u32).map(u32::to_be_bytes).collect();
    let said = wires(pings.iter().map(|ping| Message::Ping(ping)));
    let mut connection = after(&said, never());
    assert!(run(connection.recv()).is_err(), "the end without a close");
    let (line, _, pending) = connection.into_inner();
    assert!(line.drain.bytes.is_empty());
    let pongs = shown(&pending);
    assert!(pongs.len() == 1 && pongs[0].starts_with("Pong"), "{pongs:?}");
}

#[test]
fn a_peer_that_opens_files_and_never_reads_gets_a_bounded_number_of_refusals() {
    let mut said = Vec::new();
    for id in 1..=10_000 {
        said.extend(wire(&Message::FileOpen(open(id, None))));
        let cancel = FileCancel { id, code: Code::GIVEN_UP, reason: "" };
        said.extend(wire(&Message::FileCancel(cancel)));
    }
    let mut connection = after(&said, never()).with_linger(Duration::ZERO);
    let error = loop {
        match run(connection.recv()) {
            Ok(event) => assert!(event.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some(Code::TOO_MANY_TRANSFERS));
    let (_, _, pending) = connection.into_inner();
    assert!(pending.len() < 16 * 1024, "{}", pending.len());
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let mut connection = after(&[], never());
    let text = "x".repeat(1000);
    let mut accepted = 0;
    let error = loop {
        match connection.try_feed(&Message::Text(&text)) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ConnectionError::Full), "{error}");
    assert_eq!(accepted, 66); // the one that reaches 64 KiB is the last

    // Once they are written there is room again.
    let mut connection = after(&[], []);
    for _ in 0..10 {
        while connection.try_feed(&Message::Text(&text)).is_ok() {}
        run(connection.flush()).unwrap();
    }
    assert_eq!(connection.get_ref().drain.bytes.len(), 10 * 66 * 1008);
}

#[test]
fn data_is_written_from_where_it_is() {
    let mut connection = after(&[], []);
    let bytes = vec![7; 60_000];
    run(connection.feed(&Message::FileOpen(open(1, None)))).unwrap();
    run(connection.feed(&Message::FileData(FileData { id: 1, offset: 0, bytes: &bytes }))).unwrap();
    let writes = &connection.get_ref().drain.writes;
    let slices = writes.last().unwrap();
    assert_eq!(writes.len(), 1, "the open goes with it");
    assert_eq!(slices[1], (bytes.as_ptr(), bytes.len()));
    assert_eq!(slices[0].1, 8 + 28 + 5 + 8 + 12);
}

#[test]
fn a_fed_message_is_accepted_at_once_or_not_at_all() {
    let bytes = vec![7; 60_000];
    let data = |offset| Message::FileData(FileData { id: 1, offset, bytes: &bytes });
    // The transport takes a part, and then nothing for a while.
    let mut steps = vec![Step::Move(1000)];
    steps.extend(vec![Step::Pending; 20]);
    let mut connection = after(&[], steps);
    run(connection.feed(&Message::FileOpen(open(1, None)))).unwrap();
    assert!(attempt(1, connection.feed(&data(0))).unwrap().is_ok(), "it does not wait");
    // There is no room for another one, and a dropped call leaves nothing of it.
    for _ in 0..5 {
        assert!(attempt(2, connection.feed(&data(60_000))).is_none());
    }
    run(connection.feed(&data(60_000))).unwrap();
    run(connection.flush()).unwrap();
    let expected = [Message::FileOpen(open(1, None)), data(0), data(60_000)];
    let expected: Vec<_> = expected.iter().map(|message| format!("{message:?}")).collect();
    assert_eq!(shown(&connection.get_ref().drain.bytes), expected);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..40).prop_map(Step::Move),
        2 => (1_usize..40_000).prop_map(Step::Move),
        3 => Just(Step::Pending),
        1 => Just(Step::Fail(ErrorKind::Interrupted)),
        1 => Just(Step::Fail(ErrorKind::WouldBlock)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_or_doubled_wherever_a_call_is_dropped(
        reads in prop::collection::vec(step(), 0..100),
        writes in prop::collection::vec(step(), 0..100),
        ops in prop::collection::vec((0_u8..6, 0_usize..5, 1_usize..4), 1..60),
    ) {
        let sizes = [0, 10, 3000, 32_768, 65_000];
        let theirs: Vec<_> = (0..30_u8).map(|i| vec![i; sizes[usize::from(i) % 4]]).collect();
        let mut said = wires(theirs.iter().map(|bytes| Message::Binary(bytes)));
        said.extend(wire(&Message::Ping(b"?")));
        said.extend(wire(&Message::Close(Close::ORDINARY)));
        let line = Line::new(Source::new(&said, reads), Drain::new(writes));
        let mut connection = Connection::new(line);
        let (mut heard, mut accepted, mut ended) = (Vec::new(), Vec::new(), false);
        let mut keep = |event: Option<Event<'_>>| match event {
            Some(Event::Binary(bytes)) => heard.push(bytes.to_vec()),
            Some(event) => assert_eq!(event, Event::Close(Close::ORDINARY)),
            None => ended = true,
        };
        for (i, (op, size, patience)) in ops.into_iter().enumerate() {
            let ours = vec![u8::try_from(i).unwrap(); sizes[size]];
            let message = Message::Binary(&ours);
            let outcome = match op {
                0 => match attempt(patience, connection.recv()) {
                    Some(Ok(event)) => { keep(event); None }
                    Some(Err(error)) => Some(Err(error)),
                    None => None,
                },
                1 | 2 => match attempt(patience, connection.recv_or_room()) {
                    Some(Ok(Some(Turn::Event(event)))) => { keep(Some(event)); None }
                    Some(Ok(None)) => { keep(None); None }
                    Some(Ok(Some(_))) => {
                        // Unless the transport failed, for now, it does not wait.
                        attempt(patience, connection.feed(&message)).map(|fed| fed.map(|()| true))
                    }
                    Some(Err(error)) => Some(Err(error)),
                    None => None,
                },
                3 => attempt(patience, connection.flush()).map(|flushed| flushed.map(|()| false)),
                _ => attempt(patience, connection.feed(&message)).map(|fed| fed.map(|()| true)),
            };
            match outcome {
                Some(Ok(true)) => accepted.push(ours),
                Some(Err(
                    ConnectionError::Read(ReadError::Io(error))
                    | ConnectionError::Write(WriteError::Io(error) | WriteError::Flush(error)),
                )) => prop_assert_eq!(error.kind(), ErrorKind::WouldBlock),
                Some(Err(error)) => panic!("{error}"),
                Some(Ok(false)) | None => {}
            }
        }
        while !ended {
            match run(connection.recv()) {
                Ok(event) => match event {
                    Some(Event::Binary(bytes)) => heard.push(bytes.to_vec()),
                    Some(event) => assert_eq!(event, Event::Close(Close::ORDINARY)),
                    None => ended = true,
                },
                Err(ConnectionError::Read(ReadError::Io(_))) => {}
                Err(error) => panic!("{error}"),
            }
        }
        while !connection.session().is_closed() {
            let _ = run(connection.feed(&Message::Close(Close::ORDINARY)));
        }
        while run(connection.flush()).is_err() {}
        prop_assert_eq!(&heard, &theirs);
        let written = shown(&connection.get_ref().drain.bytes);
        let mut expected: Vec<_> =
            accepted.iter().map(|bytes| format!("{:?}", Message::Binary(bytes))).collect();
        expected.push(format!("{:?}", Message::Close(Close::ORDINARY)));
        let pong = format!("{:?}", Message::Pong(b"?"));
        prop_assert_eq!(written.iter().filter(|&shown| *shown == pong).count(), 1);
        let others: Vec<_> = written.into_iter().filter(|shown| *shown != pong).collect();
        prop_assert_eq!(others, expected);
        prop_assert!(connection.get_ref().drain.is_shut);
    }
}

/// Sends one file of `total` bytes and takes the peer's, both at once.
async fn exchange(connection: &mut Connection<DuplexStream>, total: u64) -> u64 {
    let bytes = vec![7; 60_000];
    connection.feed(&Message::FileOpen(open(1, Some(total)))).await.unwrap();
    let (mut sent, mut received, mut stored, mut done) = (0, 0, false, false);
    while !(stored && done) {
        // Nothing is left to send behind the done: then there is only to be received.
        let is_sending = connection.session().open_transfer().is_some();
        let turn = if is_sending {
            connection.recv_or_room().await.unwrap().unwrap()
        } else {
            Turn::Event(connection.recv().await.unwrap().unwrap())
        };
        match turn {
            Turn::Room if sent < total => {
                let len = (total - sent).min(60_000);
                let bytes = &bytes[..usize::try_from(len).unwrap()];
                let data = FileData { id: 1, offset: sent, bytes };
                connection.feed(&Message::FileData(data)).await.unwrap();
                sent += len;
            }
            Turn::Room => {
                let done = FileDone { id: 1, total, digest: Digest([1; 32]) };
                connection.feed(&Message::FileDone(done)).await.unwrap();
            }
            Turn::Event(Event::FileOpen(open)) => {
                let id = open.id;
                let ready = FileStatus::ready(id, 0, Digest::OF_NOTHING);
                connection.try_feed(&Message::FileStatus(ready)).unwrap();
            }
            Turn::Event(Event::FileData(data)) => received += data.bytes.len() as u64,
            Turn::Event(Event::FileDone(file)) => {
                done = true;
                let answer = file.answer(Digest([1; 32]));
                connection.try_feed(&Message::FileStatus(answer)).unwrap();
            }
            Turn::Event(Event::FileEnd(status)) => stored = status.is_there(Digest([1; 32])),
            Turn::Event(Event::FileReady(_)) => {}
            turn => panic!("{turn:?}"),
        }
    }
    connection.flush().await.unwrap();
    received
}

#[tokio::test(start_paused = true)]
async fn both_sides_send_a_large_file_at_once_over_a_small_buffer() {
    const TOTAL: u64 = 100 << 20;
    let (mut a, mut b) = pair(4096);
    let both = async { tokio::join!(exchange(&mut a, TOTAL), exchange(&mut b, TOTAL)) };
    // The clock moves only when nobody can go on.
    let received = timeout(SOON, both).await.expect("both wait for each other");
    assert_eq!(received, (TOTAL, TOTAL));
    let (closed, ended) =
        tokio::join!(a.close(Close::ORDINARY, SOON), b.close(Close::ORDINARY, SOON));
    closed.unwrap();
    ended.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_side_that_waits_for_both_is_enough() {
    let (mut a, mut b) = pair(4096);
    let stubborn = async {
        for _ in 0..100 {
            b.send(&Message::Binary(&[1; 50_000])).await.unwrap(); // reads nothing meanwhile
        }
        std::future::pending::<()>().await;
    };
    let us = async {
        let mut bytes = 0;
        while bytes < 100 * 50_000 {
            match a.recv_or_room().await.unwrap().unwrap() {
                Turn::Event(Event::Binary(came)) => bytes += came.len(),
                Turn::Room => a.feed(&Message::Binary(&[2; 0])).await.unwrap(),
                turn => panic!("{turn:?}"),
            }
        }
        bytes
    };
    let both = async {
        tokio::select! {
            bytes = us => bytes,
            () = stubborn => 0,
        }
    };
    assert_eq!(timeout(SOON, both).await.expect("both wait"), 5_000_000);

    // The same where neither reads: what the test would find.
    let (mut a, mut b) = pair(4096);
    let text = "x".repeat(50_000);
    let text = Message::Text(&text);
    let both = async { tokio::join!(a.send(&text), b.send(&text)) };
    assert!(timeout(SOON, both).await.is_err());
}

#[test]
fn behind_a_close_there_is_no_room_but_events() {
    let said = wires([Message::Text("late"), Message::Close(Close::ORDINARY)]);
    let source = Source::new(&said, [Step::Pending]);
    let mut connection = Connection::new(Line::new(source, Drain::default()));
    run(connection.feed(&Message::Close(Close::ORDINARY))).unwrap();
    assert_eq!(run(connection.recv_or_room()).unwrap(), Some(Turn::Event(Event::Text("late"))));
    let close = Event::Close(Close::ORDINARY);
    assert_eq!(run(connection.recv_or_room()).unwrap(), Some(Turn::Event(close)));
    assert_eq!(run(connection.recv_or_room()).unwrap(), None);
    assert!(connection.get_ref().drain.is_shut);
}

#[tokio::test]
async fn what_was_on_its_way_when_a_small_limit_was_announced_is_taken() {
    let bytes = vec![1; 65_536];
    let said = wire(&Message::Binary(&bytes));
    let line = Line::new(Source::new(&said, []), Drain::default());
    let mut connection = Connection::with_limit(line, 100);
    connection.announce("").unwrap();
    assert_eq!(connection.recv().await.unwrap(), Some(Event::Binary(&bytes)));
    let hello = Message::Hello(Hello { limit: 100, name: "" });
    assert_eq!(connection.get_ref().drain.bytes, wire(&hello));
}

#[test]
fn room_and_events_come_in_turn() {
    // A transport that always gives and always takes.
    let said = wires(std::iter::repeat_n(Message::Text("hi"), 100_000));
    let mut connection = after(&said, []);
    let (mut rooms, mut events) = (0_usize, 0_usize);
    while let Ok(Some(turn)) = run(connection.recv_or_room()) {
        match turn {
            Turn::Room => {
                rooms += 1;
                run(connection.feed(&Message::Text("ho"))).unwrap();
            }
            _ => events += 1,
        }
    }
    assert_eq!(events, 100_000);
    let reads = said.len() / (96 * 1024);
    assert!((reads..reads + 10).contains(&rooms), "{rooms} in about {reads} reads");
}

#[test]
fn a_ping_is_answered_in_the_middle_of_an_upload_that_never_waits() {
    let (said, bytes) = (wire(&Message::Ping(b"?")), vec![7; 60_000]);
    let line = Line::new(
        Source::new(&said, [Step::Move(100)].into_iter().chain(never())),
        Drain::default(),
    );
    let mut connection = Connection::new(line);
    for _ in 0..4 {
        assert_eq!(run(connection.recv_or_room()).unwrap(), Some(Turn::Room));
        run(connection.feed(&Message::Binary(&bytes))).unwrap();
    }
    let written = shown(&connection.get_ref().drain.bytes);
    assert!(written.contains(&format!("{:?}", Message::Pong(b"?"))));
    assert_eq!(written.len(), 5);
}

#[test]
fn what_the_session_says_goes_out_before_a_close_and_is_flushed() {
    let source =
        || Source::new(&wire(&Message::Ping(b"?")), [Step::Move(100)].into_iter().chain(never()));
    let mut connection = Connection::new(Line::new(source(), Drain::default()));
    run(connection.feed(&Message::Text("one"))).unwrap();
    assert_eq!(run(connection.recv_or_room()).unwrap(), Some(Turn::Room));
    run(connection.send(&Message::Close(Close::ORDINARY))).unwrap();
    let expected = [Message::Text("one"), Message::Pong(b"?"), Message::Close(Close::ORDINARY)];
    let expected: Vec<_> = expected.iter().map(|message| format!("{message:?}")).collect();
    assert_eq!(shown(&connection.get_ref().drain.bytes), expected);

    let mut connection = Connection::new(Line::new(source(), Drain::default()));
    assert!(attempt(2, connection.recv()).is_none());
    let drain = &connection.get_ref().drain;
    assert_eq!(drain.bytes, wire(&Message::Pong(b"?")));
    assert_eq!(drain.flushed, drain.bytes.len());
}

#[tokio::test(start_paused = true)]
async fn a_close_has_its_place_where_answers_have_none() {
    let (ours, _theirs) = duplex(100);
    let mut connection = Connection::new(ours);
    while connection.try_feed(&Message::Text("an answer that nobody reads")).is_ok() {}
    let error = connection.close(Close::ORDINARY, SOON).await.unwrap_err();
    assert!(matches!(error, ConnectionError::CloseTimeout { .. }), "{error}");
    assert!(connection.session().is_closed());
}

#[test]
fn where_nothing_can_be_written_there_is_room_and_the_feed_says_why() {
    let broken = std::iter::repeat_n(Step::Fail(ErrorKind::BrokenPipe), 100);
    let steps = [Step::Move(10)].into_iter().chain(broken);
    let line = Line::new(
        Source::new(
            &wire(&Message::Close(Close { code: Code::BUSY, reason: "" })),
            [Step::Pending],
        ),
        Drain::new(steps),
    );
    let mut connection = Connection::new(line);
    run(connection.feed(&Message::Binary(&[1; 50_000]))).unwrap();
    assert_eq!(run(connection.recv_or_room()).unwrap(), Some(Turn::Room));
    let error = run(connection.feed(&Message::Text("more"))).unwrap_err();
    assert!(matches!(error, ConnectionError::Write(WriteError::Io(_))), "{error}");
    // What the peer said before it went is there.
    let close = Close { code: Code::BUSY, reason: "" };
    assert_eq!(run(connection.recv()).unwrap(), Some(Event::Close(close)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_frame_and_a_silent_peer_are_told_why_it_ended() {
    let cases: [(&[u8], Code); 2] =
        [(&wire(&Message::Text("hi"))[..9], Code::FRAME_TIMEOUT), (b"", Code::IDLE_TIMEOUT)];
    for (said, code) in cases {
        let (ours, mut theirs) = duplex(100);
        let mut connection =
            Connection::new(ours).with_frame_timeout(SOON).with_idle_timeout(2 * SOON);
        theirs.write_all(said).await.unwrap();
        let error = connection.recv().await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        drop(connection);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        let close = Close { code, reason: code.meaning() };
        assert_eq!(shown(&heard), [format!("{:?}", Message::Close(close))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_idle() {
    let (ours, _theirs) = duplex(1000);
    let mut connection = Connection::new(ours).with_frame_timeout(SOON / 5).with_idle_timeout(SOON);
    let begin = Instant::now();
    let error = connection.send(&Message::Binary(&[1; 60_000])).await.unwrap_err();
    assert_eq!((error.code(), begin.elapsed()), (Some(Code::IDLE_TIMEOUT), SOON));
    let error = connection.feed(&Message::Text("more")).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::IDLE_TIMEOUT));
    assert_eq!(connection.recv().await.unwrap_err().code(), Some(Code::IDLE_TIMEOUT));

    // But not while it takes something, however slowly.
    let (ours, mut theirs) = duplex(1000);
    let mut connection = Connection::new(ours).with_frame_timeout(SOON / 5).with_idle_timeout(SOON);
    theirs.write_all(&wire(&Message::Text("hi"))[..9]).await.unwrap(); // nor is this late
    let peer = async {
        loop {
            tokio::time::sleep(SOON / 2).await;
            let _ = theirs.read(&mut [0; 2000]).await.unwrap();
        }
    };
    tokio::select! {
        sent = connection.send(&Message::Binary(&[1; 60_000])) => sent.unwrap(),
        () = peer => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_and_says_nothing_is_not_idle() {
    let (ours, mut theirs) = duplex(1000);
    let mut connection = Connection::new(ours).with_idle_timeout(SOON);
    let us = async {
        for _ in 0..10 {
            while connection.recv_or_room().await.unwrap() != Some(Turn::Room) {}
            connection.feed(&Message::Binary(&[1; 40_000])).await.unwrap();
        }
    };
    let peer = async {
        let mut piece = [0; 10_000];
        loop {
            tokio::time::sleep(SOON / 10).await;
            let _ = theirs.read(&mut piece).await.unwrap();
        }
    };
    let begin = Instant::now();
    tokio::select! {
        () = us => {}
        () = peer => {}
    }
    assert!(begin.elapsed() > 4 * SOON);
}

#[tokio::test]
async fn an_applications_kinds_and_its_statuses() {
    let kind = Kind::new(0x41).unwrap();
    let (ours, theirs) = duplex(64);
    let mut a = Connection::new(ours).with_session(Session::new().with_kind(kind));
    let mut b = Connection::with_limit(theirs, 100).with_session(Session::new().with_kind(kind));
    b.announce("").unwrap();
    b.send(&Message::FileOpen(open(5, None))).await.unwrap();
    assert!(matches!(a.recv().await.unwrap(), Some(Event::Hello(hello)) if hello.limit == 100));
    a.send(&Message::Other { kind, payload: b"own" }).await.unwrap();
    assert_eq!(b.recv().await.unwrap(), Some(Event::Application { kind, payload: b"own" }));
    assert_eq!(a.recv().await.unwrap(), Some(Event::FileOpen(open(5, None))));
    a.tick();
    a.flush().await.unwrap();
    let working = FileStatus::new(5, Code::WORKING);
    assert_eq!(b.recv().await.unwrap(), Some(Event::FileWorking(working)));
    assert_eq!((a.session().owed(), b.session().unanswered()), (1, 1));
    let refused = FileStatus::refused(5, Code::QUOTA, 0, "no");
    a.send(&Message::FileStatus(refused)).await.unwrap();
    assert_eq!(b.recv().await.unwrap(), Some(Event::FileEnd(refused)));
    // What the session refuses is an event too, and the name does not have to be one.
    let mut misnamed = wire(&Message::FileOpen(open(6, None)));
    let at = misnamed.len() - 1;
    misnamed[at] = b'/';
    let mut connection = after(&misnamed, []);
    let event = Event::FileRefused { id: 6, code: Code::BAD_NAME };
    assert_eq!(connection.recv().await.unwrap(), Some(event));
}

#[test]
fn a_connection_shows_no_payload_and_can_be_taken_apart() {
    let said = wires([Message::Text("one"), Message::Text("secret")]);
    let mut connection = after(&said, never());
    assert_eq!(run(connection.recv()).unwrap(), Some(Event::Text("one")));
    connection.try_feed(&Message::Text("more")).unwrap();
    let (_, unread, pending) = connection.into_inner();
    assert_eq!(unread, wire(&Message::Text("secret")));
    assert_eq!(pending, wire(&Message::Text("more")));
    let (ours, _theirs) = duplex(10);
    let mut connection = Connection::new(ours);
    connection.try_feed(&Message::Text("secret")).unwrap();
    assert!(!format!("{connection:?}").contains("secret"));
}

#[test]
fn errors_say_what_to_try() {
    let late = ConnectionError::CloseTimeout { after: SOON };
    assert_eq!(
        late.to_string(),
        "the peer did not end the connection within 5s after the close; is it stuck, or still \
         sending?"
    );
    let error = ConnectionError::from(ReadError::from(DecodeError::Truncated {
        at: 3,
        missing: 2,
        part: unstick::Part::Header,
    }));
    assert!(error.to_string().starts_with("byte 3: "), "{error}");
    assert!(std::error::Error::source(&error).is_none(), "the text has it all");
    assert_eq!((late.code(), ConnectionError::Full.code()), (None, None));
}

#[test]
fn a_reason_is_shortened_to_what_the_peer_takes() {
    // spec: CNV-11
    let written = |limit, reason| {
        let mut connection = after(&wire(&Message::Hello(Hello { limit, name: "" })), []);
        run(connection.recv()).unwrap();
        run_with_clock(async {
            let close = Close { code: Code::BUSY, reason };
            let _ = connection.close(close, SOON).await;
        });
        shown(&connection.get_ref().drain.bytes)
    };
    let close = |reason| [format!("{:?}", Message::Close(Close { code: Code::BUSY, reason }))];
    assert_eq!(written(100, "粘包"), close("粘包"));
    assert_eq!(written(8, "粘包"), close("粘包"));
    assert_eq!(written(7, "粘包"), close("粘"));
    assert_eq!(written(2, "粘包"), close(""));
    assert!(written(1, "粘包").is_empty(), "an empty one would say that all is well");
}

#[test]
fn a_skipped_frame_counts_as_the_first_one() {
    let large = [&unstick::header::encode(Kind::BINARY, 70_000)[..], &[1; 70_000]].concat();
    let said = [large, wire(&Message::Hello(Hello { limit: 100_000, name: "" }))].concat();
    let line = Line::new(Source::new(&said, []), Drain::default());
    let mut connection = Connection::with_limit(line, 65_536).skip_oversize();
    run(connection.recv()).unwrap_err();
    let error = run(connection.recv()).unwrap_err();
    assert!(matches!(error, ConnectionError::Session(SessionError::LateHello)), "{error}");
}

#[test]
fn an_oversize_frame_after_the_close_is_not_skipped() {
    let large = unstick::header::encode(Kind::BINARY, 70_000);
    let said = [wire(&Message::Close(Close::ORDINARY)), large.to_vec()].concat();
    let line = Line::new(Source::new(&said, []), Drain::default());
    let mut connection = Connection::with_limit(line, 65_536).skip_oversize();
    assert!(matches!(run(connection.recv()), Ok(Some(Event::Close(_)))));
    for _ in 0..2 {
        let error = run(connection.recv()).unwrap_err();
        assert_eq!(error.code(), Some(Code::OVERSIZE), "{error}");
    }
}

#[test]
fn a_transport_that_fails_after_the_close_has_ended() {
    let close = wire(&Message::Close(Close::ORDINARY));
    let failing = || [Step::Move(close.len()), Step::Fail(ErrorKind::ConnectionReset)];
    let line = Line::new(Source::new(&close, failing()), Drain::default());
    let mut connection = Connection::new(line);
    assert!(matches!(run(connection.recv()), Ok(Some(Event::Close(_)))));
    assert!(matches!(run(connection.recv()), Ok(None)));
    // Before, it is no clean end.
    let text = wire(&Message::Text("hi"));
    let failing = [Step::Move(text.len()), Step::Fail(ErrorKind::ConnectionReset)];
    let mut connection = Connection::new(Line::new(Source::new(&text, failing), Drain::default()));
    assert!(matches!(run(connection.recv()), Ok(Some(Event::Text("hi")))));
    assert!(matches!(run(connection.recv()), Err(ConnectionError::Read(ReadError::Io(_)))));
}

#[test]
fn a_found_event_is_borrowed_later() {
    let begun = &wire(&Message::Text("three"))[..9];
    let said = [&wire(&Message::Text("one"))[..], &wire(&Message::Text("two")), begun].concat();
    let mut connection = Connection::new(Line::new(Source::new(&said, []), Drain::default()));
    let one = run(connection.find()).unwrap().unwrap();
    assert_eq!((one.at(), connection.event(&one)), (0, Some(Event::Text("one"))));
    connection.try_feed(&Message::Text("answer")).unwrap();
    assert_eq!(connection.unwritten_len(), 8 + 6);
    assert_eq!(connection.event(&one), Some(Event::Text("one")));
    let Some(Turn::Event(two)) = run(connection.find_or_room()).unwrap() else { panic!("room") };
    assert_eq!((two.at(), connection.event(&two)), (11, Some(Event::Text("two"))));
    assert_eq!((connection.position(), connection.unread_len()), (22, begun.len()));
    let header = connection.next_header().unwrap();
    assert_eq!((header.meta, header.payload_len), (Kind::TEXT, 5));
    run(connection.flush()).unwrap();
    assert_eq!(connection.unwritten_len(), 0);
}

#[test]
fn an_error_is_told_in_the_applications_words() {
    let told = |said: &[u8]| {
        let line = Line::new(Source::new(said, []), Drain::default());
        let mut connection =
            Connection::new(line).explain_errors(|error, at| format!("no, {at}: {error}"));
        let error = loop {
            if let Err(error) = run(connection.recv()) {
                break error;
            }
        };
        run_with_clock(async { connection.close(Close::ORDINARY, SOON).await.unwrap_err() });
        (error, shown(&connection.get_ref().drain.bytes))
    };
    let close = |code, reason: &str| [format!("{:?}", Message::Close(Close { code, reason }))];
    let (error, said) = told(b"GET /");
    assert_eq!(said, close(Code::BAD_MAGIC, &format!("no, 0: {error}")));
    // Also where the header is enough.
    let header = unstick::header::encode(Kind::new(0x3F).unwrap(), 9);
    let (error, said) = told(&[wire(&Message::Text("hi")), header.to_vec()].concat());
    assert_eq!(said, close(Code::UNKNOWN_KIND, &format!("no, 10: {error}")));
    let hello = wire(&Message::Hello(Hello { limit: 6, name: "" }));
    let (_, said) = told(&[hello, b"GET /".to_vec()].concat());
    assert_eq!(said, close(Code::BAD_MAGIC, "no, "));
    // There is nobody to be told of a cut.
    assert!(told(&wire(&Message::Text("hi"))).1.is_empty());
}

#[test]
fn oversize_frames_are_passed_over_where_that_is_asked_for() {
    let large = unstick::header::encode(Kind::BINARY, 70_000);
    let said = [
        wire(&Message::Text("one")),
        [&large[..], &[1; 70_000]].concat(),
        wire(&Message::Ping(b"")),
        wire(&Message::Text("two")),
        [&large[..], &[2; 70_000]].concat(),
        wire(&Message::Close(Close::ORDINARY)),
    ]
    .concat();
    for most in [7, 1000, 1_000_000] {
        let reads = (0..30_000).map(|_| Step::Move(most));
        let line = Line::new(Source::new(&said, reads), Drain::default());
        let mut connection = Connection::with_limit(line, 65_536).skip_oversize();
        let oversize = |at| DecodeError::Oversize { at, len: 70_000, limit: 65_536 };
        assert_eq!(run(connection.recv()).unwrap(), Some(Event::Text("one")));
        assert_eq!((connection.event_at(), connection.position()), (0, 11));
        let error = run(connection.recv()).unwrap_err();
        assert!(matches!(error, ConnectionError::Read(ReadError::Decode(e)) if e == oversize(11)));
        assert_eq!(connection.event_at(), 11);
        assert_eq!(run(connection.recv()).unwrap(), Some(Event::Text("two")), "{most}");
        let at = 11 + 8 + 70_000 + 8;
        assert_eq!((connection.event_at(), connection.position()), (at, at + 11));
        // A close reads over them too, and is told in the end that all is well.
        run_with_clock(async { connection.close(Close::ORDINARY, SOON).await.unwrap() });
        let expected = [Message::Pong(b""), Message::Close(Close::ORDINARY)];
        let expected: Vec<_> = expected.iter().map(|message| format!("{message:?}")).collect();
        assert_eq!(shown(&connection.get_ref().drain.bytes), expected);
    }
    // Nothing else is passed over.
    let line = Line::new(Source::new(b"GET /", []), Drain::default());
    let mut connection = Connection::new(line).skip_oversize();
    for _ in 0..2 {
        assert_eq!(run(connection.recv()).unwrap_err().code(), Some(Code::BAD_MAGIC));
    }
}
