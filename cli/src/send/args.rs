//! The options of `unstick send`.

use std::net::Ipv4Addr;
use std::time::Duration;

use unstick::Kind;

use crate::addr::Addr;
use crate::framing_args::FramingArgs;
use crate::help::{self, Hinted};
use crate::mark::{AnyMark, parse_delimiter};
use crate::send::source::{ItemArgs, Split};
use crate::term::bytes::{parse_bytes, parse_seconds};
use crate::tls::SendTls;
use crate::v1::{kind_names, parse_kind};

/// Send messages and files, and show what comes back.
///
/// Without FILE and --text each line of standard input is a message; on a terminal there is a prompt,
/// where `/file PATH` sends a file and `/quit` ends. A table at the end says what became of the files.
/// One that was broken off goes on where it stopped when it is sent again.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  unstick send 127.0.0.1:7000 --text hello --expect-reply
  unstick send :7000                                   a prompt, on a terminal
  unstick send unix:/tmp/u.sock < lines.txt            each line is a message
  unstick send :7001 --text 'here they are' a.pdf b.jpg
  tar c photos | unstick send :7001 - --name photos.tar
  unstick send udp:127.0.0.1:7000 --text hello         a datagram")]
pub(crate) struct Args {
    /// The receiver: HOST:PORT, :PORT for this machine, udp:HOST:PORT, or unix:PATH.
    ///
    /// An IPv6 address has brackets, and a link-local one its interface: [fe80::1%eth0]:7000.
    /// unix:@NAME is an abstract socket of Linux. udp: sends datagrams.
    pub(crate) addr: Addr,
    #[command(flatten)]
    pub(crate) items: ItemArgs,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    /// The messages' kind, such as binary, ping or 0x41 (v1; v2 without ping).
    ///
    /// The default is text, or binary for what is not UTF-8.
    #[arg(short, long, help_heading = help::FRAMING, value_name = "KIND", hide_possible_values = true,
          value_parser = Hinted { parse: parse_kind, names: kind_names })]
    pub(crate) kind: Option<Kind>,
    /// A whole header with any length in it, for formats whose headers say more than a length.
    ///
    /// The fields other than the length are written in each frame. field: formats [default: zeros],
    /// ubx, mavlink, modbus-rtu-request, modbus-rtu-response and resp.
    #[arg(long, help_heading = help::FRAMING, value_name = "HEX")]
    pub(crate) header: Option<String>,
    /// The name for the receiver of the one FILE [default: its own name].
    #[arg(short, long, help_heading = help::INPUT, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Tell the receiver when each file was modified, and whether it is executable (v1).
    ///
    /// One that was started with --preserve, too, gives its files the same.
    #[arg(long, help_heading = help::INPUT)]
    pub(crate) preserve: bool,
    /// Send all of standard input as one message.
    #[arg(short, long, help_heading = help::INPUT, conflicts_with_all = ["delimiter", "null", "file", "text"])]
    pub(crate) whole: bool,
    /// Messages of standard input stand between these bytes: crlf, nul, or hexadecimal.
    #[arg(long, help_heading = help::INPUT, value_name = "HEX", value_parser = parse_delimiter, conflicts_with_all = ["file", "text"])]
    pub(crate) delimiter: Option<AnyMark>,
    /// The same as --delimiter nul.
    #[arg(short = '0', long, help_heading = help::INPUT, conflicts_with_all = ["delimiter", "file", "text"])]
    pub(crate) null: bool,
    /// Wait for one answer to each message, and fail if one is missing.
    #[arg(short, long, help_heading = help::ANSWERS)]
    pub(crate) expect_reply: bool,
    /// How long to wait for the connection, the next answer, or the peer's end.
    ///
    /// Also for the peer to take a message. In seconds, such as 10, 0.5 or 5s.
    #[arg(long, help_heading = help::ANSWERS, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub(crate) timeout: Duration,
    /// One JSON object a line for each answer and each file, for scripts.
    #[arg(short, long, help_heading = help::ANSWERS)]
    pub(crate) json: bool,
    /// Pack messages into datagrams of at most this many bytes [default: 1200].
    #[arg(long, help_heading = help::DATAGRAMS, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) datagram_limit: Option<u64>,
    /// Max bytes a second, each message counting as 64 more [default: 8MB; 0 for no limit].
    ///
    /// Nobody slows down a sender of datagrams that is faster than its receiver: what the receiver has no
    /// room for is lost. At most 64 KiB are sent at once.
    #[arg(long, help_heading = help::DATAGRAMS, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) rate: Option<u64>,
    /// Send to a broadcast address, such as udp:192.0.2.255:7000.
    ///
    /// Also udp:255.255.255.255:7000. Answers are taken from anybody.
    #[arg(long, help_heading = help::DATAGRAMS)]
    pub(crate) allow_broadcast: bool,
    /// Over how many networks datagrams to a multicast group go [default: 1, this network alone].
    #[arg(long, help_heading = help::DATAGRAMS, value_name = "N", hide_short_help = true)]
    pub(crate) multicast_ttl: Option<u8>,
    /// Send to a multicast group of IPv4 over the interface with this address.
    ///
    /// The default is the system's choice. For IPv6 the interface is part of the address:
    /// udp:[ff02::1234%eth0]:7000.
    #[arg(long, help_heading = help::DATAGRAMS, value_name = "IP", hide_short_help = true)]
    pub(crate) multicast_interface: Option<Ipv4Addr>,
    #[command(flatten)]
    pub(crate) tls: SendTls,
}

impl Args {
    /// Returns what the messages of standard input are.
    pub(crate) fn split(&self) -> Split {
        Split::new(self.whole, self.delimiter, self.null)
    }
}
