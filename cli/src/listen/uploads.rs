//! The uploads of one connection. Writing and digesting run on other threads while more data
//! arrives.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use unstick_session::message::{
    Code, Digest, FileAttributes, FileDone, FileOpen, FileStatus, ResumeKey,
};

use crate::inbox::{Inbox, MIN_PROGRESS, Needless, Offer, Part, Refusal, STALLED};
use crate::listen::lane::Lane;
use crate::listen::places::Active;
use crate::listen::pool::{Chunk, Pool, spare};
use crate::listen::rate::Progress;
use crate::listen::rules::Rules;
use crate::listen::shares::{Share, Shares};
use crate::listen::upload_jobs::{digest, failure, finish, in_turn, place, unwritten, write};

/// The minimum number of bytes per write. Fewer are kept until more arrive, or until the next
/// [`flush`](Uploads::flush).
const CHUNK: usize = 512 << 10;
/// The maximum number of bytes that wait for the disk. While there are more, the connection is not
/// read.
const MAX_WAITING_BYTES: usize = 3 * CHUNK;
/// The maximum number of files that wait for the disk, likewise.
const MAX_WAITING_FILES: usize = 64;
/// How often, and after which pause, an offer is retried while an earlier connection of the same
/// sender still holds the part.
const BUSY_TRIES: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The files of one connection that have no final answer yet.
pub(crate) struct Uploads {
    /// Without an inbox every file is refused.
    inbox: Option<Arc<Inbox>>,
    active: Active,
    /// The files that all connections may have open at the same time.
    places: Arc<Shares>,
    uploads: Vec<Upload>,
    jobs: JoinSet<(u32, Step)>,
    /// Outcomes that need no job.
    decided: Vec<Outcome>,
    pool: Arc<Pool>,
    /// One digest at a time.
    digesting: Arc<Semaphore>,
    /// The files of all connections that are digested at the same time, and their other jobs.
    digests: Arc<Shares>,
    disk: Arc<Shares>,
    /// Whether the caller waits until fewer bytes or files are waiting.
    is_full: bool,
}

/// An answer about a file, for its sender and the log.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// The file is accepted; `held` bytes of it are here already.
    Ready {
        held: u64,
        digest: Digest,
    },
    /// The file is on disk, under the name `to`.
    Stored {
        size: u64,
        digest: Digest,
        to: String,
    },
    /// A file of that name exists; its size and digest if the size is the one announced.
    Exists(Option<(u64, Digest)>),
    Refused(Refusal),
}

impl Answer {
    /// Returns the status that is sent to the sender.
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

/// The state of one upload.
struct Upload {
    id: u32,
    name: String,
    /// `None` until the inbox has opened a part, and while a last job owns it.
    lanes: Option<Lanes>,
    /// One of the files that may be open, from before the part is opened until it is closed.
    place: Option<Share>,
    /// The received bytes that are not in a lane yet. If `restart` is set, they replace what the
    /// part holds; otherwise they follow it.
    pending: Vec<u8>,
    restart: bool,
    /// The bytes that its sender may know to be here.
    held: u64,
    /// How it goes on; not before its sender was told to.
    progress: Option<Progress>,
    done: Option<Done>,
    attributes: Option<FileAttributes>,
    /// Whether its part is kept for a retry.
    is_resumable: bool,
    disposition: Disposition,
    /// Set when a digest for the answer to the offer is not needed any more.
    needless: Arc<Needless>,
}

/// The lanes that write and digest the data of a file, each on its own thread.
struct Lanes {
    part: Lane<Part, Task>,
    hasher: Lane<Sha256, Task>,
}

#[derive(Clone)]
pub(super) enum Task {
    /// Discard what is there.
    Restart,
    Append(Arc<Chunk>),
}

/// The sender's `file-done`.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) total: u64,
    pub(super) digest: Option<Digest>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Disposition {
    /// The upload continues.
    Wanted,
    /// The connection is over: the part is kept.
    Kept,
    /// The upload was cancelled or refused: the part is removed.
    Dropped,
}

/// The result of a job.
pub(super) enum Step {
    Offered(Result<(Offer, Share), Refusal>),
    /// A lane has run out of tasks.
    Idle,
    Failed(Refusal),
    Finished(Answer),
    /// The part is closed or removed, without an answer.
    Closed,
}

impl Uploads {
    pub(crate) fn new(rules: &Rules, active: Active) -> Self {
        Self {
            inbox: rules.inbox.clone(),
            active,
            places: Arc::clone(&rules.open_files),
            digests: Arc::clone(&rules.digests),
            disk: Arc::clone(&rules.disk),
            uploads: Vec::new(),
            jobs: JoinSet::new(),
            decided: Vec::new(),
            pool: Arc::default(),
            digesting: Arc::new(Semaphore::new(1)),
            is_full: false,
        }
    }

