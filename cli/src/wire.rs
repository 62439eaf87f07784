//! What `--format` selects: any of the library's framings, with a header, a check or a mark.

use std::str::FromStr;

use unstick::{Format, Framing, Hdlc, Kind, Marked, Wire};

use crate::checked::{self, AnyChecked, AnyCheckedWire};
use crate::format::{self, AnyFormat, AnyMeta, FIELD_HELP};
use crate::mark::{self, AnyMark};

/// Any of the library's framings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnyWire {
    /// A header announces the payload's length, or all payloads have the same.
    Format(AnyFormat),
    /// A mark ends a frame.
    Mark(AnyMark),
    /// The same, with a check before it.
    Hdlc,
    /// A header announces the payload's length, and a check follows the payload.
    Checked(AnyChecked),
}

/// Runs `$body` with `$wire` as the library's type for an [`AnyWire`].
macro_rules! with_wire {
    ($any:expr, |$wire:ident| $body:expr) => {
        match $any {
            $crate::wire::AnyWire::Format($wire) => $body,
            $crate::wire::AnyWire::Mark(mark) => {
                let $wire = unstick::Marked::new(mark);
                $body
            }
            $crate::wire::AnyWire::Hdlc => {
                let $wire = unstick::Hdlc::new();
                $body
            }
            // The length of the check is a part of the library's type.
            $crate::wire::AnyWire::Checked(checked) => match checked.check_len() {
                1 => {
                    let $wire = checked.wire::<1>();
                    $body
                }
                2 => {
                    let $wire = checked.wire::<2>();
                    $body
                }
                _ => {
                    let $wire = checked.wire::<4>();
                    $body
                }
            },
        }
    };
}
pub(crate) use with_wire;

impl AnyWire {
    /// Version 1 of the project's own protocol.
    pub(crate) const V1: Self = Self::Format(AnyFormat::V1(unstick::V1));

    /// Returns the format if nothing follows a payload: a frame begins with a header, or all have the
    /// same length.
    pub(crate) fn format(&self) -> Option<AnyFormat> {
        match self {
            Self::Format(format) => Some(*format),
            Self::Mark(_) | Self::Hdlc | Self::Checked(_) => None,
        }
    }

    /// Returns whether this is version 1 of the project's own protocol, with ping, close and files.
    pub(crate) fn is_v1(&self) -> bool {
        self.format().is_some_and(|format| format.is_v1())
    }

    /// Returns whether the frames have a kind.
    pub(crate) fn has_kinds(&self) -> bool {
        self.is_v1() || matches!(self, Self::Checked(checked) if checked.is_v2())
    }

    /// Returns whether frames end with a mark.
    pub(crate) fn has_marks(&self) -> bool {
        matches!(self, Self::Mark(_) | Self::Hdlc)
    }

    /// Returns whether frames can be files: each says how long it is, and nothing else follows.
    pub(crate) fn has_files(&self) -> bool {
        self.format().is_some_and(|format| !format.is_fixed())
    }

    /// Returns the protocol's own limit for a frame, if it sets one.
    pub(crate) fn own_limit(&self) -> Option<u64> {
        match self {
            Self::Format(format) => format.own_limit(),
            Self::Checked(checked) => checked.own_limit(),
            Self::Mark(_) | Self::Hdlc => None,
        }
    }

    /// Returns the framing with the given limit; without one, with the default limit.
    pub(crate) fn limited<W: Wire>(&self, wire: W, limit: Option<u64>) -> Framing<W> {
        let framing = Framing::new(wire);
        match (limit, self.format()) {
            (Some(limit), _) => framing.with_limit(limit),
            // The user has given the length of the frames.
            (None, Some(AnyFormat::Fixed(fixed))) => framing.with_limit(fixed.max_payload_len()),
            _ => framing,
        }
    }

    /// Returns the framing for `inspect`: without a limit it is the protocol's own.
    pub(crate) fn inspected<W: Wire>(&self, wire: W, limit: Option<u64>) -> Framing<W> {
        let framing = self.limited(wire, limit);
        match (limit, self.own_limit()) {
            (None, Some(limit)) => framing.with_limit(limit),
            _ => framing,
        }
    }

    /// Returns the width of the column for the headers' other fields; `None` if there are none.
    pub(crate) fn meta_width(&self) -> Option<usize> {
        match self {
            Self::Format(format) => format.meta_width(),
            Self::Checked(checked) => checked.meta_width(),
            Self::Mark(_) | Self::Hdlc => None,
        }
    }

    /// Returns the meta of an ordinary message, as [`AnyFormat::plain_meta`] does.
    pub(crate) fn plain_meta(&self, kind: Kind) -> AnyMeta {
        match self {
            Self::Format(format) => format.plain_meta(kind),
            Self::Checked(checked) if checked.is_v2() => AnyMeta::Kind(kind),
            _ => AnyMeta::None,
        }
    }

    /// Returns the meta of this header, if the format has other bytes than a length and a kind, and
    /// the header's length is right.
    pub(crate) fn header_meta(&self, header: &[u8]) -> Option<AnyMeta> {
        match self {
            Self::Format(format) => format.header_meta(header),
            Self::Checked(checked) => checked.header_meta(header),
            Self::Mark(_) | Self::Hdlc => None,
        }
    }
}

