//! What the specification says of a stream in any framing: frames whose header announces their length,
//! with or without a check, and frames that end at a mark. As slow as the rest of the oracle.

use unstick::{DecodeError, EncodeError, FrameError, Part};

use super::marks::{Mark, Read};
use super::sums::{Sum, told};
use super::{CAP, Decided, Policy, Rules, decide};

/// One report of a receiver about a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole frame, valid as far as there is a check.
    Frame {
        /// The offset of its first byte, and that of the byte after it.
        at: u64,
        end: u64,
        content: Content,
    },
    /// What a decoder of pieces has delivered of a frame that failed or was cut off. A receiver of whole
    /// frames does not report it.
    Begun { at: u64, content: Content },
    Error {
        error: DecodeError,
        /// How many bytes are consumed.
        position: u64,
    },
    /// A search ended this many bytes after the failed frame's first.
    Found { skipped: u64 },
    /// The stream ended between two frames.
    End,
}

/// The parts of a frame, unescaped. There is no header where frames end at a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub meta: Vec<u8>,
    pub header: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Content {
    pub fn of(payload: &[u8]) -> Self {
        Self { payload: payload.to_vec(), ..Self::default() }
    }
}

/// What stands at the front of bytes that begin between two frames. All numbers count from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Front {
    /// No frame has begun.
    Nothing,
    /// A whole frame up to `end`, after idle bytes up to `at`.
    Frame { at: usize, end: usize, content: Content },
    /// The bytes end inside a frame; this much of it is known to be delivered.
    Cut { at: usize, begun: Option<Content>, missing: u64, part: Part },
    /// A frame that failed.
    Failed(Failed),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub at: usize,
    pub begun: Option<Content>,
    /// The error, as if the bytes were the stream.
    pub error: DecodeError,
    pub position: usize,
    pub skip: Option<Rest>,
}

/// How the rest of a failed frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The next frame begins here, if the bytes go so far.
    To(usize),
    /// They do not.
    Cut { missing: u64, part: Part },
    /// All bytes belong to the failed frame, and the end ends it.
    All,
}

/// Where a search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// There is none.
    Never,
    Found(usize),
    /// Not in these bytes.
    Lost,
}

/// A framing as the specification describes it.
pub trait Family {
    /// What stands at the front of these bytes, which are all up to the stream's end.
    fn front(&self, limit: u64, bytes: &[u8]) -> Front;

    /// The same, while more bytes may follow.
    fn front_so_far(&self, limit: u64, bytes: &[u8]) -> Front {
        self.front(limit, bytes)
    }

    /// Where a search goes on after this failure at the front.
    fn search(&self, limit: u64, bytes: &[u8], failed: &Failed) -> Search;

    /// A frame as a sender with this limit writes it, without idle bytes before it.
    fn write(&self, limit: u64, meta: &[u8], payload: &[u8]) -> Result<Vec<u8>, EncodeError>;

    /// No payload is longer.
    fn most(&self) -> u64 {
        CAP
    }

    /// The end of a begun frame, or of the one that failed: where a caller that skips it goes on.
    fn skip_begun(&self, limit: u64, bytes: &[u8]) -> Rest;
}

/// All that a receiver with this limit reports of a stream.
pub fn outcomes(
    family: &(impl Family + ?Sized),
    limit: u64,
    stream: &[u8],
    policy: Policy,
) -> Vec<Outcome> {
    let limit = limit.min(family.most()).min(CAP);
    let end = stream.len() as u64;
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let offset = |within: usize| (start + within) as u64;
        let failed = match family.front(limit, &stream[start..]) {
            Front::Nothing => {
                out.push(Outcome::End);
                return out;
            }
            Front::Frame { at, end, content } => {
                assert!(at < end, "a frame of no bytes");
                out.push(Outcome::Frame { at: offset(at), end: offset(end), content });
                start += end;
                continue;
            }
            Front::Cut { at, begun, missing, part } => {
                out.extend(begun.map(|content| Outcome::Begun { at: offset(at), content }));
                out.push(truncated(end, missing, part));
                return out;
            }
            Front::Failed(failed) => failed,
        };
        let begun = failed.begun.clone();
        out.extend(begun.map(|content| Outcome::Begun { at: offset(failed.at), content }));
        let error = failed.error.shifted(start as u64);
        out.push(Outcome::Error { error, position: offset(failed.position) });
        match failed.skip.filter(|_| policy.skip) {
            Some(Rest::To(next)) => {
                start += next;
                continue;
            }
            Some(Rest::Cut { missing, part }) => {
                out.push(truncated(end, missing, part));
                return out;
            }
            Some(Rest::All) => {
                out.push(Outcome::End);
                return out;
            }
            None if policy.resync => {}
            None => return out,
        }
        match family.search(limit, &stream[start..], &failed) {
            Search::Never => return out,
            Search::Found(next) => {
                out.push(Outcome::Found { skipped: (next - failed.at) as u64 });
                start += next;
            }
            Search::Lost => {
                let skipped = end - offset(failed.at);
                let error = DecodeError::Unsynchronized { at: end, skipped };
                out.push(Outcome::Error { error, position: end });
                return out;
            }
        }
    }
}

