//! A delimiter of one byte or several.

use super::{Mark, Unit, find};
use crate::error::EncodeError;

/// Frames that end with a delimiter: `Delimited::new(b"\0")`, `Delimited::new(b"\r\n")`, or one that
/// is known at run time, as a `Vec<u8>`.
///
/// The first delimiter in the stream that is complete ends the frame. Two delimiters in a row are an
/// empty frame.
///
/// The delimiter has 1 to 255 bytes. With another one no frame ends, and
/// [`encode`](Mark::encode) returns [`EncodeError::BrokenFormat`].
///
/// A payload that contains the delimiter cannot be written, nor can one whose end, together with the
/// delimiter after it, contains an earlier one: `a-` before `--`.
///
/// ```
/// use unstick::{Delimited, EncodeError, Mark};
///
/// let mut written = Vec::new();
/// Delimited::new(b"\r\n").encode(&[b"HELO a"], &mut |run| written.extend_from_slice(run))?;
/// assert_eq!(written, b"HELO a\r\n");
///
/// let dashes = Delimited::new(b"--").encode(&[b"a-"], &mut |_| {});
/// assert_eq!(dashes, Err(EncodeError::HasMark { at: 1 }));
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Delimited<D> {
    delimiter: D,
    #[cfg_attr(feature = "serde", serde(default))]
    or_end: bool,
}

impl<D: AsRef<[u8]>> Delimited<D> {
    /// Frames that end with this delimiter.
    #[must_use]
    pub const fn new(delimiter: D) -> Self {
        Self { delimiter, or_end: false }
    }

    /// Lets the end of the stream also end the last frame, if there is anything after the last
    /// delimiter. The beginning of a delimiter is then content.
    #[must_use]
    pub fn or_end(self) -> Self {
        Self { or_end: true, ..self }
    }

    /// Returns the delimiter; an empty slice if it is too long.
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        let bytes = self.delimiter.as_ref();
        if bytes.len() > 255 { &[] } else { bytes }
    }

    /// Returns how many of the delimiter's first `len` bytes, which are held back, may still be the
    /// beginning of a delimiter after the first of them turned out to be content: the length of their
    /// longest end that is also the delimiter's beginning.
    fn fall_back(&self, len: usize) -> usize {
        let held = self.bytes().get(..len).unwrap_or_default();
        let mut kept = len;
        while kept > 1 {
            kept -= 1;
            if held.get(..kept) == held.get(len - kept..) {
                return kept;
            }
        }
        0
    }

    /// Returns the next of the bytes that are held back and are content.
    #[cold]
    fn give_held(&self, state: &mut Matched) -> Unit {
        if state.due == 0 {
            let kept = u8::try_from(self.fall_back(usize::from(state.len))).unwrap_or(0);
            state.due = state.len - kept;
        }
        let held = self.bytes().get(usize::from(state.given)).copied().unwrap_or_default();
        state.given += 1;
        if state.given >= state.due {
            *state = Matched { len: state.len - state.due, given: 0, due: 0 };
        }
        Unit::Held(held)
    }

    /// Does the same as `run`, from `from` on, by a byte of the delimiter that is not frequent, if it
    /// has one.
    #[inline(never)]
    fn run_by_rare(&self, bytes: &[u8], mut from: usize) -> usize {
        let delimiter = self.bytes();
        let offset = delimiter.iter().position(|&byte| !is_frequent(byte)).unwrap_or(0);
        let rare = delimiter.get(offset).copied().unwrap_or_default();
        while let Some(rest) = bytes.get(from + offset..) {
            let Some(place) = find::byte(rare, rest) else { break };
            let found = bytes.get(from + place..).unwrap_or_default();
            if begins_alike(found, delimiter) {
                return from + place;
            }
            from += place + 1;
        }
        // The byte may still come, after a beginning that does not have it.
        from = from.max(bytes.len().saturating_sub(offset));
        while let Some(rest) = bytes.get(from..) {
            if begins_alike(rest, delimiter) {
                break;
            }
            from += 1;
        }
        from.min(bytes.len())
    }
}

/// Returns whether the two are equal, as far as both go.
#[inline(always)]
fn begins_alike(bytes: &[u8], delimiter: &[u8]) -> bool {
    bytes.iter().zip(delimiter).all(|(a, b)| a == b)
}

/// Returns whether a byte is frequent in text or in binary data.
#[inline(always)]
const fn is_frequent(byte: u8) -> bool {
    matches!(byte, 0 | b' ') || byte.is_ascii_alphanumeric()
}

/// How much of what may be a delimiter is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The number of the delimiter's first bytes that are held back.
    len: u8,
    /// How many of these have been returned as content.
    given: u8,
    /// How many of these are content; zero if none is known to be.
    due: u8,
}

