//! The body of `frame_buf` over the framings that have a mark, a check or a fixed length.

use std::fmt::Debug;

use arbitrary::{Arbitrary, Result, Unstructured};
use unstick::{DecodeError, FrameBuf, Part, RecoverError, Storage};

use super::frame_buf::FIRST;
use super::input::{self, any_case};
use crate::families::{self, Case, ResyncBuf, Subjected};
use crate::oracle::CAP;
use crate::oracle::families::{Content, Failed, Family, Front, Rest, Search};

/// As [`super::frame_buf()`], but an answer may depend on how far idle bytes were dropped.
pub(super) fn frame_buf(u: &mut Unstructured<'_>) -> Result<()> {
    any_case!(u, with_storage, u)
}

fn with_storage<W: Subjected, M: Family + Debug>(
    case: &Case<W, M>,
    u: &mut Unstructured<'_>,
) -> Result<()> {
    let (kind, more) = (u.arbitrary::<u8>()? % 6, usize::from(u.arbitrary::<u8>()?));
    let limit = input::limit(u)?;
    if kind < 3 && limit < 4096 {
        // What holds a frame within the limit, and more.
        let room =
            families::smallest_storage(case, limit).max(1) + if kind == 0 { 0 } else { more };
        let storage = vec![0xEE; room].into_boxed_slice();
        return check(case, u, limit, storage, case.resync_box);
    }
    let storage = vec![0xEE; if kind == 3 { more } else { 0 }];
    check(case, u, limit, storage, case.resync_vec)
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    Extend(u16),
    Few,
    Commit(u8),
    Next,
    Find,
    Drain,
    Shrink,
    Skip,
    Resync,
    Reset,
    SetLimit(u8),
}

fn check<W: Subjected, M: Family + Debug, S: Storage>(
    case: &Case<W, M>,
    u: &mut Unstructured<'_>,
    limit: u64,
    storage: S,
    resync: Option<ResyncBuf<S, W>>,
) -> Result<()> {
    let ops = (0..1 + u.arbitrary::<u8>()? % 32).map(|_| u.arbitrary());
    let ops = ops.collect::<Result<Vec<Op>>>()?;
    let mut stream = input::case_stream(u, case, limit)?;
    // The model looks at all of it after every operation.
    stream.truncate(300);

    let mut buf = FrameBuf::with_framing(storage, case.framing(limit)).unwrap();
    let (given, mut left, mut arrived) = (buf.capacity(), &stream[..], 0);
    let most = case.model.most().min(CAP);
    let mut model = Model { case, limit: limit.min(most), bytes: Vec::new(), at: At::Reading(0) };
    for op in ops.iter().cycle().take(ops.len().max(80)) {
        match *op {
            Op::Extend(_) | Op::Few => {
                let len = if let Op::Extend(len) = *op { len.into() } else { 3 };
                let bytes = &left[..left.len().min(len)];
                let spare = buf.spare().len();
                let taken = buf.extend(bytes);
                // A look at the room counts as a read, after some of which a large storage becomes
                // smaller.
                let is_smaller = S::GROWS && taken > 0 && taken < bytes.len();
                assert!(taken == spare.min(bytes.len()) || is_smaller, "{taken} of {spare}");
                model.bytes.extend(&bytes[..taken]);
                left = &left[taken..];
                arrived += taken;
            }
            Op::Commit(len) => {
                let spare = buf.spare();
                let n = left.len().min(len.into()).min(spare.len());
                spare[..n].copy_from_slice(&left[..n]);
                buf.commit(n);
                model.bytes.extend(&left[..n]);
                left = &left[n..];
                arrived += n;
            }
            Op::Next => drop(next(&mut buf, &mut model, false)),
            Op::Find => drop(next(&mut buf, &mut model, true)),
            Op::Drain => {
                while next(&mut buf, &mut model, arrived % 2 == 0) {}
                assert!(model.error().is_some() || !buf.spare().is_empty(), "room: {model:?}");
            }
            Op::Shrink => {
                let unread = buf.unread().len();
                buf.shrink();
                assert!(!S::GROWS || buf.capacity() >= unread, "{model:?}");
            }
            Op::Skip => {
                if let Some(want) = model.skip() {
                    assert_eq!(buf.skip_frame(), want, "{model:?}");
                }
            }
            Op::Resync => {
                if let Some(resync) = resync {
                    let want = model.resync();
                    assert_eq!(resync(&mut buf), want, "{model:?}");
                }
            }
            Op::Reset => {
                buf.reset();
                model.bytes.clear();
                model.at = At::Reading(0);
            }
            // The frame that has begun keeps its limit, so between frames only.
            Op::SetLimit(limit) if S::GROWS && model.is_between() => {
                let limit = if limit > 250 { u64::MAX } else { (limit / 4).into() };
                buf.set_limit(limit);
                model.limit = limit.min(most);
            }
            Op::SetLimit(_) => {}
        }
        compare(&buf, &model);
        if S::GROWS {
            let earned = FIRST.max(given).max(2 * arrived);
            assert!(buf.capacity() <= earned, "memory follows arrivals");
        } else {
            assert_eq!(buf.capacity(), given);
        }
    }
    while next(&mut buf, &mut model, false) {}
    compare(&buf, &model);
    while end(&mut buf, &mut model) {}
    Ok(())
}

