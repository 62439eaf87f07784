//! Files sent with `send_file`, over both connections, and received with a `FileReceiver`.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use std::{cell::RefCell, thread};

use tokio::io::{DuplexStream, duplex};
use unstick::{Framing, Kind, V1};
use unstick_session::message::{
    Close, Code, Digest, FileData, FileOpen, FileStatus, Hello, Message, ResumeKey,
};
use unstick_session::session::{Event, FileReceiver, IncomingFile, SendError};
use unstick_session::tokio::{Connection, ConnectionError};
use unstick_testing::script::{Drain, Line, Source, Step, attempt, run};

const SOON: Duration = Duration::from_secs(10);

/// Digests that differ where bytes differ in order or number: these tests need no more.
fn digest(bytes: &[u8]) -> Digest {
    let mut digest = [7_u8; 32];
    for (i, byte) in bytes.iter().enumerate() {
        digest[i % 32] = digest[i % 32].wrapping_mul(31).wrapping_add(*byte);
    }
    Digest(digest)
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 3).to_le_bytes()[0] ^ (i >> 12).to_le_bytes()[0]).collect()
}

type Folder = Rc<RefCell<HashMap<String, Vec<u8>>>>;

struct Upload {
    folder: Folder,
    name: String,
    bytes: Vec<u8>,
}

impl IncomingFile for Upload {
    type Error = Code;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Code> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn digest(&mut self) -> Digest {
        digest(&self.bytes)
    }

    fn store(mut self) -> Result<(), Code> {
        let mut folder = self.folder.borrow_mut();
        if folder.contains_key(&self.name) {
            return Err(Code::EXISTS);
        }
        folder.insert(std::mem::take(&mut self.name), std::mem::take(&mut self.bytes));
        Ok(())
    }
}

/// Takes files of at most 1,000,000 bytes.
fn receiver(
    folder: &Folder,
) -> FileReceiver<Upload, impl FnMut(&FileOpen<'_>) -> Result<Upload, Code>> {
    let folder = Rc::clone(folder);
    FileReceiver::new(1_000_000, move |open: &FileOpen<'_>| {
        let (folder, name) = (Rc::clone(&folder), open.name.to_owned());
        Ok(Upload { folder, name, bytes: Vec::new() })
    })
}

fn wire(message: &Message<'_>) -> Vec<u8> {
    let encoded = message.encode().unwrap();
    let mut wire = encoded.header(&Framing::new(V1)).unwrap().as_bytes().to_vec();
    wire.extend(encoded.to_payload());
    wire
}

/// The kinds of the frames that were written, and the bytes of each.
fn frames(mut wire: &[u8]) -> Vec<(Kind, Vec<u8>)> {
    let framing = Framing::new(V1).with_limit(u64::MAX);
    let mut frames = Vec::new();
    while let Some(frame) = framing.split_frame(&mut wire).unwrap() {
        frames.push((frame.meta, frame.payload.to_vec()));
    }
    frames
}

fn kinds(wire: &[u8]) -> Vec<Kind> {
    frames(wire).into_iter().map(|(kind, _)| kind).collect()
}

/// Takes everything that comes, and answers for files, until the peer has ended.
async fn serve(mut connection: Connection<DuplexStream>, folder: &Folder) {
    let mut files = receiver(folder);
    while let Some(event) = connection.recv().await.unwrap() {
        if let Some(status) = files.handle(&event) {
            connection.feed(&Message::FileStatus(status)).await.unwrap();
        }
    }
    connection.close(Close::ORDINARY, SOON).await.unwrap();
}

async fn send(
    connection: &mut Connection<DuplexStream>,
    name: &str,
    bytes: &[u8],
) -> Result<FileStatus<'static>, ConnectionError> {
    let mut sender = connection.send_file(name, None, |_| None).await?;
    for piece in bytes.chunks(100_000) {
        sender.write(piece).await?;
    }
    assert_eq!(sender.position(), bytes.len() as u64);
    sender.finish(digest(bytes)).await
}

