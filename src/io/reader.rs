//! Reading frames from a blocking stream.

use std::io::{self, Read};
use std::time::{Duration, Instant};
use std::vec::Vec;

use super::clock::Clock;
use super::error::ReadError;
use crate::error::RecoverError;
use crate::format::{Format, Header, SelfChecking, V1};
use crate::frame::{Frame, OwnedFrame};
use crate::frame_buf::{FrameBuf, Located};
use crate::framing::Framing;

/// Reads frames from anything that is [`Read`], and lends them without a copy.
///
/// It reads into a buffer that grows with what arrives and stays below the limit plus a header,
/// or 64 KiB if the limit is smaller; it needs no `BufReader`.
#[derive(Debug)]
pub struct FrameReader<R, F: Format = V1> {
    inner: R,
    buf: FrameBuf<Vec<u8>, F>,
    clock: Clock,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// Reads version-1 frames of at most 1 MiB.
    ///
    /// It waits for ever, unless it is told otherwise: [`frame_timeout`](Self::frame_timeout) ends
    /// slow frames and [`idle_timeout`](Self::idle_timeout) silent peers, where the socket has a
    /// time-out of its own. A server wants all three.
    pub fn new(inner: R) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<R: Read, F: Format> FrameReader<R, F> {
    /// Reads frames of this format and limit.
    pub fn with_framing(inner: R, framing: impl Into<Framing<F>>) -> Self {
        let buf = FrameBuf::growing(framing.into());
        Self { inner, buf, clock: Clock::default(), ended: false }
    }

    /// Sets how long a frame may take from its first byte to its last, skipped ones too. Only the
    /// time in which a call waits counts.
    ///
    /// It is checked between reads. So that a read itself ends, set the socket's own time-out.
    #[must_use]
    pub fn frame_timeout(mut self, after: Duration) -> Self {
        self.clock.frame_timeout = Some(after);
        self
    }

    /// Sets how long a peer may send nothing.
    ///
    /// It is checked when a read ends without a byte, by the socket's own time-out.
    #[must_use]
    pub fn idle_timeout(mut self, after: Duration) -> Self {
        self.clock.idle_timeout = Some(after);
        self
    }

    /// Waits for the next frame. `Ok(None)` says that the stream ended between two frames.
    ///
    /// # Errors
    /// [`ReadError::Decode`] when the stream failed: every further call returns it again.
    /// [`ReadError::Io`] when a read failed: nothing is lost, and the call can be made again.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        // Most often a frame is here already.
        let located = match self.buf.locate()? {
            Some(located) => Some(located),
            None => self.wait(Self::locate_or_read)?,
        };
        Ok(located.and_then(|located| self.buf.lend(located)))
    }

