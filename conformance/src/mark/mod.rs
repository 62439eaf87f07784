//! The kit for marks: what is known of a mark, and the checks.

mod inputs;
mod laws;
mod probe;
mod reference;
mod trace;

use std::fmt;
use std::sync::OnceLock;

use unstick::check::Crc16X25;
use unstick::{Check, DecodeError, Mark, Marked, NoCheck, TrailerBuf};

use super::explore::{self, Numbers};
use super::panics::Panics;
use super::violation::{Hex, ensure, fail};
use super::wires::{self, Wired};
use super::{Promise, Violation};
use laws::LAWS;
use probe::Probe;
use reference::Reference;
use trace::Trace;

/// The default number of random inputs; see [`MarkKit::cases`].
const CASES: usize = 256;

type Each<'a> = dyn FnMut(Violation) -> Result<(), Violation> + 'a;

/// Tests a [`Mark`]: its [laws](Mark#laws), and the promises of frames that end with it, read with any
/// cuts by [`Decoder`](unstick::Decoder) and [`FrameBuf`](unstick::FrameBuf).
///
/// Every check returns the first [`Violation`] that it finds. All checks are deterministic.
///
/// ```
/// use unstick::{EncodeError, Mark, Unit};
/// use unstick_conformance::MarkKit;
///
/// /// Frames that end with a zero byte. `^` before a byte changes its second bit.
/// struct Zero;
///
/// impl Mark for Zero {
///     /// Whether the last byte was `^`.
///     type State = bool;
///
///     fn push(&self, escaped: &mut bool, byte: u8) -> Unit {
///         let after_escape = std::mem::replace(escaped, byte == b'^');
///         match byte {
///             0 => Unit::End,
///             b'^' if !after_escape => Unit::Nothing,
///             _ if after_escape => {
///                 *escaped = false;
///                 Unit::Byte(byte ^ 0x40)
///             }
///             _ => Unit::Byte(byte),
///         }
///     }
///
///     fn max_wire_len(&self, content_len: u64) -> u64 {
///         content_len.saturating_mul(2).saturating_add(2)
///     }
///
///     fn encode(&self, content: &[&[u8]], put: &mut dyn FnMut(&[u8])) -> Result<(), EncodeError> {
///         for &byte in content.iter().copied().flatten() {
///             match byte {
///                 0 | b'^' => put(&[b'^', byte ^ 0x40]),
///                 _ => put(&[byte]),
///             }
///         }
///         put(&[0]);
///         Ok(())
///     }
/// }
///
/// # /*
/// #[cfg(test)]
/// # */
/// mod tests {
///     use super::*;
///
///     fn kit() -> MarkKit<Zero> {
///         MarkKit::new(Zero, [&b"plain"[..], b"", b"\0^"]).example(b"a\0b", b"a^@b\0")
///     }
///
///     unstick_conformance::mark_tests!(zero, kit());
/// #   pub fn check() { kit().cases(20).check().unwrap() }
/// }
/// # fn main() { tests::check() }
/// ```
pub struct MarkKit<M> {
    mark: M,
    panics: Panics,
    payloads: Vec<Vec<u8>>,
    examples: Vec<Example>,
    refused: Vec<Vec<u8>>,
    refused_frames: Vec<Vec<u8>>,
    /// Computed when first used.
    alphabet: OnceLock<Vec<u8>>,
    cases: usize,
}

struct Example {
    payload: Vec<u8>,
    bytes: Vec<u8>,
    /// Whether the payload is written so.
    written: bool,
}

impl<M: Mark> MarkKit<M> {
    /// Creates a kit for a mark. `payloads` are a few that the mark can write; make them contain bytes
    /// that need an escape, and nothing, if frames can be empty.
    pub fn new(mark: M, payloads: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let payloads = payloads.into_iter().map(|payload| payload.as_ref().to_vec()).collect();
        Self {
            mark,
            panics: Panics::new(),
            payloads,
            examples: Vec::new(),
            refused: Vec::new(),
            refused_frames: Vec::new(),
            alphabet: OnceLock::new(),
            cases: CASES,
        }
    }

