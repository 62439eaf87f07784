//! `unstick demo`: shows over real sockets that messages arrive as they were sent, however a relay
//! splits and merges the bytes on the way, and that each datagram is delivered whole or not at all.

mod describe;
mod receiver;
mod relay;
mod udp;

use std::io::{self, IsTerminal, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest, Sha256};
use unstick::header::HEADER_LEN;
use unstick::{Framing, Kind, V1};

use crate::help;
use crate::pcap::{Capture, Ends};
use crate::signals::exit_on_signal;
use crate::term::bytes::{count, count_bytes};
use crate::term::output::{Failure, Out, json, note, print_error};
use describe::Span;
use receiver::Receiver;
use relay::{Damage, relay};

/// The default number of messages over each transport.
const MESSAGES: u64 = 3000;
/// The length of the largest message, and the limit of the receiver.
const MAX_MESSAGE_LEN: usize = 1 << 20;
/// The time limit for a read or a write. Nothing takes this long unless something hangs.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Chinese characters, each of three or four bytes in UTF-8.
const CHINESE: &str = "粘包是指多个数据包被合并成一个，或一个被拆成几段。流没有边界，消息有𠮷";

/// See messages survive a relay that cuts and merges their bytes at random.
///
/// They go over real sockets: TCP, a Unix socket, and UDP, where another relay loses and damages
/// datagrams.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  unstick demo
  unstick demo --pcap demo.pcap                        the same, with a capture for Wireshark
  unstick demo --damage --seed 7                       one damaged byte, and the same each time")]
pub(crate) struct Args {
    /// How many messages to send over each transport.
    #[arg(short, long, value_name = "N", default_value_t = MESSAGES, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Repeat the messages and the relay's cuts of an earlier run [default: new ones].
    ///
    /// The kernel may still merge the reads differently.
    #[arg(short, long)]
    seed: Option<u64>,
    /// Let the relay damage one byte, to see that it shows.
    #[arg(long)]
    damage: bool,
    /// Write what the relay passed on to FILE as a capture, for Wireshark.
    ///
    /// With a segment for each of its writes over TCP, and the datagrams. A Unix socket has no packets.
    #[arg(long, value_name = "FILE", help_heading = help::OUTPUT)]
    pcap: Option<PathBuf>,
    /// One JSON object a line, for scripts.
    #[arg(short, long, help_heading = help::OUTPUT)]
    json: bool,
}

impl Args {
    /// Returns the options that repeat this run.
    fn again(&self, seed: u64) -> String {
        let mut again = String::new();
        if self.messages != MESSAGES {
            again.push_str(&format!("--messages {} ", self.messages));
        }
        if self.damage {
            again.push_str("--damage ");
        }
        again + &format!("--seed {seed}")
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let seed = args.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos())
    });
    let cannot = |error| {
        let path = args.pcap.as_deref().unwrap_or("".as_ref());
        Failure::job(format!("cannot write {}: {error}", path.display()))
    };
    let capture = args.pcap.as_deref().map(Capture::create).transpose().map_err(cannot)?;
    let capture = capture.as_ref();
    exit_on_signal(|| {
        if io::stderr().is_terminal() {
            note(""); // the cursor may be after a progress bar
        }
    })?;
    let mut out = Out::of_job();
    if !args.json {
        out.line(format_args!(
            "Each message passes a relay that cuts and merges the bytes at random (--seed {seed})."
        ))?;
    }
    let mut total = Counts::default();
    for (name, connect) in TRANSPORTS {
        if !args.json {
            out.line("")?;
            out.line(format_args!("{name}: sender -> relay -> receiver"))?;
            out.flush()?;
        }
        let report = transport(args, seed, *connect, capture)
            .map_err(|error| Failure::job(format!("{name}: {error}")))?;
        total.add(&report.counts);
        if args.json {
            out.line(json(&DemoEvent::Transport { name, seed, report: &report }))?;
        } else {
            show(&mut out, &report)?;
        }
        out.flush()?;
        if let Some(error) = report.error {
            print_error(&format!("{name}: {error}"));
        }
    }
    if args.json {
        out.line(json(&DemoEvent::Total { counts: &total }))?;
    } else {
        out.line("")?;
        out.line(format_args!("total: {}", total.line()))?;
    }
    let datagrams = datagrams(args, seed, capture, &mut out)?;
    out.flush()?;
    capture.map_or(Ok(()), Capture::finish).map_err(cannot)?;
    if !total.is_good() {
        return Err(Failure::job(format!(
            "{} did not arrive intact; repeat it with {}",
            count(total.sent - total.intact, "message"),
            args.again(seed)
        )));
    }
    if !datagrams {
        return Err(Failure::job(format!(
            "UDP: a message was torn or mixed; repeat it with {}",
            args.again(seed)
        )));
    }
    Ok(())
}

