//! `listen --exec`: a command answers each message.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};
use unstick_session::message::{Close, Hello, Message};

use crate::support::*;

fn listen(options: &[&str], command: &[&str]) -> Listen {
    Listen::start(&[options, &["--exec", "--"], command].concat())
}

fn shell(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

fn ask(listen: &Listen, args: &[&str]) -> Done {
    run(&[&["send", &listen.addr, "--expect-reply"], args].concat(), b"")
}

/// Waits until a process is gone, or a zombie that nobody waits for.
#[track_caller]
fn ends(pid: Pid) {
    let began = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        if test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z ")) {
            return;
        }
        assert!(began.elapsed() < TIMEOUT, "{pid:?} still runs");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the number of a process in a file.
#[track_caller]
fn pid(folder: &Folder, name: &str) -> Pid {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(folder.path(name)).unwrap_or_default();
        if let Some(text) = text.strip_suffix('\n') {
            return Pid::from_raw(text.parse().unwrap()).unwrap();
        }
        assert!(began.elapsed() < TIMEOUT, "no {name}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A command whose child writes its number to the file `child`, and both wait.
fn waiting(folder: &Folder) -> String {
    format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", folder.str("child"))
}

#[test]
fn messages_are_answered_with_the_output() {
    let upper = listen(&[], &["tr", "a-z", "A-Z"]);
    ask(&upper, &["--text", "one", "--text", "two"]).succeeds("ONE\nTWO\n");
    // Without --expect-reply, too: the listener closes once everything is answered.
    run(&["send", &upper.addr, "--text", "three"], b"").succeeds("THREE\n");
    // In a format without a close, the end of the stream is not the end of the answers.
    for format in ["u32be", "lines", "netstring", "v2"] {
        let upper = listen(&["--format", format], &["tr", "a-z", "A-Z"]);
        ask(&upper, &["--format", format, "--text", "one", "--text", "two"]).succeeds("ONE\nTWO\n");
        if format == "v2" {
            // Its check is no text.
            continue;
        }
        let mut stream = upper.connect();
        let frames = finish(unstick().args(["encode", "--format", format]), b"a\nb\n");
        stream.write_all(frames.stdout.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        let decoded = finish(unstick().args(["decode", "--format", format]), back.as_bytes());
        assert_eq!(decoded.stdout, "A\nB\n", "{format}: {decoded:?}");
    }
}

#[test]
fn the_dialect_of_scripts_is_answered() {
    let folder = Folder::new("exec-dialect");
    let inbox = folder.str("inbox");
    let listen = listen(&["--format", "i32le", "--dir", &inbox], &["tr", "a-z", "A-Z"]);
    let mut stream = listen.connect();
    let frame = |payload: &[u8]| {
        [&i32::try_from(payload.len()).unwrap().to_le_bytes()[..], payload].concat()
    };
    let item = frame(br#"{"msg_type":"msg"}"#);
    stream.write_all(&[&item[..], &frame(b"hello"), &frame(b"close")].concat()).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back, [item, frame(b"HELLO")].concat());
}

#[test]
fn nothing_is_interpreted_by_a_shell() {
    let listen = listen(&[], &["printf", "%s|", "$HOME", "*", "; exit 7", "a b"]);
    ask(&listen, &["--text", "`id`"]).succeeds("$HOME|*|; exit 7|a b|\n");
}

#[test]
fn the_environment_has_the_peer_and_the_kind() {
    let listen = listen(&["--kind", "0x41"], &shell("printf '%s %s' $UNSTICK_PEER $UNSTICK_KIND"));
    for (kind, shown) in [("text", "text"), ("0x41", "0x41")] {
        let done = ask(&listen, &["--text", "x", "--kind", kind]);
        assert!(done.stdout.starts_with("127.0.0.1:"), "{done:?}");
        assert!(done.stdout.trim_end().ends_with(&format!(" {shown}")), "{done:?}");
    }
}

#[test]
fn the_answer_has_the_kind_of_the_message_and_a_text_no_line_end() {
    let listen = listen(&[], &shell("cat; echo"));
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"a")).write(&frame(BINARY, b"a"));
    assert_eq!(peer.next(), Some((TEXT, b"a".to_vec())));
    assert_eq!(peer.next(), Some((BINARY, b"a\n".to_vec())));
}

#[test]
fn without_output_there_is_no_answer() {
    let listen = listen(&[], &shell("read line; test $line = silent || echo $line"));
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"silent\n")).write(&frame(TEXT, b"loud\n"));
    assert_eq!(peer.next(), Some((TEXT, b"loud".to_vec())));
}

