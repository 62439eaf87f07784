//! Writing frames to an asynchronous transport.

use core::ops::Range;

use ::embedded_io_async::Write;

use super::WriteError;
use super::is_interrupted;
use crate::{Accepted, AsMeta, Framing, KnownLength, Storage, V1, Wire, WriteBuf, WriteBufError};

/// Writes frames to anything that is [`Write`].
///
/// Frames that fit into the storage are collected there and written together. Of a longer one the
/// beginning is collected, and the rest is written from where it is. The storage is an array, a
/// `&mut [u8]` or a `Box<[u8]>`, which holds at least a header; or a `Vec<u8>`, which grows (see
/// [`WriteBuf`]).
///
/// Frames that were accepted and not flushed are lost when the writer is dropped.
///
/// ```
/// use unstick::Cobs;
/// use unstick::embedded_io_async::FrameWriter;
///
/// # smol::block_on(async {
/// let mut line = [0; 64]; // a UART
/// let mut tx = &mut line[..];
/// let mut writer = FrameWriter::with_framing(&mut tx, [0; 32], Cobs);
/// writer.feed((), "21.5").await?; // collected
/// writer.send((), [1, 0, 2]).await?; // and flushed
/// assert_eq!(line[..11], *b"\x0521.5\0\x02\x01\x02\x02\0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct FrameWriter<W, S, F: Wire = V1> {
    inner: W,
    buf: WriteBuf<S, F>,
}

impl<W, S: Storage> FrameWriter<W, S> {
    /// Creates a writer of version-1 frames of at most 1 MiB.
    ///
    /// A peer that reads into a small storage takes less: give the writer the limit of the peer's
    /// reader, by [`with_framing`](Self::with_framing).
    pub fn new(inner: W, storage: S) -> Self {
        Self::with_framing(inner, storage, V1)
    }
}

impl<W, S: Storage, F: Wire> FrameWriter<W, S, F> {
    /// Creates a writer of frames of this format and limit.
    pub fn with_framing(inner: W, storage: S, framing: impl Into<Framing<F>>) -> Self {
        let mut buf = WriteBuf::new(storage, framing);
        buf.set_vectored(false);
        Self { inner, buf }
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.buf.framing()
    }

    /// Sets the limit, in payload bytes, from the next frame on.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.buf.set_limit(payload_bytes);
    }

    /// Returns the transport.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Returns the transport. Bytes written to it must be whole frames, and the writer flushed.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Returns the transport, the storage, and where in it the bytes are that were accepted and not
    /// written.
    pub fn into_inner(self) -> (W, S, Range<usize>) {
        let (storage, pending) = self.buf.into_parts();
        (self.inner, storage, pending)
    }
}

impl<W: Write, S: Storage, F: Wire> FrameWriter<W, S, F> {
    /// Accepts a frame and flushes.
    ///
    /// # Cancel safety
    /// As [`feed`](Self::feed) until the frame is accepted; a call dropped later leaves it to the next
    /// one. The caller cannot tell the two apart: if that matters, call `feed` and then `flush`.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`] if the frame was accepted and not written:
    /// [`flush`](Self::flush) tries again.
    pub async fn send(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), WriteError<W::Error>> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    /// Accepts a frame. It is collected if it fits into the storage; collected frames are written
    /// when there is no room for the next one, or by [`flush`](Self::flush).
    ///
    /// # Cancel safety
    /// The frame of a dropped call was not accepted: once it is, the call ends without waiting. If
    /// it is longer than the storage and a part of it was written, the writer is poisoned, and every
    /// further call returns that error.
    ///
    /// # Errors
    /// [`WriteError::Encode`] if the frame cannot be encoded, a streamed one is open, or the
    /// storage is shorter than a header; nothing of it is written.
    /// [`WriteError::Io`] or [`WriteError::WriteZero`] if the transport failed: frames accepted
    /// before are kept, and the next call tries again to write them. This one was not accepted; if a
    /// part of it was written, which happens only to one longer than the storage, the writer is
    /// poisoned.
    pub async fn feed(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), WriteError<W::Error>> {
        self.feed_bytes(meta.as_meta(), payload.as_ref()).await
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
        meta: impl AsMeta<F::Meta>,
        payload_len: u64,
    ) -> Result<(), WriteError<W::Error>>
    where
        F: KnownLength,
    {
        let meta = meta.as_meta();
        self.accept(&[], |buf| buf.begin(meta, payload_len)).await
    }

    /// Writes the next bytes of the begun frame's payload. They are collected if they fit into the
    /// storage.
    ///
    /// # Cancel safety
    /// None of a dropped call's bytes was accepted. If they are more than the storage holds and a
    /// part of them was written, the writer is poisoned.
    ///
    /// # Errors
    /// [`EncodeError::Excess`](crate::EncodeError::Excess) if the frame has no room for them;
    /// none is written. Errors of the transport as in [`feed`](Self::feed).
    pub async fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError<W::Error>>
    where
        F: KnownLength,
    {
        self.accept(bytes, |buf| buf.payload(bytes)).await
    }

    /// Ends the begun frame.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`](crate::EncodeError::Unfinished) if it is short, which poisons
    /// the writer.
    pub fn finish(&mut self) -> Result<(), WriteError<W::Error>>
    where
        F: KnownLength,
    {
        Ok(self.buf.finish()?)
    }

    /// Writes everything that was accepted, and flushes the transport.
    ///
    /// # Cancel safety
    /// What a dropped call did not write is left to the next one.
    ///
    /// # Errors
    /// [`WriteError::Flush`] or [`WriteError::WriteZero`] if the transport failed; what was not
    /// written is kept.
    pub async fn flush(&mut self) -> Result<(), WriteError<W::Error>> {
        self.buf.check()?;
        self.write(&[]).await.map_err(WriteError::after_accepting)?;
        self.inner.flush().await.map_err(WriteError::Flush)
    }

    /// The same code for payloads of every type.
    async fn feed_bytes(
        &mut self,
        meta: &F::Meta,
        payload: &[u8],
    ) -> Result<(), WriteError<W::Error>> {
        self.accept(payload, |buf| buf.frame(meta, payload)).await
    }

    /// Writes until `accept` has taken the bytes.
    async fn accept(
        &mut self,
        bytes: &[u8],
        mut accept: impl FnMut(&mut WriteBuf<S, F>) -> Result<Accepted, WriteBufError>,
    ) -> Result<(), WriteError<W::Error>> {
        loop {
            match accept(&mut self.buf)? {
                Accepted::Collected => return Ok(()),
                Accepted::Nothing => self.write(&[]).await?,
                Accepted::Direct => {
                    self.write(bytes).await?;
                    return Ok(self.buf.end_direct()?);
                }
            }
        }
    }

    async fn write(&mut self, payload: &[u8]) -> Result<(), WriteError<W::Error>> {
        while let Some([pending, rest]) = self.buf.unwritten(payload) {
            let bytes = if pending.is_empty() { rest } else { pending };
            match self.inner.write(bytes).await {
                Ok(0) => return Err(WriteError::WriteZero { accepted: false }),
                Ok(n) => self.buf.wrote(n),
                Err(error) if is_interrupted(&error) => {}
                Err(error) => return Err(WriteError::Io(error)),
            }
        }
        Ok(())
    }
}
