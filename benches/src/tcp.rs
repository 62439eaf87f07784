//! Frames over a real loopback connection, between two threads with a runtime each.
//!
//! The time of a turn runs from the moment when both ends are connected until the last frame was
//! taken. The user CPU time is that of the whole process, so of both ends. Both sockets have
//! `TCP_NODELAY`.

use std::hint::black_box;
use std::io;
use std::net::{self, Ipv4Addr};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Buf;
use futures::{FutureExt, SinkExt, StreamExt};
use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use unstick::tokio::{FrameReader, FrameWriter};
use unstick::{Decoder, Framing, U32Be};

use crate::case::{LIMIT, framing};
use crate::decode::tokio_util_length_codec;
use crate::rounds::Turn;
use crate::tls;

/// The payload sizes that one direction is measured with.
pub const SIZES: [usize; 8] = [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// The payload sizes that one direction over TLS is measured with.
pub const TLS_SIZES: [usize; 3] = [64, 4 << 10, 64 << 10];
/// How many requests are on their way at once.
pub const WINDOWS: [usize; 4] = [1, 8, 64, 512];
/// The same over TLS.
pub const TLS_WINDOWS: [usize; 2] = [1, 64];
/// The payload of a request and of its response.
pub const REQUEST_LEN: usize = 64;

/// What a tuned peer's buffers hold.
const TUNED: usize = 256 * 1024;
/// What a program by hand collects before it writes, and reads at once.
const BLOCK: usize = 64 * 1024;
/// From here on a program by hand writes a payload from where it is.
const LARGE: usize = 4 * 1024;

/// Who sends frames in one direction, and who takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneWay {
    /// The adapters: `feed` all, then `flush`. They have nothing to tune.
    Unstick,
    /// The core by hand: encode into a `Vec`, decode what was read with `for_each`.
    UnstickCore,
    /// The adapters with a `send` for each frame.
    UnstickFlushEach,
    /// `FramedWrite` and `FramedRead` as they come: `feed` all, then `flush`.
    TokioUtil,
    /// The same with buffers of 256 KiB.
    TokioUtilTuned,
    /// The same as they come with a `send` for each frame.
    TokioUtilFlushEach,
    /// The same bytes without frames: `write_all` and `read` in blocks of 64 KiB.
    Raw,
    /// In blocks of 256 KiB.
    Raw256,
}

