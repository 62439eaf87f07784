//! Reads hexadecimal text from `xxd`, `hexdump -C` or `tcpdump -X`: a column of offsets, the bytes,
//! and a column of text.

use crate::term::hex::{self, HexReader};

/// The maximum length of a dump's line, and the number of characters after which the kind of the
/// text is decided.
const MAX_LINE_LEN: usize = 512;
/// The hint for a dump that is not understood.
const HINT: &str = "for a dump with offsets use `xxd -p FILE | unstick inspect --hex`";

/// Reads hexadecimal text in pieces of any size, with or without columns of offsets and text.
pub(crate) struct DumpReader {
    state: State,
}

enum State {
    /// The text so far, until it is long enough to tell which kind it is.
    Undecided(Vec<u8>),
    Plain(HexReader),
    Dump(Dump),
}

impl DumpReader {
    pub(crate) fn new() -> Self {
        Self { state: State::Undecided(Vec::new()) }
    }

    /// Appends to `out` the bytes that `text` completes.
    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match &mut self.state {
            State::Plain(reader) => reader.push(text, out).map_err(|error| error.to_string()),
            State::Dump(dump) => dump.push(text, out),
            State::Undecided(held) => {
                held.extend_from_slice(text);
                let begin = held.iter().position(|byte| !byte.is_ascii_whitespace());
                let first = held.get(begin.unwrap_or(held.len())..).unwrap_or_default();
                if first.len() < MAX_LINE_LEN && !first.contains(&b'\n') {
                    return Ok(());
                }
                self.decide(out)
            }
        }
    }

    /// Ends the text, and appends the bytes of its last line to `out`.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if matches!(self.state, State::Undecided(_)) {
            self.decide(out)?;
        }
        match &mut self.state {
            State::Plain(reader) => reader.finish().map_err(|error| error.to_string()),
            State::Dump(dump) => dump.push(b"\n", out),
            State::Undecided(_) => Ok(()),
        }
    }

    fn decide(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let State::Undecided(held) = &mut self.state else { return Ok(()) };
        let held = std::mem::take(held);
        let first = held.trim_ascii_start().split(|&byte| byte == b'\n').next();
        let is_dump = looks_like_dump(&String::from_utf8_lossy(first.unwrap_or_default()))?;
        self.state = if is_dump {
            State::Dump(Dump { line: Vec::new(), number: 0, next: None })
        } else {
            State::Plain(HexReader::new())
        };
        self.push(&held, out)
    }
}

