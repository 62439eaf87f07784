//! `send` over TCP and Unix sockets.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{Framing, Kind};
use unstick_session::message::{
    self, Code, Digest, FileCancel, FileData, FileDone, FileOpen, Message, ResumeKey,
};
use unstick_session::session::{self, LIMIT_WITHOUT_HELLO, SendError, Session};

use crate::addr::{Addr, BoxedReader, BoxedWriter};
use crate::advice::{explain_read, explain_session};
use crate::format::{AnyMeta, Meta};
use crate::goodbye::close_and_drain;
use crate::send::args::Args;
use crate::send::progress::Bar;
use crate::send::prompt;
use crate::send::shape::Shape;
use crate::send::source::{self, Item, Items};
use crate::send::tally::{FileOutcome, Tally};
use crate::send::transfer::{FileItem, FileSource, ResumeKeys, Unsendable};
use crate::shown::Shown;
use crate::term::bytes::{count, count_bytes};
use crate::term::output::{Failure, json, note};
use crate::term::preview::plain_hex;
use crate::term::printer::Printer;
use crate::v1::{self, Close};
use crate::wire::{self, Exchange, next_found};

/// How long to wait for a peer's hello before sending a message longer than the limit without one.
const HELLO_WAIT: Duration = Duration::from_secs(1);
/// After a failed write, how long to wait for the peer's close, which may explain it.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// The time limit for sending the close after this side gave up.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);
/// After an error, how long the prompt has to print the answers that it was given.
const PRINT_WAIT: Duration = Duration::from_millis(100);
/// The minimum size of a file for which the sender waits for the receiver's status before it sends
/// data: the receiver may hold a part, or all of it. Smaller files are sent without waiting.
const MIN_SIZE_TO_ASK: u64 = 1 << 20;
/// The maximum number of bytes of a file in one frame: a slow line transmits this many in time.
const MAX_DATA: u64 = 128 << 10;
/// The minimum length of a payload that is written without copying.
const MIN_UNCOPIED: usize = 32 << 10;

/// The progress of the conversation. Each direction updates it and watches for updates of the
/// other.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The number of frames received.
    frames: u64,
    /// The number of those frames that are answers.
    answers: u64,
    /// Whether the peer's hello was received.
    hello: bool,
    /// Whether the session may have messages to transmit.
    owes: bool,
    /// The number of messages sent.
    sent: u64,
    /// Whether all messages were sent.
    all_sent: bool,
}

/// The reason why a conversation failed.
enum ConversationError {
    /// The peer sent something invalid. This is reported to it with `close`.
    Refused { close: Close, message: String },
    /// Any other reason.
    Failed(Failure),
}

impl ConversationError {
    fn job(message: impl Into<String>) -> Self {
        Self::Failed(Failure::job(message))
    }
}

/// The hint for a peer that ends the connection without a close.
const SPEAKS_V1: &str = "; does it speak v1? see --format";

/// The reason why not everything was sent.
enum SendFailure {
    /// The peer did not accept it. Its close may explain it.
    Refused(Failure),
    /// This side gave up, and sent the peer a close.
    GivenUp(Failure),
}

impl SendFailure {
    fn refused(message: impl Into<String>) -> Self {
        Self::Refused(Failure::job(message))
    }

    fn given_up(message: impl Into<String>) -> Self {
        Self::GivenUp(Failure::job(message))
    }
}

/// The state that both directions share.
struct Shared {
    session: RefCell<Session>,
    /// The statuses of the files.
    tally: RefCell<Tally>,
}

