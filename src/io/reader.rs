//! Reading frames from a blocking stream.

use core::task::Poll;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use std::vec::Vec;

use super::error::ReadError;
use crate::engine::{FrameOrSkipped, Next, ReadEngine, ReadTimeouts};
use crate::scan::Found;
use crate::{
    DecodeError, Frame, FrameBuf, Framing, Header, KnownLength, OwnedFrame, Search, V1, Wire,
};

/// Reads frames from anything that is [`Read`], and returns them borrowed, without a copy.
///
/// It reads into a buffer that grows with what arrives, up to the limit plus a header, or 64 KiB if
/// the limit is smaller. It needs no `BufReader`. [`buf`](Self::buf) returns the buffer, which has
/// the framing, the position in the stream, and the next header.
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use unstick::U32Be;
/// use unstick::io::{FrameReader, FrameWriter};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// FrameWriter::with_framing(&client, U32Be).send((), "hello")?;
/// drop(client);
///
/// let (stream, _) = listener.accept()?;
/// let mut reader = FrameReader::with_framing(stream, U32Be);
/// while let Some(frame) = reader.next_frame()? {
///     assert_eq!(frame.payload, b"hello"); // borrowed from the reader, until the next call
/// }
/// # Ok(())
/// # }
/// ```
///
/// # A reader and a writer of one stream
/// `&TcpStream` is [`Read`] and [`Write`](std::io::Write), and so are references to Unix sockets and files: give one
/// reference to the reader, and one to the writer. For two threads, or two fields of a struct, give them the
/// stream and its [`try_clone`](std::net::TcpStream::try_clone).
///
/// ```
/// use std::net::{TcpListener, TcpStream};
/// use unstick::U32Be;
/// use unstick::io::{FrameReader, FrameWriter};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let addr = listener.local_addr()?;
/// # let server = std::thread::spawn(move || {
/// #     let stream = listener.accept()?.0;
/// #     std::io::copy(&mut &stream, &mut &stream) // an echo
/// # });
/// let stream = TcpStream::connect(addr)?;
/// let mut reader = FrameReader::with_framing(&stream, U32Be);
/// let mut writer = FrameWriter::with_framing(&stream, U32Be);
/// writer.send((), "a request")?;
/// let answer = reader.next_frame()?.ok_or("the server has gone")?;
/// assert_eq!(answer.payload, b"a request");
/// # stream.shutdown(std::net::Shutdown::Both)?;
/// # server.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
///
/// # Time limits
/// A read waits as long as the stream lets it: set the socket's own read timeout
/// ([`TcpStream::set_read_timeout`](std::net::TcpStream::set_read_timeout)). When it has passed, a call returns
/// [`ReadError::Io`], of which [`is_socket_timeout`](ReadError::is_socket_timeout) is true; the next call
/// continues. The limits of the reader are checked whenever a read ends.
///
/// ```
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use unstick::U32Be;
/// use unstick::io::{FrameReader, ReadError};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let addr = listener.local_addr()?;
/// let stream = TcpStream::connect(addr)?;
/// stream.set_read_timeout(Some(Duration::from_millis(20)))?; // how often limits are checked
/// let mut reader =
///     FrameReader::with_framing(stream, U32Be).with_idle_timeout(Duration::from_millis(100));
/// let error = loop {
///     match reader.next_frame() {
///         Err(ReadError::IdleTimeout { at, .. }) => break at,
///         Err(error) if error.is_socket_timeout() => {} // nothing yet, and nothing is lost
///         other => panic!("the peer sends nothing: {other:?}"),
///     }
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReader<R, F: Wire = V1> {
    inner: R,
    engine: ReadEngine<Vec<u8>, F>,
    timeouts: ReadTimeouts,
    /// The moment from which the timeouts count; set with the first of them.
    epoch: Option<Instant>,
}

