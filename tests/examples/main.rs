//! The examples, run as programs and talked to over sockets.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use unstick::io::{FrameReader, FrameWriter};
use unstick::{Kind, U32Be};

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
    fn start(name: &str) -> Self {
        let mut command = program(name);
        command.arg("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null());
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
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_echo_server_sends_every_frame_back_to_its_client() {
    let server = Server::start("echo");
    let sockets: Vec<_> = (0..20_u8).map(|i| (i, server.socket())).collect();
    for (i, socket) in sockets {
        let mut writer = FrameWriter::new(socket.try_clone().unwrap());
        let mut reader = FrameReader::new(socket);
        for payload in [vec![i], vec![], vec![i; 100_000]] {
            writer.send(Kind::BINARY, &payload).unwrap();
            let frame = reader.next_frame().unwrap().unwrap();
            assert_eq!((frame.meta, frame.payload), (Kind::BINARY, &payload[..]));
        }
    }

    // In pieces of one byte, two frames at once, and then what is none.
    let mut socket = server.socket();
    let two = b"\xf5\x01\x01\0\0\0\x02\xf2hi".repeat(2);
    for byte in &two {
        socket.write_all(&[*byte]).unwrap();
    }
    socket.write_all(b"GET /").unwrap();
    let mut back = Vec::new();
    let end = socket.read_to_end(&mut back);
    assert!(end.is_ok() || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
    assert_eq!(back, two);
}

#[test]
fn a_format_of_ones_own_is_spoken_over_a_socket() {
    let server = Server::start("custom_format");
    let mut socket = server.socket();
    let said = b"S\0\x07\0\x02hiS\x01\0\0\0";
    for piece in said.chunks(3) {
        socket.write_all(piece).unwrap();
    }
    let mut back = vec![0; said.len()];
    socket.read_exact(&mut back).unwrap();
    assert_eq!(back, said);
    socket.write_all(b"L\0\x07\0\0").unwrap();
    assert_eq!(socket.read(&mut back).unwrap(), 0);

    // A letter that is none, and a message that is too long for its limit.
    for bad in [&b"X"[..], b"S\0\0\xff\xff"] {
        let mut socket = server.socket();
        socket.write_all(bad).unwrap();
        assert_eq!(socket.read(&mut back).unwrap(), 0);
    }
}

/// `LengthDelimitedCodec` on the client's side: it speaks the same.
#[test]
#[cfg(feature = "tokio-util")]
fn a_framed_server_keeps_all_but_its_codec() {
    use futures::{SinkExt, StreamExt};
    use tokio_util::bytes::Bytes;
    use tokio_util::codec::{Framed, LengthDelimitedCodec};

    let server = Server::start("framed");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let conversations = async {
        let clients = (0..20_u8).map(async |i| {
            let socket = tokio::net::TcpStream::connect(server.addr).await.unwrap();
            let mut framed = Framed::new(socket, LengthDelimitedCodec::new());
            for payload in [vec![b'a' + i], vec![], vec![b'a' + i; 300_000]] {
                framed.send(Bytes::from(payload.clone())).await.unwrap();
                let reply = framed.next().await.unwrap().unwrap();
                assert_eq!(reply, payload.to_ascii_uppercase());
            }
        });
        futures::future::join_all(clients).await;
    };
    runtime.block_on(async { tokio::time::timeout(SOON, conversations).await }).unwrap();

    // A length over the limit ends the connection, and nothing is sent back.
    let mut socket = server.socket();
    socket.write_all(b"\0\0\0\x02hi\0\x10\0\x01").unwrap();
    let mut back = Vec::new();
    socket.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"\0\0\0\x02HI");
}

/// Serves one request with these bytes, in pieces of this many.
fn serve_http(response: &'static [u8], piece: usize) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        for piece in response.chunks(piece) {
            if socket.write_all(piece).is_err() {
                break; // it has seen enough
            }
        }
        String::from_utf8(request).unwrap()
    });
    let output = output(program("http_response").args([&addr, "/a.txt"]));
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /a.txt HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: {addr}\r\n")), "{request}");
    output
}

#[test]
fn an_http_response_is_a_header_and_a_payload() {
    let response =
        b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 12\r\n\r\nhello\r\n\r\nyouand more";
    for piece in [1, 7, 1000] {
        let got = serve_http(response, piece);
        assert!(got.status.success(), "{got:?}");
        assert_eq!(got.stdout, b"hello\r\n\r\nyou");
        assert_eq!(got.stderr, b"status 200, 12 bytes\n");
    }
    let got = serve_http(b"HTTP/1.1 204 No Content\r\n\r\n", 3);
    assert!(got.status.success() && got.stdout.is_empty(), "{got:?}");

    let refused: [(&[u8], &str); 7] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello", "Truncated"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "Custom"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1", "Custom"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1", "Custom"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n1", "Custom"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n1", "Oversize"),
        (b"SSH-2.0-OpenSSH\r\n", "Custom"),
    ];
    for (response, why) in refused {
        let got = serve_http(response, 1);
        let said = String::from_utf8(got.stderr).unwrap();
        assert!(!got.status.success() && said.contains(why), "{said}");
        assert!(got.stdout.is_empty());
    }
}

