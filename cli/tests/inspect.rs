//! `unstick inspect`: what it says of good and bad streams.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::thread;

use serde_json::Value;
use support::*;

fn inspect(args: &[&str], bytes: &[u8]) -> Done {
    run(&[&["inspect"], args].concat(), bytes)
}

#[test]
fn frames_stand_in_columns() {
    let bytes = [
        frame(HELLO, b"\0\x10\0\0me"),
        frame(TEXT, "粘包".as_bytes()),
        frame(BINARY, &[0, 255, 13, 10]),
        frame(0xc1, b""),
        frame(CLOSE, b"\0\x05too long"),
    ];
    let expected = "      offset       payload  kind         content
           0             6  hello        takes 1048576 bytes at most, \"me\"
          14             6  text         \"粘包\"
          28             4  binary       00 ff 0d 0a
          40             0  0xc1         (empty)
          48            10  close        code 0x0005 (oversize): too long
5 whole frames, 66 bytes read
";
    inspect(&[], &bytes.concat()).succeeds(expected);
    let file = path("capture.bin");
    std::fs::write(&file, bytes.concat()).unwrap();
    inspect(&[file.to_str().unwrap()], b"").succeeds(expected);
    std::fs::remove_file(file).unwrap();
    let text: String = bytes.concat().iter().map(|byte| format!("0x{byte:02x}, ")).collect();
    inspect(&["--hex"], text.as_bytes()).succeeds(expected);
}

#[test]
fn other_formats() {
    let field = "field:header=4,offset=1,width=2,order=be,covers=frame";
    let done = inspect(&["--format", field, "--hex"], b"AA 00 06 BB 68 69");
    assert!(done.stdout.contains("           0             2  aa0000bb  \"hi\"\n"), "{done:?}");
    for (format, bytes) in [
        ("u8", "02 68 69"),
        ("u16le", "02 00 68 69"),
        ("u24be", "00 00 02 68 69"),
        ("u64le", "02 00 00 00 00 00 00 00 68 69"),
        ("i32le", "02 00 00 00 68 69"),
        ("varint", "02 68 69"),
    ] {
        let done = inspect(&["--format", format, "--hex"], bytes.as_bytes());
        assert!(done.stdout.contains("           0             2  \"hi\"\n1 whole"), "{done:?}");
        assert_eq!(done.code, 0);
    }
}

#[test]
fn it_says_where_a_stream_goes_wrong() {
    let table = [
        ("", "f5 01 01", "byte 3: the stream ended inside a header, at least 5 bytes are missing"),
        ("", "f5 01 01 00 00 00 02 f2", "byte 8: the stream ended inside a payload, 2 bytes are"),
        ("", "f5 01 01 00 00 00 02 f2 68", "byte 9: the stream ended inside a payload, 1 byte is"),
        ("--format=i32le", "fe ff ff ff", "byte 0: the length is negative"),
        ("--format=varint", "82 80 00 68 69", "byte 0: the length is a varint with a needless"),
        ("--format=field:width=2,covers=frame", "00 01", "byte 0: a length of 1 covers less"),
        ("--format=u16be --limit=4", "00 05 61 62 63 64 65", "announces a payload of 5 bytes"),
    ];
    for (args, bytes, why) in table {
        let mut all = vec!["--hex"];
        all.extend(args.split_whitespace());
        inspect(&all, bytes.as_bytes()).fails(1, why);
    }
    inspect(&["--format", "field:width=9"], b"").fails(2, "1 to 8 bytes");
    inspect(&["--format", "u16be", "--resync"], b"").fails(2, "only v1 headers can be found again");
    inspect(&["/no/such/file"], b"").fails(1, "cannot open /no/such/file");
    inspect(&["--hex"], b"f5 01\n0g").fails(1, "line 2, column 2: `g` does not belong");
    inspect(&["--hex"], b"f5 0").fails(1, "line 1, column 4: the hexadecimal text ends");
}

#[test]
fn a_wrong_byte_and_its_frame_are_both_named() {
    let mut bytes = [frame(TEXT, b"a"), frame(TEXT, b"b"), frame(TEXT, b"c")].concat();
    bytes[9 + 7] ^= 1;
    bytes[18..].fill(0);
    let done = inspect(&[], &bytes);
    let lines: Vec<_> = done.stderr.lines().collect();
    assert!(
        lines[0].starts_with("unstick: byte 16, in the frame at byte 9: the header's check is ")
    );
    assert_eq!(lines[1], "unstick: byte 27: no further header in the 18 bytes up to the end");
    assert!(done.stdout.ends_with("\n1 whole frame (9 bytes); stopped at byte 16\n"), "{done:?}");
    let done = inspect(&["--json"], &bytes);
    let error = done.stdout.lines().find(|line| line.contains("\"error\"")).unwrap();
    let error: Value = serde_json::from_str(error).unwrap();
    assert_eq!((&error["at"], &error["byte"]), (&9.into(), &16.into()));
}

#[test]
fn a_frame_over_the_limit_can_be_skipped() {
    let bytes = [frame(TEXT, b"1234"), frame(TEXT, b"12345"), frame(TEXT, b"ok")].concat();
    let done = inspect(&["--limit", "4"], &bytes);
    done.fails(1, "; go on behind it with --skip-oversize\n");
    assert!(!done.stderr.contains("resync"), "{done:?}");
    assert!(done.stdout.ends_with("\n1 whole frame (12 bytes); stopped at byte 12\n"), "{done:?}");
    let done = inspect(&["--limit", "4", "--skip-oversize"], &bytes);
    done.fails(1, "; going on behind it\n");
    assert!(done.stdout.ends_with("\n2 whole frames, 35 bytes read\n"), "{done:?}");
}

