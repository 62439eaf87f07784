//! The progress bar of a file, on a terminal only.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::oneshot;

use crate::term::output::Failure;
use crate::term::preview;
use crate::term::printer::Printer;

const STYLE: &str = "{msg}  {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
const STYLE_WITHOUT_SIZE: &str = "{msg}  {spinner} {bytes}  {bytes_per_sec}";

/// Shows the progress of the file that is being sent. Clones share one bar.
#[derive(Clone)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// Creates a bar on standard error, if that is a terminal.
    pub(crate) fn new(wanted: bool) -> Self {
        if !(wanted && io::stderr().is_terminal()) {
            return Self(None);
        }
        // Hidden until a file begins.
        Self(Some(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())))
    }

    /// Starts a printer whose lines do not mix with the bar.
    pub(crate) fn printer(&self) -> (Printer, oneshot::Receiver<Result<(), Failure>>) {
        match self.0.clone() {
            Some(bar) => Printer::showing(move |line| {
                bar.suspend(|| io::stdout().lock().write_all(line.as_bytes()))
            }),
            None => Printer::start(),
        }
    }

    pub(crate) fn begin(&self, name: &str, size: Option<u64>) {
        let Some(bar) = &self.0 else { return };
        let template = if size.is_some() { STYLE } else { STYLE_WITHOUT_SIZE };
        // The templates are valid constants.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        // Hidden meanwhile, so that the previous file is not drawn again.
        bar.set_draw_target(ProgressDrawTarget::hidden());
        bar.set_message(preview::line(name.to_owned()));
        bar.set_length(size.unwrap_or(0));
        bar.reset();
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    /// Sets the position to bytes that need not be sent, and excludes them from the rate.
    pub(crate) fn skip(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
            bar.reset_eta();
        }
    }

    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    /// Clears the bar.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
