//! Digests of files in the inbox. They are kept as long as the files are as they were, so that nobody can
//! have the same file read again and again.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cap_fs_ext::MetadataExt;
use cap_std::fs::{File, Metadata};
use sha2::{Digest as _, Sha256};
use unstick_session::message::Digest;

/// The size of a read when a file is digested.
pub(super) const CHUNK: usize = 256 << 10;
/// The maximum number of digests that are kept.
const MAX_KNOWN: usize = 16_384;
/// A file that was changed so recently may be changed again without a change of its times.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells whether a file is still as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Version {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    /// When its content or any of its metadata was changed last.
    changed: (i64, i64),
}

impl Version {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Option<Self> {
        use cap_std::fs::MetadataExt as _;
        Some(Self {
            file: (MetadataExt::dev(metadata), MetadataExt::ino(metadata)),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Other systems have no time of the last change that a program cannot set.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Option<Self> {
        None
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let changed = u64::try_from(self.changed.0).unwrap_or(0);
        let since = now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(changed));
        since.is_ok_and(|since| since > SETTLED)
    }
}

/// The digests that are known.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<Version, Digest>>);

impl Digests {
    /// Returns the length and digest of a file if they are known.
    pub(super) fn known(&self, file: &File) -> Option<(u64, Digest)> {
        let version = Version::of(&file.metadata().ok()?)?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&version).map(|digest| (version.len, *digest))
    }

    /// Returns the length and digest of a file, and keeps them. Ends early with an error once `unwanted`
    /// is set.
    pub(super) fn digest(
        &self,
        file: &mut File,
        unwanted: &AtomicBool,
    ) -> io::Result<(u64, Digest)> {
        if let Some(known) = self.known(file) {
            return Ok(known);
        }
        let before = Version::of(&file.metadata()?);
        let began = SystemTime::now();
        let (mut hasher, mut len, mut chunk) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
        loop {
            if unwanted.load(Ordering::Relaxed) {
                return Err(io::Error::other("nobody waits for the digest"));
            }
            let n = file.read(&mut chunk)?;
            if n == 0 {
                break;
            }
            hasher.update(chunk.get(..n).unwrap_or_default());
            len = len.saturating_add(n as u64);
        }
        let digest = Digest(hasher.finalize().into());
        let after = Version::of(&file.metadata()?);
        if let Some(version) =
            after.filter(|after| before == Some(*after) && after.is_settled(began))
        {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(version, digest);
        }
        Ok((len, digest))
    }
}

#[cfg(test)]
mod tests {
    use cap_std::fs::Dir;

    use super::*;

    fn open(dir: &Dir) -> File {
        dir.open("file").unwrap()
    }

    #[test]
    fn a_digest_is_kept_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(&folder, cap_std::ambient_authority()).unwrap();
        let (digests, wanted) = (Digests::default(), AtomicBool::new(false));
        dir.write("file", "content").unwrap();
        let first = digests.digest(&mut open(&dir), &wanted).unwrap();
        assert_eq!(first.0, 7);
        assert_eq!(digests.known(&open(&dir)), None, "it was changed just now");
        std::thread::sleep(SETTLED + Duration::from_millis(1100));
        assert_eq!(digests.digest(&mut open(&dir), &wanted).unwrap(), first);
        assert_eq!(digests.known(&open(&dir)), Some(first));
        // What is known is not read, so it is there also for somebody who does not wait.
        let unwanted = AtomicBool::new(true);
        assert_eq!(digests.digest(&mut open(&dir), &unwanted).unwrap(), first);
        // Content of the same length, and the same time.
        let modified = std::fs::metadata(folder.path().join("file")).unwrap().modified().unwrap();
        dir.write("file", "CONTENT").unwrap();
        let file = std::fs::File::options().append(true).open(folder.path().join("file")).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(digests.known(&open(&dir)), None);
        assert_ne!(digests.digest(&mut open(&dir), &wanted).unwrap(), first);
        dir.write("file", "another").unwrap();
        digests.digest(&mut open(&dir), &unwanted).unwrap_err();
    }
}
