//! The contents of files, which are never stored by their senders, and their digests.

use unstick_session::message::Digest;

fn mix(n: u64) -> u64 {
    let product = u128::from(n ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    (product as u64) ^ (product >> 64) as u64
}

fn seed(client: u32, number: u32) -> u64 {
    mix(mix(u64::from(client)) ^ u64::from(number)) << 16
}

/// Returns the size of a client's file: 1 to 64 KiB, as often below 8 KiB as above.
pub fn size(client: u32, number: u32) -> usize {
    let chance = mix(seed(client, number) ^ 0xA5A5);
    let power = 10 + (chance >> 60) % 6;
    (1usize << power) + (chance as usize & ((1 << power) - 1))
}

/// Appends the bytes of a client's file from `begin` to `end`.
pub fn append(client: u32, number: u32, begin: usize, end: usize, out: &mut Vec<u8>) {
    let seed = seed(client, number);
    let word = |at: usize| mix(seed + at as u64).to_le_bytes();
    let mut at = begin;
    while at < end {
        let bytes = &word(at / 8)[at % 8..];
        let n = bytes.len().min(end - at);
        out.extend_from_slice(&bytes[..n]);
        at += n;
    }
}

/// A quick digest of 32 bytes. It stands for SHA-256, which would take most of the time of a run.
pub fn digest(bytes: &[u8]) -> Digest {
    if bytes.is_empty() {
        return Digest::OF_NOTHING;
    }
    let mut lanes = [bytes.len() as u64 + 1, 2, 3, 4];
    for chunk in bytes.chunks(32) {
        let mut block = [0; 32];
        block[..chunk.len()].copy_from_slice(chunk);
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            *lane = mix(*lane ^ u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
    }
    let mut digest = [0; 32];
    for (lane, out) in lanes.iter().zip(digest.chunks_exact_mut(8)) {
        out.copy_from_slice(&lane.to_le_bytes());
    }
    Digest(digest)
}
