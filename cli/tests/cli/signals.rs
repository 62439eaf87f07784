//! Signals end the commands cleanly, with 128 + the number of the signal as the exit code.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use unstick_session::message::Code;

use crate::support::*;

const SIGNALS: [(Signal, i32); 3] = [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)];

/// A command with pipes, that is killed at the end of the test.
struct Running {
    child: Child,
    out: Lines,
    err: Lines,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends a signal; returns the exit code and the output.
    fn end(mut self, signal: Signal) -> Done {
        self.signal(signal);
        let code = wait(&mut self.child);
        Done { code, stdout: self.out.all(), stderr: self.err.all() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until this is true.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < TIMEOUT, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn send_and_inspect_and_demo_end_by_a_signal() {
    let listen = Listen::start(&["--reply", "echo"]);
    for (signal, code) in SIGNALS {
        let mut send = Running::start(unstick().args(["send", &listen.addr]));
        send.child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
        send.out.line("hello");
        let done = send.end(signal);
        assert_eq!((done.code, done.stderr.as_str()), (code, ""), "{done:?}");

        let mut send = Running::start(unstick().args(["send", "udp:127.0.0.1:9", "--json"]));
        send.child.stdin.as_mut().unwrap().write_all(b"").unwrap();
        thread::sleep(Duration::from_millis(300));
        let done = send.end(signal);
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.stdout.contains("\"counts\""), "{done:?}");

        let mut inspect = Running::start(unstick().args(["inspect"]));
        // The listing begins after the first bytes.
        let frames = frame(TEXT, b"hello");
        inspect.child.stdin.as_mut().unwrap().write_all(&frames).unwrap();
        inspect.out.line("hello");
        assert_eq!(inspect.end(signal).code, code);

        let demo = Running::start(unstick().args(["demo", "--messages", "100000000"]));
        demo.out.line("TCP");
        assert_eq!(demo.end(signal).code, code);
    }
}

#[test]
fn a_sender_that_is_interrupted_tells_its_peer() {
    for (signal, code) in SIGNALS {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr().unwrap().to_string();
        let send = Running::start(unstick().args(["send", &addr]));
        let mut peer = Peer::new(server.accept().unwrap().0);
        send.child.stdin.as_ref().unwrap().write_all(b"hello\n").unwrap();
        assert_eq!(peer.next(), Some((TEXT, b"hello".to_vec())));
        let began = Instant::now();
        assert_eq!(send.end(signal).code, code);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let last = peer.next().into_iter().collect::<Vec<_>>();
        assert_eq!(close_code(&last), Some(Code::SHUTTING_DOWN.0), "{last:?}");
        assert_eq!(peer.next(), None);
    }
}

/// A connection that is not made is not waited for.
#[test]
fn send_ends_by_a_signal_while_it_connects() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap().to_string();
    let pin = format!("sha256:{}", "0".repeat(64));
    let args = ["send", &addr, "--tls-pin", &pin, "--text", "x", "--timeout", "50"];
    let send = Running::start(unstick().args(args));
    // It waits for the server's part of the handshake.
    let held = server.accept().unwrap();
    assert_eq!(send.end(Signal::TERM).code, 143);
    drop(held);
}

#[test]
fn the_part_of_a_file_is_kept() {
    let folder = Folder::new("signal-part");
    let listen = Listen::start(&["--dir", &folder.str("inbox")]);
    let args = ["send", &listen.addr, "-", "--name", "file"];
    let mut send = Running::start(unstick().args(args));
    send.child.stdin.as_mut().unwrap().write_all(&content(3_000_000, 1)).unwrap();
    let has_part = || {
        let parts = std::fs::read_dir(folder.path("inbox")).unwrap();
        parts.into_iter().any(|part| part.unwrap().metadata().unwrap().len() > 1_000_000)
    };
    until("no part", has_part);
    let done = send.end(Signal::TERM);
    assert_eq!(done.code, 143, "{done:?}");
    assert!(done.stdout.contains("the connection ended first; send it again"), "{done:?}");
    listen.err.line("the peer gave up: code 0x0105 (shutting-down)");
    assert!(has_part() && folder.files("inbox").is_empty());
}

#[test]
fn the_command_under_test_and_its_children_end_with_conform() {
    let folder = Folder::new("signal-conform");
    for (signal, code) in SIGNALS {
        let (one, two) = (folder.str("one"), folder.str("two"));
        let script = format!(
            "sleep 1000 & echo $! > {two}.new; echo $$ > {one}.new; mv {two}.new {two}; mv {one}.new {one}; wait"
        );
        let args = ["conform", "--timeout", "500", "--only", "3.2", "--", "sh", "-c", &script];
        let conform = Running::start(unstick().args(args));
        until("no child", || folder.path("one").exists());
        let pids = [&one, &two].map(|path| {
            let pid = std::fs::read_to_string(path).unwrap().trim().parse().unwrap();
            std::fs::remove_file(path).unwrap();
            Pid::from_raw(pid).unwrap()
        });
        assert_eq!(conform.end(signal).code, code);
        for pid in pids {
            // One that nobody waits for may stay as a zombie.
            let is_gone = || {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
                test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
            };
            until("a child is left", is_gone);
        }
    }
}

/// As with `nohup`.
#[cfg(target_os = "linux")]
#[test]
fn an_ignored_hangup_ends_nothing() {
    let listen = Listen::start(&["--reply", "echo"]);
    let script = "trap '' HUP; exec \"$0\" send \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_unstick"), &listen.addr]);
    let mut send = Running::start(&mut command);
    send.child.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    send.out.line("one");
    send.signal(Signal::HUP);
    thread::sleep(Duration::from_millis(200));
    send.child.stdin.as_mut().unwrap().write_all(b"two\n").unwrap();
    send.out.line("two");
    assert_eq!(send.end(Signal::TERM).code, 143);
}

