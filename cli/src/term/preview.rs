//! Formats payloads as one line of text that is safe to show: a peer's bytes never reach a terminal
//! raw.

use std::fmt::Write as _;

use unstick_session::message::Digest;

/// The maximum number of characters of a peer's reason that are shown.
const MAX_REASON: usize = 200;

/// Formats a payload as one line: in quotes if it is text, otherwise in hexadecimal. At most about
/// `width` characters are shown. `total` is the payload's length, of which `bytes` are the
/// beginning.
pub(crate) fn preview(bytes: &[u8], total: u64, width: usize) -> String {
    if total == 0 {
        return "(empty)".to_owned();
    }
    let cut = total > bytes.len() as u64;
    match text(bytes, cut) {
        Some(text) => quoted(text, bytes.len() < text.len() || cut, width),
        None => hex(bytes, total, width),
    }
}

/// Formats a payload like [`preview`], without quotes and escapes: for JSON, which has its own.
pub(crate) fn unquoted(bytes: &[u8], total: u64, width: usize) -> String {
    match text(bytes, total > bytes.len() as u64) {
        Some(text) => text.chars().take(width).collect(),
        None => hex(bytes, total, width),
    }
}

/// Returns the beginning of a payload as text, if it is text. An incomplete last character is
/// dropped if the payload is cut there.
fn text(bytes: &[u8], cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
    // Bytes that are valid UTF-8, but mostly control characters, are better shown in hexadecimal.
    .filter(|text| {
        if is_plain(text) {
            return true;
        }
        let controls = text.chars().filter(|c| c.is_control() && !c.is_ascii_whitespace()).count();
        controls * 2 <= text.chars().count()
    })
}

/// Whether all characters are of printable ASCII, as in most messages: none of them is unsafe.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn quoted(text: &str, cut: bool, width: usize) -> String {
    if text.len() <= width && is_plain(text) && !text.contains(['"', '\\']) {
        return ["\"", text, if cut { "\"…" } else { "\"" }].concat();
    }
    let mut out = String::from("\"");
    let mut used = 0;
    let mut rest = text.chars();
    for c in rest.by_ref() {
        if used >= width {
            out.push_str("\"…");
            return out;
        }
        let before = out.len();
        escape(c, &mut out);
        used += out.get(before..).unwrap_or_default().chars().count();
    }
    out.push('"');
    if cut {
        out.push('…');
    }
    out
}

/// Appends a character. One that a terminal may interpret, or that hides or reorders the text
/// around it, is escaped.
fn escape(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' | '\r' | '\t' => out.extend(c.escape_default()),
        _ if is_unsafe(c) => out.extend(c.escape_unicode()),
        _ => out.push(c),
    }
}

/// Whether a terminal may interpret the character, or show nothing for it, or another order.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Escapes the characters of a line that are [unsafe](is_unsafe); a tab stays. Every line that is
/// printed goes through it.
pub(crate) fn line(mut text: String) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return text;
    }
    if text.chars().any(|c| is_unsafe(c) && c != '\t') {
        let shown = std::mem::take(&mut text);
        for c in shown.chars() {
            if is_unsafe(c) && c != '\t' { escape(c, &mut text) } else { text.push(c) }
        }
    }
    text
}

/// Escapes the characters of a JSON text that are [unsafe](is_unsafe) and that JSON allows as they
/// are.
pub(crate) fn json_line(text: String) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.chars().any(is_unsafe) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Formats a name of a peer: in quotes, so that it cannot be taken for another part of the line.
pub(crate) fn name(name: &str) -> String {
    quoted(name, false, usize::MAX)
}

/// Returns the beginning of a reason that a peer gave, or that has its text, which may be as long as a frame.
pub(crate) fn reason(reason: &str) -> String {
    match reason.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
        None => reason.to_owned(),
    }
}

/// Formats the beginning of a digest, for people who compare it with another.
pub(crate) fn short_digest(digest: &Digest) -> String {
    format!("{}…", plain_hex(digest.0.get(..8).unwrap_or_default()))
}

