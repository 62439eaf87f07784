//! A line of a dump: an offset, bytes, and often the same bytes as text.

use crate::term::hex;

/// The number of bytes in a line, if nothing says it.
const DEFAULT_WIDTH: usize = 16;

/// A line that begins with an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The digits of the offset.
    pub(crate) offset: &'a str,
    /// Whether a colon follows the offset, or `0x` precedes it.
    pub(crate) is_marked: bool,
    /// What follows the offset.
    pub(crate) rest: &'a str,
    /// The white space before the offset.
    pub(crate) indent: &'a str,
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl<'a> Line<'a> {
    /// Splits a line into its offset and the rest; `None` if it does not begin with an offset.
    pub(crate) fn split(line: &'a str) -> Option<Self> {
        let line = line.trim_end();
        let begun = line.trim_start();
        let indent = line.get(..line.len() - begun.len())?;
        let end = begun.find([' ', '\t', ':']).unwrap_or(begun.len());
        let (token, rest) = begun.split_at_checked(end)?;
        let prefixed = token.strip_prefix("0x");
        let offset = prefixed.unwrap_or(token);
        if !is_hex(offset) || offset.len() > 16 {
            return None;
        }
        if let Some(rest) = rest.strip_prefix(':') {
            // `00:05:68` are bytes, `0000:00 05` and `00: 00 05` have an offset.
            let spaced = rest.is_empty() || rest.starts_with([' ', '\t']);
            let alone = offset.len() >= 4 && !rest.contains(':');
            let fits = offset.len() >= 2 && (spaced || alone);
            return fits.then_some(Self { offset, is_marked: true, rest, indent });
        }
        if prefixed.is_some() || offset.len() < 4 {
            return None;
        }
        let words: Vec<_> = rest.split_whitespace().collect();
        let is_byte = |word: &&str| word.len() == 2 && is_hex(word);
        // Only an offset is wider than the bytes, and `hexdump -C` and Wireshark write two spaces
        // after 8 digits.
        let fits =
            words.first().is_none_or(is_byte) || (offset.len() == 8 && rest.starts_with("  "));
        fits.then_some(Self { offset, is_marked: false, rest, indent })
    }

    /// Returns whether the line is one of a dump even if it is the only one: the offset is 0, or no
    /// other text is written like this.
    pub(crate) fn is_certain(&self) -> bool {
        let zero = self.offset.bytes().all(|byte| byte == b'0');
        let has_bytes = !self.rest.trim().is_empty();
        let columns = self.offset.len() == 8 && self.rest.starts_with("  ");
        has_bytes && (self.is_marked || columns || zero)
    }

    /// Returns the offset in this base.
    pub(crate) fn at(&self, radix: u32) -> Option<u64> {
        u64::from_str_radix(self.offset, radix).ok()
    }

    /// Returns the line's bytes: `exact` is their number, if the next line's offset says it, and
    /// `width` that of the lines before.
    pub(crate) fn bytes(
        &self,
        exact: Option<usize>,
        width: Option<usize>,
    ) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let max = exact.or(width).unwrap_or(if self.is_marked { 1024 } else { DEFAULT_WIDTH });
        let mut rest = self.rest;
        loop {
            let text = rest.trim_start();
            let gap = rest.len() - text.len();
            let is_text = match exact {
                Some(exact) => bytes.len() >= exact,
                // The text stands after a gap, which in some dumps is as wide as that in the middle.
                None if self.is_marked => gap > 1 && !bytes.is_empty(),
                None => gap > 2 && !bytes.is_empty(),
            };
            if text.is_empty() || is_text || bytes.len() >= max || text.starts_with(['|', '>']) {
                break;
            }
            let end = text.find([' ', '\t']).unwrap_or(text.len());
            let (token, after) = text.split_at_checked(end).unwrap_or((text, ""));
            match hex::parse(token) {
                Ok(found) if self.is_marked || token.len() == 2 => bytes.extend(found),
                _ if exact.is_none() && gap > 1 && !bytes.is_empty() => break,
                Ok(_) => return Err(format!("`{token}` is not one byte")),
                Err(error) => {
                    return Err(match error.split_once(": ") {
                        Some((_, why)) => why.to_owned(),
                        None => error,
                    });
                }
            }
            rest = after;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(line: &str, exact: Option<usize>) -> Vec<u8> {
        Line::split(line).unwrap().bytes(exact, None).unwrap()
    }

    #[test]
    fn an_offset_is_told_from_bytes() {
        for line in [
            "0000   00 05 68",
            "0000 00 05 68",
            "0000:00 05 68",
            "00:  00 05 68",
            "0x5555:\t0x00\t0x05\t0x68",
            "00000000 00 05 68",
            "00000000: 0005 68                                  ..h",
            "00000000  00 05 68                                          |..h|",
            "0000000000000000 00 05 68                                        ..h",
            "\t0x0000:  0005 68                                  ..h",
            "000000 00 05 68",
        ] {
            assert_eq!(bytes(line, None), [0, 5, 0x68], "{line}");
        }
        for line in
            ["00 05 68", "00:05:68", "0x00 0x05", "0x0005 68", "00000002 6869", "f501", "ab cd"]
        {
            let found = Line::split(line).filter(Line::is_certain);
            assert_eq!(found, None, "{line}");
        }
    }

    #[test]
    fn a_column_of_text_is_never_read_as_bytes() {
        let line = "00000000  00 06 61 62 63 64 65 66                           abcdef";
        assert_eq!(bytes(line, None).len(), 8);
        let full = "00000000  61 62 63 64 65 66 61 62  63 64 65 66 61 62 63 64   ab cd ef ab";
        assert_eq!(bytes(full, None), b"abcdefabcdefabcd");
        assert_eq!(bytes(full, Some(16)), b"abcdefabcdefabcd");
        let power =
            "0000000000000000 61 62 20 63 64 20 61 62 20 63 64 20 61 62 20 63 ab cd ab cd ab c";
        assert_eq!(bytes(power, None), b"ab cd ab cd ab c");
        assert_eq!(bytes("00000000: 6162 6364  abcd", None), b"abcd");
        assert_eq!(bytes("00000000: 61 62 63 64 65 66 67 68  ab cd ef", Some(8)), b"abcdefgh");
    }
}
