//! Peers in Python with independent framing code, in both directions and under every cut.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::*;

const CUTS: [&str; 4] = ["1", "all", "char", "header"];
const TEXTS: [&str; 4] = ["hello", "", "粘包 mixed 𠮷", "é"];
const ANSWERS: &str = "HELLO\n\n粘包 MIXED 𠮷\nÉ\n";

/// Returns a command for a script of `tests/peer`. A missing `python3` fails the test.
fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    command.arg(format!("{}/../tests/peer/{script}", env!("CARGO_MANIFEST_DIR")));
    command
}

/// Runs a Python client against `unstick listen`.
fn client(script: &str, script_args: &[&str], listen_args: &[&str]) {
    let listen = Listen::start(&[&["--reply", "upper"], listen_args].concat());
    let (host, port) = listen.addr.rsplit_once(':').unwrap();
    for cut in CUTS {
        let mut client = python(script);
        client.args(["send", host, port, "--cut", cut]).args(script_args).args(TEXTS);
        finish(&mut client, b"").succeeds(ANSWERS);
    }
    let done = listen.interrupt();
    assert_eq!(done.code, 0);
    assert_eq!(done.stdout.matches("\"粘包 mixed 𠮷\"").count(), CUTS.len(), "{done:?}");
    assert_eq!(done.stderr.matches("ended after 4 messages").count(), CUTS.len(), "{done:?}");
}

/// Runs `unstick send` against a Python server.
fn server(script: &str, script_args: &[&str], send_args: &[&str]) {
    for cut in CUTS {
        let mut server = python(script)
            .args(["serve", "--cut", cut])
            .args(script_args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed");
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let addr = format!("127.0.0.1:{}", port.trim());
        let texts = TEXTS.iter().flat_map(|text| ["--text", text]);
        let mut send = unstick();
        send.args(["send", &addr, "--expect-reply"]).args(send_args).args(texts);
        finish(&mut send, b"").succeeds(ANSWERS);
        assert_eq!(wait(&mut server), 0, "{script} {cut}");
    }
}

#[test]
fn a_python_v1_client_is_answered() {
    client("v1.py", &["--ping"], &[]);
}

#[test]
fn a_python_v1_server_answers() {
    server("v1.py", &[], &[]);
}

#[test]
fn a_python_little_endian_client_is_answered() {
    client("plain.py", &["--order", "little"], &["--format", "i32le"]);
}

#[test]
fn a_python_little_endian_server_answers() {
    server("plain.py", &["--order", "little"], &["--format", "i32le"]);
}

#[test]
fn a_python_big_endian_client_is_answered() {
    client("plain.py", &["--order", "big"], &["--format", "i32be"]);
}

#[test]
fn a_python_big_endian_server_answers() {
    server("plain.py", &["--order", "big"], &["--format", "i32be"]);
}
