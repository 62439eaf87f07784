//! Standard output, standard error, and how a command fails.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The job failed; one line says why.
    Job(String),
    /// The command was asked for something that cannot be; one line says what.
    Usage(String),
    /// The job failed, and the errors were already told.
    Told,
    /// Nobody reads standard output any more. That is the reader's choice and no error.
    OutputClosed,
}

impl Failure {
    /// A job that failed with this message.
    pub(crate) fn job(message: impl Into<String>) -> Self {
        Self::Job(message.into())
    }

    /// What a failed write to standard output means.
    pub(crate) fn from_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Job(format!("cannot write to standard output: {error}"))
        }
    }
}

/// Says on standard error, in one line, what went wrong. If nobody reads that either, nobody wants
/// to know.
pub(crate) fn complain(message: &str) {
    note(&complaint(message));
}

/// What went wrong, as the line that says so.
pub(crate) fn complaint(message: &str) -> String {
    format!("unstick: {message}")
}

/// A line on standard error.
pub(crate) fn note(line: &str) {
    // One write a line, so that lines of several threads do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Standard output, buffered. Flushed by [`flush`](Self::flush) only.
pub(crate) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    pub(crate) fn line(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(|error| Failure::from_stdout(&error))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| Failure::from_stdout(&error))
    }
}

/// One JSON object in one line.
pub(crate) fn json(value: &impl Serialize) -> String {
    // What this program serializes has string keys and no failing `Serialize`, so it cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}
