//! Finds frames in the buffer that `Framed` fills.

use core::fmt;

use tokio_util::bytes::{Buf, BufMut, BytesMut};

use crate::scan::{Found, Scan, Scanner};
use crate::{DecodeError, EncodeError, Framing, Header, RecoverError, Search, TrailerBuf, Wire};

/// The length that a buffer shrinks to after a large frame: what `Framed` begins with.
const USUAL_LEN: usize = 8 * 1024;
/// It shrinks after this many reads in a row that needed no more than that.
const QUIET_READS: u8 = 8;

/// The max length that the next frame is expected to have without a reserve: a payload of 64 KiB.
const EXPECTED_LEN: usize = 9 * USUAL_LEN;
/// Frames of at most this length waste little of a buffer that holds them: they are not measured.
const SHORT_LEN: usize = USUAL_LEN / 8;

/// A frame that was found, and all its bytes as they arrived.
pub(super) type Split<F> = (Found<<F as Wire>::Meta>, BytesMut);

/// The state of a stream whose unread bytes are in the caller's buffer.
#[derive(Clone)]
pub(super) struct CodecState<F: Wire> {
    scanner: Scanner<F>,
    send_limit: u64,
    /// The error of a stream that ended inside a frame.
    ended: Option<DecodeError>,
    skipped: u64,
    /// The max number of bytes of a frame for which room is reserved once its header is complete.
    reserve: usize,
    /// The length of the last frame.
    last_len: usize,
    /// Whether the buffer had to grow, and the number of reads in a row that have not needed that
    /// since.
    grew: bool,
    quiet: u8,
}

impl<F: Wire> CodecState<F> {
    pub(super) fn new(framing: Framing<F>) -> Self {
        let send_limit = framing.send_limit();
        Self {
            scanner: Scanner::new(framing),
            send_limit,
            ended: None,
            skipped: 0,
            reserve: 0,
            last_len: 0,
            grew: false,
            quiet: 0,
        }
    }

    pub(super) fn framing(&self) -> Framing<&F> {
        let mut framing = self.scanner.framing();
        framing.set_send_limit(self.send_limit);
        framing
    }

    pub(super) fn limit(&self) -> u64 {
        self.scanner.limit()
    }

    /// Returns the meta and the payload of a frame, without its escapes.
    #[inline]
    pub(super) fn payload(
        &self,
        mut found: Found<F::Meta>,
        mut frame: BytesMut,
    ) -> (F::Meta, BytesMut) {
        self.scanner.unescape(&mut found, &mut frame);
        let Header { meta, payload_len, header_len } = found.header;
        frame.advance(header_len.min(frame.len()));
        if !F::PAYLOAD_LAST {
            frame.truncate(usize::try_from(payload_len).unwrap_or(usize::MAX));
        }
        (meta, frame)
    }

    /// Checks that frames can have this meta.
    pub(super) fn check_meta(&self, meta: &F::Meta) -> Result<(), EncodeError> {
        match self.scanner.format().frame_head(self.send_limit, meta, 0) {
            // Only the meta is checked. A payload may have a length other than zero.
            None | Some(Ok(_) | Err(EncodeError::WrongLength { .. })) => Ok(()),
            Some(Err(error)) => Err(error),
        }
    }

    /// Appends a frame to `dst`, which does not change on an error.
    pub(super) fn encode(
        &self,
        meta: &F::Meta,
        mut payload: impl Buf,
        dst: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let (wire, limit) = (self.scanner.format(), self.send_limit);
        let len = payload.remaining();
        let Some(head) = wire.frame_head(limit, meta, len as u64) else {
            let (payload, before) = (payload.copy_to_bytes(len), dst.len());
            let room = usize::try_from(wire.max_frame_len(len as u64)).unwrap_or(usize::MAX);
            dst.resize(before.saturating_add(room), 0);
            let room = dst.get_mut(before..).unwrap_or_default();
            let written = wire.write_frame(limit, meta, &payload, room);
            dst.truncate(before + written.unwrap_or(0));
            return written.map(|_| ());
        };
        let head = head?;
        let head = head.as_ref();
        dst.reserve(head.len().saturating_add(len).saturating_add(F::Trailer::LEN));
        dst.extend_from_slice(head);
        let begin = dst.len();
        dst.put(payload);
        if F::Trailer::LEN > 0 {
            let payload = dst.get(begin..).unwrap_or_default();
            let digest = wire.update_digest(wire.begin_digest(head), payload);
            dst.extend_from_slice(wire.frame_trailer(digest).as_ref());
        }
        Ok(())
    }

    pub(super) fn set_limits(&mut self, receive: u64, send: u64) {
        self.scanner.set_limit(receive);
        self.send_limit = send;
    }

    pub(super) fn reserve_announced(&mut self, frame_bytes: usize) {
        self.reserve = frame_bytes;
    }

    /// Returns the stream offset of the buffer's first byte.
    pub(super) fn position(&self) -> u64 {
        self.scanner.position()
    }

