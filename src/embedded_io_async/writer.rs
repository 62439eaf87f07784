//! Writing frames to an asynchronous transport.

use core::borrow::Borrow;
use core::ops::Range;

use ::embedded_io_async::Write;

use crate::embedded_io::{Outbox, Refusal, Taken, WriteError, frame_writer};
use crate::format::{Format, V1};
use crate::frame_buf::Storage;
use crate::framing::Framing;

frame_writer!();

impl<W: Write, S: Storage, F: Format> FrameWriter<W, S, F> {
    /// Accepts a frame and flushes.
    ///
    /// # Cancel safety
    /// As [`feed`](Self::feed) until the frame is accepted; a call dropped then leaves it to the
    /// next one. The caller cannot tell which it was: who has to know, feeds, and then flushes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`] when the frame was accepted and not written:
    /// [`flush`](Self::flush) tries again.
    pub async fn send(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError<W::Error>> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame. It is collected if it fits into the storage; what was collected is written
    /// when there is no room for it, or by [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted: once it is, the call ends without waiting. If
    /// it is longer than the storage and a part of it was written, the writer is poisoned, and every
    /// further call says so.
    ///
    /// # Errors
    /// [`WriteError::Encode`] when the frame cannot be encoded, a streamed one is open, or the
    /// storage is shorter than a header; nothing of it is written.
    /// [`WriteError::Io`] or [`WriteError::WriteZero`] when the transport failed: frames accepted
    /// before are kept and tried again by the next call. This one was not accepted; if a part of it
    /// was written, which only one longer than the storage can be, the writer is poisoned.
    pub async fn feed(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError<W::Error>> {
        let meta = meta.borrow();
        self.accept(payload, |outbox| outbox.frame(meta, payload)).await
    }

    /// Begins a frame whose payload comes in pieces: `payload_len` bytes in all, by
    /// [`payload`](Self::payload), then [`finish`](Self::finish).
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not begun.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub async fn begin(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError<W::Error>> {
        let meta = meta.borrow();
        self.accept(&[], |outbox| outbox.begin(meta, payload_len)).await
    }

    /// Writes the next bytes of the begun frame's payload. They are collected if they fit into the
    /// storage.
    ///
    /// # Cancel safety
    /// None of a dropped call's bytes was accepted. If they are more than the storage holds and a
    /// part of them was written, the writer is poisoned.
    ///
    /// # Errors
    /// [`EncodeError::Excess`](crate::EncodeError::Excess) when the frame has no room for them;
    /// none is written. Of the transport as in [`feed`](Self::feed).
    pub async fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError<W::Error>> {
        self.accept(bytes, |outbox| outbox.payload(bytes)).await
    }

    /// Ends the begun frame.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`](crate::EncodeError::Unfinished) when it is short, which poisons
    /// the writer.
    pub fn finish(&mut self) -> Result<(), WriteError<W::Error>> {
        Ok(self.outbox.finish()?)
    }

    /// Writes all that was accepted, and flushes the transport.
    ///
    /// # Cancel safety
    /// What a dropped call did not write is left to the next one.
    ///
    /// # Errors
    /// [`WriteError::Flush`] or [`WriteError::WriteZero`] when the transport failed; what was not
    /// written is kept.
    pub async fn flush(&mut self) -> Result<(), WriteError<W::Error>> {
        self.outbox.settle()?;
        self.drain(&[]).await.map_err(WriteError::after_accepting)?;
        self.inner.flush().await.map_err(WriteError::Flush)
    }

    /// Writes what has to be written until the bytes are taken.
    async fn accept(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&mut Outbox<S, F>) -> Result<Taken, Refusal>,
    ) -> Result<(), WriteError<W::Error>> {
        loop {
            match take(&mut self.outbox)? {
                Taken::All => return Ok(()),
                Taken::Nothing => self.drain(&[]).await?,
                Taken::Beginning => {
                    self.drain(bytes).await?;
                    return Ok(self.outbox.passed()?);
                }
            }
        }
    }

    async fn drain(&mut self, bytes: &[u8]) -> Result<(), WriteError<W::Error>> {
        while let Some(bytes) = self.outbox.unwritten(bytes) {
            let written = self.inner.write(bytes).await;
            self.outbox.wrote(written)?;
        }
        Ok(())
    }
}
