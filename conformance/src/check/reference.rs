//! The reference: the outcomes of a stream of frames with a check, from `decode_header` byte by byte
//! and from the check over each whole frame.

use unstick::{Check, DecodeError, Format, FrameError, Header, Parsed, Part, TrailerBuf};

use crate::reference::{Decided, decide};
use crate::{Outcome, Policy};

/// Reads a stream under a limit.
pub(super) struct Reference<'a, F, C> {
    pub(super) format: &'a F,
    pub(super) check: &'a C,
    pub(super) limit: u64,
}

impl<F: Format, C: Check> Reference<'_, F, C> {
    const TRAILER: u64 = <C::Trailer as TrailerBuf>::LEN as u64;

    fn decide(&self, bytes: &[u8]) -> Decided<F::Meta> {
        // A format of fixed length may have no header.
        match self.format.decode_header(&[]) {
            Ok(Parsed::Header(header)) if header.header_len == 0 && !bytes.is_empty() => {
                let (payload_len, limit) = (header.payload_len, self.limit);
                if payload_len > limit {
                    return Decided::Oversize { len: 0, payload_len, limit };
                }
                Decided::Header(header)
            }
            _ => decide(self.format, self.limit, bytes),
        }
    }

    /// Returns the length of a frame with this header, in bytes.
    fn frame_len(header: &Header<F::Meta>) -> Option<usize> {
        let rest = usize::try_from(header.payload_len.saturating_add(Self::TRAILER)).ok()?;
        header.header_len.checked_add(rest)
    }

    /// Returns the error of a whole frame, if it has one.
    fn error(&self, header: &Header<F::Meta>, frame: &[u8]) -> Option<FrameError> {
        let (head, rest) = frame.split_at_checked(header.header_len)?;
        let payload_len = usize::try_from(header.payload_len).ok()?;
        let (payload, found) = rest.split_at_checked(payload_len)?;
        let expected = self.check.trailer(self.check.update(self.check.begin(head), payload));
        let number =
            |bytes: &[u8]| bytes.iter().take(4).fold(0, |n, byte| n << 8 | u32::from(*byte));
        let (bad, expected) = (expected.as_ref() != found, number(expected.as_ref()));
        bad.then(|| FrameError::BadCheck { found: number(found), expected })
    }

    /// Returns everything that a receiver reports.
    pub(super) fn outcomes(&self, stream: &[u8], policy: Policy) -> Vec<Outcome<F::Meta>> {
        let end = stream.len() as u64;
        let truncated = |missing, part| Outcome::Error {
            error: DecodeError::Truncated { at: end, missing, part },
            position: end,
        };
        let truncated_after_header = |missing| {
            let in_check = missing <= Self::TRAILER;
            truncated(missing, if in_check { Part::Trailer } else { Part::Payload })
        };
        let (mut out, mut start) = (Vec::new(), 0);
        loop {
            let at = start as u64;
            let bytes = stream.get(start..).unwrap_or_default();
            if bytes.is_empty() {
                out.push(Outcome::End);
                return out;
            }
            // The error, the number of refused bytes, and how many more belong to the frame.
            let (error, refused, more) = match self.decide(bytes) {
                Decided::Not { missing } => {
                    out.push(truncated(missing, Part::Header));
                    return out;
                }
                Decided::Refused { len, error } => (DecodeError::Header { at, error }, len, None),
                Decided::Oversize { len, payload_len, limit } => {
                    let more = payload_len.saturating_add(Self::TRAILER);
                    (DecodeError::Oversize { at, len: payload_len, limit }, len, Some(more))
                }
                Decided::Header(header) => {
                    let whole = Self::frame_len(&header).and_then(|len| bytes.get(..len));
                    let frame = whole.unwrap_or(bytes);
                    let (head, body) =
                        frame.split_at_checked(header.header_len).unwrap_or_default();
                    let payload_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
                    let payload = body.get(..payload_len).unwrap_or(body).to_vec();
                    let (meta, head) = (header.meta.clone(), head.to_vec());
                    let begun = |header| Outcome::Begun { at, meta, header, payload };
                    let Some(frame) = whole else {
                        let all = header.payload_len.saturating_add(Self::TRAILER);
                        let missing = all - body.len() as u64;
                        out.extend([begun(head), truncated_after_header(missing)]);
                        return out;
                    };
                    match (self.error(&header, frame), begun(head)) {
                        (None, Outcome::Begun { at, meta, header, payload }) => {
                            out.push(Outcome::Frame { at, meta, header, payload });
                            start += frame.len();
                            continue;
                        }
                        (None, _) => continue,
                        (Some(error), begun) => {
                            out.push(begun);
                            (DecodeError::Frame { at, error }, frame.len(), Some(0))
                        }
                    }
                }
            };
            let after = start + refused;
            out.push(Outcome::Error { error, position: after as u64 });
            if let (true, Some(more)) = (policy.skip, more) {
                match usize::try_from(more) {
                    Ok(skipped) if more <= end - after as u64 => start = after + skipped,
                    _ => {
                        out.push(truncated_after_header(more - (end - after as u64)));
                        return out;
                    }
                }
            } else if policy.resync {
                let Some(found) = self.search(stream, start + 1) else {
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

    /// Returns the first place from this one on where a whole and valid frame stands; `None` if a frame
    /// that has not arrived may stand before it.
    fn search(&self, stream: &[u8], from: usize) -> Option<usize> {
        for place in from..stream.len() {
            let candidate = stream.get(place..).unwrap_or_default();
            match self.decide(candidate) {
                Decided::Not { .. } => return None,
                Decided::Header(header) => {
                    let frame = Self::frame_len(&header).and_then(|len| candidate.get(..len))?;
                    if self.error(&header, frame).is_none() {
                        return Some(place);
                    }
                }
                Decided::Refused { .. } | Decided::Oversize { .. } => {}
            }
        }
        None
    }
}
