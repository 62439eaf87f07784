//! Feeds a stream to the crate with given cuts along one of its paths, and returns the outcomes.
//! Checks on the way everything that must hold at each step.

use std::fmt;

use unstick::{
    DecodeError, Decoder, Format, FrameBuf, Framing, Piece, RecoverError, SelfChecking, Storage,
};

use super::violation::{ensure, fail};
use super::{Outcome, Policy, Violation};

/// The size of the array path's storage in bytes.
const ARRAY: usize = 64;
/// The maximum size of the storage of the slice and box paths, in bytes.
const SLICE: usize = 4096;
/// The maximum capacity of a growing buffer before bytes have arrived.
const FIRST: usize = 8 * 1024;

type Check<T = ()> = Result<T, Violation>;
type Resynced = Result<Option<u64>, RecoverError>;

/// A way to read frames from bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// [`Decoder::decode`], piece by piece.
    Decode,
    /// [`Decoder::pieces`].
    Pieces,
    /// [`Decoder::for_each`].
    ForEach,
    /// [`FrameBuf`] over an array of 64 bytes. Frames are taken as soon as they have arrived.
    Array,
    /// [`FrameBuf`] over a borrowed slice, as small as the limit allows. It is filled before frames
    /// are taken.
    Slice,
    /// [`FrameBuf`] over a boxed slice. Frames are taken as soon as they have arrived.
    Boxed,
    /// [`FrameBuf`] over a `Vec`. Frames are taken as soon as they have arrived.
    Vec,
    /// [`FrameBuf`] over a `Vec`, filled as far as it accepts bytes before frames are taken.
    LazyVec,
    /// [`Framing::split_frame`] over all bytes so far. It keeps no state, so it supports
    /// [`Policy::STOP`] only.
    Split,
}

impl Path {
    /// All paths.
    pub const ALL: [Self; 9] = [
        Self::Decode,
        Self::Pieces,
        Self::ForEach,
        Self::Array,
        Self::Slice,
        Self::Boxed,
        Self::Vec,
        Self::LazyVec,
        Self::Split,
    ];

    /// Returns whether the path supports the policy.
    #[must_use]
    pub fn allows(self, policy: Policy) -> bool {
        self != Self::Split || policy == Policy::STOP
    }

    /// Returns whether the path has room for the format's longest header.
    pub fn suits<F: Format>(self, format: &F) -> bool {
        format.max_header_len() <= self.room()
    }

    /// Returns the limit in force on this path. It is lower than that of the framing if a storage
    /// of fixed size holds less.
    pub fn limit<F: Format>(self, framing: &Framing<F>) -> u64 {
        if matches!(self, Self::Decode | Self::Pieces | Self::ForEach | Self::Split) {
            return framing.limit(); // they keep nothing
        }
        let room = self.room().saturating_sub(framing.format().max_header_len());
        framing.limit().min(room as u64)
    }

    /// Returns the outcomes as this path reports them.
    #[must_use]
    pub fn visible<M>(self, outcomes: Vec<Outcome<M>>) -> Vec<Outcome<M>> {
        let streaming = matches!(self, Self::Decode | Self::Pieces | Self::ForEach);
        let tell = |outcome| match outcome {
            Outcome::Begun { .. } if !streaming => None,
            Outcome::Error { error: DecodeError::Truncated { .. }, .. } if self == Self::Split => {
                None
            }
            Outcome::Error { error, .. } if self == Self::Split => {
                Some(Outcome::Error { error, position: 0 })
            }
            other => Some(other),
        };
        outcomes.into_iter().filter_map(tell).collect()
    }

    fn room(self) -> usize {
        match self {
            Self::Array => ARRAY,
            Self::Slice | Self::Boxed => SLICE,
            // No storage is longer.
            _ => isize::MAX.unsigned_abs(),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode => "by `Decoder::decode`",
            Self::Pieces => "by `Decoder::pieces`",
            Self::ForEach => "by `Decoder::for_each`",
            Self::Array => "by `FrameBuf` over an array",
            Self::Slice => "by `FrameBuf` over a slice, its frames taken when it is full",
            Self::Boxed => "by `FrameBuf` over a boxed slice",
            Self::Vec => "by `FrameBuf` over a `Vec`",
            Self::LazyVec => "by `FrameBuf` over a `Vec`, its frames taken late",
            Self::Split => "by `Framing::split_frame`",
        })
    }
}