#[test]
fn listen_ends_by_any_of_them_without_an_error() {
    for (signal, _) in SIGNALS {
        for addr in ["127.0.0.1:0", "udp:127.0.0.1:0"] {
            let mut listen = Listen::at(addr, &[]);
            listen.signal(signal);
            assert_eq!(wait(&mut listen.child), 0);
        }
    }
}

/// Runs the prompt on a pseudo-terminal, ends it by a signal, and prints the exit code and whether the
/// terminal is as it was.
const PROMPT: &str = r#"
import os, pty, signal, subprocess, sys, termios, time
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
p = subprocess.Popen(sys.argv[1:3] + [sys.argv[3]], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
while termios.tcgetattr(slave)[3] & termios.ICANON:
    time.sleep(0.01)
p.send_signal(int(sys.argv[4]))
print(p.wait(30), termios.tcgetattr(slave) == before)
"#;

#[test]
fn the_terminal_is_restored() {
    let listen = Listen::start(&[]);
    for addr in [&listen.addr, "udp:127.0.0.1:9"] {
        // An interrupt ends the prompt as Ctrl-C does, which is no failure.
        for (signal, codes) in [("1", "129"), ("2", "0"), ("15", "143")] {
            let mut command = Command::new("python3");
            command.args(["-c", PROMPT, env!("CARGO_BIN_EXE_unstick"), "send", addr, signal]);
            let done = finish(&mut command, b"");
            assert_eq!(done.stdout, format!("{codes} True\n"), "{addr}: {done:?}");
        }
    }
}

#[test]
fn times_without_end_are_taken() {
    for never in ["1e12", "18446744073709551615", "1e19", "inf"] {
        let args = ["--frame-timeout", never, "--idle-timeout", never, "--first-timeout", never];
        let listen = Listen::start(&[&args[..], &["--reply", "echo"]].concat());
        let args = ["send", &listen.addr, "--timeout", never, "--text", "hello", "--expect-reply"];
        run(&args, b"").succeeds("hello\n");
        assert!(!listen.interrupt().stderr.contains("panic"));
        let answer = "import sys\nfor line in sys.stdin: print('{}', flush=True)";
        let args = ["--only", "3.2", "--timeout", never, "--", "python3", "-c", answer];
        let done = run(&[&["conform"], &args[..]].concat(), b"");
        assert_eq!((done.code, done.stderr.as_str()), (1, ""), "{done:?}");
    }
    for none in ["0", "-inf", "nan"] {
        run(&["send", ":1", &format!("--timeout={none}"), "--text", "x"], b"")
            .fails(2, "give seconds above 0");
    }
}

/// The dialect of scripts counts its times itself.
#[test]
fn times_without_end_are_taken_for_files_of_scripts() {
    let folder = Folder::new("never");
    let inbox = folder.str("inbox");
    let args =
        ["--frame-timeout", "1e19", "--idle-timeout", "inf", "--format", "i32le", "--dir", &inbox];
    let listen = Listen::start(&args);
    let mut stream = listen.connect();
    for part in [&br#"{"msg_type": "msg"}"#[..], b"hello"] {
        let frame = [&i32::try_from(part.len()).unwrap().to_le_bytes()[..], part].concat();
        let (begin, rest) = frame.split_at(5);
        stream.write_all(begin).unwrap();
        thread::sleep(Duration::from_millis(50));
        stream.write_all(rest).unwrap();
    }
    listen.out.line("\"hello\"");
}
