//! Damaged captures and texts: an error or less output, never a panic.

use clap::Parser;
use etherparse::PacketBuilder;
use unstick::{Framing, Kind, V1};

use super::Args;
use super::capture::file::CaptureFile;
use super::capture::follow::{self, Which};
use super::capture::reassembly::{Direction, Event};
use super::dump;
use super::print::Printer;
use super::stream::Stream;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn args(of: &[&str]) -> Args {
    Cli::parse_from([&["inspect"], of].concat()).args
}

/// Returns a capture of a connection that carries this stream in segments of 20 bytes.
fn pcap(stream: &[u8]) -> Vec<u8> {
    let numbers = [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 101];
    let mut file: Vec<u8> = numbers.into_iter().flat_map(u32::to_le_bytes).collect();
    let tcp = |sequence: u32| {
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(50_001, 7000, sequence, 1000)
    };
    let mut add = |packet: Vec<u8>| {
        let len = u32::try_from(packet.len()).unwrap();
        file.extend([1, 2, len, len].into_iter().flat_map(u32::to_le_bytes));
        file.extend(packet);
    };
    let mut packet = Vec::new();
    tcp(0).syn().write(&mut packet, b"").unwrap();
    add(packet);
    for (i, part) in stream.chunks(20).enumerate() {
        let mut packet = Vec::new();
        tcp(u32::try_from(i).unwrap() * 20 + 1).write(&mut packet, part).unwrap();
        add(packet);
    }
    file
}

/// Returns the packets of a pcap file as a pcapng file.
fn pcapng(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = u32::try_from(body.len().next_multiple_of(4) + 12).unwrap().to_le_bytes();
        out.extend(kind.to_le_bytes());
        out.extend(len);
        out.extend(body);
        out.extend(&[0; 3][..body.len().next_multiple_of(4) - body.len()]);
        out.extend(len);
    };
    block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    block(1, &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 6, 0, 0, 0]);
    let mut file = CaptureFile::new(file);
    while let Some(packet) = file.next().unwrap() {
        let len = u32::try_from(packet.data.len()).unwrap().to_le_bytes();
        block(6, &[&[0; 12][..], &len, &len, &packet.data].concat());
    }
    out
}

fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let framing = Framing::new(V1);
    let mut v1 = Vec::new();
    for payload in ["one", "two and three", &"x".repeat(100)] {
        framing.encode(Kind::TEXT, payload.as_bytes(), &mut v1).unwrap();
    }
    let resp =
        b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n:12\r\n+OK\r\n-ERR no\r\n$-1\r\n_\r\n#t\r\n$?\r\n;4\r\nHell\r\n\
        ;0\r\n*?\r\n.\r\n".to_vec();
    let http =
        b"GET /a HTTP/1.1\r\nHost: b\r\n\r\nPOST /c HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    vec![
        ("v1", v1),
        ("u16be", b"\0\x03one\0\x1dtwenty nine characters are here".to_vec()),
        ("lines", b"one\ntwo\nthree\nfour and a half\n".repeat(4)),
        ("hdlc", b"\x7eabc\x7e".repeat(20)),
        ("netstring", b"3:one,5:three,".repeat(8)),
        ("resp", resp.repeat(3)),
        ("http1", http.to_vec()),
        ("postgres", b"Q\0\0\0\x0dselect 1\0D\0\0\0\x06S\0".repeat(5)),
        ("websocket", b"GET / HTTP/1.1\r\nA: b\r\n\r\n\x81\x02hi\x81\x02ho".to_vec()),
        ("postgres", b"NR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec()),
        ("websocket", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".repeat(5)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..6) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(..bytes.len());
        match random.u8(..6) {
            0 => bytes[at] = random.u8(..),
            1 => bytes[at] ^= 1 << random.u8(..8),
            2 => bytes[at] = [0, 0xff, 0x7f, 0x80][random.usize(..4)],
            3 => bytes.truncate(at),
            4 => {
                let end = (at + random.usize(..80)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let end = (at + random.usize(..120)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = random.usize(..bytes.len());
                bytes.splice(to..to, part);
            }
        }
    }
}

#[test]
fn damaged_captures_do_not_panic() {
    let mut random = fastrand::Rng::with_seed(1);
    for (format, stream) in streams() {
        let args = [
            args(&["--format", format, "--hexdump"]),
            args(&["--format", format, "--json", "--limit", "1000"]),
        ];
        let captures = [pcap(&stream), pcapng(&pcap(&stream))];
        for round in 0..200 {
            let mut file = captures[round % 2].clone();
            mutate(&mut file, &mut random);
            let args = &args[round / 2 % 2];
            let mut printer = Printer::nowhere(args);
            let which = if round % 3 == 0 { Which::One(1) } else { Which::All };
            let mut packets = CaptureFile::new(&file[..]);
            let done = follow::read(args, which, &mut printer, &mut packets).unwrap();
            let _ = follow::list(&mut printer, &done, true);
        }
    }
}

#[test]
fn damaged_streams_and_gaps_do_not_panic() {
    let mut random = fastrand::Rng::with_seed(2);
    for (format, stream) in streams() {
        let mut all = vec!["--format", format, "--skip-oversize"];
        if !["u16be", "http1", "postgres", "websocket"].contains(&format) {
            all.push("--resync");
        }
        let args = args(&all);
        for _ in 0..150 {
            let mut bytes = stream.clone();
            mutate(&mut bytes, &mut random);
            let mut printer = Printer::nowhere(&args);
            let mut stream = Stream::new(&args);
            while !bytes.is_empty() {
                let n = random.usize(..=bytes.len());
                let part: Vec<u8> = bytes.drain(..n).collect();
                stream.push(&mut printer, None, &part).unwrap();
                if random.u8(..8) == 0 {
                    stream.gap(&mut printer, None, random.u64(1..100)).unwrap();
                }
            }
            stream.end(&mut printer, None).unwrap();
        }
    }
}

/// The bytes of a dump in columns.
fn columns(bytes: &[u8], radix: u32, colon: bool) -> String {
    let mut text = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let at = i * 16;
        text += &match radix {
            16 => format!("{at:08x}"),
            10 => format!("{at:07}"),
            _ => format!("{at:07o}"),
        };
        text += if colon { ":" } else { " " };
        for byte in line {
            text += &format!(" {byte:02x}");
        }
        let shown =
            line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' });
        text += &format!("{}   {}\n", "   ".repeat(16 - line.len()), shown.collect::<String>());
    }
    text
}

#[test]
fn damaged_dumps_do_not_panic_and_offsets_are_never_bytes() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..2_000 {
        // Text that looks like bytes.
        let len = random.usize(1..100);
        let bytes: Vec<u8> = (0..len).map(|_| b"abcdef0123 "[random.usize(..11)]).collect();
        let (radix, colon) = [(16, true), (16, false), (10, false), (8, false)][round % 4];
        let mut text = columns(&bytes, radix, colon);
        // The last offset of a short dump in another base is one in this base too.
        assert!(dump::has_columns(&text).unwrap(), "{text}");
        let parsed = dump::parse(&text);
        assert_eq!(parsed, Ok(dump::Columns::Bytes(bytes)), "{text}");
        let mut damaged = std::mem::take(&mut text).into_bytes();
        mutate(&mut damaged, &mut random);
        let damaged = String::from_utf8_lossy(&damaged);
        if dump::has_columns(&damaged) == Ok(true) {
            let _ = dump::parse(&damaged);
        }
        let _ = dump::looks_like(damaged.as_bytes());
    }
}

