//! `--format` with a check after each payload: `send` and `listen` with each other and with raw bytes,
//! and `inspect`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use unstick::{Framing, Kind, V2};
use unstick_cookbook::ubx;

use crate::support::*;

/// Every such format, the header that `send` needs, and a frame.
const FRAMES: [(&str, Option<&str>, &[u8]); 8] = [
    ("v2", None, b"\xf5\x02\x01\0\0\0\x04\xecabcd\xb6\x3f\xd2\x9f"),
    ("netstring", None, b"4:abcd,"),
    ("chunked", None, b"4\r\nabcd\r\n"),
    ("resp", Some("24300d0a"), b"$4\r\nabcd\r\n"),
    ("ubx", Some("b56206010000"), b"\xb5\x62\x06\x01\x04\0abcd\x95\x23"),
    ("mavlink", Some("fe0009010200"), b"\xfe\x04\x09\x01\x02\0abcd\xc0\x58"),
    ("modbus-rtu-request", Some("1103"), b"\x11\x03abcd\xd0\x63"),
    ("modbus-rtu-response", Some("110300"), b"\x11\x03\x04abcd\x7c\xcb"),
];

/// Returns what `send` writes.
fn sent(args: &[&str], stdin: &[u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).unwrap();
        sent
    });
    run(&[&["send", &addr], args].concat(), stdin).succeeds("");
    served.join().unwrap()
}

