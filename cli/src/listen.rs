//! `unstick listen`: prints every message that arrives, from many peers at once.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use unstick::Kind;

use crate::addr::Addr;
use crate::bytes::{count, parse_seconds};
use crate::format::FramingArgs;
use crate::listener::Listener;
use crate::output::{Failure, json};
use crate::printer::Printer;
use crate::serve::{Event, Reply, Rules, serve};
use crate::udp;
use crate::v1::parse_kind;

/// How long to wait after a connection could not be taken: what is missing, such as a free file
/// descriptor, does not come back at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections have to say goodbye when the program ends.
const ENDING: Duration = Duration::from_secs(3);
/// How long the last lines may take when the program ends.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Listen, and print every message that arrives, until interrupted.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// HOST:PORT, [IPv6]:PORT, :PORT for this machine only, udp:HOST:PORT for datagrams, or
    /// unix:PATH. Port 0 takes any free one; 0.0.0.0 listens to the whole network.
    pub(crate) addr: Addr,
    #[command(flatten)]
    pub(crate) framing: FramingArgs,
    /// Answer each message: with the same (`echo`), in upper case (`upper`), or with a text
    /// (`text:echo` for a text that would mean something else).
    #[arg(long, value_name = "echo|upper|TEXT")]
    pub(crate) reply: Option<String>,
    /// End a connection whose frame is not complete after so long, or that does not take an answer:
    /// seconds, such as 30, 0.5 or 5s.
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = parse_seconds)]
    frame_timeout: Duration,
    /// End a connection that sends nothing for so long, such as 60 or 60s [default: never].
    #[arg(long, value_name = "SECS", value_parser = parse_seconds)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Skip a frame that is over the limit, and go on behind it; else it ends the connection.
    #[arg(long)]
    pub(crate) skip_oversize: bool,
    /// Take messages of this application's kind too, such as 0x41 (v1; can be repeated).
    #[arg(long = "kind", value_name = "KIND", value_parser = parse_kind)]
    pub(crate) kinds: Vec<Kind>,
    /// How many peers are served at once; more have to wait.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    max_connections: usize,
    /// How many characters of each message to show.
    #[arg(long, value_name = "CHARS", default_value_t = 200)]
    pub(crate) preview: u16,
    /// One JSON object a line, for scripts, with the whole messages.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    raise_open_files();
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::job(format!("cannot start: {error}")))?;
    let result = match args.addr {
        Addr::Udp { .. } => runtime.block_on(udp::listen(args)),
        _ => runtime.block_on(listen(args)),
    };
    runtime.shutdown_background();
    result
}

/// Every connection needs a file descriptor; takes as many as the system allows without asking.
fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // With fewer the accept loop still goes on, and says what is missing.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

async fn listen(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let listener = Listener::bind(&args.addr).await?;
    let (printer, outcome) = Printer::start();
    let addr = listener.local_addr();
    printer
        .line(if args.json {
            json(&Event::Listening { addr: &addr })
        } else {
            format!("listening on {addr}")
        })
        .await;

    let rules = Arc::new(Rules {
        framing: args.framing.framing(),
        reply: args.reply.as_deref().map(Reply::parse),
        frame_timeout: args.frame_timeout,
        idle_timeout: args.idle_timeout,
        skip_oversize: args.skip_oversize,
        kinds: args.kinds,
        preview: args.preview.into(),
        json: args.json,
        messages: AtomicU64::new(0),
    });
    accept(listener, rules, args.max_connections.max(1), printer, outcome, &mut signals).await
}

async fn accept(
    listener: Listener,
    rules: Arc<Rules>,
    max_connections: usize,
    printer: Printer,
    mut outcome: oneshot::Receiver<Result<(), Failure>>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut number = 1;
    let mut failing = false;
    loop {
        tokio::select! {
            accepted = listener.accept(number), if connections.len() < max_connections => {
                match accepted {
                    Ok((incoming, outgoing, peer)) => {
                        failing = false;
                        number += 1;
                        let (rules, printer) = (Arc::clone(&rules), printer.clone());
                        let stopped = stopped.clone();
                        connections.spawn(async move {
                            serve(&rules, printer, (incoming, outgoing), peer, stopped).await;
                        });
                    }
                    Err(error) if is_about_one_peer(&error) => {}
                    Err(error) => {
                        if !failing {
                            printer.complain_now(&format!(
                                "cannot take a connection: {error}; trying again; \
                                 allow more open files (`ulimit -n`) or set --max-connections"
                            ));
                        }
                        failing = true;
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
            Some(_) = connections.join_next() => {}
            written = &mut outcome => return written.unwrap_or(Ok(())),
            () = signals.next() => break,
        }
    }

    drop(listener);
    let _ = stop.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(ENDING, ended) => {}
        () = signals.next() => {}
    }
    drop(connections);
    if !rules.json {
        let messages = count(rules.messages.load(Ordering::Relaxed), "message");
        let peers = count(number - 1, "peer");
        // Behind the `^C` that a terminal shows.
        let line = if io::stderr().is_terminal() { "\n" } else { "" };
        printer.note_now(format!("{line}stopped after {messages} from {peers}"));
    }
    drop(printer);
    match timeout(LAST_LINES, outcome).await {
        Ok(Ok(written)) => written,
        _ => Ok(()),
    }
}

/// Errors of a connection that was given up before it was taken: the next one may be fine.
fn is_about_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The signals that end the program.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let failed = |error| Failure::job(format!("cannot wait for signals: {error}"));
            Ok(Self {
                interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
                terminate: signal(SignalKind::terminate()).map_err(failed)?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
