//! The traits that decoders, buffers, writers and adapters are generic over: [`Wire`], and what not
//! every wire has.
//!
//! Users implement `Format`, `Check` and `Mark`; only this crate implements the traits here, in
//! `families`. The hidden items connect a wire with the state of its decoder and of its scanner.

mod found;
mod meta;
mod piece;

use core::fmt::Debug;
use core::ops::Range;

use crate::check::{Check, Checked, Crc32Iscsi, NoCheck, TrailerBuf, V2};
use crate::error::{DecodeError, EncodeError, RecoverError};
use crate::format::{Format, InDatagram, V2Header};
use crate::frame::Frame;
use crate::mark::Mark;

pub use found::{Found, PayloadRun, Scan, ScanPayload, Searched};
pub use meta::AsMeta;
pub use piece::Piece;

/// How frames follow each other in a stream. Decoders, buffers, writers and adapters work with every
/// `Wire`.
///
/// Do not implement it: most of its items are hidden, and may change. Implement one of three traits, in
/// 20 to 40 lines.
///
/// | what ends a frame | implement | and use |
/// | --- | --- | --- |
/// | a header that announces the payload's length | [`Format`] | the format itself |
/// | the same, and a check after the payload | [`Check`] | [`Checked`](crate::Checked) |
/// | a mark, with or without escapes | [`Mark`] | [`Marked`](crate::Marked) |
///
/// ```
/// use unstick::{EncodeError, Framing, Lines, U32Be, Wire};
///
/// /// Works with every framing whose meta is `()`.
/// fn encode<F: Wire<Meta = ()>>(framing: &Framing<F>, text: &str) -> Result<Vec<u8>, EncodeError> {
///     let mut wire = Vec::new();
///     framing.encode((), text, &mut wire)?;
///     Ok(wire)
/// }
/// assert_eq!(encode(&Framing::new(U32Be), "hi")?, b"\0\0\0\x02hi");
/// assert_eq!(encode(&Framing::new(Lines::new()), "hi")?, b"hi\n");
/// # Ok::<(), unstick::EncodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how frames follow each other in a stream",
    note = "implement `Format` for a header that announces the payload's length, or use `Checked`, `Marked`, or a framing of this crate"
)]
pub trait Wire: Sized {
    /// A frame's fields other than its length and payload: a kind, flags, or `()`.
    type Meta: Clone + Eq + Debug;

    /// What is known of a payload's length when its frame begins: `u64` if a header announces it,
    /// `()` otherwise.
    type Len: Copy + Eq + Debug;

    #[doc(hidden)]
    type Decoding: Decoding<Self>;
    #[doc(hidden)]
    type Scanning: Scanning<Self>;
    /// What an encoder keeps of a frame that it writes in runs.
    #[doc(hidden)]
    type Digest: Copy + Debug + Send + Sync + Unpin;
    #[doc(hidden)]
    type Trailer: TrailerBuf;
    /// The bytes before a payload that is written directly.
    #[doc(hidden)]
    type Head: AsRef<[u8]>;

    /// Whether a payload is followed by nothing, and stands in the stream as it is.
    #[doc(hidden)]
    const PAYLOAD_LAST: bool;
    /// Whether the stream's end may complete a frame.
    #[doc(hidden)]
    const END_COMPLETES: bool;
    /// Whether payloads may have escapes.
    #[doc(hidden)]
    const ESCAPED: bool;

    /// The max payload length of a frame under any limit.
    #[doc(hidden)]
    fn longest_payload(&self) -> u64;
    /// The max length of a frame with this much payload, in bytes.
    #[doc(hidden)]
    fn max_frame_len(&self, payload_len: u64) -> u64;
    /// The max payload length of which every frame fits into `room` bytes.
    #[doc(hidden)]
    fn payload_within(&self, room: u64) -> u64;

    /// Borrows a frame from its bytes, of which escapes were removed.
    #[doc(hidden)]
    fn borrow_frame<'a>(
        found: &Found<Self::Meta>,
        bytes: &'a [u8],
    ) -> Option<Frame<'a, Self::Meta>>;
    /// Removes the escapes of a whole frame, and returns where its payload now is.
    #[doc(hidden)]
    fn unescape_frame(&self, frame: &mut [u8]) -> Range<usize>;

    #[doc(hidden)]
    fn place_in_datagram(&self, meta: &Self::Meta) -> InDatagram;

    /// Encodes the bytes before a payload. Returns `None` if a frame can only be written as a whole.
    #[doc(hidden)]
    fn frame_head(
        &self,
        limit: u64,
        meta: &Self::Meta,
        payload_len: u64,
    ) -> Option<Result<Self::Head, EncodeError>>;
    /// Begins the digest of a frame with this head.
    #[doc(hidden)]
    fn begin_digest(&self, head: &[u8]) -> Self::Digest;
    #[doc(hidden)]
    fn update_digest(&self, digest: Self::Digest, run: &[u8]) -> Self::Digest;
    /// Returns what must follow the payload.
    #[doc(hidden)]
    fn frame_trailer(&self, digest: Self::Digest) -> Self::Trailer;

    /// Writes a frame whose payload is at most `limit` bytes long.
    #[doc(hidden)]
    fn write_frame(
        &self,
        limit: u64,
        meta: &Self::Meta,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, EncodeError>;
    /// Appends a frame. `out` is unchanged on an error.
    #[cfg(feature = "alloc")]
    #[doc(hidden)]
    fn append_frame(
        &self,
        limit: u64,
        meta: &Self::Meta,
        payload: &[u8],
        out: &mut alloc::vec::Vec<u8>,
    ) -> Result<(), EncodeError>;
    /// Creates an owned frame that can be sent.
    #[cfg(feature = "alloc")]
    #[doc(hidden)]
    fn own_frame(
        &self,
        limit: u64,
        meta: Self::Meta,
        payload: &[u8],
    ) -> Result<crate::frame::OwnedFrame<Self::Meta>, EncodeError>;
}

