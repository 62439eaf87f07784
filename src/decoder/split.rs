//! Whole frames at the front of a slice.

use super::Decoder;
use crate::error::{DecodeError, Part};
use crate::format::{Format, Parsed, inspect, shortest_refused};
use crate::frame::Frame;
use crate::framing::Framing;

impl<F: Format> Framing<F> {
    /// Splits a whole frame off the front of `bytes`. Returns `Ok(None)` if the frame has not
    /// completely arrived.
    ///
    /// This is for bytes in one slice. For a stream, use [`Decoder`] or
    /// [`FrameBuf`](crate::FrameBuf).
    ///
    /// # Errors
    /// Returns an error if `bytes` do not start with a valid frame. Its offset counts from the
    /// start of `bytes`, and `bytes` are unchanged.
    pub fn split_frame<'a>(
        &self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<Frame<'a, F::Meta>>, DecodeError> {
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
    pub fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<F::Meta>, DecodeError> {
        let limit = self.limit();
        inspect(self.format(), limit, bytes, 0)
            .map_err(|_| shortest_refused(self.format(), limit, bytes, 0).1.at(0))
    }

    /// Splits off a frame like `split_frame`, with an error if the frame is incomplete.
    fn take_frame<'a>(&self, bytes: &mut &'a [u8]) -> Result<Frame<'a, F::Meta>, DecodeError> {
        let framing = Framing::new(self.format()).with_limit(self.limit());
        let mut decoder = Decoder::with_framing(framing);
        let mut rest = *bytes;
        // The input is one slice, so the frame's first piece contains everything that has arrived
        // of it.
        let header = decoder.decode(&mut rest)?.and_then(|piece| piece.header);
        let frame = header.and_then(|header| {
            let frame_len = usize::try_from(header.frame_len()).ok()?;
            Frame::from_parts(header.meta, header.header_len, bytes.get(..frame_len)?)
        });
        if let Some(frame) = frame {
            *bytes = rest;
            return Ok(frame);
        }
        decoder.finish()?;
        // Only an empty input ends on a frame boundary without a frame.
        Err(DecodeError::Truncated { at: 0, missing: 1, part: Part::Header })
    }
}
