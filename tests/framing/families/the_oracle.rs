//! The oracle itself, with streams whose outcomes were written by hand.

use unstick::{DecodeError, EncodeError, FrameError, HeaderError, Part, U8, U16Be, V1};
use unstick_testing::oracle::families::{
    AtMark, Content, Counted, Family, FixedLen, Outcome, Version2, outcomes,
};
use unstick_testing::oracle::marks::{Delimiter, Flags, LineEnds, OneOf, SerialLine, Stuffed};
use unstick_testing::oracle::sums::{CASTAGNOLI, Crc, Sum, X25, told};
use unstick_testing::oracle::{Policy, check};

fn plain<M>(mark: M) -> AtMark<M> {
    AtMark { mark, sum: Sum::NONE }
}

/// The outcomes in a short form: `3..5 "a"` a frame, `+"a"` the beginning of one, `!` an error.
fn told_of(family: &impl Family, limit: u64, stream: &[u8], policy: Policy) -> Vec<String> {
    let text = |content: &Content| format!("{:?}", content.payload.escape_ascii().to_string());
    let tell = |outcome| match outcome {
        Outcome::Frame { at, end, content } => format!("{at}..{end} {}", text(&content)),
        Outcome::Begun { content, .. } => format!("+{}", text(&content)),
        Outcome::Found { skipped } => format!("found {skipped}"),
        Outcome::End => "end".to_owned(),
        Outcome::Error { error, position } => match error {
            DecodeError::Frame { at, error } => format!("!{at}-{position} {error:?}"),
            DecodeError::TooLong { at, limit } => format!("!{at}-{position} over {limit}"),
            DecodeError::Truncated { missing, part, at } => {
                assert_eq!((at, position), (stream.len() as u64, stream.len() as u64));
                format!("!{part:?} {missing}")
            }
            DecodeError::Unsynchronized { skipped, .. } => format!("lost {skipped}"),
            other => format!("!{position} {other:?}"),
        },
    };
    outcomes(family, limit, stream, policy).into_iter().map(tell).collect()
}

macro_rules! says {
    ($family:expr, $limit:literal, $stream:expr, $policy:ident: $($outcome:literal),* $(,)?) => {
        let stream: &[u8] = $stream;
        let told = told_of(&$family, $limit, stream, Policy::$policy);
        let want: &[&str] = &[$($outcome),*];
        assert_eq!(told, want, "{}", stream.escape_ascii());
    };
}

