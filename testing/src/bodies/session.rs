//! Conversations: two sides that keep the rules, over a connection that is cut anywhere; and one
//! side against a peer that keeps none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use arbitrary::{Result, Unstructured};
use unstick::Kind;
use unstick_session::message::{
    Close, Code, Digest, FileAttributes, FileCancel, FileData, FileDone, FileOpen, FileStatus,
    Hello, Message, MessageError, ResumeKey,
};
use unstick_session::session::{Event, MAX_TRANSFERS, SendError, Session};

/// Moves files between two sides until the input is used up; then lets everything arrive.
pub fn session(data: &[u8]) {
    let u = &mut Unstructured::new(data);
    let _ = if u.arbitrary().unwrap_or(false) { honest(u) } else { hostile(u) };
}

// -------------------------------------------------------------------- two sides that keep the rules

/// A digest that tells runs of bytes apart as well as a test needs.
fn digest(bytes: &[u8]) -> Digest {
    let mut sum = 0xCBF2_9CE4_8422_2325_u64;
    for byte in bytes {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    }
    let mut digest = [0x5A; 32];
    digest[..8].copy_from_slice(&sum.to_be_bytes());
    digest[8..16].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
    Digest(digest)
}

/// A file that a side wants to send. Tried again until it is known what became of it.
#[derive(Clone, Debug)]
struct File {
    name: String,
    content: Vec<u8>,
    known_size: bool,
    resumes: bool,
    outcome: Option<Code>,
}

/// One side, with its disk.
#[derive(Debug)]
struct Side {
    session: Session,
    files: Vec<File>,
    /// Its transfers of this conversation, and the file of each.
    transfers: BTreeMap<u32, usize>,
    /// How much of the open file was sent; `None` while it waits for ready.
    sent: Option<usize>,
    /// What is kept, by name, and what is stored.
    parts: BTreeMap<String, Vec<u8>>,
    stored: BTreeMap<String, Vec<u8>>,
    /// The peer's open file, and those that are done, with what done said.
    receiving: Option<(u32, String)>,
    waiting: Vec<(FileDone, Vec<u8>, String)>,
    offered: bool,
    /// The final statuses that came in this conversation.
    answered: BTreeSet<u32>,
    texts_sent: u32,
    texts_heard: u32,
}

type Frames = VecDeque<(Kind, Vec<u8>)>;

impl Side {
    fn new(files: Vec<File>) -> Self {
        Self {
            session: Session::new(),
            files,
            transfers: BTreeMap::new(),
            sent: None,
            parts: BTreeMap::new(),
            stored: BTreeMap::new(),
            receiving: None,
            waiting: Vec::new(),
            offered: false,
            answered: BTreeSet::new(),
            texts_sent: 0,
            texts_heard: 0,
        }
    }

    /// A new connection: what is on disk stays.
    fn reconnect(&mut self) {
        let files = std::mem::take(&mut self.files);
        let parts = std::mem::take(&mut self.parts);
        let stored = std::mem::take(&mut self.stored);
        *self = Self { parts, stored, ..Self::new(files) };
    }

    fn send(&mut self, message: &Message<'_>, to: &mut Frames) {
        let encoded = self.session.send(message).unwrap();
        to.push_back((encoded.kind(), encoded.to_payload()));
    }

    fn transmit(&mut self, to: &mut Frames) -> bool {
        let Some(encoded) = self.session.poll_transmit() else { return false };
        to.push_back((encoded.kind(), encoded.to_payload()));
        true
    }

