//! Frames in datagrams over real sockets on loopback: bound and connected, IPv4 and IPv6, blocking
//! and tokio, with offload (where the feature `udp` is on and the system has it) and without.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use unstick::io::{self, DatagramSendError, Received};
use unstick::{DatagramError, DecodeError, EncodeError, Framing, Kind, Part, V1, header, tokio};
use unstick_testing::script::poll_once;

use crate::send_queue::held;

/// Nothing on this machine takes so long, unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that a socket can be made as.
#[derive(Clone, Copy, Debug)]
struct How {
    v6: bool,
    connected: bool,
    offload: bool,
}

fn all() -> impl Iterator<Item = How> {
    (0..8).map(|bits| How { v6: bits & 1 > 0, connected: bits & 2 > 0, offload: bits & 4 > 0 })
}

/// Two sockets, and the second one's address.
fn sockets(how: How) -> (UdpSocket, UdpSocket, SocketAddr) {
    let bind = || {
        let socket = match how.v6 {
            true => UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)),
            false => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)),
        };
        let socket = socket.unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let (one, two) = (bind(), bind());
    if how.connected {
        one.connect(two.local_addr().unwrap()).unwrap();
        two.connect(one.local_addr().unwrap()).unwrap();
    }
    let addr = two.local_addr().unwrap();
    (one, two, addr)
}

fn blocking(socket: UdpSocket, how: How) -> io::FrameSocket {
    match how.offload {
        true => io::FrameSocket::new(socket),
        false => io::FrameSocket::without_offload(socket, V1),
    }
}

fn asynchronous(socket: UdpSocket, how: How) -> tokio::FrameSocket {
    socket.set_nonblocking(true).unwrap();
    let socket = ::tokio::net::UdpSocket::from_std(socket).unwrap();
    match how.offload {
        true => tokio::FrameSocket::new(socket),
        false => tokio::FrameSocket::without_offload(socket, V1),
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { ::tokio::time::timeout(PATIENCE, work).await.expect("it is stuck") })
}

fn bound() -> UdpSocket {
    sockets(How { v6: false, connected: false, offload: false }).0
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Framing::new(V1).encode(Kind::new(kind).unwrap(), payload, &mut bytes).unwrap();
    bytes
}

/// Payloads of all sizes that a datagram of the default limit can hold.
fn payloads() -> Vec<Vec<u8>> {
    (0..200_usize)
        .map(|i| vec![i as u8; [3, 60, 0, 1_192, 700, 64][i % 6] + i % 3 * usize::from(i % 6 != 3)])
        .collect()
}

/// The payloads of a datagram, or why it was refused.
type Taken = Result<Vec<Vec<u8>>, DatagramError>;
/// What arrived, and from where.
type Item = (SocketAddr, Taken);

fn item<'a>(received: Received<io::Frames<'a>>) -> Item {
    match received {
        Received::Datagram { source, frames } => {
            let count = frames.len();
            let frames: Vec<_> = frames.map(|frame| frame.payload.to_vec()).collect();
            assert_eq!(frames.len(), count, "it knows how many there are");
            (source, Ok(frames))
        }
        Received::Refused { source, error } => (source, Err(error)),
        Received::Undelivered(error) => panic!("{error}"),
    }
}

fn check_stats(sent: io::SendStats, received: io::RecvStats, payloads: &[Vec<u8>]) {
    assert_eq!(sent.frames, payloads.len() as u64);
    let bytes: usize = payloads.iter().map(|payload| payload.len() + 8).sum();
    assert_eq!((sent.bytes, sent.lost, sent.lost_frames), (bytes as u64, 0, 0));
    assert_eq!((received.datagrams, received.frames), (sent.datagrams, sent.frames));
    assert_eq!((received.bytes, received.refused.total()), (sent.bytes, 0));
    // Packed as full as can be: no two neighbours would fit one datagram.
    assert!(sent.datagrams < sent.frames / 2, "{sent:?}");
    assert!(sent.calls <= sent.datagrams && received.calls <= received.datagrams);
}

// spec: DGM-1, DGM-7, DGM-10
#[test]
fn blocking_sockets_deliver_what_was_fed() {
    for how in all() {
        let (one, two, addr) = sockets(how);
        let from = one.local_addr().unwrap();
        let (mut sender, mut receiver) = (blocking(one, how).sender, blocking(two, how).receiver);
        let payloads = payloads();
        let fed = payloads.clone();
        let receiving = thread::spawn(move || {
            let mut got = Vec::new();
            while got.len() < fed.len() {
                let (source, frames) = item(receiver.recv().unwrap());
                assert_eq!(source, from);
                got.extend(frames.unwrap());
            }
            assert_eq!(got, fed);
            receiver.stats()
        });
        for payload in &payloads {
            match how.connected {
                true => sender.feed(Kind::BINARY, payload).unwrap(),
                false => sender.feed_to(addr, Kind::BINARY, payload).unwrap(),
            }
        }
        sender.flush().unwrap();
        check_stats(sender.stats(), receiving.join().unwrap(), &payloads);
    }
}

