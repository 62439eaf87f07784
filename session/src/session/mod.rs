//! The rules of a conversation in the version 1 protocol (spec, chapters 14 and 15), without I/O:
//! no socket, no clock, no files.
//!
//! A [`Session`] stands between the frames of a connection and an application:
//!
//! | event | method to call |
//! | --- | --- |
//! | a header arrived | [`handle_header`](Session::handle_header) (optional): reports a frame that is not allowed here before its payload is read |
//! | a frame arrived | [`handle_frame`](Session::handle_frame), which returns what it means for the application |
//! | a frame over the limit was skipped | [`handle_skipped`](Session::handle_skipped) |
//! | the stream ended, or the transport failed | [`handle_end`](Session::handle_end) |
//! | a few seconds passed | [`handle_tick`](Session::handle_tick) |
//! | something else failed: the framing, a time limit | [`fail`](Session::fail) |
//! | the application sends a message | [`send`](Session::send), which checks it and returns the bytes to write |
//! | after each of these | [`poll_transmit`](Session::poll_transmit), until it returns `None`: the messages that the session sends by itself |
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
//! // A ping arrived. The application has nothing to do.
//! assert_eq!(session.handle_frame(Kind::PING, b"7")?, Event::Nothing);
//! let pong = session.poll_transmit().unwrap();
//! assert_eq!((pong.kind(), pong.tail()), (Kind::PONG, &b"7"[..])); // write it too
//!
//! assert_eq!(session.handle_frame(Kind::TEXT, b"hi")?, Event::Text("hi"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Files
//! In each direction, one file is open at a time, and up to [`MAX_TRANSFERS`] files have no final
//! status.
//!
//! **To send a file**, [`send`](Session::send) a [`FileOpen`] with
//! [`next_transfer_id`](Session::next_transfer_id). To resume an earlier attempt, wait for
//! [`Event::FileReady`], compute the digest of as many bytes as the receiver holds, and start at
//! [`FileStatus::begin_at`]. Otherwise send data from offset 0 at once. Then send [`FileDone`](crate::message::FileDone). The
//! next file can be opened directly after it; [`Event::FileEnd`] reports the outcome later. If
//! `FileEnd` arrives for the file that is still open, stop sending that file.
//!
//! (The `send_file` methods of the connections do this, without resuming.)
//!
//! **To receive files**, answer events by sending a [`FileStatus`]. A [`FileReceiver`] does this,
//! with storage that the application implements. An application that needs more control does the
//! same itself:
//!
//! | event | what the application does | what it sends |
//! | --- | --- | --- |
//! | [`FileOpen`](Event::FileOpen) | looks for a part kept under this name and key; computes its digest | [`ready`](FileStatus::ready), [`exists`](FileStatus::exists) or [`refused`](FileStatus::refused) |
//! | [`FileData`](Event::FileData) | writes the bytes at their offset; data at offset 0 drops the part held so far | nothing, or `refused` |
//! | [`FileDone`](Event::FileDone) | cuts the part to `total` (without any data before, that is 0 or the offset in `ready`), syncs it, compares its digest, gives it its name | [`FileDone::answer`](crate::message::FileDone::answer), `exists` or `refused` |
//! | [`FileCancel`](Event::FileCancel), [`FileRefused`](Event::FileRefused) | drops the part | nothing: the session answers |
//!
//! Between open and ready, and between done and its answer, the application may take its time and
//! keep reading; further files arrive in the meantime. To have fewer files at once, refuse files with
//! [`Code::BUSY`]. Do not stop reading because something cannot be written: the peer may be waiting
//! for the same (spec, 14.9).
//!
//! # The end
//! Before an ordinary close, [`drain`](Session::drain), and go on until
//! [`unanswered`](Session::unanswered) and [`owed`](Session::owed) are 0. Then send the close, shut
//! the write direction down, and read to the end of the stream. After an error, write what
//! [`poll_transmit`](Session::poll_transmit) returns, shut the write direction down, and discard what
//! arrives for a few seconds, before the connection is closed: a reset could overtake the close.
//! (Both `Connection`s do the latter by themselves, and the former in `close_with`.)
//!
//! # Time
//! A session has no clock. If this side has sent nothing for 20 seconds, send a ping;
//! [`SendError::TooManyPings`] means that the peer has not answered the last ones (spec, 14.7).
//!
//! # Memory
//! A session takes less than 2 KiB and does not allocate: the peer's newest ping, [`MAX_PINGS`] of
//! this side, and [`MAX_TRANSFERS`] transfers in each direction.