#[test]
fn checks_have_their_catalogued_values() {
    let digits = b"123456789";
    assert_eq!((X25.of(digits), CASTAGNOLI.of(digits)), (0x906E, 0xE306_9283));
    let plain = Crc { reflected: false, xor_out: 0, ..X25 };
    assert_eq!(plain.of(digits), 0x29B1);
    let hdlc32 = Crc { poly: 0x04C1_1DB7, ..CASTAGNOLI };
    assert_eq!(hdlc32.of(digits), 0xCBF4_3926);
    assert_eq!((Sum::FCS16.of)(digits), [0x6E, 0x90]);
    assert_eq!((Sum::CRC32C.of)(digits), [0xE3, 0x06, 0x92, 0x83]);
    assert_eq!((Sum::SUMS.of)(&[1, 2, 255]), [2, 6]);
    assert_eq!((Sum::PARITY.of)(&[1, 2, 7]), [4]);
    assert_eq!((Sum::LONG.of)(&[9; 12]), [20, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
    assert_eq!((told(&[1, 2]), told(&[1, 0, 0, 0, 0, 0, 0, 2, 3])), (0x0102, 0x0100_0000));
}

#[test]
fn lines() {
    let lines = plain(LineEnds::default());
    says!(lines, 9, b"a\r\n\nb\rc\n\r\r\n", STOP:
        "0..3 \"a\"", "3..4 \"\"", "4..8 \"b\\\\rc\"", "8..11 \"\\\\r\"", "end");
    says!(lines, 9, b"\na\r", STOP: "0..1 \"\"", "+\"a\"", "!Mark 1");
    says!(lines, 9, b"\r", STOP: "!Mark 1");
    says!(lines, 1, b"a\r\nab\n", STOP: "0..3 \"a\"", "+\"a\"", "!3-4 over 1");
    // The return is content as soon as it is not the end's.
    says!(lines, 1, b"a\r\rb\nc\n", SKIP: "+\"a\"", "!0-2 over 1", "5..7 \"c\"", "end");
    says!(lines, 1, b"c\nabb\nc\n", RESYNC: "0..2 \"c\"", "+\"a\"", "!2-3 over 1", "found 4", "6..8 \"c\"", "end");
    says!(lines, 1, b"abb", SKIP: "+\"a\"", "!0-1 over 1", "!Mark 1");
    says!(lines, 1, b"abb", RESYNC: "+\"a\"", "!0-1 over 1", "lost 3");
    let or_end = plain(LineEnds { or_end: true, crlf: false });
    says!(or_end, 2, b"a\nb\r", STOP: "0..2 \"a\"", "2..4 \"b\\\\r\"", "end");
    says!(or_end, 2, b"a\n", STOP: "0..2 \"a\"", "end");
    says!(or_end, 2, b"", STOP: "end");
    says!(or_end, 1, b"b\r", STOP: "+\"b\"", "!0-2 over 1");
    says!(or_end, 1, b"b\r", RESYNC: "+\"b\"", "!0-2 over 1", "found 2", "end");
    says!(or_end, 1, b"bbb", SKIP: "+\"b\"", "!0-1 over 1", "end");

    assert_eq!(lines.write(9, b"", b"a\rb").unwrap(), b"a\rb\n");
    assert_eq!(lines.write(9, b"", b"ab\nc"), Err(EncodeError::HasMark { at: 2 }));
    assert_eq!(lines.write(9, b"", b"ab\r"), Err(EncodeError::HasMark { at: 2 }));
    assert_eq!(lines.write(1, b"", b"ab"), Err(EncodeError::Oversize { len: 2, limit: 1 }));
    let crlf = plain(LineEnds { crlf: true, or_end: false });
    assert_eq!(crlf.write(9, b"", b"ab\r").unwrap(), b"ab\r\r\n");
}

#[test]
fn delimiters() {
    let delimited = |bytes: &[u8]| plain(Delimiter { bytes: bytes.to_vec(), or_end: false });
    let aab = delimited(b"aab");
    says!(aab, 9, b"aaabxaab", STOP: "0..4 \"a\"", "4..8 \"x\"", "end");
    says!(aab, 9, b"aabaa", STOP: "0..3 \"\"", "!Mark 1");
    says!(aab, 9, b"aaaa", STOP: "+\"aa\"", "!Mark 1");
    says!(aab, 0, b"aaabaab", SKIP: "!0-2 over 0", "4..7 \"\"", "end");
    let end = plain(Delimiter { bytes: b"aab".to_vec(), or_end: true });
    says!(end, 4, b"xaabaaaa", STOP: "0..4 \"x\"", "4..8 \"aaaa\"", "end");
    says!(end, 3, b"aaaa", STOP: "+\"aaa\"", "!0-4 over 3");
    assert_eq!(aab.write(9, b"", b"xaa").unwrap(), b"xaaaab");
    let aba = delimited(b"aba");
    assert_eq!(aba.write(9, b"", b"xab"), Err(EncodeError::HasMark { at: 1 }));
    assert_eq!(aba.write(9, b"", b"xabax"), Err(EncodeError::HasMark { at: 1 }));
    assert_eq!(aba.write(9, b"", b"xa").unwrap(), b"xaaba");

    let any = plain(OneOf { bytes: b";,".to_vec(), or_end: false });
    says!(any, 9, b"a,;b", STOP: "0..2 \"a\"", "2..3 \"\"", "+\"b\"", "!Mark 1");
    assert_eq!(any.write(9, b"", b"a").unwrap(), b"a;");
    assert_eq!(any.write(9, b"", b"ab,"), Err(EncodeError::HasMark { at: 2 }));
}

#[test]
fn cobs() {
    let cobs = plain(Stuffed);
    // The examples of the paper and of the encyclopedia.
    for (payload, frame) in [
        (&b""[..], &b"\x01\0"[..]),
        (b"\0", b"\x01\x01\0"),
        (b"\0\0", b"\x01\x01\x01\0"),
        (b"\0\x11\0", b"\x01\x02\x11\x01\0"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33\0"),
        (b"\x11\0\0\0", b"\x02\x11\x01\x01\x01\0"),
    ] {
        assert_eq!(cobs.write(9, b"", payload).unwrap(), frame);
        let whole =
            Outcome::Frame { at: 2, end: 2 + frame.len() as u64, content: Content::of(payload) };
        let stream = [b"\0\0", frame, b"\0"].concat();
        assert_eq!(outcomes(&cobs, 9, &stream, Policy::STOP), [whole, Outcome::End]);
    }
    let full: Vec<u8> = (1..=254).collect();
    let frame = [&[255], &full[..], &[0]].concat();
    assert_eq!(cobs.write(999, b"", &full).unwrap(), frame);
    let with_zero = [&full[..], &[0]].concat();
    assert_eq!(cobs.write(999, b"", &with_zero).unwrap(), [&frame[..255], &[1, 1, 0]].concat());
    let both = [&full[..], &[255]].concat();
    assert_eq!(cobs.write(999, b"", &both).unwrap(), [&frame[..255], &[2, 255, 0]].concat());
    for frame in [frame.clone(), [&frame[..255], &[1, 0]].concat()] {
        let content = Content::of(&full);
        let whole = Outcome::Frame { at: 0, end: frame.len() as u64, content };
        assert_eq!(outcomes(&cobs, 999, &frame, Policy::STOP), [whole, Outcome::End]);
    }
    says!(cobs, 9, b"\x04a\0\x02b\0", STOP: "+\"a\"", "!0-3 CutShort { missing: 2 }");
    says!(cobs, 9, b"\x04a\0\x02b\0", RESYNC: "+\"a\"", "!0-3 CutShort { missing: 2 }", "found 3",
        "3..6 \"b\"", "end");
    // An implied zero is content when the next block begins.
    says!(cobs, 1, b"\x02a\x02b\0\x02b\0", SKIP: "+\"a\"", "!0-2 over 1", "5..8 \"b\"", "end");
    says!(cobs, 9, b"\0\x02a", STOP: "+\"a\"", "!Mark 1");
}

#[test]
fn slip() {
    let slip = plain(SerialLine);
    says!(slip, 2, b"\xC0\xC0a\xDB\xDC\xC0\xDB\xDD\xC0", STOP:
        "2..6 \"a\\\\xc0\"", "6..9 \"\\\\xdb\"", "end");
    says!(slip, 9, b"a\xDBbc\xC0d\xC0", SKIP: "+\"a\"", "!0-3 BadEscape { found: 98 }", "5..7 \"d\"", "end");
    says!(slip, 9, b"a\xDB\xC0d\xC0", RESYNC: "+\"a\"", "!0-3 BadEscape { found: 192 }", "found 3",
        "3..5 \"d\"", "end");
    says!(slip, 1, b"\xC0a\xDB\xDC\xC0d\xC0", RESYNC: "+\"a\"", "!1-3 over 1", "found 4", "5..7 \"d\"", "end");
    says!(slip, 9, b"\xDB", STOP: "!Mark 1");
    assert_eq!(slip.write(9, b"", b""), Err(EncodeError::Empty));
    assert_eq!(slip.write(9, b"", b"\xC0\xDB\xDC").unwrap(), b"\xDB\xDC\xDB\xDD\xDC\xC0");
}

#[test]
fn hdlc() {
    let hdlc = AtMark { mark: Flags, sum: Sum::FCS16 };
    let frame = hdlc.write(9, b"", b"}~a").unwrap();
    assert_eq!(frame[..5], *b"\x7D\x5D\x7D\x5Ea");
    let stream = [b"~~", &frame[..], b"~", &frame].concat();
    assert_eq!(outcomes(&hdlc, 3, &stream, Policy::STOP).len(), 3);
    // The frame of RFC 1662's check of nothing.
    assert_eq!(hdlc.write(0, b"", b"").unwrap(), b"\0\0~");
    says!(hdlc, 3, b"\0\0~", STOP: "0..3 \"\"", "end");
    says!(hdlc, 3, b"~a~", STOP: "!1-3 TooShort { found: 1, min: 2 }");
    says!(hdlc, 3, b"abcd}~\0\0~", SKIP: "+\"ab\"", "!0-6 Aborted", "6..9 \"\"", "end");
    says!(hdlc, 3, b"}~\0\0~", RESYNC: "!0-2 Aborted", "found 2", "2..5 \"\"", "end");
    says!(hdlc, 3, b"\0\x01~\0\0~", RESYNC: "!0-3 BadCheck { found: 1, expected: 0 }", "found 3",
        "3..6 \"\"", "end");
    says!(hdlc, 1, b"abcd~", STOP: "+\"a\"", "!0-3 over 1");
    says!(hdlc, 1, b"abc", STOP: "+\"a\"", "!Mark 1");
}

#[test]
fn marks_with_a_check() {
    let lines = AtMark { mark: LineEnds { crlf: false, or_end: true }, sum: Sum::PARITY };
    says!(lines, 9, b"abc`\r\n", STOP: "0..6 \"abc\"", "end");
    says!(lines, 9, b"aba\na", STOP: "+\"ab\"", "!0-4 BadCheck { found: 97, expected: 3 }");
    says!(lines, 9, b"\n", SKIP: "!0-1 TooShort { found: 0, min: 1 }", "end");
    says!(lines, 9, b"abc`", STOP: "0..4 \"abc\"", "end");
    // What the end makes content can be the check.
    says!(lines, 9, b"\x0D\x0D", STOP: "0..2 \"\\\\r\"", "end");
    says!(lines, 0, b"aa\n", STOP: "!0-1 over 0");
    let refused = lines.write(9, b"", b"\x0A");
    assert_eq!(refused, Err(EncodeError::HasMark { at: 0 }));
    assert_eq!(lines.write(9, b"", b"\x08\x02"), Err(EncodeError::HasMark { at: 2 }));
    let slip = AtMark { mark: SerialLine, sum: Sum::PARITY };
    assert_eq!(slip.write(9, b"", b"").unwrap(), b"\0\xC0");
}

#[test]
fn checks_after_an_announced_payload() {
    let checked = Counted { rules: U8, sum: Sum::PARITY };
    says!(checked, 9, b"\x02ab\x01\0\0", STOP: "0..4 \"ab\"", "4..6 \"\"", "end");
    says!(checked, 9, b"\x02ab", STOP: "+\"ab\"", "!Trailer 1");
    says!(checked, 9, b"\0", STOP: "+\"\"", "!Trailer 1");
    says!(checked, 9, b"\x02a", STOP: "+\"a\"", "!Payload 2");
    says!(checked, 9, b"\x02ab\x02\0\0", SKIP: "+\"ab\"", "!0-4 BadCheck { found: 2, expected: 1 }",
        "4..6 \"\"", "end");
    says!(checked, 1, b"\x02ab\x02\0\0", SKIP: "!1 Oversize { at: 0, len: 2, limit: 1 }", "4..6 \"\"", "end");
    says!(checked, 1, b"\x02ab", SKIP: "!1 Oversize { at: 0, len: 2, limit: 1 }", "!Trailer 1");
    says!(checked, 1, b"\x02a", SKIP: "!1 Oversize { at: 0, len: 2, limit: 1 }", "!Payload 2");
    // Inside the failed frame stands a whole one.
    says!(checked, 9, b"\x03\x01a\x60\x02", RESYNC: "+\"\\\\x01a`\"", "!0-5 BadCheck { found: 2, expected: 3 }",
        "found 1", "1..4 \"a\"", "+\"\"", "!Payload 3");
    // A candidate that is not complete is waited for, though a whole frame stands after it.
    says!(checked, 9, b"\x01\x08\x02\0\0", RESYNC: "+\"\\\\x08\"", "!0-3 BadCheck { found: 2, expected: 9 }", "lost 5");
    let two = Counted { rules: U16Be, sum: Sum::SUMS };
    says!(two, 9, b"\0\x01a\x62", STOP: "+\"a\"", "!Trailer 1");
    says!(two, 9, b"\0", STOP: "!Header 1");
    let long = Counted { rules: U8, sum: Sum::LONG };
    says!(long, 9, &[0; 12], STOP: "+\"\"",
        "!0-12 BadCheck { found: 0, expected: 16777216 }");
}

#[test]
fn fixed_lengths() {
    let fixed = Counted { rules: FixedLen(2), sum: Sum::NONE };
    says!(fixed, 9, b"abcd", STOP: "0..2 \"ab\"", "2..4 \"cd\"", "end");
    says!(fixed, 9, b"abc", STOP: "0..2 \"ab\"", "+\"c\"", "!Payload 1");
    says!(fixed, 9, b"", STOP: "end");
    says!(fixed, 1, b"a", STOP: "!0 Oversize { at: 0, len: 2, limit: 1 }");
    says!(fixed, 1, b"ab", SKIP: "!0 Oversize { at: 0, len: 2, limit: 1 }", "end");
    assert_eq!(fixed.write(9, b"", b"a"), Err(EncodeError::WrongLength { len: 1, expected: 2 }));
    assert_eq!(fixed.write(9, b"", b"ab").unwrap(), b"ab");
    let checked = Counted { rules: FixedLen(2), sum: Sum::PARITY };
    says!(checked, 9, b"ab\x03", STOP: "0..3 \"ab\"", "end");
    says!(checked, 9, b"aab\x03", RESYNC: "+\"aa\"", "!0-3 BadCheck { found: 98, expected: 0 }", "found 1",
        "1..4 \"ab\"", "end");
}

#[test]
fn version_2() {
    let v2 = Counted { rules: Version2, sum: Sum::CRC32C };
    let frame = v2.write(9, &[0x40], b"hi").unwrap();
    let header = [0xF5, 0x02, 0x40, 0, 0, 0, 2, check(&[0xF5, 0x02, 0x40, 0, 0, 0, 2])];
    assert_eq!(frame[..10], *[&header[..], b"hi"].concat());
    assert_eq!(frame[10..], CASTAGNOLI.of(&frame[..10]).to_be_bytes()[4..]);
    let content = Content { meta: vec![0x40], header: header.to_vec(), payload: b"hi".to_vec() };
    let whole = Outcome::Frame { at: 0, end: 14, content };
    assert_eq!(outcomes(&v2, 9, &frame, Policy::STOP), [whole, Outcome::End]);
    let v1 = outcomes(&v2, 9, b"\xF5\x01", Policy::STOP);
    let error = HeaderError::UnsupportedVersion { found: 1, supported: 2 };
    let error = DecodeError::Header { at: 0, error };
    assert_eq!(v1, [Outcome::Error { error, position: 2 }]);
    // The payload of a damaged frame holds no header; the frame after it is found.
    let mut stream = [&frame[..], &frame].concat();
    stream[9] ^= 1;
    let found = outcomes(&v2, 9, &stream, Policy::RESYNC);
    let expected = u32::try_from(CASTAGNOLI.of(&stream[..10])).unwrap();
    let error = FrameError::BadCheck { found: told(&frame[10..]), expected };
    let error = DecodeError::Frame { at: 0, error };
    assert_eq!(found[1], Outcome::Error { error, position: 14 });
    assert_eq!(found[2], Outcome::Found { skipped: 14 });
    assert!(matches!(found[3..], [Outcome::Frame { at: 14, end: 28, .. }, Outcome::End]));
}

/// What ends a search in version 1 with a check is a frame, not a header.
#[test]
fn a_checked_format_is_searched_for_whole_frames() {
    let checked = Counted { rules: V1, sum: Sum::PARITY };
    let frame = checked.write(9, &[1], b"x").unwrap();
    let stream = [b"?", &frame[..8], b"xy", &frame].concat();
    let found = outcomes(&checked, 9, &stream, Policy::RESYNC);
    assert!(
        matches!(
            found[..],
            [
                Outcome::Error { position: 1, .. },
                Outcome::Found { skipped: 11 },
                Outcome::Frame { at: 11, .. },
                Outcome::End,
            ]
        ),
        "{found:?}"
    );
    let plain = Counted { rules: V1, sum: Sum::NONE };
    let found = outcomes(&plain, 9, &stream, Policy::RESYNC);
    assert!(matches!(found[1..3], [Outcome::Found { skipped: 1 }, Outcome::Frame { at: 1, .. }]));
    let part = Outcome::Error {
        error: DecodeError::Truncated { at: 1, missing: 7, part: Part::Header },
        position: 1,
    };
    assert_eq!(outcomes(&checked, 9, b"\xF5", Policy::STOP), [part]);
}
