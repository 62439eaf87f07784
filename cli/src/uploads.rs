//! The files that one connection sends: disk and digest on threads of their own, while more arrives.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use unstick_session::message::{Code, Digest, FileDone, FileOpen, FileStatus};

use crate::inbox::{Inbox, Offer, Part, Refusal, Stored};
use crate::lane::Lane;

/// The bytes that are worth a write; fewer wait for more, but not for long.
const CHUNK: usize = 512 << 10;
/// The bytes that may wait for the disk before the connection is not read any further.
const ROOM: usize = 3 * CHUNK;
/// The files that may wait for the disk, likewise.
const MOST: usize = 64;
/// The chunks whose memory is kept for others, and how large they are at least.
const SPARES: usize = 3;
const WORTH_KEEPING: usize = 64 << 10;
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
    pool: Arc<Pool>,
    /// Whether somebody waits for room.
    is_full: bool,
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

/// One file on its way to the disk.
struct Upload {
    id: u32,
    name: String,
    /// `None` until the inbox gave it a part, and while a last job has that.
    lanes: Option<Lanes>,
    /// What arrived and no lane has yet; behind the part's beginning if `restart` says so.
    pending: Vec<u8>,
    restart: bool,
    done: Option<Done>,
    fate: Fate,
    /// Tells a job that digests what is held that it is needless.
    begun: Arc<AtomicBool>,
}

/// Who writes and who digests what arrives of a file, each on a thread of its own.
struct Lanes {
    part: Lane<Part, Task>,
    hasher: Lane<Sha256, Task>,
}

#[derive(Clone)]
enum Task {
    /// What was there is not wanted.
    Restart,
    Append(Arc<Chunk>),
}

/// Bytes that wait for the disk. Once they are there, and digested, others have room.
struct Chunk {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

/// What the chunks of a connection share.
#[derive(Default)]
struct Pool {
    /// The bytes in all chunks.
    waiting: AtomicUsize,
    /// Says that there are fewer.
    fewer: Notify,
    /// Memory of chunks that are gone, for those to come.
    spares: Mutex<Vec<Vec<u8>>>,
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
    /// A lane has nothing to do.
    Idle,
    Failed(Refusal),
    Finished(Answer),
    /// The part is closed.
    Left,
}

impl Uploads {
    pub(crate) fn new(inbox: Option<Arc<Inbox>>) -> Self {
        Self {
            inbox,
            uploads: Vec::new(),
            jobs: JoinSet::new(),
            decided: Vec::new(),
            pool: Arc::default(),
            is_full: false,
        }
    }

