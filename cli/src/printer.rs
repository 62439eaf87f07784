//! Standard output and standard error for many tasks: lines go to one thread, in order, and wait
//! if nobody reads them.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::output::{Failure, complaint};

/// The bytes of lines that wait to be written. A task with one more waits.
const ROOM: u32 = 8 << 20;

/// Prints lines from any task. Clones print to the same place.
#[derive(Clone)]
pub(crate) struct Printer {
    lines: mpsc::UnboundedSender<Line>,
    room: Arc<Semaphore>,
}

struct Line {
    text: String,
    /// Whether it is for standard error.
    aside: bool,
    /// Given back once the line is written.
    _room: Option<OwnedSemaphorePermit>,
}

impl Printer {
    /// A printer, and what becomes of it: an answer comes once writing failed, or all clones are
    /// gone and all lines written.
    pub(crate) fn start() -> (Self, oneshot::Receiver<Result<(), Failure>>) {
        Self::with(write_all)
    }

    /// The same, where lines do not just go to standard output but to `show`, one by one.
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
        // A thread of its own: a full pipe stops it, and nothing else.
        std::thread::spawn(move || {
            let written = write(waiting).map_err(|error| Failure::from_stdout(&error));
            // If nobody wants to know any more, the program ends.
            let _ = done.send(written);
        });
        (Self { lines, room: Arc::new(Semaphore::new(ROOM as usize)) }, outcome)
    }

    /// Prints a line, as soon as there is room. Lines after a failure are lost; the outcome tells.
    pub(crate) async fn line(&self, text: String) {
        self.queue(text, false).await;
    }

    /// The same on standard error, behind all lines that were printed before.
    pub(crate) async fn note(&self, text: String) {
        self.queue(text, true).await;
    }

    /// Says on standard error, in one line, what went wrong.
    pub(crate) async fn complain(&self, message: &str) {
        self.note(complaint(message)).await;
    }

    /// The same without waiting for room: for one line more, and not for each of many.
    pub(crate) fn complain_now(&self, message: &str) {
        self.note_now(complaint(message));
    }

    /// A line on standard error, likewise.
    pub(crate) fn note_now(&self, mut text: String) {
        text.push('\n');
        let _ = self.lines.send(Line { text, aside: true, _room: None });
    }

    async fn queue(&self, mut text: String, aside: bool) {
        text.push('\n');
        let weight = u32::try_from(text.len()).unwrap_or(ROOM).min(ROOM);
        if let Ok(permit) = Arc::clone(&self.room).acquire_many_owned(weight).await {
            let _ = self.lines.send(Line { text, aside, _room: Some(permit) });
        }
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
    if !line.aside {
        return out.write_all(line.text.as_bytes());
    }
    out.flush()?;
    // If nobody reads that, nobody wants to know.
    let _ = io::stderr().write_all(line.text.as_bytes());
    Ok(())
}
