//! The plain dialect that many tutorials use: `--dir` with a format without kinds. Each item is two
//! frames: JSON that describes it, and its text or content. A frame `close` ends the connection.
//!
//! ```text
//! {"msg_type": "msg"}                          你好
//! {"msg_type": "file", "file_name": "a.bin"}   the bytes of the file
//! close
//! ```
//!
//! Such a peer never reads: nothing is written to it, unless `--reply` is given. There are no
//! digests and no resume keys: a file is complete when its frame is, and an upload that broke off
//! restarts from the beginning.

use std::future::pending;
use std::mem;
use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use unstick::tokio::FrameWriter;
use unstick::{DecodeError, Decoder, Framing, Kind, Piece};
use unstick_session::message::{Code, check_name};

use crate::addr::{BoxedReader, BoxedWriter, Halves, shut_down};
use crate::advice::explain;
use crate::format::{AnyFormat, AnyMeta};
use crate::inbox::Refusal;
use crate::listen::budget::{Account, Budgeted, Held};
use crate::listen::conversation::TICK;
use crate::listen::end::End;
use crate::listen::log::Log;
use crate::listen::places::Stop;
use crate::listen::rate::MinRate;
use crate::listen::reply::{Answered, Answers};
use crate::listen::rules::Rules;
use crate::listen::uploads::{Answer, Outcome, Uploads};
use crate::term::preview::{preview, reason};

/// The size of the read buffer.
const CHUNK: usize = 64 << 10;
/// The payload of the frame that ends a connection.
const CLOSE: &[u8] = b"close";

/// The JSON that describes the next frame. What else is in it may be as long as a frame, and is not kept.
#[derive(Debug, Deserialize, Serialize)]
struct Item {
    msg_type: ItemType,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ItemType {
    Msg,
    File,
}

/// What is in the JSON of a file besides.
#[derive(Debug, Deserialize)]
struct FileItem {
    file_name: String,
}

/// The role of the current frame.
#[derive(Debug)]
enum State {
    /// The JSON of an item, or `close`.
    Item,
    /// A text.
    Text,
    /// A text over the limit, which is skipped.
    LongText,
    /// The content of the file of this name; the frame has not begun.
    File(String),
    /// The content of an upload, of which `offset` bytes have arrived. If the file is refused, its
    /// content is skipped.
    Content { id: u32, offset: u64 },
}

/// What woke the loop of a connection.
enum Wakeup {
    Stop(End),
    Outcome(Option<Outcome>),
    Answered(Answered),
    Tick,
    Read(std::io::Result<usize>),
    Late,
    Idle,
    First,
}

/// Serves a connection until it ends, or `stop` becomes true. Returns whether it ended without an error.
pub(crate) async fn serve(
    rules: &Rules,
    framing: Framing<AnyFormat>,
    log: Log<'_>,
    (incoming, outgoing): Halves,
    mut stop: Stop,
) -> bool {
    let (mut incoming, mut account) = rules.budget.open(incoming, log.active().network());
    let active = log.active().clone();
    let answers = Answers::new(rules, &log, true);
    let mut conversation = DialectConversation {
        rules,
        framing,
        log,
        writer: FrameWriter::with_framing(outgoing, framing),
        answers,
        // Files have their own limit; `begin` checks the limit of the other frames.
        decoder: Decoder::with_framing(framing.with_limit(u64::MAX)),
        uploads: Uploads::new(rules, active),
        rate: MinRate::new(rules.min_rate),
        state: State::Item,
        held: Vec::new(),
        last_id: 0,
        at: 0,
        closed: false,
    };
    conversation.log.connected().await;
    conversation.log.announce(None).await;
    let end = conversation.run(&mut incoming, &mut account, &mut stop).await;
    let DialectConversation { mut log, mut uploads, writer, state, answers, held, .. } =
        conversation;
    drop((answers, held));
    if let State::Content { id, .. } = state {
        uploads.drop_part(id);
    }
    account.close(0, uploads.held_len());
    while let Some(outcome) = uploads.next_until_done().await {
        log.file(&outcome).await;
        account.close(0, uploads.held_len());
    }
    log.ended(&end).await;
    let last = shut_down(incoming.into_inner(), writer.into_inner().0);
    stop.unless_ordered(&end, last).await;
    end.is_clean()
}

/// The conversation with one peer that speaks the dialect.
struct DialectConversation<'a> {
    rules: &'a Rules,
    framing: Framing<AnyFormat>,
    log: Log<'a>,
    writer: FrameWriter<BoxedWriter, AnyFormat>,
    answers: Answers<'a>,
    decoder: Decoder<AnyFormat>,
    uploads: Uploads,
    rate: MinRate,
    state: State,
    /// The received bytes of a frame that is kept until it is complete.
    held: Vec<u8>,
    /// The id of the last upload.
    last_id: u32,
    /// The stream offset of the current frame.
    at: u64,
    closed: bool,
}

