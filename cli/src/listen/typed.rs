//! What is typed on the terminal of a listener: each line is a message to all peers.

use std::future::pending;
use std::io::{self, IsTerminal as _};

use tokio::sync::oneshot;

use crate::send::prompt::{self, Prompt, Terminal};
use crate::send::source::{Item, Items};
use crate::term::output::Failure;
use crate::term::printer::Printer;
use crate::wire::AnyWire;

/// The prompt of a listener, if it has one.
pub(crate) struct Typed(Option<(Items, Terminal)>);

/// A printer, and its result.
type Started = (Printer, oneshot::Receiver<Result<(), Failure>>);

/// What was typed.
pub(crate) enum Line {
    Message(Vec<u8>),
    Mistake(String),
    /// `/quit`, Ctrl-D or Ctrl-C.
    End,
}

/// Returns whether lines typed can be messages in this format, and somebody may type some: the program
/// runs in the foreground of a terminal. In the background, reading the terminal would stop it.
pub(crate) fn can_be_typed(wire: AnyWire) -> bool {
    let is_plain = match wire {
        AnyWire::Checked(checked) => checked.is_plain(),
        _ => true,
    };
    // With a prompt, errors are shown above it.
    let is_terminal =
        io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    is_plain && is_terminal && is_in_foreground()
}

#[cfg(unix)]
fn is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
fn is_in_foreground() -> bool {
    true
}

impl Typed {
    /// Starts a prompt if there is one, and a printer that works with it.
    pub(crate) fn start(has_prompt: bool) -> Result<(Self, Started), Failure> {
        if !has_prompt {
            let (printer, outcome) = Printer::start();
            return Ok((Self(None), (printer, outcome)));
        }
        let Prompt { items, printer, outcome, terminal } = prompt::start()?;
        Ok((Self(Some((items, terminal))), (printer, outcome)))
    }

    /// Waits for the next line; forever without a prompt.
    ///
    /// # Cancel safety
    /// Dropping the future loses no line.
    pub(crate) async fn next(&mut self) -> Result<Line, Failure> {
        let Some((items, _)) = &mut self.0 else { return pending().await };
        Ok(match items.recv().await.transpose()? {
            Some(Item::Message(message)) => Line::Message(message),
            Some(_) => Line::Mistake("there is only /quit here; // for a slash".to_owned()),
            None => Line::End,
        })
    }

    /// Restores the terminal. Returns whether there was a prompt.
    pub(crate) fn end(&self) -> bool {
        let terminal = self.0.as_ref().map(|(_, terminal)| terminal);
        terminal.map(Terminal::restore).is_some()
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        self.end();
    }
}
