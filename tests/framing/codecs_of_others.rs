//! What differs from the codecs of tokio-util that read the same framings: the lists in
//! `testing/src/bodies/differential.rs` and `differential_marks.rs`, by which the fuzz target `differential` compares them.

use tokio_util::bytes::BytesMut;
use tokio_util::codec::{AnyDelimiterCodec, Decoder, Encoder, LinesCodec, LinesCodecError};
use unstick::{AnyDelimiter, EncodeError, FrameBuf, Framing, Lines, Wire};

/// The frames of a stream, up to its end.
fn frames<W: Wire>(framing: impl Into<Framing<W>>, stream: &[u8]) -> Vec<Vec<u8>> {
    let mut buf = FrameBuf::growing(framing);
    buf.extend_all(stream);
    let mut frames = Vec::new();
    while let Some(frame) = buf.next_frame().unwrap() {
        frames.push(frame.payload.to_vec());
    }
    while let Some(frame) = buf.end().unwrap() {
        frames.push(frame.payload.to_vec());
    }
    frames
}

/// The same of the codec; the error is its first.
fn lines(mut codec: LinesCodec, stream: &[u8]) -> Result<Vec<String>, LinesCodecError> {
    let mut buf = BytesMut::from(stream);
    let mut lines = Vec::new();
    while let Some(line) = codec.decode_eof(&mut buf)? {
        lines.push(line);
    }
    Ok(lines)
}

#[test]
fn the_limit_counts_no_return() {
    let longest = b"abc\r\n";
    let refused = lines(LinesCodec::new_with_max_length(3), longest).unwrap_err();
    assert!(matches!(refused, LinesCodecError::MaxLineLengthExceeded));
    assert_eq!(frames(Framing::new(Lines::new()).with_limit(3), longest), [b"abc"]);
    assert_eq!(lines(LinesCodec::new_with_max_length(3), b"abc\n").unwrap(), ["abc"]);
}

#[test]
fn a_return_at_the_end_is_content() {
    let framing = Lines::new().or_end();
    assert_eq!(lines(LinesCodec::new(), b"a\nb\r").unwrap(), ["a", "b"]);
    assert_eq!(frames(framing, b"a\nb\r"), [&b"a"[..], b"b\r"]);
    assert!(lines(LinesCodec::new(), b"\r").unwrap().is_empty());
    assert_eq!(frames(framing, b"\r"), [b"\r"]);
    assert_eq!(lines(LinesCodec::new(), b"a\r\r\n").unwrap(), ["a\r"]);
    assert_eq!(frames(framing, b"a\r\r\n"), [b"a\r"]);
}

#[test]
fn a_line_is_any_bytes() {
    let error = lines(LinesCodec::new(), b"\xFF\n").unwrap_err();
    assert!(matches!(error, LinesCodecError::Io(_)));
    assert_eq!(frames(Lines::new(), b"\xFF\n"), [b"\xFF"]);
}

#[test]
fn what_reads_as_something_else_is_not_written() {
    for (text, read, at) in [("a\nb", &["a", "b"][..], 1), ("a\r", &["a"], 1)] {
        let mut wire = BytesMut::new();
        LinesCodec::new().encode(text, &mut wire).unwrap();
        assert_eq!(lines(LinesCodec::new(), &wire).unwrap(), read);
        let refused = Framing::new(Lines::new()).encode((), text.as_bytes(), &mut Vec::new());
        assert_eq!(refused, Err(EncodeError::HasMark { at }));
    }
    let mut codec = AnyDelimiterCodec::new(b";,".to_vec(), b";".to_vec());
    let mut wire = BytesMut::new();
    codec.encode("a,b", &mut wire).unwrap();
    assert_eq!(codec.decode(&mut wire).unwrap().unwrap(), "a");
    let framing = Framing::new(AnyDelimiter::new(b";,"));
    let refused = framing.encode((), b"a,b", &mut Vec::new());
    assert_eq!(refused, Err(EncodeError::HasMark { at: 1 }));
}

/// With a limit of its own, too.
#[test]
fn what_is_too_long_is_not_written() {
    let mut wire = BytesMut::new();
    LinesCodec::new_with_max_length(2).encode("abc", &mut wire).unwrap();
    assert!(lines(LinesCodec::new_with_max_length(2), &wire).is_err());
    let refused = Framing::new(Lines::new()).with_limit(2).encode((), b"abc", &mut Vec::new());
    assert_eq!(refused, Err(EncodeError::Oversize { len: 3, limit: 2 }));
}

#[test]
fn what_differs_from_length_delimited_codec_is_listed() {
    unstick_testing::bodies::differential::assert_differences();
}
