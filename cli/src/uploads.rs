//! The files that one connection sends: disk and digest on other threads, one chunk being written
//! while the next one arrives.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;
use unstick::message::{Code, Digest, FileDone, FileOpen, FileStatus};

use crate::inbox::{Inbox, Offer, Part, Refusal, Stored};

/// The bytes that are worth a write; fewer wait for more, but not for long.
const CHUNK: usize = 512 << 10;
/// The bytes that may wait for the disk before the connection is not read any further.
const ROOM: usize = 2 * CHUNK;
/// From so many bytes on a chunk is digested on one thread while it is written on another.
const PARALLEL: usize = 64 << 10;
/// The files that may wait for the disk, likewise.
const MOST: usize = 64;
/// How often, and how long after each try, an offer waits for an earlier connection of the same
/// sender to let go of the part.
const BUSY_TRIES: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The files of one connection that have no answer yet.
pub(crate) struct Uploads {
    /// Without one every file is refused.
    inbox: Option<Arc<Inbox>>,
    uploads: Vec<Upload>,
    jobs: JoinSet<(u32, Step)>,
    /// Outcomes that no job brings.
    decided: Vec<Outcome>,
}

/// What there is to say about a file.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// What is held of it.
    Ready {
        held: u64,
        digest: Digest,
    },
    /// It is on disk, under the name `to`.
    Stored {
        size: u64,
        digest: Digest,
        to: String,
    },
    /// Another file of that name is there.
    Exists(Option<(u64, Digest)>),
    Refused(Refusal),
}

impl Answer {
    /// What the sender is told.
    pub(crate) fn status(&self, id: u32) -> FileStatus<'static> {
        match *self {
            Self::Ready { held, digest } => FileStatus::ready(id, held, digest),
            Self::Stored { size, digest, .. } => {
                FileDone { id, total: size, digest }.answer(digest)
            }
            Self::Exists(there) => FileStatus::exists(id, there),
            Self::Refused(Refusal { code, kept, .. }) => {
                FileStatus::refused(id, code, kept, code.meaning())
            }
        }
    }
}

/// One file on its way to the disk. Its jobs run one after the other.
struct Upload {
    id: u32,
    name: String,
    /// Where the part is, and its digest so far; `None` while a job has them.
    part: Option<Part>,
    hasher: Option<Sha256>,
    /// What arrived and no job has yet; behind the part's beginning if `restart` says so.
    pending: Vec<u8>,
    restart: bool,
    done: Option<Done>,
    fate: Fate,
    /// Whether a job is at work.
    busy: bool,
    /// Tells a job that digests what is held that it is needless.
    begun: Arc<AtomicBool>,
}

/// What the sender says at the end.
#[derive(Clone, Copy)]
struct Done {
    total: u64,
    digest: Option<Digest>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes on.
    Wanted,
    /// The connection is over: what arrived is kept.
    Kept,
    /// It was given up: the part goes.
    Dropped,
}

/// What a job brings back.
enum Step {
    Offered(Result<Offer, Refusal>),
    Wrote {
        part: Part,
        hasher: Option<Sha256>,
        chunk: Arc<Vec<u8>>,
    },
    Hashed {
        hasher: Sha256,
        chunk: Arc<Vec<u8>>,
    },
    Failed(Refusal),
    Finished(Answer),
    /// The part is closed.
    Left,
}

impl Uploads {
    pub(crate) fn new(inbox: Option<Arc<Inbox>>) -> Self {
        Self { inbox, uploads: Vec::new(), jobs: JoinSet::new(), decided: Vec::new() }
    }

    /// Whether more data may be taken.
    pub(crate) fn has_room(&self) -> bool {
        let pending: usize = self.uploads.iter().map(|upload| upload.pending.len()).sum();
        pending < ROOM && self.uploads.len() < MOST
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.decided.is_empty()
    }

    /// A file is offered.
    pub(crate) fn open(&mut self, open: &FileOpen<'_>) {
        let FileOpen { id, key, size, name } = *open;
        let Some(inbox) = self.inbox_for(id, name) else { return };
        let upload = Upload::new(id, name);
        let (name, begun) = (name.to_owned(), Arc::clone(&upload.begun));
        self.uploads.push(upload);
        self.jobs.spawn(async move {
            let mut tries = BUSY_TRIES;
            loop {
                let (inbox, name, begun) = (Arc::clone(&inbox), name.clone(), Arc::clone(&begun));
                let offer = move || inbox.offer(&name, &key, size, &begun);
                match spawn_blocking(offer).await {
                    Ok(Err(refusal)) if refusal.code == Code::BUSY && tries > 0 => {
                        tries -= 1;
                        sleep(BUSY_PAUSE).await;
                    }
                    offered => {
                        return (
                            id,
                            Step::Offered(offered.unwrap_or_else(|error| Err(failure(error)))),
                        );
                    }
                }
            }
        });
    }

