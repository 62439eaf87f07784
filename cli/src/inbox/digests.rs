//! Digests of files in the inbox. They are kept as long as the files are as they were, so that nobody can
//! have the same file read again and again.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use cap_fs_ext::MetadataExt;
use cap_std::fs::{Dir, File, Metadata};
use sha2::{Digest as _, Sha256};
use unstick_session::message::Digest;

use super::system::{CHUNK, open_to_sync};

/// The maximum number of digests that are kept.
const MAX_KNOWN: usize = 16_384;
/// A file that was changed so recently may be changed again without a change of its times.
const SETTLED: Duration = Duration::from_secs(2);
/// How often a file is digested if its name leads to another one, or to other content, at the end.
const TRIES: u32 = 3;

/// What tells whether a file is still as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Version {
    file: (u64, u64),
    len: u64,
    modified: Option<SystemTime>,
    /// When its content or any of its metadata was changed last. Only Unix has such a time, which no
    /// program can set.
    changed: Option<(i64, i64)>,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let changed = {
            use cap_std::fs::MetadataExt as _;
            Some((metadata.ctime(), metadata.ctime_nsec()))
        };
        Self {
            file: (MetadataExt::dev(metadata), MetadataExt::ino(metadata)),
            len: metadata.len(),
            modified: metadata.modified().ok().map(|modified| modified.into_std()),
            #[cfg(unix)]
            changed,
            #[cfg(not(unix))]
            changed: None,
        }
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        self.changed.is_some_and(|(changed, _)| {
            let changed = Duration::from_secs(u64::try_from(changed).unwrap_or(0));
            let since = now.duration_since(SystemTime::UNIX_EPOCH + changed);
            since.is_ok_and(|since| since > SETTLED)
        })
    }
}

/// A file that has a name.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    pub(super) len: u64,
    /// Its digest, if it has the length asked for.
    pub(super) digest: Option<Digest>,
}

/// The digests that are known.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<Version, Digest>>);

impl Digests {
    fn by_version(&self) -> MutexGuard<'_, HashMap<Version, Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the digest of a file is known.
    pub(super) fn knows(&self, file: &File) -> bool {
        let version = file.metadata().map(|metadata| Version::of(&metadata));
        version.is_ok_and(|version| self.by_version().contains_key(&version))
    }

    /// Opens the regular file of this name, and digests it if it has this length. The name leads to
    /// what was digested also afterwards: otherwise this is repeated, and after a few times there is no
    /// digest, as for a file that cannot be read. Digesting ends once `is_unwanted` returns `true`.
    pub(super) fn find(
        &self,
        dir: &Dir,
        name: &str,
        len: u64,
        is_unwanted: impl Fn() -> bool,
    ) -> Option<Found> {
        let mut tries = TRIES;
        loop {
            let mut file = open_to_sync(dir, name).ok()?;
            let version = Version::of(&file.metadata().ok()?);
            let began = SystemTime::now();
            let mut digest = None;
            if version.len == len {
                let known = self.by_version().get(&version).copied();
                digest = known.or_else(|| digest_of(&mut file, &is_unwanted).ok());
            }
            let there = dir.symlink_metadata(name).map(|there| Version::of(&there));
            let is_there = there.is_ok_and(|there| there == version);
            if let Some(digest) = digest.filter(|_| is_there && version.is_settled(began)) {
                let mut known = self.by_version();
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                known.insert(version, digest);
            }
            tries -= 1;
            if is_there || tries == 0 {
                return Some(Found { file, len: version.len, digest: digest.filter(|_| is_there) });
            }
        }
    }
}

fn digest_of(file: &mut File, is_unwanted: impl Fn() -> bool) -> io::Result<Digest> {
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        if is_unwanted() {
            return Err(io::Error::other("nobody waits for the digest"));
        }
        match file.read(&mut chunk)? {
            0 => return Ok(Digest(hasher.finalize().into())),
            n => hasher.update(chunk.get(..n).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Seek as _;

    use super::*;

    fn folder() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(&folder, cap_std::ambient_authority()).unwrap();
        (folder, dir)
    }

    fn sha256(bytes: &str) -> Option<Digest> {
        Some(Digest(Sha256::digest(bytes).into()))
    }

    #[test]
    fn a_digest_is_kept_until_the_file_changes() {
        let (folder, dir) = folder();
        let digests = Digests::default();
        let digest = |is_unwanted| digests.find(&dir, "file", 7, || is_unwanted).unwrap().digest;
        let is_known = || digests.knows(&dir.open("file").unwrap());
        dir.write("file", "content").unwrap();
        assert_eq!(digest(false), sha256("content"));
        assert!(!is_known(), "it was changed just now");
        std::thread::sleep(SETTLED + Duration::from_millis(1100));
        assert_eq!(digest(false), sha256("content"));
        assert!(is_known());
        // What is known is not read, so it is there also for somebody who does not wait.
        assert_eq!(digest(true), sha256("content"));
        // Content of the same length, and the same time.
        let modified = std::fs::metadata(folder.path().join("file")).unwrap().modified().unwrap();
        dir.write("file", "CONTENT").unwrap();
        let file = std::fs::File::options().append(true).open(folder.path().join("file")).unwrap();
        file.set_modified(modified).unwrap();
        assert!(!is_known());
        assert_eq!(digest(true), None);
        assert_eq!(digest(false), sha256("CONTENT"));
    }

    #[test]
    fn the_file_that_was_digested_has_the_name_afterwards() {
        let (_folder, dir) = folder();
        let digests = Digests::default();
        let found = |name, change: &dyn Fn(u32)| {
            let times = Cell::new(0);
            digests.find(&dir, name, 3, || {
                // It is called before the read of the content, and before the read of the end.
                times.set(times.get() + 1);
                change(times.get());
                false
            })
        };
        dir.write("renamed", "one").unwrap();
        let replace = |time| {
            if time == 2 {
                dir.rename("renamed", &dir, "elsewhere").unwrap();
                dir.write("renamed", "two").unwrap();
            }
        };
        let mut file = found("renamed", &replace).unwrap();
        assert_eq!(file.digest, sha256("two"));
        let mut content = String::new();
        file.file.rewind().unwrap();
        file.file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "two");

        dir.write("changed", "one").unwrap();
        let change = |time| {
            if time == 2 {
                std::thread::sleep(Duration::from_millis(20));
                dir.write("changed", "two").unwrap();
            }
        };
        assert_eq!(found("changed", &change).unwrap().digest, sha256("two"));

        dir.write("replaced", "one").unwrap();
        let replace = |_| {
            dir.write("new", "two").unwrap();
            dir.rename("new", &dir, "replaced").unwrap();
        };
        let file = found("replaced", &replace).unwrap();
        assert_eq!((file.len, file.digest), (3, None), "it is another one each time");

        dir.write("removed", "one").unwrap();
        let remove = |_| drop(dir.remove_file("removed"));
        assert!(found("removed", &remove).is_none());
        dir.write("longer", "four").unwrap();
        let file = found("longer", &|_| {}).unwrap();
        assert_eq!((file.len, file.digest), (4, None));
    }
}