    /// The next step of sending files. Returns whether there was one.
    fn send_some(&mut self, len: usize, to: &mut Frames) -> bool {
        let Some(id) = self.session.open_transfer() else {
            let busy: BTreeSet<_> = self.transfers.values().collect();
            let next = (0..self.files.len())
                .find(|file| self.files[*file].outcome.is_none() && !busy.contains(file));
            let (Some(next), Ok(())) = (next, self.session.check_may_open()) else { return false };
            let id = self.session.next_transfer_id().unwrap();
            let file = self.files[next].clone();
            let size = file.known_size.then_some(file.content.len() as u64);
            let key = ResumeKey([3; 16]);
            self.send(&Message::FileOpen(FileOpen { id, key, size, name: &file.name }), to);
            self.transfers.insert(id, next);
            self.sent = (!file.resumes).then_some(0);
            return true;
        };
        if self.sent.is_none() && len == 6 {
            self.sent = Some(0); // no patience for ready
        }
        let Some(offset) = self.sent else { return false };
        let content = self.files[self.transfers[&id]].content.clone();
        let (offset, rest) = (offset as u64, &content[offset..]);
        if rest.is_empty() {
            let (total, digest) = (content.len() as u64, digest(&content));
            self.send(&Message::FileDone(FileDone { id, total, digest }), to);
        } else {
            let bytes = &rest[..rest.len().min(1 + len)];
            self.send(&Message::FileData(FileData { id, offset, bytes }), to);
            self.sent = Some(offset as usize + bytes.len());
        }
        true
    }

    /// The user loses patience.
    fn cancel(&mut self, to: &mut Frames) {
        if let Some(id) = self.session.open_transfer() {
            let cancel = FileCancel { id, code: Code::GIVEN_UP, reason: "" };
            self.send(&Message::FileCancel(cancel), to);
        }
    }

    /// A frame arrives. Nothing that a side does that keeps the rules is an error.
    fn hear(&mut self, (kind, payload): &(Kind, Vec<u8>)) {
        match self.session.handle_frame(*kind, payload).unwrap() {
            Event::Text(text) => {
                assert_eq!(text, self.texts_heard.to_string());
                self.texts_heard += 1;
            }
            Event::FileOpen(open) => {
                self.receiving = Some((open.id, open.name.to_owned()));
                self.offered = true;
            }
            Event::FileData(data) => {
                let (id, name) = self.receiving.clone().unwrap();
                assert_eq!(id, data.id);
                let part = self.parts.entry(name).or_default();
                if data.offset == 0 {
                    part.clear();
                }
                assert_eq!(part.len() as u64, data.offset);
                part.extend_from_slice(data.bytes);
                self.offered = false;
            }
            Event::FileDone(done) => {
                let (id, name) = self.receiving.take().unwrap();
                assert_eq!(id, done.id);
                let mut part = self.parts.remove(&name).unwrap_or_default();
                if done.total == 0 {
                    part.clear();
                }
                assert_eq!(part.len() as u64, done.total);
                self.waiting.push((done, part, name));
                self.offered = false;
            }
            Event::FileCancel(cancel) => {
                let (id, name) = self.receiving.take().unwrap();
                assert_eq!(id, cancel.id);
                self.parts.remove(&name);
                self.offered = false;
            }
            Event::FileReady(ready) => {
                let file = &self.files[self.transfers[&ready.id]];
                if self.sent.is_none() {
                    let own =
                        file.content.get(..ready.offset as usize).map_or(Digest::NONE, digest);
                    self.sent = Some(ready.begin_at(own) as usize);
                }
            }
            Event::FileEnd(status) => {
                assert!(self.answered.insert(status.id), "two final statuses: {status:?}");
                let file = self.transfers.remove(&status.id).unwrap();
                let is_there = status.is_there(digest(&self.files[file].content));
                let code = if is_there { Code::STORED } else { status.code };
                self.files[file].outcome = Some(code);
            }
            Event::Nothing | Event::FileWorking(_) | Event::Close(_) | Event::Pong(_) => {}
            event => panic!("{event:?}"),
        }
    }

    /// The disk answers something. Returns whether there was anything.
    fn answer(&mut self, pick: usize, to: &mut Frames) -> bool {
        if let (true, Some((id, name))) = (self.offered, self.receiving.clone()) {
            self.offered = false;
            let status = if let Some(there) = self.stored.get(&name) {
                self.receiving = None;
                FileStatus::exists(id, Some((there.len() as u64, digest(there))))
            } else {
                let part = self.parts.entry(name).or_default();
                FileStatus::ready(id, part.len() as u64, digest(part))
            };
            self.send(&Message::FileStatus(status), to);
            return true;
        }
        if self.waiting.is_empty() {
            return false;
        }
        let (done, part, name) = self.waiting.remove(pick % self.waiting.len());
        let status = done.answer(digest(&part));
        if status.code == Code::STORED {
            self.stored.insert(name, part);
        }
        self.send(&Message::FileStatus(status), to);
        true
    }
}