pub(crate) async fn send<W: Exchange>(
    args: Args,
    framing: Framing<W>,
    shape: Shape,
) -> Result<(), Failure> {
    let reads_stdin = args.items.is_empty();
    let given = args.items.items(args.name.as_deref())?;
    let tls = args.tls.connector(&args.addr)?;
    let connect = async {
        let (incoming, outgoing) = args.addr.connect().await?;
        match &tls {
            Some(tls) => tls.connect(incoming, outgoing).await,
            None => Ok((incoming, outgoing)),
        }
    };
    let connected = timeout(args.timeout, connect).await.map_err(|_| {
        Failure::job(format!(
            "cannot connect to {}: no answer within {:?}; are host and port right?",
            args.addr, args.timeout
        ))
    });
    let (incoming, outgoing) = connected??;

    let mut terminal = None;
    let on_terminal =
        reads_stdin && !args.json && { io::stdin().is_terminal() && io::stdout().is_terminal() };
    let bar = Bar::new(!on_terminal);
    let (items, (printer, mut outcome)) = if on_terminal {
        note(&format!(
            "connected to {}; each line is a message, /file PATH sends a file, /quit ends",
            args.addr
        ));
        let prompt = prompt::start()?;
        terminal = Some(prompt.terminal);
        (prompt.items, (prompt.printer, prompt.outcome))
    } else if reads_stdin {
        (source::lines(args.framing.max_line_len(framing.limit())), Printer::start())
    } else {
        (source::given(given), bar.printer())
    };
    let shared = Shared {
        session: RefCell::new(shape.session(args.framing.limit)),
        tally: RefCell::default(),
    };

    let mut reader = FrameReader::with_framing(incoming, framing);
    let mut writer = FrameWriter::with_framing(outgoing, framing);
    let (progress, seen) = watch::channel(Progress::default());
    let answer_reader = AnswerReader {
        reader: &mut reader,
        shape,
        progress: &progress,
        shared: &shared,
        printer: printer.clone(),
        json: args.json,
        prompted: terminal.is_some(),
    };
    let message_sender = MessageSender {
        writer: &mut writer,
        framing,
        shape,
        progress: &progress,
        seen: seen.clone(),
        shared: &shared,
        items,
        addr: &args.addr,
        keys: None,
        printer: printer.clone(),
        bar: bar.clone(),
        limit_is_known: args.framing.limit.is_some(),
        waited_for_hello: false,
        expect_reply: args.expect_reply,
        timeout: args.timeout,
    };
    let mut printed = false;
    let result = tokio::select! {
        result = converse(answer_reader, message_sender, seen) => result,
        written = &mut outcome => {
            printed = true;
            match written {
                Ok(Err(failure)) => Err(ConversationError::Failed(failure)),
                _ => Err(ConversationError::Failed(Failure::OutputClosed)),
            }
        }
    };

    if let Some(terminal) = terminal {
        if result.is_err() {
            sleep(PRINT_WAIT).await;
        }
        if terminal.restore() {
            note("");
        }
    }
    bar.end();
    let result = match result {
        Ok(()) => Ok(()),
        Err(ConversationError::Failed(failure)) => Err(failure),
        Err(ConversationError::Refused { close, message }) => {
            let peer_limit = shared.session.borrow().peer_limit();
            close_and_drain(reader, writer, close, peer_limit).await;
            Err(Failure::Job(message))
        }
    };
    if printed {
        return result;
    }
    let tally = shared.tally.into_inner();
    for line in tally.lines(args.json) {
        printer.line(line).await;
    }
    drop(printer);
    let result = result.and_then(|()| tally.check_all_stored());
    // All clones of the printer are dropped; the answers that are still queued are printed before
    // the program ends.
    if let (Ok(()), Ok(Err(failure))) = (&result, outcome.await) {
        return Err(failure);
    }
    result
}

/// Runs both directions to their ends, and checks how the conversation ended.
async fn converse<W: Exchange>(
    answer_reader: AnswerReader<'_, W>,
    message_sender: MessageSender<'_, W>,
    seen: watch::Receiver<Progress>,
) -> Result<(), ConversationError> {
    let (is_v1, expect_reply) = (message_sender.shape.format.is_v1(), message_sender.expect_reply);
    let limit = message_sender.timeout;
    let answered = |progress: &Progress| !expect_reply || progress.answers >= progress.sent;

    let mut answer_reader = pin!(answer_reader.run());
    let send_result = tokio::select! {
        send_result = message_sender.run() => send_result,
        ended = &mut answer_reader => {
            let close = ended?;
            let progress = seen.borrow();
            if !(progress.all_sent && answered(&progress)) {
                let failure = ended_early(is_v1, close, expect_reply, &progress);
                return Err(ConversationError::Failed(failure));
            }
            return check_end(is_v1, close);
        }
    };
    if let Err(send_failure) = send_result {
        let failure = match send_failure {
            SendFailure::Refused(failure) => failure,
            SendFailure::GivenUp(failure) => return Err(ConversationError::Failed(failure)),
        };
        // If the peer sent an error, its close explains more than the failed write.
        return Err(match timeout(CLOSE_WAIT, answer_reader).await {
            Ok(Ok(Some(close))) if !close.is_ordinary() => gave_up(&close),
            Ok(Err(broken @ ConversationError::Refused { .. })) => broken,
            _ => ConversationError::Failed(failure),
        });
    }
    if !is_v1 && expect_reply {
        return Ok(()); // every answer has arrived
    }
    tokio::select! {
        ended = answer_reader => check_end(is_v1, ended?),
        () = silence(seen, limit) => {
            if !is_v1 {
                return Ok(()); // these formats have no close
            }
            Err(ConversationError::job(format!(
                "the peer did not close within {limit:?}; it may not have taken everything"
            )))
        }
    }
}

