//! `unstick listen --dir` on a full disk, and on file systems that lack something.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use unstick_session::message::Digest;

use crate::support::*;

/// Returns whether this system can run such a command. If not, says on standard error that the test is
/// skipped, also if the output of tests is captured.
fn can(command: &mut Command, what: &str) -> bool {
    let can = command.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !can {
        let test = thread::current().name().unwrap_or_default().to_owned();
        let said = format!("\nSKIPPED {test}: this system {what}\n");
        std::io::stderr().write_all(said.as_bytes()).unwrap(); // `eprintln` would be captured
    }
    can
}

/// A listener whose inbox is a separate file system of 1 MiB. The script starts it: `$1` is the folder,
/// and `$2` the command.
fn on_a_small_disk(folder: &Folder, script: &str) -> Option<Command> {
    let inbox = folder.path("inbox");
    fs::create_dir(&inbox).unwrap();
    let in_a_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--user", "--map-root-user", "sh", "-c", script, "sh"]);
        command.arg(&inbox).arg(env!("CARGO_BIN_EXE_unstick"));
        command
    };
    let mount = "mount -t tmpfs -o size=1m none \"$1\"";
    let may = can(&mut in_a_namespace(mount), "mounts no file systems for users");
    may.then(|| in_a_namespace(&format!("{mount} && {script}")))
}

/// Returns the path at which a folder of a process in another namespace can be seen.
fn seen_from_here(pid: u32, folder: &Folder) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root{}", folder.str("inbox")))
}

#[test]
fn a_full_disk_refuses_that_file_only() {
    let folder = Folder::new("storage-full");
    let script = "exec \"$2\" listen :0 --dir \"$1\"";
    let Some(mut command) = on_a_small_disk(&folder, script) else { return };
    let listen = Listen::of(&mut command);
    let disk = seen_from_here(listen.child.id(), &folder);
    let peer = || Peer::new(listen.connect());
    let write = |peer: &mut Peer, bytes: &[u8]| {
        for (i, chunk) in bytes.chunks(60_000).enumerate() {
            peer.write(&data(1, i as u64 * 60_000, chunk));
        }
    };
    let mut small = peer();
    small.offer(1, 2, Some(3), "small");
    small.write(&data(1, 0, b"12"));
    let mut gone = peer();
    gone.offer(1, 3, None, "gone");
    write(&mut gone, &content(300_000, 3));
    drop(gone);
    listen.err.line("the stream ended without a close");

    // A file of known size is refused before its data, and removes nothing.
    let mut large = peer();
    large.write(&open(1, 1, Some(2 << 20), "large"));
    assert_eq!(large.status(), (1, "no-space".to_owned(), 0, Digest::NONE));
    listen.err.line("no-space, the receiver's disk is full: 2097152 bytes are wanted, and ");
    let mut gone = peer();
    assert_eq!(gone.offer(1, 3, None, "gone").0, 300_000);
    drop(gone);
    listen.err.lines("the stream ended without a close", 2);

    // Another one fills the disk, and is not kept.
    let mut endless = peer();
    endless.offer(1, 1, None, "endless");
    write(&mut endless, &content(2 << 20, 5));
    assert_eq!(endless.status(), (1, "no-space".to_owned(), 0, Digest::NONE));
    listen.err.line("\"endless\" is not stored: no-space, the receiver's disk is full: No space");
    eventually("removed", || {
        let entries = fs::read_dir(&disk).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).eq([2])
    });
    // The other connection and its part are not affected.
    small.write(&frame(TEXT, b"still there"));
    listen.out.line("still there");
    small.write(&data(1, 2, b"3")).write(&done(1, b"123"));
    small.expect(&[(1, "stored")]);
    // An old part makes room for a file that fits.
    let mut gone = peer();
    assert_eq!(gone.offer(1, 3, None, "gone").0, 0);
    write(&mut gone, &content(300_000, 3));
    drop(gone);
    listen.err.lines("the stream ended without a close", 3);
    assert_eq!(peer().send(1, 4, "fits", &content(900_000, 4)), "stored");
    let mut files: Vec<_> =
        fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["fits", "small"]);
}

