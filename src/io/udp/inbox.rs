//! What was received and not yet delivered.

use core::fmt;
use core::ops::Range;
use std::boxed::Box;
use std::io;
use std::net::SocketAddr;
use std::vec::Vec;

use super::endpoint::{Endpoint, Filled, SLOT_LEN, Socket, is_report};
use super::item::{Frames, Known, Received, RecvStats};
use crate::format::Format;
use crate::framing::Framing;

/// The slots that are offered while each is filled with many datagrams.
const FEW_SLOTS: usize = 2;

/// A receiver without its socket.
pub(crate) struct Incoming<F: Format> {
    framing: Framing<F>,
    known: Box<Known<F>>,
    /// The longest datagram that is taken, in bytes.
    limit: usize,
    /// Whole slots; none while nothing is here and others use the storage.
    slots: Vec<u8>,
    filled: Vec<Filled>,
    /// The next datagram: in which slot, and at which byte of it.
    slot: usize,
    at: usize,
    /// Whether the last slots held runs of datagrams.
    runs: bool,
    stats: RecvStats,
}

/// Something to deliver.
pub(crate) enum Arrival {
    /// The place of a datagram.
    Datagram {
        source: SocketAddr,
        place: Range<usize>,
    },
    Undelivered(io::Error),
}

impl<F: Format> Incoming<F> {
    pub(crate) fn new(framing: Framing<F>) -> Self {
        Self {
            framing,
            known: Box::new(|_| false),
            // A full slot may have been cut (spec, 8.3).
            limit: SLOT_LEN - 1,
            slots: Vec::new(),
            filled: Vec::new(),
            slot: 0,
            at: 0,
            runs: false,
            stats: RecvStats::default(),
        }
    }

    pub(crate) fn set_known(&mut self, known: impl Fn(&F::Meta) -> bool + Send + Sync + 'static) {
        self.known = Box::new(known);
    }

    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes.min(SLOT_LEN - 1);
    }

    pub(crate) fn framing(&self) -> &Framing<F> {
        &self.framing
    }

    pub(crate) fn stats(&self) -> RecvStats {
        self.stats
    }

    /// Gives room to receive into: whole slots.
    pub(crate) fn set_slots(&mut self, slots: Vec<u8>) {
        self.slots = slots;
    }

    pub(crate) fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The room, once all that was received is delivered.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_slots(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.slots)
    }

    /// The next datagram that is here.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Arrival> {
        let Filled { source, len, segment_len } = *self.filled.get(self.slot)?;
        let start = self.slot * SLOT_LEN;
        // The same as `Segments`, where each datagram is lent before the next is looked for.
        let end = match segment_len {
            0 => len,
            _ => len.min(self.at.saturating_add(segment_len)),
        };
        let place = start + self.at..start + end;
        if end < len {
            self.at = end;
        } else {
            (self.slot, self.at) = (self.slot + 1, 0);
        }
        Some(Arrival::Datagram { source, place })
    }

    /// Receives once. Says what came at once, if it is no datagram.
    pub(crate) fn recv<S: Socket>(
        &mut self,
        endpoint: &Endpoint<S>,
    ) -> io::Result<Option<Arrival>> {
        (self.slot, self.at) = (0, 0);
        // Where a slot brings many datagrams anyway, few slots stay in the processor's cache.
        let most = if self.runs { FEW_SLOTS * SLOT_LEN } else { self.slots.len() };
        let most = most.min(self.slots.len());
        let slots = self.slots.get_mut(..most).unwrap_or_default();
        match endpoint.recv(slots, &mut self.filled) {
            Ok(()) => {
                self.runs = self.filled.iter().any(|filled| filled.len > filled.segment_len);
                self.stats.calls += 1;
                Ok(None)
            }
            Err(error) if is_report(&error) => Ok(Some(Arrival::Undelivered(error))),
            Err(error) => Err(error),
        }
    }

    /// Judges what arrived, and counts it.
    pub(crate) fn judge(&mut self, arrival: Arrival) -> Received<Frames<'_, F>> {
        let (source, place) = match arrival {
            Arrival::Datagram { source, place } => (source, place),
            Arrival::Undelivered(error) => {
                self.stats.undelivered += 1;
                return Received::Undelivered(error);
            }
        };
        let len = place.len();
        let bytes = self.slots.get(place).unwrap_or_default();
        let room = bytes.get(..self.limit).unwrap_or(bytes);
        let known: &Known<F> = &*self.known;
        match self.framing.received(room, len, known) {
            Ok(frames) => {
                self.stats.datagrams += 1;
                self.stats.frames += frames.len() as u64;
                self.stats.bytes += len as u64;
                Received::Datagram { source, frames }
            }
            Err(error) => {
                self.stats.refused.count(&error);
                self.stats.refused_bytes += len as u64;
                Received::Refused { source, error }
            }
        }
    }
}

