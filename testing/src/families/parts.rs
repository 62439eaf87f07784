//! Streams that are nearly right, made from bytes: the same for tests and fuzz targets.

use arbitrary::{Result, Unstructured};

use super::{Case, Subjected};
use crate::oracle::families::Family;

/// A part of a made-up stream.
#[derive(Clone, Debug)]
pub enum Part {
    Frame {
        meta: u64,
        payload: Vec<u8>,
    },
    /// Bytes that mean nothing between frames; where there are none, a mark's first.
    Idle(usize),
    Bytes(Vec<u8>),
    /// What is there so far, counted from its end: one bit is changed, a byte is lost, doubled, or
    /// inserted.
    Flip {
        back: usize,
        bit: u8,
    },
    Lose {
        back: usize,
    },
    Double {
        back: usize,
    },
    Insert {
        back: usize,
        byte: u8,
    },
    /// The end of what is there so far is lost.
    Cut(usize),
}

/// A payload with none, few, or nothing but bytes that mean something.
pub fn payload(u: &mut Unstructured<'_>, len: usize, special: &[u8]) -> Result<Vec<u8>> {
    let density = u.arbitrary::<u8>()? % 4;
    let mut byte = |i: usize| {
        let seed = u.arbitrary::<u8>()?;
        let pick = special[usize::from(seed >> 3) % special.len()];
        Ok(match density {
            0 => b'p' + (i % 8) as u8,
            1 if seed % 8 == 0 => pick,
            2 if seed % 8 < 4 => pick,
            3 => pick,
            _ => seed,
        })
    };
    (0..len).map(&mut byte).collect()
}

fn some_len(u: &mut Unstructured<'_>, limit: u64) -> Result<usize> {
    let limit = limit.min(600) as usize;
    Ok(match u.arbitrary::<u8>()? {
        0..100 => usize::from(u.arbitrary::<u8>()? % 8),
        100..200 => usize::from(u.arbitrary::<u8>()? % 40),
        200..230 => (limit + usize::from(u.arbitrary::<u8>()? % 3)).saturating_sub(1),
        230..240 => 250 + usize::from(u.arbitrary::<u8>()? % 10),
        _ => usize::from(u.arbitrary::<u16>()? % 600),
    })
}

fn part(u: &mut Unstructured<'_>, limit: u64, special: &[u8], damage: bool) -> Result<Part> {
    let back = |u: &mut Unstructured<'_>| u.arbitrary::<u8>().map(|back| usize::from(back % 48));
    let pick = u.arbitrary::<u8>()? % if damage { 16 } else { 8 };
    Ok(match pick {
        0..=6 => {
            let len = some_len(u, limit)?;
            Part::Frame { meta: u.arbitrary()?, payload: payload(u, len, special)? }
        }
        7 => Part::Idle(1 + back(u)? % 4),
        8 | 9 => {
            let len = back(u)? % 12;
            Part::Bytes(payload(u, len, special)?)
        }
        10 | 11 => Part::Flip { back: back(u)?, bit: u.arbitrary::<u8>()? % 8 },
        12 => Part::Lose { back: back(u)? },
        13 => Part::Double { back: back(u)? },
        14 => Part::Insert { back: back(u)?, byte: payload(u, 1, special)?[0] },
        _ => Part::Cut(back(u)? % 8),
    })
}

/// The rest of the input as parts of a stream, with damage or without.
pub fn parts(
    u: &mut Unstructured<'_>,
    limit: u64,
    special: &[u8],
    damage: bool,
) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut len = 0;
    while !u.is_empty() && len < 1500 {
        let part = part(u, limit, special, damage)?;
        len += if let Part::Frame { payload, .. } = &part { payload.len() + 16 } else { 16 };
        parts.push(part);
    }
    Ok(parts)
}

/// The bytes of such a stream, written by the oracle. What cannot be a frame stands there as it is.
pub fn stream<W: Subjected, M: Family>(case: &Case<W, M>, parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        let place = |back: usize| out.len().checked_sub(back + 1);
        match part {
            Part::Frame { meta, payload } => {
                let meta = (case.describe)(&(case.meta)(&case.wire, *meta));
                let fitted = payload[..payload.len().min(case.model.most() as usize)].to_vec();
                let frame = case.model.write(u64::MAX, &meta, &fitted);
                out.extend(frame.unwrap_or(fitted));
            }
            Part::Idle(n) => out.extend(vec![case.idle.unwrap_or(case.special[0]); *n]),
            Part::Bytes(bytes) => out.extend(bytes),
            Part::Flip { back, bit } => {
                if let Some(i) = place(*back) {
                    out[i] ^= 1 << bit;
                }
            }
            Part::Lose { back } => {
                if let Some(i) = place(*back) {
                    out.remove(i);
                }
            }
            Part::Double { back } => {
                if let Some(i) = place(*back) {
                    out.insert(i, out[i]);
                }
            }
            Part::Insert { back, byte } => {
                if let Some(i) = place(*back) {
                    out.insert(i, *byte);
                }
            }
            Part::Cut(n) => out.truncate(out.len().saturating_sub(*n)),
        }
    }
    out
}

/// Such a stream from bytes.
pub fn made<W: Subjected, M: Family>(
    case: &Case<W, M>,
    seeds: &[u8],
    limit: u64,
    damage: bool,
) -> Vec<u8> {
    let mut u = Unstructured::new(seeds);
    stream(case, &parts(&mut u, limit, &case.special, damage).unwrap())
}

/// Such a payload from bytes.
pub fn made_payload(seeds: &[u8], len: usize, special: &[u8]) -> Vec<u8> {
    payload(&mut Unstructured::new(seeds), len, special).unwrap()
}
