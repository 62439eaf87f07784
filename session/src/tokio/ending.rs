//! How a [`Connection`] ends: by a close of this side, or after an error, of which the peer is
//! informed before the connection is dropped.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::io;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::time::{Sleep, sleep, timeout};

use super::connection::Connection;
use super::poll::Waiting;
use crate::error::ConnectionError;
use crate::message::{Close, FileStatus, Message};
use crate::session::Event;

/// How long a connection reads and discards after an error, by default (spec, 14.7).
const LINGER: Duration = Duration::from_secs(5);

/// The maximum number of reads whose bytes are discarded in one turn.
const READS: usize = 64;

/// How far the end of a connection has come.
#[derive(Debug)]
pub(super) struct Ending {
    /// The maximum time for which bytes are discarded after an error.
    linger: Duration,
    /// Runs from the first wait for that.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether this time has passed, or nothing has to be discarded any more.
    is_over: bool,
    /// Whether the stream has ended while its bytes were discarded.
    is_drained: bool,
    /// The stream offset after the last frame, once the bytes after it were discarded.
    pub(super) position: Option<u64>,
}

impl Ending {
    pub(super) fn new() -> Self {
        Self { linger: LINGER, deadline: None, is_over: false, is_drained: false, position: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Sets the maximum time for which a call that receives continues after an error before it
    /// returns the error: 5 seconds by default.
    ///
    /// In this time it writes the close with the error's code, closes the write direction, and
    /// discards what arrives, until the peer ends its direction. A connection that is dropped with
    /// unread input is reset by many systems, and the close would be lost with it (spec, CNV-18).
    ///
    /// With [`Duration::ZERO`] the error is returned at once, after one attempt to write the close;
    /// then call [`close`](Self::close), which does the rest.
    ///
    /// # Panics
    /// A call that waits after an error panics if tokio's runtime was built without its clock
    /// (`enable_time`).
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
    /// # Cancel safety
    /// After a dropped call, call it again or drop the connection.
    ///
    /// # Errors
    /// Returns an error if the peer ended without a close, if it did not end `within` that time, or
    /// if an error had already ended the conversation.
    ///
    /// # Panics
    /// Panics if tokio's runtime was built without its clock (`enable_time`).
    pub async fn close(
        &mut self,
        close: Close<'_>,
        within: Duration,
    ) -> Result<(), ConnectionError> {
        self.drain();
        self.conversation.close(close)?;
        let waiting = Waiting(self);
        timeout(within, poll_fn(|cx| waiting.0.poll_close(cx)))
            .await
            .unwrap_or(Err(ConnectionError::CloseTimeout { after: within }))
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
    /// # Cancel safety
    /// This method is cancel safe: a dropped call loses nothing except the events that `other` has
    /// received. Call it again, or continue with [`recv`](Self::recv).
    ///
    /// # Errors
    /// The same as [`close`](Self::close).
    ///
    /// # Panics
    /// The same as [`close`](Self::close).
    pub async fn close_with<E>(
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
        // After that time, the outcome of the remaining files stays unknown.
        if let Ok(finished) = timeout(within, self.finish_files(&mut other)).await {
            finished?;
        }
        self.conversation.close(close)?;
        let ended = async {
            while let Some(event) = self.recv().await? {
                let _ = other(event); // nothing can be sent after the close
            }
            self.flush().await
        };
        timeout(within, ended).await.unwrap_or(Err(ConnectionError::CloseTimeout { after: within }))
    }

    /// Handles events until no final status is owed or expected.
    async fn finish_files<E>(&mut self, other: &mut E) -> Result<(), ConnectionError>
    where
        E: FnMut(Event<'_>) -> Option<FileStatus<'static>>,
    {
        while self.conversation.has_files() {
            let Some(event) = self.recv().await? else { break };
            if let Some(status) = other(event) {
                self.try_feed(&Message::FileStatus(status))?;
            }
        }
        Ok(())
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while self.conversation.check().is_ok() {
            match ready!(self.poll_recv(cx)) {
                Ok(Some(_)) => {}
                Ok(None) => return self.poll_write(cx).map_err(ConnectionError::Write),
                // After an error that is not the transport's, there is a close to write.
                Err(error) => self.conversation.end_of_close(error)?,
            }
        }
        if !self.ending.is_over {
            let written = self.poll_write(cx);
            let _ = ready!(self.poll_discard(cx));
            let _ = ready!(written);
        }
        Poll::Ready(self.conversation.check())
    }

    /// After an error: writes the close and discards what arrives, until the peer ends or the time
    /// for it has passed.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ending.is_over || self.ending.linger.is_zero() {
            return Poll::Ready(());
        }
        // If it cannot be written at all, the peer may still be reading what was written before.
        let written = self.poll_write(cx).is_ready();
        let discarded = self.poll_discard(cx).is_ready();
        if !(discarded && (written || self.conversation.is_cut())) {
            let linger = self.ending.linger;
            let deadline = self.ending.deadline.get_or_insert_with(|| Box::pin(sleep(linger)));
            ready!(deadline.as_mut().poll(cx));
        }
        self.ending.is_over = true;
        Poll::Ready(())
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

    /// Reads to the end of the stream and discards the bytes. After some reads it lets other tasks
    /// and clocks have a turn, also if the peer never stops sending.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.discard_unread();
        let mut scratch = [0; 4096];
        for _ in 0..READS {
            if self.reader.is_ended() || self.ending.is_drained {
                return Poll::Ready(Ok(()));
            }
            let mut scratch = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(self.reader.get_mut()).poll_read(cx, &mut scratch)) {
                Ok(()) => self.ending.is_drained = scratch.filled().is_empty(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
