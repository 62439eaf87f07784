//! What `push` alone says about some bytes: the measure for everything else that a mark does.

use unstick::{FrameError, Mark, Unit};

/// The max number of bytes that may be released in a row.
pub(super) const MAX_HELD: usize = 255;

/// The bytes, and what `push` gives for each.
pub(super) struct Trace<'a, M: Mark> {
    pub(super) bytes: &'a [u8],
    /// `states[n]` is the state after `n` bytes.
    pub(super) states: Vec<M::State>,
    pub(super) steps: Vec<Step<M::State>>,
    /// What the bytes mean, without what means nothing yet.
    pub(super) units: Vec<Unit>,
    /// `counts[n]` is the number of `units` after `n` bytes.
    pub(super) counts: Vec<usize>,
    pub(super) frames: Vec<Span>,
    /// The frame that has begun and not ended.
    pub(super) open: Option<Span>,
    /// `inside[n - 1]` is the frame that has begun and not ended after `n` bytes.
    pub(super) inside: Vec<Option<Inside>>,
    /// Whether the last byte was held back without end.
    pub(super) endless: bool,
}

/// A call of `push`.
pub(super) struct Step<S> {
    /// The offset of the byte.
    pub(super) at: usize,
    pub(super) before: S,
    pub(super) unit: Unit,
    pub(super) after: S,
}

/// A frame in the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) content: Vec<u8>,
    pub(super) error: Option<FrameError>,
}

#[derive(Clone, Copy)]
pub(super) struct Inside {
    pub(super) start: usize,
    pub(super) content_len: usize,
    pub(super) refused: bool,
}

/// Pushes a byte until it is taken. Returns `false` if it is held back without end.
pub(super) fn push<M: Mark>(
    mark: &M,
    state: &mut M::State,
    byte: u8,
    mut each: impl FnMut(M::State, Unit, M::State),
) -> bool {
    for _ in 0..=MAX_HELD {
        let before = *state;
        let unit = mark.push(state, byte);
        each(before, unit, *state);
        if !matches!(unit, Unit::Held(_)) {
            return true;
        }
    }
    false
}

/// Adds what a unit means, if it means something.
pub(super) fn add(units: &mut Vec<Unit>, unit: Unit) {
    match unit {
        Unit::Nothing => {}
        Unit::Held(byte) => units.push(Unit::Byte(byte)),
        unit => units.push(unit),
    }
}

impl<'a, M: Mark> Trace<'a, M> {
    pub(super) fn new(mark: &M, bytes: &'a [u8]) -> Self {
        let mut state = M::State::default();
        let mut trace = Self {
            bytes,
            states: vec![state],
            steps: Vec::new(),
            units: Vec::new(),
            counts: vec![0],
            frames: Vec::new(),
            open: None,
            inside: Vec::new(),
            endless: false,
        };
        for (at, byte) in bytes.iter().enumerate() {
            let taken = push(mark, &mut state, *byte, |before, unit, after| {
                trace.steps.push(Step { at, before, unit, after });
                add(&mut trace.units, unit);
                trace.unit(at, unit);
            });
            trace.states.push(state);
            trace.counts.push(trace.units.len());
            trace.inside.push(trace.open.as_ref().map(|open| Inside {
                start: open.start,
                content_len: open.content.len(),
                refused: open.error.is_some(),
            }));
            if !taken {
                trace.endless = true;
                break;
            }
        }
        trace
    }

    fn unit(&mut self, at: usize, unit: Unit) {
        if unit == Unit::Idle && self.open.is_none() {
            return;
        }
        let open = self.open.get_or_insert_with(|| Span { start: at, ..Span::default() });
        let ended = match unit {
            Unit::Nothing => false,
            Unit::Byte(byte) | Unit::Held(byte) => {
                open.content.push(byte);
                false
            }
            Unit::End | Unit::Idle => true,
            Unit::Refused { error, ended } => {
                open.error.get_or_insert(error);
                ended
            }
        };
        if ended {
            open.end = at + 1;
            self.frames.extend(self.open.take());
        }
    }

    /// Returns the frame that the stream's end completes. `None` if it completes none, and an error if
    /// bytes are released without end.
    pub(super) fn end(&self, mark: &M) -> Result<Option<(Span, M::State)>, ()> {
        let (Some(mut span), Some(mut state)) = (self.open.clone(), self.states.last().copied())
        else {
            return Ok(None);
        };
        span.end = self.bytes.len();
        for _ in 0..=MAX_HELD {
            match mark.end(&mut state) {
                Unit::Held(byte) | Unit::Byte(byte) => span.content.push(byte),
                Unit::End => return Ok(span.error.is_none().then_some((span, state))),
                _ => return Ok(None),
            }
        }
        Err(())
    }
}
