//! The vectors of `vectors/*.json`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

/// One file of vectors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(rename = "$schema")]
    pub(crate) schema: String,
    pub(crate) title: String,
    pub(crate) vectors: Vec<Vector>,
}

/// A test vector: the input, and the expected outcome.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) about: String,
    pub(crate) requirements: Vec<String>,
    pub(crate) test: Test,
    pub(crate) format: String,
    pub(crate) limit: Option<Value>,
    pub(crate) bytes: Option<String>,
    #[serde(default)]
    pub(crate) cuts: Vec<Vec<usize>>,
    #[serde(default)]
    pub(crate) known: Vec<u8>,
    #[serde(default)]
    pub(crate) cut: bool,
    pub(crate) kind: Option<u8>,
    pub(crate) header: Option<String>,
    pub(crate) payload: Option<String>,
    pub(crate) length: Option<Value>,
    pub(crate) datagram_limit: Option<Value>,
    pub(crate) frames: Option<Value>,
    pub(crate) message: Option<Value>,
    pub(crate) expect: Expect,
    #[serde(default)]
    pub(crate) or: Vec<Expect>,
}

/// The part of an implementation that a vector tests.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Test {
    Stream,
    Datagram,
    DatagramMessages,
    Encode,
    EncodeHeader,
    EncodeDatagram,
    SetUp,
    Message,
    EncodeMessage,
    Conversation,
}

/// The expected outcome: the steps of a stream, the acts of a conversation, or one answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Expect {
    Steps(Vec<Step>),
    Acts(Vec<Act>),
    Answer(Value),
}

/// An outcome of a stream, or a request of the caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The number of bytes of the vector that have been consumed by then.
    pub(crate) after: usize,
    /// The number of bytes of the vector that must have been offered, if it is not the same: the byte
    /// that causes an error may remain.
    pub(crate) seen: Option<usize>,
    pub(crate) frame: Option<Value>,
    pub(crate) found: Option<Value>,
    pub(crate) error: Option<Value>,
    pub(crate) end: Option<bool>,
    /// Whether the end of stream causes a frame or an error that a byte can cause, too.
    #[serde(default)]
    pub(crate) at_end: bool,
    pub(crate) request: Option<Request>,
    pub(crate) answer: Option<Answer>,
}

/// An event in a conversation, and its outcome.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Act {
    pub(crate) receive: Option<Value>,
    pub(crate) send: Option<Value>,
    pub(crate) end: Option<bool>,
    pub(crate) tick: Option<bool>,
    pub(crate) drain: Option<bool>,
    /// Whether an oversize frame was skipped.
    pub(crate) skipped: Option<bool>,
    /// Whether the messages of the session are not requested yet.
    #[serde(default)]
    pub(crate) hold: bool,
    pub(crate) event: Option<Value>,
    pub(crate) error: Option<Value>,
    pub(crate) says: Option<Value>,
    /// Whether the messages of the session may come in any order.
    #[serde(default)]
    pub(crate) any_order: bool,
    pub(crate) answer: Option<Sent>,
    /// The message that is written for the one from the application.
    pub(crate) writes: Option<Value>,
}

/// The outcome of sending a message.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sent {
    Ok,
    Refused,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    Skip,
    Resync,
    Reset,
}

impl Request {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Resync => "resync",
            Self::Reset => "reset",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Begun,
    Rejected,
    SameError,
}

impl Answer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Rejected => "rejected",
            Self::SameError => "same-error",
        }
    }
}

impl Step {
    /// Returns the outcome caused by bytes or by the end of stream, in the protocol's form.
    pub(crate) fn event(&self) -> Option<Value> {
        let event = |name: &str, value: &Value| serde_json::json!({ name: value });
        let frame = self.frame.as_ref().map(|frame| event("frame", frame));
        let found = || self.found.as_ref().map(|found| event("found", found));
        let error = || self.error.as_ref().map(|error| event("error", error));
        let end = || self.end.map(|end| event("end", &Value::Bool(end)));
        frame.or_else(found).or_else(error).or_else(end)
    }

    /// Returns the number of bytes that must have been offered.
    pub(crate) fn seen(&self) -> usize {
        self.seen.unwrap_or(self.after)
    }

    /// Returns whether the end of stream, and not a byte, causes the outcome.
    pub(crate) fn is_end(&self) -> bool {
        self.end.is_some()
            || self.at_end
            || self.error.as_ref().is_some_and(|error| {
                error
                    .get("name")
                    .is_some_and(|name| name == "truncated" || name == "unsynchronized")
            })
    }

