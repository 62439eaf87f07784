//! Frames in datagrams through a network that drops, doubles, reorders, delays, truncates and
//! damages them, under fixed seeds: what comes out is what the oracle says of every datagram that
//! came through, and of nothing else.
//!
//! The relay is a thread between real sockets. It writes down what it passes on; loopback keeps the
//! order, and the relay waits for the receiver, so that nothing else is lost.

use std::collections::HashSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use unstick::io::{FrameSocket, Received};
use unstick::{DatagramError, Kind, V1};
use unstick_testing::oracle::{self, Frames};

const PATIENCE: Duration = Duration::from_secs(30);
/// The frames that are sent under each seed.
const FRAMES: u32 = 3_000;

/// Numbers that look random and are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}

/// A network: datagrams go in, and some of them come out at some time, in some state.
struct Network {
    random: Random,
    damages: bool,
    /// Delayed datagrams, with the steps that they still wait.
    delayed: Vec<(usize, Vec<u8>)>,
}

impl Network {
    fn pass(&mut self, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for (wait, _) in &mut self.delayed {
            *wait = wait.saturating_sub(1);
        }
        let random = &mut self.random;
        match random.below(20) {
            0 => {} // lost
            1 => out.extend([datagram.clone(), datagram]),
            2..=4 => self.delayed.push((1 + random.below(30), datagram)),
            5 if self.damages => out.push(datagram[..random.below(datagram.len())].to_vec()),
            6 if self.damages => {
                let mut damaged = datagram;
                for _ in 0..=random.below(3) {
                    let at = random.below(damaged.len());
                    damaged[at] ^= 1 << random.below(8);
                }
                out.push(damaged);
            }
            _ => out.push(datagram),
        }
        // The later ones come first, if their time is up.
        let (due, waiting): (Vec<_>, Vec<_>) =
            self.delayed.drain(..).rev().partition(|(wait, _)| *wait == 0);
        self.delayed.extend(waiting.into_iter().rev());
        out.extend(due.into_iter().map(|(_, datagram)| datagram));
        out
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A frame's payload: its number, and bytes that follow from it.
fn payload(number: u32) -> Vec<u8> {
    let len = number.wrapping_mul(2_654_435_761) as usize % 300;
    let filling = (0..len).map(|i| (number as usize * 7 + i) as u8);
    number.to_be_bytes().into_iter().chain(filling).collect()
}

fn pass_through(seed: u64, damages: bool, offload: bool) {
    let make = |socket| match offload {
        true => FrameSocket::new(socket),
        false => FrameSocket::without_offload(socket, V1),
    };
    let (relay_in, relay_out, receiving) = (socket(), socket(), socket());
    let (relay, end) = (relay_in.local_addr().unwrap(), receiving.local_addr().unwrap());
    let source = relay_out.local_addr().unwrap();
    let (mut sender, mut receiver) = (make(socket()).sender, make(receiving).receiver);
    let mut network = Network { random: Random(seed), damages, delayed: Vec::new() };

    let mut buf = [0; 2_000];
    let (mut sent, mut passed, mut delivered, mut refused) = (HashSet::new(), 0, 0, 0);
    let mut seen = HashSet::new();
    for first in (0..FRAMES).step_by(40) {
        let before = sender.stats().datagrams;
        for number in first..first + 40 {
            sender.feed_to(relay, Kind::BINARY, payload(number)).unwrap();
        }
        sender.flush().unwrap();
        for _ in before..sender.stats().datagrams {
            let (len, _) = relay_in.recv_from(&mut buf).unwrap();
            sent.insert(buf[..len].to_vec());
            for datagram in network.pass(buf[..len].to_vec()) {
                relay_out.send_to(&datagram, end).unwrap();
                passed += 1;
                // Exactly what the oracle says of it, in the order in which it was passed on.
                let want = oracle::datagram(1 << 20, &datagram, &[]);
                let got = match receiver.recv().unwrap() {
                    Received::Datagram { source: from, frames } => {
                        assert_eq!(from, source);
                        let frames = frames.map(|f| (f.meta.get(), f.payload.to_vec()));
                        Ok(frames.collect::<Frames>())
                    }
                    Received::Refused { source: from, error } => {
                        assert_eq!(from, source);
                        Err(error)
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!(got, want, "{datagram:02x?}");
                if sent.contains(&datagram) {
                    // Whole and untouched: its frames are those that were sent, byte by byte.
                    for (_, bytes) in got.as_ref().unwrap() {
                        let number = u32::from_be_bytes(*bytes.first_chunk().unwrap());
                        assert_eq!(*bytes, payload(number), "torn or mixed");
                        seen.insert(number);
                    }
                }
                match got {
                    Ok(_) => delivered += 1,
                    Err(error) => {
                        assert!(damages && !matches!(error, DatagramError::Cut { .. }), "{error}");
                        refused += 1;
                    }
                }
            }
        }
    }
    let stats = receiver.stats();
    assert_eq!((stats.datagrams, stats.refused.total()), (delivered, refused));
    assert_eq!(delivered + refused, passed);
    assert_eq!(damages, refused > 0);
    // The network does what it is for, and most of it comes through.
    assert!(seen.len() < FRAMES as usize && seen.len() > FRAMES as usize / 2, "{}", seen.len());
}

// spec: DGM-1, DGM-2, DGM-3, DGM-8
#[test]
fn loss_duplication_reordering_and_delay_tear_no_frame() {
    for seed in 1..=4 {
        pass_through(seed, false, seed % 2 == 0);
    }
}

// spec: DGM-1, DGM-2, DGM-3, DGM-8
#[test]
fn truncation_and_damage_are_judged_datagram_by_datagram() {
    for seed in 11..=14 {
        pass_through(seed, true, seed % 2 == 0);
    }
}
