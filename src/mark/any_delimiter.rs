//! Several delimiters of one byte.

use super::{Mark, Unit, find};
use crate::error::EncodeError;

/// Frames that end with any one of several bytes: `AnyDelimiter::new(b"\0\n")`.
///
/// Two of them in a row are an empty frame. The first one is written; a payload that contains any of
/// them cannot be written. Without any byte no frame ends, and [`encode`](Mark::encode) returns
/// [`EncodeError::BrokenFormat`].
///
/// ```
/// use unstick::{AnyDelimiter, EncodeError, Mark};
///
/// let mark = AnyDelimiter::new(b"\n;");
/// let mut written = Vec::new();
/// mark.encode(&[b"G1 X10"], &mut |run| written.extend_from_slice(run))?;
/// assert_eq!(written, b"G1 X10\n");
/// assert_eq!(mark.encode(&[b"G1;G2"], &mut |_| {}), Err(EncodeError::HasMark { at: 2 }));
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct AnyDelimiter<D> {
    delimiters: D,
    #[cfg_attr(feature = "serde", serde(default))]
    or_end: bool,
}

impl<D: AsRef<[u8]>> AnyDelimiter<D> {
    /// Frames that end with any one of these bytes.
    #[must_use]
    pub const fn new(delimiters: D) -> Self {
        Self { delimiters, or_end: false }
    }

    /// Lets the end of the stream also end the last frame, if there is anything after the last
    /// delimiter.
    #[must_use]
    pub fn or_end(self) -> Self {
        Self { or_end: true, ..self }
    }

    /// Returns the place of the first delimiter.
    #[inline(always)]
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match *self.delimiters.as_ref() {
            [] => None,
            [a] => find::byte(a, bytes),
            [a, b] => find::either(a, b, bytes),
            [a, b, c] => find::any_of_three(a, b, c, bytes),
            _ => self.find_any(bytes),
        }
    }

    /// Searches for three delimiters at a time, block by block, so that what is searched is in
    /// proportion to the frame and not to all bytes.
    fn find_any(&self, bytes: &[u8]) -> Option<usize> {
        let (mut at, mut rest) = (0, bytes);
        while !rest.is_empty() {
            let (block, after) = rest.split_at_checked(64).unwrap_or((rest, &[]));
            let (mut first, mut delimiters) = (block.len(), self.delimiters.as_ref());
            while !delimiters.is_empty() {
                let before = block.get(..first).unwrap_or_default();
                let (place, others) = match *delimiters {
                    [a, b, c, ref others @ ..] => (find::any_of_three(a, b, c, before), others),
                    [a, b] => (find::either(a, b, before), &[][..]),
                    [a] => (find::byte(a, before), &[][..]),
                    [] => (None, &[][..]),
                };
                (first, delimiters) = (place.unwrap_or(first), others);
            }
            at += first;
            if first < block.len() {
                return Some(at);
            }
            rest = after;
        }
        None
    }
}

impl<D: AsRef<[u8]>> Mark for AnyDelimiter<D> {
    type State = ();

    const VERBATIM: bool = true;

    #[inline(always)]
    fn push(&self, (): &mut (), byte: u8) -> Unit {
        // `contains` would keep a panic path at some optimisation levels.
        #[allow(clippy::manual_contains)]
        let ends = self.delimiters.as_ref().iter().any(|&delimiter| delimiter == byte);
        if ends { Unit::End } else { Unit::Byte(byte) }
    }

    #[inline(always)]
    fn run(&self, (): &mut (), bytes: &[u8]) -> usize {
        self.find(bytes).unwrap_or(bytes.len())
    }

    #[inline]
    fn end(&self, (): &mut ()) -> Unit {
        if self.or_end { Unit::End } else { Unit::Nothing }
    }

    #[inline]
    fn max_wire_len(&self, content_len: u64) -> u64 {
        content_len.saturating_add(1)
    }

    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        let Some(delimiter) = self.delimiters.as_ref().get(..1) else {
            return Err(EncodeError::BrokenFormat);
        };
        let mut at = 0;
        for run in content {
            if let Some(place) = self.find(run) {
                return Err(EncodeError::HasMark { at: at + place as u64 });
            }
            put(run);
            at += run.len() as u64;
        }
        put(delimiter);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::laws::{check, decode, decode_to_end, encode};
    use super::*;

    #[test]
    fn each_delimiter_ends_a_frame() {
        let content = [&b"a"[..], b"", b"b", b"c"];
        let frames: Vec<_> = content.map(|content| Ok(content.to_vec())).into();
        assert_eq!(decode(&AnyDelimiter::new(b"\n;"), b"a;\nb\nc;"), (frames, None));
    }

    #[test]
    fn the_first_delimiter_is_found_whichever_it_is() {
        for count in 1..=9_u8 {
            let delimiters: Vec<u8> = (0..count).collect();
            let mark = AnyDelimiter::new(&delimiters);
            for len in 0..150 {
                for &delimiter in &delimiters {
                    let last = [vec![b'x'; len], vec![delimiter]].concat();
                    assert_eq!(mark.run(&mut (), &last), len);
                    let more = [&last[..], &delimiters].concat();
                    assert_eq!(mark.run(&mut (), &more), len);
                }
                assert_eq!(mark.run(&mut (), &vec![b'x'; len]), len);
            }
        }
    }

    #[test]
    fn the_end_of_the_stream_ends_a_frame_only_on_request() {
        let mark = AnyDelimiter::new(b"\n;");
        assert_eq!(decode_to_end(&mark, b"a"), (vec![], Some(b"a".to_vec())));
        assert_eq!(decode_to_end(&mark.or_end(), b"a"), (vec![Ok(b"a".to_vec())], None));
        assert_eq!(decode_to_end(&mark.or_end(), b"a;"), (vec![Ok(b"a".to_vec())], None));
    }

    #[test]
    fn content_with_any_delimiter_is_refused_where_it_is() {
        let mark = AnyDelimiter::new(b"\n;");
        assert_eq!(encode(&mark, b"ab;\n"), Err(EncodeError::HasMark { at: 2 }));
        assert_eq!(encode(&mark, b"ab\n"), Err(EncodeError::HasMark { at: 2 }));
        assert_eq!(encode(&mark, b"ab").as_deref(), Ok(&b"ab\n"[..]));
    }

    #[test]
    fn without_delimiters_no_frame_ends_and_none_can_be_written() {
        let mark = AnyDelimiter::new([]);
        assert_eq!(decode(&mark, b"a\n"), (vec![], Some(b"a\n".to_vec())));
        assert_eq!(encode(&mark, b"a"), Err(EncodeError::BrokenFormat));
    }

    #[test]
    fn the_laws_hold() {
        for delimiters in [&b"\n"[..], b"\n;", b"\n;\0", b"\n;\0,.-:_"] {
            let alphabet = [delimiters.get(..2).unwrap_or(delimiters), b"_x"].concat();
            let write = |content: &[u8]| [content, &delimiters[..1]].concat();
            check(&AnyDelimiter::new(delimiters).or_end(), &alphabet, write);
        }
    }
}
