//! The cookbook's formats: the kit over each, and real bytes under every cut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fmt::Debug;

use unstick::{
    DecodeError, Decoder, EncodeError, Format, Framing, HeaderError, I32Be, Part, U16Be, Varint,
};
use unstick_conformance::Kit;
use unstick_cookbook::websocket::Opcode;
use unstick_cookbook::{
    ContentLength, Grpc, Http2, Modbus, Mqtt, MqttLenient, MySql, NineP, Postgres, PostgresStartup,
    Refusal, Tls, Tpkt, WebSocket, dns, grpc, http2, kafka, modbus, mqtt, mysql, ninep, postgres,
    protobuf, tls, tpkt, websocket,
};

/// A kit whose payloads are small; the headers of its examples announce others too.
fn kit<F: Format>(
    framing: impl Into<Framing<F>>,
    metas: impl IntoIterator<Item = F::Meta>,
) -> Kit<F> {
    Kit::new(framing.into().with_limit(300), metas).cases(64)
}

unstick_conformance::conformance_tests!(http2_kit, {
    let all = http2::Meta { kind: 0xFF, flags: 0xFF, stream: 0x7FFF_FFFF };
    let none = http2::Meta { kind: 0, flags: 0, stream: 0 };
    let window = http2::Meta { kind: 8, flags: 0, stream: 0 };
    kit(Http2, [all, none])
        .not_canonical() // the reserved bit may have any value
        .example(window, b"\x01\xff\x00\x01", b"\0\0\x04\x08\0\0\0\0\0\x01\xff\x00\x01")
        .example_header(all, 0x01_02_03, b"\x01\x02\x03\xff\xff\x7f\xff\xff\xff")
});

