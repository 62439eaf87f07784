//! The read buffer over each storage: room, memory, and the work of moving bytes.

use unstick::{
    Cobs, DecodeError, Fixed, FrameBuf, Framing, HeaderError, Kind, Lines, RecoverError, Storage,
    U16Be, V1, header,
};
use unstick_testing::formats::{Part, stream};

use crate::support::{feed, payloads, text};

/// What a header announces reserves nothing.
// spec: LIM-7
#[test]
fn a_growing_buffer_follows_what_arrives() {
    let announced = header::encode(Kind::BINARY, 1 << 30);
    let mut buf = FrameBuf::with_framing(Vec::new(), Framing::new(V1).with_limit(1 << 30)).unwrap();
    assert_eq!(buf.capacity(), 0);
    let mut arrived = buf.extend(&announced);
    for _ in 0..1000 {
        assert_eq!(buf.next_frame(), Ok(None));
        arrived += buf.extend(&[0; 700]);
        buf.spare();
        assert!(buf.capacity() <= (3 * arrived).max(8192), "{} for {arrived}", buf.capacity());
    }
    let (storage, unread) = buf.into_parts();
    assert!(storage.capacity() <= 3 * arrived);
    assert_eq!(unread.len(), arrived);
}

/// It grows, but not beyond what the longest frame needs.
#[test]
fn a_growing_buffer_ends_with_the_longest_frame() {
    let framing = Framing::new(V1).with_limit(100_000);
    let mut buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
    let longest = text(&[1; 100_000]);
    for _ in 0..2 {
        let mut rest = &longest[..];
        while !rest.is_empty() {
            assert_eq!(buf.next_frame(), Ok(None));
            feed(&mut buf, &mut rest);
            assert!(buf.capacity() <= longest.len(), "{}", buf.capacity());
        }
        assert_eq!(payloads(&mut buf).len(), 1);
    }
}

/// Full reads of small frames let the buffer grow, for larger reads; but to a bound.
#[test]
fn a_busy_stream_of_small_frames_stays_within_64_kib() {
    let sent = text(&[1; 92]).repeat(10_000);
    let mut buf = FrameBuf::new(Vec::new());
    let mut rest = &sent[..];
    while !rest.is_empty() {
        feed(&mut buf, &mut rest);
        payloads(&mut buf);
        assert!(buf.capacity() <= 64 * 1024);
    }
    assert_eq!(buf.capacity(), 64 * 1024);
}

#[test]
fn a_growing_buffer_gives_memory_back() {
    let mut buf = FrameBuf::new(Vec::new());
    let large = text(&vec![1; 1 << 20]);
    let fill = |buf: &mut FrameBuf<Vec<u8>>| {
        let mut rest = &large[..];
        while !rest.is_empty() {
            assert_eq!(buf.next_frame(), Ok(None));
            feed(buf, &mut rest);
        }
        assert!(buf.capacity() >= large.len());
        assert_eq!(payloads(buf).len(), 1);
    };
    fill(&mut buf);
    // After a few small frames, also where the reads never end between two of them.
    for tail in [0, 5] {
        let small = text(b"small").repeat(30);
        let (first, rest) = small.split_at(13 - tail);
        for chunk in std::iter::once(first).chain(rest.chunks(13)) {
            buf.extend(chunk);
            payloads(&mut buf);
        }
        assert_eq!(buf.capacity(), 64 * 1024);
        buf.reset();
        fill(&mut buf);
    }
    // At once.
    fill(&mut buf);
    buf.shrink();
    assert_eq!(buf.capacity(), 0);
    // Never bytes that were not taken.
    fill(&mut buf);
    buf.extend(&large[..1000]);
    buf.shrink();
    assert_eq!((buf.capacity(), buf.unread()), (1000, &large[..1000]));
    buf.extend(&large[1000..5000]);
    assert_eq!(buf.unread(), &large[..5000]);
    let (storage, unread) = buf.into_parts();
    assert_eq!(storage[unread], large[..5000]);
    // A storage of fixed size stays what it is.
    let mut buf = FrameBuf::new([0; 100]);
    buf.extend(&text(b"x"));
    buf.shrink();
    assert_eq!((buf.capacity(), payloads(&mut buf)), (100, vec![b"x".to_vec()]));
}

