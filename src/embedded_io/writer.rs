//! Writing frames to a blocking transport.

use core::borrow::Borrow;
use core::ops::Range;

use ::embedded_io::Write;

use super::common::frame_writer;
use super::error::WriteError;
use super::outbox::{Outbox, Refusal, Taken};
use crate::format::{Format, V1};
use crate::frame_buf::Storage;
use crate::framing::Framing;

frame_writer!();

impl<W: Write, S: Storage, F: Format> FrameWriter<W, S, F> {
    /// Accepts a frame and flushes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`] when the frame was accepted and not written:
    /// [`flush`](Self::flush) tries again.
    pub fn send(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError<W::Error>> {
        self.feed(meta, payload)?;
        self.flush()
    }

    /// Accepts a frame. It is collected if it fits into the storage; what was collected is written
    /// when there is no room for it, or by [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`WriteError::Encode`] when the frame cannot be encoded, a streamed one is open, or the
    /// storage is shorter than a header; nothing of it is written.
    /// [`WriteError::Io`] or [`WriteError::WriteZero`] when the transport failed: frames accepted
    /// before are kept and tried again by the next call. This one was not accepted; if a part of it
    /// was written, which only one longer than the storage can be, the writer is poisoned.
    pub fn feed(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload: &[u8],
    ) -> Result<(), WriteError<W::Error>> {
        let meta = meta.borrow();
        self.accept(payload, |outbox| outbox.frame(meta, payload))
    }

    /// Begins a frame whose payload comes in pieces: `payload_len` bytes in all, by
    /// [`payload`](Self::payload), then [`finish`](Self::finish).
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn begin(
        &mut self,
        meta: impl Borrow<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError<W::Error>> {
        let meta = meta.borrow();
        self.accept(&[], |outbox| outbox.begin(meta, payload_len))
    }

    /// Writes the next bytes of the begun frame's payload. They are collected if they fit into the
    /// storage.
    ///
    /// # Errors
    /// [`EncodeError::Excess`](crate::EncodeError::Excess) when the frame has no room for them;
    /// none is written. Of the transport as in [`feed`](Self::feed).
    pub fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError<W::Error>> {
        self.accept(bytes, |outbox| outbox.payload(bytes))
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
    /// # Errors
    /// [`WriteError::Flush`] or [`WriteError::WriteZero`] when the transport failed; what was not
    /// written is kept.
    pub fn flush(&mut self) -> Result<(), WriteError<W::Error>> {
        self.outbox.settle()?;
        self.drain(&[]).map_err(WriteError::after_accepting)?;
        self.inner.flush().map_err(WriteError::Flush)
    }

    /// Writes what has to be written until the bytes are taken.
    fn accept(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&mut Outbox<S, F>) -> Result<Taken, Refusal>,
    ) -> Result<(), WriteError<W::Error>> {
        loop {
            match take(&mut self.outbox)? {
                Taken::All => return Ok(()),
                Taken::Nothing => self.drain(&[])?,
                Taken::Beginning => {
                    self.drain(bytes)?;
                    return Ok(self.outbox.passed()?);
                }
            }
        }
    }

    fn drain(&mut self, bytes: &[u8]) -> Result<(), WriteError<W::Error>> {
        while let Some(bytes) = self.outbox.unwritten(bytes) {
            let written = self.inner.write(bytes);
            self.outbox.wrote(written)?;
        }
        Ok(())
    }
}
