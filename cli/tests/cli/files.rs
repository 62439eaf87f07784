//! `unstick send FILE…`, with `unstick listen --dir` or a test peer as the receiver.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use unstick_session::message::{Code, FileStatus, Message};

use crate::support::*;

fn send(addr: &str, args: &[&str]) -> Command {
    let mut command = unstick();
    command.args(["send", addr]).args(args);
    command
}

fn receiver(folder: &Folder, args: &[&str]) -> Listen {
    Listen::start(&[&["--dir", &folder.str("inbox")], args].concat())
}

#[test]
fn texts_and_files_are_sent_in_order_and_a_table_follows() {
    let folder = Folder::new("files-order");
    let listen = receiver(&folder, &[]);
    let bytes = content(3_000_000, 1);
    let (small, large) = (folder.write("small.txt", b"hello\n"), folder.write("报告.bin", &bytes));
    let args = ["--text", "one", &small, "--text", "two", &large, "-", "--text", "", "--name", "x"];
    finish(&mut send(&listen.addr, &args), b"").fails(2, "--name names one FILE");
    let args = ["--text", "one", &small, "--text", "two", &large, "--text", ""];
    let done = finish(&mut send(&listen.addr, &args), b"");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let rows: Vec<Vec<_>> =
        done.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let (of_small, of_large) = (digest(b"hello\n").to_string(), digest(&bytes).to_string());
    assert_eq!(rows[0], ["file", "bytes", "status", "sha256"]);
    assert_eq!(rows[1][1..], ["6", "stored", &of_small]);
    assert_eq!(rows[2][1..], ["3000000", "stored", &of_large]);
    assert!(fs::read(folder.path("inbox/报告.bin")).unwrap() == bytes);
    let said = listen.interrupt().stdout;
    let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("no {part} in {said}"));
    assert!(at("\"one\"") < at("\"two\"") && at("\"two\"") < at("(empty)"));
    // Files are synced to disk side by side, so either can be reported first.
    let _ = (at("small.txt"), at("报告.bin"));
}

#[test]
fn standard_input_is_a_file_with_a_name() {
    let folder = Folder::new("files-stdin");
    let listen = receiver(&folder, &[]);
    let bytes = content(1_500_000, 2);
    let mut command = send(&listen.addr, &["-", "--name", "from a pipe", "--json"]);
    let done = finish(&mut command, &bytes);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let event: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(event["event"], "file");
    assert_eq!((&event["name"], &event["stored"]), (&"from a pipe".into(), &true.into()));
    assert_eq!((&event["size"], &event["path"]), (&1_500_000.into(), &"-".into()));
    assert_eq!(event["digest"], digest(&bytes).to_string());
    assert!(fs::read(folder.path("inbox/from a pipe")).unwrap() == bytes);
}

#[test]
fn invalid_items_are_refused_before_connecting() {
    let folder = Folder::new("files-mistakes");
    let file = folder.write("file", b"");
    for (args, code, why) in [
        (&[&folder.str("")[..]][..], 1, " is a directory; send its files one by one, or"),
        (&[&folder.str("missing")], 1, "missing: No such file"),
        (&["-"], 1, "standard input has no name; give one with --name"),
        (&[&file, "--name", "a/b"], 1, "give another with --name"),
        (&[&file, &file, "--name", "x"], 2, "--name names one FILE"),
        (&[&file, "--format", "u32be"], 2, "only v1 has files"),
        (&["--kind", "file-data", "--text", "x"], 2, "give a FILE to send"),
    ] {
        // Nothing listens there: no connection is tried.
        finish(&mut send("127.0.0.1:1", args), b"").fails(code, why);
    }
}

#[test]
fn a_refused_file_is_reported_and_the_others_are_stored() {
    let folder = Folder::new("files-refused");
    let listen = receiver(&folder, &["--max-file", "2MB"]);
    let (a, b) = (folder.write("a", b"mine"), folder.write("b", b"fine"));
    let large = folder.write("large", &content(3_000_000, 3));
    folder.write("inbox/a", b"other");
    let done = finish(&mut send(&listen.addr, &[&a, &large, &b]), b"");
    done.fails(1, "2 files are not stored, the first is ");
    assert!(done.stdout.contains("exists      another file of that name is there"), "{done:?}");
    assert!(done.stdout.contains("too-large   too-large, the file is larger than"), "{done:?}");
    assert!(done.stdout.contains(&digest(b"fine").to_string()), "{done:?}");
    assert_eq!(folder.names("inbox"), ["a", "b"]);
    // The same files again: existing files count as stored, and are not sent twice.
    fs::write(folder.path("inbox/a"), b"mine").unwrap();
    let done = finish(&mut send(&listen.addr, &[&a, &b]), b"");
    assert_eq!((done.code, done.stdout.matches("  stored  ").count()), (0, 2), "{done:?}");
    let copy = folder.write("copy", &content(1_999_999, 4));
    for _ in 0..2 {
        let done = finish(&mut send(&listen.addr, &[&copy]), b"");
        assert_eq!((done.code, done.stdout.matches("  stored  ").count()), (0, 1), "{done:?}");
    }
    let done = finish(&mut send(&Listen::start(&[]).addr, &[&a]), b"");
    done.fails(1, "a is not stored: not-accepted");
}

