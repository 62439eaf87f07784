//! The codecs with a limit that changes, after errors that the caller continues after, and with frames
//! whose payload lies in pieces.

use std::io;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, Framed, FramedRead};
use unstick::codec::{BytesFrame, CodecError, FrameCodec, PayloadCodec, WholeFrameCodec};
use unstick::{DecodeError, EncodeError, Framing, Kind, Part, RecoverError, U16Be, V1};

fn payloads(limit: u64) -> PayloadCodec<U16Be> {
    PayloadCodec::new(Framing::new(U16Be).with_limit(limit))
}

fn decode_error<T: std::fmt::Debug>(result: Result<T, CodecError>) -> DecodeError {
    match result {
        Err(CodecError::Decode(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A payload that was refused is none of the frames that follow, whatever its bytes look like and
/// whenever the limit changes.
// spec: SKP-1, LIM-1
#[test]
fn a_new_limit_forgets_no_skip() {
    let sent = b"\0\x14..........\0\x06FORGED..\0\x02ok";
    for cut in 2..sent.len() {
        let mut codec = payloads(10);
        let mut buf = BytesMut::from(&sent[..2]);
        decode_error(codec.decode(&mut buf));
        codec.set_limit(30);
        let oversize = DecodeError::Oversize { at: 0, len: 20, limit: 10 };
        assert_eq!(decode_error(codec.decode(&mut buf)), oversize, "the error was forgotten");
        codec.skip_frame().unwrap();
        buf.extend_from_slice(&sent[2..cut]);
        let early = codec.decode(&mut buf).unwrap();
        codec.set_limit(12);
        buf.extend_from_slice(&sent[cut..]);
        let late = codec.decode(&mut buf).unwrap();
        assert_eq!(early.or(late).unwrap(), "ok", "cut at {cut}");
        assert_eq!(codec.position(), sent.len() as u64);
    }
}

/// A frame that has begun keeps its limit, the next one has the new one.
// spec: LIM-1
#[test]
fn a_frame_that_has_begun_keeps_its_limit() {
    let sent = b"\0\x05hello\0\x05world";
    for cut in 2..7 {
        let mut codec = FrameCodec::with_framing(Framing::new(U16Be).with_limit(100));
        let mut buf = BytesMut::from(&sent[..cut]);
        assert!(codec.decode(&mut buf).unwrap().is_none());
        codec.set_limit(4);
        assert_eq!((codec.framing().limit(), codec.framing().send_limit()), (4, 4));
        buf.extend_from_slice(&sent[cut..]);
        assert_eq!(codec.decode(&mut buf).unwrap().unwrap().payload, "hello");
        let oversize = DecodeError::Oversize { at: 7, len: 5, limit: 4 };
        assert_eq!(decode_error(codec.decode(&mut buf)), oversize);
    }
    // A header that is not complete is checked under the new limit.
    let mut codec = payloads(100);
    let mut buf = BytesMut::from(&sent[..1]);
    assert!(codec.decode(&mut buf).unwrap().is_none());
    codec.set_limit(4);
    buf.extend_from_slice(&sent[1..]);
    decode_error(codec.decode(&mut buf));
}

// spec: LIM-5
#[test]
fn a_codec_has_a_limit_for_each_direction() {
    let mut codec = PayloadCodec::new(Framing::new(U16Be).with_limits(3, 5));
    let mut buf = BytesMut::new();
    let check = |codec: &mut PayloadCodec<U16Be>, buf: &mut BytesMut, receive: u64, send: u64| {
        let limits = (codec.framing().limit(), codec.framing().send_limit());
        assert_eq!(limits, (receive, send));
        codec.encode(vec![0; send as usize], buf).unwrap();
        match codec.encode(vec![0; send as usize + 1], buf) {
            Err(CodecError::Encode(error)) => {
                assert_eq!(error, EncodeError::Oversize { len: send + 1, limit: send });
            }
            other => panic!("{other:?}"),
        }
        buf.clear();
    };
    check(&mut codec, &mut buf, 3, 5);
    codec.set_limits(4, 2);
    check(&mut codec, &mut buf, 4, 2);
    codec.set_limit(6);
    check(&mut codec, &mut buf, 6, 6);
    buf.extend_from_slice(b"\0\x07");
    let oversize = DecodeError::Oversize { at: 0, len: 7, limit: 6 };
    assert_eq!(decode_error(codec.decode(&mut buf)), oversize);
}

/// Writes an oversize frame and a good one, and waits for the answer to the good one.
async fn peer(mut stream: DuplexStream) {
    stream.write_all(b"\0\x14....................\0\x02ok").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\0\x02ok");
}

async fn in_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), call).await.expect("both sides wait for ever")
}

/// With errors as items, the frame after a skipped one is delivered although no byte follows it.
// spec: SKP-1
#[tokio::test]
async fn a_frame_after_a_skipped_one_is_delivered_at_once() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let serve = async {
        let mut framed = Framed::new(ours, payloads(8).error_items());
        let mut skipped = 0;
        while let Some(item) = framed.next().await {
            match item.unwrap() {
                Ok(payload) => framed.send(payload).await.unwrap(),
                Err(error) => {
                    assert_eq!(error, DecodeError::Oversize { at: 0, len: 20, limit: 8 });
                    framed.codec_mut().skip_frame().unwrap();
                    skipped += 1;
                }
            }
        }
        assert_eq!(skipped, 1);
    };
    in_time(async { futures::join!(serve, peer(theirs)) }).await;
}

