//! How a frame's header is laid out: the [`Format`] trait and the formats that ship.

mod inspect;
mod length_field;
mod prefix;
mod v1;
mod varint;

use core::fmt::Debug;

use crate::error::{EncodeError, HeaderError};

pub(crate) use inspect::{Refusal, inspect, shortest_refused, whole_header};
pub use length_field::{ByteOrder, Covers, FieldMeta, Layout, LayoutError, LengthField};
pub use prefix::{I32Be, I32Le, U8, U16Be, U16Le, U24Be, U24Le, U32Be, U32Le, U64Be, U64Le};
pub use v1::V1;
pub use varint::Varint;

/// The most payload bytes that any frame may announce, whatever its limit: 2^62 − 1.
///
/// No stream gets there; the bound lets every offset and every count of bytes fit a `u64`.
pub const MAX_PAYLOAD_LEN: u64 = (1 << 62) - 1;

/// How one frame's header is laid out, and how long a payload it announces.
///
/// An implementation of about twenty lines brings the decoder, the read buffer and every adapter:
///
/// ```
/// use unstick::{Decoder, EncodeError, Format, Header, HeaderError, Parsed};
///
/// /// One byte of kind, two bytes of length.
/// struct Tagged;
///
/// impl Format for Tagged {
///     type Meta = u8;
///     type HeaderBuf = [u8; 3];
///
///     fn max_payload_len(&self) -> u64 {
///         u16::MAX.into()
///     }
///
///     fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<u8>, HeaderError> {
///         let Some(&[kind, hi, lo]) = bytes.first_chunk() else {
///             return Ok(Parsed::Need(3));
///         };
///         let payload_len = u16::from_be_bytes([hi, lo]).into();
///         Ok(Parsed::Header(Header { meta: kind, payload_len, header_len: 3 }))
///     }
///
///     fn encode_header(&self, kind: &u8, len: u64, out: &mut [u8; 3]) -> Result<usize, EncodeError> {
///         let limit = self.max_payload_len();
///         let len = u16::try_from(len).map_err(|_| EncodeError::Oversize { len, limit })?;
///         let [hi, lo] = len.to_be_bytes();
///         *out = [*kind, hi, lo];
///         Ok(3)
///     }
/// }
///
/// let mut decoder = Decoder::with_framing(Tagged);
/// let piece = decoder.decode(&mut &b"\x07\x00\x02hi"[..])?.unwrap();
/// assert_eq!((piece.header.unwrap().meta, piece.bytes, piece.last), (7, &b"hi"[..], true));
/// # Ok::<(), unstick::DecodeError>(())
/// ```
///
/// # Laws
/// The decoder never panics and never reads out of bounds, whatever a format answers. That the
/// same frames come out under every cut of the stream rests on these laws:
///
/// 1. The answer depends on the bytes alone, and not on those behind the header: a refused prefix
///    stays refused, and a header once complete stays the same, whatever follows.
/// 2. A complete header is at least one byte, and no shorter prefix of it is complete.
/// 3. [`Parsed::Need`] asks for more bytes than it was given, and no header ends before them.
/// 4. `decode_header` gives back what `encode_header` was given, and `encode_header` takes every
///    payload length up to [`max_payload_len`](Self::max_payload_len).
/// 5. If [`CANONICAL`](Self::CANONICAL), `encode_header` gives back the bytes that
///    `decode_header` was given.
///
/// 6. No header is longer than [`max_header_len`](Self::max_header_len), nor announces more than
///    `max_payload_len`; [`whole_header`](Self::whole_header) and
///    [`resume_header`](Self::resume_header) answer as `decode_header` does.
///
/// The crate `unstick-conformance` tests a format against them, and all that rests on them.
///
/// A format should refuse a header as soon as its bytes allow it.
pub trait Format {
    /// What a header says beside the length: a kind, flags, or `()`.
    type Meta: Clone + Eq + Debug;

    /// Room for the longest header: `[u8; N]`. A decoder stores this much and no more.
    type HeaderBuf: HeaderBuf;

    /// Whether every header has exactly one encoding. All formats that ship do.
    const CANONICAL: bool = true;

    /// The most payload bytes that a header can announce.
    fn max_payload_len(&self) -> u64;

    /// The most bytes that a header of this value of the format has; what a read buffer keeps room
    /// for beside the limit.
    #[inline]
    fn max_header_len(&self) -> usize {
        Self::HeaderBuf::LEN
    }

    /// Reads the header that `bytes` begin with. More bytes than the header may be there.
    ///
    /// # Errors
    /// `bytes` begin with no header, and no further bytes can change that.
    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Self::Meta>, HeaderError>;

    /// The same answer where it is a header, and `None` where it is anything else.
    ///
    /// Only of use for formats of a few bytes that are read millions of times a second: it spares
    /// the common case what the others need.
    #[inline(always)]
    fn whole_header(&self, bytes: &[u8]) -> Option<Header<Self::Meta>> {
        match self.decode_header(bytes) {
            Ok(Parsed::Header(header)) => Some(header),
            _ => None,
        }
    }

    /// The same answer, where `bytes[..seen]` are known to be undecided.
    ///
    /// Only of use for headers that end in a mark, as HTTP's, so that they are searched once.
    ///
    /// # Errors
    /// As [`decode_header`](Self::decode_header).
    #[inline]
    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<Self::Meta>, HeaderError> {
        let _ = seen;
        self.decode_header(bytes)
    }

