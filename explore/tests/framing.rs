//! Explores every framing; with an argument `large`, further.

use std::time::Instant;

use unstick::LengthField;
use unstick_explore::framing::{Depth, explore, plain, version_1};
use unstick_testing::families::{Case, Subjected, every_case};
use unstick_testing::formats;
use unstick_testing::oracle::families::Family;

/// What was explored so far.
struct Total {
    depth: Depth,
    steps: u64,
}

fn add<W: Subjected + 'static, M: Family>(case: &Case<W, M>, total: &mut Total) {
    let steps = explore(case, total.depth);
    println!("{:<32}{steps:>12}", case.name);
    total.steps += steps;
}

fn main() {
    let is_large = std::env::args().any(|arg| arg == "large");
    let depth = if is_large { Depth { steps: 7, after: 2 } } else { Depth { steps: 5, after: 1 } };
    let begin = Instant::now();
    let mut total = Total { depth, steps: 0 };
    println!("{:<32}{:>12}", "framing", "steps");
    add(&version_1(), &mut total);
    add(&plain("a byte", &unstick::U8), &mut total);
    add(&plain("two bytes", &unstick::U16Be), &mut total);
    add(&plain("four bytes", &unstick::U32Le), &mut total);
    add(&plain("a varint", &unstick::Varint), &mut total);
    for layout in formats::some_layouts() {
        add(&plain("a field", &LengthField::new(layout).unwrap()), &mut total);
    }
    every_case!(add, &mut total);
    println!("{:<32}{:>12}  {:.1} s", "all", total.steps, begin.elapsed().as_secs_f64());
}
