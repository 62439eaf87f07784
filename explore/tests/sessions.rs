//! Explores the small bounds; with an argument `large`, the large ones too.

use std::process::ExitCode;
use std::sync::Arc;

use unstick_explore::bounds::{CONTROL, LARGE, SMALL};
use unstick_explore::laws::Law;
use unstick_explore::run::{explore, run};

fn main() -> ExitCode {
    let is_large = std::env::args().any(|arg| arg == "large");
    let bounds: Vec<_> = SMALL.iter().chain(LARGE.iter().filter(|_| is_large)).collect();
    let mut holds = run(&bounds, true);
    // A side that does not read while it cannot write: the deadlock is found.
    for bound in CONTROL {
        let outcome = explore(bound, &Arc::default(), false);
        let broken: Vec<_> = outcome.broken.iter().map(|(law, _)| *law).collect();
        let is_found = broken == [Law::NoDeadlock];
        println!(
            "{:<10}{} in {}",
            bound.name,
            if is_found { "breaks no-deadlock" } else { "is not found" },
            bound.about
        );
        holds &= is_found;
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
