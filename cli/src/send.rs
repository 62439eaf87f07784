//! `unstick send`: sends messages, and shows what comes back.

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{Frame, Framing, Kind};

use crate::addr::{Addr, Incoming, Outgoing};
use crate::advice::explain_read;
use crate::bytes::{count, count_bytes, parse_bytes, parse_seconds};
use crate::format::{AnyFormat, AnyMeta, FramingArgs};
use crate::goodbye::part;
use crate::hex;
use crate::output::{Failure, json, note};
use crate::preview::{escaped, plain_hex};
use crate::printer::Printer;
use crate::prompt;
use crate::serve::Message;
use crate::source::{self, Payloads};
use crate::udp;
use crate::v1::{self, Close, Hello, Refusal, Said, parse_kind};

/// How long to wait for a peer's hello before it is sent more than it need take without one.
const HELLO_WAIT: Duration = Duration::from_secs(1);
/// When writing fails, the peer's close may say why; it has so long to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// When this side gives up, its close has so long to go.
const LAST_CLOSE: Duration = Duration::from_millis(100);
/// When the conversation breaks, the prompt has so long to show the answers that it was given.
const LAST_LINES: Duration = Duration::from_millis(100);

/// Send messages, and show what comes back.
#[derive(clap::Args)]
#[command(
    after_help = "Without --text each line of standard input is a message; on a terminal there is \
                  a prompt."
)]
pub(crate) struct Args {
    /// HOST:PORT, [IPv6]:PORT, :PORT for this machine, udp:HOST:PORT for datagrams, or unix:PATH.
    pub(crate) addr: Addr,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    /// A message to send (can be repeated).
    #[arg(long = "text", value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
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
    /// One JSON object a line for each answer, for scripts.
    #[arg(long)]
    pub(crate) json: bool,
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
        let format = args.framing.format;
        if args.kind.is_some() && !format.is_v1() {
            return Err(Failure::Usage("only v1 frames have a kind; leave out --kind".to_owned()));
        }
        if let Some(kind @ (Kind::CLOSE | Kind::HELLO)) = args.kind {
            return Err(Failure::Usage(format!("a {kind} is sent anyway; give another --kind")));
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
    /// What the peer takes.
    hello: Option<Hello>,
    /// The payload of the newest ping that was not answered.
    ping: Option<Vec<u8>>,
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

async fn send(args: Args, shape: Shape) -> Result<(), Failure> {
    let connected = timeout(args.timeout, args.addr.connect()).await.map_err(|_| {
        Failure::job(format!(
            "cannot connect to {}: no answer within {:?}; are host and port right?",
            args.addr, args.timeout
        ))
    });
    let (incoming, outgoing) = connected??;
    let framing = args.framing.framing();

    let mut terminal = None;
    let on_terminal = args.texts.is_empty() && !args.json && {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    };
    let (payloads, (printer, mut outcome)) = if on_terminal {
        note(&format!("connected to {}; each line is a message, Ctrl-D ends", args.addr));
        let prompt = prompt::start()?;
        terminal = Some(prompt.terminal);
        (prompt.payloads, (prompt.printer, prompt.outcome))
    } else if args.texts.is_empty() {
        (source::lines(framing.limit()), Printer::start())
    } else {
        (source::given(args.texts), Printer::start())
    };

    let mut reader = FrameReader::with_framing(incoming, framing);
    let mut writer = FrameWriter::with_framing(outgoing, framing);
    let (progress, seen) = watch::channel(Progress::default());
    let reading = Reading {
        reader: &mut reader,
        shape,
        progress: &progress,
        printer,
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
        payloads,
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
    let result = match result {
        Ok(()) => Ok(()),
        Err(Broken::Failed(failure)) => Err(failure),
        Err(Broken::Refused { close, message }) => {
            let takes = v1::limit_after(progress.borrow().hello.as_ref());
            part(reader, writer, close, takes).await;
            Err(Failure::Job(message))
        }
    };
    if printed {
        return result;
    }
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
            Ok(Ok(Some(close))) if close.code != v1::NO_ERROR => gave_up(&close),
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
        Some(close) if close.code != v1::NO_ERROR => Err(gave_up(&close)),
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
        Some(close) if close.code != v1::NO_ERROR => format!("gave up: {close}"),
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
        message: Message<'a>,
    },
}

impl Reading<'_> {
    /// Reads until the peer's end, with its close if there was one.
    async fn run(mut self) -> Result<Option<Close>, Broken> {
        let kinds: Vec<_> = self.shape.kind.into_iter().collect();
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
                    let close = Close::telling(error.code().unwrap_or(v1::NO_ERROR), &message);
                    return Err(Broken::Refused { close, message });
                }
            };
            let at = self.at;
            self.at += frame.bytes().len() as u64;
            let said = match frame.meta.kind() {
                Some(kind) => v1::understand(kind, frame.payload, &kinds),
                None => Ok(Said::Message),
            };
            let said = said.map_err(|Refusal { code, why }| {
                let message = format!("byte {at}: {why}");
                Broken::Refused { close: Close::telling(code, &message), message }
            })?;
            let is_answer = match said {
                Said::Message => !self.shape.pings(),
                Said::Pong => self.shape.pings(),
                _ => false,
            };
            if matches!(said, Said::Message) || is_answer {
                let line = show(&frame, at, self.json, self.prompted);
                self.printer.line(line).await;
            }
            self.progress.send_modify(|progress| {
                progress.frames += 1;
                progress.answers += u64::from(is_answer);
                match &said {
                    Said::Ping => progress.ping = Some(frame.payload.to_vec()),
                    Said::Hello(hello) => progress.hello = Some(hello.clone()),
                    _ => {}
                }
            });
            if let Said::Close(close) = said {
                return Ok(Some(close));
            }
        }
    }
}

