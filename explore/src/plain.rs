//! The storage under the library's own [`FileReceiver`], which does not resume: what it holds is
//! lost with the connection.

use std::cell::RefCell;

use unstick_session::message::{Code, Digest, FileOpen, FileStatus};
use unstick_session::session::{Event, FileReceiver, IncomingFile};

use crate::turn::NAMES;
use crate::world::{Disk, digest};

thread_local! {
    /// The disk of the side whose step is taken.
    static DISK: RefCell<Disk> = RefCell::default();
}

pub type Begin = fn(&FileOpen<'_>) -> Result<Held, Code>;

/// A file that is being received: its bytes, not yet under its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    file: usize,
    bytes: Vec<u8>,
}

impl IncomingFile for Held {
    type Error = Code;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Code> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn digest(&mut self) -> Digest {
        digest(&self.bytes)
    }

    fn store(self) -> Result<(), Code> {
        DISK.with_borrow_mut(|disk| match &disk.files[self.file] {
            Some(there) if *there == self.bytes => Ok(()),
            Some(_) => Err(Code::EXISTS),
            free => {
                debug_assert!(free.is_none());
                disk.files[self.file] = Some(self.bytes);
                Ok(())
            }
        })
    }
}

fn begin(open: &FileOpen<'_>) -> Result<Held, Code> {
    Ok(Held { file: file_of(open.name), bytes: Vec::new() })
}

/// Returns the number of the file with this name.
pub fn file_of(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap_or(0)
}

pub fn receiver() -> FileReceiver<Held, Begin> {
    FileReceiver::new(3, begin)
}

/// Lets the receiver handle an event, with this disk under it.
pub fn handle(
    receiver: &mut FileReceiver<Held, Begin>,
    disk: &mut Disk,
    event: &Event<'_>,
) -> Option<FileStatus<'static>> {
    DISK.replace(std::mem::take(disk));
    let status = receiver.handle(event);
    *disk = DISK.take();
    status
}
