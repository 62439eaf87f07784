//! Frames in datagrams over loopback, between two threads with a runtime each.
//!
//! The time of a turn runs from the moment when both ends are ready until the last message was
//! taken. No datagram is lost: a sender never has more on their way than the receive buffer holds,
//! by a count that the receiver keeps, and each turn ends only when every message has arrived. The
//! buffer is equally large for all.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::UdpSocket;
use tokio_util::udp::UdpFramed;
use unstick::tokio::{FrameSocket, Received};
use unstick::{U32Be, V1, io};

use crate::case::{BenchFormat, framing};
use crate::decode::tokio_util_length_codec;
use crate::rounds::Turn;
use crate::tcp::{runtime, user_time};

/// The payload of a message.
pub const LEN: usize = 64;
/// The bytes that datagrams are packed to.
pub const PACKED: usize = 1_400;
/// The bytes of a message with its header, where that is a length.
const FRAMED: usize = LEN + 4;
/// What each receiver asks the system for.
const BUFFER: usize = 4 << 20;
/// Nothing takes so long, unless a datagram was lost.
const STUCK: Duration = Duration::from_secs(20);

/// Who sends and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One frame a datagram, and a call for each.
    Unstick,
    /// The same with offload: many datagrams with a call.
    UnstickOffload,
    /// Frames packed into datagrams, and a call for each of these.
    UnstickPacked,
    /// Packed, with offload.
    UnstickPackedOffload,
    /// As [`UnstickOffload`](Self::UnstickOffload), with many frames given by a call.
    UnstickAllOffload,
    /// As [`UnstickPacked`](Self::UnstickPacked), with many frames given by a call.
    UnstickAllPacked,
    /// Packed, with offload, and many frames given by a call.
    UnstickAllPackedOffload,
    /// Packed, with offload, with frames of version 1.
    UnstickV1PackedOffload,
    /// Packed, with offload, over blocking sockets.
    UnstickIoPackedOffload,
    /// The same with many frames given by a call.
    UnstickIoAllPackedOffload,
    /// `UdpFramed` with `feed`: one frame a datagram.
    TokioUtil,
    /// A bare socket, and nobody looks at the bytes: a datagram for each message.
    Raw,
    /// The same with datagrams as long as packed ones.
    RawPacked,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Unstick,
        Self::UnstickOffload,
        Self::UnstickPacked,
        Self::UnstickPackedOffload,
        Self::UnstickAllOffload,
        Self::UnstickAllPacked,
        Self::UnstickAllPackedOffload,
        Self::UnstickV1PackedOffload,
        Self::UnstickIoPackedOffload,
        Self::UnstickIoAllPackedOffload,
        Self::TokioUtil,
        Self::Raw,
        Self::RawPacked,
    ];

    /// The last part of the case's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unstick => "unstick",
            Self::UnstickOffload => "unstick-offload",
            Self::UnstickPacked => "unstick-packed",
            Self::UnstickPackedOffload => "unstick-packed-offload",
            Self::UnstickAllOffload => "unstick-all-offload",
            Self::UnstickAllPacked => "unstick-all-packed",
            Self::UnstickAllPackedOffload => "unstick-all-packed-offload",
            Self::UnstickV1PackedOffload => "unstick-v1-packed-offload",
            Self::UnstickIoPackedOffload => "unstick-io-packed-offload",
            Self::UnstickIoAllPackedOffload => "unstick-io-all-packed-offload",
            Self::TokioUtil => "tokio-util",
            Self::Raw => "raw",
            Self::RawPacked => "raw-packed",
        }
    }

    /// Sends `count` messages from one thread to another.
    #[must_use]
    pub fn run(self, count: usize) -> Turn {
        let flow = Flow { count, window: self.window(), arrived: AtomicUsize::new(0) };
        match self {
            Self::UnstickV1PackedOffload => self.over_tokio::<V1>(&flow),
            Self::UnstickIoPackedOffload | Self::UnstickIoAllPackedOffload => self.over_std(&flow),
            Self::Raw => bare(&flow, 1),
            Self::RawPacked => bare(&flow, PACKED / FRAMED),
            _ => self.over_tokio::<U32Be>(&flow),
        }
    }

    fn is_packed(self) -> bool {
        !matches!(
            self,
            Self::Unstick
                | Self::UnstickOffload
                | Self::UnstickAllOffload
                | Self::TokioUtil
                | Self::Raw
        )
    }

    fn has_offload(self) -> bool {
        !matches!(
            self,
            Self::Unstick
                | Self::UnstickPacked
                | Self::UnstickAllPacked
                | Self::TokioUtil
                | Self::Raw
                | Self::RawPacked
        )
    }

    /// Whether frames are given many by a call.
    fn gives_all(self) -> bool {
        matches!(
            self,
            Self::UnstickAllOffload
                | Self::UnstickAllPacked
                | Self::UnstickAllPackedOffload
                | Self::UnstickIoAllPackedOffload
        )
    }

    /// The messages that may be on their way at once: of each way as many as a quarter of the
    /// buffer holds, with what the system needs for each datagram or run of them.
    fn window(self) -> usize {
        match self {
            Self::Unstick | Self::TokioUtil | Self::Raw => 2_000,
            Self::UnstickPacked | Self::UnstickAllPacked | Self::RawPacked => {
                1_000 * (PACKED / FRAMED)
            }
            Self::UnstickOffload | Self::UnstickAllOffload => 200 * 64,
            _ => 24 * 46 * (PACKED / (LEN + 8)),
        }
    }

    fn over_tokio<F: BenchFormat + Clone + Send>(self, flow: &Flow) -> Turn {
        between(
            flow,
            self.has_offload(),
            |socket, peer| runtime().block_on(self.send::<F>(socket, peer, flow)),
            |socket| runtime().block_on(self.receive::<F>(socket, flow)),
        )
    }

    async fn send<F: BenchFormat + Clone>(
        self,
        socket: std::net::UdpSocket,
        peer: SocketAddr,
        flow: &Flow,
    ) {
        let socket = UdpSocket::from_std(socket).unwrap();
        let payload = vec![0x5A; LEN];
        if self == Self::TokioUtil {
            let mut socket = UdpFramed::new(socket, tokio_util_length_codec());
            let payload = Bytes::from(payload);
            let mut looks = flow.looks();
            for sent in 0..flow.count {
                if looks.is_full(sent) {
                    SinkExt::<(Bytes, _)>::flush(&mut socket).await.unwrap();
                    flow.wait(sent);
                }
                socket.feed((black_box(payload.clone()), peer)).await.unwrap();
            }
            return SinkExt::<(Bytes, _)>::flush(&mut socket).await.unwrap();
        }
        let (_, mut sender) = self.frame_socket::<F>(socket).into_split();
        let mut looks = flow.looks();
        if self.gives_all() {
            let mut sent = 0;
            while sent < flow.count {
                if looks.is_full(sent) {
                    sender.flush().await.unwrap();
                    flow.wait(sent);
                }
                let next = looks.next.min(flow.count);
                let frames = (sent..next).map(|_| (F::meta(), black_box(&payload[..])));
                sender.feed_all_to(peer, frames).await.unwrap();
                sent = next;
            }
            return sender.flush().await.unwrap();
        }
        for sent in 0..flow.count {
            if looks.is_full(sent) {
                sender.flush().await.unwrap();
                flow.wait(sent);
            }
            let payload = black_box(&payload[..]);
            if self == Self::Unstick {
                sender.send_to(peer, F::meta(), payload).await.unwrap();
            } else {
                sender.feed_to(peer, F::meta(), payload).await.unwrap();
            }
            if self == Self::UnstickOffload {
                sender.end_datagram();
            }
        }
        sender.flush().await.unwrap();
    }

    async fn receive<F: BenchFormat + Clone>(self, socket: std::net::UdpSocket, flow: &Flow) {
        let socket = UdpSocket::from_std(socket).unwrap();
        let mut arrived = 0;
        if self == Self::TokioUtil {
            let mut socket = UdpFramed::new(socket, tokio_util_length_codec());
            while arrived < flow.count {
                let (frame, source) = socket.next().await.unwrap().unwrap();
                assert_eq!(frame.len(), LEN);
                black_box((frame.as_ptr(), source));
                arrived += 1;
                flow.arrived.store(arrived, Ordering::Release);
            }
            return;
        }
        let (mut receiver, _) = self.frame_socket::<F>(socket).into_split();
        while arrived < flow.count {
            let Received::Datagram { source, frames } = receiver.recv().await.unwrap() else {
                panic!("a datagram was refused");
            };
            for frame in frames {
                assert_eq!(frame.payload.len(), LEN);
                black_box((frame.payload.as_ptr(), source));
                arrived += 1;
            }
            flow.arrived.store(arrived, Ordering::Release);
        }
    }

    fn frame_socket<F: BenchFormat + Clone>(self, socket: UdpSocket) -> FrameSocket<F> {
        let socket = match self.has_offload() {
            true => FrameSocket::with_framing(socket, framing::<F>()),
            false => FrameSocket::without_offload(socket, framing::<F>()),
        };
        match self.is_packed() {
            true => socket.with_datagram_limit(PACKED),
            // As long as a frame: each is a datagram then.
            false if self.gives_all() => {
                let header = framing::<F>().encode_header(F::meta(), LEN as u64).unwrap();
                socket.with_datagram_limit(header.as_bytes().len() + LEN)
            }
            false => socket,
        }
    }

    fn over_std(self, flow: &Flow) -> Turn {
        let frame_socket = |socket: std::net::UdpSocket| {
            socket.set_nonblocking(false).unwrap();
            io::FrameSocket::with_framing(socket, framing::<U32Be>())
                .with_datagram_limit(PACKED)
                .into_split()
        };
        between(
            flow,
            true,
            |socket, peer| {
                let (_, mut sender) = frame_socket(socket);
                let payload = [0x5A; LEN];
                let mut looks = flow.looks();
                if self.gives_all() {
                    let mut sent = 0;
                    while sent < flow.count {
                        if looks.is_full(sent) {
                            sender.flush().unwrap();
                            flow.wait(sent);
                        }
                        let next = looks.next.min(flow.count);
                        let frames = (sent..next).map(|_| ((), black_box(&payload[..])));
                        sender.feed_all_to(peer, frames).unwrap();
                        sent = next;
                    }
                    return sender.flush().unwrap();
                }
                for sent in 0..flow.count {
                    if looks.is_full(sent) {
                        sender.flush().unwrap();
                        flow.wait(sent);
                    }
                    sender.feed_to(peer, (), black_box(&payload[..])).unwrap();
                }
                sender.flush().unwrap();
            },
            |socket| {
                let (mut receiver, _) = frame_socket(socket);
                let mut arrived = 0;
                while arrived < flow.count {
                    let io::Received::Datagram { source, frames } = receiver.recv().unwrap() else {
                        panic!("a datagram was refused");
                    };
                    for frame in frames {
                        assert_eq!(frame.payload.len(), LEN);
                        black_box((frame.payload.as_ptr(), source));
                        arrived += 1;
                    }
                    flow.arrived.store(arrived, Ordering::Release);
                }
            },
        )
    }
}