/// Counts the bytes that change their place, by the address of the oldest unread one.
#[derive(Default)]
struct Moves {
    moved: usize,
}

impl Moves {
    fn read<S: Storage>(&mut self, buf: &mut FrameBuf<S>, bytes: &[u8]) -> usize {
        let before = buf.unread().as_ptr();
        let unread = buf.unread().len();
        buf.spare();
        if buf.unread().as_ptr() != before {
            self.moved += unread;
        }
        buf.extend(bytes)
    }
}

/// However small the reads and whatever the frames, each byte is moved a few times at most.
// spec: SEC-2
#[test]
fn moving_bytes_costs_no_more_than_the_stream() {
    fn check<S: Storage>(mut buf: FrameBuf<S>, len: usize, read: usize) {
        let mut sent = Vec::new();
        for i in 0..400_000 / (len + 8) {
            // Lengths that do not divide the room evenly.
            sent.extend(text(&vec![1; len - i % 2]));
        }
        let mut moves = Moves::default();
        let (mut at, mut frames) = (0, 0);
        while at < sent.len() {
            let to = sent.len().min(at + read);
            let taken = moves.read(&mut buf, &sent[at..to]);
            assert!(taken > 0, "no room");
            at += taken;
            frames += payloads(&mut buf).len();
        }
        assert_eq!(frames, 400_000 / (len + 8));
        assert!(moves.moved <= 2 * sent.len(), "{} of {} moved", moves.moved, sent.len());
    }
    for len in [1, 100, 1_000, 2_000, 4_000] {
        for read in [7, 100, 5_000] {
            check(FrameBuf::new([0; 4_009]), len, read);
            check(FrameBuf::new(&mut [0; 4_900][..]), len, read);
            check(FrameBuf::new(Vec::new()), len, read);
        }
    }
    check(FrameBuf::new(Vec::new()), 100_000, 50);
}

/// A caller who takes one frame a read has a backlog, which does not move for every frame.
// spec: SEC-2
#[test]
fn a_backlog_is_not_moved_for_every_frame() {
    fn check<S: Storage>(mut buf: FrameBuf<S>, backlog: usize) {
        let one = text(b"xx");
        assert_eq!(buf.extend(&one.repeat(backlog)), backlog * one.len());
        let mut moves = Moves::default();
        for _ in 0..20_000 {
            assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"xx");
            let taken = moves.read(&mut buf, &one);
            // At the room's end a read may be a short one.
            assert_eq!(taken + moves.read(&mut buf, &one[taken..]), one.len());
        }
        let arrived = (20_000 + backlog) * one.len();
        assert!(moves.moved <= 2 * arrived, "{} of {arrived} moved", moves.moved);
    }
    // Half of the room and less, and more: then there is less to gain by moving.
    for backlog in [300, 400, 500] {
        check(FrameBuf::new([0; 8_192]), backlog);
        check(FrameBuf::new(&mut [0; 8_192][..]), backlog);
        check(FrameBuf::new(Vec::new()), backlog);
    }
}

/// A buffer that was shrunk between two large frames grows once for the second, and not by doubling.
#[test]
fn a_shrunk_buffer_is_as_large_again_at_once() {
    let mut buf = FrameBuf::new(Vec::new());
    let large = text(&vec![1; 500_000]);
    for round in 0..3 {
        let (mut rest, mut sizes) = (&large[..], Vec::new());
        while !rest.is_empty() {
            feed(&mut buf, &mut rest);
            sizes.push(buf.capacity());
            assert_eq!(buf.next_frame().unwrap().is_some(), rest.is_empty());
        }
        assert!(buf.capacity() >= large.len());
        sizes.dedup();
        // First what a small frame needs, since this might be one.
        assert!(sizes[0] <= 64 * 1024, "{sizes:?}");
        assert!(round == 0 || sizes.len() == 2, "{sizes:?}");
        buf.shrink();
        assert_eq!(buf.capacity(), 0);
    }
}

