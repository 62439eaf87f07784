//! The cookbook's formats, and servers that others wrote: each test starts one from Debian's
//! packages, in a folder of its own, and talks to it.
//!
//! They need those packages, and are run by `.ci/run`:
//!
//! ```console
//! cargo test -p unstick-cookbook --test servers -- --ignored
//! ```
//!
//! Without its package a test fails, and says which one it is.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use unstick::io::{FrameReader, ReadError};
use unstick::{DecodeError, Decoder, Format, Framing, OwnedFrame};
use unstick_cookbook::{
    dns, http2, kafka, mqtt, mysql, ninep, postgres, tls,
    websocket::{self, Opcode},
};

/// Nothing here takes so long, unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many bytes a read gives at most: the servers' own cuts, and smaller ones.
const CUTS: [usize; 3] = [usize::MAX, 1_000, 7];
/// The user `nobody`, for servers that refuse to run as root.
const NOBODY: u32 = 65_534;

/// Where a program of this package is. A test without it fails.
fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    // Where Debian has PostgreSQL's, a folder for each version.
    folders.extend(
        fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| version.path().join("bin")),
    );
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()).unwrap_or_else(
        || {
            panic!("{name} is missing: apt-get install {package}");
        },
    )
}

/// A folder that the server's user can write to.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    if is_root() {
        std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    dir
}

