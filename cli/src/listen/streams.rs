//! `listen` over TCP and Unix sockets: accepts connections, and serves each in a task.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{interval, sleep, timeout};
use unstick::{Framing, Kind};

use crate::addr::{BoxedReader, Halves};
use crate::exchange::Exchange;
use crate::listen::args::Args;
use crate::listen::budget::Budget;
use crate::listen::end::End;
use crate::listen::listener::{Accepted, Listener};
use crate::listen::log::{self, Log};
use crate::listen::others::Speaker;
use crate::listen::places::{Network, Peer, Places, Stop};
use crate::listen::rules::{Rules, Show};
use crate::listen::shares::Shares;
use crate::listen::typed::{Line, Typed, can_be_typed};
use crate::listen::{DISK_THREADS, conversation, dialect, plain};
use crate::signals::{Ending, Signals};
use crate::term::bytes::count;
use crate::term::log_limit::{LogLimit, hidden};
use crate::term::output::{Failure, note};
use crate::term::printer::Printer;
use crate::tls::{self, Reload, TlsAcceptor};
use crate::wire::AnyWire;

/// The pause after a failed accept: a missing resource, such as a file descriptor, does not become
/// free at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The default time in which a peer has to send its first frame. One of version 1 says hello at once; in
/// other formats somebody may type the first message.
const FIRST_FRAME: Duration = Duration::from_secs(60);
const FIRST_PLAIN_FRAME: Duration = Duration::from_secs(600);
/// How often it is tried to find a place for a peer that waits for one.
const WAIT_INTERVAL: Duration = Duration::from_millis(200);
/// The interval at which abandoned parts are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The number of connections that are logged at once; after these it is one a second, but for those that send
/// something.
const MAX_CONNECTS: u32 = 256;
/// What may wait for slow peers of --broadcast, in bytes, however small --max-memory is.
const MIN_SAID: u64 = 4 << 20;
/// The maximum number of files that are digested at the same time for offers. The other threads write
/// what arrives.
const MAX_DIGESTING: u64 = 4;
/// The time limit for connections to close when the program ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit for printing the last lines when the program ends.
const PRINT_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn listen<W: Exchange>(
    mut args: Args,
    framing: Framing<W>,
    open_files: usize,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let inbox = args.inbox.inbox()?;
    let tls = args.tls.acceptor(&args.addr)?;
    let own_pin = args.tls.own_pin()?;
    let listener = Listener::bind(&args.addr).await?;
    if (args.raw || args.null) && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a terminal would interpret raw messages; redirect standard output, or leave out --raw"
                .to_owned(),
        ));
    }
    if listener.is_open_to_the_network() {
        warn(&args, tls.is_some());
    }
    let wire: AnyWire = (*framing.format()).into();
    // The dialect of scripts has no messages to them.
    let is_dialect = inbox.is_some() && !wire.is_v1();
    let has_prompt = !(args.json || args.raw || args.null || is_dialect) && can_be_typed(wire);
    let (typed, (printer, outcome)) = Typed::start(has_prompt)?;
    let show = match (args.json, args.null, args.raw) {
        (true, ..) => Show::Json,
        (_, true, _) => Show::Raw(b"\0"),
        (_, _, true) => Show::Raw(b""),
        _ => Show::Line { time: args.time, short: io::stdout().is_terminal() },
    };
    for addr in listener.local_addrs() {
        log::listening(show, &printer, &addr).await;
    }
    if let Some(pin) = own_pin {
        let addr = listener.reachable_at();
        printer.note(format!("senders give: unstick send {addr} --tls-pin {pin}")).await;
    }
    let max_open = args.open_connections(open_files);
    // Those that give their places away need a while to end.
    let max_connections = args.max_connections.clamp(1, max_open - max_open.div_ceil(4));
    if max_connections < args.max_connections {
        printer
            .note(format!(
                "{open_files} files may be open: {max_connections} peers are served at once, and the \
                 next wait; allow more open files (`ulimit -n`) or set --max-connections"
            ))
            .await;
    }
    let max_open = max_open.min(max_connections.saturating_mul(2));
    let uploads = args.open_uploads(open_files, max_open);
    let reload = Reload::new(args.tls.clone(), args.addr.clone(), args.tls.tls_reload);

    let rules = Arc::new(Rules {
        reply: args.take_reply(),
        frame_timeout: args.frame_timeout,
        idle_timeout: args.idle_timeout,
        first_timeout: args
            .first_timeout
            .unwrap_or_else(|| if wire.is_v1() { FIRST_FRAME } else { FIRST_PLAIN_FRAME }),
        budget: Budget::new(args.max_memory),
        skip_oversize: args.skip_oversize,
        kinds: args.kinds,
        preview: args.preview.into(),
        show,
        speaker: (args.broadcast || has_prompt)
            .then(|| Speaker::new(MIN_SAID.max(args.max_memory / 8))),
        broadcasts: args.broadcast,
        inbox,
        open_files: Shares::new(uploads as u64, false),
        digests: Shares::new(MAX_DIGESTING, false),
        disk: Shares::new(DISK_THREADS as u64, false),
        min_rate: args.inbox.min_rate,
        connects: Mutex::new(LogLimit::of(MAX_CONNECTS)),
        messages: AtomicU64::new(0),
        files: AtomicU64::new(0),
    });
    let acceptor = Acceptor {
        listener,
        tls,
        reload,
        max_connections,
        max_open,
        max_per_address: args.max_connections_per_address.map_or(usize::MAX, |max| max.max(1)),
        once: args.once,
        typed,
    };
    if has_prompt {
        printer.note("each line is a message to all peers, /quit ends".to_owned()).await;
    }
    accept(acceptor, rules, framing, printer, outcome, &mut signals).await
}

