//! Measuring in rounds: in each round every contender has its turn, and every round begins with
//! another one, so that whatever disturbs the machine disturbs all of them alike.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::results::{Results, Rounds};

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often each contender has its turn.
    pub rounds: usize,
    /// How long a turn takes at least, where one pass is short.
    pub turn: Duration,
    /// How long a turn over a real connection takes, about.
    pub tcp_turn: Duration,
    /// Whether it is a short run.
    pub quick: bool,
    /// Only cases with one of these in their names; all, if there are none.
    pub only: Vec<String>,
}

impl Plan {
    /// The ordinary one.
    #[must_use]
    pub fn ordinary() -> Self {
        let (turn, tcp_turn) = (Duration::from_millis(4), Duration::from_millis(150));
        Self { rounds: 9, turn, tcp_turn, quick: false, only: Vec::new() }
    }

    /// One that only shows that everything works.
    #[must_use]
    pub fn quick() -> Self {
        let (turn, tcp_turn) = (Duration::from_micros(500), Duration::from_millis(8));
        Self { rounds: 7, turn, tcp_turn, quick: true, only: Vec::new() }
    }

    /// Whether a case is asked for.
    #[must_use]
    pub fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.contains(part))
    }
}

/// One turn of a contender.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// How long it took.
    pub wall: Duration,
    /// How much user CPU time it took, in all threads, where that is another number.
    pub user: Option<Duration>,
}

/// A contender: its name, and a function that handles so many units and says what it took.
pub type Contender<'a> = (String, Box<dyn FnMut(usize) -> Turn + 'a>);

/// A contender whose unit is a call of `pass`.
pub fn passes<'a>(name: &str, mut pass: impl FnMut() + 'a) -> Contender<'a> {
    let run = move |count| {
        let start = Instant::now();
        for _ in 0..count {
            pass();
        }
        Turn { wall: start.elapsed(), user: None }
    };
    (name.into(), Box::new(run))
}

/// The same, by the CPU time of the thread in place of the wall time: time in which other programs ran
/// does not count.
pub fn cpu_passes<'a>(name: &str, mut pass: impl FnMut() + 'a) -> Contender<'a> {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let run = move |count| {
        let start = now();
        for _ in 0..count {
            pass();
        }
        Turn { wall: now() - start, user: None }
    };
    (name.into(), Box::new(run))
}

/// Measures a case: so many units that a turn takes `turn`, `rounds` times each. A unit is
/// `frames` frames, and what is kept is nanoseconds a frame.
pub fn measure(
    results: &mut Results,
    plan: &Plan,
    turn: Duration,
    case: &str,
    frames: usize,
    contenders: Vec<Contender<'_>>,
) {
    measure_quietly(results, plan, turn, case, frames, contenders);
    println!("{case}");
    for (name, rounds) in &results.cases[case] {
        let (wall, user) =
            (crate::results::median(&rounds.wall), crate::results::median(&rounds.user));
        let user = if user.is_nan() { String::new() } else { format!("  {user:12.2} user") };
        println!("  {name:32} {wall:14.2} ns{user}");
    }
}

/// Does the same as [`measure`], and prints nothing.
pub fn measure_quietly(
    results: &mut Results,
    plan: &Plan,
    turn: Duration,
    case: &str,
    frames: usize,
    mut contenders: Vec<Contender<'_>>,
) {
    let counts: Vec<usize> =
        contenders.iter_mut().map(|(_, run)| calibrate(run.as_mut(), turn)).collect();
    let mut kept: BTreeMap<String, Rounds> = BTreeMap::new();
    let n = contenders.len();
    for round in 0..plan.rounds {
        for i in (0..n).map(|i| (i + round) % n) {
            let (name, run) = &mut contenders[i];
            let taken = run(counts[i]);
            let per_frame = |time: Duration| time.as_secs_f64() * 1e9 / (counts[i] * frames) as f64;
            let rounds = kept.entry(name.clone()).or_default();
            rounds.wall.push(per_frame(taken.wall));
            rounds.user.extend(taken.user.map(per_frame));
        }
    }
    results.cases.entry(case.into()).or_default().extend(kept);
}

/// How many units a turn has.
fn calibrate(run: &mut dyn FnMut(usize) -> Turn, turn: Duration) -> usize {
    let mut count = 1;
    loop {
        let taken = run(count).wall;
        if taken >= turn / 4 {
            let scale = turn.as_secs_f64() / taken.as_secs_f64();
            return scaled(count, scale).max(1);
        }
        count = if taken < turn / 64 {
            count * 16
        } else {
            scaled(count, turn.as_secs_f64() / taken.as_secs_f64() / 2.0).max(count + 1)
        };
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a positive number of units
fn scaled(count: usize, scale: f64) -> usize {
    (count as f64 * scale) as usize
}