#[test]
fn a_command_that_fails_is_logged_and_gives_no_answer() {
    let script = "read line; echo $line; printf 'why\\033[31m\\n' >&2; exit $line";
    let listen = listen(&[], &shell(script));
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"3\n")).write(&frame(TEXT, b"0\n"));
    assert_eq!(peer.next(), Some((TEXT, b"0".to_vec())));
    let line = listen.err.line("exit status: 3; no answer");
    assert!(line.starts_with("unstick: 127.0.0.1:") && line.contains("\"sh\" failed"), "{line}");
    let line = listen.err.line("says: why");
    assert!(!line.contains('\u{1b}'), "{line:?}");
    // What fails often is logged a few times.
    for _ in 0..60 {
        peer.write(&frame(TEXT, b"5\n"));
    }
    peer.write(&frame(TEXT, b"0\n"));
    assert_eq!(peer.next(), Some((TEXT, b"0".to_vec())));
    let log = listen.interrupt().stderr;
    assert!(log.matches("exit status: 5").count() < 50, "{log}");
}

#[test]
fn a_command_that_is_gone_is_logged() {
    let folder = Folder::new("exec-gone");
    let program = folder.write("at all", b"#!/bin/sh\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let listen = listen(&["--json"], &[&program]);
    fs::remove_file(&program).unwrap();
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"a"));
    listen.err.line("/at all\" cannot be started: No such file");
    assert!(listen.out.line("cannot be started").contains(r#""event":"error""#));
}

#[test]
fn a_command_that_cannot_run_is_refused_at_the_start() {
    let folder = Folder::new("exec-refused");
    let script = folder.write("rev.py", b"#!/bin/sh\ncat\n");
    let start = |command: &str| {
        let mut listen = unstick();
        listen.current_dir(folder.path("")).args(["listen", "127.0.0.1:0", "--exec", "--"]);
        finish(listen.arg(command), b"")
    };
    let pipe = "A pipe needs a shell: --exec -- sh -c 'rev | tr a-z A-Z'";
    // A script in this folder is not in PATH.
    for missing in ["/nowhere/at all", "rev | tr a-z A-Z", "rev.py", "./none", ""] {
        let done = start(missing);
        assert!(done.stderr.contains(": No such file"), "{missing}: {done:?}");
        done.fails(1, pipe);
    }
    for refused in ["./rev.py", &script, "/"] {
        start(refused).fails(1, "Permission denied (os error 13); `chmod +x` lets a file run");
    }
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(ask(&listen(&[], &[&script]), &["--text", "a"]).stdout.contains('a'));
}

#[test]
fn a_command_without_the_dashes_before_it_has_a_tip() {
    for args in [
        &["listen", ":0", "--exec", "./rev.py"][..],
        &["listen", "--exec", "./rev.py", ":0"],
        &["listen", ":0", "-x", "./rev.py", "a"],
    ] {
        let done = run(args, b"");
        done.fails(2, "tip: the command stands after --: --exec -- ./rev.py");
        assert_eq!(done.stderr.matches("tip:").count(), 1, "{done:?}");
    }
    let done = run(&["listen", ":0", "--exec", "--nope", "--", "cat"], b"");
    assert!(done.code == 2 && !done.stderr.contains("stands after"), "{done:?}");
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let folder = Folder::new("exec-late");
    let listen = listen(&["--exec-timeout", "0.3"], &shell(&waiting(&folder)));
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"a"));
    let child = pid(&folder, "child");
    listen.err.line("was killed after 300ms, see --exec-timeout");
    ends(child);
    // The conversation goes on.
    peer.write(&frame(PING, b"there?"));
    assert_eq!(peer.next(), Some((PONG, b"there?".to_vec())));
}

#[test]
fn a_command_ends_with_its_connection() {
    let folder = Folder::new("exec-gone");
    let listen = listen(&["--exec-timeout", "500"], &shell(&waiting(&folder)));
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"a"));
    let child = pid(&folder, "child");
    drop(peer);
    listen.err.line("without a close");
    ends(child);
}

