//! The `unstick` command: moves messages over TCP, UDP and Unix sockets, and looks into captured
//! byte streams.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)
)]

mod addr;
mod advice;
mod checked;
mod conform;
mod connection_errors;
mod datagrams;
mod demo;
mod exchange;
mod format;
mod format_list;
mod framing_args;
mod help;
mod inbox;
mod inspect;
mod listen;
mod manual;
mod mark;
mod pcap;
mod pipe;
mod recipe;
mod send;
mod shown;
mod signals;
mod term;
mod tls;
mod v1;
mod wire;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::term::output::Failure;

const EXIT_CODES: &str = "Exit codes: 0 all went well, 1 the job failed, 2 bad usage, and 128 + the number \
                          of a signal that ended it, such as 130 for Ctrl-C. `listen` runs until it is \
                          interrupted, and that is 0.";

/// Messages over byte streams: try them out, send and receive them, look into a capture.
#[derive(Parser)]
#[command(name = "unstick", version, about, max_term_width = 100)]
#[command(after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Listen(listen::args::Args),
    Send(send::args::Args),
    Inspect(inspect::Args),
    Encode(pipe::EncodeArgs),
    Decode(pipe::DecodeArgs),
    Conform(conform::Args),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| match help::listed(&error) {
        Some(list) => {
            // Without a reader there is nothing else to do.
            let _ = io::stdout().write_all(list.as_bytes());
            std::process::exit(0);
        }
        None => help::with_tip(error, &std::env::args_os().collect::<Vec<_>>()).exit(),
    });
    let result = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Listen(args) => listen::run(args),
        Command::Send(args) => send::run(args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Encode(args) => pipe::encode(args),
        Command::Decode(args) => pipe::decode(&args),
        Command::Conform(args) => conform::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    };
    match result {
        Err(Failure::Signal(number)) => ExitCode::from(128 + number),
        // The reader of standard output closed it, as `head` does: no error.
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::from(1),
        Err(Failure::Job(message)) => {
            term::output::print_error(&message);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            term::output::print_error(&message);
            ExitCode::from(2)
        }
    }
}