impl<D: AsRef<[u8]>> Mark for Delimited<D> {
    type State = Matched;

    const VERBATIM: bool = true;

    #[inline(always)]
    fn push(&self, state: &mut Matched, byte: u8) -> Unit {
        if state.due == 0 {
            let delimiter = self.bytes();
            let len = usize::from(state.len);
            if delimiter.get(len) == Some(&byte) {
                if len + 1 == delimiter.len() {
                    *state = Matched::default();
                    return Unit::End;
                }
                state.len += 1;
                return Unit::Nothing;
            }
            if len == 0 {
                return Unit::Byte(byte);
            }
        }
        self.give_held(state)
    }

    #[inline(always)]
    fn run(&self, state: &mut Matched, bytes: &[u8]) -> usize {
        if state.len > 0 {
            return 0;
        }
        let delimiter = self.bytes();
        let Some(&first) = delimiter.first() else { return bytes.len() };
        if is_frequent(first) && delimiter.len() > 1 {
            return self.run_by_rare(bytes, 0);
        }
        let mut from = 0;
        // Content in which the first byte is rare needs no better search.
        for _ in 0..4_usize {
            let rest = bytes.get(from..).unwrap_or_default();
            let Some(place) = find::byte(first, rest) else { return bytes.len() };
            // Either a delimiter, or what may become one.
            if begins_alike(rest.get(place..).unwrap_or_default(), delimiter) {
                return from + place;
            }
            from += place + 1;
        }
        self.run_by_rare(bytes, from)
    }

    #[inline]
    fn end(&self, state: &mut Matched) -> Unit {
        if !self.or_end {
            return Unit::Nothing;
        }
        if state.len == 0 {
            return Unit::End;
        }
        // No byte comes that could complete it.
        let held = self.bytes().get(usize::from(state.given)).copied().unwrap_or_default();
        state.given += 1;
        if state.given >= state.len {
            *state = Matched::default();
        }
        Unit::Held(held)
    }

    #[inline]
    fn max_wire_len(&self, content_len: u64) -> u64 {
        content_len.saturating_add(self.bytes().len().max(1) as u64)
    }

    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        // A receiver's machine finds the first delimiter, which must be the one that is written last.
        let delimiter = self.bytes();
        let (mut state, mut at) = (Matched::default(), 0_u64);
        let content_len: u64 = content.iter().map(|run| run.len() as u64).sum();
        for run in content.iter().copied().chain([delimiter]) {
            put(run);
            let mut rest = run;
            while let [byte, after @ ..] = rest {
                let plain = self.run(&mut state, rest);
                if plain > 0 {
                    rest = rest.get(plain..).unwrap_or_default();
                    at += plain as u64;
                    continue;
                }
                let unit = self.push(&mut state, *byte);
                if unit == Unit::End {
                    let start = (at + 1).saturating_sub(delimiter.len() as u64);
                    if start < content_len {
                        return Err(EncodeError::HasMark { at: start });
                    }
                    return Ok(());
                }
                if !matches!(unit, Unit::Held(_)) {
                    rest = after;
                    at += 1;
                }
            }
        }
        Err(EncodeError::BrokenFormat)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::laws::{check, decode, decode_to_end, encode};
    use super::*;