/// Whether these tests run as root, as which some servers refuse to run.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A program that runs in this folder, without root's rights, and writes what it says to a file.
fn command(name: &str, package: &str, dir: &Path) -> Command {
    let mut command = Command::new(program(name, package));
    let log = fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
    command.current_dir(dir).env("HOME", dir).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Runs a program to its end.
#[track_caller]
fn run(command: &mut Command, dir: &Path) {
    let status = command.status().unwrap();
    assert!(status.success(), "{status}: {}", fs::read_to_string(dir.join("log")).unwrap());
}

/// A server that ends with the test, whatever becomes of that.
struct Server {
    child: Child,
    dir: TempDir,
}

impl Server {
    fn start(command: &mut Command, dir: TempDir) -> Self {
        Self { child: command.spawn().unwrap(), dir }
    }

    /// What `connect` gives, once it does.
    fn connect<T>(&mut self, mut connect: impl FnMut(&Path) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(connected) = connect(self.dir.path()) {
                return connected;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || begin.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
                panic!("nobody answers ({ended:?}): {log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn tcp(&mut self, port: u16) -> TcpStream {
        let stream = self.connect(|_| TcpStream::connect(("127.0.0.1", port)).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens to, a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Gives a few bytes at a time.
struct Cut<R>(R, usize);

impl<R: Read> Read for Cut<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let most = buf.len().min(self.1);
        self.0.read(&mut buf[..most])
    }
}

/// The next frame, which has to come.
#[track_caller]
fn next<R: Read, F: Format>(reader: &mut FrameReader<R, F>) -> OwnedFrame<F::Meta> {
    reader.next_owned().unwrap().unwrap_or_else(|| panic!("the server ended the stream"))
}

/// All frames of a capture, read through the decoder in chunks of this size.
fn frames<F: Format>(framing: Framing<F>, bytes: &[u8], chunk: usize) -> Vec<(F::Meta, Vec<u8>)> {
    let mut decoder = Decoder::with_framing(framing);
    let mut frames: Vec<(F::Meta, Vec<u8>)> = Vec::new();
    for chunk in bytes.chunks(chunk.min(bytes.len())) {
        for piece in decoder.pieces(chunk) {
            let piece = piece.unwrap();
            if let Some(header) = piece.header {
                frames.push((header.meta, Vec::new()));
            }
            frames.last_mut().unwrap().1.extend_from_slice(piece.bytes);
        }
    }
    decoder.finish().unwrap();
    frames
}

#[test]
#[ignore = "needs PostgreSQL: apt-get install postgresql"]
fn postgres() {
    let dir = folder();
    let data = dir.path().join("data");
    let mut initdb = command("initdb", "postgresql", dir.path());
    initdb.arg("-D").arg(&data).args(["-U", "me", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"]);
    run(&mut initdb, dir.path());
    let mut start = command("postgres", "postgresql", dir.path());
    start.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]);
    start.arg(dir.path());
    let mut server = Server::start(&mut start, dir);

    for cut in CUTS {
        let (mut client, mut messages) = server.connect(|dir| postgres_login(dir, cut, b"").ok());
        let mut told = Vec::new();
        loop {
            let message = next(&mut messages);
            told.push((message.meta.kind, message.payload().to_vec()));
            if message.meta.kind == b'Z' {
                break;
            }
        }
        assert_eq!(told.last().unwrap().1, b"I");
        assert!(told.contains(&(b'S', b"client_encoding\0UTF8\0".to_vec())), "{told:?}");
        assert!(told.iter().any(|(kind, payload)| *kind == b'K' && payload.len() == 8), "{told:?}");

        let mut query = |text: &str| {
            let bytes = [text.as_bytes(), b"\0"].concat();
            let mut out = Vec::new();
            postgres::framing().encode(postgres::Meta { kind: b'Q' }, &bytes, &mut out).unwrap();
            client.write_all(&out).unwrap();
        };
        query("select 1");
        for (kind, payload) in [
            (b'T', &b"\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"[..]),
            (b'D', b"\0\x01\0\0\0\x011"),
            (b'C', b"SELECT 1\0"),
            (b'Z', b"I"),
        ] {
            let message = next(&mut messages);
            assert_eq!((message.meta.kind, message.payload()), (kind, payload));
        }

        query("select n, repeat('x', n) from generate_series(1, 500) n");
        assert_eq!(next(&mut messages).meta.kind, b'T');
        for n in 1_u32..=500 {
            let (row, number) = (next(&mut messages), n.to_string());
            let len = u32::try_from(number.len()).unwrap().to_be_bytes();
            let text = "x".repeat(usize::try_from(n).unwrap());
            let expected =
                [b"\0\x02", &len[..], number.as_bytes(), &n.to_be_bytes(), text.as_bytes()];
            assert_eq!((row.meta.kind, row.payload()), (b'D', &expected.concat()[..]));
        }
        assert_eq!([next(&mut messages), next(&mut messages)].map(|m| m.meta.kind), *b"CZ");

        // A row over the limit of 1 MiB, which is known to end, and then the next message.
        query("select repeat('x', 2000000)");
        assert_eq!(next(&mut messages).meta.kind, b'T');
        match messages.next_owned() {
            Err(ReadError::Decode(DecodeError::Oversize { len, limit, .. })) => {
                assert_eq!((len, limit), (2 + 4 + 2_000_000, 1 << 20));
            }
            other => panic!("{other:?}"),
        }
        messages.buf_mut().skip_frame().unwrap();
        assert_eq!([next(&mut messages), next(&mut messages)].map(|m| m.meta.kind), *b"CZ");

        let mut out = Vec::new();
        postgres::framing().encode(postgres::Meta { kind: b'X' }, b"", &mut out).unwrap();
        client.write_all(&out).unwrap();
        assert!(messages.next_owned().unwrap().is_none());
    }

    // A startup message is as long as the server's limit, and one byte longer.
    let used = postgres_startup(b"").len();
    let (_, mut messages) =
        postgres_login(server.dir.path(), 9, &vec![b'x'; 10_000 - used]).unwrap();
    assert_eq!(next(&mut messages).meta.kind, b'R');
    assert!(postgres_login(server.dir.path(), 9, &vec![b'x'; 10_001 - used]).is_err());
}

/// The payload of a startup message, with this name of the application.
fn postgres_startup(name: &[u8]) -> Vec<u8> {
    [b"\0\x03\0\0user\0me\0database\0postgres\0application_name\0", name, b"\0\0"].concat()
}

/// A stream to the server, and what it says behind its answers to a request for TLS and to the
/// startup message. An error if it ends the stream, or is not ready yet.
#[allow(clippy::type_complexity)]
fn postgres_login(
    dir: &Path,
    cut: usize,
    name: &[u8],
) -> Result<(UnixStream, FrameReader<Cut<UnixStream>, unstick_cookbook::Postgres>), String> {
    let mut client = UnixStream::connect(dir.join(".s.PGSQL.5432")).map_err(|e| e.to_string())?;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let framing = postgres::startup_framing().with_limit(20_000);
    let mut out = Vec::new();
    framing.encode((), 80_877_103_u32.to_be_bytes(), &mut out).unwrap();
    client.write_all(&out).map_err(|e| e.to_string())?;
    let mut answer = [0];
    client.read_exact(&mut answer).map_err(|e| e.to_string())?;
    assert_eq!(&answer, b"N", "a server without a certificate declines TLS");
    out.clear();
    framing.encode((), postgres_startup(name), &mut out).unwrap();
    client.write_all(&out).map_err(|e| e.to_string())?;
    let stream = Cut(client.try_clone().unwrap(), cut);
    let mut messages = FrameReader::with_framing(stream, postgres::framing());
    match messages.next_owned() {
        Ok(Some(first)) if first.meta.kind == b'R' => {
            assert_eq!(first.payload(), [0; 4]);
            let (stream, unread) = messages.into_inner();
            let messages = FrameReader::with_framing(stream, postgres::framing());
            // Once more, from its beginning.
            let unread = [b"R\0\0\0\x08\0\0\0\0", &unread[..]].concat();
            Ok((client, messages.with_unread(&unread)))
        }
        other => Err(format!("{other:?}")),
    }
}

#[test]
#[ignore = "needs MariaDB: apt-get install mariadb-server"]
fn mysql() {
    let dir = folder();
    let data = format!("--datadir={}", dir.path().join("data").display());
    let mut install = command("mariadb-install-db", "mariadb-server", dir.path());
    install.args(["--no-defaults", &data, "--auth-root-authentication-method=normal"]);
    install.arg("--skip-test-db");
    run(&mut install, dir.path());
    let mut start = command("mariadbd", "mariadb-server", dir.path());
    let socket = format!("--socket={}", dir.path().join("socket").display());
    start.args(["--no-defaults", &data, &socket, "--skip-networking", "--skip-log-bin"]);
    start.args(["--max-allowed-packet=64M", "--pid-file=pid"]);
    let mut server = Server::start(&mut start, dir);

    for cut in [usize::MAX, 1_000_001] {
        let client = server.connect(|dir| UnixStream::connect(dir.join("socket")).ok());
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut send = {
            let mut client = client.try_clone().unwrap();
            move |sequence, payload: &[u8]| {
                let mut out = Vec::new();
                mysql::framing().encode(mysql::Meta { sequence }, payload, &mut out).unwrap();
                client.write_all(&out).unwrap();
            }
        };
        let stream = Cut(client.try_clone().unwrap(), cut);
        let mut packets = FrameReader::with_framing(stream, mysql::framing());
        let greeting = next(&mut packets);
        assert_eq!((greeting.meta.sequence, greeting.payload()[0]), (0, 10));
        let version = String::from_utf8_lossy(greeting.payload());
        assert!(version.contains("MariaDB"), "{version}");
        // HandshakeResponse41: capabilities, the largest packet, a character set, the user.
        let capabilities: u32 = 0x200 | 0x8000 | 0x80000;
        let login = [
            &capabilities.to_le_bytes()[..],
            &(64_u32 << 20).to_le_bytes(),
            &[45],
            &[0; 23],
            b"root\0\0mysql_native_password\0",
        ];
        send(1, &login.concat());
        let ok = next(&mut packets);
        assert_eq!((ok.meta.sequence, ok.payload()[0]), (2, 0), "{ok:?}");

        send(0, b"\x03select 1");
        let answer: Vec<_> = (1..=5).map(|_| next(&mut packets)).collect();
        let sequences: Vec<_> = answer.iter().map(|packet| packet.meta.sequence).collect();
        assert_eq!(sequences, [1, 2, 3, 4, 5]);
        assert_eq!((answer[0].payload(), answer[3].payload()), (&b"\x01"[..], &b"\x011"[..]));

        // A row that fills one packet exactly, and one that goes over two: of the payload 4 and 9
        // bytes say how long the text is.
        const MOST: usize = (1 << 24) - 1;
        for (text, prefix, lens) in
            [(MOST - 4, 4, [MOST, 0]), (20_000_000, 9, [MOST, 20_000_009 - MOST])]
        {
            send(0, format!("\x03select repeat('x', {text})").as_bytes());
            for sequence in 1..=3 {
                assert_eq!(next(&mut packets).meta.sequence, sequence);
            }
            let mut row = Vec::new();
            for (sequence, len) in (4..).zip(lens) {
                let packet = next(&mut packets);
                assert_eq!((packet.meta.sequence, packet.payload().len()), (sequence, len));
                assert_eq!(mysql::is_continued(len as u64), len == MOST);
                row.extend_from_slice(packet.payload());
            }
            assert_eq!(row.len(), text + prefix);
            assert!(row[prefix..].iter().all(|byte| *byte == b'x'));
            assert_eq!(next(&mut packets).meta.sequence, 6);
        }
        send(0, b"\x01");
        assert!(packets.next_owned().unwrap().is_none());
    }
}

/// Starts a broker that listens for MQTT, and for MQTT over WebSocket; their ports.
fn mosquitto() -> (Server, u16, u16) {
    let dir = folder();
    let (plain, web) = (free_port(), free_port());
    let config = format!(
        "allow_anonymous true\nlistener {plain} 127.0.0.1\nlistener {web} 127.0.0.1\n\
         protocol websockets\n"
    );
    fs::write(dir.path().join("config"), config).unwrap();
    let mut start = command("mosquitto", "mosquitto", dir.path());
    (Server::start(start.args(["-c", "config"]), dir), plain, web)
}

/// More than the longest of the texts below has.
const LONGEST: u64 = 3 << 20;

fn mqtt_packet(packet_type: mqtt::PacketType, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let framing = mqtt::framing().with_limit(LONGEST);
    framing.encode(mqtt::Meta::new(packet_type), payload, &mut out).unwrap();
    out
}

/// The packets with which a client says who it is, and subscribes to `a/b`.
fn mqtt_hello() -> Vec<u8> {
    let connect = b"\0\x04MQTT\x04\x02\0\x3c\0\x07unstick";
    [
        mqtt_packet(mqtt::PacketType::Connect, connect),
        mqtt_packet(mqtt::PacketType::Subscribe, b"\0\x0a\0\x03a/b\0"),
    ]
    .concat()
}

/// Texts whose packets have a remaining length of one byte, and of two, three and four.
const MQTT_TEXTS: [usize; 8] = [0, 122, 123, 16_378, 16_379, 70_000, 2_097_146, 2_097_147];

fn mqtt_texts(lens: &[usize]) -> Vec<Vec<u8>> {
    lens.iter().map(|len| vec![b'x'; *len]).collect()
}

fn mqtt_publish(text: &[u8]) -> Vec<u8> {
    mqtt_packet(mqtt::PacketType::Publish, &[b"\0\x03a/b", text].concat())
}

/// What the broker says to `mqtt_hello`, and then to each of the texts.
fn mqtt_answers(lens: &[usize]) -> Vec<(mqtt::Meta, Vec<u8>)> {
    use mqtt::{Meta, PacketType};
    let mut answers = vec![
        (Meta::new(PacketType::ConnAck), b"\0\0".to_vec()),
        (Meta::new(PacketType::SubAck), b"\0\x0a\0".to_vec()),
    ];
    answers.extend(
        mqtt_texts(lens)
            .iter()
            .map(|text| (Meta::new(PacketType::Publish), [b"\0\x03a/b", &text[..]].concat())),
    );
    answers
}

#[test]
#[ignore = "needs Mosquitto: apt-get install mosquitto"]
fn mqtt() {
    let (mut server, port, _) = mosquitto();
    for cut in CUTS {
        let mut client = server.tcp(port);
        let stream = Cut(client.try_clone().unwrap(), cut);
        let framing = mqtt::framing().with_limit(LONGEST);
        let mut packets = FrameReader::with_framing(stream, framing);
        client.write_all(&mqtt_hello()).unwrap();
        let mut texts = mqtt_texts(&MQTT_TEXTS).into_iter();
        for (i, (meta, payload)) in mqtt_answers(&MQTT_TEXTS).into_iter().enumerate() {
            let packet = next(&mut packets);
            assert_eq!(packet.meta, meta);
            assert!(packet.payload() == payload, "{} bytes", payload.len());
            if i > 0 {
                if let Some(text) = texts.next() {
                    let mut sender = client.try_clone().unwrap();
                    thread::spawn(move || sender.write_all(&mqtt_publish(&text)));
                }
            }
        }
        client.write_all(&mqtt_packet(mqtt::PacketType::PingReq, b"")).unwrap();
        let pong = next(&mut packets);
        assert_eq!(
            (pong.meta.packet_type, &pong.to_bytes()[..]),
            (mqtt::PacketType::PingResp, &b"\xd0\0"[..])
        );
        client.write_all(&mqtt_packet(mqtt::PacketType::Disconnect, b"")).unwrap();
        assert!(packets.next_owned().unwrap().is_none());
    }
}

#[test]
#[ignore = "needs Mosquitto: apt-get install mosquitto"]
fn websocket() {
    let (mut server, _, port) = mosquitto();
    for cut in CUTS {
        let mut client = server.tcp(port);
        client
            .write_all(
                b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                  Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            )
            .unwrap();
        // The answer of HTTP, up to its blank line and no further.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        // RFC 6455, section 1.3, has this answer to this key.
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");

        let sender = client.try_clone().unwrap();
        let send = move |opcode, bytes: &[u8]| {
            let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
            let meta = websocket::Meta { mask, ..websocket::Meta::new(opcode) };
            let mut payload = bytes.to_vec();
            meta.unmask(0, &mut payload);
            let mut out = Vec::new();
            let framing = websocket::framing().with_limit(LONGEST);
            framing.encode(meta, &payload, &mut out).unwrap();
            let mut sender = sender.try_clone().unwrap();
            thread::spawn(move || sender.write_all(&out));
        };
        send(Opcode::Binary, &mqtt_hello());
        let stream = Cut(client.try_clone().unwrap(), cut);
        let framing = websocket::framing().with_limit(LONGEST);
        let mut reader = FrameReader::with_framing(stream, framing);
        // The broker's frames are cut where it likes: their payloads are the stream of packets.
        let mut decoder = Decoder::with_framing(mqtt::framing().with_limit(LONGEST));
        let mut packets: Vec<(mqtt::Meta, Vec<u8>)> = Vec::new();
        // Longer ones take this broker minutes.
        let lens = &MQTT_TEXTS[..6];
        let (answers, mut texts) = (mqtt_answers(lens), mqtt_texts(lens).into_iter());
        let mut whole = 0;
        while whole < answers.len() {
            let frame = next(&mut reader);
            let opcode = frame.meta.opcode;
            assert!(matches!(opcode, Opcode::Binary | Opcode::Continuation), "{:?}", frame.meta);
            assert_eq!((frame.meta.mask, frame.meta.rsv), (None, 0));
            for piece in decoder.pieces(frame.payload()) {
                let piece = piece.unwrap();
                if let Some(header) = piece.header {
                    packets.push((header.meta, Vec::new()));
                }
                packets.last_mut().unwrap().1.extend_from_slice(piece.bytes);
                if piece.last {
                    whole += 1;
                    if whole >= 2 {
                        if let Some(text) = texts.next() {
                            send(Opcode::Binary, &mqtt_publish(&text));
                        }
                    }
                }
            }
        }
        assert!(packets == answers);
        send(Opcode::Ping, b"hello");
        let pong = next(&mut reader);
        assert_eq!(
            (pong.meta, pong.payload()),
            (websocket::Meta::new(Opcode::Pong), &b"hello"[..])
        );
    }
}

/// Passes one connection on to a server, and keeps what both sides said.
fn tap(server: TcpStream) -> (u16, thread::JoinHandle<[Vec<u8>; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let pump = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
            loop {
                let n = from.read(&mut chunk).unwrap_or_default();
                if n == 0 || to.write_all(&chunk[..n]).is_err() {
                    let _ = to.shutdown(std::net::Shutdown::Write);
                    return all;
                }
                all.extend_from_slice(&chunk[..n]);
            }
        })
    };
    let both = thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let up = pump(client.try_clone().unwrap(), server.try_clone().unwrap());
        let down = pump(server, client);
        [up.join().unwrap(), down.join().unwrap()]
    });
    (port, both)
}

