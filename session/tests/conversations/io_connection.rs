//! The blocking connection: over transports that cut and fail, over sockets, and with the tokio one
//! as its peer.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use unstick::io::{ReadError, WriteError};
use unstick::{Framing, Kind, V1};
use unstick_session::io::{Connection, ConnectionError};
use unstick_session::message::{
    Close, Code, FileData, FileOpen, FileStatus, Hello, Message, ResumeKey,
};
use unstick_session::session::{Event, Session, SessionError};
use unstick_testing::script::{Drain, Line, Source, Step};

const SOON: Duration = Duration::from_secs(10);

fn wire(message: &Message<'_>) -> Vec<u8> {
    let encoded = message.encode().unwrap();
    let mut wire = encoded.header(&Framing::new(V1)).unwrap().as_bytes().to_vec();
    wire.extend(encoded.to_payload());
    wire
}

/// The messages that these bytes are, shown.
pub(super) fn shown(mut bytes: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while let Some(frame) = Framing::new(V1).split_frame(&mut bytes).unwrap() {
        messages.push(format!("{:?}", Message::decode(frame.meta, frame.payload).unwrap()));
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

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// One file to each side, a text and a ping, and a clean end, over TCP.
#[cfg(feature = "tokio")]
mod with_tokio {
    use super::*;
    use unstick_session::message::{Digest, FileDone};

    fn blocking(socket: TcpStream) {
        let mut connection = Connection::new(socket);
        connection.announce("blocking").unwrap();
        let bytes = vec![1; 1_000_000];
        connection.feed(&Message::Ping(b"?")).unwrap();
        assert!(
            matches!(connection.recv().unwrap(), Some(Event::Hello(hello)) if hello.name == "tokio")
        );
        assert_eq!(connection.recv().unwrap(), Some(Event::Pong(b"?")));
        connection.feed(&Message::FileOpen(open(1, Some(1_000_000)))).unwrap();
        let data = FileData { id: 1, offset: 0, bytes: &bytes };
        connection.feed(&Message::FileData(data)).unwrap();
        let digest = Digest([2; 32]);
        let done = FileDone { id: 1, total: 1_000_000, digest };
        connection.send(&Message::FileDone(done)).unwrap();
        match connection.recv().unwrap() {
            Some(Event::FileEnd(status)) => assert!(status.is_there(digest)),
            event => panic!("{event:?}"),
        }
        connection.close(Close::ORDINARY, SOON).unwrap();
    }

    async fn asynchronous(socket: TcpStream) {
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::TcpStream::from_std(socket).unwrap();
        let mut connection = unstick_session::tokio::Connection::new(socket);
        connection.announce("tokio").unwrap();
        let (mut bytes, mut answer) = (0, None);
        while let Some(event) = connection.recv().await.unwrap() {
            match event {
                Event::FileData(data) => bytes += data.bytes.len(),
                Event::FileDone(done) => answer = Some(done.answer(Digest([2; 32]))),
                _ => {}
            }
            if let Some(answer) = answer.take() {
                connection.feed(&Message::FileStatus(answer)).await.unwrap();
            }
        }
        assert_eq!(bytes, 1_000_000);
        connection.close(Close::ORDINARY, SOON).await.unwrap();
    }

    #[tokio::test]
    async fn the_blocking_and_the_tokio_connection_understand_each_other() {
        let (a, b) = sockets();
        let thread = thread::spawn(move || blocking(a));
        asynchronous(b).await;
        thread.join().unwrap();
    }
}

#[test]
fn an_end_without_a_close_is_a_cut_and_one_behind_it_is_not() {
    // spec: CNV-8
    let whole = [wire(&Message::Text("hi")), wire(&Message::Close(Close::ORDINARY))].concat();
    for cut in 0..whole.len() {
        let mut connection = after(&whole[..cut], []);
        let error = loop {
            match connection.recv() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{cut}: a cut taken for a clean end"),
                Err(error) => break error,
            }
        };
        let at_boundary = [0, 10].contains(&cut);
        let expected = if at_boundary { Code::UNCLOSED } else { Code::TRUNCATED };
        assert_eq!(error.code(), Some(expected), "{cut}");
        assert_eq!(connection.recv().unwrap_err().code(), Some(expected), "it latches");
    }
    let mut connection = after(&whole, []);
    assert_eq!(connection.recv().unwrap(), Some(Event::Text("hi")));
    assert_eq!(connection.recv().unwrap(), Some(Event::Close(Close::ORDINARY)));
    assert_eq!(connection.recv().unwrap(), None);
    connection.close(Close::ORDINARY, SOON).unwrap();
    assert_eq!(connection.get_ref().drain.bytes, wire(&Message::Close(Close::ORDINARY)));
    assert!(connection.get_ref().drain.is_shut);
}

#[test]
fn an_error_of_the_peers_is_answered_with_a_close_that_has_its_code() {
    // spec: CNV-9, CNV-10
    let (ours, mut theirs) = sockets();
    let mut connection = Connection::new(ours);
    // Judged by its header, before the payload is there; the rest is read, and lost by nobody.
    theirs.write_all(&unstick::header::encode(Kind::new(0x3F).unwrap(), 1_000_000)).unwrap();
    let peer = thread::spawn(move || {
        theirs.write_all(&vec![0; 1_000_000]).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).unwrap();
        heard
    });
    let error = connection.recv().unwrap_err();
    assert!(matches!(error, ConnectionError::Session(SessionError::UnknownKind { .. })), "{error}");
    let error = connection.close(Close::ORDINARY, SOON).unwrap_err();
    assert_eq!(error.code(), Some(Code::UNKNOWN_KIND));
    let close = Close { code: Code::UNKNOWN_KIND, reason: Code::UNKNOWN_KIND.meaning() };
    assert_eq!(shown(&peer.join().unwrap()), [format!("{:?}", Message::Close(close))]);
}

