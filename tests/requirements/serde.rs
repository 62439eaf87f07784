//! The feature `serde`: what stands in a configuration comes back and is checked, and errors are
//! records that a structured log can be searched by.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json, to_value};
use unstick::{
    AnyDelimiter, ByteOrder, Covers, DatagramError, DecodeError, Delimited, EncodeError, Fixed,
    Format, Header, HeaderError, Kind, Layout, LayoutError, LengthField, Lines, Parsed, Part,
    RecoverError, Slip, StorageError, V1, header,
};
use unstick_testing::formats;

/// There and back, through a value and through a text.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, is: Value) {
    assert_eq!(to_value(value).unwrap(), is, "{value:?}");
    assert_eq!(from_value::<T>(is).unwrap(), *value);
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value, "{text}");
}

#[test]
fn what_is_configured_comes_back() {
    comes_back(&Kind::TEXT, json!(1));
    for number in 1..=255 {
        comes_back(&Kind::new(number).unwrap(), json!(number));
    }
    comes_back(&ByteOrder::Big, json!("big"));
    comes_back(&ByteOrder::Little, json!("little"));
    comes_back(&Covers::Payload, json!("payload"));
    comes_back(&Covers::AfterField, json!("after_field"));
    comes_back(&Covers::Frame, json!("frame"));
    comes_back(&Part::Header, json!("header"));
    comes_back(&Part::Payload, json!("payload"));
    let Ok(Parsed::Header(header)) = V1.decode_header(&header::encode(Kind::PING, 300)) else {
        panic!("a header");
    };
    comes_back(&header, json!({ "meta": 3, "payload_len": 300, "header_len": 8 }));
    comes_back(
        &Header { meta: (), payload_len: u64::MAX, header_len: 4 },
        json!({ "meta": null, "payload_len": u64::MAX, "header_len": 4 }),
    );
}

#[test]
fn a_length_field_comes_back_as_its_layout() {
    for layout in formats::layouts() {
        let format = LengthField::new(layout).unwrap();
        let is = to_value(layout).unwrap();
        comes_back(&layout, is.clone());
        comes_back(&format, is);
    }
    let modbus = json!({
        "header_len": 7, "offset": 4, "width": 2, "order": "big", "covers": "after_field"
    });
    let format: LengthField = from_value(modbus.clone()).unwrap();
    assert_eq!(Layout::from(format), format.layout());
    comes_back(&format, modbus);

    // The other bytes of a header, for a log.
    let meta = format.meta(b"ab\0\0\xff\xff\x11").unwrap();
    assert_eq!(to_value(meta).unwrap(), json!([97, 98, 0, 0, 0, 0, 17]));
}

/// Framings that are chosen at run time, with a default for what need not be said.
#[test]
fn marks_and_fixed_lengths_come_back() {
    comes_back(&Lines::new(), json!({ "crlf": false, "or_end": false }));
    comes_back(&Lines::new().with_crlf().or_end(), json!({ "crlf": true, "or_end": true }));
    comes_back(&Slip::new(), json!({ "leading_end": false }));
    comes_back(&Slip::new().with_leading_end(), json!({ "leading_end": true }));
    let two = Delimited::new("\r\n".to_owned()).or_end();
    comes_back(&two, json!({ "delimiter": "\r\n", "or_end": true }));
    let any = AnyDelimiter::new(vec![10, 0]);
    comes_back(&any, json!({ "delimiters": [10, 0], "or_end": false }));
    comes_back(&Fixed::new(188.try_into().unwrap()), json!({ "len": 188 }));

    assert_eq!(from_value::<Lines>(json!({ "or_end": true })).unwrap(), Lines::new().or_end());
    assert_eq!(from_value::<Slip>(json!({})).unwrap(), Slip::new());
    let delimited = from_value::<Delimited<String>>(json!({ "delimiter": "--" })).unwrap();
    assert_eq!(delimited, Delimited::new("--".to_owned()));
    for refused in [
        from_value::<Lines>(json!({ "cr_lf": true })).is_err(),
        from_value::<Fixed>(json!({ "len": 0 })).is_err(),
        from_value::<Delimited<String>>(json!({ "or_end": true })).is_err(),
        from_value::<AnyDelimiter<String>>(json!({ "delimiters": "ab", "end": true })).is_err(),
    ] {
        assert!(refused);
    }
}

/// A configuration goes through the same check as code does, and the text says what is wrong.
#[test]
fn an_invalid_length_field_is_refused() {
    let good =
        json!({ "header_len": 4, "offset": 2, "width": 2, "order": "big", "covers": "payload" });
    from_value::<LengthField>(good.clone()).unwrap();
    let refused = |change: &[(&str, Value)]| {
        let mut layout = good.clone();
        for (key, value) in change {
            layout[*key] = value.clone();
        }
        from_value::<LengthField>(layout).unwrap_err().to_string()
    };
    let table: [(&[(&str, Value)], &str); 9] = [
        (&[("header_len", json!(0))], "a header has 1 to 32 bytes, not 0"),
        (&[("header_len", json!(33))], "a header has 1 to 32 bytes, not 33"),
        (&[("width", json!(0))], "a length field has 1 to 8 bytes, not 0"),
        (&[("width", json!(9))], "a length field has 1 to 8 bytes, not 9"),
        (
            &[("offset", json!(3))],
            "a length field of 2 bytes at offset 3 does not end within a header of 4",
        ),
        (
            &[("offset", json!(usize::MAX))],
            "a length field of 2 bytes at offset 18446744073709551615 does not end within a header \
             of 4",
        ),
        (&[("order", json!("native"))], "unknown variant `native`, expected `big` or `little`"),
        (
            &[("covers", json!("all"))],
            "unknown variant `all`, expected one of `payload`, `after_field`, `frame`",
        ),
        (
            &[("ofset", json!(1))],
            "unknown field `ofset`, expected one of `header_len`, `offset`, `width`, `order`, \
             `covers`",
        ),
    ];
    for (change, text) in table {
        if cfg!(target_pointer_width = "64") || !text.contains("18446744073709551615") {
            assert_eq!(refused(change), text);
        }
    }
    let mut less = good;
    less.as_object_mut().unwrap().remove("width");
    let text = from_value::<LengthField>(less).unwrap_err().to_string();
    assert_eq!(text, "missing field `width`");
}