#[test]
fn another_format_is_recognized() {
    inspect(&["--format", "i32le"], b"\0\0\0\x05hello").fails(1, "try --format i32be\n");
    let done = inspect(&["--format", "u16le"], &frame(TEXT, b"hi"));
    done.fails(1, "was the connection cut, or is it another format?");
}

#[test]
fn what_cannot_be_read_has_no_table() {
    let done = inspect(&[std::env::temp_dir().to_str().unwrap()], b"");
    done.fails(1, "cannot read");
    assert_eq!(done.stdout, "");
    let done = inspect(&["--hex"], b"nothing of the kind");
    done.fails(1, "line 1, column 1");
    assert_eq!(done.stdout, "");
    inspect(&[], b"").succeeds(
        "      offset       payload  kind         content\n0 whole frames, 0 bytes read\n",
    );
}

#[test]
fn it_says_what_a_search_would_find() {
    let bytes = b"3F F5 01 01 00 00 00 02 F2 68 69 21 21 F5 01 01 00 00 00 00 AC";
    let done = inspect(&["--hex"], bytes);
    let lines: Vec<_> = done.stderr.lines().collect();
    assert_eq!((done.code, lines.len()), (1, 2), "{done:?}");
    assert!(lines[0].starts_with("unstick: byte 0: a frame starts with 0xf5, found 0x3f"));
    assert_eq!(
        lines[1],
        "unstick: byte 1: a resync would find a text frame with 2 bytes of payload, \
         1 byte skipped; see it with --resync"
    );
    let done = inspect(&["--hex", "--resync"], bytes);
    assert_eq!(done.code, 1);
    assert!(done.stdout.ends_with("2 whole frames, 21 bytes read\n"), "{done:?}");
    inspect(&["--hex", "--resync"], b"3f").stderr.lines().nth(1).expect("a second line");
    let over = b"F5 01 02 00 00 00 05 E7 61 62 63 64 65 F5 01 01 00 00 00 02 F2 6F 6B";
    let done = inspect(&["--hex", "--limit", "4", "--skip-oversize"], over);
    assert!(done.stdout.contains("          13             2  text         \"ok\"\n"), "{done:?}");
}

#[test]
fn json_is_one_object_a_line() {
    let bytes = b"3F F5 01 01 00 00 00 02 F2 68 69 F5 01 01 00 00 00 02 F2 68";
    let done = inspect(&["--hex", "--resync", "--json"], bytes);
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["error", "resync", "frame", "frame", "error", "end"]);
    assert_eq!((&events[0]["at"], &events[0]["name"]), (&0.into(), &"bad-magic".into()));
    assert_eq!((&events[1]["found"], &events[1]["skipped"]), (&1.into(), &1.into()));
    assert_eq!((&events[2]["at"], &events[2]["text"]), (&1.into(), &"hi".into()));
    assert_eq!((&events[3]["len"], &events[3]["arrived"]), (&2.into(), &1.into()));
    assert_eq!((&events[5]["frames"], &events[5]["errors"]), (&1.into(), &2.into()));
}

#[test]
fn json_has_whole_payloads_unless_they_are_large() {
    let most = "x".repeat(64 << 10);
    let bytes = [
        frame(TEXT, "a \"粘包\"\n".as_bytes()),
        frame(BINARY, &[0xff; 300]),
        frame(TEXT, most.as_bytes()),
        frame(TEXT, format!("{most}y").as_bytes()),
        frame(CLOSE, b"\0\x05too long"),
    ];
    let done = inspect(&["--json", "--preview", "3"], &bytes.concat());
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["text"], "a \"粘包\"\n");
    assert_eq!(events[1]["hex"], "ff".repeat(300));
    assert_eq!(events[2]["text"], most);
    assert_eq!((&events[3]["text"], &events[3]["preview"]), (&Value::Null, &"xxx".into()));
    assert_eq!(events[4]["meaning"], "code 0x0005 (oversize): too long");
    assert!(events.iter().take(3).all(|event| event.get("preview").is_none()), "{events:?}");
}

#[test]
fn a_frame_may_be_larger_than_memory() {
    let mut child = unstick()
        .args(["inspect", "--format", "u32be", "--limit", "1GiB"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let len: usize = 200 << 20;
    stdin.write_all(&u32::try_from(len).unwrap().to_be_bytes()).unwrap();
    for _ in 0..len >> 20 {
        stdin.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    stdin.write_all(b"\0\0\0\x02").unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 32 << 10, "{peak} KiB");
    drop(stdin);
    let out = Lines::of(child.stdout.take().unwrap());
    assert_eq!(wait(&mut child), 1);
    assert!(out.all().contains("           0     209715200  \"xxx"), "{}", out.all());
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let mut child = unstick()
        .arg("inspect")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::spawn(move || while stdin.write_all(&frame(TEXT, b"hello")).is_ok() {});
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let stderr = Lines::of(child.stderr.take().unwrap());
    assert_eq!((wait(&mut child), stderr.all().as_str()), (0, ""));
}
