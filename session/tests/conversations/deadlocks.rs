//! The ways in which two sides could wait for each other forever. Each test has both behaviours: with
//! the one that the specification forbids it sees the wait, with the required one the end. The clock
//! is tokio's paused one, which moves only when no task can go on.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use unstick_session::message::{
    Close, Code, Digest, FileData, FileDone, FileOpen, FileStatus, Message, ResumeKey,
};
use unstick_session::session::{Event, SendError};
use unstick_session::tokio::{Connection, ConnectionError, Turn};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than every bound of the specification that could end a wait.
const FOREVER: Duration = Duration::from_secs(3600);

const DIGEST: Digest = Digest([1; 32]);

fn pair(room: usize) -> (Connection<DuplexStream>, Connection<DuplexStream>) {
    let (a, b) = duplex(room);
    (Connection::new(a), Connection::new(b))
}

fn open(id: u32, size: u64) -> Message<'static> {
    let key = ResumeKey([7; 16]);
    Message::FileOpen(FileOpen { id, key, size: Some(size), name: "a.bin" })
}

fn done(id: u32, total: u64) -> Message<'static> {
    Message::FileDone(FileDone { id, total, digest: DIGEST })
}

/// Returns whether both ended in time.
async fn both_end(a: impl Future<Output = ()>, b: impl Future<Output = ()>) -> bool {
    timeout(FOREVER, async { tokio::join!(a, b) }).await.is_ok()
}

/// A sender that resumes: it waits for ready, and sends the rest.
async fn resume(mut connection: Connection<DuplexStream>) {
    connection.send(&open(1, 4)).await.unwrap();
    loop {
        match connection.recv().await.unwrap().unwrap() {
            Event::FileReady(ready) => {
                let bytes = &b"data"[usize::try_from(ready.offset).unwrap()..];
                let data = FileData { id: 1, offset: ready.offset, bytes };
                connection.send(&Message::FileData(data)).await.unwrap();
                connection.send(&done(1, 4)).await.unwrap();
            }
            Event::FileEnd(status) => break assert!(status.is_there(DIGEST)),
            event => panic!("{event:?}"),
        }
    }
    connection.close(Close::ORDINARY, FOREVER).await.unwrap();
}