fn truncated(end: u64, missing: u64, part: Part) -> Outcome {
    let error = DecodeError::Truncated { at: end, missing, part };
    Outcome::Error { error, position: end }
}

/// What a receiver of whole frames reports.
pub fn whole_only(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.into_iter().filter(|outcome| !matches!(outcome, Outcome::Begun { .. })).collect()
}

/// Frames whose header announces the payload's length, and what stands after it.
#[derive(Clone, Copy, Debug)]
pub struct Counted<R> {
    pub rules: R,
    pub sum: Sum,
}

impl<R: Rules> Counted<R> {
    /// Drops the rest of a frame with this header.
    fn drop(&self, bytes: &[u8], header_len: usize, payload_len: u64) -> Rest {
        let arrived = (bytes.len() - header_len) as u64;
        let rest = payload_len.saturating_add(self.sum.len as u64);
        if rest <= arrived {
            return Rest::To(header_len + rest as usize);
        }
        let part =
            if payload_len <= arrived && self.sum.len > 0 { Part::Trailer } else { Part::Payload };
        Rest::Cut { missing: rest - arrived, part }
    }
}

impl<R: Rules> Family for Counted<R> {
    fn front(&self, limit: u64, bytes: &[u8]) -> Front {
        if bytes.is_empty() {
            return Front::Nothing;
        }
        let failed = |begun, error, position, skip| {
            Front::Failed(Failed { at: 0, begun, error, position, skip })
        };
        match decide(&self.rules, limit, bytes) {
            Decided::Not { missing } => {
                Front::Cut { at: 0, begun: None, missing, part: Part::Header }
            }
            Decided::Refused { len, error } => {
                failed(None, DecodeError::Header { at: 0, error }, len, None)
            }
            Decided::Oversize { len, payload_len, limit } => {
                let error = DecodeError::Oversize { at: 0, len: payload_len, limit };
                failed(None, error, len, Some(self.drop(bytes, len, payload_len)))
            }
            Decided::Header { len, meta, payload_len } => {
                let (header, body) = bytes.split_at(len);
                let arrived = usize::try_from(payload_len).unwrap_or(usize::MAX).min(body.len());
                let payload = body[..arrived].to_vec();
                let content = Content { meta, header: header.to_vec(), payload };
                let end = match self.drop(bytes, len, payload_len) {
                    Rest::To(end) => end,
                    Rest::Cut { missing, part } => {
                        return Front::Cut { at: 0, begun: Some(content), missing, part };
                    }
                    Rest::All => unreachable!(),
                };
                let (covered, found) = bytes[..end].split_at(end - self.sum.len);
                let expected = (self.sum.of)(covered);
                assert_eq!(expected.len(), self.sum.len);
                if found == expected {
                    return Front::Frame { at: 0, end, content };
                }
                let error = bad_check(found, &expected);
                failed(Some(content), DecodeError::Frame { at: 0, error }, end, Some(Rest::To(end)))
            }
        }
    }

    fn search(&self, limit: u64, bytes: &[u8], failed: &Failed) -> Search {
        for from in failed.at + 1..bytes.len() {
            if self.sum.len == 0 {
                if !self.rules.self_checking() {
                    return Search::Never;
                }
                if matches!(decide(&self.rules, limit, &bytes[from..]), Decided::Header { .. }) {
                    return Search::Found(from);
                }
                continue;
            }
            match self.front(limit, &bytes[from..]) {
                Front::Frame { .. } => return Search::Found(from),
                Front::Failed(_) => {}
                // It may yet become a frame, and nothing after it is earlier.
                Front::Cut { .. } | Front::Nothing => return Search::Lost,
            }
        }
        Search::Lost
    }