/// Warns of what everybody may do who can reach the listener.
fn warn(args: &Args, has_tls: bool) {
    let has_dir = args.inbox.dir.is_some();
    if !has_tls {
        let upload = if has_dir { ", send, and upload files" } else { " and send" };
        note(&format!(
            "unstick: warning: everyone on the network can connect, read along{upload}; use \
             --tls-cert or --tls-self-signed, and --tls-ca, or listen on 127.0.0.1"
        ));
    } else if has_dir && !args.tls.knows_senders() {
        note(
            "unstick: warning: everyone on the network can upload files; take only senders with a \
             certificate of a CA with --tls-ca, or listen on 127.0.0.1",
        );
    }
}

/// Tells of a peer that begins with TLS. For version 1 it is an error, which says so.
fn without_tls(
    incoming: BoxedReader,
    wire: &AnyWire,
    rules: &Arc<Rules>,
    printer: &Printer,
    peer: &str,
) -> BoxedReader {
    if wire.is_v1() {
        return incoming;
    }
    let (rules, printer, peer) = (Arc::clone(rules), printer.clone(), peer.to_owned());
    tls::sniff(incoming, move |seen| {
        if seen == tls::Seen::Hello
            && let Some(more) = rules.admit_connection()
        {
            printer.error_now(&format!(
                "{peer}: it begins with TLS; give --tls-cert or --tls-self-signed, or leave TLS out \
                 on its side{}",
                hidden(more)
            ));
        }
    })
}

/// The listening side: socket, TLS, and the maximum numbers of connections.
struct Acceptor {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    reload: Reload,
    max_connections: usize,
    /// The maximum number of those that are served, and of those that have to end for others.
    max_open: usize,
    max_per_address: usize,
    /// Whether one connection is served only.
    once: bool,
    typed: Typed,
}

/// Kills the commands that answer messages once it is dropped: a task that is aborted may not get to it
/// before the program ends.
struct Commands(Arc<Rules>);

impl Drop for Commands {
    fn drop(&mut self) {
        self.0.end_commands();
    }
}

