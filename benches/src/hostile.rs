//! A hostile peer that floods a socket, and what that costs a well-behaved one.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use unstick::io::{FrameSocket, Received};
use unstick::{Framing, Kind, V1};

/// What became of all datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hostile {
    /// Malformed datagrams that the hostile peer sent.
    pub bad: u64,
    /// Datagrams that the well-behaved peer sent meanwhile.
    pub good: u64,
    /// Those of the well-behaved peer that were delivered.
    pub delivered: u64,
    /// Those of the hostile peer that were refused, each with its source and reason.
    pub refused: u64,
    /// Datagrams of either that the kernel dropped, because the socket's buffer was full.
    pub dropped: u64,
    /// How long it took.
    pub millis: u64,
}

impl Hostile {
    /// Datagrams that nobody can account for.
    #[must_use]
    pub fn unaccounted(&self) -> i128 {
        let sent = i128::from(self.bad) + i128::from(self.good);
        sent - i128::from(self.delivered) - i128::from(self.refused) - i128::from(self.dropped)
    }
}

/// Lets a hostile peer send so many malformed datagrams as fast as it can.
///
/// # Panics
/// A datagram was taken for another's, or one of the well-behaved peer was refused.
#[must_use]
pub fn run(bad: u64) -> Hostile {
    let local = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (receiving, evil, good) = (local(), local(), local());
    receiving.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let addr = receiving.local_addr().unwrap();
    let (evil_addr, good_addr) = (evil.local_addr().unwrap(), good.local_addr().unwrap());
    let socket = FrameSocket::new(receiving);
    socket.set_recv_buffer_size(4 << 20).unwrap();
    let mut receiver = socket.receiver;

    let over = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        let hostile = scope.spawn(|| {
            let datagrams = malformed();
            for datagram in datagrams.iter().cycle().take(usize::try_from(bad).unwrap()) {
                evil.send_to(datagram, addr).unwrap();
            }
            over.store(true, Ordering::Release);
        });
        let well_behaved = scope.spawn(|| {
            let mut sent = 0_u64;
            while !over.load(Ordering::Acquire) {
                let mut datagram = Vec::new();
                let number = sent.to_be_bytes();
                Framing::new(V1).encode(Kind::BINARY, number, &mut datagram).unwrap();
                good.send_to(&datagram, addr).unwrap();
                sent += 1;
                thread::sleep(Duration::from_micros(200));
            }
            sent
        });
        let mut last = None;
        loop {
            match receiver.recv() {
                Ok(Received::Datagram { source, mut frames }) => {
                    assert_eq!(source, good_addr);
                    let payload = frames.next().unwrap().payload;
                    let number = u64::from_be_bytes(payload.try_into().unwrap());
                    assert!(last.is_none_or(|last| last < number) && frames.next().is_none());
                    last = Some(number);
                }
                Ok(Received::Refused { source, .. }) => assert_eq!(source, evil_addr),
                Ok(Received::Undelivered(error)) => panic!("{error}"),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                    if hostile.is_finished() && well_behaved.is_finished() {
                        break;
                    }
                }
            }
        }
        let stats = receiver.stats();
        Hostile {
            bad,
            good: well_behaved.join().unwrap(),
            delivered: stats.datagrams,
            refused: stats.refused.total(),
            dropped: dropped(addr.port()),
            millis: u64::try_from(start.elapsed().as_millis()).unwrap(),
        }
    })
}

/// One for each reason, and for each cause of "malformed" one.
fn malformed() -> Vec<Vec<u8>> {
    let frame = |kind: u8, payload: &[u8]| {
        let mut bytes = Vec::new();
        Framing::new(V1).encode(Kind::new(kind).unwrap(), payload, &mut bytes).unwrap();
        bytes
    };
    let whole = frame(1, b"whole");
    let mut damaged = whole.clone();
    damaged[6] ^= 1;
    vec![
        vec![],
        vec![0xF5],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        whole[..8].to_vec(),
        whole[..12].to_vec(),
        [&whole[..], b"?"].concat(),
        damaged,
        frame(0x05, b""),
        frame(0x20, b""),
        vec![0xF5; 1_200],
    ]
}

/// What the kernel dropped at this socket, as it says itself.
fn dropped(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/udp").unwrap();
    let local = format!(":{port:04X}");
    let line = table.lines().find(|line| {
        line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&local))
    });
    line.unwrap().split_whitespace().last().unwrap().parse().unwrap()
}
