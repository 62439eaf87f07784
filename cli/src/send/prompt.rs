//! The prompt of `unstick send` on a terminal. Answers appear above the line being typed.

use std::io;
use std::path::Path;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter as _};
use tokio::sync::{mpsc, oneshot};

use crate::send::source::{Item, Items};
use crate::send::transfer::FileItem;
use crate::term::output::Failure;
use crate::term::preview;
use crate::term::printer::Printer;

/// A running prompt: the typed items, the printer for answers, and the printer's result.
pub(crate) struct Prompt {
    pub(crate) items: Items,
    pub(crate) printer: Printer,
    pub(crate) outcome: oneshot::Receiver<Result<(), Failure>>,
    pub(crate) terminal: Terminal,
}

/// Starts a prompt, which runs until `/quit`, Ctrl-D or Ctrl-C.
pub(crate) fn start() -> Result<Prompt, Failure> {
    let terminal = Terminal::save();
    let failed = |error| Failure::job(format!("cannot prompt on this terminal: {error}"));
    // Without bracketed paste each pasted line is one message, like a typed one, and an abrupt end
    // leaves no terminal mode behind.
    let config = Config::builder().bracketed_paste(false).auto_add_history(true).build();
    let mut editor: Editor<(), MemHistory> =
        Editor::with_history(config, MemHistory::new()).map_err(failed)?;
    let mut above = editor.create_external_printer().map_err(failed)?;
    let (printer, outcome) =
        Printer::showing(move |line| above.print(line).map_err(io::Error::other));
    let (sender, items) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            let line = match editor.readline("> ") {
                Ok(line) => match parse(&line) {
                    Some(item) => Ok(item),
                    None => return,
                },
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
                Err(error) => Err(Failure::job(format!("cannot read the terminal: {error}"))),
            };
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    Ok(Prompt { items, printer, outcome, terminal })
}

/// Parses a typed line; `None` for `/quit`.
fn parse(line: &str) -> Option<Item> {
    match line.trim_end().split_once(' ') {
        None if line.trim_end() == "/quit" => None,
        None if line.trim_end() == "/file" => {
            Some(Item::Mistake("give a path: /file PATH".to_owned()))
        }
        Some(("/file", path)) => {
            Some(FileItem::new(Path::new(path.trim()), None).map_or_else(Item::Mistake, Item::File))
        }
        // A message that begins with a slash has two.
        _ => Some(match line.strip_prefix('/') {
            Some(text) if text.starts_with('/') => Item::Message(text.as_bytes().to_vec()),
            Some(_) => {
                let word = line.split(' ').next().unwrap_or_default();
                let word = preview::name(word);
                Item::Mistake(format!(
                    "there is no {word}, only /file PATH and /quit; // for a slash"
                ))
            }
            None => Item::Message(line.as_bytes().to_vec()),
        }),
    }
}

/// The terminal's attributes before the prompt. A program that ends while the prompt waits has to
/// restore them.
pub(crate) struct Terminal {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Terminal {
    fn save() -> Self {
        Self {
            #[cfg(unix)]
            before: rustix::termios::tcgetattr(io::stdin()).ok(),
        }
    }

    /// Restores the terminal. Returns whether a prompt was waiting, in which case the cursor is
    /// inside a line.
    pub(crate) fn restore(&self) -> bool {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
            let raw = tcgetattr(io::stdin())
                .is_ok_and(|now| !now.local_modes.contains(LocalModes::ICANON));
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
            return raw;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_slash_is_a_command_and_one_with_two_a_message() {
        assert_eq!(parse("/quit "), None);
        for (text, message) in
            [("", ""), (" /quit", " /quit"), ("//file x", "/file x"), ("//", "/")]
        {
            assert_eq!(parse(text), Some(Item::Message(message.into())));
        }
        for text in ["/quit now", "/files", "/home/me", "/"] {
            assert!(
                matches!(parse(text), Some(Item::Mistake(why)) if why.contains("// for")),
                "{text}"
            );
        }
        for (line, why) in [("/file", "/file PATH"), ("/file /nowhere/at all", "/nowhere/at all")] {
            assert!(
                matches!(parse(line), Some(Item::Mistake(text)) if text.contains(why)),
                "{line}"
            );
        }
        let Some(Item::File(file)) = parse("/file  Cargo.toml ") else { panic!("no file") };
        assert_eq!(file.name, "Cargo.toml");
    }
}
