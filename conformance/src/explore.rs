//! Inputs worth testing: random bytes hardly ever form a header.

use unstick::{Format, HeaderBuf, MAX_PAYLOAD_LEN, Parsed};

use super::frames;

/// Byte values at which careless code changes its behaviour.
const EDGES: [u8; 12] = [0, 1, 2, 3, 9, b'\n', b'0', b'9', 0x7F, 0x80, 0xFE, 0xFF];
/// The maximum length of an explored header.
pub(super) const MOST: usize = 320;
/// The number of written headers that are changed in every way.
const CHANGED: usize = 24;
/// The number of written headers in which every byte takes every value.
const FLOODED: usize = 3;

/// A deterministic sequence of pseudo-random numbers (SplitMix64).
#[derive(Clone)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Creates a sequence that depends on all of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self(hash)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`, or 0 if `n` is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next().checked_rem(n as u64).unwrap_or_default()).unwrap_or_default()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

/// Returns the lengths around the boundaries of length fields, limits and casts.
pub(super) fn lengths(limit: u64, most: u64) -> Vec<u64> {
    let mut lengths = vec![0, u64::MAX];
    let powers = (0..63).map(|bit| 1_u64 << bit).filter(|power| {
        // The widths of a byte, of varint groups, and of integers, signed ones included.
        [1, 2, 4, 7, 8, 14, 15, 16, 21, 23, 24, 28, 31, 32, 35, 40, 48, 56, 62]
            .contains(&power.trailing_zeros())
    });
    for edge in powers.chain([10, 100, 1_000, 10_000, MAX_PAYLOAD_LEN, limit, most]) {
        lengths.extend([edge.saturating_sub(1), edge, edge.saturating_add(1)]);
    }
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// Returns headers as the format writes them, of these metas and of boundary lengths, and the
/// beginnings of the examples.
pub(super) fn seeds<F: Format>(
    format: &F,
    metas: &[F::Meta],
    limit: u64,
    examples: &[Vec<u8>],
) -> Vec<Vec<u8>> {
    let most = format.max_payload_len();
    let lengths: Vec<u64> = lengths(limit, most).into_iter().filter(|len| *len <= most).collect();
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (i, meta) in metas.iter().enumerate() {
        // All lengths for the first metas, a few for the others.
        let step = if i < 3 { 1 } else { 17 };
        let some = lengths.iter().skip(i % step).step_by(step);
        seeds.extend(some.filter_map(|len| frames::write(format, meta, *len)));
    }
    let room = F::HeaderBuf::LEN.saturating_add(4).min(MOST);
    seeds.extend(examples.iter().map(|bytes| bytes.get(..room).unwrap_or(bytes).to_vec()));
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

/// Calls `each` with bytes that a header may start with, until it returns an error.
pub(super) fn headers<F: Format, E>(
    format: &F,
    seeds: &[Vec<u8>],
    walks: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    each(&[])?;
    short(&mut each)?;
    for (i, seed) in seeds.iter().enumerate() {
        each(seed)?;
        let other = seeds.get((i * 7 + 1) % seeds.len()).map_or(&[][..], |other| other);
        let other = other.get(..8).unwrap_or(other);
        each(&[seed, other].concat())?;
    }
    for seed in spread(seeds, CHANGED) {
        changed(seed, &mut each)?;
    }
    for seed in spread(seeds, FLOODED) {
        for at in 0..seed.len().min(12) {
            for value in 0..=u8::MAX {
                each(&with(seed, at, value))?;
            }
        }
    }
    let mut numbers = Numbers::new(1);
    for _ in 0..walks {
        walk(format, seeds, &mut numbers, &mut each)?;
    }
    Ok(())
}

/// Tries every byte, and every pair of a byte and a boundary value.
fn short<E>(each: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    for byte in 0..=u8::MAX {
        each(&[byte])?;
        for edge in EDGES {
            each(&[byte, edge, edge])?;
            each(&[edge, byte, edge, byte])?;
        }
    }
    Ok(())
}

/// Tries a header with one fault: a changed byte, a changed bit, a missing byte or an extra one.
fn changed<E>(seed: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    // For a long header, only some of the bytes.
    for at in (0..seed.len()).step_by(1 + seed.len() / 24) {
        let byte = seed.get(at).copied().unwrap_or_default();
        let near = [byte.wrapping_add(1), byte.wrapping_sub(1)];
        let flips = (0..8).map(|bit| byte ^ (1 << bit));
        for value in EDGES.into_iter().chain(near).chain(flips) {
            each(&with(seed, at, value))?;
        }
        let (before, behind) = seed.split_at_checked(at).unwrap_or((seed, &[]));
        each(&[before, behind.get(1..).unwrap_or_default(), &[0; 4]].concat())?;
        each(&[before, &[byte], behind].concat())?;
    }
    Ok(())
}

/// Builds a header byte by byte, preferring bytes that leave it undecided, and appends some bytes.
fn walk<F: Format, E>(
    format: &F,
    seeds: &[Vec<u8>],
    numbers: &mut Numbers,
    each: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    const BEHIND: usize = 3;
    const ATTEMPTS: usize = 6;
    let mut bytes = Vec::new();
    let mut behind = 0;
    while bytes.len() < F::HeaderBuf::LEN.saturating_add(BEHIND).min(MOST) && behind < BEHIND {
        for attempt in 1..=ATTEMPTS {
            let byte = likely(seeds, bytes.len(), numbers);
            bytes.push(byte);
            // The last attempt is kept even if it is refused.
            if behind > 0 || attempt == ATTEMPTS || format.decode_header(&bytes).is_ok() {
                break;
            }
            bytes.pop();
        }
        let decided = !matches!(format.decode_header(&bytes), Ok(Parsed::Need(_)));
        behind += usize::from(decided);
    }
    each(&bytes)
}

/// Returns a byte that is plausible at this offset of a header.
fn likely(seeds: &[Vec<u8>], at: usize, numbers: &mut Numbers) -> u8 {
    let kind = numbers.below(4);
    let seed = numbers.pick(seeds).map_or(&[][..], |seed| seed);
    let byte = match kind {
        0 => None,
        1 => numbers.pick(&EDGES),
        2 => seed.get(at),
        _ => numbers.pick(seed),
    };
    byte.copied().unwrap_or_else(|| numbers.byte())
}

fn with(seed: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte = value;
    }
    bytes
}

/// Returns at most `most` items, evenly spread.
fn spread<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(most).max(1))
}

