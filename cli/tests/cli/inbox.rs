//! `unstick listen --dir`: whatever a sender does, a file under its name is complete, and nothing
//! outside the inbox is changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::Digest as _;
use unstick_session::message::{Code, Digest, FileCancel, Message};

use crate::support::*;

struct Receiver {
    folder: Folder,
    listen: Listen,
}

impl Receiver {
    fn new(name: &str, args: &[&str]) -> Self {
        let folder = Folder::new(name);
        let listen = Listen::start(&[&["--dir", &folder.str("inbox")], args].concat());
        Self { folder, listen }
    }

    fn peer(&self) -> Peer {
        Peer::new(self.listen.connect())
    }

    fn files(&self) -> Vec<String> {
        self.folder.files("inbox")
    }

    fn parts(&self) -> usize {
        self.folder.names("inbox").len() - self.files().len()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path("inbox").join(name)).unwrap()
    }

    /// Waits until a part of this length is on disk.
    fn wait_for_part(&self, part_len: u64) {
        eventually("written", || {
            let entries = fs::read_dir(self.folder.path("inbox")).unwrap();
            entries.flatten().any(|entry| entry.metadata().is_ok_and(|part| part.len() == part_len))
        });
    }
}

/// Returns the name of a part, computed like the inbox does.
fn part_name(key: u8, name: &str) -> String {
    let hash = sha2::Sha256::new().chain_update([key; 16]).chain_update(name).finalize();
    let digits: String = hash.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!(".unstick-{digits}.part")
}

#[test]
fn a_file_gets_its_name_only_when_it_is_complete() {
    // spec: FIL-24
    let receiver = Receiver::new("inbox-whole", &[]);
    let bytes = content(300_000, 1);
    let mut peer = receiver.peer();
    assert_eq!(peer.offer(1, 1, Some(300_000), "报告.bin"), (0, Digest::OF_NOTHING));
    for (i, chunk) in bytes.chunks(50_000).enumerate() {
        peer.write(&data(1, i as u64 * 50_000, chunk));
        assert!(receiver.files().is_empty());
    }
    peer.write(&done(1, &bytes));
    assert_eq!(peer.status(), (1, "stored".to_owned(), 300_000, digest(&bytes)));
    assert!(receiver.read("报告.bin") == bytes);
    // Empty files, with and without an announced size.
    assert_eq!(peer.send(2, 1, "empty", b""), "stored");
    peer.offer(3, 1, None, "empty too");
    peer.write(&done(3, b"")).expect(&[(3, "stored")]);
    peer.close();
    assert_eq!(receiver.files(), ["empty", "empty too", "报告.bin"]);
    assert_eq!(receiver.parts(), 0);
    let done = receiver.listen.interrupt();
    assert!(done.stdout.contains(&format!("\"报告.bin\"  sha256 {}", digest(&bytes))), "{done:?}");
    assert!(done.stderr.contains("ended after 0 messages and 3 files"), "{done:?}");
}

#[test]
fn without_dir_files_are_refused_and_the_connection_continues() {
    let listen = Listen::start(&[]);
    let mut peer = Peer::new(listen.connect());
    assert_eq!(peer.send(1, 1, "a", b"bytes"), "not-accepted");
    peer.write(&frame(TEXT, b"still there"));
    peer.close();
    listen.out.line("still there");
    listen.err.line("\"a\" is not stored: not-accepted");
}

