//! `listen` and `send` over UDP: datagrams of whole messages, without connections.

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;

use serde::Serialize;
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{sleep, timeout};
use unstick::tokio::{
    DatagramSendError, FrameReceiver, FrameSender, FrameSocket, Frames, Received, RecvStats,
    Refusals, SendStats,
};
use unstick::{DatagramError, EncodeError, Frame, Framing};
use unstick_session::message::{Code, Message, RefusedMessage};

use crate::addr::Addr;
use crate::bytes::{count, count_bytes};
use crate::format::{AnyFormat, AnyMeta, FramingArgs};
use crate::listen::{self, Signals};
use crate::output::{Failure, json, note};
use crate::preview::{escaped, plain_hex, preview};
use crate::printer::Printer;
use crate::prompt;
use crate::send::{self, Shape};
use crate::serve::{Reply, Shown};
use crate::source::{self, Item, Items};
use crate::v1;

/// The size of the receive buffer to request, so that bursts are not lost. The system may grant
/// less.
const RECV_BUFFER: usize = 4 << 20;
const NO_FILES: &str = "files do not travel in datagrams; leave `udp:` out";
const NO_OTHERS: &str = "only frames with a length and no check travel in datagrams; \
                         leave `udp:` out, or take another --format";
const NO_TLS: &str = "there is no TLS over datagrams here; leave `udp:` or the --tls options out";
/// How long to wait, after the last message, for the system's report that nothing listens there.
const ERROR_WAIT: Duration = Duration::from_millis(200);
/// The time limit for printing the last lines when the program ends.
const PRINT_TIMEOUT: Duration = Duration::from_secs(2);

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum DatagramEvent<'a> {
    Listening {
        addr: &'a str,
    },
    Message {
        peer: SocketAddr,
        /// The number of its datagram, counted from 1.
        datagram: u64,
        #[serde(flatten)]
        message: Shown<'a>,
    },
    Refused {
        peer: SocketAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
        code: u16,
        name: &'static str,
        message: &'a str,
    },
    Counts {
        received: Side,
        refused: Refused,
        sent: Side,
    },
}

