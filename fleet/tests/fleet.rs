//! A run repeats for its seed, loses nothing, and a planted fault is found.

use unstick_fleet::config::{Config, DAY, Fault, HOUR};
use unstick_fleet::report::{Runs, report, year};
use unstick_fleet::world::{Outcome, World};
use unstick_fleet::{plot, stats};
use unstick_session::message::Code;

/// Two days of clients whose connections are often cut while they send.
fn rough(seed: u64, fault: Fault) -> Config {
    Config {
        cut_busy: 150,
        crash_every: DAY,
        file_every: 6 * HOUR,
        fault,
        drain: 10 * HOUR,
        ..Config::traffic(seed, 200, 2 * DAY)
    }
}

fn runs(seed: u64) -> Runs {
    let restart = Config::restart(seed, 200, 16, false);
    Runs {
        seed,
        growth: vec![World::run(rough(seed, Fault::None))],
        restarts: vec![World::run(restart)],
        batches: vec![World::run(Config::batches(seed, 20, 4))],
    }
}

/// Lost, doubled, missing and wrong.
fn wrong(run: &Outcome) -> [u64; 4] {
    [run.lost, run.ledger.doubled, run.files_missing, run.ledger.files_wrong]
}

#[test]
fn a_seed_repeats_its_report_and_another_has_another_trace() {
    let [one, same, other] = [7, 7, 8].map(runs);
    assert_eq!(report(&one), report(&same));
    assert_eq!(plot::draw(&one.growth), plot::draw(&same.growth));
    assert_eq!(one.growth[0].trace, same.growth[0].trace);
    assert_ne!(one.growth[0].trace, other.growth[0].trace);
    assert_ne!(report(&one), report(&other));
    let years = [7, 7].map(|seed| year(seed, &[World::run(Config::year(seed, 20))]));
    assert_eq!(years[0], years[1]);
}

#[test]
fn nothing_is_lost_doubled_or_wrong() {
    for seed in 1..=4 {
        let run = World::run(rough(seed, Fault::None));
        assert_eq!(wrong(&run), [0; 4], "seed {seed}");
        assert_eq!(run.stats.recovery.len(), 2, "seed {seed}");
        // All of this has happened, so it was no obstacle.
        let happened = [
            run.made,
            run.files_made,
            run.ledger.recognised,
            run.stats.resumed,
            run.stats.cuts,
            run.stats.crashes,
            run.stats.refused,
            run.stats.replaced,
            run.stats.idle_ended,
        ];
        assert!(happened.iter().all(|count| *count > 0), "seed {seed}: {happened:?}");
    }
}

/// A client that makes 16 files at a time sends as many as it may before the first is stored.
#[test]
fn several_files_in_flight_are_stored_once_and_in_order() {
    for in_flight in [1, 3, 16] {
        let run = World::run(Config { cut_busy: 150, ..Config::batches(1, 100, in_flight) });
        assert_eq!(wrong(&run), [0; 4], "{in_flight} in flight");
        assert!(run.stats.resumed > 0 && run.stats.cuts > 0);
        assert!(run.stats.owed_max <= in_flight);
        assert_eq!(run.stats.owed_max > 1, in_flight > 1, "{in_flight} in flight");
    }
}

/// `fleet/report.md` says that it repeats: its smallest run is repeated here.
#[test]
fn the_report_in_the_repository_is_that_of_this_code() {
    let report = include_str!("../report.md");
    let traces = report.lines().find(|line| line.starts_with("| trace |")).unwrap();
    let run = World::run(Config::traffic(1, 1_000, 2 * DAY));
    assert_eq!(traces.split('`').nth(1).unwrap(), format!("{:016x}", run.trace));
}

#[test]
fn a_client_that_does_not_send_again_loses_messages() {
    let run = World::run(rough(1, Fault::NoResend));
    assert!(run.lost > 0);
    assert_eq!(run.ledger.doubled, 0);
}

#[test]
fn a_listener_that_does_not_recognise_a_message_doubles_it() {
    let run = World::run(rough(1, Fault::NoDedupe));
    assert!(run.ledger.doubled > 0);
    assert_eq!(run.lost, 0);
}

#[test]
fn a_listener_that_does_not_compare_digests_stores_wrong_files() {
    let run = World::run(rough(1, Fault::NoDigest));
    assert!(run.ledger.files_wrong > 0);
    assert_eq!(run.lost, 0);
}

#[test]
fn each_hostile_peer_is_ended_by_the_rule_for_it_and_needs_little_memory() {
    let run = World::run(Config { restarts: Vec::new(), ..rough(1, Fault::None) });
    let expected: [&[Code]; 8] = [
        &[Code::IDLE_TIMEOUT],
        &[Code::FRAME_TIMEOUT],
        &[Code::FRAME_TIMEOUT],
        // Pings, and files that are refused, are allowed.
        &[],
        &[Code::UNKNOWN_KIND],
        // A first byte may be right at random.
        &[Code::BAD_MAGIC, Code::UNSUPPORTED_VERSION, Code::INVALID_KIND, Code::BAD_CHECK],
        &[],
        &[Code::NO_ERROR],
    ];
    for (cost, expected) in run.stats.hostile.iter().zip(expected) {
        let codes: Vec<_> = cost.ended.keys().copied().collect();
        assert!(codes.iter().all(|code| expected.contains(code)), "{codes:?}");
        assert_eq!(codes.is_empty(), expected.is_empty());
        assert!(cost.connections > 0 && cost.heap_max < 16_384, "{cost:?}");
    }
}

#[test]
fn all_clients_are_back_after_a_restart_also_with_a_short_queue() {
    for (backlog, jitter) in [(16, true), (16, false), (4_096, true), (4_096, false)] {
        let run = World::run(Config::restart(1, 1_000, backlog, jitter));
        assert_eq!(run.stats.recovery[0].len(), 1_000);
        assert!(run.stats.queue_max <= backlog);
        // With exact waits all come at once, and a short queue is full.
        assert_eq!(run.stats.dropped > 0, backlog == 16 && !jitter);
        assert!(stats::share(&run.stats.recovery[0], 100) > 0);
    }
}