/// Returns the option with the header, if the format needs one.
fn with_header(header: Option<&'static str>) -> Vec<&'static str> {
    header.iter().flat_map(|header| ["--header", header]).collect()
}

/// Encodes frames of UBX with these payloads.
fn ubx_frames(payloads: &[&[u8]]) -> Vec<u8> {
    let mut stream = Vec::new();
    for payload in payloads {
        ubx::framing().encode(ubx::Meta { class: 4, id: 2 }, payload, &mut stream).unwrap();
    }
    stream
}

#[test]
fn a_sender_writes_the_header_and_the_check() {
    for (format, header, bytes) in FRAMES {
        let args = [&["--format", format, "--text", "abcd"], &with_header(header)[..]].concat();
        assert_eq!(sent(&args, b""), bytes, "{format}");
    }
    // The library's own type writes the same.
    let mut frame = Vec::new();
    Framing::new(V2).encode(Kind::new(0x41).unwrap(), b"line", &mut frame).unwrap();
    assert_eq!(sent(&["--format", "v2", "--kind", "0x41"], b"line\n"), frame);
    let binary = sent(&["--format", "v2"], b"\xff\n");
    assert_eq!((&binary[..3], &binary[8..9]), (&b"\xf5\x02\x02"[..], &b"\xff"[..]));
}

#[test]
fn messages_are_exchanged_in_every_format() {
    for (format, header, bytes) in FRAMES {
        let listen = Listen::start(&["--format", format, "--reply", "upper", "--json"]);
        let args = ["send", &listen.addr, "--format", format, "--expect-reply"];
        let args = [&args[..], &with_header(header)].concat();
        run(&[&args[..], &["--text", "abcd", "--text", "E_gh"]].concat(), b"")
            .succeeds("ABCD\nE_GH\n");
        run(&args, b"1234\r\nxyz!").succeeds("1234\nXYZ!\n");
        listen.out.lines("\"event\":\"ended\"", 2);
        let out = listen.out.so_far();
        let second = format!(r#""at":{},"#, bytes.len());
        assert!(out.contains(&second), "{format}: {out}");
        assert_eq!(out.matches(r#""clean":true"#).count(), 2, "{format}: {out}");
        assert_eq!(out.matches(r#""kind":"text""#).count(), if format == "v2" { 4 } else { 0 });
        assert_eq!(out.matches(r#""header":"#).count(), if header.is_some() { 4 } else { 0 });
        assert_eq!(listen.interrupt().code, 0);
    }
}

#[test]
fn version_2_has_no_session() {
    let listen = Listen::start(&["--format", "v2", "--reply", "echo", "--json"]);
    let mut stream = listen.connect();
    let mut frames = Vec::new();
    // Each is a message, and none is answered by a rule of version 1.
    for (kind, payload) in [(TEXT, &b"\xff"[..]), (PING, b"12"), (CLOSE, b"x"), (0x7f, b"")] {
        Framing::new(V2).encode(Kind::new(kind).unwrap(), payload, &mut frames).unwrap();
    }
    stream.write_all(&frames).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    assert_eq!(answers, frames);
    assert!(listen.out.line("ended").contains(r#""messages":4,"files":0,"clean":true"#));
    let out = listen.out.so_far();
    for kind in ["text", "ping", "close", "0x7f"] {
        assert_eq!(out.matches(&format!(r#""kind":"{kind}""#)).count(), 1, "{out}");
    }
}

#[test]
fn the_other_version_is_suggested() {
    for (version, other) in [("v1", "v2"), ("v2", "v1")] {
        let bytes = if other == "v2" { FRAMES[0].2.to_vec() } else { frame(TEXT, b"hi") };
        let done = inspect_as(version, &[], &bytes);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains(&format!("; try --format {other}\n")), "{done:?}");
    }
    let done = inspect_as("v1", &[], b"\xf5\x03");
    assert!(done.stderr.contains("does the peer run a newer release?"), "{done:?}");
}

#[test]
fn a_listener_reports_damaged_and_cut_frames() {
    for (format, bytes, why) in [
        (
            "v2",
            &b"\xf5\x02\x01\0\0\0\x04\xecabce\xb6\x3f\xd2\x9f"[..],
            "byte 0: the frame's check is 0xb63fd29f and should be 0x",
        ),
        ("netstring", b"1:a,4:abcd;", "byte 4: the frame's check is 0x3b and should be 0x2c"),
        ("netstring", b"4:abcd", "byte 6: the stream ended inside"),
        ("ubx", b"\xb5\x62\x06\x01\0\0\x07\x1c", "byte 0: the frame's check is 0x71c and should"),
        ("ubx", b"$GNGGA", "byte 0: a frame begins with 0xb5 0x62"),
    ] {
        listener_reports(format, bytes, why);
    }
}

#[test]
fn a_listener_skips_a_frame_over_the_limit_with_its_check() {
    let listen =
        Listen::start(&["--format", "netstring", "--limit", "4", "--skip-oversize", "--json"]);
    let mut stream = listen.connect();
    stream.write_all(b"5:abcde,2:ok,").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    listen.err.line("byte 0: the frame announces a payload of 5 bytes and the limit is 4; skipped");
    listen.out.line(r#""at":8,"len":2,"text":"ok""#);
}

#[test]
fn valid_streams_are_listed_with_the_fields_of_the_header() {
    for (format, _, bytes) in FRAMES {
        let both = [bytes, bytes].concat();
        let done = inspect_as(format, &[], &both);
        let (next, fields) = (
            bytes.len(),
            match format {
                "v2" => "text         ",
                "resp" => "bulk string      ",
                "ubx" => "class 0x06, id 0x01  ",
                "mavlink" => "message 0, version 1, sequence 9, system 1, component 2     ",
                "modbus-rtu-request" | "modbus-rtu-response" => "address 17, function 0x03  ",
                _ => "",
            },
        );
        let row = format!(
            "\n{next:>12}             4  {fields}\"abcd\"\n2 whole frames, {} bytes",
            next * 2
        );
        assert!(done.code == 0 && done.stdout.contains(&row), "{row}: {done:?}");
        let heading = if format == "v2" { "kind" } else { "header" };
        let titled = done.stdout.lines().next().unwrap().contains(heading);
        assert_eq!(titled, !fields.is_empty(), "{done:?}");
    }
}

#[test]
fn a_failed_check_is_shown_with_both_values() {
    for (format, _, bytes) in FRAMES {
        let mut damaged = bytes.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        // Enough for any place that only looks like a header, whose frame is waited for.
        let stream = [&damaged[..], &bytes.repeat(50)].concat();
        let next = bytes.len();
        let number =
            |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let check = match format {
            "v2" => 4,
            "netstring" => 1,
            _ => 2,
        };
        let (found, expected) = (number(&damaged[next - check..]), number(&bytes[next - check..]));
        let why = format!(
            "byte 0: the frame's check is {:#x} and should be {:#x}; ",
            u32::from_str_radix(&found, 16).unwrap(),
            u32::from_str_radix(&expected, 16).unwrap()
        );

        let done = inspect_as(format, &[], &stream);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains(&why), "{why}: {done:?}");
        let found = format!("byte {next}: a resync would find a");
        assert!(done.stderr.contains(&found), "{format}: {done:?}");
        assert!(done.stderr.contains(&format!(", {next} bytes skipped; see it")), "{done:?}");
        assert!(done.stdout.ends_with("\n0 whole frames (0 bytes); stopped at byte 0\n"));

        let done = inspect_as(format, &["--resync"], &stream);
        assert!(done.code == 1 && done.stderr.contains(&why), "{format}: {done:?}");
        let found = format!("frame with 4 bytes of payload, {next} bytes skipped from byte 0\n");
        assert!(done.stderr.contains(&found), "{format}: {done:?}");
        let end = format!("\n50 whole frames, {} bytes read\n", stream.len());
        assert!(done.stdout.ends_with(&end), "{format}: {done:?}");

        let done = inspect_as(format, &["--resync", "--json"], &stream);
        let events = events(&done);
        let error = events.iter().find(|event| event["event"] == "error").unwrap();
        assert_eq!((&error["at"], &error["name"]), (&0.into(), &"bad-check".into()), "{format}");
        let resync = events.iter().find(|event| event["event"] == "resync").unwrap();
        assert_eq!((&resync["found"], &resync["skipped"]), (&next.into(), &next.into()));
        assert_eq!(events.last().unwrap()["frames"], 50, "{format}");
    }
}

#[test]
fn a_damaged_length_of_ubx_costs_one_frame() {
    let payloads: Vec<_> = (0..40).map(|i| format!("message {i:02}")).collect();
    let stream = ubx_frames(&payloads.iter().map(String::as_bytes).collect::<Vec<_>>());
    let len = stream.len() / payloads.len();
    // Whether the frame seems to be shorter, to reach into others, or beyond the end of the file.
    for (frame, bit) in [(3, 0), (3, 1), (3, 5), (3, 8), (3, 15), (38, 4), (39, 1), (39, 15)] {
        let mut damaged = stream.clone();
        damaged[frame * len + 4 + bit / 8] ^= 1 << (bit % 8);
        let done = inspect_as("ubx", &["--resync", "--json"], &damaged);
        let found: Vec<_> = events(&done)
            .iter()
            .filter(|event| event["event"] == "frame" && event["arrived"] == event["len"])
            .map(|event| event["text"].as_str().unwrap().to_owned())
            .collect();
        let mut expected = payloads.clone();
        expected.remove(frame);
        assert_eq!((done.code, found), (1, expected), "{frame} {bit}");
        let (at, next) = (frame * len, (frame + 1) * len);
        if frame < 39 {
            let what = format!("{len} bytes skipped from byte {at}\n");
            assert!(done.stderr.contains(&format!("byte {next}: going on with")), "{done:?}");
            assert!(done.stderr.contains(&what), "{done:?}");
        }
        let text = inspect_as("ubx", &["--resync"], &damaged).stdout;
        assert!(text.ends_with(&format!("\n39 whole frames, {} bytes read\n", stream.len())));
    }
}

#[test]
fn a_stream_that_ends_in_a_frame_shows_its_beginning() {
    let (_, _, v2) = FRAMES[0];
    let stream = [v2, v2].concat();
    for (cut, content, missing) in [
        (1, "(incomplete) \"abcd\"", "1 byte is"),
        (4, "(incomplete) \"abcd\"", "4 bytes are"),
        (5, "(incomplete: 3 of 4) \"abc\"…", "5 bytes are"),
        (8, "(incomplete: 0 of 4)", "8 bytes are"),
    ] {
        for args in [&[][..], &["--resync"]] {
            let done = inspect_as("v2", args, &stream[..stream.len() - cut]);
            done.fails(1, &format!("byte {}: the stream ended inside", stream.len() - cut));
            assert!(done.stderr.contains(&format!("{missing} missing")), "{done:?}");
            let end = format!(
                "\n          16             4  text         {content}\n\
                 1 whole frame, {} bytes read\n",
                stream.len() - cut
            );
            assert!(done.stdout.ends_with(&end), "{done:?}");
        }
    }
    // Inside a header there is nothing to show.
    let done = inspect_as("v2", &[], &stream[..18]);
    assert!(done.stdout.ends_with("\n1 whole frame, 18 bytes read\n"), "{done:?}");
    inspect_as("ubx", &[], b"").succeeds(
        "      offset       payload  header               content\n0 whole frames, 0 bytes read\n",
    );
}

#[test]
fn a_frame_over_the_limit_can_be_skipped_or_searched() {
    let stream = b"2:ab,5:abcde,2:ok,";
    let done = inspect_as("netstring", &["--limit", "4"], stream);
    done.fails(1, "byte 5: the frame announces a payload of 5 bytes and the limit is 4");
    done.fails(1, "; go on after it with --skip-oversize\n");
    assert!(done.stdout.ends_with("\n1 whole frame (5 bytes); stopped at byte 5\n"), "{done:?}");
    for how in ["--skip-oversize", "--resync"] {
        let done = inspect_as("netstring", &["--limit", "4", how], stream);
        let end = "          13             2  \"ok\"\n2 whole frames, 18 bytes read\n";
        assert!(done.code == 1 && done.stdout.ends_with(end), "{done:?}");
    }
}

#[test]
fn inspect_takes_the_limit_of_the_protocol() {
    // A frame of Modbus has at most 256 bytes.
    let done = inspect_as("modbus-rtu-response", &[], b"\x11\x03\xfc");
    assert!(
        done.stderr.contains("announces a payload of 252 bytes and the limit is 251"),
        "{done:?}"
    );
    let done = inspect_as("modbus-rtu-response", &["--limit", "255"], b"\x11\x03\xfc");
    assert!(done.stderr.contains("the stream ended inside a payload"), "{done:?}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (format, header, _) in FRAMES {
        let args = ["--format", format];
        if header.is_some() {
            let done = run(&[&["send", ":1", "--text", "a"], &args[..]].concat(), b"");
            done.fails(2, &format!("the headers of {format} say more than a length"));
            done.fails(2, "give one with --header");
            done.fails(2, "`inspect`");
        }
        let done = run(&[&["send", ":1", "--header", "00"], &args[..]].concat(), b"");
        done.fails(2, "--header goes with a field: format, ubx, mavlink");
        run(&[&["listen", "udp::0"], &args[..]].concat(), b"").fails(2, "travel in datagrams");
        let udp = ["send", "udp::1", "--text", "a"];
        run(&[&udp[..], &args, &with_header(header)].concat(), b"").fails(2, "travel in datagrams");
        run(&[&["listen", ":0", "--dir", "inbox"], &args[..]].concat(), b"").fails(2, "--dir");
        if format != "v2" {
            run(&[&["send", ":1", "--kind", "text"], &args[..]].concat(), b"").fails(2, "--kind");
        }
    }
    for kind in ["ping", "close", "hello", "file-open", "0x20"] {
        run(&["send", ":1", "--format", "v2", "--kind", kind], b"")
            .fails(2, "there is no session over v2 here");
    }
    run(&["send", ":1", "--format", "v2", "a.txt"], b"").fails(2, "only v1 has files");
    for command in [&["inspect"][..], &["listen", ":0"], &["send", ":1"]] {
        run(&[command, &["--format", "modbus-rtu"]].concat(), b"")
            .fails(2, "take modbus-rtu-request or modbus-rtu-response");
    }
}

#[test]
fn what_a_frame_cannot_hold_is_not_sent() {
    for (format, header, text, why) in [
        ("modbus-rtu-request", "1103", "abcde", "a payload of 5 bytes where every frame has 4"),
        ("mavlink", "fe00090102ff", "abcd", "cannot send: "),
    ] {
        let listen = Listen::start(&["--format", format]);
        let args = ["send", &listen.addr, "--format", format, "--header", header, "--text", text];
        run(&args, b"").fails(1, why);
    }
}

#[test]
fn a_type_of_resp_that_is_a_line_is_named() {
    for (bytes, name) in
        [(&b"+OK\r\n"[..], "a simple string"), (b"*1\r\n", "an array"), (b"%1\r\n", "a map")]
    {
        let done = run(&["decode", "--format", "resp"], bytes);
        done.fails(1, &format!("byte 0: this is {name} of RESP, and bulk strings are exchanged"));
    }
    run(&["decode", "--format", "resp"], b"?\r\n").fails(1, "the type is none of");
}
