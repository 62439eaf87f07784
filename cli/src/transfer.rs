//! Files to send: which ones, under which resume keys, and their bytes, read and digested on other
//! threads while they are sent.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_rustls::rustls::crypto::ring;
use unstick_session::message::{Digest, ResumeKey, check_name};

use crate::addr::Addr;
use crate::output::Failure;
use crate::preview::escaped;

/// The bytes that are read at once.
const CHUNK: usize = 512 << 10;
/// So many times that are read ahead of what is sent.
const AHEAD: usize = 2;

/// A file that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileItem {
    /// Where it is; standard input if nowhere.
    pub(crate) path: Option<PathBuf>,
    /// What the receiver is to call it.
    pub(crate) name: String,
}

impl FileItem {
    /// The file at this path, `-` for standard input, under its own name or the one given.
    ///
    /// An `Err` says what is wrong and what to try.
    pub(crate) fn new(path: &Path, name: Option<&str>) -> Result<Self, String> {
        let shown = escaped(&path.display().to_string());
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
                escaped(&path.file_name().unwrap_or(OsStr::new("files")).display().to_string())
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

    /// How it is shown here.
    pub(crate) fn shown(&self) -> String {
        let path =
            self.path.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string());
        escaped(&path)
    }
}

fn checked(name: &str) -> Result<String, String> {
    match check_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(error) => Err(format!(
            "\"{}\" is no name to send: {error}; give another with --name",
            escaped(name)
        )),
    }
}

/// What resume keys are derived from: a secret of this user's, so that nobody else can go on with
/// what was sent, and where it goes, so that no receiver learns the key for another.
///
/// A file's key depends on its path alone. One that changed meanwhile finds its old part, whose
/// digest does not match, and replaces it; nothing is left over.
pub(crate) struct Keys {
    secret: [u8; 32],
    peer: String,
}

impl Keys {
    /// The keys of this user for what goes to this address. Where no secret can be kept a next try
    /// begins anew.
    pub(crate) fn new(addr: &Addr) -> Result<Self, Failure> {
        let secret = match state_dir().map(|dir| kept_secret(&dir)) {
            Some(Ok(secret)) => secret,
            _ => random().map_err(|_| Failure::job("this system gives no random numbers"))?,
        };
        Ok(Self { secret, peer: addr.to_string() })
    }

    pub(crate) fn of(&self, item: &FileItem) -> Result<ResumeKey, Failure> {
        let Some(path) = &item.path else {
            // What comes from a pipe comes once.
            let random =
                random().map_err(|_| Failure::job("this system gives no random numbers"))?;
            return Ok(ResumeKey(beginning(random)));
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

fn random() -> Result<[u8; 32], ()> {
    let mut bytes = [0; 32];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| ())?;
    Ok(bytes)
}

/// Where programs keep what they remember of earlier runs.
fn state_dir() -> Option<PathBuf> {
    let variable =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("XDG_STATE_HOME")
        .or_else(|| variable("LOCALAPPDATA"))
        .or_else(|| Some(variable("HOME")?.join(".local/state")))
        .map(|dir| dir.join("unstick"))
}

/// The secret that is kept in this folder; the first time one is made.
fn kept_secret(dir: &Path) -> io::Result<[u8; 32]> {
    let path = dir.join("resume-secret");
    let read = || -> io::Result<[u8; 32]> {
        fs::read(&path)?.try_into().map_err(|_| io::ErrorKind::InvalidData.into())
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    fs::create_dir_all(dir)?;
    let secret = random().map_err(|()| io::ErrorKind::Unsupported)?;
    let draft = dir.join(format!("resume-secret.{}", std::process::id()));
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&draft)?.write_all(&secret)?;
    // Two that run for the first time at once agree on one.
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read(),
    }
}

/// Why a file cannot be sent to its end.
#[derive(Debug)]
pub(crate) enum Unsendable {
    /// It changed while it was sent.
    Changed,
    Unreadable(io::Error),
}

impl From<io::Error> for Unsendable {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// A file that is being sent. A thread reads and digests it, ahead of what is sent.
pub(crate) struct Source {
    /// The bytes that it had when it was opened; not known of a pipe.
    size: Option<u64>,
    /// `None` while a thread reads.
    input: Option<Input>,
    reading: Option<Reading>,
    /// The beginning, which was read when it was opened.
    first: Vec<u8>,
    /// What was handed out last.
    current: Vec<u8>,
    /// The bytes that were handed out, or digested in place of that.
    position: u64,
}

/// A thread that reads.
struct Reading {
    chunks: mpsc::Receiver<Vec<u8>>,
    /// Takes the memory of chunks that were sent.
    spare: std::sync::mpsc::Sender<Vec<u8>>,
    job: JoinHandle<io::Result<Input>>,
}

/// Where bytes come from.
struct Input {
    /// Standard input if there is none.
    file: Option<File>,
    /// How the file was when it was opened.
    stamp: Option<Stamp>,
    /// The bytes that are still to be read.
    rest: u64,
    /// Of all that was read.
    hasher: Sha256,
    /// Whether the file was another one once its last byte was read.
    is_changed: bool,
}

/// What a change of a file changes.
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

impl Input {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let hasher = Sha256::new();
        let Some(path) = path else {
            return Ok(Self { file: None, stamp: None, rest: u64::MAX, hasher, is_changed: false });
        };
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // The size of a pipe or device says nothing.
        let stamp = metadata.is_file().then(|| Stamp::new(&metadata));
        let rest = stamp.map_or(u64::MAX, |stamp| stamp.len);
        Ok(Self { file: Some(file), stamp, rest, hasher, is_changed: false })
    }

