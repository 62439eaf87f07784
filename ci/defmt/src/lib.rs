//! What a microcontroller logs through defmt, logged here and read back by defmt's decoder from the
//! bytes and from this program's own symbols, as the host of a probe does.
#![cfg(test)]

use std::cell::RefCell;

use defmt_decoder::Table;
use object::{Object, ObjectSymbol};
use unstick::{
    ByteOrder, Covers, DatagramError, DecodeError, EncodeError, Format, Framing, Header,
    HeaderError, Kind, Layout, LayoutError, LengthField, Parsed, Part, RecoverError, StorageError,
    V1, header,
};
use unstick_session::message::{Code, MessageError, NameError};
use unstick_session::session::{SendError, SessionError};

#[defmt::global_logger]
struct Collector;

thread_local! {
    static LOG: RefCell<(defmt::Encoder, Vec<u8>)> =
        const { RefCell::new((defmt::Encoder::new(), Vec::new())) };
}

fn with_log(call: impl FnOnce(&mut defmt::Encoder, &mut Vec<u8>)) {
    LOG.with_borrow_mut(|(encoder, bytes)| call(encoder, bytes));
}

// SAFETY: each thread has a log of its own, so nobody else comes between `acquire` and `release`.
unsafe impl defmt::Logger for Collector {
    fn acquire() {
        with_log(|encoder, log| encoder.start_frame(|bytes| log.extend(bytes)));
    }

    unsafe fn flush() {}

    unsafe fn release() {
        with_log(|encoder, log| encoder.end_frame(|bytes| log.extend(bytes)));
    }

    unsafe fn write(bytes: &[u8]) {
        with_log(|encoder, log| encoder.write(bytes, |bytes| log.extend(bytes)));
    }
}

defmt::timestamp!("");

/// A symbol whose place in the file and in memory are both known.
#[used]
#[unsafe(no_mangle)]
static ANCHOR: u8 = 0;

/// The format strings of this program. A string is known by the low 16 bits of its symbol's address,
/// which on a host are not those in the file: the program stands somewhere else each time.
fn table() -> Table {
    let elf = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let table = Table::parse(&elf).unwrap().expect("symbols of defmt");
    let file = object::File::parse(&*elf).unwrap();
    let anchor = file.symbols().find(|symbol| symbol.name() == Ok("ANCHOR")).unwrap();
    let moved = (&raw const ANCHOR).addr().wrapping_sub(anchor.address() as usize);

    let mut table = serde_json::to_value(table).unwrap();
    let entries = table["entries"].as_object_mut().unwrap();
    let count = entries.len();
    *entries = std::mem::take(entries)
        .into_iter()
        .map(|(address, entry)| {
            let address = address.parse::<usize>().unwrap().wrapping_add(moved);
            ((address & 0xFFFF).to_string(), entry)
        })
        .collect();
    assert_eq!(entries.len(), count, "two strings with one number");
    serde_json::from_value(table).unwrap()
}

/// What a person reads of this value, and how many bytes it took on the line.
fn logged(table: &Table, value: &impl defmt::Format) -> (String, usize) {
    with_log(|_, log| log.clear());
    defmt::println!("{}", value);
    let mut line = Vec::new();
    with_log(|_, log| line = std::mem::take(log));
    let mut decoder = table.new_stream_decoder();
    decoder.received(&line);
    let text = decoder.decode().expect("a whole frame").display_message().to_string();
    assert!(decoder.decode().is_err(), "more than one frame");
    (text, line.len())
}

/// A value reads in the log as it does with `Debug`.
fn as_debug<T: defmt::Format + std::fmt::Debug>(table: &Table, value: T) {
    assert_eq!(logged(table, &value).0, format!("{value:?}"));
}

