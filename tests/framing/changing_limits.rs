//! A limit that changes while the stream runs, a skip in a payload, and what is known of a frame before
//! it is whole: against models that keep every byte.

use std::fmt::Debug;

use unstick::scan::{Scan, ScanPayload, Scanner};
use unstick::{
    DecodeError, Decoder, Format, FrameBuf, Framing, Header, HeaderBuf, HeaderError,
    MAX_PAYLOAD_LEN, Parsed, Part, RecoverError, U16Be, U64Be, V1, Varint,
};
use unstick_testing::bodies;
use unstick_testing::formats::by_kind;

use crate::custom_headers::Line;
use crate::support::text;

/// Pseudo-random numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % n
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    fn limit(&mut self) -> u64 {
        [0, 1, 3, 5, 9, 40, 1 << 20, u64::MAX][self.below(8)]
    }
}

/// The fuzz target's model of the read buffer, over inputs that are made up: its operations are many,
/// and the seeds are few.
#[test]
fn the_read_buffer_is_its_model() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for case in 0..1_800 {
        println!("case {case}");
        let bytes = numbers.bytes(64 + case % 700);
        match case % 6 {
            0 => bodies::frame_buf_of(&Line::default(), &bytes),
            1 => bodies::frame_buf_of(&by_kind(), &bytes),
            _ => bodies::frame_buf(&bytes),
        }
    }
}

/// What a decoder delivers, byte by byte.
#[derive(Clone, Debug, PartialEq)]
enum Event<M> {
    Header(Header<M>),
    Byte(u8),
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Boundary,
    /// A header begins here.
    Header(usize),
    Payload(u64),
    Skip(u64),
    Failed(usize, DecodeError),
    Search(usize),
}

/// A decoder that keeps every byte and asks the format about one more each time.
struct Model<'f, F: Format> {
    format: &'f F,
    limit: u64,
    bytes: Vec<u8>,
    state: State,
}

