//! Reads bytes as tools print them: plain hexadecimal text; dumps with columns of offsets and of text;
//! the packets that `tcpdump -X` and `tshark -x` print; and both sides of a connection, as Wireshark's
//! "Follow stream" does.

mod columns;
mod line;
mod plain;

pub(crate) use columns::{Columns, Dumped, parse};
pub(crate) use plain::PlainReader;

use line::Line;

/// The number of bytes of text that are looked at to decide which kind it is.
pub(crate) const DECIDE_LEN: usize = 16 << 10;
/// The hint for a dump that is not understood.
const HINT: &str = "for a dump with offsets use `xxd -p FILE | unstick inspect --hex`";

/// Returns whether text that begins like this has columns, or is in sections; an error if that cannot
/// be decided.
pub(crate) fn has_columns(beginning: &str) -> Result<bool, String> {
    let lines: Vec<_> = beginning.lines().collect();
    let mut titled = false;
    for (i, text) in lines.iter().enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        if text.starts_with("Follow: ") {
            return Ok(true);
        }
        if let Some(line) = Line::split(text) {
            let next = lines.get(i + 1).and_then(|next| Line::split(next));
            if line.is_certain() || next.is_some_and(|next| columns::follows(&line, &next)) {
                return Ok(true);
            }
        }
        let (first, rest) = text.trim().split_once([' ', '\t']).unwrap_or((text.trim(), ""));
        let digits = first.bytes().all(|byte| byte.is_ascii_hexdigit());
        let zeros = matches!(first.len(), 6 | 7) && first.bytes().all(|byte| byte == b'0');
        // `od` and plain `hexdump`: their columns may be octal, or words in the host's byte order.
        if digits && !rest.trim().is_empty() && (first.len() == 7 || zeros) {
            return Err(format!("line {}: `{first}` looks like an offset; {HINT}", i + 1));
        }
        // A title has other letters than digits; text that begins with digits is plain.
        if !titled && (text.split_whitespace().all(is_plain_word) || text.len() > 1024) {
            return Ok(false);
        }
        titled = true;
    }
    Ok(false)
}

/// Returns whether the first line is whole, and shows that text is plain.
pub(crate) fn is_plain(beginning: &[u8]) -> bool {
    let begun = beginning.trim_ascii_start();
    let Some(end) = begun.iter().position(|byte| *byte == b'\n') else { return false };
    let line = std::str::from_utf8(begun.get(..end).unwrap_or_default()).unwrap_or("-");
    let (first, rest) = line.trim().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
    // Offsets are wider than a byte, and there is something after them.
    let bytes = first.len() == 2 || rest.is_empty();
    bytes && Line::split(line).is_none() && line.split_whitespace().all(is_plain_word)
}

/// Returns whether a word can be one of plain hexadecimal text.
fn is_plain_word(word: &str) -> bool {
    let strip = |c: char| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X' | '\\' | ',' | ':' | '-');
    word.chars().all(strip)
}

/// Returns what text looks like whose bytes are no frames, if it is a form of others.
pub(crate) fn looks_like(beginning: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(beginning).or_else(|error| {
        std::str::from_utf8(beginning.get(..error.valid_up_to()).unwrap_or_default())
    });
    let text = text.ok().filter(|text| text.len() >= 8)?;
    let hex = "hexadecimal text: try --hex";
    if has_columns(text).unwrap_or(true) {
        return Some(hex);
    }
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    if words.all(|word| is_plain_word(word) && word.len() > 1) {
        return Some(hex);
    }
    is_base64(text).then_some("base64: try `base64 -d FILE | unstick inspect`")
}

fn is_base64(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '\n' | '\r');
    let long = text.lines().next().is_some_and(|line| line.len() >= 16);
    let has = |is: fn(&char) -> bool| text.chars().any(|c| is(&c));
    let mixed = has(char::is_ascii_lowercase)
        && has(char::is_ascii_uppercase)
        && text.chars().any(|c| !c.is_ascii_hexdigit());
    long && mixed && text.chars().all(digit)
}

/// Returns what to do with text that is no hexadecimal, if it is another form of bytes.
pub(crate) fn advice(beginning: &str) -> Option<&'static str> {
    let begun = beginning.trim_start();
    let python = ["b'", "b\"", "bytearray(b"].iter().any(|quote| begun.starts_with(quote));
    if python {
        Some("this is how Python prints bytes; print them with `.hex()`")
    } else if begun.starts_with('[') {
        Some("this is a list of numbers; in Python print it with `bytes(list).hex()`")
    } else if is_base64(beginning) {
        Some("this is base64, not hexadecimal; try `base64 -d FILE | unstick inspect`")
    } else {
        None
    }
}
