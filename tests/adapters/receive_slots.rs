//! What `ReceiveSlots` return, refuse, count and keep, with a script instead of a socket.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use unstick::udp::{DatagramSocket, ReceiveSlots, Received, RecvStats, SLOT_LEN, UdpEndpoint};
use unstick::{DatagramError, Format, Framing, U8, U16Be};

/// Receives these, one after the other.
struct Script(RefCell<Vec<io::Result<Vec<u8>>>>);

impl DatagramSocket for Script {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let bytes = self.0.borrow_mut().remove(0)?;
        let len = bytes.len().min(buf.len()); // as a system does, without an error
        buf[..len].copy_from_slice(&bytes[..len]);
        Ok((len, source()))
    }

    fn send(&self, _: &[u8]) -> io::Result<usize> {
        panic!("nothing is sent")
    }

    fn send_to(&self, _: &[u8], _: SocketAddr) -> io::Result<usize> {
        panic!("nothing is sent")
    }
}

fn source() -> SocketAddr {
    ([192, 0, 2, 1], 7).into()
}

fn endpoint(answers: Vec<io::Result<Vec<u8>>>) -> UdpEndpoint<Script> {
    let endpoint = UdpEndpoint::new(Script(RefCell::new(answers)));
    assert!(!endpoint.has_offload(), "it has no file descriptor");
    endpoint
}

fn slots<F: Format>(format: F) -> ReceiveSlots<F> {
    let mut slots = ReceiveSlots::new(Framing::new(format));
    assert!(!slots.has_slots());
    slots.provide_slots(vec![0; SLOT_LEN]);
    assert!(slots.has_slots());
    slots
}

/// A datagram that is one frame of `len` bytes.
fn datagram(len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Framing::new(U16Be).encode((), vec![7; len - 2], &mut bytes).unwrap();
    Ok(bytes)
}

#[test]
fn what_fills_its_slot_counts_as_cut() {
    for (limit, longest) in [(None, 65_534), (Some(usize::MAX), 65_534), (Some(9), 9)] {
        let mut receiver = slots(U16Be);
        if let Some(limit) = limit {
            receiver.set_recv_limit(limit);
        }
        let endpoint = endpoint(vec![datagram(65_535), datagram(longest), datagram(longest + 1)]);
        for taken in [false, true, false] {
            assert!(receiver.receive(&endpoint).unwrap().is_none());
            let arrival = receiver.next_arrival().unwrap();
            match receiver.deliver(arrival) {
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
            assert!(receiver.next_arrival().is_none());
        }
        let RecvStats { datagrams, frames, bytes, refused, refused_bytes, calls, .. } =
            receiver.stats();
        assert_eq!((datagrams, frames, calls), (1, 1, 3));
        assert_eq!((bytes, refused_bytes), (longest as u64, 65_536 + longest as u64));
        assert_eq!((refused.cut, refused.total()), (2, 2));
    }
}

#[test]
fn reports_are_items_and_other_errors_change_nothing() {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, PermissionDenied};
    let errors = [ConnectionRefused, PermissionDenied, ConnectionReset, Interrupted];
    let mut answers: Vec<_> = errors.into_iter().map(|kind| Err(kind.into())).collect();
    answers.push(Ok(b"\x01a".to_vec()));
    let (mut receiver, endpoint) = (slots(U8), endpoint(answers));
    for kind in [ConnectionRefused, PermissionDenied, ConnectionReset] {
        match receiver.receive(&endpoint) {
            Ok(arrival) => match receiver.deliver(arrival.unwrap()) {
                Received::Undelivered(error) => assert_eq!(error.kind(), kind),
                other => panic!("{other:?}"),
            },
            Err(error) => {
                assert_eq!((error.kind(), kind), (PermissionDenied, PermissionDenied))
            }
        }
        assert!(receiver.next_arrival().is_none());
    }
    // What was interrupted is called again.
    assert!(receiver.receive(&endpoint).unwrap().is_none());
    let arrival = receiver.next_arrival().unwrap();
    assert!(matches!(receiver.deliver(arrival), Received::Datagram { .. }));
    let RecvStats { datagrams, undelivered, calls, refused, .. } = receiver.stats();
    assert_eq!((datagrams, undelivered, calls, refused.total()), (1, 2, 1, 0));
    let text = format!("{receiver:?}");
    assert!(text.starts_with("ReceiveSlots {") && text.contains("undelivered: 2"), "{text}");
    assert!(!text.contains("97"), "a payload may be secret: {text}");
}

#[test]
fn slots_that_change_leave_no_datagram_of_before() {
    let changes: [fn(&mut ReceiveSlots<U8>); 2] = [
        |receiver| {
            let slots = receiver.take_slots();
            assert_eq!(slots.len(), SLOT_LEN);
        },
        |receiver| receiver.provide_slots(vec![0; 2 * SLOT_LEN - 1]),
    ];
    for change in changes {
        let endpoint = endpoint(vec![Ok(b"\x01a".to_vec()), Ok(b"\x01b".to_vec())]);
        let mut receiver = slots(U8);
        assert!(receiver.receive(&endpoint).unwrap().is_none());
        change(&mut receiver);
        assert!(receiver.next_arrival().is_none());
        if receiver.has_slots() {
            assert_eq!(receiver.take_slots().len(), SLOT_LEN, "whole slots");
        }
        let none = receiver.receive(&endpoint).err().unwrap();
        assert_eq!(none.kind(), io::ErrorKind::InvalidInput);
        receiver.provide_slots(vec![0; SLOT_LEN]);
        assert!(receiver.receive(&endpoint).unwrap().is_none(), "nothing was lost");
        assert!(receiver.next_arrival().is_some());
    }
}