#[test]
fn a_slow_frame_is_told_why_it_ended() {
    let (ours, mut theirs) = sockets();
    ours.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let after = Duration::from_millis(50);
    let mut connection = Connection::new(ours)
        .with_frame_timeout(after)
        .with_idle_timeout(SOON)
        .with_linger(Duration::ZERO);
    theirs.write_all(&wire(&Message::Text("hi"))[..9]).unwrap();
    let error = loop {
        match connection.recv() {
            Err(ConnectionError::Read(ReadError::Io(_))) => {}
            result => break result.unwrap_err(),
        }
    };
    assert!(matches!(error, ConnectionError::Read(ReadError::FrameTimeout { at: 0, .. })));
    drop(connection);
    let mut heard = Vec::new();
    theirs.read_to_end(&mut heard).unwrap();
    let close = Close { code: Code::FRAME_TIMEOUT, reason: Code::FRAME_TIMEOUT.meaning() };
    assert_eq!(shown(&heard), [format!("{:?}", Message::Close(close))]);
}

#[test]
fn a_close_does_not_wait_for_ever() {
    // spec: CNV-6
    let (ours, theirs) = sockets();
    ours.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut connection = Connection::new(ours);
    let begin = Instant::now();
    let within = Duration::from_millis(60);
    let error = connection.close(Close::ORDINARY, within).unwrap_err();
    assert!(matches!(error, ConnectionError::CloseTimeout { after } if after == within), "{error}");
    assert!(begin.elapsed() >= within);
    drop(theirs);
}

#[test]
fn a_peer_that_never_reads_what_it_causes_cannot_make_this_side_grow() {
    let mut said = Vec::new();
    for i in 0..10_000_u32 {
        said.extend(wire(&Message::Ping(&i.to_be_bytes())));
    }
    let never = std::iter::repeat_n(Step::Pending, 100_000); // its write times out
    let mut connection = after(&said, never);
    assert_eq!(connection.recv().unwrap_err().code(), Some(Code::UNCLOSED));
    let (line, _, pending) = connection.into_inner();
    assert!(line.drain.bytes.is_empty());
    let pongs = shown(&pending);
    assert!(pongs.len() == 1 && pongs[0].starts_with("Pong"), "{pongs:?}");

    let mut connection = after(&[], []);
    while connection.try_feed(&Message::Text(&"x".repeat(1000))).is_ok() {}
    let error = connection.try_feed(&Message::Text("")).unwrap_err();
    assert!(matches!(error, ConnectionError::Full), "{error}");
    connection.flush().unwrap();
    connection.try_feed(&Message::Text("")).unwrap();
}

