//! What a `SendQueue` packs, sends, keeps and reports, with a script instead of a socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use unstick::udp::{DatagramSendError, Lost, SegmentSender, SendQueue, SendStats};
use unstick::{EncodeError, Framing, U8, Varint};

/// How many bytes one system call can send at most.
const MAX_RUN_BYTES: usize = 65_507;
/// How many datagrams for one peer are held before they are sent.
const MAX_HELD: usize = 64;
/// How many bytes for all peers are held before all of it is sent.
const MAX_HELD_BYTES: usize = 4 << 20;
/// For how many peers something is held before all of it is sent.
const MAX_PEERS: usize = 1_024;
/// How many losses are kept until they are reported.
const MAX_LOSSES: usize = 1_024;

/// Gives these answers, and keeps what it took.
struct Script {
    max: usize,
    answers: RefCell<VecDeque<io::Error>>,
    took: RefCell<Vec<(SocketAddr, Vec<Vec<u8>>)>>,
}

impl Script {
    fn new(max: usize, answers: &[io::ErrorKind]) -> Self {
        let answers = RefCell::new(answers.iter().map(|kind| (*kind).into()).collect());
        Self { max, answers, took: RefCell::default() }
    }
}

impl SegmentSender for Script {
    fn max_segments(&self) -> usize {
        self.max
    }