/// How to search in a self-checking format, for the decoder and for every storage.
pub(super) struct Search<F: Format> {
    decoder: for<'f> fn(&mut Decoder<&'f F>, &mut &[u8]) -> Resynced,
    array: for<'f> fn(&mut FrameBuf<[u8; ARRAY], &'f F>) -> Resynced,
    slice: for<'f, 's> fn(&mut FrameBuf<&'s mut [u8], &'f F>) -> Resynced,
    boxed: for<'f> fn(&mut FrameBuf<Box<[u8]>, &'f F>) -> Resynced,
    vec: for<'f> fn(&mut FrameBuf<Vec<u8>, &'f F>) -> Resynced,
}

impl<F: Format> Clone for Search<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format> Copy for Search<F> {}

impl<F: SelfChecking> Search<F> {
    pub(super) fn new() -> Self {
        Self {
            decoder: |decoder, input| decoder.resync(input),
            array: |buf| buf.resync(),
            slice: |buf| buf.resync(),
            boxed: |buf| buf.resync(),
            vec: |buf| buf.resync(),
        }
    }
}

/// Runs streams along the crate's paths, for tests that compare the outcomes with their own
/// reference.
///
/// ```
/// use unstick_conformance::{Driver, Outcome, Path, Policy};
/// use unstick::{Framing, U8};
///
/// let framing = Framing::new(U8);
/// let stream = b"\x02hi\0";
/// for path in Path::ALL {
///     let outcomes = Driver::new(&framing).run(stream, &[1, 2], path, Policy::STOP)?;
///     let hi = Outcome::Frame { at: 0, meta: (), header: vec![2], payload: b"hi".to_vec() };
///     let empty = Outcome::Frame { at: 3, meta: (), header: vec![0], payload: vec![] };
///     assert_eq!(outcomes, [hi, empty, Outcome::End]);
/// }
/// # Ok::<(), unstick_conformance::Violation>(())
/// ```
pub struct Driver<'f, F: Format> {
    framing: Framing<&'f F>,
    search: Option<Search<F>>,
}

impl<'f, F: SelfChecking> Driver<'f, F> {
    /// Creates a driver for a self-checking format: a [`Policy`] may request a search.
    pub fn self_checking(framing: &'f Framing<F>) -> Self {
        Self::with_search(borrowed(framing), Some(Search::new()))
    }
}

impl<'f, F: Format> Driver<'f, F> {
    /// Creates a driver for any format. A [`Policy`] that requests a search stops at the error
    /// instead.
    pub fn new(framing: &'f Framing<F>) -> Self {
        Self::with_search(borrowed(framing), None)
    }

    pub(super) fn with_search(framing: Framing<&'f F>, search: Option<Search<F>>) -> Self {
        Self { framing, search }
    }

    /// Returns the outcomes of a stream that is cut at these offsets, which must be in ascending
    /// order.
    ///
    /// # Errors
    /// Returns a violation if something did not hold on the way: there was no progress, an error
    /// did not latch, memory grew without arriving bytes, or a byte was counted wrongly.
    pub fn run(
        &self,
        stream: &[u8],
        cuts: &[usize],
        path: Path,
        policy: Policy,
    ) -> Result<Vec<Outcome<F::Meta>>, Violation> {
        let limit = path.limit(&self.framing);
        let policy = Policy { resync: policy.resync && self.search.is_some(), ..policy };
        let cut = Cut { stream, cuts, policy };
        self.dispatch(cut, path, limit)
            .map_err(|violation| violation.in_stream(stream, limit, cuts, path, policy))
    }

