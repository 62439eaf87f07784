//! `--format` with frames that end at a mark, or have a fixed length: `send` and `listen` with each
//! other and with raw bytes, and `inspect`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use serde_json::Value;

use crate::support::*;

/// Every format without a length in front of the payload, with the frame of `hello`.
const FRAMES: [(&str, &[u8]); 8] = [
    ("lines", b"hello\n"),
    ("crlf", b"hello\r\n"),
    ("nul", b"hello\0"),
    ("delim:2d2d", b"hello--"),
    ("cobs", b"\x06hello\0"),
    ("slip", b"hello\xc0"),
    ("hdlc", b"~hello\xbd\x34~"),
    ("fixed:5", b"hello"),
];

#[test]
fn messages_are_exchanged_in_every_format() {
    for (format, _) in FRAMES {
        let listen = Listen::start(&["--format", format, "--reply", "upper", "--json"]);
        let args = ["send", &listen.addr, "--format", format, "--expect-reply"];
        run(&[&args[..], &["--text", "hello", "--text", "W~rld"]].concat(), b"")
            .succeeds("HELLO\nW~RLD\n");
        run(&args, b"lines\r\nstdin").succeeds("LINES\nSTDIN\n");
        listen.out.lines("\"event\":\"ended\"", 2);
        let out = listen.out.so_far();
        // HDLC has a flag before the first frame, which does not count.
        let first = format!(r#""at":{},"len":5,"text":"hello""#, u8::from(format == "hdlc"));
        assert!(out.contains(&first), "{format}: {out}");
        assert_eq!(out.matches(r#""clean":true"#).count(), 2, "{format}: {out}");
        assert!(!out.contains("header") && !out.contains("kind"), "{format}: {out}");
        assert_eq!(listen.interrupt().code, 0);
    }
}

#[test]
fn a_sender_writes_the_bytes_of_the_format() {
    for (format, bytes) in FRAMES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = Vec::new();
            stream.read_to_end(&mut sent).unwrap();
            sent
        });
        run(&["send", &addr, "--format", format, "--text", "hello"], b"").succeeds("");
        assert_eq!(served.join().unwrap(), bytes, "{format}");
    }
}

#[test]
fn a_listener_reports_each_offset_in_the_stream() {
    // Idle bytes before a frame, and escapes in it, count.
    for (format, bytes, at) in [
        ("lines", &b"a\r\n\nb\n"[..], [0, 3, 4]),
        ("slip", b"\xc0\xc0a\xdb\xdc\xc0\xc0b\xc0c\xc0", [2, 7, 9]),
        ("cobs", b"\0\x02a\0\0\x01\x01\0\x02b\0", [1, 5, 8]),
    ] {
        let listen = Listen::start(&["--format", format, "--json"]);
        let mut stream = listen.connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        listen.out.line("ended");
        let found: Vec<_> = listen
            .out
            .so_far()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["event"] == "message")
            .map(|event| event["at"].as_u64().unwrap())
            .collect();
        assert_eq!(found, at, "{format}");
    }
}

