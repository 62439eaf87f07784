//! `unstick send`: with the listener, and with peers that break the protocol.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::*;

/// Serves one connection. The thread returns what the client sent after `each` had returned.
fn serve(
    each: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        each(&mut stream);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    });
    (addr, served)
}

#[test]
fn messages_are_sent_and_answers_received() {
    let listen = Listen::start(&["--reply", "upper"]);
    let send = |args: &[&str], stdin: &[u8]| run(&[&["send", &listen.addr], args].concat(), stdin);
    send(&["--text", "hello", "--text", "", "--text", "粘包x", "--expect-reply"], b"")
        .succeeds("HELLO\n\n粘包X\n");
    send(&["--expect-reply"], "one\r\n\n二x\nlast".as_bytes()).succeeds("ONE\n\n二X\nLAST\n");
    send(&["--text", "a\x1b[31m\nb", "--expect-reply"], b"").succeeds("A\\u{1b}[31M\\nB\n");
    send(&["--expect-reply"], b"\xff\xfe\n").succeeds("0xfffe\n");
    send(&[], b"").succeeds("");
    send(&["--kind", "ping", "--text", "p", "--expect-reply"], b"").succeeds("p\n");
    let done = send(&["--json", "--text", "粘", "--expect-reply"], b"");
    let event: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&event["kind"], &event["text"]), (&"text".into(), &"粘".into()));
    send(&["--kind", "0x41", "--text", "?"], b"").fails(1, "code 0x0007 (unknown-kind)");
    listen.out.line("ff fe");
}

#[test]
fn answers_during_sending_cause_no_deadlock() {
    let listen = Listen::start(&["--reply", "echo"]);
    // Far more than the buffers of both directions can hold.
    let lines = format!("{}\n", "x".repeat(50_000)).repeat(400);
    let done = run(&["send", &listen.addr, "--expect-reply"], lines.as_bytes());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.stdout, lines);
}

#[test]
fn a_message_over_the_peers_limit_is_not_sent() {
    let listen = Listen::start(&["--reply", "echo"]);
    let line = "x".repeat(1 << 20);
    let done = run(&["send", &listen.addr, "--expect-reply"], line.as_bytes());
    assert_eq!((done.code, done.stdout.len()), (0, (1 << 20) + 1), "{}", done.stderr);
    let line = "x".repeat((1 << 20) + 1);
    run(&["send", &listen.addr], line.as_bytes())
        .fails(1, "line 1 of standard input has more than");
    run(&["send", &listen.addr, "--limit", "0", "--text", "x"], b"")
        .fails(1, "message 1 has 1 byte and the limit is 0; raise --limit");
    run(&["send", &listen.addr, "--limit", "2MiB"], line.as_bytes())
        .fails(1, "the peer takes 1048576 at most (its hello says)");

    let line = "x".repeat(65_537);
    let (addr, _) = serve(|_| {});
    run(&["send", &addr, "--timeout", "0.5"], line.as_bytes())
        .fails(1, "the peer takes 65536 at most (it sent no hello");
    // `--limit` states that the peer accepts such messages.
    let (addr, served) = serve(close_after_close);
    run(&["send", &addr, "--limit", "1MiB"], line.as_bytes()).succeeds("");
    assert!(served.join().unwrap().is_empty());
}

