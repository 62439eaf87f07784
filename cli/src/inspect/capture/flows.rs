//! The connections of a capture, and their bytes in order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::file::Packet;
use super::link::{self, Content, Segment};
use super::reassembly::{Direction, Event};
use crate::inspect::names::{Place, Side};
use crate::term::bytes::count;
use crate::term::output::Failure;

/// The maximum number of connections that are followed; later ones are counted only.
pub(crate) const MAX_FLOWS: usize = 10_000;
/// The maximum number of bytes that all connections keep while bytes before them are missing.
const MAX_HELD: usize = 128 << 20;

/// A connection of TCP, or the datagrams between two addresses.
pub(crate) struct Flow {
    pub(crate) number: u32,
    pub(crate) is_udp: bool,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) began: Option<Duration>,
    pub(crate) ended: Option<Duration>,
    /// The number of payload bytes of the client and of the server.
    pub(crate) bytes: [u64; 2],
    directions: [Direction; 2],
    /// The side that has reset the connection.
    reset: Option<Side>,
    finished: bool,
}

impl Flow {
    /// Returns whether the beginning of what a side has sent is in the capture.
    pub(crate) fn has_beginning(&self, side: Side) -> bool {
        self.is_udp || self.direction(side).has_beginning()
    }

    fn direction(&self, side: Side) -> &Direction {
        let [client, server] = &self.directions;
        if side == Side::Client { client } else { server }
    }

    fn direction_mut(&mut self, side: Side) -> &mut Direction {
        let [client, server] = &mut self.directions;
        if side == Side::Client { client } else { server }
    }

    /// Returns how the connection ended, and what is missing.
    pub(crate) fn end(&self) -> String {
        let ended = [Side::Client, Side::Server].map(|side| self.direction(side).is_ended());
        let mut end = match (self.reset, ended) {
            _ if self.is_udp => "datagrams".to_owned(),
            (Some(side), _) => format!("reset by the {}", side.name()),
            (None, [true, true]) => "closed".to_owned(),
            (None, [true, false]) => "closed by the client only".to_owned(),
            (None, [false, true]) => "closed by the server only".to_owned(),
            (None, [false, false]) => "open at the end of the capture".to_owned(),
        };
        if !self.is_udp && !self.directions.iter().any(Direction::has_beginning) {
            end.push_str(", the beginning is not in the capture");
        }
        let sum = |of: fn(&Direction) -> u64| self.directions.iter().map(of).sum::<u64>();
        let (missing, repeated) = (sum(|half| half.missing), sum(|half| half.repeated));
        if missing > 0 {
            end.push_str(&format!(", {} missing", count(missing, "byte")));
        }
        if repeated > 0 {
            end.push_str(&format!(", {} sent again", count(repeated, "byte")));
        }
        end
    }
}

/// Takes the bytes of connections.
pub(crate) trait Sink {
    fn event(&mut self, flow: &At, event: Event<'_>) -> Result<(), Failure>;
    /// A connection has ended: nothing more comes from it.
    fn end(&mut self, flow: &Flow) -> Result<(), Failure>;
}

/// Where bytes come from.
pub(crate) struct At {
    pub(crate) place: Place,
    pub(crate) is_udp: bool,
    pub(crate) has_beginning: bool,
}

/// The connections so far.
#[derive(Default)]
pub(crate) struct Flows {
    pub(crate) flows: Vec<Flow>,
    /// The last connection between two addresses, of TCP or UDP; the addresses are in order.
    open: HashMap<(SocketAddr, SocketAddr, bool), usize>,
    held_len: usize,
    pub(crate) packets: u64,
    skipped: Skipped,
}

/// Packets without bytes of a connection that is followed.
#[derive(Default)]
struct Skipped {
    fragments: u64,
    others: u64,
    damaged: u64,
    unknown_link: u64,
    link: u32,
    /// Packets of connections above the maximum.
    too_many: u64,
}

impl Flows {
    /// Takes a packet.
    pub(crate) fn packet(&mut self, packet: &Packet, sink: &mut dyn Sink) -> Result<(), Failure> {
        self.packets += 1;
        let skipped = &mut self.skipped;
        match link::parse(packet.link, &packet.data) {
            Content::Tcp(segment) => return self.segment(&segment, packet.time, sink),
            Content::Udp { from, to, payload, missing } => {
                let Some(index) = self.flow(from, to, true, false, packet.time) else {
                    return Ok(());
                };
                let Some(flow) = self.flows.get_mut(index) else { return Ok(()) };
                let (at, side) = at(flow, from, packet.time);
                add(flow, side, payload.len());
                sink.event(&at, Event::Data(payload))?;
                if missing > 0 {
                    sink.event(&at, Event::Gap(missing))?;
                }
                return Ok(());
            }
            Content::Fragment => skipped.fragments += 1,
            Content::Other => skipped.others += 1,
            Content::Damaged => skipped.damaged += 1,
            Content::UnknownLink => {
                skipped.unknown_link += 1;
                skipped.link = packet.link;
            }
        }
        Ok(())
    }

