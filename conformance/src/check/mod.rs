//! The kit for checks: what is known of a check, and what is tested.

mod laws;
mod probe;
mod reference;

use std::fmt;

use unstick::{Check, Checked, DecodeError, Format, Framing, HeaderBuf, TrailerBuf, Wire};

use super::explore::{self, Numbers};
use super::panics::Panics;
use super::violation::{Hex, ensure, fail};
use super::wires::{self, Wired};
use super::{Promise, Violation};
use laws::{Content, LAWS};
use probe::Probe;
use reference::Reference;

/// The default number of random inputs; see [`CheckKit::cases`].
const CASES: usize = 256;
/// The lengths of payloads whose bits are changed, in bytes.
const LENGTHS: [usize; 14] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 40, 64, 150];

type Each<'a> = dyn FnMut(Violation) -> Result<(), Violation> + 'a;

/// Tests a [`Check`]: its law, that every frame with one changed bit is noticed, and the promises of
/// frames with this check, read with any cuts by [`Decoder`](unstick::Decoder) and
/// [`FrameBuf`](unstick::FrameBuf).
///
/// The format is taken as correct; test one of your own with [`Kit`](crate::Kit) first. For a check
/// that is used without a header, take any format, such as [`U16Be`](unstick::U16Be).
///
/// Every check returns the first [`Violation`] that it finds. All checks are deterministic.
///
/// ```
/// use unstick::{Check, Checked, U16Be};
/// use unstick_conformance::CheckKit;
///
/// /// The sum of all bytes, header and payload, each multiplied by three.
/// struct Triple;
///
/// impl Check for Triple {
///     type Digest = u16;
///     type Trailer = [u8; 2];
///
///     fn begin(&self, header: &[u8]) -> u16 {
///         self.update(0, header)
///     }
///     fn update(&self, digest: u16, run: &[u8]) -> u16 {
///         run.iter().fold(digest, |sum, byte| sum.wrapping_add(3 * u16::from(*byte)))
///     }
///     fn trailer(&self, digest: u16) -> [u8; 2] {
///         digest.to_be_bytes()
///     }
/// }
///
/// # /*
/// #[cfg(test)]
/// # */
/// mod tests {
///     use super::*;
///
///     fn kit() -> CheckKit<U16Be, Triple> {
///         CheckKit::new(Checked::new(U16Be, Triple), [()]).example((), b"\x01\x02", b"\0\x02\x01\x02\0\x0F")
///     }
///
///     unstick_conformance::check_tests!(triple, kit());
/// #   pub fn check() { kit().cases(20).check().unwrap() }
/// }
/// # fn main() { tests::check() }
/// ```
pub struct CheckKit<F: Format, C> {
    framing: Framing<Checked<F, C>>,
    metas: Vec<F::Meta>,
    examples: Vec<Example<F::Meta>>,
    left_out: usize,
    panics: Panics,
    cases: usize,
}

struct Example<M> {
    meta: M,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

impl<F: Format, C: Check> CheckKit<F, C> {
    /// Creates a kit for a check after the payloads of a format, whose limit is that of the framing.
    /// `metas` are a few values that the format can write.
    pub fn new(
        framing: impl Into<Framing<Checked<F, C>>>,
        metas: impl IntoIterator<Item = F::Meta>,
    ) -> Self {
        Self {
            framing: framing.into(),
            metas: metas.into_iter().collect(),
            examples: Vec::new(),
            left_out: 0,
            panics: Panics::new(),
            cases: CASES,
        }
    }

    /// Adds a frame that is known to be correct, from a specification or from captured traffic: header,
    /// payload and check.
    ///
    /// At least one example is required: without it, a check that computes the same mistake on both
    /// sides would pass.
    #[must_use]
    pub fn example(
        mut self,
        meta: F::Meta,
        payload: impl AsRef<[u8]>,
        bytes: impl AsRef<[u8]>,
    ) -> Self {
        let (payload, bytes) = (payload.as_ref().to_vec(), bytes.as_ref().to_vec());
        self.metas.push(meta.clone());
        self.examples.push(Example { meta, payload, bytes });
        self
    }