async fn accept<W: Exchange>(
    acceptor: Acceptor,
    rules: Arc<Rules>,
    framing: Framing<W>,
    printer: Printer,
    mut outcome: oneshot::Receiver<Result<(), Failure>>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let _commands = Commands(Arc::clone(&rules));
    let Acceptor {
        listener,
        mut tls,
        mut reload,
        max_connections,
        max_open,
        max_per_address,
        once,
        mut typed,
    } = acceptor;
    let (mut clean, mut number) = (true, 1);
    let mut connections = JoinSet::new();
    let mut failing = false;
    let mut places = Places::default();
    // The next peer, while all places are taken.
    let mut waiting = None;
    let wire: AnyWire = (*framing.format()).into();
    let mut log = LogLimit::new();
    let mut sweeps = interval(SWEEP_INTERVAL);
    loop {
        // Those that have given their places away need a while to end.
        if let Some(Accepted { network, .. }) = &waiting
            && places.len() >= max_connections
            && connections.len() < max_open
        {
            places.give_way(*network, rules.first_timeout);
        }
        if let Some(Accepted { halves: (incoming, outgoing), peer, network }) =
            waiting.take_if(|_| places.len() < max_connections && connections.len() < max_open)
        {
            let (served, active, mut stop) = Peer::new(network);
            let (rules, print, tls) = (Arc::clone(&rules), printer.clone(), tls.clone());
            let task = connections.spawn(async move {
                let halves = match tls {
                    Some(tls) => {
                        let within = rules.first_timeout.min(rules.frame_timeout);
                        tokio::select! {
                            biased;
                            _ = stop.ordered() => return false,
                            halves = tls::accept(&tls, incoming, outgoing, within) => halves,
                        }
                    }
                    None => Ok((without_tls(incoming, &wire, &rules, &print, &peer), outgoing)),
                };
                match halves {
                    Ok(halves) => {
                        let log = Log::new(&rules, print, peer, active);
                        serve(&rules, framing, log, halves, stop).await
                    }
                    Err(refused) => {
                        if let Some(more) = rules.admit_connection() {
                            print.error(&format!("{peer}: {}{}", refused.why, hidden(more))).await;
                        }
                        stop.unless_ordered(&End::Clean, refused.end()).await;
                        false
                    }
                }
            });
            places.take(task.id(), served);
        }
        tokio::select! {
            _ = sweeps.tick() => if let Some(inbox) = rules.inbox.clone() {
                spawn_blocking(move || inbox.remove_old_parts(SystemTime::now()));
            },
            () = sleep(WAIT_INTERVAL), if waiting.is_some() => {}
            accepted = listener.accept(number), if waiting.is_none() && !(once && number > 1) => {
                match accepted {
                    Ok(accepted) => {
                        failing = false;
                        number += 1;
                        let peer = &accepted.peer;
                        let is_over = matches!(accepted.network, Network::Ip(_))
                            && places.of(accepted.network) >= max_per_address;
                        let is_full = places.len() >= max_connections;
                        if (is_over || is_full) && let Some(more) = log.admit(Instant::now()) {
                            let why = if is_over {
                                format!(
                                    "closed, its address has {max_per_address} connections already \
                                     (--max-connections-per-address)"
                                )
                            } else {
                                format!(
                                    "all {max_connections} places are taken, the peer has to wait \
                                     until one is free, or idle for {:?}; raise --max-connections",
                                    rules.first_timeout
                                )
                            };
                            printer.error_now(&format!("{peer}: {why}{}", hidden(more)));
                        }
                        waiting = Some(accepted).filter(|_| !is_over);
                    }
                    Err(error) if is_about_one_peer(&error) => {}
                    Err(error) => {
                        if !failing {
                            printer.error_now(&format!(
                                "cannot take a connection: {error}; trying again; \
                                 allow more open files (`ulimit -n`) or set --max-connections"
                            ));
                        }
                        failing = true;
                        // Too few files may be open for all the places.
                        if places.len() == connections.len() {
                            places.give_way(Network::Local, rules.first_timeout);
                        }
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
            Some(ended) = connections.join_next_with_id() => {
                let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
                places.free(task);
                if once {
                    clean = ended.is_ok_and(|(_, clean)| clean);
                    break;
                }
            }
            line = typed.next() => match line? {
                Line::Message(text) => {
                    rules.say_to_others("", wire.plain_meta(Kind::TEXT), &text);
                }
                Line::Mistake(why) => printer.error_now(&why),
                Line::End => break,
            },
            written = &mut outcome => return written.unwrap_or(Ok(())),
            read = reload.next() => match read {
                Ok(acceptor) => {
                    tls = Some(acceptor);
                    printer.note_now("unstick: read the certificates anew".to_owned());
                }
                Err(failure) => printer.error_now(&format!(
                    "the certificates are not read anew, and the old ones stay: {failure}"
                )),
            },
            signal = signals.any() => match signal {
                Ending::Hangup if tls.is_some() && !signals.terminal_has_gone() => reload.start(),
                Ending::Hangup if signals.ignores_hangup() => {}
                _ => break,
            },
        }
    }

    drop(listener);
    places.stop();
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(CLOSE_TIMEOUT, ended) => {}
        _ = signals.next() => {}
    }
    drop(connections);
    let had_prompt = typed.end();
    if rules.show != Show::Json {
        let messages = count(rules.messages.load(Ordering::Relaxed), "message");
        let files = match rules.files.load(Ordering::Relaxed) {
            0 => String::new(),
            files => format!(" and {}", count(files, "file")),
        };
        let peers = count(number - 1, "peer");
        // A new line after the `^C` that the terminal shows, or after a prompt.
        let lines = [String::new(), format!("stopped after {messages}{files} from {peers}")];
        let lines = lines.into_iter().skip(usize::from(!io::stderr().is_terminal()));
        for line in lines {
            // What shows lines above a prompt shows none any more.
            if had_prompt { note(&line) } else { printer.note_now(line) }
        }
    }
    drop(printer);
    match timeout(PRINT_TIMEOUT, outcome).await {
        Ok(Ok(Err(failure))) => Err(failure),
        _ if clean => Ok(()),
        _ => Err(Failure::Reported),
    }
}

/// Serves a connection in the room for its framing. Returns whether it ended without an error.
async fn serve<W: Exchange>(
    rules: &Rules,
    framing: Framing<W>,
    log: Log<'_>,
    halves: Halves,
    stop: Stop,
) -> bool {
    let wire: AnyWire = (*framing.format()).into();
    match (wire, &rules.inbox) {
        (AnyWire::V1, _) => conversation::serve(rules, framing.limit(), log, halves, stop).await,
        (AnyWire::Format(format), Some(_)) => {
            let framing = Framing::new(format).with_limit(framing.limit());
            dialect::serve(rules, framing, log, halves, stop).await
        }
        _ => plain::serve(rules, framing, log, halves, stop).await,
    }
}

/// Returns whether the error is about a connection that its peer aborted before it was accepted:
/// the next accept may succeed.
fn is_about_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
