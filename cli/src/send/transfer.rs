//! Files to send: their paths, resume keys and contents. Contents are read and digested on other
//! threads while they are sent.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use unstick_session::message::{Digest, FileAttributes, ResumeKey, check_name};

use crate::addr::Addr;
use crate::send::secret::{self, Secret};
use crate::term::output::Failure;
use crate::term::preview;

/// The size of a read.
const CHUNK: usize = 512 << 10;
/// The size of a read from a pipe, which is sent as it comes.
const PIPE_CHUNK: usize = 64 << 10;
/// The number of chunks that are read ahead.
const AHEAD: usize = 2;

/// A file to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileItem {
    /// The path; `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    /// The name for the receiver.
    pub(crate) name: String,
}

impl FileItem {
    /// Creates an item for the file at this path, or for standard input if it is `-`. Without
    /// `name`, the file name is used.
    ///
    /// # Errors
    /// A message with a hint, if there is no such file or its name cannot be sent.
    pub(crate) fn new(path: &Path, name: Option<&str>) -> Result<Self, String> {
        let shown = path.display().to_string();
        if path == Path::new("-") {
            let name = name.ok_or("standard input has no name; give one with --name")?;
            return Ok(Self { path: None, name: checked(name)? });
        }
        let metadata =
            fs::metadata(path).map_err(|error| format!("cannot send {shown}: {error}"))?;
        if metadata.is_dir() {
            return Err(format!(
                "{shown} is a directory; send its files one by one, or as an archive: \
                 `tar c {shown} | unstick send ADDR - --name {}.tar`",
                path.file_name().unwrap_or(OsStr::new("files")).display()
            ));
        }
        let name = match name {
            Some(name) => name,
            None => path
                .file_name()
                .and_then(OsStr::to_str)
                .ok_or_else(|| format!("the name of {shown} is not UTF-8; give one with --name"))?,
        };
        Ok(Self { path: Some(path.to_owned()), name: checked(name)? })
    }

    /// Returns the path as shown to the user.
    pub(crate) fn shown(&self) -> String {
        self.path.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string())
    }
}

fn checked(name: &str) -> Result<String, String> {
    match check_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(error) => Err(format!(
            "{} is no name to send: {error}; give another with --name",
            preview::name(name)
        )),
    }
}

/// Derives resume keys from a secret of this user, so that nobody else can resume the upload, and
/// from the receiver's address, so that no receiver learns the key for another.
///
/// Apart from these, a file's key depends on its path only. If the file has changed meanwhile, its
/// old part has another digest and is replaced, so no part is left over.
pub(crate) struct ResumeKeys {
    secret: Secret,
    peer: String,
}

impl ResumeKeys {
    /// Creates the keys of this user for this address. If no secret can be kept, which is then said, a
    /// retry restarts from the beginning.
    pub(crate) fn new(addr: &Addr) -> Result<Self, Failure> {
        Ok(Self { secret: secret::of_this_user()?, peer: addr.to_string() })
    }

    pub(crate) fn of(&self, item: &FileItem) -> Result<ResumeKey, Failure> {
        let Some(path) = &item.path else {
            // Data of a pipe cannot be read again, so there is no retry.
            return Ok(ResumeKey(beginning(secret::random()?)));
        };
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let hash = Sha256::new()
            .chain_update(self.secret)
            .chain_update(Sha256::digest(&self.peer))
            .chain_update(path.as_os_str().as_encoded_bytes());
        Ok(ResumeKey(beginning(hash.finalize().into())))
    }
}

fn beginning(bytes: [u8; 32]) -> [u8; 16] {
    bytes.first_chunk().copied().unwrap_or_default()
}

/// The reason why a file cannot be sent completely.
#[derive(Debug)]
pub(crate) enum Unsendable {
    /// The file changed while it was sent.
    Changed,
    Unreadable(io::Error),
}