#[test]
#[ignore = "needs OpenSSL's command: apt-get install openssl"]
fn tls() {
    let dir = folder();
    let mut certificate = command("openssl", "openssl", dir.path());
    certificate.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]);
    run(certificate.args(["-keyout", "key.pem", "-out", "cert.pem"]), dir.path());
    fs::write(dir.path().join("file"), vec![b'x'; 200_000]).unwrap();
    let port = free_port();
    let mut start = command("openssl", "openssl", dir.path());
    start.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-WWW"]);
    let mut server = Server::start(start.args(["-cert", "cert.pem", "-key", "key.pem"]), dir);

    for (version, most) in [("-tls1_2", tls::MAX_PAYLOAD_LEN_TLS12), ("-tls1_3", 16_640)] {
        let (port, both) = tap(server.tcp(port));
        let dir = server.dir.path();
        let mut client = command("openssl", "openssl", dir);
        client.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), version, "-quiet"]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        client.stdin.take().unwrap().write_all(b"GET /file HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        client.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
        client.wait().unwrap();
        assert!(answer.ends_with(&[b'x'; 200_000]), "{version}: {} bytes", answer.len());

        let sides = both.join().unwrap();
        for (side, bytes) in sides.iter().enumerate() {
            for chunk in CUTS {
                let records = frames(tls::framing().with_limit(most), bytes, chunk);
                let (first, hello) = &records[0];
                assert_eq!(first.content_type, tls::ContentType::Handshake);
                // ClientHello is 1 and ServerHello 2.
                assert_eq!(usize::from(hello[0]), side + 1);
                assert!(records.iter().all(|(meta, _)| meta.version >> 8 == 3));
                let data = records
                    .iter()
                    .filter(|(meta, _)| meta.content_type == tls::ContentType::ApplicationData);
                let longest = data.map(|(_, payload)| payload.len()).max().unwrap();
                // A server fills its records, and what encryption adds is within the limit.
                assert_eq!(longest > 1 << 14, side == 1, "{version}: {longest}");
            }
        }
    }
}

