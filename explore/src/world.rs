//! The state that is explored: two sides, the two streams between them, their disks, and what may
//! still go wrong.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use unstick::Kind;
use unstick_session::message::{Code, Digest};
use unstick_session::session::{FileReceiver, Session};

use crate::bounds::Bound;
use crate::laws::Law;
use crate::plain::{Begin, Held};

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub sides: [Hashed<Side>; 2],
    /// The streams, each named by its writer.
    pub lines: [Line; 2],
    pub disks: [Disk; 2],
    /// The versions of the files that the sides send.
    pub versions: [Vec<u8>; 2],
    pub left: Left,
    /// The law that the last step broke. No step follows.
    pub broken: Option<Law>,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    pub cuts: u8,
    pub crashes: [u8; 2],
    pub cancels: [u8; 2],
    pub closes: [u8; 2],
    pub pings: [u8; 2],
    pub ticks: [u8; 2],
    pub changes: u8,
}

/// One side: a session, and the application around it. All of it is lost in a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Side {
    pub session: Session,
    /// Whether it has a connection, as far as it knows.
    pub is_up: bool,
    /// Whether it closes as soon as no transfer prevents it.
    pub wants_close: bool,
    /// Whether its close was sent, and the peer's close and end were received.
    pub has_closed: bool,
    pub saw_close: bool,
    pub saw_end: bool,
    /// The payload of the ping that waits for its pong.
    pub ping: Option<u8>,
    pub jobs: Vec<Job>,
    pub incoming: Vec<Incoming>,
    pub plain: Option<FileReceiver<Held, Begin>>,
    /// What an observer of the frames counts: own transfers without a final status, those with
    /// one, and the same of the peer's.
    pub asked: Vec<u32>,
    pub answered: Vec<u32>,
    pub owes: Vec<(u32, Debt)>,
    pub paid: Vec<u32>,
}

/// A file to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    pub phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Todo,
    /// Not in this conversation.
    Later,
    /// Opened, and waits for ready.
    Waits {
        id: u32,
        version: u8,
    },
    /// What was sent, or skipped because the receiver holds it.
    Sends {
        id: u32,
        version: u8,
        sent: Vec<u8>,
    },
    Done {
        id: u32,
        sent: Vec<u8>,
    },
    Cancelled {
        id: u32,
    },
    Over(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Stored,
    Exists,
    Cancelled,
    Refused(Code),
}

/// A file that is being received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incoming {
    pub id: u32,
    pub file: u8,
    pub size: Option<u64>,
    /// Whether ready, or exists, is still to be sent.
    pub is_unanswered: bool,
    pub has_data: bool,
    pub done: Option<(u64, Digest)>,
}

/// What an observer knows of a transfer whose final status is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Debt {
    Open,
    Done,
    Refused,
}

/// One direction of the connection, or of none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    pub items: Vec<Item>,
    /// The number of bytes of the first item that have arrived.
    pub arrived: u8,
    /// Whether what is written from now on goes nowhere.
    pub is_cut: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    Frame(Arc<Frame>),
    /// The end of the stream, perhaps inside a frame.
    End,
    /// A failure of the transport.
    Failure,
}

#[derive(PartialEq, Eq, Hash)]
pub struct Frame {
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// What survives a crash: files under their names, and parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    pub files: [Option<Vec<u8>>; 3],
    pub parts: [Option<Vec<u8>>; 3],
}

impl World {
    pub fn new(bound: &Bound) -> Self {
        let side = |me: usize| Side::new(bound, me);
        let mut world = Self {
            sides: [Hashed::new(side(0)), Hashed::new(side(1))],
            lines: Default::default(),
            disks: Default::default(),
            versions: bound.files.map(|files| vec![0; files.len()]),
            left: bound.left,
            broken: None,
        };
        if bound.leftover > 0 {
            // What an earlier connection has left behind.
            let part = source(0, 0, bound.files[0][0])[..usize::from(bound.leftover)].to_vec();
            world.disks[1].parts[0] = Some(part);
        }
        world
    }
}

impl Side {
    /// A program that has just started.
    pub fn new(bound: &Bound, me: usize) -> Self {
        let jobs = bound.files[me].iter().map(|_| Job { phase: Phase::Todo }).collect();
        Self {
            session: Session::new(),
            is_up: false,
            wants_close: false,
            has_closed: false,
            saw_close: false,
            saw_end: false,
            ping: None,
            jobs,
            incoming: Vec::new(),
            plain: None,
            asked: Vec::new(),
            answered: Vec::new(),
            owes: Vec::new(),
            paid: Vec::new(),
        }
    }

    /// Returns whether some file has no outcome yet.
    pub fn has_jobs(&self) -> bool {
        self.jobs.iter().any(|job| !matches!(job.phase, Phase::Over(_)))
    }
}

/// The contents of a file in a version. Versions share their first byte, if there is more than one.
pub fn source(file: usize, version: u8, chunks: u8) -> Vec<u8> {
    let first = 1 + 8 * u8::try_from(file).unwrap_or(0);
    match (version, chunks) {
        (0, _) => vec![first; usize::from(chunks)],
        (_, 0 | 1) => vec![first + 1],
        _ => vec![first, first + 1],
    }
}

/// A digest that no two contents share: the contents.
pub fn digest(bytes: &[u8]) -> Digest {
    if bytes.is_empty() {
        return Digest::OF_NOTHING;
    }
    let mut digest = [0; 32];
    digest[0] = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    digest[1..=bytes.len()].copy_from_slice(bytes);
    Digest(digest)
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use unstick_session::message::Message;
        match Message::decode(self.kind, &self.payload) {
            Ok(Message::FileStatus(status)) => {
                write!(f, "{} {} {}", status.code, status.id, status.offset)
            }
            Ok(Message::FileOpen(open)) => write!(f, "open {} {:?}", open.id, open.name),
            Ok(Message::FileData(data)) => {
                write!(f, "data {} at {}: {:?}", data.id, data.offset, data.bytes)
            }
            Ok(Message::FileDone(done)) => write!(f, "done {} {}", done.id, done.total),
            _ => write!(f, "{} {:02x?}", self.kind, self.payload),
        }
    }
}

/// A value with its hash, which is computed once, and shared by the states that have it.
#[derive(Clone)]
pub struct Hashed<T> {
    hash: u64,
    value: Arc<T>,
}

impl<T: Hash> Hashed<T> {
    pub fn new(value: T) -> Self {
        let mut hasher = Fold(0);
        value.hash(&mut hasher);
        Self { hash: hasher.finish(), value: Arc::new(value) }
    }
}

impl<T> std::ops::Deref for Hashed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Hash for Hashed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<T: PartialEq> PartialEq for Hashed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.value == other.value
    }
}

impl<T: Eq> Eq for Hashed<T> {}

impl<T: fmt::Debug> fmt::Debug for Hashed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// A quick hash: a multiplication for each number, of which both halves are used.
struct Fold(u64);

impl Fold {
    fn add(&mut self, n: u64) {
        let product = u128::from(self.0 ^ n ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(29);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        let mut last = Self(self.0);
        last.add(0x5851_F42D_4C95_7F2D);
        last.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.add(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.add(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.add(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }
}
