//! The situations in which Netty tests its `LengthFieldBasedFrameDecoder` and its
//! `LengthFieldPrepender`, here: a row for each of the nine tests in the three test classes of
//! version 4.2, under that test's name, and for each of the nine examples in the two classes'
//! documentation. None is left out.
//!
//! Netty counts the header in its `maxFrameLength`; a limit here counts the payload alone.

use unstick::{
    ByteOrder, Covers, DecodeError, EncodeError, FrameBuf, Framing, HeaderError, Layout,
    LengthField, U32Be,
};
use unstick_testing::chunks::{Subject, compare_all, single_bytes};

const HELLO: &[u8] = b"HELLO, WORLD";

/// A frame, both ways.
struct Example {
    name: &'static str,
    layout: Layout,
    wire: &'static [u8],
    /// `initialBytesToStrip`: here a frame has all its parts, and the caller takes what it wants.
    strip: usize,
    delivered: &'static [u8],
    payload: &'static [u8],
}

const FIELD: Layout =
    Layout { header_len: 2, offset: 0, width: 2, order: ByteOrder::Big, covers: Covers::Payload };
const FOUR: Layout = Layout { header_len: 4, width: 4, ..FIELD };

const EXAMPLES: &[Example] = &[
    Example {
        name: "2 bytes length field at offset 0, do not strip header",
        layout: FIELD,
        wire: b"\0\x0cHELLO, WORLD",
        strip: 0,
        delivered: b"\0\x0cHELLO, WORLD",
        payload: HELLO,
    },
    Example {
        name: "2 bytes length field at offset 0, strip header",
        layout: FIELD,
        wire: b"\0\x0cHELLO, WORLD",
        strip: 2,
        delivered: HELLO,
        payload: HELLO,
    },
    Example {
        name: "... do not strip header, the length field represents the length of the whole message",
        layout: Layout { covers: Covers::Frame, ..FIELD },
        wire: b"\0\x0eHELLO, WORLD",
        strip: 0,
        delivered: b"\0\x0eHELLO, WORLD",
        payload: HELLO,
    },
    Example {
        name: "3 bytes length field at the end of 5 bytes header, do not strip header",
        layout: Layout { header_len: 5, offset: 2, width: 3, ..FIELD },
        wire: b"\xca\xfe\0\0\x0cHELLO, WORLD",
        strip: 0,
        delivered: b"\xca\xfe\0\0\x0cHELLO, WORLD",
        payload: HELLO,
    },
    Example {
        name: "3 bytes length field at the beginning of 5 bytes header, do not strip header",
        layout: Layout { header_len: 5, width: 3, ..FIELD },
        wire: b"\0\0\x0c\xca\xfeHELLO, WORLD",
        strip: 0,
        delivered: b"\0\0\x0c\xca\xfeHELLO, WORLD",
        payload: HELLO,
    },
    Example {
        name: "2 bytes length field at offset 1 in the middle of 4 bytes header, strip ...",
        layout: Layout { header_len: 4, offset: 1, ..FIELD },
        wire: b"\xca\0\x0c\xfeHELLO, WORLD",
        strip: 3,
        delivered: b"\xfeHELLO, WORLD",
        payload: HELLO,
    },
    Example {
        name: "... the length field represents the length of the whole message",
        layout: Layout { header_len: 4, offset: 1, covers: Covers::Frame, ..FIELD },
        wire: b"\xca\0\x10\xfeHELLO, WORLD",
        strip: 3,
        delivered: b"\xfeHELLO, WORLD",
        payload: HELLO,
    },
    Example {
        name: "LengthFieldPrepender(2)",
        layout: FIELD,
        wire: b"\0\x0cHELLO, WORLD",
        strip: 2,
        delivered: HELLO,
        payload: HELLO,
    },
    Example {
        name: "LengthFieldPrepender(2) with lengthIncludesLengthFieldLength",
        layout: Layout { covers: Covers::Frame, ..FIELD },
        wire: b"\0\x0eHELLO, WORLD",
        strip: 2,
        delivered: HELLO,
        payload: HELLO,
    },
    Example {
        name: "testPrependLength",
        layout: FOUR,
        wire: b"\0\0\0\x01A",
        strip: 4,
        delivered: b"A",
        payload: b"A",
    },
    Example {
        name: "testPrependLengthIncludesLengthFieldLength",
        layout: Layout { covers: Covers::Frame, ..FOUR },
        wire: b"\0\0\0\x05A",
        strip: 4,
        delivered: b"A",
        payload: b"A",
    },
    Example {
        // A message's byte that the length does not count is a byte of the header here.
        name: "testPrependAdjustedLength",
        layout: Layout { header_len: 5, ..FOUR },
        wire: b"\0\0\0\0A",
        strip: 4,
        delivered: b"A",
        payload: b"",
    },
    Example {
        name: "testPrependLengthInLittleEndian",
        layout: Layout { order: ByteOrder::Little, ..FOUR },
        wire: b"\x01\0\0\0A",
        strip: 4,
        delivered: b"A",
        payload: b"A",
    },
];

