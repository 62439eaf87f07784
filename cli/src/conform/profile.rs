//! Profiles (chapter 19 of the specification): which vectors belong to one follows from their
//! members, as `vectors/README.md` says.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::vector::{Act, Expect, Request, Step, Test, Vector};

/// The bases, each of which includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Base {
    Frames,
    Messages,
    Files,
}

/// What an implementation has; or what a vector needs of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) base: Base,
    pub(crate) skip: bool,
    pub(crate) search: bool,
    pub(crate) datagrams: bool,
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut parts = name.split('+');
        let base = match parts.next() {
            Some("frames") => Base::Frames,
            Some("messages") => Base::Messages,
            Some("files") => Base::Files,
            _ => return Err("a profile begins with frames, messages or files".to_owned()),
        };
        let mut profile = Self { base, skip: false, search: false, datagrams: false };
        for part in parts {
            let option = match part {
                "skip" => &mut profile.skip,
                "search" => &mut profile.search,
                "datagrams" => &mut profile.datagrams,
                _ => return Err(format!("no option +{part}: only +skip, +search, +datagrams")),
            };
            if std::mem::replace(option, true) {
                return Err(format!("+{part} is there twice"));
            }
        }
        Ok(profile)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.base {
            Base::Frames => "frames",
            Base::Messages => "messages",
            Base::Files => "files",
        })?;
        let options =
            [(self.skip, "+skip"), (self.search, "+search"), (self.datagrams, "+datagrams")];
        options.iter().filter(|(has, _)| *has).try_for_each(|(_, name)| f.write_str(name))
    }
}

impl Profile {
    /// Returns what a vector needs; `None` if no profile has it, because it is one of Annex A.
    pub(crate) fn needed_by(vector: &Vector) -> Option<Self> {
        if vector.format != "v1" {
            return None;
        }
        let kind = || u64::from(vector.kind.unwrap_or_default());
        let base = match vector.test {
            Test::Stream | Test::Encode | Test::EncodeHeader | Test::SetUp => Base::Frames,
            Test::Datagram | Test::EncodeDatagram => Base::Frames,
            Test::DatagramMessages => Base::Messages,
            // Refused payloads of these kinds are refused by every peer of Part 2.
            Test::Message if is_file_kind(kind()) && !is_refused(&vector.expect) => Base::Files,
            Test::Message => Base::Messages,
            Test::EncodeMessage => match vector.message.as_ref().and_then(type_of) {
                Some("file-status") => Base::Messages,
                Some(name) if name.starts_with("file-") => Base::Files,
                _ => Base::Messages,
            },
            Test::Conversation if acts(vector).any(is_of_files) => Base::Files,
            Test::Conversation => Base::Messages,
        };
        let requests = |request| steps(vector).any(|step| step.request == Some(request));
        Some(Self {
            base,
            skip: requests(Request::Skip) || acts(vector).any(|act| act.skipped.is_some()),
            search: requests(Request::Resync),
            datagrams: matches!(
                vector.test,
                Test::Datagram | Test::DatagramMessages | Test::EncodeDatagram
            ),
        })
    }

    /// Returns whether an implementation with this profile has to pass a vector.
    pub(crate) fn includes(&self, vector: &Vector) -> bool {
        Self::needed_by(vector).is_some_and(|needed| {
            needed.base <= self.base
                && (self.skip || !needed.skip)
                && (self.search || !needed.search)
                && (self.datagrams || !needed.datagrams)
        })
    }
}

fn steps(vector: &Vector) -> impl Iterator<Item = &Step> {
    let steps = vector.every_expect().filter_map(|expect| match expect {
        Expect::Steps(steps) => Some(steps),
        _ => None,
    });
    steps.flatten()
}

fn acts(vector: &Vector) -> impl Iterator<Item = &Act> {
    let acts = vector.every_expect().filter_map(|expect| match expect {
        Expect::Acts(acts) => Some(acts),
        _ => None,
    });
    acts.flatten()
}

fn type_of(message: &Value) -> Option<&str> {
    message.get("type").and_then(Value::as_str)
}

/// The kinds from file-open to file-cancel.
fn is_file_kind(kind: u64) -> bool {
    (0x10..=0x14).contains(&kind)
}

fn is_refused(expect: &Expect) -> bool {
    matches!(expect, Expect::Answer(answer) if answer.get("refused").is_some())
}

/// Whether an act needs a side with files: it sends a message about one, or is told of one.
fn is_of_files(act: &Act) -> bool {
    let sends = act.send.as_ref().and_then(type_of).is_some_and(|name| name.starts_with("file-"));
    let event = act.event.as_ref().and_then(Value::as_str);
    sends || event.is_some_and(|name| name.starts_with("file-") && name != "file-refused")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["frames", "frames+search", "messages", "files+skip+search+datagrams"] {
            assert_eq!(name.parse::<Profile>().unwrap().to_string(), name);
        }
        let any_order = "files+datagrams+skip".parse::<Profile>().unwrap();
        assert_eq!(any_order.to_string(), "files+skip+datagrams");
        for name in ["", "search", "frames+", "frames+files", "frames+skip+skip", "Frames"] {
            assert!(name.parse::<Profile>().is_err(), "{name}");
        }
    }
}