    /// Fills the chunk, less only at the end, and digests it.
    fn read(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        // What it has from the last time is overwritten, and not filled with zeros first.
        let most = usize::try_from(self.rest).unwrap_or(CHUNK).min(CHUNK);
        chunk.resize(most, 0);
        let mut n = 0;
        while let Some(spare @ [_, ..]) = chunk.get_mut(n..) {
            let read = match &mut self.file {
                Some(file) => file.read(spare),
                None => io::stdin().lock().read(spare),
            };
            match read {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        chunk.truncate(n);
        self.hasher.update(&chunk);
        self.rest = if n < most { 0 } else { self.rest.saturating_sub(n as u64) };
        self.look_for_change();
        Ok(())
    }

    /// Reads and digests the first `len` bytes anew, or all if there are fewer.
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
            self.rest = stamp.len.saturating_sub(len);
            self.look_for_change();
        }
        Ok(())
    }

    /// Once all is read, says whether it was the same file all the while.
    fn look_for_change(&mut self) {
        if let (Some(file), Some(stamp), 0) = (&self.file, self.stamp, self.rest) {
            let is_same = file.metadata().is_ok_and(|metadata| Stamp::new(&metadata) == stamp);
            self.is_changed = !is_same;
        }
    }

    fn digest(&self) -> Digest {
        Digest(self.hasher.clone().finalize().into())
    }
}

impl Reading {
    fn begin(input: Input) -> Self {
        let (to, chunks) = mpsc::channel(AHEAD);
        let (spare, spares) = std::sync::mpsc::channel();
        let job = spawn_blocking(move || read_on(input, &to, &spares));
        Self { chunks, spare, job }
    }
}

/// Reads to the end, or until nobody wants more.
fn read_on(
    mut input: Input,
    chunks: &mpsc::Sender<Vec<u8>>,
    spares: &std::sync::mpsc::Receiver<Vec<u8>>,
) -> io::Result<Input> {
    while input.rest > 0 {
        let mut chunk = spares.try_recv().unwrap_or_default();
        input.read(&mut chunk)?;
        if chunk.is_empty() || chunks.blocking_send(chunk).is_err() {
            break;
        }
    }
    Ok(input)
}

impl Source {
    pub(crate) async fn open(item: &FileItem) -> io::Result<Self> {
        let path = item.path.clone();
        let open = move || -> io::Result<(Input, Vec<u8>)> {
            let mut input = Input::open(path.as_deref())?;
            // Most files are small, and whole after this.
            let mut first = Vec::new();
            input.read(&mut first)?;
            Ok((input, first))
        };
        let (input, first) = blocking(spawn_blocking(open)).await??;
        let size = input.stamp.map(|stamp| stamp.len);
        let current = Vec::new();
        Ok(Self { size, input: Some(input), reading: None, first, current, position: 0 })
    }

    /// The bytes that it has, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The offset behind what was handed out.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Digests the first `len` bytes, or all if there are fewer, and goes on behind them.
    pub(crate) async fn digest_beginning(&mut self, len: u64) -> Result<Digest, Unsendable> {
        let mut input = self.idle_input().await?;
        let begin = move || input.digest_beginning(len).map(|()| input);
        let input = self.input.insert(blocking(spawn_blocking(begin)).await??);
        self.position = len;
        Ok(input.digest())
    }

