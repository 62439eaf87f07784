//! `unstick inspect` with bytes and packets as other tools print them, and protocols that only `inspect`
//! reads.

use std::fmt::Write as _;

use crate::captures::{ETHERNET, Tape, linked};
use crate::support::*;

fn hex(args: &[&str], text: &[u8]) -> Done {
    run(&[&["inspect", "--hex"], args].concat(), text)
}

/// A stream whose bytes are hexadecimal digits as text, too.
fn stream() -> Vec<u8> {
    [frame(TEXT, b"abcdef"), frame(TEXT, b"cafe babe 00 11 22 33 44 55"), frame(BINARY, b"f00d")]
        .concat()
}

const ROWS: &str = "      offset       payload  kind         content
           0             6  text         \"abcdef\"
          14            27  text         \"cafe babe 00 11 22 33 44 55\"
          49             4  binary       \"f00d\"
3 whole frames, 61 bytes read
";

/// Formats bytes in lines of 16: the offset, each group of bytes, and the text.
fn dump(
    bytes: &[u8],
    offset: impl Fn(usize) -> String,
    group: usize,
    text: impl Fn(&str) -> String,
) -> String {
    let mut out = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let mut digits = String::new();
        for (i, byte) in line.iter().enumerate() {
            if i > 0 && i % group == 0 {
                digits.push(' ');
            }
            write!(digits, "{byte:02x}").unwrap();
        }
        let width = 32 + 16 / group - 1;
        let shown: String =
            line.iter().map(|b| if (32..127).contains(b) { char::from(*b) } else { '.' }).collect();
        writeln!(out, "{}{digits:width$}{}", offset(i * 16), text(&shown)).unwrap();
    }
    out
}

