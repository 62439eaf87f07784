//! `unstick inspect` with captures of packets, which the tests write.

use etherparse::{IpNumber, PacketBuilder};

use crate::captures::{Flag, RAW, Tape, linked};
use crate::support::*;

fn inspect(args: &[&str], bytes: &[u8]) -> Done {
    run(&[&["inspect"], args].concat(), bytes)
}

fn texts(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect()
}

/// Two connections: in the first one both sides send.
fn two() -> Tape {
    let mut tape = Tape::default();
    let (one, two) = (texts(&["one"]), texts(&["two", "three"]));
    let answer = texts(&["answer"]);
    tape.connection(
        50_001,
        &[&one[..4], &[&one[4..], &two[..]].concat()],
        &[&answer[..9], &answer[9..]],
    );
    tape.connection(50_002, &[&texts(&["other"])], &[]);
    tape
}

fn only() -> Tape {
    let mut tape = two();
    tape.packets.truncate(8);
    tape
}

const ONLY: &str = "        time  flow  sent by      offset       payload  kind         content
    0.004000     1  client            0             3  text         \"one\"
    0.004000     1  client           11             3  text         \"two\"
    0.004000     1  client           22             5  text         \"three\"
    0.005000     1  server            0             6  text         \"answer\"
flow 1: client 10.0.0.1:50001 sent 35 bytes in 3 frames, server 10.0.0.2:7000 sent 14 bytes in 1 frame; closed
8 packets, 1 flow, 4 whole frames, 49 bytes read
";

#[test]
fn the_only_connection_of_a_capture_is_followed_in_both_directions() {
    let file = path("only.pcap");
    std::fs::write(&file, only().pcap()).unwrap();
    inspect(&[file.to_str().unwrap()], b"").succeeds(ONLY);
    std::fs::remove_file(file).unwrap();
    for (little, nanos) in [(false, false), (false, true), (true, true), (true, false)] {
        inspect(&[], &only().pcap_as(little, nanos, RAW, usize::MAX)).succeeds(ONLY);
    }
}

#[test]
fn links_of_all_kinds_have_the_same_packets() {
    for link in [0, 1, 12, 101, 108, 113, 228, 276] {
        inspect(&["-"], &only().pcap_as(true, false, link, usize::MAX)).succeeds(ONLY);
    }
    let mut tagged = only();
    for (_, packet) in &mut tagged.packets {
        *packet = linked(10_001, packet);
    }
    // The packets have the header of the link already.
    let mut file = tagged.pcap();
    file[20] = 1;
    inspect(&[], &file).succeeds(ONLY);
    file[20] = 127;
    let done = inspect(&[], &file);
    done.fails(
        1,
        "8 packets left out: inspect does not read link type 127 (Wi-Fi in monitor mode)",
    );
}

#[test]
fn extension_headers_of_ipv6_are_skipped() {
    let mut tape = Tape::default();
    let bytes = texts(&["over IPv6"]);
    let ip = PacketBuilder::ipv6([0x20; 16], [0x21; 16], 64);
    let mut packet = Vec::new();
    ip.tcp(50_001, 7000, 100, 1000).write(&mut packet, &bytes).unwrap();
    // Options for each hop, and for the destination.
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    packet.splice(40..40, [options(60), options(6)].concat());
    (packet[5], packet[6]) = (packet[5] + 16, 0);
    tape.packets.push((0, packet.clone()));
    let done = inspect(&[], &tape.pcap());
    assert_eq!(
        (done.code, rows(&done)),
        (0, vec!["client 0 9 text \"over IPv6\"".to_owned()]),
        "{done:?}"
    );
    assert!(done.stdout.contains("client [2020:2020:"), "{done:?}");
    // The first fragment of several.
    packet[40] = 44;
    packet[48..56].copy_from_slice(&[6, 0, 0, 1, 0, 0, 0, 1]);
    tape.packets[0].1 = packet;
    inspect(&[], &tape.pcap()).fails(1, "1 packet left out: fragments of IP");
}

