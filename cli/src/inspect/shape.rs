//! What `--format` selects for `inspect`: one of the command's formats, or one that only this command
//! reads.

use std::str::FromStr;

use unstick::{Hdlc, Marked};

use super::frames::{Kept, Label, Source, Streamed};
use super::http::Http;
use super::names::{self, Side};
use super::opening::{self, AfterOpening};
use super::resp;
use crate::format::{AnyFormat, AnyMeta};
use crate::recipe::{First, RecipeMeta};
use crate::wire::AnyWire;

/// A format for `inspect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Wire(AnyWire),
    Resp,
    Http,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "resp" | "redis" => Ok(Self::Resp),
            "http1" | "http" => Ok(Self::Http),
            _ => text.parse().map(Self::Wire).map_err(|error: String| {
                let names = error.strip_prefix("the formats are ");
                names.map_or(error.clone(), |names| format!("the formats are http1, {names}"))
            }),
        }
    }
}

impl Shape {
    /// Returns the format as one of the command's, for hints.
    pub(crate) fn wire(self) -> Option<AnyWire> {
        match self {
            Self::Wire(wire) => Some(wire),
            Self::Resp | Self::Http => None,
        }
    }

    /// Returns whether it is the format with this name of those that [`looks_like`] knows.
    ///
    /// [`looks_like`]: crate::advice::looks_like
    pub(crate) fn is_named(self, name: &str) -> bool {
        match self {
            Self::Wire(_) => false,
            Self::Resp => name == "resp",
            Self::Http => name == "http1",
        }
    }

    /// Returns the name of a kind, for `--kind`, from what a header says.
    pub(crate) fn kind_name(self, header: &str) -> String {
        match self {
            Self::Wire(_) => header.split(',').next().unwrap_or_default().to_owned(),
            Self::Resp => header.trim_end_matches(" of").replace(' ', "-"),
            Self::Http => header.split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn has_kinds(self) -> bool {
        self.wire().is_some_and(|wire| wire.has_kinds())
    }

    pub(crate) fn has_marks(self) -> bool {
        self.wire().is_some_and(|wire| wire.has_marks())
    }

    /// Returns whether frames can be found again after an error.
    pub(crate) fn can_search(self) -> bool {
        match self {
            Self::Wire(wire) => wire.format().is_none_or(|format| format.is_v1()),
            Self::Resp => true,
            Self::Http => false,
        }
    }

    /// Returns what a search looks for.
    pub(crate) fn searched(self) -> &'static str {
        match self {
            Self::Wire(wire) if wire.has_marks() => "mark",
            Self::Wire(AnyWire::Checked(_)) | Self::Resp => "frame",
            _ => "header",
        }
    }

    /// Returns the width of the column for what a header says in addition to the length.
    pub(crate) fn label_width(self) -> Option<usize> {
        match self {
            Self::Wire(AnyWire::Format(AnyFormat::Postgres(_))) => Some(names::WIDTH),
            Self::Wire(wire) => wire.meta_width(),
            Self::Resp => Some("verbatim string".len()),
            Self::Http => Some(24),
        }
    }

    /// Returns a source of frames.
    pub(crate) fn source(self, limit: Option<u64>) -> Box<dyn Source> {
        let format = match self {
            Self::Resp => return resp::source(limit),
            Self::Http => return Box::new(Http::new(limit)),
            Self::Wire(format) => format,
        };
        match format {
            AnyWire::Format(AnyFormat::V1(v1)) => {
                Box::new(Streamed::v1(format.inspected(v1, limit)))
            }
            AnyWire::Format(inner) => {
                let source = Box::new(Streamed::format(format.inspected(inner, limit)));
                match inner {
                    AnyFormat::WebSocket(_) => Box::new(AfterOpening::new(source, opening::http)),
                    AnyFormat::Postgres(_) => {
                        Box::new(AfterOpening::new(source, opening::postgres))
                    }
                    _ => source,
                }
            }
            AnyWire::Mark(mark) => {
                Box::new(Streamed::mark(format.inspected(Marked::new(mark.of_file()), limit)))
            }
            AnyWire::Hdlc => Box::new(Streamed::hdlc(format.inspected(Hdlc::new(), limit))),
            AnyWire::Checked(checked) => match checked.check_len() {
                1 => Box::new(Kept::new(format.inspected(checked.wire::<1>(), limit))),
                2 => Box::new(Kept::new(format.inspected(checked.wire::<2>(), limit))),
                _ => Box::new(Kept::new(format.inspected(checked.wire::<4>(), limit))),
            },
        }
    }
}

/// Returns what a header says in addition to the length, in the protocol's terms.
pub(crate) fn text(label: &Label, side: Option<Side>) -> Option<String> {
    match label {
        Label::Text(text) => Some(text.clone()),
        Label::Meta(AnyMeta::Recipe(RecipeMeta::Postgres(First::Other(meta)))) => {
            Some(names::postgres(meta.kind, side))
        }
        Label::Meta(meta) => meta.header(),
    }
}
