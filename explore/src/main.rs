//! `explore NAME…`: explores the bounds with these names. `small`, `large`: those of the group.

use std::process::ExitCode;

use unstick_explore::bounds::{CONTROL, LARGE, SMALL};
use unstick_explore::run;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let groups = [("small", SMALL), ("large", LARGE), ("control", CONTROL)];
    let chosen: Vec<_> = groups
        .iter()
        .flat_map(|(group, bounds)| bounds.iter().map(move |bound| (group, bound)))
        .filter(|(group, bound)| wanted.iter().any(|name| name == *group || name == bound.name))
        .map(|(_, bound)| bound)
        .collect();
    if chosen.is_empty() {
        eprintln!("give names of bounds, or small, large or control");
        return ExitCode::from(2);
    }
    if run::run(&chosen, false) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
