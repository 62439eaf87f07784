//! Conversations over an asynchronous stream.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::string::String;
use std::vec::Vec;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::time::timeout;
use unstick::io::WriteError;
use unstick::scan::Found;
use unstick::tokio::FrameReader;
use unstick::{DEFAULT_LIMIT, Framing, Kind, V1};

use crate::conversation::{Conversation, Meaning};
use crate::error::ConnectionError;
use crate::message::{Close, Hello, Message};
use crate::session::{Event, LIMIT_WITHOUT_HELLO, Session};

/// A conversation in the version 1 protocol over any [`AsyncRead`] and [`AsyncWrite`] stream:
/// messages and files in both directions, pings and closes.
///
/// It combines a [`Session`], which applies the protocol's rules, with a transport. It answers
/// pings, and refuses what the rules forbid. The application receives [events](Event), which borrow
/// from the read buffer, and sends [messages](Message).
///
/// ```
/// use std::time::Duration;
/// use unstick_session::message::{Close, Message};
/// use unstick_session::session::Event;
/// use unstick_session::tokio::Connection;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (ours, theirs) = tokio::io::duplex(64);
/// # let server = tokio::spawn(async move {
/// let mut connection = Connection::new(theirs);
/// while let Some(event) = connection.recv().await? {
///     if let Event::Text(text) = event {
///         let answer = text.to_uppercase();
///         connection.send(&Message::Text(&answer)).await?;
///     }
/// }
/// connection.close(Close::ORDINARY, Duration::from_secs(5)).await?;
/// # Ok::<(), unstick_session::tokio::ConnectionError>(())
/// # });
/// # let mut client = Connection::new(ours);
/// # client.send(&Message::Text("hello")).await?;
/// # assert_eq!(client.recv().await?, Some(Event::Text("HELLO")));
/// # client.close(Close::ORDINARY, Duration::from_secs(5)).await?;
/// # server.await??;
/// # Ok(())
/// # }
/// ```
///
/// # End of the conversation
/// [`recv`](Self::recv) returns `Ok(None)` if the peer's last message was a close and the stream
/// ended after it. Every other end is an error, so a connection that was cut is not mistaken for a
/// clean end. [`close`](Self::close) ends this side's half and waits for the peer to end the other.
/// To receive the remaining events in the meantime, feed a [`Close`] and go on calling `recv`,
/// which closes the write direction once everything is written.
///
/// After a protocol error of the peer, `recv` tries to write a close with the error's code, without
/// waiting for the transport. A following `close` call does wait: it writes the close, and reads
/// what is in transit, so that the close is not lost when the connection is dropped.
///
/// # Both directions at once
/// [`send`](Self::send), [`feed`](Self::feed) and [`flush`](Self::flush) wait for the peer to read,
/// and do not read in the meantime. That is sufficient for a side that only answers. But if both
/// sides send more than the transport can buffer and neither reads, both wait indefinitely. If you
/// send much and the peer may send something in the meantime, such as statuses or files, call
/// [`recv_or_room`](Self::recv_or_room), which waits for [room or an event](Turn), whichever comes
/// first:
///
/// ```
/// # use unstick_session::message::Message;
/// # use unstick_session::session::Event;
/// # use unstick_session::tokio::{Connection, ConnectionError, Turn};
/// # async fn example(connection: &mut Connection<tokio::io::DuplexStream>, texts: &[&str])
/// # -> Result<(), ConnectionError> {
/// let mut texts = texts.iter();
/// let mut next = texts.next();
/// while let Some(text) = next { // afterwards, call `recv`, which writes the rest
///     match connection.recv_or_room().await? {
///         Some(Turn::Room) => {
///             connection.feed(&Message::Text(text)).await?; // there is room: it does not wait
///             next = texts.next();
///         }
///         Some(Turn::Event(event)) => println!("{event:?}"),
///         None => break,
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// It is enough if one side does this, provided that it answers with [`try_feed`](Self::try_feed),
/// which never waits. This side then waits only while it can neither read *nor* write. So it reads
/// whatever the other side sends, and the other side can continue. No additional buffer is needed:
/// a message that cannot be written is not accepted, and received events are delivered before more
/// is read.
///
/// A `Connection` is used by one task and needs no lock. Its waiting calls can be dropped at any
/// time, for example by `select!`. Other tasks can send through a channel.
///
/// # Memory
/// About two kilobytes and the beginning of a partly received frame. While it reads, see
/// [`FrameReader`](unstick::tokio::FrameReader). Outgoing messages take at most 64 KiB and one frame, and 64
/// KiB of answers. If a peer causes answers and does not read them, one batch of the session's own
/// messages is held, less than 16 KiB; the next batch follows when the peer has read it.
#[derive(Debug)]
pub struct Connection<S> {
    reader: FrameReader<S>,
    conversation: Conversation,
    limit: u32,
    /// Whether something was read since room was last returned.
    has_read: bool,
    /// Whether the write direction was closed.
    is_shut: bool,
    /// Whether the stream has ended while its bytes were discarded.
    is_drained: bool,
}