#[test]
fn a_pcapng_file_has_sections_and_interfaces_of_their_own() {
    let mut parts = [only(), only()];
    parts[0].packets.truncate(4);
    parts[1].packets.drain(..4);
    let file = [parts[0].pcapng(true), parts[1].pcapng(false)].concat();
    let done = inspect(&[], &file);
    assert_eq!(done.code, 0, "{done:?}");
    // The second interface has a coarser clock.
    let plain = |text: &str| text.lines().map(|line| line[12..].to_owned()).collect::<Vec<_>>();
    let rows = |text: &str| plain(text.split_once("flow 1:").unwrap().0);
    assert_eq!(rows(&done.stdout), rows(ONLY), "{done:?}");
    let times: Vec<_> = events(&inspect(&["--json"], &file))
        .iter()
        .filter_map(|event| event["time"].as_str().map(str::to_owned))
        .collect();
    for (time, expected) in times.iter().zip([4, 4, 4, 5]) {
        let millis = time.strip_prefix("2025-07-24T18:00:00.").unwrap().get(..3).unwrap();
        assert!(millis.parse::<i32>().unwrap().abs_diff(expected) < 2, "{times:?}");
    }
}

#[test]
fn several_connections_are_listed() {
    let list = "flow 1: client 10.0.0.1:50001 sent 35 bytes in 3 frames, server 10.0.0.2:7000 sent 14 bytes in 1 frame; closed
flow 2: client 10.0.0.1:50002 sent 13 bytes in 1 frame, server 10.0.0.2:7000 sent 0 bytes in 0 frames; closed
13 packets, 2 flows, 5 whole frames, 62 bytes read
see the frames of a flow with --flow N, or of all with --flow all
";
    inspect(&[], &two().pcap()).succeeds(list);
    // A list says which connections are of another format.
    let done = inspect(&["--format", "http1"], &two().pcap());
    assert_eq!((done.code, done.stdout.matches("; closed; 1 error\n").count()), (0, 1), "{done:?}");
    let done = inspect(&["--flow", "2"], &two().pcap());
    let rows: Vec<_> = done.stdout.lines().collect();
    assert_eq!((done.code, rows.len()), (0, 4), "{done:?}");
    let row = "    0.010000     2  client            0             5  text         \"other\"";
    assert_eq!(rows[1], row);
    let all = inspect(&["--flow", "all"], &two().pcap());
    assert_eq!((all.code, all.stdout.lines().count()), (0, 1 + 5 + 3), "{all:?}");
    inspect(&["--flow", "3"], &two().pcap())
        .fails(1, "there is no flow 3; the capture has 2 flows");
    inspect(&["--flow", "1"], b"").fails(2, "standard input is no capture of packets");
    inspect(&["--flow", "0"], b"").fails(2, "the number of a flow, from 1, or `all`");
}

#[test]
fn json_has_flow_direction_and_time() {
    let all = events(&inspect(&["--json", "--flow", "all"], &two().pcap()));
    let names: Vec<_> = all.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["frame", "frame", "frame", "frame", "frame", "flow", "flow", "end"]);
    let of = |i: usize, name: &str| all[i][name].clone();
    assert_eq!((of(0, "flow"), of(0, "dir")), (1.into(), "to-server".into()));
    assert_eq!(
        (of(3, "flow"), of(3, "dir"), of(3, "text")),
        (1.into(), "to-client".into(), "answer".into())
    );
    assert_eq!(of(0, "time"), "2025-07-24T18:00:00.004000000Z");
    assert_eq!(
        (&all[5]["client"], &all[5]["bytes"]["server"]),
        (&"10.0.0.1:50001".into(), &14.into())
    );
    assert_eq!((&all[6]["frames"]["client"], &all[6]["end"]), (&1.into(), &"closed".into()));
    let listed = events(&inspect(&["--json"], &two().pcap()));
    assert_eq!((listed.len(), &listed[2]["frames"]), (3, &5.into()));
}

