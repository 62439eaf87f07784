//! `unstick inspect`: its output for valid and invalid streams.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::thread;

use serde_json::Value;

use crate::support::*;

fn inspect(args: &[&str], bytes: &[u8]) -> Done {
    run(&[&["inspect"], args].concat(), bytes)
}

#[test]
fn frames_are_listed_in_columns() {
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
fn frames_of_other_formats_are_listed() {
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

/// Real bytes from `cookbook/tests/formats.rs`, which names their sources.
#[test]
fn frames_of_existing_protocols_are_listed() {
    let table: [(&str, &str, &[&str]); 15] = [
        (
            "9p",
            "13 00 00 00 64 ff ff 00 20 00 00 06 00 39 50 32 30 30 30 \
             0b 00 00 00 78 01 00 07 00 00 00",
            &[
                "           0            12  Tversion, tag 65535  ",
                "          19             4  Tclunk, tag 1        07 00",
            ],
        ),
        (
            "dns",
            "00 1d b0 70 01 20 00 01 00 00 00 00 00 00 07 65 78 61 6d 70 6c 65 03 63 6f 6d 00 \
             00 01 00 01",
            &["           0            29  b0 70 01 20"],
        ),
        (
            "grpc",
            "00 00 00 00 07 0a 05 77 6f 72 6c 64 01 00 00 00 00",
            &[
                "           0             7  uncompressed  \"\\n\\u{5}world\"",
                "          12             0  compressed    (empty)",
            ],
        ),
        (
            "http2",
            "50 52 49 20 2a 20 48 54 54 50 2f 32 2e 30 0d 0a 0d 0a 53 4d 0d 0a 0d 0a \
             00 00 12 04 00 00 00 00 00 00 03 00 00 00 64 00 04 02 00 00 00 00 02 00 00 00 00 \
             00 00 04 08 00 00 00 00 00 01 ff 00 01",
            &[
                "           0             0  preface                              (empty)",
                "          24            18  SETTINGS, flags 0x00, stream 0       00 03",
                "          51             4  WINDOW_UPDATE, flags 0x00, stream 0  01 ff 00 01",
            ],
        ),
        (
            "kafka",
            "00 00 00 24 00 12 00 03 00 00 00 01 00 07 72 64 6b 61 66 6b 61 00 0b 6c 69 62 72 64 \
             6b 61 66 6b 61 06 32 2e 30 2e 32 00",
            &["           0            36  "],
        ),
        (
            "lsp",
            "43 6f 6e 74 65 6e 74 2d 4c 65 6e 67 74 68 3a 20 32 0d 0a 58 3a 79 0d 0a 0d 0a 7b 7d",
            &["           0             2  \"{}\""],
        ),
        (
            "modbus",
            "15 01 00 00 00 06 ff 03 00 04 00 01",
            &["           0             5  transaction 5377, unit 255   03 00 04 00 01"],
        ),
        (
            "mqtt",
            "32 09 00 03 61 2f 62 00 0a 68 69 c0 00",
            &[
                "           0             9  PUBLISH, QoS 1       ",
                "          11             0  PINGREQ              (empty)",
            ],
        ),
        ("mysql", "01 00 00 00 01", &["           0             1  sequence 0    01"]),
        (
            "postgres",
            "00 00 00 11 00 03 00 00 75 73 65 72 00 6d 65 00 00 \
             51 00 00 00 0d 73 65 6c 65 63 74 20 31 00 58 00 00 00 04",
            &[
                "           0            13  startup  ",
                "          17             9  Query                 \"select 1\\u{0}\"",
                "          31             0  Terminate             (empty)",
            ],
        ),
        (
            "postgres-startup",
            "00 00 00 08 04 d2 16 2f",
            &["           0             4  04 d2 16 2f"],
        ),
        (
            "protobuf",
            "03 08 96 01 09 12 07 74 65 73 74 69 6e 67",
            &["           0             3  08 96 01", "           4             9  "],
        ),
        (
            "tls",
            "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3",
            &["           0            19  application_data, version 0x0303  c9 87"],
        ),
        (
            "tpkt",
            "03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 00 00 00 00",
            &["           0            15  0e d0"],
        ),
        (
            "websocket",
            "81 85 37 fa 21 3d 7f 9f 4d 51 58 01 03 48 65 6c 80 02 6c 6f",
            &[
                "           0             5  text, mask 37fa213d          \"Hello\"",
                "          11             3  text, more to come           \"Hel\"",
                "          16             2  continuation                 \"lo\"",
            ],
        ),
    ];
    for (format, bytes, rows) in table {
        let done = inspect(&["--format", format, "--hex"], bytes.as_bytes());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        let mut lines = done.stdout.lines().skip(1);
        for row in rows {
            let line = lines.next().unwrap();
            assert!(line.starts_with(row), "{format}: {line}");
        }
        assert!(lines.next().unwrap().contains(" whole frame"), "{done:?}");
    }
    let done = inspect(&["--format", "mqtt", "--hex", "--json"], b"c0 00");
    let event: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(event["header"], "PINGREQ");
    let masked = b"81 85 37 fa 21 3d 7f 9f 4d 51 58";
    let done = inspect(&["--format", "websocket", "--hex", "--json"], masked);
    let event: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&event["text"], event["arrived"].as_u64()), (&"Hello".into(), Some(5)));
}

