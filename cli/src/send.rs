//! `unstick send`: sends messages and files, and shows what comes back.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{Frame, Framing, Kind};
use unstick_session::message::{
    self, Code, Digest, FileCancel, FileData, FileDone, FileOpen, Message, ResumeKey,
};
use unstick_session::session::{self, LIMIT_WITHOUT_HELLO, SendError, Session};

use crate::addr::{Addr, Incoming, Outgoing};
use crate::advice::{explain_read, explain_session};
use crate::bytes::{count, count_bytes, parse_bytes, parse_seconds};
use crate::format::{AnyFormat, AnyMeta, FramingArgs};
use crate::goodbye::part;
use crate::hex;
use crate::output::{Failure, json, note};
use crate::preview::{escaped, plain_hex};
use crate::printer::Printer;
use crate::progress::Bar;
use crate::prompt;
use crate::serve::Shown;
use crate::source::{self, Item, ItemArgs, Items};
use crate::tally::{Fate, Tally};
use crate::tls::TlsArgs;
use crate::transfer::{FileItem, Keys, Source, Unsendable};
use crate::udp;
use crate::v1::{self, Close, parse_kind};

/// How long to wait for a peer's hello before it is sent more than it need take without one.
const HELLO_WAIT: Duration = Duration::from_secs(1);
/// When writing fails, the peer's close may say why; it has so long to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// When this side gives up, its close has so long to go.
const LAST_CLOSE: Duration = Duration::from_millis(100);
/// When the conversation breaks, the prompt has so long to show the answers that it was given.
const LAST_LINES: Duration = Duration::from_millis(100);
/// From this size on a file is announced before it is sent: the receiver may have a part of it, or
/// all. Smaller ones go without waiting.
const ASK_FROM: u64 = 1 << 20;
/// The most bytes of a file in one frame: few enough that a slow line has them through in time.
const MOST_DATA: u64 = 128 << 10;
/// From so many bytes on a payload is not copied.
const PASSED_BY: usize = 32 << 10;

/// Send messages and files, and show what comes back.
#[derive(clap::Args)]
#[command(
    after_help = "Without FILE and --text each line of standard input is a message; on a terminal \
                  there is a prompt, where `/file PATH` sends a file and `/quit` ends. At the end a \
                  table says what became of the files. One that was broken off goes on where it \
                  stopped when it is sent again."
)]
pub(crate) struct Args {
    /// HOST:PORT, [IPv6]:PORT, :PORT for this machine, udp:HOST:PORT for datagrams, or unix:PATH.
    pub(crate) addr: Addr,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    #[command(flatten)]
    pub(crate) items: ItemArgs,
    /// What the receiver is to call the one FILE [default: its own name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The messages' kind, such as binary, ping or 0x41 (v1) [default: text, or binary for what
    /// is not UTF-8].
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Option<Kind>,
    /// The header's bytes beside the length, as a whole header with any length in it
    /// (field: formats) [default: zeros].
    #[arg(long, value_name = "HEX")]
    header: Option<String>,
    /// Wait for one answer to each message, and fail if one is missing.
    #[arg(long)]
    pub(crate) expect_reply: bool,
    /// Pack messages into datagrams of at most so many bytes (udp: addresses) [default: 1200].
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) datagram_limit: Option<u64>,
    /// How long to wait: for the connection, for the peer to take a message, for the next answer,
    /// for the peer's end; seconds, such as 10, 0.5 or 5s.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = parse_seconds)]
    pub(crate) timeout: Duration,
    /// One JSON object a line for each answer and each file, for scripts.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let shape = Shape::new(&args)?;
    if args.datagram_limit.is_some() && !matches!(args.addr, Addr::Udp { .. }) {
        return Err(Failure::Usage("--datagram-limit goes with a udp: address".to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::job(format!("cannot start: {error}")))?;
    let result = match args.addr {
        Addr::Udp { .. } => runtime.block_on(udp::send(args, shape)),
        _ => runtime.block_on(send(args, shape)),
    };
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    result
}

/// What the headers of the messages say, and which frames are answers to them.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    format: AnyFormat,
    kind: Option<Kind>,
    header: Option<AnyMeta>,
}