    fn dispatch(&self, cut: Cut<'_>, path: Path, limit: u64) -> Check<Vec<Outcome<F::Meta>>> {
        let (framing, search) = (self.framing, self.search);
        let format = *framing.format();
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        let room = room.saturating_add(format.max_header_len()).min(path.room());
        // A default limit adapts to the storage; a limit that was set must fit.
        let plain = Framing::new(format);
        let fitted = if framing.limit() > limit { plain } else { plain.with_limit(limit) };
        match path {
            Path::Decode | Path::Pieces | Path::ForEach => {
                decode(framing, search.map(|search| search.decoder), cut, path)
            }
            Path::Array => {
                let buf = built(FrameBuf::with_framing([0xEE; ARRAY], fitted))?;
                gather(buf, search.map(|search| search.array as _), limit, cut, Take::Soon)
            }
            Path::Slice => {
                let mut storage = vec![0xEE; room];
                let buf = built(FrameBuf::with_framing(&mut storage[..], fitted))?;
                gather(buf, search.map(|search| search.slice as _), limit, cut, Take::Late)
            }
            Path::Boxed => {
                let storage = vec![0xEE; room].into_boxed_slice();
                let buf = built(FrameBuf::with_framing(storage, fitted))?;
                gather(buf, search.map(|search| search.boxed as _), limit, cut, Take::Soon)
            }
            Path::Vec | Path::LazyVec => {
                let framing = plain.with_limit(limit);
                let buf = built(FrameBuf::with_framing(Vec::new(), framing))?;
                let take = if path == Path::Vec { Take::Soon } else { Take::Late };
                gather(buf, search.map(|search| search.vec as _), limit, cut, take)
            }
            Path::Split => split(&framing, cut),
        }
    }
}

impl<F: Format + fmt::Debug> fmt::Debug for Driver<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("framing", &self.framing).finish_non_exhaustive()
    }
}

/// Returns the same framing with a borrowed format.
fn borrowed<F: Format>(framing: &Framing<F>) -> Framing<&F> {
    Framing::new(framing.format()).with_limit(framing.limit())
}

fn built<B, E: fmt::Display>(result: Result<B, E>) -> Check<B> {
    result.map_err(|error| {
        let found = format!("a storage of the right size was refused: {error}");
        Violation::new(super::Promise::LimitSymmetry, &[], found)
    })
}

/// A stream with its cuts, and the policy for errors.
#[derive(Clone, Copy)]
struct Cut<'a> {
    stream: &'a [u8],
    cuts: &'a [usize],
    policy: Policy,
}

impl<'a> Cut<'a> {
    /// Returns the runs of bytes between the cuts. Two cuts at one offset give an empty run.
    fn chunks(self) -> impl Iterator<Item = &'a [u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain(std::iter::once(self.stream.len()));
        starts.zip(ends).map(move |(from, to)| self.stream.get(from..to).unwrap_or_default())
    }
}

fn unsynchronized(error: Option<DecodeError>) -> bool {
    matches!(error, Some(DecodeError::Unsynchronized { .. }))
}

/// Returns whether to check again that a search's error latches. The check takes longer than a step
/// of the search, so it is made at the first steps and then ever more rarely.
fn worth_asking(error: Option<DecodeError>) -> bool {
    match error {
        Some(DecodeError::Unsynchronized { skipped, .. }) => {
            skipped < 4 || skipped.is_power_of_two()
        }
        _ => true,
    }
}

struct Unfinished<M> {
    at: u64,
    meta: M,
    header: Vec<u8>,
    payload: Vec<u8>,
    payload_len: u64,
}

/// Joins pieces to frames.
struct Record<'a, M> {
    stream: &'a [u8],
    open: Option<Unfinished<M>>,
    out: Vec<Outcome<M>>,
}

