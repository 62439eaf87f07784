//! The plain dialect of many a tutorial, with `--dir` and a format without kinds: every item is two
//! frames, JSON that says what it is, and its text or content. A frame `close` is the end.
//!
//! ```text
//! {"msg_type": "msg"}                          你好
//! {"msg_type": "file", "file_name": "a.bin"}   the bytes of the file
//! close
//! ```
//!
//! Such a peer never reads: nothing is written to it, unless `--reply` asks. There are no digests
//! and no keys: a file counts as whole when its frame is, and begins anew on the next try.

use std::future::pending;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use unstick::tokio::{FrameReader, FrameWriter};
use unstick::{DecodeError, Decoder, Kind, Piece};
use unstick_session::message::{Code, check_name};

use crate::addr::{Incoming, Outgoing};
use crate::advice::explain;
use crate::format::{AnyFormat, AnyMeta};
use crate::goodbye::part;
use crate::inbox::{Inbox, Refusal};
use crate::preview::preview;
use crate::rate::LeastRate;
use crate::serve::{End, Log, Rules, TICK, in_time};
use crate::uploads::{Answer, Outcome, Uploads};
use crate::v1::Close;

/// The bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// The frame that ends a connection.
const CLOSE: &[u8] = b"close";

/// What the next frame is.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "msg_type", rename_all = "lowercase")]
enum Item {
    Msg,
    File { file_name: String },
}

/// What the frame that arrives is.
#[derive(Debug)]
enum State {
    /// JSON, or the end.
    Item,
    /// A text.
    Text,
    /// A text that is over the limit, and skipped.
    LongText,
    /// The content of the file of this name, whose frame has not begun.
    File(String),
    /// That of an upload, so much of it is here. It may be refused, and is read over.
    Content { id: u32, offset: u64 },
}

/// What comes next.
enum Turn {
    Stop,
    Outcome(Option<Outcome>),
    Tick,
    Read(std::io::Result<usize>),
    Late,
    Idle,
}

/// Serves a connection until it ends, or `stop` says so.
pub(crate) async fn serve(
    rules: &Rules,
    inbox: Arc<Inbox>,
    log: Log<'_>,
    (mut incoming, outgoing): (Incoming, Outgoing),
    mut stop: watch::Receiver<bool>,
) {
    let mut talk = Talk {
        rules,
        log,
        writer: FrameWriter::with_framing(outgoing, rules.framing),
        // A file's frame has a limit of its own; the others are judged here.
        decoder: Decoder::with_framing(rules.framing.with_limit(u64::MAX)),
        uploads: Uploads::new(Some(inbox)),
        rate: LeastRate::new(rules.min_rate),
        state: State::Item,
        held: Vec::new(),
        ids: 0,
        at: 0,
        closed: false,
    };
    talk.log.connected().await;
    talk.log.announce(None).await;
    let end = talk.run(&mut incoming, &mut stop).await;
    let Talk { mut log, mut uploads, writer, state, .. } = talk;
    if let State::Content { id, .. } = state {
        uploads.drop_part(id);
    }
    while let Some(outcome) = uploads.rest().await {
        log.file(&outcome).await;
    }
    log.ended(&end).await;
    let reader = FrameReader::with_framing(incoming, rules.framing);
    part(reader, writer, Close::ordinary(), 0).await;
}

/// The conversation with one peer.
struct Talk<'a> {
    rules: &'a Rules,
    log: Log<'a>,
    writer: FrameWriter<Outgoing, AnyFormat>,
    decoder: Decoder<AnyFormat>,
    uploads: Uploads,
    rate: LeastRate,
    state: State,
    /// A frame that has to be held, as far as it came.
    held: Vec<u8>,
    /// The uploads that were begun.
    ids: u32,
    /// The stream offset of the frame.
    at: u64,
    closed: bool,
}

