//! How both connections end: what the peer learns, and how long that takes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::{Instant, sleep, timeout};
use unstick_session::message::{
    Close, Code, Digest, FileData, FileDone, FileOpen, FileStatus, Message, ResumeKey,
};
use unstick_session::session::Event;
use unstick_session::tokio::{Connection, ConnectionError};

use super::io_connection::shown;

const SOON: Duration = Duration::from_secs(5);

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// A peer that breaks a rule, sends more than the buffers of a socket hold, and reads only then.
fn rude_peer(mut socket: TcpStream) -> JoinHandle<std::io::Result<Vec<u8>>> {
    thread::spawn(move || {
        socket.write_all(b"GET / HTTP/1.1\r\n")?;
        for _ in 0..320 {
            socket.write_all(&[1; 100_000])?;
        }
        socket.shutdown(Shutdown::Write)?;
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard)?;
        Ok(heard)
    })
}

/// What the peer of an `?` on the result of `recv` learns.
fn bad_magic() -> [String; 1] {
    let close = Close { code: Code::BAD_MAGIC, reason: Code::BAD_MAGIC.meaning() };
    [format!("{:?}", Message::Close(close))]
}

#[tokio::test]
async fn a_peer_whose_input_is_unread_still_receives_the_close_of_an_error() {
    // spec: CNV-18
    let (ours, theirs) = sockets();
    ours.set_nonblocking(true).unwrap();
    let peer = rude_peer(theirs);
    let mut connection = Connection::new(tokio::net::TcpStream::from_std(ours).unwrap());
    assert_eq!(connection.recv().await.unwrap_err().code(), Some(Code::BAD_MAGIC));
    drop(connection);
    assert_eq!(shown(&peer.join().unwrap().expect("the connection was reset")), bad_magic());
}

#[test]
fn the_same_with_a_blocking_connection() {
    let (ours, theirs) = sockets();
    let peer = rude_peer(theirs);
    let mut connection = unstick_session::io::Connection::new(ours);
    assert_eq!(connection.recv().unwrap_err().code(), Some(Code::BAD_MAGIC));
    drop(connection);
    assert_eq!(shown(&peer.join().unwrap().expect("the connection was reset")), bad_magic());
}

