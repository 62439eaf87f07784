//! A relay that splits and merges writes at random, as a network may.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

/// How the relay sizes its next few writes.
#[derive(Clone, Copy)]
struct WritePattern {
    /// The minimum and maximum number of bytes in a write.
    min: usize,
    max: usize,
    /// Whether to collect bytes up to the size of a write first. If not, the bytes that are there
    /// are written.
    hold: bool,
    /// The maximum number of writes before the next pattern is chosen.
    writes: u32,
}

const PATTERNS: [WritePattern; 5] = [
    WritePattern { min: 1, max: 3, hold: false, writes: 150 },
    WritePattern { min: 1, max: 60, hold: false, writes: 150 },
    WritePattern { min: 60, max: 2_000, hold: false, writes: 40 },
    WritePattern { min: 2_000, max: 40_000, hold: false, writes: 3 },
    WritePattern { min: 500, max: 20_000, hold: true, writes: 3 },
];

/// Most writes are followed by a pause in which the receiver can read them alone. The rest, with
/// this probability, may be merged with the next write.
const PAUSE: Duration = Duration::from_micros(1);
const MERGE_PROBABILITY: f64 = 0.2;

/// A byte that the relay damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Its stream offset.
    pub(crate) at: u64,
    pub(crate) was: u8,
    pub(crate) became: u8,
}

/// Copies all bytes in pieces of random size, until the sender's end. `damage` is the stream offset
/// of a byte to change; returns the change that was made.
pub(crate) fn relay(
    mut from: impl Read,
    mut to: impl Write,
    mut rng: Rng,
    damage: Option<u64>,
) -> io::Result<Option<Damage>> {
    let mut chunk = vec![0; 64 << 10];
    let mut held: Vec<u8> = Vec::new();
    let mut passed: u64 = 0;
    let mut ended = false;
    let mut damaged = None;
    while !(ended && held.is_empty()) {
        let index = rng.usize(..PATTERNS.len());
        let Some(&pattern) = PATTERNS.get(index) else { continue };
        for _ in 0..rng.u32(1..=pattern.writes) {
            let wanted = rng.usize(pattern.min..=pattern.max);
            while !ended && (held.is_empty() || (pattern.hold && held.len() < wanted)) {
                match from.read(&mut chunk)? {
                    0 => ended = true,
                    n => held.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                }
            }
            let rest = held.split_off(wanted.min(held.len()));
            let mut piece = std::mem::replace(&mut held, rest);
            if let Some(at) = damage
                && let Some(index) = at.checked_sub(passed)
                && let Some(byte) = usize::try_from(index).ok().and_then(|at| piece.get_mut(at))
            {
                let was = *byte;
                *byte ^= 0x10;
                damaged = Some(Damage { at, was, became: *byte });
            }
            passed += piece.len() as u64;
            to.write_all(&piece)?;
            if rng.f64() > MERGE_PROBABILITY {
                thread::sleep(PAUSE);
            }
        }
    }
    Ok(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that keeps each write.
    struct Pieces(Vec<Vec<u8>>);

    impl Write for &mut Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_pieces_change_and_the_bytes_do_not() {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for seed in 0..4 {
            let mut pieces = Pieces(Vec::new());
            relay(&bytes[..], &mut pieces, Rng::with_seed(seed), None).unwrap();
            assert_eq!(pieces.0.concat(), bytes);
            assert!(pieces.0.iter().any(|piece| piece.len() == 1), "{seed}");
            assert!(pieces.0.iter().any(|piece| piece.len() > 2_000), "{seed}");

            let mut pieces = Pieces(Vec::new());
            let damage =
                relay(&bytes[..], &mut pieces, Rng::with_seed(seed), Some(77_777)).unwrap();
            let mut damaged = bytes.clone();
            damaged[77_777] ^= 0x10;
            let (was, became) = (bytes[77_777], damaged[77_777]);
            assert_eq!(damage, Some(Damage { at: 77_777, was, became }));
            assert_eq!(pieces.0.concat(), damaged);
        }
    }
}