/// The result of [`Connection::recv_or_room`], with an [`Event`], and of
/// [`Connection::find_or_room`], with a [`FoundEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<E> {
    /// The peer sent something.
    Event(E),
    /// The next [`feed`](Connection::feed) does not wait.
    Room,
}

/// An event in the read buffer: the result of [`Connection::find`]. It borrows nothing;
/// [`Connection::event`] returns the event.
#[derive(Clone, Copy, Debug)]
pub struct FoundEvent {
    frame: Found<Kind>,
    meaning: Meaning,
}

impl FoundEvent {
    /// Returns the stream offset of the first byte of the event's frame.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.frame.at()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Creates a connection at the beginning of a conversation, with a limit of 1 MiB for received
    /// frames.
    ///
    /// A peer to which the limit was not [announced](Self::announce) sends at most 65,536 bytes per
    /// frame.
    ///
    /// By default, it waits for the peer indefinitely. A server should set
    /// [`with_frame_timeout`](Self::with_frame_timeout) and [`with_idle_timeout`](Self::with_idle_timeout).
    pub fn new(inner: S) -> Self {
        Self::with_limit(inner, u32::try_from(DEFAULT_LIMIT).unwrap_or(u32::MAX))
    }

    /// Creates a connection with a limit of `payload_bytes` for the payload of received frames.
    ///
    /// Payloads of up to 65,536 bytes are accepted under any limit, because the peer may not have
    /// seen the hello that announces a lower one.
    pub fn with_limit(inner: S, payload_bytes: u32) -> Self {
        let limit = LIMIT_WITHOUT_HELLO.max(payload_bytes.into());
        let framing = Framing::new(V1).with_limit(limit);
        Self {
            reader: FrameReader::with_framing(inner, framing),
            conversation: Conversation::new(),
            limit: payload_bytes,
            has_read: false,
            is_shut: false,
            is_drained: false,
        }
    }

    /// Sets the session with which the conversation starts, for example one with application kinds
    /// or a known limit of the peer.
    #[must_use]
    pub fn with_session(mut self, session: Session) -> Self {
        self.conversation.session = session;
        self
    }

    /// Sets the function that returns the reason for the close that is sent after an error, for
    /// example the error's text. It gets the error and [its stream offset](Self::event_at).
    ///
    /// By default, the reason is the code's [meaning](crate::message::Code::meaning). It is
    /// shortened to the peer's limit.
    #[must_use]
    pub fn explain_errors(mut self, explain: fn(&ConnectionError, u64) -> String) -> Self {
        self.conversation.explain = Some(explain);
        self
    }

    /// Skips frames whose payload is over the limit, instead of ending the conversation.
    ///
    /// [`recv`](Self::recv) returns the error of such a frame once, and continues after the frame
    /// when it is called again. The peer is not informed; [announce](Self::announce) the limit so
    /// that it knows it.
    #[must_use]
    pub fn skip_oversize(mut self) -> Self {
        self.conversation.skips_oversize = true;
        self
    }

