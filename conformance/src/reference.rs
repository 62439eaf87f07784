//! The reference: computes the outcomes of a stream in the simplest way, from `decode_header`
//! alone, over the whole stream in one slice, trying one more byte at a time.

use unstick::{DecodeError, Format, Header, HeaderBuf, HeaderError, Parsed, Part};

use super::{Outcome, Policy};

/// The decision about the shortest prefix of some bytes that is decided.
pub(super) enum Decided<M> {
    Not { missing: u64 },
    Refused { len: usize, error: HeaderError },
    Oversize { len: usize, payload_len: u64, limit: u64 },
    Header(Header<M>),
}

pub(super) fn decide<F: Format>(format: &F, limit: u64, bytes: &[u8]) -> Decided<F::Meta> {
    let room = F::HeaderBuf::LEN;
    let mut missing = 0;
    for len in 1..=bytes.len() {
        let prefix = bytes.get(..len).unwrap_or_default();
        match format.decode_header(prefix) {
            Ok(Parsed::Need(need)) if need <= len => {
                return Decided::Refused { len, error: HeaderError::BrokenFormat };
            }
            Ok(Parsed::Need(need)) if need > room => {
                return Decided::Refused { len, error: HeaderError::TooLong { room } };
            }
            Ok(Parsed::Need(need)) => missing = (need - len) as u64,
            Ok(Parsed::Header(header)) if header.header_len != len => {
                return Decided::Refused { len, error: HeaderError::BrokenFormat };
            }
            Ok(Parsed::Header(header)) => {
                let (payload_len, limit) =
                    (header.payload_len, limit.min(format.limit_of(&header.meta)));
                if payload_len > limit {
                    return Decided::Oversize { len, payload_len, limit };
                }
                return Decided::Header(header);
            }
            Err(error) => return Decided::Refused { len, error },
        }
    }
    Decided::Not { missing }
}

/// Returns everything that a receiver with this limit reports about a stream.
pub(super) fn outcomes<F: Format>(
    format: &F,
    limit: u64,
    stream: &[u8],
    policy: Policy,
) -> Vec<Outcome<F::Meta>> {
    let end = stream.len() as u64;
    let truncated = |missing, part| Outcome::Error {
        error: DecodeError::Truncated { at: end, missing, part },
        position: end,
    };
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let at = start as u64;
        let bytes = stream.get(start..).unwrap_or_default();
        if bytes.is_empty() {
            out.push(Outcome::End);
            return out;
        }
        let (error, refused) = match decide(format, limit, bytes) {
            Decided::Not { missing } => {
                out.push(truncated(missing, Part::Header));
                return out;
            }
            Decided::Header(Header { meta, payload_len, header_len }) => {
                let (header, body) = bytes.split_at_checked(header_len).unwrap_or((bytes, &[]));
                let header = header.to_vec();
                let arrived = body.len() as u64;
                let whole = usize::try_from(payload_len).ok().and_then(|len| body.get(..len));
                let Some(payload) = whole else {
                    out.push(Outcome::Begun { at, meta, header, payload: body.to_vec() });
                    out.push(truncated(payload_len.saturating_sub(arrived), Part::Payload));
                    return out;
                };
                out.push(Outcome::Frame { at, meta, header, payload: payload.to_vec() });
                start += header_len + payload.len();
                continue;
            }
            Decided::Oversize { len, payload_len, limit } => {
                (DecodeError::Oversize { at, len: payload_len, limit }, len)
            }
            Decided::Refused { len, error } => (DecodeError::Header { at, error }, len),
        };
        let behind = start + refused;
        out.push(Outcome::Error { error, position: behind as u64 });

        let oversize = match error {
            DecodeError::Oversize { len, .. } if policy.skip => Some(len),
            _ => None,
        };
        if let Some(len) = oversize {
            let arrived = end - behind as u64;
            match usize::try_from(len) {
                Ok(skipped) if len <= arrived => start = behind + skipped,
                _ => {
                    out.push(truncated(len - arrived, Part::Payload));
                    return out;
                }
            }
        } else if policy.resync {
            let is_header = |from: &usize| {
                let candidate = stream.get(*from..).unwrap_or_default();
                matches!(decide(format, limit, candidate), Decided::Header(_))
            };
            let Some(found) = (start + 1..stream.len()).find(is_header) else {
                let error = DecodeError::Unsynchronized { at: end, skipped: end - at };
                out.push(Outcome::Error { error, position: end });
                return out;
            };
            out.push(Outcome::Found { skipped: (found - start) as u64 });
            start = found;
        } else {
            return out;
        }
    }
}
