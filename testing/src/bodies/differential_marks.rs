//! Marks agree with the codecs of others, where both are defined.

use arbitrary::{Result, Unstructured};
use cobs::{CobsDecoder, DecodeError as CobsError};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{
    AnyDelimiterCodec, AnyDelimiterCodecError, Decoder, Encoder, LinesCodec, LinesCodecError,
};
use unstick::{DecodeError, EncodeError, FrameError};

use super::differential::GREATEST;
use super::input::{self, Cuts};
use crate::families::{self, Case, Path, Subjected, payload, run};
use crate::oracle::Policy;
use crate::oracle::families::{Family, Outcome};

/// What the other side reports.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Report {
    Frame(Vec<u8>),
    TooLong,
    Broken,
}

struct Input {
    limit: u64,
    stream: Vec<u8>,
    cuts: Vec<usize>,
    payload: Vec<u8>,
}

impl Input {
    fn read<W: Subjected, M: Family>(u: &mut Unstructured<'_>, case: &Case<W, M>) -> Result<Self> {
        let limit = input::limit(u)?.min(GREATEST);
        let (cuts, len) = (u.arbitrary::<Cuts>()?, input::length(u, limit)?);
        let mut payload = payload(u, len as usize, &case.special)?;
        let text: bool = u.arbitrary()?;
        let mut stream = input::case_stream(u, case, limit)?;
        if text {
            stream.iter_mut().chain(&mut payload).for_each(|byte| *byte &= 0x7F);
        }
        let cuts = cuts.in_stream(&stream);
        Ok(Self { limit, stream, cuts, payload })
    }

    /// What the crate reports, until the stream's end.
    fn outcomes<W: Subjected, M: Family>(&self, case: &Case<W, M>) -> (Vec<Report>, Outcome) {
        let report = |outcome| match outcome {
            Outcome::Begun { .. } => None,
            Outcome::Frame { content, .. } => Some(Report::Frame(content.payload)),
            Outcome::Error { error: DecodeError::TooLong { limit, .. }, .. } => {
                assert_eq!(limit, self.limit);
                Some(Report::TooLong)
            }
            Outcome::Error { error, .. } => {
                let is_short =
                    matches!(error, DecodeError::Frame { error: FrameError::CutShort { .. }, .. });
                assert!(is_short, "{error:?}, {:02x?}", self.stream);
                Some(Report::Broken)
            }
            other => panic!("{other:?}"),
        };
        let mut all = run(case, self.limit, &self.stream, &self.cuts, Path::Decode, Policy::SKIP);
        let end = all.pop().unwrap();
        (all.into_iter().filter_map(report).collect(), end)
    }

    /// Calls the codec as `Framed` does, and goes on after its errors.
    fn codec<C: Decoder>(
        &self,
        codec: &mut C,
        mut report: impl FnMut(std::result::Result<C::Item, C::Error>) -> Report,
    ) -> Vec<Report> {
        let (mut buf, mut out) = (BytesMut::new(), Vec::new());
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain([self.stream.len()]);
        for (from, to) in starts.zip(ends) {
            buf.extend_from_slice(&self.stream[from..to]);
            while let Some(result) = codec.decode(&mut buf).transpose() {
                out.push(report(result));
            }
        }
        while let Some(result) = codec.decode_eof(&mut buf).transpose() {
            out.push(report(result));
        }
        // Difference 2 of lines.
        assert!(buf.is_empty() || buf == "\r");
        out
    }

    /// The stream's parts up to the bytes that end one, and what stands after the last.
    fn parts(&self, ends: impl Fn(&u8) -> bool) -> (Vec<&[u8]>, &[u8]) {
        let mut parts: Vec<_> = self.stream.split(ends).collect();
        let rest = parts.pop().unwrap();
        (parts, rest)
    }
}