impl<M> Record<'_, M> {
    /// Adds a piece. Returns the stream offset after it.
    fn piece(&mut self, piece: Piece<'_, M>) -> Check<u64> {
        // A piece is borrowed from the stream, so its address gives its offset.
        let from = piece.bytes.as_ptr().addr().checked_sub(self.stream.as_ptr().addr());
        let place = from.map(|from| (from, from.saturating_add(piece.bytes.len())));
        let Some((from, behind)) = place.filter(|(_, behind)| *behind <= self.stream.len()) else {
            fail!(Progress, &[], "a piece that is no part of the input");
        };
        if let Some(header) = piece.header {
            ensure!(
                self.open.is_none(),
                ChunkingIsInvisible,
                &[],
                "a frame began inside another one"
            );
            let at = from.saturating_sub(header.header_len);
            self.open = Some(Unfinished {
                at: at as u64,
                meta: header.meta,
                header: self.stream.get(at..from).unwrap_or_default().to_vec(),
                payload: Vec::new(),
                payload_len: header.payload_len,
            });
        } else {
            ensure!(!piece.bytes.is_empty(), Progress, &[], "a piece that brings nothing");
        }
        let Some(mut frame) = self.open.take() else {
            fail!(ChunkingIsInvisible, &[], "a frame's first piece without a header");
        };
        frame.payload.extend_from_slice(piece.bytes);
        let whole = frame.payload.len() as u64 == frame.payload_len;
        ensure!(
            piece.last == whole,
            ChunkingIsInvisible,
            &[],
            "`last` is {} after {} of {} payload bytes",
            piece.last,
            frame.payload.len(),
            frame.payload_len
        );
        if whole {
            let Unfinished { at, meta, header, payload, .. } = frame;
            self.out.push(Outcome::Frame { at, meta, header, payload });
        } else {
            self.open = Some(frame);
        }
        Ok(behind as u64)
    }

    fn end(mut self, result: Result<(), DecodeError>, position: u64) -> Vec<Outcome<M>> {
        if let Some(Unfinished { at, meta, header, payload, .. }) = self.open {
            self.out.push(Outcome::Begun { at, meta, header, payload });
        }
        self.out.push(match result {
            Ok(()) => Outcome::End,
            Err(error) => Outcome::Error { error, position },
        });
        self.out
    }
}

type Resync<D> = fn(&mut D, &mut &[u8]) -> Resynced;

fn decode<'f, F: Format>(
    framing: Framing<&'f F>,
    resync: Option<Resync<Decoder<&'f F>>>,
    cut: Cut<'_>,
    path: Path,
) -> Check<Vec<Outcome<F::Meta>>> {
    let policy = cut.policy;
    let mut decoder = Decoder::with_framing(framing);
    let mut record = Record { stream: cut.stream, open: None, out: Vec::new() };
    let mut fed = 0;
    let mut searching = false;
    let mut stopped = None;
    for chunk in cut.chunks() {
        fed += chunk.len() as u64;
        let mut input = chunk;
        loop {
            if let Some(error) = stopped {
                let again = decoder.decode(&mut input);
                ensure!(
                    matches!(&again, Err(found) if *found == error),
                    ErrorsLatch,
                    &[],
                    "after {error:?} came {again:?}"
                );
                break;
            }
            if let Some(resync) = resync.filter(|_| searching) {
                let found = resync(&mut decoder, &mut input);
                let Ok(found) = found else {
                    fail!(ResyncIsExact, &[], "a search was refused: {found:?}");
                };
                let Some(skipped) = found else {
                    let (left, error) = (input.len(), decoder.error());
                    ensure!(left == 0, ResyncIsExact, &[], "a search left {left} bytes behind");
                    ensure!(
                        unsynchronized(error),
                        ErrorsLatch,
                        &[],
                        "while a search goes on the error is {error:?}"
                    );
                    if worth_asking(error) {
                        latched(&decoder, b"more")?;
                    }
                    break;
                };
                searching = false;
                ensure!(
                    decoder.position() <= fed && decoder.error().is_none(),
                    ResyncIsExact,
                    &[],
                    "after a search: {:?}, at {} of {fed}",
                    decoder.error(),
                    decoder.position()
                );
                record.out.push(Outcome::Found { skipped });
            }
            let result = feed(&mut decoder, &mut input, path, &mut record)?;
            let position = decoder.position();
            let counted = position + input.len() as u64;
            ensure!(counted == fed, Progress, &[], "{counted} bytes counted of {fed}");
            let Err(error) = result else {
                let left = input.len();
                ensure!(left == 0, Progress, &[], "{left} bytes of a chunk were left");
                break;
            };
            record.out.push(Outcome::Error { error, position });
            latched(&decoder, input)?;
            let now = decoder.error();
            ensure!(now == Some(error), ErrorsLatch, &[], "{error:?} turned into {now:?}");
            if policy.skip && matches!(error, DecodeError::Oversize { .. }) {
                let skipped = decoder.skip_frame();
                ensure!(
                    skipped.is_ok() && (decoder.position(), decoder.error()) == (position, None),
                    ErrorsLatch,
                    &[],
                    "skipping an oversize frame: {skipped:?}, then {:?}",
                    decoder.error()
                );
            } else if policy.resync {
                searching = true;
            } else {
                stopped = Some(error);
            }
        }
    }
    if let Some(error) = stopped {
        let end = decoder.finish();
        ensure!(end == Err(error), ErrorsLatch, &[], "after {error:?} the end is {end:?}");
        return Ok(record.out);
    }
    Ok(record.end(decoder.finish(), decoder.position()))
}