    /// Adds a frame that is known to be correct, from a specification or from captured traffic:
    /// `payload` is written as `bytes`, and `bytes` are read as `payload`.
    ///
    /// At least one example is required: without it, a mark that reads and writes the same mistake
    /// would pass. One of them should have an escape.
    #[must_use]
    pub fn example(mut self, payload: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Self {
        self.add(payload.as_ref(), bytes.as_ref(), true);
        self
    }

    /// Adds a frame that is read as `payload`, which is written in another way.
    #[must_use]
    pub fn also_reads(mut self, payload: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Self {
        self.add(payload.as_ref(), bytes.as_ref(), false);
        self
    }

    fn add(&mut self, payload: &[u8], bytes: &[u8], written: bool) {
        let (payload, bytes) = (payload.to_vec(), bytes.to_vec());
        self.examples.push(Example { payload, bytes, written });
        self.alphabet = OnceLock::new();
    }

    /// Adds bytes that are known not to be a valid frame: an error must come no later than with their
    /// last byte. For a whole frame [`refuses_frame`](Self::refuses_frame) tests more.
    #[must_use]
    pub fn refuses(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.refused.push(bytes.as_ref().to_vec());
        self.alphabet = OnceLock::new();
        self
    }

    /// Adds a whole frame that is known to be invalid. Its last byte ends it: a frame after it is read, and
    /// nothing before that. Add one for each error that [`push`](Mark::push) returns with the mark, and
    /// one for each error before the mark: only this tests [`ended`](unstick::Unit::Refused::ended).
    #[must_use]
    pub fn refuses_frame(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.refused_frames.push(bytes.as_ref().to_vec());
        self.alphabet = OnceLock::new();
        self
    }

    /// Sets the number of random inputs; the number of random streams is an eighth of it. The default
    /// is 256.
    #[must_use]
    pub fn cases(mut self, cases: usize) -> Self {
        self.cases = cases;
        self
    }

    /// Tests every promise in [`Promise::MARK`].
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check(&self) -> Result<(), Violation> {
        self.traced(self.explore(Promise::MARK))
    }

    /// Tests one promise.
    ///
    /// # Errors
    /// Returns a violation of this promise, or of a law on which it depends:
    /// [`Violation::law`] names it. Returns a violation, too, if the promise is not one of
    /// [`Promise::MARK`].
    pub fn check_promise(&self, promise: Promise) -> Result<(), Violation> {
        if !Promise::MARK.contains(&promise) {
            let found = "this is no promise of a mark; a mark has those in `Promise::MARK`";
            return Err(Violation::new(promise, &[], found.into()));
        }
        match self.traced(self.explore(&[promise])) {
            Err(violation) if violation.promise() != promise => Err(violation.keeps_from(promise)),
            result => result,
        }
    }

    /// Tests all promises that these bytes can show, as a stream and as a payload: for fuzzers, and for
    /// proptest.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check_bytes(&self, data: &[u8]) -> Result<(), Violation> {
        self.panics.guard(|| {
            self.laws_of(data, LAWS)?;
            let cuts = explore::cuts(data, 1);
            let limit = data.len() as u64 / 3;
            self.stream(NoCheck, limit, data, &cuts, &mut Err)?;
            self.stream(Crc16X25::new(), limit, data, &cuts, &mut Err)
        })
    }

    /// Tests one payload: whether it is read back from a stream with any cuts, and whether it is within
    /// its own limit alone. A payload that the mark cannot write is no violation.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), Violation> {
        self.panics.guard(|| {
            self.laws_of(payload, LAWS)?;
            self.written(NoCheck, payload, &mut Err)?;
            self.written(Crc16X25::new(), payload, &mut Err)
        })
    }

