//! Formats of a user's own: one that ends in a mark, and those that break the laws.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::expect_used, clippy::cast_possible_truncation)]

use std::cell::Cell;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use unstick::{
    DatagramError, DecodeError, Decoder, EncodeError, Encoder, Format, FrameBuf, Framing, Header,
    HeaderError, Parsed, SelfChecking,
};
use unstick_testing::chunks::{Path, Subject, compare, single_bytes};
use unstick_testing::oracle::{Policy, Rules, Verdict};

/// A line that ends in a newline; its last character is the payload's length in decimal. The rest
/// of it is the meta. Says how many bytes it has looked at.
#[derive(Clone, Debug, Default)]
struct Line {
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
        framing.encode(vec![b'x'; 37 - len], &vec![1; len], &mut sent).unwrap();
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

/// How a format may lie.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// A header of no bytes.
    NoBytes,
    /// A header longer than what it was given.
    BeyondInput,
    /// A header longer than the room for one.
    BeyondRoom,
    /// A header of more bytes than there are numbers for.
    Endless,
    /// More bytes are needed than it has; but as many as it has.
    NeedsAsMany,
    NeedsNone,
    NeedsTooMany,
    NeedsAll,
    /// The first byte is refused, but only once there are four.
    RefusesLate,
    /// It depends on what is behind the header.
    LooksBehind,
    /// Every third answer is another one.
    Fickle,
    /// A payload as long as can be said.
    Huge,
    RefusesAll,
}

const LIES: [Lie; 13] = [
    Lie::NoBytes,
    Lie::BeyondInput,
    Lie::BeyondRoom,
    Lie::Endless,
    Lie::NeedsAsMany,
    Lie::NeedsNone,
    Lie::NeedsTooMany,
    Lie::NeedsAll,
    Lie::RefusesLate,
    Lie::LooksBehind,
    Lie::Fickle,
    Lie::Huge,
    Lie::RefusesAll,
];

#[derive(Clone, Debug)]
struct Liar {
    lie: Lie,
    calls: Cell<usize>,
}

impl Liar {
    fn new(lie: Lie) -> Self {
        Self { lie, calls: Cell::new(0) }
    }
}

impl Format for Liar {
    type Meta = ();
    type HeaderBuf = [u8; 4];

    fn max_payload_len(&self) -> u64 {
        u64::MAX
    }

    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
        self.calls.set(self.calls.get() + 1);
        let header = |header_len, payload_len| {
            Ok(Parsed::Header(Header { meta: (), payload_len, header_len }))
        };
        let refused = Err(HeaderError::Custom { code: 7, text: "" });
        match self.lie {
            Lie::NoBytes => header(0, 1),
            Lie::BeyondInput => header(bytes.len() + 1, 1),
            Lie::BeyondRoom if bytes.len() >= 5 => header(5, 1),
            Lie::Endless => header(usize::MAX, u64::MAX),
            Lie::NeedsAsMany => Ok(Parsed::Need(bytes.len())),
            Lie::NeedsNone => Ok(Parsed::Need(0)),
            Lie::NeedsTooMany => Ok(Parsed::Need(5)),
            Lie::NeedsAll => Ok(Parsed::Need(usize::MAX)),
            Lie::RefusesLate if bytes.len() >= 4 => refused,
            Lie::LooksBehind if bytes.len() == 3 => header(2, 1),
            Lie::LooksBehind if bytes.len() > 3 => refused,
            Lie::Fickle => match self.calls.get() % 3 {
                0 => header(1, 2),
                1 => Ok(Parsed::Need(bytes.len() + 1)),
                _ => refused,
            },
            Lie::Huge => header(1, u64::MAX),
            Lie::RefusesAll => refused,
            _ => Ok(Parsed::Need(bytes.len() + 1)),
        }
    }

    fn encode_header(&self, (): &(), _: u64, _: &mut [u8; 4]) -> Result<usize, EncodeError> {
        Ok(match self.lie {
            Lie::NoBytes => 0,
            Lie::Endless => usize::MAX,
            _ => 5,
        })
    }
}

impl SelfChecking for Liar {}

/// What depends on more than the bytes may go well for once.
fn may_pass(lie: Lie) -> bool {
    matches!(lie, Lie::LooksBehind | Lie::Fickle)
}

const SENT: [u8; 24] = [7; 24];

