//! The read buffer does what a list of bytes and the oracle do.

use arbitrary::{Arbitrary, Result, Unstructured};
use unstick::{
    DecodeError, FrameBuf, Framing, HeaderBuf, Parsed, Part, RecoverError, Storage, StorageError,
};

use super::frame_buf_case;
use super::input::{self, any_format};
use crate::chunks::Subject;
use crate::oracle::{self, Outcome, Policy, Rules};

/// What a growing buffer may hold before anything arrived.
pub(super) const FIRST: usize = 8 * 1024;
/// What it may hold whatever the limit.
const BUSY: u64 = 64 * 1024;

/// Any sequence of operations on any storage: every answer is that of a model that keeps all
/// bytes since the stream's start and asks the oracle.
pub fn frame_buf(data: &[u8]) {
    let _ = read(&mut Unstructured::new(data));
}

fn read(u: &mut Unstructured<'_>) -> Result<()> {
    if input::picks_case(u) {
        return frame_buf_case::frame_buf(u);
    }
    any_format!(u, with_storage, u)
}

/// The same in a format of the caller's.
pub fn frame_buf_of<F: Subject>(format: &F, data: &[u8]) {
    let _ = with_storage(format, &mut Unstructured::new(data));
}

fn with_storage<F: Subject>(format: &F, u: &mut Unstructured<'_>) -> Result<()> {
    let kind = u.arbitrary::<u8>()? % 10;
    let room = 1 + usize::from(u.arbitrary::<u16>()? % 700);
    // Where the first storage is refused, a second one is built upon.
    let (mut one, mut two) = (vec![0xEE; room], vec![0xEE; room]);
    match kind {
        0 => check(format, u, Some(3), false, [[0xEE; 3]; 2]),
        1 => check(format, u, Some(8), false, [[0xEE; 8]; 2]),
        2 => check(format, u, Some(21), false, [[0xEE; 21]; 2]),
        3 => check(format, u, Some(64), false, [[0xEE; 64]; 2]),
        4 | 5 => check(format, u, Some(room), false, [&mut one[..], &mut two[..]]),
        6 => check(format, u, Some(room), false, [one.into_boxed_slice(), two.into_boxed_slice()]),
        7 => check(format, u, None, false, [one, two]),
        8 => check(format, u, None, false, [Vec::new(), Vec::new()]),
        _ => check(format, u, None, true, [Vec::new(), Vec::new()]),
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    Extend(u16),
    /// Some of what is committed may never have been written to.
    Commit {
        written: u8,
        more: u8,
    },
    Next,
    Drain,
    Shrink,
    Skip,
    Resync,
    Reset,
    SetLimit(u8),
    Header,
    Payload,
    WholePayload,
}

fn check<F: Subject, S: Storage>(
    format: &F,
    u: &mut Unstructured<'_>,
    room: Option<usize>,
    long: bool,
    [one, two]: [S; 2],
) -> Result<()> {
    let limit = if u.arbitrary()? { Some(input::limit(u)?) } else { None };
    let ops = (0..1 + u.arbitrary::<u8>()? % 48).map(|_| u.arbitrary());
    let ops = ops.collect::<Result<Vec<Op>>>()?;
    let header = format.max_header_len();
    let near = limit.unwrap_or(room.map_or(0, |room| room.saturating_sub(header) as u64));
    let stream = if long { input::long_stream } else { input::any_stream }(u, format, near)?;

    let framing = Framing::new(format.clone());
    let wanted = limit.map_or(framing.clone(), |limit| framing.clone().with_limit(limit));
    let needed = wanted.limit().saturating_add(header as u64);
    let refused = limit.and(room).filter(|room| needed > *room as u64);
    let mut buf = match (FrameBuf::with_framing(one, wanted.clone()), refused) {
        (Err(error), Some(room)) => {
            assert_eq!(error, StorageError { needed, room });
            FrameBuf::with_framing(two, framing.clone()).expect("the default gives way")
        }
        (built, refused) => {
            assert!(refused.is_none(), "{needed} bytes do not fit into {room:?}");
            built.unwrap()
        }
    };
    let asked = if refused.is_some() { framing.limit() } else { wanted.limit() };
    // No storage is longer.
    let longest = room.unwrap_or(isize::MAX.unsigned_abs());
    let fits = longest.saturating_sub(header) as u64;
    let limit = asked.min(fits);
    assert_eq!(buf.framing().limit(), limit);
    // A storage that grows may begin with some room.
    let given = buf.capacity();
    let mut most = (limit.saturating_add(header as u64)).max(BUSY).max(given as u64);

    let accepted = None;
    let mut model =
        Model { format, limit, accepted, room, bytes: Vec::new(), state: State::Frames(0) };
    let (mut left, mut arrived) = (&stream[..], 0);
    for op in ops.iter().cycle().take(ops.len().max(if long { 50 } else { 200 })) {
        if matches!(op, Op::Extend(_) | Op::Commit { .. }) {
            let room = buf.spare().len();
            let unread = buf.unread().len();
            assert!(room > 0 || model.has_failed() || unread == buf.capacity(), "room, or frames");
        }
        match *op {
            Op::Extend(len) => {
                let bytes = &left[..left.len().min(len.into())];
                let spare = buf.spare().len();
                let taken = buf.extend(bytes);
                // Each look at the room counts as a read, after some of which a large storage
                // becomes smaller, with room still.
                let is_smaller = room.is_none() && taken > 0 && taken < bytes.len();
                assert!(taken == spare.min(bytes.len()) || is_smaller, "{taken} of {spare}");
                model.bytes.extend(&bytes[..taken]);
                left = &left[taken..];
                arrived += taken;
            }
            Op::Commit { written, more } => {
                let spare = buf.spare();
                let n = left.len().min(written.into()).min(spare.len());
                spare[..n].copy_from_slice(&left[..n]);
                left = &left[n..];
                let more = usize::from(more / 32); // seldom many
                let counted = spare.len().min(n + more);
                model.bytes.extend(&spare[..counted]);
                let beyond = if counted < n + more { usize::MAX } else { counted };
                buf.commit(beyond);
                arrived += counted;
            }
            Op::Next => {
                next(&mut buf, &mut model);
            }
            Op::Drain => {
                while next(&mut buf, &mut model) {}
                assert!(model.has_failed() || !buf.spare().is_empty(), "room for more");
            }
            Op::Shrink => {
                let unread = buf.unread().len();
                buf.shrink();
                if room.is_none() && !model.has_failed() {
                    assert_eq!(buf.capacity(), unread);
                }
            }
            Op::Skip => assert_eq!(buf.skip_frame(), model.skip(), "{model:?}"),
            Op::Resync if format.self_checking() => {
                assert_eq!(F::resync_buf(&mut buf), model.resync(), "{model:?}");
            }
            Op::Resync => {}
            Op::Reset => {
                buf.reset();
                model.bytes.clear();
                (model.state, model.accepted) = (State::Frames(0), None);
            }
            Op::SetLimit(limit) => {
                let limit = match limit {
                    255 => u64::MAX,
                    254 => 1 << 20,
                    253 => 65_536,
                    small => (small / 4).into(),
                };
                buf.set_limit(limit);
                model.limit = limit.min(Rules::most(format)).min(oracle::CAP).min(fits);
                most = most.max(model.limit.saturating_add(header as u64));
            }
            Op::Header => {
                let got = buf.find_header().map(|header| header.map(described::<F>));
                assert_eq!(got, model.find_header(), "{model:?}");
            }
            Op::Payload => {
                payload(&mut buf, &mut model);
            }
            Op::WholePayload => while payload(&mut buf, &mut model) {},
        }
        compare(&buf, &model);
        match room {
            Some(room) => assert_eq!(buf.capacity(), room),
            None => {
                let earned = FIRST.max(given).max(3 * arrived);
                assert!(buf.capacity() <= earned, "memory follows arrivals");
                assert!(buf.capacity() as u64 <= most, "no more than the limit needs");
            }
        }
    }
    while next(&mut buf, &mut model) {}
    compare(&buf, &model);
    let unread = buf.unread().to_vec();
    let (_, place) = buf.into_parts();
    assert_eq!(place.len(), unread.len());
    Ok(())
}

/// The same question to both; whether there was a frame.
fn next<F: Subject, S: Storage>(buf: &mut FrameBuf<S, F>, model: &mut Model<'_, F>) -> bool {
    let got = buf.next_frame().map(|frame| {
        frame.map(|frame| {
            assert_eq!([frame.header_bytes(), frame.payload].concat(), frame.bytes());
            (F::describe(&frame.meta), frame.header_bytes().to_vec(), frame.payload.to_vec())
        })
    });
    let want = model.next();
    assert_eq!(got, want, "{model:?}");
    matches!(want, Ok(Some(_)))
}

/// The same for the next bytes of a payload; whether there were any.
fn payload<F: Subject, S: Storage>(buf: &mut FrameBuf<S, F>, model: &mut Model<'_, F>) -> bool {
    let got = buf.find_payload().map(|run| {
        run.map(|run| {
            let bytes = buf.payload(&run).unwrap().to_vec();
            assert_eq!((run.len, run.at + run.len as u64), (bytes.len(), buf.position()));
            bytes
        })
    });
    let want = model.find_payload();
    assert_eq!(got, want, "{model:?}");
    want.is_ok_and(|bytes| bytes.is_some_and(|bytes| !bytes.is_empty()))
}

fn described<F: Subject>(header: unstick::Header<F::Meta>) -> Known {
    let unstick::Header { meta, payload_len, header_len } = header;
    (F::describe(&meta), header_len, payload_len)
}

fn compare<F: Subject, S: Storage>(buf: &FrameBuf<S, F>, model: &Model<'_, F>) {
    let (position, unread) = (buf.position() as usize, buf.unread());
    match model.position() {
        Some(want) => assert_eq!(position, want, "{model:?}"),
        // A search may hold a header's beginning, or not.
        None => assert!(position <= model.bytes.len()),
    }
    assert!(unread == &model.bytes[position..], "{model:?}");
    assert_eq!(buf.error(), model.error(), "{model:?}");
    assert_eq!(buf.finish(), model.finish(), "{model:?}");
    assert_eq!(buf.framing().limit(), model.limit);
    assert_eq!(buf.next_header().map(described::<F>), model.header(), "{model:?}");
    assert_eq!(buf.needed(), model.needed(), "{model:?}");
    assert_eq!(buf.open_frame(), model.open_frame(), "{model:?}");
    assert!(!buf.needs_more() || model.needed() > 0, "{model:?}");
}

/// All bytes since the stream's start, and where in them the reader stands.
struct Model<'f, F> {
    format: &'f F,
    /// That of the next header.
    limit: u64,
    /// That of the next frame, if its header was accepted.
    accepted: Option<u64>,
    /// Of a storage that does not grow.
    room: Option<usize>,
    bytes: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The next frame begins here.
    Frames(usize),
    /// So many bytes from here on are to be dropped.
    Skipping {
        start: usize,
        from: usize,
        left: u64,
    },
    Failed {
        start: usize,
        behind: usize,
        error: DecodeError,
    },
    /// The payload of the frame at `start` is taken from here on, as it arrives.
    Payload {
        start: usize,
        from: usize,
        left: u64,
    },
    /// For a header behind the frame that failed here.
    Searching(usize),
    NoRoom {
        start: usize,
        error: DecodeError,
    },
}

