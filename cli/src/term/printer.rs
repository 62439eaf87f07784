//! Standard output and standard error for many tasks: one thread prints the lines in order, and
//! tasks wait if the lines are not read.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::term::bytes::count;
use crate::term::output::{Failure, error_line, is_full};
use crate::term::preview;

/// The maximum number of bytes in lines that wait to be written. A task that exceeds it waits.
const MAX_QUEUED_BYTES: u32 = 8 << 20;
/// The number of bytes in lines that are written together.
const MAX_BUFFERED_BYTES: usize = 64 << 10;
/// How long lines are collected after some were written, so that many lines are few writes.
const COLLECT: Duration = Duration::from_micros(500);

/// Prints lines from any task. Clones share one queue.
#[derive(Clone)]
pub(crate) struct Printer {
    lines: mpsc::UnboundedSender<Line>,
    free_bytes: Arc<Semaphore>,
}

struct Line {
    /// With its end; or bytes as they are.
    bytes: Vec<u8>,
    to: To,
    /// Released once the line is written.
    _room: Room,
}

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Stdout,
    /// As they are: no line end is added, and nothing is left out.
    StdoutRaw,
    Stderr,
}

/// Room for a line in the queue.
pub(crate) struct Room(
    #[expect(dead_code, reason = "held until it is dropped")] Option<OwnedSemaphorePermit>,
);

impl Printer {
    /// Starts a printer. The receiver yields the result once writing failed, or once all clones are
    /// dropped and all lines written. Lines for which the disk of standard output has no room are
    /// dropped, and the others written; the result then is the failure. Once the reader of standard
    /// output is gone, lines for it are dropped, which is no failure: the job goes on.
    pub(crate) fn start() -> (Self, oneshot::Receiver<Result<(), Failure>>) {
        Self::with(|waiting| write_all(waiting, stdout()?, io::stderr()))
    }

