//! The items to send: from the arguments, from standard input, or from a prompt.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use tokio::sync::mpsc;
use unstick::io::FrameReader;
use unstick::{Framing, Marked};

use crate::mark::AnyMark;
use crate::send::transfer::FileItem;
use crate::term::bytes::count_bytes;
use crate::term::output::{Failure, note};
use crate::term::preview;

/// The number of lines that are read ahead.
const AHEAD: usize = 64;

/// An item to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Vec<u8>),
    File(FileItem),
    /// A mistake at the prompt, with a hint.
    Mistake(String),
    /// A file that cannot be sent, as it was given, and the reason.
    Unsendable {
        shown: String,
        why: String,
    },
}

/// A queue of items to send; it is closed after the last.
pub(crate) type Items = mpsc::Receiver<Result<Item, Failure>>;

/// Returns a queue of these items.
pub(crate) fn given(given: Vec<Item>) -> Items {
    let (sender, items) = mpsc::channel(given.len().max(1));
    for item in given {
        // The capacity suffices.
        let _ = sender.try_send(Ok(item));
    }
    items
}

/// Says which files arrive under a name that one before them has.
fn note_same_names(items: &[Item]) {
    let mut first = HashMap::new();
    for item in items {
        let Item::File(file) = item else { continue };
        match first.entry(&file.name) {
            Entry::Vacant(entry) => {
                entry.insert(file);
            }
            Entry::Occupied(entry) => note(&preview::line(format!(
                "unstick: warning: {} and {} arrive under the same name, {}",
                entry.get().shown(),
                file.shown(),
                file.name
            ))),
        }
    }
}

/// The FILE and `--text` arguments, in their order on the command line.
#[derive(Debug, Default)]
pub(crate) struct ItemArgs(Vec<ItemArg>);

#[derive(Debug, PartialEq, Eq)]
enum ItemArg {
    Text(String),
    File(PathBuf),
}

impl ItemArgs {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has_files(&self) -> bool {
        self.0.iter().any(|item| matches!(item, ItemArg::File(_)))
    }

    /// Converts the arguments to items. `name` is the name of the only file.
    pub(crate) fn items(self, name: Option<&str>) -> Result<Vec<Item>, Failure> {
        let files = self.0.iter().filter(|item| matches!(item, ItemArg::File(_))).count();
        if name.is_some() && files != 1 {
            return Err(Failure::Usage("--name names one FILE; give just one".to_owned()));
        }
        let item = |item| match item {
            ItemArg::Text(text) => Item::Message(text.into_bytes()),
            ItemArg::File(path) => match FileItem::new(&path, name) {
                Ok(file) => Item::File(file),
                Err(why) => Item::Unsendable { shown: path.display().to_string(), why },
            },
        };
        let items: Vec<_> = self.0.into_iter().map(item).collect();
        note_same_names(&items);
        // If nothing can be sent, no connection is needed.
        match items.first() {
            Some(Item::Unsendable { why, .. })
                if items.iter().all(|item| matches!(item, Item::Unsendable { .. })) =>
            {
                Err(Failure::Job(why.clone()))
            }
            _ => Ok(items),
        }
    }

    fn arg(command: Command) -> Command {
        command
            .arg(
                Arg::new("file")
                    .value_name("FILE")
                    .help(
                        "Files to send, `-` for standard input (with --name), in order with --text",
                    )
                    .long_help(
                        "Files to send, `-` for standard input (with --name), in order with --text\n\n\
                         Each arrives under the last part of its path; send a folder as an archive: \
                         tar c DIR | unstick send ADDR - --name DIR.tar",
                    )
                    .num_args(0..)
                    .action(ArgAction::Append)
                    .value_parser(value_parser!(PathBuf)),
            )
            .arg(
                Arg::new("text")
                    .short('t')
                    .long("text")
                    .help_heading(crate::help::INPUT)
                    .value_name("TEXT")
                    .help("A message to send (can be repeated)")
                    .action(ArgAction::Append),
            )
    }
}

impl Args for ItemArgs {
    fn augment_args(command: Command) -> Command {
        Self::arg(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::arg(command)
    }
}

impl FromArgMatches for ItemArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut items = Self::default();
        items.update_from_arg_matches(matches)?;
        Ok(items)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let indices = |id| matches.indices_of(id).into_iter().flatten();
        let texts = matches.get_many("text").into_iter().flatten().cloned().map(ItemArg::Text);
        let files = matches.get_many("file").into_iter().flatten().cloned().map(ItemArg::File);
        let mut items: Vec<_> =
            indices("text").zip(texts).chain(indices("file").zip(files)).collect();
        items.sort_by_key(|(index, _)| *index);
        self.0 = items.into_iter().map(|(_, item)| item).collect();
        Ok(())
    }
}

