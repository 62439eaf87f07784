//! `unstick listen` and `send` over UDP: with each other, with peers in Python, and with invalid
//! datagrams.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::*;

const TEXTS: [&str; 4] = ["hello", "", "粘包 mixed 𠮷", "é"];
const ANSWERS: &str = "HELLO\n\n粘包 MIXED 𠮷\nÉ\n";

fn send(addr: &str, args: &[&str], stdin: &[u8]) -> Done {
    run(&[&["send", addr], args].concat(), stdin)
}

/// Returns a row of the final table, without its name.
fn row(done: &Done, name: &str) -> Vec<String> {
    let line = done.stderr.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {done:?}"));
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn messages_are_sent_and_answers_received() {
    for addr in ["udp:127.0.0.1:0", "udp:[::1]:0"] {
        let listen = Listen::at(addr, &["--reply", "upper"]);
        assert!(listen.addr.starts_with("udp:"), "{}", listen.addr);
        let texts = TEXTS.map(|text| ["--text", text]).concat();
        let done = send(&listen.addr, &[&texts[..], &["--expect-reply"]].concat(), b"");
        done.succeeds(ANSWERS);
        // All messages are packed into one datagram.
        assert_eq!(row(&done, "sent")[..2], ["1", "4"]);
        assert_eq!(row(&done, "received")[..2], ["1", "4"]);
        send(&listen.addr, &["--expect-reply"], b"one\n\xff\xfe\n").succeeds("ONE\n0xfffe\n");
        listen.out.line("ff fe");
        let done = listen.interrupt();
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(row(&done, "received")[1], "6", "{done:?}");
        assert_eq!(row(&done, "refused"), ["0", "0"]);
    }
}

#[test]
fn json_prints_one_object_per_line() {
    let listen = Listen::at("udp:127.0.0.1:0", &["--json", "--reply", "echo"]);
    let done = send(&listen.addr, &["--json", "--text", "粘", "--expect-reply"], b"");
    let lines: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["event"], &lines[0]["text"]), (&"message".into(), &"粘".into()));
    assert_eq!((&lines[1]["event"], &lines[1]["sent"]["messages"]), (&"counts".into(), &1.into()));
    let raw = UdpSocket::bind("127.0.0.1:0").unwrap();
    raw.send_to(b"GET / HTTP/1.1", listen.addr.strip_prefix("udp:").unwrap()).unwrap();
    let refused: Value = serde_json::from_str(&listen.out.line("\"refused\"")).unwrap();
    assert_eq!((&refused["at"], &refused["name"]), (&0.into(), &"bad-magic".into()));
    assert_eq!(refused["peer"], raw.local_addr().unwrap().to_string());
    let done = listen.interrupt();
    let last: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["refused"]["malformed"], &last["refused"]["bytes"]), (&1.into(), &14.into()));
}

/// Invalid datagrams are reported, and the listener continues.
#[test]
fn refused_datagrams_are_reported_and_counted() {
    let listen = Listen::at("udp:127.0.0.1:0", &["--kind", "0x41"]);
    let raw = UdpSocket::bind("127.0.0.1:0").unwrap();
    raw.connect(listen.addr.strip_prefix("udp:").unwrap()).unwrap();
    let from = raw.local_addr().unwrap();
    for (bytes, why) in [
        (vec![], "it is empty and must hold at least one frame"),
        (vec![0xF5], "the stream ended inside a header, at least 7 bytes are missing"),
        (frame(CLOSE, b""), "a frame of kind 0x05 has no place in a datagram"),
        (frame(0x40, b""), "the kind 0x40 is critical and not known here"),
        ([frame(TEXT, b"lost"), vec![0]].concat(), "byte 12: a frame starts with 0xf5"),
    ] {
        raw.send(&bytes).unwrap();
        let line = listen.err.line(why);
        assert!(
            line.starts_with(&format!("unstick: {from}: the datagram was refused: ")),
            "{line}"
        );
    }
    raw.send(&[frame(TEXT, b"lost"), frame(TEXT, b"\xff")].concat()).unwrap();
    listen.err.line("payload byte 0: a text that is not UTF-8");
    // A ping is neither answered nor shown as a message.
    raw.send(&[frame(PING, b"p"), frame(0x41, b"known")].concat()).unwrap();
    listen.out.line("\"known\"");
    let done = listen.interrupt();
    assert!(!done.stdout.contains("lost") && !done.stdout.contains("\"p\""), "{done:?}");
    assert_eq!(row(&done, "sent")[0], "0");
    let refused = row(&done, "refused").join(" ");
    let reasons = "1 empty, 2 malformed, 1 of a misplaced kind, 1 of an unknown kind";
    assert!(refused.ends_with(reasons), "{refused}");
}

