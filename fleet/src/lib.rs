//! A deterministic simulation of one listener with many clients.
//!
//! The simulator is single-threaded and driven by events, with virtual time in microseconds. Each
//! side of each connection is a real [`Session`](unstick_session::session::Session) and a real
//! [`SharedReadEngine`](unstick::engine::SharedReadEngine), with the bytes that the two have written
//! between them. Network, disk, clock and applications are simulated. All chance comes from one
//! generator with a seed, so a seed repeats a run exactly.
//!
//! An idle connection has no event but its next heartbeat, and no memory but its state.
#![forbid(unsafe_code)]

pub mod config;
pub mod plot;
pub mod report;
pub mod stats;
pub mod world;

mod client;
mod contents;
mod hostile;
mod listener;
mod net;
mod queue;
mod side;