impl From<io::Error> for Unsendable {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// The content of a file that is being sent. A thread reads and digests it ahead.
pub(crate) struct FileSource {
    /// The size when the file was opened; `None` for a pipe.
    size: Option<u64>,
    /// When it was modified, and whether it is executable; `None` for a pipe.
    attributes: Option<(Option<SystemTime>, bool)>,
    /// `None` while a thread owns it.
    input: Option<Input>,
    read_ahead: Option<ReadAhead>,
    /// The first chunk, which was read when the file was opened.
    first: Vec<u8>,
    /// The chunk that was returned last.
    current: Vec<u8>,
    /// The number of bytes that were returned, or digested and skipped.
    position: u64,
}

/// A thread that reads ahead.
struct ReadAhead {
    chunks: mpsc::Receiver<Vec<u8>>,
    /// Returns the memory of sent chunks to the thread.
    spare: std::sync::mpsc::Sender<Vec<u8>>,
    job: JoinHandle<io::Result<Input>>,
}

/// An open file or standard input, with the digest of what was read.
struct Input {
    /// `None` for standard input.
    file: Option<File>,
    /// The stamp of the file when it was opened.
    stamp: Option<Stamp>,
    is_executable: bool,
    /// The number of bytes still to be read.
    remaining: u64,
    /// The hasher of all bytes read.
    hasher: Sha256,
    /// Whether the file had another stamp after its last byte was read.
    is_changed: bool,
}

/// The metadata by which a change of a file is detected.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn new(metadata: &Metadata) -> Self {
        Self { len: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Returns whether the owner of a file can execute it.
fn is_executable(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// Returns the nanoseconds since 1970; `None` if the protocol cannot represent the time.
fn since_1970(time: SystemTime) -> Option<i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(i64::wrapping_neg),
    }
}

impl Input {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let hasher = Sha256::new();
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                stamp: None,
                is_executable: false,
                remaining: u64::MAX,
                hasher,
                is_changed: false,
            });
        };
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // The size of a pipe or device is meaningless.
        let stamp = metadata.is_file().then(|| Stamp::new(&metadata));
        let remaining = stamp.map_or(u64::MAX, |stamp| stamp.len);
        let is_executable = is_executable(&metadata);
        Ok(Self { file: Some(file), stamp, is_executable, remaining, hasher, is_changed: false })
    }

    /// Fills the chunk, which is shorter only at the end of the file, and digests it. Of a pipe it reads
    /// what is there.
    fn read(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        let is_pipe = self.stamp.is_none();
        let most = if is_pipe { PIPE_CHUNK } else { CHUNK };
        // The old content is overwritten; it need not be zeroed first.
        chunk.resize(usize::try_from(self.remaining).unwrap_or(most).min(most), 0);
        let (mut n, mut ended) = (0, false);
        while let Some(spare @ [_, ..]) = chunk.get_mut(n..) {
            let read = match &mut self.file {
                Some(file) => file.read(spare),
                None => io::stdin().lock().read(spare),
            };
            match read {
                Ok(0) => ended = true,
                Ok(more) => n += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if is_pipe || ended {
                break;
            }
        }
        chunk.truncate(n);
        self.hasher.update(&chunk);
        self.remaining = if ended { 0 } else { self.remaining.saturating_sub(n as u64) };
        self.check_for_change();
        Ok(())
    }

    /// Restarts the digest with the first `len` bytes, or with all if there are fewer.
    fn digest_beginning(&mut self, len: u64) -> io::Result<()> {
        self.hasher = Sha256::new();
        if let (Some(file), Some(stamp)) = (&mut self.file, self.stamp) {
            file.rewind()?;
            let mut chunk = vec![0; CHUNK];
            let mut beginning = file.take(len);
            loop {
                match beginning.read(&mut chunk)? {
                    0 => break,
                    n => self.hasher.update(chunk.get(..n).unwrap_or_default()),
                }
            }
            self.remaining = stamp.len.saturating_sub(len);
            self.check_for_change();
        }
        Ok(())
    }

    /// Once everything is read, checks whether the file has changed since it was opened.
    fn check_for_change(&mut self) {
        if let (Some(file), Some(stamp), 0) = (&self.file, self.stamp, self.remaining) {
            let is_same = file.metadata().is_ok_and(|metadata| Stamp::new(&metadata) == stamp);
            self.is_changed = !is_same;
        }
    }

    fn digest(&self) -> Digest {
        Digest(self.hasher.clone().finalize().into())
    }
}

impl ReadAhead {
    fn begin(input: Input) -> Self {
        let (to, chunks) = mpsc::channel(AHEAD);
        let (spare, spares) = std::sync::mpsc::channel();
        let job = spawn_blocking(move || read_on(input, &to, &spares));
        Self { chunks, spare, job }
    }
}

