//! Conversations over a blocking stream.

use core::task::Poll;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

use unstick::io::{FrameReader, ReadError, WriteError};
use unstick::scan::Found;
use unstick::{DEFAULT_LIMIT, Framing, Header, Kind, V1};

use super::ending::Ending;
use crate::conversation::{Conversation, Meaning};
use crate::error::ConnectionError;
use crate::message::{Hello, Message};
use crate::session::{Event, LIMIT_WITHOUT_HELLO, Session};

/// A stream that can be closed in one direction, as [`Connection`] requires.
pub trait Transport: Read + Write {
    /// Closes the write direction, after everything was written and flushed. The read direction
    /// stays open.
    ///
    /// # Errors
    /// Returns the transport's error.
    fn end_writing(&mut self) -> io::Result<()>;

    /// Sets the maximum time that each read and each write waits from now on. A call that has
    /// waited for this time returns [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// A [`Connection`] calls it only when the conversation ends, so that it does not wait for the
    /// peer's end indefinitely.
    ///
    /// # Errors
    /// Returns [`Unsupported`](io::ErrorKind::Unsupported) by default. After an error the connection
    /// then does not wait for the peer at all, so that the close may be lost.
    fn limit_waits(&mut self, at_most: Duration) -> io::Result<()> {
        let _ = at_most;
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Transport for TcpStream {
    fn end_writing(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn limit_waits(&mut self, at_most: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }
}

#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    fn end_writing(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn limit_waits(&mut self, at_most: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }
}

/// A conversation in the version 1 protocol over a blocking [`Transport`]: messages and files in
/// both directions, pings and closes.
///
/// It combines a [`Session`], which applies the protocol's rules, with a transport. It answers
/// pings, and refuses what the rules forbid. The application receives [events](Event), which borrow
/// from the read buffer, and sends [messages](Message).
///
/// ```
/// use std::time::Duration;
/// use unstick_session::io::Connection;
/// use unstick_session::message::{Close, Message};
/// use unstick_session::session::Event;
///
/// # #[cfg(unix)]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// # let server = std::thread::spawn(move || {
/// let mut connection = Connection::new(theirs);
/// while let Some(event) = connection.recv()? {
///     if let Event::Text(text) = event {
///         let answer = text.to_uppercase();
///         connection.send(&Message::Text(&answer))?;
///     }
/// }
/// connection.close(Close::ORDINARY, Duration::from_secs(5))?;
/// # Ok::<(), unstick_session::io::ConnectionError>(())
/// # });
/// # let mut client = Connection::new(ours);
/// # client.send(&Message::Text("hello"))?;
/// # assert_eq!(client.recv()?, Some(Event::Text("HELLO")));
/// # client.close(Close::ORDINARY, Duration::from_secs(5))?;
/// # server.join().unwrap()?;
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// # End of the conversation
/// [`recv`](Self::recv) returns `Ok(None)` if the peer's last message was a close and the stream
/// ended after it. Every other end is an error, so a connection that was cut is not mistaken for a
/// clean end. [`close`](Self::close) ends this side's half and waits for the peer to end the other;
/// [`close_with`](Self::close_with) finishes the files before. To receive the remaining events in
/// the meantime, feed a [`Close`](crate::message::Close) and go on calling `recv`, which closes the write direction once
/// everything is written.
///
/// After a protocol error of the peer, `recv` writes a close with the error's code, closes the write
/// direction, and discards what is in transit, until the peer ends or
/// [5 seconds](Self::with_linger) have passed. Then it returns the error, and the connection can be
/// dropped: the close is not lost.
///
/// # Both directions at once
/// A call that writes waits for the peer to read, and does not read in the meantime. If both sides
/// send more than the transport can buffer and neither reads, both wait indefinitely. If this can
/// happen, set read and write timeouts on the socket: a call that ends with a timeout has lost
/// nothing. If [`feed`](Self::feed) fails with a timeout, the message was not accepted; call `recv`
/// until it ends with a timeout too, then feed the message again. (A tokio `Connection` waits for
/// both directions at once.)
///
/// Without socket timeouts, a call can wait indefinitely for a peer that neither sends nor reads.
///
/// # Memory
/// About two kilobytes in addition to the read buffer, which is described at [`FrameReader`].
/// Outgoing messages take at most 64 KiB and one frame, and 64 KiB of answers. If a peer causes
/// answers and does not read them, one batch of the session's own messages is held, less than 16
/// KiB; the next batch follows when the peer has read it.
#[derive(Debug)]
pub struct Connection<S> {
    pub(super) reader: FrameReader<S>,
    pub(super) conversation: Conversation,
    limit: u32,
    /// Whether the write direction was closed.
    pub(super) is_shut: bool,
    pub(super) ending: Ending,
}

/// A frame in the read buffer, and the type of its event.
pub(super) type FoundEvent = (Found<Kind>, Meaning);

impl<S: Transport> Connection<S> {
    /// Creates a connection at the beginning of a conversation, with a limit of 1 MiB for received
    /// frames.
    ///
    /// A peer to which the limit was not [announced](Self::announce) sends at most 65,536 bytes per
    /// frame.
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

    /// Sets the maximum time from a frame's first byte to its last; see
    /// [`FrameReader::with_frame_timeout`].
    #[must_use]
    pub fn with_frame_timeout(mut self, after: Duration) -> Self {
        self.reader = self.reader.with_frame_timeout(after);
        self
    }

    /// Sets the maximum time during which the peer sends nothing; see
    /// [`FrameReader::with_idle_timeout`].
    #[must_use]
    pub fn with_idle_timeout(mut self, after: Duration) -> Self {
        self.reader = self.reader.with_idle_timeout(after);
        self
    }

    /// Accepts a hello, which announces this side's limit and name to the peer. The name, such as
    /// that of the application, may be empty.
    ///
    /// The hello is written with the next messages, or before the next read.
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
    /// # Errors
    /// Returns [`ConnectionError::Read`] or [`ConnectionError::Session`]. Except for a failure of
    /// the transport, which includes a timeout of the socket, the error ends the conversation, and
    /// every further call returns the same error. With [`skip_oversize`](Self::skip_oversize), the
    /// error of an oversize frame does not latch.
    ///
    /// An error that ends the conversation is returned once the peer was informed: see
    /// [`with_linger`](Self::with_linger).
    ///
    /// A failed write is not reported here, but by the next call that writes.
    pub fn recv(&mut self) -> Result<Option<Event<'_>>, ConnectionError> {
        let found = self.next_found()?;
        Ok(found.and_then(|found| self.event(&found)))
    }

    /// Accepts a message and flushes.
    ///
    /// # Errors
    /// The same as [`feed`](Self::feed). Also the same as [`flush`](Self::flush); the message was
    /// accepted then.
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.feed(message)?;
        self.flush()
    }