impl<F: Format> Model<'_, F> {
    fn parsed(&self, start: usize) -> Result<Parsed<F::Meta>, HeaderError> {
        self.format.decode_header(&self.bytes[start..])
    }

    /// Takes a byte; whether it was consumed.
    fn push(&mut self, byte: u8, events: &mut Vec<Event<F::Meta>>) -> bool {
        let at = self.bytes.len();
        if let State::Failed(..) = self.state {
            return false;
        }
        self.bytes.push(byte);
        self.state = match self.state {
            State::Payload(left) => {
                events.push(Event::Byte(byte));
                if left == 1 {
                    events.push(Event::Last);
                    State::Boundary
                } else {
                    State::Payload(left - 1)
                }
            }
            State::Skip(1) => State::Boundary,
            State::Skip(left) => State::Skip(left - 1),
            State::Boundary => self.push_header(at, events),
            State::Header(start) => self.push_header(start, events),
            State::Search(start) => {
                let from = (start + 1).max((at + 1).saturating_sub(F::HeaderBuf::LEN));
                match self.parsed(from) {
                    Ok(Parsed::Header(header)) if !self.is_over(&header) => {
                        self.push_header(from, events)
                    }
                    _ => State::Search(start),
                }
            }
            State::Failed(..) => unreachable!(),
        };
        true
    }

    fn limit_of(&self, header: &Header<F::Meta>) -> u64 {
        self.limit.min(self.format.limit_of(&header.meta))
    }

    fn is_over(&self, header: &Header<F::Meta>) -> bool {
        header.payload_len > self.limit_of(header)
    }

    fn push_header(&mut self, start: usize, events: &mut Vec<Event<F::Meta>>) -> State {
        let at = start as u64;
        match self.parsed(start) {
            Ok(Parsed::Need(_)) => State::Header(start),
            Ok(Parsed::Header(header)) if self.is_over(&header) => {
                let (len, limit) = (header.payload_len, self.limit_of(&header));
                State::Failed(start, DecodeError::Oversize { at, len, limit })
            }
            Ok(Parsed::Header(header)) => {
                let left = header.payload_len;
                events.push(Event::Header(header));
                if left == 0 {
                    events.push(Event::Last);
                }
                if left == 0 { State::Boundary } else { State::Payload(left) }
            }
            Err(error) => State::Failed(start, DecodeError::Header { at, error }),
        }
    }

    fn missing(&self, start: usize) -> u64 {
        match self.parsed(start) {
            Ok(Parsed::Need(need)) => (need - (self.bytes.len() - start)) as u64,
            other => unreachable!("{other:?}"),
        }
    }

    fn finish(&self) -> Result<(), DecodeError> {
        let at = self.bytes.len() as u64;
        let (missing, part) = match self.state {
            State::Boundary => return Ok(()),
            State::Header(start) => (self.missing(start), Part::Header),
            State::Payload(left) | State::Skip(left) => (left, Part::Payload),
            State::Failed(_, error) => return Err(error),
            State::Search(start) => {
                return Err(DecodeError::Unsynchronized { at, skipped: at - start as u64 });
            }
        };
        Err(DecodeError::Truncated { at, missing, part })
    }

    fn error(&self) -> Option<DecodeError> {
        match self.state {
            State::Failed(..) | State::Search(_) => self.finish().err(),
            _ => None,
        }
    }

    fn needed(&self) -> u64 {
        match self.state {
            State::Boundary => self.missing(self.bytes.len()),
            State::Header(start) => self.missing(start),
            State::Payload(left) | State::Skip(left) => left,
            State::Failed(..) | State::Search(_) => 0,
        }
    }

    fn skip(&mut self) -> Result<(), RecoverError> {
        self.state = match (self.state, self.error()) {
            (State::Payload(left), _) => State::Skip(left),
            (_, Some(DecodeError::Oversize { len, .. })) => State::Skip(len),
            (_, Some(error)) => return Err(RecoverError::Failed(error)),
            (_, None) => return Err(RecoverError::NotFailed),
        };
        Ok(())
    }

    fn set_limit(&mut self, limit: u64) {
        self.limit = limit.min(self.format.max_payload_len()).min(MAX_PAYLOAD_LEN);
        if let State::Failed(..) = self.state {
            self.limit = self.limit.min((1 << 45) - 2);
        }
    }
}

/// Frames around the limits, now and then damaged.
fn made_up<F: Format>(format: &F, metas: &[F::Meta], numbers: &mut Numbers) -> Vec<u8> {
    let framing = Framing::new(format).with_limit(u64::MAX);
    let mut stream = Vec::new();
    for _ in 0..14 {
        let len = [0, 1, 2, 4, 6, 9][numbers.below(6)];
        let (meta, payload) = (&metas[numbers.below(metas.len())], numbers.bytes(len));
        if let Ok(header) = framing.encode_header(meta, len as u64) {
            stream.extend(header.as_bytes());
            stream.extend(payload);
        }
        if numbers.below(4) == 0 {
            let len = numbers.below(4);
            stream.extend(numbers.bytes(len));
        }
    }
    stream
}

type Search<F> = fn(&mut Decoder<F>, &mut &[u8]) -> Result<Option<u64>, RecoverError>;