#[derive(Serialize)]
struct Side {
    datagrams: u64,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

#[derive(Serialize)]
struct Refused {
    datagrams: u64,
    bytes: u64,
    cut: u64,
    empty: u64,
    malformed: u64,
    misplaced_kind: u64,
    unknown_kind: u64,
}

/// Formats the final counts: what was sent, received and refused.
fn counts((received, sent): (RecvStats, SendStats), as_json: bool) -> String {
    let Refusals { cut, empty, malformed, misplaced_kind, unknown_kind, .. } = received.refused;
    let total = received.refused.total();
    if as_json {
        return json(&DatagramEvent::Counts {
            received: Side {
                datagrams: received.datagrams,
                messages: received.frames,
                bytes: received.bytes,
                lost: None,
            },
            refused: Refused {
                datagrams: total,
                bytes: received.refused_bytes,
                cut,
                empty,
                malformed,
                misplaced_kind,
                unknown_kind,
            },
            sent: Side {
                datagrams: sent.datagrams,
                messages: sent.frames,
                bytes: sent.bytes,
                lost: Some(sent.lost),
            },
        });
    }
    let row = |name, datagrams: u64, messages: &str, bytes: u64, why: &str| {
        format!("{name:<9} {datagrams:>9} {messages:>9} {bytes:>11}  {why}").trim_end().to_owned()
    };
    let reasons = [
        (cut, "too long"),
        (empty, "empty"),
        (malformed, "malformed"),
        (misplaced_kind, "of a misplaced kind"),
        (unknown_kind, "of an unknown kind"),
    ];
    let reasons: Vec<_> = reasons
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    let lost = if sent.lost > 0 { format!("{} not sent", sent.lost) } else { String::new() };
    [
        format!("{:<9} {:>9} {:>9} {:>11}", "", "datagrams", "messages", "bytes"),
        row("sent", sent.datagrams, &sent.frames.to_string(), sent.bytes, &lost),
        row("received", received.datagrams, &received.frames.to_string(), received.bytes, ""),
        row("refused", total, "", received.refused_bytes, &reasons.join(", ")),
    ]
    .join("\n")
}

/// Returns the offset in the datagram of the byte that caused the refusal.
fn offset(error: &DatagramError) -> Option<u64> {
    match error {
        DatagramError::Malformed(error) => Some(error.at()),
        DatagramError::MisplacedKind { at, .. } | DatagramError::UnknownKind { at, .. } => {
            Some(*at)
        }
        DatagramError::Empty => Some(0),
        _ => None,
    }
}

/// Returns the framing of the datagrams' messages.
fn framing(args: &FramingArgs) -> Result<Framing<AnyFormat>, Failure> {
    match args.format.format() {
        Some(format) => Ok(args.apply(format)),
        None => Err(Failure::Usage(NO_OTHERS.to_owned())),
    }
}

pub(crate) async fn listen(args: listen::Args) -> Result<(), Failure> {
    if args.idle_timeout.is_some() || args.skip_oversize {
        return Err(Failure::Usage(
            "datagrams have no connection; leave out --idle-timeout and --skip-oversize".to_owned(),
        ));
    }
    if args.inbox.dir.is_some() {
        return Err(Failure::Usage(NO_FILES.to_owned()));
    }
    if args.tls.is_given() {
        return Err(Failure::Usage(NO_TLS.to_owned()));
    }
    let framing = framing(&args.framing)?;
    let Addr::Udp { host, port } = &args.addr else { return Ok(()) };
    let mut signals = Signals::new()?;
    let socket = UdpSocket::bind((host.as_str(), *port)).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "something listens there already, take another port, or 0 for any"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address, try 0.0.0.0 for all it has"
            }
            io::ErrorKind::PermissionDenied => "take a port above 1023",
            _ => "is the host right?",
        };
        Failure::job(format!("cannot listen on {}: {error}; {hint}", args.addr))
    })?;
    let addr = socket.local_addr().map_or_else(|_| "?".to_owned(), |addr| format!("udp:{addr}"));
    let (printer, mut outcome) = Printer::start();
    printer
        .line(if args.json {
            json(&DatagramEvent::Listening { addr: &addr })
        } else {
            format!("listening on {addr}")
        })
        .await;

    let kinds = args.kinds.clone();
    let mut socket = FrameSocket::with_framing(socket, framing)
        .with_known(move |meta| meta.kind().is_some_and(|kind| kinds.contains(&kind)));
    // On failure the buffer is smaller, and more is lost in bursts.
    let _ = socket.set_recv_buffer_size(RECV_BUFFER);
    let reply = args.reply.as_deref().map(Reply::parse);
    let FrameSocket { receiver, sender } = &mut socket;
    let mut printed = None;
    {
        let mut serving = pin!(serve(&args, reply.as_ref(), receiver, sender, &printer));
        tokio::select! {
            ended = &mut serving => return ended,
            written = &mut outcome => printed = Some(written.unwrap_or(Ok(()))),
            () = signals.next() => {}
        }
    }
    if let Some(printed) = printed {
        return printed;
    }
    let counts = counts(socket.stats(), args.json);
    if args.json {
        printer.line(counts).await;
    } else {
        // A new line after the `^C` that the terminal shows.
        let line = if io::stderr().is_terminal() { "\n" } else { "" };
        printer.note_now(format!("{line}{counts}"));
    }
    drop(printer);
    match timeout(PRINT_TIMEOUT, outcome).await {
        Ok(Ok(written)) => written,
        _ => Ok(()),
    }
}

