//! Several datagrams in one buffer, as segmentation offload sends them and receive offload delivers
//! them.
//!
//! All datagrams have the same length, except the last one, which may be shorter. Offload does not
//! change what is sent: a receiver sees ordinary datagrams.

use core::iter::FusedIterator;

/// An iterator over the datagrams in a buffer that receive offload filled.
///
/// ```
/// use unstick::Segments;
///
/// let datagrams: Vec<_> = Segments::new(b"onetwoo", 3).collect();
/// assert_eq!(datagrams, [&b"one"[..], b"two", b"o"]);
/// ```
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: Option<&'a [u8]>,
    segment_len: usize,
}

impl<'a> Segments<'a> {
    /// Creates an iterator over the datagrams in `bytes`, of `segment_len` bytes each.
    ///
    /// `segment_len` is the value reported by `UDP_GRO`, or the `stride` of quinn-udp. If it is
    /// zero, or greater than the length of `bytes`, the buffer is one datagram. An empty buffer is
    /// one empty datagram.
    #[must_use]
    pub fn new(bytes: &'a [u8], segment_len: usize) -> Self {
        Self { rest: Some(bytes), segment_len }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest.take()?;
        if self.segment_len == 0 {
            return Some(bytes);
        }
        match bytes.split_at_checked(self.segment_len) {
            Some((first, rest)) => {
                self.rest = Some(rest).filter(|rest| !rest.is_empty());
                Some(first)
            }
            None => Some(bytes),
        }
    }
}

impl FusedIterator for Segments<'_> {}

/// Returns how many datagrams segmentation offload can send with one call. `lens` are the lengths
/// of the next datagrams in bytes.
///
/// Counts the leading datagrams of equal length and one shorter datagram after them, up to `most`
/// datagrams and `most_bytes` bytes. Returns at least 1, unless there are no datagrams.
///
/// ```
/// use unstick::segment_run;
///
/// assert_eq!(segment_run([1200, 1200, 700, 1200], 64, 65_507), 3);
/// assert_eq!(segment_run([700, 1200, 1200], 64, 65_507), 1);
/// assert_eq!(segment_run([1200; 100], 64, 65_507), 54);
/// ```
#[must_use]
pub fn segment_run(lens: impl IntoIterator<Item = usize>, most: usize, most_bytes: usize) -> usize {
    let mut lens = lens.into_iter();
    let Some(first) = lens.next() else { return 0 };
    let (mut count, mut bytes) = (1, first);
    for len in lens {
        let sum = bytes.saturating_add(len);
        // An empty datagram cannot be a segment.
        if len > first || len == 0 || sum > most_bytes || count >= most {
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
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn segments_splits_a_buffer_into_datagrams() {
        let bytes: [u8; 10] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        for segment_len in 0..=12 {
            let mut at = 0;
            for segment in Segments::new(&bytes, segment_len) {
                assert_eq!(segment, &bytes[at..][..segment.len()]);
                at += segment.len();
                let last = at == bytes.len();
                assert!(segment.len() == segment_len || last, "{segment_len}");
            }
            assert_eq!(at, bytes.len());
        }
        for segment_len in [0, 1, 100] {
            assert!(Segments::new(&[], segment_len).eq([&[][..]]), "an empty datagram is one");
        }
    }

    #[test]
    fn a_run_ends_with_the_first_shorter_datagram() {
        let run = |lens: &[usize]| segment_run(lens.iter().copied(), 4, 100);
        let table: [(&[usize], usize); 12] = [
            (&[], 0),
            (&[10], 1),
            (&[200], 1), // the system refuses it, not this function
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
}
