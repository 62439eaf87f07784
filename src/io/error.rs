//! The errors of reading and writing frames.

use core::fmt;
use std::error::Error;
use std::io;
use std::time::Duration;

use crate::engine::TimedOut;
use crate::{DecodeError, EncodeError, WriteBufError};

/// Why there is no next frame.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The transport failed. Nothing that was read before is lost; after a temporary error, such as
    /// a timeout of the socket, the call can be repeated.
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

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
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
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The transport failed before the frame was accepted. Frames that were accepted before are
    /// kept, and the next call tries to write them again.
    Io(io::Error),
    /// The transport failed while accepted frames were written, including this call's frame. They
    /// are kept: flush to try again, and do not send the frame a second time.
    Flush(io::Error),
    /// The frame cannot be encoded. Nothing of it was written.
    Encode(EncodeError),
    /// A frame was written in part and then abandoned, by a cancelled call, a failed transport, or
    /// `finish` before its end: following bytes would be taken for its payload. Close the stream.
    Poisoned,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) | Self::Flush(error) => error.fmt(f),
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
        Self::Encode(error) => "encode" { encode: error }
        Self::Poisoned => "poisoned" {}
    }
}