impl Shape {
    fn new(args: &Args) -> Result<Self, Failure> {
        args.framing.check_exchange()?;
        let format = args.framing.format;
        if args.kind.is_some() && !format.is_v1() {
            return Err(Failure::Usage("only v1 frames have a kind; leave out --kind".to_owned()));
        }
        if let Some(kind @ (Kind::CLOSE | Kind::HELLO)) = args.kind {
            return Err(Failure::Usage(format!("a {kind} is sent anyway; give another --kind")));
        }
        if let Some(kind) = args.kind.filter(|kind| (0x10..=0x14).contains(&kind.get())) {
            let why = format!("a {kind} is part of a file's transfer; give a FILE to send");
            return Err(Failure::Usage(why));
        }
        if let Some(kind) = args.kind.filter(|kind| kind.name().is_none() && !kind.is_application())
        {
            return Err(Failure::Usage(format!(
                "the kind {kind} is reserved; take 0x40 to 0x7f, or 0xc0 to 0xff for what may be \
                 skipped"
            )));
        }
        if !format.is_v1() && args.items.has_files() {
            return Err(Failure::Usage("only v1 has files; leave out --format".to_owned()));
        }
        let header = match &args.header {
            Some(text) => {
                let bytes = hex::parse(text)
                    .map_err(|error| Failure::Usage(format!("--header, {error}")))?;
                Some(format.header_meta(&bytes).ok_or_else(|| {
                    Failure::Usage(
                        "--header goes with a field: format, and has as many bytes as its header"
                            .to_owned(),
                    )
                })?)
            }
            None => None,
        };
        Ok(Self { format, kind: args.kind, header })
    }

    /// The rules of the conversation; `takes` is what the user says that the peer takes.
    fn session(&self, takes: Option<u64>) -> Session {
        let session = match takes {
            Some(takes) => Session::new().with_peer_limit(takes),
            None => Session::new(),
        };
        match self.kind {
            Some(kind) => session.with_kind(kind),
            None => session,
        }
    }

    /// What the header of a message with this payload says.
    pub(crate) fn meta(&self, payload: &[u8]) -> AnyMeta {
        self.header.unwrap_or_else(|| {
            let fitting = match std::str::from_utf8(payload) {
                Ok(_) => Kind::TEXT,
                Err(_) => Kind::BINARY,
            };
            self.format.plain_meta(self.kind.unwrap_or(fitting))
        })
    }

    /// The kind that was asked for.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Whether a pong is what we wait for.
    pub(crate) fn pings(&self) -> bool {
        self.kind == Some(Kind::PING)
    }
}

/// How far the conversation is. Both directions write it, and read what the other wrote.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Frames that came.
    frames: u64,
    /// Those of them that are answers.
    answers: u64,
    /// Whether the peer said how much it takes.
    hello: bool,
    /// Whether the session has something to say.
    owes: bool,
    /// Messages that went.
    sent: u64,
    /// There are no more messages.
    all_sent: bool,
}

/// Why a conversation failed.
enum Broken {
    /// By what the peer sent: it is told with a close.
    Refused { close: Close, message: String },
    /// For any other reason.
    Failed(Failure),
}

impl Broken {
    fn job(message: impl Into<String>) -> Self {
        Self::Failed(Failure::job(message))
    }
}

/// What to try with a peer that just ends.
const SPEAKS_V1: &str = "; does it speak v1? see --format";

/// Why not everything was said.
enum Unsaid {
    /// The peer did not take it; its last words may say why.
    Refused(Failure),
    /// This side gave up, and told the peer so.
    GivenUp(Failure),
}

impl Unsaid {
    fn refused(message: impl Into<String>) -> Self {
        Self::Refused(Failure::job(message))
    }

    fn given_up(message: impl Into<String>) -> Self {
        Self::GivenUp(Failure::job(message))
    }
}

/// What both directions share.
struct Shared {
    session: RefCell<Session>,
    /// What became of the files.
    tally: RefCell<Tally>,
}

