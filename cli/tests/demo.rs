//! `unstick demo`: what it counts is right, and it fails when something is wrong.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::*;

#[test]
fn all_messages_arrive_intact() {
    let done = run(&["demo", "--messages", "300", "--seed", "7"], b"");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let last = done.stdout.lines().last().unwrap();
    assert_eq!(last, "total: 600 messages sent, 600 arrived, 600 intact");
    assert!(done.stdout.contains("the decoder delivered  what the bytes were"), "{done:?}");
}

#[test]
fn json_is_one_object_a_line() {
    let done = run(&["demo", "--messages", "40", "--json"], b"");
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["intact"], 40);
    assert!(events[1]["cut_inside"].as_u64().unwrap() > 0);
    assert_eq!(events[2]["intact"], 80);
}

#[test]
fn damage_shows() {
    for seed in ["1", "2", "3", "4"] {
        let done = run(&["demo", "--messages", "50", "--seed", seed, "--damage"], b"");
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains("did not arrive intact"), "{done:?}");
    }
}
