//! Runs the checker over bounds, and prints what it explored.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::bounds::Bound;
use crate::laws::Law;
use crate::reached::{Reached, Seen};
use crate::steps::{Explore, Step};
use crate::world::World;

/// What a run has found.
#[derive(Debug)]
pub struct Outcome {
    pub states: usize,
    pub depth: usize,
    pub seconds: f64,
    /// The broken laws, each with a shortest way to it.
    pub broken: Vec<(Law, String)>,
    /// Whether a second search saw the same number of states, and no step leads back.
    pub ends: Option<bool>,
}

/// Explores all states within the bound, or until a law is broken.
///
/// With `twice`, a second search without the checker counts the states, and finds out whether every
/// run ends: then a law about the states in which nothing is due is one about every run.
pub fn explore(bound: &Bound, reached: &Arc<Reached>, twice: bool) -> Outcome {
    let begin = Instant::now();
    let model = Explore { bound: *bound, reached: Arc::clone(reached) };
    // One thread: the ways are the shortest, and the depth is the same in every run.
    let checker = model.clone().checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let discoveries: HashMap<&str, Path<World, Step>> = checker.discoveries();
    let broken = |law: &Law| Some((*law, told(discoveries.get(law.name())?.clone())));
    let states = checker.unique_state_count();
    let broken: Vec<_> = Law::ALL.iter().filter_map(broken).collect();
    let twice = twice && broken.is_empty();
    Outcome {
        states,
        depth: checker.max_depth(),
        ends: twice.then(|| acyclic(&model) == Some(states)),
        seconds: begin.elapsed().as_secs_f64(),
        broken,
    }
}

/// Returns the number of states, found depth first; `None` if a step leads back to an earlier state of
/// the same run.
fn acyclic(model: &Explore) -> Option<usize> {
    let key = |world: &World| {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        hasher.finish()
    };
    // Each state that was reached, with whether all that follows it was explored.
    let mut reached: HashMap<u64, bool> = HashMap::new();
    let mut run: Vec<(u64, Vec<World>)> = Vec::new();
    for world in model.init_states() {
        reached.insert(key(&world), false);
        run.push((key(&world), model.next_states(&world)));
    }
    while let Some((last, next)) = run.last_mut() {
        let Some(world) = next.pop() else {
            reached.insert(*last, true);
            run.pop();
            continue;
        };
        let key = key(&world);
        match reached.get(&key) {
            Some(true) => {}
            Some(false) => return None,
            None => {
                reached.insert(key, false);
                run.push((key, model.next_states(&world)));
            }
        }
    }
    Some(reached.len())
}

/// Returns the steps of a counterexample, and the state in which it ends.
fn told(path: Path<World, Step>) -> String {
    let mut text = String::new();
    for (world, step) in path.into_vec() {
        if let Some(step) = step {
            _ = writeln!(text, "  {step:?}");
            continue;
        }
        for (me, side) in world.sides.iter().enumerate() {
            _ = writeln!(text, "  side {me}: up {}, {:?}", side.is_up, side.session.error());
            _ = writeln!(text, "    jobs {:?}", side.jobs);
            _ = writeln!(text, "    incoming {:?}", side.incoming);
            _ = writeln!(text, "    waits for {:?}, owes {:?}", side.asked, side.owes);
            _ = writeln!(text, "    writes {:?}", world.lines[me].items);
            _ = writeln!(text, "    disk {:?}", world.disks[me]);
        }
    }
    text
}

/// Explores the bounds, as many at a time as there are processors, and prints a line about each.
/// Returns whether all laws hold, every run ends, and everything that must be reached was.
pub fn run(bounds: &[&Bound], is_complete: bool) -> bool {
    let (begin, reached) = (Instant::now(), Arc::default());
    let (next, holds, states) = (AtomicUsize::new(0), Mutex::new(true), AtomicUsize::new(0));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{:<10}{:>12}{:>8}{:>9}", "bound", "states", "depth", "seconds");
    std::thread::scope(|scope| {
        for _ in 0..workers.min(bounds.len()) {
            scope.spawn(|| {
                while let Some(bound) = bounds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = explore(bound, &reached, is_complete);
                    states.fetch_add(outcome.states, Ordering::Relaxed);
                    let mut holds = holds.lock().unwrap_or_else(|poison| poison.into_inner());
                    *holds &= print(bound, &outcome);
                }
            });
        }
    });
    let states = states.into_inner();
    println!("{:<10}{states:>12}{:>17.1}", "all", begin.elapsed().as_secs_f64());
    let mut holds = holds.into_inner().unwrap_or(false);
    for (seen, about) in Seen::ALL {
        if is_complete && !reached.has(*seen) {
            holds = false;
            println!("in no state: {about}");
        }
    }
    holds
}

fn print(bound: &Bound, outcome: &Outcome) -> bool {
    let Outcome { states, depth, seconds, broken, ends } = outcome;
    println!("{:<10}{states:>12}{depth:>8}{seconds:>9.1}  {}", bound.name, bound.about);
    for (law, path) in broken {
        println!("\n{} does not hold in {}:\n{path}", law.name(), bound.name);
    }
    if *ends == Some(false) {
        println!("\na run in {} need not end, or the searches differ", bound.name);
    }
    broken.is_empty() && *ends != Some(false)
}
