//! A conversation of version 1, from the sender's side.

use std::pin::pin;
use std::time::Duration;

use tokio::io::Join;
use tokio::time::{Instant, Interval, interval_at, timeout, timeout_at};
use unstick::Kind;
use unstick::tokio::ReadError;
use unstick_session::message::{self, Code, FileStatus, Message};
use unstick_session::session::{Event, LIMIT_WITHOUT_HELLO, MAX_PINGS, SendError, SessionError};
use unstick_session::tokio::{Connection, ConnectionError, FoundEvent, Turn};

use crate::addr::{BoxedReader, BoxedWriter, CLOSE_TIMEOUT, Halves};
use crate::connection_errors::{explain_connection, reason};
use crate::format::AnyMeta;
use crate::send::job::{
    Answers, Job, broken, ended_early, not_sent, not_taken, over_limit, unanswered,
};
use crate::send::progress::Bar;
use crate::send::source::{Item, Items};
use crate::send::tally::Tally;
use crate::send::transfer::ResumeKeys;
use crate::signals::Signals;
use crate::term::bytes::count_bytes;
use crate::term::output::Failure;
use crate::v1::{Close, KEEPALIVE, NAME, PING_CHECK};

/// How long to wait for a peer's hello before sending a message longer than the limit without one.
const HELLO_WAIT: Duration = Duration::from_secs(1);
/// After a failed write, how long to wait for the peer's close, which may explain it.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// The time limit for sending a close after this side gave up.
const GIVE_UP_TIMEOUT: Duration = Duration::from_millis(100);
/// How long what was fed waits to be written together with what follows.
const COLLECT_TIMEOUT: Duration = Duration::from_millis(5);
/// The hint for a peer that ends the connection without a close.
const SPEAKS_V1: &str = "; does it speak v1? see --format";

/// Why the conversation does not go on.
pub(super) enum Halt {
    /// The peer ended it, with a close or without one.
    Ended(Option<Close>),
    /// The peer broke a rule, or the transport broke.
    Broken(Failure),
    /// The peer does not take what is sent. Its close may explain it.
    Refused(Failure),
    /// This side gives up.
    GivenUp(Failure),
}

impl Halt {
    pub(super) fn given_up(message: impl Into<String>) -> Self {
        Self::GivenUp(Failure::job(message))
    }
}