    /// Declares that the check leaves out the first `len` bytes of the header on purpose;
    /// `usize::MAX` for the whole header. [`SkipHeader`](unstick::check::SkipHeader) makes such a
    /// check. It is a violation if the check depends on one of these bytes.
    #[must_use]
    pub fn leaves_out(mut self, len: usize) -> Self {
        self.left_out = len;
        self
    }

    /// Sets the number of random inputs; the number of random streams is an eighth of it. The default
    /// is 256.
    #[must_use]
    pub fn cases(mut self, cases: usize) -> Self {
        self.cases = cases;
        self
    }

    /// Tests every promise in [`Promise::CHECK`].
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check(&self) -> Result<(), Violation> {
        self.traced(self.explore(Promise::CHECK))
    }

    /// Tests one promise.
    ///
    /// # Errors
    /// Returns a violation of this promise, or of a law on which it depends:
    /// [`Violation::law`] names it. Returns a violation, too, if the promise is not one of
    /// [`Promise::CHECK`].
    pub fn check_promise(&self, promise: Promise) -> Result<(), Violation> {
        if !Promise::CHECK.contains(&promise) {
            let found = "this is no promise of a check; a check has those in `Promise::CHECK`";
            return Err(Violation::new(promise, &[], found.into()));
        }
        match self.traced(self.explore(&[promise])) {
            Err(violation) if violation.promise() != promise => Err(violation.keeps_from(promise)),
            result => result,
        }
    }

    /// Returns what is no violation and may still be a mistake: a check that is the same for all
    /// frames, such as [`EndBytes`](unstick::check::EndBytes), notices a frame of a wrong length, but
    /// no changed bit. [`check`](Self::check) accepts it.
    #[must_use]
    pub fn warnings(&self) -> Vec<Violation> {
        let mut warnings = Vec::new();
        let result = self.panics.guard(|| {
            if self.is_constant() {
                let unnoticed = |content: &Content| {
                    laws::check(&self.probe(), Promise::FrameBitErrors, content, self.left_out)
                };
                warnings
                    .extend(self.contents().iter().find_map(|content| unnoticed(content).err()));
            }
            Ok(())
        });
        warnings.extend(result.err());
        warnings
    }

    /// Tests all promises that these bytes can show, as a payload and as a stream: for fuzzers, and for
    /// proptest.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check_bytes(&self, data: &[u8]) -> Result<(), Violation> {
        self.panics.guard(|| {
            for meta in &self.metas {
                let content = self.content(meta, data);
                content.iter().try_for_each(|content| self.laws_of(content, LAWS))?;
            }
            let limit = (data.len() as u64 / 3).min(self.framing.limit());
            self.stream(limit, data, &explore::cuts(data, 1), &mut Err)
        })
    }

    /// Tests one frame: whether it is read back from a stream with any cuts, whether each changed bit is
    /// noticed, and whether it is within its own limit alone.
    ///
    /// # Errors
    /// Returns the first violation.
    pub fn check_frame(&self, meta: &F::Meta, payload: &[u8]) -> Result<(), Violation> {
        self.panics.guard(|| {
            let content = self.content(meta, payload);
            content.iter().try_for_each(|content| self.laws_of(content, LAWS))?;
            self.written(meta, payload, &mut Err)
        })
    }

    fn format(&self) -> &F {
        self.framing.format().format()
    }

