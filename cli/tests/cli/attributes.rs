//! When a file was modified, and whether it is executable: `--preserve` on both sides.
#![cfg(unix)]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

use unstick_session::message::{FileAttributes, Message};

use crate::support::*;

/// Runs the shell's `umask` first, and then this program with the arguments.
fn with_umask(umask: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("umask {umask}; exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_unstick"),
    ]);
    command.args(args);
    command
}

fn listen(folder: &Folder, umask: &str, options: &[&str]) -> Listen {
    let inbox = folder.str("inbox");
    let args = [&["listen", "127.0.0.1:0", "--dir", &inbox], options].concat();
    Listen::of(&mut with_umask(umask, &args))
}

fn first_of_2001() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(978_307_200, 123_456_789)
}

/// Writes a file of the sender with this mode, and with a time long ago.
fn source(folder: &Folder, name: &str, mode: u32) -> String {
    let path = folder.write(name, name.as_bytes());
    File::options().write(true).open(&path).unwrap().set_modified(first_of_2001()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

fn mode_and_time(folder: &Folder, name: &str) -> (u32, SystemTime) {
    let metadata = fs::metadata(folder.path("inbox").join(name)).unwrap();
    (metadata.permissions().mode() & 0o7777, metadata.modified().unwrap())
}

#[test]
fn time_and_executable_bit_arrive_if_both_sides_preserve() {
    let folder = Folder::new("attributes-both");
    let listen = listen(&folder, "022", &["--preserve"]);
    // No more of the mode arrives: neither that of a set-user-ID program nor that others may write.
    let program = source(&folder, "program", 0o4777);
    let text = source(&folder, "text", 0o600);
    let done = run(&["send", &listen.addr, "--preserve", &program, &text], b"");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(mode_and_time(&folder, "program"), (0o755, first_of_2001()));
    assert_eq!(mode_and_time(&folder, "text"), (0o644, first_of_2001()));
}

#[test]
fn one_side_alone_preserves_nothing() {
    for (sender, receiver) in [(&["--preserve"][..], &[][..]), (&[], &["--preserve"])] {
        let folder = Folder::new("attributes-one");
        let listen = listen(&folder, "022", receiver);
        let program = source(&folder, "program", 0o755);
        let before = SystemTime::now() - Duration::from_secs(60);
        let done = run(&[&["send", &listen.addr, &program], sender].concat(), b"");
        assert_eq!(done.code, 0, "{done:?}");
        let (mode, modified) = mode_and_time(&folder, "program");
        assert_eq!(mode, 0o644);
        assert!(modified > before);
    }
}

#[test]
fn no_file_is_wider_than_the_umask() {
    for (umask, wanted) in [("077", 0o700), ("027", 0o750), ("111", 0o666)] {
        let folder = Folder::new("attributes-umask");
        let listen = listen(&folder, umask, &["--preserve"]);
        let program = source(&folder, "program", 0o777);
        let done = run(&["send", &listen.addr, "--preserve", &program], b"");
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(mode_and_time(&folder, "program").0, wanted, "umask {umask}");
    }
}

/// A time that the file system may not have neither refuses the file nor ends the conversation, and
/// the last attributes count.
#[test]
fn any_time_is_accepted_and_the_last_attributes_count() {
    let folder = Folder::new("attributes-times");
    let listen = listen(&folder, "022", &["--preserve"]);
    let mut peer = Peer::new(listen.connect());
    let times = [Some(i64::MAX), Some(i64::MIN + 1), Some(-1), Some(0), None];
    for (id, modified) in (1..).zip(times) {
        let name = format!("file {id}");
        peer.offer(id, 1, Some(1), &name);
        for is_executable in [true, false] {
            peer.write(&message(Message::FileAttributes(FileAttributes {
                id,
                modified,
                is_executable,
            })));
        }
        peer.write(&data(id, 0, b"x")).write(&done(id, b"x")).expect(&[(id, "stored")]);
        assert_eq!(mode_and_time(&folder, &name).0, 0o644, "{modified:?}");
    }
    peer.close();
    assert_eq!(mode_and_time(&folder, "file 4").1, SystemTime::UNIX_EPOCH);
}
