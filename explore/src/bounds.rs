//! How far is explored: what two sides do, and what happens to them.

use crate::world::Left;

/// The limit of both sides, in payload bytes: the least with which files can be sent.
pub const LIMIT: u64 = 46;

/// When a sender begins with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sends {
    /// When ready has arrived: it resumes.
    AfterReady,
    /// With the open, at 0.
    AtOnce,
    /// Either.
    Either,
}

/// What is explored: all interleavings of all that this allows.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub name: &'static str,
    pub about: &'static str,
    /// The bytes of each file, for each side.
    pub files: [&'static [u8]; 2],
    pub sends: Sends,
    /// Whether an open has the size of its file, and a resume key.
    pub sized: bool,
    pub keyed: bool,
    /// Whether the disk takes its time: its answers are steps of their own.
    pub slow: bool,
    /// Whether the session is asked late for its own messages: in a step of its own.
    pub late: bool,
    /// Whether streams deliver single bytes, through the real buffer.
    pub bytes: bool,
    /// Whether the receivers are the library's `FileReceiver`.
    pub plain: bool,
    /// Whether a crash may lose the last bytes of a part.
    pub power: bool,
    /// How many frames a stream takes before its writer waits.
    pub room: Option<usize>,
    /// Whether a side that cannot write does not read either: against the rules.
    pub reads_wait: bool,
    /// The length of a part that is there from the beginning.
    pub leftover: u8,
    /// How many files without a status there are from the beginning.
    pub fillers: u32,
    pub left: Left,
}

const NOTHING: Left = Left {
    cuts: 0,
    crashes: [0; 2],
    cancels: [0; 2],
    closes: [0; 2],
    pings: [0; 2],
    ticks: [0; 2],
    changes: 0,
};

const PLAIN: Bound = Bound {
    name: "",
    about: "",
    files: [&[], &[]],
    sends: Sends::AfterReady,
    sized: true,
    keyed: true,
    slow: false,
    late: false,
    bytes: false,
    plain: false,
    power: false,
    room: None,
    reads_wait: false,
    leftover: 0,
    fillers: 0,
    left: NOTHING,
};

/// What the checks of every change explore.
pub const SMALL: &[Bound] = &[
    Bound {
        name: "retry",
        about: "a file of three chunks, resumed; a cut, and a crash of each side that loses bytes",
        files: [&[3], &[]],
        power: true,
        left: Left { cuts: 1, crashes: [1, 1], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "change",
        about: "two files, of which one changes at any time; a cut, a crash of each side",
        files: [&[3, 1], &[]],
        left: Left { cuts: 1, crashes: [1, 1], changes: 1, ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "either",
        about: "two files, resumed or sent at once; a slow disk, a cancel, a cut",
        files: [&[2, 1], &[]],
        sends: Sends::Either,
        slow: true,
        leftover: 1,
        left: Left { cuts: 1, cancels: [1, 0], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "closes",
        about: "a file each way; each side drains or closes early, a cut",
        files: [&[1], &[1]],
        sends: Sends::AtOnce,
        left: Left { cuts: 1, closes: [1, 1], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "pings",
        about: "a file, a ping each way, a tick; own messages late, a close",
        files: [&[1], &[]],
        late: true,
        slow: true,
        left: Left { pings: [1, 1], ticks: [0, 1], closes: [1, 0], cancels: [1, 0], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "bytes",
        about: "a file, each byte of the stream a step; a cut, a close",
        files: [&[1], &[]],
        bytes: true,
        left: Left { cuts: 1, closes: [1, 1], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "pipeline",
        about: "two files without waiting for ready, a slow disk, a crash of each side",
        files: [&[2, 1], &[]],
        sends: Sends::AtOnce,
        slow: true,
        left: Left { crashes: [1, 1], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "plain",
        about: "two files to a FileReceiver, without sizes and keys; a cancel, a cut, crashes",
        files: [&[2, 1], &[]],
        sends: Sends::AtOnce,
        sized: false,
        keyed: false,
        plain: true,
        left: Left { cuts: 1, crashes: [1, 1], cancels: [1, 0], changes: 1, ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "full",
        about: "63 files without a status, and two more",
        files: [&[1, 1], &[]],
        sends: Sends::AtOnce,
        slow: true,
        fillers: 63,
        ..PLAIN
    },
    Bound {
        name: "narrow",
        about: "two files each way, streams of one frame",
        files: [&[2, 1], &[2, 1]],
        sends: Sends::AtOnce,
        room: Some(1),
        ..PLAIN
    },
];

/// What is explored by hand.
pub const LARGE: &[Bound] = &[
    Bound {
        name: "all",
        about: "two files, resumed; slow disk, cut, crashes, cancel, closes, ping",
        files: [&[3, 1], &[]],
        slow: true,
        left: Left {
            cuts: 1,
            crashes: [1, 1],
            cancels: [1, 0],
            closes: [1, 1],
            pings: [1, 0],
            ..NOTHING
        },
        ..PLAIN
    },
    Bound {
        name: "at-once",
        about: "two files sent at once; slow disk, cut, crashes, cancel, closes",
        files: [&[1, 1], &[]],
        sends: Sends::AtOnce,
        slow: true,
        left: Left { cuts: 1, crashes: [1, 1], cancels: [1, 0], closes: [1, 1], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "changes",
        about: "two files, resumed or at once, that change; slow disk, cut, crashes, lost bytes",
        files: [&[3, 1], &[]],
        sends: Sends::Either,
        slow: true,
        power: true,
        left: Left { cuts: 1, crashes: [1, 1], changes: 1, cancels: [1, 0], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "both-ways",
        about: "a file each way; cut, a crash, cancels, closes",
        files: [&[1], &[1]],
        left: Left { cuts: 1, crashes: [0, 1], cancels: [1, 0], closes: [1, 1], ..NOTHING },
        ..PLAIN
    },
    Bound {
        name: "late",
        about: "a file, own messages late; pings, a tick, a cancel, closes, a cut",
        files: [&[2], &[]],
        late: true,
        slow: true,
        left: Left {
            cuts: 1,
            cancels: [1, 0],
            closes: [1, 1],
            pings: [1, 1],
            ticks: [0, 1],
            ..NOTHING
        },
        ..PLAIN
    },
];

/// What must break a law.
pub const CONTROL: &[Bound] = &[Bound {
    name: "lockstep",
    about: "a file each way, streams of one frame, and no side reads before it has written",
    files: [&[1], &[1]],
    sends: Sends::AtOnce,
    room: Some(1),
    reads_wait: true,
    ..PLAIN
}];