    /// A file is offered by a sender that has no key, and sends all of it in any case.
    pub(crate) fn open_once(&mut self, id: u32, name: &str, size: u64) {
        let Some(inbox) = self.inbox_for(id, name) else { return };
        self.uploads.push(Upload::new(id, name));
        let name = name.to_owned();
        let offer =
            move || inbox.offer_once(&name, size).map(|part| Offer::Part(part, Sha256::new()));
        self.jobs.spawn(async move {
            let offered = spawn_blocking(offer).await;
            (id, Step::Offered(offered.unwrap_or_else(|error| Err(failure(error)))))
        });
    }

    /// The inbox; without one the file is refused.
    fn inbox_for(&mut self, id: u32, name: &str) -> Option<Arc<Inbox>> {
        if self.inbox.is_none() {
            let answer = Answer::Refused(Refusal::new(Code::NOT_ACCEPTED));
            self.decided.push(Outcome { id, name: name.to_owned(), answer });
        }
        self.inbox.clone()
    }

    /// Bytes of an open file.
    pub(crate) fn data(&mut self, id: u32, offset: u64, bytes: &[u8]) {
        let max_file = self.inbox.as_ref().map_or(0, |inbox| inbox.max_file());
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.id == id) else { return };
        if upload.fate != Fate::Wanted {
            return;
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if end > max_file {
            let answer = Answer::Refused(Refusal::new(Code::TOO_LARGE));
            self.decided.push(Outcome { id, name: upload.name.clone(), answer });
            return self.drop_part(id);
        }
        if offset == 0 {
            upload.restart = true;
            upload.begun.store(true, Ordering::Relaxed);
        }
        upload.pending.extend_from_slice(bytes);
        if upload.pending.len() >= CHUNK {
            self.go_on(id);
        }
    }

    /// A file is complete. Without a digest it is taken as it is.
    pub(crate) fn done(&mut self, id: u32, total: u64, digest: Option<Digest>) {
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.id == id) else { return };
        upload.done = Some(Done { total, digest });
        if total == 0 {
            upload.restart = true;
        }
        self.go_on(id);
    }

    /// The name of a file that has no answer yet.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.uploads.iter().find(|upload| upload.id == id).map(|upload| upload.name.as_str())
    }

    /// A file was given up, or refused: what arrived is dropped.
    pub(crate) fn drop_part(&mut self, id: u32) {
        self.end(Fate::Dropped, |upload| upload.id == id);
    }

    /// Nothing more comes: of files that are not complete, what arrived is kept for a next try.
    pub(crate) fn keep_parts(&mut self) {
        self.end(Fate::Kept, |upload| upload.done.is_none());
    }

    /// Some time has passed: what waits for more goes to disk.
    pub(crate) fn flush(&mut self) {
        let waiting = self.uploads.iter().filter(|upload| !upload.pending.is_empty());
        for id in waiting.map(|upload| upload.id).collect::<Vec<_>>() {
            self.start(id);
        }
    }

    fn end(&mut self, fate: Fate, which: impl Fn(&Upload) -> bool) {
        let mut ids = Vec::new();
        for upload in self.uploads.iter_mut().filter(|upload| which(upload)) {
            if upload.fate == Fate::Wanted {
                upload.fate = fate;
                ids.push(upload.id);
            }
        }
        for id in ids {
            self.go_on(id);
        }
    }

    /// The next thing to say about a file; none if nothing is under way.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Outcome> {
        loop {
            if let Some(outcome) = self.decided.pop() {
                return Some(outcome);
            }
            let (id, step) = match self.jobs.join_next().await? {
                Ok(step) => step,
                // The program ends.
                Err(_) => continue,
            };
            if let Some(outcome) = self.take(id, step) {
                return Some(outcome);
            }
        }
    }

    /// Takes what a job brought, and starts the next one.
    fn take(&mut self, id: u32, step: Step) -> Option<Outcome> {
        let at = self.uploads.iter().position(|upload| upload.id == id)?;
        let upload = self.uploads.get_mut(at)?;
        let answer = match step {
            Step::Offered(Ok(Offer::Part(part, hasher))) => {
                upload.busy = false;
                let digest = Digest(hasher.clone().finalize().into());
                let answer = Answer::Ready { held: part.len(), digest };
                (upload.part, upload.hasher) = (Some(part), Some(hasher));
                Some(answer)
            }
            Step::Offered(Ok(Offer::Exists(there))) => Some(Answer::Exists(there)),
            Step::Offered(Err(refusal)) | Step::Failed(refusal) => Some(Answer::Refused(refusal)),
            Step::Wrote { part, hasher, chunk } => {
                upload.part = Some(part);
                upload.hasher = hasher.or(upload.hasher.take());
                upload.put_back(chunk);
                None
            }
            Step::Hashed { hasher, chunk } => {
                upload.hasher = Some(hasher);
                upload.put_back(chunk);
                None
            }
            Step::Finished(answer) => Some(answer),
            Step::Left => {
                self.uploads.remove(at);
                return None;
            }
        };
        let is_wanted = upload.fate == Fate::Wanted;
        let name = upload.name.clone();
        if answer.as_ref().is_none_or(|answer| matches!(answer, Answer::Ready { .. })) {
            self.go_on(id);
        } else {
            self.uploads.remove(at);
        }
        answer.filter(|_| is_wanted).map(|answer| Outcome { id, name, answer })
    }

    /// Starts what comes next for a file, if that is due.
    fn go_on(&mut self, id: u32) {
        let waits = |upload: &&Upload| {
            upload.id == id
                && upload.fate == Fate::Wanted
                && upload.done.is_none()
                && upload.pending.len() < CHUNK
        };
        if !self.uploads.iter().any(|upload| waits(&upload)) {
            self.start(id);
        }
    }

    /// Starts what comes next for a file, if nothing is under way for it.
    fn start(&mut self, id: u32) {
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.id == id) else { return };
        if upload.busy {
            return;
        }
        let (Some(part), Some(mut hasher)) = (upload.part.take(), upload.hasher.take()) else {
            return;
        };
        if upload.fate == Fate::Dropped {
            upload.busy = true;
            self.spawn(id, move || {
                part.remove();
                Step::Left
            });
        } else if upload.restart || !upload.pending.is_empty() {
            upload.busy = true;
            let restart = std::mem::take(&mut upload.restart);
            let chunk = Arc::new(std::mem::take(&mut upload.pending));
            if restart {
                hasher = Sha256::new();
            }
            if chunk.len() >= PARALLEL {
                let digested = Arc::clone(&chunk);
                self.spawn(id, move || {
                    hasher.update(digested.as_slice());
                    Step::Hashed { hasher, chunk: digested }
                });
                self.spawn(id, move || write(part, None, chunk, restart));
            } else {
                self.spawn(id, move || {
                    hasher.update(chunk.as_slice());
                    write(part, Some(hasher), chunk, restart)
                });
            }
        } else if let (Some(done), Some(inbox)) = (upload.done, self.inbox.clone()) {
            upload.busy = true;
            let name = upload.name.clone();
            self.spawn(id, move || {
                Step::Finished(finish(&inbox, part, &hasher.finalize().into(), &name, done))
            });
        } else if upload.fate == Fate::Kept {
            upload.busy = true;
            self.spawn(id, move || {
                drop(part);
                Step::Left
            });
        } else {
            (upload.part, upload.hasher) = (Some(part), Some(hasher));
        }
    }

    fn spawn(&mut self, id: u32, job: impl FnOnce() -> Step + Send + 'static) {
        self.jobs.spawn(async move {
            let step = spawn_blocking(job).await;
            (id, step.unwrap_or_else(|error| Step::Failed(failure(error))))
        });
    }
}