    fn probe(&self) -> Probe<'_, C> {
        Probe { check: self.framing.format().check(), panics: &self.panics }
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
            if self.metas.is_empty() {
                let promise = if let [one] = promises { *one } else { Promise::KnownBytes };
                let found = "the kit has no meta to write; give it some";
                return Err(Violation::new(promise, &[], found.into()));
            }
            if !laws.is_empty() {
                self.contents().iter().try_for_each(|content| self.laws_of(content, &laws))?;
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

    /// Returns a payload with its header, if the format can write it.
    fn content(&self, meta: &F::Meta, payload: &[u8]) -> Option<Content> {
        let mut out = F::HeaderBuf::ZERO;
        let len = self.format().encode_header(meta, payload.len() as u64, &mut out).ok()?;
        let header = out.as_ref().get(..len)?.to_vec();
        Some(Content { header, payload: payload.to_vec() })
    }

    /// Returns all headers and payloads that the law is tested with.
    fn contents(&self) -> Vec<Content> {
        let mut numbers = Numbers::new(3);
        let mut contents = Vec::new();
        let most = usize::try_from(self.format().max_payload_len()).unwrap_or(usize::MAX);
        for (i, meta) in self.metas.iter().enumerate() {
            // All lengths for the first metas, a few for the others.
            for len in LENGTHS.into_iter().step_by(if i < 4 { 1 } else { 5 }).chain([most]) {
                if len > most.min(4096) {
                    continue;
                }
                for fill in [0x00, 0xFF] {
                    contents.extend(self.content(meta, &vec![fill; len]));
                }
                let random: Vec<u8> = (0..len).map(|_| numbers.byte()).collect();
                contents.extend(self.content(meta, &random));
            }
        }
        for example in &self.examples {
            contents.extend(self.content(&example.meta, &example.payload));
        }
        for _ in 0..self.cases {
            let meta = self.metas.get(numbers.below(self.metas.len()));
            let len = numbers.below(24);
            let payload: Vec<u8> = (0..len).map(|_| numbers.byte()).collect();
            contents.extend(meta.and_then(|meta| self.content(meta, &payload)));
        }
        contents
    }

    /// Whether all frames have the same check.
    fn is_constant(&self) -> bool {
        let probe = self.probe();
        let contents = self.contents();
        let mut trailers = contents.iter().map(|content| content.trailer(&probe));
        let first = trailers.next();
        trailers.all(|trailer| Some(trailer) == first)
    }

    fn laws_of(&self, content: &Content, laws: &[Promise]) -> Result<(), Violation> {
        let probe = self.probe();
        laws.iter().try_for_each(|law| match laws::check(&probe, *law, content, self.left_out) {
            Err(violation)
                if violation.promise() == Promise::FrameBitErrors && self.is_constant() =>
            {
                Ok(()) // a warning
            }
            result => result,
        })
    }

    fn known_bytes(&self) -> Result<(), Violation> {
        if self.examples.is_empty() {
            fail!(
                KnownBytes,
                &[],
                "the kit has no example; give it the bytes of a frame that is known to be right"
            );
        }
        for Example { meta, payload, bytes } in &self.examples {
            let Some(content) = self.content(meta, payload) else {
                fail!(
                    KnownBytes,
                    bytes,
                    "the format refuses to write meta {meta:?} with this payload"
                );
            };
            let written = content.frame(content.trailer(&self.probe()).as_ref());
            ensure!(
                written == *bytes,
                KnownBytes,
                bytes,
                "meta {meta:?} with payload {} should be written so, and is written as {}",
                Hex(payload),
                Hex(&written)
            );
        }
        Ok(())
    }

    fn explore_streams(&self, each: &mut Each<'_>) -> Result<(), Violation> {
        let limit = self.framing.limit();
        let examples = self.examples.iter().flat_map(|example| &example.bytes).copied();
        let examples: Vec<u8> = examples.take(4096).collect();
        self.stream(limit, &examples, &explore::cuts(&examples, 4), each)?;
        for example in self.examples.iter().take(8) {
            self.written(&example.meta, &example.payload, each)?;
        }
        for meta in self.metas.iter().step_by(1 + self.metas.len() / 3) {
            self.damaged(meta, each)?;
        }
        let mut numbers = Numbers::new(4);
        for _ in 0..self.cases.div_ceil(8) {
            let own = numbers.pick(&[0, 1, 3, 9, 9, 40, 600]).copied().unwrap_or_default();
            let stream = self.random_stream(own, &mut numbers);
            self.stream(own.min(limit), &stream, &explore::cuts(&stream, 1), each)?;
        }
        Ok(())
    }

    /// Tests a frame that ends at each of its bytes, one in which each byte is damaged, and one after a
    /// byte that is no frame, both with a good frame after it.
    fn damaged(&self, meta: &F::Meta, each: &mut Each<'_>) -> Result<(), Violation> {
        let payloads = [&b"\x01\x02\x03"[..], b"1234", b""];
        let Some(content) = payloads.iter().find_map(|payload| self.content(meta, payload)) else {
            return Ok(());
        };
        let limit = self.framing.limit().min(20);
        let frame = content.frame(content.trailer(&self.probe()).as_ref());
        let cuts = |stream: &[u8]| [Vec::new(), (1..stream.len()).collect()];
        for end in 1..frame.len() {
            let stream = frame.get(..end).unwrap_or_default();
            self.stream(limit, stream, &cuts(stream), each)?;
        }
        for at in 0..frame.len() {
            let mut stream = frame.repeat(2);
            if let Some(byte) = stream.get_mut(at) {
                *byte ^= 1;
            }
            self.stream(limit, &stream, &cuts(&stream), each)?;
        }
        for byte in (0..=u8::MAX).step_by(5).chain(1..4) {
            let stream = [&[byte], &frame[..], &frame].concat();
            self.stream(limit, &stream, &cuts(&stream), each)?;
        }
        Ok(())
    }

    /// Returns frames of payloads around the limit, some of them damaged, and other bytes.
    fn random_stream(&self, limit: u64, numbers: &mut Numbers) -> Vec<u8> {
        let around = usize::try_from(limit).unwrap_or_default() + 2;
        let mut stream = Vec::new();
        for _ in 0..2 + numbers.below(5) {
            let payload: Vec<u8> = (0..numbers.below(around + 1)).map(|_| numbers.byte()).collect();
            let meta = self.metas.get(numbers.below(self.metas.len()));
            let content = meta.and_then(|meta| self.content(meta, &payload));
            let mut frame = content
                .map_or(payload, |content| content.frame(content.trailer(&self.probe()).as_ref()));
            match numbers.below(6) {
                0 | 1 => {
                    let at = numbers.below(frame.len());
                    if let Some(byte) = frame.get_mut(at) {
                        *byte ^= 1 << numbers.below(8);
                    }
                }
                2 => frame.truncate(numbers.below(frame.len())),
                3 => frame.extend((0..numbers.below(4)).map(|_| numbers.byte())),
                _ => {}
            }
            stream.extend(frame);
        }
        stream
    }

    fn wire(&self) -> Checked<&F, Probe<'_, C>> {
        Checked::new(self.format(), self.probe())
    }