/// Whatever a format says, a decoder comes to an end, and every piece makes progress.
// spec: SEC-1
#[test]
fn a_decoder_bears_every_lie() {
    for lie in LIES {
        for size in 1..=SENT.len() {
            let mut decoder = Decoder::with_framing(Liar::new(lie));
            let mut failed = false;
            for chunk in SENT.chunks(size) {
                let mut input = chunk;
                // Each round consumes a byte, fails, or is the last.
                for _ in 0..=2 * chunk.len() {
                    let before = input.len();
                    match decoder.decode(&mut input) {
                        Ok(Some(_)) => assert!(input.len() < before),
                        Ok(None) => assert!(input.is_empty()),
                        Err(_) => {
                            failed = true;
                            let _ = decoder.skip_frame();
                            let _ = decoder.resync(&mut input);
                        }
                    }
                }
                assert!(decoder.position() <= SENT.len() as u64);
            }
            let _ = (decoder.finish(), decoder.error(), decoder.clone());
            assert!(failed || may_pass(lie), "{lie:?} passed with {size} bytes at a time");
            decoder.reset();
            assert_eq!(decoder.finish(), Ok(()));
        }
    }
}

// spec: SEC-1
#[test]
fn a_read_buffer_bears_every_lie() {
    for lie in LIES {
        for size in 1..=SENT.len() {
            for room in [0, 1, 3, 4, 8, 64] {
                let mut storage = vec![0; room];
                let mut fixed = FrameBuf::with_framing(&mut storage[..], Liar::new(lie)).unwrap();
                let mut growing = FrameBuf::with_framing(Vec::new(), Liar::new(lie)).unwrap();
                let mut failed = 0;
                for chunk in SENT.chunks(size) {
                    fixed.extend(chunk);
                    growing.extend(chunk);
                    for _ in 0..4 {
                        if fixed.next_frame().is_err() {
                            failed |= 1;
                            let _ = (fixed.skip_frame(), fixed.resync());
                        }
                        if growing.next_frame().is_err() {
                            failed |= 2;
                            let _ = (growing.skip_frame(), growing.resync());
                        }
                    }
                }
                let _ = (fixed.finish(), fixed.error(), growing.finish(), growing.error());
                let all = failed == 3 || may_pass(lie);
                assert!(all, "{lie:?} passed with {size} bytes at a time, room {room}");
            }
        }
    }
}

// spec: SEC-1
#[test]
fn the_rest_bears_every_lie() {
    for lie in LIES {
        let framing = Framing::new(Liar::new(lie));
        for len in 0..SENT.len() {
            let mut rest = &SENT[..len];
            let _ = framing.split_frame(&mut rest);
            assert!(framing.datagram(&SENT[..len]).is_err() || may_pass(lie), "{lie:?}");
        }
        let mut out = [0xEE; 16];
        assert_eq!(framing.encode_into((), b"x", &mut out), Err(EncodeError::BrokenFormat));
        assert_eq!(framing.encode((), b"x", &mut Vec::new()), Err(EncodeError::BrokenFormat));
        assert_eq!(out, [0xEE; 16]);
        let mut encoder = Encoder::new(framing);
        let refused = encoder.begin((), 1).map(|_| ());
        assert_eq!((refused, encoder.missing()), (Err(EncodeError::BrokenFormat), None));
    }
}

/// Which lie gives which error.
#[test]
fn broken_laws_have_their_errors() {
    let first = |lie| {
        let mut decoder = Decoder::with_framing(Liar::new(lie));
        decoder.decode(&mut &SENT[..]).unwrap_err()
    };
    let header = |error| DecodeError::Header { at: 0, error };
    let broken = header(HeaderError::BrokenFormat);
    let too_long = header(HeaderError::TooLong { room: 4 });
    for lie in [Lie::NoBytes, Lie::BeyondInput, Lie::Endless, Lie::NeedsAsMany, Lie::NeedsNone] {
        assert_eq!(first(lie), broken, "{lie:?}");
    }
    for lie in [Lie::BeyondRoom, Lie::NeedsTooMany, Lie::NeedsAll] {
        assert_eq!(first(lie), too_long, "{lie:?}");
    }
    let limit = 1 << 20;
    assert_eq!(first(Lie::Huge), DecodeError::Oversize { at: 0, len: u64::MAX, limit });
    let own = header(HeaderError::Custom { code: 7, text: "" });
    assert_eq!((first(Lie::RefusesAll), first(Lie::RefusesLate)), (own, own));
    let datagram = Framing::new(Liar::new(Lie::RefusesAll)).datagram(&SENT).map(|_| ()).err();
    assert_eq!(datagram, Some(DatagramError::Malformed(own)));
}

