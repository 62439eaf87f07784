//! A session and its outgoing messages: the part that both connections share, without transport and
//! read buffer.

use core::fmt;
use core::task::{Poll, ready};
use std::io::{self, IoSlice};
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

use unstick::header::HEADER_LEN;
use unstick::io::{ReadError, WriteError};
use unstick::{
    Accepted, DecodeError, Frame, Framing, Header, Kind, RecoverError, V1, WriteBuf, WriteBufError,
};

use crate::error::ConnectionError;
use crate::message::{Close, Code, Encoded, FileCancel, Message};
use crate::session::{Event, Session, SessionError, beginning};

/// The limit for bytes that are accepted without waiting: at this count or above, no message is
/// accepted in this way until everything is written.
const UNWAITED_LEN: usize = 64 * 1024;

/// The length in bytes of a close before its reason.
const CODE_LEN: u64 = 2;

pub(crate) struct Conversation {
    pub(crate) session: Session,
    buf: WriteBuf<Vec<u8>, V1>,
    failure: Option<Failure>,
    /// Returns the reason of a close after an error, if it is not the code's meaning.
    pub(crate) explain: Option<fn(&ConnectionError, u64) -> String>,
    /// Whether a frame over the limit is skipped instead of ending the conversation.
    pub(crate) skips_oversize: bool,
    /// The stream offset of the first byte of the last handled frame, or of the one that broke a rule.
    pub(crate) event_at: u64,
    /// Whether the last write left accepted bytes over.
    is_blocked: bool,
    /// Whether something was accepted since the last flush of the transport.
    is_dirty: bool,
    /// The number of bytes accepted without waiting since everything was last written.
    unwaited: usize,
}

