//! The prompt of `unstick send` on a terminal, and answers that appear above the line being typed.

use std::io;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter as _};
use tokio::sync::{mpsc, oneshot};

use crate::output::Failure;
use crate::printer::Printer;
use crate::source::Payloads;

/// What is typed, where answers are shown, and what became of showing them.
pub(crate) struct Prompt {
    pub(crate) payloads: Payloads,
    pub(crate) printer: Printer,
    pub(crate) outcome: oneshot::Receiver<Result<(), Failure>>,
    pub(crate) terminal: Terminal,
}

/// Prompts until Ctrl-D or Ctrl-C.
pub(crate) fn start() -> Result<Prompt, Failure> {
    let terminal = Terminal::save();
    let failed = |error| Failure::job(format!("cannot prompt on this terminal: {error}"));
    // Without bracketed paste each pasted line is a message, as each typed one is, and there is no
    // mode to leave on an abrupt end.
    let config = Config::builder().bracketed_paste(false).auto_add_history(true).build();
    let mut editor: Editor<(), MemHistory> =
        Editor::with_history(config, MemHistory::new()).map_err(failed)?;
    let mut above = editor.create_external_printer().map_err(failed)?;
    let (printer, outcome) =
        Printer::showing(move |line| above.print(line).map_err(io::Error::other));
    let (sender, payloads) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            let line = match editor.readline("> ") {
                Ok(line) => Ok(line.into_bytes()),
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
                Err(error) => Err(Failure::job(format!("cannot read the terminal: {error}"))),
            };
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    Ok(Prompt { payloads, printer, outcome, terminal })
}

/// How the terminal was before the prompt. A program that ends while the prompt waits has to put
/// that back.
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

    /// Puts the terminal back. Says whether a prompt was waiting, so that the line is not over.
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