    /// Begins anew.
    pub(crate) async fn rewind(&mut self) -> Result<(), Unsendable> {
        self.digest_beginning(0).await.map(drop)
    }

    /// The input, once no thread has it; what was read ahead is forgotten.
    async fn idle_input(&mut self) -> Result<Input, Unsendable> {
        self.first.clear();
        if let Some(Reading { chunks, job, .. }) = self.reading.take() {
            drop(chunks);
            self.input = Some(blocking(job).await??);
        }
        self.input.take().ok_or_else(|| Unsendable::Unreadable(io::ErrorKind::Other.into()))
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, Unsendable> {
        if let Some(input) = self.input.take_if(|input| input.rest > 0) {
            self.reading = Some(Reading::begin(input));
        }
        let sent = std::mem::replace(&mut self.current, std::mem::take(&mut self.first));
        if let (true, Some(reading)) = (self.current.is_empty(), &mut self.reading) {
            // At the end nobody takes it.
            _ = reading.spare.send(sent);
            self.current = reading.chunks.recv().await.unwrap_or_default();
        }
        if self.current.is_empty() {
            // Also where it cannot be read any further: then this says why.
            self.input = Some(self.idle_input().await?);
            return Ok(None);
        }
        self.position = self.position.saturating_add(self.current.len() as u64);
        Ok(Some(&self.current))
    }

    /// The size and digest of all that was handed out, if the file was the same all the while.
    pub(crate) async fn finish(&mut self) -> Result<(u64, Digest), Unsendable> {
        let input = self.idle_input().await?;
        let input = self.input.insert(input);
        if input.is_changed || self.size.is_some_and(|size| size != self.position) {
            return Err(Unsendable::Changed);
        }
        Ok((self.position, input.digest()))
    }
}

/// What a thread brings; it fails only where it panics, or the program ends.
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
    async fn a_source_gives_all_bytes_from_wherever_it_begins() {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let item = file("source", &bytes);
        for begin in [0, 1, CHUNK, CHUNK + 1, bytes.len() - 1, bytes.len()] {
            let mut source = Source::open(&item).await.unwrap();
            assert_eq!(source.size(), Some(bytes.len() as u64));
            let held = source.digest_beginning(begin as u64).await.unwrap();
            assert_eq!(held, digest(&bytes[..begin]), "{begin}");
            let mut rest = Vec::new();
            while let Some(chunk) = source.next().await.unwrap() {
                rest.extend_from_slice(chunk);
            }
            assert!(rest == bytes[begin..], "{begin}");
            let whole = (bytes.len() as u64, digest(&bytes));
            assert_eq!(source.finish().await.unwrap(), whole, "{begin}");
        }
        let mut source = Source::open(&item).await.unwrap();
        source.digest_beginning(700_000).await.unwrap();
        source.rewind().await.unwrap();
        assert_eq!(source.next().await.unwrap().unwrap(), &bytes[..CHUNK]);
        fs::remove_file(item.path.unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_changes_is_found_out() {
        let bytes = vec![7; 3 * CHUNK];
        let longer = [&bytes[..], b"more"].concat();
        let other = vec![8; bytes.len()];
        for change in [&longer, &bytes[..CHUNK], &bytes[..2 * CHUNK + 1], &other] {
            let item = file("change", &bytes);
            let path = item.path.clone().unwrap();
            let old = SystemTime::now() - std::time::Duration::from_secs(60);
            File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            // The beginning is read now, and the rest later.
            let mut source = Source::open(&item).await.unwrap();
            fs::write(&path, change).unwrap();
            while source.next().await.unwrap().is_some() {}
            assert!(matches!(source.finish().await, Err(Unsendable::Changed)));
            // From the beginning on it is one file, and still not the one that was opened.
            source.rewind().await.unwrap();
            while source.next().await.unwrap().is_some() {}
            assert!(matches!(source.finish().await, Err(Unsendable::Changed)));
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_sent_is_said_beforehand() {
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
    fn a_key_belongs_to_a_path_a_peer_and_a_user() {
        let dir = std::env::temp_dir().join(format!("unstick-{}-secret", std::process::id()));
        let secret = kept_secret(&dir).unwrap();
        assert_eq!(kept_secret(&dir).unwrap(), secret);
        fs::remove_dir_all(dir).unwrap();
        let (a, b) = (file("a", b"1"), file("b", b"1"));
        let keys = |secret, peer: &str| Keys { secret, peer: peer.to_owned() };
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