// spec: DGM-1, DGM-7, DGM-10
#[test]
fn tokio_sockets_deliver_what_was_fed() {
    for how in all() {
        run(async {
            let (one, two, addr) = sockets(how);
            let from = one.local_addr().unwrap();
            let (mut sender, mut receiver) =
                (asynchronous(one, how).sender, asynchronous(two, how).receiver);
            let payloads = payloads();
            let send = async {
                for payload in &payloads {
                    match how.connected {
                        true => sender.feed(Kind::BINARY, payload).await.unwrap(),
                        false => sender.feed_to(addr, Kind::BINARY, payload).await.unwrap(),
                    }
                }
                sender.flush().await.unwrap();
                sender.stats()
            };
            let receive = async {
                let mut got = Vec::new();
                while got.len() < payloads.len() {
                    let (source, frames) = item(receiver.recv().await.unwrap());
                    assert_eq!(source, from);
                    got.extend(frames.unwrap());
                }
                assert_eq!(got, payloads);
                receiver.stats()
            };
            let (sent, received) = ::tokio::join!(send, receive);
            check_stats(sent, received, &payloads);
        });
    }
}

/// The same datagrams go out with offload and without: a plain socket sees them one by one.
#[test]
fn offload_does_not_show_on_the_wire() {
    let seen = [true, false].map(|offload| {
        let (one, two, addr) = sockets(How { v6: false, connected: false, offload });
        let mut sender = blocking(one, How { v6: false, connected: false, offload }).sender;
        let mut datagrams = Vec::new();
        let mut buf = [0; 2_000];
        for payloads in payloads().chunks(40) {
            let before = sender.stats().datagrams;
            for payload in payloads {
                sender.feed_to(addr, Kind::BINARY, payload).unwrap();
            }
            sender.flush().unwrap();
            for _ in before..sender.stats().datagrams {
                let (len, _) = two.recv_from(&mut buf).unwrap();
                assert!(len <= 1_200);
                datagrams.push(buf[..len].to_vec());
            }
        }
        (datagrams, sender.stats().calls)
    });
    assert_eq!(seen[0].0, seen[1].0);
    #[cfg(all(feature = "udp", target_os = "linux"))]
    assert!(seen[0].1 < seen[1].1, "{} calls, and {} without", seen[0].1, seen[1].1);
}

/// Datagrams, and what becomes of them where kind 0x41 is known and 200 bytes are the limit.
fn judged() -> Vec<(Vec<u8>, Taken)> {
    let whole = [frame(1, b"one"), frame(1, b"two")].concat();
    let missing = |at, missing, part| {
        Err(DatagramError::Malformed(DecodeError::Truncated { at, missing, part }))
    };
    vec![
        (vec![], Err(DatagramError::Empty)),
        // Only a header, and a single byte: pitfalls 2 and 3.
        (header::encode(Kind::TEXT, 4).to_vec(), missing(8, 4, Part::Payload)),
        (vec![0xF5], missing(1, 7, Part::Header)),
        (whole[..21].to_vec(), missing(21, 1, Part::Payload)),
        (frame(5, b""), Err(DatagramError::MisplacedKind { at: 0, kind: 5 })),
        (
            [frame(1, b"a"), frame(0x20, b"")].concat(),
            Err(DatagramError::UnknownKind { at: 9, kind: 0x20 }),
        ),
        (frame(0x40, b""), Err(DatagramError::UnknownKind { at: 0, kind: 0x40 })),
        (frame(0x41, b"known"), Ok(vec![b"known".to_vec()])),
        (frame(0xC1, b"ignored"), Ok(vec![])),
        ([&whole[..], &vec![b'x'; 300]].concat(), Err(DatagramError::Cut { room: 200 })),
    ]
}

fn check_refused(stats: io::RecvStats) {
    let io::Refusals { cut, empty, malformed, misplaced_kind, unknown_kind, .. } = stats.refused;
    assert_eq!((cut, empty, malformed, misplaced_kind, unknown_kind), (1, 1, 3, 1, 2));
    assert_eq!(stats.refused.total(), 8);
    assert_eq!((stats.datagrams, stats.frames), (12, 11));
    assert_eq!(stats.refused_bytes, 8 + 1 + 21 + 8 + 17 + 8 + 322);
}