    /// The same as a copy that does not borrow the reader.
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame()?.map(|frame| frame.to_owned()))
    }

    /// Goes on after an oversize frame, as [`Decoder::skip_frame`](crate::Decoder::skip_frame).
    ///
    /// # Errors
    /// The stream did not fail, or not so.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.buf.skip_frame()
    }

    /// Begins with bytes that were read from the transport before: those that another parser left
    /// over, say.
    #[must_use]
    pub fn with_unread(mut self, bytes: &[u8]) -> Self {
        self.buf.extend_all(bytes);
        self
    }

    /// Drops what was read and begins a new stream, at offset 0, with the transport's next byte:
    /// a way to go on after a time-out on a lossy line. Also behind the end: a serial port may end
    /// a read without a byte when its time is up.
    pub fn reset(&mut self) {
        self.buf.reset();
        self.clock.reset();
        self.ended = false;
    }

    /// The format and limit.
    pub fn framing(&self) -> Framing<&F> {
        self.buf.framing()
    }

    /// The stream offset behind the last frame that was delivered.
    pub fn position(&self) -> u64 {
        self.buf.position()
    }

    /// The transport.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The transport. Bytes read from it are missing in the frames.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The transport, and the bytes that were read from it and are not consumed.
    pub fn into_inner(self) -> (R, Vec<u8>) {
        (self.inner, self.buf.into_unread())
    }

    /// The next frame, if it is here.
    #[doc(hidden)]
    pub fn locate(&mut self) -> Result<Option<Located<F::Meta>>, ReadError> {
        Ok(self.buf.locate()?)
    }

    #[doc(hidden)]
    pub fn lend(&self, located: Located<F::Meta>) -> Option<Frame<'_, F::Meta>> {
        self.buf.lend(located)
    }

    /// The header of the frame that has begun and is not whole.
    #[doc(hidden)]
    pub fn begun(&self) -> Option<Header<F::Meta>> {
        self.buf.begun()
    }

    /// Reads once, where no frame is here; `false` says that the stream ended between two.
    #[doc(hidden)]
    pub fn more(&mut self) -> Result<bool, ReadError> {
        if self.ended {
            self.buf.finish()?;
            return Ok(false);
        }
        self.wait(|reader| {
            reader.check_clock(false)?;
            reader.fill()
        })?;
        Ok(true)
    }

    /// Reads once, and drops what comes; `false` says that the stream ended.
    #[doc(hidden)]
    pub fn discard(&mut self) -> io::Result<bool> {
        if !self.ended {
            match self.inner.read(&mut [0; 4096]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => self.ended = read? == 0,
            }
        }
        Ok(!self.ended)
    }

    /// Does what may take time, and lets the clock run meanwhile.
    #[inline(never)]
    fn wait<T>(&mut self, mut work: impl FnMut(&mut Self) -> T) -> T {
        if !self.clock.is_used() {
            return work(self);
        }
        self.clock.resume(Instant::now());
        let done = work(self);
        self.clock.pause(Instant::now());
        done
    }

    fn locate_or_read(&mut self) -> Result<Option<Located<F::Meta>>, ReadError> {
        while !self.ended {
            self.fill()?;
            if let Some(located) = self.buf.locate()? {
                return Ok(Some(located));
            }
            self.check_clock(false)?;
        }
        self.buf.finish()?;
        Ok(None)
    }

    /// Reads once.
    fn fill(&mut self) -> Result<(), ReadError> {
        match self.inner.read(self.buf.spare()) {
            Ok(0) => self.ended = true,
            Ok(n) => {
                self.buf.commit(n);
                self.clock.bytes_came();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let nothing = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                self.check_clock(nothing.contains(&error.kind()))?;
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn check_clock(&mut self, nothing_to_read: bool) -> Result<(), ReadError> {
        if !self.clock.is_used() {
            return Ok(());
        }
        let now = Instant::now();
        self.clock.open_frame(self.buf.open_frame(), now);
        if nothing_to_read {
            self.clock.nothing_to_read(now);
        }
        self.clock.check(now, self.buf.position())
    }
}

impl<R: Read, F: SelfChecking> FrameReader<R, F> {
    /// Searches, on a lossy line, for the next header that decodes and keeps the limit, and says
    /// how many bytes it skipped; none if the stream had not failed. See
    /// [`Decoder::resync`](crate::Decoder::resync).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame); the call can be made again after [`ReadError::Io`].
    pub fn resync(&mut self) -> Result<u64, ReadError> {
        self.wait(|reader| {
            loop {
                match reader.buf.resync() {
                    Ok(Some(skipped)) => return Ok(skipped),
                    Err(RecoverError::NotFailed) => return Ok(0),
                    Err(RecoverError::Failed(error)) => return Err(error.into()),
                    Ok(None) if reader.ended => reader.buf.finish()?,
                    Ok(None) => reader.fill()?,
                }
            }
        })
    }
}

impl<F: Format> FrameBuf<Vec<u8>, F> {
    /// A growing buffer takes every limit.
    pub(crate) fn growing(framing: Framing<F>) -> Self {
        Self::build(Vec::new(), framing)
    }

    /// The unread bytes, alone.
    pub(crate) fn into_unread(self) -> Vec<u8> {
        let (mut storage, unread) = self.into_parts();
        storage.truncate(unread.end);
        storage.drain(..unread.start);
        storage
    }

    /// Commits all of `bytes`.
    pub(crate) fn extend_all(&mut self, mut bytes: &[u8]) {
        while let Some(rest) = bytes.get(self.extend(bytes)..)
            && rest.len() < bytes.len()
        {
            bytes = rest;
        }
    }
}
