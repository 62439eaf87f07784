//! The kit itself: what it knows of a format, and the checks that one can ask for.

use alloc::vec::Vec;
use core::fmt;

use super::drive::Search;
use super::explore::{self, Writer};
use super::laws::{self, Prefixes};
use super::probe::Probe;
use super::violation::{ensure, fail};
use super::{Promise, Violation, datagrams, frames, streams};
use crate::error::DecodeError;
use crate::format::{Format, HeaderBuf, SelfChecking};
use crate::framing::Framing;

/// How many random headers are tried unless [`Kit::cases`] says otherwise.
const CASES: usize = 256;

/// All that is needed to test a format: see the [module](super) for how to use it.
///
/// Every check returns the first [`Violation`] that it finds. All are deterministic.
pub struct Kit<F: Format> {
    framing: Framing<Probe<F>>,
    metas: Vec<F::Meta>,
    examples: Vec<Example<F::Meta>>,
    refused: Vec<Vec<u8>>,
    seeds: Vec<Vec<u8>>,
    search: Option<Search<Probe<F>>>,
    cases: usize,
}

struct Example<M> {
    meta: M,
    payload: Vec<u8>,
    bytes: Vec<u8>,
}

impl<F: SelfChecking> Kit<F> {
    /// A kit for a format that checks itself: [searches](crate::Decoder::resync) are tested too.
    pub fn self_checking(
        framing: impl Into<Framing<F>>,
        metas: impl IntoIterator<Item = F::Meta>,
    ) -> Self {
        Self { search: Some(Search::new()), ..Self::new(framing, metas) }
    }
}

impl<F: Format> Kit<F> {
    /// A kit for a format and the limit that it is used with.
    ///
    /// `metas` are a few metas that the format can write, as different from each other as can be:
    /// each bit that a header carries beside the length should be set in one and not in another.
    pub fn new(framing: impl Into<Framing<F>>, metas: impl IntoIterator<Item = F::Meta>) -> Self {
        let framing = framing.into();
        let limit = framing.limit();
        let framing = Framing::new(Probe::new(framing.into_format())).with_limit(limit);
        let metas = metas.into_iter().collect();
        let (examples, refused, seeds) = (Vec::new(), Vec::new(), Vec::new());
        let kit = Self { framing, metas, examples, refused, seeds, search: None, cases: CASES };
        kit.sown()
    }

