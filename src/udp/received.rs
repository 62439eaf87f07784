//! What a receiver returns.

use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use crate::datagram::Datagram;
use crate::error::DatagramError;
use crate::format::{Format, V1};
use crate::frame::OwnedFrame;

/// Returns whether an application's kind is known.
pub(super) type Known<F> = dyn Fn(&<F as Format>::Meta) -> bool + Send + Sync;

/// The frames of a received datagram, borrowed from the socket's buffer.
///
/// ```
/// use unstick::U16Be;
/// use unstick::udp::Frames;
///
/// fn total(frames: Frames<'_, U16Be>) -> usize {
///     frames.map(|frame| frame.payload.len()).sum()
/// }
/// # let _ = total;
/// ```
pub type Frames<'a, F = V1> = Datagram<'a, 'a, F, &'a Known<F>>;

/// What a socket received: one datagram, or a report about one that it sent.
///
/// `T` is the type of an accepted datagram's frames: [`Frames`], or a `Vec` of owned ones.
///
/// ```
/// use std::net::UdpSocket;
/// use unstick::io::{FrameSocket, Received};
/// use unstick::{DatagramError, Kind};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = FrameSocket::new(UdpSocket::bind("127.0.0.1:0")?);
/// UdpSocket::bind("127.0.0.1:0")?.send_to(b"", socket.get_ref().local_addr()?)?;
/// match socket.receiver.recv()? {
///     Received::Datagram { frames, .. } => println!("{}", frames.count()),
///     Received::Refused { error, .. } => assert_eq!(error, DatagramError::Empty),
///     Received::Undelivered(error) => println!("{error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Received<T> {
    /// A datagram that consists of whole frames.
    Datagram {
        /// The address that it claims to come from, which can be forged.
        source: SocketAddr,
        /// Its frames. There are none if it has only frames that a receiver ignores.
        frames: T,
    },
    /// A datagram that was refused, as a whole. It changes nothing for the next one.
    Refused {
        /// The address that it claims to come from, which can be forged.
        source: SocketAddr,
        /// Why it was refused.
        error: DatagramError,
    },
    /// A report of the system that something sent earlier did not arrive: mostly "connection
    /// refused", because no socket is open at the connected peer's port. The socket works as
    /// before.
    Undelivered(io::Error),
}

impl<F: Format> Received<Frames<'_, F>> {
    /// Returns the same with frames that do not borrow the socket: a copy of each, of the frame's
    /// length.
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