impl Talk<'_> {
    async fn run(&mut self, incoming: &mut Incoming, stop: &mut watch::Receiver<bool>) -> End {
        let mut chunk = vec![0; CHUNK];
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        // Since when the frame is on its way.
        let mut began = None;
        while !(self.closed && self.uploads.is_empty()) {
            let reads = !self.closed && self.uploads.has_room();
            let is_content = matches!(self.state, State::Content { .. });
            let late = began.filter(|_| !is_content).map(|began| began + self.rules.frame_timeout);
            let idle = self.rules.idle_timeout.map(|after| heard + after);
            let turn = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Turn::Stop,
                outcome = self.uploads.next(), if !self.uploads.is_empty() => Turn::Outcome(outcome),
                _ = ticks.tick(), if is_content && reads => Turn::Tick,
                read = incoming.read(&mut chunk), if reads => Turn::Read(read),
                () = passed(late), if reads => Turn::Late,
                () = passed(idle), if reads => Turn::Idle,
                else => Turn::Stop,
            };
            let n = match turn {
                Turn::Stop => return End::Stopped,
                Turn::Outcome(outcome) => {
                    if let Some(outcome) = outcome {
                        self.log.file(&outcome).await;
                    }
                    continue;
                }
                Turn::Tick => {
                    self.uploads.flush();
                    match self.rate.waited(TICK, 0) {
                        Ok(()) => continue,
                        Err(slow) => return End::at(self.at, Code::TOO_SLOW, &slow.message()),
                    }
                }
                Turn::Late => {
                    let after = self.rules.frame_timeout;
                    let message = format!("the frame is not complete after {after:?}");
                    return End::at(self.at, Code::FRAME_TIMEOUT, &message);
                }
                Turn::Idle => {
                    let after = self.rules.idle_timeout.unwrap_or(Duration::ZERO);
                    let message = format!("no byte came for {after:?}");
                    return End::at(self.at, Code::IDLE_TIMEOUT, &message);
                }
                Turn::Read(Ok(0)) => match self.end_of_stream() {
                    Ok(()) => {
                        self.closed = true;
                        continue;
                    }
                    Err(end) => return end,
                },
                Turn::Read(Ok(n)) => n,
                Turn::Read(Err(error)) => {
                    let message = format!("the connection broke: {error}; did the peer crash?");
                    return End::transport(message);
                }
            };
            heard = Instant::now();
            match self.bytes(chunk.get(..n).unwrap_or_default()).await {
                Ok(ended) if ended => began = None,
                Ok(_) => {}
                Err(end) => return end,
            }
            if self.decoder.finish().is_ok() {
                began = None;
            } else {
                began = began.or(Some(heard));
            }
        }
        End::Clean
    }

    /// Takes bytes as they came. Says whether a frame ended in them.
    async fn bytes(&mut self, mut input: &[u8]) -> Result<bool, End> {
        let mut ended = false;
        while !self.closed {
            let piece = match self.decoder.decode(&mut input) {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => return Err(self.broken(&error)),
            };
            ended |= piece.last;
            self.piece(&piece).await?;
        }
        Ok(ended)
    }

    async fn piece(&mut self, piece: &Piece<'_, AnyMeta>) -> Result<(), End> {
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
        if piece.last { self.end().await } else { Ok(()) }
    }

    /// A frame begins.
    async fn begin(&mut self, len: u64) -> Result<(), End> {
        let limit = self.rules.framing.limit();
        match mem::replace(&mut self.state, State::Item) {
            State::File(name) => {
                self.ids += 1;
                let id = self.ids;
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
                let message = explain(&error, *self.rules.framing.format());
                if !(self.rules.skip_oversize && matches!(state, State::Text)) {
                    let (at, code) = (Some(self.at), Some(Code::OVERSIZE));
                    return Err(End::Error { at, code, message });
                }
                let message = format!("{}; skipped", crate::v1::without_advice(&message));
                self.log.error(Some(self.at), Some(Code::OVERSIZE), &message).await;
                self.state = State::LongText;
            }
        }
        Ok(())
    }

    /// A frame is complete.
    async fn end(&mut self) -> Result<(), End> {
        let frame = mem::take(&mut self.held);
        match mem::replace(&mut self.state, State::Item) {
            State::Item if frame == CLOSE => self.closed = true,
            State::Item => match serde_json::from_slice(&frame) {
                Ok(Item::Msg) => self.state = State::Text,
                Ok(Item::File { file_name }) => self.state = State::File(file_name),
                Err(error) => {
                    let shown = preview(&frame, frame.len() as u64, 60);
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
                if let Some(reply) = &self.rules.reply {
                    let text = reply.to(&frame);
                    return self.say(&text).await;
                }
            }
            State::Content { id, offset } => self.uploads.done(id, offset, None),
            State::LongText | State::File(_) => {}
        }
        Ok(())
    }

    /// Sends a text, as the peer would.
    async fn say(&mut self, text: &[u8]) -> Result<(), End> {
        let meta = self.rules.framing.format().plain_meta(Kind::TEXT);
        let item = crate::output::json(&Item::Msg);
        in_time(self.rules, self.writer.feed(meta, item.as_bytes())).await?;
        in_time(self.rules, self.writer.send(meta, text)).await
    }

    fn end_of_stream(&self) -> Result<(), End> {
        if let Err(error) = self.decoder.finish() {
            return Err(self.broken(&error));
        }
        let missing = match &self.state {
            State::Text => "its text",
            State::File(_) => "the file",
            _ => return Ok(()),
        };
        let at = self.decoder.position();
        let message =
            format!("byte {at}: the stream ended behind an item's JSON, {missing} is missing");
        Err(End::Error { at: Some(at), code: Some(Code::TRUNCATED), message })
    }

    fn broken(&self, error: &DecodeError) -> End {
        let message = explain(error, *self.rules.framing.format());
        End::Error { at: Some(error.at()), code: Some(Code(error.code())), message }
    }
}

/// Waits until then; without a time for ever.
async fn passed(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
