//! Checks what a format says of a stream's next bytes: the answer itself, and the limit.
//!
//! The decoder and the scanner share these functions, so that both refuse the same bytes with the
//! same error (spec, chapter 7).

use crate::error::{DecodeError, HeaderError};
use crate::format::{Format, Header, HeaderBuf, Parsed};

/// Why bytes are not a header; the caller knows their stream offset.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    /// The format refused them, or broke its laws.
    Header(HeaderError),
    /// The payload is over the limit.
    Oversize {
        /// The payload length that the header announces, in bytes.
        len: u64,
        /// The limit, in payload bytes.
        limit: u64,
    },
}

impl Refusal {
    /// Returns the error for a frame whose first byte is at this stream offset.
    pub(crate) fn at(self, at: u64) -> DecodeError {
        match self {
            Self::Header(error) => DecodeError::Header { at, error },
            Self::Oversize { len, limit } => DecodeError::Oversize { at, len, limit },
        }
    }
}

/// Whether a frame with this much payload may have a header of zero bytes.
#[inline]
pub(crate) fn has_no_header<F: Format>(format: &F, payload_len: u64) -> bool {
    format.max_header_len() == 0 && payload_len > 0
}

/// Returns the header that `bytes` begin with, and the bytes after it, if the header is complete
/// and within the limit: the common case.
#[cfg_attr(not(all(feature = "small", not(feature = "std"))), inline(always))]
#[cfg_attr(all(feature = "small", not(feature = "std")), inline(never))]
pub(crate) fn whole_header<'a, F: Format>(
    format: &F,
    limit: u64,
    bytes: &'a [u8],
) -> Option<(Header<F::Meta>, &'a [u8])> {
    let header = format.whole_header(bytes)?;
    let Header { ref meta, payload_len, header_len } = header;
    if payload_len > limit
        || (header_len == 0 && !has_no_header(format, payload_len))
        || header_len > F::HeaderBuf::LEN
        || payload_len > format.limit_of(meta)
    {
        return None;
    }
    let rest = bytes.get(header.header_len..)?;
    Some((header, rest))
}

/// Returns what `bytes` begin with. The first `seen` of them are known not to decide it.
///
/// A frame over the limit is refused here.
pub(crate) fn inspect<F: Format>(
    format: &F,
    limit: u64,
    bytes: &[u8],
    seen: usize,
) -> Result<Parsed<F::Meta>, Refusal> {
    let room = F::HeaderBuf::LEN;
    match format.resume_header(bytes, seen) {
        Ok(Parsed::Header(Header { header_len, payload_len, .. }))
            if (header_len == 0 && !has_no_header(format, payload_len))
                || header_len > bytes.len() =>
        {
            Err(Refusal::Header(HeaderError::BrokenFormat))
        }
        Ok(Parsed::Header(Header { header_len, .. })) if header_len > room => {
            Err(Refusal::Header(HeaderError::TooLong { room }))
        }
        Ok(Parsed::Header(Header { ref meta, payload_len: len, .. }))
            if len > limit.min(format.limit_of(meta)) =>
        {
            Err(Refusal::Oversize { len, limit: limit.min(format.limit_of(meta)) })
        }
        Ok(Parsed::Need(need)) if need <= bytes.len() => {
            Err(Refusal::Header(HeaderError::BrokenFormat))
        }
        Ok(Parsed::Need(need)) if need > room => {
            Err(Refusal::Header(HeaderError::TooLong { room }))
        }
        // Built anew, since a move of the whole is a call of `memmove` in small code.
        Ok(Parsed::Header(Header { meta, payload_len, header_len })) => {
            Ok(Parsed::Header(Header { meta, payload_len, header_len }))
        }
        Ok(Parsed::Need(need)) => Ok(Parsed::Need(need)),
        Err(error) => Err(Refusal::Header(error)),
    }
}

/// Returns the length of the shortest refused prefix of `bytes`. All of `bytes` are refused; the first
/// `seen` are known not to be. [`why`] says why.
///
/// The replay, byte by byte, makes the error independent of the cuts, even if a format checks its
/// fields in another order than they arrive in.
#[cold]
pub(crate) fn shortest_refused<F: Format>(
    format: &F,
    limit: u64,
    bytes: &[u8],
    seen: usize,
) -> usize {
    let max = bytes.len().min(F::HeaderBuf::LEN);
    // Only a header of zero bytes is refused without any.
    let mut len = if format.max_header_len() == 0 { 0 } else { seen + 1 };
    while len < max && inspect(format, limit, bytes.get(..len).unwrap_or_default(), 0).is_ok() {
        len += 1;
    }
    len.min(max)
}

/// Returns why the first `len` bytes are refused.
#[cold]
pub(crate) fn why<F: Format>(format: &F, limit: u64, bytes: &[u8], len: usize) -> Refusal {
    match inspect(format, limit, bytes.get(..len).unwrap_or(bytes), 0) {
        Err(refusal) => refusal,
        Ok(_) => Refusal::Header(HeaderError::BrokenFormat),
    }
}
