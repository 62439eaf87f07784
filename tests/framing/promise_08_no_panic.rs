//! Promise 8: no panic, whatever the bytes, the storage or the format. Requirement: SEC-1.
//!
//! Here a format breaks every law of the trait, and a storage is shorter than a header: each is an
//! error. `ci/freestanding` links the core without a reachable panic.

use std::cell::Cell;
use std::rc::Rc;

use unstick::{
    DatagramError, DecodeError, Decoder, EncodeError, Encoder, Format, FrameBuf, Framing, Header,
    HeaderError, Parsed, RecoverError, SelfChecking, Storage, Varint,
};

use crate::support::{payloads, text};

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
    /// The limit of its only meta is another one at each call.
    FickleLimit,
    /// A payload as long as can be said.
    Huge,
    RefusesAll,
}

const LIES: [Lie; 14] = [
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
    Lie::FickleLimit,
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
            Lie::FickleLimit => header(1, 2),
            Lie::Huge => header(1, u64::MAX),
            Lie::RefusesAll => refused,
            _ => Ok(Parsed::Need(bytes.len() + 1)),
        }
    }

    fn limit_of(&self, (): &()) -> u64 {
        // Another one at each call.
        self.calls.set(self.calls.get() + 1);
        if matches!(self.lie, Lie::FickleLimit) {
            1 + self.calls.get() as u64 % 3
        } else {
            u64::MAX
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
    matches!(lie, Lie::LooksBehind | Lie::Fickle | Lie::FickleLimit)
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
                let _ = (decoder.set_limit(chunk.len() as u64), decoder.needed());
                decoder.set_limit(u64::MAX);
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

/// The header first, the payload in runs, and limits in between.
// spec: SEC-1
#[test]
fn a_frame_that_is_not_whole_bears_every_lie() {
    for lie in LIES {
        for (size, calls) in (1..=SENT.len()).flat_map(|size| (0..64).map(move |n| (size, n))) {
            let mut buf = FrameBuf::growing(Liar::new(lie));
            for (i, chunk) in SENT.chunks(size).enumerate() {
                buf.extend(chunk);
                for call in [calls, calls >> 2, calls >> 4, i] {
                    match call % 4 {
                        0 => drop(buf.find_header()),
                        1 => drop(buf.find_payload()),
                        2 => drop(buf.next_frame()),
                        _ => drop(buf.skip_frame()),
                    }
                    buf.set_limit([0, 1, 2, u64::MAX][(call + i) % 4]);
                    let _ = (buf.needed(), buf.next_header(), buf.open_frame(), buf.finish());
                    assert!(buf.position() <= SENT.len() as u64);
                }
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

/// A storage that cannot hold a header says so, the same to every question, and never looks like
/// the end of the stream.
// spec: SEC-1, ERR-4
#[test]
fn a_storage_shorter_than_a_header_is_an_error() {
    fn check<S: Storage>(mut buf: FrameBuf<S>) {
        let room = buf.capacity();
        // Without a byte of room not even a look is needed.
        let at_once = (room == 0).then_some(DecodeError::NoRoom { at: 0, needed: 1, room: 0 });
        assert_eq!(buf.error(), at_once);
        assert_eq!(buf.extend(&text(b"")), room);
        for _ in 0..3 {
            let Err(error) = buf.next_frame().map(|_| ()) else { panic!("{room} bytes of room") };
            let DecodeError::NoRoom { at: 0, needed, room: said } = error else {
                panic!("{error:?}")
            };
            assert!(needed > room && said == room);
            assert_eq!((buf.finish(), buf.error()), (Err(error), Some(error)));
            assert_eq!(error.code(), 0x0005);
            assert_eq!((buf.open_frame(), buf.needs_more()), (None, false), "after an error");
            assert!(buf.skip_frame().is_err());
            assert!(buf.resync().is_err());
            assert_eq!(buf.unread().len(), room);
        }
        buf.reset();
        assert_eq!((buf.error(), buf.finish()), (at_once, at_once.map_or(Ok(()), Err)));
        if room > 0 {
            // What is wrong for another reason is so still.
            buf.extend(b"G");
            let error = HeaderError::BadMagic { found: b'G' };
            assert_eq!(buf.next_frame(), Err(DecodeError::Header { at: 0, error }));
        }
    }
    check(FrameBuf::new([0; 0]));
    check(FrameBuf::new([0; 1]));
    check(FrameBuf::new([0; 7]));
    for room in 0..8 {
        check(FrameBuf::new(&mut vec![0; room][..]));
    }

    // A shorter header than the format's longest may do.
    let mut buf = FrameBuf::with_framing([0; 1], Varint).unwrap();
    for _ in 0..3 {
        assert_eq!(buf.extend(&[0]), 1);
        assert_eq!(payloads(&mut buf), [[]]);
    }
    buf.extend(&[0x80, 0x01]);
    assert_eq!(buf.next_frame(), Err(DecodeError::NoRoom { at: 3, needed: 2, room: 1 }));
}

/// A search stands at what may be a header and never will be all here: an error, the same to every
/// question, wherever the stream was cut, and never a wait for bytes that there is no room for.
// spec: SEC-1, ERR-4
#[test]
fn a_search_in_a_storage_shorter_than_a_header_is_an_error() {
    let bytes = [b"??\xf5?".to_vec(), text(b"")].concat();
    for (room, read) in (1..8).flat_map(|room| (1..=room).map(move |read| (room, read))) {
        let mut storage = vec![0; room];
        let mut buf = FrameBuf::new(&mut storage[..]);
        buf.extend(b"?");
        let error = HeaderError::BadMagic { found: b'?' };
        assert_eq!(buf.next_frame(), Err(DecodeError::Header { at: 0, error }));
        let mut rest = &bytes[1..];
        let failed = loop {
            match buf.resync() {
                Ok(None) => {}
                Ok(Some(_)) => panic!("a header in {room} bytes"),
                Err(failed) => break failed,
            }
            assert!(!buf.spare().is_empty(), "{room} bytes, by {read}");
            let n = buf.extend(&rest[..rest.len().min(read)]);
            rest = &rest[n..];
        };
        let at = if room == 1 { 2 } else { 4 }; // what does not stand there whole is not judged
        let error = DecodeError::NoRoom { at, needed: 8, room };
        for _ in 0..2 {
            assert_eq!(failed, RecoverError::Failed(error), "{room} bytes, by {read}");
            assert_eq!((buf.resync(), buf.skip_frame()), (Err(failed), Err(failed)));
            assert_eq!((buf.error(), buf.finish()), (Some(error), Err(error)));
            assert_eq!(buf.next_frame(), Err(error));
            assert_eq!((buf.open_frame(), buf.needs_more()), (None, false), "after an error");
            assert_eq!((buf.position(), buf.unread()), (at, &text(b"")[..room]));
        }
        buf.reset();
        assert_eq!((buf.error(), buf.resync()), (None, Err(RecoverError::NotFailed)));
    }
}
