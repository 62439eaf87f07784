//! The prompt of `unstick send`, on a pseudo-terminal that a script drives.

use std::process::Command;

use crate::support::*;

#[test]
fn the_prompt_sends_lines_and_shows_answers() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/prompt.py");
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").args([script, env!("CARGO_BIN_EXE_unstick")]);
    let done = finish(&mut command, b"");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
}
