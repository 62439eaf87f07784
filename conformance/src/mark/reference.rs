//! The reference: the outcomes of a stream by `push` alone, byte by byte over the whole stream.

use unstick::{Check, DecodeError, FrameError, Mark, Part, TrailerBuf, Unit};

use super::trace::MAX_HELD;
use crate::{Outcome, Policy};

/// Why a frame ends, if not well.
enum Why {
    TooLong,
    Frame { error: FrameError, ended: bool },
}

/// A frame that has begun.
#[derive(Default)]
struct Frame {
    start: usize,
    /// The content so far, with the check at its end.
    content: Vec<u8>,
}

/// Reads a stream under a limit.
pub(super) struct Reference<'a, M, C> {
    pub(super) mark: &'a M,
    pub(super) check: &'a C,
    pub(super) limit: u64,
}

impl<M: Mark, C: Check> Reference<'_, M, C> {
    const TAIL: usize = <C::Trailer as TrailerBuf>::LEN;

    /// Returns everything that a receiver reports.
    pub(super) fn outcomes(&self, stream: &[u8], policy: Policy) -> Vec<Outcome<()>> {
        let (mut out, mut state) = (Vec::new(), M::State::default());
        let (mut frame, mut at, mut held) = (None::<Frame>, 0, 0);
        let end = stream.len() as u64;
        while let Some(&byte) = stream.get(at) {
            let before = state;
            let unit = self.mark.push(&mut state, byte);
            if unit == Unit::Idle && frame.is_none() {
                at += 1;
                continue;
            }
            let open = frame.get_or_insert_with(|| Frame { start: at, content: Vec::new() });
            let mut fails = None;
            if let Unit::Byte(content) | Unit::Held(content) = unit {
                if self.exceeds(open, content) {
                    fails = Some(Why::TooLong);
                } else if matches!(unit, Unit::Held(_)) {
                    held += 1;
                    if held > MAX_HELD {
                        fails = Some(Why::Frame { error: FrameError::BrokenMark, ended: false });
                    } else {
                        continue;
                    }
                }
            }
            if fails.is_some() {
                state = before;
            } else {
                (at, held) = (at + 1, 0);
            }
            match unit {
                Unit::End | Unit::Idle => match self.whole(open) {
                    Ok(whole) => {
                        out.push(whole);
                        frame = None;
                        continue;
                    }
                    Err(error) => fails = Some(Why::Frame { error, ended: true }),
                },
                Unit::Refused { error, ended } => fails = Some(Why::Frame { error, ended }),
                _ => {}
            }
            let Some(why) = fails else { continue };
            let start = open.start;
            self.fail(open, &why, at as u64, &mut out);
            frame = None;
            held = 0;
            if !policy.skip && !policy.resync {
                return out;
            }
            let ended = matches!(why, Why::Frame { ended: true, .. });
            let mark_end = if ended { Some(at) } else { self.after_mark(stream, at, &mut state) };
            let Some(after) = mark_end else {
                if policy.skip && self.end_completes(state) {
                    out.push(Outcome::End);
                    return out;
                }
                let error = if policy.skip {
                    DecodeError::Truncated { at: end, missing: 1, part: Part::Mark }
                } else {
                    DecodeError::Unsynchronized { at: end, skipped: end - start as u64 }
                };
                out.push(Outcome::Error { error, position: end });
                return out;
            };
            if !policy.skip {
                out.push(Outcome::Found { skipped: (after - start) as u64 });
            }
            (at, state) = (after, M::State::default());
        }
        match frame {
            None => out.push(Outcome::End),
            Some(frame) => self.end(frame, state, end, &mut out),
        }
        out
    }

    /// Adds content to a frame, unless that makes it too long.
    fn exceeds(&self, frame: &mut Frame, byte: u8) -> bool {
        let room = self.limit.saturating_add(Self::TAIL as u64);
        let exceeds = frame.content.len() as u64 >= room;
        if !exceeds {
            frame.content.push(byte);
        }
        exceeds
    }

    /// Returns the outcome of a frame that has ended.
    fn whole(&self, frame: &Frame) -> Result<Outcome<()>, FrameError> {
        let split = frame.content.len().checked_sub(Self::TAIL);
        let Some((payload, found)) = split.and_then(|at| frame.content.split_at_checked(at)) else {
            // Both are at most as long as a check, 255 bytes.
            let len = |len| u32::try_from(len).unwrap_or(u32::MAX);
            let (found, min) = (len(frame.content.len()), len(Self::TAIL));
            return Err(FrameError::TooShort { found, min });
        };
        let expected = self.check.trailer(self.check.update(self.check.begin(&[]), payload));
        if expected.as_ref() != found {
            let number =
                |bytes: &[u8]| bytes.iter().take(4).fold(0, |n, byte| n << 8 | u32::from(*byte));
            let (found, expected) = (number(found), number(expected.as_ref()));
            return Err(FrameError::BadCheck { found, expected });
        }
        let (at, payload) = (frame.start as u64, payload.to_vec());
        Ok(Outcome::Frame { at, meta: (), header: Vec::new(), payload })
    }

    /// Reports what was delivered of a frame that fails, and the error.
    fn fail(&self, frame: &Frame, why: &Why, position: u64, out: &mut Vec<Outcome<()>>) {
        self.begun(frame, out);
        let (at, limit) = (frame.start as u64, self.limit);
        let error = match *why {
            Why::TooLong => DecodeError::TooLong { at, limit },
            Why::Frame { error, .. } => DecodeError::Frame { at, error },
        };
        out.push(Outcome::Error { error, position });
    }

    fn begun(&self, frame: &Frame, out: &mut Vec<Outcome<()>>) {
        let len = frame.content.len().saturating_sub(Self::TAIL);
        let payload = frame.content.get(..len).unwrap_or_default().to_vec();
        if !payload.is_empty() {
            let at = frame.start as u64;
            out.push(Outcome::Begun { at, meta: (), header: Vec::new(), payload });
        }
    }

    /// Returns the offset after the next mark.
    fn after_mark(&self, stream: &[u8], mut at: usize, state: &mut M::State) -> Option<usize> {
        let mut held = 0;
        while let Some(&byte) = stream.get(at) {
            let unit = self.mark.push(state, byte);
            if matches!(unit, Unit::Held(_)) && held < MAX_HELD {
                held += 1;
                continue;
            }
            (at, held) = (at + 1, 0);
            if matches!(unit, Unit::End | Unit::Idle | Unit::Refused { ended: true, .. }) {
                return Some(at);
            }
        }
        None
    }

    /// Whether the stream's end stands for the mark of a frame that is skipped.
    fn end_completes(&self, mut state: M::State) -> bool {
        (0..=MAX_HELD)
            .map(|_| self.mark.end(&mut state))
            .find(|unit| !matches!(unit, Unit::Byte(_) | Unit::Held(_)))
            == Some(Unit::End)
    }

    /// Reports what the stream's end means inside a frame.
    fn end(&self, mut frame: Frame, mut state: M::State, end: u64, out: &mut Vec<Outcome<()>>) {
        for released in 0..=MAX_HELD {
            let why = match self.mark.end(&mut state) {
                Unit::End => match self.whole(&frame) {
                    Ok(whole) => return out.extend([whole, Outcome::End]),
                    Err(error) => Why::Frame { error, ended: true },
                },
                Unit::Refused { error, .. } => Why::Frame { error, ended: true },
                Unit::Byte(_) | Unit::Held(_) if released == MAX_HELD => {
                    Why::Frame { error: FrameError::BrokenMark, ended: true }
                }
                Unit::Byte(byte) | Unit::Held(byte) => {
                    if !self.exceeds(&mut frame, byte) {
                        continue;
                    }
                    Why::TooLong
                }
                Unit::Nothing | Unit::Idle => {
                    self.begun(&frame, out);
                    let error = DecodeError::Truncated { at: end, missing: 1, part: Part::Mark };
                    return out.push(Outcome::Error { error, position: end });
                }
            };
            return self.fail(&frame, &why, end, out);
        }
    }
}