impl<F: Format> fmt::Debug for Incoming<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("limit", &self.framing.limit())
            .field("datagram_limit", &self.limit)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use core::cell::RefCell;
    use std::net::UdpSocket;
    use std::vec;

    use super::*;
    use crate::error::DatagramError;
    use crate::format::{U8, U16Be};

    /// Receives what it is told.
    struct Script {
        answers: RefCell<Vec<io::Result<Vec<u8>>>>,
        #[cfg_attr(not(feature = "udp"), expect(dead_code, reason = "for offload"))]
        socket: UdpSocket,
    }

    impl Socket for Script {
        fn peer_addr(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::NotConnected.into())
        }

        fn recv_one(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
            let bytes = self.answers.borrow_mut().remove(0)?;
            let len = bytes.len().min(buf.len()); // as a system does, without a word
            buf[..len].copy_from_slice(&bytes[..len]);
            Ok((len, source()))
        }

        fn send_one(&self, _: &[u8]) -> io::Result<usize> {
            panic!("nothing is sent")
        }

        fn send_one_to(&self, _: &[u8], _: SocketAddr) -> io::Result<usize> {
            panic!("nothing is sent")
        }

        #[cfg(all(feature = "udp", any(target_os = "linux", target_os = "android")))]
        fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
            std::os::fd::AsFd::as_fd(&self.socket)
        }
    }

    fn source() -> SocketAddr {
        ([192, 0, 2, 1], 7).into()
    }

    fn endpoint(answers: Vec<io::Result<Vec<u8>>>) -> Endpoint<Script> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Endpoint::without_offload(Script { answers: RefCell::new(answers), socket })
    }

    fn incoming<F: Format>(format: F) -> Incoming<F> {
        let mut incoming = Incoming::new(Framing::new(format));
        assert!(!incoming.has_slots());
        incoming.set_slots(vec![0; SLOT_LEN]);
        assert!(incoming.has_slots());
        incoming
    }

    /// A datagram that is one frame of so many bytes.
    fn datagram(len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Framing::new(U16Be).encode((), &vec![7; len - 2], &mut bytes).unwrap();
        Ok(bytes)
    }

    #[test]
    fn what_fills_its_slot_counts_as_cut() {
        for (limit, longest) in [(None, 65_534), (Some(usize::MAX), 65_534), (Some(9), 9)] {
            let mut incoming = incoming(U16Be);
            if let Some(limit) = limit {
                incoming.set_limit(limit);
            }
            let endpoint =
                endpoint(vec![datagram(65_535), datagram(longest), datagram(longest + 1)]);
            for taken in [false, true, false] {
                assert!(incoming.recv(&endpoint).unwrap().is_none());
                let arrival = incoming.next().unwrap();
                match incoming.judge(arrival) {
                    Received::Datagram { source: from, frames } => {
                        assert!(taken && from == source());
                        assert!(frames.map(|frame| frame.payload.len()).eq([longest - 2]));
                    }
                    Received::Refused { source: from, error } => {
                        assert!(!taken && from == source());
                        assert_eq!(error, DatagramError::Cut { room: longest });
                    }
                    Received::Undelivered(error) => panic!("{error}"),
                }
                assert!(incoming.next().is_none());
            }
            let RecvStats { datagrams, frames, bytes, refused, refused_bytes, calls, .. } =
                incoming.stats();
            assert_eq!((datagrams, frames, calls), (1, 1, 3));
            assert_eq!((bytes, refused_bytes), (longest as u64, 65_536 + longest as u64));
            assert_eq!((refused.cut, refused.total()), (2, 2));
        }
    }

    #[test]
    fn a_slot_is_one_datagram_or_a_run() {
        let mut incoming = incoming(U8);
        let slots: [(usize, usize, &[usize]); 6] = [
            (5, 5, &[5]),
            (5, 0, &[5]),
            (0, 0, &[0]),
            (6, 3, &[3, 3]),
            (7, 3, &[3, 3, 1]),
            (2, 3, &[2]),
        ];
        let filled = |&(len, segment_len, _): &_| Filled { source: source(), len, segment_len };
        incoming.filled = slots.iter().map(filled).collect();
        for (slot, &(_, segment_len, lens)) in slots.iter().enumerate() {
            for (i, len) in lens.iter().enumerate() {
                let Some(Arrival::Datagram { place, .. }) = incoming.next() else {
                    panic!("{slot} has more")
                };
                let start = slot * SLOT_LEN + i * segment_len;
                assert_eq!(place, start..start + len);
            }
        }
        assert!(incoming.next().is_none());
    }

    #[test]
    fn reports_are_items_and_other_errors_change_nothing() {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, PermissionDenied};
        let errors = [ConnectionRefused, PermissionDenied, ConnectionReset, Interrupted];
        let mut answers: Vec<_> = errors.into_iter().map(|kind| Err(kind.into())).collect();
        answers.push(Ok(b"\x01a".to_vec()));
        let (mut incoming, endpoint) = (incoming(U8), endpoint(answers));
        for kind in [ConnectionRefused, PermissionDenied, ConnectionReset] {
            match incoming.recv(&endpoint) {
                Ok(arrival) => match incoming.judge(arrival.unwrap()) {
                    Received::Undelivered(error) => assert_eq!(error.kind(), kind),
                    other => panic!("{other:?}"),
                },
                Err(error) => {
                    assert_eq!((error.kind(), kind), (PermissionDenied, PermissionDenied))
                }
            }
            assert!(incoming.next().is_none());
        }
        // What was interrupted is called again.
        assert!(incoming.recv(&endpoint).unwrap().is_none());
        let arrival = incoming.next().unwrap();
        assert!(matches!(incoming.judge(arrival), Received::Datagram { .. }));
        let RecvStats { datagrams, undelivered, calls, refused, .. } = incoming.stats();
        assert_eq!((datagrams, undelivered, calls, refused.total()), (1, 2, 1, 0));
        let text = std::format!("{incoming:?}");
        assert!(text.starts_with("Incoming {") && text.contains("undelivered: 2"), "{text}");
        assert!(!text.contains("97"), "a payload may be secret: {text}");
    }
}