/// A stream, and the limit under which it is read.
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    pub(super) limit: u64,
}

/// Returns streams that go through every state: frames around the limit, truncated, damaged, and
/// with garbage in between.
pub(super) fn streams<F: Format>(
    format: &F,
    metas: &[F::Meta],
    seeds: &[Vec<u8>],
    limit: u64,
    random: usize,
) -> Vec<Stream> {
    let writer = Writer { format, metas, seeds };
    let mut streams = Vec::new();
    let mut limits = [0, 7, limit].map(|small| small.min(limit)).to_vec();
    limits.dedup();
    for &limit in &limits {
        let mut of = |bytes| streams.push(Stream { bytes, limit });
        let near = limit.min(12);
        let valid = writer.frames(&[0, 1.min(near), near, 0, near.min(3)]);
        of(valid.clone());
        if Some(&limit) == limits.get(1) || limits.len() == 1 {
            for end in 0..valid.len() {
                of(valid.get(..end).unwrap_or_default().to_vec());
            }
        }
        if limit <= 4_096 {
            let beyond = limit.saturating_add(1);
            of(writer.frames(&[limit, 0, beyond, limit, beyond.saturating_mul(2), 0]));
        }
        if limit == 0 && limits.len() > 1 {
            continue;
        }
        for (i, garbage) in
            [&b"?"[..], b"\0", b"\xFF\xFF", b"GET / HTTP/1.1\r\n\r\n"].into_iter().enumerate()
        {
            let again = writer.frames(&[near, 0, i as u64]);
            of([&valid, garbage, &again, garbage, &again].concat());
        }
    }
    let mut numbers = Numbers::new(2);
    for i in 0..random {
        let limit = if i % 4 == 0 { limit } else { (numbers.below(30) as u64).min(limit) };
        let instructions: Vec<u8> = (0..24).map(|_| numbers.byte()).collect();
        streams.push(Stream { bytes: writer.follow(&instructions, limit), limit });
    }
    streams
}