    /// Whether more data may be taken. If not, [`next`](Self::next) ends when that changes.
    pub(crate) fn has_room(&mut self) -> bool {
        let pending: usize = self.uploads.iter().map(|upload| upload.pending.len()).sum();
        let waiting = self.pool.waiting.load(Ordering::Acquire);
        let has_room = pending.saturating_add(waiting) < ROOM && self.uploads.len() < MOST;
        self.is_full = !has_room;
        has_room
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
        self.spawn(id, move || {
            let part = inbox.offer_once(&name, size);
            Step::Offered(part.map(|part| Offer::Part(part, Sha256::new())))
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
        if upload.pending.capacity() == 0 {
            upload.pending = self.pool.spare();
        }
        upload.pending.extend_from_slice(bytes);
        self.go_on(id);
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
        for at in 0..self.uploads.len() {
            self.hand_over(at);
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

    /// The next thing to say about a file. `None` if there may be room now, or nothing is under way.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Outcome> {
        if let Some(outcome) = self.decided.pop() {
            return Some(outcome);
        }
        let joined = tokio::select! {
            joined = self.jobs.join_next() => joined?,
            () = self.pool.fewer.notified(), if self.is_full => return None,
        };
        let (id, step) = joined.ok()?; // else the program ends
        self.take(id, step)
    }

    /// The next thing to say about a file, once nothing more comes; `None` when all is said.
    pub(crate) async fn rest(&mut self) -> Option<Outcome> {
        while !self.is_empty() {
            if let Some(outcome) = self.next().await {
                return Some(outcome);
            }
        }
        None
    }

    /// Takes what a job brought, and goes on with that file.
    fn take(&mut self, id: u32, step: Step) -> Option<Outcome> {
        let at = self.uploads.iter().position(|upload| upload.id == id)?;
        let upload = self.uploads.get_mut(at)?;
        let answer = match step {
            Step::Offered(Ok(Offer::Part(part, hasher))) => {
                let digest = Digest(hasher.clone().finalize().into());
                let answer = Answer::Ready { held: part.len(), digest };
                upload.lanes = Some(Lanes { part: Lane::new(part), hasher: Lane::new(hasher) });
                Some(answer)
            }
            Step::Offered(Ok(Offer::Exists(there))) => Some(Answer::Exists(there)),
            Step::Offered(Err(refusal)) | Step::Failed(refusal) => Some(Answer::Refused(refusal)),
            Step::Idle => None,
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

    /// Does what comes next for a file, if that is due.
    fn go_on(&mut self, id: u32) {
        let Some(at) = self.uploads.iter().position(|upload| upload.id == id) else { return };
        let Some(upload) = self.uploads.get_mut(at) else { return };
        match (upload.fate, upload.done) {
            (Fate::Wanted, None) if upload.pending.len() >= CHUNK => self.hand_over(at),
            (Fate::Wanted, None) => {}
            (Fate::Wanted, Some(done)) => {
                let Some(inbox) = self.inbox.clone() else { return };
                let Some((part, hasher)) = upload.idle() else { return };
                let (name, tasks) = (upload.name.clone(), upload.tasks(&self.pool));
                self.spawn(id, move || finish(&inbox, (part, hasher), tasks, &name, done));
            }
            (Fate::Kept, _) if upload.restart || !upload.pending.is_empty() => self.hand_over(at),
            (Fate::Kept, _) => {
                let Some((part, _)) = upload.idle() else { return };
                self.spawn(id, move || {
                    drop(part);
                    Step::Left
                });
            }
            (Fate::Dropped, _) => {
                let Some((part, _)) = upload.idle() else { return };
                self.spawn(id, move || {
                    part.remove();
                    Step::Left
                });
            }
        }
    }

    /// Gives the lanes of the file at this place what arrived, if there are any.
    fn hand_over(&mut self, at: usize) {
        let Some(upload) = self.uploads.get_mut(at) else { return };
        if upload.lanes.is_none() {
            return;
        }
        let (id, tasks) = (upload.id, upload.tasks(&self.pool));
        let Some(lanes) = &upload.lanes else { return };
        let (mut hashing, mut writing) = (None, None);
        for task in tasks {
            hashing = hashing.or(lanes.hasher.give(task.clone()));
            writing = writing.or(lanes.part.give(task));
        }
        if let Some(hashing) = hashing {
            self.spawn(id, || {
                let Ok(()) = hashing.run(digest);
                Step::Idle
            });
        }
        if let Some(writing) = writing {
            self.spawn(id, || match writing.run(write) {
                Ok(()) => Step::Idle,
                Err((part, error)) => Step::Failed(unwritten(part, error)),
            });
        }
    }

    fn spawn(&mut self, id: u32, job: impl FnOnce() -> Step + Send + 'static) {
        self.jobs.spawn_blocking(move || {
            let step = catch_unwind(AssertUnwindSafe(job));
            (id, step.unwrap_or_else(|_panic| Step::Failed(failure("it panicked"))))
        });
    }
}

impl Upload {
    fn new(id: u32, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            lanes: None,
            pending: Vec::new(),
            restart: false,
            done: None,
            fate: Fate::Wanted,
            begun: Arc::default(),
        }
    }

    /// What its part and its digest have to do with what arrived.
    fn tasks(&mut self, pool: &Arc<Pool>) -> Vec<Task> {
        let mut tasks = Vec::new();
        if std::mem::take(&mut self.restart) {
            tasks.push(Task::Restart);
        }
        if !self.pending.is_empty() {
            let chunk = Chunk::new(std::mem::take(&mut self.pending), pool);
            tasks.push(Task::Append(Arc::new(chunk)));
        }
        tasks
    }

    /// The part and its digest, for a last job, if no lane has anything to do.
    fn idle(&mut self) -> Option<(Part, Sha256)> {
        let Lanes { part, hasher } =
            self.lanes.take_if(|lanes| lanes.part.is_idle() && lanes.hasher.is_idle())?;
        Some((part.into_worker()?, hasher.into_worker()?))
    }
}

impl Pool {
    fn spare(&self) -> Vec<u8> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

impl Chunk {
    fn new(bytes: Vec<u8>, pool: &Arc<Pool>) -> Self {
        pool.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        Self { bytes, pool: Arc::clone(pool) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Self { bytes, pool } = self;
        pool.waiting.fetch_sub(bytes.len(), Ordering::AcqRel);
        pool.fewer.notify_one();
        let mut spares = pool.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.capacity() >= WORTH_KEEPING && spares.len() < SPARES {
            bytes.clear();
            spares.push(std::mem::take(bytes));
        }
    }
}

fn digest(hasher: &mut Sha256, task: Task) -> Result<(), Infallible> {
    match task {
        Task::Restart => hasher.reset(),
        Task::Append(chunk) => hasher.update(&chunk.bytes),
    }
    Ok(())
}

fn write(part: &mut Part, task: Task) -> io::Result<()> {
    match task {
        Task::Restart => part.restart(),
        Task::Append(chunk) => {
            part.write(&chunk.bytes)?;
            if let Some(write_back) = part.write_back() {
                spawn_blocking(write_back);
            }
            Ok(())
        }
    }
}

/// What the sender is told of a part that could not be written.
fn unwritten(part: Part, error: io::Error) -> Refusal {
    match Refusal::io(error, part.len()) {
        // The next try will not be shorter.
        refusal @ Refusal { code: Code::TOO_LARGE, .. } => {
            part.remove();
            Refusal { kept: 0, ..refusal }
        }
        refusal => refusal,
    }
}

/// Adds what is left, and gives the whole file its name.
fn finish(
    inbox: &Inbox,
    (mut part, mut hasher): (Part, Sha256),
    tasks: Vec<Task>,
    name: &str,
    done: Done,
) -> Step {
    for task in tasks {
        let Ok(()) = digest(&mut hasher, task.clone());
        if let Err(error) = write(&mut part, task) {
            return Step::Failed(unwritten(part, error));
        }
    }
    let (size, digest) = (part.len(), Digest(hasher.finalize().into()));
    if size != done.total {
        part.remove();
        return Step::Failed(Refusal::new(Code::WRONG_TOTAL));
    }
    match inbox.store(part, name, digest, done.digest) {
        Ok(Stored::As(to)) => Step::Finished(Answer::Stored { size, digest, to }),
        Ok(Stored::Exists(there)) => Step::Finished(Answer::Exists(there)),
        Err(refusal) => Step::Failed(refusal),
    }
}

/// A job ended without a word: it panicked, or the program ends.
fn failure(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Refusal {
    Refusal::io(io::Error::other(error), 0)
}
