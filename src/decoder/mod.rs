//! The streaming decoder: bytes in, borrowed pieces out (spec, chapter 7).
//!
//! Payload is never copied or kept. There is a state for each of the two ways in which a frame ends:
//! `counted`, after as many bytes as its header announces, and `marked`, at a mark.

mod counted;
mod marked;
mod marked_end;
mod marked_whole;
mod phase;
mod pieces;
mod resync;
mod split;

use core::fmt;

use crate::error::{DecodeError, RecoverError};
use crate::format::V1;
use crate::framing::Framing;
use crate::wire::{Decoding, Piece, Wire};

pub(crate) use counted::CountedState;
pub(crate) use counted::is_valid;
pub(crate) use marked::MarkedState;
pub use pieces::Pieces;

/// Turns a byte stream back into frames, however the stream is cut.
///
/// `Decoder` without a parameter decodes the version-1 format; [`with_framing`](Self::with_framing)
/// takes any other, and frames that end with a check or a mark.
///
/// ```
/// use unstick::{Decoder, Kind};
///
/// let mut decoder = Decoder::new();
/// // The transport cut a frame in the middle of its header, and glued another one to its end.
/// let chunks: [&[u8]; 2] = [b"\xf5\x01\x01\0\0", b"\0\x02\xf2hi\xf5\x01\x02\0\0\0\0\x74"];
///
/// let mut frames = Vec::new();
/// for chunk in chunks {
///     for piece in decoder.pieces(chunk) {
///         let piece = piece?;
///         if let Some(header) = piece.header {
///             frames.push((header.meta, Vec::new()));
///         }
///         frames.last_mut().unwrap().1.extend(piece.bytes);
///     }
/// }
/// decoder.finish()?; // the stream ended between two frames
/// assert_eq!(frames, [(Kind::TEXT, b"hi".to_vec()), (Kind::BINARY, vec![])]);
/// # Ok::<(), unstick::DecodeError>(())
/// ```
///
/// # Errors latch
/// After an error every call returns the same error, including [`finish`](Self::finish), and no byte
/// after it is delivered, until [`reset`](Self::reset), [`skip_frame`](Self::skip_frame) or
/// [`resync`](Self::resync). The error is that of the shortest prefix of the stream that must be
/// refused, so it does not depend on the cuts.
///
/// # Frames with a check
/// The payload of a [`Checked`](crate::Checked) or [`Marked`](crate::Marked) frame is delivered as it
/// arrives, before its check has. Use it only once the frame's last piece has arrived; a
/// [`FrameBuf`](crate::FrameBuf) and the readers deliver whole frames, and only valid ones.
///
/// # Memory
/// A decoder has the size of its format, one header and 24 bytes, whatever a peer announces; with a
/// check, also that of the check and its digest. It never allocates or panics.
#[derive(Clone)]
pub struct Decoder<W: Wire = V1> {
    wire: W,
    state: W::Decoding,
}

const _: () = assert!(size_of::<Decoder<V1>>() <= 32);

impl Decoder {
    /// Creates a decoder of version-1 frames with the default limit of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_framing(V1)
    }
}

impl<W: Wire + Default> Default for Decoder<W> {
    fn default() -> Self {
        Self::with_framing(W::default())
    }
}

impl<W: Wire> Decoder<W> {
    /// Creates a decoder of this format and limit.
    #[must_use]
    pub fn with_framing(framing: impl Into<Framing<W>>) -> Self {
        let framing = framing.into();
        let state = W::Decoding::new(framing.format(), framing.limit());
        Self { wire: framing.into_format(), state }
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> &W {
        &self.wire
    }

    /// Returns the effective limit, in payload bytes: that of the next frame.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.state.limit()
    }

    /// Sets the limit, in payload bytes, from the next header on that becomes complete; for frames
    /// without a header, from the next frame on. A frame whose payload has begun is not affected, and
    /// neither is the error of a stream that has failed.
    ///
    /// While a stream has failed, a limit of more than 2^45 − 2 bytes counts as 2^45 − 2.
    pub fn set_limit(&mut self, payload_bytes: u64) {
        self.state.set_limit(payload_bytes.min(self.wire.longest_payload()));
    }

