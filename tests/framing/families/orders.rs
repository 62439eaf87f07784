//! Promises 1 to 5 and 10 in every framing: drives the framing core through every order of bytes and requests, up to a bound, and compares
//! each answer with the oracle's reading of all bytes so far.
//!
//! The oracle keeps no state but the bytes, the offset at which the present frame begins, and the
//! request that was accepted last. It reads everything anew for each answer, so it cannot depend on how
//! the bytes were cut.
//!
//! `explore/faults/run` plants faults in the core, which these tests must find.

use std::time::Instant;

use unstick::{DecodeError, Decoder, FrameBuf, LengthField, RecoverError, Wire};
use unstick_testing::chunks::Subject;
use unstick_testing::families::{
    self, Case, ResyncBuf, ResyncDecoder, Resynced, Subjected, every_check, every_mark,
};
use unstick_testing::formats;
use unstick_testing::oracle::families::{Counted, Family, Front, Rest, Search};
use unstick_testing::oracle::sums::Sum;

/// One step: bytes of the stream, which arrive together, or a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op<'a> {
    Byte(u8),
    Bytes(&'a [u8]),
    Skip,
    Resync,
    Reset,
}

impl std::fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Byte(byte) => write!(f, "{byte:02x}"),
            Self::Bytes(bytes) => write!(f, "{bytes:02x?}"),
            Self::Skip => f.write_str("skip"),
            Self::Resync => f.write_str("resync"),
            Self::Reset => f.write_str("reset"),
        }
    }
}

const REQUESTS: [Op<'static>; 3] = [Op::Skip, Op::Resync, Op::Reset];

/// What a receiver says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Report {
    Frame { meta: Vec<u8>, payload: Vec<u8> },
    Error { error: DecodeError, position: u64 },
    Found { skipped: u64 },
}

/// What a receiver says if the stream ends now.
#[derive(Debug, PartialEq, Eq)]
struct Ending {
    frames: Vec<Report>,
    result: Result<(), DecodeError>,
}

/// A receiver under test. The bytes that it has not consumed stay with it.
trait Receiver {
    fn copy(&self) -> Box<dyn Receiver>;
    fn give(&mut self, bytes: &[u8]);
    fn pump(&mut self, out: &mut Vec<Report>);
    fn skip(&mut self) -> Result<(), RecoverError>;
    /// Begins a search, if the stream has failed. `None` if this receiver has none.
    fn resync(&mut self, out: &mut Vec<Report>) -> Option<Result<(), RecoverError>>;
    fn reset(&mut self);
    fn end(&self) -> Ending;
    /// What was delivered of a frame that is not whole, if that can be seen.
    fn open(&self) -> Option<Option<(Vec<u8>, Vec<u8>)>>;
}

// The crate: pieces.

#[derive(Clone)]
struct Pieces<W: Wire> {
    decoder: Decoder<W>,
    describe: fn(&W::Meta) -> Vec<u8>,
    search: Option<ResyncDecoder<W>>,
    queue: Vec<u8>,
    open: Option<(Vec<u8>, Vec<u8>)>,
    searches: bool,
    /// Whether an empty beginning cannot be told from none.
    marks: bool,
}

