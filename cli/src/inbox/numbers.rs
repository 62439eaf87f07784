//! Which numbers of a name are taken, so that a file whose name is taken thousands of times need not try
//! them all again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use unstick_session::message::Digest;

/// The maximum number of names that are remembered, and of numbers for all of them.
const MAX_NAMES: usize = 1024;
const MAX_NUMBERS: usize = 100_000;

/// What is known of the names that are taken. It may be out of date, since others can use the folder too:
/// a file that it names has to be looked at.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    names: Mutex<Names>,
    walk: Mutex<()>,
}

#[derive(Debug, Default)]
struct Names {
    by_name: HashMap<String, Taken>,
    numbers: usize,
}

#[derive(Debug, Default)]
struct Taken {
    /// All numbers up to this one are taken.
    up_to: u32,
    /// Those of files whose digest is known, and of files of which only the length is.
    by_digest: HashMap<Digest, u32>,
    by_len: HashMap<u64, Vec<u32>>,
}

impl Numbers {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other thread looks at the files of a name of which nothing is known: what it finds is
    /// known then.
    pub(super) fn walk(&self) -> MutexGuard<'_, ()> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the numbers to look at for this content, in order: those of files that may have the same,
    /// and then all that are not known to be taken, up to `max`.
    pub(super) fn candidates(
        &self,
        name: &str,
        len: u64,
        digest: Digest,
        max: u32,
    ) -> impl Iterator<Item = u32> + use<> {
        let mut names = self.names();
        let (mut known, mut up_to) = (Vec::new(), 0);
        if let Some(taken) = names.by_name.get_mut(name) {
            known.extend(taken.by_digest.get(&digest));
            known.extend(taken.by_len.remove(&len).unwrap_or_default());
            up_to = taken.up_to;
        }
        known.into_iter().chain(up_to.saturating_add(1)..=max)
    }

    /// Returns the number up to which all are taken.
    pub(super) fn last(&self, name: &str) -> Option<u32> {
        self.names().by_name.get(name).map(|taken| taken.up_to).filter(|last| *last > 0)
    }

    /// Forgets what is known of a name.
    pub(super) fn forget(&self, name: &str) {
        self.names().by_name.remove(name);
    }

    /// Notes that a number is taken, by a file with this length and digest as far as they are known.
    pub(super) fn taken(&self, name: &str, number: u32, len: Option<u64>, digest: Option<Digest>) {
        let mut names = self.names();
        if names.by_name.len() >= MAX_NAMES || names.numbers >= MAX_NUMBERS {
            *names = Names::default();
        }
        let taken = names.by_name.entry(name.to_owned()).or_default();
        let is_known = number <= taken.up_to;
        if taken.up_to + 1 == number {
            taken.up_to = number;
        }
        names.numbers += usize::from(!is_known);
        let Some(taken) = names.by_name.get_mut(name) else { return };
        match (len, digest) {
            (_, Some(digest)) => {
                taken.by_digest.insert(digest, number);
            }
            (Some(len), None) => taken.by_len.entry(len).or_default().push(number),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_the_same_is_looked_at_again() {
        let numbers = Numbers::default();
        let candidates = |len, digest: u8| -> Vec<u32> {
            numbers.candidates("a", len, Digest([digest; 32]), 6).collect()
        };
        assert_eq!(candidates(5, 1), [1, 2, 3, 4, 5, 6]);
        numbers.taken("a", 1, Some(5), Some(Digest([1; 32])));
        numbers.taken("a", 2, Some(7), None);
        numbers.taken("a", 3, None, None);
        assert_eq!(candidates(5, 2), [4, 5, 6]);
        assert_eq!(candidates(5, 1), [1, 4, 5, 6]);
        // Of this length there is one without a digest, which is looked at and then known.
        assert_eq!(candidates(7, 3), [2, 4, 5, 6]);
        numbers.taken("a", 2, Some(7), Some(Digest([3; 32])));
        assert_eq!(candidates(7, 4), [4, 5, 6]);
        assert_eq!(candidates(7, 3), [2, 4, 5, 6]);
        assert!(numbers.candidates("b", 5, Digest([1; 32]), 2).eq([1, 2]));
        assert_eq!((numbers.last("a"), numbers.last("b")), (Some(3), None));
        numbers.forget("a");
        assert_eq!(candidates(5, 1), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_is_found_again_counts_once() {
        let numbers = Numbers::default();
        for _ in 0..1000 {
            for number in 1..=500 {
                numbers.taken("a", number, None, None);
            }
        }
        assert_eq!(numbers.last("a"), Some(500));
        assert_eq!(numbers.names().numbers, 500);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let numbers = Numbers::default();
        for name in 0..2 * MAX_NAMES {
            numbers.taken(&name.to_string(), 1, Some(1), None);
            assert!(numbers.names().by_name.len() <= MAX_NAMES);
        }
        for number in 1..=2 * MAX_NUMBERS {
            numbers.taken("a", u32::try_from(number).unwrap(), Some(1), None);
            assert!(numbers.names().numbers <= MAX_NUMBERS);
        }
    }
}
