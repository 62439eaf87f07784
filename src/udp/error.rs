//! Why something was not sent.

use core::fmt;
use std::boxed::Box;
use std::error::Error;
use std::io;
use std::net::SocketAddr;

use crate::error::EncodeError;

/// Why a frame, or datagrams that were accepted before, could not be sent.
///
/// It has the size of two pointers, so that a call that does not fail returns no more than that.
///
/// ```
/// use std::net::UdpSocket;
/// use unstick::U16Be;
/// use unstick::io::{DatagramSendError, FrameSocket};
///
/// # fn main() -> std::io::Result<()> {
/// let mut socket = FrameSocket::with_framing(UdpSocket::bind("127.0.0.1:0")?, U16Be);
/// let error = socket.sender.send((), "hello").unwrap_err();
/// assert!(matches!(error, DatagramSendError::NotConnected), "{error}");
/// let own = socket.get_ref().local_addr()?;
/// let error = socket.sender.send_to(own, (), [0; 2_000]).unwrap_err();
/// assert!(matches!(error, DatagramSendError::Encode(_)), "{error}"); // 1,200 bytes is the limit
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum DatagramSendError {
    /// The frame cannot be encoded, is of a kind that a datagram cannot have, or is alone longer
    /// than a datagram may be ([`EncodeError::NoRoom`]). It was not accepted, and nothing was sent.
    Encode(Box<EncodeError>),
    /// The socket is not connected, and the call has no peer. The frame was not accepted.
    NotConnected,
    /// Earlier frames have to be sent first, and the socket takes nothing now: it is non-blocking,
    /// or its write time-out has passed. The frame was not accepted.
    Full(io::Error),
    /// The socket takes nothing now, for the same reasons. Everything that was accepted is kept,
    /// including this call's frame: flush again.
    Blocked(io::Error),
    /// The system did not send a datagram, or several that one system call had: these are lost.
    /// This call's frame was accepted, and nothing else that was accepted is affected. Each loss is
    /// reported once, by this call or a later one that sends. Consecutive losses of a peer with the
    /// same error are reported as one, and if more than 1,024 are not reported yet, further ones
    /// are only counted.
    Lost(Box<Lost>),
}

impl From<EncodeError> for DatagramSendError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(Box::new(error))
    }
}

/// Datagrams to one peer that the system did not send.
///
/// ```
/// use unstick::io::DatagramSendError;
///
/// /// Returns how many datagrams were lost: a sender continues after them.
/// fn lost(result: Result<(), DatagramSendError>) -> Result<usize, DatagramSendError> {
///     match result {
///         Ok(()) => Ok(0),
///         Err(DatagramSendError::Lost(lost)) => Ok(lost.datagrams),
///         Err(other) => Err(other),
///     }
/// }
/// assert_eq!(lost(Ok(()))?, 0);
/// # Ok::<(), DatagramSendError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Lost {
    /// The peer.
    pub peer: SocketAddr,
    /// How many datagrams are lost.
    pub datagrams: usize,
    /// The system's error: "message too long", for example.
    pub error: io::Error,
}

impl fmt::Display for DatagramSendError {
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

impl Error for DatagramSendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text includes the cause's: a report of the whole chain must not print it twice.
        match self {
            Self::Full(error) | Self::Blocked(error) => error.source(),
            Self::Lost(lost) => lost.error.source(),
            _ => None,
        }
    }
}

crate::__io_errors! {
    DatagramSendError {
        DatagramSendError::Encode(error) => into *error,
        DatagramSendError::NotConnected => NotConnected,
        DatagramSendError::Full(error) | DatagramSendError::Blocked(error) => into error,
        DatagramSendError::Lost(lost) => into lost.error
    }
}