/// Feeds one chunk, or the rest of it, until it is consumed or the stream has failed.
fn feed<'a, F: Format>(
    decoder: &mut Decoder<F>,
    input: &mut &'a [u8],
    path: Path,
    record: &mut Record<'a, F::Meta>,
) -> Check<Result<(), DecodeError>> {
    let before = decoder.position();
    match path {
        Path::Pieces => {
            let mut pieces = decoder.pieces(input);
            let mut result = Ok(());
            while let Some(item) = pieces.next() {
                let consumed = (input.len() - pieces.rest().len()) as u64;
                match item {
                    Ok(piece) => {
                        let behind = record.piece(piece)?;
                        ensure!(
                            behind == before + consumed,
                            Progress,
                            &[],
                            "a piece that ends at {behind} was counted to {}",
                            before + consumed
                        );
                    }
                    Err(error) => result = Err(error),
                }
            }
            ensure!(pieces.next().is_none(), Progress, &[], "the iterator is not fused");
            *input = pieces.rest();
            Ok(result)
        }
        Path::ForEach => {
            let mut behind = before;
            let mut fault = None;
            let result = decoder.for_each(input, |piece| match record.piece(piece) {
                Ok(now) if now > behind => behind = now,
                Ok(now) => {
                    let found = format!("a piece from {behind} to {now}");
                    fault.get_or_insert(Violation::new(super::Promise::Progress, &[], found));
                }
                Err(violation) => {
                    fault.get_or_insert(violation);
                }
            });
            if let Some(violation) = fault {
                return Err(violation);
            }
            let consumed = usize::try_from(decoder.position() - before).unwrap_or(usize::MAX);
            *input = input.get(consumed..).unwrap_or_default();
            Ok(result)
        }
        _ => loop {
            let (before, len) = (decoder.position(), input.len());
            let result = decoder.decode(input);
            let (position, used) = (decoder.position(), (len - input.len()) as u64);
            ensure!(
                position == before + used,
                Progress,
                &[],
                "{used} bytes were used at {before} and the position is {position}"
            );
            let piece = match result {
                Ok(Some(piece)) => piece,
                Ok(None) => {
                    let left = input.len();
                    ensure!(left == 0, Progress, &[], "no piece, with {left} bytes of input");
                    return Ok(Ok(()));
                }
                Err(error) => return Ok(Err(error)),
            };
            ensure!(used >= 1, Progress, &[], "a piece that consumed no byte");
            let behind = record.piece(piece)?;
            ensure!(behind == position, Progress, &[], "a piece to {behind} moved to {position}");
        },
    }
}