#[tokio::test]
async fn files_are_there_one_after_the_other_and_one_that_is_refused_ends_alone() {
    let (ours, theirs) = duplex(1000);
    let folder = Folder::default();
    let client = async {
        let mut connection = Connection::new(ours);
        for (name, len) in [("a", 300_000), ("empty", 0), ("one", 1)] {
            let status = send(&mut connection, name, &content(len)).await.unwrap();
            assert_eq!((status.code, status.offset), (Code::STORED, len as u64));
        }
        // One that is there, and one that is too large: while it is sent, and by what it announces.
        let refused = |result: Result<FileStatus<'_>, _>| match result {
            Err(ConnectionError::FileRefused { code, .. }) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(send(&mut connection, "a", b"other").await), Code::EXISTS);
        let large = content(1_000_001);
        assert_eq!(refused(send(&mut connection, "large", &large).await), Code::TOO_LARGE);
        let mut sender = connection.send_file("large", Some(1_000_001), |_| None).await.unwrap();
        assert_eq!(refused(sender.write(&large).await.map(|()| unreachable!())), Code::TOO_LARGE);
        drop(sender);
        send(&mut connection, "last", b"x").await.unwrap();
        // A wrong digest, and a file that is not as long as it was announced.
        let mut sender = connection.send_file("wrong", None, |_| None).await.unwrap();
        sender.write(b"bytes").await.unwrap();
        assert_eq!(refused(sender.finish(digest(b"other")).await), Code::BAD_DIGEST);
        let mut sender = connection.send_file("short", Some(3), |_| None).await.unwrap();
        sender.write(b"ab").await.unwrap();
        let error = sender.finish(digest(b"ab")).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Send(SendError::WrongTotal { total: 2 })));
        let mut sender = connection.send_file("grown", Some(3), |_| None).await.unwrap();
        let error = sender.write(b"abcd").await.unwrap_err();
        assert!(matches!(error, ConnectionError::Send(SendError::Excess { end: 4, size: 3 })));
        drop(sender);
        let error = connection.send_file("a/b", None, |_| None).await.unwrap_err();
        assert!(matches!(error, ConnectionError::Send(SendError::Message(_))), "{error}");
        connection.close(Close::ORDINARY, SOON).await.unwrap();
    };
    tokio::join!(client, serve(Connection::new(theirs), &folder));
    let mut names: Vec<_> = folder.borrow().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["a", "empty", "last", "one"]);
    assert!(folder.borrow()["a"] == content(300_000), "it arrived changed");
}

#[tokio::test]
async fn both_sides_send_at_once_through_a_pipe_that_holds_next_to_nothing() {
    let (ours, theirs) = duplex(50);
    let folders = [Folder::default(), Folder::default()];
    let side = |stream, folder| async move {
        let mut connection = Connection::new(stream);
        let mut files = receiver(folder);
        let bytes = content(200_000);
        let mut sender =
            connection.send_file("a", Some(200_000), |event| files.handle(&event)).await.unwrap();
        sender.write(&bytes).await.unwrap();
        sender.finish(digest(&bytes)).await.unwrap();
        while folder.borrow().is_empty() {
            let event = connection.recv().await.unwrap().unwrap();
            if let Some(status) = files.handle(&event) {
                connection.feed(&Message::FileStatus(status)).await.unwrap();
            }
        }
        connection.close(Close::ORDINARY, SOON).await.unwrap();
    };
    let both = async { tokio::join!(side(ours, &folders[0]), side(theirs, &folders[1])) };
    tokio::time::timeout(SOON, both).await.expect("they wait for each other");
    for folder in &folders {
        assert!(folder.borrow()["a"] == content(200_000), "it arrived changed");
    }
}

/// A connection whose peer says this, once a file was offered or something is waited for, and then
/// nothing for a long time.
fn hears(said: &[u8]) -> Connection<Line> {
    let said_at = if said.is_empty() { Step::Pending } else { Step::Move(said.len()) };
    let reads = [Step::Pending, said_at].into_iter().chain([Step::Pending; 1000]);
    Connection::new(Line::new(Source::new(said, reads), Drain::default()))
}

fn written(connection: &Connection<Line>) -> Vec<Kind> {
    kinds(&connection.get_ref().drain.bytes)
}

