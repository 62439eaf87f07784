//! Receiving files one after the other, as most applications do.

use core::fmt;

use unstick::Kind;

use super::Event;
use crate::message::{Code, Digest, FileOpen, FileStatus};

/// An incoming file in the application's storage, for a [`FileReceiver`].
///
/// Keep the bytes where they cannot be mistaken for the finished file, for example under another
/// name. Dropping this value without [`store`](Self::store) must discard them: the file was refused
/// or abandoned, or the connection broke.
pub trait IncomingFile: Sized {
    /// Why the file cannot be received: a refusal such as [`Code::NO_SPACE`], or [`Code::EXISTS`].
    /// `std::io::Error` can be used.
    type Error: Into<Code>;

    /// Appends the next bytes of the file. The first call starts at offset 0.
    ///
    /// # Errors
    /// An error is reported to the sender, and this value is dropped.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Returns the SHA-256 of all bytes written so far.
    fn digest(&mut self) -> Digest;

    /// Stores the file. It is complete, and its digest is correct.
    ///
    /// Sync the bytes to disk (`sync_all`), then give the file its name. Do not replace an existing
    /// file.
    ///
    /// # Errors
    /// An error is reported to the sender.
    fn store(self) -> Result<(), Self::Error>;
}

/// Receives a peer's files: answers the events of a session. The application implements the storage
/// and the digest as an [`IncomingFile`].
///
/// Each file is received from its beginning, up to a maximum size, and gets its name only when it
/// is complete and its digest is correct. (To resume an earlier attempt, answer the events
/// [yourself](super#files).)
///
/// ```
/// use unstick_session::message::{Code, Digest, FileOpen, Message};
/// use unstick_session::session::{FileReceiver, IncomingFile};
///
/// struct Upload(Vec<u8>); // `examples/upload_server.rs` has one that writes to disk
///
/// impl IncomingFile for Upload {
///     type Error = std::io::Error;
///     fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
///         self.0.extend_from_slice(bytes);
///         Ok(())
///     }
///     fn digest(&mut self) -> Digest {
/// #       let sha256 = |_: &[u8]| [0; 32];
///         Digest(sha256(&self.0))
///     }
///     fn store(self) -> std::io::Result<()> {
///         println!("{} bytes", self.0.len());
///         Ok(())
///     }
/// }
///
/// # fn example(mut connection: unstick_session::io::Connection<std::net::TcpStream>)
/// # -> Result<(), unstick_session::io::ConnectionError> {
/// let mut files = FileReceiver::new(1 << 20, |_: &FileOpen<'_>| Ok(Upload(Vec::new())));
/// while let Some(event) = connection.recv()? {
///     if let Some(status) = files.handle(&event) {
///         connection.feed(&Message::FileStatus(status))?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FileReceiver<F, O> {
    begin: O,
    max_size: u64,
    open: Option<Open<F>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Open<F> {
    id: u32,
    file: F,
}

