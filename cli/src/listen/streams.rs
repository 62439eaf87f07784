//! `listen` over TCP and Unix sockets: accepts connections, and serves each in a task.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{interval, sleep, timeout};
use unstick::{Framing, Kind};

use crate::addr::{BoxedReader, Halves};
use crate::listen::args::Args;
use crate::listen::budget::Budget;
use crate::listen::listener::{Accepted, Listener};
use crate::listen::log::{self, Log};
use crate::listen::rules::{MAX_SAID, Rules, Show, Stop};
use crate::listen::typed::{Line, Typed, can_be_typed};
use crate::listen::{conversation, dialect, plain};
use crate::signals::{Ending, Signals};
use crate::term::bytes::count;
use crate::term::log_limit::{LogLimit, hidden};
use crate::term::output::{Failure, note};
use crate::term::printer::Printer;
use crate::tls::{self, Reload, TlsAcceptor};
use crate::wire::{AnyWire, Exchange};

/// The pause after a failed accept: a missing resource, such as a file descriptor, does not become
/// free at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The default time in which a peer has to send its first frame. One of version 1 says hello at once; in
/// other formats somebody may type the first message.
const FIRST_FRAME: Duration = Duration::from_secs(60);
const FIRST_PLAIN_FRAME: Duration = Duration::from_secs(600);
/// The interval at which abandoned parts are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The time limit for connections to close when the program ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit for printing the last lines when the program ends.
const PRINT_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn listen<W: Exchange>(
    mut args: Args,
    framing: Framing<W>,
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
        others: (args.broadcast || has_prompt).then(|| broadcast::channel(MAX_SAID).0),
        broadcasts: args.broadcast,
        inbox,
        min_rate: args.inbox.min_rate,
        messages: AtomicU64::new(0),
        files: AtomicU64::new(0),
    });
    let acceptor = Acceptor {
        listener,
        tls,
        reload,
        max_connections: args.max_connections.max(1),
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
    printer: &Printer,
    peer: &str,
) -> BoxedReader {
    if wire.is_v1() {
        return incoming;
    }
    let (printer, peer) = (printer.clone(), peer.to_owned());
    tls::sniff(incoming, move |seen| {
        if seen == tls::Seen::Hello {
            printer.error_now(&format!(
                "{peer}: it begins with TLS; give --tls-cert or --tls-self-signed, or leave TLS out \
                 on its side"
            ));
        }
    })
}

/// The number of connections by address.
#[derive(Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Places {
    /// Takes a place for a connection from this address; `None` if it has as many as it may have. It is
    /// free again once it is dropped.
    fn take(&self, ip: Option<IpAddr>, max: usize) -> Option<Place> {
        if let Some(ip) = ip {
            let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = taken.entry(ip).or_default();
            if *taken >= max {
                return None;
            }
            *taken += 1;
        }
        Some(Place { ip, places: Arc::clone(&self.0) })
    }
}

/// A place that a connection has.
struct Place {
    ip: Option<IpAddr>,
    places: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(ip) = self.ip else { return };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = places.get_mut(&ip) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&ip);
            }
        }
    }
}

/// The listening side: socket, TLS, and the maximum numbers of connections.
struct Acceptor {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    reload: Reload,
    max_connections: usize,
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
        max_per_address,
        once,
        mut typed,
    } = acceptor;
    // The number of connections that are served at once, from now on.
    let (mut max_served, mut clean) = (max_connections, true);
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut number = 1;
    let mut failing = false;
    let places = Places::default();
    let wire: AnyWire = (*framing.format()).into();
    let mut log = LogLimit::new();
    let mut sweeps = interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            _ = sweeps.tick() => if let Some(inbox) = rules.inbox.clone() {
                spawn_blocking(move || inbox.remove_old_parts(SystemTime::now()));
            },
            accepted = listener.accept(number), if connections.len() < max_served => {
                match accepted {
                    Ok(Accepted { halves: (incoming, outgoing), peer, ip }) => {
                        failing = false;
                        number += 1;
                        if once {
                            max_served = 0;
                        }
                        let Some(place) = places.take(ip, max_per_address) else {
                            if let Some(more) = log.admit(Instant::now()) {
                                printer.error_now(&format!(
                                    "{peer}: closed, its address has {max_per_address} connections \
                                     already (--max-connections-per-address){}", hidden(more)
                                ));
                            }
                            continue;
                        };
                        let (rules, print) = (Arc::clone(&rules), printer.clone());
                        let (tls, stopped) = (tls.clone(), stopped.clone());
                        connections.spawn(async move {
                            let _place = place;
                            let halves = match tls {
                                Some(tls) => tls::accept(&tls, incoming, outgoing, rules.first_timeout.min(rules.frame_timeout)).await,
                                None => Ok((without_tls(incoming, &wire, &print, &peer), outgoing)),
                            };
                            match halves {
                                Ok(halves) => {
                                    let log = Log::new(&rules, print, peer);
                                    serve(&rules, framing, log, halves, stopped).await
                                }
                                Err(refused) => {
                                    print.error(&format!("{peer}: {}", refused.why)).await;
                                    refused.end().await;
                                    false
                                }
                            }
                        });
                        if connections.len() == max_served
                            && let Some(more) = log.admit(Instant::now())
                        {
                            printer.error_now(&format!(
                                "all {max_connections} places are taken, the next peer has to wait; \
                                 raise --max-connections, or set --idle-timeout{}", hidden(more)
                            ));
                        }
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
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
            Some(ended) = connections.join_next() => if once {
                clean = ended.unwrap_or(false);
                break;
            },
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
    let _ = stop.send(true);
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
        (AnyWire::Format(format), Some(inbox)) => {
            let framing = Framing::new(format).with_limit(framing.limit());
            dialect::serve(rules, framing, Arc::clone(inbox), log, halves, stop).await
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
