//! Standard output, standard error, and how a command fails.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::term::preview::json_line;

/// The reason why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The job failed; the message is one line.
    Job(String),
    /// The arguments ask for something impossible; the message is one line.
    Usage(String),
    /// The job failed, and its errors are already printed.
    Reported,
    /// Standard output was closed by its reader. This is not an error.
    OutputClosed,
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
pub(crate) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    pub(crate) fn line(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{}", crate::term::preview::line(line.to_string()))
            .map_err(|error| Failure::from_stdout(&error))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| Failure::from_stdout(&error))
    }
}

/// Serializes a value as one JSON object on one line, which is safe to show.
pub(crate) fn json(value: &impl Serialize) -> String {
    // Every value that this program serializes has string keys and an infallible `Serialize`, so
    // this cannot fail.
    json_line(serde_json::to_string(value).unwrap_or_default())
}