    /// Starts a printer like [`start`](Self::start) that calls `show` for each line of text instead of
    /// writing to standard output.
    pub(crate) fn showing(
        mut show: impl FnMut(String) -> io::Result<()> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<(), Failure>>) {
        Self::with(move |mut waiting| {
            let mut is_closed = false;
            while let Some(line) = waiting.blocking_recv() {
                if !is_closed {
                    match show(String::from_utf8_lossy(&line.bytes).into_owned()) {
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => is_closed = true,
                        shown => shown?,
                    }
                }
                if is_closed && line.to == To::Stderr {
                    let _ = io::stderr().write_all(&line.bytes);
                }
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
        self.queue(text, To::Stdout).await;
    }

    /// Prints a line on standard error, after all lines that were queued before.
    pub(crate) async fn note(&self, text: String) {
        self.queue(text, To::Stderr).await;
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
        self.push(text, To::Stderr, Room(None));
    }

    /// Waits until the queue has room for a line of about this many bytes.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        let weight = u32::try_from(bytes).unwrap_or(MAX_QUEUED_BYTES).min(MAX_QUEUED_BYTES);
        Room(Arc::clone(&self.free_bytes).acquire_many_owned(weight).await.ok())
    }

    /// Prints a line in room that was waited for.
    pub(crate) fn line_in(&self, room: Room, text: String) {
        self.push(text, To::Stdout, room);
    }

    /// Writes bytes to standard output as they are, for a program that reads them. If the disk has no room
    /// for them, that is a failure at once: what follows would not be what was sent.
    pub(crate) async fn raw(&self, bytes: Vec<u8>) {
        let room = self.room(bytes.len()).await;
        let _ = self.lines.send(Line { bytes, to: To::StdoutRaw, _room: room });
    }

    async fn queue(&self, text: String, to: To) {
        let room = self.room(text.len()).await;
        self.push(text, to, room);
    }

    fn push(&self, text: String, to: To, room: Room) {
        let bytes = (preview::line(text) + "\n").into_bytes();
        let _ = self.lines.send(Line { bytes, to, _room: room });
    }
}

/// Returns standard output without a buffer, so that it is known what was written.
#[cfg(unix)]
fn stdout() -> io::Result<impl Write> {
    use std::os::fd::AsFd as _;
    Ok(std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
fn stdout() -> io::Result<impl Write> {
    Ok(io::stdout().lock())
}

fn write_all(
    mut waiting: mpsc::UnboundedReceiver<Line>,
    out: impl Write,
    err: impl Write,
) -> io::Result<()> {
    let mut lines = Lines::new(out, err);
    while let Some(line) = waiting.blocking_recv() {
        lines.add(line)?;
        while let Ok(line) = waiting.try_recv() {
            lines.add(line)?;
        }
        lines.flush()?;
        sleep(COLLECT);
    }
    if lines.lost == 0 {
        return Ok(());
    }
    let what = format!("there was no space for {}", count(lines.lost, "line"));
    Err(io::Error::new(io::ErrorKind::StorageFull, what))
}

/// Writes lines, and drops those for which there is no space.
struct Lines<O, E> {
    out: O,
    err: E,
    /// Whole lines.
    buf: Vec<u8>,
    /// Whether only the beginning of the last line was written.
    is_cut: bool,
    /// Whether the output is raw: then it gets no line end, and is not continued after a loss.
    is_raw: bool,
    /// Whether the reader of the output is gone.
    is_closed: bool,
    /// The lines dropped that were not reported yet, and all.
    untold: u64,
    lost: u64,
}

impl<O: Write, E: Write> Lines<O, E> {
    fn new(out: O, err: E) -> Self {
        let (buf, untold, lost) = (Vec::new(), 0, 0);
        Self { out, err, buf, is_cut: false, is_raw: false, is_closed: false, untold, lost }
    }

    fn add(&mut self, line: Line) -> io::Result<()> {
        if line.to == To::Stderr {
            self.flush()?;
            // A failure to write to standard error is ignored.
            let _ = self.err.write_all(&line.bytes);
            return Ok(());
        }
        self.is_raw |= line.to == To::StdoutRaw;
        self.buf.extend_from_slice(&line.bytes);
        if self.buf.len() >= MAX_BUFFERED_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            self.buf.clear();
        }
        let mut rest = self.buf.as_slice();
        if rest.is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        if self.is_cut {
            result = self.out.write_all(b"\n");
            self.is_cut = result.is_err();
        }
        while result.is_ok() && !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let (written, more) = rest.split_at_checked(n).unwrap_or((rest, &[]));
                    self.is_cut = !self.is_raw && !written.ends_with(b"\n");
                    rest = more;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        match result.and_then(|()| self.out.flush()) {
            Ok(()) if self.untold > 0 => {
                let lines = count(self.untold, "line");
                let told = writeln!(self.err, "unstick: {lines} could not be written: no space");
                if told.is_ok() {
                    self.untold = 0;
                }
            }
            Err(error) if is_full(&error) && !self.is_raw => {
                let lines = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
                self.untold = self.untold.saturating_add(lines);
                self.lost = self.lost.saturating_add(lines);
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.is_closed = true,
            result => result?,
        }
        self.buf.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file on a disk with room for some bytes.
    struct Disk {
        room: usize,
        written: Vec<u8>,
        error: io::ErrorKind,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = self.room.min(bytes.len());
            if n == 0 {
                return Err(self.error.into());
            }
            self.room -= n;
            self.written.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(room: usize, error: io::ErrorKind) -> Lines<Disk, Vec<u8>> {
        Lines::new(Disk { room, written: Vec::new(), error }, Vec::new())
    }

    fn print(lines: &mut Lines<Disk, Vec<u8>>, text: &[&str]) -> io::Result<()> {
        for text in text {
            lines.add(Line {
                bytes: format!("{text}\n").into_bytes(),
                to: To::Stdout,
                _room: Room(None),
            })?;
        }
        lines.flush()
    }

    #[test]
    fn lines_without_space_are_dropped_and_counted() {
        for error in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let mut lines = lines(8, error);
            print(&mut lines, &["first", "second", "third"]).unwrap();
            print(&mut lines, &["fourth"]).unwrap();
            assert_eq!((lines.lost, lines.err.len()), (3, 0));
            // There is room for the end of the line that was cut only.
            lines.out.room = 1;
            print(&mut lines, &["fifth"]).unwrap();
            lines.out.room = 100;
            print(&mut lines, &["sixth"]).unwrap();
            print(&mut lines, &["seventh"]).unwrap();
            assert_eq!(lines.out.written, b"first\nse\nsixth\nseventh\n");
            assert_eq!(lines.err, b"unstick: 4 lines could not be written: no space\n");
            lines.out.room = 0;
            print(&mut lines, &["eighth"]).unwrap();
            lines.out.room = 100;
            print(&mut lines, &["ninth"]).unwrap();
            assert!(lines.out.written.ends_with(b"\nseventh\nninth\n"));
            assert!(
                lines.err.ends_with(b"space\nunstick: 1 line could not be written: no space\n")
            );
            assert_eq!(lines.lost, 5);
        }
        print(&mut lines(8, io::ErrorKind::PermissionDenied), &["first", "second"]).unwrap_err();
    }

    #[test]
    fn raw_bytes_are_written_as_they_are_in_any_number_of_writes() {
        let raw =
            |bytes: &[u8]| Line { bytes: bytes.to_vec(), to: To::StdoutRaw, _room: Room(None) };
        let mut lines = lines(11, io::ErrorKind::StorageFull);
        for bytes in [&b"one"[..], b"two", b"", b"\n", b"x\0"] {
            lines.add(raw(bytes)).unwrap();
            lines.flush().unwrap();
        }
        lines.add(raw(b"three")).unwrap();
        assert_eq!(lines.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(lines.out.written, b"onetwo\nx\0th");
    }

    #[test]
    fn without_a_reader_lines_are_dropped_and_errors_are_not() {
        let mut lines = lines(8, io::ErrorKind::BrokenPipe);
        print(&mut lines, &["first", "second"]).unwrap();
        lines.out.room = 100;
        print(&mut lines, &["third"]).unwrap();
        let bytes = b"an error\n".to_vec();
        lines.add(Line { bytes, to: To::Stderr, _room: Room(None) }).unwrap();
        assert_eq!((&lines.out.written[..], lines.lost), (&b"first\nse"[..], 0));
        assert_eq!(lines.err, b"an error\n");
    }

    #[test]
    fn lost_lines_are_a_failure_at_the_end() {
        for room in [5, 12] {
            let (lines, waiting) = mpsc::unbounded_channel();
            for text in ["first\n", "other\n"] {
                lines.send(Line { bytes: text.into(), to: To::Stdout, _room: Room(None) }).unwrap();
            }
            drop(lines);
            let error = io::ErrorKind::StorageFull;
            let out = Disk { room, written: Vec::new(), error };
            let written = write_all(waiting, out, Vec::new()).map_err(|error| error.to_string());
            let lost = Err("there was no space for 2 lines".to_owned());
            assert_eq!(written, if room == 12 { Ok(()) } else { lost });
        }
    }
}
