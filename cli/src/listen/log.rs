//! What is printed about a connection.

use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::Serialize;
use unstick::DecodeError;
use unstick_session::message::{Code, Hello};

use crate::format::AnyMeta;
use crate::listen::end::End;
use crate::listen::places::Active;
use crate::listen::rules::{Rules, Show};
use crate::listen::uploads::{Answer, Outcome};
use crate::shown::Shown;
use crate::term::bytes::count;
use crate::term::log_limit::{LogLimit, hidden, is_zero};
use crate::term::output::error_line;
use crate::term::output::json_now;
use crate::term::preview::{self, preview};
use crate::term::printer::Printer;
use crate::term::time::now;
use crate::v1::{self, without_advice};

/// An event of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum ListenEvent<'a> {
    Listening {
        addr: &'a str,
    },
    Connected {
        peer: &'a str,
    },
    Hello {
        peer: &'a str,
        limit: u32,
        name: &'a str,
    },
    Message {
        peer: &'a str,
        at: u64,
        #[serde(flatten)]
        message: Shown<'a>,
    },
    File {
        peer: &'a str,
        /// The sender's name of the file.
        name: &'a str,
        /// `stored`, `exists`, or the name of the code of the refusal.
        status: String,
        /// The name under which it was stored.
        #[serde(skip_serializing_if = "Option::is_none")]
        stored_as: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    },
    Error {
        peer: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'static str>,
        message: &'a str,
        /// How many more like this there were since the last.
        #[serde(skip_serializing_if = "is_zero")]
        more: u64,
    },
    Ended {
        peer: &'a str,
        messages: u64,
        files: u64,
        clean: bool,
    },
}

/// Says where connections are accepted.
pub(crate) async fn listening(show: Show, printer: &Printer, addr: &str) {
    let listening = format!("listening on {addr}");
    match show {
        Show::Json => printer.line(json_now(&ListenEvent::Listening { addr })).await,
        Show::Raw(_) => printer.note(listening).await,
        Show::Line { .. } => printer.line(listening).await,
    }
}

/// Logs the events of one connection.
pub(crate) struct Log<'a> {
    rules: &'a Rules,
    printer: Printer,
    peer: String,
    active: Active,
    /// For what the peer can cause again and again without an end of the connection.
    limit: LogLimit,
    /// Whether the peer was announced.
    announced: bool,
    /// Whether it was not shown, because of too many others.
    was_hidden: bool,
    messages: u64,
    files: u64,
}

impl<'a> Log<'a> {
    pub(crate) fn new(rules: &'a Rules, printer: Printer, peer: String, active: Active) -> Self {
        Self {
            rules,
            printer,
            peer,
            active,
            limit: LogLimit::new(),
            announced: false,
            was_hidden: false,
            messages: 0,
            files: 0,
        }
    }

    /// Returns whether the peer was announced.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// Returns what says when the peer has sent something last.
    pub(crate) fn active(&self) -> &Active {
        &self.active
    }

    /// Returns whether less is logged of this peer, because it has sent nothing.
    fn is_hidden(&self) -> bool {
        self.was_hidden && !self.active.is_useful()
    }

    fn is_json(&self) -> bool {
        self.rules.show == Show::Json
    }

    async fn event(&self, event: ListenEvent<'_>) {
        if self.is_json() {
            self.printer.line(json_now(&event)).await;
        }
    }

    /// Prints a line of text, with the time if that is wanted: on standard error if only messages go to
    /// standard output.
    async fn text(&self, text: String) {
        match self.rules.show {
            Show::Line { .. } => self.printer.line(self.timed(text)).await,
            Show::Json | Show::Raw(_) => self.printer.note(text).await,
        }
    }

    /// Prints a line on standard error, with the time if that is wanted.
    async fn note(&self, text: String) {
        self.printer.note(self.timed(text)).await;
    }