/// Each refused datagram is an item with its source and reason, is counted, and changes nothing for
/// the next.
// spec: DGM-1, DGM-2, DGM-3, DGM-4, DGM-5, DGM-6, DGM-8
#[test]
fn refused_datagrams_are_items() {
    let good = Ok(vec![b"good".to_vec()]);
    let cases = judged();
    for how in all().filter(|how| !how.connected) {
        let (raw, two, addr) = sockets(how);
        let from = raw.local_addr().unwrap();
        let known = |kind: &Kind| kind.get() == 0x41;
        let mut receiver = blocking(two, how).with_known(known).with_recv_limit(200).receiver;
        for (bytes, want) in &cases {
            raw.send_to(bytes, addr).unwrap();
            raw.send_to(&frame(2, b"good"), addr).unwrap();
            assert_eq!(item(receiver.recv().unwrap()), (from, want.clone()), "{bytes:02x?}");
            assert_eq!(item(receiver.recv().unwrap()), (from, good.clone()));
        }
        check_refused(receiver.stats());
    }
}

// spec: DGM-1, DGM-2, DGM-3, DGM-4, DGM-5, DGM-6, DGM-8
#[test]
fn refused_datagrams_are_items_of_their_own_that_can_be_kept() {
    for how in all().filter(|how| !how.connected) {
        run(async {
            let (raw, two, addr) = sockets(how);
            let from = raw.local_addr().unwrap();
            let known = |kind: &Kind| kind.get() == 0x41;
            let mut receiver =
                asynchronous(two, how).with_known(known).with_recv_limit(200).receiver;
            let (mut sent, mut kept) = (Vec::new(), Vec::new());
            for (bytes, want) in judged() {
                for (bytes, want) in
                    [(bytes, want), (frame(2, b"good"), Ok(vec![b"good".to_vec()]))]
                {
                    raw.send_to(&bytes, addr).unwrap();
                    kept.push(receiver.recv_owned().await.unwrap());
                    sent.push((bytes, want));
                }
            }
            for (kept, (bytes, want)) in kept.into_iter().zip(sent) {
                let (source, taken) = match kept {
                    Received::Datagram { source, frames } => {
                        let wire: Vec<_> =
                            frames.iter().flat_map(|frame| frame.to_bytes()).collect();
                        assert!(frames.is_empty() || wire == bytes);
                        (source, Ok(frames.iter().map(|frame| frame.payload().to_vec()).collect()))
                    }
                    Received::Refused { source, error } => (source, Err(error)),
                    Received::Undelivered(error) => panic!("{error}"),
                };
                assert_eq!((source, taken), (from, want), "{bytes:02x?}");
            }
            check_refused(receiver.stats());
        });
    }
}

#[test]
fn what_the_system_does_not_send_is_said_and_the_rest_goes() {
    for how in all() {
        run(async {
            let (one, two, addr) = sockets(how);
            let mut sender = asynchronous(one, how).with_datagram_limit(70_000).sender;
            let mut receiver = asynchronous(two, how).receiver;
            sender.flush().await.unwrap(); // of nothing
            sender.feed_to(addr, Kind::BINARY, &[1; 65_520]).await.unwrap();
            sender.end_datagram();
            match sender.feed_to(addr, Kind::BINARY, b"behind").await {
                Err(DatagramSendError::Lost(lost)) => {
                    assert_eq!((lost.peer, lost.datagrams), (addr, 1))
                }
                other => panic!("{how:?}: {other:?}"),
            }
            sender.flush().await.unwrap(); // what met it was accepted
            let received = item(receiver.recv().await.unwrap());
            let from = sender.get_ref().local_addr().unwrap();
            assert_eq!(received, (from, Ok(vec![b"behind".to_vec()])));
            assert_eq!(sender.stats().lost, 1);
            assert!(sender.take_report().is_none());
        });
    }
}

/// Addresses that nobody can be sent to, as forged datagrams have them.
fn nobody(i: u32) -> SocketAddr {
    (Ipv4Addr::from(0x7F00_0000 + i), 0).into()
}

#[test]
fn peers_that_cannot_be_sent_to_cost_no_memory_and_no_offload() {
    const COUNT: u32 = 5_000;
    for how in all().filter(|how| !how.v6 && !how.connected) {
        let (one, two, addr) = sockets(how);
        let (mut sender, mut receiver) = (blocking(one, how).sender, blocking(two, how).receiver);
        let mut losses = 0;
        for i in 0..COUNT {
            match sender.feed_to(nobody(i), Kind::TEXT, b"hello") {
                Err(DatagramSendError::Lost(lost)) => losses += lost.datagrams,
                fed => fed.unwrap(),
            }
            assert!(held(&sender)[0] <= 1_024);
        }
        assert!(losses > 0);
        // Whom one can send to need not wait until all are told.
        let payload = vec![7; 1_000];
        for _ in 0..2 {
            sender.feed_to(addr, Kind::BINARY, &payload).unwrap();
        }
        assert!(matches!(sender.flush(), Err(DatagramSendError::Lost(_))));
        for _ in 0..2 {
            assert_eq!(item(receiver.recv().unwrap()).1, Ok(vec![payload.clone()]));
        }
        while sender.flush().is_err() {}
        let stats = sender.stats();
        assert_eq!((stats.lost, stats.lost_frames), (COUNT.into(), COUNT.into()));
        assert_eq!(held(&sender), [0, 0]);
        let offload = how.offload && cfg!(all(feature = "udp", target_os = "linux"));
        assert_eq!((stats.datagrams, stats.calls), (2, if offload { 1 } else { 2 }), "{how:?}");
    }
}

