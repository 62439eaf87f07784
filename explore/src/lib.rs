//! Explores every state that two sessions can reach, within bounds.
//!
//! The sessions are those of `unstick-session`. Around each is an application as the session's
//! documentation describes it, a disk, and a network that delivers in order and may break.
//! `docs/explored.md` says what is proven by it.

#![forbid(unsafe_code)]

pub mod bounds;
pub mod laws;
pub mod plain;
pub mod reached;
pub mod run;
pub mod steps;
pub mod turn;
pub mod world;
