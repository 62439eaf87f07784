//! Measures framings whose frames end at a mark or have a check, in alternating rounds: `marks
//! [--quick] [PART]...`, with parts only cases that have one of them in their names.
//!
//! It prints a table for each case: nanoseconds a frame, of CPU time, and how many times as long as `unstick` a
//! contender takes, which is over 1 where `unstick` is faster: the median of the ratios in all rounds,
//! and the lowest and the highest. It writes `target/unstick-bench/marks.json`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Instant;

use unstick_bench::decode::Timed;
use unstick_bench::marks::{self, Case};
use unstick_bench::results::{Results, median, ratio};
use unstick_bench::rounds::{Plan, cpu_passes, measure_quietly};

fn main() {
    let mut plan = Plan::ordinary();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => plan = Plan { only: plan.only, ..Plan::quick() },
            part if !part.starts_with('-') => plan.only.push(part.to_owned()),
            other => panic!("unknown option {other}"),
        }
    }
    let (start, mut results) = (Instant::now(), Results::new(plan.quick));
    for case in marks::cases().filter(|case| plan.wants(&case.name)) {
        let stream = case.stream();
        let contenders = case
            .contenders()
            .iter()
            .map(|contender| {
                let mut pass = case.start(contender, &stream);
                cpu_passes(contender.name, move || pass(&mut Timed))
            })
            .collect();
        measure_quietly(&mut results, &plan, plan.turn, &case.name, stream.count(), contenders);
        print(&results, &case);
    }
    results.seconds = start.elapsed().as_secs();
    println!("measured in {} s", results.seconds);
    results.save("marks", !plan.only.is_empty());
}

/// Prints a table of the case.
fn print(results: &Results, case: &Case) {
    let rounds = |name| &results.get(&case.name, name).unwrap().wall[..];
    let ours: Vec<&str> = ["unstick", "unstick-framebuf"]
        .into_iter()
        .filter(|name| case.contenders().iter().any(|contender| contender.name == *name))
        .collect();
    print!("{:30} {:>12}", case.name, "ns a frame");
    for name in &ours {
        print!("  {:>24}", format!("over {name}"));
    }
    println!();
    for contender in case.contenders() {
        let walls = rounds(contender.name);
        print!("  {:28} {:12.1}", contender.name, median(walls));
        for name in &ours {
            let [middle, least, most] = ratio(walls, rounds(name)).unwrap();
            print!("  {:>24}", format!("{middle:.2} ({least:.2} to {most:.2})"));
        }
        println!();
    }
}
