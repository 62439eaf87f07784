//! Peers that break rules, or use them against the listener.

use unstick::{Framing, Kind, V1};
use unstick_session::message::{Close, FileOpen, Hello, Message, ResumeKey};

use crate::config::{HOSTILE_PAUSE, LIMIT, SECOND};
use crate::net::Link;
use crate::queue::{ConnId, Event};
use crate::side;
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    Silent,
    Announce,
    Trickle,
    Pings,
    UnknownKind,
    Garbage,
    HugeFile,
    CloseHeld,
}

impl Trick {
    pub const ALL: [Self; 8] = [
        Self::Silent,
        Self::Announce,
        Self::Trickle,
        Self::Pings,
        Self::UnknownKind,
        Self::Garbage,
        Self::HugeFile,
        Self::CloseHeld,
    ];

    pub fn about(self) -> &'static str {
        match self {
            Self::Silent => "sends nothing",
            Self::Announce => "announces a frame of 64 KiB, and sends one byte of it",
            Self::Trickle => "sends a byte of a frame every 5 seconds",
            Self::Pings => "sends a ping of 64 bytes each second, without end",
            Self::UnknownKind => "sends a frame of an unknown critical kind",
            Self::Garbage => "sends random bytes",
            Self::HugeFile => "offers 60 files of 1 PiB every 10 seconds",
            Self::CloseHeld => "closes, and keeps its connection",
        }
    }
}

pub struct Hostile {
    pub trick: Trick,
    link: Link,
    pub conn: Option<ConnId>,
    steps: u32,
}

impl Hostile {
    pub fn new(trick: Trick, link: Link) -> Self {
        Self { trick, link, conn: None, steps: 0 }
    }
}

fn put(message: &Message<'_>, out: &mut Vec<u8>) {
    side::put(&message.encode().expect("the message is valid"), out);
}

impl World {
    pub fn hostile(&mut self, peer: u32) -> &mut Hostile {
        &mut self.hostiles[peer as usize - self.clients.len()]
    }

    pub fn hostile_connects(&mut self, peer: u32) {
        let hostile = self.hostile(peer);
        if hostile.conn.is_some() {
            return;
        }
        let link = hostile.link;
        let id = self.conns.open(peer, link);
        let hostile = self.hostile(peer);
        (hostile.conn, hostile.steps) = (Some(id), 0);
        self.queue.after(link.latency, Event::Syn(id, 0));
    }

    /// Does the next thing. The peer takes no notice of what the listener sends.
    pub fn hostile_goes(&mut self, peer: u32, id: ConnId) {
        let hostile = self.hostile(peer);
        if hostile.conn != Some(id) {
            return;
        }
        let (trick, step) = (hostile.trick, hostile.steps);
        hostile.steps += 1;
        let mut out = Vec::new();
        if step == 0 && !matches!(trick, Trick::Silent | Trick::Garbage) {
            put(&Message::Hello(Hello { limit: LIMIT, name: "" }), &mut out);
        }
        let mut again = None;
        match trick {
            Trick::Silent => {}
            Trick::Announce => {
                let header = Framing::new(V1).encode_header(Kind::TEXT, LIMIT.into());
                out.extend_from_slice(header.expect("it is within the limit").as_bytes());
                out.push(b'a');
            }
            Trick::Trickle => {
                let mut frame = Vec::new();
                put(&Message::Text(&"a".repeat(1_000)), &mut frame);
                out.extend(frame.get(step as usize));
                again = Some(5 * SECOND);
            }
            Trick::Pings => {
                put(&Message::Ping(&[7; 64]), &mut out);
                again = Some(SECOND);
            }
            Trick::UnknownKind => {
                let kind = Kind::new(0x7F).expect("not 0");
                put(&Message::Other { kind, payload: b"do it" }, &mut out);
            }
            Trick::Garbage => out.extend((0..64).map(|_| self.rng.u8(..))),
            Trick::HugeFile => {
                for n in 0..60 {
                    let (id, size) = (step * 60 + n, Some(1 << 50));
                    let open = FileOpen { id, key: ResumeKey::NONE, size, name: "huge" };
                    put(&Message::FileOpen(open), &mut out);
                }
                again = Some(10 * SECOND);
            }
            Trick::CloseHeld => put(&Message::Close(Close::ORDINARY), &mut out),
        }
        self.ship(id, true, &out);
        if let Some(again) = again {
            self.queue.after(again, Event::Go(id));
        }
    }

    /// The connection is no more: the peer comes back after a while.
    pub fn hostile_ended(&mut self, peer: u32, id: ConnId) {
        let hostile = self.hostile(peer);
        if hostile.conn != Some(id) {
            return;
        }
        hostile.conn = None;
        if let Some(conn) = self.conns.get(id) {
            conn.is_held = false;
        }
        if self.queue.now() < self.config.until {
            self.queue.after(HOSTILE_PAUSE, Event::Connect(peer));
        }
    }
}