#[test]
fn a_listener_goes_on_while_the_disk_of_its_output_is_full() {
    let folder = Folder::new("storage-output");
    let script = "exec \"$2\" listen 127.0.0.1:0 --dir \"$1\" > \"$1/log\"";
    let Some(mut command) = on_a_small_disk(&folder, script) else { return };
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let err = Lines::of(child.stderr.take().unwrap());
    let disk = seen_from_here(child.id(), &folder);
    let log = || fs::read_to_string(disk.join("log")).unwrap_or_default();
    eventually("listening", || log().ends_with('\n'));
    let addr = log().trim_end().strip_prefix("listening on ").unwrap().to_owned();
    let listen = Listen { child, addr, out: Lines::of(std::io::empty()), err };

    fs::write(disk.join("fill"), vec![1; 2 << 20]).unwrap_err();
    let mut peer = Peer::new(listen.connect());
    let text = |n: u32| frame(TEXT, format!("{n} {} end", "x".repeat(20)).as_bytes());
    for n in 0..500 {
        peer.write(&text(n));
    }
    assert_eq!(peer.send(1, 1, "empty", b""), "stored");
    thread::sleep(Duration::from_millis(200));
    fs::remove_file(disk.join("fill")).unwrap();
    peer.write(&text(500));
    let told = listen.err.line("could not be written: no space");
    eventually("printed", || log().contains("\"500 x"));
    let lost: usize = told.split(' ').nth(1).unwrap().parse().unwrap();
    // The file is one more line.
    let written = log().lines().filter(|line| line.ends_with(" end\"")).count();
    let file = log().lines().filter(|line| line.contains("\"empty\"")).count();
    assert_eq!(
        (written + file + lost, told),
        (502, format!("unstick: {lost} lines could not be written: no space"))
    );
    assert!(lost > 300, "{lost}");
    let done = listen.interrupt();
    assert_eq!(done.code, 1);
    let why = format!("cannot write to standard output: there was no space for {lost} lines");
    assert!(done.stderr.contains(&why), "{}", done.stderr);
}

/// Says what a file system lacks, and stores files nevertheless.
#[test]
fn a_file_system_may_lack_locks_renames_links_and_syncs_of_folders() {
    let strace = || {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
        command
    };
    if !can(strace().arg("true"), "has no strace, or may not use it") {
        return;
    }
    let rename = "it cannot rename a file without replacing one";
    for (why, at_folder, errors) in [
        ("it has no file locks", false, &["flock:error=ENOSYS"][..]),
        ("it has no file locks", false, &["flock:error=ENOLCK"]),
        (rename, false, &["renameat2:error=EINVAL", "linkat:error=EPERM"]),
        (rename, false, &["renameat2:error=ENOSYS", "linkat:error=EMLINK"]),
        // Then with a second name for a moment.
        ("", false, &["renameat2:error=EINVAL"]),
        ("it cannot sync a folder", true, &["fsync:error=EINVAL"]),
    ] {
        let folder = Folder::new("storage-lacks");
        let inbox = folder.str("inbox");
        let mut command = strace();
        for error in errors {
            command.args(["-e", &format!("inject={error}")]);
        }
        let calls: Vec<_> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
        command.args(["-e", &format!("trace={}", calls.join(","))]);
        if at_folder {
            command.args(["-P", &inbox]);
        }
        command.arg(env!("CARGO_BIN_EXE_unstick")).args(["listen", "127.0.0.1:0", "--dir", &inbox]);
        let listen = Listen::of(&mut command);
        let mut peer = Peer::new(listen.connect());
        assert_eq!(peer.send(1, 1, "a", b"one"), "stored", "{errors:?}");
        assert_eq!(peer.send(2, 1, "a", b"one"), "exists", "{errors:?}");
        assert_eq!(peer.send(3, 1, "a", b"another"), "exists", "{errors:?}");
        assert_eq!(folder.names("inbox"), ["a"], "{errors:?}");
        assert_eq!(fs::read(folder.path("inbox/a")).unwrap(), b"one", "{errors:?}");
        let said = listen.err.so_far();
        let warning = format!("unstick: warning: the file system of {inbox}: {why}");
        assert_eq!(said.contains("the file system of"), !why.is_empty(), "{said}");
        assert!(why.is_empty() || said.contains(&warning), "{said}");
    }
}