/// Returns once the peer has sent nothing for `limit`.
async fn silence(mut seen: watch::Receiver<Progress>, limit: Duration) {
    while let Ok(Ok(())) = timeout(limit, seen.changed()).await {}
}

/// Checks the peer's end after everything was sent and answered.
fn check_end(is_v1: bool, close: Option<Close>) -> Result<(), ConversationError> {
    match close {
        Some(close) if !close.is_ordinary() => Err(gave_up(&close)),
        None if is_v1 => Err(ConversationError::job(format!(
            "the peer ended the connection without a close; \
             it may not have taken everything{SPEAKS_V1}"
        ))),
        _ => Ok(()),
    }
}

fn gave_up(close: &Close) -> ConversationError {
    ConversationError::job(format!("the peer gave up: {close}"))
}

fn ended_early(
    is_v1: bool,
    close: Option<Close>,
    expect_reply: bool,
    progress: &Progress,
) -> Failure {
    let Progress { frames, sent, answers, .. } = progress;
    let advice = if is_v1 && close.is_none() && *frames == 0 { SPEAKS_V1 } else { "" };
    let answers = if expect_reply { format!(", {answers} answered") } else { String::new() };
    let how = match close {
        Some(close) if !close.is_ordinary() => format!("gave up: {close}"),
        Some(_) => "closed the conversation".to_owned(),
        None => "ended the connection".to_owned(),
    };
    Failure::job(format!("the peer {how} ({} sent{answers}){advice}", count(*sent, "message")))
}

/// The receiving direction: reads the answers.
struct AnswerReader<'a, W: Exchange> {
    reader: &'a mut FrameReader<BoxedReader, W>,
    shape: Shape,
    progress: &'a watch::Sender<Progress>,
    shared: &'a Shared,
    printer: Printer,
    json: bool,
    /// Whether answers appear at a prompt, and are marked.
    prompted: bool,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum SendEvent<'a> {
    Message {
        at: u64,
        #[serde(flatten)]
        message: Shown<'a>,
    },
}

/// The role of a received frame.
enum ReceivedFrame {
    Message,
    Pong,
    Close(Close),
    /// Handled by the session.
    Other,
}

impl<W: Exchange> AnswerReader<'_, W> {
    /// Reads until the peer's end; returns its close if there was one.
    async fn run(self) -> Result<Option<Close>, ConversationError> {
        loop {
            let found = match next_found(self.reader).await {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(None),
                Err(ReadError::Io(error)) => {
                    return Err(ConversationError::job(format!(
                        "the connection broke: {error}; did the peer crash, or refuse something?"
                    )));
                }
                Err(error) => {
                    let message = explain_read(&error, self.shape.format);
                    let close =
                        Close::with_error(error.code().map_or(Code::NO_ERROR, Code), &message);
                    return Err(ConversationError::Refused { close, message });
                }
            };
            let at = found.at();
            let Some(frame) = self.reader.buf().frame(&found) else { continue };
            let meta = frame.meta.clone().into_any();
            let kind = meta.kind().filter(|_| self.shape.format.is_v1());
            let received = match kind {
                Some(kind) => self.shared.handle_frame(kind, frame.payload),
                None => Ok(ReceivedFrame::Message),
            };
            let received = received.map_err(|error| {
                let message = format!("byte {at}: {}", explain_session(error));
                ConversationError::Refused {
                    close: Close::with_error(error.code(), &message),
                    message,
                }
            })?;
            let is_answer = match received {
                ReceivedFrame::Message => !self.shape.pings(),
                ReceivedFrame::Pong => self.shape.pings(),
                _ => false,
            };
            if matches!(received, ReceivedFrame::Message) || is_answer {
                let line = show(meta, frame.payload, at, self.json, self.prompted);
                self.printer.line(line).await;
            }
            let is_hello = kind == Some(Kind::HELLO);
            let is_ping = kind == Some(Kind::PING);
            self.progress.send_modify(|progress| {
                progress.frames += 1;
                progress.answers += u64::from(is_answer);
                progress.hello |= is_hello;
                progress.owes |= is_ping;
            });
            if let ReceivedFrame::Close(close) = received {
                return Ok(Some(close));
            }
        }
    }
}