fn check_decoder<F: Format + Clone + Debug>(
    format: &F,
    metas: &[F::Meta],
    search: Option<Search<F>>,
) {
    let (mut numbers, mut skipped, mut failed, mut searched) = (Numbers(7), 0, 0, 0);
    for _ in 0..400 {
        let stream = made_up(format, metas, &mut numbers);
        let mut rest = &stream[..];
        let mut decoder = Decoder::with_framing(Framing::new(format.clone()).with_limit(9));
        let limit = decoder.limit();
        let mut model = Model { format, limit, bytes: Vec::new(), state: State::Boundary };
        while !rest.is_empty() {
            match numbers.below(12) {
                0..=4 => {
                    let limit = numbers.limit();
                    decoder.set_limit(limit);
                    model.set_limit(limit);
                }
                5 | 6 => {
                    let want = model.skip();
                    assert_eq!(decoder.skip_frame(), want, "{model:?}");
                    skipped += usize::from(want.is_ok());
                }
                7 if model.error().is_some() => {
                    decoder.reset();
                    model.bytes.clear();
                    model.state = State::Boundary;
                }
                8 => {
                    let search = search.filter(|_| matches!(model.state, State::Failed(..)));
                    if let (Some(search), State::Failed(start, _)) = (search, model.state) {
                        assert_eq!(search(&mut decoder, &mut &b""[..]), Ok(None));
                        model.state = State::Search(start);
                        searched += 1;
                    }
                }
                _ => {}
            }
            compare(&decoder, &model);

            let needed = model.needed();
            let exact = usize::try_from(needed).unwrap_or(usize::MAX);
            let len = [1, exact, 1 + numbers.below(7)][numbers.below(3)].clamp(1, rest.len());
            let (mut input, mut events, mut want) = (&rest[..len], Vec::new(), Vec::new());
            let state = model.state;
            let consumed = input.iter().take_while(|byte| model.push(**byte, &mut want)).count();
            if let (State::Search(start), Some(search)) = (state, search) {
                let found = search(&mut decoder, &mut input).unwrap();
                if let Some(skipped) = found {
                    let header = decoder.position() + 1 - F::HeaderBuf::LEN as u64;
                    assert_eq!(skipped, header - start as u64, "{model:?}");
                }
            }
            while let Some(piece) = decoder.decode(&mut input).ok().flatten() {
                events.extend(piece.header.map(Event::Header));
                events.extend(piece.bytes.iter().copied().map(Event::Byte));
                events.extend(piece.last.then_some(Event::Last));
            }
            failed += usize::from(decoder.error().is_some());
            assert_eq!((&events, len - input.len()), (&want, consumed), "{model:?}");
            compare(&decoder, &model);
            // A read of what is needed gets on, and reads nothing after the frame.
            if (len as u64) <= needed && model.error().is_none() {
                assert_eq!(consumed, len, "{model:?}");
                let end = events.iter().position(|event| *event == Event::Last);
                assert!(end.is_none_or(|end| end + 1 == events.len()), "{model:?}");
            }
            rest = &rest[consumed..];
        }
    }
    assert!(skipped > 50 && failed > 50, "{skipped} {failed}");
    assert_eq!(search.is_some(), searched > 50, "{searched}");
}

fn compare<F: Format + Clone + Debug>(decoder: &Decoder<F>, model: &Model<'_, F>) {
    assert_eq!(decoder.error(), model.error(), "{model:?}");
    assert_eq!(decoder.finish(), model.finish(), "{model:?}");
    assert_eq!(decoder.limit(), model.limit, "{model:?}");
    assert_eq!(decoder.position(), model.bytes.len() as u64, "{model:?}");
    assert_eq!(decoder.needed(), model.needed(), "{model:?}");
    assert_eq!(decoder.is_at_boundary(), decoder.finish().is_ok(), "{model:?}");
}

impl<F: Format + Debug> Debug for Model<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { format, limit, bytes, state } = self;
        write!(f, "{format:?}, limit {limit}, {state:?}, {bytes:02x?}")
    }
}

/// At every byte and in every state: a limit up and down, a skip, a reset, a search.
// spec: STR-3, ERR-4, ERR-7, SKP-1, SKP-2, SYN-1, SYN-2, SYN-3, END-1, END-2, END-3
#[test]
fn a_decoder_is_its_model_while_the_limit_changes() {
    let kinds = [1, 2, 3, 200].map(|kind| unstick::Kind::new(kind).unwrap());
    check_decoder(&V1, &kinds, Some(Decoder::resync));
    check_decoder(&by_kind(), &kinds, Some(Decoder::resync));
    check_decoder(&U16Be, &[()], None);
    check_decoder(&Varint, &[()], None);
    check_decoder(&Line::default(), &[b"GET ".to_vec(), b"".to_vec()], None);
}