/// Reads to the end, or until the receiver of the chunks is dropped.
fn read_on(
    mut input: Input,
    chunks: &mpsc::Sender<Vec<u8>>,
    spares: &std::sync::mpsc::Receiver<Vec<u8>>,
) -> io::Result<Input> {
    while input.remaining > 0 {
        let mut chunk = spares.try_recv().unwrap_or_default();
        input.read(&mut chunk)?;
        if chunk.is_empty() || chunks.blocking_send(chunk).is_err() {
            break;
        }
    }
    Ok(input)
}

impl FileSource {
    pub(crate) async fn open(item: &FileItem) -> io::Result<Self> {
        let path = item.path.clone();
        let open = move || -> io::Result<(Input, Vec<u8>)> {
            let mut input = Input::open(path.as_deref())?;
            // Most files are small: this read is all of them.
            let mut first = Vec::new();
            input.read(&mut first)?;
            if let Some(stamp @ Stamp { len: 0, .. }) = input.stamp {
                // Files of procfs, for example, say so and have content.
                (input.stamp, input.remaining) = (None, u64::MAX);
                input.read(&mut first)?;
                if first.is_empty() {
                    input.stamp = Some(stamp);
                }
            }
            Ok((input, first))
        };
        let (input, first) = blocking(spawn_blocking(open)).await??;
        // A file of sysfs ends before its size.
        let is_all = input.remaining == 0;
        let size = input.stamp.map(|stamp| if is_all { first.len() as u64 } else { stamp.len });
        let current = Vec::new();
        let attributes = input.stamp.map(|stamp| (stamp.modified, input.is_executable));
        Ok(Self {
            size,
            attributes,
            input: Some(input),
            read_ahead: None,
            first,
            current,
            position: 0,
        })
    }

    /// Returns the size, if it is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Returns the attributes of a regular file, for this transfer.
    pub(crate) fn attributes(&self, id: u32) -> Option<FileAttributes> {
        self.attributes.map(|(modified, is_executable)| FileAttributes {
            id,
            modified: modified.and_then(since_1970),
            is_executable,
        })
    }

    /// Returns the offset after the bytes returned so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Digests the first `len` bytes, or all if there are fewer, and continues after them.
    pub(crate) async fn digest_beginning(&mut self, len: u64) -> Result<Digest, Unsendable> {
        let mut input = self.idle_input().await?;
        let begin = move || input.digest_beginning(len).map(|()| input);
        let input = self.input.insert(blocking(spawn_blocking(begin)).await??);
        self.position = len;
        Ok(input.digest())
    }

    /// Restarts from the beginning.
    pub(crate) async fn rewind(&mut self) -> Result<(), Unsendable> {
        self.digest_beginning(0).await.map(drop)
    }

    /// Takes the input back from the reading thread; chunks that were read ahead are dropped.
    async fn idle_input(&mut self) -> Result<Input, Unsendable> {
        self.first.clear();
        if let Some(ReadAhead { chunks, job, .. }) = self.read_ahead.take() {
            drop(chunks);
            self.input = Some(blocking(job).await??);
        }
        self.input.take().ok_or_else(|| Unsendable::Unreadable(io::ErrorKind::Other.into()))
    }

    /// Returns the next chunk; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, Unsendable> {
        if let Some(input) = self.input.take_if(|input| input.remaining > 0) {
            self.read_ahead = Some(ReadAhead::begin(input));
        }
        let sent = std::mem::replace(&mut self.current, std::mem::take(&mut self.first));
        if let (true, Some(read_ahead)) = (self.current.is_empty(), &mut self.read_ahead) {
            // Fails at the end, when the thread has ended.
            _ = read_ahead.spare.send(sent);
            self.current = read_ahead.chunks.recv().await.unwrap_or_default();
        }
        if self.current.is_empty() {
            // Also after a failed read: then this returns the error.
            self.input = Some(self.idle_input().await?);
            return Ok(None);
        }
        self.position = self.position.saturating_add(self.current.len() as u64);
        Ok(Some(&self.current))
    }

    /// Returns the size and digest of the file.
    ///
    /// # Errors
    /// [`Changed`](Unsendable::Changed) if the file changed while it was read.
    pub(crate) async fn finish(&mut self) -> Result<(u64, Digest), Unsendable> {
        let input = self.idle_input().await?;
        let input = self.input.insert(input);
        if input.is_changed || self.size.is_some_and(|size| size != self.position) {
            return Err(Unsendable::Changed);
        }
        Ok((self.position, input.digest()))
    }
}

