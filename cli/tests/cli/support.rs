//! Runs the built command, with a time limit for every wait.
#![allow(unreachable_pub)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use unstick::{Framing, Kind, V1};
use unstick_session::message::{
    Digest, FileData, FileDone, FileOpen, FileStatus, Message, ResumeKey,
};

/// The time limit. Nothing takes this long unless it hangs.
pub const TIMEOUT: Duration = Duration::from_secs(60);

pub fn unstick() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unstick"));
    // The state that is kept between runs is separate from the user's.
    command.env("XDG_STATE_HOME", std::env::temp_dir().join("unstick-tests"));
    command
}

/// The result of a command.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Asserts the exit code, and that standard error contains `why`; with code 1 it must be one
    /// line.
    #[track_caller]
    pub fn fails(&self, code: i32, why: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(why), "{why}: {self:?}");
        if code == 1 {
            assert!(self.stderr.starts_with("unstick: "), "{self:?}");
            assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        }
    }

    #[track_caller]
    pub fn succeeds(&self, stdout: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (0, stdout), "{self:?}");
    }
}

/// Runs the command until it exits.
pub fn run(args: &[&str], stdin: &[u8]) -> Done {
    finish(unstick().args(args), stdin)
}

pub fn finish(command: &mut Command, stdin: &[u8]) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    thread::spawn(move || {
        let _ = input.write_all(&stdin); // the command may exit before it has read everything
    });
    let stdout = Lines::of(child.stdout.take().unwrap());
    let stderr = Lines::of(child.stderr.take().unwrap());
    let code = wait(&mut child);
    Done { code, stdout: stdout.all(), stderr: stderr.all() }
}

