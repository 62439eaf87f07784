//! Search for one of up to three bytes: with the feature `memchr` by that crate, else in safe code,
//! by machine words and by blocks that the compiler turns into vector instructions.

/// Returns the place of the first `needle`.
#[inline]
pub(crate) fn byte(needle: u8, bytes: &[u8]) -> Option<usize> {
    #[cfg(feature = "memchr")]
    return memchr::memchr(needle, bytes);
    #[cfg(not(feature = "memchr"))]
    safe::byte(needle, bytes)
}

/// Returns the place of the first byte that is one of two.
#[inline]
pub(crate) fn either(a: u8, b: u8, bytes: &[u8]) -> Option<usize> {
    #[cfg(feature = "memchr")]
    return memchr::memchr2(a, b, bytes);
    #[cfg(not(feature = "memchr"))]
    safe::either(a, b, bytes)
}

/// Returns the place of the first byte that is one of three.
#[inline]
pub(crate) fn any_of_three(a: u8, b: u8, c: u8, bytes: &[u8]) -> Option<usize> {
    #[cfg(feature = "memchr")]
    return memchr::memchr3(a, b, c, bytes);
    #[cfg(not(feature = "memchr"))]
    safe::any_of_three(a, b, c, bytes)
}

#[cfg(any(test, not(feature = "memchr")))]
mod safe {
    /// The number of bytes that are searched by words. Vectors take longer to begin and are worth it
    /// after that, on targets that have them.
    const NEAR: usize = if cfg!(any(
        target_feature = "sse2",
        target_feature = "neon",
        target_feature = "simd128"
    )) {
        96
    } else {
        usize::MAX
    };

    #[inline]
    pub(super) fn byte(needle: u8, bytes: &[u8]) -> Option<usize> {
        search(bytes, |word| zeros(word ^ spread(needle)), |byte| byte == needle)
    }

    #[inline]
    pub(super) fn either(a: u8, b: u8, bytes: &[u8]) -> Option<usize> {
        search(
            bytes,
            |word| zeros(word ^ spread(a)) | zeros(word ^ spread(b)),
            |byte| (byte == a) | (byte == b),
        )
    }

    #[inline]
    pub(super) fn any_of_three(a: u8, b: u8, c: u8, bytes: &[u8]) -> Option<usize> {
        search(
            bytes,
            |word| zeros(word ^ spread(a)) | zeros(word ^ spread(b)) | zeros(word ^ spread(c)),
            |byte| (byte == a) | (byte == b) | (byte == c),
        )
    }

    const fn spread(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }

