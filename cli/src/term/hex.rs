//! Converts hexadecimal text to bytes, in pieces.

use std::fmt;

/// Reads hexadecimal text in pieces of any size: two digits a byte, with optional spaces, line
/// ends, commas or colons between bytes, and an optional `0x` or `\x` before each.
#[derive(Debug)]
pub(crate) struct HexReader {
    line: u64,
    column: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two bytes.
    Between,
    /// After a `0`, which is a digit or the beginning of `0x`.
    Zero,
    /// After another first digit of a byte; holds its value.
    Half(u8),
    /// After a backslash; `x` must follow.
    Backslash,
    /// After `0x` or `\x`; a digit must follow.
    Prefixed,
    /// After `0x` or `\x` and a digit; holds its value.
    PrefixedHalf(u8),
}

/// Text that is not hexadecimal, with its position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HexError {
    line: u64,
    column: u64,
    found: Option<u8>,
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        match self.found {
            None => f.write_str("the hexadecimal text ends in the middle of a byte")?,
            Some(byte @ 0x21..=0x7e) => {
                write!(f, "`{}` does not belong in hexadecimal text", char::from(byte))?;
            }
            Some(b' ' | b'\n' | b'\r' | b'\t') => f.write_str("a space in the middle of a byte")?,
            Some(byte) => write!(f, "the byte 0x{byte:02x} does not belong in hexadecimal text")?,
        }
        f.write_str("; a byte is two digits, as in `f5 01` or `0xf5,0x01`")
    }
}

impl HexReader {
    pub(crate) fn new() -> Self {
        Self { line: 1, column: 0, state: State::Between }
    }

    /// Appends to `out` the bytes that `text` completes.
    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), HexError> {
        for &byte in text {
            self.column += 1;
            self.state = match (self.state, byte, digit(byte)) {
                (State::Between, b'0', _) => State::Zero,
                (State::Between, _, Some(high)) => State::Half(high),
                (State::Between, b'\\', _) => State::Backslash,
                (State::Between, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':', _) => State::Between,
                (State::Zero, b'x' | b'X', _) | (State::Backslash, b'x', _) => State::Prefixed,
                (State::Zero, _, Some(low)) => {
                    out.push(low);
                    State::Between
                }
                (State::Half(high) | State::PrefixedHalf(high), _, Some(low)) => {
                    out.push(high << 4 | low);
                    State::Between
                }
                (State::Prefixed, _, Some(high)) => State::PrefixedHalf(high),
                _ => return Err(self.error(Some(byte))),
            };
            if byte == b'\n' {
                self.line += 1;
                self.column = 0;
            }
        }
        Ok(())
    }

    /// Ends the text. Returns an error if a byte is incomplete.
    pub(crate) fn finish(&self) -> Result<(), HexError> {
        match self.state {
            State::Between => Ok(()),
            _ => Err(self.error(None)),
        }
    }

    fn error(&self, found: Option<u8>) -> HexError {
        HexError { line: self.line, column: self.column, found }
    }
}

/// Parses a complete hexadecimal text.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut reader = HexReader::new();
    let mut out = Vec::new();
    let parsed = reader.push(text.as_bytes(), &mut out).and_then(|()| reader.finish());
    parsed.map(|()| out).map_err(|error| error.to_string())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_spellings_are_read() {
        let spellings =
            ["f50100", "F5 01 00", "0xf5,0x01,0x00", "f5:01\n00\r\n", r"\xf5\x01\x00", "0xf5 0100"];
        for text in spellings {
            assert_eq!(parse(text).unwrap(), [0xf5, 1, 0], "{text}");
            // Also in pieces of one byte.
            let (mut reader, mut out) = (HexReader::new(), Vec::new());
            for byte in text.as_bytes() {
                reader.push(&[*byte], &mut out).unwrap();
            }
            reader.finish().unwrap();
            assert_eq!(out, [0xf5, 1, 0], "{text}");
        }
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn an_error_has_line_and_column() {
        for (text, at) in [
            ("f5 0g", "line 1, column 5: `g`"),
            ("f5\n01 zz", "line 2, column 4: `z`"),
            ("f5 0", "line 1, column 4: the hexadecimal text ends"),
            ("f 5", "line 1, column 2: a space"),
            ("0x", "line 1, column 2: the hexadecimal text ends"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(at), "{text}: {error}");
        }
    }
}