#[test]
fn a_format_that_exists_is_read_without_an_allocator() {
    let got = output(&mut program("existing_format"));
    assert!(got.status.success(), "{got:?}");
    let said = String::from_utf8(got.stdout).unwrap();
    assert!(said.contains("PDU [03, 00, 6b, 00, 02]"), "{said}");
}

#[test]
#[cfg(feature = "embedded-io-async")]
fn readings_arrive_over_a_lossy_serial_line() {
    let got = output(&mut program("embassy_serial"));
    assert!(got.status.success() && got.stderr.is_empty(), "{got:?}");
    let said = String::from_utf8(got.stdout).unwrap();
    assert!(said.contains("bytes skipped)\n"), "{said}");
    assert!(said.contains("\n100 readings arrived, "), "{said}");
}

#[test]
fn udp_readings() {
    let printed = output(&mut program("udp_readings"));
    assert!(printed.status.success(), "{printed:?}");
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.starts_with("RecvStats { datagrams: "), "{printed}");
    for sensor in 0..3 {
        let line = format!("sensor {sensor}: reading 1000 is the newest\n");
        assert!(printed.contains(&line), "{printed}");
    }
}

/// The clock of a wait does not begin again with each byte that arrives.
#[test]
fn a_response_that_trickles_in_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let response = *b"\0\0\0\x06\0\0\0\x01HI";
        for byte in response {
            // The client may have gone.
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
    });
    let got = output(program("request_response").args([&addr, "hi"]));
    assert!(got.status.success(), "{got:?}");
    assert_eq!(String::from_utf8(got.stdout).unwrap(), "hi: no response within 500ms\n");
    server.join().unwrap();
}

/// A client of the chat, which speaks JSON after a length of four bytes.
struct Guest {
    reader: FrameReader<TcpStream, U32Be>,
    writer: FrameWriter<TcpStream, U32Be>,
}

