//! The marks of `--format`: any of the library's, chosen at run time.

use std::ops::Range;

use unstick::{Cobs, Delimited, EncodeError, Lines, Mark, Shape, Slip, Unit};

use crate::term::hex;

/// A delimiter. One that the user gave lives as long as the program.
type AnyDelimited = Delimited<&'static [u8]>;

/// The maximum length of a delimiter, in bytes.
const MAX_DELIMITER_LEN: usize = 255;

/// The marks that need no parameters, by name.
pub(crate) const NAMED: [(&str, AnyMark); 5] = [
    ("lines", AnyMark::Lines(Lines::new())),
    ("crlf", AnyMark::Delimited(Delimited::new(b"\r\n"))),
    ("nul", AnyMark::NUL),
    ("cobs", AnyMark::Cobs(Cobs)),
    ("slip", AnyMark::Slip(Slip::new())),
];

/// Declares [`AnyMark`] and [`AnyState`], and dispatches to the marks.
macro_rules! marks {
    ($($name:ident($mark:ty), $state:ident;)+) => {
        /// Any of the library's marks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum AnyMark {
            $($name($mark),)+
        }

        /// The state of every mark, of which one is used: its default does not depend on the mark.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct AnyState {
            $($state: <$mark as Mark>::State,)+
        }

        impl Mark for AnyMark {
            type State = AnyState;

            fn push(&self, state: &mut AnyState, byte: u8) -> Unit {
                match self {
                    $(Self::$name(mark) => mark.push(&mut state.$state, byte),)+
                }
            }

            fn run(&self, state: &mut AnyState, bytes: &[u8]) -> usize {
                match self {
                    $(Self::$name(mark) => mark.run(&mut state.$state, bytes),)+
                }
            }

            fn produced(&self, state: &mut AnyState, bytes: &[u8]) -> (usize, &'static [u8]) {
                match self {
                    $(Self::$name(mark) => mark.produced(&mut state.$state, bytes),)+
                }
            }

            fn whole(&self, bytes: &[u8]) -> Option<Shape> {
                match self {
                    $(Self::$name(mark) => mark.whole(bytes),)+
                }
            }

            fn unescape(&self, frame: &mut [u8]) -> Range<usize> {
                match self {
                    $(Self::$name(mark) => mark.unescape(frame),)+
                }
            }

            fn end(&self, state: &mut AnyState) -> Unit {
                match self {
                    $(Self::$name(mark) => mark.end(&mut state.$state),)+
                }
            }

            fn max_wire_len(&self, content_len: u64) -> u64 {
                match self {
                    $(Self::$name(mark) => mark.max_wire_len(content_len),)+
                }
            }

            fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(mark) => mark.encode(content, put),)+
                }
            }
        }
    };
}

marks! {
    Lines(Lines), lines;
    Delimited(AnyDelimited), delimited;
    Cobs(Cobs), cobs;
    Slip(Slip), slip;
}

impl AnyMark {
    /// The delimiter that is a byte 0.
    pub(crate) const NUL: Self = Self::Delimited(Delimited::new(b"\0"));

    /// Returns whether frames are lines of text.
    pub(crate) fn has_lines(self) -> bool {
        matches!(self, Self::Lines(_)) || self == Self::Delimited(Delimited::new(b"\r\n"))
    }

    /// Returns the mark for a file or pipe: its end also ends the last line.
    pub(crate) fn of_file(self) -> Self {
        match self {
            Self::Lines(lines) => Self::Lines(lines.or_end()),
            mark => mark,
        }
    }

    /// Returns the mark for messages of standard input: its end also ends the last one.
    pub(crate) fn of_input(self) -> Self {
        match self {
            Self::Delimited(delimited) => Self::Delimited(delimited.or_end()),
            mark => mark.of_file(),
        }
    }
}