impl OneWay {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unstick,
        Self::UnstickCore,
        Self::UnstickFlushEach,
        Self::TokioUtil,
        Self::TokioUtilTuned,
        Self::TokioUtilFlushEach,
        Self::Raw,
        Self::Raw256,
    ];

    /// The last part of the case's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unstick => "unstick",
            Self::UnstickCore => "unstick-core",
            Self::UnstickFlushEach => "unstick-flush-each",
            Self::TokioUtil => "tokio-util",
            Self::TokioUtilTuned => "tokio-util-tuned",
            Self::TokioUtilFlushEach => "tokio-util-flush-each",
            Self::Raw => "raw",
            Self::Raw256 => "raw-256KiB",
        }
    }

    /// Sends `count` frames with payloads of these lengths, again and again.
    ///
    /// # Panics
    /// Something else arrived.
    #[must_use]
    pub fn run(self, lens: &[usize], count: usize) -> Turn {
        between(
            move |stream| async move { self.send(stream, lens, count).await.unwrap() },
            move |stream| async move { self.receive(stream, lens, count).await },
        )
    }

    /// The same over TLS.
    ///
    /// # Panics
    /// Something else arrived.
    #[must_use]
    pub fn run_over_tls(self, lens: &[usize], count: usize) -> Turn {
        between_over_tls(
            move |stream| async move { self.send(stream, lens, count).await.unwrap() },
            move |stream| async move { self.receive(stream, lens, count).await },
        )
    }

    async fn send<S>(self, mut stream: S, lens: &[usize], count: usize) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let payload = vec![0x5A; lens.iter().copied().max().unwrap_or(0)];
        let lens = lens.iter().copied().cycle().take(count);
        match self {
            Self::Unstick | Self::UnstickFlushEach => {
                let mut writer = FrameWriter::with_framing(stream, framing::<U32Be>());
                for len in lens {
                    let payload = black_box(&payload[..len]);
                    if self == Self::Unstick {
                        writer.feed((), payload).await.unwrap();
                    } else {
                        writer.send((), payload).await.unwrap();
                    }
                }
                writer.flush().await.unwrap();
                finish(writer.into_inner().0).await
            }
            Self::UnstickCore => {
                let (framing, mut out) = (framing::<U32Be>(), Vec::with_capacity(BLOCK));
                for len in lens {
                    let payload = black_box(&payload[..len]);
                    if len >= LARGE {
                        let header = framing.encode_header((), len as u64).unwrap();
                        stream.write_all_buf(&mut Buf::chain(header.as_bytes(), payload)).await?;
                        continue;
                    }
                    framing.encode((), payload, &mut out).unwrap();
                    if out.len() > BLOCK - LARGE {
                        stream.write_all(&out).await?;
                        out.clear();
                    }
                }
                stream.write_all(&out).await?;
                finish(stream).await
            }
            Self::TokioUtil | Self::TokioUtilTuned | Self::TokioUtilFlushEach => {
                let mut writer = tokio_util_writer(stream, self == Self::TokioUtilTuned);
                for len in lens {
                    let payload = black_box(&payload[..len]);
                    if self == Self::TokioUtilFlushEach {
                        writer.send(payload).await?;
                    } else {
                        writer.feed(payload).await?;
                    }
                }
                SinkExt::<&[u8]>::flush(&mut writer).await?;
                finish(writer.into_inner()).await
            }
            Self::Raw | Self::Raw256 => {
                let block = vec![0x5A; self.block()];
                let mut left = wire_len(lens);
                while left > 0 {
                    let n = left.min(block.len());
                    stream.write_all(black_box(&block[..n])).await?;
                    left -= n;
                }
                finish(stream).await
            }
        }
    }

    async fn receive<S: AsyncRead + Unpin>(self, mut stream: S, lens: &[usize], count: usize) {
        let lens = lens.iter().copied().cycle().take(count);
        let see = |payload: &[u8]| {
            black_box((payload.as_ptr(), payload.len()));
        };
        match self {
            Self::Unstick | Self::UnstickFlushEach => {
                let mut reader = FrameReader::with_framing(stream, framing::<U32Be>());
                for len in lens {
                    let frame = reader.next_frame().await.unwrap().unwrap();
                    assert_eq!(frame.payload.len(), len);
                    see(frame.payload);
                }
                assert!(reader.next_frame().await.unwrap().is_none());
            }
            Self::UnstickCore => {
                let mut decoder = Decoder::with_framing(framing::<U32Be>());
                let (mut buf, mut ended) = (vec![0; BLOCK], 0);
                while ended < count {
                    let n = stream.read(&mut buf).await.unwrap();
                    assert_ne!(n, 0);
                    let each = |piece: unstick::Piece<'_, ()>| {
                        see(piece.bytes);
                        ended += usize::from(piece.last);
                    };
                    decoder.for_each(&buf[..n], each).unwrap();
                }
                assert_eq!(decoder.position(), wire_len(lens) as u64);
                assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
            }
            Self::TokioUtil | Self::TokioUtilTuned | Self::TokioUtilFlushEach => {
                let mut reader = tokio_util_reader(stream, self == Self::TokioUtilTuned);
                for len in lens {
                    let frame = reader.next().await.unwrap().unwrap();
                    assert_eq!(frame.len(), len);
                    see(&frame);
                }
                assert!(reader.next().await.is_none());
            }
            Self::Raw | Self::Raw256 => {
                let mut buf = vec![0; self.block()];
                let mut left = wire_len(lens);
                while left > 0 {
                    let n = stream.read(&mut buf).await.unwrap();
                    assert_ne!(n, 0);
                    see(&buf[..n]);
                    left -= n;
                }
                assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
            }
        }
    }

    fn block(self) -> usize {
        if self == Self::Raw { BLOCK } else { TUNED }
    }
}

/// The bytes of frames with payloads of these lengths.
fn wire_len(lens: impl Iterator<Item = usize>) -> usize {
    lens.map(|len| len + 4).sum()
}

/// Who asks and who answers: the server sends every payload back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Both ends take what is there, and flush only before they wait.
    Unstick,
    /// Both ends flush each frame.
    UnstickFlushEach,
    /// The same with `Framed`, flushed only before a wait.
    TokioUtil,
    /// Both ends `send` each frame, as tokio-util's documentation has it.
    TokioUtilFlushEach,
}