type Taken = (Vec<u8>, Vec<u8>, Vec<u8>);
/// A header's meta and length, and the payload's length.
type Known = (Vec<u8>, usize, u64);

impl<F: Subject> Model<'_, F> {
    fn has_failed(&self) -> bool {
        self.error().is_some()
    }

    /// The offset of the first unread byte.
    fn position(&self) -> Option<usize> {
        match self.state {
            State::Frames(start) | State::NoRoom { start, .. } => Some(start),
            State::Skipping { from, .. } | State::Payload { from, .. } => Some(from),
            State::Failed { behind, .. } => Some(behind),
            State::Searching(_) => None,
        }
    }

    fn error(&self) -> Option<DecodeError> {
        match self.state {
            State::Frames(_) | State::Skipping { .. } | State::Payload { .. } => None,
            State::Failed { error, .. } | State::NoRoom { error, .. } => Some(error),
            State::Searching(start) => {
                let at = self.bytes.len() as u64;
                Some(DecodeError::Unsynchronized { at, skipped: at - start as u64 })
            }
        }
    }

    /// What the oracle says of the bytes from here on, under the next frame's limit.
    fn outcomes(&self, start: usize) -> Vec<Outcome> {
        let limit = self.accepted.unwrap_or(self.limit);
        oracle::outcomes(self.format, limit, &self.bytes[start..], Policy::STOP).1
    }

    fn next(&mut self) -> std::result::Result<Option<Taken>, DecodeError> {
        self.drop_skipped();
        let State::Frames(start) = self.state else { return self.error().map_or(Ok(None), Err) };
        if let Outcome::Frame { meta, header, payload, .. } = self.outcomes(start).swap_remove(0) {
            (self.state, self.accepted) =
                (State::Frames(start + header.len() + payload.len()), None);
            return Ok(Some((meta, header, payload)));
        }
        self.find_header().map(|_| None)
    }

    fn find_header(&mut self) -> std::result::Result<Option<Known>, DecodeError> {
        self.drop_skipped();
        let State::Frames(start) = self.state else { return self.error().map_or(Ok(None), Err) };
        match self.outcomes(start).swap_remove(0) {
            Outcome::Frame { .. } | Outcome::Begun { .. } => {
                self.accepted.get_or_insert(self.limit);
                return Ok(self.header());
            }
            Outcome::Error { error: DecodeError::Truncated { missing, part, .. }, .. } => {
                assert_eq!(part, Part::Header, "of a payload the oracle says more first");
                let needed = self.bytes.len() - start + missing as usize;
                if let Some(room) = self.room.filter(|room| needed > *room) {
                    let error = DecodeError::NoRoom { at: start as u64, needed, room };
                    self.state = State::NoRoom { start, error };
                }
            }
            Outcome::Error { error, position } => {
                let (error, behind) = (moved(error, start as u64), start + position as usize);
                self.state = State::Failed { start, behind, error };
            }
            Outcome::End => {}
            Outcome::Found { .. } => unreachable!("nobody searches"),
        }
        self.error().map_or(Ok(None), Err)
    }

    /// The header that is there already.
    fn header(&self) -> Option<Known> {
        let start = match self.state {
            State::Frames(start) | State::Payload { from: start, left: 0, .. } => start,
            _ => return None,
        };
        let mut outcomes = self.outcomes(start).into_iter();
        match (outcomes.next()?, outcomes.next()) {
            (Outcome::Frame { meta, header, payload, .. }, _) => {
                Some((meta, header.len(), payload.len() as u64))
            }
            (
                Outcome::Begun { meta, header, payload, .. },
                Some(Outcome::Error { error: DecodeError::Truncated { missing, .. }, .. }),
            ) => Some((meta, header.len(), payload.len() as u64 + missing)),
            _ => None,
        }
    }

    fn find_payload(&mut self) -> std::result::Result<Option<Vec<u8>>, DecodeError> {
        if !matches!(self.state, State::Payload { .. }) {
            let Some((_, header_len, left)) = self.find_header()? else { return Ok(None) };
            let State::Frames(start) = self.state else { unreachable!("a header was found") };
            self.state = State::Payload { start, from: start + header_len, left };
            self.accepted = None;
        }
        let State::Payload { start, from, left } = self.state else { unreachable!() };
        let run = left.min((self.bytes.len() - from) as u64) as usize;
        if run == 0 && left > 0 {
            return Ok(None);
        }
        self.state = match left {
            0 => State::Frames(from),
            _ => State::Payload { start, from: from + run, left: left - run as u64 },
        };
        Ok(Some(self.bytes[from..from + run].to_vec()))
    }

    /// How many bytes the next frame lacks.
    fn needed(&self) -> u64 {
        let start = match self.state {
            State::Skipping { from, left, .. } | State::Payload { from, left: left @ 1.., .. } => {
                return left.saturating_sub((self.bytes.len() - from) as u64);
            }
            State::Frames(start) | State::Payload { from: start, .. } => start,
            _ => return 0,
        };
        if start == self.bytes.len() {
            let Ok(Parsed::Need(need)) = self.format.decode_header(&[]) else { unreachable!() };
            return need as u64;
        }
        match self.outcomes(start).swap_remove(0) {
            Outcome::Error { error: DecodeError::Truncated { missing, .. }, .. } => missing,
            Outcome::Begun { .. } => {
                let (_, header_len, payload_len) = self.header().unwrap();
                payload_len - (self.bytes.len() - start - header_len) as u64
            }
            _ => 0,
        }
    }

    fn open_frame(&self) -> Option<u64> {
        match self.state {
            State::Frames(start) | State::Payload { from: start, left: 0, .. } => {
                (start < self.bytes.len()).then_some(start as u64)
            }
            State::Skipping { start, .. } | State::Payload { start, .. } => Some(start as u64),
            State::NoRoom { .. } | State::Failed { .. } | State::Searching(_) => None,
        }
    }

    fn drop_skipped(&mut self) {
        match self.state {
            State::Payload { from, left: 0, .. } => self.state = State::Frames(from),
            State::Payload { start, from, left } | State::Skipping { start, from, left } => {
                let dropped = left.min((self.bytes.len() - from) as u64);
                let (from, left) = (from + dropped as usize, left - dropped);
                self.state = match left {
                    0 => State::Frames(from),
                    _ => State::Skipping { start, from, left },
                };
            }
            _ => {}
        }
    }

    fn finish(&self) -> std::result::Result<(), DecodeError> {
        let at = self.bytes.len() as u64;
        let (start, from, left) = match self.state {
            State::Frames(start) => match self.header().filter(|_| self.accepted.is_some()) {
                Some((_, header_len, payload_len)) => (start, start + header_len, payload_len),
                None => (start, start, 0),
            },
            State::Skipping { start, from, left } | State::Payload { start, from, left } => {
                (start, from, left)
            }
            _ => return self.error().map_or(Ok(()), Err),
        };
        assert!(start <= from);
        let there = at - from as u64;
        if there < left {
            return Err(DecodeError::Truncated { at, missing: left - there, part: Part::Payload });
        }
        let start = from + left as usize;
        let rest = &self.bytes[start..];
        match oracle::outcomes(self.format, self.limit, rest, Policy::STOP).1.pop() {
            Some(Outcome::Error { error, .. }) => Err(moved(error, start as u64)),
            last => {
                assert_eq!(last, Some(Outcome::End));
                Ok(())
            }
        }
    }

    fn skip(&mut self) -> std::result::Result<(), RecoverError> {
        let (start, from, left) = match (self.state, self.error()) {
            (
                State::Failed { start, behind, .. },
                Some(DecodeError::Oversize { len: left, .. }),
            ) => (start, behind, left),
            (_, Some(error)) => return Err(RecoverError::Failed(error)),
            (State::Payload { start, from, left }, None) => (start, from, left),
            (State::Frames(start), None) => match self.header() {
                Some((_, header_len, left)) => (start, start + header_len, left),
                None => return Err(RecoverError::NotFailed),
            },
            (_, None) => return Err(RecoverError::NotFailed),
        };
        self.accepted = None;
        self.state = match left {
            0 => State::Frames(from),
            _ => State::Skipping { start, from, left },
        };
        Ok(())
    }

    fn resync(&mut self) -> std::result::Result<Option<u64>, RecoverError> {
        let start = match self.state {
            State::Failed { start, .. } | State::Searching(start) => start,
            State::NoRoom { error, .. } => return Err(RecoverError::Failed(error)),
            _ => return Err(RecoverError::NotFailed),
        };
        let is_header = |from: &usize| {
            let here = &self.bytes[*from..self.bytes.len().min(from + F::HeaderBuf::LEN)];
            let (_, outcomes) = oracle::outcomes(self.format, self.limit, here, Policy::STOP);
            matches!(outcomes[0], Outcome::Frame { .. } | Outcome::Begun { .. })
        };
        let found = (start + 1..self.bytes.len()).find(is_header);
        self.state = found.map_or(State::Searching(start), State::Frames);
        // What may be a header and fills the storage stays what it is.
        let may_be = |from: &usize| {
            let last = self.outcomes(*from).swap_remove(0);
            matches!(last, Outcome::Error { error: DecodeError::Truncated { .. }, .. })
        };
        let full = || {
            let start = (start + 1..self.bytes.len()).find(may_be)?;
            Some((start, self.room.filter(|room| self.bytes.len() - start >= *room)?))
        };
        if let Some((start, room)) = found.map_or_else(full, |_| None) {
            let (at, needed) = (start as u64, F::HeaderBuf::LEN);
            let error = DecodeError::NoRoom { at, needed, room };
            self.state = State::NoRoom { start, error };
            return Err(RecoverError::Failed(error));
        }
        Ok(found.map(|found| (found - start) as u64))
    }
}

impl<F: std::fmt::Debug> std::fmt::Debug for Model<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { format, limit, accepted, room, bytes, state } = self;
        write!(f, "{format:?}, limit {limit}, {accepted:?} of a frame that has begun, ")?;
        write!(f, "room {room:?}, {state:?}, {bytes:02x?}")
    }
}

/// The same error, counted from an earlier byte.
fn moved(mut error: DecodeError, by: u64) -> DecodeError {
    match &mut error {
        DecodeError::Header { at, .. }
        | DecodeError::Oversize { at, .. }
        | DecodeError::Truncated { at, .. } => *at += by,
        other => panic!("the oracle does not report {other:?}"),
    }
    error
}