impl Upload {
    fn new(id: u32, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            part: None,
            hasher: None,
            pending: Vec::new(),
            restart: false,
            done: None,
            fate: Fate::Wanted,
            busy: true,
            begun: Arc::default(),
        }
    }

    /// A job is over. Once no other one uses its chunk, that has room for what comes next.
    fn put_back(&mut self, chunk: Arc<Vec<u8>>) {
        self.busy = self.part.is_none() || self.hasher.is_none();
        if let Some(mut chunk) = Arc::into_inner(chunk)
            && self.pending.is_empty()
        {
            chunk.clear();
            self.pending = chunk;
        }
    }
}

/// Appends a chunk, to a part that begins anew if `restart` says so.
fn write(mut part: Part, hasher: Option<Sha256>, chunk: Arc<Vec<u8>>, restart: bool) -> Step {
    let begun = if restart { part.restart() } else { Ok(()) };
    match begun.and_then(|()| part.write(&chunk)) {
        Ok(()) => Step::Wrote { part, hasher, chunk },
        Err(error) => Step::Failed(match Refusal::io(error, part.len()) {
            // The next try will not be shorter.
            refusal @ Refusal { code: Code::TOO_LARGE, .. } => {
                part.remove();
                Refusal { kept: 0, ..refusal }
            }
            refusal => refusal,
        }),
    }
}

/// Gives a whole file its name.
fn finish(inbox: &Inbox, part: Part, digest: &[u8; 32], name: &str, done: Done) -> Answer {
    let (size, digest) = (part.len(), Digest(*digest));
    if size != done.total {
        part.remove();
        return Answer::Refused(Refusal::new(Code::WRONG_TOTAL));
    }
    match inbox.store(part, name, digest, done.digest) {
        Ok(Stored::As(to)) => Answer::Stored { size, digest, to },
        Ok(Stored::Exists(there)) => Answer::Exists(there),
        Err(refusal) => Answer::Refused(refusal),
    }
}

/// A job ended without a word: it panicked, or the program ends.
fn failure(error: JoinError) -> Refusal {
    Refusal::io(io::Error::other(error), 0)
}
