//! The received part of an incomplete file, next to its final place.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, OpenOptions};
use sha2::{Digest as _, Sha256};

use super::digests::CHUNK;
use super::name;
use super::system::{Lock, lock, rename_new};

/// The number of new bytes after which the disk starts to write them.
const WRITE_BACK: u64 = 32 << 20;

/// The bytes that a part of one byte takes, as on a disk: its length is rounded up to a multiple.
const BLOCK: u64 = 4096;
/// The maximum number of parts.
const MAX_PARTS: usize = 10_000;

/// Returns how many bytes a part of this length counts for.
fn room_of(len: u64) -> u64 {
    len.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// The parts in use by this program, and the total size of all parts in the folder.
#[derive(Debug)]
pub(super) struct InUse {
    parts: Mutex<Parts>,
    /// The maximum number of bytes in all parts.
    max_bytes: u64,
    /// Held while old parts are removed, by one thread at a time.
    removal: Mutex<()>,
}

#[derive(Debug, Default)]
struct Parts {
    /// The lengths of the parts in use, by name.
    in_use: HashMap<String, u64>,
    /// The room that all other parts take, and their number, at the last count. Another program may
    /// use the folder, too.
    others: u64,
    others_count: usize,
}

impl Parts {
    fn total(&self) -> u64 {
        self.in_use.values().fold(self.others, |sum, len| sum.saturating_add(room_of(*len)))
    }

    fn count(&self) -> usize {
        self.others_count.saturating_add(self.in_use.len())
    }
}

impl InUse {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { parts: Mutex::default(), max_bytes, removal: Mutex::default() }
    }

    /// The maximum number of bytes in all parts.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves `more` bytes for a part in use, if they fit in the maximum.
    fn try_reserve(&self, name: &str, more: u64) -> bool {
        let mut parts = self.parts();
        let len = parts.in_use.get(name).copied().unwrap_or(0);
        let now = len.saturating_add(more);
        let total = parts.total().saturating_add(room_of(now) - room_of(len));
        let fits = total <= self.max_bytes && parts.count() <= MAX_PARTS;
        if fits && let Some(len) = parts.in_use.get_mut(name) {
            *len = now;
        }
        fits
    }

    /// Sets the length of a part in use.
    fn resize(&self, name: &str, now: u64) {
        if let Some(len) = self.parts().in_use.get_mut(name) {
            *len = now;
        }
    }

    /// Reserves bytes like [`try_reserve`](Self::try_reserve), and removes unused parts, oldest
    /// first, until they fit.
    fn reserve(self: &Arc<Self>, dir: &Arc<Dir>, name: &str, more: u64) -> io::Result<()> {
        if self.try_reserve(name, more) {
            return Ok(());
        }
        let _one = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Removes unused parts, oldest first, until the total is within the maximum.
    pub(super) fn make_room(self: &Arc<Self>, dir: &Arc<Dir>) -> io::Result<()> {
        for oldest in self.count_others(dir)? {
            if self.try_reserve("", 0) {
                break;
            }
            remove(dir, self, oldest);
        }
        Ok(())
    }

    /// Counts the unused parts, and returns their names, oldest first.
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
        parts.others = others.iter().map(|(_, _, len)| room_of(*len)).sum();
        parts.others_count = others.len();
        others.sort_unstable();
        Ok(others.into_iter().map(|(_, name, _)| name).collect())
    }
}

/// Marks a part as in use until dropped.
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

    /// Moves the part's length from the count of unused parts to its own.
    fn adopt(&self, len: u64) {
        let mut parts = self.in_use.parts();
        parts.others = parts.others.saturating_sub(room_of(len));
        parts.others_count = parts.others_count.saturating_sub(usize::from(len > 0));
        parts.in_use.insert(self.name.clone(), len);
    }

    /// Sets the part's length to 0, once its bytes no longer count as a part.
    fn forget(&self) {
        self.in_use.resize(&self.name, 0);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut parts = self.in_use.parts();
        let left = parts.in_use.remove(&self.name).unwrap_or(0);
        parts.others = parts.others.saturating_add(room_of(left));
        parts.others_count = parts.others_count.saturating_add(usize::from(left > 0));
    }
}

/// An open part, locked by this program. Dropping it keeps the part for a retry; an empty part is
/// removed.
#[derive(Debug)]
pub(crate) struct Part {
    file: File,
    dir: Arc<Dir>,
    claim: Claim,
    len: u64,
    /// The bytes written since the last write-back began.
    fresh: u64,
    /// Whether a write-back is running.
    writes_back: Arc<AtomicBool>,
    /// Whether the part was removed or renamed.
    is_gone: bool,
}