/// Writes streams in a format.
pub(super) struct Writer<'a, F: Format> {
    pub(super) format: &'a F,
    pub(super) metas: &'a [F::Meta],
    /// Parts of headers to insert; if empty, headers that the format writes.
    pub(super) seeds: &'a [Vec<u8>],
}

impl<F: Format> Writer<'_, F> {
    /// Encodes whole frames with payloads of these lengths, as far as a header can announce them.
    fn frames(&self, lengths: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, len) in lengths.iter().enumerate() {
            self.frame(i, *len, &mut out);
        }
        out
    }

    fn header(&self, meta: usize, len: u64) -> Option<Vec<u8>> {
        let meta = self.metas.get(meta.checked_rem(self.metas.len())?)?;
        frames::write(self.format, meta, len)
    }

    fn frame(&self, meta: usize, len: u64, out: &mut Vec<u8>) {
        let Some(header) = self.header(meta, len) else { return };
        out.extend_from_slice(&header);
        // The payload looks like headers, so that a reader that loses its position keeps reading
        // there.
        let looks = self.seeds.iter().flatten().chain(&header).copied().chain([0x5A]).cycle();
        out.extend(looks.take(usize::try_from(len.min(1 << 16)).unwrap_or_default()));
    }

    /// Builds a stream from parts, each described by three bytes of the instructions.
    pub(super) fn follow(&self, instructions: &[u8], limit: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for instruction in instructions.chunks(3) {
            let Some(&[part, a, b]) = instruction.first_chunk() else { break };
            let back = |out: &[u8]| out.len().checked_sub(usize::from(a % 48) + 1);
            match part % 10 {
                0..=3 => self.frame(a.into(), u64::from(b % 24).min(limit), &mut out),
                4 => self.frame(a.into(), limit.min(600) + u64::from(b % 3), &mut out),
                5 => self.frame(a.into(), 0, &mut out),
                6 => {
                    let seed = self.seeds.get(usize::from(a) % self.seeds.len().max(1)).cloned();
                    let header = seed.or_else(|| self.header(a.into(), b.into()));
                    let header = header.unwrap_or_default();
                    out.extend_from_slice(header.get(..usize::from(b % 40)).unwrap_or(&header));
                }
                7 => out.extend_from_slice(&[a, b]),
                8 => {
                    if let Some(byte) = back(&out).and_then(|at| out.get_mut(at)) {
                        *byte ^= 1 << (b % 8);
                    }
                }
                _ => {
                    if let Some(at) = back(&out) {
                        out.remove(at);
                    }
                }
            }
            if out.len() > 2_048 {
                break;
            }
        }
        out
    }
}

/// Returns ways to cut a stream: no cuts, a cut before every byte, and some random cuts.
pub(super) fn cuts(stream: &[u8], random: usize) -> Vec<Vec<usize>> {
    let mut numbers = Numbers::of(stream);
    let mut all = vec![Vec::new(), (1..stream.len()).collect()];
    for _ in 0..random {
        let count = 1 + numbers.below(6);
        let mut cuts: Vec<usize> = (0..count).map(|_| numbers.below(stream.len() + 1)).collect();
        cuts.sort_unstable();
        all.push(cuts);
    }
    all
}
