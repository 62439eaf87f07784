//! The options of `unstick send`.

use std::net::Ipv4Addr;
use std::time::Duration;

use unstick::Kind;

use crate::addr::Addr;
use crate::framing_args::FramingArgs;
use crate::mark::{AnyMark, parse_delimiter};
use crate::send::source::{ItemArgs, Split};
use crate::term::bytes::{parse_bytes, parse_seconds};
use crate::tls::SendTls;
use crate::v1::parse_kind;

/// Send messages and files, and show what comes back.
#[derive(clap::Args)]
#[command(
    after_help = "Without FILE and --text each line of standard input is a message; on a terminal \
                  there is a prompt, where `/file PATH` sends a file and `/quit` ends. At the end a \
                  table says what became of the files. One that was broken off goes on where it \
                  stopped when it is sent again."
)]
pub(crate) struct Args {
    /// HOST:PORT, [IPv6]:PORT, :PORT for this machine, udp:HOST:PORT for datagrams, unix:PATH, or
    /// unix:@NAME for an abstract socket of Linux. A link-local address needs its interface, such as
    /// [fe80::1%eth0]:7000.
    pub(crate) addr: Addr,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    #[command(flatten)]
    pub(crate) items: ItemArgs,
    /// The name for the receiver of the one FILE [default: its own name].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Tell the receiver when each file was modified and whether it is executable; one that was started
    /// with --preserve, too, gives its files the same (v1).
    #[arg(long)]
    pub(crate) preserve: bool,
    /// Send all of standard input as one message.
    #[arg(long, conflicts_with_all = ["delimiter", "null", "file", "text"])]
    pub(crate) whole: bool,
    /// Send what stands between these bytes of standard input, in place of lines: crlf, nul, or
    /// hexadecimal such as 0d0a.
    #[arg(long, value_name = "HEX", value_parser = parse_delimiter, conflicts_with_all = ["file", "text"])]
    pub(crate) delimiter: Option<AnyMark>,
    /// The same as --delimiter nul.
    #[arg(short = '0', long, conflicts_with_all = ["delimiter", "file", "text"])]
    pub(crate) null: bool,
    /// The messages' kind, such as binary, ping or 0x41 (v1, and without ping v2) [default: text, or
    /// binary for what is not UTF-8].
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    pub(crate) kind: Option<Kind>,
    /// The header's bytes other than the length, as a whole header with any length in it (field:
    /// formats [default: zeros], ubx, mavlink, modbus-rtu-request, modbus-rtu-response, resp).
    #[arg(long, value_name = "HEX")]
    pub(crate) header: Option<String>,
    /// Wait for one answer to each message, and fail if one is missing.
    #[arg(long)]
    pub(crate) expect_reply: bool,
    /// Pack messages into datagrams of at most this many bytes (udp: addresses) [default: 1200].
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) datagram_limit: Option<u64>,
    /// Send to a broadcast address, such as udp:192.0.2.255:7000 or udp:255.255.255.255:7000; answers
    /// are taken from anybody.
    #[arg(long)]
    pub(crate) allow_broadcast: bool,
    /// Over how many networks datagrams to a multicast group go, such as udp:239.1.2.3:7000
    /// [default: 1, this network alone].
    #[arg(long, value_name = "N")]
    pub(crate) multicast_ttl: Option<u8>,
    /// Send to a group of IPv4 over the interface with this address [default: the system's choice]. For
    /// IPv6 the interface is part of the address: udp:[ff02::1234%eth0]:7000.
    #[arg(long, value_name = "IP")]
    pub(crate) multicast_interface: Option<Ipv4Addr>,
    /// How long to wait: for the connection, for the peer to take a message, for the next answer,
    /// for the peer's end; seconds, such as 10, 0.5 or 5s.
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = parse_seconds)]
    pub(crate) timeout: Duration,
    /// One JSON object a line for each answer and each file, for scripts.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) tls: SendTls,
}

impl Args {
    /// Returns what the messages of standard input are.
    pub(crate) fn split(&self) -> Split {
        Split::new(self.whole, self.delimiter, self.null)
    }
}