/// Prints the messages that arrive, and answers them.
async fn serve(
    args: &listen::Args,
    reply: Option<&Reply>,
    receiver: &mut FrameReceiver<AnyFormat>,
    sender: &mut FrameSender<AnyFormat>,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut datagram = 0;
    loop {
        let (source, frames) = match receiver.recv().await {
            Ok(Received::Datagram { source, frames }) => (source, frames),
            Ok(Received::Refused { source, error }) => {
                refused(source, &error, args.json, printer).await;
                continue;
            }
            // An answer was not delivered. Its recipient is gone, and may come back.
            Ok(Received::Undelivered(_)) => continue,
            Err(error) => return Err(Failure::job(format!("cannot receive: {error}"))),
        };
        datagram += 1;
        let are_messages = match messages(frames.clone(), args.kinds.as_slice()) {
            Ok(are_messages) => are_messages,
            Err(why) => {
                printer.error(&format!("{source}: {why}")).await;
                continue;
            }
        };
        for (frame, is_message) in frames.zip(are_messages) {
            // A ping is not answered: its source may be forged (spec, 8.1).
            if !is_message {
                continue;
            }
            if args.json {
                let message = Shown::new(frame.meta, frame.payload);
                printer
                    .line(json(&DatagramEvent::Message { peer: source, datagram, message }))
                    .await;
            } else {
                printer.line(row(&frame, source, args.preview.into())).await;
            }
            if let Some(reply) = reply
                && let Err(error) =
                    sender.feed_to(source, frame.meta, &reply.to(frame.payload)).await
            {
                printer.error(&format!("{source}: cannot answer: {error}")).await;
            }
        }
        while let Err(error) = sender.flush().await {
            printer.error(&format!("{source}: cannot answer: {error}")).await;
        }
    }
}

/// Returns for each frame of a datagram whether it is a message for the user.
///
/// # Errors
/// The first payload that is malformed for its kind.
fn messages(
    frames: Frames<'_, AnyFormat>,
    kinds: &[unstick::Kind],
) -> Result<Vec<bool>, RefusedMessage> {
    // In other formats each frame is a message.
    let frames =
        frames.map(|frame| (frame.meta.kind().unwrap_or(unstick::Kind::BINARY), frame.payload));
    let is_message = |message: Message<'_>| match message {
        Message::Text(_) | Message::Binary(_) => true,
        message => kinds.contains(&message.kind()),
    };
    Ok(Message::decode_all(frames)?.map(is_message).collect())
}

/// Formats a message as one line.
fn row(frame: &Frame<'_, AnyMeta>, source: SocketAddr, width: usize) -> String {
    let len = frame.payload.len();
    let content = preview(frame.payload, len as u64, width);
    let meta = frame.meta.kind().map(|kind| kind.to_string()).or_else(|| frame.meta.header());
    let meta = meta.map_or_else(String::new, |meta| format!("{meta:<6}  "));
    format!("{:<21}  {meta}{len:>8}  {content}", source.to_string())
}

async fn refused(source: SocketAddr, error: &DatagramError, as_json: bool, printer: &Printer) {
    let message = error.to_string();
    printer.error(&format!("{source}: {message}")).await;
    if as_json {
        let code = match error {
            DatagramError::Malformed(cause) => cause.code(),
            _ => error.code(),
        };
        let (at, name) = (offset(error), v1::code_name(Code(code)));
        let event = DatagramEvent::Refused { peer: source, at, code, name, message: &message };
        printer.line(json(&event)).await;
    }
}