#[test]
fn tokio_peers_that_cannot_be_sent_to_cost_no_memory() {
    const COUNT: u32 = 5_000;
    for how in all().filter(|how| !how.v6 && !how.connected) {
        run(async {
            let (one, two, addr) = sockets(how);
            let (mut sender, mut receiver) =
                (asynchronous(one, how).sender, asynchronous(two, how).receiver);
            let mut losses = 0;
            for i in 0..COUNT {
                match sender.feed_to(nobody(i), Kind::TEXT, b"hello").await {
                    Err(DatagramSendError::Lost(lost)) => losses += lost.datagrams,
                    fed => fed.unwrap(),
                }
                assert!(held(&sender)[0] <= 1_024);
            }
            assert!(losses > 0);
            sender.feed_to(addr, Kind::TEXT, b"behind").await.unwrap();
            assert!(matches!(sender.flush().await, Err(DatagramSendError::Lost(_))));
            let received = item(receiver.recv().await.unwrap());
            assert_eq!(received.1, Ok(vec![b"behind".to_vec()]));
            while sender.flush().await.is_err() {}
            assert_eq!((sender.stats().lost, held(&sender)), (COUNT.into(), [0, 0]));
        });
    }
}

/// A cut between two frames would parse: the limit is applied to all that arrived.
// spec: DGM-9
#[test]
fn a_datagram_above_the_receive_limit_is_cut() {
    for how in all().filter(|how| !how.connected) {
        let (raw, two, addr) = sockets(how);
        let (one, both) = (frame(1, b"one"), [frame(1, b"one"), frame(1, b"two")].concat());
        let mut receiver = blocking(two, how).with_recv_limit(one.len()).receiver;
        for (bytes, taken) in [(&one, true), (&both, false), (&one, true)] {
            raw.send_to(bytes, addr).unwrap();
            let (_, got) = item(receiver.recv().unwrap());
            let cut = DatagramError::Cut { room: one.len() };
            assert_eq!(got, if taken { Ok(vec![b"one".to_vec()]) } else { Err(cut) });
        }
    }
}

// spec: DGM-10
#[test]
fn the_longest_datagrams_pass_and_longer_ones_are_reported() {
    for how in all() {
        let (one, two, addr) = sockets(how);
        let mut receiver = blocking(two, how).receiver;
        let mut socket = blocking(one, how).with_datagram_limit(70_000);
        let sender = &mut socket.sender;
        // Over IPv6 the interface's largest packet decides, which loopback has at 65,536 bytes.
        let most = if how.v6 { 65_536 - 48 } else { 65_507 };
        let payload = vec![0x77; most - 8];
        sender.send_to(addr, Kind::BINARY, &payload).unwrap();
        assert_eq!(item(receiver.recv().unwrap()).1, Ok(vec![payload]), "{how:?}");
        // What the system says is said of that datagram, and those behind it go.
        sender.feed_to(addr, Kind::BINARY, [1; 65_520]).unwrap();
        sender.end_datagram();
        match sender.feed_to(addr, Kind::BINARY, b"behind") {
            Err(DatagramSendError::Lost(lost)) => {
                assert_eq!((lost.peer, lost.datagrams), (addr, 1))
            }
            other => panic!("{how:?}: {other:?}"),
        }
        sender.flush().unwrap(); // what met it was accepted
        assert_eq!(item(receiver.recv().unwrap()).1, Ok(vec![b"behind".to_vec()]));
        assert_eq!(sender.stats().lost, 1);

        // A frame over the limit is an error before anything is sent.
        let mut sender = socket.with_datagram_limit(1_200).sender;
        sender.feed_to(addr, Kind::BINARY, b"kept").unwrap();
        let refused = sender.send_to(addr, Kind::BINARY, [0; 1_193]).unwrap_err();
        let too_long = EncodeError::NoRoom { needed: 1_201, room: 1_200 };
        assert!(matches!(refused, DatagramSendError::Encode(error) if *error == too_long));
        let refused = sender.send_to(addr, Kind::CLOSE, b"").unwrap_err();
        let misplaced = EncodeError::MisplacedKind { kind: 5 };
        assert!(matches!(refused, DatagramSendError::Encode(error) if *error == misplaced));
        sender.send_to(addr, Kind::BINARY, [0; 1_180]).unwrap();
        assert_eq!(item(receiver.recv().unwrap()).1.unwrap()[0], b"kept");
    }
}

