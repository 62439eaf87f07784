//! A wrapper that records the panics of a mark.

use std::ops::Range;

use unstick::{EncodeError, Mark, Shape, Unit};

use crate::panics::Panics;

/// The mark under test.
pub(super) struct Probe<'a, M> {
    pub(super) mark: &'a M,
    pub(super) panics: &'a Panics,
}

// Not derived: a derive would require `M: Copy`.
impl<M> Clone for Probe<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Probe<'_, M> {}

impl<M: Mark> Mark for Probe<'_, M> {
    type State = M::State;

    const VERBATIM: bool = M::VERBATIM;

    fn push(&self, state: &mut M::State, byte: u8) -> Unit {
        self.panics.pass_on("push", &[byte], || self.mark.push(state, byte))
    }

    fn run(&self, state: &mut M::State, bytes: &[u8]) -> usize {
        self.panics.pass_on("run", bytes, || self.mark.run(state, bytes))
    }

    fn produced(&self, state: &mut M::State, bytes: &[u8]) -> (usize, &'static [u8]) {
        self.panics.pass_on("produced", bytes, || self.mark.produced(state, bytes))
    }

    fn whole(&self, bytes: &[u8]) -> Option<Shape> {
        self.panics.pass_on("whole", bytes, || self.mark.whole(bytes))
    }

    fn unescape(&self, frame: &mut [u8]) -> Range<usize> {
        let bytes = frame.to_vec();
        self.panics.pass_on("unescape", &bytes, || self.mark.unescape(frame))
    }

    fn end(&self, state: &mut M::State) -> Unit {
        self.panics.pass_on("end", &[], || self.mark.end(state))
    }

    fn max_wire_len(&self, content_len: u64) -> u64 {
        self.panics.pass_on("max_wire_len", &[], || self.mark.max_wire_len(content_len))
    }

    fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
        let bytes = content.concat();
        self.panics.pass_on("encode", &bytes, || self.mark.encode(content, put))
    }
}
