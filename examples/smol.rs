//! Frames over the streams of smol: an adapter for another runtime, and an echo over TCP with it.
//!
//! It shows how an adapter is written. `unstick::futures` (feature `futures-io`) is a complete one for
//! these streams.
//!
//! ```console
//! cargo run --example smol
//! ```

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use smol::io::{AsyncRead, AsyncWrite, split};
use smol::net::{TcpListener, TcpStream};
use unstick::engine::ReadEngine;
use unstick::io::{ReadError, WriteError};
use unstick::{Accepted, Format, Frame, Framing, Kind, V1, WriteBuf};

/// Reads frames from anything that is [`AsyncRead`].
struct FrameReader<R, F: Format = V1> {
    inner: R,
    engine: ReadEngine<Vec<u8>, F>,
}

impl<R: AsyncRead + Unpin, F: Format> FrameReader<R, F> {
    fn new(inner: R, framing: Framing<F>) -> Self {
        Self { inner, engine: ReadEngine::growing(framing) }
    }

    /// Waits for the next frame; `None` is the end of the stream between two frames. A dropped call
    /// loses nothing: the engine keeps what was read.
    async fn next_frame(&mut self) -> Result<Option<Frame<'_, F::Meta>>, ReadError> {
        let Self { inner, engine } = self;
        let found = loop {
            if let Poll::Ready(found) = engine.poll_frame() {
                break found?;
            }
            match poll_fn(|cx| Pin::new(&mut *inner).poll_read(cx, engine.spare())).await {
                Ok(n) => engine.received(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        };
        Ok(found.and_then(|found| engine.frame(&found)))
    }
}

/// Writes frames to anything that is [`AsyncWrite`].
struct FrameWriter<W, F: Format = V1> {
    inner: W,
    buf: WriteBuf<Vec<u8>, F>,
}

impl<W: AsyncWrite + Unpin, F: Format> FrameWriter<W, F> {
    fn new(inner: W, framing: Framing<F>) -> Self {
        Self { inner, buf: WriteBuf::growing(framing) }
    }

    /// Accepts a frame. Small ones are collected; a large payload is written without a copy.
    async fn feed(&mut self, meta: F::Meta, payload: &[u8]) -> Result<(), WriteError> {
        loop {
            match self.buf.frame(&meta, payload)? {
                Accepted::Collected => return Ok(()),
                Accepted::Nothing => self.write(&[]).await.map_err(WriteError::Io)?,
                Accepted::Direct => {
                    self.write(payload).await.map_err(WriteError::Io)?;
                    return Ok(self.buf.end_direct()?);
                }
            }
        }
    }

    /// Writes everything that was accepted. What a dropped call did not write is left to the next.
    async fn flush(&mut self) -> Result<(), WriteError> {
        self.buf.check()?;
        self.write(&[]).await.map_err(WriteError::Flush)?;
        poll_fn(|cx| Pin::new(&mut self.inner).poll_flush(cx)).await.map_err(WriteError::Flush)
    }

    async fn send(&mut self, meta: F::Meta, payload: &[u8]) -> Result<(), WriteError> {
        self.feed(meta, payload).await?;
        self.flush().await
    }

    async fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let Self { inner, buf } = self;
        let mut inner = Pin::new(inner);
        poll_fn(|cx| buf.poll_write(payload, |s| inner.as_mut().poll_write_vectored(cx, s))).await
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sends every frame back, until the client ends between two.
async fn echo(stream: TcpStream) -> Result<(), Error> {
    let (read, write) = split(stream);
    let mut reader = FrameReader::new(read, Framing::new(V1));
    let mut writer = FrameWriter::new(write, Framing::new(V1));
    while let Some(frame) = reader.next_frame().await? {
        writer.send(frame.meta, frame.payload).await?;
    }
    Ok(())
}

/// Starts an echo server for one client, and connects to it.
async fn connect() -> Result<(TcpStream, smol::Task<Result<(), Error>>), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let server = smol::spawn(async move { echo(listener.accept().await?.0).await });
    Ok((stream, server))
}

fn main() -> Result<(), Error> {
    smol::block_on(async {
        let (stream, server) = connect().await?;
        let mut reader = FrameReader::new(stream.clone(), Framing::new(V1));
        let mut writer = FrameWriter::new(stream.clone(), Framing::new(V1));
        for text in ["one", "two"] {
            writer.feed(Kind::TEXT, text.as_bytes()).await?; // collected
        }
        writer.send(Kind::BINARY, &vec![0; 100_000]).await?; // and sent with this
        stream.shutdown(std::net::Shutdown::Write)?;
        while let Some(frame) = reader.next_frame().await? {
            println!("{}, {} bytes", frame.meta, frame.payload.len());
        }
        server.await
    })
}

#[test]
fn frames_in_small_pieces_come_back() -> Result<(), Error> {
    use smol::io::AsyncWriteExt;
    let payloads: [Vec<u8>; 3] = [vec![], vec![1], vec![7; 70_000]];
    smol::block_on(async {
        let (mut stream, server) = connect().await?;
        stream.set_nodelay(true)?;
        let mut reader = FrameReader::new(stream.clone(), Framing::new(V1));
        for payload in &payloads {
            let frame = Framing::new(V1).frame(Kind::BINARY, payload)?;
            for piece in frame.to_bytes().chunks(7) {
                stream.write_all(piece).await?;
            }
            let back = reader.next_frame().await?.map(|frame| frame.to_owned());
            assert_eq!(back, Some(frame));
        }
        stream.shutdown(std::net::Shutdown::Write)?;
        assert_eq!(reader.next_frame().await?, None);
        server.await
    })
}
