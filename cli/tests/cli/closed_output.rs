//! A reader of standard output that goes away: the job goes on, and the exit code is that of the job.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Stdio};

use crate::support::*;

/// Runs a command whose standard output nobody reads; returns its exit code.
fn unread(args: &[&str], stdin: &[u8]) -> i32 {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = unstick();
    command.args(args).stdin(Stdio::piped()).stdout(writer).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin); // it may have ended before
    wait(&mut child)
}

/// Starts a listener whose output is closed after its first line; returns that.
fn listen(args: &[&str]) -> (Child, Lines, String) {
    let mut command = unstick();
    command.arg("listen").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let stderr = Lines::of(child.stderr.take().unwrap());
    let addr = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (child, stderr, addr)
}

#[test]
fn a_file_is_sent_and_its_status_is_the_exit_code() {
    let folder = Folder::new("closed-send");
    let listen = Listen::start(&["--dir", &folder.str("inbox"), "--reply", "echo"]);
    let bytes = content(3_000_000, 1);
    let file = folder.write("file", &bytes);
    assert_eq!(unread(&["send", &listen.addr, "--text", "hello", &file], b""), 0);
    assert_eq!(std::fs::read(folder.path("inbox/file")).unwrap(), bytes);
    // Another file of this name is refused, which is said by the exit code alone.
    let other = folder.write("other", b"other");
    assert_eq!(unread(&["send", &listen.addr, &other, "--name", "file"], b""), 1);
}

#[test]
fn every_line_of_standard_input_is_sent() {
    let listen = Listen::start(&["--reply", "echo"]);
    let lines = "hello\n".repeat(5_000);
    assert_eq!(unread(&["send", &listen.addr, "--expect-reply"], lines.as_bytes()), 0);
    assert!(listen.interrupt().stderr.contains("5000 messages"));
}

#[test]
fn a_listener_goes_on() {
    let folder = Folder::new("closed-listen");
    let (mut child, stderr, addr) = listen(&["127.0.0.1:0", "--dir", &folder.str("inbox")]);
    for name in ["one", "two"] {
        let file = folder.write(name, name.as_bytes());
        let done = run(&["send", &addr, "--text", "hello", &file], b"");
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(folder.files("inbox"), ["one", "two"]);
    let mut broken = TcpStream::connect(&addr).unwrap();
    broken.write_all(b"no frame").unwrap();
    stderr.line("a frame starts with 0xf5, found 0x6e");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(wait(&mut child), 0);
    assert!(stderr.all().contains("stopped after 2 messages and 2 files"), "{}", stderr.all());
}

#[test]
fn a_listener_for_datagrams_goes_on() {
    let (mut child, _, addr) = listen(&["udp:127.0.0.1:0", "--reply", "upper"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket.connect(addr.strip_prefix("udp:").unwrap()).unwrap();
    for text in [&b"one"[..], b"two", b"three"] {
        socket.send(&frame(TEXT, text)).unwrap();
        let mut answer = [0; 100];
        let n = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[..n], frame(TEXT, &text.to_ascii_uppercase()));
    }
    let args = ["send", &addr, "--text", "four", "--expect-reply"];
    assert_eq!(unread(&args, b""), 0);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_failed_is_told_without_a_reader() {
    // Every request gets the same wrong answer.
    let wrong = "import sys\nfor line in sys.stdin: print('{}', flush=True)";
    for json in [&[][..], &["--json"]] {
        let args = [&["conform", "--only", "3.2"], json, &["--", "python3", "-c", wrong]].concat();
        assert_eq!(unread(&args, b""), 1);
        assert_eq!(unread(&[&["demo", "--messages", "50", "--damage"], json].concat(), b""), 1);
        assert_eq!(unread(&[&["demo", "--messages", "50"], json].concat(), b""), 0);
        let bad = b"\xf5\x01\x01\0\0\0\x02\xff";
        assert_eq!(unread(&[&["inspect"], json].concat(), bad), 1);
    }
}

/// It only prints, so it does not read on for nobody.
#[test]
fn inspect_ends_without_a_reader() {
    let mut command = unstick();
    command.arg("inspect").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let frames = frame(TEXT, b"hello").repeat(10_000);
    std::thread::spawn(move || while stdin.write_all(&frames).is_ok() {});
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let stderr = Lines::of(child.stderr.take().unwrap());
    assert_eq!((wait(&mut child), stderr.all().as_str()), (0, ""));
}