/// Checks that a decoder that has failed, or is searching, returns the same error from every call
/// and consumes nothing.
fn latched<F: Format>(decoder: &Decoder<&F>, rest: &[u8]) -> Check {
    let Some(error) = decoder.error() else {
        fail!(ErrorsLatch, &[], "a failed decoder has no error");
    };
    let position = decoder.position();
    let mut again = decoder.clone();
    for input in [rest, b"", b"\xf5\x01\x01\0\0\0\0\xac", rest] {
        // Another limit does not change the error.
        again.set_limit(input.len() as u64);
        let mut left = input;
        let found = again.decode(&mut left);
        ensure!(found == Err(error), ErrorsLatch, &[], "after {error:?} came {found:?}");
        ensure!(left.len() == input.len(), ErrorsLatch, &[], "bytes after an error were taken");
        let mut given = 0;
        let found = again.for_each(input, |_| given += 1);
        ensure!(
            found == Err(error) && given == 0,
            ErrorsLatch,
            &[],
            "after {error:?} came {given} pieces and {found:?}"
        );
        let mut pieces = again.pieces(input);
        let found = pieces.next();
        ensure!(found == Some(Err(error)), ErrorsLatch, &[], "after {error:?} came {found:?}");
        let found = (pieces.next(), pieces.rest().len());
        ensure!(found == (None, input.len()), ErrorsLatch, &[], "after an error came {found:?}");
        let found = again.finish();
        ensure!(found == Err(error), ErrorsLatch, &[], "after {error:?} the end is {found:?}");
        let found = (again.needed(), again.is_at_boundary());
        ensure!(found == (0, false), ErrorsLatch, &[], "after {error:?} it needs {found:?}");
        let found = (again.error(), again.position());
        ensure!(
            found == (Some(error), position),
            ErrorsLatch,
            &[],
            "{error:?} at {position} turned into {found:?}"
        );
    }
    let found = again.skip_frame();
    let want = match error {
        DecodeError::Oversize { .. } => Ok(()),
        _ => Err(RecoverError::Failed(error)),
    };
    ensure!(found == want, ErrorsLatch, &[], "to skip after {error:?} is answered with {found:?}");
    if want.is_err() {
        let found = again.error();
        ensure!(found == Some(error), ErrorsLatch, &[], "{error:?} turned into {found:?}");
    }
    again.reset();
    let found = (again.position(), again.error(), again.finish());
    ensure!(found == (0, None, Ok(())), ErrorsLatch, &[], "after a reset: {found:?}");
    Ok(())
}

/// When the frames of a read buffer are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Soon,
    /// When there is no more room, or at the end of the stream.
    Late,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Searching,
    Stopped,
}

type BufResync<S, F> = fn(&mut FrameBuf<S, F>) -> Resynced;

fn gather<F: Format, S: Storage>(
    mut buf: FrameBuf<S, F>,
    resync: Option<BufResync<S, F>>,
    limit: u64,
    cut: Cut<'_>,
    take: Take,
) -> Check<Vec<Outcome<F::Meta>>> {
    let effective = buf.framing().limit();
    ensure!(effective == limit, LimitSymmetry, &[], "the buffer's limit is {effective}");
    let fixed = if buf.capacity() == 0 { None } else { Some(buf.capacity()) };
    let mut out = Vec::new();
    let mut state = State::Reading;
    let mut arrived = 0;
    for chunk in cut.chunks() {
        let mut rest = chunk;
        loop {
            if take == Take::Soon {
                state = take_frames(&mut buf, resync, cut.policy, state, &mut out)?;
            }
            if rest.is_empty() {
                break;
            }
            let room = buf.spare().len();
            if room == 0 {
                state = take_frames(&mut buf, resync, cut.policy, state, &mut out)?;
                if buf.spare().is_empty() {
                    ensure!(
                        state == State::Stopped,
                        Progress,
                        &[],
                        "no room, though all frames are taken"
                    );
                    break;
                }
                continue;
            }
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            let n = if arrived % 2 == 0 {
                buf.extend(rest)
            } else {
                if let Some(spare) = buf.spare().get_mut(..now.len()) {
                    spare.copy_from_slice(now);
                }
                buf.commit(now.len());
                now.len()
            };
            ensure!(
                n == now.len(),
                Progress,
                &[],
                "{n} bytes were taken into {room} bytes of room"
            );
            arrived += n;
            rest = later;
            still_there(&buf, cut.stream, arrived)?;
            let capacity = buf.capacity();
            let most = fixed.unwrap_or(FIRST.max(3 * arrived));
            ensure!(
                capacity <= most && fixed.is_none_or(|fixed| fixed == capacity),
                MemoryFollowsArrivals,
                &[],
                "{capacity} bytes are reserved when {arrived} have arrived"
            );
        }
    }
    let (early, before, taken) = (buf.finish(), state, out.len());
    state = take_frames(&mut buf, resync, cut.policy, state, &mut out)?;
    let result = buf.finish();
    if before == State::Reading {
        let new_error = out.iter().skip(taken).find_map(|outcome| match outcome {
            Outcome::Error { error, .. } => Some(*error),
            _ => None,
        });
        ensure!(
            early == new_error.map_or(result, Err),
            EveryEndIsClassified,
            &[],
            "the end is {early:?} before the last frames are taken, and then {result:?}"
        );
    }
    if state != State::Stopped {
        out.push(match result {
            Ok(()) => Outcome::End,
            // The end counts all bytes, including those that the buffer still holds.
            Err(error) => Outcome::Error { error, position: arrived as u64 },
        });
    }
    Ok(out)
}

