//! What every conversation of a sender has: its job, the answers that it prints, and how it fails.

use std::io;
use std::time::Duration;

use serde::Serialize;
use unstick::tokio::WriteError;

use crate::addr::Addr;
use crate::format::AnyMeta;
use crate::send::shape::Shape;
use crate::shown::Shown;
use crate::term::bytes::count;
use crate::term::output::Failure;
use crate::term::output::json_now;
use crate::term::preview::plain_hex;
use crate::term::printer::Printer;
use crate::tls::is_alert;

/// What the options say about the conversation.
pub(super) struct Job {
    pub(super) addr: Addr,
    pub(super) shape: Shape,
    /// The maximum payload length of a message, in both directions.
    pub(super) limit: u64,
    /// The limit of the peer as given by the user.
    pub(super) peer_limit: Option<u64>,
    pub(super) expect_reply: bool,
    /// Whether files are sent with their attributes.
    pub(super) preserve: bool,
    pub(super) timeout: Duration,
}

/// Prints the answers.
pub(super) struct Answers {
    pub(super) printer: Printer,
    json: bool,
    /// Whether they appear at a prompt, and are marked.
    prompted: bool,
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum SendEvent<'a> {
    Message {
        at: u64,
        #[serde(flatten)]
        message: Shown<'a>,
    },
}

impl Answers {
    pub(super) fn new(printer: Printer, json: bool, prompted: bool) -> Self {
        Self { printer, json, prompted }
    }

    /// Prints an answer that came at this stream offset.
    pub(super) async fn print(&self, meta: AnyMeta, payload: &[u8], at: u64) {
        let line = if self.json {
            json_now(&SendEvent::Message { at, message: Shown::new(meta, payload) })
        } else {
            let shown = match std::str::from_utf8(payload) {
                Ok(text) => text.to_owned(),
                Err(_) => format!("0x{}", plain_hex(payload)),
            };
            if self.prompted { format!("< {shown}") } else { shown }
        };
        self.printer.line(line).await;
    }
}

/// Returns the failure of a conversation that the peer has ended before everything was done. `how` is
/// what it did.
pub(super) fn ended_early(how: &str, sent: u64, answers: Option<u64>, advice: &str) -> Failure {
    let answers = answers.map_or_else(String::new, |answers| format!(", {answers} answered"));
    Failure::job(format!("the peer {how} ({} sent{answers}){advice}", count(sent, "message")))
}

/// Returns the failure of a message that did not get an answer in time.
pub(super) fn unanswered(after: Duration, sent: u64, answers: u64) -> Failure {
    let sent = count(sent, "message");
    Failure::job(format!(
        "no answer within {after:?} ({sent} sent, {answers} answered); does the peer answer?"
    ))
}

/// Returns the failure of a message that is over this side's own limit.
pub(super) fn over_limit(number: u64, len: &str, limit: u64) -> Failure {
    Failure::job(format!(
        "message {number} has {len} and the limit is {limit}; raise --limit if the peer takes more"
    ))
}

/// Returns the failure of a write.
pub(super) fn not_sent(error: &WriteError) -> Failure {
    match error {
        WriteError::Io(error) | WriteError::Flush(error) if is_alert(error) => {
            Failure::Job(error.to_string())
        }
        error => {
            Failure::job(format!("cannot send: {error}; did the peer end, or refuse something?"))
        }
    }
}

/// Returns the failure of a peer that takes nothing.
pub(super) fn not_taken(after: Duration) -> Failure {
    Failure::job(format!("the peer took nothing for {after:?}; does it read?"))
}

/// Returns the failure of a transport that cannot be read.
pub(super) fn broken(error: &io::Error) -> Failure {
    if is_alert(error) {
        return Failure::Job(error.to_string());
    }
    Failure::job(format!("the connection broke: {error}; did the peer crash, or refuse something?"))
}
