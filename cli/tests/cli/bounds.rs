//! What a peer may cause is bounded, in memory and in time.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use rustix::net::sockopt;
use unstick::Kind;
use unstick_session::message::{Close, Code, Digest, FileCancel, FileStatus, Message};

use crate::support::*;

const FILE_OPEN: u8 = Kind::FILE_OPEN.get();
const FILE_DONE: u8 = Kind::FILE_DONE.get();

fn wire(message: &Message<'_>) -> Vec<u8> {
    let encoded = message.encode().unwrap();
    frame(encoded.kind().get(), &encoded.to_payload())
}

#[test]
fn the_memory_of_all_peers_together_is_bounded() {
    let args = ["--max-memory", "2MiB", "--frame-timeout", "3", "--reply", "echo"];
    let listen = Listen::start(&args);
    let before = listen.peak_memory();
    // Forty frames of 1 MiB that have begun, and end never.
    let begun = &frame(BINARY, &[7; 1 << 20])[..1_000_000];
    let peers: Vec<_> = (0..40)
        .map(|_| {
            let mut peer = listen.connect();
            peer.set_nonblocking(true).unwrap();
            // As much as is taken now; the rest waits in the system.
            let _ = peer.write(begun);
            peer
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    for mut peer in &peers {
        let _ = peer.write(&begun[500_000..]);
    }
    // A small message of another peer passes meanwhile.
    let began = Instant::now();
    let answer = talk(&listen.connect(), &[frame(TEXT, b"hi"), frame(CLOSE, b"")].concat());
    assert_eq!(answer[0], (TEXT, b"hi".to_vec()));
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    thread::sleep(Duration::from_millis(300));
    let grown = listen.peak_memory() - before;
    // The budget, twice 64 KiB for each peer, and what the allocator does not return.
    assert!(grown < 24 << 20, "{} KiB", grown >> 10);
    // Large messages pass too once the others were ended.
    let hello = frame(HELLO, b"\0\x20\0\0");
    let large = frame(BINARY, &[7; 1_000_000]);
    let frames = talk(&listen.connect(), &[hello, large, frame(CLOSE, b"")].concat());
    assert_eq!(frames[1].1.len(), 1_000_000);
}

#[test]
fn a_connection_that_ended_by_an_error_keeps_no_memory_while_it_closes() {
    let listen = Listen::start(&["--max-memory", "2MiB"]);
    let before = listen.peak_memory();
    // A large frame, and then no frame: the peers are told, and do not end.
    let sent =
        [frame(HELLO, b"\0\x20\0\0"), frame(BINARY, &[7; 1_000_000]), vec![7; 400_000]].concat();
    let peers: Vec<_> = (0..30)
        .map(|_| {
            let mut peer = listen.connect();
            peer.write_all(&sent).unwrap();
            peer
        })
        .collect();
    for mut peer in &peers {
        let (mut answer, mut buf) = (Vec::new(), [0; 4096]);
        while !answer.windows(10).any(|bytes| bytes == b"found 0x07") {
            let n = peer.read(&mut buf).unwrap();
            assert_ne!(n, 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend(&buf[..n]);
        }
    }
    let grown = listen.peak_memory() - before;
    assert!(grown < 16 << 20, "{} KiB", grown >> 10);
}

/// Peers that fill the memory by frames that do not end wait for a peer of another address, and its time does
/// not count while the memory is full.
#[cfg(target_os = "linux")]
#[test]
fn slow_peers_of_one_address_do_not_keep_another_from_sending() {
    let listen = Listen::start(&["--max-memory", "2MiB", "--frame-timeout", "4", "--json"]);
    let stop = AtomicBool::new(false);
    let begun = &frame(BINARY, &[7; 1 << 20])[..1_000_000];
    let attack = || {
        while !stop.load(Ordering::Relaxed) {
            let mut peer = connect_from(&listen, [127, 0, 0, 9]);
            peer.set_nonblocking(true).unwrap();
            let (mut sent, began) = (0, Instant::now());
            while began.elapsed() < Duration::from_millis(3500) && !stop.load(Ordering::Relaxed) {
                // As much as is taken, but for the end.
                match peer.write(&begun[sent..]) {
                    Ok(n) => sent += n,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(attack);
        }
        thread::sleep(Duration::from_secs(1));
        let all = [frame(BINARY, &[7; 200_000]), frame(CLOSE, b"")].concat();
        let times: Vec<_> = (1..=3)
            .map(|n| {
                let (peer, began) = (connect_from(&listen, [127, 0, 5, n]), Instant::now());
                assert_eq!(close_code(&talk(&peer, &all)), Some(0));
                began.elapsed()
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        // The turn that is taken, and one that another peer took before this one had sent: some 3 s each,
        // and more on a busy machine.
        assert!(times.iter().all(|time| *time < Duration::from_secs(16)), "{times:?}");
    });
    listen.err.line("other peers wait for its memory");
}

/// A large file goes on though peers of many addresses use up the memory.
#[cfg(target_os = "linux")]
#[test]
fn a_large_file_is_stored_while_many_addresses_fill_the_memory() {
    let folder = Folder::new("bounds-large-file");
    let args = ["--max-memory", "1MiB", "--dir", &folder.str("inbox")];
    let listen = Listen::start(&args);
    let stop = AtomicBool::new(false);
    let begun = &frame(BINARY, &[7; 1 << 20])[..1_000_000];
    let attack = |n: u8| {
        while !stop.load(Ordering::Relaxed) {
            let mut peer = connect_from(&listen, [127, 0, 9, n]);
            peer.set_nonblocking(true).unwrap();
            let mut sent = 0;
            while sent < begun.len() && !stop.load(Ordering::Relaxed) {
                match peer.write(&begun[sent..]) {
                    Ok(n) => sent += n,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
                thread::sleep(Duration::from_millis(50));
            }
            while !stop.load(Ordering::Relaxed) && peer.peek(&mut [0]).is_err() {
                thread::sleep(Duration::from_millis(50));
            }
        }
    };
    let file = folder.write("large", &content(8_000_000, 1));
    thread::scope(|scope| {
        for n in 1..=60 {
            let attack = &attack;
            scope.spawn(move || attack(n));
        }
        thread::sleep(Duration::from_secs(1));
        let began = Instant::now();
        let done = run(&["send", &listen.addr, &file], b"");
        let took = began.elapsed();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

/// With few open files, connections wait before commands and files have to do without.
#[test]
fn commands_and_files_have_open_files_however_many_peers_there_are() {
    let folder = Folder::new("bounds-open-files");
    let mut limited = Command::new("sh");
    let inbox = folder.str("inbox");
    limited.args(["-c", "ulimit -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_unstick")]);
    limited.args(["listen", "127.0.0.1:0", "--dir", &inbox, "--exec", "--", "cat"]);
    let listen = Listen::of(&mut limited);
    listen.err.line("64 files may be open: ");
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"one"));
    assert_eq!(peer.next(), Some((TEXT, b"one".to_vec())));
    let _others: Vec<_> = (0..90)
        .map(|_| {
            let mut other = listen.connect();
            other.write_all(&frame(PING, b"")).unwrap();
            other
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    peer.write(&frame(TEXT, b"two"));
    assert_eq!(peer.next(), Some((TEXT, b"two".to_vec())));
    assert_eq!(peer.send(1, 1, "file", b"content"), "stored");
    assert!(!listen.err.so_far().contains("cannot take a connection"));
}

/// The memory of what was written is not kept for each file that is open.
#[test]
fn open_files_that_get_no_more_bytes_take_no_memory() {
    let folder = Folder::new("bounds-open-uploads");
    let listen = Listen::start(&["--max-memory", "2MiB", "--dir", &folder.str("inbox")]);
    let before = listen.peak_memory();
    let half = content(3_000_000, 1);
    let peers: Vec<_> = (0..40)
        .map(|n| {
            let mut peer = Peer::new(listen.connect());
            peer.offer(1, n, Some(6_000_000), &format!("large-{n}"));
            for (at, bytes) in half.chunks(250_000).enumerate() {
                peer.write(&data(1, at as u64 * 250_000, bytes));
            }
            peer
        })
        .collect();
    eventually("written", || {
        let names = folder.names("inbox").into_iter();
        let lens = names.map(|name| folder.path("inbox").join(name).metadata().unwrap().len());
        lens.sum::<u64>() == 40 * 3_000_000
    });
    let grown = listen.peak_memory() - before;
    assert!(grown < 28 << 20, "{} KiB", grown >> 10);
    drop(peers);
}

/// Uploads wait for open files, of which there are few; none is refused.
#[test]
fn many_small_files_at_the_same_time_are_stored_with_few_open_files() {
    let folder = Folder::new("bounds-small-files");
    let mut limited = Command::new("sh");
    let inbox = folder.str("inbox");
    limited.args(["-c", "ulimit -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_unstick")]);
    limited.args(["listen", "127.0.0.1:0", "--dir", &inbox]);
    let listen = Listen::of(&mut limited);
    thread::scope(|scope| {
        for peer in 0..8 {
            let listen = &listen;
            scope.spawn(move || {
                let mut stream = listen.connect();
                for id in 1..=60 {
                    let content = content(100, peer * 100 + u64::from(id));
                    stream.write_all(&open(id, 1, Some(100), &format!("{peer}-{id}"))).unwrap();
                    stream.write_all(&data(id, 0, &content)).unwrap();
                    stream.write_all(&done(id, &content)).unwrap();
                }
                stream.write_all(&frame(CLOSE, b"")).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(close_code(&read_frames(&mut stream)), Some(0));
            });
        }
    });
    assert_eq!(folder.files("inbox").len(), 480, "{}", listen.err.so_far());
}

/// The files of an address are stored in turn with those of others, however many wait.
#[cfg(target_os = "linux")]
#[test]
fn many_small_files_of_one_address_do_not_delay_another() {
    let folder = Folder::new("bounds-many-files");
    let listen = Listen::start(&["--dir", &folder.str("inbox")]);
    let _many: Vec<_> = (0..300)
        .map(|peer| {
            let mut stream = connect_from(&listen, [127, 0, 0, 9]);
            let files = (1..=60).map(|id| {
                let name = format!("{peer}-{id}");
                let bytes = name.as_bytes();
                [open(id, 1, None, &name), data(id, 0, bytes), done(id, bytes)].concat()
            });
            stream.write_all(&files.collect::<Vec<_>>().concat()).unwrap();
            stream
        })
        .collect();
    assert_eq!(Peer::new(listen.connect()).send(1, 2, "file", b"content"), "stored");
    let stored = folder.files("inbox").len();
    assert!(stored < 1500, "{stored} of 18000 came first");
}

/// A part that is open again and gets no byte makes room for one that is sent. One whose frame comes slowly
/// does not.
#[test]
fn a_part_without_progress_gives_its_room_to_another() {
    let folder = Folder::new("bounds-stalled");
    let args = ["--dir", &folder.str("inbox"), "--max-parts", "1MiB", "--min-rate", "0"];
    let listen = Listen::start(&args);
    let half = content(900_000, 1);
    let mut first = Peer::new(listen.connect());
    first.offer(1, 1, Some(1_000_000), "large");
    for (at, bytes) in half.chunks(50_000).enumerate() {
        first.write(&data(1, at as u64 * 50_000, bytes));
    }
    drop(first);
    listen.err.line("without a close");
    let mut idle = Peer::new(listen.connect());
    idle.offer(1, 1, Some(1_000_000), "large");
    idle.write(&frame(PING, b""));
    let slowly = content(5_000, 3);
    let mut slow = Peer::new(listen.connect());
    slow.offer(1, 3, Some(5_000), "slow");
    let begun = data(1, 0, &slowly);
    let step = begun.len().div_ceil(60);
    thread::scope(|scope| {
        scope.spawn(|| {
            for bytes in begun.chunks(step) {
                slow.write(bytes);
                thread::sleep(Duration::from_millis(200));
            }
        });
        thread::sleep(Duration::from_secs(10));
        let other = Peer::new(listen.connect()).send(1, 2, "other", &content(200_000, 2));
        assert_eq!(other, "stored");
    });
    listen.err.line("fewer than 2048 bytes came in 10s, and other files need");
    slow.write(&done(1, &slowly)).expect(&[(1, "stored")]);
}

/// A listener that has places for eight open files, and peers that have all of them.
#[cfg(target_os = "linux")]
fn with_all_places_taken(folder: &Folder, options: &[&str]) -> (Listen, Vec<Peer>) {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_unstick")]);
    limited.args(["listen", "127.0.0.1:0", "--dir", &folder.str("inbox")]).args(options);
    let listen = Listen::of(&mut limited);
    let peers = (1..=8).map(|n| {
        let mut peer = Peer::new(connect_from(&listen, [127, 0, 0, 9]));
        peer.offer(1, n, Some(100), &format!("taken-{n}"));
        peer
    });
    let peers = peers.collect();
    (listen, peers)
}

/// Hardly any bytes of a file are no progress of it.
#[cfg(target_os = "linux")]
#[test]
fn a_trickle_of_bytes_keeps_no_open_files_from_others() {
    let folder = Folder::new("bounds-trickled-data");
    let (listen, mut slow) = with_all_places_taken(&folder, &["--min-rate", "0"]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                for peer in &mut slow {
                    let _ = peer.stream.write_all(&data(1, at, b"x")); // it may be ended meanwhile
                }
                thread::sleep(Duration::from_secs(1));
            }
        });
        let began = Instant::now();
        let status = Peer::new(listen.connect()).send(1, 20, "file", b"content");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(status, "stored");
        assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
    });
    listen.err.line("fewer than 2048 bytes came in 10s, and other files need the room");
}

/// Bytes of a message are no progress of a file.
#[cfg(target_os = "linux")]
#[test]
fn a_slow_message_keeps_no_open_files_from_others() {
    let folder = Folder::new("bounds-trickle");
    let (listen, mut slow) = with_all_places_taken(&folder, &["--min-rate", "0"]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for byte in frame(TEXT, &[b'x'; 1000]) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                for peer in &mut slow {
                    let _ = peer.stream.write_all(&[byte]); // it may be ended meanwhile
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        let began = Instant::now();
        let mut peer = Peer::new(listen.connect());
        let status = peer.send(1, 20, "file", b"content");
        stop.store(true, Ordering::Relaxed);
        assert_eq!(status, "stored");
        assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
    });
    listen.err.line("fewer than 2048 bytes came in 10s, and other files need");
}

/// The memory of a peer that is gone is free, though its files are not stored yet.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_is_gone_keeps_no_memory_while_its_files_wait() {
    let folder = Folder::new("bounds-gone");
    let (listen, _taken) = with_all_places_taken(&folder, &["--max-memory", "64KiB"]);
    let mut gone = connect_from(&listen, [127, 0, 0, 8]);
    let file = [open(1, 20, Some(5), "file"), data(1, 0, b"bytes"), done(1, b"bytes")].concat();
    gone.write_all(&[&file[..], &frame(BINARY, &[7; 1 << 20])[..900_000]].concat()).unwrap();
    thread::sleep(Duration::from_millis(300));
    drop(gone);
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let all = [frame(BINARY, &[7; 200_000]), frame(CLOSE, b"")].concat();
    assert_eq!(close_code(&talk(&listen.connect(), &all)), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A peer that has closed and does not end does not keep the listener.
#[test]
fn finished_connections_do_not_delay_the_end() {
    for format in [&[][..], &["--format", "u32be", "--limit", "10"]] {
        let listen = Listen::start(format);
        let mut peer = listen.connect();
        let last = if format.is_empty() { frame(CLOSE, b"") } else { vec![0xff; 4] };
        peer.write_all(&last).unwrap();
        // What the listener says at its end of the connection.
        let mut byte = [0];
        while peer.read(&mut byte).is_ok_and(|n| n > 0) {}
        let began = Instant::now();
        listen.interrupt();
        assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
    }
}

/// A peer in the middle of its handshake does not keep the listener, nor does one that there is no TLS with.
#[test]
fn handshakes_do_not_delay_the_end() {
    for beginning in [&b"\x16\x03\x01"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let listen = Listen::start(&["--tls-self-signed"]);
        let mut peer = listen.connect();
        peer.write_all(beginning).unwrap();
        thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        listen.interrupt();
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    }
}

#[test]
fn a_flood_of_connections_does_not_fill_the_log() {
    let listen = Listen::start(&[]);
    for _ in 0..600 {
        let mut peer = listen.connect();
        peer.write_all(b"garbage!").unwrap();
        let _ = peer.shutdown(Shutdown::Write);
        let _ = peer.read_to_end(&mut Vec::new());
    }
    let mut peer = Peer::new(listen.connect());
    peer.write(&frame(TEXT, b"last"));
    listen.out.line("\"last\"");
    let lines = listen.err.so_far().lines().count();
    assert!((256..600).contains(&lines), "{lines}");
}

/// Messages that wait for a peer that does not read are a part of the memory of all.
#[test]
fn messages_that_wait_for_slow_peers_are_bounded() {
    for format in ["v1", "u32be"] {
        let args = ["--broadcast", "--limit", "4MiB", "--max-memory", "8MiB", "--format", format];
        let listen = Listen::start(&args);
        let large = vec![7; 4 << 20];
        let (first, message) = match format {
            "v1" => (frame(HELLO, &[0, 0x40, 0, 0]), frame(BINARY, &large)),
            _ => (vec![0, 0, 0, 1, b'x'], [&[0, 0x40, 0, 0][..], &large].concat()),
        };
        let mut slow = listen.connect();
        slow.write_all(&first).unwrap();
        listen.err.line("connected");
        thread::sleep(Duration::from_millis(300));
        let before = listen.peak_memory();
        let mut talks = listen.connect();
        for _ in 0..40 {
            talks.write_all(&message).unwrap();
        }
        listen.out.lines("  4194304  ", 40);
        let grown = listen.peak_memory() - before;
        assert!(grown < 80 << 20, "{format}: {} KiB", grown >> 10);
    }
}

/// Of a reason as long as a frame the log has the beginning.
#[test]
fn a_long_reason_does_not_fill_the_log() {
    let listen = Listen::start(&[]);
    let reason = "\u{1b}".repeat(60_000);
    let close = Close { code: Code(0x8001), reason: &reason };
    talk(&listen.connect(), &wire(&Message::Close(close)));
    listen.err.line("gave up: code 0x8001");
    assert!(listen.err.so_far().len() < 3000, "{}", listen.err.so_far().len());
}

/// A peer that takes the messages of others is not idle.
#[test]
fn a_peer_that_only_reads_what_others_say_keeps_its_place() {
    let args = ["--broadcast", "--max-connections", "2", "--first-timeout", "0.5"];
    let listen = Listen::start(&args);
    let mut reads = Peer::new(listen.connect());
    reads.write(&frame(TEXT, b"here"));
    listen.out.line("\"here\"");
    let mut says = Peer::new(listen.connect());
    let _new = listen.connect();
    listen.err.line("all 2 places are taken");
    for _ in 0..20 {
        says.write(&frame(TEXT, b"news"));
        assert_eq!(reads.next(), Some((TEXT, b"news".to_vec())));
        thread::sleep(Duration::from_millis(50));
    }
    assert!(!listen.err.so_far().contains("gave its place"), "{}", listen.err.so_far());
}

/// Frames larger than the memory for all, or that do not fit into it together, come one by one.
#[test]
fn a_frame_within_the_limit_is_taken_however_small_the_memory_is() {
    let args = ["--format", "u32be", "--limit", "8MiB", "--max-memory", "1MiB"];
    let listen = Listen::start(&[&args[..], &["--frame-timeout", "10"]].concat());
    let frame = [&(5_u32 << 20).to_be_bytes()[..], &vec![b'x'; 5 << 20]].concat();
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| talk(&listen.connect(), &frame));
        }
    });
    listen.out.lines(" 5242880  ", 3);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_peer_that_sends_no_first_frame_is_ended() {
    let v1 = |text: &[u8]| frame(TEXT, text);
    let plain = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat();
    type Framed = dyn Fn(&[u8]) -> Vec<u8>;
    for (format, framed) in [("v1", &v1 as &Framed), ("u32be", &plain)] {
        let listen = Listen::start(&["--format", format, "--first-timeout", "0.5"]);
        let mut late = listen.connect();
        late.write_all(&framed(b"hi")).unwrap();
        listen.out.line("\"hi\"");
        let silent = listen.connect();
        let mut half = listen.connect();
        half.write_all(b"\xf5").unwrap();
        for peer in [&silent, &half] {
            let peer = peer.local_addr().unwrap();
            let line =
                listen.err.line(&format!("unstick: {peer}: byte 0: no frame came within 500ms"));
            assert!(line.contains("--first-timeout"), "{line}");
        }
        // The one that has sent something stays.
        late.write_all(&framed(b"late")).unwrap();
        listen.out.line("\"late\"");
    }
}

/// When all places are taken, a peer that sends signs of life and nothing else gives its place to a new one,
/// and a peer that sends messages keeps its own.
#[test]
fn the_peer_that_is_idle_longest_gives_its_place_to_a_new_one() {
    let folder = Folder::new("bounds-places");
    let inbox = folder.str("inbox");
    let plain = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_le_bytes(), text].concat();
    let item = plain(br#"{"msg_type":"msg"}"#);
    let half = [open(1, 1, Some(100), "file"), data(1, 0, b"half")].concat();
    let ping = frame(PING, b"");
    let cancelled = |id| {
        let cancel = FileCancel { id, code: Code(0x130), reason: "" };
        [open(id, 1, Some(100), "file"), message(Message::FileCancel(cancel))].concat()
    };
    type Sign<'a> = &'a (dyn Fn(u32) -> Vec<u8> + Sync);
    let v1: &[&str] = &["--min-rate", "0"];
    // What the peer sends first, and then all the time.
    let cases: [(&[&str], Vec<u8>, Sign<'_>); 4] = [
        (v1, frame(HELLO, b"\0\x10\0\0"), &|_| vec![]),
        (v1, half, &|_| ping.clone()),
        (v1, ping.clone(), &cancelled),
        (&["--format", "i32le"], item.clone(), &|_| vec![]),
    ];
    for (args, first, sign) in cases {
        let rules = ["--dir", &inbox, "--max-connections", "2", "--first-timeout", "0.4"];
        let listen = Listen::start(&[&rules[..], args].concat());
        let text = |text: &[u8]| match args == v1 {
            true => frame(TEXT, text),
            false => [&item[..], &plain(text)].concat(),
        };
        let (mut idle, mut busy) = (listen.connect(), listen.connect());
        let peer = idle.local_addr().unwrap();
        idle.write_all(&first).unwrap();
        busy.write_all(&text(b"busy")).unwrap();
        listen.out.line("\"busy\"");
        let mut new = listen.connect();
        new.write_all(&text(b"new")).unwrap();
        let began = Instant::now();
        for id in 2.. {
            if listen.err.so_far().contains("gave its place") {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(5), "{}", listen.err.so_far());
            idle.write_all(&sign(id)).unwrap();
            busy.write_all(&text(b"busy")).unwrap();
            thread::sleep(Duration::from_millis(40));
        }
        listen.out.line("\"new\"");
        busy.write_all(&text(b"still there")).unwrap();
        listen.out.line("\"still there\"");
        let why = "gave its place to a new peer, having sent no message and no byte of a file for ";
        listen.err.line(&format!("unstick: {peer}: {why}"));
        if args == v1 {
            assert_eq!(close_code(&read_frames(&mut idle)), Some(Code::SHUTTING_DOWN.0));
        }
    }
}

/// What a peer can cause again and again without an end of its connection is counted, and logged a few times
/// a second.
#[test]
fn a_peer_cannot_fill_the_log() {
    let folder = Folder::new("bounds-log");
    let inbox = folder.str("inbox");
    let plain = |text: &[u8]| [&u32::try_from(text.len()).unwrap().to_le_bytes(), text].concat();
    let bad_name = plain(br#"{"msg_type":"file","file_name":"../up"}"#);
    let text = plain(br#"{"msg_type":"msg"}"#);
    type Cause<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let cases: [(&[&str], Cause<'_>, &str); 5] = [
        (&["--format", "u32le"], &|_| plain(&[b'x'; 101]), "the limit is 100; skipped"),
        (&["--format", "lines"], &|_| [&[b'x'; 101][..], b"\n"].concat(), "; skipped"),
        (
            &["--format", "i32le", "--dir", &inbox],
            &|_| [&bad_name[..], &plain(b"x")].concat(),
            "bad-name",
        ),
        (
            &["--format", "i32le", "--dir", &inbox],
            &|_| [&text[..], &plain(&[b'x'; 101])].concat(),
            "the limit is 100; skipped",
        ),
        (&[], &|id| open(id, 1, Some(1), "file"), "is not stored: not-accepted"),
    ];
    for (args, cause, why) in cases {
        for json in [&[][..], &["--json"]] {
            let rules = ["--limit", "100", "--skip-oversize"];
            let listen = Listen::start(&[&rules[..], args, json].concat());
            let all: Vec<u8> = (1..=500).flat_map(cause).collect();
            talk(&listen.connect(), &all);
            let told = listen.err.line("more errors of files and frames not shown");
            let lines = listen.err.so_far().lines().filter(|line| line.contains(why)).count();
            assert!((8..30).contains(&lines), "{lines}");
            let more: usize = told.split(' ').nth(2).unwrap().parse().unwrap();
            assert!(more > 450, "{told}");
            let events = listen.interrupt().stdout;
            assert!(events.matches("\"event\":\"error\"").count() < 30, "{events}");
        }
    }
}

// spec: CNV-21
#[test]
fn a_quiet_side_is_heard_of_every_20_seconds() {
    let ping = frame(PING, b"\0");
    let listen = Listen::start(&[]);
    let mut peer = listen.connect();
    peer.write_all(&frame(TEXT, b"hi")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let mut sending = unstick()
        .args(["send", &addr])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let began = Instant::now();
    read_up_to(&mut peer, &ping);
    accepted.set_read_timeout(Some(TIMEOUT)).unwrap();
    read_up_to(&mut accepted, &ping);
    assert!(began.elapsed() < Duration::from_secs(21), "{:?}", began.elapsed());
    sending.kill().unwrap();
    sending.wait().unwrap();
}

/// Serves one connection with a peer that gets every file and answers nothing, but sends `sign` all the
/// time after a frame of the kind `after`.
fn signs(sign: Vec<u8>, after: u8) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let mut peer = Peer::new(listener.accept().unwrap().0);
        while peer.next().is_some_and(|(kind, _)| kind != after) {}
        while peer.stream.write_all(&sign).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    (addr, served)
}

/// A sender that is told to go on, and only pings, does not keep the part in use for ever.
#[test]
fn a_sender_that_does_not_go_on_after_ready_is_refused() {
    let folder = Folder::new("bounds-ready");
    let listen = Listen::start(&["--dir", &folder.str("inbox"), "--first-timeout", "1"]);
    let mut peer = Peer::new(listen.connect());
    peer.offer(1, 1, Some(5), "file");
    peer.write(&data(1, 0, b"by")).write(&wire(&Message::Close(Close::ORDINARY)));
    peer.close_after();
    let mut peer = Peer::new(listen.connect());
    let (held, _) = peer.offer(1, 1, Some(5), "file");
    assert_eq!(held, 2);
    let began = Instant::now();
    let (id, status, kept) = loop {
        peer.write(&wire(&Message::Ping(b"p")));
        let (kind, payload) = peer.next().unwrap();
        if let Ok(Message::FileStatus(status)) = Message::decode(Kind::new(kind).unwrap(), &payload)
        {
            break (status.id, status.code.to_string(), status.offset);
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((id, status.as_str(), kept), (1, "too-slow", 2), "{:?}", began.elapsed());
    // What was held is held still, and free for another try.
    let mut another = Peer::new(listen.connect());
    let (held, _) = another.offer(1, 1, Some(5), "file");
    assert_eq!(held, 2);
    another.write(&data(1, 2, b"tes")).write(&done(1, b"bytes")).expect(&[(1, "stored")]);
    another.close();
}

#[test]
fn signs_of_life_do_not_keep_a_sender_waiting_for_ever() {
    let folder = Folder::new("bounds-signs");
    let file = folder.write("file", b"bytes");
    let working = Message::FileStatus(FileStatus::new(1, Code(0x0111)));
    let ready = Message::FileStatus(FileStatus::ready(1, 0, Digest([0; 32])));
    let cases: [(&[&str], Vec<u8>, &str); 6] = [
        // More messages than were sent are no answers.
        (&["--text", "hi"], wire(&Message::Text("more")), "did not close within 500ms"),
        (&[&file], wire(&Message::Text("more")), "said nothing new about a file for 500ms"),
        (&["--text", "hi", "--expect-reply"], wire(&Message::Ping(b"p")), "no answer within 500ms"),
        (&["--text", "hi"], wire(&Message::Ping(b"p")), "did not close within 500ms"),
        (&[&file], wire(&Message::Ping(b"p")), "said nothing new about a file for 500ms"),
        (&[&file], wire(&working), "said nothing new about a file for 500ms"),
    ];
    for (args, sign, why) in cases {
        let is_file = args[0] == file;
        let (addr, served) = signs(sign, if is_file { FILE_OPEN } else { TEXT });
        let began = Instant::now();
        let done = run(&[&["send", &addr, "--timeout", "0.5"], args].concat(), b"");
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains(why), "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        served.join().unwrap();
    }
    // A receiver that works for no longer than the file may need is waited for.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let mut peer = Peer::new(listener.accept().unwrap().0);
        while peer.next().is_some_and(|(kind, _)| kind != FILE_OPEN) {}
        peer.write(&wire(&ready));
        while peer.next().is_some_and(|(kind, _)| kind != FILE_DONE) {}
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(200));
            peer.write(&wire(&working));
        }
        let stored =
            FileStatus { offset: 5, digest: digest(b"bytes"), ..FileStatus::new(1, Code::STORED) };
        peer.write(&wire(&Message::FileStatus(stored)));
        peer.close_after();
    });
    let done = run(&["send", &addr, "--timeout", "0.5", &file], b"");
    assert_eq!(done.code, 0, "{done:?}");
    served.join().unwrap();
}

/// A line of 400 kB a second, which takes eight seconds for what is sent.
#[test]
#[cfg(target_os = "linux")]
fn a_slow_line_is_not_given_up_while_it_goes_on() {
    let lines = format!("{}\n", "x".repeat(32_000)).repeat(100);
    for format in ["v1", "u32be"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // So that the system does not take all of it for the peer.
        sockopt::set_socket_recv_buffer_size(&listener, 16 << 10).unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let slow = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut chunk, mut all) = ([0; 20_000], 0);
            while let n @ 1.. = stream.read(&mut chunk).unwrap() {
                all += n;
                thread::sleep(Duration::from_millis(50));
                if format == "v1" && all > 3_200_000 && n < chunk.len() {
                    let _ = stream.write_all(&frame(CLOSE, b""));
                }
            }
            all
        });
        let began = Instant::now();
        let done = run(&["send", &addr, "--format", format, "--timeout", "2"], lines.as_bytes());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{format}");
        assert!(slow.join().unwrap() > 3_200_000);
        assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

/// A peer that sends messages that nothing asked for, and takes nothing, is given up.
#[test]
#[cfg(target_os = "linux")]
fn messages_of_a_peer_that_takes_nothing_are_no_progress() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    sockopt::set_socket_recv_buffer_size(&listener, 4 << 10).unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let talks = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b"\0\0\0\x01x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    // One message, which is too long for the buffers of the system.
    let message = vec![b'y'; 30 << 20];
    let args = ["send", &addr, "--format", "u32be", "--limit", "32MiB", "--timeout", "0.5"];
    let began = Instant::now();
    run(&args, &message).fails(1, "took nothing for 500ms");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    talks.join().unwrap();
}
