//! `unstick listen`: an error of a peer ends only that peer's connection, and is reported with a
//! reason.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::*;

/// Asserts that a listener with `--reply upper` still answers on this connection.
fn assert_served(mut stream: &TcpStream) {
    stream.write_all(&frame(TEXT, b"still there?")).unwrap();
    let expected = frame(TEXT, b"STILL THERE?");
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, expected);
}

/// The code of a case in which nobody is there to be told.
const NOBODY: u16 = u16::MAX;

#[test]
fn invalid_input_ends_only_that_connection() {
    let mut over = frame(BINARY, &[0; (1 << 20) + 1]);
    over.truncate(8);
    let random: Vec<u8> = (1..=200_u8).map(|i| i.wrapping_mul(167) ^ 0x5a).collect();
    let first = format!("byte 0: a frame starts with 0xf5, found 0x{:02x}", random[0]);
    // A name, the bytes sent before the end of the stream, the error message, and the code of the
    // close.
    let table: Vec<(&str, Vec<u8>, &str, u16)> = vec![
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "byte 0: a frame starts with 0xf5, found 0x47 ('G'); is the peer speaking another protocol, HTTP perhaps?",
            1,
        ),
        (
            "TLS",
            hex("16 03 01 02 00 01 00 01 fc 03 03"),
            "found 0x16; it is that of TLS; listen with --tls-cert",
            1,
        ),
        ("random", random, &first, 1),
        (
            "plain prefix",
            hex("00 00 00 05 68 65"),
            "is the peer sending plain length-prefixed frames?",
            1,
        ),
        (
            "garbage after a frame",
            [frame(TEXT, b"ok"), b"\n".to_vec()].concat(),
            "byte 10: a frame starts with 0xf5, found 0x0a",
            1,
        ),
        ("version", hex("f5 02"), "byte 1: version 0x02 is not supported", 2),
        ("kind 0", hex("f5 01 00"), "byte 2: kind 0x00 is never valid", 3),
        (
            "check",
            hex("f5 01 01 00 00 00 02 f3 68 69"),
            "byte 7: the header's check is 0xf3 and should be 0xf2",
            4,
        ),
        (
            "limit",
            over,
            "byte 0: the frame announces a payload of 1048577 bytes and the limit is 1048576",
            5,
        ),
        (
            "end in a header",
            hex("f5 01 01"),
            "byte 3: the stream ended inside a header, at least 5 bytes are missing",
            6,
        ),
        (
            "end after a header",
            frame(TEXT, b"hi")[..8].to_vec(),
            "byte 8: the stream ended inside a payload, 2 bytes are missing",
            6,
        ),
        (
            "end in a payload",
            frame(TEXT, b"hi")[..9].to_vec(),
            "byte 9: the stream ended inside a payload, 1 byte is missing",
            6,
        ),
        (
            "unknown critical kind",
            [frame(TEXT, b"x"), frame(0x20, b"?")].concat(),
            "byte 9: the kind 0x20 is critical and not known here",
            7,
        ),
        (
            "application's critical kind",
            frame(0x41, b"?"),
            "byte 0: the kind 0x41 is critical and not known here",
            7,
        ),
        (
            "file-open that is none",
            frame(0x10, b"?"),
            "byte 0: payload byte 1: a file-open of 1 byte, and it has 28 at least",
            0x0100,
        ),
        (
            "reason cut inside a character",
            frame(0x14, b"\0\0\0\x01\x01\x51ok\xe7\xb2"),
            "byte 0: payload byte 8: ",
            0x0100,
        ),
        (
            "long ping",
            frame(PING, &[0; 65]),
            "byte 0: payload byte 64: a ping of 65 bytes, and it has 64 at most",
            0x0100,
        ),
        (
            "text that is none",
            frame(TEXT, b"\xff"),
            "byte 0: payload byte 0: a text that is not UTF-8",
            0x0100,
        ),
        (
            "close that is none",
            frame(CLOSE, b"\0"),
            "byte 0: payload byte 1: a close of one byte",
            0x0100,
        ),
        (
            "hello that is none",
            frame(HELLO, b"\0"),
            "byte 0: payload byte 1: a hello of 1 byte, and it has 4 at least",
            0x0100,
        ),
        ("no close", frame(TEXT, b"bye"), "byte 11: the stream ended without a close", NOBODY),
        ("no byte", vec![], "byte 0: the stream ended without a close", NOBODY),
        (
            "given up",
            frame(CLOSE, b"\x80\x01\x1b[31mred"),
            r"the peer gave up: code 0x8001 (an application's code): \u{1b}[31mred",
            0,
        ),
    ];
    let listen = Listen::start(&["--reply", "upper"]);
    let good = listen.connect();
    for (name, bytes, why, code) in table {
        let bad = listen.connect();
        let peer = bad.local_addr().unwrap();
        let frames = talk(&bad, &bytes);
        assert_eq!(close_code(&frames), Some(code).filter(|code| *code != NOBODY), "{name}");
        let line = listen.err.line(&format!("unstick: {peer}: "));
        assert!(line.contains(why), "{name}: {line}");
        if ![0, NOBODY].contains(&code) {
            // The close has the same message without its hint.
            let reason = String::from_utf8(frames.last().unwrap().1[2..].to_vec()).unwrap();
            assert_eq!(line.split("; ").next().unwrap(), format!("unstick: {peer}: {reason}"));
        }
        assert_served(&good);
    }
    assert_eq!(close_code(&talk(&good, &frame(CLOSE, b""))), Some(0));
    let done = listen.interrupt();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.stderr.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn invalid_input_in_other_formats_is_reported() {
    let field = "field:header=4,offset=1,width=2,order=be,covers=frame";
    let table = [
        (
            "i32le",
            "fe ff ff ff",
            "byte 0: the length is negative, at most -2 (its top byte is 0xff)",
        ),
        ("i32be", "ff", "byte 0: the length is negative, at most -1 (its top byte is 0xff)"),
        ("varint", "82 80 00", "byte 0: the length is a varint with a needless zero byte"),
        ("varint", "ff ff ff ff ff ff ff ff ff 02", "goes on past 64 bits"),
        (field, "aa 00 03", "byte 0: a length of 3 covers less than the header, at least 4"),
        (field, "aa 00 06 bb 68", "byte 5: the stream ended inside a payload, 1 byte is missing"),
        ("u32be", "00 20 00 00", "announces a payload of 2097152 bytes and the limit is 1048576"),
        ("u32be", "05 00 00 00", "in the other byte order it would be 5; try --format u32le"),
        ("u32be", "47 45 54 20 2f", "these bytes are \"GET \"; is the peer speaking HTTP?"),
        ("u32be", "f5 01 80 00", "try --format v1"),
        (
            "u32be",
            "00 00",
            "byte 2: the stream ended inside a header, at least 2 bytes are missing",
        ),
        ("u32be", "00 00 00 02", "byte 4: the stream ended inside a payload, 2 bytes are missing"),
        ("u16le", "02 00 68 69 05 00 61", "byte 7: the stream ended inside a payload, 4 bytes"),
    ];
    for (format, bytes, why) in table {
        let listen = Listen::start(&["--format", format]);
        assert_eq!(talk(&listen.connect(), &hex(bytes)), [], "{format} {bytes}");
        listen.err.line(why);
        assert_eq!(listen.interrupt().code, 0);
    }
}

