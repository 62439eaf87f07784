//! The options of `unstick listen`.

use std::ffi::OsString;
use std::mem;
use std::net::Ipv4Addr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::builder::StringValueParser;
use unstick::Kind;

use crate::addr::Addr;
use crate::framing_args::FramingArgs;
use crate::help::{self, Hinted};
use crate::inbox::InboxArgs;
use crate::listen::exec::Exec;
use crate::listen::reply::Reply;
use crate::term::bytes::{parse_bytes, parse_seconds};
use crate::tls::ListenTls;
use crate::v1::parse_kind;

const EXAMPLES: &str = "Examples:
  unstick listen 127.0.0.1:7000 --reply upper          answer each message
  unstick listen :7000 --exec -- jq -c .               answer with a program's output
  unstick listen :7001 --dir inbox                     take files, too
  unstick listen '[::]:7001' -d inbox --tls-self-signed
  unstick listen udp:127.0.0.1:7000 --json             datagrams, for a script
  unstick listen unix:/tmp/u.sock --format lines --once";
/// What the long help has in addition.
const LONG_EXAMPLES: &str = "
  unstick listen '[::]:7001' -d inbox --tls-self-signed --tls-ca alice.pem";

/// Listen, and print every message that arrives, until interrupted.
///
/// Each message is a line on standard output, with its peer, kind and length. Everything about the
/// connections is on standard error, but for the first line, `listening on`; with --json all is on
/// standard output. On a terminal there is a prompt, too: each line typed is a message to all peers, and
/// `/quit` ends.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}{LONG_EXAMPLES}"))]
pub(crate) struct Args {
    /// Where to listen: HOST:PORT, :PORT for this machine only, udp:HOST:PORT, or unix:PATH.
    ///
    /// Port 0 takes any free one; a name stands for all its addresses. An IPv6 address has brackets.
    /// [::] listens to the whole network, over IPv6 and IPv4, and 0.0.0.0 over IPv4 alone. unix:@NAME
    /// is an abstract socket of Linux. udp: takes datagrams, also those of a multicast group.
    pub(crate) addr: Addr,
    /// The command of --exec, and its arguments.
    #[arg(last = true, value_name = "COMMAND", requires = "exec")]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    /// Take messages of this application's kind too, such as 0x41 (repeatable).
    ///
    /// Frames of other kinds of applications are skipped or refused, as v1 has it.
    #[arg(short, long = "kind", help_heading = help::FRAMING, value_name = "KIND", value_parser = parse_kind)]
    pub(crate) kinds: Vec<Kind>,
    /// Skip a frame that is over the limit; else it ends the connection.
    #[arg(long, help_heading = help::FRAMING, hide_short_help = true)]
    pub(crate) skip_oversize: bool,
    /// Answer each message: with the same (echo), in upper case (upper), or a text.
    ///
    /// `text:echo` is a text that would mean something else.
    #[arg(short, long, help_heading = help::ANSWERS, value_name = "HOW", hide_possible_values = true,
          value_parser = Hinted { parse: StringValueParser::new(), names: || vec!["echo", "upper"] })]
    pub(crate) reply: Option<String>,
    /// Answer each message with what a command prints: --exec -- COMMAND ARGUMENTS.
    ///
    /// The command gets the message on its standard input; it is started without a shell, for each
    /// message. What it prints is the answer, of the same kind; if it prints nothing, or fails, there is
    /// none. A last line end is left out of the answer to a text (v1, v2), and with --format lines and
    /// crlf. With other formats a last line end stays. With lines the answer has to be one line. Its
    /// environment has UNSTICK_PEER, the address, and UNSTICK_KIND. Its standard error is logged.
    #[arg(short = 'x', long, help_heading = help::ANSWERS, requires = "command", conflicts_with = "reply")]
    pub(crate) exec: bool,
    /// The time after which the command is killed, with all that it has started.
    #[arg(long, help_heading = help::ANSWERS, value_name = "SECONDS", default_value = "10", requires = "exec",
          value_parser = parse_seconds, hide_short_help = true)]
    pub(crate) exec_timeout: Duration,
    /// How many commands may run at a time; more have to wait [default: the number of processors].
    #[arg(long, help_heading = help::ANSWERS, value_name = "N", requires = "exec", hide_short_help = true)]
    pub(crate) exec_jobs: Option<usize>,
    /// Send each message of a peer to all others.
    ///
    /// One that reads more slowly than they come misses some.
    #[arg(short, long, help_heading = help::ANSWERS)]
    pub(crate) broadcast: bool,
    #[command(flatten)]
    pub(crate) inbox: InboxArgs,
    /// Serve one connection, and end with it: with 1 if it ended with an error.
    #[arg(short = '1', long, help_heading = help::CONNECTIONS)]
    pub(crate) once: bool,
    /// How many peers are served at once; for one more an idle one gives way.
    ///
    /// It is the one that has sent no message and no byte of a file for the longest time, of the address
    /// with the most connections first. While none is idle for --first-timeout, the next waits.
    /// There are fewer if the system allows too few open files.
    #[arg(long, help_heading = help::CONNECTIONS, value_name = "N", default_value_t = 4096)]
    pub(crate) max_connections: usize,
    /// How many of them may have the same address; more are closed at once.
    ///
    /// For IPv6 it is the same first 64 bits.
    #[arg(long, help_heading = help::CONNECTIONS, value_name = "N", hide_short_help = true)]
    pub(crate) max_connections_per_address: Option<usize>,
    /// How much of what all peers sent, and of the answers, may wait in memory.
    ///
    /// Each peer has 64 KiB in addition, up to 4 MiB of buffers are kept for reuse, and messages of
    /// --broadcast that wait for slow peers take up to an eighth of it, or 4 MiB. While it is used up, larger
    /// frames wait in turn of the addresses, all but one, so that a frame within --limit can be taken that is
    /// larger than this. A peer that is slower than 512 KiB a second then ends, and a command waits for room
    /// for its answer.
    #[arg(long, help_heading = help::CONNECTIONS, value_name = "BYTES", default_value = "512MiB",
          value_parser = parse_bytes, hide_short_help = true)]
    pub(crate) max_memory: u64,
    /// Join a multicast group of IPv4 at the interface with this address.
    ///
    /// The group is an address such as udp:239.1.2.3:7000. The default is the system's choice. For
    /// IPv6 the interface is part of the address: udp:[ff02::1234%eth0]:7000.
    #[arg(long, help_heading = help::CONNECTIONS, value_name = "IP", hide_short_help = true)]
    pub(crate) multicast_interface: Option<Ipv4Addr>,
    /// The time from a frame's first byte to its last, and for a peer to take an answer.
    ///
    /// In seconds, such as 30, 0.5 or 5s. After it the connection is ended.
    #[arg(long, help_heading = help::TIMES, value_name = "SECONDS", default_value = "30",
          value_parser = parse_seconds, hide_short_help = true)]
    pub(crate) frame_timeout: Duration,
    /// The time in which a peer may send nothing, such as 60 [default: none].
    ///
    /// In the middle of a file it is 120 seconds.
    #[arg(long, help_heading = help::TIMES, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) idle_timeout: Option<Duration>,
    /// The time to the first frame [default: 60, and 600 for formats without a hello].
    ///
    /// It is also the time from the answer to the offer of a file to its first byte, and a second more for
    /// each 10 MB that are held of it. A peer that is idle for so long gives its place to a new one if all
    /// are taken.
    #[arg(long, help_heading = help::TIMES, value_name = "SECONDS", value_parser = parse_seconds,
          hide_short_help = true)]
    pub(crate) first_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) tls: ListenTls,
    /// One JSON object a line, for scripts, with the whole messages.
    #[arg(short, long, help_heading = help::OUTPUT)]
    pub(crate) json: bool,
    /// Write the messages to standard output as they are, and nothing else.
    #[arg(long, help_heading = help::OUTPUT, conflicts_with = "json")]
    pub(crate) raw: bool,
    /// The same, with a byte 0 after each message.
    #[arg(short = '0', long, help_heading = help::OUTPUT, conflicts_with = "json")]
    pub(crate) null: bool,
    /// Begin each line with the time, in UTC. JSON has it anyway.
    #[arg(short, long, help_heading = help::OUTPUT)]
    pub(crate) time: bool,
    /// How many characters of each message to show.
    #[arg(short, long, help_heading = help::OUTPUT, value_name = "CHARS", default_value_t = 200)]
    pub(crate) preview: u16,
}