/// An answer as one line.
fn show(frame: &Frame<'_, AnyMeta>, at: u64, as_json: bool, prompted: bool) -> String {
    if as_json {
        return json(&Event::Message { at, message: Message::new(frame.meta, frame.payload) });
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
    payloads: Payloads,
    /// Whether the user says how much the peer takes.
    limit_is_known: bool,
    /// Whether the peer had its time to say how much it takes.
    waited_for_hello: bool,
    expect_reply: bool,
    timeout: Duration,
}

impl Writing<'_> {
    /// Sends all messages, waits for the answers that are expected, and says that this was all.
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
            if let Some(hello) = Hello::ours(limit).encode(limit) {
                self.feed(AnyMeta::Kind(Kind::HELLO), &hello).await?;
            }
        }
        loop {
            if self.payloads.is_empty() {
                self.flush().await?;
            }
            tokio::select! {
                payload = self.payloads.recv() => match payload {
                    Some(payload) => self.message(&payload.map_err(Unsaid::GivenUp)?).await?,
                    None => break,
                },
                _ = self.seen.changed() => self.pong().await?,
            }
        }
        self.flush().await?;
        self.progress.send_modify(|progress| progress.all_sent = true);
        if self.expect_reply {
            self.answers().await?;
        }
        self.close().await
    }

    /// Says that this was all.
    async fn close(&mut self) -> Result<(), Unsaid> {
        if self.framing.format().is_v1() {
            self.feed(AnyMeta::Kind(Kind::CLOSE), &[]).await?;
        }
        in_time(self.timeout, self.writer.shutdown()).await
    }

    async fn message(&mut self, payload: &[u8]) -> Result<(), Unsaid> {
        let number = self.seen.borrow().sent + 1;
        let meta = self.shape.meta(payload);
        self.check_len(number, meta, payload.len() as u64).await?;
        self.feed(meta, payload).await?;
        self.progress.send_modify(|progress| progress.sent += 1);
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
        if meta.kind().is_none() || len <= v1::LIMIT_WITHOUT_HELLO.min(self.takes()) {
            return Ok(());
        }
        if self.seen.borrow().hello.is_none() && !self.waited_for_hello {
            self.waited_for_hello = true;
            self.flush().await?;
            let hello = self.seen.wait_for(|progress| progress.hello.is_some());
            let _ = timeout(HELLO_WAIT.min(self.timeout), hello).await;
            self.pong().await?;
        }
        let said = match &self.seen.borrow().hello {
            Some(_) => "its hello says",
            None if self.limit_is_known => return Ok(()),
            None => "it sent no hello; if you know better, set --limit",
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
        v1::limit_after(self.seen.borrow().hello.as_ref())
    }

    /// Answers the newest ping, if there is one.
    async fn pong(&mut self) -> Result<(), Unsaid> {
        if self.seen.borrow_and_update().ping.is_none() {
            return Ok(());
        }
        let mut ping = None;
        self.progress.send_modify(|progress| ping = progress.ping.take());
        match ping {
            Some(payload) => {
                self.feed(AnyMeta::Kind(Kind::PONG), &payload).await?;
                self.flush().await
            }
            None => Ok(()),
        }
    }

    /// Waits until every message is answered.
    async fn answers(&mut self) -> Result<(), Unsaid> {
        loop {
            let Progress { sent, answers, .. } = *self.seen.borrow_and_update();
            if answers >= sent {
                return Ok(());
            }
            self.pong().await?;
            if let Err(_late) = timeout(self.timeout, self.seen.changed()).await {
                return Err(Unsaid::given_up(format!(
                    "no answer within {:?} ({} sent, {answers} answered); does the peer answer?",
                    self.timeout,
                    count(sent, "message")
                )));
            }
        }
    }

    async fn feed(&mut self, meta: AnyMeta, payload: &[u8]) -> Result<(), Unsaid> {
        in_time(self.timeout, self.writer.feed(meta, payload)).await
    }

    async fn flush(&mut self) -> Result<(), Unsaid> {
        in_time(self.timeout, self.writer.flush()).await
    }
}

/// A write that the peer has to take in time.
async fn in_time(
    limit: Duration,
    written: impl Future<Output = Result<(), WriteError>>,
) -> Result<(), Unsaid> {
    match timeout(limit, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(WriteError::Encode(error))) => {
            Err(Unsaid::given_up(format!("cannot send: {error}")))
        }
        Ok(Err(error)) => Err(Unsaid::refused(format!(
            "cannot send: {error}; did the peer end, or refuse something?"
        ))),
        Err(_late) => {
            Err(Unsaid::refused(format!("the peer took nothing for {limit:?}; does it read?")))
        }
    }
}