    /// Returns the number of bytes consumed since the stream's start.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.state.position()
    }

    /// Returns the error that the stream has failed with, if any.
    #[inline(always)]
    #[must_use]
    pub fn error(&self) -> Option<DecodeError> {
        self.state.error(&self.wire)
    }

    /// Decodes a chunk of any size and calls `each` with every piece. This is the fastest way to
    /// decode.
    ///
    /// # Errors
    /// Returns an error if the stream failed; `each` was called with the pieces before it.
    /// The rest of the chunk begins at the stream offset [`position`](Self::position).
    #[inline]
    pub fn for_each<'a>(
        &mut self,
        input: &'a [u8],
        each: impl FnMut(Piece<'a, W::Meta, W::Len>),
    ) -> Result<(), DecodeError> {
        self.state.for_each(&self.wire, input, each)
    }

    /// Takes the next piece from the front of `input`.
    ///
    /// Every piece consumes at least one byte, or brings one that an earlier call has consumed and
    /// held back. Returns `Ok(None)` exactly if `input` is empty: call this method again with more
    /// bytes, or [`finish`](Self::finish) or [`end`](Self::end) at the stream's end.
    ///
    /// # Errors
    /// Returns an error if the stream failed. `input` then begins after the refused bytes.
    #[allow(clippy::type_complexity)] // an alias would hide what is returned
    #[inline(always)]
    pub fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a, W::Meta, W::Len>>, DecodeError> {
        self.state.decode(&self.wire, input)
    }

    /// Checks that the stream may end here: at a frame boundary, or where the stream's end completes
    /// a frame, which [`end`](Self::end) then returns.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] inside a frame, including directly after a header;
    /// [`DecodeError::Unsynchronized`] during a search; the stream's error if it has failed.
    pub fn finish(&self) -> Result<(), DecodeError> {
        self.state.finish(&self.wire)
    }

    /// Takes the next piece that the stream's end brings: call it until it returns `Ok(None)`. There is
    /// one only if the end of the stream may stand for the mark, as with
    /// [`Lines::or_end`](crate::Lines::or_end). Otherwise this method does what
    /// [`finish`](Self::finish) does.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    #[allow(clippy::type_complexity)] // an alias would hide what is returned
    pub fn end(&mut self) -> Result<Option<Piece<'static, W::Meta, W::Len>>, DecodeError> {
        self.state.end(&self.wire)
    }

    /// Whether a frame, or the stream, may end here: whether no byte of a frame has arrived, and the
    /// stream has not failed.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.state.is_at_boundary()
    }

    /// Returns how many more bytes the next frame is known to have, so that a read of as many bytes
    /// reads none after it; zero if the stream has failed.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.state.needed(&self.wire)
    }

    /// Starts a new stream, at offset 0.
    pub fn reset(&mut self) {
        self.state.reset();
    }

    /// Skips the rest of a frame that has begun, is over the limit, or failed its check: exactly that is
    /// dropped as it arrives, in constant memory, and the next frame is decoded.
    ///
    /// A frame that ends with a mark can be skipped after every error in it. Its rest is everything up
    /// to and including the next mark.
    ///
    /// # Errors
    /// [`RecoverError::NotFailed`] if there is no such frame, [`RecoverError::Failed`] if the stream
    /// failed with another error, or during a search. Nothing changes then.
    pub fn skip_frame(&mut self) -> Result<(), RecoverError> {
        self.state.skip_frame(&self.wire)
    }
}

impl<W: Wire + fmt::Debug> fmt::Debug for Decoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("format", &self.wire)
            .field("limit", &self.limit())
            .field("position", &self.position())
            .field("finish", &self.finish())
            .finish()
    }
}

/// Splits at most `len` bytes off the front of `bytes`. The comparison is in `u64`, so that no
/// length is cut to the width of a pointer.
#[inline(always)]
fn split_at_most(bytes: &[u8], len: u64) -> (&[u8], &[u8]) {
    match usize::try_from(len) {
        Ok(len) => bytes.split_at_checked(len).unwrap_or((bytes, &[])),
        Err(_) => (bytes, &[]),
    }
}
