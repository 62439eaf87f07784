//! A session and what waits to be written for it: what both connections have beside a transport
//! and a read buffer.

use core::fmt;
use core::task::{Poll, ready};
use std::io::{self, IoSlice};
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

use unstick::header::HEADER_LEN;
use unstick::io::{ReadError, WriteError};
use unstick::seams::Outbox;
use unstick::{DecodeError, Frame, Framing, Header, Kind, RecoverError, V1};

use crate::error::ConnectionError;
use crate::message::{Close, Code, Encoded, Message};
use crate::session::{Event, Session, SessionError, beginning};

/// With so many bytes accepted for which nobody waited, and of which the peer has not read all, no
/// more are.
const UNWAITED_LEN: usize = 64 * 1024;

/// The bytes of a close before its reason.
const CODE_LEN: u64 = 2;

pub(crate) struct Conversation {
    pub(crate) session: Session,
    outbox: Outbox<V1>,
    failure: Option<Failure>,
    /// The reason that the peer is told, if it is not the code's meaning.
    pub(crate) explain: Option<fn(&ConnectionError) -> String>,
    /// Whether a frame over the limit is passed over, and does not end the conversation.
    pub(crate) skips_oversize: bool,
    /// The stream offset of the last frame that was taken.
    pub(crate) event_at: u64,
    /// The transport did not take all that was accepted, when it was last asked.
    is_blocked: bool,
    /// Something was accepted since the transport was flushed.
    is_dirty: bool,
    /// The bytes that were accepted without waiting, since all was written.
    unwaited: usize,
}

/// What ended the conversation; it latches.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Decode(DecodeError),
    FrameTimeout { at: u64, after: Duration },
    IdleTimeout { at: u64, after: Duration },
    Session(SessionError),
}

impl Conversation {
    pub(crate) fn new() -> Self {
        Self {
            session: Session::new(),
            // How much may be sent is the session's to know.
            outbox: Outbox::new(Framing::new(V1).with_limit(u64::MAX)),
            failure: None,
            explain: None,
            skips_oversize: false,
            event_at: 0,
            is_blocked: false,
            is_dirty: false,
            unwaited: 0,
        }
    }

    /// The error that ended the conversation, if one has.
    pub(crate) fn check(&self) -> Result<(), ConnectionError> {
        self.failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Whether nothing will be accepted any more, and writing ends with what was.
    pub(crate) fn is_over(&self) -> bool {
        self.session.is_closed() || self.session.error().is_some()
    }

    /// Judges a frame that has begun.
    pub(crate) fn judge(&mut self, header: Option<Header<Kind>>) -> Result<(), ConnectionError> {
        if let Some(header) = header {
            let _ = self
                .session
                .handle_header(header.meta, header.payload_len)
                .map_err(|error| self.broke(error))?;
        }
        Ok(())
    }

    /// Takes a frame, behind which `position` is; `None` if the application has nothing to do with
    /// it.
    pub(crate) fn take(
        &mut self,
        frame: &Frame<'_>,
        position: u64,
    ) -> Result<Option<Meaning>, ConnectionError> {
        self.event_at = position.saturating_sub(frame.bytes().len() as u64);
        match self.session.handle_frame(frame.meta, frame.payload) {
            Ok(event) => Ok(Meaning::of(&event)),
            Err(error) => Err(self.broke(error)),
        }
    }

    /// The stream ended between two frames.
    pub(crate) fn end(&mut self) -> Result<(), ConnectionError> {
        self.session.handle_end().map_err(|error| self.broke(error))
    }

    /// Reading failed. The transport's errors may pass, the others end the conversation.
    pub(crate) fn cannot_read(&mut self, error: ReadError) -> ConnectionError {
        let failure = match error {
            ReadError::Decode(error) => Failure::Decode(error),
            ReadError::FrameTimeout { at, after } => Failure::FrameTimeout { at, after },
            ReadError::IdleTimeout { at, after } => Failure::IdleTimeout { at, after },
            error => return error.into(),
        };
        if let Some(code) = error.code() {
            self.session.fail(Code(code));
        }
        self.fail(failure)
    }

    /// No frame was found where one begins. `skip` passes over one that is over the limit, if that
    /// was asked for; the conversation goes on behind it.
    pub(crate) fn not_located(
        &mut self,
        error: ReadError,
        skip: impl FnOnce() -> Result<(), RecoverError>,
    ) -> ConnectionError {
        let is_oversize = matches!(error, ReadError::Decode(DecodeError::Oversize { .. }));
        if is_oversize && self.skips_oversize && self.failure.is_none() && skip().is_ok() {
            return error.into();
        }
        self.cannot_read(error)
    }

    /// What an error of reading means for a close that waits for the peer's end: it goes on where
    /// what follows is to be dropped, or was only passed over.
    pub(crate) fn end_of_close(&self, error: ConnectionError) -> Result<(), ConnectionError> {
        let is_passed_over = matches!(error, ConnectionError::Read(ReadError::Decode(_)));
        if self.failure.is_some() || is_passed_over { Ok(()) } else { Err(error) }
    }

    fn broke(&mut self, error: SessionError) -> ConnectionError {
        self.fail(Failure::Session(error))
    }

    fn fail(&mut self, failure: Failure) -> ConnectionError {
        (*self.failure.get_or_insert(failure)).into()
    }

    /// Whether a message is accepted without waiting for the transport.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_blocked && !self.outbox.is_full()
    }

