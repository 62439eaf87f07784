//! Plain hexadecimal text, in pieces, also as source code has it.

use crate::term::hex::HexReader;

/// Reads hexadecimal text in pieces of any size, without columns. It may stand in braces, as in an
/// array of C, or in quotes, and may have hyphens between bytes.
pub(crate) struct PlainReader {
    reader: HexReader,
    state: State,
    /// The text up to a brace, which is not read if there is one.
    held: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A brace may come.
    Before,
    In {
        braces: bool,
    },
    After,
}

/// The maximum length of text before a brace: a declaration.
const MAX_BEFORE: usize = 1024;

impl PlainReader {
    pub(crate) fn new() -> Self {
        Self { reader: HexReader::new(), state: State::Before, held: Vec::new() }
    }

    /// Appends to `out` the bytes that `text` completes.
    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let mut text = text;
        let held;
        if self.state == State::Before {
            self.held.extend_from_slice(text);
            let open = self.held.iter().position(|byte| *byte == b'{');
            if open.is_none() && self.held.len() < MAX_BEFORE {
                return Ok(());
            }
            held = std::mem::take(&mut self.held);
            self.state = State::In { braces: open.is_some() };
            text = held.get(open.map_or(0, |open| open + 1)..).unwrap_or_default();
        }
        self.read(text, out)
    }

    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let State::In { braces } = self.state else { return Ok(()) };
        let end = text.iter().position(|byte| braces && *byte == b'}');
        if end.is_some() {
            self.state = State::After;
        }
        let text = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        let spaced: Vec<u8> =
            text.iter().map(|byte| if b"-\"';".contains(byte) { b' ' } else { *byte }).collect();
        self.reader.push(&spaced, out).map_err(|error| error.to_string())
    }

    /// Ends the text.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.state == State::Before {
            let held = std::mem::take(&mut self.held);
            self.state = State::In { braces: false };
            self.read(&held, out)?;
        }
        self.reader.finish().map_err(|error| error.to_string())
    }
}