#[test]
fn errors_read_as_they_do_with_debug() {
    let table = &table();
    for error in [
        HeaderError::BadMagic { found: b'G' },
        HeaderError::UnsupportedVersion { found: 2, supported: 1 },
        HeaderError::InvalidKind,
        HeaderError::BadCheck { found: 1, expected: 255 },
        HeaderError::NegativeLength { found: 0x80, max: -1 << 31 },
        HeaderError::OverlongVarint,
        HeaderError::VarintOverflow { found: 2 },
        HeaderError::LengthTooShort { found: u64::MAX, min: 4 },
        HeaderError::Custom { code: 0x8001, text: "no mark" },
        HeaderError::TooLong { room: 8 },
        HeaderError::BrokenFormat,
    ] {
        as_debug(table, error);
        as_debug(table, DecodeError::Header { at: 1 << 40, error });
    }
    for part in [Part::Header, Part::Payload] {
        as_debug(table, DecodeError::Truncated { at: 3, missing: 1 << 33, part });
    }
    let oversize = DecodeError::Oversize { at: 0, len: 9, limit: 4 };
    as_debug(table, oversize);
    as_debug(table, DecodeError::Unsynchronized { at: 9, skipped: 8 });
    as_debug(table, DecodeError::NoRoom { at: 0, needed: 8, room: 4 });
    as_debug(table, DatagramError::Cut { room: 1200 });
    as_debug(table, DatagramError::Malformed(oversize));
    as_debug(table, DatagramError::UnknownKind { at: 3, kind: 0x40 });
    as_debug(table, EncodeError::Oversize { len: 9, limit: 4 });
    as_debug(table, EncodeError::Unfinished { missing: 3 });
    as_debug(table, EncodeError::NoFrame);
    as_debug(table, RecoverError::NotFailed);
    as_debug(table, RecoverError::Failed(oversize));
    as_debug(table, StorageError { needed: 9, room: 8 });
    as_debug(table, LayoutError::FieldOutside { offset: 3, width: 2, header_len: 4 });
}

/// What has a name of the registry with `Debug` has its number here, which is shorter on the line.
#[test]
fn kinds_and_codes_are_numbers() {
    let table = &table();
    let reads = |value: &dyn Fn() -> (String, usize), text: &str| assert_eq!(value().0, text);
    reads(&|| logged(table, &Kind::TEXT), "Kind(1)");
    reads(&|| logged(table, &Code::OVERSIZE), "Code(5)");
    let Ok(Parsed::Header(header)) = V1.decode_header(&header::encode(Kind::PING, 300)) else {
        panic!("a header");
    };
    reads(&|| logged(table, &header), "Header { meta: Kind(3), payload_len: 300, header_len: 8 }");
    reads(&|| logged(table, &Parsed::<()>::Need(8)), "Need(8)");
    reads(
        &|| logged(table, &SessionError::UnknownKind { kind: Kind::new(0x41).unwrap() }),
        "UnknownKind { kind: Kind(65) }",
    );
    let last = Some(2);
    reads(
        &|| logged(table, &SessionError::TransferId { kind: Kind::FILE_OPEN, id: 1, last }),
        "TransferId { kind: Kind(16), id: 1, last: Some(2) }",
    );
    let name = NameError::Separator { at: 2, found: '/' };
    reads(
        &|| logged(table, &SendError::Message(MessageError::Name { id: 7, error: name })),
        "Message(Name { id: 7, error: Separator { at: 2, found: / } })",
    );
}

#[test]
fn a_described_header_is_logged_with_its_bytes() {
    let table = &table();
    let layout = Layout {
        header_len: 4,
        offset: 2,
        width: 2,
        order: ByteOrder::Big,
        covers: Covers::AfterField,
    };
    as_debug(table, layout);
    let format = LengthField::new(layout).unwrap();
    as_debug(table, format);
    let meta = format.meta(b"ab\0\0").unwrap();
    assert_eq!(logged(table, &meta).0, "FieldMeta([61, 62, 00, 00])");
    let header = Header { meta, payload_len: 1, header_len: 4 };
    assert_eq!(
        logged(table, &header).0,
        "Header { meta: FieldMeta([61, 62, 00, 00]), payload_len: 1, header_len: 4 }"
    );
}

/// A line of a log is short: numbers, and no text of this crate's.
#[test]
fn what_goes_over_the_line_is_short() {
    let mut bytes = &b"GET / HTTP/1.1"[..];
    let error = Framing::new(V1).split_frame(&mut bytes).unwrap_err();
    let (text, len) = logged(&table(), &error);
    assert_eq!(text, "Header { at: 0, error: BadMagic { found: 71 } }");
    assert!(len <= 24, "{len} bytes");
    assert!(error.to_string().len() > 24);
}