/// The size of an error decides how results are returned.
const _: () = assert!(size_of::<DecodeError>() <= 32 || size_of::<usize>() != 8);

/// The state of a decoder of the wire `W`.
#[doc(hidden)]
pub trait Decoding<W: Wire>: Clone + Send + Sync + Unpin {
    fn new(wire: &W, limit: u64) -> Self;
    fn limit(&self) -> u64;
    fn set_limit(&mut self, limit: u64);
    fn position(&self) -> u64;
    fn error(&self, wire: &W) -> Option<DecodeError>;
    #[allow(clippy::type_complexity)] // an alias would hide what is returned
    fn decode<'a>(
        &mut self,
        wire: &W,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a, W::Meta, W::Len>>, DecodeError>;
    fn for_each<'a>(
        &mut self,
        wire: &W,
        input: &'a [u8],
        each: impl FnMut(Piece<'a, W::Meta, W::Len>),
    ) -> Result<(), DecodeError>;
    fn finish(&self, wire: &W) -> Result<(), DecodeError>;
    /// Returns the next piece that the stream's end brings.
    #[allow(clippy::type_complexity)] // an alias would hide what is returned
    fn end(&mut self, wire: &W) -> Result<Option<Piece<'static, W::Meta, W::Len>>, DecodeError> {
        self.finish(wire).map(|()| None)
    }
    fn is_at_boundary(&self) -> bool;
    fn needed(&self, wire: &W) -> u64;
    fn reset(&mut self);
    fn skip_frame(&mut self, wire: &W) -> Result<(), RecoverError>;
}

/// The state of a scanner of the wire `W`.
#[doc(hidden)]
pub trait Scanning<W: Wire>: Clone + Send + Sync + Unpin {
    fn new(wire: &W, limit: u64) -> Self;
    fn limit(&self) -> u64;
    fn set_limit(&mut self, limit: u64);
    /// The max payload length of the frames that can come next.
    fn max_payload_len(&self) -> u64;
    fn position(&self) -> u64;
    fn refused(&self) -> usize;
    fn error(&self) -> Option<DecodeError>;
    fn is_searching(&self) -> bool;
    fn needs_more(&self, kept: usize) -> bool;
    fn find_whole(&mut self, wire: &W, kept: &[u8]) -> Option<Found<W::Meta>>;
    fn find_after_fast_path(&mut self, wire: &W, kept: &[u8])
    -> Result<Scan<W::Meta>, DecodeError>;
    fn begin_if_empty(&mut self, kept: &[u8]) -> bool;
    fn open_frame(&self, wire: &W, kept: &[u8]) -> Option<u64>;
    fn finish(&self, wire: &W, kept: &[u8]) -> Result<(), DecodeError>;
    /// Finds the frame that the stream's end completes.
    fn find_end(&mut self, wire: &W, kept: &[u8]) -> Result<Option<Found<W::Meta>>, DecodeError> {
        self.finish(wire, kept).map(|()| None)
    }
    fn needed(&self, wire: &W, kept: &[u8]) -> u64;
    fn reset(&mut self);
    fn skip_frame(&mut self) -> Result<(), RecoverError>;
    /// Begins a search inside the frame that the kept bytes begin with.
    fn reject(&mut self, wire: &W, kept: &[u8]) -> Result<(), RecoverError>;
    fn search(&mut self, wire: &W, kept: &[u8]) -> Result<Searched, RecoverError>;
    /// Skips the frame that has begun in the kept bytes, and returns how many bytes to drop now.
    fn skip_begun(&mut self, wire: &W, kept: &[u8]) -> Result<usize, RecoverError>;
}

/// A wire whose frames can be found again in kept bytes, after some were lost or damaged: formats with
/// a check in their header ([`SelfChecking`](crate::SelfChecking)), formats with a check after the
/// payload ([`Checked`](crate::Checked)), and marks.
///
/// Other formats have none of these: any bytes may be a header of theirs.
///
/// ```
/// use unstick::{FrameBuf, Framing, Lines, Search};
///
/// fn skipped<F: Search>(framing: Framing<F>, bytes: &[u8]) -> Option<u64> {
///     let mut buf = FrameBuf::growing(framing);
///     buf.extend(bytes);
///     buf.next_frame().err()?;
///     buf.resync().ok()?
/// }
/// let short = Framing::new(Lines::new()).with_limit(4);
/// assert_eq!(skipped(short, b"too long\nok\n"), Some(9));
/// ```
#[diagnostic::on_unimplemented(
    message = "frames of `{Self}` cannot be found again after an error",
    label = "there is neither a check nor a mark to find a frame by",
    note = "add a check with `Checked`, or close the stream; after an oversize frame use `skip_frame`"
)]
pub trait Search: Wire {
    /// The min length of a storage in which a search can go on.
    #[doc(hidden)]
    const ROOM: usize;
    #[doc(hidden)]
    fn begin_search(state: &mut Self::Scanning) -> Result<(), RecoverError>;
}

