//! Several datagrams in one buffer, one after the other, as segmentation offload sends them and
//! receive offload delivers them.
//!
//! All of them are equally long, except for the last, which may be shorter. To a receiver they are
//! datagrams like any others: the network carries each of them separately.

/// Returns how many of the datagrams with these lengths, from the first one, segmentation offload
/// can send with one call: those that are as long as the first, and a shorter one after them, as
/// long as these are at most `max` datagrams and `max_bytes` bytes. At least one, unless there is
/// none.
pub(super) fn segment_run(
    lens: impl IntoIterator<Item = usize>,
    max: usize,
    max_bytes: usize,
) -> usize {
    let mut lens = lens.into_iter();
    let Some(first) = lens.next() else { return 0 };
    let (mut count, mut bytes) = (1, first);
    for len in lens {
        let sum = bytes.saturating_add(len);
        // A datagram without bytes is no segment.
        if len > first || len == 0 || sum > max_bytes || count >= max {
            break;
        }
        (count, bytes) = (count.saturating_add(1), sum);
        if len < first {
            break;
        }
    }
    count
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_run_ends_with_the_first_shorter_datagram() {
        assert_eq!(segment_run([1200, 1200, 700, 1200], 64, 65_507), 3);
        assert_eq!(segment_run([700, 1200, 1200], 64, 65_507), 1);
        assert_eq!(segment_run([1200; 100], 64, 65_507), 54);
        let run = |lens: &[usize]| segment_run(lens.iter().copied(), 4, 100);
        let table: [(&[usize], usize); 12] = [
            (&[], 0),
            (&[10], 1),
            (&[200], 1), // the system says that it is too long, and not this
            (&[0, 0], 1),
            (&[10, 0], 1),
            (&[10, 10, 10], 3),
            (&[10, 10, 10, 10, 10], 4),
            (&[10, 10, 9, 9], 3),
            (&[10, 9, 10], 2),
            (&[10, 11], 1),
            (&[40, 40, 40], 2),
            (&[40, 40, 20, 20], 3),
        ];
        for (lens, count) in table {
            assert_eq!(run(lens), count, "{lens:?}");
        }
        assert_eq!(segment_run([5, 5], 1, 100), 1);
        assert_eq!(segment_run([5, 5], 0, 100), 1);
        assert_eq!(segment_run([usize::MAX, usize::MAX], 9, usize::MAX), 2);
    }

    /// Datagrams in runs, as one call sends each, come apart as they were, and no run could have
    /// been longer: all that have up to five datagrams of up to four bytes.
    #[test]
    fn runs_come_apart_and_none_could_be_longer() {
        for count in 0..=5_u32 {
            for number in 0..4_u32.pow(count) {
                // None is empty: a queue closes no datagram without a frame.
                let digits = (0..count).map(|i| (number >> (2 * i)).to_le_bytes()[0] % 4);
                let datagrams: Vec<_> =
                    digits.map(|digit| std::vec![digit; usize::from(digit) + 1]).collect();
                for max in 1..=5 {
                    for max_bytes in 1..=13 {
                        check_runs(&datagrams, max, max_bytes);
                    }
                }
            }
        }
    }

    fn check_runs(datagrams: &[Vec<u8>], max: usize, max_bytes: usize) {
        let mut rest = datagrams;
        while let Some(first) = rest.first() {
            let count = segment_run(rest.iter().map(Vec::len), max, max_bytes);
            let (run, after) = rest.split_at(count);
            let bytes = run.concat();
            assert!(bytes.chunks(first.len()).eq(run.iter()));
            assert!(count <= max && (count == 1 || bytes.len() <= max_bytes));
            let next = after.first().map_or(usize::MAX, Vec::len);
            let ends_short = run[count - 1].len() < first.len();
            let fits = next <= first.len() && bytes.len() + next <= max_bytes;
            assert!(ends_short || count == max || !fits, "{count} of {}", rest.len());
            rest = after;
        }
    }
}
