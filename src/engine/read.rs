//! A stream reader without its transport.

use core::task::{Poll, ready};

use crate::error::{DecodeError, RecoverError};
use crate::format::header::Kind;
use crate::format::{Header, V1};
use crate::frame::Frame;
use crate::frame_buf::FrameBuf;
use crate::scan::{Found, PayloadRun};
use crate::storage::Storage;
use crate::wire::{KnownLength, Search, Wire};

/// The next item on a line that loses and damages bytes.
///
/// ```
/// use unstick::engine::Next;
/// use unstick::io::FrameReader;
///
/// let line = &b"noise\xf5\x01\x01\0\0\0\x02\xf2hi"[..];
/// let mut reader = FrameReader::new(line);
/// match reader.next_or_resync()?.ok_or("the line has ended")? {
///     Next::Frame(frame) => println!("{frame:?}"),
///     Next::Skipped { error, bytes } => assert_eq!((error.at(), bytes), (0, 5)),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<'a, M = Kind> {
    /// A frame.
    Frame(Frame<'a, M>),
    /// Bytes that belong to no frame. A header follows them.
    Skipped {
        /// Why they were skipped: the error at the first of them ([`at`](DecodeError::at)), or
        /// [`DecodeError::Unsynchronized`] if a call of `resync` had begun the search.
        error: DecodeError,
        /// The number of bytes skipped.
        bytes: u64,
    },
}

/// A [`Next`] without a borrow: see [`ReadEngine::next`].
///
/// ```
/// use core::task::Poll;
/// use unstick::Lines;
/// use unstick::engine::{FrameOrSkipped, ReadEngine};
///
/// let mut engine = ReadEngine::<Vec<u8>, Lines>::growing(Lines::new());
/// engine.buf_mut().extend(b"hello\n");
/// let Poll::Ready(found) = engine.poll_next_or_resync() else { panic!("a line is here") };
/// let found = found?.ok_or("a line is here")?;
/// assert!(matches!(found, FrameOrSkipped::Frame(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameOrSkipped<M> {
    /// A frame.
    Frame(Found<M>),
    /// As [`Next::Skipped`].
    Skipped {
        /// Why the bytes were skipped.
        error: DecodeError,
        /// The number of bytes skipped.
        bytes: u64,
    },
}

/// A stream reader without its transport: a [`FrameBuf`], the end of the stream, and a search on a
/// lossy line.
///
/// The `poll_*` methods return [`Poll::Pending`] if another read is needed first: read into
/// [`spare`](Self::spare), report the result to [`received`](Self::received), and call again. The
/// engine keeps all bytes read, so a caller loses none if it stops or is dropped between two calls.
///
/// ```
/// use core::task::Poll;
/// use unstick::U16Be;
/// use unstick::engine::ReadEngine;
///
/// let mut engine = ReadEngine::growing(U16Be);
/// assert!(engine.poll_frame().is_pending()); // read first
/// let read = b"\0\x02hi";
/// engine.spare()[..4].copy_from_slice(read);
/// engine.received(4);
/// let Poll::Ready(Ok(Some(found))) = engine.poll_frame() else { panic!("a frame is here") };
/// assert_eq!(engine.frame(&found).map(|frame| frame.payload), Some(&b"hi"[..]));
/// ```
#[derive(Clone, Debug)]
pub struct ReadEngine<S, F: Wire = V1> {
    buf: FrameBuf<S, F>,
    /// The transport has reported the end of the stream.
    ended: bool,
    /// Why `poll_next_or_resync` has begun the search that is under way.
    failure: Option<DecodeError>,
}

impl<S: Storage, F: Wire> ReadEngine<S, F> {
    /// Creates an engine that reads into this buffer. The buffer may hold bytes that were read from
    /// the transport before.
    pub fn new(buf: FrameBuf<S, F>) -> Self {
        Self { buf, ended: false, failure: None }
    }

    /// Returns the buffer.
    #[inline]
    pub fn buf(&self) -> &FrameBuf<S, F> {
        &self.buf
    }

    /// Returns the buffer. Bytes committed to it take part in the stream.
    #[inline]
    pub fn buf_mut(&mut self) -> &mut FrameBuf<S, F> {
        &mut self.buf
    }

    /// Returns the buffer, with the bytes that were read and are not consumed.
    pub fn into_buf(self) -> FrameBuf<S, F> {
        self.buf
    }

    /// Whether the transport has reported the end of the stream.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Returns the room for the next read. It has at least one byte after a `poll_*` method has
    /// returned [`Poll::Pending`].
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        self.buf.spare()
    }

    /// Counts `n` bytes as read into [`spare`](Self::spare); zero is the end of the stream.
    #[inline]
    pub fn received(&mut self, n: usize) {
        if n == 0 {
            self.ended = true;
        } else {
            self.buf.commit(n);
        }
    }

    /// Finds the next frame, which [`frame`](Self::frame) borrows. `Ok(None)` is the end of the
    /// stream between two frames.
    ///
    /// # Errors
    /// Returns an error if the stream has failed or ended inside a frame: every further call returns
    /// it again.
    #[inline(always)]
    pub fn poll_frame(&mut self) -> Poll<Result<Option<Found<F::Meta>>, DecodeError>> {
        // Each way returns by itself, so that a frame found at once stays in registers.
        if self.buf.may_have_frame() {
            if let Some(found) = self.buf.find_now() {
                return Poll::Ready(Ok(Some(found)));
            }
            if let Some(found) = self.buf.find_slowly()? {
                return Poll::Ready(Ok(Some(found)));
            }
        }
        if self.ended { Poll::Ready(self.buf.find_end()) } else { Poll::Pending }
    }

    /// Borrows a frame that was found, as long as nothing was read since.
    #[inline(always)]
    pub fn frame(&self, found: &Found<F::Meta>) -> Option<Frame<'_, F::Meta>> {
        self.buf.frame(found)
    }

    /// Borrows what [`poll_next_or_resync`](Self::poll_next_or_resync) has found.
    pub fn next(&self, next: FrameOrSkipped<F::Meta>) -> Option<Next<'_, F::Meta>> {
        match next {
            FrameOrSkipped::Frame(found) => self.buf.frame(&found).map(Next::Frame),
            FrameOrSkipped::Skipped { error, bytes } => Some(Next::Skipped { error, bytes }),
        }
    }

    /// Drops what was read and starts a new stream, at offset 0, with the transport's next byte.
    pub fn reset(&mut self) {
        self.buf.reset();
        self.ended = false;
        self.failure = None;
    }
}

