//! How messages are answered.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;

use unstick::Kind;

use crate::format::AnyMeta;
use crate::listen::exec::{Exec, Question};

/// The number of messages of a connection, and of their bytes, that wait for a command while more is
/// read.
const MAX_WAITING: usize = 16;
const MAX_WAITING_BYTES: usize = 256 << 10;

/// How a message is answered.
pub(crate) enum Reply {
    Echo,
    Upper,
    Text(String),
    /// By a command.
    Exec(Exec),
}

impl Reply {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "echo" => Self::Echo,
            "upper" => Self::Upper,
            _ => Self::Text(text.strip_prefix("text:").unwrap_or(text).to_owned()),
        }
    }

    /// Returns the answer, if it is known without a command.
    pub(crate) fn at_once(&self, payload: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Self::Echo => payload.to_vec(),
            Self::Upper => match std::str::from_utf8(payload) {
                Ok(text) => text.to_uppercase().into_bytes(),
                Err(_) => payload.to_ascii_uppercase(),
            },
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Exec(_) => return None,
        })
    }
}

/// The answers to the messages of one connection, in their order. Dropped, it kills the command that
/// answers.
pub(crate) struct Answers<'a> {
    reply: Option<&'a Reply>,
    peer: String,
    /// Whether the messages are lines: an answer is without the end of its last one.
    are_lines: bool,
    running: Option<Pin<Box<dyn Future<Output = Answered> + Send + 'a>>>,
    waiting: VecDeque<Asked>,
    /// The bytes of the messages that wait or are being answered.
    held: usize,
}

/// A message to be answered by a command.
struct Asked {
    meta: AnyMeta,
    payload: Vec<u8>,
    limit: u64,
}

/// What a command has answered.
pub(crate) struct Answered {
    /// The meta of the message.
    pub(crate) meta: AnyMeta,
    pub(crate) answer: Option<Vec<u8>>,
    /// What is to be logged.
    pub(crate) said: Vec<String>,
    held: usize,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(reply: Option<&'a Reply>, peer: &str, are_lines: bool) -> Self {
        let (peer, waiting) = (peer.to_owned(), VecDeque::new());
        Self { reply, peer, are_lines, running: None, waiting, held: 0 }
    }

    /// Returns the answer to a message, if there is one at once. [`next`](Self::next) returns that of a
    /// command, which has at most `limit` bytes.
    pub(crate) fn to(&mut self, meta: AnyMeta, payload: &[u8], limit: u64) -> Option<Vec<u8>> {
        let answer = self.reply?.at_once(payload);
        if answer.is_none() {
            self.held += payload.len();
            self.waiting.push_back(Asked { meta, payload: payload.to_vec(), limit });
        }
        answer
    }

    /// Returns whether no command has to answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Returns whether more messages may be read.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING && (self.held < MAX_WAITING_BYTES || self.is_empty())
    }

    /// Returns the number of bytes of messages that are held.
    pub(crate) fn held_len(&self) -> usize {
        self.held
    }

    /// Waits for the next answer of a command; forever if none has to answer.
    ///
    /// # Cancel safety
    /// Dropping the future loses no answer; the command goes on when this is called again.
    pub(crate) async fn next(&mut self) -> Answered {
        let Some(Reply::Exec(exec)) = self.reply else { return pending().await };
        if self.running.is_none()
            && let Some(asked) = self.waiting.pop_front()
        {
            let (peer, are_lines) = (self.peer.clone(), self.are_lines);
            self.running =
                Some(Box::pin(async move { asked.answered(exec, &peer, are_lines).await }));
        }
        let Some(running) = &mut self.running else { return pending().await };
        let answered = running.as_mut().await;
        self.running = None;
        self.held = self.held.saturating_sub(answered.held);
        answered
    }
}

impl Asked {
    async fn answered(self, exec: &Exec, peer: &str, are_lines: bool) -> Answered {
        let Self { meta, payload, limit } = self;
        let is_text = meta.kind() == Some(Kind::TEXT);
        let question = Question {
            peer,
            kind: meta.kind().map(|kind| kind.to_string()).or_else(|| meta.header()),
            payload: &payload,
            limit,
            is_text,
            is_line: is_text || are_lines,
        };
        let (answer, said) = exec.answer(question).await;
        Answered { meta, answer, said, held: payload.len() }
    }
}