/// The sending side of a conversation.
pub(super) struct Sender<'a> {
    pub(super) job: &'a Job,
    pub(super) connection: Connection<Join<BoxedReader, BoxedWriter>>,
    pub(super) answers: Answers,
    pub(super) tally: &'a mut Tally,
    pub(super) bar: &'a Bar,
    /// Created for the first file.
    pub(super) keys: Option<ResumeKeys>,
    sent: u64,
    answered: u64,
    all_sent: bool,
    has_hello: bool,
    /// Whether the time for the peer's hello has passed.
    waited_for_hello: bool,
    /// The number of statuses of files other than `working`.
    statuses: u64,
    pings: Interval,
    /// Whether something was sent since a ping was due last.
    has_sent: bool,
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        job: &'a Job,
        (incoming, outgoing): Halves,
        answers: Answers,
        tally: &'a mut Tally,
        bar: &'a Bar,
    ) -> Self {
        let limit = u32::try_from(job.limit).unwrap_or(u32::MAX);
        let connection = Connection::with_limit(tokio::io::join(incoming, outgoing), limit)
            .with_session(job.shape.session(job.peer_limit))
            .with_linger(Duration::ZERO) // a failure is followed by a close, which waits
            .explain_errors(reason);
        Self {
            job,
            connection,
            answers,
            tally,
            bar,
            keys: None,
            sent: 0,
            answered: 0,
            all_sent: false,
            has_hello: false,
            waited_for_hello: false,
            statuses: 0,
            pings: interval_at(Instant::now() + PING_CHECK, PING_CHECK),
            has_sent: false,
        }
    }

    /// Sends everything, waits for what the peer owes, and ends the conversation. A signal ends it before
    /// that.
    pub(super) async fn run(mut self, items: Items, signals: &mut Signals) -> Result<(), Failure> {
        let all = async {
            match self.send_all(items).await {
                Ok(()) => self.end().await,
                halted => halted,
            }
        };
        let signal = tokio::select! {
            ended = all => match ended {
                Ok(()) => return Ok(()),
                Err(halt) => tokio::select! {
                    halted = self.halted(halt) => return halted,
                    signal = signals.next() => signal,
                },
            },
            signal = signals.next() => signal,
        };
        // So that the peer does not report a crash. The receiver keeps its part of a file.
        let reason = Code::SHUTTING_DOWN.meaning();
        let close = message::Close { code: Code::SHUTTING_DOWN, reason };
        let _ = self.connection.close(close, GIVE_UP_TIMEOUT).await;
        Err(signal.into())
    }

    /// Ends the conversation after this.
    async fn halted(&mut self, halt: Halt) -> Result<(), Failure> {
        match halt {
            Halt::Ended(close) if self.is_done() => {
                // The peer knows that this side ends, or has gone without waiting for it.
                let _ = timeout(CLOSE_TIMEOUT, self.connection.flush()).await;
                check_end(close)
            }
            Halt::Ended(close) => {
                // The peer has closed and reads on: without a close it would report a crash.
                let _ = self.connection.close(message::Close::ORDINARY, CLOSE_TIMEOUT).await;
                Err(self.ended_early(close))
            }
            Halt::Broken(failure) => {
                let _ = self.connection.close(message::Close::ORDINARY, CLOSE_TIMEOUT).await;
                Err(failure)
            }
            Halt::GivenUp(failure) => {
                // A close, so that the peer does not report a crash.
                let _ = self.connection.close(message::Close::ORDINARY, GIVE_UP_TIMEOUT).await;
                Err(failure)
            }
            Halt::Refused(failure) => Err(self.explanation().await.unwrap_or(failure)),
        }
    }

    async fn send_all(&mut self, mut items: Items) -> Result<(), Halt> {
        // It is the first message.
        let _ = self.connection.announce(NAME);
        loop {
            tokio::select! {
                // First, so that messages are collected before they are written.
                biased;
                item = items.recv() => match item.transpose().map_err(Halt::GivenUp)? {
                    Some(Item::Message(payload)) => self.message(&payload).await?,
                    Some(Item::File(file)) => self.file(file).await?,
                    Some(Item::Mistake(why)) => self.answers.printer.error(&why).await,
                    Some(Item::Unsendable { shown, why }) => self.tally.unsendable(shown, why),
                    None => break,
                },
                found = self.find() => self.found(found).await?,
            }
        }
        self.all_sent = true;
        self.wait_for_file(|sender| sender.connection.session().unanswered() == 0).await?;
        if self.job.expect_reply {
            self.wait_for_answers().await?;
        }
        self.feed(&Message::Close(message::Close::ORDINARY)).await
    }

    /// Waits for the peer's end after everything was sent and answered.
    async fn end(&mut self) -> Result<(), Halt> {
        let after = self.job.timeout;
        let late = |_: &Self| {
            Halt::given_up(format!(
                "the peer did not close within {after:?}; it may not have taken everything"
            ))
        };
        self.wait_until(|_| false, Duration::ZERO, late).await
    }

    /// Returns whether everything was sent and answered.
    fn is_done(&self) -> bool {
        let is_answered = !self.job.expect_reply || self.answered >= self.sent;
        self.all_sent && is_answered && self.connection.session().unanswered() == 0
    }

    fn ended_early(&self, close: Option<Close>) -> Failure {
        let is_foreign = close.is_none() && self.connection.position() == 0;
        let how = match close {
            Some(close) if !close.is_ordinary() => format!("gave up: {close}"),
            Some(_) => "closed the conversation".to_owned(),
            None => "ended the connection".to_owned(),
        };
        let answered = self.job.expect_reply.then_some(self.answered);
        ended_early(&how, self.sent, answered, if is_foreign { SPEAKS_V1 } else { "" })
    }

    /// Waits for the peer's close, which says more than a failed write.
    async fn explanation(&mut self) -> Option<Failure> {
        let deadline = Instant::now() + CLOSE_WAIT;
        while let Ok(found) = timeout_at(deadline, self.find()).await {
            match self.found(found).await {
                Ok(()) => {}
                Err(Halt::Ended(Some(close))) if !close.is_ordinary() => {
                    return Some(gave_up(&close));
                }
                Err(Halt::Broken(failure)) if self.connection.session().error().is_some() => {
                    return Some(failure);
                }
                Err(_) => return None,
            }
        }
        None
    }

    async fn message(&mut self, payload: &[u8]) -> Result<(), Halt> {
        let number = self.sent + 1;
        self.check_len(number, payload.len() as u64).await?;
        let kind = self.job.shape.meta(payload).kind().unwrap_or(Kind::BINARY);
        self.feed(&Message::Other { kind, payload }).await?;
        self.sent = number;
        if self.job.shape.pings() && self.sent - self.answered >= MAX_PINGS as u64 {
            // No more may be open.
            self.wait_for_answers().await?;
        }
        Ok(())
    }

    /// Checks the length of a message against the peer's limit: the one in its hello, or the one
    /// that applies without a hello.
    async fn check_len(&mut self, number: u64, len: u64) -> Result<(), Halt> {
        let limit = self.job.limit;
        if len > limit {
            return Err(Halt::GivenUp(over_limit(number, &count_bytes(len), limit)));
        }
        if len <= LIMIT_WITHOUT_HELLO.min(self.peer_limit()) {
            return Ok(());
        }
        if !self.has_hello && !self.waited_for_hello {
            self.waited_for_hello = true;
            let deadline = Instant::now() + HELLO_WAIT.min(self.job.timeout);
            while !self.has_hello
                && let Ok(found) = timeout_at(deadline, self.find()).await
            {
                self.found(found).await?;
            }
        }
        let source = match self.has_hello {
            true => "its hello says",
            false if self.job.peer_limit.is_some() => return Ok(()),
            false => "it sent no hello; if you know better, set --limit",
        };
        let peer_limit = self.peer_limit();
        if len > peer_limit {
            return Err(Halt::given_up(format!(
                "message {number} has {} and the peer takes {peer_limit} at most ({source})",
                count_bytes(len)
            )));
        }
        Ok(())
    }

    /// Returns the maximum payload length that the peer accepts, as far as known.
    pub(super) fn peer_limit(&self) -> u64 {
        self.connection.session().peer_limit()
    }

    /// Sends a message once there is room for it. A message for a transfer that has ended meanwhile is
    /// skipped.
    pub(super) async fn feed(&mut self, message: &Message<'_>) -> Result<(), Halt> {
        self.room().await?;
        self.has_sent = true;
        // There is room, so this does not wait.
        match self.connection.feed(message).await {
            Ok(()) => Ok(()),
            Err(ConnectionError::Send(SendError::NotOpen { .. } | SendError::NotOwed { .. })) => {
                Ok(())
            }
            Err(ConnectionError::Send(error)) => {
                Err(Halt::given_up(format!("cannot send: {error}")))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Waits until a message can be sent without waiting, and handles events meanwhile.
    async fn room(&mut self) -> Result<(), Halt> {
        let after = self.job.timeout;
        let (mut progress, mut gone_on) = (self.progress(), Instant::now());
        loop {
            let left = after.saturating_sub(gone_on.elapsed());
            let turn = timeout(left, self.connection.find_or_room()).await;
            match turn {
                Ok(Ok(Some(Turn::Room))) => return Ok(()),
                Ok(Ok(Some(Turn::Event(found)))) => self.event(&found).await?,
                Ok(Ok(None)) => return Err(Halt::Ended(None)),
                Ok(Err(error)) => return Err(self.failed(&error)),
                Err(_late) => {}
            }
            if self.progress() != progress {
                (progress, gone_on) = (self.progress(), Instant::now());
            } else if gone_on.elapsed() >= after {
                return Err(Halt::Refused(not_taken(after)));
            }
        }
    }

    /// Handles events until `done`, or until the peer has been silent for too long, or has not gone on
    /// for as long and `work` in addition.
    pub(super) async fn wait_until(
        &mut self,
        done: impl Fn(&Self) -> bool,
        work: Duration,
        late: impl FnOnce(&Self) -> Halt,
    ) -> Result<(), Halt> {
        let after = self.job.timeout;
        let mut progress = self.progress();
        let mut gone_on = Instant::now();
        while !done(self) {
            let left = after.saturating_add(work).saturating_sub(gone_on.elapsed());
            let found = timeout(after.min(left), self.find()).await;
            let is_late = found.is_err();
            if let Ok(found) = found {
                self.found(found).await?;
            }
            if self.progress() != progress {
                (progress, gone_on) = (self.progress(), Instant::now());
            } else if is_late || gone_on.elapsed() >= after.saturating_add(work) {
                return Err(late(self));
            }
        }
        Ok(())
    }

    /// Handles events until `done` says that the receiver has answered for a file.
    pub(super) async fn wait_for_file(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), Halt> {
        let work = self.tally.work();
        let after = self.job.timeout;
        self.wait_until(done, work, |_| {
            Halt::given_up(format!(
                "the peer said nothing new about a file for {after:?}; does it still run?"
            ))
        })
        .await
    }

    /// Waits until every message is answered.
    async fn wait_for_answers(&mut self) -> Result<(), Halt> {
        let after = self.job.timeout;
        let late = |sender: &Self| Halt::GivenUp(unanswered(after, sender.sent, sender.answered));
        self.wait_until(|sender| sender.answered >= sender.sent, Duration::ZERO, late).await
    }

    /// Awaits something of this side, and handles events meanwhile.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let mut work = pin!(work);
        // What was fed is collected with what follows, unless that takes longer.
        let done = timeout(COLLECT_TIMEOUT, &mut work).await;
        if let Ok(done) = done {
            return Ok(done);
        }
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                found = self.find() => self.found(found).await?,
            }
        }
    }

    /// Returns what changes when the peer goes on: it has answered a message or for a file, or taken
    /// something. More messages than were sent are no answers.
    fn progress(&self) -> (u64, u64, usize) {
        (self.answered.min(self.sent), self.statuses, self.connection.unwritten_len())
    }

    /// Waits for the next event. Meanwhile the peer hears of this side now and then.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    async fn find(&mut self) -> Result<Option<FoundEvent>, ConnectionError> {
        loop {
            tokio::select! {
                biased;
                found = self.connection.find() => return found,
                _ = self.pings.tick() => if !std::mem::take(&mut self.has_sent) {
                    // If the peer has not answered the last ones, it gets no more.
                    let _ = self.connection.try_feed(&Message::Ping(KEEPALIVE));
                }
            }
        }
    }

    async fn found(
        &mut self,
        found: Result<Option<FoundEvent>, ConnectionError>,
    ) -> Result<(), Halt> {
        match found {
            Ok(Some(found)) => self.event(&found).await,
            Ok(None) => Err(Halt::Ended(None)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn event(&mut self, found: &FoundEvent) -> Result<(), Halt> {
        let Some(event) = self.connection.event(found) else { return Ok(()) };
        let pings = self.job.shape.pings();
        let (kind, payload) = match event {
            Event::Text(text) => (Kind::TEXT, text.as_bytes()),
            Event::Binary(bytes) => (Kind::BINARY, bytes),
            Event::Application { kind, payload } => (kind, payload),
            Event::Pong(payload) if pings && payload != KEEPALIVE => (Kind::PONG, payload),
            Event::Hello(_) => {
                self.has_hello = true;
                return Ok(());
            }
            Event::Close(close) => return Err(Halt::Ended(Some(close.into()))),
            Event::FileReady(status) => {
                self.statuses += 1;
                self.tally.ready(&status);
                return Ok(());
            }
            Event::FileEnd(status) => {
                self.statuses += 1;
                self.tally.end(&status);
                return Ok(());
            }
            Event::FileOpen(open) => {
                // The sender accepts no files.
                let code = Code::NOT_ACCEPTED;
                let refusal = FileStatus::refused(open.id, code, 0, code.meaning());
                let refused = self.connection.try_feed(&Message::FileStatus(refusal));
                return refused.map_err(|error| self.failed(&error));
            }
            _ => return Ok(()),
        };
        self.answers.print(AnyMeta::Kind(kind), payload, found.at()).await;
        self.answered += u64::from(pings == (kind == Kind::PONG));
        Ok(())
    }

    fn failed(&self, error: &ConnectionError) -> Halt {
        match error {
            ConnectionError::Session(SessionError::Unclosed) => Halt::Ended(None),
            ConnectionError::Read(ReadError::Io(error)) => Halt::Broken(broken(error)),
            ConnectionError::Write(error) => Halt::Refused(not_sent(error)),
            error => {
                let message = explain_connection(error, self.connection.event_at());
                Halt::Broken(Failure::Job(message))
            }
        }
    }
}

/// Checks the peer's end after everything was sent and answered.
fn check_end(close: Option<Close>) -> Result<(), Failure> {
    match close {
        Some(close) if close.is_ordinary() => Ok(()),
        Some(close) => Err(gave_up(&close)),
        None => Err(Failure::job(format!(
            "the peer ended the connection without a close; \
             it may not have taken everything{SPEAKS_V1}"
        ))),
    }
}

fn gave_up(close: &Close) -> Failure {
    Failure::job(format!("the peer gave up: {close}"))
}