#[test]
fn messages_that_cannot_be_sent_are_reported() {
    let listen = Listen::at("udp:127.0.0.1:0", &["--reply", "echo"]);
    let long = "x".repeat(1_193);
    let done = send(&listen.addr, &["--text", &long], b"");
    assert_eq!(done.code, 1);
    let why = "message 1 has 1201 bytes and a datagram may have 1200; raise --datagram-limit";
    assert!(done.stderr.contains(why), "{done:?}");
    let args = ["--text", &long, "--datagram-limit", "9000", "--expect-reply"];
    // The answer exceeds the listener's own datagram limit.
    let done = send(&listen.addr, &[&args[..], &["--timeout", "0.2"]].concat(), b"");
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("datagrams can be lost, and does the peer answer?"), "{done:?}");
    listen.err.line("cannot answer: the frame has 1201 bytes");
    // Nothing listens there any more.
    let addr = listen.addr.clone();
    listen.interrupt();
    let done = send(&addr, &["--text", "x"], b"");
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr
            .contains(&format!("nothing listens there, start it with `unstick listen {addr}`"))
    );

    for (args, why) in [
        (&["listen", "udp::0", "--idle-timeout", "1"][..], "datagrams have no connection"),
        (&["listen", "udp::0", "--skip-oversize"], "datagrams have no connection"),
        (&["send", ":1", "--datagram-limit", "9", "--text", "x"], "goes with a udp: address"),
        (&["send", "udp::1", "--kind", "close", "--text", "x"], "give another --kind"),
    ] {
        let done = run(args, b"");
        assert_eq!(done.code, 2, "{done:?}");
        assert!(done.stderr.contains(why), "{done:?}");
    }
}

/// Returns a command for a script of `tests/peer`. A missing `python3` fails the test.
fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    command.arg(format!("{}/../tests/peer/udp.py", env!("CARGO_MANIFEST_DIR")));
    command
}

#[test]
fn a_python_client_sends_packed_and_single_datagrams() {
    let listen = Listen::at("udp:127.0.0.1:0", &["--reply", "upper"]);
    let (host, port) = listen.addr.strip_prefix("udp:").unwrap().rsplit_once(':').unwrap();
    for args in
        [&["--pack"][..], &["--single"], &["--pack", "--hostile"], &["--single", "--hostile"]]
    {
        finish(python().args(["send", host, port]).args(args).args(TEXTS), b"").succeeds(ANSWERS);
    }
    let done = listen.interrupt();
    // Packed messages are one datagram, single ones four. A hostile peer sends an invalid datagram
    // before each.
    assert_eq!(row(&done, "received")[..2], ["10", "16"], "{done:?}");
    assert_eq!(row(&done, "refused")[0], "5", "{done:?}");
}