/// Waits for a blocking job; fails only if it panics or the program ends.
async fn blocking<T>(job: JoinHandle<T>) -> io::Result<T> {
    job.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    fn file(name: &str, bytes: &[u8]) -> FileItem {
        let path = std::env::temp_dir().join(format!("unstick-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        FileItem::new(&path, None).unwrap()
    }

    #[tokio::test]
    async fn a_source_returns_all_bytes_from_any_offset() {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let item = file("source", &bytes);
        for begin in [0, 1, CHUNK, CHUNK + 1, bytes.len() - 1, bytes.len()] {
            let mut source = FileSource::open(&item).await.unwrap();
            assert_eq!(source.size(), Some(bytes.len() as u64));
            let held = source.digest_beginning(begin as u64).await.unwrap();
            assert_eq!(held, digest(&bytes[..begin]), "{begin}");
            let mut remaining = Vec::new();
            while let Some(chunk) = source.next().await.unwrap() {
                remaining.extend_from_slice(chunk);
            }
            assert!(remaining == bytes[begin..], "{begin}");
            let whole = (bytes.len() as u64, digest(&bytes));
            assert_eq!(source.finish().await.unwrap(), whole, "{begin}");
        }
        let mut source = FileSource::open(&item).await.unwrap();
        source.digest_beginning(700_000).await.unwrap();
        source.rewind().await.unwrap();
        assert_eq!(source.next().await.unwrap().unwrap(), &bytes[..CHUNK]);
        fs::remove_file(item.path.unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_change_while_reading_is_detected() {
        let bytes = vec![7; 3 * CHUNK];
        let longer = [&bytes[..], b"more"].concat();
        let other = vec![8; bytes.len()];
        for change in [&longer, &bytes[..CHUNK], &bytes[..2 * CHUNK + 1], &other] {
            let item = file("change", &bytes);
            let path = item.path.clone().unwrap();
            let old = SystemTime::now() - std::time::Duration::from_secs(60);
            File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            // The first chunk is read now, and the others later.
            let mut source = FileSource::open(&item).await.unwrap();
            fs::write(&path, change).unwrap();
            while source.next().await.unwrap().is_some() {}
            assert!(matches!(source.finish().await, Err(Unsendable::Changed)));
            // Read again from the beginning it is consistent, but it still differs from the file
            // that was opened.
            source.rewind().await.unwrap();
            while source.next().await.unwrap().is_some() {}
            assert!(matches!(source.finish().await, Err(Unsendable::Changed)));
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn items_that_cannot_be_sent_are_refused_with_a_hint() {
        let dir = std::env::temp_dir();
        let item = file("plain", b"");
        let path = item.path.unwrap();
        for (path, name, why) in [
            (Path::new("-"), None, "give one with --name"),
            (dir.as_path(), None, " is a directory; send its files one by one"),
            (Path::new("/nowhere/at/all"), None, "cannot send /nowhere/at/all: "),
            (path.as_path(), Some("a/b"), "give another with --name"),
        ] {
            let error = FileItem::new(path, name).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(FileItem::new(&path, Some("x")).unwrap().name, "x");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_key_depends_on_path_peer_and_secret() {
        let (a, b) = (file("a", b"1"), file("b", b"1"));
        let keys = |secret, peer: &str| ResumeKeys { secret, peer: peer.to_owned() };
        let all = [
            keys([1; 32], "x:1").of(&a).unwrap(),
            keys([1; 32], "x:1").of(&b).unwrap(),
            keys([1; 32], "x:2").of(&a).unwrap(),
            keys([2; 32], "x:1").of(&a).unwrap(),
        ];
        for (i, key) in all.iter().enumerate() {
            assert!(!all[..i].contains(key));
        }
        assert_eq!(keys([1; 32], "x:1").of(&a).unwrap(), all[0]);
        for item in [a, b] {
            fs::remove_file(item.path.unwrap()).unwrap();
        }
    }
}
