//! Reads messages of HTTP/1: each with its start line and its body.
//!
//! It reads one side of a connection, so it does not know which request a response answers: a response
//! to HEAD that announces a body it does not have is not understood.

use unstick::{DecodeError, HeaderError, Part};

use super::frames::{Begin, Label, Run, Source};

/// The maximum length of the head of a message, and of a line of the chunked coding.
const MAX_HEAD_LEN: usize = 64 << 10;
const MAX_LINE_LEN: usize = 4 << 10;
/// The maximum length of a method, and the length that tells whether a message begins well.
const MAX_METHOD_LEN: usize = 32;
const MAX_BEGINNING: usize = MAX_METHOD_LEN + 1;
const MAX_TARGET_LEN: usize = 200;

/// The messages of HTTP/1.
pub(crate) struct Http {
    /// The stream offset after the bytes taken.
    at: u64,
    /// The offset of the message's first byte.
    begun: u64,
    /// The maximum length of a body that is announced.
    limit: u64,
    state: State,
    /// The head, or a line, up to here.
    line: Vec<u8>,
    /// A message that has begun and was not returned yet.
    begin: Option<Begin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of the body remain.
    Body(u64),
    /// The line before a chunk.
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// The body ends with the stream.
    ToEnd,
    /// The message has ended without a byte that is its last.
    Ended,
    Failed(DecodeError),
}

fn refused(at: u64, text: &'static str) -> DecodeError {
    DecodeError::Header { at, error: HeaderError::Custom { code: 0xd001, text } }
}

impl Http {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        Self { at: 0, begun: 0, limit, state: State::Head, line: Vec::new(), begin: None }
    }

    /// Takes bytes up to and with a line's end. Returns whether it has come.
    fn take_line(&mut self, input: &mut &[u8], max: usize) -> Result<bool, DecodeError> {
        while let Some((&byte, rest)) = input.split_first() {
            if self.line.len() == max {
                return Err(refused(self.begun, "a line of HTTP/1 is too long"));
            }
            *input = rest;
            self.at += 1;
            self.line.push(byte);
            if byte == b'\n' {
                return Ok(true);
            }
            let is_beginning = self.line.len() <= MAX_BEGINNING;
            if self.state == State::Head && is_beginning && !begins_well(&self.line) {
                return Err(refused(self.begun, "no message of HTTP/1 begins like this"));
            }
        }
        Ok(false)
    }

    /// Takes a head. Returns whether it is complete.
    fn head(&mut self, input: &mut &[u8]) -> Result<bool, DecodeError> {
        if self.line.is_empty() {
            // Empty lines before a request are to be ignored.
            while let Some((b'\r' | b'\n', rest)) = input.split_first() {
                *input = rest;
                self.at += 1;
            }
            self.begun = self.at;
        }
        while self.take_line(input, MAX_HEAD_LEN)? {
            if self.line.ends_with(b"\n\r\n") || self.line.ends_with(b"\n\n") {
                let head = std::mem::take(&mut self.line);
                self.begin(&head)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn begin(&mut self, head: &[u8]) -> Result<(), DecodeError> {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let status = first.strip_prefix("HTTP/1.").map(|rest| rest.get(2..5).unwrap_or_default());
        if status.is_none() && !first.contains(" HTTP/1.") {
            return Err(refused(self.begun, "the first line is none of HTTP/1"));
        }
        let (mut len, mut chunked) = (None, false);
        for line in lines {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = line.split_at_checked(colon).unwrap_or_default();
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let value = std::str::from_utf8(value).unwrap_or_default();
            if name.eq_ignore_ascii_case(b"content-length") {
                let announced = value.split(',').next().unwrap_or_default().trim().parse().ok();
                let Some(announced) = announced else {
                    return Err(refused(self.begun, "Content-Length is no number"));
                };
                len = Some(announced);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                chunked = value.to_ascii_lowercase().ends_with("chunked");
            }
        }
        let bodyless = status.is_some_and(|s| s.starts_with('1') || s == "204" || s == "304");
        self.state = match len {
            _ if bodyless => State::Ended,
            _ if chunked => State::ChunkLine,
            Some(0) => State::Ended,
            Some(len) if len > self.limit => {
                return Err(DecodeError::Oversize { at: self.begun, len, limit: self.limit });
            }
            Some(len) => State::Body(len),
            None if status.is_some() => State::ToEnd,
            None => State::Ended,
        };
        let known = match self.state {
            State::Ended => Some(0),
            State::Body(len) => Some(len),
            _ => None,
        };
        let line = status.map_or(first.as_str(), |_| first.get(9..).unwrap_or_default());
        let mut text: String = line.chars().take(MAX_TARGET_LEN).collect();
        if let Some(end) = text.rfind(" HTTP/1.") {
            text.truncate(end);
        }
        self.begin = Some(Begin { at: self.begun, label: Label::Text(text), len: known });
        Ok(())
    }

    fn run<'i>(&mut self, bytes: &'i [u8], last: bool) -> Run<'i> {
        if last {
            self.state = State::Head;
        }
        Run { begin: self.begin.take(), bytes, last, end: self.at }
    }

    /// Takes at most `left` bytes. Returns them, and how many remain.
    fn take<'i>(&mut self, input: &mut &'i [u8], left: u64) -> (&'i [u8], u64) {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (bytes, rest) = input.split_at_checked(n).unwrap_or_default();
        *input = rest;
        self.at += n as u64;
        (bytes, left - n as u64)
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Run<'i>>, DecodeError> {
        loop {
            match self.state {
                State::Failed(error) => return Err(error),
                State::Ended => return Ok(Some(self.run(&[], true))),
                _ if input.is_empty() => return Ok(None),
                State::Head => {
                    if !self.head(input)? {
                        return Ok(None);
                    }
                }
                State::Body(left) => {
                    let (bytes, left) = self.take(input, left);
                    self.state = State::Body(left);
                    return Ok(Some(self.run(bytes, left == 0)));
                }
                State::ToEnd => {
                    let (bytes, _) = self.take(input, u64::MAX);
                    return Ok(Some(self.run(bytes, false)));
                }
                State::Chunk(0) => self.state = State::ChunkEnd,
                State::Chunk(left) => {
                    let (bytes, left) = self.take(input, left);
                    self.state = State::Chunk(left);
                    return Ok(Some(self.run(bytes, false)));
                }
                State::ChunkLine | State::ChunkEnd | State::Trailer => {
                    if !self.take_line(input, MAX_LINE_LEN)? {
                        return Ok(None);
                    }
                    let line = std::mem::take(&mut self.line);
                    let line = line.trim_ascii();
                    self.state = match self.state {
                        State::ChunkLine => match chunk_len(line) {
                            Some(0) => State::Trailer,
                            Some(len) => State::Chunk(len),
                            None => return Err(refused(self.begun, "a chunk's size is no number")),
                        },
                        State::ChunkEnd if line.is_empty() => State::ChunkLine,
                        State::ChunkEnd => {
                            return Err(refused(self.begun, "a chunk is longer than its size"));
                        }
                        _ if line.is_empty() => State::Ended,
                        _ => State::Trailer,
                    };
                }
            }
        }
    }
}

