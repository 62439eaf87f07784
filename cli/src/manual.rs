//! `unstick completions` and `unstick man`: what a shell and `man` need, made from the options.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::Cli;
use crate::term::output::Failure;

const NAME: &str = "unstick";

/// Print the completions for a shell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  unstick completions bash > ~/.local/share/bash-completion/completions/unstick
  unstick completions zsh > ~/.zfunc/_unstick          a folder of $fpath
  unstick completions fish > ~/.config/fish/completions/unstick.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Print a manual page, or write all of them to a folder.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  unstick man listen | man -l -
  unstick man --out ~/.local/share/man/man1            for `man unstick-listen`")]
pub(crate) struct ManArgs {
    /// The command whose page is printed [default: that of unstick, with the list of commands].
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Option<String>,
    /// Write a page for each command to this folder, which is made if it is missing.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    print(&script)
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    // A page for `help` would say nothing that `--help` does not.
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    if let Some(dir) = &args.out {
        let failed = |error| Failure::job(format!("cannot write to {}: {error}", dir.display()));
        fs::create_dir_all(dir).map_err(failed)?;
        for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
            let (name, page) = page(command)?;
            fs::write(dir.join(name), page).map_err(failed)?;
        }
        return Ok(());
    }
    let command = match &args.command {
        None => &cli,
        Some(name) => cli.find_subcommand(name).ok_or_else(|| {
            let names: Vec<_> = cli.get_subcommands().map(clap::Command::get_name).collect();
            Failure::Usage(format!("there is no {name:?}; the commands are {}", names.join(", ")))
        })?,
    };
    print(&page(command)?.1)
}

/// Returns the file name and the content of a command's page.
fn page(command: &clap::Command) -> Result<(String, Vec<u8>), Failure> {
    let man = Man::new(command.clone()).manual("unstick");
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| Failure::job(format!("cannot make a page: {error}")))?;
    Ok((man.get_filename(), page))
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::from_stdout(&error))
}
