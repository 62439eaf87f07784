//! What an inbox asks of the file system, and the next best way where it has no such thing.

use std::fmt::Debug;
#[cfg(not(unix))]
use std::fs::TryLockError;
use std::io::{self, Write};

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, OpenOptions, ReadDir};

/// The disk of an inbox. Tests have one that is full.
pub(super) trait Disk: Debug + Send + Sync {
    /// Returns how many bytes are free; `None` if the file system does not say.
    fn free(&self) -> Option<u64>;
    /// Lists the folder.
    fn list(&self, dir: &Dir) -> io::Result<ReadDir> {
        dir.entries()
    }
    /// Writes like [`Write::write`].
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize>;
    /// Syncs a file to disk.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Syncs the names in the folder to disk. Returns `false` if the file system cannot.
    fn sync_names(&self) -> io::Result<bool>;
}

/// The size of a read when a file is digested.
pub(super) const CHUNK: usize = 256 << 10;

/// Tries once what the inbox needs, and returns what the file system of this folder lacks.
///
/// # Errors
/// Returns an error if no file can be created and renamed there.
pub(super) fn probe(dir: &Dir, disk: &dyn Disk) -> io::Result<Vec<&'static str>> {
    // Another listener may start at the same time.
    let id = std::process::id();
    let (from, to) = (format!(".unstick-probe-{id}"), format!(".unstick-probe-{id}-renamed"));
    let remove = || [&from, &to].map(|name| dir.remove_file(name));
    let _ = remove(); // what an earlier run left
    let lacks = probe_with(dir, disk, &from, &to);
    let _ = remove();
    lacks
}

fn probe_with(dir: &Dir, disk: &dyn Disk, from: &str, to: &str) -> io::Result<Vec<&'static str>> {
    let file = open_in(dir, from, OpenOptions::new().write(true).create_new(true))?;
    let mut lacks = Vec::new();
    if lock(&file)? == Lock::Unsupported {
        lacks.push("it has no file locks: no other program must use this folder as its inbox");
    }
    if rename_new(dir, from, to)? == Renamed::OverPlaceholder {
        lacks.push(
            "it cannot rename a file without replacing one: if the machine fails at that moment, \
             an empty file may stay",
        );
    }
    if !disk.sync_names()? {
        lacks.push(
            "it cannot sync a folder: if the machine fails, names of stored files may be lost",
        );
    }
    Ok(lacks)
}

/// Whether a file is locked by this program now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Locked,
    /// Another program has it.
    Taken,
    /// The file system has no locks; then only this program's own list protects a part.
    Unsupported,
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

/// Opens a file like [`open_in`], so that it can be synced. Windows syncs only a file that is open for
/// writing: one that nobody may write is opened all the same there, and its sync fails.
pub(super) fn open_to_sync(dir: &Dir, name: &str) -> io::Result<File> {
    let open = |write| open_in(dir, name, OpenOptions::new().write(write));
    if cfg!(windows) { open(true).or_else(|_| open(false)) } else { open(false) }
}

/// Opens a file like [`open_in`], and locks it. Returns `None` if another program has it.
///
/// # Errors
/// Returns an error for a file with a second name, which may lead to a place outside the folder.
pub(super) fn open_locked(
    dir: &Dir,
    name: &str,
    options: &mut OpenOptions,
) -> io::Result<Option<File>> {
    // A retry in case the file was removed or renamed by its user in between.
    for _ in 0..2 {
        let file = open_in(dir, name, options)?;
        if lock(&file)? == Lock::Taken {
            return Ok(None);
        }
        let metadata = file.metadata()?;
        let there = dir.symlink_metadata(name).map(|there| (there.dev(), there.ino()));
        if there.is_ok_and(|there| there == (metadata.dev(), metadata.ino())) {
            if metadata.nlink() != 1 {
                return Err(io::Error::other("the part has a second name"));
            }
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// How a file got its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renamed {
    /// In one step, or with two names for a moment.
    AtOnce,
    /// The name was an empty file for a moment.
    OverPlaceholder,
}

/// The errors with which a file system says that it has no such thing.
#[cfg(unix)]
fn is_unsupported(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(
        error,
        Errno::NOSYS
            | Errno::INVAL
            | Errno::OPNOTSUPP
            | Errno::NOLCK
            | Errno::PERM
            // For a second link, on a file system that counts none.
            | Errno::MLINK
    )
}

/// Locks the file, because another program may use the same inbox.
#[cfg(unix)]
pub(super) fn lock(file: &File) -> io::Result<Lock> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock::Locked),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Lock::Taken),
        Err(error) if is_unsupported(error) => Ok(Lock::Unsupported),
        Err(error) => Err(error.into()),
    }
}