/// Sends messages in datagrams. Returns whether all messages that arrived were whole.
fn datagrams(
    args: &Args,
    seed: u64,
    capture: Option<&Capture>,
    out: &mut Out,
) -> Result<bool, Failure> {
    if !args.json {
        out.line("")?;
        out.line("UDP: the relay drops, doubles, reorders, cuts and damages datagrams")?;
        out.flush()?;
    }
    let report = udp::run(args.messages, seed, capture)
        .map_err(|error| Failure::job(format!("UDP: {error}")))?;
    if args.json {
        out.line(json(&DemoEvent::Udp { seed, report: &report }))?;
    } else {
        report.show(out)?;
    }
    Ok(report.is_good())
}

/// A connection from a writer to a reader.
struct Connection {
    writer: Box<dyn Write + Send>,
    reader: Box<dyn Read + Send>,
    /// The addresses for a capture; `None` if the transport has no packets.
    ends: Option<Ends>,
}

type Connect = fn() -> io::Result<Connection>;

const TRANSPORTS: &[(&str, Connect)] = &[
    ("TCP", tcp),
    #[cfg(unix)]
    ("Unix socket", unix),
];

fn tcp() -> io::Result<Connection> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let ours = sender.local_addr()?;
    // Another process may connect first; its connection is dropped.
    let receiver = loop {
        let (receiver, peer) = listener.accept()?;
        if peer == ours {
            break receiver;
        }
    };
    sender.set_nodelay(true)?;
    sender.set_write_timeout(Some(TIMEOUT))?;
    receiver.set_read_timeout(Some(TIMEOUT))?;
    let ends = ends(ours, receiver.local_addr()?);
    Ok(Connection { writer: Box::new(sender), reader: Box::new(receiver), ends })
}

/// Returns the addresses of two sockets for a capture.
fn ends(from: SocketAddr, to: SocketAddr) -> Option<Ends> {
    match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => Some((from, to)),
        _ => None, // the demo uses IPv4 only
    }
}

#[cfg(unix)]
fn unix() -> io::Result<Connection> {
    let (sender, receiver) = std::os::unix::net::UnixStream::pair()?;
    sender.set_write_timeout(Some(TIMEOUT))?;
    receiver.set_read_timeout(Some(TIMEOUT))?;
    Ok(Connection { writer: Box::new(sender), reader: Box::new(receiver), ends: None })
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum DemoEvent<'a> {
    Transport {
        name: &'a str,
        seed: u64,
        #[serde(flatten)]
        report: &'a Report,
    },
    Total {
        #[serde(flatten)]
        counts: &'a Counts,
    },
    Udp {
        seed: u64,
        #[serde(flatten)]
        report: &'a udp::Report,
    },
}

#[derive(Default, Serialize)]
struct Counts {
    sent: u64,
    arrived: u64,
    intact: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.arrived += other.arrived;
        self.intact += other.intact;
    }

    fn is_good(&self) -> bool {
        self.sent == self.arrived && self.arrived == self.intact
    }

    fn line(&self) -> String {
        let Self { sent, arrived, intact } = self;
        format!("{} sent, {arrived} arrived, {intact} intact", count(*sent, "message"))
    }
}

/// The results of one transport.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    counts: Counts,
    bytes: u64,
    recvs: u64,
    /// The number of reads that ended inside a frame, and of those that ended inside its header.
    cut_inside: u64,
    cut_in_header: u64,
    millis: u128,
    /// The receiver's port, if there is a capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The first message that differs from what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<Wrong>,
    samples: Vec<Sample>,
}

/// A message that differs from what was sent, and the byte that the relay changed in it.
#[derive(Serialize)]
struct Wrong {
    message: u64,
    #[serde(skip)]
    span: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<WrongByte>,
}

#[derive(Serialize)]
struct WrongByte {
    /// The byte's offset in the payload.
    byte: u64,
    was: u8,
    became: u8,
}

impl Wrong {
    fn new(span: Span) -> Self {
        Self { message: span.number, span, damage: None }
    }

    /// Stores the relay's damage, if it was inside this message's payload.
    fn explain(&mut self, Damage { at, was, became }: Damage) {
        let byte = at.checked_sub(self.span.start + HEADER_LEN as u64);
        let inside = self.span.end.is_some_and(|end| at < end);
        self.damage = byte.filter(|_| inside).map(|byte| WrongByte { byte, was, became });
    }

    fn line(&self) -> String {
        let mut line = format!("message {} is not what was sent", self.message);
        if let Some(WrongByte { byte, was, became }) = self.damage {
            line.push_str(&format!(
                ": byte {byte} was 0x{was:02x}, arrived as 0x{became:02x}\n(the header's check does not cover the payload)"
            ));
        }
        line
    }
}

/// A read: what `recv` returned, and what the decoder delivered.
#[derive(Serialize)]
struct Sample {
    recv: u64,
    bytes: u64,
    holds: String,
    delivered: String,
}

