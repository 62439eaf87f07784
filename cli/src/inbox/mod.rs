//! The folder for received files.
//!
//! A file gets its name only when it is complete, on disk, and its digest is verified. Until then
//! it is a [`Part`]: a file in the same folder whose name is derived from the file's name and the
//! sender's resume key. All operations are relative to one handle of the folder, follow no link in
//! it, and replace nothing.

mod attributes;
mod digests;
mod name;
mod numbers;
mod part;
mod room;
mod system;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};
use clap::ValueEnum;
use sha2::{Digest as _, Sha256};
use unstick_session::message::{Code, Digest, FileAttributes, ResumeKey};

pub(crate) use part::Part;

use crate::help;
use crate::term::output::{Failure, note};
use attributes::Preserve;
use digests::{Digests, Found};
use numbers::Numbers;
use room::InUse;
pub(crate) use room::{MIN_PROGRESS, STALLED};
use system::{Disk, System};

/// The age at which abandoned parts are removed.
const KEEP_PARTS: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A part that is older than 2020-01-01, in seconds since 1970, or so far ahead of the clock, was written
/// by a clock that was wrong.
const EARLIEST: Duration = Duration::from_secs(1_577_836_800);
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum number that is tried for a file whose name is taken.
const MAX_NUMBER: u32 = 9_999;

/// How to handle a file whose name is taken by another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnExists {
    // Refuses the file.
    Refuse,
    // Appends a number to the name: `a (2).txt`.
    Rename,
}

/// The folder for received files.
#[derive(Debug)]
pub(crate) struct Inbox {
    dir: Arc<Dir>,
    in_use: Arc<InUse>,
    on_exists: OnExists,
    /// The maximum length of a file.
    max_file: Option<u64>,
    /// How the senders' attributes are applied; `None` if they are not.
    preserve: Option<Preserve>,
    digests: Digests,
    numbers: Numbers,
    /// The number of files that got their names, and how many of these names are synced to disk.
    named: AtomicU64,
    synced: Mutex<u64>,
}

/// The answer to the offer of a file.
#[derive(Debug)]
pub(crate) enum Offer {
    /// The file is accepted: its part, and the hasher of what the part holds.
    Part(Part, Sha256),
    /// A file of that name exists; its size and digest, if the size is the one announced.
    Exists(Option<(u64, Digest)>),
    /// This has to be digested first; see [`Inbox::digest`].
    Undigested(Undigested),
}

/// What has to be digested before an offer can be answered.
#[derive(Debug)]
pub(crate) enum Undigested {
    /// What is held of the file.
    Part(Part),
    /// A file of this name and size.
    File(String, u64),
}

/// When a digest is not needed any more.
#[derive(Debug, Default)]
pub(crate) struct Needless {
    /// The sender has started from the beginning, so the held part is dropped.
    pub(crate) begun: AtomicBool,
    /// The sender has cancelled the file, or is gone.
    pub(crate) unwanted: AtomicBool,
}

/// What is known of a file whose name is taken.
enum There {
    Other,
    /// It has the size announced.
    SameSize(File),
}

/// The outcome of storing a complete file.
#[derive(Debug)]
pub(crate) enum Stored {
    /// The file is on disk under this name. It may have been there before.
    As(String),
    /// The file was dropped: another file has the name.
    Exists(Option<(u64, Digest)>),
}

/// The reason why a file is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The bytes that are kept for a retry.
    pub(crate) kept: u64,
    /// The system's error, for the local log.
    pub(crate) cause: Option<io::Error>,
}

impl Refusal {
    pub(crate) fn new(code: Code) -> Self {
        Self { code, kept: 0, cause: None }
    }

    pub(crate) fn io(cause: io::Error, kept: u64) -> Self {
        let code = match cause.kind() {
            io::ErrorKind::ResourceBusy => Code::BUSY,
            kind => kind.into(),
        };
        Self { code, kept, cause: Some(cause) }
    }
}

impl Inbox {
    /// Opens the inbox in this folder, which is created if it is missing.
    pub(crate) fn open(
        path: &Path,
        on_exists: OnExists,
        max_file: Option<u64>,
        max_parts: u64,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::job(format!(
                "cannot use {} as the inbox: {error}; give --dir a folder where you may write",
                path.display()
            ))
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        let disk = System::of(&dir).map_err(failed)?;
        // Where no file can be created, each one is refused, and its sender told why.
        for lack in system::probe(&dir, &disk).unwrap_or_default() {
            note(&format!("unstick: warning: the file system of {}: {lack}", path.display()));
        }
        let inbox = Self::new(dir, Box::new(disk), on_exists, max_file, max_parts);
        inbox.remove_old_parts(SystemTime::now());
        Ok(inbox)
    }