#[test]
fn a_command_ends_with_the_listener() {
    for options in [&[][..], &["--format", "lines"]] {
        let folder = Folder::new("exec-end");
        let all = [options, &["--exec-timeout", "500"]].concat();
        let listen = listen(&all, &shell(&waiting(&folder)));
        let mut stream = listen.connect();
        let message = if options.is_empty() { frame(TEXT, b"a") } else { b"a\n".to_vec() };
        stream.write_all(&message).unwrap();
        let child = pid(&folder, "child");
        assert_eq!(listen.interrupt().code, 0);
        ends(child);
    }
}

/// Neither a command that reads nothing nor one that writes before it reads blocks anything.
#[test]
fn a_message_larger_than_a_pipe_is_taken_by_a_command_that_does_not_read() {
    let long = "x".repeat(900_000);
    let listen = listen(&[], &["echo", "done"]);
    run(&["send", &listen.addr, "--expect-reply"], long.as_bytes()).succeeds("done\n");
    let writes = "head -c 900000 /dev/zero | tr '\\0' y; cat > /dev/null";
    let listen = self::listen(&[], &shell(writes));
    let done = run(&["send", &listen.addr, "--expect-reply"], long.as_bytes());
    done.succeeds(&("y".repeat(900_000) + "\n"));
}

#[test]
fn an_answer_over_the_limit_is_not_sent() {
    let listen = listen(&[], &shell("read n; yes | head -c $n"));
    let mut peer = Peer::new(listen.connect());
    // Without a hello, a peer takes 65,536 bytes.
    peer.write(&frame(TEXT, b"65537\n")).write(&frame(TEXT, b"100000000000\n"));
    peer.write(&frame(BINARY, b"65536\n"));
    assert_eq!(peer.next().map(|(kind, payload)| (kind, payload.len())), Some((BINARY, 65_536)));
    listen.err.lines("an answer of more than 65536 bytes, which is the limit", 1);
    // What the format cannot hold is logged, and the conversation goes on.
    let listen = self::listen(&["--format", "u8"], &shell("read n; head -c $n /dev/zero"));
    let mut stream = listen.connect();
    stream.write_all(b"\x04300\n\x022\n").unwrap();
    let mut back = [1; 3];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, [2, 0, 0]);
    listen.err.line("an answer of more than 255 bytes");
    let listen =
        self::listen(&["--format", "lines"], &shell("read a b; echo $a; test -z $b || echo $b"));
    let mut stream = listen.connect();
    stream.write_all(b"a b\nc\n").unwrap();
    let mut back = [0; 2];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"c\n");
    listen.err.line("the answer cannot be sent: ");
}

/// What the peer takes does not decide how much of a command's output is kept.
#[test]
fn an_answer_over_the_listeners_own_limit_is_not_sent() {
    let listen = listen(&["--limit", "70000"], &["head", "-c", "80000", "/dev/zero"]);
    let hello = message(Message::Hello(Hello { limit: u32::MAX, name: "" }));
    let frames = [hello, frame(BINARY, b"more"), frame(CLOSE, b"")].concat();
    let answers = talk(&listen.connect(), &frames);
    assert!(answers.iter().all(|(kind, _)| *kind != BINARY), "{}", answers.len());
    listen.err.line("has an answer of more than 70000 bytes, which is the limit");
}

#[test]
fn only_so_many_commands_run_at_a_time() {
    let folder = Folder::new("exec-jobs");
    // Each says how many there are while it runs.
    let script = format!(
        "cat > /dev/null; mkdir -p {0}; touch {0}/$$; sleep 0.02; ls {0} | wc -l; rm {0}/$$",
        folder.str("running")
    );
    let listen = listen(&["--exec-jobs", "3"], &shell(&script));
    let ask = || {
        let done = ask(&listen, &["--text", "x"]);
        done.stdout.trim().parse::<u32>().unwrap_or_else(|_| panic!("{done:?}"))
    };
    let counts: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(counts.len(), 50);
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{counts:?}");
    assert!(counts.contains(&3), "{counts:?}");
}

/// Whoever has many connections waits for those of other addresses.
#[cfg(target_os = "linux")]
#[test]
fn commands_start_in_turn_of_the_addresses() {
    let listen = listen(&["--exec-jobs", "1"], &shell("sleep 0.1; cat"));
    let many: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = connect_from(&listen, [127, 0, 0, 9]);
            stream.write_all(&frame(TEXT, b"x").repeat(4)).unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let mut peer = Peer::new(connect_from(&listen, [127, 0, 5, 1]));
    peer.write(&frame(TEXT, b"one"));
    assert_eq!(peer.next(), Some((TEXT, b"one".to_vec())));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(many);
}

