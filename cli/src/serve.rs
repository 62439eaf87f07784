//! One connection of `unstick listen`, from its first byte to its last.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{DecodeError, Frame, Framing, Kind};

use crate::addr::{Incoming, Outgoing};
use crate::advice::explain_read;
use crate::bytes::{count, count_bytes};
use crate::content::Content;
use crate::format::{AnyFormat, AnyMeta};
use crate::goodbye::part;
use crate::output::json;
use crate::preview::preview;
use crate::printer::Printer;
use crate::v1::{self, Close, Hello, Refusal, Said, without_advice};

/// What a message is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Echo,
    Upper,
    Text(String),
}

impl Reply {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "echo" => Self::Echo,
            "upper" => Self::Upper,
            _ => Self::Text(text.strip_prefix("text:").unwrap_or(text).to_owned()),
        }
    }

    pub(crate) fn to(&self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Echo => payload.to_vec(),
            Self::Upper => match std::str::from_utf8(payload) {
                Ok(text) => text.to_uppercase().into_bytes(),
                Err(_) => payload.to_ascii_uppercase(),
            },
            Self::Text(text) => text.as_bytes().to_vec(),
        }
    }
}

/// How long a peer may take to say hello before it is shown as connected without it.
const ANNOUNCE: Duration = Duration::from_millis(200);

/// What holds for every connection.
pub(crate) struct Rules {
    pub(crate) framing: Framing<AnyFormat>,
    pub(crate) reply: Option<Reply>,
    pub(crate) frame_timeout: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) skip_oversize: bool,
    /// The applications' kinds that are messages too.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) preview: usize,
    pub(crate) json: bool,
    /// The messages that came, on all connections.
    pub(crate) messages: AtomicU64,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    Listening {
        addr: &'a str,
    },
    Connected {
        peer: &'a str,
    },
    Hello {
        peer: &'a str,
        limit: u32,
        name: &'a str,
    },
    Message {
        peer: &'a str,
        at: u64,
        #[serde(flatten)]
        message: Message<'a>,
    },
    Error {
        peer: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'static str>,
        message: &'a str,
    },
    Ended {
        peer: &'a str,
        messages: u64,
        clean: bool,
    },
}

/// A message, whole, for scripts.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    len: usize,
    #[serde(flatten)]
    content: Content<'a>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(meta: AnyMeta, payload: &'a [u8]) -> Self {
        Self {
            kind: meta.kind().map(|kind| kind.to_string()),
            header: meta.header(),
            len: payload.len(),
            content: Content::new(payload),
        }
    }
}

/// Why a conversation is over.
enum End {
    /// Both sides know that everything was said.
    Clean,
    /// This program ends.
    Stopped,
    /// It went wrong. Where the peer can be told, with which code.
    Error { at: Option<u64>, code: Option<u16>, message: String },
}

impl End {
    fn at(at: u64, code: u16, message: String) -> Self {
        let message = format!("byte {at}: {message}");
        Self::Error { at: Some(at), code: Some(code), message }
    }

    fn transport(message: String) -> Self {
        Self::Error { at: None, code: None, message }
    }

    fn read(error: &ReadError, format: AnyFormat) -> Self {
        let at = match error {
            ReadError::Decode(error) => Some(error.at()),
            ReadError::FrameTimeout { at, .. } | ReadError::IdleTimeout { at, .. } => Some(*at),
            _ => None,
        };
        Self::Error { at, code: error.code(), message: explain_read(error, format) }
    }

    /// What the peer is told.
    fn close(&self) -> Close {
        match self {
            Self::Error { code: Some(code), message, .. } => Close::telling(*code, message),
            Self::Clean | Self::Stopped | Self::Error { code: None, .. } => Close::ordinary(),
        }
    }
}

/// Serves a connection until it ends, or `stop` says so.
pub(crate) async fn serve(
    rules: &Rules,
    printer: Printer,
    (incoming, outgoing): (Incoming, Outgoing),
    peer: String,
    mut stop: watch::Receiver<bool>,
) {
    let mut reader =
        FrameReader::with_framing(incoming, rules.framing).frame_timeout(rules.frame_timeout);
    if let Some(after) = rules.idle_timeout {
        reader = reader.idle_timeout(after);
    }
    let mut talk = Talk {
        rules,
        writer: FrameWriter::with_framing(outgoing, rules.framing),
        log: Log { rules, printer, peer, announced: false },
        messages: 0,
        at: 0,
        hello: None,
        spoken: false,
    };
    talk.log.connected().await;
    let end = talk.run(&mut reader, &mut stop).await;
    talk.log.ended(&end, talk.messages).await;
    let takes = talk.takes();
    part(reader, talk.writer, end.close(), takes).await;
}

