//! A limit for each kind of frame.

use core::fmt;

use crate::error::{EncodeError, HeaderError};
use crate::format::{Format, Header, InDatagram, Parsed, SelfChecking};

/// A format whose frames have a limit that depends on their meta, in addition to the limit of the
/// [`Framing`](crate::Framing).
///
/// A longer frame is oversize for every reader and every writer, so it can be skipped.
///
/// ```
/// use unstick::{DecodeError, Decoder, EncodeError, Framing, Kind, LimitedBy, V1};
///
/// let framing = Framing::new(LimitedBy::new(V1, |kind: &Kind| match *kind {
///     Kind::BINARY => 1 << 20,
///     _ => 4,
/// }));
/// let error = EncodeError::Oversize { len: 5, limit: 4 };
/// assert_eq!(framing.encode_header(Kind::TEXT, 5).unwrap_err(), error);
///
/// let header = Framing::new(V1).encode_header(Kind::TEXT, 5)?;
/// let mut decoder = Decoder::with_framing(framing);
/// let error = decoder.decode(&mut header.as_bytes()).unwrap_err();
/// assert_eq!(error, DecodeError::Oversize { at: 0, len: 5, limit: 4 });
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct LimitedBy<F, L> {
    format: F,
    limit: L,
}

impl<F: Format, L: Fn(&F::Meta) -> u64> LimitedBy<F, L> {
    /// Creates a format whose frames have at most `limit(meta)` bytes of payload. It returns the same
    /// limit for equal metas.
    pub const fn new(format: F, limit: L) -> Self {
        Self { format, limit }
    }
}

impl<F: Format, L: Fn(&F::Meta) -> u64> Format for LimitedBy<F, L> {
    type Meta = F::Meta;
    type HeaderBuf = F::HeaderBuf;

    fn max_payload_len(&self) -> u64 {
        self.format.max_payload_len()
    }

    fn max_header_len(&self) -> usize {
        self.format.max_header_len()
    }

    #[inline]
    fn limit_of(&self, meta: &F::Meta) -> u64 {
        (self.limit)(meta).min(self.format.limit_of(meta))
    }

    #[inline]
    fn decode_header(&self, bytes: &[u8]) -> Result<Parsed<F::Meta>, HeaderError> {
        self.format.decode_header(bytes)
    }

    #[inline(always)]
    fn whole_header(&self, bytes: &[u8]) -> Option<Header<F::Meta>> {
        self.format.whole_header(bytes)
    }

    #[inline]
    fn resume_header(&self, bytes: &[u8], seen: usize) -> Result<Parsed<F::Meta>, HeaderError> {
        self.format.resume_header(bytes, seen)
    }

    #[inline]
    fn encode_header(
        &self,
        meta: &F::Meta,
        payload_len: u64,
        out: &mut F::HeaderBuf,
    ) -> Result<usize, EncodeError> {
        self.format.encode_header(meta, payload_len, out)
    }

    fn in_datagram(&self, meta: &F::Meta) -> InDatagram {
        self.format.in_datagram(meta)
    }
}

impl<F: SelfChecking, L: Fn(&F::Meta) -> u64> SelfChecking for LimitedBy<F, L> {}

impl<F: fmt::Debug, L> fmt::Debug for LimitedBy<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedBy").field("format", &self.format).finish_non_exhaustive()
    }
}