    /// A frame that is known to be right: from the format's specification, or a capture of real
    /// traffic. `bytes` are the whole frame, header and payload.
    ///
    /// At least one is asked for: without, a format that reads and writes the same wrong thing
    /// would pass.
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
        self.sown()
    }

    /// Bytes that are known to be no header, and have to be refused as soon as these have arrived.
    #[must_use]
    pub fn refuses(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.refused.push(bytes.as_ref().to_vec());
        self.sown()
    }

    /// How many random headers, and an eighth as many random streams, are tried beside the chosen
    /// ones; 256 unless set.
    #[must_use]
    pub fn cases(mut self, cases: usize) -> Self {
        self.cases = cases;
        self
    }

    /// Tests every promise.
    ///
    /// # Errors
    /// The first that was found not to be kept.
    pub fn check(&self) -> Result<(), Violation> {
        self.explore(Promise::ALL)
    }

    /// Tests one promise: over header bytes (short ones, written ones, those with a thing wrong,
    /// random ones), over telling lengths, over streams through every state, and cuts of them.
    ///
    /// # Errors
    /// It is not kept; or the format panicked, so that it could not be tested.
    pub fn check_promise(&self, promise: Promise) -> Result<(), Violation> {
        if promise == Promise::ResyncIsExact && self.search.is_none() {
            fail!(ResyncIsExact, &[], "the kit was made with `new`, not with `self_checking`");
        }
        self.explore(&[promise])
    }

    /// Tests all promises that can be, with these bytes: as the beginning of a header, as a stream,
    /// as a datagram, and as instructions for a stream of frames. For fuzzers, whose seeds are then
    /// simply captures of real traffic; and for `proptest`.
    ///
    /// # Errors
    /// A promise is not kept.
    pub fn check_bytes(&self, data: &[u8]) -> Result<(), Violation> {
        self.guarded(|| {
            let format = self.framing.format();
            let beginning = F::HeaderBuf::LEN.saturating_add(8).min(explore::MOST);
            let beginning = data.get(..beginning).unwrap_or(data);
            self.check_header(beginning)?;
            self.check_near(data)?;
            let writer = Writer { format, metas: &self.metas, seeds: &self.seeds };
            let small = (data.len() as u64 / 3).min(self.framing.limit());
            for limit in [small, self.framing.limit()] {
                let framing = Framing::new(format).with_limit(limit);
                self.stream_cut(limit, data, &explore::cuts(data, 2), Err)?;
                let built = writer.follow(data, limit);
                self.stream_cut(limit, &built, &explore::cuts(&built, 2), Err)?;
                datagrams::check(&framing, data)?;
                datagrams::check(&framing, &built)?;
            }
            Ok(())
        })
    }

    /// All that can be said of header bytes alone.
    fn check_header(&self, bytes: &[u8]) -> Result<(), Violation> {
        let prefixes = Prefixes::new(self.framing.format(), bytes, self.search.is_some());
        laws::PROMISES.iter().try_for_each(|promise| prefixes.check(*promise))
    }

    /// A header and a length near what the format writes, chosen by the data: random bytes hardly
    /// ever are one.
    fn check_near(&self, data: &[u8]) -> Result<(), Violation> {
        let &[pick, at, value, ref rest @ ..] = data else { return Ok(()) };
        let pick = usize::from(pick);
        if let Some(seed) = self.seeds.iter().cycle().nth(pick) {
            let mut near = seed.clone();
            let at = usize::from(at).checked_rem(near.len()).unwrap_or_default();
            if let Some(byte) = near.get_mut(at) {
                *byte = value;
            }
            near.extend(rest.iter().take(8));
            self.check_header(&near)?;
        }
        if let Some(meta) = self.metas.iter().cycle().nth(pick) {
            let most = self.framing.format().max_payload_len();
            let len = rest.iter().take(8).fold(0, |len, byte| len << 8 | u64::from(*byte));
            for promise in frames::PROMISES {
                for len in [len, most, most.saturating_add(1)] {
                    frames::check(&self.framing, *promise, meta, len)?;
                }
            }
        }
        Ok(())
    }

    /// Tests one frame: whether it can be written within the limit, and comes out of a stream as it
    /// went in, wherever that is cut. For `proptest`, with a strategy for metas and payloads.
    ///
    /// # Errors
    /// A promise is not kept.
    pub fn check_frame(&self, meta: &F::Meta, payload: &[u8]) -> Result<(), Violation> {
        self.guarded(|| {
            let format = self.framing.format();
            let len = payload.len() as u64;
            for promise in frames::PROMISES {
                frames::check(&self.framing, *promise, meta, len)?;
            }
            let Some(mut stream) = frames::write(format, meta, len) else { return Ok(()) };
            stream.extend_from_slice(payload);
            stream.extend_from_within(..);
            let limits = [len.saturating_sub(1), len, self.framing.limit()];
            for limit in limits {
                let cuts = explore::cuts(&stream, 6);
                self.stream_cut(limit, &stream, &cuts, Err)?;
            }
            datagrams::check_packed(&self.framing, &[(meta, payload), (meta, payload)])
        })
    }

    /// Tests one stream with these cuts, which are put in order first: along every path the same
    /// comes out as of the whole, byte by byte.
    ///
    /// # Errors
    /// A promise is not kept.
    pub fn check_stream(&self, stream: &[u8], cuts: &[usize]) -> Result<(), Violation> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(stream.len())).collect();
        cuts.sort_unstable();
        let limit = self.framing.limit();
        self.guarded(|| self.stream_cut(limit, stream, &[cuts], Err))
    }

    /// The outcome of a check, unless the format panicked in it.
    fn guarded(&self, check: impl FnOnce() -> Result<(), Violation>) -> Result<(), Violation> {
        let result = check();
        self.framing.format().panicked().map_or(result, Err)
    }

    /// Looks anew for headers to begin with.
    fn sown(mut self) -> Self {
        let known = self.examples.iter().map(|example| &example.bytes).chain(&self.refused);
        let known: Vec<Vec<u8>> = known.cloned().collect();
        let limit = self.framing.limit();
        self.seeds = explore::seeds(self.framing.format(), &self.metas, limit, &known);
        self
    }

    /// Tests these promises over all that there is to try.
    fn explore(&self, promises: &[Promise]) -> Result<(), Violation> {
        let among = |of: &[Promise]| -> Vec<Promise> {
            of.iter().filter(|promise| promises.contains(promise)).copied().collect()
        };
        self.guarded(|| {
            if self.metas.is_empty() {
                fail!(DecodeUndoesEncode, &[], "the kit has no meta to write; give it some");
            }
            if promises.contains(&Promise::KnownBytes) {
                self.known_bytes()?;
            }
            self.explore_headers(&among(laws::PROMISES))?;
            self.explore_lengths(&among(frames::PROMISES))?;
            self.explore_streams(&among(streams::PROMISES))?;
            if !among(datagrams::PROMISES).is_empty() {
                self.explore_datagrams()?;
            }
            Ok(())
        })
    }

    fn explore_headers(&self, promises: &[Promise]) -> Result<(), Violation> {
        if promises.is_empty() {
            return Ok(());
        }
        let format = self.framing.format();
        explore::headers(format, &self.seeds, self.cases, |bytes| {
            let prefixes = Prefixes::new(format, bytes, self.search.is_some());
            promises.iter().try_for_each(|promise| prefixes.check(*promise))?;
            format.panicked().map_or(Ok(()), Err)
        })
    }

    fn explore_lengths(&self, promises: &[Promise]) -> Result<(), Violation> {
        let most = self.framing.format().max_payload_len();
        let lengths = explore::lengths(self.framing.limit(), most);
        for promise in promises {
            for (i, meta) in self.metas.iter().enumerate() {
                // Of the first metas all lengths, of the others a few.
                let step = if i < 8 { 1 } else { 5 };
                for len in lengths.iter().skip(i % step).step_by(step) {
                    frames::check(&self.framing, *promise, meta, *len)?;
                }
            }
        }
        Ok(())
    }

    fn explore_streams(&self, promises: &[Promise]) -> Result<(), Violation> {
        if promises.is_empty() {
            return Ok(());
        }
        // A violation of another promise is left to that one's test.
        let only = |violation: Violation| {
            if promises.contains(&violation.promise()) { Err(violation) } else { Ok(()) }
        };
        let (format, limit) = (self.framing.format(), self.framing.limit());
        let random = self.cases.div_ceil(8);
        for stream in explore::streams(format, &self.metas, &self.seeds, limit, random) {
            let cuts = explore::cuts(&stream.bytes, 1);
            self.stream_cut(stream.limit, &stream.bytes, &cuts, only)?;
        }
        // One stream at each of its bytes.
        let writer = Writer { format, metas: &self.metas, seeds: &self.seeds };
        let stream = writer.follow(&[0, 0, 3, 5, 1, 0, 0, 2, 9, 4, 3, 1, 0, 1, 2], 9);
        let cuts: Vec<_> = (0..stream.len()).map(|cut| [cut].to_vec()).collect();
        self.stream_cut(limit.min(9), &stream, &cuts, only)?;
        let known = self.examples.iter().flat_map(|example| &example.bytes).copied();
        let known: Vec<u8> = known.take(16_384).collect();
        self.stream_cut(limit, &known, &explore::cuts(&known, 4), only)
    }

    fn stream_cut(
        &self,
        limit: u64,
        stream: &[u8],
        cuts: &[Vec<usize>],
        each: impl FnMut(Violation) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let framing = Framing::new(self.framing.format()).with_limit(limit);
        streams::check(framing, self.search, stream, cuts, each)
    }

    fn explore_datagrams(&self) -> Result<(), Violation> {
        let (format, limit) = (self.framing.format(), self.framing.limit());
        for seed in &self.seeds {
            datagrams::check(&self.framing, seed)?;
        }
        let random = self.cases.div_ceil(8);
        for stream in explore::streams(format, &self.metas, &self.seeds, limit, random) {
            let framing = Framing::new(format).with_limit(stream.limit);
            datagrams::check(&framing, &stream.bytes)?;
        }
        for metas in self.metas.windows(3).step_by(1 + self.metas.len() / 40) {
            let payloads = [&b""[..], b"12", b"345678"];
            let frames: Vec<_> = metas.iter().zip(payloads).collect();
            datagrams::check_packed(&self.framing, &frames)?;
        }
        Ok(())
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
            let mut rest = &bytes[..];
            let read = self.framing.split_frame(&mut rest);
            let same =
                matches!(&read, Ok(Some(frame)) if frame.meta == *meta && frame.payload == payload);
            ensure!(same, KnownBytes, bytes, "{meta:?} {payload:02x?} is read as {read:02x?}");
            ensure!(rest.is_empty(), KnownBytes, bytes, "{rest:02x?} is behind the frame");
            if F::CANONICAL {
                let mut written = Vec::new();
                let result = self.framing.encode(meta, payload, &mut written);
                ensure!(
                    result.is_ok() && written == *bytes,
                    KnownBytes,
                    bytes,
                    "{meta:?} {payload:02x?} is written as {written:02x?} ({result:?})"
                );
            }
        }
        for bytes in &self.refused {
            let read = self.framing.split_frame(&mut &bytes[..]);
            let refused = matches!(read, Err(DecodeError::Header { .. }));
            ensure!(refused, KnownBytes, bytes, "to be refused, but gives {read:02x?}");
        }
        Ok(())
    }
}

impl<F: Format> fmt::Debug for Kit<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit")
            .field("limit", &self.framing.limit())
            .field("metas", &self.metas)
            .field("examples", &self.examples.len())
            .finish_non_exhaustive()
    }
}
