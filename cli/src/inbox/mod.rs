//! The folder in which files arrive.
//!
//! A file appears under its name only when it is whole, on disk, and its digest right. Until then
//! it is a [`Part`]: a file beside it whose name comes from the file's name and the sender's resume
//! key. Everything happens relative to one handle of the folder, follows no link in it, and replaces
//! nothing.

mod name;
mod part;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use clap::ValueEnum;
use sha2::Sha256;
use unstick_session::message::{Code, Digest, ResumeKey};

pub(crate) use part::Part;

use crate::output::Failure;

/// Parts that nobody went on with for so long are removed.
const KEEP_PARTS: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How many numbers are tried for a file whose name is taken.
const MOST_NUMBERS: u32 = 9_999;

/// What becomes of a file whose name is taken, if it is not the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnExists {
    // It is refused.
    Refuse,
    // It gets a number: `a (2).txt`.
    Rename,
}

/// The folder in which files arrive.
#[derive(Debug)]
pub(crate) struct Inbox {
    dir: Arc<Dir>,
    names: part::Names,
    in_use: Arc<part::InUse>,
    on_exists: OnExists,
    /// The most bytes of a file.
    max_file: Option<u64>,
    /// The files that got their names, and how many of these names are on disk.
    named: AtomicU64,
    synced: Mutex<u64>,
}

/// The answer to a file that is offered.
#[derive(Debug)]
pub(crate) enum Offer {
    /// It can be sent: the part, and the digest of what it holds so far.
    Part(Part, Sha256),
    /// A file of that name is there; its size and digest, if the size is the one announced.
    Exists(Option<(u64, Digest)>),
}

/// What a file is once it is whole.
#[derive(Debug)]
pub(crate) enum Stored {
    /// On disk, under this name. The same file may have been there before.
    As(String),
    /// Dropped: another file has the name.
    Exists(Option<(u64, Digest)>),
}

