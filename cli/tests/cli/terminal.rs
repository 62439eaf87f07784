//! No text of a peer reaches a terminal or a log raw, wherever it is shown: messages, names, reasons,
//! answers, JSON values, captures, and certificates.

use std::io::Write;
use std::net::{Shutdown, TcpListener, UdpSocket};
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use unstick_session::message::{Close, Code, FileCancel, Hello, Message};

use crate::support::*;

/// A text with every character that a terminal may interpret, or hide, or show elsewhere, and where it
/// is from.
fn evil(from: &str) -> String {
    let mut text = format!("from {from} ");
    text.extend(unsafe_chars());
    text.push_str("\" end");
    text
}

fn unsafe_chars() -> impl Iterator<Item = char> {
    let ranges = [
        ('\u{1}', '\u{1f}'),
        ('\u{7f}', '\u{9f}'),
        ('\u{ad}', '\u{ad}'),
        ('\u{61c}', '\u{61c}'),
        ('\u{180e}', '\u{180e}'),
        ('\u{200b}', '\u{200f}'),
        ('\u{2028}', '\u{202e}'),
        ('\u{2060}', '\u{206f}'),
        ('\u{feff}', '\u{feff}'),
        ('\u{fff9}', '\u{fffb}'),
        ('\u{e0000}', '\u{e007f}'),
    ];
    ranges.into_iter().flat_map(|(first, last)| first..=last)
}

/// A `file-open` with a name that no sender of this project writes, and that is refused.
fn open_evil(id: u32, from: &str) -> Vec<u8> {
    let mut name = format!("from {from} \u{1b}\r\n\u{7f}\u{9b}\u{ad}\u{200b}\u{202e}\u{2066}");
    name.push_str("\u{feff}\u{fffa}\u{e0041}\" end");
    let mut frame = open(id, 1, Some(3), &"x".repeat(name.len()));
    let start = frame.len() - name.len();
    frame[start..].copy_from_slice(name.as_bytes());
    frame
}

/// Asserts that an output is lines of safe characters, and that the text from there is in it.
#[track_caller]
fn safe(output: &str, from: &[&str]) {
    for line in output.lines() {
        let found = line.chars().find(|c| *c != '\t' && unsafe_chars().any(|other| other == *c));
        assert_eq!(found, None, "{line:?}");
    }
    for from in from {
        assert!(output.contains(&format!("from {from} ")), "{from} is missing in {output}");
    }
}

fn text_of(done: &Done) -> String {
    format!("{}\n{}", done.stdout, done.stderr)
}

const MODES: [&[&str]; 2] = [&[], &["--json"]];

#[test]
fn what_a_peer_sends_to_a_listener_is_shown_safely() {
    let folder = Folder::new("terminal-listen");
    for args in MODES {
        let inbox = folder.str("inbox");
        let args = [&["--dir", &inbox, "--preview", "2000"], args].concat();
        let listen = Listen::start(&args);
        let (name, reason) = (evil("name"), evil("reason"));
        let hello = message(Message::Hello(Hello { limit: 1 << 20, name: &name }));
        let cancel = FileCancel { id: 2, code: Code::CANCELLED, reason: &evil("cancel") };
        let close = Message::Close(Close { code: Code(0x8001), reason: &reason });
        talk(
            &listen.connect(),
            &[
                hello,
                frame(TEXT, evil("message").as_bytes()),
                open_evil(1, "file name"),
                open(2, 2, Some(3), "file"),
                message(Message::FileCancel(cancel)),
                message(close),
            ]
            .concat(),
        );
        listen.err.line("from reason ");
        let shown = text_of(&listen.interrupt());
        safe(&shown, &["name", "message", "cancel", "reason"]);
    }
}