async fn send(args: Args, shape: Shape) -> Result<(), Failure> {
    let is_prompt_due = args.items.is_empty();
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
    let framing = args.framing.framing();

    let mut terminal = None;
    let on_terminal =
        is_prompt_due && !args.json && { io::stdin().is_terminal() && io::stdout().is_terminal() };
    let bar = Bar::new(!on_terminal);
    let (items, (printer, mut outcome)) = if on_terminal {
        note(&format!(
            "connected to {}; each line is a message, /file PATH sends a file, /quit ends",
            args.addr
        ));
        let prompt = prompt::start()?;
        terminal = Some(prompt.terminal);
        (prompt.items, (prompt.printer, prompt.outcome))
    } else if is_prompt_due {
        (source::lines(framing.limit()), Printer::start())
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
    let reading = Reading {
        reader: &mut reader,
        shape,
        progress: &progress,
        shared: &shared,
        printer: printer.clone(),
        json: args.json,
        prompted: terminal.is_some(),
        at: 0,
    };
    let writing = Writing {
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
        result = converse(reading, writing, seen) => result,
        written = &mut outcome => {
            printed = true;
            match written {
                Ok(Err(failure)) => Err(Broken::Failed(failure)),
                _ => Err(Broken::Failed(Failure::OutputClosed)),
            }
        }
    };

    if let Some(terminal) = terminal {
        if result.is_err() {
            sleep(LAST_LINES).await;
        }
        if terminal.restore() {
            note("");
        }
    }
    bar.end();
    let result = match result {
        Ok(()) => Ok(()),
        Err(Broken::Failed(failure)) => Err(failure),
        Err(Broken::Refused { close, message }) => {
            let takes = shared.session.borrow().peer_limit();
            part(reader, writer, close, takes).await;
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
    let result = result.and_then(|()| tally.judge());
    // The printer is gone; the answers that it still has are printed before the program ends.
    if let (Ok(()), Ok(Err(failure))) = (&result, outcome.await) {
        return Err(failure);
    }
    result
}

/// Says everything, hears everything, and judges how it ended.
async fn converse(
    reading: Reading<'_>,
    writing: Writing<'_>,
    seen: watch::Receiver<Progress>,
) -> Result<(), Broken> {
    let (is_v1, expect_reply) = (writing.framing.format().is_v1(), writing.expect_reply);
    let limit = writing.timeout;
    let answered = |progress: &Progress| !expect_reply || progress.answers >= progress.sent;

    let mut reading = pin!(reading.run());
    let said = tokio::select! {
        said = writing.run() => said,
        ended = &mut reading => {
            let close = ended?;
            let progress = seen.borrow();
            if !(progress.all_sent && answered(&progress)) {
                return Err(Broken::Failed(ended_early(is_v1, close, expect_reply, &progress)));
            }
            return judge(is_v1, close);
        }
    };
    if let Err(unsaid) = said {
        let failure = match unsaid {
            Unsaid::Refused(failure) => failure,
            Unsaid::GivenUp(failure) => return Err(Broken::Failed(failure)),
        };
        // If the peer gave up, its close says more than a failed write.
        return Err(match timeout(LAST_WORDS, reading).await {
            Ok(Ok(Some(close))) if !close.is_ordinary() => gave_up(&close),
            Ok(Err(broken @ Broken::Refused { .. })) => broken,
            _ => Broken::Failed(failure),
        });
    }
    if !is_v1 && expect_reply {
        return Ok(()); // every answer is there
    }
    tokio::select! {
        ended = reading => judge(is_v1, ended?),
        () = silence(seen, limit) => {
            if !is_v1 {
                return Ok(()); // these formats have no close
            }
            Err(Broken::job(format!(
                "the peer did not close within {limit:?}; it may not have taken everything"
            )))
        }
    }
}

/// Ends once the peer has sent nothing for so long.
async fn silence(mut seen: watch::Receiver<Progress>, limit: Duration) {
    while let Ok(Ok(())) = timeout(limit, seen.changed()).await {}
}

/// Whether it was a good end, when everything was said and answered.
fn judge(is_v1: bool, close: Option<Close>) -> Result<(), Broken> {
    match close {
        Some(close) if !close.is_ordinary() => Err(gave_up(&close)),
        None if is_v1 => Err(Broken::job(format!(
            "the peer ended the connection without a close; \
             it may not have taken everything{SPEAKS_V1}"
        ))),
        _ => Ok(()),
    }
}

fn gave_up(close: &Close) -> Broken {
    Broken::job(format!("the peer gave up: {close}"))
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

/// The direction in which answers come.
struct Reading<'a> {
    reader: &'a mut FrameReader<Incoming, AnyFormat>,
    shape: Shape,
    progress: &'a watch::Sender<Progress>,
    shared: &'a Shared,
    printer: Printer,
    json: bool,
    /// Whether answers appear among what the user types.
    prompted: bool,
    /// The stream offset of the next frame.
    at: u64,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Message {
        at: u64,
        #[serde(flatten)]
        message: Shown<'a>,
    },
}

/// What a frame of the peer's is here.
enum Heard {
    Message,
    Pong,
    Close(Close),
    /// The session has it.
    Other,
}

impl Reading<'_> {
    /// Reads until the peer's end, with its close if there was one.
    async fn run(mut self) -> Result<Option<Close>, Broken> {
        loop {
            let frame = match self.reader.next_frame().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(ReadError::Io(error)) => {
                    return Err(Broken::job(format!(
                        "the connection broke: {error}; did the peer crash, or refuse something?"
                    )));
                }
                Err(error) => {
                    let message = explain_read(&error, self.shape.format);
                    let close = Close::telling(error.code().map_or(Code::NO_ERROR, Code), &message);
                    return Err(Broken::Refused { close, message });
                }
            };
            let at = self.at;
            self.at += frame.bytes().len() as u64;
            let heard = match frame.meta.kind() {
                Some(kind) => self.shared.hear(kind, frame.payload),
                None => Ok(Heard::Message),
            };
            let heard = heard.map_err(|error| {
                let message = format!("byte {at}: {}", explain_session(error));
                Broken::Refused { close: Close::telling(error.code(), &message), message }
            })?;
            let is_answer = match heard {
                Heard::Message => !self.shape.pings(),
                Heard::Pong => self.shape.pings(),
                _ => false,
            };
            if matches!(heard, Heard::Message) || is_answer {
                let line = show(&frame, at, self.json, self.prompted);
                self.printer.line(line).await;
            }
            let is_hello = frame.meta.kind() == Some(Kind::HELLO);
            let is_ping = frame.meta.kind() == Some(Kind::PING);
            self.progress.send_modify(|progress| {
                progress.frames += 1;
                progress.answers += u64::from(is_answer);
                progress.hello |= is_hello;
                progress.owes |= is_ping;
            });
            if let Heard::Close(close) = heard {
                return Ok(Some(close));
            }
        }
    }
}

impl Shared {
    /// Takes a frame of version 1.
    fn hear(&self, kind: Kind, payload: &[u8]) -> Result<Heard, session::SessionError> {
        Ok(match self.session.borrow_mut().handle_frame(kind, payload)? {
            session::Event::Text(_)
            | session::Event::Binary(_)
            | session::Event::Application { .. } => Heard::Message,
            session::Event::Pong(_) => Heard::Pong,
            session::Event::Close(close) => Heard::Close(close.into()),
            session::Event::FileReady(status) => {
                self.tally.borrow_mut().ready(&status);
                Heard::Other
            }
            session::Event::FileEnd(status) => {
                self.tally.borrow_mut().end(&status);
                Heard::Other
            }
            session::Event::FileOpen(open) => {
                // This program takes no files here.
                let code = Code::NOT_ACCEPTED;
                let status = message::FileStatus::refused(open.id, code, 0, code.meaning());
                self.tally.borrow_mut().owe(status);
                Heard::Other
            }
            _ => Heard::Other,
        })
    }
}

/// An answer as one line.
fn show(frame: &Frame<'_, AnyMeta>, at: u64, as_json: bool, prompted: bool) -> String {
    if as_json {
        return json(&Event::Message { at, message: Shown::new(frame.meta, frame.payload) });
    }
    let shown = match std::str::from_utf8(frame.payload) {
        Ok(text) => escaped(text),
        Err(_) => format!("0x{}", plain_hex(frame.payload)),
    };
    if prompted { format!("< {shown}") } else { shown }
}

/// The direction in which messages go.
struct Writing<'a> {
    writer: &'a mut FrameWriter<Outgoing, AnyFormat>,
    framing: Framing<AnyFormat>,
    shape: Shape,
    progress: &'a watch::Sender<Progress>,
    seen: watch::Receiver<Progress>,
    shared: &'a Shared,
    items: Items,
    addr: &'a Addr,
    /// Made for the first file.
    keys: Option<Keys>,
    printer: Printer,
    bar: Bar,
    /// Whether the user says how much the peer takes.
    limit_is_known: bool,
    /// Whether the peer had its time to say how much it takes.
    waited_for_hello: bool,
    expect_reply: bool,
    timeout: Duration,
}

