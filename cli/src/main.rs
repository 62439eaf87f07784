//! The `unstick` command: moves messages over TCP, UDP and Unix sockets, and looks into captured
//! byte streams.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)
)]

mod addr;
mod advice;
mod bytes;
mod checked;
mod conform;
mod content;
mod demo;
mod describe;
mod dialect;
mod dump;
mod format;
mod frames;
mod goodbye;
mod hex;
mod inbox;
mod inspect;
mod lane;
mod listen;
mod listener;
mod log_limit;
mod mark;
mod meter;
mod output;
mod pcap;
mod preview;
mod printer;
mod progress;
mod prompt;
mod rate;
mod recipe;
mod relay;
mod send;
mod serve;
mod source;
mod tally;
mod tls;
mod transfer;
mod udp;
mod uploads;
mod v1;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Failure;

/// Messages over byte streams: try them out, send and receive them, look into a capture.
#[derive(Parser)]
#[command(name = "unstick", version, about, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 all went well, 1 the job failed, 2 bad usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Listen(listen::Args),
    Send(send::Args),
    Inspect(inspect::Args),
    Conform(conform::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Listen(args) => listen::run(args),
        Command::Send(args) => send::run(args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Conform(args) => conform::run(&args),
    };
    match result {
        // The reader of standard output closed it, as `head` does: no error.
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::from(1),
        Err(Failure::Job(message)) => {
            output::print_error(&message);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            output::print_error(&message);
            ExitCode::from(2)
        }
    }
}