    /// Accepts a message.
    ///
    /// Small messages are collected until there are enough of them, or until [`flush`](Self::flush)
    /// or [`recv`](Self::recv) writes them. The data of a large message, from 32 KiB, is written
    /// without a copy; only the part that a timeout of the socket leaves over is copied.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Send`] if the message is not allowed now, or is over the peer's
    /// limit, and [`ConnectionError::Write`] if the transport failed. In both cases the message was
    /// not accepted.
    ///
    /// After a failed write, [`recv`](Self::recv) may still return what the peer sent before the
    /// failure.
    pub fn feed(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        let Self { reader, conversation, .. } = self;
        let mut write =
            |slices: &[IoSlice<'_>]| Poll::Ready(reader.get_mut().write_vectored(slices));
        now(conversation.poll_room(&mut write))?;
        conversation.accept(message, true, write)
    }

    /// Accepts a message without writing, for example an answer in the middle of something else. It
    /// is written by the next call that reads or writes.
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
    /// # Errors
    /// Returns [`ConnectionError::Write`] if the transport failed. What was not written is kept.
    pub fn flush(&mut self) -> Result<(), ConnectionError> {
        Ok(self.write()?)
    }

    /// Reports to the session that a few seconds have passed: see [`Session::handle_tick`].
    pub fn tick(&mut self) {
        self.conversation.session.handle_tick();
    }

    /// Begins to drain before an ordinary close: see [`Session::drain`].
    pub fn drain(&mut self) {
        self.conversation.session.drain();
    }

    /// Returns the event of a frame in the read buffer.
    pub(super) fn event(&self, (found, meaning): &FoundEvent) -> Option<Event<'_>> {
        Some(meaning.event(self.reader.buf().frame(found)?))
    }

    /// Returns the next frame with an event for the application.
    fn next_found(&mut self) -> Result<Option<FoundEvent>, ConnectionError> {
        self.conversation.check()?;
        let found = self.wait_for_found();
        if found.is_err() && self.conversation.check().is_err() {
            self.inform();
        }
        found
    }

    pub(super) fn wait_for_found(&mut self) -> Result<Option<FoundEvent>, ConnectionError> {
        loop {
            let Self { reader, conversation, .. } = self;
            let buf = reader.buf_mut();
            while let Some(found) = buf
                .find()
                .map_err(|error| conversation.not_found(error.into(), || buf.skip_frame()))?
            {
                let position = buf.position();
                let Some(frame) = buf.frame(&found) else { continue };
                if let Some(meaning) = conversation.take(&frame, position)? {
                    return Ok(Some((found, meaning)));
                }
            }
            conversation.check_header(buf.next_header(), buf.position())?;
            let _ = self.write(); // the next call that writes returns the error
            let Self { reader, conversation, .. } = self;
            match reader.fill() {
                Ok(true) => {}
                Ok(false) => {
                    conversation.end(reader.buf().position())?;
                    return Ok(None);
                }
                Err(ReadError::Io(error)) if is_timeout(&error) => {
                    return Err(conversation.cannot_read(error.into()));
                }
                Err(error) if conversation.ends_with(&error) => return Ok(None),
                Err(error) => return Err(conversation.cannot_read(error)),
            }
        }
    }

    /// Writes and flushes everything that is pending, and closes the write direction after the last
    /// message.
    pub(super) fn write(&mut self) -> Result<(), WriteError> {
        let Self { reader, conversation, .. } = self;
        let inner = reader.get_mut();
        now(conversation.poll_drain(|slices| Poll::Ready(inner.write_vectored(slices))))?;
        if conversation.is_dirty() {
            inner.flush().map_err(WriteError::Flush)?;
            conversation.flushed();
        }
        if conversation.is_over() && !self.is_shut {
            inner.end_writing().map_err(WriteError::Flush)?;
            self.is_shut = true;
        }
        Ok(())
    }
}

impl<S> Connection<S> {
    /// Accepts the cancel of a file whose sender was dropped.
    pub(super) fn give_up(&mut self, cancel: &Message<'_>) {
        self.conversation.give_up(cancel);
    }
}

/// Unwraps the result of a blocking write, which is never pending.
fn now(result: Poll<Result<(), WriteError>>) -> Result<(), WriteError> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(WriteError::Flush(io::ErrorKind::WouldBlock.into())),
    }
}

/// Returns whether a call of the socket ended with its timeout.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind())
}