    /// Tests streams of this frame, under its own limit and one less.
    fn written(
        &self,
        meta: &F::Meta,
        payload: &[u8],
        each: &mut Each<'_>,
    ) -> Result<(), Violation> {
        let frame = match wires::write(self.wire(), meta, payload) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(()),
            Err(violation) => return each(violation),
        };
        let len = payload.len() as u64;
        let stream = frame.repeat(2);
        let cuts = explore::cuts(&stream, 3);
        let limits = [len.checked_sub(1), Some(len), len.checked_add(9)];
        for limit in limits.into_iter().flatten() {
            self.stream(limit.min(self.framing.limit()), &stream, &cuts, each)?;
        }
        Ok(())
    }

    /// Compares the outcomes of a stream with those of the reference.
    fn stream(
        &self,
        limit: u64,
        stream: &[u8],
        cuts: &[Vec<usize>],
        each: &mut Each<'_>,
    ) -> Result<(), Violation> {
        let wire = self.wire();
        let limit = Framing::new(wire).with_limit(limit).limit();
        let around = self.format().max_header_len() + <C::Trailer as TrailerBuf>::LEN;
        let wired = Wired {
            wire,
            limit,
            max_frame_len: limit.saturating_add(around as u64),
            resync: None,
            skips: |error| {
                matches!(error, DecodeError::Oversize { .. } | DecodeError::Frame { .. })
            },
            by: "`decode_header`",
        };
        let (format, check) = (self.format(), wire.check());
        let reference = Reference { format, check, limit };
        wires::check(&wired, stream, cuts, |policy| reference.outcomes(stream, policy), each)
    }
}

impl<F: Format, C: Check> fmt::Debug for CheckKit<F, C>
where
    Checked<F, C>: Wire,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckKit")
            .field("limit", &self.framing.limit())
            .field("metas", &self.metas)
            .field("examples", &self.examples.len())
            .finish_non_exhaustive()
    }
}