#[test]
#[ignore = "needs dnsmasq: apt-get install dnsmasq-base"]
fn dns() {
    let dir = folder();
    let port = free_port();
    let mut start = command("dnsmasq", "dnsmasq-base", dir.path());
    start.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
    start.args([&format!("--port={port}"), "--listen-address=127.0.0.1", "--bind-interfaces"]);
    start.args(["--address=/unstick.test/192.0.2.7", "--pid-file"]);
    let mut server = Server::start(&mut start, dir);

    let query = |id: u16| {
        let [i0, i1] = id.to_be_bytes();
        let question = b"\x01\x00\x00\x01\0\0\0\0\0\0\x07unstick\x04test\0\0\x01\0\x01";
        [&[i0, i1], &question[..]].concat()
    };
    for cut in [usize::MAX, 3, 1] {
        let mut client = server.tcp(port);
        let mut out = Vec::new();
        for id in 1..=20 {
            dns::framing().encode((), query(id), &mut out).unwrap();
        }
        // The questions are cut too, in the middle of a length.
        let (front, back) = out.split_at(out.len() / 2 + 1);
        client.write_all(front).unwrap();
        client.write_all(back).unwrap();
        let stream = Cut(client.try_clone().unwrap(), cut);
        let mut answers = FrameReader::with_framing(stream, dns::framing());
        for id in 1..=20 {
            let answer = next(&mut answers);
            let payload = answer.payload();
            assert_eq!(payload[..2], query(id)[..2]);
            assert_eq!(payload[12..query(id).len()], query(id)[12..]);
            assert!(payload.ends_with(&[0, 4, 192, 0, 2, 7]), "{payload:02x?}");
        }
    }
}

