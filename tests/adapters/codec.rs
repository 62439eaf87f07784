//! The codecs in tokio-util's `Framed`, over scripted transports and real sockets.
//! (What they make of every stream and every cut, `testing/src/codec.rs` compares with the oracle
//! wherever the core is.)

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::task::Poll;

use allocation_counter::measure;
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, Framed, FramedRead, FramedWrite};
use unstick::codec::{BytesFrame, CodecError, FrameCodec, PayloadCodec};
use unstick::{
    ByteOrder, Covers, DecodeError, EncodeError, Framing, HeaderError, Kind, Layout, LengthField,
    RecoverError, U16Be, U32Be, V1, Varint,
};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, Part, every_format, stream};
use unstick_testing::script::{Drain, Line, Source, Step, poll_once, run};

/// The next item if one is there.
fn next<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    poll_once(pin!(stream.next()))
}

fn decode_error<T: Debug>(item: Poll<Option<Result<T, CodecError>>>) -> DecodeError {
    match item {
        Poll::Ready(Some(Err(CodecError::Decode(error)))) => error,
        other => panic!("{other:?}"),
    }
}

/// Real sockets, both ways at once, in every format: what is sent comes, in order and unchanged,
/// and the end is an end.
#[tokio::test]
async fn frames_go_over_a_socket_in_every_format() {
    async fn check<F: Subject + Send + Sync + 'static>(format: F, seed: u64)
    where
        F::Meta: Send,
    {
        let framing = Framing::new(format.clone()).with_limit(300_000);
        let lens = [0, 1, 5, 255, 300, 9_000, 70_000, 0, 300_000];
        let most = lens.into_iter().filter(|len| *len as u64 <= framing.limit());
        let frames: Vec<_> = (0..).zip(most).collect();
        let frame = |(i, len): (u64, usize)| {
            BytesFrame::new(format.pick_meta(seed + i), vec![i as u8; len])
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let echo = {
            let mut framed = Framed::new(server, FrameCodec::with_framing(framing.clone()));
            async move {
                while let Some(frame) = framed.next().await {
                    framed.send(frame.unwrap()).await.unwrap();
                }
                framed.close().await.unwrap();
            }
        };
        let (mut sink, mut stream) = Framed::new(client, FrameCodec::with_framing(framing)).split();
        let send = async {
            for item in frames.iter().copied() {
                sink.feed(frame(item)).await.unwrap();
            }
            sink.close().await.unwrap();
        };
        let receive = async {
            for item in frames.iter().copied() {
                assert_eq!(stream.next().await.unwrap().unwrap(), frame(item));
            }
            assert!(stream.next().await.is_none());
        };
        futures::join!(echo, send, receive);
    }
    check(V1, 1).await;
    check(U16Be, 2).await;
    check(U32Be, 3).await;
    check(Varint, 4).await;
    for (i, layout) in formats::some_layouts().into_iter().enumerate() {
        check(LengthField::new(layout).unwrap(), i as u64).await;
    }
}

/// Payloads alone, in what a `LengthDelimitedCodec` would write and read.
#[tokio::test]
async fn payloads_go_over_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut plain = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let mut framed = Framed::new(socket, PayloadCodec::new(U32Be));

    // Whatever lends bytes.
    framed.send(Bytes::from("bytes")).await.unwrap();
    framed.send(&b"slice"[..]).await.unwrap();
    framed.send(BytesMut::from("mut")).await.unwrap();
    framed.send("").await.unwrap();
    framed.send(vec![b'v']).await.unwrap();
    let mut wire = [0; 34];
    plain.read_exact(&mut wire).await.unwrap();
    assert_eq!(&wire, b"\0\0\0\x05bytes\0\0\0\x05slice\0\0\0\x03mut\0\0\0\0\0\0\0\x01v");

    plain.write_all(b"\0\0\0\x02hi\0\0\0\0\0\0").await.unwrap();
    assert_eq!(framed.next().await.unwrap().unwrap(), "hi");
    assert_eq!(framed.next().await.unwrap().unwrap(), "");
    plain.write_all(b"\0\x02hi").await.unwrap();
    assert_eq!(framed.next().await.unwrap().unwrap(), "hi");
    drop(plain);
    assert!(framed.next().await.is_none());
}