#[test]
fn examples() {
    for row in EXAMPLES {
        println!("{}", row.name);
        let format = LengthField::new(row.layout).unwrap();
        let framing = Framing::new(format);
        let frame = framing.split_frame(&mut &row.wire[..]).unwrap().unwrap();
        assert_eq!(frame.bytes(), row.wire, "{}", row.name);
        assert_eq!(&frame.bytes()[row.strip..], row.delivered, "{}", row.name);
        assert_eq!(frame.payload, row.payload, "{}", row.name);
        // What was decoded is encoded as it was.
        let mut wire = Vec::new();
        framing.encode(frame.meta, frame.payload, &mut wire).unwrap();
        assert_eq!(wire, row.wire, "{}", row.name);
        let twice = row.wire.repeat(2);
        compare_all(&framing, &twice, &single_bytes(&twice));
    }
}

/// `LengthFieldPrepender(4, -2)` and a message of one byte. The two bytes that the length does not
/// count are the header's here, and one byte is not a header.
#[test]
fn test_adjusted_length_less_than_zero() {
    let format = LengthField::new(Layout { header_len: 6, ..FOUR }).unwrap();
    assert_eq!(format.meta(b"\0\0\0\0A"), Err(EncodeError::Meta));
}

/// What comes out once a chunk has arrived.
enum Event {
    /// A frame over the limit was met, and is skipped.
    TooLong {
        at: u64,
        len: u64,
    },
    Frame(&'static [u8]),
}
use Event::{Frame, TooLong};

struct Recovery {
    name: &'static str,
    limit: u64,
    chunks: &'static [(&'static [u8], &'static [Event])],
}

/// Frames of 32 bytes and of one, with a limit of 16 that counts a header of four.
const TOO_LONG: &[u8] = b"\0\0\0\x20................................\0\0\0\x01a";

const RECOVERIES: &[Recovery] = &[
    Recovery {
        name: "testDiscardTooLongFrame1",
        limit: 12,
        chunks: &[(TOO_LONG, &[TooLong { at: 0, len: 32 }, Frame(b"a")])],
    },
    Recovery {
        name: "testDiscardTooLongFrame2",
        limit: 12,
        chunks: &[
            (TOO_LONG.first_chunk::<14>().unwrap(), &[TooLong { at: 0, len: 32 }]),
            (TOO_LONG.split_at(14).1, &[Frame(b"a")]),
        ],
    },
    Recovery {
        // There is no `failFast` here that could be false: the error comes as soon as the header
        // is whole, and who wants to tell it later, does.
        name: "testFailSlowTooLongFrameRecovery",
        limit: 1,
        chunks: &[
            (b"\0\0\0\x02", &[TooLong { at: 0, len: 2 }]),
            (b"\0\0", &[]),
            (b"\0\0\0\x01A", &[Frame(b"A")]),
            (b"\0\0\0\x02", &[TooLong { at: 11, len: 2 }]),
            (b"\0\0", &[]),
            (b"\0\0\0\x01A", &[Frame(b"A")]),
        ],
    },
    Recovery {
        name: "testFailFastTooLongFrameRecovery",
        limit: 1,
        chunks: &[
            (b"\0\0\0\x02", &[TooLong { at: 0, len: 2 }]),
            (b"\0\0\0\0\0\x01A", &[Frame(b"A")]),
            (b"\0\0\0\x02", &[TooLong { at: 11, len: 2 }]),
            (b"\0\0\0\0\0\x01A", &[Frame(b"A")]),
        ],
    },
];

#[test]
fn recoveries() {
    for row in RECOVERIES {
        println!("{}", row.name);
        recover(&LengthField::new(FOUR).unwrap(), row);
        recover(&U32Be, row);
    }
}

fn recover<F: Subject>(format: &F, row: &Recovery) {
    let framing = Framing::new(format.clone()).with_limit(row.limit);
    let mut buf = FrameBuf::with_framing([0; 64], framing.clone()).unwrap();
    for (chunk, events) in row.chunks {
        assert_eq!(buf.extend(chunk), chunk.len());
        for event in *events {
            match *event {
                TooLong { at, len } => {
                    let error = DecodeError::Oversize { at, len, limit: row.limit };
                    assert_eq!(buf.next_frame(), Err(error), "{}", row.name);
                    // Netty skips by itself; here the caller says so, and else it goes on failing.
                    assert_eq!(buf.next_frame(), Err(error), "{}", row.name);
                    buf.skip_frame().unwrap();
                }
                Frame(payload) => {
                    let frame = buf.next_frame().unwrap().unwrap();
                    assert_eq!(frame.payload, payload, "{}", row.name);
                }
            }
        }
        assert_eq!(buf.next_frame(), Ok(None), "{}", row.name);
    }
    assert_eq!(buf.finish(), Ok(()), "{}", row.name);
    let stream: Vec<u8> = row.chunks.iter().flat_map(|(chunk, _)| *chunk).copied().collect();
    let ends = row.chunks.iter().scan(0, |end, (chunk, _)| {
        *end += chunk.len();
        Some(*end)
    });
    let mut cuts: Vec<_> = ends.collect();
    cuts.pop();
    compare_all(&framing, &stream, &cuts);
    compare_all(&framing, &stream, &single_bytes(&stream));
}

/// Headers for which the decoder throws a `CorruptedFrameException`.
struct Corrupted {
    name: &'static str,
    layout: Layout,
    wire: &'static [u8],
    error: DecodeError,
}

const CORRUPTED: &[Corrupted] = &[
    Corrupted {
        // Eight bytes are read as unsigned here, as all other widths are.
        name: "negative pre-adjustment length field",
        layout: Layout { header_len: 8, width: 8, ..FIELD },
        wire: b"\xff\xff\xff\xff\xff\xff\xff\xff",
        error: DecodeError::Oversize { at: 0, len: u64::MAX, limit: 1 << 20 },
    },
    Corrupted {
        name: "frame length is less than lengthFieldEndOffset",
        layout: Layout { covers: Covers::Frame, ..FIELD },
        wire: b"\0\x01",
        error: DecodeError::Header {
            at: 0,
            error: HeaderError::LengthTooShort { found: 1, min: 2 },
        },
    },
    Corrupted {
        // Two bytes of header, one of them behind the field, and a length that leaves it out.
        name: "frame length is less than initialBytesToStrip",
        layout: Layout { header_len: 2, width: 1, covers: Covers::AfterField, ..FIELD },
        wire: b"\0\0",
        error: DecodeError::Header {
            at: 0,
            error: HeaderError::LengthTooShort { found: 0, min: 1 },
        },
    },
];

#[test]
fn corrupted_frames() {
    for row in CORRUPTED {
        let framing = Framing::new(LengthField::new(row.layout).unwrap());
        assert_eq!(framing.split_frame(&mut &row.wire[..]), Err(row.error), "{}", row.name);
        compare_all(&framing, row.wire, &single_bytes(row.wire));
    }
}