/// Checks that the buffer holds the end of what has arrived, and counts all of it.
fn still_there<F: Format, S: Storage>(
    buf: &FrameBuf<S, F>,
    stream: &[u8],
    arrived: usize,
) -> Check {
    let unread = buf.unread();
    let want = arrived.checked_sub(unread.len()).and_then(|from| stream.get(from..arrived));
    ensure!(want == Some(unread), ChunkingIsInvisible, &[], "the unread bytes changed");
    let counted = buf.position() + unread.len() as u64;
    ensure!(counted == arrived as u64, Progress, &[], "{counted} bytes counted of {arrived}");
    Ok(())
}

/// Takes frames until the buffer needs more bytes or the stream is given up.
fn take_frames<F: Format, S: Storage>(
    buf: &mut FrameBuf<S, F>,
    resync: Option<BufResync<S, F>>,
    policy: Policy,
    mut state: State,
    out: &mut Vec<Outcome<F::Meta>>,
) -> Check<State> {
    loop {
        if let Some(resync) = resync.filter(|_| state == State::Searching) {
            match resync(buf) {
                Ok(Some(skipped)) => out.push(Outcome::Found { skipped }),
                Ok(None) => {
                    let error = buf.error();
                    ensure!(
                        unsynchronized(error),
                        ErrorsLatch,
                        &[],
                        "while a search goes on the error is {error:?}"
                    );
                    if worth_asking(error) {
                        buf_latched(buf)?;
                    }
                    return Ok(state);
                }
                refused => {
                    fail!(ResyncIsExact, &[], "a search was refused: {refused:?}");
                }
            }
            state = State::Reading;
        }
        let error = match buf.next_frame() {
            Ok(None) => {
                let error = buf.error();
                ensure!(error.is_none(), ErrorsLatch, &[], "no error was returned, but {error:?}");
                return Ok(state);
            }
            Ok(Some(frame)) => {
                let whole = [frame.header_bytes(), frame.payload].concat();
                ensure!(whole == frame.bytes(), ChunkingIsInvisible, &[], "a frame in two parts");
                let (header, payload) = (frame.header_bytes().to_vec(), frame.payload.to_vec());
                let meta = frame.meta;
                let at = buf.position().saturating_sub(whole.len() as u64);
                out.push(Outcome::Frame { at, meta, header, payload });
                continue;
            }
            Err(error) => error,
        };
        let now = buf.error();
        ensure!(now == Some(error), ErrorsLatch, &[], "{error:?} turned into {now:?}");
        if state == State::Stopped {
            return Ok(state);
        }
        buf_latched(buf)?;
        let position = buf.position();
        out.push(Outcome::Error { error, position });
        if policy.skip && matches!(error, DecodeError::Oversize { .. }) {
            let skipped = buf.skip_frame();
            ensure!(
                skipped.is_ok() && (buf.position(), buf.error()) == (position, None),
                ErrorsLatch,
                &[],
                "skipping an oversize frame: {skipped:?}, then {:?}",
                buf.error()
            );
        } else if policy.resync {
            state = State::Searching;
        } else {
            return Ok(State::Stopped);
        }
    }
}