/// `Framed` yields an error, then `None`, and then asks again.
// spec: ERR-4
#[test]
fn an_error_comes_again_behind_the_none_that_follows_it() {
    let sent = b"\0\x02ok\0\x09too long!\0\x02ok";
    for read in [1, 3, 4, 6, 100] {
        let steps = (0..sent.len()).map(|_| Step::Move(read));
        let codec = FrameCodec::with_framing(Framing::new(U16Be).with_limit(4));
        let mut framed = FramedRead::new(Source::new(sent, steps), codec);
        assert!(matches!(next(&mut framed), Poll::Ready(Some(Ok(frame))) if frame.payload == "ok"));
        let oversize = DecodeError::Oversize { at: 4, len: 9, limit: 4 };
        let mut errors = 0;
        for _ in 0..8 {
            match next(&mut framed) {
                Poll::Ready(None) => {}
                item => {
                    assert_eq!(decode_error(item), oversize, "reads of {read}");
                    errors += 1;
                }
            }
        }
        assert!(errors >= 2, "{errors}");
        assert_eq!((framed.decoder().error(), framed.decoder().position()), (Some(oversize), 4));
        assert!(framed.read_buffer().starts_with(b"\0\x09"));
    }
}

/// An oversize frame is passed over where the caller says so, and nothing else is.
// spec: SKP-1, SKP-2
#[test]
fn an_oversize_frame_can_be_skipped() {
    let sent = b"\0\x02ok\0\x09too long!\0\x02OK";
    for read in [1, 3, 7, 100] {
        let steps = (0..sent.len()).map(|_| Step::Move(read));
        let codec = PayloadCodec::new(Framing::new(U16Be).with_limit(4));
        let mut framed = FramedRead::new(Source::new(sent, steps), codec);
        assert_eq!(framed.decoder_mut().skip_frame(), Err(RecoverError::NotFailed));
        assert!(matches!(next(&mut framed), Poll::Ready(Some(Ok(payload))) if payload == "ok"));
        decode_error(next(&mut framed));
        framed.decoder_mut().skip_frame().unwrap();
        assert!(matches!(next(&mut framed), Poll::Ready(None)));
        assert!(matches!(next(&mut framed), Poll::Ready(Some(Ok(payload))) if payload == "OK"));
        assert_eq!(framed.decoder().position(), 19);
        assert!(matches!(next(&mut framed), Poll::Ready(None)));
    }

    // A stream that ends in what is passed over has not ended well.
    let codec = PayloadCodec::new(Framing::new(U16Be).with_limit(4));
    let mut framed = FramedRead::new(Source::new(b"\0\x09too", []), codec);
    decode_error(next(&mut framed));
    framed.decoder_mut().skip_frame().unwrap();
    assert!(matches!(next(&mut framed), Poll::Ready(None)));
    let part = unstick::Part::Payload;
    let truncated = DecodeError::Truncated { at: 5, missing: 6, part };
    assert_eq!(decode_error(next(&mut framed)), truncated);
    let failed = Err(RecoverError::Failed(truncated));
    assert_eq!(framed.decoder_mut().skip_frame(), failed);
}