/// The rows of a connection without times.
fn rows(done: &Done) -> Vec<String> {
    let rows = done
        .stdout
        .lines()
        .filter(|line| line.contains("  client  ") || line.contains("  server  "));
    rows.map(|line| line[20..].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn segments_that_come_again_in_another_order_or_overlap_change_nothing() {
    let bytes = texts(&["first", "second", "third", "fourth"]);
    let expected = [
        "client 0 5 text \"first\"",
        "client 13 6 text \"second\"",
        "client 27 5 text \"third\"",
        "client 40 6 text \"fourth\"",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let mut tape = Tape::default();
        tape.tcp(50_001, true, 0, Flag::Syn, b"");
        let mut parts: Vec<(usize, usize)> =
            (0..bytes.len()).step_by(5).map(|at| (at, 5)).collect();
        for _ in 0..10 {
            parts.push((random.usize(..bytes.len()), random.usize(1..20)));
        }
        random.shuffle(&mut parts);
        for (at, len) in parts {
            let part = &bytes[at..(at + len).min(bytes.len())];
            tape.tcp(50_001, true, u32::try_from(at).unwrap() + 1, Flag::Data, part);
        }
        let done = inspect(&[], &tape.pcap());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        assert_eq!(rows(&done), expected, "{done:?}");
        assert!(done.stdout.contains(" sent again\n"), "{done:?}");
    }
}

/// A connection that lacks bytes `from..to` of the client's.
fn lossy(bytes: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut tape = Tape::default();
    tape.tcp(50_001, true, 0, Flag::Syn, b"");
    tape.tcp(50_001, true, 1, Flag::Data, &bytes[..from]);
    tape.tcp(50_001, true, u32::try_from(to).unwrap() + 1, Flag::Data, &bytes[to..]);
    tape.tcp(50_001, true, u32::try_from(bytes.len()).unwrap() + 1, Flag::Fin, b"");
    tape.pcap()
}

#[test]
fn after_a_gap_the_next_header_is_searched() {
    let bytes = texts(&["first", "second", "third", "fourth"]);
    let done = inspect(&[], &lossy(&bytes, 9, 16));
    let lines: Vec<_> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert_eq!(
        lines[0],
        "unstick: flow 1, from the client: byte 9: 7 bytes are missing in the capture; searching for \
         the next header"
    );
    assert!(
        lines[1].contains("byte 27: going on with a text frame with 5 bytes of payload, 11 bytes skipped from byte 16"),
        "{done:?}"
    );
    let expected = [
        "client 0 5 text (incomplete: 1 of 5) \"f\"…",
        "client 27 5 text \"third\"",
        "client 40 6 text \"fourth\"",
    ];
    assert_eq!((done.code, rows(&done)), (1, expected.map(str::to_owned).to_vec()), "{done:?}");
    assert!(
        done.stdout.contains("; closed by the client only, 7 bytes missing; 1 error\n"),
        "{done:?}"
    );
    let gap = &events(&inspect(&["--json"], &lossy(&bytes, 9, 16)))[0];
    assert_eq!((&gap["event"], &gap["at"], &gap["len"]), (&"gap".into(), &9.into(), &7.into()));
    let netstrings = b"5:first,6:second,5:third,";
    let done = inspect(&["--format", "netstring"], &lossy(netstrings, 4, 10));
    assert_eq!(rows(&done).last().unwrap(), "client 17 5 \"third\"", "{done:?}");
    let done = inspect(&["--format", "lines"], &lossy(b"one\ntwo\nthree\nfour\n", 2, 9));
    let expected = ["client 0 2 (incomplete) \"on\"", "client 14 4 \"four\""];
    assert_eq!(rows(&done), expected, "{done:?}");
}

#[test]
fn a_gap_inside_of_an_announced_payload_costs_its_bytes_only() {
    let bytes = texts(&["the first", "second"]);
    let done = inspect(&[], &lossy(&bytes, 10, 14));
    done.fails(
        1,
        "byte 10: 4 bytes are missing in the capture, in the payload of the frame at byte 0",
    );
    let expected = [
        r#"client 0 9 text (4 missing, shown as 0) "th\u{0}\u{0}\u{0}\u{0}rst""#,
        "client 17 6 text \"second\"",
    ];
    assert_eq!(rows(&done), expected, "{done:?}");
    let arrived = &events(&inspect(&["--json"], &lossy(&bytes, 10, 14)))[1]["arrived"];
    assert_eq!(*arrived, 5);
}

#[test]
fn a_gap_ends_a_direction_whose_frames_cannot_be_found_again() {
    let bytes = b"\0\x05first\0\x06second\0\x05third";
    let done = inspect(&["--format", "u16be"], &lossy(bytes, 4, 12));
    done.fails(
        1,
        "byte 4: 8 bytes are missing in the capture; in this format the place of the next frame",
    );
    assert_eq!(rows(&done), ["client 0 5 (incomplete: 2 of 5) \"fi\"…"]);
}

#[test]
fn a_gap_that_the_peer_has_acknowledged_is_not_waited_for() {
    let mut tape = Tape::default();
    tape.tcp(50_001, true, 0, Flag::Syn, b"");
    let mut bytes = Vec::new();
    for _ in 0..2_000 {
        bytes.extend(frame(TEXT, &[b'x'; 1000]));
    }
    // Without acknowledgements the bytes after the gap are kept up to a limit.
    for (i, part) in bytes.chunks(1008).enumerate().filter(|(i, _)| *i != 1) {
        tape.tcp(50_001, true, u32::try_from(i * 1008).unwrap() + 1, Flag::Data, part);
    }
    let done = inspect(&[], &tape.pcap());
    assert_eq!(rows(&done).len(), 1_999, "{}", done.stderr);
    assert!(done.stderr.contains("byte 1008: 1008 bytes are missing"), "{}", done.stderr);
}

#[test]
fn a_capture_that_begins_within_a_connection_is_searched_for_a_frame() {
    let mut tape = Tape::default();
    let bytes = texts(&["first", "second"]);
    tape.tcp(50_001, true, 4, Flag::Data, &bytes[3..]);
    let done = inspect(&[], &tape.pcap());
    assert_eq!(rows(&done), ["client 10 6 text \"second\""], "{done:?}");
    assert!(done.stdout.contains("the beginning is not in the capture"), "{done:?}");
    // The lower port is the server's.
    let mut tape = Tape::default();
    tape.tcp(50_001, false, 1, Flag::Data, &bytes);
    assert_eq!(rows(&inspect(&[], &tape.pcap()))[0], "server 0 5 text \"first\"");
}

#[test]
fn a_port_that_is_used_again_begins_another_connection() {
    let mut tape = Tape::default();
    tape.connection(50_001, &[&texts(&["one"])], &[]);
    tape.connection(50_001, &[&texts(&["two"])], &[]);
    let done = inspect(&["--flow", "all"], &tape.pcap());
    assert_eq!(rows(&done), ["client 0 3 text \"one\"", "client 0 3 text \"two\""], "{done:?}");
    let mut tape = Tape::default();
    tape.tcp(50_001, true, 0, Flag::Syn, b"");
    tape.tcp(50_001, true, 1, Flag::Data, &texts(&["one"])[..9]);
    tape.tcp(50_001, false, 1, Flag::Rst, b"");
    let done = inspect(&[], &tape.pcap());
    assert!(done.stdout.contains("; reset by the server"), "{done:?}");
    done.fails(1, "byte 9: the stream ended inside a payload");
}

#[test]
fn datagrams_are_frames_of_their_own() {
    let mut tape = Tape::default();
    tape.udp(true, &frame(TEXT, b"one"));
    tape.udp(false, &frame(TEXT, b"two"));
    tape.udp(true, &frame(TEXT, b"three"));
    let done = inspect(&[], &tape.pcap());
    assert_eq!(
        rows(&done),
        ["client 0 3 text \"one\"", "server 0 3 text \"two\"", "client 0 5 text \"three\""]
    );
    assert!(done.stdout.contains("flow 1, UDP: client 10.0.0.3:40000 "), "{done:?}");
}

#[test]
fn what_is_no_whole_packet_is_reported() {
    let mut tape = only();
    // A fragment: more come.
    tape.packets[2].1[6] = 0x20;
    let done = inspect(&["--flow", "1"], &tape.pcap());
    assert!(done.stderr.contains("1 packet left out: fragments of IP"), "{done:?}");
    assert!(done.stderr.contains("byte 0: 4 bytes are missing"), "{done:?}");
    let mut tape = only();
    let mut ping = Vec::new();
    let icmp = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    icmp.write(&mut ping, IpNumber::IGMP, b"ping").unwrap();
    tape.packets.push((tape.packets[7].0, ping));
    tape.packets.push((tape.packets[7].0, vec![0x45, 0]));
    let done = inspect(&[], &tape.pcap());
    assert!(
        done.stderr.contains("1 packet left out: the headers are cut off or damaged"),
        "{done:?}"
    );
    assert_eq!((done.code, rows(&done).len()), (1, 4), "{done:?}");
    // A snap length that cuts the payload off after 11 bytes.
    let done = inspect(&[], &only().pcap_as(true, false, RAW, 51));
    assert!(done.stderr.contains("byte 15: 20 bytes are missing"), "{done:?}");
    assert_eq!(rows(&done)[0], "client 0 3 text \"one\"");
}

#[test]
fn a_capture_that_is_cut_or_damaged_says_where() {
    let file = only().pcap();
    let done = inspect(&[], &file[..file.len() - 5]);
    done.fails(1, "of the capture: the capture ends inside a packet");
    assert_eq!(rows(&done).len(), 4, "{done:?}");
    let mut damaged = file.clone();
    damaged[24 + 8..24 + 12].fill(0xff);
    inspect(&[], &damaged).fails(1, "byte 24 of the capture: a packet of 4294967295 bytes");
    inspect(&[], &file[..10]).fails(1, "the capture ends inside the file's header");
    let section = only().pcapng(true);
    inspect(&[], &section[..section.len() - 2]).fails(1, "the capture ends inside a block");
    let mut damaged = section;
    damaged[28 + 4] = 2;
    inspect(&[], &damaged).fails(1, "byte 28 of the capture: a block of ");
}

#[test]
fn compressed_files_and_other_captures_are_named() {
    for (bytes, what) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], "this is a gzip file"),
        (b"\x28\xb5\x2f\xfd\0", "this is a zstd file"),
        (b"PK\x03\x04\x14", "this is a zip file"),
        (b"snoop\0\0\0\0\0\0\x02", "this is a capture of snoop"),
    ] {
        let done = inspect(&["--format", "u8"], bytes);
        done.fails(1, what);
        let done = inspect(&["--format", "u8", "--bytes", "--limit", "1"], bytes);
        assert!(!done.stderr.contains("this is"), "{done:?}");
    }
    let done = inspect(&["--bytes"], &only().pcap());
    assert!(done.stderr.contains("a frame starts with 0xf5, found 0xd4"), "{done:?}");
}