    fn frames(delimiter: &[u8], bytes: &[u8]) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let (frames, rest) = decode(&Delimited::new(delimiter), bytes);
        (frames.into_iter().flatten().collect(), rest)
    }

    #[test]
    fn two_delimiters_in_a_row_are_an_empty_frame() {
        assert_eq!(frames(b"\0", b"a\0\0b\0"), (vec![b"a".to_vec(), vec![], b"b".to_vec()], None));
        assert_eq!(frames(b"\r\n", b"\r\na\r\n"), (vec![vec![], b"a".to_vec()], None));
    }

    #[test]
    fn the_first_delimiter_that_is_complete_ends_the_frame() {
        assert_eq!(frames(b"--", b"---"), (vec![vec![]], Some(vec![])));
        assert_eq!(frames(b"aab", b"aaab"), (vec![b"a".to_vec()], None));
        assert_eq!(frames(b"abab", b"abaabab"), (vec![b"aba".to_vec()], None));
        assert_eq!(frames(b"abab", b"abababab"), (vec![vec![], vec![]], None));
        assert_eq!(frames(b"aabaaa", b"aabaabaaa"), (vec![b"aab".to_vec()], None));
    }

    #[test]
    fn half_of_a_delimiter_is_content() {
        assert_eq!(frames(b"\r\n", b"a\rb\nc\r\r\n"), (vec![b"a\rb\nc\r".to_vec()], None));
    }

    #[test]
    fn the_beginning_of_a_delimiter_is_held_back_until_it_is_decided() {
        let mark = Delimited::new(b"aab");
        let mut state = Matched::default();
        assert_eq!(mark.run(&mut state, b"xaa"), 1);
        assert_eq!(mark.push(&mut state, b'a'), Unit::Nothing);
        assert_eq!(mark.push(&mut state, b'a'), Unit::Nothing);
        assert_eq!(mark.push(&mut state, b'a'), Unit::Held(b'a'));
        assert_eq!(mark.push(&mut state, b'a'), Unit::Nothing);
        assert_eq!(mark.push(&mut state, b'x'), Unit::Held(b'a'));
        assert_eq!(mark.run(&mut state, b"x"), 0);
        assert_eq!(mark.push(&mut state, b'x'), Unit::Held(b'a'));
        assert_eq!(mark.push(&mut state, b'x'), Unit::Byte(b'x'));
        assert_eq!(state, Matched::default());
    }

    #[test]
    fn a_run_goes_to_the_delimiter_past_any_number_of_its_first_bytes() {
        for delimiter in [b"eq~z", b"Eq~z"] {
            let mark = Delimited::new(delimiter);
            for count in 0..30 {
                let content = b"ee EE eqz Eq~ eq~ ".repeat(count);
                let wire = [&content[..], delimiter, delimiter].concat();
                assert_eq!(mark.run(&mut Matched::default(), &wire), content.len());
                let half = [&content[..], &delimiter[..2]].concat();
                assert_eq!(mark.run(&mut Matched::default(), &half), content.len());
            }
        }
    }

    #[test]
    fn the_end_of_the_stream_ends_a_frame_only_on_request() {
        let mark = Delimited::new(b"\r\n");
        assert_eq!(decode_to_end(&mark, b"a\r"), (vec![], Some(b"a".to_vec())));
        assert_eq!(decode_to_end(&mark.or_end(), b"a\r"), (vec![Ok(b"a\r".to_vec())], None));
        assert_eq!(decode_to_end(&mark.or_end(), b"a\r\n"), (vec![Ok(b"a".to_vec())], None));
        let long = Delimited::new(b"aabaaa").or_end();
        assert_eq!(decode_to_end(&long, b"aabaa"), (vec![Ok(b"aabaa".to_vec())], None));
    }

    #[test]
    fn content_that_would_end_early_is_refused_where_it_does() {
        let has_mark = |at| Err(EncodeError::HasMark { at });
        assert_eq!(encode(&Delimited::new(b"\r\n"), b"ab\r\nc"), has_mark(2));
        assert_eq!(encode(&Delimited::new(b"--"), b"a-"), has_mark(1));
        assert_eq!(encode(&Delimited::new(b"abab"), b"xab"), has_mark(1));
        assert_eq!(encode(&Delimited::new(b"aab"), b"a").as_deref(), Ok(&b"aaab"[..]));
        assert_eq!(encode(&Delimited::new(b"\r\n"), b"a\r").as_deref(), Ok(&b"a\r\r\n"[..]));
    }

    #[test]
    fn a_delimiter_of_0_or_of_256_bytes_ends_no_frame_and_cannot_be_written() {
        for delimiter in [vec![], vec![b'a'; 256]] {
            let bytes = vec![b'a'; 600];
            assert_eq!(frames(&delimiter, &bytes), (vec![], Some(bytes.clone())));
            let mark = Delimited::new(delimiter);
            assert_eq!(mark.run(&mut Matched::default(), &bytes), 600);
            assert_eq!(encode(&mark, b"x"), Err(EncodeError::BrokenFormat));
        }
    }

    #[test]
    fn a_delimiter_of_255_bytes_is_found_after_a_part_of_itself() {
        let delimiter = [vec![b'a'; 254], vec![b'b']].concat();
        let bytes = [vec![b'a'; 1000], vec![b'b']].concat();
        assert_eq!(frames(&delimiter, &bytes), (vec![vec![b'a'; 746]], None));
    }

    #[test]
    fn the_laws_hold() {
        let delimiters: [&[u8]; 10] =
            [b"\0", b"\r\n", b"--", b"aab", b"aba", b"abab", b"aabaaa", b"abcabd", b"e~", b"AB~A"];
        for delimiter in delimiters {
            let mut alphabet = [delimiter, b"x"].concat();
            alphabet.sort_unstable();
            alphabet.dedup();
            let mark = Delimited::new(delimiter).or_end();
            check(&mark, &alphabet, |content| [content, delimiter].concat());
        }
    }
}
