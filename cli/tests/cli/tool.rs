//! The command in pipes and scripts: raw messages, one connection, messages for all, and input that is no
//! lines.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::*;

#[test]
fn raw_messages_are_all_that_goes_to_standard_output() {
    for (args, expected) in
        [(["--raw"], &b"one\x1b[0m\ntwo\xff"[..]), (["-0"], b"one\x1b[0m\n\0two\xff\0")]
    {
        let folder = Folder::new("tool-raw");
        let dir = folder.str("inbox");
        let out = fs::File::create(folder.path("out")).unwrap();
        let mut command = unstick();
        command.args(["listen", "127.0.0.1:0", "--dir", &dir]).args(args);
        let mut listen = command.stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let err = Lines::of(listen.stderr.take().unwrap());
        let line = err.line("listening on ");
        let addr = line.strip_prefix("listening on ").unwrap();
        let frames = [frame(TEXT, b"one\x1b[0m\n"), frame(BINARY, b"two\xff"), frame(CLOSE, b"")];
        talk(&TcpStream::connect(addr).unwrap(), &frames.concat());
        let file = folder.write("file", b"bytes");
        assert_eq!(run(&["send", addr, &file], b"").code, 0);
        err.line("\"file\"  sha256");
        kill_process(Pid::from_child(&listen), Signal::INT).unwrap();
        assert_eq!(wait(&mut listen), 0);
        assert_eq!(fs::read(folder.path("out")).unwrap(), expected, "{args:?}");
    }
}

#[test]
fn nothing_stands_between_raw_messages_however_many_there_are() {
    let folder = Folder::new("tool-raw-many");
    let out = fs::File::create(folder.path("out")).unwrap();
    let mut command = unstick();
    command.args(["listen", "127.0.0.1:0", "--raw", "--once"]);
    let mut listen = command.stdout(out).stderr(Stdio::piped()).spawn().unwrap();
    let err = Lines::of(listen.stderr.take().unwrap());
    let line = err.line("listening on ");
    let messages: Vec<_> = (0..20_000).map(|n| format!("message {n}")).collect();
    let addr = line.strip_prefix("listening on ").unwrap();
    assert_eq!(run(&["send", addr], messages.join("\n").as_bytes()).code, 0);
    assert_eq!(wait(&mut listen), 0);
    assert_eq!(fs::read_to_string(folder.path("out")).unwrap(), messages.concat());
}

#[test]
fn one_connection_is_served_and_its_end_is_the_exit_code() {
    for (last, code) in [(frame(CLOSE, b""), 0), (frame(0x20, b""), 1), (vec![], 1)] {
        let listen = Listen::start(&["--once"]);
        talk(&listen.connect(), &[frame(TEXT, b"hi"), last].concat());
        let done = listen.wait();
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.stdout.contains("\"hi\""), "{done:?}");
    }
}

#[test]
fn what_a_peer_says_goes_to_all_others() {
    let listen = Listen::start(&["--broadcast", "--kind", "0x41"]);
    let [mut a, mut b, mut c] = ["I am a", "I am b", "I am c"].map(|text| {
        let mut peer = listen.connect();
        peer.write_all(&frame(TEXT, text.as_bytes())).unwrap();
        listen.out.line(text);
        peer
    });
    let said = [frame(TEXT, "粘包".as_bytes()), frame(0x41, b"\xff"), frame(CLOSE, b"")].concat();
    a.write_all(&said).unwrap();
    let (from_a, last) = (frame(TEXT, "粘包".as_bytes()), frame(0x41, b"\xff"));
    assert_eq!(read_up_to(&mut c, &last), from_a);
    assert_eq!(read_up_to(&mut b, &last), [frame(TEXT, b"I am c"), from_a].concat());
    let text = |text: &str| (TEXT, text.as_bytes().to_vec());
    assert_eq!(read_frames(&mut a), [text("I am b"), text("I am c"), (CLOSE, vec![])]);

    let listen = Listen::start(&["--broadcast", "--format", "lines"]);
    let (mut a, mut b) = (listen.connect(), listen.connect());
    b.write_all(b"b\n").unwrap();
    listen.out.line("\"b\"");
    a.write_all(b"from a\n").unwrap();
    listen.out.line("\"from a\"");
    assert_eq!(read_up_to(&mut b, b"\n"), b"from a");
}

#[test]
fn lines_begin_with_the_time_if_that_is_wanted_and_json_always_has_it() {
    let is_time = |text: &str| text.len() == 30 && text.starts_with("20") && text.ends_with('Z');
    let listen = Listen::start(&["--time"]);
    talk(&listen.connect(), &[frame(TEXT, b"hi"), frame(CLOSE, b"")].concat());
    for line in [listen.out.line("\"hi\""), listen.err.line("ended after 1 message")] {
        assert!(is_time(line.split("  ").next().unwrap()), "{line}");
    }
    let listen = Listen::start(&["--json"]);
    talk(&listen.connect(), &[frame(TEXT, b"hi"), frame(CLOSE, b"")].concat());
    let done = listen.interrupt();
    for line in done.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(is_time(event["time"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn standard_input_is_taken_apart_as_it_is_told() {
    let cases: [(&[&str], &[u8], &[&str]); 5] = [
        (&["--whole"], b"a\nb\xff", &["61 0a 62 ff"]),
        (&["--whole"], b"", &["(empty)"]),
        (&["-0"], b"a\nb\0\0c", &["\"a\\nb\"", "(empty)", "\"c\""]),
        (&["--delimiter", "3b"], b"a;b;", &["\"a\"", "\"b\""]),
        (&["--delimiter", "crlf"], b"a\nb\r\nc\r\n", &["\"a\\nb\"", "\"c\""]),
    ];
    for (args, input, expected) in cases {
        let listen = Listen::start(&[]);
        let done = run(&[&["send", &listen.addr], args].concat(), input);
        assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
        let done = listen.interrupt();
        let lines = done.stdout.lines().skip(1);
        let content: Vec<_> = lines.map(|line| line.rsplit("  ").next().unwrap()).collect();
        assert_eq!(content, expected, "{args:?}");
    }
    let listen = Listen::start(&[]);
    run(&["send", &listen.addr, "--whole", "--limit", "3"], b"1234")
        .fails(1, "standard input has more than the 3 bytes");
    run(&["send", &listen.addr, "--delimiter", "zz"], b"").fails(2, "delim:");
}