impl Request {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Unstick, Self::UnstickFlushEach, Self::TokioUtil, Self::TokioUtilFlushEach];

    /// The last part of the case's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unstick => "unstick",
            Self::UnstickFlushEach => "unstick-flush-each",
            Self::TokioUtil => "tokio-util",
            Self::TokioUtilFlushEach => "tokio-util-flush-each",
        }
    }

    /// Asks `count` times, with at most `window` requests on their way.
    #[must_use]
    pub fn run(self, window: usize, count: usize) -> Turn {
        between(
            move |stream| self.serve(stream.into_split()),
            move |stream| self.ask(stream.into_split(), window, count),
        )
    }

    /// The same over TLS.
    #[must_use]
    pub fn run_over_tls(self, window: usize, count: usize) -> Turn {
        between_over_tls(
            move |stream| self.serve(split(stream)),
            move |stream| self.ask(split(stream), window, count),
        )
    }

    async fn serve<R, W>(self, (read, write): (R, W))
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.is_unstick() {
            self.unstick_server(Ends::new(read, write)).await;
        } else {
            self.tokio_util_server(Framed::new(read, write)).await;
        }
    }

    async fn ask<R, W>(self, (read, write): (R, W), window: usize, count: usize)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.is_unstick() {
            self.unstick_client(Ends::new(read, write), window, count).await;
        } else {
            self.tokio_util_client(Framed::new(read, write), window, count).await;
        }
    }

    fn is_unstick(self) -> bool {
        matches!(self, Self::Unstick | Self::UnstickFlushEach)
    }

    async fn unstick_server<R, W>(self, Ends { mut reader, mut writer }: Ends<R, W>)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let frame = match reader.next_frame().now_or_never() {
                Some(frame) => frame,
                None => {
                    writer.flush().await.unwrap();
                    reader.next_frame().await
                }
            };
            let Some(frame) = frame.unwrap() else { return };
            if self == Self::Unstick {
                writer.feed((), frame.payload).await.unwrap();
            } else {
                writer.send((), frame.payload).await.unwrap();
            }
        }
    }

    async fn unstick_client<R, W>(
        self,
        Ends { mut reader, mut writer }: Ends<R, W>,
        window: usize,
        count: usize,
    ) where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let payload = [0x5A; REQUEST_LEN];
        let (mut asked, mut answered) = (0, 0);
        while answered < count {
            while asked < count && asked - answered < window {
                let payload = black_box(&payload);
                if self == Self::Unstick {
                    writer.feed((), payload).await.unwrap();
                } else {
                    writer.send((), payload).await.unwrap();
                }
                asked += 1;
            }
            let frame = match reader.next_frame().now_or_never() {
                Some(frame) => frame,
                None => {
                    writer.flush().await.unwrap();
                    reader.next_frame().await
                }
            };
            let frame = frame.unwrap().unwrap();
            assert_eq!(black_box(frame.payload).len(), REQUEST_LEN);
            answered += 1;
        }
        writer.into_inner().0.shutdown().await.unwrap();
    }

    async fn tokio_util_server<R, W>(self, Framed { mut reader, mut writer }: Framed<R, W>)
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let frame = match reader.next().now_or_never() {
                Some(frame) => frame,
                None => {
                    SinkExt::<&[u8]>::flush(&mut writer).await.unwrap();
                    reader.next().await
                }
            };
            let Some(frame) = frame else { return };
            let frame = frame.unwrap();
            if self == Self::TokioUtil {
                writer.feed(&frame[..]).await.unwrap();
            } else {
                writer.send(&frame[..]).await.unwrap();
            }
        }
    }

    async fn tokio_util_client<R, W>(
        self,
        Framed { mut reader, mut writer }: Framed<R, W>,
        window: usize,
        count: usize,
    ) where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let payload = [0x5A; REQUEST_LEN];
        let (mut asked, mut answered) = (0, 0);
        while answered < count {
            while asked < count && asked - answered < window {
                let payload = black_box(&payload[..]);
                if self == Self::TokioUtil {
                    writer.feed(payload).await.unwrap();
                } else {
                    writer.send(payload).await.unwrap();
                }
                asked += 1;
            }
            let frame = match reader.next().now_or_never() {
                Some(frame) => frame,
                None => {
                    SinkExt::<&[u8]>::flush(&mut writer).await.unwrap();
                    reader.next().await
                }
            };
            let frame = frame.unwrap().unwrap();
            assert_eq!(black_box(&frame).len(), REQUEST_LEN);
            answered += 1;
        }
        writer.into_inner().shutdown().await.unwrap();
    }
}

