//! The received part of an incomplete file, next to its final place.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::fs::{Dir, File, OpenOptions};
use sha2::{Digest as _, Sha256};
use unstick_session::message::{Digest, FileAttributes};

use super::attributes::Preserve;
use super::room::{Claim, InUse};
use super::system::{CHUNK, open_locked, open_to_sync, rename_new};

/// The number of new bytes after which the disk starts to write them.
const WRITE_BACK: u64 = 32 << 20;

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
    /// Whether the disk was full at a write that was then repeated.
    was_full: bool,
    /// Whether the part was removed or renamed.
    is_gone: bool,
}

impl Part {
    /// Opens the part of this name; creates it if there is none.
    ///
    /// # Errors
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if the part is in use.
    pub(super) fn open(dir: &Arc<Dir>, in_use: &Arc<InUse>, name: String) -> io::Result<Self> {
        let taken = || io::Error::new(io::ErrorKind::ResourceBusy, "its part is in use");
        let claim = Claim::new(name, in_use).ok_or_else(taken)?;
        let file = open_locked(dir, &claim.name, OpenOptions::new().write(true).create(true))?;
        let file = file.ok_or_else(taken)?;
        let len = file.metadata()?.len();
        claim.set_len(len);
        Ok(Self {
            file,
            dir: Arc::clone(dir),
            claim,
            len,
            fresh: 0,
            writes_back: Arc::default(),
            was_full: false,
            is_gone: false,
        })
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

    /// Checks whether there could be room for `more` bytes; see [`InUse::check_room`].
    pub(super) fn check_room(&self, more: u64) -> io::Result<()> {
        self.claim.in_use.check_room(&self.dir, &self.claim.name, more)
    }

    /// Discards the content.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.len = 0;
        self.file.set_len(0)?;
        self.claim.set_len(0);
        self.file.rewind()
    }

    /// Appends bytes, if all parts together have room for them. After another error than
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) the part has to be removed.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let in_use = &self.claim.in_use;
        in_use.reserve(&self.dir, &self.claim.name, bytes.len() as u64)?;
        let (mut rest, mut tries) = (bytes, 0_u32);
        let written = in_use.with_room(&self.dir, || {
            tries = tries.saturating_add(1);
            while !rest.is_empty() {
                match in_use.disk.write(&self.file, rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        self.was_full |= tries > 1;
        let more = bytes.len() as u64;
        self.len = self.len.saturating_add(more);
        self.fresh = self.fresh.saturating_add(more);
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
            if let Ok(file) = open_to_sync(&dir, &name) {
                _ = file.sync_data();
            }
            writes_back.store(false, Ordering::Relaxed);
        })
    }

    /// Syncs the whole part, which has this digest, to disk, with its attributes. After an error the part
    /// has to be removed: what is in memory may not be on disk, and no later sync would say so.
    pub(super) fn sync(
        &mut self,
        digest: Digest,
        attributes: Option<(Preserve, &FileAttributes)>,
    ) -> io::Result<()> {
        if let Some((preserve, attributes)) = attributes {
            preserve.apply(attributes, &self.file)?;
        }
        self.claim.in_use.disk.sync(&self.file)?;
        // A network file system reports with a write that an earlier one was lost, and then no more.
        if self.was_full && Digest(self.digest(|| false)?.finalize().into()) != digest {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Renames the part to its final name, if the name is free.
    pub(super) fn rename(&mut self, name: &str) -> io::Result<()> {
        let (dir, claim) = (&self.dir, &self.claim);
        claim.in_use.with_room(dir, || rename_new(dir, &claim.name, name))?;
        self.claim.set_len(0);
        self.is_gone = true;
        Ok(())
    }

    /// Removes the part. Returns `false` if that fails and it stays; only its sender finds it.
    pub(crate) fn remove(mut self) -> bool {
        self.remove_now()
    }

    fn remove_now(&mut self) -> bool {
        self.is_gone = true;
        let removed = self.dir.remove_file(&self.claim.name).is_ok();
        if removed {
            self.claim.set_len(0);
        }
        removed
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Bytes that the disk refused would be read from memory at the next try, and the sync then be
        // told nothing of it.
        if !self.is_gone && (self.len == 0 || self.claim.in_use.disk.sync(&self.file).is_err()) {
            self.remove_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::system::System;
    use super::*;

    #[test]
    fn one_write_back_at_a_time_starts_every_32_mib() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Arc::new(Dir::open_ambient_dir(&folder, cap_std::ambient_authority()).unwrap());
        let disk = Box::new(System::of(&dir).unwrap());
        let in_use = Arc::new(InUse::new(u64::MAX, disk));
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