/// Returns the JSON objects of a command's output.
pub fn events(done: &Done) -> Vec<serde_json::Value> {
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Inspects these bytes in a format.
pub fn inspect_as(format: &str, args: &[&str], bytes: &[u8]) -> Done {
    run(&[&["inspect", "--format", format], args].concat(), bytes)
}

/// Asserts that a listener of this format reports what is wrong with these bytes, and goes on.
#[track_caller]
pub fn listener_reports(format: &str, bytes: &[u8], why: &str) {
    let listen = Listen::start(&["--format", format]);
    let mut stream = listen.connect();
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(Shutdown::Write); // the connection may be closed already
    listen.err.line(why);
    assert_eq!(listen.interrupt().code, 0);
}

/// Waits for the exit code; -1 if a signal ended the process.
pub fn wait(child: &mut Child) -> i32 {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if began.elapsed() > TIMEOUT {
            let _ = child.kill();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The output of a child process, collected while it runs.
#[derive(Clone)]
pub struct Lines(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Default)]
struct Collected {
    text: String,
    ended: bool,
}

impl Lines {
    pub fn of(mut source: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::new((Mutex::new(Collected::default()), Condvar::new())));
        let writer = lines.clone();
        thread::spawn(move || {
            let mut held = Vec::new();
            let mut buf = vec![0; 64 << 10];
            loop {
                let n = source.read(&mut buf).unwrap_or(0);
                held.extend_from_slice(&buf[..n]);
                // Only whole lines, so that no character is cut.
                let end = if n == 0 {
                    held.len()
                } else {
                    held.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1)
                };
                let text: Vec<u8> = held.drain(..end).collect();
                let (state, changed) = &*writer.0;
                let mut state = state.lock().unwrap();
                state.text.push_str(&String::from_utf8(text).expect("the output is UTF-8"));
                state.ended = n == 0;
                changed.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        lines
    }

    /// Waits for the end, and returns all lines.
    pub fn all(&self) -> String {
        self.wait("its end", |state| state.ended.then(|| state.text.clone()))
    }

    /// Waits for a line that contains `part`, and returns the first one.
    #[track_caller]
    pub fn line(&self, part: &str) -> String {
        self.wait(part, |state| {
            state.text.lines().find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// Waits until `part` occurs `count` times.
    #[track_caller]
    pub fn lines(&self, part: &str, count: usize) {
        self.wait(part, |state| (state.text.matches(part).count() >= count).then_some(()));
    }

    pub fn so_far(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, look: impl Fn(&Collected) -> Option<T>) -> T {
        let (state, changed) = &*self.0;
        let began = Instant::now();
        let mut state = state.lock().unwrap();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            assert!(began.elapsed() < TIMEOUT && !state.ended, "no {what} in: {}", state.text);
            state = changed.wait_timeout(state, Duration::from_millis(100)).unwrap().0;
        }
    }
}

/// A running `unstick listen`.
pub struct Listen {
    pub child: Child,
    pub addr: String,
    pub out: Lines,
    pub err: Lines,
}

impl Listen {
    /// Listens on a free port.
    pub fn start(args: &[&str]) -> Self {
        Self::at("127.0.0.1:0", args)
    }

    pub fn at(addr: &str, args: &[&str]) -> Self {
        Self::of(unstick().args(["listen", addr]).args(args))
    }

    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        let addr = out.line("listening");
        let addr = match addr.strip_prefix("listening on ") {
            Some(addr) => addr.to_owned(),
            None => serde_json::from_str::<serde_json::Value>(&addr).unwrap()["addr"]
                .as_str()
                .unwrap()
                .to_owned(),
        };
        Self { child, addr, out, err }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Interrupts the listener; returns its exit code and output.
    pub fn interrupt(mut self) -> Done {
        self.signal(Signal::INT);
        let code = wait(&mut self.child);
        Done { code, stdout: self.out.all(), stderr: self.err.all() }
    }

    /// Waits until the listener ends by itself; returns its exit code and output.
    pub fn wait(mut self) -> Done {
        let code = wait(&mut self.child);
        Done { code, stdout: self.out.all(), stderr: self.err.all() }
    }

    /// Returns the peak memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }
}

impl Drop for Listen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects from this address of this machine.
#[cfg(target_os = "linux")]
pub fn connect_from(listen: &Listen, from: [u8; 4]) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &std::net::SocketAddr::from((from, 0))).unwrap();
    connect(&socket, &listen.addr.parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

pub fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Encodes a version-1 frame.
pub fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let framing = Framing::new(V1).with_limit(u64::MAX);
    framing.encode(Kind::new(kind).unwrap(), payload, &mut out).unwrap();
    out
}

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const PING: u8 = 3;
pub const PONG: u8 = 4;
pub const CLOSE: u8 = 5;
pub const HELLO: u8 = 0x80;

/// Reads to the end, and returns the frames.
pub fn read_frames(stream: &mut impl Read) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let framing = Framing::new(V1).with_limit(u64::MAX);
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while let Some(frame) = framing.split_frame(&mut rest).unwrap() {
        frames.push((frame.meta.get(), frame.payload.to_vec()));
    }
    assert!(rest.is_empty(), "{rest:02x?}");
    frames
}

/// Sends the bytes, shuts down writing, and returns the frames up to the end.
/// Reads until the received bytes end with `end`; returns those before it.
pub fn read_up_to(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut seen = Vec::new();
    while !seen.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    seen.truncate(seen.len() - end.len());
    seen
}

pub fn talk(mut stream: &TcpStream, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(Shutdown::Write); // the connection may be closed already
    read_frames(&mut stream)
}

/// Returns the code of the close, if the last frame is one; 0 for an empty close.
pub fn close_code(frames: &[(u8, Vec<u8>)]) -> Option<u16> {
    match frames.last()? {
        (CLOSE, payload) => Some(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code))),
        _ => None,
    }
}

/// Encodes a message of version 1 as a frame.
pub fn message(message: Message<'_>) -> Vec<u8> {
    let encoded = message.encode().unwrap();
    frame(encoded.kind().get(), &encoded.to_payload())
}

/// Encodes a `file-open`.
pub fn open(id: u32, key: u8, size: Option<u64>, name: &str) -> Vec<u8> {
    message(Message::FileOpen(FileOpen { id, key: ResumeKey([key; 16]), size, name }))
}

pub fn data(id: u32, offset: u64, bytes: &[u8]) -> Vec<u8> {
    message(Message::FileData(FileData { id, offset, bytes }))
}

pub fn done(id: u32, bytes: &[u8]) -> Vec<u8> {
    let (total, digest) = (bytes.len() as u64, digest(bytes));
    message(Message::FileDone(FileDone { id, total, digest }))
}

pub fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest(sha2::Sha256::digest(bytes).into())
}

