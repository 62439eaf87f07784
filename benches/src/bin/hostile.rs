//! A million malformed datagrams beside those of a well-behaved peer: `hostile [--quick]` counts what
//! becomes of all of them, and writes `target/unstick-bench/hostile.json`. It fails if one is not
//! accounted for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{env, fs};

use unstick_bench::hostile;
use unstick_bench::results::target;

fn main() {
    let bad = match env::args().nth(1).as_deref() {
        None => 1_000_000,
        Some("--quick") => 50_000,
        Some(_) => panic!("usage: hostile [--quick]"),
    };
    let counted = hostile::run(bad);
    println!("{counted:?}");
    let folder = target().join("unstick-bench");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hostile.json"), serde_json::to_string(&counted).unwrap()).unwrap();
    assert_eq!(counted.unaccounted(), 0, "every datagram is accounted for");
}
