//! The read buffer over each storage: room, memory, and the work of moving bytes.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use unstick::{
    DecodeError, Format, FrameBuf, Framing, HeaderError, Kind, RecoverError, Storage, StorageError,
    U8, U16Be, V1, Varint, header,
};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, Part, every_format, stream};

fn text(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Framing::new(V1).with_limit(u64::MAX).encode(Kind::TEXT, payload, &mut bytes).unwrap();
    bytes
}

fn payloads<S: Storage, F: Format>(buf: &mut FrameBuf<S, F>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(frame) = buf.next_frame().unwrap() {
        all.push(frame.payload.to_vec());
    }
    all
}

/// Takes as many bytes from the front of `rest` as there is room for, which is one at least.
fn feed<S: Storage, F: Format>(buf: &mut FrameBuf<S, F>, rest: &mut &[u8]) {
    let n = buf.extend(rest);
    assert!(n > 0, "no room");
    *rest = &rest[n..];
}

#[test]
fn a_limit_that_was_set_has_to_fit() {
    fn check<F: Subject>(format: &F) {
        let framing = Framing::new(format.clone()).with_limit(100);
        let needed = 100 + format.max_header_len();
        for room in [0, 1, needed - 1] {
            let refused = FrameBuf::with_framing(&mut vec![0; room][..], framing.clone()).err();
            assert_eq!(refused, Some(StorageError { needed: needed as u64, room }));
        }
        for room in [needed, needed + 1] {
            let mut storage = vec![0; room];
            let buf = FrameBuf::with_framing(&mut storage[..], framing.clone()).unwrap();
            assert_eq!(buf.framing().limit(), 100);
        }
        let buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
        assert_eq!((buf.framing().limit(), buf.capacity()), (100, 0));
    }
    every_format!(formats::layouts(), check);
    assert!(FrameBuf::with_framing([0; 107], Framing::new(V1).with_limit(100)).is_err());
    // No storage is as long as this, and the sum must not overflow.
    let greatest = Framing::new(V1).with_limit(u64::MAX);
    assert!(FrameBuf::with_framing([0; 64], greatest).is_err());
}

/// The limit that nobody set is what fits; a longer payload is oversize at its header, and not a
/// wait for room that will not come.
// spec: LIM-1, LIM-2
#[test]
fn the_default_limit_gives_way_to_the_storage() {
    let mut buf = FrameBuf::new([0; 2048]);
    assert_eq!(buf.framing().limit(), 2040);
    for _ in 0..3 {
        assert_eq!(buf.extend(&text(&[7; 2040])), 2048);
        assert_eq!(payloads(&mut buf), [[7; 2040]]);
    }
    buf.extend(&text(&[7; 2041]));
    let at = 3 * 2048;
    assert_eq!(buf.next_frame(), Err(DecodeError::Oversize { at, len: 2041, limit: 2040 }));

    let mut storage = [0; 100];
    assert_eq!(FrameBuf::new(&mut storage[..]).framing().limit(), 92);
    assert_eq!(FrameBuf::new([0; 8]).framing().limit(), 0);
    let buf = FrameBuf::with_framing([0; 1000], U8).unwrap();
    assert_eq!(buf.framing().limit(), 255);
}

/// Storages from a bare header on, frames of every length up to the limit, reads of every length.
// spec: SEC-1
#[test]
fn there_is_always_room_after_the_last_frame() {
    for room in 8..=24 {
        let limit = room - 8;
        let mut sent = Vec::new();
        for len in (0..=limit).chain((0..=limit).rev()) {
            sent.extend(text(&vec![len as u8; len]));
        }
        for read in 1..=room {
            let mut buf = FrameBuf::new(vec![0; room].leak());
            let (mut frames, mut at) = (0, 0);
            while at < sent.len() {
                let spare = buf.spare();
                assert!(!spare.is_empty());
                let n = spare.len().min(read).min(sent.len() - at);
                spare[..n].copy_from_slice(&sent[at..at + n]);
                buf.commit(n);
                at += n;
                frames += payloads(&mut buf).len();
            }
            buf.finish().unwrap();
            assert_eq!(frames, 2 * (limit + 1));
        }
    }
}