#[test]
fn unsafe_names_are_refused() {
    let receiver = Receiver::new("inbox-names", &[]);
    let mut peer = receiver.peer();
    let long = "x".repeat(256);
    let names: [&[u8]; 14] = [
        b"a/b",
        b"/etc/passwd",
        b"..",
        b".",
        b"../up",
        b"a\\b",
        b"c:d",
        b"a\0b",
        b"\x1b[2J",
        b"a\x7f",
        b"",
        b"\xff",
        long.as_bytes(),
        b".UNSTICK-x",
    ];
    for (id, name) in (1u32..).zip(names) {
        let payload = [&id.to_be_bytes()[..], &[0; 23], &[5], name].concat();
        peer.write(&frame(0x10, &payload)).write(&data(id, 0, b"bytes")).write(&done(id, b"bytes"));
        peer.expect(&[(id, "bad-name")]);
    }
    // 255 bytes are accepted, and so are names that only look dangerous.
    for (id, name) in (100..).zip([&long[1..], "...", "~", "-rf", " ", "con"]) {
        assert_eq!(peer.send(id, 1, name, b"x"), "stored", "{name}");
    }
    peer.close();
    assert_eq!(receiver.folder.names(""), ["inbox"]);
    assert_eq!(receiver.files().len(), 6);
}

#[test]
fn links_are_not_followed() {
    let receiver = Receiver::new("inbox-links", &[]);
    let outside = receiver.folder.write("outside", b"precious");
    let inbox = receiver.folder.path("inbox");
    symlink(&outside, inbox.join("link")).unwrap();
    symlink("/nowhere/at/all", inbox.join("dangling")).unwrap();
    symlink(&outside, inbox.join(part_name(1, "by a link"))).unwrap();
    fs::hard_link(&outside, inbox.join(part_name(1, "by a second name"))).unwrap();
    fs::create_dir(inbox.join(part_name(1, "a folder"))).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        inbox.join(part_name(1, "a pipe")),
        rustix::fs::Mode::RWXU,
    )
    .unwrap();
    let mut peer = receiver.peer();
    for (id, (name, status)) in (1..).zip([
        ("link", "exists"),
        ("dangling", "exists"),
        ("by a link", "storage-failed"),
        ("by a second name", "storage-failed"),
        ("a folder", "storage-failed"),
        ("a pipe", "storage-failed"),
        ("fine", "stored"),
    ]) {
        assert_eq!(peer.send(id, 1, name, b"stranger"), status, "{name}");
    }
    // The target of a link is not reported, even if it has the same size.
    peer.write(&open(20, 1, Some(8), "link"));
    assert_eq!(peer.status(), (20, "exists".to_owned(), 0, Digest::NONE));
    // A link that is created while the file arrives.
    peer.offer(21, 1, Some(8), "later");
    peer.write(&data(21, 0, b"stranger"));
    symlink(&outside, inbox.join("later")).unwrap();
    peer.write(&done(21, b"stranger"));
    peer.expect(&[(21, "exists")]);
    peer.close();
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
    assert!(fs::symlink_metadata(inbox.join("later")).unwrap().is_symlink());
    assert_eq!(receiver.read("fine"), b"stranger");
}

#[test]
fn violations_of_a_transfer_are_refused_with_their_codes() {
    let receiver = Receiver::new("inbox-rules", &["--max-file", "1000"]);
    let mut peer = receiver.peer();
    let wrong = message(Message::FileDone(unstick_session::message::FileDone {
        id: 5,
        total: 5,
        digest: Digest([9; 32]),
    }));
    let cancel =
        message(Message::FileCancel(FileCancel { id: 9, code: Code::CHANGED, reason: "" }));
    for (id, bytes, status) in [
        (1, [data(1, 0, b"more than five"), done(1, b"more than five")].concat(), "excess"),
        (2, [data(2, 0, b"12"), data(2, 2, b"3456")].concat(), "excess"),
        (3, [data(3, 0, b"1234"), done(3, b"1234")].concat(), "wrong-total"),
        (4, [data(4, 0, b"12"), data(4, 3, b"45")].concat(), "bad-offset"),
        (5, [data(5, 0, b"12345"), wrong].concat(), "bad-digest"),
        (
            9,
            [data(9, 0, b"123"), cancel, data(9, 3, b"45"), done(9, b"12345")].concat(),
            "cancelled",
        ),
    ] {
        assert_eq!(peer.offer(id, 1, Some(5), "a"), (0, Digest::OF_NOTHING), "{status}");
        peer.write(&bytes);
        peer.expect(&[(id, status)]);
        eventually("removed", || receiver.parts() == 0);
        assert!(receiver.files().is_empty(), "{status}");
    }
    // Too large, by the announced size and by the data.
    peer.write(&open(10, 1, Some(1001), "a"));
    peer.expect(&[(10, "too-large")]);
    peer.offer(11, 1, None, "a");
    peer.write(&data(11, 0, &[0; 1000])).write(&data(11, 1000, b"1"));
    peer.expect(&[(11, "too-large")]);
    // A second open does not affect the first.
    peer.offer(20, 1, Some(5), "a");
    peer.write(&data(20, 0, b"123")).write(&open(21, 2, Some(5), "b"));
    peer.expect(&[(21, "second-open")]);
    peer.write(&data(21, 0, b"12345")).write(&data(20, 3, b"45")).write(&done(20, b"12345"));
    peer.expect(&[(20, "stored")]);
    assert_eq!((receiver.read("a"), receiver.parts()), (b"12345".to_vec(), 0));
    // Data without an open is an error of the connection.
    peer.write(&data(22, 0, b"1"));
    let close = peer.next().unwrap();
    assert_eq!((close.0, &close.1[..2]), (CLOSE, &Code::BAD_TRANSFER_ID.0.to_be_bytes()[..]));
}