#[test]
fn a_kind_of_zero_is_refused() {
    let text = from_value::<Kind>(json!(0)).unwrap_err().to_string();
    assert!(text.contains("integer `0`") && text.contains("nonzero"), "{text}");
    assert!(from_value::<Kind>(json!(256)).is_err());
}

/// As a log has it: the variant, the code and the offset at the top, wherever there are any.
#[test]
fn errors_are_flat_records() {
    let records = [
        (
            to_value(DecodeError::Oversize { at: 100, len: 9, limit: 4 }),
            json!({ "error": "oversize", "code": 5, "at": 100, "len": 9, "limit": 4 }),
        ),
        (
            to_value(DecodeError::Header { at: 7, error: HeaderError::BadMagic { found: b'G' } }),
            json!({ "error": "header", "code": 1, "at": 7,
                "header": { "error": "bad_magic", "code": 1, "found": 71 } }),
        ),
        (
            to_value(DecodeError::Truncated { at: 9, missing: 1, part: Part::Header }),
            json!({ "error": "truncated", "code": 6, "at": 9, "missing": 1, "part": "header" }),
        ),
        (
            to_value(DecodeError::Unsynchronized { at: 9, skipped: 8 }),
            json!({ "error": "unsynchronized", "code": 12, "at": 9, "skipped": 8 }),
        ),
        (
            to_value(HeaderError::Custom { code: 0x8001, text: "no mark" }),
            json!({ "error": "custom", "code": 0x8001, "text": "no mark" }),
        ),
        (
            to_value(HeaderError::BadCheck { found: 1, expected: 2 }),
            json!({ "error": "bad_check", "code": 4, "found": 1, "expected": 2 }),
        ),
        (
            to_value(DatagramError::UnknownKind { at: 3, kind: 0x40 }),
            json!({ "error": "unknown_kind", "code": 11, "at": 3, "kind": 64 }),
        ),
        (
            to_value(DatagramError::Malformed(DecodeError::NoRoom { at: 0, needed: 8, room: 4 })),
            json!({ "error": "malformed", "code": 11,
                "decode": { "error": "no_room", "code": 5, "at": 0, "needed": 8, "room": 4 } }),
        ),
        (
            to_value(EncodeError::Oversize { len: 9, limit: 4 }),
            json!({ "error": "oversize", "len": 9, "limit": 4 }),
        ),
        (
            to_value(HeaderError::NegativeLength { found: 0xFF, max: -1 }),
            json!({ "error": "negative_length", "code": 10, "found": 255, "max": -1 }),
        ),
        (
            to_value(EncodeError::Custom { code: 3, text: &"no mark" }),
            json!({ "error": "custom", "code": 3, "text": "no mark" }),
        ),
        (to_value(RecoverError::NotFailed), json!({ "error": "not_failed" })),
        (to_value(StorageError { needed: 9, room: 8 }), json!({ "needed": 9, "room": 8 })),
        (
            to_value(LayoutError::FieldOutside { offset: 3, width: 2, header_len: 4 }),
            json!({ "error": "field_outside", "offset": 3, "width": 2, "header_len": 4 }),
        ),
    ];
    for (record, is) in records {
        assert_eq!(record.unwrap(), is);
    }
}

#[test]
#[cfg(feature = "std")]
fn errors_of_the_adapters_are_records_too() {
    use std::io::{Error, ErrorKind};
    use std::time::Duration;
    use unstick::io::{ReadError, WriteError};

    let oversize = DecodeError::Oversize { at: 100, len: 9, limit: 4 };
    let after = Duration::from_millis(1500);
    let records = [
        (
            to_value(ReadError::Io(ErrorKind::ConnectionReset.into())),
            json!({ "error": "io", "code": null, "kind": "ConnectionReset", "os": null }),
        ),
        (
            to_value(ReadError::Decode(oversize)),
            json!({ "error": "decode", "code": 5, "decode": to_value(oversize).unwrap() }),
        ),
        (
            to_value(ReadError::IdleTimeout { at: 3, after }),
            json!({ "error": "idle_timeout", "code": 9, "at": 3,
                "after": { "secs": 1, "nanos": 500_000_000 } }),
        ),
        (
            to_value(WriteError::Encode(EncodeError::NoFrame)),
            json!({ "error": "encode", "encode": { "error": "no_frame" } }),
        ),
        (
            to_value(WriteError::Timeout { after, accepted: true }),
            json!({ "error": "timeout", "accepted": true,
                "after": { "secs": 1, "nanos": 500_000_000 } }),
        ),
    ];
    for (record, is) in records {
        assert_eq!(record.unwrap(), is);
    }
    // The number that the system gave.
    let record = to_value(WriteError::Flush(Error::from_raw_os_error(1))).unwrap();
    assert_eq!((&record["error"], &record["os"]), (&json!("flush"), &json!(1)));

    #[cfg(feature = "tokio-util")]
    assert_eq!(
        to_value(unstick::codec::CodecError::Decode(oversize)).unwrap(),
        json!({ "error": "decode", "code": 5, "decode": to_value(oversize).unwrap() })
    );
}
