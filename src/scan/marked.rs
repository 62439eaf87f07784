//! The state of a scanner where a mark ends a frame (spec, A.7).

use crate::decoder::MarkedState;
use crate::error::{DecodeError, RecoverError};
use crate::format::Header;
use crate::wire::{Decoding, EndsWithMark, Found, Scan, Scanning, Searched, Wire};

/// It has a decoder, which has consumed the bytes before its position: they are kept and known, and
/// not looked at again.
#[doc(hidden)]
pub struct MarkedScan<W: EndsWithMark> {
    decoder: MarkedState<W>,
    /// The stream offset of the first kept byte.
    position: u64,
    /// The error that the stream has failed with.
    error: Option<DecodeError>,
    /// Whether bytes before a frame were dropped, and the frame may be whole.
    begins_here: bool,
}

impl<W: EndsWithMark> Clone for MarkedScan<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W: EndsWithMark> Copy for MarkedScan<W> {}

impl<W: EndsWithMark + Wire<Meta = (), Len = (), Scanning = Self>> Scanning<W> for MarkedScan<W> {
    fn new(wire: &W, limit: u64) -> Self {
        Self {
            decoder: MarkedState::new(wire, limit),
            position: 0,
            error: None,
            begins_here: false,
        }
    }

    fn limit(&self) -> u64 {
        self.decoder.limit()
    }

    fn set_limit(&mut self, limit: u64) {
        self.decoder.set_limit(limit);
    }

    fn max_payload_len(&self) -> u64 {
        self.decoder.max_payload_len()
    }

    #[inline]
    fn position(&self) -> u64 {
        self.position
    }

    fn refused(&self) -> usize {
        if self.error.is_some() { self.seen() } else { 0 }
    }

    fn error(&self) -> Option<DecodeError> {
        if self.decoder.is_searching() {
            let (at, start) = (self.position, self.decoder.frame_start());
            return Some(DecodeError::Unsynchronized { at, skipped: at.saturating_sub(start) });
        }
        self.error
    }

    fn is_searching(&self) -> bool {
        self.decoder.is_searching()
    }

    #[inline(always)]
    fn needs_more(&self, kept: usize) -> bool {
        kept <= self.seen() && (self.decoder.begins_frame() || self.decoder.in_frame())
    }

    #[inline(always)]
    fn find_whole(&mut self, wire: &W, kept: &[u8]) -> Option<Found<()>> {
        self.take_whole(wire, kept)
    }

    fn find_after_fast_path(&mut self, wire: &W, kept: &[u8]) -> Result<Scan<()>, DecodeError> {
        self.find_slowly(wire, kept)
    }

    #[inline(always)]
    fn begin_if_empty(&mut self, kept: &[u8]) -> bool {
        kept.is_empty() && self.decoder.begins_frame()
    }

    fn open_frame(&self, wire: &W, kept: &[u8]) -> Option<u64> {
        match self.decoder.begins_frame() {
            true => {
                let mut decoder = self.decoder;
                let rest = kept.get(self.seen()..).unwrap_or_default();
                let idle = decoder.skip_idle(wire, rest);
                (rest.len() > idle).then_some(decoder.position())
            }
            false if self.error().is_some() => None,
            false => Some(self.decoder.frame_start()),
        }
    }

