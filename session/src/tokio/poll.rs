//! What a [`Connection`] does when it is polled: it takes frames from the read buffer, reads, and
//! writes what is pending.

use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::io::{self, IoSlice};

use ::tokio::io::{AsyncRead, AsyncWrite};
use unstick::io::WriteError;
use unstick::tokio::FrameReader;

use super::connection::{Connection, FoundEvent, Turn};
use crate::error::ConnectionError;
use crate::message::Message;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<FoundEvent>, ConnectionError>> {
        loop {
            if let Some(found) = self.next_here()? {
                return Poll::Ready(Ok(Some(found)));
            }
            // If the transport cannot be written now, the waker is registered. An error is reported
            // by the next call that writes.
            let _ = self.poll_write(cx);
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    pub(super) fn poll_find_or_room(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Turn<FoundEvent>>, ConnectionError>> {
        loop {
            if let Some(found) = self.next_here()? {
                return Poll::Ready(Ok(Some(Turn::Event(found))));
            }
            if self.conversation.is_over() {
                return self.poll_recv(cx).map_ok(|found| found.map(Turn::Event));
            }
            let has_room = self.poll_room(cx).is_ready();
            if !(has_room && self.has_read) {
                match self.poll_more(cx)? {
                    Poll::Ready(false) => return Poll::Ready(Ok(None)),
                    Poll::Ready(true) => {
                        self.has_read = true;
                        continue;
                    }
                    Poll::Pending if has_room => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
            self.has_read = false;
            return Poll::Ready(Ok(Some(Turn::Room)));
        }
    }

    pub(super) fn accept(
        &mut self,
        message: &Message<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), ConnectionError> {
        let Self { reader, conversation, .. } = self;
        let vectored = reader.get_ref().is_write_vectored();
        conversation.accept(message, vectored, |slices| poll_write_some(reader, slices, cx))
    }

    /// Returns the result of a receiving call. An error that ends the conversation is returned after
    /// the peer was informed.
    pub(super) fn or_linger<T>(
        &mut self,
        received: Poll<Result<T, ConnectionError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, ConnectionError>> {
        if matches!(received, Poll::Ready(Err(_))) && self.conversation.check().is_err() {
            ready!(self.poll_linger(cx));
        }
        received
    }

    /// Returns the result of a write, or an error once the write has waited for too long.
    pub(super) fn or_stuck(
        &mut self,
        written: Poll<Result<(), WriteError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectionError>> {
        if let Poll::Ready(written) = written {
            return Poll::Ready(Ok(written?));
        }
        let error = ready!(self.reader.poll_idle(cx));
        Poll::Ready(Err(self.conversation.cannot_read(error)))
    }

    /// Returns the next frame in the read buffer with an event for the application.
    pub(super) fn next_here(&mut self) -> Result<Option<FoundEvent>, ConnectionError> {
        self.conversation.check()?;
        let found = self.find_event();
        if found.is_err() {
            self.offer();
        }
        found
    }

    fn find_event(&mut self) -> Result<Option<FoundEvent>, ConnectionError> {
        let Self { reader, conversation, .. } = self;
        let buf = reader.buf_mut();
        while let Some(found) =
            buf.find().map_err(|error| conversation.not_found(error.into(), || buf.skip_frame()))?
        {
            let position = buf.position();
            let Some(frame) = buf.frame(&found) else { continue };
            if let Some(meaning) = conversation.take(&frame, position)? {
                return Ok(Some(FoundEvent { frame: found, meaning }));
            }
        }
        conversation.check_header(buf.next_header(), buf.position())?;
        Ok(None)
    }

    /// Reads once. Returns `false` if the peer has closed and the stream has ended.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, ConnectionError>> {
        let Self { reader, conversation, .. } = self;
        reader.resume();
        let more = match ready!(reader.poll_fill(cx)) {
            Ok(true) => Ok(true),
            Ok(false) => conversation.end(reader.buf().position()).map(|()| false),
            Err(error) if conversation.ends_with(&error) => Ok(false),
            Err(error) => Err(conversation.cannot_read(error)),
        };
        if more.is_err() {
            self.offer();
        }
        Poll::Ready(more)
    }

    /// Tries once to write the close that the session sends after an error. It registers no waker:
    /// waiting for the transport is left to `close`.
    pub(super) fn offer(&mut self) {
        let _ = self.poll_write(&mut Context::from_waker(Waker::noop()));
    }

    /// Writes if this is necessary before a message can be accepted.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { reader, conversation, .. } = self;
        conversation.poll_room(|slices| poll_write_some(reader, slices, cx))
    }

    /// Writes and flushes everything that is pending, and closes the write direction after the last
    /// message.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { reader, conversation, .. } = self;
        ready!(conversation.poll_drain(|slices| poll_write_some(reader, slices, cx)))?;
        let inner = reader.get_mut();
        if conversation.is_dirty() {
            ready!(Pin::new(&mut *inner).poll_flush(cx)).map_err(WriteError::Flush)?;
            conversation.flushed();
        }
        if conversation.is_over() && !self.is_shut {
            ready!(Pin::new(inner).poll_shutdown(cx)).map_err(WriteError::Flush)?;
            self.is_shut = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes once. A peer that reads counts as active.
fn poll_write_some<S: AsyncWrite + Unpin>(
    reader: &mut FrameReader<S>,
    slices: &[IoSlice<'_>],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let written = ready!(Pin::new(reader.get_mut()).poll_write_vectored(cx, slices))?;
    reader.restart_idle();
    Poll::Ready(Ok(written))
}

/// A waiting call. The clock is paused when the call ends, also if it is dropped.
pub(super) struct Waiting<'a, S>(pub(super) &'a mut Connection<S>);

impl<S> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        self.0.reader.pause();
    }
}