fn show(out: &mut Out, report: &Report) -> Result<(), Failure> {
    let (recv, bytes, delivered) = ("recv", "bytes", "the decoder delivered");
    let width = delivered.len();
    let lead = match report.samples.len() {
        0 => "",
        1 => "One of the reads, and what was in it:",
        2 => "Two of the reads, and what was in them:",
        3 => "Three of the reads, and what was in them:",
        4 => "Four of the reads, and what was in them:",
        _ => "Five of the reads, and what was in them:",
    };
    if !lead.is_empty() {
        out.line(format_args!("  {lead}"))?;
        out.line(format_args!("  {recv:>7}  {bytes:>7}  {delivered}  what the bytes were"))?;
    }
    for Sample { recv, bytes, holds, delivered } in &report.samples {
        let recv = format!("#{recv}");
        out.line(format_args!("  {recv:>7}  {bytes:>7}  {delivered:<width$}  {holds}"))?;
    }
    if let Some(port) = report.port {
        out.line(format_args!("  the capture has this at TCP port {port}"))?;
    }
    let Report { recvs, cut_inside, cut_in_header, .. } = report;
    out.line(format_args!(
        "  {} in {}; {} ended inside a message, {cut_in_header} of them in its header",
        count_bytes(report.bytes),
        count(*recvs, "read"),
        count(*cut_inside, "read"),
    ))?;
    if *cut_inside > 0 {
        out.line("  (a program that takes a read for a message would have been wrong each time)")?;
    }
    if let Some(wrong) = &report.wrong {
        for line in wrong.line().lines() {
            out.line(format_args!("  {line}"))?;
        }
    }
    out.line(format_args!("  {}", report.counts.line()))
}

/// Sends all messages over one transport, and receives them.
fn transport(
    args: &Args,
    seed: u64,
    connect: Connect,
    capture: Option<&Capture>,
) -> io::Result<Report> {
    let began = Instant::now();
    let first = connect()?;
    let second = connect()?;
    let (from_relay, port): (Box<dyn Write + Send>, _) = match (capture, second.ends) {
        (Some(capture), Some(ends)) => {
            (Box::new(capture.record(ends, second.writer)), Some(ends.1.port()))
        }
        _ => (second.writer, None),
    };
    let (digests, expected) = mpsc::channel();
    let messages = args.messages;
    // A byte of the first half, so that later messages are checked, too.
    let damage = args.damage.then(|| Rng::with_seed(seed).u64(..messages * 64));
    thread::spawn(move || send(messages, seed, first.writer, &digests));
    let relayed =
        thread::spawn(move || relay(first.reader, from_relay, Rng::with_seed(!seed), damage));

    let bar = ProgressBar::new(messages);
    if let Ok(style) = ProgressStyle::with_template("  {wide_bar} {pos}/{len} messages, {eta}") {
        bar.set_style(style);
    }
    let mut receiver = Receiver::new(expected, bar);
    receiver.run(second.reader)?;
    let mut report = receiver.report;
    report.port = port;
    // After a decode error the receiver is closed, so the relay fails as well.
    if report.error.is_none()
        && let Ok(relayed) = relayed.join()
        && let (Some(damage), Some(wrong)) = (relayed?, &mut report.wrong)
    {
        wrong.explain(damage);
    }
    report.counts.sent = messages;
    report.millis = began.elapsed().as_millis();
    Ok(report)
}

/// The sender's record of a message, passed to the receiver outside the connection.
struct Expected {
    kind: Kind,
    digest: [u8; 32],
}

fn send(
    messages: u64,
    seed: u64,
    mut socket: Box<dyn Write + Send>,
    digests: &mpsc::Sender<Expected>,
) {
    let framing = Framing::new(V1);
    let mut rng = Rng::with_seed(seed);
    let mut frame = Vec::new();
    for i in 0..messages {
        let (kind, payload) = message(&mut rng, i, messages);
        let digest = Sha256::digest(&payload).into();
        frame.clear();
        // On an error the receiver counts what is missing; the end of the stream ends the demo.
        if digests.send(Expected { kind, digest }).is_err()
            || framing.encode(kind, &payload, &mut frame).is_err()
            || socket.write_all(&frame).is_err()
        {
            return;
        }
    }
}

/// Creates the next message, of a size and content that often reveals errors in programs.
fn message(rng: &mut Rng, i: u64, messages: u64) -> (Kind, Vec<u8>) {
    if i == messages / 3 || i == messages * 2 / 3 {
        return (Kind::BINARY, random(rng, MAX_MESSAGE_LEN));
    }
    match rng.u8(..20) {
        0 => (Kind::BINARY, Vec::new()),
        1 => (Kind::TEXT, Vec::new()),
        2..4 => (Kind::BINARY, random(rng, 1)),
        4..10 => {
            let len = rng.usize(1..60);
            let characters: Vec<_> = CHINESE.chars().collect();
            let text: String = (0..len).filter_map(|_| rng.choice(&characters)).collect();
            (Kind::TEXT, text.into_bytes())
        }
        _ => {
            // Lengths up to 8 KiB; each order of magnitude is about equally frequent.
            let bits = rng.u32(1..14);
            let len = rng.usize(1..1 << bits);
            (Kind::BINARY, random(rng, len))
        }
    }
}

fn random(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}