/// So it is by `map_codec`, after an error that ended the stream for `Framed`.
#[tokio::test]
async fn map_codec_lets_framed_decode_again_at_once() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let serve = async {
        let mut framed = Framed::new(ours, payloads(8));
        decode_error(framed.next().await.unwrap());
        framed = framed.map_codec(|mut codec| {
            codec.skip_frame().unwrap();
            codec
        });
        let payload = framed.next().await.unwrap().unwrap();
        framed.send(payload).await.unwrap();
        assert!(framed.next().await.is_none());
    };
    in_time(async { futures::join!(serve, peer(theirs)) }).await;
}

/// What the documentation says of `Framed` itself: after an error it reads before it decodes.
#[tokio::test]
async fn framed_reads_after_an_error_before_it_decodes() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    theirs.write_all(b"\0\x14....................\0\x02ok").await.unwrap();
    let mut framed = Framed::new(ours, payloads(8));
    decode_error(framed.next().await.unwrap());
    framed.codec_mut().skip_frame().unwrap();
    assert!(framed.next().await.is_none());
    let waits = tokio::time::timeout(Duration::from_millis(50), framed.next()).await;
    assert!(waits.is_err(), "the documentation is too pessimistic");
    theirs.write_all(b"\0").await.unwrap();
    assert_eq!(framed.next().await.unwrap().unwrap(), "ok");
}

/// An error that the caller does not continue after is an item once, and then ends the stream.
// spec: ERR-4
#[tokio::test]
async fn an_error_item_that_is_ignored_ends_the_stream() {
    let mut frames = FramedRead::new(&b"\0\x09too long!\0\x02ok"[..], payloads(4).error_items());
    let oversize = DecodeError::Oversize { at: 0, len: 9, limit: 4 };
    assert_eq!(frames.next().await.unwrap().unwrap(), Err(oversize));
    assert_eq!(decode_error(frames.next().await.unwrap()), oversize);
    assert!(frames.next().await.is_none());
    assert_eq!(frames.decoder().error(), Some(oversize));

    // A stream that was cut is not continued, so that is no item; nor is an error an `io::Error` hides.
    let mut frames =
        FramedRead::new(&b"\0\x02ok\0\x02o"[..], payloads(4).error_items().io_errors());
    assert_eq!(frames.next().await.unwrap().unwrap().unwrap(), "ok");
    let error: io::Error = frames.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(frames.next().await.is_none());
    let truncated = DecodeError::Truncated { at: 7, missing: 1, part: Part::Payload };
    assert_eq!(frames.decoder().error(), Some(truncated));
    assert_eq!(frames.decoder_mut().skip_frame(), Err(RecoverError::Failed(truncated)));
}