/// Answers that are not taken keep no room from others for long.
#[cfg(target_os = "linux")]
#[test]
fn answers_that_are_not_read_do_not_stop_commands_for_others() {
    let options = ["--exec-jobs", "2", "--max-memory", "4MiB", "--limit", "1MiB"];
    let listen = listen(&options, &["head", "-c", "1000000", "/dev/zero"]);
    let before = listen.peak_memory();
    let hello = message(Message::Hello(Hello { limit: 1 << 20, name: "" }));
    let ask = [hello, frame(BINARY, b"x").repeat(16)].concat();
    let many: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = connect_from(&listen, [127, 0, 0, 9]);
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
            stream.write_all(&ask).unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_secs(4));
    let began = Instant::now();
    let stream = connect_from(&listen, [127, 0, 5, 1]);
    let hello = message(Message::Hello(Hello { limit: 1 << 20, name: "" }));
    let answers = talk(&stream, &[hello, frame(BINARY, b"x"), frame(CLOSE, b"")].concat());
    assert!(answers.iter().any(|(_, payload)| payload.len() == 1_000_000), "{}", answers.len());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    let grown = listen.peak_memory() - before;
    assert!(grown < 32 << 20, "{} KiB", grown >> 10);
    drop(many);
}

/// Messages that do not fit into the memory together, each with the room for its answer, are answered one by one.
#[cfg(target_os = "linux")]
#[test]
fn large_messages_are_answered_however_small_the_memory_is() {
    let listen = listen(&["--max-memory", "4MiB"], &["cat"]);
    let hello = message(Message::Hello(Hello { limit: 1 << 20, name: "" }));
    let large = frame(TEXT, &[b'x'; 1 << 20]);
    let all = [&hello[..], &large, &large, &frame(CLOSE, b"")].concat();
    let began = Instant::now();
    thread::scope(|scope| {
        for n in 1..=12 {
            let (listen, all) = (&listen, &all);
            scope.spawn(move || {
                let answers = talk(&connect_from(listen, [127, 0, 0, n]), all);
                let lens = answers.iter().map(|(kind, payload)| (*kind, payload.len()));
                assert_eq!(lens.filter(|(kind, _)| *kind == TEXT).count(), 2);
            });
        }
    });
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

/// The answer for a peer that does not take the messages of others keeps no memory from others for long.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_takes_no_message_of_others_does_not_stop_commands() {
    let options = ["--format", "u32be", "--broadcast", "--max-memory", "64KiB", "--limit", "1MiB"];
    let script = "test $(head -c 4) = slow && sleep 2 && head -c 1000000 /dev/zero; echo";
    let listen = listen(&[&options[..], &["--frame-timeout", "25"]].concat(), &shell(script));
    let plain = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat();
    let mut slow = connect_from(&listen, [127, 0, 0, 9]);
    rustix::net::sockopt::set_socket_recv_buffer_size(&slow, 4096).unwrap();
    slow.write_all(&plain(b"slow")).unwrap();
    listen.out.line("\"slow\"");
    let _others: Vec<_> = (0..150)
        .map(|_| {
            let mut other = listen.connect();
            other.write_all(&plain(&[b'x'; 50_000])).unwrap();
            other
        })
        .collect();
    listen.out.lines(" 50000  ", 150);
    let (peer, began) = (connect_from(&listen, [127, 0, 5, 1]), Instant::now());
    (&peer).write_all(&plain(b"ask")).unwrap();
    let mut answer = [0; 4];
    (&peer).read_exact(&mut answer).unwrap();
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    listen.err.line("other peers wait for its memory");
}

/// A peer that is gone is noticed although nothing is read from it: its messages wait for nobody.
#[test]
fn messages_of_a_peer_that_is_gone_are_not_answered() {
    let folder = Folder::new("exec-left");
    let script = format!("echo >> {}; sleep 1000", folder.str("started"));
    let listen = listen(&["--exec-jobs", "1", "--exec-timeout", "500"], &shell(&script));
    let mut stream = listen.connect();
    stream.write_all(&frame(TEXT, b"x").repeat(40)).unwrap();
    eventually("it starts", || fs::read(folder.path("started")).is_ok());
    drop(stream);
    listen.err.line("127.0.0.1:");
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"x"));
    eventually("the next", || fs::read(folder.path("started")).is_ok_and(|text| text == b"\n\n"));
}

