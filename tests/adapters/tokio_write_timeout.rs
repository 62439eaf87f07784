//! The time limit of tokio's writer: a peer that takes nothing is late, a slow one is not.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWrite, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};
use unstick::io::WriteError;
use unstick::tokio::{FrameStream, FrameWriter};
use unstick::{Framing, U32Be};

const LIMIT: Duration = Duration::from_secs(5);

fn writer(room: usize) -> (FrameWriter<DuplexStream, U32Be>, DuplexStream) {
    let (ours, theirs) = duplex(room);
    (FrameWriter::with_framing(ours, U32Be).with_write_timeout(LIMIT), theirs)
}

/// Checks that it is late, whether the frame was accepted, and that this took the limit, once.
fn check_late(result: Result<(), WriteError>, accepted: bool, began: Instant) {
    match result.unwrap_err() {
        WriteError::Timeout { after: LIMIT, accepted: found } => assert_eq!(found, accepted),
        other => panic!("{other}"),
    }
    let took = began.elapsed();
    assert!(took >= LIMIT && took < LIMIT + Duration::from_millis(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_late_and_nothing_accepted_is_lost() {
    let (mut writer, mut theirs) = writer(8);
    let began = Instant::now();
    check_late(writer.send((), [7; 100]).await, true, began);
    // Another call may wait as long.
    let began = Instant::now();
    check_late(writer.flush().await, true, began);

    // The peer reads again: the stream goes on where it stopped.
    let reads = tokio::spawn(async move {
        let mut bytes = vec![0; 104 + 4 + 3];
        theirs.read_exact(&mut bytes).await.unwrap();
        bytes
    });
    writer.send((), "end").await.unwrap();
    let mut wire = Vec::new();
    Framing::new(U32Be).encode((), [7; 100], &mut wire).unwrap();
    Framing::new(U32Be).encode((), "end", &mut wire).unwrap();
    assert_eq!(reads.await.unwrap(), wire);
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_that_reads_is_not_late_however_long_its_frame() {
    let (mut writer, mut theirs) = writer(8);
    let began = Instant::now();
    let reads = tokio::spawn(async move {
        let mut bytes = [0; 1];
        for _ in 0..104 {
            sleep(LIMIT - Duration::from_millis(10)).await;
            theirs.read_exact(&mut bytes).await.unwrap();
        }
        theirs
    });
    writer.send((), [7; 100]).await.unwrap();
    assert!(began.elapsed() > 90 * (LIMIT - Duration::from_millis(10)));
    reads.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_written_in_part_is_late_and_poisons() {
    let (mut writer, _theirs) = writer(8);
    let began = Instant::now();
    check_late(writer.feed((), vec![7; 100_000]).await, false, began);
    assert!(matches!(writer.feed((), "next").await, Err(WriteError::Poisoned)));
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_dropped_calls_counts_and_the_time_between_calls_does_not() {
    let (mut writer, _theirs) = writer(8);
    writer.feed((), [7; 100]).await.unwrap();
    for _ in 0..4 {
        assert!(timeout(Duration::from_secs(1), writer.flush()).await.is_err());
        sleep(Duration::from_secs(60)).await; // the caller is busy
    }
    let began = Instant::now();
    assert!(matches!(writer.flush().await, Err(WriteError::Timeout { .. })));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_millis(1_100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_and_a_stream_have_the_limit_too() {
    let (mut writer, _theirs) = writer(8);
    let began = Instant::now();
    let frame = Framing::new(U32Be).frame((), [7; 100]).unwrap();
    check_late(SinkExt::send(&mut writer, frame).await, true, began);

    let (ours, _theirs) = duplex(8);
    let mut stream = FrameStream::with_framing(ours, U32Be).with_write_timeout(LIMIT);
    let began = Instant::now();
    check_late(stream.writer.send((), [7; 100]).await, true, began);
}

/// A stream that waits for its peer has the limits of reading alone.
#[tokio::test(start_paused = true)]
async fn a_stream_that_reads_is_not_late_with_what_it_was_fed() {
    let (ours, theirs) = duplex(8);
    let mut stream = FrameStream::with_framing(ours, U32Be).with_write_timeout(LIMIT);
    stream.writer.feed((), [7; 100]).await.unwrap();
    assert!(timeout(10 * LIMIT, stream.next_frame()).await.is_err());
    drop(theirs);
    let failed = stream.writer.flush().await;
    assert!(matches!(failed, Err(WriteError::Flush(_))), "{failed:?}");
}

/// Takes every byte at once, and is flushed and shut down never.
struct NeverFlushed;

impl AsyncWrite for NeverFlushed {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_does_not_flush_is_late() {
    let mut writer = FrameWriter::with_framing(NeverFlushed, U32Be).with_write_timeout(LIMIT);
    let began = Instant::now();
    check_late(writer.send((), "x").await, true, began);
    let began = Instant::now();
    check_late(writer.shutdown().await, true, began);
}

/// The time of one wait must not be left for the next, even if no byte moved in between.
#[tokio::test(start_paused = true)]
async fn a_wait_that_ended_well_leaves_no_time_for_the_next() {
    /// Takes bytes at once, and flushes after four seconds.
    struct SlowFlush(Option<Pin<Box<tokio::time::Sleep>>>);
    impl AsyncWrite for SlowFlush {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let nap = self.0.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(4))));
            std::task::ready!(nap.as_mut().poll(cx));
            self.0 = None;
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }
    let mut writer = FrameWriter::with_framing(SlowFlush(None), U32Be).with_write_timeout(LIMIT);
    for _ in 0..5 {
        writer.flush().await.unwrap(); // nothing to write: no byte moves
    }
}