impl<F, O> FileReceiver<F, O>
where
    F: IncomingFile,
    O: FnMut(&FileOpen<'_>) -> Result<F, F::Error>,
{
    /// Creates a receiver for files of at most `max_size` bytes.
    ///
    /// `begin` is called for each offered file. It returns the storage for its bytes, or an error
    /// to refuse it. The file's name is one path component: the session refuses any other name
    /// (spec, 13.6).
    pub const fn new(max_size: u64, begin: O) -> Self {
        Self { begin, max_size, open: None }
    }

    /// Handles an event, and returns the status to send before the next event is handled. Returns
    /// `None` if nothing is to be sent, also for events that do not concern files.
    ///
    /// Calls the [`IncomingFile`] methods, and blocks as long as they do.
    pub fn handle(&mut self, event: &Event<'_>) -> Option<FileStatus<'static>> {
        match *event {
            Event::FileOpen(open) => Some(self.begin(&open)),
            Event::FileData(data) => {
                let open = self.open.as_mut().filter(|open| open.id == data.id)?;
                let end = data.offset.saturating_add(data.bytes.len() as u64);
                let written = if end > self.max_size {
                    Err(Code::TOO_LARGE)
                } else {
                    open.file.write(data.bytes).map_err(Into::into)
                };
                let code = written.err()?;
                self.open = None;
                Some(refusal(data.id, code))
            }
            Event::FileDone(done) => {
                let Open { mut file, .. } = self.open.take_if(|open| open.id == done.id)?;
                let answer = done.answer(file.digest());
                if answer.code != Code::STORED {
                    return Some(answer);
                }
                Some(match file.store() {
                    Ok(()) => answer,
                    Err(error) => refusal(done.id, error.into()),
                })
            }
            Event::FileCancel(cancel) => self.drop_file(cancel.id),
            Event::FileRefused { id, .. } => self.drop_file(id),
            Event::Close(_) => {
                self.open = None;
                None
            }
            _ => None,
        }
    }

    fn begin(&mut self, open: &FileOpen<'_>) -> FileStatus<'static> {
        self.open = None;
        if open.size.is_some_and(|size| size > self.max_size) {
            return refusal(open.id, Code::TOO_LARGE);
        }
        match (self.begin)(open) {
            Ok(file) => {
                self.open = Some(Open { id: open.id, file });
                FileStatus::ready(open.id, 0, Digest::OF_NOTHING)
            }
            Err(error) => refusal(open.id, error.into()),
        }
    }

    fn drop_file(&mut self, id: u32) -> Option<FileStatus<'static>> {
        self.open.take_if(|open| open.id == id);
        None
    }
}

/// Creates a refusal. A code that is not a refusal would be read as success or progress, or not be
/// sent at all, so it is replaced by storage-failed.
fn refusal(id: u32, code: Code) -> FileStatus<'static> {
    let is_refusal = code.is_final() && code != Code::STORED && code.is_for(Kind::FILE_STATUS);
    FileStatus::new(id, if is_refusal { code } else { Code::STORAGE_FAILED })
}

impl<F, O> fmt::Debug for FileReceiver<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReceiver")
            .field("max_size", &self.max_size)
            .field("open", &self.open.as_ref().map(|open| open.id))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::message::{Close, FileCancel, FileData, FileDone, Hello, Message, ResumeKey};
    use crate::session::Session;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::vec::Vec;

    /// A scripted disk: logs the calls it receives, and returns the configured failures.
    #[derive(Default)]
    struct Disk {
        log: RefCell<Vec<&'static str>>,
        fails: Cell<Option<Code>>,
    }

    impl Disk {
        fn answer(&self, what: &'static str) -> Result<(), Code> {
            self.log.borrow_mut().push(what);
            self.fails.get().map_or(Ok(()), Err)
        }
    }

    struct File {
        disk: Rc<Disk>,
        len: u8,
    }

    impl IncomingFile for File {
        type Error = Code;

        fn write(&mut self, bytes: &[u8]) -> Result<(), Code> {
            self.len += u8::try_from(bytes.len()).unwrap();
            self.disk.answer("write")
        }

        fn digest(&mut self) -> Digest {
            Digest([self.len; 32])
        }

        fn store(self) -> Result<(), Code> {
            self.disk.answer("store")
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            self.disk.log.borrow_mut().push("drop");
        }
    }

    /// Runs the messages through a session and a receiver of files up to ten bytes, with the
    /// failures of the disk. The session checks each answer, and at the end that none is owed.
    /// Returns the codes of the answers and the disk's log.
    fn after(fails: &[(usize, Code)], said: &[Message<'_>]) -> (Vec<Code>, Vec<&'static str>) {
        let disk = Rc::new(Disk::default());
        let mut files = FileReceiver::new(10, |open: &FileOpen<'_>| {
            assert_eq!(open.name, "a");
            disk.answer("begin")?;
            Ok(File { disk: Rc::clone(&disk), len: 0 })
        });
        let (mut session, mut codes) = (Session::new(), Vec::new());
        for (i, message) in said.iter().enumerate() {
            disk.fails.set(fails.iter().find(|(at, _)| *at == i).map(|(_, code)| *code));
            let payload = message.encode().unwrap().to_payload();
            let event = session.handle_frame(message.kind(), &payload).unwrap();
            if let Some(status) = files.handle(&event) {
                session.send(&Message::FileStatus(status)).unwrap();
                codes.push(status.code);
            }
            while session.poll_transmit().is_some() {}
        }
        drop(files);
        assert_eq!(session.owed(), 0, "an answer is missing");
        (codes, disk.log.take())
    }

    fn open(id: u32, size: Option<u64>) -> Message<'static> {
        Message::FileOpen(FileOpen { id, key: ResumeKey([0; 16]), size, name: "a" })
    }

    fn data(id: u32, offset: u64, bytes: &[u8]) -> Message<'_> {
        Message::FileData(FileData { id, offset, bytes })
    }

    fn done(id: u32, total: u64, digest: u8) -> Message<'static> {
        Message::FileDone(FileDone { id, total, digest: Digest([digest; 32]) })
    }

    #[test]
    fn only_a_whole_file_with_its_digest_is_stored() {
        // spec: FIL-21, FIL-22
        let whole = [open(1, None), data(1, 0, b"abc"), data(1, 3, b"de"), done(1, 5, 5)];
        let stored = ["begin", "write", "write", "store", "drop"];
        assert_eq!(after(&[], &whole), ([Code::READY, Code::STORED].into(), stored.into()));
        let empty = [open(1, Some(0)), done(1, 0, 0)];
        assert_eq!(after(&[], &empty).0, [Code::READY, Code::STORED]);

        let (codes, disk) = after(&[], &[open(1, None), data(1, 0, b"abc"), done(1, 3, 4)]);
        assert_eq!(codes, [Code::READY, Code::BAD_DIGEST]);
        assert_eq!(disk, ["begin", "write", "drop"]);
    }

    #[test]
    fn a_file_over_the_limit_is_refused_by_its_size_or_its_data() {
        let (codes, disk) = after(&[], &[open(1, Some(11)), data(1, 0, &[0; 11]), done(1, 11, 11)]);
        assert_eq!((codes, disk), ([Code::TOO_LARGE].into(), [].into()));
        let ten = [open(1, Some(10)), data(1, 0, &[0; 10]), done(1, 10, 10)];
        assert_eq!(after(&[], &ten).0, [Code::READY, Code::STORED]);
        let eleven = [open(1, None), data(1, 0, &[0; 10]), data(1, 10, &[0]), done(1, 11, 11)];
        let (codes, disk) = after(&[], &eleven);
        assert_eq!(codes, [Code::READY, Code::TOO_LARGE]);
        assert_eq!(disk, ["begin", "write", "drop"]);
    }

    #[test]
    fn a_storage_error_is_reported_and_the_next_file_is_received() {
        let full = Code::NO_SPACE;
        let said = [
            open(1, None),
            data(1, 0, b"a"),
            done(1, 1, 1),
            open(2, None),
            data(2, 0, b"ab"),
            done(2, 2, 2),
        ];
        let ok = [Code::READY, Code::STORED];
        for (at, codes) in [(0, &[full][..]), (1, &[Code::READY, full]), (2, &[Code::READY, full])]
        {
            let (answers, disk) = after(&[(at, full)], &said);
            assert_eq!(answers, [codes, &ok].concat(), "{at}");
            assert_eq!(disk.last(), Some(&"drop"));
            assert_eq!(
                disk.iter().filter(|what| **what == "drop").count(),
                2 - usize::from(at == 0)
            );
        }
        // An application's error must never be reported to the sender as a success.
        let other = [Code::NO_ERROR, Code::TRUNCATED, Code::GIVEN_UP, Code(0x01FF)];
        for code in [Code::STORED, Code::READY, Code::WORKING].into_iter().chain(other) {
            let failed = [Code::READY, Code::STORAGE_FAILED];
            assert_eq!(after(&[(2, code)], &said).0, [failed, ok].concat());
        }
        assert_eq!(after(&[(2, Code::EXISTS)], &said[..3]).0, [Code::READY, Code::EXISTS]);
    }

    #[test]
    fn abandoned_files_are_dropped_and_the_open_file_stays() {
        let cancel = FileCancel { id: 1, code: Code::GIVEN_UP, reason: "" };
        let cancelled = [open(1, None), data(1, 0, b"a"), Message::FileCancel(cancel)];
        let dropped = (Vec::from([Code::READY]), Vec::from(["begin", "write", "drop"]));
        assert_eq!(after(&[], &cancelled), dropped);
        let closed = [open(1, None), data(1, 0, b"a"), Message::Close(Close::ORDINARY)];
        assert_eq!(after(&[], &closed), dropped);
        // The session refuses a gap. It also refuses a second open, without harm to the first.
        assert_eq!(after(&[], &[open(1, None), data(1, 0, b"a"), data(1, 2, b"c")]), dropped);
        let second =
            [open(1, None), open(2, None), data(1, 0, b"a"), data(2, 0, b"b"), done(1, 1, 1)];
        let (codes, disk) = after(&[], &second);
        assert_eq!(codes, [Code::READY, Code::STORED]);
        assert_eq!(disk, ["begin", "write", "store", "drop"]);
    }

    /// An answer over a small peer's limit would end the conversation.
    #[test]
    fn every_answer_fits_the_smallest_limit() {
        // spec: CNV-11, FIL-20
        let hello = Message::Hello(Hello { limit: 46, name: "" });
        let bad = [open(1, None), data(1, 0, b"abc"), done(1, 3, 4)];
        let said = [&[hello, open(0, Some(11))], &bad[..]].concat();
        assert_eq!(after(&[], &said).0, [Code::TOO_LARGE, Code::READY, Code::BAD_DIGEST]);
        let said = [hello, open(0, None), open(1, None), data(1, 0, b"a")];
        let full = [(1, Code::NO_SPACE), (3, Code::NO_SPACE)];
        assert_eq!(after(&full, &said).0, [Code::NO_SPACE, Code::READY, Code::NO_SPACE]);
    }

    #[test]
    fn debug_shows_the_open_file() {
        let mut files = FileReceiver::new(10, |_: &FileOpen<'_>| Err::<File, _>(Code::QUOTA));
        let open = FileOpen { id: 1, key: ResumeKey([0; 16]), size: None, name: "a" };
        let refused = FileStatus::new(1, Code::QUOTA);
        assert_eq!(files.handle(&Event::FileOpen(open)), Some(refused));
        assert_eq!(std::format!("{files:?}"), "FileReceiver { max_size: 10, open: None, .. }");
    }
}