fn buf_latched<F: Format, S: Storage>(buf: &mut FrameBuf<S, F>) -> Check {
    let Some(error) = buf.error() else {
        fail!(ErrorsLatch, &[], "a failed buffer has no error");
    };
    let (position, unread) = (buf.position(), buf.unread().to_vec());
    let limit = buf.framing().limit();
    for other in [0, limit] {
        // Another limit does not change the error.
        buf.set_limit(other);
        let found = (buf.find_header().err(), buf.find_payload().err(), buf.needed());
        let want = (Some(error), Some(error), 0);
        ensure!(found == want, ErrorsLatch, &[], "after {error:?} came {found:?}");
        let found = buf.next_frame().map(|frame| frame.is_some());
        ensure!(found == Err(error), ErrorsLatch, &[], "after {error:?} came {found:?}");
        let found = buf.finish();
        ensure!(found == Err(error), ErrorsLatch, &[], "after {error:?} the end is {found:?}");
        let found = buf.error();
        ensure!(found == Some(error), ErrorsLatch, &[], "{error:?} turned into {found:?}");
        if !matches!(error, DecodeError::Oversize { .. }) {
            let found = buf.skip_frame();
            ensure!(found.is_err(), ErrorsLatch, &[], "{error:?} could be skipped");
        }
        ensure!(
            buf.position() == position && buf.unread() == unread,
            ErrorsLatch,
            &[],
            "after {error:?} bytes were taken"
        );
    }
    Ok(())
}

fn split<F: Format>(framing: &Framing<F>, cut: Cut<'_>) -> Check<Vec<Outcome<F::Meta>>> {
    let mut out = Vec::new();
    let (mut start, mut end) = (0, 0);
    for chunk in cut.chunks() {
        end += chunk.len();
        let mut rest = cut.stream.get(start..end).unwrap_or_default();
        loop {
            let before = rest;
            match framing.split_frame(&mut rest) {
                Ok(Some(frame)) => {
                    let whole = [frame.bytes(), rest].concat();
                    ensure!(whole == before, Progress, &[], "a frame is not what was taken");
                    let (header, payload) = (frame.header_bytes().to_vec(), frame.payload.to_vec());
                    let meta = frame.meta;
                    out.push(Outcome::Frame { at: start as u64, meta, header, payload });
                    start = end - rest.len();
                }
                Ok(None) => {
                    ensure!(rest == before, Progress, &[], "no frame, but bytes were taken");
                    break;
                }
                Err(error) => {
                    ensure!(rest == before, ErrorsLatch, &[], "an error, but bytes were taken");
                    let error = shifted(error, start as u64);
                    ensure!(
                        matches!(error, DecodeError::Header { .. } | DecodeError::Oversize { .. }),
                        EveryEndIsClassified,
                        &[],
                        "of a slice nobody can say {error:?}"
                    );
                    out.push(Outcome::Error { error, position: 0 });
                    return Ok(out);
                }
            }
        }
    }
    if start == end {
        out.push(Outcome::End);
    }
    Ok(out)
}

/// The same error for bytes that began `by` bytes further on.
fn shifted(mut error: DecodeError, by: u64) -> DecodeError {
    match &mut error {
        DecodeError::Header { at, .. }
        | DecodeError::Oversize { at, .. }
        | DecodeError::Truncated { at, .. }
        | DecodeError::Unsynchronized { at, .. }
        | DecodeError::NoRoom { at, .. } => *at += by,
        // None that a reader of this version reports.
        _ => {}
    }
    error
}