/// The open files that are kept for the program itself, and for each command that runs: its pipes.
const OWN_FILES: usize = 16;
const FILES_OF_A_COMMAND: usize = 8;
/// The open files of an upload: its part, a file of its name, and a handle that writes the part back.
const FILES_OF_AN_UPLOAD: usize = 3;

impl Args {
    /// Returns how many commands may run at a time.
    fn jobs(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZero::get);
        if self.exec { self.exec_jobs.unwrap_or_else(processors).max(1) } else { 0 }
    }

    /// Returns how many connections may be open at a time, so that of this many open files enough stay for
    /// commands and, with `--dir`, a half for files.
    pub(crate) fn open_connections(&self, open_files: usize) -> usize {
        let commands = self.jobs().saturating_mul(FILES_OF_A_COMMAND);
        let left = open_files.saturating_sub(commands.saturating_add(OWN_FILES));
        let left = if self.inbox.dir.is_some() { left / 2 } else { left };
        // With very few open files some have to do without.
        left.max(open_files / 8).max(2)
    }

    /// Returns how many uploads may have open files at a time, in addition to this number of connections.
    pub(crate) fn open_uploads(&self, open_files: usize, connections: usize) -> usize {
        let commands = self.jobs().saturating_mul(FILES_OF_A_COMMAND);
        let others = commands.saturating_add(OWN_FILES).saturating_add(connections);
        (open_files.saturating_sub(others) / FILES_OF_AN_UPLOAD).max(1)
    }

    /// Returns how messages are answered.
    pub(crate) fn take_reply(&mut self) -> Option<Reply> {
        if self.exec {
            let (jobs, command) = (self.jobs(), mem::take(&mut self.command));
            let exec = Exec::new(command, self.exec_timeout, jobs);
            return exec.map(|exec| Reply::Exec(Arc::new(exec)));
        }
        self.reply.as_deref().map(Reply::parse)
    }
}
