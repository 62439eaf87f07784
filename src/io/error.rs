//! The errors of reading and writing frames.

use core::fmt;
use std::error::Error;
use std::io;
use std::time::Duration;

use crate::engine::TimedOut;
use crate::{DecodeError, EncodeError, WriteBufError};

/// Why there is no next frame.
///
/// ```
/// use unstick::io::{FrameReader, ReadError};
/// use unstick::{DecodeError, Framing, U32Be};
///
/// let framing = Framing::new(U32Be).with_limit(1_000);
/// let mut reader = FrameReader::with_framing(&b"GET / HTTP/1.1"[..], framing);
/// match reader.next_frame() {
///     Err(ReadError::Decode(DecodeError::Oversize { at, len, .. })) => {
///         assert_eq!((at, len), (0, u64::from(u32::from_be_bytes(*b"GET "))));
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The transport failed. Nothing that was read before is lost; after a temporary error, the call
    /// can be repeated.
    ///
    /// The end of the socket's read timeout is such an error, of the kind
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) on Unix and [`TimedOut`](io::ErrorKind::TimedOut) on
    /// Windows. [`is_socket_timeout`](Self::is_socket_timeout) recognizes it, and its text says what to do.
    Io(io::Error),
    /// The bytes are not frames, or the stream ended inside a frame.
    Decode(DecodeError),
    /// A frame took longer, from its first byte on, than the limit.
    FrameTimeout {
        /// The stream offset of the frame's first byte.
        at: u64,
        /// How long a frame may take.
        after: Duration,
    },
    /// The peer sent nothing for longer than the limit.
    IdleTimeout {
        /// The number of bytes consumed.
        at: u64,
        /// How long a peer may be idle.
        after: Duration,
    },
}

impl ReadError {
    /// Returns the error's code in the spec's registry (chapter 9); `None` for an error of the
    /// transport.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Io(_) => None,
            Self::Decode(error) => Some(error.code()),
            Self::FrameTimeout { .. } => Some(0x0008),
            Self::IdleTimeout { .. } => Some(0x0009),
        }
    }
}

impl ReadError {
    /// Returns whether the socket's read timeout has passed, or a non-blocking stream has no byte now.
    /// Nothing is lost, and the call can be repeated. A time limit of the reader is another error.
    #[must_use]
    pub fn is_socket_timeout(&self) -> bool {
        matches!(self, Self::Io(error) if is_timeout(error))
    }
}