/// A caller that keeps the bytes in a `Vec`.
struct Naive<F: Format> {
    scanner: Scanner<F>,
    kept: Vec<u8>,
}

type Taken<M> = Option<(Header<M>, Vec<u8>)>;

impl<F: Format> Naive<F> {
    fn drop(&mut self, n: usize) {
        assert!(n >= 1);
        self.kept.drain(..n);
    }

    fn next(&mut self) -> Result<Taken<F::Meta>, DecodeError> {
        loop {
            match self.scanner.find(&self.kept)? {
                Scan::Frame(found) => {
                    let payload = self.scanner.frame(&found, &self.kept).unwrap().payload.to_vec();
                    self.drop(found.frame_len());
                    return Ok(Some((found.header, payload)));
                }
                Scan::Discard(n) => self.drop(n),
                Scan::Incomplete { needed } => {
                    assert!(needed > self.kept.len());
                    return Ok(None);
                }
            }
        }
    }

    fn header(&mut self) -> Result<Option<Header<F::Meta>>, DecodeError> {
        loop {
            match self.scanner.find_header(&self.kept)? {
                Scan::Frame(found) => return Ok(Some(found.header)),
                Scan::Discard(n) => self.drop(n),
                Scan::Incomplete { .. } => return Ok(None),
            }
        }
    }

    fn payload(&mut self) -> Result<Option<Vec<u8>>, DecodeError> {
        loop {
            match self.scanner.find_payload(&self.kept)? {
                ScanPayload::Run(run) => return Ok(Some(self.kept.drain(..run.len).collect())),
                ScanPayload::Discard(n) => self.drop(n),
                ScanPayload::Incomplete { .. } => return Ok(None),
            }
        }
    }

    fn skip(&mut self) -> Result<(), RecoverError> {
        let result = self.scanner.skip_frame();
        if result != Err(RecoverError::NotFailed) || self.scanner.header(&self.kept).is_none() {
            return result;
        }
        match self.scanner.find_payload(&self.kept) {
            Ok(ScanPayload::Discard(n)) => self.drop(n),
            other => panic!("{other:?}"),
        }
        self.scanner.skip_frame()
    }
}

fn check_scanner<F: Format + Clone + Debug>(format: &F, metas: &[F::Meta]) {
    let mut numbers = Numbers(11);
    for _ in 0..400 {
        let stream = made_up(format, metas, &mut numbers);
        let mut rest = &stream[..];
        let framing = Framing::new(format.clone()).with_limit(9);
        let mut naive = Naive { scanner: Scanner::new(framing.clone()), kept: Vec::new() };
        let mut buf = FrameBuf::growing(framing);
        while !rest.is_empty() {
            let len = numbers.below(9).min(rest.len());
            naive.kept.extend(&rest[..len]);
            buf.extend_all(&rest[..len]);
            rest = &rest[len..];
            match numbers.below(8) {
                0 | 1 => {
                    let limit = numbers.limit();
                    naive.scanner.set_limit(limit);
                    buf.set_limit(limit);
                }
                2 => assert_eq!(naive.skip(), buf.skip_frame()),
                3 => assert_eq!(naive.header(), buf.find_header()),
                4 | 5 => {
                    let got = buf.find_payload();
                    let got = got.map(|run| run.map(|run| buf.payload(&run).unwrap().to_vec()));
                    assert_eq!(naive.payload(), got);
                }
                6 if buf.error().is_some() => {
                    naive.scanner.reset();
                    naive.kept.clear();
                    buf.reset();
                }
                _ => {
                    let got = buf.next_frame();
                    let got = got.map(|frame| frame.map(|frame| (frame.meta, frame.payload)));
                    let want = naive.next();
                    let want = want.map(|frame| frame.map(|(header, bytes)| (header.meta, bytes)));
                    assert_eq!(want, got.map(|f| f.map(|(meta, bytes)| (meta, bytes.to_vec()))));
                }
            }
            let Naive { scanner, kept } = &naive;
            assert_eq!(scanner.limit(), buf.framing().limit());
            assert_eq!(scanner.position() + scanner.refused() as u64, buf.position());
            assert_eq!((scanner.error(), scanner.finish(kept)), (buf.error(), buf.finish()));
            assert_eq!(
                (scanner.header(kept), scanner.needed(kept)),
                (buf.next_header(), buf.needed())
            );
            assert_eq!(scanner.open_frame(kept), buf.open_frame());
        }
    }
}

