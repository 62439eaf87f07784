//! Frames out of a buffer that somebody else fills.

use core::fmt;

use tokio_util::bytes::{Buf, BytesMut};

use crate::decoder::Decoder;
use crate::error::{DecodeError, RecoverError};
use crate::format::{Format, Header, Parsed, SelfChecking};
use crate::framing::Framing;

/// What a buffer goes back to after a large frame: what `Framed` begins with.
const USUAL_LEN: usize = 8 * 1024;
/// After so many reads in a row that needed no more than that.
const QUIET_READS: u8 = 8;

/// A frame's header, and all its bytes.
type Split<F> = (Header<<F as Format>::Meta>, BytesMut);

/// One step of a search; a function, so that only who starts one needs a format that allows it.
type Search<F> = fn(&mut Decoder<F>, &[u8]) -> Result<(usize, Option<u64>), RecoverError>;

/// Where a stream stands whose unread bytes lie in the caller's buffer, from a frame's first byte
/// on.
#[derive(Clone)]
pub(super) struct Incoming<F: Format> {
    decoder: Decoder<F>,
    /// So many bytes at the buffer's front are the refused header's beginning.
    refused: usize,
    /// So many are known not to end the header.
    seen: usize,
    /// As long as the buffer holds fewer, no look at it is of use.
    need: usize,
    /// What the end of the stream was found to be, if it was no end.
    ended: Option<DecodeError>,
    search: Option<Search<F>>,
    skipped: u64,
    /// Whether the buffer had to grow, and how many reads in a row have not needed that since.
    grew: bool,
    quiet: u8,
}

impl<F: Format> Incoming<F> {
    pub(super) fn new(framing: Framing<F>) -> Self {
        Self {
            // No buffer is longer than `isize::MAX` bytes.
            decoder: Decoder::with_framing(framing.within(isize::MAX.unsigned_abs())),
            refused: 0,
            seen: 0,
            need: 1,
            ended: None,
            search: None,
            skipped: 0,
            grew: false,
            quiet: 0,
        }
    }

    pub(super) fn framing(&self) -> Framing<&F> {
        Framing::new(self.decoder.format()).with_limit(self.decoder.limit())
    }

    /// The stream offset of the buffer's first byte.
    pub(super) fn position(&self) -> u64 {
        self.decoder.position().saturating_sub(self.refused as u64)
    }

    pub(super) fn error(&self) -> Option<DecodeError> {
        self.ended.or_else(|| self.decoder.error().filter(|_| self.search.is_none()))
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn reset(&mut self) {
        self.decoder.reset();
        (self.refused, self.ended, self.search, self.skipped) = (0, None, None, 0);
        self.forget_looks();
    }

    pub(super) fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match self.error() {
            // The refused bytes are dropped with the next look at the buffer.
            Some(DecodeError::Oversize { .. }) => self.decoder.skip_frame()?,
            Some(error) => return Err(RecoverError::Failed(error)),
            None => return Err(RecoverError::NotFailed),
        }
        self.forget_looks();
        Ok(())
    }

    pub(super) fn resync(&mut self) -> Result<(), RecoverError>
    where
        F: SelfChecking,
    {
        if matches!(self.error(), None | Some(DecodeError::Truncated { .. })) {
            return Err(RecoverError::NotFailed);
        }
        self.ended = None;
        self.search = Some(Decoder::<F>::search);
        self.forget_looks();
        Ok(())
    }

    /// Splits the next whole frame off. `Ok(None)` says that more bytes are needed.
    #[inline]
    pub(super) fn next(&mut self, buf: &mut BytesMut) -> Result<Option<Split<F>>, DecodeError> {
        if let Some(error) = self.ended {
            return Err(error);
        }
        if buf.len() < self.need {
            self.wait(buf);
            return Ok(None);
        }
        if self.seen == 0
            && let Some((header, frame_len)) = self.decoder.peek_whole(buf)
        {
            return Ok(Some(self.take(header, frame_len, buf)));
        }
        self.next_slowly(buf)
    }

