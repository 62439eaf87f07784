//! `listen` over UDP.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Poll;
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use unstick::tokio::{
    FrameReceiver, FrameSender, FrameSocket, Frames, Received, RecvStats, SendStats,
};
use unstick::{Frame, Framing};

use super::answering::{Answering, Unanswered};
use crate::addr::{Addr, resolve};
use crate::datagrams::{
    DatagramEvent, NO_FILES, NO_TLS, PRINT_TIMEOUT, RECV_BUFFER, counts, framing, messages, refused,
};
use crate::format::{AnyFormat, AnyMeta};
use crate::listen::args::Args;
#[cfg(unix)]
use crate::listen::listener::is_any_v6;
use crate::listen::listener::{bind_all, cannot_bind};
use crate::listen::reply::Reply;
use crate::shown::Shown;
use crate::signals::Signals;
use crate::term::log_limit::{LogLimit, hidden};
use crate::term::output::json_now;
use crate::term::output::{Failure, note};
use crate::term::preview::preview;
use crate::term::printer::Printer;

pub(crate) async fn listen(args: Args) -> Result<(), Failure> {
    if args.idle_timeout.is_some() || args.skip_oversize {
        return Err(Failure::Usage(
            "datagrams have no connection; leave out --idle-timeout and --skip-oversize".to_owned(),
        ));
    }
    if args.once || args.broadcast || args.raw || args.null || args.time {
        return Err(Failure::Usage(
            "leave out --once, --broadcast, --raw, -0 and --time: they go with connections"
                .to_owned(),
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
    let bound = match resolve(host, *port).await {
        Ok(addrs) => {
            let bind = |addr| async move { bind(addr, args.multicast_interface) };
            bind_all(&addrs, bind, UdpSocket::local_addr).await
        }
        Err(error) => Err(error),
    };
    let bound = bound.map_err(|error| cannot_bind(&args.addr, &error))?;
    let locals: Vec<_> = bound.iter().map(|socket| socket.local_addr().ok()).collect();
    if locals.iter().flatten().any(|local| !local.ip().to_canonical().is_loopback()) {
        note(
            "unstick: warning: everyone on the network can send to this address; \
             listen on 127.0.0.1 for this machine alone",
        );
    }
    let (printer, mut outcome) = Printer::start();
    for local in &locals {
        let addr = local.map_or_else(|| "?".to_owned(), |addr| format!("udp:{addr}"));
        printer
            .line(if args.json {
                json_now(&DatagramEvent::Listening { addr: &addr })
            } else {
                format!("listening on {addr}")
            })
            .await;
    }

    let mut sockets: Vec<_> = bound
        .into_iter()
        .map(|socket| {
            let kinds = args.kinds.clone();
            let socket = FrameSocket::with_framing(socket, framing)
                .with_known(move |meta| meta.kind().is_some_and(|kind| kinds.contains(&kind)));
            // On failure the buffer is smaller, and more is lost in bursts.
            let _ = socket.set_recv_buffer_size(RECV_BUFFER);
            socket
        })
        .collect();
    let reply = args.reply.as_deref().map(Reply::parse);
    let datagrams = Cell::new(0);
    {
        let mut serving: Vec<_> = sockets
            .iter_mut()
            .zip(&locals)
            .map(|(socket, local)| {
                let serving = Serving {
                    args: &args,
                    reply: reply.as_ref(),
                    framing,
                    answering: Answering::new(*local),
                    printer: &printer,
                    datagrams: &datagrams,
                    log: LogLimit::new(),
                };
                Box::pin(serving.run(&mut socket.receiver, &mut socket.sender))
            })
            .collect();
        // There are few sockets, so all are looked at when one wakes this task.
        let mut any = poll_fn(|cx| {
            let ended = serving.iter_mut().find_map(|one| match one.as_mut().poll(cx) {
                Poll::Ready(ended) => Some(ended),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        });
        tokio::select! {
            ended = &mut any => return ended,
            // Without a reader of standard output the job goes on.
            Ok(Err(failure)) = &mut outcome => return Err(failure),
            _ = signals.next() => {}
        }
    }
    let counts = counts(total(sockets.iter().map(FrameSocket::stats)), args.json);
    if args.json {
        printer.line(counts).await;
    } else {
        // A new line after the `^C` that the terminal shows.
        if io::stderr().is_terminal() {
            printer.note_now(String::new());
        }
        counts.lines().for_each(|line| printer.note_now(line.to_owned()));
    }
    drop(printer);
    match timeout(PRINT_TIMEOUT, outcome).await {
        Ok(Ok(written)) => written,
        _ => Ok(()),
    }
}

/// Binds a socket to an address; for one of a multicast group, joins that.
fn bind(addr: SocketAddr, interface: Option<Ipv4Addr>) -> io::Result<UdpSocket> {
    let bound = match addr.ip().is_multicast() {
        true => bind_to_group(addr),
        #[cfg(unix)]
        false if is_any_v6(addr) => bind_raw(addr, |socket| {
            // It takes IPv4, too, whatever the system's default is.
            let _ = rustix::net::sockopt::set_ipv6_v6only(socket, false);
            Ok(())
        }),
        false => std::net::UdpSocket::bind(addr),
    };
    let socket = bound?;
    socket.set_nonblocking(true)?;
    match addr {
        SocketAddr::V4(group) if group.ip().is_multicast() => {
            socket.join_multicast_v4(group.ip(), &interface.unwrap_or(Ipv4Addr::UNSPECIFIED))?;
        }
        SocketAddr::V6(group) if group.ip().is_multicast() => {
            socket.join_multicast_v6(group.ip(), group.scope_id())?;
        }
        _ => {}
    }
    UdpSocket::from_std(socket)
}

/// Binds a socket to the address of a group, so that it gets nothing else. Several programs of this machine
/// can do so.
#[cfg(unix)]
fn bind_to_group(addr: SocketAddr) -> io::Result<std::net::UdpSocket> {
    bind_raw(addr, |socket| rustix::net::sockopt::set_socket_reuseaddr(socket, true))
}

/// Binds a socket with an option that has to be set before.
#[cfg(unix)]
fn bind_raw(
    addr: SocketAddr,
    set: impl FnOnce(&std::os::fd::OwnedFd) -> rustix::io::Result<()>,
) -> io::Result<std::net::UdpSocket> {
    use rustix::net::{AddressFamily, SocketType, bind, socket};

    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::DGRAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    set(&socket)?;
    bind(&socket, &addr)?;
    Ok(socket.into())
}

/// Binds a socket for a group. The system does not bind to the group's own address.
#[cfg(not(unix))]
fn bind_to_group(mut addr: SocketAddr) -> io::Result<std::net::UdpSocket> {
    addr.set_ip(match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    });
    std::net::UdpSocket::bind(addr)
}

/// Adds up the counts of all sockets.
fn total(all: impl Iterator<Item = (RecvStats, SendStats)>) -> (RecvStats, SendStats) {
    all.fold(Default::default(), |(mut received, mut sent), (more, out)| {
        received.datagrams += more.datagrams;
        received.frames += more.frames;
        received.bytes += more.bytes;
        received.refused_bytes += more.refused_bytes;
        received.refused.cut += more.refused.cut;
        received.refused.empty += more.refused.empty;
        received.refused.malformed += more.refused.malformed;
        received.refused.misplaced_kind += more.refused.misplaced_kind;
        received.refused.unknown_kind += more.refused.unknown_kind;
        sent.datagrams += out.datagrams;
        sent.frames += out.frames;
        sent.bytes += out.bytes;
        sent.lost += out.lost;
        (received, sent)
    })
}

/// Prints the messages that arrive at a socket, and answers them.
struct Serving<'a> {
    args: &'a Args,
    reply: Option<&'a Reply>,
    framing: Framing<AnyFormat>,
    answering: Answering,
    printer: &'a Printer,
    /// The number of datagrams, at all sockets.
    datagrams: &'a Cell<u64>,
    /// For what peers can cause at will.
    log: LogLimit,
}

impl Serving<'_> {
    async fn run(
        mut self,
        receiver: &mut FrameReceiver<AnyFormat>,
        sender: &mut FrameSender<AnyFormat>,
    ) -> Result<(), Failure> {
        loop {
            let (source, frames) = match receiver.recv().await {
                Ok(Received::Datagram { source, frames }) => (source, frames),
                Ok(Received::Refused { source, error }) => {
                    if let Some(more) = self.log.admit(Instant::now()) {
                        refused(source, &error, more, self.args.json, self.printer).await;
                    }
                    continue;
                }
                // An answer was not delivered. Its recipient is gone, and may come back.
                Ok(Received::Undelivered(_)) => continue,
                Err(error) => return Err(Failure::job(format!("cannot receive: {error}"))),
            };
            let datagram = self.datagrams.get() + 1;
            self.datagrams.set(datagram);
            let are_messages = match messages(frames.clone(), self.args.kinds.as_slice()) {
                Ok(are_messages) => are_messages,
                Err(why) => {
                    self.complain(source, &why.to_string()).await;
                    continue;
                }
            };
            for (frame, is_message) in frames.clone().zip(&are_messages) {
                if !is_message {
                    continue;
                }
                if self.args.json {
                    let message = Shown::new(frame.meta, frame.payload);
                    self.printer
                        .line(json_now(&DatagramEvent::Message { peer: source, datagram, message }))
                        .await;
                } else {
                    self.printer.line(row(&frame, source, self.args.preview.into())).await;
                }
            }
            self.answer(sender, source, frames, &are_messages).await;
        }
    }

    /// Answers the messages of a datagram, in no more bytes than it has.
    async fn answer(
        &mut self,
        sender: &mut FrameSender<AnyFormat>,
        source: SocketAddr,
        frames: Frames<'_, AnyFormat>,
        are_messages: &[bool],
    ) {
        let Some(reply) = self.reply else { return };
        // A ping is not answered either: its source may be forged (spec, 8.1).
        let frames = || frames.clone().zip(are_messages).filter(|(_, is_message)| **is_message);
        let contents = frames().map(|(frame, _)| frame.payload);
        if let Err(why) = self.answering.admit(source, contents, Instant::now()) {
            return self.complain(source, why.meaning()).await;
        }
        let mut left: usize = frames().map(|(frame, _)| frame.bytes().len()).sum();
        for (frame, _) in frames() {
            let Some(answer) = reply.at_once(frame.payload) else { return };
            let header = self.framing.encode_header(frame.meta, answer.len() as u64);
            let len = header.map_or(0, |header| header.as_bytes().len()) + answer.len();
            let Some(rest) = left.checked_sub(len) else {
                self.complain(source, Unanswered::Longer.meaning()).await;
                break;
            };
            left = rest;
            if let Err(error) = sender.feed_to(source, frame.meta, &answer).await {
                self.complain(source, &format!("cannot answer: {error}")).await;
            }
        }
        while let Err(error) = sender.flush().await {
            self.complain(source, &format!("cannot answer: {error}")).await;
        }
    }

    /// Logs what a peer has caused.
    async fn complain(&mut self, source: SocketAddr, why: &str) {
        if let Some(more) = self.log.admit(Instant::now()) {
            self.printer.error(&format!("{source}: {why}{}", hidden(more))).await;
        }
    }
}

/// Formats a message as one line.
fn row(frame: &Frame<'_, AnyMeta>, source: SocketAddr, width: usize) -> String {
    let len = frame.payload.len();
    let content = preview(frame.payload, len as u64, width);
    let meta = frame.meta.kind().map(|kind| kind.to_string()).or_else(|| frame.meta.header());
    let meta = meta.map_or_else(String::new, |meta| format!("{meta:<6}  "));
    format!("{:<21}  {meta}{len:>8}  {content}", source.to_string())
}