unstick_conformance::conformance_tests!(http2_preface_kit, {
    kit(http2::Preface, [()])
        .example((), b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .refuses(b"G")
        .refuses(b"PRI * HTTP/1")
        .refuses(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rG")
});

unstick_conformance::conformance_tests!(websocket_kit, {
    let text = websocket::Meta::new(Opcode::Text);
    let begin = websocket::Meta { fin: false, rsv: 7, ..websocket::Meta::new(Opcode::Binary) };
    let masked = websocket::Meta { mask: Some([0x37, 0xfa, 0x21, 0x3d]), ..text };
    let ping = websocket::Meta { mask: Some([0; 4]), ..websocket::Meta::new(Opcode::Ping) };
    let binary = websocket::Meta::new(Opcode::Binary);
    kit(WebSocket, [text, begin, ping])
        .example(masked, b"\x7f\x9f\x4d\x51\x58", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
        // RFC 6455, section 5.7: 256 bytes, and 64 KiB.
        .example_header(binary, 256, b"\x82\x7e\x01\x00")
        .example_header(binary, 65_536, b"\x82\x7f\0\0\0\0\0\x01\0\0")
        .example_header(masked, 0x0102, b"\x81\xfe\x01\x02\x37\xfa\x21\x3d")
        .example_header(
            masked,
            0x0102_0304_0506_0708,
            b"\x81\xff\x01\x02\x03\x04\x05\x06\x07\x08\x37\xfa\x21\x3d",
        )
        .refuses(b"\x83")
        .refuses(b"\x8b")
        .refuses(b"\x09")
        .refuses(b"GET / HTTP/1.1\r\n")
        .refuses(b"HTTP/1.1 101 ")
        // 125 and 65,535 have shorter forms; 2^63 is too much.
        .refuses(b"\x82\x7e\x00\x7d")
        .refuses(b"\x82\x7f\0\0\0\0\0\0")
        .refuses(b"\x82\x7f\x80")
});

unstick_conformance::conformance_tests!(tls_kit, {
    let of = |content_type, version| tls::Meta { content_type, version };
    let alert = of(tls::ContentType::Alert, 0x0301);
    let data = of(tls::ContentType::ApplicationData, 0x0303);
    let others = [
        of(tls::ContentType::ChangeCipherSpec, 0),
        of(tls::ContentType::Handshake, 0xFFFF),
        of(tls::ContentType::Heartbeat, 0x0303),
    ];
    kit(Tls, others)
        // RFC 5246, section 7.2: close_notify is a warning of number 0.
        .example(alert, b"\x01\x00", b"\x15\x03\x01\x00\x02\x01\x00")
        .example_header(data, 0x0102, b"\x17\x03\x03\x01\x02")
        .refuses(b"G")
        .refuses(b"\x13")
        .refuses(b"\x19")
        .refuses(b"\x80") // a ClientHello of SSL 2
});

unstick_conformance::conformance_tests!(grpc_kit, {
    let [plain, compressed] = [false, true].map(|compressed| grpc::Meta { compressed });
    kit(Grpc, [compressed])
        .example(plain, b"\x0a\x05world", b"\0\0\0\0\x07\x0a\x05world")
        .example_header(compressed, 0x0102_0304, b"\x01\x01\x02\x03\x04")
        .refuses(b"\x02")
        .refuses(b"\x80")
});

unstick_conformance::conformance_tests!(postgres_kit, {
    let [ready, query, parse] = [b'Z', b'Q', b'1'].map(|kind| postgres::Meta { kind });
    kit(Postgres, [query, parse])
        .example(ready, b"I", b"Z\0\0\0\x05I")
        .example_header(query, 0x0102_0304 - 4, b"Q\x01\x02\x03\x04")
        .refuses(b"\0")
        .refuses(b" ")
        .refuses(b"Z\x80")
        .refuses(b"Z\0\0\0\x03")
});

unstick_conformance::conformance_tests!(postgres_startup_kit, {
    kit(PostgresStartup, [()])
        .example((), b"\x04\xd2\x16\x2f", b"\0\0\0\x08\x04\xd2\x16\x2f")
        .example_header((), 0x0102_0304 - 4, b"\x01\x02\x03\x04")
        .refuses(b"\x80")
        .refuses(b"\0\0\0\x03")
});

unstick_conformance::conformance_tests!(mysql_kit, {
    let [zero, one, last] = [0, 1, 255].map(|sequence| mysql::Meta { sequence });
    kit(MySql, [last])
        .example(zero, b"\x01", b"\x01\0\0\0\x01")
        // Its documentation: a payload of 16,777,215 bytes, and the empty packet behind it.
        .example_header(zero, 0xFF_FFFF, b"\xff\xff\xff\x00")
        .example_header(one, 0, b"\0\0\0\x01")
        .example_header(last, 0x01_02_03, b"\x03\x02\x01\xff")
});

unstick_conformance::conformance_tests!(mqtt_kit, {
    let of = mqtt::Meta::new;
    let retained = mqtt::Meta { flags: 0b1101, ..of(mqtt::PacketType::Publish) };
    let connect = of(mqtt::PacketType::Connect);
    let metas = [of(mqtt::PacketType::Subscribe), of(mqtt::PacketType::Auth), retained];
    let mut all = kit(Mqtt, metas)
        .example(of(mqtt::PacketType::PingReq), b"", b"\xc0\x00")
        .example(of(mqtt::PacketType::ConnAck), b"\x01\x00", b"\x20\x02\x01\x00")
        // Section 2.2.3 of version 3.1.1: two examples, and the ends of table 2.4.
        .example_header(connect, 64, b"\x10\x40")
        .example_header(connect, 321, b"\x10\xc1\x02")
        .example_header(connect, 0x0102_0304, b"\x10\x84\x86\x88\x08");
    for (len, field) in [
        (127, &b"\x7f"[..]),
        (128, b"\x80\x01"),
        (16_383, b"\xff\x7f"),
        (16_384, b"\x80\x80\x01"),
        (2_097_151, b"\xff\xff\x7f"),
        (2_097_152, b"\x80\x80\x80\x01"),
        (268_435_455, b"\xff\xff\xff\x7f"),
    ] {
        all = all.example_header(connect, len, [b"\x10", field].concat());
    }
    all.refuses(b"\x00")
        .refuses(b"\x11")
        .refuses(b"\x60") // a PUBREL without its flag
        .refuses(b"\x36") // a PUBLISH of QoS 3
        .refuses(b"\x10\x80\x00")
        .refuses(b"\x10\xff\xff\xff\x80")
});

unstick_conformance::conformance_tests!(mqtt_lenient_kit, {
    let of = mqtt::Meta::new;
    let retained = mqtt::Meta { flags: 0b1101, ..of(mqtt::PacketType::Publish) };
    let subscribe = of(mqtt::PacketType::Subscribe);
    kit(MqttLenient, [subscribe, of(mqtt::PacketType::Auth), retained])
        .not_canonical() // flags may have any value
        .example(of(mqtt::PacketType::PubRel), b"\x00\x0a", b"\x62\x02\x00\x0a")
        .example_header(subscribe, 0x0102_0304, b"\x82\x84\x86\x88\x08")
        .refuses(b"\x0f")
        .refuses(b"\x36") // a PUBLISH of QoS 3
        .refuses(b"\x3e")
        .refuses(b"\x80\x80\x00")
        .refuses(b"\x80\xff\xff\xff\x80")
});

unstick_conformance::conformance_tests!(modbus_kit, {
    let meta = modbus::Meta { transaction: 0x1501, unit: 0xFF };
    let other = modbus::Meta { transaction: 0xFFFF, unit: 0 };
    let frame = b"\x15\x01\x00\x00\x00\x06\xff\x03\x00\x04\x00\x01";
    kit(Modbus, [other])
        .example(meta, b"\x03\x00\x04\x00\x01", frame)
        .example_header(other, 0x0102 - 1, b"\xff\xff\x00\x00\x01\x02\x00")
        .refuses(b"\x00\x00\x01")
        .refuses(b"\x00\x00\x00\x80")
        .refuses(b"\x00\x00\x00\x00\x00\x00")
});

unstick_conformance::conformance_tests!(tpkt_kit, {
    kit(Tpkt, [()])
        .not_canonical() // the reserved byte may have any value
        .example((), b"\x02\xf0\x80", b"\x03\0\0\x07\x02\xf0\x80")
        .example_header((), 0x01a0 - 4, b"\x03\x00\x01\xa0") // [MS-RDPBCGR], section 4.1.3
        .refuses(b"\x02")
        .refuses(b"\x03\x00\x00\x03")
});

unstick_conformance::conformance_tests!(ninep_kit, {
    let version = ninep::Meta { kind: ninep::TVERSION, tag: ninep::NO_TAG };
    let answer = ninep::Meta { kind: 121, tag: 0x0506 };
    let frame = b"\x13\0\0\0\x64\xff\xff\x00\x20\0\0\x06\x009P2000";
    kit(NineP, [version])
        .example(version, b"\x00\x20\0\0\x06\x009P2000", frame)
        .example_header(answer, 0x0403_0201 - 7, b"\x01\x02\x03\x04\x79\x06\x05")
        .refuses(b"\x06\0\0\0")
});

unstick_conformance::conformance_tests!(dns_kit, {
    kit(dns::framing(), [()]).example((), b"hi", b"\0\x02hi").example_header(
        (),
        0x0102,
        b"\x01\x02",
    )
});

unstick_conformance::conformance_tests!(kafka_kit, {
    kit(kafka::framing(), [()])
        .example((), b"hi", b"\0\0\0\x02hi")
        .example_header((), 0x0102_0304, b"\x01\x02\x03\x04")
        .refuses(b"\xff")
});

unstick_conformance::conformance_tests!(protobuf_kit, {
    kit(protobuf::framing(), [()])
        .example((), b"\x08\x96\x01", b"\x03\x08\x96\x01")
        .example_header((), 300, b"\xac\x02") // "Encoding", in protobuf's documentation
        .refuses(b"\x80\x00")
});

/// Decodes the stream in three chunks, for every place of both cuts, and cut short at every byte.
/// What was decoded is then encoded again.
fn every_cut<F>(framing: Framing<F>, stream: &[u8], frames: &[(F::Meta, &[u8])])
where
    F: Format + Copy,
{
    let mut ends = vec![0];
    let mut rest = stream;
    while framing.split_frame(&mut rest).unwrap().is_some() {
        ends.push(stream.len() - rest.len());
    }
    assert_eq!(ends.len(), frames.len() + 1);
    for i in 0..=stream.len() {
        for j in i..=stream.len() {
            let mut decoder = Decoder::with_framing(framing);
            let mut found: Vec<(F::Meta, Vec<u8>)> = Vec::new();
            for chunk in [&stream[..i], &stream[i..j], &stream[j..]] {
                for piece in decoder.pieces(chunk) {
                    let piece = piece.unwrap();
                    if let Some(header) = piece.header {
                        found.push((header.meta, Vec::new()));
                    }
                    found.last_mut().unwrap().1.extend_from_slice(piece.bytes);
                }
            }
            decoder.finish().unwrap();
            let found = found.iter().map(|(meta, payload)| (meta, &payload[..]));
            assert!(found.eq(frames.iter().map(|(meta, payload)| (meta, *payload))), "{i} {j}");
        }
        let mut decoder = Decoder::with_framing(framing);
        assert!(decoder.pieces(&stream[..i]).all(|piece| piece.is_ok()));
        match decoder.finish() {
            Ok(()) => assert!(ends.contains(&i)),
            Err(DecodeError::Truncated { at, missing, part }) => {
                let next = ends.iter().find(|end| **end > i).unwrap();
                assert_eq!(at, i as u64);
                assert!(part == Part::Header || missing == (next - i) as u64);
                assert!(!ends.contains(&i));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let mut again = Vec::new();
    for (meta, payload) in frames {
        framing.encode(meta, payload, &mut again).unwrap();
    }
    assert_eq!(again, stream);
}

/// What `curl --http2-prior-knowledge` (7.88, with nghttp2 1.52) sends for `http://127.0.0.1:…/`.
const CURL: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x12\x04\0\0\0\0\0\x00\x03\0\0\0\x64\x00\x04\x02\0\0\0\x00\x02\0\0\0\0\
    \x00\x00\x04\x08\0\0\0\0\0\x01\xff\0\x01\
    \x00\x00\x1f\x01\x05\0\0\0\x01\x82\x84\x86\x41\x8b\x08\x9d\x5c\x0b\x81\x70\xdc\x6d\xd7\x82\
    \xcf\x7a\x88\x25\xb6\x50\xc3\xab\xbc\xf2\xe1\x53\x03\x2a\x2f\x2a";

#[test]
fn http2_frames_of_curl() {
    let (preface, frames) = CURL.split_at(24);
    every_cut(Framing::new(http2::Preface), preface, &[((), b"")]);
    let of = |kind, flags, stream| http2::Meta { kind, flags, stream };
    let expected = [
        (of(4, 0, 0), &frames[9..27]),
        (of(8, 0, 0), &frames[36..40]),
        (of(1, 5, 1), &frames[49..]),
    ];
    every_cut(http2::framing(), frames, &expected);
}

#[test]
fn the_reserved_bit_of_http2_is_ignored() {
    let sent = b"\0\0\0\x04\0\x80\0\0\x07";
    let frame = http2::framing().split_frame(&mut &sent[..]).unwrap().unwrap();
    assert_eq!(frame.meta.stream, 7);
    let meta = http2::Meta { stream: 1 << 31, ..frame.meta };
    assert_eq!(http2::framing().encode_header(meta, 0).unwrap_err(), EncodeError::Meta);
}

#[test]
fn a_preface_and_frames_in_one_stream() {
    for size in 1..=CURL.len() {
        let mut preface = Some(Decoder::with_framing(http2::Preface));
        let mut frames = Decoder::with_framing(http2::framing());
        let mut kinds = Vec::new();
        for mut chunk in CURL.chunks(size) {
            if let Some(decoder) = &mut preface {
                match decoder.decode(&mut chunk).unwrap() {
                    Some(piece) if piece.last => preface = None,
                    _ => continue,
                }
            }
            frames
                .for_each(chunk, |piece| kinds.extend(piece.header.map(|header| header.meta.kind)))
                .unwrap();
        }
        frames.finish().unwrap();
        assert_eq!((kinds.as_slice(), frames.position()), (&[4, 8, 1][..], 80), "{size}");
    }
}

/// RFC 6455, section 5.7, all examples but the two long ones in one stream.
#[test]
fn websocket_frames_of_the_rfc() {
    let stream = b"\x81\x05Hello\
        \x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\
        \x01\x03Hel\x80\x02lo\
        \x89\x05Hello\
        \x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let of = websocket::Meta::new;
    let mask = Some([0x37, 0xfa, 0x21, 0x3d]);
    let hidden = b"\x7f\x9f\x4d\x51\x58";
    let expected: [(_, &[u8]); 6] = [
        (of(Opcode::Text), b"Hello"),
        (websocket::Meta { mask, ..of(Opcode::Text) }, hidden),
        (websocket::Meta { fin: false, ..of(Opcode::Text) }, b"Hel"),
        (of(Opcode::Continuation), b"lo"),
        (of(Opcode::Ping), b"Hello"),
        (websocket::Meta { mask, ..of(Opcode::Pong) }, hidden),
    ];
    every_cut(websocket::framing(), stream, &expected);

    let (masked, plain) = (expected[1].0, expected[0].0);
    for cut in 0..=hidden.len() {
        let mut payload = *hidden;
        let (front, back) = payload.split_at_mut(cut);
        masked.unmask(0, front);
        masked.unmask(cut as u64, back);
        assert_eq!(&payload, b"Hello", "{cut}");
        plain.unmask(0, &mut payload);
        assert_eq!(&payload, b"Hello");
    }
    let mut far = *b"Hello";
    masked.unmask(u64::MAX, &mut far); // 3 more than a multiple of 4
    masked.unmask(3, &mut far);
    assert_eq!(&far, b"Hello");
}

#[test]
fn a_control_frame_of_websocket_is_whole() {
    use websocket::Meta;
    for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
        assert!(opcode.is_control());
        let meta = Meta { fin: false, ..Meta::new(opcode) };
        assert_eq!(websocket::framing().encode_header(meta, 0).unwrap_err(), EncodeError::Meta);
    }
    for opcode in [Opcode::Continuation, Opcode::Text, Opcode::Binary] {
        assert!(!opcode.is_control());
        let meta = Meta { fin: false, ..Meta::new(opcode) };
        websocket::framing().encode_header(meta, 0).unwrap();
        let meta = Meta { rsv: 8, ..meta };
        assert_eq!(websocket::framing().encode_header(meta, 0).unwrap_err(), EncodeError::Meta);
    }
}

/// RFC 8448, section 3: the ClientHello, and the alerts at the end.
#[test]
fn tls_records_of_the_rfc() {
    let hello = b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03\xcb\x34\xec\xb1\xe7\x81\x63\xba\x1c\
        \x38\xc6\xda\xcb\x19\x6a\x6d\xff\xa2\x1a\x8d\x99\x12\xec\x18\xa2\xef\x62\x83\x02\x4d\xec\
        \xe7\x00\x00\x06\x13\x01\x13\x03\x13\x02\x01\x00\x00\x91\x00\x00\x00\x0b\x00\x09\x00\x00\
        \x06\x73\x65\x72\x76\x65\x72\xff\x01\x00\x01\x00\x00\x0a\x00\x14\x00\x12\x00\x1d\x00\x17\
        \x00\x18\x00\x19\x01\x00\x01\x01\x01\x02\x01\x03\x01\x04\x00\x23\x00\x00\x00\x33\x00\x26\
        \x00\x24\x00\x1d\x00\x20\x99\x38\x1d\xe5\x60\xe4\xbd\x43\xd2\x3d\x8e\x43\x5a\x7d\xba\xfe\
        \xb3\xc0\x6e\x51\xc1\x3c\xae\x4d\x54\x13\x69\x1e\x52\x9a\xaf\x2c\x00\x2b\x00\x03\x02\x03\
        \x04\x00\x0d\x00\x20\x00\x1e\x04\x03\x05\x03\x06\x03\x02\x03\x08\x04\x08\x05\x08\x06\x04\
        \x01\x05\x01\x06\x01\x02\x01\x04\x02\x05\x02\x06\x02\x02\x02\x00\x2d\x00\x02\x01\x01\x00\
        \x1c\x00\x02\x40\x01";
    let alerts = b"\x17\x03\x03\x00\x13\xc9\x87\x27\x60\x65\x56\x66\xb7\x4d\x7f\xf1\x15\x3e\xfd\
        \x6d\xb6\xd0\xb0\xe3\x17\x03\x03\x00\x13\xb5\x8f\xd6\x71\x66\xeb\xf5\x99\xd2\x47\x20\xcf\
        \xbe\x7e\xfa\x7a\x88\x64\xa9";
    let stream = [&hello[..], alerts].concat();
    let of = |content_type, version| tls::Meta { content_type, version };
    let data = of(tls::ContentType::ApplicationData, 0x0303);
    let expected = [
        (of(tls::ContentType::Handshake, 0x0301), &hello[5..]),
        (data, &alerts[5..24]),
        (data, &alerts[29..]),
    ];
    every_cut(tls::framing(), &stream, &expected);
}

#[test]
fn a_record_of_tls_has_its_limits() {
    let decode = |framing: Framing<Tls>, len: u16| {
        let [l0, l1] = len.to_be_bytes();
        Decoder::with_framing(framing).decode(&mut &[23, 3, 3, l0, l1][..]).map(|_| ())
    };
    decode(tls::framing(), 16_640).unwrap();
    let error = decode(tls::framing(), 16_641).unwrap_err();
    assert_eq!(error, DecodeError::Oversize { at: 0, len: 16_641, limit: 16_640 });
    let older = Framing::new(Tls).with_limit(tls::MAX_PAYLOAD_LEN_TLS12);
    decode(older, 18_432).unwrap();
    assert!(decode(older, 18_433).is_err());
}

/// A call of `helloworld.Greeter/SayHello` by gRPC's own library for Python, 1.51: what stood in
/// the DATA frames of the request and of the answer.
#[test]
fn grpc_messages_of_a_call() {
    let [plain, compressed] = [false, true].map(|compressed| grpc::Meta { compressed });
    let stream = b"\0\0\0\0\x07\x0a\x05world\0\0\0\0\x0d\x0a\x0bHello world";
    let expected: [(_, &[u8]); 2] = [(plain, b"\x0a\x05world"), (plain, b"\x0a\x0bHello world")];
    every_cut(grpc::framing(), stream, &expected);
    every_cut(grpc::framing(), b"\x01\0\0\0\x02hi", &[(compressed, b"hi")]);
}

/// A request for TLS, a startup message, `select 1`, and what PostgreSQL 15 answers but for its
/// parameters: `tests/servers.rs` hears the same from a real one.
#[test]
fn postgres_messages_of_a_query() {
    let startup = b"\0\0\0\x08\x04\xd2\x16\x2f\
        \0\0\0\x11\0\x03\0\0user\0me\0\0";
    let requests: [(_, &[u8]); 2] = [((), b"\x04\xd2\x16\x2f"), ((), b"\0\x03\0\0user\0me\0\0")];
    every_cut(postgres::startup_framing(), startup, &requests);

    let of = |kind| postgres::Meta { kind };
    let client = b"Q\0\0\0\x0dselect 1\0X\0\0\0\x04";
    every_cut(postgres::framing(), client, &[(of(b'Q'), b"select 1\0"), (of(b'X'), b"")]);

    let server = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I\
        T\0\0\0\x21\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0\
        D\0\0\0\x0b\0\x01\0\0\0\x011\
        C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    let expected: [(_, &[u8]); 6] = [
        (of(b'R'), b"\0\0\0\0"),
        (of(b'Z'), b"I"),
        (of(b'T'), b"\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"),
        (of(b'D'), b"\0\x01\0\0\0\x011"),
        (of(b'C'), b"SELECT 1\0"),
        (of(b'Z'), b"I"),
    ];
    every_cut(postgres::framing(), server, &expected);
    let meta = of(0);
    assert_eq!(postgres::framing().encode_header(meta, 0).unwrap_err(), EncodeError::Meta);
}

/// MySQL's documentation: COM_QUIT, an OK packet ("OK_Packet") and an error ("ERR_Packet").
#[test]
fn mysql_packets_of_the_documentation() {
    let stream = b"\x01\0\0\0\x01\
        \x07\0\0\x02\0\0\0\x02\0\0\0\
        \x17\0\0\x01\xff\x48\x04#HY000No tables used";
    let of = |sequence| mysql::Meta { sequence };
    let expected: [(_, &[u8]); 3] = [
        (of(0), b"\x01"),
        (of(2), b"\0\0\0\x02\0\0\0"),
        (of(1), b"\xff\x48\x04#HY000No tables used"),
    ];
    every_cut(mysql::framing(), stream, &expected);
}

#[test]
fn a_long_payload_of_mysql_goes_on() {
    const MOST: usize = (1 << 24) - 1;
    let mut stream = Vec::new();
    for (sequence, len) in [(0, MOST), (1, 5)] {
        let meta = mysql::Meta { sequence };
        mysql::framing().encode(meta, vec![b'x'; len], &mut stream).unwrap();
    }
    let (mut payload, mut decoder) = (0, Decoder::with_framing(mysql::framing()));
    let mut goes_on = Vec::new();
    decoder
        .for_each(&stream, |piece| {
            payload += piece.bytes.len();
            goes_on.extend(piece.header.map(|header| mysql::is_continued(header.payload_len)));
        })
        .unwrap();
    assert_eq!((payload, goes_on.as_slice()), (MOST + 5, &[true, false][..]));
}

/// MQTT 3.1.1: the examples of 3.3.2 (a topic and an identifier), 3.8.3 (a SUBSCRIBE of two
/// topics) and 3.12.
#[test]
fn mqtt_packets_of_the_specification() {
    use mqtt::PacketType::{PingReq, Publish, Subscribe};
    let stream = b"\x32\x07\0\x03a/b\0\x0a\
        \x82\x0e\0\x0a\0\x03a/b\x01\0\x03c/d\x02\
        \xc0\0";
    let publish = mqtt::Meta { flags: 2, ..mqtt::Meta::new(Publish) };
    let expected: [(_, &[u8]); 3] = [
        (publish, b"\0\x03a/b\0\x0a"),
        (mqtt::Meta::new(Subscribe), b"\0\x0a\0\x03a/b\x01\0\x03c/d\x02"),
        (mqtt::Meta::new(PingReq), b""),
    ];
    every_cut(mqtt::framing(), stream, &expected);
}

#[test]
fn flags_of_mqtt_belong_to_their_type() {
    for first in 0..=255_u8 {
        let decoded = Mqtt.decode_header(&[first, 0]);
        let right = match first >> 4 {
            0 => false,
            3 => first & 6 != 6,
            6 | 8 | 10 => first & 15 == 2,
            _ => first & 15 == 0,
        };
        assert_eq!(decoded.is_ok(), right, "{first:#04x}");
        if let Ok(unstick::Parsed::Header(header)) = decoded {
            let flags = header.meta.flags ^ 6;
            let wrong = mqtt::Meta { flags, ..header.meta };
            let written = mqtt::framing().encode_header(wrong, 0);
            assert_eq!(written.is_ok(), first >> 4 == 3 && flags & 6 != 6, "{first:#04x}");
        }
    }
    let wide = mqtt::Meta { flags: 16, ..mqtt::Meta::new(mqtt::PacketType::Publish) };
    assert_eq!(mqtt::framing().encode_header(wide, 0).unwrap_err(), EncodeError::Meta);
}

/// What the strict format accepts has the same fields; of the rest, only the flags are ignored.
#[test]
fn lenient_mqtt_differs_in_flags_alone() {
    for first in 0..=255_u8 {
        let bytes = [first, 0x85, 0x01];
        let (strict, lenient) = (Mqtt.decode_header(&bytes), MqttLenient.decode_header(&bytes));
        match strict {
            Err(error) if first >> 4 == 0 || first >> 4 == 3 => assert_eq!(lenient, Err(error)),
            Err(_) => {
                let Ok(unstick::Parsed::Header(header)) = lenient else { panic!("{first:#04x}") };
                assert_eq!(header.meta, mqtt::Meta::new(header.meta.packet_type));
                assert_eq!(header.meta.packet_type as u8, first >> 4);
                assert_eq!((header.payload_len, header.header_len), (133, 3));
            }
            accepted => assert_eq!(lenient, accepted),
        }
    }
    let wrong = mqtt::Meta { flags: 0, ..mqtt::Meta::new(mqtt::PacketType::PubRel) };
    let error = mqtt::lenient_framing().encode_header(wrong, 2).unwrap_err();
    assert_eq!(error, EncodeError::Meta);
    assert_eq!(mqtt::lenient_framing().limit(), mqtt::framing().limit());
}

/// The implementation guide's request, and the answer to it in the application protocol's layout.
#[test]
fn modbus_frames_of_the_guide() {
    let stream = b"\x15\x01\0\0\0\x06\xff\x03\0\x04\0\x01\
        \x15\x01\0\0\0\x05\xff\x03\x02\0\x05";
    let meta = modbus::Meta { transaction: 0x1501, unit: 0xFF };
    let expected: [(_, &[u8]); 2] = [(meta, b"\x03\0\x04\0\x01"), (meta, b"\x03\x02\0\x05")];
    every_cut(modbus::framing(), stream, &expected);
    let most = b"\0\0\0\0\0\xfe\0";
    assert!(Decoder::with_framing(modbus::framing()).decode(&mut &most[..]).is_ok());
    let more = b"\0\0\0\0\0\xff\0";
    let error = Decoder::with_framing(modbus::framing()).decode(&mut &more[..]).unwrap_err();
    assert_eq!(error, DecodeError::Oversize { at: 0, len: 254, limit: 253 });
}

/// [MS-RDPBCGR], sections 4.1.1 and 4.1.2: with these, client and server of RDP begin.
#[test]
fn tpkt_packets_of_rdp() {
    let stream = b"\x03\0\0\x2c\x27\xe0\0\0\0\0\0Cookie: mstshash=eltons\r\n\x01\0\x08\0\0\0\0\0\
        \x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\0\0\0\0";
    every_cut(tpkt::framing(), stream, &[((), &stream[4..44]), ((), &stream[48..])]);
    let reserved = b"\x03\xff\0\x06hi";
    let frame = tpkt::framing().split_frame(&mut &reserved[..]).unwrap().unwrap();
    assert_eq!(frame.payload, b"hi");
}

/// As version(5) and clunk(5) of Plan 9's manual lay them out.
#[test]
fn ninep_messages_of_the_manual() {
    let version = b"\x00\x20\0\0\x06\x009P2000";
    let stream = b"\x13\0\0\0\x64\xff\xff\x00\x20\0\0\x06\x009P2000\
        \x13\0\0\0\x65\xff\xff\x00\x20\0\0\x06\x009P2000\
        \x0b\0\0\0\x78\x01\x00\x07\0\0\0\x07\0\0\0\x79\x01\x00";
    let of = |kind, tag| ninep::Meta { kind, tag };
    let expected: [(_, &[u8]); 4] = [
        (of(ninep::TVERSION, ninep::NO_TAG), version),
        (of(101, ninep::NO_TAG), version),
        (of(120, 1), b"\x07\0\0\0"),
        (of(121, 1), b""),
    ];
    every_cut(ninep::framing(), stream, &expected);
}

/// What `dig`, librdkafka 2.0.2, and protobuf's documentation send: their payloads, whole.
#[test]
fn plain_prefixes_of_known_programs() {
    let dig = b"\xb0\x70\x01\x20\x00\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
    let stream: Framing<U16Be> = dns::framing();
    every_cut(stream, &[b"\x00\x1d", &dig[..]].concat(), &[((), dig)]);

    let kafka = b"\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka\x00\x0blibrdkafka\x062.0.2\x00";
    let stream: Framing<I32Be> = kafka::framing();
    every_cut(stream, &[b"\x00\x00\x00\x24", &kafka[..]].concat(), &[((), kafka)]);
    assert_eq!(kafka::framing().limit(), 104_857_600);

    let messages = b"\x03\x08\x96\x01\x09\x12\x07testing";
    let stream: Framing<Varint> = protobuf::framing();
    every_cut(stream, messages, &[((), &messages[1..4]), ((), &messages[5..])]);
}

#[test]
fn a_refusal_says_itself_in_words() {
    fn refused<F: Format<Meta: Debug>>(format: F, bytes: &[u8]) -> Refusal {
        let error = format.decode_header(bytes).unwrap_err();
        let refusal = Refusal::of(error).unwrap();
        assert_eq!(HeaderError::from(refusal), error);
        assert_eq!(error.code(), refusal.code());
        assert_eq!(error.to_string(), format!("{refusal} (code {:#06x})", refusal.code()));
        refusal
    }
    let table = [
        (refused(http2::Preface, b"GET"), Refusal::Http2Preface, "speak HTTP/1.1, or TLS?"),
        (refused(WebSocket, b"GET"), Refusal::WebSocketOpcode, "the opcode is reserved"),
        (refused(WebSocket, b"HTTP"), Refusal::WebSocketFragment, "in front of the frames?"),
        (refused(WebSocket, b"\x82\x7e\0\0"), Refusal::WebSocketNotMinimal, "use the shortest"),
        (refused(WebSocket, b"\x82\x7f\x80"), Refusal::WebSocketTopBit, "2^63 or more"),
        (refused(Tls, b"SSH"), Refusal::TlsContentType, "none of 20 to 24"),
        (refused(Grpc, b"\x02"), Refusal::GrpcFlag, "neither 0 nor 1"),
        (refused(Postgres, b"\0"), Refusal::PostgresType, "is a startup message"),
        (refused(Mqtt, b"\0"), Refusal::MqttType, "the packet type 0"),
        (refused(Mqtt, b"\x1f"), Refusal::MqttFlags, "not those that this type"),
        (refused(Mqtt, b"\x10\xff\xff\xff\xff"), Refusal::MqttLength, "past four bytes"),
        (refused(Modbus, b"\0\0\0\x01"), Refusal::ModbusProtocol, "speak Modbus TCP?"),
        (refused(Tpkt, b"\x05"), Refusal::TpktVersion, "the version is not 3"),
    ];
    for (found, expected, text) in table {
        assert_eq!(found, expected);
        assert!(found.to_string().contains(text), "{found}");
    }
    assert_eq!(Refusal::of(HeaderError::OverlongVarint), None);
    assert_eq!(Refusal::of(HeaderError::Custom { code: 0x8001, text: "" }), None);
}

#[test]
fn a_meta_says_itself_in_the_protocols_words() {
    use mqtt::PacketType;
    use tls::ContentType;
    let http2 = |kind, flags, stream| http2::Meta { kind, flags, stream }.to_string();
    assert_eq!(http2(1, 5, 3), "HEADERS, flags 0x05, stream 3");
    assert_eq!(http2(10, 0, 0), "type 0x0a, flags 0x00, stream 0");

    let text = websocket::Meta::new(Opcode::Text);
    let words = |opcode| websocket::Meta::new(opcode).to_string();
    let opcodes = [Opcode::Continuation, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
    assert_eq!(opcodes.map(words), ["continuation", "binary", "close", "ping", "pong"]);
    let meta = websocket::Meta { fin: false, rsv: 4, mask: Some([1, 2, 3, 4]), ..text };
    assert_eq!(meta.to_string(), "text, more to come, rsv 4, mask 01020304");

    let types = [
        (ContentType::ChangeCipherSpec, "change_cipher_spec, version 0x0303"),
        (ContentType::Alert, "alert, version 0x0303"),
        (ContentType::Handshake, "handshake, version 0x0303"),
        (ContentType::ApplicationData, "application_data, version 0x0303"),
        (ContentType::Heartbeat, "heartbeat, version 0x0303"),
    ];
    for (content_type, text) in types {
        assert_eq!(tls::Meta { content_type, version: 0x0303 }.to_string(), text);
    }
    assert_eq!(grpc::Meta { compressed: true }.to_string(), "compressed");
    assert_eq!(grpc::Meta { compressed: false }.to_string(), "uncompressed");
    assert_eq!(postgres::Meta { kind: b'Q' }.to_string(), "Q");
    assert_eq!(mysql::Meta { sequence: 3 }.to_string(), "sequence 3");

    let publish = mqtt::Meta { flags: 0b1011, ..mqtt::Meta::new(PacketType::Publish) };
    assert_eq!(publish.to_string(), "PUBLISH, QoS 1, DUP, RETAIN");
    assert_eq!(mqtt::Meta::new(PacketType::Publish).to_string(), "PUBLISH, QoS 0");
    assert_eq!(mqtt::Meta::new(PacketType::Subscribe).to_string(), "SUBSCRIBE");

    let modbus = modbus::Meta { transaction: 7, unit: 1 };
    assert_eq!(modbus.to_string(), "transaction 7, unit 1");
    let names: Vec<_> = (0..=255).map(|kind| ninep::Meta { kind, tag: 9 }.to_string()).collect();
    assert_eq!(names[7], "Rlerror, tag 9");
    assert_eq!(names[25], "Rgetattr, tag 9");
    assert_eq!(names[100], "Tversion, tag 9");
    assert_eq!(names[127], "Rwstat, tag 9");
    assert_eq!(names[128], "type 128, tag 9");
    assert_eq!(names.iter().filter(|name| !name.starts_with("type")).count(), 42);
}

/// A place that has no room for what a header says is told so.
#[test]
fn a_text_that_cannot_be_written_is_an_error() {
    struct Full;
    impl std::fmt::Write for Full {
        fn write_str(&mut self, _: &str) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }
    use std::fmt::Write;
    let mut record = &b"\x16\x03\x01\x00\x00"[..];
    let frame = unstick_cookbook::tls::framing().split_frame(&mut record).unwrap().unwrap();
    assert!(write!(Full, "{}", frame.meta).is_err());
    let mut message = &b"\x81\x00"[..];
    let frame = unstick_cookbook::websocket::framing().split_frame(&mut message).unwrap().unwrap();
    assert!(write!(Full, "{}", frame.meta).is_err());
}

/// The names, modules and formats of all protocols.
macro_rules! rows {
    ($($protocol:ident = $name:literal, $module:ident, $format:ident;)+) => {
        &[$(($name, stringify!($module), stringify!($format))),+]
    };
}

type Row = (&'static str, &'static str, &'static str);

const PROTOCOLS: &[Row] = unstick_cookbook::for_each_protocol!(rows);

/// The same of those with a check.
macro_rules! checked_rows {
    ($($protocol:ident = $name:literal, $module:ident, $format:ident, $new:ident;)+) => {
        &[$(($name, stringify!($module), stringify!($format))),+]
    };
}

const CHECKED: &[Row] = unstick_cookbook::for_each_checked_protocol!(checked_rows);

/// The files with the kits.
const KITS: &str = concat!(include_str!("formats.rs"), include_str!("checked.rs"));

/// The rows that lack one of these texts.
fn missing<'a>(rows: &'a [Row], texts: impl Fn(&Row) -> Vec<String>, page: &str) -> Vec<&'a Row> {
    rows.iter().filter(|row| !texts(row).iter().all(|text| page.contains(text))).collect()
}

#[test]
fn every_protocol_is_listed_and_tested() {
    let none = Vec::<&Row>::new();
    let source = include_str!("../src/lib.rs");
    let module = |(_, module, format): &Row| {
        let link = format!("]({module}) | ");
        vec![format!("\npub mod {module};"), link, format!("[`{format}`]")]
    };
    assert_eq!(missing(PROTOCOLS, module, source), none);
    assert_eq!(missing(CHECKED, module, source), none);
    assert_eq!(source.matches("\npub mod ").count(), 20);
    let page = include_str!("../../docs/cookbook.md");
    let cells = |(name, module, _): &Row| vec![format!("[`{module}`]("), format!("`{name}`")];
    assert_eq!(missing(PROTOCOLS, cells, page), none);
    assert_eq!(missing(CHECKED, cells, page), none);
    let kit = |(_, module, _): &Row| vec![format!("::conformance_tests!({module}_kit, ")];
    assert_eq!(missing(PROTOCOLS, kit, KITS), none);
    assert_eq!(missing(CHECKED, kit, KITS), none);

    let made_up = ("gopher", "gopher", "Gopher");
    let more = [PROTOCOLS, &[made_up]].concat();
    assert_eq!(missing(&more, module, source), [&made_up]);
    assert_eq!(missing(&more, cells, page), [&made_up]);
    assert_eq!(missing(&more, kit, KITS), [&made_up]);
}

/// Whatever a protocol refuses with a code of the cookbook, it says why: in `Display`, and in the
/// text for a program that answers the peer.
#[test]
fn no_refusal_is_a_code_alone() {
    fn check<F: Format>(format: &F) -> usize {
        let mut refused = 0;
        for first in 0..=u16::MAX {
            let [a, b] = first.to_be_bytes();
            for rest in [[0; 12], [0x7F; 12], [0xFF; 12]] {
                let bytes = [&[a, b][..], &rest].concat();
                let Err(error) = format.decode_header(&bytes) else { continue };
                if let HeaderError::Custom { code, text } = error {
                    assert_eq!(Refusal::of(error).map(Refusal::text), Some(text), "{code}");
                    assert!(text.contains(' ') && error.to_string().starts_with(text), "{code}");
                    refused += 1;
                }
            }
        }
        refused
    }
    macro_rules! each {
        ($($protocol:ident = $name:literal, $module:ident, $format:ident;)+) => {
            [$(($name, check(&$format))),+]
        };
    }
    let refused = unstick_cookbook::for_each_protocol!(each);
    let with_refusals = refused.iter().filter(|(_, refused)| *refused > 0).count();
    assert!(with_refusals >= 8 && check(&http2::Preface) > 0, "{refused:?}");

    let mut read = &b"\0\0\x33\x12\0\x02\x01\x01"[..];
    let error = modbus::framing().split_frame(&mut read).unwrap_err().to_string();
    assert!(
        error.starts_with("byte 0: the protocol identifier is not 0, which is Modbus"),
        "{error}"
    );
}

/// A peer's length of -1, the null of these protocols, can be told from the text.
#[test]
fn a_negative_length_says_how_negative() {
    let minus_one = HeaderError::NegativeLength { found: 0xFF, max: -1 };
    assert_eq!(I32Be.decode_header(&[0xFF; 4]), Err(minus_one));
    assert_eq!(Postgres.decode_header(b"Q\xff\xff\xff\xff").unwrap_err(), minus_one);
    assert!(minus_one.to_string().starts_with("the length is negative, at most -1 "));
}
