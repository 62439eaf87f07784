//! What receivers and senders count.

use crate::error::DatagramError;

/// What a receiver counted since it was created.
///
/// ```
/// use std::net::UdpSocket;
/// use unstick::io::FrameSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let mut socket = FrameSocket::new(UdpSocket::bind("127.0.0.1:0")?);
/// UdpSocket::bind("127.0.0.1:0")?.send_to(b"junk", socket.get_ref().local_addr()?)?;
/// socket.receiver.recv()?;
/// let stats = socket.receiver.stats();
/// assert_eq!((stats.datagrams, stats.refused.malformed, stats.refused_bytes), (0, 1, 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvStats {
    /// Accepted datagrams.
    pub datagrams: u64,
    /// Delivered frames of these.
    pub frames: u64,
    /// Bytes of the accepted datagrams, without the headers of UDP and IP.
    pub bytes: u64,
    /// Refused datagrams, by reason.
    pub refused: Refusals,
    /// Bytes of the refused datagrams.
    pub refused_bytes: u64,
    /// Reports of the system that something sent earlier did not arrive.
    pub undelivered: u64,
    /// System calls that returned datagrams; with offload one returns many.
    pub calls: u64,
}

/// Refused datagrams, by reason: see [`DatagramError`].
///
/// ```
/// use unstick::udp::RecvStats;
///
/// assert_eq!(RecvStats::default().refused.malformed, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// Longer than the receiver accepts.
    pub cut: u64,
    /// Empty.
    pub empty: u64,
    /// Not whole frames within the limit.
    pub malformed: u64,
    /// With a frame of a kind that a datagram cannot have.
    pub misplaced_kind: u64,
    /// With a frame of a critical kind that is not known.
    pub unknown_kind: u64,
}

impl Refusals {
    /// Returns the sum of all of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        let Self { cut, empty, malformed, misplaced_kind, unknown_kind } = *self;
        cut + empty + malformed + misplaced_kind + unknown_kind
    }

    pub(super) fn count(&mut self, error: &DatagramError) {
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

/// What a sender counted since it was created.
///
/// ```
/// use std::net::UdpSocket;
/// use unstick::Kind;
/// use unstick::io::FrameSocket;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = FrameSocket::new(UdpSocket::bind("127.0.0.1:0")?);
/// let own = socket.get_ref().local_addr()?;
/// socket.sender.feed_to(own, Kind::TEXT, "one")?;
/// socket.sender.send_to(own, Kind::TEXT, "two")?;
/// let stats = socket.sender.stats();
/// assert_eq!((stats.frames, stats.datagrams), (2, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendStats {
    /// Datagrams that the system took. Whether they arrive is not known.
    pub datagrams: u64,
    /// Frames in these.
    pub frames: u64,
    /// Bytes of these, without the headers of UDP and IP.
    pub bytes: u64,
    /// Lost datagrams: the system did not take them.
    pub lost: u64,
    /// Frames in those.
    pub lost_frames: u64,
    /// System calls that took datagrams; with offload one takes many.
    pub calls: u64,
    /// System calls that were repeated because the first returned a report about something sent
    /// earlier.
    pub repeated: u64,
}