/// Returns pseudo-random content for a file.
pub fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// A peer whose messages are written by the test.
pub struct Peer {
    pub stream: TcpStream,
    frames: unstick::io::FrameReader<TcpStream>,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let frames = unstick::io::FrameReader::new(stream.try_clone().unwrap());
        Self { stream, frames }
    }

    pub fn write(&mut self, bytes: &[u8]) -> &mut Self {
        self.stream.write_all(bytes).unwrap();
        self
    }

    /// Returns the next frame that is no hello, ping or status `working`.
    pub fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let frame = self.frames.next_frame().unwrap()?;
            let (kind, payload) = (frame.meta.get(), frame.payload.to_vec());
            match Message::decode(frame.meta, &payload) {
                Ok(Message::FileStatus(status)) if status.code.0 == 0x0111 => {}
                Ok(Message::Hello(_) | Message::Ping(_)) => {}
                _ => return Some((kind, payload)),
            }
        }
    }

    /// Returns the next status: transfer id, code, offset and digest.
    #[track_caller]
    pub fn status(&mut self) -> (u32, String, u64, Digest) {
        let (kind, payload) = self.next().expect("a status");
        match Message::decode(Kind::new(kind).unwrap(), &payload) {
            Ok(Message::FileStatus(FileStatus { id, code, offset, digest, .. })) => {
                (id, code.to_string(), offset, digest)
            }
            other => panic!("{other:?} and no status"),
        }
    }

    /// Asserts the next statuses, in any order.
    #[track_caller]
    pub fn expect(&mut self, statuses: &[(u32, &str)]) {
        let mut found: Vec<_> = statuses.iter().map(|_| self.status()).collect();
        found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let found: Vec<_> = found.iter().map(|(id, code, ..)| (*id, code.as_str())).collect();
        let mut expected = statuses.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    /// Offers a file, and asserts that it is accepted. Returns the length and digest of the part
    /// held.
    #[track_caller]
    pub fn offer(&mut self, id: u32, key: u8, size: Option<u64>, name: &str) -> (u64, Digest) {
        self.write(&open(id, key, size, name));
        let (found, status, held, digest) = self.status();
        assert_eq!((found, status.as_str()), (id, "ready"));
        (held, digest)
    }

    /// Sends a whole file, and returns its final status.
    #[track_caller]
    pub fn send(&mut self, id: u32, key: u8, name: &str, bytes: &[u8]) -> String {
        let mut all = open(id, key, Some(bytes.len() as u64), name);
        for (i, chunk) in bytes.chunks(60_000).enumerate() {
            all.extend(data(id, i as u64 * 60_000, chunk));
        }
        all.extend(done(id, bytes));
        self.write(&all);
        loop {
            match self.status() {
                (found, code, ..) if found == id && code != "ready" => return code,
                (found, ..) => assert_eq!(found, id),
            }
        }
    }

    /// Asserts that the other side closes next, and answers its close.
    #[track_caller]
    pub fn close_after(&mut self) {
        assert_eq!(self.next(), Some((CLOSE, vec![])));
        self.write(&frame(CLOSE, b""));
    }

    /// Closes, and asserts that the other side answers with a close and nothing else.
    #[track_caller]
    pub fn close(&mut self) {
        self.write(&frame(CLOSE, b""));
        assert_eq!(self.next(), Some((CLOSE, vec![])));
        assert_eq!(self.next(), None);
    }
}

/// Waits until the condition holds.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < TIMEOUT, "not {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An empty folder in the system's folder for temporary files, removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = path(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn str(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.str(name)
    }

    /// Returns the sorted names in a subfolder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Returns the sorted names in a subfolder, without parts.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let names = self.names(folder).into_iter();
        names.filter(|name| !name.starts_with(".unstick-")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns an unused path in the system's folder for temporary files.
pub fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("unstick-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}
