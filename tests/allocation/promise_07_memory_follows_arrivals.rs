//! Promise 7: memory follows arrivals, and never what a peer announces. Requirement: LIM-7.
//!
//! In this binary because it counts allocations; `tests/framing/frame_buf.rs` has the sizes of a
//! growing buffer.

use allocation_counter::measure;
use unstick::{DatagramPacker, Decoder, Encoder, FrameBuf, Framing, Kind, V1, header};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, Part, every_format, stream};

#[test]
fn the_count_counts() {
    let counted = measure(|| {
        drop(vec![0_u8; 500]);
        std::hint::black_box(vec![0_u8; 300]);
    });
    assert_eq!((counted.count_total, counted.bytes_max), (2, 500));
}

/// Decoding, encoding, datagrams and fixed buffers allocate nothing at all, errors included.
// spec: LIM-7
#[test]
fn only_what_grows_allocates() {
    fn check<F: Subject>(format: &F) {
        let parts = [3, 0, 60].map(|len| Part::Frame { meta: len, len, fill: 2 });
        let mut sent = stream(format, &parts);
        let whole = sent.len();
        sent.extend(&sent.clone()[1..]);
        let framing = Framing::new(format.clone()).with_limit(50);
        let (meta, mut out) = (format.pick_meta(1), [0; 200]);
        let counted = measure(|| {
            let mut decoder = Decoder::with_framing(framing.clone());
            for chunk in sent.chunks(7) {
                if decoder.for_each(chunk, |_| {}).is_err() {
                    let _ = decoder.skip_frame();
                }
            }
            let _ = decoder.finish();
            let mut buf = FrameBuf::with_framing([0; 100], framing.clone()).unwrap();
            for chunk in sent.chunks(7) {
                buf.extend(chunk);
                while let Ok(Some(_)) = buf.next_frame() {}
                let _ = buf.skip_frame();
            }
            let _ = (buf.finish(), framing.datagram(&sent[..whole]).map(Iterator::count));
            framing.encode_into(&meta, b"abc", &mut out).unwrap();
            let mut encoder = Encoder::new(framing.clone());
            encoder.begin(&meta, 0).unwrap();
            let _ = DatagramPacker::new(framing.clone(), &mut out).push(&meta, b"abc");
        });
        assert_eq!(counted.count_total, 0, "{format:?}");
    }
    every_format!(formats::layouts(), check);
}

/// A header that announces a gibibyte costs a header.
// spec: LIM-7
#[test]
fn a_peer_that_only_sends_headers_costs_headers() {
    let limit = 1 << 30;
    let bytes = header::encode(Kind::BINARY, limit);
    let framing = Framing::new(V1).with_limit(limit.into());

    let counted = measure(|| {
        let mut decoder = Decoder::with_framing(framing);
        decoder.for_each(&bytes, |_| {}).unwrap();
        assert!(size_of_val(&decoder) <= 32);
    });
    assert_eq!(counted.count_total, 0);

    let counted = measure(|| {
        let mut buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
        for byte in bytes {
            buf.extend(&[byte]);
            assert_eq!(buf.next_frame(), Ok(None));
        }
        for _ in 0..100 {
            buf.spare();
        }
    });
    assert!(counted.bytes_max <= 8 * 1024, "{counted:?}");
}

/// At every moment the buffer holds a bounded multiple of what has arrived. Growing holds the old
/// and the new room at once, for a moment.
// spec: LIM-7
#[test]
fn memory_follows_arrivals() {
    let limit = 4 << 20;
    let framing = Framing::new(V1).with_limit(limit);
    let header = framing.encode_header(Kind::BINARY, limit).unwrap();
    for read in [1_000, 60_000] {
        let chunk = vec![0; read];
        for reads in [0, 1, 2, 3, 5, 8, 9, 17, 33, 70, 150, 1_000, 4_200] {
            let mut arrived = 0;
            let counted = measure(|| {
                let mut buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
                arrived += buf.extend(header.as_bytes());
                for _ in 0..reads {
                    while buf.next_frame().unwrap().is_some() {}
                    arrived += buf.extend(&chunk);
                    if arrived > 4 << 20 {
                        break;
                    }
                }
            });
            let most = 4 * arrived as u64 + 8 * 1024;
            assert!(counted.bytes_max <= most, "{counted:?} for {arrived}");
            assert_eq!(counted.bytes_current, 0);
        }
    }
}

/// Gives one chunk, and then nothing more for a long time.
#[cfg(feature = "tokio")]
struct OneChunk<'a>(&'a [u8]);

