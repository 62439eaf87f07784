//! The room that parts take: the parts in use, the maximum for all of them, and a full disk. Unused parts
//! make room for bytes that have arrived, the oldest first. What is only announced removes none.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions};

use super::name;
use super::system::{Disk, open_locked};
use crate::term::output::is_full;

/// The bytes that a part of one byte takes, as on a disk: its length is rounded up to a multiple.
const BLOCK: u64 = 4096;
/// The maximum number of parts.
const MAX_PARTS: usize = 10_000;
/// How long a list of the folder's parts is used, before the folder is listed again because the unused
/// parts that are known are too few.
const LISTED_FOR: Duration = Duration::from_secs(60);

/// In how long this many bytes of a file have to come while others wait for the room of its part.
pub(crate) const STALLED: Duration = Duration::from_secs(10);
pub(crate) const MIN_PROGRESS: u64 = 2 << 10;

/// How long it is remembered that a part had no room.
const WANTED_FOR: Duration = Duration::from_secs(3);

/// Returns how many bytes a part of this length counts for.
fn room_of(len: u64) -> u64 {
    len.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// Returns the error of a part for which the maximum of all parts has no room.
fn no_room() -> io::Error {
    let what = "files that are on their way in take all that --max-parts gives them";
    io::Error::new(io::ErrorKind::ResourceBusy, what)
}

/// The parts in use by this program, and the total size of all parts in the folder.
#[derive(Debug)]
pub(super) struct InUse {
    parts: Mutex<Parts>,
    /// The maximum number of bytes in all parts.
    max_bytes: u64,
    /// Held while old parts are removed, by one thread at a time.
    removal: Mutex<()>,
    /// When a part had no room last.
    wanted: Mutex<Option<Instant>>,
    pub(super) disk: Box<dyn Disk>,
}

/// The parts that are known. Another program may use the folder, too: what it does is known once the
/// folder is listed.
#[derive(Debug, Default)]
struct Parts {
    by_name: HashMap<String, Known>,
    /// The names of the unused parts, oldest first.
    unused: BTreeMap<u64, String>,
    /// The last age that was given.
    age: u64,
    /// The room that all parts take, and that the unused ones do.
    room: u64,
    unused_room: u64,
    /// The number of parts that are not empty.
    count: usize,
    listed: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    len: u64,
    /// When it had this length, since which it has grown by less than [`MIN_PROGRESS`].
    changed: Instant,
    changed_len: u64,
    /// The place of an unused part in the order of their ages.
    unused: Option<u64>,
}

impl Parts {
    fn len(&self, name: &str) -> u64 {
        self.by_name.get(name).map_or(0, |part| part.len)
    }

    fn set_len(&mut self, name: &str, len: u64) {
        if let Some(part) = self.by_name.get_mut(name) {
            self.room = self.room.saturating_sub(room_of(part.len)).saturating_add(room_of(len));
            self.count = self.count + usize::from(len > 0) - usize::from(part.len > 0);
            part.len = len;
            if len.checked_sub(part.changed_len).is_none_or(|more| more >= MIN_PROGRESS) {
                (part.changed, part.changed_len) = (Instant::now(), len);
            }
        }
    }

    /// Returns the room of the parts in use that have hardly grown for a while, but for the one of this name.
    fn stalled_room(&self, name: &str) -> u64 {
        let stalled = self.by_name.iter().filter(|(other, part)| {
            part.unused.is_none() && part.changed.elapsed() >= STALLED && *other != name
        });
        stalled.map(|(_, part)| room_of(part.len)).sum()
    }

    /// Marks a part as in use. Returns `false` if it is already.
    fn take(&mut self, name: &str) -> bool {
        let Some(part) = self.by_name.get_mut(name) else {
            let (len, unused) = (0, None);
            let part = Known { len, changed: Instant::now(), changed_len: len, unused };
            self.by_name.insert(name.to_owned(), part);
            return true;
        };
        let Some(age) = part.unused.take() else { return false };
        self.unused.remove(&age);
        self.unused_room = self.unused_room.saturating_sub(room_of(part.len));
        true
    }

    /// Marks a part as unused, the newest of these. An empty one is no part.
    fn give_back(&mut self, name: &str) {
        match self.by_name.get_mut(name) {
            Some(part) if part.len > 0 => {
                self.age += 1;
                part.unused = Some(self.age);
                self.unused.insert(self.age, name.to_owned());
                self.unused_room = self.unused_room.saturating_add(room_of(part.len));
            }
            _ => drop(self.by_name.remove(name)),
        }
    }
}

impl InUse {
    pub(super) fn new(max_bytes: u64, disk: Box<dyn Disk>) -> Self {
        Self {
            parts: Mutex::default(),
            max_bytes,
            removal: Mutex::default(),
            wanted: Mutex::default(),
            disk,
        }
    }

    /// The maximum number of bytes in all parts.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Returns whether a part has just had no room.
    pub(super) fn is_wanted(&self) -> bool {
        let wanted = *self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.is_some_and(|wanted| wanted.elapsed() < WANTED_FOR)
    }

    /// Returns the error of a part for which the maximum of all parts has no room, and notes it.
    fn busy(&self) -> io::Error {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        no_room()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves `more` bytes for a part in use, if they fit in the maximum.
    fn try_reserve(&self, name: &str, more: u64) -> bool {
        let mut parts = self.parts();
        let len = parts.len(name);
        let now = len.saturating_add(more);
        let total = parts.room.saturating_add(room_of(now) - room_of(len));
        let count = parts.count.saturating_add(usize::from(len == 0 && more > 0));
        let fits = total <= self.max_bytes && count <= MAX_PARTS;
        if fits {
            parts.set_len(name, now);
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
        if self.try_reserve(name, more) || self.evict(dir, || self.try_reserve(name, more))? {
            return Ok(());
        }
        Err(self.busy())
    }

    /// Lists the folder, and removes unused parts until the total is within the maximum.
    pub(super) fn limit(self: &Arc<Self>, dir: &Arc<Dir>) -> io::Result<()> {
        self.list(dir)?;
        self.evict(dir, || self.try_reserve("", 0)).map(drop)
    }

    /// Checks whether a part in use may get `more` bytes, if all unused parts made room for them. None is
    /// removed, and nothing reserved: when the bytes arrive, [`reserve`](Self::reserve) and
    /// [`with_room`](Self::with_room) make room, or refuse that file.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull) if the disk has not enough room, and
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if the maximum of all parts leaves none.
    pub(super) fn check_room(&self, dir: &Dir, name: &str, more: u64) -> io::Result<()> {
        {
            let parts = self.parts();
            let len = parts.len(name);
            let others = parts.room.saturating_sub(parts.unused_room).saturating_sub(room_of(len));
            let total = others.saturating_add(len).saturating_add(more);
            if total > self.max_bytes {
                // An announcement costs nothing: it is no reason to refuse files that would not help it.
                let helps = total - self.max_bytes <= parts.stalled_room(name);
                return Err(if helps { self.busy() } else { no_room() });
            }
        }
        let Some(free) = self.disk.free() else { return Ok(()) };
        let is_enough = || free.saturating_add(self.parts().unused_room) >= more;
        if free >= more || is_enough() || self.list_again(dir)? && is_enough() {
            return Ok(());
        }
        let what = format!("{more} bytes are wanted, and {free} are free");
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
            let _ = self.evict(dir, || {
                taken = take();
                !taken.as_ref().is_err_and(is_full)
            });
        }
        taken
    }

    /// Removes unused parts, oldest first, until `is_enough` returns `true`. Returns `false` if none is left
    /// before that.
    fn evict(
        self: &Arc<Self>,
        dir: &Arc<Dir>,
        mut is_enough: impl FnMut() -> bool,
    ) -> io::Result<bool> {
        let _one = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // One that cannot be removed is the newest then.
            let last = self.parts().age;
            loop {
                if is_enough() {
                    return Ok(true);
                }
                let oldest =
                    self.parts().unused.range(..=last).next().map(|(_, name)| name.clone());
                let Some(oldest) = oldest else { break };
                self.remove(dir, oldest);
            }
            if !self.list_again(dir)? {
                return Ok(false);
            }
        }
    }

    /// Removes the part of this name if it is not in use.
    pub(super) fn remove(self: &Arc<Self>, dir: &Dir, name: String) {
        let Some(claim) = Claim::new(name, self) else { return };
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match open_locked(dir, &claim.name, OpenOptions::new().write(true)) {
            Ok(Some(file)) => {
                claim.set_len(file.metadata().map_or(0, |metadata| metadata.len()));
                if dir.remove_file(&claim.name).is_ok() {
                    claim.set_len(0);
                }
            }
            Err(error) if is_gone(&error) => claim.set_len(0),
            Ok(None) | Err(_) => {}
        }
    }

    /// Lists the folder, if that was not done just before.
    fn list_again(&self, dir: &Dir) -> io::Result<bool> {
        let is_due = self.parts().listed.is_none_or(|listed| listed.elapsed() >= LISTED_FOR);
        if is_due {
            self.list(dir)?;
        }
        Ok(is_due)
    }

    /// Finds the unused parts in the folder. Meanwhile no part is taken into use or given back.
    fn list(&self, dir: &Dir) -> io::Result<()> {
        let mut parts = self.parts();
        let mut found = Vec::new();
        for entry in self.disk.list(dir)?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name::is_part(&name)
                && let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                let modified = metadata.modified().ok().map(|modified| modified.into_std());
                found.push((modified, name, metadata.len()));
            }
        }
        found.sort_unstable();
        for name in std::mem::take(&mut parts.unused).into_values() {
            parts.set_len(&name, 0);
            parts.by_name.remove(&name);
        }
        parts.unused_room = 0;
        for (_, name, len) in found {
            if parts.take(&name) {
                parts.set_len(&name, len);
                parts.give_back(&name);
            }
        }
        parts.listed = Some(Instant::now());
        Ok(())
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
        let is_taken = in_use.parts().take(&name);
        is_taken.then(|| Self { name, in_use: Arc::clone(in_use) })
    }

    /// Sets the part's length; to 0 once its bytes no longer count as a part.
    pub(super) fn set_len(&self, len: u64) {
        self.in_use.parts().set_len(&self.name, len);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.in_use.parts().give_back(&self.name);
    }
}