impl Shared {
    /// Handles a received frame of version 1.
    fn handle_frame(
        &self,
        kind: Kind,
        payload: &[u8],
    ) -> Result<ReceivedFrame, session::SessionError> {
        Ok(match self.session.borrow_mut().handle_frame(kind, payload)? {
            session::Event::Text(_)
            | session::Event::Binary(_)
            | session::Event::Application { .. } => ReceivedFrame::Message,
            session::Event::Pong(_) => ReceivedFrame::Pong,
            session::Event::Close(close) => ReceivedFrame::Close(close.into()),
            session::Event::FileReady(status) => {
                self.tally.borrow_mut().ready(&status);
                ReceivedFrame::Other
            }
            session::Event::FileEnd(status) => {
                self.tally.borrow_mut().end(&status);
                ReceivedFrame::Other
            }
            session::Event::FileOpen(open) => {
                // The sender accepts no files.
                let code = Code::NOT_ACCEPTED;
                let status = message::FileStatus::refused(open.id, code, 0, code.meaning());
                self.tally.borrow_mut().queue_refusal(status);
                ReceivedFrame::Other
            }
            _ => ReceivedFrame::Other,
        })
    }
}

/// Formats an answer as one line.
fn show(meta: AnyMeta, payload: &[u8], at: u64, as_json: bool, prompted: bool) -> String {
    if as_json {
        return json(&SendEvent::Message { at, message: Shown::new(meta, payload) });
    }
    let shown = match std::str::from_utf8(payload) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("0x{}", plain_hex(payload)),
    };
    if prompted { format!("< {shown}") } else { shown }
}

/// The sending direction: sends the messages and files.
struct MessageSender<'a, W: Exchange> {
    writer: &'a mut FrameWriter<BoxedWriter, W>,
    framing: Framing<W>,
    shape: Shape,
    progress: &'a watch::Sender<Progress>,
    seen: watch::Receiver<Progress>,
    shared: &'a Shared,
    items: Items,
    addr: &'a Addr,
    /// Created for the first file.
    keys: Option<ResumeKeys>,
    printer: Printer,
    bar: Bar,
    /// Whether the user has set the peer's limit.
    limit_is_known: bool,
    /// Whether the time for the peer's hello has passed.
    waited_for_hello: bool,
    expect_reply: bool,
    timeout: Duration,
}