    /// Writes, where that is needed before a message is accepted.
    pub(crate) fn poll_room(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<Result<(), WriteError>> {
        if self.has_room() {
            return Poll::Ready(Ok(()));
        }
        self.poll_drain(write).map_err(|error| match error {
            WriteError::Flush(error) => WriteError::Io(error),
            error => error,
        })
    }

    /// Accepts a message. Of a large one the transport is given what it takes now, from where it
    /// is; only what it does not take is copied.
    pub(crate) fn accept(
        &mut self,
        message: &Message<'_>,
        vectored: bool,
        write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Result<(), ConnectionError> {
        let encoded = self.admit(message)?;
        let tail = encoded.tail();
        self.outbox.begin_direct_behind(encoded.kind(), encoded.head(), tail.len())?;
        self.is_dirty = true;
        if Outbox::<V1>::is_direct(tail.len(), vectored) {
            // An error shows again in the next call that writes: this message is accepted.
            let written = self.outbox.poll_direct(tail, write);
            self.is_blocked = !matches!(written, Poll::Ready(Ok(())));
            self.unwaited = if self.is_blocked { self.unwaited } else { 0 };
        }
        self.outbox.keep_direct(tail);
        Ok(())
    }

    /// Accepts a message without asking the transport, within bounds.
    pub(crate) fn accept_unwaited(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        if self.unwaited >= UNWAITED_LEN {
            return Err(ConnectionError::Full);
        }
        let encoded = self.admit(message)?;
        push(&mut self.outbox, &encoded)?;
        let len = usize::try_from(encoded.payload_len()).unwrap_or(usize::MAX);
        self.unwaited = self.unwaited.saturating_add(len).saturating_add(HEADER_LEN);
        self.is_dirty = true;
        Ok(())
    }

    /// Accepts the cancel of a file, which each open can have once, in any case.
    pub(crate) fn give_up(&mut self, cancel: &Message<'_>) {
        let unwaited = core::mem::take(&mut self.unwaited);
        // Where the session does not send it, the file is not open any more.
        let _ = self.accept_unwaited(cancel);
        self.unwaited = self.unwaited.saturating_add(unwaited);
    }

    /// Closes, if the conversation is not over. The reason is shortened to what the peer's limit
    /// has room for.
    pub(crate) fn close(&mut self, close: Close<'_>) -> Result<(), ConnectionError> {
        if self.is_over() {
            return Ok(());
        }
        self.unwaited = 0; // it is the last one
        let reason = fitting(close.reason, self.session.peer_limit());
        self.accept_unwaited(&Message::Close(Close { reason, ..close }))
    }

    /// Writes until all is written: what was accepted, and what the session says by itself. That is
    /// asked for only when nothing else waits, so that a peer which does not read what it makes
    /// this side say makes it say no more.
    pub(crate) fn poll_drain(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<Result<(), WriteError>> {
        loop {
            self.is_blocked = true;
            ready!(self.outbox.poll_drain(&mut write)).map_err(WriteError::Flush)?;
            self.is_blocked = false;
            self.unwaited = 0;
            if !self.transmit()? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether the transport is to be flushed, once all is written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// The transport was flushed.
    pub(crate) fn flushed(&mut self) {
        self.is_dirty = false;
        self.outbox.rest();
    }

    /// What was accepted and not written.
    pub(crate) fn into_pending(self) -> Vec<u8> {
        self.outbox.into_pending()
    }

    /// Collects what the session has to say by itself, and says whether it was anything.
    fn transmit(&mut self) -> Result<bool, WriteError> {
        let mut any = false;
        let limit = self.session.peer_limit();
        let failure = self.failure;
        while let Some(encoded) = self.session.poll_transmit() {
            any = true;
            if let (Kind::CLOSE, Some(failure), Some(explain)) =
                (encoded.kind(), failure, self.explain)
            {
                let error = ConnectionError::from(failure);
                let (code, text) = (error.code().unwrap_or_default(), explain(&error));
                let close = Message::Close(Close { code, reason: fitting(&text, limit) });
                if let Ok(encoded) = close.encode() {
                    push(&mut self.outbox, &encoded)?;
                    continue;
                }
            }
            push(&mut self.outbox, &encoded)?;
        }
        self.is_dirty |= any;
        Ok(any)
    }

    /// Has the session check and count a message. What it says by itself comes first where that is
    /// due, and before a close, behind which it says nothing.
    fn admit<'a>(&mut self, message: &Message<'a>) -> Result<Encoded<'a>, ConnectionError> {
        if self.outbox.pending().is_empty() || message.kind() == Kind::CLOSE {
            self.transmit()?;
        }
        Ok(self.session.send(message)?)
    }
}

/// As much of a close's reason as a payload of `limit` bytes has room for.
fn fitting(reason: &str, limit: u64) -> &str {
    beginning(reason, limit.saturating_sub(CODE_LEN))
}

/// Collects a whole frame.
fn push(outbox: &mut Outbox<V1>, encoded: &Encoded<'_>) -> Result<(), WriteError> {
    let tail = encoded.tail();
    outbox.begin_direct_behind(encoded.kind(), encoded.head(), tail.len())?;
    outbox.keep_direct(tail);
    Ok(())
}

/// Payloads may be secret.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("outbox", &self.outbox)
            .field("peer_limit", &self.session.peer_limit())
            .field("closed", &self.session.is_closed())
            .field("peer_closed", &self.session.is_peer_closed())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl From<Failure> for ConnectionError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Decode(error) => Self::Read(ReadError::Decode(error)),
            Failure::FrameTimeout { at, after } => {
                Self::Read(ReadError::FrameTimeout { at, after })
            }
            Failure::IdleTimeout { at, after } => Self::Read(ReadError::IdleTimeout { at, after }),
            Failure::Session(error) => Self::Session(error),
        }
    }
}