/// Datagrams of as many bytes as so many messages and their headers have, over a bare socket.
fn bare(flow: &Flow, messages: usize) -> Turn {
    let len = messages * FRAMED;
    between(
        flow,
        false,
        |socket, peer| {
            runtime().block_on(async {
                let socket = UdpSocket::from_std(socket).unwrap();
                let datagram = vec![0x5A; len];
                let mut looks = flow.looks();
                for sent in (0..flow.count).step_by(messages) {
                    if looks.is_full(sent) {
                        flow.wait(sent);
                    }
                    socket.send_to(black_box(&datagram), peer).await.unwrap();
                }
            });
        },
        |socket| {
            runtime().block_on(async {
                let socket = UdpSocket::from_std(socket).unwrap();
                let mut datagram = vec![0; len];
                let mut arrived = 0;
                while arrived < flow.count {
                    let (n, source) = socket.recv_from(&mut datagram).await.unwrap();
                    assert_eq!(n, len);
                    black_box((datagram.as_ptr(), source));
                    arrived = flow.count.min(arrived + messages);
                    flow.arrived.store(arrived, Ordering::Release);
                }
            });
        },
    )
}

/// How many messages there are, may be on their way, and have arrived.
struct Flow {
    count: usize,
    window: usize,
    arrived: AtomicUsize,
}