/// The same. The lock is mandatory there: others can neither read nor write the file.
#[cfg(not(unix))]
pub(super) fn lock(file: &File) -> io::Result<Lock> {
    use cap_std::io_lifetimes::AsFilelike;
    match file.as_filelike_view::<std::fs::File>().try_lock() {
        Ok(()) => Ok(Lock::Locked),
        Err(TryLockError::WouldBlock) => Ok(Lock::Taken),
        Err(TryLockError::Error(error)) if is_error_unsupported(&error) => Ok(Lock::Unsupported),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Renames a file; fails if the new name is taken.
pub(super) fn rename_new(dir: &Dir, from: &str, to: &str) -> io::Result<Renamed> {
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "ios"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(Renamed::AtOnce),
            Err(error) if is_unsupported(error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match dir.hard_link(from, dir, to) {
        Ok(()) => dir.remove_file(from).map(|()| Renamed::AtOnce),
        Err(error) if is_error_unsupported(&error) => rename_over_placeholder(dir, from, to),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn is_error_unsupported(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error).is_some_and(is_unsupported)
}

#[cfg(not(unix))]
fn is_error_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// Renames a file over an empty one, which is created first and has the name if it is free.
fn rename_over_placeholder(dir: &Dir, from: &str, to: &str) -> io::Result<Renamed> {
    dir.open_with(to, OpenOptions::new().write(true).create_new(true))?;
    match dir.rename(from, dir, to) {
        Ok(()) => Ok(Renamed::OverPlaceholder),
        Err(error) => {
            let _ = dir.remove_file(to);
            Err(error)
        }
    }
}

/// The system's functions, with a handle of the folder. The handle with which files are opened may not
/// support a sync.
#[derive(Debug)]
pub(super) struct System(#[cfg(unix)] std::os::fd::OwnedFd);

impl System {
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
}

impl Disk for System {
    fn free(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            let disk = rustix::fs::fstatvfs(&self.0).ok()?;
            // A file system that cannot say has no blocks at all.
            (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
        }
        #[cfg(not(unix))]
        None
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_names(&self) -> io::Result<bool> {
        #[cfg(unix)]
        match rustix::fs::fsync(&self.0) {
            Err(error) if is_unsupported(error) => return Ok(false),
            result => result?,
        }
        Ok(cfg!(unix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(&folder, cap_std::ambient_authority()).unwrap();
        (folder, dir)
    }

    #[test]
    fn a_usual_file_system_lacks_nothing() {
        let (folder, dir) = folder();
        let disk = System::of(&dir).unwrap();
        let left = format!(".unstick-probe-{}-renamed", std::process::id());
        std::fs::write(folder.path().join(left), "of an earlier run").unwrap();
        assert_eq!(probe(&dir, &disk).unwrap(), [""; 0]);
        assert_eq!(dir.entries().unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_exists_can_be_synced() {
        let (_folder, dir) = folder();
        dir.write("a", "old").unwrap();
        let file = open_to_sync(&dir, "a").unwrap();
        System::of(&dir).unwrap().sync(&file).unwrap();
    }

    /// Windows cannot sync it then, and says so at the sync.
    #[test]
    fn a_file_that_nobody_may_write_can_be_opened() {
        let (folder, dir) = folder();
        dir.write("a", "old").unwrap();
        let path = folder.path().join("a");
        let permissions = std::fs::metadata(&path).unwrap().permissions();
        let mut read_only = permissions.clone();
        read_only.set_readonly(true);
        std::fs::set_permissions(&path, read_only).unwrap();
        let opened = open_to_sync(&dir, "a");
        std::fs::set_permissions(&path, permissions).unwrap();
        assert_eq!(opened.unwrap().metadata().unwrap().len(), 3);
    }

    #[test]
    fn a_file_is_locked_once() {
        let (_folder, dir) = folder();
        let open = || open_locked(&dir, "a", OpenOptions::new().write(true).create(true)).unwrap();
        let first = open().unwrap();
        assert!(open().is_none());
        drop(first);
        assert!(open().is_some());
    }

    /// Each way to rename leaves another file as it is.
    #[test]
    fn a_name_that_is_taken_is_not_replaced() {
        type Rename = fn(&Dir, &str, &str) -> io::Result<Renamed>;
        for rename in [rename_new as Rename, rename_over_placeholder] {
            let (_folder, dir) = folder();
            dir.write("part", "new").unwrap();
            dir.write("taken", "old").unwrap();
            let error = rename(&dir, "part", "taken").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(dir.read("taken").unwrap(), b"old");
            rename(&dir, "part", "free").unwrap();
            assert_eq!(dir.read("free").unwrap(), b"new");
            assert!(!dir.exists("part"));
            assert_eq!(rename(&dir, "part", "other").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(!dir.exists("other"), "a placeholder is left");
        }
    }
}