/// Whether this is how a call of a socket with a timeout ends. The system's `ETIMEDOUT` is not: the peer
/// does not acknowledge what was sent to it, and the connection is lost.
fn is_timeout(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock => true,
        io::ErrorKind::TimedOut => cfg!(windows) || error.raw_os_error().is_none(),
        _ => false,
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Io(ref error) if is_timeout(error) => write!(
                f,
                "no byte arrived within the stream's read timeout (or it is non-blocking, and has \
                 none now): {error}; nothing is lost, call again, or end the connection"
            ),
            Self::Io(ref error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::FrameTimeout { at, after } => TimedOut::Frame { at, after }.fmt(f),
            Self::IdleTimeout { at, after } => TimedOut::Idle { at, after }.fmt(f),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text holds the cause's: a report of the whole chain must not print it twice.
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<DecodeError> for ReadError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<TimedOut> for ReadError {
    fn from(timed_out: TimedOut) -> Self {
        match timed_out {
            TimedOut::Frame { at, after } => Self::FrameTimeout { at, after },
            TimedOut::Idle { at, after } => Self::IdleTimeout { at, after },
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a frame was not written.
///
/// ```
/// use unstick::io::{FrameWriter, WriteError};
/// use unstick::{EncodeError, Framing, U32Be};
///
/// let mut writer = FrameWriter::with_framing(Vec::new(), Framing::new(U32Be).with_limit(4));
/// match writer.send((), "hello") {
///     Err(WriteError::Encode(EncodeError::Oversize { len, limit })) => assert_eq!((len, limit), (5, 4)),
///     other => panic!("{other:?}"),
/// }
/// writer.send((), "hi").unwrap(); // nothing of the other was written
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The transport failed before the frame was accepted. Frames that were accepted before are
    /// kept, and the next call tries to write them again.
    ///
    /// The end of the socket's write timeout is such an error: see
    /// [`is_socket_timeout`](Self::is_socket_timeout).
    Io(io::Error),
    /// The transport failed while accepted frames were written, including this call's frame. They
    /// are kept: flush to try again, and do not send the frame a second time.
    Flush(io::Error),
    /// The peer took no byte for longer than the writer's time limit. What was accepted is kept; a call
    /// that tries again may wait as long.
    Timeout {
        /// How long the peer may take nothing.
        after: Duration,
        /// Whether this call's frame was accepted, as with [`Flush`](Self::Flush), or not, as with
        /// [`Io`](Self::Io).
        accepted: bool,
    },
    /// The frame cannot be encoded. Nothing of it was written.
    Encode(EncodeError),
    /// A frame was written in part and then abandoned, by a cancelled call, a failed transport, or
    /// `finish` before its end: following bytes would be taken for its payload. Close the stream.
    Poisoned,
}

impl WriteError {
    /// Returns whether the socket's write timeout has passed, or a non-blocking stream takes no byte now.
    /// What was accepted is kept, and [`FrameWriter::flush`](super::FrameWriter::flush) continues with the
    /// first byte that was not written. The time limit of the writer is another error.
    #[must_use]
    pub fn is_socket_timeout(&self) -> bool {
        matches!(self, Self::Io(error) | Self::Flush(error) if is_timeout(error))
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if is_timeout(error) => write!(
                f,
                "no byte was taken within the stream's write timeout (or it is non-blocking, and takes \
                 none now): {error}; the frame was not accepted: is the peer reading?"
            ),
            Self::Flush(error) if is_timeout(error) => write!(
                f,
                "no byte was taken within the stream's write timeout (or it is non-blocking, and takes \
                 none now): {error}; nothing is lost, flush again, or end the connection"
            ),
            Self::Io(error) | Self::Flush(error) => error.fmt(f),
            Self::Timeout { after, .. } => write!(
                f,
                "the peer took no byte for {after:?}; \
                 is it stuck, or the limit on a write's time too small?"
            ),
            Self::Encode(error) => error.fmt(f),
            Self::Poisoned => WriteBufError::Poisoned.fmt(f),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) | Self::Flush(error) => error.source(),
            _ => None,
        }
    }
}

impl From<WriteBufError> for WriteError {
    fn from(error: WriteBufError) -> Self {
        match error {
            WriteBufError::Encode(error) => Self::Encode(error),
            _ => Self::Poisoned,
        }
    }
}

impl From<EncodeError> for WriteError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

crate::__io_errors! {
    ReadError {
        ReadError::Io(error) => into error,
        ReadError::Decode(error) => into error,
        _ => TimedOut
    }
    WriteError {
        WriteError::Io(error) | WriteError::Flush(error) => into error,
        WriteError::Encode(error) => into error,
        WriteError::Timeout { .. } => TimedOut,
        _ => BrokenPipe
    }
}

// Of the transport's error, its kind is serialized, and the system's error number if there is one.
#[cfg(feature = "serde")]
crate::__serialize_records! {
    ReadError [code] {
        Self::Io(error) => "io" { kind: &format_args!("{:?}", error.kind()), os: &error.raw_os_error() }
        Self::Decode(error) => "decode" { decode: error }
        Self::FrameTimeout { at, after } => "frame_timeout" { at: at, after: after }
        Self::IdleTimeout { at, after } => "idle_timeout" { at: at, after: after }
    }
    WriteError [] {
        Self::Io(error) => "io" { kind: &format_args!("{:?}", error.kind()), os: &error.raw_os_error() }
        Self::Flush(error) => "flush" { kind: &format_args!("{:?}", error.kind()), os: &error.raw_os_error() }
        Self::Timeout { after, accepted } => "timeout" { after: after, accepted: accepted }
        Self::Encode(error) => "encode" { encode: error }
        Self::Poisoned => "poisoned" {}
    }
}
