//! The Python client sends text and files to a receiver that is built on the library's session over
//! a plain socket: two independent implementations of messages and files.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use sha2::{Digest as _, Sha256};
use unstick::Kind;
use unstick::io::{FrameReader, FrameWriter};
use unstick_session::message::{
    Close, Code, Digest, Encoded, FileStatus, Hello, Message, ResumeKey,
};
use unstick_session::session::{Event, Session};

use crate::support::*;

const CLIENT: &str = r#"
import hashlib, socket, sys, unstick

content = bytes(i * 7 % 251 for i in range(200_000))
with unstick.Client(socket.create_connection(("127.0.0.1", int(sys.argv[1])))) as client:
    client.text("粘包")
    for name, data, key in [
        ("new.bin", content, None),
        ("empty.bin", b"", None),
        ("part.bin", content, b"k" * 16),
        ("other-part.bin", content, b"k" * 16),
        ("long-part.bin", content[:9], b"k" * 16),
        ("there.bin", content, None),
        ("there.bin", content, b"k" * 16),
        ("refused.bin", content, None),
    ]:
        status = client.file(name, data, key=key)
        same = status["digest"] == hashlib.sha256(data).digest()
        print(name, hex(status["code"]), status["offset"], same, status["reason"])
    client.text("")
    for event, message in client.close():
        print(event, message.get("text", ""))
"#;

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn content() -> Vec<u8> {
    (0..200_000_u32).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

/// A receiver that stores files in memory.
struct Receiver {
    session: Session,
    writer: FrameWriter<TcpStream>,
    parts: BTreeMap<(String, ResumeKey), Vec<u8>>,
    stored: BTreeMap<String, Vec<u8>>,
    open: Option<(String, ResumeKey)>,
    /// The number of data bytes received.
    received: usize,
}

impl Receiver {
    fn write(writer: &mut FrameWriter<TcpStream>, encoded: &Encoded<'_>) {
        writer.begin(encoded.kind(), encoded.payload_len()).unwrap();
        writer.payload(encoded.head()).unwrap();
        writer.payload(encoded.tail()).unwrap();
        writer.finish().unwrap();
        writer.flush().unwrap();
    }

    fn send_message(&mut self, message: &Message<'_>) {
        let encoded = self.session.send(message).unwrap();
        Self::write(&mut self.writer, &encoded);
    }

    /// Handles a frame. Returns whether it was the last.
    fn frame(&mut self, kind: Kind, payload: &[u8]) -> bool {
        match self.session.handle_frame(kind, payload).unwrap() {
            Event::Text(text) => {
                self.send_message(&Message::Text(&text.replace("粘包", "unstuck")))
            }
            Event::FileOpen(open) => {
                let place = (open.name.to_owned(), open.key);
                let status = match self.stored.get(open.name) {
                    _ if open.name == "refused.bin" => {
                        FileStatus::refused(open.id, Code::QUOTA, 0, "一天一个")
                    }
                    Some(there) if open.size == Some(there.len() as u64) => {
                        let same = (there.len() as u64, digest(there));
                        FileStatus::exists(open.id, Some(same))
                    }
                    Some(_) => FileStatus::exists(open.id, None),
                    None => {
                        let part = self.parts.entry(place.clone()).or_default();
                        if open.size.is_some_and(|size| size < part.len() as u64) {
                            part.clear();
                        }
                        FileStatus::ready(open.id, part.len() as u64, digest(part))
                    }
                };
                self.open = (!status.code.is_final()).then_some(place);
                self.send_message(&Message::FileStatus(status));
            }
            Event::FileData(data) => {
                let part = self.parts.get_mut(self.open.as_ref().unwrap()).unwrap();
                part.truncate(usize::try_from(data.offset).unwrap());
                part.extend(data.bytes);
                self.received += data.bytes.len();
            }
            Event::FileDone(done) => {
                let place = self.open.take().unwrap();
                let mut file = self.parts.remove(&place).unwrap();
                file.truncate(usize::try_from(done.total).unwrap());
                let answer = done.answer(digest(&file));
                assert_eq!(answer.code, Code::STORED);
                self.stored.insert(place.0, file);
                self.send_message(&Message::FileStatus(answer));
            }
            Event::Close(close) => {
                assert_eq!(close, Close::ORDINARY);
                self.send_message(&Message::Close(close));
                return true;
            }
            Event::Hello(_) | Event::Nothing => {}
            event => panic!("{event:?}"),
        }
        while let Some(encoded) = self.session.poll_transmit() {
            Self::write(&mut self.writer, &encoded);
        }
        false
    }
}

#[test]
fn the_python_client_sends_files() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let receiver = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut reader = FrameReader::new(socket.try_clone().unwrap());
        let key = ResumeKey([b'k'; 16]);
        let mut receiver = Receiver {
            session: Session::new(),
            writer: FrameWriter::new(socket),
            parts: BTreeMap::from([
                (("part.bin".to_owned(), key), content()[..70_000].to_vec()),
                (("other-part.bin".to_owned(), key), vec![1; 70_000]),
                (("long-part.bin".to_owned(), key), vec![1; 70_000]),
            ]),
            stored: BTreeMap::from([("there.bin".to_owned(), content())]),
            open: None,
            received: 0,
        };
        receiver.send_message(&Message::Hello(Hello { limit: 1 << 20, name: "test" }));
        while let Some(frame) = reader.next_frame().unwrap() {
            if receiver.frame(frame.meta, frame.payload) {
                break;
            }
        }
        receiver.writer.get_ref().shutdown(Shutdown::Write).unwrap();
        assert!(reader.next_frame().unwrap().is_none());
        receiver.session.handle_end().unwrap();
        assert_eq!((receiver.session.owed(), receiver.session.unanswered()), (0, 0));
        receiver
    });

    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    python.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/python"));
    finish(python.args(["-c", CLIENT, &port]), b"").succeeds(
        "new.bin 0x120 200000 True \n\
         empty.bin 0x120 0 True \n\
         part.bin 0x120 200000 True \n\
         other-part.bin 0x120 200000 True \n\
         long-part.bin 0x120 9 True \n\
         there.bin 0x121 200000 True \n\
         there.bin 0x121 200000 True \n\
         refused.bin 0x139 0 False 一天一个\n\
         hello \n\
         text unstuck\n\
         text \n\
         close \n",
    );
    let receiver = receiver.join().unwrap();
    for name in ["new.bin", "part.bin", "other-part.bin", "there.bin"] {
        assert_eq!(receiver.stored[name], content(), "{name}");
    }
    assert_eq!(receiver.stored["empty.bin"], b"");
    assert_eq!(receiver.stored["long-part.bin"], content()[..9]);
    assert!(!receiver.stored.contains_key("refused.bin"));
    // A matching part was not sent again; a differing one was replaced by the whole file.
    assert_eq!(receiver.received, 200_000 + 130_000 + 200_000 + 9);
}
