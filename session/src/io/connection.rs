//! A conversation over a blocking stream.

use core::task::Poll;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::string::String;
use std::time::{Duration, Instant};
use std::vec::Vec;

use unstick::io::{FrameReader, ReadError, WriteError};
use unstick::seams::Located;
use unstick::{DEFAULT_LIMIT, Framing, Kind, V1};

use crate::conversation::{Conversation, Meaning};
use crate::error::ConnectionError;
use crate::message::{Close, Hello, Message};
use crate::session::{Event, LIMIT_WITHOUT_HELLO, Session};

/// A stream of which one half can end: what [`Connection`] needs beside reading and writing.
pub trait Transport: Read + Write {
    /// Tells the peer that nothing more comes, after all was written and flushed. Reading goes on.
    ///
    /// # Errors
    /// The transport failed.
    fn end_writing(&mut self) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn end_writing(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl Transport for std::os::unix::net::UnixStream {
    fn end_writing(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// A conversation in the version-1 protocol over a blocking [`Transport`]: messages and files in
/// both directions, pings and closes.
///
/// It is a [`Session`], which has the rules, with a transport. It answers pings and refuses what
/// the rules refuse by itself; an application sees [events](Event), which borrow from the read
/// buffer, and sends [messages](Message).
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
/// # The end
/// [`recv`](Self::recv) returns `Ok(None)` when the peer's last message was a close and the stream
/// ended behind it. Every other end is an error: a connection that was cut is not a clean end.
/// [`close`](Self::close) ends this side's half, and waits for the peer's. Who wants what still
/// comes meanwhile feeds a [`Close`] and goes on with `recv`, which ends writing once all is
/// written.
///
/// After an error of the peer's, `recv` writes a close with the error's code before it returns the
/// error.
///
/// # Both directions at once
/// A call that writes waits for the peer to read, and does not read. If both sides send more than
/// the transport holds and neither reads, both wait for ever. Where that can be, give the socket
/// time-outs for reading and writing: a call that ends by one has lost nothing. After a
/// [`feed`](Self::feed) that failed so nothing was accepted; `recv` until that ends by its time-out
/// too, and feed again. (A tokio `Connection` waits for both directions at once.)
///
/// Without time-outs of the socket no call ends because of a peer that is silent or does not read.
///
/// # Memory
/// About two kilobytes beside the read buffer, for which see [`FrameReader`]. Of what it sends it
/// holds at most 64 KiB and one frame, and 64 KiB of answers. A peer that makes it speak and does
/// not read gets one batch of what a session says by itself, below 16 KiB, and the next when it has
/// read that.
#[derive(Debug)]
pub struct Connection<S> {
    reader: FrameReader<S>,
    conversation: Conversation,
    limit: u32,
    /// Writing was ended.
    is_shut: bool,
}

/// A frame that stands in the read buffer, and what it means.
type Found = (Located<Kind>, Meaning);

impl<S: Transport> Connection<S> {
    /// A conversation at its beginning. Frames of at most 1 MiB of payload are taken; a peer that
    /// is not [told so](Self::announce) sends 65,536 bytes at most.
    pub fn new(inner: S) -> Self {
        Self::with_limit(inner, u32::try_from(DEFAULT_LIMIT).unwrap_or(u32::MAX))
    }

    /// The same with a limit of `payload_bytes` for each frame that is received. One of at most
    /// 65,536 is taken all the same: the peer may not have seen the hello that announces less.
    pub fn with_limit(inner: S, payload_bytes: u32) -> Self {
        let limit = LIMIT_WITHOUT_HELLO.max(payload_bytes.into());
        let framing = Framing::new(V1).with_limit(limit);
        Self {
            reader: FrameReader::with_framing(inner, framing),
            conversation: Conversation::new(),
            limit: payload_bytes,
            is_shut: false,
        }
    }

    /// Sets the rules that the session begins with: an application's kinds, the peer's limit.
    #[must_use]
    pub fn with_session(mut self, session: Session) -> Self {
        self.conversation.session = session;
        self
    }

    /// Sets the reason that the peer is told of an error that ends the conversation, in place of
    /// the code's [meaning](crate::message::Code::meaning): such as the error's own text. It is
    /// shortened to what the peer takes.
    #[must_use]
    pub fn explain_errors(mut self, explain: fn(&ConnectionError) -> String) -> Self {
        self.conversation.explain = Some(explain);
        self
    }

    /// Has a frame whose payload is over the limit passed over. [`recv`](Self::recv) returns its
    /// error once, and goes on behind it when it is called again. (The peer is not told: it was, if
    /// this side [announced](Self::announce) its limit.)
    #[must_use]
    pub fn skip_oversize(mut self) -> Self {
        self.conversation.skips_oversize = true;
        self
    }

    /// Sets how long a frame may take from its first byte to its last; see
    /// [`FrameReader::frame_timeout`].
    #[must_use]
    pub fn frame_timeout(mut self, after: Duration) -> Self {
        self.reader = self.reader.frame_timeout(after);
        self
    }

    /// Sets how long a peer may send nothing; see [`FrameReader::idle_timeout`].
    #[must_use]
    pub fn idle_timeout(mut self, after: Duration) -> Self {
        self.reader = self.reader.idle_timeout(after);
        self
    }

    /// Accepts a hello, which tells the peer this side's limit and its name, such as that of the
    /// application; it may be empty. It goes out with what follows, or before the next read.
    ///
    /// # Errors
    /// [`SendError::LateHello`](crate::session::SendError::LateHello) when something was sent
    /// already.
    pub fn announce(&mut self, name: &str) -> Result<(), ConnectionError> {
        self.try_feed(&Message::Hello(Hello { limit: self.limit, name }))
    }

    /// The rules, and how far the conversation is: the peer's limit, the next transfer's id, how
    /// many files wait for an answer.
    pub fn session(&self) -> &Session {
        &self.conversation.session
    }

    /// The stream offset behind the last frame that was taken.
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// The stream offset of the first byte of the last frame that was taken: that of an event, or
    /// of what broke a rule by its payload. For a log.
    pub fn event_at(&self) -> u64 {
        self.conversation.event_at
    }

    /// The transport.
    pub fn get_ref(&self) -> &S {
        self.reader.get_ref()
    }

    /// The transport, the bytes that were read from it and are not consumed, and the bytes that
    /// were accepted and are not written.
    pub fn into_inner(self) -> (S, Vec<u8>, Vec<u8>) {
        let (inner, unread) = self.reader.into_inner();
        (inner, unread, self.conversation.into_pending())
    }

    /// Waits for what the peer says. `Ok(None)` says that it closed and the stream ended.
    ///
    /// Before it reads it writes what was accepted and what the session says by itself: whoever
    /// takes all that is here, feeds the answers and calls this again, flushes as rarely as can be
    /// and never too late.
    ///
    /// # Errors
    /// [`ConnectionError::Read`] and [`ConnectionError::Session`]: but for a failure of the
    /// transport, a time-out of the socket too, they end the conversation, and every further call
    /// returns the same. What cannot be written shows in the next call that writes. With
    /// [`skip_oversize`](Self::skip_oversize) an oversize frame does not latch.
    pub fn recv(&mut self) -> Result<Option<Event<'_>>, ConnectionError> {
        let found = self.next_found()?;
        Ok(found.and_then(|(located, meaning)| Some(meaning.event(self.reader.lend(located)?))))
    }

    /// Accepts a message and flushes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), and as [`flush`](Self::flush), with the message accepted.
    pub fn send(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.feed(message)?;
        self.flush()
    }

    /// Accepts a message. Small ones are collected until enough are there, until
    /// [`flush`](Self::flush), or until [`recv`](Self::recv) reads. The data of a large one, from
    /// 32 KiB, is written from where it is; only what a time-out of the socket leaves over is
    /// copied.
    ///
    /// # Errors
    /// [`ConnectionError::Send`] when the message has no place now, or is over the peer's limit.
    /// [`ConnectionError::Write`] when the transport failed. In both cases it was not accepted.
    /// After a failed write, [`recv`](Self::recv) may still have what the peer said before it went.
    pub fn feed(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        let Self { reader, conversation, .. } = self;
        let mut write =
            |slices: &[IoSlice<'_>]| Poll::Ready(reader.get_mut().write_vectored(slices));
        now(conversation.poll_room(&mut write))?;
        conversation.accept(message, true, write)
    }

    /// Accepts a message without writing: an answer, in the middle of something else. It is written
    /// by the next call that reads or writes.
    ///
    /// # Errors
    /// [`ConnectionError::Send`] as [`feed`](Self::feed). [`ConnectionError::Full`] when 64 KiB were
    /// accepted in this way since all was written: the statuses that a peer within its rules can
    /// ask for are fewer.
    pub fn try_feed(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.conversation.accept_unwaited(message)
    }

    /// Writes all that was accepted and what the session says by itself, and flushes the
    /// transport. After a close it ends writing too.
    ///
    /// # Errors
    /// [`ConnectionError::Write`] when the transport failed; what was not written is kept.
    pub fn flush(&mut self) -> Result<(), ConnectionError> {
        Ok(self.write()?)
    }

    /// Tells the session that some seconds have passed: see [`Session::handle_tick`].
    pub fn tick(&mut self) {
        self.conversation.session.handle_tick();
    }

    /// Ends the conversation: sends the close, unless this side has closed already or an error
    /// ended it; ends writing; and reads on until the peer ends, so that nothing on its way in
    /// either direction is lost with the connection. What comes meanwhile is dropped.
    ///
    /// The time is checked between reads and writes. So that these end, set the socket's own
    /// time-outs. The reason is shortened to what the peer's limit has room for.
    ///
    /// # Errors
    /// The peer ended without a close, or it did not end `within` that time; or an error had ended
    /// the conversation before.
    pub fn close(&mut self, close: Close<'_>, within: Duration) -> Result<(), ConnectionError> {
        self.conversation.close(close)?;
        let begin = Instant::now();
        while begin.elapsed() < within {
            match self.close_on() {
                Ok(false) => {}
                Ok(true) => return self.conversation.check(),
                Err(ConnectionError::Read(ReadError::Io(error))) if is_timeout(&error) => {}
                Err(ConnectionError::Write(WriteError::Flush(error))) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ConnectionError::CloseTimeout { after: within })
    }

    /// Reads on behind the close; `true` says that both sides have ended.
    fn close_on(&mut self) -> Result<bool, ConnectionError> {
        if self.conversation.check().is_err() {
            let _ = self.write();
            return match self.reader.discard() {
                Err(error) if is_timeout(&error) => Ok(false),
                more => Ok(!more.unwrap_or(false)),
            };
        }
        match self.next_found() {
            Ok(Some(_)) => Ok(false),
            Ok(None) => {
                self.write()?;
                Ok(true)
            }
            // If it is not the transport's, what follows is dropped.
            Err(error) => self.conversation.end_of_close(error).map(|()| false),
        }
    }

    /// The next frame that means something.
    fn next_found(&mut self) -> Result<Option<Found>, ConnectionError> {
        self.conversation.check()?;
        let found = self.wait_for_found();
        if found.is_err() && self.conversation.check().is_err() {
            let _ = self.write(); // the close
        }
        found
    }

    fn wait_for_found(&mut self) -> Result<Option<Found>, ConnectionError> {
        loop {
            let Self { reader, conversation, .. } = self;
            while let Some(located) = reader
                .locate()
                .map_err(|error| conversation.not_located(error, || reader.skip_frame()))?
            {
                let position = reader.position();
                if let Some(frame) = reader.lend(located)
                    && let Some(meaning) = conversation.take(&frame, position)?
                {
                    return Ok(Some((located, meaning)));
                }
            }
            conversation.judge(reader.begun())?;
            let _ = self.write(); // an error shows in the next call that writes
            let Self { reader, conversation, .. } = self;
            if !reader.more().map_err(|error| conversation.cannot_read(error))? {
                conversation.end()?;
                return Ok(None);
            }
        }
    }

    /// Writes and flushes all that there is to say, and behind the last message ends writing.
    fn write(&mut self) -> Result<(), WriteError> {
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
    /// Accepts the cancel of a file that nobody finishes.
    pub(super) fn give_up(&mut self, cancel: &Message<'_>) {
        self.conversation.give_up(cancel);
    }
}

/// A blocking write is never pending.
fn now(result: Poll<Result<(), WriteError>>) -> Result<(), WriteError> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(WriteError::Flush(io::ErrorKind::WouldBlock.into())),
    }
}

/// Whether a call of the socket ended by its time-out.
fn is_timeout(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind())
}