/// A receiver that holds no part of the file.
async fn receive(mut connection: Connection<DuplexStream>, sends_ready_without_a_part: bool) {
    while let Some(event) = connection.recv().await.unwrap() {
        let answer = match event {
            Event::FileOpen(open) if sends_ready_without_a_part => {
                FileStatus::ready(open.id, 0, Digest::OF_NOTHING)
            }
            Event::FileDone(done) => done.answer(DIGEST),
            _ => continue,
        };
        connection.send(&Message::FileStatus(answer)).await.unwrap();
    }
    connection.close(Close::ORDINARY, FOREVER).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_resuming_sender_does_not_wait_for_a_receiver_without_a_part() {
    // spec: FIL-22
    for sends_ready in [false, true] {
        let (a, b) = pair(4096);
        assert_eq!(both_end(resume(a), receive(b, sends_ready)).await, sends_ready);
    }
}

/// Sends a file that is larger than the buffers, and then handles the peer's.
async fn upload_without_reading(mut connection: Connection<DuplexStream>) {
    let bytes = vec![7; 60_000];
    connection.send(&open(1, 60_000)).await.unwrap();
    connection
        .send(&Message::FileData(FileData { id: 1, offset: 0, bytes: &bytes }))
        .await
        .unwrap();
    connection.send(&done(1, 60_000)).await.unwrap();
    receive(connection, true).await;
}

/// The same, but it reads while it cannot write.
async fn upload_and_read(mut connection: Connection<DuplexStream>) {
    let bytes = vec![7; 60_000];
    let data = Message::FileData(FileData { id: 1, offset: 0, bytes: &bytes });
    let mut left = VecDeque::from([open(1, 60_000), data, done(1, 60_000)]);
    let (mut is_stored, mut has_stored) = (false, false);
    while !(is_stored && has_stored) {
        // When nothing is left to be sent, only events are waited for.
        let turn = if left.is_empty() {
            Turn::Event(connection.recv().await.unwrap().unwrap())
        } else {
            connection.recv_or_room().await.unwrap().unwrap()
        };
        let answer = match turn {
            Turn::Room => {
                let message = left.pop_front().unwrap();
                connection.feed(&message).await.unwrap();
                continue;
            }
            Turn::Event(Event::FileDone(done)) => done.answer(DIGEST),
            Turn::Event(event) => {
                is_stored |= matches!(event, Event::FileEnd(status) if status.is_there(DIGEST));
                continue;
            }
        };
        has_stored = true;
        connection.try_feed(&Message::FileStatus(answer)).unwrap();
    }
    connection.close(Close::ORDINARY, FOREVER).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_sides_that_upload_to_each_other_go_on_reading() {
    // spec: CNV-17
    let (a, b) = pair(4096);
    assert!(!both_end(upload_without_reading(a), upload_without_reading(b)).await);
    let (a, b) = pair(4096);
    assert!(both_end(upload_and_read(a), upload_and_read(b)).await);
}

/// Passes bytes on after a time.
async fn delay(mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>, by: Duration) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let read = async move {
        let mut bytes = vec![0; 4096];
        while let Ok(n @ 1..) = from.read(&mut bytes).await {
            sender.send((Instant::now() + by, bytes[..n].to_vec())).unwrap();
        }
    };
    let write = async move {
        while let Some((at, bytes)) = receiver.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

/// Two ends of a line that delays each byte by this time.
fn far_apart(delay_each_way: Duration) -> (DuplexStream, DuplexStream) {
    let ((a, near), (far, b)) = (duplex(4096), duplex(4096));
    let ((near_out, near_in), (far_out, far_in)) = (split(near), split(far));
    tokio::spawn(delay(near_out, far_in, delay_each_way));
    tokio::spawn(delay(far_out, near_in, delay_each_way));
    (a, b)
}

/// Sends a ping each second until one is known to be answered.
async fn until_answered(mut connection: Connection<DuplexStream>, only_the_newest_counts: bool) {
    let mut seconds = interval(SECOND);
    let (mut number, mut is_answered) = (0_u32, false);
    while !is_answered {
        tokio::select! {
            event = connection.recv() => {
                let Some(Event::Pong(payload)) = event.unwrap() else { panic!("no pong") };
                is_answered = !only_the_newest_counts || payload == number.to_be_bytes();
            }
            _ = seconds.tick() => {
                match connection.send(&Message::Ping(&(number + 1).to_be_bytes())).await {
                    Ok(()) => number += 1,
                    Err(ConnectionError::Send(SendError::TooManyPings)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_although_the_next_one_is_sent_within_the_round_trip() {
    // spec: CNV-4, CNV-15
    for only_the_newest_counts in [true, false] {
        let (ours, theirs) = far_apart(SECOND * 3 / 2);
        let peer = async {
            let mut peer = Connection::new(theirs);
            let _ = peer.recv().await; // answers pings
        };
        let us = async {
            let us = until_answered(Connection::new(ours), only_the_newest_counts);
            timeout(FOREVER, us).await.is_ok()
        };
        let is_answered = tokio::select! {
            is_answered = us => is_answered,
            () = peer => panic!("the peer ended"),
        };
        assert_eq!(is_answered, !only_the_newest_counts);
    }
}

/// A sender that takes 90 seconds for the digest of its part after ready.
async fn resume_slowly(
    mut connection: Connection<DuplexStream>,
    pings_meanwhile: bool,
) -> Result<(), ConnectionError> {
    connection.send(&open(1, 4)).await?;
    let held = match connection.recv().await?.unwrap() {
        Event::FileReady(ready) => ready.offset,
        event => panic!("{event:?}"),
    };
    let digest = sleep(90 * SECOND);
    let mut quiet = interval(20 * SECOND);
    if pings_meanwhile {
        tokio::pin!(digest);
        loop {
            tokio::select! {
                () = &mut digest => break,
                _ = quiet.tick() => connection.send(&Message::Ping(b"")).await?,
                event = connection.recv() => assert_eq!(event?, Some(Event::Pong(b""))),
            }
        }
    } else {
        digest.await;
    }
    let bytes = &b"data"[usize::try_from(held).unwrap()..];
    connection.send(&Message::FileData(FileData { id: 1, offset: held, bytes })).await?;
    connection.send(&done(1, 4)).await?;
    while let Some(event) = connection.recv().await? {
        if let Event::FileEnd(status) = event {
            assert!(status.is_there(DIGEST));
            return connection.close(Close::ORDINARY, FOREVER).await;
        }
    }
    panic!("no final status");
}

/// A receiver that holds a part and ends idle conversations as recommended. Returns the code of the
/// error with which it has ended.
async fn receive_the_rest(connection: Connection<DuplexStream>) -> Option<Code> {
    let mut connection = connection.with_idle_timeout(60 * SECOND);
    let mut received = async || -> Result<(), ConnectionError> {
        while let Some(event) = connection.recv().await? {
            let answer = match event {
                Event::FileOpen(open) => FileStatus::ready(open.id, 2, DIGEST),
                Event::FileDone(done) => done.answer(DIGEST),
                _ => continue,
            };
            connection.send(&Message::FileStatus(answer)).await?;
        }
        connection.close(Close::ORDINARY, FOREVER).await
    };
    received().await.err().and_then(|error| error.code())
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_computes_the_digest_of_its_part_keeps_the_conversation_alive() {
    // spec: CNV-21, FIL-23
    for pings_meanwhile in [false, true] {
        let (a, b) = pair(4096);
        // A sender that is silent is ended, and would be so with every further try.
        let (sent, ended) = tokio::join!(resume_slowly(a, pings_meanwhile), receive_the_rest(b));
        assert_eq!(sent.is_ok(), pings_meanwhile, "{sent:?}");
        let expected = if pings_meanwhile { None } else { Some(Code::IDLE_TIMEOUT) };
        assert_eq!(ended, expected);
    }
}

/// A peer that opens the next file before the last one is answered, until the other side closes.
async fn open_files(mut connection: Connection<DuplexStream>) {
    for id in 1.. {
        connection.feed(&open(id, 0)).await.unwrap();
        connection.feed(&done(id, 0)).await.unwrap();
        while connection.session().unanswered() > 1 {
            match connection.recv().await.unwrap() {
                Some(Event::Close(_)) => {
                    return connection.close(Close::ORDINARY, FOREVER).await.unwrap();
                }
                event => assert!(event.is_some()),
            }
        }
    }
}

/// Stores each file when the next one is there, and closes after the 100th when it owes no status.
async fn close_between_files(mut connection: Connection<DuplexStream>, drains: bool) {
    let (mut waiting, mut files) = (None, 0);
    while files < 100 || connection.session().owed() > 0 {
        let answer = match connection.recv().await.unwrap().unwrap() {
            Event::FileDone(done) => {
                files += 1;
                waiting.replace(done.answer(DIGEST))
            }
            Event::FileRefused { .. } => waiting.take(),
            _ => continue,
        };
        if files == 100 && drains {
            connection.drain();
        }
        if let Some(status) = answer {
            sleep(SECOND).await;
            connection.send(&Message::FileStatus(status)).await.unwrap();
        }
    }
    connection.close(Close::ORDINARY, FOREVER).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_keeps_opening_files_cannot_prevent_a_close() {
    // spec: CNV-16
    for drains in [false, true] {
        let (a, b) = pair(4096);
        assert_eq!(both_end(close_between_files(a, drains), open_files(b)).await, drains);
    }
    // The same with the call that drains by itself.
    let (mut a, b) = pair(4096);
    let us = async {
        let mut waiting = loop {
            if let Some(Event::FileDone(done)) = a.recv().await.unwrap() {
                break Some(done.answer(DIGEST));
            }
        };
        let store = |event: Event<'_>| match event {
            Event::FileDone(done) => waiting.replace(done.answer(DIGEST)),
            Event::FileRefused { .. } => waiting.take(),
            _ => None,
        };
        a.close_with(Close::ORDINARY, FOREVER, store).await.unwrap();
    };
    let begin = Instant::now();
    assert!(both_end(us, open_files(b)).await);
    assert!(begin.elapsed() < FOREVER, "it closed without waiting for its files");
}
