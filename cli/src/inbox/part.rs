//! What arrived of a file that is not whole yet, beside the place where it will be.

use std::collections::HashSet;
use std::io::{self, Read, Seek, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, OpenOptions};
use sha2::{Digest as _, Sha256};
use unstick::message::Digest;

/// The bytes that are read at once to digest a file.
const CHUNK: usize = 256 << 10;

/// The parts that this program is at work on, by name.
#[derive(Debug, Default)]
pub(super) struct InUse(Mutex<HashSet<String>>);

/// Says that a part is in use, until it is dropped.
#[derive(Debug)]
struct Claim {
    name: String,
    in_use: Arc<InUse>,
}

impl Claim {
    fn new(name: String, in_use: &Arc<InUse>) -> Option<Self> {
        let mut names = in_use.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.clone()).then(|| Self { name, in_use: Arc::clone(in_use) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut names = self.in_use.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&self.name);
    }
}

/// A part that is open, and in use by nobody else. Dropped, it stays for a next try; an empty one
/// goes.
#[derive(Debug)]
pub(crate) struct Part {
    file: File,
    dir: Arc<Dir>,
    claim: Claim,
    len: u64,
    /// Whether it is gone, or has another name now.
    is_over: bool,
}

/// Why a part cannot be had.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// Somebody else is at work on it.
    InUse,
    Io(io::Error),
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Part {
    /// Opens the part of this name, an empty one if there is none.
    pub(super) fn open(
        dir: &Arc<Dir>,
        in_use: &Arc<InUse>,
        name: String,
    ) -> Result<Self, Unavailable> {
        let claim = Claim::new(name, in_use).ok_or(Unavailable::InUse)?;
        // A second try if somebody else's ended and gave the part its name in between.
        for _ in 0..2 {
            let file = open_beside(dir, &claim.name, OpenOptions::new().write(true).create(true))?;
            if !lock(&file)? {
                return Err(Unavailable::InUse);
            }
            let metadata = file.metadata()?;
            let there = dir.symlink_metadata(&claim.name).map(|there| (there.dev(), there.ino()));
            if there.is_ok_and(|there| there == (metadata.dev(), metadata.ino())) {
                // Another name would lead to another place, perhaps outside.
                if metadata.nlink() != 1 {
                    let what = "the part has a second name";
                    return Err(Unavailable::Io(io::Error::other(what)));
                }
                let (dir, len) = (Arc::clone(dir), metadata.len());
                return Ok(Self { file, dir, claim, len, is_over: false });
            }
        }
        Err(Unavailable::InUse)
    }

    /// The bytes that it holds.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Digests what it holds, and stands behind it. Ends early when `needless` is set, and then
    /// only [`restart`](Self::restart) is of use.
    pub(super) fn digest(&mut self, needless: &AtomicBool) -> io::Result<Sha256> {
        self.file.rewind()?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        let mut rest = self.len;
        while rest > 0 && !needless.load(Ordering::Relaxed) {
            let n = self.file.read(&mut chunk)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            hasher.update(chunk.get(..n).unwrap_or_default());
            rest = rest.saturating_sub(n as u64);
        }
        Ok(hasher)
    }

    /// Drops what it holds.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.len = 0;
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        self.len = match written {
            Ok(()) => self.len.saturating_add(bytes.len() as u64),
            // What fits on a disk that is full stays for a next try.
            Err(_) => self.file.metadata().map_or(self.len, |metadata| metadata.len()),
        };
        written
    }

    /// Waits until all of it is on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives it this name, if nothing else has it.
    pub(super) fn rename(&mut self, name: &str) -> io::Result<()> {
        rename_new(&self.dir, &self.claim.name, name)?;
        self.is_over = true;
        Ok(())
    }

    /// Removes it.
    pub(crate) fn remove(mut self) {
        self.remove_now();
    }

    fn remove_now(&mut self) {
        self.is_over = true;
        // What cannot be removed stays, and is found by nobody else.
        let _ = self.dir.remove_file(&self.claim.name);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_over && self.len == 0 {
            self.remove_now();
        }
    }
}

/// Removes the part of this name if it is in use by nobody.
pub(super) fn remove(dir: &Arc<Dir>, in_use: &Arc<InUse>, name: String) {
    if dir.symlink_metadata(&name).is_ok()
        && let Ok(part) = Part::open(dir, in_use, name)
    {
        part.remove();
    }
}

/// Opens a regular file, and neither follows a link nor waits for the other end of a pipe.
pub(super) fn open_beside(dir: &Dir, name: &str, options: &mut OpenOptions) -> io::Result<File> {
    options.read(true).follow(FollowSymlinks::No);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt as _;
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        options.custom_flags(nonblock);
    }
    let file = dir.open_with(name, options)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("no regular file")) }
}

/// The digest of a whole file that is there, and its length.
pub(super) fn digest(file: &mut File) -> io::Result<(u64, Digest)> {
    let mut hasher = Sha256::new();
    let len = io::copy(file, &mut hasher)?;
    Ok((len, Digest(hasher.finalize().into())))
}

/// Whether the file is now locked by this program. Another one may serve the same inbox.
#[cfg(unix)]
fn lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        // Not every file system has locks; this program's own list is kept all the same.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOLCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn lock(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Renames without replacing what has the new name.
fn rename_new(dir: &Dir, from: &str, to: &str) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "ios"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // The system or its file system does not know that; all know links.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    dir.hard_link(from, dir, to)?;
    dir.remove_file(from)
}

/// The names in a folder, as something that can be synced: the handle that files are opened by
/// need not be.
#[derive(Debug)]
pub(super) struct Names(#[cfg(unix)] std::os::fd::OwnedFd);

impl Names {
    pub(super) fn of(dir: &Dir) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use rustix::fs::{Mode, OFlags, openat};
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(Self(openat(dir, ".", flags, Mode::empty())?))
        }
        #[cfg(not(unix))]
        {
            let _ = dir;
            Ok(Self())
        }
    }

    /// Waits until they are on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        rustix::fs::fsync(&self.0)?;
        Ok(())
    }
}