/// The same question to both; whether there was a frame.
fn next<W: Subjected, M: Family + Debug, S: Storage>(
    buf: &mut FrameBuf<S, W>,
    model: &mut Model<'_, W, M>,
    find: bool,
) -> bool {
    let describe = model.case.describe;
    let got = if find {
        let found = buf.find();
        found.map(|found| found.map(|found| owned(describe, &buf.frame(&found).unwrap())))
    } else {
        buf.next_frame().map(|frame| frame.map(|frame| owned(describe, &frame)))
    };
    let want = model.next();
    assert_eq!(got, want, "{model:?}");
    if got.is_ok_and(|frame| frame.is_some()) {
        let At::Reading(start) = model.at else { unreachable!() };
        assert_eq!(buf.position(), start as u64, "{model:?}");
        return true;
    }
    false
}

/// The same of the stream's end.
fn end<W: Subjected, M: Family + Debug, S: Storage>(
    buf: &mut FrameBuf<S, W>,
    model: &mut Model<'_, W, M>,
) -> bool {
    let describe = model.case.describe;
    let got = buf.end().map(|frame| frame.map(|frame| owned(describe, &frame)));
    let want = model.end();
    assert_eq!(got, want, "{model:?}");
    matches!(want, Ok(Some(_)))
}

fn owned<M>(describe: fn(&M) -> Vec<u8>, frame: &unstick::Frame<'_, M>) -> Content {
    let header = frame.header_bytes().to_vec();
    Content { meta: describe(&frame.meta), header, payload: frame.payload.to_vec() }
}

fn compare<W: Subjected, M: Family + Debug, S: Storage>(
    buf: &FrameBuf<S, W>,
    model: &Model<'_, W, M>,
) {
    let (position, unread) = (buf.position() as usize, buf.unread());
    let (from, to) = model.position();
    assert!(from <= position && position <= to, "{position}, not {from} to {to}, {model:?}");
    assert!(unread == &model.bytes[position..], "{model:?}");
    assert_eq!(buf.error(), model.error(), "{model:?}");
    assert_eq!(buf.finish(), model.finish(), "{model:?}");
    let At::Reading(start) = model.at else { return };
    let (open, needed) = match model.front(start) {
        Front::Nothing => (None, 1..=u64::MAX),
        Front::Cut { at, missing, .. } => (Some(at), missing..=missing),
        Front::Frame { at, .. } => (Some(at), 0..=0),
        // It was not met yet.
        Front::Failed(_) => return assert!(!buf.needs_more(), "{model:?}"),
    };
    assert_eq!(buf.open_frame(), open.map(|at| (start + at) as u64), "{model:?}");
    assert!(needed.contains(&buf.needed()), "{} of {needed:?}, {model:?}", buf.needed());
    assert!(!buf.needs_more() || *needed.start() > 0, "{model:?}");
}

/// All bytes since the stream's start, and where in them the reader stands.
struct Model<'m, W: unstick::Wire, M> {
    case: &'m Case<W, M>,
    limit: u64,
    bytes: Vec<u8>,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// The next frame begins here, after idle bytes.
    Reading(usize),
    /// The frame that begins here is dropped.
    Skipping(usize),
    /// It has failed.
    Failed(usize),
    /// The same, and the search for the next one has begun.
    Searching(usize),
}

type Taken = std::result::Result<Option<Content>, DecodeError>;