impl<W: Subjected + 'static> Receiver for Pieces<W>
where
    Self: Clone,
{
    fn copy(&self) -> Box<dyn Receiver> {
        Box::new(self.clone())
    }

    fn give(&mut self, bytes: &[u8]) {
        self.queue.extend(bytes);
    }

    fn pump(&mut self, out: &mut Vec<Report>) {
        let queue = std::mem::take(&mut self.queue);
        let mut input = &queue[..];
        loop {
            if self.searches {
                let found: Resynced = self.search.unwrap()(&mut self.decoder, &mut input);
                let Some(skipped) = found.expect("a search goes on") else {
                    assert!(input.is_empty(), "a search left bytes");
                    break;
                };
                self.searches = false;
                out.push(Report::Found { skipped });
                continue;
            }
            match self.decoder.decode(&mut input) {
                Ok(Some(piece)) => {
                    if let Some(header) = &piece.header {
                        assert!(self.open.is_none(), "a frame inside another one");
                        self.open = Some(((self.describe)(&header.meta), Vec::new()));
                    }
                    let open = self.open.as_mut().expect("a frame begins with its header");
                    open.1.extend_from_slice(piece.bytes);
                    if piece.last {
                        let (meta, payload) = self.open.take().unwrap_or_default();
                        out.push(Report::Frame { meta, payload });
                    }
                }
                Ok(None) => {
                    assert!(input.is_empty(), "no piece, and bytes are left");
                    break;
                }
                Err(error) => {
                    self.open = None;
                    out.push(Report::Error { error, position: self.decoder.position() });
                    break;
                }
            }
        }
        self.queue = input.to_vec();
    }

    fn skip(&mut self) -> Result<(), RecoverError> {
        self.decoder.skip_frame().inspect(|()| self.open = None)
    }

    fn resync(&mut self, out: &mut Vec<Report>) -> Option<Result<(), RecoverError>> {
        let search = self.search?;
        if self.searches {
            return Some(Ok(()));
        }
        // Without a byte: it shows whether a search is allowed, and whether it ends at once.
        Some(match search(&mut self.decoder, &mut &[][..]) {
            Ok(None) => {
                self.searches = true;
                Ok(())
            }
            Ok(Some(skipped)) => {
                out.push(Report::Found { skipped });
                Ok(())
            }
            Err(error) => Err(error),
        })
    }

    fn reset(&mut self) {
        self.decoder.reset();
        (self.queue, self.open, self.searches) = (Vec::new(), None, false);
    }

    fn end(&self) -> Ending {
        let mut decoder = self.decoder.clone();
        let mut payload = self.open.clone();
        let mut frames = Vec::new();
        let result = loop {
            if self.searches {
                break decoder.finish();
            }
            match decoder.end() {
                Ok(Some(piece)) => {
                    let open = payload.get_or_insert_default();
                    open.1.extend_from_slice(piece.bytes);
                    if piece.last {
                        let (meta, payload) = payload.take().unwrap_or_default();
                        frames.push(Report::Frame { meta, payload });
                    }
                }
                Ok(None) => break decoder.finish(),
                Err(error) => break Err(error),
            }
        };
        Ending { frames, result }
    }

    fn open(&self) -> Option<Option<(Vec<u8>, Vec<u8>)>> {
        Some(self.open.clone().filter(|(_, payload)| !self.marks || !payload.is_empty()))
    }
}

// The crate: whole frames.

#[derive(Clone)]
struct Whole<W: Wire> {
    buf: FrameBuf<Vec<u8>, W>,
    describe: fn(&W::Meta) -> Vec<u8>,
    search: Option<ResyncBuf<Vec<u8>, W>>,
    searches: bool,
}

impl<W: Subjected + 'static> Receiver for Whole<W>
where
    Self: Clone,
{
    fn copy(&self) -> Box<dyn Receiver> {
        Box::new(self.clone())
    }

    fn give(&mut self, bytes: &[u8]) {
        self.buf.extend_all(bytes);
    }

    fn pump(&mut self, out: &mut Vec<Report>) {
        loop {
            if self.searches {
                let found = self.search.unwrap()(&mut self.buf).expect("a search goes on");
                let Some(skipped) = found else { return };
                self.searches = false;
                out.push(Report::Found { skipped });
                continue;
            }
            match self.buf.next_frame() {
                Ok(Some(frame)) => {
                    let meta = (self.describe)(&frame.meta);
                    out.push(Report::Frame { meta, payload: frame.payload.to_vec() });
                }
                Ok(None) => return,
                Err(error) => {
                    return out.push(Report::Error { error, position: self.buf.position() });
                }
            }
        }
    }

    fn skip(&mut self) -> Result<(), RecoverError> {
        self.buf.skip_frame()
    }

    fn resync(&mut self, out: &mut Vec<Report>) -> Option<Result<(), RecoverError>> {
        let search = self.search?;
        if self.searches {
            return Some(Ok(()));
        }
        Some(match search(&mut self.buf) {
            Ok(None) => {
                self.searches = true;
                Ok(())
            }
            Ok(Some(skipped)) => {
                out.push(Report::Found { skipped });
                Ok(())
            }
            Err(error) => Err(error),
        })
    }

    fn reset(&mut self) {
        self.buf.reset();
        self.searches = false;
    }

    fn end(&self) -> Ending {
        let mut buf = self.buf.clone();
        let mut frames = Vec::new();
        let result = loop {
            if self.searches {
                break buf.finish();
            }
            match buf.end() {
                Ok(Some(frame)) => {
                    let meta = (self.describe)(&frame.meta);
                    frames.push(Report::Frame { meta, payload: frame.payload.to_vec() });
                }
                Ok(None) => break buf.finish(),
                Err(error) => break Err(error),
            }
        };
        Ending { frames, result }
    }

    fn open(&self) -> Option<Option<(Vec<u8>, Vec<u8>)>> {
        None
    }
}