#[test]
fn data_is_written_from_where_it_is() {
    let mut connection = after(&[], []);
    let bytes = vec![7; 60_000];
    connection.feed(&Message::FileOpen(open(1, None))).unwrap();
    connection.feed(&Message::FileData(FileData { id: 1, offset: 0, bytes: &bytes })).unwrap();
    let writes = &connection.get_ref().drain.writes;
    assert_eq!(writes.len(), 1, "the open goes with it");
    assert_eq!(writes[0][1], (bytes.as_ptr(), bytes.len()));
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_usize..40_000).prop_map(Step::Move),
        2 => Just(Step::Pending),
        1 => Just(Step::Fail(ErrorKind::Interrupted)),
        1 => Just(Step::Fail(ErrorKind::TimedOut)),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_whatever_times_out(
        reads in prop::collection::vec(step(), 0..60),
        writes in prop::collection::vec(step(), 0..60),
        ops in prop::collection::vec((0_u8..5, 0_usize..5), 1..40),
    ) {
        let sizes = [0, 10, 3000, 32_768, 65_000];
        let theirs: Vec<_> = (0..20_u8).map(|i| vec![i; sizes[usize::from(i) % 4]]).collect();
        let mut said = Vec::new();
        for bytes in &theirs {
            said.extend(wire(&Message::Binary(bytes)));
        }
        said.extend(wire(&Message::Ping(b"?")));
        said.extend(wire(&Message::Close(Close::ORDINARY)));
        let line = Line::new(Source::new(&said, reads), Drain::new(writes));
        let mut connection = Connection::new(line);
        let (mut heard, mut accepted) = (Vec::new(), Vec::new());
        for (i, (op, size)) in ops.into_iter().enumerate() {
            let ours = vec![u8::try_from(i).unwrap(); sizes[size]];
            let result = match op {
                0 | 1 => connection.recv().map(|event| match event {
                    Some(Event::Binary(bytes)) => heard.push(bytes.to_vec()),
                    event => assert!(matches!(event, Some(Event::Close(_)) | None)),
                }),
                2 => connection.flush(),
                _ => {
                    let fed = connection.feed(&Message::Binary(&ours));
                    fed.map(|()| accepted.push(ours))
                }
            };
            match result {
                Ok(()) => {}
                Err(
                    ConnectionError::Read(ReadError::Io(error))
                    | ConnectionError::Write(WriteError::Io(error) | WriteError::Flush(error)),
                ) => prop_assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind())),
                Err(error) => panic!("{error}"),
            }
        }
        loop {
            match connection.recv() {
                Ok(Some(Event::Binary(bytes))) => heard.push(bytes.to_vec()),
                Ok(Some(event)) => assert_eq!(event, Event::Close(Close::ORDINARY)),
                Ok(None) => break,
                Err(ConnectionError::Read(ReadError::Io(_))) => {}
                Err(error) => panic!("{error}"),
            }
        }
        connection.close(Close::ORDINARY, SOON).unwrap();
        prop_assert_eq!(&heard, &theirs);
        let written = shown(&connection.get_ref().drain.bytes);
        let pong = format!("{:?}", Message::Pong(b"?"));
        prop_assert_eq!(written.iter().filter(|&shown| *shown == pong).count(), 1);
        let others: Vec<_> = written.into_iter().filter(|shown| *shown != pong).collect();
        let mut expected: Vec<_> =
            accepted.iter().map(|bytes| format!("{:?}", Message::Binary(bytes))).collect();
        expected.push(format!("{:?}", Message::Close(Close::ORDINARY)));
        prop_assert_eq!(others, expected);
        prop_assert!(connection.get_ref().drain.is_shut);
    }
}

#[test]
fn both_sides_send_much_at_once_with_time_outs_of_the_socket() {
    const TOTAL: usize = 8 << 20;
    let talk = |socket: TcpStream| {
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        socket.set_write_timeout(Some(Duration::from_millis(2))).unwrap();
        let mut connection = Connection::new(socket);
        let bytes = vec![1; 60_000];
        let (mut sent, mut received, mut is_closed) = (0, 0, false);
        loop {
            if sent < TOTAL {
                match connection.feed(&Message::Binary(&bytes)) {
                    Ok(()) => {
                        sent += bytes.len();
                        continue;
                    }
                    Err(ConnectionError::Write(WriteError::Io(_))) => {}
                    Err(error) => panic!("{error}"),
                }
            } else if !is_closed {
                connection.try_feed(&Message::Close(Close::ORDINARY)).unwrap();
                is_closed = true;
            }
            match connection.recv() {
                Ok(Some(Event::Binary(bytes))) => received += bytes.len(),
                Ok(Some(_)) | Err(ConnectionError::Read(ReadError::Io(_))) => {}
                Ok(None) => break,
                Err(error) => panic!("{error}"),
            }
        }
        connection.close(Close::ORDINARY, SOON).unwrap();
        (sent, received)
    };
    let (a, b) = sockets();
    let theirs = thread::spawn(move || talk(b));
    let (sent, received) = talk(a);
    assert_eq!(theirs.join().unwrap(), (received, sent));
    assert!(sent >= TOTAL);
}