/// Without a buffer of the crate the same comes out.
#[test]
fn a_scanner_does_for_any_vec_what_the_read_buffer_does() {
    let kinds = [1, 2, 3, 200].map(|kind| unstick::Kind::new(kind).unwrap());
    check_scanner(&V1, &kinds);
    check_scanner(&by_kind(), &kinds);
    check_scanner(&U16Be, &[()]);
    check_scanner(&Varint, &[()]);
    check_scanner(&Line::default(), &[b"GET ".to_vec(), b"".to_vec()]);
}

/// A length over 2^62 that was refused before the reset was counted as missing too.
#[test]
fn the_end_of_a_skipped_payload_counts_no_earlier_header() {
    let mut decoder = Decoder::with_framing(U64Be);
    for byte in [0xFF; 8] {
        let _ = decoder.for_each(&[byte], |_| {});
    }
    assert!(matches!(decoder.error(), Some(DecodeError::Oversize { len: u64::MAX, .. })));
    decoder.reset();
    decoder.for_each(b"\0\0\0\0\0\0\0\x05he", |_| {}).unwrap();
    decoder.skip_frame().unwrap();
    let error = DecodeError::Truncated { at: 10, missing: 3, part: Part::Payload };
    assert_eq!(decoder.finish(), Err(error));
}

/// Whether a payload is dropped when the next frame is looked for did not depend on the call alone,
/// but also on whether a byte of it had arrived by then.
#[test]
fn a_payload_is_dropped_before_its_first_byte_has_arrived() {
    let frame = text(b"dropped");
    let mut buf = FrameBuf::growing(V1);
    buf.extend_all(&frame[..8]);
    assert_eq!(buf.find_payload(), Ok(None));
    assert_eq!(buf.next_frame(), Ok(None));
    buf.extend_all(&frame[8..]);
    buf.extend_all(&text(b"next"));
    let run = buf.find_payload().unwrap().unwrap();
    assert_eq!(buf.payload(&run), Some(&b"next"[..]));
}

/// A header that does not fit is an error, so nothing more is needed.
#[test]
fn a_failed_buffer_needs_no_bytes() {
    let mut buf = FrameBuf::new([0; 3]);
    assert_eq!(buf.needed(), 8);
    buf.extend(b"\xf5\x01\x01");
    assert_eq!(buf.needed(), 5);
    buf.next_frame().unwrap_err();
    assert_eq!(buf.needed(), 0);
}

/// A frame whose limit was set after its header is known to be incomplete only until it is whole.
#[test]
fn a_whole_frame_needs_no_more() {
    let frame = text(b"hello");
    let mut buf = FrameBuf::growing(V1);
    buf.extend_all(&frame[..10]);
    assert_eq!(buf.next_frame(), Ok(None));
    buf.set_limit(2);
    assert!(buf.needs_more());
    buf.extend_all(&frame[10..]);
    assert!(!buf.needs_more());
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"hello");
    buf.extend_all(&frame);
    let error = DecodeError::Oversize { at: 13, len: 5, limit: 2 };
    assert_eq!(buf.next_frame(), Err(error));
    buf.set_limit(5);
    assert_eq!(buf.error(), Some(error));
    buf.skip_frame().unwrap();
    buf.extend_all(&frame);
    assert_eq!(buf.next_frame().unwrap().unwrap().payload, b"hello");
}
