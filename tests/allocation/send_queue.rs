//! The memory of frames that were accepted and not sent yet.

use std::io;
use std::net::SocketAddr;

use allocation_counter::measure;
use unstick::udp::{SegmentSender, SendQueue};
use unstick::{Framing, U8, U16Be};

/// Loses every datagram.
struct Deny {
    max_segments: usize,
}

impl SegmentSender for Deny {
    fn max_segments(&self) -> usize {
        self.max_segments
    }

    fn send_segments(&self, _: SocketAddr, _: &[u8], _: usize) -> io::Result<bool> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn is_about_run(&self, _: &io::Error) -> bool {
        false
    }
}

/// A peer that cannot be sent to costs what is held before one call, however often that fails.
#[test]
fn what_is_lost_again_and_again_is_not_collected() {
    for (limit, max_segments) in [(10, 1), (10, 64), (1_200, 1), (60_000, 1)] {
        let (deny, peer) = (Deny { max_segments }, ([127, 0, 0, 1], 1).into());
        let mut out = SendQueue::new(Framing::new(U8));
        out.set_datagram_limit(limit);
        let payload = vec![7; 255.min(limit - 1)];
        let mut feed = |frames| {
            measure(|| {
                for _ in 0..frames {
                    if !out.try_push(&peer, &(), &payload) {
                        out.make_room(&deny, &peer).unwrap();
                        assert!(out.try_push(&peer, &(), &payload), "a loss makes room");
                    }
                    out.end_datagram();
                }
            })
        };
        // 64 datagrams or 65,507 bytes, and a place of at most 16 bytes for each of the datagrams.
        let held = 65_507.min(64 * (payload.len() + 1)) + limit;
        let first = feed(1_000).bytes_max;
        assert!(first <= 4 * (held as u64 + 64 * 16), "{first} for {held}");
        assert_eq!(feed(4_000).count_total, 0, "{limit}");
    }
}

/// A queue that has sent everything keeps the memory of a few peers.
#[test]
fn a_send_queue_gives_memory_back() {
    let deny = Deny { max_segments: 1 };
    let mut out = SendQueue::new(Framing::new(U16Be));
    out.set_datagram_limit(40_000);
    let payload = vec![7; 39_998];
    let counted = measure(|| {
        for port in 1..=100 {
            assert!(out.try_push(&([127, 0, 0, 1], port).into(), &(), &payload));
        }
        out.close_all();
        out.send_closed(&deny).unwrap();
    });
    assert!(counted.bytes_max >= 100 * 40_000);
    assert!(counted.bytes_current < 5 * 40_000, "{} are kept", counted.bytes_current);
}