/// Returns whether the beginning of a first line can be one: a method is a token, a version is HTTP's.
fn begins_well(line: &[u8]) -> bool {
    let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(byte);
    let version = b"HTTP/1.";
    version.starts_with(word.get(..version.len()).unwrap_or(word))
        || (word.len() <= MAX_METHOD_LEN && !word.is_empty() && word.iter().all(token))
        || line.contains(&b'\r')
        || line.contains(&b'\n')
}

fn chunk_len(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

impl Source for Http {
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Run<'a>>, DecodeError> {
        let result = self.step(input);
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    fn end(&mut self) -> Result<Option<Run<'_>>, DecodeError> {
        let at = self.at;
        let truncated = |missing, part| DecodeError::Truncated { at, missing, part };
        match self.state {
            State::Failed(error) => Err(error),
            State::Head if self.line.is_empty() => Ok(None),
            State::Head => Err(truncated(1, Part::Header)),
            State::ToEnd | State::Ended => Ok(Some(self.run(&[], true))),
            _ if self.begin.is_some() => Ok(Some(self.run(&[], false))),
            State::Body(left) | State::Chunk(left) => Err(truncated(left.max(1), Part::Payload)),
            _ => Err(truncated(1, Part::Payload)),
        }
    }

    fn position(&self) -> u64 {
        self.at
    }

    fn skip_frame(&mut self) -> bool {
        false
    }

    fn can_search(&self) -> bool {
        false
    }

    fn search(&mut self, _: &mut &[u8]) -> Option<u64> {
        None
    }

    fn takes_any_payload(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Each byte of a head is looked at a few times only.
    #[test]
    fn a_long_first_word_is_read_in_linear_time() {
        let head = [&b"HTTP/1."[..], &[b'x'; MAX_HEAD_LEN - 20]].concat();
        let began = Instant::now();
        assert!(matches!(Http::new(None).decode(&mut &head[..]), Ok(None)));
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    }
}