#[test]
#[ignore = "needs nghttpd: apt-get install nghttp2-server"]
fn http2() {
    let dir = folder();
    let port = free_port();
    fs::write(dir.path().join("index.html"), vec![b'x'; 100_000]).unwrap();
    let mut start = command("nghttpd", "nghttp2-server", dir.path());
    start.args(["--no-tls", "--address=127.0.0.1", "-d", ".", &port.to_string()]);
    let mut server = Server::start(&mut start, dir);

    // What curl sends: settings with a window of 32 MiB for each stream, as much more for the
    // connection, and a request for `/`.
    let request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
        \x00\x00\x12\x04\0\0\0\0\0\x00\x03\0\0\0\x64\x00\x04\x02\0\0\0\x00\x02\0\0\0\0\
        \x00\x00\x04\x08\0\0\0\0\0\x01\xff\0\x01\
        \x00\x00\x1f\x01\x05\0\0\0\x01\x82\x84\x86\x41\x8b\x08\x9d\x5c\x0b\x81\x70\xdc\x6d\xd7\x82\
        \xcf\x7a\x88\x25\xb6\x50\xc3\xab\xbc\xf2\xe1\x53\x03\x2a\x2f\x2a";
    for cut in CUTS {
        let mut client = server.tcp(port);
        client.write_all(request).unwrap();
        let stream = Cut(client.try_clone().unwrap(), cut);
        let mut frames = FrameReader::with_framing(stream, http2::framing());
        let first = next(&mut frames);
        assert_eq!((first.meta.kind, first.meta.stream), (http2::SETTINGS, 0));
        let (mut body, mut kinds) = (0, vec![first.meta.kind]);
        loop {
            let frame = next(&mut frames);
            kinds.push(frame.meta.kind);
            if frame.meta.kind == 0 {
                assert_eq!(frame.meta.stream, 1);
                assert!(frame.payload().iter().all(|byte| *byte == b'x'));
                body += frame.payload().len();
            }
            // END_STREAM, on DATA or HEADERS.
            if frame.meta.kind < 2 && frame.meta.flags & 1 != 0 {
                break;
            }
        }
        assert_eq!(body, 100_000, "{kinds:?}");
        assert!(kinds.contains(&1), "{kinds:?}");
        // A PING, and its answer.
        let mut out = Vec::new();
        let ping = http2::Meta { kind: 6, flags: 0, stream: 0 };
        http2::framing().encode(ping, b"unstick!", &mut out).unwrap();
        client.write_all(&out).unwrap();
        let pong = loop {
            let frame = next(&mut frames);
            if frame.meta.kind == 6 {
                break frame;
            }
        };
        assert_eq!((pong.meta.flags, pong.payload()), (1, &b"unstick!"[..]));
    }
}