#[cfg(feature = "tokio")]
impl tokio::io::AsyncRead for OneChunk<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if self.0.is_empty() {
            return std::task::Poll::Pending;
        }
        let (now, later) = self.0.split_at(self.0.len().min(buf.remaining()));
        buf.put_slice(now);
        self.0 = later;
        std::task::Poll::Ready(Ok(()))
    }
}

/// 10,000 peers that announce the limit and send one chunk each cost three times what they have sent, and
/// the readers' own values.
// spec: LIM-7
#[test]
#[cfg(feature = "tokio")]
fn ten_thousand_peers_that_announce_much_cost_what_they_send() {
    use futures::FutureExt;
    use unstick::tokio::FrameReader;

    let (peers, limit) = (10_000, 64 << 20);
    let framing = Framing::new(V1).with_limit(limit);
    let mut wire = framing.encode_header(Kind::BINARY, limit).unwrap().as_bytes().to_vec();
    for chunk in [100, 1_460, 9_000, 24_000, 100_000] {
        wire.resize(chunk, 1);
        // The last ones are so many bytes that a hundred peers show it.
        let peers = if chunk > 10_000 { peers / 100 } else { peers };
        let mut readers = Vec::with_capacity(peers);
        let counted = measure(|| {
            for _ in 0..peers {
                let mut reader = FrameReader::with_framing(OneChunk(&wire), framing);
                assert!(reader.next_frame().now_or_never().is_none());
                readers.push(reader);
            }
        });
        // The storage that the readers share is among what was allocated.
        let most = (3 * peers * chunk) as u64 + 128 * 1024;
        assert!(counted.bytes_max <= most, "{counted:?}, at most {most}, of {chunk} bytes each");
    }
}

/// A frame that a caller keeps keeps its own bytes, and no buffer.
#[test]
fn an_owned_frame_is_as_large_as_it_is() {
    let framing = Framing::new(V1);
    let mut storage = vec![0; 65_536];
    let len = framing.encode_into(Kind::TEXT, b"0123456789", &mut storage).unwrap();
    let frame = framing.split_frame(&mut &storage[..len + 100]).unwrap().unwrap();
    let mut owned = None;
    let counted = measure(|| owned = Some(frame.to_owned()));
    drop(storage);
    assert_eq!(owned.unwrap().payload(), b"0123456789");
    // The payload; the header is in the value.
    assert_eq!(counted.bytes_max, 10);
}

/// What is kept of a datagram is as long as the frame, and not a receive buffer.
#[test]
#[cfg(feature = "std")]
fn a_kept_frame_of_a_datagram_keeps_no_receive_buffer() {
    use std::net::UdpSocket;
    use unstick::io::{FrameSocket, Received};

    let local = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let receive = |payloads: usize| {
        let mut kept = Vec::with_capacity(payloads);
        let mut sender = FrameSocket::new(local()).sender;
        let mut receiver = FrameSocket::new(local()).receiver;
        let addr = receiver.get_ref().local_addr().unwrap();
        let counted = measure(|| {
            while kept.len() < payloads {
                sender.send_to(addr, Kind::TEXT, b"ten bytes!").unwrap();
                match receiver.recv_owned().unwrap() {
                    Received::Datagram { mut frames, .. } => kept.append(&mut frames),
                    other => panic!("{other:?}"),
                }
            }
        });
        assert!(kept.iter().all(|frame| frame.payload() == b"ten bytes!"));
        counted.bytes_current
    };
    // The sockets' own buffers are in both.
    let each = (receive(101) - receive(1)) / 100;
    assert!((10..64).contains(&each), "{each} bytes for each frame");
}

