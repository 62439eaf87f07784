//! `send` over TCP and Unix sockets: connects, and prints what comes back.

use std::io::{self, IsTerminal};
use std::time::Duration;

use tokio::time::{sleep, timeout};
use unstick::Framing;

use crate::addr::{Addr, Halves};
use crate::send::args::Args;
use crate::send::conversation::Sender;
use crate::send::job::{Answers, Job};
use crate::send::progress::Bar;
use crate::send::shape::Shape;
use crate::send::source;
use crate::send::tally::Tally;
use crate::send::{plain, prompt};
use crate::term::output::{Failure, note};
use crate::term::printer::Printer;
use crate::tls::TlsArgs;
use crate::wire::Exchange;

/// After an error, how long the prompt has to print the answers that it was given.
const PRINT_WAIT: Duration = Duration::from_millis(100);

pub(super) async fn send<W: Exchange>(
    args: Args,
    framing: Framing<W>,
    shape: Shape,
) -> Result<(), Failure> {
    let reads_stdin = args.items.is_empty();
    let split = args.split();
    let given = args.items.items(args.name.as_deref())?;
    let halves = connect(&args.addr, &args.tls, args.timeout).await?;

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

    let job = Job {
        addr: args.addr,
        shape,
        limit: framing.limit(),
        peer_limit: args.framing.limit,
        expect_reply: args.expect_reply,
        timeout: args.timeout,
    };
    let answers = Answers::new(printer.clone(), args.json, terminal.is_some());
    let mut tally = Tally::default();
    let mut printed = false;
    let result = {
        let converse = async {
            if job.shape.format.is_v1() {
                Sender::new(&job, halves, answers, &mut tally, &bar).run(items).await
            } else {
                plain::converse(&job, framing, halves, answers, items).await
            }
        };
        tokio::select! {
            result = converse => result,
            written = &mut outcome => {
                printed = true;
                Err(match written {
                    Ok(Err(failure)) => failure,
                    _ => Failure::OutputClosed,
                })
            }
        }
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
    for line in tally.lines(args.json) {
        printer.line(line).await;
    }
    drop(printer);
    let result = result.and_then(|()| tally.check_all_stored());
    // All clones of the printer are dropped; the answers that are still queued are printed before
    // the program ends.
    if let (Ok(()), Ok(Err(failure))) = (&result, outcome.await) {
        return Err(failure);
    }
    result
}

async fn connect(addr: &Addr, tls: &TlsArgs, within: Duration) -> Result<Halves, Failure> {
    let tls = tls.connector(addr)?;
    let connect = async {
        let (incoming, outgoing) = addr.connect().await?;
        match &tls {
            Some(tls) => tls.connect(incoming, outgoing).await,
            None => Ok((incoming, outgoing)),
        }
    };
    timeout(within, connect).await.unwrap_or_else(|_late| {
        Err(Failure::job(format!(
            "cannot connect to {addr}: no answer within {within:?}; are host and port right?"
        )))
    })
}
