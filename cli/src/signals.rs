//! The signals that end the program. They are handled explicitly, since the system ignores those without
//! a handler for process 1 of a container.

use std::io::{self, IsTerminal as _};

use crate::term::output::Failure;

/// A signal that ends the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGINT, of Ctrl-C.
    Interrupt,
    /// SIGTERM.
    #[cfg_attr(not(unix), expect(dead_code, reason = "a signal of Unix"))]
    Terminate,
    /// SIGHUP: the terminal has gone.
    #[cfg_attr(not(unix), expect(dead_code, reason = "a signal of Unix"))]
    Hangup,
}

impl Ending {
    /// Returns the number of the signal.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

impl From<Ending> for Failure {
    fn from(signal: Ending) -> Self {
        Self::Signal(signal.number())
    }
}

/// Waits for the signals that end the program.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    /// Whether SIGHUP ends nothing: it was ignored when the program started, as by `nohup`.
    #[cfg(unix)]
    ignores_hangup: bool,
    had_terminal: bool,
    /// Handled so that a file over the system's size limit is a write error and does not end the
    /// program.
    #[cfg(unix)]
    _file_size: tokio::signal::unix::Signal,
}

impl Signals {
    /// Handles the signals. Has to be called in a runtime.
    pub(crate) fn new() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            const XFSZ: i32 = rustix::process::Signal::XFSZ.as_raw();
            let failed = |error| Failure::job(format!("cannot wait for signals: {error}"));
            // Before the handler is installed.
            let ignores_hangup = ignores_hangup();
            Ok(Self {
                interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
                terminate: signal(SignalKind::terminate()).map_err(failed)?,
                hangup: signal(SignalKind::hangup()).map_err(failed)?,
                ignores_hangup,
                had_terminal: has_terminal(),
                _file_size: signal(SignalKind::from_raw(XFSZ)).map_err(failed)?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self { had_terminal: has_terminal() })
    }

    /// Waits for a signal that ends the program. Ignores SIGHUP if the program was started so.
    pub(crate) async fn next(&mut self) -> Ending {
        loop {
            let signal = self.any().await;
            #[cfg(unix)]
            if signal == Ending::Hangup && self.ignores_hangup {
                continue;
            }
            return signal;
        }
    }

    /// Waits for a signal, SIGHUP in any case.
    pub(crate) async fn any(&mut self) -> Ending {
        #[cfg(unix)]
        return tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.terminate.recv() => Ending::Terminate,
            _ = self.hangup.recv() => Ending::Hangup,
        };
        #[cfg(not(unix))]
        {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            Ending::Interrupt
        }
    }

    /// Returns whether the program was started on a terminal, and that is closed.
    pub(crate) fn terminal_has_gone(&self) -> bool {
        self.had_terminal && !has_terminal()
    }

    /// Returns whether SIGHUP ends nothing.
    pub(crate) fn ignores_hangup(&self) -> bool {
        #[cfg(unix)]
        return self.ignores_hangup;
        #[cfg(not(unix))]
        false
    }
}

fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Returns whether SIGHUP is ignored, as far as the system says so.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Ends the program when a signal comes, for commands that wait for other things in threads: calls
/// `before`, and exits with 128 + the number of the signal. What is not printed yet is lost.
pub(crate) fn exit_on_signal(before: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let failed = |error| Failure::job(format!("cannot wait for signals: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    // Before anything else is done, so that no signal is missed.
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    std::thread::spawn(move || {
        let signal = runtime.block_on(signals.next());
        before();
        std::process::exit(128 + i32::from(signal.number()));
    });
    Ok(())
}