impl Writing<'_> {
    /// Sends all there is, waits for the answers that are expected, and says that this was all.
    async fn run(mut self) -> Result<(), Unsaid> {
        let said = self.all().await;
        if let Err(Unsaid::GivenUp(_)) = said {
            // It shall not think that this side crashed. What does not go at once stays unsaid.
            let _ = timeout(LAST_CLOSE, self.close()).await;
        }
        said
    }

    async fn all(&mut self) -> Result<(), Unsaid> {
        if self.framing.format().is_v1() {
            let limit = self.framing.limit();
            if let Some(hello) = v1::hello(limit, limit) {
                self.say(&hello).await?;
            }
        }
        loop {
            if self.items.is_empty() {
                self.flush().await?;
            }
            tokio::select! {
                item = self.items.recv() => match item {
                    Some(item) => match item.map_err(Unsaid::GivenUp)? {
                        Item::Message(payload) => self.message(&payload).await?,
                        Item::File(file) => self.file(file).await?,
                        Item::Mistake(why) => self.printer.complain(&why).await,
                    },
                    None => break,
                },
                _ = self.seen.changed() => self.answer().await?,
            }
        }
        self.flush().await?;
        self.progress.send_modify(|progress| progress.all_sent = true);
        self.statuses().await?;
        if self.expect_reply {
            self.answers().await?;
        }
        self.close().await
    }

    /// Says that this was all.
    async fn close(&mut self) -> Result<(), Unsaid> {
        if self.framing.format().is_v1() {
            self.say(&Message::Close(message::Close::ORDINARY)).await?;
        }
        in_time(self.timeout, &self.seen, self.writer.shutdown()).await
    }

    async fn message(&mut self, payload: &[u8]) -> Result<(), Unsaid> {
        let number = self.seen.borrow().sent + 1;
        let meta = self.shape.meta(payload);
        self.check_len(number, meta, payload.len() as u64).await?;
        match meta.kind() {
            Some(kind) => self.say(&Message::Other { kind, payload }).await?,
            None => {
                in_time(self.timeout, &self.seen, self.writer.feed(meta, payload)).await?;
            }
        }
        self.progress.send_modify(|progress| progress.sent += 1);
        if self.shape.pings() && self.expect_reply {
            // A pong answers the newest ping alone.
            self.flush().await?;
            self.answers().await?;
        }
        Ok(())
    }

    /// A peer need not take more than its hello says, or than everyone takes if it said none.
    async fn check_len(&mut self, number: u64, meta: AnyMeta, len: u64) -> Result<(), Unsaid> {
        let limit = self.framing.limit();
        if len > limit {
            return Err(Unsaid::given_up(format!(
                "message {number} has {} and the limit is {limit}; \
                 raise --limit if the peer takes more",
                count_bytes(len)
            )));
        }
        if meta.kind().is_none() || len <= LIMIT_WITHOUT_HELLO.min(self.takes()) {
            return Ok(());
        }
        if !self.seen.borrow().hello && !self.waited_for_hello {
            self.waited_for_hello = true;
            self.flush().await?;
            let hello = self.seen.wait_for(|progress| progress.hello);
            let _ = timeout(HELLO_WAIT.min(self.timeout), hello).await;
            self.answer().await?;
        }
        let said = match self.seen.borrow().hello {
            true => "its hello says",
            false if self.limit_is_known => return Ok(()),
            false => "it sent no hello; if you know better, set --limit",
        };
        let takes = self.takes();
        if len > takes {
            return Err(Unsaid::given_up(format!(
                "message {number} has {} and the peer takes {takes} at most ({said})",
                count_bytes(len)
            )));
        }
        Ok(())
    }

    /// The most payload bytes that the peer takes, as far as it said.
    fn takes(&self) -> u64 {
        self.shared.session.borrow().peer_limit()
    }

    /// Sends a file; one that cannot be sent is told at the end.
    async fn file(&mut self, item: FileItem) -> Result<(), Unsaid> {
        if !self.framing.format().is_v1() {
            self.printer.complain("only v1 has files; send it without --format").await;
            return Ok(());
        }
        let entry = self.shared.tally.borrow_mut().begin(&item);
        let mut source = match Source::open(&item).await {
            Ok(source) => source,
            Err(error) => {
                self.settle(entry, Fate::Unreadable(error));
                return Ok(());
            }
        };
        let size = source.size();
        let id = self.room_for_open().await?;
        self.shared.tally.borrow_mut().opened(entry, id, size);
        let key = self.key(&item).map_err(Unsaid::GivenUp)?;
        self.say(&Message::FileOpen(FileOpen { id, key, size, name: &item.name })).await?;
        self.bar.begin(&item.name, size);
        let sent = self.content(id, entry, &mut source).await;
        self.bar.end();
        match sent {
            Ok(()) => Ok(()),
            Err(Unsent::Unsaid(unsaid)) => Err(unsaid),
            Err(Unsent::Source(why)) => {
                let (code, fate) = match why {
                    Unsendable::Changed => (Code::CHANGED, Fate::Changed),
                    Unsendable::Unreadable(error) => (Code::UNREADABLE, Fate::Unreadable(error)),
                };
                self.settle(entry, fate);
                if !self.is_over(id) {
                    let reason = code.meaning();
                    self.say(&Message::FileCancel(FileCancel { id, code, reason })).await?;
                }
                Ok(())
            }
        }
    }

    fn key(&mut self, item: &FileItem) -> Result<ResumeKey, Failure> {
        match &mut self.keys {
            Some(keys) => keys.of(item),
            none => none.insert(Keys::new(self.addr)?).of(item),
        }
    }

    async fn content(&mut self, id: u32, entry: usize, source: &mut Source) -> Result<(), Unsent> {
        if source.size().is_some_and(|size| size >= ASK_FROM) {
            let ready = self.ready(id, entry).await?;
            if let Some((held, digest)) = ready.filter(|(held, _)| *held > 0) {
                // Of a file that is shorter the whole is no beginning.
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
            let most = self.takes().saturating_sub(FileData::HEAD_LEN as u64).min(MOST_DATA);
            let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
            while let Some((bytes, rest)) = chunk.split_at_checked(most.min(chunk.len()))
                && !bytes.is_empty()
            {
                if self.is_over(id) {
                    return self.over(entry, source).await;
                }
                self.say(&Message::FileData(FileData { id, offset, bytes })).await?;
                self.answer().await?;
                self.bar.advance(bytes.len() as u64);
                offset += bytes.len() as u64;
                chunk = rest;
            }
        }
        let (total, digest) = source.finish().await?;
        self.shared.tally.borrow_mut().digested(entry, total, digest);
        if !self.is_over(id) {
            self.say(&Message::FileDone(FileDone { id, total, digest })).await?;
        }
        Ok(())
    }

    /// The receiver has decided before all was sent. Where it has a file of that size, its digest
    /// says whether it is this one.
    async fn over(&mut self, entry: usize, source: &mut Source) -> Result<(), Unsent> {
        let size = source.size().unwrap_or(0);
        if self.shared.tally.borrow().is_there(entry, size) {
            source.rewind().await?;
            while source.next().await?.is_some() {}
            let (total, digest) = source.finish().await?;
            self.shared.tally.borrow_mut().digested(entry, total, digest);
        }
        Ok(())
    }

    /// Whether nothing more is to be sent for a file.
    fn is_over(&self, id: u32) -> bool {
        self.shared.session.borrow().open_transfer() != Some(id)
    }

    fn settle(&self, entry: usize, fate: Fate) {
        self.shared.tally.borrow_mut().settle(entry, fate);
    }

    /// Waits until a file may be opened; its id.
    async fn room_for_open(&mut self) -> Result<u32, Unsaid> {
        loop {
            self.seen.borrow_and_update();
            let may = self.shared.session.borrow().check_may_open();
            match may {
                Ok(()) => break,
                Err(SendError::TooManyTransfers) => self.sign_of_life().await?,
                Err(error) => return Err(Unsaid::refused(format!("cannot send a file: {error}"))),
            }
        }
        let id = self.shared.session.borrow().next_transfer_id();
        id.ok_or_else(|| Unsaid::given_up("too many files for one connection; send the rest anew"))
    }

    /// Waits until the receiver says how much of the open file it holds, or that it does not want
    /// it.
    async fn ready(&mut self, id: u32, entry: usize) -> Result<Option<(u64, Digest)>, Unsaid> {
        loop {
            self.seen.borrow_and_update();
            let ready = self.shared.tally.borrow().held(entry);
            if ready.is_some() || self.is_over(id) {
                return Ok(ready);
            }
            self.sign_of_life().await?;
        }
    }

    /// Waits until every file has its final status.
    async fn statuses(&mut self) -> Result<(), Unsaid> {
        loop {
            self.seen.borrow_and_update();
            if self.shared.session.borrow().unanswered() == 0 {
                return Ok(());
            }
            self.sign_of_life().await?;
        }
    }

    /// Waits until the peer says something: that it is at work, at least.
    async fn sign_of_life(&mut self) -> Result<(), Unsaid> {
        self.answer().await?;
        self.flush().await?;
        match timeout(self.timeout, self.seen.changed()).await {
            Ok(_) => self.answer().await,
            Err(_late) => Err(Unsaid::given_up(format!(
                "the peer said nothing about a file for {:?}; does it still run?",
                self.timeout
            ))),
        }
    }

    /// Says what the peer waits for: a pong, or that its file is not wanted here.
    async fn answer(&mut self) -> Result<(), Unsaid> {
        let owes = std::mem::take(&mut self.shared.tally.borrow_mut().owed);
        for status in owes {
            self.say(&Message::FileStatus(status)).await?;
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
            in_time(self.timeout, &self.seen, self.writer.feed(meta, &payload)).await?;
        }
        self.flush().await
    }

    /// Waits until every message is answered.
    async fn answers(&mut self) -> Result<(), Unsaid> {
        loop {
            let Progress { sent, answers, .. } = *self.seen.borrow_and_update();
            if answers >= sent {
                return Ok(());
            }
            self.answer().await?;
            if let Err(_late) = timeout(self.timeout, self.seen.changed()).await {
                return Err(Unsaid::given_up(format!(
                    "no answer within {:?} ({} sent, {answers} answered); does the peer answer?",
                    self.timeout,
                    count(sent, "message")
                )));
            }
        }
    }

    /// Sends a message of version 1. One for which it is too late is left out: its file is over.
    async fn say(&mut self, message: &Message<'_>) -> Result<(), Unsaid> {
        let encoded = match self.shared.session.borrow_mut().send(message) {
            Ok(encoded) => encoded,
            Err(SendError::NotOpen { .. } | SendError::NotOwed { .. }) => return Ok(()),
            Err(error) => return Err(Unsaid::given_up(format!("cannot send: {error}"))),
        };
        let Self { writer, seen, .. } = self;
        let meta = AnyMeta::Kind(encoded.kind());
        let written = async {
            if encoded.head().is_empty() || encoded.tail().len() < PASSED_BY {
                return writer.feed(meta, &encoded.to_payload()).await;
            }
            // A large one is written from where it is.
            writer.begin(meta, encoded.payload_len()).await?;
            writer.payload(encoded.head()).await?;
            writer.payload(encoded.tail()).await?;
            writer.finish()
        };
        in_time(self.timeout, seen, written).await
    }

    async fn flush(&mut self) -> Result<(), Unsaid> {
        in_time(self.timeout, &self.seen, self.writer.flush()).await
    }
}

/// Why a file was not sent to its end.
enum Unsent {
    Unsaid(Unsaid),
    Source(Unsendable),
}

impl From<Unsaid> for Unsent {
    fn from(unsaid: Unsaid) -> Self {
        Self::Unsaid(unsaid)
    }
}

impl From<Unsendable> for Unsent {
    fn from(why: Unsendable) -> Self {
        Self::Source(why)
    }
}

/// A write that the peer has to take in time; or it says meanwhile that it is at work.
async fn in_time(
    limit: Duration,
    seen: &watch::Receiver<Progress>,
    written: impl Future<Output = Result<(), WriteError>>,
) -> Result<(), Unsaid> {
    let mut written = pin!(written);
    loop {
        let frames = seen.borrow().frames;
        return match timeout(limit, &mut written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WriteError::Encode(error))) => {
                Err(Unsaid::given_up(format!("cannot send: {error}")))
            }
            Ok(Err(error)) => Err(Unsaid::refused(format!(
                "cannot send: {error}; did the peer end, or refuse something?"
            ))),
            Err(_late) if seen.borrow().frames > frames => continue,
            Err(_late) => {
                Err(Unsaid::refused(format!("the peer took nothing for {limit:?}; does it read?")))
            }
        };
    }
}