    fn finish(&self, wire: &W, kept: &[u8]) -> Result<(), DecodeError> {
        if self.decoder.is_searching() {
            let at = self.position.saturating_add(kept.len() as u64);
            let skipped = at.saturating_sub(self.decoder.frame_start());
            return Err(DecodeError::Unsynchronized { at, skipped });
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut decoder = self.decoder;
        decoder.for_each(wire, kept.get(self.seen()..).unwrap_or_default(), |_| {})?;
        decoder.finish(wire)
    }

    fn find_end(&mut self, wire: &W, kept: &[u8]) -> Result<Option<Found<()>>, DecodeError> {
        if self.error.is_some() || !self.decoder.in_frame() || self.seen() < kept.len() {
            return self.finish(wire, kept).map(|()| None);
        }
        loop {
            match self.decoder.end_of_frame(wire) {
                Ok(Some(piece)) if piece.last => {
                    return Ok(Some(self.consume(self.decoder.payload_len(), 0, kept.len())));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                // The end of the stream changes nothing.
                Err(error @ DecodeError::Truncated { .. }) => return Err(error),
                Err(error) => {
                    self.error = Some(error);
                    return Err(error);
                }
            }
        }
    }

    fn needed(&self, wire: &W, kept: &[u8]) -> u64 {
        // Bytes that were not looked at yet may end the frame.
        let mut decoder = self.decoder;
        let mut rest = kept.get(self.seen()..).unwrap_or_default();
        loop {
            match decoder.decode(wire, &mut rest) {
                Ok(Some(piece)) if piece.last => return 0,
                Ok(Some(_)) => {}
                Ok(None) => return decoder.needed(wire),
                Err(_) => return 0,
            }
        }
    }

    fn reset(&mut self) {
        self.decoder.reset();
        (self.position, self.error) = (0, None);
    }

    fn skip_frame(&mut self) -> Result<(), RecoverError> {
        match self.error() {
            None => Err(RecoverError::NotFailed),
            Some(error @ DecodeError::Unsynchronized { .. }) => Err(RecoverError::Failed(error)),
            Some(_) => {
                self.decoder.skip();
                self.error = None;
                Ok(())
            }
        }
    }

    fn reject(&mut self, wire: &W, kept: &[u8]) -> Result<(), RecoverError> {
        if self.error().is_some() {
            return self.begin_search();
        }
        if !self.decoder.is_skipping() {
            self.skip_next(wire, kept)?;
        }
        self.decoder.search_skipped();
        Ok(())
    }

    fn search(&mut self, wire: &W, kept: &[u8]) -> Result<Searched, RecoverError> {
        if !self.decoder.is_searching() {
            return Err(RecoverError::NotFailed);
        }
        let mut rest = kept.get(self.seen()..).unwrap_or_default();
        let found = self.decoder.search(wire, &mut rest);
        let discard = self.seen();
        self.position = self.decoder.position();
        Ok(Searched { discard, skipped: found })
    }

    fn skip_begun(&mut self, wire: &W, kept: &[u8]) -> Result<usize, RecoverError> {
        // The end of a frame that was skipped before may have arrived.
        self.drop_rest(wire, kept);
        self.skip_next(wire, kept)?;
        self.drop_rest(wire, kept);
        let dropped = self.seen();
        self.position = self.decoder.position();
        Ok(dropped)
    }
}

impl<W: EndsWithMark + Wire<Meta = (), Len = ()>> MarkedScan<W> {
    /// How many of the kept bytes the decoder has consumed.
    #[inline(always)]
    fn seen(&self) -> usize {
        usize::try_from(self.decoder.position() - self.position).unwrap_or(usize::MAX)
    }

    #[inline(always)]
    fn consume(&mut self, payload_len: u64, start: usize, len: usize) -> Found<()> {
        let at = self.position;
        self.position = at.wrapping_add(len as u64);
        Found { header: Header { meta: (), payload_len, header_len: start }, at, len }
    }

    /// Takes the frame that the kept bytes begin with, if it is whole and valid, and none of them was
    /// consumed by the decoder.
    #[inline(always)]
    fn take_whole(&mut self, wire: &W, kept: &[u8]) -> Option<Found<()>> {
        if !self.decoder.begins_frame() || self.seen() > 0 {
            return None;
        }
        let shape = self.decoder.whole_frame(wire, kept)?;
        self.decoder.skip_whole(shape.frame_len);
        let payload_len = (shape.content_len - MarkedState::<W>::TAIL) as u64;
        Some(self.consume(payload_len, shape.start, shape.frame_len))
    }

    #[inline(never)]
    fn find_slowly(&mut self, wire: &W, kept: &[u8]) -> Result<Scan<()>, DecodeError> {
        if self.decoder.is_searching() {
            let at = self.position.saturating_add(kept.len() as u64);
            let skipped = at.saturating_sub(self.decoder.frame_start());
            return Err(DecodeError::Unsynchronized { at, skipped });
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let seen = self.seen();
        let mut rest = kept.get(seen..).unwrap_or_default();
        if self.decoder.is_skipping() {
            self.drop_rest(wire, kept);
            return Ok(self.discard());
        }
        if self.decoder.begins_frame() && (seen > 0 || self.decoder.skip_idle(wire, rest) > 0) {
            self.begins_here = true;
            return Ok(self.discard());
        }
        if core::mem::take(&mut self.begins_here) {
            if let Some(found) = self.take_whole(wire, kept) {
                return Ok(Scan::Frame(found));
            }
        }
        loop {
            match self.decoder.decode_units(wire, &mut rest) {
                Ok(Some(piece)) if piece.last => {
                    let len = kept.len() - rest.len();
                    return Ok(Scan::Frame(self.consume(self.decoder.payload_len(), 0, len)));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Scan::Incomplete { needed: kept.len().saturating_add(1) }),
                Err(error) => {
                    self.error = Some(error);
                    return Err(error);
                }
            }
        }
    }

    /// Skips the frame that has begun or begins next, of which nothing is consumed yet.
    fn skip_next(&mut self, wire: &W, kept: &[u8]) -> Result<(), RecoverError> {
        self.decoder.skip_idle(wire, kept.get(self.seen()..).unwrap_or_default());
        let begins_here = self.decoder.begins_frame() && self.seen() < kept.len();
        if !begins_here && !self.decoder.in_frame() {
            return Err(RecoverError::NotFailed);
        }
        self.decoder.skip();
        Ok(())
    }

    /// Consumes what is kept of a frame that is skipped.
    fn drop_rest(&mut self, wire: &W, kept: &[u8]) {
        let mut rest = kept.get(self.seen()..).unwrap_or_default();
        if self.decoder.is_skipping() && self.decoder.drop_rest(wire, &mut rest) {
            self.decoder.end_skip();
        }
    }

    /// Drops the bytes that the decoder has consumed.
    fn discard(&mut self) -> Scan<()> {
        let dropped = self.seen();
        self.position = self.decoder.position();
        if dropped == 0 { Scan::Incomplete { needed: 1 } } else { Scan::Discard(dropped) }
    }

    pub(crate) fn begin_search(&mut self) -> Result<(), RecoverError> {
        self.decoder.begin_search()?;
        self.error = None;
        Ok(())
    }
}