/// Starts `unstick send FILE` with a test peer as the receiver, up to the `file-open`.
fn send_to_peer(folder: &Folder, file: &str) -> (Peer, std::process::Child, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = send(&listener.local_addr().unwrap().to_string(), &[&folder.str(file)]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peer = Peer::new(listener.accept().unwrap().0);
    let (kind, open) = peer.next().unwrap();
    assert_eq!((kind, &open[28..]), (0x10, file.as_bytes()));
    (peer, child, open)
}

fn end(mut child: std::process::Child) -> Done {
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (stdout, stderr) = (Lines::of(out), Lines::of(err));
    let code = wait(&mut child);
    Done { code, stdout: stdout.all(), stderr: stderr.all() }
}

fn status(id: u32, code: Code) -> Vec<u8> {
    message(Message::FileStatus(FileStatus::new(id, code)))
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_cancelled() {
    let old = content(24 << 20, 5);
    for change in ["longer", "shorter", "other"] {
        let folder = Folder::new(&format!("files-{change}"));
        folder.write("file", &old);
        let (mut peer, child, _) = send_to_peer(&folder, "file");
        peer.write(&message(Message::FileStatus(FileStatus::ready(
            1,
            0,
            unstick_session::message::Digest::OF_NOTHING,
        ))));
        assert_eq!(peer.next().unwrap().0, 0x11);
        let file = fs::File::options().write(true).open(folder.path("file")).unwrap();
        match change {
            "longer" => file.set_len(25 << 20).unwrap(),
            "shorter" => file.set_len(1 << 20).unwrap(),
            _ => std::os::unix::fs::FileExt::write_all_at(&file, b"other", 0).unwrap(),
        }
        let (kind, payload) = loop {
            match peer.next().unwrap() {
                (0x11, _) => {}
                last => break last,
            }
        };
        assert_eq!((kind, &payload[..6]), (0x14, &[0, 0, 0, 1, 1, 0x51][..]), "{change}");
        peer.write(&status(1, Code::CANCELLED));
        peer.close_after();
        let done = end(child);
        done.fails(1, "file is not stored: it changed while it was sent; send it again");
        assert!(done.stdout.contains("changed"), "{done:?}");
    }
}

#[test]
fn only_a_part_with_the_same_digest_is_resumed() {
    let bytes = content(2 << 20, 6);
    let mut keys = Vec::new();
    for (held, found, begin) in [
        (1_500_000, digest(&bytes[..1_500_000]), 1_500_000),
        (1_500_000, digest(b"something else"), 0),
        (2 << 20, digest(&bytes), 2 << 20),
    ] {
        let folder = Folder::new("files-part");
        folder.write("file", &bytes);
        let (mut peer, child, open) = send_to_peer(&folder, "file");
        keys.push(open[4..20].to_vec());
        peer.write(&message(Message::FileStatus(FileStatus::ready(1, held, found))));
        let mut at = None;
        let done = loop {
            match peer.next().unwrap() {
                (0x11, payload) => {
                    let offset = u64::from_be_bytes(payload[4..12].try_into().unwrap());
                    at = at.or(Some(offset));
                }
                (kind, payload) => break (kind, payload),
            }
        };
        assert_eq!(at.unwrap_or(2 << 20), begin);
        assert_eq!((done.0, &done.1[12..]), (0x12, &digest(&bytes).0[..]));
        let stored = FileStatus {
            offset: 2 << 20,
            digest: digest(&bytes),
            ..FileStatus::new(1, Code::STORED)
        };
        peer.write(&message(Message::FileStatus(stored)));
        peer.close_after();
        assert_eq!(end(child).code, 0);
    }
    // The addresses differ, so the keys do, too.
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[test]
fn a_receiver_that_sends_nothing_times_out() {
    let folder = Folder::new("files-silent");
    folder.write("file", b"bytes");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let mut command = send(&addr, &[&folder.str("file"), "--timeout", "1"]);
    let silent = thread::spawn(move || {
        let mut peer = Peer::new(listener.accept().unwrap().0);
        while peer.next().is_some() {}
    });
    let done = finish(&mut command, b"");
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("the peer said nothing new about a file for 1s"), "{done:?}");
    assert!(done.stdout.contains("unknown     the connection ended first"), "{done:?}");
    silent.join().unwrap();
}

#[test]
fn a_retry_after_a_killed_sender_completes_the_file() {
    let folder = Folder::new("files-retry");
    let listen = receiver(&folder, &[]);
    let bytes = content(40 << 20, 7);
    let file = folder.write("large", &bytes);
    let mut child = send(&listen.addr, &[&file]).stdout(Stdio::null()).spawn().unwrap();
    let held = || {
        let entries = fs::read_dir(folder.path("inbox")).unwrap().flatten();
        entries.map(|entry| entry.metadata().map_or(0, |part| part.len())).max().unwrap_or(0)
    };
    eventually("begun", || held() > 1 << 20);
    child.kill().unwrap();
    child.wait().unwrap();
    listen.err.line("unstick: ");
    let stopped = held();
    assert!(!folder.path("inbox/large").exists() || stopped == 40 << 20);
    let done = finish(&mut send(&listen.addr, &[&file]), b"");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(fs::read(folder.path("inbox/large")).unwrap() == bytes);
    assert_eq!(folder.names("inbox"), ["large"]);
}

#[test]
fn many_small_files_are_sent_in_one_connection() {
    let folder = Folder::new("files-many");
    let listen = receiver(&folder, &[]);
    let paths: Vec<_> =
        (0..1000).map(|i| folder.write(&format!("{i}"), format!("file {i}").as_bytes())).collect();
    let args: Vec<_> = paths.iter().map(String::as_str).collect();
    let done = finish(&mut send(&listen.addr, &args), b"");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.starts_with("1000 of 1000 files stored, 7890 bytes in "), "{done:?}");
    for i in 0..1000 {
        let found = fs::read(folder.path(&format!("inbox/{i}"))).unwrap();
        assert_eq!(found, format!("file {i}").as_bytes());
    }
    assert_eq!(folder.names("inbox").len(), 1000);
}

#[test]
fn listening_to_the_network_without_tls_prints_a_warning() {
    let open = Listen::at("0.0.0.0:0", &[]);
    open.err.line("warning: everyone on the network can connect");
    assert!(!Listen::start(&[]).interrupt().stderr.contains("warning"));
}

/// A secret of the sender is kept for resuming. If that is impossible, files are sent nevertheless.
#[test]
fn a_secret_that_is_damaged_or_cannot_be_kept_is_reported() {
    let folder = Folder::new("files-secret");
    let listen = receiver(&folder, &[]);
    let file = folder.write("a", b"12345");
    let send_with = |state: &str| {
        let mut command = send(&listen.addr, &[&file]);
        let done = finish(command.env("XDG_STATE_HOME", folder.path(state)), b"");
        assert_eq!(done.code, 0, "{done:?}");
        done.stderr
    };
    let state = folder.path("state/unstick");
    assert_eq!(send_with("state"), "");
    let secret = fs::read(state.join("resume-secret")).unwrap();
    fs::write(state.join("resume-secret"), b"").unwrap();
    let said = send_with("state");
    let path = state.display();
    assert_eq!(
        said,
        format!(
            "unstick: warning: {path}/resume-secret was damaged and is made anew, files that were \
             interrupted start from the beginning\n"
        )
    );
    assert_ne!(fs::read(state.join("resume-secret")).unwrap(), secret);
    assert_eq!(send_with("state"), "");
    folder.write("file", b"");
    let said = send_with("file");
    let why =
        "unstick: warning: files that are interrupted will start from the beginning, no secret";
    assert!(said.starts_with(why) && said.lines().count() == 1, "{said}");
    let mut command = send(&listen.addr, &[&file]);
    for variable in ["XDG_STATE_HOME", "LOCALAPPDATA", "HOME"] {
        command.env_remove(variable);
    }
    let done = finish(&mut command, b"");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.stderr.ends_with("there is no folder to keep a secret in: set HOME\n"),
        "{done:?}"
    );
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
}

#[test]
fn names_are_those_that_arrive() {
    let folder = Folder::new("files-names");
    let listen = receiver(&folder, &[]);
    let done = finish(&mut send(&listen.addr, &["-", "--name", "photos.tar"]), b"tar");
    let row = done.stdout.lines().nth(1).unwrap_or_default();
    assert!(done.code == 0 && row.starts_with("photos.tar  "), "{done:?}");
    // Only what has the same last part is warned of.
    std::fs::create_dir(folder.path("other")).unwrap();
    let [a, b, other] = ["a", "b", "other/a"].map(|name| folder.write(name, name.as_bytes()));
    let done = finish(&mut send(&listen.addr, &[&a, &b, &other]), b"");
    let warning = format!("unstick: warning: {a} and {other} arrive under the same name, a\n");
    assert!(done.stderr.starts_with(&warning), "{done:?}");
    assert_eq!(done.stderr.matches("warning").count(), 1, "{done:?}");
    assert_eq!(folder.names("inbox"), ["a", "b", "photos.tar"]);
}