    fn send_segments(
        &self,
        peer: SocketAddr,
        bytes: &[u8],
        segment_len: usize,
    ) -> io::Result<bool> {
        match self.answers.borrow_mut().pop_front() {
            // As an answer it is none: a call that succeeds.
            Some(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let datagrams = bytes.chunks(segment_len).map(<[u8]>::to_vec).collect();
        self.took.borrow_mut().push((peer, datagrams));
        Ok(false)
    }

    fn is_about_run(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::InvalidInput
    }
}

fn peer(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn queue(limit: usize) -> SendQueue<U8> {
    let mut queue = SendQueue::new(Framing::new(U8));
    queue.set_datagram_limit(limit);
    queue
}

fn feed(queue: &mut SendQueue<U8>, to: u16, payload: &[u8]) {
    let frame = queue.check(&(), payload).unwrap();
    assert!(!queue.is_full(&peer(to)));
    queue.push(&peer(to), &frame);
}

/// Sends all closed datagrams, of which none is lost.
fn send(queue: &mut SendQueue<U8>, script: &Script) {
    queue.send_closed(script).unwrap();
    assert!(queue.is_idle());
    queue.report_loss().unwrap();
}

/// For how many peers a sender holds something, and how many bytes, as its `Debug` shows it.
pub(crate) fn held(sender: &impl fmt::Debug) -> [usize; 2] {
    let text = format!("{sender:?}");
    ["peers: ", "held: "].map(|name| {
        let (_, rest) = text.split_once(name).unwrap();
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    })
}

fn loss(queue: &mut SendQueue<U8>) -> Lost {
    match queue.report_loss() {
        Err(DatagramSendError::Lost(lost)) => *lost,
        other => panic!("nothing is lost: {other:?}"),
    }
}

fn lens(script: &Script) -> Vec<Vec<usize>> {
    let took = script.took.borrow();
    took.iter().map(|(_, datagrams)| datagrams.iter().map(Vec::len).collect()).collect()
}

#[test]
fn runs_are_sent_with_one_call_and_nothing_is_reordered() {
    let script = Script::new(64, &[]);
    let mut out = queue(10);
    for payload in [&b"1234"[..], b"5678", b"abcd", b"efgh", b"i", b"jklmnopqr", b"s"] {
        feed(&mut out, 1, payload);
    }
    out.close_all();
    send(&mut out, &script);
    assert_eq!(lens(&script), [vec![10, 10, 2], vec![10, 2]]);
    let bytes: Vec<u8> = script.took.borrow().iter().flat_map(|(_, d)| d.concat()).collect();
    assert_eq!(bytes, b"\x041234\x045678\x04abcd\x04efgh\x01i\x09jklmnopqr\x01s");
    let SendStats { datagrams, frames, bytes, calls, lost, .. } = out.stats();
    assert_eq!((datagrams, frames, bytes, calls, lost), (5, 7, 34, 2, 0));
}

#[test]
fn many_frames_at_once_are_packed_as_one_by_one() {
    for (limit, most) in [(1, 64), (2, 64), (9, 3), (10, 64), (70, 64), (256, 1)] {
        let payloads: Vec<_> = (0..1_000).map(|i| vec![7; i * i % limit]).collect();
        let [single, many] = [(); 2].map(|()| Script::new(most, &[]));
        let mut out = queue(limit);
        for payload in &payloads {
            while !out.try_push(&peer(1), &(), payload) {
                out.make_room(&single, &peer(1)).unwrap();
            }
        }
        out.close_all();
        send(&mut out, &single);
        let mut all = queue(limit);
        let mut frames = payloads.iter().map(|payload| ((), payload));
        while !all.push_all(&peer(1), &mut frames).unwrap() {
            all.make_room(&many, &peer(1)).unwrap();
        }
        all.close_all();
        send(&mut all, &many);
        let sent = |script: &Script| {
            script.took.borrow().iter().flat_map(|(_, d)| d.clone()).collect::<Vec<_>>()
        };
        assert_eq!(sent(&many), sent(&single), "{limit}");
        assert_eq!((all.stats().frames, all.stats().bytes), (1_000, out.stats().bytes));
        assert!(all.stats().calls <= out.stats().calls, "{limit}");
        assert_eq!([held(&all), held(&out)].map(|[_, bytes]| bytes), [0, 0], "{limit}");
    }
}

#[test]
fn of_many_frames_those_behind_a_refused_one_are_left() {
    let script = Script::new(64, &[]);
    let mut out = queue(10);
    let payloads = [&b"1"[..], b"1234567890", b"22", b"333", b"1234567890", b"4"];
    let mut frames = payloads.iter().map(|payload| ((), payload));
    let too_long = EncodeError::NoRoom { needed: 11, room: 10 };
    for left in [4, 1] {
        assert_eq!(out.push_all(&peer(1), &mut frames), Err(too_long));
        assert_eq!(frames.len(), left);
    }
    assert_eq!(out.push_all(&peer(1), &mut frames), Ok(true));
    out.close_all();
    send(&mut out, &script);
    assert_eq!(script.took.borrow().len(), 1);
    assert_eq!(script.took.borrow()[0].1, [&b"\x011\x0222\x03333"[..], b"\x014"]);
}

#[test]
fn each_peer_has_datagrams_of_its_own() {
    let script = Script::new(64, &[]);
    let mut out = queue(100);
    for round in 0..3_u8 {
        for to in 1..=5 {
            feed(&mut out, to, &[round, to.to_le_bytes()[0]]);
        }
    }
    out.close_all();
    send(&mut out, &script);
    let want: Vec<_> =
        (1..=5_u8).map(|to| (peer(to.into()), vec![vec![2, 0, to, 2, 1, to, 2, 2, to]])).collect();
    assert_eq!(*script.took.borrow(), want);
    assert_eq!(held(&out), [0, 0]);
}

#[test]
fn what_is_lost_again_and_again_is_not_collected() {
    for (limit, most, runs) in [(10, 1, 64), (10, 64, 64), (1_200, 1, 64), (60_000, 1, 1)] {
        let denied = vec![io::ErrorKind::PermissionDenied; 5_000];
        let (script, mut out) = (Script::new(most, &denied), queue(limit));
        let payload = vec![7; 255.min(limit - 1)];
        let mut lost = 0;
        for _ in 0..5_000 {
            if !out.try_push(&peer(1), &(), &payload) {
                out.make_room(&script, &peer(1)).unwrap();
                lost += 1;
                assert!(out.try_push(&peer(1), &(), &payload), "a loss makes room");
            }
            out.end_datagram();
        }
        assert!(lost >= 5_000 / runs - 64, "{lost}");
        assert!(held(&out)[1] <= MAX_RUN_BYTES + limit);
        // It is one loss, of all of them.
        assert_eq!(loss(&mut out).datagrams as u64, out.stats().lost);
        assert!(out.report_loss().is_ok());
    }
}

#[test]
fn all_that_can_be_sent_is_and_each_loss_is_told() {
    use io::ErrorKind::{HostUnreachable, Interrupted as Sent, PermissionDenied, WouldBlock};
    let answers =
        [PermissionDenied, PermissionDenied, HostUnreachable, Sent, WouldBlock, PermissionDenied];
    let (script, mut out) = (Script::new(1, &answers), queue(6));
    for to in [1, 1, 1, 2, 3] {
        feed(&mut out, to, b"hello");
    }
    out.close_all();
    assert_eq!(out.send_closed(&script).unwrap_err().kind(), WouldBlock);
    assert_eq!(script.took.borrow().len(), 1);
    out.send_closed(&script).unwrap();
    for (to, datagrams, kind) in
        [(1, 2, PermissionDenied), (1, 1, HostUnreachable), (3, 1, PermissionDenied)]
    {
        let lost = loss(&mut out);
        assert_eq!((lost.peer, lost.datagrams, lost.error.kind()), (peer(to), datagrams, kind));
    }
    assert!(out.report_loss().is_ok());
    assert_eq!((out.stats().lost, out.stats().datagrams), (4, 1));
}

#[test]
fn losses_that_nobody_is_told_have_an_end() {
    let denied = vec![io::ErrorKind::PermissionDenied; 3 * MAX_LOSSES];
    let (script, mut out) = (Script::new(1, &denied), queue(6));
    for port in 1..=u16::try_from(3 * MAX_LOSSES).unwrap() {
        out.make_room(&script, &peer(port)).unwrap();
        feed(&mut out, port, b"hello");
    }
    out.close_all();
    out.send_closed(&script).unwrap();
    assert_eq!(out.stats().lost, 3 * MAX_LOSSES as u64);
    let told = std::iter::from_fn(|| out.report_loss().err()).count();
    assert_eq!(told, MAX_LOSSES);
}

#[test]
fn the_datagram_that_ends_is_the_one_that_was_fed() {
    let other: [fn(&mut SendQueue<U8>); 3] = [
        |out| assert_eq!(out.push_all(&peer(2), &mut std::iter::empty::<((), &[u8])>()), Ok(true)),
        |out| assert!(!out.is_full(&peer(2))),
        |out| assert!(!out.try_push(&peer(2), &(), &[0; 256])),
    ];
    for other in other {
        let script = Script::new(64, &[]);
        let mut out = queue(100);
        feed(&mut out, 2, b"two");
        feed(&mut out, 1, b"one");
        other(&mut out);
        out.end_datagram();
        feed(&mut out, 1, b"next");
        feed(&mut out, 2, b"more");
        out.close_all();
        send(&mut out, &script);
        let mut took = script.took.borrow().clone();
        took.sort();
        let ones = vec![b"\x03one".to_vec(), b"\x04next".to_vec()];
        let twos = vec![b"\x03two\x04more".to_vec()];
        let sent = |to: u16| -> Vec<Vec<u8>> {
            took.iter().filter(|(at, _)| *at == peer(to)).flat_map(|(_, d)| d.clone()).collect()
        };
        assert_eq!((sent(1), sent(2)), (ones, twos));
    }
}

#[test]
fn peers_that_rested_are_sent_to_again() {
    for order in [[1, 2, 1], [1, 2, 2], [2, 1, 1]] {
        let script = Script::new(64, &[]);
        let mut out = queue(100);
        for round in 1..=3 {
            for to in order {
                assert!(out.try_push(&peer(to), &(), b"hello"));
            }
            out.close_all();
            send(&mut out, &script);
            assert_eq!((out.stats().frames, held(&out)), (round * 3, [0, 0]));
        }
        assert_eq!(script.took.borrow().len(), 6);
    }
}

#[test]
fn what_is_open_stays_while_others_are_sent() {
    let script = Script::new(64, &[]);
    let mut out = queue(6);
    for (to, payload) in [(1, b"open1"), (2, b"first"), (2, b"open2"), (3, b"open3")] {
        feed(&mut out, to, payload);
    }
    send(&mut out, &script);
    assert_eq!(*script.took.borrow(), [(peer(2), vec![b"\x05first".to_vec()])]);
    assert_eq!(held(&out)[1], 18);
    out.close_all();
    send(&mut out, &script);
    let mut took: Vec<_> = script.took.borrow()[1..].to_vec();
    took.sort();
    let want = [b"\x05open1", b"\x05open2", b"\x05open3"].map(|bytes| vec![bytes.to_vec()]);
    assert_eq!(took, [peer(1), peer(2), peer(3)].into_iter().zip(want).collect::<Vec<_>>());
    assert_eq!(held(&out)[1], 0);
}

#[test]
fn nothing_changes_when_it_would_block() {
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
    let script = Script::new(64, &kinds);
    let mut out = queue(10);
    feed(&mut out, 1, b"12345");
    out.close_all();
    for kind in kinds {
        assert_eq!(out.send_closed(&script).unwrap_err().kind(), kind);
        assert_eq!((out.stats(), out.is_idle()), (SendStats::default(), false));
        out.report_loss().unwrap();
    }
    send(&mut out, &script);
    assert_eq!(lens(&script), [[6]]);
}

#[test]
fn what_is_lost_takes_nothing_with_it() {
    let script = Script::new(2, &[io::ErrorKind::PermissionDenied]);
    let mut out = queue(6);
    for payload in [b"11111", b"22222", b"33333"] {
        feed(&mut out, 7, payload);
    }
    feed(&mut out, 8, b"other");
    out.close_all();
    out.send_closed(&script).unwrap();
    let lost = loss(&mut out);
    assert_eq!((lost.peer, lost.datagrams), (peer(7), 2));
    assert_eq!(lost.error.kind(), io::ErrorKind::PermissionDenied);
    out.report_loss().unwrap();
    let took = script.took.borrow();
    assert_eq!(took[0], (peer(7), vec![b"\x0533333".to_vec()]));
    assert_eq!(took[1], (peer(8), vec![b"\x05other".to_vec()]));
    let SendStats { datagrams, frames, lost, lost_frames, .. } = out.stats();
    assert_eq!((datagrams, frames, lost, lost_frames), (2, 2, 2, 2));
}

#[test]
fn a_run_that_cannot_be_is_sent_one_by_one() {
    use io::ErrorKind::{Interrupted as Sent, InvalidInput, PermissionDenied};
    let script = Script::new(3, &[InvalidInput, Sent, PermissionDenied, Sent]);
    let mut out = queue(6);
    for payload in [b"11111", b"22222", b"33333", b"44444", b"55555"] {
        feed(&mut out, 1, payload);
    }
    out.close_all();
    out.send_closed(&script).unwrap();
    assert_eq!(loss(&mut out).datagrams, 1);
    out.report_loss().unwrap();
    // The run's three one by one, of which one was lost, and then the others as a run.
    assert_eq!(lens(&script), [vec![6], vec![6], vec![6, 6]]);
    assert_eq!(out.stats().lost, 1);
}

#[test]
fn what_is_held_has_an_end() {
    // Datagrams for one peer.
    let script = Script::new(64, &[]);
    let mut out = queue(2);
    for i in 0..=MAX_HELD {
        assert!(!out.is_full(&peer(1)), "{i}");
        let frame = out.check(&(), b"x").unwrap();
        out.push(&peer(1), &frame);
    }
    assert!(out.is_full(&peer(1)), "and one is open");
    out.make_room(&script, &peer(1)).unwrap();
    assert!(!out.is_full(&peer(1)));
    assert_eq!(lens(&script)[0].len(), MAX_HELD);
    // Peers.
    let mut out = queue(200);
    for port in 1..=u16::try_from(MAX_PEERS).unwrap() {
        feed(&mut out, port, b"hello");
    }
    assert!(out.is_full(&peer(9_999)) && !out.is_full(&peer(1)));
    out.make_room(&script, &peer(9_999)).unwrap();
    assert!(!out.is_full(&peer(9_999)));
    assert_eq!(out.stats().datagrams, MAX_PEERS as u64);
    // Bytes for all of them.
    let mut out = queue(60_000);
    let mut count = 0;
    while !out.is_full(&peer(count % 500 + 1)) {
        let frame = out.check(&(), &[7; 255]).unwrap();
        out.push(&peer(count % 500 + 1), &frame);
        count += 1;
    }
    assert_eq!(usize::from(count), MAX_HELD_BYTES / 256 + 1);
    // Also where a frame goes into a datagram that is open.
    let mut out = queue(60_000);
    let mut count = 0;
    while out.try_push(&peer(count % 500 + 1), &(), &[7; 255]) {
        count += 1;
        if usize::from(count) == MAX_HELD_BYTES / 256 {
            out.close_for(&peer(1));
            assert!(out.is_idle(), "nothing has to go yet");
        }
    }
    assert_eq!(usize::from(count), MAX_HELD_BYTES / 256 + 1);
    assert!(!out.try_push(&peer(1), &(), &[]));
    let calls = out.stats().calls;
    out.make_room(&script, &peer(1)).unwrap();
    assert_eq!(out.stats().calls, calls + 1, "no more than makes room");
    assert!(out.try_push(&peer(1), &(), &[]));
}

#[test]
fn a_frame_for_no_datagram_is_refused_before_anything_is_sent() {
    let out = queue(10);
    assert!(out.check(&(), b"123456789").is_ok());
    let refused = out.check(&(), b"1234567890").err().unwrap();
    assert_eq!(refused, EncodeError::NoRoom { needed: 11, room: 10 });
    let refused = out.check(&(), &[0; 256]).err().unwrap();
    assert_eq!(refused, EncodeError::Oversize { len: 256, limit: 255 });
    let mut out = out;
    for len in [10, 256] {
        assert!(!out.try_push(&peer(1), &(), &vec![0; len]), "{len}");
    }
    assert_eq!(held(&out), [0, 0]);
}

#[test]
fn headers_may_be_shorter_than_the_longest() {
    let lens = [0, 1, 127, 128, 16_383, 16_384, 5, 200];
    let (script, framing) = (Script::new(64, &[]), Framing::new(Varint));
    let mut out = SendQueue::new(framing);
    out.set_datagram_limit(40_000);
    for _ in 0..2 {
        for len in lens {
            assert!(out.try_push(&peer(1), &(), &vec![7; len]), "{len}");
        }
        let mut frames = lens.iter().map(|len| ((), vec![7; *len]));
        while !out.push_all(&peer(1), &mut frames).unwrap() {
            out.make_room(&script, &peer(1)).unwrap();
        }
        out.close_all();
        out.send_closed(&script).unwrap();
    }
    let mut sent = Vec::new();
    for datagram in script.took.borrow().iter().flat_map(|(_, datagrams)| datagrams) {
        sent.extend(framing.datagram(datagram).unwrap().map(|frame| frame.payload.len()));
    }
    assert_eq!(sent, lens.repeat(4));
}

#[test]
fn what_is_held_is_not_shown() {
    let mut out = queue(10);
    feed(&mut out, 1, b"aaa");
    let text = format!("{out:?}");
    let frame = format!("{:?}", out.check(&(), b"aaa").unwrap());
    assert_eq!(frame, "CheckedFrame { header_len: 1, payload_len: 3 }");
    assert!(text.starts_with("SendQueue { limit: 255, datagram_limit: 10, peers: 1, held: 4"));
    assert!(!text.contains("97"), "a payload may be secret: {text}");
}

#[test]
fn frames_given_together_count_towards_what_is_held() {
    let mut out = queue(1_200);
    let (mut accepted, mut peers) = (0, 1_u16..);
    loop {
        let to = peer(peers.next().unwrap());
        // Less than one peer may have alone.
        let mut frames = std::iter::repeat_n(((), [7; 99]), 600);
        let all = out.push_all(&to, &mut frames).unwrap();
        accepted += (600 - frames.len()) * 100;
        assert_eq!(held(&out)[1], accepted);
        if !all {
            break;
        }
    }
    // What was begun when there was still room is one datagram more at most.
    assert!((MAX_HELD_BYTES + 1..=MAX_HELD_BYTES + 2_400).contains(&accepted), "{accepted}");
}

#[test]
fn a_payload_is_looked_at_once() {
    /// Longer whenever somebody looks.
    struct Growing(Cell<usize>);
    impl AsRef<[u8]> for Growing {
        fn as_ref(&self) -> &[u8] {
            self.0.set(self.0.get() + 1);
            &[7; 100][..self.0.get()]
        }
    }
    let script = Script::new(64, &[]);
    let mut out = queue(10);
    let mut frames = (0..9).map(|_| ((), Growing(Cell::new(2))));
    assert_eq!(out.push_all(&peer(1), &mut frames), Ok(true));
    out.close_all();
    send(&mut out, &script);
    let sent = script.took.borrow()[0].1.concat();
    assert_eq!(sent, b"\x03\x07\x07\x07".repeat(9));
}

#[test]
fn frames_that_have_ended_are_not_asked_for_more() {
    for count in [0_u32, 1, 2, 12, 13] {
        let mut rest = Some(count);
        let mut frames = std::iter::from_fn(|| {
            let left = rest.unwrap(); // nobody asks once it has ended
            rest = left.checked_sub(1);
            rest.map(|_| ((), [7; 99]))
        });
        assert_eq!(queue(1_200).push_all(&peer(1), &mut frames), Ok(true));
    }
}

/// Returns the report of `datagrams` datagrams that were lost together.
fn lost(datagrams: usize, error: io::Error) -> DatagramSendError {
    let (script, mut out) = (Script::new(datagrams, &[]), queue(6));
    script.answers.borrow_mut().push_back(error);
    for _ in 0..datagrams {
        feed(&mut out, 9, b"hello");
    }
    out.close_all();
    out.send_closed(&script).unwrap();
    out.report_loss().unwrap_err()
}

#[test]
fn errors_say_what_to_try() {
    let error = DatagramSendError::from(EncodeError::NoRoom { needed: 1_201, room: 1_200 });
    assert_eq!(
        error.to_string(),
        "the frame has 1201 bytes and a datagram may have 1200; \
         split it, send it over a stream, or raise the datagram limit"
    );
    let lost = |datagrams| lost(datagrams, io::ErrorKind::PermissionDenied.into()).to_string();
    assert!(lost(1).starts_with("a datagram to 127.0.0.1:9 was not sent: "), "{}", lost(1));
    assert!(lost(3).starts_with("3 datagrams to 127.0.0.1:9 were not sent: "));
    let error = DatagramSendError::from(EncodeError::Oversize { len: 9, limit: 8 });
    assert_eq!(error.to_string(), EncodeError::Oversize { len: 9, limit: 8 }.to_string());
    assert_eq!(
        DatagramSendError::NotConnected.to_string(),
        "the socket is not connected; name a peer, or connect it first"
    );
    assert!(size_of::<Result<(), DatagramSendError>>() <= 16);
    assert!(DatagramSendError::Blocked(io::ErrorKind::WouldBlock.into()).source().is_none());
}

#[test]
fn a_cause_is_said_once() {
    #[derive(Debug)]
    struct Cable(fmt::Error);
    impl fmt::Display for Cable {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no cable")
        }
    }
    impl Error for Cable {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = || io::Error::other(Cable(fmt::Error));
    let errors =
        [DatagramSendError::Full(error()), DatagramSendError::Blocked(error()), lost(1, error())];
    for error in errors {
        assert_eq!(error.to_string().matches("no cable").count(), 1, "{error}");
        assert!(error.source().is_some_and(|source| source.is::<fmt::Error>()), "{error}");
    }
    assert!(DatagramSendError::NotConnected.source().is_none());
}