impl From<AnyFormat> for AnyWire {
    fn from(format: AnyFormat) -> Self {
        Self::Format(format)
    }
}

/// The framings that need no parameters, by name.
pub(crate) fn named() -> impl Iterator<Item = (&'static str, AnyWire)> {
    let formats = format::NAMED.iter().map(|(name, format)| (*name, AnyWire::Format(*format)));
    let marks = mark::NAMED.map(|(name, mark)| (name, AnyWire::Mark(mark)));
    let checked = checked::NAMED.iter().map(|(name, checked)| (*name, AnyWire::Checked(*checked)));
    formats.chain(marks).chain([("hdlc", AnyWire::Hdlc)]).chain(checked)
}

impl FromStr for AnyWire {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(delimiter) = text.strip_prefix("delim:") {
            return mark::delimiter(delimiter).map(Self::Mark);
        }
        if let Some(format) = format::with_parameters(text) {
            return format.map(Self::Format);
        }
        if text == "modbus-rtu" {
            return Err("the length of a frame of Modbus RTU depends on its direction: take \
                        modbus-rtu-request or modbus-rtu-response"
                .to_owned());
        }
        let text = if text == "redis" { "resp" } else { text };
        named().find(|(name, _)| *name == text).map(|(_, wire)| wire).ok_or_else(|| {
            let names: Vec<_> = named().map(|(name, _)| name).collect();
            let names = names.join(", ");
            format!("the formats are {names}, delim:0d0a, fixed:188, and {FIELD_HELP}")
        })
    }
}

impl From<Marked<AnyMark>> for AnyWire {
    fn from(marked: Marked<AnyMark>) -> Self {
        Self::Mark(*marked.mark())
    }
}

impl From<Hdlc> for AnyWire {
    fn from(_: Hdlc) -> Self {
        Self::Hdlc
    }
}

impl<const N: usize> From<AnyCheckedWire<N>> for AnyWire {
    fn from(wire: AnyCheckedWire<N>) -> Self {
        Self::Checked(wire.format().framing())
    }
}

#[cfg(test)]
mod tests {
    use unstick::{Decoder, Framing};

    use super::*;

    /// The names that a text does not contain as words.
    fn missing<'a>(names: impl Iterator<Item = &'a str>, text: &str) -> Vec<&'a str> {
        let is_end = |c: char| c.is_whitespace() || ",;:.`()".contains(c);
        let words: Vec<_> = text.split(is_end).collect();
        names.filter(|name| !words.contains(name)).collect()
    }

    #[test]
    fn the_readme_names_every_format() {
        let readme = include_str!("../README.md");
        let names = named().map(|(name, _)| name).chain(["field", "delim", "fixed"]);
        // `u16be` to `u64le` is a range there, as a test of the library checks.
        let is_in_range =
            |name: &str| name.starts_with('u') && (name.ends_with("be") || name.ends_with("le"));
        assert_eq!(missing(names.filter(|name| !is_in_range(name)), readme), [""; 0]);
    }

    #[test]
    fn every_name_is_parsed_as_its_format_and_listed() {
        let error = "u33".parse::<AnyWire>().unwrap_err();
        assert!(error.starts_with("the formats are v1, u8,"), "{error}");
        for (name, wire) in named() {
            assert_eq!(name.parse(), Ok(wire));
            assert_eq!(missing([name].into_iter(), &error), [""; 0], "{error}");
        }
        let shown = error.split([' ', ',']).filter(|word| word.starts_with("delim:"));
        assert_eq!(shown.map(|text| text.parse::<AnyWire>().is_ok()).collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn hdlc_round_trips_with_its_check() {
        let mut wire = Vec::new();
        Framing::new(Hdlc::new()).encode((), b"a~b", &mut wire).unwrap();
        let mut payload = Vec::new();
        let mut decoder = Decoder::with_framing(Hdlc::new());
        decoder.for_each(&wire, |piece| payload.extend_from_slice(piece.bytes)).unwrap();
        assert_eq!(payload, b"a~b");
        assert!(!AnyWire::Hdlc.has_files() && !AnyWire::Hdlc.is_v1());
    }

    #[test]
    fn invalid_formats_are_refused() {
        for (text, why) in [
            ("u33", "the formats are v1, u8,"),
            ("field:", "has no value"),
            ("field:header=4,offset=3,width=2", "does not end within a header of 4"),
            ("field:header=33,width=2", "1 to 32 bytes"),
            ("field:width=9", "1 to 8 bytes"),
            ("field:header=4", "the width is missing"),
            ("field:width=two", "`two` is no number for width"),
            ("field:width=2,order=pdp", "take be or le"),
            ("field:width=2,covers=all", "covers payload, rest"),
            ("field:width=2,length=3", "`length` is not known"),
            ("fixed:0", "a frame has at least one byte"),
            ("fixed:", "fixed:, "),
            ("fixed:-1", "fixed:, "),
            ("delim:", "a delimiter has at least one byte"),
            ("delim:0d0", "delim:, line 1, column 3: the hexadecimal text ends"),
        ] {
            let error = text.parse::<AnyWire>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