mod error;
mod event;
mod incoming;
mod outgoing;
mod ping;
mod receiver;
mod transfer;

use unstick::Kind;

use crate::message::{
    Close, Code, Encoded, FileCancel, FileOpen, FileStatus, Message, MessageError, check_len,
};

pub use error::{SendError, SessionError};
pub use event::{Event, Expect};
use incoming::Incoming;
use outgoing::Outgoing;
use ping::{OpenPings, Ping};
pub use receiver::{FileReceiver, IncomingFile};

/// The maximum payload length, in bytes, that is sent to a receiver that sent no hello (spec, 6.1).
pub const LIMIT_WITHOUT_HELLO: u64 = 65_536;

/// The maximum number of transfers without a final status in one direction, including the open one
/// (spec, 15.2).
pub const MAX_TRANSFERS: usize = 64;

/// The maximum number of this side's pings that wait for an answer (spec, 14.3).
pub const MAX_PINGS: usize = 4;

/// The state of one conversation. It checks what is received and sent, and produces the answers
/// that the protocol requires.
///
/// It does not wait, allocate or panic.
///
/// ```
/// use unstick::Kind;
/// use unstick_session::message::Message;
/// use unstick_session::session::{Event, Session};
///
/// let mut session = Session::new();
/// assert_eq!(session.handle_frame(Kind::TEXT, b"hello")?, Event::Text("hello"));
/// let answer = session.send(&Message::Text("HELLO"))?;
/// assert_eq!((answer.kind(), answer.tail()), (Kind::TEXT, &b"HELLO"[..])); // write it as a frame
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// The known application kinds, one bit for each.
    known: u128,
    peer_limit: u64,
    /// The limit in this side's hello.
    own_limit: u64,
    /// Whether any frame was received (`has_received`) or sent (`has_sent`).
    has_received: bool,
    has_sent: bool,
    peer_closed: bool,
    closed: bool,
    /// Whether this side opens no more files, and refuses those of the peer.
    is_draining: bool,
    error: Option<SessionError>,
    /// The code of the close that is due after an error.
    close_code: Option<Code>,
    /// The peer's newest ping, and whether its pong is due.
    pong: Ping,
    pong_is_due: bool,
    /// This side's pings that wait for an answer.
    pings: OpenPings,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Session {
    /// Creates a session at the beginning of a conversation. No application kind is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            known: 0,
            peer_limit: LIMIT_WITHOUT_HELLO,
            own_limit: LIMIT_WITHOUT_HELLO,
            has_received: false,
            has_sent: false,
            peer_closed: false,
            closed: false,
            is_draining: false,
            error: None,
            close_code: None,
            pong: Ping::EMPTY,
            pong_is_due: false,
            pings: OpenPings::NONE,
            incoming: Incoming::new(),
            outgoing: Outgoing::new(),
        }
    }

    /// Makes an application kind known: its messages are delivered as [`Event::Application`].
    ///
    /// The protocol's own kinds are always known. Reserved kinds cannot be made known (spec, 14.2).
    #[must_use]
    pub const fn with_kind(mut self, kind: Kind) -> Self {
        self.known |= bit(kind);
        self
    }

    /// Sets the peer's limit, in payload bytes, if it is known by other means. A later hello from
    /// the peer replaces it.
    ///
    /// This is the only way to converse with a peer that cannot accept 65,536 bytes: without it,
    /// this side may send as much before the peer's hello arrives (spec, CNV-2 and CNV-13).
    #[must_use]
    pub const fn with_peer_limit(mut self, limit: u64) -> Self {
        self.peer_limit = limit;
        self
    }

    /// Returns the maximum payload length, in bytes, that may be sent: the limit in the peer's
    /// hello, or 65,536 without a hello.
    #[must_use]
    pub const fn peer_limit(&self) -> u64 {
        self.peer_limit
    }

    /// Returns the error that ended the conversation, if any.
    #[must_use]
    pub const fn error(&self) -> Option<SessionError> {
        self.error
    }

    /// Begins to drain, before an ordinary close: from now on this side cannot open a file, and each
    /// file that the peer opens is refused with [`Code::SHUTTING_DOWN`] (spec, 14.4).
    ///
    /// Files that were opened before go on. Send a close when [`unanswered`](Self::unanswered) and
    /// [`owed`](Self::owed) are 0.
    pub fn drain(&mut self) {
        self.is_draining = true;
        self.incoming.drain();
    }

    /// Returns whether this side has begun to [`drain`](Self::drain).
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Returns whether this side has closed. Nothing more can be sent then.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns whether the peer has closed. It sends nothing more then.
    #[must_use]
    pub const fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Returns the id for the next [`FileOpen`]: the last id plus one. `None` if all 2^32 − 1 ids
    /// are used.
    #[must_use]
    pub fn next_transfer_id(&self) -> Option<u32> {
        self.outgoing.next_id()
    }

    /// Returns the id of this side's open file, if one is open.
    #[must_use]
    pub fn open_transfer(&self) -> Option<u32> {
        self.outgoing.open_id()
    }

    /// Checks whether an open can be sent now.
    ///
    /// # Errors
    /// Returns why it cannot. [`SendError::TooManyTransfers`] lasts until one of the files has its
    /// final status.
    pub fn check_may_open(&self) -> Result<(), SendError> {
        if self.closed || self.error.is_some() {
            return Err(SendError::Closed);
        }
        if self.peer_closed {
            return Err(SendError::PeerClosed);
        }
        if self.is_draining {
            return Err(SendError::Draining);
        }
        if self.own_limit < FileStatus::HEAD_LEN as u64 {
            return Err(SendError::NoRoomForStatus { limit: self.own_limit });
        }
        if self.peer_limit < FileStatus::HEAD_LEN as u64 {
            return Err(SendError::NoRoomForFile { limit: self.peer_limit });
        }
        self.outgoing.check_may_open()
    }

    /// Returns the number of this side's files without a final status, including the open one. Wait
    /// until it is 0 before an ordinary close, otherwise the outcome of these files stays unknown.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.outgoing.unanswered()
    }

    /// Returns the number of the peer's files to which this side owes a final status, including the
    /// open one. Wait until it is 0 before an ordinary close.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.incoming.owed()
    }

    /// Checks a frame by its header, before its payload has arrived.
    ///
    /// This call is optional: [`handle_frame`](Self::handle_frame) makes the same checks.
    ///
    /// # Errors
    /// Returns an error if the frame ends the conversation whatever its payload is: a critical kind
    /// that is not known, a hello that is not the first message, a message after a close, or a
    /// length that the kind cannot have. Returns the earlier error if the conversation has already
    /// failed.
    pub fn handle_header(&mut self, kind: Kind, payload_len: u64) -> Result<Expect, SessionError> {
        match self.check_header(kind, payload_len) {
            Ok(expect) => {
                // A skipped frame also counts as the first one: a hello cannot follow it.
                self.has_received |= expect == Expect::Nothing;
                Ok(expect)
            }
            Err(error) => Err(self.end(error)),
        }
    }

    /// Handles a whole frame.
    ///
    /// # Errors
    /// Returns an error if the peer broke a rule. The conversation is over: write what
    /// [`poll_transmit`](Self::poll_transmit) returns, which is a close with the error's code, and
    /// end the connection. Every further call returns the same error.
    pub fn handle_frame<'a>(
        &mut self,
        kind: Kind,
        payload: &'a [u8],
    ) -> Result<Event<'a>, SessionError> {
        let event = match self.handle_header(kind, payload.len() as u64)? {
            Expect::Payload => self.take(kind, payload),
            Expect::Nothing => Ok(Event::Nothing),
        };
        self.has_received = true;
        event.map_err(|error| self.end(error))
    }

    /// Handles a frame over the limit that the framing has skipped. It counts as a frame that
    /// arrived, so a hello cannot follow it, and has no other effect (spec, 14.5).
    ///
    /// # Errors
    /// Returns [`SessionError::Failed`] with [`Code::OVERSIZE`] after the peer's close: such a frame
    /// must not be skipped then. Returns the earlier error if the conversation has already failed.
    pub fn handle_skipped(&mut self) -> Result<(), SessionError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.peer_closed {
            return Err(self.end(SessionError::Failed { code: Code::OVERSIZE }));
        }
        self.has_received = true;
        Ok(())
    }

    /// Handles the end of the stream, if it is on a frame boundary, or a failure of the transport:
    /// after the peer's close it counts as the end.
    ///
    /// # Errors
    /// Returns [`SessionError::Unclosed`] if the peer's last message was not a close: the
    /// connection was cut, or the peer crashed. Returns the earlier error if the conversation has
    /// already failed.
    pub fn handle_end(&mut self) -> Result<(), SessionError> {
        match self.error {
            Some(error) => Err(error),
            None if self.peer_closed => Ok(()),
            None => Err(self.end(SessionError::Unclosed)),
        }
    }

    /// Reports progress after a few seconds: a working status becomes due for each of the peer's
    /// files that waits for this side.
    ///
    /// Call it every two to five seconds. Without a waiting file it does nothing.
    pub fn handle_tick(&mut self) {
        self.incoming.tick();
    }

    /// Ends the conversation because of an error found elsewhere: by the framing
    /// ([`DecodeError::code`](unstick::DecodeError::code)), a clock or the application. Does nothing
    /// if an error came before.
    pub fn fail(&mut self, code: Code) {
        if self.error.is_none() {
            self.end(SessionError::Failed { code });
        }
    }

    /// Returns the next message that the session sends by itself: a close after an error, a pong,
    /// or a file-status.
    ///
    /// The returned message counts as sent. Write it before any message from a later
    /// [`send`](Self::send).
    ///
    /// Nothing is lost if this is called late: of several pings, the newest is answered, and each
    /// status stays queued.
    pub fn poll_transmit(&mut self) -> Option<Encoded<'_>> {
        if self.closed {
            return None;
        }
        if self.error.is_some() {
            let code = self.close_code.take()?;
            self.closed = true;
            let reason = self.fitting(code.meaning(), 2)?;
            return Message::Close(Close { code, reason }).encode().ok();
        }
        if self.pong_is_due {
            self.pong_is_due = false;
            self.has_sent = true;
            return Message::Pong(self.pong.bytes()).encode().ok();
        }
        let (id, code) = self.incoming.next_status()?;
        self.has_sent = true;
        let status = FileStatus::new(id, code);
        let reason = self.fitting(status.reason, FileStatus::HEAD_LEN)?;
        Message::FileStatus(FileStatus { reason, ..status }).encode().ok()
    }

    /// Checks a message from the application, counts it as sent, and returns the bytes to write.
    /// Write them in the order of the calls.
    ///
    /// A reason is shortened to the peer's limit.
    ///
    /// # Errors
    /// Returns why the message cannot be sent now. The session is unchanged then.
    pub fn send<'a>(&mut self, message: &Message<'a>) -> Result<Encoded<'a>, SendError> {
        if self.closed || self.error.is_some() {
            return Err(SendError::Closed);
        }
        let fits =
            |reason, head: usize| beginning(reason, self.peer_limit.saturating_sub(head as u64));
        let message = match *message {
            Message::Close(Close { code, reason }) => {
                Message::Close(Close { code, reason: fits(reason, Close::HEAD_LEN) })
            }
            Message::FileStatus(status) => {
                let reason = fits(status.reason, FileStatus::HEAD_LEN);
                Message::FileStatus(FileStatus { reason, ..status })
            }
            Message::FileCancel(cancel) => {
                let reason = fits(cancel.reason, FileCancel::HEAD_LEN);
                Message::FileCancel(FileCancel { reason, ..cancel })
            }
            message => message,
        };
        let encoded = message.encode()?;
        let (len, limit) = (encoded.payload_len(), self.peer_limit);
        if len > limit {
            return Err(SendError::TooLong { len, limit });
        }
        let message = match message {
            // A payload of a kind that version 1 defines follows that kind's rules here too.
            Message::Other { kind, payload } => Message::decode(kind, payload)?,
            message => message,
        };
        if let Some(code) = message.code().filter(|code| !code.is_for(message.kind())) {
            return Err(SendError::Code { code });
        }
        match message {
            Message::Hello(_) if self.has_sent => return Err(SendError::LateHello),
            Message::Hello(hello) => self.own_limit = hello.limit.into(),
            Message::Other { kind, .. } if !kind.is_application() => {
                return Err(SendError::ReservedKind { kind });
            }
            Message::Text(_) | Message::Binary(_) | Message::Pong(_) | Message::Other { .. } => {}
            Message::Ping(payload) => {
                let (len, limit) = (payload.len() as u64, self.own_limit);
                if len > limit {
                    return Err(SendError::NoRoomForPong { len, limit });
                }
                // After its close the peer sends no pong.
                if !self.peer_closed && !self.pings.push(payload) {
                    return Err(SendError::TooManyPings);
                }
            }
            Message::Close(_) => {
                self.closed = true;
                self.outgoing.closed();
            }
            Message::FileOpen(open) => {
                self.check_may_open()?;
                self.outgoing.open(&open)?;
            }
            Message::FileData(data) => self.outgoing.data(&data)?,
            Message::FileDone(done) => self.outgoing.done(&done)?,
            Message::FileCancel(cancel) => self.outgoing.cancel(&cancel)?,
            Message::FileAttributes(attributes) => self.outgoing.attributes(&attributes)?,
            Message::FileStatus(status) => self.incoming.answer(&status)?,
        }
        self.has_sent = true;
        Ok(encoded)
    }

    fn check_header(&self, kind: Kind, payload_len: u64) -> Result<Expect, SessionError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.peer_closed {
            return Err(SessionError::AfterClose { kind });
        }
        if kind == Kind::HELLO && self.has_received {
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

    /// Handles a frame that is allowed here.
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
                // A ping that is over the peer's limit is not answered: the pong would be over it
                // too.
                if payload.len() as u64 <= self.peer_limit {
                    self.pong = Ping::new(payload);
                    self.pong_is_due = true;
                }
                Event::Nothing
            }
            Message::Pong(payload) if self.pings.answered(payload) => Event::Pong(payload),
            Message::Pong(_) => Event::Nothing,
            Message::Close(close) => {
                self.peer_closed = true;
                self.pings = OpenPings::NONE;
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
            Message::FileAttributes(attributes) => self.incoming.attributes(attributes)?,
            Message::FileStatus(status) => self.outgoing.answered(status)?,
            Message::Other { kind, payload } => Event::Application { kind, payload },
        })
    }

    /// Checks whether the answer to an open is within the peer's limit.
    fn check_room_for_status(&self) -> Result<(), SessionError> {
        let limit = self.peer_limit;
        if limit < FileStatus::HEAD_LEN as u64 {
            return Err(SessionError::NoRoomForStatus { limit });
        }
        Ok(())
    }

    /// Stores the first error, and makes a close with its code due unless the code is local.
    fn end(&mut self, error: SessionError) -> SessionError {
        if let Some(error) = self.error {
            return error;
        }
        self.error = Some(error);
        self.close_code = Some(error.code()).filter(|code| code.is_for(Kind::CLOSE));
        self.incoming.ended();
        error
    }

    /// Returns the reason if it fits into the peer's limit after `head` bytes, otherwise an empty
    /// one. Returns `None` if not even `head` bytes fit.
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

/// Returns the longest prefix of the text that has at most `room` bytes and ends at a character
/// boundary.
pub(crate) fn beginning(text: &str, room: u64) -> &str {
    let bytes = usize::try_from(room).ok().and_then(|room| text.as_bytes().get(..room));
    let Some(bytes) = bytes else { return text };
    // Slicing a `str` would leave a panic path at some optimisation levels.
    let whole = core::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    bytes.get(..whole).and_then(|whole| core::str::from_utf8(whole).ok()).unwrap_or_default()
}

/// Returns the bit of an application kind, or 0 for any other kind.
const fn bit(kind: Kind) -> u128 {
    if !kind.is_application() {
        return 0;
    }
    let number = kind.get() as u32;
    1u128.wrapping_shl((number & 0x3F) | ((number & 0x80) >> 1))
}

#[cfg(all(test, feature = "alloc"))]
mod tests;