#[test]
fn an_announced_length_allocates_nothing_and_times_out() {
    let args = ["--format", "u32be", "--limit", "8GiB", "--frame-timeout", "1"];
    let listen = Listen::start(&args);
    talk(&listen.connect(), &[0, 0, 0, 1, b'x']);
    let before = listen.peak_memory();
    let began = Instant::now();
    let mut peers: Vec<_> = (0..50).map(|_| listen.connect()).collect();
    for peer in &mut peers {
        peer.write_all(&(1_u32 << 30).to_be_bytes()).unwrap();
    }
    for mut peer in peers {
        assert_eq!(peer.read(&mut [0; 16]).unwrap(), 0);
    }
    assert!(began.elapsed() >= Duration::from_secs(1) && began.elapsed() < TIMEOUT);
    listen.err.lines("byte 0: the frame was not complete after 1s", 50);
    let grown = listen.peak_memory() - before;
    assert!(grown < 16 << 20, "{grown} bytes");
}

#[test]
fn slow_and_silent_peers_time_out() {
    let listen = Listen::start(&["--frame-timeout", "0.5", "--idle-timeout", "1"]);
    let mut slow = listen.connect();
    slow.write_all(&frame(TEXT, b"slow")[..9]).unwrap();
    let silent = listen.connect();
    assert_eq!(close_code(&read_frames(&mut &slow)), Some(8));
    assert_eq!(close_code(&read_frames(&mut &silent)), Some(9));
    listen.err.line("byte 0: nothing came for 1s");
}