fn honest(u: &mut Unstructured<'_>) -> Result<()> {
    let mut files = |prefix: &str| -> Result<Vec<File>> {
        let count = u.arbitrary::<u8>()? % 80;
        (0..count)
            .map(|number| {
                let shape = u.arbitrary::<u8>()?;
                let content = vec![shape; usize::from(shape % 23)];
                let name = format!("{prefix}{number}");
                let (known_size, resumes) = (shape & 32 != 0, shape & 64 != 0);
                Ok(File { name, content, known_size, resumes, outcome: None })
            })
            .collect()
    };
    let mut sides = [Side::new(files("a")?), Side::new(files("b")?)];
    let mut ways = [Frames::new(), Frames::new()]; // from side 0, from side 1
    while !u.is_empty() {
        let op = u.arbitrary::<u8>()?;
        let (me, op, arg) = (usize::from(op & 1), op >> 1 & 15, usize::from(op >> 5));
        match op {
            0..=3 => drop(sides[me].send_some(arg, &mut ways[me])),
            4..=7 => {
                if let Some(frame) = ways[1 - me].pop_front() {
                    sides[me].hear(&frame);
                }
            }
            8..=9 => drop(sides[me].answer(arg, &mut ways[me])),
            10..=11 => drop(sides[me].transmit(&mut ways[me])),
            12 => sides[me].session.handle_tick(),
            13 => {
                let text = sides[me].texts_sent.to_string();
                sides[me].texts_sent += 1;
                sides[me].send(&Message::Text(&text), &mut ways[me]);
                match sides[me].session.send(&Message::Ping(text.as_bytes())) {
                    Ok(ping) => ways[me].push_back((ping.kind(), ping.to_payload())),
                    Err(error) => assert_eq!(error, SendError::TooManyPings),
                }
            }
            14 if arg == 0 => sides[me].cancel(&mut ways[me]),
            15 if arg == 0 => cut(&mut sides, &mut ways),
            _ => {}
        }
    }
    // Everything arrives, and every file has an outcome; a cancelled one too.
    settle(&mut sides, &mut ways);
    for me in 0..2 {
        let (side, peer) = (&sides[me], &sides[1 - me]);
        assert_eq!((side.session.unanswered(), side.session.owed()), (0, 0), "{side:?}");
        assert_eq!(side.texts_heard, peer.texts_sent);
        for file in &side.files {
            let stored = peer.stored.get(&file.name);
            match file.outcome {
                Some(Code::STORED) => assert_eq!(stored, Some(&file.content)),
                // It may have been stored by an earlier try whose answer was lost.
                Some(Code::CANCELLED) => assert!(stored.is_none_or(|there| *there == file.content)),
                outcome => panic!("{outcome:?} of {file:?}"),
            }
        }
    }
    for me in 0..2 {
        let close = Message::Close(Close::ORDINARY);
        sides[me].send(&close, &mut ways[me]);
        let frame = ways[me].pop_front().unwrap();
        sides[1 - me].hear(&frame);
    }
    assert!(sides.iter_mut().all(|side| side.session.handle_end().is_ok()));
    Ok(())
}

/// The connection breaks: what is on its way is lost.
fn cut(sides: &mut [Side; 2], ways: &mut [Frames; 2]) {
    for side in sides.iter_mut() {
        assert!(side.session.handle_end().is_err());
        // What was done is on disk, whether or not it could be told.
        while let Some((done, part, name)) = side.waiting.pop() {
            assert_eq!(done.answer(digest(&part)).code, Code::STORED);
            side.stored.insert(name, part);
        }
        side.reconnect();
    }
    ways.iter_mut().for_each(Frames::clear);
}

