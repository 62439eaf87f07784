//! How messages are answered.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use tokio::task::JoinSet;
use unstick::Kind;

use crate::format::AnyMeta;
use crate::listen::exec::{Exec, Question};
use crate::listen::log::Log;
use crate::listen::places::Network;
use crate::listen::rules::Rules;

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
    Exec(Arc<Exec>),
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
    network: Network,
    /// Whether the messages are lines: an answer is without the end of its last one.
    are_lines: bool,
    /// At most one. It goes on while the connection waits for its peer.
    running: JoinSet<Answered>,
    /// The max length of its answer.
    running_limit: u64,
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
    pub(crate) fn new(rules: &'a Rules, log: &Log<'_>, are_lines: bool) -> Self {
        Self {
            reply: rules.reply.as_ref(),
            peer: log.peer().to_owned(),
            network: log.active().network(),
            are_lines,
            running: JoinSet::new(),
            running_limit: 0,
            waiting: VecDeque::new(),
            held: 0,
        }
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
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Returns whether more messages may be read; none while the connection has the turn, for which others
    /// wait.
    pub(crate) fn has_room(&self, has_turn: bool) -> bool {
        let has_room = self.waiting.len() < MAX_WAITING && self.held < MAX_WAITING_BYTES;
        self.is_empty() || has_room && !has_turn
    }

    /// Returns the number of bytes of messages that are held.
    pub(crate) fn held_len(&self) -> usize {
        self.held
    }

    /// Returns the max length of the next answer, because nobody knows how long it will be.
    pub(crate) fn next_len(&self) -> u64 {
        let next = self.waiting.front().filter(|_| self.running.is_empty());
        next.map_or(self.running_limit, |asked| asked.limit)
    }

    /// Waits for the next answer of a command; forever if none has to answer. There has to be room for its
    /// [length](Self::next_len).
    ///
    /// # Cancel safety
    /// Dropping the future loses no answer; the command goes on when this is called again.
    pub(crate) async fn next(&mut self) -> Answered {
        let Some(Reply::Exec(exec)) = self.reply else { return pending().await };
        if self.running.is_empty()
            && let Some(asked) = self.waiting.pop_front()
        {
            let (exec, peer) = (Arc::clone(exec), self.peer.clone());
            let (network, are_lines) = (self.network, self.are_lines);
            self.running_limit = asked.limit;
            self.running
                .spawn(async move { asked.answered(&exec, (&peer, network), are_lines).await });
        }
        match self.running.join_next().await {
            Some(Ok(answered)) => {
                self.held = self.held.saturating_sub(answered.held);
                self.running_limit = 0;
                answered
            }
            // It panics at the end of the program only.
            Some(Err(_)) | None => pending().await,
        }
    }
}

impl Asked {
    async fn answered(
        self,
        exec: &Exec,
        (peer, network): (&str, Network),
        are_lines: bool,
    ) -> Answered {
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
        let place = exec.place(network).await;
        let (answer, said) = exec.answer(question).await;
        drop(place);
        Answered { meta, answer, said, held: payload.len() }
    }
}