#[test]
fn extend_and_commit_take_what_fits() {
    let mut buf = FrameBuf::new([0; 16]);
    assert_eq!(buf.extend(&[0xF5; 20]), 16);
    assert_eq!((buf.extend(&[1]), buf.spare().len()), (0, 0));
    buf.commit(5);
    assert_eq!(buf.unread(), [0xF5; 16]);

    let mut buf = FrameBuf::new([0; 16]);
    buf.spare()[..9].copy_from_slice(&text(b"x"));
    // More than there is room for counts as all of it: seven zeros behind the frame.
    buf.commit(usize::MAX);
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"x");
    assert_eq!((buf.unread(), buf.position()), (&[0; 7][..], 9));
    let error = HeaderError::BadMagic { found: 0 };
    assert_eq!(buf.next_frame(), Err(DecodeError::Header { at: 9, error }));
    assert_eq!((buf.unread(), buf.position()), (&[0; 6][..], 10));
    let (_, unread) = buf.into_parts();
    assert_eq!(unread, 10..16);
}

/// A read that begins when all frames are taken has the whole storage, and not what they left of it.
#[test]
fn an_empty_buffer_reads_into_all_of_its_storage() {
    fn check<S: Storage>(mut buf: FrameBuf<S>) {
        let room = buf.spare().len();
        assert_eq!(room, buf.capacity());
        for _ in 0..3 {
            buf.extend(&text(b"short"));
            assert_eq!(payloads(&mut buf), [b"short"]);
            assert_eq!((buf.spare().len(), buf.capacity()), (room, room));
        }
    }
    check(FrameBuf::new([0; 100]));
    check(FrameBuf::new(&mut [0; 100][..]));
    check(FrameBuf::new(vec![0; 100].into_boxed_slice()));
    check(FrameBuf::new(Vec::new()));
}

/// A skip needs no room for what it drops.
// spec: SKP-2
#[test]
fn a_skipped_payload_may_be_longer_than_the_storage() {
    let mut buf = FrameBuf::new([0; 16]);
    let mut sent = text(&[9; 5_000]);
    sent.extend(text(b"next"));
    let mut rest = &sent[..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        feed(&mut buf, &mut rest);
        loop {
            match buf.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => found.push(frame.payload.to_vec()),
                Err(DecodeError::Oversize { len: 5_000, .. }) => buf.skip_frame().unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(found, [b"next"]);
    assert_eq!(buf.finish(), Ok(()));
}

/// Bytes read and not yet taken can go on elsewhere.
#[test]
fn unread_bytes_are_handed_over() {
    let parts =
        [Part::Frame { meta: 1, len: 3, fill: 1 }, Part::Frame { meta: 1, len: 9, fill: 2 }];
    let sent = stream(&U16Be, &parts);
    let mut buf = FrameBuf::with_framing(Vec::new(), U16Be).unwrap();
    buf.extend(&sent);
    buf.next_frame().unwrap().unwrap();
    assert_eq!((buf.unread(), buf.position()), (&sent[5..], 5));
    let (storage, unread) = buf.into_parts();
    assert_eq!(storage[unread], sent[5..]);
}

/// Bytes that were committed and not looked at yet are looked at for the answer.
#[test]
fn the_end_of_a_line_that_was_not_looked_at_is_known() {
    let mut buf = FrameBuf::growing(Framing::new(Lines::new()).with_limit(4));
    buf.extend(b"ab");
    assert_eq!(buf.next_frame(), Ok(None));
    assert_eq!((buf.needs_more(), buf.needed()), (true, 1));
    buf.extend(b"c\nno");
    assert_eq!((buf.needs_more(), buf.needed()), (false, 0));
    assert!(buf.spare_exact().is_empty());
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"abc");
    assert_eq!((buf.needed(), buf.spare_exact().len()), (1, 1));
    // Nor does a line that is too long need more.
    buf.extend(b"more");
    assert_eq!((buf.needs_more(), buf.needed()), (false, 0));
    assert_eq!(buf.next_frame(), Err(DecodeError::TooLong { at: 4, limit: 4 }));
    assert_eq!((buf.needs_more(), buf.needed()), (false, 0));
    buf.skip_frame().unwrap();
    assert_eq!(buf.needed(), 1);
    buf.extend(b"!\n\n");
    assert_eq!(buf.needed(), 0);
}

/// Idle bytes begin no frame, whether they were looked at or not.
#[test]
fn idle_bytes_open_no_frame() {
    let mut buf = FrameBuf::growing(Cobs);
    buf.extend(&[0, 0]);
    assert_eq!(buf.open_frame(), None);
    buf.extend(&[0, 2]);
    assert_eq!(buf.open_frame(), Some(3));
    assert_eq!(buf.next_frame(), Ok(None));
    assert_eq!(buf.open_frame(), Some(3));
    buf.extend(&[1, 0, 0]);
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, [1]);
    assert_eq!(buf.open_frame(), None);
}