#[test]
fn what_the_peer_says_meanwhile_is_handed_on_and_what_that_returns_is_sent() {
    let theirs = FileOpen { id: 9, key: ResumeKey([1; 16]), size: None, name: "b" };
    let said = [
        wire(&Message::Text("hi")),
        wire(&Message::FileOpen(theirs)),
        wire(&Message::FileStatus(FileStatus::ready(1, 0, Digest::OF_NOTHING))),
        wire(&Message::FileStatus(FileStatus::new(1, Code::WORKING))),
        wire(&Message::Ping(b"")),
    ];
    let mut connection = hears(&said.concat());
    let mut heard = Vec::new();
    let mut sender = run(connection.send_file("a", None, |event| {
        heard.push(format!("{event:?}"));
        match event {
            Event::FileOpen(open) => Some(FileStatus::new(open.id, Code::NOT_ACCEPTED)),
            _ => None,
        }
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    run(sender.write(b"x")).unwrap();
    drop(sender);
    assert_eq!(heard, ["Text(\"hi\")".to_owned(), format!("{:?}", Event::FileOpen(theirs))]);
    run(connection.flush()).unwrap();
    let mut kinds = written(&connection);
    kinds.sort_by_key(|kind| kind.get());
    let expected =
        [Kind::PONG, Kind::FILE_OPEN, Kind::FILE_DATA, Kind::FILE_STATUS, Kind::FILE_CANCEL];
    assert_eq!(kinds, expected, "one of each");
}

#[test]
fn the_same_file_being_there_is_as_good_as_stored_and_its_bytes_are_not_sent() {
    let bytes = content(500_000);
    let there = |digest| {
        let exists = FileStatus::exists(1, Some((500_000, digest)));
        hears(&wire(&Message::FileStatus(exists)))
    };
    let mut connection = there(digest(&bytes));
    let mut sender = run(connection.send_file("a", Some(500_000), |_| None)).unwrap();
    for piece in bytes.chunks(50_000) {
        run(sender.write(piece)).unwrap();
    }
    assert_eq!(sender.position(), 500_000);
    assert_eq!(run(sender.finish(digest(&bytes))).unwrap().code, Code::EXISTS);
    assert!(connection.get_ref().drain.bytes.len() < 200_000, "what is there was sent");
    assert!(!written(&connection).contains(&Kind::FILE_DONE), "it is not open any more");

    let mut connection = there(digest(b"another"));
    let mut sender = run(connection.send_file("a", Some(500_000), |_| None)).unwrap();
    run(sender.write(&bytes)).unwrap();
    let error = run(sender.finish(digest(&bytes))).unwrap_err();
    assert!(matches!(error, ConnectionError::FileRefused { code: Code::EXISTS, .. }), "{error}");
}

#[test]
fn a_file_that_is_dropped_is_given_up_once_and_the_next_one_can_be_sent() {
    let mut connection = hears(b"");
    let mut sender = run(connection.send_file("a", None, |_| None)).unwrap();
    run(sender.write(b"half")).unwrap();
    drop(sender);
    drop(run(connection.send_file("b", None, |_| None)).unwrap());
    assert_eq!(connection.session().open_transfer(), None);
    run(connection.flush()).unwrap();
    let (open, cancel) = (Kind::FILE_OPEN, Kind::FILE_CANCEL);
    assert_eq!(written(&connection), [open, Kind::FILE_DATA, cancel, open, cancel]);
    let opens = frames(&connection.get_ref().drain.bytes);
    let [first, second] = [&opens[0].1, &opens[3].1];
    assert_eq!((first[..4].to_vec(), second[..4].to_vec()), (vec![0, 0, 0, 1], vec![0, 0, 0, 2]));
    assert!(first[4..20] != second[4..20], "two files have one key");

    // But not behind done.
    let sender = run(connection.send_file("c", None, |_| None)).unwrap();
    assert!(attempt(20, sender.finish(Digest::OF_NOTHING)).is_none());
    assert_eq!(connection.session().open_transfer(), None);
    assert_eq!(connection.session().unanswered(), 3);
    run(connection.flush()).unwrap();
    assert_eq!(written(&connection).last(), Some(&Kind::FILE_DONE));
}

#[test]
fn a_dropped_call_loses_no_byte_and_sends_none_twice() {
    let bytes = content(150_000);
    for patience in 1..40 {
        let writes = (0..4000).map(|i| match i % 3 {
            0 => Step::Move(1 + (i * 37) % 500),
            _ => Step::Pending,
        });
        let reads = vec![Step::Pending; 4000];
        let mut connection =
            Connection::new(Line::new(Source::new(b"", reads), Drain::new(writes)));
        let mut sender = loop {
            // A dropped call offered nothing, or the next one would find a file open.
            if attempt(patience, connection.send_file("a", None, |_| None)).is_some_and(drop_ok) {
                break run(connection.send_file("b", None, |_| None)).unwrap();
            }
        };
        while let Some(rest) = bytes.get(usize::try_from(sender.position()).unwrap()..) {
            if rest.is_empty() {
                break;
            }
            if let Some(sent) = attempt(patience, sender.write(rest)) {
                sent.unwrap();
            }
        }
        drop(sender);
        run(connection.flush()).unwrap();
        let mut arrived = Vec::new();
        for (kind, payload) in frames(&connection.get_ref().drain.bytes) {
            if let Ok(Message::FileData(data)) = Message::decode(kind, &payload) {
                assert_eq!(data.offset, arrived.len() as u64);
                arrived.extend_from_slice(data.bytes);
            }
        }
        assert!(arrived == bytes, "{patience}: it arrived changed");
    }
}

fn drop_ok<T, E: std::fmt::Debug>(result: Result<T, E>) -> bool {
    drop(result.unwrap());
    true
}

#[test]
fn a_peer_that_closes_leaves_the_file_unanswered_and_says_why() {
    let close = Close { code: Code::SHUTTING_DOWN, reason: "for\ttea" };
    let mut connection = hears(&wire(&Message::Close(close)));
    let mut closes = 0;
    let mut sender = run(connection.send_file("a", None, |event| {
        closes += usize::from(matches!(event, Event::Close(_)));
        None
    }))
    .unwrap();
    let error = run(async {
        loop {
            if let Err(error) = sender.write(b"x").await {
                break error;
            }
        }
    });
    assert_eq!(
        error.to_string(),
        r"the peer closed before it had answered for the file: shutting-down (for\ttea); send it again"
    );
    assert_eq!(error.code(), None);
    drop(sender);
    assert_eq!(closes, 1);
    // It would get no answer.
    let error = run(connection.send_file("b", None, |_| None)).unwrap_err();
    assert!(matches!(error, ConnectionError::Send(SendError::PeerClosed)), "{error}");
}

#[test]
fn refusals_say_why_and_what_to_try() {
    let text = |code, reason: &str| {
        ConnectionError::FileRefused { code, reason: reason.to_owned() }.to_string()
    };
    assert_eq!(
        text(Code::EXISTS, ""),
        "the receiver does not have the file: exists (a file of this name is there already); send \
         it under another name"
    );
    assert_eq!(
        text(Code(0x8001), ""),
        "the receiver does not have the file: 0x8001; what does the receiver take?"
    );
    // A receiver that says so of other bytes.
    assert_eq!(
        text(Code::STORED, ""),
        "the receiver does not have the file: it has stored other bytes under its name, as their \
         digest says; send it again under another name"
    );
    let long = text(Code::BUSY, &"粘".repeat(201));
    assert!(long.contains(&format!("({}…); try again later", "粘".repeat(200))), "{long}");
}

#[test]
fn frames_are_as_long_as_the_peer_takes() {
    let hello = Hello { limit: 100, name: "" };
    let mut connection = hears(&wire(&Message::Hello(hello)));
    run(connection.recv()).unwrap();
    let mut sender = run(connection.send_file("a", None, |_| None)).unwrap();
    run(sender.write(&content(1000))).unwrap();
    drop(sender);
    run(connection.flush()).unwrap();
    let lens: Vec<_> = frames(&connection.get_ref().drain.bytes)
        .into_iter()
        .filter(|(kind, _)| *kind == Kind::FILE_DATA)
        .map(|(_, payload)| payload.len())
        .collect();
    assert_eq!(lens.iter().sum::<usize>(), 1000 + 12 * lens.len());
    assert!(lens[..lens.len() - 1].iter().all(|len| *len == 100), "{lens:?}");
    // Where not even one byte fits, that is an error, and no loop for ever.
    let mut connection = hears(&wire(&Message::Hello(Hello { limit: 46, name: "" })));
    run(connection.recv()).unwrap();
    let mut sender = run(connection.send_file("a", None, |_| None)).unwrap();
    run(sender.write(&content(100))).unwrap();
    drop(sender);
    let mut connection = hears(&wire(&Message::Hello(Hello { limit: 12, name: "" })));
    run(connection.recv()).unwrap();
    let error = run(connection.send_file("a", None, |_| None)).unwrap_err();
    assert!(matches!(error, ConnectionError::Send(SendError::TooLong { limit: 12, .. })));
}

/// The blocking one, against a blocking receiver.
mod blocking {
    use super::*;
    use unstick_session::io::Connection;

    fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let theirs = listener.accept().unwrap().0;
        for socket in [&ours, &theirs] {
            socket.set_read_timeout(Some(SOON)).unwrap();
            socket.set_write_timeout(Some(SOON)).unwrap();
        }
        (ours, theirs)
    }

    fn serve(socket: TcpStream) -> HashMap<String, Vec<u8>> {
        let folder = Folder::default();
        let mut connection = Connection::new(socket);
        let mut files = receiver(&folder);
        while let Some(event) = connection.recv().unwrap() {
            if let Event::Text(text) = event {
                assert_eq!(text, "?");
                connection.feed(&Message::Text("!")).unwrap();
            } else if let Some(status) = files.handle(&event) {
                connection.feed(&Message::FileStatus(status)).unwrap();
            }
        }
        connection.close(Close::ORDINARY, SOON).unwrap();
        drop(files);
        folder.take()
    }

    #[test]
    fn files_are_there_and_what_else_is_said_is_heard() {
        let (ours, theirs) = sockets();
        let server = thread::spawn(move || serve(theirs));
        let mut connection = Connection::new(ours);
        let bytes = content(700_000);
        connection.feed(&Message::Text("?")).unwrap();
        let mut heard = 0;
        let mut sender = connection
            .send_file("a", Some(700_000), |event| {
                assert_eq!(event, Event::Text("!"));
                heard += 1;
                None
            })
            .unwrap();
        sender.write(&bytes).unwrap();
        assert_eq!(sender.position(), 700_000);
        let status = sender.finish(digest(&bytes)).unwrap();
        assert_eq!((status.code, status.offset, heard), (Code::STORED, 700_000, 1));

        let mut sender = connection.send_file("a", None, |_| None).unwrap();
        sender.write(b"other").unwrap();
        let error = sender.finish(digest(b"other")).unwrap_err();
        assert!(matches!(error, ConnectionError::FileRefused { code: Code::EXISTS, .. }));
        let mut sender = connection.send_file("half", None, |_| None).unwrap();
        sender.write(b"hal").unwrap();
        drop(sender);
        let sender = connection.send_file("empty", None, |_| None).unwrap();
        sender.finish(digest(b"")).unwrap();
        connection.close(Close::ORDINARY, SOON).unwrap();
        let stored = server.join().unwrap();
        assert_eq!(stored.len(), 2);
        assert!(stored["a"] == bytes && stored["empty"].is_empty());
    }

    #[test]
    fn a_time_out_of_the_socket_loses_no_byte() {
        let (ours, mut theirs) = sockets();
        ours.set_write_timeout(Some(Duration::from_millis(5))).unwrap();
        let mut connection = Connection::new(ours);
        let bytes = content(20_000_000);
        let mut sender = connection.send_file("a", None, |_| None).unwrap();
        let error = sender.write(&bytes).unwrap_err();
        assert!(matches!(error, ConnectionError::Write(_)), "{error}");
        let at = sender.position();
        assert!(at < 20_000_000);
        let reader = thread::spawn(move || {
            let mut heard = Vec::new();
            theirs.read_to_end(&mut heard).unwrap();
            heard
        });
        while sender.position() < 20_000_000 {
            let _ = sender.write(&bytes[usize::try_from(sender.position()).unwrap()..]);
        }
        drop(sender);
        while connection.flush().is_err() {}
        drop(connection);
        let mut arrived = Vec::new();
        for (kind, payload) in frames(&reader.join().unwrap()) {
            if let Ok(Message::FileData(FileData { offset, bytes, .. })) =
                Message::decode(kind, &payload)
            {
                assert_eq!(offset, arrived.len() as u64);
                arrived.extend_from_slice(bytes);
            }
        }
        assert!(arrived == bytes, "it arrived changed");
    }

    #[test]
    fn a_peer_that_ends_leaves_the_file_unanswered() {
        let (ours, mut theirs) = sockets();
        theirs.write_all(&wire(&Message::Close(Close::ORDINARY))).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut connection = Connection::new(ours);
        let sender = connection.send_file("a", None, |_| None).unwrap();
        let error = sender.finish(digest(b"")).unwrap_err();
        assert!(
            matches!(error, ConnectionError::FileUnanswered { code: Code::NO_ERROR, .. }),
            "{error}"
        );
    }
}