impl<R: Read> FrameReader<R> {
    /// Creates a reader of version-1 frames of at most 1 MiB.
    ///
    /// It waits indefinitely unless it has limits: [`with_frame_timeout`](Self::with_frame_timeout)
    /// ends slow frames and [`with_idle_timeout`](Self::with_idle_timeout) silent peers, if the
    /// socket has a read timeout too. A server needs all three.
    pub fn new(inner: R) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<R, F: Wire> FrameReader<R, F> {
    /// Creates a reader of frames of this format and limit.
    pub fn with_framing(inner: R, framing: impl Into<Framing<F>>) -> Self {
        let engine = ReadEngine::growing(framing);
        Self { inner, engine, timeouts: ReadTimeouts::new(), epoch: None }
    }

    /// Sets how long a frame may take from its first byte to its last, including a frame that is
    /// skipped. Only the time in which a call waits counts.
    ///
    /// It is checked between reads. For a read itself to end, set the socket's own read timeout.
    #[must_use]
    pub fn with_frame_timeout(mut self, after: Duration) -> Self {
        self.epoch.get_or_insert_with(Instant::now);
        self.timeouts.set_frame_timeout(after);
        self
    }

    /// Sets how long a peer may send nothing.
    ///
    /// It is checked when a read ends without a byte, by the socket's own read timeout.
    #[must_use]
    pub fn with_idle_timeout(mut self, after: Duration) -> Self {
        self.epoch.get_or_insert_with(Instant::now);
        self.timeouts.set_idle_timeout(after);
        self
    }

    /// Starts with bytes that were read from the transport before, for example by another parser.
    #[must_use]
    pub fn with_unread(mut self, bytes: &[u8]) -> Self {
        self.engine.buf_mut().extend_all(bytes);
        self
    }

    /// Returns the read buffer: for the framing, the stream offset, and the next header.
    pub fn buf(&self) -> &FrameBuf<Vec<u8>, F> {
        self.engine.buf()
    }

    /// Returns the read buffer: to take the frames that are in it without reading, or to continue
    /// after an oversize frame by [`FrameBuf::skip_frame`].
    pub fn buf_mut(&mut self) -> &mut FrameBuf<Vec<u8>, F> {
        self.engine.buf_mut()
    }

    /// Whether the transport has reported the end of the stream.
    pub fn is_ended(&self) -> bool {
        self.engine.is_ended()
    }

    /// Drops what was read and starts a new stream, at offset 0, with the transport's next byte. A
    /// lossy line can continue in this way after a timeout, or after an end of the stream, which a
    /// serial port may report when a read times out.
    pub fn reset(&mut self) {
        self.engine.reset();
        self.timeouts.reset();
    }

    /// Sets the limit, in payload bytes, from the next header on: see [`FrameBuf::set_limit`].
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.engine.buf_mut().set_limit(payload_bytes);
    }

    /// Returns the transport.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns the transport. Bytes read from it are missing in the frames.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Returns the transport, and the bytes that were read from it and are not consumed.
    pub fn into_inner(self) -> (R, Vec<u8>) {
        (self.inner, self.engine.into_buf().into_unread())
    }

    /// The time since the epoch; zero if no timeout is set.
    fn now(&self) -> Duration {
        self.epoch.map_or(Duration::ZERO, |epoch| epoch.elapsed())
    }
}