#[test]
fn frames_of_version_1_are_answered_by_the_rules() {
    let listen = Listen::start(&["--reply", "echo", "--kind", "0x41"]);
    let frames = talk(
        &listen.connect(),
        &[
            frame(HELLO, b"\0\x10\0\0\xe6\xb5\x8b"),
            frame(PING, b"\0p\xff"),
            frame(PONG, b"unasked"),
            frame(0xbf, b"reserved"),
            frame(0xc1, b"an application's"),
            frame(0x41, b"known"),
            frame(TEXT, "粘包".as_bytes()),
            frame(BINARY, b""),
            frame(CLOSE, b""),
        ]
        .concat(),
    );
    // The pong may come between the answers.
    let (pongs, frames): (Vec<_>, Vec<_>) = frames.into_iter().partition(|(kind, _)| *kind == PONG);
    assert_eq!(pongs, [(PONG, b"\0p\xff".to_vec())]);
    let kinds: Vec<_> = frames.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [HELLO, 0x41, TEXT, BINARY, CLOSE]);
    assert!(frames[0].1.starts_with(&[0, 0x10, 0, 0]));
    assert_eq!(frames[2].1, "粘包".as_bytes());
    listen.out.line("\"粘包\"");
    listen.err.line("ended after 3 messages");
}

#[test]
fn without_a_hello_answers_are_limited_to_64_kib() {
    let listen = Listen::start(&["--reply", "echo"]);
    let frames = talk(&listen.connect(), &frame(TEXT, &[b'x'; 65_536]));
    assert_eq!(frames[0].1.len(), 65_536);
    let frames = talk(&listen.connect(), &frame(TEXT, &[b'x'; 65_537]));
    assert_eq!(close_code(&frames), Some(5));
    listen.err.line("the answer has 65537 bytes and the peer takes 65536 at most");
    let hello = frame(HELLO, b"\0\x10\0\0");
    let frames = talk(&listen.connect(), &[hello, frame(TEXT, &[b'x'; 65_537])].concat());
    assert_eq!(frames[1].1.len(), 65_537);
}

#[test]
fn answers_respect_a_small_limit_of_the_peer() {
    let listen = Listen::start(&["--reply", "echo"]);
    let frames = talk(&listen.connect(), &[frame(HELLO, &[0, 0, 0, 6]), frame(0x20, b"")].concat());
    assert_eq!(frames, [(HELLO, b"\0\x10\0\0un".to_vec()), (CLOSE, b"\0\x07byte".to_vec())]);
    let frames = talk(&listen.connect(), &[frame(HELLO, &[0; 4]), frame(CLOSE, b"")].concat());
    assert_eq!(frames, [(CLOSE, vec![])]);
}

#[test]
fn an_oversize_frame_can_be_skipped() {
    let long = frame(TEXT, &[b'x'; 100_001]);
    let bytes = [long, frame(TEXT, b"1234"), frame(0x20, b"")].concat();
    let listen = Listen::start(&["--limit", "100000", "--skip-oversize", "--reply", "echo"]);
    let frames = talk(&listen.connect(), &bytes);
    assert_eq!(frames[0], (TEXT, b"1234".to_vec()));
    listen
        .err
        .line("byte 0: the frame announces a payload of 100001 bytes and the limit is 100000");
    // Offsets include the skipped bytes.
    listen.err.line("byte 100021: the kind 0x20");

    let listen = Listen::start(&["--limit", "100000"]);
    assert_eq!(close_code(&talk(&listen.connect(), &bytes)), Some(5));
}

/// It may not have seen the hello.
#[test]
fn a_limit_below_64_kib_is_not_held_against_a_peer() {
    let listen = Listen::start(&["--limit", "1000", "--reply", "echo"]);
    let message = frame(TEXT, &[b'x'; 2000]);
    assert_eq!(
        talk(&listen.connect(), &[message.clone(), frame(CLOSE, b"")].concat())[0].1.len(),
        2000
    );
    let hello = frame(HELLO, b"\0\x10\0\0");
    let frames = talk(&listen.connect(), &[hello, message, frame(CLOSE, b"")].concat());
    assert!(frames[0].1.starts_with(&[0, 0, 3, 0xe8]), "it is announced");
    assert_eq!(frames[1].1.len(), 2000);
}