/// The error that ended the conversation. It latches.
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
            // The session checks the length of outgoing payloads.
            buf: WriteBuf::growing(Framing::new(V1).with_limit(u64::MAX)),
            failure: None,
            explain: None,
            skips_oversize: false,
            event_at: 0,
            is_blocked: false,
            is_dirty: false,
            unwaited: 0,
        }
    }

    /// Returns the error that ended the conversation, if any.
    pub(crate) fn check(&self) -> Result<(), ConnectionError> {
        self.failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Returns whether the last message was accepted, after which the write direction is closed.
    pub(crate) fn is_over(&self) -> bool {
        self.session.is_closed() || self.session.error().is_some()
    }

    /// Checks the header of the frame at this stream offset, whose payload has not completely arrived.
    pub(crate) fn check_header(
        &mut self,
        header: Option<Header<Kind>>,
        at: u64,
    ) -> Result<(), ConnectionError> {
        let Some(header) = header else { return Ok(()) };
        let handled = self.session.handle_header(header.meta, header.payload_len);
        handled.map(drop).map_err(|error| {
            self.event_at = at;
            self.broke(error)
        })
    }

    /// Handles a frame that ends at the stream offset `position`. Returns `None` if there is
    /// nothing for the application to do.
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

    /// Handles the end of the stream on the frame boundary at this offset.
    pub(crate) fn end(&mut self, at: u64) -> Result<(), ConnectionError> {
        self.session.handle_end().map_err(|error| {
            self.event_at = at;
            self.broke(error)
        })
    }

    /// Returns whether a failure of the transport is the end of the stream: it is after the peer's close
    /// (spec, CNV-19).
    pub(crate) fn ends_with(&self, error: &ReadError) -> bool {
        matches!(error, ReadError::Io(_)) && self.session.is_peer_closed() && self.check().is_ok()
    }

    /// Handles an error of reading. An error of the transport may be temporary; any other ends the
    /// conversation.
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
        if self.failure.is_none() {
            self.event_at = failure.at().unwrap_or(self.event_at);
        }
        self.fail(failure)
    }

    /// Handles an error in the search for the next frame. If skipping was enabled and the frame is
    /// over the limit, `skip` skips it, and the conversation goes on after it.
    pub(crate) fn not_found(
        &mut self,
        error: ReadError,
        skip: impl FnOnce() -> Result<(), RecoverError>,
    ) -> ConnectionError {
        if let ReadError::Decode(DecodeError::Oversize { at, .. }) = error {
            let may_skip = self.skips_oversize && self.check().is_ok();
            // After the peer's close it ends the conversation (spec, CNV-20).
            if may_skip && !self.session.is_peer_closed() && skip().is_ok() {
                let _ = self.session.handle_skipped();
                self.event_at = at;
                return error.into();
            }
        }
        self.cannot_read(error)
    }

    /// Handles an error of reading while a close waits for the peer's end. The close continues if
    /// the following input is to be discarded, or if only a frame was skipped.
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

    /// Returns whether a message can be accepted without waiting for the transport.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_blocked && !self.buf.is_full()
    }

    /// Writes if this is necessary before a message can be accepted.
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

    /// Accepts a message. A large one is first written without a copy, as far as the transport
    /// accepts it now; only the rest is copied.
    pub(crate) fn accept(
        &mut self,
        message: &Message<'_>,
        vectored: bool,
        write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Result<(), ConnectionError> {
        let encoded = self.admit(message)?;
        let tail = encoded.tail();
        self.is_dirty = true;
        self.buf.set_vectored(vectored);
        match self.buf.frame_in_parts(encoded.kind(), encoded.head(), tail).map_err(write_error)? {
            Accepted::Collected => {}
            Accepted::Nothing => push(&mut self.buf, &encoded)?,
            Accepted::Direct => {
                // The message is accepted, so an error is left to the next call that writes.
                let written = self.buf.poll_write(tail, write);
                self.is_blocked = !matches!(written, Poll::Ready(Ok(())));
                self.unwaited = if self.is_blocked { self.unwaited } else { 0 };
                self.buf.collect_direct(tail);
            }
        }
        Ok(())
    }

    /// Accepts a message without writing, within the limit for such messages.
    pub(crate) fn accept_unwaited(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        if self.unwaited >= UNWAITED_LEN {
            return Err(ConnectionError::Full);
        }
        let encoded = self.admit(message)?;
        push(&mut self.buf, &encoded)?;
        let len = usize::try_from(encoded.payload_len()).unwrap_or(usize::MAX);
        self.unwaited = self.unwaited.saturating_add(len).saturating_add(HEADER_LEN);
        self.is_dirty = true;
        Ok(())
    }

    /// Accepts the cancel of a file even over the limit: there is at most one per open.
    pub(crate) fn give_up(&mut self, cancel: &Message<'_>) {
        let unwaited = core::mem::take(&mut self.unwaited);
        // If the session refuses the cancel, the file is no longer open.
        let _ = self.accept_unwaited(cancel);
        self.unwaited = self.unwaited.saturating_add(unwaited);
    }

    /// Cancels this side's open file, if there is one.
    pub(crate) fn give_up_open(&mut self) {
        if let Some(id) = self.session.open_transfer() {
            self.give_up(&Message::FileCancel(FileCancel { id, code: Code::GIVEN_UP, reason: "" }));
        }
    }

    /// Returns whether a final status is owed, or can still arrive.
    pub(crate) fn has_files(&self) -> bool {
        let expects = self.session.unanswered() > 0 && !self.session.is_peer_closed();
        !self.is_over() && (expects || self.session.owed() > 0)
    }

    /// Returns whether the stream ended without a close, an error that is not sent to the peer.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self.failure, Some(Failure::Session(SessionError::Unclosed)))
    }

    /// Accepts a close, unless the conversation is over. The reason is shortened to the peer's
    /// limit.
    pub(crate) fn close(&mut self, close: Close<'_>) -> Result<(), ConnectionError> {
        if self.is_over() {
            return Ok(());
        }
        self.unwaited = 0; // no message follows the close
        let reason = fitting(close.reason, self.session.peer_limit());
        self.accept_unwaited(&Message::Close(Close { reason, ..close }))
    }

    /// Writes all accepted messages and the session's own ones.
    ///
    /// The session is asked for its own messages only when nothing else is pending. So a peer that
    /// causes answers and does not read them cannot make this side produce more.
    pub(crate) fn poll_drain(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<Result<(), WriteError>> {
        loop {
            self.is_blocked = true;
            ready!(self.buf.poll_write(&[], &mut write)).map_err(WriteError::Flush)?;
            self.is_blocked = false;
            self.unwaited = 0;
            if !self.transmit()? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Returns whether the transport has to be flushed once everything is written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Records that the transport was flushed.
    pub(crate) fn flushed(&mut self) {
        self.is_dirty = false;
        self.buf.release_memory();
    }

    /// Returns the number of bytes that were accepted and not written.
    pub(crate) fn unwritten_len(&self) -> usize {
        self.buf.pending().len()
    }

    /// Returns the bytes that were accepted and not written.
    pub(crate) fn into_pending(self) -> Vec<u8> {
        self.buf.into_pending()
    }

    /// Collects the session's own messages. Returns whether there were any.
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
                let (code, text) =
                    (error.code().unwrap_or_default(), explain(&error, self.event_at));
                let close = Message::Close(Close { code, reason: fitting(&text, limit) });
                if let Ok(encoded) = close.encode() {
                    push(&mut self.buf, &encoded)?;
                    continue;
                }
            }
            push(&mut self.buf, &encoded)?;
        }
        self.is_dirty |= any;
        Ok(any)
    }

    /// Passes a message to the session, which checks and counts it. The session's own messages are
    /// collected before it if nothing is pending, and always before a close, after which the
    /// session sends nothing.
    fn admit<'a>(&mut self, message: &Message<'a>) -> Result<Encoded<'a>, ConnectionError> {
        if self.buf.pending().is_empty() || message.kind() == Kind::CLOSE {
            self.transmit()?;
        }
        Ok(self.session.send(message)?)
    }
}

/// Returns the beginning of a close's reason that fits into a payload of `limit` bytes.
fn fitting(reason: &str, limit: u64) -> &str {
    beginning(reason, limit.saturating_sub(CODE_LEN))
}

/// Collects a whole frame.
fn push(buf: &mut WriteBuf<Vec<u8>, V1>, encoded: &Encoded<'_>) -> Result<(), WriteError> {
    let (kind, head, tail) = (encoded.kind(), encoded.head(), encoded.tail());
    buf.collect_in_parts(kind, head, tail).map_err(write_error)
}

fn write_error(error: WriteBufError) -> WriteError {
    error.into()
}

/// Does not print payloads, which may be secret.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("buf", &self.buf)
            .field("peer_limit", &self.session.peer_limit())
            .field("closed", &self.session.is_closed())
            .field("peer_closed", &self.session.is_peer_closed())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Failure {
    /// Returns the offset that the error has.
    fn at(&self) -> Option<u64> {
        match self {
            Self::Decode(error) => Some(error.at()),
            Self::FrameTimeout { at, .. } | Self::IdleTimeout { at, .. } => Some(*at),
            Self::Session(_) => None,
        }
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

/// The type of an event, without the data that the event borrows. A loop that skips frames without
/// an event can end with one that borrows from the read buffer only if the frame is borrowed after
/// the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning {
    /// The event of the message's own kind.
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
            | Event::FileCancel(_)
            | Event::FileAttributes(_) => Self::Message,
        })
    }

    /// Decodes the event again from its frame.
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
            Ok(Message::FileAttributes(attributes)) => Event::FileAttributes(attributes),
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
