//! The demo's datagrams, sent through a relay that drops, duplicates, reorders, truncates and
//! damages them.
//!
//! Sender, relay and receiver are three sockets that take turns, a few datagrams at a time, so the
//! kernel drops none. The relay's record of each datagram determines the expected result.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use fastrand::Rng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use unstick::io::{FrameReceiver, FrameSocket, Received};
use unstick::{DEFAULT_DATAGRAM_LIMIT, Kind};

use super::TIMEOUT;
use crate::pcap::Capture;
use crate::term::bytes::count;
use crate::term::output::{Failure, Out};

/// The number of messages in a turn.
const TURN: u64 = 40;
/// The maximum length of a message's filling; most are shorter.
const MAX_FILLING_LEN: usize = 600;
/// The lengths of a message's number and of its digest.
const NUMBER_LEN: usize = 8;
const DIGEST_LEN: usize = 32;

/// How the relay treated a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
enum Treatment {
    Passed,
    Dropped,
    Doubled,
    Reordered,
    Truncated,
    Damaged,
}

/// The counts of the demo over UDP.
#[derive(Default, Serialize)]
pub(super) struct Report {
    /// Messages sent, and the datagrams into which they were packed.
    sent: u64,
    datagrams: u64,
    /// How the relay treated the datagrams.
    passed: u64,
    dropped: u64,
    doubled: u64,
    reordered: u64,
    truncated: u64,
    damaged: u64,
    /// Datagrams that the receiver accepted, and those that it refused.
    taken: u64,
    refused: u64,
    /// Messages that arrived as sent, and those of them that arrived more than once.
    intact: u64,
    again: u64,
    /// Messages that did not arrive intact.
    lost: u64,
    /// Messages whose payload the relay damaged. Framing cannot detect this; the digest in the
    /// message does.
    damaged_inside: u64,
    /// Messages that differ from all that were sent, although the relay did not damage them.
    torn: u64,
    /// Datagrams that were refused although the relay did not truncate or damage them.
    wrong: u64,
}

impl Report {
    /// Returns whether framing kept its promises.
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

/// Sends messages through the relay, and counts what arrives.
pub(super) fn run(messages: u64, seed: u64, capture: Option<&Capture>) -> io::Result<Report> {
    let mut rng = Rng::with_seed(seed);
    let mut relay =
        Relay { rng: Rng::with_seed(!seed), held: Vec::new(), treatments: HashMap::new() };
    let mut sender = FrameSocket::new(local()?).sender;
    let (relay_in, relay_out) = (local()?, local()?);
    let mut receiver = FrameSocket::new(local()?).receiver;
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
        while report.datagrams < sender.stats().datagrams {
            let (len, _) = relay_in.recv_from(&mut buf)?;
            report.datagrams += 1;
            relay.pass(buf.get(..len).unwrap_or_default(), &mut out);
        }
        if report.sent == messages {
            out.append(&mut relay.held);
        }
        for (treatment, datagram) in &out {
            relay_out.send_to(datagram, end_addr)?;
            if let (Some(capture), Some(ends)) = (capture, ends) {
                capture.datagram(ends, datagram);
            }
            report.receive_and_compare(*treatment, &mut receiver, &mut arrived)?;
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
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// Creates a message that shows whether it is intact: its number, the digest of everything else,
/// and filling.
fn message(rng: &mut Rng, number: u64) -> Vec<u8> {
    let len = if rng.u8(..8) == 0 { MAX_FILLING_LEN } else { 100 };
    let mut filling = vec![0; rng.usize(..len)];
    rng.fill(&mut filling);
    let digest = digest(&number.to_be_bytes(), &filling);
    [&number.to_be_bytes()[..], &digest, &filling].concat()
}

fn digest(number: &[u8], filling: &[u8]) -> [u8; DIGEST_LEN] {
    Sha256::new().chain_update(number).chain_update(filling).finalize().into()
}

/// Returns the number of a message, if it is intact.
fn intact(payload: &[u8]) -> Option<u64> {
    let (number, rest) = payload.split_first_chunk::<NUMBER_LEN>()?;
    let (found, filling) = rest.split_first_chunk::<DIGEST_LEN>()?;
    (*found == digest(number, filling)).then(|| u64::from_be_bytes(*number))
}

impl Report {
    /// Receives the datagram that the relay has just sent, and compares it with how the relay
    /// treated it.
    fn receive_and_compare(
        &mut self,
        treatment: Treatment,
        receiver: &mut FrameReceiver,
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
                // One byte was damaged, so at most one message is broken.
                match treatment {
                    Treatment::Damaged if broken <= 1 => self.damaged_inside += broken,
                    _ => self.torn += broken,
                }
            }
            Received::Refused { .. } => {
                self.refused += 1;
                self.wrong +=
                    u64::from(!matches!(treatment, Treatment::Truncated | Treatment::Damaged));
            }
            Received::Undelivered(error) => return Err(error),
        }
        Ok(())
    }

    fn count(&mut self, relay: &Relay) {
        let of = |treatment| relay.treatments.get(&treatment).copied().unwrap_or_default();
        self.passed = of(Treatment::Passed);
        self.dropped = of(Treatment::Dropped);
        self.doubled = of(Treatment::Doubled);
        self.reordered = of(Treatment::Reordered);
        self.truncated = of(Treatment::Truncated);
        self.damaged = of(Treatment::Damaged);
    }
}

/// A relay that treats datagrams as a network may, but more often.
struct Relay {
    rng: Rng,
    /// Datagrams that are held back until later ones were sent.
    held: Vec<(Treatment, Vec<u8>)>,
    treatments: HashMap<Treatment, u64>,
}

impl Relay {
    fn pass(&mut self, datagram: &[u8], out: &mut Vec<(Treatment, Vec<u8>)>) {
        let treatment = match self.rng.u8(..20) {
            0 => Treatment::Dropped,
            1 => Treatment::Doubled,
            2 => Treatment::Truncated,
            3 => Treatment::Damaged,
            4 | 5 => Treatment::Reordered,
            _ => Treatment::Passed,
        };
        *self.treatments.entry(treatment).or_default() += 1;
        let mut datagram = datagram.to_vec();
        match treatment {
            Treatment::Dropped => {}
            Treatment::Passed => out.push((treatment, datagram)),
            Treatment::Doubled => {
                out.extend([(treatment, datagram.clone()), (treatment, datagram)])
            }
            Treatment::Truncated => {
                datagram.truncate(self.rng.usize(..datagram.len().max(1)));
                out.push((treatment, datagram));
            }
            Treatment::Damaged => {
                let at = self.rng.usize(..datagram.len().max(1));
                if let Some(byte) = datagram.get_mut(at) {
                    *byte ^= 1 << self.rng.u8(..8);
                }
                out.push((treatment, datagram));
            }
            Treatment::Reordered => return self.held.push((treatment, datagram)),
        }
        // The datagrams held back are reordered among themselves, too.
        if self.held.len() > 2 {
            out.extend(self.held.drain(..).rev());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_treatment_occurs_and_no_message_is_torn() {
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
    fn a_change_of_any_byte_is_detected() {
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