/// `Lines` that may end with the stream, and tokio-util's `LinesCodec`. What differs, differs by design:
///
/// 1. *What the limit counts.* The codec counts a `\r` before the `\n`, so it refuses the longest line
///    with `\r\n`. Here the limit counts what is delivered.
/// 2. *The stream's end.* The codec takes a `\r` off what stands after the last `\n`, and delivers
///    nothing for a `\r` alone, which stays in its buffer. Here a `\r` without a `\n` is content.
/// 3. *Text.* The codec's lines are UTF-8, and a line that is not is an error. Here they are bytes.
/// 4. *What is written.* The codec writes any text, also one that is read as other lines, or as one
///    too long. Here it is refused.
pub(super) fn lines(u: &mut Unstructured<'_>) -> Result<()> {
    let case = families::lines_or_end();
    let input = Input::read(u, &case)?;
    let limit = input.limit as usize;
    let (ours, end) = input.outcomes(&case);
    assert_eq!(end, Outcome::End);
    let (parts, rest) = input.parts(|byte| *byte == b'\n');
    let rest = Some(rest).filter(|rest| !rest.is_empty());
    assert_eq!(ours.len(), parts.len() + rest.iter().count(), "{:02x?}", input.stream);
    let want = ours.into_iter().enumerate().filter_map(|(i, ours)| {
        let raw = parts.get(i).copied().or(rest).unwrap();
        if raw.len() > limit {
            let with_return = raw.len() == limit + 1 && raw.ends_with(b"\r") && i < parts.len();
            assert!(ours == Report::TooLong || with_return, "{raw:02x?}"); // difference 1
            return Some(Report::TooLong);
        }
        let Report::Frame(mut line) = ours else { panic!("{ours:?} of {raw:02x?}") };
        if i == parts.len() {
            assert_eq!(line, raw);
            if raw == b"\r" {
                return None; // difference 2
            }
            if raw.ends_with(b"\r") {
                line.pop();
            }
        }
        // Difference 3.
        let is_text = std::str::from_utf8(&line).is_ok();
        Some(if is_text { Report::Frame(line) } else { Report::Broken })
    });
    let want: Vec<_> = want.collect();
    let report = |result| match result {
        Ok(line) => Report::Frame(String::into_bytes(line)),
        Err(LinesCodecError::MaxLineLengthExceeded) => Report::TooLong,
        Err(LinesCodecError::Io(_)) => Report::Broken,
    };
    let limited = LinesCodec::new_with_max_length(limit);
    same_as(&case, &input, &want, limited, LinesCodec::new(), report);
    Ok(())
}

/// `AnyDelimiter` that may end with the stream, and tokio-util's `AnyDelimiterCodec`. They read the same.
/// The codec writes any text, also one that is read as others or as one too long; here it is refused.
pub(super) fn any_delimiter(u: &mut Unstructured<'_>) -> Result<()> {
    let delimiters = (0..=u.arbitrary::<u8>()? % 8).map(|_| u.arbitrary());
    let delimiters = delimiters.collect::<Result<Vec<u8>>>()?;
    let case = families::one_of(delimiters.clone(), true);
    let input = Input::read(u, &case)?;
    let limit = input.limit as usize;
    let (want, end) = input.outcomes(&case);
    assert_eq!(end, Outcome::End);
    let report = |result| match result {
        Ok(chunk) => Report::Frame(Vec::from(chunk)),
        Err(AnyDelimiterCodecError::MaxChunkLengthExceeded) => Report::TooLong,
        Err(AnyDelimiterCodecError::Io(error)) => panic!("{error}"),
    };
    let first = delimiters[..1].to_vec();
    let limited = AnyDelimiterCodec::new_with_max_length(delimiters.clone(), first.clone(), limit);
    same_as(&case, &input, &want, limited, AnyDelimiterCodec::new(delimiters, first), report);
    Ok(())
}

