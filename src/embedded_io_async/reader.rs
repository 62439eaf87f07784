//! Reading frames from an asynchronous transport.

use core::task::Poll;

use ::embedded_io_async::Read;

use crate::embedded_io::{Inbox, Next, ReadError, frame_reader};
use crate::error::{DecodeError, RecoverError, StorageError};
use crate::format::{Format, SelfChecking, V1};
use crate::frame::Frame;
use crate::frame_buf::{FrameBuf, Storage};
use crate::framing::Framing;

frame_reader!();

impl<R: Read, S: Storage, F: Format> FrameReader<R, S, F> {
    /// Waits for the next frame. `Ok(None)` says that the stream ended between two frames: the
    /// transport's read came to no byte.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: what it read is there for the next one.
    ///
    /// # Errors
    /// [`ReadError::Decode`] when the stream failed: every further call returns it again.
    /// [`ReadError::Io`] when a read failed: nothing is lost, and the call can be made again.
    #[inline]
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError<R::Error>> {
        let located = self.wait(Inbox::look).await?;
        Ok(located.and_then(|located| self.inbox.buf.lend(located)))
    }

    /// Reads until the question has an answer.
    async fn wait<T>(
        &mut self,
        mut question: impl FnMut(&mut Inbox<S, F>) -> Poll<Result<T, DecodeError>>,
    ) -> Result<T, ReadError<R::Error>> {
        loop {
            if let Poll::Ready(answer) = question(&mut self.inbox) {
                return Ok(answer?);
            }
            let read = self.inner.read(self.inbox.room()).await;
            self.inbox.arrived(read)?;
        }
    }
}

impl<R: Read, S: Storage, F: SelfChecking> FrameReader<R, S, F> {
    /// Waits for the next frame on a lossy line. Where bytes are no frame it says what was wrong,
    /// searches for the next header as [`resync`](Self::resync), and says how many it skipped.
    ///
    /// An oversize frame is searched, too, as its length may be damaged; on a line that is not
    /// lossy, [`skip_frame`](Self::skip_frame) skips just that frame.
    ///
    /// On a reliable transport do not search, but end the stream: bytes of a payload may look like
    /// a header, and a peer could have placed them there.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one goes on searching, and counts all bytes.
    ///
    /// # Errors
    /// [`ReadError::Io`] as in [`next_frame`](Self::next_frame). [`ReadError::Decode`] when the
    /// stream ended inside a frame or during a search, or when the storage is shorter than a
    /// header: every further call returns it again.
    pub async fn next_or_resync(
        &mut self,
    ) -> Result<Option<Next<'_, F::Meta>>, ReadError<R::Error>> {
        let heard = self.wait(Inbox::look_on).await?;
        Ok(heard.and_then(|heard| self.inbox.lend(heard)))
    }

    /// Searches, on a lossy line, for the next header that decodes and keeps the limit, and says
    /// how many bytes it skipped; none if the stream had not failed. See
    /// [`Decoder::resync`](crate::Decoder::resync).
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one goes on searching.
    ///
    /// # Errors
    /// As [`next_or_resync`](Self::next_or_resync).
    pub async fn resync(&mut self) -> Result<u64, ReadError<R::Error>> {
        self.wait(Inbox::resync).await
    }
}
