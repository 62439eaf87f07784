//! The options for the frames.

use unstick::{DEFAULT_LIMIT, Framing, Wire};

use crate::format::AnyFormat;
use crate::help::{self, FormatParser};
use crate::term::bytes::parse_bytes;
use crate::term::output::Failure;
use crate::wire::{AnyWire, named};

/// The options for the frames' format and limit.
#[derive(clap::Args)]
pub(crate) struct FramingArgs {
    /// The format of the frames; `--format list` shows all.
    #[arg(short, long, help_heading = help::FRAMING, default_value = "v1", hide_possible_values = true,
          value_parser = FormatParser::<AnyWire>::EXCHANGED)]
    pub(crate) format: AnyWire,
    /// Max payload bytes in a frame, such as 65536 or 64KiB [default: 1MiB].
    ///
    /// Frames of a protocol that exists have this limit, too, whatever the protocol allows. With
    /// `fixed:N` it is N.
    #[arg(short, long, help_heading = help::FRAMING, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) limit: Option<u64>,
}

impl FramingArgs {
    /// Returns an error if frames of the format cannot be sent and answered.
    pub(crate) fn check_exchange(&self) -> Result<(), Failure> {
        let named = named().find(|(_, wire)| *wire == self.format);
        match (named, self.format.format()) {
            (Some((name, _)), Some(format)) if !format.is_plain() => Err(Failure::Usage(format!(
                "the headers of {name} say more than a length, and what, only a program that \
                 speaks it can know; {name} is for inspect"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the framing with the given limit and this format.
    pub(crate) fn apply<W: Wire>(&self, wire: W) -> Framing<W> {
        self.format.limited(wire, self.limit)
    }

    /// Returns the maximum length of a line of standard input that is a message, in bytes.
    pub(crate) fn max_line_len(&self, limit: u64) -> u64 {
        match self.format.format() {
            // What is wrong with a line of another length, the encoder says.
            Some(AnyFormat::Fixed(_)) => limit.max(DEFAULT_LIMIT),
            _ => limit,
        }
    }
}