#[test]
fn a_stored_name_cannot_forge_another_column() {
    let folder = Folder::new("terminal-name");
    let listen = Listen::start(&["--dir", &folder.str("inbox")]);
    let name = "a\"  sha256 0000";
    let mut peer = Peer::new(listen.connect());
    assert_eq!(peer.send(1, 1, name, b"content"), "stored");
    let line = listen.out.line("sha256");
    assert!(line.contains(r#"  "a\"  sha256 0000"  sha256 "#), "{line}");
}

#[test]
fn a_value_of_the_dialect_is_shown_safely() {
    let folder = Folder::new("terminal-dialect");
    for args in MODES {
        let inbox = folder.str("inbox");
        let listen = Listen::start(&[&["--format", "i32le", "--dir", &inbox], args].concat());
        let dialect = |value: &serde_json::Value| {
            let payload = value.to_string();
            let len = i32::try_from(payload.len()).unwrap();
            [&len.to_le_bytes(), payload.as_bytes()].concat()
        };
        for item in [
            serde_json::json!({ "msg_type": evil("type") }),
            serde_json::json!({ "msg_type": "file", "file_name": evil("file") }),
        ] {
            let mut stream = listen.connect();
            stream.write_all(&[dialect(&item), dialect(&item)].concat()).unwrap();
            let _ = stream.shutdown(Shutdown::Write);
            let mut back = Vec::new();
            let _ = std::io::Read::read_to_end(&mut stream, &mut back);
        }
        listen.err.line("from file ");
        safe(&text_of(&listen.interrupt()), &["type", "file"]);
    }
}

#[test]
fn what_a_server_answers_is_shown_safely() {
    let folder = Folder::new("terminal-send");
    let path = folder.write("file", b"content");
    for args in MODES {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr().unwrap().to_string();
        let answers = thread::spawn(move || {
            let mut peer = Peer::new(server.accept().unwrap().0);
            let hello = Message::Hello(Hello { limit: 1 << 20, name: &evil("server") });
            peer.write(&message(hello)).write(&frame(TEXT, evil("answer").as_bytes()));
            while peer.next().is_some_and(|(kind, _)| kind != 0x11) {}
            let close = Message::Close(Close { code: Code(0x8001), reason: &evil("reason") });
            peer.write(&message(close));
            while peer.next().is_some() {}
        });
        let done = finish(unstick().args(["send", &addr, "--expect-reply", &path]).args(args), b"");
        drop(answers);
        assert_eq!(done.code, 1, "{done:?}");
        safe(&text_of(&done), &["answer", "reason"]);
    }
}

#[test]
fn a_datagram_is_shown_safely() {
    for args in MODES {
        let listen = Listen::of(unstick().args(["listen", "udp:127.0.0.1:0"]).args(args));
        let addr = listen.addr.strip_prefix("udp:").unwrap_or(&listen.addr).to_owned();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&frame(TEXT, evil("datagram").as_bytes()), addr).unwrap();
        listen.out.line("from datagram ");
        safe(&text_of(&listen.interrupt()), &["datagram"]);
    }
}

#[test]
fn a_capture_is_shown_safely() {
    let hello = Message::Hello(Hello { limit: 1 << 20, name: &evil("name") });
    let close = Message::Close(Close { code: Code(0x8001), reason: &evil("reason") });
    let capture = [
        message(hello),
        frame(TEXT, evil("message").as_bytes()),
        open_evil(1, "file"),
        message(close),
    ]
    .concat();
    for args in MODES {
        let done = run(&[&["inspect", "-", "--preview", "2000"], args].concat(), &capture);
        assert_eq!(done.code, 0, "{done:?}");
        safe(&text_of(&done), &["message"]);
        if args.is_empty() {
            safe(&text_of(&done), &["name", "reason"]);
        }
    }
}

#[test]
fn a_name_in_a_certificate_is_shown_safely() {
    let folder = Folder::new("terminal-tls");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.2".to_owned()]).unwrap();
    let uri = format!("urn:{}", "x\u{1b}[31m\u{7f}");
    params.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().unwrap()));
    params.subject_alt_names.push(rcgen::SanType::DnsName("a\u{1b}]0;x\u{7}".try_into().unwrap()));
    let certificate = params.self_signed(&key).unwrap();
    let (cert, secret) = (
        folder.write("cert.pem", certificate.pem().as_bytes()),
        folder.write("key.pem", key.serialize_pem().as_bytes()),
    );
    let listen = Listen::start(&["--tls-cert", &cert, "--tls-key", &secret]);
    let done = finish(
        unstick().args(["send", &listen.addr, "--tls-ca", &cert, "--text", "x", "--timeout", "5"]),
        b"",
    );
    assert_eq!(done.code, 1, "{done:?}");
    safe(&text_of(&done), &[]);
    assert!(done.stderr.contains(r"\u{1b}]0;x\u{7}"), "{done:?}");
    safe(&text_of(&listen.interrupt()), &[]);
}