    /// Sets the maximum time from a frame's first byte to its last. Only the time during which a
    /// call waits for the peer's bytes counts, including calls that were dropped.
    ///
    /// # Panics
    /// A waiting call panics if tokio's runtime was built without its clock (`enable_time`).
    #[must_use]
    pub fn with_frame_timeout(mut self, after: Duration) -> Self {
        self.reader = self.reader.with_frame_timeout(after);
        self
    }

    /// Sets the maximum time during which the peer neither sends anything nor reads anything that
    /// is sent to it. Only the time during which a call waits for the peer counts, whichever call
    /// it is.
    ///
    /// # Panics
    /// The same as [`with_frame_timeout`](Self::with_frame_timeout).
    #[must_use]
    pub fn with_idle_timeout(mut self, after: Duration) -> Self {
        self.reader = self.reader.with_idle_timeout(after);
        self
    }

    /// Accepts a hello, which announces this side's limit and name to the peer. The name, such as
    /// that of the application, may be empty.
    ///
    /// The hello is written with the next messages, or before the next wait.
    ///
    /// # Errors
    /// Returns [`SendError::LateHello`](crate::session::SendError::LateHello) if something was sent
    /// before.
    pub fn announce(&mut self, name: &str) -> Result<(), ConnectionError> {
        self.try_feed(&Message::Hello(Hello { limit: self.limit, name }))
    }

    /// Returns the session: the state of the conversation, such as the peer's limit, the next
    /// transfer id, and the number of files without a final status.
    pub fn session(&self) -> &Session {
        &self.conversation.session
    }

    /// Returns the stream offset after the last frame that was handled.
    pub fn position(&self) -> u64 {
        self.reader.buf().position()
    }

    /// Returns the stream offset of the last handled frame's first byte: the frame of an event, or
    /// the one that broke a rule; or the offset of a stream's end without a close. It is useful for
    /// logs.
    pub fn event_at(&self) -> u64 {
        self.conversation.event_at
    }

    /// Returns the number of bytes that were received and not handled: those of a frame that has
    /// begun at [`position`](Self::position), and of frames after it.
    pub fn unread_len(&self) -> usize {
        self.reader.buf().unread().len()
    }

    /// Returns the number of bytes that were accepted and not written.
    pub fn unwritten_len(&self) -> usize {
        self.conversation.unwritten_len()
    }

    /// Returns the transport.
    pub fn get_ref(&self) -> &S {
        self.reader.get_ref()
    }

    /// Returns the transport, the bytes that were read from it and not consumed, and the bytes that
    /// were accepted and not written.
    pub fn into_inner(self) -> (S, Vec<u8>, Vec<u8>) {
        let (inner, unread) = self.reader.into_inner();
        (inner, unread, self.conversation.into_pending())
    }

