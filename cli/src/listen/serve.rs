//! Serves one connection of `unstick listen`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use unstick::scan::Found;
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{DecodeError, Frame, Framing, Kind};
use unstick_session::message::{Code, Encoded, FileStatus, Hello, Message};
use unstick_session::session::{self, SendError, Session};

use crate::addr::{BoxedReader, BoxedWriter};
use crate::advice::{explain_read, explain_session};
use crate::format::{AnyMeta, Meta};
use crate::goodbye::close_and_drain;
use crate::inbox::Inbox;
use crate::listen::dialect;
use crate::listen::meter::{Meter, Metered};
use crate::listen::rate::MinRate;
use crate::listen::reply::Reply;
use crate::listen::uploads::{Answer, Outcome, Uploads};
use crate::shown::Shown;
use crate::term::bytes::{count, count_bytes};
use crate::term::output::json;
use crate::term::preview::{self, preview};
use crate::term::printer::Printer;
use crate::v1::{self, Close, without_advice};
use crate::wire::{self, AnyWire, Exchange, next_found};

/// How long to wait for a peer's hello before the peer is announced without it.
const ANNOUNCE: Duration = Duration::from_millis(200);
/// The interval at which the rate of an upload is checked.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// The number of ticks after which a waiting peer receives a sign that its file is being processed.
const TICKS_TO_WORKING: u32 = 3;

/// The options that apply to every connection, and counters over all of them.
pub(crate) struct Rules {
    pub(crate) reply: Option<Reply>,
    pub(crate) frame_timeout: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) skip_oversize: bool,
    /// The application kinds that are accepted as messages.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) preview: usize,
    pub(crate) json: bool,
    /// The folder for files; `None` refuses them.
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// The minimum rate of an upload, in bytes a second.
    pub(crate) min_rate: u64,
    /// The number of messages received on all connections.
    pub(crate) messages: AtomicU64,
    /// The number of files stored.
    pub(crate) files: AtomicU64,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum ListenEvent<'a> {
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
        message: Shown<'a>,
    },
    File {
        peer: &'a str,
        /// The sender's name of the file.
        name: &'a str,
        /// `stored`, `exists`, or the name of the code of the refusal.
        status: String,
        /// The name under which it was stored.
        #[serde(skip_serializing_if = "Option::is_none")]
        stored_as: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
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
        files: u64,
        clean: bool,
    },
}

/// How a conversation ended.
pub(crate) enum End {
    /// Both sides have closed.
    Clean,
    /// The program is ending.
    Stopped,
    /// An error. `code` is `None` if it cannot be reported to the peer.
    Error { at: Option<u64>, code: Option<Code>, message: String },
}

impl End {
    pub(crate) fn at(at: u64, code: Code, message: &str) -> Self {
        let message = format!("byte {at}: {message}");
        Self::Error { at: Some(at), code: Some(code), message }
    }

    pub(crate) fn transport(message: String) -> Self {
        Self::Error { at: None, code: None, message }
    }

    fn read(error: &ReadError, wire: AnyWire) -> Self {
        let at = match error {
            ReadError::Decode(error) => Some(error.at()),
            ReadError::FrameTimeout { at, .. } | ReadError::IdleTimeout { at, .. } => Some(*at),
            _ => None,
        };
        Self::Error { at, code: error.code().map(Code), message: explain_read(error, wire) }
    }

    /// Returns the close that is sent to the peer. `owes` is whether the peer still waits for an
    /// answer.
    fn close(&self, owes: bool) -> Close {
        match self {
            Self::Error { code: Some(code), message, .. } => Close::with_error(*code, message),
            Self::Stopped if owes => {
                Close::with_error(Code::SHUTTING_DOWN, Code::SHUTTING_DOWN.meaning())
            }
            Self::Clean | Self::Stopped | Self::Error { code: None, .. } => Close::ordinary(),
        }
    }
}