/// The conversation with one peer.
struct Talk<'a> {
    rules: &'a Rules,
    writer: FrameWriter<Outgoing, AnyFormat>,
    log: Log<'a>,
    messages: u64,
    /// The stream offset of the next frame.
    at: u64,
    /// What the peer said of itself, if it did.
    hello: Option<Hello>,
    /// Whether we sent a frame; a hello is the first or none.
    spoken: bool,
}

impl Talk<'_> {
    async fn run(
        &mut self,
        reader: &mut FrameReader<Incoming, AnyFormat>,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        // Only v1 peers say hello.
        let patience = if self.rules.framing.format().is_v1() { ANNOUNCE } else { Duration::ZERO };
        let mut announce = pin!(sleep(patience));
        loop {
            let next = {
                let mut next = pin!(reader.next_frame());
                loop {
                    let next = tokio::select! {
                        biased; // a hello that is there is part of the announcement
                        _ = stop.wait_for(|stop| *stop) => return End::Stopped,
                        next = &mut next => Some(next),
                        () = &mut announce, if !self.log.announced => None,
                    };
                    match next {
                        Some(next) => break next,
                        None => self.log.announce(None).await,
                    }
                }
            };
            let over = match next {
                Ok(Some(frame)) => self.frame(&frame).await,
                Ok(None) => Err(self.end_of_stream()),
                Err(error) => match error {
                    ReadError::Decode(DecodeError::Oversize { at, len, .. })
                        if self.rules.skip_oversize && reader.skip_frame().is_ok() =>
                    {
                        self.at = reader.position().saturating_add(len); // behind its header
                        self.log
                            .error(
                                Some(at),
                                error.code(),
                                &format!("{}; skipped", without_advice(&error.to_string())),
                            )
                            .await;
                        Ok(())
                    }
                    error => Err(End::read(&error, *self.rules.framing.format())),
                },
            };
            if let Err(end) = over {
                return end;
            }
        }
    }

    /// Deals with a frame. An `Err` ends the conversation, a clean end too.
    async fn frame(&mut self, frame: &Frame<'_, AnyMeta>) -> Result<(), End> {
        let at = self.at;
        self.at += frame.bytes().len() as u64;
        let Some(kind) = frame.meta.kind() else { return self.message(at, frame).await };
        let said = v1::understand(kind, frame.payload, &self.rules.kinds)
            .map_err(|Refusal { code, why }| End::at(at, code, why))?;
        match said {
            Said::Message => self.message(at, frame).await,
            Said::Ping => self.send(AnyMeta::Kind(Kind::PONG), frame.payload).await,
            Said::Hello(hello) => self.hello(hello).await,
            Said::Close(close) if close.code == v1::NO_ERROR => Err(End::Clean),
            Said::Close(close) => {
                let message = format!("byte {at}: the peer gave up: {close}");
                Err(End::Error { at: Some(at), code: None, message })
            }
            Said::Pong | Said::Unknown => Ok(()),
        }
    }

    /// Shows a message, and answers it.
    async fn message(&mut self, at: u64, frame: &Frame<'_, AnyMeta>) -> Result<(), End> {
        self.messages += 1;
        self.rules.messages.fetch_add(1, Ordering::Relaxed);
        self.log.message(at, frame).await;
        match &self.rules.reply {
            Some(reply) => self.send(frame.meta, &reply.to(frame.payload)).await,
            None => Ok(()),
        }
    }

    /// A peer that says hello first is told ours.
    async fn hello(&mut self, hello: Hello) -> Result<(), End> {
        self.log.hello(&hello).await;
        self.hello = Some(hello);
        if !self.spoken {
            let limit = self.rules.framing.limit();
            if let Some(ours) = Hello::ours(limit).encode(limit.min(self.takes())) {
                self.send(AnyMeta::Kind(Kind::HELLO), &ours).await?;
            }
        }
        Ok(())
    }

    /// The most payload bytes that the peer takes.
    fn takes(&self) -> u64 {
        v1::limit_after(self.hello.as_ref())
    }

    /// Sends a frame, if the peer takes one of this size, and in time.
    async fn send(&mut self, meta: AnyMeta, payload: &[u8]) -> Result<(), End> {
        self.spoken = true;
        let len = payload.len() as u64;
        let most = self.takes();
        if meta.kind().is_some() && len > most {
            let said = if self.hello.is_some() { "its hello says" } else { "it sent no hello" };
            return Err(End::Error {
                at: None,
                code: Some(v1::OVERSIZE),
                message: format!(
                    "the answer has {} and the peer takes {most} at most ({said})",
                    count_bytes(len)
                ),
            });
        }
        match timeout(self.rules.frame_timeout, self.writer.send(meta, payload)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WriteError::Encode(error))) => Err(End::Error {
                at: None,
                code: Some(v1::OVERSIZE),
                message: format!("the answer cannot be sent: {error}"),
            }),
            Ok(Err(error)) => Err(End::transport(format!("cannot send the answer: {error}"))),
            Err(_) => Err(End::transport(format!(
                "the peer did not take an answer within {:?}; does it read?",
                self.rules.frame_timeout
            ))),
        }
    }

    fn end_of_stream(&self) -> End {
        if self.rules.framing.format().is_v1() {
            let at = self.at;
            End::Error {
                at: Some(at),
                code: None,
                message: format!(
                    "byte {at}: the stream ended without a close, which is no clean end; \
                     did the peer crash, or forget to send one?"
                ),
            }
        } else {
            End::Clean
        }
    }
}