/// Why a file is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The bytes that stay for a next try.
    pub(crate) kept: u64,
    /// What the system says, for whoever runs this program.
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
    /// The inbox in this folder, which is made if it is missing.
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
        let names = part::Names::of(&dir).map_err(failed)?;
        let inbox = Self {
            dir: Arc::new(dir),
            names,
            in_use: Arc::new(part::InUse::new(max_parts)),
            on_exists,
            max_file,
            named: AtomicU64::new(0),
            synced: Mutex::new(0),
        };
        inbox.remove_old_parts(SystemTime::now());
        inbox.in_use.make_room(&inbox.dir).map_err(failed)?;
        Ok(inbox)
    }

    /// The most bytes of a file, which is a part first.
    pub(crate) fn max_file(&self) -> u64 {
        self.max_file.unwrap_or(u64::MAX).min(self.in_use.most())
    }

    /// Answers an offer. The digest of what a part holds is cut short once `begun` says that the
    /// sender begins anew.
    ///
    /// With [`Code::BUSY`] the part is in use: by an earlier connection of the same sender, whose
    /// end is not known yet, perhaps.
    pub(crate) fn offer(
        &self,
        name: &str,
        key: &ResumeKey,
        size: Option<u64>,
        begun: &AtomicBool,
    ) -> Result<Offer, Refusal> {
        let part_name = name::of_part(name, key);
        let answer = self.check(name, size);
        if !matches!(answer, Ok(None)) {
            part::remove(&self.dir, &self.in_use, part_name.clone());
        }
        if let Some(there) = answer? {
            return Ok(Offer::Exists(there));
        }
        let mut part = self.part(part_name)?;
        let failed = |error| Refusal::io(error, 0);
        if part.len() > size.unwrap_or(u64::MAX).min(self.max_file()) {
            part.restart().map_err(failed)?;
        }
        let hasher = part.digest(begun).map_err(failed)?;
        Ok(Offer::Part(part, hasher))
    }

    /// The same for a sender without a key, which always begins anew.
    pub(crate) fn offer_once(&self, name: &str, size: u64) -> Result<Part, Refusal> {
        match self.check(name, Some(size))? {
            // What comes may be the same file; that is found once it is here.
            Some(Some(_)) | None => self.part(name::of_lone_part()),
            Some(None) => Err(Refusal::new(Code::EXISTS)),
        }
    }

    /// Whether a file of that name and size can be taken; or what is there instead.
    fn check(
        &self,
        name: &str,
        size: Option<u64>,
    ) -> Result<Option<Option<(u64, Digest)>>, Refusal> {
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
            Ok(_) => Ok(Some(self.look(name, size))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Refusal::io(error, 0)),
        }
    }

    fn part(&self, name: String) -> Result<Part, Refusal> {
        Part::open(&self.dir, &self.in_use, name).map_err(|error| match error {
            part::Unavailable::InUse => Refusal::new(Code::BUSY),
            part::Unavailable::Io(error) => Refusal::io(error, 0),
        })
    }

    /// Gives a whole file its name. `digest` is what was found, and `expected` what the sender
    /// says.
    pub(crate) fn store(
        &self,
        mut part: Part,
        name: &str,
        digest: Digest,
        expected: Option<Digest>,
    ) -> Result<Stored, Refusal> {
        if expected.is_some_and(|expected| expected != digest) {
            part.remove();
            return Err(Refusal::new(Code::BAD_DIGEST));
        }
        let len = part.len();
        let failed = |error| Refusal::io(error, len);
        part.sync().map_err(failed)?;
        for number in 1..=MOST_NUMBERS {
            let name = if number == 1 { name.to_owned() } else { name::numbered(name, number) };
            match part.rename(&name) {
                Ok(()) => {
                    self.sync_name().map_err(|error| Refusal::io(error, 0))?;
                    return Ok(Stored::As(name));
                }
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                Err(_) => {}
            }
            let there = self.look(&name, Some(len));
            if there == Some((len, digest)) {
                part.remove();
                self.sync_name().map_err(|error| Refusal::io(error, 0))?;
                return Ok(Stored::As(name));
            }
            if self.on_exists == OnExists::Refuse {
                part.remove();
                return Ok(Stored::Exists(there));
            }
        }
        part.remove();
        Ok(Stored::Exists(None))
    }

    /// The size and digest of a file that is there, if it is a file of this size. It is on disk
    /// then.
    fn look(&self, name: &str, size: Option<u64>) -> Option<(u64, Digest)> {
        let size = size?;
        let mut file = part::open_beside(&self.dir, name, &mut OpenOptions::new()).ok()?;
        if file.metadata().ok()?.len() != size {
            return None;
        }
        let found = part::digest(&mut file).ok()?;
        file.sync_all().ok()?;
        (found.0 == size).then_some(found)
    }

    /// Waits until a name that was just given is on disk. Names that are given at the same time
    /// share one wait.
    fn sync_name(&self) -> io::Result<()> {
        let own = self.named.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced < own {
            // Whoever is counted here has its name already.
            let named = self.named.load(Ordering::SeqCst);
            self.names.sync()?;
            *synced = named;
        }
        Ok(())
    }

    /// Removes parts that nobody went on with. If that fails they stay: no reason not to serve.
    pub(crate) fn remove_old_parts(&self, now: SystemTime) {
        let Ok(entries) = self.dir.entries() else { return };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_old = |modified: SystemTime| {
                now.duration_since(modified).is_ok_and(|age| age > KEEP_PARTS)
            };
            if name::is_part(&name)
                && let Ok(metadata) = entry.metadata()
                && metadata.is_file()
                && metadata.modified().is_ok_and(|modified| is_old(modified.into_std()))
            {
                part::remove(&self.dir, &self.in_use, name);
            }
        }
    }
}

/// The options of an inbox.
#[derive(clap::Args)]
pub(crate) struct InboxArgs {
    /// Take files, and store them in this folder; it is made if it is missing. Without it files
    /// are refused.
    #[arg(long, value_name = "INBOX")]
    pub(crate) dir: Option<PathBuf>,
    /// Refuse files that are larger, such as 4GiB [default: no limit].
    #[arg(long, value_name = "BYTES", requires = "dir", value_parser = crate::bytes::parse_bytes)]
    max_file: Option<u64>,
    /// The most that files which are not whole yet take together, those of broken uploads included:
    /// of these the oldest are removed to make room. No file can be larger.
    #[arg(long, value_name = "BYTES", requires = "dir", default_value = "64GiB",
          value_parser = crate::bytes::parse_bytes)]
    max_parts: u64,
    /// What to do with a file whose name is taken: refuse it, or give it a number, as in `a
    /// (2).txt`. The same file, byte for byte, counts as stored either way.
    #[arg(long, value_name = "WHAT", requires = "dir", default_value = "refuse")]
    on_exists: OnExists,
    /// End a connection whose upload is slower, in bytes of the file a second, over ten seconds.
    #[arg(long, value_name = "BYTES", requires = "dir", default_value = "1KiB",
          value_parser = crate::bytes::parse_bytes)]
    pub(crate) min_rate: u64,
}

impl InboxArgs {
    /// The inbox asked for.
    pub(crate) fn inbox(&self) -> Result<Option<Arc<Inbox>>, Failure> {
        let open = |dir: &PathBuf| Inbox::open(dir, self.on_exists, self.max_file, self.max_parts);
        Ok(self.dir.as_ref().map(open).transpose()?.map(Arc::new))
    }
}