// The oracle.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Reading,
    Failed,
    /// The failed frame, or one that has begun, is dropped.
    SkipsFailed,
    SkipsBegun,
    Searching,
}

#[derive(Clone)]
struct Naive<'a> {
    family: &'a dyn Family,
    limit: u64,
    bytes: Vec<u8>,
    start: usize,
    mode: Mode,
}

/// What the answer to a skip has to be.
enum Due {
    Accepted,
    Refused(Option<RecoverError>),
    /// Either; the state changes if it is accepted, to this.
    Either(Mode),
}

impl Naive<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn front(&self) -> Front {
        self.family.front_so_far(self.limit, self.rest())
    }

    fn error(&self) -> Option<(DecodeError, u64)> {
        match self.front() {
            Front::Failed(failed) if self.mode == Mode::Failed => {
                let start = self.start as u64;
                Some((failed.error.shifted(start), start + failed.position as u64))
            }
            _ => None,
        }
    }

    fn pump(&mut self, out: &mut Vec<Report>) {
        loop {
            let goes_on = match (self.mode, self.front()) {
                (Mode::Reading, Front::Nothing | Front::Cut { .. }) => None,
                (Mode::Reading, Front::Frame { end, content, .. }) => {
                    out.push(Report::Frame { meta: content.meta, payload: content.payload });
                    Some(end)
                }
                (Mode::Reading | Mode::Failed, Front::Failed(_)) => {
                    self.mode = Mode::Failed;
                    let (error, position) = self.error().expect("it has failed");
                    out.push(Report::Error { error, position });
                    None
                }
                (Mode::SkipsFailed, Front::Failed(failed)) => match failed.skip {
                    Some(Rest::To(next)) => Some(next),
                    _ => None,
                },
                (Mode::SkipsBegun, _) => match self.family.skip_begun(self.limit, self.rest()) {
                    Rest::To(next) => Some(next),
                    _ => None,
                },
                (Mode::Searching, Front::Failed(failed)) => {
                    match self.family.search(self.limit, self.rest(), &failed) {
                        Search::Found(next) => {
                            out.push(Report::Found { skipped: (next - failed.at) as u64 });
                            Some(next)
                        }
                        _ => None,
                    }
                }
                (mode, front) => panic!("{mode:?} and {front:?}"),
            };
            let Some(next) = goes_on else { return };
            self.start += next;
            self.mode = Mode::Reading;
        }
    }

    fn skip(&self) -> Due {
        match (self.mode, self.front()) {
            (Mode::Failed, Front::Failed(failed)) => match failed.skip {
                Some(_) => Due::Accepted,
                None => Due::Refused(self.error().map(|(error, _)| RecoverError::Failed(error))),
            },
            (Mode::Reading, Front::Cut { begun: Some(_), .. }) => Due::Accepted,
            (Mode::Reading, Front::Cut { part: unstick::Part::Mark, .. }) => {
                Due::Either(Mode::SkipsBegun)
            }
            (Mode::Reading, _) => Due::Refused(Some(RecoverError::NotFailed)),
            (Mode::SkipsFailed | Mode::SkipsBegun, _) => Due::Either(self.mode),
            _ => Due::Refused(None),
        }
    }

    fn open(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match (self.mode, self.front()) {
            (Mode::Reading, Front::Cut { begun: Some(begun), .. }) => {
                Some((begun.meta, begun.payload))
            }
            _ => None,
        }
    }

    fn end(&self) -> Ending {
        let at = self.bytes.len() as u64;
        let truncated = |missing, part| Err(DecodeError::Truncated { at, missing, part });
        let dropped = |rest| match rest {
            Some(Rest::Cut { missing, part }) => truncated(missing, part),
            _ => Ok(()),
        };
        let mut frames = Vec::new();
        let result = match (self.mode, self.front()) {
            (Mode::Reading, _) => match self.family.front(self.limit, self.rest()) {
                Front::Nothing => Ok(()),
                Front::Cut { missing, part, .. } => truncated(missing, part),
                Front::Frame { content, .. } => {
                    frames.push(Report::Frame { meta: content.meta, payload: content.payload });
                    Ok(())
                }
                Front::Failed(failed) => Err(failed.error.shifted(self.start as u64)),
            },
            (Mode::Failed, _) => Err(self.error().expect("it has failed").0),
            (Mode::SkipsFailed, Front::Failed(failed)) => dropped(failed.skip),
            (Mode::SkipsBegun, _) => dropped(Some(self.family.skip_begun(self.limit, self.rest()))),
            (Mode::Searching, Front::Failed(failed)) => {
                let skipped = at - (self.start + failed.at) as u64;
                Err(DecodeError::Unsynchronized { at, skipped })
            }
            (mode, front) => panic!("{mode:?} and {front:?}"),
        };
        Ending { frames, result }
    }
}

