//! The plain dialect: `unstick listen --format i32le --dir` with a Python script that uses only the
//! standard library, and with invalid input.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::time::Duration;

use crate::support::*;

fn receiver(folder: &Folder, args: &[&str]) -> Listen {
    let inbox = folder.str("inbox");
    Listen::start(&[&["--format", "i32le", "--dir", &inbox], args].concat())
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&i32::try_from(payload.len()).unwrap().to_le_bytes(), payload].concat()
}

fn text(text: &str) -> Vec<u8> {
    [frame(br#"{"msg_type":"msg"}"#), frame(text.as_bytes())].concat()
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    let item = serde_json::json!({ "msg_type": "file", "file_name": name, "more": 1 });
    [frame(item.to_string().as_bytes()), frame(content)].concat()
}

/// Sends the bytes, shuts down writing, and returns what was received.
fn exchange(listen: &Listen, bytes: &[u8]) -> Vec<u8> {
    let mut stream = listen.connect();
    let _ = stream.write_all(bytes); // the connection may be closed already
    let _ = stream.shutdown(Shutdown::Write);
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    back
}

#[test]
fn an_unchanged_python_script_uploads_in_pieces_of_any_size() {
    for (cut, len) in [("0", 50 << 20), ("1", 3_000), ("7", 100_000), ("65537", 5_000_000)] {
        let folder = Folder::new(&format!("dialect-{cut}"));
        let bytes = content(len, 1);
        let path = folder.write("photo.bin", &bytes);
        let listen = receiver(&folder, &[]);
        let (host, port) = listen.addr.rsplit_once(':').unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialect.py");
        let mut python = Command::new("python3");
        finish(python.args([script, host, port, &path, cut]), b"").succeeds("");
        listen.err.line("ended after 4 messages and 2 files");
        for name in ["photo.bin", "报告.bin"] {
            assert!(fs::read(folder.path("inbox").join(name)).unwrap() == bytes, "{cut} {name}");
        }
        assert_eq!(folder.names("inbox").len(), 2);
        let memory = listen.peak_memory();
        assert!(memory < 48 << 20, "{memory} bytes"); // less than the file's size
        let done = listen.interrupt();
        for text in ["5  \"hello\"", "0  (empty)", "\"你好，粘包\"", "\"still there\""] {
            assert!(done.stdout.contains(text), "{text}: {done:?}");
        }
        assert!(done.stderr.contains("\"../up\" is not stored: bad-name, "), "{done:?}");
    }
}

#[test]
fn nothing_is_written_unless_a_reply_is_asked_for() {
    let folder = Folder::new("dialect-reply");
    let all = [text("hello"), file("a", b"x"), file("a", b"y"), frame(b"close")].concat();
    assert_eq!(exchange(&receiver(&folder, &[]), &all), b"");
    let listen = receiver(&folder, &["--reply", "upper"]);
    assert_eq!(exchange(&listen, &[text("hello"), frame(b"close")].concat()), text("HELLO"));
}

#[test]
fn a_refused_file_is_skipped_and_the_connection_continues() {
    let folder = Folder::new("dialect-refused");
    let listen = receiver(&folder, &["--max-file", "1000", "--limit", "100"]);
    fs::write(folder.path("outside"), b"precious").unwrap();
    std::os::unix::fs::symlink(folder.path("outside"), folder.path("inbox/link")).unwrap();
    fs::write(folder.path("inbox/there"), b"here").unwrap();
    let bytes = content(5_000, 2);
    let all = [
        file("large", &bytes),
        file("a/b", &bytes[..50]),
        file("", b"x"),
        file("link", b"stranger"),
        file("there", b"else"),
        file("there", b"here"),       // the same content: counts as stored
        file("fits", &bytes[..1000]), // longer than --limit, which is for other frames
        file("empty", b""),
        text("still there"),
        frame(b"close"),
    ];
    assert_eq!(exchange(&listen, &all.concat()), b"");
    listen.err.line("ended after 1 message and 3 files");
    let done = listen.interrupt();
    for (name, code) in [
        ("large", "too-large"),
        ("a/b", "bad-name"),
        ("", "bad-name"),
        ("there", "exists"),
        ("link", "exists"),
    ] {
        let line = format!("\"{name}\" is not stored: {code}, ");
        assert_eq!(done.stderr.matches(&line).count(), 1, "{line} {done:?}");
    }
    assert_eq!(folder.names("inbox"), ["empty", "fits", "link", "there"]);
    assert!(fs::read(folder.path("inbox/fits")).unwrap() == bytes[..1000]);
    assert_eq!(fs::read(folder.path("outside")).unwrap(), b"precious");
}

#[test]
fn invalid_input_ends_the_connection_and_leaves_no_part() {
    let folder = Folder::new("dialect-broken");
    let listen = receiver(&folder, &["--limit", "100", "--frame-timeout", "1"]);
    let begun = file("half", b"12345");
    for (bytes, why) in [
        (frame(b"GET / HTTP/1.1"), "is no {\"msg_type\":\"msg\"}"),
        (frame(br#"{"msg_type":"dance"}"#), "unknown variant `dance`"),
        (frame(b""), "byte 0: (empty) is no"),
        ([text("ok"), frame(b"{}")].concat(), "byte 28: \"{}\" is no"),
        (frame(&[b' '; 101]), "announces a payload of 101 bytes and the limit is 100"),
        (
            [frame(br#"{"msg_type":"msg"}"#), frame(&[b' '; 101])].concat(),
            "byte 22: the frame announces",
        ),
        (frame(br#"{"msg_type":"msg"}"#), "after an item's JSON, its text is missing"),
        (begun[..begun.len() - 2].to_vec(), "inside a payload, 2 bytes are missing"),
        (b"\xff\xff\xff\xff".to_vec(), "byte 0: the length is negative"),
    ] {
        exchange(&listen, &bytes);
        listen.err.line(why);
    }
    // A frame that is not completed.
    let mut slow = listen.connect();
    slow.write_all(&frame(b"close")[..5]).unwrap();
    listen.err.line("byte 0: the frame is not complete after 1s");
    eventually("removed", || folder.names("inbox").is_empty());
    // The stream may end without a close, and other connections are not affected.
    exchange(&listen, &file("whole", b"12345"));
    eventually("stored", || folder.names("inbox") == ["whole"]);
    std::thread::sleep(Duration::from_millis(10));
}

#[test]
fn a_slow_upload_is_ended() {
    let folder = Folder::new("dialect-slow");
    let listen = receiver(&folder, &["--min-rate", "10"]);
    let mut slow = listen.connect();
    let all = file("slow", &[0; 1000]);
    slow.write_all(&all[..all.len() - 990]).unwrap();
    listen.err.line("the file came too slowly, ");
    eventually("removed", || folder.names("inbox").is_empty());
}

/// What is in the JSON of an item besides is not kept.
#[test]
fn a_long_item_takes_no_more_memory_than_it_has_bytes() {
    let folder = Folder::new("dialect-long");
    let listen = receiver(&folder, &["--limit", "8MiB"]);
    let values = "1,".repeat(4_000_000);
    let item = format!("{{\"msg_type\":\"msg\",\"more\":[{values}1]}}");
    let before = listen.peak_memory();
    exchange(&listen, &[frame(item.as_bytes()), frame(b"after it")].concat());
    listen.out.line("after it");
    let grown = listen.peak_memory() - before;
    assert!(grown < 32 << 20, "{} KiB", grown >> 10);
    // Nor is all of it in the log.
    let item = format!("{{\"msg_type\":\"{}\"}}", "x".repeat(100_000));
    exchange(&listen, &frame(item.as_bytes()));
    listen.err.line("is no {\"msg_type\":\"msg\"}");
    assert!(listen.err.so_far().len() < 2000, "{}", listen.err.so_far().len());
}
