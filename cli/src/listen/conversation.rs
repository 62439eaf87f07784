//! A conversation of version 1 with one peer.

use std::future::pending;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::io::Join;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};
use unstick::tokio::ReadError;
use unstick::{DecodeError, Kind};
use unstick_session::message::{Code, FileCancel, Message};
use unstick_session::session::{Event, Session};
use unstick_session::tokio::{Connection, ConnectionError, FoundEvent};

use crate::addr::{BoxedReader, BoxedWriter, CLOSE_TIMEOUT, Halves};
use crate::connection_errors::reason;
use crate::format::AnyMeta;
use crate::listen::budget::{Account, Budgeted, Held};
use crate::listen::end::End;
use crate::listen::log::Log;
use crate::listen::others::Said;
use crate::listen::places::Stop;
use crate::listen::rate::{MinRate, Silence};
use crate::listen::reply::{Answered, Answers};
use crate::listen::rules::Rules;
use crate::listen::uploads::{Outcome, Uploads};
use crate::v1::{self, Close, KEEPALIVE, PING_CHECK};

/// The time limit for a close after answers that the peer does not take.
const SHORT_CLOSE: Duration = Duration::from_millis(200);
/// How long to wait for a peer's hello before the peer is announced without it.
const ANNOUNCE: Duration = Duration::from_millis(200);
/// The interval at which the rate of an upload is checked.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// The number of ticks after which a waiting peer receives a sign that its file is being processed.
const TICKS_TO_WORKING: u32 = 3;
/// How long a peer may send nothing in the middle of a file.
const FILE_IDLE: Duration = Duration::from_secs(120);
/// The bytes of a part that its sender digests in a second before it goes on (spec, 14.7).
const HELD_A_SECOND: u64 = 10_000_000;

type PeerConnection = Connection<Join<Budgeted<BoxedReader>, BoxedWriter>>;

/// Serves a connection until it ends, or the program does. Returns whether it ended without an error. `limit` is the maximum payload length.
pub(crate) async fn serve(
    rules: &Rules,
    limit: u64,
    log: Log<'_>,
    (incoming, outgoing): Halves,
    mut stop: Stop,
) -> bool {
    let (incoming, mut account) = rules.budget.open(incoming, log.active().network());
    let session = rules.kinds.iter().fold(Session::new(), |session, kind| session.with_kind(*kind));
    let stream = tokio::io::join(incoming, outgoing);
    let mut connection = Connection::with_limit(stream, u32::try_from(limit).unwrap_or(u32::MAX))
        .with_session(session)
        .with_frame_timeout(rules.frame_timeout)
        .with_linger(Duration::ZERO) // the close below waits for the peer, after the log has the error
        .explain_errors(reason);
    if let Some(after) = rules.idle_timeout {
        connection = connection.with_idle_timeout(after);
    }
    if rules.skip_oversize {
        connection = connection.skip_oversize();
    }
    let active = log.active().clone();
    let answers = Answers::new(rules, &log, false);
    let mut conversation = Conversation {
        rules,
        limit,
        connection,
        log,
        answers,
        uploads: Uploads::new(rules, active),
        rate: MinRate::new(rules.min_rate),
        open: None,
        ready: None,
        silence: Silence::new(Instant::now()),
        arrived: 0,
        has_hello: false,
        has_sent: false,
        peer_closed: false,
    };
    conversation.log.connected().await;
    let end = conversation.run(&mut account, &mut stop).await;
    let Conversation { mut connection, mut log, mut uploads, answers, .. } = conversation;
    // Nobody waits for them.
    drop(answers);
    // Complete files are stored and parts of the others kept, even if the peer cannot be informed.
    uploads.keep_parts();
    account.close(connection.unwritten_len(), uploads.held_len());
    while let Some(outcome) = uploads.next_until_done().await {
        log.file(&outcome).await;
        account.close(connection.unwritten_len(), uploads.held_len());
    }
    log.ended(&end).await;
    // An error is logged already, or nobody is there to be told.
    let owes = connection.session().owed() > 0;
    let within = if account.is_over() { SHORT_CLOSE } else { CLOSE_TIMEOUT };
    let closed = connection.close(end.close(owes), within);
    stop.unless_ordered(&end, async { drop(closed.await) }).await;
    end.is_clean()
}

