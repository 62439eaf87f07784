use std::time::Instant;
use stateright::{Checker, HasDiscoveries, Model};
use unstick_explore::bounds::{LARGE, SMALL};
use unstick_explore::steps::Explore;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for bound in SMALL.iter().chain(LARGE) {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == bound.name) { continue; }
        let begin = Instant::now();
        let checker = Explore::new(*bound).checker().finish_when(HasDiscoveries::Any).threads(2).spawn_bfs().join();
        println!("{:12} {:>9} states, depth {:>3}, {:.1} s", bound.name, checker.unique_state_count(), checker.max_depth(), begin.elapsed().as_secs_f64());
        for (name, path) in checker.discoveries() {
            println!("BROKEN {name}:");
            for (state, step) in path.into_vec() {
                println!("  {step:?}");
                if step.is_none() { println!("{:#?}", state.lines); println!("{:?}", state.disks);  for s in &state.sides { println!("{:?}", (&s.jobs, &s.incoming, &s.asked, &s.owes, s.is_up, s.has_closed, s.saw_close)); } }
            }
        }
    }
}
