//! Finds frames in the buffer that `Framed` fills.

use core::fmt;

use tokio_util::bytes::{Buf, BytesMut};

use crate::scan::{Found, Scan, Scanner};
use crate::{DecodeError, Format, Framing, Header, RecoverError, SelfChecking};

/// The length that a buffer shrinks to after a large frame: what `Framed` begins with.
const USUAL_LEN: usize = 8 * 1024;
/// It shrinks after this many reads in a row that needed no more than that.
const QUIET_READS: u8 = 8;

/// A frame's header, and all its bytes.
type Split<F> = (Header<<F as Format>::Meta>, BytesMut);

/// The state of a stream whose unread bytes are in the caller's buffer.
#[derive(Clone)]
pub(super) struct CodecState<F: Format> {
    scanner: Scanner<F>,
    /// The error of a stream that ended inside a frame.
    ended: Option<DecodeError>,
    skipped: u64,
    /// Whether the buffer had to grow, and the number of reads in a row that have not needed that
    /// since.
    grew: bool,
    quiet: u8,
}

impl<F: Format> CodecState<F> {
    pub(super) fn new(framing: Framing<F>) -> Self {
        Self { scanner: Scanner::new(framing), ended: None, skipped: 0, grew: false, quiet: 0 }
    }

    pub(super) fn framing(&self) -> Framing<&F> {
        self.scanner.framing()
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
            Some(DecodeError::Oversize { .. }) => self.scanner.skip_frame(),
            Some(error) => Err(RecoverError::Failed(error)),
            None => Err(RecoverError::NotFailed),
        }
    }

    pub(super) fn resync(&mut self) -> Result<(), RecoverError>
    where
        F: SelfChecking,
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
            Some(found) => Ok(Some(split(found, buf))),
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
        let end = self.scanner.finish(buf);
        self.ended = end.err();
        end.map(|()| None)
    }

    #[inline(never)]
    fn next_slowly(&mut self, buf: &mut BytesMut) -> Result<Option<Split<F>>, DecodeError> {
        if self.scanner.is_searching() && !self.is_search_over(buf) {
            return Ok(None);
        }
        loop {
            match self.scanner.find(buf)? {
                Scan::Frame(found) => return Ok(Some(split(found, buf))),
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

    /// Prepares the buffer for the read that follows.
    fn prepare_read(&mut self, buf: &mut BytesMut, needed: usize) {
        let needed = needed.max(buf.len());
        if needed > USUAL_LEN {
            self.grew |= needed > buf.capacity();
            self.quiet = 0;
            // A full buffer doubles: otherwise one that shares its memory with payloads would grow by
            // the single byte that `Framed` asks for.
            if buf.len() == buf.capacity() {
                buf.reserve(needed.saturating_sub(buf.len()).min(buf.len()));
            }
        } else if self.grew {
            self.quiet = self.quiet.saturating_add(1);
            if self.quiet >= QUIET_READS {
                let mut usual = BytesMut::with_capacity(USUAL_LEN);
                usual.extend_from_slice(buf);
                *buf = usual;
                (self.grew, self.quiet) = (false, 0);
            }
        }
    }
}

impl<F: Format + fmt::Debug> fmt::Debug for CodecState<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecState")
            .field("framing", &self.framing())
            .field("position", &self.position())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

fn split<M>(found: Found<M>, buf: &mut BytesMut) -> (Header<M>, BytesMut) {
    let len = found.frame_len().min(buf.len());
    (found.header, buf.split_to(len))
}

fn discard(buf: &mut BytesMut, len: usize) {
    buf.advance(len.min(buf.len()));
}