/// Returns whether the first line begins with an offset; an error if that is ambiguous.
fn looks_like_dump(line: &str) -> Result<bool, String> {
    if split(line).is_some() {
        return Ok(true);
    }
    let (first, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let zeros = first.len() >= 6 && first.bytes().all(|byte| byte == b'0');
    let odd = first.len() == 7 && first.bytes().all(|byte| byte.is_ascii_hexdigit());
    // `od` and plain `hexdump`: their columns may be octal, or words in the host's byte order.
    if !rest.trim().is_empty() && (odd || (zeros && first.len() < 8)) {
        return Err(format!("line 1: `{first}` looks like an offset; {HINT}"));
    }
    Ok(false)
}

/// Splits a dump's line into its offset and its bytes in hexadecimal.
fn split(line: &str) -> Option<(u64, &str)> {
    let line = line.trim();
    let hexadecimal = |text: &str, min_len: usize| {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let fits = (min_len..=16).contains(&text.len());
        (digits && fits).then(|| u64::from_str_radix(text, 16).ok())?
    };
    // `00000010: 6869 2021  hi !`; `tcpdump -X` has `0x` and fewer digits.
    if let Some((offset, rest)) = line.split_once(':') {
        let at = match offset.strip_prefix("0x") {
            Some(digits) => hexadecimal(digits, 4),
            None => hexadecimal(offset, 7),
        };
        if at.is_some() && (rest.is_empty() || rest.starts_with([' ', '\t'])) {
            let rest = rest.trim_start();
            let bytes = rest.split_once("  ").map_or(rest, |(bytes, _)| bytes);
            return at.map(|at| (at, bytes));
        }
    }
    // `00000010  68 69 20  21 |hi !|`, and the last line with only the end offset.
    let (offset, rest) = line.split_at_checked(line.find(' ').unwrap_or(line.len()))?;
    let at = hexadecimal(offset, 7)?;
    let bytes = rest.split_once('|').map_or(rest, |(bytes, _)| bytes);
    (offset.len() == 8 && rest.starts_with("  ")).then_some((at, bytes))
}

/// The reader of a dump.
struct Dump {
    line: Vec<u8>,
    number: u64,
    /// The expected offset of the next line.
    next: Option<u64>,
}

impl Dump {
    fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        for &byte in text {
            if byte != b'\n' {
                if self.line.len() == MAX_LINE_LEN {
                    return Err(format!("line {}: too long for a dump; {HINT}", self.number + 1));
                }
                self.line.push(byte);
                continue;
            }
            self.number += 1;
            let line = std::mem::take(&mut self.line);
            let number = self.number;
            self.read_line(&line, out).map_err(|why| format!("line {number}: {why}; {HINT}"))?;
        }
        Ok(())
    }

    fn read_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let line = String::from_utf8_lossy(line);
        if line.trim().is_empty() {
            return Ok(());
        }
        if line.trim() == "*" {
            return Err("the dump leaves out lines that repeat".to_owned());
        }
        let (at, bytes) = match split(&line) {
            Some(found) => found,
            // The last line has only the end offset.
            None => match (u64::from_str_radix(line.trim(), 16), self.next) {
                (Ok(at), Some(next)) if at == next => return Ok(()),
                _ => return Err("no offset stands in front".to_owned()),
            },
        };
        if self.next.is_some_and(|next| next != at) {
            return Err("the offset does not fit the bytes before it".to_owned());
        }
        let bytes = hex::parse(bytes).map_err(|error| {
            error.split_once(": ").map_or(error.clone(), |(_, why)| why.to_owned())
        })?;
        self.next = Some(at.saturating_add(bytes.len() as u64));
        out.extend_from_slice(&bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, step: usize) -> Result<Vec<u8>, String> {
        let (mut reader, mut out) = (DumpReader::new(), Vec::new());
        for piece in text.as_bytes().chunks(step) {
            reader.push(piece, &mut out)?;
        }
        reader.finish(&mut out)?;
        Ok(out)
    }

    const XXD: &str = "\
00000000: f501 0100 0000 0af2 6162 2063 6420 6566  ........ab cd ef
00000010: 2020                                       
";
    const HEXDUMP: &str = "\
00000000  f5 01 01 00 00 00 0a f2  61 62 20 63 64 20 65 66  |........ab cd ef|
00000010  20 20                                             |  |
00000012
";
    const TCPDUMP: &str = "
\t0x0000:  f501 0100 0000 0af2 6162 2063 6420 6566  ........ab.cd.ef
\t0x0010:  2020                                     ..
";

    #[test]
    fn dumps_are_read_as_their_bytes() {
        let bytes = b"\xf5\x01\x01\0\0\0\x0a\xf2ab cd ef  ";
        let single = "00000000: f5 01 01 00 00 00 0a f2  ........\n00000008: 61 62 20 63 64 20 65 66  ab cd ef\n00000010: 20 20\n";
        let later = XXD.replace("000000", "0000ab").replace("0000ab00 0af2", "0000 0af2");
        for text in [XXD, HEXDUMP, TCPDUMP, single, XXD.trim_end(), &later] {
            for step in [1, 7, 1000] {
                assert_eq!(read(text, step).unwrap(), bytes, "{text}");
            }
        }
    }

    #[test]
    fn text_without_offsets_is_plain_hex() {
        let plain =
            ["f50101", "f5010100 000002f2 6869", "\n\n  f5:01:01", "00000000 02", "0x00,0x01"];
        for text in plain {
            assert_eq!(read(text, 3).unwrap(), hex::parse(text).unwrap(), "{text}");
        }
        let long = "f5 ".repeat(10_000);
        assert_eq!(read(&long, 1000).unwrap(), [0xf5; 10_000]);
        assert!(read("", 1).unwrap().is_empty());
    }

    #[test]
    fn offsets_are_never_read_as_bytes() {
        for (text, why) in [
            ("0000000 01f5 0001\n", "line 1: `0000000` looks like an offset"), // hexdump
            ("0000000 000765 000001\n", "line 1: `0000000` looks like an offset"), // od
            ("000000 f5 01 01\n", "line 1: `000000` looks like an offset"),    // od -A x -t x1
            ("00000000: 00 00\n*\n00000020: 00\n", "line 2: the dump leaves out lines"),
            ("00000000: 00 00\n00000003: 00\n", "line 2: the offset does not fit"),
            ("00000000: 00 00\n01 02\n", "line 2: no offset stands in front"),
            ("00000000: 00 0g\n", "line 1: `g` does not belong in hexadecimal text"),
            ("00000000: 00 0\n", "line 1: the hexadecimal text ends in the middle of a byte"),
        ] {
            let error = read(text, 4).unwrap_err();
            assert!(error.starts_with(why), "{error}");
            assert!(error.ends_with(HINT), "{error}");
        }
    }
}
