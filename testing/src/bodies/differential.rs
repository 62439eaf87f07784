//! The crate and the codecs of others agree, where both are defined.

use arbitrary::{Result, Unstructured};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder as _, Encoder as _, LengthDelimitedCodec};
use unstick::{
    ByteOrder, Covers, DecodeError, EncodeError, Framing, HeaderError, LengthField, Part,
};

use super::differential_marks;
use super::input::{self, Cuts};
use crate::chunks::{Path, run};
use crate::formats::stream;
use crate::oracle::{Outcome, Policy};

/// The codec reserves what a header announces, so that its limit has to be one to try.
pub(super) const GREATEST: u64 = 64 * 1024;

/// The first byte picks one of four pairs: [`differential_marks`] has three, each with a list of what
/// differs. The fourth is a `LengthField` and tokio-util's `LengthDelimitedCodec` that was built to mean
/// the same, over the same bytes and cuts. `length_field_length` (1 to 8), `length_field_offset`, byte order, `length_adjustment`,
/// `num_skip` (the header, or nothing, which keeps the header with the payload) and
/// `max_frame_length` are all in it.
///
/// What differs, differs by design, and the target says for each case what the codec must do:
///
/// 1. *A cut right behind a header.* The codec has consumed the header, finds its buffer empty, and
///    takes it for a clean end. Here it is `Truncated`: the end of a stream is clean only on a
///    frame boundary.
/// 2. *What the limit counts.* The codec compares the raw field with `max_frame_length` when it
///    decodes, and the payload when it encodes, so that with an adjustment it encodes frames
///    that it then refuses. Here a limit counts payload bytes, on both sides.
/// 3. *What the field can say.* For the same reason the codec takes the adjustment off the
///    greatest field twice, and refuses frames that fit. Here all that the field can say is
///    taken, up to the limit.
/// 4. *A length that covers less than the header.* The codec refuses it only once the whole header
///    is there, and with `num_skip` 0 it delivers a frame shorter than its own header. Here
///    it is refused with the field's last byte.
/// 5. *When an oversize frame is refused.* The codec needs the bytes up to the field's end, or all
///    that are skipped; here it is the whole header. The outcome differs only for a stream
///    that ends in between.
/// 6. *Errors.* Two kinds of `io::Error` and a text, without a place. Here they carry the offset
///    and what was found. A stream's end inside a frame is one more kind of error in both.
/// 7. *Header bytes around the field.* The codec's encoder does not write them; the encoders are
///    compared where there are none.
pub fn differential(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

struct Pair {
    format: LengthField,
    framing: Framing<LengthField>,
    codec: LengthDelimitedCodec,
    /// The header's bytes that the length counts.
    covered: u64,
    /// Whether the codec delivers the header before the payload.
    keeps: bool,
}

/// How the codec ends.
#[derive(Debug, PartialEq)]
enum End {
    Clean,
    TooBig,
    BadAdjustment,
    Remaining,
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    match u.arbitrary::<u8>()? {
        128..170 => return differential_marks::lines(u),
        170..212 => return differential_marks::any_delimiter(u),
        212.. => return differential_marks::cobs(u),
        _ => {}
    }
    let format = input::layout(u)?;
    let limit = input::limit(u)?.min(GREATEST);
    let pair = pair(format, limit, u.arbitrary()?);
    let cuts = u.arbitrary::<Cuts>()?;
    let payload = input::payload(input::length(u, limit)? as usize, 0);
    encode(&pair, &payload);
    let bytes =
        if u.arbitrary()? { input::rest(u)? } else { stream(&format, &input::parts(u, limit)?) };
    let cuts = cuts.in_stream(&bytes);
    decode(pair, &bytes, &cuts);
    Ok(())
}

fn pair(format: LengthField, limit: u64, keeps: bool) -> Pair {
    let layout = format.layout();
    let covered = match layout.covers {
        Covers::Payload => 0,
        Covers::AfterField => layout.header_len - layout.offset - layout.width,
        Covers::Frame => layout.header_len,
    };
    let framing = Framing::new(format).with_limit(limit);
    let header_len = layout.header_len as isize;
    let mut builder = LengthDelimitedCodec::builder();
    builder
        .length_field_length(layout.width)
        .length_field_offset(layout.offset)
        .length_adjustment(if keeps { header_len } else { 0 } - covered as isize)
        .num_skip(if keeps { 0 } else { layout.header_len })
        .max_frame_length(framing.limit() as usize + covered);
    match layout.order {
        ByteOrder::Big => builder.big_endian(),
        ByteOrder::Little => builder.little_endian(),
    };
    Pair { format, framing, codec: builder.new_codec(), covered: covered as u64, keeps }
}

/// What the codec must do, by what the crate does and the list above.
fn expect(pair: &Pair, stream: &[u8], outcomes: &[Outcome]) -> (Vec<Vec<u8>>, End) {
    let layout = pair.format.layout();
    let (limit, most) = (pair.framing.limit(), pair.codec.max_frame_length() as u64);
    assert!(most <= limit + pair.covered);
    let head = if pair.keeps { layout.offset + layout.width } else { layout.header_len };
    let delivered = |header: &[u8], payload: &[u8]| {
        if pair.keeps { [header, payload].concat() } else { payload.to_vec() }
    };
    let mut frames = Vec::new();
    for outcome in outcomes {
        // Difference 2 and 3: the codec's limit is on the raw field.
        let refused_by_field = |payload_len: u64| payload_len + pair.covered > most;
        let allowed = |payload_len: u64| {
            assert!(payload_len <= limit, "{payload_len} bytes under a limit of {limit}");
            !refused_by_field(payload_len)
        };
        match outcome {
            Outcome::Frame { header, payload, .. } => {
                if !allowed(payload.len() as u64) {
                    return (frames, End::TooBig);
                }
                frames.push(delivered(header, payload));
            }
            Outcome::Begun { at, header, payload, .. } => {
                let field = &header[layout.offset..layout.offset + layout.width];
                if !allowed(number(field, layout.order) - pair.covered) {
                    return (frames, End::TooBig);
                }
                assert_eq!(*at as usize + header.len() + payload.len(), stream.len());
                // Difference 1.
                let forgotten = payload.is_empty() && !pair.keeps;
                return (frames, if forgotten { End::Clean } else { End::Remaining });
            }
            Outcome::Error { error: DecodeError::Oversize { len, limit, .. }, .. } => {
                assert!(len > limit && refused_by_field(*len));
                return (frames, End::TooBig);
            }
            Outcome::Error {
                error: DecodeError::Truncated { part: Part::Header, at, .. }, ..
            } => {
                let begin = frames_end(outcomes);
                let here = &stream[begin..*at as usize];
                let field = layout.offset..layout.offset + layout.width;
                let Some(field) = here.get(field).filter(|_| here.len() >= head) else {
                    return (frames, End::Remaining);
                };
                // Difference 5: the crate waits for the rest of the header.
                let too_big = number(field, layout.order) > most;
                return (frames, if too_big { End::TooBig } else { End::Remaining });
            }
            Outcome::Error {
                error: DecodeError::Header { at, error: HeaderError::LengthTooShort { found, .. } },
                ..
            } => {
                // Difference 4.
                let here = &stream[*at as usize..];
                if here.len() < head {
                    return (frames, End::Remaining);
                }
                if *found > most {
                    return (frames, End::TooBig);
                }
                if !pair.keeps {
                    return (frames, End::BadAdjustment);
                }
                let short = (found + layout.header_len as u64 - pair.covered) as usize;
                assert!(short < layout.header_len);
                if short > here.len() {
                    return (frames, End::Remaining);
                }
                frames.push(here[..short].to_vec());
                // Behind it the codec is nowhere.
                return (frames, End::Clean);
            }
            Outcome::End => return (frames, End::Clean),
            other => panic!("{other:?}"),
        }
    }
    panic!("no end: {outcomes:?}")
}

/// Where the last whole frame ends.
fn frames_end(outcomes: &[Outcome]) -> usize {
    let len = |outcome: &Outcome| match outcome {
        Outcome::Frame { header, payload, .. } => header.len() + payload.len(),
        _ => 0,
    };
    outcomes.iter().map(len).sum()
}

fn number(field: &[u8], order: ByteOrder) -> u64 {
    let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    match order {
        ByteOrder::Big => field.iter().fold(0, push),
        ByteOrder::Little => field.iter().rev().fold(0, push),
    }
}

fn decode(mut pair: Pair, stream: &[u8], cuts: &[usize]) {
    let outcomes = run(&pair.framing, stream, cuts, Path::Pieces, Policy::STOP);
    let (want, end) = expect(&pair, stream, &outcomes);
    let (got, found) = run_codec(&mut pair.codec, stream, cuts, want.len());
    let what = format!("{:?}, keeps {}, {stream:02x?}", pair.framing, pair.keeps);
    assert_eq!(got, want, "{what}");
    let nowhere = matches!(
        outcomes.last(),
        Some(Outcome::Error { error: DecodeError::Header { .. }, .. }) if pair.keeps
    );
    if !(nowhere && end == End::Clean) {
        assert_eq!(found, Some(end), "{what}");
    }
}

/// At most one frame more than is expected; then, or else at its end, the codec's end.
fn run_codec(
    codec: &mut LengthDelimitedCodec,
    stream: &[u8],
    cuts: &[usize],
    expected: usize,
) -> (Vec<Vec<u8>>, Option<End>) {
    let mut buf = BytesMut::new();
    let mut frames = Vec::new();
    let end = |error: std::io::Error| match error.to_string().as_str() {
        "frame size too big" => End::TooBig,
        "provided length would overflow after adjustment" => End::BadAdjustment,
        "bytes remaining on stream" => End::Remaining,
        other => panic!("{other}"),
    };
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([stream.len()]);
    for (from, to) in starts.zip(ends) {
        buf.extend_from_slice(&stream[from..to]);
        loop {
            match codec.decode(&mut buf) {
                Ok(None) => break,
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Err(error) => return (frames, Some(end(error))),
            }
            if frames.len() > expected {
                frames.truncate(expected);
                return (frames, None);
            }
        }
    }
    let found = match codec.decode_eof(&mut buf) {
        Ok(None) => End::Clean,
        Ok(Some(_)) => panic!("a frame that was there before"),
        Err(error) => end(error),
    };
    (frames, Some(found))
}

fn encode(pair: &Pair, payload: &[u8]) {
    let layout = pair.format.layout();
    if layout.header_len != layout.width || pair.keeps {
        return; // difference 7
    }
    let mut theirs = BytesMut::new();
    let accepted = pair.codec.clone().encode(payload, &mut theirs);
    let len = payload.len() as u64;
    // Difference 2: what the codec compares with its limit is another number here.
    assert_eq!(accepted.is_ok(), len <= pair.codec.max_frame_length() as u64);
    let mut ours = Vec::new();
    let meta = pair.format.meta(&vec![0; layout.header_len]).unwrap();
    match pair.framing.encode(meta, payload, &mut ours) {
        Err(error) => {
            assert_eq!(error, EncodeError::Oversize { len, limit: pair.framing.limit() });
            assert!(len > pair.framing.limit());
        }
        Ok(()) => {
            assert!(len <= pair.framing.limit());
            if accepted.is_ok() {
                assert_eq!(ours, theirs);
            }
        }
    }
}

/// Asserts one layout of each difference, so that the list above stays true.
pub fn assert_differences() {
    let frame = |width: usize, header_len| unstick::Layout {
        header_len,
        offset: 0,
        width,
        order: ByteOrder::Big,
        covers: Covers::Frame,
    };
    let of = |layout, limit, keeps, stream: &[u8]| {
        let pair = pair(LengthField::new(layout).unwrap(), limit, keeps);
        let ours = run(&pair.framing, stream, &[], Path::Decode, Policy::STOP).pop().unwrap();
        let (frames, end) =
            expect(&pair, stream, &run(&pair.framing, stream, &[], Path::Decode, Policy::STOP));
        decode(pair, stream, &[]);
        (ours, frames.len(), end)
    };
    // 1
    let (ours, frames, end) = of(frame(2, 2), 9, false, &[0, 5]);
    assert!(matches!(
        ours,
        Outcome::Error { error: DecodeError::Truncated { missing: 3, .. }, .. }
    ));
    assert_eq!((frames, end), (0, End::Clean));
    // 2: what it encodes it refuses.
    let mut codec =
        LengthDelimitedCodec::builder().length_adjustment(-4).max_frame_length(9).new_codec();
    let mut wire = BytesMut::new();
    codec.encode(&[0; 9][..], &mut wire).unwrap();
    assert_eq!(codec.decode(&mut wire).unwrap_err().to_string(), "frame size too big");
    // 3
    let longest = [&[255][..], &[7; 254]].concat();
    let (ours, frames, end) = of(frame(1, 1), 999, false, &longest);
    assert_eq!((ours, frames, end), (Outcome::End, 0, End::TooBig));
    // 4
    let (ours, frames, end) = of(frame(1, 4), 9, false, &[2, 0, 0]);
    assert!(matches!(ours, Outcome::Error { error: DecodeError::Header { .. }, .. }));
    assert_eq!((frames, end), (0, End::Remaining));
    assert_eq!(of(frame(1, 4), 9, false, &[2, 0, 0, 0]).2, End::BadAdjustment);
    assert_eq!(of(frame(1, 4), 9, true, &[2, 0, 0, 0]).1, 1);
    // 5
    let (ours, frames, end) = of(frame(1, 4), 9, true, &[99, 0, 0]);
    assert!(matches!(ours, Outcome::Error { error: DecodeError::Truncated { .. }, .. }));
    assert_eq!((frames, end), (0, End::TooBig));
}