/// Refusals in another order than the bytes arrive in: the error is the shortest prefix's.
// spec: ERR-1
#[test]
fn the_order_a_format_looks_in_does_not_show() {
    /// Judges its last byte first when all three are there.
    #[derive(Clone, Debug)]
    struct LastFirst;
    impl Format for LastFirst {
        type Meta = ();
        type HeaderBuf = [u8; 3];
        fn max_payload_len(&self) -> u64 {
            0
        }
        fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
            for i in (0..bytes.len().min(3)).rev() {
                if bytes[i] != i as u8 {
                    return Err(HeaderError::Custom { code: i as u16, text: "" });
                }
            }
            match bytes.len() {
                0..3 => Ok(Parsed::Need(3)),
                _ => Ok(Parsed::Header(Header { meta: (), payload_len: 0, header_len: 3 })),
            }
        }
        fn encode_header(&self, (): &(), _: u64, out: &mut [u8; 3]) -> Result<usize, EncodeError> {
            *out = [0, 1, 2];
            Ok(3)
        }
    }
    let sent = [0, 1, 2, 0, 9, 9, 9];
    let want = DecodeError::Header { at: 3, error: HeaderError::Custom { code: 1, text: "" } };
    for size in 1..=sent.len() {
        let mut decoder = Decoder::with_framing(LastFirst);
        let mut buf = FrameBuf::with_framing([0; 16], LastFirst).unwrap();
        let mut errors = Vec::new();
        for chunk in sent.chunks(size) {
            if errors.is_empty() {
                errors.extend(decoder.for_each(chunk, |_| {}).err());
            }
            buf.extend(chunk);
        }
        assert_eq!((errors, decoder.position()), (vec![want], 5));
        assert!(buf.next_frame().unwrap().is_some());
        assert_eq!(buf.next_frame(), Err(want));
        assert_eq!(buf.position(), 5);
    }
}

/// A format that asks for five bytes and then finds that three were enough: two bytes of payload
/// would be taken for header ones.
#[test]
fn a_header_shorter_than_was_asked_for_is_an_error() {
    #[derive(Clone, Copy)]
    struct Greedy;
    impl Format for Greedy {
        type Meta = ();
        type HeaderBuf = [u8; 8];
        fn max_payload_len(&self) -> u64 {
            255
        }
        fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
            Ok(match bytes {
                [_, _, len, _, _, ..] => {
                    Parsed::Header(Header { meta: (), payload_len: u64::from(*len), header_len: 3 })
                }
                _ => Parsed::Need(5),
            })
        }
        fn encode_header(&self, (): &(), _: u64, _: &mut [u8; 8]) -> Result<usize, EncodeError> {
            Err(EncodeError::Meta)
        }
    }
    let mut decoder = Decoder::with_framing(Greedy);
    assert_eq!(decoder.decode(&mut &[0, 0][..]), Ok(None));
    let broken = DecodeError::Header { at: 0, error: HeaderError::BrokenFormat };
    assert_eq!(decoder.for_each(b"\x04abcd", |_| panic!("a piece")), Err(broken));
    assert_eq!(decoder.finish(), Err(broken));
}

/// A format that forgets in the middle of a datagram what it has said of it: the frames end there.
#[test]
fn a_datagram_ends_where_its_format_contradicts_itself() {
    #[derive(Clone)]
    struct Forgets(Rc<Cell<bool>>);
    impl Format for Forgets {
        type Meta = ();
        type HeaderBuf = [u8; 1];
        fn max_payload_len(&self) -> u64 {
            0
        }
        fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<()>, HeaderError> {
            Ok(match bytes {
                [] => Parsed::Need(1),
                _ => {
                    let header_len = usize::from(!self.0.get());
                    Parsed::Header(Header { meta: (), payload_len: 0, header_len })
                }
            })
        }
        fn encode_header(&self, (): &(), _: u64, _: &mut [u8; 1]) -> Result<usize, EncodeError> {
            Ok(1)
        }
    }
    let forgot = Rc::new(Cell::new(false));
    let framing = Framing::new(Forgets(Rc::clone(&forgot)));
    let mut frames = framing.datagram(b"abc").unwrap();
    assert!(frames.next().is_some());
    forgot.set(true);
    assert!(frames.next().is_none());
}