    async fn complain(&self, text: &str) {
        if !self.is_hidden() {
            self.note(error_line(text)).await;
        } else if let Some(more) = self.rules.admit_connection() {
            self.note(error_line(&format!("{text}{}", hidden(more)))).await;
        }
    }

    fn timed(&self, text: String) -> String {
        match self.rules.show {
            Show::Line { time: true, .. } => format!("{}  {text}", now()),
            _ => text,
        }
    }

    pub(crate) async fn connected(&self) {
        self.event(ListenEvent::Connected { peer: &self.peer }).await;
    }

    /// Announces the peer in one line, with its hello if that came first.
    pub(crate) async fn announce(&mut self, hello: Option<&Hello<'_>>) {
        if self.announced {
            return;
        }
        self.announced = true;
        let Some(more) = self.rules.admit_connection() else {
            self.was_hidden = true;
            return;
        };
        if !self.is_json() {
            let hello = hello.map_or_else(String::new, |hello| format!(" ({})", v1::brief(hello)));
            self.note(format!("{} connected{hello}{}", self.peer, hidden(more))).await;
        }
    }

    pub(crate) async fn hello(&mut self, hello: &Hello<'_>) {
        let peer = &self.peer;
        self.event(ListenEvent::Hello { peer, limit: hello.limit, name: hello.name }).await;
        if self.announced && !self.is_hidden() && !self.is_json() {
            self.note(format!("{peer} says hello: {}", v1::brief(hello))).await;
        }
        self.announce(Some(hello)).await;
    }

    pub(crate) async fn message(&mut self, at: u64, meta: AnyMeta, payload: &[u8]) {
        self.active.touch();
        self.messages += 1;
        self.rules.messages.fetch_add(1, Ordering::Relaxed);
        self.announce(None).await;
        let peer = &self.peer;
        match self.rules.show {
            Show::Json => {
                // The line is made once there is room for it: each waiting peer holds its payload only.
                let room = self.printer.room(payload.len() * 2).await;
                let message = Shown::new(meta, payload);
                return self
                    .printer
                    .line_in(room, json_now(&ListenEvent::Message { peer, at, message }));
            }
            Show::Raw(end) => return self.printer.raw([payload, end].concat()).await,
            Show::Line { .. } => {}
        }
        let len = payload.len();
        let content = preview(payload, len as u64, self.rules.preview);
        let meta = meta.kind().map(|kind| kind.to_string()).or_else(|| meta.header());
        let meta = meta.map_or_else(String::new, |meta| format!("{meta:<6}  "));
        self.text(format!("{peer:<21}  {meta}{len:>8}  {content}")).await;
    }

    /// Logs the outcome of a file.
    pub(crate) async fn file(&mut self, outcome: &Outcome) {
        let Outcome { name, answer, .. } = outcome;
        match answer {
            Answer::Ready { .. } => {}
            Answer::Stored { size, digest, to } => {
                self.files += 1;
                self.rules.files.fetch_add(1, Ordering::Relaxed);
                self.announce(None).await;
                let peer = &self.peer;
                if self.is_json() {
                    let event = ListenEvent::File {
                        peer,
                        name,
                        status: "stored".to_owned(),
                        stored_as: Some(to),
                        size: Some(*size),
                        digest: Some(digest.to_string()),
                        message: None,
                    };
                    return self.event(event).await;
                }
                let to = preview::name(to);
                let digest = match self.rules.show {
                    Show::Line { short: true, .. } => preview::short_digest(digest),
                    _ => digest.to_string(),
                };
                self.text(format!("{peer:<21}  file    {size:>8}  {to}  sha256 {digest}")).await;
            }
            Answer::Exists(there) => {
                let what = match there {
                    Some(_) => {
                        "a file of this name and size is there; the sender finds out whether it is this one"
                    }
                    None => "a file of this name is there; give it another with --name",
                };
                self.refused(Some(name), Code::EXISTS, what).await;
            }
            Answer::Refused(refusal) => {
                let what = match &refusal.cause {
                    Some(cause) => format!("{}: {cause}", refusal.code.meaning()),
                    None => refusal.code.meaning().to_owned(),
                };
                let advice = match refusal.code {
                    Code::TOO_LARGE => "; to take it raise --max-file, or --max-parts",
                    Code::NOT_ACCEPTED => "; to take files give --dir",
                    _ => "",
                };
                self.refused(Some(name), refusal.code, &format!("{what}{advice}")).await;
            }
        }
    }