#[test]
fn a_part_is_found_only_by_name_and_key() {
    let receiver = Receiver::new("inbox-resume", &[]);
    let bytes = content(200_000, 2);
    let mut first = receiver.peer();
    first.offer(1, 1, Some(200_000), "a");
    first.write(&data(1, 0, &bytes[..120_000]));
    drop(first);
    receiver.wait_for_part(120_000);
    let held = |key, name| receiver.peer().offer(1, key, Some(200_000), name);
    assert_eq!(held(2, "a"), (0, Digest::OF_NOTHING));
    assert_eq!(held(1, "b"), (0, Digest::OF_NOTHING));
    assert_eq!(held(1, "a"), (120_000, digest(&bytes[..120_000])));
    // Another sender stores a file of that name meanwhile; the part is then removed.
    assert_eq!(receiver.peer().send(1, 7, "a", b"theirs"), "stored");
    let mut back = receiver.peer();
    back.write(&open(1, 1, Some(200_000), "a"));
    back.expect(&[(1, "exists")]);
    assert_eq!((receiver.parts(), receiver.read("a")), (0, b"theirs".to_vec()));
    fs::remove_file(receiver.folder.path("inbox/a")).unwrap();

    // An upload is resumed also after the listener was killed and restarted.
    let mut first = receiver.peer();
    first.write(&open(1, 1, Some(200_000), "a")).write(&data(1, 0, &bytes[..120_000]));
    receiver.wait_for_part(120_000);
    let Receiver { folder, listen } = receiver;
    drop(listen);
    let listen = Listen::start(&["--dir", &folder.str("inbox")]);
    let mut peer = Peer::new(listen.connect());
    let held = peer.offer(1, 1, Some(200_000), "a");
    assert_eq!(held, (120_000, digest(&bytes[..120_000])));
    peer.write(&data(1, 120_000, &bytes[120_000..])).write(&done(1, &bytes));
    peer.expect(&[(1, "stored")]);
    assert!(fs::read(folder.path("inbox/a")).unwrap() == bytes);
    // The part may be the whole file, of another file, or too long.
    for (held, size) in [(&b"12345"[..], 5), (b"xyz", 5), (b"1234567", 5)] {
        fs::write(folder.path("inbox").join(part_name(3, "c")), held).unwrap();
        peer = Peer::new(listen.connect());
        let (offset, found) = peer.offer(1, 3, Some(size), "c");
        let begin = if found == digest(b"12345") { offset } else { 0 };
        assert_eq!(begin, if held == b"12345" { 5 } else { 0 });
        if begin == 0 {
            peer.write(&data(1, 0, b"12345"));
        }
        peer.write(&done(1, b"12345"));
        peer.expect(&[(1, "stored")]);
        assert_eq!(fs::read(folder.path("inbox/c")).unwrap(), b"12345");
        fs::remove_file(folder.path("inbox/c")).unwrap();
    }
}

