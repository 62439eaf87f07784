//! How a [`Connection`] ends: by a close of this side, or after an error, of which the peer is
//! informed before the connection is dropped.

use std::io;
use std::time::{Duration, Instant};

use unstick::io::{ReadError, WriteError};

use super::connection::{Connection, Transport, is_timeout};
use crate::error::ConnectionError;
use crate::message::{Close, FileStatus, Message};
use crate::session::Event;

/// How long a connection reads and discards after an error, by default (spec, 14.7).
const LINGER: Duration = Duration::from_secs(5);

/// How long one call waits while there is something to read and something to write: a blocking
/// transport waits for one of them only.
const TURN: Duration = Duration::from_millis(20);

/// How far the end of a connection has come.
#[derive(Debug)]
pub(super) struct Ending {
    /// The maximum time for which bytes are discarded after an error.
    linger: Duration,
    /// Whether this was done.
    is_over: bool,
    /// Whether the stream has ended while its bytes were discarded.
    is_drained: bool,
    /// The stream offset after the last frame, once the bytes after it were discarded.
    pub(super) position: Option<u64>,
}

impl Ending {
    pub(super) fn new() -> Self {
        Self { linger: LINGER, is_over: false, is_drained: false, position: None }
    }
}

impl<S: Transport> Connection<S> {
    /// Sets the maximum time for which a call that receives continues after an error before it
    /// returns the error: 5 seconds by default.
    ///
    /// In this time it writes the close with the error's code, closes the write direction, and
    /// discards what arrives, until the peer ends its direction. A connection that is dropped with
    /// unread input is reset by many systems, and the close would be lost with it (spec, CNV-18).
    ///
    /// With [`Duration::ZERO`] the error is returned at once, after the close was written; then call
    /// [`close`](Self::close), which does the rest. The same applies to a transport without
    /// [`limit_waits`](Transport::limit_waits).
    #[must_use]
    pub fn with_linger(mut self, at_most: Duration) -> Self {
        self.ending.linger = at_most;
        self
    }

    /// Ends the conversation.
    ///
    /// It [drains](Self::drain), sends the close, unless this side has already closed or an error
    /// has ended the conversation, and closes the write direction. Then it reads and discards until
    /// the peer ends, so that neither the close nor the last status is lost when the connection is
    /// dropped (spec, 14.4). The reason is shortened to the peer's limit.
    ///
    /// It does not wait for files without a final status, and discards all events. If there may be
    /// such files, call [`close_with`](Self::close_with).
    ///
    /// The socket's timeouts are changed by [`limit_waits`](Transport::limit_waits). If the
    /// transport does not have it, the time `within` is checked between reads and writes: set
    /// timeouts so that these return.
    ///
    /// # Errors
    /// Returns an error if the peer ended without a close, if it did not end `within` that time, or
    /// if an error had already ended the conversation.
    pub fn close(&mut self, close: Close<'_>, within: Duration) -> Result<(), ConnectionError> {
        self.close_and(close, within, |_| ())
    }

    /// Finishes the files of both directions, and then ends the conversation like
    /// [`close`](Self::close).
    ///
    /// From the beginning of the call each file that the peer opens is refused with
    /// [`Code::SHUTTING_DOWN`](crate::message::Code::SHUTTING_DOWN). A file of this side that is
    /// still open is cancelled; the others are waited for, and so are those of the peer (spec,
    /// CNV-16). `other` receives the events until the peer's end, and the status that it returns is
    /// sent: use [`FileReceiver::handle`](crate::session::FileReceiver::handle) if the peer sends
    /// files, otherwise `|_| None`.
    ///
    /// The files have the time `within`, after which the close is sent without waiting for them
    /// any longer; from then on the peer has the same time to end.
    ///
    /// # Errors
    /// The same as [`close`](Self::close).
    pub fn close_with<E>(
        &mut self,
        close: Close<'_>,
        within: Duration,
        mut other: E,
    ) -> Result<(), ConnectionError>
    where
        E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    {
        self.drain();
        self.conversation.give_up_open();
        let begin = Instant::now();
        while let Some(left) = left(begin, within).filter(|_| self.conversation.has_files()) {
            self.limit_waits(left);
            let answer = match self.recv() {
                Ok(Some(event)) => other(event),
                Ok(None) => break,
                Err(ConnectionError::Read(ReadError::Io(error))) if is_timeout(&error) => None,
                Err(error) => return Err(error),
            };
            if let Some(status) = answer {
                self.try_feed(&Message::FileStatus(status))?;
            }
        }
        self.close_and(close, within, |event| {
            let _ = other(event); // nothing can be sent after the close
        })
    }