/// A wire whose frames can be found again in the stream alone, without kept bytes: formats with a check
/// in their header, and marks.
///
/// [`Checked`](crate::Checked) formats and [`V2`] are not among them: their search begins in the failed frame, of
/// which a decoder keeps no payload.
///
/// ```
/// use unstick::{Decoder, Resync, V1};
///
/// fn skipped<F: Resync>(decoder: &mut Decoder<F>, mut bytes: &[u8]) -> Option<u64> {
///     decoder.decode(&mut bytes).err()?;
///     decoder.resync(&mut bytes).ok()?
/// }
/// let stream = b"noise\xf5\x01\x01\0\0\0\x02\xf2hi";
/// assert_eq!(skipped(&mut Decoder::with_framing(V1), stream), Some(5));
/// ```
#[diagnostic::on_unimplemented(
    message = "frames of `{Self}` cannot be found again without the bytes of the failed frame",
    label = "a decoder keeps no payload",
    note = "use `FrameBuf::resync` or a reader, which keep the bytes, if there is a check after the payload"
)]
pub trait Resync: Search {
    #[doc(hidden)]
    fn resync(
        &self,
        state: &mut Self::Decoding,
        input: &mut &[u8],
    ) -> Result<Option<u64>, RecoverError>;
}

/// A wire whose frames begin with a header that announces the length of their payload: every
/// [`Format`], every [`Checked`](crate::Checked) one, and [`V2`].
///
/// It is needed to see a header before its payload, to read or write a payload in pieces that
/// need not fit into memory, to split a frame off a slice, and for datagrams.
///
/// ```
/// use unstick::{DecodeError, Framing, KnownLength, U16Be, Wire};
///
/// /// Counts the whole frames at the beginning of these bytes.
/// fn count<F: Wire + KnownLength>(framing: &Framing<F>, mut bytes: &[u8]) -> Result<usize, DecodeError> {
///     let mut frames = 0;
///     while framing.split_frame(&mut bytes)?.is_some() {
///         frames += 1;
///     }
///     Ok(frames)
/// }
/// assert_eq!(count(&Framing::new(U16Be), b"\0\x02hi\0\x05hel")?, 1);
/// # Ok::<(), unstick::DecodeError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "frames of `{Self}` do not announce the length of their payload",
    label = "this needs a length at the beginning of the frame",
    note = "frames that end with a mark are read and written as whole frames, and decoded as pieces"
)]
pub trait KnownLength {
    #[doc(hidden)]
    type Header: Format;
    #[doc(hidden)]
    type Check: Check;
    #[doc(hidden)]
    fn header_format(&self) -> &Self::Header;
    #[doc(hidden)]
    fn check_after(&self) -> &Self::Check;
}

/// A wire whose frames end with a mark.
#[doc(hidden)]
pub trait EndsWithMark {
    type Mark: Mark;
    type Check: Check;
    fn end_mark(&self) -> &Self::Mark;
    fn check_before(&self) -> &Self::Check;
}

impl<F: Format> KnownLength for F {
    type Header = F;
    type Check = NoCheck;
    #[inline(always)]
    fn header_format(&self) -> &F {
        self
    }
    #[inline(always)]
    fn check_after(&self) -> &NoCheck {
        &NoCheck
    }
}

impl<F: Format, C: Check> KnownLength for Checked<F, C> {
    type Header = F;
    type Check = C;
    #[inline(always)]
    fn header_format(&self) -> &F {
        self.format()
    }
    #[inline(always)]
    fn check_after(&self) -> &C {
        self.check()
    }
}

impl<F: Format, C: Check> KnownLength for &Checked<F, C> {
    type Header = F;
    type Check = C;
    #[inline(always)]
    fn header_format(&self) -> &F {
        self.format()
    }
    #[inline(always)]
    fn check_after(&self) -> &C {
        self.check()
    }
}

impl KnownLength for V2 {
    type Header = V2Header;
    type Check = Crc32Iscsi;
    #[inline(always)]
    fn header_format(&self) -> &V2Header {
        &V2Header
    }
    #[inline(always)]
    fn check_after(&self) -> &Crc32Iscsi {
        &V2::CHECK
    }
}

impl KnownLength for &V2 {
    type Header = V2Header;
    type Check = Crc32Iscsi;
    #[inline(always)]
    fn header_format(&self) -> &V2Header {
        &V2Header
    }
    #[inline(always)]
    fn check_after(&self) -> &Crc32Iscsi {
        &V2::CHECK
    }
}
