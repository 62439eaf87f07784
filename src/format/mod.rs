//! Header formats: the [`Format`] trait and its implementations.

mod fixed;
mod inspect;
mod length_field;
mod limited;
mod list;
mod prefix;
mod v1;
mod varint;

use core::fmt::Debug;

use crate::error::{EncodeError, HeaderError};

pub use fixed::Fixed;
pub(crate) use inspect::{Refusal, has_no_header, inspect, shortest_refused, whole_header, why};
pub use length_field::{ByteOrder, Covers, FieldMeta, Layout, LayoutError, LengthField};
pub use limited::LimitedBy;
pub use prefix::{I32Be, I32Le, U8, U16Be, U16Le, U24Be, U24Le, U32Be, U32Le, U64Be, U64Le};
pub use v1::{V1, V2Header, header};
pub use varint::Varint;

/// The maximum payload length that a frame may announce, in bytes, under any limit: 2^62 − 1.
///
/// No real stream reaches it. The bound ensures that every offset and every byte count fits a
/// `u64`.
pub const MAX_PAYLOAD_LEN: u64 = (1 << 62) - 1;

/// A header format: how a frame's header is laid out, and how it announces the payload's length.
///
/// An implementation takes about twenty lines. The decoder, the read buffer and every adapter work
/// with it:
///
/// ```
/// use unstick::{Decoder, EncodeError, Format, Header, HeaderError, Parsed};
///
/// /// One byte of kind, then a two-byte length.
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
/// The decoder never panics and never reads out of bounds, whatever a format returns. The guarantee
/// that every cut of the stream leads to the same frames depends on these laws:
///
/// 1. The result depends only on the bytes of the header, not on those after it. A refused prefix
///    stays refused, and a complete header stays the same, whatever bytes follow.
/// 2. A complete header has at least one byte, and no shorter prefix of it is complete. A header of
///    zero bytes is allowed if `max_header_len` is zero and the payload has at least one: see [`Fixed`].
/// 3. [`Parsed::Need`] asks for more bytes than were given, and no header ends before them.
/// 4. `decode_header` returns the values that were passed to `encode_header`, and `encode_header`
///    accepts every payload length up to [`max_payload_len`](Self::max_payload_len).
/// 5. If every header of the format has exactly one encoding, `encode_header` writes the bytes that
///    were passed to `decode_header`.
/// 6. No header is longer than [`max_header_len`](Self::max_header_len) or announces more than
///    `max_payload_len`. [`whole_header`](Self::whole_header) and
///    [`resume_header`](Self::resume_header) return the same results as `decode_header`.
/// 7. [`limit_of`](Self::limit_of) returns the same limit for equal metas.
///
/// The crate `unstick-conformance` tests a format against these laws, and against everything that
/// depends on them.
///
/// A format should refuse a header at the first byte that makes it invalid.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not describe a header that announces the payload's length",
    note = "a mark is used as `Marked::new(mark)`, and tested with a `MarkKit`",
    note = "a `Checked` format is a framing, and tested with a `CheckKit`"
)]
pub trait Format {
    /// The header's fields other than the length: a kind, flags, or `()`.
    type Meta: Clone + Eq + Debug;

    /// A buffer for the longest header: `[u8; N]`. A decoder stores no more than this.
    type HeaderBuf: HeaderBuf;

    /// Returns the maximum payload length that a header can announce, in bytes.
    fn max_payload_len(&self) -> u64;

    /// Returns the maximum length of a header for this value of the format, in bytes. A read buffer
    /// reserves this much in addition to the limit.
    #[inline]
    fn max_header_len(&self) -> usize {
        Self::HeaderBuf::LEN
    }

    /// Decodes the header at the start of `bytes`. Further bytes may follow the header.
    ///
    /// # Errors
    /// Returns an error if `bytes` neither start with a header nor are the start of one.
    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<Self::Meta>, HeaderError>;

    /// Returns the header if [`decode_header`](Self::decode_header) would return one, otherwise
    /// `None`.
    ///
    /// This is an optimisation for short headers that are decoded very often: it keeps the other
    /// results out of the common path.
    #[inline(always)]
    fn whole_header(&self, bytes: &[u8]) -> Option<Header<Self::Meta>> {
        match self.decode_header(bytes) {
            Ok(Parsed::Header(header)) => Some(header),
            _ => None,
        }
    }

    /// Returns the same as [`decode_header`](Self::decode_header), if it is known that
    /// `bytes[..seen]` are not a complete header.
    ///
    /// This is an optimisation for headers that end with a mark, like those of HTTP: each byte is
    /// searched only once.
    ///
    /// # Errors
    /// The same as [`decode_header`](Self::decode_header).
    #[inline]
    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<Self::Meta>, HeaderError> {
        let _ = seen;
        self.decode_header(bytes)
    }

    /// Writes a header to the start of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// Returns [`EncodeError::Oversize`] if the length field cannot hold `payload_len`, and
    /// [`EncodeError::Meta`] or [`EncodeError::Custom`] if `meta` cannot be encoded.
    fn encode_header(
        &self,
        meta: &Self::Meta,
        payload_len: u64,
        out: &mut Self::HeaderBuf,
    ) -> Result<usize, EncodeError>;

    /// Returns the limit of frames with this meta, in payload bytes; by default there is none but that
    /// of the [`Framing`](crate::Framing). It is the same for equal metas. See [`LimitedBy`].
    #[inline(always)]
    fn limit_of(&self, meta: &Self::Meta) -> u64 {
        let _ = meta;
        MAX_PAYLOAD_LEN
    }

    /// Returns how a frame with this meta is handled in a datagram. By default, every frame may be
    /// sent and is delivered.
    #[inline]
    fn in_datagram(&self, meta: &Self::Meta) -> InDatagram {
        let _ = meta;
        InDatagram::Delivered
    }
}

