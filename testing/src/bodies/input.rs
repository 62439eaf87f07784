//! Cases from bytes. Whatever the bytes are, a case comes out of them; what is missing is zero, and
//! short inputs are small cases.

use arbitrary::{Arbitrary, Result, Unstructured};
use unstick::{AnyDelimiter, DEFAULT_LIMIT, Delimited, Layout, LengthField};

use crate::chunks::{self, Subject};
use crate::families::{self, Case, Subjected};
use crate::formats::{COVERS, ORDERS, Part, stream};
use crate::oracle::families::{AtMark, Family};
use crate::oracle::marks::{Delimiter, OneOf};
use crate::oracle::{Policy, Rules};

/// The most bytes of a stream that is made of parts.
const STREAM: usize = 2048;

/// Calls a generic function with the format that the input picks.
macro_rules! any_format {
    ($input:expr, $function:ident $(, $arg:expr)* $(,)?) => {
        $crate::bodies::input::any_format!(@ $input, $function, [$($arg),*],
            V1 U8 U16Be U16Le U24Be U24Le U32Be U32Le U64Be U64Le I32Be I32Le Varint)
    };
    (@ $input:expr, $function:ident, $args:tt, $($format:ident)+) => {{
        let mut chosen = $input.arbitrary::<u8>()? % 16;
        $($crate::bodies::input::any_format!(@@ chosen, $function, $args, $format);)+
        let _ = chosen;
        let format = $crate::bodies::input::layout($input)?;
        $crate::bodies::input::any_format!(@@@ $function, $args, &format)
    }};
    (@@ $chosen:ident, $function:ident, $args:tt, $format:ident) => {
        if $chosen == 0 {
            return $crate::bodies::input::any_format!(@@@ $function, $args, &unstick::$format);
        }
        $chosen -= 1;
    };
    (@@@ $function:ident, [$($arg:expr),*], $format:expr) => {
        $function($format $(, $arg)*)
    };
}
pub(crate) use any_format;

/// The same with a framing that has a mark, a check or a fixed length. Not all that `families` has: each
/// takes its time to compile, and the tests of every framing run the others.
macro_rules! any_case {
    ($input:expr, $function:ident $(, $arg:expr)* $(,)?) => {
        $crate::bodies::input::any_case!(@ $input, $function, [$($arg),*],
            lines crlf_lines lines_or_end checked_lines cobs checked_cobs slip slip_between_ends
            checked_slip hdlc checked_u8 checked_varint version_2)
    };
    (@ $input:expr, $function:ident, $args:tt, $($case:ident)+) => {{
        let mut chosen = $input.arbitrary::<u8>()? % 128 % 20;
        $(
            if chosen == 0 {
                let case = $crate::families::$case();
                return $crate::bodies::input::any_case!(@@ $function, &case, $args);
            }
            chosen -= 1;
        )+
        let _ = match chosen {
            0..=2 => {
                let case = $crate::bodies::input::delimited($input)?;
                return $crate::bodies::input::any_case!(@@ $function, &case, $args);
            }
            3 => {
                let case = $crate::bodies::input::one_of($input)?;
                return $crate::bodies::input::any_case!(@@ $function, &case, $args);
            }
            4 => {
                let len = 1 + u64::from($input.arbitrary::<u8>()?);
                let case = $crate::families::fixed_len(len);
                return $crate::bodies::input::any_case!(@@ $function, &case, $args);
            }
            _ => (),
        };
        let case = $crate::families::checked_layout($crate::bodies::input::layout($input)?);
        $crate::bodies::input::any_case!(@@ $function, &case, $args)
    }};
    (@@ $function:ident, $case:expr, [$($arg:expr),*]) => {
        $function($case $(, $arg)*)
    };
}
pub(crate) use any_case;

/// Whether the input picks a framing of [`any_case`], and not a format: half of all first bytes do.
pub fn picks_case(u: &Unstructured<'_>) -> bool {
    u.peek_bytes(1).is_some_and(|first| first[0] >= 128)
}

/// Delimiters that are their own beginning as often as not, and some of the longest.
pub fn delimited(u: &mut Unstructured<'_>) -> Result<Case<Delimited<Vec<u8>>, AtMark<Delimiter>>> {
    let (pick, or_end) = (u.arbitrary::<u8>()?, u.arbitrary()?);
    let of_two_letters = u.arbitrary()?;
    let base = (0..=pick % 8).map(|_| {
        let byte = u.arbitrary::<u8>()?;
        Ok(if of_two_letters { b'a' + byte % 2 } else { byte })
    });
    let base = base.collect::<Result<Vec<u8>>>()?;
    let len = match pick {
        250.. => 255,
        200..250 => usize::from(pick - 199),
        _ => base.len(),
    };
    Ok(families::delimited(base.into_iter().cycle().take(len).collect(), or_end))
}

/// One to eight bytes that end a frame.
pub fn one_of(u: &mut Unstructured<'_>) -> Result<Case<AnyDelimiter<Vec<u8>>, AtMark<OneOf>>> {
    let (pick, or_end) = (u.arbitrary::<u8>()?, u.arbitrary()?);
    let bytes = (0..=pick % 8).map(|_| u.arbitrary()).collect::<Result<Vec<u8>>>()?;
    Ok(families::one_of(bytes, or_end))
}

/// The rest of the input as a stream of a case: as it is, or as frames that the oracle writes, with
/// damage or without.
pub fn case_stream<W: Subjected, M: Family>(
    u: &mut Unstructured<'_>,
    case: &Case<W, M>,
    limit: u64,
) -> Result<Vec<u8>> {
    let mut stream = match u.arbitrary::<u8>()? % 4 {
        0 => rest(u)?,
        made => {
            let parts = families::parts(u, limit, &case.special, made > 1)?;
            families::stream(case, &parts)
        }
    };
    // The oracle takes the square of it.
    stream.truncate(640);
    Ok(stream)
}

