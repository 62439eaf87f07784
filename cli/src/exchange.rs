//! Framings in which messages are exchanged over asynchronous streams.

use std::future::poll_fn;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use unstick::scan::Found;
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{EncodeError, Wire};

use crate::format::{AnyMeta, Meta};
use crate::wire::AnyWire;

/// A framing in which `listen` and `send` exchange messages.
pub(crate) trait Exchange:
    Wire<Meta: Meta + Send + Sync, Head: Send, Trailer: Send>
    + Copy
    + Into<AnyWire>
    + Send
    + Sync
    + Unpin
    + 'static
{
}

impl<W> Exchange for W where
    W: Wire<Meta: Meta + Send + Sync, Head: Send, Trailer: Send>
        + Copy
        + Into<AnyWire>
        + Send
        + Sync
        + Unpin
        + 'static
{
}

/// Accepts a frame with this meta.
pub(crate) async fn feed<T: AsyncWrite + Unpin, W: Exchange>(
    writer: &mut FrameWriter<T, W>,
    meta: AnyMeta,
    payload: &[u8],
) -> Result<(), WriteError> {
    let meta = W::Meta::from_any(&meta).ok_or(EncodeError::Meta)?;
    writer.feed(meta, payload).await
}

/// Accepts a frame with this meta, and flushes.
pub(crate) async fn send<T: AsyncWrite + Unpin, W: Exchange>(
    writer: &mut FrameWriter<T, W>,
    meta: AnyMeta,
    payload: &[u8],
) -> Result<(), WriteError> {
    feed(writer, meta, payload).await?;
    writer.flush().await
}

/// Waits for the next frame, which the reader's buffer borrows: like [`FrameReader::next_frame`], but
/// with the frame's offset and length in the stream.
pub(crate) async fn next_found<R: AsyncRead + Unpin, W: Wire>(
    reader: &mut FrameReader<R, W>,
) -> Result<Option<Found<W::Meta>>, ReadError> {
    if let Some(found) = reader.buf_mut().find()? {
        return Ok(Some(found));
    }
    let waiting = Waiting(reader);
    poll_fn(|cx| {
        let reader = &mut *waiting.0;
        reader.resume();
        loop {
            let has_more = ready!(reader.poll_fill(cx))?;
            if let Some(found) = reader.buf_mut().find()? {
                return Poll::Ready(Ok(Some(found)));
            }
            if !has_more {
                return Poll::Ready(Ok(reader.buf_mut().find_end()?));
            }
        }
    })
    .await
}

/// A call that waits. The time limits stop when it ends or is dropped.
struct Waiting<'a, R, W: Wire>(&'a mut FrameReader<R, W>);

impl<R, W: Wire> Drop for Waiting<'_, R, W> {
    fn drop(&mut self) {
        self.0.pause();
    }
}
