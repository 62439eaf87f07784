//! A message on each of many connections in turn, so that the state of each is no longer in the
//! cache when its next message arrives.
//!
//! The connections are made once. In a round the client, a thread, writes a frame to each and then
//! reads the answer of each; the server, a thread with a runtime and a task for each connection, sends
//! every frame back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use futures::{SinkExt, StreamExt};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream as TokioStream;
use tokio::task::JoinSet;
use tokio_util::codec::Framed;
use unstick::U32Be;
use unstick::tokio::FrameStream;

use crate::case::framing;
use crate::decode::tokio_util_length_codec;
use crate::rounds::{Contender, Turn};
use crate::tcp::{runtime, user_time};

/// How many connections there are.
pub const CONNECTIONS: usize = 1_000;
/// The payload of a message.
pub const LEN: usize = 64;

/// Allows this process as many open files as this user may have.
///
/// # Panics
/// These are not `needed` and a few more.
pub fn raise_open_files(needed: usize) {
    let (_, max) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, max, max).unwrap();
    // Signed on some systems.
    let needed = rlim_t::try_from(needed + 64).unwrap();
    assert!(max >= needed, "{needed} open files are needed, and {max} allowed");
}

/// How the server reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// The bytes that are there, without frames.
    Raw,
    /// A `FrameStream`.
    Unstick,
    /// A `Framed`.
    TokioUtil,
}

impl Echo {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Unstick, Self::TokioUtil];

    /// The last part of the case's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Unstick => "unstick",
            Self::TokioUtil => "tokio-util",
        }
    }

    /// Connects, and returns a contender whose unit is a round.
    ///
    /// # Panics
    /// There are not enough open files.
    #[must_use]
    pub fn contender(self) -> Contender<'static> {
        let mut clients = self.connect();
        let mut frame = vec![0x5A; 4 + LEN];
        frame[..4].copy_from_slice(&u32::try_from(LEN).unwrap().to_be_bytes());
        let run = move |rounds| {
            let (start, user) = (Instant::now(), user_time());
            let mut back = frame.clone();
            for _ in 0..rounds {
                for client in &mut clients {
                    client.write_all(&frame).unwrap();
                }
                for client in &mut clients {
                    client.read_exact(&mut back).unwrap();
                    assert!(back == frame, "another frame came back");
                }
            }
            Turn { wall: start.elapsed(), user: Some(user_time().saturating_sub(user)) }
        };
        (self.name().into(), Box::new(run))
    }

    /// Connects all clients to a server in a thread of its own, which ends after they are dropped.
    fn connect(self) -> Vec<TcpStream> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut pairs = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = TcpStream::connect(address).unwrap();
            client.set_nodelay(true).unwrap();
            pairs.push((client, listener.accept().unwrap().0));
        }
        let (clients, servers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        thread::spawn(move || {
            runtime().block_on(async {
                let mut tasks = JoinSet::new();
                for stream in servers {
                    stream.set_nodelay(true).unwrap();
                    stream.set_nonblocking(true).unwrap();
                    let stream = TokioStream::from_std(stream).unwrap();
                    match self {
                        Self::Raw => tasks.spawn(raw(stream)),
                        Self::Unstick => tasks.spawn(unstick(stream)),
                        Self::TokioUtil => tasks.spawn(tokio_util(stream)),
                    };
                }
                while let Some(done) = tasks.join_next().await {
                    done.unwrap();
                }
            });
        });
        clients
    }
}

async fn raw(mut stream: TokioStream) {
    let mut buf = [0; 4 + LEN];
    loop {
        let n = stream.read(&mut buf).await.unwrap();
        if n == 0 {
            return;
        }
        stream.write_all(&buf[..n]).await.unwrap();
    }
}

/// Sends every frame back until the peer has gone, with a `FrameStream`.
///
/// # Panics
/// The peer sent something else, or did not take an answer.
pub async fn unstick(stream: TokioStream) {
    let mut stream = FrameStream::with_framing(stream, framing::<U32Be>());
    while let Some((frame, writer)) = stream.next_with_writer().await.unwrap() {
        writer.send((), frame.payload).await.unwrap();
    }
}

/// The same with a `Framed`.
///
/// # Panics
/// As [`unstick`].
pub async fn tokio_util(stream: TokioStream) {
    let mut stream = Framed::new(stream, tokio_util_length_codec());
    while let Some(frame) = stream.next().await {
        stream.send(&frame.unwrap()[..]).await.unwrap();
    }
}
