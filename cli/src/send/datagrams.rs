//! `send` over UDP.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};
use unstick::tokio::{DatagramSendError, FrameSocket, Frames, Received};
use unstick::{EncodeError, Frame, Framing};

use crate::addr::{Addr, resolve};
use crate::datagrams::{
    DatagramEvent, NO_FILES, NO_TLS, PRINT_TIMEOUT, RECV_BUFFER, counts, framing, messages, refused,
};
use crate::format::{AnyFormat, AnyMeta};
use crate::send::pace::Pace;
use crate::send::prompt;
use crate::send::source::{self, Item, Items};
use crate::send::stream::failed;
use crate::send::{Args, Shape};
use crate::shown::Shown;
use crate::signals::Signals;
use crate::term::bytes::{count, count_bytes};
use crate::term::log_limit::{LogLimit, hidden};
use crate::term::output::json_now;
use crate::term::output::{Failure, note};
use crate::term::preview::plain_hex;
use crate::term::printer::Printer;

/// How long to wait, after the last message, for the system's report that nothing listens there.
const ERROR_WAIT: Duration = Duration::from_millis(200);

/// How much of what was sent is kept for the next address of a name, and how long after the first message
/// an address without answers is the right one.
const MAX_KEPT: usize = 1 << 20;
const DECIDED_AFTER: Duration = Duration::from_secs(1);
/// How many time limits for the next answer all answers may take, after the last message.
const MAX_WAITS: u32 = 10;
/// The default of `--rate`, in bytes a second: a listener on the same machine takes it without a loss.
const RATE: u64 = 8_000_000;

pub(crate) async fn send(mut args: Args, shape: Shape) -> Result<(), Failure> {
    if args.items.has_files() {
        return Err(Failure::Usage(NO_FILES.to_owned()));
    }
    if args.tls.is_given() {
        return Err(Failure::Usage(NO_TLS.to_owned()));
    }
    let framing = framing(&args.framing)?;
    let mut signals = Signals::new()?;
    let piped = args.items.is_empty();
    let given = std::mem::take(&mut args.items).items(None)?;
    let (mut outlet, left) = tokio::select! {
        opened = Outlet::first(&args, framing, shape) => opened?,
        signal = signals.next() => return Err(signal.into()),
    };

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
        framing,
        shape,
        printer,
        prompted: terminal.is_some(),
        sent: 0,
        answers: 0,
        datagram: 0,
        share: share(args.timeout, left.len()),
        left,
        kept: Kept::default(),
        pace: Pace::new(args.rate.unwrap_or(RATE), Instant::now()),
        log: LogLimit::new(),
    };
    let mut printed = false;
    let result = tokio::select! {
        result = exchange.run(&mut outlet, items) => result,
        // Without a reader of standard output the job goes on.
        failure = failed(&mut outcome) => {
            printed = true;
            Err(failure)
        }
        signal = signals.next() => Err(signal.into()),
    };
    if terminal.is_some_and(|terminal| terminal.restore()) {
        note("");
    }
    if printed {
        return result;
    }
    let counts = counts(outlet.socket.stats(), args.json);
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

/// Returns the time for each address of a name, if there are others after the first.
fn share(timeout: Duration, others: usize) -> Duration {
    let all = u32::try_from(others.saturating_add(1)).unwrap_or(u32::MAX);
    timeout.checked_div(all).unwrap_or(timeout)
}

/// The socket for an address, connected to it unless that is a group or a broadcast address.
struct Outlet {
    socket: FrameSocket<AnyFormat>,
    peer: SocketAddr,
}

impl Outlet {
    /// Opens the socket for the first address that the system has a way to, and returns the others.
    async fn first(
        args: &Args,
        framing: Framing<AnyFormat>,
        shape: Shape,
    ) -> Result<(Self, VecDeque<SocketAddr>), Failure> {
        let Addr::Udp { host, port } = &args.addr else {
            return Err(Failure::job("no udp: address"));
        };
        let mut left: VecDeque<_> =
            resolve(host, *port).await.map_err(|error| cannot_send(args, &error))?.into();
        let mut last = io::ErrorKind::NotFound.into();
        while let Some(peer) = left.pop_front() {
            match Self::open(peer, args, framing, shape).await {
                Ok(outlet) => return Ok((outlet, left)),
                Err(error) => last = error,
            }
        }
        Err(cannot_send(args, &last))
    }