#[test]
fn what_a_frame_cannot_hold_is_not_sent() {
    for (format, text, why) in [
        ("lines", "a\nb", "the payload contains the end of a frame at byte 1"),
        ("lines", "a\r", "the payload contains the end of a frame at byte 1"),
        ("crlf", "a\r\nb", "the payload contains the end of a frame at byte 1"),
        ("delim:2d2d", "a--b", "the payload contains the end of a frame at byte 1"),
        ("slip", "", "the payload is empty, and this framing has no empty frames"),
        ("fixed:3", "ab", "a payload of 2 bytes where every frame has 3"),
        ("fixed:3", "abcd", "a payload of 4 bytes where every frame has 3"),
    ] {
        let listen = Listen::start(&["--format", format, "--json"]);
        let args = ["send", &listen.addr, "--format", format, "--text", text];
        run(&args, b"").fails(1, &format!("cannot send: {why}"));
        let ended = listen.out.line("ended");
        assert!(ended.contains(r#""messages":0"#), "{format}: {ended}");
    }
    // Where there are escapes, the mark may occur.
    for format in ["cobs", "slip", "hdlc"] {
        let listen = Listen::start(&["--format", format, "--reply", "echo"]);
        let args = ["send", &listen.addr, "--format", format, "--expect-reply"];
        run(&args, b"\x7e\x7d\xc0\xdb\0\xff\n").succeeds("0x7e7dc0db00ff\n");
    }
}

#[test]
fn a_listener_reports_damaged_and_cut_frames() {
    for (format, bytes, why) in [
        ("lines", &b"a\nb"[..], "byte 3: the stream ended inside a frame, at least 1 byte is"),
        ("crlf", b"a\r\nb\r", "byte 5: the stream ended inside a frame, at least 1 byte is"),
        ("cobs", b"\x02a\0\x05b\0", "byte 3: the frame ends 3 bytes before its last block does"),
        ("slip", b"a\xc0\xdbx\xc0", "byte 2: an escape is followed by 0x78"),
        ("hdlc", b"~hello\xbd\x35~", "byte 1: the frame's check is 0xbd35 and should be 0xbd34"),
        ("fixed:4", b"abcdef", "byte 6: the stream ended inside a payload, 2 bytes are missing"),
    ] {
        listener_reports(format, bytes, why);
    }
}

#[test]
fn a_listener_skips_a_frame_over_the_limit() {
    let args = ["--format", "lines", "--limit", "4", "--json"];
    let listen = Listen::start(&[&args[..], &["--skip-oversize"]].concat());
    let mut stream = listen.connect();
    stream.write_all(b"1234\n12345678\nok\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    listen.err.line("byte 5: the frame has more payload than the limit of 4 bytes; skipped");
    listen.out.line(r#""at":14,"len":2,"text":"ok""#);
    let listen = Listen::start(&args);
    talk(&listen.connect(), b"1234\n12345678\nok\n");
    listen.err.line("byte 5: the frame has more payload than the limit of 4 bytes; raise");
    assert!(!listen.out.line("ended").contains(r#""clean":true"#));
}

#[test]
fn a_frame_without_its_mark_times_out() {
    let listen = Listen::start(&["--format", "lines", "--frame-timeout", "0.5", "--json"]);
    let mut stream = listen.connect();
    stream.write_all(b"whole\npart").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    listen.err.line("byte 6: the frame was not complete after 500ms");
    listen.out.line(r#""at":0,"len":5,"text":"whole""#);
}

#[test]
fn valid_streams_are_listed_without_a_header_column() {
    for (format, bytes) in FRAMES {
        let (len, first) = (bytes.len(), usize::from(format == "hdlc"));
        // HDLC shares the flag between two frames.
        let next = len;
        let both = [bytes, &bytes[first..]].concat();
        inspect_as(format, &[], &both).succeeds(&format!(
            "      offset       payload  content\n\
             {first:>12}             5  \"hello\"\n\
             {next:>12}             5  \"hello\"\n\
             2 whole frames, {} bytes read\n",
            both.len()
        ));
        let done = inspect_as(format, &["--json"], &both);
        let frame = &events(&done)[1];
        assert_eq!((&frame["at"], &frame["len"]), (&next.into(), &5.into()), "{format}: {done:?}");
        assert_eq!(frame["text"], "hello");
    }
}

#[test]
fn the_end_of_a_file_ends_the_last_line_only() {
    let done = inspect_as("lines", &[], b"a\r\n\nb\r");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("           3             0  (empty)\n"), "{done:?}");
    assert!(done.stdout.contains("           4             2  \"b\\r\"\n3 whole"), "{done:?}");
    for (format, at) in [("crlf", 3), ("nul", 3), ("delim:0a", 3), ("cobs", 3), ("slip", 3)] {
        let done = inspect_as(format, &[], b"\x05bc");
        done.fails(1, &format!("byte {at}: the stream ended inside a frame, at least 1 byte is"));
    }
    let done = inspect_as("nul", &[], b"ab\0cd");
    assert!(done.stdout.ends_with(
        "           3             2  (incomplete) \"cd\"\n1 whole frame, 5 bytes read\n"
    ));
    let done = inspect_as("nul", &["--json"], b"cd");
    let frame = &events(&done)[0];
    assert!(frame.get("len").is_none(), "{done:?}");
    assert_eq!((&frame["arrived"], &frame["text"]), (&2.into(), &"cd".into()));
}

#[test]
fn a_damaged_frame_is_reported_with_its_offset() {
    let table = [
        (
            "cobs",
            &b"\x02a\0\x05b\0"[..],
            &b"\x02c\0"[..],
            3,
            0x0d,
            "byte 3: the frame ends 3 bytes before",
        ),
        ("slip", b"a\xc0\xc0\xdbx\xc0", b"c\xc0", 3, 0x0d, "byte 3: an escape is followed by"),
        ("hdlc", b"~ok\x01\x02~", b"hello\xbd\x34~", 1, 4, "byte 1: the frame's check is 0x102"),
        ("hdlc", b"~~x~", b"hello\xbd\x34~", 2, 0x0d, "byte 2: the frame has 1 byte and its"),
        ("hdlc", b"~ok}~", b"hello\xbd\x34~", 1, 0x0d, "byte 1: the sender aborted the frame"),
    ];
    for (format, damaged, valid, at, code, why) in table {
        let (at, code): (u64, u16) = (at, code);
        let bytes = [damaged, valid].concat();
        let next = damaged.len() as u64;
        let done = inspect_as(format, &[], &bytes);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains(why), "{format}: {done:?}");
        let found = format!("byte {next}: a resync would go on after a mark, {} bytes", next - at);
        assert!(done.stderr.contains(&found), "{format}: {done:?}");
        assert!(done.stdout.ends_with(&format!("; stopped at byte {at}\n")), "{format}: {done:?}");

        let done = inspect_as(format, &["--resync"], &bytes);
        let found = format!("byte {next}: going on after a mark, {} bytes skipped", next - at);
        assert!(done.code == 1 && done.stderr.contains(&found), "{format}: {done:?}");
        assert!(done.stdout.contains(&format!("\n{next:>12}             ")), "{format}: {done:?}");

        let done = inspect_as(format, &["--resync", "--json"], &bytes);
        let events = events(&done);
        let error = events.iter().find(|event| event["event"] == "error").unwrap();
        assert_eq!((&error["at"], &error["code"]), (&at.into(), &code.into()), "{format}");
        assert_eq!(error["name"], if code == 4 { "bad-check" } else { "bad-frame" });
        let resync = events.iter().find(|event| event["event"] == "resync").unwrap();
        assert_eq!(resync["skipped"], next - at, "{format}");
    }
    // Nothing follows the damaged frame.
    let done = inspect_as("hdlc", &["--resync"], b"~ok\x01\x02~");
    assert_eq!(done.stdout.lines().last(), Some("0 whole frames, 6 bytes read"), "{done:?}");
}

#[test]
fn a_frame_over_the_limit_can_be_skipped_or_searched() {
    let bytes = b"1234\n12345678\nok\n";
    let done = inspect_as("lines", &["--limit", "4"], bytes);
    done.fails(1, "byte 5: the frame has more payload than the limit of 4 bytes; raise the limit");
    done.fails(1, "; go on after it with --skip-oversize\n");
    assert!(done.stdout.ends_with(
        "           5             4  (incomplete) \"1234\"\n\
         1 whole frame (5 bytes); stopped at byte 5\n"
    ));
    for how in ["--skip-oversize", "--resync"] {
        let done = inspect_as("lines", &["--limit", "4", how], bytes);
        assert_eq!(done.code, 1);
        let end = "          14             2  \"ok\"\n2 whole frames, 17 bytes read\n";
        assert!(done.stdout.ends_with(end), "{done:?}");
    }
    inspect_as("fixed:4", &["--limit", "3"], b"abcd").fails(1, "byte 0: the frame announces");
    // The length that was given is the limit.
    let done = inspect_as("fixed:2000000", &["--preview", "4"], &[b'x'; 2_000_000]);
    assert!(done.code == 0 && done.stdout.contains("       2000000  \"xxxx\"…\n"), "{done:?}");
}

#[test]
fn a_long_line_is_shown_whole_in_json_up_to_a_limit() {
    for (len, shown) in [(64 << 10, "text"), ((64 << 10) + 1, "preview")] {
        let line = [vec![b'x'; len], b"\n".to_vec()].concat();
        let done = inspect_as("lines", &["--json"], &line);
        let frame = &events(&done)[0];
        assert_eq!(frame["len"], len);
        let max = if shown == "text" { len } else { 60 };
        assert_eq!(frame[shown].as_str().unwrap().len(), max);
    }
}

#[test]
fn bad_arguments_are_refused() {
    for (format, why) in [
        ("delim:", "a delimiter has at least one byte"),
        ("delim:0d0", "the hexadecimal text ends in the middle of a byte"),
        ("delim:xy", "`x` does not belong in hexadecimal text"),
        ("fixed:0", "a frame has at least one byte"),
        ("fixed:", "fixed:, "),
        ("fixed:many", "fixed:, "),
        ("line", "lines, crlf, nul, cobs, slip, hdlc, v2, chunked,"),
        ("line", "delim:0d0a, fixed:188, and field:"),
    ] {
        for command in [&["inspect"][..], &["listen", ":0"], &["send", ":1"]] {
            run(&[command, &["--format", format]].concat(), b"").fails(2, why);
        }
    }
    for format in ["lines", "hdlc"] {
        let args = ["--format", format];
        run(&[&["listen", "udp::0"], &args[..]].concat(), b"").fails(2, "travel in datagrams");
        run(&[&["send", "udp::1", "--text", "a"], &args[..]].concat(), b"")
            .fails(2, "travel in datagrams");
        run(&[&["listen", ":0", "--dir", "inbox"], &args[..]].concat(), b"")
            .fails(2, "leave out --dir");
        run(&[&["send", ":1", "--kind", "text"], &args[..]].concat(), b"")
            .fails(2, "leave out --kind");
        run(&[&["send", ":1", "--header", "00"], &args[..]].concat(), b"")
            .fails(2, "--header goes with a field: format");
    }
    let fixed = ["--format", "fixed:4"];
    run(&[&["listen", ":0", "--dir", "inbox"], &fixed[..]].concat(), b"").fails(2, "--dir");
    inspect_as("fixed:4", &["--resync"], b"").fails(2, "leave out --resync");
}