/// Segments in any order, again, overlapping and lost, deliver each byte once at its place.
#[test]
fn reassembly_delivers_each_byte_at_its_place() {
    let mut random = fastrand::Rng::with_seed(4);
    let stream: Vec<u8> = (0..2_000).map(|_| random.u8(..)).collect();
    for round in 0..300 {
        let begin = random.u32(..);
        let mut direction = Direction::default();
        let mut seen = Vec::new();
        let mut lost = 0;
        let mut parts: Vec<(usize, usize)> = Vec::new();
        let mut at = 0;
        while at < stream.len() {
            let end = (at + random.usize(1..100)).min(stream.len());
            let times = if round % 2 == 1 && random.u8(..10) == 0 { 0 } else { random.usize(1..3) };
            parts.extend([(at.saturating_sub(random.usize(..50)), end); 2].iter().take(times));
            at = end;
        }
        for i in 0..parts.len() {
            let other = (i + random.usize(..5)).min(parts.len() - 1);
            parts.swap(i, other);
        }
        let mut take = |event: Event<'_>| match event {
            Event::Data(data) => seen.extend(data.iter().map(|byte| Some(*byte))),
            Event::Gap(len) => {
                lost += len;
                seen.extend(std::iter::repeat_n(None, usize::try_from(len).unwrap()));
            }
        };
        direction.segment((begin, true, false), b"", (0, usize::MAX), &mut take);
        for (from, to) in &parts {
            let sequence = begin.wrapping_add(u32::try_from(*from).unwrap() + 1);
            let part = &stream[*from..*to];
            direction.segment((sequence, false, false), part, (0, usize::MAX), &mut take);
        }
        direction.finish(&mut take);
        assert!(round % 2 == 1 || (lost == 0 && seen.len() == stream.len()), "{round}");
        assert!(seen.len() <= stream.len());
        for (at, byte) in seen.iter().enumerate() {
            let expected = stream[at];
            assert!(byte.is_none_or(|byte| byte == expected), "{round} {at}");
            let covered = parts.iter().any(|(from, to)| (*from..*to).contains(&at));
            assert_eq!(byte.is_some(), covered, "{round} {at}");
        }
    }
}

#[test]
fn what_is_kept_of_a_connection_is_bounded() {
    let mut direction = Direction::default();
    let mut gaps = 0;
    let mut take = |event: Event<'_>| gaps += usize::from(matches!(event, Event::Gap(_)));
    direction.segment((0, true, false), b"", (0, usize::MAX), &mut take);
    for i in 1..2_000_u32 {
        direction.segment((i * 20_000, false, false), &[0; 10_000], (0, usize::MAX), &mut take);
        assert!(direction.held_len() <= 8 << 20);
    }
    direction.segment((9, false, false), &[0; 100], (0, 0), &mut take);
    assert!(direction.held_len() == 0 && gaps > 1_000);
}