#[test]
fn a_socket_without_a_peer_needs_one_named() {
    let mut sender = io::FrameSocket::new(bound()).sender;
    assert!(matches!(sender.send(Kind::TEXT, b"x"), Err(DatagramSendError::NotConnected)));
    let nobody = run(async {
        let how = How { v6: false, connected: false, offload: true };
        asynchronous(bound(), how).sender.feed(Kind::TEXT, b"x").await
    });
    assert!(matches!(nobody, Err(DatagramSendError::NotConnected)));
}

#[test]
fn a_socket_says_how_it_frames() {
    let framing = || Framing::new(V1).with_limit(99);
    let socket = io::FrameSocket::with_framing(bound(), framing());
    let limit = socket.framing().limit();
    let (receiver, sender) = socket.into_split();
    assert_eq!([limit, receiver.framing().limit(), sender.framing().limit()], [99; 3]);
    run(async {
        let socket = bound();
        socket.set_nonblocking(true).unwrap();
        let socket = ::tokio::net::UdpSocket::from_std(socket).unwrap();
        let socket = tokio::FrameSocket::with_framing(socket, framing());
        let limit = socket.framing().limit();
        let (receiver, sender) = socket.into_split();
        assert_eq!([limit, receiver.framing().limit(), sender.framing().limit()], [99; 3]);
    });
}

