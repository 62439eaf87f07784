//! Files as they are: without a true size, slow, or with names that cannot be sent.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::*;

fn receiver(folder: &Folder) -> Listen {
    Listen::start(&["--dir", &folder.str("inbox")])
}

fn send(addr: &str, args: &[&str]) -> Command {
    let mut command = unstick();
    command.args(["send", addr]).args(args);
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_whose_size_is_not_true_is_read_to_its_end() {
    let folder = Folder::new("sources-proc");
    let listen = receiver(&folder);
    let empty = folder.write("empty", b"");
    // The first says that it has 0 bytes, and the second 4096.
    for path in ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled", &empty] {
        let Ok(content) = fs::read(path) else { continue };
        let done = finish(&mut send(&listen.addr, &[path]), b"");
        assert_eq!(done.code, 0, "{done:?}");
        let name = path.rsplit('/').next().unwrap();
        assert_eq!(fs::read(folder.path("inbox").join(name)).unwrap(), content, "{path}");
    }
    assert!(!fs::read(folder.path("inbox/version")).unwrap().is_empty());
}

#[test]
fn a_pipe_is_sent_as_it_comes_and_what_was_before_it_at_once() {
    let folder = Folder::new("sources-pipe");
    let listen = receiver(&folder);
    let mut command = send(&listen.addr, &["--text", "starting", "-", "--name", "piped"]);
    let mut sending = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut pipe = sending.stdin.take().unwrap();
    listen.out.line("\"starting\"");
    pipe.write_all(b"the beginning").unwrap();
    eventually("stored in part", || {
        let parts = folder.names("inbox").into_iter().filter(|name| name.ends_with(".part"));
        let mut lens =
            parts.map(|name| fs::metadata(folder.path("inbox").join(name)).unwrap().len());
        lens.any(|len| len == 13)
    });
    pipe.write_all(b", and the end").unwrap();
    drop(pipe);
    assert_eq!(wait(&mut sending), 0);
    assert_eq!(fs::read(folder.path("inbox/piped")).unwrap(), b"the beginning, and the end");
}

#[test]
fn a_file_that_cannot_be_sent_stops_no_other() {
    let folder = Folder::new("sources-names");
    let listen = receiver(&folder);
    let files = ["a.txt", "12:30.png", "z.txt"].map(|name| folder.write(name, name.as_bytes()));
    let args = [&files[0], &files[1], &folder.str(""), "/nowhere/at/all", &files[2]];
    let done = finish(&mut send(&listen.addr, &args), b"");
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("3 files are not stored, the first is"), "{done:?}");
    for why in ["the name has ':'", "is a directory", "No such file"] {
        let row = done.stdout.lines().find(|row| row.contains(why)).expect(why);
        assert!(row.contains("  not sent  "), "{row}");
    }
    assert_eq!(folder.files("inbox"), ["a.txt", "z.txt"]);
    let done = finish(&mut send(&listen.addr, &["--json", &files[0], &files[1]]), b"");
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stdout.contains(r#""status":"not sent","stored":false"#), "{done:?}");
    // Without anything to send, nothing is connected to.
    let done = finish(&mut send("127.0.0.1:1", &[&files[1]]), b"");
    assert!(done.stderr.contains("the name has ':'"), "{done:?}");
}
