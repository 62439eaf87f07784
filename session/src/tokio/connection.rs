//! Conversations over an asynchronous stream.

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use std::string::String;
use std::vec::Vec;

use ::tokio::io::{AsyncRead, AsyncWrite};
use unstick::scan::Found;
use unstick::tokio::FrameReader;
use unstick::{DEFAULT_LIMIT, Framing, Header, Kind, V1};

use super::ending::Ending;
use super::poll::Waiting;
use crate::conversation::{Conversation, Meaning};
use crate::error::ConnectionError;
use crate::message::{Hello, Message};
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
/// clean end. [`close`](Self::close) ends this side's half and waits for the peer to end the other;
/// [`close_with`](Self::close_with) finishes the files before. To receive the remaining events in
/// the meantime, feed a [`Close`](crate::message::Close) and go on calling `recv`, which closes the
/// write direction once everything is written.
///
/// After a protocol error of the peer, `recv` writes a close with the error's code, closes the write
/// direction, and discards what is in transit, until the peer ends or
/// [5 seconds](Self::with_linger) have passed. Then it returns the error, and the connection can be
/// dropped: the close is not lost.
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
    pub(super) reader: FrameReader<S>,
    pub(super) conversation: Conversation,
    limit: u32,
    /// Whether something was read since room was last returned.
    pub(super) has_read: bool,
    /// Whether the write direction was closed.
    pub(super) is_shut: bool,
    pub(super) ending: Ending,
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
    pub(super) frame: Found<Kind>,
    pub(super) meaning: Meaning,
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
    /// A limit below 65,536 is [announced](Self::announce), but payloads of up to 65,536 bytes are
    /// accepted nevertheless: a sender may send as much before it has seen the hello (spec, 6.1 and
    /// 14.1). A side whose memory is smaller than that cannot use a `Connection`. It uses a
    /// [`Session`] over frames with its own limit, and the peer has to know that limit by other
    /// means: see [`Session::with_peer_limit`].
    pub fn with_limit(inner: S, payload_bytes: u32) -> Self {
        let limit = LIMIT_WITHOUT_HELLO.max(payload_bytes.into());
        let framing = Framing::new(V1).with_limit(limit);
        Self {
            reader: FrameReader::with_framing(inner, framing),
            conversation: Conversation::new(),
            limit: payload_bytes,
            has_read: false,
            is_shut: false,
            ending: Ending::new(),
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
        self.ending.position.unwrap_or_else(|| self.reader.buf().position())
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

    /// Returns the header of the frame that has begun at [`position`](Self::position), if the header
    /// has arrived.
    pub fn next_header(&self) -> Option<Header<Kind>> {
        self.reader.buf().next_header()
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
    /// An error that ends the conversation is returned once the peer was informed: see
    /// [`with_linger`](Self::with_linger). A call that is dropped in this time loses nothing; the
    /// next one waits for the rest of it.
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
        match self.next_here() {
            Ok(None) => {}
            Err(_) if self.conversation.check().is_err() => {} // the peer has to be informed
            found => return found,
        }
        let waiting = Waiting(self);
        poll_fn(|cx| {
            let found = waiting.0.poll_recv(cx);
            waiting.0.or_linger(found, cx)
        })
        .await
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
        poll_fn(|cx| {
            let turn = waiting.0.poll_find_or_room(cx);
            waiting.0.or_linger(turn, cx)
        })
        .await
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

    /// Begins to drain before an ordinary close: see [`Session::drain`].
    pub fn drain(&mut self) {
        self.conversation.session.drain();
    }
}

impl<S> Connection<S> {
    /// Accepts the cancel of a file whose sender was dropped.
    pub(super) fn give_up(&mut self, cancel: &Message<'_>) {
        self.conversation.give_up(cancel);
    }
}