#[test]
fn two_senders_of_one_name_have_separate_parts() {
    let receiver = Receiver::new("inbox-two", &[]);
    let (a, b) = (content(100_000, 3), content(100_000, 4));
    let (mut one, mut two) = (receiver.peer(), receiver.peer());
    one.offer(1, 1, Some(100_000), "same");
    assert_eq!(two.offer(1, 2, Some(100_000), "same"), (0, Digest::OF_NOTHING));
    for i in 0..10 {
        let at = i * 10_000;
        one.write(&data(1, at as u64, &a[at..at + 10_000]));
        two.write(&data(1, at as u64, &b[at..at + 10_000]));
    }
    one.write(&done(1, &a));
    one.expect(&[(1, "stored")]);
    two.write(&done(1, &b));
    assert_eq!(two.status(), (1, "exists".to_owned(), 100_000, digest(&a)));
    assert!(receiver.read("same") == a);
    assert_eq!(receiver.parts(), 0);
    // With the same key it is the same sender, whose earlier transfer has to end first.
    one.offer(2, 5, Some(5), "mine");
    two.write(&open(2, 5, Some(5), "mine"));
    two.expect(&[(2, "busy")]);
    one.write(&data(2, 0, b"12345")).write(&done(2, b"12345"));
    one.expect(&[(2, "stored")]);
}

#[test]
fn a_name_that_is_taken_follows_on_exists() {
    // spec: FIL-24
    for (policy, again, other, files) in [
        ("refuse", "exists", "exists", &["a.txt"][..]),
        ("rename", "stored", "stored", &["a (2).txt", "a.txt"]),
    ] {
        let receiver = Receiver::new(&format!("inbox-{policy}"), &["--on-exists", policy]);
        let mut peer = receiver.peer();
        assert_eq!(peer.send(1, 1, "a.txt", b"one"), "stored");
        assert_eq!(peer.send(2, 2, "a.txt", b"one"), again);
        assert_eq!(peer.send(3, 1, "a.txt", b"two"), other);
        assert_eq!(peer.send(4, 1, "a.txt", b"two"), other);
        assert_eq!(
            (receiver.files(), receiver.parts()),
            (files.iter().map(|&f| f.into()).collect(), 0)
        );
        assert_eq!(receiver.read("a.txt"), b"one");
        // The digest in the status identifies the existing file.
        if policy == "refuse" {
            peer.write(&open(9, 1, Some(3), "a.txt"));
            assert_eq!(peer.status(), (9, "exists".to_owned(), 3, digest(b"one")));
        }
    }
}

#[test]
fn late_messages_do_not_affect_the_next_transfer() {
    let receiver = Receiver::new("inbox-late", &[]);
    let mut peer = receiver.peer();
    let cancel =
        |id| message(Message::FileCancel(FileCancel { id, code: Code::GIVEN_UP, reason: "" }));
    let mut all = Vec::new();
    for id in [1, 3, 5] {
        all.extend([open(id, 1, Some(5), "a"), data(id, 0, b"123"), cancel(id)].concat());
        all.extend([open(id + 1, 1, Some(5), &format!("b{id}")), data(id, 3, b"45")].concat());
        all.extend([done(id, b"12345"), cancel(id), data(id + 1, 0, b"abcde")].concat());
        all.extend(done(id + 1, b"abcde"));
    }
    peer.write(&all).write(&frame(CLOSE, b""));
    let mut last = Vec::new();
    while let Some((kind, payload)) = peer.next() {
        if kind == 0x13 && payload[4..6] != Code::READY.0.to_be_bytes() {
            let number = u16::from_be_bytes([payload[4], payload[5]]);
            last.push((payload[3], Code(number).to_string()));
        }
    }
    last.sort();
    let of = |id: u8| (id, if id % 2 == 1 { "cancelled" } else { "stored" }.to_owned());
    assert_eq!(last, (1..=6).map(of).collect::<Vec<_>>());
    assert_eq!(
        (receiver.files(), receiver.parts()),
        (vec!["b1".into(), "b3".into(), "b5".into()], 0)
    );
}

