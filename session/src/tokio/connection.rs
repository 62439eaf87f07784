//! A conversation over an asynchronous stream.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::string::String;
use std::vec::Vec;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::time::timeout;
use unstick::io::WriteError;
use unstick::seams::{Incoming, Located};
use unstick::{DEFAULT_LIMIT, Framing, Kind, V1};

use crate::conversation::{Conversation, Meaning};
use crate::error::ConnectionError;
use crate::message::{Close, Hello, Message};
use crate::session::{Event, LIMIT_WITHOUT_HELLO, Session};

/// A conversation in the version-1 protocol over anything that is [`AsyncRead`] and
/// [`AsyncWrite`]: messages and files in both directions, pings and closes.
///
/// It is a [`Session`], which has the rules, with a transport. It answers pings and refuses what
/// the rules refuse by itself; an application sees [events](Event), which borrow from the read
/// buffer, and sends [messages](Message).
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
/// # The end
/// [`recv`](Self::recv) returns `Ok(None)` when the peer's last message was a close and the stream
/// ended behind it. Every other end is an error: a connection that was cut is not a clean end.
/// [`close`](Self::close) ends this side's half, and waits for the peer's. Who wants what still
/// comes meanwhile feeds a [`Close`] and goes on with `recv`, which ends writing once all is
/// written.
///
/// After an error of the peer's, `recv` offers the transport a close with the error's code, and
/// does not wait for it. A `close` afterwards does: it writes it, and reads what is on its way, so
/// that it is not lost with the connection.
///
/// # Both directions at once
/// [`send`](Self::send), [`feed`](Self::feed) and [`flush`](Self::flush) wait for the peer to read,
/// and do not read. That is well for whoever is asked and answers. But if both sides send more than
/// the transport holds and neither reads, both wait for ever. Who sends much and may be sent
/// something meanwhile, a file's status or a file, asks [`recv_or_room`](Self::recv_or_room) for
/// [room or an event](Turn), whichever is there first:
///
/// ```
/// # use unstick_session::message::Message;
/// # use unstick_session::session::Event;
/// # use unstick_session::tokio::{Connection, ConnectionError, Turn};
/// # async fn example(connection: &mut Connection<tokio::io::DuplexStream>, texts: &[&str])
/// # -> Result<(), ConnectionError> {
/// let mut texts = texts.iter();
/// let mut next = texts.next();
/// while let Some(text) = next { // and then go on with `recv`, which writes the rest
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
/// One side that does so is enough, if it answers what it is sent with
/// [`try_feed`](Self::try_feed), which never waits: it then waits only when nothing can be read
/// *and* nothing written, so whatever the other side waits for, its bytes are taken and it goes on.
/// Nothing has to be kept for that: what cannot be written is not accepted, and what is read is
/// delivered before more is read.
///
/// A `Connection` is one value, for one task, and needs no lock. Its waiting calls can be dropped at
/// any time, as `select!` does; a second task sends through a channel.
///
/// # Memory
/// About two kilobytes and the beginning of the frame that is on its way. While it reads, see
/// [`FrameReader`](unstick::tokio::FrameReader). Of what it sends it holds at most 64 KiB and one frame, and
/// 64 KiB of answers. A peer that makes it speak and does not read gets one batch of what a
/// session says by itself, below 16 KiB, and the next when it has read that.
#[derive(Debug)]
pub struct Connection<S> {
    inner: S,
    incoming: Incoming<V1>,
    conversation: Conversation,
    limit: u32,
    /// Something was read since the last room.
    has_read: bool,
    /// Writing was ended.
    is_shut: bool,
}

/// What [`Connection::recv_or_room`] waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<'a> {
    /// The peer said something.
    Event(Event<'a>),
    /// The next [`feed`](Connection::feed) does not wait.
    Room,
}