/// An event without what it borrows, so that a loop which reads on behind events that are nothing
/// can end with one that borrows from the read buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning {
    /// The message itself.
    Message,
    Refused {
        id: u32,
        code: Code,
    },
    Ready,
    Working,
    End,
}

impl Meaning {
    fn of(event: &Event<'_>) -> Option<Self> {
        Some(match *event {
            Event::Nothing => return None,
            Event::FileRefused { id, code } => Self::Refused { id, code },
            Event::FileReady(_) => Self::Ready,
            Event::FileWorking(_) => Self::Working,
            Event::FileEnd(_) => Self::End,
            Event::Hello(_)
            | Event::Text(_)
            | Event::Binary(_)
            | Event::Application { .. }
            | Event::Pong(_)
            | Event::Close(_)
            | Event::FileOpen(_)
            | Event::FileData(_)
            | Event::FileDone(_)
            | Event::FileCancel(_) => Self::Message,
        })
    }

    /// The event again, of the frame that it came of.
    pub(crate) fn event(self, frame: Frame<'_>) -> Event<'_> {
        if let Self::Refused { id, code } = self {
            return Event::FileRefused { id, code };
        }
        match Message::decode(frame.meta, frame.payload) {
            Ok(Message::Hello(hello)) => Event::Hello(hello),
            Ok(Message::Text(text)) => Event::Text(text),
            Ok(Message::Binary(bytes)) => Event::Binary(bytes),
            Ok(Message::Pong(payload)) => Event::Pong(payload),
            Ok(Message::Close(close)) => Event::Close(close),
            Ok(Message::FileOpen(open)) => Event::FileOpen(open),
            Ok(Message::FileData(data)) => Event::FileData(data),
            Ok(Message::FileDone(done)) => Event::FileDone(done),
            Ok(Message::FileCancel(cancel)) => Event::FileCancel(cancel),
            Ok(Message::FileStatus(status)) => match self {
                Self::Ready => Event::FileReady(status),
                Self::Working => Event::FileWorking(status),
                _ => Event::FileEnd(status),
            },
            Ok(Message::Other { kind, payload }) => Event::Application { kind, payload },
            Ok(Message::Ping(_)) | Err(_) => Event::Nothing,
        }
    }
}