    fn probe(&self) -> Probe<'_, M> {
        Probe { mark: &self.mark, panics: &self.panics }
    }

    /// Returns the broken law that explains a violation in a stream.
    fn traced(&self, result: Result<(), Violation>) -> Result<(), Violation> {
        let Err(violation) = result else { return Ok(()) };
        let promise = violation.promise();
        if LAWS.contains(&promise) || promise == Promise::KnownBytes {
            return Err(violation);
        }
        match self.explore(LAWS) {
            Err(law) => Err(law.keeps_from(promise)),
            Ok(()) => Err(violation),
        }
    }

    /// Tests these promises with all inputs.
    fn explore(&self, promises: &[Promise]) -> Result<(), Violation> {
        let laws: Vec<_> = LAWS.iter().filter(|law| promises.contains(law)).copied().collect();
        let streams = promises
            .iter()
            .any(|promise| !LAWS.contains(promise) && *promise != Promise::KnownBytes);
        self.panics.guard(|| {
            if self.payloads.is_empty() {
                let promise = if let [one] = promises { *one } else { Promise::KnownBytes };
                let found = "the kit has no payload to write; give it some";
                return Err(Violation::new(promise, &[], found.into()));
            }
            if !laws.is_empty() {
                self.explore_laws(&laws)?;
            }
            if promises.contains(&Promise::KnownBytes) {
                self.known_bytes()?;
            }
            // A violation of another promise is left to that promise's test.
            let mut only = |violation: Violation| {
                if promises.contains(&violation.promise()) { Err(violation) } else { Ok(()) }
            };
            if streams { self.explore_streams(&mut only) } else { Ok(()) }
        })
    }

    fn alphabet(&self) -> &[u8] {
        self.alphabet.get_or_init(|| {
            let examples = self.examples.iter().flat_map(|example| &example.bytes);
            let refused = self.refused.iter().chain(&self.refused_frames).flatten();
            let known = examples.chain(refused).chain(self.payloads.iter().flatten());
            inputs::alphabet(&self.probe(), &known.copied().collect::<Vec<u8>>())
        })
    }

    fn laws_of(&self, bytes: &[u8], laws: &[Promise]) -> Result<(), Violation> {
        let probe = self.probe();
        let trace = Trace::new(&probe, bytes);
        laws.iter().try_for_each(|law| laws::check(&probe, *law, &trace))
    }

    fn explore_laws(&self, laws: &[Promise]) -> Result<(), Violation> {
        if laws.contains(&Promise::TrueMaxWireLen) {
            laws::max_wire_len_grows(&self.probe())?;
        }
        if laws.contains(&Promise::DecodeUndoesEncode) {
            for payload in &self.payloads {
                if let Err(error) = laws::encode(&self.probe(), &[payload]) {
                    fail!(
                        DecodeUndoesEncode,
                        payload,
                        "this payload of the kit is refused when it is written: {error}"
                    );
                }
            }
        }
        let known = self.examples.iter().flat_map(|example| [&example.payload, &example.bytes]);
        let refused = self.refused.iter().chain(&self.refused_frames);
        for bytes in known.chain(&self.payloads).chain(refused) {
            self.laws_of(bytes, laws)?;
        }
        for byte in 0..=u8::MAX {
            self.laws_of(&[byte], laws)?;
            self.laws_of(&[b'a', byte, b'a'], laws)?;
        }
        let alphabet = self.alphabet();
        inputs::short(alphabet, usize::MAX, |bytes| self.laws_of(bytes, laws))?;
        let mut numbers = Numbers::new(1);
        for case in 0..self.cases {
            let max = if case % 8 == 0 { 900 } else { 40 };
            self.laws_of(&inputs::random(alphabet, &mut numbers, max), laws)?;
        }
        Ok(())
    }

    fn known_bytes(&self) -> Result<(), Violation> {
        if !self.examples.iter().any(|example| example.written) {
            fail!(
                KnownBytes,
                &[],
                "the kit has no example; give it the bytes of a frame that is known to be right"
            );
        }
        let probe = self.probe();
        for Example { payload, bytes, written } in &self.examples {
            let read = Trace::new(&probe, bytes);
            let same = matches!(
                &read.frames[..],
                [span] if span.error.is_none() && span.content == *payload
            );
            ensure!(
                same && read.open.is_none(),
                KnownBytes,
                bytes,
                "this should be read as the content {}, and is read as {}",
                Hex(payload),
                laws::shown(&read)
            );
            if *written {
                let found = laws::encode(&probe, &[payload]);
                ensure!(
                    found.as_ref() == Ok(bytes),
                    KnownBytes,
                    bytes,
                    "the content {} should be written so, and gives {found:02x?}",
                    Hex(payload)
                );
            }
        }
        for bytes in &self.refused {
            let read = Trace::new(&probe, bytes);
            let refused = read.frames.iter().chain(&read.open).any(|span| span.error.is_some());
            ensure!(
                refused,
                KnownBytes,
                bytes,
                "this should be refused, and is read as {}",
                laws::shown(&read)
            );
        }
        for (bytes, after) in self
            .refused_frames
            .iter()
            .flat_map(|bytes| self.examples.iter().map(move |example| (bytes, example)))
        {
            let stream = [&bytes[..], &after.bytes].concat();
            let read = Trace::new(&probe, &stream);
            let right = match &read.frames[..] {
                [bad, good] => {
                    bad.error.is_some()
                        && bad.end == bytes.len()
                        && good.error.is_none()
                        && good.content == after.payload
                }
                _ => false,
            };
            ensure!(
                right && read.open.is_none(),
                KnownBytes,
                &stream,
                "this should be a refused frame of {} bytes and then the content {}, and is read as {}; \
                 `Unit::Refused` has `ended` for the mark, and for no other byte",
                bytes.len(),
                Hex(&after.payload),
                laws::shown(&read)
            );
        }
        Ok(())
    }

    fn explore_streams(&self, each: &mut Each<'_>) -> Result<(), Violation> {
        let alphabet = self.alphabet();
        let examples = self.examples.iter().flat_map(|example| &example.bytes).copied();
        let examples: Vec<u8> = examples.take(4096).collect();
        self.stream(NoCheck, 1 << 12, &examples, &explore::cuts(&examples, 4), each)?;
        inputs::short(alphabet, 160, |bytes| {
            let every = [Vec::new(), (1..bytes.len()).collect()];
            self.stream(NoCheck, bytes.len() as u64 / 2, bytes, &every, each)
        })?;
        for end in 1..examples.len().min(60) {
            let stream = examples.get(..end).unwrap_or_default();
            self.stream(NoCheck, 9, stream, &[Vec::new(), (1..end).collect()], each)?;
        }
        for payload in &self.payloads {
            self.written(NoCheck, payload, each)?;
            self.written(Crc16X25::new(), payload, each)?;
        }
        let mut numbers = Numbers::new(2);
        for case in 0..self.cases.div_ceil(8) {
            let limits = [0, 1, 2, 3, 5, 9, 40, 600];
            let limit = numbers.pick(&limits).copied().unwrap_or_default();
            if case % 3 == 0 {
                let stream = self.random_stream(Crc16X25::new(), limit, &mut numbers);
                self.stream(Crc16X25::new(), limit, &stream, &explore::cuts(&stream, 1), each)?;
            } else {
                let stream = self.random_stream(NoCheck, limit, &mut numbers);
                self.stream(NoCheck, limit, &stream, &explore::cuts(&stream, 1), each)?;
            }
        }
        Ok(())
    }

    /// Returns frames of payloads around the limit, some of them damaged, and other bytes.
    fn random_stream<C: Check>(&self, check: C, limit: u64, numbers: &mut Numbers) -> Vec<u8> {
        let (alphabet, probe) = (self.alphabet(), self.probe());
        let around = usize::try_from(limit).unwrap_or_default() + 2;
        let mut stream = Vec::new();
        for _ in 0..2 + numbers.below(5) {
            let content = if numbers.below(4) == 0 {
                self.payloads.get(numbers.below(self.payloads.len())).cloned().unwrap_or_default()
            } else {
                inputs::random(alphabet, numbers, around)
            };
            let trailer = check.trailer(check.update(check.begin(&[]), &content));
            let mut frame = laws::encode(&probe, &[&content, trailer.as_ref()]).unwrap_or(content);
            match numbers.below(6) {
                0 => {
                    let at = numbers.below(frame.len());
                    if let Some(byte) = frame.get_mut(at) {
                        *byte = alphabet.get(numbers.below(alphabet.len())).copied().unwrap_or(0);
                    }
                }
                1 => frame.truncate(numbers.below(frame.len())),
                2 => frame.extend(inputs::random(alphabet, numbers, 4)),
                _ => {}
            }
            stream.extend(frame);
        }
        stream
    }

    /// Tests streams of this payload, under its own limit and one less.
    fn written<C: Check + Copy>(
        &self,
        check: C,
        payload: &[u8],
        each: &mut Each<'_>,
    ) -> Result<(), Violation> {
        let wire = Marked::new(self.probe()).with_check(check);
        let frame = match wires::write(wire, &(), payload) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(()),
            Err(violation) => return each(violation),
        };
        let len = payload.len() as u64;
        let stream = frame.repeat(2);
        let cuts = explore::cuts(&stream, 3);
        let limits = [len.checked_sub(1), Some(len), len.checked_add(9)];
        for limit in limits.into_iter().flatten() {
            self.stream(check, limit, &stream, &cuts, each)?;
        }
        Ok(())
    }

    /// Compares the outcomes of a stream with those of the reference.
    fn stream<C: Check + Copy>(
        &self,
        check: C,
        limit: u64,
        stream: &[u8],
        cuts: &[Vec<usize>],
        each: &mut Each<'_>,
    ) -> Result<(), Violation> {
        let wire = Marked::new(self.probe()).with_check(check);
        let content = limit.saturating_add(<C::Trailer as TrailerBuf>::LEN as u64);
        let wired = Wired {
            wire,
            limit,
            max_frame_len: wire.mark().max_wire_len(content),
            resync: Some(|decoder, input| decoder.resync(input)),
            skips: |error| !matches!(error, DecodeError::Unsynchronized { .. }),
            by: "`push`",
        };
        let reference = Reference { mark: wire.mark(), check: &check, limit };
        wires::check(&wired, stream, cuts, |policy| reference.outcomes(stream, policy), each)
    }
}

impl<M> fmt::Debug for MarkKit<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkKit")
            .field("payloads", &self.payloads)
            .field("examples", &self.examples.len())
            .finish_non_exhaustive()
    }
}