fn settle(sides: &mut [Side; 2], ways: &mut [Frames; 2]) {
    for _ in 0..100_000 {
        let mut moved = false;
        for me in 0..2 {
            moved |= sides[me].send_some(7, &mut ways[me]);
            moved |= sides[me].answer(0, &mut ways[me]);
            moved |= sides[me].transmit(&mut ways[me]);
            if let Some(frame) = ways[1 - me].pop_front() {
                sides[me].hear(&frame);
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
    panic!("no end: {sides:?}");
}

// ------------------------------------------------------------------- a peer that keeps no rule

/// What was opened, in one direction, and what was said about it.
#[derive(Debug, Default)]
struct Book {
    opened: BTreeSet<u32>,
    done: BTreeSet<u32>,
    ended: BTreeSet<u32>,
}

impl Book {
    fn status(&mut self, status: &FileStatus<'_>) {
        assert!(self.opened.contains(&status.id), "a status without an open: {status:?}");
        assert!(!self.ended.contains(&status.id), "a second final status: {status:?}");
        if status.code == Code::STORED {
            assert!(self.done.contains(&status.id), "stored before done: {status:?}");
        }
        if status.code.is_final() {
            self.ended.insert(status.id);
        }
    }

    fn unanswered(&self) -> usize {
        self.opened.len() - self.ended.len()
    }
}

fn hostile(u: &mut Unstructured<'_>) -> Result<()> {
    let own = Kind::new(0x41).unwrap();
    let mut session = Session::new().with_kind(own);
    // What the peer opened, and what this side opened.
    let (mut theirs, mut ours) = (Book::default(), Book::default());
    let mut limit = 65_536;
    while !u.is_empty() {
        match u.arbitrary::<u8>()? % 8 {
            0..=3 => {
                let (kind, payload) = any_frame(u)?;
                let before = session.clone();
                match session.handle_frame(kind, &payload) {
                    Ok(event) => {
                        check_event(&before, kind, &payload, &event);
                        match event {
                            Event::Hello(hello) => limit = hello.limit.into(),
                            Event::FileOpen(open) => assert!(theirs.opened.insert(open.id)),
                            Event::FileRefused { id, .. } => drop(theirs.opened.insert(id)),
                            Event::FileDone(done) => assert!(theirs.done.insert(done.id)),
                            Event::FileEnd(status) | Event::FileWorking(status) => {
                                ours.status(&status);
                            }
                            _ => {}
                        }
                        if session.is_peer_closed() {
                            // Its open file gets no status any more.
                            let gone = theirs.unanswered() - session.owed();
                            assert!(session.is_closed() || gone <= 1, "{gone}");
                        }
                    }
                    Err(error) => {
                        assert_eq!(session.error(), Some(error));
                        assert_eq!(session.handle_frame(kind, &payload), Err(error));
                        assert_eq!(session.handle_end(), Err(error));
                    }
                }
            }
            4..=5 => {
                let (kind, payload) = any_frame(u)?;
                let Ok(message) = Message::decode(kind, &payload) else { continue };
                let before = (session.owed(), session.unanswered(), session.is_closed());
                match session.send(&message) {
                    Ok(encoded) => {
                        assert!(encoded.payload_len() <= limit && !before.2);
                        match message {
                            Message::FileOpen(open) => assert!(ours.opened.insert(open.id)),
                            Message::FileDone(done) => assert!(ours.done.insert(done.id)),
                            Message::FileStatus(status) => theirs.status(&status),
                            _ => {}
                        }
                    }
                    Err(_) => {
                        let after = (session.owed(), session.unanswered(), session.is_closed());
                        assert_eq!(before, after);
                    }
                }
            }
            6 => {
                while let Some(encoded) = session.poll_transmit() {
                    assert!(encoded.payload_len() <= limit);
                    let payload = encoded.to_payload();
                    match Message::decode(encoded.kind(), &payload).unwrap() {
                        Message::FileStatus(status) => theirs.status(&status),
                        Message::Close(close) => assert_ne!(close.code, Code::NO_ERROR),
                        Message::Pong(_) => {}
                        message => panic!("{message:?}"),
                    }
                }
            }
            _ => session.handle_tick(),
        }
        assert!(session.owed() <= MAX_TRANSFERS && session.unanswered() <= MAX_TRANSFERS);
        assert_eq!(session.unanswered(), ours.unanswered());
        if session.error().is_none() && !session.is_peer_closed() && !session.is_closed() {
            assert_eq!(session.owed(), theirs.unanswered());
        }
    }
    Ok(())
}

/// What an event says is what the frame said.
fn check_event(before: &Session, kind: Kind, payload: &[u8], event: &Event<'_>) {
    assert!(before.error().is_none() && !before.is_peer_closed());
    let message = Message::decode(kind, payload);
    let expected = match (*event, message) {
        (Event::Nothing, _) => return,
        (Event::FileRefused { id, code }, Err(MessageError::Name { id: named, .. })) => {
            return assert_eq!((id, code), (named, Code::BAD_NAME));
        }
        (Event::FileRefused { id, .. }, Ok(message)) => {
            return match message {
                Message::FileOpen(FileOpen { id: named, .. })
                | Message::FileData(FileData { id: named, .. })
                | Message::FileDone(FileDone { id: named, .. }) => assert_eq!(id, named),
                message => panic!("{message:?}"),
            };
        }
        (Event::Hello(hello), _) => Message::Hello(hello),
        (Event::Text(text), _) => Message::Text(text),
        (Event::Binary(bytes), _) => Message::Binary(bytes),
        (Event::Application { kind, payload }, _) => Message::Other { kind, payload },
        (Event::Pong(payload), _) => Message::Pong(payload),
        (Event::Close(close), _) => Message::Close(close),
        (Event::FileOpen(open), _) => Message::FileOpen(open),
        (Event::FileData(data), _) => Message::FileData(data),
        (Event::FileDone(done), _) => Message::FileDone(done),
        (Event::FileCancel(cancel), _) => Message::FileCancel(cancel),
        (Event::FileAttributes(attributes), _) => Message::FileAttributes(attributes),
        (Event::FileReady(s) | Event::FileWorking(s) | Event::FileEnd(s), _) => {
            Message::FileStatus(s)
        }
        (event, _) => panic!("{event:?}"),
    };
    assert_eq!(message, Ok(expected));
}

/// A frame that is near the rules: small ids, small offsets, and now and then any bytes.
fn any_frame(u: &mut Unstructured<'_>) -> Result<(Kind, Vec<u8>)> {
    let (id, offset) = (u32::from(u.arbitrary::<u8>()? % 8), u64::from(u.arbitrary::<u8>()? % 8));
    let offset = if offset == 7 { u.arbitrary()? } else { offset };
    let pick = u.arbitrary::<u8>()?;
    let bytes = [pick; 3];
    let bytes = &bytes[..usize::from(pick % 4)];
    let digest = Digest([0; 32]);
    let codes = [
        Code::READY,
        Code::WORKING,
        Code::STORED,
        Code::EXISTS,
        Code::NO_SPACE,
        Code(u16::from(pick)),
        Code(0x0100 + u16::from(pick)),
    ];
    let code = codes[usize::from(pick) % codes.len()];
    let message = match u.arbitrary::<u8>()? % 16 {
        0 => Message::Hello(Hello { limit: u32::from(pick), name: "" }),
        1 => Message::Close(Close { code, reason: "" }),
        2 => Message::Ping(bytes),
        3 => Message::Pong(bytes),
        4 => {
            let kind = Kind::new(u.arbitrary::<u8>()?.max(1)).unwrap();
            let len = usize::from(u.arbitrary::<u8>()?).min(u.len());
            return Ok((kind, u.bytes(len)?.to_vec()));
        }
        5..=7 => {
            let size = (pick & 1 == 0).then_some(u64::from(pick >> 1 & 7));
            let name = if pick == 255 { ".." } else { "a" };
            let key = ResumeKey([u8::from(pick & 64 != 0); 16]);
            let open = FileOpen { id, key, size, name: "aa" };
            let mut payload = Message::FileOpen(open).encode().unwrap().to_payload();
            payload.truncate(28);
            payload.extend_from_slice(name.as_bytes());
            return Ok((Kind::FILE_OPEN, payload));
        }
        8..=10 if !bytes.is_empty() => Message::FileData(FileData { id, offset, bytes }),
        8..=11 => Message::FileDone(FileDone { id, total: offset, digest }),
        12 if pick & 1 == 0 => Message::FileCancel(FileCancel { id, code, reason: "" }),
        12 => {
            let is_executable = pick & 2 != 0;
            Message::FileAttributes(FileAttributes { id, modified: None, is_executable })
        }
        _ => Message::FileStatus(FileStatus { id, code, offset, digest, reason: "" }),
    };
    let encoded = message.encode().unwrap();
    Ok((encoded.kind(), encoded.to_payload()))
}
