//! The rules of a conversation in the version-1 protocol (spec, chapters 14 and 15), without a
//! socket, a clock or a file.
//!
//! A [`Session`] stands between the frames of a connection and an application:
//!
//! | what happens | what is called |
//! | --- | --- |
//! | a header arrived | [`handle_header`](Session::handle_header): a frame that has no place here is an error before its payload is read |
//! | a frame arrived | [`handle_frame`](Session::handle_frame), which says what it means for the application |
//! | the stream ended | [`handle_end`](Session::handle_end) |
//! | some seconds passed | [`handle_tick`](Session::handle_tick) |
//! | something else failed: the framing, a time limit | [`fail`](Session::fail) |
//! | the application has something to say | [`send`](Session::send), which checks it and gives the bytes to write |
//! | after each of these | [`poll_transmit`](Session::poll_transmit), until `None`: what the session says by itself |
//!
//! ```
//! use unstick::Kind;
//! use unstick_session::message::{Hello, Message};
//! use unstick_session::session::{Event, Session};
//!
//! let mut session = Session::new();
//! let hello = session.send(&Message::Hello(Hello { limit: 1 << 20, name: "example" }))?;
//! assert_eq!((hello.kind(), hello.payload_len()), (Kind::HELLO, 11)); // write it
//!
//! // A ping arrived. It needs nothing of the application.
//! assert_eq!(session.handle_frame(Kind::PING, b"7")?, Event::Nothing);
//! let pong = session.poll_transmit().unwrap();
//! assert_eq!((pong.kind(), pong.tail()), (Kind::PONG, &b"7"[..])); // write it too
//!
//! assert_eq!(session.handle_frame(Kind::TEXT, b"hi")?, Event::Text("hi"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files
//! Each direction has one file open at a time, and up to [`MAX_TRANSFERS`] without a final status.
//!
//! **To send one**, [`send`](Session::send) a [`FileOpen`] with
//! [`next_transfer_id`](Session::next_transfer_id). To go on with an earlier try, wait for
//! [`Event::FileReady`], digest as much of the file as the receiver holds, and begin at
//! [`FileStatus::begin_at`]. Otherwise begin with data at 0 at once. Then
//! [`FileDone`], and the next file may be opened; [`Event::FileEnd`] says later what became of it.
//! When it comes for the file that is open, stop sending that.
//!
//! (Connections have a `send_file` that does so.)
//!
//! **To receive them**, answer events by sending a [`FileStatus`]. A [`FileReceiver`] does, with
//! what the application has for a disk; who wants more does what it does:
//!
//! | event | what the application does | and sends |
//! | --- | --- | --- |
//! | [`FileOpen`](Event::FileOpen) | looks for a part kept under this name and key; digests it | [`ready`](FileStatus::ready), [`exists`](FileStatus::exists) or [`refused`](FileStatus::refused) |
//! | [`FileData`](Event::FileData) | writes the bytes at their offset; offset 0 drops what the part holds | nothing, or `refused` |
//! | [`FileDone`](Event::FileDone) | cuts the part to `total`, which without data before is 0 or what `ready` said; syncs it, compares its digest, gives it its name | [`FileDone::answer`], `exists` or `refused` |
//! | [`FileCancel`](Event::FileCancel), [`FileRefused`](Event::FileRefused) | drops the part | nothing: the session answers |
//!
//! Between open and ready, and between done and its answer, the application may take its time, and
//! go on reading: further files arrive meanwhile. Who wants a smaller number at once stops reading,
//! or refuses with [`Code::BUSY`].
//!
//! # Memory
//! A session has less than 1.5 KiB, and never more: two pings, and twice
//! [`MAX_TRANSFERS`] transfers.

mod error;
mod incoming;
mod outgoing;
mod receiver;
mod transfer;

use unstick::Kind;

use crate::bytes::copy;
use crate::message::{
    Close, Code, Encoded, FileCancel, FileData, FileDone, FileOpen, FileStatus, Hello,
    MAX_PING_LEN, Message, MessageError, check_len,
};

pub use error::{SendError, SessionError};
use incoming::Incoming;
use outgoing::Outgoing;
pub use receiver::{FileReceiver, IncomingFile};