impl<W: Exchange> MessageSender<'_, W> {
    /// Sends everything, waits for the expected answers, and closes.
    async fn run(mut self) -> Result<(), SendFailure> {
        let send_result = self.send_all().await;
        if let Err(SendFailure::GivenUp(_)) = send_result {
            // A close, so that the peer does not report a crash. If it cannot be sent in time, it
            // is omitted.
            let _ = timeout(CLOSE_TIMEOUT, self.close()).await;
        }
        send_result
    }

    async fn send_all(&mut self) -> Result<(), SendFailure> {
        if self.shape.format.is_v1() {
            let limit = self.framing.limit();
            if let Some(hello) = v1::hello(limit, limit) {
                self.send_message(&hello).await?;
            }
        }
        loop {
            if self.items.is_empty() {
                self.flush().await?;
            }
            tokio::select! {
                item = self.items.recv() => match item {
                    Some(item) => match item.map_err(SendFailure::GivenUp)? {
                        Item::Message(payload) => self.message(&payload).await?,
                        Item::File(file) => self.file(file).await?,
                        Item::Mistake(why) => self.printer.error(&why).await,
                    },
                    None => break,
                },
                _ = self.seen.changed() => self.send_pending_answers().await?,
            }
        }
        self.flush().await?;
        self.progress.send_modify(|progress| progress.all_sent = true);
        self.wait_for_statuses().await?;
        if self.expect_reply {
            self.wait_for_answers().await?;
        }
        self.close().await
    }

    /// Sends the close, and shuts down writing.
    async fn close(&mut self) -> Result<(), SendFailure> {
        if self.shape.format.is_v1() {
            self.send_message(&Message::Close(message::Close::ORDINARY)).await?;
        }
        in_time(self.timeout, &self.seen, self.writer.shutdown()).await
    }

    async fn message(&mut self, payload: &[u8]) -> Result<(), SendFailure> {
        let number = self.seen.borrow().sent + 1;
        let meta = self.shape.meta(payload);
        self.check_len(number, payload.len() as u64).await?;
        match meta.kind().filter(|_| self.shape.format.is_v1()) {
            Some(kind) => self.send_message(&Message::Other { kind, payload }).await?,
            None => {
                let written = wire::feed(self.writer, meta, payload);
                in_time(self.timeout, &self.seen, written).await?;
            }
        }
        self.progress.send_modify(|progress| progress.sent += 1);
        if self.shape.pings() && self.expect_reply {
            // A pong answers only the newest ping.
            self.flush().await?;
            self.wait_for_answers().await?;
        }
        Ok(())
    }

    /// Checks the length of a message against the peer's limit: the one in its hello, or the one
    /// that applies without a hello.
    async fn check_len(&mut self, number: u64, len: u64) -> Result<(), SendFailure> {
        let limit = self.framing.limit();
        // Where every message has the same length, a limit does not help.
        let is_fixed = self.shape.format.format().is_some_and(|format| format.is_fixed());
        if len > limit && !is_fixed {
            return Err(SendFailure::given_up(format!(
                "message {number} has {} and the limit is {limit}; \
                 raise --limit if the peer takes more",
                count_bytes(len)
            )));
        }
        if !self.shape.format.is_v1() || len <= LIMIT_WITHOUT_HELLO.min(self.peer_limit()) {
            return Ok(());
        }
        if !self.seen.borrow().hello && !self.waited_for_hello {
            self.waited_for_hello = true;
            self.flush().await?;
            let hello = self.seen.wait_for(|progress| progress.hello);
            let _ = timeout(HELLO_WAIT.min(self.timeout), hello).await;
            self.send_pending_answers().await?;
        }
        let source = match self.seen.borrow().hello {
            true => "its hello says",
            false if self.limit_is_known => return Ok(()),
            false => "it sent no hello; if you know better, set --limit",
        };
        let peer_limit = self.peer_limit();
        if len > peer_limit {
            return Err(SendFailure::given_up(format!(
                "message {number} has {} and the peer takes {peer_limit} at most ({source})",
                count_bytes(len)
            )));
        }
        Ok(())
    }

    /// Returns the maximum payload length that the peer accepts, as far as known.
    fn peer_limit(&self) -> u64 {
        self.shared.session.borrow().peer_limit()
    }

    /// Sends a file. If it cannot be sent, the table at the end says why.
    async fn file(&mut self, item: FileItem) -> Result<(), SendFailure> {
        if !self.shape.format.is_v1() {
            self.printer.error("only v1 has files; send it without --format").await;
            return Ok(());
        }
        let entry = self.shared.tally.borrow_mut().begin(&item);
        let mut source = match FileSource::open(&item).await {
            Ok(source) => source,
            Err(error) => {
                self.set_outcome(entry, FileOutcome::Unreadable(error));
                return Ok(());
            }
        };
        let size = source.size();
        let id = self.wait_for_transfer_id().await?;
        self.shared.tally.borrow_mut().opened(entry, id, size);
        let key = self.resume_key(&item).map_err(SendFailure::GivenUp)?;
        self.send_message(&Message::FileOpen(FileOpen { id, key, size, name: &item.name })).await?;
        self.bar.begin(&item.name, size);
        let sent = self.send_content(id, entry, &mut source).await;
        self.bar.end();
        match sent {
            Ok(()) => Ok(()),
            Err(FileFailure::Send(send_failure)) => Err(send_failure),
            Err(FileFailure::Source(why)) => {
                let (code, outcome) = match why {
                    Unsendable::Changed => (Code::CHANGED, FileOutcome::Changed),
                    Unsendable::Unreadable(error) => {
                        (Code::UNREADABLE, FileOutcome::Unreadable(error))
                    }
                };
                self.set_outcome(entry, outcome);
                if !self.is_over(id) {
                    let reason = code.meaning();
                    self.send_message(&Message::FileCancel(FileCancel { id, code, reason }))
                        .await?;
                }
                Ok(())
            }
        }
    }

    fn resume_key(&mut self, item: &FileItem) -> Result<ResumeKey, Failure> {
        match &mut self.keys {
            Some(keys) => keys.of(item),
            none => none.insert(ResumeKeys::new(self.addr)?).of(item),
        }
    }

    async fn send_content(
        &mut self,
        id: u32,
        entry: usize,
        source: &mut FileSource,
    ) -> Result<(), FileFailure> {
        if source.size().is_some_and(|size| size >= MIN_SIZE_TO_ASK) {
            let ready = self.wait_until_ready(id, entry).await?;
            if let Some((held, digest)) = ready.filter(|(held, _)| *held > 0) {
                // If the file is shorter than the part, the part is no beginning of it.
                let fits = source.size().is_some_and(|size| held <= size);
                if fits && source.digest_beginning(held).await? == digest {
                    self.bar.skip(held);
                } else if fits {
                    source.rewind().await?;
                }
            }
        }
        loop {
            let mut offset = source.position();
            let Some(mut chunk) = source.next().await? else { break };
            let max_len = self.peer_limit().saturating_sub(FileData::HEAD_LEN as u64).min(MAX_DATA);
            let max_len = usize::try_from(max_len).unwrap_or(usize::MAX).max(1);
            while let Some((bytes, rest)) = chunk.split_at_checked(max_len.min(chunk.len()))
                && !bytes.is_empty()
            {
                if self.is_over(id) {
                    return self.finish_early(entry, source).await;
                }
                self.send_message(&Message::FileData(FileData { id, offset, bytes })).await?;
                self.send_pending_answers().await?;
                self.bar.advance(bytes.len() as u64);
                offset += bytes.len() as u64;
                chunk = rest;
            }
        }
        let (total, digest) = source.finish().await?;
        self.shared.tally.borrow_mut().digested(entry, total, digest);
        if !self.is_over(id) {
            self.send_message(&Message::FileDone(FileDone { id, total, digest })).await?;
        }
        Ok(())
    }

    /// Finishes a file whose final status came before all of it was sent. If the receiver has a
    /// file of that size, the digest decides whether it is the same.
    async fn finish_early(
        &mut self,
        entry: usize,
        source: &mut FileSource,
    ) -> Result<(), FileFailure> {
        let size = source.size().unwrap_or(0);
        if self.shared.tally.borrow().exists_with_size(entry, size) {
            source.rewind().await?;
            while source.next().await?.is_some() {}
            let (total, digest) = source.finish().await?;
            self.shared.tally.borrow_mut().digested(entry, total, digest);
        }
        Ok(())
    }

    /// Returns whether the transfer has ended, so that nothing more is sent for it.
    fn is_over(&self, id: u32) -> bool {
        self.shared.session.borrow().open_transfer() != Some(id)
    }

    fn set_outcome(&self, entry: usize, outcome: FileOutcome) {
        self.shared.tally.borrow_mut().set_outcome(entry, outcome);
    }

    /// Waits until another transfer may be opened; returns its id.
    async fn wait_for_transfer_id(&mut self) -> Result<u32, SendFailure> {
        loop {
            self.seen.borrow_and_update();
            let may = self.shared.session.borrow().check_may_open();
            match may {
                Ok(()) => break,
                Err(SendError::TooManyTransfers) => self.wait_for_frame().await?,
                Err(error) => {
                    return Err(SendFailure::refused(format!("cannot send a file: {error}")));
                }
            }
        }
        let id = self.shared.session.borrow().next_transfer_id();
        id.ok_or_else(|| {
            SendFailure::given_up("too many files for one connection; send the rest anew")
        })
    }

    /// Waits until the receiver reports what it holds of the open file; `None` if it does not want
    /// the file.
    async fn wait_until_ready(
        &mut self,
        id: u32,
        entry: usize,
    ) -> Result<Option<(u64, Digest)>, SendFailure> {
        loop {
            self.seen.borrow_and_update();
            let ready = self.shared.tally.borrow().held(entry);
            if ready.is_some() || self.is_over(id) {
                return Ok(ready);
            }
            self.wait_for_frame().await?;
        }
    }

    /// Waits until every file has its final status.
    async fn wait_for_statuses(&mut self) -> Result<(), SendFailure> {
        loop {
            self.seen.borrow_and_update();
            if self.shared.session.borrow().unanswered() == 0 {
                return Ok(());
            }
            self.wait_for_frame().await?;
        }
    }

    /// Waits until the peer sends a frame, at least as a sign of life.
    async fn wait_for_frame(&mut self) -> Result<(), SendFailure> {
        self.send_pending_answers().await?;
        self.flush().await?;
        match timeout(self.timeout, self.seen.changed()).await {
            Ok(_) => self.send_pending_answers().await,
            Err(_late) => Err(SendFailure::given_up(format!(
                "the peer said nothing about a file for {:?}; does it still run?",
                self.timeout
            ))),
        }
    }

    /// Sends what the peer waits for: pongs, and refusals of its files.
    async fn send_pending_answers(&mut self) -> Result<(), SendFailure> {
        let owes = std::mem::take(&mut self.shared.tally.borrow_mut().owed);
        for status in owes {
            self.send_message(&Message::FileStatus(status)).await?;
        }
        if !self.seen.borrow_and_update().owes {
            return Ok(());
        }
        self.progress.send_modify(|progress| progress.owes = false);
        loop {
            let next = self
                .shared
                .session
                .borrow_mut()
                .poll_transmit()
                .map(|encoded| (AnyMeta::Kind(encoded.kind()), encoded.to_payload()));
            let Some((meta, payload)) = next else { break };
            let written = wire::feed(self.writer, meta, &payload);
            in_time(self.timeout, &self.seen, written).await?;
        }
        self.flush().await
    }

    /// Waits until every message is answered.
    async fn wait_for_answers(&mut self) -> Result<(), SendFailure> {
        loop {
            let Progress { sent, answers, .. } = *self.seen.borrow_and_update();
            if answers >= sent {
                return Ok(());
            }
            self.send_pending_answers().await?;
            if let Err(_late) = timeout(self.timeout, self.seen.changed()).await {
                return Err(SendFailure::given_up(format!(
                    "no answer within {:?} ({} sent, {answers} answered); does the peer answer?",
                    self.timeout,
                    count(sent, "message")
                )));
            }
        }
    }

    /// Sends a message of version 1. A message for a transfer that has ended meanwhile is skipped.
    async fn send_message(&mut self, message: &Message<'_>) -> Result<(), SendFailure> {
        let encoded = match self.shared.session.borrow_mut().send(message) {
            Ok(encoded) => encoded,
            Err(SendError::NotOpen { .. } | SendError::NotOwed { .. }) => return Ok(()),
            Err(error) => return Err(SendFailure::given_up(format!("cannot send: {error}"))),
        };
        let Self { writer, seen, .. } = self;
        let meta = AnyMeta::Kind(encoded.kind());
        let written = async {
            if encoded.head().is_empty() || encoded.tail().len() < MIN_UNCOPIED {
                return wire::feed(writer, meta, &encoded.to_payload()).await;
            }
            // A large payload is written without copying.
            W::feed_in_parts(writer, meta, encoded.head(), encoded.tail()).await
        };
        in_time(self.timeout, seen, written).await
    }

    async fn flush(&mut self) -> Result<(), SendFailure> {
        in_time(self.timeout, &self.seen, self.writer.flush()).await
    }
}

/// The reason why a file was not sent completely.
enum FileFailure {
    Send(SendFailure),
    Source(Unsendable),
}

impl From<SendFailure> for FileFailure {
    fn from(send_failure: SendFailure) -> Self {
        Self::Send(send_failure)
    }
}

impl From<Unsendable> for FileFailure {
    fn from(why: Unsendable) -> Self {
        Self::Source(why)
    }
}

/// Awaits a write with a time limit, which restarts if the peer sends a frame meanwhile.
async fn in_time(
    limit: Duration,
    seen: &watch::Receiver<Progress>,
    written: impl Future<Output = Result<(), WriteError>>,
) -> Result<(), SendFailure> {
    let mut written = pin!(written);
    loop {
        let frames = seen.borrow().frames;
        return match timeout(limit, &mut written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WriteError::Encode(error))) => {
                Err(SendFailure::given_up(format!("cannot send: {error}")))
            }
            Ok(Err(error)) => Err(SendFailure::refused(format!(
                "cannot send: {error}; did the peer end, or refuse something?"
            ))),
            Err(_late) if seen.borrow().frames > frames => continue,
            Err(_late) => Err(SendFailure::refused(format!(
                "the peer took nothing for {limit:?}; does it read?"
            ))),
        };
    }
}