/// Reads up to the client's close, and answers it.
fn close_after_close(stream: &mut TcpStream) {
    read_up_to(stream, &frame(CLOSE, b""));
    stream.write_all(&frame(CLOSE, b"")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
}

#[test]
fn the_end_follows_the_protocol() {
    let (addr, served) = serve(|stream| {
        let sent = read_up_to(stream, &[frame(TEXT, b"hi"), frame(CLOSE, b"")].concat());
        assert!(sent.starts_with(&[0xf5, 1, HELLO, 0, 0]), "{sent:02x?}");
        // The client has shut down writing, and still reads.
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        stream.write_all(&[frame(TEXT, b"late"), frame(CLOSE, b"")].concat()).unwrap();
    });
    run(&["send", &addr, "--text", "hi"], b"").succeeds("late\n");
    served.join().unwrap();

    // A peer that closes before it has read everything did not accept everything.
    let (addr, _served) = serve(|stream| {
        read_up_to(stream, &frame(TEXT, b"a"));
        stream.write_all(&frame(CLOSE, b"")).unwrap();
    });
    run(&["send", &addr, "--expect-reply", "--text", "a"], b"")
        .fails(1, "the peer closed the conversation (1 message sent, 0 answered)");

    // Other formats have only the messages.
    let (addr, served) = serve(|_| {});
    run(&["send", &addr, "--format", "i32le", "--text", "hi"], b"").succeeds("");
    assert_eq!(served.join().unwrap(), b"\x02\0\0\0hi");
    let (addr, served) = serve(|_| {});
    let field = ["--format", "field:header=4,offset=1,width=2", "--header", "aa 00 00 bb"];
    run(&[&["send", &addr, "--text", "hi"], &field[..]].concat(), b"").succeeds("");
    assert_eq!(served.join().unwrap(), b"\xaa\0\x02\xbbhi");
}

#[test]
fn an_error_of_the_peer_is_reported_to_it_and_to_the_user() {
    let text = ["--text", "hi", "--expect-reply", "--timeout", "0.5"];
    let send = |addr: &str| run(&[&["send", addr], &text[..]].concat(), b"");

    let (addr, served) = serve(|stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap());
    send(&addr).fails(1, "byte 0: a frame starts with 0xf5, found 0x48 ('H')");
    let sent = served.join().unwrap();
    assert!(sent.windows(3).any(|run| run == [0xf5, 1, CLOSE]), "{sent:02x?}");

    let (addr, served) = serve(|stream| stream.write_all(&frame(0x20, b"")).unwrap());
    send(&addr).fails(1, "byte 0: the kind 0x20 is critical and not known here; does the peer");
    // The hint is only for the local user.
    let sent = served.join().unwrap();
    assert!(sent.ends_with(b"byte 0: the kind 0x20 is critical and not known here"));

    let (addr, _served) = serve(|_| {});
    send(&addr).fails(1, "no answer within 500ms (1 message sent, 0 answered)");

    let (addr, _served) = serve(|stream| {
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let done = send(&addr);
    done.fails(1, "the peer ended the connection (");
    assert!(
        done.stderr.ends_with(" sent, 0 answered); does it speak v1? see --format\n"),
        "{done:?}"
    );

    let (addr, _served) = serve(|stream| {
        stream.write_all(&[frame(TEXT, b"yes"), frame(TEXT, b"n")[..8].to_vec()].concat()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let done = send(&addr);
    done.fails(1, "byte 19: the stream ended inside a payload, 1 byte is missing");
    assert_eq!(done.stdout, "yes\n");

    let (addr, _served) = serve(|stream| stream.write_all(&frame(TEXT, b"yes")).unwrap());
    send(&addr).fails(
        1,
        "the peer ended the connection without a close; it may not have taken everything; \
         does it speak v1? see --format",
    );

    let (addr, _served) = serve(|stream| {
        stream.write_all(&frame(TEXT, b"yes")).unwrap();
        thread::sleep(Duration::from_secs(2));
    });
    send(&addr).fails(1, "the peer did not close within 500ms");
}

#[test]
fn a_ping_is_answered_with_a_pong() {
    let (addr, served) = serve(|stream| {
        stream.write_all(&[frame(PING, b"p1"), frame(TEXT, b"yes")].concat()).unwrap();
        read_up_to(stream, &frame(PONG, b"p1"));
        stream.write_all(&[frame(TEXT, b"yes"), frame(CLOSE, b"")].concat()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    run(&["send", &addr, "--text", "a", "--text", "b", "--expect-reply"], b"")
        .succeeds("yes\nyes\n");
    served.join().unwrap();
}

#[test]
fn a_failed_connect_and_invalid_options_are_reported() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    run(&["send", &closed, "--text", "x"], b"").fails(1, "nothing listens there, start it with");
    run(&["send", "no.such.host.invalid:1", "--text", "x"], b"")
        .fails(1, "are host and port right");
    for (args, why) in [
        (&["127.0.0.1"][..], "the port is missing"),
        (&["127.0.0.1:70000"], "`70000` is no port"),
        (&["::1:7000"], "needs brackets: [::1]:7000"),
        (&[":1", "--format", "field:header=33,width=2"], "1 to 32 bytes"),
        (&[":1", "--format", "u8", "--kind", "text"], "leave out --kind"),
        (&[":1", "--kind", "close"], "give another --kind"),
        (&[":1", "--header", "00"], "--header goes with a field: format"),
        (&[":1", "--format", "field:width=2", "--header", "0g"], "line 1, column 2: `g`"),
    ] {
        run(&[&["send"], args].concat(), b"").fails(2, why);
    }
}

#[test]
fn a_sender_that_gives_up_sends_a_close() {
    // A listener that does not answer gets a close, and so reports no crash.
    let listen = Listen::start(&[]);
    let args = ["send", &listen.addr, "--text", "hi", "--expect-reply", "--timeout", "0.5"];
    let mut tries = 0;
    // A busy machine may be late, but not every time.
    loop {
        tries += 1;
        let began = Instant::now();
        run(&args, b"").fails(1, "no answer within 500ms");
        listen.err.lines("ended after 1 message", tries);
        if began.elapsed() < Duration::from_millis(1200) {
            break;
        }
        assert!(tries < 5, "{:?}", began.elapsed());
    }

    // The same for a listener whose limit is exceeded.
    let args = ["send", &listen.addr, "--limit", "2"];
    run(&args, b"ok\nnot ok\n").fails(1, "more than the 2 bytes that a message may have");
    listen.err.lines("ended after 1 message", tries + 1);
    let done = listen.interrupt();
    assert!(!done.stderr.contains("without a close"), "{done:?}");
}
