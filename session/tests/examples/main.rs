//! The examples, run as programs and talked to over sockets.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use unstick_session::io::{Connection, ConnectionError};
use unstick_session::message::{
    Close, Code, Digest, FileData, FileDone, FileOpen, Message, ResumeKey,
};
use unstick_session::session::Event;

const SOON: Duration = Duration::from_secs(10);

/// An example that `cargo test` built beside the tests.
fn program(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let built = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    let built = built.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        built.exists(),
        "{} is not built: `cargo test` does, `--test` alone needs `cargo build --examples` before",
        built.display()
    );
    Command::new(built)
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// A server that runs until it is dropped.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(name: &str, args: &[&Path]) -> Self {
        let mut command = program(name);
        command.arg("127.0.0.1:0").args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let addr = line.trim_end().strip_prefix("listening on ").expect(&line).parse().unwrap();
        Self { child, addr }
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.addr).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    }

    fn connect(&self) -> Connection<TcpStream> {
        Connection::new(self.socket())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server says next, which is a text.
fn text(connection: &mut Connection<TcpStream>) -> String {
    match connection.recv().unwrap() {
        Some(Event::Text(text)) => text.to_owned(),
        event => panic!("{event:?}"),
    }
}

#[test]
fn the_upper_case_server_answers_many_clients_and_keeps_the_rules() {
    let server = Server::start("uppercase", &[]);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        client.feed(&Message::Text(&format!("hello {i}, 粘包 ß"))).unwrap();
        client.feed(&Message::Ping(b"there?")).unwrap();
        client.feed(&Message::Text("")).unwrap();
    }
    for (i, client) in clients.iter_mut().enumerate() {
        let mut texts = Vec::new();
        let mut has_pong = false;
        while texts.len() < 2 || !has_pong {
            match client.recv().unwrap() {
                Some(Event::Text(text)) => texts.push(text.to_owned()),
                Some(Event::Pong(b"there?")) => has_pong = true,
                event => panic!("{event:?}"),
            }
        }
        assert_eq!(texts, [format!("HELLO {i}, 粘包 SS"), String::new()]);
        client.close(Close::ORDINARY, SOON).unwrap();
    }

    let mut stranger = server.socket();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stranger.shutdown(std::net::Shutdown::Write).unwrap();
    let mut connection = Connection::new(stranger);
    match connection.recv().unwrap() {
        Some(Event::Close(close)) => assert_eq!(close.code, Code::BAD_MAGIC),
        event => panic!("{event:?}"),
    }
    assert_eq!(connection.recv().unwrap(), None);
}

#[test]
fn the_greeter_greets_until_exit() {
    let server = Server::start("greeter", &[]);
    let mut client = server.connect();
    assert_eq!(text(&mut client), "Welcome!");
    for name in ["Ada", "粘包", ""] {
        client.send(&Message::Text(name)).unwrap();
        assert_eq!(text(&mut client), format!("Hello, {name}!"));
    }
    client.send(&Message::Text("exit")).unwrap();
    assert_eq!(client.recv().unwrap(), Some(Event::Close(Close::ORDINARY)));
    client.close(Close::ORDINARY, SOON).unwrap();

    // Or until the client has enough.
    let mut client = server.connect();
    assert_eq!(text(&mut client), "Welcome!");
    client.close(Close::ORDINARY, SOON).unwrap();
}

#[test]
fn the_service_bot_welcomes_and_answers_everything_alike() {
    let server = Server::start("service_bot", &[]);
    let mut client = server.connect();
    assert!(
        matches!(client.recv().unwrap(), Some(Event::Hello(hello)) if hello.name == "service bot")
    );
    assert!(text(&mut client).starts_with("Welcome to customer service."));
    client.feed(&Message::Text("Where is my parcel?")).unwrap();
    client.feed(&Message::Text("And the other one?")).unwrap();
    let answer = text(&mut client);
    assert_eq!(answer, "Thank you for your question. We will come back to you.");
    assert_eq!(text(&mut client), answer);
    client.close(Close::ORDINARY, SOON).unwrap();
}

/// Offers a file to the server, whole, and says what became of it.
fn upload(
    server: &Server,
    name: &str,
    bytes: &[u8],
    digest: Digest,
) -> Result<Code, ConnectionError> {
    let mut client = server.connect();
    let size = Some(bytes.len() as u64);
    let open = FileOpen { id: 1, key: ResumeKey([1; 16]), size, name };
    client.feed(&Message::FileOpen(open))?;
    client.feed(&Message::FileData(FileData { id: 1, offset: 0, bytes }))?;
    client.send(&Message::FileDone(FileDone { id: 1, total: bytes.len() as u64, digest }))?;
    let code = loop {
        match client.recv()?.expect("a final status") {
            Event::FileEnd(status) => break status.code,
            event => assert!(matches!(event, Event::FileReady(_)), "{event:?}"),
        }
    };
    client.close(Close::ORDINARY, SOON)?;
    Ok(code)
}

#[test]
fn the_upload_client_and_server_move_a_file() {
    let (from, inbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start("upload_server", &[inbox.path()]);
    let path = from.path().join("报告.bin");
    let content: Vec<_> = (0..5_000_000_u32).map(|i| (i / 7).to_le_bytes()[0]).collect();
    let send = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        output(program("upload_client").arg(server.addr.to_string()).arg(&path))
    };
    let sent = send(&content);
    assert!(sent.status.success(), "{sent:?}");
    let said = String::from_utf8(sent.stdout).unwrap();
    assert!(said.starts_with("报告.bin: stored, 5000000 bytes, SHA-256 "), "{said}");
    let stored = inbox.path().join("报告.bin");
    assert!(fs::read(&stored).unwrap() == content, "it arrived changed");

    // Nothing is replaced.
    let again = send(b"another one");
    assert!(!again.status.success(), "{again:?}");
    assert!(String::from_utf8(again.stderr).unwrap().contains("exists"));
    assert!(fs::read(&stored).unwrap() == content);

    // An empty one; and one whose digest is wrong, or that is cut, leaves nothing.
    assert_eq!(upload(&server, "wrong", b"bytes", Digest([1; 32])).unwrap(), Code::BAD_DIGEST);
    let mut cut = server.connect();
    let open = FileOpen { id: 1, key: ResumeKey([1; 16]), size: None, name: "cut" };
    cut.send(&Message::FileOpen(open)).unwrap();
    assert!(matches!(cut.recv().unwrap(), Some(Event::FileReady(_))));
    cut.send(&Message::FileData(FileData { id: 1, offset: 0, bytes: b"half" })).unwrap();
    drop(cut);
    let path = from.path().join("empty");
    fs::write(&path, b"").unwrap();
    let empty = output(program("upload_client").arg(server.addr.to_string()).arg(&path));
    assert!(empty.status.success(), "{empty:?}");
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(inbox.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for _ in 0..100 {
        if names().len() == 2 {
            break;
        }
        thread::sleep(SOON / 100); // the server has yet to see the cut
    }
    assert_eq!(names(), ["empty", "报告.bin"]);
}
