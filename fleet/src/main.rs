//! `fleet [--seed S] [--short] [--year] FOLDER`: simulates, and writes `report.md` and `report.svg` there.
//! Wall times are printed only.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use unstick_fleet::config::{Config, DAY, HOUR};
use unstick_fleet::plot;
use unstick_fleet::report::{self, Runs, number};
use unstick_fleet::world::{Outcome, World};

const USAGE: &str = "usage: fleet [--seed S] [--short] [--year] FOLDER";

struct Options {
    seed: u64,
    is_short: bool,
    is_year: bool,
    folder: PathBuf,
}

fn options() -> Option<Options> {
    let (mut seed, mut is_short, mut is_year, mut folder) = (1, false, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => seed = arguments.next()?.parse().ok()?,
            "--short" => is_short = true,
            "--year" => is_year = true,
            _ if folder.is_none() => folder = Some(PathBuf::from(argument)),
            _ => return None,
        }
    }
    Some(Options { seed, is_short, is_year, folder: folder? })
}

fn run(what: &str, config: Config) -> Outcome {
    let begin = Instant::now();
    let outcome = World::run(config);
    println!(
        "{what}, {} clients: {} events in {:.1} s",
        number(outcome.config.clients),
        number(outcome.events),
        begin.elapsed().as_secs_f64(),
    );
    outcome
}

fn write(folder: &Path, name: &str, text: &str) -> bool {
    let path = folder.join(name);
    std::fs::write(&path, text)
        .inspect_err(|error| eprintln!("{}: {error}", path.display()))
        .is_ok()
}

fn is_right(run: &Outcome) -> bool {
    let wrong = run.lost + run.ledger.doubled + run.files_missing + run.ledger.files_wrong;
    if wrong > 0 {
        eprintln!("{} clients: something is lost, doubled or wrong", run.config.clients);
    }
    wrong == 0
}

fn main() -> ExitCode {
    let Some(Options { seed, is_short, is_year, folder }) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if is_year {
        let clients = if is_short { 1_000 } else { 100_000 };
        let year = [run("a year", Config::year(seed, clients))];
        let is_written =
            write(&folder, "year.md", &report::year(seed, &year)) && is_right(&year[0]);
        return if is_written { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let (sizes, until): (&[u32], _) =
        if is_short { (&[100, 1_000], 6 * HOUR) } else { (&[1_000, 10_000, 100_000], 2 * DAY) };
    let growth: Vec<_> = sizes
        .iter()
        .map(|clients| run("traffic", Config::traffic(seed, *clients, until)))
        .collect();
    let largest = sizes.iter().copied().max().unwrap_or(1);
    let queues = [128, 4_096, 65_536].iter().flat_map(|queue| [(*queue, false), (*queue, true)]);
    let restarts = queues
        .map(|(queue, jitter)| run("restart", Config::restart(seed, largest, queue, jitter)))
        .collect();
    let batches: Vec<_> = [1, 4, 16]
        .iter()
        .map(|in_flight| run("batches", Config::batches(seed, sizes[0], *in_flight)))
        .collect();
    let runs = Runs { seed, growth, restarts, batches };
    let is_written = write(&folder, "report.md", &report::report(&runs))
        && write(&folder, "report.svg", &plot::draw(&runs.growth));
    // Each run counts, also where clients were kept from coming back.
    let all = runs.growth.iter().chain(&runs.batches);
    let is_right = all.filter(|run| !is_right(run)).count() == 0;
    if is_written && is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
