//! The report: everything in it repeats for a seed, so no wall time is in it.

use std::fmt::Write as _;

use crate::config::{
    CONNECT_TIMEOUT, Config, DAY, FIRST_TIMEOUT, FRAME_TIMEOUT, HOUR, MINUTE, Micros, SECOND,
};
use crate::hostile::Trick;
use crate::stats::share;
use crate::world::Outcome;

/// Returns a number with commas between thousands.
pub fn number(n: impl TryInto<u128>) -> String {
    let digits = n.try_into().map_or_else(|_| "?".into(), |n: u128| n.to_string());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a time in a unit that fits.
pub fn time(micros: Micros) -> String {
    match micros {
        0..SECOND => format!("{} ms", micros / 1_000),
        SECOND..MINUTE => format!("{}.{} s", micros / SECOND, micros % SECOND / 100_000),
        MINUTE..HOUR => format!("{} min {} s", micros / MINUTE, micros % MINUTE / SECOND),
        HOUR..DAY => format!("{} h {} min", micros / HOUR, micros % HOUR / MINUTE),
        _ => format!("{} d {} h", micros / DAY, micros % DAY / HOUR),
    }
}

fn three(values: &[Micros]) -> String {
    [50, 99, 100].map(|percent| time(share(values, percent))).join(", ")
}

fn ratio(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// How much longer each upload took than its link needs at best, in hundredths.
pub fn slowdowns(outcome: &Outcome) -> Vec<u64> {
    outcome.stats.uploads.iter().map(|upload| upload.took * 100 / upload.at_best).collect()
}

type Row = (&'static str, fn(&Outcome) -> String);

const ROWS: &[Row] = &[
    ("simulated", |run| time(run.ended_at)),
    ("events", |run| number(run.events)),
    ("pings answered", |run| number(run.stats.pongs)),
    ("messages made", |run| number(run.made)),
    ("**messages lost**", |run| number(run.lost)),
    ("**messages doubled**", |run| number(run.ledger.doubled)),
    ("messages that came again, and were recognised", |run| number(run.ledger.recognised)),
    ("files made", |run| number(run.files_made)),
    ("**files missing**", |run| number(run.files_missing)),
    ("**files wrong**", |run| number(run.ledger.files_wrong)),
    ("files that went on from a part", |run| number(run.stats.resumed)),
    ("cuts, crashes of clients", |run| {
        format!("{}, {}", number(run.stats.cuts), number(run.stats.crashes))
    }),
    ("connections accepted", |run| number(run.stats.accepted)),
    ("connections at once, at most", |run| number(run.stats.open_max)),
    ("half-open at once, at most", |run| number(run.stats.half_open_max)),
    ("half-open for, at most", |run| time(run.stats.half_open_time_max)),
    ("half-open ended: client came back, idle", |run| {
        format!("{}, {}", number(run.stats.replaced), number(run.stats.idle_ended))
    }),
    ("accept queue, at most", |run| number(run.stats.queue_max)),
    ("statuses owed to one peer, at most", |run| number(run.stats.owed_max)),
    ("state of a connection, bytes", |run| number(run.state)),
    ("of it the `Session`, bytes", |run| number(run.session)),
    ("heap of a connection at the end, mean bytes", |run| {
        number(run.heap / run.connections.max(1))
    }),
    ("heap of a connection, at most, bytes", |run| number(run.stats.heap_max)),
    ("all connections at the end, KiB", |run| {
        number((run.state * run.connections + run.heap) / 1_024)
    }),
    ("connected again after the first restart: median, 99 %, last", |run| {
        run.stats.recovery.first().map_or_else(String::new, |times| three(times))
    }),
    ("the same, after the last restart", |run| {
        run.stats.recovery.last().map_or_else(String::new, |times| three(times))
    }),
    ("upload, unless its client crashed: median, 99 %, slowest", |run| {
        three(&run.stats.uploads.iter().map(|upload| upload.took).collect::<Vec<_>>())
    }),
    ("upload, in times of what its link needs: median, 99 %, slowest", |run| {
        [50, 99, 100].map(|percent| ratio(share(&slowdowns(run), percent))).join(", ")
    }),
    ("trace", |run| format!("`{:016x}`", run.trace)),
];

/// The runs of a report.
pub struct Runs {
    pub seed: u64,
    pub growth: Vec<Outcome>,
    pub restarts: Vec<Outcome>,
    pub batches: Vec<Outcome>,
}

pub fn report(runs: &Runs) -> String {
    let mut out = String::new();
    let seed = runs.seed;
    let _ = write!(
        out,
        "# A listener with many clients, simulated\n\n\
         `fleet/run --seed {seed}` has made this report, and makes it again, byte for byte.\n\
         [`docs/running-for-many-clients.md`](../docs/running-for-many-clients.md) says what it teaches.\n\n\
         ![Growth with the number of clients](report.svg)\n\n"
    );
    growth(&mut out, &runs.growth);
    batches(&mut out, &runs.batches);
    restarts(&mut out, &runs.restarts);
    if let Some(last) = runs.growth.last() {
        hostile(&mut out, last);
    }
    out
}

/// The report of a year.
pub fn year(seed: u64, runs: &[Outcome]) -> String {
    let mut out = format!(
        "# A year of clients that are mostly idle\n\n\
         `fleet/run --year --seed {seed}` has made this report, and makes it again, byte for byte.\n\
         [`docs/running-for-many-clients.md`](../docs/running-for-many-clients.md) says what it teaches.\n\
         There were no hostile peers.\n\n"
    );
    growth(&mut out, runs);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The table of a run, or of several side by side.
pub fn growth(out: &mut String, runs: &[Outcome]) {
    let Some(Config { heartbeat, text_every, file_every, cut_every, crash_every, .. }) =
        runs.first().map(|run| &run.config)
    else {
        return;
    };
    let _ = write!(
        out,
        "## Traffic\n\n\
         Each client sends a ping every {}, a message every {}, and a file of 1 to 64 KiB every {}.\n\
         Each connection is cut every {}, and after 0.5 % of what a client sends; each client crashes every\n\
         {} (these are means). The listener is killed twice, and is away for 30 seconds each time.\n\n",
        time(*heartbeat),
        time(*text_every),
        time(*file_every),
        time(*cut_every),
        time(*crash_every),
    );
    let _ = write!(out, "| clients |");
    for run in runs {
        let _ = write!(out, " {} |", number(run.config.clients));
    }
    let _ = writeln!(out, "\n| --- |{}", " --- |".repeat(runs.len()));
    for (name, value) in ROWS {
        let _ = write!(out, "| {name} |");
        for run in runs {
            let _ = write!(out, " {} |", value(run));
        }
        out.push('\n');
    }
    out.push('\n');
}

fn batches(out: &mut String, runs: &[Outcome]) {
    let Some(config) = runs.first().map(|run| &run.config) else { return };
    let _ = write!(
        out,
        "## Several files at once\n\n\
         Each of {} clients makes {} files at a time, every {} in the mean, for {}. It sends the next file while as many as\n\
         the first column says have no final status. Of what it sends, {}.{} % is followed by a cut. The listener's disk\n\
         syncs one file after the other, in {} each.\n\n\
         | without a final status, at most | files made | missing | wrong | went on from a part | statuses owed to one peer, at most | heap of a connection, at most | from first offer to stored: median, 99 %, slowest | trace |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        number(config.clients),
        config.files_each,
        time(config.file_every),
        time(config.until),
        config.cut_busy / 10,
        config.cut_busy % 10,
        time(config.sync_cost),
    );
    for run in runs {
        let Outcome { config, stats, .. } = run;
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} B | {} | `{:016x}` |",
            config.in_flight,
            number(run.files_made),
            number(run.files_missing),
            number(run.ledger.files_wrong),
            number(stats.resumed),
            number(stats.owed_max),
            number(stats.heap_max),
            three(&stats.uploads.iter().map(|upload| upload.took).collect::<Vec<_>>()),
            run.trace,
        );
    }
    out.push('\n');
}

fn restarts(out: &mut String, runs: &[Outcome]) {
    let Some(rate) = runs.first().map(|run| run.config.accept_rate) else { return };
    let _ = write!(
        out,
        "## A restart\n\n\
         The listener is killed, is away for 30 seconds, and then accepts {} connections a second. Each\n\
         client waits 1, 2, 4, … up to 64 seconds before its next try, exactly, or with jitter: at random between\n\
         0 and twice as long. It gives a try up after {}.\n\n\
         | clients | jitter | accept queue | tries | refused | dropped by the full queue | given up | accepted too late | queue, at most | back: median, 99 %, last | not back after 30 min |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        number(rate),
        time(CONNECT_TIMEOUT),
    );
    for run in runs {
        let Outcome { config, stats, .. } = run;
        let back = stats.recovery.first().map_or(&[][..], |times| times);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            number(config.clients),
            if config.jitter { "yes" } else { "no" },
            number(config.backlog),
            number(stats.tries),
            number(stats.refused),
            number(stats.dropped),
            number(stats.given_up),
            number(stats.accepted_late),
            number(stats.queue_max),
            three(back),
            number(config.clients as usize - back.len()),
        );
    }
    out.push('\n');
}

fn hostile(out: &mut String, run: &Outcome) {
    let _ = write!(
        out,
        "## Hostile peers\n\n\
         Beside {} clients there were {} of each kind. Each came back a minute after its connection had ended. A\n\
         frame may take {}, and a peer that has not said who it is may be idle for {}.\n\n\
         | what it does | connections | held: mean, at most | ended with | received | sent | heap of one, at most |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        number(run.config.clients),
        run.config.hostile_each,
        time(FRAME_TIMEOUT),
        time(FIRST_TIMEOUT),
    );
    for trick in Trick::ALL {
        let cost = &run.stats.hostile[trick as usize];
        let codes = cost.ended.iter().filter(|(_, count)| **count * 20 > cost.connections);
        let codes: Vec<_> = codes.map(|(code, _)| code.to_string()).collect();
        let ended =
            if codes.is_empty() { "the listener's restarts".into() } else { codes.join(", ") };
        let _ = writeln!(
            out,
            "| {} | {} | {}, {} | {ended} | {} B | {} B | {} B |",
            trick.about(),
            number(cost.connections),
            time(cost.held / cost.connections.max(1)),
            time(cost.held_max),
            number(cost.received),
            number(cost.sent),
            number(cost.heap_max),
        );
    }
}
