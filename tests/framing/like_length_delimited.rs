//! The situations in which tokio-util tests its `LengthDelimitedCodec`, here: a row for each of the
//! 41 tests in `tokio-util/tests/length_delimited.rs` of version 0.7.20, under that test's name.
//!
//! Each row runs through the adapters, the core, and (feature `tokio-util`) the codecs of this crate.
//! The codec itself is run beside every row, so that what `docs/migration.md` says of both is true.
//! Rows whose name is a sentence are not from there: they are what a user who migrates would trip
//! over.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures::{Sink, Stream};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::length_delimited::Builder;
use tokio_util::codec::{Encoder as _, FramedRead, FramedWrite, LengthDelimitedCodec};
use unstick::tokio::{FrameReader, FrameWriter, ReadError, WriteError};
use unstick::{
    ByteOrder, Covers, DEFAULT_LIMIT, DecodeError, EncodeError, Framing, HeaderError, Layout,
    LengthField, MAX_PAYLOAD_LEN, Part, U8, U16Be, U32Be, U32Le, U64Be,
};
use unstick_testing::chunks::{Subject, compare_all};
use unstick_testing::script::{Drain, Source, Step, poll_once, run};

/// What one call on the transport does.
enum Io {
    Data(&'static [u8]),
    Wait,
}
use Io::{Data, Wait};

/// What the caller does, or sees.
enum Read {
    /// The next frame has this payload; for a row that keeps headers, it is this with its header.
    Frame(&'static [u8]),
    /// Nothing yet.
    Pending,
    /// The stream has ended between two frames.
    End,
    /// The stream has failed; the codec has failed, too.
    Fails(DecodeError),
    /// The stream has failed; the codec says that it has ended.
    FailsOnlyHere(DecodeError),
    /// The caller gives the codec another limit,
    CodecLimit(usize),
    /// and here takes the reader apart, and builds one that has it.
    NewLimit(u64),
}

struct Reading {
    name: &'static str,
    codec: fn(&mut Builder) -> &mut Builder,
    layout: Layout,
    limit: u64,
    /// Whether the codec is told not to skip the header. Here a frame has both: `payload`, and
    /// `bytes()` with the header.
    keeps: bool,
    source: &'static [Io],
    reads: &'static [Read],
}

/// A length of four bytes that counts the payload, most significant byte first: what the codec
/// does without options. Rows say what is different.
const PLAIN: Layout =
    Layout { header_len: 4, offset: 0, width: 4, order: ByteOrder::Big, covers: Covers::Payload };
const LITTLE: Layout = Layout { order: ByteOrder::Little, ..PLAIN };
const NATIVE: Layout = if cfg!(target_endian = "big") { PLAIN } else { LITTLE };
const ONE_BYTE: Layout = Layout { header_len: 1, width: 1, ..PLAIN };
const TWO_BYTES: Layout = Layout { header_len: 2, width: 2, ..PLAIN };
const READ: Reading = Reading {
    name: "",
    codec: |builder| builder,
    layout: PLAIN,
    limit: DEFAULT_LIMIT,
    keeps: false,
    source: &[],
    reads: &[],
};

const READINGS: &[Reading] = &[
    Reading { name: "read_empty_io_yields_nothing", reads: &[Read::End], ..READ },
    Reading {
        name: "read_single_frame_one_packet",
        source: &[Data(b"\0\0\0\x09abcdefghi")],
        reads: &[Read::Frame(b"abcdefghi"), Read::End],
        ..READ
    },
    Reading {
        name: "read_single_frame_one_packet_little_endian",
        codec: |builder| builder.little_endian(),
        layout: LITTLE,
        source: &[Data(b"\x09\0\0\0abcdefghi")],
        reads: &[Read::Frame(b"abcdefghi"), Read::End],
        ..READ
    },
    Reading {
        // There is no native order here: a wire format has one, whoever reads it.
        name: "read_single_frame_one_packet_native_endian",
        codec: |builder| builder.native_endian(),
        layout: NATIVE,
        source: if cfg!(target_endian = "big") {
            &[Data(b"\0\0\0\x09abcdefghi")]
        } else {
            &[Data(b"\x09\0\0\0abcdefghi")]
        },
        reads: &[Read::Frame(b"abcdefghi"), Read::End],
        ..READ
    },
    Reading {
        name: "read_single_multi_frame_one_packet",
        source: &[Data(b"\0\0\0\x09abcdefghi\0\0\0\x03123\0\0\0\x0bhello world")],
        reads: &[
            Read::Frame(b"abcdefghi"),
            Read::Frame(b"123"),
            Read::Frame(b"hello world"),
            Read::End,
        ],
        ..READ
    },
    Reading {
        name: "read_single_frame_multi_packet",
        source: &[Data(b"\0\0"), Data(b"\0\x09abc"), Data(b"defghi")],
        reads: &[Read::Frame(b"abcdefghi"), Read::End],
        ..READ
    },
    Reading {
        name: "read_multi_frame_multi_packet",
        source: &[
            Data(b"\0\0"),
            Data(b"\0\x09abc"),
            Data(b"defghi"),
            Data(b"\0\0\0\x0312"),
            Data(b"3\0\0\0\x0bhello world"),
        ],
        reads: &[
            Read::Frame(b"abcdefghi"),
            Read::Frame(b"123"),
            Read::Frame(b"hello world"),
            Read::End,
        ],
        ..READ
    },
    Reading {
        name: "read_single_frame_multi_packet_wait",
        source: &[Data(b"\0\0"), Wait, Data(b"\0\x09abc"), Wait, Data(b"defghi"), Wait],
        reads: &[Read::Pending, Read::Pending, Read::Frame(b"abcdefghi"), Read::Pending, Read::End],
        ..READ
    },
    Reading {
        name: "read_multi_frame_multi_packet_wait",
        source: &[
            Data(b"\0\0"),
            Wait,
            Data(b"\0\x09abc"),
            Wait,
            Data(b"defghi"),
            Wait,
            Data(b"\0\0\0\x0312"),
            Wait,
            Data(b"3\0\0\0\x0bhello world"),
            Wait,
        ],
        reads: &[
            Read::Pending,
            Read::Pending,
            Read::Frame(b"abcdefghi"),
            Read::Pending,
            Read::Pending,
            Read::Frame(b"123"),
            Read::Frame(b"hello world"),
            Read::Pending,
            Read::End,
        ],
        ..READ
    },
    Reading {
        name: "read_incomplete_head",
        source: &[Data(b"\0\0")],
        reads: &[Read::Fails(DecodeError::Truncated { at: 2, missing: 2, part: Part::Header })],
        ..READ
    },
    Reading {
        name: "read_incomplete_head_multi",
        source: &[Wait, Data(b"\0"), Wait],
        reads: &[
            Read::Pending,
            Read::Pending,
            Read::Fails(DecodeError::Truncated { at: 1, missing: 3, part: Part::Header }),
        ],
        ..READ
    },
    Reading {
        name: "read_incomplete_payload",
        source: &[Data(b"\0\0\0\x09ab"), Wait, Data(b"cd"), Wait],
        reads: &[
            Read::Pending,
            Read::Pending,
            Read::Fails(DecodeError::Truncated { at: 8, missing: 5, part: Part::Payload }),
        ],
        ..READ
    },
    Reading {
        name: "an end right behind a header is inside a frame",
        source: &[Data(b"\0\0\0\x09")],
        reads: &[Read::FailsOnlyHere(DecodeError::Truncated {
            at: 4,
            missing: 9,
            part: Part::Payload,
        })],
        ..READ
    },
    Reading {
        name: "read_max_frame_len",
        codec: |builder| builder.max_frame_length(5),
        limit: 5,
        source: &[Data(b"\0\0\0\x09abcdefghi")],
        reads: &[Read::Fails(DecodeError::Oversize { at: 0, len: 9, limit: 5 })],
        ..READ
    },
    Reading {
        name: "read_update_max_frame_len_at_rest",
        source: &[Data(b"\0\0\0\x09abcdefghi"), Data(b"\0\0\0\x09abcdefghi")],
        reads: &[
            Read::Frame(b"abcdefghi"),
            Read::CodecLimit(5),
            Read::NewLimit(5),
            Read::Fails(DecodeError::Oversize { at: 0, len: 9, limit: 5 }),
        ],
        ..READ
    },
    Reading {
        // The frame that has begun is taken under the old limit where the new one is set behind it.
        name: "read_update_max_frame_len_in_flight",
        source: &[Data(b"\0\0\0\x09abcd"), Wait, Data(b"efghi"), Data(b"\0\0\0\x09abcdefghi")],
        reads: &[
            Read::Pending,
            Read::CodecLimit(5),
            Read::Frame(b"abcdefghi"),
            Read::NewLimit(5),
            Read::Fails(DecodeError::Oversize { at: 0, len: 9, limit: 5 }),
        ],
        ..READ
    },
    Reading {
        name: "a new reader judges the frame that has begun, too",
        source: &[Data(b"\0\0\0\x09abcd"), Wait, Data(b"efghi")],
        codec: |builder| builder.max_frame_length(5),
        reads: &[Read::NewLimit(5), Read::Fails(DecodeError::Oversize { at: 0, len: 9, limit: 5 })],
        ..READ
    },
    Reading {
        name: "read_one_byte_length_field",
        codec: |builder| builder.length_field_length(1),
        layout: ONE_BYTE,
        source: &[Data(b"\x09abcdefghi")],
        reads: &[Read::Frame(b"abcdefghi"), Read::End],
        ..READ
    },
    Reading {
        name: "read_header_offset",
        codec: |builder| builder.length_field_length(2).length_field_offset(4),
        layout: Layout { header_len: 6, offset: 4, width: 2, ..PLAIN },
        source: &[Data(b"zzzz\0\x09abcdefghi")],
        reads: &[Read::Frame(b"abcdefghi"), Read::End],
        ..READ
    },
    Reading {
        name: "read_single_multi_frame_one_packet_skip_none_adjusted",
        codec: |builder| {
            builder.length_field_length(2).length_field_offset(2).num_skip(0).length_adjustment(4)
        },
        layout: Layout { header_len: 4, offset: 2, width: 2, ..PLAIN },
        keeps: true,
        source: &[Data(b"xx\0\x09abcdefghiyy\0\x03123zz\0\x0bhello world")],
        reads: &[
            Read::Frame(b"xx\0\x09abcdefghi"),
            Read::Frame(b"yy\0\x03123"),
            Read::Frame(b"zz\0\x0bhello world"),
            Read::End,
        ],
        ..READ
    },
    Reading {
        name: "read_single_frame_length_adjusted",
        codec: |builder| builder.length_field_length(3).num_skip(4),
        layout: Layout { header_len: 4, width: 3, ..PLAIN },
        source: &[Data(b"\0\0\x0b\x0cHello world")],
        reads: &[Read::Frame(b"Hello world"), Read::End],
        ..READ
    },
    Reading {
        name: "read_single_multi_frame_one_packet_length_includes_head",
        codec: |builder| builder.length_field_length(2).length_adjustment(-2),
        layout: Layout { covers: Covers::Frame, ..TWO_BYTES },
        source: &[Data(b"\0\x0babcdefghi\0\x05123\0\x0dhello world")],
        reads: &[
            Read::Frame(b"abcdefghi"),
            Read::Frame(b"123"),
            Read::Frame(b"hello world"),
            Read::End,
        ],
        ..READ
    },
    Reading {
        name: "a length that covers less than its header",
        codec: |builder| builder.length_field_length(2).length_adjustment(-2),
        layout: Layout { covers: Covers::Frame, ..TWO_BYTES },
        source: &[Data(b"\0\x01abc")],
        reads: &[Read::Fails(DecodeError::Header {
            at: 0,
            error: HeaderError::LengthTooShort { found: 1, min: 2 },
        })],
        ..READ
    },
];

/// Runs a function over the `LengthField` of a layout, and over the plain prefix that it equals.
macro_rules! formats {
    ($layout:expr, $function:ident $(, $arg:expr)*) => {{
        $function(&LengthField::new($layout).unwrap() $(, $arg)*);
        match $layout {
            PLAIN => $function(&U32Be $(, $arg)*),
            LITTLE => $function(&U32Le $(, $arg)*),
            ONE_BYTE => $function(&U8 $(, $arg)*),
            TWO_BYTES => $function(&U16Be $(, $arg)*),
            EIGHT_BYTES => $function(&U64Be $(, $arg)*),
            _ => {}
        }
    }};
}
const EIGHT_BYTES: Layout = Layout { header_len: 8, width: 8, ..PLAIN };

#[test]
fn readings() {
    for row in READINGS {
        println!("{}", row.name);
        formats!(row.layout, read, row);
        formats!(row.layout, read_on_every_path, row);
    }
}

fn read<F: Subject>(format: &F, row: &Reading) {
    let bytes: Vec<u8> = row.source.iter().flat_map(Io::bytes).copied().collect();
    let source = || Source::new(&bytes, row.source.iter().map(Io::step));
    let mut codec = (row.codec)(&mut Builder::new()).new_read(source());
    let framing = Framing::new(format.clone()).with_limit(row.limit);
    let mut reader = FrameReader::with_framing(source(), framing.clone());
    #[cfg(feature = "tokio-util")]
    in_framed::read(format, row, source());
    for read in row.reads {
        match *read {
            Read::Frame(want) => {
                let Poll::Ready(Ok(Some(frame))) = poll_once(pin!(reader.next_frame())) else {
                    panic!("{}: no frame", row.name);
                };
                let found = if row.keeps { frame.bytes() } else { frame.payload };
                assert_eq!(found, want, "{}", row.name);
                assert_eq!(codec_next(&mut codec), Poll::Ready(Some(Ok(want.to_vec()))));
            }
            Read::Pending => {
                assert!(poll_once(pin!(reader.next_frame())).is_pending(), "{}", row.name);
                assert!(codec_next(&mut codec).is_pending(), "{}", row.name);
            }
            Read::End => {
                assert!(matches!(poll_once(pin!(reader.next_frame())), Poll::Ready(Ok(None))));
                assert_eq!(codec_next(&mut codec), Poll::Ready(None), "{}", row.name);
            }
            Read::Fails(error) => {
                assert_fails(&mut reader, error, row.name);
                assert!(matches!(codec_next(&mut codec), Poll::Ready(Some(Err(_)))));
            }
            Read::FailsOnlyHere(error) => {
                assert_fails(&mut reader, error, row.name);
                assert_eq!(codec_next(&mut codec), Poll::Ready(None), "{}", row.name);
            }
            Read::CodecLimit(bytes) => codec.decoder_mut().set_max_frame_length(bytes),
            Read::NewLimit(bytes) => {
                let (source, unread) = reader.into_inner();
                reader = FrameReader::with_framing(source, framing.clone().with_limit(bytes))
                    .with_unread(&unread);
            }
        }
    }
}

/// It fails, and goes on failing: no byte behind an error is taken for a header.
fn assert_fails<F: Subject>(reader: &mut FrameReader<Source, F>, error: DecodeError, name: &str) {
    for _ in 0..2 {
        match poll_once(pin!(reader.next_frame())) {
            Poll::Ready(Err(ReadError::Decode(found))) => assert_eq!(found, error, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn codec_next(
    codec: &mut FramedRead<Source, LengthDelimitedCodec>,
) -> Poll<Option<Result<Vec<u8>, io::ErrorKind>>> {
    let next = Pin::new(codec).poll_next(&mut Context::from_waker(Waker::noop()));
    next.map(|next| {
        next.map(|frame| frame.map(|frame| frame.to_vec()).map_err(|error| error.kind()))
    })
}

/// The same bytes and cuts through the decoder, the read buffer and the rest of the core.
fn read_on_every_path<F: Subject>(format: &F, row: &Reading) {
    let bytes: Vec<u8> = row.source.iter().flat_map(Io::bytes).copied().collect();
    let ends = row.source.iter().scan(0, |end, io| {
        *end += io.bytes().len();
        Some(*end)
    });
    let mut cuts: Vec<_> = ends.collect();
    cuts.pop();
    compare_all(&Framing::new(format.clone()).with_limit(row.limit), &bytes, &cuts);
}

impl Io {
    fn bytes(&self) -> &'static [u8] {
        match self {
            Data(bytes) => bytes,
            Wait => &[],
        }
    }

    fn step(&self) -> Step {
        match self {
            Data(bytes) => Step::Move(bytes.len()),
            Wait => Step::Pending,
        }
    }
}

/// What the caller does, or sees.
enum Write {
    /// This payload is accepted,
    Accepts(&'static [u8]),
    /// or refused: here for this reason.
    Refuses(&'static [u8], EncodeError),
    /// All that was accepted is on the wire,
    Flushes,
    /// or not yet.
    Pending,
    CodecLimit(usize),
    NewLimit(u64),
}

struct Writing {
    name: &'static str,
    codec: fn(&mut Builder) -> &mut Builder,
    layout: Layout,
    limit: u64,
    /// What each write takes; behind the end all of it.
    sink: &'static [Step],
    writes: &'static [Write],
    wire: &'static [u8],
}

const WRITE: Writing = Writing {
    name: "",
    codec: |builder| builder,
    layout: PLAIN,
    limit: DEFAULT_LIMIT,
    sink: &[],
    writes: &[],
    wire: &[],
};

const SIX_IS_TOO_LONG: EncodeError = EncodeError::Oversize { len: 6, limit: 5 };

const WRITINGS: &[Writing] = &[
    Writing { name: "write_nothing_yields_nothing", writes: &[Write::Flushes], ..WRITE },
    Writing {
        name: "write_single_frame_one_packet",
        writes: &[Write::Accepts(b"abcdefghi"), Write::Flushes],
        wire: b"\0\0\0\x09abcdefghi",
        ..WRITE
    },
    Writing {
        // Every row is written both ways: from a slice, and as an owned frame into the `Sink`.
        name: "write_single_frame_from_slice",
        writes: &[Write::Accepts(b"abcdefghi"), Write::Flushes],
        wire: b"\0\0\0\x09abcdefghi",
        ..WRITE
    },
    Writing {
        name: "write_single_multi_frame_one_packet",
        writes: &[
            Write::Accepts(b"abcdefghi"),
            Write::Accepts(b"123"),
            Write::Accepts(b"hello world"),
            Write::Flushes,
        ],
        wire: b"\0\0\0\x09abcdefghi\0\0\0\x03123\0\0\0\x0bhello world",
        ..WRITE
    },
    Writing {
        name: "write_single_multi_frame_multi_packet",
        writes: &[
            Write::Accepts(b"abcdefghi"),
            Write::Flushes,
            Write::Accepts(b"123"),
            Write::Flushes,
            Write::Accepts(b"hello world"),
            Write::Flushes,
        ],
        wire: b"\0\0\0\x09abcdefghi\0\0\0\x03123\0\0\0\x0bhello world",
        ..WRITE
    },
    Writing {
        name: "write_single_frame_would_block",
        sink: &[Step::Pending, Step::Move(2), Step::Pending, Step::Move(2)],
        writes: &[Write::Accepts(b"abcdefghi"), Write::Pending, Write::Pending, Write::Flushes],
        wire: b"\0\0\0\x09abcdefghi",
        ..WRITE
    },
    Writing {
        name: "write_single_frame_little_endian",
        codec: |builder| builder.little_endian(),
        layout: LITTLE,
        writes: &[Write::Accepts(b"abcdefghi"), Write::Flushes],
        wire: b"\x09\0\0\0abcdefghi",
        ..WRITE
    },
    Writing {
        name: "write_single_frame_with_short_length_field",
        codec: |builder| builder.length_field_length(1),
        layout: ONE_BYTE,
        writes: &[Write::Accepts(b"abcdefghi"), Write::Flushes],
        wire: b"\x09abcdefghi",
        ..WRITE
    },
    Writing {
        name: "write_max_frame_len",
        codec: |builder| builder.max_frame_length(5),
        limit: 5,
        writes: &[Write::Refuses(b"abcdef", SIX_IS_TOO_LONG)],
        ..WRITE
    },
    Writing {
        name: "write_update_max_frame_len_at_rest",
        writes: &[
            Write::Accepts(b"abcdef"),
            Write::Flushes,
            Write::CodecLimit(5),
            Write::NewLimit(5),
            Write::Refuses(b"abcdef", SIX_IS_TOO_LONG),
        ],
        wire: b"\0\0\0\x06abcdef",
        ..WRITE
    },
    Writing {
        name: "write_update_max_frame_len_in_flight",
        sink: &[Step::Move(6), Step::Pending],
        writes: &[
            Write::Accepts(b"abcdef"),
            Write::Pending,
            Write::CodecLimit(5),
            Write::NewLimit(5),
            Write::Flushes,
            Write::Refuses(b"abcdef", SIX_IS_TOO_LONG),
        ],
        wire: b"\0\0\0\x06abcdef",
        ..WRITE
    },
];

#[test]
fn writings() {
    for row in WRITINGS {
        println!("{}", row.name);
        for owned in [false, true] {
            formats!(row.layout, write, row, owned);
        }
    }
}

fn write<F: Subject + Unpin>(format: &F, row: &Writing, owned: bool) {
    let sink = || Drain::new(row.sink.iter().copied());
    let cx = &mut Context::from_waker(Waker::noop());
    let mut codec = (row.codec)(&mut Builder::new()).new_write(sink());
    let mut framing = Framing::new(format.clone()).with_limit(row.limit);
    let mut writer = FrameWriter::with_framing(sink(), framing.clone());
    #[cfg(feature = "tokio-util")]
    in_framed::write(format, row, sink());
    for write in row.writes {
        match *write {
            Write::Accepts(payload) => {
                feed(&mut writer, &framing, payload, owned).unwrap();
                codec_feed(&mut codec, payload).unwrap();
            }
            Write::Refuses(payload, error) => {
                let found = feed(&mut writer, &framing, payload, owned).unwrap_err();
                assert!(matches!(found, WriteError::Encode(found) if found == error), "{found}");
                codec_feed(&mut codec, payload).unwrap_err();
            }
            Write::Flushes => {
                assert!(matches!(poll_once(pin!(writer.flush())), Poll::Ready(Ok(()))));
                assert!(matches!(codec_flush(&mut codec, cx), Poll::Ready(Ok(()))));
            }
            Write::Pending => {
                assert!(poll_once(pin!(writer.flush())).is_pending(), "{}", row.name);
                assert!(codec_flush(&mut codec, cx).is_pending(), "{}", row.name);
            }
            Write::CodecLimit(bytes) => codec.encoder_mut().set_max_frame_length(bytes),
            Write::NewLimit(bytes) => {
                let (mut sink, pending) = writer.into_inner();
                run(sink.write_all(&pending)).unwrap();
                framing = framing.with_limit(bytes);
                writer = FrameWriter::with_framing(sink, framing.clone());
            }
        }
    }
    let (sink, pending) = writer.into_inner();
    assert_eq!((&sink.bytes[..], &pending[..]), (row.wire, &[][..]), "{}", row.name);
    assert_eq!(codec.get_ref().bytes, row.wire, "{}", row.name);
    assert_eq!(sink.flushed, row.wire.len(), "{}", row.name);
}

fn feed<W: AsyncWrite + Unpin, F: Subject + Unpin>(
    writer: &mut FrameWriter<W, F>,
    framing: &Framing<F>,
    payload: &[u8],
    owned: bool,
) -> Result<(), WriteError> {
    let meta = framing.format().pick_meta(0);
    if !owned {
        return run(writer.feed(meta, payload));
    }
    let frame = framing.frame(meta, payload).map_err(WriteError::Encode)?;
    let mut writer = Pin::new(writer);
    assert!(writer.as_mut().poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    writer.start_send(frame)
}

fn codec_feed(
    codec: &mut FramedWrite<Drain, LengthDelimitedCodec>,
    payload: &'static [u8],
) -> io::Result<()> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(Sink::<&[u8]>::poll_ready(Pin::new(codec), cx).is_ready());
    Sink::<&[u8]>::start_send(Pin::new(codec), payload)
}

fn codec_flush(
    codec: &mut FramedWrite<Drain, LengthDelimitedCodec>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    Sink::<&[u8]>::poll_flush(Pin::new(codec), cx)
}

/// The length counts two of its own four bytes. No `Layout` says that; a format of one's own does.
#[test]
fn write_single_frame_length_adjusted() {
    struct TwoMore;

    impl unstick::Format for TwoMore {
        type Meta = ();
        type HeaderBuf = [u8; 4];

        fn max_payload_len(&self) -> u64 {
            u64::from(u32::MAX) - 2
        }

        fn decode_header(&self, bytes: &[u8]) -> Result<unstick::Parsed<()>, HeaderError> {
            let Some(&field) = bytes.first_chunk() else { return Ok(unstick::Parsed::Need(4)) };
            let found = u64::from(u32::from_be_bytes(field));
            let short = HeaderError::LengthTooShort { found, min: 2 };
            let payload_len = found.checked_sub(2).ok_or(short)?;
            Ok(unstick::Parsed::Header(unstick::Header { meta: (), payload_len, header_len: 4 }))
        }

        fn encode_header(
            &self,
            (): &(),
            len: u64,
            out: &mut [u8; 4],
        ) -> Result<usize, EncodeError> {
            let limit = self.max_payload_len();
            let field = u32::try_from(len.saturating_add(2));
            *out = field.map_err(|_| EncodeError::Oversize { len, limit })?.to_be_bytes();
            Ok(4)
        }
    }

    let mut codec = Builder::new().length_adjustment(-2).new_codec();
    let (mut wire, mut theirs) = (Vec::new(), BytesMut::new());
    let framing = Framing::new(TwoMore);
    framing.encode((), b"abcdefghi", &mut wire).unwrap();
    codec.encode(&b"abcdefghi"[..], &mut theirs).unwrap();
    assert_eq!(wire, b"\0\0\0\x0babcdefghi");
    assert_eq!(wire, theirs);
    assert_eq!(framing.split_frame(&mut &wire[..]).unwrap().unwrap().payload, b"abcdefghi");
    #[cfg(feature = "tokio-util")]
    in_framed::there_and_back(framing, b"abcdefghi", b"\0\0\0\x0babcdefghi");
}

/// A transport that takes no byte.
struct Full;

impl AsyncWrite for Full {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn write_zero() {
    let mut writer = FrameWriter::with_framing(Full, U32Be);
    run(writer.feed((), b"abcdef")).unwrap();
    match run(writer.flush()) {
        Err(WriteError::Flush(error)) => assert_eq!(error.kind(), io::ErrorKind::WriteZero),
        other => panic!("{other:?}"),
    }
    // Nothing is lost: what was accepted is still there.
    assert_eq!(writer.into_inner().1, b"\0\0\0\x06abcdef");
    #[cfg(feature = "tokio-util")]
    in_framed::write_zero();
}

#[test]
fn encode_overflow() {
    let mut full = Vec::with_capacity(1024);
    full.resize(full.capacity(), b'a');
    let before = full.clone();
    Framing::new(U32Be).encode((), b"hello", &mut full).unwrap();
    assert_eq!(full, [&before[..], b"\0\0\0\x05hello"].concat());
    #[cfg(feature = "tokio-util")]
    in_framed::encode_overflow();
}

/// A limit that was asked for, or not, and what it comes to.
struct Limit {
    name: &'static str,
    codec: fn() -> LengthDelimitedCodec,
    layout: Layout,
    asked: Option<u64>,
    here: u64,
    codec_has: usize,
}

/// A byte that the length does not count, behind the field: the codec's adjustment of one.
const A_BYTE_BEHIND: Layout = Layout { header_len: 2, ..ONE_BYTE };

fn adjusted(adjustment: isize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().length_field_length(1).length_adjustment(adjustment).new_codec()
}

fn adjusted_and_set(adjustment: isize) -> LengthDelimitedCodec {
    let mut codec = adjusted(adjustment);
    codec.set_max_frame_length(1_000);
    codec
}

const LIMITS: &[Limit] = &[
    Limit {
        name: "frame_does_not_fit",
        codec: || Builder::new().length_field_length(1).max_frame_length(256).new_codec(),
        layout: ONE_BYTE,
        asked: Some(256),
        here: 255,
        codec_has: 255,
    },
    Limit {
        name: "runtime_max_frame_len_respects_length_field: -1",
        codec: || adjusted_and_set(-1),
        layout: Layout { covers: Covers::Frame, ..ONE_BYTE },
        asked: Some(1_000),
        here: 254,
        codec_has: 254,
    },
    Limit {
        name: "runtime_max_frame_len_respects_length_field: 0",
        codec: || adjusted_and_set(0),
        layout: ONE_BYTE,
        asked: Some(1_000),
        here: 255,
        codec_has: 255,
    },
    Limit {
        // The codec counts the byte behind the field, here it is the header's.
        name: "runtime_max_frame_len_respects_length_field: 1",
        codec: || adjusted_and_set(1),
        layout: A_BYTE_BEHIND,
        asked: Some(1_000),
        here: 255,
        codec_has: 256,
    },
    Limit {
        name: "neg_adjusted_frame_does_not_fit",
        codec: || adjusted(-1),
        layout: Layout { covers: Covers::Frame, ..ONE_BYTE },
        asked: None,
        here: 254,
        codec_has: 254,
    },
    Limit {
        name: "pos_adjusted_frame_does_not_fit",
        codec: || adjusted(1),
        layout: A_BYTE_BEHIND,
        asked: None,
        here: 255,
        codec_has: 256,
    },
    Limit {
        // No limit is higher than this: every offset in a stream fits 62 bits.
        name: "max_allowed_frame_fits",
        codec: || {
            let builder = &mut Builder::new();
            builder.length_field_length(size_of::<usize>()).max_frame_length(usize::MAX).new_codec()
        },
        layout: EIGHT_BYTES,
        asked: Some(u64::MAX),
        here: MAX_PAYLOAD_LEN,
        codec_has: usize::MAX,
    },
    Limit {
        name: "smaller_frame_len_not_adjusted",
        codec: || Builder::new().max_frame_length(10).length_field_length(8).new_codec(),
        layout: EIGHT_BYTES,
        asked: Some(10),
        here: 10,
        codec_has: 10,
    },
    Limit {
        name: "max_allowed_length_field",
        codec: || Builder::new().length_field_length(8).max_frame_length(usize::MAX).new_codec(),
        layout: EIGHT_BYTES,
        asked: Some(u64::MAX),
        here: MAX_PAYLOAD_LEN,
        codec_has: usize::MAX,
    },
    Limit {
        name: "the default is another one",
        codec: LengthDelimitedCodec::new,
        layout: PLAIN,
        asked: None,
        here: 1024 * 1024,
        codec_has: 8 * 1024 * 1024,
    },
];

#[test]
fn limits() {
    for row in LIMITS {
        println!("{}", row.name);
        formats!(row.layout, limit, row);
    }
}

fn limit<F: Subject>(format: &F, row: &Limit) {
    let plain = Framing::new(format.clone());
    let framing = row.asked.map_or(plain.clone(), |asked| plain.with_limit(asked));
    assert_eq!(framing.limit(), row.here, "{}", row.name);
    assert_eq!((row.codec)().max_frame_length(), row.codec_has, "{}", row.name);
    if row.here > 1 << 20 {
        return;
    }
    // The longest is encoded and decoded, a byte more is refused and nothing written.
    let meta = framing.format().pick_meta(0);
    let longest = vec![7; row.here as usize];
    let mut wire = Vec::new();
    framing.encode(&meta, &longest, &mut wire).unwrap();
    assert_eq!(framing.split_frame(&mut &wire[..]).unwrap().unwrap().payload, longest);
    let before = wire.clone();
    let (len, limit) = (row.here + 1, row.here);
    let found = framing.encode(&meta, &vec![7; len as usize], &mut wire);
    assert_eq!(found, Err(EncodeError::Oversize { len, limit }), "{}", row.name);
    assert_eq!(wire, before, "{}", row.name);
    #[cfg(feature = "tokio-util")]
    in_framed::limit(&framing, row);
}

/// The rows through this crate's codecs, in the `Framed` that the other one was in.
#[cfg(feature = "tokio-util")]
mod in_framed {
    use unstick::codec::{CodecError, PayloadCodec};

    use super::*;

    fn codec<F: Subject>(format: &F, limit: u64) -> PayloadCodec<F> {
        let framing = Framing::new(format.clone()).with_limit(limit);
        PayloadCodec::with_meta(framing, format.pick_meta(0)).unwrap()
    }

    pub(super) fn read<F: Subject>(format: &F, row: &Reading, source: Source) {
        let mut framed = FramedRead::new(source, codec(format, row.limit));
        for read in row.reads {
            let name = row.name;
            match *read {
                Read::Frame(want) => {
                    let want = if row.keeps { &want[row.layout.header_len..] } else { want };
                    let found = next(&mut framed).map(|item| item.map(Result::unwrap));
                    assert_eq!(found, Poll::Ready(Some(BytesMut::from(want))), "{name}");
                }
                Read::Pending => assert!(next(&mut framed).is_pending(), "{name}"),
                Read::End => assert!(matches!(next(&mut framed), Poll::Ready(None)), "{name}"),
                Read::Fails(error) | Read::FailsOnlyHere(error) => {
                    match next(&mut framed) {
                        Poll::Ready(Some(Err(CodecError::Decode(found)))) => {
                            assert_eq!(found, error, "{name}");
                        }
                        other => panic!("{name}: {other:?}"),
                    }
                    assert!(matches!(next(&mut framed), Poll::Ready(None)), "{name}");
                    assert_eq!(framed.decoder().error(), Some(error), "{name}");
                }
                Read::CodecLimit(_) => {}
                // The buffer stays, and what is in it.
                Read::NewLimit(limit) => framed = framed.map_decoder(|_| codec(format, limit)),
            }
        }
    }

    fn next<F: Subject>(
        framed: &mut FramedRead<Source, PayloadCodec<F>>,
    ) -> Poll<Option<Result<BytesMut, CodecError>>> {
        let cx = &mut Context::from_waker(Waker::noop());
        pin!(framed).poll_next(cx)
    }

    pub(super) fn write<F: Subject>(format: &F, row: &Writing, sink: Drain) {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut framed = FramedWrite::new(sink, codec(format, row.limit));
        for write in row.writes {
            let mut sink = pin!(&mut framed);
            let name = row.name;
            match *write {
                Write::Accepts(payload) => {
                    assert!(Sink::<&[u8]>::poll_ready(sink.as_mut(), cx).is_ready(), "{name}");
                    Sink::<&[u8]>::start_send(sink, payload).unwrap();
                }
                Write::Refuses(payload, error) => {
                    assert!(Sink::<&[u8]>::poll_ready(sink.as_mut(), cx).is_ready(), "{name}");
                    match Sink::<&[u8]>::start_send(sink, payload) {
                        Err(CodecError::Encode(found)) => assert_eq!(found, error, "{name}"),
                        other => panic!("{name}: {other:?}"),
                    }
                }
                Write::Flushes => {
                    let flushed = Sink::<&[u8]>::poll_flush(sink, cx);
                    assert!(matches!(flushed, Poll::Ready(Ok(()))), "{name}");
                }
                Write::Pending => {
                    assert!(Sink::<&[u8]>::poll_flush(sink, cx).is_pending(), "{name}");
                }
                Write::CodecLimit(_) => {}
                // What was accepted under the old limit stays, and is written.
                Write::NewLimit(limit) => framed = framed.map_encoder(|_| codec(format, limit)),
            }
        }
        assert!(framed.write_buffer().is_empty(), "{}", row.name);
        if row.layout.header_len == row.layout.width {
            assert_eq!(framed.get_ref().bytes, row.wire, "{}", row.name);
        }
    }

    pub(super) fn there_and_back<F: unstick::Format<Meta = ()>>(
        framing: Framing<F>,
        payload: &[u8],
        wire: &[u8],
    ) {
        let mut codec = PayloadCodec::new(framing);
        let mut out = BytesMut::new();
        codec.encode(payload, &mut out).unwrap();
        assert_eq!(out, wire);
        let decoded = tokio_util::codec::Decoder::decode(&mut codec, &mut out).unwrap();
        assert_eq!(decoded.unwrap(), payload);
    }

    pub(super) fn write_zero() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut framed = FramedWrite::new(Full, PayloadCodec::new(U32Be));
        Sink::<&[u8]>::start_send(Pin::new(&mut framed), b"abcdef").unwrap();
        match Sink::<&[u8]>::poll_flush(Pin::new(&mut framed), cx) {
            Poll::Ready(Err(CodecError::Io(error))) => {
                assert_eq!(error.kind(), io::ErrorKind::WriteZero);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(framed.write_buffer(), &b"\0\0\0\x06abcdef"[..]);
    }

    pub(super) fn encode_overflow() {
        let mut full = BytesMut::with_capacity(1024);
        full.resize(full.capacity(), b'a');
        let before = full.clone();
        PayloadCodec::new(U32Be).encode(b"hello", &mut full).unwrap();
        assert_eq!(full, [&before[..], b"\0\0\0\x05hello"].concat());
    }

    pub(super) fn limit<F: Subject>(framing: &Framing<F>, row: &Limit) {
        let meta = framing.format().pick_meta(0);
        let mut codec = PayloadCodec::with_meta(framing.clone(), meta).unwrap();
        assert_eq!(codec.framing().limit(), row.here, "{}", row.name);
        let longest = vec![7; row.here as usize];
        let mut wire = BytesMut::new();
        codec.encode(&longest, &mut wire).unwrap();
        let decoded = tokio_util::codec::Decoder::decode(&mut codec, &mut wire).unwrap();
        assert_eq!(decoded.unwrap(), longest, "{}", row.name);
        let refused = codec.encode([&longest[..], &[7]].concat(), &mut wire);
        assert!(matches!(refused, Err(CodecError::Encode(EncodeError::Oversize { .. }))));
        assert!(wire.is_empty(), "{}", row.name);
    }
}

/// Situations that are a test each, and no row.
const ALONE: [&str; 3] = ["write_single_frame_length_adjusted", "write_zero", "encode_overflow"];

#[test]
fn no_situation_is_left_out() {
    let readings = READINGS.iter().map(|row| row.name);
    let writings = WRITINGS.iter().map(|row| row.name);
    let limits = LIMITS.iter().map(|row| row.name);
    let names = readings.chain(writings).chain(limits).chain(ALONE);
    let mut names: Vec<_> = names.map(|name| name.split(':').next().unwrap()).collect();
    names.retain(|name| !name.contains(' '));
    names.dedup();
    assert_eq!(names.len(), 41);
}