/// Serves a connection until it ends, or `stop` becomes true.
pub(crate) async fn serve<W: Exchange>(
    rules: &Rules,
    framing: Framing<W>,
    printer: Printer,
    (incoming, outgoing): (BoxedReader, BoxedWriter),
    peer: String,
    stop: watch::Receiver<bool>,
) {
    let log = Log { rules, printer, peer, announced: false, messages: 0, files: 0 };
    let wire: AnyWire = (*framing.format()).into();
    match (&rules.inbox, wire) {
        (Some(inbox), AnyWire::Format(format)) if !format.is_v1() => {
            let (framing, inbox) =
                (Framing::new(format).with_limit(framing.limit()), Arc::clone(inbox));
            dialect::serve(rules, framing, inbox, log, (incoming, outgoing), stop).await;
        }
        _ => converse(rules, framing, log, (incoming, outgoing), stop).await,
    }
}

/// Serves a connection of version 1, or of a format in which each frame is a message.
async fn converse<W: Exchange>(
    rules: &Rules,
    framing: Framing<W>,
    log: Log<'_>,
    (incoming, outgoing): (BoxedReader, BoxedWriter),
    mut stop: watch::Receiver<bool>,
) {
    let (incoming, meter) = Metered::new(incoming);
    let mut reader =
        FrameReader::with_framing(incoming, framing).with_frame_timeout(rules.frame_timeout);
    if let Some(after) = rules.idle_timeout {
        reader = reader.with_idle_timeout(after);
    }
    let session = rules.kinds.iter().fold(Session::new(), |session, kind| session.with_kind(*kind));
    let mut conversation = Conversation {
        rules,
        framing,
        writer: FrameWriter::with_framing(outgoing, framing),
        log,
        session,
        uploads: Uploads::new(rules.inbox.clone()),
        rate: MinRate::new(rules.min_rate),
        open: None,
        at: 0,
        hello_received: false,
        has_sent: false,
        peer_closed: false,
    };
    conversation.log.connected().await;
    let end = conversation.run(&mut reader, &meter, &mut stop).await;
    let close = end.close(conversation.session.owed() > 0);
    let peer_limit = conversation.session.peer_limit();
    let Conversation { mut log, mut uploads, writer, .. } = conversation;
    // Complete files are stored and parts of the others kept, even if the peer cannot be informed.
    uploads.keep_parts();
    while let Some(outcome) = uploads.next_until_done().await {
        log.file(&outcome).await;
    }
    log.ended(&end).await;
    close_and_drain(reader, writer, close, peer_limit).await;
}

/// The state of the conversation with one peer.
struct Conversation<'a, W: Exchange> {
    rules: &'a Rules,
    framing: Framing<W>,
    writer: FrameWriter<BoxedWriter, W>,
    log: Log<'a>,
    session: Session,
    uploads: Uploads,
    rate: MinRate,
    /// The transfer that is being received; its rate is checked.
    open: Option<u32>,
    /// The stream offset of the next frame.
    at: u64,
    hello_received: bool,
    /// Whether a frame was sent; a hello must be the first.
    has_sent: bool,
    /// Whether the peer has closed; only answers to its files are still to be sent.
    peer_closed: bool,
}

/// What woke the loop of the conversation.
enum Wakeup<M> {
    Frame(Result<Option<Found<M>>, ReadError>),
    Outcome(Option<Outcome>),
    Tick,
    Announce,
    Stop,
}