impl<W: Subjected, M: Family> Model<'_, W, M> {
    fn front(&self, start: usize) -> Front {
        self.case.model.front_so_far(self.limit, &self.bytes[start..])
    }

    fn failed(&self, start: usize) -> Failed {
        let Front::Failed(failed) = self.front(start) else { panic!("no error at {start}") };
        failed
    }

    fn rest(&self, start: usize) -> Rest {
        self.case.model.skip_begun(self.limit, &self.bytes[start..])
    }

    fn is_between(&self) -> bool {
        matches!(self.at, At::Reading(start) if start == self.bytes.len())
    }

    /// Between which offsets the first unread byte is.
    fn position(&self) -> (usize, usize) {
        let len = self.bytes.len();
        match self.at {
            At::Reading(start) => match self.front(start) {
                Front::Nothing => (start, len),
                Front::Cut { at, .. } | Front::Frame { at, .. } => (start, start + at),
                Front::Failed(failed) => (start, start + failed.at),
            },
            At::Skipping(start) => match self.rest(start) {
                Rest::To(next) => (start, start + next),
                _ => (start, len),
            },
            At::Failed(start) => {
                let position = start + self.failed(start).position;
                (position, position)
            }
            At::Searching(start) => (start, len),
        }
    }

    fn error(&self) -> Option<DecodeError> {
        match self.at {
            At::Reading(_) | At::Skipping(_) => None,
            At::Failed(start) => Some(self.failed(start).error.shifted(start as u64)),
            At::Searching(start) => {
                let first = start + self.failed(start).at;
                let at = self.bytes.len() as u64;
                Some(DecodeError::Unsynchronized { at, skipped: at - first as u64 })
            }
        }
    }

    fn drop_skipped(&mut self) {
        if let At::Skipping(start) = self.at {
            if let Rest::To(next) = self.rest(start) {
                self.at = At::Reading(start + next);
            }
        }
    }

    fn next(&mut self) -> Taken {
        self.drop_skipped();
        let At::Reading(start) = self.at else { return self.error().map_or(Ok(None), Err) };
        match self.front(start) {
            Front::Nothing | Front::Cut { .. } => Ok(None),
            Front::Frame { end, content, .. } => {
                self.at = At::Reading(start + end);
                Ok(Some(content))
            }
            Front::Failed(failed) => {
                self.at = At::Failed(start);
                Err(failed.error.shifted(start as u64))
            }
        }
    }

    /// What the stream's end brings next.
    fn end(&mut self) -> Taken {
        let len = self.bytes.len() as u64;
        let truncated = |missing, part| Err(DecodeError::Truncated { at: len, missing, part });
        self.drop_skipped();
        let start = match self.at {
            At::Reading(start) => start,
            At::Skipping(start) => match self.rest(start) {
                Rest::Cut { missing, part } => return truncated(missing, part),
                _ => return Ok(None),
            },
            _ => return self.error().map_or(Ok(None), Err),
        };
        match self.case.model.front(self.limit, &self.bytes[start..]) {
            Front::Nothing => Ok(None),
            Front::Cut { missing, part, .. } => truncated(missing, part),
            Front::Frame { end, content, .. } => {
                self.at = At::Reading(start + end);
                Ok(Some(content))
            }
            Front::Failed(failed) => Err(failed.error.shifted(start as u64)),
        }
    }

    fn finish(&self) -> std::result::Result<(), DecodeError> {
        let Self { case, limit, .. } = *self;
        let mut model = Self { case, limit, bytes: self.bytes.clone(), at: self.at };
        while model.end()?.is_some() {}
        Ok(())
    }

    /// `None` where the answer depends on how far the buffer has looked: if the next frame has an error
    /// that was not met yet, and after another skip.
    fn skip(&mut self) -> Option<std::result::Result<(), RecoverError>> {
        let start = match self.at {
            At::Skipping(_) => return None,
            At::Failed(start) if self.failed(start).skip.is_some() => start,
            At::Failed(_) | At::Searching(_) => {
                return Some(Err(RecoverError::Failed(self.error().unwrap())));
            }
            At::Reading(start) => match self.front(start) {
                Front::Nothing | Front::Cut { part: Part::Header, .. } => {
                    return Some(Err(RecoverError::NotFailed));
                }
                Front::Failed(_) => return None,
                Front::Cut { .. } | Front::Frame { .. } => start,
            },
        };
        self.at = At::Skipping(start);
        Some(Ok(()))
    }

    fn resync(&mut self) -> std::result::Result<Option<u64>, RecoverError> {
        let (At::Failed(start) | At::Searching(start)) = self.at else {
            return Err(RecoverError::NotFailed);
        };
        let failed = self.failed(start);
        match self.case.model.search(self.limit, &self.bytes[start..], &failed) {
            Search::Found(next) => {
                self.at = At::Reading(start + next);
                Ok(Some((next - failed.at) as u64))
            }
            Search::Lost => {
                self.at = At::Searching(start);
                Ok(None)
            }
            Search::Never => unreachable!("a search where there is none"),
        }
    }
}

impl<W: Subjected, M: Debug> Debug for Model<'_, W, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { case, limit, bytes, at } = self;
        write!(f, "{}, {:?}, limit {limit}, {at:?}, {bytes:02x?}", case.name, case.wire)
    }
}
