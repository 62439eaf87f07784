//! What arrived of a file that is not whole yet, beside the place where it will be.

use std::collections::HashMap;
use std::io::{self, Read, Seek, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, OpenOptions};
use sha2::{Digest as _, Sha256};
use unstick_session::message::Digest;

use super::name;

/// The bytes that are read at once to digest a file.
const CHUNK: usize = 256 << 10;
/// The bytes that are worth telling the disk of them before the last one is here.
const WRITE_BACK: u64 = 32 << 20;

/// The parts that this program is at work on, and what all parts of the folder take together.
#[derive(Debug)]
pub(super) struct InUse {
    parts: Mutex<Parts>,
    /// The most bytes of all parts together.
    most: u64,
    /// One at a time makes room.
    makes_room: Mutex<()>,
}

#[derive(Debug, Default)]
struct Parts {
    /// The bytes of those in use, by name.
    in_use: HashMap<String, u64>,
    /// The bytes of all others, as far as is known here: another program may serve the folder.
    others: u64,
}

impl Parts {
    fn taken(&self) -> u64 {
        self.in_use.values().fold(self.others, |sum, len| sum.saturating_add(*len))
    }
}

impl InUse {
    pub(super) fn new(most: u64) -> Self {
        Self { parts: Mutex::default(), most, makes_room: Mutex::default() }
    }

    /// The most bytes of all parts together.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `more` bytes for a part in use, if all parts have room for them.
    fn try_reserve(&self, name: &str, more: u64) -> bool {
        let mut parts = self.parts();
        let fits = parts.taken().saturating_add(more) <= self.most;
        if fits && let Some(len) = parts.in_use.get_mut(name) {
            *len = len.saturating_add(more);
        }
        fits
    }

    /// A part in use has so many bytes now.
    fn resize(&self, name: &str, now: u64) {
        if let Some(len) = self.parts().in_use.get_mut(name) {
            *len = now;
        }
    }

    /// The same, after parts that nobody is at work on were removed, the oldest first.
    fn reserve(self: &Arc<Self>, dir: &Arc<Dir>, name: &str, more: u64) -> io::Result<()> {
        if self.try_reserve(name, more) {
            return Ok(());
        }
        let _one = self.makes_room.lock().unwrap_or_else(PoisonError::into_inner);
        for oldest in self.count_others(dir)? {
            if self.try_reserve(name, more) {
                return Ok(());
            }
            remove(dir, self, oldest);
        }
        if self.try_reserve(name, more) {
            return Ok(());
        }
        let what = "files that are on their way in take all that --max-parts gives them";
        Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
    }

    /// Removes parts that nobody is at work on, the oldest first, until all have room.
    pub(super) fn make_room(self: &Arc<Self>, dir: &Arc<Dir>) -> io::Result<()> {
        for oldest in self.count_others(dir)? {
            if self.try_reserve("", 0) {
                break;
            }
            remove(dir, self, oldest);
        }
        Ok(())
    }

    /// Counts the parts that are not in use, and names them, the oldest first.
    fn count_others(&self, dir: &Dir) -> io::Result<Vec<String>> {
        let mut others = Vec::new();
        for entry in dir.entries()?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name::is_part(&name)
                && let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                let modified = metadata.modified().ok().map(|modified| modified.into_std());
                others.push((modified, name, metadata.len()));
            }
        }
        let mut parts = self.parts();
        others.retain(|(_, name, _)| !parts.in_use.contains_key(name));
        parts.others = others.iter().map(|(_, _, len)| len).sum();
        others.sort_unstable();
        Ok(others.into_iter().map(|(_, name, _)| name).collect())
    }
}

/// Says that a part is in use, until it is dropped.
#[derive(Debug)]
struct Claim {
    name: String,
    in_use: Arc<InUse>,
}

impl Claim {
    fn new(name: String, in_use: &Arc<InUse>) -> Option<Self> {
        let mut parts = in_use.parts();
        if parts.in_use.contains_key(&name) {
            return None;
        }
        parts.in_use.insert(name.clone(), 0);
        Some(Self { name, in_use: Arc::clone(in_use) })
    }

    /// It has so many bytes, which were counted among the others.
    fn adopt(&self, len: u64) {
        let mut parts = self.in_use.parts();
        parts.others = parts.others.saturating_sub(len);
        parts.in_use.insert(self.name.clone(), len);
    }

    /// Its bytes are no part any more.
    fn forget(&self) {
        self.in_use.resize(&self.name, 0);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut parts = self.in_use.parts();
        let left = parts.in_use.remove(&self.name).unwrap_or(0);
        parts.others = parts.others.saturating_add(left);
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
    /// The bytes that came since the disk was last told to write.
    fresh: u64,
    /// Whether it is still at that.
    writes_back: Arc<AtomicBool>,
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
                claim.adopt(len);
                let writes_back = Arc::default();
                return Ok(Self { file, dir, claim, len, fresh: 0, writes_back, is_over: false });
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
        self.claim.forget();
        self.file.rewind()
    }

    /// Appends bytes, if all parts together have room for them.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.claim.in_use.reserve(&self.dir, &self.claim.name, bytes.len() as u64)?;
        let written = self.file.write_all(bytes);
        self.len = match written {
            Ok(()) => self.len.saturating_add(bytes.len() as u64),
            // What fits on a disk that is full stays for a next try.
            Err(_) => self.file.metadata().map_or(self.len, |metadata| metadata.len()),
        };
        self.claim.in_use.resize(&self.claim.name, self.len);
        self.fresh = self.fresh.saturating_add(bytes.len() as u64);
        written
    }

    /// Something to run beside the next writes, once enough has come for it: the disk is then at
    /// work while the rest arrives. Left to the system, all of a large file may wait for the sync at
    /// its end, and the sender with it.
    pub(crate) fn write_back(&mut self) -> Option<impl FnOnce() + Send + use<>> {
        if self.fresh < WRITE_BACK || self.writes_back.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.fresh = 0;
        let (dir, name) = (Arc::clone(&self.dir), self.claim.name.clone());
        let writes_back = Arc::clone(&self.writes_back);
        // Through a handle of its own: the system tells each handle once of what it could not write,
        // and it is the last sync that has to hear of it.
        Some(move || {
            if let Ok(file) = open_beside(&dir, &name, &mut OpenOptions::new()) {
                _ = file.sync_data();
            }
            writes_back.store(false, Ordering::Relaxed);
        })
    }

    /// Waits until all of it is on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives it this name, if nothing else has it.
    pub(super) fn rename(&mut self, name: &str) -> io::Result<()> {
        rename_new(&self.dir, &self.claim.name, name)?;
        self.claim.forget();
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
        if self.dir.remove_file(&self.claim.name).is_ok() {
            self.claim.forget();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_told_of_every_32_mib_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Arc::new(Dir::open_ambient_dir(&folder, cap_std::ambient_authority()).unwrap());
        let in_use = Arc::new(InUse::new(u64::MAX));
        let mut part = Part::open(&dir, &in_use, "a".to_owned()).unwrap();
        let half = vec![0; 16 << 20];
        part.write(&half).unwrap();
        part.write(&half[1..]).unwrap();
        assert!(part.write_back().is_none(), "a byte is missing");
        part.write(&[0]).unwrap();
        let first = part.write_back().expect("32 MiB are here");
        assert!(part.write_back().is_none(), "nothing came since");
        part.write(&half).unwrap();
        part.write(&half).unwrap();
        assert!(part.write_back().is_none(), "the first has not ended");
        first();
        part.write_back().expect("the first has ended, and as much came again")();
        assert!(part.write_back().is_none(), "nothing came since");
    }
}