/// Formats bytes in hexadecimal, with a space between bytes.
fn hex(bytes: &[u8], total: u64, width: usize) -> String {
    let max_bytes = (width / 3).max(1);
    let mut out = String::new();
    for (i, byte) in bytes.iter().take(max_bytes).enumerate() {
        if i > 0 {
            out.push(' ');
        }
        let _ = write!(out, "{byte:02x}");
    }
    if total > bytes.len().min(max_bytes) as u64 {
        out.push_str(" …");
    }
    out
}

/// Formats bytes in hexadecimal without spaces.
pub(crate) fn plain_hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> String {
        preview(bytes, bytes.len() as u64, 60)
    }

    #[test]
    fn text_is_quoted_and_other_bytes_are_hex() {
        assert_eq!(whole("粘包".as_bytes()), "\"粘包\"");
        assert_eq!(whole(b""), "(empty)");
        assert_eq!(whole(b"a\"b\\c\n"), r#""a\"b\\c\n""#);
        assert_eq!(whole(&[0, 255, 13, 10]), "00 ff 0d 0a");
        assert_eq!(whole(&[0, 1, 2]), "00 01 02");
        assert_eq!(whole(b"\x1b[31m"), r#""\u{1b}[31m""#);
        assert_eq!(whole(b"\x1bA"), r#""\u{1b}A""#);
        assert_eq!(whole(b"\0\0\0\x05hi"), "00 00 00 05 68 69");
        assert_eq!(unquoted(b"a\"b\ncde", 100, 5), "a\"b\nc");
        assert_eq!(unquoted(&[0xff, 0], 100, 5), "ff …");
    }

    #[test]
    fn plain_text_is_shown_like_any_other() {
        for (text, last) in [("plain", 'n'), ("plaiñ", 'ñ')] {
            let whole = format!("\"plai{last}\"");
            assert_eq!(quoted(text, false, 6), whole);
            assert_eq!(quoted(text, false, 5), whole);
            assert_eq!(quoted(text, true, 5), format!("{whole}…"));
            assert_eq!(quoted(text, false, 4), "\"plai\"…");
            assert_eq!(quoted(text, true, 0), "\"\"…");
        }
        assert_eq!(quoted("a\"b\\c", false, 9), r#""a\"b\\c""#);
        assert_eq!(quoted("", true, 0), "\"\"…");
    }

    #[test]
    fn control_characters_are_escaped() {
        let shown =
            whole("a long enough text \x1b]0;owned\x07 with \u{202e}turns\u{9b}".as_bytes());
        assert!(shown.contains(r"\u{1b}]0;owned\u{7}"), "{shown}");
        assert!(shown.contains(r"\u{202e}turns\u{9b}"), "{shown}");
        assert!(!shown.chars().any(is_unsafe), "{shown}");
    }

    #[test]
    fn every_unsafe_character_of_a_line_is_escaped_and_no_other() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = line(format!("a{c}b"));
            let as_it_is = c == '\t' || !is_unsafe(c);
            assert_eq!(text.contains(c), as_it_is, "{c:?}");
            assert!(text.chars().all(|c| c == '\t' || !is_unsafe(c)), "{c:?}");
            let value = serde_json::to_string(&format!("a{c}b")).unwrap();
            let text = json_line(value);
            assert!(!text.chars().any(is_unsafe), "{c:?}");
            assert_eq!(serde_json::from_str::<String>(&text).unwrap(), format!("a{c}b"));
        }
        assert_eq!(name("a\"  sha256 \u{9b}0m"), r#""a\"  sha256 \u{9b}0m""#);
    }

    #[test]
    fn long_payloads_are_shortened() {
        assert_eq!(preview(&[b'x'; 100], 100, 5), "\"xxxxx\"…");
        assert_eq!(preview(&[0xff; 100], 1 << 20, 6), "ff ff …");
        // Text that is cut inside a character is still text.
        let bytes = "粘包粘包".as_bytes();
        assert_eq!(preview(&bytes[..4], 12, 60), "\"粘\"…");
        assert_eq!(preview(&bytes[..4], 4, 60), "e7 b2 98 e5");
    }
}
