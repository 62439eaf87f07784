//! What comes of receiving and sending, and the counts of both.

use core::fmt;
use std::boxed::Box;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use crate::datagram::Datagram;
use crate::error::{DatagramError, EncodeError};
use crate::format::{Format, V1};
use crate::frame::OwnedFrame;

/// Says of an application's kind whether it is known.
pub(crate) type Known<F> = dyn Fn(&<F as Format>::Meta) -> bool + Send + Sync;

/// The frames of a received datagram, borrowed from the socket's buffer.
pub type Frames<'a, F = V1> = Datagram<'a, 'a, F, &'a Known<F>>;

/// What a socket received: one datagram, or the news of one that it had sent.
///
/// `T` is what a taken datagram's frames are given as: [`Frames`], or a `Vec` of owned ones.
#[derive(Debug)]
pub enum Received<T> {
    /// A datagram that consists of whole frames.
    Datagram {
        /// Who says to have sent it: an address can be forged.
        source: SocketAddr,
        /// Its frames. There are none if it held only frames that a receiver ignores.
        frames: T,
    },
    /// A datagram that was refused, whole. The next one knows nothing of it.
    Refused {
        /// Who says to have sent it.
        source: SocketAddr,
        /// Why it was refused.
        error: DatagramError,
    },
    /// The system learnt that something sent earlier did not arrive: mostly "connection refused",
    /// because nobody listens at the connected peer's port. The socket works as before.
    Undelivered(io::Error),
}

impl<F: Format> Received<Frames<'_, F>> {
    /// The same with frames that do not borrow the socket: a copy of each, as long as it is.
    #[must_use]
    pub fn into_owned(self) -> Received<Vec<OwnedFrame<F::Meta>>> {
        match self {
            Self::Datagram { source, frames } => Received::Datagram {
                source,
                frames: frames.map(|frame| frame.to_owned()).collect(),
            },
            Self::Refused { source, error } => Received::Refused { source, error },
            Self::Undelivered(error) => Received::Undelivered(error),
        }
    }
}

/// Why a frame, or datagrams that were accepted before, cannot be sent.
///
/// It is two words long, so that a call which does not fail hands over no more.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The frame cannot be encoded, has no place in a datagram, or is alone longer than one may be
    /// ([`EncodeError::NoRoom`]). It was not accepted, and nothing was sent.
    Encode(Box<EncodeError>),
    /// The socket is not connected, and no peer was named. The frame was not accepted.
    NotConnected,
    /// What was accepted before has to go first, and the socket takes nothing now: it is
    /// non-blocking, or its write time-out is over. The frame was not accepted.
    Full(io::Error),
    /// The socket takes nothing now, likewise. All that was accepted is kept, this call's frame
    /// too: flush again.
    Blocked(io::Error),
    /// The system did not send a datagram, or a run of them that it was given with one call: these
    /// are lost. This call's frame was accepted, and nothing else that was accepted is concerned.
    /// Each loss is told once, by this call or a later one that sends; those of a peer that follow
    /// each other are told as one, and more than 1,024 at once are only counted.
    Lost(Box<Lost>),
}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(Box::new(error))
    }
}

/// Datagrams that the system did not send.
#[derive(Debug)]
#[non_exhaustive]
pub struct Lost {
    /// Where they were to go.
    pub peer: SocketAddr,
    /// How many, one after the other.
    pub datagrams: usize,
    /// What the system says: "message too long", say.
    pub error: io::Error,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => match **error {
                EncodeError::NoRoom { needed, room } => write!(
                    f,
                    "the frame has {needed} bytes and a datagram may have {room}; \
                     split it, send it over a stream, or raise the datagram limit"
                ),
                error => error.fmt(f),
            },
            Self::NotConnected => {
                f.write_str("the socket is not connected; name a peer, or connect it first")
            }
            Self::Full(error) => write!(
                f,
                "the frame was not accepted, what is before it cannot be sent now: {error}; \
                 send it again later"
            ),
            Self::Blocked(error) => {
                write!(f, "nothing can be sent now: {error}; all of it is kept, flush again")
            }
            Self::Lost(lost) => match &**lost {
                Lost { peer, datagrams: 1, error } => {
                    write!(f, "a datagram to {peer} was not sent: {error}")
                }
                Lost { peer, datagrams, error } => {
                    write!(f, "{datagrams} datagrams to {peer} were not sent: {error}")
                }
            },
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text holds the cause's: a report of the whole chain must not print it twice.
        match self {
            Self::Full(error) | Self::Blocked(error) => error.source(),
            Self::Lost(lost) => lost.error.source(),
            _ => None,
        }
    }
}

