//! `unstick completions` and `unstick man`: what a shell and `man` need, made from the options.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap::builder::StringValueParser;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::Cli;
use crate::help::Hinted;
use crate::term::output::Failure;

const NAME: &str = "unstick";
/// What `clap_mangen` begins roff with.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
/// For completions.
const COMMANDS: [&str; 9] =
    ["demo", "listen", "send", "inspect", "encode", "decode", "conform", "completions", "man"];

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
    #[arg(value_name = "COMMAND", conflicts_with = "out", hide_possible_values = true,
          value_parser = Hinted { parse: StringValueParser::new(), names: || COMMANDS.to_vec() })]
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
            let (name, page) = page(&cli, command)?;
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
    print(&page(&cli, command)?.1)
}

/// Returns the file name and the content of a command's page.
fn page(cli: &clap::Command, command: &clap::Command) -> Result<(String, Vec<u8>), Failure> {
    let man = Man::new(command.clone()).manual("unstick");
    let mut page = Vec::new();
    render(cli, command, &man, &mut page)
        .map_err(|error| Failure::job(format!("cannot make a page: {error}")))?;
    // Each section has it in front.
    let page = String::from_utf8_lossy(&page);
    let page = format!("{PREAMBLE}{}", page.replace(PREAMBLE, ""));
    Ok((man.get_filename(), page.into_bytes()))
}

fn render(
    cli: &clap::Command,
    command: &clap::Command,
    man: &Man,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    match after.strip_prefix("Examples:\n").or(after.strip_prefix("Example: ")) {
        Some(examples) => {
            writeln!(out, ".SH EXAMPLES\n.nf")?;
            for line in examples.lines() {
                // The indentation is that of the section.
                writeln!(out, "{}", escaped(line.strip_prefix("  ").unwrap_or(line)))?;
            }
            writeln!(out, ".fi")?;
        }
        None if after.is_empty() => {}
        None => man.render_extra_section(out)?,
    }
    let own = page_name(command);
    let others = std::iter::once(cli).chain(cli.get_subcommands()).map(page_name);
    let others: Vec<_> = others.filter(|name| *name != own).collect();
    if command.get_version().is_some() {
        man.render_version_section(out)?;
    }
    writeln!(out, ".SH \"SEE ALSO\"")?;
    for (i, name) in others.iter().enumerate() {
        let comma = if i + 1 < others.len() { "," } else { "" };
        writeln!(out, ".BR {} (1){comma}", escaped(name))?;
    }
    Ok(())
}

/// Returns the name under which `man` finds a command's page.
fn page_name(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// Returns a line as roff shows it unchanged.
fn escaped(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '\\' => text.push_str("\\e"),
            '-' => text.push_str("\\-"),
            '\'' => text.push_str("\\(aq"),
            '`' => text.push_str("\\(ga"),
            '~' => text.push_str("\\(ti"),
            '^' => text.push_str("\\(ha"),
            c => text.push(c),
        }
    }
    // A dot at the beginning would be a macro.
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Failure::from_stdout(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_completed() {
        let cli = Cli::command();
        assert!(cli.get_subcommands().map(clap::Command::get_name).eq(COMMANDS));
    }

    #[test]
    fn lines_of_examples_are_shown_as_they_are() {
        assert_eq!(escaped(".a '-b' \\n ~/`^"), r"\&.a \(aq\-b\(aq \en \(ti/\(ga\(ha");
    }
}