#[test]
fn a_python_server_answers_packed_and_single_datagrams() {
    for (how, datagrams) in [("--pack", "1"), ("--single", "4")] {
        let mut server = python()
            .args(["serve", how, "--count", "4"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed");
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let addr = format!("udp:127.0.0.1:{}", port.trim());
        let texts = TEXTS.map(|text| ["--text", text]).concat();
        let done = send(&addr, &[&texts[..], &["--expect-reply"]].concat(), b"");
        done.succeeds(ANSWERS);
        assert_eq!(row(&done, "sent")[..2], ["1", "4"]);
        assert_eq!(row(&done, "received")[..2], [datagrams, "4"]);
        assert_eq!(wait(&mut server), 0, "{how}");
    }
}

/// A socket that has sent nothing yet.
fn socket(listen: &Listen) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(listen.addr.strip_prefix("udp:").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    socket
}

/// Two programs that answer each other, of which the test plays one, come to an end.
#[test]
fn two_programs_that_answer_each_other_stop() {
    for (reply, mine) in [("echo", None), ("text:b", Some("a")), ("upper", None)] {
        let listen = Listen::at("udp:127.0.0.1:0", &["--reply", reply]);
        let socket = socket(&listen);
        socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        socket.send(&frame(TEXT, b"loop")).unwrap();
        let mut answers = 0;
        let mut bytes = [0; 2000];
        while let Ok(n) = socket.recv(&mut bytes) {
            answers += 1;
            assert!(answers < 200, "{reply}: it does not stop");
            let answer = mine.map(|text| frame(TEXT, text.as_bytes()));
            socket.send(answer.as_deref().unwrap_or(&bytes[..n])).unwrap();
        }
        assert!(answers >= 16, "{reply}: {answers}");
        listen.err.line("do two programs answer each other?");
        // After a silence, which has just been, the source is answered again.
        socket.send(&frame(TEXT, b"loop")).unwrap();
        assert!(socket.recv(&mut bytes).is_ok(), "{reply}");
    }
}

/// A forged source must not receive more than was sent in its name.
#[test]
fn an_answer_is_never_longer_than_what_it_answers() {
    let text = "x".repeat(1000);
    let listen = Listen::at("udp:127.0.0.1:0", &["--reply", &text]);
    let socket = socket(&listen);
    let mut bytes = [0; 2000];
    socket.send(&frame(TEXT, b"")).unwrap();
    assert!(socket.recv(&mut bytes).is_err());
    // As many messages as a datagram holds: 1200 bytes, and the first answer fits into them.
    socket.send(&frame(TEXT, b"").repeat(150)).unwrap();
    assert_eq!(socket.recv(&mut bytes).unwrap(), 1008);
    assert!(socket.recv(&mut bytes).is_err());
    listen.err.line("the answer is longer than the datagram");
    socket.send(&frame(TEXT, &[b'y'; 1000])).unwrap();
    assert_eq!(socket.recv(&mut bytes).unwrap(), 1008);
    let done = listen.interrupt();
    assert_eq!(row(&done, "sent")[..2], ["2", "2"], "{done:?}");
}

/// What a peer can cause at will is counted, and logged a few times a second.
#[test]
fn a_flood_of_refused_datagrams_is_counted_and_not_logged() {
    for (args, out) in [(&[][..], false), (&["--json"], true)] {
        let listen = Listen::at("udp:127.0.0.1:0", args);
        let flood = socket(&listen);
        for _ in 0..5_000 {
            let _ = flood.send(b"GET / HTTP/1.1");
        }
        thread::sleep(Duration::from_millis(1200));
        flood.send(b"GET / HTTP/1.1").unwrap();
        listen.err.line("more like this before)");
        let done = listen.interrupt();
        let lines = done.stderr.lines().filter(|line| line.contains("was refused")).count();
        assert!((9..60).contains(&lines), "{lines}");
        if out {
            let events = done.stdout.lines().filter(|line| line.contains("\"refused\"")).count();
            assert!(events < 60, "{events}");
            assert!(done.stdout.contains("\"more\":"), "{}", done.stdout);
        } else {
            assert!(row(&done, "refused")[0].parse::<u64>().unwrap() > 500, "{done:?}");
        }
    }
}

/// Whatever a peer sends that is no answer neither prolongs the wait for one nor fills the log.
#[test]
fn a_flood_that_is_no_answer_does_not_keep_a_sender_waiting() {
    // A ping, a message that is refused, and a datagram that is.
    for sign in [frame(PING, b"p"), frame(TEXT, b"\xff"), b"GET /".to_vec()] {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = format!("udp:{}", peer.local_addr().unwrap());
        let ended = AtomicBool::new(false);
        let began = Instant::now();
        let done = thread::scope(|scope| {
            scope.spawn(|| {
                let (_, source) = peer.recv_from(&mut [0; 100]).unwrap();
                while !ended.load(Ordering::Relaxed) && began.elapsed() < Duration::from_secs(5) {
                    for _ in 0..100 {
                        let _ = peer.send_to(&sign, source);
                    }
                }
            });
            let args = ["--text", "hi", "--expect-reply", "--timeout", "0.5"];
            let done = send(&addr, &args, b"");
            ended.store(true, Ordering::Relaxed);
            done
        });
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert_eq!(done.code, 1, "{done:?}");
        assert!(
            done.stderr.contains("no answer within 500ms (1 message sent, 0 answered)"),
            "{done:?}"
        );
        assert!(done.stderr.lines().count() < 30, "{done:?}");
    }
}

#[test]
fn a_listener_for_the_network_warns() {
    let listen = Listen::at("udp:0.0.0.0:0", &[]);
    listen.err.line("warning: everyone on the network can send to this address");
    let listen = Listen::at("udp:127.0.0.1:0", &[]);
    assert!(!listen.interrupt().stderr.contains("warning"));
}

/// Nothing slows down a sender of datagrams but itself.
#[test]
fn many_lines_are_sent_at_a_pace_that_a_listener_takes() {
    let listen = Listen::at("udp:127.0.0.1:0", &[]);
    let lines: String = (0..50_000).map(|i| format!("{i:060}\n")).collect();
    let done = send(&listen.addr, &[], lines.as_bytes());
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(row(&done, "sent")[1], "50000", "{done:?}");
    listen.out.line(&format!("{:060}", 49_999));
    let done = listen.interrupt();
    assert_eq!(row(&done, "received")[1], "50000", "{}", done.stderr);
}

#[test]
fn the_pace_can_be_chosen() {
    let listen = Listen::at("udp:127.0.0.1:0", &[]);
    // 936 bytes and 64 more: 400 KB, of which 64 KiB are sent at once.
    let lines = format!("{:0936}\n", 0).repeat(400);
    for (rate, least) in [("500KB", 600), ("0", 0)] {
        let began = std::time::Instant::now();
        let done = send(&listen.addr, &["--rate", rate], lines.as_bytes());
        assert_eq!((done.code, &*row(&done, "sent")[1]), (0, "400"), "{done:?}");
        assert!(began.elapsed().as_millis() >= least, "{rate}: {:?}", began.elapsed());
    }
    run(&["send", ":1", "--rate", "1MB", "--text", "x"], b"").fails(2, "goes with a udp: address");
}