/// A walk through the tree of all orders.
struct Walk<'a> {
    name: &'a str,
    limit: u64,
    ops: Vec<Op<'a>>,
    way: Vec<Op<'a>>,
    cases: u64,
}

impl<'a> Walk<'a> {
    fn told(&self) -> String {
        let name = self.name;
        format!("{name}, limit {}: {:?}", self.limit, self.way)
    }

    /// Takes one step with both, and compares. Returns `false` if there is no such step.
    fn step(&mut self, op: Op<'a>, receiver: &mut dyn Receiver, naive: &mut Naive<'_>) -> bool {
        self.way.push(op);
        let (mut got, mut want) = (Vec::new(), Vec::new());
        match op {
            Op::Byte(byte) => {
                receiver.give(&[byte]);
                naive.bytes.push(byte);
            }
            Op::Bytes(bytes) => {
                receiver.give(bytes);
                naive.bytes.extend(bytes);
            }
            Op::Reset => {
                receiver.reset();
                (naive.bytes, naive.start, naive.mode) = (Vec::new(), 0, Mode::Reading);
            }
            Op::Skip => {
                let answer = receiver.skip();
                match naive.skip() {
                    Due::Accepted => {
                        assert_eq!(answer, Ok(()), "{}", self.told());
                        naive.mode = match naive.mode {
                            Mode::Failed => Mode::SkipsFailed,
                            _ => Mode::SkipsBegun,
                        };
                    }
                    Due::Refused(None) => assert!(answer.is_err(), "{}", self.told()),
                    Due::Refused(Some(error)) => {
                        assert_eq!(answer, Err(error), "{}", self.told());
                    }
                    Due::Either(mode) if answer.is_ok() => naive.mode = mode,
                    Due::Either(_) => assert_eq!(answer, Err(RecoverError::NotFailed)),
                }
            }
            Op::Resync => {
                let Some(answer) = receiver.resync(&mut got) else {
                    self.way.pop();
                    return false;
                };
                let is_due = matches!(naive.mode, Mode::Failed | Mode::Searching);
                let due = if is_due { Ok(()) } else { Err(RecoverError::NotFailed) };
                assert_eq!(answer, due, "{}", self.told());
                if is_due {
                    naive.mode = Mode::Searching;
                }
            }
        }
        receiver.pump(&mut got);
        naive.pump(&mut want);
        assert_eq!(got, want, "{}", self.told());
        if let Some(open) = receiver.open() {
            assert_eq!(open, naive.open(), "{}", self.told());
        }
        assert_eq!(receiver.end(), naive.end(), "{}", self.told());
        self.cases += 1;
        true
    }

    fn walk(&mut self, depth: usize, receiver: &dyn Receiver, naive: &Naive<'_>) {
        if depth == 0 {
            return;
        }
        for i in 0..self.ops.len() {
            let (mut receiver, mut naive) = (receiver.copy(), naive.clone());
            if self.step(self.ops[i], &mut *receiver, &mut naive) {
                self.walk(depth - 1, &*receiver, &naive);
                self.way.pop();
            }
        }
    }

    /// From the state after each beginning of this stream: every byte, every request, and then all
    /// orders.
    fn after_beginnings(
        &mut self,
        stream: &[u8],
        depth: usize,
        receiver: &dyn Receiver,
        naive: &Naive<'_>,
    ) {
        let (mut receiver, mut naive) = (receiver.copy(), naive.clone());
        for next in stream.iter().map(Some).chain([None]) {
            let bytes = (0..=u8::MAX).map(Op::Byte);
            for op in bytes.chain(REQUESTS) {
                let (mut receiver, mut naive) = (receiver.copy(), naive.clone());
                if self.step(op, &mut *receiver, &mut naive) {
                    self.walk(depth, &*receiver, &naive);
                    self.way.pop();
                }
            }
            if let Some(byte) = next {
                self.step(Op::Byte(*byte), &mut *receiver, &mut naive);
            }
        }
        self.way.clear();
    }