impl<R: Read, F: Wire> FrameReader<R, F> {
    /// Waits for the next frame. Returns `Ok(None)` if the stream ended between two frames.
    ///
    /// The frame is borrowed from the reader until the next call: to collect frames, or to send one to
    /// another thread, take [`next_owned`](Self::next_owned). The compiler's "cannot borrow as mutable more
    /// than once" means the same.
    ///
    /// # Errors
    /// [`ReadError::Decode`] if the stream has failed: every further call returns it again.
    /// [`ReadError::Io`] if a read failed: nothing is lost, and the call can be repeated.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        // Usually a frame is in the buffer already.
        if let Some(found) = self.engine.buf_mut().find_now() {
            return Ok(self.engine.frame(&found));
        }
        let found = self.wait_for_frame()?;
        Ok(found.and_then(|found| self.engine.frame(&found)))
    }

    /// Waits for the next frame and returns a copy that does not borrow the reader.
    ///
    /// ```
    /// use unstick::U8;
    /// use unstick::io::FrameReader;
    ///
    /// let mut reader = FrameReader::with_framing(&b"\x03one\x03two"[..], U8);
    /// let mut frames = Vec::new();
    /// while let Some(frame) = reader.next_owned()? {
    ///     frames.push(frame);
    /// }
    /// assert_eq!((frames[0].payload(), frames[1].payload()), (&b"one"[..], &b"two"[..]));
    /// # Ok::<(), unstick::io::ReadError>(())
    /// ```
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame()?.map(|frame| frame.to_owned()))
    }

    /// Waits for the header of the next frame and consumes nothing of it. The frame can then be taken,
    /// by [`next_frame`](Self::next_frame) or [`payload`](Self::payload), or be skipped, by
    /// [`FrameBuf::skip_frame`]. Returns `Ok(None)` if the stream ended between two frames.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn next_header(&mut self) -> Result<Option<Header<F::Meta>>, ReadError>
    where
        F: KnownLength,
    {
        self.wait(ReadEngine::poll_header)
    }

    /// Waits for the next bytes of the next frame's payload, and returns `Ok(None)` at its end: for a
    /// payload that is larger than memory. [`next_header`](Self::next_header) returns its header
    /// before. What is not taken of it is dropped by [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn payload(&mut self) -> Result<Option<&[u8]>, ReadError>
    where
        F: KnownLength,
    {
        let run = self.wait(ReadEngine::poll_payload)?;
        Ok(run.and_then(|run| self.engine.buf().payload(&run)))
    }

    /// Reads once: call it if no frame is in the buffer. Returns `false` if the stream ended between
    /// two frames.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn fill(&mut self) -> Result<bool, ReadError> {
        if self.engine.is_ended() {
            self.engine.buf().finish()?;
            return Ok(false);
        }
        self.waiting(|reader| {
            reader.check_timeouts(false)?;
            reader.read_once()
        })?;
        Ok(true)
    }

    #[inline(never)]
    fn wait_for_frame(&mut self) -> Result<Option<Found<F::Meta>>, ReadError> {
        match self.engine.buf_mut().find_slowly()? {
            Some(found) => Ok(Some(found)),
            None if self.engine.is_ended() => self.end(),
            None => self.read_until(ReadEngine::poll_frame),
        }
    }

    /// Finds what the end of the stream completes.
    #[cold]
    #[inline(never)]
    fn end(&mut self) -> Result<Option<Found<F::Meta>>, ReadError> {
        Ok(self.engine.buf_mut().find_end()?)
    }

    fn wait<T>(
        &mut self,
        mut poll: impl FnMut(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Result<T, ReadError> {
        match poll(&mut self.engine) {
            Poll::Ready(answer) => Ok(answer?),
            Poll::Pending => self.read_until(poll),
        }
    }

    /// Reads until `poll` has an answer.
    fn read_until<T>(
        &mut self,
        mut poll: impl FnMut(&mut ReadEngine<Vec<u8>, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Result<T, ReadError> {
        self.waiting(|reader| {
            loop {
                reader.read_once()?;
                if let Poll::Ready(answer) = poll(&mut reader.engine) {
                    return Ok(answer?);
                }
                // Bytes that are there are read before a limit is checked.
                reader.check_timeouts(false)?;
            }
        })
    }

    /// Runs `work`, which may take time, with the timeouts running.
    fn waiting<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        if !self.timeouts.is_used() {
            return work(self);
        }
        self.timeouts.resume(self.now());
        let done = work(self);
        self.timeouts.pause(self.now());
        done
    }

    fn read_once(&mut self) -> Result<(), ReadError> {
        match self.inner.read(self.engine.spare()) {
            Ok(n) => {
                self.engine.received(n);
                self.timeouts.handle_bytes();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let nothing = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                self.check_timeouts(nothing.contains(&error.kind()))?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn check_timeouts(&mut self, nothing_to_read: bool) -> Result<(), ReadError> {
        if !self.timeouts.is_used() {
            return Ok(());
        }
        let now = self.now();
        self.timeouts.handle_open_frame(self.engine.buf().open_frame(), now);
        if nothing_to_read {
            self.timeouts.handle_nothing(now);
        }
        Ok(self.timeouts.handle_timeout(now, self.engine.buf().position())?)
    }
}

impl<R: Read, F: Search> FrameReader<R, F> {
    /// Waits for the next frame on a lossy line. If the stream has failed, skips to the next valid
    /// header, and returns the error and the number of bytes skipped.
    ///
    /// An oversize frame is searched too, since its length may be damaged; on a line that is not
    /// lossy, [`FrameBuf::skip_frame`] skips just that frame.
    ///
    /// On a reliable transport end the stream instead: payload bytes may look like a header, and a
    /// peer could have placed them there.
    ///
    /// # Errors
    /// [`ReadError::Io`] as in [`next_frame`](Self::next_frame). [`ReadError::Decode`] if the
    /// stream ended inside a frame or during a search: every further call returns it again.
    pub fn next_or_resync(&mut self) -> Result<Option<Next<'_, F::Meta>>, ReadError> {
        let next: Option<FrameOrSkipped<F::Meta>> = self.wait(ReadEngine::poll_next_or_resync)?;
        Ok(next.and_then(|next| self.engine.next(next)))
    }

    /// Searches, on a lossy line, for the next valid header within the limit, and returns the number
    /// of bytes skipped; zero if the stream has not failed. See
    /// [`Decoder::resync`](crate::Decoder::resync).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame); the call can be repeated after [`ReadError::Io`].
    pub fn resync(&mut self) -> Result<u64, ReadError> {
        self.wait(ReadEngine::poll_resync)
    }
}