/// A payload that is decoded in pieces is unmasked as a whole.
#[test]
fn a_long_masked_payload_is_shown_unmasked() {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let text = "gluing and cutting ".repeat(5_000);
    let mut bytes = b"\x82\xff\0\0\0\0\0".to_vec();
    bytes.extend(&u32::try_from(text.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend(key);
    bytes.extend(text.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes.extend(&bytes.clone());
    let done = inspect(&["--format", "websocket", "--preview", "19"], &bytes);
    let shown = "binary, mask 37fa213d        \"gluing and cutting \"…\n";
    assert_eq!(done.stdout.matches(shown).count(), 2, "{done:?}");
    let done = inspect(&["--format", "websocket", "--json"], &bytes[..40_014]);
    let event: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert!(text.starts_with(event["preview"].as_str().unwrap()), "{event}");
}

#[test]
fn a_stream_of_another_protocol_is_reported() {
    let table: [(&str, &[u8], &str); 12] = [
        ("9p", b"\x06\0\0\0", "a length of 6 covers less than the header"),
        ("grpc", b"\x80\0\0\0\0", "byte 0: the compressed flag is neither 0 nor 1"),
        ("http2", b"PRI * HTTP/1.1", "byte 0: a client of HTTP/2 begins with `PRI * HTTP/2.0`"),
        ("http2", b"HTTP/1.1 400 Bad", "these bytes look like HTTP/1: try --format http1"),
        ("http2", b"PRI * HTTP/2.0\r\n", "ended inside a header, at least 8 bytes are missing"),
        ("http2", b"\0\x40\x01\0\0\0\0\0\0", "the limit is 16384; raise the limit if"),
        ("modbus", b"\0\x01\0\x01", "byte 0: the protocol identifier is not 0"),
        ("mqtt", b"\x10\x80\0", "byte 0: the length is a varint with a needless zero byte"),
        ("postgres", b"R\0\0\0\x03", "byte 0: a length of 3 covers less than the header"),
        ("tls", b"SSH-2.0-", "byte 0: the record's type is none of 20 to 24"),
        ("tpkt", b"\x05", "byte 0: the version is not 3"),
        ("websocket", b"HELO x\r\n", "which only messages may be"),
    ];
    for (format, bytes, why) in table {
        inspect(&["--format", format], bytes).fails(1, why);
    }
    // The limit is the protocol's own unless `--limit` is given.
    inspect(&["--format", "tls"], &[23, 3, 3, 0x41, 1]).fails(1, "the limit is 16640");
    let record = [&[23, 3, 3, 0x41, 1][..], &[0; 0x4101]].concat();
    let done = inspect(&["--format", "tls", "--limit", "18432"], &record);
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn an_error_has_the_offset_and_the_reason() {
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
fn an_error_names_the_wrong_byte_and_its_frame() {
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
    done.fails(1, "; go on after it with --skip-oversize\n");
    assert!(!done.stderr.contains("resync"), "{done:?}");
    assert!(done.stdout.ends_with("\n1 whole frame (12 bytes); stopped at byte 12\n"), "{done:?}");
    let done = inspect(&["--limit", "4", "--skip-oversize"], &bytes);
    done.fails(1, "; going on after it\n");
    assert!(done.stdout.ends_with("\n2 whole frames, 35 bytes read\n"), "{done:?}");
}

#[test]
fn another_format_is_suggested() {
    inspect(&["--format", "i32le"], b"\0\0\0\x05hello").fails(1, "try --format i32be\n");
    let done = inspect(&["--format", "u16le"], &frame(TEXT, b"hi"));
    done.fails(1, "was the connection cut, or is it another format?");
}

#[test]
fn input_that_cannot_be_read_prints_no_table() {
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
fn without_resync_the_next_header_is_reported() {
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
fn json_prints_one_object_per_line() {
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
    let longest = "x".repeat(64 << 10);
    let bytes = [
        frame(TEXT, "a \"粘包\"\n".as_bytes()),
        frame(BINARY, &[0xff; 300]),
        frame(TEXT, longest.as_bytes()),
        frame(TEXT, format!("{longest}y").as_bytes()),
        frame(CLOSE, b"\0\x05too long"),
    ];
    let done = inspect(&["--json", "--preview", "3"], &bytes.concat());
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["text"], "a \"粘包\"\n");
    assert_eq!(events[1]["hex"], "ff".repeat(300));
    assert_eq!(events[2]["text"], longest);
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
fn closing_standard_output_ends_it_without_an_error() {
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

#[test]
fn http_and_redis_are_named_when_they_are_no_frames() {
    let http: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let redis: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    for format in ["v1", "u32be", "u16le", "netstring", "kafka"] {
        let done = inspect(&["--format", format], http);
        done.fails(1, "; these bytes look like HTTP/1: try --format http1");
        assert!(!done.stderr.contains("peer speaking"), "{done:?}");
        let done = inspect(&["--format", format], redis);
        done.fails(1, "; these bytes look like Redis: try --format resp");
    }
    inspect(&["--format", "resp"], http).fails(1, "look like HTTP/1: try --format http1");
    inspect(&["--format", "http"], redis).fails(1, "look like Redis: try --format resp");
    // After a frame they are something else, and so are other bytes, and a part of a message.
    for bytes in [&[&frame(TEXT, b"a"), http].concat(), &b"*x\r\n"[..], b"GETTING"] {
        assert!(!inspect(&[], bytes).stderr.contains("look like"));
    }
    assert!(!inspect(&["--format", "http1"], &http[..20]).stderr.contains("look like"));
    let done = inspect(&["--format", "redis"], redis);
    done.succeeds(&inspect(&["--format", "resp"], redis).stdout);
}

#[test]
fn what_begins_with_no_frame_is_one_line_on_standard_error() {
    let done = inspect(&[], b"something else");
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    let done = inspect(&["--resync"], b"something else");
    assert!(done.stderr.contains("no further header in the 14 bytes up to the end"), "{done:?}");
    let done = inspect(&["--json"], b"something else");
    assert!(done.stdout.contains(r#"{"event":"resync","found":null,"skipped":14}"#), "{done:?}");
}

#[test]
fn codes_of_applications_are_in_json_alone() {
    let done = inspect(&["--format", "http2"], b"PRI * HTTP/1.1\r\n");
    assert!(done.code == 1 && !done.stderr.contains("(code"), "{done:?}");
    let done = inspect(&["--format", "http2", "--json"], b"PRI * HTTP/1.1\r\n");
    let event: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert!(event["code"].as_u64() >= Some(0x8000), "{event}");
    assert!(!event["message"].as_str().unwrap().contains("(code"), "{event}");
}

#[test]
fn a_kind_that_no_frame_has_is_answered_with_those_there_are() {
    let redis: &[u8] = b"*2\r\n$3\r\nSET\r\n+OK\r\n";
    let kinds = |args: &[&str], bytes: &[u8]| {
        let done = inspect(args, bytes);
        assert_eq!(done.code, 0, "{done:?}");
        (done.stdout.lines().count() - 2, done.stderr)
    };
    let there = "there are: array, bulk-string, simple-string\n";
    let none = |kinds: &str| format!("unstick: no frame of kind {kinds}; {there}");
    let set = ["--format", "resp", "-k", "SET"];
    assert_eq!(kinds(&set, redis), (0, none("SET")));
    assert_eq!(kinds(&[&set[..], &["-k", "GET"]].concat(), redis), (0, none("SET or GET")));
    // The names that are listed are taken.
    assert_eq!(kinds(&["--format", "resp", "-k", "simple-string"], redis), (1, String::new()));
    assert_eq!(kinds(&["--format", "resp", "-k", "array"], redis), (1, String::new()));
    assert_eq!(kinds(&set, b""), (0, String::new()));
    let http = b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    let err = "unstick: no frame of kind 404; there are: GET\n";
    assert_eq!(kinds(&["--format", "http1", "-k", "404"], http), (0, err.to_owned()));
    let err = "unstick: no frame of kind ping; there are: 0x41, text\n";
    let bytes = [frame(TEXT, b"a"), frame(0x41, b"")].concat();
    assert_eq!(kinds(&["-k", "ping"], &bytes), (0, err.to_owned()));
}