    pub(crate) async fn cancelled(&mut self, name: Option<&str>, code: Code, reason: &str) {
        let reason = preview::reason(reason);
        let what = if reason.is_empty() { code.meaning() } else { &reason };
        self.refused(name, code, what).await;
    }

    /// Logs a file that is not stored. The connection continues.
    async fn refused(&mut self, name: Option<&str>, code: Code, message: &str) {
        self.announce(None).await;
        let peer = &self.peer;
        let shown = name.map_or_else(|| "a file".to_owned(), preview::name);
        let line = format!("{peer}: {shown} is not stored: {code}, {message}");
        if let Some(more) = self.limit.admit(Instant::now()) {
            self.complain(&(line + &hidden(more))).await;
        }
        let name = name.unwrap_or_default();
        let (status, message) = (code.to_string(), Some(message));
        let (stored_as, size, digest) = (None, None, None);
        self.event(ListenEvent::File { peer, name, status, stored_as, size, digest, message })
            .await;
    }

    /// Logs that the peer was too slow, or takes too little, for messages of others.
    pub(crate) async fn missed(&mut self, missed: u64) {
        if let Some(more) = self.limit.admit(Instant::now()) {
            let missed = count(missed, "message");
            let more = hidden(more);
            self.complain(&format!("{}: {missed} of others left out{more}", self.peer)).await;
        }
    }

    /// Logs a frame that was skipped because of this error.
    pub(crate) async fn skipped(&mut self, error: &DecodeError) {
        if let Some(more) = self.limit.admit(Instant::now()) {
            let message = format!("{}; skipped", without_advice(&error.to_string()));
            self.error(Some(error.at()), Some(Code(error.code())), &message, more).await;
        }
    }

    /// Logs an answer that is not sent.
    pub(crate) async fn unanswered(&mut self, code: Code, message: &str) {
        if let Some(more) = self.limit.admit(Instant::now()) {
            self.error(None, Some(code), message, more).await;
        }
    }

    /// Logs what a command says that answers messages. It is limited for all peers together.
    pub(crate) async fn command(&mut self, line: &str) {
        self.error(None, None, line, 0).await;
    }

    async fn error(&mut self, at: Option<u64>, code: Option<Code>, message: &str, more: u64) {
        self.announce(None).await;
        let peer = &self.peer;
        self.complain(&format!("{peer}: {message}{}", hidden(more))).await;
        let name = code.map(v1::code_name);
        let code = code.map(|code| code.0);
        self.event(ListenEvent::Error { peer, at, code, name, message, more }).await;
    }

    pub(crate) async fn ended(&mut self, end: &End) {
        self.active.end();
        self.announce(None).await;
        if self.limit.hidden() > 0 {
            let more = count(self.limit.hidden(), "more error");
            self.complain(&format!("{}: {more} of files and frames not shown", self.peer)).await;
        }
        if let End::Error { at, code, message } = end {
            self.error(*at, *code, message, 0).await;
        }
        let (peer, messages, files) = (&self.peer, self.messages, self.files);
        let clean = matches!(end, End::Clean);
        self.event(ListenEvent::Ended { peer, messages, files, clean }).await;
        if !self.is_json() && !self.is_hidden() && clean {
            let mut after = count(messages, "message");
            if files > 0 {
                after = format!("{after} and {}", count(files, "file"));
            }
            self.note(format!("{peer} ended after {after}")).await;
        }
    }
}
