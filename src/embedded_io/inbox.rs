//! What a reader has read and not lent yet. It holds no transport; it is given one read at a time.

use core::task::{Poll, ready};

use ::embedded_io::ErrorKind;

use super::error::ReadError;
use crate::error::{DecodeError, RecoverError};
use crate::format::{Format, SelfChecking};
use crate::frame::Frame;
use crate::frame_buf::{FrameBuf, Located, Storage};
use crate::header::Kind;

/// What comes next on a line that loses and damages bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<'a, M = Kind> {
    /// A frame.
    Frame(Frame<'a, M>),
    /// Bytes that belong to no frame. Behind them stands a header.
    Skipped {
        /// What was wrong. [`at`](DecodeError::at) is the stream offset of the first of them;
        /// or [`DecodeError::Unsynchronized`], where a call of `resync` had begun to search.
        error: DecodeError,
        /// How many they are.
        bytes: u64,
    },
}

/// The same before the frame is lent.
pub(crate) type Heard<M> = Result<Located<M>, (DecodeError, u64)>;

/// Every question is answered by `Pending` where another read is needed first.
#[derive(Debug)]
pub(crate) struct Inbox<S, F: Format> {
    pub(crate) buf: FrameBuf<S, F>,
    /// The transport has said that nothing more comes.
    ended: bool,
    /// Why the search that goes on was begun, if it was begun by `look_on`.
    failure: Option<DecodeError>,
}

impl<S: Storage, F: Format> Inbox<S, F> {
    pub(crate) fn new(buf: FrameBuf<S, F>) -> Self {
        Self { buf, ended: false, failure: None }
    }

    /// The next frame; none at the stream's end.
    #[inline]
    pub(crate) fn look(&mut self) -> Poll<Result<Option<Located<F::Meta>>, DecodeError>> {
        if let Some(located) = self.buf.locate()? {
            return Poll::Ready(Ok(Some(located)));
        }
        if self.ended { Poll::Ready(self.buf.finish().map(|()| None)) } else { Poll::Pending }
    }

    /// Room for the next read: at least a byte, as the buffer has said that it needs more.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.buf.spare()
    }

    /// What a read into [`room`](Self::room) came to.
    pub(crate) fn arrived<E: ::embedded_io::Error>(
        &mut self,
        read: Result<usize, E>,
    ) -> Result<(), ReadError<E>> {
        match read {
            Ok(0) => self.ended = true,
            Ok(n) => self.buf.commit(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Io(error)),
        }
        Ok(())
    }

    /// Begins a new stream with the transport's next byte.
    pub(crate) fn reset(&mut self) {
        self.buf.reset();
        self.ended = false;
        self.failure = None;
    }

    pub(crate) fn lend(&self, heard: Heard<F::Meta>) -> Option<Next<'_, F::Meta>> {
        match heard {
            Ok(located) => self.buf.lend(located).map(Next::Frame),
            Err((error, bytes)) => Some(Next::Skipped { error, bytes }),
        }
    }
}

impl<S: Storage, F: SelfChecking> Inbox<S, F> {
    /// The bytes that were skipped up to the next header; none if the stream has not failed.
    pub(crate) fn resync(&mut self) -> Poll<Result<u64, DecodeError>> {
        let skipped = ready!(self.search())?;
        self.failure = None;
        Poll::Ready(Ok(skipped))
    }

    /// The next frame, or what was skipped before it; none at the stream's end.
    pub(crate) fn look_on(&mut self) -> Poll<Result<Option<Heard<F::Meta>>, DecodeError>> {
        let failure = match self.failure {
            Some(failure) => failure,
            None => match ready!(self.look()) {
                Err(
                    error @ (DecodeError::Header { .. }
                    | DecodeError::Oversize { .. }
                    | DecodeError::Unsynchronized { .. }),
                ) => error,
                found => return Poll::Ready(found.map(|located| located.map(Ok))),
            },
        };
        self.failure = Some(failure);
        let skipped = ready!(self.search())?;
        self.failure = None;
        Poll::Ready(Ok(Some(Err((failure, skipped)))))
    }

    fn search(&mut self) -> Poll<Result<u64, DecodeError>> {
        match self.buf.resync() {
            Ok(Some(skipped)) => Poll::Ready(Ok(skipped)),
            Err(RecoverError::Failed(error)) => Poll::Ready(Err(error)),
            Err(RecoverError::NotFailed) => Poll::Ready(Ok(0)),
            Ok(None) if self.ended => Poll::Ready(self.buf.finish().map(|()| 0)),
            Ok(None) => Poll::Pending,
        }
    }
}