/// How a frame in a datagram is handled, depending on its kind (spec, chapter 8).
///
/// ```
/// use unstick::{Format, InDatagram, Kind, V1};
///
/// assert_eq!(V1.in_datagram(&Kind::TEXT), InDatagram::Delivered);
/// assert!(matches!(V1.in_datagram(&Kind::HELLO), InDatagram::Misplaced { .. }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum InDatagram {
    /// The frame is delivered.
    Delivered,
    /// The frame is delivered if the caller knows the kind, otherwise it is handled as an unknown
    /// kind.
    IfKnown {
        /// The kind's number.
        kind: u8,
        /// Whether the datagram is refused if the kind is unknown. Otherwise the frame is ignored.
        critical: bool,
    },
    /// The kind is unknown to every receiver.
    Unknown {
        /// The kind's number.
        kind: u8,
        /// Whether the datagram is refused. Otherwise the frame is ignored.
        critical: bool,
    },
    /// The kind is not allowed in a datagram: a datagram with it is refused, and it cannot be sent
    /// in one.
    Misplaced {
        /// The kind's number.
        kind: u8,
    },
}

/// A format whose headers carry a check, so that a lost position in the stream can be found again.
///
/// All of its headers have the length of its [`HeaderBuf`](Format::HeaderBuf), at most 255 bytes.
/// Of the formats in this crate, [`V1`] and [`V2Header`](crate::V2Header) implement it.
///
/// The trait has no methods: implementing it is a promise. The check should detect every changed
/// bit in a header, and if possible every short burst. A fixed mark alone is not a check.
///
/// ```
/// use unstick::{FrameBuf, SelfChecking};
///
/// /// Skips to the next valid header: this compiles for formats whose headers have a check.
/// fn skip<F: SelfChecking>(buf: &mut FrameBuf<Vec<u8>, F>) -> Option<u64> {
///     buf.resync().ok()?
/// }
/// let mut buf = FrameBuf::growing(unstick::V1);
/// buf.extend(b"noise\xf5\x01\x01\0\0\0\x02\xf2hi");
/// assert!(buf.next_frame().is_err());
/// assert_eq!(skip(&mut buf), Some(5));
/// ```
pub trait SelfChecking: Format {}

/// The result of [`Format::decode_header`].
///
/// ```
/// use unstick::{Format, Parsed, U16Be};
///
/// assert_eq!(U16Be.decode_header(b"\0")?, Parsed::Need(2));
/// let Parsed::Header(header) = U16Be.decode_header(b"\0\x05he")? else { panic!("it is whole") };
/// assert_eq!((header.payload_len, header.header_len), (5, 2));
/// # Ok::<(), unstick::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Parsed<M> {
    /// A complete header.
    Header(Header<M>),
    /// More bytes are needed: no header ends before this many bytes, counted from the header's
    /// first byte.
    Need(usize),
}

/// A complete header.
///
/// ```
/// use unstick::U16Be;
/// use unstick::io::FrameReader;
///
/// let mut reader = FrameReader::with_framing(&b"\0\x05hello"[..], U16Be);
/// let header = reader.next_header()?.ok_or("the stream has ended")?;
/// assert_eq!((header.payload_len, header.frame_len()), (5, 7)); // nothing of it is consumed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Header<M, L = u64> {
    /// The header's fields other than the length.
    pub meta: M,
    /// The payload's length in bytes; `()` in a piece of a frame that does not announce it.
    pub payload_len: L,
    /// The header's length in bytes.
    pub header_len: usize,
}

impl<M> Header<M> {
    /// Returns the length of header and payload together, in bytes.
    #[must_use]
    pub fn frame_len(&self) -> u64 {
        // A header has at most 65,535 bytes, and a payload within a limit at most 2^62 - 1.
        self.payload_len.saturating_add(self.header_len as u64)
    }
}

/// A buffer for a header: any `[u8; N]` from 1 to 65,535 bytes. Sealed.
///
/// ```
/// use unstick::{Format, HeaderBuf, U32Be};
///
/// assert_eq!(<U32Be as Format>::HeaderBuf::LEN, 4);
/// assert_eq!(<[u8; 4]>::ZERO, [0; 4]);
/// ```
pub trait HeaderBuf:
    AsRef<[u8]> + AsMut<[u8]> + Copy + Eq + Debug + Send + Sync + Unpin + sealed::Sealed + 'static
{
    /// The buffer's length in bytes.
    const LEN: usize;
    /// A buffer filled with zeros.
    const ZERO: Self;

    /// Splits off the first `LEN` bytes.
    #[doc(hidden)]
    fn split(bytes: &[u8]) -> Option<(&Self, &[u8])>;

    /// Splits off the first `LEN` bytes, mutably.
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

/// A borrowed format is a format, so adapters and decoders need not own it.
impl<F: Format + ?Sized> Format for &F {
    type Meta = F::Meta;
    type HeaderBuf = F::HeaderBuf;

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

    #[inline(always)]
    fn limit_of(&self, meta: &Self::Meta) -> u64 {
        (**self).limit_of(meta)
    }

    #[inline]
    fn in_datagram(&self, meta: &Self::Meta) -> InDatagram {
        (**self).in_datagram(meta)
    }
}

impl<F: SelfChecking + ?Sized> SelfChecking for &F {}

/// Copies `from` to the start of `to`, as much as fits. `copy_from_slice` would leave a panic path
/// for unequal lengths at some optimisation levels.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The same for a payload. It is a function of its own so that the compiler knows that the slices
/// do not overlap and emits one `memcpy`.
#[inline(never)]
pub(crate) fn copy_payload(to: &mut [u8], from: &[u8]) {
    copy(to, from);
}
