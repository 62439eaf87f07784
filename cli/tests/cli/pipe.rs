//! `unstick encode` and `unstick decode` in pipes.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::*;

/// Runs the command with this input, and returns its exit code, standard output and standard error.
fn pipe(args: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
    let mut command: Command = unstick();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        // An error of the command may end it first.
        let _ = stdin.write_all(&input);
    });
    let done = child.wait_with_output().unwrap();
    writing.join().unwrap();
    (done.status.code().unwrap(), done.stdout, String::from_utf8(done.stderr).unwrap())
}

#[test]
fn lines_become_frames_and_lines_again_in_every_format() {
    let lines = "one\n二x\nlast\n".as_bytes();
    for format in
        ["v1", "v2", "u32be", "varint", "crlf", "cobs", "slip", "hdlc", "netstring", "lsp"]
    {
        let (code, frames, err) = pipe(&["encode", "--format", format], lines);
        assert_eq!((code, err.as_str()), (0, ""), "{format}");
        let (code, text, err) = pipe(&["decode", "--format", format], &frames);
        assert_eq!((code, err.as_str()), (0, ""), "{format}");
        assert_eq!(text, lines, "{format}");
    }
    assert_eq!(pipe(&["encode", "--format", "u16be"], b"\nhi\n").1, b"\0\0\0\x02hi");
    assert_eq!(pipe(&["encode", "--kind", "0x41"], b"hi\n").1, frame(0x41, b"hi"));
}

#[test]
fn files_and_binary_messages_round_trip() {
    let folder = Folder::new("pipe-files");
    let (a, b) = (folder.write("a", b"\0\n\xff"), folder.write("b", b""));
    let frames = pipe(&["encode", "--format", "u8", &a, &b], b"").1;
    assert_eq!(frames, b"\x03\0\n\xff\0");
    let decode = |args: &[&str]| pipe(&[&["decode", "--format", "u8"], args].concat(), &frames).1;
    assert_eq!(decode(&["--raw"]), b"\0\n\xff");
    assert_eq!(decode(&["-0"]), b"\0\n\xff\0\0");
    let json = String::from_utf8(decode(&["--json"])).unwrap();
    let events: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["hex"], &events[1]["text"]), (&"000aff".into(), &"".into()));
    let encode =
        |args: &[&str], input| pipe(&[&["encode", "--format", "u8"], args].concat(), input).1;
    assert_eq!(encode(&["--whole"], b"a\nb"), b"\x03a\nb");
    assert_eq!(encode(&["-0"], b"a\0b"), b"\x01a\x01b");
    assert_eq!(encode(&["--delimiter", "3b"], b"a;b;"), b"\x01a\x01b");
}

#[test]
fn what_came_before_an_error_is_there() {
    let (code, out, err) = pipe(&["decode", "--format", "u16be"], b"\0\x02hi\0\x05cut");
    assert_eq!((code, &out[..]), (1, &b"hi\n"[..]));
    assert!(err.contains("byte 9: the stream ended inside a payload"), "{err}");
    let (code, out, err) =
        pipe(&["encode", "--format", "u8"], &[b"short\n", &[b'x'; 300][..]].concat());
    assert_eq!((code, &out[..6]), (1, &b"\x05short"[..]));
    assert!(
        err.contains("message 2 (300 bytes): ") || err.contains("line 2 of standard input"),
        "{err}"
    );
    let (code, _, err) = pipe(&["encode", "--format", "http2"], b"x\n");
    assert_eq!(code, 2, "{err}");
}

/// In a pipe a message passes as soon as it is complete.
#[test]
fn messages_pass_one_by_one() {
    let spawn = |args: &[&str]| {
        let mut command: Command = unstick();
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child)
    };
    let (mut lines, mut frames, mut encoding) = spawn(&["encode"]);
    let (mut wire, mut text, mut decoding) = spawn(&["decode"]);
    for round in 0..3 {
        lines.write_all(format!("line {round}\n").as_bytes()).unwrap();
        let mut passed = vec![0; 8 + 6];
        frames.read_exact(&mut passed).unwrap();
        // The next frame has begun, too.
        wire.write_all(
            &[&passed[..], if round == 2 { b"" } else { b"\xf5" }].concat()
                [usize::from(round > 0)..],
        )
        .unwrap();
        let mut line = [0; 7];
        text.read_exact(&mut line).unwrap();
        assert_eq!(line, format!("line {round}\n").as_bytes());
    }
    drop((lines, wire));
    assert_eq!((wait(&mut encoding), wait(&mut decoding)), (0, 0));
}

#[test]
fn a_file_of_frames_is_decoded() {
    let folder = Folder::new("pipe-decode-file");
    let file = folder.write("frames", b"\0\x03abc\0\x01d");
    let decode = |args: &[&str], input: &[u8]| {
        pipe(&[&["decode", "--format", "u16be"], args].concat(), input)
    };
    assert_eq!(decode(&[&file], b"").1, b"abc\nd\n");
    assert_eq!(decode(&["-"], b"\0\x01e").1, b"e\n");
    let (code, _, err) = decode(&["/no/such/file"], b"");
    assert!(code == 1 && err.contains("cannot open /no/such/file: No such file"), "{err}");
    let (code, _, err) = decode(&[&folder.str("")], b"");
    assert!(code == 1 && err.contains("cannot read ") && !err.contains("standard input"), "{err}");
}
