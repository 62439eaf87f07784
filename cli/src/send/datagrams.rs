//! `send` over UDP.

use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{sleep, timeout};
use unstick::tokio::{DatagramSendError, FrameSender, FrameSocket, Frames, Received};
use unstick::{EncodeError, Frame};

use crate::addr::Addr;
use crate::datagrams::{
    DatagramEvent, NO_FILES, NO_TLS, PRINT_TIMEOUT, RECV_BUFFER, counts, framing, messages, refused,
};
use crate::format::{AnyFormat, AnyMeta};
use crate::send::prompt;
use crate::send::source::{self, Item, Items};
use crate::send::{Args, Shape};
use crate::shown::Shown;
use crate::term::bytes::{count, count_bytes};
use crate::term::log_limit::LogLimit;
use crate::term::output::{Failure, json, note};
use crate::term::preview::plain_hex;
use crate::term::printer::Printer;

/// How long to wait, after the last message, for the system's report that nothing listens there.
const ERROR_WAIT: Duration = Duration::from_millis(200);

pub(crate) async fn send(mut args: Args, shape: Shape) -> Result<(), Failure> {
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
        (
            source::standard_input(args.split(), args.framing.max_line_len(framing.limit())),
            Printer::start(),
        )
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
        log: LogLimit::new(),
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
        counts.lines().for_each(|line| exchange.printer.note_now(line.to_owned()));
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
    args: &'a Args,
    shape: Shape,
    printer: Printer,
    prompted: bool,
    sent: u64,
    answers: u64,
    datagram: u64,
    log: LogLimit,
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
                    Some(Item::File(_) | Item::Unsendable { .. }) => self.printer.error(NO_FILES).await,
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
                if let Some(more) = self.log.admit(Instant::now()) {
                    refused(source, &error, more, self.args.json, &self.printer).await;
                }
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
            Ok(text) => text.to_owned(),
            Err(_) => format!("0x{}", plain_hex(frame.payload)),
        };
        if self.prompted { format!("< {shown}") } else { shown }
    }
}