#[test]
fn the_capture_of_the_demo_is_read() {
    let file = path("demo.pcap");
    let name = file.to_str().unwrap();
    assert_eq!(run(&["demo", "--messages", "5", "--pcap", name], b"").code, 0);
    let done = inspect(&[name, "--flow", "1"], b"");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.stdout.contains("5 whole frames"), "{done:?}");
    // The relay of datagrams may damage some.
    let done = inspect(&[name], b"");
    assert!(done.stdout.contains("\nflow 2, UDP: client "), "{done:?}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn each_side_of_postgres_has_its_own_names() {
    let client = b"Q\0\0\0\x0dselect 1\0D\0\0\0\x06S\0";
    let server = b"D\0\0\0\x0b\0\x01\0\0\0\x011Z\0\0\0\x05I";
    let mut tape = Tape::default();
    tape.connection(50_001, &[client], &[server]);
    let done = inspect(&["--format", "postgres"], &tape.pcap());
    let names: Vec<_> =
        rows(&done).iter().map(|row| row.split(' ').nth(3).unwrap().to_owned()).collect();
    assert_eq!(names, ["Query", "Describe", "DataRow", "ReadyForQuery"], "{done:?}");
    let done =
        inspect(&["--format", "postgres", "--kind", "Query", "--kind", "datarow"], &tape.pcap());
    assert_eq!(rows(&done).len(), 2, "{done:?}");
    let done = inspect(&["--kind", "0x01"], &[frame(TEXT, b"a"), frame(BINARY, b"b")].concat());
    assert!(done.stdout.contains("text") && !done.stdout.contains("binary"), "{done:?}");
    assert!(done.stdout.ends_with("2 whole frames, 18 bytes read\n"), "{done:?}");
    inspect(&["--kind", "tekst"], b"").fails(2, "--kind tekst: give ");
}