    /// Returns whether more data is accepted. If not, [`next`](Self::next) returns when that
    /// changes.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room =
            self.held_len() < MAX_WAITING_BYTES && self.uploads.len() < MAX_WAITING_FILES;
        self.is_full = !has_room;
        has_room
    }

    /// Returns the number of bytes that wait for the disk.
    pub(crate) fn held_len(&self) -> usize {
        let pending: usize = self.uploads.iter().map(|upload| upload.pending.len()).sum();
        pending.saturating_add(self.pool.waiting())
    }

    /// Returns whether the peer has to send more of a file. It need not before it was told to go on.
    pub(crate) fn awaits_data(&self) -> bool {
        let mut told = self.uploads.iter().filter(|upload| upload.progress.is_some());
        told.any(|upload| upload.done.is_none() && upload.disposition == Disposition::Wanted)
    }

    /// Returns whether no job is running and no outcome is waiting.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.decided.is_empty()
    }

    /// Handles the offer of a file.
    pub(crate) fn open(&mut self, open: &FileOpen<'_>) {
        let FileOpen { id, key, size, name } = *open;
        let Some(inbox) = self.inbox_for(id, name) else { return };
        let mut upload = Upload::new(id, name);
        upload.is_resumable = key != ResumeKey::NONE;
        let (name, needless) = (name.to_owned(), Arc::clone(&upload.needless));
        self.uploads.push(upload);
        let (digesting, digests) = (Arc::clone(&self.digesting), Arc::clone(&self.digests));
        let disk = Arc::clone(&self.disk);
        let (places, network) = (Arc::clone(&self.places), self.active.network());
        self.jobs.spawn(async move {
            let place = match place(&places, network, &needless).await {
                Ok(place) => place,
                Err(refusal) => return (id, Step::Offered(Err(refusal))),
            };
            let mut tries = BUSY_TRIES;
            loop {
                let (inbox, name) = (Arc::clone(&inbox), name.clone());
                let shared = Arc::clone(&inbox);
                let offer = move || inbox.offer(&name, &key, size);
                match in_turn(&disk, network, offer).await {
                    Ok(Err(refusal)) if refusal.code == Code::BUSY && tries > 0 => {
                        tries -= 1;
                        sleep(BUSY_PAUSE).await;
                    }
                    Ok(Ok(Offer::Undigested(undigested))) => {
                        // One for each connection, and a few in all, in turn of the addresses.
                        let _own = digesting.acquire().await;
                        let _one = digests.get(network, 1).await;
                        let digest = move || shared.digest(undigested, &needless);
                        let offered = spawn_blocking(digest).await;
                        let offered = offered.unwrap_or_else(|error| Err(failure(error)));
                        return (id, Step::Offered(offered.map(|offer| (offer, place))));
                    }
                    offered => {
                        let offered = offered.unwrap_or_else(|error| Err(failure(error)));
                        return (id, Step::Offered(offered.map(|offer| (offer, place))));
                    }
                }
            }
        });
    }

    /// Handles the offer of a file by a sender without a resume key, which sends all of it in any
    /// case.
    pub(crate) fn open_once(&mut self, id: u32, name: &str, size: u64) {
        let Some(inbox) = self.inbox_for(id, name) else { return };
        let upload = Upload::new(id, name);
        let (name, needless) = (name.to_owned(), Arc::clone(&upload.needless));
        self.uploads.push(upload);
        let (places, network) = (Arc::clone(&self.places), self.active.network());
        let disk = Arc::clone(&self.disk);
        self.jobs.spawn(async move {
            let offered = match place(&places, network, &needless).await {
                Ok(place) => {
                    let offer = move || inbox.offer_once(&name, size);
                    let part = in_turn(&disk, network, offer).await;
                    let part = part.unwrap_or_else(|error| Err(failure(error)));
                    part.map(|part| (Offer::Part(part, Sha256::new()), place))
                }
                Err(refusal) => Err(refusal),
            };
            (id, Step::Offered(offered))
        });
    }

    /// Returns the inbox. Without one, queues a refusal of the file.
    fn inbox_for(&mut self, id: u32, name: &str) -> Option<Arc<Inbox>> {
        if self.inbox.is_none() {
            let answer = Answer::Refused(Refusal::new(Code::NOT_ACCEPTED));
            self.decided.push(Outcome { id, name: name.to_owned(), answer });
        }
        self.inbox.clone()
    }

    /// Handles data of an open file.
    pub(crate) fn data(&mut self, id: u32, offset: u64, bytes: &[u8]) {
        let max_file = self.inbox.as_ref().map_or(0, |inbox| inbox.max_file());
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.id == id) else { return };
        if upload.disposition != Disposition::Wanted {
            return;
        }
        let end = offset.saturating_add(bytes.len() as u64);
        if end > max_file {
            let answer = Answer::Refused(Refusal::new(Code::TOO_LARGE));
            self.decided.push(Outcome { id, name: upload.name.clone(), answer });
            return self.drop_part(id);
        }
        if !bytes.is_empty() {
            self.active.touch();
            upload.held = end;
            upload.progress.get_or_insert_with(Progress::begin).add(bytes.len() as u64);
        }
        if offset == 0 {
            upload.restart = true;
            upload.needless.begun.store(true, Ordering::Relaxed);
        }
        if upload.pending.capacity() == 0 {
            upload.pending = spare();
        }
        upload.pending.extend_from_slice(bytes);
        self.advance(id);
    }

    /// Handles the attributes of an open file; the last ones count.
    pub(crate) fn attributes(&mut self, attributes: FileAttributes) {
        let id = attributes.id;
        if let Some(upload) = self.uploads.iter_mut().find(|upload| upload.id == id) {
            upload.attributes = Some(attributes);
        }
    }

    /// Handles the end of a file. Without a digest the content is not verified.
    pub(crate) fn done(&mut self, id: u32, total: u64, digest: Option<Digest>) {
        let Some(upload) = self.uploads.iter_mut().find(|upload| upload.id == id) else { return };
        upload.done = Some(Done { total, digest });
        if total == 0 {
            upload.restart = true;
        }
        self.advance(id);
    }

    /// Returns the name of a file that has no final answer yet.
    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.uploads.iter().find(|upload| upload.id == id).map(|upload| upload.name.as_str())
    }

    /// Counts bytes of the file that is being received, whose frame is not complete.
    pub(crate) fn arrives(&mut self, bytes: u64) {
        self.open_progress().for_each(|progress| progress.add(bytes));
    }

    /// Notes that the peer could send nothing of a file.
    pub(crate) fn could_not_arrive(&mut self) {
        self.open_progress().for_each(Progress::wait);
    }

    fn open_progress(&mut self) -> impl Iterator<Item = &mut Progress> {
        let open = self.uploads.iter_mut().filter(|upload| upload.done.is_none());
        open.filter_map(|upload| upload.progress.as_mut())
    }

    /// Refuses the files of which hardly a byte has come for a while, if others wait for the room of their
    /// parts.
    pub(crate) fn refuse_stalled(&mut self) {
        let wants_room = self.inbox.as_ref().is_some_and(|inbox| inbox.is_room_wanted());
        if !wants_room && !self.places.is_awaited() {
            return;
        }
        let stalled: Vec<_> = (self.uploads.iter())
            .filter(|upload| upload.progress.as_ref().is_some_and(Progress::is_stalled))
            .map(|upload| (upload.id, upload.held))
            .collect();
        for (id, held) in stalled {
            let why = format!(
                "fewer than {MIN_PROGRESS} bytes came in {STALLED:?}, and other files need the room"
            );
            self.refuse_late(id, held, Some(io::Error::other(why)));
        }
    }

    /// Refuses a file whose sender was told to go on and does not. What is held of it stays for a retry.
    pub(crate) fn refuse_late(&mut self, id: u32, held: u64, cause: Option<io::Error>) {
        let is_wanted = |upload: &&Upload| {
            upload.id == id && upload.disposition == Disposition::Wanted && upload.done.is_none()
        };
        let Some(upload) = self.uploads.iter().find(is_wanted) else { return };
        let (disposition, kept) =
            if upload.is_resumable { (Disposition::Kept, held) } else { (Disposition::Dropped, 0) };
        let refusal = Refusal { kept, cause, ..Refusal::new(Code::TOO_SLOW) };
        let name = upload.name.clone();
        self.decided.push(Outcome { id, name, answer: Answer::Refused(refusal) });
        self.set_disposition(disposition, |upload| upload.id == id);
    }

    /// Removes the part of a file that was cancelled or refused.
    pub(crate) fn drop_part(&mut self, id: u32) {
        self.set_disposition(Disposition::Dropped, |upload| upload.id == id);
    }

    /// Ends the incomplete uploads of a connection that is over, and keeps their parts for a retry.
    pub(crate) fn keep_parts(&mut self) {
        let is_open = |upload: &Upload| upload.done.is_none();
        self.set_disposition(Disposition::Kept, |upload| is_open(upload) && upload.is_resumable);
        self.set_disposition(Disposition::Dropped, is_open);
    }

    /// Hands data that waits for more to the disk. Called after some time has passed.
    pub(crate) fn flush(&mut self) {
        for at in 0..self.uploads.len() {
            self.hand_over(at);
        }
    }

    fn set_disposition(&mut self, disposition: Disposition, which: impl Fn(&Upload) -> bool) {
        let mut ids = Vec::new();
        for upload in self.uploads.iter_mut().filter(|upload| which(upload)) {
            if upload.disposition == Disposition::Wanted {
                upload.disposition = disposition;
                upload.needless.unwanted.store(true, Ordering::Relaxed);
                ids.push(upload.id);
            }
        }
        for id in ids {
            self.advance(id);
        }
    }

    /// Waits for the next outcome. Returns `None` if more data may be accepted now, or if no job is
    /// running.
    ///
    /// # Cancel safety
    /// Dropping the future loses no outcome.
    pub(crate) async fn next(&mut self) -> Option<Outcome> {
        if let Some(outcome) = self.decided.pop() {
            return Some(outcome);
        }
        let joined = tokio::select! {
            joined = self.jobs.join_next() => joined?,
            () = self.pool.fewer(), if self.is_full => return None,
        };
        let (id, step) = joined.ok()?; // an error only at the end of the program
        self.finish_job(id, step)
    }

    /// Waits for the next outcome when no more data comes; `None` after the last.
    pub(crate) async fn next_until_done(&mut self) -> Option<Outcome> {
        while !self.is_empty() {
            if let Some(outcome) = self.next().await {
                return Some(outcome);
            }
        }
        None
    }

    /// Handles the result of a job, and starts the next job of that file.
    fn finish_job(&mut self, id: u32, step: Step) -> Option<Outcome> {
        let at = self.uploads.iter().position(|upload| upload.id == id)?;
        let upload = self.uploads.get_mut(at)?;
        let answer = match step {
            Step::Offered(Ok((Offer::Part(part, hasher), place))) => {
                upload.place = Some(place);
                let digest = Digest(hasher.clone().finalize().into());
                let answer = Answer::Ready { held: part.len(), digest };
                if upload.progress.is_none() {
                    (upload.held, upload.progress) = (part.len(), Some(Progress::begin()));
                }
                upload.lanes = Some(Lanes { part: Lane::new(part), hasher: Lane::new(hasher) });
                Some(answer)
            }
            Step::Offered(Ok((Offer::Exists(there), _))) => Some(Answer::Exists(there)),
            // It is digested by the job.
            Step::Offered(Ok((Offer::Undigested(_), _))) => return None,
            Step::Offered(Err(refusal)) | Step::Failed(refusal) => Some(Answer::Refused(refusal)),
            Step::Idle => None,
            Step::Finished(answer) => Some(answer),
            Step::Closed => {
                self.uploads.remove(at);
                return None;
            }
        };
        let is_wanted = upload.disposition == Disposition::Wanted;
        let name = upload.name.clone();
        if answer.as_ref().is_none_or(|answer| matches!(answer, Answer::Ready { .. })) {
            self.advance(id);
        } else {
            self.uploads.remove(at);
        }
        answer.filter(|_| is_wanted).map(|answer| Outcome { id, name, answer })
    }

    /// Starts the next job of a file, if it is ready for one.
    fn advance(&mut self, id: u32) {
        let Some(at) = self.uploads.iter().position(|upload| upload.id == id) else { return };
        let Some(upload) = self.uploads.get_mut(at) else { return };
        match (upload.disposition, upload.done) {
            (Disposition::Wanted, None) if upload.pending.len() >= CHUNK => self.hand_over(at),
            (Disposition::Wanted, None) => {}
            (Disposition::Wanted, Some(done)) => {
                let Some(inbox) = self.inbox.clone() else { return };
                let Some((part, hasher)) = upload.take_idle() else { return };
                let (name, tasks) = (upload.name.clone(), upload.tasks(&self.pool));
                let about = (name, upload.attributes);
                self.spawn(id, move || finish(&inbox, (part, hasher), tasks, &about, done));
            }
            (Disposition::Kept, _) if upload.restart || !upload.pending.is_empty() => {
                self.hand_over(at)
            }
            (Disposition::Kept, _) => {
                let Some((part, _)) = upload.take_idle() else { return };
                self.spawn(id, move || {
                    drop(part);
                    Step::Closed
                });
            }
            (Disposition::Dropped, _) => {
                let Some((part, _)) = upload.take_idle() else { return };
                self.spawn(id, move || {
                    part.remove();
                    Step::Closed
                });
            }
        }
    }

    /// Passes the received data to the lanes of the upload at this index, if it has lanes.
    fn hand_over(&mut self, at: usize) {
        let Some(upload) = self.uploads.get_mut(at) else { return };
        if upload.lanes.is_none() {
            return;
        }
        let (id, tasks) = (upload.id, upload.tasks(&self.pool));
        let Some(lanes) = &upload.lanes else { return };
        let (mut hashing, mut writing) = (None, None);
        for task in tasks {
            hashing = hashing.or(lanes.hasher.push(task.clone()));
            writing = writing.or(lanes.part.push(task));
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
        let (disk, network) = (Arc::clone(&self.disk), self.active.network());
        self.jobs.spawn(async move {
            let step = in_turn(&disk, network, job).await;
            (id, step.unwrap_or_else(|error| Step::Failed(failure(error))))
        });
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.needless.unwanted.store(true, Ordering::Relaxed);
    }
}

impl Upload {
    fn new(id: u32, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            lanes: None,
            place: None,
            pending: Vec::new(),
            restart: false,
            held: 0,
            progress: None,
            done: None,
            attributes: None,
            is_resumable: false,
            disposition: Disposition::Wanted,
            needless: Arc::default(),
        }
    }

    /// Takes the received data as tasks for the lanes.
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

    /// Takes the part and the hasher for a last job, if both lanes are idle.
    fn take_idle(&mut self) -> Option<(Part, Sha256)> {
        let Lanes { part, hasher } =
            self.lanes.take_if(|lanes| lanes.part.is_idle() && lanes.hasher.is_idle())?;
        Some((part.into_worker()?, hasher.into_worker()?))
    }
}
