//! The picture of the README, `docs/cuts.svg`, drawn from what the decoder returns.
//!
//! The test fails if the committed picture differs; `UNSTICK_BLESS=1 cargo test --test picture` writes it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write;
use std::{env, fs};

use unstick::{Decoder, Framing, U32Be};

const MESSAGES: [&str; 3] = ["hello", "你好", "bye"];
/// The lengths of the reads in which the stream arrives: all at once, and in pieces that end inside a
/// header, inside a character, and after a frame's first byte.
const READS: [(&str, &[usize]); 2] = [("one read", &[26]), ("five reads", &[2, 9, 4, 5, 6])];

const LEFT: usize = 128;
const CELL: usize = 28;
const GAP: usize = 10;
const WIDTH: usize = LEFT + 26 * CELL + 5 * GAP;

const STYLE: &str = "
  text { font: 14px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
  .byte { font: 12px ui-monospace, monospace; text-anchor: middle }
  .message { font-weight: 600; text-anchor: middle }
  .read { fill: none; stroke: #57606a; stroke-width: 1.5 }
  .f0 { fill: #ddf4ff } .f1 { fill: #dafbe1 } .f2 { fill: #fff1cc }
  .h0 { fill: #80ccff } .h1 { fill: #6fdd8b } .h2 { fill: #eac54f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .read { stroke: #8d96a0 }
    .f0 { fill: #0c2d6b } .f1 { fill: #04401b } .f2 { fill: #4b2900 }
    .h0 { fill: #1158c7 } .h1 { fill: #196c2e } .h2 { fill: #845306 }
  }";

/// Returns the messages that a stream holds if it arrives in these reads.
fn decode(stream: &[u8], reads: &[usize]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::with_framing(Framing::new(U32Be));
    let (mut messages, mut message, mut rest) = (Vec::new(), Vec::new(), stream);
    for len in reads {
        let (read, after) = rest.split_at(*len);
        rest = after;
        for piece in decoder.pieces(read) {
            let piece = piece.unwrap();
            message.extend_from_slice(piece.bytes);
            if piece.last {
                messages.push(std::mem::take(&mut message));
            }
        }
    }
    assert!(rest.is_empty(), "the reads do not cover the stream");
    decoder.finish().unwrap();
    messages
}

fn text(svg: &mut String, class: &str, x: usize, y: usize, content: &str) {
    writeln!(svg, r#"<text class="{class}" x="{x}" y="{y}">{content}</text>"#).unwrap();
}

/// Draws the messages as boxes in one row.
fn row_of_messages<M: AsRef<[u8]>>(svg: &mut String, y: usize, label: &str, messages: &[M]) {
    text(svg, "", 8, y + 20, label);
    let mut x = LEFT;
    for (index, message) in messages.iter().enumerate() {
        let message = std::str::from_utf8(message.as_ref()).unwrap();
        let width = (message.len() + 4) * CELL - 4;
        writeln!(
            svg,
            r#"<rect class="f{index}" x="{x}" y="{y}" width="{width}" height="30" rx="6"/>"#
        )
        .unwrap();
        text(svg, "message", x + width / 2, y + 20, message);
        x += width + 4;
    }
}

/// Draws each byte as a cell in its frame's colour, and a box around those of one read.
fn row_of_bytes(
    svg: &mut String,
    y: usize,
    label: &str,
    bytes: &[(usize, bool, u8)],
    reads: &[usize],
) {
    text(svg, "", 8, y + 20, label);
    let (mut x, mut rest) = (LEFT, bytes);
    for len in reads {
        let (read, after) = rest.split_at(*len);
        rest = after;
        let width = len * CELL + 4;
        let left = x - 3;
        writeln!(
            svg,
            r#"<rect class="read" x="{left}" y="{y}" width="{width}" height="32" rx="5"/>"#
        )
        .unwrap();
        for &(frame, header, byte) in read {
            let class = if header { 'h' } else { 'f' };
            let top = y + 4;
            writeln!(
                svg,
                r#"<rect class="{class}{frame}" x="{x}" y="{top}" width="26" height="24"/>"#
            )
            .unwrap();
            let content = match char::from(byte) {
                letter @ 'a'..='z' if !header => letter.to_string(),
                _ => format!("{byte:02x}"),
            };
            text(svg, "byte", x + 13, y + 20, &content);
            x += CELL;
        }
        x += GAP;
    }
}

fn draw() -> String {
    let framing = Framing::new(U32Be);
    let (mut stream, mut bytes) = (Vec::new(), Vec::new());
    for (frame, message) in MESSAGES.iter().enumerate() {
        let start = stream.len();
        framing.encode((), message.as_bytes(), &mut stream).unwrap();
        let of_frame = stream.iter().enumerate().skip(start);
        bytes.extend(of_frame.map(|(at, byte)| (frame, at < start + 4, *byte)));
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 200\" role=\"img\">\n\
         <title>Three messages, however TCP cuts and joins their bytes</title>\n<style>{STYLE}\n</style>\n"
    );
    row_of_messages(&mut svg, 8, "sent", &MESSAGES);
    let mut y = 56;
    let mut returned = Vec::new();
    for (label, reads) in READS {
        row_of_bytes(&mut svg, y, label, &bytes, reads);
        returned.push(decode(&stream, reads));
        y += 48;
    }
    assert_eq!(returned[0], returned[1], "a cut changed the messages");
    row_of_messages(&mut svg, y + 2, "unstick returns", &returned[1]);
    svg + "</svg>\n"
}

#[test]
fn the_picture_shows_what_the_decoder_returns() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cuts.svg");
    let drawn = draw();
    if env::var_os("UNSTICK_BLESS").is_some() {
        fs::write(path, &drawn).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap();
    assert!(committed == drawn, "docs/cuts.svg differs: UNSTICK_BLESS=1 cargo test --test picture");
}