#[test]
fn dumps_of_many_tools_are_read_as_they_are() {
    let bytes = stream();
    let none = |_: &str| String::new();
    let after = |text: &str| format!("  {text}");
    let wide = |text: &str| format!("   {text}");
    let end = |offset: &str| format!("{offset}\n");
    let table = [
        ("xxd", dump(&bytes, |at| format!("{at:08x}: "), 2, after)),
        ("xxd -g 1", dump(&bytes, |at| format!("{at:08x}: "), 1, after)),
        (
            "hexdump -C",
            dump(&bytes, |at| format!("{at:08x}  "), 1, |text| format!("  |{text}|"))
                + &end("0000003d"),
        ),
        ("od -Ax -tx1", dump(&bytes, |at| format!("{at:06x} "), 1, none) + &end("00003d")),
        (
            "od -Ax -tx1z",
            dump(&bytes, |at| format!("{at:06x} "), 1, |text| format!("  >{text}<"))
                + &end("00003d"),
        ),
        ("od -Ad -tx1", dump(&bytes, |at| format!("{at:07} "), 1, none) + &end("0000061")),
        ("od -tx1", dump(&bytes, |at| format!("{at:07o} "), 1, none) + &end("0000075")),
        ("Wireshark's copy", dump(&bytes, |at| format!("{at:04x}   "), 1, wide)),
        ("text2pcap", dump(&bytes, |at| format!("{at:04x} "), 1, none)),
        ("with colons", dump(&bytes, |at| format!("{at:04x}:"), 1, none)),
        ("eight digits", dump(&bytes, |at| format!("{at:08x} "), 1, none)),
        ("PowerShell", dump(&bytes, |at| format!("{at:016X} "), 1, |text| format!(" {text}"))),
        ("tcpdump of bytes", dump(&bytes, |at| format!("\t0x{at:04x}:  "), 2, after)),
    ];
    for (tool, text) in table {
        let done = hex(&[], text.as_bytes());
        assert_eq!((done.code, done.stdout.as_str()), (0, ROWS), "{tool}\n{text}{done:?}");
        hex(&[], text.replace('\n', "\r\n").as_bytes()).succeeds(ROWS);
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = |before: &str, between: &str| {
        let all: Vec<_> = bytes.iter().map(|byte| format!("{before}{byte:02x}")).collect();
        all.join(between)
    };
    for text in [
        digits.clone(),
        format!(
            "unsigned char capture_bin[] = {{\n  {}\n}};\nunsigned int capture_bin_len = 61;\n",
            listed("0x", ", ")
        ),
        format!("\"{}\"", listed("\\x", "")),
        listed("", "-"),
        listed("", ":"),
        format!("\u{feff}{digits}\n"),
    ] {
        hex(&[], text.as_bytes()).succeeds(ROWS);
    }
    let utf16: Vec<u8> =
        format!("\u{feff}{digits}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    hex(&[], &utf16).succeeds(ROWS);
}

#[test]
fn an_offset_in_front_of_one_line_is_never_read_as_bytes() {
    for text in [
        "0000   00 05 68 65 6c 6c 6f\n",
        "0000 00 05 68 65 6c 6c 6f\n",
        "0000:00 05 68 65 6c 6c 6f\n",
        "00:  00 05 68 65 6c 6c 6f\n",
        "0x5555:\t0x00\t0x05\t0x68\t0x65\t0x6c\n0x555a:\t0x6c\t0x6f\n",
        "00000000 00 05 68 65 6c 6c 6f\n",
        "00000000  00 05 68 65 6c 6c 6f                              abcdef\n",
        "0000002a  00 05 68 65 6c\n0000002f  6c 6f\n",
    ] {
        let done = hex(&["--format", "u16be"], text.as_bytes());
        let rows = "      offset       payload  content\n           0             5  \"hello\"\n1 whole frame, 7 bytes read\n";
        assert_eq!((done.code, done.stdout.as_str()), (0, rows), "{text}{done:?}");
    }
    // Bytes with colons, and groups of four digits, have no offset.
    for text in ["00:05:68:65:6c:6c:6f", "0005 6865 6c6c 6f", "0x00 0x05 0x68 0x65 0x6c 0x6c 0x6f"]
    {
        let done = hex(&["--format", "u16be"], text.as_bytes());
        assert!(
            done.stdout.ends_with("\"hello\"\n1 whole frame, 7 bytes read\n"),
            "{text}: {done:?}"
        );
    }
    hex(&[], b"0000000 01f5 0001\n").fails(1, "`0000000` looks like an offset");
}

#[test]
fn lines_that_a_dump_leaves_out_are_repeated() {
    let bytes = frame(BINARY, &[0; 1016]);
    let text = "00000000  f5 01 02 00 00 03 f8 11  00 00 00 00 00 00 00 00  |................|\n\
                00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n00000400\n";
    assert_eq!(bytes[..7], [0xf5, 1, 2, 0, 0, 3, 0xf8]);
    let text = text.replace(" 11  ", &format!(" {:02x}  ", bytes[7]));
    let done = hex(&[], text.as_bytes());
    assert!(done.stdout.ends_with("1 whole frame, 1024 bytes read\n"), "{done:?}");
    let huge = text.replace("00000400", "f0000000");
    hex(&[], huge.as_bytes()).fails(1, "the dump leaves out lines that repeat");
}

fn tape() -> Tape {
    let mut tape = Tape::default();
    tape.connection(50_001, &[b"\0\x05hello\0\x04", b"cafe"], &[b"\0\x06answer"]);
    tape
}

const FOLLOWED: [&str; 3] =
    ["client 0 5 \"hello\"", "server 0 6 \"answer\"", "client 7 4 \"cafe\""];

fn rows(done: &Done) -> Vec<String> {
    let rows = done
        .stdout
        .lines()
        .filter(|line| line.contains("  client  ") || line.contains("  server  "));
    rows.map(|line| line[20..].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn packets_that_tools_print_are_connections() {
    let after = |text: &str| format!("  {text}");
    let wide = |text: &str| format!("   {text}");
    let (mut tcpdump, mut link, mut tshark) = (String::new(), String::new(), String::new());
    for (i, (_, packet)) in tape().packets.iter().enumerate() {
        let title = format!(
            "18:00:00.00{i}000 IP (tos 0x0, ttl 64, id 0, offset 0, flags [DF], proto TCP (6))\n    \
             10.0.0.1.50001 > 10.0.0.2.7000: Flags [P.], seq 1:10, ack 1, win 65535, length 9\n"
        );
        tcpdump += &title;
        tcpdump += &dump(packet, |at| format!("\t0x{at:04x}:  "), 2, after);
        let frame = linked(ETHERNET, packet);
        link += &title;
        link += &dump(&frame, |at| format!("\t0x{at:04x}:  "), 2, |_| String::new());
        tshark += &dump(&frame, |at| format!("{at:04x}  "), 1, wide);
        tshark += "\n";
    }
    // As tshark prints what it has put together of several packets.
    let part = dump(b"\0\x05hello\0\x04cafe", |at| format!("{at:04x}  "), 1, wide);
    let sources = format!("Frame (54 bytes):\n{tshark}Reassembled TCP (13 bytes):\n{part}");
    for text in [&tcpdump, &link, &tshark, &sources] {
        let done = hex(&["--format", "u16be"], text.as_bytes());
        assert_eq!(
            (done.code, rows(&done)),
            (0, FOLLOWED.map(str::to_owned).to_vec()),
            "{text}{done:?}"
        );
        assert!(done.stdout.contains("\nflow 1: client 10.0.0.1:50001 sent 13 bytes"), "{done:?}");
    }
    let done = hex(&["--format", "u16be"], tcpdump.as_bytes());
    assert!(done.stdout.contains("\n    0.002000     1  client"), "{done:?}");
    assert!(done.stdout.contains("\n    0.003000     1  server"), "{done:?}");
}

#[test]
fn both_sides_of_a_followed_stream_are_told_apart() {
    let head = |kind: &str| {
        format!(
            "\n{}\nFollow: tcp,{kind}\nFilter: tcp.stream eq 0\nNode 0: 10.0.0.1:50001\nNode 1: 10.0.0.2:7000\n",
            "=".repeat(67)
        )
    };
    let raw = head("raw") + "000568656c6c6f0004\n\t0006616e73776572\n63616665\n" + &"=".repeat(67);
    let lines = "00000000  00 05 68 65 6c 6c 6f 00  04                       ..hello. .\n\
                 \t00000000  00 06 61 6e 73 77 65 72                           ..answer\n\
                 00000009  63 61 66 65                                      cafe\n";
    let dump = head("hex") + lines;
    // As Wireshark saves it.
    let saved = lines.replace('\t', "    ");
    for text in [&raw, &dump, &saved] {
        let done = hex(&["--format", "u16be"], text.as_bytes());
        assert_eq!(
            (done.code, rows(&done)),
            (0, FOLLOWED.map(str::to_owned).to_vec()),
            "{text}{done:?}"
        );
    }
    hex(&[], (head("ascii") + "hello").as_bytes())
        .fails(1, "has lost bytes; take `tshark -q -z follow,tcp,raw,0`");
    // `tshark -T fields -e tcp.payload`: a line for each packet.
    let done = hex(&["--format", "u16be"], b"\n\n000568656c6c6f0004\n63616665\n\n");
    assert!(done.stdout.ends_with("2 whole frames, 13 bytes read\n"), "{done:?}");
}

#[test]
fn a_damaged_dump_says_in_which_line() {
    for (text, why) in [
        ("00000000: 00 00\n00000003: 00\n", "line 2: the offset does not fit"),
        ("00000000: 00 00\n01 02\n", "line 2: no offset stands in front"),
        ("00000000: 00 0g\n", "line 1: `g` does not belong in hexadecimal text"),
        ("00000000: 00 0\n", "line 1: the hexadecimal text ends in the middle of a byte"),
        ("0000: 00 01\n\n0000: 02\n", "line 3: the offsets begin again, and these are no packets"),
        ("b'\\xf5\\x01'", "this is how Python prints bytes"),
        ("[245, 1]", "this is a list of numbers"),
        ("9QEBAAAACvJhYiBjZCBlZiAg\n", "this is base64"),
    ] {
        hex(&[], text.as_bytes()).fails(1, why);
    }
}

#[test]
fn text_without_the_option_is_recognized_after_an_error() {
    let digits: String = stream().iter().map(|byte| format!("{byte:02x}")).collect();
    for (text, what) in [
        (digits.as_str(), "the input looks like hexadecimal text: try --hex"),
        ("00000000: f501 0100 0000  ......\n", "the input looks like hexadecimal text: try --hex"),
        ("9QEBAAAACvJhYiBjZCBlZiAg\n", "the input looks like base64: try `base64 -d"),
    ] {
        let done = run(&["inspect"], text.as_bytes());
        assert_eq!(
            (done.code, done.stderr.lines().last().unwrap().contains(what)),
            (1, true),
            "{done:?}"
        );
    }
}

#[test]
fn messages_of_http_1_are_read_with_their_bodies() {
    let client: &[u8] =
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    let server: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\none\r\n2\r\n, \r\n0\r\nA: b\r\n\r\n\
        HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    let mut tape = Tape::default();
    tape.connection(50_001, &[client], &[&server[..70], &server[70..]]);
    let done = run(&["inspect", "--format", "http1"], &tape.pcap());
    let expected = [
        "client 0 0 GET /a (empty)",
        "client 28 5 POST /b \"hello\"",
        "server 0 5 200 OK \"one, \"",
        "server 77 0 204 No Content (empty)",
        "server 104 2 404 Not Found \"no\"",
    ];
    assert_eq!((done.code, rows(&done)), (0, expected.map(str::to_owned).to_vec()), "{done:?}");
    let to_end = inspect_as("http1", &[], b"HTTP/1.0 200 OK\r\n\r\nup to the end");
    assert!(
        to_end
            .stdout
            .contains("            13  200 OK                    \"up to the end\"\n1 whole"),
        "{to_end:?}"
    );
    for (bytes, why) in [
        (&b"\x16\x03\x01\0\x05"[..], "byte 0: no message of HTTP/1 begins like this"),
        (b"hello world\r\n\r\n", "byte 0: the first line is none of HTTP/1"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "byte 0: Content-Length is no number"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
            "a chunk's size is no number",
        ),
        (b"GET / HTTP/1.1\r\nHo", "byte 18: the stream ended inside a header"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel",
            "the stream ended inside a payload, 2 bytes",
        ),
    ] {
        inspect_as("http1", &[], bytes).fails(1, why);
    }
    run(&["inspect", "--format", "http1", "--resync"], b"").fails(2, "leave out --resync");
}

#[test]
fn all_types_of_resp_are_read() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n+OK\r\n-ERR no\r\n:-12\r\n$-1\r\n_\r\n#t\r\n,1.5e3\r\n%1\r\n";
    let done = inspect_as("resp", &[], bytes);
    let found: Vec<_> = done
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "0 1 array of \"2\"",
        "4 3 bulk string \"GET\"",
        "13 3 bulk string \"key\"",
        "22 2 simple string \"OK\"",
        "27 6 simple error \"ERR no\"",
        "36 3 integer \"-12\"",
        "42 0 null (empty)",
        "47 0 null (empty)",
        "50 1 boolean \"t\"",
        "54 5 double \"1.5e3\"",
        "62 1 map of \"1\"",
        "11 whole frames, 66 bytes read",
    ];
    assert_eq!((done.code, found), (0, expected.map(str::to_owned).to_vec()), "{done:?}");
    let rest: &[(&[u8], &str)] = &[
        (b"*-1\r\n", "2 null array \"-1\""),
        (b"(12345678901234567890123\r\n", "23 big number \"12345678901234567890123\""),
        (b"!5\r\nERR x\r\n", "5 bulk error \"ERR x\""),
        (b"=6\r\ntxt:ab\r\n", "6 verbatim string \"txt:ab\""),
        (b"~2\r\n", "1 set of \"2\""),
        (b">2\r\n", "1 push of \"2\""),
        (b"|1\r\n", "1 attribute of \"1\""),
        (b"$?\r\n", "1 streamed string \"?\""),
        (b";4\r\nHell\r\n", "4 chunk \"Hell\""),
        (b";0\r\n", "0 chunk (empty)"),
        (b"*?\r\n", "1 streamed array \"?\""),
        (b"%?\r\n", "1 streamed map \"?\""),
        (b"~?\r\n", "1 streamed set \"?\""),
        (b">?\r\n", "1 streamed push \"?\""),
        (b"|?\r\n", "1 streamed attribute \"?\""),
        (b".\r\n", "0 end of stream (empty)"),
    ];
    let done =
        inspect_as("resp", &[], &rest.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>().concat());
    assert_eq!(done.code, 0, "{done:?}");
    for (line, (_, expected)) in done.stdout.lines().skip(1).zip(rest) {
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        assert_eq!(words.join(" "), *expected);
    }
    let done = inspect_as("resp", &["--resync"], b"*2\r\n$9\r\nGET\r\n$3\r\nkey\r\n");
    assert!(done.stdout.contains("bulk string      \"key\""), "{done:?}");
    let done = inspect_as("resp", &[], b"HTTP/1.1");
    assert!(done.stderr.contains("no type of RESP has this byte"), "{done:?}");
}

#[test]
fn what_precedes_the_frames_of_a_connection_is_shown() {
    let client: &[u8] = b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\x81\x82\0\0\0\0hi";
    let server: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02ok\x88\0";
    let mut tape = Tape::default();
    tape.connection(50_001, &[&client[..10], &client[10..]], &[server]);
    let done = run(&["inspect", "--format", "websocket"], &tape.pcap());
    let expected = [
        "server 0 0 HTTP/1.1 101 Switching Protocols (empty)",
        "server 36 2 text \"ok\"",
        "server 40 0 close (empty)",
        "client 0 0 GET /chat HTTP/1.1 (empty)",
        "client 42 2 text, mask 00000000 \"hi\"",
    ];
    assert_eq!((done.code, rows(&done)), (0, expected.map(str::to_owned).to_vec()), "{done:?}");
    inspect_as("websocket", &[], b"HTTP/1.1 101 Switch")
        .fails(1, "byte 19: the stream ended inside a header");
    let bad = inspect_as("websocket", &[], b"HTTP/1.1 101 x\r\n\r\n\x83\0");
    assert!(bad.stderr.contains("unstick: byte 18: "), "{bad:?}");
    // A server that has no TLS, and one that goes on with it.
    let done = inspect_as("postgres", &[], b"NR\0\0\0\x08\0\0\0\0");
    assert!(
        done.stdout.contains("           0             0  answer N              (empty)\n"),
        "{done:?}"
    );
    assert!(
        done.stdout.contains("           1             4  Authentication        00"),
        "{done:?}"
    );
    let done = inspect_as("postgres", &[], b"S");
    assert!(done.stdout.ends_with("1 whole frame, 1 byte read\n"), "{done:?}");
    let notice = inspect_as("postgres", &[], b"N\0\0\0\x05\0");
    assert!(notice.stdout.contains("NoticeResponse"), "{notice:?}");
}