    async fn open(
        peer: SocketAddr,
        args: &Args,
        framing: Framing<AnyFormat>,
        shape: Shape,
    ) -> io::Result<Self> {
        let local: SocketAddr = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await?;
        if args.allow_broadcast {
            socket.set_broadcast(true)?;
        }
        if peer.ip().is_multicast() {
            to_group(&socket, peer, args)?;
        } else if !args.allow_broadcast {
            // Others cannot answer, and the system reports if nothing listens there.
            socket.connect(peer).await?;
        }
        let mut socket = FrameSocket::with_framing(socket, framing)
            .with_known(move |meta| meta.kind().is_some() && meta.kind() == shape.kind());
        if let Some(limit) = args.datagram_limit {
            socket = socket.with_datagram_limit(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let _ = socket.set_recv_buffer_size(RECV_BUFFER);
        Ok(Self { socket, peer })
    }
}

/// Sets what datagrams to a group need.
fn to_group(socket: &UdpSocket, peer: SocketAddr, args: &Args) -> io::Result<()> {
    let ttl = u32::from(args.multicast_ttl.unwrap_or(1));
    if peer.is_ipv4() {
        socket.set_multicast_ttl_v4(ttl)?;
    }
    #[cfg(unix)]
    {
        use rustix::net::sockopt;
        if peer.is_ipv6() {
            sockopt::set_ipv6_multicast_hops(socket, ttl)?;
        } else if let Some(interface) = &args.multicast_interface {
            sockopt::set_ip_multicast_if(socket, interface)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_too_long(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::MSGSIZE)
}

#[cfg(not(unix))]
fn is_too_long(_: &io::Error) -> bool {
    false
}

fn cannot_send(args: &Args, error: &io::Error) -> Failure {
    let addr = &args.addr;
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied if !args.allow_broadcast => {
            "if this is a broadcast address, give --allow-broadcast".to_owned()
        }
        io::ErrorKind::NetworkUnreachable => {
            "is the network up, and is there a route, for a group also to 224.0.0.0/4 or ff00::/8?"
                .to_owned()
        }
        _ if is_too_long(error) => {
            "the way there takes shorter datagrams; give a smaller --datagram-limit".to_owned()
        }
        _ => addr.hint(error),
    };
    Failure::job(format!("cannot send to {addr}: {error}; {hint}"))
}

/// Returns the system's error, if there is one.
fn cause(error: DatagramSendError) -> io::Error {
    match error {
        DatagramSendError::Lost(lost) => lost.error,
        error => io::Error::other(error.to_string()),
    }
}

/// The messages sent, to send them again to the next address of a name.
#[derive(Default)]
struct Kept {
    messages: Vec<Vec<u8>>,
    bytes: usize,
    since: Option<Instant>,
    /// Whether the address is the right one, or too much was sent to it.
    is_decided: bool,
}

impl Kept {
    fn add(&mut self, payload: &[u8]) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes = self.bytes.saturating_add(payload.len().saturating_add(64));
        if self.bytes > MAX_KEPT {
            self.decide();
        }
        if !self.is_decided {
            self.messages.push(payload.to_vec());
        }
    }

    fn decide(&mut self) {
        self.is_decided = true;
        self.messages = Vec::new();
    }
}

/// What the exchange does next.
enum Step {
    Item(Option<Result<Item, Failure>>),
    /// Nothing listens at this address.
    NextAddress(io::Error),
    GoOn,
}

/// The exchange of datagrams with one peer.
struct DatagramExchange<'a> {
    args: &'a Args,
    framing: Framing<AnyFormat>,
    shape: Shape,
    printer: Printer,
    prompted: bool,
    sent: u64,
    answers: u64,
    datagram: u64,
    /// The addresses that were not tried yet, and how long each may be silent.
    left: VecDeque<SocketAddr>,
    share: Duration,
    kept: Kept,
    pace: Pace,
    log: LogLimit,
}

impl DatagramExchange<'_> {
    async fn run(&mut self, outlet: &mut Outlet, mut items: Items) -> Result<(), Failure> {
        loop {
            let pause = self.pace.pause(Instant::now());
            if items.is_empty() || pause.is_some() {
                self.flush(outlet).await?;
            }
            let step = tokio::select! {
                item = items.recv(), if pause.is_none() => Step::Item(item),
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => Step::GoOn,
                received = outlet.socket.receiver.recv() => self.received(received).await?,
            };
            match step {
                Step::Item(item) => match item.transpose()? {
                    Some(Item::Message(payload)) => self.message(outlet, &payload).await?,
                    Some(Item::File(_) | Item::Unsendable { .. }) => {
                        self.printer.error(NO_FILES).await;
                    }
                    Some(Item::Mistake(why)) => self.printer.error(&why).await,
                    None => break,
                },
                Step::NextAddress(error) => self.next_address(outlet, error).await?,
                Step::GoOn => {}
            }
        }
        self.flush(outlet).await?;
        // Datagrams have no close: what arrives within this time is shown.
        let wait = if self.args.expect_reply { self.args.timeout } else { ERROR_WAIT };
        let end = sleep(wait.saturating_mul(MAX_WAITS));
        let (mut end, mut silence) = (pin!(end), pin!(sleep(self.patience(wait))));
        while !(self.args.expect_reply && self.answers >= self.sent) {
            let answers = self.answers;
            // Time comes first: a flood of what is no answer must not hide its end.
            let step = tokio::select! {
                biased;
                () = &mut end => break,
                () = &mut silence => {
                    if !(self.args.expect_reply && self.can_switch()) {
                        break;
                    }
                    Step::NextAddress(io::ErrorKind::TimedOut.into())
                }
                received = outlet.socket.receiver.recv() => self.received(received).await?,
            };
            if let Step::NextAddress(error) = step {
                self.next_address(outlet, error).await?;
                silence.set(sleep(self.patience(wait)));
            } else if self.args.expect_reply && self.answers > answers {
                silence.set(sleep(wait));
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

    /// Returns how long the address may be silent.
    fn patience(&self, wait: Duration) -> Duration {
        if self.args.expect_reply && self.answers == 0 { wait.min(self.share) } else { wait }
    }

    /// Returns whether what was sent can be sent to another address.
    fn can_switch(&self) -> bool {
        let is_late = !self.args.expect_reply
            && self.kept.since.is_some_and(|since| since.elapsed() > DECIDED_AFTER);
        self.answers == 0 && !self.kept.is_decided && !is_late && !self.left.is_empty()
    }

    /// Sends everything to the next address that there is a way to.
    async fn next_address(&mut self, outlet: &mut Outlet, error: io::Error) -> Result<(), Failure> {
        let mut last = error;
        while let Some(peer) = self.left.pop_front() {
            let opened = Outlet::open(peer, self.args, self.framing, self.shape).await;
            *outlet = match opened {
                Ok(outlet) => outlet,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            self.kept.since = Some(Instant::now());
            let sender = &mut outlet.socket.sender;
            for payload in &self.kept.messages {
                let meta = self.shape.meta(payload);
                // What is lost is found out by the flush.
                let _ = sender.feed_to(outlet.peer, meta, payload).await;
            }
            match sender.flush().await {
                Ok(()) => return Ok(()),
                Err(error) => last = cause(error),
            }
        }
        Err(cannot_send(self.args, &last))
    }

    async fn message(&mut self, outlet: &mut Outlet, payload: &[u8]) -> Result<(), Failure> {
        self.pace.sent(payload, Instant::now());
        let meta = self.shape.meta(payload);
        let fed = outlet.socket.sender.feed_to(outlet.peer, meta, payload).await;
        if !self.left.is_empty() && !matches!(fed, Err(DatagramSendError::Encode(_))) {
            self.kept.add(payload);
        }
        let error = match fed {
            Ok(()) => {
                self.sent += 1;
                return Ok(());
            }
            Err(DatagramSendError::Lost(lost)) if self.can_switch() => {
                self.sent += 1;
                return self.next_address(outlet, lost.error).await;
            }
            Err(error) => error,
        };
        let number = self.sent + 1;
        if let DatagramSendError::Encode(error) = &error
            && let EncodeError::NoRoom { needed, room } = **error
        {
            return Err(Failure::job(format!(
                "message {number} has {} and a datagram may have {room}; \
                     raise --datagram-limit, or send it over TCP",
                count_bytes(needed as u64)
            )));
        }
        Err(Failure::job(format!("cannot send message {number}: {error}")))
    }

    async fn flush(&mut self, outlet: &mut Outlet) -> Result<(), Failure> {
        match outlet.socket.sender.flush().await {
            Ok(()) => Ok(()),
            Err(DatagramSendError::Lost(lost)) if self.can_switch() => {
                self.next_address(outlet, lost.error).await
            }
            Err(error) => Err(cannot_send(self.args, &cause(error))),
        }
    }

    async fn received(
        &mut self,
        received: io::Result<Received<Frames<'_, AnyFormat>>>,
    ) -> Result<Step, Failure> {
        let (source, frames) = match received {
            Ok(Received::Datagram { source, frames }) => (source, frames),
            Ok(Received::Refused { source, error }) => {
                if let Some(more) = self.log.admit(Instant::now()) {
                    refused(source, &error, more, self.args.json, &self.printer).await;
                }
                return Ok(Step::GoOn);
            }
            Ok(Received::Undelivered(error)) if self.can_switch() => {
                return Ok(Step::NextAddress(error));
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
                if let Some(more) = self.log.admit(Instant::now()) {
                    self.printer.error(&format!("{source}: {why}{}", hidden(more))).await;
                }
                return Ok(Step::GoOn);
            }
        };
        for (frame, is_message) in frames.zip(are_messages) {
            let is_pong = frame.meta.kind() == Some(unstick::Kind::PONG);
            let is_answer = if self.shape.pings() { is_pong } else { is_message };
            if !is_answer {
                continue;
            }
            self.answers += 1;
            self.kept.decide();
            self.printer.line(self.line(&frame, source)).await;
        }
        Ok(Step::GoOn)
    }

    /// Formats an answer as one line.
    fn line(&self, frame: &Frame<'_, AnyMeta>, peer: SocketAddr) -> String {
        if self.args.json {
            let message = Shown::new(frame.meta, frame.payload);
            return json_now(&DatagramEvent::Message { peer, datagram: self.datagram, message });
        }
        let shown = match std::str::from_utf8(frame.payload) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("0x{}", plain_hex(frame.payload)),
        };
        if self.prompted { format!("< {shown}") } else { shown }
    }
}
