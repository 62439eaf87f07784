//! A promise that was not kept, with all that is needed to see it again.

use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use super::{Path, Policy, Promise};

/// A promise that was not kept: which, what was found, and the bytes that show it.
///
/// `{:?}` prints the same as `{}`, so that a test which returns it can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation {
    promise: Promise,
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
        Self { promise, found, bytes: bytes.to_vec(), stream: None }
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

    /// The promise that was not kept.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// What was found, and what should have been, in words.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// The bytes that show it: a header's, a stream's, or a datagram's.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the stream was cut, if it was one.
    #[must_use]
    pub fn cuts(&self) -> &[usize] {
        self.stream.as_ref().map_or(&[], |stream| &stream.cuts)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, found, bytes, stream } = self;
        writeln!(f, "{promise}: {}", promise.says())?;
        write!(f, "  found: {found}\n  bytes: {}", Hex(bytes))?;
        if let Some(Stream { limit, cuts, path, policy }) = stream {
            write!(
                f,
                "\n  read as a stream, cut at {cuts:?}, limit {limit}, {path:?}, {policy:?}"
            )?;
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

/// Bytes for a report: in hexadecimal, and not all of a megabyte.
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

/// Returns a [`Violation`] of a promise, found in these bytes.
macro_rules! fail {
    ($promise:ident, $bytes:expr, $($text:tt)+) => {
        return Err($crate::conformance::Violation::new(
            $crate::conformance::Promise::$promise,
            $bytes,
            alloc::format!($($text)+),
        ))
    };
}
pub(super) use fail;

/// The same unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $promise:ident, $bytes:expr, $($text:tt)+) => {
        if !$condition {
            $crate::conformance::violation::fail!($promise, $bytes, $($text)+);
        }
    };
}
pub(super) use ensure;