#[tokio::test]
async fn without_the_wait_the_close_is_lost() {
    // What the two tests above would find.
    let (ours, theirs) = sockets();
    ours.set_nonblocking(true).unwrap();
    let peer = rude_peer(theirs);
    let ours = tokio::net::TcpStream::from_std(ours).unwrap();
    let mut connection = Connection::new(ours).with_linger(Duration::ZERO);
    connection.recv().await.unwrap_err();
    drop(connection);
    assert!(peer.join().unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_waits_for_the_peer_no_longer_than_the_time_for_it() {
    let cases = [(None, SOON), (Some(SOON / 5), SOON / 5), (Some(Duration::ZERO), Duration::ZERO)];
    for (linger, expected) in cases {
        let (ours, mut theirs) = duplex(1000);
        theirs.write_all(b"GET /").await.unwrap();
        let mut connection = Connection::new(ours);
        if let Some(linger) = linger {
            connection = connection.with_linger(linger);
        }
        let begin = Instant::now();
        for _ in 0..2 {
            // The second time nothing is waited for.
            assert_eq!(connection.recv().await.unwrap_err().code(), Some(Code::BAD_MAGIC));
            assert_eq!(begin.elapsed(), expected);
        }
        drop(connection);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        assert_eq!(shown(&heard), bad_magic());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_after_an_error_is_continued_by_the_next_one() {
    let (ours, mut theirs) = duplex(4);
    let mut connection = Connection::new(ours);
    theirs.write_all(b"GET").await.unwrap();
    let begin = Instant::now();
    for _ in 0..4 {
        assert!(timeout(SOON / 5, connection.recv()).await.is_err());
    }
    assert_eq!(connection.find().await.unwrap_err().code(), Some(Code::BAD_MAGIC));
    assert_eq!(begin.elapsed(), SOON);
    // A close does not begin again.
    assert!(connection.close(Close::ORDINARY, SOON).await.is_err());
    assert_eq!(begin.elapsed(), SOON);

    // The peer reads slowly, and ends: nothing more is waited for.
    let (ours, mut theirs) = duplex(4);
    let mut connection = Connection::new(ours);
    let peer = async {
        theirs.write_all(b"GET").await.unwrap();
        theirs.shutdown().await.unwrap();
        sleep(SOON / 5).await;
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let begin = Instant::now();
    let us = async {
        let error = connection.recv_or_room().await.map(drop).unwrap_err();
        (error.code(), begin.elapsed())
    };
    let (heard, (code, took)) = tokio::join!(peer, us);
    assert_eq!((shown(&heard), code), (bad_magic().to_vec(), Some(Code::BAD_MAGIC)));
    assert!(took < SOON, "{took:?}");
}

/// A transport that always has something to read.
struct Flood;

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let room = buf.remaining();
        buf.put_slice(&vec![1; room]);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_peer_that_never_stops_sending_does_not_keep_the_error_back() {
    let transport = tokio::io::join(Flood, tokio::io::sink());
    let mut connection = Connection::new(transport).with_linger(Duration::from_millis(20));
    assert_eq!(connection.recv().await.unwrap_err().code(), Some(Code::BAD_MAGIC));
}

#[test]
fn a_blocking_error_and_a_blocking_close_end_without_timeouts_of_the_socket() {
    let (ours, mut theirs) = sockets();
    theirs.write_all(b"GET /").unwrap();
    let linger = Duration::from_millis(50);
    let mut connection = unstick_session::io::Connection::new(ours).with_linger(linger);
    let begin = std::time::Instant::now();
    assert_eq!(connection.recv().unwrap_err().code(), Some(Code::BAD_MAGIC));
    assert!(begin.elapsed() >= linger, "{:?}", begin.elapsed());

    let (ours, _theirs) = sockets();
    let mut connection = unstick_session::io::Connection::new(ours);
    let error = connection.close(Close::ORDINARY, linger).unwrap_err();
    assert!(matches!(error, ConnectionError::CloseTimeout { after } if after == linger), "{error}");
}

fn open(id: u32) -> Message<'static> {
    let key = ResumeKey([7; 16]);
    Message::FileOpen(FileOpen { id, key, size: Some(2), name: "a.bin" })
}

fn data(id: u32, offset: u64) -> Message<'static> {
    Message::FileData(FileData { id, offset, bytes: b"x" })
}

fn done(id: u32) -> Message<'static> {
    Message::FileDone(FileDone { id, total: 2, digest: Digest([1; 32]) })
}

/// Stores the file when the next one was refused.
fn store_late() -> impl FnMut(Event<'_>) -> Option<FileStatus<'static>> {
    let mut waiting = None;
    move |event| match event {
        Event::FileDone(done) => waiting.replace(done.answer(Digest([1; 32]))),
        Event::FileRefused { .. } => waiting.take(),
        _ => None,
    }
}

const READY: Message<'static> = Message::FileStatus(FileStatus::ready(1, 0, Digest::OF_NOTHING));

#[tokio::test(start_paused = true)]
async fn a_close_with_files_finishes_them_and_refuses_new_ones() {
    // spec: CNV-16
    let (ours, theirs) = duplex(256);
    let (mut a, mut b) = (Connection::new(ours), Connection::new(theirs));
    let peer = async {
        b.send(&open(1)).await.unwrap();
        assert!(matches!(b.recv().await.unwrap(), Some(Event::FileReady(_))));
        b.send(&data(1, 0)).await.unwrap();
        sleep(SOON / 5).await; // the other side has begun to close
        b.send(&data(1, 1)).await.unwrap();
        b.send(&done(1)).await.unwrap();
        b.send(&open(2)).await.unwrap();
        let mut ends = Vec::new();
        while let Some(event) = b.recv().await.unwrap() {
            match event {
                Event::FileEnd(status) => ends.push((status.id, status.code)),
                event => assert_eq!(event, Event::Close(Close::ORDINARY)),
            }
        }
        b.close(Close::ORDINARY, SOON).await.unwrap();
        ends
    };
    let us = async {
        assert!(matches!(a.recv().await.unwrap(), Some(Event::FileOpen(_))));
        a.send(&READY).await.unwrap();
        a.close_with(Close::ORDINARY, SOON, store_late()).await
    };
    let (mut ends, closed) = tokio::join!(peer, us);
    closed.unwrap();
    ends.sort_unstable();
    assert_eq!(ends, [(1, Code::STORED), (2, Code::SHUTTING_DOWN)]);
}

#[tokio::test(start_paused = true)]
async fn a_close_with_files_that_nobody_finishes_is_sent_after_its_time() {
    let (ours, theirs) = duplex(256);
    let (mut a, mut b) = (Connection::new(ours), Connection::new(theirs));
    a.send(&open(1)).await.unwrap();
    b.send(&open(1)).await.unwrap();
    assert!(matches!(a.recv().await.unwrap(), Some(Event::FileOpen(_))));
    let begin = Instant::now();
    let peer = async {
        assert!(matches!(b.recv().await.unwrap(), Some(Event::FileOpen(_))));
        assert!(matches!(b.recv().await.unwrap(), Some(Event::FileCancel(_))));
        assert_eq!(b.recv().await.unwrap(), Some(Event::Close(Close::ORDINARY)));
        assert_eq!(begin.elapsed(), SOON);
        b.close(Close::ORDINARY, SOON).await.unwrap();
    };
    let (closed, ()) = tokio::join!(a.close_with(Close::ORDINARY, SOON, |_| None), peer);
    closed.unwrap();
}

#[test]
fn a_blocking_close_with_files_finishes_them_and_refuses_new_ones() {
    use unstick_session::io::Connection;

    let (ours, theirs) = sockets();
    let peer = thread::spawn(move || {
        let mut b = Connection::new(theirs);
        b.send(&open(1)).unwrap();
        assert!(matches!(b.recv().unwrap(), Some(Event::FileReady(_))));
        b.send(&Message::Text("begun")).unwrap();
        for message in [data(1, 0), data(1, 1), done(1), open(2)] {
            b.send(&message).unwrap();
        }
        let mut ends = Vec::new();
        while let Some(event) = b.recv().unwrap() {
            if let Event::FileEnd(status) = event {
                ends.push((status.id, status.code));
            }
        }
        b.close(Close::ORDINARY, SOON).unwrap();
        ends
    });
    let mut a = Connection::new(ours);
    assert!(matches!(a.recv().unwrap(), Some(Event::FileOpen(_))));
    a.send(&READY).unwrap();
    assert_eq!(a.recv().unwrap(), Some(Event::Text("begun")));
    a.close_with(Close::ORDINARY, SOON, store_late()).unwrap();
    let mut ends = peer.join().unwrap();
    ends.sort_unstable();
    assert_eq!(ends, [(1, Code::STORED), (2, Code::SHUTTING_DOWN)]);
}
