//! What a file has besides its bytes, as far as the sender is believed.

use std::io;
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, File, OpenOptions};
use unstick_session::message::FileAttributes;

/// How the attributes of a sender are applied to a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preserve {
    /// The permissions that this program may give to a program: those of a new file for which all were
    /// asked. The rest is masked by the umask.
    #[cfg_attr(not(unix), expect(dead_code))]
    allowed: u32,
}

impl Preserve {
    /// Learns from a new file in this folder what the umask allows.
    pub(super) fn of(dir: &Dir) -> io::Result<Self> {
        let name = format!(".unstick-probe-{}-mode", std::process::id());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use cap_std::fs::OpenOptionsExt as _;
            options.mode(0o777);
        }
        let _ = dir.remove_file(&name); // what an earlier run left
        let mode = dir.open_with(&name, &options).and_then(|file| Ok(mode(&file.metadata()?)));
        let _ = dir.remove_file(&name);
        Ok(Self { allowed: mode? & 0o777 })
    }

    /// Sets the time of the file, and makes it executable for those who may read it. It gets no other
    /// right, and none that the umask takes away. A time that the file system cannot have is left out.
    pub(super) fn apply(self, attributes: &FileAttributes, file: &File) -> io::Result<()> {
        #[cfg(unix)]
        if attributes.is_executable {
            use cap_std::fs::PermissionsExt as _;
            let mut permissions = file.metadata()?.permissions();
            let mode = permissions.mode() & 0o777;
            permissions.set_mode(mode | ((mode & 0o444) >> 2 & self.allowed));
            file.set_permissions(permissions)?;
        }
        if let Some(modified) = attributes.modified.and_then(time) {
            let _ = file.try_clone()?.into_std().set_modified(modified);
        }
        Ok(())
    }
}

#[cfg(unix)]
fn mode(metadata: &cap_std::fs::Metadata) -> u32 {
    use cap_std::fs::PermissionsExt as _;
    metadata.permissions().mode()
}

#[cfg(not(unix))]
fn mode(_: &cap_std::fs::Metadata) -> u32 {
    0
}

/// Returns the time from nanoseconds since 1970. `None` if the system cannot represent it.
fn time(since_1970: i64) -> Option<SystemTime> {
    let distance = Duration::from_nanos(since_1970.unsigned_abs());
    match since_1970 < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    }
}