impl Flow {
    /// For a sender that begins.
    fn looks(&self) -> Looks<'_> {
        Looks { flow: self, next: self.window / 8 }
    }

    /// Waits until there is room for as many as are sent before the next look.
    fn wait(&self, sent: usize) {
        self.wait_for(sent.saturating_sub(self.window * 7 / 8));
    }

    fn wait_for(&self, least: usize) {
        let start = Instant::now();
        while self.arrived.load(Ordering::Acquire) < least {
            thread::yield_now();
            if start.elapsed() > STUCK {
                eprintln!("a datagram was lost: is the receive buffer as large as was asked for?");
                std::process::exit(1);
            }
        }
    }
}

/// When a sender looks how many have arrived. Not before every message, and without a division, so
/// that the looks cost nobody anything.
struct Looks<'a> {
    flow: &'a Flow,
    next: usize,
}

impl Looks<'_> {
    /// Whether the sender has to wait before it sends more than these.
    #[inline(always)]
    fn is_full(&mut self, sent: usize) -> bool {
        sent == self.next && self.look(sent)
    }

    #[inline(never)]
    fn look(&mut self, sent: usize) -> bool {
        let Flow { window, arrived, .. } = self.flow;
        self.next += window / 8;
        sent - arrived.load(Ordering::Acquire) > window * 7 / 8
    }
}

/// Runs `there` in another thread and `here` in this one, with a socket each.
fn between(
    flow: &Flow,
    offload: bool,
    there: impl FnOnce(std::net::UdpSocket, SocketAddr) + Send,
    here: impl FnOnce(std::net::UdpSocket),
) -> Turn {
    let [theirs, ours] = [(); 2].map(|()| {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    });
    socket2::SockRef::from(&ours).set_recv_buffer_size(BUFFER).unwrap();
    if offload {
        // What arrives before the receiver has switched its offload on takes far more room.
        drop(io::FrameSocket::new(ours.try_clone().unwrap()));
    }
    let peer = ours.local_addr().unwrap();
    let both = Barrier::new(2);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            both.wait();
            there(theirs, peer);
            flow.wait_for(flow.count);
        });
        both.wait();
        let (start, user) = (Instant::now(), user_time());
        here(ours);
        let wall = start.elapsed();
        sender.join().unwrap();
        assert_eq!(flow.arrived.load(Ordering::Acquire), flow.count);
        Turn { wall, user: Some(user_time().saturating_sub(user)) }
    })
}