/// Returns how many bytes at the front of `bytes`, where no frame has begun, stand between frames.
pub(crate) fn idle(mark: &impl Mark, bytes: &[u8]) -> usize {
    let is_idle = |byte: &u8| mark.push(&mut Default::default(), *byte) == Unit::Idle;
    bytes.iter().take_while(|byte| is_idle(byte)).count()
}

/// Parses a delimiter of an option: `crlf`, `nul`, or bytes in hexadecimal.
pub(crate) fn parse_delimiter(text: &str) -> Result<AnyMark, String> {
    match text {
        "crlf" => Ok(AnyMark::Delimited(Delimited::new(b"\r\n"))),
        "nul" => Ok(AnyMark::NUL),
        _ => delimiter(text),
    }
}

/// Parses the bytes after `delim:`.
pub(crate) fn delimiter(text: &str) -> Result<AnyMark, String> {
    let bytes = hex::parse(text).map_err(|error| format!("delim:, {error}"))?;
    match bytes.len() {
        0 => Err("a delimiter has at least one byte; write it in hexadecimal, as in delim:0d0a"
            .to_owned()),
        len if len > MAX_DELIMITER_LEN => {
            Err(format!("a delimiter of {len} bytes; it may have {MAX_DELIMITER_LEN}"))
        }
        _ => Ok(AnyMark::Delimited(Delimited::new(bytes.leak()))),
    }
}

#[cfg(test)]
mod tests {
    use unstick::{Decoder, Framing, Marked};

    use super::*;

    #[test]
    fn every_mark_round_trips_in_any_cut() {
        let delimiters = [delimiter("2d2d").unwrap(), delimiter("00").unwrap()];
        for mark in NAMED.map(|(_, mark)| mark).into_iter().chain(delimiters) {
            let payloads = [&b"x"[..], "粘包".as_bytes(), &[b'y'; 600]];
            let mut wire = Vec::new();
            for payload in payloads {
                Framing::new(Marked::new(mark)).encode((), payload, &mut wire).unwrap();
            }
            for cut in [1, 7, wire.len()] {
                let mut decoder = Decoder::with_framing(Marked::new(mark));
                let (mut found, mut open) = (Vec::new(), Vec::new());
                for chunk in wire.chunks(cut) {
                    decoder
                        .for_each(chunk, |piece| {
                            open.extend_from_slice(piece.bytes);
                            if piece.last {
                                found.push(std::mem::take(&mut open));
                            }
                        })
                        .unwrap();
                }
                decoder.finish().unwrap();
                assert_eq!(found, payloads, "{mark:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_file_ends_its_last_line() {
        let lines = NAMED[0].1;
        let rest = |mark: AnyMark| {
            let mut decoder = Decoder::with_framing(Marked::new(mark));
            decoder.for_each(b"a", |_| {}).unwrap();
            decoder.finish()
        };
        assert!(rest(lines).is_err());
        assert!(rest(lines.of_file()).is_ok());
        assert_eq!(NAMED[1].1.of_file(), NAMED[1].1);
    }

    #[test]
    fn only_bytes_between_frames_are_idle() {
        let idle_of = |name, bytes: &[u8]| {
            let (_, mark) = NAMED.iter().find(|(found, _)| *found == name).unwrap();
            idle(mark, bytes)
        };
        assert_eq!(idle_of("slip", b"\xc0\xc0a\xc0"), 2);
        assert_eq!(idle_of("cobs", b"\0\x02a\0"), 1);
        assert_eq!(idle_of("lines", b"\n\na"), 0);
        assert_eq!(idle_of("nul", b""), 0);
    }

    #[test]
    fn a_delimiter_has_1_to_255_bytes() {
        assert_eq!(delimiter("0d0a"), Ok(NAMED[1].1));
        for (text, why) in [
            (String::new(), "at least one byte"),
            ("0d0".to_owned(), "ends in the middle of a byte"),
            ("0g".to_owned(), "`g` does not belong"),
            ("00".repeat(256), "of 256 bytes; it may have 255"),
        ] {
            let error = delimiter(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(delimiter(&"00".repeat(255)).is_ok());
    }
}
