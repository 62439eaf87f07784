//! Cases from bytes. Whatever the bytes are, a case comes out of them; what is missing is zero, and
//! short inputs are small cases.

use arbitrary::{Arbitrary, Result, Unstructured};
use unstick::{DEFAULT_LIMIT, Layout, LengthField};

use crate::chunks::{self, Subject};
use crate::formats::{COVERS, ORDERS, Part, stream};
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