#[test]
fn the_rules_and_limits_are_the_sessions() {
    let kind = Kind::new(0x41).unwrap();
    let said = [
        wire(&Message::Hello(Hello { limit: 100, name: "" })),
        wire(&Message::Other { kind, payload: b"own" }),
        wire(&Message::FileOpen(open(5, None))),
    ];
    let line = Line::new(Source::new(&said.concat(), []), Drain::default());
    let session = Session::new().with_kind(kind);
    let mut connection = Connection::with_limit(line, 5000).with_session(session);
    connection.announce("a").unwrap();
    assert!(matches!(connection.recv().unwrap(), Some(Event::Hello(_))));
    assert_eq!(connection.session().peer_limit(), 100);
    assert!(connection.feed(&Message::Binary(&[0; 101])).is_err());
    assert_eq!(connection.recv().unwrap(), Some(Event::Application { kind, payload: b"own" }));
    assert!(matches!(connection.recv().unwrap(), Some(Event::FileOpen(_))));
    connection.tick();
    connection.flush().unwrap();
    let expected = [
        Message::Hello(Hello { limit: 5000, name: "a" }),
        Message::FileStatus(FileStatus::new(5, Code::WORKING)),
    ];
    let expected: Vec<_> = expected.iter().map(|message| format!("{message:?}")).collect();
    assert_eq!(shown(&connection.get_ref().drain.bytes), expected);
}

#[test]
fn oversize_frames_are_passed_over_and_other_errors_told_in_the_applications_words() {
    let large = unstick::header::encode(Kind::BINARY, 70_000);
    let close = wire(&Message::Close(Close::ORDINARY));
    let said = [
        wire(&Message::Text("one")),
        [&large[..], &[1; 70_000]].concat(),
        wire(&Message::Text("two")),
        [&large[..], &[2; 70_000]].concat(),
        close.clone(),
    ]
    .concat();
    for most in [9, 1_000_000] {
        let reads = (0..30_000).map(|_| Step::Move(most));
        let line = Line::new(Source::new(&said, reads), Drain::default());
        let mut connection = Connection::with_limit(line, 65_536).skip_oversize();
        assert_eq!(connection.recv().unwrap(), Some(Event::Text("one")));
        let error = connection.recv().unwrap_err();
        assert!(matches!(error, ConnectionError::Read(ReadError::Decode(_))), "{error}");
        assert_eq!(connection.recv().unwrap(), Some(Event::Text("two")));
        let at = 11 + 8 + 70_000;
        assert_eq!((connection.event_at(), connection.position()), (at, at + 11));
        connection.close(Close::ORDINARY, SOON).unwrap();
        assert_eq!(connection.get_ref().drain.bytes, close);
    }
    let mut connection = after(b"GET /", []).explain_errors(|_, _| "v1 only".to_owned());
    assert_eq!(connection.recv().unwrap_err().code(), Some(Code::BAD_MAGIC));
    let close = Message::Close(Close { code: Code::BAD_MAGIC, reason: "v1 only" });
    assert_eq!(connection.get_ref().drain.bytes, wire(&close));
}

#[test]
fn a_transport_that_fails_after_the_close_has_ended() {
    let close = wire(&Message::Close(Close::ORDINARY));
    let failing = |kind| [Step::Move(close.len()), Step::Fail(kind)];
    let connection = |kind| {
        let line = Line::new(Source::new(&close, failing(kind)), Drain::default());
        let mut connection = Connection::new(line);
        assert!(matches!(connection.recv(), Ok(Some(Event::Close(_)))));
        connection
    };
    assert!(matches!(connection(ErrorKind::ConnectionReset).recv(), Ok(None)));
    // A timeout of the socket is none.
    let error = connection(ErrorKind::TimedOut).recv().unwrap_err();
    assert!(matches!(error, ConnectionError::Read(ReadError::Io(_))), "{error}");
}