/// The messages that wait are bounded: the peer waits with the rest.
#[test]
fn a_peer_waits_while_its_messages_wait_for_commands() {
    let listen = listen(&["--exec-timeout", "500"], &["sleep", "500"]);
    let mut stream = listen.connect();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let message = frame(BINARY, &[7; 60_000]);
    let sent = (0..2000).take_while(|_| stream.write_all(&message).is_ok()).count();
    assert!(sent < 2000, "{sent}");
    assert!(listen.peak_memory() < 64 << 20, "{}", listen.peak_memory());
    let shown = listen.out.so_far().matches("binary").count();
    assert!(shown <= 18, "{shown}");
}

#[test]
fn answers_are_sent_after_the_peer_has_closed() {
    let listen = listen(&[], &shell("sleep 0.2; cat"));
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"a")).write(&frame(TEXT, b"b"));
    peer.write(&message(Message::Close(Close::ORDINARY)));
    assert_eq!(peer.next(), Some((TEXT, b"a".to_vec())));
    assert_eq!(peer.next(), Some((TEXT, b"b".to_vec())));
    assert_eq!(peer.next().map(|(kind, _)| kind), Some(CLOSE));
}

#[test]
fn where_no_command_can_answer_it_is_refused() {
    for (args, why) in [
        (&["udp::0", "--exec", "--", "cat"][..], "the source of a datagram can be forged"),
        (&[":0", "--exec"], "<COMMAND>..."),
        (&[":0", "--", "cat"], "--exec"),
        (&[":0", "--exec", "--reply", "echo", "--", "cat"], "cannot be used with"),
        (&[":0", "--exec-timeout", "1"], "--exec"),
    ] {
        let done = run(&[&["listen"], args].concat(), b"");
        assert_eq!(done.code, 2, "{done:?}");
        assert!(done.stderr.contains(why), "{why}: {done:?}");
    }
}

/// A peer of a format without a session is ended, too, if it takes no answer while others wait for its memory.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_of_a_plain_format_that_takes_no_answer_is_ended() {
    let options = ["--format", "u32be", "--json", "--max-memory", "64KiB", "--limit", "8MiB"];
    let script = "test $(head -c 4) = slow && head -c 8000000 /dev/zero; echo";
    let listen = listen(&[&options[..], &["--frame-timeout", "60"]].concat(), &shell(script));
    let plain = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat();
    let slow = connect_from(&listen, [127, 0, 0, 9]);
    rustix::net::sockopt::set_socket_recv_buffer_size(&slow, 4096).unwrap();
    (&slow).write_all(&plain(b"slow")).unwrap();
    listen.out.line("\"slow\"");
    thread::sleep(Duration::from_millis(500));
    let peer = connect_from(&listen, [127, 0, 5, 1]);
    (&peer).write_all(&plain(b"ask")).unwrap();
    let mut answer = [0; 4];
    (&peer).read_exact(&mut answer).unwrap();
    listen.err.line("other peers wait for its memory");
    listen.out.line("\"ended\"");
}

/// Over a Unix socket a user of this machine counts as an address.
#[cfg(target_os = "linux")]
#[test]
fn commands_start_in_turn_of_the_users() {
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt as _;

    if !rustix::process::geteuid().is_root() {
        return; // nobody else can be another user
    }
    let folder = Folder::new("exec-users");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    let (addr, path) = (format!("unix:{}", folder.str("socket")), folder.path("socket"));
    let command = ["--exec-jobs", "1", "--exec", "--", "sh", "-c", "sleep 0.1; cat"];
    let _listen = Listen::at(&addr, &command);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let many: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(&frame(TEXT, b"x").repeat(4)).unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX)\n\
                  s.connect(sys.argv[1])\n\
                  s.sendall(bytes.fromhex(sys.argv[2]))\n\
                  while b'one' not in s.recv(100): pass";
    let sent: String = frame(TEXT, b"one").iter().map(|byte| format!("{byte:02x}")).collect();
    let mut other = std::process::Command::new("python3");
    other.args(["-c", script, path.to_str().unwrap(), &sent]).uid(65_534).current_dir("/");
    let began = Instant::now();
    finish(&mut other, b"").succeeds("");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(many);
}