    fn new(
        dir: Dir,
        disk: Box<dyn Disk>,
        on_exists: OnExists,
        max_file: Option<u64>,
        max_parts: u64,
    ) -> Self {
        Self {
            dir: Arc::new(dir),
            in_use: Arc::new(InUse::new(max_parts, disk)),
            on_exists,
            max_file,
            preserve: None,
            digests: Digests::default(),
            numbers: Numbers::default(),
            named: AtomicU64::new(0),
            synced: Mutex::new(0),
        }
    }

    /// Applies the attributes that the senders send: the time, and whether a file is executable.
    pub(crate) fn preserving(self) -> io::Result<Self> {
        let preserve = Some(Preserve::of(&self.dir)?);
        Ok(Self { preserve, ..self })
    }

    /// Returns the maximum length of a file; it is also limited by the total for all parts.
    pub(crate) fn max_file(&self) -> u64 {
        self.max_file.unwrap_or(u64::MAX).min(self.in_use.max_bytes())
    }

    /// Returns whether a file has just been refused because the other parts leave no room for it, and would
    /// have had room without those that do not grow.
    pub(crate) fn is_room_wanted(&self) -> bool {
        self.in_use.is_wanted()
    }

    /// Answers an offer, or says what has to be [digested](Self::digest) for the answer.
    ///
    /// # Errors
    /// [`Code::BUSY`] if the part is in use, perhaps by an earlier connection of the same sender
    /// that has not ended yet; other codes if the file cannot be accepted.
    pub(crate) fn offer(
        &self,
        name: &str,
        key: &ResumeKey,
        size: Option<u64>,
    ) -> Result<Offer, Refusal> {
        let part_name = match *key {
            ResumeKey::NONE => name::of_unresumable_part(),
            _ => name::of_part(name, key),
        };
        let answer = self.check(name, size);
        if !matches!(answer, Ok(None)) {
            self.in_use.remove(&self.dir, part_name.clone());
        }
        match (answer?, size) {
            (Some(There::SameSize(file)), Some(size)) if self.digests.knows(&file) => {
                self.exists(name, size, &AtomicBool::new(false))
            }
            (Some(There::SameSize(_)), Some(size)) => {
                Ok(Offer::Undigested(Undigested::File(name.to_owned(), size)))
            }
            (Some(_), _) => Ok(Offer::Exists(None)),
            (None, _) => {
                let part = self.part(part_name, size)?;
                if part.len() > 0 {
                    return Ok(Offer::Undigested(Undigested::Part(part)));
                }
                Ok(Offer::Part(part, Sha256::new()))
            }
        }
    }

    /// Answers an offer for which something has to be digested. Ends early once that is needless.
    pub(crate) fn digest(
        &self,
        undigested: Undigested,
        needless: &Needless,
    ) -> Result<Offer, Refusal> {
        match undigested {
            Undigested::Part(mut part) => {
                let is_needless = || {
                    needless.begun.load(Ordering::Relaxed)
                        || needless.unwanted.load(Ordering::Relaxed)
                };
                let hasher = part.digest(is_needless).map_err(|error| Refusal::io(error, 0))?;
                Ok(Offer::Part(part, hasher))
            }
            Undigested::File(name, size) => self.exists(&name, size, &needless.unwanted),
        }
    }

    /// Answers the offer of a file of whose name and size there is one. It is synced to disk with its
    /// name, since the sender may take it for stored.
    fn exists(&self, name: &str, size: u64, unwanted: &AtomicBool) -> Result<Offer, Refusal> {
        let is_unwanted = || unwanted.load(Ordering::Relaxed);
        let Some(Found { file, digest, .. }) =
            self.digests.find(&self.dir, name, size, is_unwanted)
        else {
            // It was taken out of the inbox meanwhile. The next try will get the name.
            return Err(Refusal::new(Code::BUSY));
        };
        if digest.is_none() && is_unwanted() {
            return Err(Refusal::new(Code::CANCELLED));
        }
        let digest = digest.filter(|_| self.in_use.disk.sync(&file).is_ok());
        self.sync_name().map_err(|error| Refusal::io(error, 0))?;
        Ok(Offer::Exists(digest.map(|digest| (size, digest))))
    }

    /// Answers the offer of a sender without a resume key, which always sends the whole file.
    pub(crate) fn offer_once(&self, name: &str, size: u64) -> Result<Part, Refusal> {
        match self.check(name, Some(size))? {
            // It may be the same file; this is known once it has arrived.
            Some(There::SameSize(_)) | None => self.part(name::of_unresumable_part(), Some(size)),
            Some(There::Other) => Err(Refusal::new(Code::EXISTS)),
        }
    }