/// In tokio-util's `Framed` the buffer is not the codec's own: it asks for no room that a header
/// announced.
// spec: LIM-7
#[test]
#[cfg(feature = "tokio-util")]
fn a_codec_lets_the_buffer_follow_what_arrives() {
    use tokio_util::bytes::BytesMut;
    use tokio_util::codec::Decoder;
    use unstick::codec::FrameCodec;

    let limit = 4 << 20;
    let framing = Framing::new(V1).with_limit(limit);
    let header = framing.encode_header(Kind::BINARY, limit).unwrap();

    // A header, byte by byte: no room but its own.
    let mut buf = BytesMut::new();
    let mut codec = FrameCodec::with_framing(framing);
    for byte in header.as_bytes() {
        buf.extend_from_slice(&[*byte]);
        let counted = measure(|| assert!(codec.decode(&mut buf).unwrap().is_none()));
        assert!(counted.bytes_total <= 16, "{counted:?}");
    }

    // A payload that comes in pieces: a small multiple of what has come. The reads are those of
    // `Framed`, into what room there is.
    let mut rest = &vec![0; 4 << 20][..];
    let mut codec = FrameCodec::with_framing(framing);
    let mut arrived = header.as_bytes().len();
    let mut frame = None;
    let counted = measure(|| {
        let mut buf = BytesMut::with_capacity(8 * 1024);
        buf.extend_from_slice(header.as_bytes());
        while frame.is_none() {
            frame = codec.decode(&mut buf).unwrap();
            assert!(buf.capacity() <= 2 * arrived + 8 * 1024, "{} for {arrived}", buf.capacity());
            buf.reserve(1);
            let read = rest.len().min(buf.capacity() - buf.len()).min(10_000);
            buf.extend_from_slice(&rest[..read]);
            (rest, arrived) = (&rest[read..], arrived + read);
        }
    });
    assert_eq!(frame.unwrap().payload.len(), 4 << 20);
    assert!(counted.bytes_max <= 3 * (4 << 20) + 8 * 1024, "{counted:?}");
}

/// After a large frame the buffer goes back, unless the caller asked for one that large.
#[test]
#[cfg(feature = "tokio-util")]
fn a_codecs_buffer_shrinks_again() {
    use tokio_util::bytes::BytesMut;
    use tokio_util::codec::Decoder;
    use unstick::U32Be;
    use unstick::codec::PayloadCodec;

    let large = [&(500_000_u32).to_be_bytes()[..], &vec![1; 500_000]].concat();
    // A frame, and the beginning of another one.
    let small = b"\0\0\0\x05small\0\0";
    for (capacity, keeps) in [(8 * 1024, false), (1 << 20, true)] {
        let mut codec = PayloadCodec::new(U32Be);
        let mut buf = BytesMut::with_capacity(capacity);
        let mut read = |buf: &mut BytesMut, bytes: &[u8]| {
            buf.reserve(1);
            buf.extend_from_slice(bytes);
            let mut count = 0;
            while codec.decode(buf).unwrap().is_some() {
                count += 1;
            }
            count
        };
        let frames: usize = large.chunks(5_000).map(|chunk| read(&mut buf, chunk)).sum();
        assert_eq!(frames, 1);
        assert_eq!(read(&mut buf, small), 1);
        for _ in 0..20 {
            assert_eq!(read(&mut buf, &small[..9][2..]), 1);
            assert_eq!(read(&mut buf, b"\0\0"), 0);
        }
        assert_eq!(&buf[..], b"\0\0");
        buf.clear();
        // What is there, with what was split off and is free again.
        let _ = buf.try_reclaim(100_000);
        assert_eq!(buf.capacity() >= 100_000, keeps, "{}", buf.capacity());
    }
}

/// What a program keeps of a stream, in bytes, and what was allocated for it.
#[cfg(feature = "tokio-util")]
fn keep_payloads(lens: &[usize], reserve: usize) -> (u64, allocation_counter::AllocationInfo) {
    use futures::{FutureExt, StreamExt};
    use tokio_util::codec::FramedRead;
    use unstick::U32Be;
    use unstick::codec::PayloadCodec;

    let framing = Framing::new(U32Be).with_limit(8 << 20);
    let mut wire = Vec::new();
    for len in lens {
        framing.encode((), vec![7; *len], &mut wire).unwrap();
    }
    let mut kept = Vec::with_capacity(lens.len());
    let counted = measure(|| {
        let mut codec = PayloadCodec::new(framing);
        codec.reserve_announced(reserve);
        let mut frames = FramedRead::new(&wire[..], codec);
        while let Some(payload) = frames.next().now_or_never().unwrap() {
            kept.push(payload.unwrap());
        }
    });
    assert_eq!(kept.iter().map(tokio_util::bytes::BytesMut::len).collect::<Vec<_>>(), lens);
    (lens.iter().map(|len| *len as u64).sum(), counted)
}

