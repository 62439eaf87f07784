//! The examples do what they say.
#![cfg(all(feature = "tokio", feature = "udp"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::env;
use std::process::Command;

/// What an example prints. Cargo builds it with the tests, unless it is asked for this one alone.
fn run(name: &str) -> String {
    let tests = env::current_exe().unwrap();
    let built = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    let mut command = Command::new(&built);
    if !built.exists() {
        command = Command::new(env::var_os("CARGO").unwrap());
        command.args(["run", "-q", "--all-features", "--example", name]);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{name}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn udp_readings() {
    let printed = run("udp_readings");
    assert!(printed.starts_with("RecvStats { datagrams: "), "{printed}");
    for sensor in 0..3 {
        let line = format!("sensor {sensor}: reading 1000 is the newest\n");
        assert!(printed.contains(&line), "{printed}");
    }
}

#[test]
fn echo() {
    assert!(run("echo").contains("\"粘包\" came back as \"粘包\"\n"));
}

#[test]
fn existing_format() {
    assert!(!run("existing_format").is_empty());
}
