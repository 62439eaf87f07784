//! Inputs for a mark: bytes that mean something to it, short inputs of all of them, and random ones.

use std::mem::discriminant;

use unstick::{Mark, Unit};

use super::trace::push;
use crate::explore::Numbers;

/// The max number of states from which bytes are tried.
const STATES: usize = 40;
/// The max number of bytes in the alphabet.
const LETTERS: usize = 10;
/// The max number of short inputs.
const SHORT: usize = 3000;

/// Returns bytes that a mark treats differently, and two that stand for themselves. `known` are bytes
/// of payloads and examples.
pub(super) fn alphabet<M: Mark>(mark: &M, known: &[u8]) -> Vec<u8> {
    let mut letters: Vec<u8> = Vec::new();
    let mut states = vec![M::State::default()];
    let mut next = 0;
    while let Some(state) = states.get(next).copied() {
        next += 1;
        let mut kinds: Vec<(_, Vec<u8>)> = Vec::new();
        for byte in 0..=u8::MAX {
            let (mut after, mut kind) = (state, Vec::new());
            push(mark, &mut after, byte, |_, unit, _| {
                // A byte that stands for itself is of another kind than one that does not.
                kind.push((discriminant(&unit), unit == Unit::Byte(byte)));
            });
            kind.truncate(2);
            match kinds.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, bytes)) => bytes.push(byte),
                None => kinds.push((kind, vec![byte])),
            }
            if states.len() < STATES && !states.contains(&after) {
                states.push(after);
            }
        }
        // The rarest kinds are those with a meaning.
        kinds.sort_by_key(|(_, bytes)| bytes.len());
        for (_, bytes) in kinds {
            let few = [bytes.first(), bytes.get(1), bytes.last()];
            for byte in few.into_iter().flatten() {
                if letters.len() < LETTERS - 2 && !letters.contains(byte) {
                    letters.push(*byte);
                }
            }
        }
    }
    for byte in known.iter().chain(b"a\x8D") {
        if letters.len() < LETTERS && !letters.contains(byte) {
            letters.push(*byte);
        }
    }
    letters
}

/// Calls `each` with all short inputs of an alphabet, the shortest first.
pub(super) fn short<E>(
    alphabet: &[u8],
    max: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut inputs = vec![Vec::new()];
    let mut next = 0;
    while let Some(input) = inputs.get(next).cloned() {
        next += 1;
        each(&input)?;
        for letter in alphabet {
            if inputs.len() < max.min(SHORT) {
                inputs.push([&input[..], &[*letter]].concat());
            }
        }
    }
    Ok(())
}

/// Returns random bytes: letters, runs of one and of pairs, and any bytes.
pub(super) fn random(alphabet: &[u8], numbers: &mut Numbers, max: usize) -> Vec<u8> {
    let len = numbers.below(max + 1);
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let rest = len - bytes.len();
        let letter = alphabet.get(numbers.below(alphabet.len())).copied().unwrap_or_default();
        let other = alphabet.get(numbers.below(alphabet.len())).copied().unwrap_or_default();
        match numbers.below(9) {
            0 => bytes.extend(vec![letter; 1 + numbers.below(rest.min(300))]),
            1 => bytes.extend([letter, other].repeat(1 + numbers.below(rest.min(40)))),
            2 => bytes.extend((0..=numbers.below(rest.min(9))).map(|_| numbers.byte())),
            _ => bytes.push(letter),
        }
    }
    bytes
}