    /// After each beginning of the first stream, which arrives in one piece: each request, or none, and
    /// then the second stream, in one piece and byte by byte. The one piece is followed by each request.
    fn one_after_the_other(
        &mut self,
        first: &'a [u8],
        second: &'a [u8],
        receiver: &dyn Receiver,
        naive: &Naive<'_>,
    ) {
        for end in 0..=first.len() {
            let (mut receiver, mut naive) = (receiver.copy(), naive.clone());
            self.step(Op::Bytes(&first[..end]), &mut *receiver, &mut naive);
            for request in [None].into_iter().chain(REQUESTS.map(Some)) {
                let (mut receiver, mut naive) = (receiver.copy(), naive.clone());
                if request.is_some_and(|op| !self.step(op, &mut *receiver, &mut naive)) {
                    continue;
                }
                let length = self.way.len();
                {
                    let (mut receiver, mut naive) = (receiver.copy(), naive.clone());
                    self.step(Op::Bytes(second), &mut *receiver, &mut naive);
                    for op in REQUESTS {
                        let (mut receiver, mut naive) = (receiver.copy(), naive.clone());
                        if self.step(op, &mut *receiver, &mut naive) {
                            self.way.pop();
                        }
                    }
                }
                self.way.truncate(length);
                for byte in second {
                    self.step(Op::Byte(*byte), &mut *receiver, &mut naive);
                }
                self.way.truncate(1);
            }
            self.way.clear();
        }
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// The number of steps from the beginning, of few bytes and all requests.
    steps: usize,
    /// The number of such steps after a byte of 256 in every state of some frames.
    after: usize,
}

/// Explores one framing, on both paths. Returns the number of compared steps.
fn explore<W: Subjected + 'static, M: Family>(case: &Case<W, M>, depth: Depth) -> u64
where
    Pieces<W>: Clone,
    Whole<W>: Clone,
{
    let mut alphabet = case.special.clone();
    alphabet.sort_unstable();
    alphabet.dedup();
    alphabet.truncate(3);
    alphabet.push(b'x');
    let ops: Vec<Op<'_>> = alphabet.into_iter().map(Op::Byte).chain(REQUESTS).collect();
    let mut cases = 0;
    for limit in [1, 3] {
        let naive =
            Naive { family: &case.model, limit, bytes: Vec::new(), start: 0, mode: Mode::Reading };
        let pieces = Pieces {
            decoder: Decoder::with_framing(case.framing(limit)),
            describe: case.describe,
            search: case.resync,
            queue: Vec::new(),
            open: None,
            searches: false,
            marks: case.ends_at_mark() && case.name != VERSION_1,
        };
        let whole = Whole {
            buf: FrameBuf::growing(case.framing(limit)),
            describe: case.describe,
            search: case.resync_vec,
            searches: false,
        };
        let (name, streams) = (case.name, streams(case, limit));
        let mut walk = Walk { name, limit, ops: ops.clone(), way: Vec::new(), cases: 0 };
        // The lower limit is that of most steps; the higher one has longer frames.
        if limit == 1 {
            walk.walk(depth.steps, &pieces, &naive);
            walk.walk(depth.steps, &whole, &naive);
        }
        for stream in &streams {
            walk.after_beginnings(stream, depth.after, &pieces, &naive);
            walk.after_beginnings(stream, depth.after, &whole, &naive);
            for second in &streams {
                walk.one_after_the_other(stream, second, &pieces, &naive);
                walk.one_after_the_other(stream, second, &whole, &naive);
            }
        }
        cases += walk.cases;
    }
    cases
}

/// A frame of each length up to the limit, one above it, the two shortest with a damaged end, and one
/// with a damaged beginning.
fn streams<W: Subjected, M: Family>(case: &Case<W, M>, limit: u64) -> Vec<Vec<u8>> {
    let meta = (case.describe)(&(case.meta)(&case.wire, 1));
    let payload = [case.special[0], b'x', b'y', b'z'];
    let frame = |len: usize| case.model.write(u64::MAX, &meta, &payload[..len]);
    let longest = usize::try_from(limit).unwrap_or(0);
    let mut streams: Vec<_> = (0..=longest + 1).filter_map(|len| frame(len).ok()).collect();
    // The end is a header, a payload, a check or a mark. The beginning can be refused before the rest.
    let shortest: Vec<_> = streams.iter().take(2).cloned().collect();
    for mut damaged in shortest.iter().cloned() {
        if let Some(last) = damaged.last_mut() {
            *last ^= 0x55;
        }
        streams.push(damaged);
    }
    if let Some(mut damaged) = shortest.last().cloned() {
        damaged[0] ^= 0x55;
        streams.push(damaged);
    }
    streams
}

/// A format without a check.
fn plain<F>(name: &'static str, format: &F) -> Case<F, Counted<F>>
where
    F: Subject + Subjected + Wire<Meta = <F as unstick::Format>::Meta>,
{
    Case {
        name,
        wire: format.clone(),
        model: Counted { rules: format.clone(), sum: Sum::NONE },
        describe: F::describe,
        meta: |format, seed| format.pick_meta(seed),
        idle: None,
        special: b"\0\x01\x02".to_vec(),
        one_encoding: true,
        known_length: None,
        resync: None,
        resync_vec: None,
        resync_box: None,
    }
}

const VERSION_1: &str = "version 1";

/// Version 1, which can search.
fn version_1() -> Case<unstick::V1, Counted<unstick::V1>> {
    Case {
        special: b"\xF5\x01\0".to_vec(),
        resync: Some(|decoder, input| decoder.resync(input)),
        resync_vec: Some(|buf| buf.resync()),
        ..plain(VERSION_1, &unstick::V1)
    }
}

/// What was explored so far.
struct Total {
    depth: Depth,
    steps: u64,
    failed: Vec<&'static str>,
}

fn add<W: Subjected + 'static, M: Family>(case: &Case<W, M>, total: &mut Total) {
    let run = std::panic::AssertUnwindSafe(|| explore(case, total.depth));
    let Ok(steps) = std::panic::catch_unwind(run) else {
        total.failed.push(case.name);
        return;
    };
    println!("{:<32}{steps:>12}", case.name);
    total.steps += steps;
}

/// Explores the framings that `add_all` adds, and compares each.
fn every_framing(depth: Depth, add_all: fn(&mut Total)) {
    let begin = Instant::now();
    let mut total = Total { depth, steps: 0, failed: Vec::new() };
    add_all(&mut total);
    println!("{:<32}{:>12}  {:.1} s", "all", total.steps, begin.elapsed().as_secs_f64());
    assert!(total.failed.is_empty(), "{:?}", total.failed);
}

fn headers(total: &mut Total) {
    add(&version_1(), total);
    add(&plain("a byte", &unstick::U8), total);
    add(&plain("two bytes", &unstick::U16Be), total);
    add(&plain("four bytes", &unstick::U32Le), total);
    // So that a length has a second byte.
    let special = b"\x80\0\x01".to_vec();
    add(&Case { special, ..plain("a varint", &unstick::Varint) }, total);
    for layout in formats::some_layouts() {
        add(&plain("a field", &LengthField::new(layout).unwrap()), total);
    }
    add(&families::fixed(), total);
}

fn checks(total: &mut Total) {
    every_check!(add, total);
}

fn marks(total: &mut Total) {
    every_mark!(add, total);
}

const SHORT: Depth = Depth { steps: 3, after: 0 };
const LONG: Depth = Depth { steps: 6, after: 1 };

// spec: STR-2, STR-3, STR-7, ERR-1, ERR-4, ERR-5, ERR-7, END-1, SKP-1, SKP-2, SYN-8
#[test]
fn every_order_is_answered_as_the_oracle_says_if_a_header_has_the_length() {
    every_framing(SHORT, headers);
}

// spec: STR-2, ERR-1, ERR-4, ERR-5, ERR-7, END-1, SKP-1, SKP-2, SYN-8
#[test]
fn every_order_is_answered_as_the_oracle_says_if_a_check_follows() {
    every_framing(SHORT, checks);
}

// spec: STR-2, ERR-1, ERR-4, ERR-5, ERR-7, END-1, SKP-1, SYN-8
#[test]
fn every_order_is_answered_as_the_oracle_says_if_a_mark_ends_a_frame() {
    every_framing(SHORT, marks);
}

#[test]
#[ignore = "minutes, even optimised: cargo test --release"]
fn every_longer_order_is_answered_as_the_oracle_says_if_a_header_has_the_length() {
    every_framing(LONG, headers);
}

#[test]
#[ignore = "minutes, even optimised: cargo test --release"]
fn every_longer_order_is_answered_as_the_oracle_says_if_a_check_follows() {
    every_framing(LONG, checks);
}

#[test]
#[ignore = "minutes, even optimised: cargo test --release"]
fn every_longer_order_is_answered_as_the_oracle_says_if_a_mark_ends_a_frame() {
    every_framing(LONG, marks);
}
