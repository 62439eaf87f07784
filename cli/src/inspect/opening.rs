//! What precedes the frames of a protocol on a connection: the handshake of HTTP before WebSocket, and
//! the answer of a PostgreSQL server to a request for TLS, which is one byte.

use unstick::{DecodeError, Part};

use super::frames::{Begin, Label, Run, Source};

/// The maximum length of a handshake.
const MAX_LEN: usize = 64 << 10;

/// What the beginning of a stream is.
pub(crate) enum Found {
    /// More bytes are needed to tell.
    Need,
    Frames,
    /// This number of bytes precedes the frames.
    Opening(usize, String),
}

/// A source of frames after an opening, which counts as a frame without a payload.
pub(crate) struct AfterOpening {
    inner: Box<dyn Source>,
    look: fn(&[u8]) -> Found,
    /// The beginning of the stream, and how much of it was decoded.
    held: Vec<u8>,
    taken: usize,
    /// Whether it is known what the beginning is.
    known: bool,
    /// The length of the opening.
    base: u64,
}

/// Returns whether a stream begins with the handshake of HTTP, and its length.
pub(crate) fn http(beginning: &[u8]) -> Found {
    let starts = |text: &[u8]| {
        let n = text.len().min(beginning.len());
        text.get(..n) == beginning.get(..n)
    };
    if !starts(b"GET /") && !starts(b"HTTP/1.") {
        return Found::Frames;
    }
    match beginning.windows(4).position(|end| end == b"\r\n\r\n") {
        Some(at) => {
            let line = beginning.split(|byte| *byte == b'\r').next().unwrap_or_default();
            Found::Opening(at + 4, String::from_utf8_lossy(line).chars().take(200).collect())
        }
        None if beginning.len() < MAX_LEN => Found::Need,
        None => Found::Frames,
    }
}

/// Returns whether a stream begins with the answer to a request for TLS or GSSAPI. A message's length is
/// below 16 MiB so early, so its type is followed by a zero.
pub(crate) fn postgres(beginning: &[u8]) -> Found {
    match beginning {
        [] | [b'S' | b'N' | b'G'] => Found::Need,
        [answer @ (b'S' | b'N' | b'G'), next, ..] if *next != 0 => {
            Found::Opening(1, format!("answer {}", char::from(*answer)))
        }
        _ => Found::Frames,
    }
}

impl AfterOpening {
    pub(crate) fn new(inner: Box<dyn Source>, look: fn(&[u8]) -> Found) -> Self {
        Self { inner, look, held: Vec::new(), taken: 0, known: false, base: 0 }
    }

    fn opening(&mut self, len: usize, text: String) -> Run<'static> {
        self.known = true;
        self.taken = len;
        self.base = len as u64;
        let begin = Begin { at: 0, label: Label::Text(text), len: Some(0) };
        Run { begin: Some(begin), bytes: &[], last: true, end: self.base }
    }

    fn shifted<'a>(run: Option<Run<'a>>, base: u64) -> Option<Run<'a>> {
        run.map(|mut run| {
            run.end += base;
            if let Some(begin) = &mut run.begin {
                begin.at += base;
            }
            run
        })
    }

    /// Decodes what is held; `None` if nothing is left of it.
    fn decode_held(&mut self) -> Option<Result<Option<Run<'_>>, DecodeError>> {
        let Self { inner, held, taken, base, .. } = self;
        let mut rest = held.get(*taken..).filter(|rest| !rest.is_empty())?;
        let all = rest.len();
        let base = *base;
        let result = inner.decode(&mut rest);
        *taken += all - rest.len();
        Some(result.map(|run| Self::shifted(run, base)).map_err(|error| error.shifted(base)))
    }
}

impl Source for AfterOpening {
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Run<'a>>, DecodeError> {
        if !self.known {
            self.held.extend_from_slice(input);
            *input = &[];
            match (self.look)(&self.held) {
                Found::Need => return Ok(None),
                Found::Frames => self.known = true,
                Found::Opening(len, text) => return Ok(Some(self.opening(len, text))),
            }
        }
        if self.taken < self.held.len() {
            // The input has become a part of it.
            return match self.decode_held() {
                Some(result) => result,
                None => Ok(None),
            };
        }
        let base = self.base;
        let result = self.inner.decode(input);
        result.map(|run| Self::shifted(run, base)).map_err(|error| error.shifted(base))
    }

    fn end(&mut self) -> Result<Option<Run<'_>>, DecodeError> {
        if !self.known && !self.held.is_empty() {
            // The answer may be all that the capture has of the server; a handshake has an end.
            if let [answer] = self.held.as_slice() {
                let text = format!("answer {}", char::from(*answer));
                return Ok(Some(self.opening(1, text)));
            }
            let at = self.held.len() as u64;
            return Err(DecodeError::Truncated { at, missing: 1, part: Part::Header });
        }
        let base = self.base;
        let result = self.inner.end();
        result.map(|run| Self::shifted(run, base)).map_err(|error| error.shifted(base))
    }

    fn position(&self) -> u64 {
        if self.known { self.base + self.inner.position() } else { self.held.len() as u64 }
    }

    fn skip_frame(&mut self) -> bool {
        self.inner.skip_frame()
    }

    fn can_search(&self) -> bool {
        false
    }

    fn search(&mut self, _: &mut &[u8]) -> Option<u64> {
        None
    }

    fn takes_any_payload(&self) -> bool {
        self.known && self.taken == self.held.len() && self.inner.takes_any_payload()
    }
}
