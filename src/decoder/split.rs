//! Whole frames at the front of a slice.

use super::CountedState;
use crate::check::TrailerBuf;
use crate::error::{DecodeError, Part};
use crate::format::{Parsed, inspect, shortest_refused, why};
use crate::frame::Frame;
use crate::framing::Framing;
use crate::wire::{Decoding, KnownLength, Wire};

impl<F: KnownLength> Framing<F> {
    /// Splits a whole frame off the front of `bytes`. Returns `Ok(None)` if the frame has not
    /// completely arrived.
    ///
    /// This is for bytes in one slice. For a stream, use [`Decoder`](crate::Decoder) or
    /// [`FrameBuf`](crate::FrameBuf).
    ///
    /// # Errors
    /// Returns an error if `bytes` do not start with a valid frame. Its offset counts from the
    /// start of `bytes`, and `bytes` are unchanged.
    pub fn split_frame<'a>(
        &self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<Frame<'a, <F as Wire>::Meta>>, DecodeError> {
        match self.take_frame(bytes) {
            Ok(frame) => Ok(Some(frame)),
            Err(DecodeError::Truncated { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Decodes the header that `bytes` begin with, under the limit: to look at a header before the
    /// payload has arrived. [`Parsed::Need`] says how many bytes are needed, counted from the first.
    ///
    /// # Errors
    /// Returns an error if `bytes` do not start with a header within the limit.
    pub fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<<F as Wire>::Meta>, DecodeError> {
        let (format, limit) = (self.format().header_format(), self.limit());
        inspect(format, limit, bytes, 0).map_err(|_| {
            let len = shortest_refused(format, limit, bytes, 0);
            why(format, limit, bytes, len).at(0)
        })
    }

    /// Splits off a frame like `split_frame`, with an error if the frame is incomplete.
    fn take_frame<'a>(
        &self,
        bytes: &mut &'a [u8],
    ) -> Result<Frame<'a, <F as Wire>::Meta>, DecodeError> {
        let wire = self.format();
        let mut decoder = CountedState::new(wire, self.limit());
        let mut rest = *bytes;
        // The input is one slice, so the frame's first piece contains everything that has arrived
        // of it.
        let piece = decoder.decode(wire, &mut rest)?;
        let frame = piece.and_then(|piece| {
            let header = piece.header?;
            let trailer_len = <F as Wire>::Trailer::LEN as u64;
            let frame_len = header.frame_len().saturating_add(trailer_len);
            let bytes = bytes.get(..usize::try_from(frame_len).ok()?)?;
            // Without its end the frame failed its check, and the next call says so.
            piece.last.then_some(())?;
            Frame::from_range(header.meta, header.header_len, piece.bytes.len(), bytes)
        });
        if let Some(frame) = frame {
            *bytes = rest;
            return Ok(frame);
        }
        while decoder.decode(wire, &mut rest)?.is_some() {}
        decoder.finish(wire)?;
        // Only an empty input ends on a frame boundary without a frame.
        Err(DecodeError::Truncated { at: 0, missing: 1, part: Part::Header })
    }
}
