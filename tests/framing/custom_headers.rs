//! A custom format whose header has no fixed length: a line that ends in a mark.

use std::cell::Cell;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{Decoder, EncodeError, Format, FrameBuf, Framing, Header, HeaderError, Parsed};
use unstick_testing::chunks::{Path, Subject, compare, single_bytes};
use unstick_testing::oracle::{Policy, Rules, Verdict};

/// A line that ends in a newline; its last character is the payload's length in decimal. The rest
/// of it is the meta. Says how many bytes it has looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    scanned: Rc<Cell<usize>>,
}

/// The room for a line, newline included.
const LINE: usize = 40;
const NO_DIGIT: HeaderError = HeaderError::Custom { code: 0x8001, text: "no digit" };

impl Line {
    fn scan(&self, bytes: &[u8], seen: usize) -> Result<Parsed<Vec<u8>>, HeaderError> {
        for (i, byte) in bytes.iter().enumerate().skip(seen) {
            self.scanned.set(self.scanned.get() + 1);
            if *byte == b'\n' {
                let (digit, meta) = bytes[..i].split_last().ok_or(NO_DIGIT)?;
                let payload_len = (*digit as char).to_digit(10).ok_or(NO_DIGIT)?.into();
                let header_len = i + 1;
                return Ok(Parsed::Header(Header { meta: meta.to_vec(), payload_len, header_len }));
            }
        }
        Ok(Parsed::Need(bytes.len() + 1))
    }
}

impl Format for Line {
    type Meta = Vec<u8>;
    type HeaderBuf = [u8; LINE];

    fn max_payload_len(&self) -> u64 {
        9
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Vec<u8>>, HeaderError> {
        self.scan(bytes, 0)
    }

    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<Vec<u8>>, HeaderError> {
        self.scan(bytes, seen)
    }

    fn encode_header(
        &self,
        meta: &Vec<u8>,
        len: u64,
        out: &mut [u8; LINE],
    ) -> Result<usize, EncodeError> {
        let digit = b'0' + u8::try_from(len).map_err(|_| EncodeError::Meta)?;
        let line = [&meta[..], &[digit, b'\n']].concat();
        let room = out.get_mut(..line.len()).ok_or(EncodeError::Meta)?;
        room.copy_from_slice(&line);
        Ok(line.len())
    }
}

impl Rules for Line {
    fn header(&self, bytes: &[u8]) -> Verdict {
        let (newest, line) = bytes.split_last().unwrap();
        if *newest != b'\n' {
            return match bytes.len() {
                LINE => Verdict::Refused(HeaderError::TooLong { room: LINE }),
                _ => Verdict::More(1),
            };
        }
        match line.split_last() {
            Some((digit @ b'0'..=b'9', meta)) => {
                Verdict::Header { meta: meta.to_vec(), payload_len: u64::from(digit - b'0') }
            }
            _ => Verdict::Refused(NO_DIGIT),
        }
    }

    fn write(&self, meta: &[u8], payload_len: u64) -> Option<Vec<u8>> {
        Some([meta, payload_len.to_string().as_bytes(), b"\n"].concat())
    }

    fn most(&self) -> u64 {
        9
    }
}

impl Subject for Line {
    fn describe(meta: &Vec<u8>) -> Vec<u8> {
        meta.clone()
    }

    fn pick_meta(&self, seed: u64) -> Vec<u8> {
        format!("X-{seed}").into_bytes()
    }
}

fn compare_line(stream: &[u8], cuts: &[usize], limit: u64) {
    for path in Path::ALL {
        for policy in [Policy::STOP, Policy::SKIP] {
            if path.allows(policy) {
                let framing = Framing::new(Line::default()).with_limit(limit);
                compare(&framing, stream, cuts, path, policy);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_header_that_ends_in_a_mark_is_chunk_invariant(
        bytes in vec(prop_oneof![Just(b'\n'), Just(b'0'), Just(b'3'), Just(b'9'), Just(b'x')], 0..80),
        cut in 0..80_usize,
        limit in prop_oneof![Just(3_u64), Just(9)],
    ) {
        compare_line(&bytes, &[], limit);
        compare_line(&bytes, &single_bytes(&bytes), limit);
        compare_line(&bytes, &[cut.min(bytes.len())], limit);
    }
}

#[test]
fn a_header_longer_than_its_room_is_too_long_under_every_cut() {
    for len in LINE - 3..LINE + 3 {
        let mut bytes = vec![b'x'; len];
        bytes.extend(b"3\nabc");
        for cut in 0..=bytes.len() {
            compare_line(&bytes, &[cut], 9);
        }
        compare_line(&bytes, &single_bytes(&bytes), 9);
    }
}

/// Each byte of such a header is looked at a bounded number of times, however it arrives.
// spec: SEC-2
#[test]
fn a_mark_is_searched_once() {
    let format = Line::default();
    let framing = Framing::new(format.clone());
    let mut sent = Vec::new();
    for len in 0..9 {
        framing.encode(vec![b'x'; 37 - len], vec![1; len], &mut sent).unwrap();
    }
    let sent = sent.repeat(20);
    // Twice: when the header is complete, it is read again.
    let bound = 2 * sent.len();
    for read in [1, 2, 39, 1000] {
        format.scanned.set(0);
        let mut decoder = Decoder::with_framing(framing.clone());
        for chunk in sent.chunks(read) {
            decoder.for_each(chunk, |_| {}).unwrap();
        }
        decoder.finish().unwrap();
        assert!(format.scanned.get() <= bound, "{} of {}", format.scanned.get(), sent.len());

        format.scanned.set(0);
        let mut buf = FrameBuf::with_framing([0; 60], framing.clone()).unwrap();
        let mut frames = 0;
        for mut chunk in sent.chunks(read) {
            while !chunk.is_empty() {
                let n = buf.extend(chunk);
                chunk = &chunk[n..];
                while buf.next_frame().unwrap().is_some() {
                    frames += 1;
                }
            }
        }
        assert_eq!(frames, 180);
        assert!(format.scanned.get() <= bound, "{} of {}", format.scanned.get(), sent.len());
    }
}