#[test]
fn an_unknown_critical_kind_is_refused_at_its_header() {
    let listen = Listen::start(&[]);
    let mut peer = listen.connect();
    let long = frame(0x20, &[0; 500_000]);
    peer.write_all(&[&frame(TEXT, b"hi")[..], &long[..8]].concat()).unwrap();
    assert_eq!(close_code(&read_frames(&mut peer)), Some(7));
    listen.err.line("byte 10: the kind 0x20");
}

#[test]
fn a_peer_that_does_not_read_is_ended() {
    let listen = Listen::start(&["--reply", "echo", "--frame-timeout", "3"]);
    let mut non_reading = listen.connect();
    non_reading.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let message = frame(BINARY, &[7; 60_000]);
    let mut sent = 0;
    while non_reading.write_all(&message).is_ok() {
        sent += message.len();
        assert!(sent < 200 << 20, "the listener takes all and answers into the void");
    }
    listen.err.line("the peer did not take an answer within 3s");
    assert!(listen.peak_memory() < 64 << 20);
}

#[test]
fn connections_wait_before_the_open_files_run_out() {
    let program = env!("CARGO_BIN_EXE_unstick");
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 20; exec \"$0\" listen 127.0.0.1:0 --reply upper", program]);
    let listen = Listen::of(&mut limited);
    let peers: Vec<_> = (0..30).map(|_| listen.connect()).collect();
    listen.err.line("20 files may be open: 3 peers are served at once");
    listen.err.line("all 3 places are taken");
    assert_served(&peers[0]);
    drop(peers);
    assert_served(&listen.connect());
    assert_eq!(listen.interrupt().code, 0);
}

/// A shell's soft limit of open files is raised to what the system allows.
#[test]
fn a_soft_limit_of_open_files_does_not_bound_the_peers() {
    let script = "ulimit -Sn 20; exec \"$0\" listen 127.0.0.1:0 --reply upper";
    let mut limited = std::process::Command::new("sh");
    let listen = Listen::of(limited.args(["-c", script, env!("CARGO_BIN_EXE_unstick")]));
    let peers: Vec<_> = (0..40).map(|_| listen.connect()).collect();
    peers.iter().for_each(assert_served);
    drop(peers);
    assert_eq!(listen.interrupt().stderr.matches("Too many open files").count(), 0);
}

/// Too few file descriptors are as many places fewer.
#[test]
fn an_idle_peer_gives_way_when_file_descriptors_run_out() {
    let script = "ulimit -n 20; exec \"$0\" listen 127.0.0.1:0 --reply upper --first-timeout 0.5";
    let mut limited = std::process::Command::new("sh");
    let listen = Listen::of(limited.args(["-c", script, env!("CARGO_BIN_EXE_unstick")]));
    let mut peers = std::collections::VecDeque::new();
    while !listen.err.so_far().contains("all 3 places are taken") {
        let mut peer = listen.connect();
        peer.write_all(&frame(HELLO, b"\0\x10\0\0")).unwrap();
        peers.push_back(peer);
        std::thread::sleep(Duration::from_millis(20));
    }
    // The first of them is told, and the last is served.
    let mut first = peers.pop_front().unwrap();
    read_up_to(&mut first, b"gave its place to a new peer");
    drop(first);
    let last = peers.back_mut().unwrap();
    last.write_all(&frame(TEXT, b"served?")).unwrap();
    read_up_to(last, b"SERVED?");
    listen.err.line("gave its place to a new peer");
}

#[test]
fn connections_over_the_maximum_wait() {
    let listen = Listen::start(&["--max-connections", "1", "--reply", "upper"]);
    let (first, second) = (listen.connect(), listen.connect());
    assert_served(&first);
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    (&second).write_all(&frame(TEXT, b"me?")).unwrap();
    assert!((&second).read(&mut [0; 8]).is_err());
    second.set_read_timeout(Some(TIMEOUT)).unwrap();
    talk(&first, &frame(CLOSE, b""));
    (&second).read_exact(&mut [0; 11]).unwrap();
    listen.err.line("all 1 places are taken, the peer has to wait until one is free, or idle for 60s; raise --max");
}