/// On a lossy line, too: every damaged header is an item, and every whole frame after it comes.
// spec: SYN-1
#[tokio::test]
async fn a_search_after_an_error_item_needs_no_further_bytes() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let mut sent = b"??".to_vec();
    for payload in ["one", "two"] {
        Framing::new(V1).encode(Kind::TEXT, payload.as_bytes(), &mut sent).unwrap();
        sent.extend(b"!?");
    }
    Framing::new(V1).encode(Kind::TEXT, b"three", &mut sent).unwrap();
    theirs.write_all(&sent).await.unwrap();
    let mut framed = Framed::new(ours, FrameCodec::new().error_items());
    let (mut frames, mut errors) = (Vec::new(), 0);
    while frames.len() < 3 {
        match in_time(framed.next()).await.unwrap().unwrap() {
            Ok(frame) => frames.push(frame.payload),
            Err(error) => {
                assert!(matches!(error, DecodeError::Header { .. }), "{error}");
                framed.codec_mut().resync().unwrap();
                errors += 1;
            }
        }
    }
    assert_eq!((frames, errors), (vec!["one".into(), "two".into(), Bytes::from("three")], 3));
    assert_eq!(framed.codec().skipped(), 6);
    framed.send(BytesFrame::new(Kind::TEXT, "four")).await.unwrap();
}

/// A whole frame is one `BytesMut` in the read buffer, whose parts can be changed in place.
#[test]
fn a_whole_frame_keeps_its_header() {
    let mut codec = WholeFrameCodec::new(Framing::new(U16Be).with_limit(5));
    let mut buf = BytesMut::from(&b"\0\x05hello\0\x05world\0\x06longer"[..]);
    let read = buf.as_ptr_range();
    let mut frame = codec.decode(&mut buf).unwrap().unwrap();
    assert_eq!(frame, "\0\x05hello");
    assert!(read.contains(&frame.as_ptr()));
    frame[2] = b'j';
    let payload = frame.split_off(2);
    assert_eq!((&payload[..], &frame[..]), (&b"jello"[..], &b"\0\x05"[..]));
    assert_eq!(codec.decode(&mut buf).unwrap().unwrap(), "\0\x05world");
    let oversize = DecodeError::Oversize { at: 14, len: 6, limit: 5 };
    assert_eq!(decode_error(codec.decode(&mut buf)), oversize);
    codec.set_limit(6);
    codec.skip_frame().unwrap();
    assert!(codec.decode_eof(&mut buf).unwrap().is_none());
    let shown = format!("{codec:?}");
    assert!(shown.starts_with("WholeFrameCodec { frames: FrameCodec("), "{shown}");
}

/// A payload in pieces is written as one, under the same limit.
// spec: LIM-5
#[test]
fn a_payload_in_pieces_is_one_frame() {
    let codec = PayloadCodec::new(Framing::new(U16Be).with_limit(5));
    let mut wire = BytesMut::from("before");
    let pieces = Buf::chain(&b"he"[..], &b""[..]);
    codec.encode_buf(&(), Buf::chain(pieces, Bytes::from("llo")), &mut wire).unwrap();
    assert_eq!(wire, "before\0\x05hello");
    match codec.encode_buf(&(), Buf::chain(&b"hell"[..], &b"o!"[..]), &mut wire) {
        Err(CodecError::Encode(error)) => {
            assert_eq!(error, EncodeError::Oversize { len: 6, limit: 5 });
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(wire, "before\0\x05hello");
}

#[tokio::test]
async fn errors_inside_a_frame_are_items_too() {
    let wire = &b"too long!\nok\n"[..];
    let codec = PayloadCodec::new(Framing::new(unstick::Lines::new()).with_limit(4));
    let mut frames = FramedRead::new(wire, codec.error_items());
    let error = frames.next().await.unwrap().unwrap().unwrap_err();
    assert_eq!(error, DecodeError::TooLong { at: 0, limit: 4 });
    frames.decoder_mut().skip_frame().unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap().unwrap(), "ok");

    let checked = unstick::Checked::new(unstick::U8, unstick::check::Xor8);
    let mut frames =
        FramedRead::new(&b"\x01a\0\x01b\x63"[..], PayloadCodec::new(checked).error_items());
    let error = frames.next().await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, DecodeError::Frame { at: 0, .. }), "{error}");
    frames.decoder_mut().skip_frame().unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap().unwrap(), "b");
}

#[test]
fn a_payload_codec_of_a_fixed_length_can_be_given_its_meta() {
    use tokio_util::codec::Encoder as _;

    let fixed = unstick::Fixed::new(2.try_into().unwrap());
    let mut codec = PayloadCodec::with_meta(fixed, ()).unwrap();
    let mut wire = tokio_util::bytes::BytesMut::new();
    codec.encode("hi", &mut wire).unwrap();
    assert_eq!(wire, "hi");
    assert!(codec.encode("h", &mut wire).is_err());
}
