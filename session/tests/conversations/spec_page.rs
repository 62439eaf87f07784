//! The page "A conversation, byte by byte" of the specification, which is not part of the package:
//! its bytes are what two sessions send, and its annotations name the right frames.

use sha2::{Digest as _, Sha256};
use unstick::{Frame, Framing, Kind, V1};
use unstick_session::message::{Code, Digest, Message};
use unstick_session::session::{Event, Session};

const SPEC: &str = include_str!("../../../spec.md");

/// A frame of the page: its side, its bytes, and the annotations of its lines.
struct Shown {
    side: usize,
    bytes: Vec<u8>,
    about: Vec<&'static str>,
}

impl Shown {
    fn kind(&self) -> Kind {
        Kind::new(self.bytes[2]).unwrap()
    }

    fn payload(&self) -> &[u8] {
        &self.bytes[8..]
    }
}

/// The frames of each example of the page.
fn examples() -> Vec<Vec<Shown>> {
    let (_, page) = SPEC.split_once("\n### A conversation, byte by byte\n").unwrap();
    let page = page.split("\n## ").next().unwrap();
    let blocks = page.split("```text\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.map(frames).collect()
}

fn frames(block: &'static str) -> Vec<Shown> {
    let mut frames: Vec<Shown> = Vec::new();
    for line in block.lines() {
        let (side, rest) = line.split_at(2);
        let (bytes, about) = rest.split_once("  ").expect("bytes, two spaces, an annotation");
        match side {
            "A " | "B " => {
                let side = usize::from(side == "B ");
                frames.push(Shown { side, bytes: Vec::new(), about: Vec::new() });
            }
            _ => assert_eq!(side, "  ", "{line}"),
        }
        let frame = frames.last_mut().expect("a header first");
        frame.bytes.extend(bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
        frame.about.push(about.trim());
    }
    frames
}

/// A message as its side sends it: what the session has to say by itself, or what the application
/// asks for. `Digest`s of the page are compared with the bytes that they are of.
fn sent(session: &mut Session, shown: &Shown) -> Vec<u8> {
    let framing = Framing::new(V1);
    let message = Message::decode(shown.kind(), shown.payload()).unwrap();
    let (kind, payload) = match session.poll_transmit() {
        Some(said) => (said.kind(), said.to_payload()),
        None => {
            let encoded = session.send(&message).unwrap();
            (encoded.kind(), encoded.to_payload())
        }
    };
    let mut wire = Vec::new();
    framing.encode(kind, &payload, &mut wire).unwrap();
    wire
}

/// Plays an example; returns the sessions and the messages that had an event.
fn play(example: &[Shown], sessions: &mut [Session; 2]) -> Vec<&'static str> {
    let mut events = Vec::new();
    for shown in example {
        assert_eq!(sent(&mut sessions[shown.side], shown), shown.bytes, "{:?}", shown.about);
        // The header's line names the kind and the length, as the other side reads them.
        let mut rest = shown.bytes.as_slice();
        let Frame { meta, payload, .. } = Framing::new(V1).split_frame(&mut rest).unwrap().unwrap();
        assert!(rest.is_empty());
        let count = match payload.len() {
            0 => "no byte".to_owned(),
            1 => "1 byte".to_owned(),
            more => format!("{more} bytes"),
        };
        assert_eq!(shown.about[0], format!("{}, {count} of payload", meta.name().unwrap()));
        let event = sessions[1 - shown.side].handle_frame(meta, payload).unwrap();
        events.push(match event {
            Event::Nothing => "nothing",
            Event::Pong(_) => "pong",
            Event::FileReady(_) => "ready",
            Event::FileEnd(status) => {
                assert_eq!(status.code, Code::STORED);
                "stored"
            }
            Event::FileRefused { .. } => panic!("{:?}", shown.about),
            _ => "message",
        });
    }
    events
}

#[test]
fn the_messages_of_the_page_are_a_clean_conversation() {
    let examples = examples();
    let mut sessions = [Session::new(), Session::new()];
    let events = play(&examples[0], &mut sessions);
    let m = "message";
    assert_eq!(events, [m, m, m, m, "nothing", "pong", m, m]);
    for session in &mut sessions {
        session.handle_end().unwrap();
    }
}

#[test]
fn the_file_of_the_page_is_stored() {
    let examples = examples();
    assert_eq!(examples.len(), 2);
    let mut sessions = [Session::new(), Session::new()];
    let m = "message";
    assert_eq!(play(&examples[1], &mut sessions), [m, "ready", m, m, "stored"]);

    // Every digest is that of the bytes it is said to be of.
    let digest = |bytes: &[u8]| Digest(Sha256::digest(bytes).into());
    let mut content = Vec::new();
    let mut names = Vec::new();
    for shown in &examples[1] {
        match Message::decode(shown.kind(), shown.payload()).unwrap() {
            Message::FileOpen(open) => {
                assert_eq!((open.name, open.size), ("hello.txt", Some(6)));
                assert_ne!(open.key.0, [0; 16]);
            }
            Message::FileData(data) => content.extend_from_slice(data.bytes),
            Message::FileDone(done) => assert_eq!(done.digest, digest(&content)),
            Message::FileStatus(status) => {
                let held = usize::try_from(status.offset).unwrap();
                assert_eq!(status.digest, digest(&content[..held]));
                names.push(status.code.name().unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(content, b"hello\n");
    assert_eq!(names, ["ready", "stored"]);
    let about = examples[1].iter().flat_map(|shown| &shown.about);
    let named: Vec<_> = about.filter(|about| names.contains(about)).collect();
    assert_eq!(named, [&"ready", &"stored"]);
}
