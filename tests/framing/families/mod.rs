//! Every framing against the oracle: fixed lengths, checks after a payload, and marks that end a frame.

mod cuts;
mod damage;
mod encode;
mod ends;
mod orders;
mod recover;
mod the_oracle;

use proptest::collection::vec;
use proptest::prelude::*;

/// What streams are made of: see `families::parts`.
fn seeds() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

fn limit() -> impl Strategy<Value = u64> {
    prop_oneof![0..12_u64, 0..80_u64, 250..260_u64, Just(1 << 15)]
}

fn cuts() -> impl Strategy<Value = Vec<u16>> {
    vec(any::<u16>(), 0..12)
}

fn place(cuts: &[u16], len: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| usize::from(*cut) * (len + 1) / 65_536).collect();
    cuts.sort_unstable();
    cuts
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