    /// The same at the stream's end, where a frame that is not all there is an error.
    pub(super) fn next_at_end(
        &mut self,
        buf: &mut BytesMut,
    ) -> Result<Option<Split<F>>, DecodeError> {
        if let Some(frame) = self.next(buf)? {
            return Ok(Some(frame));
        }
        let end = self.end(buf);
        self.ended = end.err();
        end.map(|()| None)
    }

    /// What it means that the stream ends behind these bytes, none of which is a whole frame.
    fn end(&self, unread: &[u8]) -> Result<(), DecodeError> {
        // A search counts the bytes that may be a header's beginning and were not.
        if let Some(DecodeError::Unsynchronized { at, skipped }) = self.decoder.error() {
            let unread = unread.len() as u64;
            let (at, skipped) = (at.saturating_add(unread), skipped.saturating_add(unread));
            return Err(DecodeError::Unsynchronized { at, skipped });
        }
        let mut scratch = self.decoder.scratch();
        scratch.for_each(unread, |_| {})?;
        scratch.finish()
    }

    #[inline]
    fn take(&mut self, header: Header<F::Meta>, frame_len: usize, buf: &mut BytesMut) -> Split<F> {
        self.decoder.consume(frame_len);
        self.forget_looks();
        (header, buf.split_to(frame_len.min(buf.len())))
    }

    #[inline(never)]
    fn next_slowly(&mut self, buf: &mut BytesMut) -> Result<Option<Split<F>>, DecodeError> {
        if let Some(search) = self.search
            && !self.searched(search, buf)
        {
            return Ok(None);
        }
        if self.decoder.error().is_none() {
            drop_front(buf, core::mem::take(&mut self.refused)); // skipped with their frame
        }
        loop {
            if buf.len() < self.need {
                self.wait(buf);
                return Ok(None);
            }
            match self.decoder.peek(buf, self.seen.min(buf.len())) {
                Ok(Some(Parsed::Header(header))) => {
                    let frame_len = usize::try_from(header.frame_len()).unwrap_or(usize::MAX);
                    if frame_len <= buf.len() {
                        return Ok(Some(self.take(header, frame_len, buf)));
                    }
                    self.need = frame_len;
                }
                Ok(Some(Parsed::Need(_))) => {
                    self.seen = buf.len();
                    self.need = buf.len().saturating_add(1);
                }
                Ok(None) => {
                    let dropped = self.decoder.drop_skipped(buf);
                    drop_front(buf, dropped);
                }
                Err((error, refused)) => {
                    self.refused = self.refused.saturating_add(refused);
                    self.need = 0;
                    return Err(error);
                }
            }
        }
    }

    /// Whether the search is over: a header stands at the buffer's front.
    fn searched(&mut self, search: Search<F>, buf: &mut BytesMut) -> bool {
        let Ok((dropped, found)) = search(&mut self.decoder, buf) else {
            self.search = None; // no search was to be had
            return true;
        };
        self.refused = 0;
        drop_front(buf, dropped);
        let Some(skipped) = found else {
            self.need = buf.len().saturating_add(1);
            return false;
        };
        self.skipped = self.skipped.saturating_add(skipped);
        self.search = None;
        self.forget_looks();
        true
    }

    /// Prepares the buffer for the read that follows.
    fn wait(&mut self, buf: &mut BytesMut) {
        let needed = self.need.max(buf.len());
        if needed > USUAL_LEN {
            self.grew |= needed > buf.capacity();
            self.quiet = 0;
            // A full buffer doubles: one that shares its memory with payloads would else grow by
            // the byte that `Framed` asks for.
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

    fn forget_looks(&mut self) {
        (self.seen, self.need) = (0, 1);
    }
}

impl<F: Format + fmt::Debug> fmt::Debug for Incoming<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("framing", &self.framing())
            .field("position", &self.position())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

fn drop_front(buf: &mut BytesMut, len: usize) {
    buf.advance(len.min(buf.len()));
}