    fn write(&self, limit: u64, meta: &[u8], payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let len = payload.len() as u64;
        if self.rules.shortest() == 0 && len != self.rules.most() {
            return Err(EncodeError::WrongLength { len, expected: self.rules.most() });
        }
        let limit = limit.min(self.most()).min(self.rules.limit_by_meta(meta));
        if len > limit {
            return Err(EncodeError::Oversize { len, limit });
        }
        let mut bytes = self.rules.write(meta, len).ok_or(EncodeError::Meta)?;
        bytes.extend(payload);
        let check = (self.sum.of)(&bytes);
        bytes.extend(check);
        Ok(bytes)
    }

    fn most(&self) -> u64 {
        self.rules.most().min(CAP - self.sum.len as u64)
    }

    fn skip_begun(&self, limit: u64, bytes: &[u8]) -> Rest {
        match decide(&self.rules, limit, bytes) {
            Decided::Header { len, payload_len, .. }
            | Decided::Oversize { len, payload_len, .. } => self.drop(bytes, len, payload_len),
            _ => unreachable!("no frame has begun"),
        }
    }
}

fn bad_check(found: &[u8], expected: &[u8]) -> FrameError {
    FrameError::BadCheck { found: told(found), expected: told(expected) }
}

/// Frames that end at a mark, the end of their content being a check.
#[derive(Clone, Copy, Debug)]
pub struct AtMark<M> {
    pub mark: M,
    pub sum: Sum,
}

impl<M: Mark> AtMark<M> {
    /// The content that is known not to be the check.
    fn payload<'c>(&self, content: &'c [u8]) -> &'c [u8] {
        &content[..content.len().saturating_sub(self.sum.len)]
    }

    fn begun(&self, content: &[u8]) -> Option<Content> {
        Some(Content::of(self.payload(content))).filter(|content| !content.payload.is_empty())
    }

    /// A frame's bytes, from its first on, without those of the next.
    fn rest(&self, frame: &[u8]) -> Rest {
        match self.mark.mark_end(frame) {
            Some(end) => Rest::To(end),
            None if self.mark.or_end() => Rest::All,
            None => Rest::Cut { missing: 1, part: Part::Mark },
        }
    }

    /// The frame with this content, which ended at `end`.
    fn ended(&self, at: usize, end: usize, content: &[u8], rest: Rest) -> Front {
        let (len, min) = (content.len(), self.sum.len);
        let failed = |begun, error| {
            let error = DecodeError::Frame { at: at as u64, error };
            Front::Failed(Failed { at, begun, error, position: end, skip: Some(rest) })
        };
        if len < min {
            return failed(None, FrameError::TooShort { found: len as u32, min: min as u32 });
        }
        let (payload, found) = content.split_at(len - min);
        let expected = (self.sum.of)(payload);
        if found == expected {
            return Front::Frame { at, end, content: Content::of(payload) };
        }
        failed(self.begun(content), bad_check(found, &expected))
    }

    /// What stands at the front of these bytes, which are all, and may end a frame, if `at_end`.
    fn look(&self, limit: u64, bytes: &[u8], at_end: bool) -> Front {
        let Some(at) = bytes.iter().position(|byte| !self.mark.is_idle(*byte)) else {
            return Front::Nothing;
        };
        let frame = &bytes[at..];
        let rest = self.rest(frame);
        let shifted = match rest {
            Rest::To(end) => Rest::To(at + end),
            other => other,
        };
        let most = limit.saturating_add(self.sum.len as u64);
        let failed = |content: &[u8], error, position, rest| {
            let begun = self.begun(content);
            Front::Failed(Failed { at, begun, error, position, skip: Some(rest) })
        };
        let too_long = |content: &[u8], position, rest| {
            let error = DecodeError::TooLong { at: at as u64, limit };
            failed(&content[..most as usize], error, position, rest)
        };
        let mut known = Vec::new();
        for len in 1..=frame.len() {
            match self.mark.read(&frame[..len]) {
                Read::Open(content) if content.len() as u64 > most => {
                    return too_long(&content, at + len - 1, shifted);
                }
                Read::Open(content) => {
                    assert!(content.starts_with(&known), "what was known has changed");
                    known = content;
                }
                Read::End(content) => {
                    assert!(content.len() as u64 <= most, "a mark made content");
                    return self.ended(at, at + len, &content, shifted);
                }
                Read::Bad(error) => {
                    let error = DecodeError::Frame { at: at as u64, error };
                    return failed(&known, error, at + len, shifted);
                }
            }
        }
        if !at_end {
            let begun = self.begun(&known);
            return Front::Cut { at, begun, missing: 1, part: Part::Mark };
        }
        // The end stands for the mark, and what may have become one is content.
        if frame.len() as u64 > most {
            return too_long(frame, bytes.len(), Rest::To(bytes.len()));
        }
        self.ended(at, bytes.len(), frame, Rest::To(bytes.len()))
    }
}

