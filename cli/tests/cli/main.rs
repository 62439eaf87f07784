//! The command, run as a program.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod addresses;
mod attributes;
mod bounds;
mod captures;
mod checked;
mod closed_output;
mod conform;
mod demo;
mod dialect;
mod exec;
mod files;
mod help;
mod inbox;
mod inspect;
mod inspect_captures;
mod inspect_dumps;
mod kill;
mod listen;
mod many;
mod marks;
mod peers;
mod pipe;
mod prompt;
mod python_files;
mod send;
mod signals;
mod sources;
mod storage;
mod support;
mod terminal;
mod tls;
mod tls_advice;
mod tls_pin;
mod tool;
mod udp;
