//! Standard output, standard error, and how a command fails.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::term::preview::json_line;
use crate::term::time::now;

/// The reason why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The job failed; the message is one line.
    Job(String),
    /// The arguments ask for something impossible; the message is one line.
    Usage(String),
    /// The job failed, and its errors are already printed.
    Reported,
    /// Standard output was closed by its reader, and there is nothing else to do. This is not an error.
    OutputClosed,
    /// A signal of this number ended the program.
    Signal(u8),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Job(message) | Self::Usage(message) => f.write_str(message),
            Self::Reported => f.write_str("the error is above"),
            Self::OutputClosed => f.write_str("standard output is closed"),
            Self::Signal(number) => write!(f, "ended by signal {number}"),
        }
    }
}

impl Failure {
    /// Creates a failure of the job with this message.
    pub(crate) fn job(message: impl Into<String>) -> Self {
        Self::Job(message.into())
    }

    /// Converts an error of a write to standard output; a broken pipe becomes
    /// [`OutputClosed`](Self::OutputClosed).
    pub(crate) fn from_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Job(format!("cannot write to standard output: {error}"))
        }
    }
}

/// Returns whether this is the error of a full disk, or of a quota that is used up.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Prints an error message as one line on standard error. A failure to write it is ignored.
pub(crate) fn print_error(message: &str) {
    note(&error_line(message));
}

/// Formats an error message as the line that is printed.
pub(crate) fn error_line(message: &str) -> String {
    format!("unstick: {message}")
}

/// Prints a line on standard error.
pub(crate) fn note(line: &str) {
    // One write per line, so that lines of several threads do not mix.
    let line = crate::term::preview::line(line.to_owned()) + "\n";
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Standard output, buffered. Only [`flush`](Self::flush) flushes it.
pub(crate) struct Out {
    out: BufWriter<StdoutLock<'static>>,
    /// Whether the job goes on when nobody reads.
    goes_on: bool,
    is_closed: bool,
}

impl Out {
    /// Creates an output for a command that only prints: without a reader it
    /// [ends](Failure::OutputClosed).
    pub(crate) fn new() -> Self {
        let out = BufWriter::new(io::stdout().lock());
        Self { out, goes_on: false, is_closed: false }
    }

    /// Creates an output for a command that has more to do than to print: without a reader, lines are
    /// dropped.
    pub(crate) fn of_job() -> Self {
        Self { goes_on: true, ..Self::new() }
    }

    pub(crate) fn line(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        if self.is_closed {
            return Ok(());
        }
        let written = writeln!(self.out, "{}", crate::term::preview::line(line.to_string()));
        self.written(written)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.is_closed {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.written(flushed)
    }

    fn written(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written.map_err(|error| Failure::from_stdout(&error)) {
            Err(Failure::OutputClosed) if self.goes_on => {
                self.is_closed = true;
                Ok(())
            }
            result => result,
        }
    }
}

/// Serializes a value as one JSON object on one line, which is safe to show.
pub(crate) fn json(value: &impl Serialize) -> String {
    // Every value that this program serializes has string keys and an infallible `Serialize`, so
    // this cannot fail.
    json_line(serde_json::to_string(value).unwrap_or_default())
}
/// An event of `--json`, with the time at which its line was made.
#[derive(Serialize)]
struct Timed<E> {
    #[serde(flatten)]
    event: E,
    time: String,
}

/// Formats an event as a line of `--json`, with the current time.
pub(crate) fn json_now(event: &impl Serialize) -> String {
    json(&Timed { event, time: now() })
}
