//! Both directions over one transport.

use core::future::poll_fn;
use core::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split};

use super::reader::{FrameReader, Waiting};
use super::writer::FrameWriter;
use crate::io::ReadError;
use crate::{Frame, Framing, OwnedFrame, V1, Wire};

/// Reads and writes frames over one transport, which its two halves share.
///
/// The halves are public: `stream.writer.send(…)` sends, and both can be borrowed at once
/// ([`halves`](Self::halves)) or moved to two tasks ([`into_split`](Self::into_split)). To read, call
/// [`next_frame`](Self::next_frame) of the stream itself: before it waits, it writes what was fed.
///
/// Each read and each write locks the transport, like [`tokio::io::split`](split). A transport that
/// splits at no cost, like `TcpStream::into_split`, needs no `FrameStream`: give one half to a
/// [`FrameReader`] and the other to a [`FrameWriter`].
///
/// ```
/// # async fn echo(socket: tokio::net::TcpStream) -> std::io::Result<()> {
/// use unstick::tokio::FrameStream;
///
/// let mut stream = FrameStream::new(socket);
/// while let Some((frame, writer)) = stream.next_with_writer().await? {
///     writer.feed(frame.meta, frame.payload).await?; // borrowed from the reader
/// }
/// stream.writer.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameStream<S, F: Wire = V1> {
    /// The reading half.
    pub reader: FrameReader<ReadHalf<S>, F>,
    /// The writing half.
    pub writer: FrameWriter<WriteHalf<S>, F>,
}

impl<S: AsyncRead + AsyncWrite> FrameStream<S> {
    /// Creates a stream of version-1 frames of at most 1 MiB.
    pub fn new(inner: S) -> Self {
        Self::with_framing(inner, V1)
    }
}

impl<S: AsyncRead + AsyncWrite, F: Wire> FrameStream<S, F> {
    /// Creates a stream of frames of this format and limit, in both directions.
    pub fn with_framing(inner: S, framing: impl Into<Framing<F>>) -> Self
    where
        F: Clone,
    {
        let framing = framing.into();
        let (read, write) = split(inner);
        Self {
            reader: FrameReader::with_framing(read, framing.clone()),
            writer: FrameWriter::with_framing(write, framing),
        }
    }

    /// As [`FrameReader::with_frame_timeout`].
    #[must_use]
    pub fn with_frame_timeout(self, after: Duration) -> Self {
        Self { reader: self.reader.with_frame_timeout(after), ..self }
    }

    /// As [`FrameReader::with_idle_timeout`].
    #[must_use]
    pub fn with_idle_timeout(self, after: Duration) -> Self {
        Self { reader: self.reader.with_idle_timeout(after), ..self }
    }

    /// As [`FrameWriter::with_write_timeout`]. It does not apply to what [`next_frame`](Self::next_frame)
    /// writes while it waits for the peer: the idle timeout does.
    #[must_use]
    pub fn with_write_timeout(self, after: Duration) -> Self {
        Self { writer: self.writer.with_write_timeout(after), ..self }
    }

    /// As [`FrameReader::with_unread`].
    #[must_use]
    pub fn with_unread(self, bytes: &[u8]) -> Self {
        Self { reader: self.reader.with_unread(bytes), ..self }
    }

    /// As [`FrameReader::next_frame`]. Before it waits it writes what was fed: a loop that takes a
    /// frame, feeds the answer, and calls this again flushes as rarely as possible and never too
    /// late.
    ///
    /// The frame is borrowed until the next call: to collect frames, take [`next_owned`](Self::next_owned).
    ///
    /// # Cancel safety
    /// A dropped call loses nothing, in neither direction.
    ///
    /// # Errors
    /// As [`FrameReader::next_frame`]. The next call that writes returns an error of writing.
    pub async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        Ok(self.next_with_writer().await?.map(|(frame, _)| frame))
    }

    /// As [`next_frame`](Self::next_frame), and returns the writer too, which can answer while the
    /// frame is borrowed.
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_with_writer(
        &mut self,
    ) -> Result<Option<(Frame<'_, F::Meta>, &mut FrameWriter<WriteHalf<S>, F>)>, ReadError> {
        let Self { reader, writer } = self;
        let found = match reader.engine.buf_mut().find()? {
            Some(found) => Some(found),
            None => {
                let waiting = Waiting(reader);
                poll_fn(|cx| {
                    let found = waiting.0.poll_read_frame(cx);
                    if found.is_pending() {
                        writer.write_now(cx);
                    }
                    found
                })
                .await?
            }
        };
        Ok(found.and_then(|found| reader.engine.frame(&found)).map(|frame| (frame, writer)))
    }

    /// As [`FrameReader::next_owned`], after writing what was fed.
    ///
    /// # Cancel safety
    /// As [`next_frame`](Self::next_frame).
    ///
    /// # Errors
    /// As [`next_frame`](Self::next_frame).
    pub async fn next_owned(&mut self) -> Result<Option<OwnedFrame<F::Meta>>, ReadError> {
        Ok(self.next_frame().await?.map(|frame| frame.to_owned()))
    }

    /// Borrows both halves at once, for two futures of one task. The reader does not write what was
    /// fed: flush the writer before a wait.
    #[expect(clippy::type_complexity, reason = "both halves, which the caller takes apart")]
    pub fn halves(
        &mut self,
    ) -> (&mut FrameReader<ReadHalf<S>, F>, &mut FrameWriter<WriteHalf<S>, F>) {
        (&mut self.reader, &mut self.writer)
    }

    /// Returns the halves, for two tasks, with everything that was read or accepted. To get the
    /// transport back, pass what their `into_inner` return to [`ReadHalf::unsplit`].
    pub fn into_split(self) -> (FrameReader<ReadHalf<S>, F>, FrameWriter<WriteHalf<S>, F>) {
        (self.reader, self.writer)
    }
}