#[test]
#[ignore = "needs kcat, for librdkafka's mock broker: apt-get install kcat"]
fn kafka() {
    let dir = folder();
    // A producer whose input does not end, with a broker of its own, which it names.
    let mut start = command("kcat", "kcat", dir.path());
    start.args(["-X", "test.mock.num.brokers=1", "-b", "none", "-P", "-t", "topic"]);
    let mut server = Server::start(start.stdin(Stdio::piped()), dir);
    let port = server.connect(|dir| {
        let log = fs::read_to_string(dir.join("log")).ok()?;
        let (_, broker) = log.split_once("replaced with 127.0.0.1:")?;
        broker.split_once('\n')?.0.parse().ok()
    });

    // ApiVersions, version 2, from a client called "unstick", a few times at once.
    let request = |correlation: u32| {
        [b"\x00\x12\x00\x02", &correlation.to_be_bytes()[..], b"\x00\x07unstick"].concat()
    };
    for cut in CUTS {
        let mut client = server.tcp(port);
        let mut out = Vec::new();
        for correlation in 1..=10 {
            kafka::framing().encode((), request(correlation), &mut out).unwrap();
        }
        client.write_all(&out).unwrap();
        let stream = Cut(client.try_clone().unwrap(), cut);
        let mut answers = FrameReader::with_framing(stream, kafka::framing());
        for correlation in 1_u32..=10 {
            let answer = next(&mut answers);
            assert_eq!(answer.payload()[..4], correlation.to_be_bytes());
            // No error, and at least one API.
            assert_eq!(answer.payload()[4..6], [0, 0]);
            assert!(answer.payload().len() > 12);
        }
    }
}