impl<W: Exchange> Conversation<'_, W> {
    async fn run(
        &mut self,
        reader: &mut FrameReader<Metered<BoxedReader>, W>,
        meter: &Meter,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        // Only v1 peers send a hello.
        let hello_wait = if self.wire().is_v1() { ANNOUNCE } else { Duration::ZERO };
        let mut announce = pin!(sleep(hello_wait));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut ticked = 0;
        loop {
            if self.peer_closed && self.uploads.is_empty() {
                return End::Clean;
            }
            let can_read = !self.peer_closed && self.uploads.has_room();
            let has_uploads = !self.uploads.is_empty() || self.open.is_some();
            let position = reader.buf().position();
            let wakeup = tokio::select! {
                biased; // a hello that has arrived is part of the announcement
                _ = stop.wait_for(|stop| *stop) => Wakeup::Stop,
                outcome = self.uploads.next(), if !self.uploads.is_empty() => {
                    Wakeup::Outcome(outcome)
                }
                _ = ticks.tick(), if has_uploads => Wakeup::Tick,
                found = next_found(reader), if can_read => Wakeup::Frame(found),
                () = &mut announce, if !self.log.announced => Wakeup::Announce,
            };
            let result = match wakeup {
                Wakeup::Stop => Err(End::Stopped),
                Wakeup::Announce => {
                    self.log.announce(None).await;
                    Ok(())
                }
                Wakeup::Outcome(outcome) => self.outcome(outcome).await,
                Wakeup::Tick => {
                    ticked += 1;
                    let begun = meter.bytes().saturating_sub(position);
                    self.tick(ticked % TICKS_TO_WORKING == 0, can_read, begun).await
                }
                Wakeup::Frame(Ok(Some(found))) => {
                    self.at = found.at().saturating_add(found.frame_len() as u64);
                    match reader.buf().frame(&found) {
                        Some(frame) => self.frame(found.at(), &frame).await,
                        None => Ok(()),
                    }
                }
                Wakeup::Frame(Ok(None)) => Err(self.end_of_stream()),
                Wakeup::Frame(Err(error)) => match error {
                    ReadError::Decode(
                        cause
                        @ (DecodeError::Oversize { at, .. } | DecodeError::TooLong { at, .. }),
                    ) if self.rules.skip_oversize && reader.buf_mut().skip_frame().is_ok() => {
                        self.at = reader.buf().position();
                        if let DecodeError::Oversize { len, .. } = cause {
                            // The reader is after the header, and skips the payload.
                            self.at = self.at.saturating_add(len);
                        }
                        let message = format!("{}; skipped", without_advice(&error.to_string()));
                        self.log.error(Some(at), error.code().map(Code), &message).await;
                        Ok(())
                    }
                    error => Err(End::read(&error, self.wire())),
                },
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    fn wire(&self) -> AnyWire {
        (*self.framing.format()).into()
    }

    /// Handles the frame at this stream offset. An `Err` ends the conversation.
    async fn frame(&mut self, at: u64, frame: &Frame<'_, W::Meta>) -> Result<(), End> {
        let meta = frame.meta.clone().into_any();
        let Some(kind) = meta.kind().filter(|_| self.wire().is_v1()) else {
            return self.message(at, meta, frame.payload).await;
        };
        let event = self
            .session
            .handle_frame(kind, frame.payload)
            .map_err(|error| End::at(at, error.code(), &explain_session(error)))?;
        match event {
            session::Event::Text(_)
            | session::Event::Binary(_)
            | session::Event::Application { .. } => self.message(at, meta, frame.payload).await?,
            session::Event::Hello(hello) => self.hello(&hello).await?,
            session::Event::Close(close) if close.code == Code::NO_ERROR => {
                self.peer_closed = true;
                self.open = None;
                self.uploads.keep_parts();
            }
            session::Event::Close(close) => {
                let message = format!("byte {at}: the peer gave up: {}", Close::from(close));
                return Err(End::Error { at: Some(at), code: None, message });
            }
            session::Event::FileOpen(open) => self.uploads.open(&open),
            session::Event::FileData(data) => {
                if self.open.replace(data.id) != Some(data.id) {
                    self.rate.restart();
                }
                self.rate.arrived(data.bytes.len() as u64);
                self.uploads.data(data.id, data.offset, data.bytes);
            }
            session::Event::FileDone(done) => {
                self.open = None;
                self.uploads.done(done.id, done.total, Some(done.digest));
            }
            session::Event::FileCancel(cancel) => {
                self.cancelled(cancel.id, cancel.code, cancel.reason).await;
            }
            session::Event::FileRefused { id, code } => self.cancelled(id, code, "").await,
            // This program offers no files, and does not evaluate pongs.
            _ => {}
        }
        self.transmit().await
    }

    /// Logs a message, and answers it.
    async fn message(&mut self, at: u64, meta: AnyMeta, payload: &[u8]) -> Result<(), End> {
        self.log.message(at, meta, payload).await;
        match &self.rules.reply {
            Some(reply) => self.send(meta, &reply.to(payload)).await,
            None => Ok(()),
        }
    }

    /// Logs the peer's hello, and answers with ours if no frame was sent yet.
    async fn hello(&mut self, hello: &Hello<'_>) -> Result<(), End> {
        self.log.hello(hello).await;
        self.hello_received = true;
        let limit = self.framing.limit();
        match v1::hello(limit, limit.min(self.session.peer_limit())) {
            Some(ours) if !self.has_sent => self.send_message(&ours).await,
            _ => Ok(()),
        }
    }

    /// Handles a file that the sender cancelled or the session refused.
    async fn cancelled(&mut self, id: u32, code: Code, reason: &str) {
        if self.open == Some(id) {
            self.open = None;
        }
        let name = self.uploads.name(id).map(str::to_owned);
        self.uploads.drop_part(id);
        self.log.cancelled(name.as_deref(), code, reason).await;
    }

    /// Sends the status of a file, and logs it.
    async fn outcome(&mut self, outcome: Option<Outcome>) -> Result<(), End> {
        let Some(outcome) = outcome else { return Ok(()) };
        let status = outcome.answer.status(outcome.id);
        let room = self.session.peer_limit().saturating_sub(FileStatus::HEAD_LEN as u64);
        let reason = if status.reason.len() as u64 <= room { status.reason } else { "" };
        let status = FileStatus { reason, ..status };
        let sent = match self.session.send(&Message::FileStatus(status)) {
            Ok(encoded) => write(self.rules, &mut self.writer, &encoded).await,
            // The session refuses a status that crossed data or a cancel of the sender.
            Err(_) => Ok(()),
        };
        self.has_sent = true;
        if status.code.is_final() && self.open == Some(outcome.id) {
            self.open = None;
        }
        self.log.file(&outcome).await;
        sent
    }

    /// Handles a tick: flushes, checks the rate, and with `report_work` sends signs of life.
    async fn tick(&mut self, report_work: bool, can_read: bool, begun: u64) -> Result<(), End> {
        self.uploads.flush();
        if self.open.is_some()
            && can_read
            && let Err(slow) = self.rate.waited(TICK, begun)
        {
            return Err(End::at(self.at, Code::TOO_SLOW, &slow.message()));
        }
        if report_work {
            self.session.handle_tick();
            if !can_read && !self.peer_closed {
                // The disk is slower than the peer; a ping shows that this side is alive.
                self.send_message(&Message::Ping(b"")).await?;
            }
            self.transmit().await?;
        }
        Ok(())
    }

    /// Sends the messages that the session generates.
    async fn transmit(&mut self) -> Result<(), End> {
        while let Some(encoded) = self.session.poll_transmit() {
            self.has_sent = true;
            write(self.rules, &mut self.writer, &encoded).await?;
        }
        Ok(())
    }

    /// Sends a message that fits every limit; one that the session refuses is skipped.
    async fn send_message(&mut self, message: &Message<'_>) -> Result<(), End> {
        match self.session.send(message) {
            Ok(encoded) => {
                self.has_sent = true;
                write(self.rules, &mut self.writer, &encoded).await
            }
            Err(_) => Ok(()),
        }
    }

    /// Sends an answer, if the peer accepts its size, within the time limit.
    async fn send(&mut self, meta: AnyMeta, payload: &[u8]) -> Result<(), End> {
        if let Some(kind) = meta.kind().filter(|_| self.wire().is_v1()) {
            self.has_sent = true;
            return match self.session.send(&Message::Other { kind, payload }) {
                Ok(encoded) => write(self.rules, &mut self.writer, &encoded).await,
                Err(SendError::TooLong { len, limit }) => {
                    let source =
                        if self.hello_received { "its hello says" } else { "it sent no hello" };
                    Err(End::Error {
                        at: None,
                        code: Some(Code::OVERSIZE),
                        message: format!(
                            "the answer has {} and the peer takes {limit} at most ({source})",
                            count_bytes(len)
                        ),
                    })
                }
                Err(error) => Err(End::transport(format!("the answer cannot be sent: {error}"))),
            };
        }
        in_time(self.rules, wire::send(&mut self.writer, meta, payload)).await
    }

    fn end_of_stream(&self) -> End {
        if self.wire().is_v1() {
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

/// Writes a message of the session.
async fn write<W: Exchange>(
    rules: &Rules,
    writer: &mut FrameWriter<BoxedWriter, W>,
    encoded: &Encoded<'_>,
) -> Result<(), End> {
    let meta = AnyMeta::Kind(encoded.kind());
    in_time(rules, wire::send(writer, meta, &encoded.to_payload())).await
}

/// Awaits a write with a time limit.
pub(crate) async fn in_time(
    rules: &Rules,
    written: impl Future<Output = Result<(), WriteError>>,
) -> Result<(), End> {
    match timeout(rules.frame_timeout, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(WriteError::Encode(error))) => Err(End::Error {
            at: None,
            code: Some(Code::OVERSIZE),
            message: format!("the answer cannot be sent: {error}"),
        }),
        Ok(Err(error)) => Err(End::transport(format!("cannot send the answer: {error}"))),
        Err(_) => Err(End::transport(format!(
            "the peer did not take an answer within {:?}; does it read?",
            rules.frame_timeout
        ))),
    }
}

/// Logs the events of one connection.
pub(crate) struct Log<'a> {
    rules: &'a Rules,
    printer: Printer,
    peer: String,
    /// Whether the peer was announced.
    announced: bool,
    messages: u64,
    files: u64,
}

impl Log<'_> {
    async fn event(&self, event: ListenEvent<'_>) {
        if self.rules.json {
            self.printer.line(json(&event)).await;
        }
    }

    pub(crate) async fn connected(&self) {
        self.event(ListenEvent::Connected { peer: &self.peer }).await;
    }

    /// Announces the peer in one line, with its hello if that came first.
    pub(crate) async fn announce(&mut self, hello: Option<&Hello<'_>>) {
        if self.announced {
            return;
        }
        self.announced = true;
        if !self.rules.json {
            let hello = hello.map_or_else(String::new, |hello| format!(" ({})", v1::brief(hello)));
            self.printer.note(format!("{} connected{hello}", self.peer)).await;
        }
    }

    async fn hello(&mut self, hello: &Hello<'_>) {
        let peer = &self.peer;
        self.event(ListenEvent::Hello { peer, limit: hello.limit, name: hello.name }).await;
        if self.announced && !self.rules.json {
            self.printer.note(format!("{peer} says hello: {}", v1::brief(hello))).await;
        }
        self.announce(Some(hello)).await;
    }

    pub(crate) async fn message(&mut self, at: u64, meta: AnyMeta, payload: &[u8]) {
        self.messages += 1;
        self.rules.messages.fetch_add(1, Ordering::Relaxed);
        self.announce(None).await;
        let peer = &self.peer;
        if self.rules.json {
            let message = Shown::new(meta, payload);
            return self.event(ListenEvent::Message { peer, at, message }).await;
        }
        let len = payload.len();
        let content = preview(payload, len as u64, self.rules.preview);
        let meta = meta.kind().map(|kind| kind.to_string()).or_else(|| meta.header());
        let meta = meta.map_or_else(String::new, |meta| format!("{meta:<6}  "));
        self.printer.line(format!("{peer:<21}  {meta}{len:>8}  {content}")).await;
    }

    /// Logs the outcome of a file.
    pub(crate) async fn file(&mut self, outcome: &Outcome) {
        let Outcome { name, answer, .. } = outcome;
        match answer {
            Answer::Ready { .. } => {}
            Answer::Stored { size, digest, to } => {
                self.files += 1;
                self.rules.files.fetch_add(1, Ordering::Relaxed);
                self.announce(None).await;
                let peer = &self.peer;
                if self.rules.json {
                    let event = ListenEvent::File {
                        peer,
                        name,
                        status: "stored".to_owned(),
                        stored_as: Some(to),
                        size: Some(*size),
                        digest: Some(digest.to_string()),
                        message: None,
                    };
                    return self.event(event).await;
                }
                let to = preview::name(to);
                self.printer
                    .line(format!("{peer:<21}  file    {size:>8}  {to}  sha256 {digest}"))
                    .await;
            }
            Answer::Exists(there) => {
                let what = match there {
                    Some(_) => {
                        "a file of this name and size is there; the sender finds out whether it is this one"
                    }
                    None => "a file of this name is there; give it another with --name",
                };
                self.refused(Some(name), Code::EXISTS, what).await;
            }
            Answer::Refused(refusal) => {
                let what = match &refusal.cause {
                    Some(cause) => format!("{}: {cause}", refusal.code.meaning()),
                    None => refusal.code.meaning().to_owned(),
                };
                let advice = match refusal.code {
                    Code::TOO_LARGE => "; to take it raise --max-file, or --max-parts",
                    Code::NOT_ACCEPTED => "; to take files give --dir",
                    _ => "",
                };
                self.refused(Some(name), refusal.code, &format!("{what}{advice}")).await;
            }
        }
    }

    async fn cancelled(&mut self, name: Option<&str>, code: Code, reason: &str) {
        let what = if reason.is_empty() { code.meaning() } else { reason };
        self.refused(name, code, what).await;
    }

    /// Logs a file that is not stored. The connection continues.
    async fn refused(&mut self, name: Option<&str>, code: Code, message: &str) {
        self.announce(None).await;
        let peer = &self.peer;
        let shown = name.map_or_else(|| "a file".to_owned(), preview::name);
        self.printer.error(&format!("{peer}: {shown} is not stored: {code}, {message}")).await;
        let name = name.unwrap_or_default();
        let (status, message) = (code.to_string(), Some(message));
        let (stored_as, size, digest) = (None, None, None);
        self.event(ListenEvent::File { peer, name, status, stored_as, size, digest, message })
            .await;
    }

    pub(crate) async fn error(&mut self, at: Option<u64>, code: Option<Code>, message: &str) {
        self.announce(None).await;
        let peer = &self.peer;
        self.printer.error(&format!("{peer}: {message}")).await;
        let name = code.map(v1::code_name);
        let code = code.map(|code| code.0);
        self.event(ListenEvent::Error { peer, at, code, name, message }).await;
    }

    pub(crate) async fn ended(&mut self, end: &End) {
        self.announce(None).await;
        if let End::Error { at, code, message } = end {
            self.error(*at, *code, message).await;
        }
        let (peer, messages, files) = (&self.peer, self.messages, self.files);
        let clean = matches!(end, End::Clean);
        self.event(ListenEvent::Ended { peer, messages, files, clean }).await;
        if !self.rules.json && clean {
            let mut after = count(messages, "message");
            if files > 0 {
                after = format!("{after} and {}", count(files, "file"));
            }
            self.printer.note(format!("{peer} ended after {after}")).await;
        }
    }
}