pub(crate) async fn send(mut args: send::Args, shape: Shape) -> Result<(), Failure> {
    if args.items.has_files() {
        return Err(Failure::Usage(NO_FILES.to_owned()));
    }
    if args.tls.is_given() {
        return Err(Failure::Usage(NO_TLS.to_owned()));
    }
    let framing = framing(&args.framing)?;
    let piped = args.items.is_empty();
    let given = std::mem::take(&mut args.items).items(None)?;
    let mut socket = FrameSocket::with_framing(connect(&args.addr).await?, framing)
        .with_known(move |meta| meta.kind().is_some() && meta.kind() == shape.kind());
    if let Some(limit) = args.datagram_limit {
        socket = socket.with_datagram_limit(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let _ = socket.set_recv_buffer_size(RECV_BUFFER);

    let mut terminal = None;
    let on_terminal =
        piped && !args.json && { io::stdin().is_terminal() && io::stdout().is_terminal() };
    let (items, (printer, mut outcome)) = if on_terminal {
        note(&format!("sending to {}; each line is a message, Ctrl-D ends", args.addr));
        let prompt = prompt::start()?;
        terminal = Some(prompt.terminal);
        (prompt.items, (prompt.printer, prompt.outcome))
    } else if piped {
        (source::lines(args.framing.max_line_len(framing.limit())), Printer::start())
    } else {
        (source::given(given), Printer::start())
    };
    let mut exchange = DatagramExchange {
        args: &args,
        shape,
        printer,
        prompted: terminal.is_some(),
        sent: 0,
        answers: 0,
        datagram: 0,
    };
    let result = tokio::select! {
        result = exchange.run(&mut socket, items) => result,
        written = &mut outcome => match written {
            Ok(Err(failure)) => Err(failure),
            _ => Err(Failure::OutputClosed),
        },
    };
    if terminal.is_some_and(|terminal| terminal.restore()) {
        note("");
    }
    let counts = counts(socket.stats(), args.json);
    if args.json {
        exchange.printer.line(counts).await;
    } else {
        exchange.printer.note_now(counts);
    }
    drop(exchange);
    match timeout(PRINT_TIMEOUT, outcome).await {
        Ok(Ok(Err(failure))) if result.is_ok() => Err(failure),
        _ => result,
    }
}

async fn connect(addr: &Addr) -> Result<UdpSocket, Failure> {
    let Addr::Udp { host, port } = addr else { return Err(Failure::job("no udp: address")) };
    let failed = |error: io::Error| {
        Failure::job(format!("cannot send to {addr}: {error}; are host and port right?"))
    };
    let mut last = io::ErrorKind::NotFound.into();
    for peer in lookup_host((host.as_str(), *port)).await.map_err(failed)? {
        let local: SocketAddr = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let connected = async {
            let socket = UdpSocket::bind(local).await?;
            socket.connect(peer).await?;
            Ok(socket)
        };
        match connected.await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// The exchange of datagrams with one peer.
struct DatagramExchange<'a> {
    args: &'a send::Args,
    shape: Shape,
    printer: Printer,
    prompted: bool,
    sent: u64,
    answers: u64,
    datagram: u64,
}

impl DatagramExchange<'_> {
    async fn run(
        &mut self,
        socket: &mut FrameSocket<AnyFormat>,
        mut items: Items,
    ) -> Result<(), Failure> {
        let FrameSocket { receiver, sender } = socket;
        loop {
            if items.is_empty() {
                self.flush(sender).await?;
            }
            tokio::select! {
                item = items.recv() => match item.transpose()? {
                    Some(Item::Message(payload)) => self.message(sender, &payload).await?,
                    Some(Item::File(_)) => self.printer.error(NO_FILES).await,
                    Some(Item::Mistake(why)) => self.printer.error(&why).await,
                    None => break,
                },
                received = receiver.recv() => self.received(received).await?,
            }
        }
        self.flush(sender).await?;
        // Datagrams have no close: what arrives within this time is shown.
        let wait = if self.args.expect_reply { self.args.timeout } else { ERROR_WAIT };
        let mut silence = pin!(sleep(wait));
        while !(self.args.expect_reply && self.answers >= self.sent) {
            tokio::select! {
                biased;
                received = receiver.recv() => {
                    self.received(received).await?;
                    if self.args.expect_reply {
                        silence.set(sleep(wait));
                    }
                }
                () = &mut silence => break,
            }
        }
        if self.args.expect_reply && self.answers < self.sent {
            let (sent, answers) = (count(self.sent, "message"), self.answers);
            return Err(Failure::job(format!(
                "no answer within {wait:?} ({sent} sent, {answers} answered); \
                 datagrams can be lost, and does the peer answer?"
            )));
        }
        Ok(())
    }

    async fn message(
        &mut self,
        sender: &mut FrameSender<AnyFormat>,
        payload: &[u8],
    ) -> Result<(), Failure> {
        let meta = self.shape.meta(payload);
        sender.feed(meta, payload).await.map_err(|error| {
            let number = self.sent + 1;
            if let DatagramSendError::Encode(error) = &error
                && let EncodeError::NoRoom { needed, room } = **error
            {
                return Failure::job(format!(
                    "message {number} has {} and a datagram may have {room}; \
                     raise --datagram-limit, or send it over TCP",
                    count_bytes(needed as u64)
                ));
            }
            Failure::job(format!("cannot send message {number}: {error}"))
        })?;
        self.sent += 1;
        Ok(())
    }

    async fn flush(&self, sender: &mut FrameSender<AnyFormat>) -> Result<(), Failure> {
        sender.flush().await.map_err(|error| Failure::job(format!("cannot send: {error}")))
    }

    async fn received(
        &mut self,
        received: io::Result<Received<Frames<'_, AnyFormat>>>,
    ) -> Result<(), Failure> {
        let (source, frames) = match received {
            Ok(Received::Datagram { source, frames }) => (source, frames),
            Ok(Received::Refused { source, error }) => {
                refused(source, &error, self.args.json, &self.printer).await;
                return Ok(());
            }
            Ok(Received::Undelivered(error)) => {
                let addr = &self.args.addr;
                return Err(Failure::job(format!(
                    "{addr} did not get everything: {error}; \
                     nothing listens there, start it with `unstick listen {addr}`"
                )));
            }
            Err(error) => return Err(Failure::job(format!("cannot receive: {error}"))),
        };
        self.datagram += 1;
        let kinds: Vec<_> = self.shape.kind().into_iter().collect();
        let are_messages = match messages(frames.clone(), &kinds) {
            Ok(are_messages) => are_messages,
            Err(why) => {
                self.printer.error(&format!("{source}: {why}")).await;
                return Ok(());
            }
        };
        for (frame, is_message) in frames.zip(are_messages) {
            let is_pong = frame.meta.kind() == Some(unstick::Kind::PONG);
            let is_answer = if self.shape.pings() { is_pong } else { is_message };
            if !is_answer {
                continue;
            }
            self.answers += 1;
            self.printer.line(self.line(&frame, source)).await;
        }
        Ok(())
    }

    /// Formats an answer as one line.
    fn line(&self, frame: &Frame<'_, AnyMeta>, peer: SocketAddr) -> String {
        if self.args.json {
            let message = Shown::new(frame.meta, frame.payload);
            return json(&DatagramEvent::Message { peer, datagram: self.datagram, message });
        }
        let shown = match std::str::from_utf8(frame.payload) {
            Ok(text) => escaped(text),
            Err(_) => format!("0x{}", plain_hex(frame.payload)),
        };
        if self.prompted { format!("< {shown}") } else { shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_formatted_as_a_table() {
        let (mut received, mut sent) = (RecvStats::default(), SendStats::default());
        (received.datagrams, received.frames, received.bytes) = (12, 345, 6_789);
        (received.refused.malformed, received.refused.empty, received.refused_bytes) = (3, 1, 20);
        (sent.datagrams, sent.frames, sent.bytes, sent.lost) = (2, 30, 400, 1);
        let table = "          datagrams  messages       bytes\n\
                     sent              2        30         400  1 not sent\n\
                     received         12       345        6789\n\
                     refused           4                    20  1 empty, 3 malformed";
        assert_eq!(counts((received, sent), false), table);
        let line = counts((received, sent), true);
        assert!(line.starts_with(r#"{"event":"counts","received":{"datagrams":12,"#), "{line}");
    }
}
