//! A broken promise, with everything needed to reproduce it.

use std::error::Error;
use std::fmt;

use super::{Path, Policy, Promise};

/// A broken promise: which one, what was found, and the bytes that show it.
///
/// `Debug` prints the same text as `Display`, so that the error of a failed test is readable.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation {
    promise: Promise,
    law: Option<Promise>,
    found: String,
    bytes: Vec<u8>,
    stream: Option<Stream>,
}

/// How a stream was read when it failed.
#[derive(Clone, PartialEq, Eq)]
struct Stream {
    limit: u64,
    cuts: Vec<usize>,
    path: Path,
    policy: Policy,
}

impl Violation {
    pub(super) fn new(promise: Promise, bytes: &[u8], found: String) -> Self {
        Self { promise, law: None, found, bytes: bytes.to_vec(), stream: None }
    }

    pub(super) fn in_stream(
        mut self,
        stream: &[u8],
        limit: u64,
        cuts: &[usize],
        path: Path,
        policy: Policy,
    ) -> Self {
        self.bytes = stream.to_vec();
        self.stream = Some(Stream { limit, cuts: cuts.to_vec(), path, policy });
        self
    }

    /// Marks this violation as the cause for which another promise, which depends on it, cannot be
    /// tested.
    pub(super) fn keeps_from(self, promise: Promise) -> Self {
        Self { promise, law: Some(self.promise), ..self }
    }

    /// Returns the broken promise. For [`Kit::check_promise`](super::Kit::check_promise), it is the
    /// promise that was to be tested.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// Returns the promise that is actually broken, if it is another one, on which
    /// [`promise`](Self::promise) depends. The text and the bytes of the violation then belong to
    /// that promise.
    #[must_use]
    pub fn law(&self) -> Option<Promise> {
        self.law
    }

    /// Returns what was found and what was expected, as text.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns the bytes that show the violation: those of a header, a stream or a datagram.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the offsets at which the stream was cut. Empty if there was no stream or no cut.
    #[must_use]
    pub fn cuts(&self) -> &[usize] {
        self.stream.as_ref().map_or(&[], |stream| &stream.cuts)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, law, found, bytes, stream } = self;
        writeln!(f, "{promise}: {}", promise.says())?;
        if let Some(law) = law {
            let says = law.says();
            writeln!(f, "  It rests on another promise, which is broken; see `{law}`: {says}")?;
        }
        write!(f, "  found: {found}\n  bytes: {}", Hex(bytes))?;
        if let Some(Stream { limit, cuts, path, policy }) = stream {
            let cuts = Cuts { cuts, len: bytes.len() };
            write!(f, "\n  read: {cuts}; {path}; limit {limit}; {policy}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Violation {}

/// Formats bytes for a report: in hexadecimal, and only the first 256.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 256;
        let shown = self.0.get(..SHOWN).unwrap_or(self.0);
        write!(f, "{shown:02x?}")?;
        if shown.len() < self.0.len() {
            write!(f, "... ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// The cuts of a stream.
struct Cuts<'a> {
    cuts: &'a [usize],
    len: usize,
}

impl fmt::Display for Cuts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cuts {
            [] => f.write_str("the whole stream, uncut"),
            cuts if cuts.len() > 2 && cuts.iter().copied().eq(1..self.len) => {
                f.write_str("the stream byte by byte")
            }
            cuts => write!(f, "the stream cut at {cuts:?}"),
        }
    }
}

/// A meta and a payload length, formatted with their names.
pub(super) struct Labelled<'a, M>(pub(super) &'a M, pub(super) u64);

impl<M: fmt::Debug> fmt::Display for Labelled<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "meta {:?} with a payload length of {}", self.0, self.1)
    }
}

/// Returns a [`Violation`] of a promise, shown by these bytes.
macro_rules! fail {
    ($promise:ident, $bytes:expr, $($text:tt)+) => {
        return Err($crate::Violation::new(
            $crate::Promise::$promise,
            $bytes,
            format!($($text)+),
        ))
    };
}
pub(super) use fail;

/// Returns a [`Violation`] unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $promise:ident, $bytes:expr, $($text:tt)+) => {
        if !$condition {
            $crate::violation::fail!($promise, $bytes, $($text)+);
        }
    };
}
pub(super) use ensure;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_displays_cuts_path_limit_and_policy() {
        let stream = b"\x02hi";
        let read = |cuts: &[usize], policy| {
            let found = "first came the end, after a frame".into();
            let violation = Violation::new(Promise::EveryEndIsClassified, stream, found);
            violation.in_stream(stream, 90_000, cuts, Path::Decode, policy).to_string()
        };
        let text = read(&[], Policy::STOP);
        let way = "read: the whole stream, uncut; by `Decoder::decode`; limit 90000; up to the";
        assert!(text.contains(way), "{text}");
        let text = read(&[1, 2], Policy::SKIP);
        assert!(text.contains("the stream cut at [1, 2]; by"), "{text}");
        assert!(text.ends_with("with oversize frames skipped"), "{text}");
        assert!(text.contains("  bytes: [02, 68, 69]\n"), "{text}");
    }

    #[test]
    fn a_dependent_promise_keeps_the_text_and_bytes_of_the_broken_law() {
        let law = Violation::new(Promise::HonestNeed, b"\xFF", "`Need(0)`".into());
        let violation = law.clone().keeps_from(Promise::Progress);
        assert_eq!(violation.promise(), Promise::Progress);
        assert_eq!(violation.law(), Some(Promise::HonestNeed));
        assert_eq!((violation.found(), violation.bytes()), (law.found(), law.bytes()));
        let text = violation.to_string();
        assert!(text.contains("see `honest_need`: `Need` asks for more bytes"), "{text}");
    }
}