/// A storage that cannot hold a header says so, the same to every question, and never looks like
/// the end of the stream.
// spec: SEC-1, ERR-4
#[test]
fn a_storage_shorter_than_a_header_is_an_error() {
    fn check<S: Storage>(mut buf: FrameBuf<S>) {
        let room = buf.capacity();
        // Without a byte of room not even a look is needed.
        let at_once = (room == 0).then_some(DecodeError::NoRoom { at: 0, needed: 1, room: 0 });
        assert_eq!(buf.error(), at_once);
        assert_eq!(buf.extend(&text(b"")), room);
        for _ in 0..3 {
            let Err(error) = buf.next_frame().map(|_| ()) else { panic!("{room} bytes of room") };
            let DecodeError::NoRoom { at: 0, needed, room: said } = error else {
                panic!("{error:?}")
            };
            assert!(needed > room && said == room);
            assert_eq!((buf.finish(), buf.error()), (Err(error), Some(error)));
            assert_eq!(error.code(), 0x0005);
            assert!(buf.skip_frame().is_err());
            assert!(buf.resync().is_err());
            assert_eq!(buf.unread().len(), room);
        }
        buf.reset();
        assert_eq!((buf.error(), buf.finish()), (at_once, at_once.map_or(Ok(()), Err)));
        if room > 0 {
            // What is wrong for another reason is so still.
            buf.extend(b"G");
            let error = HeaderError::BadMagic { found: b'G' };
            assert_eq!(buf.next_frame(), Err(DecodeError::Header { at: 0, error }));
        }
    }
    check(FrameBuf::new([0; 0]));
    check(FrameBuf::new([0; 1]));
    check(FrameBuf::new([0; 7]));
    for room in 0..8 {
        check(FrameBuf::new(&mut vec![0; room][..]));
    }

    // A shorter header than the format's longest may do.
    let mut buf = FrameBuf::with_framing([0; 1], Varint).unwrap();
    for _ in 0..3 {
        assert_eq!(buf.extend(&[0]), 1);
        assert_eq!(payloads(&mut buf), [[]]);
    }
    buf.extend(&[0x80, 0x01]);
    assert_eq!(buf.next_frame(), Err(DecodeError::NoRoom { at: 3, needed: 2, room: 1 }));
}

/// A search stands at what may be a header and never will be all here: an error, the same to every
/// question, wherever the stream was cut, and never a wait for bytes that there is no room for.
// spec: SEC-1, ERR-4
#[test]
fn a_search_in_a_storage_shorter_than_a_header_is_an_error() {
    let bytes = [b"??\xf5?".to_vec(), text(b"")].concat();
    for (room, read) in (1..8).flat_map(|room| (1..=room).map(move |read| (room, read))) {
        let mut storage = vec![0; room];
        let mut buf = FrameBuf::new(&mut storage[..]);
        buf.extend(b"?");
        let error = HeaderError::BadMagic { found: b'?' };
        assert_eq!(buf.next_frame(), Err(DecodeError::Header { at: 0, error }));
        let mut rest = &bytes[1..];
        let failed = loop {
            match buf.resync() {
                Ok(None) => {}
                Ok(Some(_)) => panic!("a header in {room} bytes"),
                Err(failed) => break failed,
            }
            assert!(!buf.spare().is_empty(), "{room} bytes, by {read}");
            let n = buf.extend(&rest[..rest.len().min(read)]);
            rest = &rest[n..];
        };
        let at = if room == 1 { 2 } else { 4 }; // what does not stand there whole is not judged
        let error = DecodeError::NoRoom { at, needed: 8, room };
        for _ in 0..2 {
            assert_eq!(failed, RecoverError::Failed(error), "{room} bytes, by {read}");
            assert_eq!((buf.resync(), buf.skip_frame()), (Err(failed), Err(failed)));
            assert_eq!((buf.error(), buf.finish()), (Some(error), Err(error)));
            assert_eq!(buf.next_frame(), Err(error));
            assert_eq!((buf.position(), buf.unread()), (at, &text(b"")[..room]));
        }
        buf.reset();
        assert_eq!((buf.error(), buf.resync()), (None, Err(RecoverError::NotFailed)));
    }
}

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
        assert!(buf.capacity() <= (2 * arrived).max(8192), "{} for {arrived}", buf.capacity());
    }
    let (storage, unread) = buf.into_parts();
    assert!(storage.capacity() <= 2 * arrived);
    assert_eq!(unread.len(), arrived);
}

/// It doubles, but not beyond what the longest frame needs.
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

/// From every state, with bytes of the old stream still there.
// spec: ERR-7
#[test]
fn reset_begins_a_new_stream() {
    let whole = text(b"whole");
    let oversize = text(&[0; 30]);
    let states: [&[u8]; 6] = [b"", &whole, &whole[..3], &whole[..10], b"garbage", &oversize];
    for skip in [false, true] {
        for state in states {
            let mut buf = FrameBuf::with_framing([0; 64], Framing::new(V1).with_limit(20)).unwrap();
            buf.extend(state);
            if buf.next_frame().is_err() && skip {
                let _ = buf.skip_frame();
                let _ = buf.resync();
            }
            buf.reset();
            assert_eq!((buf.position(), buf.error(), buf.finish()), (0, None, Ok(())));
            assert_eq!(buf.unread(), b"");
            assert_eq!(buf.next_frame(), Ok(None));
            buf.extend(&whole);
            assert_eq!(payloads(&mut buf), [b"whole"]);
            buf.extend(b"?");
            let error = HeaderError::BadMagic { found: b'?' };
            let at = whole.len() as u64;
            assert_eq!(buf.next_frame(), Err(DecodeError::Header { at, error }));
        }
    }
}