impl Guest {
    fn join(server: &Server, name: &str) -> Self {
        let socket = server.socket();
        let reader = FrameReader::with_framing(socket.try_clone().unwrap(), U32Be);
        let mut guest = Self { reader, writer: FrameWriter::with_framing(socket, U32Be) };
        guest.writer.send((), format!(r#"{{"join":"{name}"}}"#)).unwrap();
        assert_eq!(guest.hears(), format!(r#"{{"joined":{{"name":"{name}"}}}}"#));
        guest
    }

    fn says(&mut self, text: &str) {
        self.writer.send((), format!(r#"{{"say":"{text}"}}"#)).unwrap();
    }

    /// The next event; nothing at the end of the stream.
    fn hears(&mut self) -> String {
        let frame = self.reader.next_frame().unwrap();
        frame.map(|frame| String::from_utf8(frame.payload.to_vec()).unwrap()).unwrap_or_default()
    }
}

#[test]
fn a_chat_tells_everybody_and_says_goodbye() {
    let mut server = Server::start("chat");
    let mut ann = Guest::join(&server, "ann");
    let mut bob = Guest::join(&server, "bob");
    assert_eq!(ann.hears(), r#"{"joined":{"name":"bob"}}"#);
    for (text, speaker) in [("hello", true), ("", false), ("粘包", true)] {
        let name = if speaker { "ann" } else { "bob" };
        if speaker { &mut ann } else { &mut bob }.says(text);
        let said = format!(r#"{{"said":{{"name":"{name}","text":"{text}"}}}}"#);
        assert_eq!((ann.hears(), bob.hears()), (said.clone(), said));
    }

    // The longest name and text make an event that all can be sent.
    let (long, text) = ("n".repeat(16_000), "x".repeat(16_000));
    let mut eve = Guest::join(&server, &long);
    eve.says(&text);
    drop(eve.hears());
    drop(eve);
    for guest in [&mut ann, &mut bob] {
        assert_eq!(guest.hears(), format!(r#"{{"joined":{{"name":"{long}"}}}}"#));
        assert!(guest.hears().ends_with(&format!(r#""text":"{text}"}}}}"#)));
        assert_eq!(guest.hears(), format!(r#"{{"left":{{"name":"{long}"}}}}"#));
    }

    // One that is not understood leaves, and nobody else.
    let mut eve = Guest::join(&server, "eve");
    assert_eq!(ann.hears(), r#"{"joined":{"name":"eve"}}"#);
    eve.writer.send((), "no JSON").unwrap();
    assert_eq!(ann.hears(), r#"{"left":{"name":"eve"}}"#);
    let mut silent = server.socket(); // never joins
    silent.write_all(b"\xff\xff\xff\xff").unwrap(); // over the limit
    assert_eq!(silent.read(&mut [0]).unwrap_or_default(), 0);

    // One that ends its stream leaves too.
    assert_eq!(bob.hears(), r#"{"joined":{"name":"eve"}}"#);
    assert_eq!(bob.hears(), r#"{"left":{"name":"eve"}}"#);
    bob.writer.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!((bob.hears(), bob.hears()), (r#""bye""#.into(), String::new()));
    assert_eq!(ann.hears(), r#"{"left":{"name":"bob"}}"#);

    #[cfg(unix)]
    {
        let _no_guest = server.socket(); // never joins, and does not delay the end
        let id = server.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert_eq!((ann.hears(), ann.hears()), (r#""bye""#.into(), String::new()));
        assert!(server.child.wait().unwrap().success());
    }
    #[cfg(not(unix))]
    let _ = &mut server;
}

/// A client that reads all the time is not dropped because another one sends much at once.
#[test]
fn a_burst_of_one_client_of_the_chat_drops_no_other() {
    let server = Server::start("chat");
    let mut ann = Guest::join(&server, "ann");
    let mut bob = Guest::join(&server, "bob");
    assert_eq!(ann.hears(), r#"{"joined":{"name":"bob"}}"#);
    let reader = thread::spawn(move || {
        for n in 0..1_000 {
            assert_eq!(ann.hears(), format!(r#"{{"said":{{"name":"bob","text":"{n}"}}}}"#));
        }
    });
    for n in 0..1_000 {
        bob.writer.feed((), format!(r#"{{"say":"{n}"}}"#)).unwrap();
    }
    bob.writer.flush().unwrap(); // all in one write
    reader.join().unwrap();
}

/// The others hear everything while one of them reads nothing, and that one is dropped.
#[test]
fn a_slow_client_of_the_chat_is_dropped_and_delays_nobody() {
    let server = Server::start("chat");
    let mut ann = Guest::join(&server, "ann");
    let slow = Guest::join(&server, "slow"); // reads nothing from here on
    assert_eq!(ann.hears(), r#"{"joined":{"name":"slow"}}"#);
    let text = "x".repeat(15_000);
    let said = format!(r#"{{"said":{{"name":"ann","text":"{text}"}}}}"#);
    let began = std::time::Instant::now();
    let mut left = false;
    // More than the buffers of the system and the queue hold.
    for _ in 0..2_000 {
        ann.says(&text);
        let mut event = ann.hears();
        if event == r#"{"left":{"name":"slow"}}"# {
            left = true;
            event = ann.hears();
        }
        assert_eq!(event.len(), said.len());
        if left {
            break;
        }
    }
    if !left {
        assert_eq!(ann.hears(), r#"{"left":{"name":"slow"}}"#);
    }
    assert!(began.elapsed() < 3 * SOON);
    drop(slow);
}

#[test]
fn responses_come_in_any_order_and_a_slow_one_is_not_waited_for() {
    let server = Server::start("request_response");
    let addr = server.addr.to_string();
    let got = output(program("request_response").args([&addr, "hello", "slow one", "", "goodbye"]));
    assert!(got.status.success() && got.stderr.is_empty(), "{got:?}");
    let said = String::from_utf8(got.stdout).unwrap();
    assert_eq!(said, "hello: HELLO\nslow one: no response within 500ms\n: \ngoodbye: GOODBYE\n");

    // The ids of a client come back with their responses, the slow one last.
    let socket = server.socket();
    let mut writer = FrameWriter::with_framing(&socket, U32Be);
    for (id, text) in [(7, "slow"), (9, "a"), (8, "b")] {
        writer.feed((), [&u32::to_be_bytes(id), text.as_bytes()].concat()).unwrap();
    }
    writer.flush().unwrap();
    let mut reader = FrameReader::with_framing(&socket, U32Be);
    let mut ids: Vec<u8> =
        (0..3).map(|_| reader.next_frame().unwrap().unwrap().payload[3]).collect();
    assert_eq!(ids.pop(), Some(7));
    ids.sort_unstable();
    assert_eq!(ids, [8, 9]);

    // A payload without an id ends the connection.
    writer.send((), "no").unwrap();
    assert!(matches!(reader.next_frame(), Ok(None) | Err(unstick::io::ReadError::Io(_))));
}