#[test]
fn a_removed_inbox_refuses_files_with_a_status() {
    let receiver = Receiver::new("inbox-gone", &[]);
    let mut peer = receiver.peer();
    fs::remove_dir(receiver.folder.path("inbox")).unwrap();
    assert_eq!(peer.send(1, 1, "a", b"12345"), "storage-failed");
    peer.write(&frame(TEXT, b"and goes on"));
    receiver.listen.out.line("and goes on");
    receiver.listen.err.line("\"a\" is not stored: storage-failed");
}

#[test]
fn a_file_over_the_systems_size_limit_is_refused() {
    let folder = Folder::new("inbox-limit");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 100 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_unstick")]);
    command.args(["listen", ":0", "--dir", &folder.str("inbox")]);
    let listen = Listen::of(&mut command);
    let (mut large, mut small) = (Peer::new(listen.connect()), Peer::new(listen.connect()));
    small.offer(1, 2, Some(3), "small");
    small.write(&data(1, 0, b"12"));
    assert_eq!(large.send(1, 1, "large", &content(300_000, 5)), "too-large");
    listen.err.line("\"large\" is not stored: too-large, ");
    small.write(&data(1, 2, b"3")).write(&done(1, b"123")).expect(&[(1, "stored")]);
    // The connection continues, and the part of the large file is removed.
    assert_eq!(large.send(2, 1, "other", b"12345"), "stored");
    assert_eq!(folder.names("inbox"), ["other", "small"]);
}