impl<S: Storage, F: KnownLength> ReadEngine<S, F> {
    /// Finds the header of the next frame, which is not consumed: see [`FrameBuf::find_header`].
    /// `Ok(None)` is the end of the stream between two frames.
    ///
    /// # Errors
    /// As [`poll_frame`](Self::poll_frame).
    pub fn poll_header(&mut self) -> Poll<Result<Option<Header<<F as Wire>::Meta>>, DecodeError>> {
        match self.buf.find_header()? {
            None if self.ended => Poll::Ready(self.buf.finish().map(|()| None)),
            None => Poll::Pending,
            found => Poll::Ready(Ok(found)),
        }
    }

    /// Takes the next bytes of the next frame's payload, which [`FrameBuf::payload`] borrows: see
    /// [`FrameBuf::find_payload`]. `Ok(None)` is the payload's end, or the end of the stream between
    /// two frames.
    ///
    /// # Errors
    /// As [`poll_frame`](Self::poll_frame).
    pub fn poll_payload(&mut self) -> Poll<Result<Option<PayloadRun>, DecodeError>> {
        match self.buf.find_payload()? {
            None if self.ended => Poll::Ready(self.buf.finish().map(|()| None)),
            None => Poll::Pending,
            found => Poll::Ready(Ok(found.filter(|run| run.len > 0))),
        }
    }
}

#[cfg(feature = "alloc")]
impl<F: Wire> ReadEngine<alloc::vec::Vec<u8>, F> {
    /// Creates an engine with a buffer that grows.
    pub fn growing(framing: impl Into<crate::framing::Framing<F>>) -> Self {
        Self::new(FrameBuf::growing(framing))
    }

    /// Lets `read` append to the storage, for a large frame: see [`FrameBuf::append_with`]. What it appends
    /// counts as read; if it answers [`Poll::Ready`] and has appended nothing, that is the end of the
    /// stream. `None` if there is other room: read into [`spare`](Self::spare).
    #[inline]
    pub fn append_with<T, E>(
        &mut self,
        read: impl FnOnce(&mut alloc::vec::Vec<u8>) -> Poll<Result<T, E>>,
    ) -> Option<Poll<Result<T, E>>> {
        let mut appended = 0;
        let result = self.buf.append_with(|storage| {
            let len = storage.len();
            let result = read(storage);
            appended = storage.len() - len;
            result
        })?;
        if let (Poll::Ready(Ok(_)), 0) = (&result, appended) {
            self.ended = true;
        }
        Some(result)
    }
}

impl<S: Storage, F: Search> ReadEngine<S, F> {
    /// Searches for the next valid header and returns the number of bytes skipped; zero if the stream
    /// has not failed.
    ///
    /// # Errors
    /// Returns an error if the stream ended during the search, or the storage is shorter than a
    /// header.
    pub fn poll_resync(&mut self) -> Poll<Result<u64, DecodeError>> {
        let skipped = ready!(self.poll_search())?;
        self.failure = None;
        Poll::Ready(Ok(skipped))
    }

    /// Finds the next frame; or, if the stream has failed, skips to the next valid header and returns
    /// what was skipped. `Ok(None)` is the end of the stream.
    ///
    /// An oversize frame is searched too, since its length may be damaged.
    ///
    /// # Errors
    /// Returns an error if the stream ended inside a frame or during a search, or the storage is
    /// shorter than a header: every further call returns it again.
    pub fn poll_next_or_resync(
        &mut self,
    ) -> Poll<Result<Option<FrameOrSkipped<F::Meta>>, DecodeError>> {
        let error = match self.failure {
            Some(failure) => failure,
            None => match ready!(self.poll_frame()) {
                Err(
                    error @ (DecodeError::Header { .. }
                    | DecodeError::Oversize { .. }
                    | DecodeError::TooLong { .. }
                    | DecodeError::Frame { .. }
                    | DecodeError::Unsynchronized { .. }),
                ) => error,
                found => return Poll::Ready(found.map(|found| found.map(FrameOrSkipped::Frame))),
            },
        };
        self.failure = Some(error);
        let bytes = ready!(self.poll_search())?;
        self.failure = None;
        Poll::Ready(Ok(Some(FrameOrSkipped::Skipped { error, bytes })))
    }

    fn poll_search(&mut self) -> Poll<Result<u64, DecodeError>> {
        match self.buf.resync() {
            Ok(Some(skipped)) => Poll::Ready(Ok(skipped)),
            Err(RecoverError::Failed(error)) => Poll::Ready(Err(error)),
            Err(RecoverError::NotFailed) => Poll::Ready(Ok(0)),
            Ok(None) if self.ended => Poll::Ready(self.buf.finish().map(|()| 0)),
            Ok(None) => Poll::Pending,
        }
    }
}
