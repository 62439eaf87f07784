//! Standard output and standard error for many tasks: one thread prints the lines in order, and
//! tasks wait if the lines are not read.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::term::output::{Failure, error_line};
use crate::term::preview;

/// The maximum number of bytes in lines that wait to be written. A task that exceeds it waits.
const MAX_QUEUED_BYTES: u32 = 8 << 20;

/// Prints lines from any task. Clones share one queue.
#[derive(Clone)]
pub(crate) struct Printer {
    lines: mpsc::UnboundedSender<Line>,
    free_bytes: Arc<Semaphore>,
}

struct Line {
    text: String,
    /// Whether the line is for standard error.
    to_stderr: bool,
    /// Released once the line is written.
    _room: Room,
}

/// Room for a line in the queue.
pub(crate) struct Room(
    #[expect(dead_code, reason = "held until it is dropped")] Option<OwnedSemaphorePermit>,
);

impl Printer {
    /// Starts a printer. The receiver yields the result once writing failed, or once all clones are
    /// dropped and all lines written.
    pub(crate) fn start() -> (Self, oneshot::Receiver<Result<(), Failure>>) {
        Self::with(write_all)
    }

    /// Starts a printer like [`start`](Self::start) that calls `show` for each line instead of
    /// writing to standard output.
    pub(crate) fn showing(
        mut show: impl FnMut(String) -> io::Result<()> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<(), Failure>>) {
        Self::with(move |mut waiting| {
            while let Some(line) = waiting.blocking_recv() {
                show(line.text)?;
            }
            Ok(())
        })
    }

    fn with(
        write: impl FnOnce(mpsc::UnboundedReceiver<Line>) -> io::Result<()> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<(), Failure>>) {
        let (lines, waiting) = mpsc::unbounded_channel();
        let (done, outcome) = oneshot::channel();
        // A dedicated thread, so that a full pipe blocks nothing else.
        std::thread::spawn(move || {
            let written = write(waiting).map_err(|error| Failure::from_stdout(&error));
            // The receiver is dropped when the program ends.
            let _ = done.send(written);
        });
        (Self { lines, free_bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES as usize)) }, outcome)
    }

    /// Prints a line; waits while the queue is full. Lines after a failure are dropped; the result
    /// reports the failure.
    pub(crate) async fn line(&self, text: String) {
        self.queue(text, false).await;
    }

    /// Prints a line on standard error, after all lines that were queued before.
    pub(crate) async fn note(&self, text: String) {
        self.queue(text, true).await;
    }

    /// Prints an error message as one line on standard error.
    pub(crate) async fn error(&self, message: &str) {
        self.note(error_line(message)).await;
    }

    /// Prints an error message without waiting. It may exceed the limit of the queue, so it is only
    /// for single lines.
    pub(crate) fn error_now(&self, message: &str) {
        self.note_now(error_line(message));
    }

    /// Prints a line on standard error without waiting, like [`error_now`](Self::error_now).
    pub(crate) fn note_now(&self, text: String) {
        self.push(text, true, Room(None));
    }

    /// Waits until the queue has room for a line of about this many bytes.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        let weight = u32::try_from(bytes).unwrap_or(MAX_QUEUED_BYTES).min(MAX_QUEUED_BYTES);
        Room(Arc::clone(&self.free_bytes).acquire_many_owned(weight).await.ok())
    }

    /// Prints a line in room that was waited for.
    pub(crate) fn line_in(&self, room: Room, text: String) {
        self.push(text, false, room);
    }

    async fn queue(&self, text: String, to_stderr: bool) {
        let room = self.room(text.len()).await;
        self.push(text, to_stderr, room);
    }

    fn push(&self, text: String, to_stderr: bool, room: Room) {
        let text = preview::line(text) + "\n";
        let _ = self.lines.send(Line { text, to_stderr, _room: room });
    }
}

fn write_all(mut waiting: mpsc::UnboundedReceiver<Line>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    while let Some(line) = waiting.blocking_recv() {
        write(&mut out, &line)?;
        drop(line);
        while let Ok(line) = waiting.try_recv() {
            write(&mut out, &line)?;
        }
        out.flush()?;
    }
    out.flush()
}

fn write(out: &mut impl Write, line: &Line) -> io::Result<()> {
    if !line.to_stderr {
        return out.write_all(line.text.as_bytes());
    }
    out.flush()?;
    // A failure to write to standard error is ignored.
    let _ = io::stderr().write_all(line.text.as_bytes());
    Ok(())
}