#[test]
fn a_read_only_inbox_refuses_files_with_a_status() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("inbox-read-only");
    let inbox = folder.path("inbox");
    fs::create_dir(&inbox).unwrap();
    fs::write(inbox.join("there"), b"12345").unwrap();
    fs::set_permissions(&inbox, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere, unless it has no capabilities.
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_unstick")]);
        command
    } else {
        unstick()
    };
    let listen = Listen::of(command.args(["listen", ":0", "--dir", &folder.str("inbox")]));
    let mut peer = Peer::new(listen.connect());
    assert_eq!(peer.send(1, 1, "a", b"12345"), "storage-failed");
    listen.err.line("\"a\" is not stored: storage-failed");
    assert_eq!(peer.send(2, 1, "there", b"12345"), "exists");
    peer.write(&frame(TEXT, b"and goes on"));
    listen.out.line("and goes on");
    assert_eq!(folder.names("inbox"), ["there"]);
    fs::set_permissions(&inbox, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Leaves a part of `len` bytes, like a broken connection does.
fn leave_part(receiver: &Receiver, key: u8, name: &str, len: usize) {
    let mut peer = receiver.peer();
    peer.offer(1, key, None, name);
    peer.write(&data(1, 0, &content(len, key.into())));
    drop(peer);
    let path = receiver.folder.path("inbox").join(part_name(key, name));
    eventually("left", || fs::metadata(&path).is_ok_and(|part| part.len() == len as u64));
    // One such line per connection: after it the part is not in use any more.
    receiver.listen.err.lines("the stream ended without a close", usize::from(key));
}

#[test]
fn the_oldest_parts_are_removed_to_stay_within_max_parts() {
    // Five blocks.
    let receiver = Receiver::new("inbox-parts", &["--max-parts", "20KiB"]);
    leave_part(&receiver, 1, "oldest", 4_000);
    leave_part(&receiver, 2, "newer", 4_500);
    let names = || receiver.folder.names("inbox");
    assert_eq!(receiver.parts(), 2);
    let mut peer = receiver.peer();
    assert_eq!(peer.send(1, 9, "fits", &content(1_500, 9)), "stored");
    assert_eq!(receiver.parts(), 2, "there was room");
    assert_eq!(peer.send(2, 9, "new", &content(9_000, 9)), "stored");
    assert_eq!(names(), [part_name(2, "newer"), "fits".to_owned(), "new".to_owned()]);
    // A stored file is no part, and does not count.
    assert_eq!(peer.send(3, 9, "new 2", &content(12_000, 9)), "stored");
    assert_eq!(peer.offer(4, 2, None, "newer").0, 4_500);

    // A part in use is not removed for another file, which is refused with `busy` and may be
    // retried.
    let mut other = receiver.peer();
    let rest = content(4_500 + 5_500, 2);
    thread::scope(|scope| {
        let late = scope.spawn(|| other.send(1, 8, "late", &content(14_000, 8)));
        // It goes on meanwhile.
        for (at, bytes) in rest[4_500..].chunks(500).enumerate() {
            peer.write(&data(4, 4_500 + at as u64 * 500, bytes));
            thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(late.join().unwrap(), "busy");
    });
    receiver.listen.err.line("--max-parts");
    peer.write(&done(4, &rest)).expect(&[(4, "stored")]);
    assert!(receiver.read("newer") == rest);
    assert_eq!(other.send(2, 8, "late", &content(14_000, 8)), "stored");
    // A file larger than the maximum is refused at once.
    other.write(&open(3, 8, Some(20_481), "huge")).expect(&[(3, "too-large")]);
    assert_eq!(receiver.parts(), 0);
}

#[test]
fn parts_of_an_earlier_run_count_towards_max_parts() {
    let folder = Folder::new("inbox-parts-before");
    fs::create_dir(folder.path("inbox")).unwrap();
    for (key, age) in [(1, 30), (2, 90), (3, 60)] {
        let path = folder.write(&format!("inbox/{}", part_name(key, "a")), &[key; 4_000]);
        let modified = std::time::SystemTime::now() - Duration::from_secs(age);
        fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }
    fs::write(folder.path("inbox").join("a file"), [0; 50_000]).unwrap();
    let listen = Listen::start(&["--dir", &folder.str("inbox"), "--max-parts", "9000"]);
    let mut left = [part_name(1, "a"), part_name(3, "a"), "a file".to_owned()];
    left.sort();
    assert_eq!(folder.names("inbox"), left);
    let mut peer = Peer::new(listen.connect());
    peer.write(&open(1, 3, Some(9_001), "a")).expect(&[(1, "too-large")]);
    assert_eq!(peer.offer(2, 1, Some(9_000), "a").0, 4_000);
}

#[test]
fn slow_uploads_are_ended_and_do_not_delay_others() {
    let receiver = Receiver::new("inbox-slow", &["--min-rate", "20"]);
    let mut slow: Vec<_> = (0..500).map(|_| receiver.peer()).collect();
    for (i, peer) in slow.iter_mut().enumerate() {
        // Half of them send frames of one byte, half one large frame.
        if i % 2 == 0 {
            peer.write(&open(1, 1, Some(1000), &format!("slow {i}"))).write(&data(1, 0, b"0"));
        } else {
            let begun = data(1, 1, &[0; 900]);
            peer.write(&open(1, 1, Some(1000), &format!("slow {i}"))).write(&data(1, 0, b"0"));
            peer.write(&begun[..20]);
        }
    }
    let began = Instant::now();
    let bytes = content(3_000_000, 6);
    let mut stored = false;
    for second in 1_u64.. {
        thread::sleep(Duration::from_secs(1));
        let mut alive = 0;
        for (i, peer) in slow.iter_mut().enumerate() {
            use std::io::Write;
            let byte = if i % 2 == 0 { data(1, second, b"0") } else { vec![0] };
            alive += usize::from(peer.stream.write_all(&byte).is_ok());
        }
        if second == 2 {
            let began = Instant::now();
            assert_eq!(receiver.peer().send(1, 9, "normal", &bytes), "stored");
            stored = began.elapsed() < Duration::from_secs(5);
        }
        if alive == 0 {
            break;
        }
        assert!(began.elapsed() < TIMEOUT, "{alive} of them are still connected");
    }
    assert!(stored && receiver.read("normal") == bytes);
    receiver.listen.err.lines("the file came too slowly, ", 500);
    assert_eq!(receiver.files(), ["normal"]);
}

#[test]
fn only_old_parts_are_removed() {
    let folder = Folder::new("inbox-old");
    fs::create_dir(folder.path("inbox")).unwrap();
    for name in [part_name(1, "old"), part_name(1, "new"), "old".to_owned()] {
        let path = folder.write(&format!("inbox/{name}"), b"12345");
        if !name.contains(&part_name(1, "new")) {
            let old = std::time::SystemTime::now() - Duration::from_secs(8 * 24 * 60 * 60);
            fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
    }
    let _listen = Listen::start(&["--dir", &folder.str("inbox")]);
    assert_eq!(folder.names("inbox"), [part_name(1, "new"), "old".to_owned()]);
}

#[test]
fn files_of_the_python_client_are_stored() {
    let receiver = Receiver::new("inbox-python", &[]);
    let client = r#"
import hashlib, socket, sys, unstick

content = bytes(i * 7 % 251 for i in range(200_000))
with unstick.Client(socket.create_connection(("127.0.0.1", int(sys.argv[1])))) as client:
    client.text("粘包")
    for name, data in [("new.bin", content), ("empty.bin", b""), ("new.bin", content), ("a/b", b"")]:
        try:
            status = client.file(name, data, key=b"k" * 16)
            print(name, hex(status["code"]), status["digest"] == hashlib.sha256(data).digest())
        except Exception as error:
            print(name, "refused")
    client.close()
"#;
    let port = receiver.listen.addr.rsplit_once(':').unwrap().1;
    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    python.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/python"));
    finish(python.args(["-c", client, port]), b"")
        .succeeds("new.bin 0x120 True\nempty.bin 0x120 True\nnew.bin 0x121 True\na/b refused\n");
    assert_eq!(receiver.files(), ["empty.bin", "new.bin"]);
    receiver.listen.err.line("ended after 1 message and 2 files");
}

/// Returns the processor time that the listener has used, in ticks of 10 ms.
fn processor_time(listen: &Listen) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", listen.child.id())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A file that is there is digested for an offer only as long as somebody waits for the answer.
#[test]
fn nobody_digests_for_an_offer_that_is_cancelled_or_whose_sender_is_gone() {
    // spec: SEC-4
    const LARGE: u64 = 64 << 30;
    let receiver = Receiver::new("inbox-cancel-digest", &[]);
    fs::File::create(receiver.folder.path("inbox/large")).unwrap().set_len(LARGE).unwrap();
    let idle = || {
        let before = processor_time(&receiver.listen);
        thread::sleep(Duration::from_millis(500));
        processor_time(&receiver.listen) - before < 5
    };
    let mut peer = receiver.peer();
    for id in 1..=8 {
        peer.write(&open(id, 1, Some(LARGE), "large"));
        if id == 8 {
            eventually("digesting", || !idle());
        }
        let cancel = FileCancel { id, code: Code::CANCELLED, reason: "" };
        peer.write(&message(Message::FileCancel(cancel)));
        peer.expect(&[(id, "cancelled")]);
    }
    eventually("idle", idle);
    assert_eq!(peer.send(9, 2, "small", b"after it"), "stored");

    peer.write(&open(10, 1, Some(LARGE), "large"));
    eventually("digesting", || !idle());
    drop(peer);
    eventually("idle", idle);
}

/// A part of one byte takes a block on the disk, and counts as one.
#[test]
fn many_small_parts_are_bounded_by_the_blocks_that_they_take() {
    let receiver = Receiver::new("inbox-blocks", &["--max-parts", "64KiB"]);
    for key in 0..40 {
        let mut peer = receiver.peer();
        peer.offer(1, key, Some(2), "file");
        peer.write(&data(1, 0, b"1"));
        let parts = receiver.parts();
        drop(peer);
        receiver.listen.err.lines("did the peer crash", usize::from(key) + 1);
        assert!(parts <= 17, "{parts}");
    }
    assert!(receiver.parts() <= 16, "{}", receiver.parts());
    // A whole file still finds room.
    assert_eq!(receiver.peer().send(1, 99, "whole", &[7; 60_000]), "stored");
}

/// A name that is taken often is not tried from the beginning for each file, and the same file is found
/// wherever it is.
#[test]
fn many_files_of_one_name_get_numbers_and_each_content_one() {
    let receiver = Receiver::new("inbox-numbers", &["--on-exists", "rename"]);
    let mut peer = receiver.peer();
    // One of another length, and one that was there before: both are found again.
    fs::write(receiver.folder.path("inbox/a.txt"), "before").unwrap();
    for (id, content) in (1_u32..).zip(["1", "22", "333", "22", "before", "1", "4444", "333"]) {
        assert_eq!(peer.send(id, u8::try_from(id).unwrap(), "a.txt", content.as_bytes()), "stored");
    }
    let name = |n: u32| format!("a ({n}).txt");
    assert_eq!(receiver.files(), [name(2), name(3), name(4), name(5), "a.txt".to_owned()]);
    assert_eq!(receiver.read("a (5).txt"), b"4444");
    // The names of files that were taken out are free again.
    for file in receiver.files() {
        fs::remove_file(receiver.folder.path("inbox").join(file)).unwrap();
    }
    for (id, content) in [(20, "1"), (21, "55555"), (22, "1")] {
        assert_eq!(peer.send(id, 20, "a.txt", content.as_bytes()), "stored");
    }
    assert_eq!(receiver.files(), [name(2), "a.txt".to_owned()]);
}

// spec: FIL-25
#[test]
fn a_file_with_the_key_of_zeros_leaves_no_part_and_finds_none() {
    let folder = Folder::new("inbox-no-key");
    let listen = Listen::start(&["--dir", &folder.str("inbox")]);
    for _ in 0..2 {
        let mut peer = Peer::new(listen.connect());
        assert_eq!(peer.offer(1, 0, Some(10), "a").0, 0);
        peer.write(&data(1, 0, b"bytes"));
        drop(peer);
        listen.err.line("the stream ended");
        eventually("removed", || folder.names("inbox").is_empty());
    }
    let mut peer = Peer::new(listen.connect());
    assert_eq!(peer.send(1, 0, "a", b"0123456789"), "stored");
    assert_eq!(folder.names("inbox"), ["a"]);
}

/// The parts and files that have to be digested for answers are digested in turn of the addresses.
#[cfg(target_os = "linux")]
#[test]
fn parts_are_digested_in_turn_of_the_addresses() {
    let receiver = Receiver::new("inbox-digests", &[]);
    let part = |key, name: &str, len: u64| {
        let path = receiver.folder.path("inbox").join(part_name(key, name));
        fs::File::create(path).unwrap().set_len(len).unwrap();
    };
    const LARGE: u64 = 64 << 20;
    let (count, ready) = (24, AtomicUsize::new(0));
    let others: Vec<_> = (1..=count)
        .map(|key| {
            part(key, "large", LARGE);
            let mut peer = Peer::new(connect_from(&receiver.listen, [127, 0, 0, 9]));
            peer.write(&open(1, key, Some(LARGE + 1), "large"));
            peer
        })
        .collect();
    part(99, "small", 100);
    thread::sleep(Duration::from_millis(300));
    thread::scope(|scope| {
        for mut other in others {
            let ready = &ready;
            scope.spawn(move || {
                other.status();
                ready.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(receiver.peer().offer(1, 99, Some(101), "small").0, 100);
        let ready = ready.load(Ordering::Relaxed);
        assert!(ready < 16, "{ready} of {count} came first");
    });
}
