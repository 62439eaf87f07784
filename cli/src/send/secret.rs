//! A secret of this user, which is kept between runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::crypto::ring;

use crate::term::output::{Failure, note};

pub(super) type Secret = [u8; 32];

const NAME: &str = "resume-secret";

/// Returns the secret of this user. If none can be kept, says so, and returns one for this run.
pub(super) fn of_this_user() -> Result<Secret, Failure> {
    let failed = match state_dir() {
        Some(dir) => match stored(&dir) {
            Ok(secret) => return Ok(secret),
            Err(error) => format!("no secret can be kept in {}: {error}", dir.display()),
        },
        None => "there is no folder to keep a secret in: set HOME".to_owned(),
    };
    note(&format!(
        "unstick: warning: files that are interrupted will start from the beginning, {failed}"
    ));
    random()
}

/// Returns a new secret.
pub(super) fn random() -> Result<Secret, Failure> {
    let mut secret = Secret::default();
    let filled = ring::default_provider().secure_random.fill(&mut secret);
    filled.map_err(|_| Failure::job("this system gives no random numbers"))?;
    Ok(secret)
}

/// Returns the folder for state that is kept between runs.
pub(crate) fn state_dir() -> Option<PathBuf> {
    let variable =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("XDG_STATE_HOME")
        .or_else(|| variable("LOCALAPPDATA"))
        .or_else(|| Some(variable("HOME")?.join(".local/state")))
        .map(|dir| dir.join("unstick"))
}

/// Returns the secret in this folder; creates it if there is none.
fn stored(dir: &Path) -> io::Result<Secret> {
    let path = dir.join(NAME);
    if let Ok(Some(secret)) = read(&path) {
        return Ok(secret);
    }
    fs::create_dir_all(dir)?;
    // One process at a time creates it. Without locks, two may, and one of them may use a secret that
    // is not kept.
    let lock = private().open(dir.join(format!("{NAME}.lock")))?;
    let _ = lock.lock();
    let is_damaged = match read(&path) {
        Ok(Some(secret)) => return Ok(secret),
        Ok(None) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let secret = random().map_err(|_| io::ErrorKind::Unsupported)?;
    // It gets its name whole: those who read without the lock see no half of it.
    let new = dir.join(format!("{NAME}.new"));
    let mut file = private().truncate(true).open(&new)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, &path)?;
    if is_damaged {
        note(&format!(
            "unstick: warning: {} was damaged and is made anew, files that were interrupted start \
             from the beginning",
            path.display()
        ));
    }
    Ok(read(&path)?.unwrap_or(secret))
}

/// Reads a secret. `None` if there is another content: the machine may have failed, or the disk been full,
/// while it was written.
fn read(path: &Path) -> io::Result<Option<Secret>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(size_of::<Secret>() as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok().filter(|secret| *secret != Secret::default()))
}

/// Returns the options to write a file that only this user may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_secret_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("state/unstick");
        let secret = stored(&dir).unwrap();
        assert_ne!(secret, Secret::default());
        assert_eq!(
            (stored(&dir).unwrap(), fs::read(dir.join(NAME)).unwrap()),
            (secret, secret.into())
        );
        let other = stored(&folder.path().join("other")).unwrap();
        assert_ne!(other, secret);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_secret_is_made_anew() {
        for damaged in [&[][..], &[7; 31], &[7; 33], &[0; 32]] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(NAME), damaged).unwrap();
            let secret = stored(folder.path()).unwrap();
            assert_eq!(fs::read(folder.path().join(NAME)).unwrap(), secret);
            assert_eq!(stored(folder.path()).unwrap(), secret);
        }
    }

    #[test]
    fn all_who_create_a_secret_at_once_get_the_same() {
        for damaged in [None, Some([7; 5])].repeat(20) {
            let folder = tempfile::tempdir().unwrap();
            if let Some(damaged) = damaged {
                fs::write(folder.path().join(NAME), damaged).unwrap();
            }
            let start = std::sync::Barrier::new(16);
            let secrets: Vec<_> = thread::scope(|scope| {
                let one = || {
                    start.wait();
                    stored(folder.path()).unwrap()
                };
                let threads: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let kept = stored(folder.path()).unwrap();
            assert!(secrets.iter().all(|secret| *secret == kept));
        }
    }

    /// A device that is always full.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_keeps_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join(format!("{NAME}.new"))).unwrap();
        let error = stored(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
