//! What a person reads: each error says what was found, at which byte, and what to try; and a log
//! shows values in a line or two, whatever a peer sent.

use std::error::Error;

use unstick::{
    ByteOrder, Covers, DatagramError, DatagramPacker, DecodeError, Decoder, EncodeError, FrameBuf,
    Framing, HeaderError, Kind, Layout, LayoutError, LengthField, Part, Pushed, RecoverError,
    StorageError, U32Be, V1,
};

#[test]
fn a_refused_header_says_what_was_found() {
    for (error, text) in [
        (
            HeaderError::BadMagic { found: b'G' },
            "a frame starts with 0xf5, found 0x47 ('G'); \
             is the peer speaking another protocol, HTTP perhaps?",
        ),
        (
            HeaderError::BadMagic { found: 0x16 },
            "a frame starts with 0xf5, found 0x16; is the peer speaking TLS?",
        ),
        (
            HeaderError::BadMagic { found: 0 },
            "a frame starts with 0xf5, found 0x00; \
             is the peer sending plain length-prefixed frames?",
        ),
        (
            HeaderError::BadMagic { found: b'{' },
            "a frame starts with 0xf5, found 0x7b ('{'); is the peer speaking another protocol?",
        ),
        (
            HeaderError::UnsupportedVersion { found: 2, supported: 1 },
            "version 0x02 is not supported, only 0x01; does the peer run a newer release?",
        ),
        (
            HeaderError::UnsupportedVersion { found: 1, supported: 2 },
            "version 0x01 is not supported, only 0x02; does the peer send an older version?",
        ),
        (
            HeaderError::InvalidKind,
            "kind 0x00 is never valid; the sender builds its headers wrongly",
        ),
        (
            HeaderError::BadCheck { found: 0x0A, expected: 0xB0 },
            "the header's check is 0x0a and should be 0xb0; \
             was the header damaged, or the position in the stream lost?",
        ),
        (
            HeaderError::NegativeLength { found: 0xFF, max: -2 },
            "the length is negative, at most -2 (its top byte is 0xff); \
             is the byte order the peer's?",
        ),
        (
            HeaderError::OverlongVarint,
            "the length is a varint with a needless zero byte at its end; \
             the sender has to use the shortest form",
        ),
        (
            HeaderError::VarintOverflow { found: 2 },
            "the length is a varint that goes on past 64 bits (its tenth byte is 0x02); \
             does the peer speak this format?",
        ),
        (
            HeaderError::LengthTooShort { found: 3, min: 4 },
            "a length of 3 covers less than the header, at least 4 is needed; \
             does the length cover what the format says?",
        ),
        (
            HeaderError::Custom { code: 0x8001, text: "" },
            "the format refused the header with code 0x8001",
        ),
        (
            HeaderError::Custom { code: 0x8001, text: "the mark is missing" },
            "the mark is missing (code 0x8001)",
        ),
        (HeaderError::TooLong { room: 9 }, "no header ends within the 9 bytes that one may have"),
        (
            HeaderError::BrokenFormat,
            "the format contradicts itself; test it against the laws of the `Format` trait",
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert!(error.source().is_none());
    }
}

#[test]
fn a_failed_stream_says_at_which_byte() {
    let header = |error| DecodeError::Header { at: 100, error };
    for (error, text) in [
        // The byte is the one that decided, within the frame that begins at 100.
        (header(HeaderError::BadMagic { found: 1 }), "byte 100: a frame starts with 0xf5, found "),
        (
            header(HeaderError::UnsupportedVersion { found: 2, supported: 1 }),
            "byte 101: version 0x02 ",
        ),
        (header(HeaderError::InvalidKind), "byte 102: kind 0x00 "),
        (header(HeaderError::BadCheck { found: 1, expected: 2 }), "byte 107: the header's check "),
        (header(HeaderError::OverlongVarint), "byte 100: the length is a varint "),
        (
            DecodeError::Oversize { at: 7, len: 9, limit: 5 },
            "byte 7: the frame announces a payload of 9 bytes and the limit is 5; \
             raise the limit if the peer is right",
        ),
        (
            DecodeError::Truncated { at: 9, missing: 1, part: Part::Header },
            "byte 9: the stream ended inside a header, at least 1 byte is missing; \
             was the connection cut?",
        ),
        (
            DecodeError::Truncated { at: 9, missing: 2, part: Part::Payload },
            "byte 9: the stream ended inside a payload, 2 bytes are missing; \
             was the connection cut?",
        ),
        (
            DecodeError::Unsynchronized { at: 30, skipped: 20 },
            "byte 30: no frame found yet after 20 skipped bytes; \
             go on searching, or give the stream up",
        ),
        (
            DecodeError::NoRoom { at: 3, needed: 8, room: 4 },
            "byte 3: the frame's header needs 8 bytes and the read buffer holds 4; \
             give it a larger storage",
        ),
    ] {
        assert!(error.to_string().starts_with(text), "{error}");
        // The text holds the cause's: a report of the whole chain prints it once.
        assert!(error.source().is_none());
    }
    // An offset that no stream reaches is no reason to panic.
    let last = DecodeError::Header { at: u64::MAX, error: HeaderError::InvalidKind };
    assert!(last.to_string().starts_with("byte 18446744073709551615: "));
}

#[test]
fn every_stream_error_has_a_place() {
    for error in [
        DecodeError::Header { at: 5, error: HeaderError::InvalidKind },
        DecodeError::Oversize { at: 5, len: 9, limit: 5 },
        DecodeError::Truncated { at: 5, missing: 1, part: Part::Header },
        DecodeError::Unsynchronized { at: 5, skipped: 20 },
        DecodeError::NoRoom { at: 5, needed: 8, room: 4 },
    ] {
        assert_eq!(error.at(), 5, "{error}");
    }
}

#[test]
fn a_refused_datagram_says_why() {
    let malformed = DecodeError::Truncated { at: 9, missing: 2, part: Part::Payload };
    for (error, text) in [
        (
            DatagramError::Cut { room: 1200 },
            "it is longer than the 1200 bytes it was received in; use a larger buffer".to_owned(),
        ),
        (DatagramError::Empty, "it is empty and must hold at least one frame".to_owned()),
        (DatagramError::Malformed(malformed), malformed.to_string()),
        (
            DatagramError::MisplacedKind { at: 8, kind: 5 },
            "byte 8: a frame of kind 0x05 has no place in a datagram; send it over a stream"
                .to_owned(),
        ),
        (
            DatagramError::UnknownKind { at: 8, kind: 0x41 },
            "byte 8: the kind 0x41 is critical and not known here; \
             does the peer run a newer release?"
                .to_owned(),
        ),
    ] {
        assert_eq!(error.to_string(), format!("the datagram was refused: {text}"));
        assert!(error.source().is_none());
    }
}

#[test]
fn a_frame_that_cannot_be_written_says_what_would_help() {
    for (error, text) in [
        (
            EncodeError::Oversize { len: 6, limit: 5 },
            "a payload of 6 bytes is over the limit of 5; \
             split it, or raise the limit on both sides",
        ),
        (
            EncodeError::NoRoom { needed: 9, room: 8 },
            "the frame needs 9 bytes and the output has 8",
        ),
        (
            EncodeError::Meta,
            "the header's fields do not fit the format; were they made by another one?",
        ),
        (
            EncodeError::Custom { code: 7, text: &"" },
            "the format refused to write the header, with code 0x0007",
        ),
        (EncodeError::Custom { code: 7, text: &"no such kind" }, "no such kind (code 0x0007)"),
        (
            EncodeError::BrokenFormat,
            "the format contradicts itself; test it against the laws of the `Format` trait",
        ),
        (
            EncodeError::Unfinished { missing: 3 },
            "the frame before is 3 bytes short; complete it, or close the stream",
        ),
        (
            EncodeError::Excess { len: 4, missing: 3 },
            "4 bytes of payload where the frame has room for 3; \
             announce the right length at its begin",
        ),
        (EncodeError::NoFrame, "no frame was begun; begin one with its length first"),
        (
            EncodeError::MisplacedKind { kind: 5 },
            "a frame of kind 0x05 has no place in a datagram; send it over a stream",
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert!(error.source().is_none());
    }
}

#[test]
fn what_cannot_be_built_or_gone_on_with_says_why() {
    let truncated = DecodeError::Truncated { at: 9, missing: 2, part: Part::Payload };
    for (error, text) in [
        (
            Box::new(RecoverError::NotFailed) as Box<dyn Error>,
            "the stream has not failed; read on".to_owned(),
        ),
        (
            Box::new(RecoverError::Failed(truncated)),
            format!(
                "only a frame whose end is known can be skipped, and the error was: {truncated}"
            ),
        ),
        (
            Box::new(StorageError { needed: 9, room: 8 }),
            "a frame within the limit may need 9 bytes and the storage has 8; \
             give it more, or set a smaller limit"
                .to_owned(),
        ),
        (
            Box::new(LayoutError::HeaderLen { found: 33 }),
            "a header has 1 to 32 bytes, not 33".to_owned(),
        ),
        (
            Box::new(LayoutError::Width { found: 9 }),
            "a length field has 1 to 8 bytes, not 9".to_owned(),
        ),
        (
            Box::new(LayoutError::FieldOutside { offset: 3, width: 2, header_len: 4 }),
            "a length field of 2 bytes at offset 3 does not end within a header of 4".to_owned(),
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert!(error.source().is_none());
    }
}

#[test]
fn kinds_are_shown_by_name_or_number() {
    let own = Kind::new(0x41).unwrap();
    assert_eq!(format!("{} {}", Kind::FILE_OPEN, own), "file-open 0x41");
    assert_eq!(format!("{:?} {:?}", Kind::FILE_OPEN, own), "Kind(file-open) Kind(0x41)");
}

#[test]
fn a_log_shows_where_a_stream_stands() {
    let mut decoder = Decoder::with_framing(Framing::new(U32Be).with_limit(9));
    assert_eq!(
        format!("{decoder:?}"),
        "Decoder { format: U32Be, limit: 9, position: 0, finish: Ok(()) }"
    );
    let mut pieces = decoder.pieces(b"\0\0\0\x01a\0");
    pieces.next().unwrap().unwrap();
    assert_eq!(
        format!("{pieces:?}"),
        "Pieces { decoder: Decoder { format: U32Be, limit: 9, position: 5, finish: Ok(()) }, \
         rest: 1 }"
    );

    let mut buf = FrameBuf::with_framing([0; 16], Framing::new(U32Be).with_limit(9)).unwrap();
    buf.extend(b"\0\0\0\x01a\0");
    buf.next_frame().unwrap();
    assert_eq!(
        format!("{buf:?}"),
        "FrameBuf { scanner: Scanner { format: U32Be, limit: 9, position: 5, error: None, .. }, \
         unread: 1 }"
    );
    buf.extend(b"\0\0\x0Axyz");
    buf.next_frame().unwrap_err();
    // The bytes of the refused header are not unread.
    assert!(format!("{buf:?}").ends_with(" unread: 3 }"), "{buf:?}");
}

#[test]
fn a_log_shows_bytes_escaped_and_in_part() {
    let mut wire = Vec::new();
    Framing::new(V1).encode(Kind::TEXT, b"a\x1b\n", &mut wire).unwrap();
    let header = "Header { meta: Kind(text), payload_len: 3, header_len: 8 }";
    let piece = Decoder::new().decode(&mut &wire[..]).unwrap().unwrap();
    assert_eq!(
        format!("{piece:?}"),
        format!(r#"Piece {{ header: Some({header}), bytes: b"a\x1b\n", last: true }}"#)
    );
    let framing = Framing::new(V1);
    let frame = framing.split_frame(&mut &wire[..]).unwrap().unwrap();
    assert_eq!(format!("{frame:?}"), r#"Frame { meta: Kind(text), payload: b"a\x1b\n" }"#);

    // All of 32 bytes, and of more that much and how many there are.
    for (len, shown) in [(32, "x\" }"), (33, "x\"... (33 bytes) }")] {
        let frame = framing.frame(Kind::TEXT, vec![b'x'; len]).unwrap();
        let text = format!("{frame:?}");
        assert!(text.ends_with(&format!("b\"{}{shown}", "x".repeat(31))), "{text}");
    }

    let datagram = framing.datagram(&wire).unwrap();
    assert_eq!(
        format!("{datagram:?}"),
        r#"Datagram { left: 1, rest: b"\xf5\x01\x01\x00\x00\x00\x03\xdda\x1b\n", .. }"#
    );
    let mut storage = [0; 16];
    let mut packer = DatagramPacker::new(framing, &mut storage);
    assert_eq!(packer.push(Kind::TEXT, b"hi"), Ok(Pushed::Added));
    assert_eq!(format!("{packer:?}"), "DatagramPacker { len: 10, datagram_limit: 16, .. }");
}

#[test]
fn a_log_shows_headers_in_hexadecimal() {
    let header = Framing::new(U32Be).encode_header((), 26).unwrap();
    assert_eq!(format!("{header:?}"), "EncodedHeader([00, 00, 00, 1a])");
    let layout = Layout {
        header_len: 4,
        offset: 0,
        width: 2,
        order: ByteOrder::Big,
        covers: Covers::Payload,
    };
    let meta = LengthField::new(layout).unwrap().meta(b"\xff\xff\x01\xab").unwrap();
    assert_eq!(format!("{meta:?}"), "FieldMeta([00, 00, 01, ab])");
}

/// Each section of `docs/embedding.md` has a program, and is in the page's contents.
#[test]
fn the_contents_of_the_page_about_embedding_are_complete() {
    let page = include_str!("../../docs/embedding.md");
    let contents = page.split("\n## ").next().unwrap_or_default();
    let sections = page.split("\n## ").skip(1).flat_map(|section| section.split("\n### "));
    let mut anchors: Vec<_> = sections
        .map(|section| {
            assert!(section.contains("\n```rust\n"), "{section}");
            let title = section.lines().next().unwrap_or_default().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            title.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
        })
        .collect();
    let links = contents.split("](#").skip(1);
    let mut linked: Vec<_> = links.filter_map(|link| link.split(')').next()).collect();
    anchors.sort();
    linked.sort_unstable();
    assert_eq!(linked, anchors);
}