#[test]
fn an_address_has_no_more_connections_than_it_may_have() {
    let listen = Listen::start(&["--max-connections-per-address", "2", "--reply", "upper"]);
    let (first, second) = (listen.connect(), listen.connect());
    assert_served(&first);
    assert_served(&second);
    for _ in 0..20 {
        assert_eq!((&listen.connect()).read(&mut [0; 8]).unwrap_or(0), 0);
    }
    listen.err.line("closed, its address has 2 connections already");
    talk(&first, &frame(CLOSE, b""));
    listen.err.line("ended after");
    eventually("served again", || {
        let third = listen.connect();
        let _ = (&third).write_all(&frame(TEXT, b"me?"));
        (&third).read_exact(&mut [0; 11]).is_ok()
    });
    let lines = listen.interrupt().stderr;
    assert!(
        lines.lines().filter(|line| line.contains("closed, its address")).count() < 15,
        "{lines}"
    );
}

/// The system ends the connection of a peer that has vanished without a word.
#[test]
fn connections_are_kept_alive() {
    let listen = Listen::start(&[]);
    let peer = listen.connect();
    let local = peer.local_addr().unwrap().port();
    let (_, port) = listen.addr.rsplit_once(':').unwrap();
    // A line is `sl local remote state queues timer:when …`; 02 is the timer of keepalive.
    let (local, port) = (format!(":{local:04X}"), format!(":{:04X}", port.parse::<u16>().unwrap()));
    eventually("kept alive", || {
        let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
        all.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[1].ends_with(&port)
                && fields[2].ends_with(&local)
                && fields[5].starts_with("02:")
        })
    });
}

#[test]
fn a_signal_ends_it_and_the_address_can_be_reused_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let listen = Listen::start(&["--reply", "upper"]);
        let addr = listen.addr.clone();
        let peer = listen.connect();
        assert_served(&peer);
        listen.signal(signal);
        assert_eq!(close_code(&read_frames(&mut &peer)), Some(0));
        peer.shutdown(Shutdown::Both).unwrap();
        let mut listen = listen;
        assert_eq!(wait(&mut listen.child), 0);
        // The old connection is still in TIME-WAIT.
        let again = Listen::at(&addr, &["--reply", "upper"]);
        assert_eq!(again.addr, addr);
        assert_served(&again.connect());
    }
}

#[test]
fn unusable_addresses_and_options_are_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    run(&["listen", &addr], b"").fails(1, "something listens there already");
    run(&["listen", "192.0.2.1:0"], b"").fails(1, "this machine has no such address");
    run(&["listen", "localhost"], b"").fails(2, "the port is missing");
    run(&["listen", ":0", "--limit", "lots"], b"").fails(2, "give a number of bytes");
    run(&["listen", ":0", "--frame-timeout", "0"], b"").fails(2, "give seconds above 0");
    let bad = "field:header=4,offset=3,width=2";
    run(&["listen", ":0", "--format", bad], b"").fails(2, "does not end within a header of 4");
}

#[test]
fn a_unix_socket_replaces_a_stale_one_and_nothing_else() {
    let path = path("listen.sock");
    let addr = format!("unix:{}", path.display());
    // A listener that crashed leaves its socket behind.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listen = Listen::at(&addr, &["--reply", "echo"]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&[frame(TEXT, b"hi"), frame(CLOSE, b"")].concat()).unwrap();
    assert_eq!(read_frames(&mut stream)[0], (TEXT, b"hi".to_vec()));
    listen.out.line("unix#1");
    run(&["listen", &addr], b"").fails(1, "something listens there already");
    run(&["send", &addr, "--text", "x", "--expect-reply"], b"").succeeds("x\n");
    assert_eq!(listen.interrupt().code, 0);
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    run(&["listen", &addr], b"").fails(1, "the path exists and is no socket; remove what is there");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    run(&["send", &addr, "--text", "x"], b"").fails(1, "the path is a file and no socket");
    std::fs::remove_file(&path).unwrap();
    run(&["send", &addr, "--text", "x"], b"").fails(1, "there is no such socket");
}