/// The reason why a part cannot be opened.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// The part is in use.
    InUse,
    Io(io::Error),
}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Part {
    /// Opens the part of this name; creates it if there is none.
    pub(super) fn open(
        dir: &Arc<Dir>,
        in_use: &Arc<InUse>,
        name: String,
    ) -> Result<Self, Unavailable> {
        let claim = Claim::new(name, in_use).ok_or(Unavailable::InUse)?;
        // A retry in case the part was removed or renamed by its user in between.
        for _ in 0..2 {
            let file = open_in(dir, &claim.name, OpenOptions::new().write(true).create(true))?;
            if lock(&file)? == Lock::Taken {
                return Err(Unavailable::InUse);
            }
            let metadata = file.metadata()?;
            let there = dir.symlink_metadata(&claim.name).map(|there| (there.dev(), there.ino()));
            if there.is_ok_and(|there| there == (metadata.dev(), metadata.ino())) {
                // A second link may lead to a place outside the folder.
                if metadata.nlink() != 1 {
                    let what = "the part has a second name";
                    return Err(Unavailable::Io(io::Error::other(what)));
                }
                let (dir, len) = (Arc::clone(dir), metadata.len());
                claim.adopt(len);
                let writes_back = Arc::default();
                return Ok(Self { file, dir, claim, len, fresh: 0, writes_back, is_gone: false });
            }
        }
        Err(Unavailable::InUse)
    }

    /// Returns the number of bytes in the part.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Digests the content, which leaves the file position at the end. Returns early once
    /// `is_needless` returns `true`; then the part has to be [restarted](Self::restart), or is dropped.
    pub(super) fn digest(&mut self, is_needless: impl Fn() -> bool) -> io::Result<Sha256> {
        self.file.rewind()?;
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        let mut rest = self.len;
        while rest > 0 && !is_needless() {
            let n = self.file.read(&mut chunk)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            hasher.update(chunk.get(..n).unwrap_or_default());
            rest = rest.saturating_sub(n as u64);
        }
        if rest > 0 {
            self.file.seek(SeekFrom::Start(self.len))?;
        }
        Ok(hasher)
    }

    /// Discards the content.
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
            // Bytes that were written before the disk was full are kept for a retry.
            Err(_) => self.file.metadata().map_or(self.len, |metadata| metadata.len()),
        };
        self.claim.in_use.resize(&self.claim.name, self.len);
        self.fresh = self.fresh.saturating_add(bytes.len() as u64);
        written
    }

    /// Returns a job that writes the data to disk, to be run concurrently with further writes;
    /// `None` if too few bytes were written or a job is still running. Without it, the system may
    /// delay writing a large file until the sync at its end, for which the sender would have to
    /// wait.
    pub(crate) fn write_back(&mut self) -> Option<impl FnOnce() + Send + use<>> {
        if self.fresh < WRITE_BACK || self.writes_back.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.fresh = 0;
        let (dir, name) = (Arc::clone(&self.dir), self.claim.name.clone());
        let writes_back = Arc::clone(&self.writes_back);
        // A separate handle, because the system reports a failed write once for each handle, and
        // the last sync has to receive it.
        Some(move || {
            if let Ok(file) = open_in(&dir, &name, &mut OpenOptions::new()) {
                _ = file.sync_data();
            }
            writes_back.store(false, Ordering::Relaxed);
        })
    }

    /// Syncs the whole part to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Renames the part to its final name, if the name is free.
    pub(super) fn rename(&mut self, name: &str) -> io::Result<()> {
        rename_new(&self.dir, &self.claim.name, name)?;
        self.claim.forget();
        self.is_gone = true;
        Ok(())
    }

    /// Removes the part.
    pub(crate) fn remove(mut self) {
        self.remove_now();
    }

    fn remove_now(&mut self) {
        self.is_gone = true;
        // A part that cannot be removed stays; only its sender finds it.
        if self.dir.remove_file(&self.claim.name).is_ok() {
            self.claim.forget();
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Bytes that the disk refused would be read from memory at the next try, and the sync then be
        // told nothing of it.
        if !self.is_gone && (self.len == 0 || self.file.sync_data().is_err()) {
            self.remove_now();
        }
    }
}

/// Removes the part of this name if it is not in use.
pub(super) fn remove(dir: &Arc<Dir>, in_use: &Arc<InUse>, name: String) {
    if dir.symlink_metadata(&name).is_ok()
        && let Ok(part) = Part::open(dir, in_use, name)
    {
        part.remove();
    }
}

/// Opens a regular file in the folder. Does not follow a link, and does not block on a pipe.
pub(super) fn open_in(dir: &Dir, name: &str, options: &mut OpenOptions) -> io::Result<File> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_back_at_a_time_starts_every_32_mib() {
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