/// The state of the conversation with one peer.
struct Conversation<'a> {
    rules: &'a Rules,
    /// The maximum payload length in both directions.
    limit: u64,
    connection: PeerConnection,
    log: Log<'a>,
    answers: Answers<'a>,
    uploads: Uploads,
    rate: MinRate,
    /// The transfer that is being received; its rate is checked.
    open: Option<u32>,
    /// The transfer whose sender was told to go on, the bytes that are held of it, and until when it has
    /// to.
    ready: Option<(u32, u64, Instant)>,
    silence: Silence,
    /// The bytes that had arrived at the last tick.
    arrived: u64,
    has_hello: bool,
    /// Whether something was sent since a ping was due last.
    has_sent: bool,
    /// Whether the peer has closed; only answers to its files and messages are still to be sent.
    peer_closed: bool,
}

/// What woke the loop of the conversation.
enum Wakeup {
    Found(Result<Option<FoundEvent>, ConnectionError>),
    Outcome(Option<Outcome>),
    Answered(Answered),
    Said(Result<Said, u64>),
    Flushed(Result<(), ConnectionError>),
    Tick,
    Ping,
    Announce,
    Late,
    Stop(End),
}

/// An answer to an event.
enum Answer {
    Hello,
    Message(Kind, Vec<u8>),
}

