//! The demo's datagrams: through a relay that drops, doubles, reorders, truncates and damages them.
//!
//! Sender, relay and receiver are three sockets that take their turns, a few datagrams at a time:
//! so the kernel loses none, and the relay's word for each tells what had to come of it.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use fastrand::Rng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use unstick::io::{FrameSocket, Received};
use unstick::{DEFAULT_DATAGRAM_LIMIT, Kind};

use super::STUCK;
use crate::bytes::count;
use crate::output::{Failure, Out};
use crate::pcap::Capture;

/// The messages of a turn.
const TURN: u64 = 40;
/// The longest message: most are shorter.
const LONGEST: usize = 600;
/// The bytes of a message's number and of its digest.
const NUMBER_LEN: usize = 8;
const DIGEST_LEN: usize = 32;

/// What the relay did to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    Passed,
    Dropped,
    Doubled,
    Reordered,
    Truncated,
    Damaged,
}

/// What happened on the way.
#[derive(Default, Serialize)]
pub(super) struct Report {
    /// Messages sent, and the datagrams that they were packed into.
    sent: u64,
    datagrams: u64,
    /// What the relay did to the datagrams.
    passed: u64,
    dropped: u64,
    doubled: u64,
    reordered: u64,
    truncated: u64,
    damaged: u64,
    /// Datagrams that the receiver took, and those that it refused.
    taken: u64,
    refused: u64,
    /// Messages that arrived as they were sent, once or again.
    intact: u64,
    again: u64,
    /// Messages that never arrived intact.
    lost: u64,
    /// Messages whose payload the relay damaged: no framing can see that, their digest does.
    damaged_inside: u64,
    /// Messages that are none of those that were sent, for no reason.
    torn: u64,
    /// Datagrams of which came what must not, by what the relay did to them.
    wrong: u64,
}

impl Report {
    /// Whether framing did what it promises.
    pub(super) fn is_good(&self) -> bool {
        self.torn == 0 && self.wrong == 0 && self.intact + self.lost == self.sent
    }

    pub(super) fn show(&self, out: &mut Out) -> Result<(), Failure> {
        let Self { passed, dropped, doubled, reordered, truncated, damaged, .. } = self;
        let mut row = |name: &str, text: String| out.line(format_args!("  {name:<9} {text}"));
        row(
            "sent",
            format!("{} in {}", count(self.sent, "message"), count(self.datagrams, "datagram")),
        )?;
        row(
            "relay",
            format!(
                "{passed} passed on, {dropped} dropped, {doubled} doubled, {reordered} reordered, \
                 {truncated} cut, {damaged} damaged"
            ),
        )?;
        row(
            "received",
            format!("{} taken, {} refused", count(self.taken, "datagram"), self.refused),
        )?;
        row(
            "messages",
            format!(
                "{} arrived as sent, {} of them again; {} lost or refused",
                self.intact, self.again, self.lost
            ),
        )?;
        if self.damaged_inside > 0 {
            let are = if self.damaged_inside == 1 { "is" } else { "are" };
            row(
                "",
                format!("{} {are} damaged inside, which framing cannot see;", self.damaged_inside),
            )?;
            row("", "the digest that each message carries has found them".to_owned())?;
        }
        match self.torn + self.wrong {
            0 => out.line("  no message was torn or mixed with another one"),
            n => out.line(format_args!("  {} torn, mixed, or taken wrongly", count(n, "message"))),
        }
    }
}

/// Sends so many messages through the relay.
pub(super) fn run(messages: u64, seed: u64, capture: Option<&Capture>) -> io::Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let mut relay = Relay { rng: Rng::with_seed(!seed), held: Vec::new(), fates: HashMap::new() };
    let mut sender = FrameSocket::new(local()?);
    let (relay_in, relay_out) = (local()?, local()?);
    let mut receiver = FrameSocket::new(local()?);
    let (in_addr, end_addr) = (relay_in.local_addr()?, receiver.get_ref().local_addr()?);

    let ends = super::ends(relay_out.local_addr()?, end_addr);

    let mut report = Report::default();
    let mut arrived: HashMap<u64, u64> = HashMap::new();
    let mut buf = vec![0; DEFAULT_DATAGRAM_LIMIT];
    while report.sent < messages {
        for _ in 0..TURN.min(messages - report.sent) {
            let message = message(&mut rng, report.sent);
            sender.feed_to(in_addr, Kind::BINARY, &message).map_err(io::Error::other)?;
            report.sent += 1;
        }
        sender.flush().map_err(io::Error::other)?;
        let mut out = Vec::new();
        while report.datagrams < sender.stats().1.datagrams {
            let (len, _) = relay_in.recv_from(&mut buf)?;
            report.datagrams += 1;
            relay.pass(buf.get(..len).unwrap_or_default(), &mut out);
        }
        if report.sent == messages {
            out.append(&mut relay.held);
        }
        for (fate, datagram) in &out {
            relay_out.send_to(datagram, end_addr)?;
            if let (Some(capture), Some(ends)) = (capture, ends) {
                capture.datagram(ends, datagram);
            }
            report.judge(*fate, &mut receiver, &mut arrived)?;
        }
    }
    report.count(&relay);
    report.intact = arrived.len() as u64;
    report.again = arrived.values().filter(|times| **times > 1).count() as u64;
    report.lost = report.sent - report.intact;
    Ok(report)
}