    /// Returns whether the step needs an action of the caller other than passing bytes.
    pub(crate) fn is_action(&self) -> bool {
        self.request.is_some() || self.is_end()
    }
}

impl Act {
    /// Returns whether the act is exactly one event with its outcome.
    fn is_one(&self) -> bool {
        let sent = self.send.is_some();
        let heard = [self.receive.is_some(), self.end.is_some(), self.skipped.is_some()];
        let asked = [sent, self.tick.is_some(), self.drain.is_some()];
        let has_outcome = self.event.is_some() || self.error.is_some();
        heard.iter().chain(&asked).filter(|what| **what).count() == 1
            && sent == self.answer.is_some()
            && (self.writes.is_none() || self.answer == Some(Sent::Ok))
            && has_outcome == heard.contains(&true)
            && (self.event.is_none() || self.error.is_none())
            && (self.says.is_some() || !self.any_order)
    }
}

impl Vector {
    /// Returns the section of the specification with which the id begins.
    pub(crate) fn section(&self) -> &str {
        self.id.split('-').next().unwrap_or_default()
    }

    pub(crate) fn stream(&self) -> Result<Vec<u8>, String> {
        parse_hex(self.bytes.as_deref().unwrap_or_default())
    }

    /// Returns the ways to cut the stream: not at all, at each byte, and those that the vector
    /// lists.
    pub(crate) fn every_cut(&self, len: usize) -> BTreeSet<Vec<usize>> {
        let mut all = BTreeSet::from([Vec::new(), (1..len).collect()]);
        all.extend(self.cuts.iter().cloned());
        all
    }

    /// Returns the expected outcome, then the permitted alternatives.
    pub(crate) fn every_expect(&self) -> impl Iterator<Item = &Expect> {
        std::iter::once(&self.expect).chain(&self.or)
    }
}

/// Parses a file of vectors, and checks what the types do not express.
pub(crate) fn parse(text: &str) -> Result<Vec<Vector>, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.schema != "./schema.json" || file.title.is_empty() {
        return Err("no file of vectors: it names another schema, or has no title".to_owned());
    }
    for vector in &file.vectors {
        let stream = vector.stream().map_err(|error| format!("{}: {error}", vector.id))?;
        for expect in vector.every_expect() {
            let steps = match (expect, vector.test) {
                (Expect::Steps(steps), Test::Stream) => steps,
                (Expect::Acts(acts), Test::Conversation) => {
                    if !acts.iter().all(Act::is_one) {
                        return Err(format!("{}: each act is one thing", vector.id));
                    }
                    continue;
                }
                (Expect::Answer(_), test) if test != Test::Stream => continue,
                _ => return Err(format!("{}: not what this test expects", vector.id)),
            };
            let mut after = 0;
            for step in steps {
                let what =
                    usize::from(step.event().is_some()) + usize::from(step.request.is_some());
                let answered = step.request.is_some_and(|request| request != Request::Reset);
                if what != 1 || answered != step.answer.is_some() {
                    return Err(format!("{}: a step is one outcome or one request", vector.id));
                }
                if step.at_end && step.frame.is_none() && step.error.is_none() {
                    return Err(format!("{}: `at_end` is of a frame or an error", vector.id));
                }
                let seen = step.after..=stream.len();
                if step.after < after || !seen.contains(&step.seen()) {
                    return Err(format!("{}: `after` is out of order", vector.id));
                }
                after = step.after;
            }
        }
    }
    Ok(file.vectors)
}

/// Parses bytes in hexadecimal, with optional spaces; `61*300` repeats the bytes 300 times.
pub(crate) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("no bytes in hexadecimal: `{text}`");
    let mut bytes = Vec::new();
    for word in text.split_ascii_whitespace() {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        let times: usize = times.parse().map_err(|_| wrong())?;
        if digits.len() % 2 != 0 || !digits.is_ascii() || times > 1 << 20 {
            return Err(wrong());
        }
        for _ in 0..times {
            let mut rest = digits;
            while let Some((pair, after_pair)) = rest.split_at_checked(2) {
                if pair.starts_with('+') {
                    return Err(wrong());
                }
                bytes.push(u8::from_str_radix(pair, 16).map_err(|_| wrong())?);
                rest = after_pair;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
    Ok(bytes)
}

/// Formats bytes in the protocol's hexadecimal form.
pub(crate) fn write_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns an integer, which may be a string of digits if some languages cannot represent it.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    let small = value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from));
    small.or_else(|| value.as_str()?.parse().ok())
}
