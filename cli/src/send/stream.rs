//! `send` over TCP and Unix sockets: connects, and prints what comes back.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use unstick::Framing;

use crate::addr::{Addr, Halves};
use crate::exchange::Exchange;
use crate::send::args::Args;
use crate::send::conversation::Sender;
use crate::send::job::{Answers, Job};
use crate::send::progress::Bar;
use crate::send::shape::Shape;
use crate::send::source;
use crate::send::tally::Tally;
use crate::send::{plain, prompt};
use crate::signals::Signals;
use crate::term::output::{Failure, note};
use crate::term::printer::Printer;
use crate::tls::{Seen, SendTls, sniff};

/// After an error, how long the prompt has to print the answers that it was given.
const PRINT_WAIT: Duration = Duration::from_millis(100);

/// After a signal, how long to wait for a reader of standard output.
const PRINT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn send<W: Exchange>(
    args: Args,
    framing: Framing<W>,
    shape: Shape,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let reads_stdin = args.items.is_empty();
    let split = args.split();
    let given = args.items.items(args.name.as_deref())?;
    let (incoming, outgoing) = tokio::select! {
        connected = connect(&args.addr, &args.tls, args.timeout) => connected?,
        signal = signals.next() => return Err(signal.into()),
    };
    let speaks_tls = Arc::new(AtomicBool::new(false));
    let halves = if args.tls.is_given() {
        (incoming, outgoing)
    } else {
        let speaks_tls = Arc::clone(&speaks_tls);
        let tell = move |seen| speaks_tls.store(seen == Seen::Alert, Ordering::Relaxed);
        (sniff(incoming, tell), outgoing)
    };

    let mut terminal = None;
    let on_terminal =
        reads_stdin && !args.json && { io::stdin().is_terminal() && io::stdout().is_terminal() };
    let bar = Bar::new(!on_terminal);
    let (items, (printer, mut outcome)) = if on_terminal {
        note(&format!(
            "connected to {}; each line is a message, /file PATH sends a file, /quit ends",
            args.addr
        ));
        let prompt = prompt::start()?;
        terminal = Some(prompt.terminal);
        (prompt.items, (prompt.printer, prompt.outcome))
    } else if reads_stdin {
        (
            source::standard_input(split, args.framing.max_line_len(framing.limit())),
            Printer::start(),
        )
    } else {
        (source::given(given), bar.printer())
    };

    let began = Instant::now();
    let job = Job {
        addr: args.addr,
        shape,
        limit: framing.limit(),
        peer_limit: args.framing.limit,
        expect_reply: args.expect_reply,
        preserve: args.preserve,
        timeout: args.timeout,
    };
    let answers = Answers::new(printer.clone(), args.json, terminal.is_some());
    let mut tally = Tally::default();
    let mut printed = false;
    let result = {
        let converse = async {
            if job.shape.format.is_v1() {
                Sender::new(&job, halves, answers, &mut tally, &bar).run(items, &mut signals).await
            } else {
                tokio::select! {
                    result = plain::converse(&job, framing, halves, answers, items) => result,
                    signal = signals.next() => Err(signal.into()),
                }
            }
        };
        tokio::select! {
            result = converse => result,
            // Without a reader of standard output the job goes on.
            failure = failed(&mut outcome) => {
                printed = true;
                Err(failure)
            }
        }
    };

    // Nothing else that it may have said counts.
    let result = if speaks_tls.load(Ordering::Relaxed) && !printed {
        Err(Failure::job(
            "the peer speaks TLS, it answered with an alert of it; give --tls-ca or --tls-pin",
        ))
    } else {
        result
    };
    if let Some(terminal) = terminal {
        if result.is_err() {
            sleep(PRINT_WAIT).await;
        }
        if terminal.restore() {
            note("");
        }
    }
    bar.end();
    if printed {
        return result;
    }
    let lines = match args.json {
        true => tally.json_lines(),
        false => tally.table(began.elapsed(), io::stdout().is_terminal()),
    };
    for line in lines {
        printer.line(line).await;
    }
    drop(printer);
    let result = result.and_then(|()| tally.check_all_stored());
    // All clones of the printer are dropped; the answers that are still queued are printed before
    // the program ends, unless a signal ends it and nobody reads them.
    let written = match result {
        Err(Failure::Signal(_)) => timeout(PRINT_TIMEOUT, outcome).await.ok(),
        _ => tokio::select! {
            written = outcome => Some(written),
            signal = signals.next() => return Err(signal.into()),
        },
    };
    match (result, written) {
        (Ok(()), Some(Ok(Err(failure)))) => Err(failure),
        (result, _) => result,
    }
}

/// Waits for a failure of the printer.
pub(super) async fn failed(outcome: &mut oneshot::Receiver<Result<(), Failure>>) -> Failure {
    match outcome.await {
        Ok(Err(failure)) => failure,
        // Only once all clones are dropped.
        _ => std::future::pending().await,
    }
}

async fn connect(addr: &Addr, tls: &SendTls, within: Duration) -> Result<Halves, Failure> {
    let tls = tls.connector(addr)?;
    let is_connected = Cell::new(false);
    let connect = async {
        let (incoming, outgoing) = addr.connect().await?;
        is_connected.set(true);
        match &tls {
            Some(tls) => tls.connect(incoming, outgoing).await,
            None => Ok((incoming, outgoing)),
        }
    };
    timeout(within, connect).await.unwrap_or_else(|_late| {
        Err(Failure::job(if is_connected.get() {
            format!("no TLS with this peer: it said nothing for {within:?}; does it speak TLS?")
        } else {
            format!(
                "cannot connect to {addr}: no answer within {within:?}; are host and port right?"
            )
        }))
    })
}