/// A frame that stands in the read buffer, and what it means.
type Found = (Located<Kind>, Meaning);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A conversation at its beginning. Frames of at most 1 MiB of payload are taken; a peer that
    /// is not [told so](Self::announce) sends 65,536 bytes at most.
    ///
    /// It waits for ever, unless it is told otherwise: see [`frame_timeout`](Self::frame_timeout)
    /// and [`idle_timeout`](Self::idle_timeout). A server wants both.
    pub fn new(inner: S) -> Self {
        Self::with_limit(inner, u32::try_from(DEFAULT_LIMIT).unwrap_or(u32::MAX))
    }

    /// The same with a limit of `payload_bytes` for each frame that is received. One of at most
    /// 65,536 is taken all the same: the peer may not have seen the hello that announces less.
    pub fn with_limit(inner: S, payload_bytes: u32) -> Self {
        let limit = LIMIT_WITHOUT_HELLO.max(payload_bytes.into());
        let framing = Framing::new(V1).with_limit(limit);
        Self {
            inner,
            incoming: Incoming::new(framing),
            conversation: Conversation::new(),
            limit: payload_bytes,
            has_read: false,
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

    /// Sets how long a frame may take from its first byte to its last. Only the time in which a
    /// call waits for the peer's bytes counts, also one that is dropped.
    ///
    /// # Panics
    /// A wait panics where tokio's runtime was built without its clock (`enable_time`).
    #[must_use]
    pub fn frame_timeout(mut self, after: Duration) -> Self {
        self.incoming.clock_mut().frame_timeout = Some(after);
        self
    }

    /// Sets how long a peer may send nothing, and take nothing of what is sent to it, while it is
    /// waited for: by every call.
    ///
    /// # Panics
    /// As [`frame_timeout`](Self::frame_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, after: Duration) -> Self {
        self.incoming.clock_mut().idle_timeout = Some(after);
        self
    }

    /// Accepts a hello, which tells the peer this side's limit and its name, such as that of the
    /// application; it may be empty. It goes out with what follows, or before the next wait.
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
        self.incoming.position()
    }

    /// The stream offset of the first byte of the last frame that was taken: that of an event, or
    /// of what broke a rule by its payload. For a log.
    pub fn event_at(&self) -> u64 {
        self.conversation.event_at
    }

    /// The transport.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The transport, the bytes that were read from it and are not consumed, and the bytes that
    /// were accepted and are not written.
    pub fn into_inner(self) -> (S, Vec<u8>, Vec<u8>) {
        (self.inner, self.incoming.into_unread(), self.conversation.into_pending())
    }

    /// Waits for what the peer says. `Ok(None)` says that it closed and the stream ended.
    ///
    /// Before it reads it writes what was accepted and what the session says by itself: whoever
    /// takes all that is here, feeds the answers and calls this again, flushes as rarely as can be
    /// and never too late.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing, in neither direction.
    ///
    /// # Errors
    /// [`ConnectionError::Read`] and [`ConnectionError::Session`]: but for a failure of the
    /// transport they end the conversation, and every further call returns the same. What cannot
    /// be written shows in the next call that writes. With [`skip_oversize`](Self::skip_oversize)
    /// an oversize frame does not latch.
    pub async fn recv(&mut self) -> Result<Option<Event<'_>>, ConnectionError> {
        let found = match self.next_here()? {
            Some(found) => Some(found),
            None => {
                let waiting = Waiting(self);
                poll_fn(|cx| waiting.0.poll_recv(cx)).await?
            }
        };
        Ok(found.and_then(|found| self.lend(found)))
    }

    /// Waits for what the peer says, or until the next [`feed`](Self::feed) does not wait: for
    /// whoever has something to send. `Ok(None)` is as in [`recv`](Self::recv). Once this side has
    /// closed there is no room, and the call waits as `recv` does.
    ///
    /// While both are there it gives them in turn, and room once for each read. It writes when so
    /// much is collected that there is no room, and before it waits.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing, in neither direction.
    ///
    /// # Errors
    /// As [`recv`](Self::recv). Where the transport cannot be written there is room, so that the
    /// next feed says why.
    pub async fn recv_or_room(&mut self) -> Result<Option<Turn<'_>>, ConnectionError> {
        let turn = {
            let waiting = Waiting(self);
            poll_fn(|cx| waiting.0.poll_recv_or_room(cx)).await?
        };
        Ok(match turn {
            Some(Some(found)) => self.lend(found).map(Turn::Event),
            Some(None) => Some(Turn::Room),
            None => None,
        })
    }

    /// Accepts a message and flushes. It waits for the peer to read; see
    /// [above](Self#both-directions-at-once).
    ///
    /// # Cancel safety
    /// As [`feed`](Self::feed) until the message is accepted; a call dropped then leaves it to the
    /// next one. The caller cannot tell which it was: who has to know, feeds, and then flushes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), and as [`flush`](Self::flush), with the message accepted.
    pub async fn send(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Accepts a message. Small ones are collected until enough are there, until
    /// [`flush`](Self::flush), or until [`recv`](Self::recv) waits. The data of a large one, from
    /// 32 KiB, is written from where it is; only what the transport does not take at once is
    /// copied.
    ///
    /// It waits while 64 KiB, or a rest of an earlier message, cannot be written.
    ///
    /// # Cancel safety
    /// A dropped call accepted nothing: once a message is accepted, the call ends without waiting.
    ///
    /// # Errors
    /// [`ConnectionError::Send`] when the message has no place now, or is over the peer's limit.
    /// [`ConnectionError::Write`] when the transport failed; [`ConnectionError::Read`] when the peer
    /// was idle for too long. In each case it was not accepted.
    /// After a failed write, [`recv`](Self::recv) may still have what the peer said before it went.
    pub async fn feed(&mut self, message: &Message<'_>) -> Result<(), ConnectionError> {
        if !self.conversation.has_room() {
            let waiting = Waiting(self);
            poll_fn(|cx| {
                let has_room = waiting.0.poll_room(cx);
                waiting.0.or_stuck(has_room, cx)
            })
            .await?;
        }
        // There is room now: this does not wait.
        poll_fn(|cx| Poll::Ready(self.accept(message, cx))).await
    }

    /// Accepts a message without waiting and without writing: an answer, in the middle of something
    /// else. It is written by the next call that waits.
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
    /// # Cancel safety
    /// What a dropped call did not write is left to the next one.
    ///
    /// # Errors
    /// [`ConnectionError::Write`] when the transport failed; [`ConnectionError::Read`] when the peer
    /// was idle for too long. What was not written is kept.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        let waiting = Waiting(self);
        poll_fn(|cx| {
            let written = waiting.0.poll_write(cx);
            waiting.0.or_stuck(written, cx)
        })
        .await
    }

    /// Tells the session that some seconds have passed: see [`Session::handle_tick`].
    pub fn tick(&mut self) {
        self.conversation.session.handle_tick();
    }

    /// Ends the conversation: sends the close, unless this side has closed already or an error
    /// ended it; ends writing; and reads on until the peer ends, so that nothing on its way in
    /// either direction is lost with the connection. What comes meanwhile is dropped.
    ///
    /// The reason is shortened to what the peer's limit has room for.
    ///
    /// # Cancel safety
    /// Call it again, or drop the connection.
    ///
    /// # Errors
    /// The peer ended without a close, or it did not end `within` that time; or an error had ended
    /// the conversation before.
    ///
    /// # Panics
    /// Where tokio's runtime was built without its clock (`enable_time`).
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

    fn lend(&self, (located, meaning): Found) -> Option<Event<'_>> {
        Some(meaning.event(self.incoming.lend(located)?))
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Found>, ConnectionError>> {
        loop {
            if let Some(found) = self.next_here()? {
                return Poll::Ready(Ok(Some(found)));
            }
            // What cannot be written now is woken for; an error shows in the next call that writes.
            let _ = self.poll_write(cx);
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// `None` inside says that there is room.
    fn poll_recv_or_room(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Option<Found>>, ConnectionError>> {
        loop {
            if let Some(found) = self.next_here()? {
                return Poll::Ready(Ok(Some(Some(found))));
            }
            if self.conversation.is_over() {
                return self.poll_recv(cx).map_ok(|found| found.map(Some));
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
            return Poll::Ready(Ok(Some(None)));
        }
    }

    fn accept(
        &mut self,
        message: &Message<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), ConnectionError> {
        let Self { inner, incoming, conversation, .. } = self;
        let vectored = inner.is_write_vectored();
        conversation
            .accept(message, vectored, |slices| poll_write_some(inner, incoming, slices, cx))
    }

    /// What a write came to; an error once it has waited for too long.
    fn or_stuck(
        &mut self,
        written: Poll<Result<(), WriteError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ConnectionError>> {
        if let Poll::Ready(written) = written {
            return Poll::Ready(Ok(written?));
        }
        let error = ready!(self.incoming.poll_stuck(cx));
        Poll::Ready(Err(self.conversation.cannot_read(error)))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        while self.conversation.check().is_ok() {
            match ready!(self.poll_recv(cx)) {
                Ok(Some(_)) => {}
                Ok(None) => return self.poll_write(cx).map_err(ConnectionError::Write),
                // If it is not the transport's, there is a close to write now.
                Err(error) => self.conversation.end_of_close(error)?,
            }
        }
        let written = self.poll_write(cx);
        let _ = ready!(self.incoming.poll_discard(Pin::new(&mut self.inner), cx));
        let _ = ready!(written);
        Poll::Ready(self.conversation.check())
    }

    /// The next frame that is here and means something.
    fn next_here(&mut self) -> Result<Option<Found>, ConnectionError> {
        self.conversation.check()?;
        let found = self.next_located();
        if found.is_err() {
            self.offer();
        }
        found
    }

    fn next_located(&mut self) -> Result<Option<Found>, ConnectionError> {
        let Self { incoming, conversation, .. } = self;
        while let Some(located) = incoming
            .locate()
            .map_err(|error| conversation.not_located(error, || incoming.skip_frame()))?
        {
            let position = incoming.position();
            if let Some(frame) = incoming.lend(located)
                && let Some(meaning) = conversation.take(&frame, position)?
            {
                return Ok(Some((located, meaning)));
            }
        }
        conversation.judge(incoming.begun())?;
        Ok(None)
    }

    /// Reads once; `false` says that the peer closed and the stream ended.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, ConnectionError>> {
        let Self { inner, incoming, conversation, .. } = self;
        incoming.resume();
        let more = match ready!(incoming.poll_more(Pin::new(inner), cx)) {
            Ok(true) => Ok(true),
            Ok(false) => conversation.end().map(|()| false),
            Err(error) => Err(conversation.cannot_read(error)),
        };
        if more.is_err() {
            self.offer();
        }
        Poll::Ready(more)
    }

    /// Offers the transport what the session says about an error. Nobody is woken: that is for
    /// `close` to wait for.
    fn offer(&mut self) {
        let _ = self.poll_write(&mut Context::from_waker(Waker::noop()));
    }
}

impl<S> Connection<S> {
    /// Accepts the cancel of a file that nobody finishes.
    pub(super) fn give_up(&mut self, cancel: &Message<'_>) {
        self.conversation.give_up(cancel);
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Makes room for a message.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { inner, incoming, conversation, .. } = self;
        conversation.poll_room(|slices| poll_write_some(inner, incoming, slices, cx))
    }

    /// Writes and flushes all that there is to say, and behind the last message ends writing.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Self { inner, incoming, conversation, .. } = self;
        ready!(conversation.poll_drain(|slices| poll_write_some(inner, incoming, slices, cx)))?;
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

/// Writes once. A peer that reads is not idle.
fn poll_write_some<S: AsyncWrite + Unpin>(
    inner: &mut S,
    incoming: &mut Incoming<V1>,
    slices: &[IoSlice<'_>],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let written = ready!(Pin::new(inner).poll_write_vectored(cx, slices))?;
    incoming.bytes_moved();
    Poll::Ready(Ok(written))
}

/// A call that waits. However it ends, also when it is dropped, the clock stands still afterwards.
struct Waiting<'a, S>(&'a mut Connection<S>);

impl<S> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        self.0.incoming.pause();
    }
}