    fn segment(
        &mut self,
        segment: &Segment<'_>,
        time: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failure> {
        let (from, to) = (segment.from, segment.to);
        if segment.syn && segment.ack.is_none() {
            self.end_old(from, to, segment.sequence, sink)?;
        }
        // Without a SYN the lower port is taken for the server's.
        let server_first =
            if segment.syn { segment.ack.is_some() } else { from.port() < to.port() };
        let Some(index) = self.flow(from, to, false, server_first, time) else { return Ok(()) };
        let Some(flow) = self.flows.get_mut(index) else { return Ok(()) };
        let (mut at, side) = at(flow, from, time);
        if flow.finished {
            return Ok(()); // late packets
        }
        at.has_beginning |= segment.syn;
        if let Some(ack) = segment.ack {
            flow.direction_mut(side.other()).ack(ack);
        }
        if segment.rst {
            flow.reset.get_or_insert(side);
        } else {
            let direction = flow.direction_mut(side);
            let others = self.held_len.saturating_sub(direction.held_len());
            let room = MAX_HELD.saturating_sub(others);
            let (mut result, mut bytes) = (Ok(()), 0);
            direction.segment(
                (segment.sequence, segment.syn, segment.fin),
                segment.payload,
                (segment.missing, room),
                &mut |event| {
                    if let Event::Data(data) = event {
                        bytes += data.len();
                    }
                    if result.is_ok() {
                        result = sink.event(&at, event);
                    }
                },
            );
            self.held_len = others + direction.held_len();
            add(flow, side, bytes);
            result?;
        }
        if flow.reset.is_some() || flow.directions.iter().all(Direction::is_ended) {
            self.finish(index, sink)?;
        }
        Ok(())
    }

    /// Ends the connection between these addresses if a SYN with this number begins another one.
    fn end_old(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        sequence: u32,
        sink: &mut dyn Sink,
    ) -> Result<(), Failure> {
        let key = key(from, to, false);
        let Some(&index) = self.open.get(&key) else { return Ok(()) };
        let Some(flow) = self.flows.get(index) else { return Ok(()) };
        let side = if flow.client == from { Side::Client } else { Side::Server };
        if flow.finished || flow.direction(side).is_other_syn(sequence) {
            self.open.remove(&key);
            self.finish(index, sink)?;
        }
        Ok(())
    }

    /// Delivers what is kept of a connection, and ends it.
    fn finish(&mut self, index: usize, sink: &mut dyn Sink) -> Result<(), Failure> {
        let Some(flow) = self.flows.get_mut(index) else { return Ok(()) };
        if std::mem::replace(&mut flow.finished, true) {
            return Ok(());
        }
        for side in [Side::Client, Side::Server] {
            let from = if side == Side::Client { flow.client } else { flow.server };
            let (at, _) = at(flow, from, flow.ended);
            let direction = flow.direction_mut(side);
            self.held_len = self.held_len.saturating_sub(direction.held_len());
            let (mut result, mut bytes) = (Ok(()), 0);
            direction.finish(&mut |event| {
                if let Event::Data(data) = event {
                    bytes += data.len();
                }
                if result.is_ok() {
                    result = sink.event(&at, event);
                }
            });
            add(flow, side, bytes);
            result?;
        }
        sink.end(flow)
    }

    /// Ends all connections.
    pub(crate) fn finish_all(&mut self, sink: &mut dyn Sink) -> Result<(), Failure> {
        for index in 0..self.flows.len() {
            self.finish(index, sink)?;
        }
        Ok(())
    }

    /// Returns the index of the connection between two addresses; `None` if there are too many.
    fn flow(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        is_udp: bool,
        server_first: bool,
        time: Option<Duration>,
    ) -> Option<usize> {
        if let Some(&index) = self.open.get(&key(from, to, is_udp)) {
            if let Some(flow) = self.flows.get_mut(index) {
                flow.ended = time.or(flow.ended);
            }
            return Some(index);
        }
        let index = self.flows.len();
        if index >= MAX_FLOWS {
            self.skipped.too_many += 1;
            return None;
        }
        let (client, server) = if server_first { (to, from) } else { (from, to) };
        self.flows.push(Flow {
            number: u32::try_from(index + 1).unwrap_or(u32::MAX),
            is_udp,
            client,
            server,
            began: time,
            ended: time,
            bytes: [0; 2],
            directions: Default::default(),
            reset: None,
            finished: false,
        });
        self.open.insert(key(from, to, is_udp), index);
        Some(index)
    }

    /// Returns what was not read, for people.
    pub(crate) fn notes(&self) -> Vec<String> {
        let Skipped { fragments, others, damaged, unknown_link, link, too_many } = self.skipped;
        let mut notes = Vec::new();
        let mut note = |n: u64, what: &str| {
            if n > 0 {
                notes.push(format!("{} {what}", count(n, "packet")));
            }
        };
        note(fragments, "left out: fragments of IP, whose bytes count as missing");
        note(damaged, "left out: the headers are cut off or damaged");
        note(others, "left out: neither TCP nor UDP");
        note(unknown_link, &format!("left out: inspect does not read {}", link::name(link)));
        note(
            too_many,
            &format!(
                "left out: of connections after the first {MAX_FLOWS}; filter the capture, as with \
                 `tshark -r FILE -Y 'tcp.port == 7000' -w PART`"
            ),
        );
        notes
    }

    /// Returns whether packets were left out that may have had bytes of a connection.
    pub(crate) fn is_incomplete(&self) -> bool {
        let Skipped { fragments, damaged, unknown_link, too_many, .. } = self.skipped;
        fragments + damaged + unknown_link + too_many > 0
    }
}

fn add(flow: &mut Flow, side: Side, n: usize) {
    if let Some(bytes) = flow.bytes.get_mut(side.of()) {
        *bytes += n as u64;
    }
}

fn key(from: SocketAddr, to: SocketAddr, is_udp: bool) -> (SocketAddr, SocketAddr, bool) {
    (from.min(to), from.max(to), is_udp)
}

/// Returns where a packet is, and who has sent it.
fn at(flow: &Flow, from: SocketAddr, time: Option<Duration>) -> (At, Side) {
    let side = if from == flow.client { Side::Client } else { Side::Server };
    let place = Place { flow: flow.number, side, time };
    (At { place, is_udp: flow.is_udp, has_beginning: flow.has_beginning(side) }, side)
}