    /// Writes a header to the beginning of `out` and says how many bytes it has.
    ///
    /// # Errors
    /// [`EncodeError::Oversize`] when the length field cannot say `payload_len`;
    /// [`EncodeError::Meta`] or [`EncodeError::Custom`] when `meta` cannot be written.
    fn encode_header(
        &self,
        meta: &Self::Meta,
        payload_len: u64,
        out: &mut Self::HeaderBuf,
    ) -> Result<usize, EncodeError>;

    /// What a datagram may do with a frame of this kind. Unless the format says otherwise, every
    /// frame travels and is delivered.
    #[inline]
    fn in_datagram(&self, meta: &Self::Meta) -> InDatagram {
        let _ = meta;
        InDatagram::Delivered
    }
}

/// What becomes of a frame in a datagram, by its kind (spec, chapter 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InDatagram {
    /// It is delivered.
    Delivered,
    /// The caller says whether it knows the kind: then it is delivered, else as an unknown one.
    IfKnown {
        /// The kind's number.
        kind: u8,
        /// Whether the kind, unknown, refuses the datagram; else the frame is ignored.
        critical: bool,
    },
    /// Nobody knows the kind.
    Unknown {
        /// The kind's number.
        kind: u8,
        /// Whether it refuses the datagram; else the frame is ignored.
        critical: bool,
    },
    /// The kind has no place in a datagram: it refuses the datagram, and is not sent in one.
    Misplaced {
        /// The kind's number.
        kind: u8,
    },
}

/// A format whose headers are all as long as its [`HeaderBuf`](Format::HeaderBuf), at most 255
/// bytes, and tell themselves from other bytes by a check, so that a lost position can be found
/// again. Of the formats that ship only [`V1`] is one.
///
/// The trait is empty: to implement it is to promise this. At least every single bit that changes in
/// a header is to be seen, and best also every short burst; a mark alone is no check.
pub trait SelfChecking: Format {}

/// What [`Format::decode_header`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Parsed<M> {
    /// A complete header.
    Header(Header<M>),
    /// No header ends before this many bytes, counted from the header's first.
    Need(usize),
}

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Header<M> {
    /// What the header says beside the length.
    pub meta: M,
    /// The payload's length in bytes.
    pub payload_len: u64,
    /// The header's own length in bytes.
    pub header_len: usize,
}

impl<M> Header<M> {
    /// Header and payload together, in bytes.
    #[must_use]
    pub fn frame_len(&self) -> u64 {
        // A header has at most 65,535 bytes and a payload within a limit at most 2^62 - 1.
        self.payload_len.saturating_add(self.header_len as u64)
    }
}

/// Room for a header: any `[u8; N]` from 1 to 65,535 bytes. Sealed.
pub trait HeaderBuf:
    AsRef<[u8]> + AsMut<[u8]> + Copy + Eq + Debug + Send + Sync + Unpin + sealed::Sealed + 'static
{
    /// The bytes it has.
    const LEN: usize;
    /// All zeros.
    const ZERO: Self;

    /// So many bytes from the front, and the rest.
    #[doc(hidden)]
    fn split(bytes: &[u8]) -> Option<(&Self, &[u8])>;

    /// The same for writing.
    #[doc(hidden)]
    fn split_mut(bytes: &mut [u8]) -> Option<(&mut Self, &mut [u8])>;
}

impl<const N: usize> HeaderBuf for [u8; N] {
    const LEN: usize = {
        assert!(N >= 1 && N <= 65_535, "a header has 1 to 65,535 bytes");
        N
    };
    const ZERO: Self = [0; N];

    #[inline(always)]
    fn split(bytes: &[u8]) -> Option<(&Self, &[u8])> {
        bytes.split_first_chunk()
    }

    #[inline(always)]
    fn split_mut(bytes: &mut [u8]) -> Option<(&mut Self, &mut [u8])> {
        bytes.split_first_chunk_mut()
    }
}

mod sealed {
    pub trait Sealed {}
    impl<const N: usize> Sealed for [u8; N] {}
}

/// Lets adapters and decoders borrow a format.
impl<F: Format + ?Sized> Format for &F {
    type Meta = F::Meta;
    type HeaderBuf = F::HeaderBuf;
    const CANONICAL: bool = F::CANONICAL;

    #[inline]
    fn max_payload_len(&self) -> u64 {
        (**self).max_payload_len()
    }

    #[inline]
    fn max_header_len(&self) -> usize {
        (**self).max_header_len()
    }

    #[inline]
    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Self::Meta>, HeaderError> {
        (**self).decode_header(bytes)
    }

    #[inline(always)]
    fn whole_header(&self, bytes: &[u8]) -> Option<Header<Self::Meta>> {
        (**self).whole_header(bytes)
    }

    #[inline]
    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<Self::Meta>, HeaderError> {
        (**self).resume_header(bytes, seen)
    }

    #[inline]
    fn encode_header(
        &self,
        meta: &Self::Meta,
        payload_len: u64,
        out: &mut Self::HeaderBuf,
    ) -> Result<usize, EncodeError> {
        (**self).encode_header(meta, payload_len, out)
    }

    #[inline]
    fn in_datagram(&self, meta: &Self::Meta) -> InDatagram {
        (**self).in_datagram(meta)
    }
}

impl<F: SelfChecking + ?Sized> SelfChecking for &F {}

/// Copies `from` to the beginning of `to`, as much as fits. `copy_from_slice` would keep a panic
/// path for unequal lengths at some optimisation levels.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The same for a payload. Outlined, where the compiler knows that the two are apart and makes it
/// one `memcpy`.
#[inline(never)]
pub(crate) fn copy_payload(to: &mut [u8], from: &[u8]) {
    copy(to, from);
}