    /// Waits for the next event. Returns `Ok(None)` after the peer has closed and the stream has
    /// ended.
    ///
    /// Before it reads from the transport, it writes all accepted messages and the session's own
    /// ones. A loop that handles each event, feeds its answers and calls `recv` again therefore
    /// needs no flush: answers are written in batches, and always before a wait.
    ///
    /// # Cancel safety
    /// This method is cancel safe: a dropped call loses nothing, in either direction.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Read`] or [`ConnectionError::Session`]. Except for a failure of
    /// the transport, the error ends the conversation, and every further call returns the same
    /// error. With [`skip_oversize`](Self::skip_oversize), the error of an oversize frame does not
    /// latch.
    ///
    /// A failed write is not reported here, but by the next call that writes.
    pub async fn recv(&mut self) -> Result<Option<Event<'_>>, ConnectionError> {
        let found = self.find().await?;
        Ok(found.and_then(|found| self.event(&found)))
    }

    /// Waits for the next event like [`recv`](Self::recv), without borrowing it: for a loop that
    /// waits for something else too, or that needs the connection while it handles the event.
    ///
    /// # Cancel safety
    /// This method is cancel safe: a dropped call loses nothing, in either direction.
    ///
    /// # Errors
    /// The same as [`recv`](Self::recv).
    pub async fn find(&mut self) -> Result<Option<FoundEvent>, ConnectionError> {
        if let Some(found) = self.next_here()? {
            return Ok(Some(found));
        }
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_recv(cx)).await
    }

    /// Returns an event that was found. `None` if more was read since, which may overwrite it.
    pub fn event(&self, found: &FoundEvent) -> Option<Event<'_>> {
        Some(found.meaning.event(self.reader.buf().frame(&found.frame)?))
    }

    /// Waits for the next event, or until the next [`feed`](Self::feed) does not wait. For a caller
    /// that has something to send.
    ///
    /// Returns `Ok(None)` like [`recv`](Self::recv). After this side has closed, there is no room,
    /// and the call waits like `recv`.
    ///
    /// Events that have already been read come first, then room, once per read. The call writes if
    /// the collected messages leave no room, and before it waits.
    ///
    /// # Cancel safety
    /// This method is cancel safe: a dropped call loses nothing, in either direction.
    ///
    /// # Errors
    /// The same as [`recv`](Self::recv). If the transport cannot be written, the call returns room,
    /// so that the next `feed` returns the error.
    pub async fn recv_or_room(&mut self) -> Result<Option<Turn<Event<'_>>>, ConnectionError> {
        Ok(match self.find_or_room().await? {
            Some(Turn::Event(found)) => self.event(&found).map(Turn::Event),
            Some(Turn::Room) => Some(Turn::Room),
            None => None,
        })
    }

    /// Waits for the next event or for room like [`recv_or_room`](Self::recv_or_room), without
    /// borrowing the event.
    ///
    /// # Cancel safety
    /// This method is cancel safe: a dropped call loses nothing, in either direction.
    ///
    /// # Errors
    /// The same as [`recv_or_room`](Self::recv_or_room).
    pub async fn find_or_room(&mut self) -> Result<Option<Turn<FoundEvent>>, ConnectionError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_find_or_room(cx)).await
    }

    /// Accepts a message and flushes. It waits for the peer to read; see
    /// [above](Self#both-directions-at-once).
    ///
    /// # Cancel safety
    /// If the call is dropped before the message is accepted, nothing is sent. If it is dropped
    /// afterwards, the next call writes the message. The caller cannot tell which is the case: to
    /// be able to, call [`feed`](Self::feed) and then [`flush`](Self::flush).
    ///
    /// # Errors
    /// The same as [`feed`](Self::feed). Also the same as [`flush`](Self::flush); the message was
    /// accepted then.
    pub async fn send(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Accepts a message.
    ///
    /// Small messages are collected until there are enough of them, or until [`flush`](Self::flush)
    /// or [`recv`](Self::recv) writes them. The data of a large message, from 32 KiB, is written
    /// without a copy; only the part that the transport does not accept at once is copied.
    ///
    /// It waits while 64 KiB, or the rest of an earlier message, cannot be written.
    ///
    /// # Cancel safety
    /// This method is cancel safe: a dropped call accepted nothing, because the call does not wait
    /// after the message is accepted.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Send`] if the message is not allowed now, or is over the peer's
    /// limit, [`ConnectionError::Write`] if the transport failed, and [`ConnectionError::Read`] if
    /// the peer was idle for too long. In each case the message was not accepted.
    ///
    /// After a failed write, [`recv`](Self::recv) may still return what the peer sent before the
    /// failure.
    pub async fn feed(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        if !self.conversation.has_room() {
            let waiting = Waiting(self);
            poll_fn(|cx| {
                let has_room = waiting.0.poll_room(cx);
                waiting.0.or_stuck(has_room, cx)
            })
            .await?;
        }
        // There is room now, so this does not wait.
        poll_fn(|cx| Poll::Ready(self.accept(message, cx))).await
    }

    /// Accepts a message without waiting and without writing, for example an answer in the middle
    /// of something else. It is written by the next call that waits.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Send`] like [`feed`](Self::feed). Returns
    /// [`ConnectionError::Full`] if 64 KiB were accepted in this way since everything was last
    /// written; the statuses that a peer can request within the rules take less.
    pub fn try_feed(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.conversation.accept_unwaited(message)
    }

    /// Writes all accepted messages and the session's own ones, and flushes the transport. After a
    /// close, it also closes the write direction.
    ///
    /// # Cancel safety
    /// This method is cancel safe: the next call writes what a dropped call did not write.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Write`] if the transport failed, and [`ConnectionError::Read`] if
    /// the peer was idle for too long. What was not written is kept.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        let waiting = Waiting(self);
        poll_fn(|cx| {
            let written = waiting.0.poll_write(cx);
            waiting.0.or_stuck(written, cx)
        })
        .await
    }

    /// Reports to the session that a few seconds have passed: see [`Session::handle_tick`].
    pub fn tick(&mut self) {
        self.conversation.session.handle_tick();
    }

    /// Ends the conversation.
    ///
    /// It sends the close, unless this side has already closed or an error has ended the
    /// conversation, and closes the write direction. Then it reads until the peer ends, so that no
    /// data in transit is lost when the connection is dropped. Events that arrive in the meantime
    /// are discarded. The reason is shortened to the peer's limit.
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
        self.conversation.close(close)?;
        let waiting = Waiting(self);
        timeout(within, poll_fn(|cx| waiting.0.poll_close(cx)))
            .await
            .unwrap_or(Err(ConnectionError::CloseTimeout { after: within }))
    }

    fn poll_recv(
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

    fn poll_find_or_room(
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

    fn accept(
        &mut self,
        message: &Message<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), ConnectionError> {
        let Self { reader, conversation, .. } = self;
        let vectored = reader.get_ref().is_write_vectored();
        conversation.accept(message, vectored, |slices| poll_write_some(reader, slices, cx))
    }

    /// Returns the result of a write, or an error once the write has waited for too long.
    fn or_stuck(
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

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while self.conversation.check().is_ok() {
            match ready!(self.poll_recv(cx)) {
                Ok(Some(_)) => {}
                Ok(None) => return self.poll_write(cx).map_err(ConnectionError::Write),
                // After an error that is not the transport's, there is a close to write.
                Err(error) => self.conversation.end_of_close(error)?,
            }
        }
        let written = self.poll_write(cx);
        let _ = ready!(self.poll_discard(cx));
        let _ = ready!(written);
        Poll::Ready(self.conversation.check())
    }

    /// Reads to the end of the stream and discards the bytes.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        while !self.reader.is_ended() && !self.is_drained {
            let mut scratch = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(self.reader.get_mut()).poll_read(cx, &mut scratch)) {
                Ok(()) => self.is_drained = scratch.filled().is_empty(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the next frame in the read buffer with an event for the application.
    fn next_here(&mut self) -> Result<Option<FoundEvent>, ConnectionError> {
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
            Err(error) => Err(conversation.cannot_read(error)),
        };
        if more.is_err() {
            self.offer();
        }
        Poll::Ready(more)
    }

    /// Tries once to write the close that the session sends after an error. It registers no waker:
    /// waiting for the transport is left to `close`.
    fn offer(&mut self) {
        let _ = self.poll_write(&mut Context::from_waker(Waker::noop()));
    }
}

impl<S> Connection<S> {
    /// Accepts the cancel of a file whose sender was dropped.
    pub(super) fn give_up(&mut self, cancel: &Message<'_>) {
        self.conversation.give_up(cancel);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Writes if this is necessary before a message can be accepted.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { reader, conversation, .. } = self;
        conversation.poll_room(|slices| poll_write_some(reader, slices, cx))
    }

    /// Writes and flushes everything that is pending, and closes the write direction after the last
    /// message.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
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
struct Waiting<'a, S>(&'a mut Connection<S>);

impl<S> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        self.0.reader.pause();
    }
}