#[test]
fn json_prints_one_object_per_line() {
    let listen = Listen::start(&["--json", "--reply", "echo"]);
    let good = [
        frame(HELLO, b"\0\x10\0\0me"),
        frame(TEXT, "粘\"包\n".as_bytes()),
        frame(BINARY, &[0xff, 0]),
        frame(CLOSE, b""),
    ];
    talk(&listen.connect(), &good.concat());
    talk(&listen.connect(), b"GET");
    listen.out.lines("\"ended\"", 2);
    let done = listen.interrupt();
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let first = ["listening", "connected", "hello", "message", "message", "ended"];
    assert_eq!(names, [&first[..], &["connected", "error", "ended"]].concat());
    assert_eq!((&events[2]["limit"], &events[2]["name"]), (&1_048_576.into(), &"me".into()));
    assert_eq!((&events[3]["kind"], &events[3]["text"]), (&"text".into(), &"粘\"包\n".into()));
    assert_eq!((&events[3]["at"], &events[3]["len"]), (&14.into(), &8.into()));
    assert_eq!((&events[4]["kind"], &events[4]["hex"]), (&"binary".into(), &"ff00".into()));
    assert_eq!((&events[5]["messages"], &events[5]["clean"]), (&2.into(), &true.into()));
    assert_eq!((&events[7]["at"], &events[7]["name"]), (&0.into(), &"bad-magic".into()));
    assert_eq!(events[8]["clean"], false);
}

#[test]
fn control_characters_of_a_peer_are_escaped() {
    let listen = Listen::start(&[]);
    let hostile_text = "a text with a few of them \x1b]0;owned\x07 \r\n\u{9b}31m\u{202e}";
    talk(
        &listen.connect(),
        &[frame(TEXT, hostile_text.as_bytes()), frame(CLOSE, b"\0\x01\x1b[2J")].concat(),
    );
    listen.err.line("the peer gave up");
    let done = listen.interrupt();
    for text in [&done.stdout, &done.stderr] {
        assert!(text.contains(r"\u{1b}"), "{text}");
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(raw), "{text:?}");
    }
}

#[test]
fn messages_and_notes_are_printed_in_order() {
    // Both go to one file, as with `2>&1`.
    let file = path("both.txt");
    let both = std::fs::File::create(&file).unwrap();
    let socket = path("order.sock");
    let mut child = unstick()
        .args(["listen", &format!("unix:{}", socket.display())])
        .stdout(both.try_clone().unwrap())
        .stderr(both)
        .spawn()
        .unwrap();
    let message = [frame(TEXT, b"hi"), frame(CLOSE, b"")].concat();
    for i in 1..=50 {
        let began = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(began.elapsed() < TIMEOUT, "{i}: {error}"),
            }
        };
        stream.write_all(&message).unwrap();
        assert_eq!(close_code(&read_frames(&mut stream)), Some(0));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    for i in 1..=50 {
        let place = |part: &str| {
            let line = |line: &str| line.starts_with(&format!("unix#{i} ")) && line.contains(part);
            text.lines().position(line).unwrap_or_else(|| panic!("no {part} of {i}: {text}"))
        };
        let (connected, message, ended) = (place("connected"), place("\"hi\""), place("ended"));
        assert!(connected < message && message < ended, "{text}");
    }
}

#[test]
fn a_peer_is_announced_in_one_line() {
    let listen = Listen::start(&[]);
    // With its hello, if that arrives at once.
    let hello = frame(HELLO, b"\0\x10\0\0someone 1.0");
    talk(&listen.connect(), &[hello.clone(), frame(CLOSE, b"")].concat());
    listen.err.line(" connected (\"someone 1.0\", takes 1 MiB)");
    // Without it, if something else or nothing arrives.
    let silent = listen.connect();
    let peer = silent.local_addr().unwrap();
    let line = listen.err.line(&format!("{peer} connected"));
    assert_eq!(line, format!("{peer} connected"));
    (&silent).write_all(&hello).unwrap();
    listen.err.line(&format!("{peer} says hello: \"someone 1.0\", takes 1 MiB"));
    (&silent).write_all(&frame(TEXT, b"x")).unwrap();
    talk(&silent, &frame(CLOSE, b""));
    let other = listen.connect();
    let peer = other.local_addr().unwrap();
    talk(&other, b"GET");
    listen.err.line(&format!("unstick: {peer}: byte 0"));
    let done = listen.interrupt();
    assert_eq!(done.stderr.matches(" connected").count(), 3, "{done:?}");
    assert_eq!(done.stderr.matches("hello").count(), 1, "{done:?}");
    assert!(done.stderr.contains(&format!("\n{peer} connected\nunstick: {peer}: ")), "{done:?}");
    assert!(done.stderr.ends_with("\nstopped after 1 message from 3 peers\n"), "{done:?}");
}