/// What the messages of standard input are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Split {
    /// Its lines.
    Lines,
    /// What stands between delimiters.
    At(AnyMark),
    /// All of it is one message.
    Whole,
}

impl Split {
    /// Returns what the options `--whole`, `--delimiter` and `-0` say.
    pub(crate) fn new(whole: bool, delimiter: Option<AnyMark>, null: bool) -> Self {
        match delimiter {
            _ if whole => Self::Whole,
            Some(mark) => Self::At(mark),
            None if null => Self::At(AnyMark::NUL),
            None => Self::Lines,
        }
    }
}

/// Reads the messages of standard input, without the ends of lines and without delimiters. One of more
/// than `limit` bytes is an error; at most `limit` + 2 bytes of a line are held.
pub(crate) fn standard_input(split: Split, limit: u64) -> Items {
    let (sender, items) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        match split {
            Split::Lines => {
                let mut number: u64 = 0;
                send_each(&sender, || {
                    number += 1;
                    next_line(&mut input, limit, number)
                });
            }
            Split::At(mark) => {
                let framing = Framing::new(Marked::new(mark.of_input())).with_limit(limit);
                let mut frames = FrameReader::with_framing(input, framing);
                send_each(&sender, || {
                    let frame = frames.next_owned().map_err(|error| {
                        Failure::job(format!("cannot take standard input apart: {error}"))
                    });
                    Ok(frame?.map(|frame| frame.into_payload()))
                });
            }
            Split::Whole => {
                let mut all = Some(input);
                send_each(&sender, || all.take().map(|input| whole(input, limit)).transpose());
            }
        }
    });
    items
}

/// Passes messages on until there is none, or nobody takes them: the connection is over then.
fn send_each(
    sender: &mpsc::Sender<Result<Item, Failure>>,
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, Failure>,
) {
    while let Some(message) = next().transpose() {
        let failed = message.is_err();
        if sender.blocking_send(message.map(Item::Message)).is_err() || failed {
            return;
        }
    }
}

fn whole(input: impl Read, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    input
        .take(limit.saturating_add(1))
        .read_to_end(&mut all)
        .map_err(|error| Failure::job(format!("cannot read standard input: {error}")))?;
    if all.len() as u64 > limit {
        return Err(Failure::job(format!(
            "standard input has more than the {} that a message may have; raise --limit if the peer \
             takes more, or send it as a file",
            count_bytes(limit)
        )));
    }
    Ok(all)
}

fn next_line(
    input: &mut impl BufRead,
    limit: u64,
    number: u64,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    // Two more for the line end.
    let max_len = limit.saturating_add(2);
    input
        .take(max_len)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::job(format!("cannot read standard input: {error}")))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() as u64 > limit {
        return Err(Failure::job(format!(
            "line {number} of standard input has more than the {} that a message may have; \
             raise --limit if the peer takes more",
            count_bytes(limit)
        )));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_texts_keep_their_order() {
        let command = ItemArgs::augment_args(Command::new("send"));
        let line = ["send", "--text", "one", "a", "b", "--text=two", "c", "--text", "", "-"];
        let items = ItemArgs::from_arg_matches(&command.get_matches_from(line)).unwrap();
        let text = |text: &str| ItemArg::Text(text.to_owned());
        let file = |path: &str| ItemArg::File(path.into());
        let expected =
            [text("one"), file("a"), file("b"), text("two"), file("c"), text(""), file("-")];
        assert_eq!(items.0, expected);
        assert!(matches!(items.items(Some("x")), Err(Failure::Usage(_))));
    }

    #[test]
    fn only_line_ends_are_removed() {
        let mut input = &b"one\r\n\n\rtwo \n\xff\nlast"[..];
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, 10, 1).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, [&b"one"[..], b"", b"\rtwo ", b"\xff", b"last"]);
    }

    #[test]
    fn a_line_over_the_limit_is_an_error() {
        assert_eq!(next_line(&mut &b"1234\r\n"[..], 4, 1).unwrap().unwrap(), b"1234");
        for text in ["12345\n", "12345", "123456789"] {
            let Err(Failure::Job(why)) = next_line(&mut text.as_bytes(), 4, 7) else {
                panic!("{text}")
            };
            assert!(why.starts_with("line 7 "), "{why}");
        }
        let Err(Failure::Job(why)) = next_line(&mut &b"12"[..], 1, 7) else { panic!("12") };
        assert!(why.contains("more than the 1 byte that"), "{why}");
    }
}