#[test]
fn a_hexdump_shows_each_payload() {
    let done = inspect(&["--hexdump"], &frame(TEXT, b"seventeen letters"));
    let expected = "
    00000000  73 65 76 65 6e 74 65 65  6e 20 6c 65 74 74 65 72  |seventeen letter|
    00000010  73                                                |s|
1 whole frame";
    assert!(done.stdout.contains(expected), "{done:?}");
    assert!(!done.stdout.contains('\x1b'), "{done:?}");
    let long = frame(BINARY, &vec![0xff; 70_000]);
    assert!(inspect(&["--hexdump"], &long).stdout.contains("\n    … 4464 more\n"));
}

#[test]
fn a_list_names_the_format_that_a_connection_looks_like() {
    let mut tape = two();
    let http = b"GET / HTTP/1.1\r\n\r\n";
    tape.connection(50_003, &[http], &[b"HTTP/1.1 204 No Content\r\n\r\n"]);
    tape.connection(50_004, &[b"*1\r\n$4\r\nPING\r\n"], &[b"+PONG\r\n"]);
    tape.connection(50_005, &[b"something"], &[]);
    let done = inspect(&[], &tape.pcap());
    let ends: Vec<_> =
        done.stdout.lines().filter_map(|line| line.split("; closed").nth(1)).collect();
    let expected =
        ["", "", "; 2 errors (looks like http1)", "; 2 errors (looks like resp)", "; 1 error"];
    assert_eq!((done.code, &ends[..]), (0, &expected[..]), "{done:?}");
}
