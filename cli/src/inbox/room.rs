//! The room that parts take: the parts in use, the maximum for all of them, and a full disk. Unused parts
//! make room for others, the oldest first.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::{Dir, OpenOptions};

use super::name;
use super::system::{Disk, open_locked};
use crate::term::output::is_full;

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
    pub(super) disk: Box<dyn Disk>,
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
    pub(super) fn new(max_bytes: u64, disk: Box<dyn Disk>) -> Self {
        Self { parts: Mutex::default(), max_bytes, removal: Mutex::default(), disk }
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

    /// Reserves bytes like [`try_reserve`](Self::try_reserve), and removes unused parts until they
    /// fit.
    pub(super) fn reserve(
        self: &Arc<Self>,
        dir: &Arc<Dir>,
        name: &str,
        more: u64,
    ) -> io::Result<()> {
        if self.try_reserve(name, more) || self.evict(dir, |_| self.try_reserve(name, more))? {
            return Ok(());
        }
        let what = "files that are on their way in take all that --max-parts gives them";
        Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
    }

    /// Removes unused parts until the total is within the maximum.
    pub(super) fn limit(self: &Arc<Self>, dir: &Arc<Dir>) -> io::Result<()> {
        self.evict(dir, |_| self.try_reserve("", 0)).map(drop)
    }

    /// Removes unused parts until the disk has room for `wanted` bytes; none if all of them are too
    /// few.
    ///
    /// The room is not reserved. If several files are accepted that do not fit together, a write fails
    /// later; [`with_room`](Self::with_room) then makes room for it, or only that file is refused.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull) if there is not enough room.
    pub(super) fn make_room(self: &Arc<Self>, dir: &Arc<Dir>, wanted: u64) -> io::Result<()> {
        let mut free = match self.disk.free() {
            Some(free) if free < wanted => free,
            _ => return Ok(()),
        };
        self.count_others(dir)?;
        let is_enough = free.saturating_add(self.parts().others) >= wanted
            && self.evict(dir, |removed| {
                // Another thread may have made room. After a removal the system may need a while until
                // it counts the room as free.
                if removed == 0 {
                    free = self.disk.free().unwrap_or(u64::MAX);
                }
                free.saturating_add(removed) >= wanted
            })?;
        if is_enough {
            return Ok(());
        }
        let what = format!("{wanted} bytes are wanted, and {free} are free");
        Err(io::Error::new(io::ErrorKind::StorageFull, what))
    }

    /// Runs an operation that takes room on the disk. As long as it fails because the disk is full, an
    /// unused part is removed and it is run again.
    pub(super) fn with_room<T>(
        self: &Arc<Self>,
        dir: &Arc<Dir>,
        mut take: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut taken = take();
        if taken.as_ref().is_err_and(is_full) {
            // If the parts cannot be listed, the error of the operation is returned.
            let _ = self.evict(dir, |_| {
                taken = take();
                !taken.as_ref().is_err_and(is_full)
            });
        }
        taken
    }

    /// Removes unused parts, oldest first, until `is_enough` returns `true` for the number of bytes
    /// removed. Returns `false` if none is left before that.
    fn evict(
        self: &Arc<Self>,
        dir: &Arc<Dir>,
        mut is_enough: impl FnMut(u64) -> bool,
    ) -> io::Result<bool> {
        let _one = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut removed = 0_u64;
        for (oldest, room) in self.count_others(dir)? {
            if is_enough(removed) {
                return Ok(true);
            }
            if self.remove(dir, oldest) {
                removed = removed.saturating_add(room);
            }
        }
        Ok(is_enough(removed))
    }

    /// Removes the part of this name if it is not in use. Returns whether it was removed.
    pub(super) fn remove(self: &Arc<Self>, dir: &Dir, name: String) -> bool {
        let Some(claim) = Claim::new(name, self) else { return false };
        let Ok(Some(file)) = open_locked(dir, &claim.name, OpenOptions::new().write(true)) else {
            return false;
        };
        claim.adopt(file.metadata().map_or(0, |metadata| metadata.len()));
        let removed = dir.remove_file(&claim.name).is_ok();
        if removed {
            claim.forget();
        }
        removed
    }

    /// Counts the unused parts, and returns their names and the room they take, oldest first.
    fn count_others(&self, dir: &Dir) -> io::Result<Vec<(String, u64)>> {
        let mut others = Vec::new();
        for entry in dir.entries()?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name::is_part(&name)
                && let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                let modified = metadata.modified().ok().map(|modified| modified.into_std());
                others.push((modified, name, room_of(metadata.len())));
            }
        }
        let mut parts = self.parts();
        others.retain(|(_, name, _)| !parts.in_use.contains_key(name));
        parts.others = others.iter().map(|(_, _, room)| room).sum();
        parts.others_count = others.len();
        others.sort_unstable();
        Ok(others.into_iter().map(|(_, name, room)| (name, room)).collect())
    }
}

/// Marks a part as in use until dropped.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) in_use: Arc<InUse>,
}

impl Claim {
    pub(super) fn new(name: String, in_use: &Arc<InUse>) -> Option<Self> {
        let mut parts = in_use.parts();
        if parts.in_use.contains_key(&name) {
            return None;
        }
        parts.in_use.insert(name.clone(), 0);
        Some(Self { name, in_use: Arc::clone(in_use) })
    }

    /// Moves the part's length from the count of unused parts to its own.
    pub(super) fn adopt(&self, len: u64) {
        let mut parts = self.in_use.parts();
        parts.others = parts.others.saturating_sub(room_of(len));
        parts.others_count = parts.others_count.saturating_sub(usize::from(len > 0));
        parts.in_use.insert(self.name.clone(), len);
    }

    /// Sets the part's length to 0, once its bytes no longer count as a part.
    pub(super) fn forget(&self) {
        if let Some(len) = self.in_use.parts().in_use.get_mut(&self.name) {
            *len = 0;
        }
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