struct Ends<R, W> {
    reader: FrameReader<R, U32Be>,
    writer: FrameWriter<W, U32Be>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Ends<R, W> {
    fn new(read: R, write: W) -> Self {
        let framing: Framing<U32Be> = framing();
        Self {
            reader: FrameReader::with_framing(read, framing),
            writer: FrameWriter::with_framing(write, framing),
        }
    }
}

struct Framed<R, W> {
    reader: FramedRead<R, LengthDelimitedCodec>,
    writer: FramedWrite<W, LengthDelimitedCodec>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Framed<R, W> {
    fn new(read: R, write: W) -> Self {
        Self {
            reader: FramedRead::new(read, tokio_util_length_codec()),
            writer: FramedWrite::new(write, tokio_util_length_codec()),
        }
    }
}

fn tokio_util_writer<S: AsyncWrite>(
    stream: S,
    tuned: bool,
) -> FramedWrite<S, LengthDelimitedCodec> {
    let codec = tokio_util_length_codec();
    if !tuned {
        return FramedWrite::new(stream, codec);
    }
    let mut writer = FramedWrite::with_capacity(stream, codec, TUNED);
    writer.set_backpressure_boundary(TUNED);
    writer
}

fn tokio_util_reader<S: AsyncRead>(stream: S, tuned: bool) -> FramedRead<S, LengthDelimitedCodec> {
    let codec = tokio_util_length_codec();
    if tuned {
        FramedRead::with_capacity(stream, codec, TUNED)
    } else {
        FramedRead::new(stream, codec)
    }
}

/// Says that nothing more comes, and waits until the peer has gone. Over TLS it goes without a word of
/// its end, which is an error that says so.
async fn finish(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.shutdown().await?;
    match stream.read(&mut [0]).await {
        Ok(n) => assert_eq!(n, 0),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Runs `there` in another thread and `here` in this one, over a connection between them.
fn between<T, H>(
    there: impl FnOnce(TcpStream) -> T + Send,
    here: impl FnOnce(TcpStream) -> H,
) -> Turn
where
    T: Future<Output = ()>,
    H: Future<Output = ()>,
{
    between_connected(async |stream| stream, there, async |stream| stream, here)
}

/// The same over TLS 1.3, after the handshake.
fn between_over_tls<T, H>(
    there: impl FnOnce(server::TlsStream<TcpStream>) -> T + Send,
    here: impl FnOnce(client::TlsStream<TcpStream>) -> H,
) -> Turn
where
    T: Future<Output = ()>,
    H: Future<Output = ()>,
{
    let (acceptor, connector) = tls::ends();
    between_connected(
        async |stream| acceptor.accept(stream).await.unwrap(),
        there,
        async |stream| connector.connect(tls::NAME.try_into().unwrap(), stream).await.unwrap(),
        here,
    )
}

/// Connects two threads, lets each do what its transport needs first, and measures the rest.
fn between_connected<A, B, T, H>(
    accept: impl AsyncFnOnce(TcpStream) -> A + Send,
    there: impl FnOnce(A) -> T + Send,
    connect: impl AsyncFnOnce(TcpStream) -> B,
    here: impl FnOnce(B) -> H,
) -> Turn
where
    T: Future<Output = ()>,
    H: Future<Output = ()>,
{
    let (theirs, ours) = pair().unwrap();
    let both = Barrier::new(2);
    thread::scope(|scope| {
        let peer = scope.spawn(|| {
            runtime().block_on(async {
                let stream = accept(TcpStream::from_std(theirs).unwrap()).await;
                both.wait();
                there(stream).await;
            });
        });
        let (wall, user) = runtime().block_on(async {
            let stream = connect(TcpStream::from_std(ours).unwrap()).await;
            both.wait();
            let (start, user) = (Instant::now(), user_time());
            here(stream).await;
            (start.elapsed(), user)
        });
        peer.join().unwrap();
        Turn { wall, user: Some(user_time().saturating_sub(user)) }
    })
}

fn pair() -> io::Result<(net::TcpStream, net::TcpStream)> {
    let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let theirs = net::TcpStream::connect(listener.local_addr()?)?;
    let ours = listener.accept()?.0;
    for stream in [&theirs, &ours] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
    }
    Ok((theirs, ours))
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap()
}

/// What this process has used of user CPU time, in all its threads.
pub(crate) fn user_time() -> Duration {
    let used = getrusage(UsageWho::RUSAGE_SELF).unwrap().user_time();
    let seconds = u64::try_from(used.tv_sec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(used.tv_usec()).unwrap_or(0))
}

const _: () = assert!(LIMIT >= SIZES[SIZES.len() - 1]);