    pub(super) fn error(&self) -> Option<DecodeError> {
        self.ended.or_else(|| self.scanner.error().filter(|_| !self.scanner.is_searching()))
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn reset(&mut self) {
        self.scanner.reset();
        (self.ended, self.skipped) = (None, 0);
    }

    pub(super) fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match self.error() {
            Some(_) if self.ended.is_none() => self.scanner.skip_frame(),
            Some(error) => Err(RecoverError::Failed(error)),
            None => Err(RecoverError::NotFailed),
        }
    }

    pub(super) fn resync(&mut self) -> Result<(), RecoverError>
    where
        F: Search,
    {
        if matches!(self.error(), None | Some(DecodeError::Truncated { .. })) {
            return Err(RecoverError::NotFailed);
        }
        self.ended = None;
        self.scanner.begin_search()
    }

    /// Splits the next whole frame off. Returns `Ok(None)` if more bytes are needed.
    #[inline]
    pub(super) fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Split<F>>, DecodeError> {
        if let Some(error) = self.ended {
            return Err(error);
        }
        match self.scanner.find_whole(buf) {
            Some(found) => Ok(Some(self.split(found, buf))),
            None => self.next_slowly(buf),
        }
    }

    /// Splits the next whole frame off at the stream's end, where an incomplete frame is an error.
    pub(super) fn next_at_end(
        &mut self,
        buf: &mut BytesMut,
    ) -> Result<Option<Split<F>>, DecodeError> {
        if let Some(frame) = self.next(buf)? {
            return Ok(Some(frame));
        }
        let end = self.scanner.find_end(buf);
        self.ended = end.as_ref().err().copied();
        Ok(end?.map(|found| self.split(found, buf)))
    }

    #[inline(never)]
    fn next_slowly(&mut self, buf: &mut BytesMut) -> Result<Option<Split<F>>, DecodeError> {
        if self.scanner.is_searching() && !self.is_search_over(buf) {
            return Ok(None);
        }
        loop {
            match self.scanner.find(buf)? {
                Scan::Frame(found) => return Ok(Some(self.split(found, buf))),
                Scan::Discard(n) => discard(buf, n),
                Scan::Incomplete { needed } => {
                    self.prepare_read(buf, needed);
                    return Ok(None);
                }
            }
        }
    }

    /// Whether a header is now at the buffer's front.
    fn is_search_over(&mut self, buf: &mut BytesMut) -> bool {
        let Ok(step) = self.scanner.search(buf) else { return true };
        discard(buf, step.discard);
        self.skipped = self.skipped.saturating_add(step.skipped.unwrap_or(0));
        step.skipped.is_some()
    }

    #[inline(always)]
    fn split(&mut self, found: Found<F::Meta>, buf: &mut BytesMut) -> Split<F> {
        let len = found.frame_len().min(buf.len());
        self.last_len = len;
        (found, buf.split_to(len))
    }

    /// Prepares the buffer for the read that follows.
    fn prepare_read(&mut self, buf: &mut BytesMut, needed: usize) {
        let (len, room) = (buf.len(), buf.capacity());
        // If no room is left after a frame, the next one is expected to be as long.
        let expected = self.last_len.min(self.reserve.max(EXPECTED_LEN));
        let needed = needed.max(if room == 0 { expected } else { len });
        if needed > USUAL_LEN {
            self.grew |= needed > room;
            self.quiet = 0;
        } else if self.grew {
            self.quiet = self.quiet.saturating_add(1);
            if self.quiet >= QUIET_READS {
                move_to(buf, USUAL_LEN);
                (self.grew, self.quiet) = (false, 0);
                return;
            }
        }
        // Without this, a buffer that shares its memory with payloads would grow by the single byte
        // that `Framed` asks for.
        if needed > SHORT_LEN && (len == room || needed.min(self.reserve) > room) {
            self.grow(buf, needed);
        }
    }

    /// Makes room for the rest of a frame of `needed` bytes, or a part of it, in memory that fits
    /// whole frames: what is left of it after the last one would be lost while a payload is kept.
    fn grow(&self, buf: &mut BytesMut, needed: usize) {
        let (len, room) = (buf.len(), buf.capacity());
        // A buffer that a read has filled may become as long as the last frame was.
        let allowed = len.saturating_mul(2).max(self.last_len);
        let target = if room == 0 || needed <= self.reserve.max(allowed.saturating_add(USUAL_LEN)) {
            needed.saturating_mul(USUAL_LEN.div_ceil(needed))
        } else {
            allowed.max(self.reserve)
        };
        // `reserve` at least doubles memory that it can extend in place.
        if room == 0 || target >= room.saturating_mul(2) {
            buf.reserve(target.saturating_sub(len));
        } else {
            move_to(buf, target);
        }
    }
}

impl<F: Wire + fmt::Debug> fmt::Debug for CodecState<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecState")
            .field("format", self.scanner.format())
            .field("limit", &self.limit())
            .field("send_limit", &self.send_limit)
            .field("position", &self.position())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

/// Moves the bytes into new memory of this capacity.
fn move_to(buf: &mut BytesMut, capacity: usize) {
    let mut moved = BytesMut::with_capacity(capacity);
    moved.extend_from_slice(buf);
    *buf = moved;
}

fn discard(buf: &mut BytesMut, len: usize) {
    buf.advance(len.min(buf.len()));
}
