//! A relay that cuts and merges the bytes that pass it, as a network may.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

/// How the relay treats the next few writes.
#[derive(Clone, Copy)]
struct Mood {
    /// The fewest and most bytes of a write.
    least: usize,
    most: usize,
    /// Whether to hold bytes back until there are `least`, or else to write what is there.
    hold: bool,
    /// The most writes before the next mood.
    writes: u32,
}

const MOODS: [Mood; 5] = [
    Mood { least: 1, most: 3, hold: false, writes: 150 },
    Mood { least: 1, most: 60, hold: false, writes: 150 },
    Mood { least: 60, most: 2_000, hold: false, writes: 40 },
    Mood { least: 2_000, most: 40_000, hold: false, writes: 3 },
    Mood { least: 500, most: 20_000, hold: true, writes: 3 },
];

/// Most writes are followed by a moment in which the receiver can read them alone; the others are
/// merged with the next.
const MOMENT: Duration = Duration::from_micros(1);
const MERGED: f64 = 0.2;

/// A byte that the relay changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Its stream offset.
    pub(crate) at: u64,
    pub(crate) was: u8,
    pub(crate) became: u8,
}

/// Passes all bytes on, in other pieces, until the sender's end. `damage` is the offset of a byte
/// to change; says what became of it.
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
        let index = rng.usize(..MOODS.len());
        let Some(&mood) = MOODS.get(index) else { continue };
        for _ in 0..rng.u32(1..=mood.writes) {
            let wanted = rng.usize(mood.least..=mood.most);
            while !ended && (held.is_empty() || (mood.hold && held.len() < wanted)) {
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
            if rng.f64() > MERGED {
                thread::sleep(MOMENT);
            }
        }
    }
    Ok(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers the pieces.
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
    fn it_changes_the_pieces_and_not_the_bytes() {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for seed in 0..4 {
            let mut pieces = Pieces(Vec::new());
            relay(&bytes[..], &mut pieces, Rng::with_seed(seed), None).unwrap();
            assert_eq!(pieces.0.concat(), bytes);
            assert!(pieces.0.iter().any(|piece| piece.len() == 1), "{seed}");
            assert!(pieces.0.iter().any(|piece| piece.len() > 2_000), "{seed}");

            let mut pieces = Pieces(Vec::new());
            let told = relay(&bytes[..], &mut pieces, Rng::with_seed(seed), Some(77_777)).unwrap();
            let mut damaged = bytes.clone();
            damaged[77_777] ^= 0x10;
            let (was, became) = (bytes[77_777], damaged[77_777]);
            assert_eq!(told, Some(Damage { at: 77_777, was, became }));
            assert_eq!(pieces.0.concat(), damaged);
        }
    }
}