impl DialectConversation<'_> {
    async fn run(
        &mut self,
        incoming: &mut Budgeted<BoxedReader>,
        account: &mut Account,
        stop: &mut Stop,
    ) -> End {
        let mut chunk = vec![0; CHUNK];
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first = pin!(sleep(self.rules.first_timeout));
        let mut last_read = Instant::now();
        // When the current frame began to arrive, but for the time in which the budget has no room.
        let mut began: Option<Instant> = None;
        let mut could_read = true;
        while !(self.closed && self.uploads.is_empty() && self.answers.is_empty()) {
            let has_room = self.answers.has_room(account.has_turn());
            let can_read = !self.closed && self.uploads.has_room() && has_room;
            account.hold(self.held(), can_read);
            if account.waits() {
                self.uploads.flush();
            }
            let can_read = can_read && !account.waits();
            let can_answer = !account.must_wait_to_answer();
            if !(could_read && can_read) {
                self.uploads.could_not_arrive();
            }
            could_read = can_read;
            let is_content = matches!(self.state, State::Content { .. });
            let late = began
                .filter(|_| !is_content)
                .and_then(|began| began.checked_add(self.rules.frame_timeout))
                .and_then(|late| late.checked_add(account.waited()));
            let idle = self.rules.idle_timeout.and_then(|after| last_read.checked_add(after));
            let wakeup = tokio::select! {
                biased;
                end = stop.ordered() => Wakeup::Stop(end),
                outcome = self.uploads.next(), if !self.uploads.is_empty() => {
                    Wakeup::Outcome(outcome)
                }
                answered = self.answers.next(), if can_answer => Wakeup::Answered(answered),
                _ = ticks.tick(), if is_content && can_read => Wakeup::Tick,
                changed = account.changed() => match changed {
                    Ok(()) => continue,
                    Err(end) => return end,
                },
                read = incoming.read(&mut chunk), if can_read => Wakeup::Read(read),
                () = sleep_until_some(late), if can_read => Wakeup::Late,
                () = sleep_until_some(idle), if can_read => Wakeup::Idle,
                () = &mut first, if self.decoder.position() == 0 => Wakeup::First,
                else => Wakeup::Stop(End::Stopped),
            };
            let n = match wakeup {
                Wakeup::Stop(end) => return end,
                Wakeup::Outcome(outcome) => {
                    if let Some(outcome) = outcome {
                        self.log.file(&outcome).await;
                    }
                    continue;
                }
                Wakeup::Answered(Answered { answer, said, .. }) => {
                    account.answered();
                    for line in said {
                        self.log.command(&line).await;
                    }
                    match answer {
                        None => continue,
                        Some(answer) => match self.send_text(&answer, account).await {
                            Ok(()) => continue,
                            Err(end) => return end,
                        },
                    }
                }
                Wakeup::Tick => {
                    self.uploads.flush();
                    self.uploads.refuse_stalled();
                    match self.rate.waited(TICK, 0) {
                        Ok(()) => continue,
                        Err(slow) => return End::at(self.at, Code::TOO_SLOW, &slow.message()),
                    }
                }
                Wakeup::Late => {
                    let after = self.rules.frame_timeout;
                    let message = format!("the frame is not complete after {after:?}");
                    return End::at(self.at, Code::FRAME_TIMEOUT, &message);
                }
                Wakeup::Idle => {
                    let after = self.rules.idle_timeout.unwrap_or(Duration::ZERO);
                    let message = format!("no byte came for {after:?}");
                    return End::at(self.at, Code::IDLE_TIMEOUT, &message);
                }
                Wakeup::First => return self.rules.no_first_frame(),
                Wakeup::Read(Ok(0)) => match self.end_of_stream() {
                    Ok(()) => {
                        self.closed = true;
                        continue;
                    }
                    Err(end) => return end,
                },
                Wakeup::Read(Ok(n)) => n,
                Wakeup::Read(Err(error)) => {
                    let message = format!("the connection broke: {error}; did the peer crash?");
                    return End::transport(message);
                }
            };
            last_read = Instant::now();
            match self.bytes(chunk.get(..n).unwrap_or_default(), account).await {
                Ok(ended) if ended => began = None,
                Ok(_) => {}
                Err(end) => return end,
            }
            if self.decoder.finish().is_ok() {
                began = None;
            } else {
                began = began.or(last_read.checked_sub(account.waited()));
            }
        }
        End::Clean
    }

    /// Returns the number of bytes that are held for this peer.
    fn held(&self) -> Held {
        let Self { held, uploads, answers, .. } = self;
        Held {
            peer: held.len(),
            commands: answers.held_len(),
            answer: answers.next_len(),
            disk: uploads.held_len(),
        }
    }

    /// Decodes received bytes. Returns whether a frame ended in them.
    async fn bytes(&mut self, mut input: &[u8], account: &mut Account) -> Result<bool, End> {
        let mut ended = false;
        while !self.closed {
            let piece = match self.decoder.decode(&mut input) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => return Err(self.decode_failed(&error)),
            };
            ended |= piece.last;
            self.piece(&piece, account).await?;
        }
        Ok(ended)
    }

    async fn piece(
        &mut self,
        piece: &Piece<'_, AnyMeta>,
        account: &mut Account,
    ) -> Result<(), End> {
        if let Some(header) = &piece.header {
            let seen = (header.header_len as u64).saturating_add(piece.bytes.len() as u64);
            self.at = self.decoder.position().saturating_sub(seen);
            self.begin(header.payload_len).await?;
        }
        match &mut self.state {
            State::Item | State::Text => self.held.extend_from_slice(piece.bytes),
            State::LongText | State::File(_) => {}
            State::Content { id, offset } => {
                let len = piece.bytes.len() as u64;
                if len > 0 {
                    self.rate.arrived(len);
                    self.uploads.data(*id, *offset, piece.bytes);
                    *offset += len;
                }
            }
        }
        if piece.last { self.end(account).await } else { Ok(()) }
    }

    /// Handles the header of a frame.
    async fn begin(&mut self, len: u64) -> Result<(), End> {
        let limit = self.framing.limit();
        match mem::replace(&mut self.state, State::Item) {
            State::File(name) => {
                self.last_id += 1;
                let id = self.last_id;
                self.rate.restart();
                match check_name(&name) {
                    Ok(()) => self.uploads.open_once(id, &name, len),
                    Err(error) => {
                        let cause = Some(std::io::Error::other(error));
                        let refusal = Refusal { code: Code::BAD_NAME, kept: 0, cause };
                        let answer = Answer::Refused(refusal);
                        self.log.file(&Outcome { id, name, answer }).await;
                    }
                }
                self.state = State::Content { id, offset: 0 };
            }
            state if len <= limit => self.state = state,
            state => {
                let error = DecodeError::Oversize { at: self.at, len, limit };
                if !(self.rules.skip_oversize && matches!(state, State::Text)) {
                    return Err(self.decode_failed(&error));
                }
                self.log.skipped(&error).await;
                self.state = State::LongText;
            }
        }
        Ok(())
    }

    /// Handles the end of a frame.
    async fn end(&mut self, account: &mut Account) -> Result<(), End> {
        let frame = mem::take(&mut self.held);
        match mem::replace(&mut self.state, State::Item) {
            State::Item if frame == CLOSE => self.closed = true,
            State::Item => match item_state(&frame) {
                Ok(state) => self.state = state,
                Err(error) => {
                    let shown = preview(&frame, frame.len() as u64, 60);
                    let error = reason(&error.to_string());
                    return Err(End::at(
                        self.at,
                        Code::BAD_MESSAGE,
                        &format!(
                            "{shown} is no {{\"msg_type\":\"msg\"}}, no \
                             {{\"msg_type\":\"file\",\"file_name\":…}} and no close ({error}); \
                             for frames that are messages themselves leave out --dir"
                        ),
                    ));
                }
            },
            State::Text => {
                self.log.message(self.at, AnyMeta::None, &frame).await;
                let limit = self.framing.limit();
                if let Some(text) = self.answers.to(AnyMeta::None, &frame, limit) {
                    return self.send_text(&text, account).await;
                }
            }
            State::Content { id, offset } => self.uploads.done(id, offset, None),
            State::LongText | State::File(_) => {}
        }
        Ok(())
    }

    /// Sends a text in the dialect: its JSON and the text.
    async fn send_text(&mut self, text: &[u8], account: &mut Account) -> Result<(), End> {
        let held = self.held().more(text);
        let meta = self.framing.format().plain_meta(Kind::TEXT);
        let item = crate::term::output::json(&Item { msg_type: ItemType::Msg });
        let sent = async {
            self.writer.feed(meta, item.as_bytes()).await?;
            self.writer.send(meta, text).await
        };
        let sent = account.in_time(held, self.rules.frame_timeout, sent).await?;
        sent.map_err(|error| End::write(&error))
    }

    fn end_of_stream(&self) -> Result<(), End> {
        if let Err(error) = self.decoder.finish() {
            return Err(self.decode_failed(&error));
        }
        let missing = match &self.state {
            State::Text => "its text",
            State::File(_) => "the file",
            _ => return Ok(()),
        };
        let at = self.decoder.position();
        let message =
            format!("byte {at}: the stream ended after an item's JSON, {missing} is missing");
        Err(End::Error { at: Some(at), code: Some(Code::TRUNCATED), message })
    }

    fn decode_failed(&self, error: &DecodeError) -> End {
        let message = explain(error, *self.framing.format());
        End::Error { at: Some(error.at()), code: Some(Code(error.code())), message }
    }
}

/// Returns the role of the frame after this JSON.
fn item_state(json: &[u8]) -> serde_json::Result<State> {
    Ok(match serde_json::from_slice::<Item>(json)?.msg_type {
        ItemType::Msg => State::Text,
        ItemType::File => State::File(serde_json::from_slice::<FileItem>(json)?.file_name),
    })
}

/// Waits until this time; indefinitely if there is none.
async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
