//! The cookbook's formats with a check, an end or a header of text: the kit over each header, and real
//! bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use unstick::{
    Check, Checked, DecodeError, Decoder, EncodeError, Format, FrameBuf, FrameError, Framing,
    Header, HeaderError, Parsed,
};
use unstick_conformance::Kit;
use unstick_cookbook::chunked::{self, ChunkHeader};
use unstick_cookbook::mavlink::{self, Common, CrcExtra, MavLinkHeader, Version};
use unstick_cookbook::modbus_rtu::{self, RequestHeader, ResponseHeader};
use unstick_cookbook::netstring::{self, NetstringHeader};
use unstick_cookbook::resp::{self, RespHeader};
use unstick_cookbook::ubx::{self, UbxHeader};
use unstick_cookbook::{ContentLength, Refusal, lsp};

/// A kit whose payloads are small; the headers of its examples announce others too.
fn kit<F: Format>(
    framing: impl Into<Framing<F>>,
    metas: impl IntoIterator<Item = F::Meta>,
) -> Kit<F> {
    Kit::new(framing.into().with_limit(300), metas).cases(64)
}

unstick_conformance::conformance_tests!(netstring_kit, {
    kit(NetstringHeader, [()])
        .example((), b"hello world!", b"12:hello world!")
        .example((), b"", b"0:")
        .example_header((), 123_456_789, b"123456789:")
        .refuses(b":")
        .refuses(b"-1:")
        .refuses(b"+")
        .refuses(b" ")
        .refuses(b"00")
        .refuses(b"01:")
        .refuses(b"5 :")
        .refuses(b"5,")
        .refuses(b"1234567890")
});

unstick_conformance::conformance_tests!(resp_kit, {
    use resp::Meta::{BulkError, BulkString, VerbatimString};
    kit(RespHeader, [BulkError, VerbatimString])
        .example(BulkString, b"hello", b"$5\r\nhello")
        .example(BulkString, b"", b"$0\r\n")
        .example(BulkError, b"SYNTAX invalid syntax", b"!21\r\nSYNTAX invalid syntax")
        .example(VerbatimString, b"txt:Some string", b"=15\r\ntxt:Some string")
        .example_header(BulkString, u64::MAX >> 1, b"$9223372036854775807\r\n")
        // A null is no example: it cannot announce a payload. It has tests of its own.
        .refuses(b"+OK")
        .refuses(b"*2")
        .refuses(b"$\r")
        .refuses(b"$-2")
        .refuses(b"$-\r")
        .refuses(b"!-1")
        .refuses(b"$+5")
        .refuses(b"$05")
        .refuses(b"$00")
        .refuses(b"$5\n")
        .refuses(b"$5 ")
        .refuses(b"$5\r\r")
        .refuses(b"$9223372036854775808")
        .refuses(b"$99999999999999999999")
});

unstick_conformance::conformance_tests!(chunked_kit, {
    kit(ChunkHeader, [()])
        .not_canonical() // upper case, leading zeros, extensions
        .cases(16) // the header is long
        .example((), b"hello", b"5\r\nhello")
        .example((), b"", b"0\r\n")
        .example_header((), 0x0123_4567_89AB_CDEF, b"123456789abcdef\r\n")
        .refuses(b"\r")
        .refuses(b";")
        .refuses(b" 5")
        .refuses(b"-5")
        .refuses(b"+5")
        .refuses(b"0x")
        .refuses(b"G")
        .refuses(b"5\n")
        .refuses(b"5\r\r")
        .refuses(b"5 \r")
        .refuses(b"5 5")
        .refuses(b"5;a\n")
        .refuses(b"5;a\r;")
        .refuses(b"5;a\0")
        .refuses(b"5;\x7f")
        .refuses(b"12345678901234567")
        .refuses([b"5;", &[b'a'; 253][..]].concat())
});