impl<M: Mark> Family for AtMark<M> {
    fn front(&self, limit: u64, bytes: &[u8]) -> Front {
        self.look(limit, bytes, self.mark.or_end())
    }

    fn front_so_far(&self, limit: u64, bytes: &[u8]) -> Front {
        self.look(limit, bytes, false)
    }

    fn search(&self, _: u64, _: &[u8], failed: &Failed) -> Search {
        match failed.skip {
            Some(Rest::To(next)) => Search::Found(next),
            _ => Search::Lost,
        }
    }

    fn write(&self, limit: u64, _: &[u8], payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let len = payload.len() as u64;
        let limit = limit.min(self.most());
        if len > limit {
            return Err(EncodeError::Oversize { len, limit });
        }
        self.mark.write(&[payload, &(self.sum.of)(payload)].concat())
    }

    fn most(&self) -> u64 {
        CAP - self.sum.len as u64
    }

    fn skip_begun(&self, _: u64, bytes: &[u8]) -> Rest {
        let at = bytes.iter().position(|byte| !self.mark.is_idle(*byte)).unwrap_or(bytes.len());
        match self.rest(&bytes[at..]) {
            Rest::To(end) => Rest::To(at + end),
            other => other,
        }
    }
}

/// Frames of a fixed length, without a header.
#[derive(Clone, Copy, Debug)]
pub struct FixedLen(pub u64);

impl Rules for FixedLen {
    fn header(&self, bytes: &[u8]) -> super::Verdict {
        assert!(bytes.is_empty());
        super::Verdict::Header { meta: Vec::new(), payload_len: self.0 }
    }

    fn write(&self, _: &[u8], payload_len: u64) -> Option<Vec<u8>> {
        (payload_len == self.0).then(Vec::new)
    }

    fn most(&self) -> u64 {
        self.0
    }

    fn shortest(&self) -> usize {
        0
    }
}

/// The header of version 2.
#[derive(Clone, Copy, Debug)]
pub struct Version2;

impl Rules for Version2 {
    fn header(&self, bytes: &[u8]) -> super::Verdict {
        use unstick::HeaderError::{BadCheck, BadMagic, InvalidKind, UnsupportedVersion};

        use super::Verdict::{Header, More, Refused};
        let found = bytes[bytes.len() - 1];
        let covered = &bytes[..bytes.len() - 1];
        match bytes.len() {
            1 if found != 0xF5 => Refused(BadMagic { found }),
            2 if found != 0x02 => Refused(UnsupportedVersion { found, supported: 2 }),
            3 if found == 0x00 => Refused(InvalidKind),
            8 if found != super::check(covered) => {
                Refused(BadCheck { found, expected: super::check(covered) })
            }
            8 => Header {
                meta: vec![bytes[2]],
                payload_len: super::number(bytes[3..7].iter().copied()),
            },
            arrived => More(8 - arrived as u64),
        }
    }

    fn write(&self, meta: &[u8], payload_len: u64) -> Option<Vec<u8>> {
        let mut header = unstick::V1.write(meta, payload_len)?;
        header.pop();
        header[1] = 0x02;
        header.push(super::check(&header));
        Some(header)
    }

    fn most(&self) -> u64 {
        0xFFFF_FFFF
    }

    fn self_checking(&self) -> bool {
        true
    }
}