/// One of all the layouts that there are.
pub fn layout(u: &mut Unstructured<'_>) -> Result<LengthField> {
    let mut below = |n: usize| Ok(usize::from(u.arbitrary::<u8>()?) % n);
    let width = 1 + below(8)?;
    let header_len = width + below(33 - width)?;
    let offset = below(header_len - width + 1)?;
    let (order, covers) = (ORDERS[below(2)?], COVERS[below(3)?]);
    Ok(LengthField::new(Layout { header_len, offset, width, order, covers }).unwrap())
}

/// Small limits most of all, and the ends of the range.
pub fn limit(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.arbitrary::<u8>()? {
        255 => u64::MAX,
        254 => DEFAULT_LIMIT,
        253 => u.arbitrary()?,
        252 => u.arbitrary::<u16>()?.into(),
        small => small.into(),
    })
}

pub fn policy(u: &mut Unstructured<'_>) -> Result<Policy> {
    Ok(Policy::ALL[usize::from(u.arbitrary::<u8>()?) % 4])
}

/// Where a stream is cut, before its length is known.
#[derive(Debug)]
pub enum Cuts {
    Bytes,
    Every(usize),
    /// A part of 65,536 each.
    At(Vec<u16>),
}

impl<'a> Arbitrary<'a> for Cuts {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary::<u8>()? % 12 {
            10 => Self::Bytes,
            11 => Self::Every(1 + usize::from(u.arbitrary::<u8>()?)),
            count => Self::At((0..count).map(|_| u.arbitrary()).collect::<Result<_>>()?),
        })
    }
}

impl Cuts {
    pub fn in_stream(&self, stream: &[u8]) -> Vec<usize> {
        match self {
            Self::Bytes => chunks::single_bytes(stream),
            Self::Every(step) => (*step..stream.len()).step_by(*step).collect(),
            Self::At(parts) => {
                let place = |part: &u16| usize::from(*part) * (stream.len() + 1) / 65_536;
                let mut cuts: Vec<_> = parts.iter().map(place).collect();
                cuts.sort_unstable();
                cuts
            }
        }
    }
}

/// A frame's length: small, or around the limit.
pub fn length(u: &mut Unstructured<'_>, limit: u64) -> Result<u64> {
    Ok(match u.arbitrary::<u8>()? {
        pick @ 192..=207 => (limit.min(1024) + u64::from(pick % 3)).saturating_sub(1),
        208.. => (u.arbitrary::<u16>()? % 1024).into(),
        small => small.into(),
    })
}

pub fn part(u: &mut Unstructured<'_>, limit: u64) -> Result<Part> {
    let back = |u: &mut Unstructured<'_>| u.arbitrary::<u8>().map(usize::from);
    Ok(match u.arbitrary::<u8>()? % 10 {
        0..=4 => Part::Frame {
            meta: u.arbitrary::<u16>()?.into(),
            len: length(u, limit)?,
            fill: u.arbitrary()?,
        },
        5 => Part::Frame { meta: u.arbitrary()?, len: 0, fill: 0 },
        6 => Part::Header { meta: u.arbitrary()?, len: self::limit(u)?, keep: back(u)? % 40 },
        7 => {
            let len = usize::from(u.arbitrary::<u8>()? % 16).min(u.len());
            Part::Bytes(u.bytes(len)?.to_vec())
        }
        8 => Part::Flip { back: back(u)?, bit: u.arbitrary()? },
        _ => Part::Lose { back: back(u)? },
    })
}

/// The rest of the input as parts of a stream.
pub fn parts(u: &mut Unstructured<'_>, limit: u64) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut len = 0;
    while !u.is_empty() && len < STREAM {
        let part = part(u, limit)?;
        len += match &part {
            Part::Frame { len, .. } => *len as usize + 32,
            _ => 32,
        };
        parts.push(part);
    }
    Ok(parts)
}

/// The rest of the input as a stream: as it is, or as parts that the oracle writes.
pub fn any_stream<F: Subject>(u: &mut Unstructured<'_>, format: &F, limit: u64) -> Result<Vec<u8>> {
    if u.arbitrary()? { rest(u) } else { Ok(stream(format, &parts(u, limit)?)) }
}

/// The same with frames longer than any buffer's first storage.
pub fn long_stream<F: Subject>(
    u: &mut Unstructured<'_>,
    format: &F,
    limit: u64,
) -> Result<Vec<u8>> {
    let mut parts = parts(u, limit)?;
    for part in &mut parts {
        if let Part::Frame { len, .. } = part {
            *len *= 97;
        }
    }
    let mut bytes = stream(format, &parts);
    bytes.truncate(150_000);
    Ok(bytes)
}

pub fn rest(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let len = u.len();
    Ok(u.bytes(len)?.to_vec())
}

/// A payload that tells itself from others.
pub fn payload(len: usize, fill: u8) -> Vec<u8> {
    (0..len).map(|i| fill.wrapping_add(i as u8)).collect()
}

/// A header's other fields as the oracle writes them.
pub fn described<F: Subject>(format: &F, seed: u64) -> Vec<u8> {
    F::describe(&format.pick_meta(seed))
}

/// What the oracle writes for a frame; `None` if no header can announce it.
pub fn written<F: Subject>(format: &F, seed: u64, payload: &[u8]) -> Option<Vec<u8>> {
    let header = Rules::write(format, &described(format, seed), payload.len() as u64)?;
    Some([&header[..], payload].concat())
}
