//! Kinds, layouts, framings, owned frames and error codes as values.

use unstick::{
    ByteOrder, Covers, DEFAULT_LIMIT, DecodeError, Decoder, Format, Framing, HeaderBuf, Kind,
    Layout, LayoutError, LengthField, U8, V1,
};
use unstick_testing::chunks::Subject;
use unstick_testing::formats::{self, every_format};

// spec: KND-1, KND-3
#[test]
fn kinds_have_their_numbers_classes_and_names() {
    let known = [
        (0x01, Kind::TEXT, "text"),
        (0x02, Kind::BINARY, "binary"),
        (0x03, Kind::PING, "ping"),
        (0x04, Kind::PONG, "pong"),
        (0x05, Kind::CLOSE, "close"),
        (0x10, Kind::FILE_OPEN, "file-open"),
        (0x11, Kind::FILE_DATA, "file-data"),
        (0x12, Kind::FILE_DONE, "file-done"),
        (0x13, Kind::FILE_STATUS, "file-status"),
        (0x14, Kind::FILE_CANCEL, "file-cancel"),
        (0x80, Kind::HELLO, "hello"),
        (0x90, Kind::FILE_ATTRIBUTES, "file-attributes"),
    ];
    for number in 1..=255 {
        let kind = Kind::new(number).unwrap();
        assert_eq!(kind.is_critical(), number <= 0x7F);
        let applications = matches!(number, 0x40..=0x7F | 0xC0..=0xFF);
        assert_eq!(kind.is_application(), applications);
        let entry = known.iter().find(|(known, ..)| *known == number);
        assert_eq!(kind.name(), entry.map(|(.., name)| *name));
        assert!(entry.is_none_or(|(_, constant, _)| *constant == kind));
    }
}

// spec: FMT-13
#[test]
fn impossible_layouts_are_refused_when_built() {
    let build = |header_len, offset, width| {
        let (order, covers) = (ByteOrder::Big, Covers::Frame);
        LengthField::new(Layout { header_len, offset, width, order, covers })
    };
    let interesting = [0, 1, 2, 3, 7, 8, 9, 24, 31, 32, 33, usize::MAX - 1, usize::MAX];
    for header_len in interesting {
        for offset in interesting {
            for width in interesting {
                let in_range = (1..=32).contains(&header_len)
                    && (1..=8).contains(&width)
                    && width <= header_len
                    && offset <= header_len - width;
                let built = build(header_len, offset, width);
                assert_eq!(built.is_ok(), in_range, "{header_len} {offset} {width}");
            }
        }
    }
    assert_eq!(build(33, 0, 1), Err(LayoutError::HeaderLen { found: 33 }));
    assert_eq!(build(9, 0, 9), Err(LayoutError::Width { found: 9 }));
    let outside = LayoutError::FieldOutside { offset: 3, width: 2, header_len: 4 };
    assert_eq!(build(4, 3, 2), Err(outside));
}

/// Errors have the numbers of the registry.
// spec: ERR-8
#[test]
fn errors_have_their_codes() {
    use unstick::{DatagramError, HeaderError, Part};
    let header = |error| DecodeError::Header { at: 3, error };
    let part = Part::Header;
    let codes = [
        (header(HeaderError::BadMagic { found: 1 }), 0x0001),
        (header(HeaderError::UnsupportedVersion { found: 2, supported: 1 }), 0x0002),
        (header(HeaderError::InvalidKind), 0x0003),
        (header(HeaderError::BadCheck { found: 1, expected: 2 }), 0x0004),
        (DecodeError::Oversize { at: 3, len: 2, limit: 1 }, 0x0005),
        (DecodeError::Truncated { at: 3, missing: 1, part }, 0x0006),
        (header(HeaderError::NegativeLength { found: 0x80, max: -1 }), 0x000A),
        (header(HeaderError::OverlongVarint), 0x000A),
        (header(HeaderError::VarintOverflow { found: 2 }), 0x000A),
        (header(HeaderError::LengthTooShort { found: 1, min: 2 }), 0x000A),
        (DecodeError::Unsynchronized { at: 3, skipped: 1 }, 0x000C),
        (header(HeaderError::Custom { code: 0x8123, text: "" }), 0x8123),
    ];
    for (error, code) in codes {
        assert_eq!((error.code(), error.at()), (code, 3), "{error:?}");
    }
    assert_eq!(DatagramError::Empty.code(), 0x000B);
    assert_eq!(DatagramError::Cut { room: 1 }.code(), 0x000B);
}

/// A format that is borrowed is the same format.
#[test]
fn a_borrowed_format_answers_as_its_owner() {
    fn check<F: Subject>(format: &F) {
        fn answers<F: Format>(
            format: F,
            meta: &F::Meta,
            len: u64,
        ) -> impl PartialEq + std::fmt::Debug {
            let mut buf = F::HeaderBuf::ZERO;
            let used = format.encode_header(meta, len, &mut buf).unwrap();
            let bytes = buf.as_ref()[..used].to_vec();
            (
                (format.max_payload_len(), format.max_header_len(), format.in_datagram(meta)),
                format.decode_header(&bytes).map(|parsed| format!("{parsed:?}")),
                format.resume_header(&bytes, 0).map(|parsed| format!("{parsed:?}")),
                format.whole_header(&bytes).map(|header| format!("{header:?}")),
                bytes,
            )
        }
        for seed in 0..4 {
            let meta = format.pick_meta(seed);
            assert_eq!(
                format!("{:?}", answers(format, &meta, seed)),
                format!("{:?}", answers(format.clone(), &meta, seed))
            );
        }
    }
    every_format!(formats::layouts(), check);
}

#[test]
fn framings_are_equal_by_what_they_mean() {
    let framing = Framing::new(V1);
    assert_eq!(framing, Framing::new(V1).with_limit(DEFAULT_LIMIT));
    assert_eq!(framing, Framing::default());
    assert_ne!(framing, Framing::new(V1).with_limit(DEFAULT_LIMIT - 1));
    let [one, other] = [formats::layout(1), formats::layout(2)];
    assert_eq!(Framing::new(one).with_limit(5), Framing::new(one).with_limit(5));
    assert_ne!(Framing::new(one).with_limit(5), Framing::new(other).with_limit(5));
    assert_eq!(Decoder::<U8>::default().limit(), 255);
}

#[test]
fn an_owned_frame_gives_its_parts_away() {
    let frame = Framing::new(V1).frame(Kind::TEXT, b"hello").unwrap();
    let header = Framing::new(V1).encode_header(Kind::TEXT, 5).unwrap();
    let copy = Clone::clone(&header);
    assert_eq!(copy.as_ref(), header.as_bytes());
    assert_eq!(frame.to_bytes(), [header.as_bytes(), b"hello"].concat());
    assert_eq!(frame.header_bytes(), header.as_bytes());
    assert_eq!(frame.payload(), b"hello");
    let place = frame.payload().as_ptr();
    let payload = frame.into_payload();
    assert_eq!((&payload[..], payload.capacity()), (&b"hello"[..], 5));
    assert_eq!(payload.as_ptr(), place, "the payload was moved");
    assert_eq!(Framing::new(U8).frame((), b"").unwrap().into_payload(), b"");
}

/// An error with a text is as small as one without: three words, one of them the tag.
#[test]
fn encode_errors_are_small() {
    assert!(size_of::<unstick::EncodeError>() <= 24);
    assert!(size_of::<unstick::HeaderError>() <= 24);
}
