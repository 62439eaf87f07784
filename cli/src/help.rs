//! The headings of the options in the help, and the list of formats.

use std::ffi::{OsStr, OsString};
use std::marker::PhantomData;
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _};

use crate::Cli;
use crate::format_list::FORMATS;
use crate::format_list::Taken::{Inspected, WithHeader};

pub(crate) const FRAMING: &str = "Framing";
pub(crate) const ANSWERS: &str = "Answers";
pub(crate) const FILES: &str = "Files";
pub(crate) const CONNECTIONS: &str = "Connections";
pub(crate) const DATAGRAMS: &str = "Datagrams";
pub(crate) const TIMES: &str = "Time limits";
pub(crate) const TLS: &str = "TLS";
pub(crate) const OUTPUT: &str = "Output";
pub(crate) const INPUT: &str = "Input";
pub(crate) const ERRORS: &str = "After an error";

/// Lists the formats of `--format`, a line each: all of `inspect`, or those that are exchanged.
pub(crate) fn formats(of_inspect: bool) -> String {
    let mut list = String::new();
    for (heading, formats) in FORMATS {
        list.push_str(&format!("{heading}:\n"));
        for (name, taken, what) in formats {
            let note = match taken {
                Inspected if !of_inspect => continue,
                WithHeader if !of_inspect => "; send and encode need --header",
                _ => "",
            };
            list.push_str(&format!("  {name:<20} {what}{note}\n"));
        }
    }
    list
}

/// Parses `--format`; `list` ends the command with the [`formats`].
#[derive(Clone)]
pub(crate) struct FormatParser<T> {
    of_inspect: bool,
    parsed: PhantomData<fn() -> T>,
}

impl<T> FormatParser<T> {
    pub(crate) const EXCHANGED: Self = Self { of_inspect: false, parsed: PhantomData };
    pub(crate) const INSPECTED: Self = Self { of_inspect: true, parsed: PhantomData };
}

impl<T: FromStr<Err = String> + Clone + Send + Sync + 'static> TypedValueParser
    for FormatParser<T>
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        if value == "list" {
            // Neither an error nor a help text that clap would format: `listed` takes it out.
            let mut list = clap::Error::new(ErrorKind::DisplayHelp);
            list.insert(ContextKind::Custom, ContextValue::String(formats(self.of_inspect)));
            return Err(list);
        }
        T::from_str.parse_ref(command, arg, value)
    }

    /// For completions.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let all = FORMATS.into_iter().flat_map(|(_, formats)| formats);
        let taken = all.filter(|(_, taken, _)| self.of_inspect || *taken != Inspected);
        // Those with parameters have to be typed.
        let names =
            taken.flat_map(|(name, ..)| name.split(", ")).filter(|name| !name.contains(':'));
        Some(Box::new(names.chain(["list"]).map(PossibleValue::new)))
    }
}

/// Parses a value with `parse`; the names are for completions, and other values are taken, too.
#[derive(Clone)]
pub(crate) struct Hinted<P> {
    pub(crate) parse: P,
    pub(crate) names: fn() -> Vec<&'static str>,
}

impl<P: TypedValueParser> TypedValueParser for Hinted<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        self.parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.names)().into_iter().map(PossibleValue::new)))
    }
}

/// Returns the list of formats, if that is what an "error" of the arguments asks for.
pub(crate) fn listed(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::Custom) {
        Some(ContextValue::String(list)) if error.kind() == ErrorKind::DisplayHelp => Some(list),
        _ => None,
    }
}

/// Adds a tip to an error of `listen`: where the command of --exec stands, and which side has --tls-pin.
pub(crate) fn with_tip(error: clap::Error, args: &[OsString]) -> clap::Error {
    let Some(words) = args.get(2..).filter(|_| args.get(1).is_some_and(|arg| arg == "listen"))
    else {
        return error;
    };
    let tip = if words.iter().all(|word| word != "--")
        && let Some(exec) = words.iter().position(|word| word == "--exec" || word == "-x")
        && let Some(program) = words.get(exec + 1).map(|word| word.to_string_lossy())
        && !program.starts_with('-')
        && error.kind() != ErrorKind::DisplayHelp
    {
        format!("the command stands after --: --exec -- {program}")
    } else if error.kind() == ErrorKind::UnknownArgument
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(arg)) if arg == "--tls-pin")
    {
        "--tls-pin is for senders; a listener takes one sender with --tls-ca".to_owned()
    } else {
        return error;
    };
    // The tips that clap has are left out.
    let mut with_tip = clap::Error::new(error.kind()).with_cmd(&Cli::command());
    for (kind, value) in error.context().filter(|(kind, _)| *kind != ContextKind::SuggestedArg) {
        with_tip.insert(kind, value.clone());
    }
    with_tip.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    with_tip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{self, AnyFormat};
    use crate::inspect::Shape;
    use crate::wire::{AnyWire, named};

    /// Returns the names in a list.
    fn names(of_inspect: bool) -> Vec<String> {
        let list = formats(of_inspect);
        let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
        let names = lines.map(|line| line.split("  ").next().unwrap_or_default());
        let names = names.flat_map(|names| names.split(", "));
        names.map(|name| name.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn every_format_is_listed_and_every_listed_one_is_parsed() {
        let (exchanged, inspected) = (names(false), names(true));
        for (name, wire) in named() {
            let is_inspected = matches!(wire, AnyWire::Format(format) if !format.is_plain());
            assert!(inspected.iter().any(|listed| listed == name), "{name}");
            assert_eq!(exchanged.iter().any(|listed| listed == name), !is_inspected, "{name}");
        }
        for name in &inspected {
            let example =
                name.replace("HEX", "0d0a").replace("KEYS", "width=2").replace('N', "188");
            assert!(example.parse::<Shape>().is_ok(), "{name}");
            assert!(!exchanged.contains(name) || example.parse::<AnyWire>().is_ok(), "{name}");
        }
        for parameters in ["field:", "delim:", "fixed:"] {
            assert!(exchanged.iter().any(|name| name.starts_with(parameters)), "{parameters}");
        }
        // Those that `send` refuses without a header.
        let list = formats(false);
        for (name, wire) in named() {
            let AnyWire::Checked(checked) = wire else { continue };
            let line = list.lines().find(|line| line.trim_start().split(' ').next() == Some(name));
            assert_eq!(line.unwrap().contains("--header"), !checked.is_plain(), "{name}");
        }
        assert!(format::NAMED.iter().any(|(_, format)| *format == AnyFormat::V1(unstick::V1)));
    }

    #[test]
    fn every_option_of_a_command_with_many_has_a_heading() {
        let cli = Cli::command();
        for name in ["listen", "send", "inspect", "encode", "decode"] {
            let command = cli.find_subcommand(name).unwrap();
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let id = arg.get_id();
                assert!(arg.get_help_heading().is_some(), "{name}: {id}");
                let help = arg.get_help().unwrap().to_string();
                assert!(help.lines().count() == 1 && help.len() <= 100, "{name}: {id}: {help}");
            }
        }
    }
}
