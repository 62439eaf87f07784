//! Senders and receivers that are killed at random moments. For a longer run:
//! `python3 cli/tests/kill.py target/release/unstick 100`.

use std::process::Command;

use crate::support::*;

#[test]
fn a_file_arrives_whole_after_kills_of_either_side() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kill.py");
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let done = finish(command.args([script, env!("CARGO_BIN_EXE_unstick"), "6", "8"]), b"");
    assert!(done.stdout.starts_with("6 points, "), "{done:?}");
    assert!(done.code == 0 && done.stdout.ends_with(" kills, 0 wrong\n"), "{done:?}");
}