unstick_conformance::conformance_tests!(lsp_kit, {
    let most = b"Content-Length: 18446744073709551615\r\n\r\n";
    let long = [b"X: ", &[b'y'; 1020][..]].concat();
    kit(ContentLength, [()])
        .not_canonical() // other fields, spaces, zeros
        .cases(16) // the header is long
        .example((), b"{}", b"Content-Length: 2\r\n\r\n{}")
        .example((), b"", b"Content-Length: 0\r\n\r\n")
        .example_header((), u64::MAX, most)
        .refuses(b"{")
        .refuses(b"\r")
        .refuses(b" ")
        .refuses(b":")
        .refuses(b"Content-Length: 2\n")
        .refuses(b"Content-Length: 2\r\r")
        .refuses(b"Content-Length: 2\r\n\0")
        .refuses(b"Content-Length: 2\r\n\x7f")
        .refuses(b"Content-Length 2\r\n")
        .refuses(b"Content Length: 2\r\n")
        .refuses(b"Content-Length: +5\r\n")
        .refuses(b"Content-Length: -5\r\n")
        .refuses(b"Content-Length: 0x5\r\n")
        .refuses(b"Content-Length: 5, 5\r\n")
        .refuses(b"Content-Length: 5 5\r\n")
        .refuses(b"Content-Length:\r\n")
        .refuses(b"Content-Length: \t\r\n")
        .refuses(b"Content-Length: 18446744073709551616\r\n")
        .refuses(b"Content-Length: 2\r\n folded: 3\r\n")
        .refuses(b"Content-Length: 2\r\n: 3\r\n")
        .refuses(b"Content-Type: text\r\n\r\n")
        .refuses(b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n")
        .refuses(long)
});

unstick_conformance::conformance_tests!(ubx_kit, {
    let of = |class, id| ubx::Meta { class, id };
    kit(UbxHeader, [of(0, 0xFF), of(0xFF, 0)])
        .example(of(6, 0), b"", b"\xb5\x62\x06\x00\x00\x00")
        .example(of(5, 1), b"\x06\x01", b"\xb5\x62\x05\x01\x02\x00\x06\x01")
        .example_header(of(1, 2), 0x0304, b"\xb5\x62\x01\x02\x04\x03")
        .refuses(b"$")
        .refuses(b"\xb5\xb5")
});

/// The header of messages that have a `CRC_EXTRA` whatever they are.
fn any_message() -> MavLinkHeader<fn(u32) -> Option<u8>> {
    *mavlink::framing((|_| Some(0)) as fn(u32) -> Option<u8>).format().format()
}

const HEARTBEAT: mavlink::Meta = mavlink::Meta {
    version: Version::V1,
    compatibility: 0,
    sequence: 239,
    system: 1,
    component: 2,
    message: 0,
};

unstick_conformance::conformance_tests!(mavlink_kit, {
    let v1 = mavlink::Meta { sequence: 0, system: 255, component: 0, message: 255, ..HEARTBEAT };
    let v2 = mavlink::Meta { version: Version::V2, compatibility: 0x5A, ..HEARTBEAT };
    let wide = mavlink::Meta { message: 0x0004_0302, compatibility: 0, ..v2 };
    kit(any_message(), [v1, v2, wide])
        .example(HEARTBEAT, b"hi", b"\xfe\x02\xef\x01\x02\x00hi")
        .example(wide, b"hi", b"\xfd\x02\x00\x00\xef\x01\x02\x02\x03\x04hi")
        .refuses(b"\0")
        .refuses(b"\xff")
        .refuses(b"\xfd\x09\x01")
        .refuses(b"\xfd\x09\x02")
        .refuses(b"\xfd\x09\xff")
});

unstick_conformance::conformance_tests!(modbus_rtu_kit, {
    let of =
        |function, fields| modbus_rtu::Meta { fields, ..modbus_rtu::Meta::new(0x11, function) };
    kit(RequestHeader, [of(0x0F, [0x13, 0x0A, 0, 0]), of(0x14, [0; 4])])
        .example(
            of(0x10, [1, 2, 0, 0]),
            b"\x00\x0a\x01\x02",
            b"\x11\x10\x00\x01\x00\x02\x04\x00\x0a\x01\x02",
        )
        .example(
            of(0x17, [0x0102, 0x0304, 0x0506, 0x0708]),
            b"hi",
            b"\x11\x17\x01\x02\x03\x04\x05\x06\x07\x08\x02hi",
        )
        .refuses(b"\x11\x00")
        .refuses(b"\x11\x09")
        .refuses(b"\x11\x2b")
        .refuses(b"\x11\x83")
        .refuses(b"\x11\x08\x00\x00")
});

unstick_conformance::conformance_tests!(modbus_rtu_response_kit, {
    let of = |address, function| modbus_rtu::Meta::new(address, function);
    kit(ResponseHeader, [of(0xFF, 0x18)])
        .example(of(0x11, 0x18), b"\x00\x01\x00\x02", b"\x11\x18\x00\x04\x00\x01\x00\x02")
        .example_header(of(1, 0x18), 0x0102, b"\x01\x18\x01\x02")
        .refuses(b"\x11\x00")
        .refuses(b"\x11\x2b")
        .refuses(b"\x11\x08\x00\x00")
});

/// Returns what a header format says of whole headers.
fn header<F: Format>(format: &F, bytes: &[u8]) -> Header<F::Meta> {
    match format.decode_header(bytes) {
        Ok(Parsed::Header(header)) => header,
        other => panic!("{other:?}"),
    }
}

fn refusal<F: Format>(format: &F, bytes: &[u8]) -> Refusal {
    Refusal::of(format.decode_header(bytes).unwrap_err()).unwrap()
}

/// Decodes one frame twice in a row, in three chunks, for every place of both cuts, and cut short at
/// every byte; then writes it. Each other value of a byte of its check is refused.
fn whole_frame<F: Format + Copy, C: Check + Copy>(
    framing: &Framing<Checked<F, C>>,
    meta: F::Meta,
    payload: &[u8],
    frame: &[u8],
) {
    let framing = *framing;
    let stream = [frame, frame].concat();
    for i in 0..=stream.len() {
        for j in i..=stream.len() {
            let mut decoder = Decoder::with_framing(framing);
            let (mut metas, mut content, mut ends) = (Vec::new(), Vec::new(), 0);
            for chunk in [&stream[..i], &stream[i..j], &stream[j..]] {
                for piece in decoder.pieces(chunk) {
                    let piece = piece.unwrap();
                    metas.extend(piece.header.map(|header| (header.meta, header.payload_len)));
                    content.extend_from_slice(piece.bytes);
                    ends += usize::from(piece.last);
                }
            }
            decoder.finish().unwrap();
            let len = payload.len() as u64;
            assert_eq!(metas, [(meta.clone(), len), (meta.clone(), len)], "{i} {j}");
            assert_eq!((content, ends), ([payload, payload].concat(), 2), "{i} {j}");
        }
    }
    for len in 1..frame.len() {
        let mut decoder = Decoder::with_framing(framing);
        assert!(decoder.pieces(&frame[..len]).all(|piece| piece.is_ok()));
        let error = decoder.finish().unwrap_err();
        assert!(
            matches!(error, DecodeError::Truncated { at, .. } if at == len as u64),
            "{error:?}"
        );
    }
    let trailer_len = <C::Trailer as unstick::TrailerBuf>::LEN;
    for at in frame.len() - trailer_len..frame.len() {
        let mut damaged = frame.to_vec();
        damaged[at] ^= 0x41;
        let error = framing.split_frame(&mut &damaged[..]).unwrap_err();
        let bad_check =
            matches!(error, DecodeError::Frame { at: 0, error: FrameError::BadCheck { .. } });
        assert!(bad_check, "{error:?}");
    }
    let mut again = Vec::new();
    framing.encode(meta, payload, &mut again).unwrap();
    assert_eq!(again, frame);
}

/// The paper's examples: "hello world!", and the empty string.
#[test]
fn netstrings_of_the_paper() {
    whole_frame(&netstring::framing(), (), b"hello world!", b"12:hello world!,");
    whole_frame(&netstring::framing(), (), b"", b"0:,");
}

#[test]
fn a_netstring_says_why_it_is_refused() {
    assert_eq!(refusal(&NetstringHeader, b"hello"), Refusal::NetstringLength);
    assert_eq!(refusal(&NetstringHeader, b"05:"), Refusal::NetstringZero);
    assert_eq!(refusal(&NetstringHeader, b"1000000000:"), Refusal::NetstringDigits);
    let limit = 999_999_999;
    let error = NetstringHeader.encode_header(&(), limit + 1, &mut [0; 10]).unwrap_err();
    assert_eq!(error, EncodeError::Oversize { len: limit + 1, limit });
}

/// "Redis serialization protocol specification": the examples of "Bulk strings", "Bulk errors" and
/// "Verbatim strings".
#[test]
fn resp_strings_of_the_specification() {
    use resp::Meta::{BulkError, BulkString, Null, VerbatimString};
    whole_frame(&resp::framing(), BulkString, b"hello", b"$5\r\nhello\r\n");
    whole_frame(&resp::framing(), BulkString, b"", b"$0\r\n\r\n");
    whole_frame(&resp::framing(), Null, b"", b"$-1\r\n");
    let error = b"!21\r\nSYNTAX invalid syntax\r\n";
    whole_frame(&resp::framing(), BulkError, b"SYNTAX invalid syntax", error);
    whole_frame(
        &resp::framing(),
        VerbatimString,
        b"txt:Some string",
        b"=15\r\ntxt:Some string\r\n",
    );
}

#[test]
fn a_null_of_resp_has_no_payload() {
    let (null, string) = (resp::Meta::Null, resp::Meta::BulkString);
    let error = RespHeader.encode_header(&null, 1, &mut [0; 22]).unwrap_err();
    assert_eq!(error, EncodeError::Oversize { len: 1, limit: 0 });
    assert_eq!(RespHeader.limit_of(&null), 0);
    assert_eq!(RespHeader.limit_of(&string), unstick::MAX_PAYLOAD_LEN);
    // What looks like another negative length fails at the end of the null.
    assert_eq!(header(&RespHeader, b"$-10\r\n").header_len, 3);
}

#[test]
fn a_bulk_string_says_why_it_is_refused() {
    assert_eq!(refusal(&RespHeader, b"+OK\r\n"), Refusal::RespType);
    assert_eq!(refusal(&RespHeader, b"$-2\r\n"), Refusal::RespLength);
    assert_eq!(refusal(&RespHeader, b"$05\r\n"), Refusal::RespLength);
    assert_eq!(refusal(&RespHeader, b"$9223372036854775808\r\n"), Refusal::RespTooLong);
}

/// RFC 9112, section 7.1.1, allows names alone, values, and strings in quotes.
#[test]
fn chunks_with_and_without_extensions() {
    whole_frame(&chunked::framing(), (), b"hello", b"5\r\nhello\r\n");
    whole_frame(&chunked::framing(), (), b"0123456789", b"a\r\n0123456789\r\n");
    whole_frame(&chunked::framing(), (), b"", b"0\r\n\r\n");
    for (line, len) in [
        (&b"5;ext\r\n"[..], 5),
        (b"1A\r\n", 26),
        (b"1a\r\n", 26),
        (b"fFfFfFfFfFfFfFfF\r\n", u64::MAX),
        (b"0000000000000005\r\n", 5),
        (b"5 ; name = value\r\n", 5),
        (b"5\t;a;b=\"c;\\\"d\xff\"\r\n", 5),
        (b"00;last\r\n", 0),
    ] {
        let found = header(&ChunkHeader, line);
        assert_eq!((found.payload_len, found.header_len), (len, line.len()));
    }
    let longest = [b"5;", &[b'a'; 252][..], b"\r\n"].concat();
    assert_eq!(header(&ChunkHeader, &longest).header_len, 256);
    let longer = [b"5;", &[b'a'; 253][..], b"\r\n"].concat();
    assert_eq!(ChunkHeader.decode_header(&longer), Ok(Parsed::Need(258)));
}

#[test]
fn a_chunk_says_why_it_is_refused() {
    assert_eq!(refusal(&ChunkHeader, b"\r\n"), Refusal::ChunkSize);
    assert_eq!(refusal(&ChunkHeader, b"00000000000000005\r\n"), Refusal::ChunkDigits);
    for line in [&b"5\nhello"[..], b"5;a\nhello", b"5 \r\n", b"5\rx", b"0x5\r\n"] {
        assert_eq!(refusal(&ChunkHeader, line), Refusal::ChunkLine, "{line:?}");
    }
}

/// The base protocol's example has a `Content-Length` and content of JSON-RPC.
#[test]
fn a_header_of_lsp_has_many_forms() {
    for (text, len) in [
        ("Content-Length: 45\r\n\r\n", 45),
        ("CONTENT-LENGTH:45\r\n\r\n", 45),
        ("content-length \t:\t 45 \t\r\n\r\n", 45),
        (
            "Content-Length: 45\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n",
            45,
        ),
        ("Content-Type: a:b\r\nContent-Length: 45\r\nX:\r\n\r\n", 45),
        ("X-Content-Length: 5\r\nContent-Length: 45\r\nContent-Length-X: 6\r\n\r\n", 45),
        ("Content-Length: 0045\r\n\r\n", 45),
        ("Content-Length: 000000000000000000000000045\r\n\r\n", 45),
        ("Content-Length: 45\r\ncontent-length: 045\r\n\r\n", 45),
        ("X: \u{fc}\r\nContent-Length: 45\r\n\r\n", 45),
    ] {
        let found = header(&ContentLength, text.as_bytes());
        assert_eq!((found.payload_len, found.header_len), (len, text.len()), "{text}");
        let followed = format!("{text}\r\n\r\nContent-Length: 1\r\n\r\n");
        assert_eq!(header(&ContentLength, followed.as_bytes()), found);
    }
}

#[test]
fn a_header_of_lsp_says_why_it_is_refused() {
    for (text, expected) in [
        ("{\"jsonrpc\":\"2.0\"}", Refusal::LspField),
        ("Content-Length 5\r\n", Refusal::LspField),
        ("Content-Length: 5\n\n", Refusal::LspLine),
        ("Content-Length: +5\r\n", Refusal::LspLength),
        ("Content-Length: 5, 5\r\n", Refusal::LspLength),
        ("Content-Length: 99999999999999999999\r\n", Refusal::LspTooLong),
        ("Content-Type: text\r\n\r\n", Refusal::LspNoLength),
        ("Content-Length: 5\r\ncontent-length: 6\r\n\r\n", Refusal::LspLengths),
    ] {
        assert_eq!(refusal(&ContentLength, text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_header_of_lsp_without_an_end_is_too_long() {
    let endless = [b"X: ", &[b'y'; 2000][..]].concat();
    let error = lsp::framing().split_frame(&mut &endless[..]).unwrap_err();
    let too_long = HeaderError::TooLong { room: 1024 };
    assert_eq!(error, DecodeError::Header { at: 0, error: too_long });
    let fill = 1024 - "X: \r\nContent-Length: 5\r\n\r\n".len();
    let fits = format!("X: {}\r\nContent-Length: 5\r\n\r\nhello", "y".repeat(fill));
    let frame = lsp::framing().split_frame(&mut fits.as_bytes()).unwrap().unwrap();
    assert_eq!((frame.payload, frame.header_bytes().len()), (&b"hello"[..], 1024));
}

/// Bytes of a header that arrive one at a time are not searched again: with all but the last known not
/// to end it, only the last one is looked at.
#[test]
fn a_resumed_header_of_lsp_looks_at_new_bytes_only() {
    let seen = b"Content-Length: 5\0\0\0\0";
    assert_eq!(refusal(&ContentLength, seen), Refusal::LspLine);
    let resumed = ContentLength.resume_header(seen, seen.len());
    assert!(matches!(resumed, Ok(Parsed::Need(_))), "{resumed:?}");
}

/// "u-blox 8 / u-blox M8 Receiver description": a poll of UBX-CFG-PRT and of UBX-MON-VER, a UBX-ACK-ACK,
/// and UBX-CFG-MSG.
#[test]
fn ubx_frames_of_the_description() {
    let of = |class, id| ubx::Meta { class, id };
    let ubx = ubx::framing();
    whole_frame(&ubx, of(6, 0), b"", b"\xb5\x62\x06\x00\x00\x00\x06\x18");
    whole_frame(&ubx, of(10, 4), b"", b"\xb5\x62\x0a\x04\x00\x00\x0e\x34");
    whole_frame(&ubx, of(5, 1), b"\x06\x01", b"\xb5\x62\x05\x01\x02\x00\x06\x01\x0f\x38");
    let payload = b"\xf0\x01\x00\x00\x00\x00\x00\x01";
    let frame = b"\xb5\x62\x06\x01\x08\x00\xf0\x01\x00\x00\x00\x00\x00\x01\x01\x2b";
    whole_frame(&ubx, of(6, 1), payload, frame);
    assert_eq!(refusal(&UbxHeader, b"$GPGGA"), Refusal::UbxSync);
}

/// A heartbeat as a widely copied description of MAVLink 1 shows it, and those of the tests of the crate
/// `mavlink` (rust-mavlink), in both versions.
#[test]
fn mavlink_heartbeats_of_both_versions() {
    let mavlink = mavlink::common_framing();
    let meta = mavlink::Meta { sequence: 0x4e, component: 1, ..HEARTBEAT };
    let payload = b"\0\0\0\0\x02\x03\x51\x04\x03";
    let frame = b"\xfe\x09\x4e\x01\x01\x00\0\0\0\0\x02\x03\x51\x04\x03\x1c\x7f";
    whole_frame(&mavlink, meta, payload, frame);

    let payload = b"\x05\0\0\0\x02\x03\x59\x03\x03";
    let frame = b"\xfe\x09\xef\x01\x02\x00\x05\0\0\0\x02\x03\x59\x03\x03\x1f\x50";
    whole_frame(&mavlink, HEARTBEAT, payload, frame);
    let frame = b"\xfd\x09\x00\x00\xef\x01\x02\x00\x00\x00\x05\0\0\0\x02\x03\x59\x03\x03\x2e\x73";
    let v2 = mavlink::Meta { version: Version::V2, ..HEARTBEAT };
    whole_frame(&mavlink, v2, payload, frame);
}

#[test]
fn a_dialect_of_mavlink_is_a_function_or_a_table() {
    const TABLE: &[(u32, u8)] = &[(0, 50), (4, 237), (70_000, 9)];
    let frame = b"\xfe\x09\xef\x01\x02\x00\x05\0\0\0\x02\x03\x59\x03\x03\x1f\x50";
    let payload = &frame[6..15];
    whole_frame(&mavlink::framing(TABLE), HEARTBEAT, payload, frame);
    let function = |message| (message == 0).then_some(50);
    whole_frame(&mavlink::framing(function), HEARTBEAT, payload, frame);
    assert_eq!(TABLE.crc_extra(70_000), Some(9));
    assert_eq!(TABLE.crc_extra(5), None);

    // Another dialect's value gives another check.
    let other = mavlink::framing(|_: u32| Some(51));
    let other = other.format();
    let digest = other.check().update(other.check().begin(&frame[..6]), payload);
    assert_ne!(other.check().trailer(digest), [0x1f, 0x50]);
}

/// As in the file `common.xml`, from which MAVLink's generator computes them.
#[test]
fn the_values_of_common() {
    let known: Vec<_> =
        (0..300).filter_map(|message| Some((message, Common.crc_extra(message)?))).collect();
    let expected = [
        (0, 50),
        (1, 124),
        (2, 137),
        (4, 237),
        (22, 220),
        (24, 24),
        (30, 39),
        (33, 104),
        (76, 152),
        (77, 143),
        (253, 83),
    ];
    assert_eq!(known, expected);
}

#[test]
fn mavlink_refuses_what_it_cannot_check() {
    let header = *mavlink::common_framing().format().format();
    assert_eq!(refusal(&header, b"\xfd\x09\x01"), Refusal::MavLinkSigned);
    assert_eq!(refusal(&header, b"\xfd\x09\x03"), Refusal::MavLinkSigned);
    assert_eq!(refusal(&header, b"\xfd\x09\x02"), Refusal::MavLinkFlags);
    assert_eq!(refusal(&header, b"\x55"), Refusal::MavLinkMagic);
    let v2 = mavlink::Meta { version: Version::V2, ..HEARTBEAT };
    for unsendable in [
        mavlink::Meta { message: 3, ..HEARTBEAT }, // no CRC_EXTRA
        mavlink::Meta { compatibility: 1, ..HEARTBEAT },
        mavlink::Meta { message: 1 << 24, ..v2 },
    ] {
        let error = header.encode_header(&unsendable, 0, &mut [0; 10]).unwrap_err();
        assert_eq!(error, EncodeError::Meta, "{unsendable:?}");
    }
    let wide = mavlink::Meta { message: 256, ..HEARTBEAT };
    assert_eq!(any_message().encode_header(&wide, 0, &mut [0; 10]), Err(EncodeError::Meta));
    let error = header.encode_header(&v2, 256, &mut [0; 10]).unwrap_err();
    assert_eq!(error, EncodeError::Oversize { len: 256, limit: 255 });
}

/// Examples of the "Modbus Protocol Reference Guide" (PI-MBUS-300), as complete frames: requests for
/// functions 03, 05, 0F and 10.
#[test]
fn modbus_requests_of_the_guide() {
    let of = |function, fields| modbus_rtu::Meta { address: 0x11, function, fields };
    let requests = modbus_rtu::request_framing();
    for (meta, header_len, frame) in [
        (of(0x03, [0; 4]), 2, &b"\x11\x03\x00\x6b\x00\x03\x76\x87"[..]),
        (of(0x05, [0; 4]), 2, b"\x11\x05\x00\xac\xff\x00\x4e\x8b"),
        (of(0x0F, [0x13, 10, 0, 0]), 7, b"\x11\x0f\x00\x13\x00\x0a\x02\xcd\x01\xbf\x0b"),
        (of(0x10, [1, 2, 0, 0]), 7, b"\x11\x10\x00\x01\x00\x02\x04\x00\x0a\x01\x02\xc6\xf0"),
    ] {
        whole_frame(&requests, meta, &frame[header_len..frame.len() - 2], frame);
    }
}

/// The guide's responses: function 03 with three registers, and an exception of function 01.
#[test]
fn modbus_responses_of_the_guide() {
    let responses = modbus_rtu::response_framing();
    let read = b"\x11\x03\x06\xae\x41\x56\x52\x43\x40\x49\xad";
    whole_frame(&responses, modbus_rtu::Meta::new(0x11, 3), &read[3..9], read);
    let exception = b"\x0a\x81\x02\xb0\x53";
    let meta = modbus_rtu::Meta::new(10, 0x81);
    assert!(meta.is_exception());
    whole_frame(&responses, meta, b"\x02", exception);
}

/// Function codes, in both directions: the length of the header and of the payload, with counts of 9.
#[test]
fn lengths_of_modbus_follow_from_the_function_and_the_direction() {
    let lens = |found: Result<Parsed<modbus_rtu::Meta>, HeaderError>| match found {
        Ok(Parsed::Header(header)) => Some((header.header_len, header.payload_len)),
        Err(error) => {
            assert!(Refusal::of(error).is_some());
            None
        }
        Ok(Parsed::Need(need)) => panic!("{need}"),
    };
    for function in 0..=255 {
        let bytes = [1, function, 9, 9, 9, 9, 9, 9, 9, 9, 9];
        let (request, response) = match function {
            1..=4 => (Some((2, 4)), Some((3, 9))),
            5 | 6 => (Some((2, 4)), Some((2, 4))),
            7 => (Some((2, 0)), Some((2, 1))),
            8 => (Some((4, 2)), Some((4, 2))),
            0x0B => (Some((2, 0)), Some((2, 4))),
            0x0C | 0x11 => (Some((2, 0)), Some((3, 9))),
            0x0F | 0x10 => (Some((7, 9)), Some((2, 4))),
            0x14 | 0x15 => (Some((3, 9)), Some((3, 9))),
            0x16 => (Some((2, 6)), Some((2, 6))),
            0x17 => (Some((11, 9)), Some((3, 9))),
            0x18 => (Some((2, 2)), Some((4, 0x0909))),
            0x80.. => (None, Some((2, 1))),
            _ => (None, None),
        };
        assert_eq!(lens(RequestHeader.decode_header(&bytes)), request, "{function:#04x}");
        assert_eq!(lens(ResponseHeader.decode_header(&bytes)), response, "{function:#04x}");
    }
    assert_eq!(refusal(&RequestHeader, &[1, 0x2B]), Refusal::ModbusFunction);
    assert_eq!(refusal(&ResponseHeader, &[1, 8, 0, 0]), Refusal::ModbusQueryData);
}

#[test]
fn modbus_writes_a_length_that_fits_the_function() {
    let encode = |meta, len| RequestHeader.encode_header(&meta, len, &mut [0; 11]);
    let read = modbus_rtu::Meta::new(1, 3);
    assert_eq!(encode(read, 4), Ok(2));
    assert_eq!(encode(read, 5), Err(EncodeError::WrongLength { len: 5, expected: 4 }));
    let write = modbus_rtu::Meta { fields: [1, 2, 0, 0], ..modbus_rtu::Meta::new(1, 0x10) };
    assert_eq!(encode(write, 255), Ok(7));
    assert_eq!(encode(write, 256), Err(EncodeError::Oversize { len: 256, limit: 255 }));
    for unsendable in [
        modbus_rtu::Meta { function: 3, ..write },
        modbus_rtu::Meta { fields: [1, 2, 3, 0], ..write },
        modbus_rtu::Meta { function: 0x83, ..read },
        modbus_rtu::Meta { function: 8, ..read },
    ] {
        assert_eq!(encode(unsendable, 4), Err(EncodeError::Meta), "{unsendable:?}");
    }
}

#[test]
fn a_meta_says_itself_in_the_protocols_words() {
    use resp::Meta::{BulkError, BulkString, Null, VerbatimString};
    let words = [BulkString, Null, BulkError, VerbatimString].map(|meta| meta.to_string());
    assert_eq!(words, ["bulk string", "null", "bulk error", "verbatim string"]);
    assert_eq!(ubx::Meta { class: 6, id: 0x3E }.to_string(), "class 0x06, id 0x3e");
    let text = "message 0, version 1, sequence 239, system 1, component 2";
    assert_eq!(HEARTBEAT.to_string(), text);
    let meta = modbus_rtu::Meta::new(17, 3);
    assert_eq!(meta.to_string(), "address 17, function 0x03");
    let meta = modbus_rtu::Meta::new(17, 0x83);
    assert_eq!(meta.to_string(), "address 17, function 0x03, exception");
}

/// Trailer fields are refused as a check, at the last chunk, and can then be read as lines.
#[test]
fn trailer_fields_of_chunks_begin_after_the_last_header() {
    let body = b"5\r\nhello\r\n0;x\r\nExpires: never\r\nX: y\r\n\r\nHTTP/1.1 200 OK";
    let mut rest = &body[..];
    let mut decoder = Decoder::with_framing(chunked::framing());
    let (mut data, mut last) = (Vec::new(), None);
    let error = loop {
        match decoder.decode(&mut rest) {
            Ok(Some(piece)) => {
                last = piece.header.map(|header| header.header_len).or(last);
                data.extend_from_slice(piece.bytes);
            }
            Ok(None) => panic!("the trailer fields were not refused"),
            Err(error) => break error,
        }
    };
    let (found, expected) = (u32::from(u16::from_be_bytes(*b"Ex")), 0x0D0A);
    let bad_check = FrameError::BadCheck { found, expected };
    assert_eq!(error, DecodeError::Frame { at: 10, error: bad_check });
    assert_eq!((&data[..], last), (&b"hello"[..], Some(5)));
    let fields = &body[10 + 5..];
    let mut lines = Decoder::with_framing(unstick::Delimited::new(b"\r\n"));
    let (mut found, mut line, mut input) = (Vec::new(), Vec::new(), fields);
    while let Some(piece) = lines.decode(&mut input).unwrap() {
        line.extend_from_slice(piece.bytes);
        if piece.last {
            if line.is_empty() {
                break;
            }
            found.push(std::mem::take(&mut line));
        }
    }
    assert_eq!(found, [&b"Expires: never"[..], b"X: y"]);
    assert_eq!(input, b"HTTP/1.1 200 OK");
}

/// A message that the dialect does not know is skipped, and the next one is read.
#[test]
fn an_unknown_message_of_mavlink_is_skipped() {
    let known = b"\xfe\x09\xef\x01\x02\x00\x05\0\0\0\x02\x03\x59\x03\x03\x1f\x50";
    let mut stream = Vec::new();
    let extra = |_: u32| Some(7);
    let meta = mavlink::Meta { message: 200, ..HEARTBEAT };
    mavlink::framing(extra).encode(meta, b"hello", &mut stream).unwrap();
    stream.extend(known);
    let mut rest = &stream[..];
    let mut decoder = Decoder::with_framing(mavlink::common_framing());
    let error = loop {
        match decoder.decode(&mut rest) {
            Ok(piece) => assert!(!piece.unwrap().last),
            Err(error) => break error,
        }
    };
    let bad_check =
        matches!(error, DecodeError::Frame { at: 0, error: FrameError::BadCheck { .. } });
    assert!(bad_check, "{error:?}");
    decoder.skip_frame().unwrap();
    let piece = decoder.decode(&mut rest).unwrap().unwrap();
    assert_eq!((piece.header.unwrap().meta, piece.last), (HEARTBEAT, true));
}

/// NMEA before a frame of UBX, and a damaged frame: a search continues with the next valid frame.
#[test]
fn a_search_finds_the_next_frame_of_ubx() {
    let frame = b"\xb5\x62\x05\x01\x02\x00\x06\x01\x0f\x38";
    let mut stream = b"$GPGGA,\xb5\x62*00\r\n".to_vec();
    stream.extend(b"\xb5\x62\x05\x01\x02\x00\x07\x01\x0f\x38");
    stream.extend(frame);
    for size in 1..=stream.len() {
        let framing = ubx::framing().with_limit(64);
        let mut buf = FrameBuf::with_framing(Vec::new(), framing).unwrap();
        let mut found = Vec::new();
        for chunk in stream.chunks(size) {
            buf.extend(chunk);
            loop {
                match buf.next_frame() {
                    Ok(Some(frame)) => found.push((frame.meta, frame.payload.to_vec())),
                    Ok(None) => break,
                    Err(_) => {
                        if buf.resync().unwrap().is_none() {
                            break; // it continues with the next chunk
                        }
                    }
                }
            }
        }
        assert_eq!(found, [(ubx::Meta { class: 5, id: 1 }, b"\x06\x01".to_vec())], "{size}");
    }
}