/// A non-blocking socket stays one, and a blocking one too.
#[test]
fn a_socket_that_has_nothing_says_so() {
    let socket = bound();
    socket.set_nonblocking(true).unwrap();
    let mut receiver = io::FrameSocket::new(socket).receiver;
    for _ in 0..2 {
        assert_eq!(receiver.recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    let socket = bound();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut receiver = io::FrameSocket::new(socket).receiver;
    let start = std::time::Instant::now();
    let kind = receiver.recv().unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind}");
    assert!(start.elapsed() >= Duration::from_millis(19), "it waited");
}

/// "Connection refused" of a connected socket says that an earlier datagram did not arrive. It is an
/// item of its own, and the datagram that met it is sent again.
#[test]
#[cfg(target_os = "linux")]
fn a_refused_connection_is_an_item_and_costs_no_datagram() {
    for how in all().filter(|how| !how.connected) {
        let (one, two, addr) = sockets(how);
        one.connect(addr).unwrap();
        drop(two);
        let (mut receiver, mut sender) = blocking(one, how).into_split();
        sender.send(Kind::TEXT, b"to nobody").unwrap();
        // Now there is somebody, and the report about the first is still there.
        let mut listener = blocking(UdpSocket::bind(addr).unwrap(), how).receiver;
        listener.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        sender.send(Kind::TEXT, b"to somebody").unwrap();
        assert_eq!(item(listener.recv().unwrap()).1, Ok(vec![b"to somebody".to_vec()]));
        assert_eq!(sender.stats().repeated, 1);
        match receiver.recv().unwrap() {
            Received::Undelivered(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(receiver.stats().undelivered, 1);

        // The receiver meets a report by itself, too.
        drop(listener);
        sender.send(Kind::TEXT, b"to nobody").unwrap();
        assert!(matches!(receiver.recv().unwrap(), Received::Undelivered(_)));
        // And a program that never receives asks for it.
        drop(receiver);
        sender.send(Kind::TEXT, b"to nobody").unwrap();
        sender.send(Kind::TEXT, b"to nobody").unwrap();
        assert_eq!(sender.take_report().unwrap().kind(), ErrorKind::ConnectionRefused);
        assert!(sender.take_report().is_none());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_receiver_that_waits_learns_what_a_send_has_met() {
    run(async {
        for offload in [true, false] {
            let how = How { v6: false, connected: false, offload };
            let (one, two, addr) = sockets(how);
            one.connect(addr).unwrap();
            drop(two);
            let (mut receiver, mut sender) = asynchronous(one, how).into_split();
            let waiting = ::tokio::spawn(async move {
                for _ in 0..3 {
                    match receiver.recv().await.unwrap() {
                        Received::Undelivered(error) => {
                            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            });
            // Whoever meets it first, the receiver gets it.
            while !waiting.is_finished() {
                sender.send(Kind::TEXT, b"to nobody").await.unwrap_or_else(|error| {
                    // Sent again, and met the next report already.
                    assert!(matches!(error, DatagramSendError::Lost(_)), "{error}");
                });
                ::tokio::task::yield_now().await;
            }
            waiting.await.unwrap();
        }
    });
}

/// Also where nothing more is sent.
#[test]
#[cfg(target_os = "linux")]
fn a_receiver_that_waits_is_woken_by_a_refused_connection() {
    run(async {
        for offload in [true, false] {
            let how = How { v6: true, connected: false, offload };
            let (one, two, addr) = sockets(how);
            one.connect(addr).unwrap();
            drop(two);
            let mut socket = asynchronous(one, how);
            let (receiver, sender) = (&mut socket.receiver, &mut socket.sender);
            for _ in 0..3 {
                let mut waiting = pin!(receiver.recv());
                assert!(poll_once(waiting.as_mut()).is_pending());
                sender.send(Kind::TEXT, b"to nobody").await.unwrap();
                match waiting.await.unwrap() {
                    Received::Undelivered(error) => {
                        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(socket.stats().0.undelivered, 3);
            // And the stream of the same.
            assert!(poll_once(pin!(socket.receiver.next())).is_pending());
            socket.sender.send(Kind::TEXT, b"to nobody").await.unwrap();
            assert!(matches!(socket.receiver.next().await, Some(Ok(Received::Undelivered(_)))));
        }
    });
}

/// A call that is dropped while it waits takes nothing with it.
#[test]
fn a_dropped_receive_loses_nothing() {
    for offload in [true, false] {
        run(async {
            let how = How { v6: false, connected: false, offload };
            let (one, two, addr) = sockets(how);
            let mut receiver = asynchronous(two, how).receiver;
            let mut got = Vec::new();
            for round in 0..100_u32 {
                // Dropped while nothing is there, and at every wait while something comes.
                for _ in 0..3 {
                    assert!(poll_once(pin!(receiver.recv())).is_pending());
                }
                for part in 0..3_u32 {
                    one.send_to(&frame(2, &(round * 3 + part).to_be_bytes()), addr).unwrap();
                }
                while got.len() < (round as usize + 1) * 3 {
                    match poll_once(pin!(receiver.recv())) {
                        std::task::Poll::Ready(received) => {
                            got.extend(item(received.unwrap()).1.unwrap());
                        }
                        std::task::Poll::Pending => ::tokio::task::yield_now().await,
                    }
                }
            }
            let want: Vec<_> = (0..300_u32).map(|i| i.to_be_bytes().to_vec()).collect();
            assert_eq!(got, want);
        });
    }
}

#[test]
fn many_frames_are_fed_with_one_call() {
    for how in all() {
        let payloads: Vec<_> = (0..5_000_u32).map(|i| i.to_be_bytes().to_vec()).collect();
        let frames = || payloads.iter().map(|payload| (Kind::BINARY, payload));
        let (one, two, addr) = sockets(how);
        let (mut sender, mut receiver) = (blocking(one, how).sender, blocking(two, how).receiver);
        let mut take = |sender: io::SendStats| {
            let (mut got, mut datagrams) = (Vec::new(), 0);
            while got.len() < payloads.len() {
                got.extend(item(receiver.recv().unwrap()).1.unwrap());
                datagrams += 1;
            }
            assert!(got == payloads, "{how:?}");
            // 12 bytes each, 100 in a datagram.
            assert_eq!((sender.datagrams, sender.frames, datagrams), (50, 5_000, 50));
        };
        match how.connected {
            true => sender.feed_all(frames()).unwrap(),
            false => sender.feed_all_to(addr, frames()).unwrap(),
        }
        sender.flush().unwrap();
        take(sender.stats());
        run(async {
            let mut sender = asynchronous(sender.get_ref().try_clone().unwrap(), how).sender;
            match how.connected {
                true => sender.feed_all(frames()).await.unwrap(),
                false => sender.feed_all_to(addr, frames()).await.unwrap(),
            }
            sender.flush().await.unwrap();
            take(sender.stats());
        });
        if !how.connected {
            let nobody = sender.feed_all([(Kind::BINARY, b"x")]).unwrap_err();
            assert!(matches!(nobody, DatagramSendError::NotConnected));
        }
    }
}

/// A sender whose call is dropped sent the frame or did not accept it, as its documentation says.
#[test]
fn a_dropped_send_takes_nothing_back_and_nothing_twice() {
    for offload in [true, false] {
        let how = How { v6: false, connected: false, offload };
        run(async {
            let (one, two, addr) = sockets(how);
            let mut receiver = blocking(two, how).receiver;
            // The runtime does not know yet that the socket can be written to: the first wait of a
            // new one is one, and there the call is dropped.
            let mut sender = asynchronous(one, how).sender;
            for i in 0..64_u32 {
                sender.feed_to(addr, Kind::BINARY, &i.to_be_bytes()).await.unwrap();
                sender.end_datagram();
            }
            for _ in 0..3 {
                let dropped = poll_once(pin!(sender.feed_to(addr, Kind::BINARY, b"not accepted")));
                assert!(dropped.is_pending());
                let mut frames = [(Kind::BINARY, b"not taken"); 3].into_iter();
                let dropped = poll_once(pin!(sender.feed_all_to(addr, frames.by_ref())));
                assert!(dropped.is_pending() && frames.len() == 3);
            }
            assert!(poll_once(pin!(sender.flush())).is_pending());
            sender.send_to(addr, Kind::BINARY, &64_u32.to_be_bytes()).await.unwrap();
            for i in 0..=64_u32 {
                assert_eq!(item(receiver.recv().unwrap()).1, Ok(vec![i.to_be_bytes().to_vec()]));
            }
            assert_eq!(sender.stats().frames, 65);
        });
    }
}

#[test]
fn a_socket_is_a_stream_of_owned_frames() {
    run(async {
        let how = How { v6: true, connected: false, offload: true };
        let (one, two, addr) = sockets(how);
        let from = one.local_addr().unwrap();
        let mut socket = asynchronous(two, how);
        one.send_to(&[frame(1, b"one"), frame(2, b"two")].concat(), addr).unwrap();
        one.send_to(b"?", addr).unwrap();
        one.send_to(&frame(1, b"three"), addr).unwrap();
        let items: Vec<_> = socket.receiver.by_ref().take(3).map(Result::unwrap).collect().await;
        match &items[0] {
            Received::Datagram { source, frames } => {
                assert_eq!(*source, from);
                assert_eq!((frames[0].meta, frames[0].payload()), (Kind::TEXT, &b"one"[..]));
                assert_eq!((frames[1].meta, frames[1].payload()), (Kind::BINARY, &b"two"[..]));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(items[1], Received::Refused { source, .. } if source == from));
        assert!(matches!(&items[2], Received::Datagram { frames, .. } if frames.len() == 1));
        assert!(poll_once(pin!(socket.receiver.next())).is_pending(), "it never ends");
    });
}

/// Answers go out while the frames that they answer are borrowed, to each peer its own.
#[test]
fn many_peers_are_answered_from_borrowed_frames() {
    run(async {
        let how = How { v6: false, connected: false, offload: true };
        let (server, _, _) = sockets(how);
        let addr = server.local_addr().unwrap();
        let mut server = asynchronous(server, how);
        let serve = async {
            let mut frames_seen = 0;
            while frames_seen < 8 * 30 {
                let (receiver, sender) = (&mut server.receiver, &mut server.sender);
                let Received::Datagram { source, frames } = receiver.recv().await.unwrap() else {
                    panic!("a datagram was refused");
                };
                for frame in frames {
                    sender.feed_to(source, frame.meta, frame.payload).await.unwrap();
                    frames_seen += 1;
                }
                sender.flush().await.unwrap();
            }
        };
        let clients = futures::future::join_all((0..8_u8).map(|client| async move {
            let mut socket = asynchronous(bound(), how);
            for i in 0..30_u8 {
                socket.sender.feed_to(addr, Kind::BINARY, &[client, i]).await.unwrap();
            }
            socket.sender.flush().await.unwrap();
            let mut got = Vec::new();
            while got.len() < 30 {
                let (source, frames) = item(socket.receiver.recv().await.unwrap());
                assert_eq!(source, addr);
                got.extend(frames.unwrap());
            }
            let want: Vec<_> = (0..30_u8).map(|i| vec![client, i]).collect();
            assert_eq!(got, want);
        }));
        ::tokio::join!(serve, clients);
    });
}

/// What the kernel dropped at this socket, for want of room in its buffer.
#[cfg(target_os = "linux")]
fn dropped(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap();
    let local = format!(":{port:04X}");
    let line = table.lines().find(|line| {
        line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&local))
    });
    line.unwrap().split_whitespace().last().unwrap().parse().unwrap()
}

/// What somebody hostile sends: each is refused for a reason of its own.
#[cfg(target_os = "linux")]
fn hostile() -> [Vec<u8>; 5] {
    [vec![], vec![0xF5], frame(1, b"whole")[..12].to_vec(), frame(5, b""), vec![0; 900]]
}

/// What of well-behaved peers and of hostile ones has arrived.
#[cfg(target_os = "linux")]
#[derive(Default)]
struct Arrived {
    last: Option<u64>,
    taken: u64,
    refused: u64,
}

#[cfg(target_os = "linux")]
impl Arrived {
    /// Counts one item, which has to be the next of `good`, or what `evil` sent.
    fn count(&mut self, item: Received<io::Frames<'_>>, good: SocketAddr, evil: SocketAddr) {
        match item {
            Received::Datagram { source, mut frames } => {
                assert_eq!(source, good);
                let number = u64::from_be_bytes(frames.next().unwrap().payload.try_into().unwrap());
                assert!(frames.next().is_none() && self.last.is_none_or(|last| last < number));
                self.last = Some(number);
                self.taken += 1;
            }
            Received::Refused { source, .. } => {
                assert_eq!(source, evil);
                self.refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// As long as the kernel has room for what comes, a hostile peer costs others nothing at all.
#[test]
#[cfg(target_os = "linux")]
fn a_hostile_peer_takes_no_datagram_of_another() {
    const ROUNDS: u64 = 1_000;
    let bad = hostile();
    for offload in [true, false] {
        let how = How { v6: false, connected: false, offload };
        let (good, two, addr) = sockets(how);
        let from = good.local_addr().unwrap();
        let evil = bound();
        let evil_from = evil.local_addr().unwrap();
        two.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut receiver = blocking(two, how).receiver;
        let mut arrived = Arrived::default();
        // A round is far smaller than the smallest buffer for receiving.
        for round in 0..ROUNDS {
            bad.iter().for_each(|bad| _ = evil.send_to(bad, addr).unwrap());
            good.send_to(&frame(2, &round.to_be_bytes()), addr).unwrap();
            bad.iter().for_each(|bad| _ = evil.send_to(bad, addr).unwrap());
            for _ in 0..2 * bad.len() + 1 {
                arrived.count(receiver.recv().unwrap(), from, evil_from);
            }
        }
        assert_eq!((arrived.taken, arrived.refused), (ROUNDS, ROUNDS * 2 * bad.len() as u64));
        assert_eq!(dropped(addr.port()), 0);
        let stats = receiver.stats();
        assert_eq!((stats.datagrams, stats.refused.total()), (arrived.taken, arrived.refused));
    }
}

/// A hostile peer that sends more than the kernel holds costs others what the kernel drops then, and
/// every datagram is accounted for. `benches/` has the same with a million.
#[test]
#[cfg(target_os = "linux")]
fn a_flood_costs_others_what_the_kernel_drops() {
    const GOOD: u64 = 2_000;
    const BAD: u64 = 20_000;
    for offload in [true, false] {
        let how = How { v6: false, connected: false, offload };
        let (good, two, addr) = sockets(how);
        let after = good.try_clone().unwrap();
        let from = good.local_addr().unwrap();
        let evil = bound();
        let evil_from = evil.local_addr().unwrap();
        two.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut receiver = blocking(two, how).receiver;
        let flood = thread::spawn(move || {
            let bad = hostile();
            for i in 0..BAD as usize {
                evil.send_to(&bad[i % bad.len()], addr).unwrap();
            }
        });
        let well_behaved = thread::spawn(move || {
            for i in 0..GOOD {
                good.send_to(&frame(2, &i.to_be_bytes()), addr).unwrap();
            }
        });
        let mut arrived = Arrived::default();
        loop {
            let over = flood.is_finished() && well_behaved.is_finished();
            match receiver.recv() {
                Ok(item) => arrived.count(item, from, evil_from),
                Err(_) if over => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        flood.join().unwrap();
        well_behaved.join().unwrap();
        let (taken, refused, dropped) = (arrived.taken, arrived.refused, dropped(addr.port()));
        assert_eq!(taken + refused + dropped, GOOD + BAD, "{taken} {refused} {dropped}");
        // Of which peer the kernel drops is its own affair; that the socket works on is ours.
        after.send_to(&frame(2, &GOOD.to_be_bytes()), addr).unwrap();
        arrived.count(receiver.recv().unwrap(), from, evil_from);
        assert_eq!(arrived.last, Some(GOOD));
        let stats = receiver.stats();
        assert_eq!((stats.datagrams, stats.refused.total()), (taken + 1, refused));
    }
}

#[test]
#[cfg(feature = "udp")]
fn buffer_sizes_can_be_set() {
    let socket = io::FrameSocket::new(bound());
    let small = socket.set_recv_buffer_size(16 << 10).unwrap();
    let large = socket.set_recv_buffer_size(128 << 10).unwrap();
    assert!(small >= 16 << 10 && large > small, "{small} {large}");
    assert!(socket.set_send_buffer_size(64 << 10).unwrap() >= 64 << 10);
    run(async {
        let how = How { v6: false, connected: false, offload: true };
        let socket = asynchronous(bound(), how);
        assert!(socket.set_recv_buffer_size(128 << 10).unwrap() >= 128 << 10);
        assert!(socket.set_send_buffer_size(64 << 10).unwrap() >= 64 << 10);
    });
}