    /// Returns a word whose lowest bit that is set is the top bit of the lowest byte that is zero; zero
    /// if no byte is. Bits above that may be set for bytes that are not zero.
    #[inline(always)]
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(spread(0x01)) & !word & spread(0x80)
    }

    /// Returns the first place where `is_match` holds; `find` finds the same in a word, as `zeros` does.
    #[inline(always)]
    fn search(
        bytes: &[u8],
        find: impl Fn(u64) -> u64 + Copy,
        is_match: impl Fn(u8) -> bool + Copy,
    ) -> Option<usize> {
        match bytes.split_at_checked(NEAR) {
            None => by_words(bytes, find, is_match),
            Some((near, far)) => by_words(near, find, is_match)
                .or_else(|| by_vectors(far, find, is_match).map(|place| NEAR + place)),
        }
    }

    #[inline(never)]
    fn by_vectors(
        bytes: &[u8],
        find: impl Fn(u64) -> u64 + Copy,
        is_match: impl Fn(u8) -> bool + Copy,
    ) -> Option<usize> {
        let (mut rest, mut at) = (bytes, 0);
        while let Some((block, after)) = rest.split_first_chunk::<64>() {
            // Without an early exit, so that many bytes are compared at once.
            if block.iter().fold(0, |any, &byte| any | u8::from(is_match(byte))) != 0 {
                break;
            }
            (rest, at) = (after, at + 64);
        }
        by_words(rest, find, is_match).map(|place| at + place)
    }

    #[inline(always)]
    fn by_words(
        bytes: &[u8],
        find: impl Fn(u64) -> u64 + Copy,
        is_match: impl Fn(u8) -> bool + Copy,
    ) -> Option<usize> {
        let (mut rest, mut at) = (bytes, 0);
        // Four words at a time, which the processor can do at once.
        while let Some((block, after)) = rest.split_first_chunk::<32>() {
            let (mut words, mut unread) = ([0; 4], &block[..]);
            for word in &mut words {
                let Some((bytes, after)) = unread.split_first_chunk() else { break };
                *word = find(u64::from_le_bytes(*bytes));
                unread = after;
            }
            let [a, b, c, d] = words;
            if a | b | c | d != 0 {
                let (found, before) = match words {
                    [0, 0, 0, d] => (d, 24),
                    [0, 0, c, _] => (c, 16),
                    [0, b, ..] => (b, 8),
                    [a, ..] => (a, 0),
                };
                return Some(at + before + found.trailing_zeros() as usize / 8);
            }
            (rest, at) = (after, at + 32);
        }
        while let Some((word, after)) = rest.split_first_chunk::<8>() {
            let found = find(u64::from_le_bytes(*word));
            if found != 0 {
                return Some(at + found.trailing_zeros() as usize / 8);
            }
            (rest, at) = (after, at + 8);
        }
        rest.iter().position(|&byte| is_match(byte)).map(|place| at + place)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::{any_of_three, byte, either, safe};

    /// Asserts what all functions find, those of this crate and those of `memchr` if it is used.
    fn assert_found(bytes: &[u8], needle: u8, others: [u8; 2], place: Option<usize>) {
        let [b, c] = others;
        for found in [
            byte(needle, bytes),
            safe::byte(needle, bytes),
            either(needle, b, bytes),
            either(b, needle, bytes),
            safe::either(needle, b, bytes),
            safe::either(b, needle, bytes),
            any_of_three(needle, b, c, bytes),
            any_of_three(b, c, needle, bytes),
            safe::any_of_three(needle, b, c, bytes),
            safe::any_of_three(b, needle, c, bytes),
            safe::any_of_three(b, c, needle, bytes),
        ] {
            assert_eq!(found, place, "{needle:#x} with {others:x?} in {bytes:x?}");
        }
    }

    #[test]
    fn the_first_place_is_found_at_every_distance() {
        // Values whose difference from the filling is a borrow or a top bit away from zero.
        let needles = [b'x', b'a' ^ 0x01, b'a' ^ 0x80, b'a' ^ 0xFF, 0x00, 0xFF];
        for len in 0..300 {
            let mut bytes = vec![b'a'; len];
            assert_found(&bytes, b'x', [0, 0xFF], None);
            for place in 0..len {
                for needle in needles {
                    bytes[place] = needle;
                    assert_found(&bytes, needle, [0x10, 0x90], Some(place));
                }
                bytes[place] = b'a';
            }
        }
    }

    #[test]
    fn what_follows_the_first_place_does_not_matter() {
        for len in 1..200 {
            for place in (0..len).step_by(3) {
                let mut bytes = vec![b'a'; len];
                bytes[place..].fill(b'x');
                assert_found(&bytes, b'x', [0x10, 0x90], Some(place));
                // A byte that is one more than the needle takes part in the borrow of a word.
                bytes[place + 1..].fill(b'y');
                assert_found(&bytes, b'x', [0x10, 0x90], Some(place));
            }
        }
    }

    #[test]
    fn the_first_of_several_needles_is_found() {
        for len in 3..200 {
            for place in 0..len - 2 {
                let mut bytes = vec![0; len];
                bytes[place..place + 3].copy_from_slice(&[3, 2, 1]);
                for (find, name) in
                    [(any_of_three as fn(_, _, _, &[u8]) -> _, "any"), (safe::any_of_three, "safe")]
                {
                    assert_eq!(find(1, 2, 3, &bytes), Some(place), "{name}");
                    assert_eq!(find(1, 2, 9, &bytes), Some(place + 1), "{name}");
                    assert_eq!(find(9, 9, 1, &bytes), Some(place + 2), "{name}");
                }
                assert_eq!(
                    (either(1, 2, &bytes), either(3, 1, &bytes)),
                    (Some(place + 1), Some(place))
                );
                assert_eq!(safe::either(1, 2, &bytes), Some(place + 1));
            }
        }
    }
}
