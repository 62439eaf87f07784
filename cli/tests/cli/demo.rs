//! `unstick demo`: its counts are right, and it fails if something is wrong.

use etherparse::{SlicedPacket, TransportSlice};
use serde_json::Value;
use unstick::{Framing, V1};

use crate::support::*;

#[test]
fn all_messages_arrive_intact() {
    let done = run(&["demo", "--messages", "300", "--seed", "7"], b"");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.stdout.contains("\ntotal: 600 messages sent, 600 arrived, 600 intact\n"));
    let last = done.stdout.lines().last().unwrap();
    assert_eq!(last, "  no message was torn or mixed with another one");
    assert!(done.stdout.contains("\n  sent      300 messages in "), "{done:?}");
    assert!(done.stdout.contains(" damaged inside, which framing cannot see;\n"), "{done:?}");
    assert!(done.stdout.contains("the decoder delivered  what the bytes were"), "{done:?}");
    assert!(done.stdout.contains("of the reads, and what was in them:\n"), "{done:?}");
    assert!(done.stdout.contains("takes a read for a message would have been wrong each time"));
    for line in done.stdout.lines() {
        assert!(line.len() <= 100, "{line}");
        // The columns for the delivered messages and for the bytes always differ.
        let row = line.strip_prefix("        #").and_then(|row| row.get(20..));
        let same = row
            .and_then(|row| row.split_once("  "))
            .is_some_and(|(delivered, holds)| holds.trim() == format!("all of {delivered}"));
        assert!(!same, "{line}");
    }
}

#[test]
fn a_single_message_is_counted_in_the_singular() {
    let done = run(&["demo", "--messages", "1", "--seed", "1"], b"");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("  1 message sent, 1 arrived, 1 intact\n"), "{done:?}");
    // The table has rows, or is omitted.
    let lines: Vec<_> = done.stdout.lines().collect();
    for pair in lines.windows(2) {
        let rows = pair[0].contains("what the bytes were");
        assert!(!rows || pair[1].trim_start().starts_with('#'), "{done:?}");
    }
}

#[test]
fn json_prints_one_object_per_line() {
    let done = run(&["demo", "--messages", "40", "--json"], b"");
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 4);
    assert_eq!(events[0]["intact"], 40);
    assert!(events[1]["cut_inside"].as_u64().unwrap() > 0);
    assert_eq!(events[2]["intact"], 80);
    let number = |name: &str| events[3][name].as_u64().unwrap();
    assert_eq!((number("sent"), number("torn"), number("wrong")), (40, 0, 0));
    assert_eq!(number("intact") + number("lost"), 40);
}

#[test]
fn a_capture_has_all_bytes_that_the_relay_passed_on() {
    let folder = Folder::new("demo-pcap");
    let path = folder.str("demo.pcap");
    let args = ["demo", "--messages", "60", "--seed", "5", "--json", "--pcap"];
    let done = run(&[&args[..], &[path.as_str()]].concat(), b"");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let file = std::fs::read(&path).unwrap();
    let number = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((number(0), number(20)), (0xa1b2_c3d4, 101));
    let (mut stream, mut flags, mut datagrams) = (Vec::new(), Vec::new(), 0);
    let mut at = 24;
    while at < file.len() {
        let len = number(at + 8) as usize;
        assert_eq!(number(at + 12) as usize, len);
        let packet = SlicedPacket::from_ip(&file[at + 16..at + 16 + len]).unwrap();
        match packet.transport.unwrap() {
            TransportSlice::Tcp(tcp) => {
                flags.push((tcp.syn(), tcp.ack(), tcp.fin()));
                // The reply to the SYN is the only segment in the other direction.
                if flags.len() != 2 {
                    assert_eq!(u64::from(tcp.destination_port()), events[0]["port"]);
                    let expected = if tcp.syn() { 0 } else { 1 + stream.len() };
                    assert_eq!(tcp.sequence_number() as usize, expected);
                }
                stream.extend_from_slice(tcp.payload());
            }
            TransportSlice::Udp(_) => datagrams += 1,
            other => panic!("{other:?}"),
        }
        at += 16 + len;
    }
    assert_eq!(flags[..3], [(true, false, false), (true, true, false), (false, true, false)]);
    assert_eq!(*flags.last().unwrap(), (false, true, true));

    assert_eq!(stream.len() as u64, events[0]["bytes"]);
    let mut rest = &stream[..];
    let frames = std::iter::from_fn(|| Framing::new(V1).split_frame(&mut rest).unwrap()).count();
    assert_eq!((frames, rest), (60, &[][..]));
    let udp = &events[3];
    assert_eq!(udp["taken"].as_u64().unwrap() + udp["refused"].as_u64().unwrap(), datagrams);
}

#[test]
fn a_capture_that_cannot_be_written_is_an_error() {
    let folder = Folder::new("demo-nowhere");
    let path = folder.str("nowhere/demo.pcap");
    let done = run(&["demo", "--messages", "1", "--pcap", &path], b"");
    assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
    assert!(done.stderr.starts_with("unstick: cannot write "), "{done:?}");
}

#[test]
fn damage_is_reported() {
    let mut explained = 0;
    for seed in ["1", "2", "3", "4"] {
        let done = run(&["demo", "--messages", "50", "--seed", seed, "--damage"], b"");
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains("did not arrive intact"), "{done:?}");
        let again = format!("repeat it with --messages 50 --damage --seed {seed}\n");
        assert!(done.stderr.ends_with(&again), "{done:?}");
        // The decoder detects damage in a header, and the digest damage in a payload.
        let lines = done.stdout.lines().chain(done.stderr.lines());
        let payload = lines.clone().filter(|line| {
            line.contains(" is not what was sent: byte ") && line.contains(", arrived as 0x")
        });
        let header = lines.filter(|line| {
            line.starts_with("unstick: TCP: byte ")
                || line.starts_with("unstick: Unix socket: byte ")
        });
        explained += payload.clone().count();
        assert_eq!(payload.count() + header.count(), 2, "{done:?}");
    }
    assert!(explained > 0);
}
