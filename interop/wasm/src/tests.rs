use crate::examples;
use crate::inspect::shape::Shape;
use crate::listing::{Event, Frame, Listing};
use crate::parts::{Kind, parts};

fn list(format: &str, pieces: &[&[u8]], goes_on: bool) -> Vec<Event> {
    let mut listing = Listing::new(format.parse().unwrap(), None, goes_on);
    let mut events: Vec<Event> = pieces.iter().flat_map(|piece| listing.push(piece)).collect();
    events.extend(listing.end());
    events
}

fn frames(events: &[Event]) -> Vec<&Frame> {
    let mut frames = Vec::new();
    for event in events {
        let Event::Frame(frame) = event else { panic!("{event:?}") };
        frames.push(frame);
    }
    frames
}

#[test]
fn every_example_has_frames_and_no_error() {
    for format in examples::all() {
        let events = list(&format.name, &[&format.example], false);
        let frames = frames(&events);
        let least = if format.name == "postgres-startup" { 1 } else { 2 };
        assert!(frames.len() >= least, "{}: {frames:?}", format.name);
        assert!(frames.iter().all(|frame| frame.complete), "{}", format.name);
    }
}

#[test]
fn every_cut_of_an_example_gives_the_same_events() {
    for format in examples::all() {
        let mut damaged = format.example.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        for bytes in [format.example, damaged] {
            for goes_on in [false, true] {
                let whole = list(&format.name, &[&bytes], goes_on);
                for at in 0..=bytes.len() {
                    let (front, back) = bytes.split_at(at);
                    assert_eq!(
                        list(&format.name, &[front, back], goes_on),
                        whole,
                        "{} {at}",
                        format.name
                    );
                }
                let single: Vec<&[u8]> = bytes.chunks(1).collect();
                assert_eq!(list(&format.name, &single, goes_on), whole, "{}", format.name);
            }
        }
    }
}

#[test]
fn the_parts_of_a_frame_are_all_of_its_bytes_and_its_payload() {
    for format in examples::all() {
        let shape: Shape = format.name.parse().unwrap();
        let events = list(&format.name, &[&format.example], false);
        for frame in frames(&events) {
            let parts = parts(shape, frame, &format.example);
            let mut at = frame.at;
            for part in &parts {
                assert_eq!(part.from, at, "{} {parts:?}", format.name);
                at = part.to;
            }
            assert_eq!(at, frame.end, "{} {parts:?}", format.name);
            let of = |kind| parts.iter().filter(move |part| part.kind == kind);
            let payload: Vec<u8> = of(Kind::Payload)
                .flat_map(|part| part.from..part.to)
                .map(|at| format.example[usize::try_from(at).unwrap()])
                .collect();
            // Escaped and masked payloads stand there in another form.
            if of(Kind::Escape).next().is_none() && format.name != "websocket" {
                assert_eq!(payload, frame.payload, "{} {parts:?}", format.name);
            }
        }
    }
}

#[test]
fn marks_escapes_and_checks_are_told_apart() {
    let kinds = |format: &str, bytes: &[u8]| -> String {
        let events = list(format, &[bytes], false);
        let frame = frames(&events)[0];
        parts(format.parse().unwrap(), frame, bytes)
            .iter()
            .map(|part| format!("{}{} ", part.kind.name(), part.to - part.from))
            .collect()
    };
    assert_eq!(kinds("lines", b"ab\r\n"), "payload2 mark2 ");
    assert_eq!(kinds("lines", b"a\rb\n"), "payload3 mark1 ");
    assert_eq!(kinds("delim:2d2d3e", b"a---->"), "payload3 mark3 ");
    assert_eq!(kinds("slip", b"\xc0a\xdb\xdcb\xc0"), "payload1 escape2 payload1 mark1 ");
    assert_eq!(kinds("cobs", b"\x02a\x02b\0"), "escape1 payload1 escape1 payload1 mark1 ");
    assert_eq!(kinds("hdlc", b"~\x7d\x5e\x81\x6a~"), "escape2 check2 mark1 ");
    assert_eq!(kinds("netstring", b"2:hi,"), "header2 payload2 check1 ");
    assert_eq!(kinds("u16be", b"\0\x02hi"), "header2 payload2 ");
    assert_eq!(kinds("resp", b"+OK\r\n"), "header1 payload2 check2 ");
    assert_eq!(kinds("http1", b"GET / HTTP/1.1\r\n\r\n"), "header18 ");
}