fn local() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(STUCK))?;
    Ok(socket)
}

/// A message that tells whether it is whole: its number, the digest of all the rest, and filling.
fn message(rng: &mut Rng, number: u64) -> Vec<u8> {
    let len = if rng.u8(..8) == 0 { LONGEST } else { 100 };
    let mut filling = vec![0; rng.usize(..len)];
    rng.fill(&mut filling);
    let digest = digest(&number.to_be_bytes(), &filling);
    [&number.to_be_bytes()[..], &digest, &filling].concat()
}

fn digest(number: &[u8], filling: &[u8]) -> [u8; DIGEST_LEN] {
    Sha256::new().chain_update(number).chain_update(filling).finalize().into()
}

/// The number of a message that is as it was sent.
fn intact(payload: &[u8]) -> Option<u64> {
    let (number, rest) = payload.split_first_chunk::<NUMBER_LEN>()?;
    let (found, filling) = rest.split_first_chunk::<DIGEST_LEN>()?;
    (*found == digest(number, filling)).then(|| u64::from_be_bytes(*number))
}

impl Report {
    /// Receives what the relay has just sent, and compares it with what the relay did.
    fn judge(
        &mut self,
        fate: Fate,
        receiver: &mut FrameSocket,
        arrived: &mut HashMap<u64, u64>,
    ) -> io::Result<()> {
        match receiver.recv()? {
            Received::Datagram { frames, .. } => {
                self.taken += 1;
                let mut broken = 0;
                for frame in frames {
                    match intact(frame.payload) {
                        Some(number) => *arrived.entry(number).or_default() += 1,
                        None => broken += 1,
                    }
                }
                // One byte was damaged, so one message at most.
                match fate {
                    Fate::Damaged if broken <= 1 => self.damaged_inside += broken,
                    _ => self.torn += broken,
                }
            }
            Received::Refused { .. } => {
                self.refused += 1;
                self.wrong += u64::from(!matches!(fate, Fate::Truncated | Fate::Damaged));
            }
            Received::Undelivered(error) => return Err(error),
        }
        Ok(())
    }

    fn count(&mut self, relay: &Relay) {
        let of = |fate| relay.fates.get(&fate).copied().unwrap_or_default();
        self.passed = of(Fate::Passed);
        self.dropped = of(Fate::Dropped);
        self.doubled = of(Fate::Doubled);
        self.reordered = of(Fate::Reordered);
        self.truncated = of(Fate::Truncated);
        self.damaged = of(Fate::Damaged);
    }
}

/// What a network may do to datagrams, more often than one does.
struct Relay {
    rng: Rng,
    /// Datagrams that wait until later ones have passed them.
    held: Vec<(Fate, Vec<u8>)>,
    fates: HashMap<Fate, u64>,
}

impl Relay {
    fn pass(&mut self, datagram: &[u8], out: &mut Vec<(Fate, Vec<u8>)>) {
        let fate = match self.rng.u8(..20) {
            0 => Fate::Dropped,
            1 => Fate::Doubled,
            2 => Fate::Truncated,
            3 => Fate::Damaged,
            4 | 5 => Fate::Reordered,
            _ => Fate::Passed,
        };
        *self.fates.entry(fate).or_default() += 1;
        let mut datagram = datagram.to_vec();
        match fate {
            Fate::Dropped => {}
            Fate::Passed => out.push((fate, datagram)),
            Fate::Doubled => out.extend([(fate, datagram.clone()), (fate, datagram)]),
            Fate::Truncated => {
                datagram.truncate(self.rng.usize(..datagram.len().max(1)));
                out.push((fate, datagram));
            }
            Fate::Damaged => {
                let at = self.rng.usize(..datagram.len().max(1));
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= 1 << self.rng.u8(..8);
                }
                out.push((fate, datagram));
            }
            Fate::Reordered => return self.held.push((fate, datagram)),
        }
        // Two that waited come in the wrong order, too.
        if self.held.len() > 2 {
            out.extend(self.held.drain(..).rev());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_does_all_of_it_and_nothing_is_torn() {
        for seed in 0..5 {
            let report = run(2_000, seed, None).unwrap();
            assert!(report.is_good(), "{seed}: {} {}", report.torn, report.wrong);
            let Report { passed, dropped, doubled, reordered, truncated, damaged, .. } = report;
            let all = [passed, dropped, doubled, reordered, truncated, damaged];
            assert!(all.iter().all(|count| *count > 0), "{seed}: {all:?}");
            assert_eq!(all.iter().sum::<u64>(), report.datagrams);
            assert_eq!(report.taken + report.refused, report.datagrams - dropped + doubled);
            assert!(report.damaged_inside > 0 && report.refused > 0 && report.lost > 0);
        }
    }

    #[test]
    fn a_message_knows_whether_it_is_whole() {
        let mut message = message(&mut Rng::with_seed(1), 7);
        assert_eq!(intact(&message), Some(7));
        for at in 0..message.len() {
            message[at] ^= 0x20;
            assert_eq!(intact(&message), None, "{at}");
            message[at] ^= 0x20;
        }
        message.pop();
        assert_eq!(intact(&message), None);
        assert_eq!(intact(&[]), None);
    }
}
