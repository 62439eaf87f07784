//! Sends messages in a format in which each frame is a message: no close, no files.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use unstick::Framing;
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};

use crate::addr::{BoxedReader, BoxedWriter, Halves};
use crate::connection_errors::explain_read;
use crate::exchange::{Exchange, feed, next_found};
use crate::format::Meta;
use crate::send::job::{
    Answers, Job, broken, ended_early, not_sent, not_taken, over_limit, unanswered,
};
use crate::send::source::{Item, Items};
use crate::term::bytes::count_bytes;
use crate::term::output::Failure;

/// What both directions count.
#[derive(Default)]
struct Counts {
    sent: Cell<u64>,
    answers: Cell<u64>,
    /// Notified when an answer arrives.
    answered: Notify,
}

/// Sends everything, and prints the answers until the peer ends, or has sent nothing for a while.
pub(super) async fn converse<W: Exchange>(
    job: &Job,
    framing: Framing<W>,
    (incoming, outgoing): Halves,
    answers: Answers,
    items: Items,
) -> Result<(), Failure> {
    let counts = Counts::default();
    let all_sent = Cell::new(false);
    let mut reading =
        pin!(read(job, FrameReader::with_framing(incoming, framing), &answers, &counts));
    let sender = Sender {
        job,
        writer: FrameWriter::with_framing(outgoing, framing),
        answers: &answers,
        counts: &counts,
    };
    tokio::select! {
        sent = sender.run(items, &all_sent) => sent?,
        ended = &mut reading => {
            ended?;
            let (sent, answers) = (counts.sent.get(), counts.answers.get());
            if all_sent.get() && (!job.expect_reply || answers >= sent) {
                return Ok(());
            }
            let answers = job.expect_reply.then_some(answers);
            return Err(ended_early("ended the connection", sent, answers, ""));
        }
    }
    if job.expect_reply {
        return Ok(()); // every answer has arrived
    }
    tokio::select! {
        ended = reading => ended,
        // These formats have no close, so silence is the end.
        () = silence(&counts, job.timeout) => Ok(()),
    }
}

/// Returns once no answer has come for this time.
async fn silence(counts: &Counts, after: Duration) {
    while timeout(after, counts.answered.notified()).await.is_ok() {}
}

/// Prints the answers until the peer ends.
async fn read<W: Exchange>(
    job: &Job,
    mut reader: FrameReader<BoxedReader, W>,
    answers: &Answers,
    counts: &Counts,
) -> Result<(), Failure> {
    loop {
        let found = match next_found(&mut reader).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(ReadError::Io(error)) => return Err(broken(&error)),
            Err(error) => return Err(Failure::Job(explain_read(&error, job.shape.format))),
        };
        if let Some(frame) = reader.buf().frame(&found) {
            answers.print(frame.meta.clone().into_any(), frame.payload, found.at()).await;
        }
        counts.answers.set(counts.answers.get() + 1);
        counts.answered.notify_one();
    }
}

/// The sending direction.
struct Sender<'a, W: Exchange> {
    job: &'a Job,
    writer: FrameWriter<BoxedWriter, W>,
    answers: &'a Answers,
    counts: &'a Counts,
}

impl<W: Exchange> Sender<'_, W> {
    /// Sends everything, waits for the expected answers, and shuts down writing.
    async fn run(mut self, mut items: Items, all_sent: &Cell<bool>) -> Result<(), Failure> {
        loop {
            if items.is_empty() {
                in_time(self.job, self.counts, self.writer.flush()).await?;
            }
            match items.recv().await.transpose()? {
                Some(Item::Message(payload)) => self.message(&payload).await?,
                Some(Item::File(_) | Item::Unsendable { .. }) => {
                    self.answers.printer.error("only v1 has files; send it without --format").await;
                }
                Some(Item::Mistake(why)) => self.answers.printer.error(&why).await,
                None => break,
            }
        }
        in_time(self.job, self.counts, self.writer.flush()).await?;
        all_sent.set(true);
        if self.job.expect_reply {
            self.wait_for_answers().await?;
        }
        in_time(self.job, self.counts, self.writer.shutdown()).await
    }

    async fn message(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let Job { shape, limit, .. } = *self.job;
        let number = self.counts.sent.get() + 1;
        // Where every message has the same length, a limit does not help.
        let is_fixed = shape.format.format().is_some_and(|format| format.is_fixed());
        let len = payload.len() as u64;
        if len > limit && !is_fixed {
            return Err(over_limit(number, &count_bytes(len), limit));
        }
        let fed = feed(&mut self.writer, shape.meta(payload), payload);
        in_time(self.job, self.counts, fed).await?;
        self.counts.sent.set(number);
        Ok(())
    }

    /// Waits until every message is answered.
    async fn wait_for_answers(&self) -> Result<(), Failure> {
        let (Counts { sent, answers, answered }, after) = (self.counts, self.job.timeout);
        while answers.get() < sent.get() {
            if timeout(after, answered.notified()).await.is_err() {
                return Err(unanswered(after, sent.get(), answers.get()));
            }
        }
        Ok(())
    }
}

/// Awaits a write with a time limit, which restarts if the peer answers meanwhile.
async fn in_time(
    job: &Job,
    counts: &Counts,
    written: impl Future<Output = Result<(), WriteError>>,
) -> Result<(), Failure> {
    let mut written = pin!(written);
    // More messages than were sent are no answers.
    let answered = || counts.answers.get().min(counts.sent.get());
    loop {
        let before = answered();
        match timeout(job.timeout, &mut written).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(WriteError::Encode(error))) => {
                return Err(Failure::job(format!("cannot send: {error}")));
            }
            Ok(Err(error)) => return Err(not_sent(&error)),
            Err(_late) if answered() > before => {}
            Err(_late) => return Err(not_taken(job.timeout)),
        }
    }
}
