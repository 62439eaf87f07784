//! Lines of text.

use super::{Mark, Unit, find};
use crate::error::EncodeError;

/// Lines: each ends with `\n`, and one `\r` directly before that belongs to the end.
///
/// An empty line is an empty frame. A `\r` elsewhere is content. Content is bytes; whether they are
/// UTF-8 is not checked.
///
/// A payload that contains `\n` cannot be written, nor can one that ends with `\r`, except with
/// [`with_crlf`](Self::with_crlf).
///
/// ```
/// use unstick::{EncodeError, Lines, Mark};
///
/// let mut written = Vec::new();
/// Lines::new().encode(&[b"one line"], &mut |run| written.extend_from_slice(run))?;
/// assert_eq!(written, b"one line\n");
///
/// let two_lines = Lines::new().encode(&[b"one\ntwo"], &mut |_| {});
/// assert_eq!(two_lines, Err(EncodeError::HasMark { at: 3 }));
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Lines {
    crlf: bool,
    or_end: bool,
}

impl Lines {
    /// Lines that are written with `\n`.
    #[must_use]
    pub const fn new() -> Self {
        Self { crlf: false, or_end: false }
    }

    /// Writes `\r\n` after each line. `\n` is still read as an end, too; where only `\r\n` may end a
    /// line, as in SMTP, use [`Delimited`](crate::Delimited) with `b"\r\n"`. Otherwise a peer's lone `\n`
    /// ends a line here and nowhere else.
    #[must_use]
    pub const fn with_crlf(self) -> Self {
        Self { crlf: true, ..self }
    }

    /// Lets the end of the stream also end the last line, as in files. A `\r` directly before it is
    /// content. Without this, a last line without `\n` is an error: the stream is truncated.
    #[must_use]
    pub const fn or_end(self) -> Self {
        Self { or_end: true, ..self }
    }
}

impl Mark for Lines {
    /// Whether a `\r` is held back.
    type State = bool;

    const VERBATIM: bool = true;

    #[inline(always)]
    fn push(&self, held: &mut bool, byte: u8) -> Unit {
        match byte {
            b'\n' => {
                *held = false;
                Unit::End
            }
            _ if *held => {
                *held = false;
                Unit::Held(b'\r')
            }
            b'\r' => {
                *held = true;
                Unit::Nothing
            }
            _ => Unit::Byte(byte),
        }
    }

    #[inline(always)]
    fn run(&self, held: &mut bool, bytes: &[u8]) -> usize {
        if *held {
            return 0;
        }
        let end = find::byte(b'\n', bytes).unwrap_or(bytes.len());
        // Only the last `\r` can belong to the end: each one before it is followed by another byte.
        match bytes.get(end.wrapping_sub(1)) {
            Some(b'\r') => end - 1,
            _ => end,
        }
    }

    #[inline]
    fn end(&self, held: &mut bool) -> Unit {
        match (self.or_end, *held) {
            (false, _) => Unit::Nothing,
            (true, true) => {
                *held = false;
                Unit::Held(b'\r')
            }
            (true, false) => Unit::End,
        }
    }

    #[inline]
    fn max_wire_len(&self, content_len: u64) -> u64 {
        content_len.saturating_add(2)
    }

    #[inline]
    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        let (mut at, mut last) = (0, None);
        for run in content {
            if let Some(place) = find::byte(b'\n', run) {
                return Err(EncodeError::HasMark { at: at + place as u64 });
            }
            put(run);
            at += run.len() as u64;
            last = run.last().or(last);
        }
        if last == Some(&b'\r') && !self.crlf {
            return Err(EncodeError::HasMark { at: at - 1 });
        }
        put(if self.crlf { b"\r\n" } else { b"\n" });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::laws::{check, decode, decode_to_end, encode};
    use super::*;

    fn lines(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let (frames, rest) = decode(&Lines::new(), bytes);
        (frames.into_iter().flatten().collect(), rest)
    }

    #[test]
    fn a_line_ends_with_lf_and_one_cr_before_it() {
        assert_eq!(lines(b"a\nb\r\n"), (vec![b"a".to_vec(), b"b".to_vec()], None));
        assert_eq!(lines(b"a\r\r\n"), (vec![b"a\r".to_vec()], None));
        assert_eq!(lines(b"\n\r\n"), (vec![vec![], vec![]], None));
    }

    #[test]
    fn a_cr_that_no_lf_follows_is_content() {
        assert_eq!(lines(b"a\rb\r\rc\n"), (vec![b"a\rb\r\rc".to_vec()], None));
        assert_eq!(lines(b"\ra\n"), (vec![b"\ra".to_vec()], None));
    }

    #[test]
    fn a_cr_at_the_end_of_what_arrived_waits_for_the_next_byte() {
        assert_eq!(lines(b"a\r"), (vec![], Some(b"a".to_vec())));
        let (lines, mut held) = (Lines::new(), false);
        assert_eq!(lines.run(&mut held, b"a\r"), 1);
        assert_eq!(lines.push(&mut held, b'\r'), Unit::Nothing);
        assert_eq!(lines.run(&mut held, b"b"), 0);
        assert_eq!(lines.push(&mut held, b'b'), Unit::Held(b'\r'));
        assert_eq!(lines.run(&mut held, b"b\rc\r\nd"), 3);
    }

    #[test]
    fn a_run_goes_on_over_a_cr_inside_a_line() {
        assert_eq!(Lines::new().run(&mut false, b"a\rb\r\rc\r\n"), 6);
        assert_eq!(Lines::new().run(&mut false, b"\r\r\r"), 2);
        assert_eq!(Lines::new().run(&mut false, b"\n"), 0);
    }

    #[test]
    fn the_end_of_the_stream_ends_a_line_only_on_request() {
        let or_end = Lines::new().or_end();
        assert_eq!(
            decode_to_end(&Lines::new(), b"a\nb"),
            (vec![Ok(b"a".to_vec())], Some(b"b".to_vec()))
        );
        assert_eq!(decode_to_end(&or_end, b"a\nb").0, [Ok(b"a".to_vec()), Ok(b"b".to_vec())]);
        assert_eq!(decode_to_end(&or_end, b"a\r").0, [Ok(b"a\r".to_vec())]);
        assert_eq!(decode_to_end(&or_end, b"\r").0, [Ok(b"\r".to_vec())]);
        assert_eq!(decode_to_end(&or_end, b"a\r\n"), (vec![Ok(b"a".to_vec())], None));
    }

    #[test]
    fn content_that_would_end_early_is_refused_where_it_does() {
        let crlf = Lines::new().with_crlf();
        for lines in [Lines::new(), crlf] {
            assert_eq!(encode(&lines, b"ab\nc"), Err(EncodeError::HasMark { at: 2 }));
        }
        assert_eq!(encode(&Lines::new(), b"ab\r"), Err(EncodeError::HasMark { at: 2 }));
        assert_eq!(encode(&Lines::new(), b"a\rb").as_deref(), Ok(&b"a\rb\n"[..]));
        assert_eq!(encode(&crlf, b"ab\r").as_deref(), Ok(&b"ab\r\r\n"[..]));
        assert_eq!(encode(&crlf, b"").as_deref(), Ok(&b"\r\n"[..]));
    }

    #[test]
    fn the_laws_hold() {
        check(&Lines::new().or_end(), b"\r\na\x8D", |content| [content, b"\n"].concat());
        check(&Lines::new().with_crlf(), b"\r\na", |content| [content, b"\r\n"].concat());
    }
}