    fn close_and(
        &mut self,
        close: Close<'_>,
        within: Duration,
        mut take: impl FnMut(Event<'_>),
    ) -> Result<(), ConnectionError> {
        self.drain();
        self.conversation.close(close)?;
        let begin = Instant::now();
        while let Some(left) = left(begin, within) {
            self.limit_waits(left);
            match self.close_on(&mut take) {
                Ok(false) => {}
                Ok(true) => return self.conversation.check(),
                Err(ConnectionError::Read(ReadError::Io(error))) if is_timeout(&error) => {}
                Err(ConnectionError::Write(WriteError::Flush(error))) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ConnectionError::CloseTimeout { after: within })
    }

    /// Continues reading after the close. Returns `true` if both sides have ended.
    fn close_on(&mut self, take: &mut impl FnMut(Event<'_>)) -> Result<bool, ConnectionError> {
        if self.conversation.check().is_err() {
            if self.ending.is_over {
                return Ok(true);
            }
            let _ = self.write();
            return match self.discard() {
                Err(error) if is_timeout(&error) => Ok(false),
                more => Ok(!more.unwrap_or(false)),
            };
        }
        match self.wait_for_found() {
            Ok(Some(found)) => {
                self.event(&found).map(take);
                Ok(false)
            }
            Ok(None) => {
                self.write()?;
                Ok(true)
            }
            // An error that is not the transport's ends the conversation: further input is
            // discarded.
            Err(error) => self.conversation.end_of_close(error).map(|()| false),
        }
    }

    /// After an error: writes the close and discards what arrives, until the peer ends or the time
    /// for it has passed.
    pub(super) fn inform(&mut self) {
        if self.ending.is_over {
            return;
        }
        let begin = Instant::now();
        while let Some(left) = left(begin, self.ending.linger) {
            if !self.limit_waits(left) {
                break;
            }
            self.ending.is_over = true;
            let is_written = match self.write() {
                Err(WriteError::Flush(error)) => !is_timeout(&error),
                _ => true,
            };
            let is_discarded = match self.discard() {
                Ok(more) => !more,
                Err(error) => !is_timeout(&error),
            };
            if is_written && is_discarded {
                return;
            }
        }
        if !self.ending.is_over {
            let _ = self.write();
        }
    }

    /// Limits how long a read or a write waits, to less if both are to be tried in turn. Returns
    /// `false` if the transport cannot do so.
    fn limit_waits(&mut self, left: Duration) -> bool {
        let is_blocked = self.unwritten_len() > 0;
        let at_most = if is_blocked { left.min(TURN) } else { left };
        self.reader.get_mut().limit_waits(at_most).is_ok()
    }

    /// Discards what was read and is no frame, with its memory, before more is discarded.
    fn discard_unread(&mut self) {
        if self.ending.position.is_none() {
            self.ending.position = Some(self.position());
            let buf = self.reader.buf_mut();
            buf.reset();
            buf.shrink();
        }
    }

    /// Reads once and discards the bytes. Returns `false` if the stream has ended.
    fn discard(&mut self) -> io::Result<bool> {
        self.discard_unread();
        if !self.reader.is_ended() && !self.ending.is_drained {
            match self.reader.get_mut().read(&mut [0; 4096]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => self.ending.is_drained = read? == 0,
            }
        }
        Ok(!self.reader.is_ended() && !self.ending.is_drained)
    }
}

/// Returns the rest of a time that began at `begin`. `None` if it has passed.
fn left(begin: Instant, time: Duration) -> Option<Duration> {
    time.checked_sub(begin.elapsed()).filter(|left| !left.is_zero())
}
