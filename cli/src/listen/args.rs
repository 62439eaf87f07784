//! The options of `unstick listen`.

use std::net::Ipv4Addr;
use std::time::Duration;

use unstick::Kind;

use crate::addr::Addr;
use crate::framing_args::FramingArgs;
use crate::inbox::InboxArgs;
use crate::term::bytes::{parse_bytes, parse_seconds};
use crate::tls::ListenTls;
use crate::v1::parse_kind;

/// Listen, and print every message that arrives, until interrupted.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// HOST:PORT, [IPv6]:PORT, :PORT for this machine only, udp:HOST:PORT for datagrams, unix:PATH, or
    /// unix:@NAME for an abstract socket of Linux. Port 0 takes any free one; a name stands for all its
    /// addresses. [::] listens to the whole network, over IPv6 and IPv4, and 0.0.0.0 over IPv4 alone.
    pub(crate) addr: Addr,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    /// Answer each message: with the same (`echo`), in upper case (`upper`), or with a text
    /// (`text:echo` for a text that would mean something else).
    #[arg(long, value_name = "echo|upper|TEXT")]
    pub(crate) reply: Option<String>,
    /// End a connection whose frame is not complete after this time, or that does not take an
    /// answer: seconds, such as 30, 0.5 or 5s.
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = parse_seconds)]
    pub(crate) frame_timeout: Duration,
    /// End a connection that sends nothing for this time, such as 60 or 60s [default: never, and 120
    /// in the middle of a file].
    #[arg(long, value_name = "SECS", value_parser = parse_seconds)]
    pub(crate) idle_timeout: Option<Duration>,
    /// End a connection that has sent no frame after this time; one that is idle for so long gives its
    /// place to a new one if all are taken [default: 60, and 600 for formats without a hello].
    #[arg(long, value_name = "SECS", value_parser = parse_seconds)]
    pub(crate) first_timeout: Option<Duration>,
    /// Skip a frame that is over the limit, and go on after it; else it ends the connection.
    #[arg(long)]
    pub(crate) skip_oversize: bool,
    /// Take messages of this application's kind too, such as 0x41 (v1; can be repeated).
    #[arg(long = "kind", value_name = "KIND", value_parser = parse_kind)]
    pub(crate) kinds: Vec<Kind>,
    /// How many peers are served at once. If there are more, the one that has sent no message and no
    /// byte of a file for the longest time gives its place to the next, of the address with the most
    /// connections first; while none is idle for --first-timeout, the next waits.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) max_connections: usize,
    /// How many of them may have the same address, or for IPv6 the same first 64 bits; more are closed
    /// at once.
    #[arg(long, value_name = "N")]
    pub(crate) max_connections_per_address: Option<usize>,
    /// How much of what all peers sent may wait in memory, and of the answers, besides 128 KiB for
    /// each peer. While there is more, larger frames wait, all but one: any frame within --limit is
    /// taken, also one that is larger than this.
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = parse_bytes)]
    pub(crate) max_memory: u64,
    /// Join a multicast group of IPv4, such as udp:239.1.2.3:7000, at the interface with this address
    /// [default: the system's choice]. For IPv6 it is part of the address: udp:[ff02::1234%eth0]:7000.
    #[arg(long, value_name = "IP")]
    pub(crate) multicast_interface: Option<Ipv4Addr>,
    /// How many characters of each message to show.
    #[arg(long, value_name = "CHARS", default_value_t = 200)]
    pub(crate) preview: u16,
    /// One JSON object a line, for scripts, with the whole messages.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the messages to standard output as they are, one after the other, and nothing else.
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// The same, with a byte 0 after each message.
    #[arg(short = '0', long, conflicts_with = "json")]
    pub(crate) null: bool,
    /// Begin each line with the time, in UTC. JSON has it anyway.
    #[arg(long)]
    pub(crate) time: bool,
    /// Serve one connection, and end with it: with 1 if it ended with an error.
    #[arg(long)]
    pub(crate) once: bool,
    /// Send each message of a peer to all others. One that reads more slowly than they come misses
    /// some.
    #[arg(long)]
    pub(crate) broadcast: bool,
    #[command(flatten)]
    pub(crate) inbox: InboxArgs,
    #[command(flatten)]
    pub(crate) tls: ListenTls,
}
