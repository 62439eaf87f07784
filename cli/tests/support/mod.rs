//! Runs the built command, with a time limit on everything.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use unstick::{Framing, Kind, V1};

/// Nothing here takes so long, unless it is stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn unstick() -> Command {
    Command::new(env!("CARGO_BIN_EXE_unstick"))
}

/// What a command left.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Asserts the exit code, and that standard error is one line with this in it.
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

/// Runs the command to its end.
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
        let _ = input.write_all(&stdin); // it may end before it read all
    });
    let stdout = Lines::of(child.stdout.take().unwrap());
    let stderr = Lines::of(child.stderr.take().unwrap());
    let code = wait(&mut child);
    Done { code, stdout: stdout.all(), stderr: stderr.all() }
}

/// The exit code; -1 if a signal ended it.
pub fn wait(child: &mut Child) -> i32 {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// What a child writes, as it writes it.
#[derive(Clone)]
pub struct Lines(Arc<(Mutex<Read_>, Condvar)>);

#[derive(Default)]
struct Read_ {
    text: String,
    ended: bool,
}

impl Lines {
    pub fn of(mut source: impl Read + Send + 'static) -> Self {
        let lines = Self(Arc::new((Mutex::new(Read_::default()), Condvar::new())));
        let writer = lines.clone();
        thread::spawn(move || {
            let mut held = Vec::new();
            let mut buf = vec![0; 64 << 10];
            loop {
                let n = source.read(&mut buf).unwrap_or(0);
                held.extend_from_slice(&buf[..n]);
                // Whole lines only, so that no character is cut.
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

    /// All lines up to the end.
    pub fn all(&self) -> String {
        self.wait("its end", |state| state.ended.then(|| state.text.clone()))
    }

    /// The first line that contains this.
    #[track_caller]
    pub fn line(&self, part: &str) -> String {
        self.wait(part, |state| {
            state.text.lines().find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// Waits for so many lines that contain this.
    #[track_caller]
    pub fn lines(&self, part: &str, count: usize) {
        self.wait(part, |state| (state.text.matches(part).count() >= count).then_some(()));
    }

    pub fn so_far(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, look: impl Fn(&Read_) -> Option<T>) -> T {
        let (state, changed) = &*self.0;
        let began = Instant::now();
        let mut state = state.lock().unwrap();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE && !state.ended, "no {what} in: {}", state.text);
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
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Interrupts it; returns its exit code and all it wrote.
    pub fn interrupt(mut self) -> Done {
        self.signal(Signal::INT);
        let code = wait(&mut self.child);
        Done { code, stdout: self.out.all(), stderr: self.err.all() }
    }

    /// Its peak memory, in bytes.
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

pub fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// A version-1 frame.
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

/// Everything that comes until the end, as frames.
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

/// Sends all bytes, ends, and reads to the end.
pub fn talk(mut stream: &TcpStream, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(Shutdown::Write); // it may be over already
    read_frames(&mut stream)
}

/// The code of a close frame, as its payload has it.
pub fn close_code(frames: &[(u8, Vec<u8>)]) -> Option<u16> {
    match frames.last()? {
        (CLOSE, payload) => Some(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code))),
        _ => None,
    }
}

/// A fresh path in the tests' own folder.
pub fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("unstick-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}