/// What a codec reads is what is wanted, and what it writes is read by a codec without a limit, as
/// [`written`] has it.
fn same_as<W, M, C>(
    case: &Case<W, M>,
    input: &Input,
    want: &[Report],
    mut limited: C,
    mut unlimited: C,
    report: impl Fn(std::result::Result<<C as Decoder>::Item, <C as Decoder>::Error>) -> Report,
) where
    W: Subjected + unstick::Wire<Meta = ()>,
    M: Family,
    C: Decoder + for<'a> Encoder<&'a str, Error = <C as Decoder>::Error>,
    <C as Decoder>::Error: std::fmt::Debug,
{
    let got = input.codec(&mut limited, &report);
    let Input { limit, stream, cuts, payload } = input;
    assert_eq!(got, want, "limit {limit}, cuts {cuts:?}, {stream:02x?}");

    if let Ok(text) = std::str::from_utf8(payload) {
        let mut theirs = BytesMut::new();
        limited.encode(text, &mut theirs).unwrap();
        written(case, input, &theirs, |stream| {
            let input = Input { stream, limit: *limit, cuts: Vec::new(), payload: Vec::new() };
            input.codec(&mut unlimited, &report)
        });
    }
}

/// What the crate writes is what the codec writes. What it refuses is too long, or the codec reads
/// something else than it wrote.
fn written<W: Subjected + unstick::Wire<Meta = ()>, M: Family>(
    case: &Case<W, M>,
    input: &Input,
    theirs: &[u8],
    read: impl FnOnce(Vec<u8>) -> Vec<Report>,
) {
    let (payload, mut ours) = (&input.payload, Vec::new());
    match case.framing(input.limit).encode((), payload, &mut ours) {
        Ok(()) => assert_eq!(ours, theirs),
        Err(EncodeError::Oversize { len, limit }) => {
            assert!(len == payload.len() as u64 && limit == input.limit && len > limit);
        }
        Err(EncodeError::HasMark { .. }) => {
            assert_ne!(read(theirs.to_vec()), [Report::Frame(payload.clone())]);
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// `Cobs` and the crate `cobs`. What differs, differs by design:
///
/// 1. *The limit.* The other crate says that its buffer is too small with every further byte of the
///    frame, and then delivers the frame without them. Here the error comes once, and the frame does not.
/// 2. *The stream's end* means nothing to the other crate. Here it may cut a frame off.
pub(super) fn cobs(u: &mut Unstructured<'_>) -> Result<()> {
    let case = families::cobs();
    let input = Input::read(u, &case)?;
    let told = || format!("limit {}, cuts {:?}, {:02x?}", input.limit, input.cuts, input.stream);
    let (ours, end) = input.outcomes(&case);

    let mut room = vec![0; input.limit as usize];
    let mut decoder = CobsDecoder::new(&mut room);
    let (mut theirs, mut inside, mut over) = (Vec::new(), false, false);
    for byte in &input.stream {
        let result = decoder.feed(*byte);
        inside = *byte != 0;
        match result {
            _ if over => over = inside,
            Ok(None) => {}
            Ok(Some(len)) => theirs.push(Report::Frame(decoder.dest()[..len].to_vec())),
            Err(CobsError::TargetBufTooSmall) => {
                theirs.push(Report::TooLong);
                over = true;
            }
            Err(_) => theirs.push(Report::Broken),
        }
    }
    assert_eq!(theirs, ours, "{}", told());
    let cut_off = matches!(end, Outcome::Error { error: DecodeError::Truncated { .. }, .. });
    assert_eq!(cut_off, inside, "{end:?}, {}", told());

    // Its other decoder, which is given whole frames.
    let (parts, _) = input.parts(|byte| *byte == 0);
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    for (part, ours) in parts.zip(&ours) {
        let mut bytes = part.to_vec();
        let decoded = cobs::decode_in_place(&mut bytes).map(|len| bytes[..len].to_vec());
        match ours {
            Report::Frame(payload) => assert_eq!(decoded.as_ref(), Ok(payload), "{part:02x?}"),
            Report::Broken => assert!(decoded.is_err(), "{part:02x?}"),
            Report::TooLong => {
                let limit = input.limit as usize;
                assert!(decoded.is_err() || decoded.is_ok_and(|all| all.len() > limit));
            }
        }
    }

    let mut ours = Vec::new();
    let payload = &input.payload;
    match case.framing(input.limit).encode((), payload, &mut ours) {
        Ok(()) => assert_eq!(ours, [&cobs::encode_vec(payload)[..], &[0]].concat()),
        Err(error) => {
            let len = payload.len() as u64;
            assert_eq!(error, EncodeError::Oversize { len, limit: input.limit });
        }
    }
    Ok(())
}