/// Without a header, that no frame is within the limit is an error of the first byte.
#[test]
fn a_fixed_length_over_the_limit_is_refused_with_the_first_byte() {
    let five = Fixed::new(std::num::NonZeroU64::new(5).unwrap());
    let mut buf = FrameBuf::growing(Framing::new(five).with_limit(3));
    assert_eq!(buf.next_frame(), Ok(None));
    assert_eq!(buf.needed(), 1);
    buf.extend(b"a");
    assert_eq!(buf.needed(), 0);
    assert_eq!(buf.next_frame(), Err(DecodeError::Oversize { at: 0, len: 5, limit: 3 }));
}

/// As frames whose length is announced are.
#[test]
fn kept_lines_are_skipped_one_by_one() {
    let mut buf = FrameBuf::growing(Framing::new(Lines::new()).with_limit(5));
    buf.extend(b"one\ntwo\nthree");
    assert_eq!((buf.skip_frame(), buf.position()), (Ok(()), 4));
    assert_eq!((buf.skip_frame(), buf.position()), (Ok(()), 8));
    // Of the third, what has arrived; there is no fourth yet.
    assert_eq!((buf.skip_frame(), buf.position()), (Ok(()), 13));
    assert_eq!(buf.skip_frame(), Err(RecoverError::NotFailed));
    buf.extend(b"...\nfour\nfive\nlonger");
    assert_eq!(buf.skip_frame(), Ok(()));
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"five");
    assert_eq!(buf.next_frame(), Err(DecodeError::TooLong { at: 27, limit: 5 }));
    buf.skip_frame().unwrap();
    buf.extend(b"\nsix\nseven\n");
    assert_eq!(buf.skip_frame(), Ok(()));
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"seven");
}

/// A reader takes a read of no byte for the end of the stream. A buffer that had grown shrank after a few
/// reads without data, to the bytes that it held, if these were as many as it usually has room for.
#[test]
fn a_buffer_that_shrinks_has_room_for_more() {
    let sent = text(&[1; 100_000]);
    for unread in (65_536 - 3)..(65_536 + 3) {
        let mut buf = FrameBuf::new(Vec::new());
        let mut rest = &sent[..unread];
        while !rest.is_empty() {
            feed(&mut buf, &mut rest);
            assert_eq!(buf.next_frame(), Ok(None));
        }
        for polls in 0..30 {
            assert!(!buf.spare().is_empty(), "{unread} bytes, {polls} polls");
        }
        let mut rest = &sent[unread..];
        while !rest.is_empty() {
            feed(&mut buf, &mut rest);
        }
        assert_eq!(payloads(&mut buf), [vec![1; 100_000]]);
    }
}

/// The same with whole frames that the caller has not taken, of up to the length above which a buffer is
/// large.
#[test]
fn a_buffer_that_shrinks_has_room_after_whole_frames() {
    let frame = text(&[1; 1_000]);
    let sent = frame.repeat(200);
    for kept in 64..=97 {
        let mut buf = FrameBuf::new(Vec::new());
        let mut rest = &sent[..];
        while !rest.is_empty() {
            feed(&mut buf, &mut rest);
        }
        for _ in kept..200 {
            assert!(buf.next_frame().unwrap().is_some());
        }
        let before = buf.capacity();
        for polls in 0..30 {
            assert!(!buf.spare().is_empty(), "{kept} frames, {polls} polls");
        }
        assert!(buf.capacity() < before, "{kept} frames: {} bytes", buf.capacity());
        let mut rest = &sent[..10 * frame.len()];
        while !rest.is_empty() {
            feed(&mut buf, &mut rest);
        }
        assert_eq!(payloads(&mut buf).len(), kept + 10);
    }
}