/// What a receiver has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvStats {
    /// Datagrams taken.
    pub datagrams: u64,
    /// Frames in them that were delivered.
    pub frames: u64,
    /// Bytes of the datagrams taken, without the headers of UDP and IP.
    pub bytes: u64,
    /// Datagrams refused, by reason.
    pub refused: Refusals,
    /// Bytes of the datagrams refused.
    pub refused_bytes: u64,
    /// Reports of the system that something sent earlier did not arrive.
    pub undelivered: u64,
    /// Calls of the system that returned datagrams; with offload one returns many.
    pub calls: u64,
}

/// Datagrams refused, by reason: see [`DatagramError`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// Longer than the receiver takes.
    pub cut: u64,
    /// Without a byte.
    pub empty: u64,
    /// Not whole frames within the limit.
    pub malformed: u64,
    /// With a frame of a kind that has no place in a datagram.
    pub misplaced_kind: u64,
    /// With a frame of a critical kind that is not known.
    pub unknown_kind: u64,
}

impl Refusals {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let Self { cut, empty, malformed, misplaced_kind, unknown_kind } = *self;
        cut + empty + malformed + misplaced_kind + unknown_kind
    }

    pub(crate) fn count(&mut self, error: &DatagramError) {
        let count = match error {
            DatagramError::Cut { .. } => &mut self.cut,
            DatagramError::Empty => &mut self.empty,
            DatagramError::Malformed(_) => &mut self.malformed,
            DatagramError::MisplacedKind { .. } => &mut self.misplaced_kind,
            DatagramError::UnknownKind { .. } => &mut self.unknown_kind,
        };
        *count += 1;
    }
}

/// What a sender has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendStats {
    /// Datagrams that the system took. Whether they arrive it does not know.
    pub datagrams: u64,
    /// Frames in them.
    pub frames: u64,
    /// Bytes of them, without the headers of UDP and IP.
    pub bytes: u64,
    /// Datagrams that the system did not take.
    pub lost: u64,
    /// Frames in those.
    pub lost_frames: u64,
    /// Calls of the system that took datagrams; with offload one takes many.
    pub calls: u64,
    /// Calls that were made again because the first met a report about something sent earlier.
    pub repeated: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn errors_say_what_to_try() {
        let error = SendError::from(EncodeError::NoRoom { needed: 1_201, room: 1_200 });
        assert_eq!(
            error.to_string(),
            "the frame has 1201 bytes and a datagram may have 1200; \
             split it, send it over a stream, or raise the datagram limit"
        );
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let lost = |datagrams| {
            let error = io::Error::from(io::ErrorKind::PermissionDenied);
            SendError::Lost(Box::new(Lost { peer, datagrams, error })).to_string()
        };
        assert!(lost(1).starts_with("a datagram to 127.0.0.1:9 was not sent: "), "{}", lost(1));
        assert!(lost(3).starts_with("3 datagrams to 127.0.0.1:9 were not sent: "));
        let error = SendError::from(EncodeError::Oversize { len: 9, limit: 8 });
        assert_eq!(error.to_string(), EncodeError::Oversize { len: 9, limit: 8 }.to_string());
        assert_eq!(
            SendError::NotConnected.to_string(),
            "the socket is not connected; name a peer, or connect it first"
        );
        assert_eq!(size_of::<Result<(), SendError>>(), 2 * size_of::<usize>());
        assert!(SendError::Blocked(io::ErrorKind::WouldBlock.into()).source().is_none());
    }

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug)]
        struct Cable(fmt::Error);
        impl fmt::Display for Cable {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no cable")
            }
        }
        impl Error for Cable {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = || io::Error::other(Cable(fmt::Error));
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let lost = Lost { peer, datagrams: 1, error: error() };
        let errors = [
            SendError::Full(error()),
            SendError::Blocked(error()),
            SendError::Lost(Box::new(lost)),
        ];
        for error in errors {
            assert_eq!(error.to_string().matches("no cable").count(), 1, "{error}");
            assert!(error.source().is_some_and(|source| source.is::<fmt::Error>()), "{error}");
        }
        assert!(SendError::NotConnected.source().is_none());
    }
}