#[test]
#[ignore = "needs diod: apt-get install diod"]
fn ninep() {
    let dir = folder();
    let port = free_port();
    let mut start = command("diod", "diod", dir.path());
    start.args(["--foreground", "--no-auth", "--logdest", "stderr", "--config-file", "/dev/null"]);
    start.args(["--listen", &format!("127.0.0.1:{port}"), "--export"]).arg(dir.path());
    let mut server = Server::start(&mut start, dir);
    let folder = server.dir.path().display().to_string();

    let string = |text: &str| {
        let len = u16::try_from(text.len()).unwrap().to_le_bytes();
        [&len, text.as_bytes()].concat()
    };
    for cut in [usize::MAX, 5, 1] {
        let mut client = server.tcp(port);
        let stream = Cut(client.try_clone().unwrap(), cut);
        let mut messages = FrameReader::with_framing(stream, ninep::framing());
        let mut ask = |kind, tag, payload: &[u8]| {
            let mut out = Vec::new();
            ninep::framing().encode(ninep::Meta { kind, tag }, payload, &mut out).unwrap();
            client.write_all(&out).unwrap();
            next(&mut messages)
        };
        let version = [&8192_u32.to_le_bytes()[..], &string("9P2000.L")].concat();
        let answer = ask(ninep::TVERSION, ninep::NO_TAG, &version);
        assert_eq!(answer.meta, ninep::Meta { kind: 101, tag: ninep::NO_TAG });
        assert_eq!(answer.payload(), version);
        // Tattach: fid 1, no authentication, a user by number; it is answered with a qid.
        let [fid, none, uid] = [1, u32::MAX, NOBODY].map(u32::to_le_bytes);
        let attach = [&fid[..], &none, &string(""), &string(&folder), &uid].concat();
        let answer = ask(104, 7, &attach);
        assert_eq!(
            (answer.meta.kind, answer.meta.tag, answer.payload().len()),
            (105, 7, 13),
            "{answer:?}"
        );
        // Tgetattr of all fields; the mode that it answers is that of a folder.
        let answer = ask(24, 0xABCD, &[&fid[..], &u64::MAX.to_le_bytes()].concat());
        assert_eq!((answer.meta.kind, answer.meta.tag), (25, 0xABCD));
        assert_eq!(answer.payload()[22] & 0xF0, 0x40);
    }
}