/// A serial line that loses bytes: `Framed` goes on with the next header.
// spec: SYN-1, SYN-3, SYN-5
#[test]
fn a_lossy_line_is_found_again() {
    let mut sent = Vec::new();
    for payload in ["one", "two", "three"] {
        Framing::new(V1).encode(Kind::TEXT, payload.as_bytes(), &mut sent).unwrap();
    }
    sent.drain(12..15); // of the second header
    for read in [1, 5, 100] {
        let steps = (0..sent.len()).map(|_| Step::Move(read));
        let mut framed = FramedRead::new(Source::new(&sent, steps), FrameCodec::new());
        let mut payloads = Vec::new();
        let mut failures = Vec::new();
        for _ in 0..50 {
            match next(&mut framed) {
                Poll::Ready(Some(Ok(frame))) => payloads.push(frame.payload),
                Poll::Ready(Some(Err(CodecError::Decode(error)))) => {
                    failures.push(error);
                    framed.decoder_mut().resync().unwrap();
                }
                Poll::Ready(None) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(payloads, ["one", "three"], "reads of {read}");
        assert!(matches!(failures[..], [DecodeError::Header { at: 11, .. }]), "{failures:?}");
        // What was left of the second frame: five bytes of header, three of payload.
        assert_eq!(framed.decoder().skipped(), 8);
        assert_eq!(framed.decoder_mut().resync(), Err(RecoverError::NotFailed));
    }
}

/// A search that comes to nothing says so at the end, and that it is one.
// spec: SYN-6
#[test]
fn a_search_ends_with_the_stream() {
    let mut codec = FrameCodec::new();
    let mut buf = BytesMut::from(&b"GET / HTTP/1.1\r\n\xf5\x01"[..]);
    codec.decode(&mut buf).unwrap_err();
    codec.resync().unwrap();
    assert!(matches!(codec.decode(&mut buf), Ok(None)));
    assert_eq!((&buf[..], codec.position()), (&b"\xf5\x01"[..], 16));
    assert_eq!((codec.error(), codec.skipped()), (None, 0));
    for _ in 0..2 {
        match codec.decode_eof(&mut buf) {
            Err(CodecError::Decode(error)) => {
                assert_eq!(error, DecodeError::Unsynchronized { at: 18, skipped: 18 });
            }
            other => panic!("{other:?}"),
        }
    }
}

/// An end that came too early is nothing to search behind; a search that it cut short is.
// spec: SYN-6
#[test]
fn a_search_goes_on_behind_an_end_and_starts_at_none() {
    let mut buf = BytesMut::from(&b"\xf5\x01"[..]);
    let mut codec = FrameCodec::new();
    codec.decode_eof(&mut buf).unwrap_err();
    assert!(matches!(codec.error(), Some(DecodeError::Truncated { .. })));
    assert_eq!(codec.resync(), Err(RecoverError::NotFailed));
    assert!(matches!(codec.error(), Some(DecodeError::Truncated { .. })));

    let mut buf = BytesMut::from(&b"?\xf5\x01"[..]);
    let mut codec = FrameCodec::new();
    codec.decode(&mut buf).unwrap_err();
    codec.resync().unwrap();
    codec.decode_eof(&mut buf).unwrap_err();
    assert_eq!(codec.error(), Some(DecodeError::Unsynchronized { at: 3, skipped: 3 }));
    codec.resync().unwrap();
    buf.extend_from_slice(b"\x01\0\0\0\x02\xf2hi");
    assert_eq!(codec.decode(&mut buf).unwrap().unwrap().payload, "hi");
    assert_eq!((codec.skipped(), codec.position()), (1, 11));
}

/// A transport that ends and goes on, as a file that is written to: behind a clean end it does, in
/// a frame that was called truncated it does not.
#[test]
fn an_end_between_two_frames_is_no_error() {
    let mut codec = PayloadCodec::new(U16Be);
    let mut buf = BytesMut::from(&b"\0\x01a\0\x01b"[..]);
    assert_eq!(codec.decode_eof(&mut buf).unwrap().unwrap(), "a");
    assert_eq!(codec.decode_eof(&mut buf).unwrap().unwrap(), "b");
    assert!(codec.decode_eof(&mut buf).unwrap().is_none());
    assert!(codec.decode_eof(&mut buf).unwrap().is_none());
    buf.extend_from_slice(b"\0\x01c\0");
    assert_eq!(codec.decode(&mut buf).unwrap().unwrap(), "c");
    codec.decode_eof(&mut buf).unwrap_err();
    buf.extend_from_slice(b"\x01d");
    let error = codec.decode(&mut buf).unwrap_err();
    let missing = 1;
    let part = unstick::Part::Header;
    assert!(
        matches!(error, CodecError::Decode(e) if e == DecodeError::Truncated { at: 10, missing, part })
    );

    codec.reset();
    buf.clear();
    buf.extend_from_slice(b"\0\x01e");
    assert_eq!(codec.decode(&mut buf).unwrap().unwrap(), "e");
    assert_eq!((codec.position(), codec.error()), (3, None));
}

/// Payloads lie where they were read to, all of them in one allocation.
#[test]
fn payloads_are_not_copied() {
    fn check<F: Subject>(format: &F) {
        let parts = [60, 0, 7, 60].map(|len| Part::Frame { meta: len, len, fill: 3 });
        let mut buf = BytesMut::from(&stream(format, &parts)[..]);
        let read = buf.as_ptr_range();
        let mut codec = FrameCodec::with_framing(format.clone());
        let mut frames = Vec::with_capacity(4);
        let counted = measure(|| {
            while let Some(frame) = codec.decode(&mut buf).unwrap() {
                frames.push(frame);
            }
        });
        assert_eq!(frames.iter().map(|frame| frame.payload.len()).sum::<usize>(), 127);
        for frame in frames.iter().filter(|frame| !frame.payload.is_empty()) {
            let place = frame.payload.as_ptr_range();
            assert!(read.start <= place.start && place.end <= read.end, "{format:?}");
        }
        // The count of those who share the buffer, and no byte of a payload.
        assert!(counted.count_total <= 1 && counted.bytes_total <= 64, "{counted:?}");
    }
    every_format!(formats::some_layouts(), check);
}

/// What the transport takes is what `encode` wrote: the header and the payload, once.
#[test]
fn a_frame_is_written_in_one_piece() {
    let mut framed = FramedWrite::new(Drain::default(), PayloadCodec::new(U16Be));
    run(framed.send("hello")).unwrap();
    assert_eq!(framed.get_ref().bytes, b"\0\x05hello");
    assert_eq!(framed.get_ref().writes.len(), 1);
}

/// A codec reads and writes under one limit, whatever the length covers.
// spec: LIM-1, LIM-5
#[test]
fn both_directions_have_one_limit() {
    for covers in [Covers::Payload, Covers::AfterField, Covers::Frame] {
        let order = ByteOrder::Little;
        let layout = Layout { header_len: 5, offset: 1, width: 1, order, covers };
        let format = LengthField::new(layout).unwrap();
        let meta = format.meta(b"abcde").unwrap();
        for limit in [0, 9, 300] {
            let framing = Framing::new(format).with_limit(limit);
            let mut codec = FrameCodec::with_framing(framing);
            assert_eq!(codec.framing(), Framing::new(&format).with_limit(limit));
            let most = framing.limit() as usize;
            let mut wire = BytesMut::from("before");
            codec.encode(BytesFrame::new(meta, vec![1; most]), &mut wire).unwrap();
            let written = wire.clone();
            let longer = BytesFrame::new(meta, vec![1; most + 1]);
            match codec.encode(longer, &mut wire) {
                Err(CodecError::Encode(error)) => {
                    let (len, limit) = (most as u64 + 1, most as u64);
                    assert_eq!(error, EncodeError::Oversize { len, limit });
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(wire, written, "something of a refused frame was written");
            let mut wire = wire.split_off(6);
            let frame = codec.decode(&mut wire).unwrap().unwrap();
            assert_eq!((frame.meta, frame.payload.len()), (meta, most));
        }
    }
}

#[test]
fn a_meta_that_cannot_be_written_makes_no_codec() {
    let layout = |header_len, offset| Layout {
        header_len,
        offset,
        width: 2,
        order: ByteOrder::Big,
        covers: Covers::Payload,
    };
    let format = LengthField::new(layout(4, 2)).unwrap();
    let another = LengthField::new(layout(4, 0)).unwrap();
    let meta = another.meta(b"\0\0xy").unwrap();
    assert_eq!(PayloadCodec::with_meta(format, meta).unwrap_err(), EncodeError::Meta);

    // What is read may say anything else.
    let mut codec = PayloadCodec::with_meta(format, format.meta(b"ab\0\0").unwrap()).unwrap();
    let mut wire = BytesMut::new();
    codec.encode("hi", &mut wire).unwrap();
    assert_eq!(wire, "ab\0\x02hi");
    let mut wire = BytesMut::from(&b"xy\0\x02hi"[..]);
    assert_eq!(codec.decode(&mut wire).unwrap().unwrap(), "hi");
}

/// In a program whose functions return `io::Result`.
#[test]
fn an_error_becomes_one_of_io() {
    fn read(bytes: &[u8]) -> io::Result<BytesMut> {
        let mut framed = FramedRead::new(
            Source::new(bytes, []),
            PayloadCodec::new(Framing::new(U16Be).with_limit(4)),
        );
        let payload = run(framed.next()).ok_or(ErrorKind::NotConnected)??;
        Ok(payload)
    }
    fn write(payload: &str, steps: &[Step]) -> io::Result<()> {
        let codec = PayloadCodec::new(Framing::new(U16Be).with_limit(4));
        let mut framed = FramedWrite::new(Drain::new(steps.iter().copied()), codec);
        run(framed.send(payload))?;
        Ok(())
    }
    assert_eq!(read(b"\0\x02hi").unwrap(), "hi");
    assert_eq!(read(b"").unwrap_err().kind(), ErrorKind::NotConnected);
    let truncated = read(b"\0\x02h").unwrap_err();
    assert_eq!(truncated.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(
        truncated.to_string(),
        "byte 3: the stream ended inside a payload, 1 byte is missing; was the connection cut?"
    );
    let inside = truncated.get_ref().unwrap().downcast_ref();
    let part = unstick::Part::Payload;
    assert_eq!(inside, Some(&DecodeError::Truncated { at: 3, missing: 1, part }));
    assert_eq!(read(b"\0\x05hello").unwrap_err().kind(), ErrorKind::InvalidData);
    write("hi", &[]).unwrap();
    assert_eq!(write("hello", &[]).unwrap_err().kind(), ErrorKind::InvalidInput);
    let reset = [Step::Fail(ErrorKind::ConnectionReset)];
    assert_eq!(write("hi", &reset).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn errors_say_what_they_are() {
    let header = DecodeError::Header { at: 7, error: HeaderError::InvalidKind };
    let error = CodecError::from(header);
    assert_eq!((error.code(), error.to_string()), (Some(3), header.to_string()));
    assert!(std::error::Error::source(&error).is_none(), "its text would be printed twice");
    let encode = EncodeError::Oversize { len: 9, limit: 4 };
    let error = CodecError::from(encode);
    assert_eq!((error.code(), error.to_string()), (None, encode.to_string()));
    let error = CodecError::from(io::Error::other("cable"));
    assert_eq!((error.code(), error.to_string()), (None, "cable".to_owned()));

    let frame = BytesFrame::new(Kind::TEXT, vec![b'x'; 100]);
    let shown = format!("{frame:?}");
    assert!(shown.starts_with("BytesFrame { meta: Kind(text), payload: b\"xx"), "{shown}");
    assert!(shown.ends_with("x\"... (100 bytes) }"), "{shown}");
}

/// A transport that waits, fails for a moment and goes on: nothing is lost, in either direction.
#[test]
fn a_transport_that_waits_and_fails_loses_nothing() {
    let steps = [
        Step::Pending,
        Step::Move(1),
        Step::Fail(ErrorKind::WouldBlock),
        Step::Move(3),
        Step::Pending,
        Step::Move(2),
    ];
    let line = Line::new(Source::new(b"\0\x05hello\0\x01!", steps), Drain::new(steps));
    let mut framed = Framed::new(line, PayloadCodec::new(U16Be));
    let mut read = Vec::new();
    for _ in 0..20 {
        match next(&mut framed) {
            Poll::Ready(Some(Ok(payload))) => read.push(payload),
            Poll::Ready(Some(Err(CodecError::Io(error)))) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
            Poll::Ready(Some(Err(error))) => panic!("{error}"),
            Poll::Ready(None) | Poll::Pending => {}
        }
    }
    assert_eq!(read, ["hello", "!"]);

    run(framed.feed("hello")).unwrap();
    let flushed = |framed: &mut Framed<_, _>| run(SinkExt::<&str>::flush(framed));
    assert!(flushed(&mut framed).is_err());
    flushed(&mut framed).unwrap();
    run(SinkExt::<&str>::close(&mut framed)).unwrap();
    assert_eq!(framed.get_ref().drain.bytes, b"\0\x05hello");
    assert!(framed.get_ref().drain.is_shut);
}

/// A codec of payloads goes on behind lost bytes, too.
// spec: SYN-1, SYN-4
#[test]
fn a_payload_codec_searches_for_the_next_header() {
    let mut codec = PayloadCodec::with_meta(V1, Kind::TEXT).unwrap();
    let mut buf = BytesMut::from(&b"??"[..]);
    codec.encode("found", &mut buf).unwrap();
    assert_eq!(codec.resync(), Err(RecoverError::NotFailed));
    let error = HeaderError::BadMagic { found: b'?' };
    let error = DecodeError::Header { at: 0, error };
    assert!(matches!(codec.decode(&mut buf), Err(CodecError::Decode(found)) if found == error));
    codec.resync().unwrap();
    assert_eq!(codec.decode(&mut buf).unwrap().unwrap(), "found");
    assert_eq!(codec.skipped(), 2);
}

/// A codec is shown as where it stands, and the default one has the default limit.
#[test]
fn a_default_codec_says_where_it_stands() {
    let shown = format!("{:?}", FrameCodec::<V1>::default());
    assert_eq!(shown, format!("{:?}", FrameCodec::new()));
    assert!(shown.starts_with("FrameCodec(CodecState {"), "{shown}");
    assert!(shown.contains("position: 0, error: None"), "{shown}");
    let shown = format!("{:?}", PayloadCodec::<U16Be>::default());
    assert_eq!(shown, format!("{:?}", PayloadCodec::new(U16Be)));
    assert!(shown.contains("position: 0, error: None") && shown.contains("meta: ()"), "{shown}");
}

/// The text holds the cause's, so that a report of the whole chain does not print it twice.
#[test]
fn an_error_of_the_transport_is_its_own_text() {
    use std::error::Error;
    let error = CodecError::from(io::Error::other("gone"));
    assert_eq!(error.to_string(), "gone");
    assert!(error.source().is_none());
}

/// A layer like tokio-serde's `Framed` asks for one error in both directions, an `io::Error`.
#[tokio::test]
async fn a_layer_that_asks_for_io_errors_gets_them() {
    trait Layer<In, Out>: Stream<Item = io::Result<In>> + Sink<Out, Error = io::Error> + Unpin {}
    impl<T, In, Out> Layer<In, Out> for T where
        T: Stream<Item = io::Result<In>> + Sink<Out, Error = io::Error> + Unpin
    {
    }
    async fn refused<In, Out>(layer: &mut impl Layer<In, Out>, item: Out) -> [io::Error; 2] {
        [layer.next().await.unwrap().err().unwrap(), layer.send(item).await.unwrap_err()]
    }
    fn check([read, sent]: &[io::Error; 2]) {
        let oversize = DecodeError::Oversize { at: 0, len: 9, limit: 4 };
        assert_eq!(read.kind(), ErrorKind::InvalidData);
        assert_eq!(read.get_ref().unwrap().downcast_ref(), Some(&oversize));
        let oversize = EncodeError::Oversize { len: 5, limit: 4 };
        assert_eq!(sent.kind(), ErrorKind::InvalidInput);
        assert_eq!(sent.get_ref().unwrap().downcast_ref(), Some(&oversize));
    }

    let framing = Framing::new(U16Be).with_limit(4);
    let (stream, mut peer) = tokio::io::duplex(64);
    let mut payloads = Framed::new(stream, PayloadCodec::new(framing).io_errors());
    peer.write_all(b"\0\x09too long!").await.unwrap();
    check(&refused(&mut payloads, Bytes::from("hello")).await);
    payloads.codec_mut().skip_frame().unwrap();
    assert!(payloads.next().await.is_none());
    peer.write_all(b"\0\x02OK\0\x02").await.unwrap();
    assert_eq!(payloads.next().await.unwrap().unwrap(), "OK");
    assert_eq!(payloads.codec().position(), 15);
    drop(peer);
    let cut = payloads.next().await.unwrap().unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);

    let (stream, mut peer) = tokio::io::duplex(64);
    let mut frames = Framed::new(stream, FrameCodec::with_framing(framing).io_errors());
    peer.write_all(b"\0\x09too long!").await.unwrap();
    check(&refused(&mut frames, BytesFrame::new((), "hello")).await);
    assert_eq!(frames.codec().clone().into_inner().position(), 0);

    // The transport's error is unchanged.
    let source = Source::new(b"", [Step::Fail(ErrorKind::ConnectionReset)]);
    let mut reset = FramedRead::new(source, PayloadCodec::new(framing).io_errors());
    assert_eq!(reset.next().await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// `LengthDelimited` is what `LengthDelimitedCodec::new` is: the format, the limit and the error.
#[test]
fn length_delimited_is_the_codec_that_it_replaces() {
    use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};
    let (mut ours, mut theirs) =
        (unstick::codec::LengthDelimited::new(), LengthDelimitedCodec::new());
    assert_eq!(unstick::codec::LengthDelimited::default().limit(), ours.limit());
    assert_eq!(ours.limit(), theirs.max_frame_length() as u64);
    for len in [0, 5, 8 << 20, (8 << 20) + 1] {
        let (mut one, mut two) = (BytesMut::new(), BytesMut::new());
        let written: std::io::Result<()> = ours.encode(vec![7; len], &mut one);
        let same = theirs.encode(tokio_util::bytes::Bytes::from(vec![7; len]), &mut two);
        assert_eq!((written.is_ok(), &one), (same.is_ok(), &two), "{len}");
        if written.is_ok() {
            assert_eq!(ours.decode(&mut one).unwrap(), theirs.decode(&mut two).unwrap());
        }
    }
    let _framed = ours.framed(::tokio::io::duplex(1).0);
}