/// What 7.4 refuses changes nothing.
// spec: SKP-1, SYN-8, ERR-4
#[test]
fn skip_and_resync_are_for_failed_streams() {
    let whole = text(b"whole");
    let framing = Framing::new(V1).with_limit(20);
    for keep in [0, 3, 10] {
        let mut buf = FrameBuf::with_framing([0; 64], framing).unwrap();
        buf.extend(&whole[..keep]);
        buf.next_frame().unwrap();
        assert_eq!(buf.skip_frame(), Err(RecoverError::NotFailed));
        assert_eq!(buf.resync(), Err(RecoverError::NotFailed));
        buf.extend(&whole[keep..]);
        assert_eq!(payloads(&mut buf), [b"whole"]);
    }
    // While an oversize payload is dropped there is nothing more to ask for.
    let oversize = text(&[0; 30]);
    let mut buf = FrameBuf::with_framing([0; 64], framing).unwrap();
    buf.extend(&oversize[..10]);
    buf.next_frame().unwrap_err();
    buf.skip_frame().unwrap();
    for _ in 0..2 {
        assert_eq!(buf.skip_frame(), Err(RecoverError::NotFailed));
        assert_eq!(buf.resync(), Err(RecoverError::NotFailed));
        assert_eq!(buf.next_frame(), Ok(None));
    }
    buf.extend(&oversize[10..]);
    buf.extend(&whole);
    assert_eq!(payloads(&mut buf), [b"whole"]);
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

/// A search over more garbage than the storage holds.
// spec: SYN-1, SYN-4
#[test]
fn a_search_passes_more_than_the_storage_holds() {
    let mut buf = FrameBuf::new([0; 16]);
    let mut sent = [0xF5, 0x01, 0x01, 0x00, 0xF5, 0x3F].repeat(500);
    let garbage = sent.len() as u64;
    sent.extend(text(b"found"));
    let mut rest = &sent[..];
    let mut skipped = None;
    while !rest.is_empty() {
        feed(&mut buf, &mut rest);
        if buf.next_frame().is_err() {
            skipped = skipped.or(buf.resync().unwrap());
        }
    }
    assert_eq!(skipped, Some(garbage));
    assert_eq!(payloads(&mut buf), [b"found"]);
}

/// Whoever asks hears the same of a search, with the bytes that came since.
// spec: ERR-4, SYN-4
#[test]
fn a_refused_skip_tells_the_error_that_every_call_tells() {
    let mut buf = FrameBuf::new([0; 64]);
    buf.extend(b"?");
    buf.next_frame().unwrap_err();
    assert_eq!(buf.resync(), Ok(None));
    buf.extend(b"??");
    let error = DecodeError::Unsynchronized { at: 3, skipped: 3 };
    assert_eq!(buf.error(), Some(error));
    assert_eq!(buf.skip_frame(), Err(RecoverError::Failed(error)));
    // What may be a header's beginning counts, too, wherever it stands in the storage.
    buf.extend(b"\xf5");
    assert_eq!((buf.resync(), buf.unread()), (Ok(None), &b"\xf5"[..]));
    let error = DecodeError::Unsynchronized { at: 4, skipped: 4 };
    assert_eq!((buf.error(), buf.finish()), (Some(error), Err(error)));
    assert_eq!(buf.skip_frame(), Err(RecoverError::Failed(error)));
}

/// The framing of a buffer encodes what an equal buffer takes, and nothing that it does not.
#[test]
fn two_equal_buffers_understand_each_other() {
    fn check<F: Subject>(format: &F) {
        let mut one = FrameBuf::with_framing([0; 80], format.clone()).unwrap();
        let two = FrameBuf::with_framing([0; 80], format.clone()).unwrap();
        let limit = usize::try_from(two.framing().limit()).unwrap();
        let meta = format.pick_meta(1);
        let mut sent = Vec::new();
        two.framing().encode(&meta, &vec![5; limit], &mut sent).unwrap();
        assert!(two.framing().encode(&meta, &vec![5; limit + 1], &mut Vec::new()).is_err());
        one.extend(&sent);
        assert_eq!(payloads(&mut one), [vec![5; limit]]);
    }
    every_format!(formats::layouts(), check);
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