/// Tells what happens on a connection.
struct Log<'a> {
    rules: &'a Rules,
    printer: Printer,
    peer: String,
    /// Whether it was said that the peer is there.
    announced: bool,
}

impl Log<'_> {
    async fn event(&self, event: Event<'_>) {
        if self.rules.json {
            self.printer.line(json(&event)).await;
        }
    }

    async fn connected(&self) {
        self.event(Event::Connected { peer: &self.peer }).await;
    }

    /// Says that the peer is there, in one line with its hello if that came first.
    async fn announce(&mut self, hello: Option<&Hello>) {
        if self.announced {
            return;
        }
        self.announced = true;
        if !self.rules.json {
            let hello = hello.map_or_else(String::new, |hello| format!(" ({})", hello.brief()));
            self.printer.note(format!("{} connected{hello}", self.peer)).await;
        }
    }

    async fn hello(&mut self, hello: &Hello) {
        let peer = &self.peer;
        self.event(Event::Hello { peer, limit: hello.limit, name: &hello.name }).await;
        if self.announced && !self.rules.json {
            self.printer.note(format!("{peer} says hello: {}", hello.brief())).await;
        }
        self.announce(Some(hello)).await;
    }

    async fn message(&mut self, at: u64, frame: &Frame<'_, AnyMeta>) {
        self.announce(None).await;
        let (peer, payload) = (&self.peer, frame.payload);
        if self.rules.json {
            let message = Message::new(frame.meta, payload);
            return self.event(Event::Message { peer, at, message }).await;
        }
        let len = payload.len();
        let content = preview(payload, len as u64, self.rules.preview);
        let meta = frame.meta.kind().map(|kind| kind.to_string()).or_else(|| frame.meta.header());
        let meta = meta.map_or_else(String::new, |meta| format!("{meta:<6}  "));
        self.printer.line(format!("{peer:<21}  {meta}{len:>8}  {content}")).await;
    }

    async fn error(&mut self, at: Option<u64>, code: Option<u16>, message: &str) {
        self.announce(None).await;
        let peer = &self.peer;
        self.printer.complain(&format!("{peer}: {message}")).await;
        let name = code.map(v1::code_name);
        self.event(Event::Error { peer, at, code, name, message }).await;
    }

    async fn ended(&mut self, end: &End, messages: u64) {
        self.announce(None).await;
        if let End::Error { at, code, message } = end {
            self.error(*at, *code, message).await;
        }
        let peer = &self.peer;
        let clean = matches!(end, End::Clean);
        self.event(Event::Ended { peer, messages, clean }).await;
        if !self.rules.json && clean {
            let after = count(messages, "message");
            self.printer.note(format!("{peer} ended after {after}")).await;
        }
    }
}
