//! What is allocated, and how much work is done, counted.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(clippy::panic, clippy::expect_used, clippy::cast_possible_truncation)]

use std::cell::Cell;
use std::rc::Rc;

use allocation_counter::measure;
use unstick::{
    DatagramPacker, Decoder, EncodeError, Encoder, Format, FrameBuf, Framing, HeaderError, Kind,
    Parsed, SelfChecking, V1, header,
};
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
            let most = 3 * arrived as u64 + 8 * 1024;
            assert!(counted.bytes_max <= most, "{counted:?} for {arrived}");
            assert_eq!(counted.bytes_current, 0);
        }
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
    assert_eq!(counted.bytes_max, 18);
}

/// Counts the questions to a format, and the bytes it was shown beyond a header.
#[derive(Clone, Debug, Default)]
struct Asked {
    times: Rc<Cell<usize>>,
}

impl Format for Asked {
    type Meta = Kind;
    type HeaderBuf = [u8; 8];

    fn max_payload_len(&self) -> u64 {
        V1.max_payload_len()
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Kind>, HeaderError> {
        self.times.set(self.times.get() + 1);
        V1.decode_header(bytes)
    }

    fn encode_header(
        &self,
        kind: &Kind,
        len: u64,
        out: &mut [u8; 8],
    ) -> Result<usize, EncodeError> {
        V1.encode_header(kind, len, out)
    }
}

impl SelfChecking for Asked {}

/// Streams that ask for the most work: nothing but empty frames, nothing but false beginnings.
fn hard_streams(len: usize) -> Vec<Vec<u8>> {
    let empty = header::encode(Kind::TEXT, 0);
    let false_start = [0xF5, 0x01, 0x01, 0xF5, 0x01, 0x01, 0xF5, 0x01];
    [&empty[..], &false_start, &[0xF5], &[0xF5, 0x01], b"garbage"]
        .iter()
        .map(|unit| unit.repeat(len / unit.len()))
        .collect()
}

/// The questions for a stream, all of it searched where it fails.
fn questions(stream: &[u8], read: usize, buffered: bool) -> usize {
    let format = Asked::default();
    let framing = Framing::new(format.clone());
    if buffered {
        let mut buf = FrameBuf::with_framing([0; 64], framing).unwrap();
        for mut chunk in stream.chunks(read) {
            while !chunk.is_empty() {
                let n = buf.extend(chunk);
                chunk = &chunk[n..];
                loop {
                    match buf.next_frame() {
                        Ok(None) => break,
                        Ok(Some(_)) => {}
                        Err(_) => match buf.resync().unwrap() {
                            Some(_) => {}
                            None => break,
                        },
                    }
                }
            }
        }
    } else {
        let mut decoder = Decoder::with_framing(framing);
        for mut chunk in stream.chunks(read) {
            loop {
                let before = decoder.position();
                if decoder.for_each(chunk, |_| {}).is_ok() {
                    break;
                }
                chunk = &chunk[(decoder.position() - before) as usize..];
                if decoder.resync(&mut chunk).unwrap().is_none() {
                    break;
                }
            }
        }
    }
    format.times.get()
}

/// Work is linear in the bytes: twice the stream, twice the questions; and few for each byte.
// spec: SEC-2
#[test]
fn work_is_linear_in_the_stream() {
    for buffered in [false, true] {
        for read in [1, 3, 64, 1 << 20] {
            let (short, long) = (hard_streams(4_000), hard_streams(16_000));
            for (short, long) in short.iter().zip(&long) {
                let few = questions(short, read, buffered);
                let many = questions(long, read, buffered);
                assert!(many <= 4 * few + 100, "{few} {many} {read} {buffered}");
                assert!(many <= 4 * long.len() + 100, "{many} for {} bytes", long.len());
            }
        }
    }
}

/// A caller may ask for a frame as often as it likes: the format is not, until more has arrived.
// spec: SEC-2
#[test]
fn without_new_bytes_a_read_buffer_asks_its_format_nothing() {
    let format = Asked::default();
    let mut buf = FrameBuf::with_framing([0; 64], Framing::new(format.clone())).unwrap();
    let mut sent = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"payload", &mut sent).unwrap();
    for byte in &sent[..sent.len() - 1] {
        assert_eq!((buf.extend(&[*byte]), buf.next_frame()), (1, Ok(None)));
        let asked = format.times.get();
        for _ in 0..3 {
            assert_eq!(buf.next_frame(), Ok(None));
        }
        assert_eq!(format.times.get(), asked);
    }
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
        let mut sender = FrameSocket::new(local());
        let mut receiver = FrameSocket::new(local());
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
    assert!((18..64).contains(&each), "{each} bytes for each frame");
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