    /// Checks whether a file of that name and size can be accepted. Returns the file that exists
    /// already, if any.
    fn check(&self, name: &str, size: Option<u64>) -> Result<Option<There>, Refusal> {
        if name::is_reserved(name) {
            return Err(Refusal::new(Code::BAD_NAME));
        }
        if size.is_some_and(|size| size > self.max_file()) {
            return Err(Refusal::new(Code::TOO_LARGE));
        }
        if self.on_exists == OnExists::Rename {
            return Ok(None);
        }
        match self.dir.symlink_metadata(name) {
            Ok(_) => {
                let same_size = size.and_then(|size| self.of_size(name, size));
                Ok(Some(same_size.map_or(There::Other, There::SameSize)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Refusal::io(error, 0)),
        }
    }

    /// Opens a part for a file of this size. There is or can be made room for the rest of it, as far as
    /// the size is known.
    fn part(&self, name: String, size: Option<u64>) -> Result<Part, Refusal> {
        let open = || Part::open(&self.dir, &self.in_use, name.clone());
        let mut part =
            self.in_use.with_room(&self.dir, open).map_err(|error| Refusal::io(error, 0))?;
        if part.len() > size.unwrap_or(u64::MAX).min(self.max_file()) {
            part.restart().map_err(|error| Refusal::io(error, 0))?;
        }
        let rest = size.unwrap_or(0).saturating_sub(part.len());
        let room = part.check_room(rest);
        room.map_err(|error| Refusal::io(error, part.len()))?;
        Ok(part)
    }

    /// Stores a complete part under its name, with the sender's attributes if there are any. `digest` is
    /// the part's digest, and `expected` the sender's.
    pub(crate) fn store(
        &self,
        mut part: Part,
        name: &str,
        attributes: Option<&FileAttributes>,
        digest: Digest,
        expected: Option<Digest>,
    ) -> Result<Stored, Refusal> {
        if expected.is_some_and(|expected| expected != digest) {
            part.remove();
            return Err(Refusal::new(Code::BAD_DIGEST));
        }
        let len = part.len();
        let failed = |error| Refusal::io(error, len);
        let attributes = self.preserve.zip(attributes);
        if let Err(error) = part.sync(digest, attributes) {
            part.remove();
            return Err(Refusal::io(error, 0));
        }
        let mut there = None;
        // Without numbers there is one name, which is tried each time.
        let max = if self.on_exists == OnExists::Rename { MAX_NUMBER } else { 1 };
        self.forget_if_taken_out(name);
        let mut walk = None;
        let mut numbers = self.numbers.candidates(name, len, digest, max);
        while let Some(number) = numbers.next() {
            let to = name::numbered(name, number);
            match part.rename(&to) {
                Ok(()) => {
                    self.remember(name, number, Some(len), Some(digest));
                    self.sync_name().map_err(|error| Refusal::io(error, 0))?;
                    return Ok(Stored::As(to));
                }
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                // One thread finds out which are taken, for all.
                Err(_) if max > 1 && walk.is_none() && self.numbers.last(name).is_none() => {
                    walk = Some(self.numbers.walk());
                    numbers = self.numbers.candidates(name, len, digest, max);
                    continue;
                }
                Err(_) => {}
            }
            let found = self.digests.find(&self.dir, &to, len, || false);
            there = found.as_ref().and_then(|found| found.digest);
            self.remember(name, number, found.as_ref().map(|found| found.len), there);
            if let Some(found) = found.filter(|_| there == Some(digest)) {
                part.remove();
                let synced = self.in_use.disk.sync(&found.file);
                synced.and_then(|()| self.sync_name()).map_err(|error| Refusal::io(error, 0))?;
                return Ok(Stored::As(to));
            }
        }
        part.remove();
        let there = there.filter(|_| self.on_exists == OnExists::Refuse);
        Ok(Stored::Exists(there.map(|there| (len, there))))
    }

    /// Remembers that a number of a name is taken, if there are numbers.
    fn remember(&self, name: &str, number: u32, len: Option<u64>, digest: Option<Digest>) {
        if self.on_exists == OnExists::Rename {
            self.numbers.taken(name, number, len, digest);
        }
    }

    /// Forgets the numbers of a name if files were taken out of the inbox: their names are free again.
    fn forget_if_taken_out(&self, name: &str) {
        let is_free = |number| self.dir.symlink_metadata(name::numbered(name, number)).is_err();
        if self.numbers.last(name).is_some_and(|last| is_free(1) || is_free(last)) {
            self.numbers.forget(name);
        }
    }

    /// Opens an existing file, if it is a regular file of this size.
    fn of_size(&self, name: &str, size: u64) -> Option<File> {
        let file = system::open_in(&self.dir, name, &mut OpenOptions::new()).ok()?;
        let found = file.metadata().ok()?.len();
        (found == size).then_some(file)
    }

    /// Waits until a new name is synced to disk. Names that are given concurrently share one sync.
    fn sync_name(&self) -> io::Result<()> {
        let own = self.named.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced < own {
            // Every file counted here already has its name.
            let named = self.named.load(Ordering::SeqCst);
            self.in_use.disk.sync_names()?;
            *synced = named;
        }
        Ok(())
    }

    /// Removes abandoned parts, and the oldest over the maximum. One whose time cannot be true, because a clock was wrong, is given the
    /// present time. On an error they stay, and the inbox still works.
    pub(crate) fn remove_old_parts(&self, now: SystemTime) {
        let Ok(entries) = self.dir.entries() else { return };
        let earliest = SystemTime::UNIX_EPOCH + EARLIEST;
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name::is_part(&name) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            let Ok(modified) = metadata.modified().map(|time| time.into_std()) else { continue };
            if !metadata.is_file() {
                continue;
            }
            let is_ahead = modified.duration_since(now).is_ok_and(|ahead| ahead > AHEAD);
            if is_ahead || modified < earliest && now >= earliest {
                let file = system::open_in(&self.dir, &name, OpenOptions::new().write(true));
                let _ = file.map(|file| file.into_std().set_modified(now));
            } else if now.duration_since(modified).is_ok_and(|age| age > KEEP_PARTS) {
                self.in_use.remove(&self.dir, name);
            }
        }
        let _ = self.in_use.limit(&self.dir);
    }
}

/// The options of an inbox.
#[derive(clap::Args)]
pub(crate) struct InboxArgs {
    /// Take files, and store them in this folder.
    ///
    /// It is made if it is missing. Without it files are refused.
    #[arg(short, long, help_heading = help::FILES, value_name = "INBOX")]
    pub(crate) dir: Option<PathBuf>,
    /// What to do with a file whose name is taken by another file.
    ///
    /// Refuse it, or give it a number, as in `a (2).txt`. The same file, byte for byte, counts as stored
    /// either way.
    #[arg(long, help_heading = help::FILES, value_name = "WHAT", requires = "dir", default_value = "refuse",
          hide_short_help = true)]
    on_exists: OnExists,
    /// Give files the time of their senders, and make programs executable.
    ///
    /// Executable for those who may read them, as far as the umask allows. Senders say so with
    /// --preserve.
    #[arg(long, help_heading = help::FILES, requires = "dir", hide_short_help = true)]
    preserve: bool,
    /// Refuse files that are larger, such as 4GiB [default: no limit].
    #[arg(long, help_heading = help::FILES, value_name = "BYTES", requires = "dir",
          value_parser = crate::term::bytes::parse_bytes)]
    max_file: Option<u64>,
    /// The max that unfinished files may take together; the oldest broken uploads are removed.
    ///
    /// Those of broken uploads count, too; they are removed when bytes of others arrive that need the
    /// room. No file can be larger. Each takes whole blocks of 4 KiB, and there are at most 10,000.
    #[arg(long, help_heading = help::FILES, value_name = "BYTES", requires = "dir", default_value = "64GiB",
          value_parser = crate::term::bytes::parse_bytes, hide_short_help = true)]
    max_parts: u64,
    /// End a connection whose upload is slower, in bytes a second, over ten seconds.
    #[arg(long, help_heading = help::FILES, value_name = "BYTES", requires = "dir", default_value = "1KiB",
          value_parser = crate::term::bytes::parse_bytes, hide_short_help = true)]
    pub(crate) min_rate: u64,
}

impl InboxArgs {
    /// Opens the inbox that the options ask for.
    pub(crate) fn inbox(&self) -> Result<Option<Arc<Inbox>>, Failure> {
        let open = |dir: &PathBuf| {
            let inbox = Inbox::open(dir, self.on_exists, self.max_file, self.max_parts)?;
            let failed = |error| Failure::job(format!("cannot preserve attributes: {error}"));
            if self.preserve { inbox.preserving().map_err(failed) } else { Ok(inbox) }
        };
        Ok(self.dir.as_ref().map(open).transpose()?.map(Arc::new))
    }
}