/// What a receiver that sent no hello is sent at most, in payload bytes (spec, 6.1).
pub const LIMIT_WITHOUT_HELLO: u64 = 65_536;

/// The most transfers of one direction that may be without a final status, the open one included
/// (spec, 15.2).
pub const MAX_TRANSFERS: usize = 64;

/// The rules of one conversation: what may come, what may be sent, and what has to be answered.
///
/// Nothing in it waits, allocates or panics.
#[derive(Clone, Debug)]
pub struct Session {
    /// The applications' kinds that are known, a bit for each.
    known: u128,
    peer_limit: u64,
    /// The limit in this side's hello.
    own_limit: u64,
    /// Whether anything was received, and sent.
    heard: bool,
    spoke: bool,
    peer_closed: bool,
    closed: bool,
    error: Option<SessionError>,
    /// What the peer is to be told about the error.
    last_words: Option<Code>,
    /// The newest ping that has no pong yet: of the peer, and of this side.
    pong: Ping,
    ping: Ping,
    incoming: Incoming,
    outgoing: Outgoing,
}

/// What a frame means for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Nothing to do: a ping, a pong that nobody waits for, a kind to be skipped, a message of a
    /// transfer that is closed.
    Nothing,
    /// The peer's limit and name. The limit is in force from now on.
    Hello(Hello<'a>),
    /// Text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
    /// A message of a kind that was [made known](Session::with_kind).
    Application {
        /// The kind.
        kind: Kind,
        /// The payload.
        payload: &'a [u8],
    },
    /// The answer to this side's newest ping.
    Pong(&'a [u8]),
    /// The peer says nothing more. Transfers of this side that have no final status get none, and
    /// the peer's open one is as after a broken connection: its part is kept.
    Close(Close<'a>),

    /// The peer offers a file: answer with ready, exists or a refusal.
    FileOpen(FileOpen<'a>),
    /// The next bytes of the peer's open file. At offset 0 they begin it anew, whatever is held.
    FileData(FileData<'a>),
    /// The peer's file is complete: answer with stored, exists or a refusal. Without any data
    /// before, the file is empty (`total` is 0), or all of it was held.
    FileDone(FileDone),
    /// The peer gave up its open file: drop the part. The answer is the session's.
    FileCancel(FileCancel<'a>),
    /// The peer's open broke a rule, and the session refuses it: drop the part, if the file was
    /// offered by [`FileOpen`](Self::FileOpen) before. With [`Code::BAD_NAME`] and
    /// [`Code::SECOND_OPEN`] it was not.
    FileRefused {
        /// The transfer.
        id: u32,
        /// Why: what the peer is told.
        code: Code,
    },

    /// The receiver of this side's open file waits for data, and holds so much of it already: see
    /// [`FileStatus::begin_at`].
    FileReady(FileStatus<'a>),
    /// The receiver is at work on a file of this side.
    FileWorking(FileStatus<'a>),
    /// The final status of a file of this side: [`FileStatus::is_there`] tells whether the receiver
    /// has it. If it is the open one, nothing more is to be sent for it.
    FileEnd(FileStatus<'a>),
}

/// Whether a frame's payload is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a payload to be skipped need not be gathered"]
pub enum Expect {
    /// Gather the payload, and give it to [`Session::handle_frame`].
    Payload,
    /// Skip it. Given to [`Session::handle_frame`] all the same, it is [`Event::Nothing`].
    Nothing,
}

impl Session {
    /// A conversation at its beginning, in which no application's kind is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            known: 0,
            peer_limit: LIMIT_WITHOUT_HELLO,
            own_limit: LIMIT_WITHOUT_HELLO,
            heard: false,
            spoke: false,
            peer_closed: false,
            closed: false,
            error: None,
            last_words: None,
            pong: Ping::NONE,
            ping: Ping::NONE,
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
        }
    }

    /// Makes an application's kind known: it is delivered, as [`Event::Application`]. The
    /// protocol's own kinds are known, and reserved ones cannot be made so.
    #[must_use]
    pub const fn with_kind(mut self, kind: Kind) -> Self {
        self.known |= bit(kind);
        self
    }

    /// Sets the peer's limit, in payload bytes, where it is known by other means. A hello still
    /// changes it.
    #[must_use]
    pub const fn with_peer_limit(mut self, limit: u64) -> Self {
        self.peer_limit = limit;
        self
    }

    /// The most payload bytes that may be sent: what the peer's hello says; 65,536 without one.
    #[must_use]
    pub const fn peer_limit(&self) -> u64 {
        self.peer_limit
    }

    /// The error that ended the conversation.
    #[must_use]
    pub const fn error(&self) -> Option<SessionError> {
        self.error
    }

    /// Whether this side has closed: nothing more may be sent.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the peer has closed: nothing more will come.
    #[must_use]
    pub const fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// The id for the next [`FileOpen`]: one more than the last. `None` after 2^32 − 1 of them.
    #[must_use]
    pub fn next_transfer_id(&self) -> Option<u32> {
        self.outgoing.next_id()
    }

    /// The file of this side that is open.
    #[must_use]
    pub fn open_transfer(&self) -> Option<u32> {
        self.outgoing.open_id()
    }

    /// Whether an open can be sent now.
    ///
    /// # Errors
    /// Why not. After [`SendError::TooManyTransfers`] it can once a file has its final status.
    pub fn check_may_open(&self) -> Result<(), SendError> {
        if self.closed || self.error.is_some() {
            return Err(SendError::Closed);
        }
        if self.peer_closed {
            return Err(SendError::PeerClosed);
        }
        if self.own_limit < FileStatus::HEAD_LEN as u64 {
            return Err(SendError::NoRoomForStatus { limit: self.own_limit });
        }
        self.outgoing.check_may_open()
    }

    /// How many files of this side have no final status, the open one included. An ordinary close
    /// waits until it is 0, or it will not be known what became of them.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.outgoing.unanswered()
    }

    /// How many files of the peer this side owes a final status, the open one included. An ordinary
    /// close waits until it is 0.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.incoming.owed()
    }

    /// Judges a frame by its header, before its payload is there.
    ///
    /// It may be left out: [`handle_frame`](Self::handle_frame) does the same.
    ///
    /// # Errors
    /// The frame ends the conversation whatever its payload is: a critical kind that is not known,
    /// a hello that is not the first message, a message behind a close, a length that the kind
    /// cannot have. Or an error came before.
    pub fn handle_header(&mut self, kind: Kind, payload_len: u64) -> Result<Expect, SessionError> {
        match self.check_header(kind, payload_len) {
            Ok(expect) => {
                // A frame that is skipped is a first one too.
                self.heard |= expect == Expect::Nothing;
                Ok(expect)
            }
            Err(error) => Err(self.end(error)),
        }
    }

    /// Takes a whole frame.
    ///
    /// # Errors
    /// The peer broke a rule, and the conversation is over: write what
    /// [`poll_transmit`](Self::poll_transmit) gives, which is a close that says so, and end. Every
    /// further call returns the same error.
    pub fn handle_frame<'a>(
        &mut self,
        kind: Kind,
        payload: &'a [u8],
    ) -> Result<Event<'a>, SessionError> {
        let event = match self.handle_header(kind, payload.len() as u64)? {
            Expect::Payload => self.take(kind, payload),
            Expect::Nothing => Ok(Event::Nothing),
        };
        self.heard = true;
        event.map_err(|error| self.end(error))
    }

    /// The stream ended, on a frame boundary.
    ///
    /// # Errors
    /// [`SessionError::Unclosed`] when no close was its last message: the connection was cut, or
    /// the peer crashed. Or the error that came before.
    pub fn handle_end(&mut self) -> Result<(), SessionError> {
        match self.error {
            Some(error) => Err(error),
            None if self.peer_closed => Ok(()),
            None => Err(self.end(SessionError::Unclosed)),
        }
    }

    /// Some seconds have passed: the peer is told of each of its files that waits for this side
    /// that it is being worked on. Two to five seconds are a good time between two calls; with no
    /// file waiting the call does nothing.
    pub fn handle_tick(&mut self) {
        self.incoming.tick();
    }

    /// Ends the conversation for an error that was found elsewhere: by the framing
    /// ([`DecodeError::code`](unstick::DecodeError::code)), by a clock, by the application. The first
    /// error counts.
    pub fn fail(&mut self, code: Code) {
        if self.error.is_none() {
            self.end(SessionError::Failed { code });
        }
    }

    /// What the session has to say by itself, one message a call: a close after an error, a pong, a
    /// file's status. What is returned counts as sent: write it, before anything from a later
    /// [`send`](Self::send).
    ///
    /// Nothing is lost while it is not called: of several pings the newest is answered, and each
    /// status stays.
    pub fn poll_transmit(&mut self) -> Option<Encoded<'_>> {
        if self.closed {
            return None;
        }
        if self.error.is_some() {
            let code = self.last_words.take()?;
            self.closed = true;
            let reason = self.fitting(code.meaning(), 2)?;
            return Message::Close(Close { code, reason }).encode().ok();
        }
        if self.pong.waits {
            self.pong.waits = false;
            self.spoke = true;
            return Message::Pong(self.pong.bytes()).encode().ok();
        }
        let (id, code) = self.incoming.next_status()?;
        self.spoke = true;
        let status = FileStatus::new(id, code);
        let reason = self.fitting(status.reason, FileStatus::HEAD_LEN)?;
        Message::FileStatus(FileStatus { reason, ..status }).encode().ok()
    }

    /// Checks a message of the application's against the rules, counts it as sent, and gives what
    /// is to be written, in the order of the calls.
    ///
    /// Of a file-status's reason goes what the peer's limit has room for: its code is owed in any
    /// case.
    ///
    /// # Errors
    /// The message has no place now, and nothing changed.
    pub fn send<'a>(&mut self, message: &Message<'a>) -> Result<Encoded<'a>, SendError> {
        if self.closed || self.error.is_some() {
            return Err(SendError::Closed);
        }
        let shortened;
        let message = match message {
            Message::FileStatus(status) => {
                let room = self.peer_limit.saturating_sub(FileStatus::HEAD_LEN as u64);
                let reason = beginning(status.reason, room);
                shortened = Message::FileStatus(FileStatus { reason, ..*status });
                &shortened
            }
            other => other,
        };
        let encoded = message.encode()?;
        let (len, limit) = (encoded.payload_len(), self.peer_limit);
        if len > limit {
            return Err(SendError::TooLong { len, limit });
        }
        let message = match *message {
            // One of the protocol's own kinds keeps its rules also by this way.
            Message::Other { kind, payload } => Message::decode(kind, payload)?,
            message => message,
        };
        match message {
            Message::Hello(_) if self.spoke => return Err(SendError::LateHello),
            Message::Hello(hello) => self.own_limit = hello.limit.into(),
            Message::Other { kind, .. } if !kind.is_application() => {
                return Err(SendError::ReservedKind { kind });
            }
            Message::Text(_) | Message::Binary(_) | Message::Pong(_) | Message::Other { .. } => {}
            Message::Ping(payload) => self.ping.set(payload),
            Message::Close(_) => self.closed = true,
            Message::FileOpen(open) => {
                self.check_may_open()?;
                self.outgoing.open(&open)?;
            }
            Message::FileData(data) => self.outgoing.data(&data)?,
            Message::FileDone(done) => self.outgoing.done(&done)?,
            Message::FileCancel(cancel) => self.outgoing.cancel(&cancel)?,
            Message::FileStatus(status) => self.incoming.answer(&status)?,
        }
        self.spoke = true;
        Ok(encoded)
    }

    fn check_header(&self, kind: Kind, payload_len: u64) -> Result<Expect, SessionError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.peer_closed {
            return Err(SessionError::AfterClose { kind });
        }
        if kind == Kind::HELLO && self.heard {
            return Err(SessionError::LateHello);
        }
        if kind.name().is_some() || self.known & bit(kind) != 0 {
            check_len(kind, payload_len)?;
            return Ok(Expect::Payload);
        }
        if kind.is_critical() {
            return Err(SessionError::UnknownKind { kind });
        }
        Ok(Expect::Nothing)
    }

    /// What a frame that may come here means.
    fn take<'a>(&mut self, kind: Kind, payload: &'a [u8]) -> Result<Event<'a>, SessionError> {
        let answers = !self.closed;
        let message = match Message::decode(kind, payload) {
            Err(MessageError::Name { id, .. }) => {
                self.check_room_for_status()?;
                return self.incoming.opened_misnamed(id, answers);
            }
            message => message?,
        };
        Ok(match message {
            Message::Hello(hello) => {
                self.peer_limit = hello.limit.into();
                Event::Hello(hello)
            }
            Message::Text(text) => Event::Text(text),
            Message::Binary(bytes) => Event::Binary(bytes),
            Message::Ping(payload) => {
                // One that the peer could not take back is not answered.
                if payload.len() as u64 <= self.peer_limit {
                    self.pong.set(payload);
                }
                Event::Nothing
            }
            Message::Pong(payload) if self.ping.waits && payload == self.ping.bytes() => {
                self.ping.waits = false;
                Event::Pong(payload)
            }
            Message::Pong(_) => Event::Nothing,
            Message::Close(close) => {
                self.peer_closed = true;
                self.incoming.ended();
                Event::Close(close)
            }
            Message::FileOpen(open) => {
                self.check_room_for_status()?;
                self.incoming.opened(open, answers)?
            }
            Message::FileData(data) => self.incoming.data(data)?,
            Message::FileDone(done) => self.incoming.done(done)?,
            Message::FileCancel(cancel) => self.incoming.cancelled(cancel)?,
            Message::FileStatus(status) => self.outgoing.answered(status)?,
            Message::Other { kind, payload } => Event::Application { kind, payload },
        })
    }

    /// Whether the peer could take the answer to an open.
    fn check_room_for_status(&self) -> Result<(), SessionError> {
        let limit = self.peer_limit;
        if limit < FileStatus::HEAD_LEN as u64 {
            return Err(SessionError::NoRoomForStatus { limit });
        }
        Ok(())
    }

    /// The first error stays, and the peer is told.
    fn end(&mut self, error: SessionError) -> SessionError {
        if let Some(error) = self.error {
            return error;
        }
        self.error = Some(error);
        let code = error.code();
        let local = [Code::REFUSED_DATAGRAM, Code::UNSYNCHRONIZED, Code::UNCLOSED];
        self.last_words = (!local.contains(&code)).then_some(code);
        self.incoming.ended();
        error
    }

    /// The reason, if the peer's limit has room for it behind so many bytes; else none. `None` if
    /// not even those fit.
    fn fitting(&self, reason: &'static str, head: usize) -> Option<&'static str> {
        let room = self.peer_limit.checked_sub(head as u64)?;
        Some(if reason.len() as u64 <= room { reason } else { "" })
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// As much of a text as `room` bytes hold, in whole characters.
pub(crate) fn beginning(text: &str, room: u64) -> &str {
    let bytes = usize::try_from(room).ok().and_then(|room| text.as_bytes().get(..room));
    let Some(bytes) = bytes else { return text };
    // Slicing a `str` would keep a panic path at some optimisation levels.
    let whole = core::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    bytes.get(..whole).and_then(|whole| core::str::from_utf8(whole).ok()).unwrap_or_default()
}

/// The bit of an application's kind, or none.
const fn bit(kind: Kind) -> u128 {
    if !kind.is_application() {
        return 0;
    }
    let number = kind.get() as u32;
    1u128.wrapping_shl((number & 0x3F) | ((number & 0x80) >> 1))
}

/// The payload of a ping.
#[derive(Clone, Debug)]
struct Ping {
    bytes: [u8; MAX_PING_LEN],
    len: usize,
    waits: bool,
}

impl Ping {
    const NONE: Self = Self { bytes: [0; MAX_PING_LEN], len: 0, waits: false };

    /// Waits from now on, in place of an older one.
    fn set(&mut self, payload: &[u8]) {
        copy(&mut self.bytes, payload);
        self.len = payload.len();
        self.waits = true;
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests;