/// Kept payloads keep little more than themselves, and little more was allocated for them.
#[test]
#[cfg(feature = "tokio-util")]
fn a_codecs_payloads_allocate_what_they_hold() {
    let check = |lens: &[usize], reserve, most: f64| {
        let (kept, counted) = keep_payloads(lens, reserve);
        let of_kept = |bytes: u64| bytes as f64 / kept as f64;
        let [total, held] =
            [counted.bytes_total, counted.bytes_current.unsigned_abs()].map(of_kept);
        let case = format!("{} of {}, reserve {reserve}: {counted:?}", lens.len(), lens[0]);
        assert!(total <= most, "{total} allocated, {case}");
        assert!(held <= 1.1, "{held} held, {case}");
    };
    // Of different lengths, in an order that repeats nothing: a frame that is longer than the one
    // before it is moved once, without a reserve more often.
    let mixed: Vec<_> = (0..400).map(|i| 200_000 - i * 499 + i * i % 97 * 500).collect();
    for (reserve, of_mixed) in [(8 << 20, 1.4), (0, 2.0)] {
        for (len, count) in [(100, 20_000), (1000, 5_000), (4096, 2_000)] {
            check(&vec![len; count], reserve, 1.1);
        }
        for (len, count) in [(10_000, 1_000), (65_536, 200), (1 << 20, 60)] {
            check(&vec![len; count], reserve, 1.1);
        }
        check(&mixed, reserve, of_mixed);
    }
}

/// A header costs what was reserved for it, if the program has asked for that, and no more.
// spec: LIM-7
#[test]
fn what_is_announced_costs_at_most_the_reserve() {
    let limit = 4 << 20;
    let framing = Framing::new(V1).with_limit(limit);
    let header = framing.encode_header(Kind::BINARY, limit).unwrap();
    let whole = header.as_bytes().len() as u64 + limit;
    for (reserve, costs) in [(0, 8 * 1024), (1 << 20, 1 << 20), (8 << 20, whole)] {
        let counted = measure(|| {
            let mut buf = FrameBuf::growing(framing);
            buf.reserve_announced(reserve);
            for byte in header.as_bytes() {
                assert_eq!(buf.next_frame(), Ok(None));
                buf.extend(&[*byte]);
            }
            assert_eq!(buf.next_frame(), Ok(None));
            assert!(!buf.spare().is_empty());
            assert_eq!(buf.capacity() as u64, costs);
        });
        assert!(counted.bytes_max <= costs + 8 * 1024, "{counted:?} for {reserve}");
    }
    // A frame over the limit costs nothing.
    let counted = measure(|| {
        let mut buf = FrameBuf::growing(framing.with_limit(limit - 1));
        buf.reserve_announced(8 << 20);
        buf.extend(header.as_bytes());
        assert!(buf.next_frame().is_err());
        buf.spare();
    });
    assert!(counted.bytes_max <= 8 * 1024, "{counted:?}");
}

/// A large frame is read into the memory that was reserved for it, and is not moved again.
#[test]
fn a_reserved_buffer_grows_once() {
    let payload = vec![7; 3 << 20];
    let framing = Framing::new(V1).with_limit(4 << 20);
    let mut wire = Vec::new();
    framing.encode(Kind::BINARY, &payload, &mut wire).unwrap();
    for (reserve, growths) in [(0, 7), (4 << 20, 2)] {
        let counted = measure(|| {
            let mut buf = FrameBuf::growing(framing);
            buf.reserve_announced(reserve);
            let mut rest = &wire[..];
            while !rest.is_empty() {
                assert_eq!(buf.next_frame(), Ok(None));
                rest = &rest[buf.extend(rest)..];
            }
            assert_eq!(buf.next_frame().unwrap().unwrap().payload.len(), payload.len());
        });
        assert_eq!(counted.count_total, growths, "{counted:?}");
    }
}

/// The same of a codec.
// spec: LIM-7
#[test]
#[cfg(feature = "tokio-util")]
fn a_codec_reserves_what_it_is_told_to() {
    use tokio_util::bytes::BytesMut;
    use tokio_util::codec::Decoder;
    use unstick::codec::FrameCodec;

    let limit = 4 << 20;
    let framing = Framing::new(V1).with_limit(limit);
    let header = framing.encode_header(Kind::BINARY, limit).unwrap();
    let whole = header.as_bytes().len() + limit as usize;
    for (reserve, costs) in [(1 << 20, 1 << 20), (8 << 20, whole)] {
        let mut codec = FrameCodec::with_framing(framing);
        codec.reserve_announced(reserve);
        let mut buf = BytesMut::with_capacity(8 * 1024);
        buf.extend_from_slice(header.as_bytes());
        assert!(codec.decode(&mut buf).unwrap().is_none());
        assert_eq!(buf.capacity(), costs);
        buf.resize(costs, 0);
        let frame = codec.decode(&mut buf).unwrap();
        assert_eq!(frame.is_some(), costs == whole);
        // The rest of a longer frame follows what arrives.
        assert!(buf.capacity() <= 2 * costs + 8 * 1024, "{}", buf.capacity());
    }
}
