//! Writing frames to a blocking stream.

use core::task::Poll;
use std::io::{self, Write};
use std::vec::Vec;

use super::error::WriteError;
use crate::{Accepted, AsMeta, Framing, KnownLength, V1, Wire, WriteBuf, WriteBufError};

/// Writes frames to anything that is [`Write`].
///
/// Small frames are collected and written together; a payload of 32 KiB or more is written without
/// a copy. It needs no `BufWriter`.
///
/// Frames that were accepted and not flushed are lost when the writer is dropped.
///
/// ```
/// use unstick::U32Be;
/// use unstick::io::FrameWriter;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut writer = FrameWriter::with_framing(Vec::new(), U32Be); // or a `TcpStream`
/// writer.feed((), "one")?; // collected
/// writer.send((), b"two")?; // and flushed; a payload is anything that is `AsRef<[u8]>`
/// assert_eq!(writer.get_ref(), b"\0\0\0\x03one\0\0\0\x03two");
/// # Ok(())
/// # }
/// ```
///
/// To read frames from the same stream, see
/// [`FrameReader`](super::FrameReader#a-reader-and-a-writer-of-one-stream).
///
/// # Time limits
/// A write waits as long as the stream lets it: set the socket's own write timeout
/// ([`TcpStream::set_write_timeout`](std::net::TcpStream::set_write_timeout)). When it has passed, a call returns
/// [`WriteError::Flush`] or [`WriteError::Io`], of which
/// [`is_socket_timeout`](WriteError::is_socket_timeout) is true, and the writer keeps what is not written: the
/// next call continues with it. Only a payload of 32 KiB or more that was written in part and not accepted
/// poisons the writer.
///
/// ```
/// use std::time::Duration;
/// use unstick::U32Be;
/// use unstick::io::FrameWriter;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
/// stream.set_write_timeout(Some(Duration::from_millis(50)))?;
/// let mut writer = FrameWriter::with_framing(&stream, U32Be);
/// let late = loop {
///     if let Err(error) = writer.send((), [7; 10_000]) {
///         break error; // the peer does not read, and the buffers of the system are full
///     }
/// };
/// assert!(late.is_socket_timeout(), "{late}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameWriter<W, F: Wire = V1> {
    inner: W,
    buf: WriteBuf<Vec<u8>, F>,
}

impl<W: Write> FrameWriter<W> {
    /// Creates a writer of version-1 frames of at most 1 MiB.
    ///
    /// A peer whose limit is not known may have a smaller one: every peer takes payloads of up to
    /// 65,536 bytes (spec, 6.1).
    pub fn new(inner: W) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<W: Write, F: Wire> FrameWriter<W, F> {
    /// Creates a writer of frames of this format and limit.
    pub fn with_framing(inner: W, framing: impl Into<Framing<F>>) -> Self {
        Self { inner, buf: WriteBuf::growing(framing) }
    }

    /// Returns the format and limit.
    pub fn framing(&self) -> &Framing<F> {
        self.buf.framing()
    }

    /// Sets the limit, in payload bytes, from the next frame on.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.buf.set_limit(payload_bytes);
    }

    /// Accepts a frame and flushes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed); [`WriteError::Flush`] if the frame was accepted and not written:
    /// [`flush`](Self::flush) tries again.
    pub fn send(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        self.feed(meta, payload)?;
        self.flush()
    }

    /// Accepts a frame. Small ones are collected until there are enough of them, or until
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`WriteError::Encode`] if the frame cannot be encoded, or a streamed one is open; nothing
    /// of it is written.
    /// [`WriteError::Io`] if the transport failed: frames accepted before are kept, and the next call
    /// tries again to write them. This one was not accepted; if a part of it was written, the writer
    /// is poisoned.
    pub fn feed(
        &mut self,
        meta: impl AsMeta<F::Meta>,
        payload: impl AsRef<[u8]>,
    ) -> Result<(), WriteError> {
        let (meta, payload) = (meta.as_meta(), payload.as_ref());
        if self.buf.try_frame(meta, payload) {
            return Ok(());
        }
        self.accept(payload, |buf| buf.frame(meta, payload))
    }

    /// Begins a frame whose payload comes in pieces: `payload_len` bytes in all, by
    /// [`payload`](Self::payload), then [`finish`](Self::finish).
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn begin(&mut self, meta: impl AsMeta<F::Meta>, payload_len: u64) -> Result<(), WriteError>
    where
        F: KnownLength,
    {
        let meta = meta.as_meta();
        self.accept(&[], |buf| buf.begin(meta, payload_len))
    }

    /// Writes the next bytes of the begun frame's payload.
    ///
    /// # Errors
    /// [`EncodeError::Excess`](crate::EncodeError::Excess) if the frame has no room for them;
    /// none is written. [`WriteError::Io`] as in [`feed`](Self::feed).
    pub fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError>
    where
        F: KnownLength,
    {
        self.accept(bytes, |buf| buf.payload(bytes))
    }

    /// Ends the begun frame.
    ///
    /// # Errors
    /// [`EncodeError::Unfinished`](crate::EncodeError::Unfinished) if it is short, which poisons
    /// the writer.
    pub fn finish(&mut self) -> Result<(), WriteError>
    where
        F: KnownLength,
    {
        Ok(self.buf.finish()?)
    }

    /// Writes everything that was accepted, and flushes the transport.
    ///
    /// # Errors
    /// [`WriteError::Flush`] if the transport failed; what was not written is kept.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.buf.check()?;
        self.write(&[]).and_then(|()| self.inner.flush()).map_err(WriteError::Flush)?;
        self.buf.release_memory();
        Ok(())
    }

    /// Returns the transport.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Returns the transport. Bytes written to it must be whole frames, and the writer flushed.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Returns the transport, and the bytes that were accepted and not written.
    pub fn into_inner(self) -> (W, Vec<u8>) {
        (self.inner, self.buf.into_pending())
    }

    /// Writes until `accept` has taken the bytes.
    fn accept(
        &mut self,
        bytes: &[u8],
        mut accept: impl FnMut(&mut WriteBuf<Vec<u8>, F>) -> Result<Accepted, WriteBufError>,
    ) -> Result<(), WriteError> {
        loop {
            match accept(&mut self.buf)? {
                Accepted::Collected => return Ok(()),
                Accepted::Nothing => self.write(&[]).map_err(WriteError::Io)?,
                Accepted::Direct => {
                    self.write(bytes).map_err(WriteError::Io)?;
                    return Ok(self.buf.end_direct()?);
                }
            }
        }
    }

    fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let Self { inner, buf } = self;
        match buf.poll_write(payload, |slices| Poll::Ready(inner.write_vectored(slices))) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