impl Conversation<'_> {
    async fn run(&mut self, account: &mut Account, stop: &mut Stop) -> End {
        let mut others = self.rules.others();
        let mut announce = pin!(sleep(ANNOUNCE));
        let mut pings = interval(PING_CHECK);
        pings.reset();
        let mut first = pin!(sleep(self.rules.first_timeout));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut ticked = 0;
        // Since when something is written while nothing is read.
        let mut writing = None;
        loop {
            if self.peer_closed && self.uploads.is_empty() && self.answers.is_empty() {
                return End::Clean;
            }
            let has_room = self.uploads.has_room();
            let can_read =
                has_room && !self.peer_closed && self.answers.has_room(account.has_turn());
            let has_files = !self.uploads.is_empty() || self.uploads.awaits_data();
            account.hold(self.held(), can_read);
            if account.waits() {
                // Data of a file goes on in its own share, once what is there is on the disk.
                self.uploads.flush();
            }
            // What the budget has no room for is not late.
            let can_read = can_read && !account.waits();
            let can_answer = !account.must_wait_to_answer();
            if can_read {
                writing = None; // a read writes, too
            } else if self.connection.unwritten_len() > 0 {
                writing.get_or_insert(Instant::now());
            }
            let wakeup = tokio::select! {
                biased; // a hello that has arrived is part of the announcement
                end = stop.ordered() => Wakeup::Stop(end),
                outcome = self.uploads.next(), if !self.uploads.is_empty() => {
                    Wakeup::Outcome(outcome)
                }
                answered = self.answers.next(), if can_answer => Wakeup::Answered(answered),
                _ = ticks.tick(), if has_files || !self.answers.is_empty() => Wakeup::Tick,
                said = others.next(self.log.peer()), if !self.peer_closed => Wakeup::Said(said),
                changed = account.changed() => match changed {
                    Ok(()) => continue,
                    Err(end) => Wakeup::Stop(end),
                },
                () = until(writing, self.rules.frame_timeout), if writing.is_some() => {
                    Wakeup::Stop(End::not_taken(self.rules.frame_timeout))
                }
                moved = move_on(&mut self.connection, can_read, writing.is_some()) => moved,
                _ = pings.tick(), if !self.peer_closed => Wakeup::Ping,
                () = &mut announce, if !self.log.is_announced() => Wakeup::Announce,
                () = &mut first, if self.connection.position() == 0 => Wakeup::Late,
            };
            let handled = match wakeup {
                Wakeup::Stop(end) => Err(end),
                Wakeup::Found(Ok(Some(found))) => match self.event(&found).await {
                    Ok(Some(answer)) => self.answer(answer, account).await,
                    Ok(None) => Ok(()),
                    Err(end) => Err(end),
                },
                // After a close, which is an event before.
                Wakeup::Found(Ok(None)) => Err(End::Clean),
                Wakeup::Found(Err(error)) => self.failed(&error).await,
                Wakeup::Flushed(flushed) => {
                    writing = None;
                    self.written(flushed)
                }
                Wakeup::Outcome(Some(outcome)) => self.outcome(outcome).await,
                Wakeup::Outcome(None) => Ok(()),
                Wakeup::Answered(answered) => self.answered(answered, account).await,
                Wakeup::Said(said) => self.said(said, account).await,
                Wakeup::Tick => {
                    ticked += 1;
                    self.tick(
                        ticked % TICKS_TO_WORKING == 0,
                        can_read,
                        (!has_room, account.waits()),
                    )
                }
                Wakeup::Ping => {
                    // If the peer has not answered the last ones, it gets no more.
                    if !std::mem::take(&mut self.has_sent) {
                        let _ = self.connection.try_feed(&Message::Ping(KEEPALIVE));
                    }
                    Ok(())
                }
                Wakeup::Announce => {
                    self.log.announce(None).await;
                    Ok(())
                }
                Wakeup::Late if self.connection.position() == 0 => Err(self.rules.no_first_frame()),
                Wakeup::Late => Ok(()),
            };
            if let Err(end) = handled {
                return end;
            }
        }
    }

    /// Returns the number of bytes that are held for this peer.
    fn held(&self) -> Held {
        let Self { connection, uploads, answers, .. } = self;
        Held {
            peer: connection.unread_len() + connection.unwritten_len(),
            commands: answers.held_len(),
            answer: answers.next_len(),
            disk: uploads.held_len(),
        }
    }

    /// Handles an event, and returns the answer to it.
    async fn event(&mut self, found: &FoundEvent) -> Result<Option<Answer>, End> {
        let at = found.at();
        // A peer may announce a limit of 4 GiB.
        let answer_limit = self.connection.session().peer_limit().min(self.limit);
        let Some(event) = self.connection.event(found) else { return Ok(None) };
        let (kind, payload) = match event {
            Event::Text(text) => (Kind::TEXT, text.as_bytes()),
            Event::Binary(bytes) => (Kind::BINARY, bytes),
            Event::Application { kind, payload } => (kind, payload),
            Event::Hello(hello) => {
                self.has_hello = true;
                self.log.hello(&hello).await;
                return Ok(Some(Answer::Hello));
            }
            Event::Close(close) if close.code == Code::NO_ERROR => {
                self.peer_closed = true;
                self.open = None;
                self.uploads.keep_parts();
                return Ok(None);
            }
            Event::Close(close) => {
                let message = format!("byte {at}: the peer gave up: {}", Close::from(close));
                return Err(End::Error { at: Some(at), code: None, message });
            }
            Event::FileOpen(open) => {
                self.uploads.open(&open);
                return Ok(None);
            }
            Event::FileData(data) => {
                self.ready = None;
                if self.open.replace(data.id) != Some(data.id) {
                    self.rate.restart();
                }
                self.rate.arrived(data.bytes.len() as u64);
                self.uploads.data(data.id, data.offset, data.bytes);
                return Ok(None);
            }
            Event::FileAttributes(attributes) => {
                self.uploads.attributes(attributes);
                return Ok(None);
            }
            Event::FileDone(done) => {
                (self.open, self.ready) = (None, None);
                self.uploads.done(done.id, done.total, Some(done.digest));
                return Ok(None);
            }
            Event::FileCancel(FileCancel { id, code, reason }) => {
                cancelled(&mut self.uploads, &mut self.open, &mut self.log, (id, code, reason))
                    .await;
                return Ok(None);
            }
            Event::FileRefused { id, code } => {
                cancelled(&mut self.uploads, &mut self.open, &mut self.log, (id, code, "")).await;
                return Ok(None);
            }
            // This program offers no files, and does not evaluate pongs.
            _ => return Ok(None),
        };
        self.log.message(at, AnyMeta::Kind(kind), payload).await;
        self.rules.say(self.log.peer(), AnyMeta::Kind(kind), payload);
        let answer = self.answers.to(AnyMeta::Kind(kind), payload, answer_limit);
        Ok(answer.map(|answer| Answer::Message(kind, answer)))
    }

    /// Sends an answer, if the peer accepts its size, within the time limit.
    async fn answer(&mut self, answer: Answer, account: &mut Account) -> Result<(), End> {
        self.has_sent = true;
        match answer {
            Answer::Hello => {
                // It is the answer to a hello only if nothing was sent before.
                let name = v1::name_for(self.connection.session().peer_limit());
                if let Some(name) = name {
                    let _ = self.connection.announce(name);
                }
                Ok(())
            }
            Answer::Message(kind, payload) => {
                let message = Message::Other { kind, payload: &payload };
                let held = self.held().more(&payload);
                let fed = self.connection.feed(&message);
                let fed = account.in_time(held, self.rules.frame_timeout, fed).await?;
                self.written(fed)
            }
        }
    }

    /// Sends the answer of a command.
    async fn answered(&mut self, answered: Answered, account: &mut Account) -> Result<(), End> {
        let Answered { meta, answer, said, .. } = answered;
        account.answered();
        for line in said {
            self.log.command(&line).await;
        }
        let kind = meta.kind().unwrap_or(Kind::BINARY);
        if let Some(answer) = answer {
            self.answer(Answer::Message(kind, answer), account).await?;
        }
        Ok(())
    }

    /// Passes on what another peer has said, or tells how much was missed. What this peer does not take
    /// is left out.
    async fn said(&mut self, said: Result<Said, u64>, account: &mut Account) -> Result<(), End> {
        let Said { meta, payload } = match said {
            Ok(said) => said,
            Err(missed) => {
                self.log.missed(missed).await;
                return Ok(());
            }
        };
        if payload.len() as u64 > self.connection.session().peer_limit() {
            self.log.missed(1).await;
            return Ok(());
        }
        let kind = meta.kind().unwrap_or(Kind::BINARY);
        self.answer(Answer::Message(kind, payload.to_vec()), account).await?;
        self.log.active().touch();
        Ok(())
    }

    /// Handles an error of a read. An `Err` ends the conversation.
    async fn failed(&mut self, error: &ConnectionError) -> Result<(), End> {
        if let ConnectionError::Read(ReadError::Decode(oversize @ DecodeError::Oversize { .. })) =
            error
            && self.connection.session().error().is_none()
        {
            self.log.skipped(oversize).await;
            return Ok(());
        }
        Err(End::connection(error, self.connection.event_at(), self.has_hello))
    }

    /// Sends the status of a file, and logs it.
    async fn outcome(&mut self, outcome: Outcome) -> Result<(), End> {
        let status = outcome.answer.status(outcome.id);
        self.has_sent = true;
        let sent = match self.connection.try_feed(&Message::FileStatus(status)) {
            // The session refuses a status that crossed data or a cancel of the sender.
            Ok(()) | Err(ConnectionError::Send(_)) => Ok(()),
            Err(error) => Err(End::connection(&error, self.connection.position(), self.has_hello)),
        };
        match status.code {
            Code::READY => {
                let digesting = Duration::from_secs(status.offset / HELD_A_SECOND);
                let time = self.rules.first_timeout.saturating_add(digesting);
                let until = Instant::now().checked_add(time);
                self.ready = until.map(|until| (outcome.id, status.offset, until));
            }
            code if code.is_final() => {
                self.open.take_if(|open| *open == outcome.id);
                self.ready.take_if(|(ready, ..)| *ready == outcome.id);
            }
            _ => {}
        }
        self.log.file(&outcome).await;
        sent
    }

    /// Handles a tick: flushes, checks the rate, and with `report_work` sends signs of life. It gets
    /// whether the files wait for the disk, and whether the peer waits for memory.
    fn tick(
        &mut self,
        report_work: bool,
        can_read: bool,
        (disk_waits, waits): (bool, bool),
    ) -> Result<(), End> {
        self.uploads.flush();
        let (at, unread) = (self.connection.position(), self.connection.unread_len() as u64);
        let expected = can_read && self.uploads.awaits_data();
        if self.silence.waited(at + unread, expected, Instant::now()) >= FILE_IDLE {
            let message = format!("no byte came for {FILE_IDLE:?} in the middle of a file");
            return Err(End::at(at, Code::IDLE_TIMEOUT, &message));
        }
        // It may have lost interest, and others may need the room of the part.
        if let Some((id, held, _)) = self.ready.take_if(|(.., until)| *until <= Instant::now()) {
            self.uploads.refuse_late(id, held, None);
        }
        let arrived = at + unread;
        let more = arrived.saturating_sub(std::mem::replace(&mut self.arrived, arrived));
        // Data of a file whose frame is incomplete.
        let next = self.connection.next_header();
        let has_data = next.is_some_and(|header| header.meta == Kind::FILE_DATA);
        if has_data {
            self.uploads.arrives(more);
        }
        if disk_waits || waits && (has_data || next.is_none()) {
            self.uploads.could_not_arrive();
        }
        self.uploads.refuse_stalled();
        if (self.open.is_some() || has_data)
            && can_read
            && let Err(slow) = self.rate.waited(TICK, unread)
        {
            return Err(End::at(at, Code::TOO_SLOW, &slow.message()));
        }
        if report_work {
            self.connection.tick();
        }
        if !can_read && !self.peer_closed && (report_work || !self.answers.is_empty()) {
            // The disk or a command is slower than the peer; a ping shows that this side is alive, and finds
            // out whether the peer is.
            let _ = self.connection.try_feed(&Message::Ping(KEEPALIVE));
        }
        Ok(())
    }

    fn written(&self, written: Result<(), ConnectionError>) -> Result<(), End> {
        written.map_err(|error| End::connection(&error, self.connection.event_at(), self.has_hello))
    }
}

/// Reads, or only writes, or does neither.
async fn move_on(connection: &mut PeerConnection, reads: bool, writes: bool) -> Wakeup {
    match (reads, writes) {
        (true, _) => Wakeup::Found(connection.find().await),
        (false, true) => Wakeup::Flushed(connection.flush().await),
        (false, false) => pending().await,
    }
}

/// Waits until so much time has passed since then.
async fn until(since: Option<Instant>, time: Duration) {
    match since.and_then(|since| since.checked_add(time)) {
        Some(end) => sleep_until(end.into()).await,
        None => pending().await,
    }
}

/// Handles a file that the sender cancelled or the session refused.
async fn cancelled(
    uploads: &mut Uploads,
    open: &mut Option<u32>,
    log: &mut Log<'_>,
    (id, code, reason): (u32, Code, &str),
) {
    if *open == Some(id) {
        *open = None;
    }
    let name = uploads.name(id).map(str::to_owned);
    uploads.drop_part(id);
    log.cancelled(name.as_deref(), code, reason).await;
}
