//! What is done with the data of uploads on other threads: it is digested, written and stored.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use unstick_session::message::{Code, Digest, FileAttributes};

use crate::inbox::{Inbox, Needless, Part, Refusal, Stored};
use crate::listen::places::Network;
use crate::listen::shares::{Share, Shares};
use crate::listen::uploads::{Answer, Done, Step, Task};

/// How long an offer waits for open files that others use, and how often it is checked whether it is
/// still wanted.
const PLACE_TIMEOUT: Duration = Duration::from_secs(60);
const PLACE_CHECK: Duration = Duration::from_millis(250);

/// Waits for one of the files that may be open at the same time. The job holds no other one, and files
/// that are complete are stored without a further one, so uploads do not wait for each other in a circle.
///
/// # Errors
/// [`Code::BUSY`] if none is free in that time, and [`Code::CANCELLED`] once the file is not wanted.
pub(super) async fn place(
    places: &Arc<Shares>,
    network: Network,
    needless: &Needless,
) -> Result<Share, Refusal> {
    let began = Instant::now();
    let mut place = pin!(places.get(network, 1));
    loop {
        tokio::select! {
            biased;
            place = &mut place => return Ok(place),
            () = sleep(PLACE_CHECK) => {}
        }
        if needless.unwanted.load(Ordering::Relaxed) {
            return Err(Refusal::new(Code::CANCELLED));
        }
        if began.elapsed() >= PLACE_TIMEOUT {
            let what = "other uploads have all the files open that the system allows";
            let cause = io::Error::new(io::ErrorKind::ResourceBusy, what);
            return Err(Refusal::io(cause, 0));
        }
    }
}

/// Runs a job on another thread. The networks have theirs in turn, however many they have.
///
/// # Errors
/// The job panicked, or the program ends.
pub(super) async fn in_turn<T: Send + 'static>(
    turns: &Arc<Shares>,
    network: Network,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let _turn = turns.get(network, 1).await;
    spawn_blocking(job).await
}

pub(super) fn digest(hasher: &mut Sha256, task: Task) -> Result<(), Infallible> {
    match task {
        Task::Restart => hasher.reset(),
        Task::Append(chunk) => hasher.update(chunk.bytes()),
    }
    Ok(())
}

pub(super) fn write(part: &mut Part, task: Task) -> io::Result<()> {
    match task {
        Task::Restart => part.restart(),
        Task::Append(chunk) => {
            part.write(chunk.bytes())?;
            if let Some(write_back) = part.write_back() {
                spawn_blocking(write_back);
            }
            Ok(())
        }
    }
}

/// Converts a failed write to a refusal. The part is removed, so that it does not keep the disk full;
/// only if all parts together have no room now, it is kept for a retry.
pub(super) fn unwritten(part: Part, error: io::Error) -> Refusal {
    if error.kind() == io::ErrorKind::ResourceBusy {
        return Refusal::io(error, part.len());
    }
    part.remove();
    Refusal::io(error, 0)
}

/// Runs the last tasks, and stores the file under its name.
pub(super) fn finish(
    inbox: &Inbox,
    (mut part, mut hasher): (Part, Sha256),
    tasks: Vec<Task>,
    (name, attributes): &(String, Option<FileAttributes>),
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
    match inbox.store(part, name, attributes.as_ref(), digest, done.digest) {
        Ok(Stored::As(to)) => Step::Finished(Answer::Stored { size, digest, to }),
        Ok(Stored::Exists(there)) => Step::Finished(Answer::Exists(there)),
        Err(refusal) => Step::Failed(refusal),
    }
}

/// The refusal for a job that ended without a result: it panicked, or the program ends.
pub(super) fn failure(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Refusal {
    Refusal::io(io::Error::other(error), 0)
}
